/* Matrix products of the backends against the arithmetic peak of this machine, measured in the same
 * run by loops that touch registers only. Not a test.
 *   bench_gemm [threads [backend ...]]
 * On one thread processor time is taken, which a busy machine disturbs less. Best of several runs.
 * Packed weights are taken in turn from a pool larger than the caches, as the layers of a model are. */
#include "kernel/kernel.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { POOL = 8, RUNS = 8, M_MAX = 4992, WIDE = 3072 };

static int threads = 1;

static double now(void)
{
    struct timespec t;
    clock_gettime(threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- peaks ----------------------------------------------------------------------------------- */

enum { PEAK_STEPS = 400000, CHAINS = 12 };

#if defined(__x86_64__)
#define TWELVE(DO) DO(a) DO(b) DO(c) DO(d) DO(e) DO(f) DO(g) DO(h) DO(i) DO(j) DO(k) DO(l)
#define PEAK_DECLARE(s) s = x,
#define PEAK_KEEP(s) __asm__ volatile("" : "+v"(s));
/* Twelve sums, each waiting only for itself; STEP(s) adds to s. */
#define PEAK_LOOP(NAME, TARGET, TYPE, SET, STEP)                                                   \
    __attribute__((target(TARGET), noinline)) static void NAME(void)                               \
    {                                                                                              \
        TYPE x = SET(0), TWELVE(PEAK_DECLARE) y = x;                                               \
        for (int n = 0; n < PEAK_STEPS; n++) {                                                     \
            TWELVE(STEP)                                                                           \
            TWELVE(PEAK_KEEP)                                                                      \
        }                                                                                          \
    }
#define STEP_AVX2(s) s = _mm256_fmadd_ps(x, y, s);
#define STEP_AVX512(s) s = _mm512_fmadd_ps(x, y, s);
#define STEP_BF16(s) s = _mm512_dpbf16_ps(s, (__m512bh)x, (__m512bh)y);
#define STEP_INT8(s) s = _mm512_dpbusd_epi32(s, x, y);
PEAK_LOOP(peak_avx2, "avx2,fma", __m256, _mm256_set1_ps, STEP_AVX2)
PEAK_LOOP(peak_avx512, "avx512f", __m512, _mm512_set1_ps, STEP_AVX512)
PEAK_LOOP(peak_bf16, "avx512f,avx512bf16", __m512, _mm512_set1_ps, STEP_BF16)
PEAK_LOOP(peak_int8, "avx512f,avx512vnni", __m512i, _mm512_set1_epi32, STEP_INT8)
#endif

/* Operations per second of all threads. */
static double peak_of(void (*loop)(void), double per_step)
{
    double best = INFINITY;
    for (int run = 0; run < RUNS; run++) {
        double start = now();
#pragma omp parallel num_threads(threads)
        loop();
        best = fmin(best, now() - start);
    }
    return threads * per_step * CHAINS * PEAK_STEPS / best;
}

/* The peak of what a backend computes products with; 0 if not known here. */
static double peak(const char *backend)
{
#if defined(__x86_64__)
    if (!strcmp(backend, "cpu-bf16") && __builtin_cpu_supports("avx512bf16"))
        return peak_of(peak_bf16, 64);
    if (!strcmp(backend, "cpu-int8") && __builtin_cpu_supports("avx512vnni"))
        return peak_of(peak_int8, 128);
    if (__builtin_cpu_supports("avx512f"))
        return peak_of(peak_avx512, 32);
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return peak_of(peak_avx2, 16);
#endif
    (void)peak_of, (void)backend;
    return 0;
}

/* ---- products -------------------------------------------------------------------------------- */

static float *numbers(int64_t n)
{
    float *p = aligned_alloc(64, sizeof *p * (size_t)n);
    uint32_t state = 1;
    if (!p)
        exit(1);
    for (int64_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        p[i] = (float)(int32_t)state * (1.0f / 2147483648.0f);
    }
    return p;
}

static float *x, *y, *w[POOL], *bias;
static void *packed[POOL];

/* Seconds of the statement, best of RUNS; `run` counts. */
#define BEST(...)                                                                                  \
    ({                                                                                             \
        double best_ = INFINITY;                                                                   \
        for (int run = 0; run < RUNS; run++) {                                                     \
            double start_ = now();                                                                 \
            __VA_ARGS__;                                                                           \
            best_ = fmin(best_, now() - start_);                                                   \
        }                                                                                          \
        best_;                                                                                     \
    })

static void layer(const struct backend *k, double top, int64_t N, int64_t K)
{
    static const int64_t rows[] = {156, 312, 1248, 4992};
    for (int i = 0; i < POOL; i++) {
        struct weight weight = {w[i], STORAGE_F32, NULL};
        packed[i] = aligned_alloc(64, k->pack_bytes(N, K));
        if (!packed[i])
            exit(1);
        k->pack(packed[i], &weight, N, K);
    }
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        int64_t M = rows[r];
        double seconds[] = {
            BEST(k->linear_packed(y, x, packed[run % POOL], bias, M, N, K, ACTIVATION_NONE)),
            BEST(k->linear_packed(y, x, packed[run % POOL], bias, M, N, K, ACTIVATION_GELU)),
            BEST(k->linear_fwd(y, x, w[run % POOL], bias, M, N, K, ACTIVATION_NONE)),
            BEST(k->linear_bwd_x(y, x, w[run % POOL], M, N, K, 0)),
            BEST(k->linear_bwd_w(w[run % POOL], NULL, y, x, M, N, K, 1)),
        };
        printf("%5d x %4d x %4d ", (int)M, (int)N, (int)K);
        for (int i = 0; i < 5; i++) {
            double rate = 2.0 * (double)(M * N * K) / seconds[i];
            printf("  %6.1f %3.0f%%", 1e-9 * rate, top > 0 ? 100 * rate / top : 0);
        }
        printf("\n");
        fflush(stdout);
    }
    for (int i = 0; i < POOL; i++)
        free(packed[i]);
}

/* Two products forward, five backward. */
static void attention(const struct backend *k, double top, int64_t B, int64_t N)
{
    enum { H = 12, E = 64 };
    float *lse = numbers(B * H * N);
    double pair = 2.0 * (double)(B * H * N * N * E);
    struct attention a = {.B = B, .N = N, .H = H, .E = E};
    double forward = BEST(k->attention_fwd(y, lse, x, &a));
    double backward = BEST(k->attention_bwd(w[0], y, x, y, lse, &a, 0));
    printf("attention %d x %d x %d x %d: %.1f (%.0f%%), gradient %.1f (%.0f%%)\n", (int)B, (int)N,
           H, E, 2e-9 * pair / forward, top > 0 ? 200 * pair / forward / top : 0,
           5e-9 * pair / backward, top > 0 ? 500 * pair / backward / top : 0);
    free(lse);
}

int main(int argc, char **argv)
{
    static const char *all[] = {"cpu", "cpu-bf16", "cpu-int8", NULL};
    threads = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 1;
    kernel_set_threads(threads);
    x = numbers((int64_t)M_MAX * WIDE), y = numbers((int64_t)M_MAX * WIDE), bias = numbers(WIDE);
    for (int i = 0; i < POOL; i++)
        w[i] = numbers((int64_t)WIDE * 768);
    printf("%s, %d thread%s\n", kernel_description(), threads, threads == 1 ? "" : "s");
    const char *const *name = argc > 2 ? (const char *const *)argv + 2 : all;
    for (; *name; name++) {
        const struct backend *k = backend_find(*name);
        if (!k) {
            printf("%s: not on this machine\n", *name);
            continue;
        }
        double top = peak(*name);
        printf("\n%s, peak %.1f G/s\n    M      N      K    %12s%13s%13s%13s%13s\n", *name,
               1e-9 * top, "packed", "and gelu", "forward", "dx", "dw");
        layer(k, top, 2304, 768);
        layer(k, top, 768, 768);
        layer(k, top, 3072, 768);
        layer(k, top, 768, 3072);
        attention(k, top, 8, 156);
        attention(k, top, 4, 250);
    }
    return 0;
}
