/* Writes MATLAB level-5 files by hand for tests, in either byte order, after "MAT-File Format". */
#ifndef ECGFM_TESTS_MAT5_IMAGE_H
#define ECGFM_TESTS_MAT5_IMAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* Types of elements. */
enum {
    MI_INT8 = 1,
    MI_UINT8,
    MI_INT16,
    MI_UINT16,
    MI_INT32,
    MI_UINT32,
    MI_SINGLE,
    MI_DOUBLE = 9,
    MI_INT64 = 12,
    MI_UINT64,
    MI_MATRIX,
    MI_COMPRESSED,
    MI_UTF8
};

struct mat5_image {
    unsigned char *bytes;
    size_t size, cap;
    bool big_endian;
};

static inline void image_put(struct mat5_image *f, const void *data, size_t n)
{
    if (f->size + n > f->cap) {
        f->cap = 2 * (f->size + n) + 256;
        f->bytes = realloc(f->bytes, f->cap);
        if (!f->bytes)
            abort();
    }
    if (n)
        memcpy(f->bytes + f->size, data, n);
    f->size += n;
}

/* The low `n` bytes of a word in the file's order. */
static inline void image_word(struct mat5_image *f, uint64_t word, int n)
{
    unsigned char bytes[8];
    for (int i = 0; i < n; i++)
        bytes[f->big_endian ? n - 1 - i : i] = (unsigned char)(word >> 8 * i);
    image_put(f, bytes, (size_t)n);
}

static inline void image_begin(struct mat5_image *f, bool big_endian)
{
    char text[124];
    memset(text, ' ', sizeof text);
    memcpy(text, "MATLAB 5.0 MAT-file, written by hand", 36);
    *f = (struct mat5_image){.big_endian = big_endian};
    image_put(f, text, sizeof text);
    image_word(f, 0x0100, 2);
    image_put(f, big_endian ? "MI" : "IM", 2);
}

/* Pads an element; what is compressed before it may have any size. */
static inline void image_pad(struct mat5_image *f, size_t begin)
{
    while ((f->size - begin) % 8)
        image_put(f, "", 1);
}

static inline int image_type_bytes(int type)
{
    return type <= MI_UINT8 || type == MI_UTF8 ? 1
           : type <= MI_UINT16                 ? 2
           : type <= MI_SINGLE                 ? 4
                                               : 8;
}

/* An element of numbers; small: in four bytes beside its tag. */
static inline void image_numbers(struct mat5_image *f, int type, const double *values,
                                 int64_t count, bool small)
{
    int n = image_type_bytes(type);
    size_t begin = f->size;
    if (small) {
        image_word(f, (uint64_t)(count * n) << 16 | (uint64_t)type, 4);
    } else {
        image_word(f, (uint64_t)type, 4);
        image_word(f, (uint64_t)(count * n), 4);
    }
    for (int64_t i = 0; i < count; i++) {
        uint64_t word = 0;
        if (type == MI_SINGLE) {
            float narrow = (float)values[i];
            uint32_t low;
            memcpy(&low, &narrow, 4);
            word = low;
        } else if (type == MI_DOUBLE) {
            memcpy(&word, &values[i], 8);
        } else if (values[i] < 0) {
            word = (uint64_t)(int64_t)values[i];
        } else {
            word = (uint64_t)values[i];
        }
        image_word(f, word, n);
    }
    image_pad(f, begin);
}

static inline void image_text(struct mat5_image *f, int type, const char *text, size_t n)
{
    size_t begin = f->size;
    image_word(f, (uint64_t)type, 4);
    image_word(f, n, 4);
    image_put(f, text, n);
    image_pad(f, begin);
}

/* Begins a matrix: where its tag stands. image_matrix_end writes its size. */
static inline size_t image_matrix(struct mat5_image *f, int class, unsigned flags,
                                  const int64_t *shape, int rank, const char *name)
{
    size_t at = f->size;
    double wide[8];
    image_word(f, MI_MATRIX, 4);
    image_word(f, 0, 4);
    image_word(f, MI_UINT32, 4);
    image_word(f, 8, 4);
    image_word(f, flags << 8 | (unsigned)class, 4);
    image_word(f, 0, 4);
    for (int i = 0; i < rank; i++)
        wide[i] = (double)shape[i];
    image_numbers(f, MI_INT32, wide, rank, false);
    image_text(f, MI_INT8, name, strlen(name));
    return at;
}

static inline void image_matrix_end(struct mat5_image *f, size_t at)
{
    size_t end = f->size;
    f->size = at + 4;
    image_word(f, end - at - 8, 4);
    f->size = end;
}

/* Replaces what follows `at` by a compressed element of it. */
static inline void image_compress(struct mat5_image *f, size_t at)
{
    uLongf n = compressBound(f->size - at);
    unsigned char *out = malloc(n);
    if (!out || compress(out, &n, f->bytes + at, f->size - at) != Z_OK)
        abort();
    f->size = at;
    image_word(f, MI_COMPRESSED, 4);
    image_word(f, n, 4);
    image_put(f, out, n);
    free(out);
}

/* A whole variable [rows,columns], column by column. */
static inline void image_variable(struct mat5_image *f, const char *name, int class, int type,
                                  int64_t rows, int64_t columns, const double *values,
                                  bool compressed)
{
    size_t at = image_matrix(f, class, 0, (int64_t[]){rows, columns}, 2, name);
    image_numbers(f, type, values, rows * columns, false);
    image_matrix_end(f, at);
    if (compressed)
        image_compress(f, at);
}

#endif
