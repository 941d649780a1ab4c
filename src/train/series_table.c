/* What runs of a series left, as one table. */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/str.h"
#include "format/csv.h"
#include "train/evaluation.h"
#include "train/predictions.h"
#include "train/series_run.h"

static const char *series_metric(const struct series_run *r)
{
    return r->of_values ? "macro_r2" : "macro_auroc";
}

/* --- reading a run ------------------------------------------------------------------------------ */

static double number_of(const cJSON *json, const char *key)
{
    const cJSON *x = cJSON_GetObjectItemCaseSensitive(json, key);
    return cJSON_IsNumber(x) ? x->valuedouble : NAN;
}

static int64_t count_of(const cJSON *json, const char *key)
{
    double x = number_of(json, key);
    return x >= 0 && x < 1e15 ? (int64_t)x : 0;
}

static const char *undefined_names(struct run_series *s, const cJSON *result)
{
    struct buf text;
    buf_init(&text, 0);
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(result, "undefined"), *x;
    cJSON_ArrayForEach(x, list)
    {
        const cJSON *name = cJSON_GetObjectItemCaseSensitive(x, "name");
        if (cJSON_IsString(name))
            buf_printf(&text, "%s%s", text.len ? ", " : "", name->valuestring);
    }
    const char *out = text.len && !text.failed ? arena_strdup(&s->arena, text.data) : NULL;
    buf_free(&text);
    return out;
}

/* The interval of the PTB-XL benchmark. */
static enum err_code published_interval(struct run_series *s, struct series_run *r, struct err *e)
{
    struct predictions p;
    struct evaluation ev = {0};
    struct bootstrap_options options = BOOTSTRAP_PTBXL;
    options.seed = r->seed;
    options.threads = s->threads;
    enum err_code code =
        predictions_read(path_join(&s->arena, r->folder, "predictions.csv"), &p, e);
    if (code == ERR_OK)
        code = evaluation_make(&ev, &p, &options, e);
    if (code == ERR_OK) {
        r->interval = ev.macro_intervals[metric_index("auroc")];
        r->incomplete = ev.incomplete;
    }
    evaluation_free(&ev);
    predictions_free(&p);
    return code;
}

enum err_code series_read(struct run_series *s, struct series_run *r, struct err *e)
{
    cJSON *result = NULL;
    char *path = path_join(&s->arena, r->folder, "metrics.json");
    TRY(json_read(path, 0, &result, e));
    const cJSON *kind = cJSON_GetObjectItemCaseSensitive(result, "kind");
    r->of_values = cJSON_IsString(kind) && strcmp(kind->valuestring, "values") == 0;
    r->value = number_of(result, series_metric(r));
    r->records = count_of(result, "n");
    r->training_records = count_of(result, "training_records");
    r->classes_defined = count_of(result, "classes_defined");
    r->classes = cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(result, "classes"));
    r->undefined = undefined_names(s, result);
    const cJSON *ci =
        cJSON_GetObjectItemCaseSensitive(result, r->of_values ? "macro_r2_ci" : "macro_auroc_ci");
    const cJSON *low = cJSON_GetArrayItem(ci, 0), *high = cJSON_GetArrayItem(ci, 1);
    if (cJSON_IsNumber(low) && cJSON_IsNumber(high))
        r->interval = (struct interval){low->valuedouble, high->valuedouble};
    cJSON_Delete(result);
    if (series_layout(s).published && !r->of_values && !isnan(r->value))
        TRY(published_interval(s, r, e));
    r->done = true;
    return ERR_OK;
}

/* --- cells: the runs that differ in their seeds alone ------------------------------------------- */

struct cell {
    const char *row, *column;
    const struct series_run *first; /* any of its runs */
    int64_t runs, done;
    double value, smallest, largest;
    struct interval interval; /* means over the seeds */
    char text[80];
};

struct cells {
    struct cell *items;
    int64_t count;
    const char **rows, **columns; /* in the order of the runs */
    int64_t row_count, column_count;
};

static int64_t place_of(const char **names, int64_t *count, const char *name)
{
    for (int64_t i = 0; i < *count; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    names[*count] = name;
    return (*count)++;
}

static struct cell *cell_find(const struct cells *c, const char *row, const char *column)
{
    for (int64_t i = 0; i < c->count; i++)
        if (strcmp(c->items[i].row, row) == 0 && strcmp(c->items[i].column, column) == 0)
            return &c->items[i];
    return NULL;
}

static void cell_take(struct cell *c, const struct series_run *r)
{
    c->runs++;
    if (!r->done || isnan(r->value))
        return;
    if (c->done++ == 0) {
        c->first = r;
        c->value = c->interval.low = c->interval.high = 0;
        c->smallest = c->largest = r->value;
    }
    double part = 1 / (double)c->done; /* running means */
    c->value += part * (r->value - c->value);
    c->interval.low += part * (r->interval.low - c->interval.low);
    c->interval.high += part * (r->interval.high - c->interval.high);
    c->smallest = fmin(c->smallest, r->value);
    c->largest = fmax(c->largest, r->value);
}

static void cell_write(const struct run_series *s, struct cell *c)
{
    char published[INTERVAL_TEXT_BYTES];
    if (c->done == 0) {
        snprintf(c->text, sizeof c->text, "-");
    } else if (series_layout(s).published && !c->first->of_values) {
        interval_to_text(c->value, c->interval, published);
        snprintf(c->text, sizeof c->text, "%s", published);
    } else if (c->done > 1) {
        snprintf(c->text, sizeof c->text, "%.4f (%.4f-%.4f)", c->value, c->smallest, c->largest);
    } else if (isnan(c->interval.low)) {
        snprintf(c->text, sizeof c->text, "%.4f", c->value);
    } else {
        snprintf(c->text, sizeof c->text, "%.4f [%.4f, %.4f]", c->value, c->interval.low,
                 c->interval.high);
    }
}

static struct cells cells_make(struct run_series *s)
{
    struct series_layout layout = series_layout(s);
    size_t most = (size_t)s->count + 1;
    struct cells c = {.items = arena_push_array(&s->arena, most, sizeof *c.items),
                      .rows = arena_push_array(&s->arena, most, sizeof *c.rows),
                      .columns = arena_push_array(&s->arena, most, sizeof *c.columns)};
    ASSERT(c.items && c.rows && c.columns, "out of memory");
    for (int64_t i = 0; i < s->count; i++) {
        const struct series_run *r = &s->runs[i];
        const char *row = series_label(s, r, layout.row);
        const char *column = series_label(s, r, layout.column);
        place_of(c.rows, &c.row_count, row);
        place_of(c.columns, &c.column_count, column);
        struct cell *cell = cell_find(&c, row, column);
        if (!cell) {
            cell = &c.items[c.count++];
            *cell = (struct cell){.row = row,
                                  .column = column,
                                  .first = r,
                                  .value = NAN,
                                  .smallest = NAN,
                                  .largest = NAN,
                                  .interval = {NAN, NAN}};
        }
        cell_take(cell, r);
    }
    for (int64_t i = 0; i < c.count; i++)
        cell_write(s, &c.items[i]);
    return c;
}

/* --- table.json --------------------------------------------------------------------------------- */

static cJSON *cell_json(struct run_series *s, const struct cell *c)
{
    cJSON *json = cJSON_CreateObject();
    const struct series_run *r = c->first;
    cJSON_AddStringToObject(json, "row", c->row);
    cJSON_AddStringToObject(json, "column", c->column);
    cJSON_AddStringToObject(json, "task", r->task);
    cJSON_AddStringToObject(json, "method", r->method->name);
    cJSON_AddStringToObject(json, "metric", series_metric(r));
    cJSON_AddNumberToObject(json, "fraction", r->fraction);
    cJSON_AddNumberToObject(json, "training_records", (double)r->training_records);
    cJSON_AddNumberToObject(json, "classes", (double)r->classes);
    cJSON_AddNumberToObject(json, "classes_defined", (double)r->classes_defined);
    cJSON *seeds = cJSON_AddArrayToObject(json, "seeds");
    struct series_layout layout = series_layout(s);
    for (int64_t i = 0; i < s->count; i++) {
        const struct series_run *other = &s->runs[i];
        if (other->done && strcmp(series_label(s, other, layout.row), c->row) == 0 &&
            strcmp(series_label(s, other, layout.column), c->column) == 0)
            cJSON_AddItemToArray(seeds, json_u64(other->seed));
    }
    cJSON_AddNumberToObject(json, "value", c->value);
    cJSON_AddNumberToObject(json, "low", c->interval.low);
    cJSON_AddNumberToObject(json, "high", c->interval.high);
    cJSON_AddNumberToObject(json, "smallest", c->smallest);
    cJSON_AddNumberToObject(json, "largest", c->largest);
    cJSON_AddStringToObject(json, "text", c->text);
    return json;
}

static cJSON *run_json(struct run_series *s, const struct series_run *r)
{
    cJSON *json = cJSON_CreateObject();
    struct series_layout layout = series_layout(s);
    const char *weights = s->given->options.weights;
    cJSON_AddStringToObject(json, "name", r->name);
    cJSON_AddStringToObject(json, "row", series_label(s, r, layout.row));
    cJSON_AddStringToObject(json, "column", series_label(s, r, layout.column));
    cJSON_AddStringToObject(json, "task", r->task);
    cJSON_AddStringToObject(json, "method", r->method->name);
    cJSON_AddStringToObject(json, "weights", r->method->untrained || !weights ? "random" : weights);
    cJSON_AddNumberToObject(json, "fraction", r->fraction);
    cJSON_AddItemToObject(json, "seed", json_u64(r->seed));
    cJSON_AddStringToObject(json, "state", r->done ? "done" : r->reason ? "failed" : "missing");
    if (r->reason)
        cJSON_AddStringToObject(json, "reason", r->reason);
    cJSON_AddNumberToObject(json, "training_records", (double)r->training_records);
    cJSON_AddNumberToObject(json, "n", (double)r->records);
    cJSON_AddNumberToObject(json, "classes", (double)r->classes);
    cJSON_AddNumberToObject(json, "classes_defined", (double)r->classes_defined);
    cJSON_AddNumberToObject(json, "value", r->value);
    cJSON_AddNumberToObject(json, "low", r->interval.low);
    cJSON_AddNumberToObject(json, "high", r->interval.high);
    return json;
}

static const char *axis_name(enum series_axis axis)
{
    static const char *const names[] = {"method", "task", "fraction"};
    return names[axis];
}

static void note_add(cJSON *notes, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void note_add(cJSON *notes, const char *format, ...)
{
    char text[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    cJSON_AddItemToArray(notes, cJSON_CreateString(text));
}

/* What the figures do not say by themselves. */
static void notes_make(struct run_series *s, const struct cells *c, cJSON *notes)
{
    struct series_layout layout = series_layout(s);
    bool seeds = s->options->seeds > 1;
    static const char published[] =
        "macro AUROC of the test fold; in brackets the longer half of the interval from the 5th to "
        "the 95th percentile of 100 bootstrap draws, in thousandths";
    if (layout.published)
        note_add(notes, "%s%s", published, seeds ? "; both are means over the seeds" : "");
    else if (seeds)
        note_add(notes, "macro AUROC of the test fold, mean over the seeds (smallest-largest)");
    else
        note_add(notes, "macro AUROC of the test fold [95 %% bootstrap interval]");
    for (int64_t i = 0; seeds && layout.published && i < c->count; i++) {
        const struct cell *x = &c->items[i];
        if (x->done > 1)
            note_add(notes, "%s, %s: %.4f to %.4f over %lld seeds", x->row, x->column, x->smallest,
                     x->largest, (long long)x->done);
    }
    const char *told = NULL;
    for (int64_t i = 0; i < s->count; i++) {
        const struct series_run *r = &s->runs[i];
        if (r->reason)
            note_add(notes, "%s failed: %s", r->name, r->reason);
        if (r->of_values && (!told || strcmp(told, r->task) != 0))
            note_add(notes, "%s: R2, the share of the variance that is told", told = r->task);
        if (r->incomplete > 0)
            note_add(notes, "%s: %lld of the 100 draws lack a class, which they leave out", r->name,
                     (long long)r->incomplete);
        if (!r->done || r->of_values || r->classes_defined == r->classes ||
            (told && strcmp(told, r->task) == 0))
            continue;
        told = r->task;
        note_add(notes, "%s: mean over %lld of %lld classes; the test fold lacks a label of %s",
                 r->task, (long long)r->classes_defined, (long long)r->classes,
                 r->undefined ? r->undefined : "the others");
    }
}

static cJSON *table_json(struct run_series *s, const struct cells *c)
{
    cJSON *json = cJSON_CreateObject();
    struct series_layout layout = series_layout(s);
    cJSON_AddStringToObject(json, "series", s->command);
    cJSON_AddStringToObject(json, "metric", "macro_auroc");
    cJSON_AddStringToObject(json, "layout", layout.published ? "published" : "interval");
    cJSON *interval = cJSON_AddObjectToObject(json, "interval");
    struct bootstrap_options published = BOOTSTRAP_PTBXL, usual = BOOTSTRAP_DEFAULTS;
    cJSON_AddNumberToObject(interval, "level", layout.published ? published.level : usual.level);
    cJSON_AddNumberToObject(interval, "draws",
                            layout.published ? (double)published.draws
                                             : (double)s->given->options.bootstrap);
    cJSON_AddStringToObject(json, "row", axis_name(layout.row));
    cJSON_AddStringToObject(json, "column", axis_name(layout.column));
    cJSON *rows = cJSON_AddArrayToObject(json, "rows");
    for (int64_t i = 0; i < c->row_count; i++)
        cJSON_AddItemToArray(rows, cJSON_CreateString(c->rows[i]));
    cJSON *columns = cJSON_AddArrayToObject(json, "columns");
    for (int64_t i = 0; i < c->column_count; i++)
        cJSON_AddItemToArray(columns, cJSON_CreateString(c->columns[i]));
    cJSON *cells = cJSON_AddArrayToObject(json, "cells");
    for (int64_t i = 0; i < c->count; i++)
        cJSON_AddItemToArray(cells, cell_json(s, &c->items[i]));
    cJSON *runs = cJSON_AddArrayToObject(json, "runs");
    for (int64_t i = 0; i < s->count; i++)
        cJSON_AddItemToArray(runs, run_json(s, &s->runs[i]));
    notes_make(s, c, cJSON_AddArrayToObject(json, "notes"));
    return json;
}

/* --- table.md, table.csv ------------------------------------------------------------------------ */

static void put_padded(struct buf *out, const char *text, size_t width)
{
    buf_printf(out, " %-*s |", (int)width, text);
}

static size_t at_least(size_t width, const char *text)
{
    return strlen(text) > width ? strlen(text) : width;
}

/* Of one row for fractions: how many records it trained on. */
static const char *records_text(struct run_series *s, const struct cells *c, const char *row)
{
    for (int64_t i = 0; i < c->count; i++)
        if (strcmp(c->items[i].row, row) == 0 && c->items[i].done > 0)
            return arena_printf(&s->arena, "%lld", (long long)c->items[i].first->training_records);
    return "-";
}

static void table_text(struct run_series *s, const struct cells *c, struct buf *out)
{
    struct series_layout layout = series_layout(s);
    bool curve = layout.row == AXIS_FRACTION;
    const char *corner = curve ? "labels" : axis_name(layout.row);
    size_t first = strlen(corner);
    for (int64_t i = 0; i < c->row_count; i++)
        first = at_least(first, c->rows[i]);
    size_t *widths = arena_push_array(&s->arena, (size_t)c->column_count + 1, sizeof *widths);
    ASSERT(widths, "out of memory");
    for (int64_t k = 0; k < c->column_count; k++) {
        widths[k] = at_least(3, c->columns[k]);
        for (int64_t i = 0; i < c->count; i++)
            if (strcmp(c->items[i].column, c->columns[k]) == 0)
                widths[k] = at_least(widths[k], c->items[i].text);
    }
    for (int64_t i = -2; i < c->row_count; i++) {
        const char *row = i == -2 ? corner : i == -1 ? "---" : c->rows[i];
        buf_puts(out, "|");
        put_padded(out, row, first);
        if (curve)
            put_padded(out, i == -2 ? "records" : i == -1 ? "---" : records_text(s, c, row), 7);
        for (int64_t k = 0; k < c->column_count; k++) {
            const struct cell *cell = i >= 0 ? cell_find(c, row, c->columns[k]) : NULL;
            put_padded(out,
                       i == -2   ? c->columns[k]
                       : i == -1 ? "---"
                       : cell    ? cell->text
                                 : "",
                       widths[k]);
        }
        buf_puts(out, "\n");
    }
    const cJSON *notes = cJSON_GetObjectItemCaseSensitive(s->table, "notes"), *note;
    buf_puts(out, "\n");
    cJSON_ArrayForEach(note, notes) buf_printf(out, "- %s\n", note->valuestring);
}

/* NaN is an empty field. */
static void put_field(struct buf *out, const cJSON *value)
{
    if (cJSON_IsString(value))
        csv_put(out, value->valuestring);
    else if (value && !(cJSON_IsNumber(value) && isnan(value->valuedouble)))
        json_print(value, false, out);
}

static void table_csv(const struct run_series *s, struct buf *out)
{
    static const char *const fields[] = {"name",
                                         "task",
                                         "method",
                                         "weights",
                                         "fraction",
                                         "seed",
                                         "state",
                                         "training_records",
                                         "n",
                                         "classes",
                                         "classes_defined",
                                         "value",
                                         "low",
                                         "high",
                                         NULL};
    for (int i = 0; fields[i]; i++)
        buf_printf(out, "%s%s", i ? "," : "", fields[i]);
    buf_puts(out, "\n");
    const cJSON *runs = cJSON_GetObjectItemCaseSensitive(s->table, "runs"), *run;
    cJSON_ArrayForEach(run, runs)
    {
        for (int i = 0; fields[i]; i++) {
            buf_puts(out, i ? "," : "");
            put_field(out, cJSON_GetObjectItemCaseSensitive(run, fields[i]));
        }
        buf_puts(out, "\n");
    }
}

static enum err_code write_text(struct run_series *s, const char *name, const struct buf *text,
                                struct err *e)
{
    if (text->failed)
        FAIL(e, ERR_MEMORY, "no memory for %s", name);
    return file_write_atomic(path_join(&s->arena, s->given->data.out, name), text->data, text->len,
                             e);
}

enum err_code series_write(struct run_series *s, struct err *e)
{
    struct cells cells = cells_make(s);
    struct buf json, csv;
    buf_init(&json, 0);
    buf_init(&csv, 0);
    s->table = table_json(s, &cells);
    json_print(s->table, true, &json);
    buf_puts(&json, "\n");
    table_csv(s, &csv);
    table_text(s, &cells, &s->text);
    enum err_code code = write_text(s, "table.json", &json, e);
    if (code == ERR_OK)
        code = write_text(s, "table.csv", &csv, e);
    if (code == ERR_OK)
        code = write_text(s, "table.md", &s->text, e);
    buf_free(&json);
    buf_free(&csv);
    return code;
}
