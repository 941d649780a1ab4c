/* Batch normalization with running statistics, a residual and a ReLU in the same pass. The forward pass
 * of training moves the running statistics, which are parameters (param->state). A node made to run
 * twice would move them twice: this op is never made again. Source: Ioffe and Szegedy 2015. */
#include "graph/ops.h"

enum { GAIN = 1, OFFSET, MEAN, VARIANCE, RESIDUAL };

#define MOMENTUM 0.1

struct tensor *t_batchnorm(struct tape *t, struct tensor *x, struct tensor *g, struct tensor *b,
                           struct tensor *mean, struct tensor *var, struct tensor *residual,
                           double epsilon, enum activation act)
{
    bool running = !tape_is_training(t) || !g->needs_grad;
    return tape_record(t, &op_batchnorm, 6, (struct tensor *[]){x, g, b, mean, var, residual},
                       &(struct op_attributes){.i = {act, running}, .f = {epsilon}});
}

bool batchnorm_of_one_row(const struct node *n)
{
    return n->op == &op_batchnorm && !n->attr.i[1] && tensor_rows(n->input[0]) < 2;
}

static struct tensor *residual_of(const struct node *n)
{
    return n->input_count > RESIDUAL ? n->input[RESIDUAL] : NULL;
}

static struct batchnorm sizes(const struct node *n)
{
    const struct tensor *x = n->input[0];
    return (struct batchnorm){.M = tensor_rows(x),
                              .C = tensor_width(x),
                              .g = n->input[GAIN]->data,
                              .b = n->input[OFFSET]->data,
                              .running = n->attr.i[1],
                              .epsilon = n->attr.f[0],
                              .momentum = MOMENTUM,
                              .act = (enum activation)n->attr.i[0]};
}

static void prepare(struct node *n)
{
    const struct tensor *x = n->input[0], *residual = residual_of(n);
    int64_t C = tensor_width(x);
    node_check(n, n->attr.i[0] == ACTIVATION_NONE || n->attr.i[0] == ACTIVATION_RELU,
               "activation is neither none nor ReLU");
    for (int i = GAIN; i <= VARIANCE; i++)
        node_check(n, n->input[i]->numel == C, "gain, offset, mean or variance is not [C]");
    node_check(n, !residual || tensor_same_shape(x, residual), "residual is not like x");
    node_output_like(n, x);
    n->saved_numel[0] = C; /* mean */
    n->saved_numel[1] = C; /* 1 / deviation */
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *step)
{
    (void)step;
    struct batchnorm s = sizes(n);
    const struct tensor *residual = residual_of(n);
    k->batchnorm_fwd(n->output->data, n->saved[0], n->saved[1], n->input[MEAN]->data,
                     n->input[VARIANCE]->data, n->input[0]->data, residual ? residual->data : NULL,
                     &s);
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *step)
{
    (void)step;
    struct batchnorm s = sizes(n);
    const struct tensor *x = n->input[0], *residual = residual_of(n);
    k->batchnorm_bwd(x->grad, residual ? residual->grad : NULL, n->input[GAIN]->grad,
                     n->input[OFFSET]->grad, n->output->grad, x->data,
                     residual ? n->output->data : NULL, n->saved[0], n->saved[1], &s, n->add[0],
                     n->add[RESIDUAL]);
}

#define CHANNELS(C)                                                                                \
    {0, 1, {C}, 0}, {0, 1, {C}, 0}, {0, 1, {C}, 0}, { 0, 1, {C}, 0 }

static const struct op_case cases[] = {
    {5, {{0, 3, {2, 7, 3}, 0}, CHANNELS(3)}, {{ACTIVATION_NONE}, {1e-5}}, 0},
    {5, {{0, 2, {9, 37}, 0}, CHANNELS(37)}, {{ACTIVATION_RELU}, {1e-3}}, 0},
    {6,
     {{0, 3, {3, 5, 18}, 0}, CHANNELS(18), {0, 3, {3, 5, 18}, 0}},
     {{ACTIVATION_RELU}, {1e-5}},
     0},
    {6, {{0, 3, {3, 5, 6}, 0}, CHANNELS(6), {0, 3, {3, 5, 6}, 0}}, {{ACTIVATION_NONE}, {1e-5}}, 0},
    {5, {{0, 3, {3, 5, 70}, 0}, CHANNELS(70)}, {{ACTIVATION_RELU}, {1e-5}}, 0},
    /* by the running statistics; a variance below zero would be no number */
    {6,
     {{0, 3, {3, 5, 18}, 0}, CHANNELS(18), {0, 3, {3, 5, 18}, 0}},
     {{ACTIVATION_RELU, 1}, {2}},
     0},
    {5, {{0, 2, {9, 37}, 0}, CHANNELS(37)}, {{ACTIVATION_RELU, 1}, {2}}, 0},
    {0}};

const struct op op_batchnorm = {
    .name = "batchnorm",
    .help = "normalization of channels over the batch, with running statistics, residual and ReLU",
    .backward_needs = 1u << 0 | 1u << GAIN | 1u << OFFSET | OP_NEEDS_OUTPUT,
    .backward_rounds = OP_NEEDS_OUTPUT,
    .always_adds = 1u << GAIN | 1u << OFFSET,
    .no_gradient = 1u << MEAN | 1u << VARIANCE,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .cases = cases,
};
