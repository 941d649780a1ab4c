/* Convolution over tokens, on threads, in one of three ways that the weights' shape alone decides.
 *
 * By rows, where the kernel is short and there are no groups: `width` tokens beside each other are one
 * row of width C numbers, so that a record with zeros at its ends, read in rows that overlap, is the
 * first operand of a plain product.
 *
 * Directly: a product with the signal read at every shift (sequence_kernels.inc).
 *
 * By spectra, where the kernel is long: blocks of tokens go to the frequency domain, meet the spectrum
 * of the weights there, frequency by frequency, and come back; circular shifts that reach over the end
 * of a block meet zeros or are not used (overlap-save). With period P and w(k) at shift k - width / 2,
 *
 *     Y(f) = X(f) W(f),  dX(f) = dY(f) conj W(f),  dW(f) = conj dY(f) X(f),
 *     X(f) = sum over t of x(t) e^(-2 pi i f t / P),  W(f) with the other sign.
 *
 * Transforms are matrix products with one table, as P is small. For ECG-FM's 128 shifts in groups of
 * 48 channels that is a tenth of the multiplications. Source: Oppenheim and Schafer, Discrete-Time
 * Signal Processing, section 8.7 (block convolution). */
#include "kernel/split.h"
#include "kernel/storage.h"
#include "kernel/vector.h"

#include <math.h>
#include <string.h>

/* Channels of a group, going in and coming out. */
static int64_t group_in(const struct conv *s) { return s->C / s->groups; }
static int64_t group_out(const struct conv *s) { return s->O / s->groups; }

/* The weights [O,C/groups,width] of one group. */
static struct weight group_weights(const struct weight *w, const struct conv *s, int64_t group)
{
    int64_t O = group_out(s), first = group * O * group_in(s) * s->width;
    return (struct weight){(const char *)w->data + (size_t)first * storage_bytes(w->storage),
                           w->storage, w->scale ? w->scale + group * O : NULL};
}

/* As float32: where they are, or in `values`. */
static const float *group_values(float *values, const struct weight *w, const struct conv *s,
                                 int64_t group)
{
    struct weight part = group_weights(w, s, group);
    if (w->storage == STORAGE_F32 && !s->taps)
        return part.data;
    weight_to_f32(values, &part, group_out(s), group_in(s) * s->width);
    if (s->taps)
        vector_in_use()->column_scale(values, values, s->taps, NULL, NULL,
                                      group_out(s) * group_in(s), s->width, 0);
    return values;
}

static void multiply(const struct product *p) { split_product(p, 16, vector_in_use()->gemm); }

/* ---- by rows --------------------------------------------------------------------------------- */

/* Kernels as long as the longest in use; longer ones without groups go on as they were. */
static bool by_rows(const struct conv *s)
{
    return s->groups == 1 && (s->width < 8 || s->stride > 1 || s->skip);
}

/* Zero tokens before a record. */
static int64_t front(const struct conv *s) { return s->width / 2 - s->skip; }

/* Tokens from one record to the next where several lie one after the other, zeros between them: whole
 * strides. The zeros before the next are also behind this one. */
static int64_t record_step(const struct conv *s)
{
    int64_t end = (conv_tokens(s) - 1) * s->stride + s->width - front(s);
    int64_t tokens = end > s->T + front(s) ? end : s->T + front(s);
    return (tokens + s->stride - 1) / s->stride * s->stride;
}

static int64_t panel_floats(int64_t N, int64_t K)
{
    int64_t columns = vector_in_use()->pack_columns;
    return (N + columns - 1) / columns * columns * K;
}

/* A matrix [K,N] on its way into the product's order; rows up to `at` are there. */
struct packing {
    float *to;
    int64_t N, K, at;
};

/* The next row, k, of the panels: x[n step]. */
static void pack_row(struct packing *p, const float *x, int64_t step, float factor)
{
    int64_t columns = vector_in_use()->pack_columns;
    for (int64_t n = 0; n < p->N; n += columns) {
        float *to = p->to + n * p->K + p->at * columns;
        int64_t count = min_i64(p->N - n, columns);
        for (int64_t i = 0; i < count; i++)
            to[i] = factor * x[(n + i) * step];
        memset(to + count, 0, sizeof *to * (size_t)(columns - count));
    }
    p->at++;
}

/* Weights [O,C,width] as [width C, O]. */
static void rows_pack(float *packed, const float *w, const struct conv *s)
{
    const float *taps = s->taps;
    struct packing p = {packed, s->O, s->width * s->C, 0};
    for (int64_t i = 0; i < s->width; i++)
        for (int64_t c = 0; c < s->C; c++)
            pack_row(&p, w + c * s->width + i, s->C * s->width, taps ? taps[i] : 1);
}

/* Of one record to room for front + T + `behind` tokens. */
static void pad(float *to, const float *x, int64_t before, int64_t tokens, int64_t behind,
                int64_t C)
{
    memset(to, 0, sizeof *to * (size_t)(before * C));
    memcpy(to + before * C, x, sizeof *to * (size_t)(tokens * C));
    memset(to + (before + tokens) * C, 0, sizeof *to * (size_t)(behind * C));
}

static void rows_fwd(float *y, const float *x, const float *packed, const float *bias,
                     const struct conv *s, enum activation act)
{
    const struct vector_kernels *v = vector_in_use();
    int64_t N = conv_tokens(s), room = record_step(s) + s->width;
    int64_t before = front(s), behind = room - before - s->T;
    PARALLEL_SHARES(s->B, 1, s->B * N * s->O * s->C * s->width / 16, {
        float *padded = kernel_scratch(SCRATCH_TASK, room * s->C);
        for (int64_t b = from; b < to; b++) {
            pad(padded, x + b * s->T * s->C, before, s->T, behind, s->C);
            v->rows_product(y + b * N * s->O, s->O, padded, s->stride * s->C, packed, bias, N, s->O,
                            s->width * s->C, act, false);
        }
    });
}

/* Tokens t with (t + front) % stride = phase meet the taps phase, phase + stride, and so on: for them
 * the gradient is a convolution of dy by these taps backward. */
static int64_t phase_taps(const struct conv *s, int64_t phase)
{
    return (s->width - phase + s->stride - 1) / s->stride;
}

static void rows_bwd_x(float *dx, const float *dy, const float *w, const struct conv *s, int add)
{
    const struct vector_kernels *v = vector_in_use();
    int64_t N = conv_tokens(s), T = s->T, C = s->C, O = s->O, before = front(s);
    int64_t phases = min_i64(s->stride, s->width);
    float *packed = kernel_scratch(SCRATCH_SHARED, panel_floats(C, (s->width + phases) * O));
    const float *taps = s->taps;
    float *at = packed;
    for (int64_t phase = 0; phase < phases; phase++) {
        struct packing p = {at, C, phase_taps(s, phase) * O, 0};
        for (int64_t j = phase_taps(s, phase) - 1; j >= 0; j--) {
            int64_t i = phase + j * s->stride;
            for (int64_t o = 0; o < O; o++)
                pack_row(&p, w + o * C * s->width + i, s->width, taps ? taps[i] : 1);
        }
        at += panel_floats(C, p.K);
    }
    /* dy between as many zeros as the taps reach over it */
    int64_t zeros = phase_taps(s, 0), last = (T - 1 + before) / s->stride;
    int64_t behind = last >= N ? last - N + 1 : 0;
    bool gaps = s->stride > s->width; /* tokens that no tap meets */
    PARALLEL_SHARES(s->B, 1, s->B * N * O * C * s->width / 16, {
        float *padded = kernel_scratch(SCRATCH_TASK, (zeros + N + behind) * O);
        for (int64_t b = from; b < to; b++) {
            float *rows = dx + b * T * C;
            const float *panels = packed;
            pad(padded, dy + b * N * O, zeros, N, behind, O);
            if (gaps && !add)
                memset(rows, 0, sizeof *rows * (size_t)(T * C));
            for (int64_t phase = 0; phase < phases; phase++) {
                int64_t count = phase_taps(s, phase);
                /* tokens q stride + phase - front for q from `first` on */
                int64_t first = phase >= before ? 0 : (before - phase + s->stride - 1) / s->stride;
                int64_t token = first * s->stride + phase - before;
                int64_t M = token < T ? (T - 1 - token) / s->stride + 1 : 0;
                v->rows_product(rows + token * C, s->stride * C,
                                padded + (zeros + first - count + 1) * O, O, panels, NULL, M, C,
                                count * O, ACTIVATION_NONE, add);
                panels += panel_floats(C, count * O);
            }
        }
    });
}

/* dw as [O, width C] is dy [rows, O] transposed by the overlapping rows of x. Records lie one after the
 * other in rows of zeros: as many together as the shape says. */
static void rows_bwd_w(float *dw, const float *dy, const float *x, const struct conv *s, int add)
{
    int64_t N = conv_tokens(s), T = s->T, C = s->C, O = s->O, width = s->width;
    int64_t step = record_step(s), lines = step / s->stride, before = front(s);
    int64_t most = (1 << 20) / (step * C + lines * O) + 1;
    most = min_i64(most, s->B);
    float *by_tap = kernel_scratch(SCRATCH_SHARED,
                                   O * width * C + (most * step + width) * C + most * lines * O);
    float *tokens = by_tap + O * width * C, *back = tokens + (most * step + width) * C;
    for (int64_t b = 0; b < s->B; b += most) {
        int64_t records = min_i64(s->B - b, most);
        PARALLEL_SHARES(records, 1, records * (T * C + N * O), {
            for (int64_t r = from; r < to; r++) {
                int64_t behind = step - before - T + (r == records - 1 ? width : 0);
                pad(tokens + r * step * C, x + (b + r) * T * C, before, T, behind, C);
                pad(back + r * lines * O, dy + (b + r) * N * O, 0, N, lines - N, O);
            }
        });
        multiply(&(struct product){.c = by_tap,
                                   .a = back,
                                   .b = tokens,
                                   .M = O,
                                   .N = width * C,
                                   .K = records * lines,
                                   .a_row = 1,
                                   .a_column = O,
                                   .b_row = s->stride * C,
                                   .b_column = 1,
                                   .add = b > 0});
    }
    PARALLEL_SHARES(O, 1, O * C * width, {
        for (int64_t o = from; o < to; o++)
            for (int64_t c = 0; c < C; c++)
                for (int64_t i = 0; i < width; i++) {
                    float *d = dw + (o * C + c) * width + i;
                    *d = (add ? *d : 0) + by_tap[(o * width + i) * C + c];
                }
    });
}

/* ---- directly -------------------------------------------------------------------------------- */

/* Runs one direction: from `in` channels of a group to `out`, by packed weights or, where w is not
 * NULL, by those of each group, packed by each thread that needs it. A unit is a group of one record;
 * those of a group are beside each other. */
static void direct(float *y, const float *x, const float *packed, const struct weight *w,
                   const float *bias, const struct conv *s, bool backward, enum activation act,
                   int add)
{
    const struct conv_kernels *k = &vector_in_use()->conv;
    int64_t T = s->T, C = group_in(s), O = group_out(s), width = s->width;
    int64_t in = backward ? O : C, out = backward ? C : O;
    int64_t x_row = in * s->groups, y_row = out * s->groups;
    int64_t floats = k->pack_floats(out, in, width);
    /* Backward both are walked from the last token to the first. */
    int64_t start = backward ? T - 1 : 0, sign = backward ? -1 : 1;
    PARALLEL_SHARES(s->groups * s->B, 1, s->B * T * s->O * C * width / 64, {
        int64_t own = packed ? 0 : floats + O * C * width, packed_group = -1;
        float *work = kernel_scratch(SCRATCH_TASK, own + k->run_floats(T, in, out, width));
        for (int64_t i = from; i < to; i++) {
            int64_t group = i / s->B, token = i % s->B * T + start;
            if (w && packed_group != group)
                k->pack(work, group_values(work + floats, w, s, group), O, C, width, backward);
            packed_group = group;
            k->run(y + token * y_row + group * out, sign * y_row, x + token * x_row + group * in,
                   sign * x_row, packed ? packed + group * floats : work,
                   bias ? bias + group * out : NULL, T, in, out, width, act, add, work + own);
        }
    });
}

static int64_t direct_floats(const struct conv *s)
{
    return s->groups * vector_in_use()->conv.pack_floats(group_out(s), group_in(s), s->width);
}

static void direct_pack(float *packed, const struct weight *w, const struct conv *s)
{
    const struct conv_kernels *k = &vector_in_use()->conv;
    int64_t C = group_in(s), O = group_out(s), floats = k->pack_floats(O, C, s->width);
    PARALLEL_SHARES(s->groups, 1, s->O * C * s->width, {
        float *values = kernel_scratch(SCRATCH_TASK, O * C * s->width);
        for (int64_t group = from; group < to; group++)
            k->pack(packed + group * floats, group_values(values, w, s, group), O, C, s->width,
                    false);
    });
}

/* Channels of x whose weights' gradients are a unit of work. */
#define CHANNELS 16

static void direct_weights(float *dw, const float *dy, const float *x, const struct conv *s,
                           int add)
{
    const struct conv_kernels *k = &vector_in_use()->conv;
    int64_t C = group_in(s), O = group_out(s), blocks = (C + CHANNELS - 1) / CHANNELS;
    PARALLEL_SHARES(s->groups * blocks, 1, s->B * s->T * s->O * C * s->width / 64, {
        float *work = kernel_scratch(SCRATCH_TASK, k->weights_floats(s->T, CHANNELS, O, s->width));
        for (int64_t i = from; i < to; i++) {
            int64_t group = i / blocks, c = i % blocks * CHANNELS;
            k->weights(dw + (group * O * C + c) * s->width, C * s->width, dy + group * O, s->O,
                       x + group * C + c, s->C, s->B, s->T, min_i64(C - c, CHANNELS), O, s->width,
                       add, work);
        }
    });
}

/* ---- by spectra ------------------------------------------------------------------------------ */

/* A spectrum is P rows of numbers: real parts of frequencies 0 to P/2, then imaginary parts of 1 to
 * P/2 - 1. Those of the weights are kept conjugated. */

/* Blocks worked on together: the weights' spectra are read once for all of them. */
enum { BLOCKS = 8 };

/* Long enough to pay for the way there and back, and spectra and table stay small. */
static bool spectral(const struct conv *s)
{
    int64_t C = group_in(s), O = group_out(s);
    return s->stride == 1 && !s->skip && s->width >= 32 && s->width <= 512 && C >= 8 && O >= 8 &&
           C <= SPECTRUM_CHANNELS && O <= SPECTRUM_CHANNELS;
}

static int64_t period(const struct conv *s) { return 2 * s->width; }
/* Tokens that a kernel reaches back to, and ahead to. */
static int64_t centre(const struct conv *s) { return s->width / 2; }
static int64_t ahead(const struct conv *s) { return s->width - 1 - centre(s); }

/* The transform of times -width to P - 1: table[row][time + width]. */
static int64_t table_row(const struct conv *s) { return period(s) + s->width; }

static void table_make(float *table, const struct conv *s)
{
    int64_t P = period(s), row = table_row(s);
    float *wave = kernel_scratch(SCRATCH_TASK, 2 * P);
    for (int64_t i = 0; i < P; i++) {
        double angle = 2 * 3.14159265358979323846 * (double)i / (double)P;
        wave[i] = (float)cos(angle);
        wave[P + i] = (float)-sin(angle);
    }
    for (int64_t r = 0; r < P; r++) {
        int64_t f = r <= P / 2 ? r : r - P / 2, at = f * s->width % P;
        const float *from = r <= P / 2 ? wave : wave + P;
        for (int64_t t = 0; t < row; t++) {
            table[r * row + t] = from[at];
            at += f;
            at -= at >= P ? P : 0;
        }
    }
}

/* Tokens whose results one block holds: a record, where shifts reach over its end into zeros alone. */
static int64_t block_tokens(const struct conv *s)
{
    /* A kernel never reaches ahead further than back. */
    bool whole = s->T + centre(s) <= period(s);
    return whole ? s->T : period(s) - s->width + 1;
}

struct block {
    int64_t record, first, tokens;
};

static int64_t block_count(const struct conv *s)
{
    int64_t most = block_tokens(s);
    return s->B * ((s->T + most - 1) / most);
}

static struct block block_at(const struct conv *s, int64_t i)
{
    int64_t most = block_tokens(s), each = (s->T + most - 1) / most, first = i % each * most;
    return (struct block){i / each, first, min_i64(most, s->T - first)};
}

/* spectrum[P,N] of x[B,T,N]: the tokens of a block, and so many before and after it. */
static void transform(float *spectrum, const float *x, int64_t N, const float *table,
                      const struct conv *s, int64_t i, int64_t before, int64_t after)
{
    struct block block = block_at(s, i);
    int64_t from = -min_i64(before, block.first);
    int64_t to = min_i64(block.tokens + after, s->T - block.first);
    multiply(&(struct product){.c = spectrum,
                               .a = table + s->width + from,
                               .b = x + (block.record * s->T + block.first + from) * N,
                               .M = period(s),
                               .N = N,
                               .K = to - from,
                               .a_row = table_row(s),
                               .a_column = 1,
                               .b_row = N,
                               .b_column = 1});
}

/* And back: the tokens of the block. */
static void transform_back(float *y, const float *spectrum, int64_t N, const float *table,
                           const float *bias, const struct conv *s, int64_t i, enum activation act,
                           int add)
{
    struct block block = block_at(s, i);
    multiply(&(struct product){.c = y + (block.record * s->T + block.first) * N,
                               .a = table + s->width,
                               .b = spectrum,
                               .bias = bias,
                               .M = block.tokens,
                               .N = N,
                               .K = period(s),
                               .a_row = 1,
                               .a_column = table_row(s),
                               .b_row = N,
                               .b_column = 1,
                               .add = add,
                               .act = act});
}

static int64_t folded_floats(const struct conv *s)
{
    return group_out(s) * group_in(s) * (2 * centre(s) + 1);
}

/* One row of a group's weights, to values[C/groups,width]. */
static void row_values(float *values, const struct weight *part, int64_t row, const struct conv *s)
{
    vector_in_use()->decode(values, part, row, 1, group_in(s) * s->width);
    if (s->taps)
        vector_in_use()->column_scale(values, values, s->taps, NULL, NULL, group_in(s), s->width,
                                      0);
}

/* w(t) + w(-t) from t = 0 on and w(t) - w(-t) from 1 on, for each kernel of a group. */
static void fold(float *sums, float *differences, const struct weight *w, const struct conv *s,
                 int64_t group)
{
    struct weight part = group_weights(w, s, group);
    int64_t C = group_in(s), O = group_out(s);
    int64_t c = centre(s), after = s->width - c; /* times 0 to after - 1: c + 1 of them, or c */
    PARALLEL_SHARES(O, 1, O * C * s->width, {
        float *values = kernel_scratch(SCRATCH_TASK, C * s->width);
        for (int64_t i = from * C; i < to * C; i++) {
            if (i % C == 0)
                row_values(values, &part, i / C, s);
            const float *x = values + i % C * s->width + c;
            float *sum = sums + i * (c + 1), *difference = differences + i * c - 1;
            sum[0] = x[0];
            for (int64_t k = 1; k < after; k++) {
                sum[k] = x[k] + x[-k];
                difference[k] = x[k] - x[-k];
            }
            for (int64_t k = after; k <= c; k++) {
                sum[k] = x[-k];
                difference[k] = -x[-k];
            }
        }
    });
}

/* out[P,O,C] of one group's weights; room has folded_floats. Cosines are the same before and after
 * time 0, sines the opposite: half the products do. */
static void transform_weights(float *out, const struct weight *w, const float *table,
                              const struct conv *s, int64_t group, float *room)
{
    int64_t n = group_out(s) * group_in(s), c = centre(s), row = table_row(s);
    int64_t cosines = period(s) / 2 + 1;
    float *differences = room + n * (c + 1);
    fold(room, differences, w, s, group);
    multiply(&(struct product){.c = out,
                               .a = table + s->width,
                               .b = room,
                               .M = cosines,
                               .N = n,
                               .K = c + 1,
                               .a_row = row,
                               .a_column = 1,
                               .b_row = 1,
                               .b_column = c + 1});
    multiply(&(struct product){.c = out + cosines * n,
                               .a = table + cosines * row + s->width + 1,
                               .b = differences,
                               .M = period(s) - cosines,
                               .N = n,
                               .K = c,
                               .a_row = row,
                               .a_column = 1,
                               .b_row = 1,
                               .b_column = c});
}

/* One frequency of spectra `row` numbers a row and `step` from one to the next. */
static struct frequency frequency_of(const float *spectra, int64_t row, int64_t step, int64_t f,
                                     int64_t P)
{
    bool real = f == 0 || f == P / 2;
    return (struct frequency){.re = (float *)spectra + f * row,
                              .im = real ? NULL : (float *)spectra + (P / 2 + f) * row,
                              .step = step,
                              .share = (real ? 1.0f : 2.0f) / (float)P};
}

/* w[O,C] of one frequency as [C,O], in `out`. */
static struct frequency turned(float *out, const struct frequency *w, int64_t O, int64_t C)
{
    const struct vector_kernels *v = vector_in_use();
    v->transpose(out, O, w->re, C, O, C);
    if (w->im)
        v->transpose(out + O * C, O, w->im, C, O, C);
    return (struct frequency){out, w->im ? out + O * C : NULL, O, w->share};
}

/* Runs one direction, by packed weights (forward only) or as they are. */
static void by_spectra(float *y, const float *x, const float *packed, const struct weight *w,
                       const float *bias, const struct conv *s, bool backward, enum activation act,
                       int add)
{
    int64_t P = period(s), C = group_in(s), O = group_out(s), G = s->groups;
    int64_t in = backward ? O : C, out = backward ? C : O, blocks = block_count(s);
    int64_t n = min_i64(blocks, BLOCKS),
            own = packed ? 0 : P * (table_row(s) + O * C) + folded_floats(s);
    float *work = kernel_scratch(SCRATCH_SHARED, own + n * P * G * (in + out));
    float *spectra_x = work + own, *spectra_y = spectra_x + n * P * G * in;
    const float *table = packed ? packed : work;
    if (!packed)
        table_make(work, s);
    for (int64_t i = 0; i < blocks; i += n) {
        n = min_i64(n, blocks - i);
        for (int64_t j = 0; j < n; j++)
            transform(spectra_x + j * P * G * in, x, G * in, table, s, i + j,
                      backward ? ahead(s) : centre(s), backward ? centre(s) : ahead(s));
        for (int64_t g = 0; g < G; g++) {
            const float *weights = table + P * (table_row(s) + (packed ? g * O * C : 0));
            if (!packed)
                transform_weights(work + P * table_row(s), w, table, s, g,
                                  work + P * (table_row(s) + O * C));
            PARALLEL_SHARES(P / 2 + 1, 1, n * P * O * C, {
                float *room = kernel_scratch(SCRATCH_TASK, 2 * O * C);
                for (int64_t f = from; f < to; f++) {
                    struct frequency of_w = frequency_of(weights, O * C, out, f, P);
                    struct frequency of_x =
                        frequency_of(spectra_x + g * in, G * in, P * G * in, f, P);
                    struct frequency of_y =
                        frequency_of(spectra_y + g * out, G * out, P * G * out, f, P);
                    if (!packed && !backward)
                        of_w = turned(room, &of_w, O, C);
                    vector_in_use()->spectrum_product(&of_y, &of_x, &of_w, n, in, out, !backward);
                }
            });
        }
        for (int64_t j = 0; j < n; j++)
            transform_back(y, spectra_y + j * P * G * out, G * out, table, bias, s, i + j, act,
                           add);
    }
}

/* The table, then for each group [P,C,O]. */
static int64_t spectra_floats(const struct conv *s)
{
    return period(s) * (table_row(s) + s->groups * group_in(s) * group_out(s));
}

static void spectra_pack(float *packed, const struct weight *w, const struct conv *s)
{
    int64_t P = period(s), C = group_in(s), O = group_out(s);
    float *spectrum = kernel_scratch(SCRATCH_SHARED, O * C * P + folded_floats(s));
    float *out = packed + P * table_row(s);
    table_make(packed, s);
    for (int64_t g = 0; g < s->groups; g++, out += P * O * C) {
        transform_weights(spectrum, w, packed, s, g, spectrum + O * C * P);
        PARALLEL_SHARES(P, 1, P * O * C, {
            for (int64_t r = from; r < to; r++)
                vector_in_use()->transpose(out + r * O * C, O, spectrum + r * O * C, C, O, C);
        });
    }
}

static void spectra_weights(float *dw, const float *dy, const float *x, const struct conv *s,
                            int add)
{
    int64_t P = period(s), C = group_in(s), O = group_out(s), G = s->groups;
    int64_t blocks = block_count(s), n = min_i64(blocks, BLOCKS);
    float *table = kernel_scratch(SCRATCH_SHARED, P * (table_row(s) + O * C + n * G * (C + O)));
    float *spectrum = table + P * table_row(s);
    float *spectra_x = spectrum + P * O * C, *spectra_y = spectra_x + n * P * G * C;
    table_make(table, s);
    for (int64_t i = 0; i < blocks; i += n) {
        n = min_i64(n, blocks - i);
        for (int64_t j = 0; j < n; j++) {
            transform(spectra_x + j * P * G * C, x, G * C, table, s, i + j, centre(s), ahead(s));
            transform(spectra_y + j * P * G * O, dy, G * O, table, s, i + j, 0, 0);
        }
        for (int64_t g = 0; g < G; g++) {
            PARALLEL_SHARES(P / 2 + 1, 1, n * P * O * C, {
                for (int64_t f = from; f < to; f++) {
                    struct frequency of_w = frequency_of(spectrum, O * C, C, f, P);
                    struct frequency of_x = frequency_of(spectra_x + g * C, G * C, P * G * C, f, P);
                    struct frequency of_y = frequency_of(spectra_y + g * O, G * O, P * G * O, f, P);
                    vector_in_use()->spectrum_outer(&of_w, &of_y, &of_x, n, O, C);
                }
            });
            multiply(&(struct product){.c = dw + g * O * C * s->width,
                                       .a = spectrum,
                                       .b = table + s->width - centre(s),
                                       .M = O * C,
                                       .N = s->width,
                                       .K = P,
                                       .a_row = 1,
                                       .a_column = O * C,
                                       .b_row = table_row(s),
                                       .b_column = 1,
                                       .add = add || i});
        }
    }
}

/* ---- weight norm ------------------------------------------------------------------------------ */

/* Sums over rows go output channel by output channel, then over these. */

/* sums[O,width] of zeros, and room for `width` floats behind. */
static double *row_sums(int64_t O, int64_t width)
{
    double *sums = (double *)(void *)kernel_scratch(SCRATCH_SHARED, 2 * O * width + width);
    memset(sums, 0, sizeof *sums * (size_t)(O * width));
    return sums;
}

/* All rows added to the first. */
static void add_rows(double *sums, int64_t O, int64_t width)
{
    for (int64_t o = 1; o < O; o++)
        for (int64_t i = 0; i < width; i++)
            sums[i] += sums[o * width + i];
}

static void weight_norm_fwd(void *taps_, void *norm_, const struct weight *v, const void *g_,
                            int64_t O, int64_t C, int64_t width)
{
    float *taps = taps_, *norm = norm_;
    const float *g = g_;
    double *sums = row_sums(O, width);
    PARALLEL_SHARES(O, 1, O * C * width / 4, {
        float *values = kernel_scratch(SCRATCH_TASK, C * width);
        for (int64_t o = from; o < to; o++) {
            const float *row = (const float *)v->data + o * C * width;
            if (v->storage != STORAGE_F32) {
                vector_in_use()->decode(values, v, o, 1, C * width);
                row = values;
            }
            vector_in_use()->column_dots(sums + o * width, row, row, C, width);
        }
    });
    add_rows(sums, O, width);
    for (int64_t i = 0; i < width; i++) {
        norm[i] = (float)sqrt(sums[i]);
        taps[i] = (float)(g[i] / sqrt(sums[i]));
    }
}

static void weight_norm_bwd(void *dv_, void *dg_, const void *dw_, const void *v_,
                            const void *taps_, const void *norm_, int64_t O, int64_t C,
                            int64_t width, int add)
{
    float *dv = dv_, *dg = dg_;
    const float *dw = dw_, *v = v_, *taps = taps_, *norm = norm_;
    double *sums = row_sums(O, width);
    PARALLEL_SHARES(O, 1, O * C * width / 4, {
        for (int64_t o = from; o < to; o++)
            vector_in_use()->column_dots(sums + o * width, dw + o * C * width, v + o * C * width, C,
                                         width);
    });
    add_rows(sums, O, width);
    float *back = (float *)(sums + O * width); /* what each tap takes back along v */
    for (int64_t i = 0; i < width; i++) {
        double along = sums[i] / (double)norm[i]; /* of dw with the direction of v */
        back[i] = (float)(-taps[i] * along / (double)norm[i]);
        if (dg)
            dg[i] += (float)along;
    }
    PARALLEL_SHARES(dv ? O * C : 0, 1, O * C * width / 4, {
        vector_in_use()->column_scale(dv + from * width, dw + from * width, taps, v + from * width,
                                      back, to - from, width, add);
    });
}

/* ---- members --------------------------------------------------------------------------------- */

/* Every stride-th of the tokens of y[B,T,O] that are centres, from `full`, or back with zeros between. */
static void centres_take(float *y, const float *full, const struct conv *s)
{
    int64_t N = conv_tokens(s), O = s->O;
    for (int64_t r = 0; r < s->B * N; r++)
        memcpy(y + r * O, full + (r / N * s->T + s->skip + r % N * s->stride) * O,
               sizeof *y * (size_t)O);
}

static const float *centres_spread(const float *dy, const struct conv *s)
{
    int64_t N = conv_tokens(s), O = s->O;
    float *full = kernel_scratch(SCRATCH_SHARED, s->B * s->T * O);
    memset(full, 0, sizeof *full * (size_t)(s->B * s->T * O));
    for (int64_t r = 0; r < s->B * N; r++)
        memcpy(full + (r / N * s->T + s->skip + r % N * s->stride) * O, dy + r * O,
               sizeof *dy * (size_t)O);
    return full;
}

/* Is every token a centre? Directly, those that are none are computed too: for groups, which are rare. */
static bool centred(const struct conv *s) { return s->stride == 1 && !s->skip; }

static void run(float *y, const float *x, const void *packed, const struct weight *w, const void *b,
                const struct conv *s, enum activation act)
{
    if (by_rows(s)) {
        if (!packed) {
            int64_t floats = panel_floats(s->O, s->width * s->C);
            float *room = kernel_scratch(SCRATCH_SHARED, floats + s->O * s->C * s->width);
            struct conv plain = *s;
            bool as_is = w->storage == STORAGE_F32;
            plain.taps = as_is ? s->taps : NULL;
            rows_pack(room, as_is ? w->data : group_values(room + floats, w, s, 0), &plain);
            packed = room;
        }
        rows_fwd(y, x, packed, b, s, act);
    } else if (spectral(s))
        by_spectra(y, x, packed, w, b, s, false, act, 0);
    else if (centred(s))
        direct(y, x, packed, w, b, s, false, act, 0);
    else {
        float *full = kernel_scratch(SCRATCH_SHARED, s->B * s->T * s->O);
        direct(full, x, packed, w, b, s, false, act, 0);
        centres_take(y, full, s);
    }
}

static void conv_fwd(void *y, const void *x, const void *w, const void *b, const struct conv *s,
                     enum activation act)
{
    run(y, x, NULL, &(struct weight){w, STORAGE_F32, NULL}, b, s, act);
}

static void conv_stored(void *y, const void *x, const struct weight *w, const void *b,
                        const struct conv *s, enum activation act)
{
    run(y, x, NULL, w, b, s, act);
}

static size_t conv_pack_bytes(const struct conv *s)
{
    int64_t floats = by_rows(s)    ? panel_floats(s->O, s->width * s->C)
                     : spectral(s) ? spectra_floats(s)
                                   : direct_floats(s);
    return (sizeof(float) * (size_t)floats + 63) & ~(size_t)63;
}

static void conv_pack(void *packed, const struct weight *w, const struct conv *s)
{
    if (by_rows(s)) {
        struct conv plain = *s;
        plain.taps = NULL;
        float *values = kernel_scratch(SCRATCH_SHARED, s->O * s->C * s->width);
        rows_pack(packed, group_values(values, w, s, 0), &plain);
    } else
        (spectral(s) ? spectra_pack : direct_pack)(packed, w, s);
}

static void conv_packed(void *y, const void *x, const void *packed, const void *b,
                        const struct conv *s, enum activation act)
{
    run(y, x, packed, NULL, b, s, act);
}

static void conv_bwd_x(void *dx, const void *dy, const void *w, const struct conv *s, int add)
{
    struct weight weight = {w, STORAGE_F32, NULL};
    if (by_rows(s))
        rows_bwd_x(dx, dy, w, s, add);
    else if (spectral(s))
        by_spectra(dx, dy, NULL, &weight, NULL, s, true, ACTIVATION_NONE, add);
    else
        direct(dx, centred(s) ? dy : centres_spread(dy, s), NULL, &weight, NULL, s, true,
               ACTIVATION_NONE, add);
}

static void conv_bwd_w(void *dw, void *db, const void *dy, const void *x, const struct conv *s,
                       int add)
{
    if (by_rows(s))
        rows_bwd_w(dw, dy, x, s, add);
    else if (spectral(s))
        spectra_weights(dw, dy, x, s, add);
    else
        direct_weights(dw, centred(s) ? dy : centres_spread(dy, s), x, s, add);
    if (db)
        backend_cpu()->add_rows_bwd(db, dy, s->B * conv_tokens(s), s->O);
}

void cpu_conv_members(struct backend *k)
{
    k->conv_fwd = conv_fwd;
    k->conv_stored = conv_stored;
    k->conv_pack_bytes = conv_pack_bytes;
    k->conv_pack = conv_pack;
    k->conv_packed = conv_packed;
    k->conv_bwd_x = conv_bwd_x;
    k->conv_bwd_w = conv_bwd_w;
    k->weight_norm_fwd = weight_norm_fwd;
    k->weight_norm_bwd = weight_norm_bwd;
}
