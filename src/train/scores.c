#include "train/scores.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/file.h"
#include "base/json.h"
#include "base/str.h"

#define FILE_MAX_BYTES ((size_t)4 << 30)

struct key {
    const char *name; /* of the entry file, without its extension; or the id */
    int64_t entry;
};

struct reader {
    const struct manifest *m;
    const struct label_set *labels;
    enum data_split split;
    struct arena arena;
    struct key *keys; /* sorted by name, then entry */
    int64_t key_count;
    int64_t *lines; /* [m->count] line that scored the entry, or 0 */
    float *scores;  /* [m->count, K] */
    struct scores_coverage *coverage;
};

static int key_order(const void *a, const void *b)
{
    const struct key *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : (x->entry > y->entry) - (x->entry < y->entry);
}

static enum err_code reader_init(struct reader *r, struct err *e)
{
    size_t count = (size_t)r->m->count, classes = (size_t)r->labels->class_count;
    arena_init(&r->arena, "scores", 0);
    r->keys = arena_push_array(&r->arena, 2 * count, sizeof *r->keys);
    r->lines = arena_push_array(&r->arena, count, sizeof *r->lines);
    r->scores = arena_push_array(&r->arena, count, classes * sizeof *r->scores);
    if (!r->keys || !r->lines || !r->scores)
        FAIL(e, ERR_MEMORY, "out of memory for the scores of %zu records", count);
    for (int64_t i = 0; i < r->m->count; i++) {
        const struct manifest_entry *entry = &r->m->entries[i];
        const char *name = path_stem(&r->arena, path_name(entry->path));
        if (!name)
            FAIL(e, ERR_MEMORY, "out of memory for the scores of %zu records", count);
        r->keys[r->key_count++] = (struct key){name, i};
        if (strcmp(name, entry->id) != 0)
            r->keys[r->key_count++] = (struct key){entry->id, i};
    }
    qsort(r->keys, (size_t)r->key_count, sizeof *r->keys, key_order);
    return ERR_OK;
}

/* How many names two paths share, counted from their ends; the last names count as shared. */
static int shared_names(const char *a, const char *b)
{
    const char *x = path_name(a), *y = path_name(b);
    int count = 1;
    for (; x > a && y > b; count++) {
        const char *x_end = x - 1, *y_end = y - 1; /* at the slashes */
        for (x = x_end; x > a && x[-1] != '/'; x--)
            ;
        for (y = y_end; y > b && y[-1] != '/'; y--)
            ;
        if (x == x_end || x_end - x != y_end - y || memcmp(x, y, (size_t)(x_end - x)) != 0)
            break;
    }
    return count;
}

/* The entry that a scored file is, or -1. */
static int64_t find_entry(const struct reader *r, const char *file)
{
    struct arena scratch;
    arena_init(&scratch, "name", 0);
    const char *name = path_stem(&scratch, path_name(file));
    int64_t low = 0, high = r->key_count, found = -1;
    while (name && low < high) {
        int64_t middle = low + (high - low) / 2;
        if (strcmp(r->keys[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    int best = 0;
    for (; name && low < r->key_count && strcmp(r->keys[low].name, name) == 0; low++) {
        int shared = shared_names(file, r->m->entries[r->keys[low].entry].path);
        if (shared == best)
            found = -1; /* as likely as the one before */
        if (shared > best) {
            found = r->keys[low].entry;
            best = shared;
        }
    }
    arena_reset(&scratch);
    return found;
}

static enum err_code take_scores(struct reader *r, const cJSON *object, int64_t entry,
                                 struct err *e)
{
    bool values = r->labels->kind == LABEL_VALUES;
    const cJSON *scores = cJSON_GetObjectItemCaseSensitive(object, values ? "values" : "scores");
    for (int64_t k = 0; k < r->labels->class_count; k++) {
        const char *name = r->labels->class_names[k];
        const cJSON *score = cJSON_GetObjectItemCaseSensitive(scores, name);
        if (!cJSON_IsNumber(score) || !isfinite((float)score->valuedouble))
            FAIL(e, ERR_FORMAT, "no %s %.60s; was the model trained for another task than %s?",
                 values ? "value" : "score of class", name, r->labels->task);
        r->scores[entry * r->labels->class_count + k] = (float)score->valuedouble;
    }
    return ERR_OK;
}

static enum err_code take_object(struct reader *r, const cJSON *object, int64_t line, struct err *e)
{
    struct scores_coverage *c = r->coverage;
    const char *file = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, "file"));
    const char *status = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, "status"));
    if (!file || !status)
        FAIL(e, ERR_FORMAT, "expected an object with \"file\" and \"status\"");
    c->lines++;
    if (strcmp(status, "ok") != 0) {
        c->refused++;
        return ERR_OK;
    }
    int64_t entry = find_entry(r, file);
    if (entry < 0) {
        if (c->unmatched++ == 0)
            str_copy(c->first_unmatched, sizeof c->first_unmatched, file);
    } else if (!entry_in_split(&r->m->entries[entry], r->split)) {
        c->other_split++;
    } else if (!r->labels->labelled[entry]) {
        c->unlabelled++;
    } else if (r->lines[entry]) {
        FAIL(e, ERR_FORMAT, "record %.100s was scored by line %lld already",
             r->m->entries[entry].id, (long long)r->lines[entry]);
    } else {
        TRY(take_scores(r, object, entry, e));
        r->lines[entry] = line;
        c->used++;
    }
    return ERR_OK;
}

static enum err_code read_lines(struct reader *r, const struct buf *text, struct err *e)
{
    const char *end = text->data + text->len;
    int64_t line = 1;
    for (const char *at = text->data; at && at < end; line++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop)
            stop = end;
        if (stop > at && !(stop == at + 1 && *at == '\r')) {
            cJSON *object;
            enum err_code code = json_parse(at, (size_t)(stop - at), "the text", &object, e);
            if (code == ERR_OK)
                code = take_object(r, object, line, e);
            cJSON_Delete(object);
            if (code != ERR_OK)
                return err_context(e, "line %lld", (long long)line);
        }
        at = stop + 1;
    }
    return ERR_OK;
}

static enum err_code fill_predictions(const struct reader *r, struct predictions *out,
                                      struct err *e)
{
    const int64_t K = r->labels->class_count;
    TRY(predictions_init(out, r->coverage->used, K, e));
    out->kind = r->labels->kind;
    for (int64_t k = 0; k < K; k++) {
        out->class_names[k] = r->labels->class_names[k];
        out->class_codes[k] = r->labels->class_codes[k];
    }
    int64_t row = 0;
    for (int64_t i = 0; i < r->m->count; i++) {
        const struct manifest_entry *entry = &r->m->entries[i];
        if (!r->lines[i]) {
            r->coverage->missing += entry_in_split(entry, r->split) && r->labels->labelled[i];
            continue;
        }
        out->ids[row] = entry->id;
        out->patients[row] = entry->patient;
        out->folds[row] = entry->fold;
        for (int64_t k = 0; k < K; k++) {
            out->scores[row * K + k] = (double)r->scores[i * K + k];
            out->labels[row * K + k] = label_set_target(r->labels, i, k);
        }
        row++;
    }
    return ERR_OK;
}

enum err_code scores_read(const char *path, const struct manifest *m,
                          const struct label_set *labels, enum data_split split,
                          struct predictions *out, struct scores_coverage *coverage, struct err *e)
{
    struct reader r = {.m = m, .labels = labels, .split = split, .coverage = coverage};
    struct buf text;
    memset(out, 0, sizeof *out);
    memset(coverage, 0, sizeof *coverage);
    enum err_code code = file_read(path, FILE_MAX_BYTES, &text, e);
    if (code == ERR_OK) {
        code = reader_init(&r, e);
        if (code == ERR_OK)
            code = read_lines(&r, &text, e);
        if (code == ERR_OK && coverage->used == 0)
            code = RAISE(e, ERR_NOT_FOUND,
                         "none of %lld lines scores a labelled record of the %s split (%lld "
                         "refused, %lld not in the data set, %lld of other splits, %lld without "
                         "labels)",
                         (long long)coverage->lines, split_name(split),
                         (long long)coverage->refused, (long long)coverage->unmatched,
                         (long long)coverage->other_split, (long long)coverage->unlabelled);
        if (code == ERR_OK)
            code = fill_predictions(&r, out, e);
        arena_reset(&r.arena);
        if (code != ERR_OK)
            err_context(e, "reading scores %s", path);
    }
    buf_free(&text);
    return code;
}
