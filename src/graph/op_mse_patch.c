/* Reconstruction error on masked patches. Source: He et al. 2022 (MAE), "Reconstruction target". */
#include "graph/ops.h"

struct tensor *t_mse_patch(struct tape *t, struct tensor *pred, struct tensor *target,
                           struct tensor *index, bool normalize)
{
    return tape_record(t, &op_mse_patch, 3, (struct tensor *[]){pred, target, index},
                       &(struct op_attributes){.i = {normalize}});
}

static void prepare(struct node *n)
{
    const struct tensor *pred = n->input[0], *target = n->input[1], *index = n->input[2];
    node_check(n,
               pred->rank == 3 && target->rank == 3 && index->rank == 2 &&
                   index->type == TENSOR_INDEX && pred->shape[0] == target->shape[0] &&
                   pred->shape[2] == target->shape[2] && index->shape[0] == pred->shape[0] &&
                   index->shape[1] == pred->shape[1],
               "pred is not [B,J,P], target not [B,N,P] or index not [B,J]");
    node_check(n, !n->attr.i[0] || pred->shape[2] > 1, "a patch of one value has no deviation");
    node_output(n, 1, (int64_t[]){1});
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *pred = n->input[0], *target = n->input[1];
    k->mse_patch_fwd(n->output->data, pred->data, target->data, n->input[2]->data, pred->shape[0],
                     target->shape[1], pred->shape[1], pred->shape[2], (int)n->attr.i[0]);
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *pred = n->input[0], *target = n->input[1];
    if (pred->grad)
        k->mse_patch_bwd(pred->grad, n->output->grad, pred->data, target->data, n->input[2]->data,
                         pred->shape[0], target->shape[1], pred->shape[1], pred->shape[2],
                         (int)n->attr.i[0], n->add[0]);
}

static const struct op_case cases[] = {
    {3, {{0, 3, {2, 3, 5}, 0}, {0, 3, {2, 4, 5}, 0}, {TENSOR_INDEX, 2, {2, 3}, 4}}, {{1}, {0}}, 0},
    {3, {{0, 3, {1, 1, 7}, 0}, {0, 3, {1, 4, 7}, 0}, {TENSOR_INDEX, 2, {1, 1}, 4}}, {{0}, {0}}, 0},
    {0}};

const struct op op_mse_patch = {
    .name = "mse_patch",
    .help = "mean squared error on chosen patches, standardized by patch if asked",
    .backward_needs = 1u << 0 | 1u << 1 | 1u << 2,
    .no_gradient = 1u << 1 | 1u << 2,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .cases = cases,
};
