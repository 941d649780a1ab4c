/* Dropout (Srivastava et al. 2014) and drop path (Huang et al. 2016). The mask is never stored: the
 * backward pass draws it again from (seed, step, node). */
#include "graph/ops.h"

struct tensor *t_dropout(struct tape *t, struct tensor *x, double p, bool whole)
{
    if (p <= 0 || !x->needs_grad)
        return x;
    return tape_record(t, &op_dropout, 1, (struct tensor *[]){x},
                       &(struct op_attributes){.i = {whole}, .f = {p}});
}

struct tensor *t_dropout_always(struct tape *t, struct tensor *x, double p)
{
    if (p <= 0 || !tape_is_training(t))
        return x;
    return tape_record(t, &op_dropout, 1, (struct tensor *[]){x},
                       &(struct op_attributes){.f = {p}});
}

static void prepare(struct node *n)
{
    node_check(n, n->attr.f[0] >= 0 && n->attr.f[0] < 1, "probability is not in [0,1)");
    node_output_like(n, n->input[0]);
}

static void apply(const struct backend *k, const struct node *n, const struct tape_step *s, void *y,
                  const void *x, int add)
{
    int64_t group = n->output->numel / n->output->shape[0];
    k->dropout(y, x, n->output->numel, group, n->attr.f[0], (int)n->attr.i[0], s->seed, s->step,
               (uint64_t)n->index, add);
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    apply(k, n, s, n->output->data, n->input[0]->data, 0);
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    if (n->input[0]->grad)
        apply(k, n, s, n->input[0]->grad, n->output->grad, n->add[0]);
}

static const struct op_case cases[] = {{1, {{0, 2, {5, 9}, 0}}, {{0}, {0.3}}, 0},
                                       {1, {{0, 3, {6, 2, 3}, 0}}, {{1}, {0.5}}, 0},
                                       {0}};

const struct op op_dropout = {
    .name = "dropout",
    .help = "elements or whole records zeroed at random, the rest scaled up",
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .cases = cases,
};
