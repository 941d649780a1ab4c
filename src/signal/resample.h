/* Resampling by any factor: polyphase windowed sinc, zero phase, with an anti-alias filter when the
 * rate goes down; and straight lines, for models that were trained so.
 *
 * Sinc: output sample i stands at the instant i / to_hz; sample 0 of input and output coincide. The pass
 * band (within 0.01 dB) reaches 84 % of the lower of the two Nyquist frequencies, from which on
 * everything is 80 dB down. Beyond its ends the signal is continued by odd reflection.
 * Source: Kaiser-windowed sinc, Oppenheim and Schafer, "Discrete-Time Signal Processing", 7.5. */
#ifndef ECGFM_SIGNAL_RESAMPLE_H
#define ECGFM_SIGNAL_RESAMPLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* True if the two rates are finite, positive and within a factor of 256 of each other. */
bool resample_is_possible(double from_hz, double to_hz);

/* Samples after conversion: as many output instants as lie before the end of T input samples,
 * ceil(T * to / from). The rates must be possible, T in 0..2^40. */
int64_t resample_length(int64_t T, double from_hz, double to_hz);

/* y[L, resample_length(T)] from x[L,T]; T >= 1 and every sample finite. Equal rates copy the bits.
 * The numbers do not depend on L. Errors: ERR_RATE, ERR_MEMORY. Threads: safe. */
enum err_code resample(float *y, const float *x, int64_t L, int64_t T, double from_hz, double to_hz,
                       struct err *e);

/* By straight lines between the samples, without an anti-alias filter, as fairseq-signals prepares its
 * data: m = floor(T * to / from) samples, of which sample k is read at position k (T-1) / (m-1), so that
 * both ends coincide. y[L,m] from x[L,T]; T and m at least 1, every sample finite. Equal rates copy the
 * bits. Errors: ERR_RATE, ERR_LENGTH (m is 0). Threads: safe.
 * Source: ../shared/spec/ecg-fm.md, section 4.1. */
int64_t resample_linear_length(int64_t T, double from_hz, double to_hz);
enum err_code resample_linear(float *y, const float *x, int64_t L, int64_t T, double from_hz,
                              double to_hz, struct err *e);

#endif
