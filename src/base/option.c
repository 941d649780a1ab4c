#include "base/option.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/str.h"

#define KEY_SIZE 128

const char *option_source_name(enum option_source source)
{
    switch (source) {
    case OPTION_FROM_DEFAULT:
        return "default";
    case OPTION_FROM_DATA:
        return "data";
    case OPTION_FROM_PRESET:
        return "preset";
    case OPTION_FROM_FILE:
        return "file";
    case OPTION_FROM_SET:
        return "set";
    case OPTION_FROM_FLAG:
        return "flag";
    }
    return "unknown";
}

void option_set_init(struct option_set *set)
{
    *set = (struct option_set){0};
    arena_init(&set->arena, "options", 0);
}

void option_set_free(struct option_set *set)
{
    arena_reset(&set->arena);
    set->group_count = 0;
}

static bool has_bounds(const struct option *row) { return row->min < row->max; }

static void describe_bounds(const struct option *row, char *out, size_t size)
{
    char low[40], high[40];
    const char *kind = row->type == OPTION_INT ? "an integer" : "a number";
    str_from_f64(row->min, low, sizeof low);
    str_from_f64(row->max, high, sizeof high);
    bool below = has_bounds(row) && row->min > -9e18, above = has_bounds(row) && row->max < 9e18;
    if (below && above)
        snprintf(out, size, "%s from %s to %s", kind, low, high);
    else if (below)
        snprintf(out, size, "%s of at least %s", kind, low);
    else if (above)
        snprintf(out, size, "%s of at most %s", kind, high);
    else
        snprintf(out, size, "%s", kind);
}

static bool choice_contains(const char *choices, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = choices; p != NULL && n > 0;
         p = strchr(p, '|') ? strchr(p, '|') + 1 : NULL)
        if (strcspn(p, "|") == n && memcmp(p, word, n) == 0)
            return true;
    return false;
}

static enum err_code set_string(struct option_set *set, const char **target, const char *text,
                                struct err *e)
{
    if (text == NULL) {
        *target = NULL;
        return ERR_OK;
    }
    const char *copy = arena_strdup(&set->arena, text);
    if (copy == NULL)
        FAIL(e, ERR_MEMORY, "out of memory for an option value");
    *target = copy;
    return ERR_OK;
}

/* Parses text into the row's place in target; with target NULL it is only checked. */
static enum err_code assign(struct option_set *set, const struct option *row, const char *key,
                            const char *text, void *target, struct err *e)
{
    char bounds[128];
    char *place = target == NULL ? NULL : (char *)target + row->offset;
    switch (row->type) {
    case OPTION_INT: {
        int64_t value;
        if (text == NULL || !str_to_i64(text, &value) ||
            (has_bounds(row) && ((double)value < row->min || (double)value > row->max)))
            break;
        if (place != NULL)
            memcpy(place, &value, sizeof value);
        return ERR_OK;
    }
    case OPTION_FLOAT: {
        double value;
        if (text == NULL || !str_to_f64(text, false, &value) ||
            (has_bounds(row) && (value < row->min || value > row->max)))
            break;
        if (place != NULL)
            memcpy(place, &value, sizeof value);
        return ERR_OK;
    }
    case OPTION_BOOL: {
        bool value;
        if (text == NULL || !str_to_bool(text, &value))
            FAIL(e, ERR_USAGE, "option %s: expected true or false, found \"%s\"", key,
                 text == NULL ? "null" : text);
        if (place != NULL)
            memcpy(place, &value, sizeof value);
        return ERR_OK;
    }
    case OPTION_CHOICE:
        if (text != NULL && !choice_contains(row->choices, text))
            FAIL(e, ERR_USAGE, "option %s: expected one of %s, found \"%s\"", key, row->choices,
                 text);
        return place == NULL ? ERR_OK : set_string(set, (const char **)(void *)place, text, e);
    case OPTION_STRING:
        return place == NULL ? ERR_OK : set_string(set, (const char **)(void *)place, text, e);
    }
    describe_bounds(row, bounds, sizeof bounds);
    FAIL(e, ERR_USAGE, "option %s: expected %s, found \"%s\"%s%s", key, bounds,
         text == NULL ? "null" : text,
         row->unit == NULL ? "" : "; unit: ", row->unit == NULL ? "" : row->unit);
}

/* "prefix.name", or "name" without a prefix. */
static void make_key(const struct option_group *group, const struct option *row, char out[KEY_SIZE])
{
    int n = snprintf(out, KEY_SIZE, "%s%s%s", group->prefix, group->prefix[0] == '\0' ? "" : ".",
                     row->name);
    ASSERT(n > 0 && n < KEY_SIZE, "option key too long: %s", row->name);
}

/* Finds a key (hyphens count as underscores); *group_out and *row_out are its places. */
static bool find(const struct option_set *set, const char *key, int *group_out, int *row_out)
{
    char wanted[KEY_SIZE], own[KEY_SIZE];
    if (!str_copy(wanted, sizeof wanted, key))
        return false;
    for (char *p = wanted; *p != '\0'; p++)
        if (*p == '-')
            *p = '_';
    for (int g = 0; g < set->group_count; g++) {
        const struct option *rows = set->groups[g].rows;
        for (int r = 0; rows[r].name != NULL; r++) {
            make_key(&set->groups[g], &rows[r], own);
            if (strcmp(own, wanted) == 0) {
                *group_out = g;
                *row_out = r;
                return true;
            }
        }
    }
    return false;
}

void option_set_add(struct option_set *set, const char *prefix, const struct option *rows,
                    void *target)
{
    ASSERT(set->group_count < OPTION_GROUPS_MAX, "more than %d option groups", OPTION_GROUPS_MAX);
    struct option_group *group = &set->groups[set->group_count];
    *group = (struct option_group){.prefix = prefix, .rows = rows, .target = target};
    for (int r = 0; rows[r].name != NULL; r++) {
        char key[KEY_SIZE];
        int other_group, other_row;
        make_key(group, &rows[r], key);
        ASSERT(r < OPTION_ROWS_MAX, "more than %d options in one group", OPTION_ROWS_MAX);
        ASSERT(!find(set, key, &other_group, &other_row), "option %s is declared twice", key);
        bool may_be_absent = rows[r].type == OPTION_STRING || rows[r].type == OPTION_CHOICE;
        ASSERT(may_be_absent || rows[r].fallback != NULL, "option %s has no default", key);
        struct err e = {0};
        if (assign(set, &rows[r], key, rows[r].fallback, target, &e) != ERR_OK)
            BUG("bad default: %s", e.message);
    }
    set->group_count++;
}

static enum err_code fail_unknown(const struct option_set *set, const char *key, struct err *e)
{
    struct arena a;
    arena_init(&a, "keys", 0);
    const char **keys = arena_push_array(&a, OPTION_GROUPS_MAX * OPTION_ROWS_MAX + 1, sizeof *keys);
    const char **leaves =
        arena_push_array(&a, OPTION_GROUPS_MAX * OPTION_ROWS_MAX + 1, sizeof *leaves);
    int n = 0, nearest = -1;
    for (int g = 0; keys != NULL && leaves != NULL && g < set->group_count; g++)
        for (const struct option *row = set->groups[g].rows; row->name != NULL; row++) {
            char own[KEY_SIZE];
            make_key(&set->groups[g], row, own);
            keys[n] = arena_strdup(&a, own);
            leaves[n] = row->name;
            if (keys[n] != NULL)
                n++;
        }
    if (n > 0) {
        leaves[n] = NULL; /* the other list ends with NULL by itself */
        nearest = str_nearest(key, keys);
        const char *dot = strrchr(key, '.');
        if (nearest < 0) /* "mask_ratio" for "mae.mask_ratio", or the wrong prefix */
            nearest = str_nearest(dot != NULL ? dot + 1 : key, leaves);
    }
    if (nearest < 0)
        RAISE(e, ERR_USAGE, "unknown option %s", key);
    else
        RAISE(e, ERR_USAGE, "unknown option %s: did you mean %s?", key, keys[nearest]);
    arena_reset(&a);
    return ERR_USAGE;
}

/* text NULL unsets a string. */
static enum err_code set_value(struct option_set *set, const char *key, const char *text,
                               enum option_source source, struct err *e)
{
    int g, r;
    if (!find(set, key, &g, &r))
        return fail_unknown(set, key, e);
    struct option_group *group = &set->groups[g];
    bool stronger = source >= group->sources[r];
    if (group->rows[r].repeats && source == group->sources[r] && text != NULL) {
        const char *before;
        memcpy(&before, (const char *)group->target + group->rows[r].offset, sizeof before);
        if (before != NULL)
            text = arena_printf(&set->arena, "%s,%s", before, text);
        if (text == NULL)
            FAIL(e, ERR_MEMORY, "out of memory for an option value");
    }
    TRY(assign(set, &group->rows[r], key, text, stronger ? group->target : NULL, e));
    if (stronger)
        group->sources[r] = source;
    return ERR_OK;
}

enum err_code option_set_text(struct option_set *set, const char *key, const char *value,
                              enum option_source source, struct err *e)
{
    return set_value(set, key, value, source, e);
}

enum err_code option_set_words(struct option_set *set, const char *words, enum option_source source,
                               bool known_only, struct err *e)
{
    char text[1024];
    ASSERT(str_copy(text, sizeof text, words), "too many words: %.40s...", words);
    char *rest = text;
    for (char *word; (word = strsep(&rest, " ")) != NULL;) {
        char *equals = strchr(word, '=');
        if (!equals)
            continue;
        *equals = 0;
        if (known_only && !option_set_find(set, word))
            continue;
        TRY(option_set_text(set, word, equals + 1, source, e));
    }
    return ERR_OK;
}

static enum err_code set_json_value(struct option_set *set, const char *key, const cJSON *value,
                                    enum option_source source, struct err *e)
{
    char text[40];
    if (cJSON_IsObject(value) && cJSON_GetObjectItemCaseSensitive(value, "value") != NULL)
        value = cJSON_GetObjectItemCaseSensitive(value, "value"); /* the form with sources */
    if (cJSON_IsString(value) || cJSON_IsRaw(value))
        return set_value(set, key, value->valuestring, source, e);
    if (cJSON_IsBool(value))
        return set_value(set, key, cJSON_IsTrue(value) ? "true" : "false", source, e);
    if (cJSON_IsNull(value))
        return set_value(set, key, NULL, source, e);
    if (!cJSON_IsNumber(value))
        FAIL(e, ERR_USAGE, "option %s: expected one value, found a list or an object", key);
    double x = value->valuedouble;
    if (x == floor(x) && fabs(x) <= 0x1p53)
        snprintf(text, sizeof text, "%lld", (long long)x);
    else
        str_from_f64(x, text, sizeof text);
    return set_value(set, key, text, source, e);
}

/* path: the prefix so far, "" or "mae" */
static enum err_code set_json(struct option_set *set, const char *path, const cJSON *object,
                              enum option_source source, struct err *e)
{
    for (const cJSON *item = object->child; item != NULL; item = item->next) {
        char key[KEY_SIZE];
        int n = snprintf(key, sizeof key, "%s%s%s", path, path[0] == '\0' ? "" : ".", item->string);
        if (n < 0 || n >= (int)sizeof key)
            FAIL(e, ERR_USAGE, "unknown option %s: the name is too long", key);
        for (const cJSON *before = object->child; before != item; before = before->next)
            if (strcmp(before->string, item->string) == 0)
                FAIL(e, ERR_USAGE, "option %s is given twice", key);
        int group, row;
        if (cJSON_IsObject(item) && !find(set, key, &group, &row))
            TRY(set_json(set, key, item, source, e));
        else
            TRY(set_json_value(set, key, item, source, e));
    }
    return ERR_OK;
}

enum err_code option_set_json(struct option_set *set, const struct cJSON *object,
                              enum option_source source, struct err *e)
{
    if (!cJSON_IsObject(object))
        FAIL(e, ERR_USAGE, "a configuration must be a JSON object");
    return set_json(set, "", object, source, e);
}

const struct option *option_set_find(const struct option_set *set, const char *key)
{
    int g, r;
    return find(set, key, &g, &r) ? &set->groups[g].rows[r] : NULL;
}

enum option_source option_set_source(const struct option_set *set, const char *key)
{
    int g, r;
    return find(set, key, &g, &r) ? set->groups[g].sources[r] : OPTION_FROM_DEFAULT;
}

static cJSON *value_to_json(const struct option *row, const void *target)
{
    const char *place = (const char *)target + row->offset;
    switch (row->type) {
    case OPTION_INT: {
        int64_t value;
        memcpy(&value, place, sizeof value);
        if (value >= -(INT64_C(1) << 53) && value <= INT64_C(1) << 53)
            return cJSON_CreateNumber((double)value);
        char text[32]; /* a JSON number would lose digits: text reads back as well */
        snprintf(text, sizeof text, "%lld", (long long)value);
        return cJSON_CreateString(text);
    }
    case OPTION_FLOAT: {
        double value;
        memcpy(&value, place, sizeof value);
        return cJSON_CreateNumber(value);
    }
    case OPTION_BOOL: {
        bool value;
        memcpy(&value, place, sizeof value);
        return cJSON_CreateBool(value);
    }
    case OPTION_STRING:
    case OPTION_CHOICE: {
        const char *value;
        memcpy(&value, place, sizeof value);
        return value == NULL ? cJSON_CreateNull() : cJSON_CreateString(value);
    }
    }
    return NULL;
}

enum err_code option_set_inherit(struct option_set *set, const struct option_set *from,
                                 struct err *e)
{
    for (int g = 0; g < from->group_count; g++) {
        const struct option_group *group = &from->groups[g];
        for (int r = 0; group->rows[r].name != NULL; r++) {
            char key[KEY_SIZE];
            make_key(group, &group->rows[r], key);
            if (group->sources[r] == OPTION_FROM_DEFAULT || !option_set_find(set, key))
                continue;
            cJSON *value = value_to_json(&group->rows[r], group->target);
            enum err_code code = set_json_value(set, key, value, group->sources[r], e);
            cJSON_Delete(value);
            TRY(code);
        }
    }
    return ERR_OK;
}

struct cJSON *option_rows_to_json(const struct option *rows, const void *target)
{
    cJSON *object = cJSON_CreateObject();
    for (; rows->name != NULL; rows++)
        cJSON_AddItemToObject(object, rows->name, value_to_json(rows, target));
    return object;
}

/* The object at a dotted prefix, made on the way. */
static cJSON *object_at(cJSON *root, const char *prefix)
{
    cJSON *object = root;
    while (*prefix != '\0') {
        char part[KEY_SIZE];
        size_t n = strcspn(prefix, ".");
        snprintf(part, sizeof part, "%.*s", (int)n, prefix);
        cJSON *child = cJSON_GetObjectItemCaseSensitive(object, part);
        if (child == NULL)
            child = cJSON_AddObjectToObject(object, part);
        object = child;
        prefix += n + (prefix[n] == '.');
    }
    return object;
}

struct cJSON *option_set_to_json(const struct option_set *set, bool with_sources)
{
    cJSON *root = cJSON_CreateObject();
    for (int g = 0; g < set->group_count; g++) {
        const struct option_group *group = &set->groups[g];
        for (int r = 0; group->rows[r].name != NULL; r++) {
            const struct option *row = &group->rows[r];
            cJSON *value = value_to_json(row, group->target);
            if (with_sources) {
                char key[KEY_SIZE];
                make_key(group, row, key);
                cJSON *entry = cJSON_AddObjectToObject(root, key);
                cJSON_AddItemToObject(entry, "value", value);
                cJSON_AddStringToObject(entry, "source", option_source_name(group->sources[r]));
            } else {
                cJSON_AddItemToObject(object_at(root, group->prefix), row->name, value);
            }
        }
    }
    return root;
}
