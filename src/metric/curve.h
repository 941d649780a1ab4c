/* Curves over the threshold and bins over the score, for plots: what the area under the ROC curve
 * is the area of, and what the calibration error averages. All from one `ranking` (metric.h).
 *
 * Nouns: a `curve` is a list of points, one for each distinct score, by falling threshold; a
 * `reliability_bin` holds the records whose probability lies in one of the bins of equal width that
 * the metric `ece` uses.
 * Source: Fawcett 2006 (ROC), Davis and Goadrich 2006 (precision and recall), Wilson 1927
 * (intervals). */
#ifndef ECGFM_METRIC_CURVE_H
#define ECGFM_METRIC_CURVE_H

#include "metric/metric.h"

struct curve {
    int64_t count; /* points; 0: the curve is not defined */
    double *x, *y; /* [count] */
    double *
        threshold; /* [count] scores at or above it count as "yes"; infinite for the first ROC point */
};

/* 1 - specificity and sensitivity, from (0, 0) to (1, 1); the trapezoids below it sum to AUROC. Not
 * defined unless both labels occur. Owns: curve_free. Errors: ERR_MEMORY. */
enum err_code curve_roc(const struct ranking *r, struct curve *out, struct err *e);

/* Recall and precision; recall rises to 1. Precision times the step of recall to each point sums to
 * the average precision, so it is drawn as steps, not as straight lines. Not defined without
 * positives.
 * Owns: curve_free. Errors: ERR_MEMORY. */
enum err_code curve_precision_recall(const struct ranking *r, struct curve *out, struct err *e);
void curve_free(struct curve *c); /* accepts a zeroed struct */

struct reliability_bin {
    int64_t count, positives;
    double mean_score; /* NaN without records, as the others */
    double rate;       /* positives / count */
    double low, high;  /* 95 % Wilson interval of the rate */
};

/* False, with empty bins, where a score is no probability or there is no record. */
bool reliability_bins(const struct ranking *r, struct reliability_bin bins[METRIC_ECE_BINS]);

/* Wilson interval of a share of `count` at z standard deviations; NaN if count is 0. */
void wilson_interval(int64_t positives, int64_t count, double z, double *low, double *high);

#endif
