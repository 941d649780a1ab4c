/* White Gaussian noise in every lead, as from the amplifier. */
#include "data/augment.h"

struct jitter_config {
    double probability, sigma_min_mv, sigma_max_mv;
};

static const struct option jitter_options[] = {
    OPT_FLOAT(jitter_config, probability, "0", 0, 1, NULL, "chance of applying it to a view"),
    OPT_FLOAT(jitter_config, sigma_min_mv, "0.005", 0, 10, "mV", "smallest standard deviation"),
    OPT_FLOAT(jitter_config, sigma_max_mv, "0.05", 0, 10, "mV", "largest standard deviation"),
    OPTION_END};

static void jitter_apply(const void *config, struct view *v, struct rng *r)
{
    const struct jitter_config *c = config;
    float sigma = (float)(rng_between(r, c->sigma_min_mv, c->sigma_max_mv) * v->unit_per_mv);
    for (int64_t l = 0; l < v->L; l++) {
        noise_normal(r, v->scratch, v->T);
        for (int64_t t = 0; t < v->T; t++)
            v->x[l * v->T + t] += sigma * v->scratch[t];
    }
}

const struct augmentation augmentation_jitter = {
    .name = "jitter",
    .help = "white Gaussian noise",
    .options = jitter_options,
    .config_size = sizeof(struct jitter_config),
    .keeps_labels = true,
    .apply = jitter_apply,
};
