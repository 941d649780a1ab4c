/* Adapters as files: what a run learned beside an encoder that was there before.
 *
 * A file has the metadata of a model file, its version under ecgfm.adapter, and ecgfm.base: 16 hexadecimal
 * digits, the hash of the encoder it belongs to. Its tensors, F32, are the head and each parameter of the
 * encoder that the base does not have (low-rank additions, bottleneck adapters) or has with other values
 * (norms, biases). With the base they make a model. */
#ifndef ECGFM_MODEL_ADAPTER_H
#define ECGFM_MODEL_ADAPTER_H

#include "model/model.h"

/* FNV-1a 64 over names and float32 values of the parameters "encoder.*". m has values. */
uint64_t encoder_hash(const struct model *m);

/* Writes what m has beside `base`; both have values. */
enum err_code adapter_save(const struct model *m, const struct model *base, const char *path,
                           struct err *e);
/* Makes *out, initialized here, of an adapter and the model file of its base, low-rank additions merged.
 * Errors: ERR_MODEL if the base is another, a parameter is in neither, or a tensor has no place; those of
 * model_load. Free *out also then. */
enum err_code adapter_apply(const char *path, const char *base_path, struct model *out,
                            struct err *e);

#endif
