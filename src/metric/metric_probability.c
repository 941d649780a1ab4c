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

/* Sums by bin of equal width: label less score, and records. */
struct calibration {
    double gap[METRIC_ECE_BINS];
    int64_t count[METRIC_ECE_BINS], total;
};

static struct calibration calibration_of(const struct ranking *r, const int32_t *weights)
{
    struct calibration c = {0};
    for (int64_t i = 0; i < r->count && r->probabilities; i++) {
        int64_t weight = rank_weight(r, weights, i);
        int bin = (int)(r->scores[i] * METRIC_ECE_BINS);
        bin = bin < METRIC_ECE_BINS ? bin : METRIC_ECE_BINS - 1;
        c.gap[bin] += (double)weight * (r->labels[i] - r->scores[i]);
        c.count[bin] += weight;
        c.total += weight;
    }
    return c;
}

/* Expected calibration error: |observed - predicted| averaged over bins of equal width, each
 * weighted by the records in it. Source: Naeini 2015, for one class. */
static double ece(const struct ranking *r, const int32_t *weights)
{
    struct calibration c = calibration_of(r, weights);
    double sum = 0;
    for (int bin = 0; bin < METRIC_ECE_BINS; bin++)
        sum += fabs(c.gap[bin]);
    return c.total ? sum / (double)c.total : NAN;
}

/* The largest |observed - predicted| of a bin that holds a record. */
static double mce(const struct ranking *r, const int32_t *weights)
{
    struct calibration c = calibration_of(r, weights);
    double largest = 0;
    for (int bin = 0; bin < METRIC_ECE_BINS; bin++)
        if (c.count[bin])
            largest = fmax(largest, fabs(c.gap[bin]) / (double)c.count[bin]);
    return c.total ? largest : NAN;
}

const struct metric metric_brier = {
    .name = "brier",
    .help = "mean squared distance of probability and label",
    .common = true,
    .compute = brier,
};

const struct metric metric_ece = {
    .name = "ece",
    .help = "expected calibration error over 15 bins of equal width",
    .common = true,
    .compute = ece,
};

const struct metric metric_mce = {
    .name = "mce",
    .help = "maximum calibration error of 15 bins of equal width",
    .compute = mce,
};
