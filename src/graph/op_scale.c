#include "graph/ops.h"

struct tensor *t_scale(struct tape *t, struct tensor *x, double alpha)
{
    return tape_record(t, &op_scale, 1, (struct tensor *[]){x},
                       &(struct op_attributes){.f = {alpha}});
}

static void prepare(struct node *n) { node_output_like(n, n->input[0]); }

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    k->scale(n->output->data, n->input[0]->data, n->attr.f[0], n->output->numel, 0);
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    if (n->input[0]->grad)
        k->scale(n->input[0]->grad, n->output->grad, n->attr.f[0], n->output->numel, n->add[0]);
}

static const struct op_case cases[] = {{1, {{0, 2, {3, 7}, 0}}, {{0}, {-0.7}}, 0}, {0}};

const struct op op_scale = {
    .name = "scale",
    .help = "alpha x",
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .cases = cases,
};
