/* Every record of wfdb-python's sample data whose signals and expected output are both there: the
 * expected files are rdsamp's, so the table below says how each was made. Skipped without
 * ../shared. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/str.h"
#include "format/wfdb.h"
#include "format/wfdb_header.h"
#include "signal/unit.h"

#define ROOT "../shared/data/wfdb-formats/wfdb-python/"
#define SAMPLES ROOT "sample-data/"
#define TARGETS ROOT "tests/target-output/"

enum { DIGITAL, PHYSICAL };

struct fixture {
    const char *target, *record;
    int kind;
    int64_t begin, end; /* end 0: all */
    int channels[8];    /* from 1; 0: all in order */
    bool high_resolution;
    int64_t missing_rows; /* rows at the end that rdsamp leaves out (skew) */
};

static const struct fixture fixtures[] = {
    {.target = "record-1a", .record = "test01_00s", .kind = DIGITAL},
    {.target = "record-1b",
     .record = "a103l",
     .kind = PHYSICAL,
     .begin = 12500,
     .end = 40000,
     .channels = {3, 1}},
    {.target = "record-1c", .record = "a103l", .kind = DIGITAL, .begin = 20000, .channels = {1, 2}},
    {.target = "record-1d",
     .record = "3000003_0003",
     .kind = PHYSICAL,
     .begin = 125,
     .end = 1000,
     .channels = {2}},
    {.target = "record-1f.gz", .record = "binformats", .kind = DIGITAL},
    {.target = "record-flac.gz", .record = "flacformats", .kind = DIGITAL},
    {.target = "record-2b",
     .record = "100",
     .kind = DIGITAL,
     .begin = 1,
     .end = 10800,
     .channels = {2}},
    {.target = "record-2c", .record = "100_3chan", .kind = PHYSICAL},
    {.target = "record-2d", .record = "310derive", .kind = DIGITAL, .begin = 2},
    {.target = "record-2e", .record = "311derive", .kind = PHYSICAL, .begin = 1, .end = 978},
    {.target = "record-3b",
     .record = "s0010_re",
     .kind = PHYSICAL,
     .begin = 5000,
     .end = 38000,
     .channels = {14, 1, 5, 9, 4}},
    {.target = "record-4a", .record = "test01_00s_skewframe", .kind = DIGITAL, .missing_rows = 3},
    {.target = "record-4b", .record = "03700181", .kind = DIGITAL, .missing_rows = 4},
    {.target = "record-4c",
     .record = "03700181",
     .kind = PHYSICAL,
     .begin = 1000,
     .end = 16000,
     .channels = {1, 3}},
    {.target = "record-4d",
     .record = "test01_00s_skewframe",
     .kind = PHYSICAL,
     .high_resolution = true,
     .missing_rows = 6},
    {.target = "record-multi-fixed-c",
     .record = "multi-segment/fixed1/v102s",
     .kind = PHYSICAL,
     .begin = 70000,
     .end = 80000,
     .channels = {2, 1, 4}},
    {.target = "record-multi-fixed-d.gz",
     .record = "multi-segment/041s/041s",
     .kind = DIGITAL,
     .channels = {4, 3, 2},
     .high_resolution = true},
    {.target = "record-multi-variable-a",
     .record = "multi-segment/s00001/s00001-2896-10-10-00-31",
     .kind = PHYSICAL,
     .begin = 14428365,
     .end = 14428375},
    /* record-multi-variable-b begins in segment 11, whose samples are not in the sample data. */
    {.target = "record-multi-variable-d",
     .record = "multi-segment/p000878/p000878-2137-10-26-16-57",
     .kind = DIGITAL,
     .begin = 3550,
     .end = 7500,
     .channels = {1, 2}},
};

static const char *fixture_path(const char *folder, const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s%s", folder, name);
    return path;
}

/* A whole expected file, gzipped or not. */
static char *read_target(const char *name)
{
    gzFile file = gzopen(fixture_path(TARGETS, name), "rb");
    if (file == NULL)
        return NULL;
    size_t size = 0, room = 1 << 20;
    char *text = malloc(room);
    for (;;) {
        int n = gzread(file, text + size, (unsigned)(room - size - 1));
        if (n <= 0)
            break;
        size += (size_t)n;
        if (room - size < 2)
            text = realloc(text, room *= 2);
    }
    gzclose(file);
    text[size] = '\0';
    return text;
}

static void read_both(const struct fixture *f, struct ecg_record *digital, const int32_t **values,
                      struct ecg_record *physical)
{
    struct err e = {0};
    struct read_options options = {.high_resolution = f->high_resolution};
    struct wfdb_request request = {.begin = f->begin, .end = f->end};
    ecg_record_init(digital);
    ecg_record_init(physical);
    if (wfdb_read_digital(fixture_path(SAMPLES, f->record), &options, &request, digital, values,
                          &e) != ERR_OK ||
        wfdb_read(fixture_path(SAMPLES, f->record), &options, &request, physical, &e) != ERR_OK)
        fail_msg("%s: %s", f->record, e.message);
}

/* rdsamp prints 8 decimals: the exact double rounded so, and our float32 next to it. */
static bool is_physical(float ours, double target)
{
    if (isnan(target) || isnan(ours))
        return isnan(target) && isnan(ours);
    double ulp = fabs((double)nextafterf(ours, INFINITY) - (double)ours);
    return fabs((double)ours - target) <= 0.5000001e-8 + ulp / 2;
}

static void check_fixture(const struct fixture *f)
{
    struct ecg_record digital, physical;
    const int32_t *values;
    read_both(f, &digital, &values, &physical);
    assert_int_equal(digital.lead_count, physical.lead_count);
    assert_int_equal(digital.sample_count, physical.sample_count);
    int64_t samples = digital.sample_count, rows = samples - f->missing_rows;

    struct arena a;
    arena_init(&a, "test", 0);
    struct wfdb_header h;
    struct err e = {0};
    char path[600];
    snprintf(path, sizeof path, "%s.hea", fixture_path(SAMPLES, f->record));
    assert_int_equal(wfdb_header_read(path, &a, &h, &e), ERR_OK);

    int channels[16], count = 0;
    for (; count < 8 && f->channels[count] > 0; count++)
        channels[count] = f->channels[count] - 1;
    for (; f->channels[0] == 0 && count < digital.lead_count; count++)
        channels[count] = count;

    char *text = read_target(f->target), *at = text;
    assert_non_null(text);
    for (int64_t t = 0; t < rows; t++)
        for (int c = 0; c < count; c++) {
            at += strspn(at, " \t\r\n");
            size_t n = strcspn(at, " \t\r\n");
            assert_true(n > 0);
            char *end = at + n;
            double target = n == 1 && *at == '-' ? NAN : strtod(at, &end);
            assert_ptr_equal(end, at + n);
            int32_t value = values[channels[c] * samples + t];
            float mv = physical.samples[channels[c] * samples + t];
            bool same;
            if (f->kind == DIGITAL) {
                /* The expected files keep an invalid sample as rdsamp's or as the format's code. */
                same = value != ADC_INVALID ? value == target
                                            : target == -32768 || target == -2048 || target == -128;
                assert_int_equal(value == ADC_INVALID, isnan(mv));
            } else {
                same = is_physical(mv, target);
                if (h.signals != NULL && value != ADC_INVALID) { /* the text itself */
                    const struct wfdb_signal *s = &h.signals[channels[c]];
                    char ours[64];
                    snprintf(ours, sizeof ours, "%.8f", (value - (double)s->baseline) / s->gain);
                    same = same && strlen(ours) == n && memcmp(ours, at, n) == 0;
                }
            }
            if (!same)
                fail_msg("%s: row %lld, column %d: expected %.*s, found %d, %.9g", f->target,
                         (long long)t, c, (int)n, at, (int)value, (double)mv);
            at += n;
        }
    at += strspn(at, " \t\r\n");
    if (*at != '\0')
        fail_msg("%s has more than %lld rows", f->target, (long long)rows);
    free(text);
    arena_reset(&a);
    ecg_record_free(&digital);
    ecg_record_free(&physical);
}

static void test_targets(void **state)
{
    (void)state;
    if (!dir_exists(ROOT))
        skip();
    for (size_t i = 0; i < sizeof fixtures / sizeof *fixtures; i++)
        check_fixture(&fixtures[i]);
}

/* More than 2^24 samples of three channels, most of them one FLAC constant. */
static void test_long_flac(void **state)
{
    (void)state;
    if (!dir_exists(ROOT))
        skip();
    struct ecg_record r;
    struct err e = {0};
    if (record_read(SAMPLES "flac_3_constant.hea", &(struct read_options){.strict = true}, &r,
                    &e) != ERR_OK)
        fail_msg("%s", e.message);
    assert_int_equal(r.sample_count, 5600000);
    for (int64_t l = 0; l < 3; l++)
        for (int64_t t = 0; t < r.sample_count; t++)
            if (r.samples[l * r.sample_count + t] != 0.125f * (float)(l + 1))
                fail_msg("lead %lld, sample %lld", (long long)l, (long long)t);
    ecg_record_free(&r);
}

static void test_missing_length(void **state)
{
    (void)state;
    if (!dir_exists(ROOT))
        skip();
    static const char *const pairs[][2] = {{"100", "100-no-len"}, {"a103l", "a103l-no-len"}};
    for (int i = 0; i < 2; i++) {
        struct ecg_record a, b;
        struct err e = {0};
        assert_int_equal(record_read(fixture_path(SAMPLES, pairs[i][0]), NULL, &a, &e), ERR_OK);
        assert_int_equal(record_read(fixture_path(SAMPLES, pairs[i][1]), NULL, &b, &e), ERR_OK);
        assert_int_equal(a.sample_count, b.sample_count);
        assert_int_equal(a.lead_count, b.lead_count);
        assert_memory_equal(a.samples, b.samples,
                            (size_t)(a.sample_count * a.lead_count) * sizeof(float));
        assert_int_equal(a.flags, 0);
        assert_int_equal(b.flags, 0);
        ecg_record_free(&a);
        ecg_record_free(&b);
    }
}

/* All records of a folder whose signal files are there: read strictly, so that checksums, initial
 * values and lengths are what the headers say. */
static void verify_folder(const char *folder, const char *const *exceptions)
{
    struct arena a;
    arena_init(&a, "test", 0);
    char **names;
    int64_t count, read = 0;
    struct err e = {0};
    assert_int_equal(dir_list(folder, &a, &names, &count, &e), ERR_OK);
    for (int64_t i = 0; i < count; i++) {
        if (!record_path_is_candidate(names[i]))
            continue;
        char *path = path_join(&a, folder, names[i]);
        struct ecg_record r;
        enum err_code code = record_read(path, &(struct read_options){.strict = true}, &r, &e);
        bool excepted = false;
        for (const char *const *x = exceptions; *x != NULL; x++)
            excepted = excepted || strcmp(*x, names[i]) == 0;
        if (code == ERR_OK)
            read++;
        if (code == ERR_OK ? excepted : !excepted && code != ERR_NOT_FOUND)
            fail_msg("%s: %s", path, code == ERR_OK ? "was expected to be refused" : e.message);
        ecg_record_free(&r);
    }
    assert_true(read > 0);
    arena_reset(&a);
}

static void test_checksums(void **state)
{
    (void)state;
    if (!dir_exists(ROOT))
        skip();
    /* Two headers made by hand from test01_00s keep the initial value of a channel they left out. */
    verify_folder(SAMPLES,
                  (const char *const[]){"test01_00s_frame.hea", "test01_00s_skewframe.hea", NULL});
    static const char *const segments[] = {"041s", "fixed1", "p000878", "s00001", "s25047"};
    for (int i = 0; i < 5; i++) {
        char folder[256];
        snprintf(folder, sizeof folder, SAMPLES "multi-segment/%s", segments[i]);
        verify_folder(folder, (const char *const[]){"3269321_layout.hea", "3248903_layout.hea",
                                                    "3975656_layout.hea", "3234460_layout.hea",
                                                    NULL}); /* layouts hold no signals */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_long_flac),
        cmocka_unit_test(test_missing_length),
        cmocka_unit_test(test_checksums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
