/* Adam with decoupled weight decay over the parameter slab. */
#ifndef ECGFM_NN_OPTIMIZER_H
#define ECGFM_NN_OPTIMIZER_H

#include "kernel/kernel.h"
#include "nn/param.h"
#include "nn/schedule.h"

enum optimizer_kind {
    OPTIMIZER_ADAMW, /* Loshchilov and Hutter 2019, algorithm 2; only what has param->decay decays */
    /* As fairseq has it: everything decays, and epsilon is added to the root of the uncorrected second
     * moment: step t has lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + epsilon). */
    OPTIMIZER_ADAM
};

struct optimizer_options {
    enum optimizer_kind kind;
    const struct schedule *schedule; /* NULL: cosine */
    const void *schedule_config;     /* of that row */
    struct schedule_span span;
    double beta1, beta2, epsilon, weight_decay;
    bool decay_all;     /* OPTIMIZER_ADAMW too decays everything that learns, as PyTorch's does */
    double clip;        /* bound on the gradient's norm; 0: none */
    double layer_decay; /* rate of layer i: times layer_decay^(last layer - i); 1: same for all */
};

/* The schedule's rate of a step (0-based), before the factors of layers and parameters. */
double optimizer_rate(const struct optimizer_options *o, int64_t step);
/* The first moment's decay of a step: beta1, unless the schedule has its own. */
double optimizer_beta1(const struct optimizer_options *o, int64_t step);

/* One update of the values from gradients that are sums over `scale`^-1 micro-batches. step is
 * 0-based. A parameter's rate is optimizer_rate times layer_decay's factor times param->rate; one that
 * is frozen, or still waits (step < param->delay), is left alone, moments too, and its own count of
 * steps begins when it learns. Returns the norm of the gradient of all that learn, after scaling
 * (before clipping); when it is not finite nothing is updated. */
double optimizer_step(const struct backend *k, const struct param_table *p,
                      const struct optimizer_options *o, int64_t step, double scale, void *values,
                      const void *gradients, void *m, void *v);

#endif
