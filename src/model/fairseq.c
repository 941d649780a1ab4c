#include "model/fairseq.h"

#include <inttypes.h>
#include <string.h>

#include "base/shapes.h"

/* ---- the table of names ---- */

enum repeat { ONCE, CONVS, BLOCKS };
enum part { ENCODER, PRETRAINING, HEAD };
enum condition { ALWAYS, CONV_BIAS, GROUP_NORM, LAYER_NORM, OLD_SPELLING, NEW_SPELLING };

/* %d is the number of the convolution or block. A letter of `shape` is an extent of theirs:
 *   C conv_width  I channels into this convolution  k conv_kernel
 *   D width  F hidden  g width of a position group  p position_kernel
 *   v code_groups * codes  w code_width  q code_groups * code_width  f final_width  K classes */
static const struct row {
    const char *theirs, *ours, *shape;
    enum part part;
    enum repeat repeat;
    enum fairseq_layout layout;
    enum condition condition;
} rows[] = {
#define POSITION "conv_pos.pos_conv.0."
#define LAYER "encoder.layers.%d."
#define BLOCK "encoder.block.%d."
    {"mask_emb", "w2v.mask_token", "D", PRETRAINING, ONCE, FAIRSEQ_SAME, ALWAYS},
    {LAYER "self_attn.k_proj.weight", BLOCK "attention.qkv.weight", "DD", ENCODER, BLOCKS,
     FAIRSEQ_K, ALWAYS},
    {LAYER "self_attn.k_proj.bias", BLOCK "attention.qkv.bias", "D", ENCODER, BLOCKS, FAIRSEQ_K,
     ALWAYS},
    {LAYER "self_attn.v_proj.weight", BLOCK "attention.qkv.weight", "DD", ENCODER, BLOCKS,
     FAIRSEQ_V, ALWAYS},
    {LAYER "self_attn.v_proj.bias", BLOCK "attention.qkv.bias", "D", ENCODER, BLOCKS, FAIRSEQ_V,
     ALWAYS},
    {LAYER "self_attn.q_proj.weight", BLOCK "attention.qkv.weight", "DD", ENCODER, BLOCKS,
     FAIRSEQ_Q, ALWAYS},
    {LAYER "self_attn.q_proj.bias", BLOCK "attention.qkv.bias", "D", ENCODER, BLOCKS, FAIRSEQ_Q,
     ALWAYS},
    {LAYER "self_attn.out_proj.weight", BLOCK "attention.out.weight", "DD", ENCODER, BLOCKS,
     FAIRSEQ_SAME, ALWAYS},
    {LAYER "self_attn.out_proj.bias", BLOCK "attention.out.bias", "D", ENCODER, BLOCKS,
     FAIRSEQ_SAME, ALWAYS},
    {LAYER "self_attn_layer_norm.weight", BLOCK "norm1.weight", "D", ENCODER, BLOCKS, FAIRSEQ_SAME,
     ALWAYS},
    {LAYER "self_attn_layer_norm.bias", BLOCK "norm1.bias", "D", ENCODER, BLOCKS, FAIRSEQ_SAME,
     ALWAYS},
    {LAYER "fc1.weight", BLOCK "mlp.up.weight", "FD", ENCODER, BLOCKS, FAIRSEQ_SAME, ALWAYS},
    {LAYER "fc1.bias", BLOCK "mlp.up.bias", "F", ENCODER, BLOCKS, FAIRSEQ_SAME, ALWAYS},
    {LAYER "fc2.weight", BLOCK "mlp.down.weight", "DF", ENCODER, BLOCKS, FAIRSEQ_SAME, ALWAYS},
    {LAYER "fc2.bias", BLOCK "mlp.down.bias", "D", ENCODER, BLOCKS, FAIRSEQ_SAME, ALWAYS},
    {LAYER "final_layer_norm.weight", BLOCK "norm2.weight", "D", ENCODER, BLOCKS, FAIRSEQ_SAME,
     ALWAYS},
    {LAYER "final_layer_norm.bias", BLOCK "norm2.bias", "D", ENCODER, BLOCKS, FAIRSEQ_SAME, ALWAYS},
    {"encoder.layer_norm.weight", "encoder.norm.weight", "D", ENCODER, ONCE, FAIRSEQ_SAME, ALWAYS},
    {"encoder.layer_norm.bias", "encoder.norm.bias", "D", ENCODER, ONCE, FAIRSEQ_SAME, ALWAYS},
    {"feature_extractor.conv_layers.%d.0.weight", "encoder.conv.%d.weight", "CIk", ENCODER, CONVS,
     FAIRSEQ_TAPS, ALWAYS},
    {"feature_extractor.conv_layers.%d.0.bias", "encoder.conv.%d.bias", "C", ENCODER, CONVS,
     FAIRSEQ_SAME, CONV_BIAS},
    {"feature_extractor.conv_layers.0.2.weight", "encoder.conv.0.norm.weight", "C", ENCODER, ONCE,
     FAIRSEQ_SAME, GROUP_NORM},
    {"feature_extractor.conv_layers.0.2.bias", "encoder.conv.0.norm.bias", "C", ENCODER, ONCE,
     FAIRSEQ_SAME, GROUP_NORM},
    {"feature_extractor.conv_layers.%d.2.1.weight", "encoder.conv.%d.norm.weight", "C", ENCODER,
     CONVS, FAIRSEQ_SAME, LAYER_NORM},
    {"feature_extractor.conv_layers.%d.2.1.bias", "encoder.conv.%d.norm.bias", "C", ENCODER, CONVS,
     FAIRSEQ_SAME, LAYER_NORM},
    {"post_extract_proj.weight", "encoder.embed.weight", "DC", ENCODER, ONCE, FAIRSEQ_SAME, ALWAYS},
    {"post_extract_proj.bias", "encoder.embed.bias", "D", ENCODER, ONCE, FAIRSEQ_SAME, ALWAYS},
    {POSITION "bias", "encoder.position.bias", "D", ENCODER, ONCE, FAIRSEQ_SAME, ALWAYS},
    {POSITION "weight_g", "encoder.position.magnitude", "11p", ENCODER, ONCE, FAIRSEQ_SAME,
     OLD_SPELLING},
    {POSITION "weight_v", "encoder.position.direction", "Dgp", ENCODER, ONCE, FAIRSEQ_SAME,
     OLD_SPELLING},
    {POSITION "parametrizations.weight.original0", "encoder.position.magnitude", "11p", ENCODER,
     ONCE, FAIRSEQ_SAME, NEW_SPELLING},
    {POSITION "parametrizations.weight.original1", "encoder.position.direction", "Dgp", ENCODER,
     ONCE, FAIRSEQ_SAME, NEW_SPELLING},
    {"layer_norm.weight", "encoder.conv.norm.weight", "C", ENCODER, ONCE, FAIRSEQ_SAME, ALWAYS},
    {"layer_norm.bias", "encoder.conv.norm.bias", "C", ENCODER, ONCE, FAIRSEQ_SAME, ALWAYS},
    {"quantizer.vars", "w2v.quantizer.codes", "1vw", PRETRAINING, ONCE, FAIRSEQ_SAME, ALWAYS},
    {"quantizer.weight_proj.weight", "w2v.quantizer.weight", "vC", PRETRAINING, ONCE, FAIRSEQ_SAME,
     ALWAYS},
    {"quantizer.weight_proj.bias", "w2v.quantizer.bias", "v", PRETRAINING, ONCE, FAIRSEQ_SAME,
     ALWAYS},
    {"project_q.weight", "w2v.target.weight", "fq", PRETRAINING, ONCE, FAIRSEQ_SAME, ALWAYS},
    {"project_q.bias", "w2v.target.bias", "f", PRETRAINING, ONCE, FAIRSEQ_SAME, ALWAYS},
    {"final_proj.weight", "w2v.predict.weight", "fD", PRETRAINING, ONCE, FAIRSEQ_SAME, ALWAYS},
    {"final_proj.bias", "w2v.predict.bias", "f", PRETRAINING, ONCE, FAIRSEQ_SAME, ALWAYS},
    {"proj.weight", "head.weight", "KD", HEAD, ONCE, FAIRSEQ_SAME, ALWAYS},
    {"proj.bias", "head.bias", "K", HEAD, ONCE, FAIRSEQ_SAME, ALWAYS},
};
#define ROW_COUNT (sizeof rows / sizeof *rows)

const char *const fairseq_kind_names[] = {
    [FAIRSEQ_PRETRAINED] = "pre-trained encoder",
    [FAIRSEQ_ENCODER] = "encoder",
    [FAIRSEQ_CLASSIFIER] = "classifier",
};

void fairseq_arch_default(struct fairseq_arch *a, enum fairseq_kind kind, int64_t classes)
{
    *a = (struct fairseq_arch){.kind = kind,
                               .cmsc = kind == FAIRSEQ_PRETRAINED,
                               .leads = 12,
                               .conv_layers = 4,
                               .conv_width = 256,
                               .conv_kernel = 2,
                               .conv_stride = 2,
                               .width = 768,
                               .depth = 12,
                               .hidden = 3072,
                               .heads = 12,
                               .position_kernel = 128,
                               .position_groups = 16,
                               .code_groups = 2,
                               .codes = 320,
                               .code_width = 128,
                               .final_width = 256,
                               .classes = kind == FAIRSEQ_CLASSIFIER ? classes : 0};
}

static int64_t extent(const struct fairseq_arch *a, char letter, int64_t index)
{
    switch (letter) {
    case '1':
        return 1;
    case 'C':
        return a->conv_width;
    case 'I':
        return index == 0 ? a->leads : a->conv_width;
    case 'k':
        return a->conv_kernel;
    case 'D':
        return a->width;
    case 'F':
        return a->hidden;
    case 'g':
        return a->width / a->position_groups;
    case 'p':
        return a->position_kernel;
    case 'v':
        return a->code_groups * a->codes;
    case 'w':
        return a->code_width;
    case 'q':
        return a->code_groups * a->code_width;
    case 'f':
        return a->final_width;
    case 'K':
        return a->classes;
    default:
        BUG("no extent %c", letter);
    }
}

static bool applies(const struct fairseq_arch *a, const struct row *r)
{
    if ((r->part == PRETRAINING && a->kind != FAIRSEQ_PRETRAINED) ||
        (r->part == HEAD && a->kind != FAIRSEQ_CLASSIFIER))
        return false;
    switch (r->condition) {
    case ALWAYS:
        return true;
    case CONV_BIAS:
        return a->conv_bias;
    case GROUP_NORM:
        return !a->conv_layer_norm;
    case LAYER_NORM:
        return a->conv_layer_norm;
    case OLD_SPELLING:
        return !a->parametrized;
    case NEW_SPELLING:
        return a->parametrized;
    }
    return false;
}

/* The text of a row with its number in place of %d. */
static const char *numbered(struct arena *arena, const char *prefix, const char *text, int64_t i)
{
    const char *at = strstr(text, "%d");
    const char *name =
        at ? arena_printf(arena, "%s%.*s%" PRId64 "%s", prefix, (int)(at - text), text, i, at + 2)
           : arena_printf(arena, "%s%s", prefix, text);
    ASSERT(name, "out of memory");
    return name;
}

int64_t fairseq_tensors(const struct fairseq_arch *a, struct arena *arena,
                        struct fairseq_tensor **out)
{
    int64_t room = (int64_t)ROW_COUNT * (a->depth + a->conv_layers + 1), n = 0;
    struct fairseq_tensor *list = arena_push_array(arena, (size_t)room, sizeof *list);
    ASSERT(list, "out of memory");
    for (size_t r = 0; r < ROW_COUNT;) {
        /* rows of the same repetition go round together: a block's tensors stand together */
        size_t end = r + 1;
        while (rows[r].repeat == BLOCKS && end < ROW_COUNT && rows[end].repeat == BLOCKS)
            end++;
        int64_t times = rows[r].repeat == BLOCKS  ? a->depth
                        : rows[r].repeat == CONVS ? a->conv_layers
                                                  : 1;
        for (int64_t i = 0; i < times; i++)
            for (size_t k = r; k < end; k++) {
                const struct row *row = &rows[k];
                if (!applies(a, row))
                    continue;
                bool inner = a->kind == FAIRSEQ_CLASSIFIER && row->part == ENCODER;
                struct fairseq_tensor *t = &list[n++];
                t->name = numbered(arena, inner ? "encoder." : "", row->theirs, i);
                t->ours = numbered(arena, "", row->ours, i);
                t->layout = row->layout;
                t->rank = (int)strlen(row->shape);
                for (int d = 0; d < t->rank; d++)
                    t->shape[d] = extent(a, row->shape[d], i);
            }
        r = end;
    }
    *out = list;
    return n;
}

int64_t fairseq_numel(const struct fairseq_tensor *t)
{
    int64_t numel = 0;
    ASSERT(shape_numel(t->shape, t->rank, &numel), "%s: shape", t->name);
    return numel;
}

bool fairseq_fits(const struct fairseq_tensor *t, const struct param *p)
{
    int64_t shape[PYTORCH_RANK_MAX], rank = 0;
    if (t->layout == FAIRSEQ_TAPS) {
        shape[rank++] = t->shape[0];
        shape[rank++] = t->shape[1] * t->shape[2];
    } else {
        int first = 0;
        while (first < t->rank - 1 && t->shape[first] == 1 && t->rank != p->rank + first)
            first++;
        for (int d = first; d < t->rank; d++)
            shape[rank++] = t->shape[d];
        if (t->layout != FAIRSEQ_SAME)
            shape[0] *= 3;
    }
    return p->rank == rank && memcmp(p->shape, shape, (size_t)rank * sizeof *shape) == 0;
}

/* Where its values begin among those of our parameter: q, k and v lie one after the other. */
static int64_t first_value(const struct fairseq_tensor *t)
{
    int64_t part = t->layout == FAIRSEQ_K ? 1 : t->layout == FAIRSEQ_V ? 2 : 0;
    return part * fairseq_numel(t);
}

/* out [O,B,A] from in [O,A,B] */
static void swap_last_axes(float *out, const float *in, int64_t O, int64_t A, int64_t B)
{
    for (int64_t o = 0; o < O; o++)
        for (int64_t b = 0; b < B; b++)
            for (int64_t a = 0; a < A; a++)
                out[(o * B + b) * A + a] = in[(o * A + a) * B + b];
}

void fairseq_take(const struct fairseq_tensor *t, const float *ours, float *theirs)
{
    if (t->layout == FAIRSEQ_TAPS)
        swap_last_axes(theirs, ours, t->shape[0], t->shape[2], t->shape[1]);
    else
        memcpy(theirs, ours + first_value(t), (size_t)fairseq_numel(t) * sizeof *theirs);
}

void fairseq_put(const struct fairseq_tensor *t, float *ours, const float *theirs)
{
    if (t->layout == FAIRSEQ_TAPS)
        swap_last_axes(ours, theirs, t->shape[0], t->shape[1], t->shape[2]);
    else
        memcpy(ours + first_value(t), theirs, (size_t)fairseq_numel(t) * sizeof *ours);
}

void fairseq_contract(struct contract *c)
{
    contract_default(c);
    c->rate_hz = 500;
    c->sample_count = 2500;
    c->normalization = NORMALIZE_LEAD_RECORD;
    c->resampling = RESAMPLE_LINEAR;
    c->windows = WINDOWS_SEGMENTS;
    c->missing = MISSING_ZERO;
}
