/* Label names of published models, and those of a file: a checkpoint of fairseq-signals holds a head
 * but not what its outputs mean. */
#ifndef ECGFM_MODEL_LABELS_H
#define ECGFM_MODEL_LABELS_H

#include "model/aggregate.h"
#include "model/model.h"

struct label {
    const char *name, *code, *title;
    const char
        *aggregation; /* of the windows of a record: mean, max (of probabilities), mean_logit */
    double positive_weight; /* in training; 0: unknown */
};

/* The labels of one published model, in the order of its outputs (labels.def). */
struct label_table {
    const char *task, *code_system, *source;
    int64_t count;
    const struct label *labels;
};

extern const struct label_table label_tables[]; /* ends with a NULL task */

/* The table with that many labels, or NULL. */
const struct label_table *label_table_find(int64_t count);

/* Classes as the table says; memory is the arena's. */
void label_table_classes(const struct label_table *t, struct arena *a, struct model_classes *out);
/* Classes of a table in CSV with the column `name`, and where there, code, title, aggregation,
 * threshold; other columns (label_def.csv of fairseq-signals has some) do not matter.
 * Errors: those of csv_read; ERR_LABELS with the line: no name, a name twice, an unknown aggregation, a
 * threshold outside 0 to 1. */
enum err_code labels_read(const char *path, struct arena *a, struct model_classes *out,
                          struct err *e);

#endif
