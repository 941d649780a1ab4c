#include "report/svg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/text.h"

#define FONT "system-ui,-apple-system,'Segoe UI','DejaVu Sans',Helvetica,Arial,sans-serif"
#define VALUE_MAX 1e30 /* what is larger, or no number, is not drawn */
enum { TITLE_PX = 13, TEXT_PX = 11, LEGEND_LINE_PX = 17, LEGEND_NAME_MAX = 30, HEAT_NAME_MAX = 14 };

static const char *const palette[COLOR_COUNT] = {"#0072b2", "#d55e00", "#009e73", "#aa4499",
                                                 "#b07d00", "#4b9fd6", "#882255", "#444444"};
static const char *const dark_palette[COLOR_COUNT] = {"#4fa8e0", "#f28444", "#2fc79a", "#dd8acb",
                                                      "#e0b13c", "#8cc9f0", "#d0708f", "#c4c9cf"};
static const char grey[] = "#b4bac1";

void figure_style(struct buf *out)
{
    buf_puts(out,
             "@media(prefers-color-scheme:dark){"
             ".fig .bg{fill:#14181d}.fig text{fill:#e6e9ec}.fig .m{fill:#a3acb5}"
             ".fig .g{stroke:#2b323a}.fig .a{stroke:#7d8791}.fig .r{stroke:#8a939c}"
             ".fig .s{stroke:#5c656e}.fig .p{fill:#5c656e}.fig .d{fill:#fff}.fig .l{fill:#111}");
    for (int i = 0; i < COLOR_COUNT; i++)
        buf_printf(out, ".fig .s%d{stroke:%s}.fig .p%d{fill:%s}", i, dark_palette[i], i,
                   dark_palette[i]);
    buf_puts(out, "}");
}

/* ---- pieces ---- */

static double clamp(double value, double low, double high)
{
    return value < low ? low : value > high ? high : value;
}

static void put(struct buf *out, double value) { text_short(out, value, 2); }

static void put_attribute(struct buf *out, const char *name, double value)
{
    buf_printf(out, " %s=\"", name);
    put(out, value);
    buf_puts(out, "\"");
}

static const char *color_of(int color) { return color < 0 ? grey : palette[color % COLOR_COUNT]; }

/* The class lets a dark screen's style take over. */
static void put_stroke(struct buf *out, int color, double width)
{
    if (color < 0)
        buf_printf(out, " class=\"s\" stroke=\"%s\"", grey);
    else
        buf_printf(out, " class=\"s%d\" stroke=\"%s\"", color % COLOR_COUNT, color_of(color));
    put_attribute(out, "stroke-width", width);
}

static void put_fill(struct buf *out, int color)
{
    if (color < 0)
        buf_printf(out, " class=\"p\" fill=\"%s\"", grey);
    else
        buf_printf(out, " class=\"p%d\" fill=\"%s\"", color % COLOR_COUNT, color_of(color));
}

static void put_dashes(struct buf *out, const struct series *s)
{
    static const char *const dashes[] = {"5 3", "2 2", "7 2 2 2"};
    int turn = s->color < 0 ? 0 : s->color / COLOR_COUNT;
    if (s->dashed || turn > 0)
        buf_printf(out, " stroke-dasharray=\"%s\"", dashes[s->dashed ? 0 : (turn - 1) % 3]);
}

static void put_line(struct buf *out, double x1, double y1, double x2, double y2, const char *kind,
                     const char *stroke)
{
    buf_puts(out, "<line");
    put_attribute(out, "x1", x1);
    put_attribute(out, "y1", y1);
    put_attribute(out, "x2", x2);
    put_attribute(out, "y2", y2);
    buf_printf(out, " class=\"%s\" stroke=\"%s\"/>\n", kind, stroke);
}

/* anchor: start, middle or end; muted: in the second colour; markup is escaped already. */
static void put_text(struct buf *out, double x, double y, const char *anchor, int size, bool muted,
                     bool bold, const char *markup)
{
    buf_puts(out, "<text");
    put_attribute(out, "x", x);
    put_attribute(out, "y", y);
    buf_printf(out, " font-size=\"%d\" fill=\"%s\"%s", size, muted ? "#57606a" : "#1b1f24",
               muted ? " class=\"m\"" : "");
    if (strcmp(anchor, "start") != 0)
        buf_printf(out, " text-anchor=\"%s\"", anchor);
    buf_printf(out, "%s>%s</text>\n", bold ? " font-weight=\"600\"" : "", markup);
}

static void put_name(struct buf *out, double x, double y, const char *anchor, int size, bool muted,
                     bool bold, const char *name, int characters)
{
    struct buf markup;
    buf_init(&markup, 0);
    text_escape_short(&markup, name, characters);
    if (text_length(name) > characters) {
        buf_puts(&markup, "<title>");
        text_escape(&markup, name);
        buf_puts(&markup, "</title>");
    }
    put_text(out, x, y, anchor, size, muted, bold, markup.data ? markup.data : "");
    out->failed |= markup.failed;
    buf_free(&markup);
}

static double text_width(int characters, int size) { return 0.58 * size * characters; }

/* ---- ticks ---- */

struct ticks ticks_make(double low, double high, int wanted, bool whole)
{
    struct ticks t = {0};
    double span = high - low;
    if (!(span > 0) || !isfinite(span))
        return t;
    wanted = wanted < 2 ? 2 : wanted > 12 ? 12 : wanted;
    int exponent = (int)floor(log10(span / wanted));
    static const int steps[] = {1, 2, 5, 10};
    for (int i = 0; i < 4; i++) {
        double size = steps[i] * pow(10, exponent);
        if (span / size > wanted + 1e-9 && i < 3)
            continue;
        if (whole && size < 1) {
            exponent = 0;
            i = -1;
            continue;
        }
        if (fabs(low / size) > 1e12 || fabs(high / size) > 1e12)
            break; /* the values differ less than they can be written */
        int64_t from = (int64_t)ceil(low / size - 1e-9), to = (int64_t)floor(high / size + 1e-9);
        t.exponent = exponent + (i == 3); /* ten is one of the next power */
        for (int64_t k = from; k <= to && t.count < 16; k++)
            t.mantissa[t.count++] = k * (i == 3 ? 1 : steps[i]);
        break;
    }
    return t;
}

static double tick_value(const struct ticks *t, int i)
{
    return t->exponent < 0 ? (double)t->mantissa[i] / pow(10, -t->exponent)
                           : (double)t->mantissa[i] * pow(10, t->exponent);
}

/* ---- a chart: where things are ---- */

struct frame {
    double left, top, width, height; /* of the plot itself */
    double x0, x1, y0, y1;           /* what it spans; logarithms on logarithmic axes */
    bool x_log, y_log;
};

static double scaled(double value, bool logarithmic)
{
    return !logarithmic ? value : value > 0 ? log10(value) : NAN;
}

static double at_x(const struct frame *f, double x)
{
    double part = (scaled(x, f->x_log) - f->x0) / (f->x1 - f->x0);
    return f->left + f->width * clamp(part, 0, 1);
}

static double at_y(const struct frame *f, double y)
{
    double part = (scaled(y, f->y_log) - f->y0) / (f->y1 - f->y0);
    return f->top + f->height * (1 - clamp(part, 0, 1));
}

static bool is_drawn(const struct frame *f, double x, double y)
{
    return fabs(scaled(x, f->x_log)) < VALUE_MAX && fabs(scaled(y, f->y_log)) < VALUE_MAX;
}

static void include(double value, bool logarithmic, double *low, double *high)
{
    double v = scaled(value, logarithmic);
    if (!(fabs(v) < VALUE_MAX))
        return;
    *low = v < *low ? v : *low;
    *high = v > *high ? v : *high;
}

/* Values of every series along one axis. */
static void series_range(const struct series *s, bool of_x, bool logarithmic, double *low,
                         double *high)
{
    bool across = s->mark == MARK_LEVEL, upward = s->mark == MARK_MOMENT;
    bool ends = s->mark == MARK_BAND || s->mark == MARK_WHISKERS;
    if ((of_x && across) || (!of_x && upward))
        return;
    if (!of_x && s->mark == MARK_BARS)
        include(0, logarithmic, low, high);
    for (int64_t i = 0; i < (across || upward ? 1 : s->count); i++) {
        if (of_x) {
            double half = s->mark == MARK_BARS ? s->width / 2 : 0;
            include(s->x[i] - half, logarithmic, low, high);
            include(s->x[i] + half, logarithmic, low, high);
        } else if (ends) {
            include(s->low[i], logarithmic, low, high);
            include(s->high[i], logarithmic, low, high);
        } else {
            include(s->y[i], logarithmic, low, high);
        }
    }
}

static void axis_range(const struct chart *c, const struct axis *axis, bool of_x, double *low,
                       double *high)
{
    double from = INFINITY, to = -INFINITY;
    bool bars = false, points = false;
    for (int i = 0; i < c->series_count; i++) {
        series_range(&c->series[i], of_x, axis->logarithmic, &from, &to);
        bars |= c->series[i].mark == MARK_BARS;
        points |= c->series[i].mark == MARK_POINTS || axis->ticks != NULL;
    }
    if (!(from <= to)) {
        from = 0;
        to = 1;
    }
    if (from == to) { /* one value: a window around it */
        double half = from == 0 ? 1 : fabs(from) * 0.1;
        from -= half;
        to += half;
    } else if (!of_x || points) {
        double room = (to - from) * (of_x ? 0.03 : 0.06);
        from -= bars && from == 0 ? 0 : room;
        to += room;
    }
    *low = isnan(axis->low) ? from : scaled(axis->low, axis->logarithmic);
    *high = isnan(axis->high) ? to : scaled(axis->high, axis->logarithmic);
    if (!(*high > *low))
        *high = *low + 1;
}

struct tick_list {
    int count;
    double values[64];
    struct buf names[64];
};

static void tick_list_free(struct tick_list *t)
{
    for (int i = 0; i < t->count; i++)
        buf_free(&t->names[i]);
}

static struct buf *tick_add(struct tick_list *t, double value)
{
    t->values[t->count] = value;
    buf_init(&t->names[t->count], 0);
    return &t->names[t->count++];
}

/* Powers of ten, with 2 and 5 between them where there is room. */
static void ticks_logarithmic(double low, double high, int wanted, struct tick_list *out)
{
    static const int all[] = {1, 2, 5};
    int from = (int)floor(low), to = (int)ceil(high), each = 1 + (to - from) / (wanted + 1);
    bool dense = (high - low) * 3 <= wanted + 1;
    for (int d = from; d <= to && out->count < 60; d++)
        for (int i = 0; i < (dense ? 3 : 1); i++) {
            double value = log10(all[i]) + d;
            if (value < low - 1e-9 || value > high + 1e-9 || (!dense && (d - from) % each))
                continue;
            text_decimal(tick_add(out, pow(10, d) * all[i]), all[i], d);
        }
}

static void ticks_of(const struct axis *axis, double low, double high, int wanted,
                     struct tick_list *out)
{
    out->count = 0;
    if (axis->ticks) {
        for (int i = 0; i < axis->tick_count && i < 64; i++)
            text_escape_short(tick_add(out, axis->ticks[i]), axis->tick_names[i], 16);
    } else if (axis->logarithmic) {
        ticks_logarithmic(low, high, wanted, out);
    }
    if (out->count >= 2 || axis->ticks)
        return;
    tick_list_free(out);
    out->count = 0;
    double from = axis->logarithmic ? pow(10, low) : low;
    double to = axis->logarithmic ? pow(10, high) : high;
    struct ticks t = ticks_make(from, to, wanted, axis->whole);
    for (int i = 0; i < t.count; i++)
        text_decimal(tick_add(out, tick_value(&t, i)), t.mantissa[i], t.exponent);
}

static double widest(const struct tick_list *t)
{
    int most = 1;
    for (int i = 0; i < t->count; i++) {
        int length = t->names[i].data ? text_length(t->names[i].data) : 0;
        most = length > most ? length : most;
    }
    return text_width(most, TEXT_PX);
}

/* ---- a chart: drawing ---- */

static void draw_axes(const struct panel *p, const struct chart *c, struct frame *f,
                      struct buf *out)
{
    double heading = (p->title ? 20 : 4) + (p->note ? 14 : 0);
    f->x_log = c->x.logarithmic;
    f->y_log = c->y.logarithmic;
    axis_range(c, &c->x, true, &f->x0, &f->x1);
    axis_range(c, &c->y, false, &f->y0, &f->y1);
    f->top = p->y + heading + 4;
    f->height = p->height - heading - 4 - 20 - (c->x.label ? 18 : 0);
    struct tick_list xs, ys;
    ticks_of(&c->y, f->y0, f->y1, (int)(f->height / 27), &ys);
    f->left = p->x + fmax((c->y.label ? 18 : 2) + widest(&ys) + 8, p->margin);
    f->width = p->x + p->width - 10 - f->left;
    ticks_of(&c->x, f->x0, f->x1, (int)(f->width / 56), &xs);

    for (int i = 0; i < ys.count; i++) {
        double y = at_y(f, ys.values[i]);
        put_line(out, f->left, y, f->left + f->width, y, "g", "#e4e8ec");
        put_text(out, f->left - 6, y + 4, "end", TEXT_PX, true, false,
                 ys.names[i].data ? ys.names[i].data : "");
    }
    double last_end = -INFINITY;
    for (int i = 0; i < xs.count; i++) {
        double x = at_x(f, xs.values[i]);
        const char *name = xs.names[i].data ? xs.names[i].data : "";
        double half = text_width(text_length(name), TEXT_PX) / 2;
        put_line(out, x, f->top, x, f->top + f->height, "g", "#e4e8ec");
        if (x - half < last_end + 3)
            continue; /* it would run into the one before */
        last_end = x + half;
        put_text(out, x, f->top + f->height + 15, "middle", TEXT_PX, true, false, name);
    }
    put_line(out, f->left, f->top + f->height, f->left + f->width, f->top + f->height, "a",
             "#8c959f");
    put_line(out, f->left, f->top, f->left, f->top + f->height, "a", "#8c959f");
    tick_list_free(&xs);
    tick_list_free(&ys);
    if (c->x.label)
        put_name(out, f->left + f->width / 2, p->y + p->height - 5, "middle", TEXT_PX, false, false,
                 c->x.label, 80);
    if (!c->y.label)
        return;
    buf_puts(out, "<g transform=\"translate(");
    put(out, p->x + 12);
    buf_puts(out, " ");
    put(out, f->top + f->height / 2);
    buf_puts(out, ") rotate(-90)\">");
    put_name(out, 0, 0, "middle", TEXT_PX, false, false, c->y.label, 60);
    buf_puts(out, "</g>\n");
}

/* The pen of a path: leaves out what lies on the place before. */
struct pen {
    struct buf *out;
    double x, y;
    bool down;
    int64_t column; /* pixel column, and what lies in it, of long lines */
};

static void pen_to(struct pen *pen, double x, double y, bool always)
{
    if (pen->down && !always && fabs(x - pen->x) < 0.3 && fabs(y - pen->y) < 0.3)
        return;
    buf_puts(pen->out, pen->down ? "L" : "M");
    put(pen->out, x);
    buf_puts(pen->out, " ");
    put(pen->out, y);
    pen->x = x;
    pen->y = y;
    pen->down = true;
}

/* A pixel column of a long line: first, lowest, highest and last are all that can be seen of it. */
static int64_t column_end(const struct series *s, const struct frame *f, int64_t from)
{
    double column = floor(at_x(f, s->x[from]));
    int64_t i = from;
    while (i < s->count && is_drawn(f, s->x[i], s->y[i]) && floor(at_x(f, s->x[i])) == column)
        i++;
    return i;
}

static void draw_column(struct pen *pen, const struct series *s, const struct frame *f,
                        int64_t from, int64_t to)
{
    int64_t low = from, high = from;
    for (int64_t i = from; i < to; i++) {
        low = s->y[i] < s->y[low] ? i : low;
        high = s->y[i] > s->y[high] ? i : high;
    }
    int64_t second = low < high ? low : high, third = low < high ? high : low;
    int64_t order[] = {from, second, third, to - 1};
    for (int k = 0; k < 4; k++)
        pen_to(pen, at_x(f, s->x[order[k]]), at_y(f, s->y[order[k]]), false);
}

static void draw_line(const struct series *s, const struct frame *f, struct buf *out)
{
    struct pen pen = {.out = out};
    bool steps = s->mark == MARK_STEP, dense = !steps && (double)s->count > 3 * f->width;
    buf_puts(out, "<path fill=\"none\" stroke-linejoin=\"round\"");
    put_stroke(out, s->color, s->color < 0 ? 1 : 1.75);
    put_dashes(out, s);
    if (s->faint)
        buf_puts(out, " stroke-opacity=\"0.55\"");
    buf_puts(out, " d=\"");
    for (int64_t i = 0; i < s->count; i++) {
        if (!is_drawn(f, s->x[i], s->y[i])) {
            pen.down = false;
            continue;
        }
        if (dense) {
            int64_t end = column_end(s, f, i);
            draw_column(&pen, s, f, i, end);
            i = end - 1;
            continue;
        }
        double x = at_x(f, s->x[i]), y = at_y(f, s->y[i]);
        bool last = i + 1 == s->count;
        if (steps)
            pen_to(&pen, pen.down ? pen.x : f->left, y, false);
        pen_to(&pen, x, y, last);
    }
    buf_puts(out, "\"/>\n");
}

static void draw_dot(const struct series *s, double x, double y, double size, const char *name,
                     struct buf *out)
{
    int shape = s->color < 0 ? 0 : s->color % 4;
    if (shape == 0) {
        buf_puts(out, "<circle");
        put_attribute(out, "cx", x);
        put_attribute(out, "cy", y);
        put_attribute(out, "r", size);
    } else {
        static const double corners[3][8] = {{-.9, -.9, .9, -.9, .9, .9, -.9, .9},
                                             {0, -1.2, 1.1, .8, -1.1, .8, -1.1, .8},
                                             {0, -1.3, 1.3, 0, 0, 1.3, -1.3, 0}};
        buf_puts(out, "<path d=\"");
        for (int i = 0; i < 4; i++) {
            buf_puts(out, i ? "L" : "M");
            put(out, x + size * corners[shape - 1][2 * i]);
            buf_puts(out, " ");
            put(out, y + size * corners[shape - 1][2 * i + 1]);
        }
        buf_puts(out, "Z\"");
    }
    put_fill(out, s->color);
    if (name) {
        buf_puts(out, "><title>");
        text_escape(out, name);
        buf_printf(out, "</title></%s>\n", shape == 0 ? "circle" : "path");
    } else {
        buf_puts(out, "/>\n");
    }
}

static void draw_dots(const struct series *s, const struct frame *f, struct buf *out)
{
    bool many = s->count > 400;
    if (many)
        buf_puts(out, "<g fill-opacity=\"0.45\">\n");
    for (int64_t i = 0; i < s->count; i++)
        if (is_drawn(f, s->x[i], s->y[i]))
            draw_dot(s, at_x(f, s->x[i]), at_y(f, s->y[i]), many ? 2 : 3.2,
                     s->point_names ? s->point_names[i] : NULL, out);
    if (many)
        buf_puts(out, "</g>\n");
}

static void draw_bars(const struct series *s, const struct frame *f, struct buf *out)
{
    for (int64_t i = 0; i < s->count; i++) {
        if (!is_drawn(f, s->x[i], s->y[i]) || s->y[i] == 0)
            continue;
        double left = at_x(f, s->x[i] - s->width / 2), right = at_x(f, s->x[i] + s->width / 2);
        double y = at_y(f, s->y[i]), zero = f->y_log ? f->top + f->height : at_y(f, 0);
        buf_puts(out, "<rect");
        put_attribute(out, "x", left + 0.5);
        put_attribute(out, "y", y < zero ? y : zero);
        put_attribute(out, "width", right - left > 1.5 ? right - left - 1 : 0.5);
        put_attribute(out, "height", fabs(zero - y));
        put_fill(out, s->color);
        buf_puts(out, "/>\n");
    }
}

static void draw_band(const struct series *s, const struct frame *f, struct buf *out)
{
    struct pen pen = {.out = out};
    buf_puts(out, "<path fill-opacity=\"0.15\"");
    put_fill(out, s->color);
    buf_puts(out, " d=\"");
    for (int64_t i = 0; i < s->count; i++)
        if (is_drawn(f, s->x[i], s->low[i]) && is_drawn(f, s->x[i], s->high[i]))
            pen_to(&pen, at_x(f, s->x[i]), at_y(f, s->high[i]), false);
    for (int64_t i = s->count - 1; i >= 0; i--)
        if (is_drawn(f, s->x[i], s->low[i]) && is_drawn(f, s->x[i], s->high[i]))
            pen_to(&pen, at_x(f, s->x[i]), at_y(f, s->low[i]), false);
    buf_puts(out, pen.down ? "Z\"/>\n" : "\"/>\n");
}

static void draw_whiskers(const struct series *s, const struct frame *f, struct buf *out)
{
    buf_puts(out, "<path fill=\"none\"");
    put_stroke(out, s->color, 1);
    buf_puts(out, " d=\"");
    for (int64_t i = 0; i < s->count; i++) {
        if (!is_drawn(f, s->x[i], s->low[i]) || !is_drawn(f, s->x[i], s->high[i]))
            continue;
        double x = at_x(f, s->x[i]), ends[] = {at_y(f, s->low[i]), at_y(f, s->high[i])};
        for (int k = 0; k < 2; k++) {
            buf_puts(out, "M");
            put(out, x - 2.5);
            buf_puts(out, " ");
            put(out, ends[k]);
            buf_puts(out, "h5");
        }
        buf_puts(out, "M");
        put(out, x);
        buf_puts(out, " ");
        put(out, ends[0]);
        buf_puts(out, "V");
        put(out, ends[1]);
    }
    buf_puts(out, "\"/>\n");
}

static void draw_rule(const struct series *s, const struct frame *f, struct buf *out)
{
    bool level = s->mark == MARK_LEVEL;
    double at = level ? at_y(f, s->y[0]) : at_x(f, s->x[0]);
    buf_puts(out, "<path fill=\"none\"");
    if (s->color < 0)
        buf_puts(out, " class=\"r\" stroke=\"#6e7781\" stroke-width=\"1\"");
    else
        put_stroke(out, s->color, 1.25);
    put_dashes(out, s);
    buf_puts(out, " d=\"M");
    put(out, level ? f->left : at);
    buf_puts(out, " ");
    put(out, level ? at : f->top);
    buf_puts(out, level ? "H" : "V");
    put(out, level ? f->left + f->width : f->top + f->height);
    buf_puts(out, "\"/>\n");
}

static void draw_series(const struct series *s, const struct frame *f, struct buf *out)
{
    if (s->count == 0)
        return;
    switch (s->mark) {
    case MARK_LINE:
    case MARK_STEP:
        draw_line(s, f, out);
        break;
    case MARK_POINTS:
        draw_dots(s, f, out);
        break;
    case MARK_BARS:
        draw_bars(s, f, out);
        break;
    case MARK_BAND:
        draw_band(s, f, out);
        break;
    case MARK_WHISKERS:
        draw_whiskers(s, f, out);
        break;
    case MARK_LEVEL:
    case MARK_MOMENT:
        draw_rule(s, f, out);
        break;
    }
    if (s->mark == MARK_LINE && s->dots)
        draw_dots(s, f, out);
}

double legend_width(const struct chart *c)
{
    int most = 0;
    for (int i = 0; i < c->series_count; i++) {
        int length = c->series[i].name ? text_length(c->series[i].name) : 0;
        length = length < LEGEND_NAME_MAX ? length : LEGEND_NAME_MAX;
        most = length > most ? length : most;
    }
    return most == 0 ? 0 : 34 + text_width(most, TEXT_PX);
}

static void draw_sample(const struct series *s, double x, double y, struct buf *out)
{
    double xs[] = {x, x + 18};
    if (s->mark == MARK_BARS || s->mark == MARK_BAND) {
        buf_puts(out, "<rect");
        put_attribute(out, "x", x);
        put_attribute(out, "y", y - 5);
        buf_printf(out, " width=\"18\" height=\"10\"%s",
                   s->mark == MARK_BAND ? " fill-opacity=\"0.25\"" : "");
        put_fill(out, s->color);
        buf_puts(out, "/>\n");
        return;
    }
    if (s->mark != MARK_POINTS) {
        bool rule = (s->mark == MARK_LEVEL || s->mark == MARK_MOMENT) && s->color < 0;
        buf_puts(out, "<path fill=\"none\"");
        if (rule)
            buf_puts(out, " class=\"r\" stroke=\"#6e7781\" stroke-width=\"1\"");
        else
            put_stroke(out, s->color, s->color < 0 ? 1 : 1.75);
        put_dashes(out, s);
        buf_puts(out, " d=\"M");
        put(out, xs[0]);
        buf_puts(out, " ");
        put(out, y);
        buf_puts(out, "h18\"/>\n");
    }
    if (s->mark == MARK_POINTS || s->dots)
        draw_dot(s, x + 9, y, 3.2, NULL, out);
}

static void draw_chart(const struct panel *p, struct buf *out)
{
    struct frame f = {0};
    const struct chart *c = &p->chart;
    draw_axes(p, c, &f, out);
    for (int i = 0; i < c->series_count; i++)
        draw_series(&c->series[i], &f, out);
    double x = p->x + p->width + 4, y = f.top + 8;
    for (int i = 0; i < c->series_count && p->legend_width > 0; i++) {
        const struct series *s = &c->series[i];
        if (!s->name)
            continue;
        draw_sample(s, x, y, out);
        put_name(out, x + 25, y + 4, "start", TEXT_PX, false, false, s->name, LEGEND_NAME_MAX);
        y += LEGEND_LINE_PX;
    }
}

/* ---- a heat map ---- */

static int longest(const char *const *names, int64_t count)
{
    int most = 0;
    for (int64_t i = 0; i < count; i++) {
        int length = text_length(names[i]);
        length = length < HEAT_NAME_MAX ? length : HEAT_NAME_MAX;
        most = length > most ? length : most;
    }
    return most;
}

/* From white to the first colour. */
static void put_shade(struct buf *out, double value)
{
    static const int dark[] = {0, 90, 158};
    int rgb[3];
    for (int i = 0; i < 3; i++)
        rgb[i] = (int)(255 + (dark[i] - 255) * clamp(value, 0, 1) + 0.5);
    buf_printf(out, " fill=\"#%02x%02x%02x\"", rgb[0], rgb[1], rgb[2]);
}

static void draw_cell(const struct heat *h, int64_t cell, double x, double y, double width,
                      double height, struct buf *out)
{
    double value = h->values[cell];
    const char *text = h->texts ? h->texts[cell] : NULL;
    if (!isnan(value) && value > 0) {
        buf_puts(out, "<rect");
        put_attribute(out, "x", x + 0.5);
        put_attribute(out, "y", y + 0.5);
        put_attribute(out, "width", width - 1);
        put_attribute(out, "height", height - 1);
        put_shade(out, value);
        if (h->titles && h->titles[cell]) {
            buf_puts(out, "><title>");
            text_escape(out, h->titles[cell]);
            buf_puts(out, "</title></rect>\n");
        } else {
            buf_puts(out, "/>\n");
        }
    }
    if (!text)
        return;
    /* on a shaded cell the colour follows the shade, not the screen */
    bool shaded = !isnan(value) && value > 0, dark = value > 0.55;
    buf_puts(out, "<text");
    put_attribute(out, "x", x + width / 2);
    put_attribute(out, "y", y + height / 2 + 4);
    buf_printf(out, " font-size=\"%d\" text-anchor=\"middle\" class=\"%s\" fill=\"%s\">", TEXT_PX,
               !shaded ? "m"
               : dark  ? "d"
                       : "l",
               shaded && dark ? "#ffffff" : "#1b1f24");
    text_escape_short(out, text, 12);
    buf_puts(out, "</text>\n");
}

static void draw_turned(struct buf *out, double x, double y, int degrees, const char *anchor,
                        const char *name, int characters)
{
    buf_puts(out, "<g transform=\"translate(");
    put(out, x);
    buf_puts(out, " ");
    put(out, y);
    buf_printf(out, ") rotate(%d)\">", degrees);
    put_name(out, 0, 0, anchor, TEXT_PX, degrees != -90 || anchor[0] != 'm', false, name,
             characters);
    buf_puts(out, "</g>\n");
}

static void draw_heat(const struct panel *p, struct buf *out)
{
    const struct heat *h = &p->heat;
    double heading = (p->title ? 20 : 4) + (p->note ? 14 : 0);
    double left =
        p->x + (h->row_label ? 20 : 2) + text_width(longest(h->row_names, h->rows), TEXT_PX) + 8;
    double width = (p->x + p->width - 4 - left) / (double)h->columns;
    double names = text_width(longest(h->column_names, h->columns), TEXT_PX);
    bool turned = names > width - 4;
    double top = p->y + heading + (h->column_label ? 16 : 0) + (turned ? names + 6 : 16) + 2;
    double height = (p->y + p->height - 4 - top) / (double)h->rows;
    int every_row = height >= 11 ? 1 : (int)ceil(11 / height);
    int every_column = !turned || width >= 11 ? 1 : (int)ceil(11 / width);

    if (h->column_label)
        put_name(out, left + width * (double)h->columns / 2, p->y + heading + 11, "middle", TEXT_PX,
                 false, false, h->column_label, 60);
    if (h->row_label)
        draw_turned(out, p->x + 12, top + height * (double)h->rows / 2, -90, "middle", h->row_label,
                    60);
    for (int64_t j = 0; j < h->columns; j++) {
        double x = left + width * ((double)j + 0.5);
        if (j % every_column)
            continue;
        if (turned)
            draw_turned(out, x + 4, top - 5, -90, "start", h->column_names[j], HEAT_NAME_MAX);
        else
            put_name(out, x, top - 5, "middle", TEXT_PX, true, false, h->column_names[j],
                     HEAT_NAME_MAX);
    }
    buf_puts(out, "<rect fill=\"none\" class=\"a\" stroke=\"#8c959f\"");
    put_attribute(out, "x", left);
    put_attribute(out, "y", top);
    put_attribute(out, "width", width * (double)h->columns);
    put_attribute(out, "height", height * (double)h->rows);
    buf_puts(out, "/>\n");
    for (int64_t i = 0; i < h->rows; i++) {
        double y = top + height * (double)i;
        if (i % every_row == 0)
            put_name(out, left - 6, y + height / 2 + 4, "end", TEXT_PX, true, false,
                     h->row_names[i], HEAT_NAME_MAX);
        for (int64_t j = 0; j < h->columns; j++)
            draw_cell(h, i * h->columns + j, left + width * (double)j, y, width, height, out);
    }
}

/* ---- the sheet ---- */

struct panel *figure_add_panel(struct figure *f, struct arena *a)
{
    if (!f->panels)
        f->panels = arena_push_array(a, PANELS_MAX, sizeof *f->panels);
    if (!f->panels || f->panel_count == PANELS_MAX)
        return NULL;
    struct panel *p = &f->panels[f->panel_count++];
    p->chart.x.low = p->chart.x.high = p->chart.y.low = p->chart.y.high = NAN;
    return p;
}

struct series *chart_add(struct chart *c, struct arena *a, enum mark mark, int color)
{
    if (!c->series)
        c->series = arena_push_array(a, SERIES_MAX, sizeof *c->series);
    if (!c->series || c->series_count == SERIES_MAX)
        return NULL;
    struct series *s = &c->series[c->series_count++];
    s->mark = mark;
    s->color = color;
    return s;
}

void figure_draw(const struct figure *f, bool alone, struct buf *out)
{
    buf_puts(out, "<svg");
    if (alone)
        buf_puts(out, " xmlns=\"http://www.w3.org/2000/svg\"");
    put_attribute(out, "width", f->width);
    put_attribute(out, "height", f->height);
    buf_puts(out, " viewBox=\"0 0 ");
    put(out, f->width);
    buf_puts(out, " ");
    put(out, f->height);
    buf_puts(out, "\" class=\"fig\" font-family=\"" FONT "\" role=\"img\" aria-label=\"");
    text_escape(out, f->title ? f->title : "");
    buf_puts(out, "\">\n");
    if (alone) {
        buf_puts(out, "<style>");
        figure_style(out);
        buf_puts(out, "</style>\n");
    }
    buf_puts(out, "<rect class=\"bg\" width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n");
    for (int i = 0; i < f->panel_count; i++) {
        const struct panel *p = &f->panels[i];
        if (p->title)
            put_name(out, p->x + 2, p->y + 14, "start", TITLE_PX, false, true, p->title,
                     (int)((p->width + p->legend_width) / (0.6 * TITLE_PX)));
        if (p->note)
            put_name(out, p->x + 2, p->y + (p->title ? 30 : 14), "start", TEXT_PX, true, false,
                     p->note, (int)((p->width + p->legend_width) / (0.56 * TEXT_PX)));
        if (p->has_heat)
            draw_heat(p, out);
        else
            draw_chart(p, out);
    }
    buf_puts(out, "</svg>\n");
}
