/* Cubic spline interpolation of evenly spaced numbers, for drawing: what passes through them smoothly,
 * with no regard to frequencies (resample.h is for signals).
 * Source: Unser 1999, "Splines: a perfect fit for signal and image processing", box 2; the numbers of
 * scipy.ndimage.map_coordinates(order=3). */
#ifndef ECGFM_SIGNAL_SPLINE_H
#define ECGFM_SIGNAL_SPLINE_H

#include <stdint.h>

/* y[m] = the spline through x[n], mirrored at its ends, at m points evenly spaced from its first to its
 * last. n and m are at least 1; work has n numbers. */
void spline_resample(float *y, int64_t m, const float *x, int64_t n, double *work);

#endif
