/* Product quantization by Gumbel softmax, straight through. Source: Jang et al. 2017, section 2.2;
 * Baevski et al. 2020 (wav2vec 2.0), section 2. */
#include "graph/ops.h"

enum { LOGITS, CODES, NOISE, TEMPERATURE, INDEX };
enum { SOFT, PICK };

struct tensor *t_quantize(struct tape *t, struct tensor *logits, struct tensor *codes,
                          struct tensor *noise, struct tensor *temperature, struct tensor *index,
                          int64_t groups)
{
    return tape_record(t, &op_quantize, 5,
                       (struct tensor *[]){logits, codes, noise, temperature, index},
                       &(struct op_attributes){.i = {groups, 0}});
}

/* attr: groups, and whether the output is the blend itself, which has this gradient by right: the
 * cases are checked so. */
static struct quantizer sizes(const struct node *n)
{
    return (struct quantizer){.M = tensor_rows(n->input[LOGITS]),
                              .groups = n->attr.i[0],
                              .codes = tensor_width(n->input[LOGITS]) / n->attr.i[0],
                              .width = tensor_width(n->input[CODES])};
}

static void prepare(struct node *n)
{
    const struct tensor *logits = n->input[LOGITS], *codes = n->input[CODES];
    const struct tensor *noise = n->input[NOISE], *index = n->input[INDEX];
    node_check(n, tensor_indexes_rows(index, logits),
               "logits are not [B,M,G*V] or index not [B,M]");
    node_check(n, n->attr.i[0] >= 1 && logits->shape[2] % n->attr.i[0] == 0,
               "groups do not divide the logits");
    node_check(n, codes->rank == 2 && codes->shape[0] == logits->shape[2], "codes are not [G*V,W]");
    node_check(n, !noise || tensor_same_shape(noise, logits), "noise is not like the logits");
    node_check(n, n->input[TEMPERATURE]->numel == 1, "temperature is not one number");
    struct quantizer s = sizes(n);
    node_output(n, 3, (int64_t[]){logits->shape[0], logits->shape[1], s.groups * s.width});
    n->saved_numel[SOFT] = n->training || n->attr.i[1] ? logits->numel : 0;
    n->saved_numel[PICK] = s.M * s.groups;
    n->saved_is_index[PICK] = true;
}

static void forward(const struct backend *k, const struct node *n, const struct tape_step *step)
{
    (void)step;
    struct quantizer s = sizes(n);
    k->quantize_fwd(n->output->data, n->saved[SOFT], n->saved[PICK], n->input[LOGITS]->data,
                    n->input[NOISE] ? n->input[NOISE]->data : NULL, n->input[CODES]->data,
                    n->input[INDEX]->data, &s, scalar_get(k, n->input[TEMPERATURE]->data),
                    (int)n->attr.i[1]);
}

static void backward(const struct backend *k, const struct node *n, const struct tape_step *step)
{
    (void)step;
    struct quantizer s = sizes(n);
    k->quantize_bwd(n->input[LOGITS]->grad, n->input[CODES]->grad, n->output->grad, n->saved[SOFT],
                    n->saved[PICK], n->input[CODES]->data, n->input[INDEX]->data, &s,
                    scalar_get(k, n->input[TEMPERATURE]->data), (int)n->attr.i[1], n->add[LOGITS]);
}

static double flops(const struct node *n)
{
    /* None forward; backward each row meets all codes of its group: counted as a third. */
    return 2.0 * (double)n->input[LOGITS]->numel * (double)tensor_width(n->input[CODES]) / 3;
}

static const struct op_case cases[] = {{5,
                                        {{0, 3, {2, 3, 8}, 0},
                                         {0, 2, {8, 5}, 0},
                                         {0, 3, {2, 3, 8}, 0},
                                         {0, 1, {1}, 0},
                                         {TENSOR_INDEX, 2, {2, 3}, 2}},
                                        {{2, 1}, {0}},
                                        0},
                                       {5,
                                        {{0, 3, {1, 4, 3}, 0},
                                         {0, 2, {3, 2}, 0},
                                         {0, 0, {0}, 0},
                                         {0, 1, {1}, 0},
                                         {TENSOR_INDEX, 2, {1, 4}, 4}},
                                        {{1, 1}, {0}},
                                        0},
                                       {0}};

const struct op op_quantize = {
    .name = "quantize",
    .help = "the likeliest code of each group, with the gradient of a mean of all codes",
    .backward_needs = 1u << CODES | 1u << TEMPERATURE | 1u << INDEX,
    .always_adds = 1u << CODES,
    .no_gradient = 1u << NOISE | 1u << TEMPERATURE | 1u << INDEX,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .flops = flops,
    .cases = cases,
};
