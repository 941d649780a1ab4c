/* Layer normalization over the last axis. Source: Ba et al. 2016, eq. 3-4. */
#include "graph/ops.h"

struct tensor *t_layernorm(struct tape *t, struct tensor *x, struct tensor *g, struct tensor *b,
                           double epsilon)
{
    return tape_record(t, &op_layernorm, 3, (struct tensor *[]){x, g, b},
                       &(struct op_attributes){.f = {epsilon}});
}

static void prepare(struct node *n)
{
    const struct tensor *x = n->input[0], *g = n->input[1], *b = n->input[2];
    node_check(n, !g == !b, "gain and offset come together");
    node_check(n, !g || (g->numel == tensor_width(x) && b->numel == g->numel), "gain is not [D]");
    node_output_like(n, x);
    n->saved_numel[0] = tensor_rows(x); /* mean */
    n->saved_numel[1] = tensor_rows(x); /* 1 / deviation */
    if (n->training && !x->needs_grad)  /* below is frozen: the kernel still writes dx somewhere */
        n->saved_numel[2] = x->numel;
}

static double epsilon_of(const struct node *n) { return n->attr.f[0] > 0 ? n->attr.f[0] : 1e-6; }

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *x = n->input[0], *g = n->input[1], *b = n->input[2];
    k->layernorm_fwd(n->output->data, n->saved[0], n->saved[1], x->data, g ? g->data : NULL,
                     b ? b->data : NULL, tensor_rows(x), tensor_width(x), epsilon_of(n));
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *x = n->input[0], *g = n->input[1], *b = n->input[2];
    k->layernorm_bwd(x->grad ? x->grad : n->saved[2], g ? g->grad : NULL, b ? b->grad : NULL,
                     n->output->grad, x->data, g ? g->data : NULL, n->saved[0], n->saved[1],
                     tensor_rows(x), tensor_width(x), n->add[0]);
}

static const struct op_case cases[] = {
    {3, {{0, 2, {5, 7}, 0}, {0, 1, {7}, 0}, {0, 1, {7}, 0}}, {{0}, {1e-6}}, 0},
    {3, {{0, 3, {2, 3, 33}, 0}, {0, 1, {33}, 0}, {0, 1, {33}, 0}}, {{0}, {1e-5}}, 0},
    {3, {{0, 2, {4, 16}, 0}, {0, 0, {0}, 0}, {0, 0, {0}, 0}}, {{0}, {1e-6}}, 0},
    {0}};

const struct op op_layernorm = {
    .name = "layernorm",
    .help = "layer normalization over the last axis",
    .cheap = true,
    .backward_needs = 1u << 0 | 1u << 1,
    .backward_rounds = 1u << 0,
    .always_adds = 1u << 1 | 1u << 2,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .cases = cases,
};
