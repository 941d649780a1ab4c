/* Noise where it arises: at the nine electrodes. The leads are differences of electrodes, so that
 * lead algebra holds for noise as it does for the heart.
 *
 * Nouns: a `noise` is what disturbs one recording; an `electrode` adds its own: drift with and
 * without breathing, muscle, mains at 50 Hz, amplifier, and now and then a moved electrode.
 * Units: mV. Source: levels fitted to the band powers of public resting recordings (below 0.5 Hz
 * 0.03 to 0.05 mV, 40 to 50 Hz 1 to 2 uV in the median, tails of about three times that). */
#ifndef ECGFM_SIGNAL_SYNTH_NOISE_H
#define ECGFM_SIGNAL_SYNTH_NOISE_H

#include <stdint.h>

#include "base/rng.h"
#include "signal/synth_rhythm.h"

enum electrode {
    ELECTRODE_RA,
    ELECTRODE_LA,
    ELECTRODE_LL,
    ELECTRODE_V1,
    ELECTRODE_V2,
    ELECTRODE_V3,
    ELECTRODE_V4,
    ELECTRODE_V5,
    ELECTRODE_V6,
    ELECTRODE_COUNT
};

struct noise {
    double drift_mv[ELECTRODE_COUNT];  /* root mean square */
    double breath_mv[ELECTRODE_COUNT]; /* amplitude, signed */
    double muscle_mv[ELECTRODE_COUNT]; /* root mean square */
    double mains_mv[ELECTRODE_COUNT];  /* amplitude */
    double mains_hz, mains_phase;
    double burst_begin_s, burst_end_s, burst_gain; /* of muscle, limbs only; gain 1: none */
    int moved;                                     /* electrode that moves, -1: none */
    double moved_at_s, moved_mv, moved_rise_s, moved_fall_s;
};

/* level 1: as in ordinary resting recordings; 0: none. */
void noise_draw(struct noise *n, double level, double duration_s, struct rng *r);

/* Adds one electrode's noise to out[count], samples at (i - origin)/rate_hz. r must be the
 * electrode's own. */
void noise_add_electrode(const struct noise *n, enum electrode electrode,
                         const struct rhythm *rhythm, struct rng *r, double rate_hz, double origin,
                         int64_t count, float *out);

#endif
