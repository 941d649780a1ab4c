/* The input contract of a model: what signal it takes, stored inside the model file, and the one
 * function that converts a record to it or refuses with a code. Data sets use the same function, so
 * that training and scoring see the same numbers.
 *
 * Steps
 *   1. Leads: each is the first voltage channel of that name. Missing limb leads are derived from any
 *      two limb leads by lead algebra, otherwise refused (ERR_LEADS). A contract of one lead takes
 *      the only channel of a single-channel record whose name tells no lead ("ECG"). Under
 *      MISSING_ZERO a lead that is neither there nor derived becomes zeros, in the units of the model
 *      (contract_absent says which); a record that has none of the leads is refused all the same.
 *   2. Units: a channel that is needed and not a voltage is refused (ERR_UNITS). A channel that was
 *      standardized before it was stored is taken by a model that does just that (see 6), and so is
 *      one whose scale is not known.
 *   3. Repair of invalid samples (not finite): refused above max_invalid_fraction of a lead, or with
 *      nothing valid at all (ERR_SIGNAL). Gaps up to 50 ms are bridged by a straight line, and held
 *      at the ends of a recording. In longer gaps a line between the edges could be a steep ramp
 *      from mid-QRS; there the signal returns within 50 ms to the local baseline (median of the
 *      nearest second) and stays on it: nothing that looks like a beat is invented.
 *   4. A recording in which every used lead is constant is refused (ERR_SIGNAL). Single flat leads
 *      are taken: real recordings have them.
 *   5. Resampling, with an anti-alias filter or by straight lines (resample.h), then the filters
 *      (filter.h).
 *   6. Normalization, and a last look that every number is finite. Under NORMALIZE_LEAD_RECORD a lead
 *      that was constant in the recording becomes zeros, and a standardized channel stays as it is: it
 *      was normalized over the whole recording, of which the file may hold a piece.
 * Windowing (model length) is the caller's, by window_count and window_start. */
#ifndef ECGFM_SIGNAL_CONTRACT_H
#define ECGFM_SIGNAL_CONTRACT_H

#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "signal/record.h"

#define CONTRACT_LEADS_MAX 12

enum contract_normalization {
    NORMALIZE_NONE,       /* millivolt as it is */
    NORMALIZE_GLOBAL,     /* (x - mean[0]) / std[0]: one mean and deviation for all leads */
    NORMALIZE_LEAD,       /* (x - mean[l]) / std[l] */
    NORMALIZE_RECORD,     /* z-score of the record itself, all leads together */
    NORMALIZE_LEAD_RECORD /* z-score of each lead of the record by itself, deviation of population */
};

enum contract_resampling {
    RESAMPLE_SINC,  /* resample */
    RESAMPLE_LINEAR /* resample_linear: as ECG-FM was trained */
};

/* How a recording longer than the model's length is cut. */
enum contract_windows {
    WINDOWS_OVERLAP, /* evenly, with at least half overlap, the ends covered */
    WINDOWS_SEGMENTS /* one after the other from the start, a shorter rest dropped */
};

enum contract_missing {
    MISSING_REFUSE, /* a lead that is not there and cannot be derived refuses the record */
    MISSING_ZERO    /* it is zero after normalization, as leads masked in training are */
};

struct contract {
    int64_t lead_count;
    enum ecg_lead leads[CONTRACT_LEADS_MAX];
    double rate_hz;
    int64_t sample_count; /* T the model takes at once; longer records are scored in windows */
    double highpass_hz;   /* zero-phase Butterworth of order 2 each way, 0: none */
    double lowpass_hz;
    enum contract_normalization normalization;
    double mean[CONTRACT_LEADS_MAX]; /* mV */
    double std[CONTRACT_LEADS_MAX];  /* mV */
    double max_invalid_fraction;     /* of any used lead; default 0.1 */
    enum contract_resampling resampling;
    enum contract_windows windows;
    enum contract_missing missing;
};

/* The twelve standard leads, 100 Hz, 1000 samples, no filter, no normalization, windows that overlap;
 * missing leads are refused. */
void contract_default(struct contract *c);

/* ERR_MODEL naming the field if a contract makes no sense: 1 to 12 different standard leads, a rate
 * of 1 to 100000 Hz, at least one sample, cut-offs in order below half the rate, finite means,
 * positive deviations, a fraction in 0..1. */
enum err_code contract_check(const struct contract *c, struct err *e);

/* Converts. *out is [c->lead_count, *out_samples] float32, allocated in `a`.
 * Errors: ERR_LEADS, ERR_UNITS, ERR_RATE, ERR_SIGNAL (too much invalid, flat), ERR_LENGTH (empty),
 * ERR_LIMIT (over 2^28 values), ERR_MEMORY, ERR_MODEL (contract_check). Any length is converted;
 * whether it is long enough is the caller's question.
 * Deterministic: a function of the record and the contract alone. Threads: safe. */
enum err_code contract_apply(const struct contract *c, const struct ecg_record *record,
                             struct arena *a, float **out, int64_t *out_samples, struct err *e);

/* Bit l for lead l of the contract that a record neither has nor tells by its other leads: what
 * contract_apply refuses, or makes zeros under MISSING_ZERO. */
uint32_t contract_absent(const struct contract *c, const struct ecg_record *record);

/* Windows of a converted record of `samples` samples: how many, and where each begins. 0 if it is too
 * short. */
int64_t window_count(const struct contract *c, int64_t samples);
int64_t window_start(const struct contract *c, int64_t samples, int64_t i);

/* The last step by itself: x[L,T] in place, with the same bits as contract_apply, of which it is the
 * last step. Refuses a record without any deviation under NORMALIZE_RECORD (ERR_SIGNAL). */
enum err_code contract_normalize(const struct contract *c, float *x, int64_t T, struct err *e);

/* JSON text of a contract and back (strict: unknown, doubled or missing fields are ERR_MODEL).
 * Printed by json_print, numbers read back as the same bits. mean and std are arrays of none, one
 * (global) or L (by lead) numbers. "resampling" (sinc, linear), "windows" (overlap, segments) and
 * "missing_leads" (refuse, zero) are written where they are not the first of these, and where they are
 * not written that is what holds. *c is untouched on error; the caller deletes the JSON, which is NULL
 * when out of memory. */
struct cJSON;
struct cJSON *contract_to_json(const struct contract *c);
enum err_code contract_from_json(struct contract *c, const struct cJSON *object, struct err *e);

#endif
