#include "graph/ops.h"

struct tensor *t_scatter(struct tape *t, struct tensor *x, struct tensor *fill,
                         struct tensor *index, int64_t token_count)
{
    return tape_record(t, &op_scatter, 3, (struct tensor *[]){x, fill, index},
                       &(struct op_attributes){.i = {token_count}});
}

static void prepare(struct node *n)
{
    const struct tensor *x = n->input[0], *fill = n->input[1], *index = n->input[2];
    node_check(n,
               x->rank == 3 && index->rank == 2 && index->type == TENSOR_INDEX &&
                   x->shape[0] == index->shape[0] && x->shape[1] == index->shape[1],
               "x is not [B,J,D] or index not [B,J]");
    node_check(n, !fill || fill->numel == x->shape[2], "fill is not [D]");
    node_check(n, n->attr.i[0] >= x->shape[1], "fewer tokens than indices");
    node_output(n, 3, (int64_t[]){x->shape[0], n->attr.i[0], x->shape[2]});
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *x = n->input[0], *fill = n->input[1];
    k->scatter_fwd(n->output->data, x->data, fill ? fill->data : NULL, n->input[2]->data,
                   x->shape[0], n->attr.i[0], x->shape[1], x->shape[2]);
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *x = n->input[0], *fill = n->input[1];
    ASSERT(x->grad && (!fill || fill->grad), "scatter: both inputs want gradients");
    k->scatter_bwd(x->grad, fill ? fill->grad : NULL, n->output->grad, n->input[2]->data,
                   x->shape[0], n->attr.i[0], x->shape[1], x->shape[2], n->add[0]);
}

static const struct op_case cases[] = {
    {3, {{0, 3, {2, 3, 4}, 0}, {0, 1, {4}, 0}, {TENSOR_INDEX, 2, {2, 3}, 5}}, {{5}, {0}}, 0},
    {3, {{0, 3, {2, 3, 4}, 0}, {0, 0, {0}, 0}, {TENSOR_INDEX, 2, {2, 3}, 5}}, {{5}, {0}}, 0},
    {0}};

const struct op op_scatter = {
    .name = "scatter",
    .help = "tokens put at their places, the rest filled",
    .backward_needs = 1u << 2,
    .always_adds = 1u << 1,
    .no_gradient = 1u << 2,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .cases = cases,
};
