/* metric: hand-computed values, ties, missing labels, intervals, and published predictions of the
 * PTB-XL benchmark. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"
#include "base/rng.h"
#include "metric/bootstrap.h"

#define NEAR(a, b, tolerance)                                                                      \
    do {                                                                                           \
        double a_ = (a), b_ = (b);                                                                 \
        if (!(fabs(a_ - b_) <= (tolerance)))                                                       \
            fail_msg("line %d: %.17g is not %.17g", __LINE__, a_, b_);                             \
    } while (0)

static double value_of(const struct metric *metric, const double *scores, const uint8_t *labels,
                       int64_t count)
{
    struct ranking r;
    assert_int_equal(ranking_init(&r, scores, labels, count, NULL), ERR_OK);
    double value = metric->compute(&r, NULL);
    ranking_free(&r);
    return value;
}

/* Two ties across labels. Right pairs of 16, by positive: 3.5, 3, 2, 1. */
static const double tied_scores[8] = {.9, .9, .8, .5, .5, .5, .2, .1};
static const uint8_t tied_labels[8] = {1, 0, 1, 1, 0, 0, 1, 0};

static void test_by_hand(void **state)
{
    (void)state;
    NEAR(value_of(&metric_auroc, tied_scores, tied_labels, 8), 9.5 / 16, 0);
    NEAR(value_of(&metric_auprc, tied_scores, tied_labels, 8),
         (1.0 / 2 + 2.0 / 3 + 3.0 / 6 + 4.0 / 7) / 4, 1e-15);
    /* at 0.5: 3 of 4 positives, 3 of 4 negatives called */
    NEAR(value_of(&metric_sensitivity, tied_scores, tied_labels, 8), 0.75, 0);
    NEAR(value_of(&metric_specificity, tied_scores, tied_labels, 8), 0.25, 0);
    NEAR(value_of(&metric_f1, tied_scores, tied_labels, 8), 2 * 3.0 / (2 * 3 + 1 + 3), 1e-15);
    NEAR(value_of(&metric_brier, tied_scores, tied_labels, 8),
         (.01 + .81 + .04 + .25 + .25 + .25 + .64 + .01) / 8, 1e-15);
    NEAR(value_of(&metric_ece, tied_scores, tied_labels, 8), (.8 + .2 + .5 + .8 + .1) / 8, 1e-15);

    const double scores[4] = {4, -1, 3, 2};
    const uint8_t best[4] = {1, 0, 1, 0}, worst[4] = {0, 1, 0, 1};
    NEAR(value_of(&metric_auroc, scores, best, 4), 1, 0);
    NEAR(value_of(&metric_auprc, scores, best, 4), 1, 0);
    NEAR(value_of(&metric_auroc, scores, worst, 4), 0, 0);
    NEAR(value_of(&metric_auprc, scores, worst, 4), (1.0 / 3 + 2.0 / 4) / 2, 1e-15);
    const double same[4] = {1, 1, 1, 1};
    NEAR(value_of(&metric_auroc, same, best, 4), 0.5, 0);
    NEAR(value_of(&metric_auprc, same, best, 4), 0.5, 0);
    const double edges[4] = {0, 1, INFINITY, -INFINITY};
    NEAR(value_of(&metric_auroc, edges, best, 4), 0.75, 0);
}

static void test_confusion(void **state)
{
    (void)state;
    const struct confusion c = {6, 2, 10, 4};
    NEAR(confusion_sensitivity(c), 0.6, 1e-15);
    NEAR(confusion_specificity(c), 10.0 / 12, 1e-15);
    NEAR(confusion_precision(c), 0.75, 0);
    NEAR(confusion_fbeta(c, 1), 2 * 0.75 * 0.6 / (0.75 + 0.6), 1e-15);
    NEAR(confusion_fbeta(c, 2), 5 * 0.75 * 0.6 / (4 * 0.75 + 0.6), 1e-15);
    const struct confusion no_positives = {0, 3, 5, 0};
    assert_true(isnan(confusion_sensitivity(no_positives)));
    assert_true(isnan(confusion_fbeta(no_positives, 1)));
    const struct confusion nothing_found = {0, 0, 5, 3};
    NEAR(confusion_fbeta(nothing_found, 1), 0, 0);
    assert_true(isnan(confusion_precision(nothing_found)));
}

static void test_threshold_choose(void **state)
{
    (void)state;
    struct ranking r;
    assert_int_equal(ranking_init(&r, tied_scores, tied_labels, 8, NULL), ERR_OK);
    /* positives called, negatives called: .9: 1, 1; .8: 2, 1; .5: 3, 3; .2: 4, 3; .1: 4, 4 */
    NEAR(threshold_choose(&r, "f1"), .2, 0);     /* 2/5, 4/7, 6/10, 8/11, 8/12 */
    NEAR(threshold_choose(&r, "f2"), .2, 0);     /* 20/23 there */
    NEAR(threshold_choose(&r, "g2"), .2, 0);     /* 4/7 there */
    NEAR(threshold_choose(&r, "youden"), .8, 0); /* 0, 1/4, 0, 1/4, 0: the highest of two */
    ranking_free(&r);
    const uint8_t none[8] = {0};
    assert_int_equal(ranking_init(&r, tied_scores, none, 8, NULL), ERR_OK);
    assert_true(isnan(threshold_choose(&r, "f1")));
    ranking_free(&r);
}

/* Of 10 negatives and 20 positives: 9 of 10 is a specificity of 0.90, 19 of 20 a sensitivity of 0.95. */
static void test_fixed_shares(void **state)
{
    (void)state;
    double scores[30];
    uint8_t labels[30];
    for (int i = 0; i < 30; i++) {
        labels[i] = i >= 10;
        scores[i] = i < 10 ? i : 4.5 + (i - 10); /* negatives 0 to 9, positives 4.5 to 23.5 */
    }
    struct ranking r;
    assert_int_equal(ranking_init(&r, scores, labels, 30, NULL), ERR_OK);
    NEAR(sensitivity_at_specificity(&r, NULL, 0.9), 16. / 20, 0); /* at 8.5 */
    NEAR(sensitivity_at_specificity(&r, NULL, 0.95), 15. / 20, 0);
    NEAR(sensitivity_at_specificity(&r, NULL, 0), 1, 0);
    NEAR(specificity_at_sensitivity(&r, NULL, 0.95), 6. / 10, 0); /* at 5.5 */
    NEAR(specificity_at_sensitivity(&r, NULL, 0.96), 5. / 10, 0);
    NEAR(specificity_at_sensitivity(&r, NULL, 0), 1, 0);
    NEAR(metric_sensitivity_at_spec90.compute(&r, NULL), 16. / 20, 0);
    NEAR(metric_specificity_at_sens95.compute(&r, NULL), 6. / 10, 0);
    ranking_free(&r);
}

static void test_undefined(void **state)
{
    (void)state;
    const double scores[3] = {.1, .2, .3};
    const uint8_t none[3] = {0, 0, 0}, all[3] = {1, 1, 1}, some[3] = {1, 0, 1};
    assert_true(isnan(value_of(&metric_auroc, scores, none, 3)));
    assert_true(isnan(value_of(&metric_auroc, scores, all, 3)));
    assert_true(isnan(value_of(&metric_auprc, scores, none, 3)));
    assert_true(isnan(value_of(&metric_auprc, scores, all, 3)));
    for (int i = 0; metrics[i]; i++)
        assert_true(isnan(value_of(metrics[i], scores, all, 0)));
    const double logits[3] = {-3, .2, .3};
    assert_true(isnan(value_of(&metric_brier, logits, some, 3)));
    assert_true(isnan(value_of(&metric_ece, logits, some, 3)));
    assert_false(isnan(value_of(&metric_auroc, logits, some, 3)));

    struct ranking r;
    const double nan_score[3] = {.1, NAN, .3};
    const uint8_t two[3] = {0, 2, 0};
    assert_int_equal(ranking_init(&r, nan_score, some, 3, NULL), ERR_NUMERIC);
    assert_int_equal(ranking_init(&r, scores, two, 3, NULL), ERR_LABELS);

    const double values[4] = {0.5, NAN, 0.75, NAN};
    int64_t defined;
    NEAR(macro_average(values, 4, &defined), 0.625, 0);
    assert_int_equal(defined, 2);
    assert_true(isnan(macro_average(values + 1, 1, &defined)));
    assert_int_equal(defined, 0);
}

/* Every row: a weight of w is the record w times, and the order of the records does not matter. */
static void test_weights_repeat_records(void **state)
{
    (void)state;
    enum { N = 60 };
    struct rng rng = rng_at(3, RNG_STREAM_TEST, 0, 0);
    for (int trial = 0; trial < 50; trial++) {
        double scores[N], repeated_scores[4 * N];
        uint8_t labels[N], repeated_labels[4 * N];
        int32_t weights[N];
        int64_t order[N], repeated = 0;
        rng_permutation(&rng, order, N);
        for (int i = 0; i < N; i++) {
            scores[i] = (double)rng_below(&rng, 20) / 19;
            labels[i] = (uint8_t)rng_below(&rng, 2);
            weights[i] = (int32_t)rng_below(&rng, 5);
        }
        for (int i = 0; i < N; i++)
            for (int w = 0; w < weights[order[i]]; w++) {
                repeated_scores[repeated] = scores[order[i]];
                repeated_labels[repeated++] = labels[order[i]];
            }
        struct ranking r;
        assert_int_equal(ranking_init(&r, scores, labels, N, NULL), ERR_OK);
        for (int i = 0; metrics[i]; i++) {
            assert_non_null(metrics[i]->help);
            assert_int_equal(metric_index(metrics[i]->name), i);
            NEAR(metrics[i]->compute(&r, weights),
                 value_of(metrics[i], repeated_scores, repeated_labels, repeated), 1e-14);
        }
        ranking_free(&r);
    }
    assert_int_equal(metric_index("aurocs"), -1);
}

static void test_auroc_variance(void **state)
{
    (void)state;
    struct ranking r;
    assert_int_equal(ranking_init(&r, tied_scores, tied_labels, 8, NULL), ERR_OK);
    /* placements of the positives 3.5/4, 3/4, 2/4, 1/4; of the negatives .5/4, 2.5/4, 2.5/4, 4/4 */
    const double of_positives[4] = {.875, .75, .5, .25}, of_negatives[4] = {.125, .625, .625, 1};
    double sum[2] = {0, 0}, mean = 9.5 / 16;
    for (int i = 0; i < 4; i++) {
        sum[0] += (of_positives[i] - mean) * (of_positives[i] - mean);
        sum[1] += (of_negatives[i] - mean) * (of_negatives[i] - mean);
    }
    NEAR(auroc_variance(&r), sum[0] / 3 / 4 + sum[1] / 3 / 4, 1e-15);
    ranking_free(&r);
    const uint8_t one[3] = {1, 0, 0};
    assert_int_equal(ranking_init(&r, tied_scores, one, 3, NULL), ERR_OK);
    assert_true(isnan(auroc_variance(&r)));
    ranking_free(&r);
}

static void test_quantile(void **state)
{
    (void)state;
    const double values[5] = {1, 2, 4, 8, 16};
    NEAR(quantile_sorted(values, 5, 0), 1, 0);
    NEAR(quantile_sorted(values, 5, 1), 16, 0);
    NEAR(quantile_sorted(values, 5, 0.5), 4, 0);
    NEAR(quantile_sorted(values, 5, 0.9), 12.8, 1e-14);
    NEAR(quantile_sorted(values, 1, 0.3), 1, 0);
    assert_true(isnan(quantile_sorted(values, 0, 0.5)));
}

enum { SMALL = 40, CLASSES = 3 };

/* Class 0 is balanced, class 1 has a single positive, class 2 has none. */
static void small_rankings(struct ranking *rankings, double scores[CLASSES][SMALL],
                           uint8_t labels[CLASSES][SMALL])
{
    struct rng rng = rng_at(5, RNG_STREAM_TEST, 0, 0);
    for (int i = 0; i < SMALL; i++) {
        labels[0][i] = (uint8_t)(i % 2);
        labels[1][i] = i == 7;
        labels[2][i] = 0;
        for (int k = 0; k < CLASSES; k++)
            scores[k][i] = rng_uniform(&rng) * 0.8 + 0.2 * labels[k][i];
    }
    for (int k = 0; k < CLASSES; k++)
        assert_int_equal(ranking_init(&rankings[k], scores[k], labels[k], SMALL, NULL), ERR_OK);
}

static int rising(const void *a, const void *b)
{
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

/* Written out: repeat the records of each draw, sort, evaluate. */
static void test_bootstrap_by_repetition(void **state)
{
    (void)state;
    enum { DRAWS = 60 };
    struct ranking rankings[CLASSES];
    double scores[CLASSES][SMALL], values[2][DRAWS], macro[DRAWS];
    uint8_t labels[CLASSES][SMALL];
    small_rankings(rankings, scores, labels);
    int64_t redraws = 0;
    for (int draw = 0; draw < DRAWS; draw++) {
        for (int attempt = 0;; attempt++) {
            struct rng rng = rng_at(11, RNG_STREAM_BOOTSTRAP, (uint64_t)attempt, (uint64_t)draw);
            double drawn_scores[SMALL];
            uint8_t drawn_labels[SMALL];
            int64_t records[SMALL];
            for (int i = 0; i < SMALL; i++)
                records[i] = rng_below(&rng, SMALL);
            for (int k = 0; k < 2; k++) {
                for (int i = 0; i < SMALL; i++) {
                    drawn_scores[i] = scores[k][records[i]];
                    drawn_labels[i] = labels[k][records[i]];
                }
                values[k][draw] = value_of(&metric_auroc, drawn_scores, drawn_labels, SMALL);
            }
            macro[draw] = (values[0][draw] + values[1][draw]) / 2;
            if (!isnan(macro[draw]))
                break;
            redraws++;
        }
    }
    struct bootstrap_options options = BOOTSTRAP_DEFAULTS;
    options.draws = DRAWS;
    options.seed = 11;
    struct bootstrap b;
    assert_int_equal(bootstrap_run(&b, rankings, CLASSES, &options, NULL), ERR_OK);
    int row = metric_index("auroc");
    for (int k = 0; k < 2; k++) {
        qsort(values[k], DRAWS, sizeof values[k][0], rising);
        struct interval interval = b.intervals[row * CLASSES + k];
        NEAR(interval.low, quantile_sorted(values[k], DRAWS, 0.025), 1e-15);
        NEAR(interval.high, quantile_sorted(values[k], DRAWS, 0.975), 1e-15);
    }
    qsort(macro, DRAWS, sizeof macro[0], rising);
    NEAR(b.macro[row].low, quantile_sorted(macro, DRAWS, 0.025), 1e-15);
    NEAR(b.macro[row].high, quantile_sorted(macro, DRAWS, 0.975), 1e-15);
    assert_int_equal(b.redraws, redraws);
    assert_true(redraws > 0);
    assert_int_equal(b.incomplete, 0);
    assert_true(isnan(b.intervals[row * CLASSES + 2].low)); /* the class without positives */
    assert_true(isnan(b.macro[metric_index("brier")].low)); /* not asked for */
    bootstrap_free(&b);
    for (int k = 0; k < CLASSES; k++)
        ranking_free(&rankings[k]);
}

static void test_bootstrap_threads_and_bound(void **state)
{
    (void)state;
    struct ranking rankings[CLASSES];
    double scores[CLASSES][SMALL];
    uint8_t labels[CLASSES][SMALL];
    small_rankings(rankings, scores, labels);
    struct bootstrap_options options = BOOTSTRAP_DEFAULTS;
    options.draws = 300;
    options.redraw_max = 0;
    struct bootstrap first, b;
    assert_int_equal(bootstrap_run(&first, rankings, CLASSES, &options, NULL), ERR_OK);
    /* P(the single positive is missed) = (1 - 1/40)^40 = 0.363 */
    assert_in_range(first.incomplete, 80, 140);
    assert_int_equal(first.redraws, 0);
    assert_false(isnan(first.intervals[metric_index("auroc") * CLASSES + 1].low));
    for (options.threads = 2; options.threads < 5; options.threads++) {
        assert_int_equal(bootstrap_run(&b, rankings, CLASSES, &options, NULL), ERR_OK);
        assert_memory_equal(b.intervals, first.intervals,
                            (size_t)metric_count() * CLASSES * sizeof *b.intervals);
        assert_memory_equal(b.macro, first.macro, sizeof b.macro);
        assert_int_equal(b.incomplete, first.incomplete);
        bootstrap_free(&b);
    }
    bootstrap_free(&first);
    options = BOOTSTRAP_PTBXL; /* 100 draws of 2,000 records, 400 million in all */
    assert_int_equal(bootstrap_redraws(&options, 2000), 2001);
    assert_int_equal(bootstrap_redraws(&options, 1), options.redraw_max);
    assert_int_equal(bootstrap_redraws(&options, 1 << 30), BOOTSTRAP_REDRAWS_MIN);
    options = BOOTSTRAP_DEFAULTS;
    assert_int_equal(bootstrap_redraws(&options, 1 << 20), options.redraw_max);
    options.draws = 0;
    assert_int_equal(bootstrap_run(&b, rankings, CLASSES, &options, NULL), ERR_OK);
    assert_true(isnan(b.macro[0].low));
    bootstrap_free(&b);
    for (int k = 0; k < CLASSES; k++)
        ranking_free(&rankings[k]);
}

/* What scikit-learn makes of ties, single-class columns and rare classes (scripts/ref_metrics.py); a
 * metric that the fixture does not give must be undefined. */
static void test_fixture(void **state)
{
    (void)state;
    cJSON *json;
    struct err e = {0};
    if (json_read("tests/fixtures/metrics.json", 0, &json, &e) != ERR_OK)
        fail_msg("%s", e.message);
    int compared = 0, undefined = 0;
    const cJSON *column;
    cJSON_ArrayForEach(column, cJSON_GetObjectItem(json, "columns"))
    {
        double scores[100];
        uint8_t labels[100];
        int64_t n = 0;
        const cJSON *score = cJSON_GetObjectItem(column, "scores")->child, *label;
        cJSON_ArrayForEach(label, cJSON_GetObjectItem(column, "labels"))
        {
            labels[n] = (uint8_t)label->valueint;
            scores[n++] = score->valuedouble;
            score = score->next;
        }
        struct ranking r;
        assert_int_equal(ranking_init(&r, scores, labels, n, NULL), ERR_OK);
        r.threshold = cJSON_GetObjectItem(column, "threshold")->valuedouble;
        for (int i = 0; metrics[i]; i++) {
            const cJSON *wanted =
                cJSON_GetObjectItem(cJSON_GetObjectItem(column, "metrics"), metrics[i]->name);
            double value = metrics[i]->compute(&r, NULL);
            if (wanted ? !(fabs(value - wanted->valuedouble) <= 1e-12) : !isnan(value))
                fail_msg("%s of \"%s\" is %.17g, not %.17g", metrics[i]->name,
                         cJSON_GetObjectItem(column, "name")->valuestring, value,
                         wanted ? wanted->valuedouble : NAN);
            compared += wanted != NULL;
            undefined += wanted == NULL;
        }
        ranking_free(&r);
    }
    assert_true(compared > 150 && undefined > 30);
    cJSON_Delete(json);
}

/* ---- published predictions: 2,203 records of PTB-XL fold 10, 71 statements ---- */

#define PUBLISHED "../shared/data/label-tables/ecg_ptbxl_benchmarking/"
enum { RECORDS = 2203, STATEMENTS = 71 };

/* The float32 matrix lies in a pickle as the longest text ('X', u32 length), each byte written as
 * one Latin-1 character in UTF-8. */
static float *published_scores(const struct buf *pickle)
{
    const unsigned char *bytes = (const unsigned char *)pickle->data;
    size_t needed = sizeof(float) * RECORDS * STATEMENTS;
    for (size_t at = 0; at + 5 < pickle->len; at++) {
        uint32_t length;
        memcpy(&length, bytes + at + 1, 4);
        if (bytes[at] != 'X' || length < needed || length > pickle->len - at - 5)
            continue;
        unsigned char *out = malloc(needed);
        size_t count = 0;
        for (size_t i = at + 5; i < at + 5 + length && count < needed; i++) {
            if (bytes[i] < 0x80) {
                out[count++] = bytes[i];
            } else {
                out[count++] = (unsigned char)(bytes[i] << 6 | (bytes[i + 1] & 0x3F));
                i++;
            }
        }
        assert_int_equal(count, needed);
        return (float *)out;
    }
    return NULL;
}

static void test_published(void **state)
{
    (void)state;
    const char *scores_path = PUBLISHED "models_fastai_xresnet1d101_y_test_pred.npy";
    const char *labels_path = PUBLISHED "data_y_test.int8.npy";
    if (!file_exists(scores_path) || !file_exists(labels_path)) {
        print_message("skipped: no %s\n", scores_path);
        skip();
    }
    struct buf pickle, npy;
    assert_int_equal(file_read(scores_path, 1 << 24, &pickle, NULL), ERR_OK);
    assert_int_equal(file_read(labels_path, 1 << 24, &npy, NULL), ERR_OK);
    float *scores = published_scores(&pickle);
    assert_non_null(scores);
    size_t header = 10 + (unsigned char)npy.data[8] + 256u * (unsigned char)npy.data[9];
    assert_int_equal(npy.len, header + RECORDS * STATEMENTS);

    static struct ranking rankings[STATEMENTS];
    static double column[RECORDS];
    static uint8_t labels[RECORDS];
    double values[METRIC_COUNT_MAX][STATEMENTS];
    for (int k = 0; k < STATEMENTS; k++) {
        for (int i = 0; i < RECORDS; i++) {
            column[i] = scores[i * STATEMENTS + k];
            labels[i] = (uint8_t)npy.data[header + (size_t)i * STATEMENTS + (size_t)k];
        }
        assert_int_equal(ranking_init(&rankings[k], column, labels, RECORDS, NULL), ERR_OK);
        for (int m = 0; metrics[m]; m++)
            values[m][k] = metrics[m]->compute(&rankings[k], NULL);
    }
    /* te_results.csv as published; the other four from scikit-learn 1.x and numpy */
    int64_t defined;
    NEAR(macro_average(values[metric_index("auroc")], STATEMENTS, &defined), 0.9254358590055028,
         1e-12);
    assert_int_equal(defined, STATEMENTS);
    NEAR(macro_average(values[metric_index("auprc")], STATEMENTS, NULL), 0.37058296148271885,
         1e-12);
    NEAR(macro_average(values[metric_index("brier")], STATEMENTS, NULL), 0.016432999058476644,
         1e-12);
    NEAR(macro_average(values[metric_index("f1")], STATEMENTS, NULL), 0.2780271131994195, 1e-12);
    NEAR(macro_average(values[metric_index("ece")], STATEMENTS, NULL), 0.01133637011880204, 1e-12);
    NEAR(auroc_variance(&rankings[46]), 1.721511092780249e-05, 1e-12);

    /* published: 100 draws, 90 % interval .91852 - .93149 */
    struct bootstrap_options options = BOOTSTRAP_DEFAULTS;
    options.draws = 100;
    options.level = 0.9;
    options.threads = 2;
    struct bootstrap b;
    assert_int_equal(bootstrap_run(&b, rankings, STATEMENTS, &options, NULL), ERR_OK);
    int row = metric_index("auroc");
    NEAR(b.macro[row].low, 0.9185, 0.003);
    NEAR(b.macro[row].high, 0.9315, 0.003);
    print_message("macro AUROC 90 %% interval %.4f - %.4f, %lld redraws, %lld incomplete\n",
                  b.macro[row].low, b.macro[row].high, (long long)b.redraws,
                  (long long)b.incomplete);
    bootstrap_free(&b);
    for (int k = 0; k < STATEMENTS; k++)
        ranking_free(&rankings[k]);
    free(scores);
    buf_free(&pickle);
    buf_free(&npy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_confusion),
        cmocka_unit_test(test_threshold_choose),
        cmocka_unit_test(test_fixed_shares),
        cmocka_unit_test(test_undefined),
        cmocka_unit_test(test_weights_repeat_records),
        cmocka_unit_test(test_auroc_variance),
        cmocka_unit_test(test_quantile),
        cmocka_unit_test(test_bootstrap_by_repetition),
        cmocka_unit_test(test_bootstrap_threads_and_bound),
        cmocka_unit_test(test_fixture),
        cmocka_unit_test(test_published),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
