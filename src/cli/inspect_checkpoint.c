/* ecgfm inspect FILE.pt: what a checkpoint of PyTorch holds, and whether convert can read it. */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "base/str.h"
#include "cli/inspect.h"
#include "model/fairseq.h"

#define PATH_MAX_BYTES 300
#define TEXT_MAX_BYTES 600

bool is_checkpoint(const char *path)
{
    static const unsigned char zip[] = {'P', 'K', 3, 4};
    unsigned char head[sizeof zip];
    struct file_reader file;
    if (!file_exists(path) || file_reader_open(&file, path, NULL) != ERR_OK)
        return false;
    bool is_zip = file_reader_read(&file, 0, head, sizeof head, NULL) == ERR_OK &&
                  memcmp(head, zip, sizeof zip) == 0;
    file_reader_close(&file);
    return is_zip || str_equal_nocase(path_extension(path), "pt");
}

/* What is shown: tensors by their path in the dictionaries, and what fairseq-signals makes of them. */
struct survey {
    const struct pytorch *p;
    cJSON *tensors;
    int64_t count, values, unread; /* unread: bytes of storages that convert does not read */
    struct fairseq_arch arch;
    struct fairseq_problems problems;
    struct err reason;
    bool known; /* a model of fairseq-signals */
};

static void add_tensor(struct survey *s, const char *path, const struct pytorch_tensor *t)
{
    cJSON *item = cJSON_CreateObject(), *shape = cJSON_CreateArray();
    cJSON_AddStringToObject(item, "name", path);
    cJSON_AddStringToObject(item, "dtype", safetensors_dtype_name(t->dtype));
    for (int d = 0; d < t->rank; d++)
        cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)t->shape[d]));
    cJSON_AddItemToObject(item, "shape", shape);
    cJSON_AddItemToArray(s->tensors, item);
}

/* Tensors of the state dict are listed; of others only their bytes count. */
static void collect(struct survey *s, const struct pickle_value *v, const char *path, bool listed)
{
    const struct pytorch_tensor *t = pytorch_tensor(v);
    if (t && listed) {
        s->count++;
        s->values += t->numel;
        add_tensor(s, path, t);
    } else if (t) {
        s->unread += (int64_t)((uint64_t)t->numel * safetensors_dtype_size(t->dtype));
    }
    if (v->kind == PICKLE_DICT)
        for (int64_t i = 0; i < v->count; i += 2) {
            const struct pickle_value *key = v->items[i];
            char inner[PATH_MAX_BYTES];
            const char *name = key->kind == PICKLE_TEXT ? key->text : "?";
            snprintf(inner, sizeof inner, "%s%s%s", path, path[0] ? "." : "", name);
            bool is_state = path[0] == '\0' && strcmp(name, "model") == 0;
            collect(s, v->items[i + 1], is_state ? "" : inner, listed || is_state);
        }
    else if (v->kind == PICKLE_LIST || v->kind == PICKLE_TUPLE)
        for (int64_t i = 0; i < v->count; i++)
            collect(s, v->items[i], path, listed);
}

static const char *kind_text(const struct pickle_value *v)
{
    static const char *const names[] = {
        [PICKLE_NONE] = "none",    [PICKLE_BOOL] = "truth value", [PICKLE_INT] = "whole number",
        [PICKLE_FLOAT] = "number", [PICKLE_TEXT] = "text",        [PICKLE_TUPLE] = "tuple",
        [PICKLE_LIST] = "list",    [PICKLE_DICT] = "dictionary",  [PICKLE_OBJECT] = "tensor",
        [PICKLE_GLOBAL] = "class"};
    return names[v->kind];
}

static cJSON *arch_json(const struct fairseq_arch *a)
{
    const struct {
        const char *key;
        int64_t value;
    } numbers[] = {
        {"leads", a->leads},
        {"conv_layers", a->conv_layers},
        {"conv_width", a->conv_width},
        {"conv_kernel", a->conv_kernel},
        {"conv_stride", a->conv_stride},
        {"width", a->width},
        {"depth", a->depth},
        {"hidden", a->hidden},
        {"heads", a->heads},
        {"position_kernel", a->position_kernel},
        {"position_groups", a->position_groups},
        {"classes", a->classes},
    };
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "kind", fairseq_kind_names[a->kind]);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        cJSON_AddNumberToObject(json, numbers[i].key, (double)numbers[i].value);
    cJSON_AddStringToObject(json, "norm", a->norm_first ? "pre" : "post");
    cJSON_AddStringToObject(json, "conv_norm", a->conv_layer_norm ? "layer" : "group");
    cJSON_AddBoolToObject(json, "conv_bias", a->conv_bias);
    cJSON_AddStringToObject(json, "weight_norm", a->parametrized ? "parametrizations" : "g, v");
    return json;
}

static void show_json(const struct survey *s, const char *path)
{
    cJSON *json = cJSON_CreateObject(), *keys = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "file", path);
    cJSON_AddStringToObject(json, "kind", "checkpoint");
    cJSON_AddNumberToObject(json, "entries", (double)s->p->zip.count);
    cJSON_AddNumberToObject(json, "parameters", (double)s->values);
    cJSON_AddNumberToObject(json, "other_tensor_bytes", (double)s->unread);
    for (int64_t i = 0; s->p->root->kind == PICKLE_DICT && i < s->p->root->count; i += 2)
        if (s->p->root->items[i]->kind == PICKLE_TEXT)
            cJSON_AddStringToObject(keys, s->p->root->items[i]->text,
                                    kind_text(s->p->root->items[i + 1]));
    cJSON_AddItemToObject(json, "keys", keys);
    cJSON_AddItemToObject(json, "architecture",
                          s->known ? arch_json(&s->arch) : cJSON_CreateNull());
    cJSON *problems = cJSON_AddArrayToObject(json, "problems");
    if (!s->known)
        cJSON_AddItemToArray(problems, cJSON_CreateString(s->reason.message));
    for (int64_t i = 0; i < s->problems.count; i++)
        cJSON_AddItemToArray(problems, cJSON_CreateString(s->problems.lines[i]));
    cJSON_AddItemReferenceToObject(json, "tensors", s->tensors);
    print_json(json, true);
    cJSON_Delete(json);
}

/* Names in a file may be anything, and a terminal obeys control characters. */
static const char *cleaned(char out[TEXT_MAX_BYTES], const char *text)
{
    str_copy(out, TEXT_MAX_BYTES, text);
    return str_clean(out);
}

static void show_text(const struct survey *s, const char *path)
{
    char shown[TEXT_MAX_BYTES];
    printf("%s: checkpoint of PyTorch, %lld entries, %lld tensors of %lld values in \"model\"\n",
           path, (long long)s->p->zip.count, (long long)s->count, (long long)s->values);
    if (s->unread > 0)
        printf("  %lld bytes of other tensors, which are not read\n", (long long)s->unread);
    for (int64_t i = 0; s->p->root->kind == PICKLE_DICT && i < s->p->root->count; i += 2)
        if (s->p->root->items[i]->kind == PICKLE_TEXT)
            printf("  %-22s %s\n", cleaned(shown, s->p->root->items[i]->text),
                   kind_text(s->p->root->items[i + 1]));
    if (s->known) {
        cJSON *arch = arch_json(&s->arch);
        struct buf text = {0};
        json_print(arch, false, &text);
        printf("fairseq-signals\n  %s\n", text.data);
        buf_free(&text);
        cJSON_Delete(arch);
    } else {
        printf("not a model of fairseq-signals that convert reads\n  %s\n",
               cleaned(shown, s->reason.message));
    }
    if (s->problems.count > 0)
        printf("problems\n");
    for (int64_t i = 0; i < s->problems.count; i++)
        printf("  %s\n", cleaned(shown, s->problems.lines[i]));
    printf("tensors\n");
    const cJSON *item, *extent;
    cJSON_ArrayForEach(item, s->tensors)
    {
        printf("  %-64s %-4s [",
               cleaned(shown, cJSON_GetObjectItemCaseSensitive(item, "name")->valuestring),
               cJSON_GetObjectItemCaseSensitive(item, "dtype")->valuestring);
        const cJSON *shape = cJSON_GetObjectItemCaseSensitive(item, "shape");
        cJSON_ArrayForEach(extent, shape)
            printf("%s%lld", extent == shape->child ? "" : ",", (long long)extent->valuedouble);
        printf("]\n");
    }
}

int inspect_checkpoint(struct invocation *call, const char *path, struct err *e)
{
    (void)call;
    struct pytorch p;
    enum err_code code = pytorch_open(&p, path, e);
    if (code != ERR_OK)
        return exit_code_of(code);
    struct arena arena;
    arena_init(&arena, "inspect", 0);
    struct survey s = {.p = &p, .tensors = cJSON_CreateArray(), .problems = {.arena = &arena}};
    collect(&s, p.root, "", false);
    s.known = fairseq_check(p.root, &s.arch, &s.problems, &s.reason) == ERR_OK;
    if (inspect_options.json)
        show_json(&s, path);
    else
        show_text(&s, path);
    cJSON_Delete(s.tensors);
    arena_reset(&arena);
    pytorch_close(&p);
    return EXIT_FINE;
}
