#include "graph/ops.h"

struct tensor *t_mse(struct tape *t, struct tensor *x, struct tensor *target)
{
    return tape_record(t, &op_mse, 2, (struct tensor *[]){x, target}, NULL);
}

static void prepare(struct node *n)
{
    const struct tensor *x = n->input[0], *target = n->input[1];
    node_check(n, x->rank == 2 && tensor_same_shape(x, target), "x and target are not both [B,K]");
    node_output(n, 1, (int64_t[]){1});
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *x = n->input[0];
    k->mse_fwd(n->output->data, x->data, n->input[1]->data, x->numel);
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *x = n->input[0];
    if (x->grad)
        k->mse_bwd(x->grad, n->output->grad, x->data, n->input[1]->data, x->numel, n->add[0]);
}

static const struct op_case cases[] = {{3, {{0, 2, {3, 5}, 0}, {0, 2, {3, 5}, 0}}, {{0}, {0}}, 0},
                                       {2, {{0, 2, {7, 1}, 0}, {0, 2, {7, 1}, 0}}, {{0}, {0}}, 0},
                                       {0}};

const struct op op_mse = {
    .name = "mse",
    .help = "mean squared error of values where the target is known",
    .backward_needs = 1u << 0 | 1u << 1,
    .no_gradient = 1u << 1,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .cases = cases,
};
