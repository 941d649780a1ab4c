#include "train/comparison.h"

#include <math.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/named.h"
#include "base/str.h"
#include "metric/metric.h"

/* Records and classes that both have: row i of the first is row rows[i] of the second, or -1; the same
 * of the classes. */
struct match {
    const struct predictions *first, *second;
    int64_t *rows, *classes;
    double *scores;              /* [n] of one class */
    uint8_t *labels;             /* [n] */
    struct ranking *rankings[2]; /* [K] by side */
};

static enum err_code match_rows(struct match *m, struct comparison *c, struct err *e)
{
    int64_t n = m->second->count;
    struct named *sorted = arena_push_array(&c->arena, (size_t)n, sizeof *sorted);
    if (!sorted)
        FAIL(e, ERR_MEMORY, "out of memory for %lld records", (long long)n);
    for (int64_t i = 0; i < n; i++)
        sorted[i] = (struct named){m->second->ids[i], i};
    named_sort(sorted, n);
    for (int64_t i = 0; i < m->first->count; i++) {
        const struct named *found = named_find(sorted, n, m->first->ids[i]);
        m->rows[i] = found ? found->index : -1;
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

static enum err_code rank_class(const struct match *m, const struct comparison *c, int side,
                                int64_t k, struct ranking *out, struct err *e)
{
    int64_t n = 0;
    for (int64_t i = 0; i < m->first->count; i++)
        if (m->rows[i] >= 0) {
            m->scores[n] = score_at(m, side, i, k);
            m->labels[n++] = m->first->labels[i * c->class_count + k] > 0;
        }
    return ranking_init(out, m->scores, m->labels, n, e);
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
    for (int side = 0; side < 2; side++) {
        TRY(rank_class(m, c, side, k, &m->rankings[side][k], e));
        out->auroc[side] = metric_auroc.compute(&m->rankings[side][k], NULL);
    }
    return delong_compare(&out->difference, &m->rankings[0][k], &m->rankings[1][k],
                          c->options.level, e);
}

/* The averages over the classes, and whether they differ. */
static enum err_code compare_averages(const struct match *m, struct comparison *c, struct err *e)
{
    int auroc = metric_index("auroc"), auprc = metric_index("auprc");
    double *values = arena_push_array(&c->arena, (size_t)c->class_count, sizeof *values);
    struct bootstrap b;
    if (!values)
        FAIL(e, ERR_MEMORY, "out of memory for %lld classes", (long long)c->class_count);
    for (int side = 0; side < 2; side++) {
        for (int64_t k = 0; k < c->class_count; k++)
            values[k] = c->classes[k].auroc[side];
        c->macro_auroc[side] = macro_average(values, c->class_count, &c->auroc_classes);
        for (int64_t k = 0; k < c->class_count; k++)
            values[k] = metric_auprc.compute(&m->rankings[side][k], NULL);
        c->macro_auprc[side] = macro_average(values, c->class_count, NULL);
    }
    TRY(bootstrap_difference(&b, m->rankings[0], m->rankings[1], c->class_count, &c->options, e));
    c->macro_auroc_interval = b.macro[auroc];
    c->macro_auroc_p = b.macro_p[auroc];
    c->macro_auprc_interval = b.macro[auprc];
    c->macro_auprc_p = b.macro_p[auprc];
    bootstrap_free(&b);
    return ERR_OK;
}

static enum err_code compare(struct match *m, struct comparison *c, struct err *e)
{
    size_t n = (size_t)m->first->count, K = (size_t)m->first->class_count;
    for (size_t i = 0; i < n * K; i++)
        if (m->first->kind != LABEL_CLASSES || isnan(m->first->labels[i]))
            FAIL(e, ERR_LABELS, "%s",
                 m->first->kind != LABEL_CLASSES ? "predictions of values: classes are compared"
                                                 : "the first has labels that are not known");
    c->class_count = m->first->class_count;
    c->classes = arena_push_array(&c->arena, K, sizeof *c->classes);
    m->rows = arena_push_array(&c->arena, n, sizeof *m->rows);
    m->classes = arena_push_array(&c->arena, K, sizeof *m->classes);
    m->scores = arena_push_array(&c->arena, n, sizeof *m->scores);
    m->labels = arena_push_array(&c->arena, n, sizeof *m->labels);
    for (int side = 0; side < 2; side++)
        m->rankings[side] = arena_push_array(&c->arena, K, sizeof *m->rankings[side]);
    if (!c->classes || !m->rows || !m->classes || !m->scores || !m->labels || !m->rankings[0] ||
        !m->rankings[1])
        FAIL(e, ERR_MEMORY, "out of memory for %zu records", n);
    TRY(match_classes(m, e));
    TRY(match_rows(m, c, e));
    c->decisions = c->count * c->class_count;
    for (int64_t k = 0; k < c->class_count; k++) {
        c->classes[k].name = arena_strdup(&c->arena, m->first->class_names[k]);
        TRY(compare_class(m, c, k, e));
    }
    c->mean_change /= (double)c->decisions;
    return compare_averages(m, c, e);
}

enum err_code comparison_make(struct comparison *c, const struct predictions *first,
                              const struct predictions *second,
                              const struct bootstrap_options *options, struct err *e)
{
    memset(c, 0, sizeof *c);
    arena_init(&c->arena, "comparison", 0);
    c->options = *options;
    struct match m = {.first = first, .second = second};
    enum err_code code = compare(&m, c, e);
    for (int64_t k = 0; m.rankings[0] && m.rankings[1] && k < c->class_count; k++)
        for (int side = 0; side < 2; side++)
            ranking_free(&m.rankings[side][k]);
    return code;
}

void comparison_free(struct comparison *c)
{
    arena_reset(&c->arena);
    memset(c, 0, sizeof *c);
}

/* ---- values by name ---- */

struct comparison_value {
    const char *name;
    double value;
};
enum { VALUES = 21 };

static void list_values(const struct comparison *c, struct comparison_value out[VALUES + 1])
{
    const struct comparison_value list[VALUES + 1] = {
        {"n", (double)c->count},
        {"only_first", (double)c->only_first},
        {"only_second", (double)c->only_second},
        {"macro_auroc_first", c->macro_auroc[0]},
        {"macro_auroc_second", c->macro_auroc[1]},
        {"macro_auroc_loss", c->macro_auroc[0] - c->macro_auroc[1]},
        {"mean_change", c->mean_change},
        {"largest_change", c->largest_change},
        {"decisions", (double)c->decisions},
        {"changed", (double)c->changed},
        {"same_decisions", 1 - (double)c->changed / (double)c->decisions},
        {"macro_auroc_difference", c->macro_auroc[1] - c->macro_auroc[0]},
        {"macro_auroc_difference_low", c->macro_auroc_interval.low},
        {"macro_auroc_difference_high", c->macro_auroc_interval.high},
        {"macro_auroc_difference_p", c->macro_auroc_p},
        {"macro_auprc_first", c->macro_auprc[0]},
        {"macro_auprc_second", c->macro_auprc[1]},
        {"macro_auprc_difference", c->macro_auprc[1] - c->macro_auprc[0]},
        {"macro_auprc_difference_low", c->macro_auprc_interval.low},
        {"macro_auprc_difference_high", c->macro_auprc_interval.high},
        {"macro_auprc_difference_p", c->macro_auprc_p},
        {NULL, 0},
    };
    memcpy(out, list, sizeof list);
}

/* "auroc_difference_p.CLASS" and its like; false for any other name. */
static bool class_value(const struct comparison *c, const char *name, double *out)
{
    const char *dot = strchr(name, '.');
    if (!dot || !str_starts_with(name, "auroc_"))
        return false;
    for (int64_t k = 0; k < c->class_count; k++) {
        const struct class_comparison *x = &c->classes[k];
        const struct comparison_value list[] = {
            {"auroc_first", x->auroc[0]},
            {"auroc_second", x->auroc[1]},
            {"auroc_difference", x->difference.difference},
            {"auroc_difference_low", x->difference.interval.low},
            {"auroc_difference_high", x->difference.interval.high},
            {"auroc_difference_p", x->difference.p},
        };
        for (size_t i = 0; strcmp(dot + 1, x->name) == 0 && i < sizeof list / sizeof *list; i++)
            if (strlen(list[i].name) == (size_t)(dot - name) &&
                memcmp(list[i].name, name, (size_t)(dot - name)) == 0) {
                *out = list[i].value;
                return true;
            }
    }
    return false;
}

enum err_code comparison_value(const struct comparison *c, const char *name, double *out,
                               struct err *e)
{
    struct comparison_value list[VALUES + 1];
    const char *names[VALUES + 1];
    list_values(c, list);
    for (int i = 0; i <= VALUES; i++)
        names[i] = list[i].name;
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0) {
            *out = list[i].value;
            return ERR_OK;
        }
    if (class_value(c, name, out))
        return ERR_OK;
    int nearest = str_nearest(name, names);
    if (nearest >= 0)
        FAIL(e, ERR_USAGE, "--compare has no \"%.80s\"; did you mean \"%s\"?", name,
             names[nearest]);
    FAIL(e, ERR_USAGE,
         "--compare has no \"%.80s\"; there are such as macro_auroc_difference_low and "
         "auroc_difference_p.CLASS",
         name);
}

cJSON *comparison_to_json(const struct comparison *c)
{
    cJSON *json = cJSON_CreateObject();
    struct comparison_value list[VALUES + 1];
    list_values(c, list);
    for (int i = 0; list[i].name; i++)
        cJSON_AddNumberToObject(json, list[i].name, list[i].value);
    cJSON_AddNumberToObject(json, "bootstrap_draws", (double)c->options.draws);
    cJSON_AddNumberToObject(json, "level", c->options.level);
    cJSON_AddNumberToObject(json, "threshold", METRIC_THRESHOLD);
    cJSON_AddNumberToObject(json, "auroc_classes", (double)c->auroc_classes);
    cJSON_AddStringToObject(json, "largest_record", c->largest_id);
    cJSON_AddStringToObject(json, "largest_class", c->largest_class);
    cJSON *classes = cJSON_AddArrayToObject(json, "classes");
    for (int64_t k = 0; k < c->class_count; k++) {
        const struct class_comparison *x = &c->classes[k];
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "name", x->name);
        cJSON_AddNumberToObject(item, "auroc_first", x->auroc[0]);
        cJSON_AddNumberToObject(item, "auroc_second", x->auroc[1]);
        cJSON_AddNumberToObject(item, "auroc_difference", x->difference.difference);
        cJSON_AddNumberToObject(item, "auroc_difference_se", x->difference.error);
        cJSON_AddNumberToObject(item, "auroc_difference_low", x->difference.interval.low);
        cJSON_AddNumberToObject(item, "auroc_difference_high", x->difference.interval.high);
        cJSON_AddNumberToObject(item, "auroc_difference_p", x->difference.p);
        cJSON_AddNumberToObject(item, "mean_change", x->mean_change);
        cJSON_AddNumberToObject(item, "largest_change", x->largest_change);
        cJSON_AddNumberToObject(item, "changed", (double)x->changed);
        cJSON_AddItemToArray(classes, item);
    }
    return json;
}
