#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "cli/cli.h"
#include "kernel/kernel.h"
#include "objective/objective.h"
#include "train/bench.h"
#include "train/experiment.h"

enum { LIST_MAX = 16, MIB = 1 << 20 };

static struct bench_values {
    const char *mode, *batch, *precision, *objective, *loader;
    int64_t repeat, classes;
    double limit;
    bool products, json;
    struct model_options model;
    struct input_options input;
    struct augment_chain augment;
} values;

static const struct option rows[] = {
    OPT_CHOICE(bench_values, mode, "both", "both|infer|train|none",
               "scoring, training steps, both, or no model at all"),
    OPT_TEXT(bench_values, batch, "8", "N,...", "batch sizes; scoring has 1, 2, 4, 8 and 32"),
    OPT_TEXT(bench_values, precision, "f32", "NAME,...",
             "f32, bf16, int8: what products compute in"),
    OPT_INT(bench_values, repeat, "7", 1, 100000, NULL, "timed steps; two before are not timed"),
    OPT_FLOAT(bench_values, limit, "10", 0, 1e6, "s",
              "no further repeats of one step after so long; 0: no limit"),
    OPT_TEXT(bench_values, objective, NULL, "NAME",
             "training steps of pre-training (see `ecgfm list objectives`) instead of "
             "classification; its batches are of records, or of pairs of segments"),
    OPT_INT(bench_values, classes, "26", 1, 10000, NULL, "classes of the model's head"),
    OPT_BOOL(bench_values, products, "true",
             "measure large products and copying too, which steps are held against"),
    OPT_TEXT(bench_values, loader, NULL, "DIR",
             "also measure how fast the records of this data set are read and augmented"),
    OPT_BOOL(bench_values, json, "false", "JSON on standard output"),
    OPTION_END};

/* Augmentations are on as the objective has them that needs them most. */
static void augmentations_register(struct option_set *set)
{
    augment_chain_init(&values.augment, set, "augment");
    for (int i = 0; objectives[i]; i++) {
        const char *text = objectives[i]->defaults;
        for (text = text ? strstr(text, "augment.") : NULL; text; text = strstr(text, "augment.")) {
            char word[128];
            size_t n = strcspn(text, " ");
            if (n < sizeof word) {
                memcpy(word, text, n);
                word[n] = '\0';
                char *equals = strchr(word, '=');
                ASSERT(equals, "defaults of %s", objectives[i]->name);
                *equals = '\0';
                option_set_text(set, word, equals + 1, OPTION_FROM_DEFAULT, NULL);
            }
            text += n;
        }
    }
}

static void bench_register(struct option_set *set)
{
    option_set_add(set, "", rows, &values);
    model_options_add(set, &values.model);
    option_set_add(set, "input", input_rows, &values.input);
    objective_options_add(set);
    augmentations_register(set);
}

/* --- precisions --------------------------------------------------------------------------------- */

static const struct precision {
    const char *name, *backend;
    bool trains;
} precisions[] = {{"f32", "cpu", true}, {"bf16", "cpu-bf16", true}, {"int8", "cpu-int8", false}};
enum { PRECISION_COUNT = sizeof precisions / sizeof *precisions };

/* One precision that was asked for. */
struct wanted {
    const struct precision *precision;
    const struct backend *backend; /* NULL: not on this machine */
    struct bench_product product;  /* the fastest large product */
};

struct bench {
    struct invocation *call;
    struct bench_options options;
    struct wanted wanted[PRECISION_COUNT];
    int wanted_count;
    int64_t batches[LIST_MAX];
    int batch_count;
    double copy_bytes_per_s;
    struct contract contract;
    struct objective_sum objectives; /* count 0: classification */
    cJSON *spec, *json;
    bool shown; /* the heading */
};

static enum err_code precisions_read(struct bench *b, struct err *e)
{
    char text[128];
    if (!str_copy(text, sizeof text, values.precision))
        FAIL(e, ERR_USAGE, "precision: longer than %zu characters", sizeof text - 1);
    const char *chosen = backend_selected()->name;
    char *rest = text;
    for (char *word; (word = strsep(&rest, ",")) != NULL;) {
        const struct precision *p = NULL;
        for (int i = 0; i < PRECISION_COUNT; i++)
            if (strcmp(word, precisions[i].name) == 0)
                p = &precisions[i];
        if (!p)
            FAIL(e, ERR_USAGE, "precision: expected f32, bf16 or int8, found %.40s", word);
        for (int i = 0; i < b->wanted_count; i++)
            if (b->wanted[i].precision == p)
                FAIL(e, ERR_USAGE, "precision: %s is named twice", word);
        /* float32 is computed by the backend that --backend names */
        const char *backend = p == &precisions[0] ? chosen : p->backend;
        b->wanted[b->wanted_count++] =
            (struct wanted){.precision = p, .backend = backend_find(backend)};
    }
    return ERR_OK;
}

static enum err_code batches_read(struct bench *b, struct err *e)
{
    char text[256];
    if (!str_copy(text, sizeof text, values.batch))
        FAIL(e, ERR_USAGE, "batch: longer than %zu characters", sizeof text - 1);
    char *rest = text;
    for (char *word; (word = strsep(&rest, ",")) != NULL;) {
        int64_t n;
        if (!str_to_i64(word, &n) || n < 1 || n > 65536 || b->batch_count == LIST_MAX)
            FAIL(e, ERR_USAGE, "batch: expected up to %d numbers from 1 to 65536, found %.40s",
                 LIST_MAX, word);
        b->batches[b->batch_count++] = n;
    }
    return ERR_OK;
}

/* --- what is printed ---------------------------------------------------------------------------- */

static double per_cent(double part, double whole) { return whole > 0 ? 100 * part / whole : 0; }

static cJSON *spread_json(const struct bench_spread *s, double scale)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "median", s->median * scale);
    cJSON_AddNumberToObject(json, "min", s->min * scale);
    cJSON_AddNumberToObject(json, "max", s->max * scale);
    cJSON_AddNumberToObject(json, "count", (double)s->count);
    return json;
}

/* The heading, before the first figures. */
static void machine_show(struct bench *b)
{
    if (b->shown)
        return;
    b->shown = true;
    cJSON_AddStringToObject(b->json, "version", ECGFM_VERSION);
    cJSON_AddStringToObject(b->json, "kernels", kernel_description());
    cJSON_AddNumberToObject(b->json, "threads", kernel_threads());
    if (!values.json)
        printf("ecgfm %s, %d threads, %s\n", ECGFM_VERSION, kernel_threads(), kernel_description());
    cJSON *absent = cJSON_AddArrayToObject(b->json, "absent");
    for (int i = 0; i < b->wanted_count; i++) {
        const char *name = b->wanted[i].precision->name;
        if (b->wanted[i].backend)
            continue;
        cJSON_AddItemToArray(absent, cJSON_CreateString(name));
        if (!values.json)
            printf("%s: not on this machine\n", name);
    }
}

static void products_show(struct bench *b)
{
    cJSON_AddNumberToObject(b->json, "copy_bytes_per_second", b->copy_bytes_per_s);
    cJSON *list = cJSON_AddArrayToObject(b->json, "products");
    if (!values.json)
        printf("\ncopying: %.1f GB/s, read and written\n"
               "fastest of several large products, tried before and after the steps below\n",
               1e-9 * b->copy_bytes_per_s);
    for (int i = 0; i < b->wanted_count; i++) {
        const struct wanted *w = &b->wanted[i];
        const struct bench_product *p = &w->product;
        if (!w->backend)
            continue;
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "precision", w->precision->name);
        cJSON_AddStringToObject(item, "backend", w->backend->name);
        cJSON_AddNumberToObject(item, "flops_per_second", p->flops_per_s);
        cJSON_AddItemToObject(
            item, "shape",
            cJSON_CreateDoubleArray((double[]){(double)p->M, (double)p->N, (double)p->K}, 3));
        cJSON_AddBoolToObject(item, "packed", p->packed);
        cJSON_AddItemToArray(list, item);
        if (!values.json)
            printf("  %-4s  %-8s  %7.1f GFLOP/s  %lld x %lld x %lld%s\n", w->precision->name,
                   w->backend->name, 1e-9 * p->flops_per_s, (long long)p->M, (long long)p->N,
                   (long long)p->K, p->packed ? ", weights packed before" : "");
    }
}

static void run_add(cJSON *list, const struct wanted *w, const struct bench_run *r)
{
    cJSON *item = cJSON_CreateObject();
    cJSON_AddStringToObject(item, "mode", r->training ? "train" : "infer");
    cJSON_AddStringToObject(item, "precision", w->precision->name);
    cJSON_AddStringToObject(item, "backend", w->backend->name);
    cJSON_AddNumberToObject(item, "batch", (double)r->batch);
    cJSON_AddItemToObject(item, "step_seconds", spread_json(&r->step, 1));
    cJSON_AddNumberToObject(item, "records_per_second", (double)r->batch / r->step.median);
    cJSON_AddNumberToObject(item, "flops", r->flops);
    cJSON_AddNumberToObject(item, "flops_per_second", r->flops / r->step.median);
    if (values.products) {
        cJSON_AddNumberToObject(item, "percent_of_product",
                                per_cent(r->flops / r->step.median, w->product.flops_per_s));
        cJSON_AddNumberToObject(item, "percent_of_product_best",
                                per_cent(r->flops / r->step.min, w->product.flops_per_s));
    }
    cJSON_AddNumberToObject(item, "forward_seconds", r->forward_s);
    if (r->training) {
        cJSON_AddNumberToObject(item, "backward_seconds", r->backward_s);
        cJSON_AddNumberToObject(item, "update_seconds", r->update_s);
    }
    cJSON *memory = cJSON_AddObjectToObject(item, "bytes");
    cJSON_AddNumberToObject(memory, "parameters", (double)r->parameters);
    cJSON_AddNumberToObject(memory, "planned", (double)r->planned);
    cJSON_AddNumberToObject(memory, "unshared", (double)r->unshared);
    cJSON_AddNumberToObject(memory, "peak_resident", (double)r->peak);
    cJSON_AddBoolToObject(memory, "peak_is_of_process", r->peak_of_process);
    if (r->allocations < 0)
        cJSON_AddNullToObject(item, "allocations_per_step");
    else
        cJSON_AddNumberToObject(item, "allocations_per_step", r->allocations);
    cJSON_AddNumberToObject(item, "page_faults_per_step", r->page_faults);
    cJSON_AddNumberToObject(item, "nodes", (double)r->node_count);
    cJSON *ops_json = cJSON_AddArrayToObject(item, "ops");
    for (int i = 0; i < r->op_count; i++) {
        cJSON *op = cJSON_CreateObject();
        cJSON_AddStringToObject(op, "op", r->ops[i].name);
        cJSON_AddNumberToObject(op, "nodes", (double)r->ops[i].count);
        cJSON_AddNumberToObject(op, "flops", r->ops[i].flops);
        cJSON_AddNumberToObject(op, "forward_seconds", r->ops[i].forward_s);
        cJSON_AddNumberToObject(op, "backward_seconds", r->ops[i].backward_s);
        cJSON_AddItemToArray(ops_json, op);
    }
    cJSON_AddItemToArray(list, item);
}

static void runs_header(void)
{
    printf("\n%-5s  %-9s  %5s  %22s  %9s  %7s  %7s  %11s  %8s  %11s\n", "", "precision", "batch",
           "records/s (best)", "ms/step", "GFLOP/s", "of peak", "planned MiB", "peak MiB",
           "allocations");
}

static void run_show(const struct wanted *w, const struct bench_run *r)
{
    char rate[48], share[16] = "", allocations[16] = "-";
    snprintf(rate, sizeof rate, "%.2f (%.2f)", (double)r->batch / r->step.median,
             (double)r->batch / r->step.min);
    if (values.products)
        snprintf(share, sizeof share, "%.1f %%",
                 per_cent(r->flops / r->step.median, w->product.flops_per_s));
    if (r->allocations >= 0)
        snprintf(allocations, sizeof allocations, "%.6g", r->allocations);
    printf("%-5s  %-9s  %5lld  %22s  %9.2f  %7.1f  %7s  %11.1f  %8.1f  %11s\n",
           r->training ? "train" : "infer", w->precision->name, (long long)r->batch, rate,
           1e3 * r->step.median, 1e-9 * r->flops / r->step.median, share, (double)r->planned / MIB,
           (double)r->peak / MIB, allocations);
}

static void ops_show(const struct wanted *w, const struct bench_run *r)
{
    printf("\n%s %s batch %lld: ms by op (mean of %lld steps)\n", r->training ? "train" : "infer",
           w->precision->name, (long long)r->batch, (long long)r->step.count);
    printf("  %-14s %6s %9s %9s %9s\n", "op", "nodes", "forward", "backward", "GFLOP");
    for (int i = 0; i < r->op_count; i++)
        printf("  %-14s %6lld %9.2f %9.2f %9.2f\n", r->ops[i].name, (long long)r->ops[i].count,
               1e3 * r->ops[i].forward_s, 1e3 * r->ops[i].backward_s, 1e-9 * r->ops[i].flops);
    if (r->training)
        printf("  %-14s %6s %9.2f %9.2f\n  %-14s %6s %9.2f\n", "sum", "", 1e3 * r->forward_s,
               1e3 * r->backward_s, "clip, AdamW", "", 1e3 * r->update_s);
}

/* --- runs --------------------------------------------------------------------------------------- */

struct runs {
    struct bench_run *items;
    const struct wanted **wanted;
    int count;
};

/* Does such a step learn from objectives? */
static bool pretrains(const struct bench *b, bool training)
{
    return training && b->objectives.count > 0;
}

/* The preset with a head, or to be pre-trained; without values. */
static enum err_code model_describe(const struct bench *b, bool training, struct model *m,
                                    struct err *e)
{
    if (pretrains(b, training))
        return model_create(m, b->spec, &b->contract, NULL, e);
    size_t n = (size_t)values.classes;
    const char **names = calloc(n, sizeof *names);
    ASSERT(names, "out of memory");
    for (size_t k = 0; k < n; k++)
        names[k] = "class";
    struct model_classes classes = {.count = values.classes,
                                    .task = "bench",
                                    .code_system = "local",
                                    .names = names,
                                    .codes = names,
                                    .titles = names};
    enum err_code code = model_create(m, b->spec, &b->contract, &classes, e);
    free(names);
    return code;
}

/* All batch sizes of one precision and mode. Each run has a model of its own: training changes it. */
static enum err_code runs_measure(struct bench *b, const struct wanted *w, bool training,
                                  struct runs *runs, struct err *e)
{
    for (int i = 0; i < b->batch_count; i++) {
        struct model m;
        struct bench_run *run = &runs->items[runs->count];
        char line[128];
        snprintf(line, sizeof line, "%s %s batch %lld", training ? "train" : "infer",
                 w->precision->name, (long long)b->batches[i]);
        if (b->call->progress)
            print_progress(b->call, line);
        const struct objective_sum *sum = pretrains(b, training) ? &b->objectives : NULL;
        enum err_code code = model_describe(b, training, &m, e);
        if (code == ERR_OK && !sum)
            code = model_allocate(&m, b->call->seed, e);
        if (code == ERR_OK)
            code = training ? bench_train(&m, b->batches[i], sum, &b->options, run, e)
                            : bench_infer(&m, b->batches[i], &b->options, run, e);
        model_free(&m);
        TRY(code);
        runs->wanted[runs->count++] = w;
    }
    return ERR_OK;
}

static enum err_code products_measure(struct bench *b, struct err *e)
{
    for (int i = 0; i < b->wanted_count && values.products; i++)
        if (b->wanted[i].backend)
            TRY(bench_product(b->wanted[i].backend, &b->wanted[i].product, e));
    return ERR_OK;
}

static enum err_code models_measure(struct bench *b, struct runs *runs, struct err *e)
{
    bool infer = strcmp(values.mode, "train") != 0, train = strcmp(values.mode, "infer") != 0;
    TRY(products_measure(b, e));
    for (int i = 0; i < b->wanted_count; i++) {
        const struct wanted *w = &b->wanted[i];
        if (!w->backend)
            continue;
        if (!backend_select(w->backend->name))
            BUG("backend %s cannot be selected", w->backend->name);
        if (infer)
            TRY(runs_measure(b, w, false, runs, e));
        if (train && w->precision->trains)
            TRY(runs_measure(b, w, true, runs, e));
    }
    return products_measure(b, e);
}

static void model_show(struct bench *b, const struct model *m)
{
    const struct contract *c = &m->contract;
    cJSON *json = cJSON_AddObjectToObject(b->json, "model");
    cJSON_AddStringToObject(json, "name", values.model.model);
    cJSON_AddNumberToObject(json, "parameters", (double)param_count_values(&m->params));
    cJSON_AddNumberToObject(json, "leads", (double)c->lead_count);
    cJSON_AddNumberToObject(json, "samples", (double)c->sample_count);
    cJSON_AddNumberToObject(json, "rate_hz", c->rate_hz);
    cJSON_AddNumberToObject(json, "classes", (double)m->classes.count);
    cJSON_AddNumberToObject(json, "tokens",
                            (double)m->backbone->token_count(m->config, c->lead_count,
                                                             c->sample_count));
    if (!values.json)
        printf("\n%s: %.1f M parameters, %lld leads of %lld samples at %g Hz, %lld tokens\n",
               values.model.model, 1e-6 * (double)param_count_values(&m->params),
               (long long)c->lead_count, (long long)c->sample_count, c->rate_hz,
               (long long)m->backbone->token_count(m->config, c->lead_count, c->sample_count));
}

static enum err_code models_run(struct bench *b, struct err *e)
{
    int room = 2 * b->wanted_count * b->batch_count;
    struct runs runs = {.items = calloc((size_t)room, sizeof *runs.items),
                        .wanted = calloc((size_t)room, sizeof *runs.wanted)};
    ASSERT(runs.items && runs.wanted, "out of memory");
    struct model m;
    enum err_code code = model_describe(b, false, &m, e);
    if (code == ERR_OK)
        code = models_measure(b, &runs, e);
    print_progress(b->call, NULL);
    if (code == ERR_OK) {
        machine_show(b);
        model_show(b, &m);
        if (values.products)
            products_show(b);
        cJSON *list = cJSON_AddArrayToObject(b->json, "runs");
        if (!values.json)
            runs_header();
        for (int i = 0; i < runs.count; i++) {
            run_add(list, runs.wanted[i], &runs.items[i]);
            if (!values.json)
                run_show(runs.wanted[i], &runs.items[i]);
        }
        for (int i = 0; i < runs.count && !values.json; i++)
            ops_show(runs.wanted[i], &runs.items[i]);
    }
    model_free(&m);
    free(runs.items);
    free(runs.wanted);
    return code;
}

static void rate_show(cJSON *json, const char *name, const char *what, const struct bench_rate *r)
{
    cJSON *item = cJSON_AddObjectToObject(json, name);
    cJSON_AddNumberToObject(item, "records_per_second", r->records_per_s);
    cJSON_AddNumberToObject(item, "processor_seconds_per_record", r->processor_s);
    if (!values.json)
        printf("  %9.0f records/s, %6.1f us of processor time each: %s\n", r->records_per_s,
               1e6 * r->processor_s, what);
}

static enum err_code loader_run(struct bench *b, struct err *e)
{
    struct bench_loader l;
    TRY(bench_loader(values.loader, &b->contract, &values.augment, &b->options, &l, e));
    machine_show(b);
    cJSON *json = cJSON_AddObjectToObject(b->json, "loader");
    cJSON_AddStringToObject(json, "folder", values.loader);
    cJSON_AddNumberToObject(json, "records", (double)l.records);
    cJSON_AddNumberToObject(json, "rate_hz", b->contract.rate_hz);
    cJSON_AddNumberToObject(json, "crop_seconds", values.input.seconds);
    cJSON_AddNumberToObject(json, "threads", b->options.threads);
    if (!values.json)
        printf("\n%s: %lld records at %g Hz, crops of %g s, %d threads, warm file cache\n",
               values.loader, (long long)l.records, b->contract.rate_hz, values.input.seconds,
               b->options.threads);
    rate_show(json, "open", "read, decoded, checked and converted at the start", &l.open);
    rate_show(json, "files", "the same again for each batch, cropped and augmented", &l.files);
    rate_show(json, "memory", "what was kept decoded, cropped and augmented", &l.memory);
    return ERR_OK;
}

static enum err_code bench_all(struct bench *b, struct err *e)
{
    TRY(precisions_read(b, e));
    TRY(batches_read(b, e));
    bool with_model = strcmp(values.mode, "none") != 0;
    if (values.objective) {
        TRY(objective_sum_name(&b->objectives, &b->call->options, values.objective, e));
        TRY(objective_sum_resolve(&b->objectives, e));
        cJSON_AddStringToObject(b->json, "objective", values.objective);
    }
    if (with_model) /* a preset may say what its input is */
        TRY(model_options_spec(&b->call->options, &values.model, &b->spec, e));
    TRY(input_contract(&values.input, &b->contract, e));
    if (with_model && values.products)
        TRY(bench_copy(b->options.threads, &b->copy_bytes_per_s, e));
    if (with_model)
        TRY(models_run(b, e));
    if (values.loader)
        TRY(loader_run(b, e));
    machine_show(b);
    if (values.json)
        print_json(b->json, true);
    return ERR_OK;
}

static int bench_run_command(struct invocation *call, struct err *e)
{
    struct bench b = {.call = call,
                      .json = cJSON_CreateObject(),
                      .options = {.repeat = values.repeat,
                                  .limit_s = values.limit,
                                  .seed = call->seed,
                                  .threads = call->threads}};
    enum err_code code = bench_all(&b, e);
    cJSON_Delete(b.spec);
    cJSON_Delete(b.json);
    return exit_code_of(code);
}

const struct command command_bench = {
    .name = "bench",
    .summary = "measures scoring, training steps and reading on this machine",
    .usage = "[--model PRESET] [--mode infer|train] [--objective NAME] [--batch N,...] "
             "[--precision NAME,...] [--loader DIR]",
    .details =
        "Times what other commands do, on random signals: scoring of full batches, and training "
        "steps\n"
        "(forward, backward, clip, AdamW). Arithmetic is counted from the model: products of "
        "matrices\n"
        "and attention, three times the forward pass for a training step. \"of peak\" holds it "
        "against\n"
        "the fastest large product of the same backend in the same run. Planned memory is that of "
        "the\n"
        "network's values in between (and gradients); peak memory is what the process had in "
        "RAM.\n"
        "Allocations are calls of malloc and its kind in one step, those of libraries included; "
        "\"-\"\n"
        "where they cannot be counted.\n\n"
        "--loader reads a data set three times over: all records at the start of training, the "
        "same\n"
        "for each batch where memory is short, and batches from records kept decoded.",
    .examples = "ecgfm bench --model vit-small --batch 1,8,32 --mode infer\n"
                "ecgfm bench --model vit-small --input.rate-hz 500 --input.seconds 5 --mode train "
                "--json\n"
                "ecgfm bench --model ecg-fm --mode train --objective ecg-fm --precision bf16\n"
                "ecgfm bench --mode none --loader ptbxl --input.seconds 10",
    .options = bench_register,
    .argument_max = 0,
    .run = bench_run_command,
};
