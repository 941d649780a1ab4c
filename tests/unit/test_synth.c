/* The synthetic heart: numbers that a reader would measure, measured on the samples. */
#define _GNU_SOURCE
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "signal/resample.h"
#include "signal/synth.h"

#define RATE 500
#define PEAKS_MAX 200

/* Makes a plan's twelve leads at 500 Hz, [12,T]; free() it. */
static float *leads_of(const struct synth_plan *plan, struct synth_ecg *ecg, int64_t *T)
{
    struct err e = {0};
    if (synth_make(plan, ecg, &e) != ERR_OK)
        fail_msg("%s", e.message);
    *T = synth_sample_count(ecg, RATE);
    float *x = malloc((size_t)(LEAD_STANDARD_COUNT * *T) * sizeof *x);
    assert_int_equal(synth_leads(ecg, RATE, x, &e), ERR_OK);
    return x;
}

/* R peaks by slope: the sum over leads of squared 10 ms differences, smoothed over 60 ms, over a
 * third of its highest value, 250 ms apart. Not what the generator knows. */
static int peaks_find(const float *x, int64_t T, int64_t *peaks)
{
    double *slope = calloc((size_t)T, sizeof *slope), *smooth = calloc((size_t)T, sizeof *smooth);
    double highest = 0;
    for (int64_t t = 5; t < T; t++)
        for (int l = 0; l < LEAD_STANDARD_COUNT; l++) {
            double d = (double)x[l * T + t] - (double)x[l * T + t - 5];
            slope[t] += d * d;
        }
    for (int64_t t = 15; t < T - 15; t++) {
        for (int k = -15; k <= 15; k++)
            smooth[t] += slope[t + k];
        highest = fmax(highest, smooth[t]);
    }
    int count = 0;
    for (int64_t t = 1; t + 1 < T && count < PEAKS_MAX; t++) {
        bool peak =
            smooth[t] > highest / 3 && smooth[t] >= smooth[t - 1] && smooth[t] > smooth[t + 1];
        if (!peak)
            continue;
        if (count > 0 && t - peaks[count - 1] < RATE / 4) {
            if (smooth[t] > smooth[peaks[count - 1]])
                peaks[count - 1] = t;
            continue;
        }
        peaks[count++] = t;
    }
    free(slope);
    free(smooth);
    return count;
}

static double rate_measured(const float *x, int64_t T, double *variation)
{
    int64_t peaks[PEAKS_MAX];
    int count = peaks_find(x, T, peaks);
    assert_true(count >= 3);
    double mean = (double)(peaks[count - 1] - peaks[0]) / (count - 1), spread = 0;
    for (int i = 1; i < count; i++)
        spread += pow((double)(peaks[i] - peaks[i - 1]) / mean - 1, 2);
    *variation = sqrt(spread / (count - 1));
    return 60 * RATE / mean;
}

/* Mean beat of one lead around the R peaks: from[0..n) begins `before` samples ahead of them. */
static void mean_beat(const float *lead, const int64_t *peaks, int count, int64_t T, int before,
                      int n, double *out)
{
    int used = 0;
    memset(out, 0, (size_t)n * sizeof *out);
    for (int i = 0; i < count; i++) {
        if (peaks[i] < before || peaks[i] - before + n > T)
            continue;
        used++;
        for (int t = 0; t < n; t++)
            out[t] += (double)lead[peaks[i] - before + t];
    }
    assert_true(used > 1);
    for (int t = 0; t < n; t++)
        out[t] /= used;
}

static double range_of(const double *v, int n)
{
    double low = v[0], high = v[0];
    for (int t = 1; t < n; t++) {
        low = fmin(low, v[t]);
        high = fmax(high, v[t]);
    }
    return high - low;
}

static void plan_quiet(struct synth_plan *plan, int64_t index, double rate_bpm)
{
    synth_plan_healthy(7, index, rate_bpm, plan);
    plan->noise_level = 0;
    plan->rhythm.duration_s = 20;
}

static void asked_rate_is_measured(void **state)
{
    (void)state;
    static const double rates[] = {42, 60, 75, 100, 135};
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++)
        for (int64_t index = 0; index < 4; index++) {
            struct synth_plan plan;
            struct synth_ecg ecg;
            synth_plan_healthy(11, index, rates[i], &plan);
            plan.rhythm.duration_s = 30;
            int64_t T;
            float *x = leads_of(&plan, &ecg, &T);
            double variation, rate = rate_measured(x, T, &variation);
            if (fabs(rate - rates[i]) > 2 || fabs(rate - ecg.reading.rate_bpm) > 1)
                fail_msg("asked for %g/min, measured %g, said %g", rates[i], rate,
                         ecg.reading.rate_bpm);
            free(x);
            synth_free(&ecg);
        }
}

static void same_seed_same_samples(void **state)
{
    (void)state;
    for (int64_t index = 0; index < 40; index += 13) {
        struct synth_plan a, b;
        struct synth_ecg one, two;
        int64_t T, U;
        synth_plan_draw(3, index, &a);
        synth_plan_draw(3, index, &b);
        float *x = leads_of(&a, &one, &T), *y = leads_of(&b, &two, &U);
        assert_int_equal(T, U);
        assert_memory_equal(x, y, (size_t)(LEAD_STANDARD_COUNT * T) * sizeof *x);
        assert_int_equal(one.statement_count, two.statement_count);
        free(y);
        synth_free(&two);
        synth_plan_draw(4, index, &b);
        y = leads_of(&b, &two, &U);
        assert_memory_not_equal(x, y, (size_t)(LEAD_STANDARD_COUNT * T) * sizeof *x);
        free(x);
        free(y);
        synth_free(&one);
        synth_free(&two);
    }
}

static void leads_obey_algebra(void **state)
{
    (void)state;
    struct synth_plan plan;
    struct synth_ecg ecg;
    int64_t T;
    synth_plan_draw(1, 5, &plan);
    float *x = leads_of(&plan, &ecg, &T);
    const float *row[LEAD_STANDARD_COUNT];
    for (int l = 0; l < LEAD_STANDARD_COUNT; l++)
        row[l] = x + l * T;
    for (int64_t t = 0; t < T; t++) {
        float one = row[LEAD_I][t], two = row[LEAD_II][t];
        assert_float_equal(row[LEAD_III][t], two - one, 1e-5);
        assert_float_equal(row[LEAD_AVR][t], -(one + two) / 2, 1e-5);
        assert_float_equal(row[LEAD_AVL][t], one - two / 2, 1e-5);
        assert_float_equal(row[LEAD_AVF][t], two - one / 2, 1e-5);
    }
    free(x);
    synth_free(&ecg);
}

/* The 100 Hz form is the 500 Hz form behind a low-pass: far from the ends, resampling the one gives
 * the other. */
static void rates_show_the_same_signal(void **state)
{
    (void)state;
    struct synth_plan plan;
    struct synth_ecg ecg;
    int64_t T;
    synth_plan_draw(2, 9, &plan);
    float *fine = leads_of(&plan, &ecg, &T);
    int64_t n = synth_sample_count(&ecg, 100);
    assert_int_equal(n, 1000);
    assert_int_equal(T, 5000);
    float *coarse = malloc((size_t)(LEAD_STANDARD_COUNT * n) * sizeof *coarse);
    float *again = malloc((size_t)(LEAD_STANDARD_COUNT * n) * sizeof *again);
    assert_int_equal(synth_leads(&ecg, 100, coarse, NULL), ERR_OK);
    assert_int_equal(resample(again, fine, LEAD_STANDARD_COUNT, T, 500, 100, NULL), ERR_OK);
    for (int l = 0; l < LEAD_STANDARD_COUNT; l++)
        for (int64_t t = 60; t < n - 60; t++)
            assert_float_equal(coarse[l * n + t], again[l * n + t], 2e-5);
    free(fine);
    free(coarse);
    free(again);
    synth_free(&ecg);
}

/* A recording is a window on a signal that goes on: neither beats nor filters see its end. */
static void longer_recording_begins_the_same(void **state)
{
    (void)state;
    struct synth_plan plan;
    struct synth_ecg ecg;
    plan_quiet(&plan, 3, 80);
    float *x[2];
    int64_t n[2];
    for (int i = 0; i < 2; i++) {
        plan.rhythm.duration_s = i == 0 ? 10 : 12;
        assert_int_equal(synth_make(&plan, &ecg, NULL), ERR_OK);
        n[i] = synth_sample_count(&ecg, 100);
        x[i] = malloc((size_t)(LEAD_STANDARD_COUNT * n[i]) * sizeof **x);
        assert_int_equal(synth_leads(&ecg, 100, x[i], NULL), ERR_OK);
        synth_free(&ecg);
    }
    for (int l = 0; l < LEAD_STANDARD_COUNT; l++)
        for (int64_t t = 0; t < n[0]; t++)
            assert_float_equal(x[0][l * n[0] + t], x[1][l * n[1] + t], 1e-6);
    free(x[0]);
    free(x[1]);
}

/* Share of the time in which the heart's vector is fast, in ms per beat: QRS width as samples show
 * it. */
static double fast_ms(const struct synth_plan *plan, double *said_ms)
{
    struct synth_ecg ecg;
    int64_t T, peaks[PEAKS_MAX];
    float *x = leads_of(plan, &ecg, &T);
    int count = peaks_find(x, T, peaks), fast = 0, used = 0;
    for (int i = 0; i < count; i++) {
        if (peaks[i] < 75 || peaks[i] + 75 >= T)
            continue;
        used++;
        int64_t first = T, last = 0;
        for (int64_t t = peaks[i] - 75; t < peaks[i] + 75; t++) {
            double speed = 0;
            for (int l = LEAD_V1; l <= LEAD_V6; l++)
                speed = fmax(speed, fabs((double)(x[l * T + t + 1] - x[l * T + t])));
            if (speed * RATE > 8) { /* mV/s */
                first = t < first ? t : first;
                last = t;
            }
        }
        fast += (int)(last - first);
    }
    assert_true(used > 2);
    *said_ms = ecg.reading.qrs_ms;
    free(x);
    synth_free(&ecg);
    return 1000.0 * fast / used / RATE;
}

static void blocks_widen_qrs(void **state)
{
    (void)state;
    for (int64_t index = 0; index < 6; index++) {
        struct synth_plan plan;
        double said, block_said;
        plan_quiet(&plan, index, 70);
        double narrow = fast_ms(&plan, &said);
        assert_in_range(said, 68, 112);
        assert_in_range(narrow, 50, 115);
        static const char *const blocks[] = {"CLBBB", "CRBBB"};
        for (int i = 0; i < 2; i++) {
            plan_quiet(&plan, index, 70);
            assert_int_equal(synth_plan_add(&plan, blocks[i], 0.5, NULL), ERR_OK);
            double wide = fast_ms(&plan, &block_said);
            assert_in_range(block_said, 116, 190);
            if (wide < narrow + 20)
                fail_msg("record %lld: QRS %g ms, with %s %g ms", (long long)index, narrow,
                         blocks[i], wide);
        }
    }
}

static void fibrillation_has_no_p(void **state)
{
    (void)state;
    for (int64_t index = 0; index < 6; index++) {
        struct synth_plan plan;
        struct synth_ecg ecg;
        int64_t T, peaks[PEAKS_MAX];
        double variation, beat[65];
        plan_quiet(&plan, index, 75);
        float *x = leads_of(&plan, &ecg, &T);
        int count = peaks_find(x, T, peaks);
        mean_beat(x + LEAD_II * T, peaks, count, T, 125, 65, beat); /* 250 to 120 ms before R */
        double sinus = range_of(beat, 65);
        rate_measured(x, T, &variation);
        assert_true(variation < 0.07);
        assert_true(ecg.reading.pr_ms > 100);
        free(x);
        synth_free(&ecg);

        plan.rhythm.kind = RHYTHM_FIBRILLATION;
        plan.rhythm.duration_s = 120; /* so that the waves, which keep no step, cancel */
        x = leads_of(&plan, &ecg, &T);
        count = peaks_find(x, T, peaks);
        mean_beat(x + LEAD_II * T, peaks, count, T, 125, 65, beat);
        double fibrillation = range_of(beat, 65);
        rate_measured(x, T, &variation);
        assert_true(variation > 0.12);
        assert_true(ecg.reading.pr_ms == 0);
        if (sinus < 0.04 || fibrillation > 0.6 * sinus)
            fail_msg("record %lld: P of %g mV, in fibrillation %g mV", (long long)index, sinus,
                     fibrillation);
        free(x);
        synth_free(&ecg);
    }
}

static struct reading reading_with(int64_t index, const char *code, double severity)
{
    struct synth_plan plan;
    struct synth_ecg ecg;
    plan_quiet(&plan, index, 70);
    plan.rhythm.duration_s = 4;
    if (code != NULL)
        assert_int_equal(synth_plan_add(&plan, code, severity, NULL), ERR_OK);
    assert_int_equal(synth_make(&plan, &ecg, NULL), ERR_OK);
    struct reading reading = ecg.reading;
    synth_free(&ecg);
    return reading;
}

/* Each disease does to the leads what the books say. */
static void findings_show(void **state)
{
    (void)state;
    for (int64_t i = 0; i < 8; i++) {
        struct reading healthy = reading_with(i, NULL, 0);
        assert_in_range(healthy.pr_ms, 110, 205);
        assert_in_range(healthy.qtc_ms, 360, 465);
        assert_true(healthy.t_mv[LEAD_V5] > 0 && healthy.t_mv[LEAD_AVR] < 0);
        assert_true(healthy.s_mv[LEAD_V1] > healthy.r_mv[LEAD_V1]);
        assert_true(healthy.r_mv[LEAD_V5] > healthy.s_mv[LEAD_V5]);

        struct reading r = reading_with(i, "IMI", 1);
        assert_true(r.q_mv[LEAD_AVF] > healthy.q_mv[LEAD_AVF] + 0.05 ||
                    r.r_mv[LEAD_AVF] < 0.6 * healthy.r_mv[LEAD_AVF]);
        r = reading_with(i, "ASMI", 1);
        assert_true(r.r_mv[LEAD_V2] < 0.5 * healthy.r_mv[LEAD_V2]);
        r = reading_with(i, "LMI", 1);
        assert_true(r.r_mv[LEAD_V6] < healthy.r_mv[LEAD_V6]);
        r = reading_with(i, "ISCAL", 1);
        assert_true(r.t_mv[LEAD_V5] < 0);
        r = reading_with(i, "INJAL", 1);
        assert_true(r.st_mv[LEAD_V5] < healthy.st_mv[LEAD_V5] - 0.04);
        r = reading_with(i, "NDT", 1);
        assert_true(fabs(r.t_mv[LEAD_V5]) < 0.5 * healthy.t_mv[LEAD_V5]);
        r = reading_with(i, "LNGQT", 1);
        assert_true(r.qtc_ms > healthy.qtc_ms + 100);
        r = reading_with(i, "LVH", 1);
        assert_true(r.sokolow_mv > 1.4 * healthy.sokolow_mv);
        r = reading_with(i, "RVH", 1);
        assert_true(r.r_mv[LEAD_V1] > r.s_mv[LEAD_V1] && r.axis_deg > 70);
        r = reading_with(i, "LAFB", 1);
        assert_in_range(-r.axis_deg, 40, 120);
        r = reading_with(i, "LPFB", 1);
        assert_in_range(r.axis_deg, 75, 160);
        r = reading_with(i, "CRBBB", 1);
        assert_true(r.r_mv[LEAD_V1] > 2 * healthy.r_mv[LEAD_V1] && r.t_mv[LEAD_V1] < 0);
        r = reading_with(i, "CLBBB", 1); /* discordant T, by the ventricular gradient */
        assert_true(r.r_mv[LEAD_V1] < 0.3 * r.s_mv[LEAD_V1] && r.t_mv[LEAD_V1] > 0.2);
        r = reading_with(i, "1AVB", 0.3);
        assert_true(r.pr_ms > 205);
        r = reading_with(i, "WPW", 1);
        assert_true(r.pr_ms < 115 && r.qrs_ms > healthy.qrs_ms + 20);
        r = reading_with(i, "LAO/LAE", 1);
        assert_true(r.p_ms > healthy.p_ms);
    }
}

/* A finding of no severity changes little: mild forms blend into health. */
static void mild_is_close_to_healthy(void **state)
{
    (void)state;
    static const char *const codes[] = {"IMI", "ASMI", "NST_", "LVH"};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        struct reading healthy = reading_with(1, NULL, 0), mild = reading_with(1, codes[i], 0);
        for (int l = 0; l < LEAD_STANDARD_COUNT; l++) {
            assert_float_equal(mild.r_mv[l], healthy.r_mv[l], 0.35);
            assert_float_equal(mild.t_mv[l], healthy.t_mv[l], 0.15);
        }
    }
}

static void every_row_is_a_statement(void **state)
{
    (void)state;
    int diagnostic = 0, form = 0, rhythm = 0, with_row = 0;
    for (int i = 0; i < STATEMENT_COUNT; i++) {
        const struct statement *s = &statements[i];
        diagnostic += s->class != NULL;
        form += s->form;
        rhythm += s->rhythm;
        assert_true((s->class != NULL) == (s->subclass != NULL));
        assert_ptr_equal(statement_find(s->code), s);
        with_row += finding_find(s->code) != NULL;
    }
    assert_int_equal(diagnostic, 44);
    assert_int_equal(form, 19);
    assert_int_equal(rhythm, 12);
    assert_int_equal(with_row, 43); /* all diagnostic ones but NORM */
    assert_int_equal(finding_row_count, 43);
    assert_null(finding_find("NORM"));
    assert_int_equal(synth_plan_add(&(struct synth_plan){0}, "XMI", 1, NULL), ERR_USAGE);
    static const char *const classes[] = {"MI", "STTC", "CD", "HYP"};
    for (int c = 0; c < 4; c++)
        for (double u = 0; u < 1; u += 0.01)
            assert_string_equal(statement_find(finding_pick(classes[c], u)->code)->class,
                                classes[c]);
}

/* Many drawn records: finite, bounded, noisy but not too much, with the statements their rhythm
 * demands. */
static void drawn_records_are_sound(void **state)
{
    (void)state;
    int made[STATEMENT_COUNT] = {0}, normal = 0;
    for (int64_t index = 0; index < 240; index++) {
        struct synth_plan plan;
        struct synth_ecg ecg;
        struct err e = {0};
        synth_plan_draw(1, index, &plan);
        assert_in_range(plan.fold, 1, 10);
        assert_in_range(plan.age_years, 18, 89);
        if (synth_make(&plan, &ecg, &e) != ERR_OK)
            fail_msg("record %lld: %s", (long long)index, e.message);
        int64_t T = synth_sample_count(&ecg, 100);
        float *x = malloc((size_t)(LEAD_STANDARD_COUNT * T) * sizeof *x);
        assert_int_equal(synth_leads(&ecg, 100, x, &e), ERR_OK);
        for (int l = 0; l < LEAD_STANDARD_COUNT; l++) {
            double low = 0, high = 0;
            for (int64_t t = 0; t < T; t++) {
                double v = (double)x[l * T + t];
                assert_true(isfinite(v));
                low = fmin(low, v);
                high = fmax(high, v);
            }
            if (high > 7 || low < -7 || high - low < 0.05)
                fail_msg("record %lld lead %s: %g to %g mV", (long long)index,
                         lead_name((enum ecg_lead)l), low, high);
        }
        int rhythms = 0;
        for (int i = 0; i < ecg.statement_count; i++) {
            const struct statement_made *s = &ecg.statements[i];
            made[s->statement - statements]++;
            rhythms += s->statement->rhythm;
            normal += strcmp(s->statement->code, "NORM") == 0;
            if (strcmp(s->statement->code, "NORM") == 0)
                assert_true(ecg.plan.finding_count == 0 || ecg.plan.findings[0].severity < 0.6);
            assert_in_range(s->likelihood, 0, 100);
        }
        assert_true(rhythms >= 1 || ecg.plan.rhythm.av == AV_NONE);
        free(x);
        synth_free(&ecg);
    }
    assert_in_range(normal, 75, 130);
    int kinds = 0;
    for (int i = 0; i < STATEMENT_COUNT; i++)
        kinds += made[i] > 0;
    assert_true(kinds >= 45);
}

static void noise_has_ordinary_levels(void **state)
{
    (void)state;
    double power = 0;
    int n = 0;
    for (int64_t index = 0; index < 40; index++) {
        struct synth_plan noisy, quiet;
        struct synth_ecg a, b;
        int64_t T;
        synth_plan_healthy(5, index, 70, &noisy);
        quiet = noisy;
        quiet.noise_level = 0;
        float *x = leads_of(&noisy, &a, &T), *y = leads_of(&quiet, &b, &T);
        double here = 0;
        for (int64_t t = 0; t < LEAD_STANDARD_COUNT * T; t++)
            here += pow((double)(x[t] - y[t]), 2);
        here = sqrt(here / (double)(LEAD_STANDARD_COUNT * T));
        assert_true(here > 0.003 && here < 1.0);
        power += log(here);
        n++;
        free(x);
        free(y);
        synth_free(&a);
        synth_free(&b);
    }
    double typical = exp(power / n); /* mV */
    assert_true(typical > 0.015 && typical < 0.12);
}

static void lengths_are_checked(void **state)
{
    (void)state;
    struct synth_plan plan;
    struct synth_ecg ecg;
    synth_plan_healthy(1, 0, 70, &plan);
    static const double bad[] = {0, 1.9, 601, NAN, INFINITY};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        plan.rhythm.duration_s = bad[i];
        assert_int_equal(synth_make(&plan, &ecg, NULL), ERR_USAGE);
        synth_free(&ecg);
    }
    plan.rhythm.duration_s = 2.5;
    assert_int_equal(synth_make(&plan, &ecg, NULL), ERR_OK);
    assert_int_equal(synth_sample_count(&ecg, 100), 250);
    assert_int_equal(synth_sample_count(&ecg, 500), 1250);
    synth_free(&ecg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asked_rate_is_measured),
        cmocka_unit_test(same_seed_same_samples),
        cmocka_unit_test(leads_obey_algebra),
        cmocka_unit_test(rates_show_the_same_signal),
        cmocka_unit_test(longer_recording_begins_the_same),
        cmocka_unit_test(blocks_widen_qrs),
        cmocka_unit_test(fibrillation_has_no_p),
        cmocka_unit_test(findings_show),
        cmocka_unit_test(mild_is_close_to_healthy),
        cmocka_unit_test(every_row_is_a_statement),
        cmocka_unit_test(drawn_records_are_sound),
        cmocka_unit_test(noise_has_ordinary_levels),
        cmocka_unit_test(lengths_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
