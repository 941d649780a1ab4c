#include "train/evaluation_values.h"

#include <cjson/cJSON.h>
#include <stdlib.h>

/* The records of a value as columns of doubles. */
static enum err_code column_fill(const struct predictions *p, int64_t k, double *truth,
                                 double *estimate, struct err *e)
{
    for (int64_t i = 0; i < p->count; i++) {
        truth[i] = (double)p->labels[i * p->class_count + k];
        estimate[i] = p->scores[i * p->class_count + k];
        if (!isfinite(estimate[i]))
            FAIL(e, ERR_NUMERIC, "value %.60s, record %.60s: the estimate is not finite",
                 p->class_names[k], p->ids[i]);
    }
    return ERR_OK;
}

/* A measure and the ends of its interval. */
static enum err_code add_measure(struct evaluation *ev, const char *prefix, int m, const char *of,
                                 double value, struct interval interval, struct err *e)
{
    const char *name = regression_measures[m].name;
    TRY(evaluation_value_add(ev, prefix, name, of, value, e));
    return evaluation_ends_add(ev, prefix, name, of, interval, e);
}

static enum err_code list_values(struct evaluation *ev, struct err *e)
{
    const struct values_evaluation *r = ev->regression;
    size_t most = 1 + 3 * REGRESSION_COUNT * (size_t)(r->count + 2);
    ev->values = arena_push_array(&ev->arena, most, sizeof *ev->values);
    if (!ev->values)
        FAIL(e, ERR_MEMORY, "out of memory");
    TRY(evaluation_value_add(ev, "", "n", NULL, (double)ev->count, e));
    for (int m = 0; m < REGRESSION_COUNT; m++) {
        if (r->count == 1)
            TRY(add_measure(ev, "", m, NULL, r->macro[m], r->macro_intervals[m], e));
        TRY(add_measure(ev, "macro_", m, NULL, r->macro[m], r->macro_intervals[m], e));
        for (int64_t k = 0; k < r->count; k++) {
            const struct value_evaluation *item = &r->items[k];
            TRY(add_measure(ev, "", m, item->name, item->all.values[m], item->intervals[m], e));
        }
    }
    return ERR_OK;
}

static const char *why_undefined(const struct regression *r)
{
    return r->count == 0                     ? "no record with a known value"
           : isnan(r->values[REGRESSION_R2]) ? "the known values do not vary"
           : isnan(r->values[REGRESSION_R])  ? "the estimates do not vary"
                                             : NULL;
}

static enum err_code measure(struct evaluation *ev, const struct predictions *p,
                             struct values_evaluation *out, struct err *e)
{
    int64_t K = p->class_count, n = p->count;
    double *cells = arena_push_array(&ev->arena, (size_t)(2 * K), (size_t)n * sizeof *cells);
    struct regression_column *columns = arena_push_array(&ev->arena, (size_t)K, sizeof *columns);
    struct interval *intervals =
        arena_push_array(&ev->arena, (size_t)(K + 1), REGRESSION_COUNT * sizeof *intervals);
    if (!cells || !columns || !intervals)
        FAIL(e, ERR_MEMORY, "out of memory to evaluate %lld records", (long long)n);
    for (int64_t k = 0; k < K; k++) {
        struct value_evaluation *item = &out->items[k];
        double *truth = cells + 2 * k * n, *estimate = truth + n;
        columns[k] = (struct regression_column){truth, estimate};
        TRY(column_fill(p, k, truth, estimate, e));
        item->name = arena_strdup(&ev->arena, p->class_names[k]);
        if (!item->name)
            FAIL(e, ERR_MEMORY, "out of memory");
        item->all = regression_of(&columns[k], n, NULL);
        item->undefined = why_undefined(&item->all);
    }
    TRY(regression_bootstrap(columns, K, n, &ev->options, intervals, e));
    for (int m = 0; m < REGRESSION_COUNT; m++) {
        double *values = cells; /* the columns are done with */
        for (int64_t k = 0; k < K; k++) {
            values[k] = out->items[k].all.values[m];
            out->items[k].intervals[m] = intervals[k * REGRESSION_COUNT + m];
        }
        out->macro[m] = macro_average(values, K, NULL);
        out->macro_intervals[m] = intervals[K * REGRESSION_COUNT + m];
    }
    return ERR_OK;
}

enum err_code evaluation_values_make(struct evaluation *ev, const struct predictions *p,
                                     struct err *e)
{
    struct values_evaluation *out = arena_push(&ev->arena, sizeof *out);
    if (out)
        out->items = arena_push_array(&ev->arena, (size_t)p->class_count, sizeof *out->items);
    if (!out || !out->items)
        FAIL(e, ERR_MEMORY, "out of memory");
    out->count = p->class_count;
    ev->class_count = 0; /* there are no classes */
    ev->regression = out;
    TRY(measure(ev, p, out, e));
    return list_values(ev, e);
}

static void add_measures(cJSON *json, const char *prefix, const double *values,
                         const struct interval *intervals)
{
    for (int m = 0; m < REGRESSION_COUNT; m++)
        evaluation_measure_put(json, prefix, regression_measures[m].name, values[m], &intervals[m]);
}

void evaluation_values_to_json(const struct evaluation *ev, cJSON *json)
{
    const struct values_evaluation *r = ev->regression;
    cJSON_AddStringToObject(json, "kind", "values");
    add_measures(json, "macro_", r->macro, r->macro_intervals);
    cJSON *list = cJSON_AddArrayToObject(json, "values");
    cJSON *undefined = cJSON_AddArrayToObject(json, "undefined");
    for (int64_t k = 0; k < r->count; k++) {
        const struct value_evaluation *item = &r->items[k];
        cJSON *object = cJSON_CreateObject();
        cJSON_AddStringToObject(object, "name", item->name);
        cJSON_AddNumberToObject(object, "n", (double)item->all.count);
        cJSON_AddNumberToObject(object, "mean", item->all.mean);
        cJSON_AddNumberToObject(object, "deviation", item->all.deviation);
        add_measures(object, "", item->all.values, item->intervals);
        cJSON_AddItemToArray(list, object);
        if (!item->undefined)
            continue;
        cJSON *why = cJSON_CreateObject();
        cJSON_AddStringToObject(why, "name", item->name);
        cJSON_AddStringToObject(why, "reason", item->undefined);
        cJSON_AddItemToArray(undefined, why);
    }
}
