/* Evaluation: every metric of metrics.def for every class of some predictions, macro averages over
 * the classes where a metric is defined, bootstrap intervals, and metrics.json.
 *
 * The same predictions, draws and seed give the same bytes, whatever the threads and the day. */
#ifndef ECGFM_TRAIN_EVALUATION_H
#define ECGFM_TRAIN_EVALUATION_H

#include <stdint.h>

#include "metric/bootstrap.h"
#include "metric/joint.h"
#include "train/predictions.h"

struct cJSON;

struct class_evaluation {
    const char *name, *code;         /* copies */
    int64_t count, positives;        /* records whose label is known, and has the class */
    double values[METRIC_COUNT_MAX]; /* by row of metrics[]; NaN: undefined */
    double auroc_error;              /* standard error after DeLong; NaN: undefined */
    struct interval auroc_delong;    /* plain, cut to 0..1, at the level of the bootstrap */
    double threshold;                /* a score at or above it is a call */
    struct interval intervals[METRIC_COUNT_MAX];
    const char *undefined; /* why AUROC and its kin are not defined, or NULL */
};

struct values_evaluation;

struct named_value {
    const char *name;
    double value;
};

struct evaluation {
    struct arena arena;
    int64_t count;                    /* n records */
    int64_t class_count;              /* K */
    struct class_evaluation *classes; /* [K] */
    double macro[METRIC_COUNT_MAX];
    int64_t macro_classes[METRIC_COUNT_MAX]; /* classes in each average */
    struct interval macro_intervals[METRIC_COUNT_MAX];
    double macro_means[METRIC_COUNT_MAX]; /* of the bootstrap draws */
    double joint[JOINT_METRIC_COUNT];     /* by row of joint_metrics[] */
    struct bootstrap_options options;
    int64_t redraws, incomplete; /* see bootstrap.h */
    int64_t value_count;
    struct named_value *values; /* what evaluation_value finds */
    struct values_evaluation
        *regression; /* of values (evaluation_values.h): then there are no classes;
                                             NULL: of classes */
};

/* Owns: evaluation_free, also after an error. Errors: ERR_NUMERIC for a NaN score, ERR_LABELS for a
 * label other than 0, 1 and NaN (not known), ERR_MEMORY. */
enum err_code evaluation_make(struct evaluation *ev, const struct predictions *p,
                              const struct bootstrap_options *options, struct err *e);
/* The same with a threshold of each class [K] (NULL: METRIC_THRESHOLD). */
enum err_code evaluation_make_at(struct evaluation *ev, const struct predictions *p,
                                 const double *thresholds, const struct bootstrap_options *options,
                                 struct err *e);
/* The threshold of each class by threshold_choose on (other) predictions; NaN where it is undefined.
 * Shapes: out [K]. Errors: those of evaluation_make. */
enum err_code thresholds_choose(const struct predictions *p, const char *rule, double *out,
                                struct err *e);
void evaluation_free(struct evaluation *ev); /* accepts a zeroed struct */

/* A value by name: "n", "classes" (those with a defined AUROC), "macro_<metric>",
 * "<metric>.<class>", and with intervals "macro_auroc_low", "macro_auroc_high", "auroc_low.<class>"
 * and so on, "auroc_delong_low.<class>", "auroc_delong_high.<class>", and the rows of joint_metrics. NaN
 * if it is undefined.
 * Errors: ERR_USAGE for an unknown name, with the nearest one. */
enum err_code evaluation_value(const struct evaluation *ev, const char *name, double *out,
                               struct err *e);

/* The content of metrics.json. Caller cJSON_Deletes; NULL when out of memory. */
struct cJSON *evaluation_to_json(const struct evaluation *ev);

/* The same, then copies of the members of `extra` (NULL: none), which must have other names. */
struct cJSON *evaluation_to_json_with(const struct evaluation *ev, const struct cJSON *extra);

/* Writes evaluation_to_json_with to metrics.json, atomically. */
enum err_code evaluation_write(const struct evaluation *ev, const struct cJSON *extra,
                               const char *path, struct err *e);

#endif
