/* Single-thread building blocks of the cpu-bf16 backend: products whose operands are rounded to bf16
 * (nearest even) as they are packed, summed in float32. cpu_bf16.c splits work among threads and
 * calls these. Arrays in memory stay float32. */
#ifndef ECGFM_KERNEL_BF16_H
#define ECGFM_KERNEL_BF16_H

#include "kernel/vector.h"

enum { BF16_COLUMNS = 32 }; /* rows of weights in a panel */

struct bf16_kernels {
    /* As in struct vector_kernels, and with the same promise: an element's bits depend on its row
     * of A and its column of B alone. GELU is within 2e-5 of the exact one. */
    void (*gemm)(const struct product *p, int64_t i, int64_t rows, int64_t j, int64_t columns);
    /* Rows `first` (a multiple of BF16_COLUMNS) and on of weights [N,K]: panels of BF16_COLUMNS rows,
     * each [K/2][BF16_COLUMNS] pairs along K, zero past the last row and past an odd K. */
    void (*pack_weights)(uint32_t *packed, const struct weight *w, int64_t first, int64_t rows,
                         int64_t K);
    void (*round)(uint16_t *y, const float *x, int64_t n);
    void (*value)(float *y, const uint16_t *x, int64_t n);
    void (*gelu_fwd)(float *y, const float *x, int64_t n);
    /* Its slope is within 1e-3. */
    void (*gelu_bwd)(float *dx, const float *dy, const float *x, int64_t n, int add);
    /* Scores, softmax and its logarithm are float32. */
    void (*attention_fwd)(float *y, float *lse, const float *qkv, const struct attention *s,
                          int64_t head);
    void (*attention_bwd)(float *dqkv, const float *dy, const float *qkv, const float *y,
                          const float *lse, const struct attention *s, int64_t head, int add);
};

#if defined(__x86_64__)
extern const struct bf16_kernels bf16_avx512; /* needs avx512bf16 besides what vector_avx512 does */
#endif

#endif
