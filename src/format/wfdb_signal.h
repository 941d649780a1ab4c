/* The signal files of one plain WFDB record: how much is there, and digital values out of it.
 *
 * Nouns: a `group` is the run of signals that share one file, interleaved frame by frame. Values are
 * int32 in ADC units; an invalid sample is ADC_INVALID. Memory does not depend on what a header
 * declares: files are decoded in pieces, into room the caller measured with wfdb_signals_measure.
 * Source: WFDB Applications Guide, signal(5). */
#ifndef ECGFM_FORMAT_WFDB_SIGNAL_H
#define ECGFM_FORMAT_WFDB_SIGNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "format/wfdb_header.h"

struct wfdb_measure {
    bool has_files;           /* false: every signal is of format 0 */
    int64_t frame_count;      /* whole frames that all files hold (INT64_MAX without files) */
    const char *shortest;     /* the file that bounds it */
    int64_t surplus_frames;   /* whole frames in that file beyond the declared count */
    bool differ;              /* files hold different counts of frames */
    const char *mat_mismatch; /* sentence: the .mat header disagrees on the columns; or NULL */
};

/* Opens every file of the record, checks .mat headers and counts frames. A FLAC stream that must be
 * decoded to be counted is followed up to frame_limit frames.
 * Errors: ERR_NOT_FOUND, ERR_IO, ERR_FORMAT (FLAC or .mat that disagrees with the header),
 * ERR_UNSUPPORTED (.mat of level 5), ERR_MEMORY. Strings go to the arena. */
enum err_code wfdb_signals_measure(const struct wfdb_header *h, const char *folder,
                                   int64_t frame_limit, struct arena *a, struct wfdb_measure *out,
                                   struct err *e);

/* Where one signal goes. */
struct wfdb_destination {
    int32_t *values; /* [frames * per_frame_out]; NULL: decode and sum only */
    /* Filled: */
    uint16_t checksum; /* of all frames read, in stored order */
    int64_t initial;   /* first stored sample */
    bool has_initial;
};

struct wfdb_span {
    int64_t begin, end; /* frames wanted, after skew is undone */
    int64_t available;  /* frames to read at most: declared or measured, whichever is less */
    int per_frame_out;  /* 1: signals with more samples in a frame give the mean of the frame
                           (invalid if one of them is; rounded toward zero as WFDB does);
                           otherwise each sample in turn, slower signals held */
    bool verify;        /* read all `available` frames so that the checksums are of the whole */
};

/* Decodes the span of every signal. destinations [signal_count]; values must be filled with
 * ADC_INVALID before: frames that are not there (skew, short file) are left alone.
 * *frames_read is the count of whole frames that could be decoded in all files: less than
 * `available` only if a file changed or a FLAC stream is damaged.
 * Errors: ERR_NOT_FOUND, ERR_IO, ERR_FORMAT, ERR_MEMORY. */
enum err_code wfdb_signals_read(const struct wfdb_header *h, const char *folder,
                                const struct wfdb_span *span, struct wfdb_destination *destinations,
                                int64_t *frames_read, struct err *e);

#endif
