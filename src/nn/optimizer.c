#include "nn/optimizer.h"

#include <math.h>

double optimizer_rate(const struct optimizer_options *o, int64_t step)
{
    const struct schedule *s = o->schedule ? o->schedule : &schedules[0];
    return s->rate(o->schedule_config, &o->span, step);
}

double optimizer_beta1(const struct optimizer_options *o, int64_t step)
{
    const struct schedule *s = o->schedule ? o->schedule : &schedules[0];
    return s->momentum ? s->momentum(o->schedule_config, &o->span, step, o->beta1) : o->beta1;
}

static void *at(const struct backend *k, const void *slab, int64_t offset)
{
    return (char *)slab + (size_t)offset * k->real_size;
}

/* Where parameter i ends in the slab, padding included. */
static int64_t end_of(const struct param_table *p, int i)
{
    return i + 1 < p->count ? p->items[i + 1]->offset : p->total;
}

static bool learns(const struct param *p, int64_t step) { return !p->frozen && step >= p->delay; }

/* Padding has gradients of zero and so have frozen parameters, so the whole slab gives the norm; unless
 * some parameters have a gradient that is not used yet. */
static double gradient_norm(const struct backend *k, const struct param_table *p, int64_t step,
                            const void *gradients)
{
    bool waits = false;
    for (int i = 0; i < p->count && !waits; i++)
        waits = step < p->items[i]->delay;
    if (!waits)
        return sqrt(k->sum_squares(gradients, p->total));
    double sum = 0;
    for (int i = 0; i < p->count; i++)
        if (learns(p->items[i], step))
            sum += k->sum_squares(at(k, gradients, p->items[i]->offset),
                                  end_of(p, i) - p->items[i]->offset);
    return sqrt(sum);
}

static bool updated_alike(const struct param *a, const struct param *b)
{
    return a->layer == b->layer && a->decay == b->decay && a->frozen == b->frozen &&
           a->rate == b->rate && a->delay == b->delay;
}

double optimizer_step(const struct backend *k, const struct param_table *p,
                      const struct optimizer_options *o, int64_t step, double scale, void *values,
                      const void *gradients, void *m, void *v)
{
    double norm = scale * gradient_norm(k, p, step, gradients);
    if (!isfinite(norm))
        return norm;
    struct adamw_params a = {.beta1 = optimizer_beta1(o, step),
                             .beta2 = o->beta2,
                             .gradient_scale = scale};
    if (o->clip > 0 && norm > o->clip)
        a.gradient_scale *= o->clip / norm;
    double rate = optimizer_rate(o, step);
    /* Neighbours in the slab that are updated alike go through the kernel together. */
    for (int i = 0; i < p->count;) {
        const struct param *first = p->items[i];
        int j = i + 1;
        while (j < p->count && updated_alike(first, p->items[j]))
            j++;
        int64_t end = end_of(p, j - 1);
        if (learns(first, step)) {
            bool adam = o->kind == OPTIMIZER_ADAM;
            a.step = step + 1 - first->delay;
            a.lr = rate * pow(o->layer_decay, p->layer_max - first->layer) * first->rate;
            a.weight_decay = adam || o->decay_all || first->decay ? o->weight_decay : 0;
            /* The kernel adds epsilon to the root of the corrected moment. */
            a.epsilon = adam ? o->epsilon / sqrt(1 - pow(o->beta2, (double)a.step)) : o->epsilon;
            k->adamw(at(k, values, first->offset), at(k, gradients, first->offset),
                     at(k, m, first->offset), at(k, v, first->offset), end - first->offset, &a);
        }
        i = j;
    }
    return norm;
}
