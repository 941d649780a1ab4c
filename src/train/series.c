#include "train/series.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "train/interrupt.h"
#include "train/series_run.h"

#define SEEDS_MAX 1000
#define PARTS_MAX 64 /* of a list */

#define OPTION_SEEDS                                                                               \
    OPT_INT(series_options, seeds, "1", 1, SEEDS_MAX, NULL,                                        \
            "runs with different seeds, from --seed on")
#define OPTION_FRACTIONS                                                                           \
    OPT_TEXT(series_options, fractions, NULL, "X,...",                                             \
             "parts of the training labels, 0 to 1, each inside the next larger one")
#define OPTION_CONTROLS                                                                            \
    OPT_BOOL(series_options, controls, "false",                                                    \
             "the same with an encoder that has learned nothing: random (a probe of it) and "      \
             "scratch (trained from there)")

const struct option series_rows[] = {
    OPT_BOOL(series_options, curve, "false",
             "runs with parts of the labels, 0.005, 0.01, 0.1 and 1 or --fractions, as one table"),
    OPTION_FRACTIONS, OPTION_CONTROLS, OPTION_SEEDS, OPTION_END};

const struct option benchmark_rows[] = {
    OPT_TEXT(series_options, tasks, NULL, "NAME,...",
             "tasks of the data set; the default is those of its published table"),
    OPT_TEXT(series_options, methods, "finetune", "NAME,...",
             "rows of the table (see `ecgfm list methods`)"),
    OPTION_FRACTIONS,
    OPTION_CONTROLS,
    OPTION_SEEDS,
    OPTION_END};

#define FINETUNE "finetune", finetune_options_add, finetune_run
#define PROBE "probe", probe_options_add, probe_run

const struct series_method series_methods[] = {
    {"finetune", "head and encoder are trained, or what --adapt says", false, "", FINETUNE},
    {"scratch", "finetune of everything from random values", true,
     "adapt=full lora.rank=0 freeze=0 encoder_rate=1", FINETUNE},
    {"head", "finetune of a linear head alone", false, "adapt=head network.head=linear", FINETUNE},
    {"mlp", "finetune of an mlp head alone", false, "adapt=head network.head=mlp", FINETUNE},
    {"attention", "finetune of attention pooling and head alone", false,
     "adapt=head network.pool=attention", FINETUNE},
    {"bias", "finetune of biases and head", false, "adapt=bias", FINETUNE},
    {"adapter", "finetune of bottleneck adapters and head", false, "adapt=adapter", FINETUNE},
    {"lora", "finetune of low-rank additions and head", false, "adapt=lora", FINETUNE},
    {"probe", "a regression on frozen features, or what --classifier says", false, "", PROBE},
    {"random", "probe of random values", true, "", PROBE},
    {"ridge", "ridge regression on frozen features", false, "classifier=ridge", PROBE},
    {"knn", "nearest neighbours among frozen features", false, "classifier=knn", PROBE},
    {"prototype", "nearest class mean of frozen features", false, "classifier=prototype", PROBE},
    {NULL, NULL, false, NULL, NULL, NULL, NULL}};

bool series_wanted(const struct series_options *o)
{
    return o->curve || o->controls || o->fractions || o->seeds > 1;
}

/* --- which runs --------------------------------------------------------------------------------- */

/* The words of a list with commas. */
static enum err_code list_split(struct run_series *s, const char *key, const char *text,
                                const char *words[PARTS_MAX], int *count, struct err *e)
{
    char *rest = arena_strdup(&s->arena, text);
    *count = 0;
    for (char *word; (word = strsep(&rest, ",")) != NULL;) {
        word = str_trim(word);
        if (!word[0])
            FAIL(e, ERR_USAGE, "%s: an empty name in \"%.80s\"", key, text);
        if (*count == PARTS_MAX)
            FAIL(e, ERR_USAGE, "%s: more than %d", key, PARTS_MAX);
        for (int i = 0; i < *count; i++)
            if (strcmp(words[i], word) == 0)
                FAIL(e, ERR_USAGE, "%s: %.80s is named twice", key, word);
        words[(*count)++] = word;
    }
    return ERR_OK;
}

static const struct series_method *method_find(const char *name, struct err *e)
{
    const char *names[64] = {NULL};
    for (int i = 0; series_methods[i].name && i < 63; i++) {
        if (strcmp(series_methods[i].name, name) == 0)
            return &series_methods[i];
        names[i] = series_methods[i].name;
    }
    int near = str_nearest(name, names);
    RAISE(e, ERR_USAGE, "methods: no method %.80s%s%s", name, near >= 0 ? "; did you mean " : "",
          near >= 0 ? names[near] : "; `ecgfm list methods` lists them");
    return NULL;
}

static bool is_random(const struct run_series *s)
{
    const char *weights = s->given->options.weights;
    return weights && strcmp(weights, "random") == 0;
}

struct methods {
    const struct series_method *items[PARTS_MAX + 2];
    int count;
};

/* Do the user's own options let everything learn, as those of scratch do? */
static bool learns_all(const struct adapt *a)
{
    return a->tuning.adapt && strcmp(a->tuning.adapt, "full") == 0 && a->trainer.freeze == 0 &&
           a->trainer.encoder_rate == 1;
}

/* Are both the same run where the weights are random anyway? */
static bool same_if_random(const struct run_series *s, const struct series_method *a,
                           const struct series_method *b)
{
    bool plain = (!a->settings[0] || a->untrained) && (!b->settings[0] || b->untrained);
    return a->run == b->run &&
           (strcmp(a->settings, b->settings) == 0 || (plain && learns_all(s->given)));
}

/* Not twice, and no control of what is random already. */
static void method_add(const struct run_series *s, struct methods *m,
                       const struct series_method *method)
{
    for (int i = 0; i < m->count; i++)
        if (m->items[i] == method || (is_random(s) && same_if_random(s, m->items[i], method)))
            return;
    m->items[m->count++] = method;
}

static enum err_code methods_choose(struct run_series *s, struct methods *m, struct err *e)
{
    const struct series_options *o = s->options;
    const char *words[PARTS_MAX];
    int count;
    *m = (struct methods){.count = 0};
    TRY(list_split(s, "methods", o->methods ? o->methods : s->command, words, &count, e));
    for (int i = 0; i < count; i++) {
        const struct series_method *method = method_find(words[i], e);
        if (!method)
            return ERR_USAGE;
        method_add(s, m, method);
    }
    if (o->controls) {
        method_add(s, m, method_find("random", e));
        method_add(s, m, method_find("scratch", e));
    }
    return ERR_OK;
}

struct fractions {
    double items[PARTS_MAX];
    int count;
};

static enum err_code fractions_choose(struct run_series *s, struct fractions *f, struct err *e)
{
    const struct series_options *o = s->options;
    const char *text = o->fractions ? o->fractions : "0.005,0.01,0.1,1";
    const char *words[PARTS_MAX];
    if (!o->fractions && !o->curve) {
        *f = (struct fractions){.items = {s->given->options.label_fraction}, .count = 1};
        return ERR_OK;
    }
    if (option_set_source(s->set, "label_fraction") >= OPTION_FROM_FILE)
        FAIL(e, ERR_USAGE, "label_fraction is set beside %s; leave one of them out",
             o->fractions ? "fractions" : "curve");
    TRY(list_split(s, "fractions", text, words, &f->count, e));
    for (int i = 0; i < f->count; i++)
        if (!str_to_f64(words[i], false, &f->items[i]) || !(f->items[i] > 0 && f->items[i] <= 1))
            FAIL(e, ERR_USAGE, "fractions: expected numbers above 0, at most 1, found %.40s",
                 words[i]);
    return ERR_OK;
}

/* The names of the tasks, each of them looked up in the data set. */
static enum err_code tasks_choose(struct run_series *s, const char *words[PARTS_MAX], int *count,
                                  struct err *e)
{
    const struct experiment_options *data = &s->given->data;
    const struct dataset *row;
    if (!data->data)
        FAIL(e, ERR_USAGE, "--data DIR is missing: the folder of the data set");
    TRY(dataset_at(data->data, data->dataset, &row, e));
    const char *list = s->options->tasks;
    bool benchmark = strcmp(s->command, "benchmark") == 0;
    if (benchmark && !list && s->given->options.task)
        list = s->given->options.task;
    if (benchmark && !list)
        list = row->benchmark;
    if (benchmark && !list && row->tasks[0]) {
        char *names = arena_strdup(&s->arena, row->tasks);
        for (char *p = names; *p; p++)
            *p = *p == '|' ? ',' : *p;
        list = names;
    }
    *count = 1;
    words[0] = s->given->options.task; /* NULL: the default task */
    if (benchmark && list)
        TRY(list_split(s, "tasks", list, words, count, e));
    for (int i = 0; i < *count; i++) {
        struct experiment x = {.options = data, .set = s->set};
        enum err_code code = experiment_open_data(&x, words[i], data->rate, e);
        if (code == ERR_OK)
            words[i] = arena_strdup(&s->arena, x.labels.task);
        experiment_close(&x);
        TRY(code);
    }
    return ERR_OK;
}

/* A folder's name says what the run is; what a file name had better not hold becomes an underscore. */
static void run_name(struct run_series *s, struct series_run *r, int64_t index)
{
    char fraction[40], part[64] = "";
    str_from_f64(r->fraction, fraction, sizeof fraction);
    if (s->options->fractions || s->options->curve)
        snprintf(part, sizeof part, "-f%s", fraction);
    char *name =
        arena_printf(&s->arena, "%s-%s%s-s%" PRIu64, r->task, r->method->name, part, r->seed);
    for (char *p = name; *p; p++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-+._", *p))
            *p = '_';
    for (int64_t i = 0; i < index; i++)
        if (strcmp(s->runs[i].name, name) == 0)
            name = arena_printf(&s->arena, "%s-%lld", name, (long long)index);
    r->name = name;
    r->folder = path_join(&s->arena, s->given->data.out, name);
}

static enum err_code runs_plan(struct run_series *s, struct err *e)
{
    struct methods methods;
    struct fractions fractions;
    const char *tasks[PARTS_MAX];
    int task_count;
    TRY(methods_choose(s, &methods, e));
    TRY(fractions_choose(s, &fractions, e));
    TRY(tasks_choose(s, tasks, &task_count, e));
    int64_t most = (int64_t)task_count * methods.count * fractions.count * s->options->seeds;
    s->runs = arena_push_array(&s->arena, (size_t)most, sizeof *s->runs);
    ASSERT(s->runs, "out of memory");
    for (int t = 0; t < task_count; t++)
        for (int f = 0; f < fractions.count; f++)
            for (int m = 0; m < methods.count; m++)
                for (int64_t i = 0; i < s->options->seeds; i++) {
                    struct series_run *r = &s->runs[s->count];
                    *r = (struct series_run){.method = methods.items[m],
                                             .task = tasks[t],
                                             .fraction = fractions.items[f],
                                             .seed = s->seed + (uint64_t)i,
                                             .value = NAN,
                                             .interval = {NAN, NAN}};
                    run_name(s, r, s->count++);
                }
    return ERR_OK;
}

struct series_layout series_layout(const struct run_series *s)
{
    bool curve = s->options->curve || s->options->fractions;
    bool benchmark = strcmp(s->command, "benchmark") == 0;
    return (struct series_layout){.row = curve && !benchmark ? AXIS_FRACTION : AXIS_METHOD,
                                  .column = curve && !benchmark ? AXIS_METHOD : AXIS_TASK,
                                  .published = benchmark};
}

const char *series_label(struct run_series *s, const struct series_run *r, enum series_axis axis)
{
    char percent[40];
    str_from_f64(round(r->fraction * 1e8) / 1e6, percent, sizeof percent);
    bool benchmark = strcmp(s->command, "benchmark") == 0;
    switch (axis) {
    case AXIS_TASK:
        return r->task;
    case AXIS_FRACTION:
        return arena_printf(&s->arena, "%s %%", percent);
    case AXIS_METHOD:
        break;
    }
    if (benchmark && s->options->fractions) /* its columns are tasks */
        return arena_printf(&s->arena, "%s %s %%", r->method->name, percent);
    return r->method->name;
}

/* --- one run ------------------------------------------------------------------------------------ */

struct run_seed {
    int64_t seed;
};

static const struct option seed_rows[] = {OPT_INT(run_seed, seed, "0", 0, 9.3e18, NULL,
                                                  "seed of everything random"),
                                          OPTION_END};

/* What a run is made of: everything of its own. */
struct made {
    struct option_set set;
    struct adapt adapt;
    struct run_seed seed;
};

static enum err_code set_number(struct option_set *set, const char *key, double value,
                                struct err *e)
{
    char text[40];
    str_from_f64(value, text, sizeof text);
    return option_set_text(set, key, text, OPTION_FROM_FLAG, e);
}

static enum err_code made_fill(struct made *m, struct run_series *s, const struct series_run *r,
                               struct err *e)
{
    char seed[32];
    option_set_init(&m->set);
    r->method->options(&m->adapt, &m->set);
    option_set_add(&m->set, "", seed_rows, &m->seed);
    TRY(option_set_inherit(&m->set, s->set, e));
    TRY(option_set_text(&m->set, "out", r->folder, OPTION_FROM_FLAG, e));
    TRY(option_set_text(&m->set, "task", r->task, OPTION_FROM_FLAG, e));
    if (s->given->options.weights) /* benchmark has a default */
        TRY(option_set_text(&m->set, "weights", s->given->options.weights, OPTION_FROM_FLAG, e));
    if (s->options->fractions || s->options->curve)
        TRY(set_number(&m->set, "label_fraction", r->fraction, e));
    TRY(option_set_words(&m->set, r->method->settings, OPTION_FROM_FLAG, false, e));
    if (r->method->untrained && !is_random(s))
        TRY(option_set_text(&m->set, "untrained", "true", OPTION_FROM_FLAG, e));
    snprintf(seed, sizeof seed, "%" PRIu64, r->seed);
    TRY(option_set_text(&m->set, "seed", seed, OPTION_FROM_FLAG, e));
    m->adapt.experiment = (struct experiment){.command = r->method->command,
                                              .seed = r->seed,
                                              .threads = s->threads,
                                              .progress_context = s->progress_context,
                                              .progress = s->progress};
    return ERR_OK;
}

static bool is_given(const cJSON *entry)
{
    const cJSON *source = cJSON_GetObjectItemCaseSensitive(entry, "source");
    static const enum option_source user[] = {OPTION_FROM_FILE, OPTION_FROM_SET, OPTION_FROM_FLAG};
    for (int i = 0; cJSON_IsString(source) && i < 3; i++)
        if (strcmp(source->valuestring, option_source_name(user[i])) == 0)
            return true;
    return false;
}

/* Of two resolved configurations: did both get the same from their users? */
static bool same_settings(const cJSON *then, const cJSON *now)
{
    const cJSON *sides[2] = {then, now};
    for (int side = 0; side < 2; side++)
        for (const cJSON *mine = sides[side]->child; mine; mine = mine->next) {
            const cJSON *other = cJSON_GetObjectItemCaseSensitive(sides[1 - side], mine->string);
            bool compared = experiment_is_identity(mine->string) ||
                            strcmp(mine->string, "positive_weights") == 0;
            if (!is_given(mine) || !compared)
                continue;
            if (!is_given(other) ||
                !cJSON_Compare(cJSON_GetObjectItemCaseSensitive(mine, "value"),
                               cJSON_GetObjectItemCaseSensitive(other, "value"), true))
                return false;
        }
    return true;
}

/* Of what stands in config.json as 16 digits, and not at all where it is 0. */
static bool same_hash(const cJSON *json, const char *key, uint64_t own)
{
    const cJSON *told = cJSON_GetObjectItemCaseSensitive(json, key);
    char text[20];
    snprintf(text, sizeof text, "%016" PRIx64, own);
    return own ? cJSON_IsString(told) && strcmp(told->valuestring, text) == 0 : !told;
}

/* Whether config.json tells of the same data. */
static bool same_data(const struct run_series *s, const struct series_run *r, const struct made *m,
                      const cJSON *config)
{
    const cJSON *contract = cJSON_GetObjectItemCaseSensitive(config, "contract");
    const cJSON *rate = cJSON_GetObjectItemCaseSensitive(contract, "rate_hz");
    const cJSON *data = cJSON_GetObjectItemCaseSensitive(config, "data");
    const struct experiment_options *o = &m->adapt.data;
    struct experiment x = {.options = o, .set = s->set};
    double rate_hz = o->rate > 0 ? o->rate : cJSON_IsNumber(rate) ? rate->valuedouble : 0;
    bool same = experiment_open_data(&x, r->task, rate_hz, NULL) == ERR_OK &&
                same_hash(data, "hash", x.manifest.hash) &&
                same_hash(data, "targets", x.labels.hash);
    experiment_close(&x);
    return same;
}

static bool same_weights(struct run_series *s, const cJSON *config)
{
    const char *weights = s->given->options.weights;
    uint64_t hash = 0;
    return (!weights || is_random(s) ||
            file_hash64(model_path(&s->arena, weights), &hash, NULL) == ERR_OK) &&
           same_hash(config, "weights", hash);
}

/* Is there the result of just this run? Whatever is doubtful is made again, or goes on. */
static bool is_complete(struct run_series *s, const struct series_run *r, const struct made *m)
{
    char *result = path_join(&s->arena, r->folder, "metrics.json");
    char *config = path_join(&s->arena, r->folder, "config.json");
    cJSON *then = NULL;
    if (m->adapt.data.fresh || !file_exists(result) || !file_exists(config))
        return false;
    const char *positives = m->adapt.options.positive_weights;
    if (positives && file_exists(positives)) /* it may have changed */
        return false;
    if (json_read(config, 0, &then, NULL) != ERR_OK)
        return false;
    const cJSON *command = cJSON_GetObjectItemCaseSensitive(then, "command");
    const cJSON *backend = cJSON_GetObjectItemCaseSensitive(then, "backend");
    const cJSON *options = cJSON_GetObjectItemCaseSensitive(then, "options");
    cJSON *now = option_set_to_json(&m->set, true);
    bool same = cJSON_IsString(command) && cJSON_IsString(backend) && cJSON_IsObject(options) &&
                strcmp(command->valuestring, r->method->command) == 0 &&
                strcmp(backend->valuestring, backend_selected()->name) == 0 &&
                same_settings(options, now) && same_weights(s, then) && same_data(s, r, m, then);
    cJSON_Delete(now);
    cJSON_Delete(then);
    return same;
}

static enum err_code run_make(struct run_series *s, struct series_run *r, int64_t index,
                              struct err *e)
{
    struct made *m = calloc(1, sizeof *m);
    ASSERT(m, "out of memory");
    enum err_code code = made_fill(m, s, r, e);
    bool complete = code == ERR_OK && is_complete(s, r, m);
    if (code == ERR_OK)
        log_info("run %lld of %lld, %s: %s", (long long)index + 1, (long long)s->count, r->name,
                 complete ? "is there" : "begins");
    if (code == ERR_OK && !complete) {
        code = r->method->run(&m->adapt, e);
        if (code == ERR_OK && s->finished)
            s->finished(r->folder);
        adapt_free(&m->adapt);
    }
    option_set_free(&m->set);
    free(m);
    return code == ERR_OK ? series_read(s, r, e) : err_context(e, "run %s", r->name);
}

/* --- all of them -------------------------------------------------------------------------------- */

/* A single run's folder is not to be filled with runs. */
static enum err_code out_open(struct run_series *s, struct err *e)
{
    const char *out = s->given->data.out;
    if (!out)
        FAIL(e, ERR_USAGE, "--out DIR is missing: the folder of the runs");
    if (file_exists(path_join(&s->arena, out, "config.json")))
        FAIL(e, ERR_USAGE, "%s holds a run; choose another --out for several", out);
    return dir_create(out, e);
}

static enum err_code runs_make(struct run_series *s, struct err *e)
{
    for (int64_t i = 0; i < s->count; i++) {
        struct series_run *r = &s->runs[i];
        struct err own = {0};
        if (interrupt_requested())
            FAIL(e, ERR_INTERRUPTED, "%s: %lld of %lld runs are done; the same command goes on",
                 interrupt_name(), (long long)i, (long long)s->count);
        enum err_code code = run_make(s, r, i, &own);
        if (code == ERR_LABELS || code == ERR_NUMERIC) {
            char text[1400];
            err_format(&own, text, sizeof text);
            r->reason = arena_strdup(&s->arena, text);
            log_warning("%s", r->reason);
        } else if (code != ERR_OK) {
            if (e)
                *e = own;
            return code;
        }
    }
    return ERR_OK;
}

static enum err_code failures_tell(const struct run_series *s, struct err *e)
{
    int64_t failed = 0;
    const char *first = NULL;
    for (int64_t i = s->count - 1; i >= 0; i--)
        if (s->runs[i].reason) {
            failed++;
            first = s->runs[i].reason;
        }
    if (failed == 0)
        return ERR_OK;
    FAIL(e, ERR_NUMERIC, "%lld of %lld runs failed: %.300s", (long long)failed, (long long)s->count,
         first);
}

enum err_code series_make(struct run_series *s, struct err *e)
{
    arena_init(&s->arena, "series", 0);
    buf_init(&s->text, 0);
    interrupt_install();
    TRY(out_open(s, e));
    TRY(runs_plan(s, e));
    enum err_code code = runs_make(s, e);
    bool any = false;
    for (int64_t i = 0; i < s->count; i++)
        any = any || s->runs[i].done || s->runs[i].reason;
    if (!any) /* an earlier table, if there is one, says more */
        return code;
    struct err own = {0};
    enum err_code written = series_write(s, &own);
    if (code == ERR_OK && written != ERR_OK && e)
        *e = own;
    if (written == ERR_OK && s->finished)
        s->finished(s->given->data.out);
    TRY(code == ERR_OK ? written : code);
    return failures_tell(s, e);
}

void series_free(struct run_series *s)
{
    cJSON_Delete(s->table);
    buf_free(&s->text);
    arena_reset(&s->arena);
    s->table = NULL;
    s->runs = NULL;
    s->count = 0;
}
