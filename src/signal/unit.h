/* Units of samples, and the one place where ADC units become millivolts.
 *
 * Nouns: an `adc_scale` says what the integers of one channel mean. */
#ifndef ECGFM_SIGNAL_UNIT_H
#define ECGFM_SIGNAL_UNIT_H

#include <stdbool.h>
#include <stdint.h>

/* True if the unit is a voltage ("mV", "uV", "V", "nV", micro signs, without regard to case, "MV"
 * is mV); *factor is then what turns it into mV. */
bool unit_is_voltage(const char *unit, double *factor);

/* Marks an invalid sample among decoded integers; no format can store this number as a value. */
#define ADC_INVALID INT32_MIN

struct adc_scale {
    double gain;     /* ADC units per physical unit, not 0 */
    double baseline; /* ADC value of physical zero */
    double factor;   /* physical unit -> unit wanted (mV for voltages), 1 for other units */
};

/* Converts count int32 values in place into float32: (value - baseline) / gain * factor, computed
 * in double, ADC_INVALID -> NaN. Returns how many are NaN.
 * Shapes: values [count], 4 bytes each, int32 in, float32 out. */
int64_t adc_convert(const struct adc_scale *scale, void *values, int64_t count);

/* True if every value between low and high stays finite in float32. */
bool adc_fits(const struct adc_scale *scale, double low, double high);

#endif
