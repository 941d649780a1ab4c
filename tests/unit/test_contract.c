/* The input contract: leads and their algebra, refusals by code, repair, conversion, JSON. */
#include <cjson/cJSON.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/json.h"
#include "signal/contract.h"

/* A record of the given leads whose limb leads obey the lead algebra: I = sin, II = cos. */
struct fixture {
    struct ecg_record record;
    struct ecg_channel channels[16];
    float *samples;
    struct arena arena;
};

static double lead_value(enum ecg_lead lead, double t)
{
    double one = 0.7 * sin(6.0 * t) + 0.1, two = 1.1 * cos(9.0 * t);
    switch (lead) {
    case LEAD_I:
        return one;
    case LEAD_II:
        return two;
    case LEAD_III:
        return two - one;
    case LEAD_AVR:
        return -0.5 * (one + two);
    case LEAD_AVL:
        return one - 0.5 * two;
    case LEAD_AVF:
        return two - 0.5 * one;
    default:
        return 0.3 * sin((5.0 + lead) * t);
    }
}

static void fixture_make(struct fixture *f, const enum ecg_lead *leads, int count, int64_t T,
                         double rate_hz)
{
    memset(f, 0, sizeof *f);
    arena_init(&f->arena, "test", 0);
    f->samples = malloc((size_t)(count * T + 1) * sizeof *f->samples);
    f->record.rate_hz = rate_hz;
    f->record.lead_count = count;
    f->record.sample_count = T;
    f->record.channels = f->channels;
    f->record.samples = f->samples;
    for (int l = 0; l < count; l++) {
        f->channels[l] = (struct ecg_channel){.name = lead_name(leads[l]),
                                              .lead = leads[l],
                                              .unit = "mV",
                                              .is_voltage = true};
        for (int64_t t = 0; t < T; t++)
            f->samples[l * T + t] = (float)lead_value(leads[l], (double)t / rate_hz);
    }
}

static void fixture_free(struct fixture *f)
{
    free(f->samples);
    arena_reset(&f->arena);
}

static const enum ecg_lead twelve[12] = {LEAD_I,  LEAD_II, LEAD_III, LEAD_AVR, LEAD_AVL, LEAD_AVF,
                                         LEAD_V1, LEAD_V2, LEAD_V3,  LEAD_V4,  LEAD_V5,  LEAD_V6};

static struct contract contract_of(const enum ecg_lead *leads, int count)
{
    struct contract c;
    contract_default(&c);
    c.lead_count = count;
    memcpy(c.leads, leads, (size_t)count * sizeof *leads);
    return c;
}

static float *apply(struct fixture *f, const struct contract *c, int64_t *T)
{
    float *x = NULL;
    struct err e = {0};
    if (contract_apply(c, &f->record, &f->arena, &x, T, &e) != ERR_OK)
        fail_msg("%s", e.message);
    return x;
}

static enum err_code refuse(struct fixture *f, const struct contract *c, struct err *e)
{
    float *x = NULL;
    int64_t T = -1;
    memset(e, 0, sizeof *e);
    enum err_code code = contract_apply(c, &f->record, &f->arena, &x, &T, e);
    assert_null(x);
    assert_int_equal(T, -1);
    assert_int_equal(code, e->code);
    return code;
}

static void identity_keeps_the_bits(void **state)
{
    (void)state;
    struct fixture f;
    struct contract c = contract_of(twelve, 12);
    int64_t T;
    fixture_make(&f, twelve, 12, 1000, 100);
    float *x = apply(&f, &c, &T);
    assert_int_equal(T, 1000);
    assert_memory_equal(x, f.samples, 12 * 1000 * sizeof *x);
    fixture_free(&f);
}

/* Any two limb leads give the other four; leads come in the contract's order. */
static void limb_leads_are_derived_from_any_two(void **state)
{
    (void)state;
    const enum ecg_lead wanted[6] = {LEAD_AVF, LEAD_AVL, LEAD_AVR, LEAD_III, LEAD_II, LEAD_I};
    for (int a = 0; a < 6; a++)
        for (int b = 0; b < 6; b++) {
            if (a == b)
                continue;
            const enum ecg_lead given[3] = {LEAD_V2, (enum ecg_lead)a, (enum ecg_lead)b};
            struct fixture f;
            struct contract c = contract_of(wanted, 6);
            int64_t T;
            fixture_make(&f, given, 3, 200, 100);
            float *x = apply(&f, &c, &T);
            for (int l = 0; l < 6; l++)
                for (int t = 0; t < 200; t++)
                    assert_float_equal(x[l * 200 + t], lead_value(wanted[l], t / 100.0), 2e-6);
            fixture_free(&f);
        }
}

static void missing_leads_are_named(void **state)
{
    (void)state;
    const enum ecg_lead given[3] = {LEAD_II, LEAD_V1, LEAD_V2};
    struct fixture f;
    struct contract c = contract_of(twelve, 12);
    struct err e;
    fixture_make(&f, given, 3, 100, 100);
    assert_int_equal(refuse(&f, &c, &e), ERR_LEADS);
    assert_non_null(strstr(e.message, " I III aVR aVL aVF V3 V4 V5 V6 "));
    fixture_free(&f);
}

static void a_single_unnamed_channel_serves_one_lead(void **state)
{
    (void)state;
    const enum ecg_lead given[2] = {LEAD_UNKNOWN, LEAD_UNKNOWN};
    struct fixture f;
    struct contract c = contract_of(twelve, 1);
    struct err e;
    int64_t T;
    fixture_make(&f, given, 1, 100, 100);
    assert_memory_equal(apply(&f, &c, &T), f.samples, 100 * sizeof(float));
    fixture_free(&f);
    fixture_make(&f, given, 2, 100, 100); /* two: nobody knows which */
    assert_int_equal(refuse(&f, &c, &e), ERR_LEADS);
    fixture_free(&f);
    const enum ecg_lead v1 = LEAD_V1; /* named, and not the one */
    fixture_make(&f, &v1, 1, 100, 100);
    assert_int_equal(refuse(&f, &c, &e), ERR_LEADS);
    fixture_free(&f);
}

static void units_are_checked(void **state)
{
    (void)state;
    struct fixture f;
    struct contract c = contract_of(twelve, 12);
    struct err e;
    int64_t T;
    fixture_make(&f, twelve, 12, 100, 100);
    f.channels[7].is_voltage = false;
    f.channels[7].unit = "mmHg";
    assert_int_equal(refuse(&f, &c, &e), ERR_UNITS);
    assert_non_null(strstr(e.message, "mmHg"));
    c.lead_count = 7; /* a channel that is not needed may be anything */
    apply(&f, &c, &T);
    /* Of two channels of one name the voltage is taken. */
    f.channels[6] = f.channels[7];
    f.channels[6].lead = LEAD_V1;
    f.channels[11].lead = LEAD_V1;
    float *x = apply(&f, &c, &T);
    assert_memory_equal(x + 600, f.samples + 1100, 100 * sizeof *x);
    fixture_free(&f);
}

static void sizes_and_rates_are_checked(void **state)
{
    (void)state;
    struct fixture f;
    struct contract c = contract_of(twelve, 12);
    struct err e;
    fixture_make(&f, twelve, 12, 10, 100);
    const double bad[] = {0, -100, NAN, INFINITY, 1e7, 0.1};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        f.record.rate_hz = bad[i];
        assert_int_equal(refuse(&f, &c, &e), ERR_RATE);
    }
    f.record.rate_hz = 100;
    f.record.sample_count = 0;
    assert_int_equal(refuse(&f, &c, &e), ERR_LENGTH);
    f.record.sample_count = INT64_MAX / 4;
    assert_int_equal(refuse(&f, &c, &e), ERR_LIMIT);
    f.record.sample_count = (INT64_C(1) << 28) / 12; /* too long only after conversion */
    f.record.rate_hz = 50;
    assert_int_equal(refuse(&f, &c, &e), ERR_LIMIT);
    f.record.sample_count = 10;
    f.record.lead_count = 0;
    assert_int_equal(refuse(&f, &c, &e), ERR_LEADS);
    fixture_free(&f);
}

static void a_sine_comes_through_at_every_rate(void **state)
{
    (void)state;
    const double rates[] = {500, 360, 250, 257, 100, 1000};
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        struct fixture f;
        struct contract c = contract_of(twelve, 12);
        int64_t T;
        fixture_make(&f, twelve, 12, (int64_t)(10 * rates[i]), rates[i]);
        float *x = apply(&f, &c, &T);
        assert_int_equal(T, 1000);
        for (int l = 0; l < 12; l++)
            for (int t = 60; t < 940; t++)
                assert_float_equal(x[l * T + t], lead_value(twelve[l], t / 100.0), 1e-3);
        fixture_free(&f);
    }
}

static void short_gaps_become_lines(void **state)
{
    (void)state;
    struct fixture f;
    struct contract c = contract_of(twelve, 1);
    int64_t T;
    fixture_make(&f, twelve, 1, 200, 100);
    for (int t = 0; t < 200; t++)
        f.samples[t] = 0.01f * (float)t;
    for (int t = 50; t < 55; t++)
        f.samples[t] = NAN;
    f.samples[70] = INFINITY;
    f.samples[0] = f.samples[1] = f.samples[199] = NAN;
    float *x = apply(&f, &c, &T);
    for (int t = 2; t < 199; t++)
        assert_float_equal(x[t], 0.01 * t, 1e-6);
    assert_float_equal(x[0], 0.02, 1e-7); /* held */
    assert_float_equal(x[1], 0.02, 1e-7);
    assert_float_equal(x[199], 1.98, 1e-7);
    fixture_free(&f);
}

/* A gap that begins on top of an R wave: back to the baseline at once, no ramp across the gap. */
static void long_gaps_stay_on_the_baseline(void **state)
{
    (void)state;
    struct fixture f;
    struct contract c = contract_of(twelve, 1);
    int64_t T;
    fixture_make(&f, twelve, 1, 1000, 100);
    for (int t = 0; t < 1000; t++)
        f.samples[t] = 0.2f + (t % 80 == 40 ? 1.5f : 0.0f);
    for (int t = 441; t < 510; t++)
        f.samples[t] = NAN;
    float *x = apply(&f, &c, &T);
    assert_float_equal(x[440], 1.7, 1e-6);
    for (int t = 446; t < 510; t++)
        assert_float_equal(x[t], 0.2, 1e-6);
    for (int t = 441; t < 446; t++)
        assert_true(x[t] < x[t - 1] && x[t] > 0.2f);
    fixture_free(&f);
    /* At the end of a recording, and with nothing on the left. */
    fixture_make(&f, twelve, 1, 1000, 100);
    for (int t = 0; t < 1000; t++)
        f.samples[t] = t < 60 || t > 960 ? NAN : 0.2f + (t == 500 || t == 960 ? 1.5f : 0.0f);
    x = apply(&f, &c, &T);
    assert_float_equal(x[0], 0.2, 1e-6);
    assert_float_equal(x[999], 0.2, 1e-6);
    fixture_free(&f);
}

static void too_much_invalid_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    struct contract c = contract_of(twelve, 12);
    struct err e;
    int64_t T;
    fixture_make(&f, twelve, 12, 1000, 100);
    for (int t = 0; t < 101; t++)
        f.samples[3000 + t * 5] = NAN;
    assert_int_equal(refuse(&f, &c, &e), ERR_SIGNAL);
    assert_non_null(strstr(e.message, "aVR"));
    f.samples[3000] = 0;
    apply(&f, &c, &T); /* exactly 10 % */
    c.max_invalid_fraction = 1.0;
    for (int t = 0; t < 1000; t++)
        f.samples[3000 + t] = NAN;
    assert_int_equal(refuse(&f, &c, &e), ERR_SIGNAL); /* nothing to repair from */
    fixture_free(&f);
}

static void flat_records_are_refused_and_flat_leads_taken(void **state)
{
    (void)state;
    struct fixture f;
    struct contract c = contract_of(twelve, 12);
    struct err e;
    int64_t T;
    fixture_make(&f, twelve, 12, 500, 100);
    for (int i = 500; i < 12 * 500; i++)
        f.samples[i] = 0.25f;
    apply(&f, &c, &T); /* lead I still moves */
    for (int i = 0; i < 500; i++)
        f.samples[i] = 0;
    assert_int_equal(refuse(&f, &c, &e), ERR_SIGNAL);
    fixture_free(&f);
}

static void overflow_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    struct contract c = contract_of(twelve, 1);
    struct err e;
    fixture_make(&f, twelve, 1, 500, 500);
    for (int t = 0; t < 500; t++)
        f.samples[t] = t % 100 < 50 ? 3.4e38f : -3.4e38f;
    assert_int_equal(refuse(&f, &c, &e), ERR_SIGNAL);
    fixture_free(&f);
}

static void normalizations(void **state)
{
    (void)state;
    struct fixture f;
    struct contract c = contract_of(twelve, 12);
    int64_t T;
    fixture_make(&f, twelve, 12, 300, 100);
    c.normalization = NORMALIZE_LEAD;
    for (int l = 0; l < 12; l++) {
        c.mean[l] = 0.01 * l;
        c.std[l] = 0.5 + l;
    }
    float *x = apply(&f, &c, &T);
    for (int i = 0; i < 3600; i++)
        assert_float_equal(x[i], (f.samples[i] - 0.01 * (i / 300)) / (0.5 + i / 300), 1e-6);
    c.normalization = NORMALIZE_GLOBAL;
    c.mean[0] = -0.1;
    x = apply(&f, &c, &T);
    for (int i = 0; i < 3600; i++)
        assert_float_equal(x[i], (f.samples[i] + 0.1) / 0.5, 1e-6);
    c.normalization = NORMALIZE_RECORD;
    x = apply(&f, &c, &T);
    double mean = 0, square = 0;
    for (int i = 0; i < 3600; i++) {
        mean += x[i] / 3600.0;
        square += (double)x[i] * x[i] / 3600.0;
    }
    assert_float_equal(mean, 0, 1e-6);
    assert_float_equal(square, 1, 1e-6);
    /* The last step by itself gives the same bits. */
    c.normalization = NORMALIZE_NONE;
    float *raw = apply(&f, &c, &T);
    c.normalization = NORMALIZE_RECORD;
    assert_int_equal(contract_normalize(&c, raw, T, NULL), ERR_OK);
    assert_memory_equal(raw, x, 3600 * sizeof *x);
    fixture_free(&f);
}

/* The preparation of ECG-FM, from 400 to 500 Hz. The expected numbers are those of the formulas of
 * ../shared/spec/ecg-fm.md 4.1, computed apart in double: m = 4096 * 500 / 400, sample k read at
 * k (n-1) / (m-1), mean and population deviation of each lead over the whole record. */
static void ecg_fm_preparation(void **state)
{
    (void)state;
    static const struct {
        int lead;
        double first[5], around[4], last; /* around: samples 2498 to 2501 */
    } want[2] = {
        {0,
         {-2.012454066, -2.009247855, -2.001232861, -1.988409036, -1.970776357},
         {-0.456565016, -0.580784626, -0.699412436, -0.812410896},
         -0.192870903},
        {6,
         {-2.030421508, -2.007826213, -1.951340447, -1.860964401, -1.736698077},
         {0.791897157, -0.083540521, -0.919570029, -1.715926598},
         -1.421123263},
    };
    struct fixture f;
    struct contract c = contract_of(twelve, 12);
    int64_t T;
    fixture_make(&f, twelve, 12, 4096, 400);
    for (int l = 0; l < 12; l++)
        for (int t = 0; t < 4096; t++)
            f.samples[l * 4096 + t] =
                l == 4
                    ? 0.25f
                    : (float)(0.001 * (double)((int64_t)t * t * (l + 1) % 1009) - 0.4 - 0.05 * l);
    c.rate_hz = 500;
    c.sample_count = 2500;
    c.normalization = NORMALIZE_LEAD_RECORD;
    c.resampling = RESAMPLE_LINEAR;
    c.windows = WINDOWS_SEGMENTS;
    float *x = apply(&f, &c, &T);
    assert_int_equal(T, 5120);
    for (int i = 0; i < 2; i++) {
        const float *row = x + want[i].lead * T;
        for (int k = 0; k < 5; k++)
            assert_float_equal(row[k], want[i].first[k], 1e-6);
        for (int k = 0; k < 4; k++)
            assert_float_equal(row[2498 + k], want[i].around[k], 1e-6);
        assert_float_equal(row[T - 1], want[i].last, 1e-6);
    }
    for (int64_t t = 0; t < T; t++) /* a constant lead */
        assert_true(x[4 * T + t] == 0.0f);
    assert_int_equal(window_count(&c, T), 2); /* 120 samples are dropped */
    assert_int_equal(window_start(&c, T, 0), 0);
    assert_int_equal(window_start(&c, T, 1), 2500);
    fixture_free(&f);
}

/* A constant lead is zero although the sinc of resampling and the high-pass leave a ripple of it. */
static void constant_leads_become_zeros(void **state)
{
    (void)state;
    struct fixture f;
    struct contract c = contract_of(twelve, 3);
    int64_t T;
    fixture_make(&f, twelve, 3, 3600, 360);
    for (int t = 0; t < 3600; t++)
        f.samples[3600 + t] = 1.37f;
    c.normalization = NORMALIZE_LEAD_RECORD;
    for (int filtered = 0; filtered < 2; filtered++) {
        c.highpass_hz = filtered ? 0.5 : 0;
        float *x = apply(&f, &c, &T);
        for (int l = 0; l < 3; l++) {
            double mean = 0, square = 0;
            for (int64_t t = 0; t < T; t++)
                mean += (double)x[l * T + t] / (double)T;
            for (int64_t t = 0; t < T; t++)
                square += (x[l * T + t] - mean) * (x[l * T + t] - mean) / (double)T;
            assert_float_equal(mean, 0, 1e-6);
            if (l == 1)
                assert_true(square == 0.0 && x[T] == 0.0f);
            else
                assert_float_equal(square, 1, 1e-5);
        }
    }
    fixture_free(&f);
}

/* What is not there is zero after normalization, is told, and does not change the other leads. */
static void missing_leads_become_zeros(void **state)
{
    (void)state;
    const enum ecg_lead given[3] = {LEAD_V2, LEAD_II, LEAD_I};
    struct fixture f;
    struct contract c = contract_of(twelve, 12);
    struct err e;
    int64_t T;
    fixture_make(&f, given, 3, 500, 100);
    const uint32_t absent = 0xfff & ~(uint32_t)(1 << LEAD_V2 | 0x3f);
    assert_int_equal(contract_absent(&c, &f.record), absent);
    for (int kind = NORMALIZE_NONE; kind <= NORMALIZE_LEAD_RECORD; kind++) {
        c.normalization = (enum contract_normalization)kind;
        for (int l = 0; l < 12; l++) {
            c.mean[l] = 0.3;
            c.std[l] = 0.7;
        }
        c.missing = MISSING_REFUSE;
        assert_int_equal(refuse(&f, &c, &e), ERR_LEADS);
        c.missing = MISSING_ZERO;
        float *x = apply(&f, &c, &T);
        struct contract there = c; /* the leads that are there, by themselves */
        there.lead_count = 0;
        for (int l = 0; l < 12; l++)
            if (!(absent >> l & 1))
                there.leads[there.lead_count++] = (enum ecg_lead)l;
        float *y = apply(&f, &there, &T);
        for (int l = 0, k = 0; l < 12; l++)
            for (int64_t t = 0, here = !(absent >> l & 1) ? k++ : -1; t < T; t++)
                assert_true(x[l * T + t] == (here < 0 ? 0.0f : y[here * T + t]));
    }
    /* a record that shares no lead is refused all the same */
    struct contract others = contract_of(twelve + 8, 4);
    others.missing = MISSING_ZERO;
    assert_int_equal(refuse(&f, &others, &e), ERR_LEADS);
    assert_int_equal(contract_absent(&others, &f.record), 0xf);
    fixture_free(&f);
}

/* Normalized units are taken by a model that normalizes each lead by itself, as if they were a voltage
 * of another scale, and by no other. */
static void normalized_units(void **state)
{
    (void)state;
    struct fixture f;
    struct contract c = contract_of(twelve, 2);
    struct err e;
    int64_t T;
    fixture_make(&f, twelve, 2, 500, 100);
    c.normalization = NORMALIZE_LEAD_RECORD;
    const float *volts = apply(&f, &c, &T);
    float want[1000];
    assert_int_equal(T, 500);
    memcpy(want, volts, sizeof want);
    for (int l = 0; l < 2; l++) {
        f.record.channels[l].is_voltage = false;
        f.record.channels[l].is_scaled = true;
        f.record.channels[l].unit = "NU";
    }
    assert_memory_equal(apply(&f, &c, &T), want, sizeof want);
    for (int kind = NORMALIZE_NONE; kind < NORMALIZE_LEAD_RECORD; kind++) {
        c.normalization = (enum contract_normalization)kind;
        assert_int_equal(refuse(&f, &c, &e), ERR_UNITS);
        assert_non_null(strstr(e.message, "normalized units"));
    }
    struct contract limbs =
        contract_of(twelve, 3); /* III of I and II: each has a scale of its own */
    limbs.normalization = NORMALIZE_LEAD_RECORD;
    assert_int_equal(refuse(&f, &limbs, &e), ERR_LEADS);
    fixture_free(&f);
}

/* A z-score is taken as it is by a model that makes just that, and by no other; nothing is derived
 * from z-scores. */
static void standardized_channels(void **state)
{
    (void)state;
    struct fixture f;
    struct contract c = contract_of(twelve, 2);
    struct err e;
    int64_t T;
    fixture_make(&f, twelve, 2, 500, 100);
    for (int l = 0; l < 2; l++) {
        f.record.channels[l].is_voltage = false;
        f.record.channels[l].is_standardized = true;
        f.record.channels[l].unit = "1";
    }
    for (int kind = NORMALIZE_NONE; kind <= NORMALIZE_LEAD_RECORD; kind++) {
        c.normalization = (enum contract_normalization)kind;
        if (kind == NORMALIZE_LEAD_RECORD)
            break;
        assert_int_equal(refuse(&f, &c, &e), ERR_UNITS);
        assert_non_null(strstr(e.message, "z-score"));
    }
    assert_memory_equal(apply(&f, &c, &T), f.samples, 1000 * sizeof(float));
    struct contract limbs = contract_of(twelve, 3);
    limbs.normalization = NORMALIZE_LEAD_RECORD;
    assert_int_equal(refuse(&f, &limbs, &e), ERR_LEADS);
    limbs.missing = MISSING_ZERO;
    assert_int_equal(contract_absent(&limbs, &f.record), 1 << LEAD_III);
    float *x = apply(&f, &limbs, &T);
    assert_memory_equal(x, f.samples, 1000 * sizeof(float));
    for (int64_t t = 0; t < T; t++)
        assert_true(x[2 * T + t] == 0.0f);
    fixture_free(&f);
}

static void windows_follow_the_contract(void **state)
{
    (void)state;
    struct contract c;
    contract_default(&c);
    c.sample_count = 100;
    c.windows = WINDOWS_SEGMENTS;
    const int64_t lengths[] = {99, 100, 199, 200, 350}, counts[] = {0, 1, 1, 2, 3};
    for (int i = 0; i < 5; i++) {
        assert_int_equal(window_count(&c, lengths[i]), counts[i]);
        for (int64_t k = 0; k < counts[i]; k++)
            assert_int_equal(window_start(&c, lengths[i], k), 100 * k);
    }
    c.windows = WINDOWS_OVERLAP;
    assert_int_equal(window_count(&c, 350), 6);
    assert_int_equal(window_start(&c, 350, 5), 250);
}

static void filters_are_applied(void **state)
{
    (void)state;
    struct fixture f;
    struct contract c = contract_of(twelve, 2);
    int64_t T;
    fixture_make(&f, twelve, 2, 1000, 100);
    for (int t = 0; t < 1000; t++)
        f.samples[t] += 5.0f;
    c.highpass_hz = 0.3;
    float *x = apply(&f, &c, &T);
    double mean = 0;
    for (int t = 0; t < 1000; t++)
        mean += x[t] / 1000.0;
    assert_float_equal(mean, 0, 0.05); /* of 5.1 */
    fixture_free(&f);
}

static void same_record_same_bytes(void **state)
{
    (void)state;
    struct fixture f;
    struct contract c = contract_of(twelve, 12);
    int64_t T;
    fixture_make(&f, twelve, 12, 2570, 257);
    for (int t = 900; t < 960; t++)
        f.samples[2570 * 4 + t] = NAN;
    c.highpass_hz = 0.5;
    c.lowpass_hz = 40;
    c.normalization = NORMALIZE_RECORD;
    float *x = apply(&f, &c, &T), *y = apply(&f, &c, &T);
    assert_memory_equal(x, y, (size_t)(12 * T) * sizeof *x);
    fixture_free(&f);
}

static void json_round_trip(void **state)
{
    (void)state;
    struct contract c = contract_of(twelve + 3, 5), back;
    c.rate_hz = 1000.0 / 3.0;
    c.sample_count = 2500;
    c.highpass_hz = 0.1 + 0.2;
    c.lowpass_hz = 0.47 * c.rate_hz;
    c.max_invalid_fraction = nextafter(0.1, 1);
    for (int kind = NORMALIZE_NONE; kind <= NORMALIZE_LEAD_RECORD; kind++) {
        c.normalization = (enum contract_normalization)kind;
        c.resampling = kind % 2 ? RESAMPLE_LINEAR : RESAMPLE_SINC;
        c.windows = kind % 3 ? WINDOWS_SEGMENTS : WINDOWS_OVERLAP;
        c.missing = kind / 2 % 2 ? MISSING_ZERO : MISSING_REFUSE;
        for (int l = 0; l < CONTRACT_LEADS_MAX; l++) {
            int used = kind == NORMALIZE_LEAD ? l < 5 : kind == NORMALIZE_GLOBAL ? l < 1 : 0;
            c.mean[l] = used ? nextafter(-0.00123456789012345 * (l + 1), 1) : 0;
            c.std[l] = used ? nextafter(0.2345678901234567 + l, 9) : 1;
        }
        cJSON *object = contract_to_json(&c), *parsed = NULL;
        struct buf text;
        struct err e = {0};
        buf_init(&text, 0);
        json_print(object, false, &text);
        assert_int_equal(json_parse(text.data, text.len, "contract", &parsed, &e), ERR_OK);
        if (contract_from_json(&back, parsed, &e) != ERR_OK)
            fail_msg("%s", e.message);
        assert_int_equal(back.lead_count, 5);
        assert_memory_equal(back.leads, c.leads, 5 * sizeof *c.leads);
        assert_true(back.rate_hz == c.rate_hz && back.highpass_hz == c.highpass_hz &&
                    back.lowpass_hz == c.lowpass_hz && back.sample_count == c.sample_count &&
                    back.normalization == c.normalization && back.resampling == c.resampling &&
                    back.windows == c.windows && back.missing == c.missing &&
                    back.max_invalid_fraction == c.max_invalid_fraction);
        assert_memory_equal(back.mean, c.mean, sizeof c.mean);
        assert_memory_equal(back.std, c.std, sizeof c.std);
        buf_free(&text);
        cJSON_Delete(object);
        cJSON_Delete(parsed);
    }
}

static void json_is_strict(void **state)
{
    (void)state;
    struct contract c, kept;
    contract_default(&c);
    c.normalization = NORMALIZE_GLOBAL;
    kept = c;
    cJSON *object = contract_to_json(&c);
    /* Every field is needed. */
    const char *names[16];
    int count = 0;
    for (cJSON *item = object->child; item; item = item->next)
        names[count++] = item->string;
    assert_int_equal(count, 9);
    for (int i = 0; i < count; i++) {
        cJSON *copy = cJSON_Duplicate(object, 1);
        cJSON_DeleteItemFromObjectCaseSensitive(copy, names[i]);
        assert_int_equal(contract_from_json(&c, copy, NULL), ERR_MODEL);
        cJSON_AddStringToObject(copy, names[i], "nonsense"); /* and of its type */
        assert_int_equal(contract_from_json(&c, copy, NULL), ERR_MODEL);
        cJSON_Delete(copy);
        copy = cJSON_Duplicate(object, 1); /* and only once */
        cJSON_AddItemToObject(copy, names[i],
                              cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(object, names[i]),
                                              1));
        assert_int_equal(contract_from_json(&c, copy, NULL), ERR_MODEL);
        cJSON_Delete(copy);
    }
    const char *const bad[] = {
        "{\"lead\": 1}",
        "[]",
        "1",
        "null",
        "{\"leads\":[\"V9\"]}",
        "{\"leads\":[]}",
        "{\"leads\":[\"I\",\"I\"]}",
        "{\"leads\":[1]}",
        ("{\"leads\":[\"I\",\"II\",\"III\",\"aVR\",\"aVL\",\"aVF\",\"V1\",\"V2\",\"V3\",\"V4\","
         "\"V5\",\"V6\",\"I\"]}"),
        "{\"rate_hz\":0}",
        "{\"rate_hz\":1e300}",
        "{\"rate_hz\":\"100\"}",
        "{\"sample_count\":0}",
        "{\"sample_count\":1.5}",
        "{\"sample_count\":1e18}",
        "{\"highpass_hz\":-1}",
        "{\"highpass_hz\":60}",
        "{\"lowpass_hz\":50}",
        "{\"normalization\":\"sometimes\"}",
        "{\"normalization\":\"lead\"}",
        "{\"mean\":[]}",
        "{\"std\":[0]}",
        "{\"std\":[-1]}",
        "{\"mean\":[0,0]}",
        "{\"mean\":[null]}",
        "{\"max_invalid_fraction\":1.1}",
        "{\"extra\":0}",
        "{\"resampling\":\"cubic\"}",
        "{\"resampling\":1}",
        "{\"windows\":\"\"}",
        "{\"missing_leads\":\"guess\"}",
        "{\"missing_leads\":null}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cJSON *patch = cJSON_Parse(bad[i]), *copy = cJSON_Duplicate(object, 1);
        assert_non_null(patch);
        if (cJSON_IsObject(patch) && patch->child) {
            cJSON_DeleteItemFromObjectCaseSensitive(copy, patch->child->string);
            cJSON_AddItemToObject(copy, patch->child->string, cJSON_Duplicate(patch->child, 1));
        } else {
            cJSON_Delete(copy);
            copy = cJSON_Duplicate(patch, 1);
        }
        struct err e = {0};
        if (contract_from_json(&c, copy, &e) != ERR_MODEL)
            fail_msg("%s was taken", bad[i]);
        assert_memory_equal(&c, &kept, sizeof c);
        cJSON_Delete(patch);
        cJSON_Delete(copy);
    }
    assert_int_equal(contract_from_json(&c, NULL, NULL), ERR_MODEL);
    /* A field that has a default is written where it differs, and only once. */
    cJSON_AddStringToObject(object, "windows", "segments");
    assert_int_equal(contract_from_json(&c, object, NULL), ERR_OK);
    assert_true(c.windows == WINDOWS_SEGMENTS && c.resampling == RESAMPLE_SINC &&
                c.missing == MISSING_REFUSE);
    cJSON_AddStringToObject(object, "windows", "segments");
    assert_int_equal(contract_from_json(&c, object, NULL), ERR_MODEL);
    cJSON_Delete(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identity_keeps_the_bits),
        cmocka_unit_test(limb_leads_are_derived_from_any_two),
        cmocka_unit_test(missing_leads_are_named),
        cmocka_unit_test(a_single_unnamed_channel_serves_one_lead),
        cmocka_unit_test(units_are_checked),
        cmocka_unit_test(sizes_and_rates_are_checked),
        cmocka_unit_test(a_sine_comes_through_at_every_rate),
        cmocka_unit_test(short_gaps_become_lines),
        cmocka_unit_test(long_gaps_stay_on_the_baseline),
        cmocka_unit_test(too_much_invalid_is_refused),
        cmocka_unit_test(flat_records_are_refused_and_flat_leads_taken),
        cmocka_unit_test(overflow_is_refused),
        cmocka_unit_test(normalizations),
        cmocka_unit_test(ecg_fm_preparation),
        cmocka_unit_test(constant_leads_become_zeros),
        cmocka_unit_test(missing_leads_become_zeros),
        cmocka_unit_test(normalized_units),
        cmocka_unit_test(standardized_channels),
        cmocka_unit_test(windows_follow_the_contract),
        cmocka_unit_test(filters_are_applied),
        cmocka_unit_test(same_record_same_bytes),
        cmocka_unit_test(json_round_trip),
        cmocka_unit_test(json_is_strict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
