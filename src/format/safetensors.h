/* safetensors, reading (memory-mapped) and writing (atomic).
 * Format: u64 little-endian header size N, N bytes of JSON
 *   {"__metadata__": {"key": "text"}, "name": {"dtype": "F32", "shape": [..],
 *    "data_offsets": [begin, end]}}, then the data.
 * Source: huggingface/safetensors README, section "Format".
 *
 * Every file is hostile. Accepted is exactly: a header of at most 100 MB (the format's own bound)
 * that begins with '{' and is strict JSON in valid UTF-8; metadata values that are strings; whole
 * numbers without sign, point or exponent; a known dtype; rank 0..8; shape * size == span; data
 * that covers the rest of the file without overlap or hole; no name, key or field twice. Values are
 * not looked at: NaN and infinity pass. */
#ifndef ECGFM_FORMAT_SAFETENSORS_H
#define ECGFM_FORMAT_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"

#define SAFETENSORS_RANK_MAX 8

enum safetensors_dtype {
    ST_F64,
    ST_F32,
    ST_F16,
    ST_BF16,
    ST_I64,
    ST_I32,
    ST_I16,
    ST_I8,
    ST_U8,
    ST_BOOL,
    ST_U64,
    ST_U32,
    ST_U16
};

struct safetensor {
    const char *name;
    enum safetensors_dtype dtype;
    int rank;
    int64_t shape[SAFETENSORS_RANK_MAX];
    const void *data; /* aligned for its dtype; into the map (or, where a foreign file is not
                         aligned, a copy in the arena), or the caller's when writing */
    size_t bytes;
};

struct named;

struct safetensors {
    struct arena arena;
    struct file_map map;
    int64_t count;
    struct safetensor *tensors; /* in file order */
    struct named *by_name;      /* places in tensors */
    int64_t metadata_count;
    const char **metadata_keys;
    const char **metadata_values;
};

/* Maps and checks a file. *st is initialized here; strings and data stay valid until
 * safetensors_close.
 * Errors: ERR_NOT_FOUND, ERR_IO; ERR_TRUNCATED if the file ends early; ERR_FORMAT with the header
 * byte or the tensor; ERR_UNSUPPORTED for a dtype not listed above; ERR_LIMIT, ERR_MEMORY. On an
 * error *st is closed already. */
enum err_code safetensors_open(struct safetensors *st, const char *path, struct err *e);
/* The same from memory (borrowed until close); name is for messages. For tests and fuzzing. */
enum err_code safetensors_parse(struct safetensors *st, const void *data, size_t size,
                                const char *name, struct err *e);
void safetensors_close(struct safetensors *st); /* accepts a zeroed struct */

const struct safetensor *safetensors_find(const struct safetensors *st,
                                          const char *name);                     /* or NULL */
const char *safetensors_metadata(const struct safetensors *st, const char *key); /* or NULL */

/* Writes tensors in the given order with the given metadata (keys and values of equal count), data
 * aligned to 64 bytes by padding the header with spaces; atomic (file_writer). Same input, same
 * bytes. A shape that does not fit its byte count is a BUG.
 * Errors: ERR_FORMAT for a name or key given twice or text that is not UTF-8; ERR_IO. */
enum err_code safetensors_write(const char *path, const struct safetensor *tensors, int64_t count,
                                const char *const *metadata_keys,
                                const char *const *metadata_values, int64_t metadata_count,
                                struct err *e);

/* The same for data of which it is known only at the end what they are: room for the header is left,
 * tensors are written one after the other in pieces, and described when all is there. */
struct safetensors_stream {
    struct file_writer writer;
    size_t begin;  /* byte of the file where data begin */
    int64_t bytes; /* of data so far */
};
/* header_max: bytes that the header may need, see safetensors_entry_bound.
 * Errors: ERR_LIMIT if that is more than the format has, ERR_IO, also for what is no regular file. */
enum err_code safetensors_stream_open(struct safetensors_stream *s, const char *path,
                                      size_t header_max, struct err *e);
/* A failure is kept for the close. */
void safetensors_stream_write(struct safetensors_stream *s, const void *data, size_t bytes);
/* Takes back what was written after `bytes` bytes of data. */
void safetensors_stream_rewind(struct safetensors_stream *s, int64_t bytes);
/* Writes the header and commits. tensors: in the order of their data (their pointers are not used), as
 * many bytes as were written. Errors: as safetensors_write; the file is then gone. */
enum err_code safetensors_stream_close(struct safetensors_stream *s,
                                       const struct safetensor *tensors, int64_t count,
                                       const char *const *metadata_keys,
                                       const char *const *metadata_values, int64_t metadata_count,
                                       struct err *e);
void safetensors_stream_abandon(struct safetensors_stream *s); /* accepts a zeroed struct */
/* Bytes that a tensor with a name of that length takes in a header, at most. */
size_t safetensors_entry_bound(size_t name_bytes);

size_t safetensors_dtype_size(enum safetensors_dtype dtype);
const char *safetensors_dtype_name(enum safetensors_dtype dtype);

#endif
