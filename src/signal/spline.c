#include "signal/spline.h"

#include <math.h>

/* Weights of the basis functions whose sum passes through x: a filter run forward and back, whose one
 * pole is z. */
static void spline_weights(double *c, const float *x, int64_t n)
{
    const double z = sqrt(3.0) - 2, last = pow(z, (double)(n - 1));
    for (int64_t i = 0; i < n; i++)
        c[i] = 6 * (double)x[i];
    double power = z, start = c[0] + last * c[n - 1]; /* what comes before, mirrored without end */
    for (int64_t i = 1; i < n - 1; i++, power *= z)
        start += power * (c[i] + last * c[n - 1 - i]);
    c[0] = start / (1 - last * last);
    for (int64_t i = 1; i < n; i++)
        c[i] += z * c[i - 1];
    c[n - 1] = z / (z * z - 1) * (c[n - 1] + z * c[n - 2]);
    for (int64_t i = n - 2; i >= 0; i--)
        c[i] = z * (c[i + 1] - c[i]);
}

/* i, mirrored into 0..n-1. */
static int64_t mirrored(int64_t i, int64_t n)
{
    while (i < 0 || i >= n)
        i = i < 0 ? -i : 2 * (n - 1) - i;
    return i;
}

void spline_resample(float *y, int64_t m, const float *x, int64_t n, double *work)
{
    if (n > 1)
        spline_weights(work, x, n);
    for (int64_t i = 0; i < m; i++) {
        double at = m > 1 ? (double)i * (double)(n - 1) / (double)(m - 1) : 0;
        int64_t from = (int64_t)at;
        double f = at - (double)from, g = 1 - f;
        const double basis[4] = {g * g * g / 6, 2.0 / 3 - f * f * (2 - f) / 2,
                                 2.0 / 3 - g * g * (2 - g) / 2, f * f * f / 6};
        double sum = n > 1 ? 0 : (double)x[0];
        for (int64_t k = 0; k < 4 && n > 1; k++)
            sum += basis[k] * work[mirrored(from - 1 + k, n)];
        y[i] = (float)sum;
    }
}
