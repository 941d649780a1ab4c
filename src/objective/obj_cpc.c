/* Contrastive predictive coding: from the context of each token, which knows only what came before, what
 * the stem made of the signal `horizon` tokens later is to be told from what it made of other times of the
 * same record, or also of others'. As later work on ECG has it, of one horizon alone, and not of all up to it.
 * Source: van den Oord et al. 2018 (CPC); Mehari and Strodthoff 2022 (head linear), 2023 (head mlp).
 *
 * loss: cross entropy of the positive among 1 + `negatives` products, no lengths normalized, no temperature;
 * mean over the tokens that have one `horizon` later, or, as published, their sum. The gradient flows
 * into the stem by both sides.
 *
 * Inputs: "cpc.picks" [B,N,1+K], tokens of the record, or of the group of records beside each other that it is
 * one of: the positive, then negatives, -1 for all where there is no positive; "cpc.rows" [B,N], -1 there.
 * Negatives are drawn with replacement among all tokens of the group but the positive: those of the record ask
 * where in it a token is, those of others whose it is. */
#include <string.h>

#include "base/log.h"
#include "base/rng.h"
#include "objective/objective.h"

struct cpc_config {
    struct objective_config common;
    int64_t horizon, negatives, records;
    const char *head, *reduction;
};

static const struct option options[] = {
    {"weight", OPTION_FLOAT, offsetof(struct cpc_config, common.weight), "1", 0, 1e6, NULL, NULL,
     "factor of this loss in a sum of objectives", false},
    OPT_INT(cpc_config, horizon, "12", 1, 10000, "tokens", "how far ahead is predicted"),
    OPT_INT(cpc_config, negatives, "128", 1, 10000, NULL,
            "other tokens that the right one is told from"),
    OPT_INT(
        cpc_config, records, "1", 1, 1024, NULL,
        "records of a batch that are told apart together, the greatest divisor of the batch up to "
        "this, in memory that grows with its square; published is one: negatives from the record "
        "itself"),
    OPT_CHOICE(
        cpc_config, head, "linear", "linear|mlp",
        "what predicts from the context: a linear layer without bias, or a hidden layer as wide "
        "as the context and ReLU before it"),
    OPT_CHOICE(cpc_config, reduction, "mean", "mean|sum",
               "of the losses of a record's tokens; published is the sum"),
    OPTION_END};

static enum err_code takes(const void *config, const struct model *m, struct err *e)
{
    const struct cpc_config *c = config;
    const struct backbone *b = m->backbone;
    if (!b->causal || !b->causal(m->config))
        FAIL(e, ERR_USAGE,
             "objective cpc predicts what comes later, which tokens of network.backbone %s %s see: "
             "it needs a causal one (lstm, or s4 with s4.direction causal, and a stem that sees no "
             "further than the samples of a token)",
             b->name, b->causal ? "in this configuration" : "always");
    int64_t N = b->token_count(m->config, m->contract.lead_count, m->contract.sample_count);
    if (N <= c->horizon)
        FAIL(e, ERR_USAGE,
             "cpc.horizon %lld: the model has %lld tokens, none of which has one so far ahead",
             (long long)c->horizon, (long long)N);
    return ERR_OK;
}

/* Like nn_linear, without a bias. */
static struct tensor *project(struct build *b, struct tensor *x, int64_t out)
{
    struct tensor *w =
        nn_param(b, "predict.weight", 2, (int64_t[]){out, tensor_width(x)}, PARAM_XAVIER, 0, true);
    return t_linear(b->tape, x, w, NULL, ACTIVATION_NONE);
}

/* Records of a group, of R in all. */
static int64_t group_size(const struct cpc_config *c, int64_t R)
{
    int64_t records = c->records < R ? c->records : R;
    while (R % records)
        records--;
    return records;
}

static struct tensor *build(const struct scene *s, const void *config)
{
    const struct cpc_config *c = config;
    struct build *b = s->build;
    struct tape *t = b->tape;
    struct tensor *x = s->encoding.tokens, *keys = s->encoding.extracted;
    ASSERT(keys && keys->shape[1] == x->shape[1], "the backbone gives no stem output");
    int64_t R = x->shape[0], N = x->shape[1];
    if (strcmp(c->head, "mlp") == 0)
        x = nn_linear(b, "hidden", x, tensor_width(x), ACTIVATION_RELU);
    x = project(b, x, tensor_width(keys));
    int64_t group = group_size(c, R);
    if (group < c->records)
        log_warning("cpc.records %lld: batches of %lld are told apart in groups of %lld",
                    (long long)c->records, (long long)R, (long long)group);
    struct tensor *picks =
        tape_input(t, "cpc.picks", TENSOR_INDEX, false, 3, (int64_t[]){R, N, 1 + c->negatives});
    struct tensor *rows = tape_input(t, "cpc.rows", TENSOR_INDEX, false, 2, (int64_t[]){R, N});
    struct tensor *logits = t_candidates(t, x, keys, picks, group);
    scene_report(s, "accuracy", t_accuracy(t, logits, rows));
    struct tensor *loss = t_first_class(t, logits, rows);
    return strcmp(c->reduction, "sum") == 0 ? t_scale(t, loss, (double)(N - c->horizon)) : loss;
}

static void draw(const void *config, struct tape *t, size_t real_size, const struct draw *d)
{
    (void)real_size;
    const struct cpc_config *c = config;
    struct tensor *picks = tape_find_input(t, "cpc.picks"), *rows = tape_find_input(t, "cpc.rows");
    int64_t R = picks->shape[0], N = picks->shape[1], width = picks->shape[2];
    int64_t group = group_size(c, R), all = group * N;
    for (int64_t r = 0; r < R; r++) {
        uint64_t key = (uint64_t)d->samples[r % d->count] * 64 + (uint64_t)(r / d->count);
        struct rng g = rng_at(d->seed, RNG_STREAM_NEGATIVES, (uint64_t)d->epoch, key);
        int64_t first = r % group * N; /* of its tokens in the group */
        for (int64_t i = 0; i < N; i++) {
            bool ahead = i + c->horizon < N;
            int64_t positive = first + i + c->horizon;
            int32_t *out = (int32_t *)picks->data + (r * N + i) * width;
            ((int32_t *)rows->data)[r * N + i] = ahead ? (int32_t)i : -1;
            for (int64_t k = 0; k < width; k++) {
                out[k] = ahead ? (int32_t)positive : -1;
                if (k == 0 || !ahead)
                    continue;
                /* Even to all / 2^32, for a fraction of the time that an exact draw takes. */
                int64_t other = (int64_t)((uint64_t)rng_u32(&g) * (uint64_t)(all - 1) >> 32);
                out[k] = (int32_t)(other + (other >= positive));
            }
        }
    }
}

const struct objective objective_cpc = {
    .name = "cpc",
    .help = "contrastive predictive coding: tell what comes later in a record from other times",
    .options = options,
    .config_size = sizeof(struct cpc_config),
    .views = 1,
    .takes = takes,
    .build = build,
    .draw = draw,
};
