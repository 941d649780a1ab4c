/* WFDB records as a whole: one or many segments, assembled to an ecg_record. record_read
 * (format/format.h) is the usual door; this one also reads a part, or the digital values.
 *
 * What a reader can rely on:
 *  - One rate. If all signals have the same number of samples per frame, every sample is given.
 *    Otherwise signals with several samples per frame are given as the mean of each frame (in ADC
 *    units, rounded toward zero, as rdsamp does; invalid if one of them is), unless
 *    read_options.high_resolution asks for the rate of the fastest signal (slower ones are held, as
 *    rdsamp -H does).
 *  - Skew is undone: a signal that is late in the file is moved to its time; the end that the file
 *    does not hold is NaN.
 *  - A file shorter than declared is not padded: sample_count is what all signals have, with
 *    RECORD_SHORT. Only inside a multi-segment record, where time must go on, what is missing is NaN
 *    (RECORD_SHORT and RECORD_GAPS).
 *  - Gaps and signals that a segment does not have are NaN, with RECORD_GAPS. Signals of a
 *    variable-layout record are matched by name; each segment has its own gains.
 *  - Checksums and initial values are verified. Checksums that are zero for all signals of a
 *    record (CinC 2017) count as not declared.
 *  - Memory: 4 bytes per value given, bounded by read_options.max_values and, gaps aside, by what
 *    the files really hold.
 * Source: WFDB Applications Guide, header(5) and signal(5). */
#ifndef ECGFM_FORMAT_WFDB_H
#define ECGFM_FORMAT_WFDB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "format/format.h"
#include "signal/record.h"

struct wfdb_request {
    int64_t begin, end; /* frames; end 0: to the end of the record */
};

/* Reads a record, or part of it (request NULL: all). Segments outside of the part are not opened,
 * checksums of segments that are read in part are not verified. Contract of struct format's read.
 * Errors: ERR_NOT_FOUND, ERR_IO, ERR_FORMAT, ERR_RATE, ERR_LIMIT, ERR_UNSUPPORTED, ERR_TRUNCATED (no
 * frame at all; or strict), ERR_CHECKSUM (strict), ERR_LENGTH (empty part), ERR_MEMORY. */
enum err_code wfdb_read(const char *path, const struct read_options *options,
                        const struct wfdb_request *request, struct ecg_record *out, struct err *e);

/* The same in ADC units: *values [L,T] int32, ADC_INVALID (signal/unit.h) where invalid, owned by
 * the record's arena; out->samples stays NULL. */
enum err_code wfdb_read_digital(const char *path, const struct read_options *options,
                                const struct wfdb_request *request, struct ecg_record *out,
                                const int32_t **values, struct err *e);

#endif
