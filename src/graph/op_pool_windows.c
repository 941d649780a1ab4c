#include "graph/ops.h"

struct tensor *t_pool_windows(struct tape *t, struct tensor *x, enum pool_kind kind, int64_t width,
                              int64_t stride, int64_t padding, bool ceil)
{
    return tape_record(t, &op_pool_windows, 1, (struct tensor *[]){x},
                       &(struct op_attributes){.i = {kind, width, stride, 2 * padding + ceil}});
}

static struct windows sizes(const struct node *n)
{
    const struct tensor *x = n->input[0];
    return (struct windows){.B = x->shape[0],
                            .T = x->shape[1],
                            .C = x->shape[2],
                            .kind = (enum pool_kind)n->attr.i[0],
                            .width = n->attr.i[1],
                            .stride = n->attr.i[2],
                            .padding = n->attr.i[3] / 2,
                            .ceil = n->attr.i[3] % 2};
}

static void prepare(struct node *n)
{
    node_check(n, n->input[0]->rank == 3, "x is not [B,T,C]");
    struct windows s = sizes(n);
    node_check(n, s.width > 0 && s.stride > 0 && s.padding >= 0 && s.padding <= s.width / 2,
               "no width or stride, or padding over half the width");
    node_check(n, s.T + 2 * s.padding >= s.width || s.ceil, "fewer tokens than the width");
    int64_t N = window_tokens(&s);
    node_output(n, 3, (int64_t[]){s.B, N, s.C});
    if (s.kind == POOL_MAX) {
        n->saved_numel[0] = s.B * N * s.C;
        n->saved_is_index[0] = true;
    }
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *step)
{
    (void)step;
    struct windows s = sizes(n);
    k->pool_windows_fwd(n->output->data, n->saved[0], n->input[0]->data, &s);
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *step)
{
    (void)step;
    struct windows s = sizes(n);
    if (n->input[0]->grad)
        k->pool_windows_bwd(n->input[0]->grad, n->output->grad, n->saved[0], &s, n->add[0]);
}

static const struct op_case cases[] = {{1, {{0, 3, {2, 9, 19}, 0}}, {{POOL_MAX, 3, 2, 2}, {0}}, 0},
                                       {1, {{0, 3, {2, 10, 3}, 0}}, {{POOL_MAX, 2, 2, 0}, {0}}, 0},
                                       {1, {{0, 3, {2, 7, 18}, 0}}, {{POOL_MEAN, 2, 2, 1}, {0}}, 0},
                                       {1, {{0, 3, {2, 8, 5}, 0}}, {{POOL_MEAN, 4, 3, 3}, {0}}, 0},
                                       {1, {{0, 3, {1, 1, 5}, 0}}, {{POOL_MEAN, 2, 2, 1}, {0}}, 0},
                                       {0}};

const struct op op_pool_windows = {
    .name = "pool_windows",
    .help = "mean or maximum of windows of tokens",
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .cases = cases,
};
