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

/* In place. */
static void drop(const struct backend *k, const struct node *n, const struct tape_step *s, void *x)
{
    int64_t record = n->output->numel / n->output->shape[0];
    if (n->attr.f[0] > 0)
        k->dropout(x, x, n->output->numel, record, n->attr.f[0], 0, s->seed, s->step,
                   (uint64_t)n->index, 0);
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    k->activation_fwd(n->output->data, n->input[0]->data, n->output->numel,
                      (enum activation)n->attr.i[0]);
    drop(k, n, s, n->output->data);
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    void *dx = n->input[0]->grad;
    if (!dx)
        return;
    ASSERT(!n->add[0] || !(n->attr.f[0] > 0), "activation: with dropout, its input has other uses");
    k->activation_bwd(dx, n->output->grad, n->input[0]->data, n->output->numel,
                      (enum activation)n->attr.i[0], n->add[0]);
    drop(k, n, s, dx);
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
