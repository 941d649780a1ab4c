/* Recipes of fine-tuning: one line each: published or proven sets of options under a name. */
#ifndef ECGFM_TRAIN_RECIPE_H
#define ECGFM_TRAIN_RECIPE_H

#include "base/option.h"

struct recipe {
    const char *name;
    const char *help;
    const char *backbone; /* whose options it may set too, with any other they are left out; NULL */
    const char *settings; /* "key=value ..." */
};

extern const struct recipe recipes[]; /* ends with a row without name */

/* Sets what the recipe says, weaker than what the user set. backbone: that of the model.
 * Errors: ERR_USAGE with the nearest name. */
enum err_code recipe_apply(struct option_set *set, const char *name, const char *backbone,
                           struct err *e);

#endif
