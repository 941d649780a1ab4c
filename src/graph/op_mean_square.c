#include "graph/ops.h"

struct tensor *t_mean_square(struct tape *t, struct tensor *x)
{
    return tape_record(t, &op_mean_square, 1, (struct tensor *[]){x}, NULL);
}

static void prepare(struct node *n) { node_output(n, 1, (int64_t[]){1}); }

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *x = n->input[0];
    scalar_set(k, n->output->data, k->sum_squares(x->data, x->numel) / (double)x->numel, 0);
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *x = n->input[0];
    if (x->grad)
        k->scale(x->grad, x->data, 2 * scalar_get(k, n->output->grad) / (double)x->numel, x->numel,
                 n->add[0]);
}

static const struct op_case cases[] = {{1, {{0, 3, {2, 3, 5}, 0}}, {{0}, {0}}, 0}, {0}};

const struct op op_mean_square = {
    .name = "mean_square",
    .help = "mean of all squares",
    .backward_needs = 1u << 0,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .cases = cases,
};
