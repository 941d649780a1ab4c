#include "kernel/bf16.h"
#include "kernel/lstm.h"
#include "kernel/split.h"

#include <pthread.h>

#if defined(__x86_64__)

static const struct bf16_kernels *const bf16 = &bf16_avx512;

enum { MULTIPLY_ADDS = 32 }; /* in one instruction */

static void linear_fwd(void *y, const void *x, const void *w, const void *b, int64_t M, int64_t N,
                       int64_t K, enum activation act)
{
    struct product p = product_fwd(y, x, b, M, N, K, act);
    p.b = w;
    split_product(&p, MULTIPLY_ADDS, bf16->gemm);
}

static size_t pack_bytes(int64_t N, int64_t K)
{
    int64_t rows = (N + BF16_COLUMNS - 1) / BF16_COLUMNS * BF16_COLUMNS;
    return ((size_t)(rows * ((K + 1) / 2)) * sizeof(uint32_t) + 63) & ~(size_t)63;
}

static void pack(void *packed, const struct weight *w, int64_t N, int64_t K)
{
    PARALLEL_SHARES(N, BF16_COLUMNS, N * K, { bf16->pack_weights(packed, w, from, to - from, K); });
}

static void linear_packed(void *y, const void *x, const void *packed, const void *b, int64_t M,
                          int64_t N, int64_t K, enum activation act)
{
    struct product p = product_fwd(y, x, b, M, N, K, act);
    p.packed = packed;
    split_product(&p, MULTIPLY_ADDS, bf16->gemm);
}

static void linear_bwd_x(void *dx, const void *dy, const void *w, int64_t M, int64_t N, int64_t K,
                         int add)
{
    struct product p = product_bwd_x(dx, dy, w, M, N, K, add);
    split_product(&p, MULTIPLY_ADDS, bf16->gemm);
}

static void linear_bwd_w(void *dw, void *db, const void *dy, const void *x, int64_t M, int64_t N,
                         int64_t K, int add)
{
    struct product p = product_bwd_w(dw, dy, x, M, N, K, add);
    split_product(&p, MULTIPLY_ADDS, bf16->gemm);
    if (db)
        backend_cpu()->add_rows_bwd(db, dy, M, N);
}

static void activation_fwd(void *y_, const void *x_, int64_t n, enum activation act)
{
    if (act != ACTIVATION_GELU) {
        backend_cpu()->activation_fwd(y_, x_, n, act);
        return;
    }
    float *y = y_;
    const float *x = x_;
    PARALLEL_SHARES(n, 64, n, { bf16->gelu_fwd(y + from, x + from, to - from); });
}

static void activation_bwd(void *dx_, const void *dy_, const void *x_, int64_t n,
                           enum activation act, int add)
{
    if (act != ACTIVATION_GELU) {
        backend_cpu()->activation_bwd(dx_, dy_, x_, n, act, add);
        return;
    }
    float *dx = dx_;
    const float *dy = dy_, *x = x_;
    PARALLEL_SHARES(n, 64, n, { bf16->gelu_bwd(dx + from, dy + from, x + from, to - from, add); });
}

static void activation_dropout_fwd(void *y_, const void *x_, int64_t n, enum activation act,
                                   const struct dropout *d)
{
    if (act != ACTIVATION_GELU) {
        backend_cpu()->activation_dropout_fwd(y_, x_, n, act, d);
        return;
    }
    const struct vector_kernels *v = vector_in_use();
    float *y = y_;
    const float *x = x_;
    PARALLEL_DROPOUT(n, d, {
        bf16->gelu_fwd(y + at, x + at, count);
        v->dropout(y + at, y + at, count, d->p, r, 0);
    });
}

static void activation_dropout_bwd(void *dx_, const void *dy_, const void *x_, int64_t n,
                                   enum activation act, const struct dropout *d, int add)
{
    if (act != ACTIVATION_GELU) {
        backend_cpu()->activation_dropout_bwd(dx_, dy_, x_, n, act, d, add);
        return;
    }
    const struct vector_kernels *v = vector_in_use();
    float *dx = dx_;
    const float *dy = dy_, *x = x_;
    PARALLEL_DROPOUT(n, d, {
        float through[DROPOUT_PIECE];
        bf16->gelu_bwd(through, dy + at, x + at, count, 0);
        v->dropout(dx + at, through, count, d->p, r, add);
    });
}

static void attention_fwd(void *y, void *lse, const void *qkv, const struct attention *s)
{
    split_attention_fwd(y, lse, qkv, s, bf16->attention_fwd);
}

static void attention_bwd(void *dqkv, const void *dy, const void *qkv, const void *y,
                          const void *lse, const struct attention *s, int add)
{
    split_attention_bwd(dqkv, dy, qkv, y, lse, s, add, bf16->attention_bwd);
}

static void round_values(uint16_t *y, const void *x_, int64_t n)
{
    const float *x = x_;
    PARALLEL_SHARES(n, 64, n, { bf16->round(y + from, x + from, to - from); });
}

static void values(void *y_, const uint16_t *x, int64_t n)
{
    float *y = y_;
    PARALLEL_SHARES(n, 64, n, { bf16->value(y + from, x + from, to - from); });
}

static struct backend backend;

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

static bool available;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void backend_build(void)
{
    available = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
                __builtin_cpu_supports("avx512bf16");
    backend = *backend_cpu();
    backend.name = "cpu-bf16";
    backend.rounds_bf16 = true;
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
    backend.attention_fwd = attention_fwd;
    backend.attention_bwd = attention_bwd;
    backend.lstm_fwd = lstm_fwd;
    backend.lstm_bwd = lstm_bwd;
    backend.bf16_round = round_values;
    backend.bf16_value = values;
}

const struct backend *backend_cpu_bf16(void)
{
    pthread_once(&once, backend_build);
    return available ? &backend : NULL;
}

#else

const struct backend *backend_cpu_bf16(void) { return NULL; }

#endif
