/* Schedules and the optimizer against numbers worked out by hand, and against the textbook step written
 * out in double. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "nn/optimizer.h"

/* In double: cmocka compares floats. */
static void expect_near(double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance))
        fail_msg("%.17g, expected %.17g", got, want);
}

static const struct schedule *row(const char *name)
{
    int i = schedule_find(name);
    assert_true(i >= 0);
    return &schedules[i];
}

/* A row's options with their defaults, then "key=value" pairs. */
static void *config_of(struct option_set *set, const struct schedule *s, const char *const *pairs)
{
    option_set_init(set);
    void *config = arena_push(&set->arena, s->config_size + 1);
    option_set_add(set, s->name, s->options, config);
    for (; pairs && *pairs; pairs += 2)
        assert_int_equal(option_set_text(set, pairs[0], pairs[1], OPTION_FROM_SET, NULL), ERR_OK);
    return config;
}

static void expect_rate(const struct schedule *s, const void *config,
                        const struct schedule_span *span, int64_t step, double want)
{
    double got = s->rate(config, span, step);
    if (fabs(got - want) > 1e-12 * fabs(want) + 1e-18)
        fail_msg("%s, step %lld: %.15g, expected %.15g", s->name, (long long)step, got, want);
}

static void rows_are_complete(void **state)
{
    (void)state;
    int n = 0;
    for (; schedules[n].name; n++) {
        struct option_set set;
        void *config = config_of(&set, &schedules[n], NULL);
        struct schedule_span span = {
            .lr = 3, .min_lr = 1, .warmup_steps = 7, .steps = 50, .steps_per_epoch = 10};
        assert_true(schedules[n].help[0]);
        assert_int_equal(schedule_find(schedules[n].name), n);
        for (int64_t warmup = 0; warmup <= 50; warmup += 25)
            for (int64_t step = 0; step < 60; step++) {
                span.warmup_steps = warmup;
                double rate = schedules[n].rate(config, &span, step);
                assert_true(rate >= 0 && rate <= 3);
            }
        option_set_free(&set);
    }
    assert_true(n <= SCHEDULES_MAX);
    assert_string_equal(schedules[0].name, "cosine");
    assert_int_equal(schedule_find("linear"), -1);
}

static void cosine_is_half_a_wave(void **state)
{
    (void)state;
    struct schedule_span s = {
        .lr = 2, .min_lr = 1, .warmup_steps = 4, .steps = 12, .steps_per_epoch = 1};
    const struct schedule *r = row("cosine");
    const double want[] = {0.5, 1, 1.5, 2, 2, 1.5 + 0.5 * 0.92387953251128674, 1.8535533905932737};
    for (int i = 0; i < 7; i++)
        expect_rate(r, NULL, &s, i, want[i]);
    expect_rate(r, NULL, &s, 8, 1.5);
    expect_rate(r, NULL, &s, 12, 1);
    expect_rate(r, NULL, &s, 99, 1);
}

static void fixed_stays_or_is_annealed_by_epoch(void **state)
{
    (void)state;
    struct schedule_span s = {.lr = 5e-5, .min_lr = 1e-6, .steps = 100, .steps_per_epoch = 10};
    struct option_set set;
    const struct schedule *r = row("fixed");
    const void *config = config_of(&set, r, NULL);
    expect_rate(r, config, &s, 0, 5e-5);
    expect_rate(r, config, &s, 99, 5e-5);
    s.warmup_steps = 4;
    expect_rate(r, config, &s, 0, 1.25e-5);
    expect_rate(r, config, &s, 2, 3.75e-5);
    expect_rate(r, config, &s, 3, 5e-5);
    option_set_free(&set);
    config =
        config_of(&set, r,
                  (const char *const[]){"fixed.anneal_epoch", "4", "fixed.shrink", "0.5", NULL});
    s.warmup_steps = 0;
    expect_rate(r, config, &s, 29, 5e-5);
    expect_rate(r, config, &s, 30, 2.5e-5);
    expect_rate(r, config, &s, 39, 2.5e-5);
    expect_rate(r, config, &s, 40, 1.25e-5);
    option_set_free(&set);
    config = config_of(&set, r,
                       (const char *const[]){"fixed.rates", "4e-5,2e-5,1e-5", "fixed.anneal_epoch",
                                             "5", "fixed.shrink", "0.1", NULL});
    struct err e = {0};
    assert_int_equal(r->check(config, &e), ERR_OK);
    s.warmup_steps = 2;
    expect_rate(r, config, &s, 0, 2e-5);
    expect_rate(r, config, &s, 9, 4e-5);
    expect_rate(r, config, &s, 10, 2e-5);
    expect_rate(r, config, &s, 20, 1e-5);
    expect_rate(r, config, &s, 39, 1e-5);
    expect_rate(r, config, &s, 40, 1e-6);
    expect_rate(r, config, &s, 50, 1e-7);
    option_set_free(&set);
    static const char *const bad[] = {"1e-5,", "x", "1e-5,,1e-6", "-1", "11", "nan"};
    for (int i = 0; i < 6; i++) {
        config = config_of(&set, r, (const char *const[]){"fixed.rates", bad[i], NULL});
        assert_int_equal(r->check(config, &e), ERR_USAGE);
        option_set_free(&set);
    }
}

static void tri_stage_rises_holds_and_decays(void **state)
{
    (void)state;
    struct schedule_span s = {
        .lr = 2, .min_lr = 0, .warmup_steps = 10, .steps = 100, .steps_per_epoch = 1};
    struct option_set set;
    const struct schedule *r = row("tri_stage");
    const void *config =
        config_of(&set, r,
                  (const char *const[]){"tri_stage.init_scale", "0.01", "tri_stage.final_scale",
                                        "0.01", "tri_stage.hold", "0.2", NULL});
    expect_rate(r, config, &s, 0, 0.02);
    expect_rate(r, config, &s, 5, 0.02 + 0.5 * 1.98);
    expect_rate(r, config, &s, 10, 2);
    expect_rate(r, config, &s, 29, 2);
    expect_rate(r, config, &s, 30, 2);
    expect_rate(r, config, &s, 65, 0.2); /* half of the decay: the root of 0.01 */
    expect_rate(r, config, &s, 100, 0.02);
    expect_rate(r, config, &s, 1000, 0.02);
    option_set_free(&set);
}

static void step_falls_at_periods(void **state)
{
    (void)state;
    struct schedule_span s = {
        .lr = 8, .min_lr = 1.5, .warmup_steps = 2, .steps = 1000, .steps_per_epoch = 1};
    struct option_set set;
    const struct schedule *r = row("step");
    const void *config = config_of(&set, r, (const char *const[]){"step.period", "10", NULL});
    expect_rate(r, config, &s, 0, 4);
    expect_rate(r, config, &s, 1, 8);
    expect_rate(r, config, &s, 2, 8);
    expect_rate(r, config, &s, 11, 8);
    expect_rate(r, config, &s, 12, 4);
    expect_rate(r, config, &s, 22, 2);
    expect_rate(r, config, &s, 32, 1.5); /* never below min_lr */
    option_set_free(&set);
}

/* The numbers are those that PyTorch's OneCycleLR gives with its defaults, over 10 and over 7 steps. */
static void one_cycle_is_pytorchs(void **state)
{
    (void)state;
    static const double rate_10[] = {4e-4,
                                     0.0052,
                                     0.01,
                                     0.009504846320134737,
                                     0.008117456539497631,
                                     0.0061126202193628925,
                                     0.003887419780637108,
                                     0.00188258346050237,
                                     0.0004951936798652628,
                                     4e-08},
                        momentum_10[] = {0.95,
                                         0.9,
                                         0.85,
                                         0.854951556604879,
                                         0.8688255099070633,
                                         0.8888739533021842,
                                         0.9111260466978157,
                                         0.9311744900929366,
                                         0.945048443395121,
                                         0.95};
    static const double rate_7[] = {0.04,
                                    0.9805566273349586,
                                    0.9190443762697106,
                                    0.6726838364805451,
                                    0.35773877573965707,
                                    0.0992967918932656,
                                    4e-06};
    struct schedule_span s = {.lr = 0.01, .min_lr = 1e-3, .warmup_steps = 4, .steps = 10};
    struct option_set set;
    const struct schedule *r = row("one_cycle");
    const void *config = config_of(&set, r, NULL);
    for (int i = 0; i < 10; i++) {
        expect_near(r->rate(config, &s, i), rate_10[i], 1e-15);
        expect_near(r->momentum(config, &s, i, 0.9), momentum_10[i], 1e-14);
    }
    s.lr = 1;
    s.steps = 7;
    for (int i = 0; i < 7; i++)
        expect_near(r->rate(config, &s, i), rate_7[i], 1e-14);
    expect_near(r->rate(config, &s, 99), 4e-6, 1e-18);
    for (s.steps = 1; s.steps < 5; s.steps++) /* a rise of no step or part of one */
        for (int64_t i = 0; i < s.steps; i++)
            assert_true(r->rate(config, &s, i) >= 4e-6 && r->rate(config, &s, i) <= 1);
    option_set_free(&set);
    config = config_of(&set, r,
                       (const char *const[]){"one_cycle.pct_start", "0.5", "one_cycle.div_factor",
                                             "10", "one_cycle.final_div_factor", "100",
                                             "one_cycle.cycle_momentum", "false", NULL});
    s.steps = 6; /* the peak is at step 2, the end at step 5 */
    expect_near(r->rate(config, &s, 0), 0.1, 1e-15);
    expect_near(r->rate(config, &s, 1), 0.55, 1e-15);
    expect_near(r->rate(config, &s, 2), 1, 1e-15);
    expect_near(r->rate(config, &s, 3), 0.001 + 0.999 * 0.75, 1e-15);
    expect_near(r->rate(config, &s, 5), 0.001, 1e-15);
    assert_true(r->momentum(config, &s, 2, 0.9) == 0.9);
    option_set_free(&set);
}

/* --- the step ----------------------------------------------------------------------------------- */

enum { PARAMS = 4, N = 3, SLAB = PARAMS * 16, STEPS = 6 };

struct setting {
    struct param_table table;
    double value[SLAB], gradient[SLAB], first[SLAB], second[SLAB];
};

/* Matrices m0, m2 decay, vectors v1, v3 do not; one layer each. */
static void setting_make(struct setting *s)
{
    static const char *const names[] = {"m0", "v1", "m2", "v3"};
    memset(s, 0, sizeof *s);
    param_table_init(&s->table);
    for (int i = 0; i < PARAMS; i++)
        param_get(&s->table, names[i], 1, (int64_t[]){N}, PARAM_ONE, 0, i % 2 == 0, i);
    assert_int_equal(s->table.total, SLAB);
    for (int i = 0; i < SLAB; i++)
        s->value[i] = i % 16 < N ? 0.5 + 0.25 * i : 0;
}

static double gradient_of(int i, int64_t step)
{
    return i % 16 < N ? sin(1.0 + 3.0 * i + 0.7 * (double)step) : 0;
}

static void step_once(struct setting *s, const struct optimizer_options *o, int64_t step)
{
    for (int i = 0; i < SLAB; i++)
        s->gradient[i] = gradient_of(i, step);
    optimizer_step(&backend_ref64, &s->table, o, step, 1, s->value, s->gradient, s->first,
                   s->second);
}

/* The step of fairseq's Adam as it is written: the specification's section 2.3. */
static void adam_is_fairseqs(void **state)
{
    (void)state;
    struct setting s;
    setting_make(&s);
    struct optimizer_options o = {.kind = OPTIMIZER_ADAM,
                                  .schedule = row("fixed"),
                                  .span = {.lr = 0.05, .steps = STEPS, .steps_per_epoch = 1},
                                  .beta1 = 0.9,
                                  .beta2 = 0.98,
                                  .epsilon = 0.01,
                                  .weight_decay = 0.1,
                                  .layer_decay = 1};
    double p[SLAB], m[SLAB] = {0}, v[SLAB] = {0};
    memcpy(p, s.value, sizeof p);
    for (int64_t step = 0; step < STEPS; step++) {
        step_once(&s, &o, step);
        double t = (double)step + 1;
        double size = 0.05 * sqrt(1 - pow(0.98, t)) / (1 - pow(0.9, t));
        for (int i = 0; i < SLAB; i++) {
            double g = gradient_of(i, step);
            m[i] = 0.9 * m[i] + (1 - 0.9) * g;
            v[i] = 0.98 * v[i] + (1 - 0.98) * g * g;
            p[i] -= 0.1 * 0.05 * p[i];
            p[i] -= size * m[i] / (sqrt(v[i]) + 0.01);
            expect_near(s.value[i], p[i], 1e-12);
        }
    }
    /* One number by hand: the first step of the first value, g = sin 1. */
    double g = sin(1.0), v1 = 0.02 * g * g;
    double want = 0.5 * (1 - 0.005) - 0.05 * sqrt(0.02) * g / (sqrt(v1) + 0.01);
    param_table_free(&s.table);
    setting_make(&s);
    step_once(&s, &o, 0);
    expect_near(s.value[0], want, 1e-12);
    param_table_free(&s.table);
}

static void adamw_decays_matrices_alone(void **state)
{
    (void)state;
    struct setting s;
    setting_make(&s);
    struct optimizer_options o = {.span = {.lr = 0.05, .min_lr = 0.05, .steps = 9},
                                  .beta1 = 0.9,
                                  .beta2 = 0.98,
                                  .epsilon = 0.01,
                                  .weight_decay = 0.1,
                                  .layer_decay = 1};
    double before[SLAB];
    memcpy(before, s.value, sizeof before);
    step_once(&s, &o, 0);
    for (int i = 0; i < SLAB; i++) { /* corrected moments of a first step are g and g^2 */
        double g = gradient_of(i, 0), decay = i / 16 % 2 == 0 ? 0.1 * 0.05 : 0;
        expect_near(s.value[i], before[i] * (1 - decay) - 0.05 * g / (fabs(g) + 0.01), 1e-12);
    }
    param_table_free(&s.table);
}

/* AdamW as PyTorch writes it, everything decays, the first moment's decay is that of the step. */
static void adamw_follows_the_cycle(void **state)
{
    (void)state;
    struct setting s;
    struct option_set set;
    setting_make(&s);
    const struct schedule *r = row("one_cycle");
    struct optimizer_options o = {.schedule = r,
                                  .schedule_config = config_of(&set, r, NULL),
                                  .span = {.lr = 0.05, .steps = STEPS, .steps_per_epoch = 1},
                                  .beta1 = 0.5,
                                  .beta2 = 0.98,
                                  .epsilon = 0.01,
                                  .weight_decay = 0.1,
                                  .decay_all = true,
                                  .layer_decay = 1};
    double p[SLAB], m[SLAB] = {0}, v[SLAB] = {0};
    memcpy(p, s.value, sizeof p);
    for (int64_t step = 0; step < STEPS; step++) {
        step_once(&s, &o, step);
        double t = (double)step + 1, lr = r->rate(o.schedule_config, &o.span, step);
        double b = r->momentum(o.schedule_config, &o.span, step, 0.5);
        assert_true(b > 0.8);
        for (int i = 0; i < SLAB; i++) {
            double g = gradient_of(i, step);
            p[i] *= 1 - lr * 0.1;
            m[i] = b * m[i] + (1 - b) * g;
            v[i] = 0.98 * v[i] + (1 - 0.98) * g * g;
            p[i] -= lr / (1 - pow(b, t)) * m[i] / (sqrt(v[i] / (1 - pow(0.98, t))) + 0.01);
            expect_near(s.value[i], p[i], 1e-12);
        }
    }
    option_set_free(&set);
    param_table_free(&s.table);
}

/* Factors multiply the rate; who waits keeps value and moments, does not count in the norm, and begins
 * its own count of steps; who is frozen never moves. */
static void parameters_have_their_own_rate_and_begin(void **state)
{
    (void)state;
    enum { DELAY = 2 };
    struct setting s, plain;
    setting_make(&s);
    setting_make(&plain);
    struct optimizer_options o = {.kind = OPTIMIZER_ADAM,
                                  .schedule = row("fixed"),
                                  .span = {.lr = 0.05, .steps = STEPS, .steps_per_epoch = 1},
                                  .beta1 = 0.9,
                                  .beta2 = 0.98,
                                  .epsilon = 1e-6,
                                  .layer_decay = 0.5};
    s.table.items[1]->rate = 3;
    s.table.items[2]->delay = DELAY;
    s.table.items[3]->frozen = true;
    double start[SLAB], before[SLAB];
    memcpy(start, s.value, sizeof start);
    for (int64_t step = 0; step < STEPS; step++) {
        memcpy(before, s.value, sizeof before);
        for (int i = 0; i < SLAB; i++)
            s.gradient[i] = i >= 48 ? 0 : gradient_of(i, step); /* frozen: none */
        double square = 0;
        for (int i = 0; i < 48; i++)
            square += i >= 32 && step < DELAY ? 0 : s.gradient[i] * s.gradient[i];
        double norm = optimizer_step(&backend_ref64, &s.table, &o, step, 1, s.value, s.gradient,
                                     s.first, s.second);
        expect_near(norm, sqrt(square), 1e-12);
        step_once(&plain, &o, step);
        for (int i = 0; i < 16; i++)
            assert_true(s.value[i] == plain.value[i]);
        for (int i = 16; i < 32; i++)
            expect_near(s.value[i] - start[i], 3 * (plain.value[i] - start[i]), 1e-12);
        for (int i = 32; i < 48; i++) {
            if (step < DELAY) {
                assert_true(s.value[i] == start[i] && s.first[i] == 0 && s.second[i] == 0);
            } else if (step == DELAY && i % 16 < N) { /* a first step: corrected moments g, g^2 */
                double g = gradient_of(i, step);
                double moved =
                    0.05 * 0.5 * sqrt(0.02) / 0.1 * (0.1 * g) / (sqrt(0.02) * fabs(g) + 1e-6);
                expect_near(before[i] - s.value[i], moved, 1e-12);
            }
        }
        assert_memory_equal(s.value + 48, start + 48, 16 * sizeof *start);
    }
    assert_true(s.value[32] != start[32]);
    param_table_free(&s.table);
    param_table_free(&plain.table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_complete),
        cmocka_unit_test(cosine_is_half_a_wave),
        cmocka_unit_test(fixed_stays_or_is_annealed_by_epoch),
        cmocka_unit_test(tri_stage_rises_holds_and_decays),
        cmocka_unit_test(step_falls_at_periods),
        cmocka_unit_test(one_cycle_is_pytorchs),
        cmocka_unit_test(adam_is_fairseqs),
        cmocka_unit_test(adamw_decays_matrices_alone),
        cmocka_unit_test(adamw_follows_the_cycle),
        cmocka_unit_test(parameters_have_their_own_rate_and_begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
