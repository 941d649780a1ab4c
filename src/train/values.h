/* What training and judging a model of values takes beside what classes do: targets are learned in
 * deviations from the mean of the training records. */
#ifndef ECGFM_TRAIN_VALUES_H
#define ECGFM_TRAIN_VALUES_H

#include "train/adapt.h"

/* Means and deviations [K] of the known values of the training records go to *classes (memory of the
 * manifest's arena), and x->standardized is made with them. Errors: ERR_LABELS for a value that is known
 * for fewer than 2 training records, or does not vary among them. */
enum err_code values_scale(struct experiment *x, const int64_t *subset, int64_t count,
                           struct model_classes *classes, struct err *e);

/* Mean over the values of the explained share of variance (metric/regression.h) for records of a split
 * and outputs [count,K] of the model's head; NaN if it is nowhere defined. */
double values_macro_r2(const struct experiment *x, const struct model_classes *classes,
                       enum data_split split, const int64_t *subset, int64_t count,
                       const float *outputs);

/* The probe of values: a ridge regression of features [count,F] of the training and validation records
 * becomes the head of a->result, whose parameters "head.weight" and "head.bias" are. *extra: what
 * metrics.json says of it. Errors: those of ridge_select. */
enum err_code values_probe(struct adapt *a, const struct adapt_data *data, const float *train,
                           const float *valid, struct cJSON **extra, struct err *e);

#endif
