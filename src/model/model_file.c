/* Models as safetensors files. */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "base/shapes.h"
#include "base/str.h"
#include "format/safetensors.h"
#include "kernel/storage.h"
#include "model/aggregate.h"
#include "model/model.h"
#include "model/model_file.h"

#define MODEL_FORMAT "1"
#define OBJECTIVE_PARAMS_MAX 4096
#define PARAM_VALUES_MAX (INT64_C(1) << 40)

struct cJSON *model_spec_json(const struct model *m)
{
    cJSON *json = option_set_to_json(&m->options, false);
    if (!head_find(m->network.head)->configured && !pool_find(m->network.pool)->unlearned)
        cJSON_DeleteItemFromObjectCaseSensitive(json, "head");
    return json;
}

struct cJSON *model_classes_json(const struct model *m)
{
    const struct model_classes *c = &m->classes;
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "task", c->task ? c->task : "");
    cJSON_AddStringToObject(json, "code_system", c->code_system ? c->code_system : "");
    if (c->values)
        cJSON_AddStringToObject(json, "kind", "values");
    if (c->values && c->unit)
        cJSON_AddStringToObject(json, "unit", c->unit);
    cJSON *list = cJSON_AddArrayToObject(json, "classes");
    for (int64_t k = 0; k < c->count; k++) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "name", c->names[k]);
        cJSON_AddStringToObject(item, "code", c->codes[k]);
        cJSON_AddStringToObject(item, "title", c->titles[k]);
        if (c->aggregation && strcmp(c->aggregation[k], aggregation_names[0]) != 0)
            cJSON_AddStringToObject(item, "aggregation", c->aggregation[k]);
        if (c->thresholds && c->thresholds[k] > 0)
            cJSON_AddNumberToObject(item, "threshold", c->thresholds[k]);
        if (c->values) {
            cJSON_AddNumberToObject(item, "mean", c->means[k]);
            cJSON_AddNumberToObject(item, "deviation", c->deviations[k]);
        }
        cJSON_AddItemToArray(list, item);
    }
    return json;
}

/* What an objective adds to the table (decoders, projection heads) is saved where it is said whose it
 * is. */
static bool is_saved(const struct model *m, const struct param *p)
{
    return model_owns(p) || m->objective;
}

/* m->objective with the list of its parameters. */
static cJSON *objective_json(const struct model *m)
{
    cJSON *json = NULL;
    json_parse(m->objective, strlen(m->objective), "objective", &json, NULL);
    ASSERT(cJSON_IsObject(json), "objective of a model: %s", m->objective);
    cJSON *list = cJSON_CreateObject();
    for (int i = 0; i < m->params.count; i++) {
        const struct param *p = m->params.items[i];
        if (model_owns(p))
            continue;
        cJSON *shape = cJSON_AddArrayToObject(list, p->name);
        for (int k = 0; k < p->rank; k++)
            cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)p->shape[k]));
    }
    cJSON_DeleteItemFromObjectCaseSensitive(json, "parameters");
    cJSON_AddItemToObject(json, "parameters", list);
    return json;
}

enum err_code model_write(const struct model *m, const struct safetensor *tensors, int64_t n,
                          const char *base, const char *path, struct err *e)
{
    cJSON *spec = model_spec_json(m), *contract = contract_to_json(&m->contract),
          *classes = model_classes_json(m), *objective = m->objective ? objective_json(m) : NULL;
    struct buf spec_text = {0}, contract_text = {0}, classes_text = {0}, objective_text = {0};
    json_print(spec, false, &spec_text);
    json_print(contract, false, &contract_text);
    json_print(classes, false, &classes_text);
    if (objective)
        json_print(objective, false, &objective_text);
    ASSERT(!spec_text.failed && !contract_text.failed && !classes_text.failed &&
               !objective_text.failed,
           "out of memory");
    const char *last = base ? "ecgfm.base" : "ecgfm.objective";
    const char *keys[] = {"format",
                          base ? "ecgfm.adapter" : "ecgfm.version",
                          "ecgfm.spec",
                          "ecgfm.contract",
                          "ecgfm.classes",
                          "ecgfm.provenance",
                          last};
    const char *texts[] = {"pt",
                           MODEL_FORMAT,
                           spec_text.data,
                           contract_text.data,
                           classes_text.data,
                           m->provenance ? m->provenance : "{}",
                           base ? base : objective_text.data};
    enum err_code code =
        safetensors_write(path, tensors, n, keys, texts, base || objective ? 7 : 6, e);
    buf_free(&spec_text);
    buf_free(&contract_text);
    buf_free(&classes_text);
    buf_free(&objective_text);
    cJSON_Delete(objective);
    cJSON_Delete(spec);
    cJSON_Delete(contract);
    cJSON_Delete(classes);
    return code;
}

struct safetensor model_tensor(const struct param *p, const void *data, enum storage storage)
{
    static const enum safetensors_dtype dtypes[] = {
        [STORAGE_F32] = ST_F32, [STORAGE_BF16] = ST_BF16, [STORAGE_INT8] = ST_I8};
    struct safetensor t = {.name = p->name,
                           .dtype = dtypes[storage],
                           .rank = p->rank,
                           .data = data,
                           .bytes = (size_t)p->numel * storage_bytes(storage)};
    memcpy(t.shape, p->shape, (size_t)p->rank * sizeof p->shape[0]);
    return t;
}

enum err_code model_save(const struct model *m, const float *values, const char *path,
                         struct err *e)
{
    if (!values)
        values = m->values;
    int64_t n = 0;
    struct safetensor *list = calloc((size_t)m->params.count, sizeof *list);
    ASSERT(list, "out of memory");
    for (int i = 0; i < m->params.count; i++)
        if (is_saved(m, m->params.items[i]))
            list[n++] =
                model_tensor(m->params.items[i], values + m->params.items[i]->offset, STORAGE_F32);
    enum err_code code = model_write(m, list, n, NULL, path, e);
    free(list);
    return code;
}

static const char *scale_name(struct arena *a, const struct param *p)
{
    const char *name = arena_printf(a, "%s.scale", p->name);
    ASSERT(name, "out of memory");
    return name;
}

/* Parameter i in another storage, in memory of the arena. */
static enum err_code round_param(const struct model *m, int i, enum storage storage,
                                 struct arena *a, struct weight *out, struct err *e)
{
    const struct param *p = m->params.items[i];
    struct weight from = model_weight(m, i);
    *out = from;
    if (from.storage == storage)
        return ERR_OK; /* as it is, to the bit */
    int64_t N = p->shape[0], K = p->numel / N;
    float *wide = malloc((size_t)p->numel * sizeof *wide);
    void *data = arena_push(a, (size_t)p->numel * storage_bytes(storage));
    float *scale = storage == STORAGE_INT8 ? arena_push(a, (size_t)N * sizeof *scale) : NULL;
    if (!wide || !data || (storage == STORAGE_INT8 && !scale)) {
        free(wide);
        FAIL(e, ERR_MEMORY, "no memory for parameter %s", p->name);
    }
    weight_to_f32(wide, &from, N, K);
    weight_round(data, scale, wide, N, K, storage);
    free(wide);
    *out = (struct weight){data, storage, scale};
    return ERR_OK;
}

/* What is float32 comes first, so that every tensor is aligned for its type. */
enum err_code model_save_as(const struct model *m, enum storage storage, const char *path,
                            struct err *e)
{
    struct arena a;
    arena_init(&a, "rounded parameters", 0);
    int count = m->params.count, n = 0, last = 2 * count;
    struct safetensor *list = calloc(2 * (size_t)count, sizeof *list);
    ASSERT(list, "out of memory");
    enum err_code code = ERR_OK;
    for (int i = count; i-- > 0 && code == ERR_OK;) { /* the rounded ones, from the end */
        const struct param *p = m->params.items[i];
        struct weight w;
        if (!p->product || !is_saved(m, p))
            continue;
        code = round_param(m, i, storage, &a, &w, e);
        list[--last] = model_tensor(p, w.data, storage);
        if (w.scale)
            list[n++] = (struct safetensor){.name = scale_name(&a, p),
                                            .dtype = ST_F32,
                                            .rank = 1,
                                            .shape = {p->shape[0]},
                                            .data = w.scale,
                                            .bytes = (size_t)p->shape[0] * sizeof(float)};
    }
    for (int i = 0; i < count; i++)
        if (!m->params.items[i]->product && is_saved(m, m->params.items[i]))
            list[n++] = model_tensor(m->params.items[i], model_weight(m, i).data, STORAGE_F32);
    memmove(list + n, list + last, (size_t)(2 * count - last) * sizeof *list);
    if (code == ERR_OK)
        code = model_write(m, list, n + 2 * count - last, NULL, path, e);
    free(list);
    arena_reset(&a);
    return code;
}

/* A metadata entry as JSON; ERR_MODEL if missing or not JSON. */
static enum err_code metadata_json(const struct safetensors *st, const char *key, cJSON **out,
                                   struct err *e)
{
    const char *text = safetensors_metadata(st, key);
    if (!text)
        FAIL(e, ERR_MODEL, "metadata has no %s: this is no ecgfm model file", key);
    struct err why = {0};
    if (json_parse(text, strlen(text), key, out, &why) != ERR_OK)
        FAIL(e, ERR_MODEL, "metadata %s", why.message);
    if (!cJSON_IsObject(*out))
        FAIL(e, ERR_MODEL, "metadata %s is no JSON object", key);
    return ERR_OK;
}

static const char *class_text(const cJSON *item, const char *key)
{
    const cJSON *x = cJSON_GetObjectItemCaseSensitive(item, key);
    return cJSON_IsString(x) && x->valuestring[0] ? x->valuestring : NULL;
}

/* Of values: where their outputs lie. */
static enum err_code scale_from_json(const cJSON *item, int k, struct model_classes *out,
                                     struct err *e)
{
    const cJSON *mean = cJSON_GetObjectItemCaseSensitive(item, "mean"),
                *deviation = cJSON_GetObjectItemCaseSensitive(item, "deviation");
    if (!cJSON_IsNumber(mean) || !isfinite((float)mean->valuedouble) ||
        !cJSON_IsNumber(deviation) || !(deviation->valuedouble > 0) ||
        !isfinite((float)deviation->valuedouble))
        FAIL(e, ERR_MODEL, "ecgfm.classes: value %s has no mean and deviation above 0",
             out->names[k]);
    out->means[k] = mean->valuedouble;
    out->deviations[k] = deviation->valuedouble;
    return ERR_OK;
}

enum err_code model_classes_from_json(const cJSON *json, struct arena *a, struct model_classes *out,
                                      struct err *e)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(json, "classes");
    int K = cJSON_GetArraySize(list);
    if (!cJSON_IsArray(list) || K > MODEL_CLASSES_MAX)
        FAIL(e, ERR_MODEL, "ecgfm.classes: \"classes\" is no list of at most %d",
             MODEL_CLASSES_MAX);
    out->count = K;
    out->task = class_text(json, "task");
    out->code_system = class_text(json, "code_system");
    const cJSON *kind = cJSON_GetObjectItemCaseSensitive(json, "kind");
    out->values = cJSON_IsString(kind) && strcmp(kind->valuestring, "values") == 0;
    out->unit = class_text(json, "unit");
    if (kind && !out->values)
        FAIL(e, ERR_MODEL, "ecgfm.classes: \"kind\" is none that this program knows");
    out->names = arena_push_array(a, (size_t)K, sizeof *out->names);
    out->codes = arena_push_array(a, (size_t)K, sizeof *out->codes);
    out->titles = arena_push_array(a, (size_t)K, sizeof *out->titles);
    out->aggregation = arena_push_array(a, (size_t)K, sizeof *out->aggregation);
    out->thresholds = arena_push_array(a, (size_t)K, sizeof *out->thresholds);
    out->means = out->values ? arena_push_array(a, (size_t)K, sizeof *out->means) : NULL;
    out->deviations = out->values ? arena_push_array(a, (size_t)K, sizeof *out->deviations) : NULL;
    int k = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        out->names[k] = class_text(item, "name");
        if (!out->names[k])
            FAIL(e, ERR_MODEL, "ecgfm.classes: class %d has no name", k);
        out->codes[k] = class_text(item, "code") ? class_text(item, "code") : out->names[k];
        out->titles[k] = class_text(item, "title") ? class_text(item, "title") : out->names[k];
        const cJSON *aggregation = cJSON_GetObjectItemCaseSensitive(item, "aggregation");
        if (aggregation && !cJSON_IsString(aggregation))
            FAIL(e, ERR_MODEL, "ecgfm.classes: aggregation of %s is no text", out->names[k]);
        out->aggregation[k] = cJSON_GetStringValue(aggregation);
        const cJSON *threshold = cJSON_GetObjectItemCaseSensitive(item, "threshold");
        if (threshold && !(cJSON_IsNumber(threshold) && threshold->valuedouble > 0 &&
                           threshold->valuedouble < 1))
            FAIL(e, ERR_MODEL, "ecgfm.classes: threshold of %s: expected between 0 and 1",
                 out->names[k]);
        out->thresholds[k] = threshold ? threshold->valuedouble : 0;
        if (out->values)
            TRY(scale_from_json(item, k, out, e));
        k++;
    }
    return ERR_OK;
}

/* A shape as a list of whole numbers; false if it is none. */
static bool shape_from_json(const cJSON *list, int64_t shape[PARAM_RANK_MAX], int *rank)
{
    *rank = cJSON_GetArraySize(list);
    if (!cJSON_IsArray(list) || *rank < 1 || *rank > PARAM_RANK_MAX)
        return false;
    for (int i = 0; i < *rank; i++) {
        double x = cJSON_GetArrayItem(list, i)->valuedouble;
        if (!(x >= 1 && x <= 1e9) || x != floor(x))
            return false;
        shape[i] = (int64_t)x;
    }
    return true;
}

/* Adds the parameters of objectives to the table, as the file lists them: each under the name of an
 * objective whose options are there. Their values are checked like all others afterwards. */
static enum err_code objective_from_file(struct model *m, const struct safetensors *st,
                                         struct err *e)
{
    cJSON *json = NULL;
    if (!safetensors_metadata(st, "ecgfm.objective"))
        return ERR_OK;
    enum err_code code = metadata_json(st, "ecgfm.objective", &json, e);
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(json, "parameters");
    if (code == ERR_OK && !cJSON_IsObject(list))
        code = RAISE(e, ERR_MODEL, "ecgfm.objective has no list of \"parameters\"");
    if (code == ERR_OK && cJSON_GetArraySize(list) > OBJECTIVE_PARAMS_MAX)
        code = RAISE(e, ERR_MODEL, "ecgfm.objective lists more than %d parameters",
                     OBJECTIVE_PARAMS_MAX);
    for (const cJSON *item = list ? list->child : NULL; item && code == ERR_OK; item = item->next) {
        int64_t shape[PARAM_RANK_MAX], numel;
        int rank;
        char scope[128];
        size_t length = strcspn(item->string, ".");
        snprintf(scope, sizeof scope, "%.*s", length < sizeof scope ? (int)length : 0,
                 item->string);
        if (!item->string[length] ||
            !cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(json, scope)) ||
            strcmp(scope, "encoder") == 0 || strcmp(scope, "head") == 0)
            code = RAISE(e, ERR_MODEL, "ecgfm.objective: parameter %.100s belongs to no objective",
                         item->string);
        else if (!safetensors_find(st, item->string))
            code = RAISE(e, ERR_MODEL, "parameter %.100s is missing", item->string);
        else if (param_find(&m->params, item->string))
            code = RAISE(e, ERR_MODEL, "ecgfm.objective: parameter %.100s is listed twice",
                         item->string);
        else if (!shape_from_json(item, shape, &rank) || !shape_numel(shape, rank, &numel) ||
                 numel > PARAM_VALUES_MAX - m->params.total)
            code = RAISE(e, ERR_MODEL, "ecgfm.objective: parameter %.100s has no valid shape",
                         item->string);
        else
            param_get(&m->params, item->string, rank, shape, PARAM_ZERO, 0, false,
                      m->params.layer_max);
    }
    if (code == ERR_OK) {
        cJSON_DeleteItemFromObjectCaseSensitive(json, "parameters");
        struct buf text = {0};
        json_print(json, false, &text);
        m->objective = text.failed ? NULL : arena_strdup(&m->arena, text.data);
        buf_free(&text);
        if (!m->objective)
            code = RAISE(e, ERR_MEMORY, "out of memory");
    }
    cJSON_Delete(json);
    return code;
}

static bool has_shape(const struct safetensor *t, int rank, const int64_t *shape)
{
    return t->rank == rank && memcmp(t->shape, shape, (size_t)rank * sizeof *shape) == 0;
}

/* Where a parameter lies in the file; counts the tensors it takes. */
static enum err_code weight_from_file(const struct param *p, const struct safetensors *st,
                                      struct weight *out, int64_t *tensors, struct err *e)
{
    const struct safetensor *t = safetensors_find(st, p->name);
    if (!t)
        FAIL(e, ERR_MODEL, "parameter %s is missing", p->name);
    if (t->dtype != ST_F32 && !(p->product && (t->dtype == ST_BF16 || t->dtype == ST_I8)))
        FAIL(e, ERR_MODEL, "parameter %s: expected %s, found %s", p->name,
             p->product ? "F32, BF16 or I8" : "F32", safetensors_dtype_name(t->dtype));
    if (!has_shape(t, p->rank, p->shape))
        FAIL(e, ERR_MODEL, "parameter %s has another shape than its configuration says", p->name);
    *out = (struct weight){t->data, STORAGE_F32, NULL};
    ++*tensors;
    if (t->dtype == ST_BF16)
        out->storage = STORAGE_BF16;
    if (t->dtype != ST_I8)
        return ERR_OK;
    struct arena a;
    arena_init(&a, "name", 0);
    const struct safetensor *scale = safetensors_find(st, scale_name(&a, p));
    arena_reset(&a);
    if (!scale)
        FAIL(e, ERR_MODEL, "parameter %s is I8, but %s.scale is missing", p->name, p->name);
    if (scale->dtype != ST_F32 || !has_shape(scale, 1, p->shape))
        FAIL(e, ERR_MODEL, "%s.scale: expected F32 of %lld output channels, found %s of rank %d",
             p->name, (long long)p->shape[0], safetensors_dtype_name(scale->dtype), scale->rank);
    *out = (struct weight){t->data, STORAGE_INT8, scale->data};
    ++*tensors;
    return ERR_OK;
}

/* Looks at the values of all parameters; or not at matrices that products read, which are only brought
 * near. */
static enum err_code check_values(const struct model *m, bool all, struct err *e)
{
    int first = m->params.count;
#pragma omp parallel for schedule(dynamic, 1) reduction(min : first)
    for (int i = 0; i < m->params.count; i++) {
        const struct param *p = m->params.items[i];
        const struct weight *w = &m->weights[i];
        if (!all && p->product)
            file_map_enter(w->data, (size_t)p->numel * storage_bytes(w->storage));
        if (!all && p->product && w->storage != STORAGE_INT8)
            continue;
        if (weight_first_bad(w, p->shape[0], p->numel / p->shape[0]) >= 0)
            first = i < first ? i : first;
    }
    if (first == m->params.count)
        return ERR_OK;
    const struct param *p = m->params.items[first];
    const struct weight *w = &m->weights[first];
    int64_t at = weight_first_bad(w, p->shape[0], p->numel / p->shape[0]);
    if (w->storage == STORAGE_INT8)
        FAIL(e, ERR_MODEL, "%s.scale: value %lld is %g, expected a finite one above 0", p->name,
             (long long)at, (double)w->scale[at]);
    FAIL(e, ERR_MODEL, "parameter %s: value %lld is not finite", p->name, (long long)at);
}

static enum err_code weights_from_file(struct model *m, const struct safetensors *st, struct err *e)
{
    m->weights = calloc((size_t)m->params.count, sizeof *m->weights);
    ASSERT(m->weights, "out of memory");
    int64_t tensors = 0;
    for (int i = 0; i < m->params.count; i++)
        TRY(weight_from_file(m->params.items[i], st, &m->weights[i], &tensors, e));
    if (st->count != tensors)
        FAIL(e, ERR_MODEL, "expected %lld tensors, found %lld", (long long)tensors,
             (long long)st->count);
    return check_values(m, false, e);
}

enum err_code model_read_metadata(struct model *m, const struct safetensors *st,
                                  const char *version_key, struct err *e)
{
    const char *version = safetensors_metadata(st, version_key);
    if (!version && safetensors_metadata(st, "ecgfm.adapter"))
        FAIL(e, ERR_MODEL,
             "this is an adapter: `ecgfm convert --adapter ADAPTER BASE OUT` makes a model of it");
    if (!version || strcmp(version, MODEL_FORMAT) != 0)
        FAIL(e, ERR_MODEL, "metadata %s: expected %s, found %s", version_key, MODEL_FORMAT,
             version ? version : "nothing: this is no ecgfm model file");
    cJSON *spec = NULL, *contract_json = NULL, *classes_json = NULL;
    struct contract contract;
    struct model_classes classes = {0};
    struct arena scratch;
    arena_init(&scratch, "classes", 0);
    enum err_code code = metadata_json(st, "ecgfm.spec", &spec, e);
    if (code == ERR_OK)
        code = metadata_json(st, "ecgfm.contract", &contract_json, e);
    if (code == ERR_OK)
        code = metadata_json(st, "ecgfm.classes", &classes_json, e);
    if (code == ERR_OK)
        code = contract_from_json(&contract, contract_json, e);
    if (code == ERR_OK)
        code = model_classes_from_json(classes_json, &scratch, &classes, e);
    if (code == ERR_OK)
        code = model_create(m, spec, &contract, &classes, e);
    arena_reset(&scratch);
    cJSON_Delete(spec);
    cJSON_Delete(contract_json);
    cJSON_Delete(classes_json);
    TRY(code);
    const char *provenance = safetensors_metadata(st, "ecgfm.provenance");
    m->provenance = provenance ? arena_strdup(&m->arena, provenance) : NULL;
    return ERR_OK;
}

static enum err_code model_from_file(struct model *m, const struct safetensors *st, struct err *e)
{
    TRY(model_read_metadata(m, st, "ecgfm.version", e));
    TRY(objective_from_file(m, st, e));
    return weights_from_file(m, st, e);
}

enum err_code model_open_unchecked(struct model *m, const char *path, struct err *e)
{
    memset(m, 0, sizeof *m);
    struct safetensors *st = calloc(1, sizeof *st);
    ASSERT(st, "out of memory");
    enum err_code code = safetensors_open(st, path, e);
    if (code == ERR_OK)
        code = model_from_file(m, st, e);
    if (code == ERR_OK) {
        m->file = st;
        return ERR_OK;
    }
    safetensors_close(st);
    free(st);
    /* Whatever is wrong inside, to the user it is the model that is refused. */
    if (code != ERR_NOT_FOUND && code != ERR_IO && code != ERR_MEMORY) {
        code = ERR_MODEL;
        if (e)
            e->code = ERR_MODEL;
    }
    return err_context(e, "model file %s", path);
}

enum err_code model_check(const struct model *m, struct err *e) { return check_values(m, true, e); }

enum err_code model_open(struct model *m, const char *path, struct err *e)
{
    TRY(model_open_unchecked(m, path, e));
    return model_check(m, e) == ERR_OK ? ERR_OK : err_context(e, "model file %s", path);
}

enum err_code model_load(struct model *m, const char *path, struct err *e)
{
    TRY(model_open(m, path, e));
    m->values = large_alloc((size_t)m->params.total * sizeof *m->values);
    if (!m->values)
        FAIL(e, ERR_MEMORY, "model file %s: no memory for %lld parameters", path,
             (long long)m->params.total);
    for (int i = 0; i < m->params.count; i++) {
        const struct param *p = m->params.items[i];
        int64_t end = i + 1 < m->params.count ? m->params.items[i + 1]->offset : m->params.total;
        weight_to_f32(m->values + p->offset, &m->weights[i], p->shape[0], p->numel / p->shape[0]);
        memset(m->values + p->offset + p->numel, 0,
               (size_t)(end - p->offset - p->numel) * sizeof *m->values);
    }
    safetensors_close(m->file);
    free(m->file);
    free(m->weights);
    m->file = NULL;
    m->weights = NULL;
    return ERR_OK;
}

struct weight model_weight(const struct model *m, int i)
{
    ASSERT(m->values || m->weights, "this model has no values");
    if (m->values)
        return (struct weight){m->values + m->params.items[i]->offset, STORAGE_F32, NULL};
    return m->weights[i];
}

void model_forget_pages(const struct model *m)
{
    if (m->file)
        file_map_forget(&m->file->map);
}

enum storage model_storage(const struct model *m)
{
    for (int i = 0; i < m->params.count; i++)
        if (m->params.items[i]->product)
            return model_weight(m, i).storage;
    return STORAGE_F32;
}

char *model_path(struct arena *a, const char *path)
{
    return dir_exists(path) ? path_join(a, path, "model.safetensors") : arena_strdup(a, path);
}
