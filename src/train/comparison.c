#include "train/comparison.h"

#include <math.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/named.h"
#include "base/str.h"
#include "metric/metric.h"

/* What is compared, by the records and classes of the first run of the first side: record i of those is row
 * rows[side][pair * n + i] of another run, -1 where its side lacks it; the same of the classes. */
struct match {
    const struct comparison_side *sides[2];
    const struct predictions *base; /* n records, K classes */
    int64_t pairs;
    int64_t *rows[2], *classes[2]; /* [pairs,n], [pairs,K] */
    double *scores;                /* [n] of one class */
    uint8_t *labels;               /* [n] */
    struct ranking *rankings[2];   /* [K,pairs] */
};

static const struct predictions *run_of(const struct match *m, int side, int64_t pair)
{
    return &m->sides[side]->runs[pair];
}

static const char *name_of(const struct match *m, int side, int64_t pair)
{
    return m->sides[side]->names[pair];
}

/* Rows of the base in a run. All runs of a side are of the same records. */
static enum err_code match_rows(const struct match *m, int side, int64_t pair, struct arena *a,
                                struct err *e)
{
    const struct predictions *p = run_of(m, side, pair), *first = run_of(m, side, 0);
    struct named *sorted = arena_push_array(a, (size_t)p->count, sizeof *sorted);
    if (!sorted)
        FAIL(e, ERR_MEMORY, "out of memory for %lld records", (long long)p->count);
    if (p->count != first->count)
        FAIL(e, ERR_NOT_FOUND, "%s has %lld records, %s %lld: runs of a side need the same",
             name_of(m, side, pair), (long long)p->count, name_of(m, side, 0),
             (long long)first->count);
    for (int64_t i = 0; i < p->count; i++)
        sorted[i] = (struct named){p->ids[i], i};
    named_sort(sorted, p->count);
    for (int64_t i = 0; pair > 0 && i < first->count; i++)
        if (!named_find(sorted, p->count, first->ids[i]))
            FAIL(e, ERR_NOT_FOUND, "%s lacks record %.100s of %s: runs of a side need the same",
                 name_of(m, side, pair), first->ids[i], name_of(m, side, 0));
    for (int64_t i = 0; i < m->base->count; i++) {
        const struct named *found = named_find(sorted, p->count, m->base->ids[i]);
        m->rows[side][pair * m->base->count + i] = found ? found->index : -1;
    }
    return ERR_OK;
}

static enum err_code match_classes(const struct match *m, int side, int64_t pair, struct err *e)
{
    const struct predictions *p = run_of(m, side, pair);
    int64_t K = m->base->class_count, *classes = m->classes[side] + pair * K;
    if (K != p->class_count)
        FAIL(e, ERR_LABELS, "%lld classes in %s, %lld in %s", (long long)K, name_of(m, 0, 0),
             (long long)p->class_count, name_of(m, side, pair));
    for (int64_t k = 0; k < K; k++) {
        classes[k] = -1;
        for (int64_t j = 0; j < K; j++)
            if (strcmp(m->base->class_names[k], p->class_names[j]) == 0)
                classes[k] = j;
        if (classes[k] < 0)
            FAIL(e, ERR_LABELS, "class %.60s of %s is not in %s", m->base->class_names[k],
                 name_of(m, 0, 0), name_of(m, side, pair));
    }
    return ERR_OK;
}

/* Is record i of the base one of both sides? */
static bool in_both(const struct match *m, int64_t i) { return m->rows[1][i] >= 0; }

/* Where record i and class k of the base are in a run. */
static int64_t place(const struct match *m, int side, int64_t pair, int64_t i, int64_t k)
{
    int64_t n = m->base->count, K = m->base->class_count;
    return m->rows[side][pair * n + i] * K + m->classes[side][pair * K + k];
}

static double score_at(const struct match *m, int side, int64_t pair, int64_t i, int64_t k)
{
    return run_of(m, side, pair)->scores[place(m, side, pair, i, k)];
}

static enum err_code rank_class(const struct match *m, int side, int64_t pair, int64_t k,
                                struct err *e)
{
    const struct predictions *p = run_of(m, side, pair);
    int64_t n = 0;
    for (int64_t i = 0; i < m->base->count; i++) {
        if (!in_both(m, i))
            continue;
        int64_t at = place(m, side, pair, i, k);
        m->scores[n] = p->scores[at];
        m->labels[n++] = p->labels[at] > 0;
        if (isnan(p->labels[at]))
            FAIL(e, ERR_LABELS, "%s: the label of record %.100s for class %.60s is not known",
                 name_of(m, side, pair), m->base->ids[i], m->base->class_names[k]);
        if (p->labels[at] != m->base->labels[i * m->base->class_count + k])
            FAIL(e, ERR_LABELS, "record %.100s has two labels of class %.60s, in %s and %s",
                 m->base->ids[i], m->base->class_names[k], name_of(m, 0, 0),
                 name_of(m, side, pair));
    }
    return ranking_init(&m->rankings[side][k * m->pairs + pair], m->scores, m->labels, n, e);
}

/* How far the scores of a class moved; sums go to out->mean_change. */
static void sum_changes(const struct match *m, struct comparison *c, int64_t k)
{
    struct class_comparison *out = &c->classes[k];
    for (int64_t pair = 0; pair < m->pairs; pair++)
        for (int64_t i = 0; i < m->base->count; i++) {
            if (!in_both(m, i))
                continue;
            double a = score_at(m, 0, pair, i, k), b = score_at(m, 1, pair, i, k);
            double change = fabs(a - b);
            out->mean_change += change;
            out->changed += (a >= METRIC_THRESHOLD) != (b >= METRIC_THRESHOLD);
            if (change > out->largest_change)
                out->largest_change = change;
            if (change > c->largest_change || !c->largest_id) {
                c->largest_change = change;
                c->largest_id = arena_strdup(&c->arena, m->base->ids[i]);
                c->largest_class = out->name;
            }
        }
}

/* Of a class, the mean over the files of a side. */
static double mean_metric(const struct match *m, const struct metric *metric, int side, int64_t k)
{
    double sum = 0;
    for (int64_t pair = 0; pair < m->pairs; pair++)
        sum += metric->compute(&m->rankings[side][k * m->pairs + pair], NULL);
    return sum / (double)m->pairs;
}

static enum err_code compare_class(const struct match *m, struct comparison *c, int64_t k,
                                   struct err *e)
{
    struct class_comparison *out = &c->classes[k];
    for (int side = 0; side < 2; side++) {
        for (int64_t pair = 0; pair < m->pairs; pair++)
            TRY(rank_class(m, side, pair, k, e));
        out->auroc[side] = mean_metric(m, &metric_auroc, side, k);
    }
    sum_changes(m, c, k);
    c->mean_change += out->mean_change;
    c->changed += out->changed;
    out->mean_change /= (double)(c->count * c->pairs);
    return delong_compare(&out->difference, &m->rankings[0][k * m->pairs],
                          &m->rankings[1][k * m->pairs], m->pairs, c->options.level, e);
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
            values[k] = mean_metric(m, &metric_auprc, side, k);
        c->macro_auprc[side] = macro_average(values, c->class_count, NULL);
    }
    TRY(bootstrap_difference(&b, m->rankings[0], m->rankings[1], m->pairs, c->class_count,
                             &c->options, e));
    c->macro_auroc_interval = b.macro[auroc];
    c->macro_auroc_p = b.macro_p[auroc];
    c->macro_auprc_interval = b.macro[auprc];
    c->macro_auprc_p = b.macro_p[auprc];
    bootstrap_free(&b);
    return ERR_OK;
}

static enum err_code match_init(struct match *m, struct comparison *c, struct err *e)
{
    size_t n = (size_t)m->base->count, K = (size_t)m->base->class_count, P = (size_t)m->pairs;
    c->classes = arena_push_array(&c->arena, K, sizeof *c->classes);
    m->scores = arena_push_array(&c->arena, n, sizeof *m->scores);
    m->labels = arena_push_array(&c->arena, n, sizeof *m->labels);
    bool made = c->classes && m->scores && m->labels;
    for (int side = 0; side < 2; side++) {
        m->rows[side] = arena_push_array(&c->arena, P * n, sizeof *m->rows[side]);
        m->classes[side] = arena_push_array(&c->arena, P * K, sizeof *m->classes[side]);
        m->rankings[side] = arena_push_array(&c->arena, P * K, sizeof *m->rankings[side]);
        made = made && m->rows[side] && m->classes[side] && m->rankings[side];
    }
    if (!made)
        FAIL(e, ERR_MEMORY, "out of memory for %zu records of %zu runs", n, 2 * P);
    c->class_count = (int64_t)K;
    return ERR_OK;
}

static enum err_code match_make(struct match *m, struct comparison *c, struct err *e)
{
    TRY(match_init(m, c, e));
    for (int side = 0; side < 2; side++)
        for (int64_t pair = 0; pair < m->pairs; pair++) {
            if (run_of(m, side, pair)->kind != LABEL_CLASSES)
                FAIL(e, ERR_LABELS, "%s: predictions of values: classes are compared",
                     name_of(m, side, pair));
            TRY(match_classes(m, side, pair, e));
            TRY(match_rows(m, side, pair, &c->arena, e));
        }
    for (int64_t i = 0; i < m->base->count; i++)
        c->count += in_both(m, i);
    c->only_first = m->base->count - c->count;
    c->only_second = run_of(m, 1, 0)->count - c->count;
    if (c->count == 0)
        FAIL(e, ERR_NOT_FOUND, "no record is scored by both (%lld and %lld are)",
             (long long)m->base->count, (long long)run_of(m, 1, 0)->count);
    return ERR_OK;
}

static enum err_code compare(struct match *m, struct comparison *c, struct err *e)
{
    TRY(match_make(m, c, e));
    c->decisions = c->count * c->class_count * c->pairs;
    for (int64_t k = 0; k < c->class_count; k++) {
        c->classes[k].name = arena_strdup(&c->arena, m->base->class_names[k]);
        TRY(compare_class(m, c, k, e));
    }
    c->mean_change /= (double)c->decisions;
    return compare_averages(m, c, e);
}

enum err_code comparison_make(struct comparison *c, const struct comparison_side *first,
                              const struct comparison_side *second,
                              const struct bootstrap_options *options, struct err *e)
{
    ASSERT(first->count > 0 && first->count == second->count, "runs without a pair");
    memset(c, 0, sizeof *c);
    arena_init(&c->arena, "comparison", 0);
    c->options = *options;
    c->pairs = first->count;
    struct match m = {.sides = {first, second}, .base = first->runs, .pairs = first->count};
    enum err_code code = compare(&m, c, e);
    for (int side = 0; side < 2; side++)
        for (int64_t i = 0; m.rankings[side] && i < c->class_count * c->pairs; i++)
            ranking_free(&m.rankings[side][i]);
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
enum { VALUES = 22 };

static void list_values(const struct comparison *c, struct comparison_value out[VALUES + 1])
{
    const struct comparison_value list[VALUES + 1] = {
        {"n", (double)c->count},
        {"pairs", (double)c->pairs},
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
