#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "data/loader.h"

#define CACHE_BYTES_DEFAULT (INT64_C(4) << 30)
#define BAD_FRACTION_DEFAULT 0.5

struct stored {
    int64_t entry, length;
    float *x; /* [L,length], or NULL if it did not fit into the cache */
};

struct store {
    struct manifest *manifest;
    const struct contract *contract;
    struct store_options options;
    int64_t count, quarantined;
    struct stored *records;
    _Atomic int64_t cached_bytes;
};

/* Reads and converts one entry; *out lives in `a`. note (or NULL) gets what was noticed but is no
 * refusal, and *notice its short name. */
static enum err_code entry_convert(const struct store *s, int64_t index, struct arena *a,
                                   float **out, int64_t *length, const char **notice, char *note,
                                   size_t note_size, struct err *e)
{
    const struct manifest_entry *entry = &s->manifest->entries[index];
    const struct read_options options = {.strict = s->options.strict};
    struct ecg_record record;
    if (note)
        note[0] = '\0';
    enum err_code code = manifest_entry_read(entry, &options, &record, e);
    if (code == ERR_OK && (record.flags & RECORD_SHORT))
        code = RAISE(e, ERR_TRUNCATED, "%s",
                     record.issue_count > 0 ? record.issues[0]
                                            : "fewer samples in the file than the header declares");
    if (code == ERR_OK)
        code = contract_apply(s->contract, &record, a, out, length, e);
    if (code == ERR_OK && *length / s->contract->sample_count < s->options.segments)
        code = RAISE(e, ERR_LENGTH, "%lld samples at %g Hz: the model takes %lld at once%s",
                     (long long)*length, s->contract->rate_hz, (long long)s->contract->sample_count,
                     s->options.segments > 1 ? ", and adjacent segments are asked for" : "");
    if (code == ERR_OK && note &&
        (record.flags & (RECORD_CHECKSUM_MISMATCH | RECORD_INITIAL_MISMATCH))) {
        *notice =
            record.flags & RECORD_CHECKSUM_MISMATCH ? "checksum-mismatch" : "initial-mismatch";
        snprintf(note, note_size, "kept, although %s",
                 record.issue_count > 0 ? record.issues[0] : "its checksum differs");
    }
    uint32_t absent = code == ERR_OK && note ? contract_absent(s->contract, &record) : 0;
    if (absent != 0 && !note[0]) {
        *notice = "absent-leads";
        size_t used = (size_t)snprintf(note, note_size, "kept with zeros for the leads");
        for (int64_t l = 0; l < s->contract->lead_count && used < note_size; l++)
            if (absent >> l & 1)
                used += (size_t)snprintf(note + used, note_size - used, " %s",
                                         lead_name(s->contract->leads[l]));
    }
    ecg_record_free(&record);
    return code;
}

/* What came of one entry; filled by one thread, read after all have ended. */
struct outcome {
    int64_t entry, length;
    float *x;
    enum err_code code;
    const char *notice; /* short name of what was noticed in a record that is kept */
    char *text;         /* why it was refused, or a note; malloc */
};

struct opening {
    struct store *store;
    struct outcome *outcomes;
};

static void entry_open(void *context, int64_t i)
{
    struct opening *o = context;
    struct store *s = o->store;
    struct outcome *out = &o->outcomes[i];
    struct arena a;
    struct err e = {0};
    float *x = NULL;
    char text[1024];
    arena_init(&a, "record", 0);
    out->code =
        entry_convert(s, out->entry, &a, &x, &out->length, &out->notice, text, sizeof text, &e);
    if (out->code != ERR_OK)
        err_format(&e, text, sizeof text);
    if (text[0])
        out->text = strdup(text);
    if (out->code == ERR_OK) {
        int64_t bytes = s->contract->lead_count * out->length * (int64_t)sizeof(float);
        if (atomic_fetch_add(&s->cached_bytes, bytes) + bytes <= s->options.cache_bytes)
            out->x = malloc((size_t)bytes); /* if there is no memory, it is read again later */
        if (out->x)
            memcpy(out->x, x, (size_t)bytes);
        else
            atomic_fetch_sub(&s->cached_bytes, bytes);
    }
    arena_reset(&a);
}

/* Moves the outcomes into the store and the manifest's problems. */
static enum err_code outcomes_take(struct store *s, struct outcome *outcomes, int64_t count,
                                   struct err *e)
{
    char reasons[256] = "";
    size_t used = 0;
    for (int64_t i = 0; i < count; i++) {
        struct outcome *o = &outcomes[i];
        const char *id = s->manifest->entries[o->entry].id;
        if (o->text)
            manifest_problem_add(s->manifest, id,
                                 o->code == ERR_OK ? o->notice : err_code_name(o->code), "%s",
                                 o->text);
        if (o->code == ERR_OK) {
            s->records[s->count++] = (struct stored){o->entry, o->length, o->x};
            o->x = NULL;
            continue;
        }
        if (s->quarantined++ < 3 && used < sizeof reasons)
            used += (size_t)snprintf(reasons + used, sizeof reasons - used, "%s%.40s: %.60s",
                                     used ? "; " : "", id, o->text ? o->text : "");
    }
    if ((double)s->quarantined > s->options.max_bad_fraction * (double)count)
        FAIL(e, ERR_FORMAT,
             "%lld of %lld records cannot be used, more than the allowed share of %g: %s",
             (long long)s->quarantined, (long long)count, s->options.max_bad_fraction, reasons);
    return ERR_OK;
}

enum err_code store_open(struct store **out, struct manifest *m, enum data_split split,
                         const struct contract *contract, const struct store_options *options,
                         struct err *e)
{
    *out = NULL;
    TRY(contract_check(contract, e));
    int64_t count = 0;
    for (int64_t i = 0; i < m->count; i++)
        count += entry_in_split(&m->entries[i], split);
    struct store *s = calloc(1, sizeof *s);
    struct outcome *outcomes = calloc((size_t)count + 1, sizeof *outcomes);
    if (s)
        s->records = calloc((size_t)count + 1, sizeof *s->records);
    if (!s || !outcomes || !s->records) {
        store_close(s);
        free(outcomes);
        FAIL(e, ERR_MEMORY, "%lld records: out of memory", (long long)count);
    }
    s->manifest = m;
    s->contract = contract;
    s->options = *options;
    if (s->options.cache_bytes <= 0)
        s->options.cache_bytes = CACHE_BYTES_DEFAULT;
    if (s->options.max_bad_fraction <= 0.0)
        s->options.max_bad_fraction = BAD_FRACTION_DEFAULT;
    if (s->options.threads <= 0)
        s->options.threads = cpu_count();
    if (s->options.segments < 1)
        s->options.segments = 1;
    for (int64_t i = 0, n = 0; i < m->count; i++)
        if (entry_in_split(&m->entries[i], split))
            outcomes[n++].entry = i;
    struct opening opening = {s, outcomes};
    pool_for(s->options.threads, count, entry_open, &opening);
    enum err_code code = outcomes_take(s, outcomes, count, e);
    for (int64_t i = 0; i < count; i++) {
        free(outcomes[i].text);
        free(outcomes[i].x);
    }
    free(outcomes);
    if (code != ERR_OK) {
        store_close(s);
        return code;
    }
    *out = s;
    return ERR_OK;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    for (int64_t i = 0; i < s->count; i++)
        free(s->records[i].x);
    free(s->records);
    free(s);
}

const struct contract *store_contract(const struct store *s) { return s->contract; }
int64_t store_count(const struct store *s) { return s->count; }
int64_t store_quarantined(const struct store *s) { return s->quarantined; }

static const struct stored *stored_at(const struct store *s, int64_t i)
{
    ASSERT(i >= 0 && i < s->count, "record %lld of a store of %lld", (long long)i,
           (long long)s->count);
    return &s->records[i];
}

int64_t store_entry(const struct store *s, int64_t i) { return stored_at(s, i)->entry; }
int64_t store_length(const struct store *s, int64_t i) { return stored_at(s, i)->length; }

int64_t store_pairs(const struct store *s, int64_t i)
{
    return store_length(s, i) / s->contract->sample_count / 2;
}

enum err_code store_signal(struct store *s, int64_t i, struct arena *a, const float **x,
                           struct err *e)
{
    const struct stored *r = stored_at(s, i);
    if (r->x) {
        *x = r->x;
        return ERR_OK;
    }
    float *decoded = NULL;
    int64_t length = 0;
    enum err_code code = entry_convert(s, r->entry, a, &decoded, &length, NULL, NULL, 0, e);
    if (code == ERR_OK && length != r->length)
        code = RAISE(e, ERR_IO, "%lld samples, but %lld when it was read first: the file changed",
                     (long long)length, (long long)r->length);
    if (code != ERR_OK)
        err_context(e, "reading record %s again", s->manifest->entries[r->entry].id);
    *x = decoded;
    return code;
}

enum err_code store_copy(struct store *s, int64_t i, int64_t begin, int64_t T, float *out,
                         struct err *e)
{
    const struct stored *r = stored_at(s, i);
    ASSERT(begin >= 0 && T >= 0 && begin <= r->length - T, "samples %lld to %lld of %lld",
           (long long)begin, (long long)(begin + T), (long long)r->length);
    const float *x = NULL;
    struct arena a;
    arena_init(&a, "record", 0);
    enum err_code code = store_signal(s, i, &a, &x, e);
    for (int64_t l = 0; code == ERR_OK && l < s->contract->lead_count; l++)
        memcpy(out + l * T, x + l * r->length + begin, (size_t)T * sizeof *out);
    arena_reset(&a);
    return code;
}

/* Statistics: each record and lead by itself, then merged one after the other in store order. */

struct moments {
    double n, mean, square; /* square: sum of squared deviations from the mean */
};

struct measuring {
    struct store *store;
    const int64_t *subset;
    struct moments *moments; /* [count, L] */
};

static void record_measure(void *context, int64_t i)
{
    struct measuring *m = context;
    struct arena a;
    const float *x = NULL;
    int64_t at = m->subset ? m->subset[i] : i;
    int64_t L = m->store->contract->lead_count, T = store_length(m->store, at);
    arena_init(&a, "record", 0);
    bool ok = store_signal(m->store, at, &a, &x, NULL) == ERR_OK;
    for (int64_t l = 0; l < L; l++) {
        struct moments *out = &m->moments[i * L + l];
        double sum = ok ? 0.0 : (double)NAN, square = 0.0;
        for (int64_t t = 0; ok && t < T; t++)
            sum += x[l * T + t];
        out->n = (double)T;
        out->mean = sum / (double)T;
        for (int64_t t = 0; ok && t < T; t++) {
            double d = x[l * T + t] - out->mean;
            square += d * d;
        }
        out->square = square;
    }
    arena_reset(&a);
}

/* Source: Chan, Golub, LeVeque 1983, eq. 2.1. */
static void moments_merge(struct moments *total, const struct moments *part)
{
    double n = total->n + part->n, d = part->mean - total->mean;
    total->mean += d * part->n / n;
    total->square += part->square + d * d * total->n * part->n / n;
    total->n = n;
}

void store_statistics_of(struct store *s, const int64_t *subset, int64_t count, double *mean,
                         double *std, double *lead_mean, double *lead_std)
{
    int64_t L = s->contract->lead_count;
    struct moments all = {0}, leads[CONTRACT_LEADS_MAX] = {{0}};
    struct measuring m = {s, subset, calloc((size_t)(count * L) + 1, sizeof *m.moments)};
    if (m.moments)
        pool_for(s->options.threads, count, record_measure, &m);
    for (int64_t i = 0; m.moments && i < count * L; i++) {
        moments_merge(&all, &m.moments[i]);
        moments_merge(&leads[i % L], &m.moments[i]);
    }
    bool ok = m.moments && count > 0;
    free(m.moments);
    if (mean)
        *mean = ok ? all.mean : (double)NAN;
    if (std)
        *std = ok ? sqrt(all.square / all.n) : (double)NAN;
    for (int64_t l = 0; l < L; l++) {
        if (lead_mean)
            lead_mean[l] = ok ? leads[l].mean : (double)NAN;
        if (lead_std)
            lead_std[l] = ok ? sqrt(leads[l].square / leads[l].n) : (double)NAN;
    }
}

void store_statistics(struct store *s, double *mean, double *std, double *lead_mean,
                      double *lead_std)
{
    store_statistics_of(s, NULL, s->count, mean, std, lead_mean, lead_std);
}
