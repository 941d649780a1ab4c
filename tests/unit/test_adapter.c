/* Adapting: what is added starts as nothing, merging changes no score, what must stay stays to the bit,
 * and adapter files make the same model of the same base and are refused by another. */
#define _GNU_SOURCE
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <cjson/cJSON.h>

#include "base/rng.h"
#include "base/str.h"
#include "folder.h"
#include "format/safetensors.h"
#include "model/adapter.h"
#include "model/scorer.h"
#include "train/adaptation.h"
#include "train/trainer.h"

enum { L = 12, T = 64, K = 3, WINDOWS = 5, BATCH = 4 };

#define VIT                                                                                        \
    "\"network\":{\"backbone\":\"vit\"%s},\"vit\":{\"width\":16,\"depth\":2,\"heads\":2,"          \
    "\"patch\":8}"
#define W2V                                                                                        \
    "\"network\":{\"backbone\":\"w2v\"%s},\"w2v\":{\"width\":16,\"depth\":2,\"heads\":2,"          \
    "\"conv_layers\":2,\"conv_width\":8,\"conv_norm_groups\":8,\"position_kernel\":4,"             \
    "\"position_groups\":2}"
#define XRESNET                                                                                    \
    "\"network\":{\"backbone\":\"xresnet1d\"%s},\"xresnet1d\":{\"depth\":\"18\",\"width\":8}"
enum { NET_VIT, NET_W2V, NET_XRESNET };
static const char *const networks[] = {"{" VIT "%s}", "{" W2V "%s}", "{" XRESNET "%s}"};

#define LORA ",\"lora\":{\"rank\":3,\"alpha\":6}"
#define ADAPTER ",\"adapter_width\":5"

static void model_make(struct model *m, int network, const char *in_network, const char *beside)
{
    char text[1024];
    struct err e = {0};
    struct contract c;
    contract_default(&c);
    c.sample_count = T;
    static const char *names[K] = {"A", "B", "C"};
    struct model_classes classes = {.count = K, .names = names};
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(text, sizeof text, networks[network], in_network, beside);
#pragma GCC diagnostic pop
    cJSON *spec = cJSON_Parse(text);
    enum err_code code = model_create(m, spec, &c, &classes, &e);
    cJSON_Delete(spec);
    if (code != ERR_OK || model_allocate(m, 3, &e) != ERR_OK)
        fail_msg("%s", e.message);
}

static void fill(float *x, int64_t n, double most, uint64_t seed)
{
    struct rng r = rng_at(seed, RNG_STREAM_TEST, 0, 0);
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)rng_between(&r, -most, most);
}

/* Random values in every parameter whose name has the text. */
static void shake(struct model *m, const char *text)
{
    for (int i = 0; i < m->params.count; i++)
        if (strstr(m->params.items[i]->name, text))
            fill(m->values + m->params.items[i]->offset, m->params.items[i]->numel, 0.5,
                 (uint64_t)i);
}

static void logits_of(const struct model *m, float logits[WINDOWS * K])
{
    static float x[WINDOWS * L * T];
    fill(x, WINDOWS * L * T, 1, 5);
    struct err e = {0};
    struct scorer *s = NULL;
    if (scorer_open(&s, m, NULL, &e) != ERR_OK)
        fail_msg("%s", e.message);
    scorer_run(s, x, WINDOWS, NULL, logits);
    scorer_close(s);
}

static double difference(const struct model *a, const struct model *b)
{
    float x[WINDOWS * K], y[WINDOWS * K];
    double most = 0;
    logits_of(a, x);
    logits_of(b, y);
    for (int i = 0; i < WINDOWS * K; i++)
        most = fmax(most, fabs((double)x[i] - (double)y[i]));
    return most;
}

static void targets_are_ends_or_patterns(void **state)
{
    (void)state;
    static const struct {
        const char *targets, *name;
        bool is;
    } cases[] = {{"qkv,out", "encoder.block.0.attention.qkv", true},
                 {"qkv, out", "encoder.block.0.attention.out", true},
                 {"qkv,out", "encoder.block.0.mlp.up", false},
                 {"up", "encoder.block.0.mlp.setup", false},
                 {"mlp.up", "encoder.block.0.mlp.up", true},
                 {"*", "encoder.embed", true},
                 {"encoder.block.1.*", "encoder.block.1.mlp.up", true},
                 {"encoder.block.1.*", "encoder.block.10.mlp.up", false},
                 {"block.?.mlp.*", "encoder.block.3.mlp.down", true},
                 {"", "encoder.embed", false},
                 {",", "encoder.embed", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (lora_is_target(&(struct lora_options){.targets = cases[i].targets}, cases[i].name) !=
            cases[i].is)
            fail_msg("%s of %s", cases[i].name, cases[i].targets);
    assert_true(str_matches("a*b*c", "aXbYbZc") && !str_matches("a*b*c", "aXbYbZ"));
    assert_true(str_matches("**", "") && !str_matches("?", ""));
}

/* With additions of zero the scores are the base's to the bit; merged they are those of the unmerged. */
static void merging_changes_no_score(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct model base, m, merged;
        struct err e = {0};
        model_make(&base, i, "", "");
        model_make(&m, i, "", LORA);
        assert_int_equal(model_copy_encoder(&m, &base, &e), ERR_OK);
        shake(&base, "head.weight");
        memcpy(m.values + param_find(&m.params, "head.weight")->offset,
               base.values + param_find(&base.params, "head.weight")->offset,
               (size_t)param_find(&m.params, "head.weight")->numel * sizeof(float));
        assert_int_equal(m.params.count - base.params.count, 2 * 4 * 2);
        assert_true(difference(&base, &m) == 0);
        shake(&m, "lora.");
        assert_true(difference(&base, &m) > 0.05);
        if (model_merge(&m, &merged, &e) != ERR_OK)
            fail_msg("%s", e.message);
        assert_int_equal(merged.params.count, base.params.count);
        assert_true(difference(&m, &merged) < 1e-5);
        cJSON *spec = model_spec_json(&merged);
        assert_null(cJSON_GetObjectItemCaseSensitive(spec, "lora"));
        cJSON_Delete(spec);
        model_free(&base);
        model_free(&m);
        model_free(&merged);
    }
}

/* Adapters start near nothing and take part once they learn. */
static void adapters_start_small(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct model base, m;
        struct err e = {0};
        model_make(&base, i, "", "");
        model_make(&m, i, ADAPTER, "");
        shake(&base, "head.weight");
        assert_int_equal(model_copy_encoder(&m, &base, &e), ERR_OK);
        memcpy(m.values + param_find(&m.params, "head.weight")->offset,
               base.values + param_find(&base.params, "head.weight")->offset,
               (size_t)param_find(&m.params, "head.weight")->numel * sizeof(float));
        assert_int_equal(m.params.count - base.params.count, 2 * 2 * 4);
        double start = difference(&base, &m);
        assert_true(start > 0 && start < 0.01);
        shake(&m, ".adapter1.");
        double one = difference(&base, &m);
        assert_true(one > 0.05);
        shake(&m, ".adapter2.");
        assert_true(fabs(difference(&base, &m) - one) > 1e-3);
        model_free(&base);
        model_free(&m);
    }
}

/* --- training ------------------------------------------------------------------------------------ */

static void train(struct model *m, const char *adapt)
{
    struct err e = {0};
    struct trainer *t = NULL;
    struct trainer_options o = {.epochs = 1,
                                .accumulate = 1,
                                .optimizer = "adam", /* decays all that learns */
                                .schedule = "fixed",
                                .lr = 1e-2,
                                .beta1 = 0.9,
                                .beta2 = 0.99,
                                .epsilon = 1e-20,
                                .weight_decay = 0.1,
                                .layer_decay = 1,
                                .head_rate = 1,
                                .encoder_rate = 1,
                                .embed_rate = 1};
    static const struct trainer_task task;
    if (adaptation_apply(adaptation_find(adapt), m, &e) != ERR_OK ||
        trainer_open(&t, &o, &task, m, BATCH, 1, &e) != ERR_OK ||
        trainer_start(t, 100, &e) != ERR_OK)
        fail_msg("%s", e.message);
    static float x[BATCH * L * T], y[BATCH * K];
    static int64_t samples[BATCH];
    struct batch batch = {.count = BATCH, .x = x, .targets = y, .samples = samples};
    fill(x, BATCH * L * T, 1, 9);
    for (int i = 0; i < BATCH * K; i++)
        y[i] = (float)(i % 5 % 2);
    for (int step = 0; step < 4; step++)
        if (trainer_step(t, &batch, &e) != ERR_OK)
            fail_msg("%s", e.message);
    trainer_close(t);
}

/* What a row says learns, and nothing else, whatever decays. Running statistics of batch norms stay where
 * those do not learn. */
static void only_what_learns_changes(void **state)
{
    (void)state;
    static const struct {
        const char *adapt, *in_network, *beside, *learns;
    } cases[] = {{"full", "", "", "*"},
                 {"head", "", "", "head.*"},
                 {"head", ",\"pool\":\"attention\",\"head\":\"mlp\"",
                  ",\"head\":{\"pool_heads\":2}", "head.*"},
                 {"lora", "", LORA, "head.*,*.lora.down,*.lora.up"},
                 {"adapter", ADAPTER, "", "head.*,*.adapter1.*,*.adapter2.*,*norm*"},
                 {"bias", "", "", "head.*,*.bias"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int network = NET_VIT; network <= NET_XRESNET; network++) {
            struct model m;
            if (network == NET_XRESNET && strchr("la", cases[i].adapt[0])) /* LoRA, adapters */
                continue;
            model_make(&m, network, cases[i].in_network, cases[i].beside);
            float *before = malloc((size_t)m.params.total * sizeof *before);
            memcpy(before, m.values, (size_t)m.params.total * sizeof *before);
            train(&m, cases[i].adapt);
            for (int j = 0; j < m.params.count; j++) {
                const struct param *p = m.params.items[j];
                bool moved = memcmp(before + p->offset, m.values + p->offset,
                                    (size_t)p->numel * sizeof *before) != 0;
                if (moved != str_matches_any(cases[i].learns, p->name))
                    fail_msg("%s: %s %s", cases[i].adapt, p->name, moved ? "moved" : "stayed");
            }
            free(before);
            model_free(&m);
        }
}

static void what_a_row_needs_must_be_there(void **state)
{
    (void)state;
    struct model m;
    struct err e = {0};
    model_make(&m, 0, "", ",\"lora\":{\"rank\":2,\"targets\":\"query\"}");
    assert_int_equal(adaptation_apply(adaptation_find("lora"), &m, &e), ERR_USAGE);
    assert_non_null(strstr(e.message, "attention.qkv, attention.out, mlp.up, mlp.down"));
    model_free(&m);
    model_make(&m, 0, "", "");
    assert_int_equal(adaptation_apply(adaptation_find("adapter"), &m, &e), ERR_USAGE);
    model_free(&m);
}

/* --- files ---------------------------------------------------------------------------------------- */

static void refused(const char *adapter, const char *base, const char *why)
{
    struct model m;
    struct err e = {0};
    assert_int_equal(adapter_apply(adapter, base, &m, &e), ERR_MODEL);
    model_free(&m);
    if (!strstr(e.message, why))
        fail_msg("\"%s\" does not say \"%s\"", e.message, why);
}

/* The file without, or with more than, its tensors, or with a value that is none. */
static void write_changed(const char *from, const char *to, int change)
{
    struct safetensors st;
    struct err e = {0};
    assert_int_equal(safetensors_open(&st, from, &e), ERR_OK);
    struct safetensor *list = calloc((size_t)st.count + 1, sizeof *list);
    memcpy(list, st.tensors, (size_t)st.count * sizeof *list);
    int64_t n = st.count;
    float *values = calloc(1, list[0].bytes);
    memcpy(values, list[0].data, list[0].bytes);
    if (change == 0)
        n--;
    if (change == 1) {
        list[n] = list[0];
        list[n++].name = "head.more";
    }
    if (change == 2)
        values[1] = NAN;
    list[0].data = values;
    assert_int_equal(safetensors_write(to, list, n, st.metadata_keys, st.metadata_values,
                                       st.metadata_count, &e),
                     ERR_OK);
    free(values);
    free(list);
    safetensors_close(&st);
}

static void files_make_the_same_model(void **state)
{
    (void)state;
    static const struct {
        const char *adapt, *in_network, *beside;
        int tensors; /* beside the two of the head */
    } cases[] = {{"head", "", "", 0}, {"lora", "", LORA, 16}, {"adapter", ADAPTER, "", 16 + 10}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model base, other, m, again, merged;
        struct err e = {0};
        const char *base_path = in_folder("base"), *path = in_folder("adapter"),
                   *other_path = in_folder("other"), *changed = in_folder("changed");
        model_make(&base, 0, "", "");
        model_make(&other, 0, "", "");
        other.values[param_find(&other.params, "encoder.norm.bias")->offset] = 1;
        model_make(&m, 0, cases[i].in_network, cases[i].beside);
        train(&m, cases[i].adapt);
        assert_int_equal(model_save(&base, NULL, base_path, &e), ERR_OK);
        assert_int_equal(model_save(&other, NULL, other_path, &e), ERR_OK);
        assert_int_equal(adapter_save(&m, &base, path, &e), ERR_OK);
        struct safetensors st;
        assert_int_equal(safetensors_open(&st, path, &e), ERR_OK);
        assert_int_equal(st.count, cases[i].tensors + 2);
        safetensors_close(&st);
        if (adapter_apply(path, base_path, &again, &e) != ERR_OK)
            fail_msg("%s", e.message);
        assert_int_equal(model_merge(&m, &merged, &e), ERR_OK);
        assert_int_equal(again.params.total, merged.params.total);
        assert_memory_equal(again.values, merged.values,
                            (size_t)merged.params.total * sizeof(float));
        refused(path, other_path, "it belongs to another base: encoder ");
        refused(base_path, base_path, "no ecgfm model file");
        write_changed(path, changed, 0);
        refused(changed, base_path, "is neither in the adapter nor in its base");
        write_changed(path, changed, 1);
        refused(changed, base_path, "1 of its");
        write_changed(path, changed, 2);
        refused(changed, base_path, "value 1 is not finite");
        struct model opened;
        assert_int_equal(model_open(&opened, path, &e), ERR_MODEL);
        assert_non_null(strstr(e.message, "this is an adapter"));
        model_free(&opened);
        model_free(&base);
        model_free(&other);
        model_free(&m);
        model_free(&again);
        model_free(&merged);
    }
}

/* A bias of the base that was learned is in the file, and one that was not is not. */
static void values_that_differ_are_kept(void **state)
{
    (void)state;
    struct model base, m;
    struct err e = {0};
    const char *path = in_folder("bias");
    model_make(&base, 1, "", "");
    model_make(&m, 1, "", "");
    m.values[param_find(&m.params, "encoder.block.1.mlp.up.bias")->offset + 2] = 0.25F;
    assert_int_equal(adapter_save(&m, &base, path, &e), ERR_OK);
    struct safetensors st;
    assert_int_equal(safetensors_open(&st, path, &e), ERR_OK);
    assert_int_equal(st.count, 3);
    assert_non_null(safetensors_find(&st, "encoder.block.1.mlp.up.bias"));
    safetensors_close(&st);
    model_free(&base);
    model_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_are_ends_or_patterns),
        cmocka_unit_test(merging_changes_no_score),
        cmocka_unit_test(adapters_start_small),
        cmocka_unit_test(only_what_learns_changes),
        cmocka_unit_test(what_a_row_needs_must_be_there),
        cmocka_unit_test(files_make_the_same_model),
        cmocka_unit_test(values_that_differ_are_kept),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
