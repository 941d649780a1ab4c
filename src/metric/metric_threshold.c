/* Metrics of a yes or no at a threshold. */
#include "metric/metric.h"

struct confusion confusion_at(const struct ranking *r, const int32_t *weights, double threshold)
{
    struct confusion c = {0};
    for (int64_t i = 0; i < r->count; i++) {
        int64_t weight = rank_weight(r, weights, i);
        bool yes = r->scores[i] >= threshold;
        if (r->labels[i])
            *(yes ? &c.true_positives : &c.false_negatives) += weight;
        else
            *(yes ? &c.false_positives : &c.true_negatives) += weight;
    }
    return c;
}

static double share(int64_t part, int64_t rest)
{
    return part + rest ? (double)part / (double)(part + rest) : NAN;
}

double confusion_sensitivity(struct confusion c)
{
    return share(c.true_positives, c.false_negatives);
}

double confusion_specificity(struct confusion c)
{
    return share(c.true_negatives, c.false_positives);
}

double confusion_precision(struct confusion c)
{
    return share(c.true_positives, c.false_positives);
}

double confusion_fbeta(struct confusion c, double beta)
{
    if (c.true_positives + c.false_negatives == 0)
        return NAN;
    double square = beta * beta, hits = (1 + square) * (double)c.true_positives;
    return hits / (hits + square * (double)c.false_negatives + (double)c.false_positives);
}

static double f1(const struct ranking *r, const int32_t *weights)
{
    return confusion_fbeta(confusion_at(r, weights, METRIC_THRESHOLD), 1);
}

static double sensitivity(const struct ranking *r, const int32_t *weights)
{
    return confusion_sensitivity(confusion_at(r, weights, METRIC_THRESHOLD));
}

static double specificity(const struct ranking *r, const int32_t *weights)
{
    return confusion_specificity(confusion_at(r, weights, METRIC_THRESHOLD));
}

const struct metric metric_f1 = {
    .name = "f1",
    .help = "harmonic mean of precision and sensitivity at the threshold",
    .higher_is_better = true,
    .compute = f1,
};

const struct metric metric_sensitivity = {
    .name = "sensitivity",
    .help = "share of positives at or above the threshold",
    .higher_is_better = true,
    .compute = sensitivity,
};

const struct metric metric_specificity = {
    .name = "specificity",
    .help = "share of negatives below the threshold",
    .higher_is_better = true,
    .compute = specificity,
};
