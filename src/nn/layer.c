#include "nn/layer.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

size_t scope_enter(struct build *b, const char *format, ...)
{
    size_t length = strlen(b->scope);
    size_t at = length;
    if (at)
        b->scope[at++] = '.';
    va_list args;
    va_start(args, format);
    int n = vsnprintf(b->scope + at, sizeof b->scope - at, format, args);
    va_end(args);
    ASSERT(n > 0 && (size_t)n < sizeof b->scope - at, "scope name too long");
    return length;
}

void scope_leave(struct build *b, size_t length) { b->scope[length] = 0; }

void layer_next(struct build *b)
{
    b->layer++;
    if (b->params->layer_max < b->layer)
        b->params->layer_max = b->layer;
}

struct tensor *nn_param(struct build *b, const char *name, int rank, const int64_t *shape,
                        enum param_init init, double scale, bool decay)
{
    char full[192];
    int n = snprintf(full, sizeof full, "%s%s%s", b->scope, b->scope[0] ? "." : "", name);
    ASSERT(n > 0 && (size_t)n < sizeof full, "parameter name too long");
    struct param *p = param_get(b->params, full, rank, shape, init, scale, decay, b->layer);
    p->frozen |= b->frozen;
    p->added |= b->added;
    return tape_parameter(b->tape, p->name, !p->frozen, p->offset, rank, shape);
}

struct tensor *nn_linear(struct build *b, const char *name, struct tensor *x, int64_t out,
                         enum activation act)
{
    return nn_linear_from(b, name, x, out, act,
                          (struct linear_start){PARAM_XAVIER, PARAM_ZERO, 0, 0});
}

struct linear_start nn_start_uniform(int64_t in)
{
    double bound = 1 / sqrt((double)in);
    return (struct linear_start){PARAM_UNIFORM, PARAM_UNIFORM, bound, bound};
}

struct linear_start nn_start_gauss(double deviation)
{
    return (struct linear_start){PARAM_GAUSS, PARAM_ZERO, deviation, 0};
}

/* Every target as what a name may be: itself, its end after a point, or a pattern of the whole. */
bool lora_is_target(const struct lora_options *lora, const char *name)
{
    for (const char *end = lora->targets ? name : NULL; end; end = strchr(end, '.')) {
        end += *end == '.';
        if (str_matches_any(lora->targets, end))
            return true;
    }
    return false;
}

/* What is added to the linear layer whose scope this is; NULL: nothing. */
static struct tensor *low_rank(struct build *b, struct tensor *x, int64_t out)
{
    const struct lora_options *lora = b->lora;
    if (!lora || !lora->rank || !lora_is_target(lora, b->scope))
        return NULL;
    int64_t in = tensor_width(x);
    bool added = b->added;
    b->added = true;
    struct tensor *down = nn_param(b, "lora.down", 2, (int64_t[]){lora->rank, in}, PARAM_GAUSS,
                                   1 / sqrt((double)in), true);
    struct tensor *up =
        nn_param(b, "lora.up", 2, (int64_t[]){out, lora->rank}, PARAM_ZERO, 0, true);
    b->added = added;
    x = t_linear(b->tape, t_dropout_always(b->tape, x, lora->dropout), down, NULL, ACTIVATION_NONE);
    x = t_scale(b->tape, x, lora->alpha / (double)lora->rank);
    return t_linear(b->tape, x, up, NULL, ACTIVATION_NONE);
}

struct tensor *nn_linear_from(struct build *b, const char *name, struct tensor *x, int64_t out,
                              enum activation act, struct linear_start start)
{
    size_t scope = scope_enter(b, "%s", name);
    struct tensor *w = nn_param(b, "weight", 2, (int64_t[]){out, tensor_width(x)}, start.weight,
                                start.weight_scale, true);
    struct tensor *bias = nn_param(b, "bias", 1, &out, start.bias, start.bias_scale, false);
    struct tensor *addition = low_rank(b, x, out);
    scope_leave(b, scope);
    if (!addition)
        return t_linear(b->tape, x, w, bias, act);
    x = t_add(b->tape, t_linear(b->tape, x, w, bias, ACTIVATION_NONE), addition);
    return act == ACTIVATION_NONE ? x : t_activation(b->tape, x, act);
}

struct tensor *nn_layernorm(struct build *b, const char *name, struct tensor *x, double epsilon)
{
    int64_t D = tensor_width(x);
    size_t scope = scope_enter(b, "%s", name);
    struct tensor *g = nn_param(b, "weight", 1, &D, PARAM_ONE, 0, false);
    struct tensor *o = nn_param(b, "bias", 1, &D, PARAM_ZERO, 0, false);
    scope_leave(b, scope);
    return t_layernorm(b->tape, x, g, o, epsilon > 0 ? epsilon : 1e-6);
}

static struct tensor *ssm(struct build *b, struct tensor *x, int64_t states, int64_t directions)
{
    const double pi = 3.14159265358979323846;
    int64_t H = tensor_width(x), N = states > 1 ? states / 2 : 1;
    size_t scope = scope_enter(b, "ssm");
    struct tensor *step = nn_param(b, "step", 1, &H, PARAM_STEP, 0, false);
    struct tensor *real = nn_param(b, "real", 2, (int64_t[]){H, N}, PARAM_SAME, log(0.5), false);
    struct tensor *tones = nn_param(b, "imaginary", 2, (int64_t[]){H, N}, PARAM_TONES, pi, false);
    struct tensor *output =
        nn_param(b, "output", 4, (int64_t[]){directions, H, N, 2}, PARAM_GAUSS, sqrt(0.5), false);
    struct tensor *skip = nn_param(b, "skip", 1, &H, PARAM_GAUSS, 1, false);
    scope_leave(b, scope);
    return t_ssm(b->tape, x, step, real, tones, output, skip);
}

/* Layer norm of x + dropout of the gated linear unit of h. */
static struct tensor *gated_norm(struct build *b, const char *name, struct tensor *x,
                                 struct tensor *h, double dropout)
{
    int64_t D = tensor_width(x);
    size_t scope = scope_enter(b, "%s", name);
    struct tensor *g = nn_param(b, "weight", 1, &D, PARAM_ONE, 0, false);
    struct tensor *o = nn_param(b, "bias", 1, &D, PARAM_ZERO, 0, false);
    scope_leave(b, scope);
    return t_gated_norm(b->tape, x, h, g, o, dropout, 1e-5);
}

struct tensor *nn_ssm_block(struct build *b, struct tensor *x, const struct ssm_options *o)
{
    int64_t H = tensor_width(x);
    struct tensor *seen = o->lengths ? t_clear_after(b->tape, x, o->lengths) : x;
    struct tensor *y = ssm(b, seen, o->states, o->directions);
    y = t_activation_dropout(b->tape, y, ACTIVATION_GELU, o->dropout);
    y = nn_linear_from(b, "out", y, 2 * H, ACTIVATION_NONE, nn_start_uniform(H));
    return gated_norm(b, "norm", x, y, o->dropout);
}

struct tensor *nn_conv(struct build *b, const char *name, struct tensor *x, int64_t out,
                       const struct conv_options *o)
{
    int64_t groups = o->groups ? o->groups : 1, stride = o->stride ? o->stride : 1;
    int64_t in = tensor_width(x) / groups;
    size_t scope = scope_enter(b, "%s", name);
    struct tensor *w =
        nn_param(b, "weight", 3, (int64_t[]){out, in, o->width}, PARAM_KAIMING, 0, true);
    struct tensor *bias = NULL;
    if (o->bias)
        bias =
            nn_param(b, "bias", 1, &out, PARAM_UNIFORM, 1 / sqrt((double)(in * o->width)), false);
    scope_leave(b, scope);
    if (o->width == 1 && stride == 1 && groups == 1)
        return t_linear(b->tape, x, w, bias, ACTIVATION_NONE);
    return t_conv_strided(b->tape, x, w, bias, groups, stride, !o->unpadded, ACTIVATION_NONE);
}

/* A parameter that gradients do not move. */
static struct tensor *state(struct build *b, const char *name, int64_t n, enum param_init init)
{
    bool frozen = b->frozen;
    b->frozen = true;
    struct tensor *x = nn_param(b, name, 1, &n, init, 0, false);
    b->frozen = frozen;
    char full[192];
    snprintf(full, sizeof full, "%s%s%s", b->scope, b->scope[0] ? "." : "", name);
    param_find(b->params, full)->state = true;
    return x;
}

struct tensor *nn_batchnorm_from(struct build *b, const char *name, struct tensor *x,
                                 struct tensor *residual, enum activation act,
                                 struct batchnorm_start start)
{
    int64_t D = tensor_width(x);
    size_t scope = scope_enter(b, "%s", name);
    struct tensor *g = nn_param(b, "weight", 1, &D, PARAM_SAME, start.weight, false);
    struct tensor *o = nn_param(b, "bias", 1, &D, PARAM_SAME, start.bias, false);
    struct tensor *mean = state(b, "running_mean", D, PARAM_ZERO);
    struct tensor *var = state(b, "running_var", D, PARAM_ONE);
    scope_leave(b, scope);
    return t_batchnorm(b->tape, x, g, o, mean, var, residual, 1e-5, act);
}

struct tensor *nn_batchnorm(struct build *b, const char *name, struct tensor *x,
                            enum activation act)
{
    return nn_batchnorm_from(b, name, x, NULL, act, (struct batchnorm_start){1, 0});
}

static struct tensor *adapter(struct build *b, const char *name, struct tensor *x)
{
    if (!b->adapter_width)
        return x;
    struct linear_start start = {PARAM_NORMAL, PARAM_ZERO, 0.01, 0};
    bool added = b->added;
    b->added = true;
    size_t scope = scope_enter(b, "%s", name);
    struct tensor *y = nn_linear_from(b, "down", x, b->adapter_width, ACTIVATION_GELU, start);
    y = nn_linear_from(b, "up", y, tensor_width(x), ACTIVATION_NONE, start);
    scope_leave(b, scope);
    b->added = added;
    return t_add(b->tape, x, y);
}

static struct tensor *residual(struct build *b, struct tensor *x, struct tensor *branch,
                               const char *adapter_name, const struct block_options *o)
{
    branch = adapter(b, adapter_name, branch);
    branch = t_dropout(b->tape, branch, o->dropout, false);
    branch = t_dropout(b->tape, branch, o->drop_path, true);
    return t_add(b->tape, x, branch);
}

/* Leaves what a layer attends to. qkv [B,N,3*D]; lengths as t_attention has them. */
static void tap_attention(struct build *b, struct tensor *qkv, struct tensor *lengths,
                          int64_t heads)
{
    struct attention_tap *tap = b->tap;
    ASSERT(tap->count < ATTENTION_LAYERS_MAX, "more than %d layers attend", ATTENTION_LAYERS_MAX);
    tap->qkv = qkv;
    tap->lengths = lengths;
    tap->heads = heads;
    if (tap->every)
        tap->weights[tap->count] = t_attention_weights(b->tape, qkv, lengths, heads, false);
    tap->count++;
}

static struct tensor *linear(struct build *b, const char *name, struct tensor *x, int64_t out,
                             enum activation act, const struct block_options *o)
{
    return o->deviation > 0 ? nn_linear_from(b, name, x, out, act, nn_start_gauss(o->deviation))
                            : nn_linear(b, name, x, out, act);
}

static struct tensor *attention(struct build *b, struct tensor *x, const struct block_options *o)
{
    int64_t D = tensor_width(x);
    x = linear(b, "attention.qkv", x, 3 * D, ACTIVATION_NONE, o);
    if (b->tap)
        tap_attention(b, x, o->lengths, o->heads);
    x = t_attention(b->tape, x, o->lengths, o->heads, o->attention_dropout);
    return linear(b, "attention.out", x, D, ACTIVATION_NONE, o);
}

static struct tensor *mlp(struct build *b, struct tensor *x, const struct block_options *o)
{
    int64_t D = tensor_width(x);
    if (o->activation_dropout > 0 && tape_is_training(b->tape)) {
        x = linear(b, "mlp.up", x, o->hidden, ACTIVATION_NONE, o);
        x = t_activation_dropout(b->tape, x, ACTIVATION_GELU, o->activation_dropout);
    } else
        x = linear(b, "mlp.up", x, o->hidden, ACTIVATION_GELU, o);
    return linear(b, "mlp.down", x, D, ACTIVATION_NONE, o);
}

static struct tensor *block(struct build *b, struct tensor *x, const struct block_options *o)
{
    if (o->post_norm) {
        x = residual(b, x, attention(b, x, o), "adapter1", o);
        x = nn_layernorm(b, "norm1", x, o->epsilon);
        x = residual(b, x, mlp(b, x, o), "adapter2", o);
        return nn_layernorm(b, "norm2", x, o->epsilon);
    }
    x = residual(b, x, attention(b, nn_layernorm(b, "norm1", x, o->epsilon), o), "adapter1", o);
    return residual(b, x, mlp(b, nn_layernorm(b, "norm2", x, o->epsilon), o), "adapter2", o);
}

struct tensor *nn_block(struct build *b, struct tensor *x, const struct block_options *o)
{
    return t_choose(b->tape, block(b, x, o), x, o->layer_drop);
}
