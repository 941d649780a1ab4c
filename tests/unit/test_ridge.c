/* Ridge regression: by hand, against its own conditions, values that are not known, the chosen lambda. */
#define _GNU_SOURCE
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "train/ridge.h"

/* x = 1 2 3 (mean 2, std sqrt(2/3)), y = 2 4 6: with lambda 1, u = sqrt(2/3) 2 / (1 + 1), so the slope
 * for raw x is 1 and the intercept 4 - 2. A constant feature gets no weight. */
static void by_hand(void **state)
{
    (void)state;
    const float x[] = {1, 7, 2, 7, 3, 7}, y[] = {2, 4, 6};
    struct ridge_options o = {1, 1, 1, NULL};
    struct ridge_model m;
    assert_int_equal(ridge_select(x, y, 3, NULL, NULL, 0, 2, 1, &o, 1, &m, NULL), ERR_OK);
    assert_true(fabs((double)m.weights[0] - 1) < 1e-6 && m.weights[1] == 0);
    assert_true(fabs((double)m.biases[0] - 2) < 1e-6);
    ridge_free(&m);
}

enum { N = 60, V = 40, D = 9, K = 2 };

static void draw(float *x, float *y, int64_t n, uint64_t sample, double noise)
{
    struct rng rng = rng_at(5, RNG_STREAM_TEST, 0, sample);
    for (int64_t i = 0; i < n; i++) {
        double z = 0;
        for (int d = 0; d < D; d++) {
            x[i * D + d] = (float)(3 * d + (d + 1) * rng_normal(&rng));
            z += (double)x[i * D + d] * (d % 3 - 1);
        }
        y[i * K] = (float)(z + noise * rng_normal(&rng));
        y[i * K + 1] = i % 3 ? (float)(5 - 2 * z) : NAN;
    }
}

/* At the minimum the derivative by each weight is zero: sum (y - z) x / n = lambda u, over the records
 * that are known; here with features of known mean and deviation. */
static void conditions(void **state)
{
    (void)state;
    float x[N * D], y[N * K];
    draw(x, y, N, 0, 2);
    struct ridge_options o = {0.3, 0.3, 1, NULL};
    struct ridge_model m, many;
    assert_int_equal(ridge_select(x, y, N, NULL, NULL, 0, D, K, &o, 1, &m, NULL), ERR_OK);
    assert_int_equal(ridge_select(x, y, N, NULL, NULL, 0, D, K, &o, 3, &many, NULL), ERR_OK);
    assert_memory_equal(m.weights, many.weights, sizeof(float) * K * D);
    for (int k = 0; k < K; k++)
        for (int d = -1; d < D; d++) {
            double mean = 0, square = 0, std = 1, sum = 0, known = 0;
            for (int i = 0; i < N && d >= 0; i++) {
                mean += (double)x[i * D + d] / N;
                square += (double)x[i * D + d] * (double)x[i * D + d] / N;
            }
            std = d >= 0 ? sqrt(square - mean * mean) : 1;
            for (int i = 0; i < N; i++) {
                if (isnan(y[i * K + k]))
                    continue;
                double z = (double)m.biases[k];
                for (int j = 0; j < D; j++)
                    z += (double)m.weights[k * D + j] * (double)x[i * D + j];
                sum +=
                    ((double)y[i * K + k] - z) * (d < 0 ? 1 : ((double)x[i * D + d] - mean) / std);
                known++;
            }
            double u = d < 0 ? 0 : (double)m.weights[k * D + d] * std;
            if (!(fabs(sum / known - 0.3 * u) < 2e-4))
                fail_msg("value %d, feature %d: %g", k, d, sum / known - 0.3 * u);
        }
    ridge_free(&m);
    ridge_free(&many);
}

/* Without noise the weakest penalty is best, and finds what made the data. */
static void chooses(void **state)
{
    (void)state;
    float x[N * D], y[N * K], vx[V * D], vy[V * K];
    draw(x, y, N, 0, 0);
    draw(vx, vy, V, 1, 0);
    struct ridge_options o = {1e-9, 1e2, 12, NULL};
    struct ridge_model m;
    assert_int_equal(ridge_select(x, y, N, vx, vy, V, D, K, &o, 2, &m, NULL), ERR_OK);
    assert_int_equal(m.lambda_index, 11);
    assert_true(fabs(m.lambda / 1e-9 - 1) < 1e-9);
    assert_true(m.validation[11] > 0.999999 && m.validation[0] < 0.5);
    for (int d = 0; d < D; d++)
        assert_true(fabs((double)m.weights[d] - (d % 3 - 1)) < 1e-4 &&
                    fabs((double)m.weights[D + d] + 2 * (d % 3 - 1)) < 2e-4);
    ridge_free(&m);
}

static void refused(void **state)
{
    (void)state;
    float x[N * D], y[N * K], vy[V * K];
    draw(x, y, N, 0, 0);
    struct ridge_options o = RIDGE_DEFAULTS;
    struct ridge_model m;
    struct err e = {0};
    for (int i = 0; i < V * K; i++)
        vy[i] = 3;
    assert_int_equal(ridge_select(x, y, N, x, vy, V, D, K, &o, 1, &m, &e), ERR_LABELS);
    assert_non_null(strstr(e.message, "validation"));
    ridge_free(&m);
    for (int i = 1; i < N; i++)
        y[i * K] = NAN;
    assert_int_equal(ridge_select(x, y, N, x, y, V, D, K, &o, 1, &m, &e), ERR_LABELS);
    ridge_free(&m);
    x[2 * D + 4] = INFINITY;
    assert_int_equal(ridge_select(x, y, N, x, y, V, D, K, &o, 1, &m, &e), ERR_NUMERIC);
    assert_string_equal(e.message, "feature 4 of training record 2 is not finite");
    ridge_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_hand),
        cmocka_unit_test(conditions),
        cmocka_unit_test(chooses),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
