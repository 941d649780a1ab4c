/* format/wfdb_header: what real headers say, and a list of hostile ones refused by name. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/rng.h"
#include "base/str.h"
#include "format/wfdb_header.h"

static enum err_code parse(const char *text, struct arena *a, struct wfdb_header *h, struct err *e)
{
    arena_init(a, "test", 0);
    *e = (struct err){0};
    return wfdb_header_parse(text, strlen(text), "x.hea", a, h, e);
}

static void test_full_line(void **state)
{
    (void)state;
    struct arena a;
    struct wfdb_header h;
    struct err e;
    const char *text = "# before\r\n"
                       "rec_1 2 360/7200(-10.5) 650000 17:27:45 15/08/1994\r\n"
                       "sub/a.dat 212x4:3+24 12.84(-1605)/mmHg 12 -7 -943 -23651 512  ABP mean \r\n"
                       "\r\n"
                       "  sub/a.dat 212 1.052e+04 11 1024 995 65535 0 MLII\r\n"
                       "# <age>: 61  <sex>: F\r\n#\r\n##two\r\n";
    assert_int_equal(parse(text, &a, &h, &e), ERR_OK);
    assert_string_equal(h.name, "rec_1");
    assert_true(h.rate_hz == 360 && h.has_rate && h.counter_hz == 7200 && h.base_counter == -10.5);
    assert_int_equal(h.sample_count, 650000);
    assert_string_equal(h.time, "17:27:45");
    assert_string_equal(h.date, "15/08/1994");
    assert_null(h.unread);
    assert_int_equal(h.signal_count, 2);
    const struct wfdb_signal *s = h.signals;
    assert_string_equal(s[0].file, "sub/a.dat");
    assert_int_equal(s[0].codec->number, 212);
    assert_int_equal(s[0].per_frame, 4);
    assert_int_equal(s[0].skew, 3);
    assert_int_equal(s[0].offset, 24);
    assert_int_equal(s[1].offset, 24); /* of the file, stated once */
    assert_true(s[0].gain == 12.84 && s[0].has_gain);
    assert_int_equal(s[0].baseline, -1605);
    assert_string_equal(s[0].unit, "mmHg");
    assert_int_equal(s[0].adc_bits, 12);
    assert_int_equal(s[0].adc_zero, -7);
    assert_int_equal(s[0].initial, -943);
    assert_int_equal(s[0].checksum, 65536 - 23651);
    assert_string_equal(s[0].name, "ABP mean");
    assert_int_equal(s[1].baseline, 1024); /* the ADC zero if not stated */
    assert_string_equal(s[1].unit, "mV");
    assert_true(s[1].gain == 10520);
    assert_int_equal(s[1].checksum, 65535);
    assert_int_equal(h.comment_count, 3);
    assert_string_equal(h.comments[0], "before");
    assert_string_equal(h.comments[1], "<age>: 61  <sex>: F");
    assert_string_equal(h.comments[2], "two");
    arena_reset(&a);
}

static void test_short_lines(void **state)
{
    (void)state;
    struct arena a;
    struct wfdb_header h;
    struct err e;
    assert_int_equal(parse("r 1\na.dat 16", &a, &h, &e), ERR_OK);
    assert_true(h.rate_hz == 250 && !h.has_rate);
    assert_int_equal(h.sample_count, -1);
    assert_true(h.signals[0].gain == 200 && !h.signals[0].has_gain);
    assert_false(h.signals[0].has_checksum || h.signals[0].has_initial);
    assert_string_equal(h.signals[0].name, "signal 1");
    arena_reset(&a);

    static const char *const gains[] = {"0", "0/mV", "(3)/mV", "/mV", "0.0(3)"};
    for (int i = 0; i < 5; i++) {
        char text[64];
        str_copy(text, sizeof text, "r 1 100 0\na.dat 16 ");
        str_copy(text + strlen(text), 32, gains[i]);
        assert_int_equal(parse(text, &a, &h, &e), ERR_OK);
        assert_true(h.signals[0].gain == 200 && !h.signals[0].has_gain);
        assert_int_equal(h.sample_count, -1); /* 0 means unknown */
        arena_reset(&a);
    }
    assert_int_equal(parse("r 1 100 5\na.dat 16 -19.5(3064)/degC 11 2048 2461 1 0 T", &a, &h, &e),
                     ERR_OK);
    assert_true(h.signals[0].gain == -19.5);
    arena_reset(&a);
}

static void test_dates(void **state)
{
    (void)state;
    static const struct {
        const char *rest, *time, *date, *unread;
    } cases[] = {
        {"", NULL, NULL, NULL},
        {"17:27:45 15/08/1994", "17:27:45", "15/08/1994", NULL},
        {"05-Feb-2020 11:39:16", "11:39:16", "05-Feb-2020", NULL}, /* CinC 2020 */
        {"2020-02-05 11:39:16.25", "11:39:16.25", "2020-02-05", NULL},
        {"15:08:24", "15:08:24", NULL, NULL},
        {"   31:51.982", "31:51.982", NULL, NULL},
        {"1/05/2000", NULL, "1/05/2000", NULL},
        {"04:05:20 1/05/2000 ", "04:05:20", "1/05/2000", NULL},
        {"01.02.2003 0:00", "0:00", "01.02.2003", NULL},
        {"yesterday 17:00", "17:00", NULL, "yesterday"},
        {"/1/2", NULL, NULL, "/1/2"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena a;
        struct wfdb_header h;
        struct err e;
        char text[128] = "r 1 100 5 ";
        str_copy(text + strlen(text), 64, cases[i].rest);
        str_copy(text + strlen(text), 16, "\na.dat 16\n");
        assert_int_equal(parse(text, &a, &h, &e), ERR_OK);
        const char *found[] = {h.time, h.date, h.unread};
        const char *expected[] = {cases[i].time, cases[i].date, cases[i].unread};
        for (int k = 0; k < 3; k++) {
            assert_int_equal(found[k] == NULL, expected[k] == NULL);
            if (found[k] != NULL)
                assert_string_equal(found[k], expected[k]);
        }
        arena_reset(&a);
    }
}

static void test_segments(void **state)
{
    (void)state;
    struct arena a;
    struct wfdb_header h;
    struct err e;
    assert_int_equal(parse("r/3 4 125 300 1:56:25.894 09/10/2896\nlay 0\n~ 200\nsub/s1 100\n# x\n",
                           &a, &h, &e),
                     ERR_OK);
    assert_string_equal(h.name, "r");
    assert_int_equal(h.segment_count, 3);
    assert_int_equal(h.signal_count, 4);
    assert_null(h.signals);
    assert_int_equal(h.segments[0].sample_count, 0);
    assert_string_equal(h.segments[1].name, "~");
    assert_string_equal(h.segments[2].name, "sub/s1");
    assert_int_equal(h.segments[2].sample_count, 100);
    arena_reset(&a);
}

static void test_encoding(void **state)
{
    (void)state;
    struct arena a;
    struct wfdb_header h;
    struct err e;
    /* Latin-1 becomes UTF-8, UTF-8 stays, control characters go. */
    assert_int_equal(parse("r 1 100 5\na.dat 16 100/\xb5V 16 0 0 0 0 V\xe4\x01\n#\x1b[31m", &a, &h,
                           &e),
                     ERR_OK);
    assert_string_equal(h.signals[0].unit, "\xc2\xb5V");
    assert_string_equal(h.signals[0].name, "V\xc3\xa4?");
    assert_string_equal(h.comments[0], "?[31m");
    arena_reset(&a);
    assert_int_equal(parse("\xef\xbb\xbfr 1 100 5\na.dat 16 100/\xc2\xb5V\n", &a, &h, &e), ERR_OK);
    assert_string_equal(h.name, "r");
    assert_string_equal(h.signals[0].unit, "\xc2\xb5V");
    arena_reset(&a);
    arena_init(&a, "test", 0);
    assert_int_equal(wfdb_header_parse("r 1\na\0b 16", 10, "x.hea", &a, &h, &e), ERR_FORMAT);
    assert_non_null(strstr(e.message, "NUL"));
    arena_reset(&a);
}

/* Each is refused with this code, and the message names the file and the field. */
static void test_hostile(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum err_code code;
        const char *word;
    } cases[] = {
        {"", ERR_FORMAT, "record line"},
        {"\n\n# only a comment\n", ERR_FORMAT, "record line"},
        {"This is a text file.\nNot a header.\n", ERR_FORMAT, "number of signals"},
        {"r", ERR_FORMAT, "number of signals"},
        {"/2 1 100\na 5\nb 5\n", ERR_FORMAT, "record name"},
        {"r 0 100 5\n", ERR_FORMAT, "number of signals"},
        {"r -1 100 5\na.dat 16\n", ERR_FORMAT, "number of signals"},
        {"r 2147483648 100 5\na.dat 16\n", ERR_LIMIT, "number of signals"},
        {"r 99999999999999999999 100 5\na.dat 16\n", ERR_LIMIT, "number of signals"},
        {"r 1e3 100 5\na.dat 16\n", ERR_FORMAT, "number of signals"},
        {"r 1024 100 5\na.dat 16\n", ERR_FORMAT, "1024 signal lines"},
        {"r 2 100 5\na.dat 16\n", ERR_FORMAT, "2 signal lines"},
        {"r 1 100 5\na.dat 16\na.dat 16\n", ERR_FORMAT, "surplus line"},
        {"r 1 100 5\na.dat 16\n# c\nrubbish\n", ERR_FORMAT, "surplus line"},
        {"r 1 0 5\na.dat 16\n", ERR_RATE, "sampling rate"},
        {"r 1 -360 5\na.dat 16\n", ERR_RATE, "sampling rate"},
        {"r 1 nan 5\na.dat 16\n", ERR_RATE, "sampling rate"},
        {"r 1 inf 5\na.dat 16\n", ERR_RATE, "sampling rate"},
        {"r 1 -inf 5\na.dat 16\n", ERR_RATE, "sampling rate"},
        {"r 1 1e308 5\na.dat 16\n", ERR_RATE, "sampling rate"},
        {"r 1 1e999 5\na.dat 16\n", ERR_RATE, "sampling rate"},
        {"r 1 0x10 5\na.dat 16\n", ERR_RATE, "sampling rate"},
        {"r 1 fast 5\na.dat 16\n", ERR_RATE, "sampling rate"},
        {"r 1 100/x 5\na.dat 16\n", ERR_FORMAT, "counter frequency"},
        {"r 1 100/nan 5\na.dat 16\n", ERR_FORMAT, "counter frequency"},
        {"r 1 100/1(x) 5\na.dat 16\n", ERR_FORMAT, "base counter"},
        {"r 1 100/1(5 5\na.dat 16\n", ERR_FORMAT, "base counter"},
        {"r 1 100 -5\na.dat 16\n", ERR_FORMAT, "number of samples"},
        {"r 1 100 5.5\na.dat 16\n", ERR_FORMAT, "number of samples"},
        {"r 1 100 9223372036854775808\na.dat 16\n", ERR_LIMIT, "number of samples"},
        {"r/0 1 100 5\n", ERR_FORMAT, "number of segments"},
        {"r/-3 1 100 5\n", ERR_FORMAT, "number of segments"},
        {"r/2000000000 1 100 5\na 5\n", ERR_LIMIT, "number of segments"},
        {"r/x 1 100 5\na 5\n", ERR_FORMAT, "number of segments"},
        {"r/3 1 100 5\na 5\n", ERR_FORMAT, "3 segment lines"},
        {"r/1 1 100 5\na 5\nb 5\n", ERR_FORMAT, "surplus line"},
        {"r/1 1 100 5\na\n", ERR_FORMAT, "number of samples"},
        {"r/1 1 100 5\na -5\n", ERR_FORMAT, "number of samples"},
        {"r/1 1 100 5\na 9223372036854775807\n", ERR_LIMIT, "number of samples"},
        {"r/1 1 100 5\n../a 5\n", ERR_FORMAT, "segment"},
        {"r/1 1 100 5\n/etc/a 5\n", ERR_FORMAT, "segment"},
        {"r 1 100 5\n../a.dat 16\n", ERR_FORMAT, "signal file"},
        {"r 1 100 5\nsub/../../a.dat 16\n", ERR_FORMAT, "signal file"},
        {"r 1 100 5\n/etc/passwd 16\n", ERR_FORMAT, "signal file"},
        {"r 1 100 5\na.dat\n", ERR_FORMAT, "storage format"},
        {"r 1 100 5\na.dat x\n", ERR_FORMAT, "storage format"},
        {"r 1 100 5\na.dat -16\n", ERR_FORMAT, "storage format"},
        {"r 1 100 5\na.dat 17\n", ERR_UNSUPPORTED, "storage format"},
        {"r 1 100 5\na.dat 16y\n", ERR_FORMAT, "storage format"},
        {"r 1 100 5\na.dat 99999999999999999999\n", ERR_FORMAT, "storage format"},
        {"r 1 100 5\na.dat 16x0\n", ERR_FORMAT, "samples per frame"},
        {"r 1 100 5\na.dat 16x-1\n", ERR_FORMAT, "samples per frame"},
        {"r 1 100 5\na.dat 16x2147483647\n", ERR_LIMIT, "samples per frame"},
        {"r 1 100 5\na.dat 16x\n", ERR_FORMAT, "samples per frame"},
        {"r 1 100 5\na.dat 16:-1\n", ERR_FORMAT, "skew"},
        {"r 1 100 5\na.dat 16:4294967296\n", ERR_LIMIT, "skew"},
        {"r 1 100 5\na.dat 16+-1\n", ERR_FORMAT, "byte offset"},
        {"r 1 100 5\na.dat 16+9223372036854775808\n", ERR_LIMIT, "byte offset"},
        {"r 1 100 5\na.dat 16 nan\n", ERR_FORMAT, "gain"},
        {"r 1 100 5\na.dat 16 NaN/mV\n", ERR_FORMAT, "gain"},
        {"r 1 100 5\na.dat 16 -inf/mV\n", ERR_FORMAT, "gain"},
        {"r 1 100 5\na.dat 16 1e999\n", ERR_FORMAT, "gain"},
        {"r 1 100 5\na.dat 16 abc\n", ERR_FORMAT, "gain"},
        {"r 1 100 5\na.dat 16 100(/mV\n", ERR_FORMAT, "baseline"},
        {"r 1 100 5\na.dat 16 100(1.5)\n", ERR_FORMAT, "baseline"},
        {"r 1 100 5\na.dat 16 100(99999999999)\n", ERR_LIMIT, "baseline"},
        {"r 1 100 5\na.dat 16 100 xx\n", ERR_FORMAT, "ADC resolution"},
        {"r 1 100 5\na.dat 16 100 1000\n", ERR_LIMIT, "ADC resolution"},
        {"r 1 100 5\na.dat 16 100 16 1e9\n", ERR_FORMAT, "ADC zero"},
        {"r 1 100 5\na.dat 16 100 16 0 2147483648\n", ERR_LIMIT, "initial value"},
        {"r 1 100 5\na.dat 16 100 16 0 0 4294967296\n", ERR_LIMIT, "checksum"},
        {"r 1 100 5\na.dat 16 100 16 0 0 0 -1\n", ERR_FORMAT, "block size"},
        {"r 2 100 5\na.dat 16\na.dat 212\n", ERR_FORMAT, "storage format"},
        {"r 2 100 5\na.dat 16+4\na.dat 16+8\n", ERR_FORMAT, "byte offset"},
        {"r 2 100 5\na.dat 516x2\na.dat 516\n", ERR_FORMAT, "samples per frame"},
        {"r 3 100 5\na.dat 16\nb.dat 16\na.dat 16\n", ERR_FORMAT, "signal file"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena a;
        struct wfdb_header h;
        struct err e;
        enum err_code code = parse(cases[i].text, &a, &h, &e);
        if (code != cases[i].code || strstr(e.message, cases[i].word) == NULL ||
            strstr(e.message, "x.hea") == NULL)
            fail_msg("'%s': expected %s about %s, found %s: %s", cases[i].text,
                     err_code_name(cases[i].code), cases[i].word, err_code_name(code), e.message);
        arena_reset(&a);
    }
}

/* A frame wider than the bound, and a megabyte in one line. */
static void test_large(void **state)
{
    (void)state;
    struct arena a;
    struct wfdb_header h;
    struct err e;
    struct buf b;
    buf_init(&b, 0);
    buf_puts(&b, "r 20 100 5\n");
    for (int i = 0; i < 20; i++)
        buf_puts(&b, "a.dat 16x65536\n");
    assert_int_equal(parse(b.data, &a, &h, &e), ERR_LIMIT);
    assert_non_null(strstr(e.message, "samples per frame"));
    arena_reset(&a);
    buf_clear(&b);
    buf_puts(&b, "r 1 100 5 ");
    for (int i = 0; i < 1 << 20; i++)
        buf_append(&b, "9", 1);
    assert_int_equal(parse(b.data, &a, &h, &e), ERR_FORMAT); /* no signal line */
    arena_reset(&a);
    buf_puts(&b, "\na.dat 16\n#");
    for (int i = 0; i < 1 << 20; i++)
        buf_append(&b, "#", 1);
    assert_int_equal(parse(b.data, &a, &h, &e), ERR_OK);
    assert_non_null(h.unread);
    assert_int_equal(h.comment_count, 0);
    arena_reset(&a);
    buf_free(&b);
}

/* Every truncation and thousands of mutations: an answer, never a crash. */
static void test_mutations(void **state)
{
    (void)state;
    static const char *const seeds[] = {
        "rec_1 2 360/7200(-10.5) 650000 17:27:45 15/08/1994\n"
        "sub/a.dat 212x4:3+24 12.84(-1605)/mmHg 12 -7 -943 -23651 512 ABP mean\n"
        "sub/a.dat 212 1.052e+04 11 1024 995 65535 0 MLII\n# <age>: 61  <sex>: F\n",
        "r/3 4 125 300 1:56:25.894 09/10/2896\nlay 0\n~ 200\nsub/s1 100\n# x\n",
    };
    static const char alphabet[] = "0123456789 \n/()x:+-.#~\xff\x00";
    struct arena a;
    struct wfdb_header h;
    struct err e = {0};
    int fine = 0;
    for (int s = 0; s < 2; s++) {
        size_t size = strlen(seeds[s]);
        for (uint64_t i = 0; i < 3000; i++) {
            struct rng r = rng_at(11, RNG_STREAM_TEST, (uint64_t)s, i);
            size_t n = i < size ? (size_t)i : size;
            char *copy = malloc(n > 0 ? n : 1);
            memcpy(copy, seeds[s], n);
            for (int64_t k = i < size ? 0 : 1 + rng_below(&r, 6); k > 0; k--)
                copy[rng_below(&r, (int64_t)n)] = alphabet[rng_below(&r, sizeof alphabet)];
            arena_init(&a, "test", 1 << 20);
            enum err_code code = wfdb_header_parse(copy, n, "x.hea", &a, &h, &e);
            assert_true(code == ERR_OK || code == ERR_FORMAT || code == ERR_RATE ||
                        code == ERR_LIMIT || code == ERR_UNSUPPORTED);
            fine += code == ERR_OK;
            arena_reset(&a);
            free(copy);
        }
    }
    assert_true(fine > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_line), cmocka_unit_test(test_short_lines),
        cmocka_unit_test(test_dates),     cmocka_unit_test(test_segments),
        cmocka_unit_test(test_encoding),  cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_large),     cmocka_unit_test(test_mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
