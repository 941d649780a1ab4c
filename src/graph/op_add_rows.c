#include "graph/ops.h"

struct tensor *t_add_rows(struct tape *t, struct tensor *x, struct tensor *p)
{
    return tape_record(t, &op_add_rows, 2, (struct tensor *[]){x, p}, NULL);
}

static void prepare(struct node *n)
{
    node_check(n, n->input[0]->numel % n->input[1]->numel == 0, "x is no multiple of p");
    node_output_like(n, n->input[0]);
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    int64_t size = n->input[1]->numel;
    k->add_rows_fwd(n->output->data, n->input[0]->data, n->input[1]->data, n->output->numel / size,
                    size);
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    int64_t size = n->input[1]->numel;
    node_pass_gradient(k, n, 0);
    if (n->input[1]->grad)
        k->add_rows_bwd(n->input[1]->grad, n->output->grad, n->output->numel / size, size);
}

static const struct op_case cases[] = {
    {2, {{0, 3, {2, 3, 5}, 0}, {0, 2, {3, 5}, 0}}, {{0}, {0}}, 0},
    {2, {{0, 2, {7, 3}, 0}, {0, 1, {3}, 0}}, {{0}, {0}}, 0},
    {0}};

const struct op op_add_rows = {
    .name = "add_rows",
    .help = "x + p, p repeated over the leading axes",
    .passes = 1u << 0,
    .always_adds = 1u << 1,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .cases = cases,
};
