/* WFDB writer, format 16: NAME.dat (16-bit little-endian, frames interleaved) and NAME.hea with
 * checksums, initial values and comments, as PTB-XL ships its records.
 * Source: WFDB Applications Guide, header(5) and signal(5). */
#ifndef ECGFM_FORMAT_WFDB_WRITE_H
#define ECGFM_FORMAT_WFDB_WRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct wfdb_write {
    const char *name; /* letters, digits, '_' and '-'; sub-folders are made ("00000/00001_lr") */
    double rate_hz;
    int64_t lead_count, sample_count;
    const char *const *lead_names; /* [L] */
    const float *samples;          /* [L,T] mV, NaN where invalid (stored as -32768) */
    double gain;                   /* ADC units per mV; 0: 1000 */
    const char *date, *time;       /* "24/12/2020", "17:30:00"; NULL: not written */
    int comment_count;
    const char *const *comments; /* without the '#' */
    bool unsynced; /* not forced to the disk one by one: for many records that can be made again */
};

/* Writes folder/NAME.dat, then folder/NAME.hea, each atomically (after a power cut only if synced).
 * Same input, same bytes.
 * Errors: ERR_USAGE (name, rate, counts, gain, lead name, line break in a comment), ERR_LIMIT (a
 * sample outside what 16 bits hold at this gain, named by lead and index), ERR_IO, ERR_MEMORY. */
enum err_code wfdb_write_16(const char *folder, const struct wfdb_write *record, struct err *e);

#endif
