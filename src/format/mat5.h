/* MATLAB files of level 5 ("MATLAB 5.0 MAT-file"; what MATLAB calls -v6 and -v7), reading.
 *
 * A file is a header of 128 bytes (text, version 0x0100, byte order "IM" or "MI") and elements; an element
 * is a tag (type and bytes, 8 bytes, or 4 where at most 4 bytes of data follow in the same 8) and its
 * data, padded to 8 bytes. Variables are elements of type matrix, or of type compressed, whose data are
 * such an element as a zlib stream. A matrix holds flags, dimensions, name and values; values lie column
 * by column and may be stored in a smaller type than the variable's class.
 * Source: "MAT-File Format", MathWorks, chapter 1, "Level 5 MAT-File Format".
 *
 * Every file is hostile: all sizes are checked before anything is read or allocated. Read are real and
 * complex numbers of all classes, logical values, text, and structures of one element with these as
 * fields. Cells, sparse matrices, objects, functions and larger structures are listed, but have no
 * values. Level 7.3 (HDF5) is ERR_UNSUPPORTED.
 *
 * Nouns: an `array` is a variable or a field of a structure. */
#ifndef ECGFM_FORMAT_MAT5_H
#define ECGFM_FORMAT_MAT5_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"

#define MAT5_RANK_MAX 8

enum mat5_class {
    MAT5_CELL = 1,
    MAT5_STRUCT,
    MAT5_OBJECT,
    MAT5_CHAR,
    MAT5_SPARSE,
    MAT5_DOUBLE,
    MAT5_SINGLE,
    MAT5_INT8,
    MAT5_UINT8,
    MAT5_INT16,
    MAT5_UINT16,
    MAT5_INT32,
    MAT5_UINT32,
    MAT5_INT64,
    MAT5_UINT64,
    MAT5_FUNCTION,
    MAT5_OPAQUE
};

struct mat5_array {
    const char *name; /* printable ASCII; may be "" */
    enum mat5_class class;
    bool is_complex, is_logical;
    int rank; /* at least 2 */
    int64_t shape[MAT5_RANK_MAX];
    int64_t count; /* elements in all */
    /* Values of the real part; NULL for what is not read. */
    const unsigned char *data;
    int stored_type;      /* of the file's types, see mat5.c */
    int64_t stored_count; /* count, but for text in UTF-8 */
    bool big_endian;
    int64_t field_count; /* of a structure of one element */
    struct mat5_array *fields;
};

struct mat5 {
    struct arena arena;  /* arrays, names, inflated elements */
    struct file_map map; /* empty when parsed from memory */
    int64_t count;
    struct mat5_array *arrays; /* variables in file order, names differ */
};

/* Maps and checks a file. *m is initialized here and closed already after an error. inflated_max bounds
 * the bytes of all compressed elements together (0: 1 GiB); what a stream cannot hold is refused before
 * memory is taken.
 * Errors: ERR_NOT_FOUND, ERR_IO; ERR_FORMAT, ERR_TRUNCATED with the byte; ERR_UNSUPPORTED (level 7.3 or
 * another version); ERR_LIMIT (inflated_max, over 1024 variables, 256 fields of a structure, 65536 of all, 8 levels), ERR_MEMORY. */
enum err_code mat5_open(struct mat5 *m, const char *path, int64_t inflated_max, struct err *e);
/* The same from memory (borrowed until close); name is for messages. */
enum err_code mat5_parse(struct mat5 *m, const void *data, size_t size, const char *name,
                         int64_t inflated_max, struct err *e);
void mat5_close(struct mat5 *m); /* accepts a zeroed struct */

const struct mat5_array *mat5_find(const struct mat5 *m, const char *name);        /* or NULL */
const struct mat5_array *mat5_field(const struct mat5_array *a, const char *name); /* or NULL */

/* Real numbers or logical values that can be read. */
bool mat5_is_number(const struct mat5_array *a);
/* Value i of the file's order (the first index runs fastest) of such an array, i < count. */
double mat5_value(const struct mat5_array *a, int64_t i);
/* A matrix [rows,columns] of such as float32 rows: out[rows,columns], the last index fastest. */
void mat5_rows_f32(const struct mat5_array *a, float *out);
/* The only element of a number; false if a is NULL or anything else. */
bool mat5_scalar(const struct mat5_array *a, double *out);
/* Text as ASCII (others become '?'), cut to fit; false if a is NULL or no text. */
bool mat5_text(const struct mat5_array *a, char *out, size_t size);

/* True if a file begins as one of level 5 does, or of level 7.3. */
bool mat5_is_level5(const unsigned char *head, size_t size);
bool mat5_is_level73(const unsigned char *head, size_t size);

#endif
