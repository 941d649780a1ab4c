#include "report/page.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/str.h"
#include "report/text.h"

enum { QUARANTINE_SHOWN = 20, UNDEFINED_SHOWN = 12, CLASSES_OPEN = 24, CLASS_COLUMNS_MAX = 40 };

static const char style[] =
    ":root{color-scheme:light dark;--text:#1b1f24;--muted:#57606a;--back:#fff;--line:#d5dade;"
    "--soft:#f5f7f9;--warn:#fff4d6;--warn-line:#b07d00;--loud:#fde3dc;--loud-line:#c2410c;--link:#"
    "0068a3}"
    "@media(prefers-color-scheme:dark){:root{--text:#e6e9ec;--muted:#a3acb5;--back:#14181d;"
    "--line:#333b44;--soft:#1c2229;--warn:#33290c;--warn-line:#e0b13c;--loud:#3d1a10;"
    "--loud-line:#f28444;--link:#6cb8ea}}"
    "*{box-sizing:border-box}"
    "body{margin:0 auto;padding:2rem 1.5rem 4rem;max-width:70rem;background:var(--back);"
    "color:var(--text);font:15px/1.5 system-ui,-apple-system,'Segoe UI','DejaVu "
    "Sans',Helvetica,Arial,"
    "sans-serif}"
    "h1{font-size:1.6rem;line-height:1.25;margin:0 0 .25rem;overflow-wrap:anywhere}"
    "h2{font-size:1.15rem;margin:2.5rem 0 .5rem}"
    "p{margin:.4rem 0;max-width:48rem}.muted{color:var(--muted)}a{color:var(--link)}"
    ".lead{font-size:1.25rem;margin:.75rem 0}.lead b{font-size:1.6rem}"
    ".warn,.loud{padding:.6rem .9rem;border-left:4px solid var(--warn-line);background:var(--warn);"
    "margin:.75rem 0;max-width:none}"
    ".loud{border-color:var(--loud-line);background:var(--loud)}.loud b{letter-spacing:.04em}"
    ".wide{overflow-x:auto;margin:.5rem 0}"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.9rem}"
    "th,td{padding:.3rem .75rem .3rem 0;text-align:left;border-bottom:1px solid var(--line);"
    "vertical-align:top;unicode-bidi:isolate}"
    "th{font-weight:600;white-space:nowrap}td.n,th.n{text-align:right}td.n{white-space:nowrap}"
    "td.x{overflow-wrap:anywhere;min-width:8rem}td small{color:var(--muted)}"
    "tr.sum td,tr.sum th{border-top:2px solid var(--line);font-weight:600}"
    "svg.fig{max-width:100%;height:auto;display:block}"
    "figure{margin:.5rem 0 1rem;overflow-x:auto}figcaption{color:var(--muted);font-size:.9rem;"
    "max-width:48rem}"
    "details{margin:.75rem 0}summary{cursor:pointer}"
    "code{font:.9em ui-monospace,'DejaVu Sans Mono',Consolas,monospace;overflow-wrap:anywhere}"
    "details>summary{color:var(--link)}";

/* ---- pieces ---- */

static void put_escaped(struct buf *out, const char *before, const char *text, const char *after)
{
    buf_puts(out, before);
    text_escape(out, text ? text : "");
    buf_puts(out, after);
}

static void put_heading(struct buf *out, const char *title)
{
    put_escaped(out, "<h2>", title, "</h2>\n");
}

static void put_fact(struct buf *out, const char *name, const char *text)
{
    if (!text || !text[0])
        return;
    put_escaped(out, "<tr><th>", name, "</th>");
    put_escaped(out, "<td class=\"x\">", text, "</td></tr>\n");
}

static void put_fact_count(struct buf *out, const char *name, double count)
{
    if (!isfinite(count) || fabs(count) > 1e15)
        return;
    put_escaped(out, "<tr><th>", name, "</th><td>");
    text_count(out, (int64_t)count);
    buf_puts(out, "</td></tr>\n");
}

/* A value of JSON as a reader would write it. */
static void put_value(struct buf *out, const cJSON *value)
{
    char text[64];
    if (cJSON_IsString(value)) {
        text_escape(out, value->valuestring);
    } else if (cJSON_IsNumber(value)) {
        str_from_f64(value->valuedouble, text, sizeof text);
        buf_puts(out, text);
    } else if (cJSON_IsBool(value)) {
        buf_puts(out, cJSON_IsTrue(value) ? "true" : "false");
    } else {
        buf_puts(out, "-");
    }
}

/* "auroc_ci" beside "auroc", "macro_auroc_ci" beside "macro_auroc". */
static const cJSON *interval_of(const cJSON *object, const char *name)
{
    char key[160];
    int length = snprintf(key, sizeof key, "%s_ci", name);
    const cJSON *pair =
        length < (int)sizeof key ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
    bool good = cJSON_IsArray(pair) && cJSON_GetArraySize(pair) == 2 &&
                cJSON_IsNumber(pair->child) && cJSON_IsNumber(pair->child->next);
    return good ? pair : NULL;
}

/* Counts are whole numbers; what is measured has four digits, in line with its neighbours. */
static void put_measure(struct buf *out, const char *name, double value)
{
    static const char *const counts[] = {"n", "positives", "classes_defined", "best_epoch", NULL};
    for (int i = 0; counts[i]; i++)
        if (strcmp(counts[i], name) == 0) {
            text_number(out, value);
            return;
        }
    double size = fabs(value);
    if (!isfinite(value))
        buf_puts(out, "-");
    else if (value == floor(value) && size >= 2)
        text_number(out, value); /* a count, whatever it counts */
    else if (size == 0 || (size >= 1e-4 && size < 1e4))
        text_fixed(out, value, size < 100 ? 4 : 2);
    else
        text_number(out, value);
}

static void put_interval(struct buf *out, const cJSON *pair)
{
    put_measure(out, "", pair->child->valuedouble);
    buf_puts(out, " to ");
    put_measure(out, "", pair->child->next->valuedouble);
}

/* Option of config.json by its key, which may hold dots. */
static const cJSON *option_at(const struct run_files *r, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json_at(r->config, "options"), key);
    return cJSON_GetObjectItemCaseSensitive(item, "value");
}

static const char *option_text(const struct run_files *r, const char *key)
{
    const cJSON *value = option_at(r, key);
    return cJSON_IsString(value) ? value->valuestring : NULL;
}

/* ---- what it is ---- */

static const char *command_of(const struct run_files *r)
{
    const char *command = json_text_at(r->config, "command");
    return command ? command : "evaluation";
}

/* The configuration that says what the data is. */
static const cJSON *shared(const struct run_files *r) { return r->config ? r->config : r->member; }

static const char *task_of(const struct run_files *r)
{
    const char *task = json_text_at(r->metrics, "task");
    return task ? task : json_text_at(r->config, "data.task");
}

static const char *title_of(const struct run_files *r)
{
    const char *series = json_text_at(r->table, "series");
    return r->table && !r->config ? series ? series : "series" : command_of(r);
}

static void put_head(const struct run_files *r, struct buf *out)
{
    struct buf title;
    buf_init(&title, 0);
    text_escape(&title, title_of(r));
    if (task_of(r))
        put_escaped(&title, ": ", task_of(r), "");
    const char *name = title.data ? title.data : "";
    out->failed |= title.failed;
    buf_puts(out, "<!DOCTYPE html>\n"
                  "<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\">\n<head>\n"
                  "<meta charset=\"utf-8\"/>\n"
                  "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                  "style-src 'unsafe-inline'\"/>\n"
                  "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"/>\n");
    buf_printf(out, "<title>ecgfm %s</title>\n<style>%s", name, style);
    figure_style(out);
    buf_printf(out, "</style>\n</head>\n<body>\n<h1>%s</h1>\n", name);
    buf_free(&title);
    put_escaped(out, "<p class=\"muted\">", json_text_at(shared(r), "data.title"), "</p>\n");
}

/* One figure that says how good it is. */
static void put_lead(const struct run_files *r, struct buf *out)
{
    static const char *const leads[][2] = {{"macro_auroc", "macro AUROC"},
                                           {"macro_mae", "mean absolute error"}};
    for (int i = 0; i < 2; i++) {
        double value = json_number_at(r->metrics, leads[i][0]);
        if (!isfinite(value))
            continue;
        buf_printf(out, "<p class=\"lead\">%s <b>", leads[i][1]);
        put_measure(out, "", value);
        buf_puts(out, "</b>");
        const cJSON *pair = interval_of(r->metrics, leads[i][0]);
        if (pair) {
            buf_puts(out, " <span class=\"muted\">(");
            put_interval(out, pair);
            buf_puts(out, ")</span>");
        }
        if (json_text_at(r->metrics, "split"))
            put_escaped(out, " <span class=\"muted\">on the ", json_text_at(r->metrics, "split"),
                        " records</span>");
        buf_puts(out, "</p>\n");
        return;
    }
}

/* Of which classes or values AUROC or its like is not defined, and why. */
static void put_undefined(const struct run_files *r, struct buf *out)
{
    const cJSON *list = json_at(r->metrics, "undefined");
    int count = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : 0, told = 0;
    if (count == 0)
        return;
    buf_puts(out, "<p class=\"warn\">Undefined, and no part of the averages: ");
    for (const cJSON *item = list->child; item && told < UNDEFINED_SHOWN; item = item->next) {
        put_escaped(out, told++ ? ", " : "", json_text_at(item, "name"), " (");
        put_escaped(out, "", json_text_at(item, "reason"), ")");
    }
    if (told < count)
        buf_printf(out, " and %d more", count - told);
    buf_puts(out, ".</p>\n");
}

static void put_warnings(const struct run_files *r, struct buf *out)
{
    if (cJSON_IsTrue(json_at(shared(r), "data.synthetic")))
        buf_puts(out,
                 "<p class=\"loud\"><b>SYNTHETIC DATA.</b> These recordings were computed, not "
                 "made from patients: the figures say nothing about patients.</p>\n");
    buf_puts(out, "<p class=\"warn\">For research. Not a medical device.</p>\n");
    for (int i = 0; i < r->note_count; i++) {
        put_escaped(out, "<p class=\"loud\"><b>Left out:</b> <code>", r->notes[i].file,
                    "</code> cannot be read. ");
        text_escape(out, r->notes[i].reason);
        buf_puts(out, "</p>\n");
    }
    put_undefined(r, out);
    double incomplete = json_number_at(r->metrics, "bootstrap.incomplete");
    if (incomplete > 0) {
        buf_puts(out, "<p class=\"warn\">");
        text_number(out, incomplete);
        buf_puts(out, " bootstrap draws left out a class that had lost one of its labels: its "
                      "intervals are too narrow.</p>\n");
    }
}

static void put_facts(const struct run_files *r, struct buf *out)
{
    if (!r->config && !r->metrics)
        return;
    /* weights bring their own network: what the options say of one is not it */
    const char *weights = option_text(r, "weights");
    bool own = !weights || strcmp(weights, "random") == 0;
    buf_puts(out, "<div class=\"wide\"><table>\n");
    put_fact(out, "command", json_text_at(r->config, "command"));
    put_fact(out, "data", option_text(r, "data"));
    put_fact(out, "task", task_of(r));
    put_fact(out, "model", own ? option_text(r, "model") : NULL);
    put_fact(out, "backbone", own ? option_text(r, "network.backbone") : NULL);
    put_fact(out, "objective", option_text(r, "objective"));
    put_fact(out, "weights", weights);
    put_fact_count(out, "records in the data set", json_number_at(r->config, "data.records"));
    put_fact_count(out, "records", json_number_at(r->metrics, "records"));
    put_fact_count(out, "training records", json_number_at(r->metrics, "training_records"));
    put_fact_count(out, "validation records", json_number_at(r->metrics, "validation_records"));
    put_fact_count(out, "evaluated records", json_number_at(r->metrics, "n"));
    put_fact_count(out, "parameters", json_number_at(r->metrics, "parameters"));
    put_fact_count(out, "learned parameters", json_number_at(r->metrics, "learned_parameters"));
    put_fact_count(out, "seed", json_number_at(r->metrics, "seed"));
    put_fact(out, "precision", json_text_at(r->config, "precision"));
    put_fact(out, "ecgfm", json_text_at(r->config, "version"));
    buf_puts(out, "</table></div>\n");
}

/* ---- metrics ---- */

static bool is_overall(const char *name)
{
    static const char *const facts[] = {"n",
                                        "records",
                                        "training_records",
                                        "threshold",
                                        "validation_records",
                                        "parameters",
                                        "learned_parameters",
                                        "seed",
                                        NULL};
    for (int i = 0; facts[i]; i++)
        if (strcmp(facts[i], name) == 0)
            return false;
    return true;
}

static void put_words(struct buf *out, const char *name)
{
    struct buf words;
    buf_init(&words, 0);
    buf_puts(&words, name);
    for (size_t i = 0; i < words.len; i++)
        if (words.data[i] == '_')
            words.data[i] = ' ';
    text_escape(out, words.data ? words.data : "");
    out->failed |= words.failed;
    buf_free(&words);
}

/* Every number of metrics.json that is not of a class. */
static void put_metrics(const struct run_files *r, struct buf *out)
{
    bool begun = false;
    for (const cJSON *item = r->metrics ? r->metrics->child : NULL; item; item = item->next) {
        if (!cJSON_IsNumber(item) || !is_overall(item->string))
            continue;
        if (!begun) {
            put_heading(out, "Metrics");
            double level = json_number_at(r->metrics, "bootstrap.level");
            double draws = json_number_at(r->metrics, "bootstrap.draws");
            if (draws > 0 && level > 0 && level <= 1) {
                buf_puts(out, "<p class=\"muted\">Intervals: central ");
                text_short(out, 100 * level, 1);
                buf_puts(out, " % of ");
                text_number(out, draws);
                buf_puts(out, " bootstrap draws of the records.</p>\n");
            }
            buf_puts(out,
                     "<div class=\"wide\"><table>\n<tr><th>metric</th><th class=\"n\">value</th>"
                     "<th class=\"n\">interval</th></tr>\n");
            begun = true;
        }
        buf_puts(out, "<tr><td>");
        put_words(out, item->string);
        buf_puts(out, "</td><td class=\"n\">");
        put_measure(out, item->string, item->valuedouble);
        buf_puts(out, "</td><td class=\"n\">");
        const cJSON *pair = interval_of(r->metrics, item->string);
        if (pair)
            put_interval(out, pair);
        buf_puts(out, "</td></tr>\n");
    }
    if (begun)
        buf_puts(out, "</table></div>\n");
}

static void put_cell(const cJSON *object, const char *name, struct buf *out)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, name);
    buf_puts(out, "<td class=\"n\">");
    if (cJSON_IsNumber(value))
        put_measure(out, name, value->valuedouble);
    else
        buf_puts(out, "-");
    const cJSON *pair = interval_of(object, name);
    if (pair) {
        buf_puts(out, "<br/><small>");
        put_interval(out, pair);
        buf_puts(out, "</small>");
    }
    buf_puts(out, "</td>");
}

/* The columns are the numbers that any class has. */
static int class_columns(const cJSON *classes, const char **names)
{
    int count = 0;
    for (const cJSON *c = classes->child; c; c = c->next)
        for (const cJSON *item = c->child; item && count < CLASS_COLUMNS_MAX; item = item->next) {
            bool found = !cJSON_IsNumber(item) || !item->string;
            for (int i = 0; i < count && !found; i++)
                found = strcmp(names[i], item->string) == 0;
            if (!found)
                names[count++] = item->string;
        }
    return count;
}

/* A list of objects of metrics.json as a table: "classes", or "values" of a regression. */
static void put_each(const struct run_files *r, const char *list, const char *title,
                     struct buf *out)
{
    const char *names[CLASS_COLUMNS_MAX];
    const cJSON *classes = json_at(r->metrics, list);
    if (!cJSON_IsArray(classes) || !classes->child)
        return;
    int columns = class_columns(classes, names);
    put_heading(out, title);
    bool many = cJSON_GetArraySize(classes) > CLASSES_OPEN;
    if (many)
        buf_printf(out, "<details><summary>%d rows</summary>\n", cJSON_GetArraySize(classes));
    buf_puts(out, "<div class=\"wide\"><table>\n<tr><th>name</th>");
    for (int i = 0; i < columns; i++) {
        buf_puts(out, "<th class=\"n\">");
        put_words(out, names[i]);
        buf_puts(out, "</th>");
    }
    buf_puts(out, "</tr>\n");
    for (const cJSON *c = classes->child; c; c = c->next) {
        const char *name = json_text_at(c, "name"), *code = json_text_at(c, "code");
        if (!cJSON_IsObject(c))
            continue;
        put_escaped(out, "<tr><td class=\"x\">", name, "");
        if (code && name && strcmp(code, name) != 0)
            put_escaped(out, " <small>", code, "</small>");
        buf_puts(out, "</td>");
        for (int i = 0; i < columns; i++)
            put_cell(c, names[i], out);
        buf_puts(out, "</tr>\n");
    }
    buf_puts(out, many ? "</table></div>\n</details>\n" : "</table></div>\n");
}

/* Of eval --subgroups: how good it is in parts of the records. */
static void put_subgroups(const struct run_files *r, struct buf *out)
{
    const cJSON *list = json_at(r->metrics, "subgroups");
    if (!cJSON_IsArray(list) || !list->child)
        return;
    put_heading(out, "Subgroups");
    buf_puts(out, "<div class=\"wide\"><table>\n<tr><th>variable</th><th>group</th>"
                  "<th class=\"n\">n</th><th class=\"n\">macro auroc</th>"
                  "<th class=\"n\">macro auprc</th></tr>\n");
    for (const cJSON *g = list->child; g; g = g->next) {
        const cJSON *measures = json_at(g, "metrics");
        put_escaped(out, "<tr><td>", json_text_at(g, "variable"), "</td>");
        put_escaped(out, "<td class=\"x\">", json_text_at(g, "group"), "</td>");
        put_cell(measures, "n", out);
        put_cell(measures, "macro_auroc", out);
        put_cell(measures, "macro_auprc", out);
        buf_puts(out, "</tr>\n");
    }
    buf_puts(out, "</table></div>\n");
}

/* ---- a series of runs ---- */

static const cJSON *cell_at(const struct run_files *r, const char *row, const char *column)
{
    const cJSON *cells = json_at(r->table, "cells");
    for (const cJSON *c = cJSON_IsArray(cells) ? cells->child : NULL; c; c = c->next) {
        const char *own_row = json_text_at(c, "row"), *own_column = json_text_at(c, "column");
        if (own_row && own_column && strcmp(own_row, row) == 0 && strcmp(own_column, column) == 0)
            return c;
    }
    return NULL;
}

static void put_table_cell(const cJSON *cell, struct buf *out)
{
    const char *text = json_text_at(cell, "text");
    double value = json_number_at(cell, "value");
    buf_puts(out, "<td class=\"n\">");
    if (text)
        text_escape(out, text);
    else
        put_measure(out, "", value);
    buf_puts(out, "</td>");
}

static void put_table(const struct run_files *r, struct buf *out)
{
    const cJSON *rows = json_at(r->table, "rows"), *columns = json_at(r->table, "columns");
    if (!cJSON_IsArray(rows) || !cJSON_IsArray(columns))
        return;
    put_heading(out, "Table");
    put_escaped(out, "<p class=\"muted\">", json_text_at(r->table, "metric"), "");
    double level = json_number_at(r->table, "interval.level");
    double draws = json_number_at(r->table, "interval.draws");
    if (level > 0 && level <= 1 && draws > 0) {
        buf_puts(out, ", intervals: central ");
        text_short(out, 100 * level, 1);
        buf_puts(out, " % of ");
        text_number(out, draws);
        buf_puts(out, " bootstrap draws");
    }
    buf_puts(out, "</p>\n<div class=\"wide\"><table>\n<tr><th></th>");
    for (const cJSON *c = columns->child; c; c = c->next)
        put_escaped(out, "<th class=\"n\">", cJSON_IsString(c) ? c->valuestring : "", "</th>");
    buf_puts(out, "</tr>\n");
    for (const cJSON *row = rows->child; row; row = row->next) {
        const char *name = cJSON_IsString(row) ? row->valuestring : "";
        put_escaped(out, "<tr><th>", name, "</th>");
        for (const cJSON *c = columns->child; c; c = c->next)
            put_table_cell(cell_at(r, name, cJSON_IsString(c) ? c->valuestring : ""), out);
        buf_puts(out, "</tr>\n");
    }
    buf_puts(out, "</table></div>\n");
    const cJSON *notes = json_at(r->table, "notes");
    for (const cJSON *n = cJSON_IsArray(notes) ? notes->child : NULL; n; n = n->next)
        put_escaped(out, "<p class=\"muted\">", cJSON_IsString(n) ? n->valuestring : "", "</p>\n");
}

/* The name of a run's folder as part of a link: what is not plain is written as %XX. */
static void put_link(struct buf *out, const char *name)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~+";
    for (; *name; name++)
        if (strchr(plain, *name))
            buf_append(out, name, 1);
        else
            buf_printf(out, "%%%02X", (unsigned)(unsigned char)*name);
}

static void put_runs(const struct run_files *r, struct buf *out)
{
    const cJSON *runs = json_at(r->table, "runs");
    if (!cJSON_IsArray(runs) || !runs->child)
        return;
    put_heading(out, "Runs");
    buf_puts(out, "<div class=\"wide\"><table>\n<tr><th>run</th><th>task</th><th>method</th>"
                  "<th class=\"n\">labels</th><th class=\"n\">training records</th>"
                  "<th class=\"n\">seed</th><th class=\"n\">value</th>"
                  "<th class=\"n\">interval</th><th>state</th></tr>\n");
    for (const cJSON *run = runs->child; run; run = run->next) {
        const char *name = json_text_at(run, "name"), *state = json_text_at(run, "state");
        if (!name)
            continue;
        bool linked = state && strcmp(state, "done") == 0 && name[0] != '.' && !strchr(name, '/');
        buf_puts(out, "<tr><td class=\"x\">");
        if (linked) {
            buf_puts(out, "<a href=\"");
            put_link(out, name);
            buf_puts(out, "/report.html\">");
        }
        put_escaped(out, "", name, linked ? "</a></td>" : "</td>");
        put_escaped(out, "<td>", json_text_at(run, "task"), "</td>");
        put_escaped(out, "<td>", json_text_at(run, "method"), "</td><td class=\"n\">");
        text_short(out, 100 * json_number_at(run, "fraction"), 3);
        buf_puts(out, " %</td><td class=\"n\">");
        text_number(out, json_number_at(run, "training_records"));
        buf_puts(out, "</td><td class=\"n\">");
        text_number(out, json_number_at(run, "seed"));
        buf_puts(out, "</td><td class=\"n\">");
        put_measure(out, "", json_number_at(run, "value"));
        buf_puts(out, "</td><td class=\"n\">");
        put_measure(out, "", json_number_at(run, "low"));
        buf_puts(out, " to ");
        put_measure(out, "", json_number_at(run, "high"));
        put_escaped(out, "</td><td class=\"x\">", state, "");
        if (json_text_at(run, "reason"))
            put_escaped(out, ": ", json_text_at(run, "reason"), "");
        buf_puts(out, "</td></tr>\n");
    }
    buf_puts(out, "</table></div>\n");
}

/* ---- configuration and quarantine ---- */

/* What does not change what a run computes is no part of the page: a run that was killed and went
 * on with other threads has the same page. */
static bool is_told(const char *key)
{
    static const char *const untold[] = {"out",     "fresh", "cache_mb", "checkpoint_seconds",
                                         "threads", "json",  NULL};
    for (int i = 0; untold[i]; i++)
        if (strcmp(untold[i], key) == 0)
            return false;
    return true;
}

static int put_options(const cJSON *options, bool defaults, struct buf *out)
{
    int count = 0;
    for (const cJSON *item = options ? options->child : NULL; item; item = item->next) {
        const char *source = json_text_at(item, "source");
        bool fallback = source && strcmp(source, "default") == 0;
        if (!item->string || !is_told(item->string) || fallback != defaults)
            continue;
        put_escaped(out, "<tr><td><code>", item->string, "</code></td><td class=\"x\">");
        put_value(out, cJSON_GetObjectItemCaseSensitive(item, "value"));
        if (!defaults)
            put_escaped(out, "</td><td>", source, "");
        buf_puts(out, "</td></tr>\n");
        count++;
    }
    return count;
}

static void put_configuration(const struct run_files *r, struct buf *out)
{
    const cJSON *options = json_at(r->config, "options");
    if (!cJSON_IsObject(options))
        return;
    put_heading(out, "Configuration");
    buf_puts(out, "<div class=\"wide\"><table>\n<tr><th>set</th><th>value</th><th>by</th></tr>\n");
    if (put_options(options, false, out) == 0)
        buf_puts(out, "<tr><td>nothing</td><td></td><td></td></tr>\n");
    buf_puts(out, "</table></div>\n<details><summary>Defaults</summary>\n"
                  "<div class=\"wide\"><table>\n<tr><th>key</th><th>value</th></tr>\n");
    put_options(options, true, out);
    buf_puts(out, "</table></div>\n</details>\n");
}

static void put_codes(const struct csv *csv, int64_t column, struct buf *out)
{
    struct {
        const char *code;
        int64_t count;
    } codes[32];
    int count = 0;
    for (int64_t row = 0; row < csv->row_count; row++) {
        const char *code = csv_cell(csv, row, column);
        int i = 0;
        while (i < count && strcmp(codes[i].code, code) != 0)
            i++;
        if (i == 32)
            continue;
        if (i == count) {
            codes[i].code = code;
            codes[count++].count = 0;
        }
        codes[i].count++;
    }
    buf_puts(out,
             "<div class=\"wide\"><table>\n<tr><th>code</th><th class=\"n\">records</th></tr>\n");
    for (int i = 0; i < count; i++) {
        put_escaped(out, "<tr><td>", codes[i].code, "</td><td class=\"n\">");
        text_count(out, codes[i].count);
        buf_puts(out, "</td></tr>\n");
    }
    buf_puts(out, "</table></div>\n");
}

static void put_quarantine(const struct run_files *r, struct buf *out)
{
    if (!r->has_quarantine || r->quarantine.row_count == 0)
        return;
    const struct csv *csv = &r->quarantine;
    int64_t id = csv_column(csv, "id"), code = csv_column(csv, "code"),
            reason = csv_column(csv, "reason");
    put_heading(out, "Quarantine");
    buf_puts(out, "<p>");
    text_count(out, csv->row_count);
    buf_puts(out, " records, or parts of them, were not used.</p>\n");
    put_codes(csv, code, out);
    buf_puts(out, "<details><summary>Which</summary>\n<div class=\"wide\"><table>\n"
                  "<tr><th>id</th><th>code</th><th>reason</th></tr>\n");
    int64_t shown = csv->row_count < QUARANTINE_SHOWN ? csv->row_count : QUARANTINE_SHOWN;
    for (int64_t i = 0; i < shown; i++) {
        put_escaped(out, "<tr><td class=\"x\">", csv_cell(csv, i, id), "</td>");
        put_escaped(out, "<td>", csv_cell(csv, i, code), "</td>");
        put_escaped(out, "<td class=\"x\">", csv_cell(csv, i, reason), "</td></tr>\n");
    }
    buf_puts(out, "</table></div>\n");
    if (shown < csv->row_count)
        buf_puts(out, "<p class=\"muted\">The first of them; quarantine.csv has all.</p>\n");
    buf_puts(out, "</details>\n");
}

/* ---- the page ---- */

static void put_plot(const struct drawn_plot *d, struct buf *out)
{
    put_heading(out, d->plot->title);
    buf_puts(out, "<figure>\n");
    figure_draw(&d->figure, false, out);
    put_escaped(out, "<figcaption>", d->plot->help, "");
    buf_printf(out, " <a href=\"plots/%s.svg\">%s.svg</a></figcaption>\n</figure>\n", d->plot->name,
               d->plot->name);
}

void page_write(const struct run_files *r, const struct drawn_plot *drawn, int count,
                struct buf *out)
{
    put_head(r, out);
    put_lead(r, out);
    put_warnings(r, out);
    put_facts(r, out);
    put_metrics(r, out);
    put_each(r, "classes", "By class", out);
    put_each(r, "values", "By value", out);
    put_subgroups(r, out);
    put_table(r, out);
    for (int i = 0; i < count; i++)
        put_plot(&drawn[i], out);
    put_runs(r, out);
    put_configuration(r, out);
    put_quarantine(r, out);
    buf_puts(out, "</body>\n</html>\n");
}
