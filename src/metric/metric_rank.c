/* Metrics of the order alone. Records of equal score form one step: no order among them counts. */
#include "metric/metric.h"

/* Mann-Whitney: the share of (positive, negative) pairs in the right order, ties counting half.
 * Twice the number of pairs is a whole number, so the sum is exact. */
static double auroc(const struct ranking *r, const int32_t *weights)
{
    int64_t twice_pairs = 0, positives = 0, negatives = 0, tied[2] = {0, 0};
    for (int64_t i = 0; i < r->count; i++) {
        tied[r->labels[i]] += rank_weight(r, weights, i);
        if (r->last[i]) {
            twice_pairs += tied[0] * (2 * positives + tied[1]);
            negatives += tied[0];
            positives += tied[1];
            tied[0] = tied[1] = 0;
        }
    }
    if (positives == 0 || negatives == 0)
        return NAN;
    return (double)twice_pairs / (2.0 * (double)positives * (double)negatives);
}

/* Average precision: sum over thresholds of (recall gained) * precision, without interpolation.
 * Undefined without negatives too: then there is nothing to tell apart, and the macro average runs
 * over the same classes as that of the AUROC. */
static double auprc(const struct ranking *r, const int32_t *weights)
{
    int64_t called = 0, positives = 0, gained = 0;
    double sum = 0;
    for (int64_t i = 0; i < r->count; i++) {
        int64_t weight = rank_weight(r, weights, i);
        called += weight;
        gained += r->labels[i] ? weight : 0;
        if (r->last[i] && gained) {
            positives += gained;
            sum += (double)gained * ((double)positives / (double)called);
            gained = 0;
        }
    }
    return positives == 0 || positives == called ? NAN : sum / (double)positives;
}

double auroc_variance(const struct ranking *r)
{
    int64_t m = r->positives, n = r->count - m;
    if (m < 2 || n < 2)
        return NAN;

    /* The placement of a positive is the share of negatives below it (ties half), that of a
     * negative the share of positives above it; both average to the AUROC. */
    double sum[2] = {0, 0}, mean = auroc(r, NULL);
    int64_t above[2] = {0, 0}, tied[2] = {0, 0};
    for (int64_t i = 0; i < r->count; i++) {
        tied[r->labels[i]]++;
        if (!r->last[i])
            continue;
        double negatives_below = (double)(n - above[0]) - (double)tied[0] / 2;
        double positives_above = (double)above[1] + (double)tied[1] / 2;
        double of_positive = negatives_below / (double)n - mean;
        double of_negative = positives_above / (double)m - mean;
        sum[1] += (double)tied[1] * of_positive * of_positive;
        sum[0] += (double)tied[0] * of_negative * of_negative;
        for (int label = 0; label < 2; label++) {
            above[label] += tied[label];
            tied[label] = 0;
        }
    }
    return sum[1] / ((double)(m - 1) * (double)m) + sum[0] / ((double)(n - 1) * (double)n);
}

const struct metric metric_auroc = {
    .name = "auroc",
    .help = "area under the ROC curve",
    .higher_is_better = true,
    .interval = true,
    .common = true,
    .compute = auroc,
};

const struct metric metric_auprc = {
    .name = "auprc",
    .help = "average precision, the area under the precision-recall steps",
    .higher_is_better = true,
    .interval = true,
    .common = true,
    .compute = auprc,
};
