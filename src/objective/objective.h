/* Pre-training objectives: one row each (objectives.def, obj_*.c): what a loss needs from a batch and
 * how it is built on the tape. Several can be summed ("mae+simclr"): they share one forward pass of
 * the encoder, so a contrastive loss beside a masked one sees the tokens of masked views.
 *
 * Nouns: a `scene` is what all objectives of a run see: the encoding of V views of B records, view-major
 * [V*B, ...], and which tokens were hidden. `inputs` are what a batch binds beside the signal: masks,
 * and what single objectives draw or want to know (negatives, noise, record ids). All of them are
 * inputs of the tape by name, so that given ones can be bound instead: to compare with another program,
 * record with objective_sum_build and tape_bind them.
 *
 * Two ways to mask. `mask_ratio`: a fixed number of tokens leaves the encoder (inputs "visible" and
 * "masked"). `spans`: runs of tokens are replaced by the learned vector <objective>.mask_token (input
 * "hidden" [V*B,M], padded with -1); their number differs from batch to batch, M is the most there
 * can be, and losses are means over those that are there. */
#ifndef ECGFM_OBJECTIVE_OBJECTIVE_H
#define ECGFM_OBJECTIVE_OBJECTIVE_H

#include "base/option.h"
#include "model/model.h"
#include "objective/span.h"

#define OBJECTIVE_PARTS_MAX 16

/* Numbers that are reported beside the loss: terms of losses, accuracies. Their tensors [1] are kept. */
struct objective_parts {
    int count;
    struct tensor *tensors[OBJECTIVE_PARTS_MAX];
    char names[OBJECTIVE_PARTS_MAX][48];
};

struct scene {
    struct build *build;
    const struct model *model;
    int64_t views, records; /* V, B */
    struct encoding encoding;
    struct tensor *visible; /* [V*B,J] token indices, ascending; NULL without masks */
    struct tensor *masked;  /* [V*B,N-J] */
    struct tensor *hidden;  /* [V*B,M] ascending, then -1; NULL without spans */
    struct objective_parts *parts;
};

/* Where in a run a batch stands: every random input is a function of it. */
struct draw {
    uint64_t seed;
    int64_t epoch, index;   /* batch `index` of the epoch */
    int64_t update;         /* optimizer steps done before */
    int64_t count;          /* B */
    const int64_t *samples; /* [B] what names the record, or the pair, in all epochs */
    const int64_t *records; /* [B] which record each is of; NULL: samples */
};

/* Every objective's configuration starts with its weight in a sum. */
struct objective_config {
    double weight;
};

/* How fairseq-signals trains all of its objectives, for their defaults. */
#define FAIRSEQ_TRAINING                                                                           \
    "optimizer=adam lr=5e-5 min_lr=5e-5 schedule=fixed warmup=0 beta1=0.9 beta2=0.98 "             \
    "epsilon=1e-6 weight_decay=0.01 clip=0 "

struct objective {
    const char *name; /* options are <name>.* */
    const char *help;
    /* Another name for a sum, such as "w2v+cmsc", with `defaults` of its own; nothing else is set. */
    const char *stands_for;
    const struct option *options; /* first row: weight */
    size_t config_size;
    int views; /* V it needs at least */
    /* Its batches are pairs of adjacent segments of a record, one in each of 2 views (data/loader.h). */
    bool pairs;
    /* "key=value ..." of other groups that it works best with, NULL: none; first what holds always,
     * then what holds alone and what in a sum. */
    const char *defaults, *defaults_alone, *defaults_in_sum;
    double (*mask_ratio)(const void *config);         /* NULL: no tokens leave */
    struct span_options (*spans)(const void *config); /* NULL: no tokens are replaced */
    /* NULL, or checks what single bounds cannot. Errors: ERR_USAGE naming the option. */
    enum err_code (*check)(const void *config, struct err *e);
    /* NULL, or whether it can be built on a model. Errors: ERR_USAGE naming what is missing. */
    enum err_code (*takes)(const void *config, const struct model *m, struct err *e);
    struct tensor *(*build)(const struct scene *s, const void *config); /* loss [1] */
    /* NULL, or fills the data of the inputs that build added to the tape; those of the scene are
     * filled before. Reals have `real_size` bytes. */
    void (*draw)(const void *config, struct tape *t, size_t real_size, const struct draw *d);
};

extern const struct objective *const objectives[]; /* NULL-terminated, from objectives.def */

#define OBJECTIVES_MAX 8

/* The objectives of one run. */
struct objective_sum {
    int count;
    const struct objective *rows[OBJECTIVES_MAX];
    const void *configs[OBJECTIVES_MAX];
    int views;                        /* V */
    bool pairs;                       /* of segments: if any of them asks for it; then V is 2 */
    double mask_ratio;                /* 0: no tokens leave */
    const struct objective *spans_of; /* whose mask_token replaces hidden tokens; NULL: none are */
    struct span_options spans;
};

/* Adds every objective's group to the set; configs live in the set's arena. */
void objective_options_add(struct option_set *set);
/* "mae+simclr" -> rows; applies their defaults to the set (weaker than what the user set).
 * Errors: ERR_USAGE with the nearest name. */
enum err_code objective_sum_parse(struct objective_sum *out, struct option_set *set,
                                  const char *text, struct err *e);
/* The same rows without their defaults: for a set that lacks the options which these set. */
enum err_code objective_sum_name(struct objective_sum *out, struct option_set *set,
                                 const char *text, struct err *e);
/* After all options are final: checks them, reads views and masks. Errors: ERR_USAGE, also where
 * objectives mask in different ways. */
enum err_code objective_sum_resolve(struct objective_sum *sum, struct err *e);
/* Whether the model can do what the objectives and their masks ask for. Errors: ERR_USAGE naming what is missing. */
enum err_code objective_sum_check(const struct objective_sum *sum, const struct model *m,
                                  struct err *e);

/* Tokens that stay visible of N at a mask ratio; at least 1, at most N - 1. */
int64_t visible_count(double mask_ratio, int64_t N);
/* A uniformly drawn set of J visible tokens and the N-J others, each ascending: a function of
 * (seed, epoch, sample, view). scratch holds N int64. */
void mask_draw(uint64_t seed, uint64_t epoch, uint64_t sample, int view, int64_t N, int64_t J,
               int32_t *visible, int32_t *masked, int64_t *scratch);

/* Records encoder and objectives for V*B signals [V*B,L,T]; input "signal", and those of masks and
 * objectives. Returns the weighted sum of the losses [1]. parts: the losses of the objectives where
 * there are several, then what they report; NULL: nothing is. */
struct tensor *objective_sum_build(const struct objective_sum *sum, struct build *b,
                                   const struct model *m, int64_t B, struct objective_parts *parts);

/* For rows: reports x [1] as "<scope>.<name>". */
void scene_report(const struct scene *s, const char *name, struct tensor *x);

/* Memory of all inputs but "signal" of a recorded tape, bound to it. */
struct objective_inputs;
/* Errors: ERR_MEMORY. Owns: caller closes with objective_inputs_close, which accepts NULL. */
enum err_code objective_inputs_open(struct objective_inputs **out, const struct objective_sum *sum,
                                    const struct backend *backend, const struct model *m,
                                    struct tape *t, struct err *e);
void objective_inputs_close(struct objective_inputs *in);
/* Draws them for a batch. Nothing is allocated. */
void objective_inputs_draw(struct objective_inputs *in, const struct draw *d);

#endif
