#include "train/evaluation.h"

#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "base/str.h"
#include "metric/paired.h"
#include "train/evaluation_values.h"

/* ---- making ---- */

static enum err_code rank_class(const struct predictions *p, int64_t k, struct ranking *ranking,
                                struct err *e)
{
    size_t n = (size_t)p->count, room = n ? n : 1;
    double *scores = malloc(room * sizeof *scores);
    uint8_t *labels = malloc(room);
    enum err_code code = ERR_OK;
    if (!scores || !labels)
        code = RAISE(e, ERR_MEMORY, "out of memory to evaluate %lld records", (long long)p->count);
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        size_t cell = i * (size_t)p->class_count + (size_t)k;
        scores[i] = p->scores[cell];
        labels[i] = isnan(p->labels[cell]) ? RANKING_UNKNOWN : p->labels[cell] == 1;
        if (!isnan(p->labels[cell]) && p->labels[cell] != 0 && p->labels[cell] != 1)
            code = RAISE(e, ERR_LABELS, "record %.60s: label is %g, expected 0 or 1", p->ids[i],
                         (double)p->labels[cell]);
    }
    if (code == ERR_OK)
        code = ranking_init(ranking, scores, labels, p->count, e);
    free(scores);
    free(labels);
    if (code != ERR_OK)
        err_context(e, "class %.60s", p->class_names[k]);
    return code;
}

enum err_code thresholds_choose(const struct predictions *p, const char *rule, double *out,
                                struct err *e)
{
    for (int64_t k = 0; k < p->class_count; k++) {
        struct ranking r = {0};
        TRY(rank_class(p, k, &r, e));
        out[k] = threshold_choose(&r, rule);
        ranking_free(&r);
    }
    return ERR_OK;
}

static enum err_code evaluate_class(struct evaluation *ev, const struct predictions *p, int64_t k,
                                    const struct ranking *r, struct err *e)
{
    struct class_evaluation *c = &ev->classes[k];
    c->name = arena_strdup(&ev->arena, p->class_names[k]);
    c->code = arena_strdup(&ev->arena, p->class_codes[k] ? p->class_codes[k] : p->class_names[k]);
    if (!c->name || !c->code)
        FAIL(e, ERR_MEMORY, "out of memory");
    c->count = r->count;
    c->positives = r->positives;
    c->threshold = r->threshold;
    for (int m = 0; metrics[m]; m++)
        c->values[m] = metrics[m]->compute(r, NULL);
    c->auroc_error = sqrt(auroc_variance(r));
    c->auroc_delong =
        delong_interval(c->values[metric_index("auroc")], c->auroc_error, ev->options.level);
    if (!ranking_has_both(r))
        c->undefined = r->positives == 0 ? "no positive record" : "no negative record";
    return ERR_OK;
}

static enum err_code value_add(struct evaluation *ev, const char *prefix, const char *name,
                               const char *end, const char *of, double value, struct err *e)
{
    const char *whole =
        arena_printf(&ev->arena, "%s%s%s%s%s", prefix, name, end, of ? "." : "", of ? of : "");
    if (!whole)
        FAIL(e, ERR_MEMORY, "out of memory");
    ev->values[ev->value_count++] = (struct named_value){whole, value};
    return ERR_OK;
}

enum err_code evaluation_value_add(struct evaluation *ev, const char *prefix, const char *name,
                                   const char *of, double value, struct err *e)
{
    return value_add(ev, prefix, name, "", of, value, e);
}

enum err_code evaluation_ends_add(struct evaluation *ev, const char *prefix, const char *name,
                                  const char *of, struct interval interval, struct err *e)
{
    TRY(value_add(ev, prefix, name, "_low", of, interval.low, e));
    return value_add(ev, prefix, name, "_high", of, interval.high, e);
}

/* Everything that can be asked for by name, in one list. */
static enum err_code list_values(struct evaluation *ev, struct err *e)
{
    size_t most = 2 + JOINT_METRIC_COUNT + 2 * (size_t)ev->class_count +
                  3 * (size_t)metric_count() * (1 + (size_t)ev->class_count);
    ev->values = arena_push_array(&ev->arena, most, sizeof *ev->values);
    if (!ev->values)
        FAIL(e, ERR_MEMORY, "out of memory");
    double defined = (double)ev->macro_classes[metric_index("auroc")];
    TRY(evaluation_value_add(ev, "", "n", NULL, (double)ev->count, e));
    TRY(evaluation_value_add(ev, "", "classes", NULL, defined, e));
    for (int m = 0; m < JOINT_METRIC_COUNT; m++)
        TRY(evaluation_value_add(ev, "", joint_metrics[m].name, NULL, ev->joint[m], e));
    const struct class_evaluation *c = ev->classes, *end = c + ev->class_count;
    for (; c < end; c++)
        TRY(evaluation_ends_add(ev, "", "auroc_delong", c->name, c->auroc_delong, e));
    for (int m = 0; metrics[m]; m++) {
        const char *name = metrics[m]->name;
        TRY(evaluation_value_add(ev, "macro_", name, NULL, ev->macro[m], e));
        for (c = ev->classes; c < end; c++)
            TRY(evaluation_value_add(ev, "", name, c->name, c->values[m], e));
        if (!metrics[m]->interval)
            continue;
        TRY(evaluation_ends_add(ev, "macro_", name, NULL, ev->macro_intervals[m], e));
        for (c = ev->classes; c < end; c++)
            TRY(evaluation_ends_add(ev, "", name, c->name, c->intervals[m], e));
    }
    return ERR_OK;
}

static enum err_code add_intervals(struct evaluation *ev, const struct ranking *rankings,
                                   struct err *e)
{
    struct bootstrap b;
    TRY(bootstrap_run(&b, rankings, ev->class_count, &ev->options, e));
    for (int m = 0; metrics[m]; m++) {
        ev->macro_intervals[m] = b.macro[m];
        ev->macro_means[m] = b.macro_mean[m];
        for (int64_t k = 0; k < ev->class_count; k++)
            ev->classes[k].intervals[m] = b.intervals[m * ev->class_count + k];
    }
    ev->redraws = b.redraws;
    ev->incomplete = b.incomplete;
    bootstrap_free(&b);
    return ERR_OK;
}

/* Labels have been checked by rank_class. Undefined where one is not known. */
static enum err_code add_joint(struct evaluation *ev, const struct predictions *p,
                               const double *thresholds, struct err *e)
{
    size_t cells = (size_t)(p->count * p->class_count);
    uint8_t *labels = malloc(cells + 1);
    if (!labels)
        FAIL(e, ERR_MEMORY, "out of memory to evaluate %lld records", (long long)p->count);
    bool known = true;
    for (size_t i = 0; i < cells; i++) {
        labels[i] = p->labels[i] == 1;
        known = known && !isnan(p->labels[i]);
    }
    const struct score_table t = {p->count, p->class_count, p->scores, labels, thresholds};
    for (int m = 0; m < JOINT_METRIC_COUNT; m++)
        ev->joint[m] = known ? joint_metrics[m].compute(&t) : (double)NAN;
    free(labels);
    return ERR_OK;
}

static enum err_code evaluate(struct evaluation *ev, const struct predictions *p,
                              const double *thresholds, struct ranking *rankings, struct err *e)
{
    ev->classes = arena_push_array(&ev->arena, (size_t)p->class_count, sizeof *ev->classes);
    double *values = arena_push_array(&ev->arena, (size_t)p->class_count, sizeof *values);
    if (!ev->classes || !values)
        FAIL(e, ERR_MEMORY, "out of memory for %lld classes", (long long)p->class_count);
    for (int64_t k = 0; k < p->class_count; k++) {
        TRY(rank_class(p, k, &rankings[k], e));
        if (thresholds)
            rankings[k].threshold = thresholds[k];
        TRY(evaluate_class(ev, p, k, &rankings[k], e));
    }
    for (int m = 0; metrics[m]; m++) {
        for (int64_t k = 0; k < p->class_count; k++)
            values[k] = ev->classes[k].values[m];
        ev->macro[m] = macro_average(values, p->class_count, &ev->macro_classes[m]);
    }
    TRY(add_joint(ev, p, thresholds, e));
    TRY(add_intervals(ev, rankings, e));
    return list_values(ev, e);
}

enum err_code evaluation_make(struct evaluation *ev, const struct predictions *p,
                              const struct bootstrap_options *options, struct err *e)
{
    return evaluation_make_at(ev, p, NULL, options, e);
}

enum err_code evaluation_make_at(struct evaluation *ev, const struct predictions *p,
                                 const double *thresholds, const struct bootstrap_options *options,
                                 struct err *e)
{
    memset(ev, 0, sizeof *ev);
    arena_init(&ev->arena, "evaluation", 0);
    ev->count = p->count;
    ev->class_count = p->class_count;
    ev->options = *options;
    if (p->kind == LABEL_VALUES)
        return evaluation_values_make(ev, p, e);
    struct ranking *rankings = calloc((size_t)p->class_count + 1, sizeof *rankings);
    if (!rankings)
        FAIL(e, ERR_MEMORY, "out of memory for %lld classes", (long long)p->class_count);
    enum err_code code = evaluate(ev, p, thresholds, rankings, e);
    for (int64_t k = 0; k < p->class_count; k++)
        ranking_free(&rankings[k]);
    free(rankings);
    return code;
}

void evaluation_free(struct evaluation *ev)
{
    arena_reset(&ev->arena);
    memset(ev, 0, sizeof *ev);
}

enum err_code evaluation_value(const struct evaluation *ev, const char *name, double *out,
                               struct err *e)
{
    for (int64_t i = 0; i < ev->value_count; i++)
        if (strcmp(ev->values[i].name, name) == 0) {
            *out = ev->values[i].value;
            return ERR_OK;
        }

    const char **names = calloc((size_t)ev->value_count + 1, sizeof *names);
    int nearest = -1;
    if (names) {
        for (int64_t i = 0; i < ev->value_count; i++)
            names[i] = ev->values[i].name;
        nearest = str_nearest(name, names);
    }
    free(names);
    if (nearest >= 0)
        FAIL(e, ERR_USAGE, "no metric \"%.80s\"; did you mean \"%.80s\"?", name,
             ev->values[nearest].name);
    FAIL(e, ERR_USAGE,
         "no metric \"%.80s\"; there are n, classes, macro_METRIC and METRIC.CLASS, such as "
         "macro_auroc",
         name);
}

/* ---- metrics.json ---- */

static void add_number(cJSON *object, const char *prefix, const char *name, double value)
{
    char key[64];
    snprintf(key, sizeof key, "%s%s", prefix, name);
    cJSON_AddNumberToObject(object, key, value);
}

static void add_interval(cJSON *object, const char *prefix, const char *name,
                         struct interval interval)
{
    char key[64];
    const double ends[2] = {interval.low, interval.high};
    snprintf(key, sizeof key, "%s%s_ci", prefix, name);
    cJSON_AddItemToObject(object, key,
                          isnan(ends[0]) ? cJSON_CreateNull() : cJSON_CreateDoubleArray(ends, 2));
}

void evaluation_measure_put(cJSON *object, const char *prefix, const char *name, double value,
                            const struct interval *interval)
{
    add_number(object, prefix, name, value);
    if (interval)
        add_interval(object, prefix, name, *interval);
}

static void add_metrics(cJSON *object, const char *prefix, const double *values,
                        const struct interval *intervals)
{
    for (int m = 0; metrics[m]; m++)
        evaluation_measure_put(object, prefix, metrics[m]->name, values[m],
                               metrics[m]->interval ? &intervals[m] : NULL);
}

static cJSON *class_to_json(const struct class_evaluation *c)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "name", c->name);
    cJSON_AddStringToObject(object, "code", c->code);
    cJSON_AddNumberToObject(object, "n", (double)c->count);
    cJSON_AddNumberToObject(object, "positives", (double)c->positives);
    add_metrics(object, "", c->values, c->intervals);
    cJSON_AddNumberToObject(object, "auroc_se", c->auroc_error);
    add_interval(object, "", "auroc_delong", c->auroc_delong);
    cJSON_AddNumberToObject(object, "threshold", c->threshold);
    return object;
}

/* NaN where the classes have several. */
static double common_threshold(const struct evaluation *ev)
{
    double threshold = ev->class_count ? ev->classes[0].threshold : METRIC_THRESHOLD;
    for (int64_t k = 1; k < ev->class_count; k++)
        if (ev->classes[k].threshold != threshold)
            return NAN;
    return threshold;
}

static void classes_to_json(const struct evaluation *ev, cJSON *json)
{
    add_metrics(json, "macro_", ev->macro, ev->macro_intervals);
    cJSON_AddNumberToObject(json, "classes_defined",
                            (double)ev->macro_classes[metric_index("auroc")]);
    cJSON_AddNumberToObject(json, "threshold", common_threshold(ev));

    for (int m = 0; m < JOINT_METRIC_COUNT; m++)
        cJSON_AddNumberToObject(json, joint_metrics[m].name, ev->joint[m]);
    cJSON *classes = cJSON_AddArrayToObject(json, "classes");
    cJSON *undefined = cJSON_AddArrayToObject(json, "undefined");
    for (int64_t k = 0; k < ev->class_count; k++) {
        const struct class_evaluation *c = &ev->classes[k];
        cJSON_AddItemToArray(classes, class_to_json(c));
        if (!c->undefined)
            continue;
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "name", c->name);
        cJSON_AddStringToObject(item, "reason", c->undefined);
        cJSON_AddItemToArray(undefined, item);
    }
}

struct cJSON *evaluation_to_json(const struct evaluation *ev)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "n", (double)ev->count);
    if (ev->regression)
        evaluation_values_to_json(ev, json);
    else
        classes_to_json(ev, json);

    cJSON *bootstrap = cJSON_AddObjectToObject(json, "bootstrap");
    cJSON_AddStringToObject(bootstrap, "method", "percentile");
    cJSON_AddNumberToObject(bootstrap, "level", ev->options.level);
    cJSON_AddNumberToObject(bootstrap, "draws", (double)ev->options.draws);
    for (int m = 0; metrics[m]; m++)
        if (metrics[m]->interval && !isnan(ev->macro_means[m]))
            add_number(bootstrap, "mean_macro_", metrics[m]->name, ev->macro_means[m]);
    cJSON_AddNumberToObject(bootstrap, "redraws", (double)ev->redraws);
    cJSON_AddNumberToObject(bootstrap, "incomplete", (double)ev->incomplete);
    cJSON_AddItemToObject(json, "seed", json_u64(ev->options.seed));
    return json;
}

struct cJSON *evaluation_to_json_with(const struct evaluation *ev, const struct cJSON *extra)
{
    cJSON *json = evaluation_to_json(ev);
    for (const cJSON *item = extra ? extra->child : NULL; item; item = item->next) {
        ASSERT(!cJSON_GetObjectItemCaseSensitive(json, item->string),
               "metrics.json: \"%s\" is the evaluation's own", item->string);
        cJSON_AddItemToObject(json, item->string, cJSON_Duplicate(item, true));
    }
    return json;
}

enum err_code evaluation_write(const struct evaluation *ev, const struct cJSON *extra,
                               const char *path, struct err *e)
{
    cJSON *json = evaluation_to_json_with(ev, extra);
    struct buf text;
    buf_init(&text, 0);
    json_print(json, true, &text);
    buf_puts(&text, "\n");
    enum err_code code = !json || text.failed ? RAISE(e, ERR_MEMORY, "%s: out of memory", path)
                                              : file_write_atomic(path, text.data, text.len, e);
    cJSON_Delete(json);
    buf_free(&text);
    return code;
}
