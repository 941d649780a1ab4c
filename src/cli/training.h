/* What the training commands share: progress and the closing table. */
#ifndef ECGFM_CLI_TRAINING_H
#define ECGFM_CLI_TRAINING_H

#include "cli/command.h"
#include "train/series.h"

struct training_progress {
    const struct invocation *call;
    double last; /* when something was printed */
};

/* A trainer's progress as a line: often on a terminal, each epoch or ten seconds elsewhere. */
void training_progress_show(void *context, const struct trainer_progress *p);

/* Fills the parts of an experiment that come from the command line, and selects the precision. */
void training_experiment(struct invocation *call, const char *command,
                         const struct experiment_options *options,
                         struct training_progress *progress, struct experiment *x);

/* Draws the plots and writes the page of a run that is complete; a failure is a warning. */
void training_report(const char *folder);
/* Makes a series of runs and prints its table, or table.json with json. Returns the exit code. */
int training_series(struct invocation *call, const char *command, const struct adapt *given,
                    const struct series_options *options, bool json, struct err *e);

/* Prints the metrics of the test fold: a table, or metrics.json with json. */
void training_print_evaluation(const struct evaluation *ev, bool json);

#endif
