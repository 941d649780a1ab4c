/* State space network: a stem makes tokens of the samples, and layers of diagonal state space models
 * follow, in both directions or causal. Of any length; a token sees the whole record, or what came before it.
 * Source: Mehari and Strodthoff 2023 (structured state space models for ECG), in the diagonal form of
 * Gu et al. 2022 (S4D).
 *
 * The stem is one linear layer of the leads, a token for each sample; or convolutions (stem.h), and then a
 * linear layer to the width of the tokens.
 *
 * With tokens that are not visible (masked autoencoder) the others stand side by side: where they were
 * is not told. Padding is zero wherever tokens are mixed, like what lies beyond the ends. */
#include <string.h>

#include "model/backbone.h"
#include "model/stem.h"

struct s4_config {
    struct stem_config stem;
    int64_t width, depth, state;
    const char *direction;
    double dropout;
};

#define TOKENS_MAX 1000000
#define EPSILON 1e-5

static const struct option options[] = {
    OPT_INT(s4_config, width, "512", 8, 8192, NULL, "width of the tokens"),
    OPT_INT(s4_config, depth, "4", 1, 128, NULL, "number of layers"),
    OPT_INT(s4_config, state, "8", 1, 1024, NULL, "states of each channel, in conjugate pairs"),
    OPT_CHOICE(s4_config, direction, "both", "both|causal",
               "a token sees the whole record, or what came up to it"),
    STEM_OPTIONS(s4_config, "linear", "512"),
    OPT_FLOAT(s4_config, dropout, "0.2", 0, 0.9, NULL,
              "dropout after each state space model and of residual branches in training"),
    OPTION_END};

static bool both_ways(const struct s4_config *c) { return strcmp(c->direction, "both") == 0; }

static bool causal(const void *config)
{
    const struct s4_config *c = config;
    return !both_ways(c) && stem_causal(&c->stem);
}

static int64_t token_count(const void *config, int64_t L, int64_t T)
{
    (void)L;
    return T / stem_step(&((const struct s4_config *)config)->stem);
}

static int64_t width(const void *config) { return ((const struct s4_config *)config)->width; }

static enum err_code check(const void *config, int64_t L, int64_t T, struct err *e)
{
    const struct s4_config *c = config;
    if (c->state > 1 && c->state % 2)
        FAIL(e, ERR_USAGE, "s4.state %lld is odd: states come in pairs", (long long)c->state);
    TRY(stem_check(&c->stem, "s4", T, e));
    if (token_count(config, L, T) > TOKENS_MAX)
        FAIL(e, ERR_USAGE, "%lld tokens are more than %d", (long long)token_count(config, L, T),
             TOKENS_MAX);
    return ERR_OK;
}

static struct encoding build(struct build *b, const void *config, struct tensor *signal,
                             const struct masking *masking)
{
    const struct s4_config *c = config;
    struct encoding out = {
        .token_count = token_count(c, signal->shape[1], signal->shape[2]),
    };
    b->layer = 0;
    struct tensor *samples = t_patchify(b->tape, signal, 1, true); /* [B,T,L] */
    struct tensor *x = out.extracted = stem_build(b, &c->stem, samples, c->width);
    if (!stem_is_linear(&c->stem))
        x = nn_linear_from(b, "embed", x, c->width, ACTIVATION_NONE,
                           nn_start_uniform(tensor_width(x)));
    if (masking->visible) {
        int64_t step = stem_step(&c->stem);
        out.patches = step > 1 ? t_fold(b->tape, samples, step, step) : samples;
        x = t_gather(b->tape, x, masking->visible);
    }
    if (masking->hidden) {
        out.features = t_layernorm(b->tape, x, NULL, NULL, EPSILON);
        x = t_fill(b->tape, x, masking->fill, masking->hidden);
    }
    out.lengths = stem_lengths(b, &c->stem, masking->lengths, signal->shape[2]);
    for (int64_t i = 0; i < c->depth; i++) {
        b->layer = (int)i + 1;
        size_t scope = scope_enter(b, "block.%d", (int)i);
        x = nn_ssm_block(b, x,
                         &(struct ssm_options){.states = c->state,
                                               .directions = both_ways(c) ? 2 : 1,
                                               .dropout = c->dropout,
                                               .lengths = out.lengths});
        scope_leave(b, scope);
    }
    layer_next(b);
    out.tokens = x;
    return out;
}

const struct backbone backbone_s4 = {
    .name = "s4",
    .help = "diagonal state space models over the samples, both ways or causal",
    .options = options,
    .config_size = sizeof(struct s4_config),
    .training = "dropout",
    .check = check,
    .token_count = token_count,
    .width = width,
    .hides = true,
    .causal = causal,
    .build = build,
};
