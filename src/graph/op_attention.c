/* Multi-head self-attention on fused projections. Source: Vaswani et al. 2017, eq. 1. The scores are
 * recomputed in the backward pass from the saved log-sum (Dao et al. 2022), never stored. */
#include "graph/ops.h"

struct tensor *t_attention(struct tape *t, struct tensor *qkv, struct tensor *lengths,
                           int64_t heads, double dropout)
{
    return tape_record(t, &op_attention, 2, (struct tensor *[]){qkv, lengths},
                       &(struct op_attributes){.i = {heads}, .f = {qkv->needs_grad ? dropout : 0}});
}

static struct attention sizes(const struct node *n, const struct tape_step *step)
{
    const struct tensor *x = n->input[0], *lengths = n->input_count > 1 ? n->input[1] : NULL;
    int64_t H = n->attr.i[0];
    return (struct attention){.B = x->shape[0],
                              .N = x->shape[1],
                              .H = H,
                              .E = x->shape[2] / (3 * H),
                              .lengths = lengths ? lengths->data : NULL,
                              .dropout = n->attr.f[0],
                              .seed = step->seed,
                              .step = step->step,
                              .salt = (uint64_t)n->index};
}

static void prepare(struct node *n)
{
    const struct tensor *qkv = n->input[0], *lengths = n->input_count > 1 ? n->input[1] : NULL;
    int64_t H = n->attr.i[0];
    node_check(n, qkv->rank == 3 && H > 0 && qkv->shape[2] % (3 * H) == 0,
               "qkv is not [B,N,3*H*E]");
    node_check(n, !lengths || (lengths->type == TENSOR_INDEX && lengths->numel == qkv->shape[0]),
               "lengths is not [B] of indices");
    node_check(n, n->attr.f[0] >= 0 && n->attr.f[0] < 1, "dropout is not in [0,1)");
    node_output(n, 3, (int64_t[]){qkv->shape[0], qkv->shape[1], qkv->shape[2] / 3});
    n->saved_numel[0] = qkv->shape[0] * H * qkv->shape[1];
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *step)
{
    struct attention s = sizes(n, step);
    k->attention_fwd(n->output->data, n->saved[0], n->input[0]->data, &s);
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *step)
{
    struct attention s = sizes(n, step);
    const struct tensor *x = n->input[0];
    if (x->grad)
        k->attention_bwd(x->grad, n->output->grad, x->data, n->output->data, n->saved[0], &s,
                         n->add[0]);
}

static double flops(const struct node *n)
{
    const struct tensor *x = n->input[0];
    return 4.0 * (double)n->output->numel * (double)x->shape[1];
}

static const struct op_case cases[] = {
    {1, {{0, 3, {2, 5, 3 * 2 * 4}, 0}}, {{2}, {0}}, 0},
    {1, {{0, 3, {1, 7, 3 * 3 * 3}, 0}}, {{3}, {0}}, 0},
    {1, {{0, 3, {1, 19, 3 * 1 * 32}, 0}}, {{1}, {0}}, 0},
    {1, {{0, 3, {2, 1, 3 * 8}, 0}}, {{1}, {0}}, 0},
    {1, {{0, 3, {2, 19, 3 * 2 * 5}, 0}}, {{2}, {0.4}}, 0},
    {2, {{0, 3, {3, 9, 3 * 2 * 4}, 0}, {TENSOR_INDEX, 1, {3}, 10}}, {{2}, {0}}, 0},
    {2, {{0, 3, {4, 5, 3 * 2 * 3}, 0}, {TENSOR_INDEX, 1, {4}, 4}}, {{2}, {0.3}}, 0},
    {0}};

const struct op op_attention = {
    .name = "attention",
    .help = "multi-head self-attention on fused query, key and value",
    .backward_needs = 1u << 0 | 1u << 1 | OP_NEEDS_OUTPUT,
    .backward_rounds = 1u << 0 | OP_NEEDS_OUTPUT,
    .no_gradient = 1u << 1,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .flops = flops,
    .cases = cases,
};
