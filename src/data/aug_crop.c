/* A random part of the view, stretched back to its whole length: shifts and slows the heart.
 * Source: RandomResizedCrop in Mehari and Strodthoff 2022, doi:10.1016/j.compbiomed.2021.105114. */
#include <math.h>
#include <string.h>

#include "data/augment.h"

struct crop_config {
    double probability, part_min, part_max;
};

static const struct option crop_options[] = {
    OPT_FLOAT(crop_config, probability, "0", 0, 1, NULL, "chance of applying it to a view"),
    OPT_FLOAT(crop_config, part_min, "0.5", 0.05, 1, NULL, "shortest part of the view"),
    OPT_FLOAT(crop_config, part_max, "1", 0.05, 1, NULL, "longest part of the view"), OPTION_END};

/* Cubic (Catmull-Rom) interpolation at 0 <= at <= T - 1; the ends are held. */
static float cubic_at(const float *x, int64_t T, double at)
{
    int64_t i = (int64_t)at;
    if (i > T - 2)
        return x[T - 1];
    float f = (float)(at - (double)i);
    float b = x[i], c = x[i + 1], a = i > 0 ? x[i - 1] : b, d = i + 2 < T ? x[i + 2] : c;
    return b +
           0.5f * f *
               (c - a + f * (2.0f * a - 5.0f * b + 4.0f * c - d + f * (3.0f * (b - c) + d - a)));
}

static void crop_apply(const void *config, struct view *v, struct rng *r)
{
    const struct crop_config *c = config;
    double part = rng_between(r, c->part_min, c->part_max);
    double begin = rng_uniform(r) * (1.0 - part) * (double)(v->T - 1);
    for (int64_t l = 0; l < v->L; l++) {
        float *x = v->x + l * v->T;
        memcpy(v->scratch, x, (size_t)v->T * sizeof *x);
        for (int64_t t = 0; t < v->T; t++)
            x[t] = cubic_at(v->scratch, v->T, begin + part * (double)t);
    }
}

const struct augmentation augmentation_crop = {
    .name = "crop",
    .help = "a random part of the view, stretched to its length (changes the heart rate)",
    .options = crop_options,
    .config_size = sizeof(struct crop_config),
    .keeps_labels = false,
    .apply = crop_apply,
};
