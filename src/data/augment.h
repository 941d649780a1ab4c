/* Augmentations: one row per augmentation (augs.def, aug_*.c). Each is a pure function of its
 * options, the signal and the rng, applied in place to one view [L,T] that is normalized as the
 * contract says; amplitudes are options in millivolt and come to the view's units by unit_per_mv.
 *
 * Nouns: a `view` is one augmented crop; a `chain` is the configured list in table order. */
#ifndef ECGFM_DATA_AUGMENT_H
#define ECGFM_DATA_AUGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/option.h"
#include "base/rng.h"

struct view {
    float *x; /* [L,T] */
    int64_t L, T;
    double rate_hz;
    double unit_per_mv; /* multiply millivolts by this to get units of x (1/std, or 1) */
    const int *leads;   /* enum ecg_lead [L] */
    float *scratch;     /* [T] for whoever works on the view */
};

struct augmentation {
    const char *name; /* "baseline_wander": its options are augment.baseline_wander.* */
    const char *help;
    const struct option *options; /* the first row is always `probability` (default 0: off) */
    size_t config_size;
    bool keeps_labels; /* true if a label stays true after it */
    void (*apply)(const void *config, struct view *v, struct rng *r);
};

extern const struct augmentation *const augmentations[]; /* NULL-terminated, from augs.def */

/* A chain holds one config struct per augmentation, in table order. */
struct augment_chain {
    void **configs;
    int count;
};

/* Adds each augmentation's options under "<prefix>.<name>" to the set (targets owned by the set's
 * arena). prefix such as "augment". */
void augment_chain_init(struct augment_chain *chain, struct option_set *set, const char *prefix);
/* Draws each augmentation with its probability, in table order. Its random numbers are addressed by
 * its name, so that draws of one never shift another and a new row changes nothing. Nothing is
 * allocated. Threads: safe. */
void augment_chain_apply(const struct augment_chain *chain, struct view *v, uint64_t seed,
                         uint64_t epoch, uint64_t sample, int view_index);

/* The samples of a lead; NULL if the view has none of that name. */
float *view_lead(const struct view *v, int lead);
/* Overwrites III, aVR, aVL and aVF, where they are, by what I and II say; nothing without these two. */
void view_derive_limb_leads(struct view *v);

/* x[n] standard normal numbers (single precision: Box-Muller on 32-bit uniforms). */
void noise_normal(struct rng *r, float *x, int64_t n);

#endif
