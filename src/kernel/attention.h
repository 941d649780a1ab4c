/* What the attention kernels of all backends share. */
#ifndef ECGFM_KERNEL_ATTENTION_H
#define ECGFM_KERNEL_ATTENTION_H

#include "base/rng.h"
#include "kernel/kernel.h"

/* Keys that head b H + h attends to. */
static inline int64_t attention_keys(const struct attention *s, int64_t head)
{
    return s->lengths ? s->lengths[head / s->H] : s->N;
}

/* What row `row` of head b H + h draws its dropout from. */
static inline struct rng attention_rng(const struct attention *s, int64_t head, int64_t row)
{
    return rng_at(s->seed + s->salt * 0x9E3779B97F4A7C15u, RNG_STREAM_DROPOUT, s->step,
                  (uint64_t)(head * s->N + row));
}

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
