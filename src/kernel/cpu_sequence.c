/* Kernels over the tokens of a record, on threads: folding, group norm. A unit of work
 * is done by one thread from its own numbers alone, so that results do not depend on how many there
 * are. */
#include "kernel/split.h"
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
    if (dg)
        v->column_sums(dg, gain, NULL, B, C, C);
    if (db)
        v->column_sums(db, shift, NULL, B, C, C);
}

void cpu_sequence_members(struct backend *k)
{
    k->fold_fwd = fold_fwd;
    k->fold_bwd = fold_bwd;
    k->groupnorm_fwd = groupnorm_fwd;
    k->groupnorm_bwd = groupnorm_bwd;
}
