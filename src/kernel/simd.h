/* Float vectors of the instruction set a file is compiled for: `vf` of VF lanes (16 with AVX-512,
 * 8 with AVX2 and FMA, else 4 by the compiler's generic vectors, which covers SSE2 and NEON).
 * + - * / work on vf; what operators cannot say is a function here. Included only by
 * vector_kernels.inc. A lane's result never depends on its neighbours, so that the last, partly
 * filled vector of an array is computed like any other. */
#ifndef ECGFM_KERNEL_SIMD_H
#define ECGFM_KERNEL_SIMD_H

#include <stdint.h>
#include <string.h>

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

/* Whether vf_fma() rounds once. */
#if defined(__AVX2__) || defined(__aarch64__)
#define VF_FUSES 1
#else
#define VF_FUSES 0
#endif

/* Beside it no fraction bits are left: x + VF_SHIFT has the nearest integer of x, |x| < 2^22, and 127
 * more, the exponent of 2^x, in its low bits. */
#define VF_SHIFT (12582912.0f + 127)

#if defined(__AVX512F__) && defined(__AVX512DQ__)

#define VF 16
typedef __m512 vf;

static inline vf vf_set(float x) { return _mm512_set1_ps(x); }
static inline vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void vf_store(float *p, vf x) { _mm512_storeu_ps(p, x); }
static inline __mmask16 vf_lanes(int lanes) { return (__mmask16)((1u << lanes) - 1); }
static inline vf vf_load_part(const float *p, int lanes)
{
    return _mm512_maskz_loadu_ps(vf_lanes(lanes), p);
}
static inline void vf_store_part(float *p, vf x, int lanes)
{
    _mm512_mask_storeu_ps(p, vf_lanes(lanes), x);
}
static inline vf vf_keep(vf x, int lanes) { return _mm512_maskz_mov_ps(vf_lanes(lanes), x); }
/* a b + c and c - a b, rounded once where the machine can. */
static inline vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
static inline vf vf_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); }
/* a > b ? a : b and a < b ? a : b; b where either is NaN. */
static inline vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
static inline vf vf_min(vf a, vf b) { return _mm512_min_ps(a, b); }
/* a < b ? x : y */
static inline vf vf_if_less(vf a, vf b, vf x, vf y)
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
}
static inline vf vf_abs(vf x) { return _mm512_abs_ps(x); }
static inline vf vf_sqrt(vf x) { return _mm512_sqrt_ps(x); }
/* 2^n for z = n + VF_SHIFT, n in -126..127; 0 for -127. */
static inline vf vf_power2(vf z)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(z), 23));
}
static inline float vf_sum(vf x) { return _mm512_reduce_add_ps(x); }
static inline float vf_highest(vf x) { return _mm512_reduce_max_ps(x); }

/* Double sums of squares, lane by lane. */
typedef struct {
    __m512d low, high;
} vd;
static inline vd vd_zero(void) { return (vd){_mm512_setzero_pd(), _mm512_setzero_pd()}; }
static inline vd vd_add_square(vd s, vf x)
{
    __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(x));
    __m512d high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1));
    return (vd){_mm512_fmadd_pd(low, low, s.low), _mm512_fmadd_pd(high, high, s.high)};
}
static inline double vd_sum(vd s) { return _mm512_reduce_add_pd(_mm512_add_pd(s.low, s.high)); }

#elif defined(__AVX2__) && defined(__FMA__)

#define VF 8
typedef __m256 vf;

/* As above, with 256-bit registers. */
static inline vf vf_set(float x) { return _mm256_set1_ps(x); }
static inline vf vf_load(const float *p) { return _mm256_loadu_ps(p); }
static inline void vf_store(float *p, vf x) { _mm256_storeu_ps(p, x); }
static inline __m256i vf_lanes(int lanes)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(lanes), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline vf vf_load_part(const float *p, int lanes)
{
    return _mm256_maskload_ps(p, vf_lanes(lanes));
}
static inline void vf_store_part(float *p, vf x, int lanes)
{
    _mm256_maskstore_ps(p, vf_lanes(lanes), x);
}
static inline vf vf_keep(vf x, int lanes)
{
    return _mm256_and_ps(x, _mm256_castsi256_ps(vf_lanes(lanes)));
}
static inline vf vf_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
static inline vf vf_fnma(vf a, vf b, vf c) { return _mm256_fnmadd_ps(a, b, c); }
static inline vf vf_max(vf a, vf b) { return _mm256_max_ps(a, b); }
static inline vf vf_min(vf a, vf b) { return _mm256_min_ps(a, b); }
static inline vf vf_if_less(vf a, vf b, vf x, vf y)
{
    return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}
static inline vf vf_abs(vf x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x); }
static inline vf vf_sqrt(vf x) { return _mm256_sqrt_ps(x); }
static inline vf vf_power2(vf z)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(z), 23));
}

/* Double sums of squares. */
typedef struct {
    __m256d low, high;
} vd;
static inline vd vd_zero(void) { return (vd){_mm256_setzero_pd(), _mm256_setzero_pd()}; }
static inline vd vd_add_square(vd s, vf x)
{
    __m256d low = _mm256_cvtps_pd(_mm256_castps256_ps128(x));
    __m256d high = _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1));
    return (vd){_mm256_fmadd_pd(low, low, s.low), _mm256_fmadd_pd(high, high, s.high)};
}
static inline double vd_sum(vd s)
{
    double d[4];
    _mm256_storeu_pd(d, _mm256_add_pd(s.low, s.high));
    return (d[0] + d[2]) + (d[1] + d[3]);
}

#else

#define VF 4
typedef float vf __attribute__((vector_size(16)));
typedef int32_t vf_bits __attribute__((vector_size(16)));
typedef uint32_t vf_words __attribute__((vector_size(16)));

/* As above, in the compiler's generic vectors. */
static inline vf vf_set(float x) { return (vf){x, x, x, x}; }
static inline vf vf_load(const float *p)
{
    vf x;
    memcpy(&x, p, sizeof x);
    return x;
}
static inline void vf_store(float *p, vf x) { memcpy(p, &x, sizeof x); }
static inline vf vf_load_part(const float *p, int lanes)
{
    vf x = {0};
    for (int i = 0; i < lanes; i++)
        x[i] = p[i];
    return x;
}
static inline void vf_store_part(float *p, vf x, int lanes)
{
    for (int i = 0; i < lanes; i++)
        p[i] = x[i];
}
static inline vf vf_select(vf_bits mask, vf x, vf y)
{
    return (vf)((mask & (vf_bits)x) | (~mask & (vf_bits)y));
}
static inline vf vf_keep(vf x, int lanes)
{
    return (vf)((vf_bits)x & ((vf_bits){0, 1, 2, 3} < lanes));
}
#if defined(__aarch64__)
static inline vf vf_fma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
static inline vf vf_fnma(vf a, vf b, vf c) { return vfmsq_f32(c, a, b); }
#else
static inline vf vf_fma(vf a, vf b, vf c) { return a * b + c; }
static inline vf vf_fnma(vf a, vf b, vf c) { return c - a * b; }
#endif
static inline vf vf_max(vf a, vf b) { return vf_select(a > b, a, b); }
static inline vf vf_min(vf a, vf b) { return vf_select(a < b, a, b); }
static inline vf vf_if_less(vf a, vf b, vf x, vf y) { return vf_select(a < b, x, y); }
static inline vf vf_abs(vf x) { return (vf)((vf_bits)x & 0x7fffffff); }
static inline vf vf_sqrt(vf x)
{
    for (int i = 0; i < VF; i++)
        x[i] = __builtin_sqrtf(x[i]);
    return x;
}
static inline vf vf_power2(vf z) { return (vf)((vf_words)z << 23); }

/* Double sums of squares. */
typedef struct {
    double lane[4];
} vd;
static inline vd vd_zero(void) { return (vd){{0}}; }
static inline vd vd_add_square(vd s, vf x)
{
    for (int i = 0; i < 4; i++)
        s.lane[i] += (double)x[i] * x[i];
    return s;
}
static inline double vd_sum(vd s) { return (s.lane[0] + s.lane[2]) + (s.lane[1] + s.lane[3]); }

#endif

#if VF < 16
/* Over all lanes, in an order fixed by their number. */
static inline float vf_sum(vf x)
{
    float f[VF];
    vf_store(f, x);
    for (int width = VF / 2; width; width /= 2)
        for (int i = 0; i < width; i++)
            f[i] += f[i + width];
    return f[0];
}
static inline float vf_highest(vf x)
{
    float f[VF];
    vf_store(f, x);
    for (int i = 1; i < VF; i++)
        if (f[i] > f[0])
            f[0] = f[i];
    return f[0];
}
#endif

/* 2^(n + r) for z = n + VF_SHIFT, n as in vf_power2, |r| <= 1/2, to 1e-7 relative. */
static inline vf vf_power2_near(vf z, vf r)
{
    vf p = vf_set(1.535337013e-4f);
    p = vf_fma(p, r, vf_set(1.339887395e-3f));
    p = vf_fma(p, r, vf_set(9.618437357e-3f));
    p = vf_fma(p, r, vf_set(5.550332471e-2f));
    p = vf_fma(p, r, vf_set(2.402264791e-1f));
    p = vf_fma(p, r, vf_set(6.931472029e-1f));
    p = vf_fma(p, r, vf_set(1));
    return p * vf_power2(z);
}

/* 2^x to 1e-7 relative for x <= 127, 0 below -126.5; NaN stays. */
static inline vf vf_exp2(vf x)
{
    vf clamped = vf_max(vf_set(-127), x);
    vf z = clamped + vf_set(VF_SHIFT);
    return vf_power2_near(z, clamped - (z - vf_set(VF_SHIFT)));
}

/* Body of an elementwise loop over n elements: i is the first element of a vector, `lanes` how
 * many of its lanes are in the array. Whole vectors first; the compiler sees lanes as a constant
 * there, so load and store below are plain. */
#define EACH_VECTOR(n, ...)                                                                        \
    do {                                                                                           \
        int64_t i = 0;                                                                             \
        for (; i + VF <= (n); i += VF) {                                                           \
            const int lanes = VF;                                                                  \
            __VA_ARGS__                                                                            \
        }                                                                                          \
        if (i < (n)) {                                                                             \
            const int lanes = (int)((n)-i);                                                        \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    } while (0)

static inline vf load(const float *p, int lanes)
{
    return lanes == VF ? vf_load(p) : vf_load_part(p, lanes);
}
static inline void store(float *p, vf x, int lanes)
{
    if (lanes == VF)
        vf_store(p, x);
    else
        vf_store_part(p, x, lanes);
}
/* Zero in the lanes outside the array, for sums. */
static inline vf keep(vf x, int lanes) { return lanes == VF ? x : vf_keep(x, lanes); }

#endif
