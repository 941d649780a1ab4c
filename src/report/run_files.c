#include "report/run_files.h"

#include <math.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/file.h"
#include "base/json.h"
#include "base/str.h"

#define JSON_MAX_BYTES ((size_t)64 << 20)
#define LINES_MAX_BYTES ((size_t)128 << 20)
#define LINES_MAX_VALUES ((int64_t)16 << 20) /* lines by columns */
#define QUARANTINE_MAX_BYTES ((size_t)256 << 20)

/* The path is said once, by the page or the message around it. */
static void note(struct run_files *r, const char *file, const struct err *e)
{
    char text[700];
    if (r->note_count == RUN_NOTES_MAX)
        return;
    err_format(e, text, sizeof text);
    const char *reason = arena_strdup(&r->arena, str_clean(text));
    r->notes[r->note_count++] = (struct run_note){file, reason ? reason : "out of memory"};
}

static const char *path_of(struct run_files *r, const char *file)
{
    const char *path = path_join(&r->arena, r->path, file);
    return path && file_exists(path) ? path : NULL;
}

/* ---- JSON ---- */

static cJSON *read_object(struct run_files *r, const char *file)
{
    struct err e = {0};
    cJSON *json = NULL;
    const char *path = path_of(r, file);
    if (!path)
        return NULL;
    enum err_code code = json_read(path, JSON_MAX_BYTES, &json, &e);
    if (code == ERR_OK && !cJSON_IsObject(json))
        code = RAISE(&e, ERR_FORMAT, "%s: expected an object", file);
    if (code == ERR_OK)
        return json;
    note(r, file, &e);
    cJSON_Delete(json);
    return NULL;
}

const struct cJSON *json_at(const struct cJSON *object, const char *path)
{
    while (object && *path) {
        char name[128];
        size_t length = strcspn(path, ".");
        if (length >= sizeof name)
            return NULL;
        memcpy(name, path, length);
        name[length] = '\0';
        object = cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, name) : NULL;
        path += length + (path[length] == '.');
    }
    return object;
}

const char *json_text_at(const struct cJSON *object, const char *path)
{
    const cJSON *item = json_at(object, path);
    return cJSON_IsString(item) ? item->valuestring : NULL;
}

double json_number_at(const struct cJSON *object, const char *path)
{
    const cJSON *item = json_at(object, path);
    return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}

/* ---- metrics.jsonl ---- */

/* *out is NULL for one column too many. */
static enum err_code column_of(struct run_files *r, const char *name, int64_t lines,
                               struct run_column **out, struct err *e)
{
    *out = NULL;
    for (int c = 0; c < r->column_count && !*out; c++)
        if (strcmp(r->columns[c].name, name) == 0)
            *out = &r->columns[c];
    if (*out || r->column_count == RUN_COLUMNS_MAX)
        return ERR_OK;
    if ((r->column_count + 1) * lines > LINES_MAX_VALUES)
        FAIL(e, ERR_LIMIT, "%lld lines of more than %d numbers", (long long)lines, r->column_count);
    double *values = arena_push_array(&r->arena, (size_t)lines, sizeof *values);
    const char *copy = arena_strdup(&r->arena, name);
    if (!values || !copy)
        FAIL(e, ERR_MEMORY, "out of memory for %lld lines", (long long)lines);
    for (int64_t i = 0; i < lines; i++)
        values[i] = NAN;
    *out = &r->columns[r->column_count++];
    **out = (struct run_column){.name = copy, .values = values};
    return ERR_OK;
}

static enum err_code take_line(struct run_files *r, const char *text, size_t size, int64_t lines,
                               struct err *e)
{
    cJSON *json = NULL;
    TRY(json_parse(text, size, "metrics.jsonl", &json, e));
    enum err_code code = ERR_OK;
    if (!cJSON_IsObject(json))
        code = RAISE(e, ERR_FORMAT, "expected an object");
    for (const cJSON *item = json->child; item && code == ERR_OK; item = item->next) {
        struct run_column *column = NULL;
        if (cJSON_IsNumber(item))
            code = column_of(r, item->string, lines, &column, e);
        if (column && isnan(column->values[r->line_count])) {
            column->values[r->line_count] = item->valuedouble;
            column->known += isfinite(item->valuedouble);
        }
    }
    cJSON_Delete(json);
    return code;
}

static enum err_code take_lines(struct run_files *r, const char *text, size_t size, struct err *e)
{
    int64_t lines = 0;
    for (size_t i = 0; i < size; i++)
        lines += text[i] == '\n';
    for (size_t begin = 0; begin < size;) {
        const char *end = memchr(text + begin, '\n', size - begin);
        if (!end)
            break; /* a run is writing it, or was killed while it did */
        size_t length = (size_t)(end - text) - begin;
        enum err_code code = take_line(r, text + begin, length, lines, e);
        if (code != ERR_OK)
            return err_context(e, "line %lld", (long long)r->line_count + 1);
        r->line_count++;
        begin += length + 1;
    }
    return ERR_OK;
}

static void read_lines(struct run_files *r)
{
    struct err e = {0};
    struct buf text;
    const char *path = path_of(r, "metrics.jsonl");
    if (!path)
        return;
    enum err_code code = file_read(path, LINES_MAX_BYTES, &text, &e);
    if (code == ERR_OK && text.len > 0)
        code = take_lines(r, text.data, text.len, &e);
    buf_free(&text);
    if (code == ERR_OK)
        return;
    r->line_count = 0;
    r->column_count = 0;
    note(r, "metrics.jsonl", &e);
}

const struct run_column *run_column_find(const struct run_files *r, const char *name)
{
    for (int c = 0; c < r->column_count; c++)
        if (strcmp(r->columns[c].name, name) == 0)
            return &r->columns[c];
    return NULL;
}

/* ---- tables ---- */

static enum err_code rank_classes(struct run_files *r, struct err *e)
{
    const struct predictions *p = &r->predictions;
    struct arena scratch;
    arena_init(&scratch, "scores", 0);
    double *scores = arena_push_array(&scratch, (size_t)p->count, sizeof *scores);
    uint8_t *labels = arena_push_array(&scratch, (size_t)p->count, 1);
    r->rankings = arena_push_array(&r->arena, (size_t)p->class_count, sizeof *r->rankings);
    enum err_code code = ERR_OK;
    if (!scores || !labels || !r->rankings)
        code = RAISE(e, ERR_MEMORY, "out of memory for %lld records", (long long)p->count);
    for (int64_t k = 0; k < p->class_count && code == ERR_OK; k++) {
        for (int64_t i = 0; i < p->count; i++) {
            scores[i] = p->scores[i * p->class_count + k];
            float label = p->labels[i * p->class_count + k];
            labels[i] = isnan(label) ? RANKING_UNKNOWN : label == 1;
        }
        code = ranking_init(&r->rankings[k], scores, labels, p->count, e);
    }
    arena_reset(&scratch);
    return code;
}

static void read_predictions(struct run_files *r)
{
    struct err e = {0};
    const char *path = path_of(r, "predictions.csv");
    if (!path)
        return;
    enum err_code code = predictions_read(path, &r->predictions, &e);
    bool values = code == ERR_OK && r->predictions.kind == LABEL_VALUES;
    if (code == ERR_OK && !values)
        code = rank_classes(r, &e);
    r->has_values = values;
    r->has_predictions = code == ERR_OK && !values;
    if (code != ERR_OK)
        note(r, "predictions.csv", &e);
}

static void read_quarantine(struct run_files *r)
{
    struct err e = {0};
    const char *path = path_of(r, "quarantine.csv");
    if (!path)
        return;
    enum err_code code = csv_read(path, QUARANTINE_MAX_BYTES, &r->quarantine, &e);
    if (code == ERR_OK &&
        (csv_column(&r->quarantine, "id") < 0 || csv_column(&r->quarantine, "code") < 0 ||
         csv_column(&r->quarantine, "reason") < 0))
        code = RAISE(&e, ERR_FORMAT, "%s: expected the columns id, code and reason", path);
    r->has_quarantine = code == ERR_OK;
    if (code != ERR_OK)
        note(r, "quarantine.csv", &e);
}

const char *run_member_folder(const struct run_files *r, const struct cJSON *run, struct arena *a)
{
    const char *name = json_text_at(run, "name");
    if (!name || name[0] == '.' || strchr(name, '/') || !path_is_contained(name))
        return NULL;
    const char *folder = path_join(a, r->path, name);
    const char *config = folder ? path_join(a, folder, "config.json") : NULL;
    return config && file_exists(config) ? folder : NULL;
}

/* What the runs of a series have in common is told by the first of them; its own page tells what is
 * wrong with it. */
static void read_member(struct run_files *r)
{
    const cJSON *runs = json_at(r->table, "runs");
    const char *folder = NULL;
    for (const cJSON *run = cJSON_IsArray(runs) ? runs->child : NULL; run && !folder;
         run = run->next)
        folder = run_member_folder(r, run, &r->arena);
    const char *path = folder ? path_join(&r->arena, folder, "config.json") : NULL;
    if (path && json_read(path, JSON_MAX_BYTES, &r->member, NULL) != ERR_OK)
        r->member = NULL;
}

enum err_code run_files_read(struct run_files *out, const char *path, struct err *e)
{
    memset(out, 0, sizeof *out);
    arena_init(&out->arena, "report", 0);
    out->path = arena_strdup(&out->arena, path);
    if (!out->path)
        FAIL(e, ERR_MEMORY, "out of memory");
    if (!dir_exists(path))
        FAIL(e, ERR_NOT_FOUND, "%s: no such folder", path);
    out->config = read_object(out, "config.json");
    out->metrics = read_object(out, "metrics.json");
    out->table = read_object(out, "table.json");
    read_member(out);
    read_lines(out);
    read_predictions(out);
    read_quarantine(out);
    if (!out->config && !out->metrics && !out->table && out->line_count == 0 &&
        !out->has_predictions && !out->has_values && out->note_count == 0)
        FAIL(e, ERR_NOT_FOUND,
             "%s: no run folder; expected config.json, metrics.json, metrics.jsonl, "
             "predictions.csv or table.json in it",
             path);
    return ERR_OK;
}

void run_files_free(struct run_files *r)
{
    for (int64_t k = 0; r->rankings && k < r->predictions.class_count; k++)
        ranking_free(&r->rankings[k]);
    cJSON_Delete(r->config);
    cJSON_Delete(r->metrics);
    cJSON_Delete(r->table);
    cJSON_Delete(r->member);
    predictions_free(&r->predictions);
    csv_free(&r->quarantine);
    arena_reset(&r->arena);
    memset(r, 0, sizeof *r);
}
