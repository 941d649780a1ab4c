/* signal/spline against the definition: coefficients that solve the interpolation's linear system, summed
 * with the basis function written as one formula. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "signal/spline.h"

enum { MOST = 40, POINTS = 97 };

static double basis(double t)
{
    t = fabs(t);
    return t < 1 ? 2.0 / 3 - t * t + t * t * t / 2 : t < 2 ? pow(2 - t, 3) / 6 : 0;
}

/* (c[i-1] + 4 c[i] + c[i+1]) / 6 = x[i], c[-1] = c[1] and c[n] = c[n-2], by relaxation. */
static void coefficients(double *c, const float *x, int n)
{
    for (int i = 0; i < n; i++)
        c[i] = (double)x[i];
    for (int sweep = 0; sweep < 200 && n > 1; sweep++)
        for (int i = 0; i < n; i++) {
            double before = c[i ? i - 1 : 1], after = c[i < n - 1 ? i + 1 : n - 2];
            c[i] = (6 * (double)x[i] - before - after) / 4;
        }
}

static double expected(const double *c, int n, double at)
{
    double sum = 0;
    for (int i = -3; i < n + 3; i++) {
        int from = i;
        while (from < 0 || from >= n)
            from = from < 0 ? -from : 2 * (n - 1) - from;
        sum += c[from] * basis(at - i);
    }
    return sum;
}

static void test_against_definition(void **state)
{
    (void)state;
    for (int n = 2; n <= MOST; n++) {
        float x[MOST], y[POINTS];
        double c[MOST], work[MOST];
        struct rng r = rng_at(3, RNG_STREAM_TEST, 0, (uint64_t)n);
        for (int i = 0; i < n; i++)
            x[i] = (float)rng_between(&r, -1, 1);
        coefficients(c, x, n);
        spline_resample(y, POINTS, x, n, work);
        for (int i = 0; i < POINTS; i++)
            assert_true(fabs((double)y[i] - expected(c, n, (double)i * (n - 1) / (POINTS - 1))) <
                        1e-6);
        spline_resample(y, n, x, n, work);
        for (int i = 0; i < n; i++)
            assert_true(fabs((double)(y[i] - x[i])) < 1e-6);
    }
}

static void test_few_points(void **state)
{
    (void)state;
    const float x[2] = {3, 5};
    float y[3];
    double work[2];
    spline_resample(y, 3, x, 1, work);
    assert_true(y[0] == 3 && y[1] == 3 && y[2] == 3);
    spline_resample(y, 1, x, 2, work);
    assert_true(fabs((double)y[0] - 3) < 1e-6);
    spline_resample(y, 3, x, 2, work);
    assert_true(fabs((double)y[1] - 4) < 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_definition),
                                       cmocka_unit_test(test_few_points)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
