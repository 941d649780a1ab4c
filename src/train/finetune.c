#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "model/adapter.h"
#include "model/scorer.h"
#include "train/adapt.h"
#include "train/adaptation.h"
#include "train/interrupt.h"
#include "train/values.h"

const struct option tuning_rows[] = {
    OPT_TEXT(tuning_options, recipe, NULL, "NAME",
             "published settings by name (see `ecgfm list recipes`); what is set beside it wins"),
    OPT_CHOICE(tuning_options, adapt, "full", "full|head|lora|adapter|bias",
               "what learns (see `ecgfm list adaptations`)"),
    OPTION_END};

/* Defaults that differ from pre-training's. */
static const struct {
    const char *key, *value;
} defaults[] = {{"epochs", "20"}, {"batch", "32"},         {"lr", "5e-4"}, {"beta2", "0.999"},
                {"ema", "0.99"},  {"layer_decay", "0.75"}, {NULL, NULL}};

void finetune_options_add(struct adapt *a, struct option_set *set)
{
    adapt_options_add(a, set);
    option_set_add(set, "", tuning_rows, &a->tuning);
    option_set_add(set, "lora", lora_rows, &a->lora);
    trainer_options_add(set, &a->trainer);
    trainer_choice_add(set, &a->trainer);
    augment_chain_init(&a->augment, set, "augment");
    struct err e = {0};
    for (int i = 0; defaults[i].key; i++)
        ASSERT(option_set_text(set, defaults[i].key, defaults[i].value, OPTION_FROM_DEFAULT, &e) ==
                   ERR_OK,
               "finetune default %s: %s", defaults[i].key, e.message);
}

struct finetuning {
    struct adapt *a;
    struct adapt_data data;
    struct scorer *scorer; /* of the trainer's slab that is evaluated, from the first epoch on */
    const float *values;   /* that slab */
    float *scores;         /* of the validation records */
};

/* Macro AUROC of outputs for the validation fold. */
static enum err_code classes_score(const struct finetuning *c, double *score, struct err *e)
{
    const struct experiment *x = &c->a->experiment;
    int64_t n = c->data.count[SPLIT_VALIDATION], K = x->labels.class_count;
    const int64_t *subset = c->data.subset[SPLIT_VALIDATION];
    double *by_class = calloc((size_t)K, sizeof *by_class);
    double *column = calloc((size_t)n, sizeof *column);
    uint8_t *labels = calloc((size_t)n, 1);
    ASSERT(by_class && column && labels, "out of memory");
    enum err_code code = ERR_OK;
    for (int64_t k = 0; k < K && code == ERR_OK; k++) {
        for (int64_t i = 0; i < n; i++) {
            float target = experiment_target(x, SPLIT_VALIDATION, subset[i], k);
            column[i] = (double)c->scores[i * K + k];
            labels[i] = isnan(target) ? RANKING_UNKNOWN : target > 0;
        }
        struct ranking r = {0};
        code = ranking_init(&r, column, labels, n, e);
        if (code == ERR_OK)
            by_class[k] = metric_auroc.compute(&r, NULL);
        ranking_free(&r);
    }
    *score = macro_average(by_class, K, NULL);
    free(by_class);
    free(column);
    free(labels);
    return code;
}

static const char *score_name(const struct experiment *x)
{
    return x->labels.kind == LABEL_VALUES ? "validation_macro_r2" : "validation_macro_auroc";
}

/* Macro AUROC of the validation fold, or macro R2 of values. */
static enum err_code epoch_end(void *context, const float *values, cJSON *line, double *score,
                               struct err *e)
{
    struct finetuning *c = context;
    struct experiment *x = &c->a->experiment;
    int64_t n = c->data.count[SPLIT_VALIDATION];
    const int64_t *subset = c->data.subset[SPLIT_VALIDATION];
    ASSERT(!c->scorer || c->values == values, "another slab is evaluated");
    c->values = values;
    if (c->scorer)
        scorer_weights_changed(c->scorer);
    else
        TRY(scorer_open(&c->scorer, &c->a->result, values, e));
    TRY(experiment_score(x, c->scorer, SPLIT_VALIDATION, subset, n, NULL, c->scores, e));
    enum err_code code = ERR_OK;
    if (x->labels.kind == LABEL_VALUES)
        *score = values_macro_r2(x, &c->a->result.classes, SPLIT_VALIDATION, subset, n, c->scores);
    else
        code = classes_score(c, score, e);
    cJSON_AddNumberToObject(line, score_name(x), *score);
    return code;
}

static void progress(void *context, const struct trainer_progress *p)
{
    struct finetuning *c = context;
    c->a->experiment.progress(c->a->experiment.progress_context, p);
}

static const char *record_id(void *context, int64_t sample)
{
    struct finetuning *c = context;
    return experiment_entry(&c->a->experiment, SPLIT_TRAIN, sample)->id;
}

static enum err_code train(struct finetuning *c, struct trainer *t, int64_t batch, struct err *e)
{
    struct adapt *a = c->a;
    struct model *m = &a->result;
    TRY(model_allocate(m, a->experiment.seed, e));
    TRY(adapt_start(a, e));
    c->scores =
        aligned_calloc((size_t)(c->data.count[SPLIT_VALIDATION] * m->classes.count), sizeof(float));
    if (!c->scores)
        FAIL(e, ERR_MEMORY, "no memory for evaluation");
    return experiment_train(&a->experiment, t, SPLIT_TRAIN, c->data.subset[SPLIT_TRAIN],
                            c->data.count[SPLIT_TRAIN], 1, &a->augment, batch, e);
}

/* What was learned beside the given encoder, as a file. */
static enum err_code save_adapter(struct adapt *a, const struct adapt_data *data, struct err *e)
{
    struct experiment *x = &a->experiment;
    if (strcmp(adaptation_find(a->tuning.adapt)->learns, "*") == 0)
        return ERR_OK; /* all of it is new */
    if (adapt_encoder_is_random(a)) {
        log_info("the encoder is random, of no file: there is no adapter.safetensors");
        return ERR_OK;
    }
    struct model base;
    enum err_code code = model_load(&base, model_path(&a->set->arena, a->options.weights), e);
    a->result.provenance = experiment_provenance(x, data->count[SPLIT_TRAIN], e);
    if (code == ERR_OK)
        code = adapter_save(&a->result, &base, run_path(&x->run, "adapter.safetensors"), e);
    model_free(&base);
    return code;
}

/* The model of the run, in *out: without low-rank additions, what they learned is in the layers. */
static enum err_code settle(struct adapt *a, struct model **out, struct err *e)
{
    *out = &a->result;
    if (a->result.lora.rank == 0)
        return ERR_OK;
    TRY(model_merge(&a->result, &a->merged, e));
    a->merged.positive_weights = a->result.positive_weights;
    *out = &a->merged;
    return ERR_OK;
}

static cJSON *describe(const struct adapt *a, const struct trainer *t)
{
    cJSON *json = cJSON_CreateObject();
    const struct param_table *p = &a->result.params;
    int64_t learned = 0;
    for (int i = 0; i < p->count; i++)
        learned += p->items[i]->frozen ? 0 : p->items[i]->numel;
    bool last = strcmp(a->trainer.keep, "last") == 0;
    cJSON_AddNumberToObject(json, last ? "last_epoch" : "best_epoch",
                            (double)trainer_best_epoch(t));
    cJSON_AddNumberToObject(json, score_name(&a->experiment), trainer_best_score(t));
    cJSON_AddStringToObject(json, "adapt", a->tuning.adapt);
    cJSON_AddNumberToObject(json, "parameters", (double)param_count_values(p));
    cJSON_AddNumberToObject(json, "learned_parameters", (double)learned);
    return json;
}

enum err_code finetune_run(struct adapt *a, struct err *e)
{
    struct finetuning c = {.a = a};
    interrupt_install(); /* a signal while data is read is kept for the first step */
    TRY(adapt_open(a, &c.data, e));
    int64_t count = c.data.count[SPLIT_TRAIN];
    int64_t batch = trainer_batch(&a->trainer, count);
    struct trainer_task task = {.context = &c,
                                .epoch_end = epoch_end,
                                .progress = progress,
                                .record_id = record_id};
    struct trainer *t = NULL;
    enum err_code code =
        trainer_open(&t, &a->trainer, &task, &a->result, batch, a->experiment.seed, e);
    if (code == ERR_OK)
        code = train(&c, t, batch, e);
    if (code == ERR_OK) {
        cJSON *extra = describe(a, t);
        struct model *m = NULL;
        code = settle(a, &m, e);
        if (code == ERR_OK)
            code = adapt_finish(a, m, &c.data, extra, e);
        else
            cJSON_Delete(extra);
        if (code == ERR_OK) /* last: the base may be gone by now, and the run is whole without it */
            code = save_adapter(a, &c.data, e);
    }
    scorer_close(c.scorer);
    free(c.scores);
    trainer_close(t);
    return code;
}
