/* metric/curve: points, bins and intervals worked out by hand; areas that are the metrics. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "metric/curve.h"

#define NEAR(a, b, tolerance)                                                                      \
    do {                                                                                           \
        double a_ = (a), b_ = (b);                                                                 \
        if (!(fabs(a_ - b_) <= (tolerance)))                                                       \
            fail_msg("line %d: %.17g is not %.17g", __LINE__, a_, b_);                             \
    } while (0)

static struct ranking rank(const double *scores, const uint8_t *labels, int64_t count)
{
    struct ranking r;
    assert_int_equal(ranking_init(&r, scores, labels, count, NULL), ERR_OK);
    return r;
}

/* Two ties across labels. */
static const double scores[8] = {.9, .9, .8, .5, .5, .5, .2, .1};
static const uint8_t labels[8] = {1, 0, 1, 1, 0, 0, 1, 0};

static void test_roc(void **state)
{
    (void)state;
    static const double x[] = {0, .25, .25, .75, .75, 1}, y[] = {0, .25, .5, .75, 1, 1};
    static const double thresholds[] = {INFINITY, .9, .8, .5, .2, .1};
    struct ranking r = rank(scores, labels, 8);
    struct curve c;
    assert_int_equal(curve_roc(&r, &c, NULL), ERR_OK);
    assert_int_equal(c.count, 6);
    for (int i = 0; i < 6; i++) {
        NEAR(c.x[i], x[i], 0);
        NEAR(c.y[i], y[i], 0);
        assert_true(c.threshold[i] == thresholds[i]);
    }
    curve_free(&c);
    ranking_free(&r);
}

static void test_precision_recall(void **state)
{
    (void)state;
    static const double recall[] = {.25, .5, .75, 1, 1}, precision[] = {.5, 2. / 3, .5, 4. / 7, .5};
    static const double thresholds[] = {.9, .8, .5, .2, .1};
    struct ranking r = rank(scores, labels, 8);
    struct curve c;
    assert_int_equal(curve_precision_recall(&r, &c, NULL), ERR_OK);
    assert_int_equal(c.count, 5);
    for (int i = 0; i < 5; i++) {
        NEAR(c.x[i], recall[i], 0);
        NEAR(c.y[i], precision[i], 1e-16);
        NEAR(c.threshold[i], thresholds[i], 0);
    }
    curve_free(&c);
    ranking_free(&r);
}

/* The areas are the metrics, with many ties. */
static void test_areas(void **state)
{
    (void)state;
    enum { N = 500 };
    double random[N];
    uint8_t truth[N];
    for (int i = 0; i < N; i++) {
        struct rng g = rng_at(7, RNG_STREAM_TEST, 0, (uint64_t)i);
        uint32_t level = rng_u32(&g) % 50;
        random[i] = (double)level / 50;
        truth[i] = rng_u32(&g) % 100 < 30 + level;
    }
    struct ranking r = rank(random, truth, N);
    struct curve c;
    double roc = 0, pr = 0;
    assert_int_equal(curve_roc(&r, &c, NULL), ERR_OK);
    for (int64_t i = 1; i < c.count; i++)
        roc += (c.x[i] - c.x[i - 1]) * (c.y[i] + c.y[i - 1]) / 2;
    NEAR(roc, metric_auroc.compute(&r, NULL), 1e-12);
    curve_free(&c);
    assert_int_equal(curve_precision_recall(&r, &c, NULL), ERR_OK);
    for (int64_t i = 0; i < c.count; i++)
        pr += (c.x[i] - (i ? c.x[i - 1] : 0)) * c.y[i];
    NEAR(pr, metric_auprc.compute(&r, NULL), 1e-12);
    curve_free(&c);
    ranking_free(&r);
}

static void test_undefined(void **state)
{
    (void)state;
    static const uint8_t none[3] = {0, 0, 0}, all[3] = {1, 1, 1};
    struct curve c;
    struct ranking r = rank(scores, none, 3);
    assert_int_equal(curve_roc(&r, &c, NULL), ERR_OK);
    assert_int_equal(c.count, 0);
    assert_int_equal(curve_precision_recall(&r, &c, NULL), ERR_OK);
    assert_int_equal(c.count, 0);
    ranking_free(&r);
    r = rank(scores, all, 3);
    assert_int_equal(curve_roc(&r, &c, NULL), ERR_OK);
    assert_int_equal(c.count, 0);
    assert_int_equal(curve_precision_recall(&r, &c, NULL), ERR_OK);
    assert_int_equal(c.count, 2);
    NEAR(c.y[1], 1, 0);
    curve_free(&c);
    ranking_free(&r);
    r = rank(scores, none, 0);
    assert_int_equal(curve_roc(&r, &c, NULL), ERR_OK);
    assert_int_equal(c.count, 0);
    ranking_free(&r);
}

static void test_reliability(void **state)
{
    (void)state;
    struct reliability_bin bins[METRIC_ECE_BINS];
    static const double p[6] = {0, .05, 1. / 15, .5, .99, 1};
    static const uint8_t y[6] = {0, 1, 0, 1, 1, 1};
    struct ranking r = rank(p, y, 6);
    assert_true(reliability_bins(&r, bins));
    assert_int_equal(bins[0].count, 2);
    assert_int_equal(bins[0].positives, 1);
    NEAR(bins[0].mean_score, .025, 1e-16);
    NEAR(bins[0].rate, .5, 0);
    NEAR(bins[0].low, .09453120573423074, 1e-15); /* 1 of 2 */
    NEAR(bins[0].high, 1 - .09453120573423074, 1e-15);
    assert_int_equal(bins[1].count, 1); /* a bin begins at its lower edge */
    assert_int_equal(bins[7].count, 1);
    assert_int_equal(bins[14].count, 2); /* 1 belongs to the last */
    NEAR(bins[14].mean_score, .995, 1e-16);
    NEAR(bins[14].high, 1, 0);
    assert_true(isnan(bins[3].rate) && isnan(bins[3].mean_score) && isnan(bins[3].low));

    double gap = 0;
    for (int b = 0; b < METRIC_ECE_BINS; b++)
        if (bins[b].count > 0)
            gap += (double)bins[b].count * fabs(bins[b].rate - bins[b].mean_score) / 6;
    NEAR(gap, metric_ece.compute(&r, NULL), 1e-15);
    ranking_free(&r);

    static const double logits[2] = {-.5, 2};
    r = rank(logits, y, 2);
    assert_false(reliability_bins(&r, bins));
    assert_int_equal(bins[0].count + bins[14].count, 0);
    ranking_free(&r);
    r = rank(p, y, 0);
    assert_false(reliability_bins(&r, bins));
    ranking_free(&r);
}

static void test_wilson(void **state)
{
    (void)state;
    double low, high;
    wilson_interval(0, 10, 1.959963984540054, &low, &high);
    NEAR(low, 0, 0);
    NEAR(high, .2775327998628892, 1e-14); /* z^2 / (n + z^2) */
    wilson_interval(10, 10, 1.959963984540054, &low, &high);
    NEAR(low, 1 - .2775327998628892, 1e-14);
    NEAR(high, 1, 0);
    wilson_interval(0, 0, 1.96, &low, &high);
    assert_true(isnan(low) && isnan(high));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_roc),         cmocka_unit_test(test_precision_recall),
        cmocka_unit_test(test_areas),       cmocka_unit_test(test_undefined),
        cmocka_unit_test(test_reliability), cmocka_unit_test(test_wilson),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
