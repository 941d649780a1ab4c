/* Batch norm and pooling of windows, on threads. Sums over rows go by blocks whose length the channels
 * alone decide: a block's numbers stay in the second-level cache while they are read twice, and results
 * do not depend on threads. Block by block a mean and the squares about it are joined in double.
 * Source of that: Chan, Golub and LeVeque 1979. */
#include "kernel/split.h"
#include "kernel/vector.h"

#include <math.h>
#include <string.h>

/* ---- batch norm ------------------------------------------------------------------------------ */

static int64_t block_rows(int64_t C)
{
    enum { FLOATS = 16384 };
    return C < FLOATS ? FLOATS / C : 1;
}

static int64_t block_count(const struct batchnorm *s)
{
    return (s->M + block_rows(s->C) - 1) / block_rows(s->C);
}

static int64_t block_length(const struct batchnorm *s, int64_t block)
{
    return min_i64(block_rows(s->C), s->M - block * block_rows(s->C));
}

/* Mean and sum of squares about it, from those of the blocks, parts[blocks,2,C]: channels from..to. */
static void join(double *mean, double *squares, const float *parts, const struct batchnorm *s,
                 int64_t from, int64_t to)
{
    int64_t blocks = block_count(s);
    for (int64_t c = from; c < to; c++)
        mean[c] = squares[c] = 0;
    for (int64_t i = 0; i < blocks; i++) {
        double share = (double)block_length(s, i) / (double)s->M;
        for (int64_t c = from; c < to; c++)
            mean[c] += share * (double)parts[2 * i * s->C + c];
    }
    for (int64_t i = 0; i < blocks; i++) {
        double rows = (double)block_length(s, i);
        for (int64_t c = from; c < to; c++) {
            double d = (double)parts[2 * i * s->C + c] - mean[c];
            squares[c] += (double)parts[(2 * i + 1) * s->C + c] + rows * d * d;
        }
    }
}

/* Of x, and the running ones moved. */
static void statistics(float *mean, float *rstd, float *running_mean, float *running_var,
                       const float *x, const struct batchnorm *s)
{
    const struct vector_kernels *v = vector_in_use();
    int64_t C = s->C, blocks = block_count(s), rows = block_rows(C);
    double *means = (double *)(void *)kernel_scratch(SCRATCH_SHARED, 4 * C + 2 * blocks * C);
    double *squares = means + C;
    float *parts = (float *)(squares + C);
    PARALLEL_SHARES(blocks, 1, s->M * C, {
        for (int64_t i = from; i < to; i++)
            v->batchnorm_sums(parts + 2 * i * C, parts + (2 * i + 1) * C, x + i * rows * C,
                              block_length(s, i), C);
    });
    PARALLEL_SHARES(C, 16, 2 * blocks * C, { join(means, squares, parts, s, from, to); });
    for (int64_t c = 0; c < C; c++) {
        double variance = squares[c] / (double)s->M;
        double unbiased = squares[c] / (double)(s->M > 1 ? s->M - 1 : 1);
        running_mean[c] += (float)(s->momentum * (means[c] - (double)running_mean[c]));
        running_var[c] += (float)(s->momentum * (unbiased - (double)running_var[c]));
        mean[c] = (float)means[c];
        rstd[c] = (float)(1 / sqrt(variance + s->epsilon));
    }
}

/* slope[C] = g rstd */
static struct batchnorm_columns columns(float *slope, const float *mean, const float *rstd,
                                        const struct batchnorm *s)
{
    const float *g = s->g;
    for (int64_t c = 0; c < s->C; c++)
        slope[c] = g[c] * rstd[c];
    return (struct batchnorm_columns){mean, slope, s->b};
}

static void batchnorm_fwd(void *y_, void *mean_, void *rstd_, void *running_mean_,
                          void *running_var_, const void *x_, const void *residual_,
                          const struct batchnorm *s)
{
    const struct vector_kernels *v = vector_in_use();
    float *y = y_, *mean = mean_, *rstd = rstd_;
    float *running_mean = running_mean_, *running_var = running_var_;
    const float *x = x_, *residual = residual_;
    int64_t C = s->C, rows = block_rows(C);
    if (!s->running)
        statistics(mean, rstd, running_mean, running_var, x, s);
    for (int64_t c = 0; s->running && c < C; c++) {
        mean[c] = running_mean[c];
        rstd[c] = (float)(1 / sqrt((double)running_var[c] + s->epsilon));
    }
    struct batchnorm_columns by = columns(kernel_scratch(SCRATCH_SHARED, C), mean, rstd, s);
    PARALLEL_SHARES(s->M, rows, s->M * C, {
        for (int64_t m = from; m < to; m += rows)
            v->batchnorm_fwd(y + m * C, x + m * C, residual ? residual + m * C : NULL, &by,
                             min_i64(rows, to - m), C, s->act == ACTIVATION_RELU);
    });
}

static void batchnorm_bwd(void *dx_, void *dresidual_, void *dg_, void *db_, const void *dy_,
                          const void *x_, const void *y_, const void *mean_, const void *rstd_,
                          const struct batchnorm *s, int add, int add_residual)
{
    const struct vector_kernels *v = vector_in_use();
    float *dx = dx_, *dresidual = dresidual_, *dg = dg_, *db = db_;
    const float *dy = dy_, *x = x_, *y = y_, *mean = mean_, *rstd = rstd_;
    int64_t M = s->M, C = s->C, rows = block_rows(C), blocks = block_count(s);
    bool relu = s->act == ACTIVATION_RELU;
    double *sums = (double *)(void *)kernel_scratch(SCRATCH_SHARED, 7 * C + 2 * blocks * C);
    float *slope = (float *)(sums + 2 * C), *shift = slope + C, *along = shift + C;
    float *parts = along + C;
    struct batchnorm_columns by = columns(slope, mean, rstd, s);
    PARALLEL_SHARES(blocks, 1, M * C, {
        for (int64_t i = from; i < to; i++) {
            int64_t at = i * rows * C;
            v->batchnorm_back(parts + 2 * i * C, parts + (2 * i + 1) * C,
                              dresidual ? dresidual + at : NULL, dy + at, x + at, y ? y + at : NULL,
                              &by, block_length(s, i), C, relu, add_residual);
        }
    });
    memset(sums, 0, sizeof *sums * (size_t)(2 * C));
    PARALLEL_SHARES(2 * C, 16, 2 * blocks * C, {
        for (int64_t i = 0; i < blocks; i++)
            for (int64_t c = from; c < to; c++)
                sums[c] += (double)parts[2 * i * C + c];
    });
    for (int64_t c = 0; c < C; c++) {
        double r = (double)rstd[c], sum = sums[c], spread = sums[C + c] * r;
        if (dg)
            dg[c] += (float)spread;
        if (db)
            db[c] += (float)sum;
        shift[c] = s->running ? 0 : (float)((double)slope[c] * sum / (double)M);
        along[c] = s->running ? 0 : (float)((double)slope[c] * r * spread / (double)M);
    }
    if (!dx)
        return;
    /* What ReLU let back is there already where it is the residual's gradient alone. */
    bool there = dresidual && !add_residual;
    const float *back = there ? dresidual : dy;
    PARALLEL_SHARES(M, rows, M * C, {
        for (int64_t m = from; m < to; m += rows)
            v->batchnorm_bwd(dx + m * C, back + m * C, x + m * C, y ? y + m * C : NULL, &by, shift,
                             along, min_i64(rows, to - m), C, relu && !there, add);
    });
}

/* ---- windows --------------------------------------------------------------------------------- */

/* Tokens from..to of a record in window n, and by how many its mean divides. */
struct window {
    int64_t from, to, count;
};

static struct window window_at(const struct windows *s, int64_t n)
{
    int64_t from = n * s->stride - s->padding, end = from + s->width;
    return (struct window){from < 0 ? 0 : from, min_i64(end, s->T),
                           min_i64(end, s->T + s->padding) - from};
}

static void pool_windows_fwd(void *y_, int32_t *argmax, const void *x_, const struct windows *s)
{
    const struct vector_kernels *v = vector_in_use();
    float *y = y_;
    const float *x = x_;
    int64_t N = window_tokens(s), C = s->C;
    PARALLEL_SHARES(s->B * N, 1, s->B * N * C * s->width, {
        for (int64_t r = from; r < to; r++) {
            struct window w = window_at(s, r % N);
            const float *rows = x + r / N * s->T * C;
            if (s->kind == POOL_MAX)
                v->window_max(y + r * C, argmax + r * C, rows, w.from, w.to, C);
            for (int64_t k = w.from; s->kind == POOL_MEAN && k < w.to; k++)
                v->scale(y + r * C, rows + k * C, 1 / (float)w.count, C, k > w.from);
        }
    });
}

static void pool_windows_bwd(void *dx_, const void *dy_, const int32_t *argmax,
                             const struct windows *s, int add)
{
    const struct vector_kernels *v = vector_in_use();
    float *dx = dx_;
    const float *dy = dy_;
    int64_t N = window_tokens(s), T = s->T, C = s->C;
    PARALLEL_SHARES(s->B, 1, s->B * T * C * s->width, {
        if (!add)
            memset(dx + from * T * C, 0, sizeof *dx * (size_t)((to - from) * T * C));
        for (int64_t r = from * N; r < to * N; r++) {
            struct window w = window_at(s, r % N);
            float *rows = dx + r / N * T * C;
            if (s->kind == POOL_MAX)
                v->window_max_bwd(rows, dy + r * C, argmax + r * C, w.from, w.to, C);
            for (int64_t k = w.from; s->kind == POOL_MEAN && k < w.to; k++)
                v->scale(rows + k * C, dy + r * C, 1 / (float)w.count, C, true);
        }
    });
}

void cpu_batch_members(struct backend *k)
{
    k->batchnorm_fwd = batchnorm_fwd;
    k->batchnorm_bwd = batchnorm_bwd;
    k->pool_windows_fwd = pool_windows_fwd;
    k->pool_windows_bwd = pool_windows_bwd;
}
