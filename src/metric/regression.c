#include "metric/regression.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "base/rng.h"
#include "base/shapes.h"

const struct regression_measure regression_measures[REGRESSION_COUNT] = {
    [REGRESSION_MAE] = {"mae", "mean absolute error"},
    [REGRESSION_RMSE] = {"rmse", "root of the mean squared error"},
    [REGRESSION_BIAS] = {"bias", "mean error: estimate less truth"},
    [REGRESSION_R2] = {"r2", "share of the variance that is explained"},
    [REGRESSION_R] = {"r", "Pearson correlation"},
};

struct regression regression_of(const struct regression_column *column, int64_t n,
                                const int32_t *weights)
{
    const double *t = column->truth, *v = column->estimate;
    struct regression out = {.mean = NAN, .deviation = NAN};
    double sum_t = 0, sum_v = 0, absolute = 0, squares = 0;
    for (int m = 0; m < REGRESSION_COUNT; m++)
        out.values[m] = NAN;
    for (int64_t i = 0; i < n; i++) {
        double w = isnan(t[i]) ? 0 : weights ? weights[i] : 1;
        if (w == 0)
            continue;
        out.count += (int64_t)w;
        sum_t += w * t[i];
        sum_v += w * v[i];
        absolute += w * fabs(v[i] - t[i]);
        squares += w * (v[i] - t[i]) * (v[i] - t[i]);
    }
    if (out.count == 0)
        return out;
    double count = (double)out.count, mean_v = sum_v / count;
    double tt = 0, vv = 0, tv = 0;
    bool same_t = true, same_v = true;
    double first_t = NAN, first_v = NAN;
    out.mean = sum_t / count;
    for (int64_t i = 0; i < n; i++) {
        double w = isnan(t[i]) ? 0 : weights ? weights[i] : 1;
        if (w == 0)
            continue;
        if (isnan(first_t)) {
            first_t = t[i];
            first_v = v[i];
        }
        same_t = same_t && t[i] == first_t; /* sums of rounded numbers cannot tell */
        same_v = same_v && v[i] == first_v;
        tt += w * (t[i] - out.mean) * (t[i] - out.mean);
        vv += w * (v[i] - mean_v) * (v[i] - mean_v);
        tv += w * (t[i] - out.mean) * (v[i] - mean_v);
    }
    out.deviation = sqrt(tt / count);
    out.values[REGRESSION_MAE] = absolute / count;
    out.values[REGRESSION_RMSE] = sqrt(squares / count);
    out.values[REGRESSION_BIAS] = mean_v - out.mean;
    if (!same_t)
        out.values[REGRESSION_R2] = 1 - squares / tt;
    if (!same_t && !same_v)
        out.values[REGRESSION_R] = tv / sqrt(tt * vv);
    return out;
}

struct draws {
    const struct regression_column *columns;
    const struct bootstrap_options *options;
    int64_t K, n;
    double *values; /* [K+1,REGRESSION_COUNT,draws] */
    atomic_bool out_of_memory;
};

static void one_draw(void *context, int64_t draw)
{
    struct draws *d = context;
    int32_t *weights = calloc((size_t)d->n, sizeof *weights);
    if (!weights) {
        atomic_store(&d->out_of_memory, true);
        return;
    }
    struct rng rng = rng_at(d->options->seed, RNG_STREAM_BOOTSTRAP, 0, (uint64_t)draw);
    for (int64_t i = 0; i < d->n; i++)
        weights[rng_below(&rng, d->n)]++;
    double sums[REGRESSION_COUNT] = {0};
    int64_t defined[REGRESSION_COUNT] = {0};
    for (int64_t k = 0; k <= d->K; k++) {
        struct regression r = {0};
        if (k < d->K)
            r = regression_of(&d->columns[k], d->n, weights);
        for (int m = 0; m < REGRESSION_COUNT; m++) {
            double value = k < d->K ? r.values[m] : defined[m] ? sums[m] / (double)defined[m] : NAN;
            d->values[(k * REGRESSION_COUNT + m) * d->options->draws + draw] = value;
            if (isnan(value))
                continue;
            sums[m] += value;
            defined[m]++;
        }
    }
    free(weights);
}

enum err_code regression_bootstrap(const struct regression_column *columns, int64_t K, int64_t n,
                                   const struct bootstrap_options *options,
                                   struct interval *intervals, struct err *e)
{
    struct draws d = {.columns = columns, .options = options, .K = K, .n = n};
    int64_t rows = (K + 1) * REGRESSION_COUNT, cells, count = options->draws;
    for (int64_t row = 0; row < rows; row++)
        intervals[row] = (struct interval){NAN, NAN};
    if (count == 0 || n == 0)
        return ERR_OK;
    if (!mul_i64(rows, count, &cells))
        FAIL(e, ERR_LIMIT, "%lld draws of %lld values: too many", (long long)count, (long long)K);
    d.values = calloc((size_t)cells, sizeof *d.values);
    if (!d.values)
        FAIL(e, ERR_MEMORY, "out of memory for %lld bootstrap draws", (long long)count);
    pool_for(options->threads, count, one_draw, &d);
    enum err_code code = ERR_OK;
    if (atomic_load(&d.out_of_memory))
        code = RAISE(e, ERR_MEMORY, "out of memory in a bootstrap draw");
    for (int64_t row = 0; row < rows && code == ERR_OK; row++)
        intervals[row] = draws_interval(d.values + row * count, count, options->level);
    free(d.values);
    return code;
}
