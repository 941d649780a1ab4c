/* Bootstrap intervals: records are drawn with replacement, the metrics are computed anew for each
 * draw, and an interval is the central share of the draws (percentile method).
 *
 * A draw in which some class has lost one of its labels is drawn again, a bounded number of times;
 * if the bound is met, the classes concerned are left out of that draw, and the draw is counted as
 * incomplete. Classes that lack a label in the full data take no part.
 * Draw d, attempt a is a function of (seed, d, a): threads do not change it.
 * Source: methods of the PTB-XL benchmark (Strodthoff 2020), there with 100 draws, level 0.9 and no
 * bound (BOOTSTRAP_PTBXL). */
#ifndef ECGFM_METRIC_BOOTSTRAP_H
#define ECGFM_METRIC_BOOTSTRAP_H

#include "metric/metric.h"

/* Records drawn at most by redraw_max beyond BOOTSTRAP_REDRAWS_MIN: where classes are rare, draws without
 * end would never have all of them. Left out is told by `incomplete`. */
#define BOOTSTRAP_DRAWN_MAX INT64_C(400000000)
#define BOOTSTRAP_REDRAWS_MIN 100

struct bootstrap_options {
    int64_t draws;  /* 0: no intervals */
    double level;   /* share of the draws inside the interval: 0.95 */
    int redraw_max; /* per draw; fewer where BOOTSTRAP_DRAWN_MAX says so */
    uint64_t seed;
    int threads;
};
#define BOOTSTRAP_DEFAULTS                                                                         \
    (struct bootstrap_options)                                                                     \
    {                                                                                              \
        .draws = 1000, .level = 0.95, .redraw_max = 100, .seed = 0, .threads = 1                   \
    }

#define BOOTSTRAP_PTBXL                                                                            \
    (struct bootstrap_options)                                                                     \
    {                                                                                              \
        .draws = 100, .level = 0.9, .redraw_max = 1000000, .seed = 0, .threads = 1                 \
    }

struct interval {
    double low, high; /* NaN if there is none */
};

struct bootstrap {
    int64_t class_count;        /* K */
    struct interval *intervals; /* [metric_count(), K], of the metrics that ask for one */
    struct interval macro[METRIC_COUNT_MAX];
    double macro_mean[METRIC_COUNT_MAX]; /* of the draws; NaN if there is none */
    double *p;                           /* [metric_count(), K], of a difference: see below */
    double macro_p[METRIC_COUNT_MAX];
    int64_t redraws;    /* draws thrown away in all */
    int64_t incomplete; /* draws that had to leave a class out */
};

/* How often one draw of so many records may be drawn again. */
int bootstrap_redraws(const struct bootstrap_options *options, int64_t record_count);

/* rankings [K] are of the same records. Owns: bootstrap_free. Errors: ERR_MEMORY. */
enum err_code bootstrap_run(struct bootstrap *b, const struct ranking *rankings,
                            int64_t class_count, const struct bootstrap_options *options,
                            struct err *e);
/* Paired: the intervals are those of the difference of each metric, second less first, where both are of
 * the same records with the same labels and each draw is one for both. Both are [K,scorings]: of several
 * scorings a side, what differs is the mean of their metrics. p is two-sided, twice the share of
 * draws that lie at 0 or beyond on the rarer side, with one counted that is not there, so that it is never 0:
 * min(1, 2 (1 + min(#<=0, #>=0)) / (1 + #)). Errors: ERR_MEMORY. */
enum err_code bootstrap_difference(struct bootstrap *b, const struct ranking *first,
                                   const struct ranking *second, int64_t scorings,
                                   int64_t class_count, const struct bootstrap_options *options,
                                   struct err *e);
void bootstrap_free(struct bootstrap *b); /* accepts a zeroed struct */

/* The q-th quantile of sorted values, linear between neighbours; NaN if count is 0. */
double quantile_sorted(const double *values, int64_t count, double q);
/* The central share `level` of draws that have a value; NaN if none has. Reorders them. */
struct interval draws_interval(double *draws, int64_t count, double level);

/* The half of an interval that is the longer one, in thousandths, as tables of the PTB-XL benchmark show
 * it: ".925(07)"; "-" without a value. */
#define INTERVAL_TEXT_BYTES 32
void interval_to_text(double value, struct interval interval, char out[INTERVAL_TEXT_BYTES]);

#endif
