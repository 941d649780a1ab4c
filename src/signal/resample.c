#include "signal/resample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RATIO_MAX 256.0
#define ZERO_CROSSINGS 32 /* of the sinc on each side */
#define STOP_DB 80.0
#define PHASES_MAX 1024 /* exact rows up to here; beyond, rows are interpolated */

/* to / from as up / down with up <= PHASES_MAX, or up = 0 where there is no such fraction. */
struct ratio {
    int64_t up, down;
};

/* Continued fraction of to / from; stops at the first convergent that is equal within rounding. */
static struct ratio ratio_find(double from_hz, double to_hz)
{
    double target = to_hz / from_hz, rest = target;
    int64_t p0 = 0, q0 = 1, p1 = 1, q1 = 0;
    for (int i = 0; i < 32; i++) {
        double whole = floor(rest);
        if (whole > 1e9)
            break;
        int64_t a = (int64_t)whole;
        int64_t p2 = a * p1 + p0, q2 = a * q1 + q0;
        if (p2 > PHASES_MAX || q2 > (int64_t)(PHASES_MAX * RATIO_MAX))
            break;
        if (p2 > 0 && fabs((double)p2 / (double)q2 - target) <= 1e-14 * target)
            return (struct ratio){p2, q2};
        p0 = p1, q0 = q1, p1 = p2, q1 = q2;
        if (rest - whole < 1e-12)
            break;
        rest = 1.0 / (rest - whole);
    }
    return (struct ratio){0, 0};
}

bool resample_is_possible(double from_hz, double to_hz)
{
    if (!(isfinite(from_hz) && isfinite(to_hz) && from_hz > 0.0 && to_hz > 0.0))
        return false;
    double ratio = from_hz / to_hz;
    return ratio <= RATIO_MAX && ratio >= 1.0 / RATIO_MAX;
}

int64_t resample_length(int64_t T, double from_hz, double to_hz)
{
    ASSERT(resample_is_possible(from_hz, to_hz) && T >= 0 && T <= (INT64_C(1) << 40),
           "resample_length(%lld, %g, %g)", (long long)T, from_hz, to_hz);
    if (from_hz == to_hz)
        return T;
    struct ratio r = ratio_find(from_hz, to_hz);
    if (r.up > 0)
        return (T * r.up + r.down - 1) / r.down;
    return (int64_t)ceil((double)T * to_hz / from_hz);
}

/* Modified Bessel function of the first kind, order 0, by its power series. */
static double bessel_i0(double x)
{
    double term = 1.0, sum = 1.0, quarter = 0.25 * x * x;
    for (int k = 1; term > 1e-17 * sum; k++) {
        term *= quarter / ((double)k * (double)k);
        sum += term;
    }
    return sum;
}

/* The continuous kernel, in input samples: sinc with its cut-off in the middle of the transition
 * band, so that the stop band begins at the lower Nyquist frequency. */
struct kernel_shape {
    double cutoff; /* in units of the input's Nyquist frequency */
    double half;   /* half width in input samples */
    double beta, i0_beta;
};

static struct kernel_shape kernel_shape_for(double from_hz, double to_hz)
{
    const double pi = 3.14159265358979323846;
    double low = to_hz < from_hz ? to_hz / from_hz : 1.0;
    /* Kaiser: transition width over cut-off for a sinc with Z crossings on each side. */
    double width = (STOP_DB - 7.95) / (2.285 * 2.0 * pi * ZERO_CROSSINGS);
    struct kernel_shape k;
    k.cutoff = low * (1.0 - 0.5 * width);
    k.half = ZERO_CROSSINGS / k.cutoff;
    k.beta = 0.1102 * (STOP_DB - 8.7);
    k.i0_beta = bessel_i0(k.beta);
    return k;
}

static double kernel_at(const struct kernel_shape *k, double t)
{
    const double pi = 3.14159265358979323846;
    double u = t / k->half;
    if (u <= -1.0 || u >= 1.0)
        return 0.0;
    double window = bessel_i0(k->beta * sqrt(1.0 - u * u)) / k->i0_beta;
    double angle = pi * k->cutoff * t;
    return window * (t == 0.0 ? 1.0 : sin(angle) / angle);
}

/* Weights of the input samples first..first + taps - 1 around an instant `fraction` (0..1) of a
 * sample after sample 0, where first = 1 - taps / 2. Their sum is 1: a constant stays constant. */
static void row_fill(const struct kernel_shape *k, double fraction, int64_t taps, double *row)
{
    double sum = 0.0;
    for (int64_t j = 0; j < taps; j++) {
        row[j] = kernel_at(k, (double)(1 - taps / 2 + j) - fraction);
        sum += row[j];
    }
    for (int64_t j = 0; j < taps; j++)
        row[j] /= sum;
}

/* Four running sums in a fixed order: as fast as the compiler can do it without reordering. */
static double dot(const double *a, const double *b, int64_t n)
{
    double s0 = 0.0, s1 = 0.0, s2 = 0.0, s3 = 0.0;
    for (int64_t i = 0; i < n; i += 4) { /* n is a multiple of 4 */
        s0 += a[i] * b[i];
        s1 += a[i + 1] * b[i + 1];
        s2 += a[i + 2] * b[i + 2];
        s3 += a[i + 3] * b[i + 3];
    }
    return (s0 + s1) + (s2 + s3);
}

/* wide[margin + t] = x[t], continued on both sides by odd reflection and, where the signal is too
 * short for that, by the last reflected value. */
static void extend(double *wide, const float *x, int64_t T, int64_t margin)
{
    for (int64_t t = 0; t < T; t++)
        wide[margin + t] = x[t];
    for (int64_t k = 1; k <= margin; k++) {
        int64_t j = k < T ? k : T - 1;
        wide[margin - k] = 2.0 * x[0] - x[j];
        wide[margin + T - 1 + k] = 2.0 * x[T - 1] - x[T - 1 - j];
    }
}

static enum err_code check_rates(double from_hz, double to_hz, struct err *e)
{
    if (!resample_is_possible(from_hz, to_hz))
        FAIL(e, ERR_RATE,
             "cannot resample from %g Hz to %g Hz: the rates must be positive and "
             "within a factor of %g",
             from_hz, to_hz, RATIO_MAX);
    return ERR_OK;
}

enum err_code resample(float *y, const float *x, int64_t L, int64_t T, double from_hz, double to_hz,
                       struct err *e)
{
    TRY(check_rates(from_hz, to_hz, e));
    ASSERT(L >= 0 && T >= 1, "resample of [%lld,%lld]", (long long)L, (long long)T);
    if (from_hz == to_hz) {
        memcpy(y, x, (size_t)(L * T) * sizeof *y);
        return ERR_OK;
    }
    int64_t out = resample_length(T, from_hz, to_hz);
    struct ratio r = ratio_find(from_hz, to_hz);
    struct kernel_shape k = kernel_shape_for(from_hz, to_hz);
    int64_t taps = 2 * ((int64_t)ceil(k.half) + 1);
    taps = (taps + 3) / 4 * 4;
    int64_t rows = r.up > 0 ? r.up : PHASES_MAX + 1, margin = taps;
    double *table = malloc((size_t)(rows * taps) * sizeof *table);
    double *wide = malloc((size_t)(T + 2 * margin) * sizeof *wide);
    if (!table || !wide) {
        free(table);
        free(wide);
        FAIL(e, ERR_MEMORY, "resampling %lld samples: out of memory", (long long)T);
    }
    /* A short signal does not reach every phase. */
    for (int64_t i = 0; r.up > 0 && i < rows && i < out; i++) {
        int64_t phase = i * r.down % r.up;
        row_fill(&k, (double)phase / (double)r.up, taps, table + phase * taps);
    }
    for (int64_t phase = 0; r.up == 0 && phase < rows; phase++)
        row_fill(&k, (double)phase / PHASES_MAX, taps, table + phase * taps);

    const double step = from_hz / to_hz;
    for (int64_t l = 0; l < L; l++) {
        extend(wide, x + l * T, T, margin);
        const double *origin = wide + margin + 1 - taps / 2;
        float *row = y + l * out;
        for (int64_t i = 0; i < out; i++) {
            if (r.up > 0) {
                int64_t at = i * r.down;
                row[i] = (float)dot(table + at % r.up * taps, origin + at / r.up, taps);
            } else {
                double at = (double)i * step, whole = floor(at);
                double phase = (at - whole) * PHASES_MAX, low = floor(phase);
                const double *w = table + (int64_t)low * taps, *s = origin + (int64_t)whole;
                double a = dot(w, s, taps), b = dot(w + taps, s, taps);
                row[i] = (float)(a + (phase - low) * (b - a));
            }
        }
    }
    free(table);
    free(wide);
    return ERR_OK;
}

int64_t resample_linear_length(int64_t T, double from_hz, double to_hz)
{
    ASSERT(T >= 0 && T <= (INT64_C(1) << 40) && resample_is_possible(from_hz, to_hz),
           "resample_linear_length(%lld, %g, %g)", (long long)T, from_hz, to_hz);
    return from_hz == to_hz ? T : (int64_t)((double)T * to_hz / from_hz);
}

enum err_code resample_linear(float *y, const float *x, int64_t L, int64_t T, double from_hz,
                              double to_hz, struct err *e)
{
    TRY(check_rates(from_hz, to_hz, e));
    ASSERT(L >= 0 && T >= 1, "resample_linear of [%lld,%lld]", (long long)L, (long long)T);
    if (from_hz == to_hz) {
        memcpy(y, x, (size_t)(L * T) * sizeof *y);
        return ERR_OK;
    }
    int64_t m = resample_linear_length(T, from_hz, to_hz);
    ASSERT(T < INT64_C(1) << 31 && m < INT64_C(1) << 31, "resample_linear of %lld samples",
           (long long)T);
    if (m < 1)
        FAIL(e, ERR_LENGTH, "%lld samples at %g Hz are none at %g Hz", (long long)T, from_hz,
             to_hz);
    for (int64_t k = 0; k < m; k++) {
        /* Whole and fraction in integers: nothing is rounded. */
        int64_t span = m > 1 ? m - 1 : 1, at = k * (T - 1);
        int64_t low = at / span, high = low + 1 < T ? low + 1 : low;
        double fraction = (double)(at % span) / (double)span;
        for (int64_t l = 0; l < L; l++) {
            double a = x[l * T + low], b = x[l * T + high];
            y[l * m + k] = (float)(a + fraction * (b - a));
        }
    }
    return ERR_OK;
}
