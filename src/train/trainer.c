#include "train/trainer.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "format/safetensors.h"
#include "graph/ops.h"
#include "nn/optimizer.h"
#include "train/interrupt.h"

static const struct option trainer_rows[] = {
    OPT_INT(trainer_options, epochs, "200", 1, 1000000, NULL, "passes over the training records"),
    OPT_INT(trainer_options, steps, "0", 0, 1e12, NULL,
            "optimizer steps instead of epochs; 0: epochs"),
    OPT_INT(trainer_options, batch, "64", 0, 65536, "records",
            "records per forward pass; 0: 64, or 128 from 5,000 training records on"),
    OPT_INT(trainer_options, accumulate, "1", 1, 4096, NULL, "forward passes per optimizer step"),
    OPT_CHOICE(trainer_options, optimizer, "adamw", "adamw|adam",
               "adam is fairseq's: all decays, epsilon beside the uncorrected moment"),
    OPT_CHOICE(trainer_options, decay, "matrices", "matrices|all",
               "what adamw decays; all: biases and norms too, as PyTorch's does"),
    OPT_TEXT(trainer_options, schedule, "cosine", "NAME",
             "how the learning rate goes (see `ecgfm list schedules`)"),
    OPT_FLOAT(trainer_options, lr, "2e-3", 0, 10, NULL, "peak learning rate"),
    OPT_FLOAT(trainer_options, min_lr, "1e-6", 0, 10, NULL, "final learning rate"),
    OPT_FLOAT(trainer_options, warmup, "0.1", 0, 1, NULL, "fraction of the steps with rising rate"),
    OPT_INT(trainer_options, warmup_steps, "0", 0, 1e12, NULL,
            "number of these steps; 0: by the fraction"),
    OPT_FLOAT(trainer_options, weight_decay, "0.05", 0, 10, NULL, "decoupled weight decay"),
    OPT_FLOAT(trainer_options, beta1, "0.9", 0, 0.99999, NULL, "decay of the first moment"),
    OPT_FLOAT(trainer_options, beta2, "0.95", 0, 0.999999, NULL, "decay of the second moment"),
    OPT_FLOAT(trainer_options, epsilon, "1e-8", 1e-20, 1, NULL,
              "added to the root of the second moment"),
    OPT_FLOAT(trainer_options, clip, "1", 0, 1e9, NULL, "bound on the gradient's norm; 0: none"),
    OPT_FLOAT(trainer_options, ema, "0", 0, 0.999999, NULL,
              "decay of the averaged weights that are evaluated and saved; 0: none"),
    OPT_FLOAT(trainer_options, layer_decay, "1", 0.01, 1, NULL,
              "factor on the learning rate for each layer further from the output"),
    OPT_FLOAT(
        trainer_options, group_decay, "1", 0.0001, 1, NULL,
        "factor on the learning rate of the encoder, and again of what comes before its first "
        "block"),
    OPT_FLOAT(trainer_options, head_rate, "1", 0, 1e6, NULL,
              "factor on the learning rate of all but the encoder"),
    OPT_FLOAT(trainer_options, encoder_rate, "1", 0, 1e6, NULL,
              "factor on the learning rate of the encoder; 0: it stays as it is"),
    OPT_FLOAT(trainer_options, embed_rate, "1", 0, 1e6, NULL,
              "further factor on what comes before its first block"),
    OPT_INT(trainer_options, freeze, "0", 0, 1000, NULL,
            "layers kept fixed: 1 is the embedding, 2 also the first block, and so on"),
    OPT_INT(trainer_options, freeze_steps, "0", 0, 1e12, NULL,
            "steps in which the encoder does not learn (statistics of batch norms go on moving)"),
    OPT_FLOAT(trainer_options, freeze_epochs, "0", 0, 1e6, NULL, "the same in epochs; they add up"),
    OPT_INT(trainer_options, unfreeze_steps, "0", 0, 1e12, NULL,
            "steps from which on one more layer learns, from the last one down; 0: all at once "
            "(statistics of batch norms move from the start)"),
    OPT_FLOAT(trainer_options, unfreeze_epochs, "0", 0, 1e6, NULL,
              "the same in epochs; they add up"),
    OPT_FLOAT(trainer_options, checkpoint_seconds, "30", 0, 1e6, "s",
              "time between checkpoints; 0: after every step"),
    OPT_INT(trainer_options, log_steps, "10", 1, 1e9, NULL, "steps between lines of metrics.jsonl"),
    OPTION_END};

static const struct option choice_rows[] = {
    OPT_CHOICE(trainer_options, keep, "best", "best|last",
               "the epoch that becomes the model: the best of the validation fold, or the last"),
    OPT_INT(trainer_options, validate_epochs, "1", 1, 1000000, NULL,
            "epochs between two looks at the validation fold; the last one is always looked at"),
    OPTION_END};

/* Slabs in the order of the checkpoint. */
enum { SLAB_VALUES, SLAB_FIRST, SLAB_SECOND, SLAB_EMA, SLAB_BEST, SLAB_COUNT };
static const char *const slab_names[SLAB_COUNT] = {"values", "first_moment", "second_moment",
                                                   "average", "best"};

void trainer_options_add(struct option_set *set, struct trainer_options *target)
{
    option_set_add(set, "", trainer_rows, target);
    for (int i = 0; schedules[i].name; i++) {
        if (!schedules[i].options[0].name)
            continue;
        void *config = arena_push(&set->arena, schedules[i].config_size);
        ASSERT(config && i < SCHEDULES_MAX, "out of memory");
        option_set_add(set, schedules[i].name, schedules[i].options, config);
        target->schedule_configs[i] = config;
    }
}

void trainer_choice_add(struct option_set *set, struct trainer_options *target)
{
    option_set_add(set, "", choice_rows, target);
}

int64_t trainer_batch(const struct trainer_options *o, int64_t count)
{
    int64_t batch = o->batch > 0 ? o->batch : count < 5000 ? 64 : 128;
    return batch < count ? batch : count;
}

struct trainer {
    const struct trainer_options *options;
    const struct trainer_task *task;
    struct model *model;
    const struct backend *backend;
    struct tape *tape;
    struct tensor *loss, *parts[TRAINER_PARTS_MAX];
    const char *part_names[TRAINER_PARTS_MAX];
    int part_count;
    int64_t batch;
    uint64_t seed;
    float *gathered;          /* gradients of several batches; NULL: the tape's own are used */
    float *slabs[SLAB_COUNT]; /* slabs[SLAB_VALUES] is model->values */
    int64_t steps_per_epoch, total_steps;
    int schedule; /* row of `schedules` */
    struct optimizer_options optimizer;
    /* State of the run, in the checkpoint. */
    int64_t step;
    double best_score;
    int64_t best_epoch;
    long metrics_bytes;
    /* Sums since the last metrics line; a checkpoint inside a log interval stores them. */
    double loss_sum, part_sums[TRAINER_PARTS_MAX], norm_sum;
    int64_t sum_count;
    double last_score;
    struct trainer_times times;
};

static bool keeps_last(const struct trainer *t)
{
    return t->options->keep && strcmp(t->options->keep, "last") == 0;
}

/* --- setting up --------------------------------------------------------------------------------- */

/* Which row of `schedules`. */
static enum err_code schedule_index(const struct trainer_options *o, int *out, struct err *e)
{
    *out = o->schedule ? schedule_find(o->schedule) : 0;
    const struct schedule *row = *out >= 0 ? &schedules[*out] : NULL;
    if (row)
        return row->check && o->schedule_configs[*out] ? row->check(o->schedule_configs[*out], e)
                                                       : ERR_OK;
    const char *names[SCHEDULES_MAX + 1] = {NULL};
    for (int i = 0; schedules[i].name && i < SCHEDULES_MAX; i++)
        names[i] = schedules[i].name;
    int near = str_nearest(o->schedule, names);
    FAIL(e, ERR_USAGE, "schedule %s: no such schedule%s%s", o->schedule,
         near >= 0 ? "; did you mean " : "; `ecgfm list schedules` lists them",
         near >= 0 ? names[near] : "");
}

static double encoder_rate(const struct trainer_options *o, const struct param *x)
{
    return o->encoder_rate * (x->layer == 0 ? o->embed_rate : 1);
}

/* What has no rate is frozen before the tape is recorded: its batch norms keep their statistics. */
static void encoder_freeze(const struct trainer_options *o, struct param_table *p)
{
    param_freeze_layers(p, (int)o->freeze);
    for (int i = 0; i < p->count; i++)
        if (str_starts_with(p->items[i]->name, "encoder.") && encoder_rate(o, p->items[i]) == 0)
            p->items[i]->frozen = true;
}

/* Who learns how fast and from when on, for the complete table. What no gradient reaches is not decayed
 * either. */
static void rates_set(struct trainer *t)
{
    const struct trainer_options *o = t->options;
    struct param_table *p = &t->model->params;
    for (int i = 0; i < tape_tensor_count(t->tape); i++) {
        const struct tensor *x = tape_tensor(t->tape, i);
        if (x->kind == TENSOR_PARAMETER && !x->grad_written)
            param_find(p, x->name)->frozen = true;
    }
    for (int i = 0; i < p->count; i++) {
        struct param *x = p->items[i];
        bool encoder = str_starts_with(x->name, "encoder.");
        x->rate = encoder ? encoder_rate(o, x) : o->head_rate;
        if (encoder && o->group_decay > 0)
            x->rate *= pow(o->group_decay, x->layer == 0 ? 2 : 1);
    }
}

/* Gradual unfreezing: Howard and Ruder 2018 (ULMFiT), section 3.3. What is of the head's layer, such as
 * the norm after the last block, waits for no other. */
static void delays_set(struct trainer *t)
{
    const struct trainer_options *o = t->options;
    struct param_table *p = &t->model->params;
    double epoch = (double)t->steps_per_epoch;
    int64_t all = o->freeze_steps + (int64_t)llround(o->freeze_epochs * epoch);
    int64_t layer = o->unfreeze_steps + (int64_t)llround(o->unfreeze_epochs * epoch);
    for (int i = 0; i < p->count; i++) {
        struct param *x = p->items[i];
        bool encoder = str_starts_with(x->name, "encoder.");
        x->delay = encoder ? all + layer * (p->layer_max - x->layer) : 0;
    }
}

enum err_code trainer_open(struct trainer **out, const struct trainer_options *options,
                           const struct trainer_task *task, struct model *m, int64_t batch,
                           uint64_t seed, struct err *e)
{
    struct trainer *t = calloc(1, sizeof *t);
    *out = t;
    ASSERT(t, "out of memory");
    t->options = options;
    t->task = task;
    t->model = m;
    TRY(schedule_index(options, &t->schedule, e));
    t->backend = backend_selected();
    t->batch = batch;
    t->seed = seed;
    t->best_score = t->last_score = NAN;
    if (options->freeze > m->params.layer_max)
        FAIL(e, ERR_USAGE, "freeze %lld: the encoder has %d layers", (long long)options->freeze,
             m->params.layer_max);
    encoder_freeze(options, &m->params);
    t->tape = tape_new(t->backend, true);
    struct build b = {.tape = t->tape, .params = &m->params};
    t->loss = task->build
                  ? task->build(task->context, &b, batch, t->parts, t->part_names, &t->part_count)
                  : model_loss(&b, m, batch);
    if (!t->loss->needs_grad)
        FAIL(e, ERR_USAGE, "encoder_rate %g: nothing else is there to learn",
             options->encoder_rate);
    for (int i = 0; i < tape_node_count(t->tape); i++)
        if (batchnorm_of_one_row(tape_node(t->tape, i)))
            FAIL(e, ERR_USAGE,
                 "batch %lld: a batch norm would have the statistics of one value, which has no "
                 "variance; take a batch of 2 or more, and as many training records",
                 (long long)batch);
    tape_keep(t->tape, t->loss);
    if (options->accumulate == 1) /* else gradients outlive a forward pass */
        tape_own_gradients(t->tape, m->params.total);
    m->params.closed = true;
    TRY(tape_plan(t->tape, t->loss, e));
    rates_set(t);
    return ERR_OK;
}

void trainer_close(struct trainer *t)
{
    if (!t)
        return;
    tape_free(t->tape);
    free(t->gathered);
    for (int i = SLAB_FIRST; i < SLAB_COUNT; i++)
        free(t->slabs[i]);
    free(t);
}

static enum err_code slabs_allocate(struct trainer *t, struct err *e)
{
    size_t n = (size_t)t->model->params.total;
    t->slabs[SLAB_VALUES] = t->model->values;
    if (t->options->accumulate > 1)
        t->gathered = aligned_calloc(n, sizeof(float));
    bool good = t->options->accumulate == 1 || t->gathered;
    for (int i = SLAB_FIRST; i < SLAB_COUNT; i++) {
        if ((i == SLAB_EMA && t->options->ema <= 0) ||
            (i == SLAB_BEST && (!t->task->epoch_end || keeps_last(t))))
            continue;
        t->slabs[i] = aligned_calloc(n, sizeof(float));
        good = good && t->slabs[i];
    }
    if (!good)
        FAIL(e, ERR_MEMORY, "no memory for gradients and moments of %lld parameters",
             (long long)param_count_values(&t->model->params));
    for (int i = SLAB_EMA; i < SLAB_COUNT; i++)
        if (t->slabs[i])
            memcpy(t->slabs[i], t->slabs[SLAB_VALUES], n * sizeof(float));
    tape_bind_parameters(t->tape, t->slabs[SLAB_VALUES], t->gathered);
    return ERR_OK;
}

static void schedule_set(struct trainer *t, int64_t batches)
{
    const struct trainer_options *o = t->options;
    t->steps_per_epoch = batches / o->accumulate > 0 ? batches / o->accumulate : 1;
    t->total_steps = o->steps > 0 ? o->steps : o->epochs * t->steps_per_epoch;
    t->optimizer = (struct optimizer_options){
        .kind =
            o->optimizer && strcmp(o->optimizer, "adam") == 0 ? OPTIMIZER_ADAM : OPTIMIZER_ADAMW,
        .schedule = &schedules[t->schedule],
        .schedule_config = o->schedule_configs[t->schedule],
        .span = {.lr = o->lr,
                 .min_lr = o->min_lr < o->lr ? o->min_lr : o->lr,
                 .warmup_steps = o->warmup_steps > 0
                                     ? o->warmup_steps
                                     : (int64_t)(o->warmup * (double)t->total_steps),
                 .steps = t->total_steps,
                 .steps_per_epoch = t->steps_per_epoch},
        .beta1 = o->beta1,
        .beta2 = o->beta2,
        .epsilon = o->epsilon,
        .weight_decay = o->weight_decay,
        .decay_all = o->decay && strcmp(o->decay, "all") == 0,
        .clip = o->clip,
        .layer_decay = o->layer_decay,
    };
}

/* --- checkpoints -------------------------------------------------------------------------------- */

static cJSON *state_to_json(const struct trainer *t)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "step", (double)t->step);
    cJSON_AddNumberToObject(json, "metrics_bytes", (double)t->metrics_bytes);
    cJSON_AddNumberToObject(json, "best_score", t->best_score); /* null when none */
    cJSON_AddNumberToObject(json, "best_epoch", (double)t->best_epoch);
    cJSON_AddNumberToObject(json, "last_score", t->last_score);
    cJSON_AddNumberToObject(json, "loss_sum", t->loss_sum);
    cJSON_AddNumberToObject(json, "norm_sum", t->norm_sum);
    cJSON_AddNumberToObject(json, "sum_count", (double)t->sum_count);
    cJSON_AddItemToObject(json, "part_sums", cJSON_CreateDoubleArray(t->part_sums, t->part_count));
    return json;
}

static enum err_code state_number(const cJSON *json, const char *key, double *out, struct err *e)
{
    const cJSON *x = cJSON_GetObjectItemCaseSensitive(json, key);
    if (!cJSON_IsNumber(x) && !cJSON_IsNull(x))
        FAIL(e, ERR_FORMAT, "state has no number \"%s\"", key);
    *out = cJSON_IsNumber(x) ? x->valuedouble : NAN;
    return ERR_OK;
}

static enum err_code state_from_json(struct trainer *t, const cJSON *json, struct err *e)
{
    double step, bytes, epoch, count;
    TRY(state_number(json, "step", &step, e));
    TRY(state_number(json, "metrics_bytes", &bytes, e));
    TRY(state_number(json, "best_score", &t->best_score, e));
    TRY(state_number(json, "best_epoch", &epoch, e));
    TRY(state_number(json, "last_score", &t->last_score, e));
    TRY(state_number(json, "loss_sum", &t->loss_sum, e));
    TRY(state_number(json, "norm_sum", &t->norm_sum, e));
    TRY(state_number(json, "sum_count", &count, e));
    const cJSON *parts = cJSON_GetObjectItemCaseSensitive(json, "part_sums");
    if (!(step >= 0 && step <= (double)t->total_steps) || !(bytes >= 0 && bytes < 1e15) ||
        !(epoch >= 0 && epoch < 1e15) || !(count >= 0 && count < 1e15) ||
        cJSON_GetArraySize(parts) != t->part_count)
        FAIL(e, ERR_FORMAT, "state is out of bounds (step %g of %lld)", step,
             (long long)t->total_steps);
    t->step = (int64_t)step;
    t->metrics_bytes = (long)bytes;
    t->best_epoch = (int64_t)epoch;
    t->sum_count = (int64_t)count;
    for (int i = 0; i < t->part_count; i++)
        t->part_sums[i] = cJSON_GetArrayItem(parts, i)->valuedouble;
    return ERR_OK;
}

static enum err_code checkpoint_save(struct trainer *t, struct run_folder *run,
                                     const char *identity, struct err *e)
{
    TRY(run_metrics_sync(run, &t->metrics_bytes, e));
    const struct param_table *p = &t->model->params;
    struct arena scratch;
    arena_init(&scratch, "checkpoint", 0);
    struct safetensor *list =
        arena_push_array(&scratch, (size_t)(p->count * SLAB_COUNT), sizeof *list);
    int64_t n = 0;
    for (int s = 0; s < SLAB_COUNT; s++)
        for (int i = 0; t->slabs[s] && i < p->count; i++) {
            const struct param *x = p->items[i];
            list[n] =
                (struct safetensor){.name = arena_printf(&scratch, "%s/%s", slab_names[s], x->name),
                                    .dtype = ST_F32,
                                    .rank = x->rank,
                                    .data = t->slabs[s] + x->offset,
                                    .bytes = (size_t)x->numel * sizeof(float)};
            memcpy(list[n++].shape, x->shape, (size_t)x->rank * sizeof x->shape[0]);
        }
    cJSON *state = state_to_json(t);
    struct buf text;
    buf_init(&text, 0);
    json_print(state, false, &text);
    cJSON_Delete(state);
    const char *keys[] = {"ecgfm.checkpoint", "ecgfm.identity", "ecgfm.state"};
    const char *values[] = {"1", identity, text.data};
    enum err_code code =
        safetensors_write(run_path(run, "checkpoint.safetensors"), list, n, keys, values, 3, e);
    buf_free(&text);
    arena_reset(&scratch);
    return code;
}

static enum err_code slab_load(const struct trainer *t, const struct safetensors *st, int s,
                               struct err *e)
{
    const struct param_table *p = &t->model->params;
    for (int i = 0; i < p->count; i++) {
        const struct param *x = p->items[i];
        char name[256];
        snprintf(name, sizeof name, "%s/%s", slab_names[s], x->name);
        const struct safetensor *found = safetensors_find(st, name);
        if (!found || found->dtype != ST_F32 || found->bytes != (size_t)x->numel * sizeof(float))
            FAIL(e, ERR_FORMAT, "tensor %s is missing or of another size", name);
        memcpy(t->slabs[s] + x->offset, found->data, found->bytes);
    }
    return ERR_OK;
}

/* Says what differs: the first place where two identities part, cut to a readable piece. */
static enum err_code identity_differs(const char *stored, const char *asked, struct err *e)
{
    size_t i = 0, start = 0;
    for (; stored[i] && stored[i] == asked[i]; i++)
        if (stored[i] == ',' || stored[i] == '{')
            start = i + 1;
    FAIL(e, ERR_USAGE,
         "the folder holds another run (there: %.60s; asked for: %.60s); --fresh starts again, or "
         "choose another --out",
         stored + start, asked + start);
}

static enum err_code checkpoint_check(const struct safetensors *st, const char *identity,
                                      struct err *e)
{
    const char *version = safetensors_metadata(st, "ecgfm.checkpoint");
    const char *stored = safetensors_metadata(st, "ecgfm.identity");
    if (!version || strcmp(version, "1") != 0 || !stored)
        FAIL(e, ERR_FORMAT, "not a checkpoint of this program");
    return strcmp(stored, identity) == 0 ? ERR_OK : identity_differs(stored, identity, e);
}

enum err_code trainer_check_folder(struct run_folder *run, const char *identity, struct err *e)
{
    if (!run_has(run, "checkpoint.safetensors"))
        return ERR_OK;
    struct safetensors st = {0};
    const char *path = run_path(run, "checkpoint.safetensors");
    enum err_code code = safetensors_open(&st, path, e);
    if (code == ERR_OK)
        code = checkpoint_check(&st, identity, e);
    safetensors_close(&st);
    if (code != ERR_OK)
        err_context(e, "checkpoint %s", path);
    return code;
}

static enum err_code checkpoint_apply(struct trainer *t, const struct safetensors *st,
                                      const char *identity, struct err *e)
{
    TRY(checkpoint_check(st, identity, e));
    const char *text = safetensors_metadata(st, "ecgfm.state");
    if (!text)
        FAIL(e, ERR_FORMAT, "not a checkpoint of this program");
    cJSON *state = NULL;
    TRY(json_parse(text, strlen(text), "checkpoint state", &state, e));
    enum err_code code = state_from_json(t, state, e);
    cJSON_Delete(state);
    TRY(code);
    for (int s = 0; s < SLAB_COUNT; s++)
        if (t->slabs[s])
            TRY(slab_load(t, st, s, e));
    return ERR_OK;
}

static enum err_code checkpoint_load(struct trainer *t, struct run_folder *run,
                                     const char *identity, struct err *e)
{
    const char *path = run_path(run, "checkpoint.safetensors");
    struct safetensors st = {0};
    enum err_code code = safetensors_open(&st, path, e);
    if (code == ERR_OK)
        code = checkpoint_apply(t, &st, identity, e);
    safetensors_close(&st);
    if (code != ERR_OK)
        err_context(e, "checkpoint %s", path);
    return code;
}

/* --- steps -------------------------------------------------------------------------------------- */

const float *trainer_values(const struct trainer *t)
{
    return t->slabs[SLAB_EMA] ? t->slabs[SLAB_EMA] : t->slabs[SLAB_VALUES];
}

static enum err_code not_finite(const struct trainer *t, const struct batch *batch,
                                const char *what, double value, struct err *e)
{
    char ids[300] = "";
    size_t used = 0;
    for (int64_t i = 0; i < batch->count && used < sizeof ids - 60; i++) {
        char number[24];
        snprintf(number, sizeof number, "%lld", (long long)batch->samples[i]);
        const char *id =
            t->task->record_id ? t->task->record_id(t->task->context, batch->samples[i]) : number;
        used += (size_t)snprintf(ids + used, sizeof ids - used, "%s%.48s", i ? ", " : "", id);
    }
    FAIL(e, ERR_NUMERIC,
         "step %lld: %s is %g; nothing was updated or saved. Records of the batch: %s%s",
         (long long)t->step + 1, what, value, ids, used >= sizeof ids - 60 ? ", ..." : "");
}

/* Sums over the batches of one optimizer step. */
struct step_sums {
    double loss, parts[TRAINER_PARTS_MAX], norm;
};

static void step_begin(struct trainer *t)
{
    if (t->gathered)
        memset(t->gathered, 0, (size_t)t->model->params.total * sizeof(float));
}

/* Batch `a` of a step: forward and backward, and after the last one clip and AdamW. */
static enum err_code batch_run(struct trainer *t, const struct batch *batch, int64_t a,
                               struct step_sums *sums, struct err *e)
{
    const struct trainer_options *o = t->options;
    double begin_s = clock_seconds();
    if (t->task->bind)
        t->task->bind(t->task->context, t->tape, batch);
    else
        model_loss_bind(t->tape, batch->x, batch->targets);
    tape_set_step(t->tape, t->seed, (uint64_t)(t->step * o->accumulate + a));
    tape_forward(t->tape);
    double forward_s = clock_seconds();
    t->times.forward_s += forward_s - begin_s;
    double value = (double)*(float *)t->loss->data;
    if (!isfinite(value))
        return not_finite(t, batch, "the loss", value, e);
    sums->loss += value;
    for (int i = 0; i < t->part_count; i++)
        sums->parts[i] += (double)*(float *)t->parts[i]->data;
    tape_backward(t->tape, 1.0);
    double backward_s = clock_seconds();
    t->times.backward_s += backward_s - forward_s;
    if (a < o->accumulate - 1)
        return ERR_OK;
    sums->norm = optimizer_step(t->backend, &t->model->params, &t->optimizer, t->step,
                                1.0 / (double)o->accumulate, t->slabs[SLAB_VALUES],
                                t->gathered ? t->gathered : tape_gradients(t->tape),
                                t->slabs[SLAB_FIRST], t->slabs[SLAB_SECOND]);
    t->times.update_s += clock_seconds() - backward_s;
    return isfinite(sums->norm) ? ERR_OK
                                : not_finite(t, batch, "the gradient's norm", sums->norm, e);
}

static void step_end(struct trainer *t, const struct step_sums *sums)
{
    const struct trainer_options *o = t->options;
    double begin_s = clock_seconds();
    if (t->slabs[SLAB_EMA]) {
        /* A short memory at first, so that the average forgets the random start. Statistics of batch
         * norms are averaged like the weights that they belong to. */
        double ramp = (double)(t->step + 1) / (double)(t->step + 10);
        t->backend->ema(t->slabs[SLAB_EMA], t->slabs[SLAB_VALUES], t->model->params.total,
                        o->ema < ramp ? o->ema : ramp);
    }
    t->times.update_s += clock_seconds() - begin_s;
    t->loss_sum += sums->loss / (double)o->accumulate;
    t->norm_sum += sums->norm;
    for (int i = 0; i < t->part_count; i++)
        t->part_sums[i] += sums->parts[i] / (double)o->accumulate;
    t->sum_count++;
    t->step++;
}

/* One optimizer step: `accumulate` batches. */
static enum err_code step_run(struct trainer *t, struct loader *l, struct err *e)
{
    struct step_sums sums = {0};
    step_begin(t);
    for (int64_t a = 0; a < t->options->accumulate; a++) {
        const struct batch *batch;
        TRY(loader_next(l, &batch, e));
        enum err_code code = batch_run(t, batch, a, &sums, e);
        loader_release(l, batch);
        TRY(code);
    }
    step_end(t, &sums);
    return ERR_OK;
}

enum err_code trainer_start(struct trainer *t, int64_t batches_per_epoch, struct err *e)
{
    schedule_set(t, batches_per_epoch);
    delays_set(t);
    return slabs_allocate(t, e);
}

enum err_code trainer_step(struct trainer *t, const struct batch *batch, struct err *e)
{
    struct step_sums sums = {0};
    step_begin(t);
    for (int64_t a = 0; a < t->options->accumulate; a++)
        TRY(batch_run(t, batch, a, &sums, e));
    step_end(t, &sums);
    return ERR_OK;
}

/* Is the epoch that has ended one to look at? */
static bool is_measured(const struct trainer *t)
{
    int64_t every = t->options->validate_epochs > 0 ? t->options->validate_epochs : 1;
    return t->task->epoch_end &&
           (t->step == t->total_steps || t->step / t->steps_per_epoch % every == 0);
}

static enum err_code metrics_line(struct trainer *t, struct run_folder *run, bool epoch_end,
                                  struct err *e)
{
    cJSON *line = cJSON_CreateObject();
    double n = (double)t->sum_count;
    cJSON_AddNumberToObject(line, "step", (double)t->step);
    cJSON_AddNumberToObject(line, "epoch", (double)t->step / (double)t->steps_per_epoch);
    if (t->sum_count > 0) {
        cJSON_AddNumberToObject(line, "loss", t->loss_sum / n);
        for (int i = 0; i < t->part_count; i++)
            cJSON_AddNumberToObject(line, t->part_names[i], t->part_sums[i] / n);
        cJSON_AddNumberToObject(line, "gradient_norm", t->norm_sum / n);
        cJSON_AddNumberToObject(line, "lr", optimizer_rate(&t->optimizer, t->step - 1));
    }
    t->loss_sum = t->norm_sum = 0;
    memset(t->part_sums, 0, sizeof t->part_sums);
    t->sum_count = 0;
    enum err_code code = ERR_OK;
    if (epoch_end && is_measured(t)) {
        double score = NAN;
        code = t->task->epoch_end(t->task->context, trainer_values(t), line, &score, e);
        t->last_score = score;
        /* Without a score the last epoch is the best; a tie keeps the earlier one. */
        if (code == ERR_OK &&
            (keeps_last(t) || isnan(score) || isnan(t->best_score) || score > t->best_score)) {
            t->best_score = score;
            t->best_epoch = t->step / t->steps_per_epoch;
            if (t->slabs[SLAB_BEST])
                memcpy(t->slabs[SLAB_BEST], trainer_values(t),
                       (size_t)t->model->params.total * sizeof(float));
        }
    }
    if (code == ERR_OK)
        code = run_metrics_append(run, line, e);
    cJSON_Delete(line);
    return code;
}

static void report(struct trainer *t, double started, int64_t first_step, double loss, bool ended)
{
    double elapsed = clock_seconds() - started, done = (double)(t->step - first_step);
    struct trainer_progress p = {
        .epoch = (t->step + t->steps_per_epoch - 1) / t->steps_per_epoch,
        .epochs = (t->total_steps + t->steps_per_epoch - 1) / t->steps_per_epoch,
        .step = t->step,
        .steps = t->total_steps,
        .loss = loss,
        .rate = optimizer_rate(&t->optimizer, t->step - 1),
        .records_per_second = done * (double)(t->batch * t->options->accumulate) / elapsed,
        .seconds_left = elapsed / done * (double)(t->total_steps - t->step),
        .score = t->last_score,
        .epoch_ended = ended};
    t->task->progress(t->task->context, &p);
}

/* For log.txt, where times belong. */
static void log_epoch(const struct trainer *t, struct run_folder *run, double loss, double seconds,
                      int64_t first_step, double waited)
{
    double records = (double)((t->step - first_step) * t->batch * t->options->accumulate);
    run_log(run,
            "step %lld of %lld, loss %.4f, %.1f records/s, %.3f s, %.1f s of them waited for data",
            (long long)t->step, (long long)t->total_steps, loss, records / seconds, seconds,
            waited);
}

static enum err_code loop(struct trainer *t, struct loader *l, struct run_folder *run,
                          const char *identity, struct err *e)
{
    const struct trainer_options *o = t->options;
    int64_t batches = loader_batches_per_epoch(l), first = t->step * o->accumulate;
    int64_t first_step = t->step;
    loader_seek(l, first / batches, first % batches);
    double started = clock_seconds(), saved = started, loss = 0;
    while (t->step < t->total_steps) {
        double before = t->loss_sum;
        TRY(step_run(t, l, e));
        loss = t->loss_sum - before;
        bool last = t->step == t->total_steps;
        bool ended = t->step % t->steps_per_epoch == 0 || last;
        if (ended || t->step % o->log_steps == 0)
            TRY(metrics_line(t, run, ended, e));
        report(t, started, first_step, loss, ended);
        if (ended)
            log_epoch(t, run, loss, clock_seconds() - started, first_step, loader_wait_seconds(l));
        bool stop = interrupt_requested() && !last;
        if (last || stop || clock_seconds() - saved >= o->checkpoint_seconds) {
            TRY(checkpoint_save(t, run, identity, e));
            saved = clock_seconds();
        }
        if (stop)
            FAIL(e, ERR_INTERRUPTED,
                 "%s: state saved at step %lld of %lld; the same command goes on", interrupt_name(),
                 (long long)t->step, (long long)t->total_steps);
    }
    return ERR_OK;
}

enum err_code trainer_run(struct trainer *t, struct loader *l, struct run_folder *run,
                          const char *identity, struct err *e)
{
    TRY(trainer_start(t, loader_batches_per_epoch(l), e));
    if (run_has(run, "checkpoint.safetensors")) {
        TRY(checkpoint_load(t, run, identity, e));
        if (t->step < t->total_steps)
            log_info("going on from step %lld of %lld in %s", (long long)t->step,
                     (long long)t->total_steps, run->path);
    }
    TRY(run_metrics_open(run, t->metrics_bytes, e));
    run_log(run, "start at step %lld of %lld, kernels %s with %d threads", (long long)t->step,
            (long long)t->total_steps, t->backend->name, kernel_threads());
    enum err_code code = loop(t, l, run, identity, e);
    run_log(run, "end at step %lld: %s", (long long)t->step,
            code == ERR_OK ? "done"
            : e            ? e->message
                           : "failed");
    TRY(code);
    const float *final =
        t->best_epoch > 0 && t->slabs[SLAB_BEST] ? t->slabs[SLAB_BEST] : trainer_values(t);
    if (final != t->model->values)
        memcpy(t->model->values, final, (size_t)t->model->params.total * sizeof(float));
    return ERR_OK;
}

double trainer_best_score(const struct trainer *t) { return t->best_score; }

int64_t trainer_best_epoch(const struct trainer *t) { return t->best_epoch; }

int64_t trainer_steps(const struct trainer *t) { return t->total_steps; }

int64_t trainer_updates(const struct trainer *t) { return t->step; }

size_t trainer_planned_bytes(const struct trainer *t) { return tape_planned_bytes(t->tape); }

struct tape *trainer_tape(struct trainer *t) { return t->tape; }

struct trainer_times trainer_times(const struct trainer *t) { return t->times; }
