#include "metric/bootstrap.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "base/rng.h"

/* A class has both labels in a draw when each list is hit. Lists are walked to their first hit, and
 * rare classes come first: so checking a draw costs little, whether it passes or fails. */
struct class_members {
    int64_t class_index, rarer;
    int32_t *members[2]; /* records by label */
    int64_t count[2];
};

struct run {
    const struct ranking *rankings; /* [K,scorings] */
    const struct ranking *base;     /* the same, what is subtracted; NULL: nothing */
    int64_t scorings;
    const struct bootstrap_options *options;
    struct class_members *classes; /* those with both labels, rarest first */
    int64_t class_count, defined_count, record_count;
    int rows[METRIC_COUNT_MAX], row_count; /* metrics that ask for an interval */
    double *values;                        /* [row_count, K + 1, draws]; column K is the macro */
    atomic_llong redraws, incomplete;
    atomic_bool out_of_memory;
};

static int by_rarity(const void *a, const void *b)
{
    const struct class_members *x = a, *y = b;
    if (x->rarer != y->rarer)
        return x->rarer < y->rarer ? -1 : 1;
    return (x->class_index > y->class_index) - (x->class_index < y->class_index);
}

static enum err_code members_init(struct run *run, struct err *e)
{
    run->classes = calloc((size_t)run->class_count + 1, sizeof *run->classes);
    if (!run->classes)
        FAIL(e, ERR_MEMORY, "out of memory for the bootstrap");
    for (int64_t k = 0; k < run->class_count; k++) {
        const struct ranking *r = &run->rankings[k * run->scorings];
        if (!ranking_has_both(r))
            continue;
        struct class_members *c = &run->classes[run->defined_count++];
        int64_t negatives = r->count - r->positives;
        c->class_index = k;
        c->rarer = r->positives < negatives ? r->positives : negatives;
        for (int label = 0; label < 2; label++) {
            c->members[label] = malloc((size_t)r->count * sizeof *c->members[label]);
            if (!c->members[label])
                FAIL(e, ERR_MEMORY, "out of memory for the bootstrap");
        }
        for (int64_t i = 0; i < r->count; i++)
            c->members[r->labels[i]][c->count[r->labels[i]]++] = r->records[i];
    }
    qsort(run->classes, (size_t)run->defined_count, sizeof *run->classes, by_rarity);
    return ERR_OK;
}

static void members_free(struct run *run)
{
    for (int64_t i = 0; run->classes && i < run->defined_count; i++)
        for (int label = 0; label < 2; label++)
            free(run->classes[i].members[label]);
    free(run->classes);
}

static bool any_drawn(const int32_t *members, int64_t count, const int32_t *weights)
{
    for (int64_t i = 0; i < count; i++)
        if (weights[members[i]])
            return true;
    return false;
}

static bool all_defined(const struct run *run, const int32_t *weights)
{
    for (int64_t i = 0; i < run->defined_count; i++)
        for (int label = 0; label < 2; label++)
            if (!any_drawn(run->classes[i].members[label], run->classes[i].count[label], weights))
                return false;
    return true;
}

int bootstrap_redraws(const struct bootstrap_options *options, int64_t record_count)
{
    int64_t drawn = options->draws * record_count;
    int64_t bound = drawn > 0 ? BOOTSTRAP_DRAWN_MAX / drawn + 1 : options->redraw_max;
    if (bound < BOOTSTRAP_REDRAWS_MIN)
        bound = BOOTSTRAP_REDRAWS_MIN;
    return bound < options->redraw_max ? (int)bound : options->redraw_max;
}

static void draw_weights(struct run *run, int64_t draw, int32_t *weights)
{
    const int redraw_max = bootstrap_redraws(run->options, run->record_count);
    for (int attempt = 0;; attempt++) {
        struct rng rng =
            rng_at(run->options->seed, RNG_STREAM_BOOTSTRAP, (uint64_t)attempt, (uint64_t)draw);
        memset(weights, 0, (size_t)run->record_count * sizeof *weights);
        for (int64_t i = 0; i < run->record_count; i++)
            weights[rng_below(&rng, run->record_count)]++;
        if (all_defined(run, weights))
            return;
        if (attempt == redraw_max) {
            atomic_fetch_add(&run->incomplete, 1);
            return;
        }
        atomic_fetch_add(&run->redraws, 1);
    }
}

static double *draws_of(const struct run *run, int row, int64_t column)
{
    return run->values + (row * (run->class_count + 1) + column) * run->options->draws;
}

/* The mean over the scorings of a class, less that of the base. */
static double drawn_value(const struct run *run, const struct metric *metric, int64_t k,
                          const int32_t *weights)
{
    double sum = 0;
    for (int64_t i = k * run->scorings; i < (k + 1) * run->scorings; i++) {
        if (!ranking_has_both(&run->rankings[i]))
            return NAN;
        sum += metric->compute(&run->rankings[i], weights);
        if (run->base)
            sum -= metric->compute(&run->base[i], weights);
    }
    return sum / (double)run->scorings;
}

static void one_draw(void *context, int64_t draw)
{
    struct run *run = context;
    int32_t *weights = malloc((size_t)run->record_count * sizeof *weights);
    if (!weights) {
        atomic_store(&run->out_of_memory, true);
        return;
    }
    draw_weights(run, draw, weights);
    for (int row = 0; row < run->row_count; row++) {
        double sum = 0;
        int64_t defined = 0;
        for (int64_t k = 0; k < run->class_count; k++) {
            double value = drawn_value(run, metrics[run->rows[row]], k, weights);
            draws_of(run, row, k)[draw] = value;
            if (!isnan(value)) {
                sum += value;
                defined++;
            }
        }
        draws_of(run, row, run->class_count)[draw] = defined ? sum / (double)defined : NAN;
    }
    free(weights);
}

static int rising(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double quantile_sorted(const double *values, int64_t count, double q)
{
    if (count == 0)
        return NAN;
    double position = q * (double)(count - 1);
    int64_t below = (int64_t)position;
    if (below >= count - 1)
        return values[count - 1];
    return values[below] + (position - (double)below) * (values[below + 1] - values[below]);
}

void interval_to_text(double value, struct interval interval, char out[INTERVAL_TEXT_BYTES])
{
    char number[16];
    snprintf(number, sizeof number, "%.3f", value);
    const char *digits = number[0] == '0' ? number + 1 : number;
    double half = fmax(interval.high - value, value - interval.low);
    if (isnan(value))
        snprintf(out, INTERVAL_TEXT_BYTES, "-");
    else if (isnan(interval.low) || !(half < 1))
        snprintf(out, INTERVAL_TEXT_BYTES, "%s", digits);
    else
        snprintf(out, INTERVAL_TEXT_BYTES, "%s(%02d)", digits, (int)lround(1000 * half));
}

struct interval draws_interval(double *draws, int64_t count, double level)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < count; i++)
        if (!isnan(draws[i]))
            draws[kept++] = draws[i];
    qsort(draws, (size_t)kept, sizeof *draws, rising);
    return (struct interval){quantile_sorted(draws, kept, (1 - level) / 2),
                             quantile_sorted(draws, kept, (1 + level) / 2)};
}

static double draws_p(const double *draws, int64_t count)
{
    int64_t kept = 0, sides[2] = {0, 0};
    for (int64_t i = 0; i < count; i++) {
        kept += !isnan(draws[i]);
        sides[0] += draws[i] <= 0;
        sides[1] += draws[i] >= 0;
    }
    int64_t rarer = sides[0] < sides[1] ? sides[0] : sides[1];
    return kept ? fmin(1, 2 * (double)(1 + rarer) / (double)(1 + kept)) : NAN;
}

static enum err_code run_draws(struct run *run, struct bootstrap *b, struct err *e)
{
    const struct bootstrap_options *options = run->options;
    TRY(members_init(run, e));
    size_t columns = (size_t)run->row_count * ((size_t)run->class_count + 1);
    run->values = calloc(columns, (size_t)options->draws * sizeof *run->values);
    if (!run->values)
        FAIL(e, ERR_MEMORY, "out of memory for %lld bootstrap draws of %lld classes",
             (long long)options->draws, (long long)run->class_count);
    pool_for(options->threads, options->draws, one_draw, run);
    if (atomic_load(&run->out_of_memory))
        FAIL(e, ERR_MEMORY, "out of memory in a bootstrap draw");

    for (int row = 0; row < run->row_count; row++) {
        int metric = run->rows[row];
        int64_t K = run->class_count, first = metric * K;
        for (int64_t k = 0; k < K; k++) {
            double *draws = draws_of(run, row, k);
            b->p[first + k] = draws_p(draws, options->draws);
            b->intervals[first + k] = draws_interval(draws, options->draws, options->level);
        }
        double *draws = draws_of(run, row, K);
        b->macro_mean[metric] = macro_average(draws, options->draws, NULL);
        b->macro_p[metric] = draws_p(draws, options->draws);
        b->macro[metric] = draws_interval(draws, options->draws, options->level);
    }
    b->redraws = atomic_load(&run->redraws);
    b->incomplete = atomic_load(&run->incomplete);
    return ERR_OK;
}

static enum err_code bootstrap(struct bootstrap *b, const struct ranking *base,
                               const struct ranking *rankings, int64_t scorings,
                               int64_t class_count, const struct bootstrap_options *options,
                               struct err *e)
{
    ASSERT(options->level > 0 && options->level < 1 && options->draws >= 0, "bootstrap options");
    memset(b, 0, sizeof *b);
    b->class_count = class_count;
    size_t cells = (size_t)metric_count() * (size_t)class_count;
    b->intervals = calloc(cells + 1, sizeof *b->intervals);
    b->p = calloc(cells + 1, sizeof *b->p);
    if (!b->intervals || !b->p) {
        bootstrap_free(b);
        FAIL(e, ERR_MEMORY, "out of memory for %zu intervals", cells);
    }
    for (size_t i = 0; i < cells; i++) {
        b->intervals[i] = (struct interval){NAN, NAN};
        b->p[i] = NAN;
    }
    for (int i = 0; i < METRIC_COUNT_MAX; i++) {
        b->macro[i] = (struct interval){NAN, NAN};
        b->macro_mean[i] = b->macro_p[i] = NAN;
    }
    if (options->draws == 0 || class_count == 0 || rankings[0].given_count == 0)
        return ERR_OK;

    struct run run = {.rankings = rankings,
                      .base = base,
                      .scorings = scorings,
                      .options = options,
                      .class_count = class_count,
                      .record_count = rankings[0].given_count};
    for (int i = 0; metrics[i]; i++)
        if (metrics[i]->interval)
            run.rows[run.row_count++] = i;
    enum err_code code = run_draws(&run, b, e);
    members_free(&run);
    free(run.values);
    if (code != ERR_OK)
        bootstrap_free(b);
    return code;
}

enum err_code bootstrap_run(struct bootstrap *b, const struct ranking *rankings,
                            int64_t class_count, const struct bootstrap_options *options,
                            struct err *e)
{
    return bootstrap(b, NULL, rankings, 1, class_count, options, e);
}

enum err_code bootstrap_difference(struct bootstrap *b, const struct ranking *first,
                                   const struct ranking *second, int64_t scorings,
                                   int64_t class_count, const struct bootstrap_options *options,
                                   struct err *e)
{
    return bootstrap(b, first, second, scorings, class_count, options, e);
}

void bootstrap_free(struct bootstrap *b)
{
    free(b->p);
    free(b->intervals);
    memset(b, 0, sizeof *b);
}
