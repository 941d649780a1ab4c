/* Matrix products through oneDNN, 2.6 (Debian 12) or 3.x; dnnl_bridge.c is the one file that knows
 * its interface.
 *
 * A `dnnl_product` is one shape. The primitive of a shape is built at its first use (0.01 to 6 ms)
 * and kept by the calling thread, which drops the least recently used of DNNL_BRIDGE_SHAPES and has
 * one working memory for all of them. Later calls build nothing; what they still allocate are some
 * small blocks inside dnnl_primitive_execute (8 a call with 2.6), which its interface has no way
 * around. Only backend.c, cpu.c (for the version) and tests include this.
 *
 * Source: oneAPI specification, oneDNN, "Matrix Multiplication" and "Post-ops". */
#ifndef ECGFM_KERNEL_DNNL_BRIDGE_H
#define ECGFM_KERNEL_DNNL_BRIDGE_H

#include "kernel/kernel.h"

/* C[M,N] = op(A)[M,K] op(B)[K,N] + bias[N]; op transposes where asked: A is then stored [K,M], B
 * [N,K]. */
struct dnnl_product {
    int64_t M, N, K;
    bool transpose_a, transpose_b;
    bool add;  /* C += */
    bool gelu; /* of the result, by oneDNN's erf; not with add */
};

#define DNNL_BRIDGE_SHAPES 256

/* Whether oneDNN has a CPU engine here; the others are called only then. */
bool dnnl_bridge_available(void);

/* Runs a product on kernel_threads() threads; bias may be NULL. False, with C untouched, if oneDNN
 * cannot do this shape or has no memory for it.
 * Threads: safe, each with its own primitives. */
bool dnnl_bridge_multiply(float *c, const float *a, const float *b, const float *bias,
                          const struct dnnl_product *p);

/* Primitives that the calling thread keeps. */
int dnnl_bridge_shapes(void);

/* "oneDNN 2.6.3, OpenMP": the library that runs and what its threads come from. */
const char *dnnl_bridge_version(void);

#endif
