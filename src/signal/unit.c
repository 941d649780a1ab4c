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

int64_t adc_convert(const struct adc_scale *scale, void *values, int64_t count)
{
    double gain = scale->gain, baseline = scale->baseline, factor = scale->factor;
    unsigned char *at = values;
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

bool adc_fits(const struct adc_scale *scale, double low, double high)
{
    double a = fabs((low - scale->baseline) / scale->gain * scale->factor);
    double b = fabs((high - scale->baseline) / scale->gain * scale->factor);
    return a <= (double)FLT_MAX && b <= (double)FLT_MAX; /* false for NaN */
}
