#include "graph/ops.h"

struct tensor *t_bce(struct tape *t, struct tensor *logits, struct tensor *target,
                     struct tensor *weight)
{
    return tape_record(t, &op_bce, 3, (struct tensor *[]){logits, target, weight}, NULL);
}

static void prepare(struct node *n)
{
    const struct tensor *logits = n->input[0], *target = n->input[1], *weight = n->input[2];
    node_check(n, logits->rank == 2 && tensor_same_shape(logits, target),
               "logits and target are not both [B,K]");
    node_check(n, !weight || weight->numel == logits->shape[1], "weight is not [K]");
    node_output(n, 1, (int64_t[]){1});
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *x = n->input[0], *w = n->input[2];
    k->bce_fwd(n->output->data, x->data, n->input[1]->data, w ? w->data : NULL, x->shape[0],
               x->shape[1]);
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *x = n->input[0], *w = n->input[2];
    if (x->grad)
        k->bce_bwd(x->grad, n->output->grad, x->data, n->input[1]->data, w ? w->data : NULL,
                   x->shape[0], x->shape[1], n->add[0]);
}

static const struct op_case cases[] = {
    {3, {{0, 2, {3, 5}, 0}, {0, 2, {3, 5}, 0}, {0, 0, {0}, 0}}, {{0}, {0}}, 0},
    {3, {{0, 2, {7, 2}, 0}, {0, 2, {7, 2}, 0}, {0, 1, {2}, 0}}, {{0}, {0}}, 0},
    {0}};

const struct op op_bce = {
    .name = "bce",
    .help = "mean binary cross-entropy of logits",
    .backward_needs = 1u << 0 | 1u << 1 | 1u << 2,
    .no_gradient = 1u << 1 | 1u << 2,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .cases = cases,
};
