/* Between series.c and series_table.c: what is known of the runs. */
#ifndef ECGFM_TRAIN_SERIES_RUN_H
#define ECGFM_TRAIN_SERIES_RUN_H

#include "train/series.h"

struct series_run {
    const char *name;   /* of its folder in OUT */
    const char *folder; /* OUT/name */
    const struct series_method *method;
    const char *task;
    double fraction; /* 1: all labels */
    uint64_t seed;
    /* The outcome. */
    bool done;
    bool of_values;     /* a task of values: the score is R2 */
    const char *reason; /* of a failure; NULL: none */
    int64_t records, training_records, classes, classes_defined;
    const char *undefined; /* names of classes without both labels, "a, b"; NULL: none */
    double value;          /* macro AUROC, or R2 of values; NaN: not defined */
    int64_t incomplete;    /* draws of the published interval that lack a class */
    struct interval interval;
};

enum series_axis { AXIS_METHOD, AXIS_TASK, AXIS_FRACTION };

/* What varies over rows and columns, and how a cell is written. */
struct series_layout {
    enum series_axis row, column;
    bool published; /* ".925(07)", of the interval of the PTB-XL benchmark; else 95 % intervals */
};
struct series_layout series_layout(const struct run_series *s);

/* The place of a run on an axis, in text of the series' arena: "finetune", "super", "1 %". */
const char *series_label(struct run_series *s, const struct series_run *r, enum series_axis axis);

/* Reads what a run left in its folder. Errors: those of json_read and predictions_read, ERR_FORMAT. */
enum err_code series_read(struct run_series *s, struct series_run *r, struct err *e);

/* Makes s->table and s->text from the runs that are done or failed, and writes the three files. */
enum err_code series_write(struct run_series *s, struct err *e);

#endif
