#include "metric/paired.h"

#include <stdlib.h>

void auroc_placements(const struct ranking *r, double *out)
{
    double m = (double)r->positives, n = (double)(r->count - r->positives);
    int64_t above[2] = {0, 0}, first = 0;
    for (int64_t i = 0; i < r->count; i++) {
        if (!r->last[i])
            continue;
        int64_t tied[2] = {0, 0};
        for (int64_t j = first; j <= i; j++)
            tied[r->labels[j]]++;
        for (int64_t j = first; j <= i; j++)
            out[r->records[j]] = r->labels[j] ? (n - (double)above[0] - (double)tied[0] / 2) / n
                                              : ((double)above[1] + (double)tied[1] / 2) / m;
        above[0] += tied[0];
        above[1] += tied[1];
        first = i + 1;
    }
    for (int64_t i = 0; !ranking_has_both(r) && i < r->count; i++)
        out[r->records[i]] = NAN;
}

/* Bisection: erfc is exact to the last digits everywhere, and this is asked for once a table. */
double normal_quantile_of_level(double level)
{
    double low = 0, high = 40;
    for (int i = 0; i < 200; i++) {
        double middle = (low + high) / 2;
        *(erfc(middle / sqrt(2)) > 1 - level ? &low : &high) = middle;
    }
    return (low + high) / 2;
}

struct interval delong_interval(double auroc, double error, double level)
{
    double half = normal_quantile_of_level(level) * error;
    if (isnan(auroc) || isnan(error))
        return (struct interval){NAN, NAN};
    return (struct interval){fmax(auroc - half, 0), fmin(auroc + half, 1)};
}

/* Of the placements of one label: variance of their mean. */
static double variance_of_mean(const double *difference, const uint8_t *labels, int label,
                               int64_t count, int64_t of_label)
{
    double mean = 0, sum = 0;
    for (int64_t i = 0; i < count; i++)
        if (labels[i] == label)
            mean += difference[i] / (double)of_label;
    for (int64_t i = 0; i < count; i++)
        if (labels[i] == label)
            sum += (difference[i] - mean) * (difference[i] - mean);
    return sum / (double)(of_label - 1) / (double)of_label;
}

/* Adds the placements, factor times, and returns the AUROC. labels: by record. */
static double add_placements(const struct ranking *r, double factor, const uint8_t *labels,
                             double *placements, double *sums)
{
    auroc_placements(r, placements);
    for (int64_t i = 0; i < r->count; i++) {
        ASSERT(labels[r->records[i]] == r->labels[i], "two labels of record %lld",
               (long long)r->records[i]);
        sums[i] += factor * placements[i];
    }
    return metric_auroc.compute(r, NULL);
}

static void compare(struct delong *out, const struct ranking *first, const struct ranking *second,
                    int64_t scorings, double level, double *difference, double *placements,
                    uint8_t *labels)
{
    int64_t count = first->count, positives = first->positives, negatives = count - positives;
    for (int64_t i = 0; i < count; i++)
        labels[first->records[i]] = first->labels[i];
    double sum = 0;
    for (int64_t s = 0; s < scorings; s++) {
        sum += add_placements(&second[s], 1 / (double)scorings, labels, placements, difference);
        sum -= add_placements(&first[s], -1 / (double)scorings, labels, placements, difference);
    }
    out->difference = sum / (double)scorings;
    if (positives < 2 || negatives < 2)
        return;
    out->error = sqrt(variance_of_mean(difference, labels, 1, count, positives) +
                      variance_of_mean(difference, labels, 0, count, negatives));
    double half = normal_quantile_of_level(level) * out->error;
    out->interval = (struct interval){out->difference - half, out->difference + half};
    if (out->error > 0)
        out->p = erfc(fabs(out->difference) / out->error / sqrt(2));
    else if (out->difference == 0)
        out->p = 1;
}

enum err_code delong_compare(struct delong *out, const struct ranking *first,
                             const struct ranking *second, int64_t scorings, double level,
                             struct err *e)
{
    size_t n = (size_t)first->count + 1;
    *out = (struct delong){NAN, NAN, {NAN, NAN}, NAN};
    for (int64_t s = 0; s < 2 * scorings; s++) {
        const struct ranking *r = s < scorings ? &first[s] : &second[s - scorings];
        ASSERT(r->count == first->count && r->positives == first->positives &&
                   r->count == r->given_count,
               "rankings of other records");
    }
    if (!ranking_has_both(first))
        return ERR_OK;
    double *difference = calloc(n, sizeof *difference),
           *placements = malloc(n * sizeof *placements);
    uint8_t *labels = malloc(n);
    enum err_code code = ERR_OK;
    if (difference && placements && labels)
        compare(out, first, second, scorings, level, difference, placements, labels);
    else
        code =
            RAISE(e, ERR_MEMORY, "out of memory to compare %lld records", (long long)first->count);
    free(difference);
    free(placements);
    free(labels);
    return code;
}
