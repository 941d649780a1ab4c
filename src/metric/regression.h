/* How good estimates of values are (regression): one row per measure, with bootstrap intervals over
 * records. Only records with a known value count; a measure that is not defined is NaN.
 *
 * With truth t and estimate v: mae = mean |v - t|; rmse = sqrt mean (v - t)^2; bias = mean (v - t);
 * r2 = 1 - sum (v - t)^2 / sum (t - mean t)^2, undefined where the truth does not vary; r = Pearson's
 * correlation, undefined where either does not vary. */
#ifndef ECGFM_METRIC_REGRESSION_H
#define ECGFM_METRIC_REGRESSION_H

#include "metric/bootstrap.h"

enum {
    REGRESSION_MAE,
    REGRESSION_RMSE,
    REGRESSION_BIAS,
    REGRESSION_R2,
    REGRESSION_R,
    REGRESSION_COUNT
};
extern const struct regression_measure {
    const char *name; /* "mae" */
    const char *help;
} regression_measures[REGRESSION_COUNT];

struct regression_column {
    const double *truth;    /* [n] NaN: not known */
    const double *estimate; /* [n] finite */
};

struct regression {
    int64_t count;          /* records with a known truth, as often as they weigh */
    double mean, deviation; /* of the truth; NaN without records */
    double values[REGRESSION_COUNT];
};

/* weights: how often each of the n records counts, or NULL. Threads: safe. */
struct regression regression_of(const struct regression_column *column, int64_t n,
                                const int32_t *weights);

/* Percentile intervals of every measure for K columns of the same n records, and of their means over the
 * columns: intervals [K+1,REGRESSION_COUNT], the last row for the means. NaN without draws. Draw d is a
 * function of (seed, d). Errors: ERR_MEMORY, ERR_LIMIT. */
enum err_code regression_bootstrap(const struct regression_column *columns, int64_t K, int64_t n,
                                   const struct bootstrap_options *options,
                                   struct interval *intervals, struct err *e);

#endif
