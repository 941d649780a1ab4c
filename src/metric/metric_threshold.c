/* Metrics of a yes or no at a threshold. */
#include <string.h>

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

double confusion_gbeta(struct confusion c, double beta)
{
    if (c.true_positives + c.false_negatives == 0)
        return NAN;
    return (double)c.true_positives /
           ((double)(c.true_positives + c.false_positives) + beta * (double)c.false_negatives);
}

double confusion_balanced_accuracy(struct confusion c)
{
    return (confusion_sensitivity(c) + confusion_specificity(c)) / 2; /* NaN if one of them is */
}

double confusion_matthews(struct confusion c)
{
    double tp = (double)c.true_positives, fp = (double)c.false_positives,
           tn = (double)c.true_negatives, fn = (double)c.false_negatives;
    if (tp + fn == 0 || tn + fp == 0)
        return NAN;
    double square = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn);
    return square > 0 ? (tp * tn - fp * fn) / sqrt(square) : 0;
}

/* ---- at the threshold ---- */

static struct confusion confusion_of(const struct ranking *r, const int32_t *weights)
{
    return confusion_at(r, weights, r->threshold);
}

static double f1(const struct ranking *r, const int32_t *weights)
{
    return confusion_fbeta(confusion_of(r, weights), 1);
}

static double f2(const struct ranking *r, const int32_t *weights)
{
    return confusion_fbeta(confusion_of(r, weights), 2);
}

static double g2(const struct ranking *r, const int32_t *weights)
{
    return confusion_gbeta(confusion_of(r, weights), 2);
}

static double sensitivity(const struct ranking *r, const int32_t *weights)
{
    return confusion_sensitivity(confusion_of(r, weights));
}

static double specificity(const struct ranking *r, const int32_t *weights)
{
    return confusion_specificity(confusion_of(r, weights));
}

static double precision(const struct ranking *r, const int32_t *weights)
{
    return confusion_precision(confusion_of(r, weights));
}

static double balanced_accuracy(const struct ranking *r, const int32_t *weights)
{
    return confusion_balanced_accuracy(confusion_of(r, weights));
}

static double matthews(const struct ranking *r, const int32_t *weights)
{
    return confusion_matthews(confusion_of(r, weights));
}

/* ---- over all thresholds ---- */

/* The best F1 at any threshold. NaN without positives. */
static double f1_max(const struct ranking *r, const int32_t *weights)
{
    int64_t called = 0, found = 0, positives = 0;
    double best = 0;
    for (int64_t i = 0; i < r->count; i++)
        positives += r->labels[i] ? rank_weight(r, weights, i) : 0;
    for (int64_t i = 0; i < r->count; i++) {
        called += rank_weight(r, weights, i);
        found += r->labels[i] ? rank_weight(r, weights, i) : 0;
        if (r->last[i] && found)
            best = fmax(best, 2 * (double)found / (double)(called + positives));
    }
    return positives ? best : NAN;
}

/* The best share of one label on its right side where at least `floor` of the other label is on its own:
 * of positives called at a specificity, or of negatives not called at a sensitivity. */
static double share_at(const struct ranking *r, const int32_t *weights, bool of_positives,
                       double floor)
{
    int64_t total[2] = {0, 0}, called[2] = {0, 0};
    for (int64_t i = 0; i < r->count; i++)
        total[r->labels[i]] += rank_weight(r, weights, i);
    if (total[0] == 0 || total[1] == 0)
        return NAN;
    double best = 0;
    for (int64_t i = -1; i < r->count; i++) { /* -1: nothing is called */
        if (i >= 0)
            called[r->labels[i]] += rank_weight(r, weights, i);
        if (i >= 0 && !r->last[i])
            continue;
        double found = (double)called[1] / (double)total[1];
        double spared = (double)(total[0] - called[0]) / (double)total[0];
        if ((of_positives ? spared : found) >= floor)
            best = fmax(best, of_positives ? found : spared);
    }
    return best;
}

static double rule_value(struct confusion c, const char *rule)
{
    if (strcmp(rule, "youden") == 0)
        return confusion_sensitivity(c) + confusion_specificity(c);
    return rule[0] == 'g' ? confusion_gbeta(c, 2) : confusion_fbeta(c, rule[1] == '2' ? 2 : 1);
}

double threshold_choose(const struct ranking *r, const char *rule)
{
    struct confusion c = {.false_negatives = r->positives,
                          .true_negatives = r->count - r->positives};
    double best = -1, threshold = NAN;
    for (int64_t i = 0; i < r->count && ranking_has_both(r); i++) {
        *(r->labels[i] ? &c.true_positives : &c.false_positives) += 1;
        *(r->labels[i] ? &c.false_negatives : &c.true_negatives) -= 1;
        double value = rule_value(c, rule);
        if (r->last[i] && value > best) {
            best = value;
            threshold = r->scores[i];
        }
    }
    return threshold;
}

double sensitivity_at_specificity(const struct ranking *r, const int32_t *weights,
                                  double specificity)
{
    return share_at(r, weights, true, specificity);
}

double specificity_at_sensitivity(const struct ranking *r, const int32_t *weights,
                                  double sensitivity)
{
    return share_at(r, weights, false, sensitivity);
}

static double sensitivity_at_spec90(const struct ranking *r, const int32_t *weights)
{
    return sensitivity_at_specificity(r, weights, 0.90);
}

static double sensitivity_at_spec95(const struct ranking *r, const int32_t *weights)
{
    return sensitivity_at_specificity(r, weights, 0.95);
}

static double specificity_at_sens90(const struct ranking *r, const int32_t *weights)
{
    return specificity_at_sensitivity(r, weights, 0.90);
}

static double specificity_at_sens95(const struct ranking *r, const int32_t *weights)
{
    return specificity_at_sensitivity(r, weights, 0.95);
}

const struct metric metric_f1 = {
    .name = "f1",
    .help = "harmonic mean of precision and sensitivity at the threshold",
    .higher_is_better = true,
    .common = true,
    .compute = f1,
};

const struct metric metric_sensitivity = {
    .name = "sensitivity",
    .help = "share of positives at or above the threshold",
    .higher_is_better = true,
    .common = true,
    .compute = sensitivity,
};

const struct metric metric_specificity = {
    .name = "specificity",
    .help = "share of negatives below the threshold",
    .higher_is_better = true,
    .common = true,
    .compute = specificity,
};

const struct metric metric_precision = {
    .name = "precision",
    .help = "share of positives among the records at or above the threshold",
    .higher_is_better = true,
    .compute = precision,
};

const struct metric metric_f2 = {
    .name = "f2",
    .help = "F measure at the threshold in which a missed positive counts 4 times (beta 2)",
    .higher_is_better = true,
    .compute = f2,
};

const struct metric metric_g2 = {
    .name = "g2",
    .help = "TP / (TP + FP + 2 FN) at the threshold",
    .higher_is_better = true,
    .compute = g2,
};

const struct metric metric_f1_max = {
    .name = "f1_max",
    .help = "F1 at the threshold of the class that is best for it",
    .higher_is_better = true,
    .compute = f1_max,
};

const struct metric metric_balanced_accuracy = {
    .name = "balanced_accuracy",
    .help = "mean of sensitivity and specificity at the threshold",
    .higher_is_better = true,
    .compute = balanced_accuracy,
};

const struct metric metric_matthews = {
    .name = "matthews",
    .help = "Matthews correlation of labels and decisions at the threshold",
    .higher_is_better = true,
    .compute = matthews,
};

const struct metric metric_sensitivity_at_spec90 = {
    .name = "sensitivity_at_spec90",
    .help = "best sensitivity at a threshold that leaves a specificity of 0.90",
    .higher_is_better = true,
    .compute = sensitivity_at_spec90,
};

const struct metric metric_sensitivity_at_spec95 = {
    .name = "sensitivity_at_spec95",
    .help = "best sensitivity at a threshold that leaves a specificity of 0.95",
    .higher_is_better = true,
    .compute = sensitivity_at_spec95,
};

const struct metric metric_specificity_at_sens90 = {
    .name = "specificity_at_sens90",
    .help = "best specificity at a threshold that leaves a sensitivity of 0.90",
    .higher_is_better = true,
    .compute = specificity_at_sens90,
};

const struct metric metric_specificity_at_sens95 = {
    .name = "specificity_at_sens95",
    .help = "best specificity at a threshold that leaves a sensitivity of 0.95",
    .higher_is_better = true,
    .compute = specificity_at_sens95,
};
