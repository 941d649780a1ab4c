/* Gated linear unit over the last axis: its first half by the logistic function of its second. Source:
 * Dauphin et al. 2017. */
#include "graph/ops.h"

struct tensor *t_glu(struct tape *t, struct tensor *x)
{
    return tape_record(t, &op_glu, 1, (struct tensor *[]){x}, NULL);
}

static void prepare(struct node *n)
{
    const struct tensor *x = n->input[0];
    node_check(n, tensor_width(x) % 2 == 0, "width is not even");
    int64_t shape[TENSOR_RANK_MAX];
    for (int i = 0; i < x->rank; i++)
        shape[i] = x->shape[i];
    shape[x->rank - 1] /= 2;
    node_output(n, x->rank, shape);
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    k->glu_fwd(n->output->data, n->input[0]->data, tensor_rows(n->output), tensor_width(n->output));
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    if (n->input[0]->grad)
        k->glu_bwd(n->input[0]->grad, n->output->grad, n->input[0]->data, tensor_rows(n->output),
                   tensor_width(n->output), n->add[0]);
}

static const struct op_case cases[] = {{1, {{0, 2, {3, 14}, 0}}, {{0}, {0}}, 0},
                                       {1, {{0, 3, {2, 3, 66}, 0}}, {{0}, {0}}, 0},
                                       {1, {{0, 1, {2}, 0}}, {{0}, {0}}, 0},
                                       {0}};

const struct op op_glu = {
    .name = "glu",
    .help = "first half of the last axis by the logistic function of the second",
    .cheap = true,
    .backward_needs = 1u << 0,
    .backward_rounds = 1u << 0,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .cases = cases,
};
