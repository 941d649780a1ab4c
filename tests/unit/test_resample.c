/* Resampling: sine in, sine out; what is above the new Nyquist frequency is gone; no shift. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "signal/resample.h"

#define PI 3.14159265358979323846

struct conversion {
    double from_hz, to_hz;
};

static const struct conversion conversions[] = {
    {500, 100}, {360, 100},      {250, 100},   {257, 100},  {300, 500},  {128, 100},
    {100, 500}, {1000, 240},     {100, 257},   {999, 1000}, {977, 1021}, {360.01, 100},
    {200, 360}, {128.2051, 100}, {500, 500.5}, {50, 400},
};
#define CONVERSIONS (sizeof conversions / sizeof *conversions)

/* Converts a sine of the given frequency lasting `seconds`; returns the signal-to-noise ratio in dB
 * against the same sine at the output instants, leaving out `margin_s` at both ends. With a
 * frequency that cannot be represented, the expectation is silence: returns the attenuation. */
static double sine_snr(struct conversion c, double frequency_hz, double seconds, double margin_s,
                       int expect_silence)
{
    int64_t T = (int64_t)(seconds * c.from_hz);
    int64_t n = resample_length(T, c.from_hz, c.to_hz);
    float *x = malloc((size_t)T * sizeof *x), *y = malloc((size_t)n * sizeof *y);
    for (int64_t t = 0; t < T; t++)
        x[t] = (float)sin(2 * PI * frequency_hz * (double)t / c.from_hz + 0.3);
    assert_int_equal(resample(y, x, 1, T, c.from_hz, c.to_hz, NULL), ERR_OK);
    double noise = 0, power = 0;
    int64_t margin = (int64_t)(margin_s * c.to_hz);
    for (int64_t i = margin; i < n - margin; i++) {
        double want = sin(2 * PI * frequency_hz * (double)i / c.to_hz + 0.3);
        double got = expect_silence ? y[i] : y[i] - want;
        noise += got * got;
        power += want * want;
    }
    free(x);
    free(y);
    return 10 * log10(power / noise);
}

static void sine_survives(void **state)
{
    (void)state;
    for (size_t i = 0; i < CONVERSIONS; i++) {
        struct conversion c = conversions[i];
        double nyquist = 0.5 * fmin(c.from_hz, c.to_hz);
        for (int k = 1; k <= 8; k++) {
            double f = nyquist * 0.1 * k;
            double inner = sine_snr(c, f, 20, 2, 0);
            if (inner < 75)
                fail_msg("%g -> %g Hz: sine of %g Hz: SNR %.1f dB", c.from_hz, c.to_hz, f, inner);
        }
        /* With the ends, for what an ECG holds most of. */
        double whole = sine_snr(c, 0.1 * nyquist, 20, 0, 0);
        if (whole < 40)
            fail_msg("%g -> %g Hz: SNR with ends %.1f dB", c.from_hz, c.to_hz, whole);
    }
}

static void nothing_aliases(void **state)
{
    (void)state;
    for (size_t i = 0; i < CONVERSIONS; i++) {
        struct conversion c = conversions[i];
        if (c.to_hz >= c.from_hz)
            continue;
        for (int k = 0; k < 8; k++) {
            double f = 0.5 * c.to_hz + (0.5 * c.from_hz - 0.5 * c.to_hz) * (k + 0.02) / 8;
            double down = sine_snr(c, f, 20, 2, 1);
            if (down < 75)
                fail_msg("%g -> %g Hz: %g Hz is only %.1f dB down", c.from_hz, c.to_hz, f, down);
        }
    }
}

static void equal_rates_copy_the_bits(void **state)
{
    (void)state;
    float x[2 * 37], y[2 * 37];
    for (int i = 0; i < 2 * 37; i++)
        x[i] = (float)sin(i) * 1e-3f;
    assert_int_equal(resample(y, x, 2, 37, 360, 360, NULL), ERR_OK);
    assert_memory_equal(x, y, sizeof x);
}

static void constants_stay(void **state)
{
    (void)state;
    for (size_t i = 0; i < CONVERSIONS; i++)
        for (int64_t T = 1; T < 40; T += 3) {
            struct conversion c = conversions[i];
            int64_t n = resample_length(T, c.from_hz, c.to_hz);
            float x[40], *y = malloc((size_t)n * sizeof *y);
            for (int64_t t = 0; t < T; t++)
                x[t] = -1.25f;
            assert_int_equal(resample(y, x, 1, T, c.from_hz, c.to_hz, NULL), ERR_OK);
            for (int64_t t = 0; t < n; t++)
                assert_float_equal(y[t], -1.25f, 1e-6);
            free(y);
        }
}

/* A symmetric pulse stays where it is and symmetric: no phase shift. */
static void pulses_do_not_move(void **state)
{
    (void)state;
    static float x[5001], y[1001];
    for (int t = 0; t < 5001; t++)
        x[t] = (float)exp(-pow((t - 2500) / 15.0, 2));
    assert_int_equal(resample(y, x, 1, 5001, 500, 100, NULL), ERR_OK);
    assert_float_equal(y[500], 1.0f, 1e-3);
    for (int k = 1; k < 500; k++)
        assert_float_equal(y[500 - k], y[500 + k], 1e-6);
}

static void lengths(void **state)
{
    (void)state;
    assert_int_equal(resample_length(5000, 500, 100), 1000);
    assert_int_equal(resample_length(2570, 257, 100), 1000);
    assert_int_equal(resample_length(3600, 360, 100), 1000);
    assert_int_equal(resample_length(9000, 300, 500), 15000);
    assert_int_equal(resample_length(9001, 300, 500), 15002);
    assert_int_equal(resample_length(1, 500, 100), 1);
    assert_int_equal(resample_length(0, 500, 100), 0);
    assert_int_equal(resample_length(650000, 360, 360), 650000);
}

static void rates_are_checked(void **state)
{
    (void)state;
    float x = 0, y;
    const struct conversion bad[] = {{0, 100},        {100, 0},   {-1, 100},  {NAN, 100},
                                     {INFINITY, 100}, {100, 1e9}, {1e-300, 1}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(resample_is_possible(bad[i].from_hz, bad[i].to_hz));
        assert_int_equal(resample(&y, &x, 1, 1, bad[i].from_hz, bad[i].to_hz, NULL), ERR_RATE);
    }
}

static void leads_do_not_depend_on_each_other(void **state)
{
    (void)state;
    enum { T = 1285, L = 3 };
    static float x[L * T], all[L * 500], one[500];
    assert_int_equal(resample_length(T, 257, 100), 500);
    for (int i = 0; i < L * T; i++)
        x[i] = (float)sin(0.01 * i * (1 + i % 7));
    assert_int_equal(resample(all, x, L, T, 257, 100, NULL), ERR_OK);
    for (int l = 0; l < L; l++) {
        assert_int_equal(resample(one, x + l * T, 1, T, 257, 100, NULL), ERR_OK);
        assert_memory_equal(one, all + l * 500, sizeof one);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sine_survives),
        cmocka_unit_test(nothing_aliases),
        cmocka_unit_test(equal_rates_copy_the_bits),
        cmocka_unit_test(constants_stay),
        cmocka_unit_test(pulses_do_not_move),
        cmocka_unit_test(lengths),
        cmocka_unit_test(rates_are_checked),
        cmocka_unit_test(leads_do_not_depend_on_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
