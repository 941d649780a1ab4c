#include "train/adapt.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/named.h"
#include "base/str.h"
#include "model/aggregate.h"
#include "model/scorer.h"
#include "train/adaptation.h"
#include "train/classifier.h"
#include "train/fraction.h"
#include "train/recipe.h"
#include "train/split_file.h"
#include "train/values.h"
#include "train/weights.h"

const struct option adapt_rows[] = {
    OPT_TEXT(adapt_options, task, NULL, "NAME",
             "task of the data set; the default is its first (PTB-XL: super)"),
    OPT_TEXT(adapt_options, weights, NULL, "PATH",
             "pre-trained encoder: a run folder or model file; random: the control"),
    OPT_BOOL(adapt_options, untrained, "false",
             "the network and input of --weights, with random values: the control"),
    OPT_INT(adapt_options, bootstrap, "1000", 0, 1000000, NULL, "draws for 95 % intervals"),
    OPT_TEXT(
        adapt_options, positive_weights, NULL, "FILE",
        "factors on the loss of positives: a list [w, w, ...] with one for each class, such as "
        "pos_weight.txt; balance: (1 - p) / p over the training records; data: those that the data "
        "set brings along"),
    OPT_CHOICE(adapt_options, aggregation, "mean_logit", "mean_logit|mean|max",
               "what the windows of a longer recording make of a class: mean of logits, mean or "
               "greatest of probabilities"),
    OPT_FLOAT(adapt_options, label_fraction, "1", 1e-6, 1, NULL,
              "part of the labelled training records that is used: fixed subsets, the same for "
              "every seed, a smaller one inside a larger one"),
    OPT_INT(adapt_options, label_subset, "1", 1, 1000000, NULL,
            "which of them: another number is another choice of records"),
    OPTION_END};

static bool weights_are_random(const struct adapt *a)
{
    return strcmp(a->options.weights, "random") == 0;
}

bool adapt_encoder_is_random(const struct adapt *a)
{
    return weights_are_random(a) || a->options.untrained;
}

/* Over what a preset or file says of the network: the way of adapting, then the recipe. */
static enum err_code apply_settings(struct adapt *a, struct err *e)
{
    char width[24];
    int64_t adapter_width = a->model.network.adapter_width; /* the adapters that are there */
    snprintf(width, sizeof width, "%lld", (long long)adapter_width);
    if (a->tuning.adapt)
        TRY(option_set_words(a->set, adaptation_find(a->tuning.adapt)->defaults, OPTION_FROM_PRESET,
                             false, e));
    if (adapter_width > 0)
        TRY(option_set_text(a->set, "network.adapter_width", width, OPTION_FROM_PRESET, e));
    return a->tuning.recipe ? recipe_apply(a->set, a->tuning.recipe, a->model.network.backbone, e)
                            : ERR_OK;
}

/* A probe's head is its classifier, and it sees features that learn nothing. */
static void probe_spec(const struct adapt *a, cJSON *spec)
{
    cJSON *network = cJSON_GetObjectItemCaseSensitive(spec, "network");
    const char *head = classifier_find(a->probe.classifier)->head;
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(network, "pool"));
    const struct pool *pool = name ? pool_find(name) : NULL;
    cJSON_ReplaceItemInObjectCaseSensitive(network, "head",
                                           cJSON_CreateString(head ? head : "linear"));
    if (pool && pool->unlearned) {
        log_info("network.pool %s is learned with a head: the probe sees the %s", name,
                 pool->unlearned);
        cJSON_ReplaceItemInObjectCaseSensitive(network, "pool",
                                               cJSON_CreateString(pool->unlearned));
    }
}

/* What the set says anew of the network, and what is added to it. */
static enum err_code finish_spec(struct adapt *a, const char *origin, cJSON *spec, struct err *e)
{
    TRY(weights_override(a->set, origin, spec, e));
    if (!a->tuning.adapt)
        probe_spec(a, spec);
    if (a->lora.rank > 0 && strcmp(a->tuning.adapt, "lora") != 0)
        FAIL(e, ERR_USAGE, "lora.rank is %lld, but adapt is %s", (long long)a->lora.rank,
             a->tuning.adapt);
    if (a->lora.rank > 0)
        cJSON_AddItemToObject(spec, "lora", option_rows_to_json(lora_rows, &a->lora));
    return ERR_OK;
}

static enum err_code start_from_options(struct adapt *a, cJSON **spec, struct contract *contract,
                                        struct err *e)
{
    TRY(model_options_spec(a->set, &a->model, spec, e)); /* a preset may say what its input is */
    TRY(apply_settings(a, e));
    TRY(finish_spec(a, "the preset", *spec, e));
    return input_contract(&a->input, contract, e);
}

static enum err_code start_from_weights(struct adapt *a, cJSON **spec, struct contract *contract,
                                        struct err *e)
{
    const char *path = a->options.weights;
    TRY(weights_read(a->set, path, spec, contract, e));
    TRY(apply_settings(a, e));
    return finish_spec(a, path, *spec, e);
}

/* --- weights of positives ----------------------------------------------------------------------- */

/* (1 - p) / p over the training records; 1 for a class with one label only. */
static void balance(struct experiment *x, const struct adapt_data *data, float *out)
{
    int64_t K = x->labels.class_count, n = data->count[SPLIT_TRAIN];
    const uint8_t *targets = experiment_targets(x, SPLIT_TRAIN, data->subset[SPLIT_TRAIN], n);
    for (int64_t k = 0; k < K; k++) {
        int64_t positives = 0;
        for (int64_t i = 0; i < n; i++)
            positives += targets[i * K + k] != 0;
        bool both = positives > 0 && positives < n;
        out[k] = both ? (float)((double)(n - positives) / (double)positives) : 1;
    }
}

/* Of what is read; what this program makes itself is within. */
static bool weight_is_usable(double weight) { return weight >= 1e-9 && weight <= 1e9; }

static enum err_code positive_weights_read(const char *path, int64_t K, float *out, struct err *e)
{
    cJSON *list = NULL;
    TRY(json_read(path, 1 << 20, &list, e));
    enum err_code code = ERR_OK;
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) != K)
        code =
            RAISE(e, ERR_USAGE,
                  "positive_weights %s: expected a list [w, w, ...] of %lld numbers, one for each "
                  "class, found %d",
                  path, (long long)K, cJSON_IsArray(list) ? cJSON_GetArraySize(list) : 0);
    int64_t k = 0;
    for (const cJSON *x = list->child; x && code == ERR_OK; x = x->next, k++) {
        if (!cJSON_IsNumber(x) || !weight_is_usable(x->valuedouble))
            code =
                RAISE(e, ERR_USAGE, "positive_weights %s: number %lld is not one from 1e-9 to 1e9",
                      path, (long long)k + 1);
        else
            out[k] = (float)x->valuedouble;
    }
    cJSON_Delete(list);
    return code;
}

static enum err_code positive_weights_of_data(const struct experiment *x, float *out, struct err *e)
{
    if (!x->labels.positive_weights)
        FAIL(e, ERR_USAGE, "positive_weights data: %s has none", x->options->data);
    for (int64_t k = 0; k < x->labels.class_count; k++) {
        double weight = x->labels.positive_weights[k];
        if (!weight_is_usable(weight))
            FAIL(e, ERR_USAGE,
                 "positive_weights data: %s has %g for the class %s, which is not from 1e-9 to 1e9 "
                 "(no positives: inf)",
                 x->options->data, weight, x->labels.class_names[k]);
        out[k] = (float)weight;
    }
    return ERR_OK;
}

/* They are part of what a run is, so its identity holds them, wherever the file lies. */
static enum err_code positive_weights_set(struct adapt *a, const struct adapt_data *data,
                                          struct err *e)
{
    struct experiment *x = &a->experiment;
    int64_t K = x->labels.class_count;
    if (!a->options.positive_weights)
        return ERR_OK;
    float *w = arena_push_array(&a->result.arena, (size_t)K, sizeof *w);
    ASSERT(w, "out of memory");
    if (strcmp(a->options.positive_weights, "balance") == 0)
        balance(x, data, w);
    else if (strcmp(a->options.positive_weights, "data") == 0)
        TRY(positive_weights_of_data(x, w, e));
    else
        TRY(positive_weights_read(a->options.positive_weights, K, w, e));
    a->result.positive_weights = w;
    x->loss_hash = bytes_hash64(w, (size_t)K * sizeof *w, 1);
    return ERR_OK;
}

/* --- part of the labels ------------------------------------------------------------------------- */

/* Positives of each class among the training records [K]. */
static void count_positives(struct experiment *x, const struct adapt_data *data, int64_t *positives)
{
    int64_t K = x->labels.class_count, n = data->count[SPLIT_TRAIN];
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < K; k++)
            positives[k] +=
                x->labels
                    .targets[store_entry(x->stores[SPLIT_TRAIN], data->subset[SPLIT_TRAIN][i]) * K +
                             k] != 0;
}

static int64_t count_patients(const struct fraction_names *names, int64_t n)
{
    const char **list = calloc((size_t)n + 1, sizeof *list);
    ASSERT(list, "out of memory");
    for (int64_t i = 0; i < n; i++)
        list[i] = names[i].patient;
    int64_t patients = names_distinct(list, n);
    free(list);
    return patients;
}

static struct fraction_names *training_names(struct experiment *x, const struct adapt_data *data)
{
    int64_t n = data->count[SPLIT_TRAIN];
    struct fraction_names *names = arena_push_array(&x->manifest.arena, (size_t)n, sizeof *names);
    ASSERT(names, "out of memory");
    for (int64_t i = 0; i < n; i++) {
        const struct manifest_entry *entry =
            experiment_entry(x, SPLIT_TRAIN, data->subset[SPLIT_TRAIN][i]);
        names[i] = (struct fraction_names){entry->patient ? entry->patient : entry->id, entry->id};
    }
    return names;
}

/* What metrics.json says of the subset; what is not there to learn is told here. */
static enum err_code fraction_describe(struct adapt *a, const struct adapt_data *data,
                                       int64_t whole, struct err *e)
{
    struct experiment *x = &a->experiment;
    int64_t K = x->labels.class_count, n = data->count[SPLIT_TRAIN], learnable = 0;
    int64_t *positives = arena_push_array(&x->manifest.arena, (size_t)K, sizeof *positives);
    ASSERT(positives, "out of memory");
    memset(positives, 0, (size_t)K * sizeof *positives);
    count_positives(x, data, positives);
    struct buf missing = {0};
    int64_t patients = count_patients(training_names(x, data), n), without = 0;
    cJSON *json = a->fraction = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "fraction", a->options.label_fraction);
    cJSON_AddNumberToObject(json, "subset", (double)a->options.label_subset);
    cJSON_AddNumberToObject(json, "records", (double)n);
    cJSON_AddNumberToObject(json, "of_records", (double)whole);
    cJSON_AddNumberToObject(json, "patients", (double)patients);
    cJSON *by_class = cJSON_AddObjectToObject(json, "positives");
    for (int64_t k = 0; k < K; k++) {
        const char *name = x->labels.class_names[k];
        cJSON_AddNumberToObject(by_class, name, (double)positives[k]);
        learnable += positives[k] > 0 && positives[k] < n;
        if (positives[k] == 0)
            buf_printf(&missing, "%s%s", without++ ? ", " : "", name);
    }
    log_info("label fraction %g: %lld of %lld training records, of %lld patients (subset %lld)",
             a->options.label_fraction, (long long)n, (long long)whole, (long long)patients,
             (long long)a->options.label_subset);
    if (without > 0 && x->labels.kind == LABEL_CLASSES)
        log_warning("label fraction %g: %lld of %lld classes have no positive among %lld training "
                    "records: %.400s",
                    a->options.label_fraction, (long long)without, (long long)K, (long long)n,
                    missing.data);
    buf_free(&missing);
    if (learnable == 0 && x->labels.kind == LABEL_CLASSES)
        FAIL(e, ERR_LABELS,
             "label fraction %g: no class has positives and negatives among %lld training records "
             "of %lld; use a larger one",
             a->options.label_fraction, (long long)n, (long long)whole);
    return ERR_OK;
}

static enum err_code fraction_set(struct adapt *a, struct adapt_data *data, struct err *e)
{
    int64_t n = data->count[SPLIT_TRAIN], keep = fraction_count(a->options.label_fraction, n);
    if (option_set_source(a->set, "label_subset") > OPTION_FROM_PRESET &&
        option_set_source(a->set, "label_fraction") <= OPTION_FROM_PRESET)
        FAIL(e, ERR_USAGE,
             "label_subset has no effect without label_fraction: all labels are used");
    if (a->options.label_fraction >= 1)
        return ERR_OK;
    fraction_take(data->subset[SPLIT_TRAIN], training_names(&a->experiment, data), n, keep,
                  a->options.label_subset);
    data->count[SPLIT_TRAIN] = keep;
    return fraction_describe(a, data, n, e);
}

/* What a model of values is besides: no windows to aggregate otherwise, no positives to weigh. */
static enum err_code values_prepare(struct adapt *a, const struct adapt_data *data,
                                    struct model_classes *classes, struct err *e)
{
    struct experiment *x = &a->experiment;
    if (strcmp(a->options.aggregation, aggregation_names[AGGREGATE_MEAN_LOGIT]) != 0 &&
        option_set_source(a->set, "aggregation") > OPTION_FROM_PRESET)
        FAIL(e, ERR_USAGE, "aggregation %s: task %s is of values, which are means over windows",
             a->options.aggregation, x->labels.task);
    if (a->options.positive_weights)
        FAIL(e, ERR_USAGE, "positive_weights: task %s is of values, which have no positives",
             x->labels.task);
    classes->aggregation = NULL; /* the default */
    return values_scale(x, data->subset[SPLIT_TRAIN], data->count[SPLIT_TRAIN], classes, e);
}

/* An encoder that has seen the held-out patients, even without their labels, is worth a warning. */
static enum err_code held_out_check(struct adapt *a, const struct adapt_data *data, struct err *e)
{
    struct experiment *x = &a->experiment;
    int64_t n = 0, count = data->count[SPLIT_VALIDATION] + data->count[SPLIT_TEST];
    const char *run = model_path(&x->manifest.arena, a->options.weights);
    if (adapt_encoder_is_random(a) || !split_file_exists(run))
        return ERR_OK;
    const char **ids = arena_push_array(&x->manifest.arena, (size_t)count, sizeof *ids);
    const char **patients = arena_push_array(&x->manifest.arena, (size_t)count, sizeof *patients);
    ASSERT(ids && patients, "out of memory");
    for (int s = SPLIT_VALIDATION; s <= SPLIT_TEST; s++)
        for (int64_t i = 0; i < data->count[s]; i++, n++) {
            const struct manifest_entry *entry =
                experiment_entry(x, (enum data_split)s, data->subset[s][i]);
            ids[n] = entry->id;
            patients[n] = entry->patient;
        }
    struct record_overlap seen;
    bool comparable; /* other records than those before are what an encoder is for */
    TRY(split_file_overlap(run, x->manifest.dataset->name, ids, patients, count, &seen, &comparable,
                           e));
    a->held_out_seen = seen.count;
    if (seen.count > 0)
        log_warning("the encoder has learned from patients of %lld of %lld validation and test "
                    "records, so figures may be better than they should be: %s%s",
                    (long long)seen.count, (long long)count, seen.text,
                    seen.count > 10 ? ", ..." : "");
    return ERR_OK;
}

enum err_code adapt_open(struct adapt *a, struct adapt_data *data, struct err *e)
{
    struct experiment *x = &a->experiment;
    x->options = &a->data;
    x->set = a->set;
    memset(data, 0, sizeof *data);
    if (!a->options.weights)
        FAIL(e, ERR_USAGE, "--weights is missing: a run folder, a model file, or random");
    TRY(experiment_defaults(a->set, &a->data, e));
    if (!a->tuning.adapt && option_set_source(a->set, "aggregation") == OPTION_FROM_DATA)
        /* what a probe is fitted to, the mean of features over windows, is that of logits */
        TRY(option_set_text(a->set, "aggregation", aggregation_names[AGGREGATE_MEAN_LOGIT],
                            OPTION_FROM_DATA, e));
    cJSON *spec = NULL;
    struct contract contract;
    bool random = weights_are_random(a);
    enum err_code code = random ? start_from_options(a, &spec, &contract, e)
                                : start_from_weights(a, &spec, &contract, e);
    if (code == ERR_OK)
        code = experiment_open(x, a->options.task, contract.rate_hz, e);
    x->contract = contract;
    if (code == ERR_OK && random)
        code = experiment_fit_contract(x, &contract, SPLIT_TRAIN, e);
    for (int s = SPLIT_TRAIN; s <= SPLIT_TEST && code == ERR_OK; s++)
        code = experiment_read(x, (enum data_split)s, true, &data->subset[s], &data->count[s], e);
    if (code == ERR_OK)
        code = fraction_set(a, data, e);
    if (code == ERR_OK) {
        struct model_classes classes = experiment_classes(x);
        classes.aggregation =
            arena_push_array(&x->manifest.arena, (size_t)classes.count, sizeof(char *));
        ASSERT(classes.aggregation, "out of memory");
        for (int64_t k = 0; k < classes.count; k++)
            classes.aggregation[k] = a->options.aggregation;
        if (classes.values)
            code = values_prepare(a, data, &classes, e);
        if (code == ERR_OK)
            code = model_create(&a->result, spec, &x->contract, &classes, e);
    }
    cJSON_Delete(spec);
    TRY(code);
    /* nothing of a probe's encoder learns */
    const char *adaptation = a->tuning.adapt ? a->tuning.adapt : "head";
    TRY(adaptation_apply(adaptation_find(adaptation), &a->result, e));
    TRY(positive_weights_set(a, data, e));
    TRY(held_out_check(a, data, e));
    const char *weights = random ? NULL : model_path(&a->set->arena, a->options.weights);
    return experiment_describe(x, weights, e);
}

enum err_code adapt_start(struct adapt *a, struct err *e)
{
    if (adapt_encoder_is_random(a))
        return ERR_OK;
    struct model encoder;
    char *path = model_path(&a->set->arena, a->options.weights);
    enum err_code code = model_load(&encoder, path, e);
    if (code == ERR_OK)
        code = model_copy_encoder(&a->result, &encoder, e);
    model_free(&encoder);
    return code;
}

static enum err_code test_scores(struct adapt *a, const struct model *m,
                                 const struct adapt_data *data, float *scores, struct err *e)
{
    struct scorer *s = NULL;
    enum err_code code = scorer_open(&s, m, NULL, e);
    if (code == ERR_OK)
        code = experiment_score(&a->experiment, s, SPLIT_TEST, data->subset[SPLIT_TEST],
                                data->count[SPLIT_TEST], NULL, scores, e);
    scorer_close(s);
    for (int64_t i = 0; code == ERR_OK && i < data->count[SPLIT_TEST] * m->classes.count; i++)
        scores[i] = score_from_output(&m->classes, i % m->classes.count, scores[i]);
    return code;
}

enum err_code adapt_report(struct adapt *a, const struct adapt_data *data, const float *scores,
                           struct cJSON *extra, struct err *e)
{
    struct experiment *x = &a->experiment;
    cJSON_AddStringToObject(extra, "task", x->labels.task);
    cJSON_AddStringToObject(extra, "split", "test");
    cJSON_AddNumberToObject(extra, "training_records", (double)data->count[SPLIT_TRAIN]);
    cJSON_AddNumberToObject(extra, "validation_records", (double)data->count[SPLIT_VALIDATION]);
    if (a->held_out_seen > 0)
        cJSON_AddNumberToObject(extra, "held_out_records_seen_by_encoder",
                                (double)a->held_out_seen);
    if (a->fraction)
        cJSON_AddItemToObject(extra, "label_fraction", cJSON_Duplicate(a->fraction, true));
    if (a->result.positive_weights)
        cJSON_AddItemToObject(extra, "positive_weights",
                              cJSON_CreateFloatArray(a->result.positive_weights,
                                                     (int)a->result.classes.count));
    enum err_code code =
        experiment_report(x, SPLIT_TEST, data->subset[SPLIT_TEST], data->count[SPLIT_TEST], scores,
                          a->options.bootstrap, extra, &a->evaluation, e);
    cJSON_Delete(extra);
    return code;
}

enum err_code adapt_finish(struct adapt *a, struct model *m, const struct adapt_data *data,
                           struct cJSON *extra, struct err *e)
{
    struct experiment *x = &a->experiment;
    int64_t n = data->count[SPLIT_TEST], K = m->classes.count;
    m->provenance = experiment_provenance(x, data->count[SPLIT_TRAIN], e);
    enum err_code code = model_save(m, NULL, run_path(&x->run, "model.safetensors"), e);
    float *scores = aligned_calloc((size_t)(n * K), sizeof *scores);
    ASSERT(scores, "out of memory");
    if (code == ERR_OK)
        code = test_scores(a, m, data, scores, e);
    if (code == ERR_OK)
        code = adapt_report(a, data, scores, extra, e);
    else
        cJSON_Delete(extra);
    free(scores);
    return code;
}

void adapt_free(struct adapt *a)
{
    cJSON_Delete(a->fraction);
    evaluation_free(&a->evaluation);
    model_free(&a->result);
    model_free(&a->merged);
    experiment_close(&a->experiment);
}
