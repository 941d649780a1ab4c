/* Mains hum and its harmonics, in phase in all leads. What lies at or above half the sampling rate is
 * left out: a recorder (and our own resampling) takes it away before sampling, and a 50 Hz line
 * sampled at 100 Hz would be nothing but a sign that flips. So at 100 Hz this does nothing.
 * Source: the fairseq-signals noise model. */
#include <math.h>
#include <string.h>

#include "data/augment.h"

struct powerline_config {
    double probability, amplitude_mv;
    const char *mains;
    int64_t harmonics;
    double lead_spread;
};

static const struct option powerline_options[] = {
    OPT_FLOAT(powerline_config, probability, "0", 0, 1, NULL, "chance of applying it to a view"),
    OPT_FLOAT(powerline_config, amplitude_mv, "0.2", 0, 10, "mV",
              "largest amplitude of the hum; each view draws up to it"),
    OPT_CHOICE(powerline_config, mains, "either", "50|60|either",
               "mains frequency in Hz; nothing is added at or above half the sampling rate"),
    OPT_INT(powerline_config, harmonics, "3", 1, 20, NULL,
            "multiples of the mains frequency, each a fraction of the one before"),
    OPT_FLOAT(powerline_config, lead_spread, "0.5", 0, 5, NULL,
              "standard deviation of each lead's weight, which is 1 on average"),
    OPTION_END};

static void powerline_apply(const void *config, struct view *v, struct rng *r)
{
    const struct powerline_config *c = config;
    const double turn = 6.28318530717958647692;
    bool coin = rng_uniform(r) < 0.5;
    double mains_hz = c->mains[0] == '5' || (c->mains[0] == 'e' && coin) ? 50.0 : 60.0;
    double amplitude = rng_uniform(r) * c->amplitude_mv * v->unit_per_mv;
    memset(v->scratch, 0, (size_t)v->T * sizeof *v->scratch);
    for (int64_t k = 1; k <= c->harmonics; k++) {
        double phase = turn * rng_uniform(r), share = k == 1 ? 1.0 : rng_uniform(r) / (double)k;
        if ((double)k * mains_hz >= 0.5 * v->rate_hz)
            continue; /* after the draws, so that the rate does not shift them */
        double step = turn * (double)k * mains_hz / v->rate_hz;
        for (int64_t t = 0; t < v->T; t++)
            v->scratch[t] += (float)(amplitude * share * cos(step * (double)t + phase));
    }
    for (int64_t l = 0; l < v->L; l++) {
        float weight = (float)(1.0 + c->lead_spread * rng_normal(r));
        for (int64_t t = 0; t < v->T; t++)
            v->x[l * v->T + t] += weight * v->scratch[t];
    }
}

const struct augmentation augmentation_powerline = {
    .name = "powerline",
    .help = "mains hum of 50 or 60 Hz with harmonics below half the sampling rate",
    .options = powerline_options,
    .config_size = sizeof(struct powerline_config),
    .keeps_labels = true,
    .apply = powerline_apply,
};
