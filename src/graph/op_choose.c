/* One of two, at random for the whole batch. Both are computed: the tape does not change. */
#include "base/rng.h"
#include "graph/ops.h"

struct tensor *t_choose(struct tape *t, struct tensor *x, struct tensor *other, double p)
{
    if (p <= 0 || !x->needs_grad)
        return x;
    return tape_record(t, &op_choose, 2, (struct tensor *[]){x, other},
                       &(struct op_attributes){.f = {p}});
}

static void prepare(struct node *n)
{
    node_check(n, tensor_same_shape(n->input[0], n->input[1]), "shapes differ");
    node_output_like(n, n->input[0]);
}

/* Of a run: the input that is chosen. */
static int chosen(const struct node *n, const struct tape_step *s)
{
    struct rng r =
        rng_at(s->seed + (uint64_t)n->index * 0x9E3779B97F4A7C15u, RNG_STREAM_DROPOUT, s->step, 0);
    return rng_uniform(&r) <= n->attr.f[0];
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    k->scale(n->output->data, n->input[chosen(n, s)]->data, 1, n->output->numel, 0);
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    for (int i = 0; i < 2; i++)
        if (n->input[i]->grad)
            k->scale(n->input[i]->grad, n->output->grad, chosen(n, s) == i, n->output->numel,
                     n->add[i]);
}

static const struct op_case cases[] = {
    {2, {{0, 2, {3, 7}, 0}, {0, 2, {3, 7}, 0}}, {{0}, {0.001}}, 0},
    {2, {{0, 2, {3, 7}, 0}, {0, 2, {3, 7}, 0}}, {{0}, {0.999}}, 0},
    {0}};

const struct op op_choose = {
    .name = "choose",
    .help = "one of two, at random for the whole batch",
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .cases = cases,
};
