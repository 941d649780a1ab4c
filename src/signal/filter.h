/* Butterworth filters of second order, run forward and backward so that they shift nothing.
 *
 * Noun: a `biquad` is one second-order section, y = (b0 + b1/z + b2/z^2) / (1 + a1/z + a2/z^2) x.
 * Source: bilinear transform with pre-warping; forward-backward filtering with odd extension and
 * steady-state start as in Gustafsson 1996, section I. */
#ifndef ECGFM_SIGNAL_FILTER_H
#define ECGFM_SIGNAL_FILTER_H

#include <stdint.h>

#include "base/err.h"

struct biquad {
    double b0, b1, b2, a1, a2;
};

/* Amplitude 1/sqrt(2) at cutoff_hz, which must lie inside (0, rate_hz / 2). */
struct biquad biquad_lowpass(double rate_hz, double cutoff_hz);
struct biquad biquad_highpass(double rate_hz, double cutoff_hz);

/* Filters x[L,T] in place, each lead by itself, first forward, then backward: zero phase, amplitude
 * 1/2 at the cut-off, 24 dB per octave beyond. A cut-off of 0 leaves that filter out.
 * Errors: ERR_RATE unless 0 < highpass_hz < lowpass_hz < rate_hz / 2 for those that are on;
 * ERR_MEMORY. Threads: safe. */
enum err_code filter_butterworth(float *x, int64_t L, int64_t T, double rate_hz, double highpass_hz,
                                 double lowpass_hz, struct err *e);

#endif
