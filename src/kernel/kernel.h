/* Pure kernels on pointers and sizes, as rows of a backend.
 *
 * Nouns: a `backend` is a struct of function pointers for one element type (`real`: float or
 * double); missing members are filled from the reference backend of the same type, so every
 * pointer can be called. Reference kernels are written once (ref_kernels.inc) and compiled for
 * float and double; the double build is the oracle of the tests.
 *
 * Conventions
 *   - `real` arrays are passed as void pointers; backend->real_size tells 4 or 8. Row-major,
 *     contiguous, 64-byte aligned where the tape allocates them.
 *   - Order: outputs, inputs, sizes, parameters. The gradient of x is dx.
 *   - Gradients of activations: `add` 0 overwrites dx, 1 adds. Gradients of vectors of
 *     parameters (biases, gains) always add.
 *   - Reductions have a fixed shape: results are the same bits for any thread count, and a row's
 *     result (or a record's, for ops that mix tokens) does not depend on the other rows.
 *   - No kernel allocates per call after warm-up; none fails: sizes are checked by the tape.
 *   - Nothing here aliases unless said. */
#ifndef ECGFM_KERNEL_KERNEL_H
#define ECGFM_KERNEL_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum activation { ACTIVATION_NONE, ACTIVATION_GELU, ACTIVATION_RELU }; /* GELU: exact, by erf */
enum pool_kind { POOL_MEAN, POOL_MAX, POOL_LAST };

struct adamw_params {
    double lr, beta1, beta2, epsilon, weight_decay;
    double gradient_scale; /* multiplies g first: clipping and averaging */
    int64_t step;          /* 1-based, for bias correction */
};

/* How weights lie in a file or in memory. */
enum storage { STORAGE_F32, STORAGE_BF16, STORAGE_INT8 };

/* A weight matrix [N,K] as it was loaded, row-major: value (n,k) is data[n,k], times scale[n] for
 * STORAGE_INT8 (NULL for the others). */
struct weight {
    const void *data;
    enum storage storage;
    const float *scale;
};

/* A convolution over tokens, channels in groups: output n is centred on token t = skip + n stride and
 * its channel o of group g sums w[o,c,i] x[b, t + i - width / 2, g C/groups + c]; tokens outside the
 * record are zero. groups divides C and O. `skip` tokens at either end are no centres, at most width / 2:
 * with 0 and stride 1 there are as many tokens out as in; with width / 2, where that is odd, nothing
 * outside the record is met. With taps [width], reals, w[..,i] is multiplied by taps[i] wherever it is
 * read; the gradient of w is then that of the product. NULL: as it is. */
struct conv {
    int64_t B, T, C, O, width, groups;
    int64_t stride, skip; /* 1 and 0: every token is a centre */
    const void *taps;
};

/* Its tokens out. */
static inline int64_t conv_tokens(const struct conv *s)
{
    return (s->T - 1 - 2 * s->skip) / s->stride + 1;
}

/* Normalization of each of C channels over M rows; act: none or ReLU. */
struct batchnorm {
    int64_t M, C;
    const void *g, *b; /* gains and offsets [C] */
    bool running;      /* by the running statistics, which stay as they are */
    double epsilon, momentum;
    enum activation act;
};

/* Windows of `width` tokens of [B,T,C], `stride` apart, the first `padding` before the first token. */
struct windows {
    int64_t B, T, C, width, stride, padding;
    bool ceil; /* a last window that begins inside, but ends outside, counts too */
    enum pool_kind kind;
};

/* How many windows of a record: those of PyTorch's pooling, padding as wide behind as in front. */
static inline int64_t window_tokens(const struct windows *s)
{
    int64_t room = s->T + 2 * s->padding - s->width;
    int64_t n = (room + (s->ceil ? s->stride - 1 : 0)) / s->stride + 1;
    return s->ceil && (n - 1) * s->stride >= s->T + s->padding ? n - 1 : n;
}

/* Self-attention of H heads of E channels over N tokens in each of B records. lengths [B]: only so many
 * tokens of a record, its first, are attended to, 0 to N; NULL: all. Where that is none, y is zero.
 * dropout: probability that one of the attention probabilities is set to zero, the others times
 * 1/(1-dropout); row i of head h of record b draws from rng (seed, RNG_STREAM_DROPOUT, epoch = step,
 * sample = (b H + h) N + i), one number per key. */
struct attention {
    int64_t B, N, H, E;
    const int32_t *lengths;
    double dropout;
    uint64_t seed, step, salt;
};

/* A product quantizer: for each of M rows one of `codes` vectors [width] is chosen in each group. */
struct quantizer {
    int64_t M, groups, codes, width;
};

/* Dropout of single elements: element i of group i / group_size is zero with probability p, else times
 * 1 / (1 - p), by number i % group_size of rng (seed + salt, RNG_STREAM_DROPOUT, epoch = step, sample =
 * group). */
struct dropout {
    double p;
    int64_t group_size;
    uint64_t seed, step, salt;
};

/* A diagonal state space model: H channels by themselves over T tokens in each of B records, N states to
 * a channel, each standing for a conjugate pair. With dt = exp(step[H]) and A = -exp(real[H,N]) +
 * i imaginary[H,N] the kernel of direction d is
 *     K_d[l] = 2 Re sum over n of C_dn (exp(dt A_n) - 1) / A_n exp(dt A_n l),
 * C = output[directions,H,N,2] (real and imaginary part), and
 *     y[t] = skip[H] x[t] + sum over j >= 0 of K_0[j] x[t-j] + K_1[j] x[t+1+j],
 * the last term where there are two directions; tokens outside the record are zero. Reals.
 * Source: Gu et al. 2022 (S4D), eq. 4-6, zero-order hold. */
struct ssm {
    int64_t B, T, H, N, directions;
    const void *step, *real, *imaginary, *output, *skip;
};

/* Where gradients of its parameters go, each added to; NULL: not wanted. */
struct ssm_gradients {
    void *step, *real, *imaginary, *output, *skip;
};

struct backend {
    const char *name; /* "ref", "ref64", "cpu", "cpu-bf16", "cpu-int8", "onednn" */
    size_t real_size;
    /* Products round what they multiply to bf16: a training step may keep activations so. */
    bool rounds_bf16;

    /* y[M,N] = act(x[M,K] w[N,K]^T + b[N]); b may be NULL. */
    void (*linear_fwd)(void *y, const void *x, const void *w, const void *b, int64_t M, int64_t N,
                       int64_t K, enum activation act);
    /* Products with weights that stay the same (inference): packed once, into the order and precision
     * that the product reads; pack_bytes is a multiple of 64. With STORAGE_F32 weights linear_packed
     * gives the same bits as linear_fwd of the same backend. */
    size_t (*pack_bytes)(int64_t N, int64_t K);
    void (*pack)(void *packed, const struct weight *w, int64_t N, int64_t K);
    void (*linear_packed)(void *y, const void *x, const void *packed, const void *b, int64_t M,
                          int64_t N, int64_t K, enum activation act);
    /* dx[M,K] (add) = dy[M,N] w[N,K] */
    void (*linear_bwd_x)(void *dx, const void *dy, const void *w, int64_t M, int64_t N, int64_t K,
                         int add);
    /* dw[N,K] (add) = dy[M,N]^T x[M,K]; db[N] += column sums of dy (db may be NULL) */
    void (*linear_bwd_w)(void *dw, void *db, const void *dy, const void *x, int64_t M, int64_t N,
                         int64_t K, int add);

    /* y = act(x); dx (add) = dy act'(x). n elements. dx may be dy (in place, with add 0). */
    void (*activation_fwd)(void *y, const void *x, int64_t n, enum activation act);
    void (*activation_bwd)(void *dx, const void *dy, const void *x, int64_t n, enum activation act,
                           int add);

    /* The same with dropout of act(x). */
    void (*activation_dropout_fwd)(void *y, const void *x, int64_t n, enum activation act,
                                   const struct dropout *d);
    void (*activation_dropout_bwd)(void *dx, const void *dy, const void *x, int64_t n,
                                   enum activation act, const struct dropout *d, int add);

    /* y[M,D] = (x - mean) rstd g + b; mean[M], rstd[M] saved. Source: Ba et al. 2016 eq. 3-4.
     * g and b may both be NULL (plain standardization). */
    void (*layernorm_fwd)(void *y, void *mean, void *rstd, const void *x, const void *g,
                          const void *b, int64_t M, int64_t D, double epsilon);
    /* dg, db (may be NULL) always add. */
    void (*layernorm_bwd)(void *dx, void *dg, void *db, const void *dy, const void *x,
                          const void *g, const void *mean, const void *rstd, int64_t M, int64_t D,
                          int add);

    /* Row softmax, y[M,N]. */
    void (*softmax_fwd)(void *y, const void *x, int64_t M, int64_t N);
    void (*softmax_bwd)(void *dx, const void *dy, const void *y, int64_t M, int64_t N, int add);

    /* Multi-head self-attention over fused qkv[B,N,3,H,E] -> y[B,N,H,E], scale 1/sqrt(E).
     * lse[B,H,N]: log of the softmax denominator (with the maximum), saved for bwd.
     * Source: Vaswani 2017 eq. 1; recomputation as in Dao 2022. */
    void (*attention_fwd)(void *y, void *lse, const void *qkv, const struct attention *s);
    void (*attention_bwd)(void *dqkv, const void *dy, const void *qkv, const void *y,
                          const void *lse, const struct attention *s, int add);
    /* The probabilities that attention_fwd mixes values by, without dropout, averaged over the heads:
     * y[B,N,N], a row for each query, over its keys; with `highest` the largest of each row alone,
     * y[B,N]. */
    void (*attention_weights)(void *y, const void *qkv, const struct attention *s, int highest);

    /* y = a + b (y may be a). */
    void (*add)(void *y, const void *a, const void *b, int64_t n);
    /* y (add) = alpha x */
    void (*scale)(void *y, const void *x, double alpha, int64_t n, int add);
    /* y[M,n] = x[M,n] + p[n]: the same p for each of the M rows. */
    void (*add_rows_fwd)(void *y, const void *x, const void *p, int64_t M, int64_t n);
    /* dp[n] += sum over M of dy[M,n] */
    void (*add_rows_bwd)(void *dp, const void *dy, int64_t M, int64_t n);

    /* y[B,J,D] = x[B,index[b,j],D]; index[B,J] below N, distinct within a b; negative: a row of zeros. */
    void (*gather_fwd)(void *y, const void *x, const int32_t *index, int64_t B, int64_t N,
                       int64_t J, int64_t D);
    void (*gather_bwd)(void *dx, const void *dy, const int32_t *index, int64_t B, int64_t N,
                       int64_t J, int64_t D, int add); /* add 0 zeroes the rows not gathered */
    /* The inverse: y[B,N,D] = fill[D] (NULL: zero), then y[b,index[b,j],:] = x[b,j,:]. */
    void (*scatter_fwd)(void *y, const void *x, const void *fill, const int32_t *index, int64_t B,
                        int64_t N, int64_t J, int64_t D);
    void (*scatter_bwd)(void *dx, void *dfill, const void *dy, const int32_t *index, int64_t B,
                        int64_t N, int64_t J, int64_t D,
                        int add); /* dfill always adds; may be NULL */

    /* y[B,N,D] = x with row index[b,m] of record b replaced by fill[D]; index[B,M] below N, negative:
     * none, else distinct within a b. */
    void (*fill_fwd)(void *y, const void *x, const void *fill, const int32_t *index, int64_t B,
                     int64_t N, int64_t M, int64_t D);
    /* dfill += the rows of dy at index; dx (add) = dy, zero there. Either may be NULL. */
    void (*fill_bwd)(void *dx, void *dfill, const void *dy, const int32_t *index, int64_t B,
                     int64_t N, int64_t M, int64_t D, int add);
    /* y[B,N,D] (add) = x with zero in row lengths[b] and after of each record b; 0 to N. Its own
     * gradient. */
    void (*clear_after)(void *y, const void *x, const int32_t *lengths, int64_t B, int64_t N,
                        int64_t D, int add);

    /* Patches of a signal x[B,L,T], N = T / P (T a multiple of P).
     *   all_leads: y[B,N,L*P], lead-major inside a patch; else y[B,L*N,P], lead-major tokens. */
    void (*patchify_fwd)(void *y, const void *x, int64_t B, int64_t L, int64_t T, int64_t P,
                         int all_leads);
    void (*patchify_bwd)(void *dx, const void *dy, int64_t B, int64_t L, int64_t T, int64_t P,
                         int all_leads, int add);

    /* Windows over tokens: y[B,N,width*C], N = (T - width) / stride + 1 rounded down; row n is tokens
     * n stride to n stride + width - 1 of x[B,T,C], one after the other. With stride = width these are
     * the tokens themselves, `width` of them to a row. */
    void (*fold_fwd)(void *y, const void *x, int64_t B, int64_t T, int64_t C, int64_t width,
                     int64_t stride);
    void (*fold_bwd)(void *dx, const void *dy, int64_t B, int64_t T, int64_t C, int64_t width,
                     int64_t stride, int add);

    /* Each record and group of C/groups channels of x[B,T,C] by itself over all tokens: y = (x - mean)
     * rstd g[C] + b[C], with mean and rstd [B,groups] saved. Source: Wu and He 2018 eq. 1-7. */
    void (*groupnorm_fwd)(void *y, void *mean, void *rstd, const void *x, const void *g,
                          const void *b, int64_t B, int64_t T, int64_t C, int64_t groups,
                          double epsilon);
    /* dg, db (may be NULL) always add. */
    void (*groupnorm_bwd)(void *dx, void *dg, void *db, const void *dy, const void *x,
                          const void *g, const void *mean, const void *rstd, int64_t B, int64_t T,
                          int64_t C, int64_t groups, int add);

    /* y[B,T,H] from x[B,T,H]. A record's y does not depend on the others. */
    void (*ssm_fwd)(void *y, const void *x, const struct ssm *s);
    /* dx may be NULL. */
    void (*ssm_bwd)(void *dx, const struct ssm_gradients *d, const void *dy, const void *x,
                    const struct ssm *s, int add);

    /* y[M,D] = layer norm of x[M,D] + dropout(glu(h[M,2D])); d NULL: no dropout. With h as a and b, [M,D]
     * each, glu(h) = a / (1 + exp(-b)). Source: Dauphin et al. 2017 */
    void (*gated_norm_fwd)(void *y, void *mean, void *rstd, const void *x, const void *h,
                           const void *g, const void *b, int64_t M, int64_t D, double epsilon,
                           const struct dropout *d);
    /* Each of dx, dh, dg and db may be NULL; the latter two always add. */
    void (*gated_norm_bwd)(void *dx, void *dh, void *dg, void *db, const void *dy, const void *x,
                           const void *h, const void *g, const void *mean, const void *rstd,
                           int64_t M, int64_t D, const struct dropout *d, int add_x, int add_h);

    /* A layer of long short-term memory, from rest. x[B,T,4H] is what the input and the biases bring to
     * the gates input, forget, cell, output (PyTorch's order), H of each after the other; w[4H,H]
     * brings what the token before gave. gates[B,T,4H] after their sigmoids (cell: tanh) and cells[B,T,H]
     * are saved for bwd; both may be NULL. Source: Hochreiter and Schmidhuber 1997; Gers et al. 2000. */
    void (*lstm_fwd)(void *y, void *gates, void *cells, const void *x, const void *w, int64_t B,
                     int64_t T, int64_t H);
    /* y[B,T,H] as fwd gave it. dx or dw may be NULL. */
    void (*lstm_bwd)(void *dx, void *dw, const void *dy, const void *y, const void *gates,
                     const void *cells, const void *w, int64_t B, int64_t T, int64_t H, int add_x,
                     int add_w);

    /* y = act((x - mean) rstd g + b + residual) for x, y, residual [M,C]; residual may be NULL. mean and
     * rstd [C] are saved: those of x, and the running ones are moved by `momentum` towards mean and
     * unbiased variance of x; or made of the running ones. Source: Ioffe and Szegedy 2015 algorithm 1. */
    void (*batchnorm_fwd)(void *y, void *mean, void *rstd, void *running_mean, void *running_var,
                          const void *x, const void *residual, const struct batchnorm *s);
    /* Where there was a residual and a ReLU, y says what it let through; else y may be NULL. dx,
     * dresidual, dg and db may each be NULL; dg, db always add. */
    void (*batchnorm_bwd)(void *dx, void *dresidual, void *dg, void *db, const void *dy,
                          const void *x, const void *y, const void *mean, const void *rstd,
                          const struct batchnorm *s, int add, int add_residual);
    /* y[B,N,C]: of each window the largest, the first of equals, argmax[B,N,C] its token; or the mean,
     * in which padding counts as zeros, but not what ceil adds. */
    void (*pool_windows_fwd)(void *y, int32_t *argmax, const void *x, const struct windows *s);
    void (*pool_windows_bwd)(void *dx, const void *dy, const int32_t *argmax,
                             const struct windows *s, int add);

    /* y[B,N,O] = act(conv(x[B,T,C], w[O,C/groups,width]) + b[O]), N = conv_tokens; b may be NULL. */
    void (*conv_fwd)(void *y, const void *x, const void *w, const void *b, const struct conv *s,
                     enum activation act);
    /* The same by a weight [O, C/groups * width] in any storage, with the bits of its values. */
    void (*conv_stored)(void *y, const void *x, const struct weight *w, const void *b,
                        const struct conv *s, enum activation act);
    /* With such a weight packed once, as linear_packed, with the bits of conv_stored; B and T of s are
     * not looked at when packing. */
    size_t (*conv_pack_bytes)(const struct conv *s);
    void (*conv_pack)(void *packed, const struct weight *w, const struct conv *s);
    void (*conv_packed)(void *y, const void *x, const void *packed, const void *b,
                        const struct conv *s, enum activation act);
    void (*conv_bwd_x)(void *dx, const void *dy, const void *w, const struct conv *s, int add);
    /* dw (add); db[O] += column sums of dy (db may be NULL) */
    void (*conv_bwd_w)(void *dw, void *db, const void *dy, const void *x, const struct conv *s,
                       int add);
    /* Weight norm of each tap of a convolution's weights v [O,C,width]: norm[i] is the root of the sum
     * of squares of v[..,i], and taps[i] = g[i] / norm[i] makes them the product's (struct conv).
     * STORAGE_F32: the backend's reals. Source: Salimans and Kingma 2016 eq. 2. */
    void (*weight_norm_fwd)(void *taps, void *norm, const struct weight *v, const void *g,
                            int64_t O, int64_t C, int64_t width);
    /* From the gradient dw of the product: dv (add), dg[width] += (either may be NULL); eq. 3. */
    void (*weight_norm_bwd)(void *dv, void *dg, const void *dw, const void *v, const void *taps,
                            const void *norm, int64_t O, int64_t C, int64_t width, int add);

    /* y = x rounded to bf16 (nearest even; NaN and infinity stay) and back. */
    void (*bf16_round)(uint16_t *y, const void *x, int64_t n);
    void (*bf16_value)(void *y, const uint16_t *x, int64_t n);

    /* Over tokens: y[B,D] = mean, max or last of the first lengths[b] (NULL: N) tokens of x[B,N,D], 0
     * where there are none. argmax[B,D] is written for POOL_MAX (-1: none). */
    void (*pool_fwd)(void *y, int32_t *argmax, const void *x, const int32_t *lengths, int64_t B,
                     int64_t N, int64_t D, enum pool_kind kind);
    void (*pool_bwd)(void *dx, const void *dy, const int32_t *argmax, const int32_t *lengths,
                     int64_t B, int64_t N, int64_t D, enum pool_kind kind, int add);

    /* What H learned queries q[H*E] make of the first lengths[b] (NULL: N) tokens kv[B,N,2*H*E], keys
     * beside values: p[B,H,N] = softmax over n of q_h . k_n,h / sqrt(E), y[B,H*E] = sum_n p v; 0 where
     * there are none. */
    void (*attend_fwd)(void *y, void *p, const void *q, const void *kv, const int32_t *lengths,
                       int64_t B, int64_t N, int64_t H, int64_t E);
    /* dq += (may be NULL); dkv (add, may be NULL). */
    void (*attend_bwd)(void *dq, void *dkv, const void *dy, const void *p, const void *q,
                       const void *kv, const int32_t *lengths, int64_t B, int64_t N, int64_t H,
                       int64_t E, int add);

    /* y[M,D] = x / max(|x|, epsilon) by row; norm[M] is saved for bwd: the divisor, negative where
     * it is epsilon (no gradient flows through the length there). */
    void (*l2norm_fwd)(void *y, void *norm, const void *x, int64_t M, int64_t D, double epsilon);
    void (*l2norm_bwd)(void *dx, const void *dy, const void *y, const void *norm, int64_t M,
                       int64_t D, int add);

    /* y = x * keep / (1-p), keep from rng (seed, RNG_STREAM_DROPOUT, epoch = step, sample = group):
     * element i of group i/group_size is kept or not by itself (whole = 0), or each group as a
     * whole (whole = 1, drop path). The backward pass is the same call on dy with `add`. y may be x. */
    void (*dropout)(void *y, const void *x, int64_t n, int64_t group_size, double p, int whole,
                    uint64_t seed, uint64_t step, uint64_t salt, int add);

    /* Losses: loss[1], a mean; bwd multiplies by dloss[1]. */
    /* Mean squared error over predicted tokens: pred[B,J,P] against target[B,N,P] at index[B,J];
     * with normalize, each target patch is standardized first, (t-mean)/sqrt(var+1e-6), var with
     * P-1 in the denominator. Source: He et al. 2022 (MAE), section 3 "Reconstruction target". */
    void (*mse_patch_fwd)(void *loss, const void *pred, const void *target, const int32_t *index,
                          int64_t B, int64_t N, int64_t J, int64_t P, int normalize);
    void (*mse_patch_bwd)(void *dpred, const void *dloss, const void *pred, const void *target,
                          const int32_t *index, int64_t B, int64_t N, int64_t J, int64_t P,
                          int normalize, int add);
    /* Binary cross-entropy with logits; target[B,K] in [0,1], NaN = not counted; mean over the
     * counted ones (0 if there are none). weight[K] scales the positive term, may be NULL. */
    void (*bce_fwd)(void *loss, const void *logits, const void *target, const void *weight,
                    int64_t B, int64_t K);
    void (*bce_bwd)(void *dlogits, const void *dloss, const void *logits, const void *target,
                    const void *weight, int64_t B, int64_t K, int add);
    /* Mean squared error of x[n] against target[n], NaN = not counted (0 if none is). */
    void (*mse_fwd)(void *loss, const void *x, const void *target, int64_t n);
    void (*mse_bwd)(void *dx, const void *dloss, const void *x, const void *target, int64_t n,
                    int add);
    /* NT-Xent over z[2B,D], rows of length one, views of record b at rows b and B+b; mean over the
     * 2B anchors. prob[2B,2B] is saved. Source: Chen et al. 2020 (SimCLR) eq. 1. */
    void (*ntxent_fwd)(void *loss, void *prob, const void *z, int64_t B, int64_t D,
                       double temperature);
    void (*ntxent_bwd)(void *dz, const void *dloss, const void *prob, const void *z, int64_t B,
                       int64_t D, double temperature, int add);
    /* Contrastive predictive coding by a quantizer (wav2vec 2.0). index[M] says which rows there are:
     * those with a negative one are left out of everything, and their gradients are zero. */
    /* Gumbel softmax: soft[M,groups,codes] = softmax((logits + noise) / temperature) in each group, and
     * pick[M,groups] is the code with the largest logits + noise, the first of equals. y[M,groups,width]
     * is the picked vector of codes[groups,codes,width], or with `blend` the mean of all with weights
     * soft; zero where there is no row. noise may be NULL (none), soft too (not wanted, without blend).
     * Source: Jang et al. 2017 (Gumbel softmax), section 2.2. */
    void (*quantize_fwd)(void *y, void *soft, int32_t *pick, const void *logits, const void *noise,
                         const void *codes, const int32_t *index, const struct quantizer *s,
                         double temperature, int blend);
    /* dlogits as if y were the blend (straight through); dcodes of what y was made of. dcodes always
     * adds; either may be NULL. */
    void (*quantize_bwd)(void *dlogits, void *dcodes, const void *dy, const void *soft,
                         const int32_t *pick, const void *codes, const int32_t *index,
                         const struct quantizer *s, double temperature, int blend, int add);
    /* y[1] = sum over groups of exp(-sum p ln(p + 1e-7)), p[groups,codes] (saved) the mean over rows of
     * softmax(logits), or with `hard` how often each code has the largest logit. */
    void (*perplexity_fwd)(void *y, void *p, const void *logits, const int32_t *index,
                           const struct quantizer *s, int hard);
    void (*perplexity_bwd)(void *dlogits, const void *dy, const void *p, const void *logits,
                           const int32_t *index, const struct quantizer *s, int add); /* not hard */
    /* y[M,1+K]: products over temperature of x[M,D] with its own row of target[M,D] and with K others,
     * negatives[M,K]; minus infinity for a negative that is none (below 0) or whose row of same[M,D] is
     * exactly that of the row itself (NULL: none is). dy is zero where y is minus infinity. */
    void (*similarity_fwd)(void *y, const void *x, const void *target, const void *same,
                           const int32_t *negatives, int64_t M, int64_t D, int64_t K,
                           double temperature);
    /* Either may be NULL. */
    void (*similarity_bwd)(void *dx, void *dtarget, const void *dy, const void *x,
                           const void *target, const int32_t *negatives, int64_t M, int64_t D,
                           int64_t K, double temperature, int add_x, int add_target);
    /* y[M,K] = z[m,index[m,k]], z[M,N]; minus infinity for a negative index. */
    void (*pick_fwd)(void *y, const void *z, const int32_t *index, int64_t M, int64_t N, int64_t K);
    /* dz[M,N] = the sum of what picked it; dy counts as zero where the index is negative. */
    void (*pick_bwd)(void *dz, const void *dy, const int32_t *index, int64_t M, int64_t N,
                     int64_t K);
    /* Cross entropy of class 0 among the K classes of logits[M,K], mean over rows (0 if there are
     * none). lse[M] saved: log of the sum of exponentials. */
    void (*first_class_fwd)(void *loss, void *lse, const void *logits, const int32_t *index,
                            int64_t M, int64_t K);
    void (*first_class_bwd)(void *dlogits, const void *dloss, const void *lse, const void *logits,
                            const int32_t *index, int64_t M, int64_t K, int add);
    /* y[1]: the share of rows where class 0 is the largest and not the smallest too. */
    void (*accuracy)(void *y, const void *logits, const int32_t *index, int64_t M, int64_t K);
    /* Symmetric contrast of P pairs: z[2P,D], pair i at rows i and P + i. With Z = a b^T / temperature
     * the mean over all (i,j) with record[i] = record[j] of the cross entropies of Z[i,j] in its row and
     * in its column, halved. slope[P,P] saved: of the loss by Z. Source: Kiyasseh et al. 2021 (CLOCS),
     * eq. 1-3. */
    void (*cmsc_fwd)(void *loss, void *slope, const void *z, const int32_t *record, int64_t P,
                     int64_t D, double temperature);
    void (*cmsc_bwd)(void *dz, const void *dloss, const void *slope, const void *z, int64_t P,
                     int64_t D, double temperature, int add);

    /* Optimizer, over flat slabs. */
    void (*adamw)(void *w, const void *g, void *m, void *v, int64_t n,
                  const struct adamw_params *p);
    double (*sum_squares)(const void *x, int64_t n);
    /* target += (1 - decay) (w - target) */
    void (*ema)(void *target, const void *w, int64_t n, double decay);
    bool (*all_finite)(const void *x, int64_t n);
};

extern const struct backend backend_ref;   /* float, plain C */
extern const struct backend backend_ref64; /* double, plain C: the oracle */
/* Float on code vectorized for this machine, members missing there filled from backend_ref. Built
 * once, thread safe. */
const struct backend *backend_cpu(void);
/* The cpu backend with bf16 products: what kernels read and write is float32 in memory and
 * is rounded to bf16 (nearest even) where a linear layer or attention multiplies them, sums are
 * float32. It keeps what cpu promises about bits; GELU is within 2e-5 of the exact one and its slope
 * within 1e-3. NULL where the machine has no bf16 units (AVX512-BF16). Threads: safe. */
const struct backend *backend_cpu_bf16(void);
/* For inference: linear layers multiply 8-bit integers with exact sums (int8.h tells how they are
 * rounded), everything else is as in cpu-bf16 where there is that, else as in cpu. linear_fwd rounds
 * the weights each time: pack them. GELU fused into a linear layer is within 2e-5 of the exact one.
 * Threads: safe. */
const struct backend *backend_cpu_int8(void);
/* The cpu backend with its matrix products by oneDNN: to compare with, and for machines where that
 * is faster; not the default, because it promises less. NULL where oneDNN has no CPU engine.
 *   - Where oneDNN runs on AVX-512, the bits depended neither on the number of rows nor on that of
 *     threads in all that was tried (2.6.3 and 3.2, 26 layers of our models, 1 to 1,248 rows, 1 to 4
 *     threads); oneDNN itself promises no such thing, and weight gradients of narrow layers are cut by
 *     threads. On AVX2 and older a row's bits do depend on the number of rows, and some weight
 *     gradients on that of threads: scores then differ in the last digits with batch and machine.
 *   - Between versions of oneDNN, bits differ.
 *   - GELU fused into linear_fwd is oneDNN's, within 2e-6 of the exact one (NaN of infinity in 3.2).
 *   - oneDNN allocates some small blocks in each call.
 * Threads: safe. */
const struct backend *backend_onednn(void);
/* "cpu", "cpu-bf16", "cpu-int8", "onednn", "ref", "ref64"; NULL if unknown or not available. */
const struct backend *backend_find(const char *name);

/* The backend that models and trainers compute with, one for the process: cpu unless another float
 * one is selected. Select before anything is recorded; false, and no change, if there is none. */
bool backend_select(const char *name);
const struct backend *backend_selected(void);

/* Threads of the kernels (OpenMP); results do not depend on it. */
void kernel_set_threads(int threads);
int kernel_threads(void);

/* One line each for --version: library versions, CPU features in use. */
const char *kernel_description(void);

#endif
