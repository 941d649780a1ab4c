/* format/wfdb_annotation: rdann's output on sample data, hand-made files, damage. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/rng.h"
#include "base/str.h"
#include "format/wfdb_annotation.h"

#define ROOT "../shared/data/wfdb-formats/wfdb-python/"

static void put_word(struct buf *b, unsigned code, unsigned amount)
{
    unsigned word = code << 10 | (amount & 0x3ff);
    unsigned char bytes[2] = {(unsigned char)word, (unsigned char)(word >> 8)};
    buf_append(b, bytes, 2);
}

static void put_skip(struct buf *b, int32_t ticks)
{
    uint32_t t = (uint32_t)ticks;
    unsigned char bytes[4] = {(unsigned char)(t >> 16), (unsigned char)(t >> 24), (unsigned char)t,
                              (unsigned char)(t >> 8)};
    put_word(b, 59, 0);
    buf_append(b, bytes, 4);
}

static void put_aux(struct buf *b, const char *text)
{
    put_word(b, 63, (unsigned)strlen(text));
    buf_append(b, text, strlen(text) + strlen(text) % 2);
}

/* Time as rdann prints it: minutes, seconds, milliseconds; in brackets if of the day. */
static void time_text(int64_t sample, double rate, double base_s, char *out, size_t size)
{
    long long ms = llround(1000.0 * (double)sample / rate + 1000.0 * base_s);
    if (base_s > 0)
        snprintf(out, size, "[%02lld:%02lld:%02lld.%03lld]", ms / 3600000, ms / 60000 % 60,
                 ms / 1000 % 60, ms % 1000);
    else if (ms >= 3600000)
        snprintf(out, size, "%lld:%02lld:%02lld.%03lld", ms / 3600000, ms / 60000 % 60,
                 ms / 1000 % 60, ms % 1000);
    else
        snprintf(out, size, "%lld:%02lld.%03lld", ms / 60000, ms / 1000 % 60, ms % 1000);
}

static void test_targets(void **state)
{
    (void)state;
    if (!dir_exists(ROOT))
        skip();
    static const struct {
        const char *file, *target;
        double rate, base_s;
    } cases[] = {
        {"100.atr", "ann-1", 360, 0},
        {"12726.anI", "ann-2", 250, 15 * 3600 + 8 * 60 + 24},
        {"1003.atr", "ann-3", 360, 0},
    };
    for (size_t i = 0; i < 3; i++) {
        struct wfdb_annotations a;
        struct err e = {0};
        char path[256];
        snprintf(path, sizeof path, ROOT "sample-data/%s", cases[i].file);
        assert_int_equal(wfdb_annotations_read(path, &a, &e), ERR_OK);
        assert_false(a.truncated);
        struct buf ours, target;
        buf_init(&ours, 0);
        snprintf(path, sizeof path, ROOT "tests/target-output/%s", cases[i].target);
        assert_int_equal(file_read(path, 0, &target, &e), ERR_OK);
        for (int64_t k = 0; k < a.count; k++) {
            const struct wfdb_annotation *x = &a.items[k];
            char time[64];
            time_text(x->sample, cases[i].rate, cases[i].base_s, time, sizeof time);
            buf_printf(&ours, "%12s%9lld%6s%5d%5d%5d", time, (long long)x->sample,
                       a.symbols[x->code], x->subtype, x->channel, x->number);
            if (x->aux != NULL)
                buf_printf(&ours, "\t%s", x->aux);
            buf_puts(&ours, "\n");
        }
        assert_string_equal(ours.data, target.data);
        buf_free(&ours);
        buf_free(&target);
        wfdb_annotations_free(&a);
    }
}

/* MIT-BIH: counts as PhysioNet states them. */
static void test_mitdb(void **state)
{
    (void)state;
    if (!dir_exists("../shared/data/mitdb"))
        skip();
    static const struct {
        const char *record;
        int64_t count;
    } cases[] = {{"100", 2274}, {"106", 2098}, {"207", 2385}};
    for (size_t i = 0; i < 3; i++) {
        struct wfdb_annotations a;
        struct err e = {0};
        char path[256];
        snprintf(path, sizeof path, "../shared/data/mitdb/%s.atr", cases[i].record);
        assert_int_equal(wfdb_annotations_read(path, &a, &e), ERR_OK);
        assert_int_equal(a.count, cases[i].count);
        wfdb_annotations_free(&a);
    }
}

static void test_words(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 0);
    put_word(&b, ANNOTATION_NOTE, 0);
    put_aux(&b, "## time resolution: 1000");
    put_word(&b, ANNOTATION_NOTE, 0);
    put_aux(&b, "## annotation type definitions");
    put_word(&b, ANNOTATION_NOTE, 0);
    put_aux(&b, "42 @@ own code\n");
    put_word(&b, ANNOTATION_NOTE, 0);
    put_aux(&b, "## end of definitions");
    put_skip(&b, -1);
    put_word(&b, 0, 1);
    put_word(&b, 1, 10); /* N at 10 */
    put_word(&b, 61, 0x3ff);
    put_word(&b, 62, 2);
    put_word(&b, 60, 5);
    put_word(&b, 5, 1023); /* V at 1033, channel and number stay, subtype does not */
    put_skip(&b, 100000);
    put_word(&b, 42, 7); /* at 101040 */
    put_aux(&b, "odd");
    put_skip(&b, -50);
    put_word(&b, 28, 0);
    put_aux(&b, "(AFIB");
    put_word(&b, 1, 0);
    put_word(&b, 0, 0);
    put_word(&b, 1, 1); /* behind the end */

    struct wfdb_annotations a;
    struct err e = {0};
    assert_int_equal(wfdb_annotations_parse(b.data, b.len, "test", &a, &e), ERR_OK);
    assert_false(a.truncated);
    assert_true(a.rate_hz == 1000);
    assert_int_equal(a.count, 5);
    assert_string_equal(a.symbols[42], "@@");
    assert_string_equal(a.descriptions[42], "own code");
    assert_string_equal(a.symbols[43], "[43]");
    static const int64_t samples[] = {10, 1033, 101040, 100990, 100990};
    for (int i = 0; i < 5; i++) {
        assert_int_equal(a.items[i].sample, samples[i]);
        assert_int_equal(a.items[i].channel, 2);
        assert_int_equal(a.items[i].number, 5);
        assert_int_equal(a.items[i].subtype, i == 0 ? -1 : 0);
    }
    assert_string_equal(a.items[2].aux, "odd");
    assert_string_equal(a.items[3].aux, "(AFIB");
    assert_int_equal(a.items[3].aux_length, 5);
    assert_null(a.items[4].aux);
    assert_true(wfdb_annotation_is_beat(5));
    assert_false(wfdb_annotation_is_beat(28));
    assert_false(wfdb_annotation_is_beat(49));
    wfdb_annotations_free(&a);

    /* Every length of the file: what is there, marked as truncated. */
    for (size_t n = 0; n < b.len; n++) {
        unsigned char *copy = malloc(n > 0 ? n : 1); /* its own block: an overrun is seen */
        memcpy(copy, b.data, n);
        assert_int_equal(wfdb_annotations_parse(copy, n, "test", &a, &e), ERR_OK);
        assert_true(a.truncated == (n < b.len - 2));
        wfdb_annotations_free(&a);
        free(copy);
    }

    /* Random damage. */
    for (uint64_t i = 0; i < 3000; i++) {
        struct rng r = rng_at(7, RNG_STREAM_TEST, 0, i);
        unsigned char *copy = malloc(b.len);
        memcpy(copy, b.data, b.len);
        for (int64_t k = rng_below(&r, 8); k >= 0; k--)
            copy[rng_below(&r, (int64_t)b.len)] = (unsigned char)rng_u32(&r);
        assert_int_equal(wfdb_annotations_parse(copy, b.len, "test", &a, &e), ERR_OK);
        wfdb_annotations_free(&a);
        free(copy);
    }
    buf_free(&b);
}

static void test_huge_times(void **state)
{
    (void)state;
    struct buf b;
    struct err e = {0};
    struct wfdb_annotations a;
    buf_init(&b, 0);
    for (int i = 0; i < 4; i++)
        put_skip(&b, INT32_MAX);
    put_word(&b, 1, 11);
    put_word(&b, 0, 0);
    assert_int_equal(wfdb_annotations_parse(b.data, b.len, "test", &a, &e), ERR_OK);
    assert_int_equal(a.items[0].sample, 4 * (int64_t)INT32_MAX + 11);
    wfdb_annotations_free(&a);
    static unsigned char large[WFDB_ANNOTATION_BYTES_MAX + 1];
    assert_int_equal(wfdb_annotations_parse(large, sizeof large, "test", &a, &e), ERR_LIMIT);
    wfdb_annotations_free(&a);
    assert_int_equal(wfdb_annotations_read("tests/none.atr", &a, &e), ERR_NOT_FOUND);
    wfdb_annotations_free(&a);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_mitdb),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_huge_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
