/* Backbones: one row each (backbones.def, bb_*.c): from a signal to tokens.
 *
 * Nouns: an `encoding` is what a backbone gives back: tokens after its last norm, and the raw patches
 * that objectives may want to predict. */
#ifndef ECGFM_MODEL_BACKBONE_H
#define ECGFM_MODEL_BACKBONE_H

#include "base/option.h"
#include "nn/layer.h"

struct encoding {
    struct tensor *tokens; /* [B,N',D]; N' is the number of visible tokens */
    struct tensor
        *patches; /* [B,N,P] the samples that each token stands for; NULL if all are visible */
    int64_t token_count; /* N */
};

struct backbone {
    const char *name; /* options are <name>.* */
    const char *help;
    const struct option *options;
    size_t config_size;
    /* Checks that a configuration can take L leads and T samples.
     * Errors: ERR_USAGE naming the option. */
    enum err_code (*check)(const void *config, int64_t L, int64_t T, struct err *e);
    int64_t (*token_count)(const void *config, int64_t L, int64_t T); /* N */
    int64_t (*width)(const void *config);                             /* D */
    /* Records it under the current scope. signal [B,L,T]; visible [B,J]: only these tokens enter the
     * encoder, NULL: all. What a backbone mixes before its encoder is mixed among the visible. */
    struct encoding (*build)(struct build *b, const void *config, struct tensor *signal,
                             struct tensor *visible);
};

extern const struct backbone *const backbones[];        /* NULL-terminated, from backbones.def */
const struct backbone *backbone_find(const char *name); /* or NULL */

#endif
