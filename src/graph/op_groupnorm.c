/* Normalization of channel groups over the tokens of a record. Source: Wu and He 2018. */
#include "graph/ops.h"

struct tensor *t_groupnorm(struct tape *t, struct tensor *x, struct tensor *g, struct tensor *b,
                           int64_t groups, double epsilon)
{
    return tape_record(t, &op_groupnorm, 3, (struct tensor *[]){x, g, b},
                       &(struct op_attributes){.i = {groups}, .f = {epsilon}});
}

static void prepare(struct node *n)
{
    const struct tensor *x = n->input[0];
    int64_t groups = n->attr.i[0];
    node_check(n, x->rank == 3 && groups > 0 && x->shape[2] % groups == 0,
               "x is not [B,T,C] with C a multiple of the groups");
    node_check(n, n->input[1]->numel == x->shape[2] && n->input[2]->numel == x->shape[2],
               "gain or offset is not [C]");
    node_output_like(n, x);
    n->saved_numel[0] = x->shape[0] * groups; /* mean */
    n->saved_numel[1] = x->shape[0] * groups; /* 1 / deviation */
    if (n->training && !x->needs_grad)        /* below is frozen: dx still goes somewhere */
        n->saved_numel[2] = x->numel;
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *x = n->input[0];
    k->groupnorm_fwd(n->output->data, n->saved[0], n->saved[1], x->data, n->input[1]->data,
                     n->input[2]->data, x->shape[0], x->shape[1], x->shape[2], n->attr.i[0],
                     n->attr.f[0]);
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *x = n->input[0];
    k->groupnorm_bwd(x->grad ? x->grad : n->saved[2], n->input[1]->grad, n->input[2]->grad,
                     n->output->grad, x->data, n->input[1]->data, n->saved[0], n->saved[1],
                     x->shape[0], x->shape[1], x->shape[2], n->attr.i[0], n->add[0]);
}

static const struct op_case cases[] = {
    {3, {{0, 3, {2, 7, 3}, 0}, {0, 1, {3}, 0}, {0, 1, {3}, 0}}, {{3}, {1e-5}}, 0},
    {3, {{0, 3, {2, 5, 6}, 0}, {0, 1, {6}, 0}, {0, 1, {6}, 0}}, {{2}, {1e-5}}, 0},
    {3, {{0, 3, {1, 33, 35}, 0}, {0, 1, {35}, 0}, {0, 1, {35}, 0}}, {{1}, {1e-3}}, 0},
    {0}};

const struct op op_groupnorm = {
    .name = "groupnorm",
    .help = "normalization of channel groups over the tokens of a record",
    .cheap = true,
    .backward_needs = 1u << 0 | 1u << 1,
    .backward_rounds = 1u << 0,
    .always_adds = 1u << 1 | 1u << 2,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .cases = cases,
};
