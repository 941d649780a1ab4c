/* Convolution over tokens, channels in groups: zero padding of width / 2 in front, the rest behind, or
 * none. With a magnitude the weights are normed by tap inside the kernels, so that packing
 * multiplies them out once, and in training no second copy of them is kept. */
#include "graph/ops.h"
#include "kernel/storage.h"

enum { TAPS_MAX = 1024 }; /* with a magnitude */

static struct tensor *record(struct tape *t, struct tensor *x, struct tensor *w, struct tensor *b,
                             struct tensor *magnitude, int64_t groups, int64_t stride, bool padded,
                             enum activation act)
{
    /* The gradient of an activation needs what it was given. */
    bool fused = !tape_is_training(t);
    int64_t skip = padded ? 0 : w->shape[2] / 2;
    struct tensor *y =
        tape_record(t, &op_conv, 4, (struct tensor *[]){x, w, b, magnitude},
                    &(struct op_attributes){
                        .i = {groups, fused ? act : ACTIVATION_NONE, stride - 1, skip}});
    return fused || act == ACTIVATION_NONE ? y : t_activation(t, y, act);
}

struct tensor *t_conv(struct tape *t, struct tensor *x, struct tensor *w, struct tensor *b,
                      struct tensor *magnitude, int64_t groups, enum activation act)
{
    return record(t, x, w, b, magnitude, groups, 1, true, act);
}

struct tensor *t_conv_strided(struct tape *t, struct tensor *x, struct tensor *w, struct tensor *b,
                              int64_t groups, int64_t stride, bool padded, enum activation act)
{
    return record(t, x, w, b, NULL, groups, stride, padded, act);
}

static struct conv sizes(const struct node *n)
{
    const struct tensor *x = n->input[0], *w = n->input[1];
    return (struct conv){.B = x->shape[0],
                         .T = x->shape[1],
                         .C = x->shape[2],
                         .O = w->shape[0],
                         .width = w->shape[2],
                         .groups = n->attr.i[0],
                         .stride = n->attr.i[2] + 1,
                         .skip = n->attr.i[3]};
}

static const struct tensor *magnitude(const struct node *n)
{
    return n->input_count > 3 ? n->input[3] : NULL;
}

static void prepare(struct node *n)
{
    const struct tensor *x = n->input[0], *w = n->input[1], *b = n->input[2], *g = magnitude(n);
    node_check(n, x->rank == 3 && w->rank == 3, "x is not [B,T,C] or w not [O,C/groups,width]");
    struct conv s = sizes(n);
    node_check(n,
               s.groups > 0 && s.C % s.groups == 0 && s.O % s.groups == 0 &&
                   w->shape[1] == s.C / s.groups,
               "channels of x are not groups times those of w");
    node_check(n, s.stride > 0 && s.skip >= 0 && s.skip <= s.width / 2 && s.T > 2 * s.skip,
               "no stride, or fewer tokens than the width");
    node_check(n, !b || b->numel == s.O, "bias is not [O]");
    node_check(n, !g || (g->numel == s.width && s.width <= TAPS_MAX),
               "magnitude is not [width], at most 1024");
    if (g) {
        n->saved_numel[0] = 2 * s.width; /* taps, norms */
        n->saved_numel[1] = n->training && (w->needs_grad || g->needs_grad) ? w->numel : 0;
    }
    node_check(n, !n->training || n->attr.i[1] == ACTIVATION_NONE, "activation while training");
    node_output(n, 3, (int64_t[]){s.B, conv_tokens(&s), s.O});
}

static void *norms(const struct backend *k, void *taps, int64_t width)
{
    return (char *)taps + (size_t)width * k->real_size;
}

/* The factors of the taps, if there is a magnitude, to taps[2,width]. */
static void weight_norm(const struct backend *k, const struct node *n, void *taps, struct conv *s)
{
    const struct tensor *w = n->input[1];
    if (!magnitude(n))
        return;
    struct weight stored = w->data ? (struct weight){w->data, STORAGE_F32, NULL} : w->weight;
    k->weight_norm_fwd(taps, norms(k, taps, s->width), &stored, magnitude(n)->data, s->O,
                       s->C / s->groups, s->width);
    s->taps = taps;
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *step)
{
    (void)step;
    struct conv s = sizes(n);
    if (!n->packed)
        weight_norm(k, n, n->saved[0], &s);
    enum activation act = (enum activation)n->attr.i[1];
    const void *bias = n->input[2] ? n->input[2]->data : NULL;
    const struct tensor *x = n->input[0], *w = n->input[1];
    if (n->packed)
        k->conv_packed(n->output->data, x->data, n->packed, bias, &s, act);
    else if (w->data)
        k->conv_fwd(n->output->data, x->data, w->data, bias, &s, act);
    else
        k->conv_stored(n->output->data, x->data, &w->weight, bias, &s, act);
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *step)
{
    (void)step;
    struct conv s = sizes(n);
    const struct tensor *x = n->input[0], *w = n->input[1], *b = n->input[2], *g = magnitude(n);
    void *db = b ? b->grad : NULL, *dg = g ? g->grad : NULL;
    s.taps = g ? n->saved[0] : NULL;
    if (x->grad)
        k->conv_bwd_x(x->grad, n->output->grad, w->data, &s, n->add[0]);
    if (g && (w->grad || dg)) {
        void *taps = n->saved[0], *dw = n->saved[1];
        k->conv_bwd_w(dw, db, n->output->grad, x->data, &s, 0);
        k->weight_norm_bwd(w->grad, dg, dw, w->data, taps, norms(k, taps, s.width), s.O,
                           s.C / s.groups, s.width, n->add[1]);
    } else if (w->grad)
        k->conv_bwd_w(w->grad, db, n->output->grad, x->data, &s, n->add[1]);
    else if (db)
        k->add_rows_bwd(db, n->output->grad, s.B * conv_tokens(&s), s.O);
}

static size_t pack_bytes(const struct backend *k, const struct node *n)
{
    struct conv s = sizes(n);
    return k->conv_pack_bytes(&s);
}

static void pack(const struct backend *k, const struct node *n, void *packed)
{
    struct conv s = sizes(n);
    double taps[2 * TAPS_MAX]; /* of either type of real */
    weight_norm(k, n, taps, &s);
    k->conv_pack(packed, &n->input[1]->weight, &s);
}

static double flops(const struct node *n)
{
    const struct tensor *w = n->input[1];
    return 2.0 * (double)n->output->numel * (double)(w->shape[1] * w->shape[2]);
}

static const struct op_case cases[] = {
    {3, {{0, 3, {2, 7, 6}, 0}, {0, 3, {4, 3, 4}, 0}, {0, 1, {4}, 0}}, {{2}, {0}}, 0},
    {3, {{0, 3, {1, 9, 5}, 0}, {0, 3, {3, 5, 3}, 0}, {0, 0, {0}, 0}}, {{1}, {0}}, 0},
    {3, {{0, 3, {2, 3, 4}, 0}, {0, 3, {4, 1, 9}, 0}, {0, 1, {4}, 0}}, {{4}, {0}}, 0},
    {3, {{0, 3, {1, 40, 14}, 0}, {0, 3, {26, 7, 10}, 0}, {0, 1, {26}, 0}}, {{2}, {0}}, 0},
    {3, {{0, 3, {1, 20, 16}, 0}, {0, 3, {18, 8, 33}, 0}, {0, 1, {18}, 0}}, {{2}, {0}}, 0},
    {4,
     {{0, 3, {2, 7, 6}, 0}, {0, 3, {4, 3, 4}, 0}, {0, 1, {4}, 0}, {0, 1, {4}, 0}},
     {{2}, {0}},
     0},
    /* strides, with and without padding; wider than the record; in groups */
    {3, {{0, 3, {3, 13, 6}, 0}, {0, 3, {5, 6, 5}, 0}, {0, 1, {5}, 0}}, {{1, 0, 1}, {0}}, 0},
    {3, {{0, 3, {2, 40, 3}, 0}, {0, 3, {20, 3, 7}, 0}, {0, 1, {20}, 0}}, {{1, 0, 2, 3}, {0}}, 0},
    {3, {{0, 3, {2, 9, 33}, 0}, {0, 3, {37, 33, 1}, 0}, {0, 0, {0}, 0}}, {{1, 0, 1}, {0}}, 0},
    {3, {{0, 3, {3, 2, 4}, 0}, {0, 3, {3, 4, 5}, 0}, {0, 0, {0}, 0}}, {{1, 0, 0}, {0}}, 0},
    {3, {{0, 3, {2, 8, 5}, 0}, {0, 3, {4, 5, 2}, 0}, {0, 0, {0}, 0}}, {{1, 0, 2}, {0}}, 0},
    {3, {{0, 3, {2, 11, 6}, 0}, {0, 3, {4, 3, 4}, 0}, {0, 1, {4}, 0}}, {{2, 0, 2}, {0}}, 0},
    {3, {{0, 3, {2, 11, 6}, 0}, {0, 3, {4, 3, 5}, 0}, {0, 1, {4}, 0}}, {{2, 0, 1, 2}, {0}}, 0},
    {4,
     {{0, 3, {1, 20, 16}, 0}, {0, 3, {18, 8, 33}, 0}, {0, 0, {0}, 0}, {0, 1, {33}, 0}},
     {{2}, {0}},
     0},
    {0}};

const struct op op_conv = {
    .name = "conv",
    .help = "convolution over tokens in groups of channels, with a stride",
    .backward_needs = 1u << 0 | 1u << 1,
    .backward_rounds = 1u << 0,
    .always_adds = 1u << 2 | 1u << 3,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .flops = flops,
    .packs = 1u << 1,
    .reads_stored = true,
    .pack_bytes = pack_bytes,
    .pack = pack,
    .cases = cases,
};
