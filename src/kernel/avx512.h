/* What the AVX-512 files of low precision share: masks of lanes, and a GELU that is as good as their
 * products. Included only by files compiled for AVX-512. */
#ifndef ECGFM_KERNEL_AVX512_H
#define ECGFM_KERNEL_AVX512_H

#include <immintrin.h>
#include <stdint.h>

enum { LANES = 16 };

/* The first of 16 lanes; all from 16 on. */
static inline __mmask16 lanes_mask(int64_t lanes)
{
    return (__mmask16)(lanes >= LANES ? 0xffff : (1u << lanes) - 1);
}

/* GELU is max(0, x) - h(|x|), NaN for -infinity, h(a) = a times the normal integral up to -a: a cubic
 * on each of 15 pieces of 0.35, zero from 5.25 on; within 1e-5, and its slope, that of the cubics,
 * within 1e-3. */
static const float gelu_cubic[4][LANES] = {
    {0, 1.2710518e-01f, 1.6937514e-01f, 1.5420573e-01f, 1.1306345e-01f, 7.0106215e-02f,
     3.7516235e-02f, 1.7499756e-02f, 7.1538985e-03f, 2.5711159e-03f, 8.1397664e-04f, 2.2727672e-04f,
     5.6015770e-05f, 1.2193373e-05f, 2.3451354e-06f, 0},
    {1.7523735e-01f, 8.1274166e-02f, 8.1672628e-03f, -3.3199563e-02f, -4.5233964e-02f,
     -3.8910619e-02f, -2.6106158e-02f, -1.4506533e-02f, -6.8479410e-03f, -2.7823121e-03f,
     -9.8037976e-04f, -3.0102535e-04f, -8.0802736e-05f, -1.9003966e-05f, -3.9226057e-06f, 0},
    {-5.0064608e-02f, -4.3834538e-02f, -2.8814427e-02f, -1.2055037e-02f, 2.9825235e-04f,
     6.0568614e-03f, 6.6546679e-03f, 4.8470407e-03f, 2.7573540e-03f, 1.2919267e-03f, 5.1083109e-04f,
     1.7274422e-04f, 5.0369825e-05f, 1.2733091e-05f, 2.8012112e-06f, 0},
    {1.9369392e-03f, 4.8265872e-03f, 5.4754391e-03f, 4.1122094e-03f, 1.9797227e-03f, 2.6514785e-04f,
     -5.6418907e-04f, -6.8614732e-04f, -4.9227407e-04f, -2.6688947e-04f, -1.1724606e-04f,
     -4.3026442e-05f, -1.3407489e-05f, -3.5830602e-06f, -8.2662557e-07f, 0}};

/* The piece that |x| lies in, and where in it, 0 to 1. */
static inline __m512 gelu_place(__m512 x, __m512i *piece)
{
    __m512 t = _mm512_min_ps(_mm512_set1_ps(15),
                             _mm512_mul_ps(_mm512_abs_ps(x), _mm512_set1_ps(1 / 0.35f)));
    __m512 floor = _mm512_roundscale_ps(t, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
    *piece = _mm512_castps_si512(_mm512_add_ps(floor, _mm512_set1_ps(8388608)));
    return _mm512_sub_ps(t, floor);
}

/* Of u^power. */
static inline __m512 gelu_coefficient(int power, __m512i piece)
{
    return _mm512_permutexvar_ps(piece, _mm512_loadu_ps(gelu_cubic[power]));
}

/* The activation. */
static inline __m512 gelu(__m512 x)
{
    __m512i piece;
    __m512 u = gelu_place(x, &piece), h = gelu_coefficient(3, piece);
    for (int power = 2; power >= 0; power--)
        h = _mm512_fmadd_ps(h, u, gelu_coefficient(power, piece));
    __mmask16 negative = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ);
    return _mm512_sub_ps(_mm512_mask_mul_ps(x, negative, x, _mm512_setzero_ps()), h);
}

/* Its derivative. */
static inline __m512 gelu_slope(__m512 x)
{
    __m512i piece;
    __m512 u = gelu_place(x, &piece), scale = _mm512_set1_ps(1 / 0.35f);
    __m512 three = _mm512_mul_ps(_mm512_set1_ps(3), gelu_coefficient(3, piece));
    __m512 two = _mm512_mul_ps(_mm512_set1_ps(2), gelu_coefficient(2, piece));
    __m512 h = _mm512_fmadd_ps(_mm512_fmadd_ps(three, u, two), u, gelu_coefficient(1, piece));
    h = _mm512_mul_ps(h, scale);
    __mmask16 positive = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GT_OQ);
    return _mm512_mask_sub_ps(h, positive, _mm512_set1_ps(1), h);
}

/* On n elements; y may be x. */
static inline void gelu_row(float *y, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i += LANES) {
        __mmask16 mask = lanes_mask(n - i);
        _mm512_mask_storeu_ps(y + i, mask, gelu(_mm512_maskz_loadu_ps(mask, x + i)));
    }
}

#endif
