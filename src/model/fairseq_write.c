/* Writing checkpoints of fairseq-signals: architecture from the spec, tensors by the list, and the
 * dictionaries that its loader looks into. */
#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "model/fairseq.h"

/* What a checkpoint holds beside its tensors, with the defaults of ECG-FM. */
static const char common_text[] =
    "{\"common\":{},\"common_eval\":{},\"distributed_training\":{},\"dataset\":{},"
    "\"optimization\":{},\"checkpoint\":{},"
    "\"model\":{\"all_gather\":false,\"normalize\":false,\"filter\":false,\"data\":\"\",\"args\":"
    "null,"
    "\"dropout\":0.1,\"attention_dropout\":0.1,\"activation_dropout\":0,\"encoder_layerdrop\":0,"
    "\"dropout_input\":0,\"dropout_features\":0,\"apply_mask\":false,\"mask_length\":10,"
    "\"mask_prob\":0,\"mask_selection\":\"static\",\"mask_other\":0,\"no_mask_overlap\":false,"
    "\"mask_min_space\":1,\"mask_channel_length\":10,\"mask_channel_prob\":0,"
    "\"mask_channel_selection\":\"static\",\"mask_channel_other\":0,"
    "\"no_mask_channel_overlap\":false,\"mask_channel_min_space\":1,\"feature_grad_mult\":1},"
    "\"task\":{\"data\":\"\",\"sample_rate\":500,\"normalize\":false,\"filter\":false},"
    "\"criterion\":{},\"lr_scheduler\":{\"_name\":\"fixed\"},\"optimizer\":{\"_name\":\"adam\"}}";
static const char pretrained_text[] =
    "{\"dropout_input\":0.1,\"dropout_features\":0.1,\"apply_mask\":true,\"mask_prob\":0.65,"
    "\"feature_grad_mult\":0.1,\"logit_temp\":0.1,\"quantize_targets\":true,"
    "\"quantize_input\":false,\"same_quantizer\":false,\"target_glu\":false,\"latent_dim\":0,"
    "\"num_negatives\":100,\"negatives_from_everywhere\":false,\"cross_sample_negatives\":0,"
    "\"codebook_negatives\":0,\"latent_temp\":[2.0,0.5,0.999995]}";
static const char classifier_text[] =
    "{\"model_path\":null,\"no_pretrained_weights\":false,\"freeze_finetune_updates\":0,"
    "\"final_dropout\":0,\"dropout\":0,\"attention_dropout\":0,\"activation_dropout\":0.1,"
    "\"feature_grad_mult\":0}";

/* ---- the architecture of a model ---- */

static double number(const cJSON *group, const char *key)
{
    const cJSON *x = cJSON_GetObjectItemCaseSensitive(group, key);
    ASSERT(cJSON_IsNumber(x), "backbone w2v has no option %s", key);
    return x->valuedouble;
}

static const char *text(const cJSON *group, const char *key)
{
    const char *x = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(group, key));
    ASSERT(x, "backbone w2v has no option %s", key);
    return x;
}

static enum err_code arch_of_backbone(const struct model *m, const cJSON *w2v,
                                      struct fairseq_arch *a, struct err *e)
{
    a->leads = m->contract.lead_count;
    a->width = (int64_t)number(w2v, "width");
    a->depth = (int64_t)number(w2v, "depth");
    a->heads = (int64_t)number(w2v, "heads");
    a->hidden = (int64_t)((double)a->width * number(w2v, "mlp_ratio"));
    a->norm_first = strcmp(text(w2v, "norm"), "pre") == 0;
    a->conv_layers = (int64_t)number(w2v, "conv_layers");
    a->conv_width = (int64_t)number(w2v, "conv_width");
    a->conv_kernel = (int64_t)number(w2v, "conv_kernel");
    a->conv_stride = (int64_t)number(w2v, "conv_stride");
    a->conv_layer_norm = strcmp(text(w2v, "conv_norm"), "layer") == 0;
    a->conv_bias = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(w2v, "conv_bias"));
    a->position_kernel = (int64_t)number(w2v, "position_kernel");
    a->position_groups = (int64_t)number(w2v, "position_groups");
    if (strcmp(text(w2v, "conv_norm"), "none") == 0 ||
        (!a->conv_layer_norm && (int64_t)number(w2v, "conv_norm_groups") != a->conv_width))
        FAIL(e, ERR_UNSUPPORTED,
             "w2v.conv_norm %s of %lld groups: fairseq-signals has a group for "
             "each of %lld channels, or layer norms",
             text(w2v, "conv_norm"), (long long)number(w2v, "conv_norm_groups"),
             (long long)a->conv_width);
    if (a->width == a->conv_width)
        FAIL(e, ERR_UNSUPPORTED,
             "w2v.width is w2v.conv_width, %lld: fairseq-signals then has no "
             "projection between them",
             (long long)a->width);
    return ERR_OK;
}

static enum err_code arch_of(const struct model *m, const cJSON *spec, struct fairseq_arch *a,
                             struct err *e)
{
    if (strcmp(m->network.backbone, "w2v") != 0)
        FAIL(e, ERR_UNSUPPORTED, "backbone %s: fairseq-signals has what w2v is",
             m->network.backbone);
    if (m->classes.count > 0 && strcmp(m->network.head, "linear") != 0)
        FAIL(e, ERR_UNSUPPORTED, "network.head %s: classifiers of fairseq-signals are linear",
             m->network.head);
    if (m->classes.count > 0 && strcmp(m->network.pool, "mean") != 0)
        FAIL(e, ERR_UNSUPPORTED, "network.pool %s: classifiers of fairseq-signals see the mean",
             m->network.pool);
    const struct param *codes = param_find(&m->params, "w2v.quantizer.codes"),
                       *target = param_find(&m->params, "w2v.target.weight");
    fairseq_arch_default(a,
                         m->classes.count > 0 ? FAIRSEQ_CLASSIFIER
                         : codes && target    ? FAIRSEQ_PRETRAINED
                                              : FAIRSEQ_ENCODER,
                         m->classes.count);
    TRY(arch_of_backbone(m, cJSON_GetObjectItemCaseSensitive(spec, "w2v"), a, e));
    if (a->kind != FAIRSEQ_PRETRAINED)
        return ERR_OK;
    a->code_width = codes->shape[1];
    a->code_groups = target->shape[1] / a->code_width;
    a->codes = codes->shape[0] / (a->code_groups ? a->code_groups : 1);
    a->final_width = target->shape[0];
    a->cmsc = m->objective && strstr(m->objective, "cmsc");
    return ERR_OK;
}

/* ---- cfg ---- */

/* JSON does not tell 0 from 0.0; Python and its typed configurations do. */
static bool is_real(const char *key)
{
    static const char *const reals[] = {
        "dropout",       "attention_dropout", "activation_dropout", "encoder_layerdrop",
        "dropout_input", "dropout_features",  "final_dropout",      "mask_prob",
        "mask_other",    "mask_channel_prob", "mask_channel_other", "feature_grad_mult",
        "logit_temp",    "latent_temp",       "pos_weight",         "loss_weights"};
    for (size_t i = 0; key && i < sizeof reals / sizeof *reals; i++)
        if (strcmp(key, reals[i]) == 0)
            return true;
    return false;
}

/* key: what the value is of, NULL: nothing. */
static struct pickle_value *value_of(struct arena *arena, const cJSON *json, const char *key)
{
    if (cJSON_IsBool(json))
        return pickle_bool(arena, cJSON_IsTrue(json));
    if (cJSON_IsNumber(json)) {
        double x = json->valuedouble;
        bool whole = x == floor(x) && fabs(x) < 0x1p53 && !is_real(key);
        return whole ? pickle_int(arena, (int64_t)x) : pickle_float(arena, x);
    }
    if (cJSON_IsString(json))
        return pickle_text(arena, json->valuestring);
    if (!cJSON_IsArray(json) && !cJSON_IsObject(json))
        return pickle_new(arena, PICKLE_NONE);
    struct pickle_value *v = pickle_new(arena, cJSON_IsArray(json) ? PICKLE_LIST : PICKLE_DICT);
    const cJSON *item;
    cJSON_ArrayForEach(item, json)
    {
        if (v->kind == PICKLE_LIST)
            pickle_append(arena, v, value_of(arena, item, key));
        else
            pickle_set(arena, v, item->string, value_of(arena, item, item->string));
    }
    return v;
}

/* Sets a key, over what is there. */
static void put(struct arena *arena, struct pickle_value *dict, const char *key,
                struct pickle_value *value)
{
    for (int64_t i = 0; i < dict->count; i += 2)
        if (strcmp(dict->items[i]->text, key) == 0) {
            dict->items[i + 1] = value;
            return;
        }
    pickle_set(arena, dict, key, value);
}

static void put_all(struct arena *arena, struct pickle_value *dict, const cJSON *from)
{
    const cJSON *item;
    if (cJSON_IsObject(from))
        cJSON_ArrayForEach(item, from)
            put(arena, dict, item->string, value_of(arena, item, item->string));
}

static void put_text(struct arena *arena, struct pickle_value *dict, const char *key,
                     const char *value)
{
    put(arena, dict, key, pickle_text(arena, value));
}

static struct pickle_value *section(struct pickle_value *cfg, const char *key)
{
    for (int64_t i = 0; i < cfg->count; i += 2)
        if (strcmp(cfg->items[i]->text, key) == 0)
            return cfg->items[i + 1];
    BUG("cfg has no %s", key);
}

/* What the network is, in the words of fairseq-signals. */
static void put_arch(struct arena *arena, struct pickle_value *model, const struct fairseq_arch *a)
{
    const struct {
        const char *key;
        int64_t value;
    } counts[] = {
        {"encoder_layers", a->depth},
        {"encoder_embed_dim", a->width},
        {"encoder_ffn_embed_dim", a->hidden},
        {"encoder_attention_heads", a->heads},
        {"conv_pos", a->position_kernel},
        {"conv_pos_groups", a->position_groups},
        {"in_d", a->leads},
        {"latent_vars", a->codes},
        {"latent_groups", a->code_groups},
        {"final_dim", a->final_width},
        {"num_labels", a->classes},
    };
    enum { PRETRAINED_FIRST = 7, PRETRAINED_LAST = 9 };
    static const char *const names[] = {[FAIRSEQ_PRETRAINED] = "wav2vec2",
                                        [FAIRSEQ_ENCODER] = "ecg_transformer",
                                        [FAIRSEQ_CLASSIFIER] = "ecg_transformer_classifier"};
    for (int i = 0; i < (int)(sizeof counts / sizeof *counts); i++) {
        bool pretrained = i >= PRETRAINED_FIRST && i <= PRETRAINED_LAST;
        if ((pretrained && a->kind != FAIRSEQ_PRETRAINED) ||
            (i > PRETRAINED_LAST && a->kind != FAIRSEQ_CLASSIFIER))
            continue;
        put(arena, model, counts[i].key, pickle_int(arena, counts[i].value));
    }
    put_text(arena, model, "_name", a->cmsc ? "wav2vec2_cmsc" : names[a->kind]);
    put(arena, model, "layer_norm_first", pickle_bool(arena, a->norm_first));
    put(arena, model, "conv_bias", pickle_bool(arena, a->conv_bias));
    put_text(arena, model, "extractor_mode", a->conv_layer_norm ? "layer_norm" : "default");
    const char *convolutions = arena_printf(arena, "[(%lld, %lld, %lld)] * %lld",
                                            (long long)a->conv_width, (long long)a->conv_kernel,
                                            (long long)a->conv_stride, (long long)a->conv_layers);
    ASSERT(convolutions, "out of memory");
    put_text(arena, model, "conv_feature_layers", convolutions);
    if (a->kind == FAIRSEQ_PRETRAINED) { /* 0: as wide as final_dim */
        int64_t wide = a->code_groups * a->code_width;
        put(arena, model, "latent_dim", pickle_int(arena, wide == a->final_width ? 0 : wide));
    }
}

static void put_json(struct arena *arena, struct pickle_value *dict, const char *json_text)
{
    cJSON *json = NULL;
    enum err_code code = json_parse(json_text, strlen(json_text), "constant", &json, NULL);
    ASSERT(code == ERR_OK, "a constant that is no JSON");
    put_all(arena, dict, json);
    cJSON_Delete(json);
}

/* Defaults, over them what the checkpoint that the model came from said, over that what it is. */
static struct pickle_value *cfg_of(struct arena *arena, const struct model *m,
                                   const struct fairseq_arch *a, const cJSON *source)
{
    static const char *const kept[] = {"task", "criterion", "model"};
    static const char *const criterions[] = {[FAIRSEQ_PRETRAINED] = "wav2vec2_with_cmsc",
                                             [FAIRSEQ_ENCODER] = "cmsc",
                                             [FAIRSEQ_CLASSIFIER] =
                                                 "binary_cross_entropy_with_logits"};
    struct pickle_value *cfg = pickle_new(arena, PICKLE_DICT);
    put_json(arena, cfg, common_text);
    struct pickle_value *model = section(cfg, "model"), *task = section(cfg, "task");
    if (a->kind == FAIRSEQ_PRETRAINED)
        put_json(arena, model, pretrained_text);
    if (a->kind == FAIRSEQ_CLASSIFIER)
        put_json(arena, model, classifier_text);
    put_text(arena, task, "_name",
             a->kind == FAIRSEQ_CLASSIFIER ? "ecg_classification" : "ecg_pretraining");
    put_text(arena, section(cfg, "criterion"), "_name",
             a->kind == FAIRSEQ_PRETRAINED && !a->cmsc ? "wav2vec2" : criterions[a->kind]);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        put_all(arena, section(cfg, kept[i]), cJSON_GetObjectItemCaseSensitive(source, kept[i]));
    double rate = m->contract.rate_hz;
    put(arena, task, "sample_rate",
        rate == floor(rate) ? pickle_int(arena, (int64_t)rate) : pickle_float(arena, rate));
    put_arch(arena, model, a);
    if (a->kind != FAIRSEQ_CLASSIFIER)
        return cfg;
    /* the weights are here: no other file is to be fetched */
    put(arena, model, "model_path", pickle_new(arena, PICKLE_NONE));
    cJSON *classes = model_classes_json(m);
    put(arena, cfg, "ecgfm", value_of(arena, classes, NULL));
    cJSON_Delete(classes);
    return cfg;
}

/* What provenance tells of a checkpoint of the same kind; NULL: nothing. */
static const cJSON *source_of(const cJSON *provenance, const struct fairseq_arch *a)
{
    const cJSON *source = cJSON_GetObjectItemCaseSensitive(provenance, "fairseq");
    const char *kind = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(source, "kind"));
    return kind && strcmp(kind, fairseq_kind_names[a->kind]) == 0 ? source : NULL;
}

/* ---- the checkpoint ---- */

static struct pickle_value *state_of(struct arena *arena, const struct model *m,
                                     const struct fairseq_arch *a)
{
    struct fairseq_tensor *list;
    int64_t count = fairseq_tensors(a, arena, &list);
    struct pickle_value *state = pickle_new(arena, PICKLE_DICT);
    state->ordered = true;
    for (int64_t i = 0; i < count; i++) {
        const struct fairseq_tensor *t = &list[i];
        const struct param *p = param_find(&m->params, t->ours);
        ASSERT(p && fairseq_fits(t, p), "%s is not %s of the model", t->name, t->ours);
        float *values = arena_push_array(arena, (size_t)fairseq_numel(t), sizeof *values);
        ASSERT(values, "out of memory");
        fairseq_take(t, m->values + p->offset, values);
        pickle_set(arena, state, t->name,
                   pytorch_tensor_new(arena, ST_F32, t->rank, t->shape, values));
    }
    return state;
}

/* Training that never was: what the loader asks for. */
static void set_history(struct arena *arena, struct pickle_value *root, const cJSON *source)
{
    const cJSON *updates = cJSON_GetObjectItemCaseSensitive(source, "updates");
    struct pickle_value *history = pickle_set(arena, root, "optimizer_history",
                                              pickle_new(arena, PICKLE_LIST)),
                        *last = pickle_new(arena, PICKLE_DICT);
    pickle_append(arena, history, last);
    pickle_set(arena, last, "criterion_name", pickle_text(arena, ""));
    pickle_set(arena, last, "optimizer_name", pickle_text(arena, ""));
    pickle_set(arena, last, "lr_scheduler_state", pickle_new(arena, PICKLE_DICT));
    pickle_set(arena, last, "num_updates",
               pickle_int(arena, cJSON_IsNumber(updates) && fabs(updates->valuedouble) < 0x1p53
                                     ? (int64_t)updates->valuedouble
                                     : 0));
    pickle_set(arena, root, "task_state", pickle_new(arena, PICKLE_DICT));
    struct pickle_value *extra =
                            pickle_set(arena, root, "extra_state", pickle_new(arena, PICKLE_DICT)),
                        *at = pickle_set(arena, extra, "train_iterator",
                                         pickle_new(arena, PICKLE_DICT));
    pickle_set(arena, at, "epoch", pickle_int(arena, 1));
    pickle_set(arena, at, "iterations_in_epoch", pickle_int(arena, 0));
    pickle_set(arena, extra, "val_loss", pickle_new(arena, PICKLE_NONE));
    pickle_set(arena, root, "last_optimizer_state", pickle_new(arena, PICKLE_NONE));
}

static enum err_code write_checkpoint(const struct model *m, const cJSON *spec,
                                      const cJSON *provenance, struct arena *arena,
                                      const char *path, struct err *e)
{
    struct fairseq_arch a;
    TRY(arch_of(m, spec, &a, e));
    const cJSON *source = source_of(provenance, &a);
    const char *spelling =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(source, "weight_norm"));
    a.parametrized = spelling && strcmp(spelling, "parametrizations") == 0;
    struct pickle_value *root = pickle_new(arena, PICKLE_DICT);
    pickle_set(arena, root, "args", pickle_new(arena, PICKLE_NONE));
    pickle_set(arena, root, "cfg", cfg_of(arena, m, &a, source));
    pickle_set(arena, root, "model", state_of(arena, m, &a));
    pickle_set(arena, root, "criterion", pickle_new(arena, PICKLE_NONE));
    set_history(arena, root, source);
    return pytorch_write(path, root, e);
}

enum err_code fairseq_write(const struct model *m, const char *path, struct err *e)
{
    ASSERT(m->values, "a model without values");
    struct arena arena;
    arena_init(&arena, "checkpoint", 0);
    cJSON *spec = model_spec_json(m), *provenance = NULL;
    if (m->provenance &&
        json_parse(m->provenance, strlen(m->provenance), "provenance", &provenance, NULL) != ERR_OK)
        provenance = NULL;
    enum err_code code = write_checkpoint(m, spec, provenance, &arena, path, e);
    cJSON_Delete(spec);
    cJSON_Delete(provenance);
    arena_reset(&arena);
    return code;
}
