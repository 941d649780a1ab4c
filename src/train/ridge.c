#include "train/ridge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "metric/regression.h"

struct problem {
    const float *train_x, *train_y, *valid_x, *valid_y;
    int64_t n_train, n_valid, D, K;
    int threads;
    double *means, *stds; /* [D] of the training features; std 0: constant */
    int64_t first, end;   /* values that are known for the same training records */
    int64_t known;        /* these records */
    double *columns,
        *y; /* [D,known] standardized and centered features, [end-first,known] targets */
    double *centers, *y_means;       /* [D] of the standardized features of these records, [K] */
    double *gram, *factor, *moments; /* [D,D] lower triangles, [end-first,D] */
    double *solutions;               /* [steps,K,D+1] for standardized features, intercept last */
};

/* The same sum whatever surrounds it, in eight lanes. */
static double dot(const double *a, const double *b, int64_t n)
{
    double lanes[8] = {0}, rest = 0;
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int l = 0; l < 8; l++)
            lanes[l] += a[i + l] * b[i + l];
    for (; i < n; i++)
        rest += a[i] * b[i];
    return ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) +
           ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7])) + rest;
}

static enum err_code check_features(const char *name, const float *x, int64_t n, int64_t D,
                                    struct err *e)
{
    for (int64_t i = 0; i < n * D; i++)
        if (!isfinite(x[i]))
            FAIL(e, ERR_NUMERIC, "feature %lld of %s record %lld is not finite", (long long)(i % D),
                 name, (long long)(i / D));
    return ERR_OK;
}

static void standardize(struct problem *p)
{
    for (int64_t d = 0; d < p->D; d++) {
        double sum = 0, squares = 0;
        for (int64_t i = 0; i < p->n_train; i++)
            sum += (double)p->train_x[i * p->D + d];
        p->means[d] = sum / (double)p->n_train;
        bool constant = true;
        for (int64_t i = 0; i < p->n_train; i++) {
            double x = (double)p->train_x[i * p->D + d] - p->means[d];
            constant = constant && p->train_x[i * p->D + d] == p->train_x[d];
            squares += x * x;
        }
        p->stds[d] = constant ? 0 : sqrt(squares / (double)p->n_train);
    }
}

static double standard(const struct problem *p, const float *x, int64_t i, int64_t d)
{
    return p->stds[d] > 0 ? ((double)x[i * p->D + d] - p->means[d]) / p->stds[d] : 0;
}

/* Row d of the Gram matrix. */
static void gram_row(void *context, int64_t d)
{
    struct problem *p = context;
    const double *column = p->columns + d * p->known;
    for (int64_t j = 0; j <= d; j++)
        p->gram[d * p->D + j] = dot(column, p->columns + j * p->known, p->known) / (double)p->known;
    for (int64_t k = 0; k < p->end - p->first; k++)
        p->moments[k * p->D + d] = dot(column, p->y + k * p->known, p->known) / (double)p->known;
}

static bool is_known(const struct problem *p, int64_t i, int64_t k)
{
    return !isnan(p->train_y[i * p->K + k]);
}

static bool known_alike(const struct problem *p, int64_t a, int64_t b)
{
    for (int64_t i = 0; i < p->n_train; i++)
        if (is_known(p, i, a) != is_known(p, i, b))
            return false;
    return true;
}

/* The targets of value k, less their mean. */
static enum err_code center_targets(struct problem *p, int64_t k, struct err *e)
{
    double *y = p->y + (k - p->first) * p->known, sum = 0;
    int64_t n = 0;
    if (p->known < 2)
        FAIL(e, ERR_LABELS, "value %lld is known for fewer than 2 training records", (long long)k);
    for (int64_t i = 0; i < p->n_train; i++)
        if (is_known(p, i, k))
            sum += (double)p->train_y[i * p->K + k];
    p->y_means[k] = sum / (double)p->known;
    for (int64_t i = 0; i < p->n_train; i++)
        if (is_known(p, i, k))
            y[n++] = (double)p->train_y[i * p->K + k] - p->y_means[k];
    return ERR_OK;
}

/* Means of products over the records where values first to end are known. */
static enum err_code find_moments(struct problem *p, struct err *e)
{
    p->known = 0;
    for (int64_t i = 0; i < p->n_train; i++)
        p->known += is_known(p, i, p->first);
    for (int64_t k = p->first; k < p->end; k++)
        TRY(center_targets(p, k, e));
    for (int64_t d = 0; d < p->D; d++) {
        double *column = p->columns + d * p->known, sum = 0;
        int64_t n = 0;
        for (int64_t i = 0; i < p->n_train; i++) {
            if (!is_known(p, i, p->first))
                continue;
            column[n] = standard(p, p->train_x, i, d);
            sum += column[n++];
        }
        p->centers[d] = sum / (double)p->known;
        for (int64_t i = 0; i < n; i++)
            column[i] -= p->centers[d];
    }
    pool_for(p->threads, p->D, gram_row, p);
    return ERR_OK;
}

/* gram + lambda by Cholesky. */
static void factorize(struct problem *p, double lambda)
{
    int64_t D = p->D;
    double *L = p->factor;
    for (int64_t i = 0; i < D; i++)
        for (int64_t j = 0; j <= i; j++) {
            double a = p->gram[i * D + j] + (i == j ? lambda : 0) - dot(L + i * D, L + j * D, j);
            /* lambda > 0 keeps the pivots above it but for rounding */
            L[i * D + j] = i == j ? sqrt(a > lambda * 1e-3 ? a : lambda * 1e-3) : a / L[j * D + j];
        }
}

/* (gram + lambda) u = moment of value k; out [D+1]. */
static void solve(const struct problem *p, int64_t k, double *out)
{
    int64_t D = p->D;
    const double *L = p->factor, *moment = p->moments + (k - p->first) * D;
    for (int64_t i = 0; i < D; i++)
        out[i] = (moment[i] - dot(L + i * D, out, i)) / L[i * D + i];
    for (int64_t i = D - 1; i >= 0; i--) {
        out[i] /= L[i * D + i];
        for (int64_t j = 0; j < i; j++)
            out[j] -= L[i * D + j] * out[i];
    }
    out[D] = p->y_means[k] - dot(out, p->centers, D);
}

static double r2(const double *truth, const double *estimate, int64_t n)
{
    const struct regression_column column = {truth, estimate};
    return regression_of(&column, n, NULL).values[REGRESSION_R2];
}

/* rows [n_valid,D] standardized. */
static double validate(const struct problem *p, const struct ridge_options *o,
                       const double *solutions, const double *rows, double *truth, double *estimate,
                       double *by_value)
{
    for (int64_t k = 0; k < p->K; k++) {
        const double *u = solutions + k * (p->D + 1);
        for (int64_t i = 0; i < p->n_valid; i++) {
            truth[i] = (double)p->valid_y[i * p->K + k];
            estimate[i] = dot(u, rows + i * p->D, p->D) + u[p->D];
        }
        by_value[k] = (o->measure ? o->measure : r2)(truth, estimate, p->n_valid);
    }
    return macro_average(by_value, p->K, NULL);
}

/* The strongest of the best; the grid begins with the strongest. */
static enum err_code choose(struct problem *p, const struct ridge_options *o, struct ridge_model *m,
                            struct err *e)
{
    int64_t stride = p->K * (p->D + 1);
    double *room = calloc((size_t)(2 * p->n_valid + p->n_valid * p->D + p->K), sizeof *room);
    if (!room)
        FAIL(e, ERR_MEMORY, "out of memory");
    double *estimate = room + p->n_valid, *rows = estimate + p->n_valid,
           *by_value = rows + p->n_valid * p->D;
    for (int64_t i = 0; i < p->n_valid; i++)
        for (int64_t d = 0; d < p->D; d++)
            rows[i * p->D + d] = standard(p, p->valid_x, i, d);
    m->lambda_index = -1;
    for (int s = 0; s < m->lambda_steps; s++) {
        m->validation[s] =
            validate(p, o, p->solutions + s * stride, rows, room, estimate, by_value);
        if (!isnan(m->validation[s]) &&
            (m->lambda_index < 0 || m->validation[s] > m->validation[m->lambda_index]))
            m->lambda_index = s;
    }
    free(room);
    if (m->lambda_index < 0 && m->lambda_steps > 1)
        FAIL(e, ERR_LABELS, "no value varies among the validation records");
    m->lambda_index = m->lambda_index < 0 ? 0 : m->lambda_index;
    m->lambda = m->lambda_grid[m->lambda_index];
    return ERR_OK;
}

static void unstandardize(const struct problem *p, struct ridge_model *m)
{
    for (int64_t k = 0; k < p->K; k++) {
        const double *u = p->solutions + (m->lambda_index * p->K + k) * (p->D + 1);
        double bias = u[p->D];
        for (int64_t d = 0; d < p->D; d++) {
            double w = p->stds[d] > 0 ? u[d] / p->stds[d] : 0;
            m->weights[k * p->D + d] = (float)w;
            bias -= w * p->means[d];
        }
        m->biases[k] = (float)bias;
    }
}

static enum err_code fit(struct problem *p, const struct ridge_options *o, struct ridge_model *m,
                         struct err *e)
{
    standardize(p);
    for (int s = 0; s < o->lambda_steps; s++) {
        double part = o->lambda_steps > 1 ? (double)s / (o->lambda_steps - 1) : 1;
        m->lambda_grid[s] = o->lambda_max * pow(o->lambda_min / o->lambda_max, part);
    }
    for (p->first = 0; p->first < p->K; p->first = p->end) {
        p->end = p->first + 1;
        while (p->end < p->K && known_alike(p, p->first, p->end))
            p->end++;
        TRY(find_moments(p, e));
        for (int s = 0; s < o->lambda_steps; s++) {
            factorize(p, m->lambda_grid[s]);
            for (int64_t k = p->first; k < p->end; k++)
                solve(p, k, p->solutions + (s * p->K + k) * (p->D + 1));
        }
    }
    TRY(choose(p, o, m, e));
    unstandardize(p, m);
    return ERR_OK;
}

enum err_code ridge_select(const float *train_x, const float *train_y, int64_t n_train,
                           const float *valid_x, const float *valid_y, int64_t n_valid,
                           int64_t feature_count, int64_t value_count,
                           const struct ridge_options *options, int threads,
                           struct ridge_model *out, struct err *e)
{
    size_t D = (size_t)feature_count, K = (size_t)value_count, n = (size_t)n_train;
    ASSERT(options->lambda_min > 0 && options->lambda_max >= options->lambda_min &&
               options->lambda_steps >= 1 && options->lambda_steps <= RIDGE_STEPS_MAX,
           "options of ridge regression");
    memset(out, 0, sizeof *out);
    arena_init(&out->arena, "ridge regression", 0);
    out->feature_count = feature_count;
    out->value_count = value_count;
    out->lambda_steps = options->lambda_steps;
    TRY(check_features("training", train_x, n_train, feature_count, e));
    TRY(check_features("validation", valid_x, n_valid, feature_count, e));
    struct problem p = {.train_x = train_x,
                        .train_y = train_y,
                        .valid_x = valid_x,
                        .valid_y = valid_y,
                        .n_train = n_train,
                        .n_valid = n_valid,
                        .D = feature_count,
                        .K = value_count,
                        .threads = threads};
    struct arena a;
    arena_init(&a, "ridge regression", 0);
    p.means = arena_push_array(&a, D, sizeof(double));
    p.stds = arena_push_array(&a, D, sizeof(double));
    p.columns = arena_push_array(&a, D, (n + 1) * sizeof(double));
    p.y = arena_push_array(&a, K, (n + 1) * sizeof(double));
    p.y_means = arena_push_array(&a, K, sizeof(double));
    p.centers = arena_push_array(&a, D, sizeof(double));
    p.gram = arena_push_array(&a, D, D * sizeof(double));
    p.factor = arena_push_array(&a, D, D * sizeof(double));
    p.moments = arena_push_array(&a, K, D * sizeof(double));
    p.solutions = arena_push_array(&a, (size_t)options->lambda_steps * K, (D + 1) * sizeof(double));
    out->weights = arena_push_array(&out->arena, K, D * sizeof(float));
    out->biases = arena_push_array(&out->arena, K, sizeof(float));
    bool whole = p.means && p.stds && p.columns && p.y && p.centers && p.gram && p.factor &&
                 p.moments && p.y_means && p.solutions && out->weights && out->biases;
    enum err_code code = whole ? fit(&p, options, out, e)
                               : RAISE(e, ERR_MEMORY, "no memory for a regression of %lld features",
                                       (long long)feature_count);
    arena_reset(&a);
    return code;
}

void ridge_free(struct ridge_model *model)
{
    arena_reset(&model->arena);
    memset(model, 0, sizeof *model);
}
