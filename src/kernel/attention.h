/* What the attention kernels of all vectorized backends share. */
#ifndef ECGFM_KERNEL_ATTENTION_H
#define ECGFM_KERNEL_ATTENTION_H

#include <stdint.h>

/* Asks for a row of the next head: heads lie beside each other, rows of a head far apart. */
static inline void fetch_next(const float *row, int64_t E)
{
    for (int64_t e = E; e < 2 * E; e += 16)
        __builtin_prefetch(row + e, 0, 2);
}

/* The same for query, key and value of a token. */
static inline void fetch_next_qkv(const float *row, int64_t H, int64_t E)
{
    for (int part = 0; part < 3; part++)
        fetch_next(row + part * H * E, E);
}

#endif
