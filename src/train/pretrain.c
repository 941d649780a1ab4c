#include "train/pretrain.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "objective/saved.h"
#include "train/interrupt.h"
#include "train/weights.h"

const struct option pretrain_rows[] = {
    OPT_TEXT(pretrain_options, objective, "mae", "NAME",
             "objective, or several with + (see `ecgfm list objectives`)"),
    OPT_CHOICE(pretrain_options, split, "train", "train|all",
               "records to learn from: the training folds, or every fold"),
    OPT_TEXT(pretrain_options, weights, NULL, "PATH",
             "start from this encoder (a run folder or model file), and from what it holds of the "
             "objectives where their options are the same"),
    OPTION_END};

void pretrain_options_add(struct pretrain *p, struct option_set *set)
{
    p->set = set;
    option_set_add(set, "", experiment_rows, &p->data);
    option_set_add(set, "", pretrain_rows, &p->options);
    model_options_add(set, &p->model);
    trainer_options_add(set, &p->trainer);
    option_set_add(set, "input", input_rows, &p->input);
    objective_options_add(set);
    augment_chain_init(&p->augment, set, "augment");
}

/* The task of the trainer. */
struct pretraining {
    struct pretrain *p;
    struct objective_sum sum;
    struct objective_parts parts;
    struct objective_inputs *inputs;
    struct trainer *trainer;
    int64_t B; /* records of a batch */
};

static struct tensor *build(void *context, struct build *b, int64_t B, struct tensor **parts,
                            const char **part_names, int *part_count)
{
    struct pretraining *c = context;
    struct tensor *loss = objective_sum_build(&c->sum, b, &c->p->encoder, B, &c->parts);
    *part_count = c->parts.count;
    for (int i = 0; i < c->parts.count; i++) {
        parts[i] = c->parts.tensors[i];
        part_names[i] = c->parts.names[i];
    }
    return loss;
}

static void bind(void *context, struct tape *t, const struct batch *batch)
{
    struct pretraining *c = context;
    tape_bind(tape_find_input(t, "signal"), batch->x);
    objective_inputs_draw(c->inputs, &(struct draw){.seed = c->p->experiment.seed,
                                                    .epoch = batch->epoch,
                                                    .index = batch->index,
                                                    .update = trainer_updates(c->trainer),
                                                    .count = batch->count,
                                                    .samples = batch->items,
                                                    .records = batch->samples});
}

static void progress(void *context, const struct trainer_progress *p)
{
    struct pretraining *c = context;
    c->p->experiment.progress(c->p->experiment.progress_context, p);
}

static const char *record_id(void *context, int64_t sample)
{
    struct pretraining *c = context;
    enum data_split split = strcmp(c->p->options.split, "all") == 0 ? SPLIT_ALL : SPLIT_TRAIN;
    return experiment_entry(&c->p->experiment, split, sample)->id;
}

/* The encoder, and the parameters of objectives that go on, from --weights. */
static enum err_code start_from_weights(struct pretraining *c, const char *path, struct err *e)
{
    struct pretrain *p = c->p;
    struct model from;
    const char *carried = "";
    enum err_code code = model_load(&from, path, e);
    if (code == ERR_OK)
        code = model_copy_encoder(&p->encoder, &from, e);
    if (code == ERR_OK)
        code = objective_sum_carry(&c->sum, &p->encoder, &from, &carried, e);
    if (code == ERR_OK)
        log_info("starting from the encoder of %s%s%s", path,
                 carried[0] ? " and from its parameters of " : "; objectives start anew", carried);
    model_free(&from);
    return code;
}

static enum err_code write_metrics(struct pretrain *p, const struct trainer *t, int64_t records,
                                   struct err *e)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "objective", p->options.objective);
    cJSON_AddNumberToObject(json, "records", (double)records);
    cJSON_AddNumberToObject(json, "steps", (double)trainer_steps(t));
    cJSON_AddNumberToObject(json, "seed", (double)p->experiment.seed);
    cJSON_AddNumberToObject(json, "parameters", (double)param_count_values(&p->encoder.params));
    enum err_code code = run_write_json(&p->experiment.run, "metrics.json", json, e);
    cJSON_Delete(json);
    return code;
}

/* What the model file says of the objectives; in the model's arena. */
static const char *objective_text(const struct pretraining *c)
{
    struct buf text = {0};
    cJSON *json = objective_sum_to_json(&c->sum);
    json_print(json, false, &text);
    cJSON_Delete(json);
    const char *out = text.failed ? NULL : arena_strdup(&c->p->encoder.arena, text.data);
    buf_free(&text);
    ASSERT(out, "out of memory");
    return out;
}

static enum err_code train(struct pretraining *c, const cJSON *spec, enum data_split split,
                           struct err *e)
{
    struct pretrain *p = c->p;
    struct experiment *x = &p->experiment;
    int64_t *subset, count;
    TRY(experiment_read(x, split, false, &subset, &count, e));
    int64_t items = x->pairs ? 0 : count;
    for (int64_t i = 0; x->pairs && i < count; i++)
        items += store_pairs(x->stores[split], subset[i]);
    c->B = trainer_batch(&p->trainer, items);
    if (c->sum.views > 1 && c->B < 2)
        FAIL(e, ERR_USAGE,
             "objective %s contrasts records with others of the batch: %lld is too few",
             p->options.objective, (long long)c->B);
    TRY(model_create(&p->encoder, spec, &x->contract, NULL, e));
    TRY(objective_sum_check(&c->sum, &p->encoder, e));
    const char *weights =
        p->options.weights ? model_path(&x->manifest.arena, p->options.weights) : NULL;
    TRY(experiment_describe(x, weights, e));
    struct trainer_task task = {
        .context = c, .build = build, .bind = bind, .progress = progress, .record_id = record_id};
    struct trainer *t = NULL;
    enum err_code code = trainer_open(&t, &p->trainer, &task, &p->encoder, c->B, x->seed, e);
    c->trainer = t;
    if (code == ERR_OK)
        code = objective_inputs_open(&c->inputs, &c->sum, backend_selected(), &p->encoder,
                                     trainer_tape(t), e);
    if (code == ERR_OK)
        code = model_allocate(&p->encoder, x->seed, e);
    if (code == ERR_OK && weights)
        code = start_from_weights(c, weights, e);
    if (code == ERR_OK && x->pairs)
        log_info("%lld pairs of adjacent segments", (long long)items);
    if (code == ERR_OK) {
        log_info("%s, %lld parameters, %lld records, batches of %lld, activations %.0f MiB",
                 p->model.model, (long long)param_count_values(&p->encoder.params),
                 (long long)count, (long long)c->B, (double)trainer_planned_bytes(t) / 1048576.0);
        code = experiment_train(x, t, split, subset, count, c->sum.views, &p->augment, c->B, e);
    }
    if (code == ERR_OK) {
        p->encoder.provenance = experiment_provenance(x, count, e);
        p->encoder.objective = objective_text(c);
        code = model_save(&p->encoder, NULL, run_path(&x->run, "model.safetensors"), e);
    }
    if (code == ERR_OK)
        code = write_metrics(p, t, count, e);
    objective_inputs_close(c->inputs);
    trainer_close(t);
    return code;
}

enum err_code pretrain_run(struct pretrain *p, struct err *e)
{
    struct experiment *x = &p->experiment;
    struct pretraining c = {.p = p};
    cJSON *spec = NULL;
    struct contract contract = {0};
    enum data_split split = strcmp(p->options.split, "all") == 0 ? SPLIT_ALL : SPLIT_TRAIN;
    interrupt_install(); /* a signal while data is read is kept for the first step */
    x->options = &p->data;
    x->set = p->set;
    const char *weights = p->options.weights;
    enum err_code code = weights ? weights_read(p->set, weights, &spec, &contract, e) : ERR_OK;
    if (code == ERR_OK)
        code = objective_sum_parse(&c.sum, p->set, p->options.objective, e);
    if (code == ERR_OK)
        code = objective_sum_resolve(&c.sum, e);
    x->pairs = c.sum.pairs;
    x->all_records = split == SPLIT_ALL;
    if (code == ERR_OK && weights)
        code = weights_override(p->set, weights, spec, e);
    if (code == ERR_OK && !weights) /* a preset may say what its input is */
        code = model_options_spec(p->set, &p->model, &spec, e);
    if (code == ERR_OK && !weights)
        code = input_contract(&p->input, &contract, e);
    if (code == ERR_OK)
        code = experiment_open(x, "", contract.rate_hz, e);
    x->contract = contract;
    if (code == ERR_OK && !weights)
        code = experiment_fit_contract(x, &contract, split, e);
    if (code == ERR_OK)
        code = train(&c, spec, split, e);
    cJSON_Delete(spec);
    return code;
}

void pretrain_free(struct pretrain *p)
{
    model_free(&p->encoder);
    experiment_close(&p->experiment);
}
