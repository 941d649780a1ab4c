#include "signal/unit.h"

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "base/str.h"

bool unit_is_voltage(const char *unit, double *factor)
{
    static const struct {
        const char *name;
        double factor;
    } rows[] = {
        {"mV", 1},           {"millivolt", 1},     {"millivolts", 1},   {"uV", 1e-3},
        {"microvolt", 1e-3}, {"microvolts", 1e-3}, {"\xc2\xb5V", 1e-3}, /* U+00B5 micro sign */
        {"\xce\xbcV", 1e-3},                                            /* U+03BC Greek mu */
        {"V", 1e3},          {"volt", 1e3},        {"volts", 1e3},      {"nV", 1e-6},
        {"nanovolt", 1e-6},  {"nanovolts", 1e-6},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (str_equal_nocase(unit, rows[i].name)) {
            *factor = rows[i].factor;
            return true;
        }
    return false;
}

/* Values whose difference from the baseline is a float32 without rounding. */
#define EXACT (1 << 24)
#define BLOCK 1024

/* A quotient of two float32 numbers rounded to double and then to float32 is the one rounded at once
 * (53 bits are at least 2 * 24 + 2; Figueroa 1995), so where numerator, divisor and quotient are
 * ordinary float32 numbers, one float32 division gives the bits of the double formula. */
static bool divides_in_float(const struct adc_scale *scale)
{
    double gain = fabs(scale->gain);
    return scale->factor == 1 && (double)(float)gain == gain && gain >= 1e-6 && gain <= 1e9 &&
           scale->baseline == rint(scale->baseline) && fabs(scale->baseline) <= EXACT / 2;
}

/* Converts at most BLOCK values in place, unless one is too large. */
static bool convert_in_float(const struct adc_scale *scale, unsigned char *at, int64_t count,
                             int64_t *invalid)
{
    int32_t digital[BLOCK], outside = 0, missing = 0;
    float physical[BLOCK], gain = (float)scale->gain;
    uint32_t baseline = (uint32_t)(int32_t)scale->baseline;
    memcpy(digital, at, (size_t)count * sizeof *digital);
    for (int64_t i = 0; i < count; i++) {
        missing += digital[i] == ADC_INVALID;
        outside += digital[i] > EXACT / 2 || digital[i] < -EXACT / 2;
    }
    if (outside > missing) /* an invalid value is outside, too */
        return false;
    for (int64_t i = 0; i < count; i++)
        physical[i] = (float)(int32_t)((uint32_t)digital[i] - baseline) / gain;
    for (int64_t i = 0; missing > 0 && i < count; i++)
        if (digital[i] == ADC_INVALID)
            physical[i] = NAN;
    memcpy(at, physical, (size_t)count * sizeof *physical);
    *invalid += missing;
    return true;
}

static int64_t convert_in_double(const struct adc_scale *scale, unsigned char *at, int64_t count)
{
    double gain = scale->gain, baseline = scale->baseline, factor = scale->factor;
    int64_t invalid = 0;
    for (int64_t i = 0; i < count; i++) {
        int32_t digital;
        memcpy(&digital, at + 4 * i, 4);
        float physical = (float)(((double)digital - baseline) / gain * factor);
        if (digital == ADC_INVALID) {
            physical = NAN;
            invalid++;
        }
        memcpy(at + 4 * i, &physical, 4);
    }
    return invalid;
}

int64_t adc_convert(const struct adc_scale *scale, void *values, int64_t count)
{
    bool in_float = divides_in_float(scale);
    int64_t invalid = 0;
    for (int64_t i = 0; i < count; i += BLOCK) {
        unsigned char *at = (unsigned char *)values + 4 * i;
        int64_t n = count - i < BLOCK ? count - i : BLOCK;
        if (!in_float || !convert_in_float(scale, at, n, &invalid))
            invalid += convert_in_double(scale, at, n);
    }
    return invalid;
}

bool adc_fits(const struct adc_scale *scale, double low, double high)
{
    double a = fabs((low - scale->baseline) / scale->gain * scale->factor);
    double b = fabs((high - scale->baseline) / scale->gain * scale->factor);
    return a <= (double)FLT_MAX && b <= (double)FLT_MAX; /* false for NaN */
}
