/* data/ds_fairseq: manifests, pairs of segments and labels as prepared for fairseq-signals. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "data/dataset.h"
#include "data/loader.h"
#include "mat5_image.h"
#include "scratch.h"
#include "train/adapt.h"

enum { T = 40, RATE = 100, CLASS_DOUBLE = 6, CLASS_INT64 = 14, CLASS_LOGICAL = 9 };

static char *folder;

static int set_up(void **state)
{
    (void)state;
    folder = scratch_make();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_remove(folder);
    free(folder);
    return 0;
}

static const char *in_folder(const char *name)
{
    static char path[4][1024];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", folder, name);
    return path[next];
}

static double sample(int record, int lead, int t)
{
    return 0.01 * ((t * (lead + 3) * 7 + 31 * record) % 101) - 0.5;
}

/* A segment k of a record, standardized as it lies; idx -1: none; labels NULL: none. */
static void segment_write(const char *name, int record, int k, int64_t idx, const double *labels,
                          int64_t label_count)
{
    double feats[12 * T], ones[12];
    for (int t = 0; t < T; t++)
        for (int l = 0; l < 12; l++)
            feats[t * 12 + l] = sample(record, l, k * T + t);
    for (int l = 0; l < 12; l++)
        ones[l] = 1;
    struct mat5_image f;
    image_begin(&f, false);
    image_variable(&f, "feats", CLASS_DOUBLE, MI_DOUBLE, 12, T, feats, idx % 2 == 0);
    image_variable(&f, "curr_sample_rate", CLASS_INT64, MI_INT64, 1, 1, (double[]){RATE}, false);
    image_variable(&f, "mean", CLASS_DOUBLE, MI_DOUBLE, 12, 1, ones, false);
    image_variable(&f, "std", CLASS_DOUBLE, MI_DOUBLE, 12, 1, ones, false);
    image_variable(&f, "segment_i", CLASS_INT64, MI_INT64, 1, 1, (double[]){k}, false);
    if (idx >= 0)
        image_variable(&f, "idx", CLASS_INT64, MI_INT64, 1, 1, (double[]){(double)idx}, false);
    if (labels)
        image_variable(&f, "label", CLASS_LOGICAL, MI_UINT8, 1, label_count, labels, false);
    scratch_write(folder, name, f.bytes, f.size);
    free(f.bytes);
}

/* y.npy of float64, in C order. */
static void table_write(const char *name, const double *values, int rows, int columns)
{
    unsigned char bytes[4096] = "\x93NUMPY\x01";
    int n =
        snprintf((char *)bytes + 10, 200,
                 "{'descr': '<f8', 'fortran_order': False, 'shape': (%d, %d), }\n", rows, columns);
    bytes[8] = (unsigned char)n;
    memcpy(bytes + 10 + n, values, (size_t)(rows * columns) * sizeof *values);
    scratch_write(folder, name, bytes, 10 + (size_t)n + (size_t)(rows * columns) * sizeof *values);
}

static const struct manifest_problem *problem_of(const struct manifest *m, const char *id)
{
    for (int64_t i = 0; i < m->problem_count; i++)
        if (strcmp(m->problems[i].id, id) == 0)
            return &m->problems[i];
    return NULL;
}

static void open_or_fail(struct manifest *m, const char *path)
{
    struct err e = {0};
    char text[1024];
    if (manifest_open(path, NULL, NULL, m, &e) != ERR_OK) {
        err_format(&e, text, sizeof text);
        fail_msg("%s: %s", path, text);
    }
}

static void test_training_manifest(void **state)
{
    (void)state;
    char text[2048];
    segment_write("a/data/x_0.mat", 0, 0, 2, NULL, 0);
    segment_write("a/data/x_1.mat", 0, 1, 2, NULL, 0);
    segment_write("a/data/deep/y_0.mat", 1, 0, 0, NULL, 0);
    segment_write("a/data/far.mat", 2, 0, 9, NULL, 0);   /* beyond the table */
    segment_write("a/data/none.mat", 3, 0, -1, NULL, 0); /* no idx */
    segment_write("a/data/nan.mat", 4, 0, 1, NULL, 0);
    /* the root as manifests.py writes it: an empty field, a tab, the folder */
    snprintf(text, sizeof text,
             "\t%s\nx_0.mat\t40\r\nx_1.mat\t40\nfar.mat\t40\nnone.mat\t40\nnan.mat\t40\n"
             "../x_0.mat\t40\nx_0.mat\nx_0.mat\tmany\n\n",
             in_folder("a/data"));
    scratch_text(folder, "a/manifests/train.tsv", text);
    scratch_text(folder, "a/manifests/valid.tsv", "../data\ndeep/y_0.mat\t40\n");
    scratch_text(folder, "a/manifests/test.tsv", "../data\nx_0.mat\t40\nnot_there.mat\t40");
    const double y[9] = {0, 1, 0, 1, NAN, 0, 1, 0, 1};
    table_write("a/labels/y.npy", y, 3, 3);
    scratch_text(folder, "a/labels/label_def.csv",
                 "name,pos_count_all\nSinus rhythm,5\n\"Block, bifascicular\",1\nAF,2\n");
    scratch_text(folder, "a/labels/pos_weight.txt", "[0.25, 14.49034,\n 3]\n");

    struct manifest m;
    open_or_fail(&m, in_folder("a/manifests"));
    assert_string_equal(m.dataset->name, "fairseq");
    /* x_0 of test.tsv is in train.tsv already: kept once, and told */
    assert_int_equal(m.count, 7);
    assert_string_equal(problem_of(&m, "x_0")->code, "duplicate-id");
    assert_string_equal(problem_of(&m, "../x_0.mat")->code, "bad-line");
    assert_int_equal(m.left_out, 4);
    const struct {
        const char *id;
        int fold;
    } want[7] = {{"x_0", 1}, {"x_1", 1},      {"far", 1},       {"none", 1},
                 {"nan", 1}, {"deep/y_0", 9}, {"not_there", 10}};
    for (int i = 0; i < 7; i++) {
        assert_string_equal(m.entries[i].id, want[i].id);
        assert_int_equal(m.entries[i].fold, want[i].fold);
        assert_null(m.entries[i].continued);
    }

    struct label_set set;
    struct err e = {0};
    if (manifest_labels(&m, NULL, &set, &e) != ERR_OK)
        fail_msg("%s", e.message);
    assert_int_equal(set.class_count, 3);
    assert_string_equal(set.class_names[1], "Block, bifascicular");
    assert_true(set.positive_weights && set.positive_weights[0] == 0.25 &&
                set.positive_weights[1] == 14.49034 && set.positive_weights[2] == 3);
    const int labelled[7] = {1, 1, 0, 0, 0, 1, 0};
    const int targets[7][3] = {{1, 0, 1}, {1, 0, 1}, {0}, {0}, {0}, {0, 1, 0}, {0}};
    for (int i = 0; i < 7; i++) {
        assert_int_equal(set.labelled[i], labelled[i]);
        for (int k = 0; k < 3; k++)
            assert_int_equal(set.targets[i * 3 + k], targets[i][k]);
    }
    assert_non_null(strstr(problem_of(&m, "far")->reason, "beyond"));
    assert_non_null(strstr(problem_of(&m, "none")->reason, "no number idx"));
    assert_non_null(strstr(problem_of(&m, "nan")->reason, "nan for Block"));
    uint64_t hash = m.hash;
    manifest_close(&m);

    /* one manifest by itself; the kind is recognized by the file */
    open_or_fail(&m, in_folder("a/manifests/valid.tsv"));
    assert_true(m.count == 1 && m.entries[0].fold == 9 && m.hash != hash);
    assert_int_equal(manifest_labels(&m, "labels", &set, NULL), ERR_OK);
    assert_true(set.labelled[0] && set.targets[1] == 1);
    manifest_close(&m);
    /* missing files are found where that is asked for */
    assert_int_equal(manifest_open(in_folder("a/manifests/test.tsv"), "fairseq",
                                   &(struct manifest_options){.check_files = true}, &m, NULL),
                     ERR_OK);
    assert_int_equal(m.count, 1);
    manifest_close(&m);
}

static void test_pairs(void **state)
{
    (void)state;
    for (int k = 0; k < 4; k++) {
        char name[64];
        snprintf(name, sizeof name, "b/data/r_%d.mat", k);
        segment_write(name, 5, k, 1, NULL, 0);
    }
    segment_write("b/data/alone_0.mat", 6, 0, 2, NULL, 0);
    scratch_text(folder, "b/train.tsv",
                 "data\nmat\nr\t40\t0\t0,1\nr\t40\t0\t2,3\nalone\t40\t0\t0,1\n"
                 "r\t40\t0\t1\nr\t40\t0\t1,3\nr\t40\t0\n/r\t40\t0\t0,1\nr\t40\t0\t-1,0\n");
    struct manifest m;
    open_or_fail(&m, in_folder("b"));
    assert_int_equal(m.count, 3);
    assert_int_equal(m.left_out, 5);
    assert_string_equal(m.entries[1].id, "r_2_3");
    assert_string_equal(m.entries[1].patient, "r");
    assert_non_null(strstr(m.entries[1].path, "data/r_2.mat"));
    assert_non_null(strstr(m.entries[1].continued, "data/r_3.mat"));
    /* the recording is the two segments one after the other */
    struct ecg_record r;
    struct err e = {0};
    if (manifest_entry_read(&m.entries[1], NULL, &r, &e) != ERR_OK)
        fail_msg("%s", e.message);
    assert_true(r.sample_count == 2 * T && r.lead_count == 12 && r.rate_hz == RATE);
    for (int l = 0; l < 12; l++)
        for (int t = 0; t < 2 * T; t++)
            assert_true(r.samples[l * 2 * T + t] == (float)sample(5, l, 2 * T + t));
    int issues = r.issue_count;
    ecg_record_free(&r);
    assert_int_equal(manifest_entry_read(&m.entries[2], NULL, &r, &e), ERR_NOT_FOUND);
    ecg_record_free(&r);
    assert_int_equal(issues, 1); /* told once */
    /* and comes through the store whole, standardized as it is */
    struct contract c;
    contract_default(&c);
    c.sample_count = T;
    c.normalization = NORMALIZE_LEAD_RECORD;
    struct store *s;
    if (store_open(&s, &m, SPLIT_TRAIN, &c, &(struct store_options){.threads = 2}, &e) != ERR_OK)
        fail_msg("%s", e.message);
    assert_true(store_count(s) == 2 && store_quarantined(s) == 1 && store_length(s, 0) == 2 * T);
    float window[12 * T];
    assert_int_equal(store_copy(s, 0, T, T, window, &e), ERR_OK);
    assert_true(window[3 * T + 5] == (float)sample(5, 3, T + 5));
    store_close(s);
    assert_int_equal(manifest_labels(&m, NULL, &(struct label_set){0}, &e), ERR_LABELS);
    manifest_close(&m);
}

/* Labels inside the files, names made up; patients of an identification manifest. */
static void test_own_labels(void **state)
{
    (void)state;
    segment_write("c/p.mat", 0, 0, -1, (double[]){1, 0}, 2);
    segment_write("c/q.mat", 1, 0, -1, (double[]){0, 1}, 2);
    segment_write("c/three.mat", 1, 0, -1, (double[]){0, 1, 1}, 3);
    segment_write("c/odd.mat", 1, 0, -1, (double[]){0, 7}, 2);
    scratch_text(folder, "c/train.tsv", ".\np.mat\t40\t12.0\nthree.mat\t40\t12\nodd.mat\t40\t13\n");
    scratch_text(folder, "c/valid_gallery.tsv", ".\nq.mat\t40\t14\n");
    struct manifest m;
    struct label_set set;
    open_or_fail(&m, in_folder("c"));
    assert_true(m.count == 4 && m.entries[3].fold == 9);
    assert_string_equal(m.entries[0].patient, "12");
    assert_int_equal(manifest_labels(&m, NULL, &set, NULL), ERR_OK);
    assert_int_equal(set.class_count, 2);
    assert_string_equal(set.class_names[1], "label_1");
    assert_null(set.positive_weights);
    assert_true(set.labelled[0] && !set.labelled[1] && !set.labelled[2] && set.labelled[3]);
    assert_true(set.targets[0] && !set.targets[1] && !set.targets[6] && set.targets[7]);
    manifest_close(&m);
}

/* Without a manifest: recordings without labels, the segments of one in one fold. */
static void test_folder_of_segments(void **state)
{
    (void)state;
    for (int i = 0; i < 12; i++) {
        char name[64];
        snprintf(name, sizeof name, "e/r%d_%d.mat", i / 6, i % 6);
        segment_write(name, i / 6, i % 6, 1, NULL, 0);
    }
    scratch_text(folder, "e/other.mat", "no MATLAB file");
    struct manifest m;
    open_or_fail(&m, in_folder("e"));
    assert_string_equal(m.dataset->name, "records");
    assert_int_equal(m.count, 12);
    for (int i = 0; i < 12; i++) {
        assert_int_equal(m.entries[i].fold, fold_from_id(i < 6 ? "r0" : "r1"));
        assert_int_equal(strncmp(m.entries[i].id, i < 6 ? "r0_" : "r1_", 3), 0);
    }
    manifest_close(&m);
}

/* Segments of one record are of one patient: in one fold, or their leak is told. */
static void test_segments_of_a_record(void **state)
{
    (void)state;
    struct manifest m;
    struct err e = {0};
    char text[512] = ".\n";
    for (int i = 0; i < 12; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "deep/r%d_%d.mat\t40\n", i / 6,
                 8 + i % 6);
    snprintf(text + strlen(text), sizeof text - strlen(text),
             "w_1.hea\t40\n_3.mat\t40\n12.mat\t40\n");
    scratch_text(folder, "g/all.tsv", text);
    open_or_fail(&m, in_folder("g/all.tsv"));
    assert_int_equal(m.count, 15);
    for (int i = 0; i < 12; i++) {
        assert_string_equal(m.entries[i].patient, i < 6 ? "deep/r0" : "deep/r1");
        assert_int_equal(m.entries[i].fold, fold_from_id(m.entries[i].patient));
    }
    for (int i = 12; i < 15; i++) {
        assert_null(m.entries[i].patient);
        assert_int_equal(m.entries[i].fold, fold_from_id(m.entries[i].id));
    }
    assert_int_equal(m.problem_count, 0);
    manifest_close(&m);
    scratch_text(folder, "g/train.tsv", ".\nr_0.mat\t40\ns_0.mat\t40\n");
    scratch_text(folder, "g/test.tsv", ".\nr_1.mat\t40\nt_0.mat\t40\n");
    open_or_fail(&m, in_folder("g"));
    assert_int_equal(m.problem_count, 1);
    assert_string_equal(problem_of(&m, "r_0")->code, "patient-leak");
    manifest_close(&m);
    /* a row of zeros may be a record without labels; weights of classes without positives */
    segment_write("g/r_0.mat", 0, 0, 0, NULL, 0);
    segment_write("g/s_0.mat", 0, 0, 1, NULL, 0);
    segment_write("g/r_1.mat", 0, 0, 0, NULL, 0);
    segment_write("g/t_0.mat", 0, 0, 2, NULL, 0);
    table_write("g/y.npy", (double[]){0, 0, 1, 0, 0, 1}, 3, 2);
    scratch_text(folder, "g/pos_weight.txt", "[2.000000, inf]\n");
    open_or_fail(&m, in_folder("g"));
    struct label_set set;
    if (manifest_labels(&m, NULL, &set, &e) != ERR_OK)
        fail_msg("%s", e.message);
    assert_true(set.positive_weights[0] == 2 && isinf(set.positive_weights[1]));
    assert_true(set.labelled[0] && set.labelled[3]);
    assert_string_equal(problem_of(&m, "y.npy")->code, "no-positives");
    assert_non_null(strstr(problem_of(&m, "y.npy")->reason, "2 of 4 records"));
    manifest_close(&m);
}

static void expect_weights(const char *list, enum err_code code, const char *says)
{
    static const char *const values[][2] = {{"data", NULL},
                                            {"out", NULL},
                                            {"weights", "random"},
                                            {"vit.width", "16"},
                                            {"vit.depth", "1"},
                                            {"vit.heads", "2"},
                                            {"input.rate_hz", "100"},
                                            {"input.seconds", "0.4"},
                                            {"input.normalization", "lead_record"},
                                            {"bootstrap", "0"},
                                            {"positive_weights", "data"}};
    struct adapt a = {0};
    struct adapt_data data = {0};
    struct option_set set;
    struct err e = {0};
    scratch_text(folder, "h/pos_weight.txt", list);
    option_set_init(&set);
    probe_options_add(&a, &set);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        if (option_set_text(&set, values[i][0], i < 2 ? in_folder(i ? "run" : "h") : values[i][1],
                            OPTION_FROM_FLAG, &e) != ERR_OK)
            fail_msg("%s", e.message);
    a.experiment.command = "probe";
    a.experiment.threads = 1;
    enum err_code found = adapt_open(&a, &data, &e);
    if (found != code || !strstr(e.message, says))
        fail_msg("%s: expected \"%s\", found %s: %s", list, says, err_code_name(found), e.message);
    if (code == ERR_OK)
        assert_true(a.result.positive_weights[0] == 2 && a.result.positive_weights[1] == 3);
    adapt_free(&a);
    option_set_free(&set);
}

/* What cannot be a weight is refused where it would be one. */
static void test_weights_of_the_data(void **state)
{
    (void)state;
    static const char *const splits[] = {"train", "valid", "test"};
    for (int i = 0; i < 3; i++) {
        char name[64], text[64];
        snprintf(name, sizeof name, "h/%s_0.mat", splits[i]);
        segment_write(name, i, 0, i, NULL, 0);
        snprintf(name, sizeof name, "h/%s.tsv", splits[i]);
        snprintf(text, sizeof text, ".\n%s_0.mat\t40\n", splits[i]);
        scratch_text(folder, name, text);
    }
    table_write("h/y.npy", (double[]){1, 0, 0, 1, 1, 1}, 3, 2);
    scratch_text(folder, "h/label_def.csv", "name\nAF\nBlock\n");
    expect_weights("[2, 3]", ERR_OK, "");
    expect_weights("[2.000000, inf]", ERR_USAGE, "inf for the class Block");
    expect_weights("[0.000000, 3]", ERR_USAGE, "0 for the class AF");
    expect_weights("[1e10, 3]", ERR_USAGE, "the class AF");
}

static void expect_open(const char *path, enum err_code code, const char *says)
{
    struct manifest m;
    struct err e = {0};
    enum err_code found = manifest_open(path, "fairseq", NULL, &m, &e);
    if (found != code || !strstr(e.message, says))
        fail_msg("expected \"%s\", found %s: %s", says, err_code_name(found), e.message);
    manifest_close(&m);
}

static void expect_labels(const char *path, enum err_code code, const char *says)
{
    struct manifest m;
    struct label_set set;
    struct err e = {0};
    open_or_fail(&m, path);
    enum err_code found = manifest_labels(&m, NULL, &set, &e);
    if (found != code || !strstr(e.message, says))
        fail_msg("expected \"%s\", found %s: %s", says, err_code_name(found), e.message);
    manifest_close(&m);
}

static void test_bad(void **state)
{
    (void)state;
    scratch_text(folder, "d/train.tsv", "");
    expect_open(in_folder("d"), ERR_FORMAT, "empty");
    scratch_text(folder, "d/train.tsv", "/nowhere/at/all\na.mat\t40\n");
    expect_open(in_folder("d"), ERR_NOT_FOUND, "line 1");
    scratch_text(folder, "d/train.tsv", ".\n../mat\na\t40\t0\t0,1\n");
    expect_open(in_folder("d"), ERR_FORMAT, "line 2");
    scratch_text(folder, "d/train.tsv", ".\na.mat,40\n");
    expect_open(in_folder("d"), ERR_FORMAT, "line 2");
    scratch_write(folder, "d/train.tsv", ".\na\0b\t40\n", 9);
    expect_open(in_folder("d"), ERR_FORMAT, "NUL");
    expect_open(in_folder("a"), ERR_FORMAT, "train.tsv");
    scratch_text(folder, "d/train.tsv", ".\na.mat\t40\n");
    segment_write("d/a.mat", 0, 0, 1, NULL, 0);
    expect_labels(in_folder("d"), ERR_LABELS, "no y.npy");
    scratch_text(folder, "d/y.npy", "no array");
    expect_labels(in_folder("d"), ERR_FORMAT, "no .npy");
    table_write("d/y.npy", (double[]){0, 0, 1, 0}, 2, 2);
    scratch_text(folder, "d/label_def.csv", "name\nA\nB\nC\n");
    expect_labels(in_folder("d"), ERR_LABELS, "names 3 classes");
    scratch_text(folder, "d/label_def.csv", "title\nA\nB\n");
    expect_labels(in_folder("d"), ERR_FORMAT, "column \"name\"");
    scratch_text(folder, "d/label_def.csv", "name\nA\nA\n");
    expect_labels(in_folder("d"), ERR_FORMAT, "twice");
    scratch_text(folder, "d/label_def.csv", "name\nA\nB\n");
    scratch_text(folder, "d/pos_weight.txt", "[1, 2, 3]");
    expect_labels(in_folder("d"), ERR_LABELS, "a list of 2 weights");
    scratch_text(folder, "d/pos_weight.txt", "[1, -1]");
    expect_labels(in_folder("d"), ERR_LABELS, "weight 2 is no number from 0");
    scratch_text(folder, "d/pos_weight.txt", "[1, two]");
    expect_labels(in_folder("d"), ERR_LABELS, "weight 2 is no number");
    scratch_text(folder, "d/pos_weight.txt", "[nan, 1]");
    expect_labels(in_folder("d"), ERR_LABELS, "weight 1 is no number");
    scratch_text(folder, "d/pos_weight.txt", "");
    expect_labels(in_folder("d"), ERR_LABELS, "found 0");
    scratch_write(folder, "d/pos_weight.txt", "[1, 2\0]", 8);
    expect_labels(in_folder("d"), ERR_LABELS, "found 0");
    scratch_text(folder, "d/pos_weight.txt", "{\"A\": 1, \"B\": 2}");
    expect_labels(in_folder("d"), ERR_LABELS, "found 0");
    scratch_text(folder, "d/pos_weight.txt", "[1, 2]");
    expect_labels(in_folder("d"), ERR_OK, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_training_manifest),   cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_own_labels),          cmocka_unit_test(test_bad),
        cmocka_unit_test(test_folder_of_segments),  cmocka_unit_test(test_segments_of_a_record),
        cmocka_unit_test(test_weights_of_the_data),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
