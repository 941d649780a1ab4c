/* Measures of regression against sums done by hand, what is undefined, and bootstrap intervals. */
#define _GNU_SOURCE
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "metric/regression.h"

static void near(double value, double wanted)
{
    if (!(fabs(value - wanted) < 1e-12))
        fail_msg("%.17g, expected %.17g", value, wanted);
}

/* Truth 1 2 3 6, estimates 2 2 5 3: errors 1 0 2 -3; mean 3, sums of squares 14, 6, of products 3. */
static void by_hand(void **state)
{
    (void)state;
    const double truth[] = {1, 2, NAN, 3, 6}, estimate[] = {2, 2, 99, 5, 3};
    const struct regression_column c = {truth, estimate};
    struct regression r = regression_of(&c, 5, NULL);
    assert_int_equal(r.count, 4);
    near(r.mean, 3);
    near(r.deviation, sqrt(14.0 / 4));
    near(r.values[REGRESSION_MAE], 1.5);
    near(r.values[REGRESSION_RMSE], sqrt(14.0 / 4));
    near(r.values[REGRESSION_BIAS], 0);
    near(r.values[REGRESSION_R2], 1 - 14.0 / 14.0);
    near(r.values[REGRESSION_R], 3.0 / sqrt(14.0 * 6.0));
    /* the second record twice, the last left out: 1 2 2 3 and 2 2 2 5 */
    const int32_t weights[] = {1, 2, 7, 1, 0};
    r = regression_of(&c, 5, weights);
    assert_int_equal(r.count, 4);
    near(r.mean, 2);
    near(r.values[REGRESSION_MAE], 0.75);
    near(r.values[REGRESSION_BIAS], 0.75);
    near(r.values[REGRESSION_R2], 1 - 5.0 / 2.0);
    near(r.values[REGRESSION_R], 3.0 / sqrt(2.0 * 6.75));
}

static void undefined(void **state)
{
    (void)state;
    const double truth[] = {0.1, 0.1, 0.1, NAN}, estimate[] = {1, 2, 3, 4};
    struct regression r = regression_of(&(struct regression_column){truth, estimate}, 4, NULL);
    near(r.values[REGRESSION_MAE], 1.9);
    assert_true(isnan(r.values[REGRESSION_R2]) && isnan(r.values[REGRESSION_R]));
    /* estimates that do not vary explain something, but do not correlate */
    r = regression_of(&(struct regression_column){estimate, (double[]){.1, .1, .1, .1}}, 4, NULL);
    near(r.values[REGRESSION_R2], 1 - (0.81 + 3.61 + 8.41 + 15.21) / 5);
    assert_true(isnan(r.values[REGRESSION_R]));
    r = regression_of(&(struct regression_column){truth + 3, estimate}, 1, NULL);
    assert_int_equal(r.count, 0);
    for (int m = 0; m < REGRESSION_COUNT; m++)
        assert_true(isnan(r.values[m]));
    assert_true(isnan(r.mean));
}

/* Estimates that are truth plus normal noise of deviation 2: the interval of the MAE lies around
 * 2 sqrt(2/pi) and is as wide as theory says; threads do not matter. */
static void intervals(void **state)
{
    (void)state;
    enum { N = 2000 };
    double *truth = malloc(N * sizeof *truth), *estimate = malloc(N * sizeof *estimate);
    struct rng rng = rng_at(1, RNG_STREAM_BOOTSTRAP, 7, 7);
    for (int i = 0; i < N; i++) {
        truth[i] = 20 * rng_uniform(&rng);
        estimate[i] = truth[i] + 2 * rng_normal(&rng);
    }
    truth[5] = NAN;
    const struct regression_column columns[2] = {{truth, estimate}, {estimate, truth + 0}};
    struct bootstrap_options o = BOOTSTRAP_DEFAULTS;
    o.threads = 3;
    struct interval many[2 * REGRESSION_COUNT], one[2 * REGRESSION_COUNT];
    assert_int_equal(regression_bootstrap(columns, 1, N, &o, many, NULL), ERR_OK);
    o.threads = 1;
    assert_int_equal(regression_bootstrap(columns, 1, N, &o, one, NULL), ERR_OK);
    assert_memory_equal(one, many, sizeof one);
    double mae = 2 * sqrt(2 / M_PI), width = 2 * 1.96 * 2 * sqrt(1 - 2 / M_PI) / sqrt(N);
    assert_true(one[REGRESSION_MAE].low < mae && mae < one[REGRESSION_MAE].high);
    assert_true(fabs(one[REGRESSION_MAE].high - one[REGRESSION_MAE].low - width) < 0.1 * width);
    /* of one column the mean is the column */
    assert_memory_equal(one, one + REGRESSION_COUNT, REGRESSION_COUNT * sizeof *one);
    o.draws = 0;
    assert_int_equal(regression_bootstrap(columns, 1, N, &o, one, NULL), ERR_OK);
    assert_true(isnan(one[0].low) && isnan(one[0].high));
    free(truth);
    free(estimate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_hand),
        cmocka_unit_test(undefined),
        cmocka_unit_test(intervals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
