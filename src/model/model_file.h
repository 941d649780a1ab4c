/* What the files of models and of adapters share; for model/ alone. */
#ifndef ECGFM_MODEL_MODEL_FILE_H
#define ECGFM_MODEL_MODEL_FILE_H

#include "format/safetensors.h"
#include "model/model.h"

/* A parameter's values as a tensor of a file; data is borrowed. */
struct safetensor model_tensor(const struct param *p, const void *data, enum storage storage);
/* Metadata and tensors to a file: of a model, or with `base`, a text, of an adapter to it. */
enum err_code model_write(const struct model *m, const struct safetensor *tensors, int64_t n,
                          const char *base, const char *path, struct err *e);
/* Makes *m of what a file says of spec, contract, classes and provenance; no values. version_key:
 * "ecgfm.version" of a model, "ecgfm.adapter" of an adapter. Errors: ERR_MODEL. */
enum err_code model_read_metadata(struct model *m, const struct safetensors *st,
                                  const char *version_key, struct err *e);

#endif
