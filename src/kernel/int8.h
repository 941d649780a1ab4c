/* Single-thread building blocks of the cpu-int8 backend, compiled once for each instruction set
 * (int8_kernels.inc by int8_*.c). cpu_int8.c splits work among threads and calls these.
 *
 * Weights are rounded to -127..127 by row (output channel), activations by row (token) when they are
 * multiplied, both with scale = largest magnitude / 127; sums are exact in 32 bits for K up to 2^17
 * and leave as float times both scales. A row whose largest magnitude is below 1e-30 counts as zero;
 * one that is not finite gives NaN. Without GELU the bits are the same on every instruction set. */
#ifndef ECGFM_KERNEL_INT8_H
#define ECGFM_KERNEL_INT8_H

#include "kernel/vector.h"

struct int8_kernels {
    const char *isa;      /* "avx512vnni", or as in struct vector_kernels */
    int64_t pack_columns; /* rows of weights in a panel */
    size_t (*pack_bytes)(int64_t N, int64_t K);
    /* Rows `first` (a multiple of pack_columns) and on of weights [N,K] to where they belong in all
     * that is packed: scales [N], sums [N] and panels [K/4 or K/2][pack_columns], N and K rounded up
     * and the rest zero. */
    void (*pack_weights)(void *packed, const struct weight *w, int64_t first, int64_t rows,
                         int64_t N, int64_t K);
    /* As in struct vector_kernels, with packed weights. */
    void (*gemm)(const struct product *p, int64_t i, int64_t rows, int64_t j, int64_t columns);
};

#if defined(__x86_64__)
extern const struct int8_kernels int8_avx512vnni, int8_avx512, int8_avx2;
#endif
extern const struct int8_kernels int8_plain;

#endif
