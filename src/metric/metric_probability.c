/* Metrics of scores as probabilities: undefined where a score lies outside 0..1. */
#include "metric/metric.h"

/* Mean squared distance of probability and label. Source: Brier 1950. */
static double brier(const struct ranking *r, const int32_t *weights)
{
    double sum = 0;
    int64_t total = 0;
    for (int64_t i = 0; i < r->count; i++) {
        int64_t weight = rank_weight(r, weights, i);
        double distance = r->scores[i] - r->labels[i];
        sum += (double)weight * distance * distance;
        total += weight;
    }
    return total && r->probabilities ? sum / (double)total : NAN;
}

/* Expected calibration error: |observed - predicted| averaged over bins of equal width, each
 * weighted by the records in it. Source: Naeini 2015, for one class. */
static double ece(const struct ranking *r, const int32_t *weights)
{
    if (!r->probabilities)
        return NAN;
    double gap[METRIC_ECE_BINS] = {0}, sum = 0;
    int64_t total = 0;
    for (int64_t i = 0; i < r->count; i++) {
        int64_t weight = rank_weight(r, weights, i);
        int bin = (int)(r->scores[i] * METRIC_ECE_BINS);
        gap[bin < METRIC_ECE_BINS ? bin : METRIC_ECE_BINS - 1] +=
            (double)weight * (r->labels[i] - r->scores[i]);
        total += weight;
    }
    for (int bin = 0; bin < METRIC_ECE_BINS; bin++)
        sum += fabs(gap[bin]);
    return total ? sum / (double)total : NAN;
}

const struct metric metric_brier = {
    .name = "brier",
    .help = "mean squared distance of probability and label",
    .compute = brier,
};

const struct metric metric_ece = {
    .name = "ece",
    .help = "expected calibration error over 15 bins of equal width",
    .compute = ece,
};
