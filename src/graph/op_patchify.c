#include "graph/ops.h"

struct tensor *t_patchify(struct tape *t, struct tensor *signal, int64_t patch, bool all_leads)
{
    return tape_record(t, &op_patchify, 1, (struct tensor *[]){signal},
                       &(struct op_attributes){.i = {patch, all_leads}});
}

static void prepare(struct node *n)
{
    const struct tensor *x = n->input[0];
    int64_t P = n->attr.i[0];
    node_check(n, x->rank == 3 && P > 0 && x->shape[2] % P == 0, "signal is not [B,L,N*P]");
    int64_t B = x->shape[0], L = x->shape[1], N = x->shape[2] / P;
    node_output(n, 3, n->attr.i[1] ? (int64_t[]){B, N, L * P} : (int64_t[]){B, L * N, P});
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *x = n->input[0];
    k->patchify_fwd(n->output->data, x->data, x->shape[0], x->shape[1], x->shape[2], n->attr.i[0],
                    (int)n->attr.i[1]);
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *x = n->input[0];
    if (x->grad)
        k->patchify_bwd(x->grad, n->output->grad, x->shape[0], x->shape[1], x->shape[2],
                        n->attr.i[0], (int)n->attr.i[1], n->add[0]);
}

static const struct op_case cases[] = {{1, {{0, 3, {2, 3, 15}, 0}}, {{5, 1}, {0}}, 0},
                                       {1, {{0, 3, {2, 3, 15}, 0}}, {{3, 0}, {0}}, 0},
                                       {0}};

const struct op op_patchify = {
    .name = "patchify",
    .help = "a signal cut into patches of all leads or of one",
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .cases = cases,
};
