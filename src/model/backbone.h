/* Backbones: one row each (backbones.def, bb_*.c): from a signal to tokens.
 *
 * Nouns: a `masking` says which tokens the encoder does not see as they are; an `encoding` is what a
 * backbone gives back: tokens after its last norm, and what objectives may want to predict. */
#ifndef ECGFM_MODEL_BACKBONE_H
#define ECGFM_MODEL_BACKBONE_H

#include "base/option.h"
#include "nn/layer.h"

struct masking {
    struct tensor *visible; /* [B,J] only these tokens enter the encoder, ascending; NULL: all */
    struct tensor *hidden;  /* [B,M] these tokens are replaced by `fill`, -1: none; NULL: none */
    struct tensor *fill;    /* [D] */
    struct tensor
        *lengths; /* [B] samples of each record, what follows is padding; NULL: T of all */
};

struct encoding {
    struct tensor *tokens; /* [B,N',D]; N' is the number of visible tokens */
    struct tensor
        *patches; /* [B,N,P] the samples that each token stands for; NULL if all are visible */
    struct tensor
        *extracted; /* [B,N,C] what convolutions made of the signal; NULL: not such a backbone */
    struct tensor *features; /* [B,N,C] the same, normalized: what quantizers see */
    struct tensor *lengths;  /* [B] index: tokens of each record that are not padding; NULL: all */
    int64_t token_count;     /* N */
};

struct backbone {
    const char *name; /* options are <name>.* */
    const char *help;
    const struct option *options;
    size_t config_size;
    /* Names of options that only concern training, separated by spaces: they may differ from those of
     * given weights. NULL: none. */
    const char *training;
    /* Checks that a configuration can take L leads and T samples.
     * Errors: ERR_USAGE naming the option. */
    enum err_code (*check)(const void *config, int64_t L, int64_t T, struct err *e);
    int64_t (*token_count)(const void *config, int64_t L, int64_t T); /* N */
    int64_t (*width)(const void *config);                             /* D */
    bool hides; /* takes masking->hidden and lengths; others take visible alone */
    /* Whether token i depends on nothing after its own samples; NULL: never. */
    bool (*causal)(const void *config);
    bool whole; /* takes no masking: its tokens are always all there */
    /* Records it under the current scope. signal [B,L,T]; masking NULL: every token is seen. What a
     * backbone mixes before its encoder is mixed among the visible. */
    struct encoding (*build)(struct build *b, const void *config, struct tensor *signal,
                             const struct masking *masking);
};

extern const struct backbone *const backbones[];        /* NULL-terminated, from backbones.def */
const struct backbone *backbone_find(const char *name); /* or NULL */

#endif
