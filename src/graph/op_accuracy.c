#include "graph/ops.h"

struct tensor *t_accuracy(struct tape *t, struct tensor *logits, struct tensor *index)
{
    return tape_record(t, &op_accuracy, 2, (struct tensor *[]){logits, index}, NULL);
}

static void prepare(struct node *n)
{
    const struct tensor *logits = n->input[0], *index = n->input[1];
    node_check(n, tensor_indexes_rows(index, logits), "logits are not [B,M,K] or index not [B,M]");
    node_output(n, 1, (int64_t[]){1});
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *logits = n->input[0];
    k->accuracy(n->output->data, logits->data, n->input[1]->data, tensor_rows(logits),
                tensor_width(logits));
}

/* No gradient flows, so nobody asks. */
static void backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)k;
    (void)s;
    BUG("op %s has no gradient", n->op->name);
}

static const struct op_case cases[] = {
    {2, {{0, 3, {4, 5, 2}, 0}, {TENSOR_INDEX, 2, {4, 5}, 4}}, {{0}, {0}}, 0}, {0}};

const struct op op_accuracy = {
    .name = "accuracy",
    .help = "share of rows whose first logit is the largest",
    .no_gradient = 1u << 0 | 1u << 1,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .cases = cases,
};
