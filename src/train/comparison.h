/* Two sets of scores of the same records against each other and their labels: whether one model is
 * better than another, and what another precision, storage or machine costs. Of a way to train there may be
 * several runs a side, such as of several seeds: what is compared is the mean of their AUROCs, not the AUROC of
 * their mean, which is another model. Records are what chance has drawn; runs are taken as they are, so what
 * other seeds would give is not in an interval.
 *
 * Nouns: `first` is what is compared with, `second` what is judged; a `difference` is second less first;
 * a `decision` is a score at or above METRIC_THRESHOLD; a `pair` is a run of the first and one of the second,
 * one unless there are several. Only records that both sides score are compared.
 * Differences of one class's AUROC are tested after DeLong, averages over classes by the paired
 * bootstrap (metric/paired.h, metric/bootstrap.h). */
#ifndef ECGFM_TRAIN_COMPARISON_H
#define ECGFM_TRAIN_COMPARISON_H

#include "metric/paired.h"
#include "train/predictions.h"

struct cJSON;

/* Runs of the same records and classes, in any order. */
struct comparison_side {
    int64_t count;
    const char **names;       /* [count] such as paths, for messages */
    struct predictions *runs; /* [count] */
};

struct class_comparison {
    const char *name;
    double auroc[2]; /* NaN: undefined */
    struct delong difference;
    double mean_change, largest_change;
    int64_t changed; /* decisions */
};

struct comparison {
    struct arena arena;
    int64_t pairs;
    int64_t count;      /* records scored by both */
    int64_t only_first; /* scored by the first, refused or left out by the second */
    int64_t only_second;
    int64_t class_count;              /* K */
    struct class_comparison *classes; /* [K] */
    int64_t auroc_classes;            /* in the averages: defined for these records */
    double macro_auroc[2], macro_auprc[2];
    struct bootstrap_options options;
    struct interval macro_auroc_interval, macro_auprc_interval; /* of the differences */
    double macro_auroc_p, macro_auprc_p;
    double mean_change, largest_change; /* of |p - q| over records and classes */
    const char *largest_id, *largest_class;
    int64_t decisions, changed;
};

/* Both sides have as many runs, at least one. Records are matched by id, classes by name; all must have the
 * same classes and labels, all known, and runs of a side the same records. Changes of scores are those from
 * the i-th run of the first to the i-th of the second.
 * options are those of the paired bootstrap; their level is also that of DeLong's intervals. Owns:
 * comparison_free, also after an error. Errors: ERR_LABELS, ERR_NOT_FOUND if no record is in both or one is not
 * in all runs of its side, ERR_NUMERIC, ERR_MEMORY. */
enum err_code comparison_make(struct comparison *c, const struct comparison_side *first,
                              const struct comparison_side *second,
                              const struct bootstrap_options *options, struct err *e);
void comparison_free(struct comparison *c); /* accepts a zeroed struct */

/* A value by name: n, pairs, only_first, only_second, macro_auroc_first, macro_auroc_second,
 * macro_auroc_loss (first less second), macro_auroc_difference (second less first) and its _low, _high
 * and _p, the same of macro_auprc, and of a class auroc_difference.CLASS, auroc_difference_low.CLASS,
 * auroc_difference_high.CLASS and auroc_difference_p.CLASS; mean_change, largest_change, decisions, changed,
 * same_decisions (the share that did not change). Errors: ERR_USAGE with the nearest name. */
enum err_code comparison_value(const struct comparison *c, const char *name, double *out,
                               struct err *e);

/* Caller cJSON_Deletes. */
struct cJSON *comparison_to_json(const struct comparison *c);

#endif
