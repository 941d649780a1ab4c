/* What a run folder holds, read for a report: config.json, metrics.json, metrics.jsonl,
 * predictions.csv, quarantine.csv, and table.json of a series of runs. Every file is hostile. One
 * that is missing is simply not there; one that is broken is left out, and a note says why, so that
 * a report can be made of the rest. */
#ifndef ECGFM_REPORT_RUN_FILES_H
#define ECGFM_REPORT_RUN_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "format/csv.h"
#include "metric/metric.h"
#include "train/predictions.h"

struct cJSON;

#define RUN_COLUMNS_MAX 64
#define RUN_NOTES_MAX 16

/* One member of the lines of metrics.jsonl. */
struct run_column {
    const char *name;
    double *values; /* [line_count], NaN where a line lacks it */
    int64_t known;  /* values that are numbers */
};

struct run_note {
    const char *file, *reason;
};

struct run_files {
    struct arena arena;
    const char *path;
    struct cJSON *config, *metrics, *table; /* NULL: not there */
    struct cJSON *member;                   /* config.json of the first run of a series */
    int64_t line_count;                     /* of metrics.jsonl */
    struct run_column columns[RUN_COLUMNS_MAX];
    int column_count;
    bool has_predictions, has_values; /* of classes, of values; never both */
    struct predictions predictions;
    struct ranking *rankings; /* [class_count] of classes */
    bool has_quarantine;
    struct csv quarantine;
    struct run_note notes[RUN_NOTES_MAX]; /* files that are broken */
    int note_count;
};

/* Reads what there is. *out is initialized here; run_files_free, also after an error.
 * Errors: ERR_NOT_FOUND if there is no folder, or none of these files in it; ERR_MEMORY. */
enum err_code run_files_read(struct run_files *out, const char *path, struct err *e);
void run_files_free(struct run_files *r); /* accepts a zeroed struct */

/* The folder of a run of a series (an item of its table's "runs"), in the arena; NULL if it is not
 * there, or its name is no plain name of a folder. */
const char *run_member_folder(const struct run_files *r, const struct cJSON *run, struct arena *a);

/* The column of a name, or NULL. */
const struct run_column *run_column_find(const struct run_files *r, const char *name);

/* A member of a JSON object by a path such as "data.title": text or number; NULL or NaN if it is
 * not there or of another kind. object may be NULL. */
const struct cJSON *json_at(const struct cJSON *object, const char *path);
const char *json_text_at(const struct cJSON *object, const char *path);
double json_number_at(const struct cJSON *object, const char *path);

#endif
