/* Activations, and dropout of what they give: the backward pass makes both again from the input, so
 * that neither is kept. */
#include "graph/ops.h"

struct tensor *t_activation(struct tape *t, struct tensor *x, enum activation act)
{
    return tape_record(t, &op_activation, 1, (struct tensor *[]){x},
                       &(struct op_attributes){.i = {act}});
}

struct tensor *t_activation_dropout(struct tape *t, struct tensor *x, enum activation act, double p)
{
    return tape_record(t, &op_activation, 1, (struct tensor *[]){x},
                       &(struct op_attributes){.i = {act}, .f = {x->needs_grad ? p : 0}});
}

static void prepare(struct node *n)
{
    node_check(n, n->attr.f[0] >= 0 && n->attr.f[0] < 1, "dropout is not in [0,1)");
    node_output_like(n, n->input[0]);
}

/* One number of the generator for each element of a record. */
static struct dropout dropout_of(const struct node *n, const struct tape_step *s)
{
    int64_t record = n->output->numel / n->output->shape[0];
    return (struct dropout){n->attr.f[0], record, s->seed, s->step, (uint64_t)n->index};
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    enum activation act = (enum activation)n->attr.i[0];
    struct dropout d = dropout_of(n, s);
    if (d.p > 0)
        k->activation_dropout_fwd(n->output->data, n->input[0]->data, n->output->numel, act, &d);
    else
        k->activation_fwd(n->output->data, n->input[0]->data, n->output->numel, act);
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    enum activation act = (enum activation)n->attr.i[0];
    void *dx = n->input[0]->grad;
    const void *dy = n->output->grad, *x = n->input[0]->data;
    struct dropout d = dropout_of(n, s);
    if (dx && d.p > 0)
        k->activation_dropout_bwd(dx, dy, x, n->output->numel, act, &d, n->add[0]);
    else if (dx)
        k->activation_bwd(dx, dy, x, n->output->numel, act, n->add[0]);
}

static const struct op_case cases[] = {{1, {{0, 2, {3, 11}, 0}}, {{ACTIVATION_GELU}, {0}}, 0},
                                       {1, {{0, 1, {37}, 0}}, {{ACTIVATION_RELU}, {0}}, 0},
                                       {1, {{0, 1, {5}, 0}}, {{ACTIVATION_NONE}, {0}}, 0},
                                       {1, {{0, 2, {3, 11}, 0}}, {{ACTIVATION_GELU}, {0.3}}, 0},
                                       {0}};

const struct op op_activation = {
    .name = "activation",
    .help = "element-wise GELU (exact), ReLU or identity, with dropout",
    .cheap = true,
    .backward_needs = 1u << 0,
    .backward_rounds = 1u << 0,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .cases = cases,
};
