#include "graph/ops.h"

struct tensor *t_activation(struct tape *t, struct tensor *x, enum activation act)
{
    return tape_record(t, &op_activation, 1, (struct tensor *[]){x},
                       &(struct op_attributes){.i = {act}});
}

static void prepare(struct node *n) { node_output_like(n, n->input[0]); }

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    k->activation_fwd(n->output->data, n->input[0]->data, n->output->numel,
                      (enum activation)n->attr.i[0]);
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    if (n->input[0]->grad)
        k->activation_bwd(n->input[0]->grad, n->output->grad, n->input[0]->data, n->output->numel,
                          (enum activation)n->attr.i[0], n->add[0]);
}

static const struct op_case cases[] = {{1, {{0, 2, {3, 11}, 0}}, {{ACTIVATION_GELU}, {0}}, 0},
                                       {1, {{0, 1, {37}, 0}}, {{ACTIVATION_RELU}, {0}}, 0},
                                       {1, {{0, 1, {5}, 0}}, {{ACTIVATION_NONE}, {0}}, 0},
                                       {0}};

const struct op op_activation = {
    .name = "activation",
    .help = "element-wise GELU (exact), ReLU or identity",
    .cheap = true,
    .backward_needs = 1u << 0,
    .backward_rounds = 1u << 0,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .cases = cases,
};
