/* Dimension letters used everywhere, and checked products.
 *   B batch, L leads, T samples, P patch length, N tokens, D width, H heads, E head width,
 *   F mlp width, K classes, V views. (L is leads; depth is called `depth`.) */
#ifndef ECGFM_BASE_SHAPES_H
#define ECGFM_BASE_SHAPES_H

#include <stdbool.h>
#include <stdint.h>

/* Product of rank extents; false on a negative extent or overflow of int64. */
bool shape_numel(const int64_t *extents, int rank, int64_t *out);
/* a * b without overflow; false otherwise. Both must be >= 0. */
bool mul_i64(int64_t a, int64_t b, int64_t *out);

#endif
