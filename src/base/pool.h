/* Plain threads for input work (decoding, augmenting). Kernels use OpenMP, not this. */
#ifndef ECGFM_BASE_POOL_H
#define ECGFM_BASE_POOL_H

#include <stdint.h>

/* Logical cores this process may use (affinity and cgroup respected where known); at least 1. */
int cpu_count(void);

/* Runs work(context, i) for i in 0..n-1 on at most `threads` threads, the caller included, and
 * returns when all are done. Order is free; work must be independent. */
void pool_for(int threads, int64_t n, void (*work)(void *context, int64_t i), void *context);

#endif
