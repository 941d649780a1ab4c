/* Convolutional networks with batch norm: what no gradient moves is kept and copied as it should, scores
 * do not depend on company, a killed run goes on to the same bytes, and CLOCS's network, which takes no
 * tiny input, has the right gradients. */
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
#include "kernel/kernel.h"
#include "model/model.h"
#include "model/scorer.h"
#include "nn/optimizer.h"
#include "train/trainer.h"

static const char xresnet[] = "{\"network\":{\"backbone\":\"xresnet1d\",\"pool\":\"mean_max\"},"
                              "\"xresnet1d\":{\"depth\":\"18\",\"width\":8,\"kernel\":3}}";

static void fill(float *x, int64_t n, uint64_t stream)
{
    struct rng r = rng_at(4, RNG_STREAM_TEST, stream, 0);
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)rng_between(&r, -1, 1);
}

static void classifier(struct model *m, const char *spec_text, int64_t leads, int64_t samples)
{
    struct err e = {0};
    struct contract c;
    contract_default(&c);
    c.lead_count = leads;
    c.sample_count = samples;
    cJSON *spec = cJSON_Parse(spec_text);
    const char *names[] = {"a", "b"};
    struct model_classes classes = {.count = 2, .names = names, .codes = names, .titles = names};
    if (model_create(m, spec, &c, &classes, &e) != ERR_OK)
        fail_msg("%s", e.message);
    assert_int_equal(model_allocate(m, 3, &e), ERR_OK);
    cJSON_Delete(spec);
}

static const struct param *find(const struct model *m, const char *name)
{
    const struct param *p = param_find(&m->params, name);
    assert_non_null(p);
    return p;
}

/* Running statistics are parameters that are frozen and not counted; training moves them as PyTorch does,
 * the average follows them like any weight, and gradients there are zero. */
static void test_state(void **state)
{
    (void)state;
    enum { B = 6, L = 2, T = 32, STEPS = 3 };
    struct err e = {0};
    struct model m;
    classifier(&m, xresnet, L, T);
    const struct param *mean = find(&m, "encoder.stem.0.norm.running_mean");
    const struct param *var = find(&m, "encoder.stem.0.norm.running_var");
    const struct param *weight = find(&m, "encoder.stem.0.conv.weight");
    const struct param *gain = find(&m, "encoder.stem.0.norm.weight");
    assert_true(mean->state && mean->frozen && var->state && !gain->state && !gain->frozen);
    assert_true(m.values[mean->offset] == 0 && m.values[var->offset] == 1);
    int64_t values = 0, states = 0;
    for (int i = 0; i < m.params.count; i++)
        *(m.params.items[i]->state ? &states : &values) += m.params.items[i]->numel;
    assert_int_equal(values, param_count_values(&m.params));
    assert_true(states > 0);

    float x[B * L * T], y[B * 2];
    fill(x, B * L * T, 1);
    for (int i = 0; i < B * 2; i++)
        y[i] = i % 3 == 0;
    /* What the stem's first convolution makes of the batch, in double. */
    double sum[32] = {0}, squares[32] = {0}, average[32] = {0}, expected_mean[32] = {0},
           expected_var[32];
    const float *w = m.values + weight->offset;
    for (int b = 0; b < B; b++)
        for (int n = 0; n < T / 2; n++)
            for (int o = 0; o < 32; o++) {
                double out = 0;
                for (int l = 0; l < L; l++)
                    for (int i = 0; i < 3; i++) {
                        int t = 2 * n + i - 1;
                        if (t >= 0 && t < T)
                            out += (double)w[(o * L + l) * 3 + i] * x[(b * L + l) * T + t];
                    }
                sum[o] += out;
                squares[o] += out * out;
            }
    struct trainer_options options = {.epochs = 1,
                                      .batch = B,
                                      .accumulate = 1,
                                      .lr = 0, /* weights stay, statistics move */
                                      .beta1 = 0.9,
                                      .beta2 = 0.95,
                                      .epsilon = 1e-8,
                                      .ema = 0.9,
                                      .layer_decay = 1,
                                      .head_rate = 1,
                                      .encoder_rate = 1,
                                      .embed_rate = 1};
    struct trainer_task task = {0};
    struct trainer *t;
    assert_int_equal(trainer_open(&t, &options, &task, &m, B, 5, &e), ERR_OK);
    assert_int_equal(trainer_start(t, 10, &e), ERR_OK);
    int64_t samples[B] = {0};
    struct batch batch = {.count = B, .x = x, .targets = y, .samples = samples};
    for (int o = 0; o < 32; o++)
        expected_var[o] = 1;
    double rows = B * T / 2;
    for (int step = 0; step < STEPS; step++) {
        assert_int_equal(trainer_step(t, &batch, &e), ERR_OK);
        for (int o = 0; o < 32; o++) {
            double mu = sum[o] / rows, unbiased = (squares[o] - sum[o] * mu) / (rows - 1);
            expected_mean[o] += 0.1 * (mu - expected_mean[o]);
            expected_var[o] += 0.1 * (unbiased - expected_var[o]);
            assert_true(fabs(m.values[mean->offset + o] - expected_mean[o]) < 1e-5);
            assert_true(fabs(m.values[var->offset + o] - expected_var[o]) < 1e-5);
            double kept = (step + 1.0) / (step + 10.0);
            average[o] = kept * average[o] + (1 - kept) * expected_mean[o];
            assert_true(fabs(trainer_values(t)[mean->offset + o] - average[o]) < 1e-5);
        }
        const float *gradients = tape_gradients(trainer_tape(t));
        assert_true(backend_ref.sum_squares(gradients + mean->offset, 32) == 0);
        assert_true(backend_ref.sum_squares(gradients + var->offset, 32) == 0);
        assert_true(backend_ref.sum_squares(gradients + gain->offset, 32) > 0);
    }
    trainer_close(t);

    struct model copy; /* of the encoder: with its statistics */
    classifier(&copy, xresnet, L, T);
    assert_int_equal(model_copy_encoder(&copy, &m, &e), ERR_OK);
    assert_memory_equal(copy.values + mean->offset, m.values + mean->offset, 32 * sizeof(float));
    assert_memory_equal(copy.values + var->offset, m.values + var->offset, 32 * sizeof(float));
    model_free(&copy);
    model_free(&m);
}

/* Frozen, or scoring: by the running statistics, alone or in company, at any number of threads; frozen,
 * training leaves them alone. */
static void test_company(void **state)
{
    (void)state;
    enum { B = 9, L = 3, T = 50 };
    static const char *const specs[] = {
        xresnet,
        "{\"network\":{\"backbone\":\"xresnet1d\",\"pool\":\"mean\",\"head\":\"mlp\"},"
        "\"xresnet1d\":{\"depth\":\"50\",\"width\":16}}",
        "{\"network\":{\"backbone\":\"resnet1d\",\"pool\":\"mean\"},"
        "\"resnet1d\":{\"depth\":\"50\",\"width\":8}}"};
    float x[B * L * T], whole[B * 2], single[2];
    fill(x, B * L * T, 2);
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        struct err e = {0};
        struct model m;
        classifier(&m, specs[i], L, T);
        for (int k = 0; k < m.params.count; k++) /* not what they start as */
            if (m.params.items[k]->state)
                for (int64_t j = 0; j < m.params.items[k]->numel; j++)
                    m.values[m.params.items[k]->offset + j] += 0.3f + 0.1f * (float)(j % 5);
        struct scorer *a, *b;
        assert_int_equal(scorer_open(&a, &m, NULL, &e), ERR_OK);
        assert_int_equal(scorer_open(&b, &m, NULL, &e), ERR_OK);
        int threads = kernel_threads();
        kernel_set_threads(2);
        scorer_run(a, x, B, NULL, whole);
        for (int r = 0; r < B; r++) {
            kernel_set_threads(1 + r % 2);
            scorer_run(b, x + r * L * T, 1, NULL, single);
            assert_memory_equal(single, whole + 2 * r, sizeof single);
            assert_true(isfinite(single[0]) && isfinite(single[1]));
        }
        kernel_set_threads(threads);
        scorer_close(a);
        scorer_close(b);

        param_freeze_layers(&m.params, 2);
        float *before = malloc((size_t)m.params.total * sizeof *before);
        memcpy(before, m.values, (size_t)m.params.total * sizeof *before);
        struct tape *t = tape_new(backend_cpu(), true);
        struct build build = {.tape = t, .params = &m.params};
        struct tensor *loss = model_loss(&build, &m, B);
        tape_own_gradients(t, m.params.total);
        assert_int_equal(tape_plan(t, loss, &e), ERR_OK);
        tape_bind_parameters(t, m.values, NULL);
        float y[B * 2] = {1};
        model_loss_bind(t, x, y);
        tape_forward(t);
        tape_backward(t, 1.0);
        for (int k = 0; k < m.params.count; k++) {
            const struct param *p = m.params.items[k];
            bool moved = memcmp(before + p->offset, m.values + p->offset,
                                (size_t)p->numel * sizeof *before) != 0;
            if (moved != (p->state && p->layer >= 2))
                fail_msg("%s (layer %d): %s", p->name, p->layer, moved ? "moved" : "stayed");
        }
        free(before);
        tape_free(t);
        model_free(&m);
    }
}

/* Stage by stage, the head alone in the last layer. */
static void test_layers(void **state)
{
    (void)state;
    struct model m;
    classifier(&m, xresnet, 3, 50);
    assert_int_equal(find(&m, "encoder.stem.2.conv.weight")->layer, 0);
    assert_int_equal(find(&m, "encoder.stage.0.block.0.conv.0.weight")->layer, 1);
    assert_int_equal(find(&m, "encoder.stage.3.block.1.norm.1.running_var")->layer, 4);
    assert_int_equal(find(&m, "head.weight")->layer, 5);
    assert_int_equal(m.params.layer_max, 5);
    model_free(&m);
    classifier(&m, "{\"network\":{\"backbone\":\"s4\"},\"s4\":{\"width\":8,\"depth\":2}}", 3, 50);
    assert_int_equal(find(&m, "encoder.block.1.norm.weight")->layer, 2);
    assert_int_equal(find(&m, "head.weight")->layer, 3);
    assert_int_equal(m.params.layer_max, 3);
    model_free(&m);
}

/* One row has no variance: refused where the batch's statistics are taken, not where tokens give rows. */
static void test_one_row(void **state)
{
    (void)state;
    static const struct trainer_options options = {
        .epochs = 1, .accumulate = 1, .head_rate = 1, .encoder_rate = 1, .embed_rate = 1};
    static const struct trainer_task task;
    static const char *const heads[] = {"linear", "mlp"};
    for (int mlp = 0; mlp < 2; mlp++)
        for (int64_t batch = 1; batch <= 2; batch++) {
            struct err e = {0};
            struct model m;
            struct trainer *t;
            char spec[200];
            snprintf(spec, sizeof spec,
                     "{\"network\":{\"backbone\":\"xresnet1d\",\"head\":\"%s\"},"
                     "\"xresnet1d\":{\"depth\":\"18\",\"width\":8}}",
                     heads[mlp]);
            classifier(&m, spec, 3, 100);
            bool refused = mlp && batch == 1;
            assert_int_equal(trainer_open(&t, &options, &task, &m, batch, 5, &e),
                             refused ? ERR_USAGE : ERR_OK);
            assert_true(!refused || strstr(e.message, "batch 1"));
            trainer_close(t);
            model_free(&m);
        }
}

/* At rate 0 the encoder, or what comes before its first block, stays as it is, statistics too. */
static void test_rate_of_zero(void **state)
{
    (void)state;
    enum { B = 4, L = 3, T = 50 };
    float x[B * L * T], y[B * 2] = {1};
    int64_t samples[B] = {0};
    fill(x, B * L * T, 3);
    for (int embed = 0; embed < 2; embed++) {
        struct trainer_options options = {.epochs = 1,
                                          .accumulate = 1,
                                          .lr = 1e-2,
                                          .beta1 = 0.9,
                                          .beta2 = 0.95,
                                          .epsilon = 1e-8,
                                          .layer_decay = 1,
                                          .head_rate = 1,
                                          .encoder_rate = embed,
                                          .embed_rate = !embed};
        struct trainer_task task = {0};
        struct err e = {0};
        struct model m;
        struct trainer *t;
        classifier(&m, xresnet, L, T);
        size_t bytes = (size_t)m.params.total * sizeof(float);
        float *before = malloc(bytes);
        memcpy(before, m.values, bytes);
        struct batch batch = {.count = B, .x = x, .targets = y, .samples = samples};
        assert_int_equal(trainer_open(&t, &options, &task, &m, B, 5, &e), ERR_OK);
        assert_int_equal(trainer_start(t, 10, &e), ERR_OK);
        assert_int_equal(trainer_step(t, &batch, &e), ERR_OK);
        assert_int_equal(trainer_step(t, &batch, &e), ERR_OK);
        for (int i = 0; i < m.params.count; i++) {
            const struct param *p = m.params.items[i];
            bool encoder = strncmp(p->name, "encoder.", 8) == 0;
            bool moved = memcmp(before + p->offset, m.values + p->offset,
                                (size_t)p->numel * sizeof(float)) != 0;
            if (moved == (encoder && (!embed || p->layer == 0)))
                fail_msg("%s: %s", p->name, moved ? "moved" : "stayed");
        }
        free(before);
        trainer_close(t);
        model_free(&m);
    }
}

/* Along one direction, in double. */
static void test_clocs(void **state)
{
    (void)state;
    enum { B = 3, T = 400 };
    struct err e = {0};
    struct model m;
    classifier(&m,
               "{\"network\":{\"backbone\":\"clocs_cnn\",\"pool\":\"mean\"},"
               "\"clocs_cnn\":{\"width\":8,\"dropout\":0.2}}",
               1, T);
    assert_int_equal(m.backbone->token_count(m.config, 1, T), 1);
    assert_int_equal(m.backbone->token_count(m.config, 1, 387), 0);
    assert_int_equal(find(&m, "encoder.embed.weight")->shape[1], 32);
    size_t n = (size_t)m.params.total;
    double *values = aligned_calloc(n, 8), *gradients = aligned_calloc(n, 8);
    double x[B * T], y[B * 2] = {1, 0, 0, 1, 1, 1}, side[2], expected = 0;
    struct rng r = rng_at(7, RNG_STREAM_TEST, 0, 0);
    for (int i = 0; i < B * T; i++)
        x[i] = rng_normal(&r);
    param_initialize(&m.params, values, 8, 5);
    struct tape *t = tape_new(&backend_ref64, true);
    struct build b = {.tape = t, .params = &m.params};
    struct tensor *loss = model_loss(&b, &m, B);
    assert_int_equal(tape_plan(t, loss, &e), ERR_OK);
    tape_bind_parameters(t, values, gradients);
    tape_bind(tape_find_input(t, "signal"), x);
    tape_bind(tape_find_input(t, "target"), y);
    tape_set_step(t, 1, 2);
    tape_forward(t);
    tape_backward(t, 1.0);
    double *direction = aligned_calloc(n, 8);
    for (int i = 0; i < m.params.count; i++) {
        const struct param *p = m.params.items[i];
        for (int64_t j = p->offset; !p->state && j < p->offset + p->numel; j++) {
            direction[j] = rng_between(&r, -1, 1);
            expected += direction[j] * gradients[j];
        }
    }
    for (int s = 0; s < 2; s++) {
        for (size_t i = 0; i < n; i++)
            values[i] += (s ? -2e-6 : 1e-6) * direction[i];
        tape_forward(t);
        side[s] = *(double *)loss->data;
    }
    double got = (side[0] - side[1]) / 2e-6;
    if (!(fabs(got - expected) <= 1e-6 * fmax(1, fabs(expected))) || fabs(expected) < 1e-6)
        fail_msg("directional derivative %.9g, gradient says %.9g", got, expected);
    free(values);
    free(gradients);
    free(direction);
    tape_free(t);
    model_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_state),
                                       cmocka_unit_test(test_company),
                                       cmocka_unit_test(test_layers),
                                       cmocka_unit_test(test_one_row),
                                       cmocka_unit_test(test_rate_of_zero),
                                       cmocka_unit_test(test_clocs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
