/* model/fairseq and model/labels: the tensor lists of ECG-FM, checkpoints that PyTorch wrote
 * (tests/fixtures, made by scripts/ref_checkpoints.py) as models and back, and what is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "base/rng.h"
#include "base/shapes.h"
#include "base/str.h"
#include "folder.h"
#include "model/fairseq.h"
#include "model/labels.h"
#include "model/preset.h"
#include "ref_checkpoints.h"

#define FIXTURES "tests/fixtures/"

/* ---- lists ---- */

static int64_t sum(const struct fairseq_arch *a, int64_t *count)
{
    struct fairseq_tensor *list;
    int64_t total = 0;
    *count = fairseq_tensors(a, &arena, &list);
    for (int64_t i = 0; i < *count; i++) {
        total += fairseq_numel(&list[i]);
        for (int64_t k = 0; k < i; k++)
            assert_string_not_equal(list[i].name, list[k].name);
    }
    return total;
}

static const struct fairseq_tensor *named(const struct fairseq_arch *a, const char *name)
{
    struct fairseq_tensor *list;
    int64_t count = fairseq_tensors(a, &arena, &list);
    for (int64_t i = 0; i < count; i++)
        if (strcmp(list[i].name, name) == 0)
            return &list[i];
    fail_msg("no tensor %s", name);
    return NULL;
}

static void test_counts(void **state)
{
    (void)state;
    struct fairseq_arch a;
    int64_t count;
    fairseq_arch_default(&a, FAIRSEQ_PRETRAINED, 0);
    assert_int_equal(sum(&a, &count), 90883072);
    assert_int_equal(count, 215);
    a.parametrized = true;
    assert_int_equal(sum(&a, &count), 90883072);
    assert_int_equal(count, 215);
    fairseq_arch_default(&a, FAIRSEQ_CLASSIFIER, 17);
    assert_int_equal(sum(&a, &count), 90386321);
    assert_int_equal(count, 209);
    fairseq_arch_default(&a, FAIRSEQ_CLASSIFIER, 26);
    assert_int_equal(sum(&a, &count), 90393242);
    assert_int_equal(count, 209);
    fairseq_arch_default(&a, FAIRSEQ_ENCODER, 0);
    assert_int_equal(sum(&a, &count), 90373248);
    assert_int_equal(count, 207);
    fairseq_arch_default(&a, FAIRSEQ_PRETRAINED, 0);
    a.depth = 8;
    assert_int_equal(sum(&a, &count), 62531584);
    a.depth = 24;
    a.width = 1024;
    a.hidden = 4096;
    assert_int_equal(sum(&a, &count), 311940352);
}

/* The same name stands for two things: the kind decides. */
static void test_the_name_trap(void **state)
{
    (void)state;
    struct fairseq_arch a;
    fairseq_arch_default(&a, FAIRSEQ_PRETRAINED, 0);
    const struct fairseq_tensor *t = named(&a, "encoder.layer_norm.weight");
    assert_string_equal(t->ours, "encoder.norm.weight");
    assert_int_equal(t->shape[0], 768);
    t = named(&a, "layer_norm.weight");
    assert_string_equal(t->ours, "encoder.conv.norm.weight");
    assert_int_equal(t->shape[0], 256);
    fairseq_arch_default(&a, FAIRSEQ_CLASSIFIER, 17);
    t = named(&a, "encoder.layer_norm.weight");
    assert_string_equal(t->ours, "encoder.conv.norm.weight");
    assert_int_equal(t->shape[0], 256);
    t = named(&a, "encoder.encoder.layer_norm.weight");
    assert_string_equal(t->ours, "encoder.norm.weight");
    assert_int_equal(t->shape[0], 768);
    t = named(&a, "proj.weight");
    assert_int_equal(t->shape[0], 17);
    assert_int_equal(t->shape[1], 768);
}

static const char *preset_json(const char *name)
{
    for (int i = 0; presets[i].name; i++)
        if (strcmp(presets[i].name, name) == 0)
            return presets[i].json;
    fail_msg("no preset %s", name);
    return NULL;
}

/* Our network and the list, at full size: each parameter is there, of its shape, and filled whole. */
static void test_full_size(void **state)
{
    (void)state;
    const char *text = preset_json("ecg-fm");
    cJSON *json = NULL;
    assert_int_equal(json_parse(text, strlen(text), "preset", &json, NULL), ERR_OK);
    cJSON *spec = cJSON_CreateObject();
    cJSON_AddItemToObject(spec, "network", cJSON_DetachItemFromObject(json, "network"));
    cJSON_AddItemToObject(spec, "w2v", cJSON_DetachItemFromObject(json, "w2v"));
    struct contract contract;
    fairseq_contract(&contract);
    struct model_classes classes;
    label_table_classes(label_table_find(17), &arena, &classes);
    struct model m;
    struct err e = {0};
    if (model_create(&m, spec, &contract, &classes, &e) != ERR_OK)
        fail_msg("%s", e.message);
    assert_int_equal(param_count_values(&m.params), 90386321);
    struct fairseq_arch a;
    struct fairseq_tensor *list;
    fairseq_arch_default(&a, FAIRSEQ_CLASSIFIER, 17);
    int64_t count = fairseq_tensors(&a, &arena, &list);
    for (int64_t i = 0; i < count; i++) {
        const struct param *p = param_find(&m.params, list[i].ours);
        if (!p || !fairseq_fits(&list[i], p))
            fail_msg("%s is not %s", list[i].name, list[i].ours);
    }
    model_free(&m);
    cJSON_Delete(spec);
    cJSON_Delete(json);
}

/* ---- fixtures ---- */

struct checkpoint {
    struct pytorch p;
    struct fairseq_problems problems;
    struct fairseq_arch arch;
    struct model_classes classes;
};

static void open_checkpoint(struct checkpoint *c, const char *path)
{
    struct err e = {0};
    memset(c, 0, sizeof *c);
    c->problems.arena = &arena;
    if (pytorch_open(&c->p, path, &e) != ERR_OK)
        fail_msg("%s", e.message);
    if (fairseq_arch_read(c->p.root, &c->arch, &c->problems, &e) != ERR_OK)
        fail_msg("%s", e.message);
    if (c->arch.classes &&
        fairseq_labels(c->p.root, &c->arch, false, &arena, &c->classes, &e) != ERR_OK)
        fail_msg("%s", e.message);
}

static void read_checkpoint(struct checkpoint *c, struct model *m)
{
    struct err e = {0};
    if (fairseq_read(m, &c->p, c->classes.count ? &c->classes : NULL, &c->problems, &e) != ERR_OK)
        fail_msg("%s; %s", e.message, c->problems.count ? c->problems.lines[0] : "");
}

static float model_value(const struct model *m, const char *name, int64_t i)
{
    const struct param *p = param_find(&m->params, name);
    if (!p || i >= p->numel)
        fail_msg("no parameter %s of more than %lld values", name, (long long)i);
    return m->values[p->offset + i];
}

static void check_values(const struct model *m, const char *prefix, const char *g, const char *v)
{
    char name[200];
#define THEIRS(text) (snprintf(name, sizeof name, "%s%s", prefix, text), name)
    for (int i = 0; i < 16; i++) {
        assert_true(model_value(m, "encoder.norm.weight", i) ==
                    value_of(THEIRS("encoder.layer_norm.weight"), i));
        assert_true(model_value(m, "encoder.block.1.attention.qkv.bias", i) ==
                    value_of(THEIRS("encoder.layers.1.self_attn.q_proj.bias"), i));
        assert_true(model_value(m, "encoder.block.1.attention.qkv.bias", 16 + i) ==
                    value_of(THEIRS("encoder.layers.1.self_attn.k_proj.bias"), i));
        assert_true(model_value(m, "encoder.block.1.attention.qkv.bias", 32 + i) ==
                    value_of(THEIRS("encoder.layers.1.self_attn.v_proj.bias"), i));
        assert_true(model_value(m, "encoder.block.0.attention.qkv.weight", 2 * 256 + i) ==
                    value_of(THEIRS("encoder.layers.0.self_attn.v_proj.weight"), i));
        assert_true(model_value(m, "encoder.block.0.norm2.bias", i) ==
                    value_of(THEIRS("encoder.layers.0.final_layer_norm.bias"), i));
        assert_true(model_value(m, "encoder.block.0.mlp.up.weight", i) ==
                    value_of(THEIRS("encoder.layers.0.fc1.weight"), i));
    }
    for (int i = 0; i < 8; i++) {
        assert_true(model_value(m, "encoder.conv.norm.bias", i) ==
                    value_of(THEIRS("layer_norm.bias"), i));
        assert_true(model_value(m, "encoder.conv.0.norm.weight", i) ==
                    value_of(THEIRS("feature_extractor.conv_layers.0.2.weight"), i));
        assert_true(model_value(m, "encoder.position.magnitude", i) == value_of(THEIRS(g), i));
        assert_true(model_value(m, "encoder.position.direction", 3 * 8 + i) ==
                    value_of(THEIRS(v), 3 * 8 + i));
    }
    for (int o = 0; o < 8; o++) /* [8,12,2] is [8, 2*12], the taps one after the other */
        for (int i = 0; i < 12; i++)
            for (int k = 0; k < 2; k++)
                assert_true(model_value(m, "encoder.conv.0.weight", o * 24 + k * 12 + i) ==
                            value_of(THEIRS("feature_extractor.conv_layers.0.0.weight"),
                                     (o * 12 + i) * 2 + k));
#undef THEIRS
}

static void test_read(void **state)
{
    (void)state;
    struct checkpoint c;
    struct model m;
    open_checkpoint(&c, FIXTURES "pretrained_gv.pt");
    assert_int_equal(c.arch.kind, FAIRSEQ_PRETRAINED);
    assert_true(c.arch.cmsc && !c.arch.parametrized && !c.arch.norm_first);
    assert_int_equal(c.arch.heads, 2);
    assert_int_equal(c.arch.depth, 2);
    assert_int_equal(c.arch.position_groups, 2);
    assert_int_equal(c.arch.codes, 5);
    read_checkpoint(&c, &m);
    check_values(&m, "", "conv_pos.pos_conv.0.weight_g", "conv_pos.pos_conv.0.weight_v");
    for (int i = 0; i < 16; i++) {
        assert_true(model_value(&m, "w2v.mask_token", i) == value_of("mask_emb", i));
        assert_true(model_value(&m, "w2v.quantizer.codes", i) == value_of("quantizer.vars", i));
        assert_true(model_value(&m, "w2v.target.weight", i) == value_of("project_q.weight", i));
        assert_true(model_value(&m, "w2v.predict.weight", i) == value_of("final_proj.weight", i));
    }
    assert_non_null(strstr(m.objective, "w2v+cmsc"));
    assert_non_null(strstr(m.provenance, "\"updates\": 70000"));
    assert_true(m.contract.rate_hz == 500 && m.contract.sample_count == 2500 &&
                m.contract.lead_count == 12);
    model_free(&m);
    pytorch_close(&c.p);

    open_checkpoint(&c, FIXTURES "pretrained_parametrized.pt");
    assert_true(c.arch.parametrized);
    read_checkpoint(&c, &m);
    check_values(&m, "", "conv_pos.pos_conv.0.parametrizations.weight.original0",
                 "conv_pos.pos_conv.0.parametrizations.weight.original1");
    model_free(&m);
    pytorch_close(&c.p);

    open_checkpoint(&c, FIXTURES "classifier.pt");
    assert_int_equal(c.arch.kind, FAIRSEQ_CLASSIFIER);
    assert_int_equal(c.arch.classes, 17);
    read_checkpoint(&c, &m);
    check_values(&m, "encoder.", "conv_pos.pos_conv.0.weight_g", "conv_pos.pos_conv.0.weight_v");
    assert_true(model_value(&m, "head.weight", 271) == value_of("proj.weight", 271));
    assert_true(model_value(&m, "head.bias", 16) == value_of("proj.bias", 16));
    assert_null(m.objective);
    assert_string_equal(m.classes.names[16], "Electronic pacemaker");
    assert_string_equal(m.classes.aggregation[16], "max");
    assert_string_equal(m.classes.aggregation[6], "mean");
    model_free(&m);
    pytorch_close(&c.p);
}

/* ---- there and back ---- */

static void assert_same_state(const char *ours, const char *theirs)
{
    struct pytorch a, b;
    struct err e = {0};
    if (pytorch_open(&a, ours, &e) != ERR_OK || pytorch_open(&b, theirs, &e) != ERR_OK)
        fail_msg("%s", e.message);
    const struct pickle_value *x = pickle_get(a.root, "model"), *y = pickle_get(b.root, "model");
    assert_int_equal(x->count, y->count);
    assert_true(x->ordered);
    for (int64_t i = 0; i < y->count; i += 2) {
        const char *name = y->items[i]->text;
        const struct pytorch_tensor *s = pytorch_tensor(pickle_get(x, name)),
                                    *t = pytorch_tensor(y->items[i + 1]);
        if (!s || s->dtype != t->dtype || s->rank != t->rank ||
            memcmp(s->shape, t->shape, (size_t)t->rank * sizeof t->shape[0]) != 0)
            fail_msg("%s is not there, or of another shape", name);
        float *p = malloc((size_t)t->numel * sizeof *p), *q = malloc((size_t)t->numel * sizeof *q);
        assert_int_equal(pytorch_read_f32(&a, s, p, &e), ERR_OK);
        assert_int_equal(pytorch_read_f32(&b, t, q, &e), ERR_OK);
        assert_memory_equal(p, q, (size_t)t->numel * sizeof *p);
        free(p);
        free(q);
    }
    /* cfg says the same of the network */
    const struct pickle_value *cfg = pickle_get(pickle_get(a.root, "cfg"), "model"),
                              *was = pickle_get(pickle_get(b.root, "cfg"), "model");
    for (int64_t i = 0; i < was->count; i += 2) {
        const char *key = was->items[i]->text;
        const struct pickle_value *v = was->items[i + 1];
        if (strcmp(key, "model_path") == 0)
            continue; /* the weights are in the file */
        if (v->kind == PICKLE_TEXT)
            assert_string_equal(pickle_get_text(cfg, key, "?"), v->text);
        if (v->kind == PICKLE_INT || v->kind == PICKLE_FLOAT)
            assert_true(pickle_get_number(cfg, key, NAN) == pickle_get_number(was, key, 0));
        if (v->kind == PICKLE_BOOL)
            assert_int_equal(pickle_get_bool(cfg, key, !v->truth), v->truth);
    }
    assert_int_equal(pickle_get(a.root, "args")->kind, PICKLE_NONE);
    assert_non_null(pickle_get(pickle_get(a.root, "cfg"), "criterion"));
    assert_false(pickle_get_bool(pickle_get(pickle_get(a.root, "cfg"), "task"), "normalize", true));
    pytorch_close(&a);
    pytorch_close(&b);
}

static void test_there_and_back(void **state)
{
    (void)state;
    static const char *const files[] = {FIXTURES "pretrained_gv.pt",
                                        FIXTURES "pretrained_parametrized.pt",
                                        FIXTURES "classifier.pt"};
    for (int i = 0; i < 3; i++) {
        struct checkpoint c;
        struct model m, saved;
        struct err e = {0};
        const char *model = in_folder("model.safetensors"), *back = in_folder("back.pt");
        open_checkpoint(&c, files[i]);
        read_checkpoint(&c, &m);
        if (model_save(&m, NULL, model, &e) != ERR_OK || model_load(&saved, model, &e) != ERR_OK)
            fail_msg("%s", e.message);
        model_free(&m);
        pytorch_close(&c.p);
        if (fairseq_write(&saved, back, &e) != ERR_OK)
            fail_msg("%s", e.message);
        model_free(&saved);
        assert_same_state(back, files[i]);
    }
}

/* A model's own names come back, whatever their count; `published` asks for the others. */
static void test_own_classes(void **state)
{
    (void)state;
    struct checkpoint c;
    struct model m;
    struct err e = {0};
    const char *back = in_folder("own.pt");
    open_checkpoint(&c, FIXTURES "classifier.pt");
    c.classes.names[3] = "finding";
    c.classes.codes[3] = "code";
    c.classes.aggregation[3] = "max";
    c.classes.thresholds[3] = 0.25;
    read_checkpoint(&c, &m);
    pytorch_close(&c.p);
    m.contract.rate_hz = 250;
    if (fairseq_write(&m, back, &e) != ERR_OK)
        fail_msg("%s", e.message);
    model_free(&m);
    open_checkpoint(&c, back);
    assert_int_equal(c.classes.count, 17);
    assert_string_equal(c.classes.task, "mimic-iv-ecg");
    assert_string_equal(c.classes.names[3], "finding");
    assert_string_equal(c.classes.codes[3], "code");
    assert_string_equal(c.classes.aggregation[3], "max");
    assert_true(c.classes.thresholds[3] == 0.25 && c.classes.thresholds[4] == 0);
    assert_int_equal(fairseq_labels(c.p.root, &c.arch, true, &arena, &c.classes, &e), ERR_OK);
    assert_string_equal(c.classes.names[3], "Tachycardia");
    /* and the rate that it was trained at is told */
    assert_int_equal(fairseq_read(&m, &c.p, &c.classes, &c.problems, &e), ERR_MODEL);
    assert_non_null(strstr(e.message, "sample_rate is 250"));
    model_free(&m);
    pytorch_close(&c.p);
}

/* ---- what is refused ---- */

static struct pickle_value *inside(struct pickle_value *dict, const char *key)
{
    return (struct pickle_value *)(uintptr_t)pickle_get(dict, key);
}

/* Reads a fixture with one change; the problems must name it. */
static void refuse(const char *file, void (*change)(struct pickle_value *root), enum err_code code,
                   int64_t problems, const char *says)
{
    struct checkpoint c;
    struct model m = {0};
    struct err e = {0};
    memset(&c, 0, sizeof c);
    c.problems.arena = &arena;
    assert_int_equal(pytorch_open(&c.p, file, &e), ERR_OK);
    change(c.p.root);
    struct fairseq_problems ignored = {.arena = &arena};
    enum err_code found = fairseq_arch_read(c.p.root, &c.arch, &ignored, &e);
    if (found == ERR_OK && c.arch.classes)
        found = fairseq_labels(c.p.root, &c.arch, false, &arena, &c.classes, &e);
    if (found == ERR_OK)
        found = fairseq_read(&m, &c.p, c.classes.count ? &c.classes : NULL, &c.problems, &e);
    bool said = strstr(e.message, says) != NULL;
    for (int64_t i = 0; i < c.problems.count; i++)
        said = said || strstr(c.problems.lines[i], says);
    if (found != code || c.problems.count != problems || !said) {
        for (int64_t i = 0; i < c.problems.count; i++)
            print_error("%s\n", c.problems.lines[i]);
        fail_msg("%s: %s, %lld problems, expected %s, %lld with \"%s\"", err_code_name(found),
                 e.message, (long long)c.problems.count, err_code_name(code), (long long)problems,
                 says);
    }
    model_free(&m);
    pytorch_close(&c.p);
}

/* The key at an even place of a dictionary. */
static void rename_key(struct pickle_value *dict, const char *from, const char *to)
{
    for (int64_t i = 0; i < dict->count; i += 2)
        if (strcmp(dict->items[i]->text, from) == 0) {
            dict->items[i] = pickle_text(&arena, to);
            return;
        }
    fail_msg("no key %s", from);
}

static void drop_last_layer(struct pickle_value *root)
{
    struct pickle_value *model = inside(root, "model");
    int64_t kept = 0;
    for (int64_t i = 0; i < model->count; i += 2)
        if (!str_starts_with(model->items[i]->text, "encoder.layers.1.")) {
            model->items[kept++] = model->items[i];
            model->items[kept++] = model->items[i + 1];
        }
    model->count = kept;
}

static void drop_mask(struct pickle_value *root)
{
    struct pickle_value *model = inside(root, "model");
    rename_key(model, "mask_emb", "mask");
}

static void twist_shapes(struct pickle_value *root)
{
    struct pickle_value *model = inside(root, "model");
    static const char *const names[] = {"encoder.layers.1.fc1.weight", "layer_norm.bias",
                                        "quantizer.weight_proj.weight"};
    for (int i = 0; i < 3; i++) {
        struct pytorch_tensor *t =
            (struct pytorch_tensor *)(uintptr_t)pytorch_tensor(pickle_get(model, names[i]));
        if (t->rank == 2) {
            int64_t rows = t->shape[0];
            t->shape[0] = t->shape[1];
            t->shape[1] = rows;
        } else {
            t->shape[0]--;
        }
    }
}

static void add_text(struct pickle_value *root)
{
    pickle_set(&arena, inside(root, "model"), "version", pickle_text(&arena, "1"));
}

static void both_spellings(struct pickle_value *root)
{
    rename_key(inside(root, "model"), "conv_pos.pos_conv.0.weight_v",
               "conv_pos.pos_conv.0.parametrizations.weight.original1");
}

static void set_model(struct pickle_value *root, const char *key, struct pickle_value *value)
{
    struct pickle_value *model = inside(inside(root, "cfg"), "model");
    for (int64_t i = 0; i < model->count; i += 2)
        if (strcmp(model->items[i]->text, key) == 0)
            model->items[i + 1] = value;
}

static void deeper_cfg(struct pickle_value *root)
{
    set_model(root, "encoder_layers", pickle_int(&arena, 24));
    set_model(root, "encoder_embed_dim", pickle_int(&arena, 1024));
    set_model(root, "conv_feature_layers", pickle_text(&arena, "[(256, 2, 2)] * 4"));
}
static void strange_convolutions(struct pickle_value *root)
{
    set_model(root, "conv_feature_layers",
              pickle_text(&arena, "[(8, 10, 5)] + [(8, 2, 2), (8,2,2)] + [(8, 2, 2)]"));
}
static void executable_convolutions(struct pickle_value *root)
{
    set_model(root, "conv_feature_layers", pickle_text(&arena, "__import__('os').system('true')"));
}
static void endless_convolutions(struct pickle_value *root)
{
    set_model(root, "conv_feature_layers", pickle_text(&arena, "[(8, 2, 2)] * 99999"));
}
static void strange_heads(struct pickle_value *root)
{
    set_model(root, "encoder_attention_heads", pickle_int(&arena, 3));
}
static void strange_name(struct pickle_value *root)
{
    set_model(root, "_name", pickle_text(&arena, "m3ae"));
}
static void classifier_by_name(struct pickle_value *root)
{
    set_model(root, "_name", pickle_text(&arena, "ecg_transformer_classifier"));
}
static void encoder_by_name(struct pickle_value *root)
{
    set_model(root, "_name", pickle_text(&arena, "wav2vec2_cmsc"));
}
static void input_quantizer(struct pickle_value *root)
{
    set_model(root, "quantize_targets", pickle_bool(&arena, false));
}
static void no_model(struct pickle_value *root) { rename_key(root, "model", "models"); }
static void head_alone(struct pickle_value *root) { rename_key(root, "model", "state_dict"); }
static void model_is_text(struct pickle_value *root)
{
    rename_key(root, "model", "models");
    pickle_set(&arena, root, "model", pickle_text(&arena, "x"));
}
static void other_weights(struct pickle_value *root)
{
    inside(inside(inside(root, "cfg"), "criterion"), "pos_weight")->items[3]->real = 4;
}
static void fewer_labels(struct pickle_value *root)
{
    struct pickle_value *model = inside(root, "model");
    struct pytorch_tensor *w =
        (struct pytorch_tensor *)(uintptr_t)pytorch_tensor(pickle_get(model, "proj.weight"));
    w->shape[0] = 16;
}
static void no_weights(struct pickle_value *root)
{
    rename_key(inside(inside(root, "cfg"), "criterion"), "pos_weight", "other");
}
static void other_task(struct pickle_value *root)
{
    struct pickle_value *task = inside(inside(root, "cfg"), "task");
    rename_key(task, "sample_rate", "was");
    rename_key(task, "filter", "was_too");
    pickle_set(&arena, task, "sample_rate", pickle_int(&arena, 250));
    pickle_set(&arena, task, "filter", pickle_bool(&arena, true));
    pickle_set(&arena, task, "leads_to_load", pickle_text(&arena, "0,1"));
    pickle_set(&arena, task, "leads_bucket", pickle_new(&arena, PICKLE_NONE));
    pickle_set(&arena, task, "enable_padding_leads", pickle_bool(&arena, false));
}
static void many_groups(struct pickle_value *root)
{
    set_model(root, "latent_groups", pickle_int(&arena, INT64_MAX));
}
static void whole_numbers(struct pickle_value *root)
{
    ((struct pytorch_tensor *)(uintptr_t)pytorch_tensor(
         pickle_get(inside(root, "model"), "layer_norm.bias")))
        ->dtype = ST_I32;
}
static void many_outputs(struct pickle_value *root)
{
    ((struct pytorch_tensor *)(uintptr_t)pytorch_tensor(
         pickle_get(inside(root, "model"), "proj.weight")))
        ->shape[0] = 4097;
}
/* The keys' projection is a view of what the queries' is. */
static void shared_storage(struct pickle_value *root)
{
    const struct pickle_value *model = inside(root, "model");
    struct pytorch_tensor *k = (struct pytorch_tensor *)(uintptr_t)pytorch_tensor(
        pickle_get(model, "encoder.layers.0.self_attn.k_proj.weight"));
    k->storage =
        pytorch_tensor(pickle_get(model, "encoder.layers.0.self_attn.q_proj.weight"))->storage;
}
static void nothing(struct pickle_value *root) { (void)root; }

static void test_refused(void **state)
{
    (void)state;
    const char *pretrained = FIXTURES "pretrained_gv.pt", *classifier = FIXTURES "classifier.pt";
    refuse(pretrained, drop_last_layer, ERR_MODEL, 1,
           "encoder_layers is 2, but the tensors have 1");
    refuse(pretrained, drop_mask, ERR_MODEL, 2, "missing: mask_emb [16]");
    refuse(pretrained, drop_mask, ERR_MODEL, 2, "extra: mask [16]");
    refuse(pretrained, twist_shapes, ERR_MODEL, 3,
           "another shape: encoder.layers.1.fc1.weight [16,32], expected [32,16]");
    refuse(pretrained, twist_shapes, ERR_MODEL, 3,
           "another shape: layer_norm.bias [7], expected [8]");
    refuse(pretrained, add_text, ERR_MODEL, 1, "extra: \"version\" is no tensor");
    refuse(pretrained, both_spellings, ERR_MODEL, 2,
           "missing: conv_pos.pos_conv.0.parametrizations."
           "weight.original0 [1,1,8]");
    refuse(pretrained, deeper_cfg, ERR_MODEL, 3,
           "encoder_embed_dim is 1024, but the tensors have 16");
    refuse(pretrained, strange_convolutions, ERR_UNSUPPORTED, 0, "layers differ");
    refuse(pretrained, executable_convolutions, ERR_UNSUPPORTED, 0, "expected a list");
    refuse(pretrained, endless_convolutions, ERR_UNSUPPORTED, 0, "expected a list");
    refuse(pretrained, strange_heads, ERR_MODEL, 0, "encoder_attention_heads is 3 for width 16");
    refuse(pretrained, strange_name, ERR_UNSUPPORTED, 0, "\"m3ae\"");
    refuse(pretrained, classifier_by_name, ERR_MODEL, 0, "those of an encoder by itself");
    refuse(classifier, encoder_by_name, ERR_MODEL, 0, "those of a classifier");
    refuse(pretrained, input_quantizer, ERR_UNSUPPORTED, 0, "quantize_targets");
    refuse(pretrained, no_model, ERR_MODEL, 0, "no dictionary \"model\"");
    refuse(pretrained, head_alone, ERR_UNSUPPORTED, 0, "a head alone");
    refuse(pretrained, model_is_text, ERR_MODEL, 0, "no dictionary \"model\"");
    refuse(classifier, other_weights, ERR_LABELS, 0, "cfg.criterion.pos_weight differs");
    refuse(classifier, no_weights, ERR_LABELS, 0, "--labels published");
    refuse(pretrained, other_task, ERR_MODEL, 3, "cfg.task.sample_rate is 250");
    refuse(pretrained, other_task, ERR_MODEL, 3, "cfg.task.leads_to_load is set");
    refuse(pretrained, many_groups, ERR_MODEL, 0, "9223372036854775807 latent_groups");
    refuse(pretrained, whole_numbers, ERR_MODEL, 1, "another type: layer_norm.bias of I32");
    refuse(pretrained, shared_storage, ERR_MODEL, 1, "6634 values, but their storages hold 6378");
    refuse(classifier, many_outputs, ERR_LIMIT, 0, "4097 outputs");
    refuse(classifier, fewer_labels, ERR_LABELS, 0, "no published model has 16 labels");
    refuse(FIXTURES "views.pt", nothing, ERR_MODEL, 0, "no dictionary \"model\"");
}

/* A value somewhere in the dictionaries replaced by another one. */
static void mutate(struct pickle_value *root, struct rng *rng)
{
    struct pickle_value *v = root;
    for (;;) {
        bool container = v->kind == PICKLE_DICT || v->kind == PICKLE_LIST;
        ASSERT(container, "the walk left the dictionaries");
        if (v->count == 0)
            return;
        bool dict = v->kind == PICKLE_DICT;
        int64_t at = rng_below(rng, v->count / (dict ? 2 : 1)) * (dict ? 2 : 1) + dict;
        if (dict && v == root) /* cfg or model */
            at = 2 * (1 + rng_below(rng, 2)) + 1;
        struct pickle_value *next = v->items[at];
        if ((next->kind == PICKLE_DICT || next->kind == PICKLE_LIST) && rng_below(rng, 8) > 0) {
            v = next;
            continue;
        }
        static const int64_t numbers[] = {0, 1, -1, 3, 16, 1000, 65537, INT64_MAX, INT64_MIN};
        switch (rng_below(rng, 6)) {
        case 0:
            v->items[at] = pickle_int(&arena, numbers[rng_below(rng, 9)]);
            break;
        case 1:
            v->items[at] = pickle_float(&arena, rng_below(rng, 2) ? NAN : 1e300);
            break;
        case 2:
            v->items[at] = pickle_text(&arena, "[(8, 2, 2)] * 3");
            break;
        case 3:
            v->items[at] = pickle_new(&arena, PICKLE_NONE);
            break;
        case 4:
            if (dict)
                v->items[at - 1] = pickle_text(&arena, "encoder.layers.99.x");
            break;
        default:
            v->items[at] = v->items[dict ? 1 : 0];
        }
        return;
    }
}

static void test_mutations(void **state)
{
    (void)state;
    int accepted = 0, trials = 600;
    for (int trial = 0; trial < trials; trial++) {
        struct checkpoint c;
        struct model m = {0};
        struct err e = {0};
        struct rng rng = rng_at(3, RNG_STREAM_TEST, 0, (uint64_t)trial);
        memset(&c, 0, sizeof c);
        c.problems.arena = &arena;
        const char *file = trial % 2 ? FIXTURES "classifier.pt" : FIXTURES "pretrained_gv.pt";
        assert_int_equal(pytorch_open(&c.p, file, &e), ERR_OK);
        for (int64_t edits = 1 + rng_below(&rng, 2); edits > 0; edits--)
            mutate(c.p.root, &rng);
        enum err_code code = fairseq_arch_read(c.p.root, &c.arch, &c.problems, &e);
        c.problems.count = 0;
        label_table_classes(label_table_find(17), &arena, &c.classes);
        if (code == ERR_OK)
            code = fairseq_read(&m, &c.p, c.arch.classes ? &c.classes : NULL, &c.problems, &e);
        if (code == ERR_OK) {
            accepted++;
            if (fairseq_write(&m, in_folder("mutated.pt"), &e) != ERR_OK)
                fail_msg("%s", e.message);
        }
        model_free(&m);
        pytorch_close(&c.p);
    }
    assert_in_range(accepted, 1, trials - 1);
}

/* ---- labels ---- */

static enum err_code read_labels(const char *text, struct model_classes *out, struct err *e)
{
    const char *path = in_folder("labels.csv");
    assert_int_equal(file_write_atomic(path, text, strlen(text), NULL), ERR_OK);
    return labels_read(path, &arena, out, e);
}

static void test_labels(void **state)
{
    (void)state;
    struct model_classes c;
    struct err e = {0};
    assert_int_equal(label_table_find(17)->count, 17);
    assert_string_equal(label_table_find(26)->labels[14].code, "426783006");
    assert_null(label_table_find(18));

    /* as fairseq-signals writes it */
    assert_int_equal(
        read_labels("name,pos_count_train,pos_weight_train\nAF,5,3.5\n\"B, two\",6,1\n", &c, &e),
        ERR_OK);
    assert_int_equal(c.count, 2);
    assert_string_equal(c.names[1], "B, two");
    assert_string_equal(c.codes[0], "AF");
    assert_string_equal(c.aggregation[0], "mean");
    assert_true(c.thresholds[0] == 0);
    assert_int_equal(read_labels("threshold,name,code,title,aggregation\n0.25,AF,164889003,atrial "
                                 "fibrillation,max\n,PVC,,,\n",
                                 &c, &e),
                     ERR_OK);
    assert_string_equal(c.codes[0], "164889003");
    assert_string_equal(c.titles[0], "atrial fibrillation");
    assert_string_equal(c.aggregation[0], "max");
    assert_true(c.thresholds[0] == 0.25 && c.thresholds[1] == 0);
    assert_string_equal(c.titles[1], "PVC");

    struct buf many = {0};
    buf_puts(&many, "name\n");
    for (int k = 0; k < 4097; k++)
        buf_printf(&many, "%d\n", k);
    assert_int_equal(read_labels(many.data, &c, &e), ERR_LABELS);
    assert_non_null(strstr(e.message, "4097 labels, at most 4096"));
    buf_free(&many);

    static const struct {
        const char *text, *says;
    } cases[] = {
        {"label\nAF\n", "no column \"name\""},
        {"name\nAF\nAF\n", "line 3: \"AF\" occurs twice"},
        {"name,code\n,5\n", "line 2: the label has no name"},
        {"name,aggregation\nAF,median\n", "aggregation \"median\""},
        {"name,threshold\nAF,1.5\n", "threshold \"1.5\""},
        {"name,threshold\nAF,half\n", "threshold \"half\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(read_labels(cases[i].text, &c, &e), ERR_LABELS);
        if (!strstr(e.message, cases[i].says))
            fail_msg("%s: expected %s", e.message, cases[i].says);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),         cmocka_unit_test(test_the_name_trap),
        cmocka_unit_test(test_full_size),      cmocka_unit_test(test_read),
        cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_own_classes),
        cmocka_unit_test(test_refused),        cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_labels),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
