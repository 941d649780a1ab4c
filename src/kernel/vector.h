/* Single-thread building blocks of the cpu backend, compiled once for each instruction set
 * (vector_kernels.inc by cpu_avx512.c, cpu_avx2.c, cpu_plain.c). cpu.c splits work among threads
 * and calls these; results do not depend on how it splits. Only cpu.c and tests include this. */
#ifndef ECGFM_KERNEL_VECTOR_H
#define ECGFM_KERNEL_VECTOR_H

#include "kernel/kernel.h"

#include "base/rng.h"

/* C[M,N] = act(A[M,K] B[K,N] + bias[N]), or C += A B when `add`. C is contiguous, element (i,j) of
 * A and B is at i row + j column. `packed`, where not NULL, stands for B; bias may be NULL. */
struct product {
    float *c;
    const float *a, *b;
    const void *packed;
    const float *bias;
    int64_t M, N, K;
    int64_t a_row, a_column, b_row, b_column;
    bool add;
    enum activation act;
};

/* Convolution of one group of channels (struct conv), directly. */
struct conv_kernels {
    /* Weights w[O,C,width] in the order of the product: pack_floats(O, C, width). With `backward` they
     * take gradients of O channels back to C, for x and y walked backward. */
    int64_t (*pack_floats)(int64_t O, int64_t C, int64_t width);
    void (*pack)(float *packed, const float *w, int64_t O, int64_t C, int64_t width, bool backward);
    /* From C channels of x to O of y, tokens x_row and y_row apart (negative: walked backward). act
     * comes before `add`; work has run_floats. */
    int64_t (*run_floats)(int64_t T, int64_t C, int64_t O, int64_t width);
    void (*run)(float *y, int64_t y_row, const float *x, int64_t x_row, const float *packed,
                const float *bias, int64_t T, int64_t C, int64_t O, int64_t width,
                enum activation act, int add, float *work);
    /* dw[o,c,i] (add) over B records, for O channels of dy and C of x; rows of dw are dw_row apart. */
    int64_t (*weights_floats)(int64_t T, int64_t C, int64_t O, int64_t width);
    void (*weights)(float *dw, int64_t dw_row, const float *dy, int64_t dy_row, const float *x,
                    int64_t x_row, int64_t B, int64_t T, int64_t C, int64_t O, int64_t width,
                    int add, float *work);
};

/* One frequency of several spectra: rows of real and of imaginary parts (NULL: none), `step` numbers
 * from one spectrum to the next, and the factor it has in the way back to time. */
struct frequency {
    float *re, *im;
    int64_t step;
    float share;
};

/* y = (x - mean) slope + offset, by channel. */
struct batchnorm_columns {
    const float *mean, *slope, *offset;
};

enum { SPECTRUM_CHANNELS = 128 }; /* of a row of x in spectrum_product, at most */

/* The recurrences of a state space model, for channels side by side. Coefficients of state n are rows
 * n SSM_ROWS to n SSM_ROWS + SSM_ROWS - 1 of `coefficients`, row numbers apart: exp(dt A) - 1, then for
 * each direction C' = 2 C (exp(dt A) - 1) / A, real and imaginary parts. The first is kept less one
 * because what a slow state forgets in a step would be lost in the rounding of one. */
enum { SSM_DECAY = 0, SSM_OUTPUT = 2, SSM_ROWS = 6 };
struct ssm_channels {
    const float *coefficients, *skip;
    int64_t row, T, H, N, directions; /* tokens of x and y are H numbers apart */
};

/* Rows that ssm_bwd gives: gradients of SSM_ROWS coefficients of each state, and of the skip. Of
 * exp(dt A) there are two, by direction: rows 0-1 and 2-3; then those of C', 4-5 and 6-7. Each is the
 * complex sum G with dL = Re(G dparameter). */
enum { SSM_SLOPES = 8 };

struct vector_kernels {
    const char *isa; /* "avx512", "avx2", "plain" */

    /* The part of a product that is rows i to i + rows and columns j to j + columns of C; with
     * packed weights j is a multiple of pack_columns. Each element of C is summed in the order of k
     * and in pieces cut by k alone, so its bits do not depend on M, N or where it stands, nor on
     * whether B was packed before. */
    void (*gemm)(const struct product *p, int64_t i, int64_t rows, int64_t j, int64_t columns);

    /* C = act(A B + bias), or C += A B, for packed B, with the bits of gemm. Rows of A are a_row apart
     * and may overlap, those of C c_row. */
    void (*rows_product)(float *c, int64_t c_row, const float *a, int64_t a_row,
                         const float *packed, const float *bias, int64_t M, int64_t N, int64_t K,
                         enum activation act, bool add);

    /* out[rows,K] = the values of rows `first` and on of weights. */
    void (*decode)(float *out, const struct weight *w, int64_t first, int64_t rows, int64_t K);
    /* Rows `first` (a multiple of pack_columns) and on of weights [N,K] into the product's order: a
     * panel of pack_columns rows of w after the other, each [K][pack_columns], zero past the last. */
    int64_t pack_columns;
    void (*pack_weights)(float *packed, const struct weight *w, int64_t first, int64_t rows,
                         int64_t K);

    /* Head b H + h of attention, with at least one key: pointers are at its first element, rows of y
     * and dy are `H E` apart, rows of qkv `3 H E`. */
    void (*attention_fwd)(float *y, float *lse, const float *qkv, const struct attention *s,
                          int64_t head);
    void (*attention_bwd)(float *dqkv, const float *dy, const float *qkv, const float *y,
                          const float *lse, const struct attention *s, int64_t head, int add);
    /* Of one record, queries `first` to first + rows: y[rows,N], or with `highest` y[rows]. */
    void (*attention_weights)(float *y, const float *qkv, int64_t first, int64_t rows, int64_t N,
                              int64_t keys, int64_t H, int64_t E, int highest);

    void (*activation_fwd)(float *y, const float *x, int64_t n, enum activation act);
    void (*activation_bwd)(float *dx, const float *dy, const float *x, int64_t n,
                           enum activation act, int add);
    void (*layernorm_fwd)(float *y, float *mean, float *rstd, const float *x, const float *g,
                          const float *b, int64_t M, int64_t D, double epsilon);
    /* sums[2,D]: overwritten by the sums over these M rows of dy xhat and of dy; may be NULL. */
    void (*layernorm_bwd)(float *dx, float *sums, const float *dy, const float *x, const float *g,
                          const float *mean, const float *rstd, int64_t M, int64_t D, int add);
    void (*softmax_fwd)(float *y, const float *x, int64_t M, int64_t N);
    void (*softmax_bwd)(float *dx, const float *dy, const float *y, int64_t M, int64_t N, int add);
    void (*l2norm_fwd)(float *y, float *norm, const float *x, int64_t M, int64_t D, double epsilon);
    void (*l2norm_bwd)(float *dx, const float *dy, const float *y, const float *norm, int64_t M,
                       int64_t D, int add);

    void (*add)(float *y, const float *a, const float *b, int64_t n);
    void (*scale)(float *y, const float *x, float alpha, int64_t n, int add);
    float (*dot)(const float *a, const float *b, int64_t n);
    /* out[n] += sum over m of x[m, n], rows `stride` apart; rows with skip[m] are left out
     * (skip may be NULL). */
    void (*column_sums)(float *out, const float *x, const uint8_t *skip, int64_t M, int64_t n,
                        int64_t stride);
    /* sum[n] += sum over m of a[m,n] b[m,n] */
    void (*column_dots)(double *sum, const float *a, const float *b, int64_t M, int64_t n);
    /* y[M,n] (add) = a[M,n] f[n] + b[M,n] h[n]; b and h may be NULL; y may be a. */
    void (*column_scale)(float *y, const float *a, const float *f, const float *b, const float *h,
                         int64_t M, int64_t n, int add);
    /* One group of dropout, its generator new. */
    void (*dropout)(float *y, const float *x, int64_t n, double p, struct rng r, int add);
    /* Squared error of one patch against (t - mean) rstd, and its gradient times factor. */
    double (*patch_error)(const float *pred, const float *target, int64_t P, int normalize);
    void (*patch_error_bwd)(float *dpred, const float *pred, const float *target, double factor,
                            int64_t P, int normalize, int add);

    struct conv_kernels conv;
    /* y[n,out] = share x[n,in] w[in,out], complex, with w or its conjugate; rows of w are w->step
     * apart, and are real where x is. */
    void (*spectrum_product)(const struct frequency *y, const struct frequency *x,
                             const struct frequency *w, int64_t n, int64_t in, int64_t out,
                             bool conjugate);
    /* w[O,C] = share times the sum over n of conj dy[n,O] x[n,C]. */
    void (*spectrum_outer)(const struct frequency *w, const struct frequency *dy,
                           const struct frequency *x, int64_t n, int64_t O, int64_t C);
    /* out[n,m] = x[m,n] for M x N numbers. */
    void (*transpose)(float *out, int64_t out_row, const float *x, int64_t x_row, int64_t M,
                      int64_t N);
    /* One record, n channels of C in groups of `size`; work has 4 n floats. gain[n] and shift[n] are
     * overwritten by the record's part of the parameters' gradients. */
    void (*groupnorm_fwd)(float *y, float *mean, float *rstd, const float *x, const float *g,
                          const float *b, int64_t T, int64_t C, int64_t n, int64_t size,
                          double epsilon, float *work);
    void (*groupnorm_bwd)(float *dx, float *gain, float *shift, const float *dy, const float *x,
                          const float *g, const float *mean, const float *rstd, int64_t T,
                          int64_t C, int64_t n, int64_t size, int add, float *work);

    /* One record, n channels; work has ssm_floats(T). */
    int64_t (*ssm_floats)(int64_t T);
    void (*ssm_fwd)(float *y, const float *x, const struct ssm_channels *s, int64_t n, float *work);
    /* slopes: rows of s->row numbers apart, SSM_SLOPES for each state, then one of the skip; NULL: not
     * wanted. dx may be NULL. */
    void (*ssm_bwd)(float *dx, float *slopes, const float *dy, const float *x,
                    const struct ssm_channels *s, int64_t n, int add, float *work);
    /* One row, and its generator (p 0: none), whose first `skip` numbers, less than four, are not the
     * row's; work has gated_floats(D). sums[2,D]: added to as layernorm_bwd's, may be NULL. */
    int64_t (*gated_floats)(int64_t D);
    void (*gated_norm_fwd)(float *y, float *mean, float *rstd, const float *x, const float *h,
                           const float *g, const float *b, int64_t D, double epsilon, double p,
                           struct rng r, int64_t skip, float *work);
    void (*gated_norm_bwd)(float *dx, float *dh, float *sums, const float *dy, const float *x,
                           const float *h, const float *g, float mean, float rstd, int64_t D,
                           double p, struct rng r, int64_t skip, int add_x, int add_h, float *work);

    /* One token of one record of an LSTM (struct backend). gates[4H] become what they are after sigmoid
     * or tanh; before[H] is the cell of the token before, NULL: zero. */
    void (*lstm_cell_fwd)(float *y, float *cell, float *gates, const float *before, int64_t H);
    /* slopes[4H] of the gates before sigmoid or tanh, from the gradient dy of y; dcell[H], that of the cell
     * by later tokens, becomes that of the cell before. */
    void (*lstm_cell_bwd)(float *slopes, float *dcell, const float *dy, const float *gates,
                          const float *cell, const float *before, int64_t H);

    /* Batch norm, on M rows of C channels. Mean of each channel, and sum of squares of the distances from
     * it. */
    void (*batchnorm_sums)(float *mean, float *squares, const float *x, int64_t M, int64_t C);
    void (*batchnorm_fwd)(float *y, const float *x, const float *residual,
                          const struct batchnorm_columns *s, int64_t M, int64_t C, bool relu);
    /* Sums of what ReLU lets back and of that times x - mean; it goes to dresidual (add) too, which may
     * be NULL. y NULL: as x says. */
    void (*batchnorm_back)(float *sum, float *along, float *dresidual, const float *dy,
                           const float *x, const float *y, const struct batchnorm_columns *s,
                           int64_t M, int64_t C, bool relu, int add_residual);
    /* dx (add) = slope (what ReLU lets back) - shift - along (x - mean) */
    void (*batchnorm_bwd)(float *dx, const float *dy, const float *x, const float *y,
                          const struct batchnorm_columns *s, const float *shift, const float *along,
                          int64_t M, int64_t C, bool relu, int add);
    /* The largest of tokens `from` to `to` of x[..,C], and which. */
    void (*window_max)(float *y, int32_t *argmax, const float *x, int64_t from, int64_t to,
                       int64_t C);
    /* dx[t,C] += dy[C] where argmax is t, for tokens `from` to `to`. */
    void (*window_max_bwd)(float *dx, const float *dy, const int32_t *argmax, int64_t from,
                           int64_t to, int64_t C);

    void (*adamw)(float *w, const float *g, float *m, float *v, int64_t n,
                  const struct adamw_params *p);
    double (*sum_squares)(const float *x, int64_t n);
    void (*ema)(float *target, const float *w, int64_t n, double decay);
    bool (*all_finite)(const float *x, int64_t n);
};

#if defined(__x86_64__)
extern const struct vector_kernels vector_avx512, vector_avx2;
#endif
extern const struct vector_kernels vector_plain;

/* Working memory of the calling thread, grown when needed and kept; 64-byte aligned. Two may be in
 * use at a time: SHARED by the code that splits work, TASK by the code that does one share. */
enum scratch_slot { SCRATCH_SHARED, SCRATCH_TASK, SCRATCH_SLOTS };
float *kernel_scratch(enum scratch_slot slot, int64_t floats);

/* The one in use on this machine. */
const struct vector_kernels *vector_in_use(void);
/* Sets the members that cpu_sequence.c (folding, group norm), cpu_ssm.c,
 * cpu_conv.c and cpu_contrast.c have. */
void cpu_sequence_members(struct backend *k);
void cpu_ssm_members(struct backend *k);
void cpu_conv_members(struct backend *k);
void cpu_contrast_members(struct backend *k);
void cpu_batch_members(struct backend *k); /* batch norm and windows: cpu_batch.c */

/* For tests: runs everything on one of the instruction sets; NULL goes back to the choice made for
 * this machine. False if the machine cannot. */
bool kernel_force_isa(const char *name);
/* The instruction set in use, and whether it was forced. */
const char *kernel_isa(bool *forced);

#endif
