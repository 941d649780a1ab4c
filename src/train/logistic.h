/* Logistic regression, one class against the rest, for probes of frozen features: solved to
 * convergence, with the strength of the penalty chosen on a validation set.
 *
 * For every class k the optimum of
 *     mean_i w_i [ log(1 + exp(z_i)) - y_i z_i ] + |u|^2 / (2 C n),  z_i = u . (x_i - mean) / std + b
 * (w_i is 1, or the class's weight of positives where y_i is 1) is found by L-BFGS, from the strongest penalty (smallest C) to the weakest, each start being the
 * optimum before it. mean and std are those of the training records; the intercept b is not
 * penalized. C is as in scikit-learn (penalty |u|^2 / 2, loss C times the sum), and one C is chosen
 * for all classes: the one with the highest macro AUROC on the validation records; of equal ones,
 * the strongest penalty.
 *
 * Each class is solved by one thread in a fixed order: results do not depend on the threads.
 * Source: Nocedal and Wright 2006, algorithms 7.4 and 7.5 (L-BFGS), 3.5 (line search). */
#ifndef ECGFM_TRAIN_LOGISTIC_H
#define ECGFM_TRAIN_LOGISTIC_H

#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

#define LOGISTIC_STEPS_MAX 64

struct logistic_options {
    double c_min, c_max; /* the grid, evenly spaced in log C */
    int c_steps;         /* 1..LOGISTIC_STEPS_MAX; 1: c_min alone */
    double tolerance;    /* on the largest entry of the gradient of the mean above */
    int iteration_max;   /* for one class and one C */
    const float
        *positive_weights; /* [K] factors on the terms of positive records, above 0; NULL: 1 */
};
#define LOGISTIC_DEFAULTS                                                                          \
    (struct logistic_options)                                                                      \
    {                                                                                              \
        .c_min = 1e-4, .c_max = 1e2, .c_steps = 13, .tolerance = 1e-7, .iteration_max = 10000      \
    }

struct logistic_model {
    struct arena arena;
    int64_t feature_count; /* D */
    int64_t class_count;   /* K */
    float *weights;        /* [K,D] for raw features: u / std (0 for a constant feature) */
    float *biases;         /* [K] for raw features: b - sum(u mean / std) */
    double *means, *stds;  /* [D] of the training features */

    double c; /* chosen */
    int c_index, c_steps;
    double c_grid[LOGISTIC_STEPS_MAX];           /* rising: from strong to weak penalty */
    double validation_auroc[LOGISTIC_STEPS_MAX]; /* macro; NaN without validation records */
    int64_t validation_classes;                  /* classes in that average */

    int64_t *positives; /* [K] among the training records */
    uint8_t *constant;  /* [K] 1: one label only in training; weights 0, bias at clipped log odds */
    int *iterations;    /* [K] at the chosen C */
    double *gradient_norms; /* [K] largest entry at the solution, at the chosen C */
    int64_t iterations_all; /* over all classes and C */
};

/* train_x [n_train,D], valid_x [n_valid,D]; train_y [n_train,K], valid_y [n_valid,K] 0 or 1.
 * n_valid may be 0 if the grid has one step. *out is initialized here; logistic_free, also after an
 * error.
 * Errors: ERR_NUMERIC for a feature that is not finite (record and column), or if a class does not
 * converge (class, C, gradient); ERR_LABELS without a training record, for a label that is not 0 or
 * 1, or if no class has both labels among the validation records; ERR_USAGE for options out of
 * range; ERR_MEMORY. */
enum err_code logistic_select(const float *train_x, const uint8_t *train_y, int64_t n_train,
                              const float *valid_x, const uint8_t *valid_y, int64_t n_valid,
                              int64_t feature_count, int64_t class_count,
                              const struct logistic_options *options, int threads,
                              struct logistic_model *out, struct err *e);
void logistic_free(struct logistic_model *model); /* accepts a zeroed struct */

/* Probabilities scores [n,K] of raw features x [n,D]. */
void logistic_predict(const struct logistic_model *model, const float *x, int64_t n, float *scores);

#endif
