/* train/predictions and train/evaluation: the table reads back to the same bits, a wrong one is
 * refused by line, and metrics.json says what the metrics say. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"
#include "base/rng.h"
#include "base/str.h"
#include "folder.h"
#include "train/evaluation.h"
#include "train/predictions.h"

enum { N = 50, K = 3 };

/* Class "MI" is drawn, class "odd, \"name\"" follows the scores exactly, class "none" has no
 * positive. */
static void sample(struct predictions *p)
{
    static const char *const names[K] = {"MI", "odd, \"name\"", "none"};
    assert_int_equal(predictions_init(p, N, K, NULL), ERR_OK);
    struct rng rng = rng_at(2, RNG_STREAM_TEST, 0, 0);
    for (int k = 0; k < K; k++)
        p->class_names[k] = names[k];
    p->class_codes[0] = "164865005";
    for (int i = 0; i < N; i++) {
        p->ids[i] = arena_printf(&p->arena, i == 3 ? "with, comma %d" : "r%05d", i);
        p->patients[i] = i % 4 ? arena_printf(&p->arena, "%d.0", i) : NULL;
        p->folds[i] = i % 11;
        for (int k = 0; k < K; k++)
            p->scores[i * K + k] = (float)pow(rng_uniform(&rng), 1 + 8 * k);
        p->labels[i * K] = (float)rng_below(&rng, 2);
        p->labels[i * K + 1] = p->scores[i * K + 1] > 0.01f;
    }
    p->scores[0] = 1;
    p->scores[1] = 0;
    p->scores[2] = 1e-44f;
}

static void test_round_trip(void **state)
{
    (void)state;
    struct predictions p, q;
    struct buf first, second;
    sample(&p);
    const char *path = in_folder("predictions.csv"), *again = in_folder("again.csv");
    assert_int_equal(predictions_write(&p, path, NULL), ERR_OK);
    struct err e = {0};
    if (predictions_read(path, &q, &e) != ERR_OK)
        fail_msg("%s", e.message);
    assert_int_equal(q.count, N);
    assert_int_equal(q.class_count, K);
    assert_memory_equal(q.labels, p.labels, sizeof(float) * N * K);
    assert_memory_equal(q.scores, p.scores, sizeof(double) * N * K);
    assert_memory_equal(q.folds, p.folds, sizeof(int) * N);
    for (int k = 0; k < K; k++)
        assert_string_equal(q.class_names[k], p.class_names[k]);
    for (int i = 0; i < N; i++) {
        assert_string_equal(q.ids[i], p.ids[i]);
        assert_true(p.patients[i] ? strcmp(q.patients[i], p.patients[i]) == 0 : !q.patients[i]);
    }
    assert_int_equal(predictions_write(&q, again, NULL), ERR_OK);
    assert_int_equal(file_read(path, 1 << 20, &first, NULL), ERR_OK);
    assert_int_equal(file_read(again, 1 << 20, &second, NULL), ERR_OK);
    assert_string_equal(first.data, second.data);
    assert_true(
        str_starts_with(first.data,
                        "id,fold,patient,y_MI,\"y_odd, \"\"name\"\"\",y_none,p_MI,\"p_odd"));
    buf_free(&first);
    buf_free(&second);
    predictions_free(&p);
    predictions_free(&q);
}

/* Scores that are no float32 numbers keep all their bits, also where one has few digits. */
static void test_round_trip_of_doubles(void **state)
{
    (void)state;
    struct predictions p, q;
    sample(&p);
    struct rng rng = rng_at(3, RNG_STREAM_TEST, 0, 0);
    for (int i = 0; i < N * K; i++)
        p.scores[i] = rng_uniform(&rng);
    p.scores[4] = 0.1;
    p.scores[5] = (double)0.1f;
    const char *path = in_folder("doubles.csv");
    assert_int_equal(predictions_write(&p, path, NULL), ERR_OK);
    assert_int_equal(predictions_read(path, &q, NULL), ERR_OK);
    assert_memory_equal(q.scores, p.scores, sizeof(double) * N * K);
    predictions_free(&p);
    predictions_free(&q);
}

static void test_refuses(void **state)
{
    (void)state;
#define HEAD "id,fold,patient,y_A,y_B,p_A,p_B\n"
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"id,fold,patient\nr,1,2\n", "3 columns"},
        {"id,fold,patient,y_A\nr,1,2,0\n", "4 columns"},
        {"id,fold,patient,y_A,y_B,p_A\nr,1,2,0,1,1\n", "6 columns"},
        {HEAD, "no record"},
        {"record,fold,patient,y_A,p_A\nr,1,2,0,1\n", "column 1 is \"record\", expected \"id\""},
        {"id,fold,patient,A,p_A\nr,1,2,0,1\n", "column 4"},
        {"id,fold,patient,y_A,y_B,p_B,p_A\nr,1,2,0,1,0,1\n", "expected \"p_A\""},
        {"id,fold,patient,y_A,y_A,p_A,p_A\nr,1,2,0,1,0,1\n", "class \"A\" occurs twice"},
        {HEAD "r,1,2,0,1,.5,.5\ns,1,2,0,1,.5\n", "line 3: 6 fields"},
        {HEAD ",1,2,0,1,.5,.5\n", "line 2: the id is empty"},
        {HEAD "r,x,2,0,1,.5,.5\n", "fold is \"x\""},
        {HEAD "r,-1,2,0,1,.5,.5\n", "fold is \"-1\""},
        {HEAD "r,1,2,0,2,.5,.5\n", "y_B is \"2\""},
        {HEAD "r,1,2, ,1,.5,.5\n", "y_A is \" \""},
        {HEAD "r,1,2,0,1.0,.5,.5\n", "y_B is \"1.0\""},
        {HEAD "r,1,2,0,1,nan,.5\n", "p_A is \"nan\""},
        {HEAD "r,1,2,0,1,.5,inf\n", "p_B is \"inf\""},
        {HEAD "r,1,2,0,1,.5,1e39\n", "p_B is \"1e39\""},
        {HEAD "r,1,2,0,1,.5,0x1\n", "p_B is \"0x1\""},
        {HEAD "r,1,2,0,1,.5,\"0,5\"\n", "p_B is \"0,5\""},
        {HEAD "r,1,2,0,1,.5,.5\nr,1,2,0,1,.5,.5\n", "id \"r\" occurs twice"},
    };
    const char *path = in_folder("wrong.csv");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct predictions p;
        struct err e = {0};
        assert_int_equal(file_write_atomic(path, cases[i].text, strlen(cases[i].text), NULL),
                         ERR_OK);
        assert_int_equal(predictions_read(path, &p, &e), ERR_FORMAT);
        if (!strstr(e.message, cases[i].says))
            fail_msg("%s\ngave: %s", cases[i].text, e.message);
        predictions_free(&p);
    }
    struct predictions p;
    assert_int_equal(predictions_read(in_folder("absent.csv"), &p, NULL), ERR_NOT_FOUND);
    predictions_free(&p);
}

static double number(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    assert_non_null(item);
    return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}

static void test_metrics_json(void **state)
{
    (void)state;
    struct predictions p;
    struct evaluation ev;
    sample(&p);
    struct bootstrap_options options = BOOTSTRAP_DEFAULTS;
    options.draws = 200;
    options.seed = UINT64_MAX;
    assert_int_equal(evaluation_make(&ev, &p, &options, NULL), ERR_OK);
    cJSON *extra = cJSON_CreateObject();
    cJSON_AddStringToObject(extra, "task", "super");
    const char *path = in_folder("metrics.json");
    assert_int_equal(evaluation_write(&ev, extra, path, NULL), ERR_OK);
    cJSON_Delete(extra);

    cJSON *json;
    assert_int_equal(json_read(path, 0, &json, NULL), ERR_OK);
    const cJSON *classes = cJSON_GetObjectItemCaseSensitive(json, "classes");
    assert_int_equal(cJSON_GetArraySize(classes), K);
    const cJSON *mi = cJSON_GetArrayItem(classes, 0), *odd = cJSON_GetArrayItem(classes, 1),
                *none = cJSON_GetArrayItem(classes, 2);
    assert_string_equal(cJSON_GetObjectItem(mi, "code")->valuestring, "164865005");
    assert_string_equal(cJSON_GetObjectItem(odd, "code")->valuestring, "odd, \"name\"");
    assert_true(number(mi, "n") == N);
    assert_true(number(mi, "auroc") > 0.2 && number(mi, "auroc") < 0.8);
    assert_true(number(odd, "auroc") == 1 && number(odd, "auprc") == 1);
    assert_true(isnan(number(none, "auroc")) && isnan(number(none, "auroc_se")));
    assert_true(number(json, "macro_auroc") == (number(mi, "auroc") + 1) / 2);
    assert_true(number(json, "classes_defined") == 2);
    const cJSON *interval = cJSON_GetObjectItem(mi, "auroc_ci");
    assert_true(cJSON_GetArrayItem(interval, 0)->valuedouble < number(mi, "auroc"));
    assert_true(cJSON_GetArrayItem(interval, 1)->valuedouble > number(mi, "auroc"));
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(none, "auroc_ci")));
    const cJSON *undefined = cJSON_GetObjectItem(json, "undefined");
    assert_int_equal(cJSON_GetArraySize(undefined), 1);
    assert_string_equal(cJSON_GetObjectItem(undefined->child, "reason")->valuestring,
                        "no positive record");
    assert_string_equal(cJSON_GetObjectItem(json, "task")->valuestring, "super");
    cJSON_Delete(json);

    struct buf first, second;
    assert_int_equal(file_read(path, 1 << 20, &first, NULL), ERR_OK);
    assert_non_null(strstr(first.data, "\"seed\": 18446744073709551615"));
    evaluation_free(&ev);
    options.threads = 3;
    assert_int_equal(evaluation_make(&ev, &p, &options, NULL), ERR_OK);
    cJSON *same = cJSON_CreateObject();
    cJSON_AddStringToObject(same, "task", "super");
    assert_int_equal(evaluation_write(&ev, same, path, NULL), ERR_OK);
    cJSON_Delete(same);
    assert_int_equal(file_read(path, 1 << 20, &second, NULL), ERR_OK);
    assert_string_equal(first.data, second.data);
    buf_free(&first);
    buf_free(&second);
    evaluation_free(&ev);
    evaluation_free(&ev);
    predictions_free(&p);
}

/* Values: v_ and e_ columns that read back to the same bits, unknown ones as empty fields, and what
 * metrics.json and --require say of them. Errors of "age": 2, -1, 3; of "lvef" one record is known. */
static void test_regression(void **state)
{
    (void)state;
    struct predictions p, q;
    struct err e = {0};
    assert_int_equal(predictions_init(&p, 4, 2, NULL), ERR_OK);
    p.kind = LABEL_VALUES;
    p.class_names[0] = "age";
    p.class_names[1] = "lvef";
    const float truth[8] = {40, 55.5f, 50, NAN, NAN, NAN, 60, NAN};
    const double estimate[8] = {42, 54, 49, 1, 2, 3, 63, -4};
    memcpy(p.labels, truth, sizeof truth);
    memcpy(p.scores, estimate, sizeof estimate);
    for (int i = 0; i < 4; i++)
        p.ids[i] = arena_printf(&p.arena, "r%d", i);
    const char *path = in_folder("values.csv");
    assert_int_equal(predictions_write(&p, path, NULL), ERR_OK);
    struct buf text;
    assert_int_equal(file_read(path, 1 << 20, &text, NULL), ERR_OK);
    assert_string_equal(text.data, "id,fold,patient,v_age,v_lvef,e_age,e_lvef\n"
                                   "r0,,,40,55.5,42,54\nr1,,,50,,49,1\nr2,,,,,2,3\n"
                                   "r3,,,60,,63,-4\n");
    buf_free(&text);
    if (predictions_read(path, &q, &e) != ERR_OK)
        fail_msg("%s", e.message);
    assert_int_equal(q.kind, LABEL_VALUES);
    assert_memory_equal(q.scores, p.scores, sizeof estimate);
    for (int i = 0; i < 8; i++)
        assert_true(q.labels[i] == truth[i] || (isnan(q.labels[i]) && isnan(truth[i])));

    struct evaluation ev;
    struct bootstrap_options options = BOOTSTRAP_DEFAULTS;
    double value;
    assert_int_equal(evaluation_make(&ev, &q, &options, NULL), ERR_OK);
    const struct {
        const char *name;
        double value; /* NaN: undefined */
    } cases[] = {
        {"n", 4},
        {"mae.age", 2},
        {"bias.age", 4.0 / 3},
        {"r2.age", 1 - 14.0 / 200},
        {"mae.lvef", 1.5},
        {"r2.lvef", NAN},
        {"r.lvef", NAN},
        {"macro_mae", 1.75},
        {"macro_r2", 1 - 14.0 / 200},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(evaluation_value(&ev, cases[i].name, &value, NULL), ERR_OK);
        if (!(fabs(value - cases[i].value) < 1e-12) && !(isnan(value) && isnan(cases[i].value)))
            fail_msg("%s is %g", cases[i].name, value);
    }
    assert_int_equal(evaluation_value(&ev, "mae", &value, &e), ERR_USAGE); /* of which? */
    cJSON *tree = evaluation_to_json(&ev), *json;
    struct buf printed = {0};
    json_print(tree, false, &printed);
    assert_int_equal(json_parse(printed.data, printed.len, "metrics", &json, NULL), ERR_OK);
    buf_free(&printed);
    cJSON_Delete(tree);
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(json, "values");
    assert_int_equal(cJSON_GetArraySize(list), 2);
    assert_true(cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(list->child->next, "r2")));
    assert_int_equal(cJSON_GetObjectItemCaseSensitive(list->child, "n")->valueint, 3);
    const cJSON *why = cJSON_GetObjectItemCaseSensitive(json, "undefined")->child;
    assert_string_equal(cJSON_GetObjectItemCaseSensitive(why, "name")->valuestring, "lvef");
    cJSON_Delete(json);
    evaluation_free(&ev);
    p.scores[3] = NAN;
    assert_int_equal(evaluation_make(&ev, &p, &options, &e), ERR_NUMERIC);
    evaluation_free(&ev);
    predictions_free(&q);
    predictions_free(&p);

    const char *const bad[] = {
        "id,fold,patient,v_x,p_x\nr,,,1,2\n",   "id,fold,patient,v_x,y_z,e_x,p_z\nr,,,1,1,2,1\n",
        "id,fold,patient,v_x,e_x\nr,,,one,2\n", "id,fold,patient,v_x,e_x\nr,,,1,\n",
        "id,fold,patient,v_x,e_x\nr,,,inf,1\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(file_write_atomic(path, bad[i], strlen(bad[i]), NULL), ERR_OK);
        assert_int_equal(predictions_read(path, &q, &e), ERR_FORMAT);
        predictions_free(&q);
    }
}

/* A label that is not known: an empty field, and no part of the metrics of its class alone. */
static void test_unknown_labels(void **state)
{
    (void)state;
    static const char table[] = "id,fold,patient,y_a,y_b,p_a,p_b\n"
                                "1,,,1,0,0.9,0.1\n2,,,0,,0.2,0.8\n3,,,1,1,0.8,0.9\n"
                                "4,,,,1,0.1,0.05\n5,,,0,0,0.85,0.3\n";
    static const char known[] = "id,fold,patient,y_b,p_b\n"
                                "1,,,0,0.1\n3,,,1,0.9\n4,,,1,0.05\n5,,,0,0.3\n";
    const char *path = in_folder("unknown.csv"), *again = in_folder("unknown2.csv");
    struct predictions p, q;
    struct evaluation ev, of_known;
    struct buf text;
    struct bootstrap_options options = BOOTSTRAP_DEFAULTS;
    double value;
    assert_int_equal(file_write_atomic(path, table, strlen(table), NULL), ERR_OK);
    assert_int_equal(predictions_read(path, &p, NULL), ERR_OK);
    assert_true(isnan(p.labels[3]) && isnan(p.labels[6]) && p.labels[7] == 1);
    assert_int_equal(predictions_write(&p, again, NULL), ERR_OK);
    assert_int_equal(file_read(again, 1 << 20, &text, NULL), ERR_OK);
    assert_string_equal(text.data, table);
    buf_free(&text);
    assert_int_equal(evaluation_make(&ev, &p, &options, NULL), ERR_OK);
    assert_int_equal(evaluation_value(&ev, "auroc.a", &value, NULL), ERR_OK);
    assert_true(value == 0.75);
    assert_int_equal(ev.classes[1].count, 4);
    assert_int_equal(ev.classes[1].positives, 2);
    assert_int_equal(file_write_atomic(again, known, strlen(known), NULL), ERR_OK);
    assert_int_equal(predictions_read(again, &q, NULL), ERR_OK);
    assert_int_equal(evaluation_make(&of_known, &q, &options, NULL), ERR_OK);
    for (int m = 0; metrics[m]; m++)
        assert_true(ev.classes[1].values[m] == of_known.classes[0].values[m] ||
                    (isnan(ev.classes[1].values[m]) && isnan(of_known.classes[0].values[m])));
    evaluation_free(&of_known);
    evaluation_free(&ev);
    predictions_free(&p);
    predictions_free(&q);
}

static void test_values_by_name(void **state)
{
    (void)state;
    struct predictions p;
    struct evaluation ev;
    sample(&p);
    struct bootstrap_options options = BOOTSTRAP_DEFAULTS;
    options.draws = 0;
    assert_int_equal(evaluation_make(&ev, &p, &options, NULL), ERR_OK);
    double value, mi;
    struct err e = {0};
    assert_int_equal(evaluation_value(&ev, "n", &value, &e), ERR_OK);
    assert_true(value == N);
    assert_int_equal(evaluation_value(&ev, "classes", &value, &e), ERR_OK);
    assert_true(value == 2);
    assert_int_equal(evaluation_value(&ev, "auroc.MI", &mi, &e), ERR_OK);
    assert_int_equal(evaluation_value(&ev, "macro_auroc", &value, &e), ERR_OK);
    assert_true(value == (mi + 1) / 2);
    assert_int_equal(evaluation_value(&ev, "auroc.none", &value, &e), ERR_OK);
    assert_true(isnan(value));
    assert_int_equal(evaluation_value(&ev, "macro_auroc_low", &value, &e), ERR_OK);
    assert_true(isnan(value));
    assert_int_equal(evaluation_value(&ev, "macro_aurocc", &value, &e), ERR_USAGE);
    assert_non_null(strstr(e.message, "did you mean \"macro_auroc\""));
    assert_int_equal(evaluation_value(&ev, "zebra", &value, &e), ERR_USAGE);
    evaluation_free(&ev);

    p.labels[4] = 0.5f;
    assert_int_equal(evaluation_make(&ev, &p, &options, &e), ERR_LABELS);
    evaluation_free(&ev);
    p.labels[4] = 0;
    p.scores[5] = NAN;
    assert_int_equal(evaluation_make(&ev, &p, &options, &e), ERR_NUMERIC);
    evaluation_free(&ev);
    predictions_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),     cmocka_unit_test(test_round_trip_of_doubles),
        cmocka_unit_test(test_refuses),        cmocka_unit_test(test_metrics_json),
        cmocka_unit_test(test_values_by_name), cmocka_unit_test(test_regression),
        cmocka_unit_test(test_unknown_labels),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
