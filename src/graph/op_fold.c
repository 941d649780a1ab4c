#include "graph/ops.h"

struct tensor *t_fold(struct tape *t, struct tensor *x, int64_t width, int64_t stride)
{
    return tape_record(t, &op_fold, 1, (struct tensor *[]){x},
                       &(struct op_attributes){.i = {width, stride}});
}

static void prepare(struct node *n)
{
    const struct tensor *x = n->input[0];
    int64_t width = n->attr.i[0], stride = n->attr.i[1];
    node_check(n, x->rank == 3 && width > 0 && stride > 0 && x->shape[1] >= width,
               "x is not [B,T,C] with at least one window of tokens");
    node_output(n, 3,
                (int64_t[]){x->shape[0], (x->shape[1] - width) / stride + 1, width * x->shape[2]});
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *x = n->input[0];
    k->fold_fwd(n->output->data, x->data, x->shape[0], x->shape[1], x->shape[2], n->attr.i[0],
                n->attr.i[1]);
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *x = n->input[0];
    if (x->grad)
        k->fold_bwd(x->grad, n->output->grad, x->shape[0], x->shape[1], x->shape[2], n->attr.i[0],
                    n->attr.i[1], n->add[0]);
}

static const struct op_case cases[] = {{1, {{0, 3, {2, 7, 3}, 0}}, {{2, 2}, {0}}, 0},
                                       {1, {{0, 3, {2, 9, 2}, 0}}, {{4, 3}, {0}}, 0},
                                       {1, {{0, 3, {1, 9, 2}, 0}}, {{1, 3}, {0}}, 0},
                                       {0}};

const struct op op_fold = {
    .name = "fold",
    .help = "windows of tokens as wider tokens: a convolution is a linear layer on them",
    .cheap = true,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .cases = cases,
};
