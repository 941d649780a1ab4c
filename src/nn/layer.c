#include "nn/layer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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

struct tensor *nn_param(struct build *b, const char *name, int rank, const int64_t *shape,
                        enum param_init init, double scale, bool decay)
{
    char full[192];
    int n = snprintf(full, sizeof full, "%s%s%s", b->scope, b->scope[0] ? "." : "", name);
    ASSERT(n > 0 && (size_t)n < sizeof full, "parameter name too long");
    struct param *p = param_get(b->params, full, rank, shape, init, scale, decay, b->layer);
    return tape_parameter(b->tape, p->name, !p->frozen, p->offset, rank, shape);
}

struct tensor *nn_linear(struct build *b, const char *name, struct tensor *x, int64_t out,
                         enum activation act)
{
    size_t scope = scope_enter(b, "%s", name);
    struct tensor *w =
        nn_param(b, "weight", 2, (int64_t[]){out, tensor_width(x)}, PARAM_XAVIER, 0, true);
    struct tensor *bias = nn_param(b, "bias", 1, &out, PARAM_ZERO, 0, false);
    scope_leave(b, scope);
    return t_linear(b->tape, x, w, bias, act);
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

static struct tensor *residual(struct build *b, struct tensor *x, struct tensor *branch,
                               const struct block_options *o)
{
    branch = t_dropout(b->tape, branch, o->dropout, false);
    branch = t_dropout(b->tape, branch, o->drop_path, true);
    return t_add(b->tape, x, branch);
}

/* Leaves what a layer attends to. qkv [B,N,3*D]; keys [B] as t_attention_weights has them. */
static void tap_attention(struct build *b, struct tensor *qkv, struct tensor *keys, int64_t heads)
{
    struct attention_tap *tap = b->tap;
    ASSERT(tap->count < ATTENTION_LAYERS_MAX, "more than %d layers attend", ATTENTION_LAYERS_MAX);
    tap->qkv = qkv;
    tap->keys = keys;
    tap->heads = heads;
    if (tap->every)
        tap->weights[tap->count] = t_attention_weights(b->tape, qkv, keys, heads, false);
    tap->count++;
}

static struct tensor *attention(struct build *b, struct tensor *x, const struct block_options *o)
{
    int64_t D = tensor_width(x);
    x = nn_linear(b, "attention.qkv", x, 3 * D, ACTIVATION_NONE);
    if (b->tap)
        tap_attention(b, x, NULL, o->heads);
    x = t_attention(b->tape, x, o->heads);
    return nn_linear(b, "attention.out", x, D, ACTIVATION_NONE);
}

static struct tensor *mlp(struct build *b, struct tensor *x, const struct block_options *o)
{
    int64_t D = tensor_width(x);
    x = nn_linear(b, "mlp.up", x, o->hidden, ACTIVATION_GELU);
    return nn_linear(b, "mlp.down", x, D, ACTIVATION_NONE);
}

struct tensor *nn_block(struct build *b, struct tensor *x, const struct block_options *o)
{
    if (o->post_norm) {
        x = nn_layernorm(b, "norm1", residual(b, x, attention(b, x, o), o), o->epsilon);
        return nn_layernorm(b, "norm2", residual(b, x, mlp(b, x, o), o), o->epsilon);
    }
    x = residual(b, x, attention(b, nn_layernorm(b, "norm1", x, o->epsilon), o), o);
    return residual(b, x, mlp(b, nn_layernorm(b, "norm2", x, o->epsilon), o), o);
}
