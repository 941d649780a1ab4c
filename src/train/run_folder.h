/* A run folder explains itself: config.json (each value with its source), metrics.jsonl, a checkpoint
 * while it runs, the model and its metrics at the end. Everything in it but log.txt is a function of
 * data, configuration and seed: no times, no machine names.
 *
 * One process at a time: the folder is locked while it is open. */
#ifndef ECGFM_TRAIN_RUN_FOLDER_H
#define ECGFM_TRAIN_RUN_FOLDER_H

#include <stdbool.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/err.h"

struct cJSON;

struct run_folder {
    struct arena arena;
    const char *path;
    int lock;      /* file descriptor of the folder */
    FILE *metrics; /* metrics.jsonl, NULL until run_metrics_open */
};

/* Creates the folder if need be and locks it. fresh: files of an earlier run are removed (only those
 * with our names). Errors: ERR_USAGE if another process runs in it, ERR_IO. */
enum err_code run_folder_open(struct run_folder *run, const char *path, bool fresh, struct err *e);
void run_folder_close(struct run_folder *run); /* accepts a zeroed struct */

/* Path of a file in the folder, in the run's arena. */
const char *run_path(struct run_folder *run, const char *name);
bool run_has(struct run_folder *run, const char *name);

enum err_code run_write_json(struct run_folder *run, const char *name, const struct cJSON *value,
                             struct err *e);

/* Opens metrics.jsonl and cuts it to `keep_bytes` (what the checkpoint knew of).
 * Errors: ERR_FORMAT if it is shorter than that. */
enum err_code run_metrics_open(struct run_folder *run, long keep_bytes, struct err *e);
enum err_code run_metrics_append(struct run_folder *run, const struct cJSON *line, struct err *e);
/* Flushes to disk; the length goes into the checkpoint. */
enum err_code run_metrics_sync(struct run_folder *run, long *bytes, struct err *e);

/* Appends a line with the time of day to log.txt (failures are ignored: it is talk). */
void run_log(struct run_folder *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
