/* Plots of estimates of values: estimate over truth, and their difference over their mean. */
#include <math.h>

#include "report/plots.h"

enum { VALUES_MAX = 8, POINTS_MAX = 4000, COLUMNS = 2, WIDTH = 380, HEIGHT = 330 };

/* The records whose truth and estimate are known; where there are too many, evenly spread ones. */
struct points {
    int64_t count, all; /* drawn, known */
    double *truth, *estimate, *mean, *difference;
    const char **ids;
    double bias, deviation; /* of the difference, over all that are known */
};

/* Estimate less truth of value k of a record; NaN where the truth is not known. */
static double difference(const struct predictions *v, int64_t i, int64_t k)
{
    return v->scores[i * v->class_count + k] - (double)v->labels[i * v->class_count + k];
}

static void measure(const struct predictions *v, int64_t k, struct points *p)
{
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < v->count; i++)
        if (isfinite(difference(v, i, k))) {
            sum += difference(v, i, k);
            p->all++;
        }
    p->bias = sum / (double)p->all;
    for (int64_t i = 0; i < v->count; i++)
        if (isfinite(difference(v, i, k)))
            squares += pow(difference(v, i, k) - p->bias, 2);
    p->deviation = p->all > 1 ? sqrt(squares / (double)(p->all - 1)) : NAN;
}

static enum err_code gather(const struct predictions *v, int64_t k, struct points *p,
                            struct arena *a, struct err *e)
{
    measure(v, k, p);
    int64_t each = 1 + (p->all - 1) / POINTS_MAX, seen = 0;
    size_t room = POINTS_MAX + 1;
    p->truth = arena_push_array(a, room, sizeof *p->truth);
    p->estimate = arena_push_array(a, room, sizeof *p->estimate);
    p->mean = arena_push_array(a, room, sizeof *p->mean);
    p->difference = arena_push_array(a, room, sizeof *p->difference);
    p->ids = arena_push_array(a, room, sizeof *p->ids);
    if (!p->truth || !p->estimate || !p->mean || !p->difference || !p->ids)
        FAIL(e, ERR_MEMORY, "out of memory for a scatter plot");
    for (int64_t i = 0; i < v->count; i++) {
        double truth = (double)v->labels[i * v->class_count + k];
        if (!isfinite(difference(v, i, k)) || seen++ % each)
            continue;
        p->truth[p->count] = truth;
        p->estimate[p->count] = v->scores[i * v->class_count + k];
        p->mean[p->count] = truth + difference(v, i, k) / 2;
        p->difference[p->count] = difference(v, i, k);
        p->ids[p->count++] = v->ids[i];
    }
    return ERR_OK;
}

static struct series *add_points(struct chart *c, const struct points *p, const double *x,
                                 const double *y, struct arena *a)
{
    struct series *s = chart_add(c, a, MARK_POINTS, 0);
    if (!s)
        return NULL;
    s->x = x;
    s->y = y;
    s->count = p->count;
    s->point_names = p->count <= 400 ? p->ids : NULL;
    return s;
}

static enum err_code add_scatter(const struct points *p, const char *name, struct figure *f,
                                 struct arena *a, struct err *e)
{
    struct panel *panel = plot_panel(f, a, COLUMNS, WIDTH, HEIGHT);
    double *ends = arena_push_array(a, 2, sizeof *ends);
    if (!panel || !ends || !add_points(&panel->chart, p, p->truth, p->estimate, a))
        FAIL(e, ERR_MEMORY, "out of memory for a scatter plot");
    ends[0] = INFINITY;
    ends[1] = -INFINITY;
    for (int64_t i = 0; i < p->count; i++) {
        ends[0] = fmin(ends[0], fmin(p->truth[i], p->estimate[i]));
        ends[1] = fmax(ends[1], fmax(p->truth[i], p->estimate[i]));
    }
    struct series *s = chart_add(&panel->chart, a, MARK_LINE, COLOR_GREY);
    if (!s)
        FAIL(e, ERR_MEMORY, "out of memory for a scatter plot");
    s->x = s->y = ends;
    s->count = 2;
    s->dashed = true;
    panel->title = name;
    panel->note = p->count < p->all ? arena_printf(a, "%lld of %lld records", (long long)p->count,
                                                   (long long)p->all)
                                    : arena_printf(a, "%lld records", (long long)p->all);
    panel->chart.x.label = "true";
    panel->chart.y.label = "estimate";
    return ERR_OK;
}

static enum err_code add_level(struct chart *c, double y, bool dashed, struct arena *a,
                               struct err *e)
{
    double *at = arena_push(a, sizeof *at);
    struct series *s = at ? chart_add(c, a, MARK_LEVEL, 1) : NULL;
    if (!s)
        FAIL(e, ERR_MEMORY, "out of memory for a plot");
    *at = y;
    s->x = s->y = at;
    s->count = 1;
    s->dashed = dashed;
    return ERR_OK;
}

static enum err_code add_agreement(const struct points *p, const char *name, struct figure *f,
                                   struct arena *a, struct err *e)
{
    struct panel *panel = plot_panel(f, a, COLUMNS, WIDTH, HEIGHT);
    if (!panel || !add_points(&panel->chart, p, p->mean, p->difference, a))
        FAIL(e, ERR_MEMORY, "out of memory for a plot");
    panel->title = name;
    panel->chart.x.label = "mean of true and estimate";
    panel->chart.y.label = "estimate - true";
    TRY(add_level(&panel->chart, p->bias, false, a, e));
    if (!isfinite(p->deviation))
        return ERR_OK;
    TRY(add_level(&panel->chart, p->bias - 1.96 * p->deviation, true, a, e));
    TRY(add_level(&panel->chart, p->bias + 1.96 * p->deviation, true, a, e));
    panel->note = arena_printf(a, "mean %.3g, limits %.3g to %.3g", p->bias,
                               p->bias - 1.96 * p->deviation, p->bias + 1.96 * p->deviation);
    return ERR_OK;
}

enum err_code plot_values(const struct run_files *r, struct figure *f, struct arena *a,
                          struct err *e)
{
    const struct predictions *v = &r->predictions;
    f->title = "Estimates and truth";
    for (int64_t k = 0; r->has_values && k < v->class_count && k < VALUES_MAX; k++) {
        struct points p = {0};
        TRY(gather(v, k, &p, a, e));
        if (p.count == 0)
            continue;
        TRY(add_scatter(&p, v->class_names[k], f, a, e));
        TRY(add_agreement(&p, v->class_names[k], f, a, e));
    }
    return ERR_OK;
}
