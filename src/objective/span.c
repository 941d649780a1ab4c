#include "objective/span.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

static int64_t at_least(int64_t x, int64_t low) { return x < low ? low : x; }

/* Spans of a row of N tokens; u in [0,1) rounds. */
static int64_t span_count(const struct span_options *o, int64_t N, double u)
{
    double mean = o->probability * (double)N / (double)o->length;
    return at_least((int64_t)(mean + u), o->least);
}

int64_t span_most(const struct span_options *o, int64_t N)
{
    if (o->mode != SPAN_STATIC)
        return N;
    int64_t spans = at_least(span_count(o, N, 0) + 1, o->least);
    return spans > N / o->length ? N : spans * o->length;
}

/* Knuth 1969, section 3.4.1, in the logarithm. */
static int64_t poisson(struct rng *r, double mean)
{
    int64_t n = 0;
    for (double sum = -log(1 - rng_uniform(r)); sum < mean; sum -= log(1 - rng_uniform(r)))
        n++;
    return n;
}

static int64_t span_length(const struct span_options *o, struct rng *r)
{
    switch (o->mode) {
    case SPAN_UNIFORM: {
        int64_t low = (int64_t)o->other;
        return low + rng_below(r, 2 * o->length - low + 1);
    }
    case SPAN_NORMAL:
        return at_least(lround((double)o->length + o->other * rng_normal(r)), 1);
    case SPAN_POISSON:
        return poisson(r, (double)o->length);
    case SPAN_STATIC:
        break;
    }
    return o->length;
}

/* The first n of a random order of 0..count-1, in `order` [count]. */
static void draw_distinct(struct rng *r, int64_t *order, int64_t count, int64_t n)
{
    for (int64_t i = 0; i < count; i++)
        order[i] = i;
    for (int64_t i = 0; i < n; i++) {
        int64_t j = i + rng_below(r, count - i), keep = order[i];
        order[i] = order[j];
        order[j] = keep;
    }
}

static int ascending(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return x < y ? -1 : x > y;
}

/* Marks `spans` spans in a row of `length` tokens and lists the tokens they cover. */
static int64_t row_draw(const struct span_options *o, struct rng *r, int64_t spans, int64_t length,
                        int32_t *hidden, int64_t *scratch)
{
    int64_t *order = scratch, *covered = scratch + length + 1, *lengths = covered + length;
    int64_t shortest = INT64_MAX, total = 0, n = 0;
    if (spans > length)
        spans = length;
    for (int64_t i = 0; i < spans; i++) {
        lengths[i] = span_length(o, r);
        total += lengths[i];
        shortest = lengths[i] < shortest ? lengths[i] : shortest;
    }
    if (total == 0) {
        lengths[0] = o->length < length - 1 ? o->length : length - 1;
        shortest = lengths[0];
    }
    /* Where no span reaches over the end; a short row takes what there is. */
    int64_t starts = length - shortest <= spans ? spans + 1 : length - shortest;
    draw_distinct(r, order, starts, spans);
    memset(covered, 0, (size_t)length * sizeof *covered);
    for (int64_t i = 0; i < spans; i++)
        for (int64_t t = order[i]; t < order[i] + lengths[i] && t < length; t++)
            covered[t] = 1;
    for (int64_t t = 0; t < length; t++)
        if (covered[t])
            hidden[n++] = (int32_t)t;
    return n;
}

int64_t span_draw(const struct span_options *o, uint64_t seed, uint64_t epoch, uint64_t batch,
                  const uint64_t *keys, const int64_t *lengths, int64_t R, int64_t N,
                  int32_t *hidden, int64_t *scratch)
{
    int64_t M = span_most(o, N), fewest = M;
    /* No record has this key: it is that of the batch. */
    struct rng all = rng_at(seed, RNG_STREAM_MASK, epoch, UINT64_MAX - batch);
    double u = rng_uniform(&all);
    for (int pass = 0; pass < 2; pass++) /* the second knows the fewest and draws the same again */
        for (int64_t i = 0; i < R; i++) {
            int64_t length = lengths ? lengths[i] : N;
            struct rng r = rng_at(seed, RNG_STREAM_MASK, epoch, keys[i]);
            int64_t spans = span_count(o, length, lengths ? rng_uniform(&r) : u);
            int32_t *row = hidden + i * M;
            int64_t n = length > 0 ? row_draw(o, &r, spans, length, row, scratch) : 0;
            if (pass == 0) {
                fewest = n < fewest ? n : fewest;
                continue;
            }
            for (int64_t j = 0; j < fewest; j++) { /* a random subset comes first */
                int64_t k = j + rng_below(&r, n - j);
                int32_t keep = row[j];
                row[j] = row[k];
                row[k] = keep;
            }
            qsort(row, (size_t)fewest, sizeof *row, ascending);
            for (int64_t j = fewest; j < M; j++)
                row[j] = -1;
        }
    return fewest;
}
