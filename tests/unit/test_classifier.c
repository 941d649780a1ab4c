/* Classifiers of frozen features against solutions worked out apart, small enough to follow. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "base/rng.h"
#include "train/classifier.h"
#include "train/ridge.h"

static double loss_of(const double *s, const uint8_t *y, int64_t n, double a, double b)
{
    double sum = 0, positives = 0;
    for (int64_t i = 0; i < n; i++)
        positives += y[i];
    for (int64_t i = 0; i < n; i++) {
        double t = y[i] ? (positives + 1) / (positives + 2) : 1 / ((double)n - positives + 2);
        double p = 1 / (1 + exp(-(a * s[i] + b)));
        sum -= t * log(p) + (1 - t) * log(1 - p);
    }
    return sum;
}

/* No other scale and offset near by are likelier; without anything to learn the order stays. */
static void scores_become_log_odds(void **state)
{
    (void)state;
    enum { N = 60 };
    double s[N], a, b;
    uint8_t y[N], all[N] = {0}, turned[N];
    struct rng r = rng_at(1, RNG_STREAM_TEST, 0, 0);
    for (int i = 0; i < N; i++) {
        s[i] = rng_between(&r, -3, 1);
        y[i] = rng_between(&r, 0, 1) < 1 / (1 + exp(-(2 * s[i] + 1)));
        turned[i] = !y[i];
    }
    platt_fit(s, y, N, &a, &b);
    double least = loss_of(s, y, N, a, b);
    for (int i = -1; i <= 1; i++)
        for (int j = -1; j <= 1; j++)
            assert_true(loss_of(s, y, N, a + 0.01 * i, b + 0.01 * j) >= least - 1e-12);
    assert_true(a > 0.5 && a < 4);
    platt_fit(s, turned, N, &a, &b); /* the wrong way round */
    assert_true(a > 0 && a < 0.01 && isfinite(b));
    platt_fit(s, all, N, &a, &b); /* one label only: its log odds */
    assert_true(a > 0 && a < 0.1 && b < -2);
}

/* With as many neighbours as there are, the vote is a weighted mean of all labels. */
static void neighbours_vote_by_cosine(void **state)
{
    (void)state;
    enum { N = 4, V = 3, F = 2, K = 2 };
    const float train[N * F] = {1, 0, 0, 2, 3, 3, -1, 0.5F}; /* lengths do not count */
    const uint8_t train_y[N * K] = {1, 0, 0, 1, 1, 1, 0, 0};
    const float valid[V * F] = {2, 1, 0.5F, 4, -3, 1};
    const uint8_t valid_y[V * K] = {1, 0, 0, 1, 0, 1};
    struct classifier_data d = {.train_x = train,
                                .valid_x = valid,
                                .train_y = train_y,
                                .valid_y = valid_y,
                                .n_train = N,
                                .n_valid = V,
                                .F = F,
                                .K = K,
                                .threads = 2};
    const struct classifier *row = classifier_find("knn");
    struct classifier_fit fit;
    struct err e = {0};
    assert_null(row->head);
    assert_int_equal(row->fit(&d, &fit, &e), ERR_OK);
    float scores[V * K];
    for (int64_t k = 1; k <= N; k += N - 1) {
        fit.k = k;
        row->score(&d, &fit, valid, V, scores);
        for (int i = 0; i < V; i++) {
            double cosine[N], top = -2;
            for (int j = 0; j < N; j++) {
                const float *x = valid + i * F, *t = train + j * F;
                cosine[j] = (double)(x[0] * t[0] + x[1] * t[1]) /
                            (hypot((double)x[0], (double)x[1]) * hypot((double)t[0], (double)t[1]));
                top = fmax(top, cosine[j]);
            }
            for (int c = 0; c < K; c++) {
                double votes = 0, all = 0;
                for (int j = 0; j < N; j++) {
                    double w = k == N ? exp(cosine[j] / 0.07) : cosine[j] == top;
                    all += w;
                    votes += w * train_y[j * K + c];
                }
                assert_float_equal((double)scores[i * K + c], votes / all, 1e-5);
            }
        }
    }
    classifier_free(&fit);
}

/* The weights are the difference of the two means at length one, but for a scale above 0. */
static void prototypes_are_means(void **state)
{
    (void)state;
    enum { N = 4, F = 2 };
    const float train[N * F] = {5, 0, 3, 4, 0, 2, -1, 1};
    const uint8_t train_y[N] = {1, 1, 0, 0};
    const float valid[N * F] = {1, 0.1F, 1, 1, 0, 1, -1, 0};
    struct classifier_data d = {.train_x = train,
                                .valid_x = valid,
                                .train_y = train_y,
                                .valid_y = train_y,
                                .n_train = N,
                                .n_valid = N,
                                .F = F,
                                .K = 1,
                                .threads = 1};
    const struct classifier *row = classifier_find("prototype");
    struct classifier_fit fit;
    struct err e = {0};
    assert_string_equal(row->head, "cosine");
    assert_int_equal(row->fit(&d, &fit, &e), ERR_OK);
    /* with: (1,0) + (.6,.8) = (1.6,.8); without: (0,1) + (-r,r), r = sqrt(1/2) */
    double r = sqrt(0.5), with[2] = {1.6, 0.8}, without[2] = {-r, 1 + r};
    double w[2];
    for (int f = 0; f < F; f++)
        w[f] = with[f] / hypot(with[0], with[1]) - without[f] / hypot(without[0], without[1]);
    double scale = (double)fit.weights[0] / w[0];
    assert_true(scale > 0);
    assert_float_equal((double)fit.weights[1], scale * w[1], 1e-5);
    classifier_free(&fit);
}

/* One feature: the slope of the regression of -1 and 1, scaled; log odds no step near by improves. */
static void ridge_is_a_regression_of_signs(void **state)
{
    (void)state;
    enum { N = 50 };
    float train[N], valid[N];
    uint8_t train_y[N], valid_y[N];
    struct rng r = rng_at(2, RNG_STREAM_TEST, 0, 0);
    for (int i = 0; i < N; i++) {
        train[i] = (float)rng_between(&r, 0, 4);
        valid[i] = (float)rng_between(&r, 0, 4);
        train_y[i] = (double)train[i] + rng_between(&r, -2, 2) > 2.5;
        valid_y[i] = (double)valid[i] + rng_between(&r, -2, 2) > 2.5;
    }
    struct classifier_data d = {.train_x = train,
                                .valid_x = valid,
                                .train_y = train_y,
                                .valid_y = valid_y,
                                .n_train = N,
                                .n_valid = N,
                                .F = 1,
                                .K = 1,
                                .threads = 1};
    struct classifier_fit fit;
    struct err e = {0};
    assert_int_equal(classifier_find("ridge")->fit(&d, &fit, &e), ERR_OK);
    /* AUROC is the same for every lambda: the strongest is taken. */
    double lambda = cJSON_GetObjectItem(fit.json, "lambda")->valuedouble;
    assert_true(lambda == 100);
    double mean = 0, sign_mean = 0, xx = 0, xy = 0;
    for (int i = 0; i < N; i++) {
        mean += (double)train[i] / N;
        sign_mean += (train_y[i] ? 1.0 : -1.0) / N;
    }
    for (int i = 0; i < N; i++) {
        double x = (double)train[i] - mean;
        xx += x * x / N;
        xy += x * (train_y[i] ? 1 : -1) / N;
    }
    double slope = xy / sqrt(xx) / (1 + lambda) / sqrt(xx), offset = sign_mean - slope * mean, a, b,
           scores[N];
    for (int i = 0; i < N; i++)
        scores[i] = slope * (double)valid[i] + offset;
    platt_fit(scores, valid_y, N, &a, &b);
    assert_float_equal((double)fit.weights[0], a * slope, 1e-3 * fabs(a * slope));
    assert_float_equal((double)fit.biases[0], a * offset + b, 1e-3 * fabs(a * offset + b));
    classifier_free(&fit);
}

/* Every row finds what separates two classes, says so, and refuses what is no number or no label. */
static void rows_separate(void **state)
{
    (void)state;
    enum { N = 80, F = 5, K = 3 };
    static float x[N * F];
    static uint8_t y[N * K], none[N * K];
    struct rng r = rng_at(3, RNG_STREAM_TEST, 0, 0);
    for (int i = 0; i < N; i++) {
        for (int k = 0; k < K; k++)
            y[i * K + k] = k < 2 && rng_between(&r, 0, 1) < 0.4; /* the third has no positive */
        for (int f = 0; f < F; f++)
            x[i * F + f] = (float)(rng_between(&r, -0.2, 0.2) + (f < 2 ? 2 * y[i * K + f] - 1 : 0));
    }
    struct classifier_data d = {.train_x = x,
                                .valid_x = x,
                                .train_y = y,
                                .valid_y = y,
                                .n_train = N,
                                .n_valid = N,
                                .F = F,
                                .K = K,
                                .threads = 1};
    for (int i = 0; classifiers[i].name; i++) {
        struct classifier_fit fit;
        struct err e = {0};
        const struct classifier *row = &classifiers[i];
        if (row->fit(&d, &fit, &e) != ERR_OK)
            fail_msg("%s: %s", row->name, e.message);
        double auroc = cJSON_GetObjectItem(fit.json, "validation_macro_auroc")->valuedouble;
        if (auroc < 0.999)
            fail_msg("%s: %g", row->name, auroc);
        for (int j = 0; row->head && j < K * F; j++)
            assert_true(isfinite(fit.weights[j]));
        classifier_free(&fit);
        x[7] = NAN;
        assert_int_equal(row->fit(&d, &fit, &e), ERR_NUMERIC);
        classifier_free(&fit);
        x[7] = 0;
        d.valid_y = none;
        assert_int_equal(row->fit(&d, &fit, &e), ERR_LABELS);
        classifier_free(&fit);
        d.valid_y = y;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(scores_become_log_odds),
                                       cmocka_unit_test(neighbours_vote_by_cosine),
                                       cmocka_unit_test(prototypes_are_means),
                                       cmocka_unit_test(ridge_is_a_regression_of_signs),
                                       cmocka_unit_test(rows_separate)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
