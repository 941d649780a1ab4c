/* Heads: how tokens become the features that a probe sees (pools), and features the logits of classes
 * (`head_kinds`): one row each.
 *
 * What the head learns is named "head.*" and comes after the encoder in the parameter table. A pool that
 * learns belongs to the head: an encoder without classes has none, and its features are the pool's
 * `unlearned`. */
#ifndef ECGFM_MODEL_HEAD_H
#define ECGFM_MODEL_HEAD_H

#include "base/option.h"
#include "nn/layer.h"

struct head_config {
    int64_t width;                 /* hidden */
    double dropout, input_dropout; /* before the last layer, of the features */
    bool batch_norm;               /* before both layers */
    int64_t pool_heads;            /* of attention pooling */
};
extern const struct option head_rows[];

#define POOL_PARTS_MAX 3

struct pool {
    const char *name;
    int part_count;
    enum pool_kind parts[POOL_PARTS_MAX]; /* one after the other */
    const char *unlearned;                /* of a pool that learns: what stands for it; else NULL */
};
const struct pool *pool_find(const char *name); /* or NULL */
/* Errors: ERR_USAGE naming the option that does not go with tokens of width D. */
enum err_code pool_check(const struct pool *p, const struct head_config *c, int64_t D,
                         struct err *e);
/* Width of the features of tokens of width D. */
int64_t pool_width(const struct pool *p, int64_t D);
/* tokens [B,N,D], lengths [B] index or NULL as in t_pool -> [B, pool_width]. */
struct tensor *pool_build(struct build *b, const struct pool *p, const struct head_config *c,
                          struct tensor *tokens, struct tensor *lengths);

struct head {
    const char *name;
    const char *help;
    bool configured; /* reads the options head.width and dropouts */
    /* Under the scope "head": features [B,F] -> logits [B,K]. */
    struct tensor *(*build)(struct build *b, const struct head_config *c, struct tensor *features,
                            int64_t K);
};
extern const struct head head_kinds[];          /* ends with a row without name */
const struct head *head_find(const char *name); /* or NULL */

#endif
