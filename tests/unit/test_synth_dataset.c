/* The synthetic data set: layout, tables, folds, and what happens to a folder that is there. */
#define _GNU_SOURCE
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/str.h"
#include "data/synth_dataset.h"
#include "format/csv.h"
#include "scratch.h"
#include "signal/lead.h"
#include "signal/synth_statement.h"

#define RECORDS 48

static struct synth_set set_of(const char *folder, int threads)
{
    return (struct synth_set){.folder = folder,
                              .record_count = RECORDS,
                              .seed = 1,
                              .duration_s = 10,
                              .at_100_hz = true,
                              .threads = threads};
}

static void make(const struct synth_set *set)
{
    struct err e = {0};
    if (synth_set_write(set, NULL, &e) != ERR_OK)
        fail_msg("%s", e.message);
}

static struct buf contents(const char *folder, const char *name)
{
    char *path = NULL;
    struct buf b;
    struct err e = {0};
    assert_true(asprintf(&path, "%s/%s", folder, name) > 0);
    if (file_read(path, 0, &b, &e) != ERR_OK)
        fail_msg("%s", e.message);
    free(path);
    return b;
}

static void assert_same(const char *a, const char *b, const char *name)
{
    struct buf x = contents(a, name), y = contents(b, name);
    if (x.len != y.len || memcmp(x.data, y.data, x.len) != 0)
        fail_msg("%s differs", name);
    buf_free(&x);
    buf_free(&y);
}

static bool there(const char *folder, const char *name)
{
    char *path = NULL;
    assert_true(asprintf(&path, "%s/%s", folder, name) > 0);
    bool found = file_exists(path);
    free(path);
    return found;
}

static void threads_do_not_show(void **state)
{
    (void)state;
    char *one = scratch_make(), *two = scratch_make();
    struct synth_set a = set_of(one, 1), b = set_of(two, 3);
    make(&a);
    make(&b);
    static const char *const tables[] = {"RECORDS", "ptbxl_database.csv", "scp_statements.csv",
                                         "SYNTHETIC.txt"};
    for (int i = 0; i < 4; i++)
        assert_same(one, two, tables[i]);
    for (int id = 1; id <= RECORDS; id++)
        for (int k = 0; k < 2; k++) {
            char *name = NULL;
            assert_true(asprintf(&name, "records100/00000/%05d_lr.%s", id, k ? "dat" : "hea") > 0);
            assert_same(one, two, name);
            free(name);
        }
    /* Again into the same folder: the same; and a longer set begins with the same records. */
    make(&a);
    assert_same(one, two, "ptbxl_database.csv");
    b.record_count = RECORDS + 9;
    make(&b);
    assert_same(one, two, "records100/00000/00048_lr.dat");
    assert_true(there(two, "records100/00000/00057_lr.dat"));
    /* And a shorter one leaves nothing behind. */
    b.record_count = 8;
    make(&b);
    assert_true(there(two, "records100/00000/00008_lr.dat"));
    assert_false(there(two, "records100/00000/00009_lr.dat"));
    assert_false(there(two, "records100/00000/00057_lr.hea"));
    scratch_remove(one);
    scratch_remove(two);
    free(one);
    free(two);
}

static int count_class(const struct csv *t, const char *column)
{
    int64_t c = csv_column(t, column);
    assert_true(c >= 0);
    const char *seen[STATEMENT_COUNT];
    int n = 0;
    for (int64_t i = 0; i < t->row_count; i++) {
        const char *cell = csv_cell(t, i, c);
        bool again = cell[0] == '\0';
        for (int k = 0; k < n; k++)
            again = again || strcmp(seen[k], cell) == 0;
        if (!again)
            seen[n++] = cell;
    }
    return n;
}

static int count_ones(const struct csv *t, const char *column)
{
    int64_t c = csv_column(t, column);
    int n = 0;
    for (int64_t i = 0; i < t->row_count; i++)
        n += strcmp(csv_cell(t, i, c), "1.0") == 0;
    return n;
}

static void tables_are_ptbxl(void **state)
{
    (void)state;
    char *folder = scratch_make();
    struct synth_set set = set_of(folder, 2);
    set.record_count = 160;
    set.at_500_hz = true;
    set.duration_s = 2;
    struct synth_set_summary summary;
    struct err e = {0};
    assert_int_equal(synth_set_write(&set, &summary, &e), ERR_OK);
    assert_int_equal(summary.record_count, 160);
    assert_int_equal(summary.patient_count, 140);
    for (int f = 0; f < 10; f++)
        assert_in_range(summary.fold_count[f], 13, 20);
    for (int c = 0; c < SYNTH_CLASSES; c++)
        assert_true(summary.class_count[c] >= 10);

    char *path = NULL;
    struct csv t;
    assert_true(asprintf(&path, "%s/scp_statements.csv", folder) > 0);
    assert_int_equal(csv_read(path, 1 << 20, &t, &e), ERR_OK);
    free(path);
    assert_int_equal(t.row_count, 71);
    assert_int_equal(count_ones(&t, "diagnostic"), 44);
    assert_int_equal(count_class(&t, "diagnostic_subclass"), 23);
    assert_int_equal(count_class(&t, "diagnostic_class"), 5);
    assert_int_equal(count_ones(&t, "form"), 19);
    assert_int_equal(count_ones(&t, "rhythm"), 12);
    csv_free(&t);

    assert_true(asprintf(&path, "%s/ptbxl_database.csv", folder) > 0);
    assert_int_equal(csv_read(path, 1 << 24, &t, &e), ERR_OK);
    free(path);
    assert_int_equal(t.row_count, 160);
    assert_int_equal(t.column_count, 28);
    assert_string_equal(t.header[0], "ecg_id");
    assert_string_equal(t.header[27], "filename_hr");
    int64_t patient = csv_column(&t, "patient_id"), fold = csv_column(&t, "strat_fold");
    for (int64_t i = 0; i < t.row_count; i++) {
        int64_t id;
        assert_true(str_to_i64(csv_cell(&t, i, 0), &id));
        assert_int_equal(id, i + 1);
        assert_true(str_starts_with(csv_cell(&t, i, csv_column(&t, "report")), "synthetic"));
        assert_true(str_starts_with(csv_cell(&t, i, csv_column(&t, "scp_codes")), "{'"));
        for (int64_t k = 0; k < i; k++) /* a patient never crosses folds */
            if (strcmp(csv_cell(&t, i, patient), csv_cell(&t, k, patient)) == 0)
                assert_string_equal(csv_cell(&t, i, fold), csv_cell(&t, k, fold));
        assert_true(str_starts_with(csv_cell(&t, i, 26), "records100/00000/"));
        assert_true(str_starts_with(csv_cell(&t, i, 27), "records500/00000/"));
    }
    csv_free(&t);
    struct buf list = contents(folder, "RECORDS");
    int lines = 0;
    for (size_t i = 0; i < list.len; i++)
        lines += list.data[i] == '\n';
    assert_int_equal(lines, 320);
    buf_free(&list);
    scratch_remove(folder);
    free(folder);
}

/* Two leads of one record, as stored. */
static int sample(const struct buf *dat, int64_t t, int lead)
{
    const unsigned char *p = (const unsigned char *)dat->data + 2 * (t * 12 + lead);
    return (int16_t)(uint16_t)(p[0] | p[1] << 8);
}

static void records_are_wfdb(void **state)
{
    (void)state;
    char *folder = scratch_make();
    struct synth_set set = set_of(folder, 1);
    set.record_count = 3;
    make(&set);
    struct buf hea = contents(folder, "records100/00000/00003_lr.hea");
    assert_true(str_starts_with(hea.data, "00003_lr 12 100 1000\n"));
    assert_non_null(strstr(hea.data, "# synthetic ECG"));
    const char *at = hea.data;
    static const char *const names[] = {"I",  "II", "III", "AVR", "AVL", "AVF",
                                        "V1", "V2", "V3",  "V4",  "V5",  "V6"};
    for (int l = 0; l < 12; l++) {
        at = strchr(at, '\n') + 1;
        assert_true(str_starts_with(at, "00003_lr.dat 16 1000.0(0)/mV 16 0 "));
        const char *end = strchr(at, '\n');
        size_t n = strlen(names[l]);
        assert_memory_equal(end - n - 1, " ", 1);
        assert_memory_equal(end - n, names[l], n);
        assert_int_equal(lead_from_name(names[l]), l);
    }
    buf_free(&hea);
    struct buf dat = contents(folder, "records100/00000/00003_lr.dat");
    assert_int_equal(dat.len, 12 * 1000 * 2);
    for (int64_t t = 0; t < 1000; t++) { /* each lead is rounded for itself */
        double one = sample(&dat, t, LEAD_I), two = sample(&dat, t, LEAD_II);
        assert_float_equal(sample(&dat, t, LEAD_III), two - one, 1.5);
        assert_float_equal(sample(&dat, t, LEAD_AVR), -(one + two) / 2, 1.01);
        assert_float_equal(sample(&dat, t, LEAD_AVL), one - two / 2, 1.26);
        assert_float_equal(sample(&dat, t, LEAD_AVF), two - one / 2, 1.26);
    }
    buf_free(&dat);
    scratch_remove(folder);
    free(folder);
}

static void other_peoples_files_are_left_alone(void **state)
{
    (void)state;
    char *folder = scratch_make();
    struct synth_set set = set_of(folder, 1);
    struct err e = {0};
    set.record_count = 1;
    scratch_text(folder, "notes.txt", "mine");
    assert_int_equal(synth_set_write(&set, NULL, &e), ERR_USAGE);
    assert_non_null(strstr(e.message, "not empty"));
    assert_false(there(folder, "SYNTHETIC.txt"));
    set.overwrite = true;
    assert_int_equal(synth_set_write(&set, NULL, &e), ERR_OK);
    assert_true(there(folder, "notes.txt"));
    scratch_remove(folder);
    free(folder);

    /* A genuine PTB-XL is not overwritten even so. */
    folder = scratch_make();
    set.folder = folder;
    scratch_text(folder, "ptbxl_database.csv", "ecg_id,patient_id\n1,1\n");
    assert_int_equal(synth_set_write(&set, NULL, &e), ERR_USAGE);
    struct buf b = contents(folder, "ptbxl_database.csv");
    assert_string_equal(b.data, "ecg_id,patient_id\n1,1\n");
    buf_free(&b);
    /* Nor one beside a file that only has the marker's name. */
    scratch_text(folder, "SYNTHETIC.txt", "something else");
    assert_int_equal(synth_set_write(&set, NULL, &e), ERR_USAGE);
    scratch_remove(folder);
    free(folder);
}

/* RECORDS of an earlier set is only believed where it names what we write. */
static void stale_list_removes_only_records(void **state)
{
    (void)state;
    char *folder = scratch_make();
    struct synth_set set = set_of(folder, 1);
    set.record_count = 2;
    make(&set);
    scratch_text(folder, "precious.dat", "x");
    scratch_text(folder, "records100/00000/00009_lr.txt", "x");
    scratch_text(folder, "RECORDS",
                 "precious\n../precious\nrecords100/00000/00002_lr\n"
                 "records100/00000/0000a_lr\n");
    set.record_count = 1;
    make(&set);
    assert_true(there(folder, "precious.dat"));
    assert_true(there(folder, "records100/00000/00009_lr.txt"));
    assert_false(there(folder, "records100/00000/00002_lr.dat"));
    assert_true(there(folder, "records100/00000/00001_lr.dat"));
    scratch_remove(folder);
    free(folder);
}

static void options_are_checked(void **state)
{
    (void)state;
    struct synth_set set = set_of("/nonexistent-ecgfm", 1);
    struct err e = {0};
    set.record_count = 0;
    assert_int_equal(synth_set_write(&set, NULL, &e), ERR_USAGE);
    set.record_count = SYNTH_RECORDS_MAX + 1;
    assert_int_equal(synth_set_write(&set, NULL, &e), ERR_USAGE);
    set.record_count = 1;
    set.at_100_hz = false;
    assert_int_equal(synth_set_write(&set, NULL, &e), ERR_USAGE);
    char *folder = scratch_make();
    set.folder = folder;
    set.at_100_hz = true;
    set.duration_s = 1;
    assert_int_equal(synth_set_write(&set, NULL, &e), ERR_USAGE);
    assert_false(there(folder, "ptbxl_database.csv")); /* a set that failed is not whole */
    scratch_remove(folder);
    free(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_do_not_show),
        cmocka_unit_test(tables_are_ptbxl),
        cmocka_unit_test(records_are_wfdb),
        cmocka_unit_test(other_peoples_files_are_left_alone),
        cmocka_unit_test(stale_list_removes_only_records),
        cmocka_unit_test(options_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
