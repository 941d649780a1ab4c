#include "graph/ops.h"

struct tensor *t_clear_after(struct tape *t, struct tensor *x, struct tensor *lengths)
{
    return tape_record(t, &op_clear_after, 2, (struct tensor *[]){x, lengths}, NULL);
}

static void prepare(struct node *n)
{
    const struct tensor *x = n->input[0], *lengths = n->input[1];
    node_check(n, x->rank == 3 && lengths->type == TENSOR_INDEX && lengths->numel == x->shape[0],
               "x is not [B,N,D] or lengths not [B] of indices");
    node_output_like(n, x);
}

static void apply(const struct backend *k, const struct node *n, void *y, const void *x, int add)
{
    const int64_t *shape = n->output->shape;
    k->clear_after(y, x, n->input[1]->data, shape[0], shape[1], shape[2], add);
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    apply(k, n, n->output->data, n->input[0]->data, 0);
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    if (n->input[0]->grad)
        apply(k, n, n->input[0]->grad, n->output->grad, n->add[0]);
}

static const struct op_case cases[] = {
    {2, {{0, 3, {4, 3, 5}, 0}, {TENSOR_INDEX, 1, {4}, 4}}, {{0}, {0}}, 0}, {0}};

const struct op op_clear_after = {
    .name = "clear_after",
    .help = "tokens after each record's length set to zero",
    .backward_needs = 1u << 1,
    .no_gradient = 1u << 1,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .cases = cases,
};
