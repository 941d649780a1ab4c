/* Targets of any data set: sex, age, and columns of a table; and which record a name means. */
#define _GNU_SOURCE
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "data/record_index.h"
#include "data/targets.h"

#include "scratch.h"

/* Five recordings (their signals are never read) of a folder; twice a file "ecg". */
struct place {
    char *folder;
    struct manifest m;
};

static const char labels_csv[] = "file,id,label,age,sex\n"
                                 "a/ecg.hea,10,x,50,male\n"
                                 "b/ecg.hea,11,x,60,female\n"
                                 "c/other,12,y,300,f\n"
                                 "d/last.dat,13,y,,\n"
                                 "e/5.hea,14,y,119,M\n";

static int set_up(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    struct err e = {0};
    *state = p;
    p->folder = scratch_make();
    scratch_text(p->folder, "labels.csv", labels_csv);
    if (manifest_open(p->folder, NULL, NULL, &p->m, &e) != ERR_OK)
        fprintf(stderr, "%s\n", e.message);
    return p->m.count != 5;
}

static int tear_down(void **state)
{
    struct place *p = *state;
    manifest_close(&p->m);
    scratch_remove(p->folder);
    free(p->folder);
    free(p);
    return 0;
}

static enum err_code read_targets(struct place *p, const char *csv, const char *columns,
                                  const char *kind, const char *id, struct label_set *out,
                                  struct target_report *report, struct err *e)
{
    char path[1024];
    scratch_text(p->folder, "targets.csv", csv);
    snprintf(path, sizeof path, "%s/targets.csv", p->folder);
    struct target_options o = {path, columns, kind, id};
    *e = (struct err){0};
    return targets_read(&o, &p->m, "mine", out, report, e);
}

static void must_fail(struct place *p, const char *csv, const char *columns, const char *kind,
                      enum err_code code, const char *part)
{
    struct label_set set;
    struct target_report report;
    struct err e;
    assert_int_equal(read_targets(p, csv, columns, kind, NULL, &set, &report, &e), code);
    if (!strstr(e.message, part))
        fail_msg("\"%s\" does not say \"%s\"", e.message, part);
}

static void names_mean_records(void **state)
{
    struct place *p = *state;
    struct record_index index;
    assert_int_equal(record_index_make(&index, &p->m, NULL), ERR_OK);
    const struct {
        const char *name;
        int64_t entry;
    } cases[] = {
        {"10", 0},
        {"11.0", 1},
        {"13", 3},
        {"15", RECORD_NONE},
        {"other", 2},
        {"c/other", 2},
        {"x/y/last", 3},
        {"last.hea", 3},
        {"a/ecg", 0},
        {"b/ecg.mat", 1},
        {"z/b/ecg.hea", 1},
        {"ecg", RECORD_AMBIGUOUS},
        {"q/ecg.hea", RECORD_AMBIGUOUS},
        {"", RECORD_NONE},
        {"5", 4},
        {"5.0", 4},
        {"DIR/12.hea", 2},
        {"1", RECORD_NONE},
        {"10.7", RECORD_NONE},
        {"5.3", RECORD_NONE},
        {"e/5.3", 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (record_index_find(&index, cases[i].name) != cases[i].entry)
            fail_msg("%s is %lld, not %lld", cases[i].name,
                     (long long)record_index_find(&index, cases[i].name),
                     (long long)cases[i].entry);
    record_index_free(&index);
}

static void sex_and_age(void **state)
{
    struct place *p = *state;
    struct label_set set;
    const char *const *tasks = manifest_tasks(&p->m);
    assert_string_equal(tasks[0], "labels");
    assert_string_equal(tasks[1], "sex");
    assert_string_equal(tasks[2], "age");
    assert_null(tasks[3]);
    assert_int_equal(manifest_labels(&p->m, "sex", &set, NULL), ERR_OK);
    assert_int_equal(set.class_count, 1);
    assert_string_equal(set.class_names[0], "female");
    const uint8_t female[5] = {0, 1, 1, 0, 0}, known[5] = {1, 1, 1, 0, 1};
    assert_memory_equal(set.targets, female, 5);
    assert_memory_equal(set.labelled, known, 5);
    assert_null(set.values);
    assert_true(set.hash != 0);
    uint64_t hash = set.hash;
    assert_int_equal(manifest_labels(&p->m, "age", &set, NULL), ERR_OK);
    assert_int_equal(set.kind, LABEL_VALUES);
    assert_string_equal(set.unit, "years");
    const uint8_t aged[5] = {1, 1, 0, 0, 1}; /* 300 says "very old" */
    assert_memory_equal(set.labelled, aged, 5);
    assert_true(set.values[0] == 50 && set.values[1] == 60 && set.values[4] == 119);
    assert_true(isnan(set.values[2]) && isnan(set.values[3]));
    assert_true(isnan(label_set_target(&set, 2, 0)) && label_set_target(&set, 4, 0) == 119);
    assert_true(set.hash != hash);
    struct err e = {0};
    assert_int_equal(manifest_labels(&p->m, "weight", &set, &e), ERR_USAGE);
    assert_non_null(strstr(e.message, "labels|sex|age"));
    for (int i = 0; i < 5; i++)
        p->m.entries[i].sex = SEX_UNKNOWN;
    assert_int_equal(manifest_labels(&p->m, "sex", &set, &e), ERR_LABELS);
    assert_string_equal(manifest_tasks(&p->m)[1], "age");
}

static void columns_of_classes(void **state)
{
    struct place *p = *state;
    struct label_set set;
    struct target_report report;
    struct err e;
    const char csv[] = "who,af,vt,note\n"
                       "10,1,0,x\n"
                       "b/ecg.hea, 0 ,,x\n"
                       "12.0,,,x\n"
                       "ecg,1,1,x\n"
                       "99,1,1,x\n"
                       "14,1.0,1,x\n";
    assert_int_equal(read_targets(p, csv, "af,vt", "auto", NULL, &set, &report, &e), ERR_OK);
    assert_int_equal(set.kind, LABEL_CLASSES);
    assert_string_equal(set.task, "mine");
    assert_int_equal(set.class_count, 2);
    assert_string_equal(set.class_names[1], "vt");
    const uint8_t targets[10] = {1, 0, 0, 0, 0, 0, 0, 0, 1, 1}, labelled[5] = {1, 1, 0, 0, 1};
    assert_memory_equal(set.targets, targets, 10);
    assert_memory_equal(set.labelled, labelled, 5);
    assert_true(label_set_target(&set, 0, 1) == 0 && isnan(label_set_target(&set, 1, 1)));
    assert_int_equal(report.rows, 6);
    assert_int_equal(report.matched, 4);
    assert_int_equal(report.rows_without_record, 2);
    assert_string_equal(report.first_row, "ecg");
    assert_int_equal(report.records_without_row, 1);
    assert_string_equal(report.first_record, "13");
    /* all that is known is known of every record: no table of values is kept */
    assert_int_equal(read_targets(p, csv, "a*", "classes", "who", &set, &report, &e), ERR_OK);
    assert_int_equal(set.class_count, 1);
    assert_null(set.values);
    /* the same table with other targets has another hash */
    uint64_t hash = set.hash;
    assert_int_equal(read_targets(p, csv, "vt", "classes", "who", &set, &report, &e), ERR_OK);
    assert_true(set.hash != hash);
}

static void columns_of_values(void **state)
{
    struct place *p = *state;
    struct label_set set;
    struct target_report report;
    struct err e;
    const char csv[] = "lvef,id,qtc\n"
                       "55.5,11,410\n"
                       ",10,-1e2\n"
                       "61,13,\n";
    assert_int_equal(read_targets(p, csv, NULL, "auto", "id", &set, &report, &e), ERR_OK);
    assert_int_equal(set.kind, LABEL_VALUES);
    assert_int_equal(set.class_count, 2);
    assert_string_equal(set.class_names[0], "lvef");
    assert_true(set.values[2] == 55.5f && set.values[3] == 410 && isnan(set.values[0]) &&
                set.values[1] == -100 && set.values[6] == 61 && isnan(set.values[7]));
    const uint8_t labelled[5] = {1, 1, 0, 1, 0};
    assert_memory_equal(set.labelled, labelled, 5);
    /* names with commas */
    assert_int_equal(read_targets(p, "id,\"QT, corrected\",b\n10,400,x\n", "\"QT, corrected\"",
                                  "auto", NULL, &set, &report, &e),
                     ERR_OK);
    assert_string_equal(set.class_names[0], "QT, corrected");
    /* 0 and 1 may be values, too */
    assert_int_equal(read_targets(p, "id,x\n10,1\n", NULL, "values", NULL, &set, &report, &e),
                     ERR_OK);
    assert_int_equal(set.kind, LABEL_VALUES);
}

static void columns_of_categories(void **state)
{
    struct place *p = *state;
    struct label_set set;
    struct target_report report;
    struct err e;
    const char csv[] = "id,device\n10,CS-12\n11, AT-6\n12,CS-12\n13,\n99,other\n";
    assert_int_equal(read_targets(p, csv, NULL, "categories", NULL, &set, &report, &e), ERR_OK);
    assert_int_equal(set.class_count, 2);
    assert_string_equal(set.class_names[0], "AT-6");
    const uint8_t targets[10] = {0, 1, 1, 0, 0, 1}, labelled[5] = {1, 1, 1, 0, 0};
    assert_memory_equal(set.targets, targets, 10);
    assert_memory_equal(set.labelled, labelled, 5);
    must_fail(p, "id,device\n10,x\n11,x\n", NULL, "categories", ERR_LABELS, "1 different texts");
    must_fail(p, "id,a,b\n10,x,y\n", NULL, "categories", ERR_USAGE, "one column, found 2");
}

static void refused_tables(void **state)
{
    struct place *p = *state;
    must_fail(p, ",ecg_id,x\n10,11,1\n", "x", "auto", ERR_USAGE, "has no name: --target-id");
    must_fail(p, "row,ecg_id,x\n10,11,1\n", "x", "auto", ERR_USAGE, "there is \"ecg_id\", too");
    must_fail(p, "patient_id,x\n10,1\n", "x", "auto", ERR_USAGE, "seems to name patients");
    must_fail(p, "id,x\n10,1\n10.0,0\n", NULL, "auto", ERR_FORMAT,
              "lines 2 and 3 are both the record 10");
    must_fail(p, "id,x\n10,1\na/ecg,0\n", NULL, "auto", ERR_FORMAT, "both the record 10");
    must_fail(p, "id,x\n10,1\n\"1\n1\",0\n11,abc\n", NULL, "auto", ERR_FORMAT,
              "line 5, column \"x\": \"abc\" is no number");
    must_fail(p, "id,x\n10,nan\n", NULL, "values", ERR_FORMAT, "\"nan\" is no number");
    must_fail(p, "id,x\n10,1e99\n", NULL, "values", ERR_FORMAT, "\"1e99\" is no number");
    must_fail(p, "id,x\n10,1\n11,0.5\n", NULL, "classes", ERR_FORMAT,
              "line 3, column \"x\": \"0.5\" is neither 0 nor 1");
    must_fail(p, "id,x,y\n10,1,2.5\n11,0,3\n", NULL, "auto", ERR_FORMAT,
              "column \"x\" holds only 0 and 1, \"y\" other numbers");
    must_fail(p, "id,x\n10,\n", NULL, "auto", ERR_LABELS, "column \"x\" is empty");
    must_fail(p, "id,x\n99,1\n", NULL, "auto", ERR_LABELS, "names a record by the column \"id\"");
    must_fail(p, "id,stroke\n10,1\n", "strokes", "auto", ERR_USAGE, "did you mean stroke");
    must_fail(p, "id,x\n10,1\n", "x,x", "auto", ERR_USAGE, "twice");
    must_fail(p, "id,x\n10,1\n", "y*", "auto", ERR_USAGE, "no column \"y*\"");
    must_fail(p, "id\n10\n", NULL, "auto", ERR_USAGE, "no column beside");
    must_fail(p, "id,x\n", NULL, "auto", ERR_LABELS, "none of its 0 rows");
    must_fail(p, "id,\n10,1\n", NULL, "auto", ERR_FORMAT, "name of column 2");
}

/* The folds of a table take the place of those of the data set. */
static enum err_code open_with(struct place *p, const char *folds, struct manifest *m,
                               struct err *e)
{
    char path[1024];
    scratch_text(p->folder, "folds.csv", folds);
    snprintf(path, sizeof path, "%s/folds.csv", p->folder);
    const struct manifest_options options = {.folds = path};
    *e = (struct err){0};
    return manifest_open(p->folder, NULL, &options, m, e);
}

static void folds_of_a_table(void **state)
{
    struct place *p = *state;
    struct manifest m, same;
    struct err e;
    assert_int_equal(open_with(p, "id,fold\n10,1\n11.0,9\nother,10\n77,3\n", &m, &e), ERR_OK);
    assert_int_equal(m.count, 3);
    assert_true(m.entries[0].fold == 1 && m.entries[1].fold == 9 && m.entries[2].fold == 10);
    assert_int_equal(m.left_out, 2);
    assert_string_equal(m.problems[0].code, "no-fold");
    assert_non_null(strstr(m.label_note, "folds.csv"));
    assert_int_equal(open_with(p, "file,split\n14,test\nother,test\n10,train\n11,validation\n",
                               &same, &e),
                     ERR_OK);
    assert_true(same.entries[0].fold == 1 && same.entries[3].fold == 10);
    assert_true(same.hash != m.hash);
    manifest_close(&same);
    manifest_close(&m);
    /* without patients the records stand for them */
    assert_int_equal(open_with(p, "patient_id,fold,x\n13,2,a\n12,10,b\n", &m, &e), ERR_OK);
    assert_int_equal(m.count, 2);
    assert_true(m.entries[0].fold == 10 && m.entries[1].fold == 2);
    manifest_close(&m);
    const struct {
        const char *text, *says;
        enum err_code code;
    } bad[] = {
        {"id,fold\n10,1\n11,11\n", "line 3: the fold is \"11\"", ERR_FORMAT},
        {"id,split\n10,train\n11,dev\n", "line 3: the split is \"dev\"", ERR_FORMAT},
        {"id,fold\n10,1\na/ecg,2\n", "lines 2 and 3 are both the record 10", ERR_FORMAT},
        {"patient,fold\n10,1\n10.0,2\n", "patient 10 is in two rows", ERR_FORMAT},
        {"id,set\n10,1\n", "no column \"fold\" or \"split\"", ERR_FORMAT},
        {"name,fold\n10,1\n", "no column \"id\" or \"patient\"", ERR_FORMAT},
        {"id,fold\n99,1\n", "none of its 1 rows", ERR_NOT_FOUND},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(open_with(p, bad[i].text, &m, &e), bad[i].code);
        if (!strstr(e.message, bad[i].says))
            fail_msg("\"%s\" does not say \"%s\"", e.message, bad[i].says);
        manifest_close(&m);
    }
}

/* Patients on several sides of the split are refused with their names; several folds of one side are
 * nothing to refuse. */
static void patients_on_several_sides(void **state)
{
    (void)state;
    char *folder = scratch_make();
    char text[4096] = "id,label,fold,patient\n";
    int used = (int)strlen(text);
    for (int i = 0; i < 26; i++) /* p00: 1 and 8, both train; p01: 3 and 10; the rest: 9 and 10 */
        used += snprintf(text + used, sizeof text - (size_t)used, "r%d,x,%d,p%02d\n", i,
                         i == 0   ? 1
                         : i == 1 ? 8
                         : i == 2 ? 3
                                  : 9 + i % 2,
                         i / 2);
    scratch_text(folder, "labels.csv", text);
    struct manifest m;
    struct err e = {0};
    assert_int_equal(manifest_open(folder, NULL, NULL, &m, &e), ERR_OK);
    assert_int_equal(m.split_patients, 12);
    assert_true(
        str_starts_with(m.split_patients_text, "p01 (records r2, r3), p02 (records r4, r5)"));
    assert_non_null(strstr(m.split_patients_text, "p10 (records r20, r21)"));
    assert_null(strstr(m.split_patients_text, "p11"));
    assert_int_equal(manifest_check_patients(&m, false, &e), ERR_PATIENTS);
    assert_non_null(strstr(e.message, "12 patients"));
    assert_non_null(strstr(e.message, "p01 (records r2, r3)"));
    assert_int_equal(manifest_check_patients(&m, true, &e), ERR_OK);
    manifest_close(&m);
    scratch_text(folder, "labels.csv",
                 "id,label,fold,patient\na,x,1,p\nb,x,8,p\nc,x,9,\nd,x,10,\n");
    assert_int_equal(manifest_open(folder, NULL, NULL, &m, &e), ERR_OK);
    assert_int_equal(m.split_patients, 0);
    assert_int_equal(m.problem_count, 1); /* worth knowing all the same */
    assert_int_equal(manifest_check_patients(&m, false, &e), ERR_OK);
    manifest_close(&m);
    scratch_remove(folder);
    free(folder);
}

/* Real records: ids of PTB-XL and names of its files, whatever the order. */
static void table_of_ptbxl(void **state)
{
    struct place *p = *state;
    struct manifest m;
    struct label_set set;
    struct target_report report;
    struct err e = {0};
    if (manifest_open("../shared/data/ptbxl", NULL, NULL, &m, &e) != ERR_OK) {
        manifest_close(&m);
        skip();
    }
    char path[1024];
    struct target_options o = {"../shared/data/ptbxl/ptbxl_database.csv", "weight", "auto",
                               "filename_hr"};
    assert_int_equal(targets_read(&o, &m, NULL, &set, &report, &e),
                     ERR_LABELS); /* read at 100 Hz */
    o.target_id = "filename_lr";
    assert_int_equal(targets_read(&o, &m, NULL, &set, &report, &e), ERR_OK);
    assert_int_equal(report.matched, m.count);
    assert_int_equal(set.kind, LABEL_VALUES);
    o = (struct target_options){"../shared/data/ptbxl/ptbxl_database.csv", "device", "categories",
                                "ecg_id"};
    assert_int_equal(targets_read(&o, &m, NULL, &set, &report, &e), ERR_OK);
    for (int64_t i = 0; i < m.count; i++) {
        int64_t k = 0;
        while (strcmp(set.class_names[k], m.entries[i].device) != 0)
            k++;
        assert_int_equal(set.targets[i * set.class_count + k], 1);
    }
    assert_int_equal(manifest_labels(&m, "age", &set, &e), ERR_OK);
    scratch_text(p->folder, "x.csv", "ecg_id,y\n1,2\n");
    snprintf(path, sizeof path, "%s/x.csv", p->folder);
    o = (struct target_options){path, NULL, "auto", NULL};
    assert_int_equal(targets_read(&o, &m, NULL, &set, &report, &e), ERR_OK);
    assert_int_equal(report.records_without_row, m.count - 1);
    manifest_close(&m);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(names_mean_records), TEST(sex_and_age),           TEST(columns_of_classes),
        TEST(columns_of_values),  TEST(columns_of_categories), TEST(refused_tables),
        TEST(table_of_ptbxl),     TEST(folds_of_a_table),      TEST(patients_on_several_sides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
