#include "kernel/storage.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define INT8_LARGEST 127

static const struct {
    const char *name;
    size_t bytes;
} storages[] = {
    [STORAGE_F32] = {"f32", 4}, [STORAGE_BF16] = {"bf16", 2}, [STORAGE_INT8] = {"int8", 1}};

const char *storage_name(enum storage storage) { return storages[storage].name; }

size_t storage_bytes(enum storage storage) { return storages[storage].bytes; }

static uint16_t bf16_round(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    uint32_t magnitude = bits & 0x7fffffffu;
    uint32_t rounded = (magnitude + 0x7fffu + (magnitude >> 16 & 1)) >> 16;
    if (rounded > 0x7f7fu) /* would be infinity */
        rounded = 0x7f7fu;
    return (uint16_t)(rounded | (bits >> 16 & 0x8000u));
}

static float bf16_value(uint16_t x)
{
    uint32_t bits = (uint32_t)x << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void int8_round(int8_t *out, float *scale, const float *x, int64_t K)
{
    float largest = 0;
    for (int64_t k = 0; k < K; k++)
        largest = fmaxf(largest, fabsf(x[k]));
    *scale = largest / INT8_LARGEST;
    if (*scale < FLT_MIN) { /* no full precision below it */
        *scale = 1;
        memset(out, 0, (size_t)K);
        return;
    }
    for (int64_t k = 0; k < K; k++) {
        float q = nearbyintf(x[k] / *scale);
        out[k] = (int8_t)fmaxf(fminf(q, INT8_LARGEST), -INT8_LARGEST);
    }
}

void weight_round(void *data, float *scale, const float *x, int64_t N, int64_t K,
                  enum storage storage)
{
    switch (storage) {
    case STORAGE_F32:
        memcpy(data, x, (size_t)(N * K) * sizeof *x);
        break;
    case STORAGE_BF16:
        for (int64_t i = 0; i < N * K; i++)
            ((uint16_t *)data)[i] = bf16_round(x[i]);
        break;
    case STORAGE_INT8:
        for (int64_t n = 0; n < N; n++)
            int8_round((int8_t *)data + n * K, &scale[n], x + n * K, K);
        break;
    }
}

void weight_to_f32(float *out, const struct weight *w, int64_t N, int64_t K)
{
    switch (w->storage) {
    case STORAGE_F32:
        memcpy(out, w->data, (size_t)(N * K) * sizeof *out);
        break;
    case STORAGE_BF16:
        for (int64_t i = 0; i < N * K; i++)
            out[i] = bf16_value(((const uint16_t *)w->data)[i]);
        break;
    case STORAGE_INT8:
        for (int64_t n = 0; n < N; n++)
            for (int64_t i = n * K; i < (n + 1) * K; i++)
                out[i] = w->scale[n] * (float)((const int8_t *)w->data)[i];
        break;
    }
}

/* Whole blocks are looked through without a branch; only a bad one is searched. */
enum { BLOCK = 4096 };

static int64_t f32_first_bad(const float *x, int64_t n)
{
    for (int64_t from = 0; from < n; from += BLOCK) {
        int64_t to = from + BLOCK < n ? from + BLOCK : n;
        int32_t bad = 0;
        for (int64_t i = from; i < to; i++) {
            int32_t bits;
            memcpy(&bits, &x[i], sizeof bits);
            bad |= (bits & 0x7f800000) == 0x7f800000;
        }
        for (int64_t i = from; bad && i < to; i++)
            if (!isfinite(x[i]))
                return i;
    }
    return -1;
}

static int64_t bf16_first_bad(const uint16_t *x, int64_t n)
{
    for (int64_t from = 0; from < n; from += BLOCK) {
        int64_t to = from + BLOCK < n ? from + BLOCK : n;
        int16_t bad = 0;
        for (int64_t i = from; i < to; i++)
            bad |= (int16_t)((x[i] & 0x7f80) == 0x7f80);
        for (int64_t i = from; bad && i < to; i++)
            if ((x[i] & 0x7f80) == 0x7f80)
                return i;
    }
    return -1;
}

int64_t weight_first_bad(const struct weight *w, int64_t N, int64_t K)
{
    if (w->storage == STORAGE_F32)
        return f32_first_bad(w->data, N * K);
    if (w->storage == STORAGE_BF16)
        return bf16_first_bad(w->data, N * K);
    for (int64_t n = 0; n < N; n++)
        if (!isfinite(w->scale[n]) || !(w->scale[n] > 0))
            return n;
    return -1;
}
