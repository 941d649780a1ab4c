/* Pooling by attention: one learned query, whose heads each weigh the tokens for themselves.
 * Source: Vaswani et al. 2017 section 3.2.2 with a query that no token makes; Lee et al. 2019 (Set
 * Transformer), section 3.2, with one seed. */
#include <string.h>

#include "graph/ops.h"

struct tensor *t_attend(struct tape *t, struct tensor *query, struct tensor *kv,
                        struct tensor *lengths, int64_t heads)
{
    return tape_record(t, &op_attend, 3, (struct tensor *[]){query, kv, lengths},
                       &(struct op_attributes){.i = {heads}});
}

static const int32_t *lengths_data(const struct node *n)
{
    return n->input_count > 2 && n->input[2] ? n->input[2]->data : NULL;
}

static int64_t head_width(const struct node *n) { return n->input[0]->numel / n->attr.i[0]; }

static void prepare(struct node *n)
{
    const struct tensor *q = n->input[0], *kv = n->input[1];
    const struct tensor *lengths = n->input_count > 2 ? n->input[2] : NULL;
    int64_t H = n->attr.i[0];
    node_check(n, q->rank == 1 && H > 0 && q->shape[0] % H == 0, "query is not [H*E]");
    node_check(n, kv->rank == 3 && kv->shape[2] == 2 * q->shape[0], "kv is not [B,N,2*H*E]");
    node_check(n, !lengths || (lengths->type == TENSOR_INDEX && lengths->numel == kv->shape[0]),
               "lengths is not [B] of indices");
    node_output(n, 2, (int64_t[]){kv->shape[0], q->shape[0]});
    n->saved_numel[0] = kv->shape[0] * H * kv->shape[1];
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *kv = n->input[1];
    k->attend_fwd(n->output->data, n->saved[0], n->input[0]->data, kv->data, lengths_data(n),
                  kv->shape[0], kv->shape[1], n->attr.i[0], head_width(n));
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *q = n->input[0], *kv = n->input[1];
    if (q->grad || kv->grad)
        k->attend_bwd(q->grad, kv->grad, n->output->grad, n->saved[0], q->data, kv->data,
                      lengths_data(n), kv->shape[0], kv->shape[1], n->attr.i[0], head_width(n),
                      n->add[1]);
}

static double flops(const struct node *n) { return 2.0 * (double)n->input[1]->numel; }

static const struct op_case cases[] = {
    {2, {{0, 1, {6}, 0}, {0, 3, {2, 5, 12}, 0}}, {{2}, {0}}, 0},
    {2, {{0, 1, {5}, 0}, {0, 3, {3, 1, 10}, 0}}, {{1}, {0}}, 0},
    {3, {{0, 1, {8}, 0}, {0, 3, {4, 3, 16}, 0}, {TENSOR_INDEX, 1, {4}, 4}}, {{4}, {0}}, 0},
    {0}};

const struct op op_attend = {
    .name = "attend",
    .help = "mean over tokens, weighted by attention of a learned query",
    .backward_needs = 1u << 0 | 1u << 1 | 1u << 2,
    .always_adds = 1u << 0,
    .no_gradient = 1u << 2,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .flops = flops,
    .cases = cases,
};
