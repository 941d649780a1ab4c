/* Running a model over windows of signal, and over whole records.
 *
 * A record is scored in windows of the model's length that cover it evenly with at least half overlap
 * (one window if it has just that length); logits and features are means over its windows. A record's
 * numbers are the same bits whatever else is scored with it and on any number of threads. */
#ifndef ECGFM_MODEL_SCORER_H
#define ECGFM_MODEL_SCORER_H

#include "model/model.h"

struct scorer;

/* m and values (NULL: the model's, from its slab or its open file) are borrowed. What products read is
 * packed on the way (graph/weights.h): after a change of values in place, tell the scorer.
 * Threads: one scorer, one thread. */
enum err_code scorer_open(struct scorer **out, const struct model *m, const float *values,
                          struct err *e);
void scorer_close(struct scorer *s); /* accepts NULL */
/* The values changed; without this call runs go on with a mixture of old and new ones. */
void scorer_weights_changed(struct scorer *s);

/* windows [n,L,T] -> features [n,F] and logits [n,K]; either may be NULL. */
void scorer_run(struct scorer *s, const float *windows, int64_t n, float *features, float *logits);

/* The tape that scorer_run uses for a full batch of n windows (borrowed), or NULL if n is no size of
 * batch: for measuring. */
struct tape *scorer_tape(struct scorer *s, int64_t n);

int64_t scorer_feature_count(const struct scorer *s); /* F */

/* Windows of a record of `samples` samples: count, and the start of each. 0 if it is too short. */
int64_t window_count(const struct contract *c, int64_t samples);
int64_t window_start(const struct contract *c, int64_t samples, int64_t i);

/* One converted record and where its results go. */
struct scored {
    const float *x; /* [L,samples] */
    int64_t samples;
    float *features; /* [F], or NULL */
    float *logits;   /* [K], or NULL */
    enum err_code
        code; /* out: ERR_OK, ERR_LENGTH (too short), ERR_NUMERIC (a result is not finite, as all are
                 where the model has a value that is not) */
};

/* Scores n records, their windows packed into full batches. */
void scorer_records(struct scorer *s, struct scored *records, int64_t n);
/* One sentence for a code of scorer_records. */
void scored_explain(const struct scorer *s, const struct scored *r, struct err *e);

/* 1 / (1 + exp(-logit)), computed in double. */
float score_from_logit(float logit);

#endif
