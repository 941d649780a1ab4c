/* Model files in every storage: what is written is read back to the bit and scored from the map; what
 * is wrong is refused by name. */
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
#include "folder.h"
#include "format/safetensors.h"
#include "kernel/storage.h"
#include "model/scorer.h"

static const char *const specs[] = {
    "{\"network\":{\"backbone\":\"vit\",\"pool\":\"mean_max\"},\"vit\":{\"width\":8,\"depth\":2,"
    "\"heads\":2,\"patch\":4}}",
    "{\"network\":{\"backbone\":\"w2v\",\"pool\":\"mean\"},\"w2v\":{\"width\":16,"
    "\"depth\":1,\"heads\":2,\"conv_layers\":2,\"conv_width\":8,\"conv_norm_groups\":8,"
    "\"position_kernel\":4,\"position_groups\":2}}",
    "{\"network\":{\"backbone\":\"vit\",\"pool\":\"mean_max_last\",\"head\":\"mlp\"},"
    "\"head\":{\"width\":12},\"vit\":{\"width\":8,\"depth\":1,\"heads\":2,\"patch\":4}}",
    "{\"network\":{\"backbone\":\"vit\",\"pool\":\"attention\"},\"head\":{\"pool_heads\":2},"
    "\"vit\":{\"width\":8,\"depth\":1,\"heads\":2,\"patch\":4}}"};

enum { L = 3, T = 64, K = 2, WINDOWS = 5 };

static void model_make(struct model *m, const char *spec_text)
{
    struct err e = {0};
    struct contract c;
    contract_default(&c);
    c.lead_count = L;
    c.sample_count = T;
    static const char *names[] = {"A", "B"};
    struct model_classes classes = {.count = K, .names = names};
    cJSON *spec = cJSON_Parse(spec_text);
    enum err_code code = model_create(m, spec, &c, &classes, &e);
    cJSON_Delete(spec);
    if (code != ERR_OK)
        fail_msg("%s", e.message);
    assert_int_equal(model_allocate(m, 3, &e), ERR_OK);
}

static void scores_of(const struct model *m, float *logits)
{
    float x[WINDOWS * L * T];
    struct rng r = rng_at(5, RNG_STREAM_TEST, 0, 0);
    for (int i = 0; i < WINDOWS * L * T; i++)
        x[i] = (float)rng_between(&r, -1, 1);
    struct err e = {0};
    struct scorer *s = NULL;
    assert_int_equal(scorer_open(&s, m, NULL, &e), ERR_OK);
    scorer_run(s, x, WINDOWS, NULL, logits);
    scorer_close(s);
}

/* Open and loaded, a file gives the same scores; float32 gives those of the model it came from. */
static void check_storage(const struct model *m, enum storage storage)
{
    struct err e = {0};
    const char *path = in_folder("model"), *again = in_folder("again");
    assert_int_equal(model_save_as(m, storage, path, &e), ERR_OK);
    struct model open, loaded;
    if (model_open(&open, path, &e) != ERR_OK || model_load(&loaded, path, &e) != ERR_OK)
        fail_msg("%s", e.message);
    assert_null(open.values);
    assert_null(loaded.weights);
    assert_int_equal(model_storage(&open), storage);
    assert_int_equal(model_storage(&loaded), STORAGE_F32);
    int matrices = 0;
    for (int i = 0; i < m->params.count; i++) {
        const struct param *p = m->params.items[i];
        struct weight w = model_weight(&open, i);
        assert_int_equal(w.storage, p->product ? storage : STORAGE_F32);
        matrices += p->product;
        float *wide = malloc((size_t)p->numel * sizeof *wide);
        weight_to_f32(wide, &w, p->shape[0], p->numel / p->shape[0]);
        assert_memory_equal(wide, loaded.values + p->offset, (size_t)p->numel * sizeof *wide);
        double bound = storage == STORAGE_INT8 ? 0.51 / 127 : storage == STORAGE_BF16 ? 0.002 : 0;
        for (int64_t j = 0; j < p->numel; j++)
            assert_true(fabs((double)(wide[j] - m->values[p->offset + j])) <= bound * 4);
        free(wide);
    }
    assert_true(matrices > 4);

    float first[WINDOWS * K], second[WINDOWS * K], original[WINDOWS * K];
    scores_of(&open, first);
    scores_of(&loaded, second);
    scores_of(m, original);
    assert_memory_equal(first, second, sizeof first);
    if (storage == STORAGE_F32)
        assert_memory_equal(first, original, sizeof first);
    for (int i = 0; i < WINDOWS * K; i++)
        assert_true(fabsf(first[i] - original[i]) < 0.05F);

    /* From the open file to the same storage: the same bytes. */
    assert_int_equal(model_save_as(&open, storage, again, &e), ERR_OK);
    struct buf one, two;
    assert_int_equal(file_read(path, 0, &one, &e), ERR_OK);
    assert_int_equal(file_read(again, 0, &two, &e), ERR_OK);
    assert_int_equal(one.len, two.len);
    assert_memory_equal(one.data, two.data, one.len);
    buf_free(&one);
    buf_free(&two);
    model_free(&open);
    model_free(&loaded);
}

static void test_storages(void **state)
{
    (void)state;
    assert_true(backend_select("ref")); /* reads every storage alike */
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        struct model m;
        model_make(&m, specs[i]);
        check_storage(&m, STORAGE_F32);
        check_storage(&m, STORAGE_BF16);
        check_storage(&m, STORAGE_INT8);
        model_free(&m);
    }
    assert_true(backend_select("cpu"));
}

/* ---- hostile files: one tensor of a good file is changed ---- */

static const char matrix[] = "encoder.block.0.mlp.up.weight",
                  bias[] = "encoder.block.0.mlp.up.bias",
                  scale[] = "encoder.block.0.mlp.up.weight.scale";

static struct safetensor *tensor_named(struct safetensor *list, int64_t n, const char *name)
{
    for (int64_t i = 0; i < n; i++)
        if (strcmp(list[i].name, name) == 0)
            return &list[i];
    fail_msg("no tensor %s", name);
    return NULL;
}

enum change {
    TAKE_AWAY,
    DTYPE,  /* the same bytes in tensors of another type */
    LONGER, /* one more along the first axis */
    RANK_2, /* [N,1] */
    VALUE,  /* bytes of value at element `at` */
};

struct hostile {
    enum storage storage; /* of the file */
    const char *tensor;
    enum change change;
    enum safetensors_dtype dtype;
    uint32_t value;
    const char *message; /* part of what is said */
};

static const struct hostile hostile_cases[] = {
    {STORAGE_F32, matrix, TAKE_AWAY, 0, 0, "mlp.up.weight is missing"},
    {STORAGE_F32, matrix, DTYPE, ST_I32, 0, "expected F32, BF16 or I8, found I32"},
    {STORAGE_F32, bias, DTYPE, ST_I32, 0, "expected F32, found I32"},
    {STORAGE_F32, matrix, LONGER, 0, 0, "another shape"},
    {STORAGE_F32, matrix, VALUE, 0, 0x7f800000, "value 1 is not finite"},
    {STORAGE_F32, bias, VALUE, 0, 0xffc00000, "value 1 is not finite"},
    {STORAGE_BF16, matrix, DTYPE, ST_F16, 0, "expected F32, BF16 or I8, found F16"},
    {STORAGE_BF16, matrix, VALUE, 0, 0x7fc0, "value 1 is not finite"},
    {STORAGE_BF16, matrix, VALUE, 0, 0xff80, "value 1 is not finite"},
    {STORAGE_BF16, matrix, LONGER, 0, 0, "another shape"},
    {STORAGE_INT8, matrix, DTYPE, ST_U8, 0, "found U8"},
    {STORAGE_INT8, matrix, TAKE_AWAY, 0, 0, "is missing"},
    {STORAGE_INT8, matrix, LONGER, 0, 0, "another shape"},
    {STORAGE_INT8, scale, TAKE_AWAY, 0, 0, "is I8, but"},
    {STORAGE_INT8, scale, DTYPE, ST_I32, 0, "expected F32 of 32 output channels, found I32"},
    {STORAGE_INT8, scale, LONGER, 0, 0, "expected F32 of 32 output channels"},
    {STORAGE_INT8, scale, RANK_2, 0, 0, "of rank 2"},
    {STORAGE_INT8, scale, VALUE, 0, 0x7fc00000, "value 1 is nan"},
    {STORAGE_INT8, scale, VALUE, 0, 0x7f800000, "value 1 is inf"},
    {STORAGE_INT8, scale, VALUE, 0, 0xbf800000, "value 1 is -1"},
    {STORAGE_INT8, scale, VALUE, 0, 0, "value 1 is 0"},
};

static void write_changed(const struct hostile *h, const char *from, const char *to)
{
    struct err e = {0};
    struct safetensors st;
    assert_int_equal(safetensors_open(&st, from, &e), ERR_OK);
    int64_t n = st.count;
    struct safetensor *list = calloc((size_t)n, sizeof *list);
    memcpy(list, st.tensors, (size_t)n * sizeof *list);
    struct safetensor *t = tensor_named(list, n, h->tensor);
    size_t unit = safetensors_dtype_size(t->dtype);
    char *data = calloc(1, 2 * t->bytes);
    memcpy(data, t->data, t->bytes);
    t->data = data;
    switch (h->change) {
    case TAKE_AWAY:
        *t = list[--n];
        break;
    case DTYPE:
        t->dtype = h->dtype;
        break;
    case LONGER:
        t->bytes += t->bytes / (size_t)t->shape[0];
        t->shape[0]++;
        break;
    case RANK_2:
        t->shape[t->rank++] = 1;
        break;
    case VALUE:
        memcpy(data + unit, &h->value, unit);
        break;
    }
    assert_int_equal(safetensors_write(to, list, n, st.metadata_keys, st.metadata_values,
                                       st.metadata_count, &e),
                     ERR_OK);
    free(data);
    free(list);
    safetensors_close(&st);
}

static enum err_code code_of_scoring(const struct model *m)
{
    float x[L * T], features[64], logits[K];
    for (int i = 0; i < L * T; i++)
        x[i] = (float)((i * 7 % 11) - 5);
    struct scored r = {.x = x, .samples = T, .features = features, .logits = logits};
    assert_true(model_feature_count(m) <= 64);
    struct err e = {0};
    struct scorer *s = NULL;
    assert_int_equal(scorer_open(&s, m, NULL, &e), ERR_OK);
    scorer_records(s, &r, 1);
    scorer_close(s);
    return r.code;
}

/* Refused, with what is wrong; opened for scoring, a value of a matrix when it is asked about. */
static void test_hostile(void **state)
{
    (void)state;
    struct model m, bad;
    struct err e = {0};
    model_make(&m, specs[0]);
    const char *path = in_folder("good"), *changed = in_folder("changed");
    for (size_t i = 0; i < sizeof hostile_cases / sizeof *hostile_cases; i++) {
        const struct hostile *h = &hostile_cases[i];
        bool later = h->change == VALUE && h->tensor == matrix;
        assert_int_equal(model_save_as(&m, h->storage, path, &e), ERR_OK);
        write_changed(h, path, changed);
        e = (struct err){0};
        assert_int_equal(model_open(&bad, changed, &e), ERR_MODEL);
        model_free(&bad);
        if (!strstr(e.message, h->message))
            fail_msg("case %zu: \"%s\" does not say \"%s\"", i, e.message, h->message);
        e = (struct err){0};
        assert_int_equal(model_open_unchecked(&bad, changed, &e), later ? ERR_OK : ERR_MODEL);
        if (later) {
            assert_int_equal(code_of_scoring(&bad), ERR_NUMERIC);
            assert_int_equal(model_check(&bad, &e), ERR_MODEL);
            assert_non_null(strstr(e.message, h->message));
        }
        model_free(&bad);
    }
    model_free(&m);
}

/* A scale beside a matrix that is not I8 is one tensor too many. */
static void test_stray_tensor(void **state)
{
    (void)state;
    struct model m, bad;
    struct err e = {0};
    model_make(&m, specs[0]);
    const char *path = in_folder("good"), *changed = in_folder("changed");
    assert_int_equal(model_save_as(&m, STORAGE_BF16, path, &e), ERR_OK);
    struct safetensors st;
    assert_int_equal(safetensors_open(&st, path, &e), ERR_OK);
    struct safetensor *list = calloc((size_t)st.count + 1, sizeof *list);
    memcpy(list + 1, st.tensors, (size_t)st.count * sizeof *list);
    float ones[32] = {1};
    list[0] = (struct safetensor){
        .name = scale, .dtype = ST_F32, .rank = 1, .shape = {32}, .data = ones, .bytes = 128};
    assert_int_equal(safetensors_write(changed, list, st.count + 1, st.metadata_keys,
                                       st.metadata_values, st.metadata_count, &e),
                     ERR_OK);
    assert_int_equal(model_open(&bad, changed, &e), ERR_MODEL);
    assert_non_null(strstr(e.message, "tensors, found"));
    model_free(&bad);
    free(list);
    safetensors_close(&st);
    model_free(&m);
}

static void test_truncated(void **state)
{
    (void)state;
    struct model m, bad;
    struct err e = {0};
    model_make(&m, specs[0]);
    const char *path = in_folder("good"), *changed = in_folder("changed");
    static const enum storage storages[] = {STORAGE_F32, STORAGE_BF16, STORAGE_INT8};
    for (int s = 0; s < 3; s++) {
        assert_int_equal(model_save_as(&m, storages[s], path, &e), ERR_OK);
        struct buf all;
        assert_int_equal(file_read(path, 0, &all, &e), ERR_OK);
        for (size_t cut = 0; cut < all.len; cut += all.len / 61 + 1) {
            struct file_writer w;
            assert_int_equal(file_writer_open(&w, changed, &e), ERR_OK);
            w.unsynced = true;
            file_writer_write(&w, all.data, cut);
            assert_int_equal(file_writer_commit(&w, &e), ERR_OK);
            assert_int_equal(model_open(&bad, changed, &e), ERR_MODEL);
            model_free(&bad);
        }
        buf_free(&all);
    }
    model_free(&m);
}

/* What lets a file be scored before all its values are looked at: one of a matrix that is not finite
 * makes every result not finite. */
static void test_not_finite_shows(void **state)
{
    (void)state;
    static const char *const networks[] = {
        "{\"network\":{\"backbone\":\"vit\",\"pool\":\"mean_max\"},\"vit\":{\"width\":8,"
        "\"depth\":2,\"heads\":2,\"patch\":4}}",
        "{\"network\":{\"backbone\":\"vit\",\"pool\":\"max\"},\"vit\":{\"width\":8,"
        "\"depth\":1,\"heads\":1,\"patch\":8}}",
        "{\"network\":{\"backbone\":\"w2v\",\"pool\":\"mean\"},\"w2v\":{\"width\":16,"
        "\"depth\":1,\"heads\":2,\"conv_layers\":2,\"conv_width\":8,\"conv_norm_groups\":8,"
        "\"position_kernel\":4,\"position_groups\":2}}",
        "{\"network\":{\"backbone\":\"w2v\",\"pool\":\"max\"},\"w2v\":{\"width\":16,"
        "\"depth\":1,\"heads\":2,\"conv_layers\":1,\"conv_width\":8,\"conv_norm_groups\":8,"
        "\"position_kernel\":32,\"position_groups\":2}}"};
    static const char *const backends[] = {"cpu", "cpu-bf16", "cpu-int8"};
    const float bad[] = {NAN, INFINITY, -INFINITY};
    int tried = 0;
    for (int b = 0; b < 3; b++)
        for (int i = 0; i < 4; i++) {
            struct model m;
            model_make(&m, networks[i]);
            if (!backend_select(backends[b]))
                break; /* not on this machine */
            assert_int_equal(code_of_scoring(&m), ERR_OK);
            for (int p = 0; p < m.params.count; p++)
                for (int v = 0; v < 6 && m.params.items[p]->product; v++, tried++) {
                    const struct param *param = m.params.items[p];
                    float *at = &m.values[param->offset + (v < 3 ? 0 : param->numel - 1)];
                    float was = *at;
                    *at = bad[v % 3];
                    if (code_of_scoring(&m) != ERR_NUMERIC)
                        fail_msg("%g in %s of network %d passes %s", (double)bad[v % 3],
                                 param->name, i, backends[b]);
                    *at = was;
                }
            model_free(&m);
        }
    assert_true(backend_select("cpu"));
    assert_true(tried > 100);
}

/* Each class of a record is what it says of its windows, before and after a file; one window by itself
 * is its own logit. */
static void test_aggregation(void **state)
{
    (void)state;
    static const char *names[] = {"logit", "mean", "max", "plain"};
    static const char *kinds[] = {"mean_logit", "mean", "max", NULL};
    enum { CLASSES = 4, SEGMENTS = 3, SAMPLES = SEGMENTS * T + T / 2 };
    struct model m, open;
    struct contract c;
    struct err e = {0};
    contract_default(&c);
    c.lead_count = L;
    c.sample_count = T;
    c.windows = WINDOWS_SEGMENTS;
    c.normalization = NORMALIZE_LEAD_RECORD;
    c.resampling = RESAMPLE_LINEAR;
    c.missing = MISSING_ZERO;
    struct model_classes classes = {.count = CLASSES, .names = names, .aggregation = kinds};
    cJSON *spec = cJSON_Parse(specs[0]);
    assert_int_equal(model_create(&m, spec, &c, &classes, &e), ERR_OK);
    assert_int_equal(model_allocate(&m, 3, &e), ERR_OK);
    const struct param *head = param_find(&m.params, "head.weight");
    for (int64_t i = 0; i < head->numel; i++) /* logits that differ from window to window */
        m.values[head->offset + i] = (float)sin(1.7 * (double)(i + 1));
    assert_int_equal(model_save(&m, NULL, in_folder("aggregated"), &e), ERR_OK);
    if (model_open(&open, in_folder("aggregated"), &e) != ERR_OK)
        fail_msg("%s", e.message);
    assert_true(open.contract.windows == WINDOWS_SEGMENTS &&
                open.contract.missing == MISSING_ZERO &&
                open.contract.resampling == RESAMPLE_LINEAR &&
                open.contract.normalization == NORMALIZE_LEAD_RECORD);
    for (int k = 0; k < CLASSES; k++)
        assert_string_equal(open.classes.aggregation[k], kinds[k] ? kinds[k] : "mean_logit");

    float x[L * SAMPLES], windows[SEGMENTS * L * T], logits[CLASSES], again[CLASSES];
    float each[SEGMENTS * CLASSES], one[CLASSES];
    struct rng r = rng_at(6, RNG_STREAM_TEST, 0, 0);
    for (int i = 0; i < L * SAMPLES; i++)
        x[i] = (float)rng_between(&r, -1, 1) * (1 + (float)(i % SAMPLES) / T);
    for (int w = 0; w < SEGMENTS; w++)
        for (int l = 0; l < L; l++)
            memcpy(windows + (w * L + l) * T, x + l * SAMPLES + w * T, T * sizeof *x);
    struct scored records[2] = {{.x = x, .samples = SAMPLES, .logits = logits},
                                {.x = windows, .samples = T, .logits = one}};
    struct scorer *s = NULL;
    assert_int_equal(scorer_open(&s, &m, NULL, &e), ERR_OK);
    scorer_run(s, windows, SEGMENTS, NULL, each);
    scorer_records(s, records, 2);
    scorer_close(s);
    assert_true(records[0].code == ERR_OK && records[1].code == ERR_OK);
    assert_memory_equal(one, each, sizeof one);
    double mean[CLASSES] = {0}, probability = 0, most = -1e9;
    for (int w = 0; w < SEGMENTS; w++) {
        for (int k = 0; k < CLASSES; k++)
            mean[k] += each[w * CLASSES + k] / (double)SEGMENTS;
        probability += 1 / (1 + exp(-(double)each[w * CLASSES + 1])) / SEGMENTS;
        most = fmax(most, each[w * CLASSES + 2]);
    }
    assert_float_equal(logits[0], mean[0], 1e-6);
    assert_float_equal(logits[3], mean[3], 1e-6);
    assert_float_equal(score_from_logit(logits[1]), probability, 1e-6);
    assert_true(fabs(1 / (1 + exp(-mean[1])) - probability) > 1e-5);
    assert_true(logits[2] == (float)most && most > mean[2] + 1e-4);
    records[0].logits = again;
    assert_int_equal(scorer_open(&s, &open, NULL, &e), ERR_OK);
    scorer_records(s, records, 1);
    scorer_close(s);
    assert_memory_equal(again, logits, sizeof logits);
    model_free(&open);
    model_free(&m);
    kinds[1] = "median";
    assert_int_equal(model_create(&m, spec, &c, &classes, &e), ERR_MODEL);
    assert_non_null(strstr(e.message, "median"));
    model_free(&m);
    cJSON_Delete(spec);
}

/* A model of values: what its outputs stand for is kept in the file; a scale that is none is refused, and
 * so are windows that make anything but a mean. */
static void test_values(void **state)
{
    (void)state;
    struct model m, read;
    struct contract c;
    struct err e = {0};
    contract_default(&c);
    c.lead_count = L;
    c.sample_count = T;
    const char *names[] = {"age", "lvef"}, *max[] = {"max", "max"};
    double means[] = {57.25, 50}, deviations[] = {19.5, 0.125};
    struct model_classes classes = {.count = K,
                                    .names = names,
                                    .values = true,
                                    .unit = "years",
                                    .means = means,
                                    .deviations = deviations};
    cJSON *spec = cJSON_Parse(specs[0]);
    assert_int_equal(model_create(&m, spec, &c, &classes, &e), ERR_OK);
    assert_int_equal(model_allocate(&m, 3, &e), ERR_OK);
    const char *path = in_folder("values");
    assert_int_equal(model_save(&m, NULL, path, &e), ERR_OK);
    if (model_open(&read, path, &e) != ERR_OK)
        fail_msg("%s", e.message);
    assert_true(read.classes.values && read.classes.means[0] == 57.25 &&
                read.classes.deviations[1] == 0.125);
    assert_string_equal(read.classes.unit, "years");
    assert_true(score_from_output(&read.classes, 0, 2) == 96.25f);
    assert_true(score_from_output(&read.classes, 1, -4) == 49.5f);
    model_free(&read);
    model_free(&m);
    classes.aggregation = max;
    assert_int_equal(model_create(&m, spec, &c, &classes, &e), ERR_MODEL);
    assert_non_null(strstr(e.message, "mean over windows"));
    model_free(&m);
    cJSON_Delete(spec);

    static const char *const bad[] = {
        "{\"kind\":\"values\",\"classes\":[{\"name\":\"x\"}]}",
        "{\"kind\":\"values\",\"classes\":[{\"name\":\"x\",\"mean\":1,\"deviation\":0}]}",
        "{\"kind\":\"values\",\"classes\":[{\"name\":\"x\",\"mean\":1,\"deviation\":1e99}]}",
        "{\"kind\":\"values\",\"classes\":[{\"name\":\"x\",\"mean\":\"1\",\"deviation\":1}]}",
        "{\"kind\":\"ranks\",\"classes\":[{\"name\":\"x\",\"mean\":1,\"deviation\":1}]}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct arena a;
        arena_init(&a, "test", 0);
        cJSON *json = cJSON_Parse(bad[i]);
        struct model_classes out = {0};
        if (model_classes_from_json(json, &a, &out, &e) != ERR_MODEL)
            fail_msg("%s was taken", bad[i]);
        cJSON_Delete(json);
        arena_reset(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_not_finite_shows), cmocka_unit_test(test_storages),
        cmocka_unit_test(test_values),           cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_stray_tensor),     cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_aggregation),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
