/* ecgfm convert: a model file with its matrices in another storage. */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/command.h"
#include "kernel/storage.h"
#include "model/model.h"

static struct convert_options {
    const char *model, *dtype, *out;
    bool fresh;
} given;

static const struct option rows[] = {
    OPT_TEXT(convert_options, model, NULL, "PATH", "model file, or a run folder that holds one"),
    OPT_CHOICE(convert_options, dtype, "bf16", "f32|bf16|int8",
               "how the file holds the matrices of products; the rest stays float32"),
    OPT_TEXT(convert_options, out, NULL, "FILE", "model file to write"),
    OPT_BOOL(convert_options, fresh, "false", "replace FILE if it is there"), OPTION_END};

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

static enum err_code convert(struct model *m, struct model *written, const char *path,
                             struct err *e)
{
    TRY(model_open(m, path, e));
    enum storage from = model_storage(m), to = storage_of(given.dtype);
    note_conversion(m, from, to);
    TRY(model_save_as(m, to, given.out, e));
    TRY(model_open(written, given.out, e)); /* and read back: what is there is what is told */
    log_info("%s %.1f MB to %s %.1f MB, relative error of the matrices %.2g", storage_name(from),
             (double)file_size(path) / 1e6, storage_name(to), (double)file_size(given.out) / 1e6,
             relative_error(m, written));
    if (to < from)
        log_info("what rounding to %s lost does not come back", storage_name(from));
    return ERR_OK;
}

static int run(struct invocation *call, struct err *e)
{
    if (!given.model || !given.out)
        return exit_code_of(
            RAISE(e, ERR_USAGE, "--%s is missing", given.model ? "out FILE" : "model PATH"));
    if (dir_exists(given.out) || (file_exists(given.out) && !given.fresh))
        return exit_code_of(RAISE(e, ERR_USAGE, "%s is there already%s", given.out,
                                  dir_exists(given.out) ? ", a folder"
                                                        : "; choose another --out, or --fresh to "
                                                          "replace it"));
    struct model m = {0}, written = {0};
    enum err_code code = convert(&m, &written, model_path(&call->options.arena, given.model), e);
    if (code == ERR_OK)
        printf("%s\n", given.out);
    model_free(&m);
    model_free(&written);
    return exit_code_of(code);
}

const struct command command_convert = {
    .name = "convert",
    .summary = "writes a model file with its matrices in fewer bits",
    .usage = "--model FILE --dtype f32|bf16|int8 --out FILE",
    .details =
        "bf16 halves a file and rounds to nearest even; int8 is a quarter of it, with one scale "
        "for each output channel, symmetric. Biases, norms and embeddings stay float32. Contract, "
        "classes and provenance are kept; how it was converted is added. infer scores from the "
        "mapped file, whatever its storage; --precision says in which precision it computes. "
        "finetune and probe start from such files, too. eval --compare measures what it costs.",
    .examples = "ecgfm convert --model runs/finetune --dtype int8 --out model-int8.safetensors\n"
                "ecgfm infer --model model-int8.safetensors --precision int8 ecgs/",
    .options = options,
    .argument_max = 0,
    .run = run,
};
