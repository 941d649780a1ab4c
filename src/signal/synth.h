/* Synthetic 12-lead ECGs: a seeded model of a heart (synth_heart.h), its rhythm, diseases, noise
 * and a reader of the result. No recording of a person is in it, and nothing that it makes says
 * anything about a person.
 *
 * Nouns: a `plan` says who is recorded and what is wrong (drawn from seed and record number, or
 * filled by hand); an `ecg` is what comes out: samples, measurements, statements.
 *
 * Everything is a function of (seed, record number) alone: neither the number of records nor of
 * threads changes a record. Signals are made at 500 Hz; the 100 Hz form is the same signal through
 * the zero-phase low-pass of signal/resample.h. Floor 1: base and signal only. Threads: safe. */
#ifndef ECGFM_SIGNAL_SYNTH_H
#define ECGFM_SIGNAL_SYNTH_H

#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "signal/record.h"
#include "signal/synth_finding.h"
#include "signal/synth_noise.h"
#include "signal/synth_reading.h"
#include "signal/synth_rhythm.h"

#define SYNTH_FINDINGS_MAX 4
#define SYNTH_FOLDS 10
#define SYNTH_DURATION_MIN_S 2
#define SYNTH_DURATION_MAX_S 600

struct synth_plan {
    uint64_t seed;
    int64_t index;   /* record, from 0 */
    int64_t patient; /* of 8 records in a row, two are of one patient */
    int visit;       /* 0 or 1 */
    int fold;        /* 1..10: of 10 patients in a row, one in each */
    double age_years, height_cm, weight_kg;
    enum ecg_sex sex;
    struct finding findings[SYNTH_FINDINGS_MAX];
    int finding_count;
    struct rhythm_request rhythm; /* its pr_s is set when the ECG is made; 10 s unless changed */
    double noise_level;           /* 1: ordinary, 0: none */
};

/* The person and recording that seed and index stand for. */
void synth_plan_draw(uint64_t seed, int64_t index, struct synth_plan *out);

/* The same person without findings, in sinus rhythm at rate_bpm, without ectopic beats. */
void synth_plan_healthy(uint64_t seed, int64_t index, double rate_bpm, struct synth_plan *out);

/* Adds a finding. Errors: ERR_USAGE for a code without a row or too many findings. */
enum err_code synth_plan_add(struct synth_plan *plan, const char *code, double severity,
                             struct err *e);

struct synth_ecg {
    struct arena arena; /* owns what follows */
    struct synth_plan plan;
    int64_t fine_count; /* samples of `eight` with margins on both sides */
    float *eight;       /* [8, fine_count] mV at 500 Hz: I, II, V1..V6 */
    struct rhythm rhythm_made;
    struct noise noise;
    struct reading reading;
    struct statement_made statements[STATEMENTS_MAX];
    int statement_count;
};

/* Makes the ECG of a plan. *out is initialized here; caller frees it also after an error.
 * Errors: ERR_MEMORY, ERR_USAGE (duration). */
enum err_code synth_make(const struct synth_plan *plan, struct synth_ecg *out, struct err *e);
void synth_free(struct synth_ecg *ecg); /* accepts a zeroed struct */

/* Samples at 100 or 500 Hz. */
int64_t synth_sample_count(const struct synth_ecg *ecg, int rate_hz);

/* Writes the twelve standard leads, [12, synth_sample_count] mV. Errors: ERR_MEMORY. */
enum err_code synth_leads(const struct synth_ecg *ecg, int rate_hz, float *out, struct err *e);

#endif
