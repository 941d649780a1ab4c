/* Classifiers of frozen features, for probes: one row each. Hyper-parameters are chosen by macro AUROC
 * on the validation records (of equal ones the simpler), and nothing else is learned from those but, where a score
 * is no log odds by itself, its scale and offset (Platt's).
 *
 * A row whose `head` is named gives that head's weights and biases: the model has them and `infer` takes it.
 * One without scores records by itself and makes no model. */
#ifndef ECGFM_TRAIN_CLASSIFIER_H
#define ECGFM_TRAIN_CLASSIFIER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

struct cJSON;

/* Features [n,F] and labels 0 or 1 [n,K]; borrowed. */
struct classifier_data {
    const float *train_x, *valid_x;
    const uint8_t *train_y, *valid_y;
    int64_t n_train, n_valid, F, K;
    const float *positive_weights; /* [K] on the loss of positives, or NULL */
    int threads;
};

struct classifier_fit {
    struct arena arena;
    float *weights, *biases; /* [K,F], [K] of the head; NULL without one */
    float *neighbours;       /* [n_train,F] of length one */
    int64_t k;               /* how many of them vote */
    struct cJSON *json; /* what metrics.json says: caller takes it or classifier_free frees it */
};

struct classifier {
    const char *name; /* --classifier NAME */
    const char *help;
    const char *head; /* a row of head_kinds; NULL: no model */
    bool weighs;      /* reads positive_weights */
    /* Errors: ERR_NUMERIC for a feature that is not finite, ERR_LABELS if no class has both labels among
     * the validation records, ERR_MEMORY. */
    enum err_code (*fit)(const struct classifier_data *d, struct classifier_fit *out,
                         struct err *e);
    /* Scores [n,K] in 0..1 of features x [n,F]; NULL where there is a head. */
    void (*score)(const struct classifier_data *d, const struct classifier_fit *fit, const float *x,
                  int64_t n, float *scores);
};

extern const struct classifier classifiers[];               /* ends with a row without name */
const struct classifier *classifier_find(const char *name); /* or NULL */
void classifier_free(struct classifier_fit *fit);           /* accepts a zeroed struct */

/* Scale a > 0 and offset b so that a s + b are the log odds of a label, by maximum likelihood with the
 * targets drawn towards a half; where scores say nothing of the labels a keeps their order and no more.
 * Source: Platt 1999; Lin, Lin and Weng 2007, algorithm 1. */
void platt_fit(const double *scores, const uint8_t *labels, int64_t n, double *a, double *b);

#endif
