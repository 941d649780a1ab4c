/* The network of wav2vec 2.0 as ECG-FM has it: strided convolutions turn the signal into tokens, a
 * convolution over the tokens tells them their position, and transformer blocks follow.
 * Source: Baevski et al. 2020 (wav2vec 2.0), section 2; McKeen et al. 2024 (ECG-FM).
 *
 * Tokens are rows from the start, so a strided convolution is a linear layer on windows of rows: its
 * weight is [out, kernel * in], the taps one after the other (PyTorch's Conv1d has [out, in, kernel]).
 * The positional convolution's weight is [out, in / groups, kernel] as there, weight norm multiplied out.
 * Samples at the end that fill no window of some layer are left out.
 *
 * With hidden tokens (masked autoencoder) those are zero where positions are made, like what lies beyond
 * the ends of the signal, and only the visible ones go on. A token then still sees hidden samples
 * where kernel > stride, and in the statistics of the group norm. */
#include <math.h>
#include <string.h>

#include "model/backbone.h"

struct w2v_config {
    int64_t width, depth, heads;
    int64_t conv_layers, conv_width, conv_kernel, conv_stride, conv_groups;
    int64_t position_kernel, position_groups;
    const char *norm;
    double mlp_ratio, dropout, drop_path;
};

#define TOKENS_MAX 16384
#define EPSILON 1e-5

static const struct option options[] = {
    OPT_INT(w2v_config, width, "768", 8, 8192, NULL, "width of the tokens"),
    OPT_INT(w2v_config, depth, "12", 1, 128, NULL, "number of transformer blocks"),
    OPT_INT(w2v_config, heads, "12", 1, 128, NULL, "attention heads"),
    OPT_FLOAT(w2v_config, mlp_ratio, "4", 0.25, 16, NULL, "hidden width of the mlp over width"),
    OPT_CHOICE(w2v_config, norm, "post", "post|pre",
               "layer norms after each residual sum, or before each branch"),
    OPT_INT(w2v_config, conv_layers, "4", 1, 12, NULL, "strided convolutions of the signal"),
    OPT_INT(w2v_config, conv_width, "256", 1, 8192, NULL, "channels of these convolutions"),
    OPT_INT(w2v_config, conv_kernel, "2", 2, 64, NULL, "their length"),
    OPT_INT(w2v_config, conv_stride, "2", 2, 64, NULL, "their step, at most conv_kernel"),
    OPT_INT(w2v_config, conv_groups, "256", 0, 8192, NULL,
            "channel groups that are normalized over time after the first of them; 0: no norm"),
    OPT_INT(w2v_config, position_kernel, "128", 1, 1024, "tokens",
            "length of the convolution that tells tokens their position"),
    OPT_INT(w2v_config, position_groups, "16", 1, 8192, NULL, "its channel groups"),
    OPT_FLOAT(w2v_config, dropout, "0", 0, 0.9, NULL,
              "dropout of embedded tokens and residual branches in training"),
    OPT_FLOAT(w2v_config, drop_path, "0", 0, 0.9, NULL,
              "probability of skipping the last block in training, linear over depth"),
    OPTION_END};

static bool post_norm(const struct w2v_config *c) { return strcmp(c->norm, "post") == 0; }

/* Tokens of T samples after `layers` convolutions; 0 if they are too few. */
static int64_t tokens_after(const struct w2v_config *c, int64_t layers, int64_t T)
{
    for (int64_t i = 0; i < layers; i++)
        T = T < c->conv_kernel ? 0 : (T - c->conv_kernel) / c->conv_stride + 1;
    return T;
}

static int64_t token_count(const void *config, int64_t L, int64_t T)
{
    const struct w2v_config *c = config;
    (void)L;
    return tokens_after(c, c->conv_layers, T);
}

static int64_t width(const void *config) { return ((const struct w2v_config *)config)->width; }

static enum err_code check_multiple(const char *name, int64_t value, const char *of_name,
                                    int64_t of, struct err *e)
{
    if (value % of)
        FAIL(e, ERR_USAGE, "w2v.%s %lld is not a multiple of w2v.%s %lld", name, (long long)value,
             of_name, (long long)of);
    return ERR_OK;
}

static enum err_code check(const void *config, int64_t L, int64_t T, struct err *e)
{
    const struct w2v_config *c = config;
    TRY(check_multiple("width", c->width, "heads", c->heads, e));
    TRY(check_multiple("width", c->width, "position_groups", c->position_groups, e));
    if (c->conv_groups)
        TRY(check_multiple("conv_width", c->conv_width, "conv_groups", c->conv_groups, e));
    if (c->conv_stride > c->conv_kernel)
        FAIL(e, ERR_USAGE,
             "w2v.conv_stride %lld is more than w2v.conv_kernel %lld: samples between "
             "windows would not be seen",
             (long long)c->conv_stride, (long long)c->conv_kernel);
    int64_t N = token_count(config, L, T);
    if (N < 1)
        FAIL(e, ERR_USAGE,
             "input of %lld samples is too short for w2v.conv_layers %lld with "
             "w2v.conv_kernel %lld",
             (long long)T, (long long)c->conv_layers, (long long)c->conv_kernel);
    if (N > TOKENS_MAX)
        FAIL(e, ERR_USAGE,
             "%lld tokens are more than %d; use a larger w2v.conv_stride or more "
             "w2v.conv_layers",
             (long long)N, TOKENS_MAX);
    return ERR_OK;
}

/* signal as rows [B,T,L] -> [B,N,conv_width] */
static struct tensor *extract(struct build *b, const struct w2v_config *c, struct tensor *x)
{
    for (int64_t i = 0; i < c->conv_layers; i++) {
        size_t scope = scope_enter(b, "conv.%d", (int)i);
        bool norm = i == 0 && c->conv_groups;
        int64_t in = c->conv_kernel * tensor_width(x), out = c->conv_width;
        struct tensor *w = nn_param(b, "weight", 2, (int64_t[]){out, in}, PARAM_NORMAL,
                                    sqrt(2 / (double)in), true);
        x = t_fold(b->tape, x, c->conv_kernel, c->conv_stride);
        x = t_linear(b->tape, x, w, NULL, norm ? ACTIVATION_NONE : ACTIVATION_GELU);
        if (norm) {
            struct tensor *g = nn_param(b, "norm.weight", 1, &out, PARAM_ONE, 0, false);
            struct tensor *o = nn_param(b, "norm.bias", 1, &out, PARAM_ZERO, 0, false);
            x = t_groupnorm(b->tape, x, g, o, c->conv_groups, EPSILON);
            x = t_activation(b->tape, x, ACTIVATION_GELU);
        }
        scope_leave(b, scope);
    }
    return x;
}

/* x + GELU(convolution of x over the tokens); with `visible`, of these tokens alone. */
static struct tensor *add_position(struct build *b, const struct w2v_config *c, struct tensor *x,
                                   struct tensor *visible)
{
    int64_t D = c->width, N = x->shape[1];
    size_t scope = scope_enter(b, "position");
    struct tensor *w =
        nn_param(b, "weight", 3, (int64_t[]){D, D / c->position_groups, c->position_kernel},
                 PARAM_NORMAL, sqrt(4 / (double)(c->position_kernel * D)), true);
    struct tensor *bias = nn_param(b, "bias", 1, &D, PARAM_ZERO, 0, false);
    scope_leave(b, scope);
    struct tensor *all = x;
    if (visible) {
        x = t_gather(b->tape, x, visible);
        all = t_scatter(b->tape, x, NULL, visible, N);
    }
    struct tensor *position = t_conv(b->tape, all, w, bias, c->position_groups, ACTIVATION_GELU);
    if (visible)
        position = t_gather(b->tape, position, visible);
    return t_add(b->tape, x, position);
}

static struct encoding build(struct build *b, const void *config, struct tensor *signal,
                             const struct masking *masking)
{
    const struct w2v_config *c = config;
    struct tensor *visible = masking->visible;
    struct encoding out = {.token_count = token_count(c, signal->shape[1], signal->shape[2])};

    b->layer = 0;
    struct tensor *x = t_patchify(b->tape, signal, 1, true); /* [B,T,L] */
    if (visible) { /* as many samples as a token steps over */
        int64_t step = 1;
        for (int64_t i = 0; i < c->conv_layers; i++)
            step *= c->conv_stride;
        out.patches = t_fold(b->tape, x, step, step);
    }
    out.extracted = extract(b, c, x);
    out.features = x = nn_layernorm(b, "conv.norm", out.extracted, EPSILON);
    x = nn_linear(b, "embed", x, c->width, ACTIVATION_NONE);
    x = t_dropout(b->tape, x, c->dropout, false);
    x = add_position(b, c, x, visible);
    if (post_norm(c))
        x = nn_layernorm(b, "norm", x, EPSILON);
    x = t_dropout(b->tape, x, c->dropout, false);
    for (int64_t i = 0; i < c->depth; i++) {
        b->layer = (int)i + 1;
        size_t scope = scope_enter(b, "block.%d", (int)i);
        double skip = c->depth > 1 ? c->drop_path * (double)i / (double)(c->depth - 1) : 0;
        x = nn_block(b, x,
                     &(struct block_options){.heads = c->heads,
                                             .hidden = (int64_t)((double)c->width * c->mlp_ratio),
                                             .dropout = c->dropout,
                                             .drop_path = skip,
                                             .epsilon = EPSILON,
                                             .post_norm = post_norm(c)});
        scope_leave(b, scope);
    }
    b->layer = (int)c->depth + 1;
    out.tokens = post_norm(c) ? x : nn_layernorm(b, "norm", x, EPSILON);
    return out;
}

const struct backbone backbone_w2v = {
    .name = "w2v",
    .help = "wav2vec 2.0 as in ECG-FM: strided convolutions, then a transformer",
    .options = options,
    .config_size = sizeof(struct w2v_config),
    .training = "dropout attention_dropout activation_dropout input_dropout layer_drop drop_path "
                "feature_gradient",
    .check = check,
    .token_count = token_count,
    .width = width,
    .build = build,
};
