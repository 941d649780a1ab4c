/* Spans of hidden tokens: how wav2vec 2.0 masks. Source: Baevski et al. 2020 (wav2vec 2.0), section 4.1;
 * lengths drawn as in SpecAugment-like masking of fairseq, the same number of tokens in each row as in
 * fairseq. */
#ifndef ECGFM_OBJECTIVE_SPAN_H
#define ECGFM_OBJECTIVE_SPAN_H

#include <stdint.h>

enum span_mode {
    SPAN_STATIC,  /* every span has `length` tokens */
    SPAN_UNIFORM, /* `other` to 2 length */
    SPAN_NORMAL,  /* rounded from N(length, other^2), at least 1 */
    SPAN_POISSON  /* from Poisson(length) */
};

struct span_options {
    enum span_mode mode;
    double probability; /* of a token to be a span's start, times length: tokens covered if spans
                           never met */
    int64_t length;     /* tokens */
    double other;
    int64_t least; /* spans of a row */
};

/* The most tokens that may be hidden of N. */
int64_t span_most(const struct span_options *o, int64_t N);

/* Hides tokens in R rows of N: hidden[R,M] is ascending, then -1, M = span_most(o, N). The same number
 * in each row, that of the row with fewest: others keep a random subset. The number of spans, one for
 * all rows, is a function of (seed, epoch, batch); a row's spans of its key too. lengths [R]: tokens of
 * each row, what follows is padding and each row draws its own number of spans; NULL: N. scratch holds
 * 3 N + 2 int64. Returns the number in each row. */
int64_t span_draw(const struct span_options *o, uint64_t seed, uint64_t epoch, uint64_t batch,
                  const uint64_t *keys, const int64_t *lengths, int64_t R, int64_t N,
                  int32_t *hidden, int64_t *scratch);

#endif
