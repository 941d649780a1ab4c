/* ecgfm inspect FILE.safetensors: what a model takes, what it gives, how it was made. */
#include <cjson/cJSON.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "cli/inspect.h"
#include "kernel/storage.h"
#include "model/aggregate.h"
#include "model/model.h"

static cJSON *parameters_json(const struct model *m)
{
    cJSON *list = cJSON_CreateArray();
    for (int i = 0; i < m->params.count; i++) {
        const struct param *p = m->params.items[i];
        cJSON *item = cJSON_CreateObject(), *shape = cJSON_CreateArray();
        cJSON_AddStringToObject(item, "name", p->name);
        for (int r = 0; r < p->rank; r++)
            cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)p->shape[r]));
        cJSON_AddItemToObject(item, "shape", shape);
        cJSON_AddStringToObject(item, "storage", storage_name(model_weight(m, i).storage));
        cJSON_AddNumberToObject(item, "layer", p->layer);
        cJSON_AddBoolToObject(item, "decay", p->decay);
        cJSON_AddItemToArray(list, item);
    }
    return list;
}

static const char *kind_of(const struct model *m, const char *encoder)
{
    return m->classes.count == 0 ? encoder : m->classes.values ? "regressor" : "classifier";
}

static void print_model_json(const struct model *m, const char *path)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "file", path);
    cJSON_AddStringToObject(json, "kind", kind_of(m, "encoder"));
    cJSON_AddNumberToObject(json, "parameters", (double)param_count_values(&m->params));
    cJSON_AddStringToObject(json, "storage", storage_name(model_storage(m)));
    cJSON_AddItemToObject(json, "contract", contract_to_json(&m->contract));
    cJSON_AddItemToObject(json, "spec", model_spec_json(m));
    cJSON_AddItemToObject(json, "classes", model_classes_json(m));
    cJSON *provenance = NULL, *objective = NULL;
    if (m->objective)
        json_parse(m->objective, strlen(m->objective), "objective", &objective, NULL);
    if (objective)
        cJSON_AddItemToObject(json, "objective", objective);
    if (m->provenance)
        json_parse(m->provenance, strlen(m->provenance), "provenance", &provenance, NULL);
    cJSON_AddItemToObject(json, "provenance", provenance ? provenance : cJSON_CreateObject());
    cJSON_AddItemToObject(json, "parameter_table", parameters_json(m));
    print_json(json, true);
    cJSON_Delete(json);
}

static void print_contract(const struct contract *c)
{
    static const char *const kinds[] = {"none", "global mean and deviation", "by lead",
                                        "z-score of each record",
                                        "z-score of each lead of a record"};
    printf("input\n  leads          ");
    for (int64_t l = 0; l < c->lead_count; l++)
        printf("%s%s", l ? " " : "", lead_name(c->leads[l]));
    printf("\n  rate           %g Hz\n  length         %g s (%lld samples)\n", c->rate_hz,
           (double)c->sample_count / c->rate_hz, (long long)c->sample_count);
    if (c->highpass_hz > 0)
        printf("  high-pass      %g Hz, zero phase\n", c->highpass_hz);
    if (c->lowpass_hz > 0)
        printf("  low-pass       %g Hz, zero phase\n", c->lowpass_hz);
    printf("  units          mV\n  normalization  %s", kinds[c->normalization]);
    if (c->normalization == NORMALIZE_GLOBAL)
        printf(" (%.5f mV, %.5f mV)", c->mean[0], c->std[0]);
    printf("\n");
    if (c->resampling == RESAMPLE_LINEAR)
        printf("  resampling     by straight lines\n");
    if (c->windows == WINDOWS_SEGMENTS)
        printf("  windows        one after the other, a shorter rest dropped\n");
    if (c->missing == MISSING_ZERO)
        printf("  missing leads  zeros\n");
}

static void print_class(const struct model_classes *c, int64_t k)
{
    const char *before = "  ";
    printf("  %-12s", c->names[k]);
    if (strcmp(c->names[k], c->titles[k]) != 0) {
        printf("%s%s", before, c->titles[k]);
        before = "; ";
    }
    if (c->values) {
        printf("%smean %g, deviation %g%s%s in training", before, c->means[k], c->deviations[k],
               c->unit ? " " : "", c->unit ? c->unit : "");
        before = "; ";
    }
    if (strcmp(c->aggregation[k], aggregation_names[0]) != 0) {
        printf("%s%s over windows", before, c->aggregation[k]);
        before = "; ";
    }
    if (c->thresholds[k] > 0)
        printf("%sfound from %g", before, c->thresholds[k]);
    printf("\n");
}

static void print_model_text(const struct model *m, const char *path)
{
    printf("%s: %s, %lld parameters, matrices in %s\n", path, kind_of(m, "encoder without a head"),
           (long long)param_count_values(&m->params), storage_name(model_storage(m)));
    print_contract(&m->contract);
    if (m->classes.count > 0) {
        printf("%s of task %s (%s)\n", m->classes.values ? "values" : "classes", m->classes.task,
               m->classes.code_system);
        for (int64_t k = 0; k < m->classes.count; k++)
            print_class(&m->classes, k);
    }
    cJSON *spec = model_spec_json(m);
    struct buf text = {0};
    json_print(spec, false, &text);
    printf("network\n  %s\n", text.data);
    buf_free(&text);
    cJSON_Delete(spec);
    if (m->objective)
        printf("pre-trained by\n  %s\n", m->objective);
    printf("made by\n  %s\n", m->provenance ? m->provenance : "unknown");
    printf("parameters\n");
    for (int i = 0; i < m->params.count; i++) {
        const struct param *p = m->params.items[i];
        printf("  %-44s layer %2d  %-4s  [", p->name, p->layer,
               storage_name(model_weight(m, i).storage));
        for (int r = 0; r < p->rank; r++)
            printf("%s%lld", r ? "," : "", (long long)p->shape[r]);
        printf("]\n");
    }
}

int inspect_model(struct invocation *call, const char *path, struct err *e)
{
    (void)call;
    struct model m;
    enum err_code code = model_open(&m, path, e);
    if (code == ERR_OK) {
        if (inspect_options.json)
            print_model_json(&m, path);
        else
            print_model_text(&m, path);
    }
    model_free(&m);
    return exit_code_of(code);
}
