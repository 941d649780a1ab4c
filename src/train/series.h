/* A series: several runs of finetune and probe with what one command line says, each in its own folder
 * OUT/NAME, and one table of them all: tasks, methods, seeds and fractions of the labels.
 *
 * Nouns: a `method` is one way to come to a score (a row of series_methods); a `run` is one method on one
 * task with one seed and fraction: a struct adapt and an option set of its own, filled from what the
 * command was given and what makes the run different. So its folder is the one that the single command
 * leaves. A run that is complete with the same settings, data and weights is skipped; one that was
 * interrupted goes on.
 *
 * In OUT: table.json (below), table.csv (a line for each run) and table.md, which is also what the command
 * prints. In table.json:
 *   {"series": "benchmark", "metric": "macro_auroc", "layout": "published" | "interval",
 *    "interval": {"level": 0.9, "draws": 100}, "row": "method", "column": "task",
 *    "rows": ["finetune", ...], "columns": ["all", ...],
 *    "cells": [{"row", "column", "task", "method", "metric", "fraction", "training_records", "seeds",
 *               "value", "low", "high" (means over the seeds), "smallest", "largest", "text",
 *               "classes", "classes_defined"}, ...],
 *    "runs":  [{"name", "row", "column", "task", "method", "weights", "fraction", "seed", "state",
 *               "training_records", "n", "value", "low", "high", ...}, ...],
 *    "notes": ["form: macro over 12 of 19 classes: ..."]}
 * "row" and "column" are each of "method", "task", "fraction"; value, low and high are null where there is
 * none; "state" is done, or failed with a "reason". */
#ifndef ECGFM_TRAIN_SERIES_H
#define ECGFM_TRAIN_SERIES_H

#include "base/buf.h"
#include "train/adapt.h"

struct series_options {
    const char *tasks;   /* of benchmark: "a,b"; NULL: those of the data set's published table */
    const char *methods; /* of benchmark: names of rows with commas; NULL: finetune */
    const char
        *fractions; /* of the labels, "0.01,1"; NULL: all labels, or with curve the usual four */
    int64_t seeds;  /* how many, from the command's on */
    bool curve, controls;
};
extern const struct option series_rows[];    /* of finetune and probe */
extern const struct option benchmark_rows[]; /* of benchmark */

struct series_method {
    const char *name, *help;
    bool untrained;       /* the network of --weights with random values */
    const char *settings; /* "key=value ..." that make the method */
    const char *command;  /* whose run it is */
    void (*options)(struct adapt *a, struct option_set *set);
    enum err_code (*run)(struct adapt *a, struct err *e);
};
extern const struct series_method series_methods[]; /* ends with a row without name */

/* Does finetune or probe do more than one run? */
bool series_wanted(const struct series_options *o);

struct run_series {
    /* The caller's. */
    const char *command;          /* benchmark, finetune or probe */
    const struct option_set *set; /* of the command; each run takes from it what it knows */
    const struct adapt *given;    /* the values of that set */
    const struct series_options *options;
    uint64_t seed;
    int threads;
    void *progress_context;
    void (*progress)(void *context, const struct trainer_progress *p);
    void (*finished)(const char *folder); /* a run, and in the end OUT; NULL: nothing */
    /* Ours. */
    struct arena arena;
    struct series_run *runs;
    int64_t count;
    struct cJSON *table;
    struct buf text; /* of table.md */
};

/* Makes all runs and the table. Tasks and methods are checked before the first one begins.
 * A run that fails for its labels or numbers is told in the table, and the others go on; then, or after an
 * interruption, the table is of the runs that are there.
 * Errors: ERR_USAGE, ERR_INTERRUPTED (call again to go on; a signal during a probe takes effect after it),
 * those of the runs. */
enum err_code series_make(struct run_series *s, struct err *e);
void series_free(struct run_series *s); /* accepts a zeroed struct */

#endif
