/* train/logistic: optima known by hand or by Newton's method, the gradient at every solution, and
 * choice, degenerate classes, threads. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "train/logistic.h"

#define NEAR(a, b, tolerance)                                                                      \
    do {                                                                                           \
        double a_ = (a), b_ = (b);                                                                 \
        if (!(fabs(a_ - b_) <= (tolerance)))                                                       \
            fail_msg("line %d: %.17g is not %.17g", __LINE__, a_, b_);                             \
    } while (0)

struct sample {
    int64_t n, D, K;
    float *x;
    uint8_t *y;
};

/* Correlated features around an offset; class k follows them through a drawn direction, and is the
 * rarer the larger k. The last feature is constant, the one before it a copy of the first. */
static struct sample draw_sample(uint64_t seed, int64_t n, int64_t D, int64_t K, double offset)
{
    struct sample s = {n, D, K, calloc((size_t)(n * D), sizeof(float)), calloc((size_t)(n * K), 1)};
    struct rng rng = rng_at(7, RNG_STREAM_TEST, 0, 0), noise = rng_at(seed, RNG_STREAM_TEST, 1, 0);
    double *direction = calloc((size_t)(D * K), sizeof *direction);
    for (int64_t i = 0; i < D * K; i++)
        direction[i] = rng_normal(&rng) / sqrt((double)D);
    for (int64_t i = 0; i < n; i++) {
        float *x = s.x + i * D;
        double common = rng_normal(&noise);
        for (int64_t j = 0; j < D; j++)
            x[j] = (float)(offset + (1 + (double)j) * (common + 0.3 * rng_normal(&noise)));
        if (D > 2) {
            x[D - 2] = x[0];
            x[D - 1] = (float)offset + 3;
        }
        for (int64_t k = 0; k < K; k++) {
            double z = -0.5 * (double)k;
            for (int64_t j = 0; j < D; j++)
                z += 3 * direction[k * D + j] * (x[j] - offset) / (1 + (double)j);
            s.y[i * K + k] = rng_uniform(&noise) < 1 / (1 + exp(-z));
        }
    }
    free(direction);
    return s;
}

static void sample_free(struct sample *s)
{
    free(s->x);
    free(s->y);
}

static struct logistic_options one_strength(double c)
{
    struct logistic_options options = LOGISTIC_DEFAULTS;
    options.c_min = options.c_max = c;
    options.c_steps = 1;
    return options;
}

static enum err_code fit(const struct sample *s, double c, struct logistic_model *model,
                         struct err *e)
{
    struct logistic_options options = one_strength(c);
    return logistic_select(s->x, s->y, s->n, NULL, NULL, 0, s->D, s->K, &options, 1, model, e);
}

/* The largest entry of the gradient at the folded solution, recomputed from scratch. */
static double gradient_norm(const struct sample *s, const struct logistic_model *m, int64_t k)
{
    double most = 0, *residuals = calloc((size_t)s->n, sizeof *residuals), total = 0;
    const float *w = m->weights + k * s->D;
    for (int64_t i = 0; i < s->n; i++) {
        double z = m->biases[k];
        for (int64_t j = 0; j < s->D; j++)
            z += (double)w[j] * (double)s->x[i * s->D + j];
        residuals[i] = 1 / (1 + exp(-z)) - s->y[i * s->K + k];
        total += residuals[i];
    }
    most = fabs(total) / (double)s->n;
    for (int64_t j = 0; j < s->D; j++) {
        if (m->stds[j] == 0)
            continue;
        double sum = (double)w[j] * m->stds[j] / m->c;
        for (int64_t i = 0; i < s->n; i++)
            sum += residuals[i] * ((double)s->x[i * s->D + j] - m->means[j]) / m->stds[j];
        most = fmax(most, fabs(sum) / (double)s->n);
    }
    free(residuals);
    return most;
}

/* x is 0 or 1: without a penalty the optimum is the two log odds. */
static void test_two_by_two_table(void **state)
{
    (void)state;
    enum { N = 100 };
    float x[N];
    uint8_t y[N];
    for (int i = 0; i < N; i++) {
        x[i] = i < 40 ? 0 : 1;
        y[i] = i < 40 ? i < 8 : i < 40 + 45; /* 8 of 40, 45 of 60 */
    }
    struct sample s = {N, 1, 1, x, y};
    struct logistic_model m;
    assert_int_equal(fit(&s, 1e6, &m, NULL), ERR_OK);
    NEAR(m.biases[0], log(8.0 / 32), 1e-5);
    NEAR(m.weights[0], log(45.0 / 15) - log(8.0 / 32), 1e-5);
    assert_int_equal(m.positives[0], 53);
    float score[2], at[2] = {0, 1};
    logistic_predict(&m, at, 2, score);
    NEAR(score[0], 0.2, 1e-6);
    NEAR(score[1], 0.75, 1e-6);
    logistic_free(&m);
    logistic_free(&m);
    /* A positive that counts four times moves both log odds by log 4. */
    struct logistic_options options = one_strength(1e6);
    options.positive_weights = (const float[]){4};
    assert_int_equal(logistic_select(x, y, N, NULL, NULL, 0, 1, 1, &options, 1, &m, NULL), ERR_OK);
    NEAR(m.biases[0], 0, 1e-5);
    NEAR(m.weights[0], log(45.0 / 15) - log(8.0 / 32), 1e-5);
    logistic_free(&m);
}

/* One feature, with a penalty, against Newton's method on u and b. */
static void test_against_newton(void **state)
{
    (void)state;
    struct sample s = draw_sample(1, 200, 1, 1, 5);
    static const double strengths[] = {1e-4, 1e-2, 1, 100};
    for (int c = 0; c < 4; c++) {
        double mean = 0, square = 0, u = 0, b = 0, n = (double)s.n,
               penalty = 1 / (strengths[c] * n);
        for (int64_t i = 0; i < s.n; i++)
            mean += s.x[i] / n;
        for (int64_t i = 0; i < s.n; i++)
            square += (s.x[i] - mean) * (s.x[i] - mean) / n;
        for (int iteration = 0; iteration < 30; iteration++) {
            double gu = penalty * u, gb = 0, huu = penalty, hub = 0, hbb = 0;
            for (int64_t i = 0; i < s.n; i++) {
                double x = (s.x[i] - mean) / sqrt(square), p = 1 / (1 + exp(-(u * x + b)));
                gu += (p - s.y[i]) * x / n;
                gb += (p - s.y[i]) / n;
                huu += p * (1 - p) * x * x / n;
                hub += p * (1 - p) * x / n;
                hbb += p * (1 - p) / n;
            }
            double determinant = huu * hbb - hub * hub;
            u -= (hbb * gu - hub * gb) / determinant;
            b -= (huu * gb - hub * gu) / determinant;
        }
        struct logistic_model m;
        assert_int_equal(fit(&s, strengths[c], &m, NULL), ERR_OK);
        double tolerance = 1e-6 * (1 + fabs(u) + fabs(b));
        NEAR(m.weights[0] * sqrt(square), u, tolerance);
        NEAR(m.biases[0] + m.weights[0] * mean, b, tolerance);
        logistic_free(&m);
    }
    sample_free(&s);
}

static void test_gradient_is_zero(void **state)
{
    (void)state;
    static const struct {
        int64_t n, D;
        double offset;
    } shapes[] = {{300, 12, 0}, {300, 12, 1000}, {40, 90, -3}, {60, 1030, 0}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        struct sample s = draw_sample(2, shapes[i].n, shapes[i].D, 3, shapes[i].offset);
        for (double c = 1e-4; c < 200; c *= 100) {
            struct logistic_model m;
            struct err e = {0};
            if (fit(&s, c, &m, &e) != ERR_OK)
                fail_msg("%s", e.message);
            for (int64_t k = 0; k < 3; k++) {
                assert_true(m.gradient_norms[k] <= 1e-7);
                assert_true(m.iterations[k] > 0 && m.iterations[k] < 500);
                /* float weights of features around 1000 are the limit here */
                assert_true(gradient_norm(&s, &m, k) < (shapes[i].offset > 100 ? 1e-3 : 2e-6));
            }
            const int64_t D = s.D; /* the copy shares the weight, the constant has none */
            NEAR(m.weights[0] / m.weights[D - 2], 1, 1e-4);
            assert_true(m.weights[D - 1] == 0);
            logistic_free(&m);
        }
        sample_free(&s);
    }
}

static void test_separable_stays_finite(void **state)
{
    (void)state;
    enum { N = 20 };
    float x[N], score[N];
    uint8_t y[N];
    for (int i = 0; i < N; i++) {
        x[i] = (float)i;
        y[i] = i >= 12;
    }
    struct sample s = {N, 1, 1, x, y};
    struct logistic_model m;
    assert_int_equal(fit(&s, 1e4, &m, NULL), ERR_OK);
    assert_true(isfinite(m.weights[0]) && m.weights[0] > 1);
    logistic_predict(&m, x, N, score);
    for (int i = 0; i < N; i++)
        assert_true(y[i] ? score[i] > 0.9f : score[i] < 0.1f);
    logistic_free(&m);
}

static void test_threads_do_not_matter(void **state)
{
    (void)state;
    struct sample s = draw_sample(3, 120, 33, 7, 1), v = draw_sample(4, 60, 33, 7, 1);
    struct logistic_options options = LOGISTIC_DEFAULTS;
    struct logistic_model first, m;
    assert_int_equal(logistic_select(s.x, s.y, s.n, v.x, v.y, v.n, 33, 7, &options, 1, &first,
                                     NULL),
                     ERR_OK);
    assert_true(first.iterations_all > 0);
    for (int threads = 2; threads < 6; threads++) {
        assert_int_equal(logistic_select(s.x, s.y, s.n, v.x, v.y, v.n, 33, 7, &options, threads, &m,
                                         NULL),
                         ERR_OK);
        assert_memory_equal(m.weights, first.weights, sizeof(float) * 33 * 7);
        assert_memory_equal(m.biases, first.biases, sizeof(float) * 7);
        assert_memory_equal(m.validation_auroc, first.validation_auroc, sizeof m.validation_auroc);
        assert_int_equal(m.c_index, first.c_index);
        logistic_free(&m);
    }
    logistic_free(&first);
    sample_free(&s);
    sample_free(&v);
}

static void test_choice(void **state)
{
    (void)state;
    /* 60 features, 50 records: the weakest penalty cannot be the best, nor the strongest */
    struct sample s = draw_sample(5, 50, 60, 2, 0), v = draw_sample(6, 300, 60, 2, 0);
    struct logistic_options options = LOGISTIC_DEFAULTS;
    struct logistic_model m, alone;
    assert_int_equal(logistic_select(s.x, s.y, s.n, v.x, v.y, v.n, 60, 2, &options, 2, &m, NULL),
                     ERR_OK);
    NEAR(m.c_grid[0], 1e-4, 1e-19);
    NEAR(m.c_grid[12], 100, 1e-12);
    NEAR(m.c_grid[1] / m.c_grid[0], sqrt(10), 1e-12);
    assert_int_equal(m.validation_classes, 2);
    for (int i = 0; i < m.c_steps; i++)
        assert_true(i < m.c_index ? m.validation_auroc[i] < m.validation_auroc[m.c_index]
                                  : m.validation_auroc[i] <= m.validation_auroc[m.c_index]);
    assert_true(m.validation_auroc[m.c_index] > m.validation_auroc[12]);
    assert_true(m.c == m.c_grid[m.c_index]);
    /* the path there does not matter */
    assert_int_equal(fit(&s, m.c, &alone, NULL), ERR_OK);
    assert_true(isnan(alone.validation_auroc[0]));
    for (int i = 0; i < 120; i++)
        NEAR(alone.weights[i], m.weights[i], 2e-5);
    logistic_free(&alone);
    logistic_free(&m);
    sample_free(&s);
    sample_free(&v);

    /* one feature ranks the same at every strength: the strongest penalty */
    s = draw_sample(7, 50, 1, 1, 0);
    assert_int_equal(logistic_select(s.x, s.y, s.n, s.x, s.y, s.n, 1, 1, &options, 1, &m, NULL),
                     ERR_OK);
    assert_int_equal(m.c_index, 0);
    logistic_free(&m);
    sample_free(&s);
}

static void test_one_label(void **state)
{
    (void)state;
    struct sample s = draw_sample(8, 80, 5, 4, 0);
    for (int64_t i = 0; i < s.n; i++) {
        s.y[i * 4 + 1] = 0;
        s.y[i * 4 + 2] = 1;
    }
    struct logistic_options options = LOGISTIC_DEFAULTS;
    struct logistic_model m;
    assert_int_equal(logistic_select(s.x, s.y, s.n, s.x, s.y, s.n, 5, 4, &options, 1, &m, NULL),
                     ERR_OK);
    assert_int_equal(m.validation_classes, 2);
    for (int j = 0; j < 5; j++)
        assert_true(m.weights[5 + j] == 0 && m.weights[10 + j] == 0);
    assert_true(m.biases[1] == -10 && m.biases[2] == 10);
    assert_true(m.constant[1] && m.constant[2] && !m.constant[0] && !m.constant[3]);
    assert_int_equal(m.positives[2], 80);
    logistic_free(&m);
    sample_free(&s);
}

static void test_refuses(void **state)
{
    (void)state;
    struct sample s = draw_sample(9, 30, 4, 2, 0);
    struct logistic_options options = LOGISTIC_DEFAULTS;
    struct logistic_model m;
    struct err e = {0};
    uint8_t none[60] = {0};
    assert_int_equal(logistic_select(s.x, s.y, 30, s.x, none, 30, 4, 2, &options, 1, &m, &e),
                     ERR_LABELS);
    logistic_free(&m);
    assert_int_equal(logistic_select(s.x, s.y, 30, NULL, NULL, 0, 4, 2, &options, 1, &m, &e),
                     ERR_LABELS);
    logistic_free(&m);
    assert_int_equal(logistic_select(s.x, s.y, 0, s.x, s.y, 30, 4, 2, &options, 1, &m, &e),
                     ERR_LABELS);
    logistic_free(&m);
    options.iteration_max = 1;
    assert_int_equal(logistic_select(s.x, s.y, 30, s.x, s.y, 30, 4, 2, &options, 2, &m, &e),
                     ERR_NUMERIC);
    assert_non_null(strstr(e.message, "did not converge"));
    assert_string_equal(e.context[0], "class 0, C 0.0001");
    logistic_free(&m);
    options = LOGISTIC_DEFAULTS;
    options.c_steps = 0;
    assert_int_equal(logistic_select(s.x, s.y, 30, s.x, s.y, 30, 4, 2, &options, 1, &m, &e),
                     ERR_USAGE);
    logistic_free(&m);
    options = LOGISTIC_DEFAULTS;
    none[5] = 2;
    assert_int_equal(logistic_select(s.x, none, 30, s.x, s.y, 30, 4, 2, &options, 1, &m, &e),
                     ERR_LABELS);
    logistic_free(&m);
    s.x[4 * 7 + 2] = INFINITY;
    assert_int_equal(logistic_select(s.x, s.y, 30, s.x, s.y, 30, 4, 2, &options, 1, &m, &e),
                     ERR_NUMERIC);
    assert_non_null(strstr(e.message, "training record 7: feature 2 is inf"));
    logistic_free(&m);
    sample_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_by_two_table),
        cmocka_unit_test(test_against_newton),
        cmocka_unit_test(test_gradient_is_zero),
        cmocka_unit_test(test_separable_stays_finite),
        cmocka_unit_test(test_threads_do_not_matter),
        cmocka_unit_test(test_choice),
        cmocka_unit_test(test_one_label),
        cmocka_unit_test(test_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
