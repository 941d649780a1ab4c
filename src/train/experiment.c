#include "train/experiment.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "format/csv.h"
#include "kernel/kernel.h"
#include "model/scorer.h"
#include "train/split_file.h"

const struct option experiment_rows[] = {
    OPT_LIST(experiment_options, data, "DIR",
             "folder of the data set; pretrain takes several: again for each, or with commas"),
    OPT_TEXT(experiment_options, dataset, NULL, "NAME",
             "kind of the data set (see `ecgfm list datasets`); recognized if not given"),
    OPT_FLOAT(
        experiment_options, rate, "0", 0, 1e6, "Hz",
        "read the files of this rate where a data set has several; 0: nearest to the model's"),
    OPT_TEXT(
        experiment_options, folds, NULL, "FILE",
        "take the folds from this CSV table: columns id or patient, and fold (1 to 10) or split "
        "(train, validation, test); records without a row are left out"),
    OPT_TEXT(experiment_options, out, NULL, "DIR", "run folder; made if need be"),
    OPT_BOOL(experiment_options, fresh, "false", "start again even if the run folder has state"),
    OPT_BOOL(experiment_options, strict, "false",
             "quarantine records whose checksums or initial values differ"),
    OPT_FLOAT(experiment_options, max_bad_fraction, "0.5", 0, 1, NULL,
              "stop if more of the records than this cannot be used"),
    OPT_BOOL(experiment_options, allow_patient_overlap, "false",
             "go on although patients have records on more than one side of train, validation and "
             "test"),
    OPT_INT(experiment_options, cache_mb, "4096", 1, 1e7, "MiB", "memory for decoded signals"),
    OPT_CHOICE(experiment_options, precision, "f32", "f32|bf16",
               "what products compute in; weights, sums, norms and losses stay float32"),
    OPTION_END};

const struct option input_rows[] = {
    OPT_FLOAT(input_options, rate_hz, "100", 1, 10000, "Hz", "sampling rate the model works at"),
    OPT_FLOAT(input_options, seconds, "2.5", 0.01, 3600, "s", "length the model takes at once"),
    OPT_FLOAT(input_options, highpass_hz, "0", 0, 1000, "Hz", "zero-phase high-pass; 0: none"),
    OPT_FLOAT(input_options, lowpass_hz, "0", 0, 5000, "Hz", "zero-phase low-pass; 0: none"),
    OPT_TEXT(input_options, leads, "I,II,III,aVR,aVL,aVF,V1,V2,V3,V4,V5,V6", "LIST",
             "leads the model takes, in order, separated by commas"),
    OPT_CHOICE(input_options, normalization, "global", "none|global|lead|record|lead_record",
               "one mean and deviation for the training set, one by lead, by record, or by lead of "
               "each record"),
    OPT_CHOICE(input_options, resampling, "sinc", "sinc|linear",
               "with an anti-alias filter, or by straight lines as ECG-FM was trained"),
    OPT_CHOICE(input_options, windows, "overlap", "overlap|segments",
               "how longer recordings are cut: evenly with overlap, or one piece after the other"),
    OPT_CHOICE(input_options, missing_leads, "refuse", "refuse|zero",
               "what becomes of a recording without a lead that the model takes"),
    OPTION_END};

enum { DATA_SETS_MAX = 64 };

/* Options that do not change what a run computes, or that the identity holds in another form (precision:
 * the backend's name), or that tell several runs apart, each of which has its own. */
static const char *const not_identity[] = {"data",
                                           "out",
                                           "fresh",
                                           "weights",
                                           "cache_mb",
                                           "checkpoint_seconds",
                                           "precision",
                                           "positive_weights",
                                           "json",
                                           "curve",
                                           "controls",
                                           "fractions",
                                           "seeds",
                                           "targets",
                                           "folds",
                                           "target_columns",
                                           "target_id",
                                           "target_kind",
                                           "allow_patient_overlap",
                                           NULL};

enum err_code input_contract(const struct input_options *o, struct contract *c, struct err *e)
{
    contract_default(c);
    c->rate_hz = o->rate_hz;
    c->sample_count = (int64_t)llround(o->seconds * o->rate_hz);
    c->highpass_hz = o->highpass_hz;
    c->lowpass_hz = o->lowpass_hz;
    static const char *const kinds[] = {"none", "global", "lead", "record", "lead_record"};
    for (int i = 0; i < (int)(sizeof kinds / sizeof *kinds); i++)
        if (strcmp(o->normalization, kinds[i]) == 0)
            c->normalization = (enum contract_normalization)i;
    c->resampling = strcmp(o->resampling, "linear") == 0 ? RESAMPLE_LINEAR : RESAMPLE_SINC;
    c->windows = strcmp(o->windows, "segments") == 0 ? WINDOWS_SEGMENTS : WINDOWS_OVERLAP;
    c->missing = strcmp(o->missing_leads, "zero") == 0 ? MISSING_ZERO : MISSING_REFUSE;
    char text[256];
    if (!str_copy(text, sizeof text, o->leads))
        FAIL(e, ERR_USAGE, "input.leads: longer than %zu characters", sizeof text - 1);
    c->lead_count = 0;
    char *rest = text;
    for (char *word; (word = strsep(&rest, ",")) != NULL;) {
        enum ecg_lead lead = lead_from_name(str_trim(word));
        if (lead == LEAD_UNKNOWN)
            FAIL(e, ERR_USAGE, "input.leads: %s is no lead (I, II, III, aVR, ... V6)", word);
        if (c->lead_count == CONTRACT_LEADS_MAX)
            FAIL(e, ERR_USAGE, "input.leads: more than %d", CONTRACT_LEADS_MAX);
        c->leads[c->lead_count++] = lead;
    }
    struct err inner = {0};
    if (contract_check(c, &inner) != ERR_OK)
        FAIL(e, ERR_USAGE, "input: %s", inner.message);
    return ERR_OK;
}

/* What --data names: one path, also with commas in it, or several between commas. They are in *text, which
 * the caller frees also after an error. */
static enum err_code data_folders(const struct experiment_options *o, bool several, char **text,
                                  const char *folders[DATA_SETS_MAX], int64_t *count, struct err *e)
{
    if (!o->data)
        FAIL(e, ERR_USAGE, "--data DIR is missing: the folder of the data set");
    *text = strdup(o->data);
    ASSERT(*text, "out of memory");
    folders[(*count)++] = *text;
    if (file_exists(*text) || dir_exists(*text))
        return ERR_OK;
    for (char *comma = strchr(*text, ','); comma; comma = strchr(comma + 1, ',')) {
        if (!several)
            FAIL(e, ERR_USAGE, "--data %s: one data set is expected; pretrain takes several",
                 o->data);
        if (*count == DATA_SETS_MAX)
            FAIL(e, ERR_USAGE, "--data: more than %d data sets", DATA_SETS_MAX);
        *comma = 0;
        folders[(*count)++] = comma + 1;
    }
    return ERR_OK;
}

enum err_code experiment_defaults(struct option_set *set, const struct experiment_options *o,
                                  struct err *e)
{
    const struct dataset *row = NULL;
    const char *folders[DATA_SETS_MAX];
    char *text = NULL;
    int64_t count = 0;
    enum err_code code = data_folders(o, false, &text, folders, &count, e);
    if (code == ERR_OK)
        code = dataset_at(text, o->dataset, &row, e);
    free(text);
    TRY(code);
    return row->defaults ? option_set_words(set, row->defaults, OPTION_FROM_DATA, true, e) : ERR_OK;
}

static enum err_code manifest_read(struct experiment *x, double rate_hz, bool labels, struct err *e)
{
    const struct experiment_options *o = x->options;
    struct manifest_options which = {.rate_hz = o->rate > 0 ? o->rate : rate_hz, .folds = o->folds};
    const char *folders[DATA_SETS_MAX];
    char *text = NULL;
    int64_t count = 0;
    enum err_code code = data_folders(o, !labels, &text, folders, &count, e);
    if (code == ERR_OK)
        code = manifest_open_several(folders, count, o->dataset, &which, &x->manifest, e);
    free(text);
    return code;
}

enum err_code experiment_open_data(struct experiment *x, const char *task, double rate_hz,
                                   struct err *e)
{
    const struct experiment_options *o = x->options;
    bool labels = !task || task[0];
    x->run.lock = -1;
    TRY(manifest_read(x, rate_hz, labels, e));
    if (labels)
        TRY(targets_or_labels(&o->target, &x->manifest, task, &x->labels, e));
    if (!x->all_records)
        TRY(manifest_check_patients(&x->manifest, o->allow_patient_overlap, e));
    return ERR_OK;
}

enum err_code experiment_open(struct experiment *x, const char *task, double rate_hz, struct err *e)
{
    const struct experiment_options *o = x->options;
    x->run.lock = -1;
    if (!o->out)
        FAIL(e, ERR_USAGE, "--out DIR is missing: the run folder");
    TRY(experiment_open_data(x, task, rate_hz, e));
    TRY(run_folder_open(&x->run, o->out, o->fresh, e));
    log_info("%s: %lld records%s", x->manifest.title ? x->manifest.title : o->data,
             (long long)x->manifest.count, x->manifest.synthetic ? " (synthetic)" : "");
    return ERR_OK;
}

void experiment_close(struct experiment *x)
{
    for (int i = 0; i <= SPLIT_ALL; i++)
        store_close(x->stores[i]);
    run_folder_close(&x->run);
    manifest_close(&x->manifest);
    buf_free(&x->identity);
}

static struct store_options store_options_of(const struct experiment *x)
{
    return (struct store_options){.threads = x->threads,
                                  .cache_bytes = x->options->cache_mb << 20,
                                  .strict = x->options->strict,
                                  .max_bad_fraction = x->options->max_bad_fraction,
                                  .segments = x->pairs ? 2 : 1};
}

enum err_code experiment_fit_contract(struct experiment *x, const struct contract *c,
                                      enum data_split split, struct err *e)
{
    x->contract = *c;
    if (c->normalization != NORMALIZE_GLOBAL && c->normalization != NORMALIZE_LEAD)
        return ERR_OK;
    struct contract plain = *c;
    plain.normalization = NORMALIZE_NONE;
    struct store_options options = store_options_of(x);
    struct store *s = NULL;
    int64_t problems = x->manifest.problem_count;
    enum err_code code = store_open(&s, &x->manifest, split, &plain, &options, e);
    x->manifest.problem_count = problems; /* the final reading reports them */
    if (code == ERR_OK) {
        double mean = 0, std = 0, lead_mean[CONTRACT_LEADS_MAX], lead_std[CONTRACT_LEADS_MAX];
        int64_t *subset = NULL, count = 0;
        subset = arena_push_array(&x->manifest.arena, (size_t)store_count(s), sizeof *subset);
        ASSERT(subset, "out of memory");
        for (int64_t i = 0; i < store_count(s); i++)
            if (!x->labels.labelled || x->labels.labelled[store_entry(s, i)])
                subset[count++] = i;
        store_statistics_of(s, subset, count, &mean, &std, lead_mean, lead_std);
        bool one = c->normalization == NORMALIZE_GLOBAL;
        for (int64_t l = 0; l < c->lead_count; l++) {
            x->contract.mean[l] = one ? mean : lead_mean[l];
            x->contract.std[l] = one ? std : lead_std[l];
            if (!(x->contract.std[l] > 0))
                code = RAISE(e, ERR_SIGNAL, "the training signals of lead %s do not vary",
                             lead_name(c->leads[l]));
        }
    }
    store_close(s);
    return code;
}

const struct manifest_entry *experiment_entry(const struct experiment *x, enum data_split split,
                                              int64_t i)
{
    return &x->manifest.entries[store_entry(x->stores[split], i)];
}

enum err_code experiment_read(struct experiment *x, enum data_split split, bool labelled,
                              int64_t **subset, int64_t *count, struct err *e)
{
    static const char *const names[] = {"training", "validation", "test", "all"};
    struct store_options options = store_options_of(x);
    if (!x->stores[split])
        TRY(store_open(&x->stores[split], &x->manifest, split, &x->contract, &options, e));
    struct store *s = x->stores[split];
    int64_t n = store_count(s);
    *subset = arena_push_array(&x->manifest.arena, (size_t)n, sizeof **subset);
    *count = 0;
    for (int64_t i = 0; i < n; i++)
        if (!labelled || x->labels.labelled[store_entry(s, i)])
            (*subset)[(*count)++] = i;
    if (store_quarantined(s) > 0)
        log_warning("%lld of the %s records cannot be used; quarantine.csv says why",
                    (long long)store_quarantined(s), names[split]);
    if (*count == 0)
        FAIL(e, labelled ? ERR_LABELS : ERR_NOT_FOUND, "%s: no usable %s records%s%s",
             x->options->data, names[split], labelled ? " with labels of task " : "",
             labelled ? x->labels.task : "");
    return ERR_OK;
}

/* In which precision the backend computes, whatever was asked for: "cpu-bf16" -> "bf16". */
static const char *precision_in_use(void)
{
    const char *dash = strrchr(backend_selected()->name, '-');
    return dash ? dash + 1 : "f32";
}

/* --- what the folder says ----------------------------------------------------------------------- */

bool experiment_is_identity(const char *key)
{
    for (int i = 0; not_identity[i]; i++)
        if (strcmp(not_identity[i], key) == 0)
            return false;
    return true;
}

static void add_hex(cJSON *json, const char *key, uint64_t value)
{
    char text[20];
    snprintf(text, sizeof text, "%016" PRIx64, value);
    cJSON_AddStringToObject(json, key, text);
}

static cJSON *data_json(const struct experiment *x)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "dataset", x->manifest.dataset->name);
    if (x->manifest.part_count > 0) {
        cJSON *parts = cJSON_AddArrayToObject(json, "datasets");
        for (int64_t i = 0; i < x->manifest.part_count; i++)
            cJSON_AddItemToArray(parts, cJSON_CreateString(x->manifest.parts[i].dataset->name));
    }
    cJSON_AddStringToObject(json, "title", x->manifest.title ? x->manifest.title : "");
    cJSON_AddBoolToObject(json, "synthetic", x->manifest.synthetic);
    cJSON_AddNumberToObject(json, "records", (double)x->manifest.count);
    add_hex(json, "hash", x->manifest.hash);
    if (x->manifest.split_patients > 0)
        cJSON_AddNumberToObject(json, "patients_on_several_sides",
                                (double)x->manifest.split_patients);
    if (x->labels.class_count > 0)
        cJSON_AddStringToObject(json, "task", x->labels.task);
    if (x->labels.hash)
        add_hex(json, "targets", x->labels.hash);
    return json;
}

static enum err_code identity_make(struct experiment *x, const char *weights, struct err *e)
{
    cJSON *all = option_set_to_json(x->set, false);
    cJSON *kept = cJSON_CreateObject();
    cJSON_AddStringToObject(kept, "command", x->command);
    cJSON_AddStringToObject(kept, "backend", backend_selected()->name);
    enum err_code code = ERR_OK;
    if (weights) {
        code = file_hash64(weights, &x->weights_hash, e);
        add_hex(kept, "weights", x->weights_hash);
    }
    if (x->loss_hash)
        add_hex(kept, "positive_weights", x->loss_hash);
    cJSON_AddItemToObject(kept, "data", data_json(x));
    while (all->child) {
        cJSON *item = cJSON_DetachItemViaPointer(all, all->child);
        if (experiment_is_identity(item->string))
            cJSON_AddItemToObject(kept, item->string, item);
        else
            cJSON_Delete(item);
    }
    buf_init(&x->identity, 0);
    json_print(kept, false, &x->identity);
    cJSON_Delete(all);
    cJSON_Delete(kept);
    return code;
}

static enum err_code write_quarantine(struct experiment *x, struct err *e)
{
    if (x->manifest.problem_count == 0)
        return ERR_OK;
    struct file_writer w;
    TRY(file_writer_open(&w, run_path(&x->run, "quarantine.csv"), e));
    struct buf line;
    buf_init(&line, 0);
    buf_puts(&line, "id,code,reason\n");
    for (int64_t i = 0; i < x->manifest.problem_count; i++) {
        const struct manifest_problem *p = &x->manifest.problems[i];
        csv_put(&line, p->id);
        buf_puts(&line, ",");
        csv_put(&line, p->code);
        buf_puts(&line, ",");
        csv_put(&line, p->reason);
        buf_puts(&line, "\n");
    }
    file_writer_write(&w, line.data, line.len);
    buf_free(&line);
    return file_writer_commit(&w, e);
}

/* A folder belongs to one command; a probe must not overwrite the encoder it starts from. */
static enum err_code check_folder(struct experiment *x, struct err *e)
{
    if (!run_has(&x->run, "config.json"))
        return ERR_OK;
    cJSON *json = NULL;
    TRY(json_read(run_path(&x->run, "config.json"), 0, &json, e));
    const cJSON *command = cJSON_GetObjectItemCaseSensitive(json, "command");
    enum err_code code = ERR_OK;
    if (!cJSON_IsString(command) || strcmp(command->valuestring, x->command) != 0)
        code =
            RAISE(e, ERR_USAGE,
                  "%s holds a run of %s; choose another --out, or --fresh to replace it",
                  x->run.path, cJSON_IsString(command) ? command->valuestring : "something else");
    cJSON_Delete(json);
    return code == ERR_OK ? trainer_check_folder(&x->run, x->identity.data, e) : code;
}

enum err_code experiment_describe(struct experiment *x, const char *weights, struct err *e)
{
    TRY(identity_make(x, weights, e));
    TRY(check_folder(x, e));
    TRY(write_quarantine(x, e));
    TRY(split_file_write(x, e));
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "command", x->command);
    cJSON_AddStringToObject(json, "version", ECGFM_VERSION);
    cJSON_AddStringToObject(json, "backend", backend_selected()->name);
    cJSON_AddStringToObject(json, "precision", precision_in_use());
    cJSON_AddStringToObject(json, "libraries", kernel_description());
    cJSON_AddItemToObject(json, "data", data_json(x));
    if (weights)
        add_hex(json, "weights", x->weights_hash);
    cJSON_AddItemToObject(json, "contract", contract_to_json(&x->contract));
    cJSON_AddItemToObject(json, "options", option_set_to_json(x->set, true));
    enum err_code code = run_write_json(&x->run, "config.json", json, e);
    cJSON_Delete(json);
    return code;
}

const char *experiment_provenance(struct experiment *x, int64_t records, struct err *e)
{
    (void)e;
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "program", "ecgfm " ECGFM_VERSION);
    cJSON_AddStringToObject(json, "notice", "for research; not a medical device");
    cJSON_AddStringToObject(json, "command", x->command);
    cJSON_AddNumberToObject(json, "seed", (double)x->seed);
    cJSON_AddItemToObject(json, "data", data_json(x));
    cJSON_AddNumberToObject(json, "training_records", (double)records);
    cJSON_AddStringToObject(json, "precision", precision_in_use());
    cJSON_AddItemToObject(json, "options", option_set_to_json(x->set, false));
    /* Where the run lay is no property of the model. */
    cJSON *options = cJSON_GetObjectItemCaseSensitive(json, "options");
    for (int i = 0; not_identity[i]; i++)
        cJSON_DeleteItemFromObjectCaseSensitive(options, not_identity[i]);
    struct buf text;
    buf_init(&text, 0);
    json_print(json, false, &text);
    cJSON_Delete(json);
    const char *out = arena_strdup(&x->manifest.arena, text.data);
    buf_free(&text);
    return out;
}

/* --- training and scoring ----------------------------------------------------------------------- */

enum err_code experiment_train(struct experiment *x, struct trainer *t, enum data_split split,
                               const int64_t *subset, int64_t count, int views,
                               const struct augment_chain *augment, int64_t batch, struct err *e)
{
    bool scaled = x->contract.normalization == NORMALIZE_GLOBAL ||
                  x->contract.normalization == NORMALIZE_LEAD;
    struct loader_options options = {.batch_size = batch,
                                     .views = views,
                                     .shuffle = true,
                                     .random_crop = true,
                                     .pairs = x->pairs,
                                     .drop_last = true,
                                     .threads = x->threads,
                                     .prefetch = 4,
                                     .seed = x->seed,
                                     .unit_per_mv = scaled ? 1 / x->contract.std[0] : 1};
    struct loader *l = NULL;
    struct label_set labels = x->labels;
    if (x->standardized)
        labels.values = x->standardized;
    enum err_code code = loader_open(&l, x->stores[split], labels.class_count > 0 ? &labels : NULL,
                                     subset, count, augment, &options, e);
    if (code == ERR_OK)
        code = trainer_run(t, l, &x->run, x->identity.data, e);
    loader_close(l);
    return code;
}

enum err_code experiment_score(struct experiment *x, struct scorer *s, enum data_split split,
                               const int64_t *subset, int64_t count, float *features, float *logits,
                               struct err *e)
{
    enum { PART = 64 };
    int64_t F = scorer_feature_count(s), K = x->labels.class_count;
    struct store *store = x->stores[split];
    struct arena scratch;
    arena_init(&scratch, "signals", 0);
    enum err_code code = ERR_OK;
    for (int64_t done = 0; done < count && code == ERR_OK; done += PART) {
        struct scored records[PART];
        int64_t n = count - done < PART ? count - done : PART;
        for (int64_t i = 0; i < n && code == ERR_OK; i++) {
            int64_t at = done + i;
            records[i] = (struct scored){.samples = store_length(store, subset[at]),
                                         .features = features ? features + at * F : NULL,
                                         .logits = logits ? logits + at * K : NULL};
            code = store_signal(store, subset[at], &scratch, &records[i].x, e);
        }
        if (code == ERR_OK)
            scorer_records(s, records, n);
        for (int64_t i = 0; i < n && code == ERR_OK; i++)
            if ((code = records[i].code) != ERR_OK) {
                scored_explain(s, &records[i], e);
                err_context(e, "record %s", experiment_entry(x, split, subset[done + i])->id);
            }
        arena_reset(&scratch);
    }
    return code;
}

uint8_t *experiment_targets(struct experiment *x, enum data_split split, const int64_t *subset,
                            int64_t count)
{
    int64_t K = x->labels.class_count;
    uint8_t *out = arena_push_array(&x->manifest.arena, (size_t)(count * K), 1);
    ASSERT(out, "out of memory");
    for (int64_t i = 0; i < count; i++)
        memcpy(out + i * K, x->labels.targets + store_entry(x->stores[split], subset[i]) * K,
               (size_t)K);
    return out;
}

float experiment_target(const struct experiment *x, enum data_split split, int64_t i, int64_t k)
{
    return label_set_target(&x->labels, store_entry(x->stores[split], i), k);
}

static void fill_predictions(struct experiment *x, enum data_split split, const int64_t *subset,
                             int64_t count, const float *scores, struct predictions *p)
{
    int64_t K = x->labels.class_count;
    for (int64_t k = 0; k < K; k++) {
        p->class_names[k] = x->labels.class_names[k];
        p->class_codes[k] = x->labels.class_codes ? x->labels.class_codes[k] : NULL;
    }
    for (int64_t i = 0; i < count; i++) {
        const struct manifest_entry *entry = experiment_entry(x, split, subset[i]);
        p->ids[i] = entry->id;
        p->patients[i] = entry->patient;
        p->folds[i] = entry->fold;
        for (int64_t k = 0; k < K; k++)
            p->labels[i * K + k] =
                label_set_target(&x->labels, store_entry(x->stores[split], subset[i]), k);
    }
    for (int64_t i = 0; i < count * K; i++)
        p->scores[i] = (double)scores[i];
}

enum err_code experiment_report(struct experiment *x, enum data_split split, const int64_t *subset,
                                int64_t count, const float *scores, int64_t draws,
                                const struct cJSON *extra, struct evaluation *ev, struct err *e)
{
    struct predictions p = {0};
    enum err_code code = predictions_init(&p, count, x->labels.class_count, e);
    if (code == ERR_OK) {
        p.kind = x->labels.kind;
        fill_predictions(x, split, subset, count, scores, &p);
        code = predictions_write(&p, run_path(&x->run, "predictions.csv"), e);
    }
    struct bootstrap_options options = BOOTSTRAP_DEFAULTS;
    options.draws = draws;
    options.seed = x->seed;
    options.threads = x->threads;
    if (code == ERR_OK)
        code = evaluation_make(ev, &p, &options, e);
    if (code == ERR_OK)
        code = evaluation_write(ev, extra, run_path(&x->run, "metrics.json"), e);
    predictions_free(&p);
    return code;
}

struct model_classes experiment_classes(const struct experiment *x)
{
    return (struct model_classes){.count = x->labels.class_count,
                                  .task = x->labels.task,
                                  .code_system = x->labels.code_system,
                                  .names = x->labels.class_names,
                                  .codes = x->labels.class_codes,
                                  .titles = x->labels.class_titles,
                                  .values = x->labels.kind == LABEL_VALUES,
                                  .unit = x->labels.unit};
}
