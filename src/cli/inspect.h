/* ecgfm inspect: what the command and its kinds of path share. One file for each kind. */
#ifndef ECGFM_CLI_INSPECT_H
#define ECGFM_CLI_INSPECT_H

#include <stdbool.h>

#include "cli/command.h"

struct inspect_options {
    bool json;
    bool strict;
    bool high_resolution;
    const char *samples; /* .npy to write, or NULL */
    const char *dataset; /* kind of data set, or NULL: recognized */
    const char *task;    /* whose classes are listed, or NULL: the default of the data set */
    double rate;         /* Hz, where a data set has several; 0: its default */
};

extern struct inspect_options inspect_options; /* filled before any of the functions below runs */

/* A recording: table or JSON on stdout, samples as .npy. Returns the exit code. */
int inspect_record(struct invocation *call, const char *path, struct err *e);

/* A folder: what the data set holds per class, fold and rate, who was recorded, and every problem
 * of its tables and of every recording, all of which are read. Table or JSON on stdout. Exit codes:
 * EXIT_SOME_REFUSED if an entry was left out or a recording cannot be read, EXIT_ALL_REFUSED if no
 * recording can. */
int inspect_dataset(struct invocation *call, const char *path, struct err *e);

/* A model file: contract, classes, provenance, parameter table. Text or JSON on stdout. */
int inspect_model(struct invocation *call, const char *path, struct err *e);

/* Whether a path is a zip archive, as checkpoints of PyTorch are, or a file named like one. */
bool is_checkpoint(const char *path);
/* A checkpoint of PyTorch: container, what fairseq-signals says of it, tensors. Text or JSON on
 * stdout. */
int inspect_checkpoint(struct invocation *call, const char *path, struct err *e);

#endif
