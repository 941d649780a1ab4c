/* Plots of a series of runs (table.json, train/series.h): scores over the share of the labels, or
 * side by side by task. */
#include <math.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/str.h"
#include "report/plots.h"

enum { NAMES_MAX = 24, POINTS_MAX = 64, COLUMNS = 2, WIDTH = 480, HEIGHT = 320 };

/* Distinct texts or numbers of the cells, in their order. */
struct names {
    const char *items[NAMES_MAX];
    int count;
};

struct cell {
    const char *task, *method;
    double fraction, value, low, high;
};

struct cells {
    struct cell *items;
    int count;
    struct names tasks, methods;
    int fractions; /* distinct ones */
};

static void name_add(struct names *n, const char *name)
{
    for (int i = 0; i < n->count; i++)
        if (strcmp(n->items[i], name) == 0)
            return;
    if (n->count < NAMES_MAX)
        n->items[n->count++] = name;
}

/* Cells with a value. An interval that is not there is the spread of the seeds, or nothing. */
static enum err_code cells_read(const struct run_files *r, struct cells *out, struct arena *a,
                                struct err *e)
{
    const cJSON *list = json_at(r->table, "cells");
    memset(out, 0, sizeof *out);
    if (!cJSON_IsArray(list))
        return ERR_OK;
    out->items = arena_push_array(a, (size_t)cJSON_GetArraySize(list) + 1, sizeof *out->items);
    if (!out->items)
        FAIL(e, ERR_MEMORY, "out of memory for a table of runs");
    for (const cJSON *item = list->child; item; item = item->next) {
        const char *task = json_text_at(item, "task"), *method = json_text_at(item, "method");
        struct cell c = {task ? task : "",
                         method ? method : "",
                         json_number_at(item, "fraction"),
                         json_number_at(item, "value"),
                         json_number_at(item, "low"),
                         json_number_at(item, "high")};
        if (!isfinite(c.value))
            continue;
        if (isnan(c.low) || isnan(c.high)) {
            c.low = json_number_at(item, "smallest");
            c.high = json_number_at(item, "largest");
        }
        bool known = false;
        for (int i = 0; i < out->count; i++)
            known |= out->items[i].fraction == c.fraction;
        out->fractions += !known && c.fraction > 0;
        name_add(&out->tasks, c.task);
        name_add(&out->methods, c.method);
        out->items[out->count++] = c;
    }
    return ERR_OK;
}

static const char *metric_words(const struct run_files *r, struct arena *a)
{
    const char *metric = json_text_at(r->table, "metric");
    char *out = arena_strdup(a, metric ? metric : "score");
    for (char *c = out; c && *c; c++)
        *c = *c == '_' ? ' ' : *c;
    return out ? out : "";
}

/* A line with dots and whiskers of the cells of one method, at x. */
static enum err_code add_method(struct chart *chart, const struct cells *cells, const char *task,
                                int method,
                                double (*place)(const struct cells *, const struct cell *),
                                double shift, struct arena *a, struct err *e)
{
    double *values[4];
    for (int i = 0; i < 4; i++)
        if (!(values[i] = arena_push_array(a, POINTS_MAX, sizeof(double))))
            FAIL(e, ERR_MEMORY, "out of memory for a curve");
    int64_t count = 0;
    for (int i = 0; i < cells->count && count < POINTS_MAX; i++) {
        const struct cell *c = &cells->items[i];
        if ((task && strcmp(c->task, task) != 0) ||
            strcmp(c->method, cells->methods.items[method]) != 0 || !(place(cells, c) > 0))
            continue;
        int64_t at = count++;
        double x = place(cells, c) + shift;
        for (; at > 0 && values[0][at - 1] > x; at--) /* in order of x */
            for (int k = 0; k < 4; k++)
                values[k][at] = values[k][at - 1];
        values[0][at] = x;
        values[1][at] = c->value;
        values[2][at] = c->low;
        values[3][at] = c->high;
    }
    struct series *whiskers = chart_add(chart, a, MARK_WHISKERS, method);
    struct series *s = chart_add(chart, a, task ? MARK_LINE : MARK_POINTS, method);
    if (!whiskers || !s)
        FAIL(e, ERR_MEMORY, "out of memory for a curve");
    s->x = whiskers->x = values[0];
    s->y = values[1];
    whiskers->low = values[2];
    whiskers->high = values[3];
    s->count = whiskers->count = count;
    s->name = cells->methods.items[method];
    s->dots = true;
    return ERR_OK;
}

static double by_fraction(const struct cells *cells, const struct cell *c)
{
    (void)cells;
    return c->fraction;
}

/* From 1, in the order of the table. */
static double by_task(const struct cells *cells, const struct cell *c)
{
    for (int i = 0; i < cells->tasks.count; i++)
        if (strcmp(cells->tasks.items[i], c->task) == 0)
            return i + 1;
    return 0;
}

/* The fractions that there are as ticks, as "0.5 %". */
static enum err_code fraction_ticks(const struct cells *cells, struct axis *axis, struct arena *a,
                                    struct err *e)
{
    double *ticks = arena_push_array(a, POINTS_MAX, sizeof *ticks);
    const char **names = arena_push_array(a, POINTS_MAX, sizeof *names);
    if (!ticks || !names)
        FAIL(e, ERR_MEMORY, "out of memory for an axis");
    double last = 0;
    for (;;) { /* the next larger one */
        double next = INFINITY;
        for (int i = 0; i < cells->count; i++)
            if (cells->items[i].fraction > last && cells->items[i].fraction < next)
                next = cells->items[i].fraction;
        if (!isfinite(next) || axis->tick_count == POINTS_MAX)
            break;
        char text[40];
        str_from_f64(round(next * 1e8) / 1e6, text, sizeof text);
        ticks[axis->tick_count] = last = next;
        names[axis->tick_count++] = arena_printf(a, "%s %%", text);
    }
    axis->ticks = ticks;
    axis->tick_names = names;
    return ERR_OK;
}

static void finish_panel(struct figure *f, struct panel *p)
{
    p->legend_width = legend_width(&p->chart);
    p->width -= p->legend_width;
    (void)f;
}

enum err_code plot_label_efficiency(const struct run_files *r, struct figure *f, struct arena *a,
                                    struct err *e)
{
    struct cells cells;
    TRY(cells_read(r, &cells, a, e));
    if (cells.fractions < 2)
        return ERR_OK;
    f->title = "Label efficiency";
    for (int t = 0; t < cells.tasks.count; t++) {
        struct panel *p = plot_panel(f, a, COLUMNS, WIDTH, HEIGHT);
        if (!p)
            FAIL(e, ERR_MEMORY, "out of memory for a curve");
        p->title = cells.tasks.items[t];
        p->chart.y.label = metric_words(r, a);
        p->chart.x.label = "share of the training labels";
        p->chart.x.logarithmic = true;
        TRY(fraction_ticks(&cells, &p->chart.x, a, e));
        for (int i = 0; i < cells.methods.count; i++)
            TRY(add_method(&p->chart, &cells, cells.tasks.items[t], i, by_fraction, 0, a, e));
        finish_panel(f, p);
    }
    return ERR_OK;
}

enum err_code plot_comparison(const struct run_files *r, struct figure *f, struct arena *a,
                              struct err *e)
{
    struct cells cells;
    TRY(cells_read(r, &cells, a, e));
    if (cells.count == 0 || cells.fractions > 1)
        return ERR_OK;
    f->title = "Scores by task and method";
    struct panel *p = plot_panel(f, a, 1, 260 + 84.0 * cells.tasks.count, HEIGHT);
    double *ticks = arena_push_array(a, NAMES_MAX, sizeof *ticks);
    const char **names = arena_push_array(a, NAMES_MAX, sizeof *names);
    if (!p || !ticks || !names)
        FAIL(e, ERR_MEMORY, "out of memory for a comparison");
    for (int t = 0; t < cells.tasks.count; t++) {
        ticks[t] = t + 1;
        names[t] = plot_name(a, cells.tasks.items[t], 14);
    }
    p->chart.x = (struct axis){.low = 0.5,
                               .high = cells.tasks.count + 0.5,
                               .ticks = ticks,
                               .tick_names = names,
                               .tick_count = cells.tasks.count};
    p->chart.y.label = metric_words(r, a);
    for (int i = 0; i < cells.methods.count; i++) {
        double shift = 0.14 * (i - (cells.methods.count - 1) / 2.0);
        TRY(add_method(&p->chart, &cells, NULL, i, by_task,
                       cells.methods.count <= 6 ? shift : shift * 0.4, a, e));
    }
    finish_panel(f, p);
    return ERR_OK;
}
