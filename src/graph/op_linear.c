#include "graph/ops.h"

struct tensor *t_linear(struct tape *t, struct tensor *x, struct tensor *w, struct tensor *b,
                        enum activation act)
{
    /* The gradient of an activation needs what it was given. */
    bool fused = !tape_is_training(t);
    struct tensor *y = tape_record(t, &op_linear, 3, (struct tensor *[]){x, w, b},
                                   &(struct op_attributes){.i = {fused ? act : ACTIVATION_NONE}});
    return fused || act == ACTIVATION_NONE ? y : t_activation(t, y, act);
}

static void prepare(struct node *n)
{
    const struct tensor *x = n->input[0], *w = n->input[1], *b = n->input[2];
    node_check(n, w->numel == w->shape[0] * w->shape[1] && tensor_width(x) == w->shape[1],
               "width of x is not that of w");
    node_check(n, !b || (b->rank == 1 && b->shape[0] == w->shape[0]), "bias is not [N]");
    node_check(n, !n->training || n->attr.i[0] == ACTIVATION_NONE, "activation while training");
    int64_t shape[TENSOR_RANK_MAX];
    for (int i = 0; i < x->rank; i++)
        shape[i] = x->shape[i];
    shape[x->rank - 1] = w->shape[0];
    node_output(n, x->rank, shape);
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *x = n->input[0], *w = n->input[1], *b = n->input[2];
    int64_t M = tensor_rows(x), N = w->shape[0], K = w->shape[1];
    enum activation act = (enum activation)n->attr.i[0];
    const void *bias = b ? b->data : NULL;
    if (n->packed)
        k->linear_packed(n->output->data, x->data, n->packed, bias, M, N, K, act);
    else
        k->linear_fwd(n->output->data, x->data, w->data, bias, M, N, K, act);
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *x = n->input[0], *w = n->input[1], *b = n->input[2];
    int64_t M = tensor_rows(x), N = w->shape[0], K = w->shape[1];
    const void *dy = n->output->grad;
    if (x->grad)
        k->linear_bwd_x(x->grad, dy, w->data, M, N, K, n->add[0]);
    void *db = b ? b->grad : NULL;
    if (w->grad)
        k->linear_bwd_w(w->grad, db, dy, x->data, M, N, K, n->add[1]);
    else if (db)
        k->add_rows_bwd(db, dy, M, N);
}

static size_t pack_bytes(const struct backend *k, const struct node *n)
{
    return k->pack_bytes(n->input[1]->shape[0], n->input[1]->shape[1]);
}

static void pack(const struct backend *k, const struct node *n, void *packed)
{
    const struct tensor *w = n->input[1];
    k->pack(packed, &w->weight, w->shape[0], w->shape[1]);
}

static double flops(const struct node *n)
{
    return 2.0 * (double)n->output->numel * (double)n->input[1]->shape[1];
}

static const struct op_case cases[] = {
    {3, {{0, 2, {5, 7}, 0}, {0, 2, {3, 7}, 0}, {0, 1, {3}, 0}}, {{ACTIVATION_NONE}, {0}}, 0},
    {3, {{0, 3, {2, 3, 5}, 0}, {0, 2, {9, 5}, 0}, {0, 1, {9}, 0}}, {{ACTIVATION_NONE}, {0}}, 0},
    {3, {{0, 2, {4, 6}, 0}, {0, 2, {8, 6}, 0}, {0, 0, {0}, 0}}, {{ACTIVATION_NONE}, {0}}, 0},
    {3, {{0, 2, {1, 17}, 0}, {0, 2, {1, 17}, 0}, {0, 0, {0}, 0}}, {{ACTIVATION_NONE}, {0}}, 0},
    {0}};

const struct op op_linear = {
    .name = "linear",
    .help = "act(x w^T + b)",
    .backward_needs = 1u << 0 | 1u << 1,
    .backward_rounds = 1u << 0,
    .always_adds = 1u << 2,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .flops = flops,
    .packs = 1u << 1,
    .pack_bytes = pack_bytes,
    .pack = pack,
    .cases = cases,
};
