/* Evaluation of values (regression): every measure of metric/regression.h for each value, their means
 * over the values, bootstrap intervals. Part of `struct evaluation`; for evaluation.c. */
#ifndef ECGFM_TRAIN_EVALUATION_VALUES_H
#define ECGFM_TRAIN_EVALUATION_VALUES_H

#include "metric/regression.h"
#include "train/evaluation.h"

struct value_evaluation {
    const char *name;      /* copy */
    struct regression all; /* of the records whose value is known */
    struct interval intervals[REGRESSION_COUNT];
    const char *undefined; /* why r2 and r are not defined, or NULL */
};

struct values_evaluation {
    int64_t count; /* K */
    struct value_evaluation *items;
    double macro[REGRESSION_COUNT]; /* means over the values where a measure is defined */
    struct interval macro_intervals[REGRESSION_COUNT];
};

/* Fills ev->regression, and what evaluation_value finds: "n", "mae" and so on where there is one value,
 * "macro_mae", "mae.<value>", and with _low and _high the ends of intervals. ev is begun as by
 * evaluation_make. Errors: ERR_NUMERIC for an estimate that is not finite, ERR_MEMORY. */
enum err_code evaluation_values_make(struct evaluation *ev, const struct predictions *p,
                                     struct err *e);

/* Adds the members of metrics.json, up to "undefined". */
void evaluation_values_to_json(const struct evaluation *ev, struct cJSON *json);

/* Of evaluation.c: what evaluation_value finds, one more. Its name is prefix and name, then "." and
 * `of` unless that is NULL; the ends of an interval have "_low" and "_high" before the ".".
 * Errors: ERR_MEMORY. */
enum err_code evaluation_value_add(struct evaluation *ev, const char *prefix, const char *name,
                                   const char *of, double value, struct err *e);
enum err_code evaluation_ends_add(struct evaluation *ev, const char *prefix, const char *name,
                                  const char *of, struct interval interval, struct err *e);

/* Adds "<prefix><name>" and, unless interval is NULL, "<prefix><name>_ci": two ends, or null. */
void evaluation_measure_put(struct cJSON *object, const char *prefix, const char *name,
                            double value, const struct interval *interval);

#endif
