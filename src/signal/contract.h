/* The input contract of a model: what signal it takes, stored inside the model file, and the one
 * function that converts a record to it or refuses with a code. Data sets use the same function, so
 * that training and scoring see the same numbers.
 *
 * Steps: pick leads (derive missing limb leads by lead algebra; refuse otherwise) -> check units ->
 * repair short gaps by linear interpolation, refuse above max_invalid_fraction -> resample with an
 * anti-alias filter -> normalize. Windowing (model length) is the caller's. */
#ifndef ECGFM_SIGNAL_CONTRACT_H
#define ECGFM_SIGNAL_CONTRACT_H

#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "signal/record.h"

#define CONTRACT_LEADS_MAX 12

enum contract_normalization {
    NORMALIZE_NONE,   /* millivolt as it is */
    NORMALIZE_GLOBAL, /* (x - mean[0]) / std[0]: one mean and deviation for all leads */
    NORMALIZE_LEAD,   /* (x - mean[l]) / std[l] */
    NORMALIZE_RECORD  /* z-score of the record itself, all leads together */
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
};

/* The twelve standard leads, 100 Hz, 1000 samples, no filter, no normalization. */
void contract_default(struct contract *c);

/* Converts. *out is [c->lead_count, *out_samples] float32, allocated in `a`.
 * Errors: ERR_LEADS, ERR_UNITS, ERR_RATE, ERR_SIGNAL (too much invalid), ERR_LENGTH (empty),
 * ERR_LIMIT. Any length is converted; whether it is long enough is the caller's question.
 * Deterministic: a function of the record and the contract alone. Threads: safe. */
enum err_code contract_apply(const struct contract *c, const struct ecg_record *record,
                             struct arena *a, float **out, int64_t *out_samples, struct err *e);

/* JSON text of a contract and back (strict: unknown or missing fields are ERR_MODEL). */
struct cJSON;
struct cJSON *contract_to_json(const struct contract *c);
enum err_code contract_from_json(struct contract *c, const struct cJSON *object, struct err *e);

#endif
