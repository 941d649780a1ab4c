/* How many windows each record has: t_fold over a batch whose records are not of one length. */
#include "graph/ops.h"

struct tensor *t_fold_lengths(struct tape *t, struct tensor *lengths, int64_t width, int64_t stride,
                              int64_t most)
{
    return tape_record(t, &op_fold_lengths, 1, (struct tensor *[]){lengths},
                       &(struct op_attributes){.i = {width, stride, most}});
}

static void prepare(struct node *n)
{
    node_check(n, n->input[0]->type == TENSOR_INDEX && n->attr.i[0] > 0 && n->attr.i[1] > 0,
               "lengths are no indices");
    node_output_like(n, n->input[0]);
    n->output->type = TENSOR_INDEX;
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)k, (void)s;
    const int32_t *from = n->input[0]->data;
    int32_t *to = n->output->data;
    int64_t width = n->attr.i[0], stride = n->attr.i[1], most = n->attr.i[2];
    for (int64_t b = 0; b < n->output->numel; b++) {
        int64_t count = from[b] < width ? 0 : (from[b] - width) / stride + 1;
        to[b] = (int32_t)(count < most ? count : most);
    }
}

/* Nothing to differentiate. */
static void backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)k, (void)n, (void)s;
}

static const struct op_case cases[] = {{1, {{TENSOR_INDEX, 1, {7}, 20}}, {{4, 3, 4}, {0}}, 0}, {0}};

const struct op op_fold_lengths = {
    .name = "fold_lengths",
    .help = "windows of tokens in each record",
    .no_gradient = 1u << 0,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .cases = cases,
};
