/* Numbers do not depend on company: of the vectorized backends, on each instruction set this machine
 * has,
 *   - a row of a linear layer, its weights packed before or not, of a norm and of a softmax is the same bits among any number of rows,
 *     wherever it stands, on any number of threads;
 *   - a gradient of weights is the same bits on any number of threads;
 *   - a record's attention and pooling is the same bits alone and in any batch;
 *   - an element of an elementwise kernel is the same bits at any place of an array. */
#include "kernel/kernel.h"
#include "kernel/vector.h"

#include "kernel_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { THREADS_MAX = 3 };

static float *numbers(int64_t n, uint32_t seed)
{
    float *x = malloc(sizeof *x * (size_t)n);
    if (!x)
        abort();
    for (int64_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(int32_t)seed * (1.0f / 2147483648.0f);
    }
    return x;
}

static bool same(const float *a, const float *b, int64_t n)
{
    return !memcmp(a, b, sizeof *a * (size_t)n);
}

/* Widths of ViT tiny, small and base (D, 3 D, 4 D), of decoders, of patches of 12 x 25 and of
 * heads: N, K of w[N,K]. */
static const int64_t layers[][2] = {{192, 300},  {300, 192}, {576, 192},  {192, 192},  {768, 192},
                                    {192, 768},  {5, 192},   {71, 192},   {128, 192},  {300, 128},
                                    {384, 128},  {128, 128}, {512, 128},  {128, 512},  {512, 384},
                                    {300, 512},  {384, 300}, {384, 384},  {1152, 384}, {1536, 384},
                                    {384, 1536}, {768, 300}, {2304, 768}, {3072, 768}, {768, 768},
                                    {768, 3072}, {5, 768},   {7, 13}};
enum { LAYERS = sizeof layers / sizeof *layers, WIDTH_MAX = 3072 };
#ifdef __SANITIZE_ADDRESS__
enum { ROWS_MAX = 300 }; /* for addresses; the bits are the other builds' concern */
#else
enum { ROWS_MAX = 2560 };
#endif

/* Where a layer is costly it is tried with fewer rows: still past every block of the kernels. */
static int64_t rows_max(const int64_t *layer, int isa)
{
    int64_t size = layer[0] * layer[1];
    int64_t rows = size <= 200000 ? (isa == 0 ? ROWS_MAX : 1000) : isa == 2 ? 60 : 300;
    return rows < ROWS_MAX ? rows : ROWS_MAX;
}

enum kind { PLAIN, GELU, BACKWARD };

/* With weights packed, if they are. */
static void linear(const struct backend *k, enum kind kind, float *y, const float *x,
                   const float *w, const void *packed, const float *b, int64_t M, int64_t N,
                   int64_t K)
{
    enum activation act = kind == GELU ? ACTIVATION_GELU : ACTIVATION_NONE;
    if (kind == BACKWARD) /* takes [M,K] to [M,N] with w[K,N] */
        k->linear_bwd_x(y, x, w, M, K, N, 0);
    else if (packed)
        k->linear_packed(y, x, packed, b, M, N, K, act);
    else
        k->linear_fwd(y, x, w, b, M, N, K, act);
}

static void linear_rows(void **state)
{
    (void)state;
    char name[32];
    static const int64_t rows[] = {1, 2, 3, 7, 10, 40, 250, 640, 1000, 2560};
    float *x = numbers(ROWS_MAX * WIDTH_MAX, 1), *w = numbers((int64_t)WIDTH_MAX * 768, 2);
    float *b = numbers(WIDTH_MAX, 3);
    float *all = numbers(ROWS_MAX * WIDTH_MAX, 4), *some = numbers(ROWS_MAX * WIDTH_MAX, 5);
    for (int isa = 0; isa < RUN_MACHINES; isa++) {
        const struct backend *k = run_machine_use(&run_machines[isa]);
        if (!k)
            continue;
        for (int l = 0; l < LAYERS; l++)
            for (int kind = PLAIN; kind <= BACKWARD; kind++) {
                int64_t N = layers[l][0], K = layers[l][1], M = rows_max(layers[l], isa);
                struct weight weight = {w, STORAGE_F32, NULL};
                void *packed = aligned_alloc(64, k->pack_bytes(N, K));
                assert_non_null(packed);
                kernel_set_threads(2);
                k->pack(packed, &weight, N, K);
                linear(k, (enum kind)kind, all, x, w, NULL, b, M, N, K);
                for (size_t i = 0; i < sizeof rows / sizeof *rows && rows[i] <= M; i++)
                    for (int threads = 1; threads <= THREADS_MAX; threads++) {
                        int64_t first = (M - rows[i]) * threads / THREADS_MAX;
                        kernel_set_threads(threads);
                        linear(k, (enum kind)kind, some, x + first * K, w,
                               threads > 1 ? packed : NULL, b, rows[i], N, K);
                        if (!same(some, all + first * N, rows[i] * N))
                            fail_msg("%s, N %d, K %d, kind %d: %d rows on %d threads differ",
                                     run_machine_name(&run_machines[isa], name), (int)N, (int)K,
                                     kind, (int)rows[i], threads);
                    }
                free(packed);
            }
    }
    kernel_force_isa(NULL);
    free(x), free(w), free(b), free(all), free(some);
}

static void linear_weight_gradients(void **state)
{
    (void)state;
    char name[32];
    static const int64_t rows[] = {1, 7, 64, 640, 1248, 5000};
    float *x = numbers(5000 * 768, 1), *dy = numbers(5000 * 768, 2);
    float *start = numbers((int64_t)WIDTH_MAX * 768, 3);
    float *one = numbers((int64_t)WIDTH_MAX * 768, 4), *many = numbers((int64_t)WIDTH_MAX * 768, 4);
    float one_bias[WIDTH_MAX], many_bias[WIDTH_MAX];
    for (int isa = 0; isa < RUN_MACHINES; isa++) {
        const struct backend *k = run_machine_use(&run_machines[isa]);
        if (!k)
            continue;
        for (int l = 0; l < LAYERS; l++)
            for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                int64_t M = rows[i], N = layers[l][0], K = layers[l][1];
                size_t weights = sizeof *start * (size_t)(N * K),
                       biases = sizeof *start * (size_t)N;
                if (M > rows_max(layers[l], isa) * 2 || M * N > 5000 * 768 || M * K > 5000 * 768)
                    continue;
                memcpy(one, start, weights);
                memcpy(one_bias, start, biases);
                kernel_set_threads(1);
                k->linear_bwd_w(one, one_bias, dy, x, M, N, K, 1);
                for (int threads = 2; threads <= 8; threads += threads) {
                    memcpy(many, start, weights);
                    memcpy(many_bias, start, biases);
                    kernel_set_threads(threads);
                    k->linear_bwd_w(many, many_bias, dy, x, M, N, K, 1);
                    if (!same(one, many, N * K) || !same(one_bias, many_bias, N))
                        fail_msg("%s, dw[%d,%d] over %d rows: %d threads differ",
                                 run_machine_name(&run_machines[isa], name), (int)N, (int)K, (int)M,
                                 threads);
                }
            }
    }
    kernel_force_isa(NULL);
    free(x), free(dy), free(start), free(one), free(many);
}

static void rows_of_norms(void **state)
{
    (void)state;
    char name[32];
    enum { M = 300, D = 193 };
    float *x = numbers(M * D, 1), *dy = numbers(M * D, 2), *g = numbers(D, 3), *b = numbers(D, 4);
    float *all = numbers(M * D, 5), *some = numbers(M * D, 6), mean[M], rstd[M],
          *y = numbers(M * D, 7);
    float dg[D] = {0}, db[D] = {0};
    for (int isa = 0; isa < RUN_ISAS; isa++) {
        const struct backend *k = run_machine_use(&run_machines[isa]);
        if (!k)
            continue;
        for (int what = 0; what < 6; what++)
            for (int64_t count = M; count > 0; count = count > 7 ? count / 3 : count - 1)
                for (int threads = 1; threads <= THREADS_MAX; threads++) {
                    int64_t first = (M - count) * threads / THREADS_MAX, at = first * D;
                    float *out = count == M && threads == 1 ? all : some;
                    kernel_set_threads(threads);
                    switch (what) {
                    case 0:
                        k->layernorm_fwd(out, mean + first, rstd + first, x + at, g, b, count, D,
                                         1e-5);
                        break;
                    case 1:
                        k->layernorm_bwd(out, dg, db, dy + at, x + at, g, mean + first,
                                         rstd + first, count, D, 0);
                        break;
                    case 2:
                        k->softmax_fwd(out, x + at, count, D);
                        break;
                    case 3:
                        k->softmax_bwd(out, dy + at, x + at, count, D, 0);
                        break;
                    case 4:
                        k->l2norm_fwd(out, mean + first, x + at, count, D, 1e-5);
                        if (count == M)
                            memcpy(y, out, sizeof *y * M * D);
                        break;
                    case 5:
                        k->l2norm_bwd(out, dy + at, y + at, mean + first, count, D, 0);
                        break;
                    }
                    if (!same(out, all + at, count * D))
                        fail_msg("%s, kernel %d: %d rows on %d threads differ",
                                 run_machine_name(&run_machines[isa], name), what, (int)count,
                                 threads);
                }
    }
    kernel_force_isa(NULL);
    free(x), free(dy), free(g), free(b), free(all), free(some), free(y);
}

static void records(void **state)
{
    (void)state;
    char name[32];
    static const int64_t shapes[][3] = {
        {10, 3, 64}, {40, 3, 64}, {250, 3, 64}, {157, 2, 32}, {33, 1, 20}};
    enum { B = 5 };
    for (int isa = 0; isa < RUN_MACHINES; isa++) {
        const struct backend *k = run_machine_use(&run_machines[isa]);
        if (!k)
            continue;
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            int64_t N = shapes[s][0], H = shapes[s][1], E = shapes[s][2], D = H * E, n = N * D;
            float *qkv = numbers(B * n * 3, 1), *dy = numbers(B * n, 2);
            float *y = numbers(B * n, 3), *lse = numbers(B * H * N, 4),
                  *dqkv = numbers(B * n * 3, 5);
            float *y1 = numbers(n, 6), *lse1 = numbers(H * N, 7), *dqkv1 = numbers(n * 3, 8);
            float *pool = numbers(B * D, 9), *pool1 = numbers(D, 10);
            float *seen = numbers(B * N * N, 11), *seen1 = numbers(N * N, 12);
            int32_t argmax[192];
            const int32_t lengths[B] = {(int32_t)N, (int32_t)N / 2, 0, 1, (int32_t)N};
            struct attention all = {.B = B, .N = N, .H = H, .E = E, .lengths = lengths};
            kernel_set_threads(2);
            k->attention_fwd(y, lse, qkv, &all);
            k->attention_bwd(dqkv, dy, qkv, y, lse, &all, 0);
            k->attention_weights(seen, qkv, &all, 0);
            k->pool_fwd(pool, NULL, y, lengths, B, N, D, POOL_MEAN);
            for (int64_t b = 0; b < B; b++)
                for (int threads = 1; threads <= THREADS_MAX; threads++) {
                    kernel_set_threads(threads);
                    struct attention one = {.B = 1, .N = N, .H = H, .E = E};
                    one.lengths = lengths[b] < N ? lengths + b : NULL;
                    k->attention_fwd(y1, lse1, qkv + b * n * 3, &one);
                    k->attention_bwd(dqkv1, dy + b * n, qkv + b * n * 3, y1, lse1, &one, 0);
                    k->attention_weights(seen1, qkv + b * n * 3, &one, 0);
                    k->pool_fwd(pool1, argmax, y1, one.lengths, 1, N, D, POOL_MEAN);
                    if (!same(y1, y + b * n, n) || !same(lse1, lse + b * H * N, H * N) ||
                        !same(seen1, seen + b * N * N, N * N) ||
                        !same(dqkv1, dqkv + b * n * 3, n * 3) || !same(pool1, pool + b * D, D))
                        fail_msg("%s, N %d, H %d, E %d: record %d alone on %d threads differs",
                                 run_machine_name(&run_machines[isa], name), (int)N, (int)H, (int)E,
                                 (int)b, threads);
                }
            free(qkv), free(dy), free(y), free(lse), free(dqkv), free(y1), free(lse1), free(dqkv1);
            free(pool), free(pool1), free(seen), free(seen1);
        }
    }
    kernel_force_isa(NULL);
}

/* Group norm, convolution and its gradients: a record alone is the record in a batch; gradients of
 * weights do not depend on threads. */
static void sequences(void **state)
{
    (void)state;
    static const float taps[128] = {[0] = 0.7f, [3] = -1.3f, [9] = 2, [64] = 1.1f, [127] = 0.3f};
    static const struct conv shapes[] = {
        {5, 40, 24, 24, 7, 2, 1, 0, NULL},   {5, 156, 96, 48, 128, 4, 1, 0, taps},
        {5, 300, 32, 16, 40, 2, 1, 0, NULL}, {5, 33, 70, 35, 10, 5, 1, 0, taps},
        {5, 9, 6, 4, 20, 1, 1, 0, NULL},     {5, 40, 64, 33, 5, 1, 1, 0, NULL},
        {5, 41, 33, 17, 7, 1, 2, 3, taps},   {5, 41, 8, 12, 7, 2, 3, 0, NULL}};
    char name[32];
    for (int isa = 0; isa < RUN_MACHINES; isa++) {
        const struct backend *k = run_machine_use(&run_machines[isa]);
        if (!k)
            continue;
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            struct conv all = shapes[i], one = all;
            one.B = 1;
            int64_t in = all.T * all.C, out = conv_tokens(&all) * all.O;
            int64_t weights = all.O * all.C / all.groups * all.width;
            float *x = numbers(all.B * in, 1), *dy = numbers(all.B * out, 2);
            float *w = numbers(weights, 3), *b = numbers(all.C + all.O, 4);
            float *y = numbers(all.B * out, 5), *dx = numbers(all.B * in, 6);
            float *norm = numbers(all.B * in, 7), *dnorm = numbers(all.B * in, 8);
            float *y1 = numbers(out, 9), *dx1 = numbers(in, 10), *norm1 = numbers(in, 11);
            float *dnorm1 = numbers(in, 12), *dw = numbers(weights, 13);
            float *mean = numbers(all.B * all.groups, 14), *rstd = numbers(all.B * all.groups, 15);
            float *packed = aligned_alloc(64, k->conv_pack_bytes(&all));
            assert_non_null(packed);
            kernel_set_threads(2);
            k->conv_fwd(y, x, w, b, &all, ACTIVATION_GELU);
            k->conv_bwd_x(dx, dy, w, &all, 0);
            k->conv_bwd_w(dw, NULL, dy, x, &all, 1);
            k->groupnorm_fwd(norm, mean, rstd, x, b, b, all.B, all.T, all.C, all.groups, 1e-5);
            k->groupnorm_bwd(dnorm, NULL, NULL, norm, x, b, mean, rstd, all.B, all.T, all.C,
                             all.groups, 0);
            k->conv_pack(packed, &(struct weight){w, STORAGE_F32, NULL}, &all);
            for (int threads = 1; threads <= THREADS_MAX; threads++) {
                int64_t r = threads - 1;
                kernel_set_threads(threads);
                k->conv_packed(y1, x + r * in, packed, b, &one, ACTIVATION_GELU);
                k->conv_bwd_x(dx1, dy + r * out, w, &one, 0);
                k->groupnorm_fwd(norm1, mean, rstd, x + r * in, b, b, 1, all.T, all.C, all.groups,
                                 1e-5);
                k->groupnorm_bwd(dnorm1, NULL, NULL, norm1, x + r * in, b, mean, rstd, 1, all.T,
                                 all.C, all.groups, 0);
                bool right = same(y1, y + r * out, out) && same(dx1, dx + r * in, in) &&
                             same(norm1, norm + r * in, in) && same(dnorm1, dnorm + r * in, in);
                float *again = numbers(weights, 13);
                k->conv_bwd_w(again, NULL, dy, x, &all, 1);
                float norms[4][128] = {{0}}, dg[2][128] = {{0}};
                float *dv = numbers(weights, 16), *dv1 = numbers(weights, 16);
                int64_t C = all.C / all.groups;
                for (int pass = 0; pass < 2; pass++) { /* on one thread, and on so many */
                    kernel_set_threads(pass ? threads : 1);
                    k->weight_norm_fwd(norms[2 * pass], norms[2 * pass + 1],
                                       &(struct weight){w, STORAGE_F32, NULL}, w, all.O, C,
                                       all.width);
                    k->weight_norm_bwd(pass ? dv1 : dv, dg[pass], dw, w, norms[2 * pass],
                                       norms[2 * pass + 1], all.O, C, all.width, 1);
                }
                right = right && same(norms[0], norms[2], 256) && same(dg[0], dg[1], 128) &&
                        same(dv, dv1, weights);
                free(dv), free(dv1);
                if (!right || !same(again, dw, weights))
                    fail_msg("%s, shape %d: record %d alone on %d threads differs",
                             run_machine_name(&run_machines[isa], name), (int)i, (int)r, threads);
                free(again);
            }
            free(x), free(dy), free(w), free(b), free(y), free(dx), free(norm), free(dnorm);
            free(y1), free(dx1), free(norm1), free(dnorm1), free(dw), free(mean);
            free(rstd), free(packed);
        }
    }
    kernel_force_isa(NULL);
}

enum { ELEMENTWISE = 8 };

/* Kernel `what` on n elements; two arrays may be written. */
static void elementwise(const struct backend *k, int what, float *y, float *second, const float *a,
                        const float *b, int64_t n)
{
    struct adamw_params p = {.lr = 0.01,
                             .beta1 = 0.9,
                             .beta2 = 0.99,
                             .epsilon = 1e-8,
                             .weight_decay = 0.1,
                             .gradient_scale = 0.7,
                             .step = 3};
    switch (what) {
    case 0:
        k->activation_fwd(y, a, n, ACTIVATION_GELU);
        break;
    case 1:
        k->activation_bwd(y, b, a, n, ACTIVATION_GELU, 1);
        break;
    case 2:
        k->activation_fwd(y, a, n, ACTIVATION_RELU);
        break;
    case 3:
        k->activation_bwd(y, b, a, n, ACTIVATION_RELU, 0);
        break;
    case 4:
        k->add(y, a, b, n);
        break;
    case 5:
        k->scale(y, a, 0.3, n, 1);
        break;
    case 6:
        k->ema(y, a, n, 0.99);
        break;
    case 7: {
        float *v = malloc(sizeof *v * (size_t)n);
        if (!v)
            abort();
        for (int64_t i = 0; i < n; i++)
            v[i] = b[i] * b[i];
        k->adamw(y, a, second, v, n, &p);
        free(v);
        break;
    }
    }
}

static void elements(void **state)
{
    (void)state;
    char name[32];
    enum { n = 70000 };
    float *a = numbers(n, 1), *b = numbers(n, 2), *y0 = numbers(n, 3), *m0 = numbers(n, 4);
    float *y = numbers(n, 5), *m = numbers(n, 6), *part = numbers(n, 7), *part_m = numbers(n, 8);
    for (int isa = 0; isa < RUN_ISAS; isa++) {
        const struct backend *k = run_machine_use(&run_machines[isa]);
        if (!k)
            continue;
        for (int what = 0; what < ELEMENTWISE; what++) {
            memcpy(y, y0, sizeof *y * n);
            memcpy(m, m0, sizeof *m * n);
            kernel_set_threads(2);
            elementwise(k, what, y, m, a, b, n);
            for (int64_t count = 1; count < n; count = count < 40 ? count + 1 : count * 9)
                for (int64_t first = 0; first < 17 && first + count <= n; first++) {
                    memcpy(part, y0 + first, sizeof *y * (size_t)count);
                    memcpy(part_m, m0 + first, sizeof *m * (size_t)count);
                    kernel_set_threads(1 + (int)first % THREADS_MAX);
                    elementwise(k, what, part, part_m, a + first, b + first, count);
                    if (!same(part, y + first, count) ||
                        (what == 7 && !same(part_m, m + first, count)))
                        fail_msg("%s, kernel %d: elements %d to %d differ",
                                 run_machine_name(&run_machines[isa], name), what, (int)first,
                                 (int)(first + count));
                }
        }
    }
    kernel_force_isa(NULL);
    free(a), free(b), free(y0), free(m0), free(y), free(m), free(part), free(part_m);
}

/* Sums over all of an array: loss, norm of gradients, finite or not. */
static void whole_sums(void **state)
{
    (void)state;
    enum { n = 1234567, B = 64, N = 40, P = 300 };
    float *x = numbers(n, 1), *pred = numbers(B * N * P, 2), *target = numbers(B * N * P, 3);
    int32_t *index = malloc(sizeof *index * B * N);
    assert_non_null(index);
    for (int i = 0; i < B * N; i++)
        index[i] = N - 1 - i % N;
    for (int isa = 0; isa < RUN_ISAS; isa++) {
        const struct backend *k = run_machine_use(&run_machines[isa]);
        if (!k)
            continue;
        double squares = 0;
        float loss = 0;
        for (int threads = 1; threads <= 8; threads++) {
            float other;
            kernel_set_threads(threads);
            k->mse_patch_fwd(&other, pred, target, index, B, N, N, P, 1);
            double sum = k->sum_squares(x, n);
            if (threads == 1)
                squares = sum, loss = other;
            assert_true(sum == squares && other == loss);
            assert_true(k->all_finite(x, n));
        }
    }
    kernel_force_isa(NULL);
    free(x), free(pred), free(target), free(index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear_rows),   cmocka_unit_test(linear_weight_gradients),
        cmocka_unit_test(rows_of_norms), cmocka_unit_test(records),
        cmocka_unit_test(sequences),     cmocka_unit_test(elements),
        cmocka_unit_test(whole_sums),
    };
    int before = kernel_threads();
    int failed = cmocka_run_group_tests_name("kernel bits", tests, NULL, NULL);
    kernel_set_threads(before);
    return failed;
}
