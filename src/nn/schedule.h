/* Learning-rate schedules: one row each: the rate of every optimizer step, and its momentum where that goes
 * with the rate.
 *
 * Nouns: a `span` is the run that a schedule is laid over: its peak and final rate and its steps. */
#ifndef ECGFM_NN_SCHEDULE_H
#define ECGFM_NN_SCHEDULE_H

#include "base/option.h"

struct schedule_span {
    double lr, min_lr;           /* peak and final learning rate */
    int64_t warmup_steps, steps; /* of the run */
    int64_t steps_per_epoch;     /* at least 1 */
};

struct schedule {
    const char *name; /* options are <name>.* */
    const char *help;
    const struct option *options; /* only OPTION_END: none */
    size_t config_size;
    /* NULL, or checks what single bounds cannot. Errors: ERR_USAGE naming the option. */
    enum err_code (*check)(const void *config, struct err *e);
    /* The rate of a step; step is 0-based. config NULL: defaults, where there are no options. */
    double (*rate)(const void *config, const struct schedule_span *s, int64_t step);
    /* NULL, or the first moment's decay of a step; beta1 is that of the optimizer. */
    double (*momentum)(const void *config, const struct schedule_span *s, int64_t step,
                       double beta1);
};

#define SCHEDULES_MAX 8

extern const struct schedule schedules[]; /* ends with a row without name */

/* Index of a row by name, -1 if there is none. */
int schedule_find(const char *name);

#endif
