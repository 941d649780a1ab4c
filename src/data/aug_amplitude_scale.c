/* Amplitude times a factor of the view and one of each lead: electrode contact, body build. Voltage
 * criteria (hypertrophy, low voltage) do not survive large factors. */
#include <math.h>

#include "data/augment.h"

struct amplitude_scale_config {
    double probability, factor_min, factor_max, lead_spread;
};

static const struct option amplitude_scale_options[] = {
    OPT_FLOAT(amplitude_scale_config, probability, "0", 0, 1, NULL,
              "chance of applying it to a view"),
    OPT_FLOAT(amplitude_scale_config, factor_min, "0.8", 0.01, 100, NULL,
              "smallest factor of the view (drawn evenly on a logarithmic scale)"),
    OPT_FLOAT(amplitude_scale_config, factor_max, "1.25", 0.01, 100, NULL,
              "largest factor of the view"),
    OPT_FLOAT(amplitude_scale_config, lead_spread, "0.05", 0, 1, NULL,
              "standard deviation of the logarithm of each lead's own factor"),
    OPTION_END};

static void amplitude_scale_apply(const void *config, struct view *v, struct rng *r)
{
    const struct amplitude_scale_config *c = config;
    double common = rng_between(r, log(c->factor_min), log(c->factor_max));
    for (int64_t l = 0; l < v->L; l++) {
        float factor = (float)exp(common + c->lead_spread * rng_normal(r));
        for (int64_t t = 0; t < v->T; t++)
            v->x[l * v->T + t] *= factor;
    }
}

const struct augmentation augmentation_amplitude_scale = {
    .name = "amplitude_scale",
    .help = "amplitude times a random factor of the view and of each lead",
    .options = amplitude_scale_options,
    .config_size = sizeof(struct amplitude_scale_config),
    .keeps_labels = false,
    .apply = amplitude_scale_apply,
};
