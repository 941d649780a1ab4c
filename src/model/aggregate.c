#include "model/aggregate.h"

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

const char *const aggregation_names[] = {"mean_logit", "mean", "max", NULL};

bool aggregation_parse(const char *name, enum aggregation *out)
{
    for (int i = 0; aggregation_names[i]; i++)
        if (strcmp(name ? name : aggregation_names[0], aggregation_names[i]) == 0) {
            *out = (enum aggregation)i;
            return true;
        }
    return false;
}

void aggregate_reset(struct aggregate *g) { *g = (struct aggregate){.kind = g->kind}; }

void aggregate_add(struct aggregate *g, float logit)
{
    double z = logit;
    if (g->count++ == 0)
        g->first = logit;
    g->broken = g->broken || !isfinite(logit);
    switch (g->kind) {
    case AGGREGATE_MEAN_LOGIT:
        g->a += z;
        break;
    case AGGREGATE_MEAN:
        g->a += 1.0 / (1.0 + exp(-z));
        g->b += 1.0 / (1.0 + exp(z));
        break;
    case AGGREGATE_MAX:
        if (g->count == 1 || z > g->a)
            g->a = z;
        break;
    }
}

float aggregate_logit(const struct aggregate *g)
{
    if (g->broken)
        return (float)NAN;
    if (g->count == 1)
        return g->first;
    if (g->kind == AGGREGATE_MEAN) /* the log of the odds: neither sum comes from a difference */
        return (float)(log(fmax(g->a, DBL_MIN)) - log(fmax(g->b, DBL_MIN)));
    return (float)(g->kind == AGGREGATE_MEAN_LOGIT ? g->a / (double)g->count : g->a);
}
