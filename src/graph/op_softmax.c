#include "graph/ops.h"

struct tensor *t_softmax(struct tape *t, struct tensor *x)
{
    return tape_record(t, &op_softmax, 1, (struct tensor *[]){x}, NULL);
}

static void prepare(struct node *n) { node_output_like(n, n->input[0]); }

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *x = n->input[0];
    k->softmax_fwd(n->output->data, x->data, tensor_rows(x), tensor_width(x));
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *x = n->input[0];
    if (x->grad)
        k->softmax_bwd(x->grad, n->output->grad, n->output->data, tensor_rows(x), tensor_width(x),
                       n->add[0]);
}

static const struct op_case cases[] = {{1, {{0, 2, {3, 7}, 0}}, {{0}, {0}}, 0},
                                       {1, {{0, 3, {2, 2, 19}, 0}}, {{0}, {0}}, 0},
                                       {0}};

const struct op op_softmax = {
    .name = "softmax",
    .help = "softmax over the last axis",
    .backward_needs = OP_NEEDS_OUTPUT,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .cases = cases,
};
