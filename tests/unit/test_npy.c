/* format/npy reading: every type, order and version against values written by hand, and every way a
 * header can lie. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "format/npy.h"
#include "scratch.h"

struct image {
    unsigned char bytes[4096];
    size_t size;
};

/* A file of this version, header and data. */
static void image_make(struct image *f, int version, const char *header, const void *data,
                       size_t data_size)
{
    size_t n = strlen(header), prefix = version == 1 ? 10 : 12;
    memcpy(f->bytes, "\x93NUMPY", 6);
    f->bytes[6] = (unsigned char)version;
    f->bytes[7] = 0;
    for (size_t i = 8; i < prefix; i++)
        f->bytes[i] = (unsigned char)(n >> 8 * (i - 8));
    memcpy(f->bytes + prefix, header, n);
    if (data_size)
        memcpy(f->bytes + prefix + n, data, data_size);
    f->size = prefix + n + data_size;
}

/* The parser gets a block of just this size, so that a read beyond it is found. */
static enum err_code image_parse(const struct image *f, struct npy *n, void **block, struct err *e)
{
    *block = malloc(f->size ? f->size : 1);
    assert_non_null(*block);
    memcpy(*block, f->bytes, f->size);
    return npy_parse(n, *block, f->size, "test.npy", e);
}

static void expect_values(int version, const char *header, const void *data, size_t data_size,
                          const double *want, int64_t count, const char *type)
{
    struct image f;
    struct npy n;
    void *block;
    struct err e = {0};
    image_make(&f, version, header, data, data_size);
    if (image_parse(&f, &n, &block, &e) != ERR_OK)
        fail_msg("%s: %s", header, e.message);
    assert_int_equal(n.count, count);
    assert_string_equal(npy_type_name(&n), type);
    double wide[64];
    float narrow[64];
    npy_read_f64(&n, 0, count, wide);
    npy_read_f32(&n, 0, count, narrow);
    for (int64_t i = 0; i < count; i++) {
        if (memcmp(&wide[i], &want[i], sizeof want[i]) != 0 && !(isnan(wide[i]) && isnan(want[i])))
            fail_msg("%s: value %lld is %g, expected %g", header, (long long)i, wide[i], want[i]);
        assert_true(narrow[i] == (float)want[i] || isnan(want[i]));
    }
    /* any part by itself */
    for (int64_t begin = 0; begin <= count; begin++)
        for (int64_t end = begin; end <= count; end++) {
            npy_read_f64(&n, begin, end - begin, wide);
            npy_read_f32(&n, begin, end - begin, narrow);
            for (int64_t i = begin; i < end; i++)
                assert_true(isnan(want[i]) ||
                            (wide[i - begin] == want[i] && narrow[i - begin] == (float)want[i]));
        }
    npy_close(&n);
    free(block);
}

static void test_types(void **state)
{
    (void)state;
    const double want[] = {1, 0, -2};
    expect_values(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }\n",
                  (float[]){1, 0, -2}, 12, want, 3, "float32");
    expect_values(2, "{\"shape\": (3L,), \"descr\":\"<f8\" ,\t\"fortran_order\":True}",
                  (double[]){1, 0, -2}, 24, want, 3, "float64");
    expect_values(3, "{'descr':'<f2','fortran_order':False,'shape':(3,)}\n",
                  (uint16_t[]){0x3c00, 0, 0xc000}, 6, want, 3, "float16");
    expect_values(1, "{'descr': '|i1', 'fortran_order': False, 'shape': (3,)}",
                  (int8_t[]){1, 0, -2}, 3, want, 3, "int8");
    expect_values(1, "{'descr': '<i2', 'fortran_order': False, 'shape': (3,)}",
                  (int16_t[]){1, 0, -2}, 6, want, 3, "int16");
    expect_values(1, "{'descr': '<i4', 'fortran_order': False, 'shape': (3,)}",
                  (int32_t[]){1, 0, -2}, 12, want, 3, "int32");
    expect_values(1, "{'descr': '<i8', 'fortran_order': False, 'shape': (3,)}",
                  (int64_t[]){1, 0, -2}, 24, want, 3, "int64");
    const double bits[] = {1, 0, 1}, large[] = {255, 0, 128};
    expect_values(1, "{'descr': '|b1', 'fortran_order': False, 'shape': (3,)}",
                  (uint8_t[]){1, 0, 2}, 3, bits, 3, "bool");
    expect_values(1, "{'descr': '|u1', 'fortran_order': False, 'shape': (3,)}",
                  (uint8_t[]){255, 0, 128}, 3, large, 3, "uint8");
    const double most[] = {18446744073709551615.0, 0};
    expect_values(1, "{'descr': '<u8', 'fortran_order': False, 'shape': (2,)}",
                  (uint64_t[]){UINT64_MAX, 0}, 16, most, 2, "uint64");
    /* big endian: 1, -2 as float64 and 258 as int16 */
    const double swapped[] = {1, -2}, small[] = {258};
    expect_values(1, "{'descr': '>f8', 'fortran_order': False, 'shape': (2,)}",
                  "\x3f\xf0\0\0\0\0\0\0\xc0\0\0\0\0\0\0\0", 16, swapped, 2, "float64");
    expect_values(1, "{'descr': '>u2', 'fortran_order': False, 'shape': (1,)}", "\1\2", 2, small, 1,
                  "uint16");
    /* halves: largest, smallest subnormal, infinity, NaN, negative zero */
    const double halves[] = {65504, 0x1p-24, INFINITY, (double)NAN, -0.0};
    expect_values(1, "{'descr': '<f2', 'fortran_order': False, 'shape': (5,)}",
                  (uint16_t[]){0x7bff, 1, 0x7c00, 0x7e00, 0x8000}, 10, halves, 5, "float16");
}

static void test_orders(void **state)
{
    (void)state;
    /* a[i][j][k] = 100 i + 10 j + k of shape (2, 3, 4) */
    double want[24];
    float c_order[24], fortran[24];
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 3; j++)
            for (int k = 0; k < 4; k++) {
                double value = 100 * i + 10 * j + k;
                want[(i * 3 + j) * 4 + k] = value;
                c_order[(i * 3 + j) * 4 + k] = (float)value;
                fortran[(k * 3 + j) * 2 + i] = (float)value;
            }
    expect_values(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, 4)}", c_order, 96,
                  want, 24, "float32");
    expect_values(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3, 4)}", fortran, 96,
                  want, 24, "float32");
    /* a scalar, and nothing at all */
    expect_values(1, "{'descr': '<f4', 'fortran_order': True, 'shape': ()}", c_order + 1, 4,
                  want + 1, 1, "float32");
    expect_values(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (12, 0)}", NULL, 0, want, 0,
                  "float32");
}

static void test_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t data_size;
        enum err_code code;
        const char *says;
    } cases[] = {
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}", 11, ERR_TRUNCATED, "12 bytes"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}", 13, ERR_FORMAT, "13 follow"},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (3,)}", 12, ERR_UNSUPPORTED, "pickles"},
        {"{'descr': '<c8', 'fortran_order': False, 'shape': (3,)}", 24, ERR_UNSUPPORTED, "<c8"},
        {"{'descr': '<f3', 'fortran_order': False, 'shape': (3,)}", 9, ERR_UNSUPPORTED, "<f3"},
        {"{'descr': 'f4', 'fortran_order': False, 'shape': (3,)}", 12, ERR_UNSUPPORTED, "f4"},
        {"{'descr': '|f4', 'fortran_order': False, 'shape': (3,)}", 12, ERR_UNSUPPORTED, "|f4"},
        {"{'descr': '<U4', 'fortran_order': False, 'shape': (3,)}", 48, ERR_UNSUPPORTED, "<U4"},
        {"{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (3,)}", 12, ERR_UNSUPPORTED,
         "structures"},
        {"{'descr': '<f4', 'fortran_order': 0, 'shape': (3,)}", 12, ERR_FORMAT, "True or False"},
        {"{'descr': '<f4', 'fortran_order': False}", 12, ERR_FORMAT, "missing"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3,), 'shape': (3,)}", 12, ERR_FORMAT,
         "twice"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3,), 'x': 1}", 12, ERR_FORMAT,
         "unknown"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3)}", 12, ERR_FORMAT, "comma"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-3,)}", 12, ERR_FORMAT, "number"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3 1,)}", 12, ERR_FORMAT, "number"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3,", 12, ERR_FORMAT, "number"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3,)", 12, ERR_FORMAT, "expected ,"},
        {"{'descr': '<f4 'fortran_order': False, 'shape': (3,)}", 12, ERR_UNSUPPORTED, "<f4 "},
        {"{'descr': '<f4' 'fortran_order': False, 'shape': (3,)}", 12, ERR_FORMAT, "expected ,"},
        {"{'descr', '<f4', 'fortran_order': False, 'shape': (3,)}", 12, ERR_FORMAT, "expected :"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3,)} 1", 12, ERR_FORMAT, "follows"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", 12,
         ERR_FORMAT, "larger"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (2305843009213693952,)}", 0, ERR_FORMAT,
         "larger"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999,)}", 0,
         ERR_FORMAT, "larger"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (0, 4294967296, 4294967296)}", 0,
         ERR_FORMAT, "larger"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}", 4, ERR_LIMIT,
         "8 dimensions"},
        {"[]", 0, ERR_FORMAT, "dictionary"},
        {"", 0, ERR_FORMAT, "dictionary"},
    };
    static const unsigned char data[64];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int version = 1; version <= 3; version++) {
            struct image f;
            struct npy n;
            void *block;
            struct err e = {0};
            image_make(&f, version, cases[i].header, data, cases[i].data_size);
            enum err_code code = image_parse(&f, &n, &block, &e);
            if (code != cases[i].code || !strstr(e.message, cases[i].says))
                fail_msg("%s: %s: %s", cases[i].header, err_code_name(code), e.message);
            assert_null(n.data);
            free(block);
        }
    struct image f;
    struct npy n;
    void *block;
    image_make(&f, 4, "{'descr': '<f4', 'fortran_order': False, 'shape': (0,)}", NULL, 0);
    assert_int_equal(image_parse(&f, &n, &block, NULL), ERR_UNSUPPORTED);
    free(block);
    image_make(&f, 2, "{'descr': '<f4', 'fortran_order': False, 'shape': (0,)}", NULL, 0);
    f.bytes[11] = 1; /* a header of more than 16 MiB */
    assert_int_equal(image_parse(&f, &n, &block, NULL), ERR_LIMIT);
    free(block);
    assert_int_equal(npy_open(&n, "tests/no-such.npy", NULL), ERR_NOT_FOUND);
}

static void test_damage(void **state)
{
    (void)state;
    struct image whole;
    const float data[6] = {1, 2, 3, 4, 5, 6};
    image_make(&whole, 1, "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }\n", data,
               sizeof data);
    for (size_t size = 0; size < whole.size; size++) {
        struct image f = whole;
        struct npy n;
        void *block;
        f.size = size;
        assert_int_not_equal(image_parse(&f, &n, &block, NULL), ERR_OK);
        free(block);
    }
    struct rng rng = rng_at(1, RNG_STREAM_TEST, 3, 4);
    int accepted = 0;
    for (int round = 0; round < 20000; round++) {
        struct image f = whole;
        struct npy n;
        void *block;
        for (int64_t k = rng_below(&rng, 3); k >= 0; k--)
            f.bytes[rng_below(&rng, (int64_t)f.size)] =
                (unsigned char)("0123456789'(){},:<>|fiub LTF\n\0\xff"[rng_below(&rng, 32)]);
        struct err e = {0};
        enum err_code code = image_parse(&f, &n, &block, &e);
        if (code == ERR_OK) {
            double values[64];
            assert_in_range(n.count, 0, 24);
            npy_read_f64(&n, 0, n.count, values);
            accepted++;
        } else {
            assert_true(e.code == code && e.message[0]);
        }
        npy_close(&n);
        free(block);
    }
    assert_in_range(accepted, 2000, 18000);
}

static void test_file(void **state)
{
    (void)state;
    char *folder = scratch_make(), path[600];
    const float data[6] = {1, 2, 3, 4, 5, -0.0f};
    snprintf(path, sizeof path, "%s/a.npy", folder);
    assert_int_equal(npy_write_f32(path, data, (int64_t[]){2, 3}, 2, NULL), ERR_OK);
    struct npy n;
    float back[6];
    assert_int_equal(npy_open(&n, path, NULL), ERR_OK);
    assert_true(n.rank == 2 && n.shape[0] == 2 && n.shape[1] == 3);
    npy_read_f32(&n, 0, 6, back);
    assert_memory_equal(back, data, sizeof data);
    npy_close(&n);
    scratch_remove(folder);
    free(folder);
}

/* Labels that NumPy wrote. */
static void test_published(void **state)
{
    (void)state;
    struct npy n;
    const char *path = "../shared/data/label-tables/ecg_ptbxl_benchmarking/data_y_test.int8.npy";
    struct err e = {0};
    if (file_size(path) < 0)
        skip();
    if (npy_open(&n, path, &e) != ERR_OK)
        fail_msg("%s", e.message);
    assert_true(n.rank == 2 && n.shape[0] == 2203 && n.shape[1] == 71 && n.item_bytes == 1);
    double *values = malloc((size_t)n.count * sizeof *values), sum = 0;
    npy_read_f64(&n, 0, n.count, values);
    for (int64_t i = 0; i < n.count; i++) {
        assert_true(values[i] == 0 || values[i] == 1);
        sum += values[i];
    }
    assert_true(sum > 2203);
    free(values);
    npy_close(&n);
}

/* What ndarray.dump writes of float64 [[1, -2.5]]; DATA are its bytes, 0x80 and above as two of UTF-8. */
#define PICKLE_HEAD                                                                                \
    "\x80\2cnumpy.core.multiarray\n_reconstruct\nq\0cnumpy\nndarray\nq\1K\0\x85q\2"                \
    "c_codecs\nencode\nq\3X\1\0\0\0bq\4X\6\0\0\0latin1q\5\x86q\6Rq\7\x87q\10Rq\11(K\1"
#define PICKLE_TYPE                                                                                \
    "cnumpy\ndtype\nq\13X\2\0\0\0f8q\14\x89\x88\x87q\15Rq\16(K\3X\1\0\0\0<q\17NNN"                 \
    "J\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tq\20b\x89h\3"
#define PICKLE_DATA "X\22\0\0\0\0\0\0\0\0\0\xc3\xb0?\0\0\0\0\0\0\4\xc3\x80"
#define PICKLE_TAIL "q\21h\5\x86q\22Rq\23tq\24b."
#define PICKLE PICKLE_HEAD "K\1K\2\x86q\12" PICKLE_TYPE PICKLE_DATA PICKLE_TAIL

static enum err_code pickle_parse(const void *bytes, size_t size, struct npy *n, struct err *e)
{
    void *block = malloc(size ? size : 1);
    assert_non_null(block);
    memcpy(block, bytes, size);
    enum err_code code = npy_parse_pickle(n, block, size, "test.npy", e);
    free(block); /* nothing points into it */
    return code;
}

static void test_pickle(void **state)
{
    (void)state;
    static const char good[] = PICKLE;
    size_t size = sizeof good - 1;
    struct npy n;
    struct err e = {0};
    double values[2];
    if (pickle_parse(good, size, &n, &e) != ERR_OK)
        fail_msg("%s", e.message);
    assert_true(n.rank == 2 && n.shape[0] == 1 && n.shape[1] == 2 && !n.fortran_order);
    assert_string_equal(npy_type_name(&n), "float64");
    npy_read_f64(&n, 0, 2, values);
    assert_true(values[0] == 1 && values[1] == -2.5);
    npy_close(&n);
    for (size_t cut = 0; cut < size; cut++)
        if (pickle_parse(good, cut, &n, &e) == ERR_OK)
            fail_msg("%zu of %zu bytes are read", cut, size);
    char damaged[sizeof good];
    for (size_t at = 0; at < size; at++)
        for (int bit = 0; bit < 8; bit++) {
            memcpy(damaged, good, sizeof good);
            damaged[at] = (char)(damaged[at] ^ 1 << bit);
            if (pickle_parse(damaged, size, &n, NULL) ==
                ERR_OK) { /* a value, a place in the memo */
                npy_read_f64(&n, 0, n.count < 2 ? n.count : 2, values);
                npy_close(&n);
            }
        }
    static const struct {
        const char *what, *text;
        size_t size;
        enum err_code code;
    } bad[] = {
#define CASE(what, text, code) {what, text, sizeof(text) - 1, code}
        CASE("another global", "\x80\2cos\nsystem\nX\4\0\0\0true\x85R.", ERR_UNSUPPORTED),
        CASE("more values than bytes",
             PICKLE_HEAD
             "J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86q\12" PICKLE_TYPE PICKLE_DATA PICKLE_TAIL,
             ERR_FORMAT),
        CASE("no Latin-1",
             PICKLE_HEAD "K\1K\1\x86q\12" PICKLE_TYPE "X\11\0\0\0\0\0\0\0\0\0\xc5\xb0?" PICKLE_TAIL,
             ERR_FORMAT),
        CASE("fewer than the shape",
             PICKLE_HEAD "K\1K\3\x86q\12" PICKLE_TYPE PICKLE_DATA PICKLE_TAIL, ERR_TRUNCATED),
        CASE("more than the shape",
             PICKLE_HEAD "K\1K\1\x86q\12" PICKLE_TYPE PICKLE_DATA PICKLE_TAIL, ERR_FORMAT),
        CASE("something after", PICKLE ".", ERR_UNSUPPORTED),
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (pickle_parse(bad[i].text, bad[i].size, &n, &e) != bad[i].code)
            fail_msg("%s: %s", bad[i].what, e.message);
}

/* Scores that NumPy dumped: also what is not plain in the layout above. */
static void test_published_pickle(void **state)
{
    (void)state;
    struct npy n;
    const char *path = "../shared/data/label-tables/ecg_ptbxl_benchmarking/"
                       "models_fastai_xresnet1d101_y_test_pred.npy";
    struct err e = {0};
    if (file_size(path) < 0)
        skip();
    if (npy_open(&n, path, &e) != ERR_OK)
        fail_msg("%s", e.message);
    assert_true(n.rank == 2 && n.shape[0] == 2203 && n.shape[1] == 71);
    assert_string_equal(npy_type_name(&n), "float32");
    npy_close(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),   cmocka_unit_test(test_orders),
        cmocka_unit_test(test_refuses), cmocka_unit_test(test_damage),
        cmocka_unit_test(test_file),    cmocka_unit_test(test_published),
        cmocka_unit_test(test_pickle),  cmocka_unit_test(test_published_pickle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
