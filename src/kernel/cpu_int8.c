#include "kernel/int8.h"
#include "kernel/split.h"

#include <pthread.h>
#include <string.h>

enum { MULTIPLY_ADDS = 64 }; /* in one instruction */

static struct backend backend;
static const struct int8_kernels *best;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static const struct int8_kernels *kernels_find(const char *isa)
{
#if defined(__x86_64__)
    static const struct int8_kernels *const all[] = {&int8_avx512, &int8_avx2};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!strcmp(all[i]->isa, isa))
            return all[i];
#endif
    return strcmp(isa, int8_plain.isa) ? NULL : &int8_plain;
}

/* Those for this machine, or what a test has forced. */
static const struct int8_kernels *kernels(void)
{
    bool forced;
    const char *isa = kernel_isa(&forced);
    return forced ? kernels_find(isa) : best;
}

static size_t pack_bytes(int64_t N, int64_t K) { return kernels()->pack_bytes(N, K); }

static void pack(void *packed, const struct weight *w, int64_t N, int64_t K)
{
    const struct int8_kernels *int8 = kernels();
    PARALLEL_SHARES(N, int8->pack_columns, N * K,
                    { int8->pack_weights(packed, w, from, to - from, N, K); });
}

static void linear_packed(void *y, const void *x, const void *packed, const void *b, int64_t M,
                          int64_t N, int64_t K, enum activation act)
{
    struct product p = product_fwd(y, x, b, M, N, K, act);
    p.packed = packed;
    split_product(&p, MULTIPLY_ADDS, kernels()->gemm);
}

static void linear_fwd(void *y, const void *x, const void *w, const void *b, int64_t M, int64_t N,
                       int64_t K, enum activation act)
{
    struct weight weight = {w, STORAGE_F32, NULL};
    size_t bytes = pack_bytes(N, K);
    void *packed = kernel_scratch(SCRATCH_SHARED, (int64_t)(bytes / sizeof(float)));
    pack(packed, &weight, N, K);
    linear_packed(y, x, packed, b, M, N, K, act);
}

static void backend_build(void)
{
    bool forced;
    const struct backend *below = backend_cpu_bf16();
    backend = below ? *below : *backend_cpu();
    best = kernels_find(kernel_isa(&forced));
#if defined(__x86_64__)
    if (best == &int8_avx512 && __builtin_cpu_supports("avx512vnni"))
        best = &int8_avx512vnni;
#endif
    backend.name = "cpu-int8";
    backend.linear_fwd = linear_fwd;
    backend.pack_bytes = pack_bytes;
    backend.pack = pack;
    backend.linear_packed = linear_packed;
}

const struct backend *backend_cpu_int8(void)
{
    pthread_once(&once, backend_build);
    return &backend;
}
