/* Recurrent network: a stem makes tokens of the samples, and layers of long short-term memory follow, so that
 * a token knows what came up to it. Of any length.
 * Source: Mehari and Strodthoff 2022 (contrastive predictive coding of ECG).
 *
 * Weights start as PyTorch's LSTM, uniform up to 1/sqrt(width), with one bias in place of its two.
 * With tokens that are not visible (masked autoencoder) the others follow one another: where they were
 * is not told. */
#include <math.h>

#include "model/backbone.h"
#include "model/stem.h"

struct lstm_config {
    struct stem_config stem;
    int64_t width, depth;
    double dropout;
};

#define TOKENS_MAX 1000000

static const struct option options[] = {
    STEM_OPTIONS(lstm_config, "1,1,1,1", "512"),
    OPT_INT(lstm_config, width, "512", 8, 8192, NULL, "width of the tokens"),
    OPT_INT(lstm_config, depth, "2", 1, 64, NULL, "number of layers"),
    OPT_FLOAT(lstm_config, dropout, "0", 0, 0.9, NULL, "dropout between layers in training"),
    OPTION_END};

static int64_t token_count(const void *config, int64_t L, int64_t T)
{
    (void)L;
    return T / stem_step(&((const struct lstm_config *)config)->stem);
}

static int64_t width(const void *config) { return ((const struct lstm_config *)config)->width; }

static bool causal(const void *config)
{
    return stem_causal(&((const struct lstm_config *)config)->stem);
}

static enum err_code check(const void *config, int64_t L, int64_t T, struct err *e)
{
    const struct lstm_config *c = config;
    TRY(stem_check(&c->stem, "lstm", T, e));
    if (token_count(config, L, T) > TOKENS_MAX)
        FAIL(e, ERR_USAGE, "%lld tokens are more than %d", (long long)token_count(config, L, T),
             TOKENS_MAX);
    return ERR_OK;
}

/* One layer; x [B,N,..] -> [B,N,H]. */
static struct tensor *recur(struct build *b, struct tensor *x, int64_t H)
{
    struct linear_start start = nn_start_uniform(H);
    x = nn_linear_from(b, "input", x, 4 * H, ACTIVATION_NONE, start);
    struct tensor *w = nn_param(b, "recurrent.weight", 2, (int64_t[]){4 * H, H}, start.weight,
                                start.weight_scale, true);
    return t_lstm(b->tape, x, w);
}

static struct encoding build(struct build *b, const void *config, struct tensor *signal,
                             const struct masking *masking)
{
    const struct lstm_config *c = config;
    struct encoding out = {.token_count = token_count(c, signal->shape[1], signal->shape[2])};
    b->layer = 0;
    struct tensor *samples = t_patchify(b->tape, signal, 1, true); /* [B,T,L] */
    struct tensor *x = out.extracted = stem_build(b, &c->stem, samples, c->width);
    if (masking->visible) {
        int64_t step = stem_step(&c->stem);
        out.patches = step > 1 ? t_fold(b->tape, samples, step, step) : samples;
        x = t_gather(b->tape, x, masking->visible);
    }
    for (int64_t i = 0; i < c->depth; i++) {
        layer_next(b);
        size_t scope = scope_enter(b, "layer.%d", (int)i);
        x = recur(b, i > 0 ? t_dropout(b->tape, x, c->dropout, false) : x, c->width);
        scope_leave(b, scope);
    }
    layer_next(b);
    out.tokens = x;
    return out;
}

const struct backbone backbone_lstm = {
    .name = "lstm",
    .help = "long short-term memory over what a convolutional stem makes of the samples",
    .options = options,
    .config_size = sizeof(struct lstm_config),
    .training = "dropout",
    .check = check,
    .token_count = token_count,
    .width = width,
    .causal = causal,
    .build = build,
};
