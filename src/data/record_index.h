/* Which record of a manifest a name means, as tables and outputs of programs name records:
 *   1. its id, or a number that is its id ("15.0" for "15");
 *   2. else the name of its entry file, in either with or without folders and extension; where several
 *      records have that name, the one whose path shares most folders with it, from the end. A number
 *      such as 15.7 has no extension.
 * For data/ and train/. */
#ifndef ECGFM_DATA_RECORD_INDEX_H
#define ECGFM_DATA_RECORD_INDEX_H

#include "data/dataset.h"

#define RECORD_NONE (-1)
#define RECORD_AMBIGUOUS (-2) /* several are as likely */

struct named;

struct record_index {
    struct arena arena;
    const struct manifest *m;
    struct named *ids, *files; /* [m->count] each, sorted */
};

/* The manifest is borrowed. Owns: record_index_free, also after an error. Errors: ERR_MEMORY. */
enum err_code record_index_make(struct record_index *index, const struct manifest *m,
                                struct err *e);
void record_index_free(struct record_index *index); /* accepts a zeroed struct */

/* The entry, RECORD_NONE or RECORD_AMBIGUOUS. Threads: safe. */
int64_t record_index_find(const struct record_index *index, const char *name);

#endif
