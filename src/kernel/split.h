/* How the vectorized backends split work among threads, and the three products of a linear layer.
 * Only the files of those backends include this; results do not depend on how work is split. */
#ifndef ECGFM_KERNEL_SPLIT_H
#define ECGFM_KERNEL_SPLIT_H

#include "kernel/attention.h"
#include "kernel/vector.h"

#include <string.h>

/* Elements below which waking the other threads costs more than it brings. */
#define PARALLEL_MIN 32768

/* Rows whose parameter gradients are summed together before the groups are: fixed, so that the
 * sums have the same shape for any number of threads. */
#define GROUP_ROWS 64

/* The smaller. */
static inline int64_t min_i64(int64_t a, int64_t b) { return a < b ? a : b; }

/* Threads for that many elements of work. */
static inline int threads_for(int64_t elements)
{
    return elements < PARALLEL_MIN ? 1 : kernel_threads();
}

/* The share of thread t of T in 0..n, in units of `grain`. */
static inline int64_t share(int64_t n, int64_t grain, int64_t t, int64_t T)
{
    int64_t units = (n + grain - 1) / grain;
    return min_i64(n, units * t / T * grain);
}

/* Runs the statement for each share [from, to) of 0..n; what is done for one element must not
 * depend on where a share begins. A share that is all there is runs without OpenMP, which would make a
 * team of one for it and allocate: all teams are of one size. */
#define PARALLEL_SHARES(n, grain, elements, ...)                                                   \
    do {                                                                                           \
        int team = threads_for(elements);                                                          \
        if (team == 1) {                                                                           \
            int64_t from = 0, to = n;                                                              \
            if (from < to) {                                                                       \
                __VA_ARGS__                                                                        \
            }                                                                                      \
            break;                                                                                 \
        }                                                                                          \
        _Pragma("omp parallel for schedule(static) num_threads(team)") for (int t = 0; t < team;   \
                                                                            t++)                   \
        {                                                                                          \
            int64_t from = share(n, grain, t, team), to = share(n, grain, t + 1, team);            \
            if (from < to) {                                                                       \
                __VA_ARGS__                                                                        \
            }                                                                                      \
        }                                                                                          \
    } while (0)

/* y = act(x w^T + b): w or what it is packed to is for the caller to set. */
static inline struct product product_fwd(void *y, const void *x, const void *b, int64_t M,
                                         int64_t N, int64_t K, enum activation act)
{
    return (struct product){.c = y,
                            .a = x,
                            .bias = b,
                            .M = M,
                            .N = N,
                            .K = K,
                            .a_row = K,
                            .a_column = 1,
                            .b_row = 1,
                            .b_column = K,
                            .act = act};
}

/* dx (add) = dy w */
static inline struct product product_bwd_x(void *dx, const void *dy, const void *w, int64_t M,
                                           int64_t N, int64_t K, int add)
{
    return (struct product){.c = dx,
                            .a = dy,
                            .b = w,
                            .M = M,
                            .N = K,
                            .K = N,
                            .a_row = N,
                            .a_column = 1,
                            .b_row = K,
                            .b_column = 1,
                            .add = add};
}

/* dw (add) = dy^T x */
static inline struct product product_bwd_w(void *dw, const void *dy, const void *x, int64_t M,
                                           int64_t N, int64_t K, int add)
{
    return (struct product){.c = dw,
                            .a = dy,
                            .b = x,
                            .M = N,
                            .N = K,
                            .K = M,
                            .a_row = 1,
                            .a_column = N,
                            .b_row = K,
                            .b_column = 1,
                            .add = add};
}

/* Runs attention on all threads, one record and head at a time. */
static inline void split_attention_fwd(float *y, float *lse, const float *qkv,
                                       const struct attention *s,
                                       void (*one)(float *y, float *lse, const float *qkv,
                                                   const struct attention *s, int64_t head))
{
    int64_t N = s->N, H = s->H, E = s->E;
    PARALLEL_SHARES(s->B * H, 1, s->B * H * N * (N + E), {
        for (int64_t i = from; i < to; i++) {
            int64_t b = i / H, h = i % H;
            if (attention_keys(s, i) > 0) {
                one(y + b * N * H * E + h * E, lse + i * N, qkv + b * N * 3 * H * E + h * E, s, i);
                continue;
            }
            for (int64_t n = 0; n < N; n++)
                memset(y + ((b * N + n) * H + h) * E, 0, sizeof *y * (size_t)E);
            memset(lse + i * N, 0, sizeof *lse * (size_t)N);
        }
    });
}

/* The same for the gradient. */
static inline void split_attention_bwd(
    float *dqkv, const float *dy, const float *qkv, const float *y, const float *lse,
    const struct attention *s, int add,
    void (*one)(float *dqkv, const float *dy, const float *qkv, const float *y, const float *lse,
                const struct attention *s, int64_t head, int add))
{
    int64_t N = s->N, H = s->H, E = s->E;
    PARALLEL_SHARES(s->B * H, 1, s->B * H * N * (N + E), {
        for (int64_t i = from; i < to; i++) {
            int64_t b = i / H, h = i % H, keys = attention_keys(s, i);
            int64_t single = b * N * H * E + h * E, triple = b * N * 3 * H * E + h * E;
            if (keys > 0)
                one(dqkv + triple, dy + single, qkv + triple, y + single, lse + i * N, s, i, add);
            for (int64_t n = add ? N : 0; n < N; n++) /* queries of none, keys that are not there */
                for (int part = keys > 0; part < 3 && (part == 0 || n >= keys); part++)
                    memset(dqkv + triple + (n * 3 + part) * H * E, 0, sizeof *dqkv * (size_t)E);
        }
    });
}

enum { DROPOUT_PIECE = 2048 }; /* elements of a group done together */

/* The generator that decides of the elements of a group from `element` on, a multiple of 4. */
static inline struct rng dropout_rng(const struct dropout *d, int64_t group, int64_t element)
{
    struct rng r = rng_at(d->seed + d->salt * 0x9E3779B97F4A7C15u, RNG_STREAM_DROPOUT, d->step,
                          (uint64_t)group);
    r.counter[0] += (uint32_t)(element / 4);
    return r;
}

/* Runs the statement for each piece of the n elements of all groups: `at` its first element, `count` how
 * many, `r` their generator. */
#define PARALLEL_DROPOUT(n, d, ...)                                                                \
    do {                                                                                           \
        int64_t size = (d)->group_size, pieces = (size + DROPOUT_PIECE - 1) / DROPOUT_PIECE;       \
        int64_t groups = ((n) + size - 1) / size;                                                  \
        PARALLEL_SHARES(groups *pieces, 1, n, {                                                    \
            for (int64_t i = from; i < to; i++) {                                                  \
                int64_t first = i % pieces * DROPOUT_PIECE, at = i / pieces * size + first;        \
                int64_t count = min_i64(min_i64(DROPOUT_PIECE, size - first), (n)-at);             \
                struct rng r = dropout_rng(d, i / pieces, first);                                  \
                if (count > 0) {                                                                   \
                    __VA_ARGS__                                                                    \
                }                                                                                  \
            }                                                                                      \
        });                                                                                        \
    } while (0)

/* Runs a product on all threads. C is cut into pieces so that the longest takes least: `width`
 * multiply-adds at a time for each element of C, and packing the operands that are not packed. */
void split_product(const struct product *p, int width,
                   void (*gemm)(const struct product *p, int64_t i, int64_t rows, int64_t j,
                                int64_t columns));

#endif
