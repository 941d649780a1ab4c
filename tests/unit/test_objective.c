/* Pre-training losses by hand: quantizer, InfoNCE, contrast of pairs; spans of hidden tokens; what is
 * drawn for a batch. Walked over with all backbones by test_grad_model. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <cjson/cJSON.h>

#include "base/rng.h"
#include "objective/objective.h"
#include "train/pretrain.h"

static void plan(struct tape *t, struct tensor *loss)
{
    struct err e = {0};
    if (loss)
        tape_keep(t, loss);
    assert_int_equal(tape_plan(t, loss, &e), ERR_OK);
}

static double value(const struct tensor *x) { return *(double *)x->data; }

static void near_at(double got, double want, double tolerance, int line)
{
    if (!(fabs(got - want) <= tolerance))
        fail_msg("line %d: %.12g is not %.12g", line, got, want);
}
#define assert_near(got, want, tolerance) near_at(got, want, tolerance, __LINE__)

/* --- quantizer ---------------------------------------------------------------------------------- */

/* Three rows, the second of which is none; two groups of two codes. */
static void test_quantizer_picks(void **state)
{
    (void)state;
    struct tape *t = tape_new(&backend_ref64, false);
    double logits[] = {1, 2, /**/ 5, 4, 9, 9, /**/ 9, 9, -1, -2, /**/ 0, 0.5};
    double codes[] = {1, 2, 3, 4, /**/ 5, 6, 7, 8}, temperature = 2;
    int32_t index[] = {0, -1, 2};
    const double want[] = {3, 4, 5, 6, 0, 0, 0, 0, 1, 2, 7, 8};
    struct tensor *x = tape_input(t, "x", TENSOR_REAL, false, 3, (int64_t[]){1, 3, 4});
    struct tensor *c = tape_input(t, "c", TENSOR_REAL, false, 2, (int64_t[]){4, 2});
    struct tensor *tau = tape_input(t, "t", TENSOR_REAL, false, 1, (int64_t[]){1});
    struct tensor *i = tape_input(t, "i", TENSOR_INDEX, false, 2, (int64_t[]){1, 3});
    struct tensor *y = t_quantize(t, x, c, NULL, tau, i, 2);
    struct tensor *hard = t_perplexity(t, x, i, 2, true);
    tape_keep(t, y);
    tape_keep(t, hard);
    plan(t, NULL);
    tape_bind(x, logits);
    tape_bind(c, codes);
    tape_bind(tau, &temperature);
    tape_bind(i, index);
    tape_forward(t);
    for (int k = 0; k < 12; k++)
        assert_near(((double *)y->data)[k], want[k], 0);
    assert_near(value(hard), 4, 1e-5); /* both codes of both groups once */
    index[2] = -1;
    tape_forward(t);
    assert_near(value(hard), 2, 1e-5);
    tape_free(t);
}

/* With noise another code may be picked; the gradient of the logits is that of the soft mean. */
static void test_quantizer_straight_through(void **state)
{
    (void)state;
    struct tape *t = tape_new(&backend_ref64, true);
    double logits[] = {1, 0}, noise[] = {0, 1.5}, codes[] = {3, -2}, temperature = 0.5;
    int32_t index[] = {0};
    struct tensor *x = tape_input(t, "x", TENSOR_REAL, true, 3, (int64_t[]){1, 1, 2});
    struct tensor *c = tape_input(t, "c", TENSOR_REAL, true, 2, (int64_t[]){2, 1});
    struct tensor *n = tape_input(t, "n", TENSOR_REAL, false, 3, (int64_t[]){1, 1, 2});
    struct tensor *tau = tape_input(t, "t", TENSOR_REAL, false, 1, (int64_t[]){1});
    struct tensor *i = tape_input(t, "i", TENSOR_INDEX, false, 2, (int64_t[]){1, 1});
    struct tensor *y = t_quantize(t, x, c, n, tau, i, 1);
    tape_keep(t, y);
    plan(t, y);
    tape_bind(x, logits);
    tape_bind(c, codes);
    tape_bind(n, noise);
    tape_bind(tau, &temperature);
    tape_bind(i, index);
    tape_forward(t);
    assert_near(value(y), -2, 0);
    tape_backward(t, 1);
    double s = 1 / (1 + exp(1.0)); /* of code 0: softmax of (1, 1.5) / 0.5 */
    assert_near(((double *)x->grad)[0], s * (1 - s) * 5 / 0.5, 1e-12);
    assert_near(((double *)x->grad)[1], -s * (1 - s) * 5 / 0.5, 1e-12);
    assert_near(((double *)c->grad)[0], 0, 0);
    assert_near(((double *)c->grad)[1], 1, 0);
    tape_free(t);
}

static void test_even_codes_are_diverse(void **state)
{
    (void)state;
    enum { ROWS = 3, ALL = 640 };
    struct tape *t = tape_new(&backend_ref64, true);
    double *logits = calloc(ROWS * ALL, sizeof *logits);
    int32_t index[] = {0, 1, -1};
    for (int i = 0; i < ROWS * ALL; i++)
        logits[i] = 0.25 + (i >= 2 * ALL) * i; /* the last row is none */
    struct tensor *x = tape_input(t, "x", TENSOR_REAL, true, 3, (int64_t[]){1, ROWS, ALL});
    struct tensor *i = tape_input(t, "i", TENSOR_INDEX, false, 2, (int64_t[]){1, ROWS});
    struct tensor *p = t_perplexity(t, x, i, 2, false), *loss = t_diversity(t, p, ALL);
    tape_keep(t, p);
    plan(t, loss);
    tape_bind(x, logits);
    tape_bind(i, index);
    tape_forward(t);
    assert_near(value(p), 640, 0.03); /* 1e-7 is added to probabilities of 1/320 */
    assert_near(value(loss), 0, 5e-5);
    tape_free(t);
    free(logits);
}

/* --- InfoNCE ------------------------------------------------------------------------------------ */

static void test_equal_negatives_do_not_count(void **state)
{
    (void)state;
    struct tape *t = tape_new(&backend_ref64, true);
    enum { M = 3, D = 2, K = 2 };
    double x[M * D] = {1, 0, 0, 1, 0, 0}, target[M * D] = {0.6, 0.8, 0.6, 0.8, 0.6, 0.8};
    int32_t negatives[M * K] = {1, 1, 0, 0, -1, -1}, index[] = {0, 1, -1};
    struct tensor *tx = tape_input(t, "x", TENSOR_REAL, true, 3, (int64_t[]){1, M, D});
    struct tensor *tt = tape_input(t, "t", TENSOR_REAL, true, 3, (int64_t[]){1, M, D});
    struct tensor *tn = tape_input(t, "n", TENSOR_INDEX, false, 3, (int64_t[]){1, M, K});
    struct tensor *ti = tape_input(t, "i", TENSOR_INDEX, false, 2, (int64_t[]){1, M});
    struct tensor *logits = t_similarity(t, tx, tt, tt, tn, 0.1);
    struct tensor *loss = t_first_class(t, logits, ti), *right = t_accuracy(t, logits, ti);
    tape_keep(t, logits);
    tape_keep(t, right);
    plan(t, loss);
    tape_bind(tx, x);
    tape_bind(tt, target);
    tape_bind(tn, negatives);
    tape_bind(ti, index);
    tape_forward(t);
    assert_near(value(loss), 0, 0);
    assert_near(value(right), 1, 0);
    tape_backward(t, 1);
    for (int i = 0; i < M * D; i++)
        assert_true(((double *)tx->grad)[i] == 0 && ((double *)tt->grad)[i] == 0);
    /* A last digit apart they do: two rows, each against two others that are as near. */
    target[0] = nextafter(0.6, 1);
    tape_forward(t);
    assert_near(value(loss), log(3.0), 1e-12);
    /* x = (1,0), (0,1): cosines 0.6 with its own and with the others. */
    target[2] = 0.8, target[3] = 0.6;
    tape_forward(t);
    assert_near(value(loss),
                0.5 * log(1 + 2 * exp((0.8 - 0.6) / 0.1)) + 0.5 * log(1 + 2 * exp(2.0)), 1e-9);
    assert_near(value(right), 0, 0);
    tape_free(t);
}

/* Rows where class 0 is both the largest and the smallest do not count as right. */
static void test_accuracy(void **state)
{
    (void)state;
    struct tape *t = tape_new(&backend_ref64, false);
    double x[] = {3, 1, 2, /**/ 1, 1, 1, /**/ 2, 2, 1, /**/ 0, 1, 0, /**/ 9, 0, 0};
    int32_t index[] = {4, 5, 6, 7, -1};
    struct tensor *tx = tape_input(t, "x", TENSOR_REAL, false, 3, (int64_t[]){1, 5, 3});
    struct tensor *ti = tape_input(t, "i", TENSOR_INDEX, false, 2, (int64_t[]){1, 5});
    struct tensor *y = t_accuracy(t, tx, ti);
    tape_keep(t, y);
    plan(t, NULL);
    tape_bind(tx, x);
    tape_bind(ti, index);
    tape_forward(t);
    assert_near(value(y), 0.5, 0);
    tape_free(t);
}

/* --- pairs -------------------------------------------------------------------------------------- */

static double cmsc(const double *z, int32_t *record, int64_t P, int64_t D)
{
    struct tape *t = tape_new(&backend_ref64, false);
    struct tensor *tz = tape_input(t, "z", TENSOR_REAL, false, 2, (int64_t[]){2 * P, D});
    struct tensor *tr = tape_input(t, "r", TENSOR_INDEX, false, 1, &P);
    struct tensor *loss = t_cmsc(t, t_l2norm_detached(t, tz), tr, 0.1);
    tape_keep(t, loss);
    plan(t, NULL);
    tape_bind(tz, z);
    tape_bind(tr, record);
    tape_forward(t);
    double out = value(loss);
    tape_free(t);
    return out;
}

static void test_pairs(void **state)
{
    (void)state;
    enum { P = 64 };
    double *z = calloc(2 * P * P, sizeof *z);
    int32_t record[P];
    for (int i = 0; i < P; i++) {
        record[i] = i;
        z[i * P + i] = 3;
        z[(P + i) * P + i] = 0.5;
    }
    assert_near(cmsc(z, record, P, P), log(1 + 63 * exp(-10)), 1e-12);
    assert_near(cmsc(z, record, P, P), 0.002856, 1e-6);
    free(z);
    /* Two pairs of one record: each of the four of Z is a positive. */
    double pair[] = {1, 0, 0, 1, 1, 0, 0, 1};
    int32_t one[] = {7, 7};
    assert_near(cmsc(pair, one, 2, 2), 0.5 * log(1 + exp(-10)) + 0.5 * (10 + log(1 + exp(-10))),
                1e-12);
}

/* The length is a constant: dx = dy / |x|, and 1e-8 for one that has none. */
static void test_detached_norm(void **state)
{
    (void)state;
    struct tape *t = tape_new(&backend_ref64, true);
    double x[] = {3, 4, 0, 0};
    struct tensor *tx = tape_input(t, "x", TENSOR_REAL, true, 2, (int64_t[]){2, 2});
    struct tensor *y = t_l2norm_detached(t, tx), *loss = t_mean_square(t, y);
    tape_keep(t, y);
    plan(t, loss);
    tape_bind(tx, x);
    tape_forward(t);
    assert_near(((double *)y->data)[0], 0.6, 1e-15);
    assert_near(value(loss), 0.25, 1e-15);
    tape_backward(t, 1);
    assert_near(((double *)tx->grad)[0], 2 * 0.6 / 4 / 5, 1e-15);
    assert_near(((double *)tx->grad)[1], 2 * 0.8 / 4 / 5, 1e-15);
    assert_near(((double *)tx->grad)[2], 0, 0);
    tape_free(t);
}

/* --- spans -------------------------------------------------------------------------------------- */

enum { ROWS = 128, TOKENS = 156 };

static const struct span_options published = {.probability = 0.65, .length = 10, .least = 2};

/* Checks a batch: ascending, within the row, the same number in each; returns that. */
static int64_t check_rows(const int32_t *hidden, int64_t R, int64_t M, int64_t N, int64_t m)
{
    for (int64_t r = 0; r < R; r++)
        for (int64_t i = 0; i < M; i++) {
            int32_t x = hidden[r * M + i];
            if (i >= m)
                assert_int_equal(x, -1);
            else
                assert_true(x > (i ? hidden[r * M + i - 1] : -1) && x < N);
        }
    return m;
}

static void test_spans(void **state)
{
    (void)state;
    int64_t M = span_most(&published, TOKENS), scratch[3 * TOKENS + 2];
    assert_int_equal(M, 110);
    int32_t *hidden = calloc((size_t)(ROWS * M), sizeof *hidden);
    int32_t *again = calloc((size_t)(ROWS * M), sizeof *again);
    uint64_t keys[ROWS];
    int seen[TOKENS] = {0};
    double alone = 0;
    int64_t total = 0;
    for (int b = 0; b < 20; b++) {
        for (uint64_t r = 0; r < ROWS; r++)
            keys[r] = (uint64_t)b * ROWS + r;
        int64_t m =
            span_draw(&published, 1, 2, (uint64_t)b, keys, NULL, ROWS, TOKENS, hidden, scratch);
        total += check_rows(hidden, ROWS, M, TOKENS, m);
        for (int64_t i = 0; i < ROWS * M; i++)
            if (hidden[i] >= 0)
                seen[hidden[i]]++;
        /* A row by itself keeps all that its spans cover. */
        for (int64_t r = 0; r < ROWS; r++)
            alone += (double)span_draw(&published, 1, 2, (uint64_t)b, keys + r, NULL, 1, TOKENS,
                                       again, scratch);
        assert_int_equal(span_draw(&published, 1, 2, (uint64_t)b, keys, NULL, ROWS, TOKENS, again,
                                   scratch),
                         m);
        assert_memory_equal(hidden, again, (size_t)(ROWS * M) * sizeof *hidden);
    }
    assert_near(alone / 20 / ROWS / TOKENS, 0.49, 0.01); /* acceptance test 9 */
    assert_true(total / 20 > 45 && total / 20 < 70);     /* that of the row with fewest */
    for (int i = 10; i < TOKENS - 10; i++) /* inner tokens alike: about 20 * 128 * 0.4 */
        assert_true(seen[i] > 700 && seen[i] < 1300);
    free(hidden);
    free(again);
}

/* 10.14 spans: one number for all rows, 10 in 86 batches of 100 and 11 in 14. */
static void test_span_counts(void **state)
{
    (void)state;
    const struct span_options single = {.probability = 0.065, .length = 1, .least = 2};
    int64_t M = span_most(&single, TOKENS), scratch[3 * TOKENS + 2], more = 0;
    int32_t hidden[4 * 16];
    assert_int_equal(M, 11);
    const uint64_t keys[4] = {5, 6, 7, 8};
    for (uint64_t b = 0; b < 2000; b++) {
        int64_t m = span_draw(&single, 9, 0, b, keys, NULL, 4, TOKENS, hidden, scratch);
        assert_true(m == 10 || m == 11);
        more += m == 11;
    }
    assert_near((double)more / 2000, 0.14, 0.03);
}

static void test_span_modes(void **state)
{
    (void)state;
    static const struct span_options modes[] = {
        {.mode = SPAN_UNIFORM, .probability = 0.65, .length = 10, .other = 2, .least = 2},
        {.mode = SPAN_NORMAL, .probability = 0.65, .length = 10, .other = 4, .least = 2},
        {.mode = SPAN_POISSON, .probability = 0.65, .length = 10, .least = 2},
        {.mode = SPAN_UNIFORM, .probability = 0.05, .length = 1, .other = 0, .least = 2},
        {.mode = SPAN_STATIC, .probability = 1, .length = 10, .least = 2}};
    int64_t scratch[3 * TOKENS + 2];
    int32_t *hidden = calloc(8 * TOKENS, sizeof *hidden);
    uint64_t keys[8];
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        for (int64_t N = 2; N <= TOKENS; N += N < 30 ? 1 : 21)
            for (uint64_t b = 0; b < 20; b++) {
                for (uint64_t r = 0; r < 8; r++)
                    keys[r] = 8 * b + r;
                int64_t M = span_most(&modes[i], N);
                assert_true(M <= N);
                int64_t m = span_draw(&modes[i], 3, b, b, keys, NULL, 8, N, hidden, scratch);
                check_rows(hidden, 8, M, N, m);
                assert_true(m <= M);
            }
    /* Padding is never hidden. */
    const int64_t lengths[8] = {156, 100, 50, 25, 156, 12, 156, 3};
    for (uint64_t b = 0; b < 50; b++) {
        int64_t M = span_most(&published, TOKENS);
        int64_t m = span_draw(&published, 3, b, b, keys, lengths, 8, TOKENS, hidden, scratch);
        for (int64_t r = 0; r < 8; r++)
            check_rows(hidden + r * M, 1, M, lengths[r], m);
        assert_true(m >= 1 && m <= 3);
    }
    free(hidden);
}

/* --- sums and inputs ---------------------------------------------------------------------------- */

/* All options of pre-training: objectives have defaults for others, too. */
static void options_open(struct option_set *set)
{
    static struct pretrain all;
    memset(&all, 0, sizeof all);
    option_set_init(set);
    pretrain_options_add(&all, set);
}

static void test_sums_refused(void **state)
{
    (void)state;
    struct option_set set;
    options_open(&set);
    struct objective_sum sum;
    struct err e = {0};
    assert_int_equal(objective_sum_parse(&sum, &set, "mae+w2v", &e), ERR_OK);
    assert_int_equal(objective_sum_resolve(&sum, &e), ERR_USAGE);
    assert_int_equal(objective_sum_parse(&sum, &set, "w2v+w2v", &e), ERR_USAGE);
    assert_int_equal(objective_sum_parse(&sum, &set, "w2w", &e), ERR_USAGE);
    assert_non_null(strstr(e.message, "did you mean w2v"));
    assert_int_equal(objective_sum_parse(&sum, &set, "w2v", &e), ERR_OK);
    assert_int_equal(option_set_text(&set, "w2v.dim", "255", OPTION_FROM_SET, &e), ERR_OK);
    assert_int_equal(objective_sum_resolve(&sum, &e), ERR_USAGE);
    assert_non_null(strstr(e.message, "w2v.dim"));
    assert_int_equal(option_set_text(&set, "w2v.dim", "256", OPTION_FROM_SET, &e), ERR_OK);
    assert_int_equal(objective_sum_resolve(&sum, &e), ERR_OK);
    assert_true(sum.views == 1 && !sum.pairs && sum.spans_of == sum.rows[0]);
    assert_int_equal(objective_sum_parse(&sum, &set, "w2v+cmsc", &e), ERR_OK);
    assert_int_equal(objective_sum_resolve(&sum, &e), ERR_OK);
    assert_true(sum.views == 2 && sum.pairs && sum.count == 2);
    option_set_free(&set);
}

/* Negatives are other hidden tokens of the same record, the noise is of its distribution, and both are
 * the same whatever else is in the batch; temperature follows the optimizer. */
static void test_inputs(void **state)
{
    (void)state;
    struct option_set set;
    options_open(&set);
    struct objective_sum sum;
    struct err e = {0};
    assert_int_equal(objective_sum_parse(&sum, &set, "w2v", &e), ERR_OK);
    const struct objective *w2v = sum.rows[0];
    enum { R = 4, M = 6, m = 5, K = 100, ALL = 640 };
    struct tape *t = tape_new(&backend_ref, true);
    struct tensor *hidden = tape_input(t, "hidden", TENSOR_INDEX, false, 2, (int64_t[]){R, M});
    struct tensor *negatives =
        tape_input(t, "w2v.negatives", TENSOR_INDEX, false, 3, (int64_t[]){R, M, K});
    struct tensor *noise =
        tape_input(t, "w2v.noise", TENSOR_REAL, false, 3, (int64_t[]){R, M, ALL});
    struct tensor *tau = tape_input(t, "w2v.temperature", TENSOR_REAL, false, 1, (int64_t[]){1});
    struct tensor *count =
        tape_input(t, "w2v.masked_tokens", TENSOR_REAL, false, 1, (int64_t[]){1});
    static int32_t index[R * M], others[2][R * M * K];
    static float gumbel[2][R * M * ALL], temperature, masked;
    for (int i = 0; i < R * M; i++)
        index[i] = i % M < m ? 3 * (i % M) : -1;
    tape_bind(hidden, index);
    tape_bind(tau, &temperature);
    tape_bind(count, &masked);
    static const int64_t samples[2][R] = {{8, 3, 5, 1}, {3, 5, 9, 9}};
    for (int b = 0; b < 2; b++) {
        tape_bind(negatives, others[b]);
        tape_bind(noise, gumbel[b]);
        w2v->draw(sum.configs[0], t, sizeof(float),
                  &(struct draw){.seed = 1,
                                 .epoch = 4,
                                 .index = b,
                                 .update = b ? 1000000 : 100,
                                 .count = R,
                                 .samples = samples[b]});
        assert_near((double)temperature, b ? 0.5 : 2 * pow(0.999995, 100), 1e-6);
        assert_near((double)masked, m, 0);
    }
    double sum_of = 0, squares = 0;
    int64_t n = 0;
    for (int i = 0; i < R * M * K; i++) {
        int row = i / K / M, self = i / K;
        if (self % M >= m)
            assert_int_equal(others[0][i], -1);
        else
            assert_true(others[0][i] / M == row && others[0][i] % M < m && others[0][i] != self);
    }
    for (int i = 0; i < R * M * ALL; i++)
        if (i / ALL % M < m) {
            sum_of += (double)gumbel[0][i];
            squares += pow((double)gumbel[0][i] - 0.5772, 2);
            n++;
        }
    assert_near(sum_of / (double)n, 0.5772, 0.05);
    assert_near(squares / (double)n, 1.6449, 0.1);
    /* Records 3 and 5 in both batches. */
    for (int i = 0; i < 2; i++) {
        assert_memory_equal(gumbel[0] + (1 + i) * M * ALL, gumbel[1] + i * M * ALL,
                            m * ALL * sizeof(float));
        for (int j = 0; j < m * K; j++)
            assert_int_equal(others[0][(1 + i) * M * K + j] - (1 + i) * M,
                             others[1][i * M * K + j] - i * M);
    }
    tape_free(t);
    option_set_free(&set);
}

/* What is of one record has one number. */
static void test_records(void **state)
{
    (void)state;
    struct option_set set;
    options_open(&set);
    struct objective_sum sum;
    struct err e = {0};
    assert_int_equal(objective_sum_parse(&sum, &set, "cmsc", &e), ERR_OK);
    struct tape *t = tape_new(&backend_ref, true);
    struct tensor *record = tape_input(t, "cmsc.record", TENSOR_INDEX, false, 1, (int64_t[]){4});
    int32_t got[4];
    tape_bind(record, got);
    const int64_t samples[4] = {0, 1, 2, 3}, records[4] = {1000000000000, 6, 1000000000000, 7};
    struct draw d = {.count = 4, .samples = samples, .records = records};
    sum.rows[0]->draw(sum.configs[0], t, sizeof(float), &d);
    assert_true(got[0] == got[2] && got[0] != got[1] && got[1] != got[3] && got[0] != got[3]);
    d.records = NULL;
    sum.rows[0]->draw(sum.configs[0], t, sizeof(float), &d);
    assert_true(got[0] != got[2]);
    tape_free(t);
    option_set_free(&set);
}

/* --- CPC ---------------------------------------------------------------------------------------- */

/* The objective alone, on given contexts and stem outputs. */
struct cpc_case {
    struct option_set set;
    struct objective_sum sum;
    struct param_table params;
    struct tape *tape;
    struct build build;
    struct tensor *context, *stem, *loss;
    struct objective_parts parts;
};

static void cpc_open(struct cpc_case *c, int64_t R, int64_t N, int64_t D, int64_t C,
                     const char *const options[][2])
{
    struct err e = {0};
    memset(c, 0, sizeof *c);
    option_set_init(&c->set);
    objective_options_add(&c->set);
    for (int i = 0; options[i][0]; i++)
        assert_int_equal(option_set_text(&c->set, options[i][0], options[i][1], OPTION_FROM_SET,
                                         &e),
                         ERR_OK);
    assert_int_equal(objective_sum_name(&c->sum, &c->set, "cpc", &e), ERR_OK);
    param_table_init(&c->params);
    c->tape = tape_new(&backend_ref64, true);
    c->build = (struct build){.tape = c->tape, .params = &c->params};
    c->context = tape_input(c->tape, "context", TENSOR_REAL, true, 3, (int64_t[]){R, N, D});
    c->stem = tape_input(c->tape, "stem", TENSOR_REAL, true, 3, (int64_t[]){R, N, C});
    struct scene scene = {.build = &c->build,
                          .views = 1,
                          .records = R,
                          .encoding = {.tokens = c->context, .extracted = c->stem},
                          .parts = &c->parts};
    c->loss = c->sum.rows[0]->build(&scene, c->sum.configs[0]);
    plan(c->tape, c->loss);
}

static void cpc_close(struct cpc_case *c)
{
    tape_free(c->tape);
    param_table_free(&c->params);
    option_set_free(&c->set);
}

enum { CPC_R = 2, CPC_N = 7, CPC_D = 3, CPC_C = 2, CPC_K = 5 };

/* The loss and the share of right ones, in plain loops. */
static double cpc_by_hand(const double *context, const double *stem, const double *w,
                          const int32_t *picks, int64_t horizon, double *right)
{
    double total = 0;
    int64_t count = CPC_R * (CPC_N - horizon);
    *right = 0;
    for (int64_t r = 0; r < CPC_R; r++)
        for (int64_t i = 0; i + horizon < CPC_N; i++) {
            double product[CPC_K + 1], sum = 0;
            bool best = true;
            for (int k = 0; k <= CPC_K; k++) {
                int64_t other = k ? picks[(r * CPC_N + i) * (CPC_K + 1) + k] : i + horizon;
                product[k] = 0;
                for (int64_t c = 0; c < CPC_C; c++)
                    for (int64_t d = 0; d < CPC_D; d++)
                        product[k] += w[c * CPC_D + d] * context[(r * CPC_N + i) * CPC_D + d] *
                                      stem[(r * CPC_N + other) * CPC_C + c];
                sum += exp(product[k]);
                best = best && product[k] <= product[0];
            }
            total += log(sum) - product[0];
            *right += best;
        }
    *right /= (double)count;
    return total / (double)count;
}

static void test_cpc_by_hand(void **state)
{
    (void)state;
    static const char *const options[][2] = {{"cpc.horizon", "3"},
                                             {"cpc.negatives", "5"},
                                             {NULL, NULL}};
    static const char *const summed[][2] = {{"cpc.horizon", "3"},
                                            {"cpc.negatives", "5"},
                                            {"cpc.reduction", "sum"},
                                            {NULL, NULL}};
    double loss[2], right = 0, want = 0;
    for (int sum = 0; sum < 2; sum++) {
        struct cpc_case c;
        cpc_open(&c, CPC_R, CPC_N, CPC_D, CPC_C, sum ? summed : options);
        assert_int_equal(c.params.count, 1); /* no bias */
        double context[CPC_R * CPC_N * CPC_D], stem[CPC_R * CPC_N * CPC_C], w[16], dw[16] = {0};
        struct rng g = rng_at(1, RNG_STREAM_TEST, 0, 0);
        for (size_t i = 0; i < sizeof context / sizeof *context; i++)
            context[i] = rng_normal(&g);
        for (size_t i = 0; i < sizeof stem / sizeof *stem; i++)
            stem[i] = rng_normal(&g);
        for (size_t i = 0; i < sizeof w / sizeof *w; i++)
            w[i] = rng_normal(&g);
        int32_t picks[CPC_R * CPC_N * (CPC_K + 1)], rows[CPC_R * CPC_N];
        tape_bind(c.context, context);
        tape_bind(c.stem, stem);
        tape_bind(tape_find_input(c.tape, "cpc.picks"), picks);
        tape_bind(tape_find_input(c.tape, "cpc.rows"), rows);
        tape_bind_parameters(c.tape, w, dw);
        const int64_t samples[CPC_R] = {5, 8};
        c.sum.rows[0]->draw(c.sum.configs[0], c.tape, sizeof(double),
                            &(struct draw){.seed = 2, .count = CPC_R, .samples = samples});
        tape_forward(c.tape);
        tape_backward(c.tape, 1);
        loss[sum] = value(c.loss);
        want = cpc_by_hand(context, stem, w, picks, 3, &right);
        assert_string_equal(c.parts.names[0], "accuracy");
        assert_near(value(c.parts.tensors[0]), right, 1e-12);
        /* The last three have nothing to predict, so nothing flows into their context. */
        for (int64_t r = 0; r < CPC_R; r++)
            for (int64_t i = 0; i < CPC_N * CPC_D; i++)
                assert_true((((double *)c.context->grad)[r * CPC_N * CPC_D + i] == 0) ==
                            (i / CPC_D >= CPC_N - 3));
        cpc_close(&c);
    }
    assert_near(loss[0], want, 1e-12);
    assert_near(loss[1], want * (CPC_N - 3), 1e-12);
}

/* Negatives are tokens of the record, or of a group of records, all of them but the positive, in even shares,
 * and a function of seed, epoch and sample alone. */
static void cpc_negatives(const char *records, int64_t group)
{
    enum { R = 6, N = 9, K = 64, H = 4 };
    const char *const options[][2] = {{"cpc.horizon", "4"},
                                      {"cpc.negatives", "64"},
                                      {"cpc.records", records},
                                      {NULL, NULL}};
    struct cpc_case c;
    cpc_open(&c, R, N, 2, 2, options);
    static int32_t picks[R * N * (K + 1)], again[R * N * (K + 1)];
    int32_t rows[R * N];
    struct tensor *input = tape_find_input(c.tape, "cpc.picks");
    tape_bind(tape_find_input(c.tape, "cpc.rows"), rows);
    int64_t counts[N][R * N] = {{0}}, drawn = 0, all = group * N;
    const struct objective *row = c.sum.rows[0];
    for (int64_t epoch = 0; epoch < 40; epoch++) {
        const int64_t samples[R] = {0, 7, 1000, 2, 5, 11};
        tape_bind(input, picks);
        row->draw(c.sum.configs[0], c.tape, 8,
                  &(struct draw){.seed = 1, .epoch = epoch, .count = R, .samples = samples});
        for (int64_t i = 0; i < R * N; i++) {
            bool there = i % N + H < N;
            int64_t first = i / N % group * N, positive = first + i % N + H;
            assert_int_equal(rows[i], there ? i % N : -1);
            assert_int_equal(picks[i * (K + 1)], there ? positive : -1);
            for (int64_t k = 1; k <= K; k++) {
                int32_t pick = picks[i * (K + 1) + k];
                assert_true(there ? pick >= 0 && pick < all && pick != positive : pick == -1);
                if (there) /* as seen from the record */
                    counts[i % N][(pick - first + all) % all]++;
            }
        }
        drawn += R * K;
        /* the same records elsewhere in another batch, in groups as before */
        int64_t other[R];
        for (int64_t r = 0; r < R; r++)
            other[r] = samples[(r + group) % R];
        tape_bind(input, again);
        row->draw(
            c.sum.configs[0], c.tape, 8,
            &(struct draw){.seed = 1, .epoch = epoch, .index = 3, .count = R, .samples = other});
        for (int64_t r = 0; r < R; r++)
            assert_memory_equal(again + r * N * (K + 1), picks + (r + group) % R * N * (K + 1),
                                N * (K + 1) * sizeof *again);
        row->draw(c.sum.configs[0], c.tape, 8,
                  &(struct draw){.seed = 1, .epoch = epoch + 1, .count = R, .samples = samples});
        assert_memory_not_equal(again, picks, sizeof again);
    }
    for (int64_t i = 0; i + H < N; i++)
        for (int64_t n = 0; n < all; n++) {
            double share = (double)counts[i][n] / (double)drawn;
            assert_near(share, n == i + H ? 0 : 1.0 / (double)(all - 1), n == i + H ? 0 : 0.02);
        }
    cpc_close(&c);
}

static void test_cpc_negatives(void **state)
{
    (void)state;
    cpc_negatives("1", 1);
    cpc_negatives("2", 2);
    cpc_negatives("5", 3); /* the greatest divisor of 6 up to it */
}

/* A backbone whose tokens see what comes is refused, and so is a horizon beyond the record. */
static void test_cpc_refuses(void **state)
{
    (void)state;
    static struct pretrain p;
    struct option_set set;
    struct objective_sum sum;
    struct err e = {0};
    option_set_init(&set);
    pretrain_options_add(&p, &set);
    cJSON *spec = cJSON_Parse("{\"network\":{\"backbone\":\"vit\"}}");
    struct contract contract;
    struct model m;
    contract_default(&contract);
    assert_int_equal(model_create(&m, spec, &contract, NULL, &e), ERR_OK);
    assert_int_equal(objective_sum_parse(&sum, &set, "mae+cpc", &e), ERR_OK);
    assert_int_equal(objective_sum_resolve(&sum, &e), ERR_OK);
    assert_int_equal(objective_sum_check(&sum, &m, &e), ERR_USAGE);
    assert_non_null(strstr(e.message, "network.backbone vit"));
    model_free(&m);
    cJSON_Delete(spec);
    option_set_free(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_quantizer_picks),
                                       cmocka_unit_test(test_quantizer_straight_through),
                                       cmocka_unit_test(test_even_codes_are_diverse),
                                       cmocka_unit_test(test_equal_negatives_do_not_count),
                                       cmocka_unit_test(test_accuracy),
                                       cmocka_unit_test(test_pairs),
                                       cmocka_unit_test(test_detached_norm),
                                       cmocka_unit_test(test_spans),
                                       cmocka_unit_test(test_span_counts),
                                       cmocka_unit_test(test_span_modes),
                                       cmocka_unit_test(test_sums_refused),
                                       cmocka_unit_test(test_inputs),
                                       cmocka_unit_test(test_records),
                                       cmocka_unit_test(test_cpc_by_hand),
                                       cmocka_unit_test(test_cpc_negatives),
                                       cmocka_unit_test(test_cpc_refuses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
