/* How many codes are in use. Source: Baevski et al. 2020 (wav2vec 2.0), eq. 4. */
#include "graph/ops.h"

struct tensor *t_perplexity(struct tape *t, struct tensor *logits, struct tensor *index,
                            int64_t groups, bool hard)
{
    return tape_record(t, &op_perplexity, 2, (struct tensor *[]){logits, index},
                       &(struct op_attributes){.i = {groups, hard}});
}

static struct quantizer sizes(const struct node *n)
{
    return (struct quantizer){.M = tensor_rows(n->input[0]),
                              .groups = n->attr.i[0],
                              .codes = tensor_width(n->input[0]) / n->attr.i[0]};
}

static void prepare(struct node *n)
{
    const struct tensor *logits = n->input[0], *index = n->input[1];
    node_check(n, tensor_indexes_rows(index, logits),
               "logits are not [B,M,G*V] or index not [B,M]");
    node_check(n, n->attr.i[0] >= 1 && logits->shape[2] % n->attr.i[0] == 0,
               "groups do not divide the logits");
    node_output(n, 1, (int64_t[]){1});
    n->saved_numel[0] = logits->shape[2];
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *step)
{
    (void)step;
    struct quantizer s = sizes(n);
    k->perplexity_fwd(n->output->data, n->saved[0], n->input[0]->data, n->input[1]->data, &s,
                      (int)n->attr.i[1]);
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *step)
{
    (void)step;
    struct quantizer s = sizes(n);
    ASSERT(!n->attr.i[1], "counts of codes have no gradient");
    if (n->input[0]->grad)
        k->perplexity_bwd(n->input[0]->grad, n->output->grad, n->saved[0], n->input[0]->data,
                          n->input[1]->data, &s, n->add[0]);
}

static const struct op_case cases[] = {
    {2, {{0, 3, {2, 3, 8}, 0}, {TENSOR_INDEX, 2, {2, 3}, 2}}, {{2, 0}, {0}}, 0},
    {2, {{0, 3, {1, 4, 5}, 0}, {TENSOR_INDEX, 2, {1, 4}, 4}}, {{1, 0}, {0}}, 0},
    {0}};

const struct op op_perplexity = {
    .name = "perplexity",
    .help = "number of codes in use, summed over groups",
    .backward_needs = 1u << 0 | 1u << 1,
    .no_gradient = 1u << 1,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .cases = cases,
};
