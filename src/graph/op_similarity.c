/* Logits of contrastive coding. Source: van den Oord et al. 2018 (CPC), eq. 3-4; Baevski et al. 2020
 * (wav2vec 2.0), eq. 3. */
#include "graph/ops.h"

enum { X, TARGET, SAME, NEGATIVES };

struct tensor *t_similarity(struct tape *t, struct tensor *x, struct tensor *target,
                            struct tensor *same, struct tensor *negatives, double temperature)
{
    return tape_record(t, &op_similarity, 4, (struct tensor *[]){x, target, same, negatives},
                       &(struct op_attributes){.f = {temperature}});
}

static void prepare(struct node *n)
{
    const struct tensor *x = n->input[X], *negatives = n->input[NEGATIVES];
    node_check(n,
               x->rank == 3 && tensor_same_shape(x, n->input[TARGET]) &&
                   (!n->input[SAME] || tensor_same_shape(x, n->input[SAME])),
               "x, target and same are not [B,M,D]");
    node_check(n,
               negatives->rank == 3 && negatives->type == TENSOR_INDEX &&
                   negatives->shape[0] == x->shape[0] && negatives->shape[1] == x->shape[1],
               "negatives are not [B,M,K]");
    node_check(n, n->attr.f[0] > 0, "temperature is not positive");
    node_output(n, 3, (int64_t[]){x->shape[0], x->shape[1], 1 + negatives->shape[2]});
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *x = n->input[X], *negatives = n->input[NEGATIVES];
    k->similarity_fwd(n->output->data, x->data, n->input[TARGET]->data,
                      n->input[SAME] ? n->input[SAME]->data : NULL, negatives->data, tensor_rows(x),
                      tensor_width(x), tensor_width(negatives), n->attr.f[0]);
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *x = n->input[X], *negatives = n->input[NEGATIVES];
    k->similarity_bwd(x->grad, n->input[TARGET]->grad, n->output->grad, x->data,
                      n->input[TARGET]->data, negatives->data, tensor_rows(x), tensor_width(x),
                      tensor_width(negatives), n->attr.f[0], n->add[X], n->add[TARGET]);
}

static double flops(const struct node *n)
{
    return 2.0 * (double)n->output->numel * (double)tensor_width(n->input[X]);
}

static const struct op_case cases[] = {
    {4,
     {{0, 3, {2, 3, 5}, 0}, {0, 3, {2, 3, 5}, 0}, {0, 0, {0}, 0}, {TENSOR_INDEX, 3, {2, 3, 4}, 6}},
     {{0}, {0.1}},
     0},
    {4,
     {{0, 3, {1, 2, 19}, 0},
      {0, 3, {1, 2, 19}, 0},
      {0, 0, {0}, 0},
      {TENSOR_INDEX, 3, {1, 2, 1}, 2}},
     {{0}, {1}},
     0},
    {0}};

const struct op op_similarity = {
    .name = "similarity",
    .help = "products of each row with its target and with negatives",
    .backward_needs = 1u << X | 1u << TARGET | 1u << NEGATIVES,
    .no_gradient = 1u << SAME | 1u << NEGATIVES,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .flops = flops,
    .cases = cases,
};
