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
};

extern struct inspect_options inspect_options; /* filled before any of the functions below runs */

/* A recording: table or JSON on stdout, samples as .npy. Returns the exit code. */
int inspect_record(struct invocation *call, const char *path, struct err *e);

#endif
