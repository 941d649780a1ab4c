/* Augmentations, walked over the table: deterministic, finite, off at probability 0, something at 1;
 * and what each one promises. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/augment.h"

#define PI 3.14159265358979323846
#define VALUES_MAX (12 * 2500)

static const int leads[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
static float scratch[2500];

static struct view view_make(float *x, int64_t L, int64_t T, double rate_hz)
{
    for (int64_t i = 0; i < L * T; i++)
        x[i] = (float)(0.4 * sin(0.07 * (double)(i % T)) + 0.02 * (double)(i / T) + 0.1);
    return (struct view){x, L, T, rate_hz, 4.0, leads, scratch};
}

/* A chain in which only one augmentation is on. */
static struct augment_chain chain_of(struct option_set *set, const char *name,
                                     const char *probability)
{
    struct augment_chain chain;
    char key[64];
    option_set_init(set);
    augment_chain_init(&chain, set, "augment");
    snprintf(key, sizeof key, "augment.%s.probability", name);
    assert_int_equal(option_set_text(set, key, probability, OPTION_FROM_SET, NULL), ERR_OK);
    return chain;
}

static void option_text(struct option_set *set, const char *key, const char *value)
{
    struct err e = {0};
    if (option_set_text(set, key, value, OPTION_FROM_SET, &e) != ERR_OK)
        fail_msg("%s", e.message);
}

static void rows_are_complete(void **state)
{
    (void)state;
    for (int i = 0; augmentations[i]; i++) {
        const struct augmentation *a = augmentations[i];
        assert_true(a->name[0] && a->help[0] && a->apply && a->config_size > 0);
        assert_string_equal(a->options[0].name, "probability");
        assert_string_equal(a->options[0].fallback, "0");
        for (int k = 0; k < i; k++)
            assert_string_not_equal(a->name, augmentations[k]->name);
        for (const struct option *o = a->options; o->name; o++)
            assert_true(o->help && o->help[0] && o->offset < a->config_size);
    }
}

static void every_row_keeps_its_word(void **state)
{
    (void)state;
    const struct {
        int64_t L, T;
        double rate_hz;
    } shapes[] = {{12, 1000, 100}, {12, 2500, 500}, {1, 751, 250}, {5, 33, 100},
                  {3, 1, 500},     {2, 2, 1000},    {12, 250, 40}};
    static float x[VALUES_MAX], y[VALUES_MAX], original[VALUES_MAX];
    for (int i = 0; augmentations[i]; i++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            int64_t L = shapes[s].L, T = shapes[s].T, changed = 0, alike = 0;
            size_t bytes = (size_t)(L * T) * sizeof *x;
            struct option_set off, on;
            struct augment_chain never = chain_of(&off, augmentations[i]->name, "0");
            struct augment_chain always = chain_of(&on, augmentations[i]->name, "1");
            view_make(original, L, T, shapes[s].rate_hz);
            for (uint64_t sample = 0; sample < 20; sample++) {
                struct view v = view_make(x, L, T, shapes[s].rate_hz);
                augment_chain_apply(&never, &v, 3, 0, sample, 0);
                assert_memory_equal(x, original, bytes);
                augment_chain_apply(&always, &v, 3, 1, sample, 0);
                for (int64_t k = 0; k < L * T; k++)
                    assert_true(isfinite(x[k]));
                changed += memcmp(x, original, bytes) != 0;
                v = view_make(y, L, T, shapes[s].rate_hz);
                memset(scratch, 0x7f, sizeof scratch); /* what lay there before must not matter */
                augment_chain_apply(&always, &v, 3, 1, sample, 0);
                assert_memory_equal(x, y, bytes);
                v = view_make(y, L, T, shapes[s].rate_hz); /* the other view differs */
                augment_chain_apply(&always, &v, 3, 1, sample, 1);
                alike += memcmp(x, y, bytes) == 0;
            }
            bool is_idle =
                (strcmp(augmentations[i]->name, "lead_mask") == 0 && L == 1) ||
                (strcmp(augmentations[i]->name, "powerline") == 0 && shapes[s].rate_hz <= 100) ||
                (strcmp(augmentations[i]->name, "limb_leads") == 0 && L < 3) ||
                (strcmp(augmentations[i]->name, "crop") == 0 && T <= 2);
            bool draws = strcmp(augmentations[i]->name, "limb_leads") != 0;
            if (is_idle != (changed < 15) && T > 2)
                fail_msg("%s changed %lld of 20 views of [%lld,%lld] at %g Hz",
                         augmentations[i]->name, (long long)changed, (long long)L, (long long)T,
                         shapes[s].rate_hz);
            if (!is_idle && draws && T > 33 && L > 5)
                assert_true(alike <= 1);
            option_set_free(&off);
            option_set_free(&on);
        }
}

/* Turning one on changes nothing of what another draws. */
static void rows_do_not_shift_each_other(void **state)
{
    (void)state;
    static float one[2000], both[2000], none[2000];
    struct option_set a, b;
    struct augment_chain jitter = chain_of(&a, "jitter", "1");
    struct augment_chain two = chain_of(&b, "jitter", "1");
    option_text(&b, "augment.baseline_wander.probability", "1");
    struct view v = view_make(one, 2, 1000, 100);
    augment_chain_apply(&jitter, &v, 1, 2, 3, 0);
    v = view_make(none, 2, 1000, 100);
    v = view_make(both, 2, 1000, 100);
    augment_chain_apply(&two, &v, 1, 2, 3, 0);
    option_text(&b, "augment.jitter.probability", "0");
    static float wander[2000];
    v = view_make(wander, 2, 1000, 100);
    augment_chain_apply(&two, &v, 1, 2, 3, 0);
    for (int i = 0; i < 2000; i++)
        assert_float_equal(both[i] - none[i], (one[i] - none[i]) + (wander[i] - none[i]), 1e-5);
    option_set_free(&a);
    option_set_free(&b);
}

/* Whether one acts tells nothing about whether another does. */
static void rows_act_independently(void **state)
{
    (void)state;
    float x[50], y[50];
    struct option_set a, b;
    struct augment_chain jitter = chain_of(&a, "jitter", "0.5");
    struct augment_chain wander = chain_of(&b, "baseline_wander", "0.5");
    float original[50];
    int64_t agree = 0;
    view_make(original, 1, 50, 100);
    for (uint64_t sample = 0; sample < 1000; sample++) {
        struct view v = view_make(x, 1, 50, 100), w = view_make(y, 1, 50, 100);
        augment_chain_apply(&jitter, &v, 11, 0, sample, 0);
        augment_chain_apply(&wander, &w, 11, 0, sample, 0);
        agree += (memcmp(x, original, sizeof x) != 0) == (memcmp(y, original, sizeof y) != 0);
    }
    assert_true(agree > 420 && agree < 580);
    option_set_free(&a);
    option_set_free(&b);
}

/* How often a row acts follows its probability. */
static void probabilities_hold(void **state)
{
    (void)state;
    float x[50], original[50];
    struct option_set set;
    struct augment_chain chain = chain_of(&set, "jitter", "0.3");
    int64_t changed = 0;
    view_make(original, 1, 50, 100);
    for (uint64_t sample = 0; sample < 4000; sample++) {
        struct view v = view_make(x, 1, 50, 100);
        augment_chain_apply(&chain, &v, 11, 0, sample, 0);
        changed += memcmp(x, original, sizeof x) != 0;
    }
    assert_true(changed > 1080 && changed < 1320);
    option_set_free(&set);
}

/* Standard deviation of what was added, in units of the view. */
static double added(const float *x, const float *original, int64_t n)
{
    double square = 0;
    for (int64_t i = 0; i < n; i++)
        square += pow((double)x[i] - original[i], 2);
    return sqrt(square / (double)n);
}

static void amplitudes_are_millivolts(void **state)
{
    (void)state;
    static float x[VALUES_MAX], original[VALUES_MAX];
    struct option_set set;
    view_make(original, 12, 2500, 500);
    struct augment_chain chain = chain_of(&set, "jitter", "1");
    option_text(&set, "augment.jitter.sigma_min_mv", "0.05");
    struct view v = view_make(x, 12, 2500, 500); /* 4 units are one millivolt */
    augment_chain_apply(&chain, &v, 1, 0, 0, 0);
    assert_float_equal(added(x, original, 12 * 2500), 0.2, 0.004);
    option_set_free(&set);
    chain = chain_of(&set, "powerline", "1");
    option_text(&set, "augment.powerline.lead_spread", "0");
    option_text(&set, "augment.powerline.harmonics", "1");
    option_text(&set, "augment.powerline.amplitude_mv", "0.5");
    double largest = 0;
    for (uint64_t sample = 0; sample < 40; sample++) {
        v = view_make(x, 12, 2500, 500);
        augment_chain_apply(&chain, &v, 1, 0, sample, 0);
        double rms = added(x, original, 2500);
        assert_true(rms <= 2.0 / sqrt(2.0) + 1e-3);
        largest = fmax(largest, rms);
    }
    assert_true(largest > 1.2);
    option_set_free(&set);
}

/* Power of x at a frequency, by projection. */
static double power_at(const float *x, int64_t T, double rate_hz, double f)
{
    double c = 0, s = 0;
    for (int64_t t = 0; t < T; t++) {
        c += x[t] * cos(2 * PI * f * (double)t / rate_hz);
        s += x[t] * sin(2 * PI * f * (double)t / rate_hz);
    }
    return c * c + s * s;
}

static void spectra_are_where_they_should_be(void **state)
{
    (void)state;
    static float x[2500];
    struct option_set set;
    struct augment_chain chain = chain_of(&set, "powerline", "1");
    option_text(&set, "augment.powerline.mains", "50");
    for (uint64_t sample = 0; sample < 10; sample++) {
        struct view v = view_make(x, 1, 2500, 500);
        memset(x, 0, sizeof x);
        augment_chain_apply(&chain, &v, 1, 0, sample, 0);
        double mains = power_at(x, 2500, 500, 50);
        for (double f = 5; f < 250; f += 5)
            if (fmod(f, 50) != 0)
                assert_true(power_at(x, 2500, 500, f) < 1e-3 * mains);
    }
    for (uint64_t sample = 0; sample < 10; sample++) { /* 50 Hz is half of 100 Hz: nothing at all */
        struct view v = view_make(x, 1, 1000, 100);
        memset(x, 0, sizeof x);
        augment_chain_apply(&chain, &v, 1, 0, sample, 0);
        for (int t = 0; t < 1000; t++)
            assert_true(x[t] == 0.0f);
    }
    option_set_free(&set);
    chain = chain_of(&set, "emg", "1");
    double low = 0, high = 0;
    for (uint64_t sample = 0; sample < 30; sample++) {
        struct view v = view_make(x, 1, 2500, 500);
        memset(x, 0, sizeof x);
        augment_chain_apply(&chain, &v, 1, 0, sample, 0);
        for (int k = 1; k <= 20; k++) {
            low += power_at(x, 2500, 500, 0.4 * k);
            high += power_at(x, 2500, 500, 60 + 5 * k);
        }
    }
    assert_true(low < 0.05 * high);
    option_set_free(&set);
    chain = chain_of(&set, "baseline_wander", "1");
    low = high = 0;
    for (uint64_t sample = 0; sample < 30; sample++) {
        struct view v = view_make(x, 1, 2500, 100);
        memset(x, 0, sizeof x);
        augment_chain_apply(&chain, &v, 1, 0, sample, 0);
        for (int k = 0; k <= 20; k++) {
            low += power_at(x, 2500, 100, 0.025 * k);
            high += power_at(x, 2500, 100, 2 + k);
        }
    }
    assert_true(high < 0.01 * low);
    option_set_free(&set);
}

static void masks_leave_something(void **state)
{
    (void)state;
    static float x[12 * 100];
    struct option_set set;
    struct augment_chain chain = chain_of(&set, "lead_mask", "1");
    option_text(&set, "augment.lead_mask.lead_probability", "1");
    for (int64_t L = 1; L <= 12; L++)
        for (uint64_t sample = 0; sample < 50; sample++) {
            struct view v = view_make(x, L, 100, 100);
            augment_chain_apply(&chain, &v, 1, 0, sample, 0);
            int64_t kept = 0;
            for (int64_t l = 0; l < L; l++)
                kept += x[l * 100] != 0;
            assert_int_equal(kept, 1);
        }
    option_text(&set, "augment.lead_mask.spare", "false"); /* no guard: as ECG-FM was trained */
    struct view bare = view_make(x, 12, 100, 100);
    augment_chain_apply(&chain, &bare, 1, 0, 0, 0);
    for (int i = 0; i < 1200; i++)
        assert_true(x[i] == 0);
    int64_t survivors = 0;
    option_text(&set, "augment.lead_mask.lead_probability", "0.5");
    for (uint64_t sample = 0; sample < 500; sample++) {
        bare = view_make(x, 12, 100, 100);
        augment_chain_apply(&chain, &bare, 1, 0, sample, 0);
        for (int l = 0; l < 12; l++)
            survivors += x[l * 100] != 0;
    }
    assert_true(survivors > 2840 && survivors < 3160); /* half of 6000, four deviations */
    option_set_free(&set);
    chain = chain_of(&set, "time_out", "1");
    for (uint64_t sample = 0; sample < 50; sample++) {
        struct view v = view_make(x, 12, 100, 100);
        for (int i = 0; i < 1200; i++)
            x[i] = 1;
        augment_chain_apply(&chain, &v, 1, 0, sample, 0);
        int64_t zeros = 0, edges = 0;
        for (int t = 0; t < 100; t++) {
            zeros += x[t] == 0;
            edges += t > 0 && (x[t] == 0) != (x[t - 1] == 0);
            for (int l = 1; l < 12; l++) /* the same span in all leads */
                assert_true(x[l * 100 + t] == x[t]);
        }
        assert_true(zeros >= 20 && zeros <= 40 && edges <= 2);
    }
    option_set_free(&set);
}

/* A stretched part of a sine is a sine of lower frequency and the same height. */
static void crops_are_interpolated(void **state)
{
    (void)state;
    static float x[1000], scratch_x[1000];
    struct option_set set;
    struct augment_chain chain = chain_of(&set, "crop", "1");
    option_text(&set, "augment.crop.part_min", "0.5");
    option_text(&set, "augment.crop.part_max", "0.5");
    for (uint64_t sample = 0; sample < 20; sample++) {
        struct view v = {x, 1, 1000, 100, 1, leads, scratch_x};
        for (int t = 0; t < 1000; t++)
            x[t] = (float)sin(0.2 * t);
        augment_chain_apply(&chain, &v, 1, 0, sample, 0);
        for (int t = 2; t < 1000; t++) /* x'' = -w^2 x with w = 0.1 */
            assert_float_equal(x[t] + x[t - 2], 2 * cos(0.1) * x[t - 1], 4e-3);
    }
    option_text(&set, "augment.crop.part_max", "1");
    option_text(&set, "augment.crop.part_min", "1");
    struct view v = view_make(x, 1, 1000, 100);
    static float original[1000];
    view_make(original, 1, 1000, 100);
    augment_chain_apply(&chain, &v, 1, 0, 0, 0);
    assert_memory_equal(x, original, sizeof x);
    option_set_free(&set);
}

static void noise_is_normal(void **state)
{
    (void)state;
    enum { N = 200001 };
    float *x = malloc(N * sizeof *x);
    struct rng r = rng_at(1, RNG_STREAM_TEST, 0, 0);
    noise_normal(&r, x, N);
    double moments[5] = {0};
    for (int i = 0; i < N; i++) {
        assert_true(isfinite(x[i]));
        for (int k = 1; k <= 4; k++)
            moments[k] += pow(x[i], k) / N;
    }
    assert_float_equal(moments[1], 0, 0.01);
    assert_float_equal(moments[2], 1, 0.015);
    assert_float_equal(moments[3], 0, 0.03);
    assert_float_equal(moments[4], 3, 0.1);
    free(x);
}

/* Spatial coordinates of a sample by the inverse Dower matrix: leads I, II, V1 to V6. */
static void heart_of(const float *x, int64_t T, int64_t t, double out[3])
{
    static const int places[8] = {0, 1, 6, 7, 8, 9, 10, 11};
    static const double dower[3][8] = {{.156, -.009, -.172, -.073, .122, .231, .239, .193},
                                       {-.227, .886, .057, -.019, -.106, -.022, .040, .048},
                                       {.021, .102, -.228, -.310, -.245, -.063, .054, .108}};
    for (int i = 0; i < 3; i++) {
        out[i] = 0;
        for (int l = 0; l < 8; l++)
            out[i] += dower[i][l] * x[places[l] * T + t];
    }
}

static double norm_of(const double x[3]) { return sqrt(x[0] * x[0] + x[1] * x[1] + x[2] * x[2]); }

/* Without turning and scaling the heart stays; turned it keeps its length; scaled it grows by at most the
 * factor; the limb leads follow; the windows are as long as asked for. */
static void the_heart_is_turned_in_space(void **state)
{
    (void)state;
    enum { T = 100 };
    static float x[12 * T], before[12 * T], same[12 * T];
    static const char *const cases[][2] = {{"0", "1"}, {"60", "1"}, {"60", "1.5"}};
    int turned = 0;
    for (int k = 0; k < 3; k++)
        for (uint64_t sample = 0; sample < 40; sample++) {
            struct option_set set;
            struct augment_chain chain = chain_of(&set, "3kg", "1");
            option_text(&set, "augment.3kg.angle_max", cases[k][0]);
            option_text(&set, "augment.3kg.scale_max", cases[k][1]);
            option_text(&set, "augment.3kg.mask_part", "0");
            struct view v = view_make(x, 12, T, 100);
            for (int i = 0; i < 12 * T; i++)
                x[i] = (float)sin(0.37 * i + 0.011 * (double)sample * i);
            memcpy(before, x, sizeof x);
            augment_chain_apply(&chain, &v, 5, 0, sample, 0);
            for (int t = 0; t < T; t++) {
                double old[3], new[3];
                heart_of(before, T, t, old);
                heart_of(x, T, t, new);
                double ratio = norm_of(new) / norm_of(old);
                assert_true(ratio > 1 - 1e-5 && ratio < (k == 2 ? 1.5 : 1) + 1e-5);
                if (k == 0)
                    for (int i = 0; i < 3; i++)
                        assert_float_equal(new[i], old[i], 1e-5);
                turned += k == 1 && fabs(new[0] - old[0]) > 0.01;
                double one = x[t], two = x[T + t];
                assert_float_equal(x[2 * T + t], two - one, 1e-5);
                assert_float_equal(x[3 * T + t], -(one + two) / 2, 1e-5);
                assert_float_equal(x[4 * T + t], one - two / 2, 1e-5);
                assert_float_equal(x[5 * T + t], two - one / 2, 1e-5);
            }
            if (k ==
                0) { /* what is left is what three dimensions hold: once more changes nothing */
                memcpy(same, x, sizeof x);
                augment_chain_apply(&chain, &v, 5, 0, sample + 1000, 0);
                for (int i = 0; i < 12 * T; i++)
                    assert_float_equal(x[i], same[i], 1e-5);
            }
            option_text(&set, "augment.3kg.mask_part", "0.3");
            int begins[12];
            for (int i = 0; i < 12 * T; i++)
                x[i] = 1;
            v.leads =
                (const int[]){0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}; /* not the eight: masks alone */
            augment_chain_apply(&chain, &v, 5, 0, sample, 0);
            int alike = 0;
            for (int l = 0; l < 12; l++) {
                int zeros = 0, edges = 0;
                begins[l] = -1;
                for (int t = 0; t < T; t++) {
                    bool zero = x[l * T + t] == 0, last = x[l * T + (t + T - 1) % T] == 0;
                    zeros += zero;
                    edges += zero != last;
                    if (zero && !last)
                        begins[l] = t;
                    assert_true(zero || x[l * T + t] == 1);
                }
                assert_int_equal(zeros, 30);
                assert_int_equal(edges, 2); /* one window, around the end if need be */
                alike += l > 0 && begins[l] == begins[l - 1];
            }
            assert_true(alike < 4);
            option_set_free(&set);
        }
    assert_true(turned > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_complete),
        cmocka_unit_test(every_row_keeps_its_word),
        cmocka_unit_test(rows_do_not_shift_each_other),
        cmocka_unit_test(rows_act_independently),
        cmocka_unit_test(probabilities_hold),
        cmocka_unit_test(amplitudes_are_millivolts),
        cmocka_unit_test(spectra_are_where_they_should_be),
        cmocka_unit_test(masks_leave_something),
        cmocka_unit_test(crops_are_interpolated),
        cmocka_unit_test(the_heart_is_turned_in_space),
        cmocka_unit_test(noise_is_normal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
