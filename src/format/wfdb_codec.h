/* WFDB storage formats: one row each, and decoding of bytes to digital values. Nothing here knows
 * gains or units.
 *
 *   8       signed first differences, one byte        61   16 bits, big endian
 *   16 24 32  two's complement, little endian         80   8 bits, offset by 128
 *   160     16 bits, offset by 32768                  0    nothing stored
 *   212     two 12-bit samples in three bytes:        a7..a0 | b11..b8 a11..a8 | b7..b0
 *   310     three 10-bit samples in two 16-bit words: c4..c0 a9..a0 x | c9..c5 b9..b0 x
 *   311     three 10-bit samples in one 32-bit word:  xx c9..c0 b9..b0 a9..a0
 *   508 516 524  FLAC of 8, 16, 24 bits (decoded by libsndfile in wfdb_signal.c)
 *
 * Source: WFDB Applications Guide, signal(5). */
#ifndef ECGFM_FORMAT_WFDB_CODEC_H
#define ECGFM_FORMAT_WFDB_CODEC_H

#include <stdbool.h>
#include <stdint.h>

struct wfdb_codec {
    int number; /* as in the header */
    int bits;
    int32_t min, max; /* values that can be stored (of a difference for format 8) */
    bool has_invalid;
    int32_t invalid; /* code of an invalid sample; also `min` where there is one */
    int block_samples, block_bytes;
    int tail_bytes[3]; /* bytes that hold the first 0, 1, 2 samples of a block */
    bool is_difference;
    bool is_flac;
    /* Decodes the first count samples from a block boundary on; reads wfdb_codec_bytes(count). NULL
     * for formats 0 and FLAC. */
    void (*decode)(const unsigned char *in, int64_t count, int32_t *out);
};

/* All rows, ended by one with bits 0 and number -1. */
extern const struct wfdb_codec wfdb_codecs[];

/* The row of a format number, or NULL. */
const struct wfdb_codec *wfdb_codec_find(int64_t number);

/* Whole samples that lie in the first `bytes` bytes, and bytes that hold `samples` samples; not for
 * FLAC and format 0. */
int64_t wfdb_codec_samples(const struct wfdb_codec *codec, int64_t bytes);
int64_t wfdb_codec_bytes(const struct wfdb_codec *codec, int64_t samples);

#endif
