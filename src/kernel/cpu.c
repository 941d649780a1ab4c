#include "kernel/kernel.h"

#include "base/err.h"
#include "base/rng.h"
#include "kernel/dnnl_bridge.h"
#include "kernel/lstm.h"
#include "kernel/split.h"
#include "kernel/vector.h"

#include <math.h>
#include <omp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- scratch --------------------------------------------------------------------------------- */

struct scratch {
    float *data[SCRATCH_SLOTS];
    int64_t floats[SCRATCH_SLOTS];
};

static pthread_key_t scratch_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;

static void scratch_free(void *scratch_)
{
    struct scratch *scratch = scratch_;
    for (int i = 0; i < SCRATCH_SLOTS; i++)
        free(scratch->data[i]);
    free(scratch);
}

static void scratch_open(void)
{
    if (pthread_key_create(&scratch_key, scratch_free))
        BUG("no thread key left for scratch");
}

float *kernel_scratch(enum scratch_slot slot, int64_t floats)
{
    pthread_once(&scratch_once, scratch_open);
    struct scratch *scratch = pthread_getspecific(scratch_key);
    if (!scratch) {
        scratch = calloc(1, sizeof *scratch);
        if (!scratch || pthread_setspecific(scratch_key, scratch))
            BUG("out of memory for scratch");
    }
    if (floats > scratch->floats[slot]) {
        int64_t grown = (floats + 1023) / 1024 * 1024;
        free(scratch->data[slot]);
        scratch->data[slot] = aligned_alloc(64, sizeof(float) * (size_t)grown);
        if (!scratch->data[slot])
            BUG("out of memory for %lld floats of scratch", (long long)grown);
        scratch->floats[slot] = grown;
    }
    return scratch->data[slot];
}

/* ---- what this machine has ------------------------------------------------------------------- */

static const struct vector_kernels *detected;       /* the best one */
static const struct vector_kernels *_Atomic vector; /* the one in use */
static atomic_bool isa_forced;
static struct backend backend;
static char description[256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static const struct vector_kernels *vector_find(const char *name)
{
#if defined(__x86_64__)
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
    if (avx512 && (!name || !strcmp(name, vector_avx512.isa)))
        return &vector_avx512;
    if (avx2 && (!name || !strcmp(name, vector_avx2.isa)))
        return &vector_avx2;
#endif
    return !name || !strcmp(name, vector_plain.isa) ? &vector_plain : NULL;
}

const struct vector_kernels *vector_in_use(void)
{
    backend_cpu();
    return vector;
}

bool kernel_force_isa(const char *name)
{
    backend_cpu();
    const struct vector_kernels *found = name ? vector_find(name) : detected;
    if (!found)
        return false;
    vector = found;
    isa_forced = name != NULL;
    return true;
}

const char *kernel_isa(bool *forced)
{
    backend_cpu();
    *forced = isa_forced;
    return vector->isa;
}

/* ---- linear ---------------------------------------------------------------------------------- */

static void multiply(const struct product *p) { split_product(p, 16, vector->gemm); }

static void linear_fwd(void *y, const void *x, const void *w, const void *b, int64_t M, int64_t N,
                       int64_t K, enum activation act)
{
    struct product p = product_fwd(y, x, b, M, N, K, act);
    p.b = w;
    multiply(&p);
}

static size_t pack_bytes(int64_t N, int64_t K)
{
    int64_t columns = vector->pack_columns;
    return ((size_t)((N + columns - 1) / columns * columns * K) * sizeof(float) + 63) & ~(size_t)63;
}

static void pack(void *packed, const struct weight *w, int64_t N, int64_t K)
{
    PARALLEL_SHARES(N, vector->pack_columns, N * K,
                    { vector->pack_weights(packed, w, from, to - from, K); });
}

static void linear_packed(void *y, const void *x, const void *packed, const void *b, int64_t M,
                          int64_t N, int64_t K, enum activation act)
{
    struct product p = product_fwd(y, x, b, M, N, K, act);
    p.packed = packed;
    multiply(&p);
}

static void linear_bwd_x(void *dx, const void *dy, const void *w, int64_t M, int64_t N, int64_t K,
                         int add)
{
    struct product p = product_bwd_x(dx, dy, w, M, N, K, add);
    multiply(&p);
}

static void column_sums(float *out, const float *x, const uint8_t *skip, int64_t M, int64_t n)
{
    PARALLEL_SHARES(n, 64, M * n,
                    { vector->column_sums(out + from, x + from, skip, M, to - from, n); });
}

static void linear_bwd_w(void *dw, void *db, const void *dy, const void *x, int64_t M, int64_t N,
                         int64_t K, int add)
{
    struct product p = product_bwd_w(dw, dy, x, M, N, K, add);
    multiply(&p);
    if (db)
        column_sums(db, dy, NULL, M, N);
}

/* ---- activation, rows ------------------------------------------------------------------------ */

static void activation_fwd(void *y_, const void *x_, int64_t n, enum activation act)
{
    float *y = y_;
    const float *x = x_;
    PARALLEL_SHARES(n, 64, n, { vector->activation_fwd(y + from, x + from, to - from, act); });
}

static void activation_bwd(void *dx_, const void *dy_, const void *x_, int64_t n,
                           enum activation act, int add)
{
    float *dx = dx_;
    const float *dy = dy_, *x = x_;
    PARALLEL_SHARES(n, 64, n, {
        vector->activation_bwd(dx + from, dy + from, x + from, to - from, act, add);
    });
}

static void activation_dropout_fwd(void *y_, const void *x_, int64_t n, enum activation act,
                                   const struct dropout *d)
{
    float *y = y_;
    const float *x = x_;
    PARALLEL_DROPOUT(n, d, {
        vector->activation_fwd(y + at, x + at, count, act);
        vector->dropout(y + at, y + at, count, d->p, r, 0);
    });
}

static void activation_dropout_bwd(void *dx_, const void *dy_, const void *x_, int64_t n,
                                   enum activation act, const struct dropout *d, int add)
{
    float *dx = dx_;
    const float *dy = dy_, *x = x_;
    PARALLEL_DROPOUT(n, d, {
        float through[DROPOUT_PIECE];
        vector->activation_bwd(through, dy + at, x + at, count, act, 0);
        vector->dropout(dx + at, through, count, d->p, r, add);
    });
}

static void layernorm_fwd(void *y_, void *mean_, void *rstd_, const void *x_, const void *g,
                          const void *b, int64_t M, int64_t D, double epsilon)
{
    float *y = y_, *mean = mean_, *rstd = rstd_;
    const float *x = x_;
    PARALLEL_SHARES(M, 1, M * D, {
        vector->layernorm_fwd(y + from * D, mean + from, rstd + from, x + from * D, g, b, to - from,
                              D, epsilon);
    });
}

static void layernorm_bwd(void *dx_, void *dg_, void *db_, const void *dy_, const void *x_,
                          const void *g, const void *mean_, const void *rstd_, int64_t M, int64_t D,
                          int add)
{
    float *dx = dx_, *dg = dg_, *db = db_;
    const float *dy = dy_, *x = x_, *mean = mean_, *rstd = rstd_;
    int64_t groups = (M + GROUP_ROWS - 1) / GROUP_ROWS;
    float *sums = dg || db ? kernel_scratch(SCRATCH_SHARED, groups * 2 * D) : NULL;
    PARALLEL_SHARES(groups, 1, M * D, {
        for (int64_t group = from; group < to; group++) {
            int64_t m = group * GROUP_ROWS;
            vector->layernorm_bwd(dx + m * D, sums ? sums + group * 2 * D : NULL, dy + m * D,
                                  x + m * D, g, mean + m, rstd + m, min_i64(M - m, GROUP_ROWS), D,
                                  add);
        }
    });
    if (dg)
        vector->column_sums(dg, sums, NULL, groups, D, 2 * D);
    if (db)
        vector->column_sums(db, sums + D, NULL, groups, D, 2 * D);
}

static void softmax_fwd(void *y_, const void *x_, int64_t M, int64_t N)
{
    float *y = y_;
    const float *x = x_;
    PARALLEL_SHARES(M, 1, M * N,
                    { vector->softmax_fwd(y + from * N, x + from * N, to - from, N); });
}

static void softmax_bwd(void *dx_, const void *dy_, const void *y_, int64_t M, int64_t N, int add)
{
    float *dx = dx_;
    const float *dy = dy_, *y = y_;
    PARALLEL_SHARES(M, 1, M * N, {
        vector->softmax_bwd(dx + from * N, dy + from * N, y + from * N, to - from, N, add);
    });
}

static void l2norm_fwd(void *y_, void *norm_, const void *x_, int64_t M, int64_t D, double epsilon)
{
    float *y = y_, *norm = norm_;
    const float *x = x_;
    PARALLEL_SHARES(M, 1, M * D, {
        vector->l2norm_fwd(y + from * D, norm + from, x + from * D, to - from, D, epsilon);
    });
}

static void l2norm_bwd(void *dx_, const void *dy_, const void *y_, const void *norm_, int64_t M,
                       int64_t D, int add)
{
    float *dx = dx_;
    const float *dy = dy_, *y = y_, *norm = norm_;
    PARALLEL_SHARES(M, 1, M * D, {
        vector->l2norm_bwd(dx + from * D, dy + from * D, y + from * D, norm + from, to - from, D,
                           add);
    });
}

/* ---- attention ------------------------------------------------------------------------------- */

static void attention_fwd(void *y, void *lse, const void *qkv, const struct attention *s)
{
    split_attention_fwd(y, lse, qkv, s, vector->attention_fwd);
}

static void attention_bwd(void *dqkv, const void *dy, const void *qkv, const void *y,
                          const void *lse, const struct attention *s, int add)
{
    split_attention_bwd(dqkv, dy, qkv, y, lse, s, add, vector->attention_bwd);
}

static void attention_weights(void *y_, const void *qkv_, const struct attention *s, int highest)
{
    enum { QUERIES = 48 }; /* done together, over the same packed keys */
    float *y = y_;
    const float *qkv = qkv_;
    int64_t N = s->N, H = s->H, E = s->E;
    int64_t blocks = (N + QUERIES - 1) / QUERIES, width = highest ? 1 : N;
    PARALLEL_SHARES(s->B * blocks, 1, s->B * H * N * (N + E), {
        for (int64_t i = from; i < to; i++) {
            int64_t b = i / blocks, first = i % blocks * QUERIES;
            vector->attention_weights(y + (b * N + first) * width, qkv + b * N * 3 * H * E, first,
                                      min_i64(QUERIES, N - first), N,
                                      s->lengths ? s->lengths[b] : N, H, E, highest);
        }
    });
}

/* ---- elementwise and layout ------------------------------------------------------------------ */

static void add_arrays(void *y_, const void *a_, const void *b_, int64_t n)
{
    float *y = y_;
    const float *a = a_, *b = b_;
    PARALLEL_SHARES(n, 64, n, { vector->add(y + from, a + from, b + from, to - from); });
}

static void scale_array(void *y_, const void *x_, double alpha, int64_t n, int add)
{
    float *y = y_;
    const float *x = x_;
    PARALLEL_SHARES(n, 64, n, { vector->scale(y + from, x + from, (float)alpha, to - from, add); });
}

static void add_rows_fwd(void *y_, const void *x_, const void *p, int64_t M, int64_t n)
{
    float *y = y_;
    const float *x = x_;
    PARALLEL_SHARES(M, 1, M * n, {
        for (int64_t m = from; m < to; m++)
            vector->add(y + m * n, x + m * n, p, n);
    });
}

static void add_rows_bwd(void *dp, const void *dy, int64_t M, int64_t n)
{
    column_sums(dp, dy, NULL, M, n);
}

/* Gathering, scattering, cutting and pooling are copies: the reference does a record as fast as
 * memory allows, so it is called on shares of the batch. */

static void gather_fwd(void *y_, const void *x_, const int32_t *index, int64_t B, int64_t N,
                       int64_t J, int64_t D)
{
    float *y = y_;
    const float *x = x_;
    PARALLEL_SHARES(B, 1, B * J * D, {
        backend_ref.gather_fwd(y + from * J * D, x + from * N * D, index + from * J, to - from, N,
                               J, D);
    });
}

static void gather_bwd(void *dx_, const void *dy_, const int32_t *index, int64_t B, int64_t N,
                       int64_t J, int64_t D, int add)
{
    float *dx = dx_;
    const float *dy = dy_;
    PARALLEL_SHARES(B, 1, B * N * D, {
        backend_ref.gather_bwd(dx + from * N * D, dy + from * J * D, index + from * J, to - from, N,
                               J, D, add);
    });
}

static void scatter_fwd(void *y_, const void *x_, const void *fill, const int32_t *index, int64_t B,
                        int64_t N, int64_t J, int64_t D)
{
    float *y = y_;
    const float *x = x_;
    PARALLEL_SHARES(B, 1, B * N * D, {
        backend_ref.scatter_fwd(y + from * N * D, x + from * J * D, fill, index + from * J,
                                to - from, N, J, D);
    });
}

static void scatter_bwd(void *dx_, void *dfill, const void *dy_, const int32_t *index, int64_t B,
                        int64_t N, int64_t J, int64_t D, int add)
{
    float *dx = dx_;
    const float *dy = dy_;
    uint8_t *covered = (uint8_t *)kernel_scratch(SCRATCH_SHARED, (B * N + 3) / 4);
    memset(covered, 0, (size_t)(B * N));
    PARALLEL_SHARES(B, 1, B * J * D, {
        for (int64_t r = from * J; r < to * J; r++) {
            int64_t row = r / J * N + index[r];
            covered[row] = 1;
            vector->scale(dx + r * D, dy + row * D, 1, D, add);
        }
    });
    if (dfill)
        column_sums(dfill, dy, covered, B * N, D);
}

static void fill_fwd(void *y_, const void *x_, const void *fill, const int32_t *index, int64_t B,
                     int64_t N, int64_t M, int64_t D)
{
    float *y = y_;
    const float *x = x_;
    PARALLEL_SHARES(B, 1, B * N * D, {
        backend_ref.fill_fwd(y + from * N * D, x + from * N * D, fill, index + from * M, to - from,
                             N, M, D);
    });
}

static void fill_bwd(void *dx_, void *dfill, const void *dy_, const int32_t *index, int64_t B,
                     int64_t N, int64_t M, int64_t D, int add)
{
    float *dx = dx_;
    const float *dy = dy_;
    uint8_t *stays = (uint8_t *)kernel_scratch(SCRATCH_SHARED, (B * N + 3) / 4);
    memset(stays, 1, (size_t)(B * N));
    for (int64_t r = 0; r < B * M; r++)
        if (index[r] >= 0)
            stays[r / M * N + index[r]] = 0;
    if (dfill)
        column_sums(dfill, dy, stays, B * N, D);
    PARALLEL_SHARES(dx ? B * N : 0, 1, B * N * D, {
        for (int64_t r = from; r < to; r++)
            vector->scale(dx + r * D, dy + r * D, stays[r], D, add);
    });
}

static void clear_after(void *y_, const void *x_, const int32_t *lengths, int64_t B, int64_t N,
                        int64_t D, int add)
{
    float *y = y_;
    const float *x = x_;
    PARALLEL_SHARES(B * N, 1, B * N * D, {
        for (int64_t r = from; r < to; r++)
            if (r % N < lengths[r / N])
                vector->scale(y + r * D, x + r * D, 1, D, add);
            else if (!add)
                memset(y + r * D, 0, sizeof *y * (size_t)D);
    });
}

static void patchify_fwd(void *y_, const void *x_, int64_t B, int64_t L, int64_t T, int64_t P,
                         int all_leads)
{
    float *y = y_;
    const float *x = x_;
    int64_t N = T / P;
    PARALLEL_SHARES(B, 1, B * L * T, {
        for (int64_t i = from * L * N; i < to * L * N; i++) {
            int64_t n = i % N, l = i / N % L, b = i / N / L;
            memcpy(y + (all_leads ? (b * N + n) * L + l : i) * P, x + i * P, sizeof *y * (size_t)P);
        }
    });
}

static void patchify_bwd(void *dx_, const void *dy_, int64_t B, int64_t L, int64_t T, int64_t P,
                         int all_leads, int add)
{
    float *dx = dx_;
    const float *dy = dy_;
    int64_t N = T / P;
    PARALLEL_SHARES(B, 1, B * L * T, {
        for (int64_t i = from * L * N; i < to * L * N; i++) {
            int64_t n = i % N, l = i / N % L, b = i / N / L;
            vector->scale(dx + i * P, dy + (all_leads ? (b * N + n) * L + l : i) * P, 1, P, add);
        }
    });
}

static void pool_fwd(void *y_, int32_t *argmax, const void *x_, const int32_t *lengths, int64_t B,
                     int64_t N, int64_t D, enum pool_kind kind)
{
    float *y = y_;
    const float *x = x_;
    PARALLEL_SHARES(B, 1, B * N * D, {
        for (int64_t b = from; b < to; b++) {
            const float *rows = x + b * N * D;
            float *out = y + b * D;
            int64_t count = lengths ? lengths[b] : N;
            if (kind == POOL_MEAN || !count) {
                memset(out, 0, sizeof *out * (size_t)D);
                if (count) {
                    vector->column_sums(out, rows, NULL, count, D, D);
                    vector->scale(out, out, 1 / (float)count, D, 0);
                } else if (kind == POOL_MAX)
                    memset(argmax + b * D, -1, sizeof *argmax * (size_t)D);
                continue;
            }
            if (kind == POOL_LAST) {
                memcpy(out, rows + (count - 1) * D, sizeof *out * (size_t)D);
                continue;
            }
            int32_t *best = argmax + b * D;
            memcpy(out, rows, sizeof *out * (size_t)D);
            memset(best, 0, sizeof *best * (size_t)D);
            for (int64_t n = 1; n < count; n++)
                for (int64_t d = 0; d < D; d++)
                    if (rows[n * D + d] > out[d]) {
                        out[d] = rows[n * D + d];
                        best[d] = (int32_t)n;
                    }
        }
    });
}

static void pool_bwd(void *dx_, const void *dy_, const int32_t *argmax, const int32_t *lengths,
                     int64_t B, int64_t N, int64_t D, enum pool_kind kind, int add)
{
    float *dx = dx_;
    const float *dy = dy_;
    PARALLEL_SHARES(B, 1, B * N * D, {
        if (kind == POOL_MEAN)
            for (int64_t r = from * N; r < to * N; r++) {
                int64_t count = lengths ? lengths[r / N] : N;
                float factor = r % N < count ? 1 / (float)count : 0;
                vector->scale(dx + r * D, dy + r / N * D, factor, D, add);
            }
        else
            backend_ref.pool_bwd(dx + from * N * D, dy + from * D,
                                 argmax ? argmax + from * D : NULL, lengths ? lengths + from : NULL,
                                 to - from, N, D, kind, add);
    });
}

/* A head's share is small; only the query's gradient is a sum over records, in their order. */
static void attend_fwd(void *y_, void *p_, const void *q, const void *kv_, const int32_t *lengths,
                       int64_t B, int64_t N, int64_t H, int64_t E)
{
    float *y = y_, *p = p_;
    const float *kv = kv_;
    PARALLEL_SHARES(B, 1, 4 * B * N * H * E, {
        backend_ref.attend_fwd(y + from * H * E, p + from * H * N, q, kv + from * N * 2 * H * E,
                               lengths ? lengths + from : NULL, to - from, N, H, E);
    });
}

static void attend_bwd(void *dq, void *dkv_, const void *dy_, const void *p_, const void *q,
                       const void *kv_, const int32_t *lengths, int64_t B, int64_t N, int64_t H,
                       int64_t E, int add)
{
    float *dkv = dkv_;
    const float *dy = dy_, *p = p_, *kv = kv_;
    if (dq)
        backend_ref.attend_bwd(dq, NULL, dy, p, q, kv, lengths, B, N, H, E, add);
    if (dkv)
        PARALLEL_SHARES(B, 1, 8 * B * N * H * E, {
            backend_ref.attend_bwd(NULL, dkv + from * N * 2 * H * E, dy + from * H * E,
                                   p + from * H * N, q, kv + from * N * 2 * H * E,
                                   lengths ? lengths + from : NULL, to - from, N, H, E, add);
        });
}

static void dropout(void *y_, const void *x_, int64_t n, int64_t group_size, double p, int whole,
                    uint64_t seed, uint64_t step, uint64_t salt, int add)
{
    float *y = y_;
    const float *x = x_;
    float kept = (float)(p < 1 ? 1 / (1 - p) : 0);
    int64_t groups = (n + group_size - 1) / group_size;
    PARALLEL_SHARES(groups, 1, n, {
        for (int64_t group = from; group < to; group++) {
            int64_t i0 = group * group_size, end = min_i64(n, i0 + group_size);
            struct rng r = rng_at(seed + salt * 0x9E3779B97F4A7C15u, RNG_STREAM_DROPOUT, step,
                                  (uint64_t)group);
            if (whole)
                vector->scale(y + i0, x + i0, rng_u32(&r) >= p * 4294967296.0 ? kept : 0, end - i0,
                              add);
            else
                vector->dropout(y + i0, x + i0, end - i0, p, r, add);
        }
    });
}

/* ---- recurrence -------------------------------------------------------------------------------- */

static void lstm_fwd(void *y, void *gates, void *cells, const void *x, const void *w, int64_t B,
                     int64_t T, int64_t H)
{
    cpu_lstm_fwd(&backend, y, gates, cells, x, w, B, T, H);
}

static void lstm_bwd(void *dx, void *dw, const void *dy, const void *y, const void *gates,
                     const void *cells, const void *w, int64_t B, int64_t T, int64_t H, int add_x,
                     int add_w)
{
    cpu_lstm_bwd(&backend, dx, dw, dy, y, gates, cells, w, B, T, H, add_x, add_w);
}

/* ---- losses ---------------------------------------------------------------------------------- */

static void mse_patch_fwd(void *loss, const void *pred_, const void *target_, const int32_t *index,
                          int64_t B, int64_t N, int64_t J, int64_t P, int normalize)
{
    const float *pred = pred_, *target = target_;
    double *error = (double *)(void *)kernel_scratch(SCRATCH_SHARED, 2 * B * J);
    PARALLEL_SHARES(B * J, 1, B * J * P, {
        for (int64_t r = from; r < to; r++)
            error[r] = vector->patch_error(pred + r * P, target + (r / J * N + index[r]) * P, P,
                                           normalize);
    });
    double total = 0;
    for (int64_t r = 0; r < B * J; r++)
        total += error[r];
    *(float *)loss = (float)(total / ((double)B * (double)J * (double)P));
}

static void mse_patch_bwd(void *dpred_, const void *dloss, const void *pred_, const void *target_,
                          const int32_t *index, int64_t B, int64_t N, int64_t J, int64_t P,
                          int normalize, int add)
{
    float *dpred = dpred_;
    const float *pred = pred_, *target = target_;
    double factor = 2 * *(const float *)dloss / ((double)B * (double)J * (double)P);
    PARALLEL_SHARES(B * J, 1, B * J * P, {
        for (int64_t r = from; r < to; r++)
            vector->patch_error_bwd(dpred + r * P, pred + r * P,
                                    target + (r / J * N + index[r]) * P, factor, P, normalize, add);
    });
}

static void ntxent_fwd(void *loss, void *prob_, const void *z, int64_t B, int64_t D,
                       double temperature)
{
    float *prob = prob_;
    int64_t n = 2 * B;
    linear_fwd(prob, z, z, NULL, n, n, D, ACTIVATION_NONE);
    float *term = kernel_scratch(SCRATCH_SHARED, n);
    PARALLEL_SHARES(n, 1, n * n, {
        for (int64_t i = from; i < to; i++) {
            float *row = prob + i * n;
            int64_t positive = (i + B) % n;
            vector->scale(row, row, (float)(1 / temperature), n, 0);
            row[i] = -INFINITY; /* an anchor is not compared with itself */
            float own = row[positive], max = row[positive];
            for (int64_t j = 0; j < n; j++)
                max = row[j] > max ? row[j] : max;
            vector->softmax_fwd(row, row, 1, n);
            /* softmax(own) = e^(own - max) / sum; for a hopeless positive use the maximum's term */
            float top = 0;
            for (int64_t j = 0; j < n; j++)
                top = row[j] > top ? row[j] : top;
            term[i] = max - own - logf(top);
        }
    });
    double total = 0;
    for (int64_t i = 0; i < n; i++)
        total += term[i];
    *(float *)loss = (float)(total / (double)n);
}

static void ntxent_bwd(void *dz_, const void *dloss, const void *prob, const void *z_, int64_t B,
                       int64_t D, double temperature, int add)
{
    float *dz = dz_;
    const float *z = z_;
    int64_t n = 2 * B;
    float factor = (float)(*(const float *)dloss / ((double)n * temperature));
    float *pull = kernel_scratch(SCRATCH_SHARED, n * D); /* (prob + prob^T - 2 positive) z */
    linear_bwd_x(pull, prob, z, n, n, D, 0);
    linear_bwd_w(pull, NULL, prob, z, n, n, D, 1);
    PARALLEL_SHARES(n, 1, n * D, {
        for (int64_t i = from; i < to; i++) {
            vector->scale(pull + i * D, z + (i + B) % n * D, -2, D, 1);
            vector->scale(dz + i * D, pull + i * D, factor, D, add);
        }
    });
}

/* ---- optimizer ------------------------------------------------------------------------------- */

static void adamw(void *w_, const void *g_, void *m_, void *v_, int64_t n,
                  const struct adamw_params *p)
{
    float *w = w_, *m = m_, *v = v_;
    const float *g = g_;
    PARALLEL_SHARES(n, 64, n,
                    { vector->adamw(w + from, g + from, m + from, v + from, to - from, p); });
}

static double sum_squares(const void *x_, int64_t n)
{
    enum { PARTS = 256 }; /* cut by n alone */
    const float *x = x_;
    double part[PARTS] = {0};
    int64_t length = (n + PARTS - 1) / PARTS;
    if (length < 4096)
        length = 4096;
    int64_t parts = (n + length - 1) / length;
    PARALLEL_SHARES(parts, 1, n, {
        for (int64_t i = from; i < to; i++)
            part[i] = vector->sum_squares(x + i * length, min_i64(length, n - i * length));
    });
    double total = 0;
    for (int64_t i = 0; i < parts; i++)
        total += part[i];
    return total;
}

static void ema(void *target_, const void *w_, int64_t n, double decay)
{
    float *target = target_;
    const float *w = w_;
    PARALLEL_SHARES(n, 64, n, { vector->ema(target + from, w + from, to - from, decay); });
}

static bool all_finite(const void *x_, int64_t n)
{
    const float *x = x_;
    atomic_bool finite = true;
    PARALLEL_SHARES(n, 64, n, {
        if (!vector->all_finite(x + from, to - from))
            finite = false;
    });
    return finite;
}

/* ---- backends -------------------------------------------------------------------------------- */

static void backend_build(void)
{
    detected = vector_find(NULL);
    vector = detected;
    backend = backend_ref; /* keeps bce and accuracy, which are small */
    backend.name = "cpu";
    backend.linear_fwd = linear_fwd;
    backend.pack_bytes = pack_bytes;
    backend.pack = pack;
    backend.linear_packed = linear_packed;
    backend.linear_bwd_x = linear_bwd_x;
    backend.linear_bwd_w = linear_bwd_w;
    backend.activation_fwd = activation_fwd;
    backend.activation_bwd = activation_bwd;
    backend.activation_dropout_fwd = activation_dropout_fwd;
    backend.activation_dropout_bwd = activation_dropout_bwd;
    backend.layernorm_fwd = layernorm_fwd;
    backend.layernorm_bwd = layernorm_bwd;
    backend.softmax_fwd = softmax_fwd;
    backend.softmax_bwd = softmax_bwd;
    backend.attention_fwd = attention_fwd;
    backend.attention_bwd = attention_bwd;
    backend.attention_weights = attention_weights;
    backend.add = add_arrays;
    backend.scale = scale_array;
    backend.add_rows_fwd = add_rows_fwd;
    backend.add_rows_bwd = add_rows_bwd;
    backend.gather_fwd = gather_fwd;
    backend.gather_bwd = gather_bwd;
    backend.scatter_fwd = scatter_fwd;
    backend.scatter_bwd = scatter_bwd;
    backend.fill_fwd = fill_fwd;
    backend.fill_bwd = fill_bwd;
    backend.clear_after = clear_after;
    backend.patchify_fwd = patchify_fwd;
    backend.patchify_bwd = patchify_bwd;
    cpu_sequence_members(&backend);
    cpu_ssm_members(&backend);
    cpu_conv_members(&backend);
    cpu_contrast_members(&backend);
    cpu_batch_members(&backend);
    backend.lstm_fwd = lstm_fwd;
    backend.lstm_bwd = lstm_bwd;
    backend.pool_fwd = pool_fwd;
    backend.pool_bwd = pool_bwd;
    backend.attend_fwd = attend_fwd;
    backend.attend_bwd = attend_bwd;
    backend.l2norm_fwd = l2norm_fwd;
    backend.l2norm_bwd = l2norm_bwd;
    backend.dropout = dropout;
    backend.mse_patch_fwd = mse_patch_fwd;
    backend.mse_patch_bwd = mse_patch_bwd;
    backend.ntxent_fwd = ntxent_fwd;
    backend.ntxent_bwd = ntxent_bwd;
    backend.adamw = adamw;
    backend.sum_squares = sum_squares;
    backend.ema = ema;
    backend.all_finite = all_finite;
    snprintf(description, sizeof description, "kernels for %s; %s", detected->isa,
             dnnl_bridge_version());
}

const struct backend *backend_cpu(void)
{
    pthread_once(&once, backend_build);
    return &backend;
}

/* OpenMP's own number belongs to the thread that sets it; this one to the process. 0: not set. */
static atomic_int threads_set;

void kernel_set_threads(int threads)
{
    threads_set = threads < 1 ? 1 : threads;
    omp_set_dynamic(0); /* oneDNN counts on every thread that it asks for */
    omp_set_num_threads(threads_set);
}

int kernel_threads(void)
{
    int threads = threads_set, most = omp_get_thread_limit(); /* OMP_THREAD_LIMIT */
    threads = threads ? threads : omp_get_max_threads();
    return threads < most ? threads : most;
}

const char *kernel_description(void)
{
    backend_cpu();
    return description;
}
