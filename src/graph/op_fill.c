/* Tokens replaced by one vector: what a masked encoder sees of them. */
#include "graph/ops.h"

struct tensor *t_fill(struct tape *t, struct tensor *x, struct tensor *fill, struct tensor *index)
{
    return tape_record(t, &op_fill, 3, (struct tensor *[]){x, fill, index}, NULL);
}

static void prepare(struct node *n)
{
    const struct tensor *x = n->input[0], *fill = n->input[1], *index = n->input[2];
    node_check(n,
               x->rank == 3 && index->rank == 2 && index->type == TENSOR_INDEX &&
                   x->shape[0] == index->shape[0],
               "x is not [B,N,D] or index not [B,M]");
    node_check(n, fill->numel == x->shape[2], "fill is not [D]");
    node_output_like(n, x);
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *x = n->input[0], *index = n->input[2];
    k->fill_fwd(n->output->data, x->data, n->input[1]->data, index->data, x->shape[0], x->shape[1],
                index->shape[1], x->shape[2]);
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *x = n->input[0], *fill = n->input[1], *index = n->input[2];
    k->fill_bwd(x->grad, fill->grad, n->output->grad, index->data, x->shape[0], x->shape[1],
                index->shape[1], x->shape[2], n->add[0]);
}

static const struct op_case cases[] = {
    {3, {{0, 3, {2, 5, 3}, 0}, {0, 1, {3}, 0}, {TENSOR_INDEX, 2, {2, 3}, 5}}, {{0}, {0}}, 0},
    {3, {{0, 3, {3, 5, 7}, 0}, {0, 1, {7}, 0}, {TENSOR_INDEX, 2, {3, 5}, 3}}, {{0}, {0}}, 0},
    {0}};

const struct op op_fill = {
    .name = "fill",
    .help = "chosen tokens of each record replaced by one vector",
    .backward_needs = 1u << 2,
    .always_adds = 1u << 1,
    .no_gradient = 1u << 2,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .cases = cases,
};
