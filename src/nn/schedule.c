#include "nn/schedule.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

#define PI 3.14159265358979323846

/* The rise that most rows begin with: step n of W has (n + 1) / W of the peak. */
static bool is_warmup(const struct schedule_span *s, int64_t step, double *rate)
{
    if (step >= s->warmup_steps)
        return false;
    *rate = s->lr * (double)(step + 1) / (double)s->warmup_steps;
    return true;
}

/* --- cosine ------------------------------------------------------------------------------------- */

static const struct option no_options[] = {OPTION_END};

/* Source: Loshchilov and Hutter 2017 (SGDR) eq. 5 with one period. */
static double cosine_rate(const void *config, const struct schedule_span *s, int64_t step)
{
    (void)config;
    double rate;
    if (is_warmup(s, step, &rate))
        return rate;
    int64_t span = s->steps - s->warmup_steps;
    double done = span > 0 ? (double)(step - s->warmup_steps) / (double)span : 1;
    if (done > 1)
        done = 1;
    return s->min_lr + 0.5 * (s->lr - s->min_lr) * (1 + cos(PI * done));
}

/* --- fixed -------------------------------------------------------------------------------------- */

struct fixed_config {
    const char *rates;
    int64_t anneal_epoch;
    double shrink;
};

static const struct option fixed_options[] = {
    OPT_TEXT(fixed_config, rates, "", "X,...",
             "rates of the first epochs, one for each, in place of lr; the last one stays"),
    OPT_INT(fixed_config, anneal_epoch, "0", 0, 1000000, NULL,
            "first epoch (from 1) whose rate is shrunk, again in each one that follows; 0: none"),
    OPT_FLOAT(fixed_config, shrink, "0.1", 0, 1, NULL, "factor on the rate in each such epoch"),
    OPTION_END};

/* The number at the beginning of "x,y,..."; *rest is what follows, NULL at the end. */
static bool list_number(const char *text, double *out, const char **rest)
{
    char cell[64];
    size_t n = strcspn(text, ",");
    if (n >= sizeof cell)
        return false;
    memcpy(cell, text, n);
    cell[n] = 0;
    *rest = text[n] == ',' ? text + n + 1 : NULL;
    return str_to_f64(cell, false, out) && *out >= 0 && *out <= 10;
}

static enum err_code fixed_check(const void *config, struct err *e)
{
    const struct fixed_config *c = config;
    double rate;
    for (const char *text = c->rates[0] ? c->rates : NULL; text;)
        if (!list_number(text, &rate, &text))
            FAIL(e, ERR_USAGE,
                 "fixed.rates: expected numbers from 0 to 10 with commas, found %.80s", c->rates);
    return ERR_OK;
}

static double fixed_rate(const void *config, const struct schedule_span *s, int64_t step)
{
    const struct fixed_config *c = config;
    struct schedule_span own = *s;
    int64_t epoch = step / s->steps_per_epoch + 1;
    bool shrinks = c && c->anneal_epoch > 0 && epoch >= c->anneal_epoch;
    const char *text = c && c->rates[0] ? c->rates : NULL;
    for (int64_t i = 0; text && (shrinks || i < epoch); i++)
        list_number(text, &own.lr, &text);
    double rate = own.lr;
    is_warmup(&own, step, &rate);
    if (shrinks)
        rate *= pow(c->shrink, (double)(epoch - c->anneal_epoch + 1));
    return rate;
}

/* --- tri_stage ---------------------------------------------------------------------------------- */

struct tri_stage_config {
    double init_scale, final_scale, hold;
};

static const struct option tri_stage_options[] = {
    OPT_FLOAT(tri_stage_config, init_scale, "0.01", 0, 1, NULL,
              "rate of the first step over the peak"),
    OPT_FLOAT(tri_stage_config, final_scale, "0.01", 1e-9, 1, NULL,
              "rate of the last step over the peak"),
    OPT_FLOAT(tri_stage_config, hold, "0.4", 0, 1, NULL,
              "fraction of the steps at the peak, after the warm-up; the rest decays"),
    OPTION_END};

/* Source: Park et al. 2019 (SpecAugment), section 4.2, as speech toolkits have it. */
static double tri_stage_rate(const void *config, const struct schedule_span *s, int64_t step)
{
    const struct tri_stage_config *c = config;
    int64_t W = s->warmup_steps, H = (int64_t)(c->hold * (double)s->steps);
    if (step < W)
        return s->lr * (c->init_scale + (1 - c->init_scale) * (double)step / (double)W);
    if (step < W + H)
        return s->lr;
    int64_t decay = s->steps - W - H;
    if (step >= s->steps || decay <= 0)
        return s->lr * c->final_scale;
    return s->lr * pow(c->final_scale, (double)(step - W - H) / (double)decay);
}

/* --- step --------------------------------------------------------------------------------------- */

struct step_config {
    int64_t period;
    double factor;
};

static const struct option step_options[] = {
    OPT_INT(step_config, period, "25000", 1, 1e12, "steps", "steps between two changes"),
    OPT_FLOAT(step_config, factor, "0.5", 0, 1, NULL, "factor on the rate at each"), OPTION_END};

static double step_rate(const void *config, const struct schedule_span *s, int64_t step)
{
    const struct step_config *c = config;
    double rate;
    if (is_warmup(s, step, &rate))
        return rate;
    rate = s->lr * pow(c->factor, (double)((step - s->warmup_steps) / c->period));
    return rate > s->min_lr ? rate : s->min_lr;
}

/* --- one_cycle ---------------------------------------------------------------------------------- */

struct one_cycle_config {
    double pct_start, div_factor, final_div_factor, base_momentum, max_momentum;
    bool cycle_momentum;
};

static const struct option one_cycle_options[] = {
    OPT_FLOAT(one_cycle_config, pct_start, "0.3", 0, 1, NULL,
              "fraction of the steps in which the rate rises"),
    OPT_FLOAT(one_cycle_config, div_factor, "25", 1, 1e12, NULL,
              "peak over the rate of the first step"),
    OPT_FLOAT(one_cycle_config, final_div_factor, "1e4", 1, 1e12, NULL,
              "rate of the first step over that of the last"),
    OPT_BOOL(one_cycle_config, cycle_momentum, "true",
             "beta1 goes the other way, from max_momentum to base_momentum and back"),
    OPT_FLOAT(one_cycle_config, base_momentum, "0.85", 0, 0.99999, NULL, "beta1 at the peak"),
    OPT_FLOAT(one_cycle_config, max_momentum, "0.95", 0, 0.99999, NULL,
              "beta1 of the first and last step"),
    OPTION_END};

/* Half a cosine from a to b. */
static double half_cosine(double a, double b, double done)
{
    return b + 0.5 * (a - b) * (1 + cos(PI * done));
}

/* From `first` up or down to `peak` and on to `last`; the peak lies where PyTorch has it, which is
 * between two steps where the rise is not a whole number of them. */
static double one_cycle(const struct one_cycle_config *c, const struct schedule_span *s,
                        int64_t step, double first, double peak, double last)
{
    double top = c->pct_start * (double)s->steps - 1, end = (double)(s->steps - 1),
           at = (double)step;
    if (at >= end)
        return last;
    if (top > 0 && at <= top)
        return half_cosine(first, peak, at / top);
    if (top < 0)
        top = 0;
    return half_cosine(peak, last, (at - top) / (end - top));
}

/* Source: Smith and Topin 2018 (Super-convergence), as PyTorch's OneCycleLR lays it over the steps, with
 * cosines. What a span says of warm-up and final rate has no part in it. */
static double one_cycle_rate(const void *config, const struct schedule_span *s, int64_t step)
{
    const struct one_cycle_config *c = config;
    double first = s->lr / c->div_factor;
    return one_cycle(c, s, step, first, s->lr, first / c->final_div_factor);
}

static double one_cycle_momentum(const void *config, const struct schedule_span *s, int64_t step,
                                 double beta1)
{
    const struct one_cycle_config *c = config;
    return c->cycle_momentum
               ? one_cycle(c, s, step, c->max_momentum, c->base_momentum, c->max_momentum)
               : beta1;
}

/* --- the table ---------------------------------------------------------------------------------- */

const struct schedule schedules[] = {
    {"cosine", "a rise, then half a cosine down to min_lr", no_options, 0, NULL, cosine_rate, NULL},
    {"fixed", "a rise, then the same rate to the end, or by epoch, or shrunk from one epoch on",
     fixed_options, sizeof(struct fixed_config), fixed_check, fixed_rate, NULL},
    {"tri_stage", "a rise, a plateau, and an exponential decay", tri_stage_options,
     sizeof(struct tri_stage_config), NULL, tri_stage_rate, NULL},
    {"step", "a rise, then the rate times a factor every so many steps, at least min_lr",
     step_options, sizeof(struct step_config), NULL, step_rate, NULL},
    {"one_cycle", "half a cosine up and half a cosine down to almost nothing, beta1 the other way",
     one_cycle_options, sizeof(struct one_cycle_config), NULL, one_cycle_rate, one_cycle_momentum},
    {NULL, NULL, NULL, 0, NULL, NULL, NULL}};

int schedule_find(const char *name)
{
    for (int i = 0; schedules[i].name; i++)
        if (strcmp(schedules[i].name, name) == 0)
            return i;
    return -1;
}
