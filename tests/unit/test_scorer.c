/* What a scorer gives of single windows, for each backbone: tokens, features and logits are those of the
 * double reference, what is attended to is that of a softmax written here, alone and in any batch the
 * same bits; windows are visited in order; and what a model cannot give is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <cjson/cJSON.h>

#include "base/arena.h"
#include "base/rng.h"
#include "model/scorer.h"

static const char *const specs[] = {
    "{\"network\":{\"backbone\":\"vit\",\"pool\":\"mean_max\"},\"vit\":{\"width\":24,\"depth\":3,"
    "\"heads\":3,\"patch\":4}}",
    "{\"network\":{\"backbone\":\"vit\",\"pool\":\"mean\"},\"vit\":{\"width\":16,\"depth\":1,"
    "\"heads\":2,\"patch\":8,\"patch_leads\":\"one\"}}",
    "{\"network\":{\"backbone\":\"w2v\",\"pool\":\"mean\"},\"w2v\":{\"width\":32,"
    "\"depth\":2,\"heads\":4,\"conv_layers\":2,"
    "\"position_kernel\":4,\"position_groups\":2}}"};
enum { SPECS = sizeof specs / sizeof *specs, L = 3, T = 64, K = 2, RECORDS = 5, MOST = 50 };

static void model_make(struct model *m, const char *spec_text, int64_t classes_count)
{
    struct err e = {0};
    struct contract c;
    contract_default(&c);
    c.lead_count = L;
    c.sample_count = T;
    static const char *names[] = {"A", "B"};
    struct model_classes classes = {.count = classes_count, .names = names};
    cJSON *spec = cJSON_Parse(spec_text);
    enum err_code code = model_create(m, spec, &c, &classes, &e);
    cJSON_Delete(spec);
    if (code != ERR_OK)
        fail_msg("%s", e.message);
    assert_int_equal(model_allocate(m, 3, &e), ERR_OK);
    struct rng r = rng_at(4, RNG_STREAM_TEST, 0, 0);
    for (int64_t i = 0; i < m->params.total; i++) /* so that attention is not even */
        m->values[i] += (float)rng_between(&r, -0.4, 0.4);
}

/* Windows [n,L,samples]. */
static float *signals(int64_t n, int64_t samples)
{
    float *x = malloc(sizeof *x * (size_t)(n * L * samples));
    assert_non_null(x);
    struct rng r = rng_at(5, RNG_STREAM_TEST, 0, 0);
    for (int64_t i = 0; i < n * L * samples; i++)
        x[i] = (float)rng_between(&r, -2, 2);
    return x;
}

/* --- what the double reference says ------------------------------------------------------------- */

struct truth {
    int64_t N, D, layers;
    double *tokens, *attention; /* [N,D], [layers,N,N] */
};

/* The softmax of each head over the first `keys` tokens, averaged over the heads: w[N,N]. */
static void softmax_by_hand(double *w, const double *qkv, int64_t N, int64_t D, int64_t heads,
                            int64_t keys)
{
    int64_t E = D / heads;
    double *s = calloc((size_t)N, sizeof *s);
    assert_non_null(s);
    for (int64_t i = 0; i < N; i++)
        for (int64_t h = 0; h < heads; h++) {
            double sum = 0;
            for (int64_t j = 0; j < keys; j++) {
                double dot = 0;
                for (int64_t k = h * E; k < (h + 1) * E; k++)
                    dot += qkv[i * 3 * D + k] * qkv[j * 3 * D + D + k];
                sum += s[j] = exp(dot / sqrt((double)E));
            }
            for (int64_t j = 0; j < keys; j++)
                w[i * N + j] += s[j] / sum / (double)heads;
        }
    free(s);
}

/* One window on the reference in double; the queries and keys are what the linear layers gave. */
static struct truth truth_of(const struct model *m, const float *window, int64_t samples,
                             int64_t length)
{
    struct err e = {0};
    struct tape *t = tape_new(&backend_ref64, false);
    struct param_table params = m->params;
    params.closed = true;
    struct build b = {.tape = t, .params = &params};
    struct tensor *x = tape_input(t, "signal", TENSOR_REAL, false, 3, (int64_t[]){1, L, samples});
    struct tensor *lengths =
        length ? tape_input(t, "lengths", TENSOR_INDEX, false, 1, (int64_t[]){1}) : NULL;
    struct encoding enc = model_encode(&b, m, x, &(struct masking){.lengths = lengths});
    tape_keep(t, enc.tokens);
    const struct node *attends[8];
    struct truth out = {.N = enc.tokens->shape[1], .D = enc.tokens->shape[2]};
    for (int i = 0; i < tape_node_count(t); i++)
        if (tape_node(t, i)->op == &op_attention) {
            attends[out.layers++] = tape_node(t, i);
            tape_keep(t, tape_node(t, i)->input[0]);
        }
    assert_int_equal(tape_plan(t, NULL, &e), ERR_OK);
    double *values = calloc((size_t)m->params.total, sizeof *values);
    double *wide = calloc((size_t)(L * samples), sizeof *wide);
    assert_true(values && wide);
    for (int64_t i = 0; i < m->params.total; i++)
        values[i] = (double)m->values[i];
    for (int64_t i = 0; i < L * samples; i++)
        wide[i] = (double)window[i];
    tape_bind_parameters(t, values, NULL);
    tape_bind(x, wide);
    int32_t valid = (int32_t)length;
    if (lengths)
        tape_bind(lengths, &valid);
    tape_forward(t);
    int64_t keys = length ? m->backbone->token_count(m->config, L, length) : out.N;
    out.tokens = calloc((size_t)(out.N * out.D), sizeof *out.tokens);
    out.attention = calloc((size_t)(out.layers * out.N * out.N), sizeof *out.attention);
    assert_true(out.tokens && out.attention);
    memcpy(out.tokens, enc.tokens->data, sizeof *out.tokens * (size_t)(out.N * out.D));
    for (int64_t i = 0; i < out.layers; i++)
        softmax_by_hand(out.attention + i * out.N * out.N, attends[i]->input[0]->data, out.N, out.D,
                        attends[i]->attr.i[0], keys);
    tape_free(t);
    free(values), free(wide);
    return out;
}

static void truth_free(struct truth *t) { free(t->tokens), free(t->attention); }

/* --- what the scorer shows ---------------------------------------------------------------------- */

struct seen {
    const struct scored *records;
    int count;
    int64_t record[MOST], index[MOST], start[MOST];
    float *tokens[MOST], *saliency[MOST], *attention[MOST], *features[MOST];
    int64_t N, D, F, layers;
};

static float *copy(const float *from, int64_t n)
{
    float *to = malloc(sizeof *to * (size_t)n);
    assert_non_null(to);
    memcpy(to, from, sizeof *to * (size_t)n);
    return to;
}

static void look(void *context, const struct window *w)
{
    struct seen *s = context;
    assert_true(s->count < MOST);
    int i = s->count++;
    s->record[i] = w->record - s->records;
    s->index[i] = w->index;
    s->start[i] = w->start;
    s->tokens[i] = copy(w->tokens, s->N * s->D);
    s->features[i] = copy(w->features, s->F);
    s->saliency[i] = copy(w->saliency, s->N);
    s->attention[i] = malloc(sizeof(float) * (size_t)(s->layers * s->N * s->N));
    assert_non_null(s->attention[i]);
    for (int64_t layer = 0; layer < s->layers; layer++)
        memcpy(s->attention[i] + layer * s->N * s->N, w->attention[layer],
               sizeof(float) * (size_t)(s->N * s->N));
    if (w->index + 1 == w->count)
        assert_int_equal(w->record->code, ERR_OK);
}

static void seen_free(struct seen *s)
{
    for (int i = 0; i < s->count; i++)
        free(s->tokens[i]), free(s->saliency[i]), free(s->attention[i]), free(s->features[i]);
}

/* Scores records [n,L,samples[i]] with windows of `window` samples. */
static void show(const struct model *m, const float *x, const int64_t *samples, int64_t n,
                 int64_t window, const int64_t *lengths, struct seen *out)
{
    struct err e = {0};
    struct scorer *s = NULL;
    struct scorer_options o = {.sample_count = window,
                               .lengths = lengths != NULL,
                               .tokens = true,
                               .saliency = true,
                               .attention = true};
    if (scorer_open_for(&s, m, NULL, &o, &e) != ERR_OK)
        fail_msg("%s", e.message);
    struct scored records[MOST] = {{0}};
    for (int64_t i = 0; i < n; i++) {
        records[i] =
            (struct scored){.x = x, .samples = samples[i], .length = lengths ? lengths[i] : 0};
        x += L * samples[i];
    }
    *out = (struct seen){.records = records,
                         .N = scorer_token_count(s),
                         .D = m->backbone->width(m->config),
                         .F = scorer_feature_count(s),
                         .layers = scorer_attention_layers(s)};
    scorer_visit(s, look, out);
    scorer_records(s, records, n);
    for (int64_t i = 0; i < n; i++)
        assert_int_equal(records[i].code, ERR_OK);
    scorer_close(s);
}

static void check_window(const struct model *m, const struct seen *s, int i, const float *window,
                         int64_t samples, int64_t length)
{
    struct truth truth = truth_of(m, window, samples, length);
    int64_t N = truth.N;
    assert_int_equal(s->N, N);
    assert_int_equal(s->D, truth.D);
    assert_int_equal(s->layers, truth.layers);
    double error = 0;
    for (int64_t j = 0; j < N * truth.D; j++)
        error = fmax(error, fabs((double)s->tokens[i][j] - truth.tokens[j]));
    if (error > 1e-4)
        fail_msg("tokens are off by %g", error);
    for (int64_t j = 0; j < truth.layers * N * N; j++)
        error = fmax(error, 50 * fabs((double)s->attention[i][j] - truth.attention[j]));
    if (error > 1e-4)
        fail_msg("attention is off by %g", error / 50);
    double most = 0;
    for (int64_t j = 0; j < N; j++) {
        const double *row = truth.attention + ((truth.layers - 1) * N + j) * N;
        double highest = 0;
        for (int64_t k = 0; k < N; k++)
            highest = fmax(highest, row[k]);
        assert_true(fabs((double)s->saliency[i][j] - highest) < 1e-6);
        most = fmax(most, highest);
    }
    assert_true(most > 1.5 / (double)N); /* else the comparison says little */
    truth_free(&truth);
}

static void test_windows(void **state)
{
    (void)state;
    for (int i = 0; i < SPECS; i++) {
        struct model m;
        model_make(&m, specs[i], i == 1 ? 0 : K);
        const int64_t samples[RECORDS] = {T, 3 * T, T + 5, 7 * T, T};
        float *x = signals(13, T + 1);
        struct seen all;
        show(&m, x, samples, RECORDS, 0, NULL, &all);
        const float *record = x;
        int at = 0;
        for (int64_t r = 0; r < RECORDS; r++) {
            struct seen alone;
            show(&m, record, &samples[r], 1, 0, NULL, &alone);
            assert_int_equal(alone.count, window_count(&m.contract, samples[r]));
            for (int w = 0; w < alone.count; w++, at++) {
                float window[L * T];
                for (int64_t l = 0; l < L; l++)
                    memcpy(window + l * T, record + l * samples[r] + alone.start[w],
                           sizeof *window * T);
                assert_int_equal(all.record[at], r);
                assert_int_equal(all.index[at], w);
                assert_int_equal(all.start[at], window_start(&m.contract, samples[r], w));
                size_t token_bytes = sizeof(float) * (size_t)(all.N * all.D);
                size_t seen_bytes = sizeof(float) * (size_t)(all.layers * all.N * all.N);
                assert_memory_equal(all.tokens[at], alone.tokens[w], token_bytes);
                assert_memory_equal(all.attention[at], alone.attention[w], seen_bytes);
                assert_memory_equal(all.saliency[at], alone.saliency[w],
                                    sizeof(float) * (size_t)all.N);
                if (w < 2)
                    check_window(&m, &all, at, window, T, 0);
            }
            seen_free(&alone);
            record += L * samples[r];
        }
        assert_int_equal(at, all.count);
        seen_free(&all);
        free(x);
        model_free(&m);
    }
}

/* Windows of another length, where nothing in the network is tied to the contract's. */
static void test_other_length(void **state)
{
    (void)state;
    struct model m;
    struct err e = {0};
    const int64_t other = 150;
    model_make(&m, specs[2], K);
    assert_int_equal(model_takes(&m, other, &e), ERR_OK);
    float *x = signals(1, other);
    struct seen s;
    show(&m, x, &other, 1, other, NULL, &s);
    assert_int_equal(s.count, 1);
    check_window(&m, &s, 0, x, other, 0);
    seen_free(&s);
    free(x);
    model_free(&m);
}

/* Records of different lengths in one batch; all valid is as without lengths. */
static void test_lengths(void **state)
{
    (void)state;
    enum { WIDE = 100, COUNT = 3 };
    const int64_t samples[COUNT] = {WIDE, WIDE, WIDE}, lengths[COUNT] = {WIDE, 41, 4};
    struct model m;
    struct seen all, padded;
    model_make(&m, specs[2], K);
    float *x = signals(COUNT, WIDE);
    show(&m, x, samples, COUNT, WIDE, lengths, &padded);
    show(&m, x, samples, COUNT, WIDE, NULL, &all);
    int64_t N = padded.N, D = padded.D;
    assert_memory_equal(padded.tokens[0], all.tokens[0], sizeof(float) * (size_t)(N * D));
    assert_memory_equal(padded.attention[0], all.attention[0],
                        sizeof(float) * (size_t)(all.layers * N * N));
    for (int i = 0; i < COUNT; i++) {
        check_window(&m, &padded, i, x + i * L * WIDE, WIDE, lengths[i]);
        int64_t valid = m.backbone->token_count(m.config, L, lengths[i]);
        for (int64_t d = 0; d < D; d++) { /* padding has no part in the features */
            double mean = 0;
            for (int64_t j = 0; j < valid; j++)
                mean += (double)padded.tokens[i][j * D + d] / (double)valid;
            assert_true(fabs((double)padded.features[i][d] - mean) < 1e-5);
        }
    }
    seen_free(&all), seen_free(&padded);
    free(x);
    model_free(&m);
}

static void check_refused(const struct model *m, const struct scorer_options *o, const char *text)
{
    struct err e = {0};
    struct scorer *s = NULL;
    assert_int_equal(scorer_open_for(&s, m, NULL, o, &e), ERR_MODEL);
    if (!strstr(e.message, text))
        fail_msg("%s", e.message);
    scorer_close(s);
}

/* A backbone that attends to nothing. */
static struct encoding build_deaf(struct build *b, const void *config, struct tensor *signal,
                                  const struct masking *masking)
{
    (void)config, (void)masking;
    struct tensor *x = t_patchify(b->tape, signal, 4, true);
    return (struct encoding){.tokens = nn_linear(b, "embed", x, 8, ACTIVATION_NONE),
                             .token_count = x->shape[1]};
}
static enum err_code check_deaf(const void *config, int64_t leads, int64_t n, struct err *e)
{
    (void)config, (void)leads, (void)n, (void)e;
    return ERR_OK;
}
static int64_t tokens_deaf(const void *config, int64_t leads, int64_t n)
{
    (void)config, (void)leads;
    return n / 4;
}
static int64_t width_deaf(const void *config)
{
    (void)config;
    return 8;
}

static void test_refusals(void **state)
{
    (void)state;
    struct model m;
    model_make(&m, specs[0], K);
    check_refused(&m, &(struct scorer_options){.sample_count = 128}, "embed.time");
    check_refused(&m, &(struct scorer_options){.sample_count = 63}, "63 samples");
    check_refused(&m, &(struct scorer_options){.lengths = true}, "no mask for padding");
    static const struct backbone deaf = {.name = "deaf",
                                         .check = check_deaf,
                                         .token_count = tokens_deaf,
                                         .width = width_deaf,
                                         .build = build_deaf};
    struct model none = m;
    none.backbone = &deaf;
    param_table_init(&none.params);
    struct tape *t = tape_new(&backend_ref, false);
    struct build b = {.tape = t, .params = &none.params};
    struct tensor *x = tape_input(t, "signal", TENSOR_REAL, false, 3, (int64_t[]){1, L, T});
    model_logits(&b, &none, model_features(&b, &none, model_encode(&b, &none, x, NULL).tokens));
    tape_free(t);
    check_refused(&none, &(struct scorer_options){.saliency = true}, "deaf has no attention");
    check_refused(&none, &(struct scorer_options){.attention = true}, "deaf has no attention");
    param_table_free(&none.params);
    model_free(&m);
}

/* A record whose result is not finite says so at its last window, and only it. */
static int64_t refused_at;
static void look_refused(void *context, const struct window *w)
{
    (void)context;
    if (w->index + 1 == w->count && w->record->code == ERR_NUMERIC)
        refused_at = refused_at * 10 + w->count;
}

static void test_not_finite(void **state)
{
    (void)state;
    struct model m;
    struct err e = {0};
    struct scorer *s = NULL;
    model_make(&m, specs[0], K);
    float *x = signals(3, 3 * T);
    for (int64_t i = 0; i < L * 3 * T; i++)
        x[L * 3 * T + i] = NAN;
    struct scored records[3] = {{.x = x, .samples = 3 * T},
                                {.x = x + L * 3 * T, .samples = 3 * T},
                                {.x = x + 2 * L * 3 * T, .samples = 2 * T}};
    assert_int_equal(scorer_open(&s, &m, NULL, &e), ERR_OK);
    scorer_visit(s, look_refused, NULL);
    scorer_records(s, records, 3);
    assert_int_equal(records[0].code, ERR_OK);
    assert_int_equal(records[1].code, ERR_NUMERIC);
    assert_int_equal(records[2].code, ERR_OK);
    assert_int_equal(refused_at, window_count(&m.contract, 3 * T));
    scorer_close(s);
    free(x);
    model_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_windows),
                                       cmocka_unit_test(test_other_length),
                                       cmocka_unit_test(test_lengths),
                                       cmocka_unit_test(test_refusals),
                                       cmocka_unit_test(test_not_finite)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
