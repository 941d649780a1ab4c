/* NumPy .npy, version 1.0, C order, little endian. Source: numpy.lib.format. */
#ifndef ECGFM_FORMAT_NPY_H
#define ECGFM_FORMAT_NPY_H

#include <stdint.h>

#include "base/err.h"

/* Writes float32 of the given shape (rank 1..8), atomically. */
enum err_code npy_write_f32(const char *path, const float *data, const int64_t *shape, int rank,
                            struct err *e);

#endif
