/* format/safetensors and format/npy: round trips, and every way a hostile header can lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/rng.h"
#include "folder.h"
#include "format/npy.h"
#include "format/safetensors.h"

/* A file image: size, header, then data_size bytes 0, 1, 2, ... in a block of exactly its size, so
 * that a sanitizer sees any step beyond it. */
struct image {
    unsigned char *bytes;
    size_t size;
};

static struct image image_of(const char *header, size_t header_size, size_t data_size)
{
    struct image image = {malloc(8 + header_size + data_size), 8 + header_size + data_size};
    uint64_t size = header_size;
    memcpy(image.bytes, &size, 8);
    memcpy(image.bytes + 8, header, header_size);
    for (size_t i = 0; i < data_size; i++)
        image.bytes[8 + header_size + i] = (unsigned char)i;
    return image;
}

/* Parses, walks everything a caller may touch, closes. */
static enum err_code parse_and_walk(const void *bytes, size_t size, struct err *e)
{
    struct safetensors st;
    unsigned char *exact = malloc(size ? size : 1);
    memcpy(exact, bytes, size);
    enum err_code code = safetensors_parse(&st, exact, size, "image", e);
    size_t covered = 0;
    unsigned sum = 0;
    for (int64_t i = 0; i < st.count; i++) {
        const struct safetensor *t = &st.tensors[i];
        assert_int_equal((uintptr_t)t->data % safetensors_dtype_size(t->dtype), 0);
        for (size_t k = 0; k < t->bytes; k++)
            sum += ((const unsigned char *)t->data)[k];
        covered += t->bytes;
        assert_ptr_equal(safetensors_find(&st, t->name), t);
    }
    for (int64_t i = 0; i < st.metadata_count; i++)
        assert_string_equal(safetensors_metadata(&st, st.metadata_keys[i]), st.metadata_values[i]);
    assert_true(covered <= size && sum < UINT32_MAX);
    safetensors_close(&st);
    free(exact);
    return code;
}

static enum err_code parse_header(const char *header, size_t data_size, struct err *e)
{
    struct image image = image_of(header, strlen(header), data_size);
    enum err_code code = parse_and_walk(image.bytes, image.size, e);
    free(image.bytes);
    return code;
}

static void test_round_trip(void **state)
{
    (void)state;
    const float a[6] = {1, -2, 3.5f, 1e-30f, 5, 6};
    const double scalar = 3.141592653589793;
    const uint8_t odd[3] = {7, 8, 9};
    const int64_t i64[2] = {INT64_MIN, INT64_MAX};
    const struct safetensor tensors[] = {
        {"encoder.weight", ST_F32, 2, {2, 3}, a, sizeof a},
        {"odd \"\\\n\xC3\xA9", ST_U8, 1, {3}, odd, sizeof odd},
        {"scalar", ST_F64, 0, {0}, &scalar, sizeof scalar},
        {"empty", ST_BF16, 2, {0, 4}, NULL, 0},
        {"whole", ST_I64, 1, {2}, i64, sizeof i64},
    };
    const char *keys[] = {"format", "text"};
    const char *values[] = {"ecgfm", "tab\t quote\" back\\ bell\x07 \xF0\x9F\xAB\x80"};
    const char *path = in_folder("model.safetensors");
    struct err e = {0};
    assert_int_equal(safetensors_write(path, tensors, 5, keys, values, 2, &e), ERR_OK);

    struct safetensors st;
    assert_int_equal(safetensors_open(&st, path, &e), ERR_OK);
    assert_int_equal(st.count, 5);
    assert_int_equal(st.metadata_count, 2);
    assert_string_equal(safetensors_metadata(&st, "format"), "ecgfm");
    assert_string_equal(safetensors_metadata(&st, "text"), values[1]);
    assert_null(safetensors_metadata(&st, "absent"));
    for (int i = 0; i < 5; i++) {
        const struct safetensor *t = safetensors_find(&st, tensors[i].name);
        assert_non_null(t);
        assert_int_equal(t->dtype, tensors[i].dtype);
        assert_int_equal(t->rank, tensors[i].rank);
        assert_memory_equal(t->shape, tensors[i].shape, (size_t)t->rank * sizeof t->shape[0]);
        assert_int_equal(t->bytes, tensors[i].bytes);
        if (t->bytes)
            assert_memory_equal(t->data, tensors[i].data, t->bytes);
    }
    assert_null(safetensors_find(&st, "scala"));
    assert_int_equal((uintptr_t)safetensors_find(&st, "encoder.weight")->data % 64, 0);
    safetensors_close(&st);
    safetensors_close(&st);

    /* the same input gives the same bytes, and the metadata leads */
    struct buf first, second;
    assert_int_equal(file_read(path, 1 << 20, &first, &e), ERR_OK);
    assert_int_equal(safetensors_write(path, tensors, 5, keys, values, 2, &e), ERR_OK);
    assert_int_equal(file_read(path, 1 << 20, &second, &e), ERR_OK);
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.data, second.data, first.len);
    assert_memory_equal(first.data + 8, "{\"__metadata__\":{\"format\":\"ecgfm\"", 33);
    buf_free(&first);
    buf_free(&second);

    assert_int_equal(safetensors_write(path, NULL, 0, NULL, NULL, 0, &e), ERR_OK);
    assert_int_equal(safetensors_open(&st, path, &e), ERR_OK);
    assert_int_equal(st.count, 0);
    assert_null(safetensors_find(&st, "a"));
    safetensors_close(&st);
}

static void test_write_refuses(void **state)
{
    (void)state;
    const uint8_t byte = 1;
    const struct safetensor twice[] = {{"a", ST_U8, 0, {0}, &byte, 1},
                                       {"a", ST_U8, 0, {0}, &byte, 1}};
    const struct safetensor reserved = {"__metadata__", ST_U8, 0, {0}, &byte, 1};
    const struct safetensor latin1 = {"caf\xE9", ST_U8, 0, {0}, &byte, 1};
    const char *keys[] = {"k", "k"}, *values[] = {"1", "2"};
    const char *path = in_folder("refused.safetensors");
    assert_int_equal(safetensors_write(path, twice, 2, NULL, NULL, 0, NULL), ERR_FORMAT);
    assert_int_equal(safetensors_write(path, &reserved, 1, NULL, NULL, 0, NULL), ERR_FORMAT);
    assert_int_equal(safetensors_write(path, &latin1, 1, NULL, NULL, 0, NULL), ERR_FORMAT);
    assert_int_equal(safetensors_write(path, twice, 1, keys, values, 2, NULL), ERR_FORMAT);
    assert_false(file_exists(path));
    assert_int_not_equal(safetensors_write(in_folder("no/such/folder.safetensors"), twice, 1, NULL,
                                           NULL, 0, NULL),
                         ERR_OK);
}

static void test_accepts(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t data_size;
    } cases[] = {
        {"{}", 0},
        {"{}      ", 0},
        {"{ \"__metadata__\" : { } }\n", 0},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}", 4},
        /* fields, and tensors, in any order; a tensor without elements between others */
        {"{\"b\":{\"data_offsets\":[4,6],\"shape\":[2,1],\"dtype\":\"U8\"},\n"
         "\"z\":{\"dtype\":\"F64\",\"shape\":[3,0],\"data_offsets\":[4,4]},"
         "\"a\" : {\"dtype\":\"F32\" , \"shape\":[ 1 ],\"data_offsets\":[0,4]} }",
         6},
        /* a float behind an odd byte: copied to where a float may lie */
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
         "\"b\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[1,9]}}",
         9},
        {"{\"\\u0041\\ud83e\\uDEC0\\n\":{\"dtype\":\"BOOL\",\"shape\":[1,1,1,1,1,1,1,1],"
         "\"data_offsets\":[0,1]}}",
         1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err e = {0};
        if (parse_header(cases[i].header, cases[i].data_size, &e) != ERR_OK)
            fail_msg("refused: %s: %s", cases[i].header, e.message);
    }

    struct image image = image_of(cases[4].header, strlen(cases[4].header), 6);
    struct safetensors st;
    assert_int_equal(safetensors_parse(&st, image.bytes, image.size, "image", NULL), ERR_OK);
    assert_string_equal(st.tensors[0].name, "a");
    assert_string_equal(st.tensors[1].name, "z");
    assert_string_equal(st.tensors[2].name, "b");
    assert_int_equal(*(const uint8_t *)st.tensors[2].data, 4);
    safetensors_close(&st);
    free(image.bytes);

    image = image_of(cases[5].header, strlen(cases[5].header), 9);
    assert_int_equal(safetensors_parse(&st, image.bytes, image.size, "image", NULL), ERR_OK);
    assert_memory_equal(safetensors_find(&st, "b")->data, "\1\2\3\4\5\6\7\10", 8);
    safetensors_close(&st);
    free(image.bytes);

    image = image_of(cases[6].header, strlen(cases[6].header), 1);
    assert_int_equal(safetensors_parse(&st, image.bytes, image.size, "image", NULL), ERR_OK);
    assert_string_equal(st.tensors[0].name, "A\xF0\x9F\xAB\x80\n");
    safetensors_close(&st);
    free(image.bytes);
}

#define ONE(dtype, shape, offsets)                                                                 \
    "{\"a\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
#define TWO(offsets_a, offsets_b)                                                                  \
    "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":" offsets_a "},"                      \
    "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":" offsets_b "}}"

static void test_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t data_size;
        enum err_code code;
        const char *says;
    } cases[] = {
        {"", 0, ERR_FORMAT, "expected '{'"},
        {" {}", 0, ERR_FORMAT, "expected '{'"},
        {"[]", 0, ERR_FORMAT, "expected '{'"},
        {"{", 0, ERR_FORMAT, "ends"},
        {"{}x", 0, ERR_FORMAT, "end of the header"},
        {"{}{}", 0, ERR_FORMAT, "end of the header"},
        {"{}", 1, ERR_FORMAT, "cover 0 of 1"},
        {"{\"a\"}", 0, ERR_FORMAT, "':'"},
        {"{\"a\":1}", 0, ERR_FORMAT, "'{'"},
        {"{\"a\":{}}", 0, ERR_FORMAT, "a string"},
        {"{a:{}}", 0, ERR_FORMAT, "a string"},
        {ONE("F33", "[1]", "[0,4]"), 4, ERR_UNSUPPORTED, "\"F33\""},
        {ONE("f32", "[1]", "[0,4]"), 4, ERR_UNSUPPORTED, "\"f32\""},
        {ONE("F32", "[2]", "[0,4]"), 4, ERR_FORMAT, "need 8 bytes"},
        {ONE("F32", "[1]", "[0,8]"), 8, ERR_FORMAT, "need 4 bytes"},
        {ONE("F32", "[1]", "[4,0]"), 4, ERR_FORMAT, "backwards"},
        {ONE("F32", "[1]", "[0,4]"), 3, ERR_TRUNCATED, "3 bytes of data"},
        {ONE("F32", "[1]", "[0,4]"), 5, ERR_FORMAT, "cover 4 of 5"},
        {ONE("F32", "[1]", "[1,5]"), 5, ERR_FORMAT, "unused bytes"},
        {ONE("F32", "[1]", "[0]"), 4, ERR_FORMAT, "data_offsets"},
        {ONE("F32", "[1]", "[0,4,4]"), 4, ERR_LIMIT, "more than 2"},
        {ONE("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4, ERR_LIMIT, "more than 8"},
        {ONE("F32", "[-1]", "[0,4]"), 4, ERR_FORMAT, "whole number"},
        {ONE("F32", "[1.0]", "[0,4]"), 4, ERR_FORMAT, "']'"},
        {ONE("F32", "[1e0]", "[0,4]"), 4, ERR_FORMAT, "']'"},
        {ONE("F32", "[01]", "[0,4]"), 4, ERR_FORMAT, "leading zeros"},
        {ONE("F32", "[NaN]", "[0,4]"), 4, ERR_FORMAT, "whole number"},
        {ONE("F32", "[1]", "[0,Infinity]"), 4, ERR_FORMAT, "whole number"},
        {ONE("F32", "[null]", "[0,4]"), 4, ERR_FORMAT, "whole number"},
        {ONE("F32", "[[1]]", "[0,4]"), 4, ERR_FORMAT, "whole number"},
        {ONE("F32", "[1,]", "[0,4]"), 4, ERR_FORMAT, "whole number"},
        {ONE("F32", "\"1\"", "[0,4]"), 4, ERR_FORMAT, "'['"},
        {ONE("U8", "[4294967296,4294967296]", "[0,0]"), 0, ERR_FORMAT, "overflows"},
        {ONE("F64", "[2305843009213693952]", "[0,0]"), 0, ERR_FORMAT, "overflows"},
        {ONE("U8", "[18446744073709551616]", "[0,0]"), 0, ERR_FORMAT, "below 2^63"},
        {ONE("U8", "[9223372036854775808]", "[0,0]"), 0, ERR_FORMAT, "below 2^63"},
        {ONE("U8", "[9223372036854775807]", "[0,9223372036854775807]"), 4, ERR_TRUNCATED,
         "4 bytes"},
        {TWO("[0,2]", "[1,3]"), 3, ERR_FORMAT, "overlap"},
        {TWO("[0,2]", "[0,2]"), 2, ERR_FORMAT, "overlap"},
        {TWO("[0,2]", "[3,5]"), 5, ERR_FORMAT, "unused bytes"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, ERR_FORMAT, "data_offsets"},
        {"{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, ERR_FORMAT, "shape missing"},
        {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,1]}}", 1, ERR_FORMAT, "dtype missing"},
        {"{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
         ERR_FORMAT, "once each"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"more\":{}}}", 1,
         ERR_FORMAT, "\"more\""},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},"
         "\"\\u0061\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}",
         0, ERR_FORMAT, "\"a\" occurs twice"},
        {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, ERR_FORMAT, "__metadata__ occurs twice"},
        {"{\"__metadata__\":{\"k\":\"1\",\"j\":\"\",\"k\":\"2\"}}", 0, ERR_FORMAT,
         "\"k\" occurs twice"},
        {"{\"__metadata__\":{\"k\":{\"nested\":\"1\"}}}", 0, ERR_FORMAT, "a string"},
        {"{\"__metadata__\":{\"k\":1}}", 0, ERR_FORMAT, "a string"},
        {"{\"__metadata__\":null}", 0, ERR_FORMAT, "'{'"},
        {"{\"__metadata__\":{\"k\":\"\\u0000\"}}", 0, ERR_FORMAT, "no NUL"},
        {"{\"__metadata__\":{\"k\":\"\\ud800\"}}", 0, ERR_FORMAT, "surrogate"},
        {"{\"__metadata__\":{\"k\":\"\\ud800\\u0041\"}}", 0, ERR_FORMAT, "surrogate"},
        {"{\"__metadata__\":{\"k\":\"\\udc00\"}}", 0, ERR_FORMAT, "surrogate"},
        {"{\"__metadata__\":{\"k\":\"\\x41\"}}", 0, ERR_FORMAT, "an escape"},
        {"{\"__metadata__\":{\"k\":\"\\u00g0\"}}", 0, ERR_FORMAT, "hex"},
        {"{\"__metadata__\":{\"k\":\"\n\"}}", 0, ERR_FORMAT, "end of a string"},
        {"{\"__metadata__\":{\"k\":\"\xFF\"}}", 0, ERR_FORMAT, "UTF-8"},
        {"{\"__metadata__\":{\"k\":\"\xC0\x80\"}}", 0, ERR_FORMAT, "UTF-8"},
        {"{\"__metadata__\":{\"k\":\"\xED\xA0\x80\"}}", 0, ERR_FORMAT, "UTF-8"},
        {"{\"__metadata__\":{\"k\":\"\xF4\x90\x80\x80\"}}", 0, ERR_FORMAT, "UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err e = {0};
        enum err_code code = parse_header(cases[i].header, cases[i].data_size, &e);
        if (code != cases[i].code || !strstr(e.message, cases[i].says))
            fail_msg("%s\ngave %s: %s\nexpected %s: ...%s...", cases[i].header, err_code_name(code),
                     e.message, err_code_name(cases[i].code), cases[i].says);
    }
}

static void test_header_size(void **state)
{
    (void)state;
    static const struct {
        uint64_t header_size;
        size_t file_size;
        enum err_code code;
    } cases[] = {
        {2, 0, ERR_TRUNCATED},
        {2, 7, ERR_TRUNCATED},
        {2, 8, ERR_TRUNCATED},
        {2, 9, ERR_TRUNCATED},
        {0, 8, ERR_FORMAT},
        {UINT64_MAX, 10, ERR_LIMIT},
        {100000001, 10, ERR_LIMIT},
        {100000000, 10, ERR_TRUNCATED},
        {UINT64_MAX - 7, 10, ERR_LIMIT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unsigned char bytes[16] = {0};
        memcpy(bytes, &cases[i].header_size, 8);
        memcpy(bytes + 8, "{}", 2);
        assert_int_equal(parse_and_walk(bytes, cases[i].file_size, NULL), cases[i].code);
    }
    struct safetensors st;
    assert_int_equal(safetensors_open(&st, in_folder("absent"), NULL), ERR_NOT_FOUND);
    safetensors_close(&st);
}

static struct image sample_image(void)
{
    const float a[4] = {1, 2, 3, 4};
    const uint16_t b[3] = {5, 6, 7};
    const struct safetensor tensors[] = {{"weight", ST_F32, 2, {2, 2}, a, sizeof a},
                                         {"bias\n", ST_BF16, 1, {3}, b, sizeof b}};
    const char *keys[] = {"k\xC3\xA9"}, *values[] = {"v\t\"1\""};
    const char *path = in_folder("sample.safetensors");
    assert_int_equal(safetensors_write(path, tensors, 2, keys, values, 1, NULL), ERR_OK);
    struct buf bytes;
    assert_int_equal(file_read(path, 1 << 20, &bytes, NULL), ERR_OK);
    struct image image = {malloc(bytes.len), bytes.len};
    memcpy(image.bytes, bytes.data, bytes.len);
    buf_free(&bytes);
    return image;
}

static void test_every_truncation(void **state)
{
    (void)state;
    struct image image = sample_image();
    assert_int_equal(parse_and_walk(image.bytes, image.size, NULL), ERR_OK);
    for (size_t size = 0; size < image.size; size++)
        assert_int_not_equal(parse_and_walk(image.bytes, size, NULL), ERR_OK);
    free(image.bytes);
}

/* A few bytes overwritten, removed or doubled, biased to characters that mean something. */
static void test_mutations(void **state)
{
    (void)state;
    static const char telling[] = "{}[]\":,0192-.eE\\u \n\x80\xFF\xC3";
    struct image image = sample_image();
    unsigned char *bytes = malloc(image.size * 2);
    int accepted = 0;
    for (uint64_t trial = 0; trial < 6000; trial++) {
        struct rng rng = rng_at(1, RNG_STREAM_TEST, 0, trial);
        size_t size = image.size;
        memcpy(bytes, image.bytes, size);
        for (int64_t edits = 1 + rng_below(&rng, 3); edits > 0; edits--) {
            size_t at = (size_t)rng_below(&rng, (int64_t)size);
            size_t length = (size_t)rng_below(&rng, 16);
            if (length > size - at)
                length = size - at;
            switch (rng_below(&rng, 4)) {
            case 0:
                bytes[at] = (unsigned char)rng_below(&rng, 256);
                break;
            case 1:
                bytes[at] = (unsigned char)telling[rng_below(&rng, sizeof telling - 1)];
                break;
            case 2:
                memmove(bytes + at, bytes + at + length, size - at - length);
                size -= length;
                break;
            default:
                if (size + length > image.size * 2)
                    break;
                memmove(bytes + at + length, bytes + at, size - at);
                size += length;
            }
            if (size == 0)
                break;
        }
        /* the header size follows the edits half of the time, so that they reach the parser */
        if (size >= 8 + 6 && rng_below(&rng, 2)) {
            uint64_t header_size = size - 8 - 22 < size ? size - 8 - 22 : size - 8;
            memcpy(bytes, &header_size, 8);
        }
        struct err e = {0};
        enum err_code code = parse_and_walk(bytes, size, &e);
        accepted += code == ERR_OK;
        assert_true(code == ERR_OK || (e.code == code && e.message[0] && e.context_count == 1));
    }
    /* edits of data, of names and of values are no errors */
    assert_in_range(accepted, 300, 3000);
    free(bytes);
    free(image.bytes);
}

static void test_npy(void **state)
{
    (void)state;
    const float data[6] = {1, 2, 3, 4, 5, -0.0f};
    static const struct {
        int64_t shape[8];
        int rank;
        const char *text;
    } cases[] = {
        {{6}, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }"},
        {{2, 3}, 2, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"},
        {{1, 1, 1, 1, 1, 1, 3, 2},
         8,
         "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1, 1, 3, 2), }"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *path = in_folder("samples.npy");
        assert_int_equal(npy_write_f32(path, data, cases[i].shape, cases[i].rank, NULL), ERR_OK);
        struct buf bytes;
        assert_int_equal(file_read(path, 4096, &bytes, NULL), ERR_OK);
        assert_memory_equal(bytes.data, "\x93NUMPY\x01\x00", 8);
        size_t header = 10 + (unsigned char)bytes.data[8] + 256u * (unsigned char)bytes.data[9];
        assert_int_equal(header % 64, 0);
        assert_int_equal(bytes.len, header + sizeof data);
        assert_memory_equal(bytes.data + 10, cases[i].text, strlen(cases[i].text));
        assert_int_equal(bytes.data[header - 1], '\n');
        assert_memory_equal(bytes.data + header, data, sizeof data);
        buf_free(&bytes);
    }
    const int64_t empty[2] = {12, 0};
    assert_int_equal(npy_write_f32(in_folder("empty.npy"), NULL, empty, 2, NULL), ERR_OK);
    assert_int_equal(file_size(in_folder("empty.npy")) % 64, 0);
}

/* Written in pieces, with a piece taken back: the file is that of safetensors_write but for blanks at the
 * header's end. */
static void test_stream(void **state)
{
    (void)state;
    struct err e = {0};
    struct safetensors_stream s;
    const char *path = in_folder("stream.safetensors");
    const float values[6] = {1, 2, 3, 4, 5, 6};
    const int32_t places[3] = {7, 8, 9};
    size_t bound = 256 + 2 * safetensors_entry_bound(sizeof "values");
    assert_int_equal(safetensors_stream_open(&s, path, bound, &e), ERR_OK);
    safetensors_stream_write(&s, values, 4 * sizeof *values);
    safetensors_stream_write(&s, values, 3 * sizeof *values);
    safetensors_stream_rewind(&s, 4 * sizeof *values);
    safetensors_stream_write(&s, values + 4, 2 * sizeof *values);
    safetensors_stream_write(&s, places, sizeof places);
    struct safetensor tensors[2] = {
        {.name = "values", .dtype = ST_F32, .rank = 2, .shape = {3, 2}, .bytes = sizeof values},
        {.name = "places", .dtype = ST_I32, .rank = 1, .shape = {3}, .bytes = sizeof places}};
    const char *keys[] = {"files"}, *texts[] = {"[\"a\"]"};
    assert_int_equal(safetensors_stream_close(&s, tensors, 2, keys, texts, 1, &e), ERR_OK);
    struct safetensors st;
    if (safetensors_open(&st, path, &e) != ERR_OK)
        fail_msg("%s", e.message);
    assert_int_equal(st.count, 2);
    assert_memory_equal(safetensors_find(&st, "values")->data, values, sizeof values);
    assert_memory_equal(safetensors_find(&st, "places")->data, places, sizeof places);
    assert_string_equal(safetensors_metadata(&st, "files"), "[\"a\"]");
    safetensors_close(&st);

    /* All taken back: nothing is left of it. */
    assert_int_equal(safetensors_stream_open(&s, path, bound, &e), ERR_OK);
    safetensors_stream_write(&s, values, sizeof values);
    safetensors_stream_rewind(&s, 0);
    tensors[0].shape[0] = 0;
    tensors[0].bytes = 0;
    assert_int_equal(safetensors_stream_close(&s, tensors, 1, keys, texts, 1, &e), ERR_OK);
    assert_int_equal(safetensors_open(&st, path, &e), ERR_OK);
    assert_int_equal(st.count, 1);
    safetensors_close(&st);

    /* Abandoned or refused, the old file stays. */
    int64_t size = file_size(path);
    assert_int_equal(safetensors_stream_open(&s, path, bound, &e), ERR_OK);
    safetensors_stream_abandon(&s);
    safetensors_stream_abandon(&s);
    assert_int_equal(safetensors_stream_open(&s, path, 100000000, &e), ERR_LIMIT);
    assert_int_equal(safetensors_stream_open(&s, path, bound, &e), ERR_OK);
    tensors[1] = tensors[0]; /* a name twice */
    assert_int_equal(safetensors_stream_close(&s, tensors, 2, keys, texts, 1, &e), ERR_FORMAT);
    assert_int_equal(file_size(path), size);
    assert_int_equal(safetensors_stream_open(&s, "/dev/null", bound, &e), ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),  cmocka_unit_test(test_write_refuses),
        cmocka_unit_test(test_accepts),     cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_header_size), cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_mutations),   cmocka_unit_test(test_npy),
        cmocka_unit_test(test_stream),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
