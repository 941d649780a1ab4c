/* Transformer over patches of the signal, either of all leads (tokens along time) or of one lead each
 * (tokens along time for every lead), with learned lead and time embeddings.
 * Source: Dosovitskiy et al. 2021 (ViT); one-lead patches as in Na et al. 2024 (ST-MEM). */
#include <string.h>

#include "model/backbone.h"

struct vit_config {
    int64_t width, depth, heads, patch;
    const char *patch_leads;
    double mlp_ratio, dropout, drop_path;
};

#define TOKENS_MAX 16384

static const struct option options[] = {
    OPT_INT(vit_config, width, "192", 8, 8192, NULL, "width of the tokens"),
    OPT_INT(vit_config, depth, "6", 1, 128, NULL, "number of transformer blocks"),
    OPT_INT(vit_config, heads, "3", 1, 128, NULL, "attention heads"),
    OPT_INT(vit_config, patch, "10", 1, 10000, "samples", "length of a patch"),
    OPT_CHOICE(vit_config, patch_leads, "all", "all|one",
               "a patch spans all leads, or one lead with a token for each lead"),
    OPT_FLOAT(vit_config, mlp_ratio, "4", 0.25, 16, NULL, "hidden width of the mlp over width"),
    OPT_FLOAT(vit_config, dropout, "0", 0, 0.9, NULL, "dropout of residual branches in training"),
    OPT_FLOAT(vit_config, drop_path, "0", 0, 0.9, NULL,
              "probability of skipping the last block in training, linear over depth"),
    OPTION_END};

static bool all_leads(const struct vit_config *c) { return strcmp(c->patch_leads, "all") == 0; }

static int64_t token_count(const void *config, int64_t L, int64_t T)
{
    const struct vit_config *c = config;
    return T / c->patch * (all_leads(c) ? 1 : L);
}

static int64_t width(const void *config) { return ((const struct vit_config *)config)->width; }

static enum err_code check(const void *config, int64_t L, int64_t T, struct err *e)
{
    const struct vit_config *c = config;
    if (c->width % c->heads)
        FAIL(e, ERR_USAGE, "vit.width %lld is not a multiple of vit.heads %lld",
             (long long)c->width, (long long)c->heads);
    if (T < c->patch || T % c->patch)
        FAIL(e, ERR_USAGE, "input of %lld samples is not a multiple of vit.patch %lld",
             (long long)T, (long long)c->patch);
    if (token_count(config, L, T) > TOKENS_MAX)
        FAIL(e, ERR_USAGE, "%lld tokens are more than %d; use a longer vit.patch",
             (long long)token_count(config, L, T), TOKENS_MAX);
    return ERR_OK;
}

static struct encoding build(struct build *b, const void *config, struct tensor *signal,
                             const struct masking *masking)
{
    struct tensor *visible = masking->visible;
    const struct vit_config *c = config;
    int64_t L = signal->shape[1], T = signal->shape[2], D = c->width, steps = T / c->patch;
    struct encoding out = {.token_count = token_count(c, L, T)};

    b->layer = 0;
    out.patches = t_patchify(b->tape, signal, c->patch, all_leads(c));
    struct tensor *x = nn_linear(b, "embed.patch", out.patches, D, ACTIVATION_NONE);
    struct tensor *place =
        nn_param(b, "embed.time", 2, (int64_t[]){steps, D}, PARAM_SINCOS, 1, false);
    if (!all_leads(c)) {
        struct tensor *lead =
            nn_param(b, "embed.lead", 2, (int64_t[]){L, D}, PARAM_NORMAL, 0.02, false);
        place = t_outer_add(b->tape, lead, place);
    }
    x = t_add_rows(b->tape, x, place);
    if (visible)
        x = t_gather(b->tape, x, visible);
    for (int64_t i = 0; i < c->depth; i++) {
        b->layer = (int)i + 1;
        size_t scope = scope_enter(b, "block.%d", (int)i);
        double skip = c->depth > 1 ? c->drop_path * (double)i / (double)(c->depth - 1) : 0;
        x = nn_block(b, x,
                     &(struct block_options){.heads = c->heads,
                                             .hidden = (int64_t)((double)D * c->mlp_ratio),
                                             .dropout = c->dropout,
                                             .drop_path = skip});
        scope_leave(b, scope);
    }
    b->layer = (int)c->depth + 1;
    out.tokens = nn_layernorm(b, "norm", x, 0);
    return out;
}

const struct backbone backbone_vit = {
    .name = "vit",
    .help = "transformer over patches of all leads or of single leads",
    .options = options,
    .config_size = sizeof(struct vit_config),
    .training = "dropout drop_path",
    .check = check,
    .token_count = token_count,
    .width = width,
    .build = build,
};
