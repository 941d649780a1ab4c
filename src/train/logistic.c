#include "train/logistic.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "metric/metric.h"

#define HISTORY 20          /* pairs that L-BFGS remembers */
#define LOG_ODDS_MAX 10.0   /* bias of a class with one label only */
#define LINE_TOLERANCE 0.01 /* slope left by the line search, relative to the start */
#define LINE_ITERATION_MAX 60
#define LANES 8
#define HESSIAN_FEATURES_MAX 1024 /* above, the factorization costs more than it saves */
#define HESSIAN_RECORDS_MAX 4096  /* enough to know its shape */
#define HESSIAN_WEIGHT 0.1        /* stands for p (1 - p) */

/* What all classes share. A record's standardized features are never stored: with
 * v = u / std, z = x . v + (b - mean . v), in doubles and so without loss. */
struct problem {
    const float *x;
    const uint8_t *y; /* [n,K] */
    int64_t n, D, K;
    const double *means, *inverse_stds; /* [D]; inverse 0: the feature is constant */
    const float *valid_x;
    const uint8_t *valid_y;
    int64_t n_valid;
    const struct logistic_options *options;
    double *solutions;    /* [c_steps, K, D + 1]: u, then b */
    double *aurocs;       /* [c_steps, K] on the validation records */
    int *iterations;      /* [c_steps, K] */
    double *norms;        /* [c_steps, K] */
    struct err *errors;   /* [K] */
    double *correlations; /* [D,D], lower triangle, of the features; NULL: too many of them */
    int step;             /* of the grid, being solved */
    double penalty;       /* 1 / (C n) */
    double *factor;       /* [D,D] Cholesky factor of HESSIAN_WEIGHT correlations + penalty */
};

/* Workspace of one class; vectors of D + 1 hold u, then b. */
struct solver {
    const struct problem *p;
    int64_t k;
    double *point, *gradient;   /* [D + 1] */
    double *direction;          /* [D + 1] */
    double *fresh;              /* [D + 1] gradient of the next point */
    double *folded;             /* [D] u / std */
    double *steps, *changes;    /* [HISTORY, D + 1] of the point and of the gradient */
    double curvatures[HISTORY]; /* step . change */
    int stored, newest;
    double *z, *dz, *residuals; /* [n] */
    double *valid_z;            /* [n_valid] */
    uint8_t *valid_labels;      /* [n_valid] */
};

/* ---- vectors: fixed order, a fixed number of partial sums ---- */

static double dot(const double *a, const double *b, int64_t n)
{
    double lanes[LANES] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++)
            lanes[l] += a[i + l] * b[i + l];
    for (int l = 0; l < LANES; l++)
        sum += lanes[l];
    for (; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static double dot_features(const float *x, const double *v, int64_t n)
{
    double lanes[LANES] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++)
            lanes[l] += (double)x[i + l] * v[i + l];
    for (int l = 0; l < LANES; l++)
        sum += lanes[l];
    for (; i < n; i++)
        sum += (double)x[i] * v[i];
    return sum;
}

static void add_scaled(double *y, double a, const double *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] += a * x[i];
}

static double largest(const double *x, int64_t n)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++)
        most = fabs(x[i]) > most || isnan(x[i]) ? fabs(x[i]) : most;
    return most;
}

/* What record i counts for: more or less than 1 if it is positive and its class says so. */
static double weight_of(const struct problem *p, int64_t i, int64_t k)
{
    const float *weights = p->options->positive_weights;
    return weights && p->y[i * p->K + k] ? (double)weights[k] : 1;
}

static double sigmoid(double z)
{
    double t = exp(-fabs(z));
    return z >= 0 ? 1 / (1 + t) : t / (1 + t);
}

/* ---- the function ---- */

/* z [n] of raw records x for coefficients u, b. */
static void project(const struct solver *s, const double *coefficients, const float *x, int64_t n,
                    double *z)
{
    const struct problem *p = s->p;
    for (int64_t j = 0; j < p->D; j++)
        s->folded[j] = coefficients[j] * p->inverse_stds[j];
    double bias = coefficients[p->D] - dot(p->means, s->folded, p->D);
    for (int64_t i = 0; i < n; i++)
        z[i] = dot_features(x + i * p->D, s->folded, p->D) + bias;
}

static void gradient_at(const struct solver *s, const double *z, double *gradient)
{
    const struct problem *p = s->p;
    const int64_t D = p->D;
    double total = 0;
    memset(gradient, 0, (size_t)(D + 1) * sizeof *gradient);
    for (int64_t i = 0; i < p->n; i++) {
        s->residuals[i] = (sigmoid(z[i]) - p->y[i * p->K + s->k]) * weight_of(p, i, s->k);
        total += s->residuals[i];
    }
    int64_t i = 0;
    for (; i + 4 <= p->n; i += 4) {
        const float *x = p->x + i * D;
        const double *r = s->residuals + i;
        for (int64_t j = 0; j < D; j++)
            gradient[j] += (r[0] * (double)x[j] + r[1] * (double)x[D + j]) +
                           (r[2] * (double)x[2 * D + j] + r[3] * (double)x[3 * D + j]);
    }
    for (; i < p->n; i++)
        for (int64_t j = 0; j < D; j++)
            gradient[j] += s->residuals[i] * (double)p->x[i * D + j];
    for (int64_t j = 0; j < D; j++)
        gradient[j] = (gradient[j] - p->means[j] * total) * p->inverse_stds[j] / (double)p->n +
                      s->p->penalty * s->point[j];
    gradient[D] = total / (double)p->n;
}

/* ---- the Hessian, nearly: all classes share it, and L-BFGS learns the rest ---- */

/* Row j of the correlations. */
static void correlate(void *context, int64_t j)
{
    struct problem *p = context;
    const int64_t stride = (p->n + HESSIAN_RECORDS_MAX - 1) / HESSIAN_RECORDS_MAX;
    double *row = p->correlations + j * p->D;
    for (int64_t i = 0; i < p->n; i += stride) {
        const float *x = p->x + i * p->D;
        double a = ((double)x[j] - p->means[j]) * p->inverse_stds[j];
        for (int64_t l = 0; l <= j; l++)
            row[l] += a * ((double)x[l] - p->means[l]);
    }
    int64_t used = (p->n + stride - 1) / stride;
    for (int64_t l = 0; l <= j; l++)
        row[l] *= p->inverse_stds[l] / (double)used;
}

/* Cholesky by rows. The matrix is positive definite because the penalty is. */
static void factorize(struct problem *p)
{
    const int64_t D = p->D;
    for (int64_t i = 0; i < D; i++) {
        double *row = p->factor + i * D;
        for (int64_t j = 0; j <= i; j++) {
            const double *other = p->factor + j * D;
            double rest = HESSIAN_WEIGHT * p->correlations[i * D + j] - dot(row, other, j);
            if (j < i)
                row[j] = rest / other[j];
            else
                row[i] = sqrt(fmax(rest + p->penalty, p->penalty));
        }
    }
}

/* x = H^-1 x, with the intercept apart: centred features do not correlate with it. */
static void solve_hessian(const struct problem *p, double *x)
{
    const int64_t D = p->D;
    for (int64_t i = 0; i < D; i++)
        x[i] = (x[i] - dot(p->factor + i * D, x, i)) / p->factor[i * D + i];
    for (int64_t i = D - 1; i >= 0; i--) {
        x[i] /= p->factor[i * D + i];
        add_scaled(x, -x[i], p->factor + i * D, i);
    }
    x[D] /= HESSIAN_WEIGHT;
}

/* ---- L-BFGS ---- */

/* direction = - H gradient, by the two-loop recursion. */
static void find_direction(struct solver *s)
{
    const int64_t size = s->p->D + 1;
    double alphas[HISTORY];
    for (int64_t j = 0; j < size; j++)
        s->direction[j] = -s->gradient[j];
    for (int age = 0; age < s->stored; age++) {
        int at = (s->newest - age + HISTORY) % HISTORY;
        alphas[at] = dot(s->steps + at * size, s->direction, size) / s->curvatures[at];
        add_scaled(s->direction, -alphas[at], s->changes + at * size, size);
    }
    if (s->p->factor) {
        solve_hessian(s->p, s->direction);
    } else if (s->stored) {
        const double *change = s->changes + s->newest * size;
        double scale = s->curvatures[s->newest] / dot(change, change, size);
        for (int64_t j = 0; j < size; j++)
            s->direction[j] *= scale;
    }
    for (int age = s->stored - 1; age >= 0; age--) {
        int at = (s->newest - age + HISTORY) % HISTORY;
        double beta = dot(s->changes + at * size, s->direction, size) / s->curvatures[at];
        add_scaled(s->direction, alphas[at] - beta, s->steps + at * size, size);
    }
}

/* Slope and curvature of the function at point + t direction. */
static double slope_at(const struct solver *s, double t, double *curvature)
{
    const struct problem *p = s->p;
    double slope = 0, bend = 0;
    for (int64_t i = 0; i < p->n; i++) {
        double probability = sigmoid(s->z[i] + t * s->dz[i]), weight = weight_of(p, i, s->k);
        slope += weight * (probability - p->y[i * p->K + s->k]) * s->dz[i];
        bend += weight * probability * (1 - probability) * s->dz[i] * s->dz[i];
    }
    double along = dot(s->point, s->direction, p->D),
           length = dot(s->direction, s->direction, p->D);
    *curvature = bend / (double)p->n + s->p->penalty * length;
    return slope / (double)p->n + s->p->penalty * (along + t * length);
}

/* The function is convex along the line and z is linear in t, so a nearly exact minimum costs O(n)
 * a trial: Newton steps inside a bracket of the root of the slope, which satisfies the strong Wolfe
 * conditions. Returns 0 if the direction does not lead down. */
static double search_line(const struct solver *s)
{
    double curvature, low = 0, high = INFINITY, t = 0;
    double start = slope_at(s, 0, &curvature), slope = start;
    if (!(start < 0))
        return 0;
    for (int i = 0; i < LINE_ITERATION_MAX; i++) {
        double next = t - slope / curvature;
        if (!(next > low && next < high))
            next = isinf(high) ? (t > 0 ? 4 * t : 1) : low + (high - low) / 2;
        t = next;
        slope = slope_at(s, t, &curvature);
        if (fabs(slope) <= LINE_TOLERANCE * -start)
            break;
        if (slope < 0)
            low = t;
        else
            high = t;
    }
    return t;
}

static void remember(struct solver *s, double t)
{
    const int64_t size = s->p->D + 1;
    int at = s->stored ? (s->newest + 1) % HISTORY : 0;
    double *step = s->steps + at * size, *change = s->changes + at * size;
    for (int64_t j = 0; j < size; j++) {
        step[j] = t * s->direction[j];
        change[j] = s->fresh[j] - s->gradient[j];
    }
    double curvature = dot(step, change, size);
    if (!(curvature > 1e-300)) /* at the limit of what doubles tell apart */
        return;
    s->curvatures[at] = curvature;
    s->newest = at;
    s->stored += s->stored < HISTORY;
}

/* From s->point to the optimum. */
static enum err_code minimize(struct solver *s, int *iterations, double *norm, struct err *e)
{
    const struct problem *p = s->p;
    const int64_t size = p->D + 1;
    bool exact = true; /* z was computed from the point, not updated */
    s->stored = 0;
    project(s, s->point, p->x, p->n, s->z);
    gradient_at(s, s->z, s->gradient);
    for (*iterations = 0;; ++*iterations) {
        *norm = largest(s->gradient, size);
        if (*norm <= p->options->tolerance) {
            if (exact)
                return ERR_OK;
            project(s, s->point, p->x, p->n, s->z);
            gradient_at(s, s->z, s->gradient);
            exact = true;
            continue;
        }
        if (*iterations >= p->options->iteration_max || !isfinite(*norm))
            break;
        find_direction(s);
        project(s, s->direction, p->x, p->n, s->dz);
        double t = search_line(s);
        if (t == 0) {
            if (s->stored == 0)
                break;
            s->stored = 0; /* once more from the steepest descent */
            continue;
        }
        add_scaled(s->point, t, s->direction, size);
        add_scaled(s->z, t, s->dz, p->n);
        exact = false;
        gradient_at(s, s->z, s->fresh);
        remember(s, t);
        double *swap = s->gradient;
        s->gradient = s->fresh;
        s->fresh = swap;
    }
    FAIL(e, ERR_NUMERIC,
         "logistic regression did not converge: after %d iterations the largest gradient entry is "
         "%.3g, expected %.3g",
         *iterations, *norm, p->options->tolerance);
}

/* ---- one class at one strength ---- */

static enum err_code solver_init(struct solver *s, struct arena *a, const struct problem *p,
                                 int64_t k, struct err *e)
{
    size_t size = (size_t)p->D + 1, n = (size_t)p->n, n_valid = (size_t)p->n_valid;
    memset(s, 0, sizeof *s);
    s->p = p;
    s->k = k;
    s->point = p->solutions + (p->step * p->K + k) * (p->D + 1);
    s->gradient = arena_push_array(a, size, sizeof(double));
    s->direction = arena_push_array(a, size, sizeof(double));
    s->fresh = arena_push_array(a, size, sizeof(double));
    s->folded = arena_push_array(a, size, sizeof(double));
    s->steps = arena_push_array(a, HISTORY * size, sizeof(double));
    s->changes = arena_push_array(a, HISTORY * size, sizeof(double));
    s->z = arena_push_array(a, n, sizeof(double));
    s->dz = arena_push_array(a, n, sizeof(double));
    s->residuals = arena_push_array(a, n, sizeof(double));
    s->valid_z = arena_push_array(a, n_valid, sizeof(double));
    s->valid_labels = arena_push(a, n_valid);
    if (!s->gradient || !s->direction || !s->fresh || !s->folded || !s->steps || !s->changes ||
        !s->z || !s->dz || !s->residuals || !s->valid_z || !s->valid_labels)
        FAIL(e, ERR_MEMORY, "out of memory for a class of logistic regression");
    for (int64_t i = 0; i < p->n_valid; i++)
        s->valid_labels[i] = p->valid_y[i * p->K + k];
    return ERR_OK;
}

/* The optimum before this one, or the log odds alone. Returns true if those are all there is: a
 * class with one label only. */
static bool start(struct solver *s)
{
    const struct problem *p = s->p;
    int64_t positives = 0, size = p->D + 1;
    for (int64_t i = 0; i < p->n; i++)
        positives += p->y[i * p->K + s->k];
    bool constant = positives == 0 || positives == p->n;
    if (p->step > 0)
        memcpy(s->point, s->point - p->K * size, (size_t)size * sizeof *s->point);
    else if (constant)
        s->point[p->D] = positives ? LOG_ODDS_MAX : -LOG_ODDS_MAX;
    else
        s->point[p->D] = log((double)positives / (double)(p->n - positives));
    return constant;
}

static enum err_code validate(struct solver *s, double *auroc, struct err *e)
{
    struct ranking ranking;
    project(s, s->point, s->p->valid_x, s->p->n_valid, s->valid_z);
    TRY(ranking_init(&ranking, s->valid_z, s->valid_labels, s->p->n_valid, e));
    *auroc = metric_auroc.compute(&ranking, NULL);
    ranking_free(&ranking);
    return ERR_OK;
}

static void solve_class(void *context, int64_t k)
{
    const struct problem *p = context;
    const int64_t cell = p->step * p->K + k;
    struct err *e = &p->errors[k];
    struct arena arena;
    struct solver s;
    arena_init(&arena, "logistic class", 0);
    if (solver_init(&s, &arena, p, k, e) == ERR_OK &&
        (start(&s) || minimize(&s, &p->iterations[cell], &p->norms[cell], e) == ERR_OK))
        validate(&s, &p->aurocs[cell], e);
    arena_reset(&arena);
}

/* ---- all classes ---- */

static enum err_code check_features(const char *what, const float *x, int64_t n, int64_t D,
                                    struct err *e)
{
    for (int64_t i = 0; i < n * D; i++)
        if (!isfinite(x[i]))
            FAIL(e, ERR_NUMERIC, "%s record %lld: feature %lld is %g", what, (long long)(i / D),
                 (long long)(i % D), (double)x[i]);
    return ERR_OK;
}

static enum err_code check_labels(const char *what, const uint8_t *y, int64_t n, int64_t K,
                                  struct err *e)
{
    for (int64_t i = 0; i < n * K; i++)
        if (y[i] > 1)
            FAIL(e, ERR_LABELS, "%s record %lld: label %lld is %d, expected 0 or 1", what,
                 (long long)(i / K), (long long)(i % K), y[i]);
    return ERR_OK;
}

static void standardize(struct logistic_model *m, const float *x, int64_t n, double *inverse_stds)
{
    const int64_t D = m->feature_count;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < D; j++)
            m->means[j] += (double)x[i * D + j];
    for (int64_t j = 0; j < D; j++)
        m->means[j] /= (double)n;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < D; j++) {
            double distance = (double)x[i * D + j] - m->means[j];
            m->stds[j] += distance * distance;
        }
    for (int64_t j = 0; j < D; j++) {
        m->stds[j] = sqrt(m->stds[j] / (double)n);
        /* below the spacing of floats around the mean a spread is rounding, not information */
        bool constant = m->stds[j] <= 1e-7 * fabs(m->means[j]) || m->stds[j] < 1e-30;
        inverse_stds[j] = constant ? 0 : 1 / m->stds[j];
    }
}

static void make_grid(struct logistic_model *m, const struct logistic_options *options)
{
    m->c_steps = options->c_steps;
    for (int i = 0; i < m->c_steps; i++) {
        double share = m->c_steps > 1 ? (double)i / (m->c_steps - 1) : 0;
        m->c_grid[i] = options->c_min * pow(options->c_max / options->c_min, share);
    }
}

static enum err_code choose(struct logistic_model *m, const struct problem *p, struct err *e)
{
    for (int step = 0; step < m->c_steps; step++) {
        m->validation_auroc[step] =
            macro_average(p->aurocs + step * p->K, p->K, &m->validation_classes);
        if (m->validation_auroc[step] > m->validation_auroc[m->c_index])
            m->c_index = step;
    }
    if (m->validation_classes == 0 && m->c_steps > 1)
        FAIL(e, ERR_LABELS,
             "no class has both labels among the %lld validation records: the strength of the "
             "penalty cannot be chosen",
             (long long)p->n_valid);
    m->c = m->c_grid[m->c_index];
    return ERR_OK;
}

/* Folds mean and std into the weights and keeps what was found at the chosen C. */
static void fold(struct logistic_model *m, const struct problem *p)
{
    const int64_t D = p->D;
    for (int64_t k = 0; k < p->K; k++) {
        const double *solution = p->solutions + (m->c_index * p->K + k) * (D + 1);
        double bias = solution[D];
        for (int64_t j = 0; j < D; j++) {
            double weight = solution[j] * p->inverse_stds[j];
            m->weights[k * D + j] = (float)weight;
            bias -= weight * m->means[j];
        }
        m->biases[k] = (float)bias;
        for (int64_t i = 0; i < p->n; i++)
            m->positives[k] += p->y[i * p->K + k];
        m->constant[k] = m->positives[k] == 0 || m->positives[k] == p->n;
        m->iterations[k] = p->iterations[m->c_index * p->K + k];
        m->gradient_norms[k] = p->norms[m->c_index * p->K + k];
    }
    for (int64_t i = 0; i < m->c_steps * p->K; i++)
        m->iterations_all += p->iterations[i];
}

static enum err_code model_init(struct logistic_model *m, int64_t D, int64_t K, struct err *e)
{
    struct arena *a = &m->arena;
    memset(m, 0, sizeof *m);
    arena_init(a, "logistic", 0);
    m->feature_count = D;
    m->class_count = K;
    m->weights = arena_push_array(a, (size_t)(D * K), sizeof *m->weights);
    m->biases = arena_push_array(a, (size_t)K, sizeof *m->biases);
    m->means = arena_push_array(a, (size_t)D, sizeof *m->means);
    m->stds = arena_push_array(a, (size_t)D, sizeof *m->stds);
    m->positives = arena_push_array(a, (size_t)K, sizeof *m->positives);
    m->constant = arena_push_array(a, (size_t)K, sizeof *m->constant);
    m->iterations = arena_push_array(a, (size_t)K, sizeof *m->iterations);
    m->gradient_norms = arena_push_array(a, (size_t)K, sizeof *m->gradient_norms);
    if (!m->weights || !m->biases || !m->means || !m->stds || !m->positives || !m->constant ||
        !m->iterations || !m->gradient_norms)
        FAIL(e, ERR_MEMORY, "out of memory for logistic regression");
    return ERR_OK;
}

static enum err_code correlate_features(struct problem *p, struct arena *a, int threads,
                                        struct err *e)
{
    size_t cells = (size_t)p->D * (size_t)p->D;
    p->correlations = arena_push_array(a, cells, sizeof *p->correlations);
    p->factor = arena_push_array(a, cells, sizeof *p->factor);
    if (!p->correlations || !p->factor)
        FAIL(e, ERR_MEMORY, "out of memory for the correlations of %lld features", (long long)p->D);
    pool_for(threads, p->D, correlate, p);
    return ERR_OK;
}

static enum err_code solve_step(struct problem *p, double c, int threads, struct err *e)
{
    p->penalty = 1 / (c * (double)p->n);
    if (p->factor)
        factorize(p);
    pool_for(threads, p->K, solve_class, p);
    for (int64_t k = 0; k < p->K; k++)
        if (p->errors[k].code != ERR_OK) {
            if (e)
                *e = p->errors[k];
            err_context(e, "class %lld, C %g", (long long)k, c);
            return p->errors[k].code;
        }
    return ERR_OK;
}

static enum err_code solve(struct logistic_model *m, struct problem *p, struct arena *a,
                           int threads, struct err *e)
{
    size_t cells = (size_t)m->c_steps * (size_t)p->K;
    double *inverse_stds = arena_push_array(a, (size_t)p->D, sizeof *inverse_stds);
    p->solutions = arena_push_array(a, cells * (size_t)(p->D + 1), sizeof *p->solutions);
    p->aurocs = arena_push_array(a, cells, sizeof *p->aurocs);
    p->iterations = arena_push_array(a, cells, sizeof *p->iterations);
    p->norms = arena_push_array(a, cells, sizeof *p->norms);
    p->errors = arena_push_array(a, (size_t)p->K, sizeof *p->errors);
    if (!inverse_stds || !p->solutions || !p->aurocs || !p->iterations || !p->norms || !p->errors)
        FAIL(e, ERR_MEMORY, "out of memory for logistic regression");
    standardize(m, p->x, p->n, inverse_stds);
    p->means = m->means;
    p->inverse_stds = inverse_stds;
    if (p->D <= HESSIAN_FEATURES_MAX)
        TRY(correlate_features(p, a, threads, e));
    for (p->step = 0; p->step < m->c_steps; p->step++)
        TRY(solve_step(p, m->c_grid[p->step], threads, e));
    TRY(choose(m, p, e));
    fold(m, p);
    return ERR_OK;
}

enum err_code logistic_select(const float *train_x, const uint8_t *train_y, int64_t n_train,
                              const float *valid_x, const uint8_t *valid_y, int64_t n_valid,
                              int64_t feature_count, int64_t class_count,
                              const struct logistic_options *options, int threads,
                              struct logistic_model *out, struct err *e)
{
    TRY(model_init(out, feature_count, class_count, e));
    if (options->c_steps < 1 || options->c_steps > LOGISTIC_STEPS_MAX || !(options->c_min > 0) ||
        !(options->c_max >= options->c_min) || !isfinite(options->c_max) ||
        !(options->tolerance > 0))
        FAIL(e, ERR_USAGE,
             "logistic regression: expected 0 < c_min <= c_max, 1 to %d steps and a tolerance "
             "above 0",
             LOGISTIC_STEPS_MAX);
    if (n_train == 0)
        FAIL(e, ERR_LABELS, "logistic regression: no training record");
    TRY(check_features("training", train_x, n_train, feature_count, e));
    TRY(check_features("validation", valid_x, n_valid, feature_count, e));
    TRY(check_labels("training", train_y, n_train, class_count, e));
    TRY(check_labels("validation", valid_y, n_valid, class_count, e));
    make_grid(out, options);

    struct problem problem = {.x = train_x,
                              .y = train_y,
                              .n = n_train,
                              .D = feature_count,
                              .K = class_count,
                              .valid_x = valid_x,
                              .valid_y = valid_y,
                              .n_valid = n_valid,
                              .options = options};
    struct arena arena;
    arena_init(&arena, "logistic solutions", 0);
    enum err_code code = solve(out, &problem, &arena, threads, e);
    arena_reset(&arena);
    return code;
}

void logistic_free(struct logistic_model *model)
{
    arena_reset(&model->arena);
    memset(model, 0, sizeof *model);
}

void logistic_predict(const struct logistic_model *model, const float *x, int64_t n, float *scores)
{
    const int64_t D = model->feature_count, K = model->class_count;
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < K; k++) {
            double z = model->biases[k];
            for (int64_t j = 0; j < D; j++)
                z += (double)model->weights[k * D + j] * (double)x[i * D + j];
            scores[i * K + k] = (float)sigmoid(z);
        }
}
