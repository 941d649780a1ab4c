/* How good scores are: one row per metric (metrics.def, metric_*.c), all computed from one sorted
 * view, so that a bootstrap draw costs one pass and no sort.
 *
 * Nouns: a `ranking` is one class's scores and labels sorted by falling score; `weights` say how
 * often each record counts (a bootstrap draw; NULL: once each); a `confusion` is the four counts at
 * a threshold. A value that is not defined is NaN, never a stand-in such as 0.5. */
#ifndef ECGFM_METRIC_METRIC_H
#define ECGFM_METRIC_METRIC_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define METRIC_THRESHOLD 0.5 /* a score at or above it counts as "yes", unless told otherwise */
#define METRIC_ECE_BINS 15
#define METRIC_COUNT_MAX 24 /* rows of metrics.def */

#define RANKING_UNKNOWN 255 /* as a label: the record takes no part */

struct ranking {
    int64_t count;       /* records with a label */
    int64_t given_count; /* those without, too: all that a bootstrap draws from */
    int64_t positives;
    bool probabilities; /* all scores lie in 0..1 */
    double threshold;   /* METRIC_THRESHOLD; the caller may set another */
    int32_t *records;   /* [count] record at this rank; ties by rising record */
    double *scores;     /* [count] falling */
    uint8_t *labels;    /* [count] 0 or 1 */
    uint8_t *last;      /* [count] 1 at the last rank of a run of equal scores */
};

/* Sorts the scores of one class. labels are 0, 1 or RANKING_UNKNOWN. Owns: ranking_free.
 * Errors: ERR_NUMERIC for a NaN score, ERR_LABELS for another label, ERR_LIMIT, ERR_MEMORY. */
enum err_code ranking_init(struct ranking *r, const double *scores, const uint8_t *labels,
                           int64_t count, struct err *e);
void ranking_free(struct ranking *r); /* accepts a zeroed struct */
/* Both labels occur: AUROC and its kin are defined. */
bool ranking_has_both(const struct ranking *r);

/* How often the record at this rank counts. */
static inline int64_t rank_weight(const struct ranking *r, const int32_t *weights, int64_t rank)
{
    return weights ? weights[r->records[rank]] : 1;
}

struct metric {
    const char *name; /* "auroc" */
    const char *help; /* one sentence */
    bool higher_is_better;
    bool interval; /* a bootstrap interval is worth its time */
    bool common;   /* a column of the table unless others are asked for */
    /* weights [count] by record, or NULL. NaN where it is not defined. Threads: safe. */
    double (*compute)(const struct ranking *r, const int32_t *weights);
};

extern const struct metric *const metrics[]; /* NULL-terminated, from metrics.def */
int metric_count(void);
int metric_index(const char *name); /* -1 if there is none of this name */

#define METRIC(name) extern const struct metric metric_##name;
#include "metric/metrics.def"
#undef METRIC

struct confusion {
    int64_t true_positives, false_positives, true_negatives, false_negatives;
};
struct confusion confusion_at(const struct ranking *r, const int32_t *weights, double threshold);
double confusion_sensitivity(struct confusion c); /* NaN without positives */
double confusion_specificity(struct confusion c); /* NaN without negatives */
double confusion_precision(struct confusion c);   /* NaN if nothing was called positive */
/* (1 + b^2) TP / ((1 + b^2) TP + b^2 FN + FP); NaN without positives. */
double confusion_fbeta(struct confusion c, double beta);
/* TP / (TP + FP + b FN); NaN without positives. Source: CPSC 2018, as the PTB-XL benchmark has it. */
double confusion_gbeta(struct confusion c, double beta);
/* NaN unless both labels occur. */
double confusion_balanced_accuracy(struct confusion c);
/* Matthews correlation, NaN unless both labels occur; 0 where all are called alike, as scikit-learn has
 * it. */
double confusion_matthews(struct confusion c);
/* The best sensitivity at any threshold that leaves at least this specificity, and the reverse; no
 * interpolation. NaN unless both labels occur. */
double sensitivity_at_specificity(const struct ranking *r, const int32_t *weights,
                                  double specificity);
double specificity_at_sensitivity(const struct ranking *r, const int32_t *weights,
                                  double sensitivity);

/* The score at or above which to call a class, by a rule: "f1", "f2", "g2" (the best of that measure) or
 * "youden" (sensitivity + specificity); the highest of several that are as good. NaN unless both labels
 * occur. Source: thresholds of the PTB-XL benchmark (youden, g2). */
double threshold_choose(const struct ranking *r, const char *rule);

/* Variance of the AUROC estimate. NaN unless both labels occur at least twice.
 * Source: DeLong 1988; Sun and Xu 2014. */
double auroc_variance(const struct ranking *r);

/* Mean of the values that are defined, and how many those are; NaN if none is. */
double macro_average(const double *values, int64_t count, int64_t *defined);

#endif
