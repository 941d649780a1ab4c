/* The network of wav2vec 2.0 as ECG-FM has it: strided convolutions turn the signal into tokens, a
 * convolution over the tokens tells them their position, and transformer blocks follow.
 * Source: Baevski et al. 2020 (wav2vec 2.0), section 2; McKeen et al. 2024 (ECG-FM).
 *
 * Tokens are rows from the start, so a strided convolution is a linear layer on windows of rows: its
 * weight is [out, kernel * in], the taps one after the other (PyTorch's Conv1d has [out, in, kernel]).
 * The positional convolution's weights are [out, in / groups, kernel] as there, a direction for each tap
 * and its magnitude (weight norm). Samples at the end that fill no window of some layer are left out.
 *
 * It starts as published: convolutions Kaiming normal (fan in), what is linear in the encoder N(0, 0.02),
 * elsewhere PyTorch's uniform default, magnitudes the length of the directions.
 *
 * Tokens of padding count as such after the positional convolution: they are zero then, and nothing
 * attends to them. Before it they are tokens like others, and the group norm sees the padding.
 *
 * With tokens that are not visible (masked autoencoder) those are zero where positions are made, like what lies beyond
 * the ends of the signal, and only the visible ones go on. A token then still sees hidden samples
 * where kernel > stride, and in the statistics of the group norm. */
#include <math.h>
#include <string.h>

#include "model/backbone.h"

struct w2v_config {
    int64_t width, depth, heads;
    int64_t conv_layers, conv_width, conv_kernel, conv_stride, conv_norm_groups;
    int64_t position_kernel, position_groups;
    const char *norm, *conv_norm;
    bool conv_bias;
    double mlp_ratio, dropout, attention_dropout, activation_dropout, input_dropout;
    double layer_drop, drop_path, feature_gradient;
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
    OPT_CHOICE(w2v_config, conv_norm, "group", "group|layer|none",
               "channel groups normalized over time after the first of them, or channels of each "
               "token after each"),
    OPT_INT(w2v_config, conv_norm_groups, "256", 1, 8192, NULL, "channel groups of that"),
    OPT_BOOL(w2v_config, conv_bias, "false", "they have biases"),
    OPT_INT(w2v_config, position_kernel, "128", 1, 1024, "tokens",
            "length of the convolution that tells tokens their position"),
    OPT_INT(w2v_config, position_groups, "16", 1, 8192, NULL, "its channel groups"),
    OPT_FLOAT(w2v_config, dropout, "0", 0, 0.9, NULL,
              "dropout of the encoder's input and residual branches in training"),
    OPT_FLOAT(w2v_config, attention_dropout, "0", 0, 0.9, NULL, "of attention probabilities"),
    OPT_FLOAT(w2v_config, activation_dropout, "0", 0, 0.9, NULL, "inside the mlp"),
    OPT_FLOAT(w2v_config, input_dropout, "0", 0, 0.9, NULL,
              "of tokens before they are told their position"),
    OPT_FLOAT(w2v_config, layer_drop, "0", 0, 0.9, NULL,
              "probability that a training step leaves a block out"),
    OPT_FLOAT(
        w2v_config, drop_path, "0", 0, 0.9, NULL,
        "probability that a record's branch of the last block is left out, linear over depth"),
    OPT_FLOAT(w2v_config, feature_gradient, "1", 0, 100, NULL,
              "factor on the gradient of the strided convolutions; 0 freezes them"),
    OPTION_END};

static bool conv_norm(const struct w2v_config *c, const char *kind)
{
    return strcmp(c->conv_norm, kind) == 0;
}

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
    if (conv_norm(c, "group"))
        TRY(check_multiple("conv_width", c->conv_width, "conv_norm_groups", c->conv_norm_groups,
                           e));
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

/* One convolution, its norm if it has one, and GELU. */
static struct tensor *convolve(struct build *b, const struct w2v_config *c, struct tensor *x,
                               bool first)
{
    int64_t in = c->conv_kernel * tensor_width(x), out = c->conv_width;
    bool group = first && conv_norm(c, "group"), layer = conv_norm(c, "layer");
    struct tensor *w =
        nn_param(b, "weight", 2, (int64_t[]){out, in}, PARAM_GAUSS, sqrt(2 / (double)in), true);
    struct tensor *bias = NULL;
    if (c->conv_bias)
        bias = nn_param(b, "bias", 1, &out, PARAM_UNIFORM, 1 / sqrt((double)in), false);
    x = t_fold(b->tape, x, c->conv_kernel, c->conv_stride);
    x = t_linear(b->tape, x, w, bias, group || layer ? ACTIVATION_NONE : ACTIVATION_GELU);
    if (group) {
        struct tensor *g = nn_param(b, "norm.weight", 1, &out, PARAM_ONE, 0, false);
        struct tensor *o = nn_param(b, "norm.bias", 1, &out, PARAM_ZERO, 0, false);
        x = t_groupnorm(b->tape, x, g, o, c->conv_norm_groups, EPSILON);
    }
    if (layer)
        x = nn_layernorm(b, "norm", x, EPSILON);
    return group || layer ? t_activation(b->tape, x, ACTIVATION_GELU) : x;
}

/* signal as rows [B,T,L] -> [B,N,conv_width] */
static struct tensor *extract(struct build *b, const struct w2v_config *c, struct tensor *x)
{
    bool frozen = b->frozen;
    b->frozen |= c->feature_gradient == 0;
    for (int64_t i = 0; i < c->conv_layers; i++) {
        size_t scope = scope_enter(b, "conv.%d", (int)i);
        x = convolve(b, c, x, i == 0);
        scope_leave(b, scope);
    }
    b->frozen = frozen;
    return t_scale_gradient(b->tape, x, c->feature_gradient);
}

/* [B] samples -> [B] tokens of each record */
static struct tensor *valid_tokens(struct build *b, const struct w2v_config *c,
                                   struct tensor *samples, int64_t T)
{
    for (int64_t i = 1; i <= c->conv_layers; i++)
        samples =
            t_fold_lengths(b->tape, samples, c->conv_kernel, c->conv_stride, tokens_after(c, i, T));
    return samples;
}

/* x + GELU(convolution of x over the tokens); with `visible`, of these tokens alone. */
static struct tensor *add_position(struct build *b, const struct w2v_config *c, struct tensor *x,
                                   struct tensor *visible)
{
    int64_t D = c->width, K = c->position_kernel, N = x->shape[1];
    size_t scope = scope_enter(b, "position");
    struct tensor *direction =
        nn_param(b, "direction", 3, (int64_t[]){D, D / c->position_groups, K}, PARAM_GAUSS,
                 sqrt(4 / (double)(K * D)), true);
    struct tensor *magnitude = nn_param(b, "magnitude", 1, &K, PARAM_LENGTHS, 0, false);
    struct tensor *bias = nn_param(b, "bias", 1, &D, PARAM_ZERO, 0, false);
    scope_leave(b, scope);
    struct tensor *all = x;
    if (visible) {
        x = t_gather(b->tape, x, visible);
        all = t_scatter(b->tape, x, NULL, visible, N);
    }
    struct tensor *position =
        t_conv(b->tape, all, direction, bias, magnitude, c->position_groups, ACTIVATION_GELU);
    if (visible)
        position = t_gather(b->tape, position, visible);
    return t_add(b->tape, x, position);
}

/* The transformer. */
static struct tensor *transform(struct build *b, const struct w2v_config *c, struct tensor *x,
                                struct tensor *lengths)
{
    if (lengths)
        x = t_clear_after(b->tape, x, lengths);
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
                                             .attention_dropout = c->attention_dropout,
                                             .activation_dropout = c->activation_dropout,
                                             .drop_path = skip,
                                             .layer_drop = c->layer_drop,
                                             .epsilon = EPSILON,
                                             .deviation = 0.02,
                                             .post_norm = post_norm(c),
                                             .lengths = lengths});
        scope_leave(b, scope);
    }
    b->layer = (int)c->depth + 1;
    return post_norm(c) ? x : nn_layernorm(b, "norm", x, EPSILON);
}

static struct encoding build(struct build *b, const void *config, struct tensor *signal,
                             const struct masking *masking)
{
    const struct w2v_config *c = config;
    struct tensor *visible = masking->visible;
    struct encoding out = {.token_count = token_count(c, signal->shape[1], signal->shape[2])};
    ASSERT(!visible || !(masking->hidden || masking->lengths),
           "w2v: visible tokens alone, with others hidden or padding");

    b->layer = 0;
    struct tensor *x = t_patchify(b->tape, signal, 1, true); /* [B,T,L] */
    if (visible) { /* as many samples as a token steps over */
        int64_t step = 1;
        for (int64_t i = 0; i < c->conv_layers; i++)
            step *= c->conv_stride;
        out.patches = t_fold(b->tape, x, step, step);
    }
    if (masking->lengths)
        out.lengths = valid_tokens(b, c, masking->lengths, signal->shape[2]);
    out.extracted = extract(b, c, x);
    out.features = x = nn_layernorm(b, "conv.norm", out.extracted, EPSILON);
    x = nn_linear_from(b, "embed", x, c->width, ACTIVATION_NONE, nn_start_uniform(c->conv_width));
    x = t_dropout(b->tape, x, c->input_dropout, false);
    if (masking->hidden)
        x = t_fill(b->tape, x, masking->fill, masking->hidden);
    x = add_position(b, c, x, visible);
    out.tokens = transform(b, c, x, out.lengths);
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
    .hides = true,
    .build = build,
};
