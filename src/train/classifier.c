#include "train/classifier.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "metric/metric.h"
#include "train/logistic.h"
#include "train/ridge.h"

void classifier_free(struct classifier_fit *fit)
{
    cJSON_Delete(fit->json);
    arena_reset(&fit->arena);
    memset(fit, 0, sizeof *fit);
}

static enum err_code fit_init(const struct classifier_data *d, struct classifier_fit *fit,
                              const char *solver, struct err *e)
{
    memset(fit, 0, sizeof *fit);
    arena_init(&fit->arena, "classifier", 0);
    fit->weights = arena_push_array(&fit->arena, (size_t)d->K, (size_t)d->F * sizeof(float));
    fit->biases = arena_push_array(&fit->arena, (size_t)d->K, sizeof(float));
    fit->json = cJSON_CreateObject();
    if (!fit->weights || !fit->biases || !fit->json)
        FAIL(e, ERR_MEMORY, "no memory for a classifier of %lld features", (long long)d->F);
    cJSON_AddStringToObject(fit->json, "solver", solver);
    return ERR_OK;
}

static void tell(struct classifier_fit *fit, const struct classifier_data *d, double auroc)
{
    cJSON_AddNumberToObject(fit->json, "features", (double)d->F);
    cJSON_AddNumberToObject(fit->json, "validation_macro_auroc", auroc);
}

static enum err_code check_finite(const struct classifier_data *d, struct err *e)
{
    for (int part = 0; part < 2; part++) {
        const float *x = part ? d->valid_x : d->train_x;
        int64_t n = part ? d->n_valid : d->n_train;
        for (int64_t i = 0; i < n * d->F; i++)
            if (!isfinite(x[i]))
                FAIL(e, ERR_NUMERIC, "feature %lld of %s record %lld is not finite",
                     (long long)(i % d->F), part ? "validation" : "training",
                     (long long)(i / d->F));
    }
    return ERR_OK;
}

/* AUROC of n scores; NaN if it is not defined. */
static double auroc(const double *scores, const uint8_t *labels, int64_t n)
{
    struct ranking r = {0};
    double value = NAN;
    if (ranking_init(&r, scores, labels, n, NULL) == ERR_OK && ranking_has_both(&r))
        value = metric_auroc.compute(&r, NULL);
    ranking_free(&r);
    return value;
}

/* Column k of scores [n,K] and labels [n,K]. */
static void columns(const float *scores, const uint8_t *labels, int64_t n, int64_t K, int64_t k,
                    double *column, uint8_t *label)
{
    for (int64_t i = 0; i < n; i++) {
        column[i] = (double)scores[i * K + k];
        label[i] = labels[i * K + k];
    }
}

static double macro_auroc(const float *scores, const uint8_t *labels, int64_t n, int64_t K)
{
    double *column = calloc((size_t)n + 1, sizeof *column),
           *by_class = calloc((size_t)K, sizeof(double));
    uint8_t *label = calloc((size_t)n + 1, 1);
    ASSERT(column && by_class && label, "out of memory");
    for (int64_t k = 0; k < K; k++) {
        columns(scores, labels, n, K, k, column, label);
        by_class[k] = auroc(column, label, n);
    }
    double macro = macro_average(by_class, K, NULL);
    free(column);
    free(by_class);
    free(label);
    return macro;
}

static enum err_code check_defined(double macro, struct err *e)
{
    if (isnan(macro))
        FAIL(e, ERR_LABELS, "no class has both labels among the validation records");
    return ERR_OK;
}

/* --- log odds of scores ------------------------------------------------------------------------- */

#define SLOPE_LEAST 1e-3 /* keeps the order of scores that say nothing */

static double log_loss(const double *s, const double *t, int64_t n, double a, double b)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        double z = a * s[i] + b;
        sum += (z > 0 ? z : 0) + log1p(exp(-fabs(z))) - t[i] * z;
    }
    return sum;
}

void platt_fit(const double *scores, const uint8_t *labels, int64_t n, double *a, double *b)
{
    double *targets = calloc((size_t)n + 1, sizeof *targets), positives = 0;
    ASSERT(targets, "out of memory");
    for (int64_t i = 0; i < n; i++)
        positives += labels[i] != 0;
    double negatives = (double)n - positives;
    for (int64_t i = 0; i < n; i++)
        targets[i] = labels[i] ? (positives + 1) / (positives + 2) : 1 / (negatives + 2);
    *a = 0;
    *b = log((positives + 1) / (negatives + 1));
    double loss = log_loss(scores, targets, n, *a, *b);
    for (int step = 0; step < 100; step++) {
        /* Newton, with a touch of the unit matrix so that it can be solved. */
        double ga = 0, gb = 0, haa = 1e-12, hab = 0, hbb = 1e-12;
        for (int64_t i = 0; i < n; i++) {
            double p = 1 / (1 + exp(-(*a * scores[i] + *b))), w = p * (1 - p);
            ga += (p - targets[i]) * scores[i];
            gb += p - targets[i];
            haa += w * scores[i] * scores[i];
            hab += w * scores[i];
            hbb += w;
        }
        if (fabs(ga) < 1e-9 * (double)n && fabs(gb) < 1e-9 * (double)n)
            break;
        double determinant = haa * hbb - hab * hab;
        double da = -(hbb * ga - hab * gb) / determinant, db = -(haa * gb - hab * ga) / determinant;
        double along = ga * da + gb * db, length = 1, next = INFINITY;
        for (; length >= 1e-10; length /= 2) {
            next = log_loss(scores, targets, n, *a + length * da, *b + length * db);
            if (next < loss + 1e-4 * length * along)
                break;
        }
        if (length < 1e-10)
            break;
        *a += length * da;
        *b += length * db;
        loss = next;
    }
    if (!(*a > SLOPE_LEAST) || !isfinite(*a) || !isfinite(*b)) {
        double mean = 0;
        for (int64_t i = 0; i < n; i++)
            mean += scores[i] / (double)n;
        *a = SLOPE_LEAST;
        *b = log((positives + 1) / (negatives + 1)) - *a * mean;
    }
    free(targets);
}

/* Weights and biases of scores become those of log odds, by the validation records' features. */
static enum err_code calibrate(const struct classifier_data *d, const float *valid_x,
                               struct classifier_fit *fit, double *macro, struct err *e)
{
    float *scores = calloc((size_t)(d->n_valid * d->K) + 1, sizeof *scores);
    double *column = calloc((size_t)d->n_valid + 1, sizeof *column);
    uint8_t *label = calloc((size_t)d->n_valid + 1, 1);
    ASSERT(scores && column && label, "out of memory");
    for (int64_t i = 0; i < d->n_valid; i++)
        for (int64_t k = 0; k < d->K; k++) {
            double sum = (double)fit->biases[k];
            for (int64_t f = 0; f < d->F; f++)
                sum += (double)valid_x[i * d->F + f] * (double)fit->weights[k * d->F + f];
            scores[i * d->K + k] = (float)sum;
        }
    *macro = macro_auroc(scores, d->valid_y, d->n_valid, d->K);
    for (int64_t k = 0; k < d->K; k++) {
        double a, b;
        columns(scores, d->valid_y, d->n_valid, d->K, k, column, label);
        platt_fit(column, label, d->n_valid, &a, &b);
        for (int64_t f = 0; f < d->F; f++)
            fit->weights[k * d->F + f] = (float)(a * (double)fit->weights[k * d->F + f]);
        fit->biases[k] = (float)(a * (double)fit->biases[k] + b);
    }
    free(scores);
    free(column);
    free(label);
    return check_defined(*macro, e);
}

/* --- logistic ----------------------------------------------------------------------------------- */

static enum err_code logistic_fit(const struct classifier_data *d, struct classifier_fit *out,
                                  struct err *e)
{
    TRY(fit_init(d, out, "l-bfgs", e));
    struct logistic_model m = {0};
    struct logistic_options options = LOGISTIC_DEFAULTS;
    options.positive_weights = d->positive_weights;
    enum err_code code = logistic_select(d->train_x, d->train_y, d->n_train, d->valid_x, d->valid_y,
                                         d->n_valid, d->F, d->K, &options, d->threads, &m, e);
    if (code == ERR_OK) {
        memcpy(out->weights, m.weights, (size_t)(d->K * d->F) * sizeof(float));
        memcpy(out->biases, m.biases, (size_t)d->K * sizeof(float));
        cJSON_AddNumberToObject(out->json, "c", m.c);
        tell(out, d, m.validation_auroc[m.c_index]);
        cJSON_AddNumberToObject(out->json, "iterations", (double)m.iterations_all);
        double worst = 0;
        for (int64_t k = 0; k < m.class_count; k++)
            worst = m.gradient_norms[k] > worst ? m.gradient_norms[k] : worst;
        cJSON_AddNumberToObject(out->json, "largest_gradient", worst);
    }
    logistic_free(&m);
    return code;
}

/* --- ridge -------------------------------------------------------------------------------------- */

/* Of estimates of -1 and 1. */
static double sign_auroc(const double *truth, const double *estimate, int64_t n)
{
    uint8_t *labels = calloc((size_t)n + 1, 1);
    ASSERT(labels, "out of memory");
    for (int64_t i = 0; i < n; i++)
        labels[i] = truth[i] > 0;
    double value = auroc(estimate, labels, n);
    free(labels);
    return value;
}

static float *signs(const uint8_t *labels, int64_t count)
{
    float *out = calloc((size_t)count + 1, sizeof *out);
    ASSERT(out, "out of memory");
    for (int64_t i = 0; i < count; i++)
        out[i] = labels[i] ? 1 : -1;
    return out;
}

static enum err_code ridge_fit(const struct classifier_data *d, struct classifier_fit *out,
                               struct err *e)
{
    TRY(fit_init(d, out, "ridge", e));
    struct ridge_model m = {0};
    struct ridge_options options = RIDGE_DEFAULTS;
    options.measure = sign_auroc;
    float *train_y = signs(d->train_y, d->n_train * d->K);
    float *valid_y = signs(d->valid_y, d->n_valid * d->K);
    enum err_code code = ridge_select(d->train_x, train_y, d->n_train, d->valid_x, valid_y,
                                      d->n_valid, d->F, d->K, &options, d->threads, &m, e);
    if (code == ERR_OK) {
        memcpy(out->weights, m.weights, (size_t)(d->K * d->F) * sizeof(float));
        memcpy(out->biases, m.biases, (size_t)d->K * sizeof(float));
        double macro;
        code = calibrate(d, d->valid_x, out, &macro, e);
        cJSON_AddNumberToObject(out->json, "lambda", m.lambda);
        tell(out, d, m.validation[m.lambda_index]);
    }
    ridge_free(&m);
    free(train_y);
    free(valid_y);
    return code;
}

/* --- cosine ------------------------------------------------------------------------------------- */

/* Rows of length one; of no length: zero. */
static float *unit_rows(struct arena *a, const float *x, int64_t n, int64_t F)
{
    float *out = arena_push_array(a, (size_t)n + 1, (size_t)F * sizeof *out);
    for (int64_t i = 0; out && i < n; i++) {
        double sum = 0;
        for (int64_t f = 0; f < F; f++)
            sum += (double)x[i * F + f] * (double)x[i * F + f];
        for (int64_t f = 0; f < F; f++)
            out[i * F + f] = sum > 0 ? (float)((double)x[i * F + f] / sqrt(sum)) : 0;
    }
    return out;
}

/* --- prototypes --------------------------------------------------------------------------------- */

/* The mean of the rows with the class, or of those without it, at length one; zero if there is none. */
static void prototype(const struct classifier_data *d, const float *rows, int64_t k, bool with,
                      double *out)
{
    memset(out, 0, (size_t)d->F * sizeof *out);
    for (int64_t i = 0; i < d->n_train; i++)
        if ((d->train_y[i * d->K + k] != 0) == with)
            for (int64_t f = 0; f < d->F; f++)
                out[f] += (double)rows[i * d->F + f];
    double sum = 0;
    for (int64_t f = 0; f < d->F; f++)
        sum += out[f] * out[f];
    for (int64_t f = 0; f < d->F && sum > 0; f++)
        out[f] /= sqrt(sum);
}

/* How much nearer a record is to the mean of those with the class than to the mean of those without, by
 * cosine: a head that is linear in features of length one. Source: Snell et al. 2017, for each class. */
static enum err_code prototype_fit(const struct classifier_data *d, struct classifier_fit *out,
                                   struct err *e)
{
    TRY(fit_init(d, out, "prototype", e));
    TRY(check_finite(d, e));
    const float *train = unit_rows(&out->arena, d->train_x, d->n_train, d->F);
    const float *valid = unit_rows(&out->arena, d->valid_x, d->n_valid, d->F);
    double *with = arena_push_array(&out->arena, (size_t)d->F, 2 * sizeof *with);
    if (!train || !valid || !with)
        FAIL(e, ERR_MEMORY, "no memory for prototypes of %lld features", (long long)d->F);
    double *without = with + d->F, macro;
    for (int64_t k = 0; k < d->K; k++) {
        prototype(d, train, k, true, with);
        prototype(d, train, k, false, without);
        for (int64_t f = 0; f < d->F; f++)
            out->weights[k * d->F + f] = (float)(with[f] - without[f]);
        out->biases[k] = 0;
    }
    TRY(calibrate(d, valid, out, &macro, e));
    tell(out, d, macro);
    return ERR_OK;
}

/* --- nearest neighbours ------------------------------------------------------------------------- */

#define KNN_TEMPERATURE 0.07 /* Wu et al. 2018, section 3.4; Caron et al. 2021 */
static const int64_t knn_sizes[] = {200, 100, 50, 20, 10, 5, 1}; /* the smoothest first */
enum { KNN_SIZES = sizeof knn_sizes / sizeof *knn_sizes };

struct neighbour {
    double similarity;
    int64_t record;
};

static int nearer_first(const void *a_, const void *b_)
{
    const struct neighbour *a = a_, *b = b_;
    if (a->similarity != b->similarity)
        return a->similarity > b->similarity ? -1 : 1;
    return (a->record > b->record) - (a->record < b->record);
}

struct votes {
    const struct classifier_data *d;
    const float *rows, *x; /* [n_train,F], [n,F], of length one */
    int64_t k;             /* how many vote; 0: as many as each of knn_sizes says */
    float *scores;         /* [n,K], or [KNN_SIZES,n,K] */
    int64_t n;
};

/* Shares of a class in the votes of the first `k`, weighted by exp(cosine / temperature). */
static void vote(const struct votes *v, const struct neighbour *near, int64_t k, float *scores)
{
    const struct classifier_data *d = v->d;
    double all = 0;
    k = k < d->n_train ? k : d->n_train;
    for (int64_t c = 0; c < d->K; c++) {
        double sum = 0;
        all = 0;
        for (int64_t j = 0; j < k; j++) {
            double w = exp((near[j].similarity - near[0].similarity) / KNN_TEMPERATURE);
            all += w;
            sum += d->train_y[near[j].record * d->K + c] ? w : 0;
        }
        scores[c] = (float)(sum / all);
    }
}

static void vote_on(void *context, int64_t i)
{
    const struct votes *v = context;
    const struct classifier_data *d = v->d;
    struct neighbour *near = calloc((size_t)d->n_train, sizeof *near);
    ASSERT(near, "out of memory");
    const float *x = v->x + i * d->F;
    for (int64_t j = 0; j < d->n_train; j++) {
        double sum = 0;
        for (int64_t f = 0; f < d->F; f++)
            sum += (double)x[f] * (double)v->rows[j * d->F + f];
        near[j] = (struct neighbour){sum, j};
    }
    qsort(near, (size_t)d->n_train, sizeof *near, nearer_first);
    if (v->k)
        vote(v, near, v->k, v->scores + i * d->K);
    for (int s = 0; !v->k && s < KNN_SIZES; s++)
        vote(v, near, knn_sizes[s], v->scores + (s * v->n + i) * d->K);
    free(near);
}

static enum err_code knn_fit(const struct classifier_data *d, struct classifier_fit *out,
                             struct err *e)
{
    TRY(fit_init(d, out, "k-nn", e));
    out->weights = out->biases = NULL;
    TRY(check_finite(d, e));
    out->neighbours = unit_rows(&out->arena, d->train_x, d->n_train, d->F);
    const float *valid = unit_rows(&out->arena, d->valid_x, d->n_valid, d->F);
    int64_t cells = d->n_valid * d->K;
    float *scores = arena_push_array(&out->arena, (size_t)cells + 1, KNN_SIZES * sizeof *scores);
    if (!out->neighbours || !valid || !scores)
        FAIL(e, ERR_MEMORY, "no memory for %lld neighbours", (long long)d->n_train);
    struct votes v = {
        .d = d, .rows = out->neighbours, .x = valid, .scores = scores, .n = d->n_valid};
    pool_for(d->threads, d->n_valid, vote_on, &v);
    double best = NAN;
    for (int s = 0; s < KNN_SIZES; s++) {
        double macro = macro_auroc(scores + s * cells, d->valid_y, d->n_valid, d->K);
        if (isnan(best) || macro > best) {
            best = macro;
            out->k = knn_sizes[s];
        }
    }
    TRY(check_defined(best, e));
    cJSON_AddNumberToObject(out->json, "k", (double)out->k);
    tell(out, d, best);
    return ERR_OK;
}

static void knn_score(const struct classifier_data *d, const struct classifier_fit *fit,
                      const float *x, int64_t n, float *scores)
{
    struct arena scratch;
    arena_init(&scratch, "features", 0);
    const float *rows = unit_rows(&scratch, x, n, d->F);
    ASSERT(rows, "out of memory");
    struct votes v = {
        .d = d, .rows = fit->neighbours, .x = rows, .k = fit->k, .scores = scores, .n = n};
    pool_for(d->threads, n, vote_on, &v);
    arena_reset(&scratch);
}

const struct classifier classifiers[] = {
    {"logistic", "logistic regression, C chosen", "linear", true, logistic_fit, NULL},
    {"ridge", "ridge regression of -1 and 1, the penalty chosen, scaled to log odds", "linear",
     false, ridge_fit, NULL},
    {"knn",
     "votes of the nearest training records by cosine, their number chosen; makes no model to "
     "infer "
     "with",
     NULL, false, knn_fit, knn_score},
    {"prototype", "nearest of the two means of each class by cosine, scaled to log odds", "cosine",
     false, prototype_fit, NULL},
    {NULL, NULL, NULL, false, NULL, NULL}};

const struct classifier *classifier_find(const char *name)
{
    for (int i = 0; classifiers[i].name; i++)
        if (strcmp(classifiers[i].name, name) == 0)
            return &classifiers[i];
    return NULL;
}
