#if defined(__x86_64__)
#include "kernel/bf16.h"

#include "kernel/attention.h"
#include "kernel/avx512.h"

#include <math.h>
#include <string.h>

static int64_t min_i64(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/* A tile of C, ROWS x COLUMNS, stays in 24 of 32 registers while k runs. Operands are packed to
 * pairs of bf16 along k: groups of ROWS rows of A, each [K/2][ROWS]; panels of COLUMNS columns of B,
 * each [K/2][COLUMNS]; zero past an odd K. */
enum {
    ROWS = 12,
    COLUMNS = BF16_COLUMNS,
    BLOCK_K = 768,  /* even */
    BLOCK_M = 240,  /* a block of A, at most BLOCK_M x BLOCK_K, stays in the second-level cache */
    BLOCK_N = 1024, /* of B where it is packed for this product alone */
    AHEAD = 4       /* lines of the next panel of B, not yet packed, that a tile asks for */
};

/* ---- packing --------------------------------------------------------------------------------- */

/* The same pair of lines from each of 16 registers: register i becomes lane i of all. */
static inline void transpose16(__m512i r[LANES])
{
    __m512i t[LANES];
#pragma GCC unroll 8
    for (int i = 0; i < LANES; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < LANES; i += 4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
        r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
        r[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
        r[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
    }
}

/* out[pair][width], lanes 0..kept-1, from up to 16 lines of x that run along k. */
static inline void pack_along(uint32_t *out, int64_t width, int64_t kept, const float *x,
                              int64_t line, int64_t lines, int64_t K)
{
    __mmask16 keep = lanes_mask(kept);
    for (int64_t k = 0; k < K; k += 2 * LANES) {
        __mmask16 low = lanes_mask(K - k), high = K - k > LANES ? lanes_mask(K - k - LANES) : 0;
        __m512i r[LANES];
#pragma GCC unroll 16
        for (int i = 0; i < LANES; i++) {
            r[i] = _mm512_setzero_si512();
            if (i < lines) {
                const float *from = x + i * line + k;
                __m512 a = _mm512_maskz_loadu_ps(low, from);
                __m512 b = high ? _mm512_maskz_loadu_ps(high, from + LANES) : _mm512_setzero_ps();
                r[i] = (__m512i)_mm512_cvtne2ps_pbh(b, a);
            }
        }
        transpose16(r);
        int64_t pairs = min_i64((K - k + 1) / 2, LANES);
        if (pairs == LANES)
#pragma GCC unroll 16
            for (int i = 0; i < LANES; i++)
                _mm512_mask_storeu_epi32(out + i * width, keep, r[i]);
        else
            for (int i = 0; i < pairs; i++)
                _mm512_mask_storeu_epi32(out + i * width, keep, r[i]);
        out += LANES * width;
    }
}

/* The same from lines beside each other, k `step` apart. */
static inline void pack_across(uint32_t *out, int64_t width, int64_t kept, const float *x,
                               int64_t step, int64_t lines, int64_t K)
{
    const __m512i order =
        _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                         21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    __mmask16 keep = lanes_mask(kept), there = lanes_mask(lines);
    for (int64_t k = 0; k < K; k += 2, x += 2 * step, out += width) {
        __m512 a = _mm512_maskz_loadu_ps(there, x);
        __m512 b = k + 1 < K ? _mm512_maskz_loadu_ps(there, x + step) : _mm512_setzero_ps();
        __m512i both = (__m512i)_mm512_cvtne2ps_pbh(b, a);
        _mm512_mask_storeu_epi32(out, keep, _mm512_permutexvar_epi16(order, both));
    }
}

/* out[group][pair][width]: `width` lines of x[line, k] in a group, zero past line n and past an odd
 * K; `step` (along k) or `line` is 1. */
static void pack(uint32_t *out, const float *x, int64_t line, int64_t step, int64_t n, int64_t K,
                 int64_t width)
{
    enum { ROWS_AT_ONCE = 32 }; /* of lines beside each other: few pages at a time */
    int64_t pairs = (K + 1) / 2, depth = step == 1 ? K : ROWS_AT_ONCE;
    for (int64_t k = 0; k < K; k += depth)
        for (int64_t group = 0; group < n; group += width)
            for (int64_t l = 0; l < width; l += LANES) {
                int64_t kept = min_i64(width - l, LANES), lines = min_i64(n - group - l, kept);
                const float *from = x + k * step;
                uint32_t *to = out + group * pairs + k / 2 * width + l;
                if (lines > 0)
                    from += (group + l) * line;
                else
                    lines = 0;
                if (step == 1)
                    pack_along(to, width, kept, from, line, lines, min_i64(K - k, depth));
                else
                    pack_across(to, width, kept, from, step, lines, min_i64(K - k, depth));
            }
}

static void pack_weights(uint32_t *packed, const struct weight *w, int64_t first, int64_t rows,
                         int64_t K)
{
    float *lines = kernel_scratch(SCRATCH_TASK, COLUMNS * K);
    for (int64_t n = first; n < first + rows; n += COLUMNS) {
        int64_t count = min_i64(first + rows - n, COLUMNS);
        const float *from = lines;
        if (w->storage == STORAGE_F32)
            from = (const float *)w->data + n * K;
        else
            vector_avx512.decode(lines, w, n, count, K);
        pack(packed + n * ((K + 1) / 2), from, K, 1, count, K, COLUMNS);
    }
}

/* ---- matrix products ------------------------------------------------------------------------- */

enum start { START_ZERO, START_BIAS, START_C };

/* One tile: rows x (vectors LANES) of C, of which `width` columns exist; on the way, AHEAD lines of
 * 2 pairs floats at `ahead` are asked for, ahead_row apart. Inlined with constant rows and vectors. */
static inline __attribute__((always_inline)) void tile(int rows, int vectors, float *c,
                                                       int64_t c_row, const uint32_t *a,
                                                       const uint32_t *b, const float *bias,
                                                       int64_t width, int64_t pairs,
                                                       enum start start, const float *ahead,
                                                       int64_t ahead_row)
{
    __m512 sum[ROWS][2];
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
            sum[r][v] = _mm512_setzero_ps();
            _mm_prefetch((const char *)(c + r * c_row + v * LANES), _MM_HINT_T0);
        }
    for (int64_t k = 0; k < pairs; k++, a += ROWS, b += COLUMNS) {
        __m512bh b0 = (__m512bh)_mm512_loadu_si512(b), b1 = b0;
        if (vectors > 1)
            b1 = (__m512bh)_mm512_loadu_si512(b + LANES);
        _mm_prefetch((const char *)(ahead + k % AHEAD * ahead_row + 2 * k), _MM_HINT_T1);
#pragma GCC unroll 12
        for (int r = 0; r < rows; r++) {
            __m512bh x = (__m512bh)_mm512_set1_epi32((int)a[r]);
            sum[r][0] = _mm512_dpbf16_ps(sum[r][0], x, b0);
            if (vectors > 1)
                sum[r][1] = _mm512_dpbf16_ps(sum[r][1], x, b1);
        }
    }
    __mmask16 last = lanes_mask(width - (vectors - 1) * LANES);
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
            __mmask16 mask = v == vectors - 1 ? last : (__mmask16)0xffff;
            float *to = c + r * c_row + v * LANES;
            if (start == START_BIAS)
                sum[r][v] = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, bias + v * LANES), sum[r][v]);
            if (start == START_C)
                sum[r][v] = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, to), sum[r][v]);
            _mm512_mask_storeu_ps(to, mask, sum[r][v]);
        }
}

static void tile_any(int rows, float *c, int64_t c_row, const uint32_t *a, const uint32_t *b,
                     const float *bias, int64_t width, int64_t pairs, enum start start,
                     const float *ahead, int64_t ahead_row)
{
#define TILE(R)                                                                                    \
    case R:                                                                                        \
        if (width > LANES)                                                                         \
            tile(R, 2, c, c_row, a, b, bias, width, pairs, start, ahead, ahead_row);               \
        else                                                                                       \
            tile(R, 1, c, c_row, a, b, bias, width, pairs, start, ahead, ahead_row);               \
        break;
    switch (rows) {
        TILE(12)
        TILE(8)
        TILE(4)
        TILE(2)
        TILE(1)
    }
#undef TILE
}

/* The most rows of a tile, at most `rows`, that there is code for. */
static int tile_rows(int64_t rows)
{
    return rows >= 12 ? 12 : rows >= 8 ? 8 : rows >= 4 ? 4 : rows >= 2 ? 2 : 1;
}

/* On a tile that was just written. */
static void activate(float *c, int64_t c_row, int64_t rows, int64_t width, enum activation act)
{
    for (int64_t r = 0; r < rows; r++, c += c_row) {
        if (act == ACTIVATION_GELU)
            gelu_row(c, c, width);
        else
            vector_avx512.activation_fwd(c, c, width, act);
    }
}

/* C[M,N] from packed operands; panels of B are b_panel apart. `next`, where not NULL, is what is packed
 * next, and brought nearer meanwhile: COLUMNS lines of 2 pairs floats, next_row apart. */
static void tiles_before(float *c, int64_t c_row, const uint32_t *a, const uint32_t *b,
                         int64_t b_panel, const float *bias, int64_t M, int64_t N, int64_t pairs,
                         enum start start, enum activation act, const float *next, int64_t next_row)
{
    for (int64_t j = 0; j < N; j += COLUMNS, b += b_panel) {
        int64_t width = min_i64(N - j, COLUMNS);
        for (int64_t i = 0; i < M;) {
            int64_t inside = i % ROWS;
            int rows = tile_rows(min_i64(M - i, ROWS - inside));
            float *to = c + i * c_row + j;
            bool asks = next && i / ROWS * AHEAD < COLUMNS;
            const float *ahead = asks ? next + i / ROWS * AHEAD * next_row : (const float *)b;
            tile_any(rows, to, c_row, a + i / ROWS * ROWS * pairs + inside, b,
                     bias ? bias + j : NULL, width, pairs, start, ahead, asks ? next_row : 0);
            if (act != ACTIVATION_NONE)
                activate(to, c_row, rows, width, act);
            i += rows;
        }
    }
}

static void tiles(float *c, int64_t c_row, const uint32_t *a, const uint32_t *b, int64_t b_panel,
                  const float *bias, int64_t M, int64_t N, int64_t pairs, enum start start,
                  enum activation act)
{
    tiles_before(c, c_row, a, b, b_panel, bias, M, N, pairs, start, act, NULL, 0);
}

/* The rows of a block: M cut evenly, so that no block is thin. */
static int64_t block_rows(int64_t M)
{
    int64_t blocks = (M + BLOCK_M - 1) / BLOCK_M;
    return blocks ? round_up((M + blocks - 1) / blocks, ROWS) : ROWS;
}

static void gemm(const struct product *p, int64_t i0, int64_t M, int64_t j0, int64_t N)
{
    int64_t K = p->K, rows_most = block_rows(M), pairs = (min_i64(K, BLOCK_K) + 1) / 2;
    /* With one block of A each panel of B is read once: it is packed right before, and the lines of
     * the next one are asked for meanwhile. */
    bool once = M <= rows_most;
    int64_t block_n = p->packed ? N : once ? COLUMNS : BLOCK_N;
    int64_t b_words = p->packed ? 0 : pairs * round_up(min_i64(N, block_n), COLUMNS);
    uint32_t *b_packed = (uint32_t *)kernel_scratch(SCRATCH_TASK, b_words + pairs * rows_most);
    uint32_t *a_packed = b_packed + b_words;
    for (int64_t k = 0; k == 0 || k < K; k += BLOCK_K) {
        int64_t depth = min_i64(K - k, BLOCK_K);
        pairs = (depth + 1) / 2;
        enum start start = p->add || k ? START_C : p->bias ? START_BIAS : START_ZERO;
        enum activation act = k + BLOCK_K >= K ? p->act : ACTIVATION_NONE;
        for (int64_t j = j0; j < j0 + N; j += block_n) {
            int64_t width = min_i64(j0 + N - j, block_n), b_panel = COLUMNS * pairs;
            const uint32_t *panels = b_packed;
            const float *next = NULL;
            if (p->packed) {
                panels = (const uint32_t *)p->packed + j * ((K + 1) / 2) + k / 2 * COLUMNS;
                b_panel = COLUMNS * ((K + 1) / 2);
            } else {
                const float *b = p->b + k * p->b_row + j * p->b_column;
                pack(b_packed, b, p->b_column, p->b_row, width, depth, COLUMNS);
                if (once && p->b_row == 1 && j + 2 * COLUMNS <= j0 + N)
                    next = b + COLUMNS * p->b_column;
            }
            for (int64_t i = i0; i < i0 + M; i += rows_most) {
                int64_t rows = min_i64(i0 + M - i, rows_most);
                if (!once || j == j0)
                    pack(a_packed, p->a + i * p->a_row + k * p->a_column, p->a_row, p->a_column,
                         rows, depth, ROWS);
                tiles_before(p->c + i * p->N + j, p->N, a_packed, panels, b_panel,
                             p->bias ? p->bias + j : NULL, rows, width, pairs, start, act, next,
                             p->b_column);
            }
        }
    }
}

/* ---- attention ------------------------------------------------------------------------------- */

/* 2^x to 4e-6 relative; 0 far below -126, NaN stays. */
static inline __m512 power2(__m512 x)
{
    x = _mm512_max_ps(_mm512_set1_ps(-200), x);
    __m512 n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 r = _mm512_sub_ps(x, n);
    __m512 y = _mm512_set1_ps(9.666368515e-03f);
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(5.592197584e-02f));
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(2.402234904e-01f));
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(6.931210452e-01f));
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(1));
    return _mm512_scalef_ps(y, n);
}

#define LOG2E 1.44269504088896340736

/* Rows of the score matrix worked on together: a function of N, so that sums over rows keep their
 * shape. A multiple of ROWS. */
static int64_t attention_rows(int64_t N) { return N <= 512 ? 96 : N <= 4096 ? 48 : 12; }

/* Words that n lines of length K take when packed in groups of `width`. */
static int64_t packed_words(int64_t n, int64_t K, int64_t width)
{
    return round_up(n, width) * ((K + 1) / 2);
}

/* The next piece of a thread's working memory, 64-byte aligned. */
static uint32_t *take(uint32_t **memory, int64_t words)
{
    uint32_t *piece = *memory;
    *memory += round_up(words, LANES);
    return piece;
}

/* Not below any of x; NaN is passed over. */
static inline float highest(const float *x, int64_t n)
{
    __m512 high = _mm512_set1_ps(-INFINITY);
    for (int64_t i = 0; i < n; i += LANES)
        high = _mm512_max_ps(_mm512_mask_loadu_ps(high, lanes_mask(n - i), x + i), high);
    return _mm512_reduce_max_ps(high);
}

/* What each probability of a row is multiplied by, to factor[keys]. */
static void attention_mask(float *factor, const struct attention *a, int64_t head, int64_t row,
                           int64_t keys)
{
    for (int64_t i = 0; i < keys; i++)
        factor[i] = 1;
    vector_avx512.dropout(factor, factor, keys, a->dropout, attention_rng(a, head, row), 0);
}

static void attention_fwd(float *y, float *lse, const float *qkv, const struct attention *a,
                          int64_t head)
{
    int64_t N = a->N, H = a->H, E = a->E, keys = attention_keys(a, head);
    int64_t stride = 3 * H * E, block = min_i64(attention_rows(N), round_up(N, ROWS));
    int64_t row = round_up(keys, COLUMNS) + LANES, e_pairs = (E + 1) / 2, n_pairs = (keys + 1) / 2;
    int64_t words_k = packed_words(keys, E, COLUMNS), words_v = packed_words(E, keys, COLUMNS);
    int64_t words_q = packed_words(block, E, ROWS), words_p = packed_words(block, keys, ROWS);
    uint32_t *memory =
        (uint32_t *)kernel_scratch(SCRATCH_TASK,
                                   words_k + words_v + words_q + words_p + block * row + 5 * LANES);
    uint32_t *k_panels = take(&memory, words_k), *v_panels = take(&memory, words_v);
    uint32_t *q = take(&memory, words_q), *p = take(&memory, words_p);
    float *score = (float *)take(&memory, block * row);
    float scale = (float)(1 / sqrt((double)E)), factor2 = (float)(LOG2E / sqrt((double)E));
    pack(k_panels, qkv + H * E, stride, 1, keys, E, COLUMNS);
    pack(v_panels, qkv + 2 * H * E, 1, stride, E, keys, COLUMNS);
    for (int64_t i0 = 0; i0 < N; i0 += block) {
        int64_t rows = min_i64(N - i0, block);
        pack(q, qkv + i0 * stride, stride, 1, rows, E, ROWS);
        tiles(score, row, q, k_panels, COLUMNS * e_pairs, NULL, rows, keys, e_pairs, START_ZERO,
              ACTIVATION_NONE);
        float reciprocal[96];
        for (int64_t r = 0; r < rows; r++) {
            fetch_next_qkv(qkv + (i0 + r) * stride, H, E);
            float *s = score + r * row, max = highest(s, keys);
            __m512 sum = _mm512_setzero_ps(), factor = _mm512_set1_ps(factor2);
            __m512 shift = _mm512_set1_ps(-max * factor2);
            for (int64_t j = 0; j < keys; j += LANES) {
                __mmask16 mask = lanes_mask(keys - j);
                __m512 e =
                    power2(_mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask, s + j), factor, shift));
                _mm512_storeu_ps(s + j, e); /* a row has room for whole vectors */
                sum = _mm512_mask_add_ps(sum, mask, sum, e);
            }
            float total = _mm512_reduce_add_ps(sum);
            lse[i0 + r] = max * scale + logf(total);
            reciprocal[r] = 1 / total;
            if (a->dropout > 0)
                vector_avx512.dropout(s, s, keys, a->dropout, attention_rng(a, head, i0 + r), 0);
        }
        pack(p, score, row, 1, rows, keys, ROWS);
        tiles(y + i0 * H * E, H * E, p, v_panels, COLUMNS * n_pairs, NULL, rows, E, n_pairs,
              START_ZERO, ACTIVATION_NONE);
        for (int64_t r = 0; r < rows; r++) {
            float *to = y + (i0 + r) * H * E;
            for (int64_t e = 0; e < E; e += LANES) {
                __mmask16 mask = lanes_mask(E - e);
                _mm512_mask_storeu_ps(to + e, mask,
                                      _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, to + e),
                                                    _mm512_set1_ps(reciprocal[r])));
            }
        }
    }
}

static void attention_bwd(float *dqkv, const float *dy, const float *qkv, const float *y,
                          const float *lse, const struct attention *a, int64_t head, int add)
{
    int64_t N = a->N, H = a->H, E = a->E, keys = attention_keys(a, head);
    int64_t stride = 3 * H * E, block = min_i64(attention_rows(N), round_up(N, ROWS));
    int64_t row = round_up(keys, COLUMNS) + LANES, e_pairs = (E + 1) / 2, n_pairs = (keys + 1) / 2;
    int64_t words_n = packed_words(keys, E, COLUMNS), words_k = packed_words(E, keys, COLUMNS);
    int64_t words_q = packed_words(block, E, ROWS), words_b = packed_words(E, block, COLUMNS);
    int64_t words_p = packed_words(block, keys, ROWS) + packed_words(keys, block, ROWS);
    uint32_t *memory =
        (uint32_t *)kernel_scratch(SCRATCH_TASK, 2 * words_n + words_k + words_q + words_b +
                                                     words_p + (2 * block + 1) * row + 9 * LANES);
    uint32_t *k_panels = take(&memory, words_n), *v_panels = take(&memory, words_n);
    uint32_t *k_down = take(&memory, words_k); /* k and v along e; k along the keys */
    uint32_t *a_rows = take(&memory, words_q), *b_rows = take(&memory, words_b);
    uint32_t *a_wide = take(&memory, words_p);
    float *p = (float *)take(&memory, block * row), *ds = (float *)take(&memory, block * row);
    float *factors = (float *)take(&memory, row);
    float scale = (float)(1 / sqrt((double)E)), factor2 = (float)(LOG2E / sqrt((double)E));
    const float *q = qkv, *k = qkv + H * E, *v = qkv + 2 * H * E;
    float *dq = dqkv, *dk = dqkv + H * E, *dv = dqkv + 2 * H * E;
    pack(k_panels, k, stride, 1, keys, E, COLUMNS);
    pack(v_panels, v, stride, 1, keys, E, COLUMNS);
    pack(k_down, k, 1, stride, E, keys, COLUMNS);
    for (int64_t i0 = 0; i0 < N; i0 += block, q += block * stride, dq += block * stride) {
        int64_t rows = min_i64(N - i0, block), r_pairs = (rows + 1) / 2;
        const float *dy_rows = dy + i0 * H * E;
        enum start own = add ? START_C : START_ZERO, sum = add || i0 ? START_C : START_ZERO;
        pack(a_rows, q, stride, 1, rows, E, ROWS);
        tiles(p, row, a_rows, k_panels, COLUMNS * e_pairs, NULL, rows, keys, e_pairs, START_ZERO,
              ACTIVATION_NONE);
        pack(a_rows, dy_rows, H * E, 1, rows, E, ROWS);
        tiles(ds, row, a_rows, v_panels, COLUMNS * e_pairs, NULL, rows, keys, e_pairs, START_ZERO,
              ACTIVATION_NONE);
        for (int64_t r = 0; r < rows; r++) {
            const float *y_row = y + (i0 + r) * H * E, *dy_row = dy_rows + r * H * E;
            float *p_row = p + r * row, *ds_row = ds + r * row;
            fetch_next_qkv(qkv + (i0 + r) * stride, H, E);
            fetch_next(y_row, E);
            fetch_next(dy_row, E);
            __m512 dot = _mm512_setzero_ps(); /* the sum over keys of p dp */
            for (int64_t e = 0; e < E; e += LANES)
                dot = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(lanes_mask(E - e), y_row + e),
                                      _mm512_maskz_loadu_ps(lanes_mask(E - e), dy_row + e), dot);
            __m512 delta = _mm512_set1_ps(_mm512_reduce_add_ps(dot));
            __m512 factor = _mm512_set1_ps(factor2), scales = _mm512_set1_ps(scale);
            __m512 shift = _mm512_set1_ps((float)(-lse[i0 + r] * LOG2E));
            if (a->dropout > 0)
                attention_mask(factors, a, head, i0 + r, keys);
            for (int64_t j = 0; j < keys; j += LANES) {
                __mmask16 mask = lanes_mask(keys - j);
                __m512 s = _mm512_maskz_loadu_ps(mask, p_row + j);
                __m512 d = _mm512_maskz_loadu_ps(mask, ds_row + j);
                __m512 e = power2(_mm512_fmadd_ps(s, factor, shift)), kept = e;
                if (a->dropout > 0) {
                    kept = _mm512_mul_ps(e, _mm512_maskz_loadu_ps(mask, factors + j));
                    d = _mm512_mul_ps(d, _mm512_maskz_loadu_ps(mask, factors + j));
                }
                _mm512_storeu_ps(p_row + j, kept);
                _mm512_storeu_ps(ds_row + j,
                                 _mm512_mul_ps(_mm512_mul_ps(e, scales), _mm512_sub_ps(d, delta)));
            }
        }
        pack(a_wide, ds, row, 1, rows, keys, ROWS);
        tiles(dq, stride, a_wide, k_down, COLUMNS * n_pairs, NULL, rows, E, n_pairs, own,
              ACTIVATION_NONE);
        pack(a_wide, ds, 1, row, keys, rows, ROWS);
        pack(b_rows, q, 1, stride, E, rows, COLUMNS);
        tiles(dk, stride, a_wide, b_rows, COLUMNS * r_pairs, NULL, keys, E, r_pairs, sum,
              ACTIVATION_NONE);
        pack(a_wide, p, 1, row, keys, rows, ROWS);
        pack(b_rows, dy_rows, 1, H * E, E, rows, COLUMNS);
        tiles(dv, stride, a_wide, b_rows, COLUMNS * r_pairs, NULL, keys, E, r_pairs, sum,
              ACTIVATION_NONE);
    }
}

/* ---- activation ------------------------------------------------------------------------------ */

static void gelu_bwd(float *dx, const float *dy, const float *x, int64_t n, int add)
{
    for (int64_t i = 0; i < n; i += LANES) {
        __mmask16 mask = lanes_mask(n - i);
        __m512 d = _mm512_maskz_loadu_ps(mask, dy + i);
        __m512 before = add ? _mm512_maskz_loadu_ps(mask, dx + i) : _mm512_setzero_ps();
        __m512 slope = gelu_slope(_mm512_maskz_loadu_ps(mask, x + i));
        _mm512_mask_storeu_ps(dx + i, mask, _mm512_fmadd_ps(d, slope, before));
    }
}

/* ---- keeping --------------------------------------------------------------------------------- */

static void round_values(uint16_t *y, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i += LANES) {
        __mmask16 mask = lanes_mask(n - i);
        __m256i rounded = (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, x + i));
        _mm256_mask_storeu_epi16(y + i, mask, rounded);
    }
}

static void values(float *y, const uint16_t *x, int64_t n)
{
    for (int64_t i = 0; i < n; i += LANES) {
        __mmask16 mask = lanes_mask(n - i);
        __m512i bits = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, x + i));
        _mm512_mask_storeu_epi32(y + i, mask, _mm512_slli_epi32(bits, 16));
    }
}

const struct bf16_kernels bf16_avx512 = {.gemm = gemm,
                                         .pack_weights = pack_weights,
                                         .round = round_values,
                                         .value = values,
                                         .gelu_fwd = gelu_row,
                                         .gelu_bwd = gelu_bwd,
                                         .attention_fwd = attention_fwd,
                                         .attention_bwd = attention_bwd};
#else
typedef int translation_unit_is_not_empty;
#endif
