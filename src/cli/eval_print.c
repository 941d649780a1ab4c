#include "cli/eval_print.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/str.h"
#include "cli/name_print.h"
#include "cli/values_table.h"
#include "format/csv.h"
#include "train/evaluation_values.h"

#define CLASSES_SHOWN 12 /* of each subgroup */

enum err_code columns_parse(const char *list, bool columns[METRIC_COUNT_MAX], struct err *e)
{
    for (int m = 0; metrics[m]; m++)
        columns[m] = list ? strcmp(list, "all") == 0 : metrics[m]->common;
    while (list && strcmp(list, "all") != 0) {
        char name[64] = "";
        const char *comma = strchr(list, ',');
        size_t length = comma ? (size_t)(comma - list) : strlen(list);
        memcpy(name, list, length < sizeof name ? length : sizeof name - 1);
        int found = metric_index(str_trim(name));
        if (found < 0) {
            const char *names[METRIC_COUNT_MAX + 1] = {NULL};
            for (int m = 0; metrics[m]; m++)
                names[m] = metrics[m]->name;
            int nearest = str_nearest(str_trim(name), names);
            FAIL(e, ERR_USAGE, "no metric \"%s\"%s%s%s", str_trim(name),
                 nearest >= 0 ? "; did you mean \"" : ": ecgfm list metrics shows them",
                 nearest >= 0 ? names[nearest] : "", nearest >= 0 ? "\"?" : "");
        }
        columns[found] = true;
        list = comma ? comma + 1 : NULL;
    }
    return ERR_OK;
}

/* ---- classes by metrics ---- */

/* Width of a metric's column. */
static int column_width(int m, bool with_intervals)
{
    int title = (int)strlen(metrics[m]->name);
    return metrics[m]->interval && with_intervals ? 22 : title > 6 ? title : 6;
}

static void put_value(char *out, size_t size, double value, const struct interval *interval)
{
    int used = snprintf(out, size, isnan(value) ? "-" : "%.4f", value);
    if (interval && !isnan(interval->low))
        snprintf(out + used, size - (size_t)used, " (%.4f-%.4f)", interval->low, interval->high);
}

static void print_row(const double *row, const struct interval *intervals, bool with_intervals,
                      const bool *columns)
{
    char text[48];
    for (int m = 0; metrics[m]; m++) {
        if (!columns[m])
            continue;
        bool interval = with_intervals && metrics[m]->interval;
        put_value(text, sizeof text, row[m], interval ? &intervals[m] : NULL);
        printf("  %*s", column_width(m, with_intervals), text);
    }
    printf("\n");
}

/* Of the longest name. */
static int widest_name(const struct evaluation *ev, int least)
{
    int width = least;
    for (int64_t k = 0; k < ev->class_count; k++) {
        int own = name_width(ev->classes[k].name);
        width = own > width ? own : width;
    }
    return width;
}

void print_evaluation(const struct evaluation *ev, const bool columns[METRIC_COUNT_MAX])
{
    bool with_intervals = ev->options.draws > 0;
    int width = widest_name(ev, 8);
    printf("%-*s  %9s", width, "class", "positives");
    for (int m = 0; metrics[m]; m++)
        if (columns[m])
            printf("  %*s", column_width(m, with_intervals), metrics[m]->name);
    printf("\n");
    for (int64_t k = 0; k < ev->class_count; k++) {
        const struct class_evaluation *c = &ev->classes[k];
        name_print(c->name, width);
        printf("  %9lld", (long long)c->positives);
        print_row(c->values, c->intervals, with_intervals, columns);
    }
    printf("%-*s  %9s", width, "macro", "");
    print_row(ev->macro, ev->macro_intervals, with_intervals, columns);
}

void print_published(const struct evaluation *ev)
{
    char text[INTERVAL_TEXT_BYTES];
    int auroc = metric_index("auroc");
    interval_to_text(ev->macro[auroc], ev->macro_intervals[auroc], text);
    printf("macro AUROC %s: %.4f (%.4f-%.4f), mean of the draws %.4f\n", text, ev->macro[auroc],
           ev->macro_intervals[auroc].low, ev->macro_intervals[auroc].high, ev->macro_means[auroc]);
}

/* ---- subgroups ---- */

static void print_group_row(const char *name, int width, int64_t n, int64_t positives,
                            const double *row, const struct interval *intervals,
                            bool with_intervals)
{
    static const char *const shown[] = {"auroc", "auprc"};
    char text[48], count[24] = "";
    if (positives >= 0)
        snprintf(count, sizeof count, "%lld", (long long)positives);
    name_print(name, width);
    printf("  %7lld  %9s", (long long)n, count);
    for (int i = 0; i < 2; i++) {
        int m = metric_index(shown[i]);
        put_value(text, sizeof text, row[m], with_intervals ? &intervals[m] : NULL);
        printf("  %*s", column_width(m, with_intervals), text);
    }
}

void print_subgroups(const struct subgroups *s)
{
    const char *variable = "";
    for (int64_t i = 0; i < s->count; i++) {
        const struct subgroup *g = &s->list[i];
        const struct evaluation *ev = &g->evaluation;
        if (ev->regression) {
            printf("\n");
            name_print(g->variable, 0);
            printf(" ");
            name_print(g->name, 0);
            printf("\n");
            values_table_print(ev);
            continue;
        }
        bool with_intervals = ev->options.draws > 0, few = ev->class_count <= CLASSES_SHOWN;
        int width = widest_name(ev, 18) + 2,
            column = column_width(metric_index("auroc"), with_intervals);
        if (strcmp(variable, g->variable) != 0) {
            printf("\n");
            name_print(g->variable, width);
            printf("  %7s  %9s  %*s  %*s  classes\n", "n", "positives", column, "auroc", column,
                   "auprc");
        }
        variable = g->variable;
        print_group_row(g->name, width, ev->count, -1, ev->macro, ev->macro_intervals,
                        with_intervals);
        printf("  %lld of %lld\n", (long long)ev->macro_classes[metric_index("auroc")],
               (long long)ev->class_count);
        for (int64_t k = 0; k < ev->class_count && few; k++) {
            const struct class_evaluation *c = &ev->classes[k];
            printf("  ");
            print_group_row(c->name, width - 2, c->count, c->positives, c->values, c->intervals,
                            with_intervals);
            printf("%s%s\n", c->undefined ? "  " : "", c->undefined ? c->undefined : "");
        }
    }
}

/* ---- comparisons ---- */

/* Both values, their difference, its interval, and p. */
static void print_difference(double first, double second, struct interval interval, double p)
{
    char text[48] = "-", chance[24] = "-";
    if (!isnan(interval.low))
        snprintf(text, sizeof text, "%.4f to %.4f", interval.low, interval.high);
    if (!isnan(p))
        snprintf(chance, sizeof chance, p < 0.0001 ? "<0.0001" : "%.4f", p);
    if (isnan(first) || isnan(second))
        printf("  %7s  %7s  %10s", "-", "-", "-");
    else
        printf("  %7.4f  %7.4f  %+10.5f", first, second, second - first);
    printf("  %18s  %7s", text, chance);
}

void print_comparison(const struct comparison *c)
{
    char title[32];
    int width = 11;
    for (int64_t k = 0; k < c->class_count; k++)
        width = name_width(c->classes[k].name) > width ? name_width(c->classes[k].name) : width;
    snprintf(title, sizeof title, "%.4g %%", 100 * c->options.level);
    printf("%-*s  %7s  %7s  %10s  %18s  %7s  %9s  %9s  %9s\n", width, "class", "first", "second",
           "difference", title, "p", "mean |dp|", "max |dp|", "decisions");
    for (int64_t k = 0; k < c->class_count; k++) {
        const struct class_comparison *x = &c->classes[k];
        name_print(x->name, width);
        print_difference(x->auroc[0], x->auroc[1], x->difference.interval, x->difference.p);
        printf("  %9.6f  %9.6f  %9lld\n", x->mean_change, x->largest_change, (long long)x->changed);
    }
    printf("%-*s", width, "macro");
    print_difference(c->macro_auroc[0], c->macro_auroc[1], c->macro_auroc_interval,
                     c->macro_auroc_p);
    printf("  %9.6f  %9.6f  %9lld\n", c->mean_change, c->largest_change, (long long)c->changed);
    printf("%-*s", width, "macro AUPRC");
    print_difference(c->macro_auprc[0], c->macro_auprc[1], c->macro_auprc_interval,
                     c->macro_auprc_p);
    printf("\n");
    if (c->pairs > 1)
        printf("means of %lld runs a side; ", (long long)c->pairs);
    printf("%lld records; %lld of %lld decisions changed (%.3f %%)\n", (long long)c->count,
           (long long)c->changed, (long long)c->decisions,
           100 * (double)c->changed / (double)c->decisions);
    if (c->only_first + c->only_second > 0)
        printf("%lld records are scored by the first only, %lld by the second only\n",
               (long long)c->only_first, (long long)c->only_second);
}

/* ---- CSV ---- */

static void put_number(struct buf *out, double value)
{
    char text[32] = "";
    if (!isnan(value))
        str_from_f64(value, text, sizeof text);
    buf_printf(out, ",%s", text);
}

static void put_group(struct buf *out, const struct subgroup *g, const char *name)
{
    csv_put(out, g ? g->variable : "");
    buf_puts(out, ",");
    csv_put(out, g ? g->name : "");
    buf_puts(out, ",");
    csv_put(out, name);
}

/* Of values. */
static void put_regression(struct buf *out, const struct subgroup *g, const struct evaluation *ev)
{
    for (int64_t k = 0; k < ev->regression->count; k++) {
        const struct value_evaluation *item = &ev->regression->items[k];
        put_group(out, g, item->name);
        put_number(out, (double)item->all.count);
        for (int m = 0; m < REGRESSION_COUNT; m++) {
            put_number(out, item->all.values[m]);
            put_number(out, item->intervals[m].low);
            put_number(out, item->intervals[m].high);
        }
        buf_printf(out, ",%s\n", item->undefined ? item->undefined : "");
    }
}

static void put_regression_header(struct buf *out)
{
    buf_puts(out, "variable,group,value,n");
    for (int m = 0; m < REGRESSION_COUNT; m++)
        buf_printf(out, ",%s,%s_low,%s_high", regression_measures[m].name,
                   regression_measures[m].name, regression_measures[m].name);
    buf_puts(out, ",undefined\n");
}

static void put_header(struct buf *out)
{
    buf_puts(out, "variable,group,class,n,positives");
    for (int m = 0; metrics[m]; m++) {
        buf_printf(out, ",%s", metrics[m]->name);
        if (metrics[m]->interval)
            buf_printf(out, ",%s_low,%s_high", metrics[m]->name, metrics[m]->name);
    }
    buf_puts(out, ",auroc_delong_low,auroc_delong_high,undefined\n");
}

static void put_class(struct buf *out, const struct subgroup *g, const char *name, int64_t n,
                      const double *values, const struct interval *intervals,
                      const struct class_evaluation *c)
{
    put_group(out, g, name);
    put_number(out, (double)n);
    put_number(out, c ? (double)c->positives : NAN);
    for (int m = 0; metrics[m]; m++) {
        put_number(out, values[m]);
        if (metrics[m]->interval) {
            put_number(out, intervals[m].low);
            put_number(out, intervals[m].high);
        }
    }
    put_number(out, c ? c->auroc_delong.low : NAN);
    put_number(out, c ? c->auroc_delong.high : NAN);
    buf_printf(out, ",%s\n", c && c->undefined ? c->undefined : "");
}

static void put_evaluation(struct buf *out, const struct subgroup *g, const struct evaluation *ev)
{
    if (ev->regression) {
        put_regression(out, g, ev);
        return;
    }
    for (int64_t k = 0; k < ev->class_count; k++)
        put_class(out, g, ev->classes[k].name, ev->classes[k].count, ev->classes[k].values,
                  ev->classes[k].intervals, &ev->classes[k]);
    put_class(out, g, "macro", ev->count, ev->macro, ev->macro_intervals, NULL);
}

/* Frees the text. */
static enum err_code write_text(struct buf *text, const char *path, struct err *e)
{
    enum err_code code = text->failed ? RAISE(e, ERR_MEMORY, "%s: out of memory", path)
                                      : file_write_atomic(path, text->data, text->len, e);
    buf_free(text);
    return code;
}

enum err_code evaluation_write_csv(const struct evaluation *ev, const struct subgroups *s,
                                   const char *path, struct err *e)
{
    struct buf text;
    buf_init(&text, 0);
    if (ev->regression)
        put_regression_header(&text);
    else
        put_header(&text);
    put_evaluation(&text, NULL, ev);
    for (int64_t i = 0; i < s->count; i++)
        put_evaluation(&text, &s->list[i], &s->list[i].evaluation);
    return write_text(&text, path, e);
}

static void put_difference(struct buf *out, const char *name, double first, double second,
                           struct interval interval, double p)
{
    csv_put(out, name);
    put_number(out, first);
    put_number(out, second);
    put_number(out, second - first);
    put_number(out, interval.low);
    put_number(out, interval.high);
    put_number(out, p);
    buf_puts(out, "\n");
}

enum err_code comparison_write_csv(const struct comparison *c, const char *path, struct err *e)
{
    struct buf text;
    buf_init(&text, 0);
    buf_puts(&text, "class,auroc_first,auroc_second,auroc_difference,low,high,p\n");
    for (int64_t k = 0; k < c->class_count; k++)
        put_difference(&text, c->classes[k].name, c->classes[k].auroc[0], c->classes[k].auroc[1],
                       c->classes[k].difference.interval, c->classes[k].difference.p);
    put_difference(&text, "macro", c->macro_auroc[0], c->macro_auroc[1], c->macro_auroc_interval,
                   c->macro_auroc_p);
    return write_text(&text, path, e);
}
