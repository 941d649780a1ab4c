#include "cli/values_table.h"

#include <math.h>
#include <stdio.h>

#include "base/log.h"
#include "cli/name_print.h"
#include "train/evaluation_values.h"

static void print_row(const double *row, const struct interval *intervals)
{
    char text[80];
    for (int m = 0; m < REGRESSION_COUNT; m++) {
        int used = snprintf(text, sizeof text, isnan(row[m]) ? "-" : "%.4f", row[m]);
        if (!isnan(intervals[m].low))
            snprintf(text + used, sizeof text - (size_t)used, " (%.4f to %.4f)", intervals[m].low,
                     intervals[m].high);
        printf("  %26s", text);
    }
    printf("\n");
}

void values_table_print(const struct evaluation *ev)
{
    const struct values_evaluation *r = ev->regression;
    int width = 8;
    for (int64_t k = 0; k < r->count; k++)
        width = name_width(r->items[k].name) > width ? name_width(r->items[k].name) : width;
    printf("%-*s  %7s  %9s  %9s", width, "value", "records", "mean", "deviation");
    for (int m = 0; m < REGRESSION_COUNT; m++)
        printf("  %26s", regression_measures[m].name);
    printf("\n");
    for (int64_t k = 0; k < r->count; k++) {
        const struct value_evaluation *item = &r->items[k];
        name_print(item->name, width);
        printf("  %7lld  %9.4g  %9.4g", (long long)item->all.count, item->all.mean,
               item->all.deviation);
        print_row(item->all.values, item->intervals);
    }
    if (r->count < 2)
        return;
    printf("%-*s  %7s  %9s  %9s", width, "macro", "", "", "");
    print_row(r->macro, r->macro_intervals);
}

void values_table_tell(const struct evaluation *ev)
{
    const struct values_evaluation *r = ev->regression;
    log_info("%lld records, %lld values", (long long)ev->count, (long long)r->count);
    for (int64_t k = 0; k < r->count; k++)
        if (r->items[k].undefined)
            log_warning("value %s: %s, so its r2 or r is undefined", r->items[k].name,
                        r->items[k].undefined);
}
