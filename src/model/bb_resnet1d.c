/* Residual convolutional networks over time as they are elsewhere: one convolution, then stages of basic
 * or bottleneck blocks, each stage twice as wide as the one before and, after the first, of half the
 * tokens. A shortcut is a convolution of one tap where width or tokens change. No max-pool.
 *
 *   wang        one basic block in each of three stages, taps 5 and 3, the stem keeps the tokens;
 *               Wang et al. 2017 as Strodthoff et al. 2021 has it
 *   18, 34, 50  He et al. 2016 with 3 taps, the stem halves the tokens; as in MERL (Liu et al. 2024)
 *
 * Parameters, all below "encoder.": "stem.conv.weight" [O,C,7], "stem.norm.*" (weight, bias,
 * running_mean, running_var); "stage.<s>.block.<i>.conv.<k>.weight" [O,C,width], ".norm.<k>.*" (k 0-1, of
 * a bottleneck 0-2), and where there is one "shortcut.conv.weight", "shortcut.norm.*".
 * Layers, for rates and freezing: 0 the stem, then one for each stage. */
#include <stdio.h>
#include <string.h>

#include "model/backbone.h"

struct resnet1d_config {
    const char *depth;
    int64_t width;
};

#define TOKENS_MAX 16384
#define STAGES_MAX 4

static const struct option options[] = {
    OPT_CHOICE(resnet1d_config, depth, "wang", "wang|18|34|50", "which network"),
    OPT_INT(resnet1d_config, width, "128", 8, 1024, NULL, "width of the first stage"), OPTION_END};

struct member {
    const char *depth;
    int64_t blocks[STAGES_MAX]; /* 0: no such stage */
    int64_t stem_stride, taps[2];
    int64_t expansion; /* of a stage's width by a bottleneck's last convolution; 1: basic blocks */
};

static const struct member members[] = {{"wang", {1, 1, 1}, 1, {5, 3}, 1},
                                        {"18", {2, 2, 2, 2}, 2, {3, 3}, 1},
                                        {"34", {3, 4, 6, 3}, 2, {3, 3}, 1},
                                        {"50", {3, 4, 6, 3}, 2, {3, 3}, 4}};

static const struct member *member_of(const struct resnet1d_config *c)
{
    const struct member *m = members;
    while (strcmp(m->depth, c->depth) != 0)
        m++;
    return m;
}

static int64_t stage_count(const struct member *m)
{
    int64_t n = 0;
    while (n < STAGES_MAX && m->blocks[n])
        n++;
    return n;
}

static int64_t token_count(const void *config, int64_t L, int64_t T)
{
    const struct member *m = member_of(config);
    (void)L;
    T = (T - 1) / m->stem_stride + 1;
    for (int64_t i = 1; i < stage_count(m); i++)
        T = (T - 1) / 2 + 1;
    return T;
}

static int64_t width(const void *config)
{
    const struct resnet1d_config *c = config;
    const struct member *m = member_of(c);
    return (c->width << (stage_count(m) - 1)) * m->expansion;
}

static enum err_code check(const void *config, int64_t L, int64_t T, struct err *e)
{
    if (token_count(config, L, T) > TOKENS_MAX)
        FAIL(e, ERR_USAGE, "input of %lld samples makes more than %d tokens", (long long)T,
             TOKENS_MAX);
    return ERR_OK;
}

/* A convolution and its norm; ReLU after the sum with what is beside, if there is something. */
static struct tensor *convolve(struct build *b, int number, struct tensor *x, struct tensor *beside,
                               int64_t out, int64_t taps, int64_t stride)
{
    char conv[16], norm[16];
    snprintf(conv, sizeof conv, "conv.%d", number);
    snprintf(norm, sizeof norm, "norm.%d", number);
    x = nn_conv(b, conv, x, out, &(struct conv_options){.width = taps, .stride = stride});
    return nn_batchnorm_from(b, norm, x, beside, ACTIVATION_RELU, (struct batchnorm_start){1, 0});
}

static struct tensor *block(struct build *b, const struct member *m, struct tensor *x,
                            int64_t width, int64_t stride)
{
    struct tensor *beside = x;
    int64_t out = width * m->expansion;
    if (stride > 1 || tensor_width(x) != out) {
        size_t scope = scope_enter(b, "shortcut");
        beside = nn_conv(b, "conv", x, out, &(struct conv_options){.width = 1, .stride = stride});
        beside = nn_batchnorm(b, "norm", beside, ACTIVATION_NONE);
        scope_leave(b, scope);
    }
    if (m->expansion > 1) {
        x = convolve(b, 0, x, NULL, width, 1, 1);
        x = convolve(b, 1, x, NULL, width, m->taps[0], stride);
        return convolve(b, 2, x, beside, out, 1, 1);
    }
    x = convolve(b, 0, x, NULL, width, m->taps[0], stride);
    return convolve(b, 1, x, beside, out, m->taps[1], 1);
}

static struct encoding build(struct build *b, const void *config, struct tensor *signal,
                             const struct masking *masking)
{
    const struct resnet1d_config *c = config;
    const struct member *m = member_of(c);
    (void)masking;
    b->layer = 0;
    struct tensor *x = t_patchify(b->tape, signal, 1, true);
    size_t scope = scope_enter(b, "stem");
    x = nn_conv(b, "conv", x, c->width,
                &(struct conv_options){.width = 7, .stride = m->stem_stride});
    x = nn_batchnorm(b, "norm", x, ACTIVATION_RELU);
    scope_leave(b, scope);
    for (int64_t stage = 0; stage < stage_count(m); stage++) {
        layer_next(b);
        for (int64_t i = 0; i < m->blocks[stage]; i++) {
            scope = scope_enter(b, "stage.%d.block.%d", (int)stage, (int)i);
            x = block(b, m, x, c->width << stage, stage > 0 && i == 0 ? 2 : 1);
            scope_leave(b, scope);
        }
    }
    layer_next(b);
    return (struct encoding){.tokens = x, .token_count = x->shape[1]};
}

const struct backbone backbone_resnet1d = {
    .name = "resnet1d",
    .help = "residual convolutional network over time (ResNet1d-wang, ResNet-18/34/50 of MERL)",
    .options = options,
    .config_size = sizeof(struct resnet1d_config),
    .check = check,
    .token_count = token_count,
    .width = width,
    .whole = true,
    .build = build,
};
