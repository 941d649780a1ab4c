/* Parameters of inference: where each lies, in which storage, and for those that products read, their
 * packed form. What is read once is not worth packing: a first run of few rows reads parameters as they
 * lie where the op can (float32; any storage with op->reads_stored), and packs the others into one
 * place that they share in turn, each right before it is read. What a later run reads is packed then, to
 * stay, in one block shared by all tapes that record the same network (one for each batch size). The
 * bits of results do not depend on it.
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

/* Binds the parameters of a planned tape without training. The first tape tells how to pack them; it
 * must live as long as w, and a later one must be of the same network.
 * Errors: ERR_MEMORY. */
enum err_code tape_bind_weights(struct tape *t, struct weights *w, struct err *e);
/* Tells that values changed where they lie: they are packed again when they are read next. Until then,
 * runs use what was packed before. */
void weights_changed(struct weights *w);
/* All that products read has been packed: the places of that are read no more. */
bool weights_are_packed(const struct weights *w);

/* Of all packed forms. */
size_t weights_packed_bytes(const struct weights *w);

/* For tape_forward: sets n->packed, of a node with n->package, for the pass that comes. */
void node_pack(struct node *n);

#endif
