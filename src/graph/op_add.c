#include "graph/ops.h"

struct tensor *t_add(struct tape *t, struct tensor *a, struct tensor *b)
{
    return tape_record(t, &op_add, 2, (struct tensor *[]){a, b}, NULL);
}

static void prepare(struct node *n)
{
    node_check(n, tensor_same_shape(n->input[0], n->input[1]), "shapes differ");
    node_output_like(n, n->input[0]);
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    k->add(n->output->data, n->input[0]->data, n->input[1]->data, n->output->numel);
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    for (int i = 0; i < 2; i++)
        node_pass_gradient(k, n, i);
}

static const struct op_case cases[] = {{2, {{0, 2, {3, 7}, 0}, {0, 2, {3, 7}, 0}}, {{0}, {0}}, 0},
                                       {2, {{0, 1, {1}, 0}, {0, 1, {1}, 0}}, {{0}, {0}}, 0},
                                       {0}};

const struct op op_add = {
    .name = "add",
    .help = "a + b",
    .passes = 1u << 0 | 1u << 1,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .cases = cases,
};
