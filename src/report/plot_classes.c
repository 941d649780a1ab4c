/* Plots of predictions of classes: ROC, precision and recall, reliability, decisions. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metric/curve.h"
#include "report/plots.h"

enum {
    COLORED_MAX = 8,
    GREY_MAX = SERIES_MAX - COLORED_MAX - 4,
    RELIABILITY_MAX = 12,
    DECISIONS_MAX = 20,
    CALLED_MAX = 100,
    NAME_MAX_CHARACTERS = 15
};

/* ---- curves ---- */

struct curves {
    enum err_code (*make)(const struct ranking *r, struct curve *out, struct err *e);
    enum mark mark;
    const char *metric;
    const char *x_label, *y_label;
    bool share; /* behind the name: the share of positives instead of their number */
    bool chance;
};

static enum err_code copy_curve(const struct curves *kind, const struct ranking *ranking,
                                struct series *s, struct arena *a, struct err *e)
{
    struct curve c;
    TRY(kind->make(ranking, &c, e));
    double *x = arena_push_array(a, (size_t)c.count, sizeof *x);
    double *y = arena_push_array(a, (size_t)c.count, sizeof *y);
    enum err_code code = x && y ? ERR_OK : RAISE(e, ERR_MEMORY, "out of memory for a curve");
    if (code == ERR_OK && c.count > 0) {
        memcpy(x, c.x, (size_t)c.count * sizeof *x);
        memcpy(y, c.y, (size_t)c.count * sizeof *y);
    }
    s->x = x;
    s->y = y;
    s->count = code == ERR_OK ? c.count : 0;
    curve_free(&c);
    return code;
}

/* One class; a curve that is not defined is left out and counted. */
static enum err_code add_curve(const struct run_files *r, const struct curves *kind, int64_t k,
                               int color, const char *name, struct chart *chart, struct arena *a,
                               struct err *e)
{
    const struct ranking *ranking = &r->rankings[k];
    struct series *s = chart_add(chart, a, kind->mark, color);
    if (!s)
        FAIL(e, ERR_MEMORY, "out of memory for curves");
    s->name = name;
    s->faint = color < 0;
    return copy_curve(kind, ranking, s, a, e);
}

static const char *curve_name(const struct run_files *r, const struct curves *kind, int64_t k,
                              struct arena *a)
{
    const struct ranking *ranking = &r->rankings[k];
    double value = metrics[metric_index(kind->metric)]->compute(ranking, NULL);
    const char *name = plot_name(a, r->predictions.class_names[k], NAME_MAX_CHARACTERS);
    double share = (double)ranking->positives / (double)ranking->count;
    const char *text =
        kind->share ? arena_printf(a, "%s %.3f (%.3f)", name, value, share)
                    : arena_printf(a, "%s %.3f (%lld)", name, value, (long long)ranking->positives);
    return text ? text : "";
}

static enum err_code add_curves(const struct run_files *r, const struct curves *kind,
                                struct panel *p, struct arena *a, struct err *e)
{
    int64_t K = r->predictions.class_count, chosen_count, drawn = 0, undefined = 0;
    uint8_t *chosen = plot_choose(r, a, COLORED_MAX, &chosen_count);
    if (!chosen)
        FAIL(e, ERR_MEMORY, "out of memory for curves");
    struct chart *c = &p->chart;
    for (int64_t k = 0; k < K; k++) {
        if (!ranking_has_both(&r->rankings[k]))
            undefined++;
        else if (!chosen[k] && drawn++ < GREY_MAX)
            TRY(add_curve(r, kind, k, COLOR_GREY, NULL, c, a, e));
    }
    int color = 0;
    for (int64_t k = 0; k < K; k++)
        if (chosen[k] && ranking_has_both(&r->rankings[k]))
            TRY(add_curve(r, kind, k, color++, curve_name(r, kind, k, a), c, a, e));
    if (drawn > 0) { /* one grey line stands for all in the legend */
        struct series *s = chart_add(c, a, MARK_LINE, COLOR_GREY);
        static const double nowhere[1];
        if (s) {
            s->x = s->y = nowhere;
            s->count = 0;
            s->name = arena_printf(a, "%lld rarer classes", (long long)drawn);
        }
    }
    if (undefined > 0)
        p->note = arena_printf(a, "%lld of %lld classes left out: one label only",
                               (long long)undefined, (long long)K);
    return ERR_OK;
}

static enum err_code draw_curves(const struct run_files *r, const struct curves *kind,
                                 struct figure *f, struct arena *a, struct err *e)
{
    bool any = false;
    for (int64_t k = 0; r->has_predictions && k < r->predictions.class_count; k++)
        any |= ranking_has_both(&r->rankings[k]);
    if (!any)
        return ERR_OK;
    struct panel *p = plot_panel(f, a, 1, 400, 390);
    if (!p)
        FAIL(e, ERR_MEMORY, "out of memory for curves");
    p->chart.x = (struct axis){.label = kind->x_label, .low = 0, .high = 1};
    p->chart.y = (struct axis){.label = kind->y_label, .low = 0, .high = 1};
    if (kind->chance) {
        static const double ends[] = {0, 1};
        struct series *s = chart_add(&p->chart, a, MARK_LINE, COLOR_GREY);
        if (s) {
            s->x = s->y = ends;
            s->count = 2;
            s->dashed = true;
        }
    }
    TRY(add_curves(r, kind, p, a, e));
    p->legend_width = legend_width(&p->chart);
    f->width += p->legend_width;
    return ERR_OK;
}

enum err_code plot_roc(const struct run_files *r, struct figure *f, struct arena *a, struct err *e)
{
    static const struct curves kind = {
        .make = curve_roc,
        .mark = MARK_LINE,
        .metric = "auroc",
        .x_label = "1 - specificity",
        .y_label = "sensitivity",
        .chance = true,
    };
    f->title = "ROC curves by class";
    return draw_curves(r, &kind, f, a, e);
}

enum err_code plot_precision_recall(const struct run_files *r, struct figure *f, struct arena *a,
                                    struct err *e)
{
    static const struct curves kind = {
        .make = curve_precision_recall,
        .mark = MARK_STEP,
        .metric = "auprc",
        .x_label = "sensitivity (recall)",
        .y_label = "precision",
        .share = true,
    };
    f->title = "Precision-recall curves by class";
    return draw_curves(r, &kind, f, a, e);
}

/* ---- reliability ---- */

struct bin_columns {
    double mean[METRIC_ECE_BINS], rate[METRIC_ECE_BINS], low[METRIC_ECE_BINS],
        high[METRIC_ECE_BINS], center[METRIC_ECE_BINS], count[METRIC_ECE_BINS];
    int filled;
};

static void fill_columns(const struct reliability_bin *bins, struct bin_columns *c)
{
    for (int b = 0; b < METRIC_ECE_BINS; b++) {
        c->center[b] = (b + 0.5) / METRIC_ECE_BINS;
        c->count[b] = (double)bins[b].count;
        if (bins[b].count == 0)
            continue;
        c->mean[c->filled] = bins[b].mean_score;
        c->rate[c->filled] = bins[b].rate;
        c->low[c->filled] = bins[b].low;
        c->high[c->filled++] = bins[b].high;
    }
}

static enum err_code add_diagram(const struct bin_columns *c, struct panel *p, struct arena *a,
                                 struct err *e)
{
    static const double ends[] = {0, 1};
    p->chart.x.low = p->chart.y.low = 0;
    p->chart.x.high = p->chart.y.high = 1;
    p->chart.y.label = "observed";
    struct series *ideal = chart_add(&p->chart, a, MARK_LINE, COLOR_GREY);
    struct series *whiskers = chart_add(&p->chart, a, MARK_WHISKERS, 0);
    struct series *line = chart_add(&p->chart, a, MARK_LINE, 0);
    if (!ideal || !whiskers || !line)
        FAIL(e, ERR_MEMORY, "out of memory for a reliability diagram");
    ideal->x = ideal->y = ends;
    ideal->count = 2;
    ideal->dashed = true;
    line->x = whiskers->x = c->mean;
    line->y = c->rate;
    line->dots = true;
    whiskers->low = c->low;
    whiskers->high = c->high;
    line->count = whiskers->count = c->filled;
    return ERR_OK;
}

static enum err_code add_histogram(const struct bin_columns *c, struct panel *p, struct arena *a,
                                   struct err *e)
{
    struct series *bars = chart_add(&p->chart, a, MARK_BARS, COLOR_GREY);
    if (!bars)
        FAIL(e, ERR_MEMORY, "out of memory for a histogram");
    bars->x = c->center;
    bars->y = c->count;
    bars->count = METRIC_ECE_BINS;
    bars->width = 1.0 / METRIC_ECE_BINS;
    p->chart.x.low = 0;
    p->chart.x.high = 1;
    p->chart.x.label = "probability";
    p->chart.y.label = "records";
    p->chart.y.low = 0;
    p->chart.y.whole = true;
    return ERR_OK;
}

enum err_code plot_reliability(const struct run_files *r, struct figure *f, struct arena *a,
                               struct err *e)
{
    enum { COLUMNS = 4, WIDTH = 224, HEIGHT = 208, BARS_HEIGHT = 104 };
    if (!r->has_predictions)
        return ERR_OK;
    int64_t chosen_count;
    uint8_t *chosen = plot_choose(r, a, RELIABILITY_MAX, &chosen_count);
    if (!chosen)
        FAIL(e, ERR_MEMORY, "out of memory for reliability diagrams");
    f->title = "Reliability diagrams by class";
    int i = 0;
    for (int64_t k = 0; k < r->predictions.class_count; k++) {
        struct reliability_bin bins[METRIC_ECE_BINS];
        if (!chosen[k] || !reliability_bins(&r->rankings[k], bins))
            continue;
        struct bin_columns *c = arena_push(a, sizeof *c);
        struct panel *diagram = figure_add_panel(f, a), *bars = figure_add_panel(f, a);
        if (!c || !diagram || !bars)
            FAIL(e, ERR_MEMORY, "out of memory for a reliability diagram");
        fill_columns(bins, c);
        double x = 4 + WIDTH * (i % COLUMNS),
               y = 4 + (HEIGHT + BARS_HEIGHT) * (double)(i / COLUMNS);
        diagram->x = bars->x = x;
        diagram->y = y;
        diagram->width = bars->width = WIDTH - 8;
        diagram->margin = bars->margin = 56;
        diagram->height = HEIGHT - 4;
        diagram->title = r->predictions.class_names[k];
        diagram->note = arena_printf(a, "ECE %.3f",
                                     metrics[metric_index("ece")]->compute(&r->rankings[k], NULL));
        bars->y = y + HEIGHT - 4;
        bars->height = BARS_HEIGHT - 6;
        TRY(add_diagram(c, diagram, a, e));
        TRY(add_histogram(c, bars, a, e));
        f->width = fmax(f->width, x + WIDTH);
        f->height = fmax(f->height, y + HEIGHT + BARS_HEIGHT);
        i++;
    }
    return ERR_OK;
}

/* ---- decisions ---- */

enum err_code plot_confusion(const struct run_files *r, struct figure *f, struct arena *a,
                             struct err *e)
{
    enum { COLUMNS = 5, WIDTH = 180, HEIGHT = 168 };
    static const char *const names[] = {"yes", "no"};
    if (!r->has_predictions)
        return ERR_OK;
    int64_t chosen_count;
    uint8_t *chosen = plot_choose(r, a, DECISIONS_MAX, &chosen_count);
    const double *thresholds = plot_thresholds(r, a);
    if (!chosen || !thresholds)
        FAIL(e, ERR_MEMORY, "out of memory for counts of decisions");
    f->title = "Counts of decisions by class";
    for (int64_t k = 0; k < r->predictions.class_count; k++) {
        if (!chosen[k])
            continue;
        struct confusion c = confusion_at(&r->rankings[k], NULL, thresholds[k]);
        int64_t counts[] = {c.true_positives, c.false_negatives, c.false_positives,
                            c.true_negatives};
        struct panel *p = plot_panel(f, a, COLUMNS, WIDTH, HEIGHT);
        double *shades = arena_push_array(a, 4, sizeof *shades);
        const char **texts = arena_push_array(a, 4, sizeof *texts);
        if (!p || !shades || !texts)
            FAIL(e, ERR_MEMORY, "out of memory for counts of decisions");
        for (int i = 0; i < 4; i++) {
            int64_t row = counts[i / 2 * 2] + counts[i / 2 * 2 + 1];
            shades[i] = row > 0 ? (double)counts[i] / (double)row : NAN;
            texts[i] = arena_printf(a, "%lld", (long long)counts[i]);
        }
        p->title = r->predictions.class_names[k];
        p->has_heat = true;
        p->heat = (struct heat){.row_label = "true",
                                .column_label = "called",
                                .rows = 2,
                                .columns = 2,
                                .row_names = names,
                                .column_names = names,
                                .values = shades,
                                .texts = texts};
    }
    return ERR_OK;
}

/* Whether each record has exactly one class, so that the highest score is the decision. */
static bool is_exclusive(const struct predictions *p)
{
    for (int64_t i = 0; i < p->count; i++) {
        int64_t labels = 0;
        for (int64_t k = 0; k < p->class_count; k++)
            labels += p->labels[i * p->class_count + k] == 1;
        if (labels != 1)
            return false;
    }
    return true;
}

/* Adds a record to the counts: each of its labels with each of the classes it was called. */
static void count_calls(const struct predictions *p, int64_t i, bool exclusive,
                        const double *thresholds, int64_t *counts, int64_t *labels)
{
    int64_t K = p->class_count, best = 0;
    for (int64_t k = 1; k < K; k++)
        best = p->scores[i * K + k] > p->scores[i * K + best] ? k : best;
    for (int64_t k = 0; k < K; k++) {
        if (p->labels[i * K + k] != 1) /* not, or not known */
            continue;
        labels[k]++;
        for (int64_t j = 0; j < K; j++)
            counts[k * K + j] += exclusive ? j == best : p->scores[i * K + j] >= thresholds[j];
    }
}

enum err_code plot_called(const struct run_files *r, struct figure *f, struct arena *a,
                          struct err *e)
{
    const struct predictions *p = &r->predictions;
    int64_t K = p->class_count;
    if (!r->has_predictions || K < 2 || K > CALLED_MAX)
        return ERR_OK;
    size_t cells = (size_t)(K * K);
    int64_t *counts = arena_push_array(a, cells, sizeof *counts);
    int64_t *labels = arena_push_array(a, (size_t)K, sizeof *labels);
    double *shades = arena_push_array(a, cells, sizeof *shades);
    const char **texts = arena_push_array(a, cells, sizeof *texts);
    const char **titles = arena_push_array(a, cells, sizeof *titles);
    const double *thresholds = plot_thresholds(r, a);
    double side = K <= 14 ? 46 : K <= 30 ? 24 : 760.0 / (double)K;
    struct panel *panel =
        plot_panel(f, a, 1, 170 + side * (double)K, 160 + (K <= 14 ? 30 : side) * (double)K);
    if (!counts || !labels || !shades || !texts || !titles || !thresholds || !panel)
        FAIL(e, ERR_MEMORY, "out of memory for %lld classes", (long long)K);

    bool exclusive = is_exclusive(p);
    for (int64_t i = 0; i < p->count; i++)
        count_calls(p, i, exclusive, thresholds, counts, labels);
    for (size_t c = 0; c < cells; c++) {
        int64_t row = (int64_t)c / K, column = (int64_t)c % K;
        shades[c] = labels[row] > 0 ? (double)counts[c] / (double)labels[row] : NAN;
        texts[c] = K <= 14 ? arena_printf(a, "%lld", (long long)counts[c]) : NULL;
        if (counts[c] > 0)
            titles[c] =
                arena_printf(a, "%lld of %lld with %.60s called %.60s", (long long)counts[c],
                             (long long)labels[row], p->class_names[row], p->class_names[column]);
    }
    f->title = exclusive ? "Confusion of classes" : "Labels and calls";
    panel->note = exclusive
                      ? "each record has one class and is called the one with the highest score"
                      : "a record may have several classes and be called several";
    panel->has_heat = true;
    panel->heat = (struct heat){.row_label = "true",
                                .column_label = "called",
                                .rows = K,
                                .columns = K,
                                .row_names = p->class_names,
                                .column_names = p->class_names,
                                .values = shades,
                                .texts = texts,
                                .titles = titles};
    return ERR_OK;
}
