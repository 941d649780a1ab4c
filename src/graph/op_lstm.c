/* A layer of long short-term memory. What comes from its input is the product of a linear layer, for all
 * tokens at once; here is what comes from the token before.
 * Source: Hochreiter and Schmidhuber 1997; Gers et al. 2000 (forget gate). */
#include "graph/ops.h"

struct tensor *t_lstm(struct tape *t, struct tensor *x, struct tensor *w)
{
    return tape_record(t, &op_lstm, 2, (struct tensor *[]){x, w}, NULL);
}

static void prepare(struct node *n)
{
    const struct tensor *x = n->input[0], *w = n->input[1];
    node_check(n,
               x->rank == 3 && w->rank == 2 && w->shape[0] == x->shape[2] &&
                   w->shape[0] == 4 * w->shape[1],
               "x is not [B,T,4H] or w not [4H,H]");
    node_output(n, 3, (int64_t[]){x->shape[0], x->shape[1], w->shape[1]});
    if (n->training) {
        n->saved_numel[0] = x->numel;         /* gates */
        n->saved_numel[1] = n->output->numel; /* cells */
    }
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *x = n->input[0], *w = n->input[1];
    k->lstm_fwd(n->output->data, n->saved[0], n->saved[1], x->data, w->data, x->shape[0],
                x->shape[1], w->shape[1]);
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *x = n->input[0], *w = n->input[1];
    if (x->grad || w->grad)
        k->lstm_bwd(x->grad, w->grad, n->output->grad, n->output->data, n->saved[0], n->saved[1],
                    w->data, x->shape[0], x->shape[1], w->shape[1], n->add[0], n->add[1]);
}

static double flops(const struct node *n)
{
    return 2.0 * (double)n->input[0]->numel * (double)n->input[1]->shape[1];
}

static const struct op_case cases[] = {
    {2, {{0, 3, {2, 5, 12}, 0}, {0, 2, {12, 3}, 0}}, {{0}, {0}}, 0},
    {2, {{0, 3, {3, 1, 8}, 0}, {0, 2, {8, 2}, 0}}, {{0}, {0}}, 0},
    {2, {{0, 3, {1, 9, 76}, 0}, {0, 2, {76, 19}, 0}}, {{0}, {0}}, 0},
    {0}};

const struct op op_lstm = {
    .name = "lstm",
    .help = "a layer of long short-term memory",
    .backward_needs = OP_NEEDS_OUTPUT | 1u << 1,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .flops = flops,
    .cases = cases,
};
