/* Two scorings of the same records: is the difference of their AUROCs more than chance?
 *
 * Nouns: the `difference` is second less first; a `placement` of a positive is the share of negatives
 * scored below it (ties half), of a negative the share of positives scored above it: both average to
 * the AUROC. For averages over classes see bootstrap_difference (bootstrap.h).
 * Source: DeLong 1988; Sun and Xu 2014. */
#ifndef ECGFM_METRIC_PAIRED_H
#define ECGFM_METRIC_PAIRED_H

#include "metric/bootstrap.h"

/* Shapes: out [given_count], by record; records without a label are left as they are. NaN unless both
 * labels occur. */
void auroc_placements(const struct ranking *r, double *out);

struct delong {
    double difference;        /* of the AUROCs; NaN: undefined */
    double error;             /* its standard error; NaN: undefined */
    struct interval interval; /* difference -+ quantile * error, not bounded to -1..1 */
    double p;                 /* two-sided; NaN: undefined */
};

/* All rankings, `scorings` a side, are of the same records with the same labels, all known (a BUG otherwise).
 * Of several, what differs is the mean of their AUROCs, and a record's placement is the mean of its
 * placements: DeLong's variance is that of a mean of placements whatever they are. The standard error is
 * undefined unless both labels occur at least twice; where it is 0, p is 1 for no difference, and
 * undefined for any other. Errors: ERR_MEMORY. */
enum err_code delong_compare(struct delong *out, const struct ranking *first,
                             const struct ranking *second, int64_t scorings, double level,
                             struct err *e);

/* Interval of one AUROC with this standard error: plain (value -+ quantile * error), cut to 0..1. */
struct interval delong_interval(double auroc, double error, double level);

/* The value that a standard normal variable exceeds with probability (1 - level) / 2; level 0..1. */
double normal_quantile_of_level(double level);

#endif
