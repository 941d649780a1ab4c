/* Slow drift from breathing and electrode motion: a sum of cosines, weighted for each lead.
 * Source: the fairseq-signals noise model (3 cosines, lead weights N(1, 0.5)). */
#include <math.h>
#include <string.h>

#include "data/augment.h"

struct baseline_wander_config {
    double probability, amplitude_mv, lowest_hz, highest_hz;
    int64_t waves;
    double lead_spread;
};

static const struct option baseline_wander_options[] = {
    OPT_FLOAT(baseline_wander_config, probability, "0", 0, 1, NULL,
              "chance of applying it to a view"),
    OPT_FLOAT(baseline_wander_config, amplitude_mv, "0.3", 0, 10, "mV",
              "largest amplitude of the drift; each view draws up to it"),
    OPT_FLOAT(baseline_wander_config, lowest_hz, "0.05", 0.001, 2, "Hz", "lowest frequency"),
    OPT_FLOAT(baseline_wander_config, highest_hz, "0.5", 0.001, 2, "Hz", "highest frequency"),
    OPT_INT(baseline_wander_config, waves, "3", 1, 100, NULL, "cosines that are added up"),
    OPT_FLOAT(baseline_wander_config, lead_spread, "0.5", 0, 5, NULL,
              "standard deviation of each lead's weight, which is 1 on average"),
    OPTION_END};

static void baseline_wander_apply(const void *config, struct view *v, struct rng *r)
{
    const struct baseline_wander_config *c = config;
    const double turn = 6.28318530717958647692;
    double amplitude = rng_uniform(r) * c->amplitude_mv * v->unit_per_mv / (double)c->waves;
    memset(v->scratch, 0, (size_t)v->T * sizeof *v->scratch);
    for (int64_t w = 0; w < c->waves; w++) {
        double step = turn * rng_between(r, c->lowest_hz, c->highest_hz) / v->rate_hz;
        double phase = turn * rng_uniform(r);
        for (int64_t t = 0; t < v->T; t++)
            v->scratch[t] += (float)(amplitude * cos(step * (double)t + phase));
    }
    for (int64_t l = 0; l < v->L; l++) {
        float weight = (float)(1.0 + c->lead_spread * rng_normal(r));
        for (int64_t t = 0; t < v->T; t++)
            v->x[l * v->T + t] += weight * v->scratch[t];
    }
}

const struct augmentation augmentation_baseline_wander = {
    .name = "baseline_wander",
    .help = "slow drift, stronger in some leads than in others",
    .options = baseline_wander_options,
    .config_size = sizeof(struct baseline_wander_config),
    .keeps_labels = true,
    .apply = baseline_wander_apply,
};
