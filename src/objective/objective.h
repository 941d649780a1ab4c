/* Pre-training objectives: one row each (objectives.def, obj_*.c): what a loss needs from a batch and
 * how it is built on the tape. Several can be summed ("mae+simclr"): they share one forward pass of
 * the encoder, so a contrastive loss beside a masked one sees the visible tokens of masked views.
 *
 * Nouns: a `scene` is what all objectives of a run see: the encoding of V views of B records, view-major
 * [V*B, ...], and which tokens were hidden. */
#ifndef ECGFM_OBJECTIVE_OBJECTIVE_H
#define ECGFM_OBJECTIVE_OBJECTIVE_H

#include "base/option.h"
#include "model/model.h"

struct scene {
    struct build *build;
    const struct model *model;
    int64_t views, records; /* V, B */
    struct encoding encoding;
    struct tensor *visible; /* [V*B,J] token indices, ascending; NULL without masks */
    struct tensor *masked;  /* [V*B,N-J] */
};

/* Every objective's configuration starts with its weight in a sum. */
struct objective_config {
    double weight;
};

struct objective {
    const char *name; /* options are <name>.* */
    const char *help;
    const struct option *options; /* first row: weight */
    size_t config_size;
    int views; /* V it needs at least */
    /* "key=value ..." of other groups that it works best with, NULL: none; first what holds always,
     * then what holds alone and what in a sum. */
    const char *defaults, *defaults_alone, *defaults_in_sum;
    double (*mask_ratio)(const void *config); /* NULL: no masks */
    /* NULL, or checks what single bounds cannot. Errors: ERR_USAGE naming the option. */
    enum err_code (*check)(const void *config, struct err *e);
    struct tensor *(*build)(const struct scene *s, const void *config); /* loss [1] */
};

extern const struct objective *const objectives[]; /* NULL-terminated, from objectives.def */

#define OBJECTIVES_MAX 8

/* The objectives of one run. */
struct objective_sum {
    int count;
    const struct objective *rows[OBJECTIVES_MAX];
    const void *configs[OBJECTIVES_MAX];
    int views;         /* V */
    double mask_ratio; /* 0: no masks */
};

/* Adds every objective's group to the set; configs live in the set's arena. */
void objective_options_add(struct option_set *set);
/* "mae+simclr" -> rows; applies their defaults to the set (weaker than what the user set).
 * Errors: ERR_USAGE with the nearest name. */
enum err_code objective_sum_parse(struct objective_sum *out, struct option_set *set,
                                  const char *text, struct err *e);
/* After all options are final: checks them, reads views and mask ratio. */
enum err_code objective_sum_resolve(struct objective_sum *sum, struct err *e);

/* Tokens that stay visible of N at a mask ratio; at least 1, at most N - 1. */
int64_t visible_count(double mask_ratio, int64_t N);
/* A uniformly drawn set of J visible tokens and the N-J others, each ascending: a function of
 * (seed, epoch, sample, view). scratch holds N int64. */
void mask_draw(uint64_t seed, uint64_t epoch, uint64_t sample, int view, int64_t N, int64_t J,
               int32_t *visible, int32_t *masked, int64_t *scratch);

/* Records encoder and objectives for V*B signals [V*B,L,T]; inputs "signal", and with masks "visible"
 * and "masked". Returns the weighted sum of the losses [1]; parts[count] are the single ones (kept). */
struct tensor *objective_sum_build(const struct objective_sum *sum, struct build *b,
                                   const struct model *m, int64_t B, struct tensor **parts);

#endif
