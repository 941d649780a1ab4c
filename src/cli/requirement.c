#include "cli/requirement.h"

#include <math.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/log.h"
#include "base/str.h"

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
    *count = 0;
    while (list != NULL) {
        const char *comma = strchr(list, ',');
        size_t length = comma != NULL ? (size_t)(comma - list) : strlen(list);
        char *text = arena_strndup(a, list, length);
        if (text == NULL)
            FAIL(e, ERR_MEMORY, "out of memory");
        if (*count == REQUIREMENTS_MAX)
            FAIL(e, ERR_LIMIT, "more than %d requirements", REQUIREMENTS_MAX);
        TRY(requirement_parse(text, &out[(*count)++], e));
        list = comma != NULL ? comma + 1 : NULL;
    }
    return ERR_OK;
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
    log_message(r->met ? LOG_INFO : LOG_ERROR, "%s is %s, required %s %s%s", r->metric,
                isnan(r->value) ? "undefined" : value, r->operation, bar, r->met ? ": met" : "");
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
        cJSON_AddItemToObject(object, "value",
                              isnan(r->value) ? cJSON_CreateNull() : cJSON_CreateNumber(r->value));
        cJSON_AddBoolToObject(object, "met", r->met);
        cJSON_AddItemToArray(list, object);
    }
    return list;
}
