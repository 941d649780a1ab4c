/* Reading checkpoints of fairseq-signals: kind and architecture, every tensor against the list, then
 * the model. */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/log.h"
#include "base/named.h"
#include "base/str.h"
#include "model/fairseq.h"
#include "model/labels.h"

#define DEPTH_MAX 128
#define CONV_MAX 12

/* ---- reading: the architecture ---- */

static void problem(struct fairseq_problems *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void problem(struct fairseq_problems *p, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (p->count == p->cap) {
        int64_t cap = p->cap ? 2 * p->cap : 64;
        const char **lines = arena_push_array(p->arena, (size_t)cap, sizeof *lines);
        ASSERT(lines, "out of memory");
        if (p->count)
            memcpy(lines, p->lines, (size_t)p->count * sizeof *lines);
        p->lines = lines;
        p->cap = cap;
    }
    p->lines[p->count] = arena_strdup(p->arena, text);
    ASSERT(p->lines[p->count], "out of memory");
    p->count++;
}

static const char *shape_text(char *out, size_t size, const int64_t *shape, int rank)
{
    size_t used = 0;
    out[0] = '\0';
    for (int d = 0; d < rank && used < size; d++)
        used +=
            (size_t)snprintf(out + used, size - used, "%s%lld", d ? "," : "", (long long)shape[d]);
    return out;
}

struct reader {
    const struct pickle_value *state, *cfg; /* names to tensors; cfg of the network */
    const char *prefix;
    struct fairseq_problems *problems;
};

static const struct pytorch_tensor *find(const struct reader *r, const char *name)
{
    char full[200];
    snprintf(full, sizeof full, "%s%s", r->prefix, name);
    return pytorch_tensor(pickle_get(r->state, full));
}

/* Extent of an axis, or the fallback where there is no such tensor: it is reported as missing then. */
static int64_t axis(const struct reader *r, const char *name, int rank, int d, int64_t fallback)
{
    const struct pytorch_tensor *t = find(r, name);
    return t && t->rank == rank && t->shape[d] > 0 && t->shape[d] <= 65536 ? t->shape[d] : fallback;
}

/* One more than the greatest number in names "<start><number><end>". */
static int64_t numbers(const struct reader *r, const char *start, const char *end)
{
    char full[100];
    snprintf(full, sizeof full, "%s%s", r->prefix, start);
    int64_t count = 0;
    for (int64_t i = 0; i < r->state->count; i += 2) {
        const struct pickle_value *key = r->state->items[i];
        if (key->kind != PICKLE_TEXT || !str_starts_with(key->text, full))
            continue;
        const char *at = key->text + strlen(full);
        size_t digits = strspn(at, "0123456789");
        if (digits == 0 || digits > 4 || !str_starts_with(at + digits, end))
            continue;
        int64_t number = 0;
        for (size_t k = 0; k < digits; k++)
            number = 10 * number + (at[k] - '0');
        if (number + 1 > count)
            count = number + 1;
    }
    return count;
}

/* cfg against what the tensors say. */
static void agree(const struct reader *r, const char *key, int64_t found)
{
    int64_t said = pickle_get_int(r->cfg, key, found);
    if (said != found)
        problem(r->problems, "cfg.model.%s is %lld, but the tensors have %lld", key,
                (long long)said, (long long)found);
}

/* "[(256, 2, 2)] * 4 + [(256, 3, 2)]": lists of (channels, kernel, stride), repeated and joined. */
struct conv_text {
    const char *at;
    bool failed;
    int64_t count;
    int64_t layers[CONV_MAX][3];
};

static bool take_char(struct conv_text *c, char wanted)
{
    c->at += strspn(c->at, " \t");
    if (*c->at != wanted)
        return false;
    c->at++;
    return true;
}

static int64_t take_count(struct conv_text *c)
{
    c->at += strspn(c->at, " \t");
    int64_t value = 0;
    size_t digits = strspn(c->at, "0123456789");
    c->failed = c->failed || digits == 0 || digits > 5;
    for (size_t i = 0; i < digits && !c->failed; i++)
        value = 10 * value + (c->at[i] - '0');
    c->at += digits;
    return value;
}

static void take_layers(struct conv_text *c)
{
    int64_t first = c->count;
    c->failed = c->failed || !take_char(c, '[');
    do {
        if (c->failed || c->count == CONV_MAX || !take_char(c, '(')) {
            c->failed = true;
            return;
        }
        for (int i = 0; i < 3; i++) {
            c->layers[c->count][i] = take_count(c);
            c->failed = c->failed || !take_char(c, i < 2 ? ',' : ')');
        }
        c->count++;
    } while (take_char(c, ','));
    c->failed = c->failed || !take_char(c, ']');
    int64_t length = c->count - first, times = take_char(c, '*') ? take_count(c) : 1;
    if (c->failed || times < 1 || times > CONV_MAX || first + length * times > CONV_MAX) {
        c->failed = true;
        return;
    }
    for (int64_t i = first + length; i < first + length * times; i++)
        memcpy(c->layers[i], c->layers[i - length], sizeof c->layers[i]);
    c->count = first + length * times;
}

static enum err_code read_convolutions(const struct reader *r, struct fairseq_arch *a,
                                       struct err *e)
{
    const char *first = "feature_extractor.conv_layers.0.0.weight";
    a->conv_layers = numbers(r, "feature_extractor.conv_layers.", ".0.weight");
    if (a->conv_layers < 1 || a->conv_layers > CONV_MAX)
        FAIL(e, ERR_MODEL, "the state dict has %lld convolutions (%s%s), expected 1 to %d",
             (long long)a->conv_layers, r->prefix, first, CONV_MAX);
    a->conv_width = axis(r, first, 3, 0, a->conv_width);
    a->leads = axis(r, first, 3, 1, a->leads);
    a->conv_kernel = axis(r, first, 3, 2, a->conv_kernel);
    a->conv_bias = find(r, "feature_extractor.conv_layers.0.0.bias") != NULL;
    a->conv_layer_norm = find(r, "feature_extractor.conv_layers.0.2.1.weight") != NULL;
    if (a->leads != 12)
        FAIL(e, ERR_UNSUPPORTED, "the first convolution takes %lld channels, expected 12 leads",
             (long long)a->leads);

    const char *text = pickle_get_text(r->cfg, "conv_feature_layers", NULL);
    if (!text)
        return ERR_OK;
    struct conv_text c = {.at = text};
    do
        take_layers(&c);
    while (!c.failed && take_char(&c, '+'));
    if (c.failed || *c.at)
        FAIL(e, ERR_UNSUPPORTED,
             "cfg.model.conv_feature_layers \"%.100s\": expected a list of "
             "(channels, kernel, stride)",
             text);
    for (int64_t i = 1; i < c.count; i++)
        if (memcmp(c.layers[i], c.layers[0], sizeof c.layers[0]) != 0)
            FAIL(e, ERR_UNSUPPORTED,
                 "cfg.model.conv_feature_layers \"%.100s\": layers differ, which backbone w2v does "
                 "not have",
                 text);
    if (c.count != a->conv_layers || c.layers[0][0] != a->conv_width ||
        c.layers[0][1] != a->conv_kernel)
        problem(r->problems,
                "cfg.model.conv_feature_layers is \"%.100s\", but the tensors have %lld of %lld "
                "channels and kernel %lld",
                text, (long long)a->conv_layers, (long long)a->conv_width,
                (long long)a->conv_kernel);
    a->conv_stride = c.layers[0][2];
    if (a->conv_stride < 1 || a->conv_stride > 64)
        FAIL(e, ERR_UNSUPPORTED, "cfg.model.conv_feature_layers \"%.100s\": stride", text);
    return ERR_OK;
}

static enum err_code read_position(const struct reader *r, struct fairseq_arch *a, struct err *e)
{
    const char *newer = "conv_pos.pos_conv.0.parametrizations.weight.original1";
    a->parametrized = find(r, newer) != NULL;
    const char *v = a->parametrized ? newer : "conv_pos.pos_conv.0.weight_v";
    int64_t width = axis(r, v, 3, 1, 0);
    a->position_kernel = axis(r, v, 3, 2, a->position_kernel);
    if (width > 0 && a->width % width == 0)
        a->position_groups = a->width / width;
    if (a->width % a->position_groups)
        FAIL(e, ERR_MODEL, "width %lld is no multiple of %lld position groups", (long long)a->width,
             (long long)a->position_groups);
    agree(r, "conv_pos", a->position_kernel);
    agree(r, "conv_pos_groups", a->position_groups);
    return ERR_OK;
}

static enum err_code read_blocks(const struct reader *r, struct fairseq_arch *a, struct err *e)
{
    a->depth = numbers(r, "encoder.layers.", ".");
    if (a->depth < 1 || a->depth > DEPTH_MAX)
        FAIL(e, ERR_MODEL,
             "the state dict has %lld layers (%sencoder.layers.0.*), expected 1 to %d",
             (long long)a->depth, r->prefix, DEPTH_MAX);
    a->width = axis(r, "post_extract_proj.weight", 2, 0, 0);
    if (a->width == 0)
        a->width = axis(r, "encoder.layers.0.fc1.weight", 2, 1, 768);
    if (!find(r, "post_extract_proj.weight") && a->width == a->conv_width)
        FAIL(
            e, ERR_UNSUPPORTED,
            "no post_extract_proj: width %lld is that of the convolutions, which backbone w2v does "
            "not have",
            (long long)a->width);
    a->hidden = axis(r, "encoder.layers.0.fc1.weight", 2, 0, a->hidden);
    a->heads = pickle_get_int(r->cfg, "encoder_attention_heads", a->heads);
    a->norm_first = pickle_get_bool(r->cfg, "layer_norm_first", false);
    if (a->heads < 1 || a->heads > 128 || a->width % a->heads)
        FAIL(e, ERR_MODEL, "cfg.model.encoder_attention_heads is %lld for width %lld",
             (long long)a->heads, (long long)a->width);
    agree(r, "encoder_layers", a->depth);
    agree(r, "encoder_embed_dim", a->width);
    agree(r, "encoder_ffn_embed_dim", a->hidden);
    agree(r, "in_d", a->leads);
    return ERR_OK;
}

static enum err_code read_quantizer(const struct reader *r, struct fairseq_arch *a, struct err *e)
{
    if (pickle_get_bool(r->cfg, "quantize_input", false) ||
        pickle_get_bool(r->cfg, "target_glu", false) ||
        !pickle_get_bool(r->cfg, "quantize_targets", true))
        FAIL(e, ERR_UNSUPPORTED,
             "cfg.model: quantize_input, target_glu, or quantize_targets off, "
             "which objective w2v does not have");
    a->code_groups = pickle_get_int(r->cfg, "latent_groups", a->code_groups);
    a->codes = pickle_get_int(r->cfg, "latent_vars", a->codes);
    if (a->code_groups < 1 || a->code_groups > 65536 || a->codes < 1 || a->codes > 65536)
        FAIL(e, ERR_MODEL, "cfg.model: %lld latent_groups of %lld latent_vars",
             (long long)a->code_groups, (long long)a->codes);
    int64_t vars = axis(r, "quantizer.vars", 3, 1, a->code_groups * a->codes);
    if (a->code_groups > vars || vars % a->code_groups)
        FAIL(e, ERR_MODEL, "cfg.model.latent_groups is %lld for %lld codes",
             (long long)a->code_groups, (long long)vars);
    a->codes = vars / a->code_groups;
    a->code_width = axis(r, "quantizer.vars", 3, 2, a->code_width);
    a->final_width = axis(r, "final_proj.weight", 2, 0, a->final_width);
    if (a->code_groups * a->code_width != a->final_width)
        FAIL(e, ERR_UNSUPPORTED,
             "codes of %lld values for predictions of %lld (cfg.model.latent_dim): objective w2v "
             "has "
             "the same of both",
             (long long)(a->code_groups * a->code_width), (long long)a->final_width);
    agree(r, "latent_vars", a->codes);
    if (pickle_get_int(r->cfg, "final_dim", 0) > 0)
        agree(r, "final_dim", a->final_width);
    return ERR_OK;
}

/* The kind by cfg, and by names, which must not say otherwise. */
static enum err_code read_kind(const struct pickle_value *cfg, const struct pickle_value *state,
                               struct fairseq_arch *a, struct err *e)
{
    const char *name = pickle_get_text(cfg, "_name", NULL);
    bool nested = pickle_get(state, "encoder.encoder.layer_norm.weight") ||
                  pickle_get(state, "encoder.encoder.layers.0.fc1.weight");
    enum fairseq_kind kind = nested ? FAIRSEQ_CLASSIFIER
                             : pickle_get(state, "mask_emb") || pickle_get(state, "quantizer.vars")
                                 ? FAIRSEQ_PRETRAINED
                                 : FAIRSEQ_ENCODER;
    bool cmsc = true;
    if (name) {
        bool classifier = strcmp(name, "ecg_transformer_classifier") == 0;
        cmsc = strcmp(name, "wav2vec2_cmsc") == 0;
        if (!classifier && !cmsc && strcmp(name, "wav2vec2") != 0 &&
            strcmp(name, "ecg_transformer") != 0)
            FAIL(e, ERR_UNSUPPORTED,
                 "cfg.model._name is \"%.60s\", expected wav2vec2_cmsc, wav2vec2, ecg_transformer "
                 "or "
                 "ecg_transformer_classifier",
                 name);
        if (classifier != nested)
            FAIL(e, ERR_MODEL,
                 "cfg.model._name is \"%s\", but the names of the tensors are those "
                 "of %s",
                 name, nested ? "a classifier (encoder.encoder.*)" : "an encoder by itself");
        kind = classifier                             ? FAIRSEQ_CLASSIFIER
               : strcmp(name, "ecg_transformer") == 0 ? FAIRSEQ_ENCODER
                                                      : FAIRSEQ_PRETRAINED;
    }
    fairseq_arch_default(a, kind, 0);
    a->cmsc = kind == FAIRSEQ_PRETRAINED && cmsc;
    return ERR_OK;
}

/* The state dict of a checkpoint. */
static enum err_code find_state(const struct pickle_value *root, const struct pickle_value **out,
                                struct err *e)
{
    *out = pickle_get(root, "model");
    if (!*out && pickle_get(root, "state_dict"))
        FAIL(e, ERR_UNSUPPORTED,
             "the file holds a head alone (state_dict), not a model of "
             "fairseq-signals");
    if (!*out || (*out)->kind != PICKLE_DICT)
        FAIL(e, ERR_MODEL,
             "the checkpoint has no dictionary \"model\": it is not from "
             "fairseq-signals");
    return ERR_OK;
}

/* What the encoder was configured with: a classifier keeps what its encoder was pre-trained with. */
static const struct pickle_value *encoder_cfg(const struct pickle_value *root)
{
    const struct pickle_value *model = pickle_get(pickle_get(root, "cfg"), "model");
    const struct pickle_value *inner = pickle_get(pickle_get(model, "args"), "model");
    return inner && inner->kind == PICKLE_DICT ? inner : model;
}

static bool is_set(const struct pickle_value *v)
{
    if (!v || v->kind == PICKLE_NONE)
        return false;
    if (v->kind == PICKLE_BOOL)
        return v->truth;
    if (v->kind == PICKLE_INT)
        return v->integer != 0;
    return v->kind != PICKLE_TEXT || v->text[0] != '\0';
}

/* What the signals were made into before the network: the contract of ECG-FM is all that is known. */
static void check_task(const struct pickle_value *root, struct fairseq_problems *problems)
{
    static const char *const others[] = {"filter", "leads_to_load", "leads_bucket",
                                         "enable_padding_leads"};
    const struct pickle_value *task = pickle_get(pickle_get(root, "cfg"), "task"),
                              *rate = pickle_get(task, "sample_rate");
    double rate_hz = pickle_get_number(task, "sample_rate", NAN);
    if (rate && rate->kind != PICKLE_NONE && rate_hz != 500)
        problem(problems, "cfg.task.sample_rate is %g, expected 500", rate_hz);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (is_set(pickle_get(task, others[i])))
            problem(problems,
                    "cfg.task.%s is set: signals were made for the model in a way that the input "
                    "contract does not have",
                    others[i]);
}

enum err_code fairseq_arch_read(const struct pickle_value *root, struct fairseq_arch *a,
                                struct fairseq_problems *problems, struct err *e)
{
    struct reader r = {.prefix = "", .problems = problems};
    TRY(find_state(root, &r.state, e));
    TRY(read_kind(pickle_get(pickle_get(root, "cfg"), "model"), r.state, a, e));
    r.cfg = encoder_cfg(root);
    check_task(root, problems);
    if (a->kind == FAIRSEQ_CLASSIFIER)
        r.prefix = "encoder.";
    TRY(read_convolutions(&r, a, e));
    TRY(read_blocks(&r, a, e));
    TRY(read_position(&r, a, e));
    if (a->kind == FAIRSEQ_PRETRAINED)
        TRY(read_quantizer(&r, a, e));
    if (a->kind == FAIRSEQ_CLASSIFIER) {
        r.prefix = "";
        a->classes = axis(&r, "proj.weight", 2, 0, 1);
        if (a->classes > MODEL_CLASSES_MAX)
            FAIL(e, ERR_LIMIT, "the head has %lld outputs, at most %d", (long long)a->classes,
                 MODEL_CLASSES_MAX);
        r.cfg = pickle_get(pickle_get(root, "cfg"), "model");
        agree(&r, "num_labels", a->classes);
    }
    return ERR_OK;
}

/* ---- reading: the labels ---- */

/* cfg as JSON. Depth and size of a pickle are bounded (format/pickle.h). */
static cJSON *json_of(const struct pickle_value *v)
{
    if (!v)
        return cJSON_CreateNull();
    switch (v->kind) {
    case PICKLE_BOOL:
        return cJSON_CreateBool(v->truth);
    case PICKLE_INT:
        return cJSON_CreateNumber((double)v->integer);
    case PICKLE_FLOAT:
        return cJSON_CreateNumber(v->real);
    case PICKLE_TEXT:
        return cJSON_CreateString(v->text);
    case PICKLE_TUPLE:
    case PICKLE_LIST: {
        cJSON *list = cJSON_CreateArray();
        for (int64_t i = 0; i < v->count; i++)
            cJSON_AddItemToArray(list, json_of(v->items[i]));
        return list;
    }
    case PICKLE_DICT: {
        cJSON *object = cJSON_CreateObject();
        for (int64_t i = 0; i < v->count; i += 2)
            if (v->items[i]->kind == PICKLE_TEXT)
                cJSON_AddItemToObject(object, v->items[i]->text, json_of(v->items[i + 1]));
        return object;
    }
    case PICKLE_NONE:
    case PICKLE_OBJECT:
    case PICKLE_GLOBAL:
        break;
    }
    return cJSON_CreateNull();
}

static const char *keep(struct arena *arena, const char *text)
{
    const char *copy = text ? arena_strdup(arena, text) : NULL;
    ASSERT(copy || !text, "out of memory");
    return copy;
}

/* What fairseq_write says of the classes. */
static enum err_code own_labels(const struct pickle_value *own, const struct fairseq_arch *a,
                                struct arena *arena, struct model_classes *out, struct err *e)
{
    cJSON *json = json_of(own);
    enum err_code code = model_classes_from_json(json, arena, out, e);
    if (code == ERR_OK && out->count != a->classes)
        code = RAISE(e, ERR_LABELS, "cfg.ecgfm names %lld labels for a model of %lld",
                     (long long)out->count, (long long)a->classes);
    if (code == ERR_OK) {
        out->task = keep(arena, out->task);
        out->code_system = keep(arena, out->code_system);
        out->unit = keep(arena, out->unit);
    }
    for (int64_t k = 0; k < out->count && code == ERR_OK; k++) {
        out->names[k] = keep(arena, out->names[k]);
        out->codes[k] = keep(arena, out->codes[k]);
        out->titles[k] = keep(arena, out->titles[k]);
        out->aggregation[k] = keep(arena, out->aggregation[k]);
    }
    cJSON_Delete(json);
    return code == ERR_OK ? ERR_OK : err_context(e, "cfg.ecgfm");
}

/* Whether the loss was weighted as that of a published model: yes, no, or not told. */
enum proof { PROOF_NONE, PROOF_YES, PROOF_NO };

static enum proof prove(const struct label_table *t, const struct pickle_value *weights)
{
    bool told = weights && (weights->kind == PICKLE_LIST || weights->kind == PICKLE_TUPLE);
    if (!told || t->labels[0].positive_weight == 0)
        return PROOF_NONE;
    if (weights->count != t->count)
        return PROOF_NO;
    for (int64_t k = 0; k < t->count; k++) {
        const struct pickle_value *w = weights->items[k];
        double wanted = t->labels[k].positive_weight, found = w->kind == PICKLE_FLOAT ? w->real
                                                              : w->kind == PICKLE_INT
                                                                  ? (double)w->integer
                                                                  : NAN;
        if (!(fabs(found - wanted) <= 1e-4 * wanted))
            return PROOF_NO;
    }
    return PROOF_YES;
}

enum err_code fairseq_labels(const struct pickle_value *root, const struct fairseq_arch *a,
                             bool published, struct arena *arena, struct model_classes *out,
                             struct err *e)
{
    const struct pickle_value *cfg = pickle_get(root, "cfg"), *own = pickle_get(cfg, "ecgfm");
    if (own && !published)
        return own_labels(own, a, arena, out, e);
    const struct label_table *t = label_table_find(a->classes);
    if (!t)
        FAIL(e, ERR_LABELS, "no published model has %lld labels: --labels FILE says what they are",
             (long long)a->classes);
    enum proof proof = prove(t, pickle_get(pickle_get(cfg, "criterion"), "pos_weight"));
    if (proof == PROOF_NO)
        FAIL(e, ERR_LABELS,
             "%lld labels as %s has, but cfg.criterion.pos_weight differs: these are other "
             "labels; --labels FILE says which",
             (long long)a->classes, t->source);
    if (proof == PROOF_NONE && !published)
        FAIL(e, ERR_LABELS,
             "%lld labels as %s has, but nothing in the checkpoint proves that it is that model: "
             "--labels published says so, --labels FILE says what they are",
             (long long)a->classes, t->source);
    label_table_classes(t, arena, out);
    return ERR_OK;
}

/* ---- reading: the tensors ---- */

/* Every name of the state dict against the list, and the list against the state dict. */
static void match(const struct pickle_value *state, const struct fairseq_tensor *list,
                  const struct pytorch_tensor **found, int64_t count, struct arena *arena,
                  struct fairseq_problems *problems)
{
    char there[128], wanted[128];
    struct named *sorted = arena_push_array(arena, (size_t)count, sizeof *sorted);
    ASSERT(sorted, "out of memory");
    for (int64_t i = 0; i < count; i++)
        sorted[i] = (struct named){list[i].name, i};
    named_sort(sorted, count);
    for (int64_t i = 0; i < state->count; i += 2) {
        const struct pickle_value *key = state->items[i];
        const struct pytorch_tensor *t = pytorch_tensor(state->items[i + 1]);
        if (key->kind != PICKLE_TEXT || !t) {
            problem(problems, "extra: \"%.100s\" is no tensor",
                    key->kind == PICKLE_TEXT ? key->text : "(a key that is no text)");
            continue;
        }
        const struct named *at = named_find(sorted, count, key->text);
        shape_text(there, sizeof there, t->shape, t->rank);
        if (!at) {
            problem(problems, "extra: %.100s [%s]", key->text, there);
            continue;
        }
        const struct fairseq_tensor *wish = &list[at->index];
        found[at->index] = t;
        if (t->dtype != ST_F16 && t->dtype != ST_BF16 && t->dtype != ST_F32 && t->dtype != ST_F64)
            problem(problems, "another type: %.100s of %s, expected floating point", key->text,
                    safetensors_dtype_name(t->dtype));
        if (t->rank != wish->rank ||
            memcmp(t->shape, wish->shape, (size_t)t->rank * sizeof t->shape[0]) != 0)
            problem(problems, "another shape: %.100s [%s], expected [%s]", key->text, there,
                    shape_text(wanted, sizeof wanted, wish->shape, wish->rank));
    }
    for (int64_t i = 0; i < count; i++)
        if (!found[i])
            problem(problems, "missing: %s [%s]", list[i].name,
                    shape_text(wanted, sizeof wanted, list[i].shape, list[i].rank));
}

/* ---- reading: the model ---- */

static void add_number(cJSON *object, const char *key, double value)
{
    cJSON_AddNumberToObject(object, key, value);
}

/* {"network": {...}, "w2v": {...}} */
static cJSON *spec_of(const struct fairseq_arch *a, const struct pickle_value *cfg)
{
    cJSON *spec = cJSON_CreateObject(), *network = cJSON_AddObjectToObject(spec, "network"),
          *w2v = cJSON_AddObjectToObject(spec, "w2v");
    cJSON_AddStringToObject(network, "backbone", "w2v");
    cJSON_AddStringToObject(network, "pool", "mean");
    add_number(w2v, "width", (double)a->width);
    add_number(w2v, "depth", (double)a->depth);
    add_number(w2v, "heads", (double)a->heads);
    double ratio = (double)a->hidden / (double)a->width;
    while ((int64_t)((double)a->width * ratio) < a->hidden)
        ratio = nextafter(ratio, INFINITY);
    add_number(w2v, "mlp_ratio", ratio);
    cJSON_AddStringToObject(w2v, "norm", a->norm_first ? "pre" : "post");
    add_number(w2v, "conv_layers", (double)a->conv_layers);
    add_number(w2v, "conv_width", (double)a->conv_width);
    add_number(w2v, "conv_kernel", (double)a->conv_kernel);
    add_number(w2v, "conv_stride", (double)a->conv_stride);
    cJSON_AddStringToObject(w2v, "conv_norm", a->conv_layer_norm ? "layer" : "group");
    add_number(w2v, "conv_norm_groups", (double)a->conv_width);
    cJSON_AddBoolToObject(w2v, "conv_bias", a->conv_bias);
    add_number(w2v, "position_kernel", (double)a->position_kernel);
    add_number(w2v, "position_groups", (double)a->position_groups);
    /* what only concerns training; what cfg does not say is as ECG-FM was trained */
    add_number(w2v, "dropout", pickle_get_number(cfg, "dropout", 0.1));
    add_number(w2v, "attention_dropout", pickle_get_number(cfg, "attention_dropout", 0.1));
    add_number(w2v, "activation_dropout", pickle_get_number(cfg, "activation_dropout", 0));
    add_number(w2v, "input_dropout", pickle_get_number(cfg, "dropout_input", 0.1));
    add_number(w2v, "layer_drop", pickle_get_number(cfg, "encoder_layerdrop", 0));
    add_number(w2v, "feature_gradient", pickle_get_number(cfg, "feature_grad_mult", 0.1));
    return spec;
}

static const char *text_of(struct arena *arena, cJSON *json)
{
    struct buf text;
    buf_init(&text, 0);
    json_print(json, false, &text);
    cJSON_Delete(json);
    const char *copy = text.failed ? NULL : arena_strdup(arena, text.data);
    buf_free(&text);
    ASSERT(copy, "out of memory");
    return copy;
}

static const char *provenance_of(struct arena *arena, const struct fairseq_arch *a,
                                 const struct pickle_value *root)
{
    static const char *const kept[] = {"model", "task", "criterion"};
    cJSON *json = cJSON_CreateObject(), *source = cJSON_AddObjectToObject(json, "fairseq");
    const struct pickle_value *cfg = pickle_get(root, "cfg");
    cJSON_AddStringToObject(source, "kind", fairseq_kind_names[a->kind]);
    cJSON_AddStringToObject(source, "weight_norm", a->parametrized ? "parametrizations" : "g, v");
    const struct pickle_value *history = pickle_get(root, "optimizer_history");
    if (history && history->kind == PICKLE_LIST && history->count > 0)
        add_number(source, "updates",
                   pickle_get_number(history->items[history->count - 1], "num_updates", 0));
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (pickle_get(cfg, kept[i]))
            cJSON_AddItemToObject(source, kept[i], json_of(pickle_get(cfg, kept[i])));
    return text_of(arena, json);
}

/* Options of objective w2v from cfg; what cfg does not say is as ECG-FM was trained. */
static const char *objective_of(struct arena *arena, const struct fairseq_arch *a,
                                const struct pickle_value *cfg)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "objective", a->cmsc ? "w2v+cmsc" : "w2v");
    cJSON *w2v = cJSON_AddObjectToObject(json, "w2v");
    add_number(w2v, "groups", (double)a->code_groups);
    add_number(w2v, "codes", (double)a->codes);
    add_number(w2v, "dim", (double)a->final_width);
    add_number(w2v, "mask_probability", pickle_get_number(cfg, "mask_prob", 0.65));
    add_number(w2v, "mask_length", pickle_get_number(cfg, "mask_length", 10));
    cJSON_AddStringToObject(w2v, "mask_mode", pickle_get_text(cfg, "mask_selection", "static"));
    add_number(w2v, "mask_other", pickle_get_number(cfg, "mask_other", 0));
    add_number(w2v, "negatives", pickle_get_number(cfg, "num_negatives", 100));
    add_number(w2v, "cross_negatives", pickle_get_number(cfg, "cross_sample_negatives", 0));
    add_number(w2v, "temperature", pickle_get_number(cfg, "logit_temp", 0.1));
    add_number(w2v, "feature_dropout", pickle_get_number(cfg, "dropout_features", 0.1));
    return text_of(arena, json);
}

static enum err_code create(struct model *m, const struct fairseq_arch *a,
                            const struct pickle_value *root, const struct model_classes *classes,
                            const struct fairseq_tensor *list, int64_t count, struct err *e)
{
    struct contract contract;
    fairseq_contract(&contract);
    cJSON *spec = spec_of(a, encoder_cfg(root));
    enum err_code code = model_create(m, spec, &contract, classes, e);
    cJSON_Delete(spec);
    TRY(code);
    for (int64_t i = 0; i < count; i++) {
        const struct fairseq_tensor *t = &list[i];
        if (!str_starts_with(t->ours, "w2v."))
            continue;
        int first = t->rank == 3; /* quantizer.vars [1,v,w] */
        param_get(&m->params, t->ours, t->rank - first, t->shape + first, PARAM_ZERO, 0, true,
                  m->params.layer_max);
    }
    m->provenance = provenance_of(&m->arena, a, root);
    if (a->kind == FAIRSEQ_PRETRAINED)
        m->objective = objective_of(&m->arena, a, encoder_cfg(root));
    m->values = aligned_calloc((size_t)m->params.total, sizeof *m->values);
    if (!m->values)
        FAIL(e, ERR_MEMORY, "no memory for %lld parameters",
             (long long)param_count_values(&m->params));
    return ERR_OK;
}

/* The values of every tensor to their places. Each parameter is filled whole: the counts agree. */
static enum err_code fill(struct model *m, struct pytorch *p, const struct fairseq_tensor *list,
                          const struct pytorch_tensor *const *found, int64_t count, struct err *e)
{
    int64_t filled = 0, most = 0;
    for (int64_t i = 0; i < count; i++) {
        const struct param *to = param_find(&m->params, list[i].ours);
        ASSERT(to && fairseq_fits(&list[i], to), "%s is not %s of the model", list[i].name,
               list[i].ours);
        filled += found[i]->numel;
        most = found[i]->numel > most ? found[i]->numel : most;
    }
    ASSERT(filled == param_count_values(&m->params), "%lld values for %lld parameters",
           (long long)filled, (long long)param_count_values(&m->params));
    float *values = large_alloc((size_t)most * sizeof *values);
    if (!values)
        FAIL(e, ERR_MEMORY, "no memory for %lld values", (long long)most);
    enum err_code code = ERR_OK;
    for (int64_t i = 0; i < count && code == ERR_OK; i++) {
        const struct param *to = param_find(&m->params, list[i].ours);
        code = pytorch_read_f32(p, found[i], values, e);
        for (int64_t k = 0; k < found[i]->numel && code == ERR_OK; k++)
            if (!isfinite(values[k]))
                code =
                    RAISE(e, ERR_MODEL, "%s: value %lld is not finite", list[i].name, (long long)k);
        if (code == ERR_OK)
            fairseq_put(&list[i], m->values + to->offset, values);
    }
    free(values);
    return code;
}

/* Architecture, the list of its tensors, and which of them are there. */
static enum err_code check(const struct pickle_value *root, struct fairseq_arch *a,
                           struct fairseq_problems *problems, struct fairseq_tensor **list,
                           const struct pytorch_tensor ***found, int64_t *count, struct err *e)
{
    const struct pickle_value *state = NULL;
    TRY(fairseq_arch_read(root, a, problems, e));
    TRY(find_state(root, &state, e));
    *count = fairseq_tensors(a, problems->arena, list);
    *found = arena_push_array(problems->arena, (size_t)*count, sizeof **found);
    ASSERT(*found, "out of memory");
    match(state, *list, *found, *count, problems->arena, problems);
    return ERR_OK;
}

enum err_code fairseq_check(const struct pickle_value *root, struct fairseq_arch *a,
                            struct fairseq_problems *problems, struct err *e)
{
    struct fairseq_tensor *list;
    const struct pytorch_tensor **found;
    int64_t count;
    return check(root, a, problems, &list, &found, &count, e);
}

static int by_storage(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)(*(const struct pytorch_tensor *const *)a)->storage,
              y = (uintptr_t)(*(const struct pytorch_tensor *const *)b)->storage;
    return (x > y) - (x < y);
}

/* Views of a small file must not make a large model. */
static void check_sharing(const struct pytorch_tensor *const *found, int64_t count,
                          struct fairseq_problems *problems)
{
    const struct pytorch_tensor **sorted =
        arena_push_array(problems->arena, (size_t)count, sizeof *sorted);
    ASSERT(sorted, "out of memory");
    memcpy(sorted, found, (size_t)count * sizeof *sorted);
    qsort(sorted, (size_t)count, sizeof *sorted, by_storage);
    double values = 0, stored = 0; /* exact: far below 2^53 */
    for (int64_t i = 0; i < count; i++) {
        values += (double)sorted[i]->numel;
        if (i == 0 || sorted[i]->storage != sorted[i - 1]->storage)
            stored += (double)sorted[i]->storage->numel;
    }
    if (values > stored)
        problem(problems, "the tensors have %.0f values, but their storages hold %.0f", values,
                stored);
}

/* What neither shapes nor cfg tell. */
static void warn_of_assumptions(const struct pickle_value *root, const struct fairseq_arch *a)
{
    const struct pickle_value *cfg = encoder_cfg(root);
    const struct {
        const char *key;
        enum pickle_kind kind;
        const char *what;
        int64_t value;
    } needed[] = {{"encoder_attention_heads", PICKLE_INT, "heads", a->heads},
                  {"conv_feature_layers", PICKLE_TEXT, "as the stride", a->conv_stride},
                  {"layer_norm_first", PICKLE_BOOL, "norms before attention (0: after)",
                   a->norm_first}};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        const struct pickle_value *v = pickle_get(cfg, needed[i].key);
        if (!v || v->kind != needed[i].kind)
            log_warning("cfg.model.%s is not told: assumed %lld %s, as ECG-FM has", needed[i].key,
                        (long long)needed[i].value, needed[i].what);
    }
}

enum err_code fairseq_read(struct model *m, struct pytorch *p, const struct model_classes *classes,
                           struct fairseq_problems *problems, struct err *e)
{
    memset(m, 0, sizeof *m);
    struct fairseq_arch a;
    struct fairseq_tensor *list;
    const struct pytorch_tensor **found;
    int64_t count;
    TRY(check(p->root, &a, problems, &list, &found, &count, e));
    if (problems->count == 0) /* all are there */
        check_sharing(found, count, problems);
    if (problems->count > 0)
        FAIL(e, ERR_MODEL, "the checkpoint does not fit: %lld problem%s; the first is %.300s",
             (long long)problems->count, problems->count > 1 ? "s" : "", problems->lines[0]);
    int64_t given = classes ? classes->count : 0;
    if (given != a.classes)
        FAIL(e, ERR_LABELS, "%lld labels are given for a model of %lld", (long long)given,
             (long long)a.classes);
    if (pickle_get_bool(pickle_get(pickle_get(p->root, "cfg"), "task"), "normalize", false))
        log_warning("cfg.task.normalize is on: the model was trained on signals normalized by "
                    "files that a checkpoint does not hold; the input contract is that of ECG-FM");
    warn_of_assumptions(p->root, &a);
    TRY(create(m, &a, p->root, classes, list, count, e));
    return fill(m, p, list, found, count, e);
}
