/* WFDB header files (.hea): text to a struct, strict in geometry and liberal in dates. Every header
 * is hostile: each refused field is named with its line, what was expected and what was found.
 *
 *   NAME[/SEGMENTS] SIGNALS [RATE[/COUNTER[(BASE)]] [SAMPLES [TIME] [DATE]]]
 *   FILE FORMAT[xPER_FRAME][:SKEW][+OFFSET] [GAIN[(BASELINE)][/UNIT] [BITS [ZERO [INITIAL
 *       [CHECKSUM [BLOCK [NAME]]]]]]]                    one line per signal, or
 *   SEGMENT SAMPLES                                      one line per segment ("~": a gap)
 *   # comment
 *
 * Nouns: a `frame` is what all signals record between two ticks of the header's rate; a signal has
 * one or several samples in each frame.
 * Source: WFDB Applications Guide, header(5). */
#ifndef ECGFM_FORMAT_WFDB_HEADER_H
#define ECGFM_FORMAT_WFDB_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "format/wfdb_codec.h"

#define WFDB_HEADER_BYTES_MAX ((size_t)8 << 20)
#define WFDB_SIGNALS_MAX 1024
#define WFDB_SEGMENTS_MAX 100000
#define WFDB_PER_FRAME_MAX 65536 /* samples of one signal in a frame */
#define WFDB_FRAME_MAX (1 << 20) /* samples of all signals in a frame */
#define WFDB_RATE_MAX_HZ 1e7
#define WFDB_DEFAULT_RATE_HZ 250.0
#define WFDB_DEFAULT_GAIN 200.0

struct wfdb_signal {
    const char *file; /* relative to the header's folder, never outside of it */
    const struct wfdb_codec *codec;
    int64_t per_frame; /* samples in each frame */
    int64_t skew;      /* frames by which this signal comes late in the file */
    int64_t offset;    /* bytes before the first sample */
    double gain;       /* ADC units per physical unit, never 0 */
    bool has_gain;     /* false: WFDB_DEFAULT_GAIN was put in */
    int64_t baseline;  /* ADC value of physical 0 */
    const char *unit;  /* "mV" if the header names none */
    int64_t adc_bits, adc_zero;
    int64_t initial; /* first sample in the file, adc_zero if not declared */
    bool has_initial;
    uint16_t checksum; /* sum of all samples of the signal, modulo 2^16 */
    bool has_checksum;
    const char *name;
    int line;
};

struct wfdb_segment {
    const char *name;     /* record name, or "~" for a gap */
    int64_t sample_count; /* frames; 0 for the layout of a variable-layout record */
    int line;
};

struct wfdb_header {
    const char *path; /* for messages */
    const char *name;
    double rate_hz; /* of frames */
    bool has_rate;
    double counter_hz, base_counter; /* 0: not given */
    int64_t sample_count;            /* frames; -1: not given (0 in the file means that too) */
    const char *time, *date;         /* as written, NULL if not given */
    const char *unread;              /* rest of the record line that is neither, or NULL */
    int64_t signal_count;
    struct wfdb_signal *signals; /* [signal_count]; NULL in a multi-segment header */
    int64_t segment_count;       /* 0: a plain record */
    struct wfdb_segment *segments;
    int64_t comment_count;
    const char **comments; /* trimmed, without '#', valid UTF-8; empty ones left out */
};

/* Parses header text; all strings go to the arena. path is for messages.
 * Errors: ERR_FORMAT (a field, a missing or surplus line, a path out of the folder), ERR_RATE,
 * ERR_LIMIT (a count above the bounds above), ERR_UNSUPPORTED (storage format), ERR_MEMORY. */
enum err_code wfdb_header_parse(const char *text, size_t size, const char *path, struct arena *a,
                                struct wfdb_header *out, struct err *e);

/* Reads and parses a .hea file of at most WFDB_HEADER_BYTES_MAX. */
enum err_code wfdb_header_read(const char *path, struct arena *a, struct wfdb_header *out,
                               struct err *e);

/* The .hea file that a user means by path: itself, "path.hea", or the header beside a signal or
 * annotation file of that name. NULL if there is none (or no memory). */
const char *wfdb_header_path(const char *path, struct arena *a);

#endif
