#include "graph/ops.h"

struct tensor *t_pool(struct tape *t, struct tensor *x, struct tensor *lengths, enum pool_kind kind)
{
    return tape_record(t, &op_pool, 2, (struct tensor *[]){x, lengths},
                       &(struct op_attributes){.i = {kind}});
}

static const struct tensor *lengths_of(const struct node *n)
{
    return n->input_count > 1 ? n->input[1] : NULL;
}

static const int32_t *lengths_data(const struct node *n)
{
    return lengths_of(n) ? lengths_of(n)->data : NULL;
}

static void prepare(struct node *n)
{
    const struct tensor *x = n->input[0], *lengths = lengths_of(n);
    node_check(n, x->rank == 3, "x is not [B,N,D]");
    node_check(n, !lengths || (lengths->type == TENSOR_INDEX && lengths->numel == x->shape[0]),
               "lengths is not [B] of indices");
    node_output(n, 2, (int64_t[]){x->shape[0], x->shape[2]});
    if (n->attr.i[0] == POOL_MAX) {
        n->saved_numel[0] = x->shape[0] * x->shape[2];
        n->saved_is_index[0] = true;
    }
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *x = n->input[0];
    k->pool_fwd(n->output->data, n->saved[0], x->data, lengths_data(n), x->shape[0], x->shape[1],
                x->shape[2], (enum pool_kind)n->attr.i[0]);
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *x = n->input[0];
    if (x->grad)
        k->pool_bwd(x->grad, n->output->grad, n->saved[0], lengths_data(n), x->shape[0],
                    x->shape[1], x->shape[2], (enum pool_kind)n->attr.i[0], n->add[0]);
}

static const struct op_case cases[] = {
    {1, {{0, 3, {2, 5, 7}, 0}}, {{POOL_MEAN}, {0}}, 0},
    {1, {{0, 3, {3, 4, 5}, 0}}, {{POOL_MAX}, {0}}, 0},
    {2, {{0, 3, {4, 3, 5}, 0}, {TENSOR_INDEX, 1, {4}, 4}}, {{POOL_MEAN}, {0}}, 0},
    {2, {{0, 3, {4, 3, 5}, 0}, {TENSOR_INDEX, 1, {4}, 4}}, {{POOL_MAX}, {0}}, 0},
    {1, {{0, 3, {3, 4, 5}, 0}}, {{POOL_LAST}, {0}}, 0},
    {2, {{0, 3, {4, 3, 5}, 0}, {TENSOR_INDEX, 1, {4}, 4}}, {{POOL_LAST}, {0}}, 0},
    {0}};

const struct op op_pool = {
    .name = "pool",
    .help = "mean, maximum or last over tokens",
    .backward_needs = 1u << 1,
    .no_gradient = 1u << 1,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .cases = cases,
};
