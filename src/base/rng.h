/* Randomness as a function: a counter-based generator addressed by
 * (seed, stream, epoch, sample, draw), so that results do not depend on threads, ranks, batch size
 * or resume.
 *
 * Layout: key = seed (low word, high word); counter = {block, sample, epoch, stream}, where the
 * low words of sample and epoch are followed by 12 more bits of each in the last word
 * (stream | sample[32..43] << 8 | epoch[32..43] << 20); higher bits are mixed into the key.
 * Source: Salmon et al. 2011, Philox4x32-10. */
#ifndef ECGFM_BASE_RNG_H
#define ECGFM_BASE_RNG_H

#include <stdint.h>

/* One stream per use, so that adding a draw in one place never shifts another. */
enum rng_stream {
    RNG_STREAM_INIT = 1, /* parameter initialization */
    RNG_STREAM_SHUFFLE,  /* order of samples in an epoch */
    RNG_STREAM_CROP,
    RNG_STREAM_AUGMENT,
    RNG_STREAM_MASK,
    RNG_STREAM_DROPOUT,
    RNG_STREAM_BOOTSTRAP,
    RNG_STREAM_SYNTH,
    RNG_STREAM_TEST,
    RNG_STREAM_NEGATIVES, /* what hidden tokens are compared with */
    RNG_STREAM_GUMBEL     /* noise of the quantizer */
};

struct rng {
    uint32_t key[2];
    uint32_t counter[4];
    uint32_t block[4];
    int used; /* words of block already handed out; 4 = draw a new block */
};

/* One block of four words: the bare function, for kernels that draw many at once. */
void rng_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* The generator of one (seed, stream, epoch, sample); a value, copy freely. */
struct rng rng_at(uint64_t seed, enum rng_stream stream, uint64_t epoch, uint64_t sample);

uint32_t rng_u32(struct rng *r);
double rng_uniform(struct rng *r); /* [0, 1), 53 bits */
double rng_between(struct rng *r, double low, double high);
double rng_normal(struct rng *r);            /* Box-Muller, two draws each */
int64_t rng_below(struct rng *r, int64_t n); /* 0..n-1, unbiased */
/* Fisher-Yates permutation of 0..n-1. */
void rng_permutation(struct rng *r, int64_t *out, int64_t n);

#endif
