#include "model/labels.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "format/csv.h"

#define LABEL_FILE_MAX_BYTES ((size_t)4 << 20)

#define LABEL(name, code, title, aggregation, weight) {name, code, title, aggregation, weight},
static const struct label mimic[] = {
#define LABELS_MIMIC
#include "model/labels.def"
#undef LABELS_MIMIC
};
static const struct label cinc2021[] = {
#define LABELS_CINC2021
#include "model/labels.def"
#undef LABELS_CINC2021
};
#undef LABEL

#define COUNT(list) (int64_t)(sizeof(list) / sizeof *(list))

const struct label_table label_tables[] = {
    {"mimic-iv-ecg", "local", "mimic_iv_ecg_finetuned.pt", COUNT(mimic), mimic},
    {"scored", "snomed-ct", "physionet_finetuned.pt", COUNT(cinc2021), cinc2021},
    {NULL, NULL, NULL, 0, NULL},
};

const struct label_table *label_table_find(int64_t count)
{
    for (const struct label_table *t = label_tables; t->task; t++)
        if (t->count == count)
            return t;
    return NULL;
}

static void classes_allocate(struct arena *a, struct model_classes *out, int64_t count)
{
    size_t K = (size_t)count;
    *out = (struct model_classes){.count = count};
    out->names = arena_push_array(a, K, sizeof *out->names);
    out->codes = arena_push_array(a, K, sizeof *out->codes);
    out->titles = arena_push_array(a, K, sizeof *out->titles);
    out->aggregation = arena_push_array(a, K, sizeof *out->aggregation);
    out->thresholds = arena_push_array(a, K, sizeof *out->thresholds);
    ASSERT(out->names && out->codes && out->titles && out->aggregation && out->thresholds,
           "out of memory");
}

void label_table_classes(const struct label_table *t, struct arena *a, struct model_classes *out)
{
    classes_allocate(a, out, t->count);
    out->task = t->task;
    out->code_system = t->code_system;
    for (int64_t k = 0; k < t->count; k++) {
        const struct label *l = &t->labels[k];
        out->names[k] = l->name;
        out->codes[k] = l->code ? l->code : l->name;
        out->titles[k] = l->title ? l->title : l->name;
        out->aggregation[k] = l->aggregation;
    }
}

/* The trimmed cell of a column, or NULL: no such column, or empty. */
static const char *cell(const struct csv *csv, struct arena *a, int64_t row, const char *column)
{
    int64_t i = csv_column(csv, column);
    if (i < 0)
        return NULL;
    char *text = arena_strdup(a, csv_cell(csv, row, i));
    ASSERT(text, "out of memory");
    text = str_trim(text);
    return text[0] ? text : NULL;
}

static enum err_code read_label(const struct csv *csv, struct arena *a, int64_t k,
                                struct model_classes *out, struct err *e)
{
    long long line = csv->lines[k];
    const char *name = cell(csv, a, k, "name"), *code = cell(csv, a, k, "code"),
               *title = cell(csv, a, k, "title"), *how = cell(csv, a, k, "aggregation"),
               *threshold = cell(csv, a, k, "threshold");
    if (!name)
        FAIL(e, ERR_LABELS, "line %lld: the label has no name", line);
    for (int64_t i = 0; i < k; i++)
        if (strcmp(out->names[i], name) == 0)
            FAIL(e, ERR_LABELS, "line %lld: \"%.100s\" occurs twice", line, name);
    enum aggregation kind;
    if (!aggregation_parse(how, &kind))
        FAIL(e, ERR_LABELS, "line %lld: aggregation \"%.40s\", expected mean, max or mean_logit",
             line, how);
    if (threshold && (!str_to_f64(threshold, false, &out->thresholds[k]) ||
                      !(out->thresholds[k] > 0 && out->thresholds[k] < 1)))
        FAIL(e, ERR_LABELS, "line %lld: threshold \"%.40s\", expected between 0 and 1", line,
             threshold);
    out->names[k] = name;
    out->codes[k] = code ? code : name;
    out->titles[k] = title ? title : name;
    out->aggregation[k] = how ? how : aggregation_names[AGGREGATE_MEAN];
    return ERR_OK;
}

enum err_code labels_read(const char *path, struct arena *a, struct model_classes *out,
                          struct err *e)
{
    struct csv csv;
    TRY(csv_read(path, LABEL_FILE_MAX_BYTES, &csv, e));
    enum err_code code = ERR_OK;
    if (csv.row_count > MODEL_CLASSES_MAX) {
        code = RAISE(e, ERR_LABELS, "%lld labels, at most %d", (long long)csv.row_count,
                     MODEL_CLASSES_MAX);
        csv_free(&csv);
        return err_context(e, "labels %s", path);
    }
    classes_allocate(a, out, csv.row_count);
    out->task = "labels";
    out->code_system = "local";
    if (csv_column(&csv, "name") < 0)
        code = RAISE(e, ERR_LABELS, "there is no column \"name\"");
    for (int64_t k = 0; k < csv.row_count && code == ERR_OK; k++)
        code = read_label(&csv, a, k, out, e);
    csv_free(&csv);
    return code == ERR_OK ? ERR_OK : err_context(e, "labels %s", path);
}
