/* format/mat5 and the recordings in such files: every storage type in both byte orders, plain and
 * compressed, and every way that sizes can lie. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "base/rng.h"
#include "format/format.h"
#include "format/mat5.h"
#include "mat5_image.h"
#include "scratch.h"
#include "signal/contract.h"

/* The parser gets a block of just this size, so that a read beyond it is found. */
static enum err_code image_parse(const struct mat5_image *f, struct mat5 *m, void **block,
                                 int64_t inflated_max, struct err *e)
{
    *block = malloc(f->size ? f->size : 1);
    assert_non_null(*block);
    memcpy(*block, f->bytes, f->size);
    return mat5_parse(m, *block, f->size, "test.mat", inflated_max, e);
}

static void test_types(void **state)
{
    (void)state;
    static const struct {
        int class, type;
        double values[6];
    } cases[] = {
        {MAT5_DOUBLE, MI_DOUBLE, {1.5, -2.25, 1e300, -1e-300, 0, 3}},
        {MAT5_SINGLE, MI_SINGLE, {1.5, -2.25, 0x1p100, 0, 7, -8}},
        {MAT5_INT8, MI_INT8, {1, -1, 127, -128, 0, 5}},
        {MAT5_UINT8, MI_UINT8, {1, 255, 128, 0, 4, 5}},
        {MAT5_INT16, MI_INT16, {1, -1, 32767, -32768, 0, 5}},
        {MAT5_UINT16, MI_UINT16, {1, 65535, 258, 0, 4, 5}},
        {MAT5_INT32, MI_INT32, {1, -1, 2147483647, -2147483648.0, 0, 5}},
        {MAT5_UINT32, MI_UINT32, {1, 4294967295.0, 16909060, 0, 4, 5}},
        {MAT5_INT64, MI_INT64, {1, -1, 9007199254740992.0, -9007199254740992.0, 0, 5}},
        {MAT5_UINT64, MI_UINT64, {1, 9007199254740992.0, 0, 3, 4, 5}},
        {MAT5_DOUBLE, MI_UINT8, {1, 255, 128, 0, 4, 5}}, /* stored in a smaller type */
        {MAT5_DOUBLE, MI_INT16, {1, -1, 32767, -32768, 0, 5}},
    };
    for (int variant = 0; variant < 4; variant++) {
        bool big_endian = variant & 1, compressed = variant & 2;
        struct mat5_image f;
        image_begin(&f, big_endian);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            char name[16];
            snprintf(name, sizeof name, "v%zu", i);
            image_variable(&f, name, cases[i].class, cases[i].type, 2, 3, cases[i].values,
                           compressed);
        }
        struct mat5 m;
        void *block;
        struct err e = {0};
        if (image_parse(&f, &m, &block, 0, &e) != ERR_OK)
            fail_msg("variant %d: %s", variant, e.message);
        assert_int_equal(m.count, sizeof cases / sizeof *cases);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            char name[16];
            float rows[6];
            snprintf(name, sizeof name, "v%zu", i);
            const struct mat5_array *a = mat5_find(&m, name);
            assert_non_null(a);
            assert_true(a->class == (enum mat5_class)cases[i].class && a->rank == 2 &&
                        a->shape[0] == 2 && a->shape[1] == 3 && mat5_is_number(a));
            for (int k = 0; k < 6; k++)
                assert_true(mat5_value(a, k) == cases[i].values[k]);
            if (cases[i].values[2] < 1e38) {
                mat5_rows_f32(a, rows);
                for (int k = 0; k < 6; k++)
                    assert_true(rows[k] == (float)cases[i].values[k % 3 * 2 + k / 3]);
            }
        }
        assert_null(mat5_find(&m, "v99"));
        mat5_close(&m);
        free(block);
        free(f.bytes);
    }
}

/* Structures, text, small elements, and what is listed but not read. */
static void test_structures(void **state)
{
    (void)state;
    for (int variant = 0; variant < 4; variant++) {
        struct mat5_image f;
        const int64_t one[2] = {1, 1};
        image_begin(&f, variant & 1);
        size_t at = image_matrix(&f, MAT5_STRUCT, 0, one, 2, "ECG");
        image_numbers(&f, MI_INT32, (double[]){5}, 1, true);
        image_text(&f, MI_INT8, "sex\0\0age\0\0none\0bits\0", 20);
        size_t field = image_matrix(&f, MAT5_CHAR, 0, (int64_t[]){1, 4}, 2, "");
        image_text(&f, MI_UTF8, "Male", 4);
        image_matrix_end(&f, field);
        field = image_matrix(&f, MAT5_DOUBLE, 0, one, 2, "");
        image_numbers(&f, MI_UINT8, (double[]){74}, 1, true);
        image_matrix_end(&f, field);
        image_word(&f, MI_MATRIX, 4); /* [] in short */
        image_word(&f, 0, 4);
        field = image_matrix(&f, MAT5_UINT8, 2, (int64_t[]){2, 2}, 2, "");
        image_numbers(&f, MI_UINT8, (double[]){1, 0, 0, 1}, 4, true);
        image_matrix_end(&f, field);
        image_matrix_end(&f, at);
        if (variant & 2)
            image_compress(&f, at);
        at = image_matrix(&f, MAT5_CELL, 0, one, 2, "cell");
        field = image_matrix(&f, MAT5_DOUBLE, 0, one, 2, "");
        image_numbers(&f, MI_DOUBLE, (double[]){1}, 1, false);
        image_matrix_end(&f, field);
        image_matrix_end(&f, at);
        at = image_matrix(&f, MAT5_DOUBLE, 8, (int64_t[]){1, 2}, 2, "complex");
        image_numbers(&f, MI_DOUBLE, (double[]){1, 2}, 2, false);
        image_numbers(&f, MI_DOUBLE, (double[]){3, 4}, 2, false);
        image_matrix_end(&f, at);
        at = image_matrix(&f, MAT5_CHAR, 0, (int64_t[]){1, 3}, 2, "wide");
        image_numbers(&f, MI_UINT16, (double[]){'a', 0x20ac, 'c'}, 3, false);
        image_matrix_end(&f, at);

        struct mat5 m;
        void *block;
        struct err e = {0};
        if (image_parse(&f, &m, &block, 0, &e) != ERR_OK)
            fail_msg("variant %d: %s", variant, e.message);
        const struct mat5_array *ecg = mat5_find(&m, "ECG");
        char text[8];
        double value;
        assert_true(ecg && ecg->field_count == 4 && m.count == 4);
        assert_true(mat5_text(mat5_field(ecg, "sex"), text, sizeof text));
        assert_string_equal(text, "Male");
        assert_true(mat5_text(mat5_field(ecg, "sex"), text, 3)); /* cut */
        assert_string_equal(text, "Ma");
        assert_true(mat5_scalar(mat5_field(ecg, "age"), &value) && value == 74);
        assert_int_equal(mat5_field(ecg, "none")->count, 0);
        assert_false(mat5_scalar(mat5_field(ecg, "none"), &value));
        const struct mat5_array *bits = mat5_field(ecg, "bits");
        assert_true(bits->is_logical && mat5_is_number(bits) && mat5_value(bits, 3) == 1);
        assert_null(mat5_field(ecg, "more"));
        assert_false(mat5_scalar(NULL, &value) || mat5_text(NULL, text, sizeof text));
        assert_false(mat5_is_number(mat5_find(&m, "cell")) || mat5_is_number(ecg) ||
                     mat5_is_number(mat5_find(&m, "complex")));
        assert_true(mat5_value(mat5_find(&m, "complex"), 1) == 2);
        assert_true(mat5_text(mat5_find(&m, "wide"), text, sizeof text));
        assert_string_equal(text, "a?c");
        mat5_close(&m);
        free(block);
        free(f.bytes);
    }
}

static void expect_refusal(const struct mat5_image *f, int64_t inflated_max, enum err_code code,
                           const char *says, int line)
{
    struct mat5 m;
    void *block;
    struct err e = {0};
    enum err_code found = image_parse(f, &m, &block, inflated_max, &e);
    if (found != code || !strstr(e.message, says))
        fail_msg("line %d: %s: %s", line, err_code_name(found), e.message);
    assert_null(m.arrays);
    free(block);
}

#define REFUSED(f, code, says)                                                                     \
    do {                                                                                           \
        expect_refusal(&(f), 0, code, says, __LINE__);                                             \
        free((f).bytes);                                                                           \
    } while (0)

/* A file of one variable [1,2] of doubles. */
static size_t image_pair(struct mat5_image *f)
{
    image_begin(f, false);
    size_t at = f->size;
    image_variable(f, "x", MAT5_DOUBLE, MI_DOUBLE, 1, 2, (double[]){1, 2}, false);
    return at;
}

static void test_refuses(void **state)
{
    (void)state;
    struct mat5_image f;
    size_t at;
    /* header */
    image_begin(&f, false);
    f.size = 100;
    REFUSED(f, ERR_TRUNCATED, "header");
    image_begin(&f, false);
    f.bytes[126] = 'X';
    REFUSED(f, ERR_FORMAT, "byte order");
    image_begin(&f, true);
    f.bytes[125] = 2;
    REFUSED(f, ERR_UNSUPPORTED, "version 0x0102");
    image_begin(&f, false);
    memcpy(f.bytes, "MATLAB 7.3", 10);
    REFUSED(f, ERR_UNSUPPORTED, "HDF5");
    image_begin(&f, false);
    f.bytes[0] = 'm';
    REFUSED(f, ERR_FORMAT, "no MATLAB file");
    /* sizes of a variable: its own, its flags, its dimensions, its name, its values */
    at = image_pair(&f);
    f.bytes[at + 4] = 0xff;
    REFUSED(f, ERR_TRUNCATED, "byte 128: an element of 255 bytes");
    at = image_pair(&f);
    memset(f.bytes + at + 4, 0xff, 4);
    REFUSED(f, ERR_TRUNCATED, "4294967295");
    at = image_pair(&f);
    f.bytes[at] = MI_DOUBLE;
    REFUSED(f, ERR_FORMAT, "type 9, where a variable");
    at = image_pair(&f);
    f.bytes[at + 12] = 4;
    REFUSED(f, ERR_FORMAT, "flags of 4 bytes");
    at = image_pair(&f);
    f.bytes[at + 16] = 0;
    REFUSED(f, ERR_FORMAT, "class 0");
    at = image_pair(&f);
    f.bytes[at + 16] = 18;
    REFUSED(f, ERR_FORMAT, "class 18");
    at = image_pair(&f);
    f.bytes[at + 28] = 4;
    REFUSED(f, ERR_FORMAT, "dimensions of 4 bytes");
    at = image_pair(&f);
    f.bytes[at + 28] = 36;
    REFUSED(f, ERR_FORMAT, "dimensions of 36 bytes");
    at = image_pair(&f);
    f.bytes[at + 35] = 0x80; /* rows */
    REFUSED(f, ERR_FORMAT, "negative");
    at = image_pair(&f);
    f.bytes[at + 36] = 3; /* columns */
    REFUSED(f, ERR_FORMAT, "16 bytes for the 3 values of x");
    at = image_pair(&f);
    f.bytes[at + 48] = '\n'; /* the name */
    REFUSED(f, ERR_FORMAT, "0x0a");
    at = image_pair(&f);
    f.bytes[at + 56] = MI_MATRIX; /* type of the values */
    REFUSED(f, ERR_FORMAT, "values of type 14");
    at = image_pair(&f);
    f.bytes[at + 56] = 8;
    REFUSED(f, ERR_FORMAT, "values of type 8");
    at = image_pair(&f);
    f.bytes[at + 56] = MI_UTF8;
    REFUSED(f, ERR_FORMAT, "values of type 16");
    at = image_pair(&f);
    f.bytes[at + 60] = 17;
    REFUSED(f, ERR_TRUNCATED, "an element of 17 bytes, 16 are left");
    at = image_pair(&f);
    f.bytes[at + 58] = 5; /* a small element of five bytes */
    REFUSED(f, ERR_FORMAT, "small element of 5");
    /* dimensions whose product overflows */
    image_begin(&f, false);
    at = image_matrix(&f, MAT5_DOUBLE, 0,
                      (int64_t[]){2147483647, 2147483647, 2147483647, 2147483647}, 4, "x");
    image_numbers(&f, MI_DOUBLE, NULL, 0, false);
    image_matrix_end(&f, at);
    REFUSED(f, ERR_FORMAT, "larger than any file");
    /* a complex array without its imaginary part; a name twice; what follows */
    image_begin(&f, false);
    at = image_matrix(&f, MAT5_DOUBLE, 8, (int64_t[]){1, 1}, 2, "x");
    image_numbers(&f, MI_DOUBLE, (double[]){1}, 1, false);
    image_matrix_end(&f, at);
    REFUSED(f, ERR_TRUNCATED, "0 bytes where an element");
    image_pair(&f);
    image_variable(&f, "x", MAT5_DOUBLE, MI_DOUBLE, 1, 1, (double[]){1}, true);
    REFUSED(f, ERR_FORMAT, "twice");
    image_pair(&f);
    image_put(&f, "abc", 3);
    REFUSED(f, ERR_TRUNCATED, "3 bytes where");
    /* structures */
    image_begin(&f, false);
    at = image_matrix(&f, MAT5_STRUCT, 0, (int64_t[]){1, 1}, 2, "s");
    image_numbers(&f, MI_INT32, (double[]){0}, 1, true);
    image_matrix_end(&f, at);
    REFUSED(f, ERR_FORMAT, "field names of 0 bytes");
    image_begin(&f, false);
    at = image_matrix(&f, MAT5_STRUCT, 0, (int64_t[]){1, 1}, 2, "s");
    image_numbers(&f, MI_INT32, (double[]){4}, 1, true);
    image_text(&f, MI_INT8, "a\0\0\0b", 5);
    image_matrix_end(&f, at);
    REFUSED(f, ERR_FORMAT, "5 bytes of field names");
    image_begin(&f, false);
    at = image_matrix(&f, MAT5_STRUCT, 0, (int64_t[]){1, 1}, 2, "s");
    image_numbers(&f, MI_INT32, (double[]){4}, 1, true);
    image_text(&f, MI_INT8, "a\0\0\0b\0\0\0", 8);
    image_matrix_end(&f, at);
    REFUSED(f, ERR_TRUNCATED, "0 bytes where");
    /* structures in structures without end */
    size_t open[16];
    image_begin(&f, false);
    for (int i = 0; i < 16; i++) {
        open[i] = image_matrix(&f, MAT5_STRUCT, 0, (int64_t[]){1, 1}, 2, i ? "" : "s");
        image_numbers(&f, MI_INT32, (double[]){4}, 1, true);
        image_text(&f, MI_INT8, "a\0\0\0", 4);
    }
    for (int i = 16; i-- > 0;)
        image_matrix_end(&f, open[i]);
    REFUSED(f, ERR_LIMIT, "levels");
    /* too many variables */
    image_begin(&f, false);
    for (int i = 0; i < 1025; i++) {
        char name[16];
        snprintf(name, sizeof name, "v%d", i);
        image_variable(&f, name, MAT5_DOUBLE, MI_DOUBLE, 1, 1, (double[]){1}, false);
    }
    REFUSED(f, ERR_LIMIT, "1024 variables");
    /* few fields in each structure, too many in all */
    char names[512] = {0};
    for (int i = 0; i < 256; i++)
        names[2 * i] = 'a';
    for (int count = 256; count <= 257; count++) {
        image_begin(&f, false);
        for (int i = 0; i < count; i++) {
            char name[16];
            snprintf(name, sizeof name, "s%d", i);
            at = image_matrix(&f, MAT5_STRUCT, 0, (int64_t[]){1, 1}, 2, name);
            image_numbers(&f, MI_INT32, (double[]){2}, 1, true);
            image_text(&f, MI_INT8, names, sizeof names);
            for (int k = 0; k < 256; k++)
                image_text(&f, MI_MATRIX, "", 0);
            image_matrix_end(&f, at);
        }
        if (count > 256) {
            REFUSED(f, ERR_LIMIT, "65536 fields");
            break;
        }
        struct mat5 m;
        void *block;
        assert_int_equal(image_parse(&f, &m, &block, 0, NULL), ERR_OK);
        assert_true(m.count == 256 && m.arrays[255].field_count == 256);
        mat5_close(&m);
        free(block);
        free(f.bytes);
    }
}

static void test_refuses_compressed(void **state)
{
    (void)state;
    struct mat5_image f;
    static double zeros[4096];
    /* the tag inside claims more than the stream holds, less, and more than any stream could hold */
    for (int change = 0; change < 6; change++) {
        image_begin(&f, false);
        size_t at = f.size;
        image_variable(&f, "x", MAT5_DOUBLE, MI_DOUBLE, 1, 4096, zeros, false);
        unsigned char *tag = f.bytes + at + 4;
        uint32_t bytes = (uint32_t)tag[0] | (uint32_t)tag[1] << 8;
        if (change < 4)
            bytes = (uint32_t[]){bytes + 8, bytes - 8, 0, UINT32_MAX}[change];
        if (change == 4)
            f.bytes[at] = MI_COMPRESSED; /* a stream in a stream */
        memcpy(tag, &bytes, 4);
        image_compress(&f, at);
        if (change == 5)
            f.bytes[f.size - 1] ^= 1; /* the check sum */
        static const struct {
            enum err_code code;
            const char *says;
        } want[] = {{ERR_TRUNCATED, "ends early"},     {ERR_FORMAT, "more than its tag"},
                    {ERR_FORMAT, "more than its tag"}, {ERR_FORMAT, "cannot hold"},
                    {ERR_FORMAT, "type 15"},           {ERR_FORMAT, "damaged"}};
        REFUSED(f, want[change].code, want[change].says);
    }
    /* what all streams together may hold */
    image_begin(&f, false);
    image_variable(&f, "x", MAT5_DOUBLE, MI_DOUBLE, 1, 4096, zeros, true);
    image_variable(&f, "y", MAT5_DOUBLE, MI_DOUBLE, 1, 4096, zeros, true);
    expect_refusal(&f, 60000, ERR_LIMIT, "bytes left", __LINE__);
    struct mat5 m;
    void *block;
    assert_int_equal(image_parse(&f, &m, &block, 70000, NULL), ERR_OK);
    mat5_close(&m);
    free(block);
    /* every end of the file, and every damage of a byte */
    for (size_t size = 0; size < f.size; size++) {
        struct mat5_image cut = f;
        cut.size = size;
        enum err_code code = image_parse(&cut, &m, &block, 0, NULL);
        assert_true(code != ERR_OK || m.count < 2);
        mat5_close(&m);
        free(block);
    }
    for (size_t i = 0; i < f.size; i++) {
        f.bytes[i] ^= 0x55;
        image_parse(&f, &m, &block, 0, NULL);
        mat5_close(&m);
        free(block);
        f.bytes[i] ^= 0x55;
    }
    free(f.bytes);
}

static void test_mutations(void **state)
{
    (void)state;
    struct mat5_image f;
    const int64_t one[2] = {1, 1};
    image_begin(&f, false);
    size_t at = image_matrix(&f, MAT5_STRUCT, 0, one, 2, "ECG");
    image_numbers(&f, MI_INT32, (double[]){5}, 1, true);
    image_text(&f, MI_INT8, "sex\0\0data\0", 10);
    size_t field = image_matrix(&f, MAT5_CHAR, 0, (int64_t[]){1, 4}, 2, "");
    image_text(&f, MI_UTF8, "Male", 4);
    image_matrix_end(&f, field);
    image_variable(&f, "", MAT5_DOUBLE, MI_INT16, 2, 2, (double[]){1, 2, 3, 4}, false);
    image_matrix_end(&f, at);
    image_variable(&f, "feats", MAT5_SINGLE, MI_SINGLE, 2, 3, (double[]){1, 2, 3, 4, 5, 6}, false);
    struct rng rng = rng_at(5, RNG_STREAM_TEST, 0, 0);
    int accepted = 0;
    for (int round = 0; round < 40000; round++) {
        struct mat5_image copy = f;
        copy.bytes = malloc(f.size);
        memcpy(copy.bytes, f.bytes, f.size);
        for (int64_t k = rng_below(&rng, 3); k >= 0; k--) {
            static const unsigned char telling[] = {0, 1, 2, 4, 5, 6, 7, 8, 9, 14, 15, 16, 64, 255};
            copy.bytes[124 + rng_below(&rng, (int64_t)f.size - 124)] =
                telling[rng_below(&rng, sizeof telling)];
        }
        struct mat5 m;
        struct err e = {0};
        enum err_code code = mat5_parse(&m, copy.bytes, copy.size, "test.mat", 1 << 20, &e);
        if (code == ERR_OK) {
            double sum = 0;
            float rows[64];
            char text[16];
            for (int64_t i = 0; i < m.count; i++) {
                const struct mat5_array *a = &m.arrays[i];
                for (int64_t k = 0; mat5_is_number(a) && k < a->count; k++)
                    sum += mat5_value(a, k);
                if (mat5_is_number(a) && a->rank == 2 && a->count <= 64)
                    mat5_rows_f32(a, rows);
                for (int64_t k = 0; k < a->field_count; k++)
                    mat5_text(&a->fields[k], text, sizeof text);
            }
            accepted += sum == sum;
        } else {
            assert_true(e.code == code && e.message[0]);
        }
        mat5_close(&m);
        free(copy.bytes);
    }
    assert_in_range(accepted, 4000, 36000);
    free(f.bytes);
}

/* Recordings */

#define T 50

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

static double sample(int lead, int t) { return 0.01 * ((t * (lead + 3) * 7) % 101) - 0.02 * lead; }

/* feats [12,T], the rate, and with `whole` the mean and deviation of the recording that this is of. */
static void image_feats(struct mat5_image *f, const double *feats, double rate_hz, bool whole,
                        bool compressed)
{
    static const double ones[12] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    image_begin(f, false);
    image_variable(f, "feats", MAT5_DOUBLE, MI_DOUBLE, 12, T, feats, compressed);
    image_variable(f, "idx", MAT5_INT64, MI_INT64, 1, 1, (double[]){4711}, compressed);
    if (rate_hz > 0)
        image_variable(f, "curr_sample_rate", MAT5_INT64, MI_INT64, 1, 1, &rate_hz, compressed);
    if (whole) {
        image_variable(f, "mean", MAT5_DOUBLE, MI_DOUBLE, 12, 1, ones, false);
        image_variable(f, "std", MAT5_DOUBLE, MI_DOUBLE, 12, 1, ones, false);
        image_variable(f, "segment_i", MAT5_INT64, MI_INT64, 1, 1, (double[]){0}, false);
    }
}

static const char *image_write(struct mat5_image *f, const char *name)
{
    static char path[1024];
    scratch_write(folder, name, f->bytes, f->size);
    free(f->bytes);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static bool has_issue(const struct ecg_record *r, const char *text)
{
    for (int i = 0; i < r->issue_count; i++)
        if (strstr(r->issues[i], text))
            return true;
    return false;
}

static void test_feats(void **state)
{
    (void)state;
    double feats[12 * T];
    for (int t = 0; t < T; t++)
        for (int l = 0; l < 12; l++)
            feats[t * 12 + l] = l == 7 ? (double)NAN : sample(l, t);
    feats[20 * 12 + 2] = NAN;
    for (int variant = 0; variant < 4; variant++) {
        bool whole = variant & 1, compressed = variant & 2;
        struct mat5_image f;
        struct ecg_record r;
        struct err e = {0};
        image_feats(&f, feats, 500, whole, compressed);
        const char *path = image_write(&f, "a_0.mat");
        assert_true(record_path_is_candidate(path));
        if (record_read(path, NULL, &r, &e) != ERR_OK)
            fail_msg("%s", e.message);
        assert_string_equal(r.format, "mat");
        assert_string_equal(r.name, "a_0");
        assert_string_equal(ecg_record_comment(&r, "idx"), "4711");
        assert_true(r.rate_hz == 500 && r.lead_count == 11 && r.sample_count == T);
        for (int c = 0, l = 0; c < 11; c++, l++) {
            l += l == 7; /* V2 is not there */
            const struct ecg_channel *channel = &r.channels[c];
            assert_int_equal(channel->lead, l);
            assert_string_equal(channel->name, lead_name((enum ecg_lead)l));
            assert_true(channel->is_standardized == whole && channel->is_voltage == !whole);
            assert_int_equal(channel->invalid_count, l == 2);
            for (int t = 0; t < T; t++)
                assert_true(r.samples[c * T + t] == (float)sample(l, t) || (l == 2 && t == 20));
        }
        /* The unit is never guessed in silence. */
        assert_true(!(r.flags & RECORD_STANDARDIZED) == !whole);
        assert_true(!(r.flags & RECORD_DEFAULT_UNIT) == whole);
        assert_true(has_issue(&r, whole ? "z-scores" : "mV is taken"));
        struct contract c;
        struct arena a;
        float *x = NULL;
        int64_t samples = 0;
        arena_init(&a, "test", 0);
        contract_default(&c);
        c.rate_hz = 500;
        c.missing = MISSING_ZERO;
        assert_int_equal(contract_apply(&c, &r, &a, &x, &samples, &e), whole ? ERR_UNITS : ERR_OK);
        c.normalization = NORMALIZE_LEAD_RECORD;
        assert_int_equal(contract_apply(&c, &r, &a, &x, &samples, &e), ERR_OK);
        assert_true(whole == (x[0] == (float)sample(0, 0)));
        arena_reset(&a);
        ecg_record_free(&r);
    }
}

/* Values with mean 0 and deviation 1 in every lead are no millivolts, whatever the file leaves out. */
static void test_standardized_by_looks(void **state)
{
    (void)state;
    double feats[12 * T];
    for (int l = 0; l < 12; l++) {
        double mean = 0, square = 0;
        for (int t = 0; t < T; t++)
            mean += sample(l, t) / T;
        for (int t = 0; t < T; t++)
            square += (sample(l, t) - mean) * (sample(l, t) - mean) / T;
        for (int t = 0; t < T; t++)
            feats[t * 12 + l] = l == 3 ? 0 : (sample(l, t) - mean) / sqrt(square);
    }
    struct mat5_image f;
    struct ecg_record r;
    image_feats(&f, feats, 500, false, false);
    assert_int_equal(record_read(image_write(&f, "z.mat"), NULL, &r, NULL), ERR_OK);
    assert_true(r.channels[0].is_standardized && has_issue(&r, "does not say so"));
    ecg_record_free(&r);
    /* a whole recording that says so */
    double ones[12];
    for (int l = 0; l < 12; l++)
        ones[l] = l == 3 ? (double)NAN : 1;
    image_feats(&f, feats, 500, false, false);
    image_variable(&f, "mean", MAT5_DOUBLE, MI_DOUBLE, 12, 1, ones, false);
    image_variable(&f, "std", MAT5_SINGLE, MI_SINGLE, 1, 12, ones, false);
    assert_int_equal(record_read(image_write(&f, "z.mat"), NULL, &r, NULL), ERR_OK);
    assert_true(r.channels[0].is_standardized && !has_issue(&r, "does not say so"));
    ecg_record_free(&r);
}

static void expect_bad(struct mat5_image *f, enum err_code code, const char *says)
{
    struct ecg_record r;
    struct err e = {0};
    enum err_code found = record_read(image_write(f, "bad.mat"), NULL, &r, &e);
    if (found != code || !strstr(e.message, says))
        fail_msg("expected \"%s\", found %s: %s", says, err_code_name(found), e.message);
    ecg_record_free(&r);
}

static void test_bad_recordings(void **state)
{
    (void)state;
    static double feats[13 * T];
    struct mat5_image f;
    for (int i = 0; i < 12 * T; i++)
        feats[i] = i % 7;
    image_feats(&f, feats, 0, false, false);
    expect_bad(&f, ERR_RATE, "curr_sample_rate");
    image_feats(&f, feats, -5, false, false);
    expect_bad(&f, ERR_RATE, "curr_sample_rate");
    image_begin(&f, false);
    image_variable(&f, "feats", MAT5_DOUBLE, MI_DOUBLE, 13, T, feats, false);
    image_variable(&f, "curr_sample_rate", MAT5_INT64, MI_INT64, 1, 1, (double[]){500}, false);
    expect_bad(&f, ERR_FORMAT, "a row for each of the 12 leads");
    image_begin(&f, false);
    image_variable(&f, "feats", MAT5_DOUBLE, MI_DOUBLE, 12, 0, feats, false);
    image_variable(&f, "curr_sample_rate", MAT5_INT64, MI_INT64, 1, 1, (double[]){500}, false);
    expect_bad(&f, ERR_FORMAT, "a row for each of the 12 leads");
    image_begin(&f, false);
    image_variable(&f, "other", MAT5_DOUBLE, MI_DOUBLE, 12, T, feats, false);
    expect_bad(&f, ERR_UNSUPPORTED, "it holds other");
    image_begin(&f, false);
    expect_bad(&f, ERR_UNSUPPORTED, "it holds nothing");
    for (int i = 0; i < 12 * T; i++)
        feats[i] = NAN;
    image_feats(&f, feats, 500, false, false);
    expect_bad(&f, ERR_SIGNAL, "no lead has a number");
    /* mean and std that do not make z-scores of the leads */
    double ones[12];
    for (int l = 0; l < 12; l++)
        ones[l] = 1;
    for (int i = 0; i < 12 * T; i++)
        feats[i] = sample(i % 12, i / 12);
    image_feats(&f, feats, 500, false, false);
    image_variable(&f, "mean", MAT5_DOUBLE, MI_DOUBLE, 12, 1, ones, false);
    image_variable(&f, "std", MAT5_DOUBLE, MI_DOUBLE, 12, 1, ones, false);
    expect_bad(&f, ERR_UNITS, "no segment_i");
    image_feats(&f, feats, 500, false, false);
    image_variable(&f, "mean", MAT5_DOUBLE, MI_DOUBLE, 11, 1, ones, false);
    image_variable(&f, "std", MAT5_DOUBLE, MI_DOUBLE, 12, 1, ones, false);
    image_variable(&f, "segment_i", MAT5_INT64, MI_INT64, 1, 1, ones, false);
    expect_bad(&f, ERR_UNITS, "12 real numbers");
    image_feats(&f, feats, 500, false, false);
    image_variable(&f, "mean", MAT5_DOUBLE, MI_DOUBLE, 12, 1, ones, false);
    image_variable(&f, "std", MAT5_CHAR, MI_UINT16, 12, 1, ones, false);
    image_variable(&f, "segment_i", MAT5_INT64, MI_INT64, 1, 1, ones, false);
    expect_bad(&f, ERR_UNITS, "12 real numbers");
    /* counts of a converter; the class tells, whole numbers of the class double may be stored so */
    struct ecg_record r;
    for (int i = 0; i < 12 * T; i++)
        feats[i] = i % 7;
    for (int class = MAT5_INT8; class <= MAT5_UINT64; class ++) {
        image_begin(&f, false);
        image_variable(&f, "feats", class, MI_UINT8, 12, T, feats, false);
        image_variable(&f, "curr_sample_rate", MAT5_INT64, MI_INT64, 1, 1, (double[]){500}, false);
        expect_bad(&f, ERR_UNITS, "integers");
    }
    image_begin(&f, false);
    image_variable(&f, "feats", MAT5_DOUBLE, MI_UINT8, 12, T, feats, false);
    image_variable(&f, "curr_sample_rate", MAT5_INT64, MI_INT64, 1, 1, (double[]){500}, false);
    assert_int_equal(record_read(image_write(&f, "whole.mat"), NULL, &r, NULL), ERR_OK);
    ecg_record_free(&r);
    /* what is inflated beside the samples */
    double *much = calloc(1 << 18, sizeof *much);
    image_feats(&f, feats, 500, false, true);
    image_variable(&f, "much", MAT5_DOUBLE, MI_DOUBLE, 1, 1 << 18, much, true);
    free(much);
    const char *much_path = image_write(&f, "much.mat");
    assert_int_equal(record_read(much_path, &(struct read_options){.max_values = 12 * T}, &r, NULL),
                     ERR_LIMIT);
    ecg_record_free(&r);
    assert_int_equal(record_read(much_path, NULL, &r, NULL), ERR_OK);
    ecg_record_free(&r);
    /* a bound of the caller */
    image_feats(&f, feats, 500, false, true);
    assert_int_equal(record_read(image_write(&f, "large.mat"),
                                 &(struct read_options){.max_values = 12 * T - 1}, &r, NULL),
                     ERR_LIMIT);
    ecg_record_free(&r);
    /* level 4 files are signals of WFDB, and no recordings by themselves */
    scratch_write(folder, "four.mat", "\0\0\0\0\1\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0x\0\0\0\0\0\0\0\0\0",
                  30);
    char path[1100];
    snprintf(path, sizeof path, "%s/four.mat", folder);
    assert_false(record_path_is_candidate(path));
    assert_false(record_path_is_candidate("/nowhere/none.mat"));
}

static void test_cpsc2018(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        double age, first;
    } files[] = {{"../shared/data/cpsc2018-raw-mat/A1980.mat", 52, 0.2018672083},
                 {"../shared/data/cpsc2018-raw-mat/A1982.mat", 89, -0.005764450724}};
    for (int i = 0; i < 2; i++) {
        struct ecg_record r;
        struct err e = {0};
        if (file_size(files[i].path) < 0)
            skip();
        assert_true(record_path_is_candidate(files[i].path));
        if (record_read(files[i].path, NULL, &r, &e) != ERR_OK)
            fail_msg("%s", e.message);
        assert_true(r.rate_hz == 500 && r.lead_count == 12 && r.sample_count == 5000);
        assert_true(r.age_years == files[i].age && r.sex == SEX_MALE);
        assert_true(r.channels[11].lead == LEAD_V6 && r.channels[0].is_voltage);
        assert_true((r.flags & RECORD_DEFAULT_RATE) && (r.flags & RECORD_DEFAULT_UNIT));
        assert_float_equal(r.samples[0], files[i].first, 1e-6);
        /* rows are leads: III = II - I */
        double worst = 0;
        for (int t = 0; t < 5000; t++)
            worst = fmax(worst,
                         fabs((double)r.samples[10000 + t] - (r.samples[5000 + t] - r.samples[t])));
        assert_true(worst < 0.01);
        ecg_record_free(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_structures),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_refuses_compressed),
        cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_feats),
        cmocka_unit_test(test_standardized_by_looks),
        cmocka_unit_test(test_bad_recordings),
        cmocka_unit_test(test_cpsc2018),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
