/* model/aggregate: what a class of a record is, from its windows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "model/aggregate.h"

static float aggregate_of(enum aggregation kind, const float *logits, int n)
{
    struct aggregate g = {.kind = kind, .count = 7, .broken = true, .a = 3};
    aggregate_reset(&g);
    for (int i = 0; i < n; i++)
        aggregate_add(&g, logits[i]);
    return aggregate_logit(&g);
}

static double probability(double logit) { return 1.0 / (1.0 + exp(-logit)); }

static void test_names(void **state)
{
    (void)state;
    enum aggregation kind = AGGREGATE_MAX;
    assert_true(aggregation_parse(NULL, &kind) && kind == AGGREGATE_MEAN_LOGIT);
    assert_true(aggregation_parse("max", &kind) && kind == AGGREGATE_MAX);
    assert_true(aggregation_parse("mean", &kind) && kind == AGGREGATE_MEAN);
    assert_true(aggregation_parse("mean_logit", &kind) && kind == AGGREGATE_MEAN_LOGIT);
    assert_false(aggregation_parse("median", &kind) || aggregation_parse("", &kind));
}

static void test_values(void **state)
{
    (void)state;
    const float logits[4] = {-1.25f, 3.5f, 0.125f, -7.0f};
    double mean = 0, mean_logit = 0;
    for (int i = 0; i < 4; i++) {
        mean += probability(logits[i]) / 4;
        mean_logit += logits[i] / 4.0;
    }
    assert_float_equal(probability(aggregate_of(AGGREGATE_MEAN, logits, 4)), mean, 1e-7);
    assert_true(aggregate_of(AGGREGATE_MEAN_LOGIT, logits, 4) == (float)mean_logit);
    assert_true(aggregate_of(AGGREGATE_MAX, logits, 4) == 3.5f);
    /* the mean of probabilities is not that of logits, nor the greatest */
    assert_true(fabs(probability(mean_logit) - mean) > 0.05);
    /* one window is itself, to the bit */
    for (int kind = AGGREGATE_MEAN_LOGIT; kind <= AGGREGATE_MAX; kind++)
        for (int i = 0; i < 4; i++)
            assert_true(aggregate_of((enum aggregation)kind, &logits[i], 1) == logits[i]);
}

/* Far out, where a probability is 1 or 0 in float32, the order stays. */
static void test_extremes(void **state)
{
    (void)state;
    const float high[2] = {40, 42}, higher[2] = {40, 44}, low[2] = {-90, -90};
    assert_true(aggregate_of(AGGREGATE_MEAN, high, 2) < aggregate_of(AGGREGATE_MEAN, higher, 2));
    assert_float_equal(aggregate_of(AGGREGATE_MEAN, low, 2), -90, 1e-4);
    const float far_off[3] = {-3e38f, -3e38f, -3e38f}, mixed[2] = {3e38f, -3e38f};
    for (int kind = AGGREGATE_MEAN; kind <= AGGREGATE_MAX; kind++)
        assert_true(isfinite(aggregate_of((enum aggregation)kind, far_off, 3)));
    assert_true(fabsf(aggregate_of(AGGREGATE_MEAN, mixed, 2)) < 1e-6f);
    /* what is not finite does not hide among others */
    const float bad[3] = {1, (float)NAN, 2}, infinite[2] = {-INFINITY, 5};
    for (int kind = AGGREGATE_MEAN_LOGIT; kind <= AGGREGATE_MAX; kind++) {
        assert_true(isnan(aggregate_of((enum aggregation)kind, bad, 3)));
        assert_true(isnan(aggregate_of((enum aggregation)kind, infinite, 2)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_extremes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
