/* The w2v backbone against a second statement of the network, written from the description of
 * ECG-FM alone: convolutions by their definition, one sum at a time, channels first, in double. And
 * the configurations that must be refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <cjson/cJSON.h>

#include "base/arena.h"
#include "base/rng.h"
#include "model/preset.h"
#include "model/scorer.h"

enum conv_norm { NORM_NONE, NORM_GROUP, NORM_LAYER };

struct shape {
    const char *spec;
    int64_t L, T;
    int64_t conv_layers, conv_width, kernel, stride, groups;
    int64_t D, depth, heads, hidden, position_kernel, position_groups;
    bool post;
    enum conv_norm norm;
    bool conv_bias;
};

#define WAV2VEC2(options)                                                                          \
    "{\"network\":{\"backbone\":\"w2v\",\"pool\":\"mean\"},\"w2v\":{" options "}}"

static const struct shape shapes[] = {
    {WAV2VEC2(
         "\"width\":8,\"depth\":2,\"heads\":2,\"mlp_ratio\":4,\"conv_layers\":3,"
         "\"conv_width\":6,\"conv_norm_groups\":6,\"position_kernel\":4,\"position_groups\":2"),
     3, 37, 3, 6, 2, 2, 6, 8, 2, 2, 32, 4, 2, true, NORM_GROUP, false},
    {WAV2VEC2(
         "\"width\":48,\"depth\":2,\"heads\":3,\"mlp_ratio\":2,\"conv_layers\":4,"
         "\"conv_width\":20,\"conv_norm_groups\":5,\"position_kernel\":128,\"position_groups\":4"),
     12, 625, 4, 20, 2, 2, 5, 48, 2, 3, 96, 128, 4, true, NORM_GROUP, false},
    {WAV2VEC2("\"width\":12,\"depth\":1,\"heads\":1,\"mlp_ratio\":1,\"norm\":\"pre\","
              "\"conv_layers\":2,\"conv_width\":10,\"conv_kernel\":5,\"conv_stride\":3,"
              "\"conv_norm\":\"none\",\"position_kernel\":7,\"position_groups\":1"),
     2, 100, 2, 10, 5, 3, 0, 12, 1, 1, 12, 7, 1, false, NORM_NONE, false},
    {WAV2VEC2("\"width\":32,\"depth\":3,\"heads\":4,\"mlp_ratio\":2,\"conv_layers\":3,"
              "\"conv_width\":12,\"conv_norm\":\"layer\",\"conv_bias\":true,\"layer_drop\":0.5,"
              "\"dropout\":0.1,\"attention_dropout\":0.1,\"activation_dropout\":0.1,"
              "\"input_dropout\":0.1,\"feature_gradient\":0,"
              "\"position_kernel\":33,\"position_groups\":2"),
     5, 333, 3, 12, 2, 2, 0, 32, 3, 4, 64, 33, 2, true, NORM_LAYER, true},
};
enum { SHAPES = sizeof shapes / sizeof *shapes, B = 2 };

/* ---- the network in plain words -------------------------------------------------------------- */

/* What of one record the encoder does not see. */
struct unseen {
    int64_t length;        /* samples that are not padding */
    const int32_t *hidden; /* [count] tokens replaced by fill, -1: none */
    int count;
    const double *fill;
};

struct weights {
    const struct param_table *table;
    const double *values;
};

static const double *named(const struct weights *w, const char *format, int i)
{
    char name[96];
    snprintf(name, sizeof name, format, i);
    const struct param *p = param_find(w->table, name);
    if (!p)
        fail_msg("no parameter %s", name);
    return w->values + p->offset;
}

static double gelu(double x) { return 0.5 * x * (1 + erf(x / sqrt(2))); }

static double *zeros(int64_t n)
{
    double *x = n >= 0 ? calloc((size_t)n, sizeof *x) : NULL;
    assert_non_null(x);
    return x;
}

/* rows of x[n,D] in place */
static void layernorm(double *x, int64_t n, int64_t D, const double *g, const double *b)
{
    for (int64_t r = 0; r < n; r++) {
        double mean = 0, variance = 0;
        for (int64_t d = 0; d < D; d++)
            mean += x[r * D + d] / (double)D;
        for (int64_t d = 0; d < D; d++)
            variance += (x[r * D + d] - mean) * (x[r * D + d] - mean) / (double)D;
        for (int64_t d = 0; d < D; d++)
            x[r * D + d] = (x[r * D + d] - mean) / sqrt(variance + 1e-5) * g[d] + b[d];
    }
}

static double *linear(const double *x, int64_t n, int64_t in, int64_t out, const double *w,
                      const double *b)
{
    double *y = zeros(n * out);
    for (int64_t r = 0; r < n; r++)
        for (int64_t o = 0; o < out; o++) {
            y[r * out + o] = b[o];
            for (int64_t i = 0; i < in; i++)
                y[r * out + o] += w[o * in + i] * x[r * in + i];
        }
    return y;
}

/* The first `keys` tokens are attended to. */
static double *self_attention(const double *x, int64_t n, int64_t keys, int64_t D, int64_t heads,
                              const struct weights *w, int layer)
{
    double *qkv = linear(x, n, D, 3 * D, named(w, "encoder.block.%d.attention.qkv.weight", layer),
                         named(w, "encoder.block.%d.attention.qkv.bias", layer));
    double *mixed = zeros(n * D), *score = zeros(n);
    int64_t E = D / heads;
    for (int64_t h = 0; h < heads; h++)
        for (int64_t i = 0; i < n; i++) {
            double sum = 0;
            for (int64_t j = 0; j < keys; j++) {
                double s = 0;
                for (int64_t e = 0; e < E; e++)
                    s += qkv[i * 3 * D + h * E + e] * qkv[j * 3 * D + D + h * E + e];
                score[j] = exp(s / sqrt((double)E));
                sum += score[j];
            }
            for (int64_t j = 0; j < keys; j++)
                for (int64_t e = 0; e < E; e++)
                    mixed[i * D + h * E + e] += score[j] / sum * qkv[j * 3 * D + 2 * D + h * E + e];
        }
    double *y = linear(mixed, n, D, D, named(w, "encoder.block.%d.attention.out.weight", layer),
                       named(w, "encoder.block.%d.attention.out.bias", layer));
    free(qkv), free(mixed), free(score);
    return y;
}

static double *feed_forward(const double *x, int64_t n, int64_t D, int64_t hidden,
                            const struct weights *w, int layer)
{
    double *h = linear(x, n, D, hidden, named(w, "encoder.block.%d.mlp.up.weight", layer),
                       named(w, "encoder.block.%d.mlp.up.bias", layer));
    for (int64_t i = 0; i < n * hidden; i++)
        h[i] = gelu(h[i]);
    double *y = linear(h, n, hidden, D, named(w, "encoder.block.%d.mlp.down.weight", layer),
                       named(w, "encoder.block.%d.mlp.down.bias", layer));
    free(h);
    return y;
}

static void block(double *x, int64_t n, int64_t keys, const struct shape *s,
                  const struct weights *w, int layer)
{
    for (int half = 0; half < 2; half++) {
        const double *g =
            named(w, half ? "encoder.block.%d.norm2.weight" : "encoder.block.%d.norm1.weight",
                  layer);
        const double *b =
            named(w, half ? "encoder.block.%d.norm2.bias" : "encoder.block.%d.norm1.bias", layer);
        double *in = zeros(n * s->D);
        memcpy(in, x, sizeof *in * (size_t)(n * s->D));
        if (!s->post)
            layernorm(in, n, s->D, g, b);
        double *branch = half ? feed_forward(in, n, s->D, s->hidden, w, layer)
                              : self_attention(in, n, keys, s->D, s->heads, w, layer);
        for (int64_t i = 0; i < n * s->D; i++)
            x[i] += branch[i];
        if (s->post)
            layernorm(x, n, s->D, g, b);
        free(in), free(branch);
    }
}

/* Each channel's weights at one tap divided by their common length, times the tap's magnitude. */
static double *weight_norm(const double *v, const double *g, int64_t n, int64_t taps)
{
    double *w = zeros(n * taps);
    for (int64_t tap = 0; tap < taps; tap++) {
        double squares = 0;
        for (int64_t i = 0; i < n; i++)
            squares += v[i * taps + tap] * v[i * taps + tap];
        for (int64_t i = 0; i < n; i++)
            w[i * taps + tap] = g[tap] * v[i * taps + tap] / sqrt(squares);
    }
    return w;
}

/* signal[L,T] of one record -> tokens[n,D]; caller frees. */
static double *network(const struct shape *s, const struct weights *w, const double *signal,
                       const struct unseen *unseen, int64_t *token_count)
{
    int64_t C = s->L, T = s->T;
    double *x = zeros(C * T); /* channels first: x[c,t] */
    memcpy(x, signal, sizeof *x * (size_t)(C * T));
    for (int layer = 0; layer < s->conv_layers; layer++) {
        const double *weight = named(w, "encoder.conv.%d.weight", layer);
        const double *offset = s->conv_bias ? named(w, "encoder.conv.%d.bias", layer) : NULL;
        int64_t out = s->conv_width, n = (T - s->kernel) / s->stride + 1;
        double *y = zeros(out * n);
        for (int64_t o = 0; o < out; o++)
            for (int64_t t = 0; t < n; t++) {
                y[o * n + t] = offset ? offset[o] : 0;
                for (int64_t c = 0; c < C; c++)
                    for (int64_t i = 0; i < s->kernel; i++)
                        y[o * n + t] +=
                            weight[(o * s->kernel + i) * C + c] * x[c * T + t * s->stride + i];
            }
        if (s->norm == NORM_LAYER) {
            double *row = zeros(out);
            for (int64_t t = 0; t < n; t++) {
                for (int64_t o = 0; o < out; o++)
                    row[o] = y[o * n + t];
                layernorm(row, 1, out, named(w, "encoder.conv.%d.norm.weight", layer),
                          named(w, "encoder.conv.%d.norm.bias", layer));
                for (int64_t o = 0; o < out; o++)
                    y[o * n + t] = row[o];
            }
            free(row);
        }
        if (layer == 0 && s->norm == NORM_GROUP) {
            const double *g = named(w, "encoder.conv.0.norm.weight", 0);
            const double *b = named(w, "encoder.conv.0.norm.bias", 0);
            int64_t size = out / s->groups; /* a group's channels are beside each other */
            for (int64_t k = 0; k < s->groups; k++) {
                double *group = y + k * size * n, mean = 0, variance = 0;
                for (int64_t i = 0; i < size * n; i++)
                    mean += group[i] / (double)(size * n);
                for (int64_t i = 0; i < size * n; i++)
                    variance += (group[i] - mean) * (group[i] - mean) / (double)(size * n);
                for (int64_t i = 0; i < size * n; i++)
                    group[i] = (group[i] - mean) / sqrt(variance + 1e-5) * g[k * size + i / n] +
                               b[k * size + i / n];
            }
        }
        for (int64_t i = 0; i < out * n; i++)
            y[i] = gelu(y[i]);
        free(x);
        x = y, C = out, T = n;
    }
    double *rows = zeros(T * C);
    for (int64_t t = 0; t < T; t++)
        for (int64_t c = 0; c < C; c++)
            rows[t * C + c] = x[c * T + t];
    free(x);
    layernorm(rows, T, C, named(w, "encoder.conv.norm.weight", 0),
              named(w, "encoder.conv.norm.bias", 0));
    double *tokens = linear(rows, T, C, s->D, named(w, "encoder.embed.weight", 0),
                            named(w, "encoder.embed.bias", 0));
    free(rows);
    for (int m = 0; unseen && m < unseen->count; m++)
        if (unseen->hidden[m] >= 0)
            memcpy(tokens + unseen->hidden[m] * s->D, unseen->fill, sizeof *tokens * (size_t)s->D);
    /* Tap i of the positional convolution meets token t + i - width / 2. */
    int64_t size = s->D / s->position_groups;
    double *weight =
        weight_norm(named(w, "encoder.position.direction", 0),
                    named(w, "encoder.position.magnitude", 0), s->D * size, s->position_kernel);
    const double *bias = named(w, "encoder.position.bias", 0);
    double *position = zeros(T * s->D);
    for (int64_t t = 0; t < T; t++)
        for (int64_t o = 0; o < s->D; o++) {
            double sum = bias[o];
            for (int64_t c = 0; c < size; c++)
                for (int64_t i = 0; i < s->position_kernel; i++) {
                    int64_t from = t + i - s->position_kernel / 2;
                    if (from >= 0 && from < T)
                        sum += weight[(o * size + c) * s->position_kernel + i] *
                               tokens[from * s->D + o / size * size + c];
                }
            position[t * s->D + o] = gelu(sum);
        }
    for (int64_t i = 0; i < T * s->D; i++)
        tokens[i] += position[i];
    free(position), free(weight);
    int64_t keys = T;
    if (unseen) { /* of the samples that are there, as of all */
        keys = unseen->length;
        for (int layer = 0; layer < s->conv_layers; layer++)
            keys = keys < s->kernel ? 0 : (keys - s->kernel) / s->stride + 1;
        for (int64_t i = keys * s->D; i < T * s->D; i++)
            tokens[i] = 0;
    }
    const double *g = named(w, "encoder.norm.weight", 0), *b = named(w, "encoder.norm.bias", 0);
    if (s->post)
        layernorm(tokens, T, s->D, g, b);
    for (int layer = 0; layer < s->depth; layer++)
        block(tokens, T, keys, s, w, layer);
    if (!s->post)
        layernorm(tokens, T, s->D, g, b);
    *token_count = T;
    return tokens;
}

/* ---- against the recorded one ---------------------------------------------------------------- */

static double at(const struct backend *k, const void *x, int64_t i)
{
    return k->real_size == sizeof(float) ? (double)((const float *)x)[i] : ((const double *)x)[i];
}

static void set(const struct backend *k, void *x, int64_t i, double value)
{
    if (k->real_size == sizeof(float))
        ((float *)x)[i] = (float)value;
    else
        ((double *)x)[i] = value;
}

/* Largest difference between tokens of the recorded network on a backend and those of network(). With
 * `partly` some tokens are hidden, and the second record has padding. */
static double difference(const struct shape *s, const struct backend *k, bool partly)
{
    enum { M = 4 };
    struct err e = {0};
    struct contract c;
    contract_default(&c);
    c.lead_count = s->L;
    c.sample_count = s->T;
    cJSON *spec = cJSON_Parse(s->spec);
    struct model m;
    if (model_create(&m, spec, &c, NULL, &e) != ERR_OK)
        fail_msg("%s", e.message);
    struct tape *t = tape_new(k, false);
    struct build b = {.tape = t, .params = &m.params};
    struct tensor *signal =
        tape_input(t, "signal", TENSOR_REAL, false, 3, (int64_t[]){B, s->L, s->T});
    struct tensor *hidden = NULL, *fill = NULL, *lengths = NULL;
    struct masking masking = {0};
    if (partly) {
        masking.hidden = hidden =
            tape_input(t, "hidden", TENSOR_INDEX, false, 2, (int64_t[]){B, M});
        masking.fill = fill = tape_input(t, "fill", TENSOR_REAL, false, 1, &s->D);
        masking.lengths = lengths =
            tape_input(t, "lengths", TENSOR_INDEX, false, 1, (int64_t[]){B});
    }
    struct encoding enc = model_encode(&b, &m, signal, &masking);
    assert_true(!enc.lengths == !partly);
    tape_keep(t, enc.tokens);
    assert_int_equal(tape_plan(t, NULL, &e), ERR_OK);
    int64_t n = m.params.total, samples = s->L * s->T, tokens;
    double *values = aligned_calloc((size_t)n, 8), *x = zeros(B * samples);
    void *own = aligned_calloc((size_t)n, k->real_size);
    void *own_x = aligned_calloc((size_t)(B * samples), k->real_size);
    param_initialize(&m.params, values, 8, 3);
    struct rng r = rng_at(8, RNG_STREAM_TEST, 0, 0);
    for (int64_t i = 0; i < n; i++) { /* nothing may be 0 or 1 by its start */
        values[i] = (double)(float)(values[i] + 0.2 * rng_between(&r, -1, 1));
        set(k, own, i, values[i]);
    }
    for (int64_t i = 0; i < B * samples; i++) {
        x[i] = (double)(float)rng_between(&r, -2, 2);
        set(k, own_x, i, x[i]);
    }
    const int32_t index[B][M] = {{1, -1, 0, 2}, {-1, 2, 1, -1}};
    const int32_t samples_of[B] = {(int32_t)s->T, (int32_t)(2 * s->T / 3)};
    double filled[64];
    void *own_fill = aligned_calloc(64, k->real_size);
    for (int64_t d = 0; d < s->D; d++) {
        filled[d] = (double)(float)rng_between(&r, -1, 1);
        set(k, own_fill, d, filled[d]);
    }
    if (partly) {
        tape_bind(hidden, index);
        tape_bind(fill, own_fill);
        tape_bind(lengths, samples_of);
    }
    tape_bind_parameters(t, own, NULL);
    tape_bind(signal, own_x);
    tape_forward(t);
    double worst = 0;
    for (int64_t i = 0; i < B; i++) {
        struct weights w = {&m.params, values};
        struct unseen unseen = {samples_of[i], index[i], M, filled};
        double *expected = network(s, &w, x + i * samples, partly ? &unseen : NULL, &tokens);
        assert_int_equal(tokens, enc.token_count);
        assert_int_equal(enc.tokens->shape[1], tokens);
        for (int64_t j = 0; j < tokens * s->D; j++)
            worst = fmax(worst, fabs(at(k, enc.tokens->data, i * tokens * s->D + j) - expected[j]));
        free(expected);
    }
    tape_free(t);
    model_free(&m);
    cJSON_Delete(spec);
    free(values), free(x), free(own), free(own_x), free(own_fill);
    return worst;
}

static void test_network(void **state)
{
    (void)state;
    for (int i = 0; i < SHAPES; i++)
        for (int partly = 0; partly < 2; partly++) {
            double exact = difference(&shapes[i], &backend_ref64, partly);
            double fast = difference(&shapes[i], backend_cpu(), partly);
            print_message("shape %d%s: %.2g in double, %.2g on cpu\n", i,
                          partly ? ", partly hidden" : "", exact, fast);
            assert_true(exact < 1e-12);
            assert_true(fast < 1e-5);
        }
}

/* Samples of hidden tokens do not reach the encoding where windows do not overlap and nothing is
 * normalized over time; and each visible token does. */
static void test_hidden_tokens(void **state)
{
    (void)state;
    enum { L = 2, T = 67, N = 16, J = 6, TOKEN = 4, D = 8 };
    struct err e = {0};
    struct contract c;
    contract_default(&c);
    c.lead_count = L;
    c.sample_count = T;
    cJSON *spec = cJSON_Parse(
        WAV2VEC2("\"width\":8,\"depth\":1,\"heads\":2,\"conv_layers\":2,\"conv_width\":6,"
                 "\"conv_norm\":\"none\",\"position_kernel\":6,\"position_groups\":2"));
    struct model m;
    assert_int_equal(model_create(&m, spec, &c, NULL, &e), ERR_OK);
    assert_int_equal(model_allocate(&m, 2, &e), ERR_OK);
    struct tape *t = tape_new(backend_cpu(), false);
    struct build b = {.tape = t, .params = &m.params};
    struct tensor *signal = tape_input(t, "signal", TENSOR_REAL, false, 3, (int64_t[]){1, L, T});
    struct tensor *visible = tape_input(t, "visible", TENSOR_INDEX, false, 2, (int64_t[]){1, J});
    struct encoding enc = model_encode(&b, &m, signal, &(struct masking){.visible = visible});
    tape_keep(t, enc.tokens);
    tape_keep(t, enc.patches);
    assert_int_equal(tape_plan(t, NULL, &e), ERR_OK);
    assert_int_equal(enc.token_count, N);
    assert_int_equal(enc.tokens->shape[1], J);
    assert_int_equal(enc.patches->shape[1], N);
    assert_int_equal(enc.patches->shape[2], TOKEN * L);
    const int32_t index[J] = {1, 2, 5, 9, 10, 15};
    float x[L * T], before[J * D];
    struct rng r = rng_at(8, RNG_STREAM_TEST, 0, 0);
    for (int i = 0; i < L * T; i++)
        x[i] = (float)rng_between(&r, -2, 2);
    tape_bind_parameters(t, m.values, NULL);
    tape_bind(signal, x);
    tape_bind(visible, index);
    tape_forward(t);
    memcpy(before, enc.tokens->data, sizeof before);
    for (int n = 0; n < N; n++) /* a patch is its token's samples, lead by lead at each time */
        for (int i = 0; i < TOKEN * L; i++)
            assert_true(((float *)enc.patches->data)[n * TOKEN * L + i] ==
                        x[i % L * T + n * TOKEN + i / L]);
    for (int n = 0; n <= N; n++) { /* token N: the samples that are left out */
        bool seen = false;
        for (int j = 0; j < J; j++)
            seen |= index[j] == n;
        float keep = x[n * TOKEN];
        x[n * TOKEN] += 1;
        tape_forward(t);
        if (seen == !memcmp(before, enc.tokens->data, sizeof before))
            fail_msg("token %d: %s", n, seen ? "not seen" : "seen though hidden");
        x[n * TOKEN] = keep;
    }
    tape_free(t);
    model_free(&m);
    cJSON_Delete(spec);
}

/* A window's scores, weights packed, are the same bits alone and among others. */
static void test_company(void **state)
{
    (void)state;
    enum { WINDOWS = 11 };
    const struct shape *s = &shapes[1];
    struct err e = {0};
    struct contract c;
    contract_default(&c);
    c.lead_count = s->L;
    c.sample_count = s->T;
    cJSON *spec = cJSON_Parse(s->spec);
    struct model m;
    assert_int_equal(model_create(&m, spec, &c, NULL, &e), ERR_OK);
    assert_int_equal(model_allocate(&m, 2, &e), ERR_OK);
    int64_t samples = s->L * s->T;
    float *x = malloc(sizeof *x * (size_t)(WINDOWS * samples)), all[WINDOWS * 48], one[48];
    assert_non_null(x);
    struct rng r = rng_at(8, RNG_STREAM_TEST, 1, 0);
    for (int64_t i = 0; i < WINDOWS * samples; i++)
        x[i] = (float)rng_between(&r, -2, 2);
    static const char *const names[] = {"cpu", "cpu-bf16", "cpu-int8", "ref"};
    for (int i = 0; i < 4; i++) {
        struct scorer *scorer;
        if (!backend_select(names[i]))
            continue;
        assert_int_equal(scorer_open(&scorer, &m, NULL, &e), ERR_OK);
        assert_int_equal(scorer_feature_count(scorer), 48);
        scorer_run(scorer, x, WINDOWS, all, NULL);
        for (int64_t w = 0; w < WINDOWS; w++) {
            scorer_run(scorer, x + w * samples, 1, one, NULL);
            assert_memory_equal(one, all + w * 48, sizeof one);
        }
        scorer_close(scorer);
    }
    backend_select("cpu");
    free(x);
    model_free(&m);
    cJSON_Delete(spec);
}

/* ---- what cannot be built -------------------------------------------------------------------- */

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *options, *named;
        int64_t T;
    } cases[] = {
        {"\"heads\":7", "w2v.heads 7", 2500},
        {"\"position_groups\":5", "w2v.position_groups 5", 2500},
        {"\"conv_norm_groups\":100", "w2v.conv_norm_groups 100", 2500},
        {"\"conv_stride\":3", "w2v.conv_stride 3", 2500},
        {"\"conv_layers\":4", "too short for w2v.conv_layers 4", 15},
        {"\"conv_layers\":12,\"conv_kernel\":64,\"conv_stride\":64", "too short", 1 << 20},
        {"\"conv_layers\":1", "w2v.conv_stride", 1 << 20},
        {"\"conv_layers\":0", "w2v.conv_layers", 2500},
        {"\"conv_stride\":1", "w2v.conv_stride", 2500},
        {"\"position_kernel\":1e9", "w2v.position_kernel", 2500},
        {"\"norm\":\"none\"", "w2v.norm", 2500},
        {"\"dropout\":1", "w2v.dropout", 2500},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[256];
        snprintf(text, sizeof text, "{\"network\":{\"backbone\":\"w2v\"},\"w2v\":{%s}}",
                 cases[i].options);
        cJSON *spec = cJSON_Parse(text);
        assert_non_null(spec);
        struct err e = {0};
        struct contract c;
        contract_default(&c);
        c.sample_count = cases[i].T;
        struct model m;
        enum err_code code = model_create(&m, spec, &c, NULL, &e);
        if (code != ERR_USAGE || !strstr(e.message, cases[i].named))
            fail_msg("%s: code %d, \"%s\"", cases[i].options, (int)code, e.message);
        model_free(&m);
        cJSON_Delete(spec);
    }
}

/* Samples left out at the end, as every layer rounds down. */
static void test_token_counts(void **state)
{
    (void)state;
    static const int64_t counts[][2] = {{16, 1}, {31, 1}, {32, 2}, {2500, 156}, {5000, 312}};
    cJSON *spec = cJSON_Parse("{\"network\":{\"backbone\":\"w2v\"},\"w2v\":{}}");
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct err e = {0};
        struct contract c;
        contract_default(&c);
        c.sample_count = counts[i][0];
        struct model m;
        assert_int_equal(model_create(&m, spec, &c, NULL, &e), ERR_OK);
        assert_int_equal(m.backbone->token_count(m.config, 12, counts[i][0]), counts[i][1]);
        model_free(&m);
    }
    cJSON_Delete(spec);
}

/* ---- what is published ----------------------------------------------------------------------- */

static struct model published(const char *name, const char *options)
{
    const struct preset *p = presets;
    while (p->name && strcmp(p->name, name))
        p++;
    assert_non_null(p->name);
    cJSON *spec = cJSON_Parse(p->json), *set = cJSON_Parse(options);
    cJSON *w2v = cJSON_GetObjectItem(spec, "w2v");
    cJSON_DeleteItemFromObject(spec, "input");
    for (cJSON *item = set->child, *next; item; item = next) {
        next = item->next;
        cJSON_DeleteItemFromObject(w2v, item->string);
        cJSON_AddItemToObject(w2v, item->string, cJSON_DetachItemViaPointer(set, item));
    }
    struct err e = {0};
    struct contract c;
    contract_default(&c);
    c.sample_count = 2500;
    struct model m;
    if (model_create(&m, spec, &c, NULL, &e) != ERR_OK)
        fail_msg("%s", e.message);
    cJSON_Delete(spec);
    cJSON_Delete(set);
    return m;
}

/* Encoders as they are fine-tuned: the published ones have 90,883,072 and 311,940,352 values when they
 * are pre-trained, with a mask vector, a quantizer and two projections. */
static void test_parameter_counts(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t values, width;
    } cases[] = {{"ecg-fm", 90883072, 768},
                 {"ecg-fm-small", 62531584, 768},
                 {"ecg-fm-large", 311940352, 1024}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model m = published(cases[i].name, "{}");
        int64_t D = cases[i].width, quantizer = 81920 + 256 * 640 + 640;
        int64_t pretraining = D + quantizer + 256 * 256 + 256 + D * 256 + 256;
        assert_int_equal(param_count_values(&m.params), cases[i].values - pretraining);
        if (i == 0)
            assert_int_equal(param_count_values(&m.params), 90373248);
        model_free(&m);
    }
}

/* Mean and deviation of a parameter's start. */
static void start_of(const struct model *m, const char *name, double *mean, double *deviation,
                     double *highest)
{
    const struct param *p = param_find(&m->params, name);
    if (!p)
        fail_msg("no parameter %s", name);
    double sum = 0, squares = 0;
    *highest = 0;
    for (int64_t i = 0; i < p->numel; i++) {
        double x = (double)m->values[p->offset + i];
        sum += x;
        squares += x * x;
        *highest = fmax(*highest, fabs(x));
    }
    *mean = sum / (double)p->numel;
    *deviation = sqrt(squares / (double)p->numel - *mean * *mean);
}

static void test_start(void **state)
{
    (void)state;
    struct err e = {0};
    struct model m = published("ecg-fm", "{\"depth\":1,\"conv_bias\":true}");
    assert_int_equal(model_allocate(&m, 4, &e), ERR_OK);
    const double uniform = 1 / sqrt(3); /* deviation of a uniform one over its bound */
    const struct {
        const char *name;
        double deviation, bound; /* 0: normal, beyond three deviations too */
    } cases[] = {
        {"encoder.conv.0.weight", sqrt(2.0 / 24), 0},
        {"encoder.conv.3.weight", sqrt(2.0 / 512), 0},
        {"encoder.conv.0.bias", uniform / sqrt(24), 1 / sqrt(24)},
        {"encoder.embed.weight", uniform / 16, 1.0 / 16},
        {"encoder.embed.bias", uniform / 16, 1.0 / 16},
        {"encoder.position.direction", sqrt(4.0 / (128 * 768)), 0},
        {"encoder.block.0.attention.qkv.weight", 0.02, 0},
        {"encoder.block.0.attention.out.weight", 0.02, 0},
        {"encoder.block.0.mlp.up.weight", 0.02, 0},
        {"encoder.block.0.mlp.down.weight", 0.02, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double mean, deviation, highest, expected = cases[i].deviation;
        start_of(&m, cases[i].name, &mean, &deviation, &highest);
        bool small = strstr(cases[i].name, "bias") != NULL; /* few values */
        if (fabs(mean) > (small ? 0.15 : 0.03) * expected ||
            fabs(deviation / expected - 1) > (small ? 0.15 : 0.03) ||
            (cases[i].bound > 0 ? highest > cases[i].bound : highest < 3 * expected))
            fail_msg("%s: mean %g, deviation %g, up to %g", cases[i].name, mean, deviation,
                     highest);
    }
    /* The weights start as their directions. */
    const struct param *v = param_find(&m.params, "encoder.position.direction");
    const struct param *g = param_find(&m.params, "encoder.position.magnitude");
    assert_int_equal(g->numel, 128);
    for (int64_t tap = 0; tap < 128; tap++) {
        double squares = 0;
        for (int64_t i = tap; i < v->numel; i += 128)
            squares += (double)m.values[v->offset + i] * (double)m.values[v->offset + i];
        assert_true(fabs((double)m.values[g->offset + tap] / sqrt(squares) - 1) < 1e-6);
    }
    model_free(&m);
}

/* With all directions equal and magnitudes of one, each weight of a tap is one over the root of their
 * number, 768 * 48. */
static void test_equal_directions(void **state)
{
    (void)state;
    enum { O = 768, C = 48, WIDTH = 128 };
    float *v = malloc(sizeof *v * O * C * WIDTH), g[WIDTH], taps[WIDTH], norm[WIDTH];
    assert_non_null(v);
    for (int i = 0; i < O * C * WIDTH; i++)
        v[i] = 0.3f;
    for (int i = 0; i < WIDTH; i++)
        g[i] = 1;
    static const char *const names[] = {"ref", "cpu"};
    for (int i = 0; i < 2; i++) {
        backend_find(names[i])->weight_norm_fwd(taps, norm, &(struct weight){v, STORAGE_F32, NULL},
                                                g, O, C, WIDTH);
        for (int tap = 0; tap < WIDTH; tap++)
            assert_true(fabsf(taps[tap] * 0.3f * 192 - 1) < 1e-6f);
    }
    free(v);
}

/* ---- training -------------------------------------------------------------------------------- */

/* A training step of a small network: the gradients, and the tokens if asked for; caller frees. */
static double *training_gradients(const char *options, uint64_t step, struct model *m,
                                  double **tokens)
{
    char text[512];
    snprintf(text, sizeof text,
             "{\"network\":{\"backbone\":\"w2v\",\"pool\":\"mean\"},\"w2v\":{\"width\":8,"
             "\"depth\":2,\"heads\":2,\"conv_layers\":2,\"conv_width\":6,\"conv_norm_groups\":3,"
             "\"position_kernel\":4,\"position_groups\":2,%s}}",
             options);
    struct err e = {0};
    struct contract c;
    contract_default(&c);
    c.lead_count = 2;
    c.sample_count = 40;
    cJSON *spec = cJSON_Parse(text);
    if (model_create(m, spec, &c, NULL, &e) != ERR_OK)
        fail_msg("%s", e.message);
    cJSON_Delete(spec);
    struct tape *t = tape_new(&backend_ref64, true);
    struct build b = {.tape = t, .params = &m->params};
    struct tensor *signal = tape_input(t, "signal", TENSOR_REAL, false, 3, (int64_t[]){B, 2, 40});
    struct tensor *target = tape_input(t, "target", TENSOR_REAL, false, 2, (int64_t[]){B, 8});
    struct encoding enc = model_encode(&b, m, signal, NULL);
    tape_keep(t, enc.tokens);
    struct tensor *loss = t_bce(t, model_pool(&b, m, &enc), target, NULL);
    assert_int_equal(tape_plan(t, loss, &e), ERR_OK);
    double *values = aligned_calloc((size_t)m->params.total, 8), x[B * 80], y[B * 8];
    double *gradients = aligned_calloc((size_t)m->params.total, 8);
    param_initialize(&m->params, values, 8, 3);
    struct rng r = rng_at(8, RNG_STREAM_TEST, 2, 0);
    for (int i = 0; i < B * 80; i++)
        x[i] = rng_between(&r, -2, 2);
    for (int i = 0; i < B * 8; i++)
        y[i] = i % 3 == 0;
    tape_bind_parameters(t, values, gradients);
    tape_bind(signal, x);
    tape_bind(target, y);
    tape_set_step(t, 7, step);
    tape_forward(t);
    if (tokens) {
        *tokens = zeros(enc.tokens->numel);
        memcpy(*tokens, enc.tokens->data, sizeof **tokens * (size_t)enc.tokens->numel);
    }
    tape_backward(t, 1);
    tape_free(t);
    free(values);
    return gradients;
}

static bool of_extractor(const struct param *p)
{
    return !strncmp(p->name, "encoder.conv.", 13) && strncmp(p->name, "encoder.conv.norm", 17);
}

/* The factor reaches the strided convolutions alone; at 0 they get no gradient and are frozen. */
static void test_feature_gradient(void **state)
{
    (void)state;
    struct model plain, slow, still;
    double *one = training_gradients("\"feature_gradient\":1", 1, &plain, NULL);
    double *tenth = training_gradients("\"feature_gradient\":0.1", 1, &slow, NULL);
    double *none = training_gradients("\"feature_gradient\":0", 1, &still, NULL);
    for (int i = 0; i < plain.params.count; i++) {
        const struct param *p = plain.params.items[i];
        bool extractor = of_extractor(p);
        double largest = 0;
        assert_int_equal(slow.params.items[i]->frozen, false);
        assert_int_equal(still.params.items[i]->frozen, extractor);
        for (int64_t j = p->offset; j < p->offset + p->numel; j++) {
            largest = fmax(largest, fabs(one[j]));
            assert_true(fabs(tenth[j] - one[j] * (extractor ? 0.1 : 1)) < 1e-14);
            assert_true(none[j] == (extractor ? 0 : one[j]));
        }
        assert_true(largest > 1e-9);
    }
    model_free(&plain), model_free(&slow), model_free(&still);
    free(one), free(tenth), free(none);
}

/* Whole blocks are left out, each by itself, as often as asked for; and each dropout does something in
 * training, another thing in each step. */
static void test_dropout(void **state)
{
    (void)state;
    enum { STEPS = 200 };
    int dropped[2] = {0, 0}, both = 0;
    for (uint64_t step = 0; step < STEPS; step++) {
        struct model m;
        double *g = training_gradients("\"layer_drop\":0.3", step, &m, NULL);
        bool out[2];
        for (int i = 0; i < 2; i++) {
            char name[64];
            snprintf(name, sizeof name, "encoder.block.%d.mlp.up.weight", i);
            out[i] = g[param_find(&m.params, name)->offset] == 0;
            dropped[i] += out[i];
        }
        both += out[0] && out[1];
        model_free(&m);
        free(g);
    }
    for (int i = 0; i < 2; i++)
        assert_true(dropped[i] > 40 && dropped[i] < 80);
    assert_true(both > 5 && both < 35);
    static const char *const kinds[] = {"dropout", "attention_dropout", "activation_dropout",
                                        "input_dropout"};
    for (int i = 0; i < 4; i++) {
        char text[64];
        struct model m;
        double *tokens[4];
        for (int run = 0; run < 4; run++) { /* without, twice in one step, in another */
            snprintf(text, sizeof text, "\"%s\":%s", kinds[i], run ? "0.2" : "0");
            free(training_gradients(text, run == 3, &m, &tokens[run]));
            model_free(&m);
        }
        size_t bytes = sizeof *tokens[0] * B * 10 * 8;
        assert_memory_equal(tokens[1], tokens[2], bytes);
        assert_memory_not_equal(tokens[0], tokens[1], bytes);
        assert_memory_not_equal(tokens[1], tokens[3], bytes);
        for (int run = 0; run < 4; run++)
            free(tokens[run]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_network),
                                       cmocka_unit_test(test_hidden_tokens),
                                       cmocka_unit_test(test_company),
                                       cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_token_counts),
                                       cmocka_unit_test(test_parameter_counts),
                                       cmocka_unit_test(test_start),
                                       cmocka_unit_test(test_equal_directions),
                                       cmocka_unit_test(test_feature_gradient),
                                       cmocka_unit_test(test_dropout)};
    return cmocka_run_group_tests_name("w2v", tests, NULL, NULL);
}
