/* Ways to adapt an encoder to a task: one row each. A row says which parameters of the encoder learn, and
 * what it needs to be there beside them; heads always learn. Nothing else knows their names. */
#ifndef ECGFM_TRAIN_ADAPTATION_H
#define ECGFM_TRAIN_ADAPTATION_H

#include "model/model.h"

struct adaptation {
    const char *name; /* --adapt NAME */
    const char *help;
    const char *learns;   /* patterns of encoder parameters (str_matches_any) */
    const char *needs;    /* patterns of which one must be there; NULL: nothing */
    const char *missing;  /* what to say if none is */
    const char *defaults; /* "key=value ...", weaker than recipes and what the user set */
};

extern const struct adaptation adaptations[];               /* ends with a row without name */
const struct adaptation *adaptation_find(const char *name); /* or NULL */

/* Freezes what does not learn.
 * Errors: ERR_USAGE if what the row needs is not there, naming the layers that are. */
enum err_code adaptation_apply(const struct adaptation *a, struct model *m, struct err *e);

#endif
