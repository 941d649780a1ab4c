/* InfoNCE of rows whose first logit is that of the positive. Source: van den Oord et al. 2018, eq. 4. */
#include "graph/ops.h"

struct tensor *t_first_class(struct tape *t, struct tensor *logits, struct tensor *index)
{
    return tape_record(t, &op_first_class, 2, (struct tensor *[]){logits, index}, NULL);
}

static void prepare(struct node *n)
{
    const struct tensor *logits = n->input[0], *index = n->input[1];
    node_check(n, tensor_indexes_rows(index, logits), "logits are not [B,M,K] or index not [B,M]");
    node_output(n, 1, (int64_t[]){1});
    n->saved_numel[0] = index->numel;
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *logits = n->input[0];
    k->first_class_fwd(n->output->data, n->saved[0], logits->data, n->input[1]->data,
                       tensor_rows(logits), tensor_width(logits));
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *logits = n->input[0];
    if (logits->grad)
        k->first_class_bwd(logits->grad, n->output->grad, n->saved[0], logits->data,
                           n->input[1]->data, tensor_rows(logits), tensor_width(logits), n->add[0]);
}

static const struct op_case cases[] = {
    {2, {{0, 3, {2, 3, 5}, 0}, {TENSOR_INDEX, 2, {2, 3}, 2}}, {{0}, {0}}, 0},
    {2, {{0, 3, {1, 2, 1}, 0}, {TENSOR_INDEX, 2, {1, 2}, 2}}, {{0}, {0}}, 0},
    {0}};

const struct op op_first_class = {
    .name = "first_class",
    .help = "cross entropy of the first class, mean over rows",
    .backward_needs = 1u << 0 | 1u << 1,
    .no_gradient = 1u << 1,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .cases = cases,
};
