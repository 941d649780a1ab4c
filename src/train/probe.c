#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "model/scorer.h"
#include "train/adapt.h"
#include "train/logistic.h"
#include "train/values.h"

void probe_options_add(struct adapt *a, struct option_set *set)
{
    a->set = set;
    option_set_add(set, "", experiment_rows, &a->data);
    option_set_add(set, "", adapt_rows, &a->options);
    option_set_add(set, "", target_rows, &a->data.target);
    model_options_add(set, &a->model);
    option_set_add(set, "input", input_rows, &a->input);
}

/* Features [count,F] of the records of a split; NULL when memory is out. */
static enum err_code split_features(struct adapt *a, struct scorer *s,
                                    const struct adapt_data *data, enum data_split split,
                                    float **out, struct err *e)
{
    int64_t n = data->count[split], F = model_feature_count(&a->result);
    *out = aligned_calloc((size_t)(n * F), sizeof **out);
    if (!*out)
        FAIL(e, ERR_MEMORY, "no memory for %lld features of %lld records", (long long)F,
             (long long)n);
    return experiment_score(&a->experiment, s, split, data->subset[split], n, *out, NULL, e);
}

/* The regression becomes the model's head. */
static void head_set(struct model *m, const struct logistic_model *fit)
{
    const struct param *w = param_find(&m->params, "head.weight");
    const struct param *b = param_find(&m->params, "head.bias");
    memcpy(m->values + w->offset, fit->weights, (size_t)w->numel * sizeof(float));
    memcpy(m->values + b->offset, fit->biases, (size_t)b->numel * sizeof(float));
}

static cJSON *fit_json(const struct logistic_model *fit)
{
    cJSON *json = cJSON_CreateObject(), *probe = cJSON_AddObjectToObject(json, "probe");
    cJSON_AddStringToObject(probe, "solver", "l-bfgs");
    cJSON_AddNumberToObject(probe, "c", fit->c);
    cJSON_AddNumberToObject(probe, "features", (double)fit->feature_count);
    cJSON_AddNumberToObject(probe, "validation_macro_auroc", fit->validation_auroc[fit->c_index]);
    cJSON_AddNumberToObject(probe, "iterations", (double)fit->iterations_all);
    double worst = 0;
    for (int64_t k = 0; k < fit->class_count; k++)
        worst = fit->gradient_norms[k] > worst ? fit->gradient_norms[k] : worst;
    cJSON_AddNumberToObject(probe, "largest_gradient", worst);
    return json;
}

enum err_code probe_run(struct adapt *a, struct err *e)
{
    struct adapt_data data;
    struct experiment *x = &a->experiment;
    TRY(adapt_open(a, &data, e));
    bool values = x->labels.kind == LABEL_VALUES;
    if (!values && x->labels.values)
        FAIL(
            e, ERR_LABELS,
            "task %s has targets that are not known for some records: a probe of classes needs all "
            "(finetune learns from those that are known; --target-columns chooses columns)",
            x->labels.task);
    TRY(model_allocate(&a->result, x->seed, e));
    TRY(adapt_start(a, e));
    struct scorer *s = NULL;
    float *train = NULL, *valid = NULL;
    struct logistic_model fit = {0};
    struct logistic_options options = LOGISTIC_DEFAULTS;
    options.positive_weights = a->result.positive_weights;
    enum err_code code = scorer_open(&s, &a->result, NULL, e);
    if (code == ERR_OK)
        code = split_features(a, s, &data, SPLIT_TRAIN, &train, e);
    if (code == ERR_OK)
        code = split_features(a, s, &data, SPLIT_VALIDATION, &valid, e);
    scorer_close(s); /* the head it holds is not yet fitted */
    struct cJSON *extra = NULL;
    if (code == ERR_OK && values)
        code = values_probe(a, &data, train, valid, &extra, e);
    else if (code == ERR_OK)
        code =
            logistic_select(train,
                            experiment_targets(x, SPLIT_TRAIN, data.subset[SPLIT_TRAIN],
                                               data.count[SPLIT_TRAIN]),
                            data.count[SPLIT_TRAIN], valid,
                            experiment_targets(x, SPLIT_VALIDATION, data.subset[SPLIT_VALIDATION],
                                               data.count[SPLIT_VALIDATION]),
                            data.count[SPLIT_VALIDATION], model_feature_count(&a->result),
                            x->labels.class_count, &options, x->threads, &fit, e);
    if (code == ERR_OK && !values) {
        head_set(&a->result, &fit);
        extra = fit_json(&fit);
    }
    if (code == ERR_OK)
        code = adapt_finish(a, &a->result, &data, extra, e);
    logistic_free(&fit);
    free(train);
    free(valid);
    return code;
}
