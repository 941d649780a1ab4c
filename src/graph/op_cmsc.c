/* Contrast of adjacent segments of records. Source: Kiyasseh et al. 2021 (CLOCS), eq. 1-3, with several
 * positives to a row; Oh et al. 2022 (arXiv 2203.06889). */
#include "graph/ops.h"

struct tensor *t_cmsc(struct tape *t, struct tensor *z, struct tensor *record, double temperature)
{
    return tape_record(t, &op_cmsc, 2, (struct tensor *[]){z, record},
                       &(struct op_attributes){.f = {temperature}});
}

static void prepare(struct node *n)
{
    const struct tensor *z = n->input[0], *record = n->input[1];
    node_check(n,
               z->rank == 2 && record->rank == 1 && record->type == TENSOR_INDEX &&
                   z->shape[0] == 2 * record->shape[0],
               "z is not [2P,D] or record not [P]");
    node_check(n, n->attr.f[0] > 0, "temperature is not positive");
    node_output(n, 1, (int64_t[]){1});
    n->saved_numel[0] = record->numel * record->numel;
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *z = n->input[0];
    k->cmsc_fwd(n->output->data, n->saved[0], z->data, n->input[1]->data, z->shape[0] / 2,
                z->shape[1], n->attr.f[0]);
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *z = n->input[0];
    if (z->grad)
        k->cmsc_bwd(z->grad, n->output->grad, n->saved[0], z->data, z->shape[0] / 2, z->shape[1],
                    n->attr.f[0], n->add[0]);
}

static double flops(const struct node *n)
{
    return (double)n->input[0]->shape[0] / 2 * (double)n->input[0]->numel;
}

static const struct op_case cases[] = {
    {2, {{0, 2, {6, 5}, 0}, {TENSOR_INDEX, 1, {3}, 3}}, {{0}, {0.5}}, 0},
    /* The last three are of one record. */
    {2, {{0, 2, {10, 7}, 0}, {TENSOR_INDEX, 1, {5}, 2}}, {{0}, {0.2}}, 0},
    {0}};

const struct op op_cmsc = {
    .name = "cmsc",
    .help = "contrastive loss between pairs, those of a record alike",
    .backward_needs = 1u << 0,
    .no_gradient = 1u << 1,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .flops = flops,
    .cases = cases,
};
