/* metric/joint: scikit-learn's values, cases by hand, and what the Challenges and Ribeiro 2020
 * published. */
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
#include "base/str.h"
#include "format/csv.h"
#include "metric/joint.h"

#define NEAR(a, b, tolerance)                                                                      \
    do {                                                                                           \
        double a_ = (a), b_ = (b);                                                                 \
        if (!(fabs(a_ - b_) <= (tolerance)))                                                       \
            fail_msg("line %d: %.17g is not %.17g", __LINE__, a_, b_);                             \
    } while (0)

static double value_of(const char *name, const struct score_table *t)
{
    for (int i = 0; joint_metrics[i].name; i++)
        if (strcmp(joint_metrics[i].name, name) == 0)
            return joint_metrics[i].compute(t);
    fail_msg("no %s", name);
    return NAN;
}

static void test_fixture(void **state)
{
    (void)state;
    enum { N = 97, MOST = 16 };
    static double scores[N * MOST], thresholds[MOST];
    static uint8_t labels[N * MOST];
    cJSON *json;
    assert_int_equal(json_read("tests/fixtures/metrics.json", 0, &json, NULL), ERR_OK);
    const cJSON *column, *columns = cJSON_GetObjectItem(json, "columns");
    int64_t K = cJSON_GetArraySize(columns) - 1, k = 0;
    assert_in_range(K, 8, MOST);
    cJSON_ArrayForEach(column, columns)
    {
        if (strcmp(cJSON_GetObjectItem(column, "name")->valuestring, "logits") == 0)
            continue;
        const cJSON *score = cJSON_GetObjectItem(column, "scores")->child, *label;
        int64_t i = 0;
        cJSON_ArrayForEach(label, cJSON_GetObjectItem(column, "labels"))
        {
            labels[i * K + k] = (uint8_t)label->valueint;
            scores[i++ * K + k] = score->valuedouble;
            score = score->next;
        }
        assert_int_equal(i, N);
        thresholds[k++] = cJSON_GetObjectItem(column, "threshold")->valuedouble;
    }
    const struct score_table t = {N, K, scores, labels, thresholds};
    for (int i = 0; joint_metrics[i].name; i++)
        NEAR(joint_metrics[i].compute(&t),
             cJSON_GetObjectItem(cJSON_GetObjectItem(json, "table"), joint_metrics[i].name)
                 ->valuedouble,
             1e-12);
    cJSON_Delete(json);
}

static void test_by_hand(void **state)
{
    (void)state;
    /* records: A called A; A, B called B; none called C; C called C and A */
    const double scores[12] = {.9, 0, 0, .2, .9, .1, 0, 0, .7, .9, .2, .8};
    const uint8_t labels[12] = {1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1};
    const struct score_table t = {4, 3, scores, labels, NULL};
    NEAR(value_of("exact_match", &t), 0.25, 0);
    NEAR(value_of("challenge_f_measure", &t), (2. / 4 + 2. / 2 + 2. / 3) / 3, 1e-15);
    /* A: TP 1, FN 1/2, FP 1; B: TP 1/2; C: TP 1, FP 1 (the third record is called C, at 0.7) */
    NEAR(value_of("fbeta_normalized", &t), (5. / (5 + 1 + 2) + 1 + 5. / (5 + 1)) / 3, 1e-15);
    NEAR(value_of("gbeta_normalized", &t), (1. / (1 + 1 + 1) + 1 + 1. / 2) / 3, 1e-15);
    /* from 0.21 to 0.70: precision (1 + 1 + 0 + 1/2) / 4, recall (1 + 1/2 + 1) / 3; from 0.71 to 0.80
     * the third record has no call: precision 2.5 / 3, recall 2.5 / 3 */
    NEAR(value_of("sample_fmax", &t), 2.5 / 3, 1e-15);
    /* With a threshold of 0.95 nothing is called, so the highest is: A, B, C, A.
     * A: TP 1, FN 1/2, FP 1; B: TP 1/2; C: FP 1, FN 1 */
    const double high[3] = {.95, .95, .95};
    const struct score_table silent = {4, 3, scores, labels, high};
    NEAR(value_of("fbeta_normalized", &silent), (5. / (5 + 1 + 2) + 1 + 0) / 3, 1e-15);
    NEAR(value_of("gbeta_normalized", &silent), (1. / (1 + 1 + 1) + 1 + 0) / 3, 1e-15);
    NEAR(value_of("challenge_f_measure", &silent), 0, 0);
    const struct score_table none = {0, 3, scores, labels, NULL};
    for (int i = 0; joint_metrics[i].name; i++)
        assert_true(isnan(joint_metrics[i].compute(&none)));
    const uint8_t empty[12] = {0};
    const struct score_table unlabelled = {4, 3, scores, empty, NULL};
    assert_true(isnan(value_of("sample_fmax", &unlabelled)));
    NEAR(value_of("challenge_f_measure", &unlabelled), 0, 0);

    /* Challenge 2017: highest scores A, B, C, A against A, A, -, C (one label each there) */
    const int64_t chosen[2] = {0, 2};
    NEAR(cinc2017_f1(&t, chosen, 2), (2. / (2 + 2) + 0) / 2, 1e-15);
    assert_true(isnan(cinc2017_f1(&unlabelled, chosen + 1, 0)));
}

static void test_challenge_by_hand(void **state)
{
    (void)state;
    /* classes: normal, X (of two codes), Y */
    const double weights[9] = {1, .5, .25, .5, 1, .5, .25, .5, 1};
    const struct challenge_matrix m = {3, weights, 0};
    const int64_t place[5] = {0, 1, 1, 2, -1};
    struct challenge_score s;
    /* normal called normal; X (first code) called X (second code) and Y; Y called normal and what is no
     * class of the matrix */
    const double scores[15] = {1, 0, 0, 0, 0, 0, 0, 1, 1, 0, 1, 0, 0, 0, 1};
    const uint8_t labels[15] = {1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0};
    const struct score_table t = {3, 5, scores, labels, NULL};
    assert_int_equal(challenge_compute(&t, &m, place, &s, NULL), ERR_OK);
    NEAR(s.observed, 1 + (1 + .5) / 2 + .25 / 2, 1e-15);
    NEAR(s.correct, 3, 0);
    NEAR(s.inactive, 1 + .5 / 2 + .25 / 2, 1e-15);
    NEAR(s.score, (s.observed - s.inactive) / (s.correct - s.inactive), 1e-15);
    /* the codes of X the other way round */
    const double first[5] = {0, 1, 0, 0, 0};
    const uint8_t second[5] = {0, 0, 1, 0, 0};
    const struct score_table codes = {1, 5, first, second, NULL};
    assert_int_equal(challenge_compute(&codes, &m, place, &s, NULL), ERR_OK);
    NEAR(s.score, 1, 0);
    const double none[5] = {0};
    const uint8_t one[5] = {0, 1, 0, 0, 0};
    const struct score_table missed = {1, 5, none, one, NULL};
    assert_int_equal(challenge_compute(&missed, &m, place, &s, NULL), ERR_OK);
    NEAR(s.correct, 1, 0);
    NEAR(s.observed, 0, 0);
    /* only normal records: nothing to gain */
    const struct score_table normal = {1, 5, scores, labels, NULL};
    assert_int_equal(challenge_compute(&normal, &m, place, &s, NULL), ERR_OK);
    assert_true(isnan(s.score));
}

/* ---- what was published ---- */

#define TABLES "../shared/data/label-tables/"

static bool table_read(const char *path, struct csv *csv)
{
    struct err e = {0};
    if (!file_exists(path)) {
        print_message("skipped: no %s\n", path);
        return false;
    }
    if (csv_read(path, 1 << 20, csv, &e) != ERR_OK)
        fail_msg("%s", e.message);
    return true;
}

static double number(const char *text)
{
    double value;
    return str_to_f64(text, true, &value) ? value : NAN;
}

/* The official matrices: the perfect classifier gets 1 and the inactive one 0, each wrong call gets what
 * the matrix says. */
static void test_challenge_matrices(void **state)
{
    (void)state;
    static const char *const paths[] = {TABLES "evaluation-2020/weights.csv",
                                        TABLES "evaluation-2021/weights.csv"};
    for (int y = 0; y < 2; y++) {
        struct csv csv;
        if (!table_read(paths[y], &csv))
            skip();
        int64_t C = csv.row_count;
        assert_int_equal(csv.column_count, C + 1);
        double *weights = calloc((size_t)(C * C), sizeof *weights);
        double *scores = calloc((size_t)(C * C), sizeof *scores);
        uint8_t *labels = calloc((size_t)(C * C), 1);
        int64_t *place = calloc((size_t)C, sizeof *place);
        struct challenge_matrix m = {C, weights, -1};
        for (int64_t j = 0; j < C; j++) {
            place[j] = j;
            labels[j * C + j] = 1; /* record j has class j alone */
            if (strcmp(csv.header[1 + j], "426783006") == 0)
                m.normal = j;
            assert_string_equal(csv.header[1 + j], csv_cell(&csv, j, 0));
            for (int64_t k = 0; k < C; k++)
                weights[j * C + k] = number(csv_cell(&csv, j, 1 + k));
        }
        assert_true(m.normal >= 0);
        const struct score_table t = {C, C, scores, labels, NULL};
        struct challenge_score s;
        for (int64_t j = 0; j < C; j++)
            scores[j * C + j] = 1;
        assert_int_equal(challenge_compute(&t, &m, place, &s, NULL), ERR_OK);
        NEAR(s.score, 1, 0);
        NEAR(s.correct, (double)C, 1e-12);
        memset(scores, 0, (size_t)(C * C) * sizeof *scores);
        double inactive = 0;
        for (int64_t j = 0; j < C; j++) {
            scores[j * C + m.normal] = 1;
            inactive += weights[j * C + m.normal] / (j == m.normal ? 1 : 2);
            for (int64_t k = 0; k < C; k++)
                NEAR(weights[j * C + k], weights[k * C + j], 0);
        }
        assert_int_equal(challenge_compute(&t, &m, place, &s, NULL), ERR_OK);
        NEAR(s.score, 0, 0);
        NEAR(s.inactive, inactive, 1e-12);
        free(weights);
        free(scores);
        free(labels);
        free(place);
        csv_free(&csv);
    }
}

/* Challenge 2020, validation set: our macro averages of the published values by class are the published
 * averages of 23 of the 40 entries. (The two tables of the other 17 are of different runs: AUROC and AUPRC
 * differ alike, by up to 0.14.) The table has the 23 classes that occur; a 24th that never does is 0 in the
 * F-measure of entries that called it, and left out of that of others, as challenge_f_measure has it. */
static void test_challenge_averages(void **state)
{
    (void)state;
    struct csv by_class, averages;
    if (!table_read(TABLES "evaluation-2020/Results/"
                           "physionet_2020_validation_metrics_by_class_official_entries.csv",
                    &by_class))
        skip();
    assert_true(table_read(TABLES "evaluation-2020/Results/"
                                  "physionet_2020_metrics_perDatabase_official_entries.csv",
                           &averages));
    const int columns[3] = {3, 4, 6}; /* AUROC, AUPRC, F-measure of the validation set */
    int agree[3] = {0, 0, 0}, entries = 0, with_absent = 0;
    for (int64_t row = 1; row < by_class.row_count; row++)
        for (int64_t other = 1; other < averages.row_count; other++) {
            if (strcmp(csv_cell(&by_class, row, 1), csv_cell(&averages, other, 1)) != 0)
                continue;
            double means[3], published[3];
            int64_t defined = 0;
            for (int m = 0; m < 3; m++) {
                double values[23];
                for (int k = 0; k < 23; k++)
                    values[k] = number(csv_cell(&by_class, row, 3 + 3 * k + m));
                means[m] = macro_average(values, 23, &defined);
                published[m] = number(csv_cell(&averages, other, columns[m]));
            }
            if (defined < 23)
                continue;
            entries++;
            bool same_run = fabs(means[0] - published[0]) < 0.00101;
            agree[0] += same_run;
            agree[1] += same_run && fabs(means[1] - published[1]) < 0.00101;
            if (same_run && fabs(means[2] - published[2]) < 0.00101)
                agree[2]++;
            else if (same_run && fabs(23 * means[2] / 24 - published[2]) < 0.00101)
                with_absent++;
        }
    print_message("averages of %d of %d entries agree\n", agree[0], entries);
    assert_int_equal(entries, 40);
    assert_int_equal(agree[0], 23);
    assert_int_equal(agree[1], 23);
    assert_int_equal(agree[2] + with_absent, 23);
    assert_true(with_absent > 10);
    csv_free(&by_class);
    csv_free(&averages);
}

#define RIBEIRO TABLES "automatic-ecg-diagnosis/"
enum { EXAMS = 827, FINDINGS = 6 };

/* Precision, sensitivity, specificity and F1 of the network and three groups of doctors, to the three
 * digits of the paper. */
static void test_ribeiro(void **state)
{
    (void)state;
    static const char *const findings[FINDINGS] = {"1dAVb", "RBBB", "LBBB", "SB", "AF", "ST"};
    static const char *const files[4] = {RIBEIRO "data/annotations/dnn.csv",
                                         RIBEIRO "data/annotations/cardiology_residents.csv",
                                         RIBEIRO "data/annotations/emergency_residents.csv",
                                         RIBEIRO "data/annotations/medical_students.csv"};
    struct csv gold, calls, published;
    if (!table_read(RIBEIRO "data/annotations/gold_standard.csv", &gold))
        skip();
    assert_true(table_read(RIBEIRO "outputs/tables/scores.csv", &published));
    for (int who = 0; who < 4; who++) {
        assert_true(table_read(files[who], &calls));
        assert_int_equal(calls.row_count, EXAMS);
        for (int f = 0; f < FINDINGS; f++) {
            double scores[EXAMS];
            uint8_t labels[EXAMS];
            for (int i = 0; i < EXAMS; i++) {
                scores[i] = number(csv_cell(&calls, i, csv_column(&calls, findings[f])));
                labels[i] = number(csv_cell(&gold, i, csv_column(&gold, findings[f]))) == 1;
            }
            struct ranking r;
            assert_int_equal(ranking_init(&r, scores, labels, EXAMS, NULL), ERR_OK);
            const struct metric *const rows[4] = {&metric_precision, &metric_sensitivity,
                                                  &metric_specificity, &metric_f1};
            assert_string_equal(csv_cell(&published, f + 1, 0), findings[f]);
            for (int m = 0; m < 4; m++)
                NEAR(rows[m]->compute(&r, NULL),
                     number(csv_cell(&published, f + 1, 1 + 4 * m + who)), 0.0005000001);
            ranking_free(&r);
        }
        csv_free(&calls);
    }
    csv_free(&gold);
    csv_free(&published);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fixture),
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_challenge_by_hand),
        cmocka_unit_test(test_challenge_matrices),
        cmocka_unit_test(test_challenge_averages),
        cmocka_unit_test(test_ribeiro),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
