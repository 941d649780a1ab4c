#include "signal/filter.h"

#include <math.h>
#include <stdlib.h>

static double warp(double rate_hz, double cutoff_hz)
{
    ASSERT(cutoff_hz > 0.0 && cutoff_hz < 0.5 * rate_hz, "cut-off %g Hz at %g Hz", cutoff_hz,
           rate_hz);
    return tan(3.14159265358979323846 * cutoff_hz / rate_hz);
}

struct biquad biquad_lowpass(double rate_hz, double cutoff_hz)
{
    double k = warp(rate_hz, cutoff_hz), norm = 1.0 / (1.0 + sqrt(2.0) * k + k * k);
    struct biquad q;
    q.b0 = k * k * norm;
    q.b1 = 2.0 * q.b0;
    q.b2 = q.b0;
    q.a1 = 2.0 * (k * k - 1.0) * norm;
    q.a2 = (1.0 - sqrt(2.0) * k + k * k) * norm;
    return q;
}

struct biquad biquad_highpass(double rate_hz, double cutoff_hz)
{
    struct biquad q = biquad_lowpass(rate_hz, cutoff_hz);
    double k = warp(rate_hz, cutoff_hz);
    q.b0 /= k * k;
    q.b1 = -2.0 * q.b0;
    q.b2 = q.b0;
    return q;
}

/* One pass over x[n] with stride +1 or -1 from `first`, transposed direct form II. It starts in the
 * state that an endless run of the first sample would have left (gain: the filter's gain at 0 Hz),
 * so that a constant does not ring. */
static void pass(const struct biquad *q, double gain, double *first, int64_t n, int64_t stride)
{
    double x = *first, y = gain * x;
    double s1 = y - q->b0 * x, s2 = q->b2 * x - q->a2 * y;
    for (int64_t i = 0; i < n; i++) {
        double *p = first + i * stride;
        x = *p;
        y = q->b0 * x + s1;
        s1 = q->b1 * x - q->a1 * y + s2;
        s2 = q->b2 * x - q->a2 * y;
        *p = y;
    }
}

static void filter_lead(float *x, int64_t T, const struct biquad *sections, const double *gains,
                        int count, int64_t pad, double *wide)
{
    int64_t n = T + 2 * pad;
    for (int64_t t = 0; t < T; t++)
        wide[pad + t] = x[t];
    for (int64_t k = 1; k <= pad; k++) { /* odd reflection: value and slope go on */
        wide[pad - k] = 2.0 * x[0] - x[k];
        wide[pad + T - 1 + k] = 2.0 * x[T - 1] - x[T - 1 - k];
    }
    for (int i = 0; i < count; i++)
        pass(&sections[i], gains[i], wide, n, 1);
    for (int i = 0; i < count; i++)
        pass(&sections[i], gains[i], wide + n - 1, n, -1);
    for (int64_t t = 0; t < T; t++)
        x[t] = (float)wide[pad + t];
}

enum err_code filter_butterworth(float *x, int64_t L, int64_t T, double rate_hz, double highpass_hz,
                                 double lowpass_hz, struct err *e)
{
    struct biquad sections[2];
    double gains[2], lowest_hz = INFINITY;
    int count = 0;
    if (!(highpass_hz >= 0.0 && lowpass_hz >= 0.0 && rate_hz > 0.0 && isfinite(rate_hz)) ||
        highpass_hz >= 0.5 * rate_hz || lowpass_hz >= 0.5 * rate_hz ||
        (highpass_hz > 0.0 && lowpass_hz > 0.0 && highpass_hz >= lowpass_hz))
        FAIL(e, ERR_RATE,
             "cannot filter from %g Hz to %g Hz at %g Hz: expected 0 < high-pass < "
             "low-pass < half the rate",
             highpass_hz, lowpass_hz, rate_hz);
    if (highpass_hz > 0.0) {
        sections[count] = biquad_highpass(rate_hz, highpass_hz);
        gains[count++] = 0.0;
        lowest_hz = highpass_hz;
    }
    if (lowpass_hz > 0.0) {
        sections[count] = biquad_lowpass(rate_hz, lowpass_hz);
        gains[count++] = 1.0;
        lowest_hz = highpass_hz > 0.0 ? highpass_hz : lowpass_hz;
    }
    if (count == 0 || T == 0)
        return ERR_OK;
    /* 1.5 periods of the lowest cut-off: by then the start has died away by more than 50 dB. */
    double wanted = ceil(1.5 * rate_hz / lowest_hz);
    int64_t pad = wanted < (double)(T - 1) ? (int64_t)wanted : T - 1;
    double *wide = malloc((size_t)(T + 2 * pad) * sizeof *wide);
    if (!wide)
        FAIL(e, ERR_MEMORY, "filtering %lld samples: out of memory", (long long)T);
    for (int64_t l = 0; l < L; l++)
        filter_lead(x + l * T, T, sections, gains, count, pad, wide);
    free(wide);
    return ERR_OK;
}
