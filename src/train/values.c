#include "train/values.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metric/regression.h"
#include "model/scorer.h"
#include "train/ridge.h"

static enum err_code scale_one(const struct experiment *x, const int64_t *subset, int64_t count,
                               int64_t k, double *mean, double *deviation, struct err *e)
{
    double sum = 0, squares = 0;
    int64_t known = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t i = 0; i < count; i++) {
            double t = (double)experiment_target(x, SPLIT_TRAIN, subset[i], k);
            if (isnan(t))
                continue;
            known += pass == 0;
            sum += pass == 0 ? t : 0;
            squares += pass == 1 ? (t - *mean) * (t - *mean) : 0;
        }
        *mean = sum / (double)known;
    }
    *deviation = sqrt(squares / (double)known);
    if (known < 2 || !((float)*deviation > 0))
        FAIL(e, ERR_LABELS, "value %.60s %s", x->labels.class_names[k],
             known < 2 ? "is known for fewer than 2 training records"
                       : "does not vary among the training records");
    return ERR_OK;
}

enum err_code values_scale(struct experiment *x, const int64_t *subset, int64_t count,
                           struct model_classes *classes, struct err *e)
{
    int64_t K = x->labels.class_count, n = x->manifest.count * K;
    struct arena *a = &x->manifest.arena;
    classes->means = arena_push_array(a, (size_t)K, sizeof *classes->means);
    classes->deviations = arena_push_array(a, (size_t)K, sizeof *classes->deviations);
    x->standardized = arena_push_array(a, (size_t)n, sizeof *x->standardized);
    if (!classes->means || !classes->deviations || !x->standardized)
        FAIL(e, ERR_MEMORY, "values of %lld records: out of memory", (long long)x->manifest.count);
    for (int64_t k = 0; k < K; k++)
        TRY(scale_one(x, subset, count, k, &classes->means[k], &classes->deviations[k], e));
    for (int64_t i = 0; i < n; i++)
        x->standardized[i] = (float)(((double)x->labels.values[i] - classes->means[i % K]) /
                                     classes->deviations[i % K]);
    return ERR_OK;
}

double values_macro_r2(const struct experiment *x, const struct model_classes *classes,
                       enum data_split split, const int64_t *subset, int64_t count,
                       const float *outputs)
{
    int64_t K = classes->count;
    double *truth = calloc((size_t)count + 1, sizeof *truth);
    double *estimate = calloc((size_t)count + 1, sizeof *estimate);
    double *r2 = calloc((size_t)K, sizeof *r2);
    ASSERT(truth && estimate && r2, "out of memory");
    for (int64_t k = 0; k < K; k++) {
        for (int64_t i = 0; i < count; i++) {
            truth[i] = (double)experiment_target(x, split, subset[i], k);
            estimate[i] = (double)score_from_output(classes, k, outputs[i * K + k]);
        }
        const struct regression_column column = {truth, estimate};
        r2[k] = regression_of(&column, count, NULL).values[REGRESSION_R2];
    }
    double macro = macro_average(r2, K, NULL);
    free(truth);
    free(estimate);
    free(r2);
    return macro;
}

/* Targets [count,K] in deviations from the training mean. */
static float *standardized(const struct adapt *a, const struct adapt_data *data,
                           enum data_split split)
{
    const struct experiment *x = &a->experiment;
    int64_t K = x->labels.class_count, n = data->count[split];
    float *out = calloc((size_t)(n * K), sizeof *out);
    ASSERT(out, "out of memory");
    for (int64_t i = 0; i < n; i++)
        memcpy(out + i * K,
               x->standardized + store_entry(x->stores[split], data->subset[split][i]) * K,
               (size_t)K * sizeof *out);
    return out;
}

enum err_code values_probe(struct adapt *a, const struct adapt_data *data, const float *train,
                           const float *valid, struct cJSON **extra, struct err *e)
{
    struct model *m = &a->result;
    const struct ridge_options options = RIDGE_DEFAULTS;
    const struct param *w = param_find(&m->params, "head.weight");
    const struct param *b = param_find(&m->params, "head.bias");
    float *train_y = standardized(a, data, SPLIT_TRAIN);
    float *valid_y = standardized(a, data, SPLIT_VALIDATION);
    struct ridge_model fit;
    enum err_code code = ridge_select(train, train_y, data->count[SPLIT_TRAIN], valid, valid_y,
                                      data->count[SPLIT_VALIDATION], model_feature_count(m),
                                      m->classes.count, &options, a->experiment.threads, &fit, e);
    if (code == ERR_OK) {
        memcpy(m->values + w->offset, fit.weights, (size_t)w->numel * sizeof(float));
        memcpy(m->values + b->offset, fit.biases, (size_t)b->numel * sizeof(float));
        *extra = cJSON_CreateObject();
        cJSON *probe = cJSON_AddObjectToObject(*extra, "probe");
        cJSON_AddStringToObject(probe, "solver", "ridge");
        cJSON_AddNumberToObject(probe, "lambda", fit.lambda);
        cJSON_AddNumberToObject(probe, "features", (double)fit.feature_count);
        cJSON_AddNumberToObject(probe, "validation_macro_r2", fit.validation[fit.lambda_index]);
    }
    ridge_free(&fit);
    free(train_y);
    free(valid_y);
    return code;
}
