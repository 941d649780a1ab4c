#include "graph/ops.h"

struct tensor *t_diversity(struct tape *t, struct tensor *perplexity, int64_t count)
{
    return tape_record(t, &op_diversity, 1, (struct tensor *[]){perplexity},
                       &(struct op_attributes){.i = {count}});
}

static void prepare(struct node *n)
{
    node_check(n, n->input[0]->numel == 1 && n->attr.i[0] > 0, "perplexity is not one number");
    node_output(n, 1, (int64_t[]){1});
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    double count = (double)n->attr.i[0];
    scalar_set(k, n->output->data, (count - scalar_get(k, n->input[0]->data)) / count, 0);
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    if (n->input[0]->grad)
        scalar_set(k, n->input[0]->grad, -scalar_get(k, n->output->grad) / (double)n->attr.i[0],
                   n->add[0]);
}

static const struct op_case cases[] = {{1, {{0, 1, {1}, 0}}, {{640}, {0}}, 0}, {0}};

const struct op op_diversity = {
    .name = "diversity",
    .help = "share of the codes that are not in use",
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .cases = cases,
};
