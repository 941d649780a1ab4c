/* Multi-head self-attention on fused projections. Source: Vaswani et al. 2017, eq. 1. The scores are
 * recomputed in the backward pass from the saved log-sum (Dao et al. 2022), never stored. */
#include "graph/ops.h"

struct tensor *t_attention(struct tape *t, struct tensor *qkv, int64_t heads)
{
    return tape_record(t, &op_attention, 1, (struct tensor *[]){qkv},
                       &(struct op_attributes){.i = {heads}});
}

static void prepare(struct node *n)
{
    const struct tensor *qkv = n->input[0];
    int64_t H = n->attr.i[0];
    node_check(n, qkv->rank == 3 && H > 0 && qkv->shape[2] % (3 * H) == 0,
               "qkv is not [B,N,3*H*E]");
    node_output(n, 3, (int64_t[]){qkv->shape[0], qkv->shape[1], qkv->shape[2] / 3});
    n->saved_numel[0] = qkv->shape[0] * H * qkv->shape[1];
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *x = n->input[0];
    int64_t H = n->attr.i[0];
    k->attention_fwd(n->output->data, n->saved[0], x->data, x->shape[0], x->shape[1], H,
                     x->shape[2] / (3 * H));
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *x = n->input[0];
    int64_t H = n->attr.i[0];
    if (x->grad)
        k->attention_bwd(x->grad, n->output->grad, x->data, n->output->data, n->saved[0],
                         x->shape[0], x->shape[1], H, x->shape[2] / (3 * H), n->add[0]);
}

static double flops(const struct node *n)
{
    const struct tensor *x = n->input[0];
    return 4.0 * (double)n->output->numel * (double)x->shape[1];
}

static const struct op_case cases[] = {{1, {{0, 3, {2, 5, 3 * 2 * 4}, 0}}, {{2}, {0}}, 0},
                                       {1, {{0, 3, {1, 7, 3 * 3 * 3}, 0}}, {{3}, {0}}, 0},
                                       {1, {{0, 3, {1, 19, 3 * 1 * 32}, 0}}, {{1}, {0}}, 0},
                                       {1, {{0, 3, {2, 1, 3 * 8}, 0}}, {{1}, {0}}, 0},
                                       {0}};

const struct op op_attention = {
    .name = "attention",
    .help = "multi-head self-attention on fused query, key and value",
    .backward_needs = 1u << 0 | OP_NEEDS_OUTPUT,
    .backward_rounds = 1u << 0 | OP_NEEDS_OUTPUT,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .flops = flops,
    .cases = cases,
};
