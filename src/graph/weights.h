/* Parameters of inference: where each lies, in which storage, and for those that products read, their
 * packed form. It is made once, in one block and on all threads, and shared by all tapes that record
 * the same network (one for each batch size).
 *
 * Noun: `weights` are the parameters of one network by their offset in the parameter table. The
 * places are borrowed: a slab, or a mapped model file. What no op packs must be float32.
 *
 * Threads: one thread at a time. */
#ifndef ECGFM_GRAPH_WEIGHTS_H
#define ECGFM_GRAPH_WEIGHTS_H

#include "graph/tape.h"

struct weights;

/* Owns: caller frees with weights_free, after the tapes bound to it. */
struct weights *weights_new(const struct backend *backend);
void weights_free(struct weights *w); /* accepts NULL */
/* The parameter at `offset` lies at *place. In rising order of offset, before any tape is bound. */
void weights_add(struct weights *w, int64_t offset, const struct weight *place);

/* Binds the parameters of a planned tape without training. The first tape has them packed; it must
 * live as long as w, and a later one must be of the same network.
 * Errors: ERR_MEMORY. */
enum err_code tape_bind_weights(struct tape *t, struct weights *w, struct err *e);
/* Tells that values changed where they lie: they are packed again. Until then, runs use what was
 * packed before. */
void weights_changed(struct weights *w);

/* Of all that has been packed. */
size_t weights_packed_bytes(const struct weights *w);

#endif
