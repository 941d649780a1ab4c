/* A random span set to zero in all leads at once.
 * Source: TimeOut in Mehari and Strodthoff 2022, doi:10.1016/j.compbiomed.2021.105114. */
#include <string.h>

#include "data/augment.h"

struct time_out_config {
    double probability, part_min, part_max;
};

static const struct option time_out_options[] = {
    OPT_FLOAT(time_out_config, probability, "0", 0, 1, NULL, "chance of applying it to a view"),
    OPT_FLOAT(time_out_config, part_min, "0.2", 0, 1, NULL, "shortest span as a part of the view"),
    OPT_FLOAT(time_out_config, part_max, "0.4", 0, 1, NULL, "longest span as a part of the view"),
    OPTION_END};

static void time_out_apply(const void *config, struct view *v, struct rng *r)
{
    const struct time_out_config *c = config;
    int64_t n = (int64_t)(rng_between(r, c->part_min, c->part_max) * (double)v->T + 0.5);
    n = n < 1 ? 1 : n > v->T ? v->T : n;
    int64_t begin = rng_below(r, v->T - n + 1);
    for (int64_t l = 0; l < v->L; l++)
        memset(v->x + l * v->T + begin, 0, (size_t)n * sizeof *v->x);
}

const struct augmentation augmentation_time_out = {
    .name = "time_out",
    .help = "a random span set to zero in all leads",
    .options = time_out_options,
    .config_size = sizeof(struct time_out_config),
    .keeps_labels = true,
    .apply = time_out_apply,
};
