#include "train/scores.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/file.h"
#include "base/json.h"
#include "base/str.h"
#include "data/record_index.h"

#define FILE_MAX_BYTES ((size_t)4 << 30)

struct reader {
    const struct manifest *m;
    const struct label_set *labels;
    enum data_split split;
    struct arena arena;
    struct record_index index;
    int64_t *lines; /* [m->count] line that scored the entry, or 0 */
    float *scores;  /* [m->count, K] */
    struct scores_coverage *coverage;
};

static enum err_code reader_init(struct reader *r, struct err *e)
{
    size_t count = (size_t)r->m->count, classes = (size_t)r->labels->class_count;
    arena_init(&r->arena, "scores", 0);
    r->lines = arena_push_array(&r->arena, count, sizeof *r->lines);
    r->scores = arena_push_array(&r->arena, count, classes * sizeof *r->scores);
    if (!r->lines || !r->scores)
        FAIL(e, ERR_MEMORY, "out of memory for the scores of %zu records", count);
    return record_index_make(&r->index, r->m, e);
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
    int64_t entry = record_index_find(&r->index, file);
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
        record_index_free(&r.index);
        arena_reset(&r.arena);
        if (code != ERR_OK)
            err_context(e, "reading scores %s", path);
    }
    buf_free(&text);
    return code;
}
