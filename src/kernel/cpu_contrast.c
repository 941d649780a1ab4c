/* The cpu backend's losses of contrastive coding: quantizer, similarities, cross entropies. */
#include "kernel/split.h"

#include <math.h>
#include <string.h>

/* Rows that are worked on together: fixed, so that sums have the same shape for any number of threads. */
enum { CHUNK_ROWS = 2048 };

static int64_t rows_present(const int32_t *index, int64_t M)
{
    int64_t n = 0;
    for (int64_t m = 0; m < M; m++)
        n += index[m] >= 0;
    return n;
}

static void clear(float *x, int64_t n) { memset(x, 0, sizeof *x * (size_t)n); }

/* The place of the largest, the first of equals. */
static int32_t highest(const float *x, int64_t n)
{
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (x[i] > x[best])
            best = i;
    return (int32_t)best;
}

/* ---- quantizer ------------------------------------------------------------------------------- */

static void quantize_fwd(void *y_, void *soft_, int32_t *pick, const void *logits_,
                         const void *noise_, const void *codes_, const int32_t *index,
                         const struct quantizer *s, double temperature, int blend)
{
    float *y = y_, *soft = soft_;
    const float *logits = logits_, *noise = noise_, *codes = codes_;
    const struct vector_kernels *vector = vector_in_use();
    int64_t V = s->codes, width = s->width, groups = s->groups;
    if (blend) { /* for tests of the gradient */
        backend_ref.quantize_fwd(y, soft, pick, logits, noise, codes, index, s, temperature, blend);
        return;
    }
    PARALLEL_SHARES(s->M, 1, s->M * groups * V, {
        float *work = kernel_scratch(SCRATCH_TASK, V);
        for (int64_t r = from * groups; r < to * groups; r++) {
            float *row = soft ? soft + r * V : work;
            pick[r] = 0;
            if (index[r / groups] < 0) {
                clear(row, V);
                clear(y + r * width, width);
                continue;
            }
            if (noise)
                vector->add(row, logits + r * V, noise + r * V, V);
            else
                memcpy(row, logits + r * V, sizeof *row * (size_t)V);
            pick[r] = highest(row, V);
            memcpy(y + r * width, codes + (r % groups * V + pick[r]) * width,
                   sizeof *y * (size_t)width);
            if (soft) {
                vector->scale(row, row, (float)(1 / temperature), V, 0);
                vector->softmax_fwd(row, row, 1, V);
            }
        }
    });
}

/* Gradients of the logits of one group, for rows `first` and on. */
static void logits_bwd(float *dlogits, const float *dy, const float *soft, const float *codes,
                       const struct quantizer *s, int64_t g, int64_t first, int64_t rows,
                       double temperature, int add)
{
    const struct vector_kernels *vector = vector_in_use();
    int64_t V = s->codes, width = s->width, groups = s->groups;
    float *slope = kernel_scratch(SCRATCH_SHARED, rows * V);
    struct product p = product_fwd(slope, dy + (first * groups + g) * width, NULL, rows, V, width,
                                   ACTIVATION_NONE);
    p.a_row = groups * width;
    p.b = codes + g * V * width;
    split_product(&p, 16, vector->gemm);
    PARALLEL_SHARES(rows, 1, rows * V, {
        for (int64_t m = from; m < to; m++) {
            int64_t at = ((first + m) * groups + g) * V;
            vector->scale(slope + m * V, slope + m * V, (float)(1 / temperature), V, 0);
            vector->softmax_bwd(dlogits + at, slope + m * V, soft + at, 1, V, add);
        }
    });
}

static void quantize_bwd(void *dlogits, void *dcodes_, const void *dy_, const void *soft,
                         const int32_t *pick, const void *codes, const int32_t *index,
                         const struct quantizer *s, double temperature, int blend, int add)
{
    float *dcodes = dcodes_;
    const float *dy = dy_;
    const struct vector_kernels *vector = vector_in_use();
    int64_t V = s->codes, width = s->width, groups = s->groups;
    if (blend) {
        backend_ref.quantize_bwd(dlogits, dcodes, dy, soft, pick, codes, index, s, temperature,
                                 blend, add);
        return;
    }
    for (int64_t first = 0; dlogits && first < s->M; first += CHUNK_ROWS)
        for (int64_t g = 0; g < groups; g++)
            logits_bwd(dlogits, dy, soft, codes, s, g, first, min_i64(CHUNK_ROWS, s->M - first),
                       temperature, add);
    if (!dcodes)
        return;
    /* Each thread has some of the codes and looks for who picked them, in the order of the rows. */
    PARALLEL_SHARES(groups * V, 1, s->M * groups * width, {
        for (int64_t r = 0; r < s->M * groups; r++) {
            int64_t code = r % groups * V + pick[r];
            if (index[r / groups] >= 0 && code >= from && code < to)
                vector->scale(dcodes + code * width, dy + r * width, 1, width, 1);
        }
    });
}

static const double perplexity_floor = 1e-7;

static double group_perplexity(const float *p, int64_t V)
{
    double sum = 0;
    for (int64_t v = 0; v < V; v++)
        sum -= p[v] * log(p[v] + perplexity_floor);
    return exp(sum);
}

static void perplexity_fwd(void *y, void *p_, const void *logits_, const int32_t *index,
                           const struct quantizer *s, int hard)
{
    float *p = p_;
    const float *logits = logits_;
    const struct vector_kernels *vector = vector_in_use();
    int64_t V = s->codes, all = s->groups * V, chunks = (s->M + GROUP_ROWS - 1) / GROUP_ROWS;
    int64_t n = rows_present(index, s->M);
    float *sums = kernel_scratch(SCRATCH_SHARED, chunks * all);
    PARALLEL_SHARES(chunks, 1, s->M * all, {
        float *row = kernel_scratch(SCRATCH_TASK, all);
        for (int64_t chunk = from; chunk < to; chunk++) {
            float *sum = sums + chunk * all;
            clear(sum, all);
            for (int64_t m = chunk * GROUP_ROWS; m < min_i64(s->M, (chunk + 1) * GROUP_ROWS); m++) {
                if (index[m] < 0)
                    continue;
                for (int64_t g = 0; hard && g < s->groups; g++)
                    sum[g * V + highest(logits + m * all + g * V, V)]++;
                if (!hard) {
                    vector->softmax_fwd(row, logits + m * all, s->groups, V);
                    vector->add(sum, sum, row, all);
                }
            }
        }
    });
    clear(p, all);
    vector->column_sums(p, sums, NULL, chunks, all, all);
    vector->scale(p, p, n ? 1 / (float)n : 0, all, 0);
    double total = 0;
    for (int64_t g = 0; g < s->groups; g++)
        total += group_perplexity(p + g * V, V);
    *(float *)y = (float)total;
}

static void perplexity_bwd(void *dlogits_, const void *dy, const void *p_, const void *logits_,
                           const int32_t *index, const struct quantizer *s, int add)
{
    float *dlogits = dlogits_;
    const float *p = p_, *logits = logits_;
    const struct vector_kernels *vector = vector_in_use();
    int64_t V = s->codes, all = s->groups * V, n = rows_present(index, s->M);
    float *slope = kernel_scratch(SCRATCH_SHARED, all);
    for (int64_t g = 0; g < s->groups; g++) {
        double factor =
            n ? -(double)*(const float *)dy / (double)n * group_perplexity(p + g * V, V) : 0;
        for (int64_t i = g * V; i < (g + 1) * V; i++)
            slope[i] =
                (float)(factor * (log(p[i] + perplexity_floor) + p[i] / (p[i] + perplexity_floor)));
    }
    PARALLEL_SHARES(s->M, 1, s->M * all, {
        float *row = kernel_scratch(SCRATCH_TASK, all);
        for (int64_t m = from; m < to; m++) {
            if (index[m] >= 0) {
                vector->softmax_fwd(row, logits + m * all, s->groups, V);
                vector->softmax_bwd(dlogits + m * all, slope, row, s->groups, V, add);
            } else if (!add) {
                clear(dlogits + m * all, all);
            }
        }
    });
}

/* ---- similarities ---------------------------------------------------------------------------- */

static bool rows_equal(const float *a, const float *b, int64_t D)
{
    int64_t d = 0;
    while (d < D && a[d] == b[d])
        d++;
    return d == D;
}

static void similarity_fwd(void *y_, const void *x_, const void *target_, const void *same_,
                           const int32_t *negatives, int64_t M, int64_t D, int64_t K,
                           double temperature)
{
    float *y = y_;
    const float *x = x_, *target = target_, *same = same_;
    const struct vector_kernels *vector = vector_in_use();
    float factor = (float)(1 / temperature);
    PARALLEL_SHARES(M, 1, M * (K + 1) * D, {
        for (int64_t m = from; m < to; m++) {
            float *row = y + m * (K + 1);
            row[0] = factor * vector->dot(x + m * D, target + m * D, D);
            for (int64_t k = 0; k < K; k++) {
                int64_t other = negatives[m * K + k];
                bool none = other < 0 || (same && rows_equal(same + m * D, same + other * D, D));
                row[1 + k] =
                    none ? -INFINITY : factor * vector->dot(x + m * D, target + other * D, D);
            }
        }
    });
}

static void similarity_bwd(void *dx_, void *dtarget_, const void *dy_, const void *x_,
                           const void *target_, const int32_t *negatives, int64_t M, int64_t D,
                           int64_t K, double temperature, int add_x, int add_target)
{
    float *dx = dx_, *dtarget = dtarget_;
    const float *dy = dy_, *x = x_, *target = target_;
    const struct vector_kernels *vector = vector_in_use();
    float factor = (float)(1 / temperature);
    if (dx)
        PARALLEL_SHARES(M, 1, M * (K + 1) * D, {
            for (int64_t m = from; m < to; m++) {
                const float *row = dy + m * (K + 1);
                vector->scale(dx + m * D, target + m * D, factor * row[0], D, add_x);
                for (int64_t k = 0; k < K; k++)
                    if (negatives[m * K + k] >= 0 && row[1 + k] != 0)
                        vector->scale(dx + m * D, target + negatives[m * K + k] * D,
                                      factor * row[1 + k], D, 1);
            }
        });
    /* Each thread has some of the targets and looks for who used them, in the order of the rows. */
    if (dtarget)
        PARALLEL_SHARES(M, 1, M * (K + 1) * D, {
            for (int64_t m = from; m < to; m++)
                vector->scale(dtarget + m * D, x + m * D, factor * dy[m * (K + 1)], D, add_target);
            for (int64_t i = 0; i < M * K; i++) {
                int64_t m = i / K, other = negatives[i];
                float slope = dy[m * (K + 1) + 1 + i % K];
                if (other >= from && other < to && slope != 0)
                    vector->scale(dtarget + other * D, x + m * D, factor * slope, D, 1);
            }
        });
}

static void pick_fwd(void *y_, const void *z_, const int32_t *index, int64_t M, int64_t N,
                     int64_t K)
{
    float *y = y_;
    const float *z = z_;
    PARALLEL_SHARES(M, 1, M * K, {
        for (int64_t m = from; m < to; m++)
            for (int64_t k = 0; k < K; k++)
                y[m * K + k] = index[m * K + k] < 0 ? -INFINITY : z[m * N + index[m * K + k]];
    });
}

static void pick_bwd(void *dz_, const void *dy_, const int32_t *index, int64_t M, int64_t N,
                     int64_t K)
{
    float *dz = dz_;
    const float *dy = dy_;
    PARALLEL_SHARES(M, 1, M * (K + N), {
        clear(dz + from * N, (to - from) * N);
        for (int64_t m = from; m < to; m++)
            for (int64_t k = 0; k < K; k++)
                if (index[m * K + k] >= 0)
                    dz[m * N + index[m * K + k]] += dy[m * K + k];
    });
}

/* ---- cross entropies ------------------------------------------------------------------------- */

static void first_class_fwd(void *loss, void *lse_, const void *logits_, const int32_t *index,
                            int64_t M, int64_t K)
{
    float *lse = lse_;
    const float *logits = logits_;
    const struct vector_kernels *vector = vector_in_use();
    PARALLEL_SHARES(M, 1, M * K, {
        float *row = kernel_scratch(SCRATCH_TASK, K);
        for (int64_t m = from; m < to; m++) {
            lse[m] = 0;
            if (index[m] < 0)
                continue;
            int32_t top = highest(logits + m * K, K);
            vector->softmax_fwd(row, logits + m * K, 1, K);
            lse[m] = logits[m * K + top] - logf(row[top]); /* softmax of the largest: 1 / sum */
        }
    });
    double total = 0;
    int64_t n = rows_present(index, M);
    for (int64_t m = 0; m < M; m++)
        total += index[m] >= 0 ? (double)lse[m] - (double)logits[m * K] : 0;
    *(float *)loss = n ? (float)(total / (double)n) : 0;
}

static void first_class_bwd(void *dlogits_, const void *dloss, const void *lse, const void *logits_,
                            const int32_t *index, int64_t M, int64_t K, int add)
{
    (void)lse; /* the softmax is as quickly made again */
    float *dlogits = dlogits_;
    const float *logits = logits_;
    const struct vector_kernels *vector = vector_in_use();
    int64_t n = rows_present(index, M);
    float factor = n ? *(const float *)dloss / (float)n : 0;
    PARALLEL_SHARES(M, 1, M * K, {
        float *row = kernel_scratch(SCRATCH_TASK, K);
        for (int64_t m = from; m < to; m++) {
            if (index[m] >= 0) {
                vector->softmax_fwd(row, logits + m * K, 1, K);
                row[0] -= 1;
                vector->scale(dlogits + m * K, row, factor, K, add);
            } else if (!add) {
                clear(dlogits + m * K, K);
            }
        }
    });
}

/* Adds the cross entropies of n numbers `step` apart whose record is `own`, and their slopes. */
static double contrast_line(float *slope, const float *z, const int32_t *record, int32_t own,
                            int64_t n, int64_t step, double share)
{
    float max = -INFINITY;
    double sum = 0, total = 0, positives = 0;
    for (int64_t i = 0; i < n; i++) {
        max = z[i * step] > max ? z[i * step] : max;
        positives += record[i] == own;
    }
    for (int64_t i = 0; i < n; i++)
        sum += exp((double)z[i * step] - max);
    for (int64_t i = 0; i < n; i++) {
        double p = exp((double)z[i * step] - max) / sum;
        bool positive = record[i] == own;
        slope[i * step] += (float)(share * (positives * p - positive));
        total += positive ? max + log(sum) - z[i * step] : 0;
    }
    return share * total;
}

static void cmsc_fwd(void *loss, void *slope_, const void *z_, const int32_t *record, int64_t P,
                     int64_t D, double temperature)
{
    float *slope = slope_, *z = kernel_scratch(SCRATCH_SHARED, P * P);
    const float *a = z_;
    double total = 0, positives = 0;
    backend_cpu()->linear_fwd(z, a, a + P * D, NULL, P, P, D, ACTIVATION_NONE);
    backend_cpu()->scale(z, z, 1 / temperature, P * P, 0);
    for (int64_t i = 0; i < P * P; i++)
        positives += record[i / P] == record[i % P];
    clear(slope, P * P);
    for (int64_t i = 0; i < P; i++) {
        double share = 0.5 / positives;
        total += contrast_line(slope + i * P, z + i * P, record, record[i], P, 1, share);
        total += contrast_line(slope + i, z + i, record, record[i], P, P, share);
    }
    *(float *)loss = (float)total;
}

static void cmsc_bwd(void *dz_, const void *dloss, const void *slope, const void *z, int64_t P,
                     int64_t D, double temperature, int add)
{
    const struct backend *k = backend_cpu();
    float *dz = dz_, *scaled = kernel_scratch(SCRATCH_SHARED, P * P);
    const float *a = z;
    k->scale(scaled, slope, *(const float *)dloss / temperature, P * P, 0);
    k->linear_bwd_x(dz, scaled, a + P * D, P, P, D, add);
    k->linear_bwd_w(dz + P * D, NULL, scaled, a, P, P, D, add);
}

void cpu_contrast_members(struct backend *k)
{
    k->quantize_fwd = quantize_fwd;
    k->quantize_bwd = quantize_bwd;
    k->perplexity_fwd = perplexity_fwd;
    k->perplexity_bwd = perplexity_bwd;
    k->similarity_fwd = similarity_fwd;
    k->similarity_bwd = similarity_bwd;
    k->pick_fwd = pick_fwd;
    k->pick_bwd = pick_bwd;
    k->first_class_fwd = first_class_fwd;
    k->first_class_bwd = first_class_bwd;
    k->cmsc_fwd = cmsc_fwd;
    k->cmsc_bwd = cmsc_bwd;
}
