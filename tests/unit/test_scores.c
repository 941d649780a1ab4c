/* train/scores: lines of infer find their records, and every line is accounted for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "train/scores.h"

static char path[256];

static int set_up(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/ecgfm-test-XXXXXX", base != NULL ? base : "/tmp");
    int fd = mkstemp(path);
    return fd < 0 || close(fd) != 0;
}

static int tear_down(void **state)
{
    (void)state;
    return unlink(path);
}

/* Names that occur twice, an id that is not the name, folds, one record without a label. */
static struct manifest_entry entries[] = {
    {.id = "1", .path = "set/records100/00001_lr.hea", .fold = 10, .patient = "p1"},
    {.id = "2", .path = "set/records100/00002_lr.hea", .fold = 10},
    {.id = "a/x", .path = "set/a/x.hea", .fold = 10},
    {.id = "b/x", .path = "set/b/x.hea", .fold = 10},
    {.id = "5", .path = "set/records100/00005_lr.hea", .fold = 3},
    {.id = "6", .path = "set/records100/00006_lr.hea", .fold = 10},
    {.id = "7", .path = "set/records100/00007_lr.hea", .fold = 10},
};
enum { COUNT = sizeof entries / sizeof entries[0] };
static const char *names[] = {"A", "B"}, *codes[] = {"10", "20"};
static uint8_t targets[] = {1, 0, 0, 1, 1, 1, 0, 0, 1, 0, 0, 0, 1, 0};
static uint8_t labelled[] = {1, 1, 1, 1, 1, 0, 1};
static const struct manifest manifest = {.root = "set", .count = COUNT, .entries = entries};
static const struct label_set labels = {.task = "super",
                                        .class_count = 2,
                                        .class_names = names,
                                        .class_codes = codes,
                                        .targets = targets,
                                        .labelled = labelled};

static enum err_code read_text(const char *text, enum data_split split, struct predictions *p,
                               struct scores_coverage *c, struct err *e)
{
    assert_int_equal(file_write_atomic(path, text, strlen(text), NULL), ERR_OK);
    return scores_read(path, &manifest, &labels, split, p, c, e);
}

#define OK(file, a, b)                                                                             \
    "{\"file\": \"" file "\", \"status\": \"ok\", \"scores\": {\"B\": " b ", \"A\": " a ", "       \
    "\"C\": 9}}\n"

static void lines_find_records(void **state)
{
    (void)state;
    struct predictions p;
    struct scores_coverage c;
    struct err e = {0};
    enum err_code code =
        read_text(OK("/elsewhere/b/x.hea", "0.25", "0.5") OK("2.dat", "0.125", "1e-3")
                      OK("00001_lr", "1", "0") OK("records100/00005_lr.hea", "0.1",
                                                  "0.2") "\n\r\n" OK("00006_lr.hea", "0", "0")
                          OK("other.hea", "0", "0")
                              OK("x.hea", "0", "0") "{\"file\": \"00007_lr.hea\", \"status\": "
                                                    "\"refused\", \"code\": \"truncated\"}",
                  SPLIT_TEST, &p, &c, &e);
    if (code != ERR_OK)
        fail_msg("%s", e.message);
    assert_int_equal(p.count, 3); /* in the order of the manifest */
    assert_string_equal(p.ids[0], "1");
    assert_string_equal(p.patients[0], "p1");
    assert_string_equal(p.ids[1], "2");
    assert_string_equal(p.ids[2], "b/x");
    const double scores[] = {1, 0, 0.125, (double)1e-3f, 0.25, 0.5};
    const float wanted[] = {1, 0, 0, 1, 0, 0};
    assert_memory_equal(p.scores, scores, sizeof scores);
    assert_memory_equal(p.labels, wanted, sizeof wanted);
    assert_string_equal(p.class_names[1], "B");
    assert_string_equal(p.class_codes[1], "20");
    assert_int_equal(c.lines, 8);
    assert_int_equal(c.used, 3);
    assert_int_equal(c.refused, 1);
    assert_int_equal(c.unmatched, 2); /* unknown, and x.hea of either folder */
    assert_string_equal(c.first_unmatched, "other.hea");
    assert_int_equal(c.other_split, 1);
    assert_int_equal(c.unlabelled, 1);
    assert_int_equal(c.missing, 2); /* a/x and the refused one */
    predictions_free(&p);

    assert_int_equal(read_text(OK("00005_lr.hea", "0", "1"), SPLIT_ALL, &p, &c, NULL), ERR_OK);
    assert_int_equal(p.folds[0], 3);
    predictions_free(&p);
}

static void refuses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum err_code code;
        const char *says, *context;
    } cases[] = {
        {"", ERR_NOT_FOUND, "none of 0 lines", NULL},
        {OK("00005_lr.hea", "0", "1"), ERR_NOT_FOUND, "1 of other splits", NULL},
        {OK("2", "0", "1") "nonsense\n", ERR_FORMAT, "is not JSON", "line 2"},
        {"[1]\n", ERR_FORMAT, "expected an object", "line 1"},
        {"{\"file\": 3, \"status\": \"ok\"}\n", ERR_FORMAT, "expected an object", "line 1"},
        {OK("2", "null", "1"), ERR_FORMAT, "no score of class A", "line 1"},
        {OK("2", "1e39", "1"), ERR_FORMAT, "no score of class A", "line 1"},
        {"{\"file\": \"2\", \"status\": \"ok\"}\n", ERR_FORMAT, "another task than super",
         "line 1"},
        {"\n" OK("2", "0", "1") OK("00002_lr.hea", "0", "1"), ERR_FORMAT,
         "record 2 was scored by line 2 already", "line 3"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct predictions p;
        struct scores_coverage c;
        struct err e = {0};
        enum err_code code = read_text(cases[i].text, SPLIT_TEST, &p, &c, &e);
        if (code != cases[i].code || !strstr(e.message, cases[i].says) ||
            (cases[i].context && strcmp(e.context[0], cases[i].context) != 0))
            fail_msg("%s\ngave %s: %s", cases[i].text, e.context[0], e.message);
        predictions_free(&p);
    }
    struct predictions p;
    struct scores_coverage c;
    assert_int_equal(scores_read("/absent.jsonl", &manifest, &labels, SPLIT_TEST, &p, &c, NULL),
                     ERR_NOT_FOUND);
    predictions_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_find_records),
        cmocka_unit_test(refuses),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
