/* Weights in the storages of files: rounding to them, reading them as float32, looking for values that
 * no weight may have. bf16 is the upper half of a float32, rounded to nearest even; int8 has one scale
 * for each output channel, symmetric: value = scale * integer, integers -127..127.
 *
 * A weight is a matrix [N,K] (struct weight): N output channels, K the rest. Pure functions; threads:
 * safe. */
#ifndef ECGFM_KERNEL_STORAGE_H
#define ECGFM_KERNEL_STORAGE_H

#include "kernel/kernel.h"

/* "f32", "bf16", "int8" */
const char *storage_name(enum storage storage);
size_t storage_bytes(enum storage storage); /* of one value: 4, 2, 1 */

/* Rounds x[N,K] into data; scale[N] is written for STORAGE_INT8: the channel's largest magnitude / 127,
 * or 1 where that is (nearly) zero. x must be finite; beyond bf16's range is its largest value. */
void weight_round(void *data, float *scale, const float *x, int64_t N, int64_t K,
                  enum storage storage);
void weight_to_f32(float *out, const struct weight *w, int64_t N, int64_t K);

/* The first (row by row) value, or with STORAGE_INT8 scale, that is not finite (scale: or not
 * positive); -1 if there is none. */
int64_t weight_first_bad(const struct weight *w, int64_t N, int64_t K);

#endif
