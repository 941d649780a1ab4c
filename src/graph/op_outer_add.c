#include "graph/ops.h"

struct tensor *t_outer_add(struct tape *t, struct tensor *a, struct tensor *b)
{
    return tape_record(t, &op_outer_add, 2, (struct tensor *[]){a, b}, NULL);
}

static void prepare(struct node *n)
{
    const struct tensor *a = n->input[0], *b = n->input[1];
    node_check(n, a->rank == 2 && b->rank == 2 && a->shape[1] == b->shape[1],
               "a is not [L,D] or b not [N,D]");
    node_output(n, 2, (int64_t[]){a->shape[0] * b->shape[0], a->shape[1]});
}

/* Row l of something with `row` elements each. */
static void *row_at(void *base, int64_t l, int64_t row, const struct backend *k)
{
    return (char *)base + (size_t)(l * row) * k->real_size;
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *a = n->input[0], *b = n->input[1];
    int64_t L = a->shape[0], N = b->shape[0], D = a->shape[1];
    for (int64_t l = 0; l < L; l++)
        k->add_rows_fwd(row_at(n->output->data, l, N * D, k), b->data, row_at(a->data, l, D, k), N,
                        D);
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const struct tensor *a = n->input[0], *b = n->input[1];
    int64_t L = a->shape[0], N = b->shape[0], D = a->shape[1];
    for (int64_t l = 0; l < L && a->grad; l++)
        k->add_rows_bwd(row_at(a->grad, l, D, k), row_at(n->output->grad, l, N * D, k), N, D);
    if (b->grad)
        k->add_rows_bwd(b->grad, n->output->grad, L, N * D);
}

static const struct op_case cases[] = {{2, {{0, 2, {3, 5}, 0}, {0, 2, {4, 5}, 0}}, {{0}, {0}}, 0},
                                       {0}};

const struct op op_outer_add = {
    .name = "outer_add",
    .help = "every row of a plus every row of b",
    .always_adds = 1u << 0 | 1u << 1,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .cases = cases,
};
