/* Masked autoencoder: hidden tokens leave the encoder, a small decoder predicts their patches, each
 * standardized by itself. Source: He et al. 2022 (MAE); for ECG Na et al. 2024 (ST-MEM). */
#include "objective/objective.h"

struct mae_config {
    struct objective_config common;
    double mask_ratio;
    int64_t width, depth, heads;
    bool normalize_target;
};

static const struct option options[] = {
    {"weight", OPTION_FLOAT, offsetof(struct mae_config, common.weight), "1", 0, 1e6, NULL, NULL,
     "factor of this loss in a sum of objectives", false},
    OPT_FLOAT(mae_config, mask_ratio, "0.6", 0.05, 0.95, NULL, "fraction of tokens hidden"),
    OPT_INT(mae_config, width, "128", 8, 4096, NULL, "width of the decoder"),
    OPT_INT(mae_config, depth, "2", 0, 32, NULL, "blocks of the decoder"),
    OPT_INT(mae_config, heads, "4", 1, 64, NULL, "attention heads of the decoder"),
    OPT_BOOL(mae_config, normalize_target, "true", "predict each patch standardized by itself"),
    OPTION_END};

static double mask_ratio(const void *config)
{
    return ((const struct mae_config *)config)->mask_ratio;
}

static enum err_code check(const void *config, struct err *e)
{
    const struct mae_config *c = config;
    if (c->width % c->heads)
        FAIL(e, ERR_USAGE, "mae.width %lld is not a multiple of mae.heads %lld",
             (long long)c->width, (long long)c->heads);
    return ERR_OK;
}

static struct tensor *build(const struct scene *s, const void *config)
{
    const struct mae_config *c = config;
    struct build *b = s->build;
    int64_t N = s->encoding.token_count, W = c->width;
    struct tensor *x = nn_linear(b, "embed", s->encoding.tokens, W, ACTIVATION_NONE);
    struct tensor *hidden = nn_param(b, "mask_token", 1, &W, PARAM_NORMAL, 0.02, false);
    x = t_scatter(b->tape, x, hidden, s->visible, N);
    x = t_add_rows(b->tape, x, nn_param(b, "place", 2, (int64_t[]){N, W}, PARAM_SINCOS, 1, false));
    for (int64_t i = 0; i < c->depth; i++) {
        size_t scope = scope_enter(b, "block.%d", (int)i);
        x = nn_block(b, x, &(struct block_options){.heads = c->heads, .hidden = 4 * W});
        scope_leave(b, scope);
    }
    x = t_gather(b->tape, x, s->masked);
    x = nn_layernorm(b, "norm", x, 0);
    x = nn_linear(b, "predict", x, tensor_width(s->encoding.patches), ACTIVATION_NONE);
    return t_mse_patch(b->tape, x, s->encoding.patches, s->masked, c->normalize_target);
}

const struct objective objective_mae = {
    .name = "mae",
    .help = "masked autoencoder: predict the patches that the encoder did not see",
    .options = options,
    .config_size = sizeof(struct mae_config),
    .views = 1,
    .mask_ratio = mask_ratio,
    .check = check,
    .build = build,
};
