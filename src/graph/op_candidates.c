/* Logits of contrastive coding where candidates are of the same record, or of a group of records beside each
 * other: all products of the rows and keys of a group are made as those of a linear layer, group by group, and
 * the wanted ones picked. For a hundred candidates that is less work than products one by one, with a few
 * records in a group about as much.
 * Source: van den Oord et al. 2018 (CPC), eq. 3-4. */
#include "graph/ops.h"

enum { X, KEYS, PICKS };

struct tensor *t_candidates(struct tape *t, struct tensor *x, struct tensor *keys,
                            struct tensor *picks, int64_t group)
{
    return tape_record(t, &op_candidates, 3, (struct tensor *[]){x, keys, picks},
                       &(struct op_attributes){.i = {group}});
}

static void prepare(struct node *n)
{
    const struct tensor *x = n->input[X], *keys = n->input[KEYS], *picks = n->input[PICKS];
    node_check(n,
               x->rank == 3 && keys->rank == 3 && x->shape[0] == keys->shape[0] &&
                   x->shape[2] == keys->shape[2],
               "x is not [B,M,D] or keys not [B,N,D]");
    node_check(n,
               picks->rank == 3 && picks->type == TENSOR_INDEX && picks->shape[0] == x->shape[0] &&
                   picks->shape[1] == x->shape[1],
               "picks are not [B,M,K]");
    int64_t group = n->attr.i[0];
    node_check(n, group > 0 && x->shape[0] % group == 0, "records are not in groups of that size");
    node_check(n, x->shape[1] <= INT32_MAX / group && keys->shape[1] <= INT32_MAX / group,
               "too many tokens in a group");
    node_output(n, 3, picks->shape);
    n->saved_numel[0] = group * x->shape[1] * group * keys->shape[1]; /* the products of a group */
}

static const void *at(const struct backend *k, const void *data, int64_t element)
{
    return (const char *)data + (size_t)element * k->real_size;
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *x = n->input[X], *keys = n->input[KEYS], *picks = n->input[PICKS];
    int64_t group = n->attr.i[0], M = group * x->shape[1], N = group * keys->shape[1];
    int64_t D = x->shape[2], K = picks->shape[2];
    for (int64_t b = 0; b < x->shape[0] / group; b++) {
        k->linear_fwd(n->saved[0], at(k, x->data, b * M * D), at(k, keys->data, b * N * D), NULL, M,
                      N, D, ACTIVATION_NONE);
        k->pick_fwd((void *)at(k, n->output->data, b * M * K), n->saved[0],
                    (const int32_t *)picks->data + b * M * K, M, N, K);
    }
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *x = n->input[X], *keys = n->input[KEYS], *picks = n->input[PICKS];
    int64_t group = n->attr.i[0], M = group * x->shape[1], N = group * keys->shape[1];
    int64_t D = x->shape[2], K = picks->shape[2];
    for (int64_t b = 0; b < x->shape[0] / group; b++) {
        k->pick_bwd(n->saved[0], at(k, n->output->grad, b * M * K),
                    (const int32_t *)picks->data + b * M * K, M, N, K);
        if (x->grad)
            k->linear_bwd_x((void *)at(k, x->grad, b * M * D), n->saved[0],
                            at(k, keys->data, b * N * D), M, N, D, n->add[X]);
        if (keys->grad)
            k->linear_bwd_w((void *)at(k, keys->grad, b * N * D), NULL, n->saved[0],
                            at(k, x->data, b * M * D), M, N, D, n->add[KEYS]);
    }
}

static double flops(const struct node *n)
{
    const struct tensor *keys = n->input[KEYS];
    return 2.0 * (double)n->input[X]->numel * (double)(n->attr.i[0] * keys->shape[1]);
}

static const struct op_case cases[] = {
    {3,
     {{0, 3, {2, 3, 5}, 0}, {0, 3, {2, 4, 5}, 0}, {TENSOR_INDEX, 3, {2, 3, 4}, 4}},
     {{1}, {0}},
     0},
    {3,
     {{0, 3, {3, 2, 19}, 0}, {0, 3, {3, 1, 19}, 0}, {TENSOR_INDEX, 3, {3, 2, 1}, 1}},
     {{1}, {0}},
     0},
    {3,
     {{0, 3, {4, 3, 5}, 0}, {0, 3, {4, 2, 5}, 0}, {TENSOR_INDEX, 3, {4, 3, 3}, 4}},
     {{2}, {0}},
     0},
    {0}};

const struct op op_candidates = {
    .name = "candidates",
    .help = "products of each row with chosen rows of its record, or of its group of records",
    .backward_needs = 1u << X | 1u << KEYS | 1u << PICKS,
    .backward_rounds = 1u << X | 1u << KEYS,
    .no_gradient = 1u << PICKS,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .flops = flops,
    .cases = cases,
};
