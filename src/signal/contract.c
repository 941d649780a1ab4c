#include "signal/contract.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/shapes.h"
#include "signal/filter.h"
#include "signal/resample.h"

#define RATE_MIN_HZ 1.0
#define RATE_MAX_HZ 100000.0
#define VALUES_MAX (INT64_C(1) << 28)
#define SHORT_GAP_S 0.05
#define BASELINE_S 1.0
#define BASELINE_SAMPLES 128

void contract_default(struct contract *c)
{
    *c = (struct contract){.lead_count = LEAD_STANDARD_COUNT,
                           .rate_hz = 100.0,
                           .sample_count = 1000,
                           .normalization = NORMALIZE_NONE,
                           .max_invalid_fraction = 0.1};
    for (int l = 0; l < CONTRACT_LEADS_MAX; l++) {
        c->leads[l] = (enum ecg_lead)l;
        c->std[l] = 1.0;
    }
}

/* How many means and deviations the normalization uses. */
static int64_t statistics_count(const struct contract *c)
{
    switch (c->normalization) {
    case NORMALIZE_GLOBAL:
        return 1;
    case NORMALIZE_LEAD:
        return c->lead_count;
    case NORMALIZE_NONE:
    case NORMALIZE_RECORD:
    case NORMALIZE_LEAD_RECORD:
        break;
    }
    return 0;
}

enum err_code contract_check(const struct contract *c, struct err *e)
{
    if (c->lead_count < 1 || c->lead_count > CONTRACT_LEADS_MAX)
        FAIL(e, ERR_MODEL, "input contract: leads: expected 1 to %d, found %lld",
             CONTRACT_LEADS_MAX, (long long)c->lead_count);
    for (int64_t l = 0; l < c->lead_count; l++) {
        int lead = (int)c->leads[l];
        if (lead < 0 || lead >= LEAD_STANDARD_COUNT)
            FAIL(e, ERR_MODEL, "input contract: leads: entry %lld is not a standard lead",
                 (long long)l);
        for (int64_t k = 0; k < l; k++)
            if (c->leads[k] == c->leads[l])
                FAIL(e, ERR_MODEL, "input contract: leads: %s occurs twice",
                     lead_name(c->leads[l]));
    }
    if (!(c->rate_hz >= RATE_MIN_HZ && c->rate_hz <= RATE_MAX_HZ))
        FAIL(e, ERR_MODEL, "input contract: rate_hz: expected %g to %g, found %g", RATE_MIN_HZ,
             RATE_MAX_HZ, c->rate_hz);
    if (c->sample_count < 1 || c->sample_count > VALUES_MAX)
        FAIL(e, ERR_MODEL, "input contract: sample_count: expected 1 to %lld, found %lld",
             (long long)VALUES_MAX, (long long)c->sample_count);
    if (!(c->highpass_hz >= 0.0 && c->highpass_hz < 0.5 * c->rate_hz) ||
        !(c->lowpass_hz >= 0.0 && c->lowpass_hz < 0.5 * c->rate_hz) ||
        (c->highpass_hz > 0.0 && c->lowpass_hz > 0.0 && c->highpass_hz >= c->lowpass_hz))
        FAIL(e, ERR_MODEL,
             "input contract: highpass_hz %g, lowpass_hz %g: expected 0 (off) or "
             "high-pass < low-pass < %g",
             c->highpass_hz, c->lowpass_hz, 0.5 * c->rate_hz);
    if ((int)c->normalization < NORMALIZE_NONE || c->normalization > NORMALIZE_LEAD_RECORD)
        FAIL(e, ERR_MODEL, "input contract: normalization: unknown kind %d", (int)c->normalization);
    if ((unsigned)c->resampling > RESAMPLE_LINEAR || (unsigned)c->windows > WINDOWS_SEGMENTS ||
        (unsigned)c->missing > MISSING_ZERO)
        FAIL(e, ERR_MODEL, "input contract: resampling, windows or missing_leads: unknown kind");
    for (int64_t i = 0; i < statistics_count(c); i++)
        if (!isfinite(c->mean[i]) || !(c->std[i] > 0.0 && isfinite(c->std[i])))
            FAIL(e, ERR_MODEL,
                 "input contract: mean and std: entry %lld is %g and %g; expected "
                 "finite and positive",
                 (long long)i, c->mean[i], c->std[i]);
    if (!(c->max_invalid_fraction >= 0.0 && c->max_invalid_fraction <= 1.0))
        FAIL(e, ERR_MODEL, "input contract: max_invalid_fraction: expected 0 to 1, found %g",
             c->max_invalid_fraction);
    return ERR_OK;
}

/* Leads */

/* A lead of the contract as weights of one or two channels of the record. */
struct lead_source {
    int64_t channel[2]; /* [0] is -1 if the lead is absent, [1] if it is unused */
    double weight[2];
};

/* Limb leads as weights of I and II (Einthoven, Goldberger). */
static const double limb_weights[6][2] = {
    [LEAD_I] = {1.0, 0.0},     [LEAD_II] = {0.0, 1.0},   [LEAD_III] = {-1.0, 1.0},
    [LEAD_AVR] = {-0.5, -0.5}, [LEAD_AVL] = {1.0, -0.5}, [LEAD_AVF] = {-0.5, 1.0},
};

/* The first channel of a lead, voltages first; -1 if there is none. */
static int64_t channel_find(const struct ecg_record *record, enum ecg_lead lead)
{
    int64_t found = -1;
    for (int64_t i = 0; i < record->lead_count; i++) {
        if (record->channels[i].lead != lead)
            continue;
        if (record->channels[i].is_voltage)
            return i;
        if (found < 0)
            found = i;
    }
    return found;
}

/* Two limb leads that are there, I and II first, solved for the wanted one. Each z-score has a unit of
 * its own: with those the algebra does not hold. */
static bool source_derive(const struct ecg_record *record, const int64_t *channels,
                          enum ecg_lead lead, struct lead_source *out)
{
    if ((int)lead >= 6)
        return false;
    for (int a = 0; a < 6; a++)
        for (int b = a + 1; b < 6; b++) {
            if (channels[a] < 0 || channels[b] < 0 || !record->channels[channels[a]].is_voltage ||
                !record->channels[channels[b]].is_voltage)
                continue;
            const double *p = limb_weights[a], *q = limb_weights[b], *w = limb_weights[lead];
            double determinant = p[0] * q[1] - p[1] * q[0]; /* never 0: no two are parallel */
            out->channel[0] = channels[a];
            out->channel[1] = channels[b];
            out->weight[0] = (w[0] * q[1] - w[1] * q[0]) / determinant;
            out->weight[1] = (p[0] * w[1] - p[1] * w[0]) / determinant;
            return true;
        }
    return false;
}

static void sources_find(const struct contract *c, const struct ecg_record *record,
                         struct lead_source *sources)
{
    int64_t channels[LEAD_STANDARD_COUNT];
    for (int lead = 0; lead < LEAD_STANDARD_COUNT; lead++)
        channels[lead] = channel_find(record, (enum ecg_lead)lead);
    if (c->lead_count == 1 && record->lead_count == 1 && record->channels[0].lead == LEAD_UNKNOWN)
        channels[c->leads[0]] = 0;
    for (int64_t l = 0; l < c->lead_count; l++) {
        enum ecg_lead lead = c->leads[l];
        sources[l] = (struct lead_source){{channels[lead], -1}, {1.0, 0.0}};
        if (channels[lead] < 0)
            source_derive(record, channels, lead, &sources[l]);
    }
}

uint32_t contract_absent(const struct contract *c, const struct ecg_record *record)
{
    struct lead_source sources[CONTRACT_LEADS_MAX];
    uint32_t absent = 0;
    sources_find(c, record, sources);
    for (int64_t l = 0; l < c->lead_count; l++)
        absent |= (uint32_t)(sources[l].channel[0] < 0) << l;
    return absent;
}

static enum err_code sources_check(const struct contract *c, const struct ecg_record *record,
                                   const struct lead_source *sources, struct err *e)
{
    char missing[8 * CONTRACT_LEADS_MAX] = ""; /* a name has at most three letters */
    size_t used = 0;
    int64_t count = 0;
    for (int64_t l = 0; l < c->lead_count; l++)
        if (sources[l].channel[0] < 0) {
            used += (size_t)snprintf(missing + used, sizeof missing - used, " %s",
                                     lead_name(c->leads[l]));
            count++;
        }
    for (int64_t l = 0; l < c->lead_count; l++)
        for (int i = 0; i < 2; i++) {
            if (sources[l].channel[i] < 0)
                continue;
            const struct ecg_channel *channel = &record->channels[sources[l].channel[i]];
            bool lost = channel->is_standardized || channel->is_scaled;
            if (channel->is_voltage || (lost && c->normalization == NORMALIZE_LEAD_RECORD))
                continue;
            if (lost)
                FAIL(e, ERR_UNITS,
                     "channel %s is %s, its amplitude is lost: only a model that "
                     "normalizes each lead by itself (lead_record) takes it",
                     channel->name ? channel->name : "?",
                     channel->is_standardized ? "a z-score" : "in normalized units (NU)");
            FAIL(e, ERR_UNITS, "channel %s has the unit \"%s\": expected a voltage",
                 channel->name ? channel->name : "?", channel->unit ? channel->unit : "");
        }
    if (count == c->lead_count || (count > 0 && c->missing == MISSING_REFUSE))
        FAIL(e, ERR_LEADS,
             "missing leads that cannot be derived:%s (the record has %lld "
             "channels)",
             missing, (long long)record->lead_count);
    return ERR_OK;
}

/* Repair */

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Median of the valid samples within a second before (direction -1) or after (+1) a gap, of which
 * at most BASELINE_SAMPLES evenly spaced ones are looked at. x[from] is valid. */
static float baseline_at(const float *x, int64_t T, int64_t from, int direction, double rate_hz)
{
    float values[BASELINE_SAMPLES];
    int64_t span = (int64_t)(BASELINE_S * rate_hz) + 1;
    int64_t stride = span / BASELINE_SAMPLES + 1;
    size_t n = 0;
    for (int64_t k = 0; k < span && n < BASELINE_SAMPLES; k += stride) {
        int64_t t = from + direction * k;
        if (t < 0 || t >= T)
            break;
        if (isfinite(x[t]))
            values[n++] = x[t];
    }
    qsort(values, n, sizeof *values, compare_floats);
    return values[n / 2];
}

/* Fills x[begin..end), whose neighbours (where there are any) are valid. */
static void gap_fill(float *x, int64_t T, int64_t begin, int64_t end, double rate_hz)
{
    bool has_left = begin > 0, has_right = end < T;
    int64_t n = end - begin, taper = (int64_t)(SHORT_GAP_S * rate_hz + 0.5);
    if (taper < 1)
        taper = 1;
    double left = has_left ? x[begin - 1] : x[end], right = has_right ? x[end] : x[begin - 1];
    bool is_long = n > taper;
    double low = left, high = right; /* the line's ends */
    if (is_long) {
        high = has_right ? baseline_at(x, T, end, 1, rate_hz) : 0.0;
        low = has_left ? baseline_at(x, T, begin - 1, -1, rate_hz) : high;
        if (!has_right)
            high = low;
    }
    for (int64_t i = 0; i < n; i++) {
        double line = low + (high - low) * (double)(i + 1) / (double)(n + 1);
        if (is_long && has_left && i < taper)
            line += (left - low) * (1.0 - (double)(i + 1) / (double)(taper + 1));
        if (is_long && has_right && n - 1 - i < taper)
            line += (right - high) * (1.0 - (double)(n - i) / (double)(taper + 1));
        x[begin + i] = (float)line;
    }
}

/* Samples that are not finite: all bits of the exponent are set. */
static int64_t invalid_count(const float *x, int64_t T)
{
    int64_t invalid = 0;
    for (int64_t begin = 0; begin < T; begin += 1 << 20) { /* short counts are quick */
        int64_t end = T - begin < 1 << 20 ? T : begin + (1 << 20);
        int32_t count = 0;
        for (int64_t t = begin; t < end; t++) {
            uint32_t bits;
            memcpy(&bits, &x[t], sizeof bits);
            count += (bits & 0x7f800000u) == 0x7f800000u;
        }
        invalid += count;
    }
    return invalid;
}

static enum err_code lead_repair(float *x, int64_t T, double rate_hz, double max_fraction,
                                 enum ecg_lead lead, struct err *e)
{
    int64_t invalid = invalid_count(x, T);
    if (invalid == 0)
        return ERR_OK;
    if (invalid == T || (double)invalid > max_fraction * (double)T)
        FAIL(e, ERR_SIGNAL,
             "lead %s: %lld of %lld samples are invalid (%.1f %%), more than the "
             "%.1f %% that are repaired",
             lead_name(lead), (long long)invalid, (long long)T, 100.0 * (double)invalid / (double)T,
             100.0 * max_fraction);
    for (int64_t t = 0; t < T; t++) {
        if (isfinite(x[t]))
            continue;
        int64_t end = t;
        while (end < T && !isfinite(x[end]))
            end++;
        gap_fill(x, T, t, end, rate_hz);
        t = end;
    }
    return ERR_OK;
}

static bool lead_is_constant(const float *x, int64_t T)
{
    for (int64_t t = 1; t < T; t++)
        if (x[t] != x[0])
            return false;
    return true;
}

/* Normalization */

static void scale(float *x, int64_t n, double mean, double std)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)(((double)x[i] - mean) / std);
}

/* What is known of the rows of a signal beyond their samples, as bits by lead. */
struct rows {
    uint32_t absent;       /* there is no such lead: zeros when all is done */
    uint32_t constant;     /* in the recording, before resampling and filters left their ripple */
    uint32_t standardized; /* normalized before they were stored */
};

static bool has(uint32_t bits, int64_t l) { return bits >> l & 1; }

/* Over the rows that are there. */
static enum err_code normalize_record(const struct contract *c, const struct rows *rows, float *x,
                                      int64_t T, struct err *e)
{
    double mean = 0.0, square = 0.0, n = 0.0;
    for (int64_t l = 0; l < c->lead_count; l++)
        for (int64_t t = 0; t < T && !has(rows->absent, l); t++, n++)
            mean += x[l * T + t];
    mean /= n;
    for (int64_t l = 0; l < c->lead_count; l++)
        for (int64_t t = 0; t < T && !has(rows->absent, l); t++)
            square += (x[l * T + t] - mean) * (x[l * T + t] - mean);
    double std = sqrt(square / n);
    if (!(std > 0.0 && isfinite(std)))
        FAIL(e, ERR_SIGNAL, "the record has no deviation to normalize by (%g mV)", std);
    scale(x, c->lead_count * T, mean, std);
    return ERR_OK;
}

/* One lead by itself. */
static void normalize_row(float *x, int64_t T)
{
    double mean = 0.0, square = 0.0;
    for (int64_t t = 0; t < T; t++)
        mean += x[t];
    mean /= (double)T;
    for (int64_t t = 0; t < T; t++)
        square += (x[t] - mean) * (x[t] - mean);
    double std = sqrt(square / (double)T);
    if (std > 0.0)
        scale(x, T, mean, std);
    else
        memset(x, 0, (size_t)T * sizeof *x);
}

static enum err_code normalize(const struct contract *c, const struct rows *rows, float *x,
                               int64_t T, struct err *e)
{
    switch (c->normalization) {
    case NORMALIZE_NONE:
        break;
    case NORMALIZE_GLOBAL:
        scale(x, c->lead_count * T, c->mean[0], c->std[0]);
        break;
    case NORMALIZE_LEAD:
        for (int64_t l = 0; l < c->lead_count; l++)
            scale(x + l * T, T, c->mean[l], c->std[l]);
        break;
    case NORMALIZE_RECORD:
        TRY(normalize_record(c, rows, x, T, e));
        break;
    case NORMALIZE_LEAD_RECORD:
        for (int64_t l = 0; l < c->lead_count; l++) {
            if (has(rows->standardized, l))
                continue;
            if (has(rows->constant, l) || lead_is_constant(x + l * T, T))
                memset(x + l * T, 0, (size_t)T * sizeof *x);
            else
                normalize_row(x + l * T, T);
        }
        break;
    }
    for (int64_t l = 0; l < c->lead_count; l++)
        if (has(rows->absent, l))
            memset(x + l * T, 0, (size_t)T * sizeof *x);
    return ERR_OK;
}

enum err_code contract_normalize(const struct contract *c, float *x, int64_t T, struct err *e)
{
    static const struct rows none;
    return normalize(c, &none, x, T, e);
}

/* Conversion */

/* x[L,T] at the record's rate, in contract order, repaired. */
static enum err_code leads_gather(const struct contract *c, const struct ecg_record *record,
                                  float *x, struct rows *rows, struct err *e)
{
    struct lead_source sources[CONTRACT_LEADS_MAX] = {{{0}, {0}}};
    int64_t T = record->sample_count;
    bool all_constant = true;
    *rows = (struct rows){0};
    sources_find(c, record, sources);
    TRY(sources_check(c, record, sources, e));
    for (int64_t l = 0; l < c->lead_count; l++) {
        const struct lead_source *s = &sources[l];
        float *row = x + l * T;
        if (s->channel[0] < 0) {
            rows->absent |= UINT32_C(1) << l;
            memset(row, 0, (size_t)T * sizeof *row);
            continue;
        }
        const float *a = record->samples + s->channel[0] * T;
        if (s->channel[1] < 0) {
            memcpy(row, a, (size_t)T * sizeof *row);
        } else {
            const float *b = record->samples + s->channel[1] * T;
            for (int64_t t = 0; t < T; t++)
                row[t] = (float)(s->weight[0] * a[t] + s->weight[1] * b[t]);
        }
        TRY(lead_repair(row, T, record->rate_hz, c->max_invalid_fraction, c->leads[l], e));
        bool constant = lead_is_constant(row, T);
        all_constant = all_constant && constant;
        rows->constant |= (uint32_t)constant << l;
        rows->standardized |= (uint32_t)record->channels[s->channel[0]].is_standardized << l;
    }
    if (all_constant)
        FAIL(e, ERR_SIGNAL, "%s constant: nothing was recorded",
             c->lead_count == 1 ? "the lead is" : "all leads used are");
    return ERR_OK;
}

static int64_t converted_length(const struct contract *c, int64_t T, double rate_hz)
{
    return c->resampling == RESAMPLE_LINEAR ? resample_linear_length(T, rate_hz, c->rate_hz)
                                            : resample_length(T, rate_hz, c->rate_hz);
}

enum err_code contract_apply(const struct contract *c, const struct ecg_record *record,
                             struct arena *a, float **out, int64_t *out_samples, struct err *e)
{
    TRY(contract_check(c, e));
    int64_t L = c->lead_count, T = record->sample_count, values;
    if (record->lead_count < 1)
        FAIL(e, ERR_LEADS, "the record has no channels");
    if (T < 1)
        FAIL(e, ERR_LENGTH, "the record has no samples");
    if (!(record->rate_hz >= RATE_MIN_HZ && record->rate_hz <= RATE_MAX_HZ) ||
        !resample_is_possible(record->rate_hz, c->rate_hz))
        FAIL(e, ERR_RATE, "sampling rate %g Hz: cannot be converted to %g Hz", record->rate_hz,
             c->rate_hz);
    if (!mul_i64(L, T, &values) || values > VALUES_MAX)
        FAIL(e, ERR_LIMIT, "%lld samples in %lld leads: more than %lld values", (long long)T,
             (long long)L, (long long)VALUES_MAX);
    int64_t converted = converted_length(c, T, record->rate_hz);
    if (!mul_i64(L, converted, &values) || values > VALUES_MAX)
        FAIL(e, ERR_LIMIT,
             "%lld samples in %lld leads after conversion to %g Hz: more than %lld "
             "values",
             (long long)converted, (long long)L, c->rate_hz, (long long)VALUES_MAX);
    if (converted < 1)
        FAIL(e, ERR_LENGTH, "%lld samples at %g Hz are none at %g Hz", (long long)T,
             record->rate_hz, c->rate_hz);
    float *y = arena_push_array(a, (size_t)values, sizeof *y);
    if (!y)
        FAIL(e, ERR_MEMORY, "converting %lld samples: out of memory", (long long)converted);

    struct rows rows;
    if (record->rate_hz == c->rate_hz) {
        TRY(leads_gather(c, record, y, &rows, e));
    } else {
        float *x = malloc((size_t)(L * T) * sizeof *x);
        if (!x)
            FAIL(e, ERR_MEMORY, "converting %lld samples: out of memory", (long long)T);
        enum err_code code = leads_gather(c, record, x, &rows, e);
        if (code == ERR_OK && c->resampling == RESAMPLE_LINEAR)
            code = resample_linear(y, x, L, T, record->rate_hz, c->rate_hz, e);
        else if (code == ERR_OK)
            code = resample(y, x, L, T, record->rate_hz, c->rate_hz, e);
        free(x);
        TRY(code);
    }
    if (c->highpass_hz > 0.0 || c->lowpass_hz > 0.0)
        TRY(filter_butterworth(y, L, converted, c->rate_hz, c->highpass_hz, c->lowpass_hz, e));
    TRY(normalize(c, &rows, y, converted, e));
    for (int64_t l = 0; l < L; l++)
        if (invalid_count(y + l * converted, converted) > 0)
            FAIL(e, ERR_SIGNAL, "lead %s: the amplitude overflows in conversion",
                 lead_name(c->leads[l]));
    *out = y;
    *out_samples = converted;
    return ERR_OK;
}

/* Windows */

int64_t window_count(const struct contract *c, int64_t samples)
{
    int64_t T = c->sample_count, rest = samples - T, stride = T / 2 > 0 ? T / 2 : 1;
    if (rest < 0)
        return 0;
    return c->windows == WINDOWS_SEGMENTS ? samples / T : 1 + (rest + stride - 1) / stride;
}

int64_t window_start(const struct contract *c, int64_t samples, int64_t i)
{
    int64_t n = window_count(c, samples);
    if (c->windows == WINDOWS_SEGMENTS)
        return i * c->sample_count;
    return n > 1 ? i * (samples - c->sample_count) / (n - 1) : 0;
}

/* JSON */

static const char *const normalization_names[] = {
    [NORMALIZE_NONE] = "none",
    [NORMALIZE_GLOBAL] = "global",
    [NORMALIZE_LEAD] = "lead",
    [NORMALIZE_RECORD] = "record",
    [NORMALIZE_LEAD_RECORD] = "lead_record",
    NULL,
};
static const char *const resampling_names[] = {"sinc", "linear", NULL};
static const char *const windows_names[] = {"overlap", "segments", NULL};
static const char *const missing_names[] = {"refuse", "zero", NULL};

static bool choice_to_json(cJSON *object, const char *name, const char *const *names, int chosen)
{
    return chosen == 0 || cJSON_AddStringToObject(object, name, names[chosen]) != NULL;
}

static bool numbers_to_json(cJSON *object, const char *name, const double *values, int64_t count)
{
    cJSON *array = cJSON_AddArrayToObject(object, name);
    for (int64_t i = 0; array && i < count; i++)
        if (!cJSON_AddItemToArray(array, cJSON_CreateNumber(values[i])))
            return false;
    return array != NULL;
}

struct cJSON *contract_to_json(const struct contract *c)
{
    cJSON *object = cJSON_CreateObject(), *leads = cJSON_AddArrayToObject(object, "leads");
    bool ok = leads != NULL;
    for (int64_t l = 0; ok && l < c->lead_count; l++)
        ok = cJSON_AddItemToArray(leads, cJSON_CreateString(lead_name(c->leads[l])));
    ok = ok && cJSON_AddNumberToObject(object, "rate_hz", c->rate_hz) &&
         cJSON_AddNumberToObject(object, "sample_count", (double)c->sample_count) &&
         cJSON_AddNumberToObject(object, "highpass_hz", c->highpass_hz) &&
         cJSON_AddNumberToObject(object, "lowpass_hz", c->lowpass_hz) &&
         cJSON_AddStringToObject(object, "normalization", normalization_names[c->normalization]) &&
         numbers_to_json(object, "mean", c->mean, statistics_count(c)) &&
         numbers_to_json(object, "std", c->std, statistics_count(c)) &&
         cJSON_AddNumberToObject(object, "max_invalid_fraction", c->max_invalid_fraction) &&
         choice_to_json(object, "resampling", resampling_names, (int)c->resampling) &&
         choice_to_json(object, "windows", windows_names, (int)c->windows) &&
         choice_to_json(object, "missing_leads", missing_names, (int)c->missing);
    if (!ok) {
        cJSON_Delete(object);
        return NULL;
    }
    return object;
}

static const char *const field_names[] = {"leads",       "rate_hz",    "sample_count",
                                          "highpass_hz", "lowpass_hz", "normalization",
                                          "mean",        "std",        "max_invalid_fraction",
                                          "resampling",  "windows",    "missing_leads"};
enum { FIELD_COUNT = sizeof field_names / sizeof *field_names, FIELDS_NEEDED = 9 };

/* The first fields once, the others at most once, and no other. */
static enum err_code fields_check(const cJSON *object, struct err *e)
{
    int seen[FIELD_COUNT] = {0};
    if (!cJSON_IsObject(object))
        FAIL(e, ERR_MODEL, "input contract: expected a JSON object");
    for (const cJSON *item = object->child; item; item = item->next) {
        int i = 0;
        while (i < FIELD_COUNT && strcmp(field_names[i], item->string) != 0)
            i++;
        if (i == FIELD_COUNT)
            FAIL(e, ERR_MODEL,
                 "input contract: unknown field \"%.60s\": the file may be of a "
                 "newer version",
                 item->string);
        if (seen[i]++)
            FAIL(e, ERR_MODEL, "input contract: field \"%s\" occurs twice", field_names[i]);
    }
    for (int i = 0; i < FIELDS_NEEDED; i++)
        if (!seen[i])
            FAIL(e, ERR_MODEL, "input contract: field \"%s\" is missing", field_names[i]);
    return ERR_OK;
}

static const cJSON *field(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static enum err_code number_read(const cJSON *object, const char *name, double *out, struct err *e)
{
    const cJSON *item = field(object, name);
    if (!cJSON_IsNumber(item) || !isfinite(item->valuedouble))
        FAIL(e, ERR_MODEL, "input contract: %s: expected a number", name);
    *out = item->valuedouble;
    return ERR_OK;
}

static enum err_code numbers_read(const cJSON *object, const char *name, int64_t count, double *out,
                                  struct err *e)
{
    const cJSON *array = field(object, name);
    if (!cJSON_IsArray(array) || cJSON_GetArraySize(array) != count)
        FAIL(e, ERR_MODEL, "input contract: %s: expected an array of %lld numbers", name,
             (long long)count);
    int64_t i = 0;
    for (const cJSON *item = array->child; item; item = item->next, i++) {
        if (!cJSON_IsNumber(item) || !isfinite(item->valuedouble))
            FAIL(e, ERR_MODEL, "input contract: %s: entry %lld is not a number", name,
                 (long long)i);
        out[i] = item->valuedouble;
    }
    return ERR_OK;
}

/* One of the names; a field that is not there leaves *out. */
static enum err_code choice_read(const cJSON *object, const char *name, const char *const *names,
                                 int *out, struct err *e)
{
    char known[64] = "";
    const cJSON *item = field(object, name);
    const char *text = cJSON_GetStringValue(item);
    if (!item)
        return ERR_OK;
    for (int i = 0; names[i]; i++) {
        if (text && strcmp(text, names[i]) == 0) {
            *out = i;
            return ERR_OK;
        }
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s",
                 i == 0         ? ""
                 : names[i + 1] ? ", "
                                : " or ",
                 names[i]);
    }
    FAIL(e, ERR_MODEL, "input contract: %s: expected %s, found \"%.40s\"", name, known,
         text ? text : "");
}

static enum err_code leads_read(const cJSON *array, struct contract *c, struct err *e)
{
    if (!cJSON_IsArray(array) || cJSON_GetArraySize(array) > CONTRACT_LEADS_MAX)
        FAIL(e, ERR_MODEL, "input contract: leads: expected an array of at most %d names",
             CONTRACT_LEADS_MAX);
    c->lead_count = 0;
    for (const cJSON *item = array->child; item; item = item->next) {
        enum ecg_lead lead = LEAD_UNKNOWN;
        for (int i = 0; i < LEAD_STANDARD_COUNT && cJSON_IsString(item); i++)
            if (strcmp(item->valuestring, lead_name((enum ecg_lead)i)) == 0)
                lead = (enum ecg_lead)i;
        if (lead == LEAD_UNKNOWN)
            FAIL(e, ERR_MODEL, "input contract: leads: \"%.40s\" is not a standard lead",
                 cJSON_IsString(item) ? item->valuestring : "");
        c->leads[c->lead_count++] = lead;
    }
    return ERR_OK;
}

enum err_code contract_from_json(struct contract *c, const struct cJSON *object, struct err *e)
{
    struct contract read;
    double samples = 0.0;
    contract_default(&read);
    TRY(fields_check(object, e));
    TRY(leads_read(field(object, "leads"), &read, e));
    TRY(number_read(object, "rate_hz", &read.rate_hz, e));
    TRY(number_read(object, "sample_count", &samples, e));
    if (!(samples >= 1.0 && samples <= (double)VALUES_MAX && samples == floor(samples)))
        FAIL(e, ERR_MODEL,
             "input contract: sample_count: expected a whole number of at least 1, "
             "found %g",
             samples);
    read.sample_count = (int64_t)samples;
    TRY(number_read(object, "highpass_hz", &read.highpass_hz, e));
    TRY(number_read(object, "lowpass_hz", &read.lowpass_hz, e));
    int normalization = 0, resampling = 0, windows = 0, missing = 0;
    TRY(choice_read(object, "normalization", normalization_names, &normalization, e));
    TRY(choice_read(object, "resampling", resampling_names, &resampling, e));
    TRY(choice_read(object, "windows", windows_names, &windows, e));
    TRY(choice_read(object, "missing_leads", missing_names, &missing, e));
    read.normalization = (enum contract_normalization)normalization;
    read.resampling = (enum contract_resampling)resampling;
    read.windows = (enum contract_windows)windows;
    read.missing = (enum contract_missing)missing;
    TRY(numbers_read(object, "mean", statistics_count(&read), read.mean, e));
    TRY(numbers_read(object, "std", statistics_count(&read), read.std, e));
    TRY(number_read(object, "max_invalid_fraction", &read.max_invalid_fraction, e));
    TRY(contract_check(&read, e));
    *c = read;
    return ERR_OK;
}
