/* Residual convolutional networks over time, one dimension's worth of "bag of tricks" ResNets: a stem
 * of three convolutions and a max-pool, then four stages of blocks of one width, the later three of half
 * the tokens each. A shortcut is an average of pairs of tokens and, where the width changes, a
 * convolution of one tap; the last norm of a block starts at zero.
 * Source: He et al. 2019 (Bag of Tricks), section 4.2 (ResNet-B, -D); Strodthoff et al. 2021.
 *
 * Parameters, all below "encoder.": "stem.<0-2>.conv.weight" [O,C,5] and "stem.<i>.norm.*" (weight,
 * bias, running_mean, running_var); "stage.<s>.block.<i>.conv.<k>.weight" [O,C,width], ".norm.<k>.*",
 * k 0-2 (0-1 without a bottleneck), and where the width changes "shortcut.conv.weight", "shortcut.norm.*".
 * Layers, for rates and freezing: 0 the stem, 1 to 4 the stages. */
#include <stdio.h>
#include <string.h>

#include "model/backbone.h"

struct xresnet1d_config {
    const char *depth;
    int64_t width, kernel;
};

#define TOKENS_MAX 16384
#define STAGES 4

static const struct option options[] = {
    OPT_CHOICE(xresnet1d_config, depth, "50", "18|34|50|101|152", "which network of the family"),
    OPT_INT(xresnet1d_config, width, "64", 8, 2048, NULL, "width of the blocks"),
    OPT_INT(xresnet1d_config, kernel, "5", 3, 15, "tokens", "taps of the convolutions, odd"),
    OPTION_END};

struct member {
    const char *depth;
    int64_t blocks[STAGES], expansion; /* of the width by a block's last convolution */
};

static const struct member members[] = {{"18", {2, 2, 2, 2}, 1},
                                        {"34", {3, 4, 6, 3}, 1},
                                        {"50", {3, 4, 6, 3}, 4},
                                        {"101", {3, 4, 23, 3}, 4},
                                        {"152", {3, 8, 36, 3}, 4}};

static const struct member *member_of(const struct xresnet1d_config *c)
{
    const struct member *m = members;
    while (strcmp(m->depth, c->depth) != 0)
        m++;
    return m;
}

/* The stem's first convolution, its pool and three stages halve the tokens. */
static int64_t token_count(const void *config, int64_t L, int64_t T)
{
    (void)config;
    (void)L;
    for (int i = 0; i < 5; i++)
        T = (T - 1) / 2 + 1;
    return T;
}

static int64_t width(const void *config)
{
    const struct xresnet1d_config *c = config;
    return c->width * member_of(c)->expansion;
}

static enum err_code check(const void *config, int64_t L, int64_t T, struct err *e)
{
    const struct xresnet1d_config *c = config;
    if (c->kernel % 2 == 0)
        FAIL(e, ERR_USAGE, "xresnet1d.kernel %lld is even", (long long)c->kernel);
    if (token_count(config, L, T) > TOKENS_MAX)
        FAIL(e, ERR_USAGE, "input of %lld samples makes more than %d tokens", (long long)T,
             TOKENS_MAX);
    return ERR_OK;
}

/* A convolution and its norm; relu after the sum with what is beside, if there is something. */
static struct tensor *convolve(struct build *b, int number, struct tensor *x, struct tensor *beside,
                               int64_t out, int64_t taps, int64_t stride, bool last)
{
    char conv[16] = "conv", norm[16] = "norm";
    if (number >= 0) {
        snprintf(conv, sizeof conv, "conv.%d", number);
        snprintf(norm, sizeof norm, "norm.%d", number);
    }
    x = nn_conv(b, conv, x, out, &(struct conv_options){.width = taps, .stride = stride});
    return nn_batchnorm_from(b, norm, x, beside, ACTIVATION_RELU,
                             (struct batchnorm_start){last ? 0 : 1, 1e-3});
}

static struct tensor *block(struct build *b, const struct xresnet1d_config *c, struct tensor *x,
                            int64_t stride)
{
    bool bottleneck = member_of(c)->expansion > 1;
    int64_t out = width(c);
    struct tensor *beside = x;
    if (stride > 1)
        beside = t_pool_windows(b->tape, beside, POOL_MEAN, stride, stride, 0, true);
    if (tensor_width(x) != out) {
        size_t scope = scope_enter(b, "shortcut");
        beside = nn_conv(b, "conv", beside, out, &(struct conv_options){.width = 1});
        beside = nn_batchnorm_from(b, "norm", beside, NULL, ACTIVATION_NONE,
                                   (struct batchnorm_start){1, 1e-3});
        scope_leave(b, scope);
    }
    if (bottleneck) {
        x = convolve(b, 0, x, NULL, c->width, 1, 1, false);
        x = convolve(b, 1, x, NULL, c->width, c->kernel, stride, false);
        return convolve(b, 2, x, beside, out, 1, 1, true);
    }
    x = convolve(b, 0, x, NULL, c->width, c->kernel, stride, false);
    return convolve(b, 1, x, beside, out, c->kernel, 1, true);
}

static struct tensor *stem(struct build *b, const struct xresnet1d_config *c, struct tensor *x)
{
    const int64_t widths[] = {32, 32, 64};
    for (int i = 0; i < 3; i++) {
        size_t scope = scope_enter(b, "stem.%d", i);
        x = convolve(b, -1, x, NULL, widths[i], c->kernel, i == 0 ? 2 : 1, false);
        scope_leave(b, scope);
    }
    return t_pool_windows(b->tape, x, POOL_MAX, 3, 2, 1, false);
}

static struct encoding build(struct build *b, const void *config, struct tensor *signal,
                             const struct masking *masking)
{
    const struct xresnet1d_config *c = config;
    (void)masking;
    b->layer = 0;
    struct tensor *x = stem(b, c, t_patchify(b->tape, signal, 1, true));
    for (int stage = 0; stage < STAGES; stage++) {
        layer_next(b);
        for (int64_t i = 0; i < member_of(c)->blocks[stage]; i++) {
            size_t scope = scope_enter(b, "stage.%d.block.%d", stage, (int)i);
            x = block(b, c, x, stage > 0 && i == 0 ? 2 : 1);
            scope_leave(b, scope);
        }
    }
    layer_next(b);
    return (struct encoding){.tokens = x, .token_count = x->shape[1]};
}

const struct backbone backbone_xresnet1d = {
    .name = "xresnet1d",
    .help = "residual convolutional network over time (xResNet1d)",
    .options = options,
    .config_size = sizeof(struct xresnet1d_config),
    .check = check,
    .token_count = token_count,
    .width = width,
    .whole = true,
    .build = build,
};
