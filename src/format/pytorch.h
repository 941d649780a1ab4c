/* Checkpoints of PyTorch (torch.save since 1.6): a zip archive of stored entries
 *
 *   TOP/data.pkl        a pickle of protocol 2: dictionaries, numbers, text, tensors
 *   TOP/data/KEY        a storage: little-endian values, one after the other
 *   TOP/version, TOP/byteorder, TOP/.data/...
 *
 * A tensor is a view of a storage: offset, sizes, strides. Globals taken are
 * collections.OrderedDict, torch._utils._rebuild_tensor_v2 and _rebuild_parameter, and the storage
 * classes of the types below; nothing is executed (format/pickle.h).
 *
 * Every file is hostile. Each storage that is named must be there with just the bytes of its count of
 * values, and each tensor must lie inside its storage and have no more values than it. A storage is
 * read when a tensor of it is asked for; what nobody asks for (an optimizer's state) never is.
 * Source: torch.save / torch.load of PyTorch 1.13 to 2.x, by the files they write. */
#ifndef ECGFM_FORMAT_PYTORCH_H
#define ECGFM_FORMAT_PYTORCH_H

#include "format/pickle.h"
#include "format/safetensors.h"
#include "format/zip.h"

#define PYTORCH_RANK_MAX SAFETENSORS_RANK_MAX

struct pytorch_storage {
    const char *key;
    enum safetensors_dtype dtype;
    int64_t numel;
    const struct zip_entry *entry;
};

struct pytorch_tensor {
    const struct pytorch_storage *storage; /* NULL when writing */
    const void *data;                      /* when writing: the values, contiguous (borrowed) */
    enum safetensors_dtype dtype;
    int rank;
    int64_t shape[PYTORCH_RANK_MAX], stride[PYTORCH_RANK_MAX];
    int64_t offset, numel; /* values */
};

struct pytorch {
    struct zip zip;
    struct arena arena;
    const char *top; /* folder in the archive */
    struct pickle_value *root;
    int64_t storage_count, storage_cap;
    struct pytorch_storage **storages;
    const struct pytorch_storage *last; /* read whole for a view of it, and kept for the next one */
    char *last_bytes;
};

/* Reads directory and pickle, and checks every storage and tensor. *p is initialized here;
 * pytorch_close, also done on an error.
 * Errors: those of zip_open and pickle_read; ERR_FORMAT with the storage's key. */
enum err_code pytorch_open(struct pytorch *p, const char *path, struct err *e);
/* The same from memory (borrowed until close); name is for messages. */
enum err_code pytorch_parse(struct pytorch *p, const void *data, size_t size, const char *name,
                            struct err *e);
void pytorch_close(struct pytorch *p); /* accepts a zeroed struct */

/* The tensor that a value is; NULL if it is none, or NULL. */
const struct pytorch_tensor *pytorch_tensor(const struct pickle_value *value);

/* The values of a tensor, contiguous: as they are, out[numel] of its type, or as float32.
 * Errors: ERR_CHECKSUM, ERR_IO, ERR_MEMORY. */
enum err_code pytorch_read(struct pytorch *p, const struct pytorch_tensor *t, void *out,
                           struct err *e);
enum err_code pytorch_read_f32(struct pytorch *p, const struct pytorch_tensor *t, float *out,
                               struct err *e);

/* A tensor to write. data is borrowed until pytorch_write has run; F16, BF16, F32, F64, I8 to I64, U8
 * and BOOL can be written. */
struct pickle_value *pytorch_tensor_new(struct arena *arena, enum safetensors_dtype dtype, int rank,
                                        const int64_t *shape, const void *data);
/* Writes a file that torch.load reads, with weights_only=True from 2.0 on; atomic. Same value, same bytes. */
enum err_code pytorch_write(const char *path, const struct pickle_value *root, struct err *e);

#endif
