/* The one parameter table: names, shapes, offsets and flags of everything that is learned. It drives
 * initialization, weight decay, layer-wise learning rates, EMA, checkpoints and `inspect`.
 *
 * Nouns: a `param` is one named array; a `slab` is one block of reals that holds all of them at
 * their offsets: values, gradients and both optimizer moments are equal-shaped slabs. */
#ifndef ECGFM_NN_PARAM_H
#define ECGFM_NN_PARAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

#define PARAM_RANK_MAX 4

enum param_init {
    PARAM_ZERO,
    PARAM_ONE,
    PARAM_NORMAL,  /* N(0, scale), cut at two deviations */
    PARAM_GAUSS,   /* N(0, scale) */
    PARAM_UNIFORM, /* uniform in -scale to scale */
    PARAM_UNIT,    /* uniform in 0 to scale */
    PARAM_SAME,    /* scale */
    PARAM_STEP,  /* logarithms of steps: uniform in log(0.001) to log(0.1); Gu et al. 2022 (S4D) */
    PARAM_TONES, /* scale times the place in the last axis, from 0 */
    PARAM_KAIMING, /* N(0, sqrt(2 / fan in)), fan in: all extents but the first; He et al. 2015 eq. 10 */
    PARAM_XAVIER, /* uniform, bound sqrt(6 / (fan in + fan out)); Glorot and Bengio 2010 */
    PARAM_SINCOS, /* fixed positions as a start; Vaswani 2017 section 3.5 */
    PARAM_LENGTHS /* [K] root of the sum of squares, for each of K, of the one before it, [..,K] */
};

struct param {
    const char *name; /* "encoder.block.3.attention.qkv.weight" */
    int rank;
    int64_t shape[PARAM_RANK_MAX];
    int64_t numel;
    int64_t offset; /* elements, a multiple of 16 */
    enum param_init init;
    double scale;
    bool decay;  /* weight decay applies (matrices) */
    bool frozen; /* no gradient, no update */
    bool state;  /* moved by forward passes of training, by no gradient (running statistics); frozen
                    * too. Averages of weights average it, too */
    bool added;  /* beside what the network was pre-trained with: low-rank additions, adapters */
    bool product;  /* only products read it: a file may hold it as bf16 or int8 */
    int layer;     /* 0: embedding, 1..depth: blocks, depth+1: what comes after */
    double rate;   /* factor on the learning rate; 1 unless somebody says otherwise */
    int64_t delay; /* optimizer steps before it learns; 0 */
};

struct param_table {
    struct arena arena;
    struct param **items;
    int count, cap;
    int64_t total; /* elements of a slab */
    int layer_max;
    bool closed; /* no new names: a second recording must find what it asks for */
};

/* An empty table; free it with param_table_free, which accepts a zeroed struct. */
void param_table_init(struct param_table *p);
void param_table_free(struct param_table *p);

/* Finds a parameter of that name (its shape must agree) or adds it. */
struct param *param_get(struct param_table *p, const char *name, int rank, const int64_t *shape,
                        enum param_init init, double scale, bool decay, int layer);
struct param *param_find(const struct param_table *p, const char *name); /* or NULL */
int64_t param_count_values(const struct param_table *p); /* without padding and state */

/* Fills a slab from (seed, name): the same values whatever else is in the table. */
void param_initialize(const struct param_table *p, void *slab, size_t real_size, uint64_t seed);

/* Freezes parameters whose layer is below `layers`. */
void param_freeze_layers(struct param_table *p, int layers);

#endif
