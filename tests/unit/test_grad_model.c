/* Every backbone under every objective (and their sum): a tiny model in double, the gradient of all
 * parameters against a central difference along a random direction. Freezing, masks and the model
 * file too. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <cjson/cJSON.h>

#include "base/file.h"
#include "base/rng.h"
#include "model/preset.h"
#include "model/scorer.h"
#include "objective/objective.h"
#include "train/experiment.h"

static const char *const tiny_specs[] = {
    "{\"network\":{\"backbone\":\"vit\",\"pool\":\"mean_max\"},\"vit\":{\"width\":8,\"depth\":2,"
    "\"heads\":2,\"patch\":4,\"patch_leads\":\"all\",\"mlp_ratio\":2,\"dropout\":0.1,"
    "\"drop_path\":0.2}}",
    "{\"network\":{\"backbone\":\"vit\",\"pool\":\"mean\"},\"vit\":{\"width\":8,\"depth\":1,"
    "\"heads\":1,\"patch\":8,\"patch_leads\":\"one\",\"mlp_ratio\":1}}",
    "{\"network\":{\"backbone\":\"w2v\",\"pool\":\"mean\"},\"w2v\":{\"width\":8,"
    "\"depth\":2,\"heads\":2,\"mlp_ratio\":2,\"conv_layers\":2,\"conv_width\":6,"
    "\"conv_norm_groups\":3,\"position_kernel\":4,\"position_groups\":2,\"dropout\":0.1,"
    "\"attention_dropout\":0.2,\"activation_dropout\":0.2,\"input_dropout\":0.1,"
    "\"layer_drop\":0.3}}",
    "{\"network\":{\"backbone\":\"w2v\",\"pool\":\"mean_max\"},\"w2v\":{\"width\":8,"
    "\"depth\":1,\"heads\":1,\"mlp_ratio\":1,\"norm\":\"pre\",\"conv_layers\":1,"
    "\"conv_width\":4,\"conv_kernel\":3,\"conv_norm\":\"layer\",\"conv_bias\":true,"
    "\"position_kernel\":9,"
    "\"position_groups\":1}}",
    "{\"network\":{\"backbone\":\"s4\",\"pool\":\"mean\"},\"s4\":{\"width\":8,\"depth\":2,"
    "\"state\":6,\"dropout\":0.1}}",
    "{\"network\":{\"backbone\":\"s4\",\"pool\":\"mean_max\"},\"s4\":{\"width\":9,\"depth\":1,"
    "\"state\":2,\"direction\":\"causal\"}}",
    "{\"network\":{\"backbone\":\"s4\",\"pool\":\"mean\"},\"s4\":{\"width\":8,\"depth\":1,"
    "\"state\":4,\"direction\":\"causal\",\"stem\":\"3,1\",\"stem_strides\":\"2,1\",\"stem_width\":"
    "7}}",
    "{\"network\":{\"backbone\":\"lstm\",\"pool\":\"mean\"},\"lstm\":{\"width\":8,\"depth\":2,"
    "\"stem\":\"1, 1\",\"stem_width\":5,\"dropout\":0.1}}",
    "{\"network\":{\"backbone\":\"lstm\",\"pool\":\"max\"},\"lstm\":{\"width\":8,\"depth\":1,"
    "\"stem\":\"5,3\",\"stem_strides\":\"2,1\",\"stem_width\":6}}",
    "{\"network\":{\"backbone\":\"xresnet1d\",\"pool\":\"mean_max\"},"
    "\"xresnet1d\":{\"depth\":\"18\",\"width\":8,\"kernel\":3}}",
    "{\"network\":{\"backbone\":\"xresnet1d\",\"pool\":\"mean\"},"
    "\"xresnet1d\":{\"depth\":\"50\",\"width\":8}}",
    "{\"network\":{\"backbone\":\"resnet1d\",\"pool\":\"mean\"},"
    "\"resnet1d\":{\"depth\":\"wang\",\"width\":8}}"};

static void tiny_contract(struct contract *c)
{
    contract_default(c);
    c->lead_count = 3;
    c->sample_count = 16;
}

static void fill(void *x, int64_t n, size_t real, uint64_t stream)
{
    struct rng r = rng_at(4, RNG_STREAM_TEST, stream, 0);
    for (int64_t i = 0; i < n; i++) {
        double v = rng_between(&r, -1, 1);
        if (real == sizeof(float))
            ((float *)x)[i] = (float)v;
        else
            ((double *)x)[i] = v;
    }
}

/* still: parameters whose names begin so stay where they are; NULL ends the list. */
static void check_direction(struct tape *t, struct tensor *loss, struct param_table *p,
                            const char *const *still)
{
    size_t n = (size_t)p->total;
    double *values = aligned_calloc(n, 8), *gradients = aligned_calloc(n, 8),
           *direction = aligned_calloc(n, 8);
    struct err e = {0};
    assert_int_equal(tape_plan(t, loss, &e), ERR_OK);
    param_initialize(p, values, 8, 5);
    fill(direction, (int64_t)n, 8, 9);
    for (int i = 0; i < p->count; i++)
        for (const char *const *prefix = still; prefix && *prefix; prefix++)
            if (strncmp(p->items[i]->name, *prefix, strlen(*prefix)) == 0)
                memset(direction + p->items[i]->offset, 0, (size_t)p->items[i]->numel * 8);
    /* Zero starts (biases) would hide mistakes: move off them. */
    for (size_t i = 0; i < n; i++)
        values[i] += 0.1 * direction[n - 1 - i];
    tape_bind_parameters(t, values, gradients);
    tape_set_step(t, 1, 2);
    tape_forward(t);
    tape_backward(t, 1.0);
    double expected = 0, h = 1e-6, side[2];
    for (int i = 0; i < p->count; i++)
        for (int64_t j = 0; j < p->items[i]->numel; j++)
            expected += gradients[p->items[i]->offset + j] * direction[p->items[i]->offset + j];
    for (int s = 0; s < 2; s++) {
        for (size_t i = 0; i < n; i++)
            values[i] += (s ? -2 * h : h) * direction[i];
        tape_forward(t);
        side[s] = *(double *)loss->data;
    }
    double got = (side[0] - side[1]) / (2 * h);
    if (!(fabs(got - expected) <= 1e-6 * fmax(1, fabs(expected))))
        fail_msg("directional derivative %.9g, gradient says %.9g", got, expected);
    assert_true(fabs(expected) > 1e-6);
    free(values);
    free(gradients);
    free(direction);
}

static void run_objective(const char *spec_text, const char *objective)
{
    struct err e = {0};
    struct contract c;
    tiny_contract(&c);
    cJSON *spec = cJSON_Parse(spec_text);
    struct model m;
    assert_int_equal(model_create(&m, spec, &c, NULL, &e), ERR_OK);
    struct option_set set;
    option_set_init(&set);
    objective_options_add(&set);
    struct objective_sum sum = {0};
    /* Defaults for other groups (augment.*) are not in this set: name rows by hand. */
    char copy[64], *rest = copy;
    snprintf(copy, sizeof copy, "%s", objective);
    for (char *word; (word = strsep(&rest, "+")) != NULL;)
        for (int i = 0; objectives[i]; i++)
            if (strcmp(objectives[i]->name, word) == 0) {
                sum.rows[sum.count] = objectives[i];
                for (int g = 0; g < set.group_count; g++)
                    if (strcmp(set.groups[g].prefix, word) == 0)
                        sum.configs[sum.count] = set.groups[g].target;
                sum.count += objectives[i]->stands_for == NULL;
            }
    assert_int_equal(option_set_text(&set, "mae.width", "8", OPTION_FROM_SET, &e), ERR_OK);
    assert_int_equal(option_set_text(&set, "mae.depth", "1", OPTION_FROM_SET, &e), ERR_OK);
    assert_int_equal(option_set_text(&set, "simclr.hidden", "8", OPTION_FROM_SET, &e), ERR_OK);
    assert_int_equal(option_set_text(&set, "simclr.projection", "5", OPTION_FROM_SET, &e), ERR_OK);
    /* A length that is a constant to the gradient is none to differences. */
    assert_int_equal(option_set_text(&set, "cmsc.detached_norm", "false", OPTION_FROM_SET, &e),
                     ERR_OK);
    assert_int_equal(option_set_text(&set, "3kg.detached_norm", "false", OPTION_FROM_SET, &e),
                     ERR_OK);
    static const char *const small[][2] = {{"w2v.codes", "5"},       {"w2v.dim", "6"},
                                           {"w2v.negatives", "3"},   {"w2v.cross_negatives", "2"},
                                           {"w2v.mask_length", "2"}, {"cpc.horizon", "2"},
                                           {"cpc.negatives", "5"},   {"cpc.head", "mlp"}};
    for (size_t i = 0; i < sizeof small / sizeof *small; i++)
        assert_int_equal(option_set_text(&set, small[i][0], small[i][1], OPTION_FROM_SET, &e),
                         ERR_OK);
    assert_int_equal(objective_sum_resolve(&sum, &e), ERR_OK);
    if (sum.count == 0 || objective_sum_check(&sum, &m, &e) != ERR_OK) {
        bool causal = m.backbone->causal && m.backbone->causal(m.config);
        assert_true(sum.count == 0 || (sum.spans_of && !m.backbone->hides) ||
                    (strcmp(objective, "cpc") == 0 && !causal) ||
                    (sum.mask_ratio > 0 && m.backbone->whole));
        option_set_free(&set);
        model_free(&m);
        cJSON_Delete(spec);
        return;
    }

    enum { B = 3 };
    struct tape *t = tape_new(&backend_ref64, true);
    struct build b = {.tape = t, .params = &m.params};
    struct objective_parts parts = {0};
    struct tensor *loss = objective_sum_build(&sum, &b, &m, B, &parts);
    int64_t rows = sum.views * B;
    double *x = aligned_calloc((size_t)(rows * 48), 8);
    fill(x, rows * 48, 8, 1);
    tape_bind(tape_find_input(t, "signal"), x);
    struct objective_inputs *inputs;
    assert_int_equal(objective_inputs_open(&inputs, &sum, &backend_ref64, &m, t, &e), ERR_OK);
    const int64_t samples[B] = {4, 7, 4};
    objective_inputs_draw(inputs, &(struct draw){.seed = 3, .count = B, .samples = samples});
    /* A code is picked: how the logits of codes change the loss is the op's to be tested. What makes
     * the features that they are of: */
    const char *extractor = strcmp(m.backbone->name, "w2v") ? "encoder.embed" : "encoder.conv";
    const char *const still[] = {extractor, "encoder.stem", "w2v.quantizer.weight",
                                 "w2v.quantizer.bias", NULL};
    check_direction(t, loss, &m.params, sum.spans_of ? still : NULL);
    objective_inputs_close(inputs);
    tape_free(t);
    free(x);
    option_set_free(&set);
    model_free(&m);
    cJSON_Delete(spec);
}

static void test_objectives(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof tiny_specs / sizeof *tiny_specs; i++) {
        for (int o = 0; objectives[o]; o++)
            run_objective(tiny_specs[i], objectives[o]->name);
        run_objective(tiny_specs[i], "mae+simclr");
        run_objective(tiny_specs[i], "w2v+cmsc");
    }
}

/* Where a backbone says that it is causal, tokens do not change with what comes after their samples, to
 * the bit, and those that do not say so do. */
static void test_causal(void **state)
{
    (void)state;
    int causal_count = 0;
    for (size_t i = 0; i < sizeof tiny_specs / sizeof *tiny_specs; i++) {
        enum { T = 48, CUT = 24 };
        struct err e = {0};
        struct contract c;
        struct model m;
        tiny_contract(&c);
        c.sample_count = T;
        cJSON *spec = cJSON_Parse(tiny_specs[i]);
        assert_int_equal(model_create(&m, spec, &c, NULL, &e), ERR_OK);
        assert_int_equal(model_allocate(&m, 3, &e), ERR_OK);
        for (int64_t j = 0; j < m.params.total; j++) /* what starts as zero hides nothing then */
            m.values[j] += 0.01f * (float)(j % 7);
        struct tape *t = tape_new(&backend_ref, false);
        struct build b = {.tape = t, .params = &m.params};
        struct tensor *signal =
            tape_input(t, "signal", TENSOR_REAL, false, 3, (int64_t[]){1, 3, T});
        struct tensor *tokens = model_encode(&b, &m, signal, NULL).tokens;
        tape_keep(t, tokens);
        assert_int_equal(tape_plan(t, NULL, &e), ERR_OK);
        tape_bind_parameters(t, m.values, NULL);
        float x[3 * T], *first = calloc((size_t)tokens->numel, sizeof *first);
        fill(x, 3 * T, sizeof *x, 1);
        tape_bind(signal, x);
        tape_forward(t);
        memcpy(first, tokens->data, (size_t)tokens->numel * sizeof *first);
        for (int j = 0; j < 3 * T; j++)
            x[j] += j % T >= CUT ? 1.0f : 0.0f;
        tape_forward(t);
        bool causal = m.backbone->causal && m.backbone->causal(m.config);
        int64_t before = tokens->shape[1] * CUT / T * tokens->shape[2];
        if (tokens->shape[1] == T || tokens->shape[1] == T / 2) { /* along time alone */
            bool same = memcmp(first, tokens->data, (size_t)before * sizeof *first) == 0;
            if (same != causal)
                fail_msg("%s: tokens %s see what comes", tiny_specs[i], same ? "do not" : "do");
        }
        assert_memory_not_equal(first + before, (float *)tokens->data + before,
                                (size_t)(tokens->numel - before) * sizeof *first);
        causal_count += causal;
        free(first);
        tape_free(t);
        model_free(&m);
        cJSON_Delete(spec);
    }
    assert_true(causal_count >= 3);
}

static void test_masks(void **state)
{
    (void)state;
    enum { N = 40, J = 10 };
    int32_t visible[J], masked[N - J], again[J];
    int64_t scratch[N];
    int seen[N] = {0};
    for (uint64_t sample = 0; sample < 400; sample++) {
        mask_draw(1, 2, sample, 0, N, J, visible, masked, scratch);
        int hit[N] = {0};
        for (int i = 0; i < J; i++) {
            assert_true(i == 0 || visible[i] > visible[i - 1]);
            hit[visible[i]]++;
            seen[visible[i]]++;
        }
        for (int i = 0; i < N - J; i++) {
            assert_true(i == 0 || masked[i] > masked[i - 1]);
            hit[masked[i]]++;
        }
        for (int i = 0; i < N; i++)
            assert_int_equal(hit[i], 1);
    }
    for (int i = 0; i < N; i++) /* expected 100 each, deviation 8.7 */
        assert_true(seen[i] > 60 && seen[i] < 140);
    mask_draw(1, 2, 7, 0, N, J, visible, masked, scratch);
    mask_draw(1, 3, 7, 0, N, J, again, masked, scratch);
    assert_memory_not_equal(visible, again, sizeof visible);
    mask_draw(1, 2, 7, 0, N, J, again, masked, scratch);
    assert_memory_equal(visible, again, sizeof visible);
    assert_int_equal(visible_count(0.75, 40), 10);
    assert_int_equal(visible_count(0.95, 2), 1);
    assert_int_equal(visible_count(0.05, 2), 1);
}

static void tiny_classifier_of(struct model *m, const char *spec_text)
{
    struct err e = {0};
    struct contract c;
    tiny_contract(&c);
    cJSON *spec = cJSON_Parse(spec_text);
    const char *names[] = {"a", "b"};
    struct model_classes classes = {.count = 2, .names = names, .codes = names, .titles = names};
    assert_int_equal(model_create(m, spec, &c, &classes, &e), ERR_OK);
    cJSON_Delete(spec);
}

static void tiny_classifier(struct model *m) { tiny_classifier_of(m, tiny_specs[0]); }

/* Frozen layers get no gradient and do not move the rest. */
static void test_freeze(void **state)
{
    (void)state;
    struct err e = {0};
    struct model m;
    tiny_classifier(&m);
    param_freeze_layers(&m.params, 2); /* embedding and first block */
    struct tape *t = tape_new(&backend_ref, true);
    struct build b = {.tape = t, .params = &m.params};
    struct tensor *loss = model_loss(&b, &m, 2);
    assert_int_equal(tape_plan(t, loss, &e), ERR_OK);
    assert_int_equal(model_allocate(&m, 1, &e), ERR_OK);
    tape_set_step(t, 1, 3);
    float x[96], y[4] = {1, 0, 0, 1};
    fill(x, 96, 4, 1);
    float *gradients = aligned_calloc((size_t)m.params.total, sizeof *gradients);
    tape_bind_parameters(t, m.values, gradients);
    model_loss_bind(t, x, y);
    tape_forward(t);
    tape_backward(t, 1.0);
    for (int i = 0; i < m.params.count; i++) {
        const struct param *p = m.params.items[i];
        double size = backend_ref.sum_squares(gradients + p->offset, p->numel);
        if (p->layer < 2 ? size != 0 : size == 0)
            fail_msg("%s (layer %d): gradient %g", p->name, p->layer, size);
    }
    free(gradients);
    tape_free(t);
    model_free(&m);
}

/* Gradients that share memory with activations are those of a slab of their own, to the bit, also in
 * a second pass; what nothing flows to stays zero. */
static void test_owned_gradients(void **state)
{
    (void)state;
    struct err e = {0};
    struct model m;
    tiny_classifier(&m);
    assert_int_equal(model_allocate(&m, 1, &e), ERR_OK);
    param_freeze_layers(&m.params, 1); /* the embedding */
    float x[96], y[4] = {1, 0, 0, 1},
                 *bound = aligned_calloc((size_t)m.params.total, sizeof *bound);
    fill(x, 96, 4, 1);
    struct tape *tapes[2];
    for (int own = 0; own < 2; own++) {
        struct tape *t = tapes[own] = tape_new(backend_cpu(), true);
        struct build b = {.tape = t, .params = &m.params};
        struct tensor *loss = model_loss(&b, &m, 2);
        if (own)
            tape_own_gradients(t, m.params.total);
        assert_int_equal(tape_plan(t, loss, &e), ERR_OK);
        tape_bind_parameters(t, m.values, own ? NULL : bound);
        model_loss_bind(t, x, y);
        for (int pass = 0; pass < 2; pass++) {
            memset(bound, 0, (size_t)m.params.total * sizeof *bound);
            tape_forward(t);
            tape_backward(t, 1.0);
        }
    }
    /* The second tape's turn cleared the slab of the first: fill it again. */
    tape_forward(tapes[0]);
    tape_backward(tapes[0], 1.0);
    assert_null(tape_gradients(tapes[0]));
    assert_memory_equal(tape_gradients(tapes[1]), bound, (size_t)m.params.total * sizeof *bound);
    assert_true(backend_ref.sum_squares(bound, m.params.total) > 0);
    assert_true(tape_planned_bytes(tapes[1]) <
                tape_planned_bytes(tapes[0]) + (size_t)m.params.total * sizeof *bound);
    tape_free(tapes[0]);
    tape_free(tapes[1]);
    free(bound);
    model_free(&m);
}

/* Activations kept in bf16 between the passes, all else in double: the loss is the same to the bit, in
 * a second pass too, gradients are off by as much as rounding explains, and less memory is planned. */
static void test_kept_in_bf16(void **state)
{
    (void)state;
    struct err e = {0};
    struct backend rounding = backend_ref64;
    rounding.rounds_bf16 = true;
    const struct backend *backends[] = {&backend_ref64, &rounding};
    for (size_t i = 0; i < sizeof tiny_specs / sizeof *tiny_specs; i++) {
        enum { B = 4 };
        struct model m;
        tiny_classifier_of(&m, tiny_specs[i]);
        size_t n = (size_t)m.params.total, planned[2];
        double *values = aligned_calloc(n, 8), *gradients[2], loss[2][2];
        double x[B * 48], y[B * 2];
        param_initialize(&m.params, values, 8, 5);
        fill(x, B * 48, 8, 1);
        for (int j = 0; j < B * 2; j++)
            y[j] = j % 3 == 0;
        for (int side = 0; side < 2; side++) {
            struct tape *t = tape_new(backends[side], true);
            struct build b = {.tape = t, .params = &m.params};
            struct tensor *out = model_loss(&b, &m, B);
            assert_int_equal(tape_plan(t, out, &e), ERR_OK);
            planned[side] = tape_planned_bytes(t);
            gradients[side] = aligned_calloc(n, 8);
            tape_bind_parameters(t, values, gradients[side]);
            tape_bind(tape_find_input(t, "signal"), x);
            tape_bind(tape_find_input(t, "target"), y);
            for (int pass = 0; pass < 2; pass++) {
                memset(gradients[side], 0, n * 8);
                tape_forward(t);
                loss[side][pass] = *(double *)out->data;
                tape_backward(t, 1.0);
            }
            tape_free(t);
        }
        for (int pass = 0; pass < 2; pass++)
            assert_memory_equal(&loss[1][pass], &loss[0][0], sizeof(double));
        double error = 0, power = 0;
        for (size_t j = 0; j < n; j++) {
            double d = gradients[1][j] - gradients[0][j];
            error += d * d;
            power += gradients[0][j] * gradients[0][j];
        }
        assert_true(error > 1e-9 * power && error < 1e-4 * power);
        assert_true(planned[1] < planned[0]);
        free(values);
        free(gradients[0]);
        free(gradients[1]);
        model_free(&m);
    }
}

/* What is saved is what is loaded: same bytes again, same scores; damage is refused. */
static void test_model_file(void **state)
{
    (void)state;
    struct err e = {0};
    struct contract c;
    tiny_contract(&c);
    c.normalization = NORMALIZE_GLOBAL;
    const double odd = nextafter(0.9, 1); /* cJSON's own printer would write 0.9 */
    for (int i = 0; i < CONTRACT_LEADS_MAX; i++)
        c.mean[i] = 0.25, c.std[i] = odd;
    cJSON *spec = cJSON_Parse(tiny_specs[0]);
    const char *names[] = {"NORM", "M,I \"x\""};
    struct model_classes classes = {.count = 2,
                                    .task = "t",
                                    .code_system = "scp",
                                    .names = names,
                                    .codes = names,
                                    .titles = names};
    struct model m, copy;
    assert_int_equal(model_create(&m, spec, &c, &classes, &e), ERR_OK);
    assert_int_equal(model_allocate(&m, 11, &e), ERR_OK);
    char path[] = "/tmp/ecgfm-test-XXXXXX", again[64];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    snprintf(again, sizeof again, "%s.again", path);
    assert_int_equal(model_save(&m, NULL, path, &e), ERR_OK);
    if (model_load(&copy, path, &e) != ERR_OK)
        fail_msg("%s", e.message);
    assert_int_equal(model_save(&copy, NULL, again, &e), ERR_OK);
    struct buf one, two;
    assert_int_equal(file_read(path, 1 << 20, &one, &e), ERR_OK);
    assert_int_equal(file_read(again, 1 << 20, &two, &e), ERR_OK);
    assert_int_equal(one.len, two.len);
    assert_memory_equal(one.data, two.data, one.len);
    assert_string_equal(copy.classes.names[1], names[1]);
    assert_true(copy.contract.std[0] == odd);

    struct scorer *a = NULL, *b = NULL;
    assert_int_equal(scorer_open(&a, &m, NULL, &e), ERR_OK);
    assert_int_equal(scorer_open(&b, &copy, NULL, &e), ERR_OK);
    float x[37 * 48], whole[37 * 2], single[2];
    fill(x, 37 * 48, 4, 3);
    scorer_run(a, x, 37, NULL, whole);
    for (int i = 0; i < 37; i++) { /* alone or in a batch: the same bits */
        scorer_run(b, x + i * 48, 1, NULL, single);
        assert_memory_equal(single, whole + 2 * i, sizeof single);
    }
    scorer_close(a);
    scorer_close(b);
    model_free(&copy);

    for (size_t cut = 0; cut < one.len; cut += one.len / 97 + 1) {
        assert_int_equal(file_write_atomic(path, one.data, cut, &e), ERR_OK);
        assert_int_equal(model_load(&copy, path, &e), ERR_MODEL);
        model_free(&copy);
    }
    float nan_value = NAN;
    memcpy(one.data + one.len - 4, &nan_value, 4);
    assert_int_equal(file_write_atomic(path, one.data, one.len, &e), ERR_OK);
    assert_int_equal(model_load(&copy, path, &e), ERR_MODEL);
    model_free(&copy);
    unlink(path);
    unlink(again);
    buf_free(&one);
    buf_free(&two);
    model_free(&m);
    cJSON_Delete(spec);
}

static void test_windows(void **state)
{
    (void)state;
    struct contract c;
    contract_default(&c);
    c.sample_count = 100;
    assert_int_equal(window_count(&c, 99), 0);
    assert_int_equal(window_count(&c, 100), 1);
    assert_int_equal(window_count(&c, 101), 2);
    assert_int_equal(window_count(&c, 150), 2);
    assert_int_equal(window_count(&c, 151), 3);
    for (int64_t samples = 100; samples < 777; samples += 13) {
        int64_t n = window_count(&c, samples);
        assert_int_equal(window_start(&c, samples, 0), 0);
        assert_int_equal(window_start(&c, samples, n - 1), samples - 100);
        for (int64_t i = 1; i < n; i++)
            assert_true(window_start(&c, samples, i) - window_start(&c, samples, i - 1) <= 50);
    }
}

/* Every preset is a model that can be built for the input it says, or ten seconds at 100 Hz. */
static void test_presets(void **state)
{
    (void)state;
    for (int i = 0; presets[i].name; i++) {
        struct err e = {0};
        struct option_set set;
        struct model_options options;
        struct input_options input;
        option_set_init(&set);
        model_options_add(&set, &options);
        option_set_add(&set, "input", input_rows, &input);
        assert_int_equal(option_set_text(&set, "input.seconds", "10", OPTION_FROM_DEFAULT, &e),
                         ERR_OK);
        options.model = presets[i].name;
        cJSON *spec;
        struct contract c;
        struct model m;
        if (model_options_spec(&set, &options, &spec, &e) != ERR_OK ||
            input_contract(&input, &c, &e) != ERR_OK ||
            model_create(&m, spec, &c, NULL, &e) != ERR_OK)
            fail_msg("%s: %s", presets[i].name, e.message);
        if (!strcmp(presets[i].name, "ecg-fm")) {
            /* The published fine-tuned file has 90,386,321 values, 769 x 17 of them in its head. */
            assert_int_equal(param_count_values(&m.params), 90386321 - 769 * 17);
            assert_int_equal(c.sample_count, 2500);
            assert_int_equal(m.backbone->token_count(m.config, 12, 2500), 156);
        }
        if (!strcmp(presets[i].name, "s4")) { /* 2,167,813 with a head of five classes */
            assert_int_equal(param_count_values(&m.params), 2167813 - 5 * 513);
            assert_int_equal(c.sample_count, 250);
        }
        /* Of PyTorch's statements of the same networks, without heads. */
        static const struct {
            const char *name;
            int64_t values;
        } counted[] = {{"xresnet1d18", 347264},    {"xresnet1d34", 676992},
                       {"xresnet1d50", 886400},    {"xresnet1d101", 1804672},
                       {"xresnet1d152", 2722944},  {"resnet1d-wang", 2113280},
                       {"merl-resnet18", 3848832}, {"merl-resnet34", 7223168},
                       {"merl-resnet50", 15959168}};
        for (size_t k = 0; k < sizeof counted / sizeof *counted; k++)
            if (!strcmp(presets[i].name, counted[k].name))
                assert_int_equal(param_count_values(&m.params), counted[k].values);
        if (!strcmp(presets[i].name, "vit-small")) { /* over 250 tokens: 10 s at 250 Hz */
            struct model longer;
            contract_default(&c);
            c.sample_count = 2500;
            assert_int_equal(model_create(&longer, spec, &c, NULL, &e), ERR_OK);
            assert_int_equal(param_count_values(&longer.params), 21436800);
            assert_int_equal(longer.backbone->token_count(longer.config, 12, 2500), 250);
            model_free(&longer);
        }
        model_free(&m);
        cJSON_Delete(spec);
        option_set_free(&set);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_objectives),      cmocka_unit_test(test_causal),
        cmocka_unit_test(test_masks),           cmocka_unit_test(test_freeze),
        cmocka_unit_test(test_owned_gradients), cmocka_unit_test(test_kept_in_bf16),
        cmocka_unit_test(test_model_file),      cmocka_unit_test(test_windows),
        cmocka_unit_test(test_presets)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
