/* AdamW over the parameter slab, and the learning-rate schedule. */
#ifndef ECGFM_NN_OPTIMIZER_H
#define ECGFM_NN_OPTIMIZER_H

#include "kernel/kernel.h"
#include "nn/param.h"

struct optimizer_options {
    double lr, min_lr;           /* peak and final learning rate */
    int64_t warmup_steps, steps; /* schedule */
    double beta1, beta2, epsilon, weight_decay;
    double clip;        /* bound on the gradient's norm; 0: none */
    double layer_decay; /* rate of layer i: lr * layer_decay^(last layer - i); 1: same for all */
};

/* Linear warm-up, then half a cosine from lr to min_lr; step is 0-based.
 * Source: Loshchilov and Hutter 2017 (SGDR) eq. 5 with one period. */
double schedule_rate(const struct optimizer_options *o, int64_t step);

/* One update of the values from gradients that are sums over `scale`^-1 micro-batches. step is
 * 0-based. Returns the gradient's norm after scaling (before clipping); when it is not finite nothing
 * is updated. Source: Loshchilov and Hutter 2019, algorithm 2. */
double optimizer_step(const struct backend *k, const struct param_table *p,
                      const struct optimizer_options *o, int64_t step, double scale, void *values,
                      const void *gradients, void *m, void *v);

#endif
