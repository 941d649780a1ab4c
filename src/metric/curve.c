#include "metric/curve.h"

#include <stdlib.h>
#include <string.h>

static enum err_code curve_room(const struct ranking *r, struct curve *c, struct err *e)
{
    size_t points = 1;
    for (int64_t i = 0; i < r->count; i++)
        points += r->last[i];
    c->x = malloc(points * sizeof *c->x);
    c->y = malloc(points * sizeof *c->y);
    c->threshold = malloc(points * sizeof *c->threshold);
    if (!c->x || !c->y || !c->threshold) {
        curve_free(c);
        FAIL(e, ERR_MEMORY, "out of memory for a curve of %zu points", points);
    }
    return ERR_OK;
}

static void put(struct curve *c, double x, double y, double threshold)
{
    c->x[c->count] = x;
    c->y[c->count] = y;
    c->threshold[c->count++] = threshold;
}

enum err_code curve_roc(const struct ranking *r, struct curve *out, struct err *e)
{
    memset(out, 0, sizeof *out);
    if (!ranking_has_both(r))
        return ERR_OK;
    TRY(curve_room(r, out, e));
    int64_t yes = 0, no = 0;
    put(out, 0, 0, INFINITY);
    for (int64_t i = 0; i < r->count; i++) {
        yes += r->labels[i];
        no += !r->labels[i];
        if (r->last[i])
            put(out, (double)no / (double)(r->count - r->positives),
                (double)yes / (double)r->positives, r->scores[i]);
    }
    return ERR_OK;
}

enum err_code curve_precision_recall(const struct ranking *r, struct curve *out, struct err *e)
{
    memset(out, 0, sizeof *out);
    if (r->positives == 0)
        return ERR_OK;
    TRY(curve_room(r, out, e));
    int64_t yes = 0;
    for (int64_t i = 0; i < r->count; i++) {
        yes += r->labels[i];
        if (r->last[i])
            put(out, (double)yes / (double)r->positives, (double)yes / (double)(i + 1),
                r->scores[i]);
    }
    return ERR_OK;
}

void curve_free(struct curve *c)
{
    free(c->x);
    free(c->y);
    free(c->threshold);
    memset(c, 0, sizeof *c);
}

void wilson_interval(int64_t positives, int64_t count, double z, double *low, double *high)
{
    *low = *high = NAN;
    if (count <= 0)
        return;
    double n = (double)count, p = (double)positives / n, zz = z * z / n;
    double center = (p + zz / 2) / (1 + zz);
    double half = z * sqrt(p * (1 - p) / n + zz / n / 4) / (1 + zz);
    /* the ends are exact where they are known to be */
    *low = positives == 0 ? 0 : center - half;
    *high = positives == count ? 1 : center + half;
}

bool reliability_bins(const struct ranking *r, struct reliability_bin bins[METRIC_ECE_BINS])
{
    bool defined = r->probabilities && r->count > 0;
    double sums[METRIC_ECE_BINS] = {0};
    memset(bins, 0, METRIC_ECE_BINS * sizeof *bins);
    for (int64_t i = 0; i < r->count && defined; i++) {
        int bin = (int)(r->scores[i] * METRIC_ECE_BINS); /* as the metric ece has it */
        bin = bin < METRIC_ECE_BINS ? bin : METRIC_ECE_BINS - 1;
        bins[bin].count++;
        bins[bin].positives += r->labels[i];
        sums[bin] += r->scores[i];
    }
    for (int b = 0; b < METRIC_ECE_BINS; b++) {
        double n = (double)bins[b].count;
        bins[b].mean_score = n > 0 ? sums[b] / n : NAN;
        bins[b].rate = n > 0 ? (double)bins[b].positives / n : NAN;
        wilson_interval(bins[b].positives, bins[b].count, 1.959963984540054, &bins[b].low,
                        &bins[b].high);
    }
    return defined;
}
