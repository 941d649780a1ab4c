/* When the atria and the ventricles beat: sinus node with breathing and Mayer waves, ectopic beats,
 * AV block, fibrillation, flutter, tachycardia and pacing.
 *
 * Nouns: a `beat` is one activation of atria, ventricles or both, with its times in seconds of the
 * recording; a `rhythm` is the list of beats from shortly before the recording to shortly after,
 * with the breathing they follow and the continuous activity of fibrillating or fluttering atria.
 *
 * Source: McSharry et al. 2003, section II (cycle length from a spectrum with peaks at the Mayer
 * and the breathing frequency); Stridh and Soernmo 2001, IEEE TBME 48:105 (fibrillatory waves:
 * harmonics with slow modulation of frequency and amplitude). */
#ifndef ECGFM_SIGNAL_SYNTH_RHYTHM_H
#define ECGFM_SIGNAL_SYNTH_RHYTHM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/rng.h"

enum rhythm_kind {
    RHYTHM_SINUS,
    RHYTHM_ARRHYTHMIC, /* supraventricular arrhythmia: ectopic atrial beats every few cycles */
    RHYTHM_FIBRILLATION,
    RHYTHM_FLUTTER,
    RHYTHM_TACHYCARDIA, /* supraventricular, regular */
    RHYTHM_PAROXYSM,    /* the same, beginning or ending within the recording */
    RHYTHM_PACED
};

enum av_conduction { AV_THROUGH, AV_WENCKEBACH, AV_MOBITZ, AV_NONE };

struct rhythm_request {
    enum rhythm_kind kind;
    double rate_bpm; /* of the ventricles where they are paced, fibrillation or block; else of
                            the sinus node or the tachycardia */
    double pr_s;     /* at this rate */
    double breath_hz;
    double breath_share; /* sinus arrhythmia: amplitude as a share of the cycle */
    double mayer_share;
    enum av_conduction av;
    int pattern;                         /* 2: bigeminy, 3: trigeminy, 0: none */
    int ventricular_count, atrial_count; /* ectopic beats in the recording */
    double duration_s;
};

enum beat_kind { BEAT_CONDUCTED, BEAT_VENTRICULAR, BEAT_PACED };

struct beat {
    double p_s;   /* onset of P, NAN: none */
    double qrs_s; /* onset of QRS, NAN: none */
    double rr_s;  /* cycle length that recovery has adapted to */
    enum beat_kind kind;
    bool p_ectopic;
};

enum atrial_motion { ATRIA_BEAT, ATRIA_FIBRILLATE, ATRIA_FLUTTER };

struct rhythm {
    struct beat *beats;
    int64_t count;
    double breath_hz, breath_phase, breath_drift;
    enum atrial_motion atria;
    double atrial_hz, atrial_mv; /* of fibrillation or flutter */
};

/* Fills *out; beats live in the arena. */
enum err_code rhythm_make(const struct rhythm_request *request, struct rng *r, struct arena *a,
                          struct rhythm *out, struct err *e);

/* Breathing at a time: -1 breathed out .. 1 breathed in. */
double rhythm_breath(const struct rhythm *rhythm, double t_s);

/* Mean ventricular rate from the intervals that begin within [0, duration_s); 0 if there are none. */
double rhythm_rate(const struct rhythm *rhythm, double duration_s);

/* Adds fibrillation or flutter to the dipole xyz [3,count], samples at (i - origin)/rate_hz. */
void rhythm_add_atrial_waves(const struct rhythm *rhythm, struct rng *r, double rate_hz,
                             double origin, int64_t count, float *xyz);

#endif
