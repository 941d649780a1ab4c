/* Where a run starts from, if not from random numbers: the file of an encoder, which fixes architecture
 * and input, but for the length that it takes at once where its parameters do not depend on that. What only concerns training (dropout, drop path) may be said anew; options that say
 * otherwise of the rest are refused rather than ignored.
 *
 * Order of strength: the file's values, then what the caller sets with OPTION_FROM_PRESET between the
 * two calls (recipes, defaults of objectives), then what the user set. */
#ifndef ECGFM_TRAIN_WEIGHTS_H
#define ECGFM_TRAIN_WEIGHTS_H

#include "base/option.h"
#include "signal/contract.h"

struct cJSON;

/* Reads what the file at PATH (a run folder or model file) says of network and input; its values of the
 * network go into the set. *spec: caller cJSON_Deletes.
 * Errors: ERR_USAGE naming an option that the weights fix; those of model_open. */
enum err_code weights_read(struct option_set *set, const char *path, struct cJSON **spec,
                           struct contract *contract, struct err *e);
/* Puts what the set says of training over the values of the spec.
 * Errors: ERR_USAGE naming an option of the architecture that the user set to another value. */
enum err_code weights_override(const struct option_set *set, const char *path, struct cJSON *spec,
                               struct err *e);

#endif
