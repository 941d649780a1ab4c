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
    /* number, bits, min, max, has_invalid, invalid, block_samples, block_bytes, tail_bytes,
     * is_difference, is_flac, decode */
    {0, 0, 0, 0, false, 0, 0, 0, {0}, false, false, NULL},
    {8, 8, -128, 127, false, 0, 1, 1, {0}, true, false, decode_8},
    {16, 16, -32768, 32767, true, -32768, 1, 2, {0}, false, false, decode_16},
    {24, 24, -8388608, 8388607, true, -8388608, 1, 3, {0}, false, false, decode_24},
    {32, 32, INT32_MIN, INT32_MAX, true, INT32_MIN, 1, 4, {0}, false, false, decode_32},
    {61, 16, -32768, 32767, true, -32768, 1, 2, {0}, false, false, decode_61},
    {80, 8, -128, 127, true, -128, 1, 1, {0}, false, false, decode_80},
    {160, 16, -32768, 32767, true, -32768, 1, 2, {0}, false, false, decode_160},
    {212, 12, -2048, 2047, true, -2048, 2, 3, {0, 2}, false, false, decode_212},
    {310, 10, -512, 511, true, -512, 3, 4, {0, 2, 4}, false, false, decode_310},
    {311, 10, -512, 511, true, -512, 3, 4, {0, 2, 3}, false, false, decode_311},
    {508, 8, -128, 127, true, -128, 0, 0, {0}, false, true, NULL},
    {516, 16, -32768, 32767, true, -32768, 0, 0, {0}, false, true, NULL},
    {524, 24, -8388608, 8388607, true, -8388608, 0, 0, {0}, false, true, NULL},
    {-1, 0, 0, 0, false, 0, 0, 0, {0}, false, false, NULL},
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
