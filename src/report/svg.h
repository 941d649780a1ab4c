/* Charts as SVG: axes with sensible ticks, lines, steps, points, bars, bands and tables of shaded
 * cells. The same figure gives the same bytes. Colours can be told apart by people who see them
 * differently; dots of different colours have different shapes, too.
 *
 * Nouns: a `figure` is a sheet of `panels` side by side; a panel is a `chart` (axes and `series`)
 * or a `heat` (rows and columns of cells). Everything is borrowed until figure_draw; text is
 * escaped there. Lengths are pixels at natural size.
 * Source: Okabe and Ito 2008, Tol 2021 (colours). */
#ifndef ECGFM_REPORT_SVG_H
#define ECGFM_REPORT_SVG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"

#define SERIES_MAX 128
#define PANELS_MAX 96
#define COLOR_COUNT 8 /* colours 0..7, then they come again with other dashes */
#define COLOR_GREY (-1)

enum mark {
    MARK_LINE,     /* through (x, y); a NaN breaks it */
    MARK_STEP,     /* level y from the x before to this x, as precision over recall */
    MARK_POINTS,   /* at (x, y) */
    MARK_BARS,     /* from 0 to y, `width` of x wide */
    MARK_BAND,     /* between low and high */
    MARK_WHISKERS, /* from low to high at x */
    MARK_LEVEL,    /* a rule across at y[0] */
    MARK_MOMENT    /* a rule upward at x[0] */
};

struct series {
    enum mark mark;
    const char *name;               /* in the legend; NULL: not there */
    const double *x, *y;            /* [count] */
    const double *low, *high;       /* [count] of bands and whiskers */
    const char *const *point_names; /* [count] shown where a mouse rests on a point; NULL: none */
    int64_t count;
    double width; /* of bars */
    int color;    /* 0.. or COLOR_GREY */
    bool dashed, faint;
    bool dots; /* marks on a line */
};

struct axis {
    const char *label;   /* NULL: none */
    double low, high;    /* NaN: as the series need */
    bool logarithmic;    /* values of 0 and less are left out */
    bool whole;          /* ticks at whole numbers only */
    const double *ticks; /* [tick_count] instead of computed ones; NULL: computed */
    const char *const *tick_names;
    int tick_count;
};

struct chart {
    struct axis x, y;
    struct series *series; /* [series_count] drawn in this order */
    int series_count;
};

struct heat {
    const char *row_label, *column_label;
    int64_t rows, columns;
    const char *const *row_names, *const *column_names;
    const double *values;      /* [rows,columns] 0 (light) to 1 (dark); NaN: an empty cell */
    const char *const *texts;  /* [rows,columns] in the cells; NULL: none */
    const char *const *titles; /* [rows,columns] shown where a mouse rests; NULL: none */
};

struct panel {
    double x, y, width, height; /* with title and axes, without the legend */
    double legend_width;        /* to the right of it; 0: no legend */
    double margin;              /* left of the plot at least, so that panels can be in line */
    const char *title, *note;   /* NULL: none */
    bool has_heat;
    struct chart chart;
    struct heat heat;
};

struct figure {
    const char *title; /* for those who do not see it */
    double width, height;
    struct panel *panels; /* [panel_count] */
    int panel_count;
};

/* Room for panels and their series in an arena; a chart's axes fit themselves until they are set.
 * NULL when out of memory or over the bounds. */
struct panel *figure_add_panel(struct figure *f, struct arena *a);
struct series *chart_add(struct chart *c, struct arena *a, enum mark mark, int color);

/* Width that the names of a chart's series need as a legend. */
double legend_width(const struct chart *c);

/* Appends <svg>...</svg>. alone: a file of its own, with the name space and the style for dark
 * screens (an HTML page has that once: figure_style). */
void figure_draw(const struct figure *f, bool alone, struct buf *out);
void figure_style(struct buf *out);

/* At most 16 values at round places that span low..high; their common form is mantissa *
 * 10^exponent. */
struct ticks {
    int count;
    int exponent;
    int64_t mantissa[16];
};
struct ticks ticks_make(double low, double high, int wanted, bool whole);

#endif
