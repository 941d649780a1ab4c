#include "model/model.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "format/safetensors.h"
#include "model/aggregate.h"
#include "model/preset.h"

static const struct option network_rows[] = {
    OPT_TEXT(network_config, backbone, "vit", "NAME", "backbone (see `ecgfm list backbones`)"),
    OPT_CHOICE(
        network_config, pool, "mean_max", "mean|max|mean_max|last|mean_max_last|attention",
        "how tokens become the features that a head or probe sees; attention is learned with "
        "the head, without one the mean stands for it"),
    OPT_CHOICE(network_config, head, "linear", "linear|mlp|cosine",
               "how features become logits (see `ecgfm list heads`)"),
    OPT_INT(network_config, adapter_width, "0", 0, 8192, NULL,
            "width of the bottleneck adapters in every transformer block; 0: none"),
    OPTION_END};

const struct option lora_rows[] = {
    OPT_INT(lora_options, rank, "0", 0, 1024, NULL,
            "rank of what is added to linear layers; 0: nothing"),
    OPT_FLOAT(lora_options, alpha, "16", 0, 1e6, NULL, "factor on it, divided by the rank"),
    OPT_FLOAT(lora_options, dropout, "0", 0, 0.99, NULL, "dropout before it in training"),
    OPT_TEXT(lora_options, targets, "qkv,out,up,down", "LIST",
             "the linear layers: ends of their names, or patterns with *, separated by commas"),
    OPTION_END};

static const struct option model_rows[] = {OPT_TEXT(model_options, model, "vit-tiny", "NAME",
                                                    "model preset (see `ecgfm list models`)"),
                                           OPTION_END};

/* --- options ------------------------------------------------------------------------------------ */

void model_options_add(struct option_set *set, struct model_options *target)
{
    option_set_add(set, "", model_rows, target);
    option_set_add(set, "network", network_rows, &target->network);
    option_set_add(set, "head", head_rows, &target->head);
    for (int i = 0; backbones[i]; i++) {
        void *config = arena_push(&set->arena, backbones[i]->config_size);
        ASSERT(config, "out of memory");
        option_set_add(set, backbones[i]->name, backbones[i]->options, config);
    }
}

static const struct preset *preset_find(const char *name, struct err *e)
{
    const char *names[256] = {NULL};
    for (int i = 0; presets[i].name && i < 255; i++) {
        if (strcmp(presets[i].name, name) == 0)
            return &presets[i];
        names[i] = presets[i].name;
    }
    int near = str_nearest(name, names);
    RAISE(e, ERR_USAGE, "--model %s: no such preset%s%s; `ecgfm list models` lists them", name,
          near >= 0 ? "; did you mean " : "", near >= 0 ? names[near] : "");
    return NULL;
}

enum err_code model_options_spec(struct option_set *set, struct model_options *options,
                                 struct cJSON **spec, struct err *e)
{
    const struct preset *preset = preset_find(options->model, e);
    if (!preset)
        return ERR_USAGE;
    cJSON *json;
    TRY(json_parse(preset->json, strlen(preset->json), preset->name, &json, e));
    enum err_code code = option_set_json(set, json, OPTION_FROM_PRESET, e);
    cJSON_Delete(json);
    TRY(code);
    if (!backbone_find(options->network.backbone))
        FAIL(e, ERR_USAGE, "network.backbone %s: no such backbone", options->network.backbone);
    /* By table, not by name: an objective may have the name of a backbone. */
    const struct option *rows = backbone_find(options->network.backbone)->options;
    *spec = cJSON_CreateObject();
    for (int g = 0; g < set->group_count; g++)
        if (set->groups[g].rows == network_rows || set->groups[g].rows == head_rows ||
            set->groups[g].rows == rows)
            cJSON_AddItemToObject(*spec, set->groups[g].prefix,
                                  option_rows_to_json(set->groups[g].rows, set->groups[g].target));
    return ERR_OK;
}

/* --- building ----------------------------------------------------------------------------------- */

struct encoding model_encode(struct build *b, const struct model *m, struct tensor *signal,
                             const struct masking *masking)
{
    static const struct masking none;
    size_t scope = scope_enter(b, "encoder");
    b->lora = &m->lora;
    b->adapter_width = m->network.adapter_width;
    struct encoding out = m->backbone->build(b, m->config, signal, masking ? masking : &none);
    b->lora = NULL;
    b->adapter_width = 0;
    scope_leave(b, scope);
    return out;
}

int64_t model_feature_count(const struct model *m)
{
    return pool_width(m->pool, m->backbone->width(m->config));
}

struct tensor *model_pool(struct build *b, const struct model *m, const struct encoding *encoding)
{
    b->layer = m->params.layer_max;
    return pool_build(b, m->pool, &m->head, encoding->tokens, encoding->lengths);
}

struct tensor *model_features(struct build *b, const struct model *m, struct tensor *tokens)
{
    return model_pool(b, m, &(struct encoding){.tokens = tokens});
}

struct tensor *model_logits(struct build *b, const struct model *m, struct tensor *features)
{
    ASSERT(m->classes.count > 0, "this model has no head");
    b->layer = m->params.layer_max;
    size_t scope = scope_enter(b, "head");
    struct tensor *logits =
        head_find(m->network.head)->build(b, &m->head, features, m->classes.count);
    scope_leave(b, scope);
    return logits;
}

static struct param *param_at(const struct param_table *table, int64_t offset)
{
    for (int i = 0; i < table->count; i++)
        if (table->items[i]->offset == offset)
            return table->items[i];
    BUG("no parameter at %lld", (long long)offset);
}

/* Marks the parameters that ops pack, and no op reads otherwise. */
static void mark_products(struct param_table *table, const struct tape *t)
{
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < tape_node_count(t); i++) {
            const struct node *n = tape_node(t, i);
            for (int j = 0; j < n->input_count; j++) {
                const struct tensor *x = n->input[j];
                if (x && x->kind == TENSOR_PARAMETER && (n->op->packs >> j & 1) != (unsigned)pass)
                    param_at(table, x->offset)->product = pass == 0;
            }
        }
}

struct tensor *model_loss(struct build *b, const struct model *m, int64_t B)
{
    struct tensor *signal =
        tape_input(b->tape, "signal", TENSOR_REAL, false, 3,
                   (int64_t[]){B, m->contract.lead_count, m->contract.sample_count});
    struct tensor *target =
        tape_input(b->tape, "target", TENSOR_REAL, false, 2, (int64_t[]){B, m->classes.count});
    struct tensor *weight = NULL;
    if (m->positive_weights) {
        weight = tape_input(b->tape, "positive_weights", TENSOR_REAL, false, 1, &m->classes.count);
        tape_bind(weight, m->positive_weights);
    }
    struct tensor *tokens = model_encode(b, m, signal, NULL).tokens;
    struct tensor *logits = model_logits(b, m, model_features(b, m, tokens));
    return m->classes.values ? t_mse(b->tape, logits, target)
                             : t_bce(b->tape, logits, target, weight);
}

void model_loss_bind(struct tape *t, const float *signal, const float *target)
{
    tape_bind(tape_find_input(t, "signal"), signal);
    tape_bind(tape_find_input(t, "target"), target);
}

/* One recording on a throw-away tape fills the parameter table. */
static void model_collect(struct model *m)
{
    struct tape *t = tape_new(&backend_ref, false);
    struct build b = {.tape = t, .params = &m->params};
    struct tensor *signal =
        tape_input(t, "signal", TENSOR_REAL, false, 3,
                   (int64_t[]){1, m->contract.lead_count, m->contract.sample_count});
    struct encoding enc = model_encode(&b, m, signal, NULL);
    if (m->classes.count > 0)
        model_logits(&b, m, model_features(&b, m, enc.tokens));
    mark_products(&m->params, t);
    tape_free(t);
}

/* The encoder recorded for T samples in a table of its own: what it asks for must be what is there. */
enum err_code model_takes(const struct model *m, int64_t T, struct err *e)
{
    struct err why = {0};
    if (m->backbone->check(m->config, m->contract.lead_count, T, &why) != ERR_OK)
        FAIL(e, ERR_MODEL, "backbone %s: %s", m->backbone->name, why.message);
    struct param_table asked;
    param_table_init(&asked);
    struct tape *t = tape_new(&backend_ref, false);
    struct build b = {.tape = t, .params = &asked};
    model_encode(&b, m,
                 tape_input(t, "signal", TENSOR_REAL, false, 3,
                            (int64_t[]){1, m->contract.lead_count, T}),
                 NULL);
    enum err_code code = ERR_OK;
    for (int i = 0; i < asked.count && code == ERR_OK; i++) {
        const struct param *p = asked.items[i], *own = param_find(&m->params, p->name);
        if (!own || own->rank != p->rank ||
            memcmp(own->shape, p->shape, (size_t)p->rank * sizeof p->shape[0]) != 0)
            code = RAISE(e, ERR_MODEL,
                         "backbone %s has parameters for windows of %lld samples alone (%s): "
                         "it does not take %lld",
                         m->backbone->name, (long long)m->contract.sample_count, p->name,
                         (long long)T);
    }
    tape_free(t);
    param_table_free(&asked);
    return code;
}

static enum err_code classes_copy(struct model *m, const struct model_classes *from, struct err *e)
{
    struct model_classes *to = &m->classes;
    struct arena *a = &m->arena;
    to->count = from->count;
    to->task = arena_strdup(a, from->task ? from->task : "");
    to->code_system = arena_strdup(a, from->code_system ? from->code_system : "");
    size_t K = (size_t)from->count;
    to->values = from->values;
    to->unit = from->unit ? arena_strdup(a, from->unit) : NULL;
    if (to->values) {
        to->means = arena_push_array(a, K, sizeof *to->means);
        to->deviations = arena_push_array(a, K, sizeof *to->deviations);
        memcpy(to->means, from->means, K * sizeof *to->means);
        memcpy(to->deviations, from->deviations, K * sizeof *to->deviations);
    }
    to->names = arena_push_array(a, K, sizeof *to->names);
    to->codes = arena_push_array(a, K, sizeof *to->codes);
    to->titles = arena_push_array(a, K, sizeof *to->titles);
    to->aggregation = arena_push_array(a, K, sizeof *to->aggregation);
    to->thresholds = arena_push_array(a, K, sizeof *to->thresholds);
    for (size_t k = 0; k < K; k++) {
        to->names[k] = arena_strdup(a, from->names[k]);
        to->codes[k] = arena_strdup(a, from->codes ? from->codes[k] : from->names[k]);
        to->titles[k] = arena_strdup(a, from->titles ? from->titles[k] : from->names[k]);
        const char *name = from->aggregation ? from->aggregation[k] : NULL;
        enum aggregation kind;
        if (!aggregation_parse(name, &kind))
            FAIL(e, ERR_MODEL, "class %s: aggregation \"%.40s\": expected mean_logit, mean or max",
                 to->names[k], name);
        if (to->values && kind != AGGREGATE_MEAN_LOGIT)
            FAIL(e, ERR_MODEL, "value %s: aggregation %s: a value is the mean over windows",
                 to->names[k], name);
        to->aggregation[k] = aggregation_names[kind];
        to->thresholds[k] = from->thresholds ? from->thresholds[k] : 0;
    }
    return ERR_OK;
}

enum err_code model_create(struct model *m, const struct cJSON *spec,
                           const struct contract *contract, const struct model_classes *classes,
                           struct err *e)
{
    memset(m, 0, sizeof *m);
    arena_init(&m->arena, "model", 0);
    option_set_init(&m->options);
    param_table_init(&m->params);
    option_set_add(&m->options, "network", network_rows, &m->network);
    option_set_add(&m->options, "head", head_rows, &m->head);
    if (cJSON_GetObjectItemCaseSensitive(spec, "lora"))
        option_set_add(&m->options, "lora", lora_rows, &m->lora);
    const cJSON *network = cJSON_GetObjectItemCaseSensitive(spec, "network");
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(network, "backbone");
    m->backbone = cJSON_IsString(name) ? backbone_find(name->valuestring) : NULL;
    if (!m->backbone)
        FAIL(e, ERR_MODEL, "network.backbone is %s, which this program does not know",
             cJSON_IsString(name) ? name->valuestring : "missing");
    m->config = arena_push(&m->arena, m->backbone->config_size);
    ASSERT(m->config, "out of memory");
    option_set_add(&m->options, m->backbone->name, m->backbone->options, m->config);
    TRY(option_set_json(&m->options, spec, OPTION_FROM_PRESET, e));
    m->contract = *contract;
    TRY(m->backbone->check(m->config, contract->lead_count, contract->sample_count, e));
    if (classes && classes->count > 0)
        TRY(classes_copy(m, classes, e));
    m->pool = pool_find(m->network.pool);
    if (m->pool->unlearned && m->classes.count == 0)
        m->pool = pool_find(m->pool->unlearned);
    TRY(pool_check(m->pool, &m->head, m->backbone->width(m->config), e));
    model_collect(m);
    return ERR_OK;
}

void model_free(struct model *m)
{
    if (!m->backbone && !m->params.items && !m->arena.chunks && !m->options.group_count)
        return;
    free(m->values);
    free(m->weights);
    if (m->file)
        safetensors_close(m->file);
    free(m->file);
    param_table_free(&m->params);
    option_set_free(&m->options);
    arena_reset(&m->arena);
    memset(m, 0, sizeof *m);
}

enum err_code model_allocate(struct model *m, uint64_t seed, struct err *e)
{
    m->values = aligned_calloc((size_t)m->params.total, sizeof *m->values);
    if (!m->values)
        FAIL(e, ERR_MEMORY, "no memory for %lld parameters",
             (long long)param_count_values(&m->params));
    param_initialize(&m->params, m->values, sizeof *m->values, seed);
    return ERR_OK;
}

static enum err_code refuse_shape(const struct param *to, const struct param *from, struct err *e)
{
    char text[2][120] = {"", ""};
    for (int side = 0; side < 2; side++) {
        const struct param *p = side ? from : to;
        for (int i = 0, at = 0; i < p->rank; i++)
            at += snprintf(text[side] + at, sizeof text[side] - (size_t)at, "%s%lld", i ? "," : "",
                           (long long)p->shape[i]);
    }
    FAIL(e, ERR_MODEL, "parameter %s is of another shape: expected [%s], found [%s]", to->name,
         text[0], text[1]);
}

/* What was added to the given weights is not dropped without a word. */
static enum err_code check_added(const struct model *m, const struct model *from, struct err *e)
{
    for (int i = 0; i < from->params.count; i++) {
        const struct param *p = from->params.items[i];
        if (p->added && str_starts_with(p->name, "encoder.") && !param_find(&m->params, p->name))
            FAIL(e, ERR_MODEL, "parameter %s of the given weights has no place in the model",
                 p->name);
    }
    return ERR_OK;
}

static enum err_code copy_scope(struct model *m, const struct model *from, const char *scope,
                                struct err *e)
{
    size_t length = strlen(scope);
    for (int i = 0; i < m->params.count; i++) {
        const struct param *to = m->params.items[i];
        if (strncmp(to->name, scope, length) != 0 || to->name[length] != '.')
            continue;
        const struct param *p = param_find(&from->params, to->name);
        /* additions are learned from their start on; low-rank ones start as nothing */
        if (!p && to->added && (!to->frozen || strstr(to->name, ".lora.")))
            continue;
        if (!p)
            FAIL(e, ERR_MODEL, "parameter %s is missing in the given weights%s", to->name,
                 to->added ? ", and would not be learned" : "");
        if (p->rank != to->rank ||
            memcmp(p->shape, to->shape, (size_t)to->rank * sizeof to->shape[0]) != 0)
            return refuse_shape(to, p, e);
        memcpy(m->values + to->offset, from->values + p->offset,
               (size_t)to->numel * sizeof *m->values);
    }
    return ERR_OK;
}

enum err_code model_copy_encoder(struct model *m, const struct model *from, struct err *e)
{
    TRY(check_added(m, from, e));
    return copy_scope(m, from, "encoder", e);
}

enum err_code model_copy_objective(struct model *m, const struct model *from, const char *scope,
                                   struct err *e)
{
    return copy_scope(m, from, scope, e);
}

/* w [N,K] += scale up [N,r] down [r,K] */
static void add_product(float *w, const float *up, const float *down, int64_t N, int64_t K,
                        int64_t r, double scale)
{
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < N; n++)
        for (int64_t k = 0; k < K; k++) {
            double sum = 0;
            for (int64_t i = 0; i < r; i++)
                sum += (double)up[n * r + i] * (double)down[i * K + k];
            w[n * K + k] = (float)((double)w[n * K + k] + scale * sum);
        }
}

/* The values of the parameter of *m with this name and ending. */
static const float *values_named(const struct model *m, const char *name, size_t length,
                                 const char *ending)
{
    char full[256];
    snprintf(full, sizeof full, "%.*s%s", (int)length, name, ending);
    const struct param *p = param_find(&m->params, full);
    return p ? m->values + p->offset : NULL;
}

static void merge_values(const struct model *m, struct model *out)
{
    for (int i = 0; i < out->params.count; i++) {
        const struct param *to = out->params.items[i], *p = param_find(&m->params, to->name);
        ASSERT(p && p->numel == to->numel, "parameter %s of a merged model", to->name);
        float *w = out->values + to->offset;
        memcpy(w, m->values + p->offset, (size_t)to->numel * sizeof *w);
        size_t length = strlen(to->name) - strlen("weight");
        if (!str_ends_with(to->name, ".weight"))
            continue;
        const float *up = values_named(m, to->name, length, "lora.up");
        const float *down = values_named(m, to->name, length, "lora.down");
        if (up && down)
            add_product(w, up, down, to->shape[0], to->numel / to->shape[0], m->lora.rank,
                        m->lora.alpha / (double)m->lora.rank);
    }
}

enum err_code model_merge(const struct model *m, struct model *out, struct err *e)
{
    cJSON *spec = model_spec_json(m);
    cJSON_DeleteItemFromObjectCaseSensitive(spec, "lora");
    enum err_code code = model_create(out, spec, &m->contract, &m->classes, e);
    cJSON_Delete(spec);
    TRY(code);
    TRY(model_allocate(out, 0, e));
    merge_values(m, out);
    out->provenance = m->provenance ? arena_strdup(&out->arena, m->provenance) : NULL;
    return ERR_OK;
}

bool model_owns(const struct param *p)
{
    return str_starts_with(p->name, "encoder.") || str_starts_with(p->name, "head.");
}
