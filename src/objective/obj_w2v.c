/* wav2vec 2.0: spans of tokens are replaced by a learned vector; from what the encoder makes of them,
 * the quantized features of each are to be told from those of other hidden tokens of the record.
 * Source: Baevski et al. 2020 (wav2vec 2.0), section 3; as ECG-FM trains it (McKeen et al. 2024), for ECG
 * first in Oh et al. 2022 (arXiv 2203.06889).
 *
 * loss = InfoNCE + diversity (GV - perplexity) / GV + penalty mean(f^2), f what the convolutions gave.
 * Sums over the hidden tokens of a batch are divided by their number; of accumulated batches each counts
 * the same, also where they differ in it.
 *
 * Inputs: "w2v.negatives" [R,M,K], rows of the targets [R*M] (-1: none); "w2v.noise" [R,M,GV], Gumbel
 * noise, on training tapes only (without it a code is the largest logit); "w2v.temperature" [1] of the
 * Gumbel softmax; "w2v.masked_tokens" [1], the number of hidden tokens of a record, to be reported. */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "objective/objective.h"

struct w2v_objective_config {
    struct objective_config common;
    double mask_probability, mask_other;
    int64_t mask_length;
    const char *mask_mode;
    int64_t negatives, cross_negatives;
    double temperature;
    int64_t codes, groups, dim;
    double gumbel_start, gumbel_end, gumbel_decay;
    double diversity, penalty, feature_dropout;
};

static const struct option options[] = {
    {"weight", OPTION_FLOAT, offsetof(struct w2v_objective_config, common.weight), "1", 0, 1e6,
     NULL, NULL, "factor of this loss in a sum of objectives", false},
    OPT_FLOAT(w2v_objective_config, mask_probability, "0.65", 0.01, 1, NULL,
              "fraction of tokens in spans if no two of these met"),
    OPT_INT(w2v_objective_config, mask_length, "10", 1, 1000, "tokens", "length of a span"),
    OPT_CHOICE(w2v_objective_config, mask_mode, "static", "static|uniform|normal|poisson",
               "how lengths of spans are drawn: all the same, mask_other to twice mask_length, or "
               "about it"),
    OPT_FLOAT(w2v_objective_config, mask_other, "0", 0, 1000, "tokens",
              "shortest span of uniform, deviation of normal"),
    OPT_INT(w2v_objective_config, negatives, "100", 1, 10000, NULL,
            "other hidden tokens of the same record that each is compared with"),
    OPT_INT(w2v_objective_config, cross_negatives, "0", 0, 10000, NULL,
            "hidden tokens of the whole batch that it is compared with, too"),
    OPT_FLOAT(w2v_objective_config, temperature, "0.1", 0.001, 10, NULL,
              "temperature of the similarities"),
    OPT_INT(w2v_objective_config, codes, "320", 2, 65536, NULL,
            "codes of each group of the quantizer"),
    OPT_INT(w2v_objective_config, groups, "2", 1, 64, NULL, "groups of the quantizer"),
    OPT_INT(w2v_objective_config, dim, "256", 1, 8192, NULL,
            "width of quantized features and of what is compared"),
    OPT_FLOAT(w2v_objective_config, gumbel_start, "2", 0.001, 100, NULL,
              "temperature of the quantizer's Gumbel softmax at first"),
    OPT_FLOAT(w2v_objective_config, gumbel_end, "0.5", 0.001, 100, NULL, "at last"),
    OPT_FLOAT(w2v_objective_config, gumbel_decay, "0.999995", 0, 1, NULL,
              "factor on it for each optimizer step"),
    OPT_FLOAT(w2v_objective_config, diversity, "0.1", 0, 1e6, NULL,
              "factor of the share of codes that are not in use"),
    OPT_FLOAT(w2v_objective_config, penalty, "10", 0, 1e6, NULL,
              "factor of the mean square of the features"),
    OPT_FLOAT(w2v_objective_config, feature_dropout, "0.1", 0, 0.9, NULL,
              "dropout of the features that are quantized"),
    OPTION_END};

static struct span_options spans(const void *config)
{
    const struct w2v_objective_config *c = config;
    static const char *const modes[] = {"static", "uniform", "normal", "poisson"};
    struct span_options out = {.probability = c->mask_probability,
                               .length = c->mask_length,
                               .other = c->mask_other,
                               .least = 2};
    for (int i = 0; i < 4; i++)
        if (strcmp(c->mask_mode, modes[i]) == 0)
            out.mode = (enum span_mode)i;
    return out;
}

static enum err_code check(const void *config, struct err *e)
{
    const struct w2v_objective_config *c = config;
    if (c->dim % c->groups)
        FAIL(e, ERR_USAGE, "w2v.dim %lld is not a multiple of w2v.groups %lld", (long long)c->dim,
             (long long)c->groups);
    if (strcmp(c->mask_mode, "uniform") == 0 && c->mask_other > 2 * (double)c->mask_length)
        FAIL(e, ERR_USAGE, "w2v.mask_other %g is more than twice w2v.mask_length %lld",
             c->mask_other, (long long)c->mask_length);
    return ERR_OK;
}

static int64_t negative_count(const struct w2v_objective_config *c)
{
    return c->negatives + c->cross_negatives;
}

/* --- recording ---------------------------------------------------------------------------------- */

/* A linear layer with given starts. */
static struct tensor *linear(struct build *b, const char *name, struct tensor *x, int64_t out,
                             enum param_init weight, double scale, enum param_init bias)
{
    int64_t in = tensor_width(x);
    size_t scope = scope_enter(b, "%s", name);
    struct tensor *w = nn_param(b, "weight", 2, (int64_t[]){out, in}, weight, scale, true);
    struct tensor *o = nn_param(b, "bias", 1, &out, bias, scale, false);
    scope_leave(b, scope);
    return t_linear(b->tape, x, w, o, ACTIVATION_NONE);
}

/* As PyTorch starts linear layers: weight and bias uniform within 1 / sqrt(in). */
static struct tensor *projection(struct build *b, const char *name, struct tensor *x, int64_t out)
{
    double bound = 1 / sqrt((double)tensor_width(x));
    return linear(b, name, x, out, PARAM_UNIFORM, bound, PARAM_UNIFORM);
}

static struct tensor *input(const struct scene *s, const char *name, enum tensor_type type,
                            int rank, const int64_t *shape)
{
    return tape_input(s->build->tape, name, type, false, rank, shape);
}

/* Quantized features of the hidden tokens [R,M,dim]; *logits of the codes. */
static struct tensor *quantize(const struct scene *s, const struct w2v_objective_config *c,
                               struct tensor **logits)
{
    struct build *b = s->build;
    int64_t R = s->hidden->shape[0], M = s->hidden->shape[1], all = c->groups * c->codes;
    struct tensor *y = t_gather(b->tape, s->encoding.features, s->hidden);
    y = t_dropout(b->tape, y, c->feature_dropout, false);
    *logits = linear(b, "quantizer", y, all, PARAM_GAUSS, 1, PARAM_ZERO);
    struct tensor *codes = nn_param(b, "quantizer.codes", 2, (int64_t[]){all, c->dim / c->groups},
                                    PARAM_UNIT, 1, true);
    struct tensor *temperature = input(s, "w2v.temperature", TENSOR_REAL, 1, (int64_t[]){1});
    struct tensor *noise = NULL;
    if (tape_is_training(b->tape)) {
        noise = input(s, "w2v.noise", TENSOR_REAL, 3, (int64_t[]){R, M, all});
        scene_report(s, "temperature", temperature);
    }
    return t_quantize(b->tape, *logits, codes, noise, temperature, s->hidden, c->groups);
}

static struct tensor *build(const struct scene *s, const void *config)
{
    const struct w2v_objective_config *c = config;
    struct build *b = s->build;
    struct tape *t = b->tape;
    int64_t R = s->hidden->shape[0], M = s->hidden->shape[1];
    ASSERT(s->encoding.features && s->encoding.extracted, "the backbone gives no features");
    struct tensor *codes;
    struct tensor *target = projection(b, "target", quantize(s, c, &codes), c->dim);
    struct tensor *x = t_gather(t, s->encoding.tokens, s->hidden);
    x = projection(b, "predict", x, c->dim);
    struct tensor *negatives =
        input(s, "w2v.negatives", TENSOR_INDEX, 3, (int64_t[]){R, M, negative_count(c)});
    struct tensor *logits =
        t_similarity(t, t_l2norm(t, x), t_l2norm(t, target), target, negatives, c->temperature);
    struct tensor *contrast = t_first_class(t, logits, s->hidden);
    struct tensor *perplexity = t_perplexity(t, codes, s->hidden, c->groups, false);
    struct tensor *diversity = t_diversity(t, perplexity, c->groups * c->codes);
    struct tensor *penalty = t_mean_square(t, s->encoding.extracted);
    scene_report(s, "contrast", contrast);
    scene_report(s, "diversity", diversity);
    scene_report(s, "penalty", penalty);
    scene_report(s, "accuracy", t_accuracy(t, logits, s->hidden));
    scene_report(s, "code_perplexity", t_perplexity(t, codes, s->hidden, c->groups, true));
    scene_report(s, "probability_perplexity", perplexity);
    struct tensor *masked = input(s, "w2v.masked_tokens", TENSOR_REAL, 1, (int64_t[]){1});
    scene_report(s, "masked_tokens", masked);
    struct tensor *loss = t_add(t, contrast, t_scale(t, diversity, c->diversity));
    return t_add(t, loss, t_scale(t, penalty, c->penalty));
}

/* --- inputs ------------------------------------------------------------------------------------- */

static void real_set(void *data, size_t real_size, int64_t i, double value)
{
    if (real_size == sizeof(float))
        ((float *)data)[i] = (float)value;
    else
        ((double *)data)[i] = value;
}

/* For token t of row r, of m hidden ones in each row: others of its row, then of all R rows. */
static void negatives_draw(const struct w2v_objective_config *c, struct rng *g, int64_t r,
                           int64_t t, int64_t m, int64_t R, int64_t M, int32_t *out)
{
    for (int64_t k = 0; k < negative_count(c); k++) {
        bool own = k < c->negatives;
        int64_t self = own ? t : r * m + t, count = own ? m : R * m;
        out[k] = -1;
        if (count < 2)
            continue;
        int64_t i = rng_below(g, count - 1);
        i += i >= self;
        out[k] = (int32_t)(own ? r * M + i : i / m * M + i % m);
    }
}

/* n numbers -log(-log(u)), u uniform in (0,1). */
static void gumbel_draw(struct rng *g, void *out, size_t real_size, int64_t at, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double u = ((double)rng_u32(g) + 0.5) * 0x1p-32;
        real_set(out, real_size, at + i, -log(-log(u)));
    }
}

static void draw(const void *config, struct tape *t, size_t real_size, const struct draw *d)
{
    const struct w2v_objective_config *c = config;
    const struct tensor *hidden = tape_find_input(t, "hidden");
    struct tensor *negatives = tape_find_input(t, "w2v.negatives");
    struct tensor *noise = tape_find_input(t, "w2v.noise");
    int64_t R = hidden->shape[0], M = hidden->shape[1], K = negative_count(c);
    int64_t all = c->groups * c->codes, m = 0;
    const int32_t *index = hidden->data;
    int32_t *others = negatives->data;
    while (m < M && index[m] >= 0) /* the same in each row */
        m++;
    for (int64_t r = 0; r < R; r++) {
        uint64_t key = (uint64_t)d->samples[r % d->count] * 64 + (uint64_t)(r / d->count);
        struct rng g = rng_at(d->seed, RNG_STREAM_NEGATIVES, (uint64_t)d->epoch, key);
        for (int64_t i = 0; i < M; i++)
            if (i < m)
                negatives_draw(c, &g, r, i, m, R, M, others + (r * M + i) * K);
            else
                memset(others + (r * M + i) * K, 0xff, (size_t)K * sizeof *others);
        if (!noise)
            continue;
        g = rng_at(d->seed, RNG_STREAM_GUMBEL, (uint64_t)d->epoch, key);
        gumbel_draw(&g, noise->data, real_size, r * M * all, m * all);
    }
    double temperature = c->gumbel_start * pow(c->gumbel_decay, (double)d->update);
    real_set(tape_find_input(t, "w2v.temperature")->data, real_size, 0,
             temperature > c->gumbel_end ? temperature : c->gumbel_end);
    real_set(tape_find_input(t, "w2v.masked_tokens")->data, real_size, 0, (double)m);
}

const struct objective objective_w2v = {
    .name = "w2v",
    .help = "wav2vec 2.0: tell the quantized features of hidden tokens from those of others",
    .options = options,
    .config_size = sizeof(struct w2v_objective_config),
    .views = 1,
    .defaults = FAIRSEQ_TRAINING,
    .spans = spans,
    .check = check,
    .build = build,
    .draw = draw,
};
