#include "cli/requirement.h"

#include <math.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "metric/regression.h"

/* Takes "metric>=x" apart, in place. */
static enum err_code requirement_parse(char *text, struct requirement *out, struct err *e)
{
    static const char *const operations[] = {">=", "<=", ">", "<"};
    char *at = NULL;
    for (char *p = text; *p != '\0'; p++) /* a class may be called "QRS > 120" */
        if (*p == '>' || *p == '<')
            at = p;
    if (at == NULL)
        FAIL(e, ERR_USAGE,
             "--require %s: expected a metric, one of >= <= > <, and a number, in quotes that keep "
             "the shell from reading > and <",
             text);
    for (int i = 3; i >= 0; i--)
        if (str_starts_with(at, operations[i]))
            out->operation = operations[i];
    char *number = str_trim(at + strlen(out->operation));
    if (!str_to_f64(number, false, &out->bar))
        FAIL(e, ERR_USAGE, "--require %s: \"%s\" is not a number", text, number);
    *at = '\0';
    out->metric = str_trim(text);
    return ERR_OK;
}

enum err_code requirements_parse(struct arena *a, const char *list, struct requirement *out,
                                 int *count, struct err *e)
{
    char *rest = list != NULL ? arena_strdup(a, list) : NULL, *text;
    *count = 0;
    if (list != NULL && rest == NULL)
        FAIL(e, ERR_MEMORY, "out of memory");
    while ((text = str_list_next(&rest)) != NULL) {
        if (*count == REQUIREMENTS_MAX)
            FAIL(e, ERR_LIMIT, "more than %d requirements", REQUIREMENTS_MAX);
        out[*count] = (struct requirement){0};
        TRY(requirement_parse(text, &out[(*count)++], e));
    }
    return ERR_OK;
}

/* ---- an earlier run ---- */

/* The number of this name in a metrics.json, or NULL. */
static const cJSON *baseline_find(const cJSON *baseline, const char *name)
{
    const cJSON *item, *found = cJSON_GetObjectItemCaseSensitive(baseline, name);
    const char *dot = strchr(name, '.');
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(baseline, "classes");
    if (!list) {
        list = cJSON_GetObjectItemCaseSensitive(baseline, "values");
        if (!found && !dot && cJSON_GetArraySize(list) == 1) /* "mae" of one value is that of it */
            found = cJSON_GetObjectItemCaseSensitive(cJSON_GetArrayItem(list, 0), name);
    }
    if (found && (cJSON_IsNumber(found) || cJSON_IsNull(found)))
        return found;
    cJSON_ArrayForEach(item, list)
    {
        const cJSON *class_name = cJSON_GetObjectItemCaseSensitive(item, "name");
        char metric[64] = "";
        if (!dot || (size_t)(dot - name) >= sizeof metric || !cJSON_IsString(class_name) ||
            strcmp(class_name->valuestring, dot + 1) != 0)
            continue;
        memcpy(metric, name, (size_t)(dot - name));
        found = cJSON_GetObjectItemCaseSensitive(item, metric);
        return found && (cJSON_IsNumber(found) || cJSON_IsNull(found)) ? found : NULL;
    }
    return NULL;
}

/* Whether a name is of this metric: "macro_brier", "brier.NORM" and "brier" are of brier. */
static bool is_of(const char *name, const char *metric)
{
    if (str_starts_with(name, "macro_"))
        name += strlen("macro_");
    size_t length = strlen(metric);
    return strncmp(name, metric, length) == 0 && (name[length] == '\0' || name[length] == '.');
}

/* A metric of which less is better. */
static bool lower_is_better(const char *name)
{
    for (int m = 0; metrics[m]; m++)
        if (is_of(name, metrics[m]->name))
            return !metrics[m]->higher_is_better;
    return is_of(name, regression_measures[REGRESSION_MAE].name) ||
           is_of(name, regression_measures[REGRESSION_RMSE].name);
}

static enum err_code add_baseline(const cJSON *baseline, const char *path, const char *name,
                                  double max_drop, struct requirement *out, int *count,
                                  struct err *e)
{
    const cJSON *found = baseline_find(baseline, name);
    if (is_of(name, regression_measures[REGRESSION_BIAS].name))
        FAIL(e, ERR_USAGE,
             "%.80s is best at 0, neither high nor low: bound it on both sides by --require", name);
    if (!found)
        FAIL(e, ERR_USAGE, "the baseline %s has no \"%.80s\"", path, name);
    if (cJSON_IsNull(found))
        FAIL(e, ERR_FORMAT, "%.80s is undefined in the baseline %s: nothing to compare with", name,
             path);
    if (*count == REQUIREMENTS_MAX)
        FAIL(e, ERR_LIMIT, "more than %d requirements", REQUIREMENTS_MAX);
    bool lower = lower_is_better(name);
    struct requirement *r = &out[(*count)++];
    *r = (struct requirement){.metric = name,
                              .operation = lower ? "<=" : ">=",
                              .bar = found->valuedouble + (lower ? max_drop : -max_drop),
                              .of_baseline = true};
    return ERR_OK;
}

enum err_code requirements_from_baseline(struct arena *a, const char *path, const char *names,
                                         double max_drop, struct requirement *out, int *count,
                                         struct err *e)
{
    cJSON *baseline = NULL;
    TRY(json_read(path, 0, &baseline, e));
    char *rest = names ? arena_strdup(a, names) : NULL, *name;
    enum err_code code = names && !rest ? RAISE(e, ERR_MEMORY, "out of memory") : ERR_OK;
    while (code == ERR_OK && (name = str_list_next(&rest)) != NULL)
        code = add_baseline(baseline, path, name, max_drop, out, count, e);
    cJSON_Delete(baseline);
    return code;
}

bool requirement_judge(struct requirement *r)
{
    bool above = r->operation[0] == '>', or_equal = r->operation[1] == '=';
    r->met = (above ? r->value > r->bar : r->value < r->bar) || (or_equal && r->value == r->bar);
    return r->met;
}

void requirement_tell(const struct requirement *r)
{
    char value[32], bar[32];
    str_from_f64(r->value, value, sizeof value);
    str_from_f64(r->bar, bar, sizeof bar);
    log_message(r->met ? LOG_INFO : LOG_ERROR, "%s is %s, required %s %s%s%s", r->metric,
                isnan(r->value) ? "undefined" : value, r->operation, bar,
                r->of_baseline ? " by the baseline" : "", r->met ? ": met" : "");
}

cJSON *requirements_to_json(const struct requirement *requirements, int count)
{
    cJSON *list = cJSON_CreateArray();
    for (int i = 0; i < count; i++) {
        const struct requirement *r = &requirements[i];
        cJSON *object = cJSON_CreateObject();
        cJSON_AddStringToObject(object, "metric", r->metric);
        cJSON_AddStringToObject(object, "operator", r->operation);
        cJSON_AddNumberToObject(object, "bar", r->bar);
        cJSON_AddNumberToObject(object, "value", r->value);
        cJSON_AddBoolToObject(object, "met", r->met);
        if (r->of_baseline)
            cJSON_AddBoolToObject(object, "baseline", true);
        cJSON_AddItemToArray(list, object);
    }
    return list;
}
