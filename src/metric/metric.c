#include "metric/metric.h"

#include <string.h>

const struct metric *const metrics[] = {
#define METRIC(name) &metric_##name,
#include "metric/metrics.def"
#undef METRIC
    NULL};

_Static_assert(sizeof metrics / sizeof metrics[0] - 1 <= METRIC_COUNT_MAX, "too many metrics");

int metric_count(void) { return (int)(sizeof metrics / sizeof metrics[0]) - 1; }

int metric_index(const char *name)
{
    for (int i = 0; metrics[i]; i++)
        if (strcmp(metrics[i]->name, name) == 0)
            return i;
    return -1;
}

double macro_average(const double *values, int64_t count, int64_t *defined)
{
    double sum = 0;
    int64_t n = 0;
    for (int64_t i = 0; i < count; i++)
        if (!isnan(values[i])) {
            sum += values[i];
            n++;
        }
    if (defined)
        *defined = n;
    return n ? sum / (double)n : NAN;
}
