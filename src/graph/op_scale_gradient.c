/* The identity, for parts of a network that are to learn more slowly than the rest. */
#include "graph/ops.h"

struct tensor *t_scale_gradient(struct tape *t, struct tensor *x, double alpha)
{
    if (alpha == 1 || !x->needs_grad)
        return x;
    return tape_record(t, &op_scale_gradient, 1, (struct tensor *[]){x},
                       &(struct op_attributes){.f = {alpha}});
}

static void prepare(struct node *n) { node_output_like(n, n->input[0]); }

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    k->scale(n->output->data, n->input[0]->data, 1, n->output->numel, 0);
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    if (n->input[0]->grad)
        k->scale(n->input[0]->grad, n->output->grad, n->attr.f[0], n->output->numel, n->add[0]);
}

static const struct op_case cases[] = {{1, {{0, 2, {3, 7}, 0}}, {{0}, {1}}, 0}, {0}};

const struct op op_scale_gradient = {
    .name = "scale_gradient",
    .help = "x, its gradient times alpha",
    .cheap = true,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .cases = cases,
};
