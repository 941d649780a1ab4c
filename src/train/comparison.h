/* Two sets of scores of the same records against each other and their labels: what another precision,
 * storage or machine costs.
 *
 * Nouns: `first` is what is compared with, `second` what is judged; a `decision` is a score at or above
 * METRIC_THRESHOLD. Only records that both score are compared. */
#ifndef ECGFM_TRAIN_COMPARISON_H
#define ECGFM_TRAIN_COMPARISON_H

#include "train/predictions.h"

struct cJSON;

struct class_comparison {
    const char *name;
    double auroc[2]; /* NaN: undefined */
    double mean_change, largest_change;
    int64_t changed; /* decisions */
};

struct comparison {
    struct arena arena;
    int64_t count;      /* records scored by both */
    int64_t only_first; /* scored by the first, refused or left out by the second */
    int64_t only_second;
    int64_t class_count;              /* K */
    struct class_comparison *classes; /* [K] */
    int64_t auroc_classes;            /* in the averages: defined for these records */
    double macro_auroc[2];
    double mean_change, largest_change; /* of |p - q| over records and classes */
    const char *largest_id, *largest_class;
    int64_t decisions, changed;
};

/* Records are matched by id, classes by name; both must have the same classes, and the same labels.
 * Owns: comparison_free, also after an error. Errors: ERR_LABELS, ERR_NOT_FOUND if no record is in
 * both, ERR_NUMERIC, ERR_MEMORY. */
enum err_code comparison_make(struct comparison *c, const struct predictions *first,
                              const struct predictions *second, struct err *e);
void comparison_free(struct comparison *c); /* accepts a zeroed struct */

/* A value by name: n, only_first, only_second, macro_auroc_first, macro_auroc_second,
 * macro_auroc_loss (first less second), mean_change, largest_change, decisions, changed,
 * same_decisions (the share that did not change). Errors: ERR_USAGE with the nearest name. */
enum err_code comparison_value(const struct comparison *c, const char *name, double *out,
                               struct err *e);

/* Caller cJSON_Deletes. */
struct cJSON *comparison_to_json(const struct comparison *c);

#endif
