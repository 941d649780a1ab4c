#include "model/stem.h"

#include <string.h>

#include "base/str.h"

enum { LAYERS_MAX = 12, KERNEL_MAX = 1024, STRIDE_MAX = 64 };

struct layers {
    int count; /* 0: linear */
    int64_t kernel[LAYERS_MAX], stride[LAYERS_MAX];
};

/* Numbers of a list, 1 to `most` each; their count, 0 where it is no such list. */
static int list_parse(const char *text, int64_t most, int64_t out[LAYERS_MAX])
{
    char copy[256], *rest = copy;
    int count = 0;
    if (!text || !str_copy(copy, sizeof copy, text))
        return 0;
    for (char *word; (word = strsep(&rest, ",")) != NULL;) {
        int64_t value;
        if (count == LAYERS_MAX || !str_to_i64(str_trim(word), &value) || value < 1 || value > most)
            return 0;
        out[count++] = value;
    }
    return count;
}

bool stem_is_linear(const struct stem_config *c)
{
    return c->kernels && strcmp(c->kernels, "linear") == 0;
}

static bool layers_parse(const struct stem_config *c, struct layers *out)
{
    memset(out, 0, sizeof *out);
    if (stem_is_linear(c))
        return true;
    out->count = list_parse(c->kernels, KERNEL_MAX, out->kernel);
    int steps = list_parse(c->strides, STRIDE_MAX, out->stride);
    for (int i = 1; steps == 1 && i < out->count; i++)
        out->stride[i] = out->stride[0];
    return out->count > 0 && (steps == 1 || steps == out->count);
}

static struct layers layers_of(const struct stem_config *c)
{
    struct layers out;
    if (!layers_parse(c, &out))
        BUG("stem %s was not checked", c->kernels ? c->kernels : "");
    return out;
}

enum err_code stem_check(const struct stem_config *c, const char *name, int64_t T, struct err *e)
{
    struct layers s;
    int64_t numbers[LAYERS_MAX];
    if (!stem_is_linear(c) && list_parse(c->kernels, KERNEL_MAX, numbers) == 0)
        FAIL(e, ERR_USAGE,
             "%s.stem: expected linear, or up to %d lengths from 1 to %d separated by commas, "
             "found \"%s\"",
             name, LAYERS_MAX, KERNEL_MAX, c->kernels ? c->kernels : "");
    if (!layers_parse(c, &s))
        FAIL(e, ERR_USAGE,
             "%s.stem_strides: expected one number from 1 to %d, or one for each of %s.stem %s, "
             "found \"%s\"",
             name, STRIDE_MAX, name, c->kernels, c->strides ? c->strides : "");
    for (int i = 0; i < s.count; i++)
        if (s.kernel[i] % 2 == 0)
            FAIL(e, ERR_USAGE, "%s.stem: length %lld is even: a convolution has a middle", name,
                 (long long)s.kernel[i]);
    int64_t left = T;
    for (int i = 0; i < s.count; i++) {
        if (left % s.stride[i] || left < s.stride[i])
            FAIL(e, ERR_USAGE,
                 "input of %lld samples is not a multiple of the steps of %s.stem_strides",
                 (long long)T, name);
        left /= s.stride[i];
    }
    return ERR_OK;
}

int64_t stem_step(const struct stem_config *c)
{
    struct layers s = layers_of(c);
    int64_t step = 1;
    for (int i = 0; i < s.count; i++)
        step *= s.stride[i];
    return step;
}

bool stem_causal(const struct stem_config *c)
{
    struct layers s = layers_of(c);
    int64_t ahead = 0, step = 1; /* samples after the first that a token stands for */
    for (int i = 0; i < s.count; i++) {
        ahead += s.kernel[i] / 2 * step;
        step *= s.stride[i];
    }
    return ahead < step;
}

struct tensor *stem_build(struct build *b, const struct stem_config *c, struct tensor *samples,
                          int64_t width)
{
    struct layers s = layers_of(c);
    if (s.count == 0)
        return nn_linear_from(b, "embed", samples, width, ACTIVATION_NONE,
                              nn_start_uniform(tensor_width(samples)));
    struct tensor *x = samples;
    for (int i = 0; i < s.count; i++) {
        size_t scope = scope_enter(b, "stem.%d", i);
        x = nn_conv(b, "conv", x, c->width,
                    &(struct conv_options){.width = s.kernel[i], .stride = s.stride[i]});
        x = nn_batchnorm(b, "norm", x, ACTIVATION_RELU);
        scope_leave(b, scope);
    }
    return x;
}

struct tensor *stem_lengths(struct build *b, const struct stem_config *c, struct tensor *lengths,
                            int64_t T)
{
    struct layers s = layers_of(c);
    for (int i = 0; lengths && i < s.count; i++) {
        T /= s.stride[i];
        if (s.stride[i] > 1)
            lengths = t_fold_lengths(b->tape, lengths, 1, s.stride[i], T);
    }
    return lengths;
}
