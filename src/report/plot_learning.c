/* Learning curves from metrics.jsonl: loss, validation scores, learning rate, size of the gradient,
 * and whatever else an objective counts. */
#include <math.h>
#include <string.h>

#include "base/str.h"
#include "report/plots.h"

enum {
    COLUMNS = 2,
    WIDTH = 380,
    HEIGHT = 220,
    TERM_COLUMNS = 3,
    TERM_WIDTH = 254,
    TERM_HEIGHT = 180
};
#define TERMS_MAX 24

/* What the trainer writes in each run; the rest are terms. */
static const char *const known[] = {"step",     "epoch", "loss", "gradient_norm",
                                    "momentum", "lr",    NULL};

static bool is_validation(const char *name) { return str_starts_with(name, "validation"); }

static bool is_term(const char *name)
{
    for (int i = 0; known[i]; i++)
        if (strcmp(known[i], name) == 0)
            return false;
    return !is_validation(name);
}

/* "validation_macro_auroc" -> "validation macro auroc" */
static const char *words(struct arena *a, const char *name)
{
    char *out = arena_strdup(a, name);
    for (char *c = out; c && *c; c++)
        if (*c == '_')
            *c = ' ';
    return out ? out : "";
}

/* The x axis: epochs, or steps where a file has no epochs. */
static const struct run_column *clock_of(const struct run_files *r)
{
    const struct run_column *epoch = run_column_find(r, "epoch");
    return epoch && epoch->known > 0 ? epoch : run_column_find(r, "step");
}

/* The points of a column that are known, since not each line has each. */
static enum err_code add_column(const struct run_files *r, const struct run_column *column,
                                struct panel *p, struct arena *a, int color, bool named,
                                struct err *e)
{
    const struct run_column *x = clock_of(r);
    struct series *s = p ? chart_add(&p->chart, a, MARK_LINE, color) : NULL;
    double *xs = arena_push_array(a, (size_t)column->known, sizeof *xs);
    double *ys = arena_push_array(a, (size_t)column->known, sizeof *ys);
    if (!s || !xs || !ys)
        FAIL(e, ERR_MEMORY, "out of memory for a learning curve");
    double low = INFINITY, high = -INFINITY;
    for (int64_t i = 0; i < r->line_count; i++)
        if (isfinite(column->values[i]) && isfinite(x->values[i])) {
            xs[s->count] = x->values[i];
            ys[s->count++] = column->values[i];
            low = fmin(low, column->values[i]);
            high = fmax(high, column->values[i]);
        }
    s->x = xs;
    s->y = ys;
    s->name = named ? words(a, column->name) : NULL;
    s->dots = s->count <= 40;
    p->chart.x.label = strcmp(x->name, "epoch") == 0 ? "epoch" : "step";
    p->chart.x.low = 0;
    p->chart.y.logarithmic = !named && low > 0 && high > 30 * low;
    return ERR_OK;
}

static enum err_code add_panel(const struct run_files *r, const char *name, const char *title,
                               struct figure *f, struct arena *a, struct err *e)
{
    const struct run_column *column = run_column_find(r, name);
    if (!column || column->known == 0)
        return ERR_OK;
    struct panel *p = plot_panel(f, a, COLUMNS, WIDTH, HEIGHT);
    TRY(add_column(r, column, p, a, 0, false, e));
    p->title = title;
    return ERR_OK;
}

static enum err_code add_validation(const struct run_files *r, struct figure *f, struct arena *a,
                                    struct err *e)
{
    struct panel *p = NULL;
    int color = 0;
    for (int c = 0; c < r->column_count; c++) {
        const struct run_column *column = &r->columns[c];
        if (!is_validation(column->name) || column->known == 0)
            continue;
        if (!p) {
            p = plot_panel(f, a, COLUMNS, WIDTH, HEIGHT);
            if (!p)
                FAIL(e, ERR_MEMORY, "out of memory for a learning curve");
            p->title = words(a, column->name);
        }
        TRY(add_column(r, column, p, a, color++, true, e));
    }
    if (!p)
        return ERR_OK;
    if (color > 1) {
        p->title = "validation";
        p->legend_width = legend_width(&p->chart);
        p->width -= p->legend_width;
    }
    double epoch = json_number_at(r->metrics, "best_epoch");
    double *at = arena_push(a, sizeof *at);
    struct series *s = epoch > 0 && at ? chart_add(&p->chart, a, MARK_MOMENT, COLOR_GREY) : NULL;
    if (s) {
        *at = epoch;
        s->x = at;
        s->count = 1;
        s->dashed = true;
        p->note = arena_printf(a, "dashed: epoch %lld, whose values were kept", (long long)epoch);
    }
    return ERR_OK;
}

enum err_code plot_learning(const struct run_files *r, struct figure *f, struct arena *a,
                            struct err *e)
{
    if (!clock_of(r))
        return ERR_OK;
    f->title = "Learning curves";
    TRY(add_panel(r, "loss", "loss", f, a, e));
    TRY(add_validation(r, f, a, e));
    TRY(add_panel(r, "lr", "learning rate", f, a, e));
    TRY(add_panel(r, "momentum", "momentum", f, a, e));
    return add_panel(r, "gradient_norm", "norm of the gradient", f, a, e);
}

enum err_code plot_terms(const struct run_files *r, struct figure *f, struct arena *a,
                         struct err *e)
{
    f->title = "Terms of the loss";
    for (int c = 0; c < r->column_count && clock_of(r); c++) {
        const struct run_column *column = &r->columns[c];
        if (!is_term(column->name) || column->known == 0 || f->panel_count == TERMS_MAX)
            continue;
        struct panel *p = plot_panel(f, a, TERM_COLUMNS, TERM_WIDTH, TERM_HEIGHT);
        TRY(add_column(r, column, p, a, 0, false, e));
        p->title = words(a, column->name);
    }
    return ERR_OK;
}
