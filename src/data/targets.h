/* Tasks of any kind of data set: what the records tell of the patient, and columns of a table that
 * somebody brings.
 *
 *   sex   one class, "female"; records of unknown sex take no part
 *   age   a value in years; records of unknown age take no part, nor those whose age only says "very
 *         old" (from AGE_OPEN_YEARS on, such as PTB-XL's 300 for over 89): it is no number of years
 *
 * A table of targets is a CSV with a column that names records (record_index.h) and a column for each
 * target. An empty cell is not known. A column of classes holds 0 and 1, one of values numbers; in one
 * of categories each text is a class, and a record has exactly one. */
#ifndef ECGFM_DATA_TARGETS_H
#define ECGFM_DATA_TARGETS_H

#include "base/option.h"
#include "data/dataset.h"

#define TARGETS_MAX 4096   /* columns of a table */
#define CATEGORIES_MAX 256 /* different texts of a column */

struct target_options {
    const char *targets;        /* the table; NULL: none */
    const char *target_columns; /* "a,b,c_*" (c_*: all that begin so); NULL: all but the id */
    const char *target_kind;    /* auto | classes | values | categories */
    const char *target_id;      /* name of the column that names records; NULL: the first */
};
extern const struct option target_rows[];

struct target_report {
    int64_t rows, matched;       /* of the table; those that name a record */
    int64_t rows_without_record; /* in the data set, or several as likely */
    int64_t records_without_row;
    const char *first_row, *first_record; /* of these; in the manifest's arena */
};

/* Labels of the task "sex" or "age"; the set's memory is the manifest's arena.
 * Errors: ERR_LABELS if no record tells it. */
enum err_code sex_labels(struct manifest *m, struct label_set *out, struct err *e);
enum err_code age_labels(struct manifest *m, struct label_set *out, struct err *e);

/* Labels from the table of the options, which is there. task: how to call them (NULL: "targets").
 * Errors: those of csv_read; ERR_USAGE for columns that are not there; ERR_FORMAT with line and column for
 * what is no target, and for a record in two rows; ERR_LABELS if no record has a target. */
enum err_code targets_read(const struct target_options *options, struct manifest *m,
                           const char *task, struct label_set *out, struct target_report *report,
                           struct err *e);

/* The labels of a task: from the table if the options name one (and what became of its rows is
 * logged), else manifest_labels. */
enum err_code targets_or_labels(const struct target_options *options, struct manifest *m,
                                const char *task, struct label_set *out, struct err *e);

#endif
