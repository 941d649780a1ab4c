/* Speed of the cpu backend beside what the machine gives: OpenBLAS' sgemm for products, memcpy for
 * kernels that only move memory. Not a test.
 *   bench_kernel [threads]
 * Best of several runs; on one thread processor time is taken, which a busy machine disturbs less.
 * The shapes are those of a training step of a 12-layer encoder, 768 wide, 1248 tokens. */
#include "kernel/kernel.h"

#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    M = 1248,
    D = 768,
    F = 3072,
    B = 8,
    N = 156,
    H = 12,
    E = 64,
    RUNS = 7,
    PARAMETERS = 20000000
};

static int threads = 1;
static float *x, *y, *z, *w, *statistics;

static double now(void)
{
    struct timespec t;
    clock_gettime(threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

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

/* Seconds of the statement, best of RUNS. */
#define BEST(...)                                                                                  \
    ({                                                                                             \
        double best_ = INFINITY;                                                                   \
        for (int run_ = 0; run_ < RUNS; run_++) {                                                  \
            double start_ = now();                                                                 \
            __VA_ARGS__;                                                                           \
            best_ = fmin(best_, now() - start_);                                                   \
        }                                                                                          \
        best_;                                                                                     \
    })

static double peak, copy; /* FLOP/s and bytes/s */
static double product_seconds, other_seconds;

/* Times in a step: `count`. Work in FLOP for products, in bytes read and written for others. */
static void report(const char *name, double seconds, double flops, double bytes, int count)
{
    printf("%-34s %9.3f ms", name, 1e3 * seconds);
    if (flops > 0)
        printf("  %7.1f GFLOP/s  %4.0f %% of sgemm\n", 1e-9 * flops / seconds,
               100 * flops / seconds / peak);
    else
        printf("  %7.1f GB/s     %4.0f %% of memcpy\n", 1e-9 * bytes / seconds,
               100 * bytes / seconds / copy);
    *(flops > 0 ? &product_seconds : &other_seconds) += count * seconds;
}

static void linear(const struct backend *k, int64_t out, int64_t in, int count)
{
    char name[64];
    double flops = 2.0 * M * (double)out * (double)in;
    snprintf(name, sizeof name, "linear %d -> %d", (int)in, (int)out);
    report(name, BEST(k->linear_fwd(y, x, w, z, M, out, in, ACTIVATION_NONE)), flops, 0, count);
    snprintf(name, sizeof name, "  gradient of input");
    report(name, BEST(k->linear_bwd_x(x, y, w, M, out, in, 0)), flops, 0, count);
    snprintf(name, sizeof name, "  gradient of weights");
    report(name, BEST(k->linear_bwd_w(w, z, y, x, M, out, in, 1)), flops, 0, count);
}

int main(int argc, char **argv)
{
    threads = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 1;
    kernel_set_threads(threads);
    openblas_set_num_threads(threads);
    const struct backend *k = backend_cpu();
    x = numbers(PARAMETERS), y = numbers(PARAMETERS), z = numbers(PARAMETERS),
    w = numbers(PARAMETERS);
    statistics = numbers(4 * B * H * N + 2 * M);
    printf("%s, %d thread%s\n", kernel_description(), threads, threads == 1 ? "" : "s");
    double seconds = BEST(cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, 1536, 1536, 1536, 1,
                                      x, 1536, w, 1536, 0, y, 1536));
    peak = 2.0 * 1536 * 1536 * 1536 / seconds;
    seconds = BEST(memcpy(y, x, sizeof *x * PARAMETERS));
    copy = 2.0 * sizeof *x * PARAMETERS / seconds; /* by one thread */
    printf("sgemm of OpenBLAS %.1f GFLOP/s, memcpy on one thread %.1f GB/s\n\n", 1e-9 * peak,
           1e-9 * copy);

    linear(k, 3 * D, D, 12);
    linear(k, D, D, 12);
    linear(k, F, D, 12);
    linear(k, D, F, 12);
    double pairs = 2.0 * B * H * N * N * E;
    struct attention heads = {.B = B, .N = N, .H = H, .E = E};
    report("attention", BEST(k->attention_fwd(y, statistics, x, &heads)), 2 * pairs, 0, 12);
    report("  gradient", BEST(k->attention_bwd(z, y, x, y, statistics, &heads, 0)), 5 * pairs, 0,
           12);
    double rows = sizeof *x * (double)M * D, wide = sizeof *x * (double)M * F;
    float *mean = statistics, *rstd = statistics + M;
    report("layernorm", BEST(k->layernorm_fwd(y, mean, rstd, x, w, z, M, D, 1e-6)), 0, 2 * rows,
           25);
    report("  gradient", BEST(k->layernorm_bwd(y, w, w + D, z, x, w, mean, rstd, M, D, 0)), 0,
           3 * rows, 25);
    report("gelu", BEST(k->activation_fwd(y, x, (int64_t)M * F, ACTIVATION_GELU)), 0, 2 * wide, 12);
    report("  gradient", BEST(k->activation_bwd(y, y, x, (int64_t)M * F, ACTIVATION_GELU, 0)), 0,
           3 * wide, 12);
    report("add", BEST(k->add(y, x, z, M * D)), 0, 3 * rows, 24);
    report("column sums", BEST(k->add_rows_bwd(z, x, M, D)), 0, rows, 0);
    report("softmax", BEST(k->softmax_fwd(y, x, M, D)), 0, 2 * rows, 0);
    double slab = sizeof *x * (double)PARAMETERS;
    struct adamw_params p = {.lr = 1e-3,
                             .beta1 = 0.9,
                             .beta2 = 0.99,
                             .epsilon = 1e-8,
                             .weight_decay = 0.1,
                             .gradient_scale = 1,
                             .step = 2};
    for (int64_t i = 0; i < PARAMETERS; i++)
        z[i] = fabsf(z[i]);
    report("adamw, 20 M parameters", BEST(k->adamw(w, x, y, z, PARAMETERS, &p)), 0, 7 * slab, 0);
    other_seconds += 85.0 / 20 * BEST(k->adamw(w, x, y, z, PARAMETERS, &p)); /* 12 layers */
    report("sum of squares", BEST(w[0] += (float)k->sum_squares(x, PARAMETERS)), 0, slab, 4);
    report("ema", BEST(k->ema(y, x, PARAMETERS, 0.99)), 0, 3 * slab, 0);
    report("all finite", BEST(w[0] += k->all_finite(x, PARAMETERS)), 0, slab, 0);
    report("dropout", BEST(k->dropout(y, x, M * D, N * D, 0.1, 0, 1, 2, 3, 0)), 0, 2 * rows, 0);
    printf("\na step of 12 layers: %.0f ms, %.0f %% in products\n",
           1e3 * (product_seconds + other_seconds),
           100 * product_seconds / (product_seconds + other_seconds));
    free(x), free(y), free(z), free(w), free(statistics);
    return 0;
}
