/* Butterworth filters: gain at and around the cut-off, zero phase, quiet ends, any length. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "signal/filter.h"

#define PI 3.14159265358979323846

/* Amplitude of the given frequency in the inner half of x, by projection on sine and cosine; *phase
 * against cos(2 pi f t). */
static double amplitude(const float *x, int64_t T, double rate_hz, double f, double *phase)
{
    double c = 0, s = 0;
    int64_t begin = T / 4, n = T / 2;
    for (int64_t t = begin; t < begin + n; t++) {
        c += x[t] * cos(2 * PI * f * (double)t / rate_hz);
        s += x[t] * sin(2 * PI * f * (double)t / rate_hz);
    }
    *phase = atan2(s, c);
    return 2 * sqrt(c * c + s * s) / (double)n;
}

static void gains(void **state)
{
    (void)state;
    enum { T = 40000 };
    static float x[T];
    /* Frequencies with whole periods in half the length. */
    const struct {
        double high, low, f, gain, tolerance;
    } cases[] = {
        {0.5, 0, 0.5, 0.5, 2e-3},   {0.5, 0, 5, 1.0, 2e-3},    {0.5, 0, 0.05, 1e-4, 3e-4},
        {0, 40, 40, 0.5, 2e-3},     {0, 40, 4, 1.0, 2e-3},     {0, 40, 120, 0.00556, 2e-4},
        {0.5, 40, 10, 1.0, 6e-3},   {0.5, 40, 0.5, 0.5, 2e-3}, {0.5, 40, 40, 0.5, 2e-3},
        {0.05, 0, 0.05, 0.5, 2e-2}, {0.05, 0, 1, 1, 1e-3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int t = 0; t < T; t++)
            x[t] = (float)cos(2 * PI * cases[i].f * t / 500);
        assert_int_equal(filter_butterworth(x, 1, T, 500, cases[i].high, cases[i].low, NULL),
                         ERR_OK);
        double phase, a = amplitude(x, T, 500, cases[i].f, &phase);
        if (fabs(a - cases[i].gain) > cases[i].tolerance)
            fail_msg("band %g..%g Hz: gain %g at %g Hz, expected %g", cases[i].high, cases[i].low,
                     a, cases[i].f, cases[i].gain);
        if (cases[i].gain >= 0.5 && fabs(phase) > 1e-2)
            fail_msg("band %g..%g Hz: phase %g at %g Hz", cases[i].high, cases[i].low, phase,
                     cases[i].f);
    }
}

static void constants(void **state)
{
    (void)state;
    for (int64_t T = 1; T < 700; T = T * 3 / 2 + 1) {
        float x[2][1100];
        for (int64_t t = 0; t < T; t++)
            x[0][t] = x[1][t] = 300.0f; /* an electrode offset in mV */
        assert_int_equal(filter_butterworth(x[0], 1, T, 100, 0.5, 0, NULL), ERR_OK);
        assert_int_equal(filter_butterworth(x[1], 1, T, 100, 0, 40, NULL), ERR_OK);
        for (int64_t t = 0; t < T; t++) {
            assert_float_equal(x[0][t], 0.0f, 1e-4);
            assert_float_equal(x[1][t], 300.0f, 1e-3);
        }
    }
}

/* A beat-like pulse on an offset and a slope: the high-pass leaves neither at the ends. */
static void ends_stay_quiet(void **state)
{
    (void)state;
    enum { T = 1000 };
    float x[T];
    for (int t = 0; t < T; t++)
        x[t] = 5.0f + 0.002f * (float)t + (float)exp(-pow((t - 500) / 4.0, 2));
    assert_int_equal(filter_butterworth(x, 1, T, 100, 0.5, 40, NULL), ERR_OK);
    for (int t = 0; t < 100; t++) {
        assert_true(fabsf(x[t]) < 0.05f);
        assert_true(fabsf(x[T - 1 - t]) < 0.05f);
    }
    for (int k = 1; k < 400; k++) /* zero phase: symmetric about the pulse */
        assert_float_equal(x[500 - k], x[500 + k], 0.02);
}

static void stable_for_long_and_low(void **state)
{
    (void)state;
    enum { T = 200000 };
    float *x = malloc(T * sizeof *x);
    uint32_t noise = 1;
    for (int t = 0; t < T; t++) {
        noise = noise * 1664525u + 1013904223u;
        x[t] = (float)(noise >> 8) / 8388608.0f - 1.0f;
    }
    assert_int_equal(filter_butterworth(x, 1, T, 10000, 0.01, 4999, NULL), ERR_OK);
    for (int t = 0; t < T; t++)
        assert_true(isfinite(x[t]) && fabsf(x[t]) < 10.0f);
    free(x);
}

static void cutoffs_are_checked(void **state)
{
    (void)state;
    float x[4] = {1, 2, 3, 4};
    const double bad[][2] = {{50, 0},  {0, 50},  {-1, 0},  {NAN, 0},
                             {0, NAN}, {40, 10}, {10, 10}, {INFINITY, 0}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(filter_butterworth(x, 1, 4, 100, bad[i][0], bad[i][1], NULL), ERR_RATE);
    assert_int_equal(filter_butterworth(x, 1, 4, 100, 0, 0, NULL), ERR_OK);
    assert_true(x[0] == 1 && x[3] == 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gains),
        cmocka_unit_test(constants),
        cmocka_unit_test(ends_stay_quiet),
        cmocka_unit_test(stable_for_long_and_low),
        cmocka_unit_test(cutoffs_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
