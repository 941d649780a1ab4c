#include "format/wfdb_codec.h"

#include <stddef.h>

/* The value of the low `bits` bits as two's complement. */
static int32_t sign_extend(uint32_t value, int bits)
{
    uint32_t sign = UINT32_C(1) << (bits - 1);
    value &= (sign << 1) - 1; /* bits 32: (0 - 1), all ones */
    return (int32_t)((int64_t)(value ^ sign) - (int64_t)sign);
}

static uint32_t little16(const unsigned char *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8; }

static void decode_8(const unsigned char *in, int64_t count, int32_t *out)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = sign_extend(in[i], 8);
}

static void decode_80(const unsigned char *in, int64_t count, int32_t *out)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = (int32_t)in[i] - 128;
}

static void decode_16(const unsigned char *in, int64_t count, int32_t *out)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = (int16_t)little16(in + 2 * i);
}

static void decode_61(const unsigned char *in, int64_t count, int32_t *out)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = (int16_t)((uint32_t)in[2 * i] << 8 | in[2 * i + 1]);
}

static void decode_160(const unsigned char *in, int64_t count, int32_t *out)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = (int32_t)little16(in + 2 * i) - 32768;
}

static void decode_24(const unsigned char *in, int64_t count, int32_t *out)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = sign_extend(little16(in + 3 * i) | (uint32_t)in[3 * i + 2] << 16, 24);
}

static void decode_32(const unsigned char *in, int64_t count, int32_t *out)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = (int32_t)(little16(in + 4 * i) | little16(in + 4 * i + 2) << 16);
}

static void decode_212(const unsigned char *in, int64_t count, int32_t *out)
{
    for (; count >= 2; count -= 2, in += 3, out += 2) {
        out[0] = sign_extend((uint32_t)in[0] | (in[1] & 0x0fu) << 8, 12);
        out[1] = sign_extend((uint32_t)in[2] | (in[1] & 0xf0u) << 4, 12);
    }
    if (count == 1)
        out[0] = sign_extend((uint32_t)in[0] | (in[1] & 0x0fu) << 8, 12);
}

static void decode_310(const unsigned char *in, int64_t count, int32_t *out)
{
    for (; count >= 3; count -= 3, in += 4, out += 3) {
        uint32_t a = little16(in), b = little16(in + 2);
        out[0] = sign_extend(a >> 1, 10);
        out[1] = sign_extend(b >> 1, 10);
        out[2] = sign_extend(a >> 11 | (b >> 11) << 5, 10);
    }
    if (count >= 1)
        out[0] = sign_extend(little16(in) >> 1, 10);
    if (count == 2)
        out[1] = sign_extend(little16(in + 2) >> 1, 10);
}

static void decode_311(const unsigned char *in, int64_t count, int32_t *out)
{
    for (; count >= 3; count -= 3, in += 4, out += 3) {
        uint32_t word = little16(in) | little16(in + 2) << 16;
        out[0] = sign_extend(word, 10);
        out[1] = sign_extend(word >> 10, 10);
        out[2] = sign_extend(word >> 20, 10);
    }
    if (count >= 1)
        out[0] = sign_extend(little16(in), 10);
    if (count == 2)
        out[1] = sign_extend(little16(in + 1) >> 2, 10); /* bits 10..19 */
}

const struct wfdb_codec wfdb_codecs[] = {
    {.number = 0},
    {.number = 8,
     .bits = 8,
     .min = -128,
     .max = 127,
     .block_samples = 1,
     .block_bytes = 1,
     .is_difference = true,
     .decode = decode_8},
    {.number = 16,
     .bits = 16,
     .min = -32768,
     .max = 32767,
     .has_invalid = true,
     .invalid = -32768,
     .block_samples = 1,
     .block_bytes = 2,
     .decode = decode_16},
    {.number = 24,
     .bits = 24,
     .min = -8388608,
     .max = 8388607,
     .has_invalid = true,
     .invalid = -8388608,
     .block_samples = 1,
     .block_bytes = 3,
     .decode = decode_24},
    {.number = 32,
     .bits = 32,
     .min = INT32_MIN,
     .max = INT32_MAX,
     .has_invalid = true,
     .invalid = INT32_MIN,
     .block_samples = 1,
     .block_bytes = 4,
     .decode = decode_32},
    {.number = 61,
     .bits = 16,
     .min = -32768,
     .max = 32767,
     .has_invalid = true,
     .invalid = -32768,
     .block_samples = 1,
     .block_bytes = 2,
     .decode = decode_61},
    {.number = 80,
     .bits = 8,
     .min = -128,
     .max = 127,
     .has_invalid = true,
     .invalid = -128,
     .block_samples = 1,
     .block_bytes = 1,
     .decode = decode_80},
    {.number = 160,
     .bits = 16,
     .min = -32768,
     .max = 32767,
     .has_invalid = true,
     .invalid = -32768,
     .block_samples = 1,
     .block_bytes = 2,
     .decode = decode_160},
    {.number = 212,
     .bits = 12,
     .min = -2048,
     .max = 2047,
     .has_invalid = true,
     .invalid = -2048,
     .block_samples = 2,
     .block_bytes = 3,
     .tail_bytes = {0, 2},
     .decode = decode_212},
    {.number = 310,
     .bits = 10,
     .min = -512,
     .max = 511,
     .has_invalid = true,
     .invalid = -512,
     .block_samples = 3,
     .block_bytes = 4,
     .tail_bytes = {0, 2, 4},
     .decode = decode_310},
    {.number = 311,
     .bits = 10,
     .min = -512,
     .max = 511,
     .has_invalid = true,
     .invalid = -512,
     .block_samples = 3,
     .block_bytes = 4,
     .tail_bytes = {0, 2, 3},
     .decode = decode_311},
    {.number = 508,
     .bits = 8,
     .min = -128,
     .max = 127,
     .has_invalid = true,
     .invalid = -128,
     .is_flac = true},
    {.number = 516,
     .bits = 16,
     .min = -32768,
     .max = 32767,
     .has_invalid = true,
     .invalid = -32768,
     .is_flac = true},
    {.number = 524,
     .bits = 24,
     .min = -8388608,
     .max = 8388607,
     .has_invalid = true,
     .invalid = -8388608,
     .is_flac = true},
    {.number = -1},
};

const struct wfdb_codec *wfdb_codec_find(int64_t number)
{
    for (const struct wfdb_codec *c = wfdb_codecs; c->number >= 0; c++)
        if (c->number == number)
            return c;
    return NULL;
}

int64_t wfdb_codec_samples(const struct wfdb_codec *codec, int64_t bytes)
{
    int64_t samples = bytes / codec->block_bytes * codec->block_samples;
    int64_t rest = bytes % codec->block_bytes;
    int tail = 0;
    while (tail + 1 < codec->block_samples && codec->tail_bytes[tail + 1] <= rest)
        tail++;
    return samples + tail;
}

int64_t wfdb_codec_bytes(const struct wfdb_codec *codec, int64_t samples)
{
    return samples / codec->block_samples * codec->block_bytes +
           codec->tail_bytes[samples % codec->block_samples];
}
