/* MIT annotation files (.atr, .qrs, ...): beats, rhythms and notes at sample times.
 *
 * Words of 16 bits, little endian: the high 6 bits say what, the low 10 bits how much.
 *   0 with 0          end
 *   1..49             annotation of this code, so many ticks after the one before
 *   59 SKIP           the next 4 bytes (high word first) are added to the time
 *   60 NUM, 62 CHN    number and channel of the annotation before, and of all that follow
 *   61 SUB            subtype of the annotation before
 *   63 AUX            so many bytes of text, padded to an even count
 * Codes 0 (not a beat) only move the time. Notes at the beginning that define codes or the time
 * resolution ("## ...") are taken in, not listed.
 * Source: WFDB Applications Guide, annot(5). */
#ifndef ECGFM_FORMAT_WFDB_ANNOTATION_H
#define ECGFM_FORMAT_WFDB_ANNOTATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

#define WFDB_ANNOTATION_BYTES_MAX ((size_t)16 << 20)
#define WFDB_ANNOTATION_CODES 64

enum {
    ANNOTATION_NOTE = 22,   /* symbol " */
    ANNOTATION_RHYTHM = 28, /* symbol +, the rhythm in aux: "(AFIB" */
};

struct wfdb_annotation {
    int64_t sample; /* ticks of rate_hz */
    uint8_t code;
    uint8_t channel;
    int8_t subtype, number;
    uint16_t aux_length; /* bytes; may hold NULs */
    const char *aux;     /* terminated; NULL if there is none */
};

struct wfdb_annotations {
    struct arena arena;
    int64_t count;
    struct wfdb_annotation *items;              /* in file order */
    double rate_hz;                             /* of the times; 0: that of the record */
    bool truncated;                             /* the file ends without its end mark */
    const char *symbols[WFDB_ANNOTATION_CODES]; /* of this file, after its own definitions */
    const char *descriptions[WFDB_ANNOTATION_CODES];
};

/* Reads a file, or the same from memory (name is for messages). Initializes *out; the caller frees it
 * also after an error.
 * Errors: ERR_NOT_FOUND, ERR_IO, ERR_LIMIT (more than WFDB_ANNOTATION_BYTES_MAX), ERR_MEMORY. A file that stops early gives what it has, with `truncated`. */
enum err_code wfdb_annotations_read(const char *path, struct wfdb_annotations *out, struct err *e);
enum err_code wfdb_annotations_parse(const void *data, size_t size, const char *name,
                                     struct wfdb_annotations *out, struct err *e);
void wfdb_annotations_free(struct wfdb_annotations *a); /* accepts a zeroed struct */

/* True for codes that mark a heart beat (N, V, A, ...). */
bool wfdb_annotation_is_beat(int code);

#endif
