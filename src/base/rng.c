#include "base/rng.h"

#include <math.h>

#include "base/err.h"

/* Multipliers and Weyl constants of Philox4x32. Source: Salmon et al. 2011, section 4. */
#define PHILOX_M0 UINT32_C(0xD2511F53)
#define PHILOX_M1 UINT32_C(0xCD9E8D57)
#define PHILOX_W0 UINT32_C(0x9E3779B9)
#define PHILOX_W1 UINT32_C(0xBB67AE85)

void rng_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)PHILOX_M0 * c0;
        uint64_t p1 = (uint64_t)PHILOX_M1 * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += PHILOX_W0;
        k1 += PHILOX_W1;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

struct rng rng_at(uint64_t seed, enum rng_stream stream, uint64_t epoch, uint64_t sample)
{
    struct rng r = {.key = {(uint32_t)seed, (uint32_t)(seed >> 32)}, .used = 4};
    uint64_t epoch_high = epoch >> 44, sample_high = sample >> 44;
    if ((epoch_high | sample_high) != 0) {
        /* An address beyond the counter's fields (a hash as the sample): its high bits go into
         * the key through the cipher itself. */
        uint32_t high[4] = {(uint32_t)epoch_high, (uint32_t)sample_high, UINT32_MAX, UINT32_MAX};
        uint32_t mixed[4];
        rng_philox(high, r.key, mixed);
        r.key[0] = mixed[0];
        r.key[1] = mixed[1];
    }
    r.counter[1] = (uint32_t)sample;
    r.counter[2] = (uint32_t)epoch;
    r.counter[3] = ((uint32_t)stream & 0xff) | (uint32_t)(sample >> 32 & 0xfff) << 8 |
                   (uint32_t)(epoch >> 32 & 0xfff) << 20;
    return r;
}

uint32_t rng_u32(struct rng *r)
{
    if (r->used == 4) {
        rng_philox(r->counter, r->key, r->block);
        r->used = 0;
        ASSERT(++r->counter[0] != 0, "more than 2^34 draws from one generator");
    }
    return r->block[r->used++];
}

static uint64_t rng_u64(struct rng *r)
{
    uint64_t high = rng_u32(r);
    return high << 32 | rng_u32(r);
}

double rng_uniform(struct rng *r) { return (double)(rng_u64(r) >> 11) * 0x1p-53; }

double rng_between(struct rng *r, double low, double high)
{
    return low + (high - low) * rng_uniform(r);
}

double rng_normal(struct rng *r)
{
    double u = 1.0 - rng_uniform(r); /* (0, 1]: the logarithm is finite */
    double v = rng_uniform(r);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586477 * v);
}

int64_t rng_below(struct rng *r, int64_t n)
{
    ASSERT(n > 0, "rng_below of %lld", (long long)n);
    uint64_t bound = (uint64_t)n;
    uint64_t reject = -bound % bound; /* 2^64 mod n: values below would favour small results */
    uint64_t x;
    do
        x = rng_u64(r);
    while (x < reject);
    return (int64_t)(x % bound);
}

void rng_permutation(struct rng *r, int64_t *out, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = i;
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = rng_below(r, i + 1);
        int64_t t = out[i];
        out[i] = out[j];
        out[j] = t;
    }
}
