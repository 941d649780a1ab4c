/* base/: err, arena, buf, shapes, str, named, rng, pool, log. */
#include <float.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/named.h"
#include "base/pool.h"
#include "base/rng.h"
#include "base/shapes.h"
#include "base/str.h"

static enum err_code inner(struct err *e)
{
    FAIL(e, ERR_FORMAT, "gain of lead %s: expected a number, found %s", "V1", "x\n\033[31m");
}

static enum err_code outer(struct err *e)
{
    enum err_code code = ERR_OK;
    TRY_TO(out, code, inner(e));
    return ERR_OK;
out:
    err_context(e, "reading record %d", 7);
    return err_context(e, "data set %s", "ptbxl");
}

static void err_carries_context(void **state)
{
    (void)state;
    struct err e = {0};
    assert_int_equal(outer(&e), ERR_FORMAT);
    assert_int_equal(e.code, ERR_FORMAT);
    assert_int_equal(e.context_count, 2);
    char line[1024];
    err_format(&e, line, sizeof line);
    assert_string_equal(line, "data set ptbxl: reading record 7: "
                              "gain of lead V1: expected a number, found x ?[31m");
    char cut[8];
    err_format(&e, cut, sizeof cut);
    assert_string_equal(cut, "data se");
    for (int i = 0; i < 10; i++)
        err_context(&e, "more");
    assert_int_equal(e.context_count, ERR_CONTEXT_MAX);
    /* Re-raising with the old text as an argument. */
    RAISE(&e, ERR_IO, "again: %s", e.message);
    assert_true(strncmp(e.message, "again: gain of lead", 19) == 0);
    assert_int_equal(e.context_count, 0);
    assert_int_equal(RAISE(NULL, ERR_LIMIT, "nobody listens"), ERR_LIMIT);
    for (int code = 0; code < ERR_COUNT; code++)
        assert_string_not_equal(err_code_name((enum err_code)code), "unknown");
    assert_string_equal(err_code_name(ERR_NOT_FOUND), "not-found");
    assert_string_equal(err_code_name(ERR_COUNT), "unknown");
}

static void arena_blocks(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, "test", 0);
    char *blocks[200];
    for (int i = 0; i < 200; i++) {
        size_t size = (size_t)(i * 97 % 5000);
        blocks[i] = arena_push(&a, size);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % 64, 0);
        for (size_t k = 0; k < size; k++)
            assert_int_equal(blocks[i][k], 0);
        memset(blocks[i], i, size);
    }
    for (int i = 0; i < 200; i++)
        for (size_t k = 0; k < (size_t)(i * 97 % 5000); k++)
            assert_int_equal((unsigned char)blocks[i][k], i);
    assert_true(a.used_bytes >= 200 * 64 && a.peak_bytes == a.used_bytes);
    double *big = arena_push_array(&a, 1 << 20, sizeof *big);
    assert_non_null(big);
    assert_true(big[(1 << 20) - 1] == 0);
    assert_null(arena_push_array(&a, SIZE_MAX / 4, 8));
    assert_null(arena_push(&a, SIZE_MAX - 10));
    assert_string_equal(arena_strdup(&a, "hello"), "hello");
    assert_string_equal(arena_strndup(&a, "hello", 3), "hel");
    assert_string_equal(arena_strndup(&a, "hi", 30), "hi");
    assert_string_equal(arena_printf(&a, "%s-%d", "x", 5), "x-5");
    size_t peak = a.peak_bytes;
    arena_reset(&a);
    assert_int_equal(a.used_bytes, 0);
    assert_int_equal(a.peak_bytes, peak);
    assert_non_null(arena_push(&a, 1));
    arena_reset(&a);

    arena_init(&a, "small", 1024);
    assert_non_null(arena_push(&a, 1000)); /* counts as 1024 */
    assert_null(arena_push(&a, 1));
    arena_reset(&a);
    assert_non_null(arena_push(&a, 1024));
    arena_reset(&a);

    void *slab = aligned_calloc(3, 100);
    assert_int_equal((uintptr_t)slab % 64, 0);
    assert_int_equal(((char *)slab)[299], 0);
    free(slab);
    assert_null(aligned_calloc(SIZE_MAX / 2, 3));

    static const size_t sizes[] = {0, 1, 65, (size_t)3 << 20, (size_t)9 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *block = large_alloc(sizes[i]);
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % (sizes[i] >> 23 ? 2 << 20 : 64), 0);
        memset(block, 1, sizes[i]);
        free(block);
    }
    assert_null(large_alloc(SIZE_MAX / 2));
}

static void buf_bounds(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 10);
    buf_puts(&b, "hello");
    buf_printf(&b, "%d", 12345);
    assert_string_equal(b.data, "hello12345");
    assert_int_equal(b.len, 10);
    assert_false(b.failed);
    buf_append(&b, "x", 1);
    assert_true(b.failed);
    assert_string_equal(b.data, "hello12345");
    buf_puts(&b, "");
    assert_true(b.failed);
    buf_clear(&b);
    assert_false(b.failed);
    assert_string_equal(b.data, "");
    assert_null(buf_reserve(&b, SIZE_MAX));
    buf_free(&b);
    assert_null(b.data);

    struct buf zeroed = {0};
    for (int i = 0; i < 10000; i++)
        buf_printf(&zeroed, "%d,", i % 10);
    assert_int_equal(zeroed.len, 20000);
    assert_int_equal(strlen(zeroed.data), 20000);
    buf_free(&zeroed);
    buf_free(&zeroed);
}

static void shapes_overflow(void **state)
{
    (void)state;
    int64_t n = -1;
    assert_true(shape_numel((int64_t[]){2, 3, 4}, 3, &n) && n == 24);
    assert_true(shape_numel(NULL, 0, &n) && n == 1);
    assert_true(shape_numel((int64_t[]){0, INT64_MAX}, 2, &n) && n == 0);
    n = 5;
    assert_false(shape_numel((int64_t[]){INT64_MAX, 2}, 2, &n));
    assert_false(shape_numel((int64_t[]){0, INT64_MAX, 2}, 3, &n));
    assert_false(shape_numel((int64_t[]){0, -1}, 2, &n));
    assert_int_equal(n, 5);
    assert_true(mul_i64(INT64_MAX, 1, &n) && n == INT64_MAX);
    assert_false(mul_i64(-1, -1, &n));
    assert_false(mul_i64(INT64_C(1) << 32, INT64_C(1) << 31, &n));
}

static void str_numbers(void **state)
{
    (void)state;
    int64_t i = 42;
    assert_true(str_to_i64("-9223372036854775808", &i) && i == INT64_MIN);
    assert_true(str_to_i64("9223372036854775807", &i) && i == INT64_MAX);
    assert_true(str_to_i64("+007", &i) && i == 7);
    const char *bad_ints[] = {"",
                              " 1",
                              "1 ",
                              "-",
                              "+",
                              "0x10",
                              "1.0",
                              "1e3",
                              "9223372036854775808",
                              "--1",
                              "-9223372036854775809",
                              "\xd9\xa1"};
    for (size_t k = 0; k < sizeof bad_ints / sizeof *bad_ints; k++)
        assert_false(str_to_i64(bad_ints[k], &i));
    assert_int_equal(i, 7);

    double x = 42;
    const struct {
        const char *text;
        double value;
    } good[] = {{"1", 1},
                {"-2.5", -2.5},
                {".5", 0.5},
                {"5.", 5},
                {"1e3", 1000},
                {"+1E-2", .01},
                {"0", 0},
                {"1e-400", 0},
                {"4.9e-324", 0x1p-1074},
                {"1.7976931348623157e308", DBL_MAX}};
    for (size_t k = 0; k < sizeof good / sizeof *good; k++) {
        assert_true(str_to_f64(good[k].text, false, &x));
        assert_true(x == good[k].value);
    }
    x = 42;
    const char *bad[] = {"",    " 1",    "1 ",     ".",      "e5",    "1e",  "1e+",   "0x1p3",
                         "1,5", "1e999", "-1e999", "nan(1)", "infin", "--1", "1.2.3", "1f"};
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
        assert_false(str_to_f64(bad[k], true, &x));
    assert_false(str_to_f64("nan", false, &x));
    assert_false(str_to_f64("-Infinity", false, &x));
    assert_true(x == 42);
    assert_true(str_to_f64("NaN", true, &x) && isnan(x));
    assert_true(str_to_f64("-inf", true, &x) && x == -INFINITY);

    bool yes = false;
    assert_true(str_to_bool("True", &yes) && yes);
    assert_true(str_to_bool("off", &yes) && !yes);
    assert_false(str_to_bool("2", &yes));
    assert_false(str_to_bool("", &yes));
}

static void str_numbers_print(void **state)
{
    (void)state;
    char text[64];
    str_from_f64(0.1, text, sizeof text);
    assert_string_equal(text, "0.1");
    str_from_f64(1.0 / 3, text, sizeof text);
    assert_string_equal(text, "0.3333333333333333");
    str_from_f64(5e-324, text, sizeof text);
    assert_string_equal(text, "5e-324");
    str_from_f64(-0.0, text, sizeof text);
    assert_string_equal(text, "-0");
    str_from_f64(1e22, text, sizeof text);
    assert_string_equal(text, "1e+22");
    str_from_f64(NAN, text, sizeof text);
    assert_string_equal(text, "nan");
    str_from_f64(-INFINITY, text, sizeof text);
    assert_string_equal(text, "-inf");
    str_from_f32(0.1f, text, sizeof text);
    assert_string_equal(text, "0.1");
    str_from_f32(16777216.0f, text, sizeof text);
    assert_string_equal(text, "16777216");
    struct rng r = rng_at(1, RNG_STREAM_TEST, 0, 0);
    for (int k = 0; k < 20000; k++) {
        uint64_t bits = (uint64_t)rng_u32(&r) << 32 | rng_u32(&r);
        double value, back;
        memcpy(&value, &bits, sizeof value);
        if (isfinite(value)) {
            str_from_f64(value, text, sizeof text);
            assert_true(str_to_f64(text, false, &back) && back == value);
        }
        uint32_t word = rng_u32(&r);
        float single;
        memcpy(&single, &word, sizeof single);
        if (isfinite(single)) {
            str_from_f32(single, text, sizeof text);
            assert_true(str_to_f64(text, false, &back) && (float)back == single);
            assert_true(strlen(text) <= 15);
        }
    }
}

static void str_helpers(void **state)
{
    (void)state;
    assert_true(str_equal_nocase("aVR", "AVR"));
    assert_false(str_equal_nocase("aVR", "AV"));
    assert_false(str_equal_nocase("aV", "AVR"));
    assert_true(str_starts_with("records100", "records"));
    assert_false(str_starts_with("rec", "records"));
    assert_true(str_ends_with("a.hea", ".hea"));
    assert_false(str_ends_with("hea", "a.hea"));
    char padded[] = " \t a b \r\n";
    assert_string_equal(str_trim(padded), "a b");
    char blank[] = " \n ";
    assert_string_equal(str_trim(blank), "");
    char hostile[] = "a\033[2J\tb\x7f\n\xc3\xa9";
    assert_string_equal(str_clean(hostile), "a?[2J b? \xc3\xa9");
    char small[4];
    assert_false(str_copy(small, sizeof small, "hello"));
    assert_string_equal(small, "hel");
    assert_true(str_copy(small, sizeof small, "abc"));

    const char *const names[] = {"pretrain", "probe", "finetune",   "infer", "inspect",
                                 "eval",     "synth", "mask_ratio", NULL};
    assert_int_equal(str_nearest("pretain", names), 0);
    assert_int_equal(str_nearest("prboe", names), 1);
    assert_int_equal(str_nearest("fine", names), 2);
    assert_int_equal(str_nearest("INFER", names), 3);
    assert_int_equal(str_nearest("insp", names), 4);
    assert_int_equal(str_nearest("maskratio", names), 7);
    assert_int_equal(str_nearest("mask-ratio", names), 7);
    assert_int_equal(str_nearest("xyzzy", names), -1);
    assert_int_equal(str_nearest("", names), -1);
    char longest[300];
    memset(longest, 'p', sizeof longest);
    longest[299] = '\0';
    assert_int_equal(str_nearest(longest, names), -1);

    /* Published FNV-1a values. */
    assert_true(str_hash64("") == UINT64_C(0xcbf29ce484222325));
    assert_true(str_hash64("a") == UINT64_C(0xaf63dc4c8601ec8c));
    assert_true(str_hash64("foobar") == UINT64_C(0x85944171f73967e8));
    assert_true(bytes_hash64("bar", 3, str_hash64("foo")) == str_hash64("foobar"));
}

static void str_lists(void **state)
{
    (void)state;
    const struct {
        const char *list, *parts[4];
    } cases[] = {
        {"a", {"a"}},
        {" a b , c,", {"a b", "c", ""}},
        {"", {""}},
        {"\"a, b\",c", {"a, b", "c"}},
        {"c, \"a, b\" >= 1 , \"\"", {"c", "a, b >= 1", ""}},
        {"\"12\"\" or more, \"\"so\"\"\"", {"12\" or more, \"so\""}},
        {"\"\"\",\"\"\"", {"\",\""}},
        {"12\",x", {"12\"", "x"}}, /* within a part it is a letter */
        {"\"a,b", {"\"a", "b"}},   /* and so it is where none closes it */
        {"\"a\"\",b", {"\"a\"\"", "b"}},
        {"\"", {"\""}},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        char text[64], *rest = text;
        assert_true(str_copy(text, sizeof text, cases[c].list));
        for (int i = 0; cases[c].parts[i]; i++)
            assert_string_equal(str_list_next(&rest), cases[c].parts[i]);
        assert_null(str_list_next(&rest));
        assert_null(str_list_next(&rest));
    }
}

static void named_finds(void **state)
{
    (void)state;
    struct named list[] = {{"b", 2}, {"a", 1}, {"b", 0}, {"", 3}, {"ab", 4}, {"b", 5}, {"B", 6}};
    static const int64_t sorted[] = {3, 6, 1, 4, 0, 2, 5};
    named_sort(list, 7);
    for (int i = 0; i < 7; i++)
        assert_int_equal(list[i].index, sorted[i]);
    /* Every place of every length; the first of equal names. */
    for (int n = 1; n <= 7; n++)
        for (int i = 0; i < n; i++)
            assert_ptr_equal(named_find(list, n, list[i].name), &list[i > 4 ? 4 : i]);
    assert_null(named_find(list, 7, "aa"));
    assert_null(named_find(list, 7, "c"));
    assert_null(named_find(list + 1, 6, ""));
    assert_null(named_find(NULL, 0, "a"));
    assert_ptr_equal(named_twice(list, 7), &list[5]);
    assert_null(named_twice(list, 5));
    named_sort(NULL, 0);
    assert_null(named_twice(NULL, 0));
}

static void names_find_and_merge(void **state)
{
    (void)state;
    const char *list[] = {"b", "a", "c", "a", "b", "a"};
    const char *differ[] = {"b", "a", "B"};
    assert_null(names_twice(differ, 3));
    assert_int_equal(names_find(differ, 3, "B"), 0);
    assert_int_equal(names_find(differ, 3, "a"), 1);
    assert_int_equal(names_find(differ, 3, "b"), 2);
    assert_int_equal(names_find(differ, 3, "c"), -1);
    assert_string_equal(names_twice(list, 6), "a");
    const char *order = "aaabbc";
    for (int i = 0; i < 6; i++)
        assert_int_equal(list[i][0], order[i]);
    assert_int_equal(names_distinct(list, 6), 3);
    assert_int_equal(names_find(list, 3, "c"), 2);
    assert_int_equal(names_distinct(NULL, 0), 0);
    assert_int_equal(names_find(NULL, 0, "a"), -1);
    assert_null(names_twice(NULL, 0));
}

/* Source: Random123, examples/kat_vectors, philox4x32 10. */
static void rng_known_answers(void **state)
{
    (void)state;
    const struct {
        uint32_t counter[4], key[2], out[4];
    } cases[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        uint32_t out[4];
        rng_philox(cases[k].counter, cases[k].key, out);
        assert_memory_equal(out, cases[k].out, sizeof out);
    }
}

static void rng_addresses_differ(void **state)
{
    (void)state;
    struct rng a = rng_at(1, RNG_STREAM_MASK, 2, 3), b = a;
    for (int k = 0; k < 100; k++)
        assert_int_equal(rng_u32(&a), rng_u32(&b));
    const uint64_t big = UINT64_C(1) << 43, huge = UINT64_C(1) << 60;
    struct rng others[] = {
        rng_at(1, RNG_STREAM_MASK, 2, 3),        rng_at(2, RNG_STREAM_MASK, 2, 3),
        rng_at(1, RNG_STREAM_CROP, 2, 3),        rng_at(1, RNG_STREAM_MASK, 3, 3),
        rng_at(1, RNG_STREAM_MASK, 2, 4),        rng_at(1, RNG_STREAM_MASK, 3, 2),
        rng_at(1 + big, RNG_STREAM_MASK, 2, 3),  rng_at(1, RNG_STREAM_MASK, 2 + big, 3),
        rng_at(1, RNG_STREAM_MASK, 2, 3 + big),  rng_at(1, RNG_STREAM_MASK, 2 + huge, 3),
        rng_at(1, RNG_STREAM_MASK, 2, 3 + huge),
    };
    enum { COUNT = sizeof others / sizeof *others };
    uint64_t first[COUNT];
    for (int i = 0; i < COUNT; i++) {
        first[i] = (uint64_t)rng_u32(&others[i]) << 32;
        first[i] |= rng_u32(&others[i]);
        for (int j = 0; j < i; j++)
            assert_true(first[i] != first[j]);
    }
}

static void rng_distributions(void **state)
{
    (void)state;
    struct rng r = rng_at(7, RNG_STREAM_TEST, 0, 0);
    const int n = 100000;
    double sum = 0, squares = 0, uniform = 0;
    int64_t counts[7] = {0};
    for (int k = 0; k < n; k++) {
        double u = rng_uniform(&r);
        assert_true(u >= 0 && u < 1);
        uniform += u;
        double g = rng_normal(&r);
        sum += g;
        squares += g * g;
        int64_t i = rng_below(&r, 7);
        assert_true(i >= 0 && i < 7);
        counts[i]++;
        double b = rng_between(&r, -3, -2);
        assert_true(b >= -3 && b < -2);
    }
    /* Five standard errors each. */
    assert_true(fabs(uniform / n - 0.5) < 5 * 0.2887 / sqrt(n));
    assert_true(fabs(sum / n) < 5 / sqrt(n));
    assert_true(fabs(squares / n - 1) < 5 * sqrt(2.0 / n));
    for (int i = 0; i < 7; i++)
        assert_true(fabs((double)counts[i] - n / 7.0) < 5 * sqrt(n / 7.0));

    /* Where n is no power of two of the generator's range, plain remainders would favour small
     * results: below n/3 would come half as often again. */
    const int64_t wide = INT64_C(3) << 61;
    int small = 0;
    for (int k = 0; k < n; k++)
        small += rng_below(&r, wide) < wide / 3;
    assert_true(fabs(small - n / 3.0) < 5 * sqrt(n * 2.0 / 9));

    int64_t order[50];
    bool seen[50] = {false};
    rng_permutation(&r, order, 50);
    int fixed = 0;
    for (int i = 0; i < 50; i++) {
        assert_true(order[i] >= 0 && order[i] < 50 && !seen[order[i]]);
        seen[order[i]] = true;
        fixed += order[i] == i;
    }
    assert_true(fixed < 10);
}

struct pool_sum {
    int64_t marks[1000];
};

static void pool_work(void *context, int64_t i)
{
    struct pool_sum *sum = context;
    sum->marks[i] += i * i;
}

static void pool_covers_all(void **state)
{
    (void)state;
    assert_true(cpu_count() >= 1);
    for (int threads = 0; threads <= 8; threads++) {
        struct pool_sum sum = {{0}};
        pool_for(threads, 1000, pool_work, &sum);
        for (int64_t i = 0; i < 1000; i++)
            assert_int_equal(sum.marks[i], i * i);
    }
    pool_for(4, 0, pool_work, NULL);
}

static char logged[4096];

static void keep_log(enum log_level level, const char *message, void *context)
{
    (void)context;
    snprintf(logged + strlen(logged), sizeof logged - strlen(logged), "%d:%s|", (int)level,
             message);
}

static void log_reaches_sink(void **state)
{
    (void)state;
    log_info("dropped");
    log_set_sink(keep_log, NULL);
    log_info("step %d", 3);
    log_warning("a\nb\033");
    log_set_sink(NULL, NULL);
    log_info("dropped");
    assert_string_equal(logged, "1:step 3|2:a b?|");
    double before = clock_seconds();
    assert_true(clock_seconds() >= before);
}

static void str_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size, length;
    } cases[] = {
        {"a", 1, 1},
        {"", 1, 1}, /* NUL is a character */
        {"", 0, 0},
        {"\xc3\xa9x", 3, 2},
        {"\xc3\xa9", 1, 0}, /* cut */
        {"\xe2\x82\xac", 3, 3},
        {"\xf0\x9f\xab\x80", 4, 4},
        {"\xf0\x9f\xab\x80", 3, 0},
        {"\x80", 1, 0},
        {"\xc1\xbf", 2, 0},         /* overlong */
        {"\xe0\x9f\xbf", 3, 0},     /* overlong */
        {"\xed\xa0\x80", 3, 0},     /* surrogate */
        {"\xf4\x90\x80\x80", 4, 0}, /* above U+10FFFF */
        {"\xff", 1, 0},
        {"\xe2\x28\xa1", 3, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(str_utf8_length(cases[i].text, cases[i].size), cases[i].length);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(err_carries_context), cmocka_unit_test(arena_blocks),
        cmocka_unit_test(buf_bounds),          cmocka_unit_test(shapes_overflow),
        cmocka_unit_test(str_numbers),         cmocka_unit_test(str_numbers_print),
        cmocka_unit_test(str_helpers),         cmocka_unit_test(str_lists),
        cmocka_unit_test(named_finds),         cmocka_unit_test(names_find_and_merge),
        cmocka_unit_test(rng_known_answers),   cmocka_unit_test(rng_addresses_differ),
        cmocka_unit_test(rng_distributions),   cmocka_unit_test(pool_covers_all),
        cmocka_unit_test(log_reaches_sink),    cmocka_unit_test(str_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
