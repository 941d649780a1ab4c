/* Random leads set to zero, all of them only if asked for, so that a model learns to do with few.
 * Source: random lead masking, Oh et al. 2022 (arXiv 2203.06889). */
#include <stdbool.h>
#include <string.h>

#include "data/augment.h"

struct lead_mask_config {
    double probability, lead_probability;
    bool spare;
};

static const struct option lead_mask_options[] = {
    OPT_FLOAT(lead_mask_config, probability, "0", 0, 1, NULL, "chance of applying it to a view"),
    OPT_FLOAT(lead_mask_config, lead_probability, "0.5", 0, 1, NULL,
              "chance of each lead to be set to zero"),
    OPT_BOOL(lead_mask_config, spare, "true", "leave one lead in any case"), OPTION_END};

static void lead_mask_apply(const void *config, struct view *v, struct rng *r)
{
    const struct lead_mask_config *c = config;
    int64_t kept = rng_below(r, v->L); /* this one is spared */
    for (int64_t l = 0; l < v->L; l++)
        if (rng_uniform(r) < c->lead_probability && !(c->spare && l == kept))
            memset(v->x + l * v->T, 0, (size_t)v->T * sizeof *v->x);
}

const struct augmentation augmentation_lead_mask = {
    .name = "lead_mask",
    .help = "random leads set to zero, never all unless asked for",
    .options = lead_mask_options,
    .config_size = sizeof(struct lead_mask_config),
    .keeps_labels = true,
    .apply = lead_mask_apply,
};
