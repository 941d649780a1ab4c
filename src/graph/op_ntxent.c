/* Normalized temperature-scaled cross entropy. Source: Chen et al. 2020 (SimCLR), eq. 1. */
#include "graph/ops.h"

struct tensor *t_ntxent(struct tape *t, struct tensor *z, double temperature)
{
    return tape_record(t, &op_ntxent, 1, (struct tensor *[]){z},
                       &(struct op_attributes){.f = {temperature}});
}

static void prepare(struct node *n)
{
    const struct tensor *z = n->input[0];
    node_check(n, z->rank == 2 && z->shape[0] % 2 == 0 && z->shape[0] >= 4,
               "z is not [2B,D] with at least two records");
    node_check(n, n->attr.f[0] > 0, "temperature is not positive");
    node_output(n, 1, (int64_t[]){1});
    n->saved_numel[0] = z->shape[0] * z->shape[0];
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *z = n->input[0];
    k->ntxent_fwd(n->output->data, n->saved[0], z->data, z->shape[0] / 2, z->shape[1],
                  n->attr.f[0]);
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *z = n->input[0];
    if (z->grad)
        k->ntxent_bwd(z->grad, n->output->grad, n->saved[0], z->data, z->shape[0] / 2, z->shape[1],
                      n->attr.f[0], n->add[0]);
}

static double flops(const struct node *n)
{
    const struct tensor *z = n->input[0];
    return 2.0 * (double)z->shape[0] * (double)z->numel;
}

static const struct op_case cases[] = {{1, {{0, 2, {6, 5}, 0}}, {{0}, {0.5}}, 0},
                                       {1, {{0, 2, {4, 3}, 0}}, {{0}, {0.2}}, 0},
                                       {0}};

const struct op op_ntxent = {
    .name = "ntxent",
    .help = "contrastive loss between two views of each record",
    .backward_needs = 1u << 0,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .flops = flops,
    .cases = cases,
};
