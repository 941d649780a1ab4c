/* The small convolutional network of CLOCS: three convolutions of 7 taps and stride 3, none padded, each
 * with batch norm, ReLU, a max-pool of 2 and dropout; what is left of the segment becomes one token by a
 * linear layer. It takes the leads it is given together; one lead, as published, is input.leads=II.
 * Source: Kiyasseh et al. 2021 (CLOCS), appendix.
 *
 * Parameters, all below "encoder.": "conv.<0-2>.conv.weight" [O,C,7] and ".bias", "conv.<i>.norm.*"
 * (weight, bias, running_mean, running_var), "embed.weight" [width, tokens * 32] (the channels of a token
 * beside each other; PyTorch's flattened [B,C,T] has the tokens of a channel so) and "embed.bias".
 * Layers, for rates and freezing: 0 to 2 the convolutions, 3 the linear layer. */
#include "model/backbone.h"

struct clocs_cnn_config {
    int64_t width;
    double dropout;
};

static const struct option options[] = {OPT_INT(clocs_cnn_config, width, "256", 8, 8192, NULL,
                                                "width of the one token"),
                                        OPT_FLOAT(clocs_cnn_config, dropout, "0.1", 0, 0.9, NULL,
                                                  "dropout after each convolution in training"),
                                        OPTION_END};

enum { TAPS = 7, STRIDE = 3, POOL = 2 };
static const int64_t widths[] = {4, 16, 32};
enum { CONVOLUTIONS = sizeof widths / sizeof *widths };

/* Tokens that meet the linear layer; 0: too few samples. */
static int64_t tokens_after(int64_t T)
{
    for (int i = 0; i < CONVOLUTIONS; i++)
        T = T < TAPS ? 0 : ((T - TAPS) / STRIDE + 1) / POOL;
    return T;
}

static int64_t token_count(const void *config, int64_t L, int64_t T)
{
    (void)config;
    (void)L;
    return tokens_after(T) > 0;
}

static int64_t width(const void *config)
{
    return ((const struct clocs_cnn_config *)config)->width;
}

static enum err_code check(const void *config, int64_t L, int64_t T, struct err *e)
{
    (void)config;
    (void)L;
    if (tokens_after(T) < 1)
        FAIL(e, ERR_USAGE, "input of %lld samples is too short for backbone clocs_cnn",
             (long long)T);
    return ERR_OK;
}

static struct encoding build(struct build *b, const void *config, struct tensor *signal,
                             const struct masking *masking)
{
    const struct clocs_cnn_config *c = config;
    (void)masking;
    struct tensor *x = t_patchify(b->tape, signal, 1, true);
    for (b->layer = 0; b->layer < CONVOLUTIONS; layer_next(b)) {
        size_t scope = scope_enter(b, "conv.%d", b->layer);
        x = nn_conv(b, "conv", x, widths[b->layer],
                    &(struct conv_options){
                        .width = TAPS, .stride = STRIDE, .unpadded = true, .bias = true});
        x = nn_batchnorm(b, "norm", x, ACTIVATION_RELU);
        x = t_pool_windows(b->tape, x, POOL_MAX, POOL, POOL, 0, false);
        x = t_dropout(b->tape, x, c->dropout, false);
        scope_leave(b, scope);
    }
    x = t_fold(b->tape, x, x->shape[1], x->shape[1]);
    x = nn_linear_from(b, "embed", x, c->width, ACTIVATION_NONE, nn_start_uniform(tensor_width(x)));
    layer_next(b);
    return (struct encoding){.tokens = x, .token_count = 1};
}

const struct backbone backbone_clocs_cnn = {
    .name = "clocs_cnn",
    .help = "three strided convolutions, then one token of the whole segment (CLOCS)",
    .options = options,
    .config_size = sizeof(struct clocs_cnn_config),
    .training = "dropout",
    .check = check,
    .token_count = token_count,
    .width = width,
    .whole = true,
    .build = build,
};
