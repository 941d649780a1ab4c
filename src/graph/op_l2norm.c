#include "graph/ops.h"

#include <math.h>

struct tensor *t_l2norm(struct tape *t, struct tensor *x)
{
    return tape_record(t, &op_l2norm, 1, (struct tensor *[]){x}, NULL);
}

struct tensor *t_l2norm_detached(struct tape *t, struct tensor *x)
{
    return tape_record(t, &op_l2norm, 1, (struct tensor *[]){x},
                       &(struct op_attributes){.i = {true}});
}

static const double smallest_norm = 1e-8;

static void prepare(struct node *n)
{
    node_output_like(n, n->input[0]);
    n->saved_numel[0] = tensor_rows(n->input[0]);
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *x = n->input[0];
    k->l2norm_fwd(n->output->data, n->saved[0], x->data, tensor_rows(x), tensor_width(x),
                  smallest_norm);
    /* To the kernel a negative norm is one that no gradient flows through. */
    for (int64_t i = 0; n->attr.i[0] && i < n->saved_numel[0]; i++) {
        void *norm = (char *)n->saved[0] + (size_t)i * k->real_size;
        scalar_set(k, norm, -fabs(scalar_get(k, norm)), 0);
    }
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *x = n->input[0];
    if (x->grad)
        k->l2norm_bwd(x->grad, n->output->grad, n->output->data, n->saved[0], tensor_rows(x),
                      tensor_width(x), n->add[0]);
}

static const struct op_case cases[] = {{1, {{0, 2, {3, 7}, 0}}, {{0}, {0}}, 0}, {0}};

const struct op op_l2norm = {
    .name = "l2norm",
    .help = "rows scaled to length one",
    .backward_needs = OP_NEEDS_OUTPUT,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .cases = cases,
};
