#include <string.h>

#include "graph/ops.h"

struct tensor *t_concat(struct tape *t, struct tensor *a, struct tensor *b)
{
    return tape_record(t, &op_concat, 2, (struct tensor *[]){a, b}, NULL);
}

static void prepare(struct node *n)
{
    const struct tensor *a = n->input[0], *b = n->input[1];
    node_check(n, a->rank == 2 && b->rank == 2 && a->shape[0] == b->shape[0],
               "a is not [M,X] or b not [M,Y]");
    node_output(n, 2, (int64_t[]){a->shape[0], a->shape[1] + b->shape[1]});
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    char *y = n->output->data;
    size_t width[2] = {(size_t)n->input[0]->shape[1] * k->real_size,
                       (size_t)n->input[1]->shape[1] * k->real_size};
    for (int64_t m = 0; m < n->output->shape[0]; m++)
        for (int i = 0; i < 2; i++) {
            memcpy(y, (const char *)n->input[i]->data + (size_t)m * width[i], width[i]);
            y += width[i];
        }
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    const char *dy = n->output->grad;
    for (int64_t m = 0; m < n->output->shape[0]; m++)
        for (int i = 0; i < 2; i++) {
            struct tensor *x = n->input[i];
            size_t width = (size_t)x->shape[1] * k->real_size;
            if (x->grad)
                k->scale((char *)x->grad + (size_t)m * width, dy, 1.0, x->shape[1], n->add[i]);
            dy += width;
        }
}

static const struct op_case cases[] = {{2, {{0, 2, {3, 5}, 0}, {0, 2, {3, 2}, 0}}, {{0}, {0}}, 0},
                                       {0}};

const struct op op_concat = {
    .name = "concat",
    .help = "two matrices side by side",
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .cases = cases,
};
