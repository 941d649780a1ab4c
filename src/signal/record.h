/* The one in-memory form of a recording: float32, row-major [leads, samples], millivolt for
 * voltages, NaN where invalid, plus what the file said. Readers make it; everything above uses it.
 *
 * Nouns: a `lead` row of `samples`; an `issue` is something noticed that does not make the record
 * unreadable (a checksum that differs, a short file). */
#ifndef ECGFM_SIGNAL_RECORD_H
#define ECGFM_SIGNAL_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "signal/lead.h"

enum record_flag {
    RECORD_CHECKSUM_MISMATCH = 1 << 0,
    RECORD_INITIAL_MISMATCH = 1 << 1,
    RECORD_SHORT = 1 << 2,           /* fewer samples in the file than the header declares */
    RECORD_CHECKSUM_ABSENT = 1 << 3, /* not declared, or known to be meaningless (CinC 2017) */
    RECORD_GAPS = 1 << 4,            /* multi-segment record with gaps, filled with NaN */
    RECORD_DEFAULT_GAIN = 1 << 5,    /* gain not in the header: the format's default was used */
    RECORD_DEFAULT_RATE = 1 << 6,
    RECORD_DEFAULT_UNIT = 1 << 7, /* unit not in the file: the format's usual one was taken */
    RECORD_STANDARDIZED = 1 << 8  /* some channel is a z-score, not a voltage */
};

/* Names of the flags for tables and JSON ("short"), ended by a NULL name. */
struct record_flag_name {
    unsigned flag;
    const char *name;
};
extern const struct record_flag_name record_flag_names[];

enum ecg_sex { SEX_UNKNOWN, SEX_FEMALE, SEX_MALE };
const char *ecg_sex_name(enum ecg_sex sex); /* "female", "male", "unknown" */

struct ecg_channel {
    const char *name;   /* as in the file */
    enum ecg_lead lead; /* recognized lead or LEAD_UNKNOWN */
    const char *unit;   /* of `samples`: "mV" if a voltage, else as in the file */
    bool is_voltage;
    bool
        is_standardized; /* a z-score: the file's own mean taken off and deviation divided out, over
                              the whole recording; unit "1" */
    bool is_scaled;      /* an ECG whose scale is not known: the unit is "NU", normalized units */
    int64_t invalid_count; /* samples that are NaN */
};

struct ecg_record {
    struct arena arena; /* owns every string and array below */
    const char *name;   /* record name, e.g. "00001_lr" */
    const char *path;   /* as opened */
    const char *format; /* "wfdb", ... */
    double rate_hz;
    int64_t lead_count;           /* L */
    int64_t sample_count;         /* T */
    struct ecg_channel *channels; /* [L] */
    float *samples;               /* [L,T] mV, NaN where invalid */
    unsigned flags;               /* enum record_flag */
    int issue_count;
    const char **issues; /* one sentence each, for people */
    int comment_count;
    const char **comments; /* free text lines of the header, without the '#' */
    double age_years;      /* NaN if unknown */
    enum ecg_sex sex;
    const char *date; /* as in the file, or NULL */
    const char *time;
};

void ecg_record_init(struct ecg_record *r);
void ecg_record_free(struct ecg_record *r); /* accepts a zeroed struct */

#define RECORD_ISSUES_MAX 32 /* more are counted by their flag only */

/* Adds an issue (kept in the record's arena) and sets a flag (0: none). */
void ecg_record_issue(struct ecg_record *r, unsigned flag, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts the samples of `next` behind those of *r: a recording in two files. Both must have the same rate
 * and the same leads in the same units and order. Flags and issues of `next` are added to those of *r.
 * Errors: ERR_FORMAT naming what differs, ERR_LIMIT (over 2^28 values), ERR_MEMORY. */
enum err_code ecg_record_append(struct ecg_record *r, const struct ecg_record *next, struct err *e);

/* The text after "key:" of the first comment line that begins so, without regard to case ("Dx" finds
 * "#Dx: 426783006"); NULL if there is none. Borrows from the record. */
const char *ecg_record_comment(const struct ecg_record *r, const char *key);

/* Bit i of the validity mask: true where the sample is a number. */
static inline bool ecg_sample_is_valid(float x) { return x == x; }

#endif
