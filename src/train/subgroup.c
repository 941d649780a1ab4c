#include "train/subgroup.h"

#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/named.h"
#include "base/str.h"
#include "format/csv.h"

#define TABLE_MAX_BYTES ((size_t)1 << 30)
#define UNKNOWN "unknown"

/* What a variable is read from: a column of a table, or a member of the data set's entries. */
struct source {
    struct named *sorted; /* [count] by id */
    int64_t count;
    const struct csv *table; /* NULL: the data set */
    const struct manifest *set;
    int64_t column;
    const char *variable;
};

static const struct named *find(const struct source *s, const char *id)
{
    return named_find(s->sorted, s->count, id);
}

/* ---- groups of a record ---- */

static const char *const age_bands[] = {"under 18", "18-39", "40-59", "60-79", "80 and over"};

static const char *age_band(double years)
{
    static const double ends[] = {18, 40, 60, 80};
    int band = 0;
    if (isnan(years) || years < 0)
        return UNKNOWN;
    while (band < 4 && years >= ends[band])
        band++;
    return age_bands[band];
}

static const char *const entry_variables[] = {"age", "sex", "site", "device", NULL};

static const char *group_of_entry(const struct manifest_entry *entry, const char *variable)
{
    const char *text = NULL;
    if (strcmp(variable, "age") == 0)
        return age_band(entry->age_years);
    if (strcmp(variable, "sex") == 0)
        text = entry->sex == SEX_FEMALE ? "female" : entry->sex == SEX_MALE ? "male" : NULL;
    else
        text = strcmp(variable, "site") == 0 ? entry->site : entry->device;
    return text && *text ? text : UNKNOWN;
}

static const char *group_of(const struct source *s, const char *id)
{
    const struct named *found = find(s, id);
    if (!found)
        return UNKNOWN;
    if (!s->table)
        return group_of_entry(&s->set->entries[found->index], s->variable);
    const char *cell = csv_cell(s->table, found->index, s->column);
    return *cell ? cell : UNKNOWN;
}

/* Bands by age, others by name, "unknown" last. */
static int group_order(const void *a, const void *b)
{
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    int place[2] = {-1, -1};
    if ((strcmp(x, UNKNOWN) == 0) != (strcmp(y, UNKNOWN) == 0))
        return strcmp(x, UNKNOWN) == 0 ? 1 : -1;
    for (int i = 0; i < 5; i++) {
        place[0] = strcmp(x, age_bands[i]) == 0 ? i : place[0];
        place[1] = strcmp(y, age_bands[i]) == 0 ? i : place[1];
    }
    if (place[0] >= 0 && place[1] >= 0)
        return place[0] - place[1];
    return strcmp(x, y);
}

/* ---- evaluating ---- */

struct making {
    struct subgroups *out;
    const struct predictions *p;
    const double *thresholds;
    const struct bootstrap_options *options;
    const char **groups; /* [n] of the variable at hand */
    int64_t cap;         /* of out->list */
};

/* The records of a group, their strings borrowed. */
static enum err_code select_records(const struct predictions *p, const char **groups,
                                    const char *name, struct predictions *out, struct err *e)
{
    int64_t count = 0, row = 0, K = p->class_count;
    for (int64_t i = 0; i < p->count; i++)
        count += strcmp(groups[i], name) == 0;
    TRY(predictions_init(out, count, K, e));
    out->kind = p->kind;
    memcpy(out->class_names, p->class_names, (size_t)K * sizeof *out->class_names);
    memcpy(out->class_codes, p->class_codes, (size_t)K * sizeof *out->class_codes);
    for (int64_t i = 0; i < p->count; i++) {
        if (strcmp(groups[i], name) != 0)
            continue;
        out->ids[row] = p->ids[i];
        memcpy(out->labels + row * K, p->labels + i * K, (size_t)K * sizeof *out->labels);
        memcpy(out->scores + row * K, p->scores + i * K, (size_t)K * sizeof *out->scores);
        row++;
    }
    return ERR_OK;
}

static enum err_code evaluate_group(struct making *m, const char *variable, const char *name,
                                    struct err *e)
{
    struct predictions part = {0};
    struct subgroup *g = &m->out->list[m->out->count];
    g->variable = arena_strdup(&m->out->arena, variable);
    g->name = arena_strdup(&m->out->arena, name);
    enum err_code code = g->variable && g->name ? select_records(m->p, m->groups, name, &part, e)
                                                : RAISE(e, ERR_MEMORY, "out of memory");
    if (code == ERR_OK) {
        m->out->count++; /* freed with the others, also after an error */
        code = evaluation_make_at(&g->evaluation, &part, m->thresholds, m->options, e);
    }
    predictions_free(&part);
    if (code != ERR_OK)
        err_context(e, "%s %.60s", variable, name);
    return code;
}

static enum err_code evaluate_variable(struct making *m, const struct source *s, struct err *e)
{
    const char *names[SUBGROUPS_MAX];
    int64_t count = 0;
    for (int64_t i = 0; i < m->p->count; i++) {
        int64_t g = 0;
        m->groups[i] = group_of(s, m->p->ids[i]);
        while (g < count && strcmp(names[g], m->groups[i]) != 0)
            g++;
        if (g < count)
            continue;
        if (count == SUBGROUPS_MAX)
            FAIL(e, ERR_LIMIT, "%.60s has more than %d groups: numbers need bands", s->variable,
                 SUBGROUPS_MAX);
        names[count++] = m->groups[i];
    }
    qsort(names, (size_t)count, sizeof *names, group_order);
    if (m->out->count + count > m->cap)
        FAIL(e, ERR_LIMIT, "more than %lld groups", (long long)m->cap);
    for (int64_t g = 0; g < count; g++)
        TRY(evaluate_group(m, s->variable, names[g], e));
    return ERR_OK;
}

/* ---- where variables come from ---- */

static enum err_code sort_table(const struct csv *table, const char *path, struct source *s,
                                struct arena *a, struct err *e)
{
    int64_t id = csv_column(table, "id");
    if (id < 0)
        FAIL(e, ERR_FORMAT, "%s: no column \"id\"", path);
    s->table = table;
    s->count = table->row_count;
    s->sorted = arena_push_array(a, (size_t)s->count, sizeof *s->sorted);
    if (!s->sorted)
        FAIL(e, ERR_MEMORY, "out of memory for %lld records", (long long)s->count);
    for (int64_t i = 0; i < s->count; i++)
        s->sorted[i] = (struct named){csv_cell(table, i, id), i};
    named_sort(s->sorted, s->count);
    const struct named *twice = named_twice(s->sorted, s->count);
    if (twice)
        FAIL(e, ERR_FORMAT, "%s: id \"%.100s\" occurs twice", path, twice->name);
    return ERR_OK;
}

static enum err_code sort_entries(const struct manifest *set, struct source *s, struct arena *a,
                                  struct err *e)
{
    s->set = set;
    s->count = set->count;
    s->sorted = arena_push_array(a, (size_t)s->count, sizeof *s->sorted);
    if (!s->sorted)
        FAIL(e, ERR_MEMORY, "out of memory for %lld records", (long long)s->count);
    for (int64_t i = 0; i < s->count; i++)
        s->sorted[i] = (struct named){set->entries[i].id, i};
    named_sort(s->sorted, s->count);
    return ERR_OK;
}

static enum err_code check_found(const struct making *m, const struct source *s, struct err *e)
{
    for (int64_t i = 0; i < m->p->count; i++)
        if (find(s, m->p->ids[i]))
            return ERR_OK;
    FAIL(e, ERR_NOT_FOUND, "no record of the predictions is in the %s, such as %.100s",
         s->table ? "table of subgroups" : "data set", m->p->ids[0]);
}

static bool has_text(const char *const *list, const char *text)
{
    while (*list && strcmp(*list, text) != 0)
        list++;
    return *list;
}

static enum err_code make_variable(struct making *m, struct source *table, struct source *set,
                                   const char *variable, struct err *e)
{
    int64_t column = table->table ? csv_column(table->table, variable) : -1;
    bool of_set = set->set && has_text(entry_variables, variable);
    if (column < 0 && !of_set)
        FAIL(e, ERR_USAGE, "no subgroups by \"%.60s\": a data set has age, sex, site and device%s",
             variable, table->table ? ", and the table of subgroups no such column" : "");
    struct source *source = column >= 0 ? table : set;
    source->column = column;
    source->variable = variable;
    TRY(check_found(m, source, e));
    return evaluate_variable(m, source, e);
}

static enum err_code make(struct making *m, const struct subgroup_request *request,
                          const struct csv *csv, struct err *e)
{
    struct arena *a = &m->out->arena;
    struct source table = {0}, set = {0};
    m->cap = 8 * SUBGROUPS_MAX;
    m->out->list = arena_push_array(a, (size_t)m->cap, sizeof *m->out->list);
    m->groups = arena_push_array(a, (size_t)m->p->count, sizeof *m->groups);
    if (!m->out->list || !m->groups)
        FAIL(e, ERR_MEMORY, "out of memory for subgroups");
    if (request->path)
        TRY(sort_table(csv, request->path, &table, a, e));
    if (request->set)
        TRY(sort_entries(request->set, &set, a, e));
    for (int64_t i = 0; !request->variables && i < csv->column_count; i++)
        if (strcmp(csv->header[i], "id") != 0)
            TRY(make_variable(m, &table, &set, csv->header[i], e));
    char *list = request->variables ? arena_strdup(a, request->variables) : NULL;
    for (char *name; (name = str_list_next(&list)) != NULL;)
        TRY(make_variable(m, &table, &set, name, e));
    return ERR_OK;
}

enum err_code subgroups_make(struct subgroups *s, const struct predictions *p,
                             const struct subgroup_request *request, const double *thresholds,
                             const struct bootstrap_options *options, struct err *e)
{
    struct csv csv = {0};
    memset(s, 0, sizeof *s);
    arena_init(&s->arena, "subgroups", 0);
    ASSERT(request->variables || request->path, "nothing to group by");
    struct making m = {.out = s, .p = p, .thresholds = thresholds, .options = options};
    enum err_code code = request->path ? csv_read(request->path, TABLE_MAX_BYTES, &csv, e) : ERR_OK;
    if (code == ERR_OK)
        code = make(&m, request, &csv, e);
    csv_free(&csv);
    return code;
}

void subgroups_free(struct subgroups *s)
{
    for (int64_t i = 0; i < s->count; i++)
        evaluation_free(&s->list[i].evaluation);
    arena_reset(&s->arena);
    memset(s, 0, sizeof *s);
}

/* ---- results ---- */

enum err_code subgroups_value(const struct subgroups *s, const char *name, double *out,
                              struct err *e)
{
    char metric[128];
    const char *at = strrchr(name, '@');
    if (!at || (size_t)(at - name) >= sizeof metric)
        FAIL(e, ERR_USAGE, "\"%.80s\" is no value of a subgroup, such as macro_auroc@sex=female",
             name);
    memcpy(metric, name, (size_t)(at - name));
    metric[at - name] = '\0';
    for (int64_t i = 0; i < s->count; i++) {
        const struct subgroup *g = &s->list[i];
        size_t n = strlen(g->variable);
        if (strncmp(at + 1, g->variable, n) == 0 && at[1 + n] == '=' &&
            strcmp(at + 2 + n, g->name) == 0)
            return evaluation_value(&g->evaluation, metric, out, e);
    }
    FAIL(e, ERR_USAGE, "there is no subgroup \"%.80s\"%s", at + 1,
         s->count ? "" : ": --subgroups is missing");
}

cJSON *subgroups_to_json(const struct subgroups *s)
{
    cJSON *list = cJSON_CreateArray();
    for (int64_t i = 0; i < s->count; i++) {
        cJSON *object = cJSON_CreateObject();
        cJSON_AddStringToObject(object, "variable", s->list[i].variable);
        cJSON_AddStringToObject(object, "group", s->list[i].name);
        cJSON_AddItemToObject(object, "metrics", evaluation_to_json(&s->list[i].evaluation));
        cJSON_AddItemToArray(list, object);
    }
    return list;
}
