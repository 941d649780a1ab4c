/* What attention looks at, made again from its queries and keys: to be seen, not to be learned from, so
 * it has no gradient and the attention that runs stays the fused one. */
#include "graph/ops.h"

struct tensor *t_attention_weights(struct tape *t, struct tensor *qkv, struct tensor *lengths,
                                   int64_t heads, bool highest)
{
    return tape_record(t, &op_attention_weights, 2, (struct tensor *[]){qkv, lengths},
                       &(struct op_attributes){.i = {heads, highest}});
}

static void prepare(struct node *n)
{
    const struct tensor *qkv = n->input[0], *lengths = n->input[1];
    int64_t H = n->attr.i[0];
    node_check(n, qkv->rank == 3 && H > 0 && qkv->shape[2] % (3 * H) == 0,
               "qkv is not [B,N,3*H*E]");
    int64_t B = qkv->shape[0], N = qkv->shape[1];
    node_check(n, !lengths || (lengths->type == TENSOR_INDEX && lengths->numel == B),
               "lengths is not [B] of indices");
    node_output(n, n->attr.i[1] ? 2 : 3, (int64_t[]){B, N, N});
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *x = n->input[0], *lengths = n->input[1];
    struct attention shape = {.B = x->shape[0],
                              .N = x->shape[1],
                              .H = n->attr.i[0],
                              .E = x->shape[2] / (3 * n->attr.i[0]),
                              .lengths = lengths ? lengths->data : NULL};
    k->attention_weights(n->output->data, x->data, &shape, (int)n->attr.i[1]);
}

static double flops(const struct node *n)
{
    const struct tensor *x = n->input[0];
    return 2.0 / 3 * (double)x->numel * (double)x->shape[1];
}

static const struct op_case cases[] = {
    {2, {{0, 3, {2, 5, 3 * 2 * 4}, 0}}, {{2, 0}, {0}}, 0},
    {2, {{0, 3, {1, 7, 3 * 3 * 3}, 0}}, {{3, 1}, {0}}, 0},
    {2, {{0, 3, {3, 19, 3 * 1 * 32}, 0}, {TENSOR_INDEX, 1, {3}, 20}}, {{1, 0}, {0}}, 0},
    {2, {{0, 3, {3, 50, 3 * 8}, 0}, {TENSOR_INDEX, 1, {3}, 51}}, {{1, 1}, {0}}, 0},
    {0}};

const struct op op_attention_weights = {
    .name = "attention_weights",
    .help = "what each token attends to, averaged over the heads; no gradient",
    .no_gradient = 1u << 0 | 1u << 1,
    .prepare = prepare,
    .forward = forward,
    .flops = flops,
    .cases = cases,
};
