#include "train/comparison.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/str.h"
#include "metric/metric.h"

/* Records and classes that both have: row i of the first is row rows[i] of the second, or -1; the same
 * of the classes. */
struct match {
    const struct predictions *first, *second;
    int64_t *rows, *classes;
    double *scores;  /* [n] of one class */
    uint8_t *labels; /* [n] */
};

struct named_row {
    const char *id;
    int64_t row;
};

static int row_order(const void *a, const void *b)
{
    return strcmp(((const struct named_row *)a)->id, ((const struct named_row *)b)->id);
}

static enum err_code match_rows(struct match *m, struct comparison *c, struct err *e)
{
    int64_t n = m->second->count;
    struct named_row *sorted = arena_push_array(&c->arena, (size_t)n, sizeof *sorted);
    if (!sorted)
        FAIL(e, ERR_MEMORY, "out of memory for %lld records", (long long)n);
    for (int64_t i = 0; i < n; i++)
        sorted[i] = (struct named_row){m->second->ids[i], i};
    qsort(sorted, (size_t)n, sizeof *sorted, row_order);
    for (int64_t i = 0; i < m->first->count; i++) {
        struct named_row key = {.id = m->first->ids[i]};
        const struct named_row *found = bsearch(&key, sorted, (size_t)n, sizeof key, row_order);
        m->rows[i] = found ? found->row : -1;
        c->count += found != NULL;
    }
    c->only_first = m->first->count - c->count;
    c->only_second = n - c->count;
    if (c->count == 0)
        FAIL(e, ERR_NOT_FOUND, "no record is scored by both (%lld and %lld are)",
             (long long)m->first->count, (long long)n);
    return ERR_OK;
}

static enum err_code match_classes(struct match *m, struct err *e)
{
    if (m->first->class_count != m->second->class_count)
        FAIL(e, ERR_LABELS, "%lld classes in the first, %lld in the second",
             (long long)m->first->class_count, (long long)m->second->class_count);
    for (int64_t k = 0; k < m->first->class_count; k++) {
        m->classes[k] = -1;
        for (int64_t j = 0; j < m->second->class_count; j++)
            if (strcmp(m->first->class_names[k], m->second->class_names[j]) == 0)
                m->classes[k] = j;
        if (m->classes[k] < 0)
            FAIL(e, ERR_LABELS, "class %.60s is not in the second", m->first->class_names[k]);
    }
    return ERR_OK;
}

static double score_at(const struct match *m, int side, int64_t i, int64_t k)
{
    const struct predictions *p = side ? m->second : m->first;
    return side ? p->scores[m->rows[i] * p->class_count + m->classes[k]]
                : p->scores[i * p->class_count + k];
}

static enum err_code class_auroc(const struct match *m, const struct comparison *c, int side,
                                 int64_t k, double *out, struct err *e)
{
    int64_t n = 0;
    for (int64_t i = 0; i < m->first->count; i++)
        if (m->rows[i] >= 0) {
            m->scores[n] = score_at(m, side, i, k);
            m->labels[n++] = m->first->labels[i * c->class_count + k] > 0;
        }
    struct ranking r = {0};
    enum err_code code = ranking_init(&r, m->scores, m->labels, n, e);
    if (code == ERR_OK)
        *out = metric_auroc.compute(&r, NULL);
    ranking_free(&r);
    return code;
}

/* Sums of the changes of a class go to out->mean_change. */
static enum err_code compare_class(const struct match *m, struct comparison *c, int64_t k,
                                   struct err *e)
{
    struct class_comparison *out = &c->classes[k];
    const struct predictions *p = m->first, *q = m->second;
    for (int64_t i = 0; i < p->count; i++) {
        if (m->rows[i] < 0)
            continue;
        if (p->labels[i * c->class_count + k] !=
            q->labels[m->rows[i] * c->class_count + m->classes[k]])
            FAIL(e, ERR_LABELS, "record %.100s has two labels of class %.60s", p->ids[i],
                 out->name);
        double a = score_at(m, 0, i, k), b = score_at(m, 1, i, k);
        double change = fabs(a - b);
        out->mean_change += change;
        out->changed += (a >= METRIC_THRESHOLD) != (b >= METRIC_THRESHOLD);
        if (change > out->largest_change)
            out->largest_change = change;
        if (change > c->largest_change || !c->largest_id) {
            c->largest_change = change;
            c->largest_id = arena_strdup(&c->arena, p->ids[i]);
            c->largest_class = out->name;
        }
    }
    c->mean_change += out->mean_change;
    c->changed += out->changed;
    out->mean_change /= (double)c->count;
    for (int side = 0; side < 2; side++)
        TRY(class_auroc(m, c, side, k, &out->auroc[side], e));
    return ERR_OK;
}

static enum err_code compare(struct match *m, struct comparison *c, struct err *e)
{
    size_t n = (size_t)m->first->count, K = (size_t)m->first->class_count;
    c->class_count = m->first->class_count;
    c->classes = arena_push_array(&c->arena, K, sizeof *c->classes);
    m->rows = arena_push_array(&c->arena, n, sizeof *m->rows);
    m->classes = arena_push_array(&c->arena, K, sizeof *m->classes);
    m->scores = arena_push_array(&c->arena, n, sizeof *m->scores);
    m->labels = arena_push_array(&c->arena, n, sizeof *m->labels);
    double *side_auroc = arena_push_array(&c->arena, K, sizeof *side_auroc);
    if (!c->classes || !m->rows || !m->classes || !m->scores || !m->labels || !side_auroc)
        FAIL(e, ERR_MEMORY, "out of memory for %zu records", n);
    TRY(match_classes(m, e));
    TRY(match_rows(m, c, e));
    c->decisions = c->count * c->class_count;
    for (int64_t k = 0; k < c->class_count; k++) {
        c->classes[k].name = arena_strdup(&c->arena, m->first->class_names[k]);
        TRY(compare_class(m, c, k, e));
    }
    c->mean_change /= (double)c->decisions;
    for (int side = 0; side < 2; side++) {
        for (size_t k = 0; k < K; k++)
            side_auroc[k] = c->classes[k].auroc[side];
        c->macro_auroc[side] = macro_average(side_auroc, c->class_count, &c->auroc_classes);
    }
    return ERR_OK;
}

enum err_code comparison_make(struct comparison *c, const struct predictions *first,
                              const struct predictions *second, struct err *e)
{
    memset(c, 0, sizeof *c);
    arena_init(&c->arena, "comparison", 0);
    struct match m = {.first = first, .second = second};
    return compare(&m, c, e);
}

void comparison_free(struct comparison *c)
{
    arena_reset(&c->arena);
    memset(c, 0, sizeof *c);
}

/* ---- values by name ---- */

static const char *const value_names[] = {"n",
                                          "only_first",
                                          "only_second",
                                          "macro_auroc_first",
                                          "macro_auroc_second",
                                          "macro_auroc_loss",
                                          "mean_change",
                                          "largest_change",
                                          "decisions",
                                          "changed",
                                          "same_decisions",
                                          NULL};

static double value_at(const struct comparison *c, int i)
{
    switch (i) {
    case 0:
        return (double)c->count;
    case 1:
        return (double)c->only_first;
    case 2:
        return (double)c->only_second;
    case 3:
        return c->macro_auroc[0];
    case 4:
        return c->macro_auroc[1];
    case 5:
        return c->macro_auroc[0] - c->macro_auroc[1];
    case 6:
        return c->mean_change;
    case 7:
        return c->largest_change;
    case 8:
        return (double)c->decisions;
    case 9:
        return (double)c->changed;
    default:
        return 1 - (double)c->changed / (double)c->decisions;
    }
}

enum err_code comparison_value(const struct comparison *c, const char *name, double *out,
                               struct err *e)
{
    for (int i = 0; value_names[i]; i++)
        if (strcmp(value_names[i], name) == 0) {
            *out = value_at(c, i);
            return ERR_OK;
        }
    int nearest = str_nearest(name, value_names);
    if (nearest >= 0)
        FAIL(e, ERR_USAGE, "--compare has no \"%.80s\"; did you mean \"%s\"?", name,
             value_names[nearest]);
    FAIL(e, ERR_USAGE, "--compare has no \"%.80s\"; there are such as macro_auroc_loss", name);
}

static void add_number(cJSON *object, const char *name, double value)
{
    cJSON_AddItemToObject(object, name,
                          isnan(value) ? cJSON_CreateNull() : cJSON_CreateNumber(value));
}

cJSON *comparison_to_json(const struct comparison *c)
{
    cJSON *json = cJSON_CreateObject();
    for (int i = 0; value_names[i]; i++)
        add_number(json, value_names[i], value_at(c, i));
    add_number(json, "threshold", METRIC_THRESHOLD);
    add_number(json, "auroc_classes", (double)c->auroc_classes);
    cJSON_AddStringToObject(json, "largest_record", c->largest_id);
    cJSON_AddStringToObject(json, "largest_class", c->largest_class);
    cJSON *list = cJSON_AddArrayToObject(json, "classes");
    for (int64_t k = 0; k < c->class_count; k++) {
        const struct class_comparison *x = &c->classes[k];
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "name", x->name);
        add_number(item, "auroc_first", x->auroc[0]);
        add_number(item, "auroc_second", x->auroc[1]);
        add_number(item, "mean_change", x->mean_change);
        add_number(item, "largest_change", x->largest_change);
        add_number(item, "changed", (double)x->changed);
        cJSON_AddItemToArray(list, item);
    }
    return json;
}
