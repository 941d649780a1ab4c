#include "train/adapt.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "model/scorer.h"

const struct option adapt_rows[] = {
    OPT_TEXT(adapt_options, task, NULL, "NAME",
             "task of the data set; the default is its first (PTB-XL: super)"),
    OPT_TEXT(adapt_options, weights, NULL, "PATH",
             "pre-trained encoder: a run folder or model file; random: the control"),
    OPT_INT(adapt_options, bootstrap, "1000", 0, 1000000, NULL, "draws for 95 % intervals"),
    OPTION_END};

static bool weights_are_random(const struct adapt *a)
{
    return strcmp(a->options.weights, "random") == 0;
}

static enum err_code start_from_options(struct adapt *a, cJSON **spec, struct contract *contract,
                                        struct err *e)
{
    TRY(model_options_spec(a->set, &a->model, spec, e)); /* a preset may say what its input is */
    return input_contract(&a->input, contract, e);
}

/* The encoder file decides architecture and contract; options that say otherwise are refused rather
 * than ignored. */
static enum err_code start_from_weights(struct adapt *a, cJSON **spec, struct contract *contract,
                                        struct err *e)
{
    for (int g = 0; g < a->set->group_count; g++) {
        const struct option_group *group = &a->set->groups[g];
        bool fixed = strcmp(group->prefix, "input") == 0;
        for (int i = 0; group->rows[i].name; i++) {
            bool named = fixed || strcmp(group->rows[i].name, "model") == 0;
            if (named && group->sources[i] >= OPTION_FROM_FILE)
                FAIL(e, ERR_USAGE, "%s%s%s is set, but the weights in %s fix it; leave it out",
                     group->prefix, group->prefix[0] ? "." : "", group->rows[i].name,
                     a->options.weights);
        }
    }
    struct model encoder;
    char *path = model_path(&a->set->arena, a->options.weights);
    enum err_code code = model_open(&encoder, path, e);
    if (code == ERR_OK) {
        *spec = model_spec_json(&encoder);
        *contract = encoder.contract;
        /* What the user says about training (drop path, pooling) goes over the file's values. */
        code = option_set_json(a->set, *spec, OPTION_FROM_PRESET, e);
        cJSON *all = option_set_to_json(a->set, false);
        for (cJSON *group = (*spec)->child; group && code == ERR_OK; group = group->next)
            for (cJSON *value = group->child; value; value = value->next) {
                cJSON *mine = cJSON_GetObjectItemCaseSensitive(
                    cJSON_GetObjectItemCaseSensitive(all, group->string), value->string);
                if (mine && cJSON_IsNumber(mine))
                    cJSON_SetNumberValue(value, mine->valuedouble);
                else if (mine && cJSON_IsString(mine) && cJSON_IsString(value))
                    cJSON_SetValuestring(value, mine->valuestring);
            }
        cJSON_Delete(all);
    }
    model_free(&encoder);
    return code;
}

enum err_code adapt_open(struct adapt *a, struct adapt_data *data, struct err *e)
{
    struct experiment *x = &a->experiment;
    x->options = &a->data;
    x->set = a->set;
    memset(data, 0, sizeof *data);
    if (!a->options.weights)
        FAIL(e, ERR_USAGE, "--weights is missing: a run folder, a model file, or random");
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
    if (code == ERR_OK) {
        struct model_classes classes = experiment_classes(x);
        code = model_create(&a->result, spec, &x->contract, &classes, e);
    }
    cJSON_Delete(spec);
    TRY(code);
    const char *weights = random ? NULL : model_path(&a->set->arena, a->options.weights);
    return experiment_describe(x, weights, e);
}

enum err_code adapt_start(struct adapt *a, struct err *e)
{
    if (weights_are_random(a))
        return ERR_OK;
    struct model encoder;
    char *path = model_path(&a->set->arena, a->options.weights);
    enum err_code code = model_load(&encoder, path, e);
    if (code == ERR_OK)
        code = model_copy_encoder(&a->result, &encoder, e);
    model_free(&encoder);
    return code;
}

static enum err_code test_scores(struct adapt *a, const struct adapt_data *data, float *scores,
                                 struct err *e)
{
    struct scorer *s = NULL;
    enum err_code code = scorer_open(&s, &a->result, NULL, e);
    if (code == ERR_OK)
        code = experiment_score(&a->experiment, s, SPLIT_TEST, data->subset[SPLIT_TEST],
                                data->count[SPLIT_TEST], NULL, scores, e);
    scorer_close(s);
    for (int64_t i = 0; code == ERR_OK && i < data->count[SPLIT_TEST] * a->result.classes.count;
         i++)
        scores[i] = score_from_logit(scores[i]);
    return code;
}

enum err_code adapt_finish(struct adapt *a, const struct adapt_data *data, struct cJSON *extra,
                           struct err *e)
{
    struct experiment *x = &a->experiment;
    int64_t n = data->count[SPLIT_TEST], K = a->result.classes.count;
    a->result.provenance = experiment_provenance(x, data->count[SPLIT_TRAIN], e);
    enum err_code code = model_save(&a->result, NULL, run_path(&x->run, "model.safetensors"), e);
    float *scores = aligned_calloc((size_t)(n * K), sizeof *scores);
    ASSERT(scores, "out of memory");
    if (code == ERR_OK)
        code = test_scores(a, data, scores, e);
    if (code == ERR_OK) {
        cJSON_AddStringToObject(extra, "task", x->labels.task);
        cJSON_AddStringToObject(extra, "split", "test");
        cJSON_AddNumberToObject(extra, "training_records", (double)data->count[SPLIT_TRAIN]);
        cJSON_AddNumberToObject(extra, "validation_records", (double)data->count[SPLIT_VALIDATION]);
        code = experiment_report(x, SPLIT_TEST, data->subset[SPLIT_TEST], n, scores,
                                 a->options.bootstrap, extra, &a->evaluation, e);
    }
    free(scores);
    cJSON_Delete(extra);
    return code;
}

void adapt_free(struct adapt *a)
{
    evaluation_free(&a->evaluation);
    model_free(&a->result);
    experiment_close(&a->experiment);
}
