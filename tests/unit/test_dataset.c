/* Data sets: recognition, the tasks of PTB-XL against published figures, hostile tables, problems. */
#define _GNU_SOURCE
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <zlib.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/str.h"
#include "data/dataset.h"
#include "data/pydict.h"
#include "format/csv.h"

#include "scratch.h"

#define DATA "../shared/data/"

static struct manifest open_set(const char *root, const char *name, double rate_hz)
{
    struct manifest m;
    struct err e = {0};
    struct manifest_options options = {.rate_hz = rate_hz};
    if (manifest_open(root, name, &options, &m, &e) != ERR_OK)
        fail_msg("%s", e.message);
    return m;
}

static struct label_set labels_of(struct manifest *m, const char *task)
{
    struct label_set set;
    struct err e = {0};
    if (manifest_labels(m, task, &set, &e) != ERR_OK)
        fail_msg("%s", e.message);
    return set;
}

static int64_t problems_with(const struct manifest *m, const char *code)
{
    int64_t n = 0;
    for (int64_t i = 0; i < m->problem_count; i++)
        n += strcmp(m->problems[i].code, code) == 0;
    return n;
}

static int64_t entry_index(const struct manifest *m, const char *id)
{
    for (int64_t i = 0; i < m->count; i++)
        if (strcmp(m->entries[i].id, id) == 0)
            return i;
    return -1;
}

/* The Python dictionary */

static void dictionaries(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, "test", 0);
    const struct manifest_code *items;
    int64_t n;
    assert_int_equal(pydict_parse(&a, "{'NORM': 100.0, \"LAO/LAE\" : 0, 'PRC(S)':1.5e1 }", &items,
                                  &n, NULL),
                     ERR_OK);
    assert_int_equal(n, 3);
    assert_string_equal(items[0].code, "NORM");
    assert_true(items[0].likelihood == 100.0);
    assert_string_equal(items[1].code, "LAO/LAE");
    assert_string_equal(items[2].code, "PRC(S)");
    assert_true(items[2].likelihood == 15.0);
    assert_int_equal(pydict_parse(&a, " {} ", &items, &n, NULL), ERR_OK);
    assert_int_equal(n, 0);
    const char *const bad[] = {
        "",
        "{",
        "}",
        "{'A'}",
        "{'A':}",
        "{'A': 1",
        "{'A': 1,}",
        "{,}",
        "{'A': 1 'B': 2}",
        "{'A: 1}",
        "{A: 1}",
        "{'A': 'x'}",
        "{'A': nan}",
        "{'A': -1}",
        "{'A': 101}",
        "{'A': 1}}",
        "{'A': 1} x",
        "{'': 1}",
        "{'A': 1, 'A': 2}",
        "{'A\\'': 1}",
        "{'A': 1e999}",
        "{'A': 0x1}",
        "{'A': 1.0.0}",
        "['A']",
        "{'A': {'B': 1}}",
        "{'A\n': 1}",
        "{'A': 1 + 1}",
        "{'A': 00000000000000000000000000000000000000001}",
        "{'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA': 1}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err e = {0};
        if (pydict_parse(&a, bad[i], &items, &n, &e) != ERR_FORMAT)
            fail_msg("%s was taken", bad[i]);
    }
    char many[16 * 300] = "{";
    for (int i = 0; i < 257; i++)
        snprintf(many + strlen(many), sizeof many - strlen(many), "%s'%d':0", i ? "," : "", i);
    strncat(many, "}", 2);
    assert_int_equal(pydict_parse(&a, many, &items, &n, NULL), ERR_LIMIT);
    /* Every cut of a good one is refused. */
    const char *good = "{'NORM': 100.0, 'SR': 0.0}";
    for (size_t i = 0; i < strlen(good); i++) {
        char *cut = strndup(good, i);
        assert_int_equal(pydict_parse(&a, cut, &items, &n, NULL), ERR_FORMAT);
        free(cut);
    }
    arena_reset(&a);
}

/* PTB-XL, the whole table */

/* A folder with the official table and the statements, no records. */
static char *whole_ptbxl_make(void)
{
    if (!file_exists(DATA "label-tables/ptbxl_database_v1.0.1.csv.gz") ||
        !file_exists(DATA "ptbxl/scp_statements.csv"))
        return NULL;
    char *root = scratch_make();
    struct buf text, statements;
    buf_init(&text, 0);
    gzFile in = gzopen(DATA "label-tables/ptbxl_database_v1.0.1.csv.gz", "rb");
    char block[65536];
    int n;
    while ((n = gzread(in, block, sizeof block)) > 0)
        buf_append(&text, block, (size_t)n);
    gzclose(in);
    scratch_write(root, "ptbxl_database.csv", text.data, text.len);
    assert_int_equal(file_read(DATA "ptbxl/scp_statements.csv", 0, &statements, NULL), ERR_OK);
    scratch_write(root, "scp_statements.csv", statements.data, statements.len);
    buf_free(&text);
    buf_free(&statements);
    return root;
}

static void ptbxl_tasks_match_published_counts(void **state)
{
    (void)state;
    char *root = whole_ptbxl_make();
    if (!root)
        skip();
    struct manifest m = open_set(root, NULL, 0);
    assert_string_equal(m.dataset->name, "ptbxl");
    assert_int_equal(m.count, 21837);
    assert_int_equal(m.problem_count, 0);
    assert_false(m.synthetic);
    /* Records with a label in folds 1-8, 9, 10: published for version 1.0.3, which left out some
     * duplicates and recordings of 1.0.1; and those of 1.0.1, with all its labels, counted by other means. */
    const struct {
        const char *task;
        int64_t classes;
        int64_t published[3], folds[3], labels;
    } tasks[] = {
        {"all", 71, {0, 0, 0}, {17441, 2193, 2203}, 61119},
        {"diag", 44, {0, 0, 0}, {17111, 2156, 2163}, 30793},
        {"sub", 23, {17084, 2146, 2158}, {17111, 2156, 2163}, 30332},
        {"super", 5, {17084, 2146, 2158}, {17111, 2156, 2163}, 27826},
        {"form", 19, {7197, 901, 880}, {7202, 904, 882}, 12014},
        {"rhythm", 12, {16832, 2100, 2098}, {16854, 2109, 2103}, 21210},
    };
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++) {
        struct label_set set = labels_of(&m, tasks[i].task);
        int64_t folds[3] = {0, 0, 0}, labels = 0;
        assert_int_equal(set.class_count, tasks[i].classes);
        for (int64_t r = 0; r < m.count; r++) {
            int fold = m.entries[r].fold;
            folds[fold <= 8 ? 0 : fold - 8] += set.labelled[r];
            for (int64_t k = 0; k < set.class_count; k++)
                labels += set.targets[r * set.class_count + k];
        }
        assert_int_equal(labels, tasks[i].labels);
        for (int f = 0; f < 3; f++) {
            assert_int_equal(folds[f], tasks[i].folds[f]);
            if (tasks[i].published[f])
                assert_true(folds[f] - tasks[i].published[f] >= 0 &&
                            folds[f] - tasks[i].published[f] < tasks[i].published[f] / 300 + 8);
        }
        for (int64_t k = 0; k < set.class_count; k++)
            assert_true(set.class_titles[k][0] && set.class_codes[k][0]);
    }
    struct label_set set = labels_of(&m, NULL); /* the default */
    const char *const names[] = {"NORM", "MI", "STTC", "CD", "HYP"};
    assert_string_equal(set.task, "super");
    for (int k = 0; k < 5; k++)
        assert_string_equal(set.class_names[k], names[k]);
    assert_true(m.entries[0].sex == SEX_FEMALE && m.entries[1].sex == SEX_MALE);
    assert_true(m.entries[0].age_years == 56.0);
    assert_string_equal(m.entries[0].patient, "15709");
    assert_non_null(strstr(m.entries[0].path, "/records100/00000/00001_lr.hea"));
    struct label_set none;
    struct err e = {0};
    assert_int_equal(manifest_labels(&m, "superb", &none, &e), ERR_USAGE);
    assert_non_null(strstr(e.message, "super|sub|diag|form|rhythm|all"));
    manifest_close(&m);
    scratch_remove(root);
    free(root);
}

/* The benchmark's own label matrix for fold 10, task all: rows as in test_ecg_ids.txt, columns as in
 * classes.txt (byte order). */
static void ptbxl_labels_match_the_benchmark(void **state)
{
    (void)state;
    char *root = whole_ptbxl_make();
    const char *folder = DATA "label-tables/ecg_ptbxl_benchmarking/";
    char path[200];
    struct buf ids, matrix;
    snprintf(path, sizeof path, "%sdata_y_test.int8.npy", folder);
    if (!root || !file_exists(path))
        skip();
    assert_int_equal(file_read(path, 0, &matrix, NULL), ERR_OK);
    snprintf(path, sizeof path, "%stest_ecg_ids.txt", folder);
    assert_int_equal(file_read(path, 0, &ids, NULL), ERR_OK);
    const int64_t R = 2203, K = 71;
    assert_true(matrix.len > (size_t)(R * K));
    const char *want = matrix.data + matrix.len - R * K;
    struct manifest m = open_set(root, NULL, 0);
    struct label_set set = labels_of(&m, "all");
    int64_t column[71]; /* our class k stands in their column[k] */
    for (int64_t k = 0; k < K; k++) {
        column[k] = 0;
        for (int64_t other = 0; other < K; other++)
            column[k] += strcmp(set.class_names[other], set.class_names[k]) < 0;
    }
    int64_t row = 0, at = 0;
    for (char *id = strtok_r(ids.data, "\r\n", &(char *){0}); id; row++) {
        while (at < m.count && strcmp(m.entries[at].id, id) != 0)
            at++;
        assert_true(at < m.count);
        assert_int_equal(m.entries[at].fold, 10);
        for (int64_t k = 0; k < K; k++)
            assert_int_equal(set.targets[at * K + k], want[row * K + column[k]]);
        id += strlen(id) + 1;
        id += strspn(id, "\r\n");
        id[strcspn(id, "\r\n")] = '\0';
        if (!*id)
            id = NULL;
    }
    assert_int_equal(row, R);
    buf_free(&ids);
    buf_free(&matrix);
    manifest_close(&m);
    scratch_remove(root);
    free(root);
}

/* MERL's published matrices of fold 10 (version 1.0.3, hence a few differences). */
static void ptbxl_labels_match_merl(void **state)
{
    (void)state;
    const struct {
        const char *file, *task;
    } splits[] = {{"super_class", "super"},
                  {"sub_class", "sub"},
                  {"form", "form"},
                  {"rhythm", "rhythm"}};
    char *root = whole_ptbxl_make();
    if (!root || !file_exists(DATA "label-tables/merl-ptbxl-splits/ptbxl_form_test.csv"))
        skip();
    struct manifest m = open_set(root, NULL, 0);
    for (size_t s = 0; s < 4; s++) {
        char path[200];
        struct csv t;
        snprintf(path, sizeof path, DATA "label-tables/merl-ptbxl-splits/ptbxl_%s_test.csv",
                 splits[s].file);
        assert_int_equal(csv_read(path, (size_t)1 << 24, &t, NULL), ERR_OK);
        struct label_set set = labels_of(&m, splits[s].task);
        int64_t column[71], different = 0, compared = 0, at = 0;
        for (int64_t k = 0; k < set.class_count; k++) {
            char name[32] = ""; /* written there without underscores at either end */
            const char *from = set.class_names[k] + strspn(set.class_names[k], "_");
            strncat(name, from, sizeof name - 1);
            while (name[0] && name[strlen(name) - 1] == '_')
                name[strlen(name) - 1] = '\0';
            column[k] = csv_column(&t, name);
            assert_true(column[k] >= 0);
        }
        for (int64_t row = 0; row < t.row_count; row++) {
            while (at < m.count && strcmp(m.entries[at].id, csv_cell(&t, row, 0)) != 0)
                at++;
            assert_true(at < m.count);
            for (int64_t k = 0; k < set.class_count; k++, compared++)
                different += set.targets[at * set.class_count + k] !=
                             (csv_cell(&t, row, column[k])[0] == '1');
        }
        assert_true(compared > 8000);
        if (different * 1000 > compared)
            fail_msg("%s: %lld of %lld labels differ", splits[s].task, (long long)different,
                     (long long)compared);
        csv_free(&t);
    }
    manifest_close(&m);
    scratch_remove(root);
    free(root);
}

static void ptbxl_subsets(void **state)
{
    (void)state;
    if (!dir_exists(DATA "ptbxl"))
        skip();
    struct manifest_options check = {.check_files = true};
    struct manifest m;
    assert_int_equal(manifest_open(DATA "ptbxl", NULL, &check, &m, NULL), ERR_OK);
    assert_int_equal(m.count, 1497);
    assert_int_equal(m.problem_count, 0);
    struct label_set set = labels_of(&m, "all");
    assert_int_equal(set.class_count, 71); /* not only those that occur here */
    uint64_t hash = m.hash;
    int64_t splits[3] = {0, 0, 0};
    for (int64_t i = 0; i < m.count; i++)
        for (int s = SPLIT_TRAIN; s <= SPLIT_TEST; s++)
            splits[s] += entry_in_split(&m.entries[i], (enum data_split)s);
    assert_int_equal(splits[0] + splits[1] + splits[2], 1497);
    assert_int_equal(splits[SPLIT_TEST], 191);
    manifest_close(&m);
    m = open_set(DATA "ptbxl/", "ptbxl", 500);
    assert_non_null(strstr(m.entries[0].path, "records500/00000/00001_hr.hea"));
    assert_true(m.hash != hash);
    manifest_close(&m);
    m = open_set(DATA "ptbxl/", NULL, 100); /* a slash more is the same data set */
    assert_true(m.hash == hash);
    manifest_close(&m);
    check.rate_hz = 500;
    assert_int_equal(manifest_open(DATA "ptbxl", NULL, &check, &m, NULL), ERR_OK);
    assert_int_equal(m.count, 50); /* the others are not there, and are counted */
    assert_int_equal(problems_with(&m, "not-found"), 1447);
    assert_int_equal(m.left_out, 1447);
    manifest_close(&m);
    m = open_set(DATA "ptbxl-zscored", NULL, 500); /* only 100 Hz on disk */
    assert_int_equal(m.count, 1039);
    assert_non_null(strstr(m.entries[0].path, "records100/"));
    manifest_close(&m);
}

/* Tables that are not what they should be */

static const char statements[] =
    ",description,diagnostic,form,rhythm,diagnostic_class,diagnostic_subclass\n"
    "NORM,normal ECG,1.0,,,NORM,NORM\n"
    "IMI,inferior infarction,1.0,,,MI,IMI\n"
    "NDT,non-diagnostic T,1.0,1.0,,STTC,STTC\n"
    "SR,sinus rhythm,,,1.0,,\n";

/* A set that has one rate alone leaves the other column empty: asked for 500 Hz, it is read at 100. */
static void ptbxl_of_one_rate_is_read(void **state)
{
    (void)state;
    char *root = scratch_make();
    scratch_text(root, "scp_statements.csv", statements);
    scratch_text(root, "ptbxl_database.csv",
                 "ecg_id,patient_id,age,sex,report,scp_codes,strat_fold,filename_lr,filename_hr\n"
                 "1,10.0,30.0,0,,\"{'NORM': 0.0}\",1,a/1,\n"
                 "2,11.0,,1,,\"{'NORM': 1.0}\",2,a/2,\n");
    char path[600];
    snprintf(path, sizeof path, "%s/a", root);
    assert_int_equal(mkdir(path, 0700), 0);
    struct manifest m = open_set(root, NULL, 500);
    assert_int_equal(m.count, 2);
    assert_non_null(strstr(m.entries[0].path, "a/1"));
    manifest_close(&m);
    scratch_remove(root);
    free(root);
}

static void ptbxl_problems_are_counted(void **state)
{
    (void)state;
    char *root = scratch_make();
    scratch_text(root, "scp_statements.csv", statements);
    scratch_text(root, "SYNTHETIC.txt", "made by hand\n");
    scratch_text(root, "ptbxl_database.csv",
                 "ecg_id,patient_id,age,sex,report,scp_codes,strat_fold,filename_lr,filename_hr\n"
                 "1,10.0,300.0,0,\"two\nlines\",\"{'NORM': 0.0, 'SR': 0.0}\",1,a/1,b/1\n"
                 "2,11.0,,1,,\"{'IMI': 35.0, 'XXX': 0.0}\",2,a/2,b/2\n"
                 "2,11.0,,1,,\"{'NORM': 1.0}\",2,a/2,b/2\n"                 /* the id again */
                 "3,12.0,-4,7,,\"{'NORM': 1.0}\",11,a/3,b/3\n"              /* no such fold */
                 "4,13.0,1e9,,,\"{'NORM': 1.0}\",3,../../etc/x,b/4\n"       /* leaves the folder */
                 "5,14.0,44,0,,{'NORM'},3,a/5,b/5\n"                        /* not a dictionary */
                 "6,10.0,44,0,,\"{'NDT': 100.0, 'XXX': 0.0}\",10,a/6,b/6\n" /* patient 10 again */
                 ",10.0,44,0,,\"{'NDT': 100.0}\",1,a/7,b/7\n"
                 "8,15.0,44,0,,{},,a/8,b/8\n"
                 "9,16.0,44,0,,{},4.0,,b/9\n");
    struct manifest m = open_set(root, NULL, 0);
    assert_int_equal(m.count, 4); /* 1, 2, 5, 6 */
    assert_true(m.synthetic);
    assert_string_equal(m.title, "PTB-XL (synthetic)");
    assert_int_equal(problems_with(&m, "duplicate-id"), 1);
    assert_int_equal(problems_with(&m, "bad-fold"), 2);
    assert_int_equal(problems_with(&m, "bad-path"), 2);
    assert_int_equal(problems_with(&m, "bad-codes"), 1);
    assert_int_equal(problems_with(&m, "bad-id"), 1);
    assert_int_equal(problems_with(&m, "unknown-code"), 1); /* XXX, of two records */
    assert_int_equal(problems_with(&m, "patient-leak"), 1);
    assert_int_equal(m.problem_count, 9);
    assert_int_equal(m.left_out, 6);
    assert_true(m.entries[0].age_years == 300.0 && isnan(m.entries[1].age_years));
    struct label_set super = labels_of(&m, "super"), form = labels_of(&m, "form");
    assert_int_equal(super.class_count, 5);
    assert_int_equal(form.class_count, 1);
    const uint8_t want[4][5] = {{1}, {0, 1}, {0}, {0, 0, 1}};
    for (int i = 0; i < 4; i++) {
        assert_memory_equal(super.targets + 5 * i, want[i], 5);
        assert_int_equal(super.labelled[i], i != 2);
        assert_int_equal(form.labelled[i], i == 3);
    }
    manifest_close(&m);
    scratch_remove(root);
    free(root);
}

static void broken_tables_are_refused_by_name(void **state)
{
    (void)state;
    const struct {
        const char *statements, *database, *needle;
    } cases[] = {
        {statements, "ecg_id,scp_codes,strat_fold\n1,{},1\n", "filename_lr"},
        {statements, "scp_codes,strat_fold,filename_lr\n{},1,a\n", "ecg_id"},
        {statements, "ecg_id,strat_fold,filename_lr\n1,1,a\n", "scp_codes"},
        {statements, "ecg_id,scp_codes,filename_lr\n1,{},a\n", "strat_fold"},
        {statements, "ecg_id,scp_codes,strat_fold,filename_lr\n", "no usable record"},
        {statements, "", "ptbxl_database.csv"},
        {statements, "ecg_id,scp_codes,strat_fold,filename_lr\n1,\"{},1,a\n", "quote"},
        {"", "ecg_id,scp_codes,strat_fold,filename_lr\n1,{},1,a\n", "scp_statements.csv"},
        {"a,b\n", "ecg_id,scp_codes,strat_fold,filename_lr\n1,{},1,a\n", "scp_statements.csv"},
        {",description,diagnostic,form,rhythm,diagnostic_class,diagnostic_subclass\nA,a,1,,,,\n",
         "ecg_id,scp_codes,strat_fold,filename_lr\n1,{},1,a\n", "no class"},
        {",description,diagnostic,form,rhythm,diagnostic_class,diagnostic_subclass\n"
         "A,a,,1,,,\nA,b,,1,,,\n",
         "ecg_id,scp_codes,strat_fold,filename_lr\n1,{},1,a\n", "twice"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *root = scratch_make(), text[4096];
        struct manifest m;
        struct err e = {0};
        scratch_text(root, "scp_statements.csv", cases[i].statements);
        scratch_text(root, "ptbxl_database.csv", cases[i].database);
        assert_int_equal(manifest_open(root, NULL, NULL, &m, &e), ERR_FORMAT);
        err_format(&e, text, sizeof text);
        if (!strstr(text, cases[i].needle))
            fail_msg("case %zu: \"%s\" does not name \"%s\"", i, text, cases[i].needle);
        manifest_close(&m);
        scratch_remove(root);
        free(root);
    }
    struct manifest m;
    assert_int_equal(manifest_open("/nowhere/at/all", NULL, NULL, &m, NULL), ERR_NOT_FOUND);
    manifest_close(&m);
    char *root = scratch_make();
    scratch_text(root, "readme.txt", "nothing here\n");
    assert_int_equal(manifest_open(root, NULL, NULL, &m, NULL), ERR_FORMAT);
    manifest_close(&m);
    struct err e = {0};
    assert_int_equal(manifest_open(root, "ptb", NULL, &m, &e), ERR_USAGE);
    assert_non_null(
        strstr(e.message, "ptbxl, cinc2021, cinc2017, cpsc2018, fairseq, folder, records"));
    manifest_close(&m);
    scratch_remove(root);
    free(root);
}

/* Every cut of every table, and every byte of it replaced: an answer, never a crash. */
static void damaged_tables_do_no_harm(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *other_name, *other;
    } tables[] = {
        {"ptbxl_database.csv",
         "ecg_id,patient_id,age,sex,scp_codes,strat_fold,filename_lr\n"
         "1,10.0,56.0,0,\"{'NORM': 0.0, 'SR': 1.5}\",1,a/1\n2,11,7,1,{},10,a/2\n",
         "scp_statements.csv", statements},
        {"scp_statements.csv", statements, "ptbxl_database.csv",
         "ecg_id,scp_codes,strat_fold,filename_lr\n1,{'NORM': 0},1,a/1\n"},
        {"labels.csv", "file,labels,fold,age\n\"a\",AF;\"\"b,1,5\nc/d,x|y,10,\n", "x", ""},
        {"labels.csv", "id,A,B,n\n1,0,1,7\n2,1.0,,8\n", "x", ""},
        {"REFERENCE.csv", "A1,N\nA2,A\nA3,~\n", "x", ""},
        {"a.hea", "a 1 100 2\na.dat 16\n#Age: 5\n# Dx: 1,2\n", "x", ""},
        {"b.hea", "b/2 1 100 20\na 10\n~ 10\n", "x", ""},
    };
    static const char bytes[] = {'\0', '"', ',', '\n', '\xff', '9', '{'};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        char *root = scratch_make(), *text = strdup(tables[i].text);
        size_t size = strlen(text);
        scratch_text(root, tables[i].other_name, tables[i].other);
        for (size_t at = 0; at <= size; at++)
            for (size_t k = 0; k <= (at < size ? sizeof bytes : 0); k++) {
                struct manifest m;
                struct label_set set;
                char kept = text[at];
                if (k > 0)
                    text[at] = bytes[k - 1];
                scratch_write(root, tables[i].name, text, k > 0 ? size : at);
                if (manifest_open(root, NULL, NULL, &m, NULL) == ERR_OK) {
                    for (int64_t r = 0; r < m.count; r++)
                        assert_true(m.entries[r].fold >= 1 && m.entries[r].fold <= 10 &&
                                    m.entries[r].id[0] && m.entries[r].path[0]);
                    if (manifest_labels(&m, NULL, &set, NULL) == ERR_OK)
                        assert_true(set.class_count > 0);
                }
                manifest_close(&m);
                text[at] = kept;
            }
        scratch_remove(root);
        free(root);
        free(text);
    }
}

/* CinC */

static void cinc2021(void **state)
{
    (void)state;
    if (!dir_exists(DATA "cinc2021"))
        skip();
    struct manifest_options check = {.check_files = true};
    struct manifest m;
    assert_int_equal(manifest_open(DATA "cinc2021", NULL, &check, &m, NULL), ERR_OK);
    assert_string_equal(m.dataset->name, "cinc2021");
    assert_int_equal(m.count, 53);
    assert_int_equal(m.problem_count, 0);
    int64_t i = entry_index(&m, "E07500");
    assert_true(i >= 0 && m.entries[i].age_years == 78 && m.entries[i].sex == SEX_MALE);
    assert_int_equal(m.entries[i].code_count, 2);
    assert_string_equal(m.entries[i].codes[0].code, "67741000119109");
    struct label_set set = labels_of(&m, NULL);
    assert_string_equal(set.task, "scored");
    assert_int_equal(set.class_count, 26);
    int64_t pacs = 0, pvcs = 0;
    for (int64_t k = 0; k < 26; k++)
        for (int64_t r = 0; r < m.count; r++) {
            pacs += strcmp(set.class_names[k], "PAC|SVPB") == 0 && set.targets[r * 26 + k];
            pvcs += strcmp(set.class_names[k], "PVC|VPB") == 0 && set.targets[r * 26 + k];
        }
    assert_int_equal(pacs, 20);
    assert_int_equal(pvcs, 5);
    set = labels_of(&m, "all");
    assert_int_equal(set.class_count, 28);
    int64_t named = 0;
    for (int64_t k = 0; k < set.class_count; k++)
        named += strcmp(set.class_names[k], set.class_codes[k]) != 0;
    assert_int_equal(named, 15);
    for (int64_t r = 0; r < m.count; r++)
        assert_true(m.entries[r].fold == fold_from_id(m.entries[r].id));
    manifest_close(&m);
}

/* The scored classes are those of the challenge's weight table, in its order. */
static void cinc2021_classes_match_the_weight_table(void **state)
{
    (void)state;
    struct csv t;
    const char *path = DATA "label-tables/evaluation-2021/weights.csv";
    if (!file_exists(path) || !dir_exists(DATA "cinc2021"))
        skip();
    struct manifest m = open_set(DATA "cinc2021", NULL, 0);
    struct label_set set = labels_of(&m, "scored");
    assert_int_equal(csv_read(path, 1 << 20, &t, NULL), ERR_OK);
    assert_int_equal(t.column_count, set.class_count + 1);
    for (int64_t k = 0; k < set.class_count; k++)
        assert_string_equal(t.header[k + 1], set.class_codes[k]);
    csv_free(&t);
    assert_int_equal(csv_read(DATA "label-tables/evaluation-2021/weights_abbreviations.csv",
                              1 << 20, &t, NULL),
                     ERR_OK);
    for (int64_t k = 0; k < set.class_count; k++)
        assert_string_equal(t.header[k + 1], set.class_names[k]);
    csv_free(&t);
    manifest_close(&m);
}

static void cinc2021_hostile_headers(void **state)
{
    (void)state;
    char *root = scratch_make(), many[2000] = "#Dx: ";
    for (int i = 0; i < 100; i++)
        snprintf(many + strlen(many), sizeof many - strlen(many), "%d,", i);
    scratch_text(root, "g1/A1.hea", "A1 12 500 5000\r\n# Age: NaN\r\n#Sex:F\r\n# Dx: 1 , ,2\r\n");
    scratch_text(root, "g1/A2.hea", "A2 12 500 5000\n#Age: 91\n#Sex: Unknown\n");
    scratch_text(root, "g1/A3.hea", many);
    scratch_text(root, "g2/A1.hea", "#Dx:3"); /* the same id in another folder */
    scratch_write(root, "g2/A4.hea", "\0\0#Dx:4\n\n#", 10);
    scratch_text(root, "g2/A5.hea", "");
    char link[600];
    snprintf(link, sizeof link, "%s/g2/loop", root);
    assert_int_equal(symlink(root, link), 0);
    struct manifest m = open_set(root, NULL, 0);
    assert_string_equal(m.dataset->name, "cinc2021");
    assert_int_equal(m.count, 5);
    assert_int_equal(problems_with(&m, "duplicate-id"), 1);
    assert_int_equal(problems_with(&m, "bad-codes"), 1);
    assert_int_equal(problems_with(&m, "no-labels"), 3);
    assert_int_equal(m.entries[0].code_count, 2);
    assert_true(isnan(m.entries[0].age_years) && m.entries[0].sex == SEX_FEMALE);
    assert_int_equal(m.entries[2].code_count, 64);
    manifest_close(&m);
    scratch_remove(root);
    free(root);
}

static void cinc2017(void **state)
{
    (void)state;
    if (!dir_exists(DATA "cinc2017"))
        skip();
    struct manifest_options check = {.check_files = true};
    struct manifest m;
    assert_int_equal(manifest_open(DATA "cinc2017", NULL, &check, &m, NULL), ERR_OK);
    assert_string_equal(m.dataset->name, "cinc2017");
    assert_int_equal(m.count, 450);
    struct label_set set = labels_of(&m, NULL);
    int64_t counts[4] = {0}, folds[11] = {0};
    for (int64_t i = 0; i < m.count; i++) {
        folds[m.entries[i].fold]++;
        for (int k = 0; k < 4; k++)
            counts[k] += set.targets[4 * i + k];
    }
    assert_true(counts[0] == 180 && counts[1] == 120 && counts[2] == 120 && counts[3] == 30);
    for (int fold = 1; fold <= 10; fold++)
        assert_true(folds[fold] > 20 && folds[fold] < 70);
    manifest_close(&m);
}

/* Up to three numbered labels a record; what is no class is told, as are repeated and wrong names. */
static void cpsc2018(void **state)
{
    (void)state;
    char *root = scratch_make();
    scratch_text(root, "REFERENCE.csv",
                 "Recording,First_label,Second_label,Third_label\n"
                 "A0001,5,,\nA0002,1.0,,\nA0003,2,5,8\nA0003,1,,\n../A0004,1,,\n"
                 "A0005,12,3,\nA0006,,,\n");
    struct manifest m = open_set(root, NULL, 0);
    assert_string_equal(m.dataset->name, "cpsc2018");
    assert_int_equal(m.count, 5);
    assert_true(str_ends_with(m.entries[2].path, "/A0003.mat"));
    assert_int_equal(m.entries[2].fold, fold_from_id("A0003"));
    assert_int_equal(problems_with(&m, "duplicate-id"), 1);
    assert_int_equal(problems_with(&m, "bad-path"), 1);
    assert_int_equal(problems_with(&m, "no-labels"), 1);
    assert_int_equal(problems_with(&m, "unknown-code"), 1);
    struct label_set set = labels_of(&m, NULL);
    assert_int_equal(set.class_count, 9);
    assert_string_equal(set.class_names[4], "RBBB");
    const uint8_t want[5][9] = {{[4] = 1}, {[0] = 1}, {[1] = 1, [4] = 1, [7] = 1}, {[2] = 1}, {0}};
    const uint8_t labelled[5] = {1, 1, 1, 1, 0};
    assert_memory_equal(set.targets, want, sizeof want);
    assert_memory_equal(set.labelled, labelled, sizeof labelled);
    manifest_close(&m);
    scratch_text(root, "REFERENCE.csv", "Recording,Second_label\nA0001,5\n");
    struct err e = {0};
    assert_int_equal(manifest_open(root, "cpsc2018", NULL, &m, &e), ERR_FORMAT);
    assert_non_null(strstr(e.message, "First_label"));
    manifest_close(&m);
    scratch_remove(root);
    free(root);
}

static void cinc2017_problems(void **state)
{
    (void)state;
    char *root = scratch_make();
    scratch_text(root, "REFERENCE.csv", "A1,N\nA2,A\n");
    scratch_text(root, "REFERENCE-v3.csv", "A1,N\nA2,Q\n../A3,N\nA1,O\nA4,\n");
    struct manifest m = open_set(root, NULL, 0);
    assert_int_equal(m.count, 3); /* A1, A2, A4 of the revised table */
    assert_int_equal(problems_with(&m, "unknown-code"), 1);
    assert_int_equal(problems_with(&m, "bad-path"), 1);
    assert_int_equal(problems_with(&m, "duplicate-id"), 1);
    assert_int_equal(problems_with(&m, "no-labels"), 1);
    struct label_set set = labels_of(&m, NULL);
    assert_true(set.labelled[0] && !set.labelled[1] && !set.labelled[2]);
    manifest_close(&m);
    scratch_text(root, "REFERENCE-v3.csv", "Recording,First_label,Second_label\nA1,1,\n");
    assert_int_equal(manifest_open(root, NULL, NULL, &m, NULL), ERR_FORMAT); /* CPSC 2018 */
    manifest_close(&m);
    scratch_remove(root);
    free(root);
}

/* Folders */

static void folder_with_a_list_of_labels(void **state)
{
    (void)state;
    char *root = scratch_make();
    scratch_text(root, "labels.csv",
                 "\xEF\xBB\xBF"
                 "File,Labels,Fold,Patient,Age,Sex\r\n"
                 "a/one.hea,AF; LBBB ,1,p1,50,F\r\n"
                 "a/two,\"AF|quoted, with comma\",9,p2,,male\r\n"
                 "three,,10,p1,1,\r\n"
                 "/etc/passwd,AF,1,p3,,\r\n"
                 "four,;;,0,p4,,\r\n"
                 "five,;;,2,p5,,\r\n");
    struct manifest m = open_set(root, NULL, 0);
    assert_string_equal(m.dataset->name, "folder");
    assert_int_equal(m.count, 4);
    assert_string_equal(m.entries[0].id, "a/one");
    assert_string_equal(m.entries[1].id, "a/two");
    assert_int_equal(problems_with(&m, "bad-path"), 1);
    assert_int_equal(problems_with(&m, "bad-fold"), 1);
    assert_int_equal(problems_with(&m, "patient-leak"), 1);
    struct label_set set = labels_of(&m, "labels");
    assert_int_equal(set.class_count, 3);
    assert_string_equal(set.class_names[0], "AF");
    assert_string_equal(set.class_names[2], "quoted, with comma");
    const uint8_t want[] = {1, 1, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0}, labelled[] = {1, 1, 0, 0};
    assert_memory_equal(set.targets, want, sizeof want);
    assert_memory_equal(set.labelled, labelled, sizeof labelled);
    manifest_close(&m);
    scratch_remove(root);
    free(root);
}

static void folder_with_a_column_per_class(void **state)
{
    (void)state;
    char *root = scratch_make();
    scratch_text(root, "labels.csv",
                 "id,AF,heart_rate,VT,note\n"
                 "one,1,60,0,x\n"
                 "two,0,70,0,\n"
                 "three,1.0,80,,\n"
                 "four,0,0,1,\n");
    struct manifest m = open_set(root, NULL, 0);
    struct label_set set = labels_of(&m, NULL);
    assert_int_equal(m.count, 4);
    assert_int_equal(set.class_count, 2);
    assert_string_equal(set.class_names[1], "VT");
    const uint8_t want[] = {1, 0, 0, 0, 0, 0, 0, 1}, labelled[] = {1, 1, 0, 1};
    assert_memory_equal(set.targets, want, sizeof want);
    assert_memory_equal(set.labelled, labelled, sizeof labelled);
    assert_int_equal(problems_with(&m, "no-labels"), 1);
    assert_non_null(strstr(m.label_note, "columns not used: heart_rate, note"));
    for (int64_t i = 0; i < m.count; i++)
        assert_int_equal(m.entries[i].fold, fold_from_id(m.entries[i].id));
    manifest_close(&m);
    const char *const bad[] = {
        "", "a,b\n1,2\n", "id\n1\n", "id,x\n1,2\n", "id,A,A\n1,0,1\n", "id;labels\n1;AF\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        scratch_text(root, "labels.csv", bad[i]);
        assert_int_equal(manifest_open(root, NULL, NULL, &m, NULL), ERR_FORMAT);
        manifest_close(&m);
    }
    scratch_remove(root);
    free(root);
}

static void folder_of_records_only(void **state)
{
    (void)state;
    char *root = scratch_make();
    scratch_text(root, "b/two.hea", "two 1 100 10\n");
    scratch_text(root, "one.hea", "one 1 100 10\n");
    scratch_text(root, "one.dat", "");
    scratch_text(root, ".hidden/three.hea", "three 1 100 10\n");
    struct manifest m = open_set(root, NULL, 0);
    assert_string_equal(m.dataset->name, "records");
    assert_int_equal(m.count, 2);
    assert_string_equal(m.entries[0].id, "one");
    assert_string_equal(m.entries[1].id, "b/two");
    struct label_set set;
    assert_int_equal(manifest_labels(&m, NULL, &set, NULL), ERR_LABELS);
    manifest_close(&m);
    /* Segments belong to their record. */
    scratch_text(root, "b/long.hea", "long/3 1 100 30\nlong_layout 0\ntwo 10\n~ 20\n");
    scratch_text(root, "b/long_layout.hea", "long_layout 1 100 0\n~ 0 200 16 0 0 0 0 I\n");
    scratch_text(root, "two.hea", "two 1 100 10\n"); /* of the same name elsewhere */
    m = open_set(root, NULL, 0);
    assert_int_equal(m.count, 3);
    assert_string_equal(m.entries[0].id, "one");
    assert_string_equal(m.entries[1].id, "two");
    assert_string_equal(m.entries[2].id, "b/long");
    manifest_close(&m);
    scratch_remove(root);
    free(root);
}

static void folds_are_even(void **state)
{
    (void)state;
    int64_t counts[11] = {0};
    for (int i = 0; i < 20000; i++) {
        char id[16];
        snprintf(id, sizeof id, "A%05d", i);
        int fold = fold_from_id(id);
        assert_true(fold >= 1 && fold <= 10);
        counts[fold]++;
    }
    for (int fold = 1; fold <= 10; fold++)
        assert_true(counts[fold] > 1850 && counts[fold] < 2150);
    assert_int_equal(fold_from_id("patient-1"), fold_from_id("patient-1"));
}

/* Two data sets of one kind and name, and one of another kind that calls its patient the same. */
static void several_as_one(void **state)
{
    (void)state;
    char *root = scratch_make(), *path[3];
    static const char *const folders[3] = {"a/set", "b/set", "c"};
    static const char header[] =
        "ecg_id,patient_id,age,sex,report,scp_codes,strat_fold,filename_lr,filename_hr\n";
    scratch_text(root, "a/set/scp_statements.csv", statements);
    scratch_text(root, "b/set/scp_statements.csv", statements);
    for (int i = 0; i < 3; i++)
        assert_true(asprintf(&path[i], "%s/%s/", root, folders[i]) > 0);
    char text[512];
    snprintf(text, sizeof text, "%s%s", header,
             "1,10,30,0,,{},1,a/1,b/1\n2,11,30,0,,{},2,a/2,b/2\n3,11,30,0,,{},3,a/3,b/3\n");
    scratch_text(root, "a/set/ptbxl_database.csv", text);
    snprintf(text, sizeof text, "%s%s", header,
             "1,10,30,0,,{},10,a/1,b/1\n1,12,30,0,,{},2,a/2,b/2\n");
    scratch_text(root, "b/set/ptbxl_database.csv", text);
    scratch_text(root, "c/labels.csv", "id,path,patient,fold,labels\n1,1.hea,10,4,AF\n");
    scratch_text(root, "c/1.hea", "1 0 100 0\n");
    struct manifest m, again, other;
    struct err e = {0};
    if (manifest_open_several((const char *const *)path, 2, NULL, NULL, &m, &e) != ERR_OK)
        fail_msg("%s", e.message);
    assert_int_equal(m.count, 4);
    assert_int_equal(m.left_out, 1);
    static const char *const ids[] = {"set/1", "set/2", "set/3", "set#2/1"};
    for (int i = 0; i < 4; i++)
        assert_string_equal(m.entries[i].id, ids[i]);
    assert_int_equal(m.entries[3].fold, 10);
    assert_int_equal(problems_with(&m, "duplicate-id"), 1);
    assert_int_equal(problems_with(&m, "patient-leak"),
                     2); /* 10 of both, 11 within one: told once */
    for (int64_t i = 0; i < m.problem_count; i++)
        assert_true(strncmp(m.problems[i].id, "set", 3) == 0);
    assert_int_equal(manifest_labels(&m, NULL, &(struct label_set){0}, &e), ERR_LABELS);
    /* Neither where they lie nor a slash at the end makes another data set; their order does. */
    const char *moved[] = {path[0], path[1]};
    path[0][strlen(path[0]) - 1] = '\0';
    assert_int_equal(manifest_open_several(moved, 2, NULL, NULL, &again, &e), ERR_OK);
    assert_true(again.hash == m.hash && m.hash != 0);
    manifest_close(&again);
    const char *turned[] = {path[1], path[0]};
    assert_int_equal(manifest_open_several(turned, 2, NULL, NULL, &again, &e), ERR_OK);
    assert_true(again.hash != m.hash);
    manifest_close(&again);
    const char *kinds[] = {path[0], path[2]};
    if (manifest_open_several(kinds, 2, NULL, NULL, &other, &e) != ERR_OK)
        fail_msg("%s", e.message);
    assert_int_equal(other.count, 4);
    assert_string_equal(other.entries[3].id, "c/1");
    assert_string_equal(other.entries[3].patient, "folder:10");
    assert_int_equal(problems_with(&other, "patient-leak"), 1);
    manifest_close(&other);
    const char *absent[] = {path[0], "/nowhere"};
    assert_int_equal(manifest_open_several(absent, 2, NULL, NULL, &other, &e), ERR_NOT_FOUND);
    manifest_close(&other);
    manifest_close(&m);
    for (int i = 0; i < 3; i++)
        free(path[i]);
    scratch_remove(root);
    free(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(several_as_one),
        cmocka_unit_test(dictionaries),
        cmocka_unit_test(ptbxl_tasks_match_published_counts),
        cmocka_unit_test(ptbxl_labels_match_the_benchmark),
        cmocka_unit_test(ptbxl_labels_match_merl),
        cmocka_unit_test(ptbxl_subsets),
        cmocka_unit_test(ptbxl_of_one_rate_is_read),
        cmocka_unit_test(ptbxl_problems_are_counted),
        cmocka_unit_test(broken_tables_are_refused_by_name),
        cmocka_unit_test(damaged_tables_do_no_harm),
        cmocka_unit_test(cinc2021),
        cmocka_unit_test(cinc2021_classes_match_the_weight_table),
        cmocka_unit_test(cinc2021_hostile_headers),
        cmocka_unit_test(cinc2017),
        cmocka_unit_test(cinc2017_problems),
        cmocka_unit_test(cpsc2018),
        cmocka_unit_test(folder_with_a_list_of_labels),
        cmocka_unit_test(folder_with_a_column_per_class),
        cmocka_unit_test(folder_of_records_only),
        cmocka_unit_test(folds_are_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
