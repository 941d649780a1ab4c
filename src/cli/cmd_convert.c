/* ecgfm convert: a model file with its matrices in another storage, and checkpoints of fairseq-signals
 * as model files and back. */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "cli/inspect.h"
#include "kernel/storage.h"
#include "model/adapter.h"
#include "model/fairseq.h"
#include "model/labels.h"

static struct convert_options {
    const char *model, *dtype, *out, *labels, *adapter;
    bool fresh;
} given;

static const struct option rows[] = {
    OPT_CHOICE(
        convert_options, dtype, "bf16", "f32|bf16|int8",
        "how the file holds the matrices of products, the rest stays float32; of a checkpoint "
        "f32 without it"),
    OPT_TEXT(
        convert_options, labels, NULL, "FILE",
        "what a checkpoint's outputs mean: CSV with the column name, and where there, code, "
        "title, aggregation (mean, max, mean_logit), threshold; `published`: it is the published "
        "model with as many labels (17, 26); without it those that convert wrote into the "
        "checkpoint, or of the published model that the weights of its loss prove it to be"),
    OPT_TEXT(convert_options, adapter, NULL, "FILE",
             "what finetune learned beside IN, its base (adapter.safetensors): OUT is the model of "
             "both, float32 without --dtype"),
    OPT_TEXT(convert_options, model, NULL, "PATH", "IN by another name"),
    OPT_TEXT(convert_options, out, NULL, "FILE", "OUT by another name"),
    OPT_BOOL(convert_options, fresh, "false", "replace OUT if it is there"),
    OPTION_END};

static void options(struct option_set *set) { option_set_add(set, "", rows, &given); }

static enum storage storage_of(const char *name)
{
    enum storage s = STORAGE_F32;
    while (strcmp(storage_name(s), name) != 0)
        s++;
    return s;
}

/* Adds what is done now to what the file says of its making. */
static void note_conversion(struct model *m, enum storage from, enum storage to)
{
    static const char *const how[] = {[STORAGE_F32] = "as they were",
                                      [STORAGE_BF16] = "rounded to nearest even",
                                      [STORAGE_INT8] =
                                          "symmetric per output channel, rounded to nearest even"};
    cJSON *json = NULL;
    if (!m->provenance ||
        json_parse(m->provenance, strlen(m->provenance), "provenance", &json, NULL) != ERR_OK ||
        !cJSON_IsObject(json)) {
        cJSON_Delete(json);
        json = cJSON_CreateObject();
    }
    cJSON *list = cJSON_GetObjectItemCaseSensitive(json, "converted");
    if (!cJSON_IsArray(list)) {
        cJSON_DeleteItemFromObjectCaseSensitive(json, "converted");
        list = cJSON_AddArrayToObject(json, "converted");
    }
    cJSON *item = cJSON_CreateObject();
    cJSON_AddStringToObject(item, "program", "ecgfm " ECGFM_VERSION);
    cJSON_AddStringToObject(item, "from", storage_name(from));
    cJSON_AddStringToObject(item, "to", storage_name(to));
    cJSON_AddStringToObject(item, "how", from == to ? how[STORAGE_F32] : how[to]);
    cJSON_AddItemToArray(list, item);
    struct buf text;
    buf_init(&text, 0);
    json_print(json, false, &text);
    cJSON_Delete(json);
    m->provenance = arena_strdup(&m->arena, text.data);
    buf_free(&text);
    ASSERT(m->provenance, "out of memory");
}

/* Root mean square of what rounding changed, over that of the values. */
static double relative_error(const struct model *before, const struct model *after)
{
    double wrong = 0, all = 0;
    for (int i = 0; i < before->params.count; i++) {
        const struct param *p = before->params.items[i];
        if (!p->product)
            continue;
        int64_t N = p->shape[0], K = p->numel / N;
        float *x = malloc(2 * (size_t)p->numel * sizeof *x), *y = x + p->numel;
        ASSERT(x, "out of memory");
        struct weight from = model_weight(before, i), to = model_weight(after, i);
        weight_to_f32(x, &from, N, K);
        weight_to_f32(y, &to, N, K);
        for (int64_t j = 0; j < p->numel; j++) {
            double d = (double)y[j] - (double)x[j];
            wrong += d * d;
            all += (double)x[j] * (double)x[j];
        }
        free(x);
    }
    return all > 0 ? sqrt(wrong / all) : 0;
}

/* What cannot be read is not left there. */
static enum err_code read_back(struct model *written, const char *out, struct err *e)
{
    enum err_code code = model_open(written, out, e);
    if (code != ERR_OK)
        remove(out);
    return code;
}

static enum err_code convert(struct model *m, struct model *written, const char *path,
                             const char *out, struct err *e)
{
    TRY(model_open(m, path, e));
    enum storage from = model_storage(m), to = storage_of(given.dtype);
    note_conversion(m, from, to);
    TRY(model_save_as(m, to, out, e));
    TRY(read_back(written, out, e)); /* what is there is what is told */
    log_info("%s %.1f MB to %s %.1f MB, relative error of the matrices %.2g", storage_name(from),
             (double)file_size(path) / 1e6, storage_name(to), (double)file_size(out) / 1e6,
             relative_error(m, written));
    if (to < from)
        log_info("what rounding to %s lost does not come back", storage_name(from));
    return ERR_OK;
}

/* The labels of a classifier: those of --labels, or of the published model that it is. */
static enum err_code choose_labels(const struct pytorch *p, struct arena *a,
                                   struct fairseq_problems *problems, struct model_classes *out,
                                   struct err *e)
{
    struct fairseq_arch arch;
    *out = (struct model_classes){0};
    TRY(fairseq_arch_read(p->root, &arch, problems, e));
    problems->count = 0; /* found again, and told then */
    if (arch.classes == 0 && given.labels)
        FAIL(e, ERR_USAGE, "--labels %s: the checkpoint has no head", given.labels);
    if (arch.classes == 0)
        return ERR_OK;
    bool published = given.labels && strcmp(given.labels, "published") == 0;
    if (given.labels && !published)
        return labels_read(given.labels, a, out, e);
    return fairseq_labels(p->root, &arch, published, a, out, e);
}

static enum err_code import(struct pytorch *p, struct model *m, struct arena *a, enum storage to,
                            const char *out, struct err *e)
{
    struct model_classes classes;
    struct fairseq_problems problems = {.arena = a};
    enum err_code code = choose_labels(p, a, &problems, &classes, e);
    if (code == ERR_OK)
        code = fairseq_read(m, p, classes.count ? &classes : NULL, &problems, e);
    for (int64_t i = 0; i < problems.count && code != ERR_OK; i++)
        log_warning("%s", problems.lines[i]);
    TRY(code);
    note_conversion(m, STORAGE_F32, to);
    TRY(model_save_as(m, to, out, e));
    log_info("%s of %lld parameters, all tensors accounted for",
             m->objective           ? "pre-trained encoder"
             : m->classes.count > 0 ? "classifier"
                                    : "encoder",
             (long long)param_count_values(&m->params));
    return ERR_OK;
}

/* A checkpoint to a model file. */
static enum err_code convert_from(struct model *m, struct model *written, const char *path,
                                  const char *out, enum storage to, struct err *e)
{
    struct pytorch p;
    struct arena a;
    TRY(pytorch_open(&p, path, e));
    arena_init(&a, "conversion", 0);
    enum err_code code = import(&p, m, &a, to, out, e);
    arena_reset(&a);
    pytorch_close(&p);
    TRY(code == ERR_OK ? ERR_OK : err_context(e, "checkpoint %s", path));
    return read_back(written, out, e);
}

/* A base and its adapter to a model file. */
static enum err_code convert_adapted(struct model *m, struct model *written, struct arena *a,
                                     const char *base, const char *out, enum storage to,
                                     struct err *e)
{
    const char *adapter = dir_exists(given.adapter)
                              ? path_join(a, given.adapter, "adapter.safetensors")
                              : given.adapter;
    TRY(adapter_apply(adapter, model_path(a, base), m, e));
    if (to != STORAGE_F32)
        note_conversion(m, STORAGE_F32, to);
    TRY(model_save_as(m, to, out, e));
    return read_back(written, out, e);
}

/* A model file to a checkpoint. */
static enum err_code convert_to(struct model *m, const char *path, const char *out, struct err *e)
{
    struct contract published;
    TRY(model_load(m, path, e));
    TRY(fairseq_write(m, out, e));
    fairseq_contract(&published);
    cJSON *own = contract_to_json(&m->contract), *theirs = contract_to_json(&published);
    if (!cJSON_Compare(own, theirs, true))
        log_warning("a checkpoint does not hold the input contract, and this one is not that of "
                    "ECG-FM: `ecgfm inspect %s` shows it",
                    path);
    cJSON_Delete(own);
    cJSON_Delete(theirs);
    return ERR_OK;
}

static bool names_checkpoint(const char *path)
{
    const char *extension = path_extension(path);
    return str_equal_nocase(extension, "pt") || str_equal_nocase(extension, "pth") ||
           str_equal_nocase(extension, "ckpt");
}

static enum err_code dispatch(struct invocation *call, struct model *m, struct model *written,
                              const char *in, const char *out, struct err *e)
{
    bool from = is_checkpoint(in), to = names_checkpoint(out);
    bool dtype = option_set_source(&call->options, "dtype") != OPTION_FROM_DEFAULT;
    if (from && to)
        FAIL(e, ERR_USAGE, "%s and %s are both checkpoints; one of them must be a model file", in,
             out);
    if (given.labels && !from)
        FAIL(e, ERR_USAGE, "--labels: %s is a model file, which knows its labels", in);
    if (given.adapter && (from || to))
        FAIL(e, ERR_USAGE, "--adapter %s: its base and OUT are model files, not checkpoints",
             given.adapter);
    if (given.adapter)
        return convert_adapted(m, written, &call->options.arena, in, out,
                               dtype ? storage_of(given.dtype) : STORAGE_F32, e);
    if (to && dtype)
        FAIL(e, ERR_USAGE, "--dtype %s: a checkpoint holds float32", given.dtype);
    if (to)
        return convert_to(m, model_path(&call->options.arena, in), out, e);
    if (from)
        return convert_from(m, written, in, out, dtype ? storage_of(given.dtype) : STORAGE_F32, e);
    return convert(m, written, model_path(&call->options.arena, in), out, e);
}

static int run(struct invocation *call, struct err *e)
{
    const char *in = given.model, *out = given.out;
    int used = 0;
    if (!in && used < call->argument_count)
        in = call->arguments[used++];
    if (!out && used < call->argument_count)
        out = call->arguments[used++];
    if (!in || !out)
        return exit_code_of(
            RAISE(e, ERR_USAGE, "%s is missing; usage: ecgfm convert IN OUT", in ? "OUT" : "IN"));
    if (used < call->argument_count)
        return exit_code_of(
            RAISE(e, ERR_USAGE, "unexpected argument \"%s\"", call->arguments[used]));
    if (dir_exists(out) || (file_exists(out) && !given.fresh))
        return exit_code_of(RAISE(e, ERR_USAGE, "%s is there already%s", out,
                                  dir_exists(out) ? ", a folder"
                                                  : "; choose another name, or --fresh to "
                                                    "replace it"));
    struct model m = {0}, written = {0};
    enum err_code code = dispatch(call, &m, &written, in, out, e);
    if (code == ERR_OK)
        printf("%s\n", out);
    model_free(&m);
    model_free(&written);
    return exit_code_of(code);
}

const struct command command_convert = {
    .name = "convert",
    .summary = "checkpoints of fairseq-signals (ECG-FM) to model files and back; fewer bits",
    .usage = "[options] IN OUT",
    .details =
        "IN.pt to OUT.safetensors reads a checkpoint of fairseq-signals, pre-trained or "
        "fine-tuned, "
        "as the published ECG-FM files are. Nothing in it is executed, its optimizer state is not "
        "read, and every tensor is accounted for: a missing, extra or misshapen one is refused, "
        "all "
        "of them named. The model takes 12 leads at 500 Hz in segments of 5 s, each lead "
        "normalized "
        "over the whole record. IN.safetensors to OUT.pt writes a file that "
        "torch.load reads (weights_only=True from 2.0 on) and fairseq-signals loads.\n"
        "\n"
        "From model file to model file, the matrices are held in fewer bits: bf16 halves a file "
        "and "
        "rounds to nearest even; int8 is a quarter of it, with one scale for each output channel, "
        "symmetric. Biases, norms and embeddings stay float32. Contract, classes and provenance "
        "are kept; how it was converted is added. infer scores from the mapped file, whatever its "
        "storage; --precision says in which precision it computes. finetune and probe start from "
        "such files, too. eval --compare measures what it costs.",
    .examples =
        "ecgfm convert mimic_iv_ecg_physionet_pretrained.pt ecg-fm.safetensors\n"
        "ecgfm convert mimic_iv_ecg_finetuned.pt ecg-fm-17.safetensors --labels label_def.csv\n"
        "ecgfm convert runs/ecg-fm classifier.pt\n"
        "ecgfm convert runs/finetune model-int8.safetensors --dtype int8\n"
        "ecgfm infer --model model-int8.safetensors --precision int8 ecgs/",
    .options = options,
    .argument_max = 2,
    .run = run,
};
