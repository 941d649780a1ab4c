/* safetensors, reading (memory-mapped) and writing (atomic).
 * Format: u64 little-endian header size N, N bytes of JSON
 *   {"__metadata__": {"key": "text"}, "name": {"dtype": "F32", "shape": [..],
 *    "data_offsets": [begin, end]}}, then the data.
 * Source: huggingface/safetensors README, section "Format". Every file is hostile: header size
 * bounded, offsets in order and inside the file, no overlap, no holes, shape * size == span, no
 * duplicate names. */
#ifndef ECGFM_FORMAT_SAFETENSORS_H
#define ECGFM_FORMAT_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"

#define SAFETENSORS_RANK_MAX 8

enum safetensors_dtype { ST_F64, ST_F32, ST_F16, ST_BF16, ST_I64, ST_I32, ST_I16, ST_I8, ST_U8, ST_BOOL };

struct safetensor {
    const char *name;
    enum safetensors_dtype dtype;
    int rank;
    int64_t shape[SAFETENSORS_RANK_MAX];
    const void *data; /* into the map, or the caller's when writing */
    size_t bytes;
};

struct safetensors {
    struct arena arena;
    struct file_map map;
    int64_t count;
    struct safetensor *tensors; /* in file order */
    int64_t metadata_count;
    const char **metadata_keys;
    const char **metadata_values;
};

enum err_code safetensors_open(struct safetensors *st, const char *path, struct err *e);
/* The same from memory (borrowed), for tests and fuzzing. */
enum err_code safetensors_parse(struct safetensors *st, const void *data, size_t size,
                                const char *name, struct err *e);
void safetensors_close(struct safetensors *st); /* accepts a zeroed struct */

const struct safetensor *safetensors_find(const struct safetensors *st, const char *name);
const char *safetensors_metadata(const struct safetensors *st, const char *key); /* or NULL */

/* Writes tensors in the given order with the given metadata (keys/values of equal count), data
 * aligned to 64 bytes by padding the header with spaces. Same input, same bytes. */
enum err_code safetensors_write(const char *path, const struct safetensor *tensors, int64_t count,
                                const char *const *metadata_keys,
                                const char *const *metadata_values, int64_t metadata_count,
                                struct err *e);

size_t safetensors_dtype_size(enum safetensors_dtype dtype);
const char *safetensors_dtype_name(enum safetensors_dtype dtype);

#endif
