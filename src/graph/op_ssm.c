/* Diagonal state space model: each channel convolved with its own long kernel, made of decaying
 * oscillations. Source: Gu et al. 2022 (S4D). The kernel is never written out: its states are carried along the
 * tokens, so that a sequence may be of any length. */
#include "graph/ops.h"

enum { X, STEP, REAL, IMAGINARY, OUTPUT, SKIP, INPUTS };

struct tensor *t_ssm(struct tape *t, struct tensor *x, struct tensor *step, struct tensor *real,
                     struct tensor *imaginary, struct tensor *output, struct tensor *skip)
{
    return tape_record(t, &op_ssm, INPUTS,
                       (struct tensor *[]){x, step, real, imaginary, output, skip}, NULL);
}

static void prepare(struct node *n)
{
    const struct tensor *x = n->input[X], *real = n->input[REAL], *output = n->input[OUTPUT];
    node_check(n, x->rank == 3, "x is not [B,T,H]");
    int64_t H = x->shape[2];
    node_check(n, n->input[STEP]->numel == H && n->input[SKIP]->numel == H,
               "step or skip is not [H]");
    node_check(n,
               real->rank == 2 && real->shape[0] == H &&
                   tensor_same_shape(real, n->input[IMAGINARY]),
               "real or imaginary is not [H,N]");
    node_check(n,
               output->rank == 4 && output->shape[0] <= 2 && output->shape[1] == H &&
                   output->shape[2] == real->shape[1] && output->shape[3] == 2,
               "output is not [1 or 2,H,N,2]");
    node_output_like(n, x);
}

static struct ssm model(const struct node *n)
{
    const struct tensor *x = n->input[X], *output = n->input[OUTPUT];
    return (struct ssm){.B = x->shape[0],
                        .T = x->shape[1],
                        .H = x->shape[2],
                        .N = output->shape[2],
                        .directions = output->shape[0],
                        .step = n->input[STEP]->data,
                        .real = n->input[REAL]->data,
                        .imaginary = n->input[IMAGINARY]->data,
                        .output = output->data,
                        .skip = n->input[SKIP]->data};
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    struct ssm m = model(n);
    k->ssm_fwd(n->output->data, n->input[X]->data, &m);
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    struct ssm m = model(n);
    struct ssm_gradients d = {n->input[STEP]->grad, n->input[REAL]->grad, n->input[IMAGINARY]->grad,
                              n->input[OUTPUT]->grad, n->input[SKIP]->grad};
    k->ssm_bwd(n->input[X]->grad, &d, n->output->grad, n->input[X]->data, &m, n->add[X]);
}

/* Two multiplications of complex numbers, and the sums, for each state. */
static double flops(const struct node *n)
{
    const struct tensor *output = n->input[OUTPUT];
    return (double)n->output->numel * (2 + 13.0 * (double)(output->shape[0] * output->shape[2]));
}

#define PARAMETERS(D, H, N)                                                                        \
    {0, 1, {H}, 0}, {0, 2, {H, N}, 0}, {0, 2, {H, N}, 0}, {0, 4, {D, H, N, 2}, 0}, { 0, 1, {H}, 0 }

static const struct op_case cases[] = {
    {6, {{0, 3, {1, 1, 1}, 0}, PARAMETERS(1, 1, 1)}, {{0}, {0}}, 0},
    {6, {{0, 3, {2, 7, 3}, 0}, PARAMETERS(1, 3, 2)}, {{0}, {0}}, 0},
    {6, {{0, 3, {2, 6, 2}, 0}, PARAMETERS(2, 2, 3)}, {{0}, {0}}, 0},
    {6, {{0, 3, {1, 19, 17}, 0}, PARAMETERS(2, 17, 4)}, {{0}, {0}}, 0},
    {6, {{0, 3, {3, 5, 2}, 0}, PARAMETERS(2, 2, 5)}, {{0}, {0}}, 0},
    {0}};

const struct op op_ssm = {
    .name = "ssm",
    .help = "diagonal state space model of each channel over the tokens, causal or both ways",
    .backward_needs =
        1u << X | 1u << STEP | 1u << REAL | 1u << IMAGINARY | 1u << OUTPUT | 1u << SKIP,
    .always_adds = 1u << STEP | 1u << REAL | 1u << IMAGINARY | 1u << OUTPUT | 1u << SKIP,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .flops = flops,
    .cases = cases,
};
