/* Running a model over windows of signal, and over whole records.
 *
 * A record is scored in windows of the model's length, as its contract cuts them; features are means
 * over its windows, logits what aggregate.h makes of them for each class. A record's numbers are the
 * same bits whatever else is scored with it and on any number of threads. Who wants to see single
 * windows, their tokens or what they attend to asks for a visit of each. */
#ifndef ECGFM_MODEL_SCORER_H
#define ECGFM_MODEL_SCORER_H

#include "model/model.h"

struct scorer;

/* Which windows a scorer takes, and what it gives of each beside features and logits. */
struct scorer_options {
    int64_t sample_count; /* T of a window; 0: the contract's. Another only where model_takes it */
    bool lengths;         /* what follows a record's valid samples is padding */
    bool tokens;          /* the encoder's output */
    bool saliency;        /* what the last layer attends to, in short */
    bool attention;       /* what every layer attends to */
};

/* m and values (NULL: the model's, from its slab or its open file) are borrowed; options NULL: none.
 * What products read is packed on the way (graph/weights.h): after a change of values in place, tell
 * the scorer. Errors: ERR_MODEL for options that the model cannot fulfil, ERR_LIMIT, ERR_MEMORY; close
 * it also then. Threads: one scorer, one thread. */
enum err_code scorer_open(struct scorer **out, const struct model *m, const float *values,
                          struct err *e);
enum err_code scorer_open_for(struct scorer **out, const struct model *m, const float *values,
                              const struct scorer_options *options, struct err *e);
void scorer_close(struct scorer *s); /* accepts NULL */
/* The values changed; without this call runs go on with a mixture of old and new ones. */
void scorer_weights_changed(struct scorer *s);

/* windows [n,L,T] -> features [n,F] and logits [n,K]; either may be NULL. Not for scorers that are given
 * lengths. */
void scorer_run(struct scorer *s, const float *windows, int64_t n, float *features, float *logits);

/* The tape that scorer_run uses for a full batch of n windows (borrowed), or NULL if n is no size of
 * batch: for measuring. */
struct tape *scorer_tape(struct scorer *s, int64_t n);

int64_t scorer_feature_count(const struct scorer *s); /* F */
int64_t scorer_token_count(const struct scorer *s);   /* N of a window */
int64_t scorer_attention_layers(
    const struct scorer *s); /* 0 unless saliency or attention is asked */

/* One converted record and where its results go. */
struct scored {
    const float *x; /* [L,samples] */
    int64_t samples;
    int64_t length;  /* with lengths: valid samples, 1..T; such a record is one window */
    float *features; /* [F], or NULL */
    float *logits;   /* [K], or NULL */
    enum err_code
        code; /* out: ERR_OK, ERR_LENGTH (too short), ERR_NUMERIC (a result is not finite, as all are
                 where the model has a value that is not) */
};

/* What a scorer gives of one window; borrowed until the visit returns. */
struct window {
    const struct scored *record;
    int64_t index, count, start; /* which of the record's windows, and its first sample */
    const float *features;       /* [F] */
    const float *logits;         /* [K]; NULL without a head */
    const float *tokens;         /* [N,D]; NULL unless asked for, as what follows */
    const float *saliency; /* [N]: the most that a token attends to one token in the last layer,
                                      weights averaged over the heads */
    const float *const *attention; /* [layers] of [N,N]: these weights in every layer */
};

/* Calls visit for each window of scorer_records, record by record and in order. When the last window of a
 * record is visited, the record's results are there. NULL: nobody visits. */
void scorer_visit(struct scorer *s, void (*visit)(void *context, const struct window *w),
                  void *context);

/* Scores n records, their windows packed into full batches. */
void scorer_records(struct scorer *s, struct scored *records, int64_t n);
/* One sentence for a code of scorer_records. */
void scored_explain(const struct scorer *s, const struct scored *r, struct err *e);

/* 1 / (1 + exp(-logit)), computed in double. */
float score_from_logit(float logit);
/* What output k of a head stands for: the probability of a class, or a value in its unit. */
float score_from_output(const struct model_classes *c, int64_t k, float output);

#endif
