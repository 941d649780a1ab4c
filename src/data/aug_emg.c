/* Muscle noise: a burst of noise above 20 Hz that swells and fades, different in each lead. */
#include <math.h>

#include "data/augment.h"
#include "signal/filter.h"

#define EMG_FROM_HZ 20.0

struct emg_config {
    double probability, amplitude_mv, part_min, part_max;
};

static const struct option emg_options[] = {
    OPT_FLOAT(emg_config, probability, "0", 0, 1, NULL, "chance of applying it to a view"),
    OPT_FLOAT(emg_config, amplitude_mv, "0.1", 0, 10, "mV",
              "largest standard deviation at the height of the burst; each lead draws up to it"),
    OPT_FLOAT(emg_config, part_min, "0.1", 0, 1, NULL, "shortest burst as a part of the view"),
    OPT_FLOAT(emg_config, part_max, "0.6", 0, 1, NULL, "longest burst as a part of the view"),
    OPTION_END};

/* Filters in place and keeps the power: white noise loses what lay below the cut-off. */
static void highpass(float *x, int64_t n, double rate_hz)
{
    struct biquad q = biquad_highpass(rate_hz, EMG_FROM_HZ);
    double s1 = 0.0, s2 = 0.0, gain = 1.0 / sqrt(1.0 - EMG_FROM_HZ / (0.5 * rate_hz));
    for (int64_t t = 0; t < n; t++) {
        double in = gain * (double)x[t], out = q.b0 * in + s1;
        s1 = q.b1 * in - q.a1 * out + s2;
        s2 = q.b2 * in - q.a2 * out;
        x[t] = (float)out;
    }
}

static void emg_apply(const void *config, struct view *v, struct rng *r)
{
    const struct emg_config *c = config;
    double part = rng_between(r, c->part_min, c->part_max);
    int64_t n = (int64_t)(part * (double)v->T + 0.5);
    n = n < 1 ? 1 : n > v->T ? v->T : n;
    int64_t begin = rng_below(r, v->T - n + 1);
    for (int64_t l = 0; l < v->L; l++) {
        double height = rng_uniform(r) * c->amplitude_mv * v->unit_per_mv;
        float *x = v->x + l * v->T + begin;
        noise_normal(r, v->scratch, n);
        if (0.5 * v->rate_hz > 1.5 * EMG_FROM_HZ) /* else all there is lies below: leave it white */
            highpass(v->scratch, n, v->rate_hz);
        for (int64_t t = 0; t < n; t++) {
            double s = sin(3.14159265358979323846 * ((double)t + 0.5) / (double)n);
            x[t] += (float)(height * s * s) * v->scratch[t];
        }
    }
}

const struct augmentation augmentation_emg = {
    .name = "emg",
    .help = "a burst of muscle noise above 20 Hz",
    .options = emg_options,
    .config_size = sizeof(struct emg_config),
    .keeps_labels = true,
    .apply = emg_apply,
};
