/* Every member of every float backend against the double reference, on odd sizes; every member of
 * the vectorized backends on each instruction set this machine has, with 1, 2 and 3 threads to the
 * bit.
 * A member of struct backend without a case here fails. */
#include "kernel/dnnl_bridge.h"
#include "kernel/kernel.h"
#include "kernel/vector.h"

#include "kernel_run.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* ---- cases ----------------------------------------------------------------------------------- */

/* s: the sizes of the case, in the order of the kernel's own size arguments; the last one in use is
 * often a switch (add, kind). */

static void linear_fwd(struct run *r, const int64_t *s)
{
    void *y = run_out(r, s[0] * s[1]);
    void *x = run_in(r, s[0] * s[2], -1, 1), *w = run_in(r, s[1] * s[2], -1, 1);
    void *b = run_in(r, s[1], -1, 1);
    run_seal(r);
    r->k->linear_fwd(y, x, w, s[4] ? NULL : b, s[0], s[1], s[2], (enum activation)s[3]);
}

static float real_at(const struct run *r, const void *x, int64_t i)
{
    return r->k->real_size == sizeof(float) ? ((const float *)x)[i] : (float)((const double *)x)[i];
}

/* w[N,K] in each storage. */
struct stored {
    float *values, *scale;
    uint16_t *bf16;
    int8_t *int8;
    struct weight as[3]; /* by enum storage */
};

static struct stored stored_open(const struct run *r, const void *w, int64_t N, int64_t K)
{
    struct stored out = {.values = malloc(sizeof(float) * (size_t)(N * K)),
                         .scale = malloc(sizeof(float) * (size_t)N),
                         .bf16 = malloc(sizeof(uint16_t) * (size_t)(N * K)),
                         .int8 = malloc((size_t)(N * K))};
    assert_true(out.values && out.scale && out.bf16 && out.int8);
    for (int64_t i = 0; i < N * K; i++) {
        uint32_t bits;
        out.values[i] = real_at(r, w, i);
        memcpy(&bits, &out.values[i], sizeof bits);
        out.bf16[i] = (uint16_t)(bits >> 16);
        out.int8[i] = (int8_t)(127 * out.values[i]);
    }
    for (int64_t n = 0; n < N; n++)
        out.scale[n] = (float)(n + 1) / (float)(127 * N);
    out.as[STORAGE_F32] = (struct weight){out.values, STORAGE_F32, NULL};
    out.as[STORAGE_BF16] = (struct weight){out.bf16, STORAGE_BF16, NULL};
    out.as[STORAGE_INT8] = (struct weight){out.int8, STORAGE_INT8, out.scale};
    return out;
}

static void stored_close(struct stored *s)
{
    free(s->values), free(s->scale), free(s->bf16), free(s->int8);
}

/* s[4]: how the weights are stored. */
static void linear_packed(struct run *r, const int64_t *s)
{
    int64_t M = s[0], N = s[1], K = s[2];
    void *y = run_out(r, M * N), *x = run_in(r, M * K, -1, 1), *w = run_in(r, N * K, -1, 1);
    void *b = run_in(r, N, -1, 1);
    run_seal(r);
    struct stored stored = stored_open(r, w, N, K);
    void *packed = aligned_alloc(64, r->k->pack_bytes(N, K));
    assert_non_null(packed);
    r->k->pack(packed, &stored.as[s[4]], N, K);
    r->k->linear_packed(y, x, packed, b, M, N, K, (enum activation)s[3]);
    free(packed);
    stored_close(&stored);
}

/* There and back; the bits also of NaN, infinities, the middle between two values, and overflow. */
static void bf16_round(struct run *r, const int64_t *s)
{
    const double special[] = {NAN, INFINITY, -INFINITY, 1.00390625, 1.01171875, -3.4e38, 0};
    enum { SPECIAL = sizeof special / sizeof *special };
    int64_t n = s[0], all = n + SPECIAL;
    int32_t *bits = run_out_int(r, all);
    void *y = run_out(r, n), *x = run_in(r, all, -1, 1);
    for (int64_t i = 0; i < SPECIAL; i++)
        run_set(x, r->k, n + i, special[i]);
    run_seal(r);
    uint16_t *rounded = calloc((size_t)all, sizeof *rounded);
    assert_non_null(rounded);
    r->k->bf16_round(rounded, x, all);
    r->k->bf16_value(y, rounded, n);
    for (int64_t i = 0; i < all; i++)
        bits[i] = rounded[i];
    free(rounded);
}

static void linear_bwd_x(struct run *r, const int64_t *s)
{
    void *dx = run_out(r, s[0] * s[2]);
    void *dy = run_in(r, s[0] * s[1], -1, 1), *w = run_in(r, s[1] * s[2], -1, 1);
    run_seal(r);
    r->k->linear_bwd_x(dx, dy, w, s[0], s[1], s[2], (int)s[3]);
}

static void linear_bwd_w(struct run *r, const int64_t *s)
{
    void *dw = run_out(r, s[1] * s[2]), *db = run_out(r, s[1]);
    void *dy = run_in(r, s[0] * s[1], -1, 1), *x = run_in(r, s[0] * s[2], -1, 1);
    run_seal(r);
    r->k->linear_bwd_w(dw, s[3] ? NULL : db, dy, x, s[0], s[1], s[2], (int)s[4]);
}

static void activation_fwd(struct run *r, const int64_t *s)
{
    void *y = run_out(r, s[0]), *x = run_in(r, s[0], -6, 6);
    run_seal(r);
    r->k->activation_fwd(y, x, s[0], (enum activation)s[1]);
}

static void activation_bwd(struct run *r, const int64_t *s)
{
    void *dx = run_out(r, s[0]), *dy = run_in(r, s[0], -1, 1), *x = run_in(r, s[0], -6, 6);
    run_seal(r);
    if (s[3]) /* in place */
        memcpy(dx, dy, (size_t)s[0] * r->k->real_size);
    r->k->activation_bwd(dx, s[3] ? dx : dy, x, s[0], (enum activation)s[1], (int)s[2]);
}

static void layernorm_fwd(struct run *r, const int64_t *s)
{
    void *y = run_out(r, s[0] * s[1]), *mean = run_out(r, s[0]), *rstd = run_out(r, s[0]);
    void *x = run_in(r, s[0] * s[1], -1, 3);
    void *g = run_in(r, s[1], 0.5, 1.5), *b = run_in(r, s[1], -1, 1);
    run_seal(r);
    r->k->layernorm_fwd(y, mean, rstd, x, s[2] ? NULL : g, s[2] ? NULL : b, s[0], s[1], 1e-5);
}

static void layernorm_bwd(struct run *r, const int64_t *s)
{
    int64_t M = s[0], D = s[1];
    void *dx = run_out(r, M * D), *dg = run_out(r, D), *db = run_out(r, D);
    void *dy = run_in(r, M * D, -1, 1), *x = run_in(r, M * D, -1, 3);
    void *g = run_in(r, D, 0.5, 1.5), *mean = run_in(r, M, 0.9, 1.1), *rstd = run_in(r, M, 0.5, 1);
    run_seal(r);
    r->k->layernorm_bwd(dx, s[3] ? NULL : dg, s[3] == 1 ? NULL : db, dy, x, s[3] == 1 ? NULL : g,
                        mean, rstd, M, D, (int)s[2]);
}

static void softmax_fwd(struct run *r, const int64_t *s)
{
    void *y = run_out(r, s[0] * s[1]), *x = run_in(r, s[0] * s[1], -10, 10);
    run_seal(r);
    r->k->softmax_fwd(y, x, s[0], s[1]);
}

static void softmax_bwd(struct run *r, const int64_t *s)
{
    void *dx = run_out(r, s[0] * s[1]);
    void *dy = run_in(r, s[0] * s[1], -1, 1), *y = run_in(r, s[0] * s[1], 0, 1);
    run_seal(r);
    r->k->softmax_bwd(dx, dy, y, s[0], s[1], (int)s[2]);
}

/* Lengths 0 to N for each of B records. */
static int32_t *some_lengths(struct run *r, int64_t B, int64_t N)
{
    int32_t *lengths = run_push(r, B, sizeof *lengths, true, false);
    for (int64_t b = 0; b < B; b++)
        lengths[b] = (int32_t)(b == 1 ? 0 : b ? run_random(r) % (uint32_t)(N + 1) : N);
    return lengths;
}

/* s[5]: with lengths, s[6]: percent of dropout. */
static struct attention attention_of(struct run *r, const int64_t *s)
{
    return (struct attention){.B = s[0],
                              .N = s[1],
                              .H = s[2],
                              .E = s[3],
                              .lengths = s[5] ? some_lengths(r, s[0], s[1]) : NULL,
                              .dropout = (double)s[6] / 100,
                              .seed = 7,
                              .step = 3,
                              .salt = 11};
}

static void attention_fwd(struct run *r, const int64_t *s)
{
    int64_t B = s[0], N = s[1], H = s[2], E = s[3];
    void *y = run_out(r, B * N * H * E), *lse = run_out(r, B * H * N);
    void *qkv = run_in(r, B * N * 3 * H * E, -2, 2);
    struct attention a = attention_of(r, s);
    run_seal(r);
    r->k->attention_fwd(y, lse, qkv, &a);
}

static void attention_bwd(struct run *r, const int64_t *s)
{
    int64_t B = s[0], N = s[1], H = s[2], E = s[3];
    void *dqkv = run_out(r, B * N * 3 * H * E);
    void *dy = run_in(r, B * N * H * E, -1, 1), *qkv = run_in(r, B * N * 3 * H * E, -2, 2);
    void *y = run_in(r, B * N * H * E, 0, 0), *lse = run_in(r, B * H * N, 0, 0);
    struct attention a = attention_of(r, s);
    backend_find(r->k->real_size == 4 ? "ref" : "ref64")->attention_fwd(y, lse, qkv, &a);
    run_seal(r);
    r->k->attention_bwd(dqkv, dy, qkv, y, lse, &a, (int)s[4]);
}

static void attention_weights(struct run *r, const int64_t *s)
{
    int64_t B = s[0], N = s[1];
    void *y = run_out(r, s[4] ? B * N : B * N * N);
    void *qkv = run_in(r, B * N * 3 * s[2] * s[3], -2, 2);
    struct attention a = attention_of(r, s);
    run_seal(r);
    r->k->attention_weights(y, qkv, &a, (int)s[4]);
}

static void add(struct run *r, const int64_t *s)
{
    void *y = run_out(r, s[0]), *a = run_in(r, s[0], -1, 1), *b = run_in(r, s[0], -1, 1);
    run_seal(r);
    r->k->add(y, s[1] ? y : a, b, s[0]);
}

static void scale(struct run *r, const int64_t *s)
{
    void *y = run_out(r, s[0]), *x = run_in(r, s[0], -1, 1);
    run_seal(r);
    r->k->scale(y, x, -0.37, s[0], (int)s[1]);
}

static void add_rows_fwd(struct run *r, const int64_t *s)
{
    void *y = run_out(r, s[0] * s[1]), *x = run_in(r, s[0] * s[1], -1, 1);
    void *p = run_in(r, s[1], -1, 1);
    run_seal(r);
    r->k->add_rows_fwd(y, x, p, s[0], s[1]);
}

static void add_rows_bwd(struct run *r, const int64_t *s)
{
    void *dp = run_out(r, s[1]), *dy = run_in(r, s[0] * s[1], -1, 1);
    run_seal(r);
    r->k->add_rows_bwd(dp, dy, s[0], s[1]);
}

static void gather_fwd(struct run *r, const int64_t *s)
{
    void *y = run_out(r, s[0] * s[2] * s[3]), *x = run_in(r, s[0] * s[1] * s[3], -1, 1);
    int32_t *index = run_index(r, s[0], s[1], s[2]);
    for (int64_t i = 0; s[4] && i < s[0] * s[2]; i += 2)
        index[i] = -1;
    run_seal(r);
    r->k->gather_fwd(y, x, index, s[0], s[1], s[2], s[3]);
}

static void gather_bwd(struct run *r, const int64_t *s)
{
    void *dx = run_out(r, s[0] * s[1] * s[3]), *dy = run_in(r, s[0] * s[2] * s[3], -1, 1);
    int32_t *index = run_index(r, s[0], s[1], s[2]);
    for (int64_t i = 0; s[5] && i < s[0] * s[2]; i += 2)
        index[i] = -1;
    run_seal(r);
    r->k->gather_bwd(dx, dy, index, s[0], s[1], s[2], s[3], (int)s[4]);
}

static void scatter_fwd(struct run *r, const int64_t *s)
{
    void *y = run_out(r, s[0] * s[1] * s[3]), *x = run_in(r, s[0] * s[2] * s[3], -1, 1);
    void *fill = run_in(r, s[3], -1, 1);
    int32_t *index = run_index(r, s[0], s[1], s[2]);
    run_seal(r);
    r->k->scatter_fwd(y, x, s[5] ? NULL : fill, index, s[0], s[1], s[2], s[3]);
}

static void scatter_bwd(struct run *r, const int64_t *s)
{
    void *dx = run_out(r, s[0] * s[2] * s[3]), *dfill = run_out(r, s[3]);
    void *dy = run_in(r, s[0] * s[1] * s[3], -1, 1);
    int32_t *index = run_index(r, s[0], s[1], s[2]);
    run_seal(r);
    r->k->scatter_bwd(dx, s[5] ? NULL : dfill, dy, index, s[0], s[1], s[2], s[3], (int)s[4]);
}

/* Of index[B,M] every third is none. */
static int32_t *some_index(struct run *r, const int64_t *s)
{
    int32_t *index = run_index(r, s[0], s[1], s[2]);
    for (int64_t i = 2; i < s[0] * s[2]; i += 3)
        index[i] = -1;
    return index;
}

static void fill_fwd(struct run *r, const int64_t *s)
{
    void *y = run_out(r, s[0] * s[1] * s[3]), *x = run_in(r, s[0] * s[1] * s[3], -1, 1);
    void *fill = run_in(r, s[3], -1, 1);
    int32_t *index = some_index(r, s);
    run_seal(r);
    r->k->fill_fwd(y, x, fill, index, s[0], s[1], s[2], s[3]);
}

static void fill_bwd(struct run *r, const int64_t *s)
{
    void *dx = run_out(r, s[0] * s[1] * s[3]), *dfill = run_out(r, s[3]);
    void *dy = run_in(r, s[0] * s[1] * s[3], -1, 1);
    int32_t *index = some_index(r, s);
    run_seal(r);
    r->k->fill_bwd(s[5] == 1 ? NULL : dx, s[5] == 2 ? NULL : dfill, dy, index, s[0], s[1], s[2],
                   s[3], (int)s[4]);
}

static void clear_after(struct run *r, const int64_t *s)
{
    void *y = run_out(r, s[0] * s[1] * s[2]), *x = run_in(r, s[0] * s[1] * s[2], -1, 1);
    int32_t *lengths = some_lengths(r, s[0], s[1]);
    run_seal(r);
    r->k->clear_after(y, x, lengths, s[0], s[1], s[2], (int)s[3]);
}

static void patchify_fwd(struct run *r, const int64_t *s)
{
    void *y = run_out(r, s[0] * s[1] * s[2]), *x = run_in(r, s[0] * s[1] * s[2], -1, 1);
    run_seal(r);
    r->k->patchify_fwd(y, x, s[0], s[1], s[2], s[3], (int)s[4]);
}

static void patchify_bwd(struct run *r, const int64_t *s)
{
    void *dx = run_out(r, s[0] * s[1] * s[2]), *dy = run_in(r, s[0] * s[1] * s[2], -1, 1);
    run_seal(r);
    r->k->patchify_bwd(dx, dy, s[0], s[1], s[2], s[3], (int)s[4], (int)s[5]);
}

static void fold_fwd(struct run *r, const int64_t *s)
{
    int64_t N = (s[1] - s[3]) / s[4] + 1;
    void *y = run_out(r, s[0] * N * s[3] * s[2]), *x = run_in(r, s[0] * s[1] * s[2], -1, 1);
    run_seal(r);
    r->k->fold_fwd(y, x, s[0], s[1], s[2], s[3], s[4]);
}

static void fold_bwd(struct run *r, const int64_t *s)
{
    int64_t N = (s[1] - s[3]) / s[4] + 1;
    void *dx = run_out(r, s[0] * s[1] * s[2]), *dy = run_in(r, s[0] * N * s[3] * s[2], -1, 1);
    run_seal(r);
    r->k->fold_bwd(dx, dy, s[0], s[1], s[2], s[3], s[4], (int)s[5]);
}

static void groupnorm_fwd(struct run *r, const int64_t *s)
{
    int64_t n = s[0] * s[1] * s[2];
    void *y = run_out(r, n), *mean = run_out(r, s[0] * s[3]), *rstd = run_out(r, s[0] * s[3]);
    void *x = run_in(r, n, -1, 3), *g = run_in(r, s[2], 0.5, 1.5), *b = run_in(r, s[2], -1, 1);
    run_seal(r);
    r->k->groupnorm_fwd(y, mean, rstd, x, g, b, s[0], s[1], s[2], s[3], 1e-5);
}

static void groupnorm_bwd(struct run *r, const int64_t *s)
{
    int64_t n = s[0] * s[1] * s[2];
    void *dx = run_out(r, n), *dg = run_out(r, s[2]), *db = run_out(r, s[2]);
    void *dy = run_in(r, n, -1, 1), *x = run_in(r, n, -1, 3), *g = run_in(r, s[2], 0.5, 1.5);
    void *mean = run_in(r, s[0] * s[3], 0.9, 1.1), *rstd = run_in(r, s[0] * s[3], 0.5, 1);
    run_seal(r);
    r->k->groupnorm_bwd(dx, s[5] ? NULL : dg, s[5] == 1 ? NULL : db, dy, x, g, mean, rstd, s[0],
                        s[1], s[2], s[3], (int)s[4]);
}

/* s: B, T, H, N, directions. */
static struct ssm ssm_of(struct run *r, const int64_t *s)
{
    int64_t H = s[2], N = s[3];
    return (struct ssm){.B = s[0],
                        .T = s[1],
                        .H = H,
                        .N = N,
                        .directions = s[4],
                        .step = run_in(r, H, log(1e-3), log(0.1)),
                        .real = run_in(r, H * N, log(0.3), log(0.7)),
                        .imaginary = run_in(r, H * N, 0, 10),
                        .output = run_in(r, s[4] * H * N * 2, -1, 1),
                        .skip = run_in(r, H, -1, 1)};
}

static void ssm_fwd(struct run *r, const int64_t *s)
{
    struct ssm m = ssm_of(r, s);
    void *y = run_out(r, s[0] * s[1] * s[2]), *x = run_in(r, s[0] * s[1] * s[2], -1, 1);
    run_seal(r);
    r->k->ssm_fwd(y, x, &m);
}

/* s[6]: bits of what is not wanted: dx, gradients of step, real, imaginary, output, skip. */
static void ssm_bwd(struct run *r, const int64_t *s)
{
    struct ssm m = ssm_of(r, s);
    int64_t n = m.B * m.T * m.H, states = m.H * m.N;
    const int64_t sizes[] = {n, m.H, states, states, m.directions * states * 2, m.H};
    void *d[6], *dy = run_in(r, n, -1, 1), *x = run_in(r, n, -1, 1);
    for (int i = 0; i < 6; i++) {
        d[i] = run_out(r, sizes[i]);
        d[i] = s[6] >> i & 1 ? NULL : d[i];
    }
    run_seal(r);
    r->k->ssm_bwd(d[0], &(struct ssm_gradients){d[1], d[2], d[3], d[4], d[5]}, dy, x, &m,
                  (int)s[5]);
}

/* s[2]: activation; s[3] residual; s[4]: by running statistics. */
static struct batchnorm batchnorm_of(struct run *r, const int64_t *s)
{
    return (struct batchnorm){.M = s[0],
                              .C = s[1],
                              .g = run_in(r, s[1], 0.5, 1.5),
                              .b = run_in(r, s[1], -1, 1),
                              .running = s[4],
                              .epsilon = 1e-5,
                              .momentum = 0.1,
                              .act = (enum activation)s[2]};
}

/* In the first record all is far from zero, as it is with a poor lead. */
static void batchnorm_fwd(struct run *r, const int64_t *s)
{
    struct batchnorm c = batchnorm_of(r, s);
    int64_t n = c.M * c.C;
    void *y = run_out(r, n), *mean = run_out(r, c.C), *rstd = run_out(r, c.C);
    void *running_mean = run_out(r, c.C), *running_var = run_out(r, c.C);
    void *x = run_in(r, n, 1, 3), *residual = s[3] ? run_in(r, n, -1, 1) : NULL;
    run_fill(r, running_var, c.C, 0.5, 1.5);
    run_seal(r);
    r->k->batchnorm_fwd(y, mean, rstd, running_mean, running_var, x, residual, &c);
}

/* s[5], s[6]: add; s[7]: gradients of x (1), the residual (2), gains and offsets (4) are not wanted. */
static void batchnorm_bwd(struct run *r, const int64_t *s)
{
    struct batchnorm c = batchnorm_of(r, s);
    int64_t n = c.M * c.C;
    void *dx = run_out(r, n), *dresidual = run_out(r, n);
    void *dg = run_out(r, c.C), *db = run_out(r, c.C);
    void *dy = run_in(r, n, -1, 1), *x = run_in(r, n, -1, 3), *y = run_in(r, n, -1, 1);
    void *mean = run_in(r, c.C, 0.9, 1.1), *rstd = run_in(r, c.C, 0.5, 1);
    run_seal(r);
    r->k->batchnorm_bwd(s[7] & 1 ? NULL : dx, s[7] & 2 || !s[3] ? NULL : dresidual,
                        s[7] & 4 ? NULL : dg, s[7] & 8 ? NULL : db, dy, x, s[3] ? y : NULL, mean,
                        rstd, &c, (int)s[5], (int)s[6]);
}

/* B, T, C, width, stride, padding, ceil, kind */
static struct windows windows_of(const int64_t *s)
{
    return (struct windows){.B = s[0],
                            .T = s[1],
                            .C = s[2],
                            .width = s[3],
                            .stride = s[4],
                            .padding = s[5],
                            .ceil = s[6],
                            .kind = (enum pool_kind)s[7]};
}

static void pool_windows_fwd(struct run *r, const int64_t *s)
{
    struct windows c = windows_of(s);
    int64_t n = c.B * window_tokens(&c) * c.C;
    void *y = run_out(r, n), *x = run_in(r, c.B * c.T * c.C, -1, 1);
    int32_t *argmax = run_out_int(r, n);
    run_seal(r);
    r->k->pool_windows_fwd(y, c.kind == POOL_MAX ? argmax : NULL, x, &c);
}

/* The tokens of the windows in turn, as if they were the largest. */
static void pool_windows_bwd(struct run *r, const int64_t *s)
{
    struct windows c = windows_of(s);
    int64_t N = window_tokens(&c), n = c.B * N * c.C;
    void *dx = run_out(r, c.B * c.T * c.C), *dy = run_in(r, n, -1, 1);
    int32_t *argmax = run_push(r, n, sizeof *argmax, true, false);
    for (int64_t i = 0; i < n; i++) {
        int64_t t = i / c.C % N * c.stride - c.padding + i % c.width;
        argmax[i] = (int32_t)(t < 0 ? 0 : t < c.T ? t : c.T - 1);
    }
    run_seal(r);
    r->k->pool_windows_bwd(dx, dy, argmax, &c, (int)s[8]);
}

/* s: M, D, add to dx, add to dh, tenths of dropout, rows of a group, bits of what is not wanted. */
static void gated_norm_fwd(struct run *r, const int64_t *s)
{
    int64_t M = s[0], D = s[1];
    void *y = run_out(r, M * D), *mean = run_out(r, M), *rstd = run_out(r, M);
    void *x = run_in(r, M * D, -2, 3), *h = run_in(r, 2 * M * D, -5, 5);
    void *g = run_in(r, D, 0.5, 1.5), *b = run_in(r, D, -1, 1);
    struct dropout d = {(double)s[4] / 10, s[5] * D, 5, 6, 7};
    run_seal(r);
    r->k->gated_norm_fwd(y, mean, rstd, x, h, g, b, M, D, 1e-5, s[4] ? &d : NULL);
}

static void gated_norm_bwd(struct run *r, const int64_t *s)
{
    int64_t M = s[0], D = s[1];
    void *dx = run_out(r, M * D), *dh = run_out(r, 2 * M * D);
    void *dg = run_out(r, D), *db = run_out(r, D), *dy = run_in(r, M * D, -1, 1);
    void *x = run_in(r, M * D, -2, 3), *h = run_in(r, 2 * M * D, -5, 5);
    void *g = run_in(r, D, 0.5, 1.5);
    void *mean = run_in(r, M, 0.4, 0.6), *rstd = run_in(r, M, 0.4, 0.6);
    struct dropout d = {(double)s[4] / 10, s[5] * D, 5, 6, 7};
    run_seal(r);
    r->k->gated_norm_bwd(s[6] & 1 ? NULL : dx, s[6] & 2 ? NULL : dh, s[6] & 4 ? NULL : dg,
                         s[6] & 8 ? NULL : db, dy, x, h, g, mean, rstd, M, D, s[4] ? &d : NULL,
                         (int)s[2], (int)s[3]);
}

/* s: n, group size, activation, add. */
static void activation_dropout_fwd(struct run *r, const int64_t *s)
{
    void *y = run_out(r, s[0]), *x = run_in(r, s[0], -4, 4);
    struct dropout d = {0.3, s[1], 5, 6, 7};
    run_seal(r);
    r->k->activation_dropout_fwd(y, x, s[0], (enum activation)s[2], &d);
}

static void activation_dropout_bwd(struct run *r, const int64_t *s)
{
    void *dx = run_out(r, s[0]), *dy = run_in(r, s[0], -1, 1), *x = run_in(r, s[0], -4, 4);
    struct dropout d = {0.3, s[1], 5, 6, 7};
    run_seal(r);
    r->k->activation_dropout_bwd(dx, dy, x, s[0], (enum activation)s[2], &d, (int)s[3]);
}

/* s[8]: with factors of the taps; s[9]: stride, 0: 1. s[10]: skip. */
static struct conv conv_of(struct run *r, const int64_t *s)
{
    return (struct conv){.B = s[0],
                         .T = s[1],
                         .C = s[2],
                         .O = s[3],
                         .width = s[4],
                         .groups = s[5],
                         .stride = s[9] ? s[9] : 1,
                         .skip = s[10],
                         .taps = s[8] ? run_in(r, s[4], -2, 2) : NULL};
}

static void conv_fwd(struct run *r, const int64_t *s)
{
    struct conv c = conv_of(r, s);
    void *y = run_out(r, c.B * c.T * c.O), *x = run_in(r, c.B * c.T * c.C, -1, 1);
    void *w = run_in(r, c.O * c.C / c.groups * c.width, -1, 1), *b = run_in(r, c.O, -1, 1);
    run_seal(r);
    r->k->conv_fwd(y, x, w, s[7] ? NULL : b, &c, (enum activation)s[6]);
}

static void conv_stored(struct run *r, const int64_t *s)
{
    struct conv c = conv_of(r, s);
    int64_t K = c.C / c.groups * c.width;
    void *y = run_out(r, c.B * c.T * c.O), *x = run_in(r, c.B * c.T * c.C, -1, 1);
    void *w = run_in(r, c.O * K, -1, 1), *b = run_in(r, c.O, -1, 1);
    run_seal(r);
    struct stored stored = stored_open(r, w, c.O, K);
    r->k->conv_stored(y, x, &stored.as[s[7]], b, &c, (enum activation)s[6]);
    stored_close(&stored);
}

static void conv_packed(struct run *r, const int64_t *s)
{
    struct conv c = conv_of(r, s);
    int64_t K = c.C / c.groups * c.width;
    void *y = run_out(r, c.B * c.T * c.O), *x = run_in(r, c.B * c.T * c.C, -1, 1);
    void *w = run_in(r, c.O * K, -1, 1), *b = run_in(r, c.O, -1, 1);
    run_seal(r);
    struct stored stored = stored_open(r, w, c.O, K);
    void *packed = aligned_alloc(64, r->k->conv_pack_bytes(&c));
    assert_non_null(packed);
    r->k->conv_pack(packed, &stored.as[s[7]], &c);
    r->k->conv_packed(y, x, packed, b, &c, (enum activation)s[6]);
    free(packed);
    stored_close(&stored);
}

static void conv_bwd_x(struct run *r, const int64_t *s)
{
    struct conv c = conv_of(r, s);
    void *dx = run_out(r, c.B * c.T * c.C), *dy = run_in(r, c.B * c.T * c.O, -1, 1);
    void *w = run_in(r, c.O * c.C / c.groups * c.width, -1, 1);
    run_seal(r);
    r->k->conv_bwd_x(dx, dy, w, &c, (int)s[6]);
}

static void conv_bwd_w(struct run *r, const int64_t *s)
{
    struct conv c = conv_of(r, s);
    void *dw = run_out(r, c.O * c.C / c.groups * c.width), *db = run_out(r, c.O);
    void *dy = run_in(r, c.B * c.T * c.O, -1, 1), *x = run_in(r, c.B * c.T * c.C, -1, 1);
    run_seal(r);
    r->k->conv_bwd_w(dw, s[6] ? NULL : db, dy, x, &c, (int)s[7]);
}

/* s[3]: how the weights are stored. */
static void weight_norm_fwd(struct run *r, const int64_t *s)
{
    int64_t O = s[0], C = s[1], width = s[2];
    void *taps = run_out(r, width), *norm = run_out(r, width);
    void *v = run_in(r, O * C * width, -1, 1), *g = run_in(r, width, -2, 2);
    run_seal(r);
    struct stored stored = stored_open(r, v, O, C * width);
    struct weight plain = {v, STORAGE_F32, NULL};
    r->k->weight_norm_fwd(taps, norm, s[3] ? &stored.as[s[3]] : &plain, g, O, C, width);
    stored_close(&stored);
}

static void weight_norm_bwd(struct run *r, const int64_t *s)
{
    int64_t O = s[0], C = s[1], width = s[2];
    void *dv = run_out(r, O * C * width), *dg = run_out(r, width);
    void *dw = run_in(r, O * C * width, -1, 1), *v = run_in(r, O * C * width, -1, 1);
    void *taps = run_in(r, width, -2, 2), *norm = run_in(r, width, 1, 2);
    run_seal(r);
    r->k->weight_norm_bwd(s[4] == 1 ? NULL : dv, s[4] == 2 ? NULL : dg, dw, v, taps, norm, O, C,
                          width, (int)s[3]);
}

static void pool_fwd(struct run *r, const int64_t *s)
{
    void *y = run_out(r, s[0] * s[2]);
    int32_t *argmax = run_out_int(r, s[0] * s[2]);
    void *x = run_in(r, s[0] * s[1] * s[2], -1, 1);
    int32_t *lengths = s[4] ? some_lengths(r, s[0], s[1]) : NULL;
    run_seal(r);
    r->k->pool_fwd(y, argmax, x, lengths, s[0], s[1], s[2], (enum pool_kind)s[3]);
}

static void pool_bwd(struct run *r, const int64_t *s)
{
    void *dx = run_out(r, s[0] * s[1] * s[2]), *dy = run_in(r, s[0] * s[2], -1, 1);
    int32_t *argmax = run_push(r, s[0] * s[2], sizeof *argmax, true, false);
    for (int64_t i = 0; i < s[0] * s[2]; i++)
        argmax[i] = (int32_t)(run_random(r) % (uint32_t)s[1]);
    int32_t *lengths = s[5] ? some_lengths(r, s[0], s[1]) : NULL;
    run_seal(r);
    r->k->pool_bwd(dx, dy, argmax, lengths, s[0], s[1], s[2], (enum pool_kind)s[3], (int)s[4]);
}

static void attend_fwd(struct run *r, const int64_t *s)
{
    int64_t B = s[0], N = s[1], D = s[2] * s[3];
    void *y = run_out(r, B * D), *p = run_out(r, B * s[2] * N);
    void *q = run_in(r, D, -2, 2), *kv = run_in(r, B * N * 2 * D, -2, 2);
    int32_t *lengths = s[4] ? some_lengths(r, B, N) : NULL;
    run_seal(r);
    r->k->attend_fwd(y, p, q, kv, lengths, B, N, s[2], s[3]);
}

static void attend_bwd(struct run *r, const int64_t *s)
{
    int64_t B = s[0], N = s[1], D = s[2] * s[3];
    void *dq = s[5] ? run_out(r, D) : NULL, *dkv = run_out(r, B * N * 2 * D);
    void *dy = run_in(r, B * D, -1, 1), *p = run_in(r, B * s[2] * N, 0, 1);
    void *q = run_in(r, D, -2, 2), *kv = run_in(r, B * N * 2 * D, -2, 2);
    int32_t *lengths = s[4] ? some_lengths(r, B, N) : NULL;
    run_seal(r);
    r->k->attend_bwd(dq, dkv, dy, p, q, kv, lengths, B, N, s[2], s[3], (int)s[6]);
}

static void l2norm_fwd(struct run *r, const int64_t *s)
{
    void *y = run_out(r, s[0] * s[1]), *norm = run_out(r, s[0]);
    void *x = run_in(r, s[0] * s[1], -1, 1);
    for (int64_t d = 0; d < s[1]; d++)
        run_set(x, r->k, d, 0); /* a row of no length */
    run_seal(r);
    r->k->l2norm_fwd(y, norm, x, s[0], s[1], 1e-3);
}

static void l2norm_bwd(struct run *r, const int64_t *s)
{
    int64_t n = s[0] * s[1];
    void *dx = run_out(r, n), *dy = run_in(r, n, -1, 1), *y = run_in(r, n, -0.1, 0.1);
    void *norm = run_in(r, s[0], 0.5, 2);
    run_set(norm, r->k, s[0] - 1, -1e-2); /* shorter than epsilon */
    run_seal(r);
    r->k->l2norm_bwd(dx, dy, y, norm, s[0], s[1], (int)s[2]);
}

static void dropout(struct run *r, const int64_t *s)
{
    void *y = run_out(r, s[0]), *x = run_in(r, s[0], -1, 1);
    run_seal(r);
    r->k->dropout(y, x, s[0], s[1], 0.3, (int)s[2], 11, 5, 3, (int)s[3]);
}

static void mse_patch_fwd(struct run *r, const int64_t *s)
{
    void *loss = run_out(r, 1), *pred = run_in(r, s[0] * s[2] * s[3], -1, 1);
    void *target = run_in(r, s[0] * s[1] * s[3], -1, 3);
    int32_t *index = run_index(r, s[0], s[1], s[2]);
    run_seal(r);
    r->k->mse_patch_fwd(loss, pred, target, index, s[0], s[1], s[2], s[3], (int)s[4]);
}

static void mse_patch_bwd(struct run *r, const int64_t *s)
{
    void *dpred = run_out(r, s[0] * s[2] * s[3]), *dloss = run_in(r, 1, 90, 100);
    void *pred = run_in(r, s[0] * s[2] * s[3], -1, 1);
    void *target = run_in(r, s[0] * s[1] * s[3], -1, 3);
    int32_t *index = run_index(r, s[0], s[1], s[2]);
    run_seal(r);
    r->k->mse_patch_bwd(dpred, dloss, pred, target, index, s[0], s[1], s[2], s[3], (int)s[4],
                        (int)s[5]);
}

static void set_unknown(struct run *r, void *target, int64_t n)
{
    for (int64_t i = 0; i < n; i += 3)
        run_set(target, r->k, i, NAN);
}

static void bce_fwd(struct run *r, const int64_t *s)
{
    void *loss = run_out(r, 1), *logits = run_in(r, s[0] * s[1], -20, 20);
    void *target = run_in(r, s[0] * s[1], 0, 1), *weight = run_in(r, s[1], 0.5, 4);
    set_unknown(r, target, s[0] * s[1]);
    run_seal(r);
    r->k->bce_fwd(loss, logits, target, s[2] ? weight : NULL, s[0], s[1]);
}

static void bce_bwd(struct run *r, const int64_t *s)
{
    void *dlogits = run_out(r, s[0] * s[1]), *dloss = run_in(r, 1, 1, 2);
    void *logits = run_in(r, s[0] * s[1], -20, 20);
    void *target = run_in(r, s[0] * s[1], 0, 1), *weight = run_in(r, s[1], 0.5, 4);
    set_unknown(r, target, s[0] * s[1]);
    run_seal(r);
    r->k->bce_bwd(dlogits, dloss, logits, target, s[2] ? weight : NULL, s[0], s[1], (int)s[3]);
}

static void mse_fwd(struct run *r, const int64_t *s)
{
    void *loss = run_out(r, 1), *x = run_in(r, s[0], -3, 3), *target = run_in(r, s[0], -3, 3);
    set_unknown(r, target, s[0]);
    run_seal(r);
    r->k->mse_fwd(loss, x, target, s[0]);
}

static void mse_bwd(struct run *r, const int64_t *s)
{
    void *dx = run_out(r, s[0]), *dloss = run_in(r, 1, 1, 2);
    void *x = run_in(r, s[0], -3, 3), *target = run_in(r, s[0], -3, 3);
    set_unknown(r, target, s[0]);
    run_seal(r);
    r->k->mse_bwd(dx, dloss, x, target, s[0], (int)s[1]);
}

static void *unit_rows(struct run *r, int64_t M, int64_t D)
{
    void *z = run_in(r, M * D, -1, 1);
    for (int64_t m = 0; m < M; m++) {
        double length = 0;
        for (int64_t d = 0; d < D; d++)
            length += pow(run_get(z, r->k, m * D + d), 2);
        for (int64_t d = 0; d < D; d++)
            run_set(z, r->k, m * D + d, run_get(z, r->k, m * D + d) / sqrt(length));
    }
    return z;
}

static void ntxent_fwd(struct run *r, const int64_t *s)
{
    void *loss = run_out(r, 1), *prob = run_out(r, 4 * s[0] * s[0]);
    void *z = unit_rows(r, 2 * s[0], s[1]);
    run_seal(r);
    r->k->ntxent_fwd(loss, prob, z, s[0], s[1], 0.1);
}

static void ntxent_bwd(struct run *r, const int64_t *s)
{
    void *dz = run_out(r, 2 * s[0] * s[1]), *dloss = run_in(r, 1, 1, 2);
    void *prob = run_in(r, 4 * s[0] * s[0], 0, 0.1), *z = unit_rows(r, 2 * s[0], s[1]);
    run_seal(r);
    r->k->ntxent_bwd(dz, dloss, prob, z, s[0], s[1], 0.1, (int)s[2]);
}

/* index[M] as run_index, but every third row is none. */
static int32_t *run_rows(struct run *r, int64_t M)
{
    int32_t *index = run_index(r, 1, M, M);
    for (int64_t m = 1; m < M; m += 3)
        index[m] = -1;
    return index;
}

/* s: M, groups, codes, width, blend, whether there is noise, whether soft is wanted. */
static void quantize_fwd(struct run *r, const int64_t *s)
{
    struct quantizer q = {s[0], s[1], s[2], s[3]};
    int64_t all = s[0] * s[1] * s[2];
    void *y = run_out(r, s[0] * s[1] * s[3]), *soft = run_out(r, all);
    int32_t *pick = run_out_int(r, s[0] * s[1]);
    void *logits = run_in(r, all, -3, 3), *noise = run_in(r, all, -2, 4);
    void *codes = run_in(r, s[1] * s[2] * s[3], -1, 1);
    int32_t *index = run_rows(r, s[0]);
    run_seal(r);
    r->k->quantize_fwd(y, s[6] ? soft : NULL, pick, logits, s[5] ? noise : NULL, codes, index, &q,
                       1.7, (int)s[4]);
}

/* s: M, groups, codes, width, blend, add. */
static void quantize_bwd(struct run *r, const int64_t *s)
{
    struct quantizer q = {s[0], s[1], s[2], s[3]};
    int64_t all = s[0] * s[1] * s[2];
    void *dlogits = run_out(r, all), *dcodes = run_out(r, s[1] * s[2] * s[3]);
    void *dy = run_in(r, s[0] * s[1] * s[3], -1, 1), *soft = run_in(r, all, 0, 0.1);
    void *codes = run_in(r, s[1] * s[2] * s[3], -1, 1);
    int32_t *pick = run_push(r, s[0] * s[1], sizeof *pick, true, false);
    for (int64_t i = 0; i < s[0] * s[1]; i++)
        pick[i] = (int32_t)(run_random(r) % (uint32_t)s[2]);
    int32_t *index = run_rows(r, s[0]);
    for (int64_t i = 0; i < all; i++) /* as quantize_fwd leaves it */
        if (index[i / (s[1] * s[2])] < 0)
            run_set(soft, r->k, i, 0);
    run_seal(r);
    r->k->quantize_bwd(dlogits, dcodes, dy, soft, pick, codes, index, &q, 1.7, (int)s[4],
                       (int)s[5]);
}

static void perplexity_fwd(struct run *r, const int64_t *s)
{
    struct quantizer q = {s[0], s[1], s[2], 0};
    void *y = run_out(r, 1), *p = run_out(r, s[1] * s[2]);
    void *logits = run_in(r, s[0] * s[1] * s[2], -3, 3);
    int32_t *index = run_rows(r, s[0]);
    run_seal(r);
    r->k->perplexity_fwd(y, p, logits, index, &q, (int)s[3]);
}

static void perplexity_bwd(struct run *r, const int64_t *s)
{
    struct quantizer q = {s[0], s[1], s[2], 0};
    void *dlogits = run_out(r, s[0] * s[1] * s[2]), *dy = run_in(r, 1, 1, 2);
    void *p = run_in(r, s[1] * s[2], 0, 0.1), *logits = run_in(r, s[0] * s[1] * s[2], -3, 3);
    int32_t *index = run_rows(r, s[0]);
    run_seal(r);
    r->k->perplexity_bwd(dlogits, dy, p, logits, index, &q, (int)s[3]);
}

/* negatives[M,K]: some none, some the row itself. */
static int32_t *run_negatives(struct run *r, int64_t M, int64_t K)
{
    int32_t *out = run_push(r, M * K, sizeof *out, true, false);
    for (int64_t i = 0; i < M * K; i++)
        out[i] = (int32_t)(run_random(r) % (uint32_t)(M + 1)) - 1;
    return out;
}

static void similarity_fwd(struct run *r, const int64_t *s)
{
    int64_t M = s[0], D = s[1], K = s[2];
    void *y = run_out(r, M * (K + 1)), *x = unit_rows(r, M, D), *target = unit_rows(r, M, D);
    void *same = run_in(r, M * D, -1, 1);
    for (int64_t d = 0; d < D;
         d++) /* the last is like the first, but for one number of the second */
        run_set(same, r->k, (M - 1) * D + d, run_get(same, r->k, d));
    int32_t *negatives = run_negatives(r, M, K);
    run_seal(r);
    r->k->similarity_fwd(y, x, target, same, negatives, M, D, K, 0.1);
    int64_t none = 0;
    for (int64_t i = 0; i < M * (K + 1); i++)
        if (isinf(run_get(y, r->k, i))) {
            run_set(y, r->k, i, -100); /* what is compared is finite */
            none++;
        }
    run_set(y, r->k, 0, run_get(y, r->k, 0) + (double)none);
}

static void similarity_bwd(struct run *r, const int64_t *s)
{
    int64_t M = s[0], D = s[1], K = s[2];
    void *dx = run_out(r, M * D), *dtarget = run_out(r, M * D);
    void *dy = run_in(r, M * (K + 1), -1, 1);
    void *x = unit_rows(r, M, D), *target = unit_rows(r, M, D);
    int32_t *negatives = run_negatives(r, M, K);
    run_seal(r);
    r->k->similarity_bwd(s[5] == 1 ? NULL : dx, s[5] == 2 ? NULL : dtarget, dy, x, target,
                         negatives, M, D, K, 0.1, (int)s[3], (int)s[4]);
}

static void lstm_fwd(struct run *r, const int64_t *s)
{
    int64_t B = s[0], T = s[1], H = s[2];
    void *y = run_out(r, B * T * H);
    void *gates = s[3] ? run_out(r, B * T * 4 * H) : NULL;
    void *cells = s[3] ? run_out(r, B * T * H) : NULL;
    void *x = run_in(r, B * T * 4 * H, -3, 3), *w = run_in(r, 4 * H * H, -0.3, 0.3);
    if (H > 1) /* far beyond what an exponential holds */
        run_set(x, r->k, 0, -200);
    run_set(x, r->k, H, 200);
    run_seal(r);
    r->k->lstm_fwd(y, gates, cells, x, w, B, T, H);
}

/* s[5]: 1 without dx, 2 without dw */
static void lstm_bwd(struct run *r, const int64_t *s)
{
    int64_t B = s[0], T = s[1], H = s[2];
    void *dx = run_out(r, B * T * 4 * H), *dw = run_out(r, 4 * H * H);
    void *dy = run_in(r, B * T * H, -1, 1), *y = run_in(r, B * T * H, -1, 1);
    void *gates = run_in(r, B * T * 4 * H, 0, 1), *cells = run_in(r, B * T * H, -2, 2);
    void *w = run_in(r, 4 * H * H, -0.3, 0.3);
    run_seal(r);
    r->k->lstm_bwd(s[5] == 1 ? NULL : dx, s[5] == 2 ? NULL : dw, dy, y, gates, cells, w, B, T, H,
                   (int)s[3], (int)s[4]);
}

/* index[M,K] below N: some none, some twice. */
static int32_t *run_picks(struct run *r, int64_t M, int64_t N, int64_t K)
{
    int32_t *out = run_push(r, M * K, sizeof *out, true, false);
    for (int64_t i = 0; i < M * K; i++)
        out[i] = (int32_t)(run_random(r) % (uint32_t)(N + 1)) - 1;
    return out;
}

static void pick_fwd(struct run *r, const int64_t *s)
{
    void *y = run_out(r, s[0] * s[2]), *z = run_in(r, s[0] * s[1], -1, 1);
    int32_t *index = run_picks(r, s[0], s[1], s[2]);
    run_seal(r);
    r->k->pick_fwd(y, z, index, s[0], s[1], s[2]);
    for (int64_t i = 0; i < s[0] * s[2]; i++)
        if (isinf(run_get(y, r->k, i)))
            run_set(y, r->k, i, -100); /* what is compared is finite */
}

static void pick_bwd(struct run *r, const int64_t *s)
{
    void *dz = run_out(r, s[0] * s[1]), *dy = run_in(r, s[0] * s[2], -1, 1);
    int32_t *index = run_picks(r, s[0], s[1], s[2]);
    run_seal(r);
    r->k->pick_bwd(dz, dy, index, s[0], s[1], s[2]);
}

static void first_class_fwd(struct run *r, const int64_t *s)
{
    void *loss = run_out(r, 1), *lse = run_out(r, s[0]);
    void *logits = run_in(r, s[0] * s[1], -10, 10);
    int32_t *index = run_rows(r, s[0]);
    for (int64_t i = 1; i < s[0] * s[1]; i += 5)
        run_set(logits, r->k, i, i % s[1] ? -INFINITY : 0);
    run_seal(r);
    r->k->first_class_fwd(loss, lse, logits, index, s[0], s[1]);
}

static void first_class_bwd(struct run *r, const int64_t *s)
{
    void *dlogits = run_out(r, s[0] * s[1]), *dloss = run_in(r, 1, 1, 2);
    void *logits = run_in(r, s[0] * s[1], -10, 10), *lse = run_in(r, s[0], 0, 1);
    int32_t *index = run_rows(r, s[0]);
    for (int64_t m = 0; m < s[0]; m++) { /* backends may read it or not */
        double sum = 0;
        for (int64_t k = 0; k < s[1]; k++)
            sum += exp(run_get(logits, r->k, m * s[1] + k));
        run_set(lse, r->k, m, log(sum));
    }
    run_seal(r);
    r->k->first_class_bwd(dlogits, dloss, lse, logits, index, s[0], s[1], (int)s[2]);
}

static void accuracy(struct run *r, const int64_t *s)
{
    void *y = run_out(r, 1), *logits = run_in(r, s[0] * s[1], -1, 1);
    int32_t *index = run_rows(r, s[0]);
    run_seal(r);
    r->k->accuracy(y, logits, index, s[0], s[1]);
}

static void cmsc_fwd(struct run *r, const int64_t *s)
{
    void *loss = run_out(r, 1), *slope = run_out(r, s[0] * s[0]);
    void *z = unit_rows(r, 2 * s[0], s[1]);
    int32_t *record = run_rows(r, s[0]);
    run_seal(r);
    r->k->cmsc_fwd(loss, slope, z, record, s[0], s[1], 0.1);
}

static void cmsc_bwd(struct run *r, const int64_t *s)
{
    void *dz = run_out(r, 2 * s[0] * s[1]), *dloss = run_in(r, 1, 1, 2);
    void *slope = run_in(r, s[0] * s[0], -0.1, 0.1), *z = unit_rows(r, 2 * s[0], s[1]);
    run_seal(r);
    r->k->cmsc_bwd(dz, dloss, slope, z, s[0], s[1], 0.1, (int)s[2]);
}

static void adamw(struct run *r, const int64_t *s)
{
    void *w = run_out(r, s[0]), *m = run_out(r, s[0]), *v = run_out(r, s[0]);
    void *g = run_in(r, s[0], -1, 1);
    for (int64_t i = 0; i < s[0]; i++)
        run_set(v, r->k, i, fabs(run_get(v, r->k, i)));
    run_seal(r);
    struct adamw_params p = {.lr = 1e-2,
                             .beta1 = 0.9,
                             .beta2 = 0.95,
                             .epsilon = 1e-8,
                             .weight_decay = 0.05,
                             .gradient_scale = 0.5,
                             .step = s[1]};
    r->k->adamw(w, g, m, v, s[0], &p);
}

static void sum_squares(struct run *r, const int64_t *s)
{
    void *out = run_out(r, 1), *x = run_in(r, s[0], -1, 1);
    run_seal(r);
    run_set(out, r->k, 0, r->k->sum_squares(x, s[0]));
}

static void ema(struct run *r, const int64_t *s)
{
    void *target = run_out(r, s[0]), *w = run_in(r, s[0], -1, 1);
    run_seal(r);
    r->k->ema(target, w, s[0], 0.96);
}

static void all_finite(struct run *r, const int64_t *s)
{
    int32_t *out = run_out_int(r, 3);
    void *x = run_in(r, s[0], -1, 1), *bad = run_in(r, s[0], -1, 1), *huge = run_in(r, s[0], -1, 1);
    run_set(bad, r->k, s[0] - 1, NAN);
    run_set(huge, r->k, s[0] / 2, -INFINITY);
    run_seal(r);
    out[0] = r->k->all_finite(x, s[0]);
    out[1] = r->k->all_finite(bad, s[0]);
    out[2] = r->k->all_finite(huge, s[0]);
}

enum { CASE_SIZES = 16 };

struct kernel_case {
    const char *name;
    size_t member;
    void (*run)(struct run *r, const int64_t *s);
    int64_t sizes[CASE_SIZES][11]; /* up to the first that begins with 0 */
};

#define CASE(f) #f, offsetof(struct backend, f), f

static const struct kernel_case cases[] = {
    {CASE(linear_fwd),
     {{1, 1, 1, 0},
      {3, 5, 7, 1},
      {13, 37, 300, 0},
      {67, 33, 29, 2, 1},
      {70, 100, 513, 1},
      {70, 300, 513, 1},
      {500, 40, 900, 0}}},
    {"pack_bytes", offsetof(struct backend, pack_bytes), linear_packed, {{1, 1, 1, 0, 0}}},
    {"pack",
     offsetof(struct backend, pack),
     linear_packed,
     {{13, 37, 301, 0, 1}, {5, 33, 29, 1, 2}}},
    {CASE(linear_packed),
     {{1, 1, 1, 0, 0},
      {3, 5, 7, 1, 1},
      {13, 37, 301, 0, 2},
      {67, 33, 29, 2, 0},
      {70, 100, 513, 1, 1}}},
    {CASE(linear_bwd_x),
     {{1, 1, 1, 0}, {3, 5, 7, 1}, {13, 300, 37, 0}, {70, 513, 99, 1}, {500, 40, 513, 0}}},
    {CASE(linear_bwd_w),
     {{1, 1, 1, 0, 1},
      {7, 5, 3, 1, 0},
      {1500, 64, 96, 1, 0},
      {1500, 300, 40, 0, 0},
      {300, 13, 37, 0, 1},
      {513, 70, 99, 0, 0},
      {9, 2, 5, 0, 0}}},
    {CASE(activation_fwd), {{5, 1}, {35, 0}, {70001, 1}, {70001, 2}}},
    {CASE(activation_bwd), {{1, 1, 1}, {35, 0, 0}, {70001, 1, 0, 1}, {70001, 2, 1}, {37, 1, 1}}},
    {CASE(layernorm_fwd), {{1, 1, 0}, {3, 37, 0}, {129, 300, 0}, {67, 193, 1}}},
    {CASE(layernorm_bwd), {{1, 1, 0}, {3, 37, 1}, {129, 300, 0}, {67, 193, 1, 1}, {67, 193, 0, 2}}},
    {CASE(softmax_fwd), {{1, 1}, {3, 37}, {129, 300}}},
    {CASE(softmax_bwd), {{1, 1, 0}, {3, 37, 1}, {129, 300, 0}}},
    {CASE(attention_fwd),
     {{1, 1, 1, 1},
      {2, 7, 3, 5},
      {1, 50, 2, 32},
      {2, 131, 3, 64},
      {1, 33, 1, 80},
      {5, 131, 2, 20, 0, 1},
      {3, 157, 2, 64, 0, 1, 20}}},
    {CASE(attention_bwd),
     {{1, 1, 1, 1, 0},
      {2, 7, 3, 5, 1},
      {1, 50, 2, 32, 0},
      {2, 131, 3, 64, 1, 0, 10},
      {1, 33, 1, 80, 0},
      {5, 131, 2, 20, 0, 1},
      {3, 157, 2, 64, 1, 1, 20}}},
    {CASE(attention_weights),
     {{1, 1, 1, 1, 0},
      {2, 7, 3, 5, 1},
      {1, 50, 2, 32, 0},
      {2, 131, 3, 64, 1},
      {5, 70, 2, 8, 0, 1},
      {3, 49, 1, 80, 1, 1}}},
    {CASE(add), {{1, 0}, {70001, 0}, {37, 1}}},
    {CASE(scale), {{1, 0}, {70001, 1}, {37, 0}}},
    {CASE(add_rows_fwd), {{1, 1}, {3, 37}, {129, 300}}},
    {CASE(add_rows_bwd), {{1, 1}, {3, 37}, {517, 300}}},
    {CASE(gather_fwd), {{1, 1, 1, 1}, {3, 11, 4, 37, 1}, {5, 70, 69, 193}}},
    {CASE(gather_bwd), {{1, 1, 1, 1, 0}, {3, 11, 4, 37, 1, 1}, {5, 70, 69, 193, 0}}},
    {CASE(scatter_fwd), {{1, 1, 1, 1}, {3, 11, 4, 37}, {5, 70, 33, 193}, {2, 9, 3, 20, 0, 1}}},
    {CASE(scatter_bwd),
     {{1, 1, 1, 1, 0}, {3, 11, 4, 37, 1}, {5, 70, 33, 193, 0}, {2, 9, 3, 20, 0, 1}}},
    {CASE(fill_fwd), {{1, 1, 1, 1}, {3, 11, 4, 37}, {5, 70, 33, 193}}},
    {CASE(fill_bwd),
     {{1, 1, 1, 1, 0},
      {3, 11, 4, 37, 1},
      {5, 70, 33, 193, 0},
      {5, 9, 3, 5, 0, 1},
      {5, 9, 3, 5, 1, 2}}},
    {CASE(clear_after), {{1, 1, 1, 0}, {5, 11, 37, 1}, {7, 70, 193, 0}}},
    {CASE(patchify_fwd), {{1, 1, 1, 1, 0}, {3, 12, 100, 25, 1}, {7, 12, 500, 25, 0}}},
    {CASE(patchify_bwd), {{1, 1, 1, 1, 0, 0}, {3, 12, 100, 25, 1, 1}, {7, 12, 500, 25, 0, 0}}},
    {CASE(fold_fwd), {{1, 1, 1, 1, 1}, {3, 11, 5, 2, 2}, {7, 625, 64, 2, 2}, {5, 70, 33, 4, 3}}},
    {CASE(fold_bwd),
     {{1, 1, 1, 1, 1, 0}, {3, 11, 5, 2, 2, 1}, {7, 625, 64, 2, 2, 0}, {5, 70, 33, 4, 3, 1}}},
    {CASE(groupnorm_fwd), {{1, 1, 1, 1}, {3, 37, 5, 5}, {2, 300, 70, 70}, {3, 130, 195, 3}}},
    {CASE(groupnorm_bwd),
     {{1, 1, 1, 1, 0},
      {3, 37, 5, 5, 1},
      {2, 300, 70, 70, 0},
      {3, 130, 195, 3, 1, 1},
      {3, 130, 195, 3, 0, 2}}},
    {CASE(ssm_fwd),
     {{1, 1, 1, 1, 1}, {3, 40, 5, 4, 2}, {2, 150, 37, 4, 2}, {2, 70, 16, 7, 1}, {5, 9, 70, 2, 2}}},
    {CASE(ssm_bwd),
     {{1, 1, 1, 1, 1, 0, 0},
      {3, 40, 5, 4, 2, 1, 0},
      {2, 150, 37, 4, 2, 0, 0},
      {2, 70, 16, 7, 1, 1, 0},
      {5, 9, 70, 2, 2, 0, 1},
      {3, 40, 5, 3, 2, 0, 62},
      {2, 40, 5, 5, 2, 1, 20}}},
    {CASE(activation_dropout_fwd), {{1, 1, 1}, {10000, 7001, 1}, {70001, 1000, 2}}},
    {CASE(activation_dropout_bwd),
     {{1, 1, 1, 0}, {10000, 7001, 1, 1}, {70001, 1000, 2, 0}, {10000, 4096, 1, 0}}},
    {CASE(gated_norm_fwd), {{1, 2}, {7, 35, 0, 0, 3, 3}, {300, 256, 0, 0, 2, 100}, {70, 129}}},
    {CASE(gated_norm_bwd),
     {{1, 2},
      {7, 35, 1, 0, 3, 3, 0},
      {300, 256, 0, 1, 2, 100, 0},
      {70, 129, 1, 1, 0, 0, 1},
      {70, 130, 0, 0, 2, 7, 2},
      {70, 131, 0, 0, 2, 10, 12},
      {70, 131, 0, 0, 2, 10, 4},
      {70, 131, 0, 0, 2, 10, 8}}},
    {CASE(batchnorm_fwd),
     {{1, 1, 0, 0, 0},
      {2, 3, 0, 1, 0},
      {70, 37, 2, 0, 0},
      {1021, 70, 2, 1, 0},
      {300, 333, 0, 0, 1},
      {37, 100, 2, 1, 1},
      {4000, 64, 2, 0, 0}}},
    {CASE(batchnorm_bwd),
     {{11, 1, 0, 0, 0},
      {2, 3, 0, 1, 0, 1, 1},
      {70, 37, 2, 0, 0, 1},
      {1021, 70, 2, 1, 0, 0, 0},
      {1021, 70, 2, 1, 0, 1, 0},
      {130, 70, 2, 1, 0, 0, 1, 1},
      {130, 70, 2, 1, 0, 0, 0, 14},
      {300, 333, 0, 0, 1, 0, 0, 4},
      {37, 100, 2, 1, 1, 0, 1},
      {4000, 64, 2, 0, 0, 0, 0, 4}}},
    {CASE(pool_windows_fwd),
     {{1, 1, 1, 1, 1, 0, 0, 0},
      {3, 125, 37, 3, 2, 1, 0, 1},
      {3, 125, 37, 2, 2, 0, 1, 0},
      {5, 40, 70, 3, 3, 0, 0, 1},
      {5, 41, 70, 4, 3, 2, 1, 0}}},
    {CASE(pool_windows_bwd),
     {{1, 1, 1, 1, 1, 0, 0, 0},
      {3, 125, 37, 3, 2, 1, 0, 1},
      {3, 125, 37, 3, 2, 1, 0, 1, 1},
      {3, 125, 37, 2, 2, 0, 1, 0},
      {5, 40, 70, 3, 3, 0, 0, 1},
      {5, 41, 70, 4, 3, 2, 1, 0, 1}}},
    {CASE(conv_fwd),
     {{1, 1, 1, 1, 1, 1, 0},
      {3, 41, 12, 33, 5, 1, 1, 0, 0, 2, 0},
      {2, 63, 64, 64, 5, 1, 0, 1, 0, 1, 0},
      {1, 9, 200, 35, 5, 1, 2, 0, 1, 1, 0},
      {3, 44, 5, 7, 7, 1, 0, 0, 0, 3, 3},
      {2, 44, 6, 8, 7, 2, 1, 0, 1, 3, 3},
      {2, 2, 3, 4, 6, 1, 0, 0, 0, 1, 0},
      {3, 5, 6, 9, 4, 3, 1},
      {2, 37, 34, 26, 128, 2, 0, 1},
      {2, 156, 96, 96, 31, 2, 1},
      {2, 300, 40, 72, 35, 4, 1, 0, 1},
      {1, 70, 7, 7, 5, 7, 2},
      {3, 5, 6, 9, 4, 3, 1, 0, 1}}},
    {CASE(conv_stored),
     {{3, 5, 6, 9, 4, 3, 1, 2},
      {2, 63, 64, 40, 5, 1, 0, 1, 1, 2, 0},
      {2, 37, 34, 26, 128, 2, 0, 1},
      {1, 70, 7, 7, 5, 7, 2, 1, 1},
      {2, 37, 34, 26, 128, 2, 0, 2, 1}}},
    {"conv_pack_bytes",
     offsetof(struct backend, conv_pack_bytes),
     conv_packed,
     {{1, 1, 1, 1, 1, 1, 0, 0}}},
    {"conv_pack",
     offsetof(struct backend, conv_pack),
     conv_packed,
     {{3, 5, 6, 9, 4, 3, 1, 2, 1},
      {2, 63, 64, 40, 5, 1, 0, 2, 1, 2, 0},
      {2, 37, 34, 26, 128, 2, 0, 1, 1}}},
    {CASE(conv_packed),
     {{2, 156, 96, 96, 31, 2, 1, 0},
      {2, 63, 64, 40, 5, 1, 0, 1, 0, 2, 0},
      {19, 61, 16, 8, 40, 1, 0, 0, 1},
      {1, 70, 7, 7, 5, 7, 2, 2}}},
    {CASE(conv_bwd_x),
     {{1, 1, 1, 1, 1, 1, 0},
      {3, 41, 12, 33, 5, 1, 1, 0, 0, 2, 0},
      {2, 63, 64, 64, 5, 1, 0, 1, 0, 1, 0},
      {2, 63, 33, 64, 5, 1, 1, 1, 1, 3, 0},
      {2, 40, 9, 12, 1, 1, 0, 0, 0, 2, 0},
      {2, 40, 9, 12, 1, 1, 1, 0, 0, 3, 0},
      {3, 44, 5, 7, 7, 1, 0, 0, 0, 3, 3},
      {2, 44, 6, 8, 7, 2, 1, 0, 1, 3, 3},
      {2, 2, 3, 4, 6, 1, 0, 0, 0, 1, 0},
      {3, 5, 6, 9, 4, 3, 1},
      {2, 37, 34, 26, 128, 2, 0},
      {2, 156, 96, 96, 31, 2, 1, 0, 1},
      {2, 300, 40, 72, 35, 4, 1, 0, 1},
      {1, 70, 7, 7, 5, 7, 0}}},
    {CASE(conv_bwd_w),
     {{1, 1, 1, 1, 1, 1, 0},
      {3, 41, 12, 33, 5, 1, 1, 0, 0, 2, 0},
      {2, 63, 64, 64, 5, 1, 0, 1, 0, 1, 0},
      {12, 130, 64, 64, 5, 1, 0, 1, 0, 1, 0},
      {2, 63, 33, 64, 5, 1, 1, 0, 1, 3, 0},
      {2, 40, 9, 12, 1, 1, 0, 0, 0, 3, 0},
      {3, 44, 5, 7, 7, 1, 0, 1, 0, 3, 3},
      {2, 44, 6, 8, 7, 2, 1, 0, 1, 3, 3},
      {2, 2, 3, 4, 6, 1, 0, 0, 0, 1, 0},
      {3, 5, 6, 9, 4, 3, 1, 1},
      {2, 37, 34, 26, 128, 2, 0, 1},
      {19, 156, 24, 24, 7, 2, 1, 1},
      {25, 156, 4, 4, 3, 1, 1, 0},
      {5, 300, 40, 72, 35, 4, 1, 1},
      {1, 70, 7, 7, 5, 7, 0}}},
    {CASE(weight_norm_fwd),
     {{1, 1, 1, 0}, {5, 3, 37, 0}, {70, 9, 35, 0}, {7, 300, 18, 1}, {33, 5, 128, 2}}},
    {CASE(weight_norm_bwd),
     {{1, 1, 1, 0}, {5, 3, 37, 1}, {70, 9, 35, 0}, {7, 300, 18, 1, 1}, {33, 5, 128, 0, 2}}},
    {CASE(bf16_round), {{1}, {37}, {70001}}},
    {"bf16_value", offsetof(struct backend, bf16_value), bf16_round, {{37}}},
    {CASE(pool_fwd),
     {{1, 1, 1, 0},
      {3, 11, 37, 1},
      {5, 70, 193, 0},
      {5, 70, 193, 1},
      {5, 70, 33, 0, 1},
      {5, 70, 33, 1, 1},
      {5, 70, 193, 2, 0},
      {5, 70, 33, 2, 1}}},
    {CASE(pool_bwd),
     {{1, 1, 1, 0, 0},
      {3, 11, 37, 1, 1},
      {5, 70, 193, 0, 1},
      {5, 70, 193, 1, 0},
      {5, 70, 33, 0, 0, 1},
      {5, 70, 33, 0, 1, 1},
      {5, 70, 193, 2, 1, 0},
      {5, 70, 33, 2, 0, 1}}},
    {CASE(attend_fwd), {{1, 1, 1, 1, 0}, {3, 11, 2, 5, 1}, {40, 70, 4, 16, 0}}},
    {CASE(attend_bwd),
     {{1, 1, 1, 1, 0, 1, 0}, {3, 11, 2, 5, 1, 1, 1}, {40, 70, 4, 16, 0, 1, 0}, {5, 7, 1, 3, 0, 0}}},
    {CASE(l2norm_fwd), {{2, 1}, {3, 37}, {300, 193}}},
    {CASE(l2norm_bwd), {{2, 1, 0}, {3, 37, 1}, {300, 193, 0}}},
    {CASE(dropout), {{1, 1, 0, 0}, {1000, 300, 0, 1}, {70001, 1000, 1, 0}, {70001, 1000, 0, 0}}},
    {CASE(mse_patch_fwd), {{1, 1, 1, 2, 0}, {3, 11, 4, 25, 1}, {7, 40, 30, 300, 1}}},
    {CASE(mse_patch_bwd), {{1, 1, 1, 2, 0, 0}, {3, 11, 4, 25, 1, 1}, {7, 40, 30, 300, 1, 0}}},
    {CASE(bce_fwd), {{2, 1, 0}, {7, 5, 1}, {64, 71, 0}}},
    {CASE(bce_bwd), {{2, 1, 0, 0}, {7, 5, 1, 1}, {64, 71, 0, 0}}},
    {CASE(mse_fwd), {{2}, {35}, {4544}}},
    {CASE(mse_bwd), {{2, 0}, {35, 1}, {4544, 0}}},
    {CASE(ntxent_fwd), {{1, 3}, {5, 17}, {100, 64}}},
    {CASE(ntxent_bwd), {{1, 3, 0}, {5, 17, 1}, {100, 64, 0}}},
    {CASE(quantize_fwd),
     {{1, 1, 2, 1, 0, 0, 0}, {7, 2, 5, 3, 1, 1, 1}, {70, 3, 37, 19, 0, 1, 1}, {70, 2, 320, 9}}},
    {CASE(quantize_bwd),
     {{1, 1, 2, 1, 0, 0}, {7, 2, 5, 3, 1, 1}, {70, 3, 37, 19, 0, 1}, {2100, 2, 33, 17, 0, 0}}},
    {CASE(perplexity_fwd), {{1, 1, 2, 0}, {7, 2, 5, 1}, {301, 2, 320, 0}, {301, 2, 320, 1}}},
    {CASE(perplexity_bwd), {{1, 1, 2, 0}, {7, 2, 5, 1}, {301, 2, 320, 0}}},
    {CASE(similarity_fwd), {{2, 1, 1}, {5, 37, 3}, {70, 256, 100}}},
    {CASE(similarity_bwd),
     {{2, 1, 1, 0, 0}, {5, 37, 3, 1, 1, 1}, {70, 256, 100, 1, 0, 2}, {70, 193, 100, 0, 1}}},
    {CASE(lstm_fwd), {{1, 1, 1, 1}, {3, 7, 5, 0}, {5, 19, 37, 1}, {2, 3, 128, 0}}},
    {CASE(lstm_bwd),
     {{1, 1, 1, 0, 0, 0}, {3, 7, 5, 1, 1, 0}, {5, 19, 37, 0, 1, 1}, {5, 19, 37, 0, 0, 2}}},
    {CASE(pick_fwd), {{1, 1, 1}, {7, 5, 9}, {301, 250, 129}}},
    {CASE(pick_bwd), {{1, 1, 1}, {7, 5, 9}, {301, 250, 129}}},
    {CASE(first_class_fwd), {{1, 1}, {7, 5}, {701, 101}}},
    {CASE(first_class_bwd), {{1, 1, 0}, {7, 5, 1}, {701, 101, 0}}},
    {CASE(accuracy), {{1, 2}, {70, 3}}},
    {CASE(cmsc_fwd), {{1, 3}, {5, 17}, {64, 96}}},
    {CASE(cmsc_bwd), {{1, 3, 0}, {5, 17, 1}, {64, 96, 0}}},
    {CASE(adamw), {{1, 1}, {37, 2}, {70001, 1000}}},
    {CASE(sum_squares), {{1}, {37}, {70001}, {1200007}}},
    {CASE(ema), {{1}, {37}, {70001}}},
    {CASE(all_finite), {{1}, {37}, {70001}}},
};
enum { CASES = sizeof cases / sizeof *cases };

/* ---- walkers --------------------------------------------------------------------------------- */

static struct run run_case(const struct kernel_case *c, const int64_t *sizes,
                           const struct backend *k)
{
    struct run r = {.k = k, .state = 12345};
    c->run(&r, sizes);
    const char *damage = run_damage(&r);
    if (damage)
        fail_msg("%s on %s: %s", c->name, k->name, damage);
    return r;
}

static void every_member_has_a_case(void **state)
{
    (void)state;
    size_t first = offsetof(struct backend, linear_fwd), step = sizeof(void (*)(void));
    for (size_t at = first; at < sizeof(struct backend); at += step) {
        bool found = false;
        for (int i = 0; i < CASES; i++)
            found |= cases[i].member == at;
        if (!found)
            fail_msg("member %zu of struct backend has no case", (at - first) / step);
        static const char *const names[] = {"ref",      "ref64",    "cpu",
                                            "cpu-bf16", "cpu-int8", "onednn"};
        for (size_t b = 0; b < sizeof names / sizeof *names; b++) {
            const struct backend *k = backend_find(names[b]);
            if (!k && (!strcmp(names[b], "cpu-bf16") || !strcmp(names[b], "onednn")))
                continue;
            assert_non_null(k);
            assert_string_equal(k->name, names[b]);
            void (*pointer)(void);
            memcpy(&pointer, (const char *)k + at, sizeof pointer);
            assert_non_null(pointer);
        }
    }
}

/* Errors allowed. Float: sums of up to some hundred terms. bf16: operands are rounded to 8 bits, by
 * 2^-9 relative at most, evenly spread; a product of two then has a mean square error of 2/3 2^-18,
 * and sums of products of random signs keep it. The gradient of attention multiplies differences of
 * products by inputs of up to 2. int8: a number spread evenly up to 127 is rounded with a mean square
 * error of 1/(4 127^2) of its square, and both operands are. */
struct tolerance {
    double nmse, worst;
};
static const struct tolerance of_float = {1e-12, 1e-5}, of_bf16 = {1.0 / 65536, 1.0 / 64},
                              of_bf16_attention = {1.0 / 8192, 1.0 / 32},
                              of_int8 = {2 * 2 / (4.0 * 127 * 127), 1.0 / 24};

/* Whether two backends have the same kernel for case c. */
static bool shared(const struct backend *a, const struct backend *b, const struct kernel_case *c)
{
    return b && !memcmp((const char *)a + c->member, (const char *)b + c->member, sizeof a->add);
}

/* What case c may lose on k: members that are those of cpu are held to float. */
static struct tolerance allowed(const struct backend *k, const struct kernel_case *c)
{
    if (strncmp(k->name, "cpu-", 4) || shared(k, backend_cpu(), c))
        return of_float;
    if (!shared(k, backend_cpu_bf16(), c))
        return of_int8;
    return strstr(c->name, "attention") ? of_bf16_attention : of_bf16;
}

static void compare_all(const struct backend *k, const char *label)
{
    double highest_nmse = 0, highest_worst = 0;
    for (int i = 0; i < CASES; i++)
        for (int j = 0; j < CASE_SIZES && cases[i].sizes[j][0]; j++) {
            double nmse, worst;
            struct tolerance most = allowed(k, &cases[i]);
            struct run truth = run_case(&cases[i], cases[i].sizes[j], &backend_ref64);
            struct run r = run_case(&cases[i], cases[i].sizes[j], k);
            run_compare(&r, &truth, &nmse, &worst);
            if (nmse > most.nmse || worst > most.worst)
                fail_msg("%s on %s, sizes %d: nmse %.2g, largest error %.2g", cases[i].name, label,
                         j, nmse, worst);
            highest_nmse = nmse > highest_nmse ? nmse : highest_nmse;
            highest_worst = worst > highest_worst ? worst : highest_worst;
            run_free(&r);
            run_free(&truth);
        }
    print_message("%s: nmse up to %.2g, errors up to %.2g\n", label, highest_nmse, highest_worst);
}

static void ref_is_right(void **state)
{
    (void)state;
    compare_all(&backend_ref, "ref");
}

static void vectorized_are_right(void **state)
{
    (void)state;
    char name[32];
    for (int i = 0; i < RUN_MACHINES; i++) {
        const struct backend *k = run_machine_use(&run_machines[i]);
        run_machine_name(&run_machines[i], name);
        if (k)
            compare_all(k, name);
        else
            print_message("this machine has no %s: not tested\n", name);
    }
    kernel_force_isa(NULL);
}

/* More shapes than are kept, twice over, so that dropped ones are built again. */
static void *onednn_shapes(void *failed)
{
    enum { SHAPES = DNNL_BRIDGE_SHAPES + 40, N = 5, K = 7 };
    static const struct kernel_case c = {CASE(linear_fwd), {{0}}};
    for (int i = 0; i < 2 * SHAPES; i++) {
        const int64_t sizes[6] = {1 + i % SHAPES, N, K, ACTIVATION_RELU, i & 1};
        struct run truth = run_case(&c, sizes, &backend_ref64);
        struct run r = run_case(&c, sizes, backend_onednn());
        double nmse, worst;
        run_compare(&r, &truth, &nmse, &worst);
        if (nmse > of_float.nmse || worst > of_float.worst ||
            dnnl_bridge_shapes() > DNNL_BRIDGE_SHAPES)
            *(bool *)failed = true;
        run_free(&r);
        run_free(&truth);
    }
    if (dnnl_bridge_shapes() != DNNL_BRIDGE_SHAPES)
        *(bool *)failed = true;
    return NULL;
}

static void onednn_is_right(void **state)
{
    (void)state;
    if (!backend_onednn()) {
        print_message("oneDNN has no engine on this machine: not tested\n");
        skip();
    }
    int before = kernel_threads();
    for (int threads = 1; threads <= 2; threads++) {
        kernel_set_threads(threads);
        compare_all(backend_onednn(), threads == 1 ? "onednn, 1 thread" : "onednn, 2 threads");
    }
    /* oneDNN does it, not the kernels it would fall back to, and keeps what it has built. */
    struct dnnl_product p = {.M = 3, .N = 2, .K = 1, .transpose_b = true, .gelu = true};
    float y[6], x[3] = {-1, 0, NAN}, w[2] = {1, 2}, bias[2] = {0, 100};
    assert_true(dnnl_bridge_multiply(y, x, w, bias, &p));
    assert_true(fabsf(y[0] + 0.158655f) < 1e-6f && y[1] == 98 && y[2] == 0 && y[3] == 100);
    int kept = dnnl_bridge_shapes();
    assert_true(dnnl_bridge_multiply(y, x, w, bias, &p));
    assert_int_equal(dnnl_bridge_shapes(), kept);
    for (int act = ACTIVATION_NONE; act <= ACTIVATION_RELU; act++) {
        backend_onednn()->linear_fwd(y, x, w, bias, 3, 2, 1, (enum activation)act);
        assert_true(isfinite(y[3]) && isnan(y[4]) && isnan(y[5]));
    }
    kernel_set_threads(1);
    pthread_t other[2];
    bool failed[2] = {false, false};
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&other[i], NULL, onednn_shapes, &failed[i]), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(other[i], NULL), 0);
    assert_false(failed[0] || failed[1]);
    kernel_set_threads(before);
}

static void one_backend_is_selected(void **state)
{
    (void)state;
    assert_ptr_equal(backend_selected(), backend_cpu());
    assert_true(backend_select("ref"));
    assert_ptr_equal(backend_selected(), &backend_ref);
    assert_false(backend_select("gpu"));
    assert_false(backend_select("ref64")); /* models are float */
    assert_ptr_equal(backend_selected(), &backend_ref);
    assert_true(backend_select("cpu"));
    assert_ptr_equal(backend_selected(), backend_cpu());
    assert_non_null(strstr(kernel_description(), "oneDNN "));
}

static void threads_do_not_change_bits(void **state)
{
    (void)state;
    char name[32];
    int before = kernel_threads();
    for (int i = 0; i < RUN_MACHINES; i++) {
        const struct backend *k = run_machine_use(&run_machines[i]);
        if (!k)
            continue;
        for (int c = 0; c < CASES; c++)
            for (int j = 0; j < CASE_SIZES && cases[c].sizes[j][0]; j++) {
                kernel_set_threads(1);
                struct run one = run_case(&cases[c], cases[c].sizes[j], k);
                for (int threads = 2; threads <= 3; threads++) {
                    kernel_set_threads(threads);
                    struct run r = run_case(&cases[c], cases[c].sizes[j], k);
                    if (!run_same_bits(&one, &r))
                        fail_msg("%s (%s), sizes %d: %d threads give other bits", cases[c].name,
                                 run_machine_name(&run_machines[i], name), j, threads);
                    run_free(&r);
                }
                run_free(&one);
            }
    }
    kernel_force_isa(NULL);
    kernel_set_threads(before);
}

/* GELU over the whole range against the double reference: the error against the magnitude of the
 * result, so that the tail is held to it too; its slope against 1. */
static void gelu_is_exact(void **state)
{
    (void)state;
    enum { n = 400001 };
    float *x = malloc(sizeof *x * n), *y = malloc(sizeof *y * n), *ones = malloc(sizeof *ones * n);
    double *x64 = malloc(sizeof *x64 * n), *y64 = malloc(sizeof *y64 * n);
    double *ones64 = malloc(sizeof *ones64 * n);
    assert_true(x && y && ones && x64 && y64 && ones64);
    for (int i = 0; i < n; i++) {
        x[i] = (float)(-10 + 20.0 * i / (n - 1));
        x64[i] = x[i];
        ones[i] = 1;
        ones64[i] = 1;
    }
    for (int isa = 0; isa < RUN_ISAS; isa++) {
        if (!kernel_force_isa(run_machines[isa].isa))
            continue;
        backend_ref64.activation_fwd(y64, x64, n, ACTIVATION_GELU);
        backend_cpu()->activation_fwd(y, x, n, ACTIVATION_GELU);
        double value = 0, tail = 0, slope = 0;
        for (int i = 0; i < n; i++) {
            double e = fabs(y[i] - y64[i]);
            value = fmax(value, e / (1e-3 + fabs(y64[i])));
            if (x[i] < 0)
                tail = fmax(tail, e / fabs(y64[i]));
        }
        backend_ref64.activation_bwd(y64, ones64, x64, n, ACTIVATION_GELU, 0);
        backend_cpu()->activation_bwd(y, ones, x, n, ACTIVATION_GELU, 0);
        for (int i = 0; i < n; i++)
            slope = fmax(slope, fabs(y[i] - y64[i]));
        print_message("gelu (%s): error %.2g, relative in the tail %.2g, slope %.2g\n",
                      run_machines[isa].isa, value, tail, slope);
        assert_true(value < 5e-7);
        assert_true(tail < (isa == 2 ? 1e-5 : 1e-6)); /* plain has no fused multiply-add */
        assert_true(slope < 4e-7);
    }
    kernel_force_isa(NULL);
    free(x), free(y), free(ones), free(x64), free(y64), free(ones64);
}

static void special_values(void **state)
{
    (void)state;
    for (int isa = 0; isa < RUN_ISAS; isa++) {
        if (!kernel_force_isa(run_machines[isa].isa))
            continue;
        float x[5] = {NAN, 0, 3, INFINITY, -50}, y[5];
        for (int act = ACTIVATION_NONE; act <= ACTIVATION_RELU; act++) {
            backend_cpu()->activation_fwd(y, x, 4, (enum activation)act);
            assert_true(isnan(y[0]));
            assert_true(y[1] == 0 && y[3] == INFINITY);
        }
        backend_cpu()->activation_fwd(y, x, 5, ACTIVATION_GELU);
        assert_true(y[4] == 0);
        x[0] = -INFINITY; /* shows, see test_model.c */
        backend_cpu()->activation_fwd(y, x, 1, ACTIVATION_GELU);
        assert_true(isnan(y[0]));
        float big[3] = {1000, -1000, 1000};
        backend_cpu()->softmax_fwd(y, big, 1, 3);
        assert_true(y[0] == 0.5f && y[1] == 0 && y[2] == 0.5f);
        float lost[3] = {1, NAN, 1};
        backend_cpu()->softmax_fwd(y, lost, 1, 3);
        assert_true(isnan(y[0]));
        for (int at = 0; at < 37; at++) { /* a row's largest number, anywhere */
            float row[37] = {0}, out[37];
            row[at] = 1000;
            backend_cpu()->softmax_fwd(out, row, 1, 37);
            for (int i = 0; i < 37; i++)
                assert_true(out[i] == (i == at));
        }
    }
    kernel_force_isa(NULL);
}

/* 8-bit sums are exact, the largest there can be too, and the same on every instruction set; rows
 * that are not finite give NaN, zeros the bias; GELU is close to the exact one. */
static void int8_is_exact(void **state)
{
    (void)state;
    enum { M = 15, N = 37, K = 1003 };
    float *x = malloc(sizeof *x * M * K), y[M * N], gelu[M * N], scale[N], bias[N];
    int8_t *w = malloc(N * K);
    assert_true(x && w);
    for (int i = 0; i < M * K;
         i++) /* the scales are powers of 2; row 0 is all 127, row 1 all -127 */
        x[i] = (float)(i < K ? 127 : i < 2 * K ? -127 : i % K ? i * 7 % 255 - 127 : 127) / 64;
    for (int i = 0; i < N * K; i++) /* channel 0 is all -128, channel 1 all 127 */
        w[i] = (int8_t)(i < K ? -128 : i < 2 * K ? 127 : i * 13 % 256 - 128);
    for (int n = 0; n < N; n++)
        scale[n] = 1.0f / 1024, bias[n] = (float)n;
    x[3 * K + 5] = NAN;
    x[4 * K + 6] = -INFINITY;
    for (int k = 0; k < K; k++)
        x[5 * K + k] = 0, x[6 * K + k] = 1e-40f;
    const struct weight weight = {w, STORAGE_INT8, scale};
    for (int i = 0; i < RUN_MACHINES; i++) {
        const struct backend *k = run_machine_use(&run_machines[i]);
        if (!k || strcmp(k->name, "cpu-int8"))
            continue;
        void *packed = aligned_alloc(64, k->pack_bytes(N, K));
        assert_non_null(packed);
        k->pack(packed, &weight, N, K);
        k->linear_packed(y, x, packed, bias, M, N, K, ACTIVATION_NONE);
        k->linear_packed(gelu, x, packed, bias, M, N, K, ACTIVATION_GELU);
        free(packed);
        for (int m = 0; m < M; m++)
            for (int n = 0; n < N; n++) {
                int32_t sum = 0;
                for (int j = 0; j < K && m != 3 && m != 4; j++)
                    sum += (int32_t)(m == 6 ? 0 : 64 * x[m * K + j]) * w[n * K + j];
                float expected = (float)sum * (1.0f / 65536) + bias[n];
                float got = y[m * N + n], active = gelu[m * N + n];
                if (m == 3 || m == 4)
                    assert_true(isnan(got) && isnan(active));
                else if (got != expected ||
                         fabs(active - got * (1 + erf(got / sqrt(2))) / 2) > 2e-5)
                    fail_msg("%d, %d: %g, %g with GELU, for %g", m, n, got, active, expected);
            }
    }
    kernel_force_isa(NULL);
    free(x);
    free(w);
}

/* A case worked by hand for each loss, so that reference and cpu cannot be wrong together. */
static void losses_by_hand(void **state)
{
    (void)state;
    const double z[8] = {1, 0, 0, 1, 1, 0, 0, 1}; /* two records, both views the same */
    double loss, prob[16];
    backend_ref64.ntxent_fwd(&loss, prob, z, 2, 2, 1.0);
    assert_true(fabs(loss - log((exp(1) + 2) / exp(1))) < 1e-12);
    const double logits[4] = {0, 100, -100, 3}, target[4] = {1, 1, 1, NAN};
    backend_ref64.bce_fwd(&loss, logits, target, NULL, 2, 2);
    assert_true(fabs(loss - (log(2) + 0 + 100) / 3) < 1e-12);
    const double value[4] = {1, 7, -2, 5}, truth[4] = {3, NAN, -2, 2}; /* errors -2, 0, 3 */
    backend_ref64.mse_fwd(&loss, value, truth, 4);
    assert_true(fabs(loss - 13.0 / 3) < 1e-12);
    const double pred[4] = {0, 0, 0, 0}, patches[8] = {9, 9, 9, 9, 1, 2, 3, 4};
    const int32_t index[1] = {1};
    backend_ref64.mse_patch_fwd(&loss, pred, patches, index, 1, 2, 1, 4, 0);
    assert_true(fabs(loss - 30.0 / 4) < 1e-12);
    backend_ref64.mse_patch_fwd(&loss, pred, patches, index, 1, 2, 1, 4, 1);
    assert_true(fabs(loss - 5.0 / (5.0 / 3 + 1e-6) / 4) < 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_member_has_a_case),
        cmocka_unit_test(losses_by_hand),
        cmocka_unit_test(ref_is_right),
        cmocka_unit_test(vectorized_are_right),
        cmocka_unit_test(onednn_is_right),
        cmocka_unit_test(one_backend_is_selected),
        cmocka_unit_test(threads_do_not_change_bits),
        cmocka_unit_test(gelu_is_exact),
        cmocka_unit_test(special_values),
        cmocka_unit_test(int8_is_exact),
    };
    return cmocka_run_group_tests_name("kernel", tests, NULL, NULL);
}
