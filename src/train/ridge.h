/* Ridge regression of values on frozen features, solved exactly, with the strength of the penalty
 * chosen on a validation set.
 *
 * For every value k, over the training records where it is known, the minimum of
 *     mean_i (y_i - z_i)^2 + lambda |u|^2,  z_i = u . (x_i - mean) / std + b
 * is found by Cholesky's method for each lambda of a grid. mean and std are those of all training
 * records; the intercept b is not penalized. One lambda is chosen for all values: that with the highest
 * mean over the values of a measure (R2) on the validation records; of equal ones the strongest. Values
 * that are known for the same records one after the other share their sums and factors.
 *
 * Sums have a fixed order: results do not depend on the threads. */
#ifndef ECGFM_TRAIN_RIDGE_H
#define ECGFM_TRAIN_RIDGE_H

#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

#define RIDGE_STEPS_MAX 64

struct ridge_options {
    double lambda_min, lambda_max; /* the grid, evenly spaced in log lambda */
    int lambda_steps;              /* 1..RIDGE_STEPS_MAX; 1: lambda_min alone */
    /* Of a value's estimates for n validation records, NaN where the truth is not known: larger is
     * better, NaN: not defined. NULL: R2. */
    double (*measure)(const double *truth, const double *estimate, int64_t n);
};
#define RIDGE_DEFAULTS                                                                             \
    (struct ridge_options) { .lambda_min = 1e-4, .lambda_max = 1e2, .lambda_steps = 13 }

struct ridge_model {
    struct arena arena;
    int64_t feature_count; /* D */
    int64_t value_count;   /* K */
    float *weights;        /* [K,D] for raw features (0 for a constant feature) */
    float *biases;         /* [K] for raw features */
    double lambda;         /* chosen */
    int lambda_index, lambda_steps;
    double lambda_grid[RIDGE_STEPS_MAX]; /* falling: from strong to weak penalty */
    double validation[RIDGE_STEPS_MAX];  /* mean measure; NaN without validation records */
};

/* train_x [n_train,D], valid_x [n_valid,D]; train_y [n_train,K], valid_y [n_valid,K], NaN: not known.
 * n_valid may be 0 if the grid has one step. *out is initialized here; ridge_free, also after an error.
 * Errors: ERR_NUMERIC for a feature that is not finite (record and column); ERR_LABELS for a value that
 * is known for fewer than 2 training records, or if the measure of no value is defined;
 * ERR_MEMORY. */
enum err_code ridge_select(const float *train_x, const float *train_y, int64_t n_train,
                           const float *valid_x, const float *valid_y, int64_t n_valid,
                           int64_t feature_count, int64_t value_count,
                           const struct ridge_options *options, int threads,
                           struct ridge_model *out, struct err *e);
void ridge_free(struct ridge_model *model); /* accepts a zeroed struct */

#endif
