#include "nn/optimizer.h"

#include <math.h>

double schedule_rate(const struct optimizer_options *o, int64_t step)
{
    if (step < o->warmup_steps)
        return o->lr * (double)(step + 1) / (double)o->warmup_steps;
    int64_t span = o->steps - o->warmup_steps;
    double done = span > 0 ? (double)(step - o->warmup_steps) / (double)span : 1;
    if (done > 1)
        done = 1;
    return o->min_lr + 0.5 * (o->lr - o->min_lr) * (1 + cos(3.14159265358979323846 * done));
}

static void *at(const struct backend *k, const void *slab, int64_t offset)
{
    return (char *)slab + (size_t)offset * k->real_size;
}

double optimizer_step(const struct backend *k, const struct param_table *p,
                      const struct optimizer_options *o, int64_t step, double scale, void *values,
                      const void *gradients, void *m, void *v)
{
    /* Padding and frozen parameters have gradients of zero, so the whole slab gives the norm. */
    double norm = scale * sqrt(k->sum_squares(gradients, p->total));
    if (!isfinite(norm))
        return norm;
    struct adamw_params a = {.beta1 = o->beta1,
                             .beta2 = o->beta2,
                             .epsilon = o->epsilon,
                             .gradient_scale = scale,
                             .step = step + 1};
    if (o->clip > 0 && norm > o->clip)
        a.gradient_scale *= o->clip / norm;
    double rate = schedule_rate(o, step);
    /* Neighbours in the slab with the same rate and decay go through the kernel together. */
    for (int i = 0; i < p->count;) {
        const struct param *first = p->items[i];
        int j = i + 1;
        while (j < p->count && p->items[j]->layer == first->layer &&
               p->items[j]->decay == first->decay && p->items[j]->frozen == first->frozen)
            j++;
        int64_t end = j < p->count ? p->items[j]->offset : p->total;
        if (!first->frozen) {
            a.lr = rate * pow(o->layer_decay, p->layer_max - first->layer);
            a.weight_decay = first->decay ? o->weight_decay : 0;
            k->adamw(at(k, values, first->offset), at(k, gradients, first->offset),
                     at(k, m, first->offset), at(k, v, first->offset), end - first->offset, &a);
        }
        i = j;
    }
    return norm;
}
