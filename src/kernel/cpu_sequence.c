/* Kernels over the tokens of a record, on threads: folding, group norm, convolution. A unit of work
 * is done by one thread from its own numbers alone, so that results do not depend on how many there
 * are. */
#include "kernel/bf16.h"
#include "kernel/split.h"
#include "kernel/storage.h"
#include "kernel/vector.h"

#include <string.h>

/* ---- folding --------------------------------------------------------------------------------- */

static void fold_fwd(void *y_, const void *x_, int64_t B, int64_t T, int64_t C, int64_t width,
                     int64_t stride)
{
    float *y = y_;
    const float *x = x_;
    int64_t N = (T - width) / stride + 1, n = width * C;
    PARALLEL_SHARES(B * N, 1, B * N * n, {
        for (int64_t r = from, rows; r < to; r += rows) {
            rows = stride == width ? min_i64(to - r, N - r % N) : 1;
            memcpy(y + r * n, x + (r / N * T + r % N * stride) * C, sizeof *y * (size_t)(rows * n));
        }
    });
}

static void fold_bwd(void *dx_, const void *dy_, int64_t B, int64_t T, int64_t C, int64_t width,
                     int64_t stride, int add)
{
    const struct vector_kernels *v = vector_in_use();
    float *dx = dx_;
    const float *dy = dy_;
    int64_t N = (T - width) / stride + 1, n = width * C;
    bool covers = stride == width; /* a token is in one window, those after the last in none */
    PARALLEL_SHARES(B, 1, B * N * n, {
        for (int64_t b = from; b < to; b++) {
            float *rows = dx + b * T * C;
            int64_t kept = covers ? N * width : 0;
            if (!add)
                memset(rows + kept * C, 0, sizeof *dx * (size_t)((T - kept) * C));
            if (covers)
                v->scale(rows, dy + b * N * n, 1, N * n, add);
            for (int64_t i = 0; !covers && i < N; i++)
                v->scale(rows + i * stride * C, dy + (b * N + i) * n, 1, n, true);
        }
    });
}

/* ---- group norm ------------------------------------------------------------------------------ */

/* Channels worked on together: whole groups, about 64. */
static int64_t norm_channels(int64_t C, int64_t size)
{
    int64_t n = size < 64 ? 64 / size * size : size;
    return min_i64(n, C);
}

static void groupnorm_fwd(void *y_, void *mean_, void *rstd_, const void *x_, const void *g_,
                          const void *b_, int64_t B, int64_t T, int64_t C, int64_t groups,
                          double epsilon)
{
    const struct vector_kernels *v = vector_in_use();
    float *y = y_, *mean = mean_, *rstd = rstd_;
    const float *x = x_, *g = g_, *b = b_;
    int64_t size = C / groups, most = norm_channels(C, size), blocks = (C + most - 1) / most;
    PARALLEL_SHARES(B * blocks, 1, B * T * C, {
        float *work = kernel_scratch(SCRATCH_TASK, 4 * most);
        for (int64_t i = from; i < to; i++) {
            int64_t c = i % blocks * most, at = i / blocks * T * C + c;
            int64_t group = i / blocks * groups + c / size;
            v->groupnorm_fwd(y + at, mean + group, rstd + group, x + at, g + c, b + c, T, C,
                             min_i64(C - c, most), size, epsilon, work);
        }
    });
}

static void groupnorm_bwd(void *dx_, void *dg, void *db, const void *dy_, const void *x_,
                          const void *g_, const void *mean_, const void *rstd_, int64_t B,
                          int64_t T, int64_t C, int64_t groups, int add)
{
    const struct vector_kernels *v = vector_in_use();
    float *dx = dx_;
    const float *dy = dy_, *x = x_, *g = g_, *mean = mean_, *rstd = rstd_;
    int64_t size = C / groups, most = norm_channels(C, size), blocks = (C + most - 1) / most;
    float *gain = kernel_scratch(SCRATCH_SHARED, 2 * B * C), *shift = gain + B * C;
    PARALLEL_SHARES(B * blocks, 1, B * T * C, {
        float *work = kernel_scratch(SCRATCH_TASK, 4 * most);
        for (int64_t i = from; i < to; i++) {
            int64_t record = i / blocks, c = i % blocks * most, at = record * T * C + c;
            int64_t group = record * groups + c / size;
            v->groupnorm_bwd(dx + at, gain + record * C + c, shift + record * C + c, dy + at,
                             x + at, g + c, mean + group, rstd + group, T, C, min_i64(C - c, most),
                             size, add, work);
        }
    });
    if (!dg)
        return;
    v->column_sums(dg, gain, NULL, B, C, C);
    v->column_sums(db, shift, NULL, B, C, C);
}

/* ---- convolution ----------------------------------------------------------------------------- */

/* Runs one direction of a convolution: from `in` channels of a group to `out`, by packed weights or
 * by w[O/groups,C/groups,width] of each group, packed by each thread that needs it. A unit is a group
 * of one record; those of a group are beside each other. */
static void run(const struct conv_kernels *k, float *y, const float *x, const void *packed,
                const float *w, const float *bias, const struct conv *s, bool backward,
                enum activation act, int add)
{
    int64_t T = s->T, C = s->C / s->groups, O = s->O / s->groups, width = s->width;
    int64_t in = backward ? O : C, out = backward ? C : O;
    int64_t x_row = in * s->groups, y_row = out * s->groups;
    int64_t words = k->pack_words(out, in, width);
    /* Backward both are walked from the last token to the first. */
    int64_t start = backward ? T - 1 : 0, sign = backward ? -1 : 1;
    PARALLEL_SHARES(s->groups * s->B, 1, s->B * T * s->O * C * width / 64, {
        int64_t own = packed ? 0 : words, packed_group = -1;
        float *work = kernel_scratch(SCRATCH_TASK, own + k->run_floats(T, in, out, width));
        for (int64_t i = from; i < to; i++) {
            int64_t group = i / s->B, token = i % s->B * T + start;
            if (w && packed_group != group)
                k->pack(work, w + group * O * C * width, O, C, width, backward);
            packed_group = group;
            k->run(y + token * y_row + group * out, sign * y_row, x + token * x_row + group * in,
                   sign * x_row, packed ? (const uint32_t *)packed + group * words : (void *)work,
                   bias ? bias + group * out : NULL, T, in, out, width, act, add, work + own);
        }
    });
}

static size_t pack_bytes(const struct conv_kernels *k, const struct conv *s)
{
    int64_t words = s->groups * k->pack_words(s->O / s->groups, s->C / s->groups, s->width);
    return (sizeof(uint32_t) * (size_t)words + 63) & ~(size_t)63;
}

static void pack(const struct conv_kernels *k, uint32_t *packed, const struct weight *w,
                 const struct conv *s)
{
    int64_t C = s->C / s->groups, O = s->O / s->groups, K = C * s->width;
    int64_t words = k->pack_words(O, C, s->width);
    PARALLEL_SHARES(s->groups, 1, s->O * K, {
        float *values = kernel_scratch(SCRATCH_TASK, w->storage == STORAGE_F32 ? 0 : O * K);
        for (int64_t group = from; group < to; group++) {
            struct weight part = *w;
            part.data = (const char *)w->data + (size_t)(group * O * K) * storage_bytes(w->storage);
            part.scale = w->scale ? w->scale + group * O : NULL;
            if (w->storage != STORAGE_F32)
                weight_to_f32(values, &part, O, K);
            k->pack(packed + group * words, w->storage == STORAGE_F32 ? part.data : values, O, C,
                    s->width, false);
        }
    });
}

/* Channels of x whose weights' gradients are a unit of work. */
#define CHANNELS 16

static void gradient(const struct conv_kernels *k, float *dw, float *db, const float *dy,
                     const float *x, const struct conv *s, int add)
{
    int64_t C = s->C / s->groups, O = s->O / s->groups, blocks = (C + CHANNELS - 1) / CHANNELS;
    PARALLEL_SHARES(s->groups * blocks, 1, s->B * s->T * s->O * C * s->width / 64, {
        float *work = kernel_scratch(SCRATCH_TASK, k->weights_floats(s->T, CHANNELS, O, s->width));
        for (int64_t i = from; i < to; i++) {
            int64_t group = i / blocks, c = i % blocks * CHANNELS;
            k->weights(dw + (group * O * C + c) * s->width, C * s->width, dy + group * O, s->O,
                       x + group * C + c, s->C, s->B, s->T, min_i64(C - c, CHANNELS), O, s->width,
                       add, work);
        }
    });
    if (db)
        backend_cpu()->add_rows_bwd(db, dy, s->B * s->T, s->O);
}

/* The members of a backend over one set of kernels. */
#define MEMBERS(suffix, kernels)                                                                   \
    static void conv_fwd##suffix(void *y, const void *x, const void *w, const void *b,             \
                                 const struct conv *s, enum activation act)                        \
    {                                                                                              \
        run(kernels, y, x, NULL, w, b, s, false, act, 0);                                          \
    }                                                                                              \
    static size_t conv_pack_bytes##suffix(const struct conv *s) { return pack_bytes(kernels, s); } \
    static void conv_pack##suffix(void *packed, const struct weight *w, const struct conv *s)      \
    {                                                                                              \
        pack(kernels, packed, w, s);                                                               \
    }                                                                                              \
    static void conv_packed##suffix(void *y, const void *x, const void *packed, const void *b,     \
                                    const struct conv *s, enum activation act)                     \
    {                                                                                              \
        run(kernels, y, x, packed, NULL, b, s, false, act, 0);                                     \
    }                                                                                              \
    static void conv_bwd_x##suffix(void *dx, const void *dy, const void *w, const struct conv *s,  \
                                   int add)                                                        \
    {                                                                                              \
        run(kernels, dx, dy, NULL, w, NULL, s, true, ACTIVATION_NONE, add);                        \
    }                                                                                              \
    static void conv_bwd_w##suffix(void *dw, void *db, const void *dy, const void *x,              \
                                   const struct conv *s, int add)                                  \
    {                                                                                              \
        gradient(kernels, dw, db, dy, x, s, add);                                                  \
    }                                                                                              \
    static void members##suffix(struct backend *k)                                                 \
    {                                                                                              \
        k->conv_fwd = conv_fwd##suffix;                                                            \
        k->conv_pack_bytes = conv_pack_bytes##suffix;                                              \
        k->conv_pack = conv_pack##suffix;                                                          \
        k->conv_packed = conv_packed##suffix;                                                      \
        k->conv_bwd_x = conv_bwd_x##suffix;                                                        \
        k->conv_bwd_w = conv_bwd_w##suffix;                                                        \
    }

MEMBERS(_f32, &vector_in_use()->conv)

void cpu_sequence_members(struct backend *k)
{
    k->fold_fwd = fold_fwd;
    k->fold_bwd = fold_bwd;
    k->groupnorm_fwd = groupnorm_fwd;
    k->groupnorm_bwd = groupnorm_bwd;
    members_f32(k);
}

#if defined(__x86_64__)
MEMBERS(_bf16, &conv_avx512bf16)

void cpu_sequence_members_bf16(struct backend *k) { members_bf16(k); }
#endif
