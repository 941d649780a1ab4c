/* Layer norm of a residual sum whose branch is a gated linear unit under dropout: the end of a layer in
 * one pass over memory. Of the four steps nothing is kept but the statistics; the backward pass makes
 * them again from what the branch and the stream were. Sources: Dauphin et al. 2017, eq. 1; Ba et al.
 * 2016, eq. 3-4. */
#include "graph/ops.h"

struct tensor *t_gated_norm(struct tape *t, struct tensor *x, struct tensor *h, struct tensor *g,
                            struct tensor *b, double p, double epsilon)
{
    return tape_record(t, &op_gated_norm, 4, (struct tensor *[]){x, h, g, b},
                       &(struct op_attributes){.f = {h->needs_grad ? p : 0, epsilon}});
}

static void prepare(struct node *n)
{
    const struct tensor *x = n->input[0], *h = n->input[1];
    node_check(n,
               tensor_width(h) == 2 * tensor_width(x) && tensor_rows(h) == tensor_rows(x) &&
                   n->input[2]->numel == tensor_width(x) && n->input[3]->numel == tensor_width(x),
               "not x [..,D], h [..,2D], gain and offset [D]");
    node_check(n, n->attr.f[0] >= 0 && n->attr.f[0] < 1, "dropout is not in [0,1)");
    node_output_like(n, x);
    n->saved_numel[0] = tensor_rows(x); /* mean */
    n->saved_numel[1] = tensor_rows(x); /* 1 / deviation */
}

/* One number of the generator for each element of a record. */
static struct dropout dropout_of(const struct node *n, const struct tape_step *s)
{
    int64_t record = n->output->numel / n->output->shape[0];
    return (struct dropout){n->attr.f[0], record, s->seed, s->step, (uint64_t)n->index};
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    const struct tensor *x = n->input[0], *h = n->input[1], *g = n->input[2], *b = n->input[3];
    struct dropout d = dropout_of(n, s);
    k->gated_norm_fwd(n->output->data, n->saved[0], n->saved[1], x->data, h->data, g->data, b->data,
                      tensor_rows(x), tensor_width(x), n->attr.f[1], d.p > 0 ? &d : NULL);
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    const struct tensor *x = n->input[0], *h = n->input[1], *g = n->input[2], *b = n->input[3];
    struct dropout d = dropout_of(n, s);
    k->gated_norm_bwd(x->grad, h->grad, g->grad, b->grad, n->output->grad, x->data, h->data,
                      g->data, n->saved[0], n->saved[1], tensor_rows(x), tensor_width(x),
                      d.p > 0 ? &d : NULL, n->add[0], n->add[1]);
}

#define INPUTS(ROWS, D)                                                                            \
    {0, 2, {ROWS, D}, 0}, {0, 2, {ROWS, 2 * (D)}, 0}, {0, 1, {D}, 0}, { 0, 1, {D}, 0 }

static const struct op_case cases[] = {
    {4, {INPUTS(5, 7)}, {{0}, {0, 1e-5}}, 0},
    {4, {INPUTS(3, 33)}, {{0}, {0.3, 1e-5}}, 0},
    {4,
     {{0, 3, {2, 5, 6}, 0}, {0, 3, {2, 5, 12}, 0}, {0, 1, {6}, 0}, {0, 1, {6}, 0}},
     {{0}, {0.2, 1e-3}},
     0},
    {0}};

const struct op op_gated_norm = {
    .name = "gated_norm",
    .help = "layer norm of a sum with a gated linear unit, with dropout",
    .backward_needs = 1u << 0 | 1u << 1 | 1u << 2,
    .always_adds = 1u << 2 | 1u << 3,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .cases = cases,
};
