#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "model/aggregate.h"
#include "model/scorer.h"
#include "train/adapt.h"
#include "train/classifier.h"
#include "train/values.h"

static const struct option probe_rows[] = {
    OPT_CHOICE(
        probe_options, classifier, "logistic", "logistic|ridge|knn|prototype",
        "what is fitted to the features (see `ecgfm list classifiers`); of values it is a ridge "
        "regression"),
    OPTION_END};

void adapt_options_add(struct adapt *a, struct option_set *set)
{
    a->set = set;
    option_set_add(set, "", experiment_rows, &a->data);
    option_set_add(set, "", adapt_rows, &a->options);
    option_set_add(set, "", target_rows, &a->data.target);
    model_options_add(set, &a->model);
    option_set_add(set, "input", input_rows, &a->input);
}

void probe_options_add(struct adapt *a, struct option_set *set)
{
    adapt_options_add(a, set);
    option_set_add(set, "", probe_rows, &a->probe);
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

/* The classifier becomes the model's head. */
static void head_set(struct model *m, const struct classifier_fit *fit)
{
    const struct param *w = param_find(&m->params, "head.weight");
    const struct param *b = param_find(&m->params, "head.bias");
    memcpy(m->values + w->offset, fit->weights, (size_t)w->numel * sizeof(float));
    memcpy(m->values + b->offset, fit->biases, (size_t)b->numel * sizeof(float));
}

/* What can be fitted to the task. */
static enum err_code check_classifier(const struct adapt *a, struct err *e)
{
    const struct experiment *x = &a->experiment;
    const struct classifier *row = classifier_find(a->probe.classifier);
    bool values = x->labels.kind == LABEL_VALUES;
    bool chosen = option_set_source(a->set, "classifier") > OPTION_FROM_DEFAULT;
    if (values && chosen && strcmp(row->name, "ridge") != 0)
        FAIL(e, ERR_USAGE, "classifier %s: task %s is of values: a ridge regression fits them",
             row->name, x->labels.task);
    if (!values && x->labels.values)
        FAIL(
            e, ERR_LABELS,
            "task %s has targets that are not known for some records: a probe of classes needs all "
            "(finetune learns from those that are known; --target-columns chooses columns)",
            x->labels.task);
    if (a->options.positive_weights && !row->weighs)
        FAIL(e, ERR_USAGE, "positive_weights: classifier %s has no loss to weigh", row->name);
    if (!row->head && strcmp(a->options.aggregation, aggregation_names[AGGREGATE_MEAN_LOGIT]) != 0)
        FAIL(e, ERR_USAGE, "aggregation %s: classifier %s scores the mean of features over windows",
             a->options.aggregation, row->name);
    return ERR_OK;
}

/* A classifier that makes no model scores the test records itself. */
static enum err_code score_apart(struct adapt *a, const struct adapt_data *data,
                                 const struct classifier *row, const struct classifier_data *d,
                                 const struct classifier_fit *fit, cJSON *extra, struct err *e)
{
    struct scorer *s = NULL;
    float *test = NULL, *scores = NULL;
    int64_t n = data->count[SPLIT_TEST];
    enum err_code code = scorer_open(&s, &a->result, NULL, e);
    if (code == ERR_OK)
        code = split_features(a, s, data, SPLIT_TEST, &test, e);
    scorer_close(s);
    if (code == ERR_OK) {
        scores = aligned_calloc((size_t)(n * d->K), sizeof *scores);
        ASSERT(scores, "out of memory");
        row->score(d, fit, test, n, scores);
        /* one of an earlier run would not be this one's */
        remove(run_path(&a->experiment.run, "model.safetensors"));
        log_info("classifier %s makes no model: metrics.json and predictions.csv are all",
                 row->name);
        code = adapt_report(a, data, scores, extra, e);
    } else
        cJSON_Delete(extra);
    free(test);
    free(scores);
    return code;
}

/* Fits the row to features and scores the test fold. */
static enum err_code classify(struct adapt *a, const struct adapt_data *data,
                              const struct classifier *row, const float *train, const float *valid,
                              struct err *e)
{
    struct experiment *x = &a->experiment;
    struct classifier_data d = {.train_x = train,
                                .valid_x = valid,
                                .train_y =
                                    experiment_targets(x, SPLIT_TRAIN, data->subset[SPLIT_TRAIN],
                                                       data->count[SPLIT_TRAIN]),
                                .valid_y = experiment_targets(x, SPLIT_VALIDATION,
                                                              data->subset[SPLIT_VALIDATION],
                                                              data->count[SPLIT_VALIDATION]),
                                .n_train = data->count[SPLIT_TRAIN],
                                .n_valid = data->count[SPLIT_VALIDATION],
                                .F = model_feature_count(&a->result),
                                .K = x->labels.class_count,
                                .positive_weights = a->result.positive_weights,
                                .threads = x->threads};
    struct classifier_fit fit = {0};
    enum err_code code = row->fit(&d, &fit, e);
    if (code == ERR_OK) {
        cJSON *extra = cJSON_CreateObject();
        cJSON_AddItemToObject(extra, "probe", fit.json);
        fit.json = NULL;
        if (row->head) {
            head_set(&a->result, &fit);
            code = adapt_finish(a, &a->result, data, extra, e);
        } else
            code = score_apart(a, data, row, &d, &fit, extra, e);
    }
    classifier_free(&fit);
    return code;
}

static enum err_code regress(struct adapt *a, const struct adapt_data *data, const float *train,
                             const float *valid, struct err *e)
{
    cJSON *extra = NULL;
    TRY(values_probe(a, data, train, valid, &extra, e));
    return adapt_finish(a, &a->result, data, extra, e);
}

enum err_code probe_run(struct adapt *a, struct err *e)
{
    struct adapt_data data;
    TRY(adapt_open(a, &data, e));
    TRY(check_classifier(a, e));
    TRY(model_allocate(&a->result, a->experiment.seed, e));
    TRY(adapt_start(a, e));
    struct scorer *s = NULL;
    float *train = NULL, *valid = NULL;
    enum err_code code = scorer_open(&s, &a->result, NULL, e);
    if (code == ERR_OK)
        code = split_features(a, s, &data, SPLIT_TRAIN, &train, e);
    if (code == ERR_OK)
        code = split_features(a, s, &data, SPLIT_VALIDATION, &valid, e);
    scorer_close(s); /* the head it holds is not yet fitted */
    if (code == ERR_OK)
        code = a->experiment.labels.kind == LABEL_VALUES
                   ? regress(a, &data, train, valid, e)
                   : classify(a, &data, classifier_find(a->probe.classifier), train, valid, e);
    free(train);
    free(valid);
    return code;
}
