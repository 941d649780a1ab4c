/* NumPy .npy: one array of numbers, memory-mapped for reading, written atomically.
 *
 *   "\x93NUMPY", version major and minor, length of the header (16 bits in version 1, 32 bits in 2 and
 *   3, little endian), the header, then the values and nothing else. The header is a Python
 *   dictionary: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
 * Source: numpy.lib.format.
 *
 * Every file is hostile. Accepted is exactly: versions 1.0, 2.0 and 3.0; the three keys once each, in
 * any order; a plain type (float 16, 32 and 64, signed and unsigned integers of 1 to 8 bytes, bool) in
 * either byte order; rank 0..8; as many bytes as the shape says. Objects (pickles), structures,
 * complex numbers and texts are refused: nothing is ever executed. One pickle is read as data, without
 * being executed either: that of a single plain array as ndarray.dump writes it (protocol 2), which
 * published predictions are kept in. */
#ifndef ECGFM_FORMAT_NPY_H
#define ECGFM_FORMAT_NPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/file.h"

#define NPY_RANK_MAX 8

struct npy {
    struct file_map map; /* empty when parsed from memory */
    char kind;           /* 'f' float, 'i' signed, 'u' unsigned, 'b' bool */
    int item_bytes;      /* 1, 2, 4 or 8 */
    bool big_endian;
    bool fortran_order; /* the first index runs fastest in the file */
    int rank;
    int64_t shape[NPY_RANK_MAX];
    int64_t count; /* values in all */
    const unsigned char *data;
    void *owned; /* the data of a pickle, decoded */
};

/* Maps and checks a file. *n is initialized here and closed already after an error.
 * Errors: ERR_NOT_FOUND, ERR_IO; ERR_FORMAT, ERR_TRUNCATED; ERR_UNSUPPORTED (another version or type);
 * ERR_LIMIT (header over 64 KiB, rank over 8). */
enum err_code npy_open(struct npy *n, const char *path, struct err *e);
/* The same from memory (borrowed until close); name is for messages. */
enum err_code npy_parse(struct npy *n, const void *data, size_t size, const char *name,
                        struct err *e);
/* An array that ndarray.dump wrote; npy_open recognizes it. The data are decoded into memory.
 * Errors: ERR_UNSUPPORTED for any other pickle, ERR_FORMAT, ERR_TRUNCATED, ERR_LIMIT, ERR_MEMORY. */
enum err_code npy_parse_pickle(struct npy *n, const void *data, size_t size, const char *name,
                               struct err *e);
void npy_close(struct npy *n); /* accepts a zeroed struct */

/* "float32", "int8", "bool". */
const char *npy_type_name(const struct npy *n);

/* Values [begin, begin + count) in C order (the last index runs fastest), whatever the file's order,
 * converted; bool gives 0 and 1, float64 beyond float32 infinity. The range must lie inside.
 * Threads: safe. */
void npy_read_f32(const struct npy *n, int64_t begin, int64_t count, float *out);
void npy_read_f64(const struct npy *n, int64_t begin, int64_t count, double *out);

/* Writes float32 of the given shape (rank 1..8), version 1.0, C order, atomically. */
enum err_code npy_write_f32(const char *path, const float *data, const int64_t *shape, int rank,
                            struct err *e);

#endif
