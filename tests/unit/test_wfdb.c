/* format/wfdb: records as a whole. Rates, skew, flags, multi-segment records, .mat files, paths,
 * the writer, and damage of every kind. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/rng.h"
#include "base/str.h"
#include "format/wfdb.h"
#include "format/wfdb_write.h"

static char folder[64];

static const char *file_in(const char *name)
{
    static char path[4][128];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static void remove_all(const char *path)
{
    struct arena a;
    arena_init(&a, "test", 0);
    char **names;
    int64_t count;
    if (dir_list(path, &a, &names, &count, NULL) == ERR_OK)
        for (int64_t i = 0; i < count; i++)
            remove_all(path_join(&a, path, names[i]));
    remove(path);
    arena_reset(&a);
}

static int setup(void **state)
{
    (void)state;
    /* thousands of small files: in memory where the system offers it */
    snprintf(folder, sizeof folder, "%s/ecgfm-wfdb-XXXXXX",
             dir_exists("/dev/shm") ? "/dev/shm" : "/tmp");
    return mkdtemp(folder) == NULL;
}

static int teardown(void **state)
{
    (void)state;
    remove_all(folder);
    return 0;
}

static void write_bytes(const char *name, const void *data, size_t size)
{
    FILE *f = fopen(file_in(name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

static void write_text(const char *name, const char *text)
{
    write_bytes(name, text, strlen(text));
}

static void write_16(const char *name, const int16_t *values, size_t count)
{
    write_bytes(name, values, count * 2); /* little endian, like every machine this is tested on */
}

#define WRITE_16(name, ...)                                                                        \
    write_16(name, (const int16_t[]){__VA_ARGS__},                                                 \
             sizeof((const int16_t[]){__VA_ARGS__}) / sizeof(int16_t))

static void read_ok(const char *name, const struct read_options *options, struct ecg_record *r)
{
    struct err e = {0};
    if (record_read(file_in(name), options, r, &e) != ERR_OK)
        fail_msg("%s: %s", name, e.message);
}

static void read_bad(const char *name, const struct read_options *options, enum err_code code,
                     const char *word)
{
    struct ecg_record r;
    struct err e = {0};
    char line[1024];
    enum err_code found = record_read(file_in(name), options, &r, &e);
    err_format(&e, line, sizeof line);
    if (found != code || strstr(line, word) == NULL)
        fail_msg("%s: expected %s about '%s', found %s: %s", name, err_code_name(code), word,
                 err_code_name(found), line);
    ecg_record_free(&r);
}

static void check_row(const struct ecg_record *r, int64_t lead, const float *expected)
{
    for (int64_t t = 0; t < r->sample_count; t++) {
        float x = r->samples[lead * r->sample_count + t];
        if (!(isnan(expected[t]) ? isnan(x) : x == expected[t]))
            fail_msg("lead %d, sample %d: expected %g, found %g", (int)lead, (int)t,
                     (double)expected[t], (double)x);
    }
}

#define CHECK_ROW(r, lead, ...) check_row(r, lead, (const float[]){__VA_ARGS__})

static void test_units(void **state)
{
    (void)state;
    WRITE_16("u.dat", 100, 100, 100, 100, 100, 100, 200, -32768, 200, 200, 200, 200);
    write_text("u.hea", "u 6 100 2\n"
                        "u.dat 16 100/mV 16 0 100 300 0 I\n"
                        "u.dat 16 0.1(-50)/uV 16 0 100 32868 0 II\n"
                        "u.dat 16 1e5/V 16 0 100 300 0 aVR\n"
                        "u.dat 16 10(50)/mmHg 16 0 100 300 0 ABP\n"
                        "u.dat 16 0 16 50 100 300 0 V1\n"
                        "u.dat 16 -100/mv 16 0 100 300 0 V2\n"
                        "#Age: 54\n#Sex: Female\n#Dx: 426783006\n");
    struct ecg_record r;
    read_ok("u.hea", NULL, &r);
    assert_int_equal(r.lead_count, 6);
    CHECK_ROW(&r, 0, 1, 2);
    CHECK_ROW(&r, 1, 1.5f, NAN);
    CHECK_ROW(&r, 2, 1, 2);
    CHECK_ROW(&r, 3, 5, 15);
    CHECK_ROW(&r, 4, 0.25f, 0.75f);
    CHECK_ROW(&r, 5, -1, -2);
    assert_int_equal(r.channels[1].invalid_count, 1);
    assert_int_equal(r.channels[1].lead, LEAD_II);
    assert_string_equal(r.channels[2].unit, "mV");
    assert_true(r.channels[2].is_voltage);
    assert_false(r.channels[3].is_voltage);
    assert_string_equal(r.channels[3].unit, "mmHg");
    assert_int_equal(r.flags, RECORD_DEFAULT_GAIN);
    assert_int_equal(r.issue_count, 1);
    assert_true(r.age_years == 54);
    assert_int_equal(r.sex, SEX_FEMALE);
    assert_string_equal(ecg_record_comment(&r, "dx"), "426783006");
    assert_string_equal(r.name, "u");
    assert_string_equal(r.format, "wfdb");
    ecg_record_free(&r);

    /* A gain that float32 cannot follow. */
    write_text("u.hea", "u 6 100 2\nu.dat 16 1e-300/mV\nu.dat 16\nu.dat 16\nu.dat 16\nu.dat 16\n"
                        "u.dat 16\n");
    read_bad("u.hea", NULL, ERR_FORMAT, "gain");
}

static void test_person(void **state)
{
    (void)state;
    static const struct {
        const char *comments;
        double age;
        enum ecg_sex sex;
    } cases[] = {
        {"# Age: 54\n# Sex: Male\n", 54, SEX_MALE},
        {"# <age>: 25  <sex>: M  <diagnoses>: (none)\n", 25, SEX_MALE},
        {"# age: 81\n# sex: female\n", 81, SEX_FEMALE},
        {"# 69 M 1085 1629 x1\n", 69, SEX_MALE},
        {"# 24 F\n", 24, SEX_FEMALE},
        {"# <age>: ?? <sex>: ?\n", NAN, SEX_UNKNOWN},
        {"#Age: NaN\n#Sex: Unknown\n", NAN, SEX_UNKNOWN},
        {"#Age: 300\n#gender: f\n", NAN, SEX_FEMALE},
        {"#dosage: 5\n#Sexton: M\n", NAN, SEX_UNKNOWN},
        {"#12 leads\n#1 Mouse\n", NAN, SEX_UNKNOWN},
    };
    WRITE_16("p.dat", 1, 2);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[256] = "p 1 100 2\np.dat 16\n";
        str_copy(text + strlen(text), 128, cases[i].comments);
        write_text("p.hea", text);
        struct ecg_record r;
        read_ok("p", NULL, &r);
        assert_true(isnan(cases[i].age) ? isnan(r.age_years) : r.age_years == cases[i].age);
        assert_int_equal(r.sex, cases[i].sex);
        ecg_record_free(&r);
    }
}

static void test_frames(void **state)
{
    (void)state;
    struct ecg_record r;
    /* a has 1, b has 2 samples per frame */
    WRITE_16("f.dat", 1, 10, 21, 2, -30, -41, 3, 50, -32768);
    write_text("f.hea", "f 2 100 3\nf.dat 16 1/mV 16 0 1 6 0 a\nf.dat 16x2 1/mV 16 0 10\n");
    read_ok("f", NULL, &r);
    assert_true(r.rate_hz == 100);
    CHECK_ROW(&r, 0, 1, 2, 3);
    CHECK_ROW(&r, 1, 15, -35, NAN); /* 15.5 and -35.5, toward zero */
    assert_int_equal(r.issue_count, 1);
    ecg_record_free(&r);
    read_ok("f", &(struct read_options){.high_resolution = true}, &r);
    assert_true(r.rate_hz == 200);
    CHECK_ROW(&r, 0, 1, 1, 2, 2, 3, 3);
    CHECK_ROW(&r, 1, 10, 21, -30, -41, 50, NAN);
    assert_int_equal(r.issue_count, 0);
    ecg_record_free(&r);
    /* all with two: nothing is averaged */
    WRITE_16("f.dat", 1, 2, 10, 20, 3, 4, 30, 40);
    write_text("f.hea", "f 2 100 2\nf.dat 16x2 1/mV\nf.dat 16x2 1/mV\n");
    read_ok("f", NULL, &r);
    assert_true(r.rate_hz == 200);
    CHECK_ROW(&r, 0, 1, 2, 3, 4);
    CHECK_ROW(&r, 1, 10, 20, 30, 40);
    assert_int_equal(r.flags, RECORD_CHECKSUM_ABSENT);
    ecg_record_free(&r);
    /* skew: b is one frame late in the file */
    WRITE_16("f.dat", 1, 99, 2, 10, 3, 20);
    write_text("f.hea", "f 2 100 3\nf.dat 16 1/mV\nf.dat 16:1 1/mV 16 0 99 129\n");
    read_ok("f", &(struct read_options){.strict = true}, &r);
    CHECK_ROW(&r, 0, 1, 2, 3);
    CHECK_ROW(&r, 1, 10, 20, NAN);
    ecg_record_free(&r);
    write_text("f.hea", "f 2 100 3\nf.dat 16 1/mV\nf.dat 16:2000000000 1/mV\n");
    read_ok("f", NULL, &r);
    CHECK_ROW(&r, 1, NAN, NAN, NAN);
    ecg_record_free(&r);
    /* a signal that is not stored */
    write_text("f.hea", "f 3 100 3\nf.dat 16 1/mV\nf.dat 16 1/mV\n~ 0 1/mV 16 0 0 0 0 V1\n");
    read_ok("f", NULL, &r);
    CHECK_ROW(&r, 0, 1, 2, 3);
    CHECK_ROW(&r, 2, NAN, NAN, NAN);
    ecg_record_free(&r);
    write_text("f.hea", "f 1 100 3\n~ 0\n");
    read_bad("f", NULL, ERR_FORMAT, "no signal");
}

static void test_lengths(void **state)
{
    (void)state;
    struct ecg_record r;
    WRITE_16("l.dat", 1, 2, 3, 4, 5, 6);
    WRITE_16("m.dat", 1, 2, 3);
    /* fewer than declared, in one of two files */
    write_text("l.hea", "l 2 100 6\nl.dat 16 1/mV 16 0 1 21\nm.dat 16 1/mV 16 0 1 21\n");
    read_ok("l", NULL, &r);
    assert_int_equal(r.flags, RECORD_SHORT);
    assert_int_equal(r.sample_count, 3);
    assert_non_null(strstr(r.issues[0], "m.dat holds 3"));
    CHECK_ROW(&r, 0, 1, 2, 3);
    ecg_record_free(&r);
    read_bad("l", &(struct read_options){.strict = true}, ERR_TRUNCATED, "m.dat");
    /* without a length, the shorter file decides, and it is said */
    write_text("l.hea", "l 2 100\nl.dat 16 1/mV 16 0 1 6\nm.dat 16 1/mV 16 0 1 6\n");
    read_ok("l", NULL, &r);
    assert_int_equal(r.sample_count, 3);
    assert_int_equal(r.flags, 0);
    assert_int_equal(r.issue_count, 1);
    ecg_record_free(&r);
    /* more than declared */
    write_text("l.hea", "l 1 100 4\nl.dat 16 1/mV 16 0 1 10\n");
    read_ok("l", NULL, &r);
    assert_int_equal(r.sample_count, 4);
    assert_non_null(strstr(r.issues[0], "2 samples more"));
    ecg_record_free(&r);
    /* nothing there, offset beyond the end, far too much declared */
    write_text("l.hea", "l 1 100 4\nl.dat 16+12 1/mV\n");
    read_bad("l", NULL, ERR_TRUNCATED, "no complete sample");
    write_text("l.hea", "l 1 100 4\nl.dat 16+9223372036854775807 1/mV\n");
    read_bad("l", NULL, ERR_TRUNCATED, "no complete sample");
    write_text("l.hea", "l 1 100 9223372036854775807\nl.dat 16 1/mV\n");
    read_bad("l", NULL, ERR_LIMIT, "9223372036854775807 samples");
    write_text("l.hea", "l 2 100 9223372036854775807\nl.dat 16x65536 1/mV\nm.dat 16x65536 1/mV\n");
    read_bad("l", NULL, ERR_LIMIT, "samples");
    write_text("l.hea", "l 1 100 6\nl.dat 16 1/mV\n");
    read_bad("l", &(struct read_options){.max_values = 5}, ERR_LIMIT, "5 values");
    read_ok("l", &(struct read_options){.max_values = 6}, &r);
    ecg_record_free(&r);
    write_text("l.hea", "l 1 100 200000000\nl.dat 16 1/mV\n"); /* 800 MB are not asked for */
    read_ok("l", NULL, &r);
    assert_int_equal(r.flags & RECORD_SHORT, RECORD_SHORT);
    assert_true(r.arena.peak_bytes < 100000);
    ecg_record_free(&r);
    /* no files */
    write_text("l.hea", "l 1 100 6\nnone.dat 16 1/mV\n");
    read_bad("l", NULL, ERR_NOT_FOUND, "none.dat");
    mkdir(file_in("d.dat"), 0777);
    write_text("l.hea", "l 1 100 6\nd.dat 16 1/mV\n");
    read_bad("l", NULL, ERR_IO, "not a regular file");
    mkfifo(file_in("fifo.dat"), 0666);
    write_text("l.hea", "l 1 100 6\nfifo.dat 16 1/mV\n");
    read_bad("l", NULL, ERR_IO, "not a regular file");
    write_text("l.hea", "l 1 100 6\nl.dat 516 1/mV\n");
    read_bad("l", NULL, ERR_FORMAT, "FLAC");
    write_text("l.hea", "l 1\nl.dat 16 1/mV\n"); /* no rate */
    read_ok("l", NULL, &r);
    assert_true(r.rate_hz == 250);
    assert_true(r.flags & RECORD_DEFAULT_RATE);
    ecg_record_free(&r);
}

/* CinC 2017: all checksums zero, first values often stale. */
static void test_absent_checksums(void **state)
{
    (void)state;
    struct ecg_record r;
    WRITE_16("c.dat", 1, 2, 3);
    write_text("c.hea", "c 1 300 3\nc.dat 16 1000/mV 16 0 580 0 0 ECG\n");
    read_ok("c", &(struct read_options){.strict = true}, &r);
    assert_int_equal(r.flags, RECORD_CHECKSUM_ABSENT | RECORD_INITIAL_MISMATCH);
    ecg_record_free(&r);
    write_text("c.hea", "c 1 300 3\nc.dat 16 1000/mV 16 0 1 0 0 ECG\n");
    read_ok("c", &(struct read_options){.strict = true}, &r);
    assert_int_equal(r.flags, RECORD_CHECKSUM_ABSENT);
    ecg_record_free(&r);
    /* zero that is right is a checksum */
    WRITE_16("c.dat", 1, 2, -3);
    read_ok("c", &(struct read_options){.strict = true}, &r);
    assert_int_equal(r.flags, 0);
    ecg_record_free(&r);
    /* one zero among others is wrong */
    WRITE_16("c.dat", 1, 2, 3, 4);
    write_text("c.hea", "c 2 300 2\nc.dat 16 1000/mV 16 0 1 0\nc.dat 16 1000/mV 16 0 2 6\n");
    read_ok("c", NULL, &r);
    assert_int_equal(r.flags, RECORD_CHECKSUM_MISMATCH);
    ecg_record_free(&r);
}

static void test_mat(void **state)
{
    (void)state;
    struct {
        int32_t head[5];
        char name[4];
        int16_t values[6];
    } mat = {{30, 2, 3, 0, 4}, "val", {1, 10, 2, 20, 3, 30}};
    assert_int_equal(sizeof mat, 36);
    const char *header = "m 2 500 3 05-Feb-2020 11:39:16\n"
                         "m.mat 16+24 1/mV 16 0 1 6 0 I\nm.mat 16+24 1/mV 16 0 10 60 0 II\n";
    struct ecg_record r;
    write_text("m.hea", header);
    write_bytes("m.mat", &mat, sizeof mat);
    static const char *const doors[] = {"m", "m.hea", "m.mat"};
    for (int i = 0; i < 3; i++) {
        read_ok(doors[i], &(struct read_options){.strict = true}, &r);
        CHECK_ROW(&r, 0, 1, 2, 3);
        CHECK_ROW(&r, 1, 10, 20, 30);
        assert_int_equal(r.flags, 0);
        assert_int_equal(r.issue_count, 0);
        assert_string_equal(r.date, "05-Feb-2020");
        assert_string_equal(r.time, "11:39:16");
        ecg_record_free(&r);
    }
    mat.head[2] = 4; /* columns: said, not refused */
    write_bytes("m.mat", &mat, sizeof mat);
    read_ok("m", NULL, &r);
    assert_int_equal(r.issue_count, 1);
    ecg_record_free(&r);
    mat.head[2] = 3;
    static const struct {
        int word, value;
        const char *about;
    } wrong[] = {
        {0, 50, "elements"}, {0, 31, "level-4"},      {0, 1030, "level-4"},
        {1, 3, "rows"},      {1, -2, "level-4"},      {3, 1, "level-4"},
        {4, 0, "level-4"},   {4, 2000000, "level-4"}, {4, 3, "level-4"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        int32_t before = mat.head[wrong[i].word];
        mat.head[wrong[i].word] = wrong[i].value;
        write_bytes("m.mat", &mat, sizeof mat);
        mat.head[wrong[i].word] = before;
        read_bad("m", NULL, ERR_FORMAT, wrong[i].about);
    }
    write_bytes("m.mat", &mat, sizeof mat);
    write_text("m.hea", "m 2 500 3\nm.mat 16+20 1/mV\nm.mat 16+20 1/mV\n");
    read_bad("m", NULL, ERR_FORMAT, "byte offset");
    write_text("m.hea", header);
    for (size_t n = 0; n < sizeof mat; n++) {
        write_bytes("m.mat", &mat, n);
        struct err e = {0};
        enum err_code code = record_read(file_in("m"), NULL, &r, &e);
        if (n >= 28)
            assert_true(code == ERR_OK && r.flags == RECORD_SHORT &&
                        r.sample_count == ((int64_t)n - 24) / 4);
        else
            assert_true(code == ERR_TRUNCATED || code == ERR_FORMAT);
        ecg_record_free(&r);
    }
    /* newer levels, with and without a header */
    write_text("m.mat", "MATLAB 5.0 MAT-file, Platform: PCWIN64");
    read_bad("m", NULL, ERR_UNSUPPORTED, "level 5");
    write_text("alone.mat", "MATLAB 5.0 MAT-file, Platform: PCWIN64");
    read_bad("alone.mat", NULL, ERR_TRUNCATED, "header"); /* of the format "mat" */
    write_bytes("alone.mat", &mat, sizeof mat);
    read_bad("alone.mat", NULL, ERR_UNSUPPORTED, "without a WFDB header");
}

static void test_paths(void **state)
{
    (void)state;
    struct ecg_record r;
    mkdir(file_in("sub"), 0777);
    WRITE_16("sub/s.dat", 1, 2, 3);
    write_text("s.hea", "s 1 100 3\nsub/s.dat 16 1/mV 16 0 1 6\n");
    read_ok("s", NULL, &r);
    CHECK_ROW(&r, 0, 1, 2, 3);
    ecg_record_free(&r);
    write_text("copy.hea", "s 1 100 3\nsub/s.dat 16 1/mV 16 0 1 6\n");
    read_ok("copy", NULL, &r); /* named after the file, and said */
    assert_string_equal(r.name, "copy");
    assert_int_equal(r.issue_count, 1);
    ecg_record_free(&r);
    write_text("dotted.name.hea", "dotted 1 100 3\nsub/s.dat 16 1/mV 16 0 1 6\n");
    read_ok("dotted.name", NULL, &r);
    assert_string_equal(r.name, "dotted.name");
    ecg_record_free(&r);
    write_text("s.atr", "");
    read_ok("s.atr", NULL, &r);
    ecg_record_free(&r);

    write_text("text.hea", "This is a text file.\n");
    read_bad("text.hea", NULL, ERR_FORMAT, "number of signals");
    write_text("empty.hea", "");
    read_bad("empty", NULL, ERR_FORMAT, "record line");
    write_text("note.txt", "hello");
    read_bad("note.txt", NULL, ERR_UNSUPPORTED, "not a recording");
    read_bad("none", NULL, ERR_NOT_FOUND, "no recording");
    read_bad("none.hea", NULL, ERR_NOT_FOUND, "none.hea");
    read_bad("sub", NULL, ERR_IO, "folder");
    mkdir(file_in("folder.hea"), 0777);
    read_bad("folder.hea", NULL, ERR_IO, "folder");

    assert_true(record_path_is_candidate("a/b/00001_lr.hea"));
    assert_true(record_path_is_candidate("B.HEA"));
    assert_false(record_path_is_candidate("a.dat"));
    assert_false(record_path_is_candidate("hea"));
    assert_false(record_path_is_candidate("a.heading"));
    assert_false(record_path_is_candidate("a.averyveryverylongextension"));
}

static void test_fixed_layout(void **state)
{
    (void)state;
    struct ecg_record r;
    struct err e = {0};
    WRITE_16("s1.dat", 1, 10, 2, 20);
    WRITE_16("s2.dat", 3, 30, 4, 40, 5, 50);
    write_text("s1.hea",
               "s1 2 100 2\ns1.dat 16 1/mV 16 0 1 3 0 I\ns1.dat 16 10/mV 16 0 10 30 0 II\n");
    write_text("s2.hea",
               "s2 2 100 3\ns2.dat 16 1/uV 16 0 3 12 0 I\ns2.dat 16 1/mV 16 0 30 120 0 II\n");
    write_text("fix.hea", "fix/3 2 100 6\ns1 2\n~ 1\ns2 3\n");
    read_ok("fix", &(struct read_options){.strict = true}, &r);
    assert_int_equal(r.flags, RECORD_GAPS);
    assert_int_equal(r.sample_count, 6);
    CHECK_ROW(&r, 0, 1, 2, NAN, 0.003f, 0.004f,
              0.005f); /* each segment has its own gain and unit */
    CHECK_ROW(&r, 1, 1, 2, NAN, 30, 40, 50);
    assert_int_equal(r.channels[0].invalid_count, 1);
    ecg_record_free(&r);
    /* a part that lies in the second segment does not open the first */
    WRITE_16("s1.dat", 1);
    write_text("fix.hea", "fix/3 2 100\nnowhere 2\n~ 1\ns2 3\n");
    ecg_record_init(&r);
    assert_int_equal(wfdb_read(file_in("fix"), NULL, &(struct wfdb_request){4, 6}, &r, &e), ERR_OK);
    CHECK_ROW(&r, 1, 40, 50);
    assert_int_equal(r.flags, 0);
    ecg_record_free(&r);
    assert_int_equal(wfdb_read(file_in("fix"), NULL, &(struct wfdb_request){6, 7}, &r, &e),
                     ERR_LENGTH);
    ecg_record_free(&r);
    read_bad("fix", NULL, ERR_NOT_FOUND, "segment nowhere");
    /* a first segment that is cut short leaves a gap, a last one ends the record */
    write_text("fix.hea", "fix/2 2 100 5\ns1 2\ns2 3\n");
    WRITE_16("s1.dat", 1, 10, 2);
    read_ok("fix", NULL, &r);
    assert_int_equal(r.flags, RECORD_SHORT | RECORD_GAPS);
    assert_int_equal(r.sample_count, 5);
    CHECK_ROW(&r, 1, 1, NAN, 30, 40, 50);
    ecg_record_free(&r);
    read_bad("fix", &(struct read_options){.strict = true}, ERR_TRUNCATED, "s1.dat");
    WRITE_16("s1.dat", 1, 10, 2, 20);
    WRITE_16("s2.dat", 3, 30, 4);
    read_ok("fix", NULL, &r);
    assert_int_equal(r.flags, RECORD_SHORT);
    assert_int_equal(r.sample_count, 3);
    CHECK_ROW(&r, 1, 1, 2, 30);
    ecg_record_free(&r);
    WRITE_16("s2.dat", 3);
    read_ok("fix", NULL, &r);
    assert_int_equal(r.sample_count, 2);
    ecg_record_free(&r);

    static const struct {
        const char *text;
        enum err_code code;
        const char *word;
    } cases[] = {
        {"fix/1 2 100 2\nfix 2\n", ERR_FORMAT, "includes itself"},
        {"other/1 2 100 2\nfix 2\n", ERR_FORMAT, "includes itself"},
        {"fix/1 2 100 2\nnest 2\n", ERR_FORMAT, "one level"},
        {"fix/1 3 100 2\ns1 2\n", ERR_FORMAT, "number of signals must be 3"},
        {"fix/1 2 200 2\ns1 2\n", ERR_RATE, "sampling rate must be 200"},
        {"fix/1 2 100 3\ns1 3\n", ERR_FORMAT, "number of samples must be 3"},
        {"fix/2 2 100 7\ns1 2\ns1 2\n", ERR_FORMAT, "number of samples is 7"},
        {"fix/1 2 100 5\n~ 5\n", ERR_FORMAT, "neither a layout nor a segment"},
        {"fix/2 2 100\ns1 4611686018427387903\ns1 4611686018427387903\n", ERR_LIMIT, "values"},
        {"fix/1 2 100\n~ 4000000000\n", ERR_LIMIT, "values"},
        {"fix/3 2 100\n~ 4611686018427387903\n~ 4611686018427387903\n~ 4\n", ERR_LIMIT, "overflow"},
        {"fix/1 2 100 0\n~ 0\n", ERR_LENGTH, "no samples"},
    };
    write_text("nest.hea", "nest/1 2 100 2\ns1 2\n");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_text("fix.hea", cases[i].text);
        read_bad("fix", NULL, cases[i].code, cases[i].word);
    }
}

static void test_variable_layout(void **state)
{
    (void)state;
    struct ecg_record r;
    WRITE_16("v1.dat", 1, 2);
    WRITE_16("v2.dat", 3, 30, 7, 4, 40, 8);
    write_text("lay.hea", "lay 3 100 0\n~ 0 1/mV 16 0 0 0 0 V1\n~ 0 1/mV 16 0 0 0 0 II\n"
                          "~ 0 1/mmHg 16 0 0 0 0 ABP\n");
    write_text("v1.hea", "v1 1 100 2\nv1.dat 16 10/mV 16 0 1 3 0 II\n");
    write_text("v2.hea", "v2 3 100 2\nv2.dat 16 1/mV 16 0 3 7 0 ABP\n"
                         "v2.dat 16 1/uV 16 0 30 70 0 V1\nv2.dat 16 1/mV 16 0 7 15 0 new\n");
    write_text("var.hea", "var/4 3 100 5\nlay 0\nv1 2\n~ 1\nv2 2\n");
    read_ok("var", &(struct read_options){.strict = true}, &r);
    assert_int_equal(r.lead_count, 3);
    assert_int_equal(r.channels[0].lead, LEAD_V1);
    CHECK_ROW(&r, 0, NAN, NAN, NAN, 0.03f, 0.04f);
    CHECK_ROW(&r, 1, 0.1f, 0.2f, NAN, NAN, NAN);
    CHECK_ROW(&r, 2, NAN, NAN, NAN, NAN, NAN); /* mV where the layout has mmHg: left out, said */
    assert_int_equal(r.flags, RECORD_GAPS);
    assert_int_equal(r.issue_count, 2); /* the unit, and 'new' */
    ecg_record_free(&r);
    write_text("var.hea", "var/2 3 100 5\nlay 0\n~ 5\n");
    read_ok("var", NULL, &r);
    CHECK_ROW(&r, 0, NAN, NAN, NAN, NAN, NAN);
    ecg_record_free(&r);
    write_text("var.hea", "var/2 2 100 5\nlay 0\n~ 5\n");
    read_bad("var", NULL, ERR_FORMAT, "number of signals");

    /* two signals of one name keep their order; what the last segment lacks is not allocated */
    write_text("lay.hea", "lay 2 100 0\n~ 0 1/mV 16 0 0 0 0 V\n~ 0 1/mV 16 0 0 0 0 V\n");
    write_text("v3.hea", "v3 2 100\nv1.dat 16 1/mV 16 0 1 1 0 V\nv1.dat 16 1/mV 16 0 2 2 0 V\n");
    write_text("var.hea", "var/2 2 100\nlay 0\nv3 50000000\n");
    read_ok("var", NULL, &r);
    assert_int_equal(r.flags, RECORD_SHORT);
    CHECK_ROW(&r, 0, 1);
    CHECK_ROW(&r, 1, 2);
    assert_true(r.arena.peak_bytes < 100000);
    ecg_record_free(&r);
    write_text("lay.hea", "lay 3 100 0\n~ 0 1/mV\n~ 0 1/mV\n~ 0 1/mmHg\n");

    /* One large header named by many segments: memory stays bounded. */
    struct buf b;
    buf_init(&b, 0);
    buf_puts(&b, "big 1 100 1\nv1.dat 16 1/mV 16 0 1 1 0 II\n#");
    for (int i = 0; i < 1 << 20; i++)
        buf_puts(&b, "x");
    write_bytes("big.hea", b.data, b.len);
    buf_clear(&b);
    buf_puts(&b, "var/501 3 100 500\nlay 0\n");
    for (int i = 0; i < 500; i++)
        buf_puts(&b, "big 1\n");
    write_bytes("var.hea", b.data, b.len);
    read_bad("var", NULL, ERR_MEMORY, "out of memory");
    buf_free(&b);
}

static void test_writer(void **state)
{
    (void)state;
    enum { L = 3, T = 50 };
    float samples[L * T];
    for (int i = 0; i < L * T; i++)
        samples[i] = (float)((i * 37 % 2001) - 1000) / 1000.0f;
    samples[7] = NAN;
    samples[T] = NAN;
    samples[T + 1] = 32.767f;
    samples[T + 2] = -32.767f;
    const char *leads[] = {"I", "aVR", "V1"};
    const char *comments[] = {"synthetic", "Age: 61", "Sex: Female"};
    struct wfdb_write w = {.name = "sub/a_1-x",
                           .rate_hz = 100,
                           .lead_count = L,
                           .sample_count = T,
                           .lead_names = leads,
                           .samples = samples,
                           .time = "17:30:00",
                           .date = "24/12/2020",
                           .comment_count = 3,
                           .comments = comments};
    struct err e = {0};
    if (wfdb_write_16(file_in("out"), &w, &e) != ERR_OK)
        fail_msg("%s", e.message);
    struct ecg_record r;
    read_ok("out/sub/a_1-x", &(struct read_options){.strict = true}, &r);
    assert_int_equal(r.flags, 0);
    assert_int_equal(r.issue_count, 0);
    assert_int_equal(r.sample_count, T);
    assert_string_equal(r.date, "24/12/2020");
    assert_string_equal(r.time, "17:30:00");
    assert_true(r.age_years == 61);
    assert_int_equal(r.sex, SEX_FEMALE);
    for (int l = 0; l < L; l++) {
        assert_string_equal(r.channels[l].name, leads[l]);
        check_row(&r, l, samples + l * T); /* thousandths of a mV come back as they were */
    }
    ecg_record_free(&r);
    struct buf first, second;
    assert_int_equal(file_read(file_in("out/sub/a_1-x.hea"), 0, &first, &e), ERR_OK);
    assert_int_equal(wfdb_write_16(file_in("out"), &w, &e), ERR_OK);
    assert_int_equal(file_read(file_in("out/sub/a_1-x.hea"), 0, &second, &e), ERR_OK);
    assert_string_equal(first.data, second.data);
    assert_true(str_starts_with(first.data, "a_1-x 3 100 50 17:30:00 24/12/2020\n"
                                            "a_1-x.dat 16 1000.0(0)/mV 16 0 -1000 "));
    buf_free(&first);
    buf_free(&second);

    /* Another gain and rate. */
    w.gain = 204.8;
    w.rate_hz = 62.4725;
    samples[T + 1] = samples[T + 2] = 1;
    assert_int_equal(wfdb_write_16(file_in("out"), &w, &e), ERR_OK);
    read_ok("out/sub/a_1-x", &(struct read_options){.strict = true}, &r);
    assert_true(r.rate_hz == 62.4725);
    for (int i = 0; i < L * T; i++)
        assert_true(isnan(samples[i]) ? isnan(r.samples[i])
                                      : fabsf(samples[i] - r.samples[i]) <= 0.5001f / 204.8f);
    ecg_record_free(&r);

    w.gain = 1000;
    static const float outside[] = {32.768f, -32.768f, 1e30f, INFINITY, -INFINITY};
    for (int i = 0; i < 5; i++) {
        samples[9] = outside[i];
        assert_int_equal(wfdb_write_16(file_in("out"), &w, &e), ERR_LIMIT);
        assert_non_null(strstr(e.message, "sample 9 of lead I"));
    }
    samples[9] = 0;
    static const char *const names[] = {"", "../a", "/a", "a b", "a/", "a.b", "a\n"};
    for (int i = 0; i < 7; i++) {
        w.name = names[i];
        assert_int_equal(wfdb_write_16(file_in("out"), &w, &e), ERR_USAGE);
    }
    w.name = "ok";
    struct wfdb_write bad = w;
    bad.rate_hz = 0;
    assert_int_equal(wfdb_write_16(file_in("out"), &bad, &e), ERR_USAGE);
    bad = w;
    bad.sample_count = 0;
    assert_int_equal(wfdb_write_16(file_in("out"), &bad, &e), ERR_USAGE);
    bad = w;
    bad.gain = NAN;
    assert_int_equal(wfdb_write_16(file_in("out"), &bad, &e), ERR_USAGE);
    bad = w;
    comments[1] = "two\nlines";
    assert_int_equal(wfdb_write_16(file_in("out"), &bad, &e), ERR_USAGE);
    comments[1] = "one";
    leads[0] = "I\n";
    assert_int_equal(wfdb_write_16(file_in("out"), &bad, &e), ERR_USAGE);
}

/* Header and data of small records, thousands of changed bytes: read or refused. */
static void test_mutations(void **state)
{
    (void)state;
    WRITE_16("s1.dat", 1, 10, 2, 20);
    write_text("s1.hea", "s1 2 100 2\ns1.dat 16 1/mV 16 0 1 3 0 I\ns1.dat 16 1/mV 16 0 1 3 0 II\n");
    static const struct {
        const char *header, *data; /* data: 64 bytes of noise if NULL */
    } seeds[] = {
        {"x 2 100 10 11:39:16\nx.dat 212x2:1+3 200(5)/mV 12 0 1 -5 0 II\nx.dat 212 1/uV\n#Age: 5\n",
         NULL},
        {"x 3 360 12\nx.dat 310 1 10\nx.dat 310 1 10\nx.dat 310x3 1/V 10 0 1 2 3 V1\n", NULL},
        {"x 1 100 40\nx.dat 8 200 12 0 -7 100 0 V\n", NULL},
        {"x 2 100 3\nx.dat 16+24 1/mV\nx.dat 16+24 1/mV\n",
         "\x1e\0\0\0\x02\0\0\0\x03\0\0\0\0\0\0\0\x04\0\0\0val"},
        {"x/3 2 100 9\ns1 2\n~ 5\ns1 2\n", NULL},
    };
    static const char alphabet[] = "0123456789 \n/()x:+-.#~\xff";
    int fine = 0;
    for (size_t s = 0; s < sizeof seeds / sizeof *seeds; s++)
        for (uint64_t i = 0; i < 400; i++) {
            struct rng r = rng_at(5, RNG_STREAM_TEST, s, i);
            char header[256];
            unsigned char data[64];
            str_copy(header, sizeof header, seeds[s].header);
            for (size_t k = 0; k < sizeof data; k++)
                data[k] = (unsigned char)rng_u32(&r);
            if (seeds[s].data != NULL)
                memcpy(data, seeds[s].data, 24);
            size_t n = strlen(header);
            for (int64_t k = rng_below(&r, 4); k > 0; k--)
                header[rng_below(&r, (int64_t)n)] = alphabet[rng_below(&r, sizeof alphabet - 1)];
            for (int64_t k = rng_below(&r, 3); k > 0; k--)
                data[rng_below(&r, 24)] = (unsigned char)rng_u32(&r);
            write_bytes("x.hea", header, n);
            write_bytes("x.dat", data, (size_t)rng_below(&r, 65));
            struct ecg_record record;
            struct err e = {0};
            /* The bound keeps gaps of a mutated length from being filled for real. */
            enum err_code code =
                record_read(file_in("x"), &(struct read_options){.max_values = 65536}, &record, &e);
            if (code == ERR_OK) {
                fine++;
                assert_true(record.lead_count > 0 && record.sample_count > 0 && record.rate_hz > 0);
                for (int64_t k = 0; k < record.lead_count * record.sample_count; k++)
                    assert_false(isinf(record.samples[k]));
            } else {
                assert_true(e.message[0] != '\0');
            }
            ecg_record_free(&record);
        }
    assert_true(fine > 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_units),
        cmocka_unit_test(test_person),
        cmocka_unit_test(test_frames),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_absent_checksums),
        cmocka_unit_test(test_mat),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_fixed_layout),
        cmocka_unit_test(test_variable_layout),
        cmocka_unit_test(test_writer),
        cmocka_unit_test(test_mutations),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
