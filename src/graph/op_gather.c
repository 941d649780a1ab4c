#include "graph/ops.h"

struct tensor *t_gather(struct tape *t, struct tensor *x, struct tensor *index)
{
    return tape_record(t, &op_gather, 2, (struct tensor *[]){x, index}, NULL);
}

static void prepare(struct node *n)
{
    const struct tensor *x = n->input[0], *index = n->input[1];
    node_check(n,
               x->rank == 3 && index->rank == 2 && index->type == TENSOR_INDEX &&
                   x->shape[0] == index->shape[0] && index->shape[1] <= x->shape[1],
               "x is not [B,N,D] or index not [B,J]");
    node_output(n, 3, (int64_t[]){x->shape[0], index->shape[1], x->shape[2]});
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *x = n->input[0], *index = n->input[1];
    k->gather_fwd(n->output->data, x->data, index->data, x->shape[0], x->shape[1], index->shape[1],
                  x->shape[2]);
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *x = n->input[0], *index = n->input[1];
    if (x->grad)
        k->gather_bwd(x->grad, n->output->grad, index->data, x->shape[0], x->shape[1],
                      index->shape[1], x->shape[2], n->add[0]);
}

static const struct op_case cases[] = {
    {2, {{0, 3, {2, 5, 3}, 0}, {TENSOR_INDEX, 2, {2, 3}, 5}}, {{0}, {0}}, 0},
    {2, {{0, 3, {2, 5, 3}, 0}, {TENSOR_INDEX, 2, {2, 4}, 2}}, {{0}, {0}}, 0},
    {2, {{0, 3, {1, 1, 7}, 0}, {TENSOR_INDEX, 2, {1, 1}, 1}}, {{0}, {0}}, 0},
    {0}};

const struct op op_gather = {
    .name = "gather",
    .help = "chosen tokens of each record, or zeros",
    .backward_needs = 1u << 1,
    .no_gradient = 1u << 1,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .cases = cases,
};
