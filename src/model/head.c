#include "model/head.h"

#include <math.h>
#include <string.h>

const struct option head_rows[] = {
    OPT_INT(head_config, width, "128", 1, 65536, NULL, "hidden width of the head mlp"),
    OPT_FLOAT(head_config, dropout, "0.5", 0, 0.99, NULL,
              "dropout before its last layer in training"),
    OPT_FLOAT(head_config, input_dropout, "0.25", 0, 0.99, NULL, "dropout of its features"),
    OPT_BOOL(head_config, batch_norm, "true",
             "it normalizes features and hidden units by the batch"),
    OPT_INT(head_config, pool_heads, "8", 1, 1024, NULL,
            "heads of the query of attention pooling; their number divides the width of tokens"),
    OPTION_END};

/* --- pools -------------------------------------------------------------------------------------- */

/* The order of mean, max and last is that of the CPC transfers: Mehari and Strodthoff 2022. */
static const struct pool pools[] = {
    {"mean", 1, {POOL_MEAN}, NULL},
    {"max", 1, {POOL_MAX}, NULL},
    {"mean_max", 2, {POOL_MEAN, POOL_MAX}, NULL},
    {"last", 1, {POOL_LAST}, NULL},
    {"mean_max_last", 3, {POOL_MEAN, POOL_MAX, POOL_LAST}, NULL},
    {"attention", 1, {POOL_MEAN}, "mean"},
};

const struct pool *pool_find(const char *name)
{
    for (size_t i = 0; i < sizeof pools / sizeof *pools; i++)
        if (strcmp(pools[i].name, name) == 0)
            return &pools[i];
    return NULL;
}

enum err_code pool_check(const struct pool *p, const struct head_config *c, int64_t D,
                         struct err *e)
{
    if (p->unlearned && D % c->pool_heads)
        FAIL(e, ERR_USAGE, "head.pool_heads %lld does not divide the width %lld of the tokens",
             (long long)c->pool_heads, (long long)D);
    return ERR_OK;
}

int64_t pool_width(const struct pool *p, int64_t D) { return p->part_count * D; }

/* Keys and values of every token, weighed by a learned query: the frozen encoder's "attention pooling
 * head" of the comparison arXiv 2509.25095, whose output projection is the linear head itself and whose
 * query is told after its projection. It sees tokens like the cross-attention of V-JEPA's probe (Bardes
 * et al. 2024, section 3.3). */
static struct tensor *attend(struct build *b, const struct head_config *c, struct tensor *x,
                             struct tensor *lengths)
{
    int64_t D = tensor_width(x);
    size_t scope = scope_enter(b, "head.pool");
    struct tensor *query = nn_param(b, "query", 1, &D, PARAM_NORMAL, 0.02, false);
    struct tensor *kv = nn_linear(b, "kv", x, 2 * D, ACTIVATION_NONE);
    scope_leave(b, scope);
    return t_attend(b->tape, query, kv, lengths, c->pool_heads);
}

struct tensor *pool_build(struct build *b, const struct pool *p, const struct head_config *c,
                          struct tensor *tokens, struct tensor *lengths)
{
    if (p->unlearned)
        return attend(b, c, tokens, lengths);
    struct tensor *out = t_pool(b->tape, tokens, lengths, p->parts[0]);
    for (int i = 1; i < p->part_count; i++)
        out = t_concat(b->tape, out, t_pool(b->tape, tokens, lengths, p->parts[i]));
    return out;
}

/* --- heads -------------------------------------------------------------------------------------- */

static struct tensor *linear_build(struct build *b, const struct head_config *c,
                                   struct tensor *features, int64_t K)
{
    (void)c;
    struct tensor *w =
        nn_param(b, "weight", 2, (int64_t[]){K, tensor_width(features)}, PARAM_NORMAL, 0.01, true);
    struct tensor *bias = nn_param(b, "bias", 1, &K, PARAM_ZERO, 0, false);
    return t_linear(b->tape, features, w, bias, ACTIVATION_NONE);
}

/* The head of xresnet1d: Strodthoff et al. 2021, after fastai. */
static struct tensor *mlp_build(struct build *b, const struct head_config *c,
                                struct tensor *features, int64_t K)
{
    struct tensor *x = features;
    struct linear_start kaiming =
        nn_start_gauss(sqrt(2 / (double)tensor_width(x))); /* He et al. 2015 */
    if (c->batch_norm)
        x = nn_batchnorm(b, "norm0", x, ACTIVATION_NONE);
    x = t_dropout_always(b->tape, x, c->input_dropout);
    x = nn_linear_from(b, "hidden", x, c->width, ACTIVATION_RELU, kaiming);
    if (c->batch_norm)
        x = nn_batchnorm(b, "norm1", x, ACTIVATION_NONE);
    x = t_dropout(b->tape, x, c->dropout, false);
    return linear_build(b, c, x, K);
}

/* Prototypes (see train/classifier.h). */
static struct tensor *cosine_build(struct build *b, const struct head_config *c,
                                   struct tensor *features, int64_t K)
{
    return linear_build(b, c, t_l2norm(b->tape, features), K);
}

const struct head head_kinds[] = {
    {"linear", "logits are linear in the features", false, linear_build},
    {"mlp", "batch norm, dropout, linear, ReLU, batch norm, dropout, linear, as xresnet1d has it",
     true, mlp_build},
    {"cosine", "logits are linear in features of length one", false, cosine_build},
    {NULL, NULL, false, NULL}};

const struct head *head_find(const char *name)
{
    for (int i = 0; head_kinds[i].name; i++)
        if (strcmp(head_kinds[i].name, name) == 0)
            return &head_kinds[i];
    return NULL;
}
