#include "signal/synth_rhythm.h"

#include <math.h>

#define TWO_PI 6.28318530717958647692
#define BEFORE_S 3.0 /* beats before the recording, whose T waves reach into it */
#define AFTER_S 2.0
#define RATE_MAX_BPM 260

struct maker {
    const struct rhythm_request *request;
    struct rng *r;
    struct rhythm *out;
    int64_t cap;
    double adapted_rr_s;
    double mayer_hz, mayer_phase, slow_hz, slow_phase;
};

double rhythm_breath(const struct rhythm *rhythm, double t_s)
{
    double phase = TWO_PI * rhythm->breath_hz * t_s + rhythm->breath_phase;
    return sin(phase + 0.4 * sin(0.31 * phase + rhythm->breath_drift));
}

static struct beat *beat_add(struct maker *m, double p_s, double qrs_s, double rr_s,
                             enum beat_kind kind)
{
    struct rhythm *out = m->out;
    ASSERT(out->count < m->cap, "more beats than were planned for");
    /* Recovery adapts to the rate over several beats. */
    m->adapted_rr_s += 0.3 * (rr_s - m->adapted_rr_s);
    out->beats[out->count] = (struct beat){p_s, qrs_s, m->adapted_rr_s, kind, false};
    return &out->beats[out->count++];
}

/* Cycle length of the sinus node at a time. */
static double sinus_cycle(const struct maker *m, double rate_bpm, double t_s)
{
    const struct rhythm_request *q = m->request;
    double change = q->breath_share * rhythm_breath(m->out, t_s) +
                    q->mayer_share * sin(TWO_PI * m->mayer_hz * t_s + m->mayer_phase) +
                    0.25 * q->mayer_share * sin(TWO_PI * m->slow_hz * t_s + m->slow_phase);
    return 60 / rate_bpm * (1 + change);
}

#define ECTOPICS_MAX 16
struct ectopics {
    double
        from_s[ECTOPICS_MAX]; /* the next normal beat after this is followed by the ectopic one */
    bool ventricular[ECTOPICS_MAX];
    int count;
};

static void ectopics_schedule(const struct rhythm_request *q, struct rng *r, struct ectopics *out)
{
    out->count = 0;
    double cycle = 60 / q->rate_bpm;
    double last = fmax(q->duration_s - 2.2 * cycle, 0.1);
    for (int i = 0; i < q->ventricular_count + q->atrial_count && out->count < ECTOPICS_MAX; i++) {
        out->from_s[out->count] = rng_between(r, 0, last);
        out->ventricular[out->count++] = i < q->ventricular_count;
    }
}

/* Takes one scheduled ectopic that is due at t; -1: none, else whether it is ventricular. */
static int ectopic_due(struct ectopics *s, double t_s)
{
    for (int i = 0; i < s->count; i++)
        if (t_s >= s->from_s[i]) {
            int ventricular = s->ventricular[i];
            s->count--;
            s->from_s[i] = s->from_s[s->count];
            s->ventricular[i] = s->ventricular[s->count];
            return ventricular;
        }
    return -1;
}

/* Sinus rhythm from start to end, with ectopic beats. Times are of QRS onset; returns the time at
 * which the next beat would come. */
static double sinus_run(struct maker *m, double rate_bpm, double start_s, double end_s)
{
    const struct rhythm_request *q = m->request;
    struct rng *r = m->r;
    struct ectopics schedule;
    ectopics_schedule(q, r, &schedule);
    double pvc_coupling = rng_between(r, 0.52, 0.68), pac_coupling = rng_between(r, 0.60, 0.74);
    bool pattern_ventricular = rng_uniform(r) < 0.75;
    double t = start_s;
    for (int64_t n = 1; t < end_s; n++) {
        double rr = sinus_cycle(m, rate_bpm, t);
        beat_add(m, t - q->pr_s, t, rr, BEAT_CONDUCTED);
        int ventricular = -1;
        if (q->pattern > 0)
            ventricular = n % (q->pattern - 1) == 0 ? pattern_ventricular : -1;
        else if (q->kind == RHYTHM_ARRHYTHMIC)
            ventricular = rng_uniform(r) < 0.35 ? 0 : -1;
        else if (t > 0)
            ventricular = ectopic_due(&schedule, t);
        if (ventricular == 1) {
            /* The sinus node goes on: its next P is hidden and blocked, then comes the pause. */
            double early = t + fmax(rr * pvc_coupling * exp(0.03 * rng_normal(r)), 0.32);
            beat_add(m, NAN, early, rr, BEAT_VENTRICULAR);
            beat_add(m, t + rr - q->pr_s, NAN, rr, BEAT_CONDUCTED);
            rr += sinus_cycle(m, rate_bpm, t + rr);
        } else if (ventricular == 0) {
            /* Resets the sinus node. */
            double early = t + fmax(rr * pac_coupling * exp(0.05 * rng_normal(r)), 0.32);
            struct beat *b = beat_add(m, early - 0.9 * q->pr_s, early, rr, BEAT_CONDUCTED);
            b->p_ectopic = true;
            rr = early - t + 1.04 * sinus_cycle(m, rate_bpm, early);
        }
        t += rr;
    }
    return t;
}

static void blocked_run(struct maker *m, double start_s, double end_s)
{
    const struct rhythm_request *q = m->request;
    double rr = 60 / q->rate_bpm;
    if (q->av == AV_NONE) {
        double atrial_bpm = rng_between(m->r, 66, 98);
        for (double t = start_s; t < end_s; t += rr * (1 + 0.01 * rng_normal(m->r)))
            beat_add(m, NAN, t, rr, BEAT_CONDUCTED);
        for (double t = start_s + 0.3; t < end_s; t += sinus_cycle(m, atrial_bpm, t))
            beat_add(m, t, NAN, m->adapted_rr_s, BEAT_CONDUCTED);
        return;
    }
    int group = q->av == AV_WENCKEBACH ? 3 + (int)rng_below(m->r, 3) : 2 + (int)rng_below(m->r, 2);
    static const double longer_s[] = {0, 0.070, 0.110, 0.135, 0.150};
    int n = (int)rng_below(m->r, group);
    for (double t = start_s; t < end_s; t += sinus_cycle(m, q->rate_bpm, t), n = (n + 1) % group) {
        double pr = q->pr_s + (q->av == AV_WENCKEBACH ? longer_s[n] : 0);
        beat_add(m, t, n == group - 1 ? NAN : t + pr, rr, BEAT_CONDUCTED);
    }
}

static void fibrillation_run(struct maker *m, double start_s, double end_s)
{
    double mean = 60 / m->request->rate_bpm, spread = rng_between(m->r, 0.17, 0.26);
    m->out->atria = ATRIA_FIBRILLATE;
    m->out->atrial_hz = rng_between(m->r, 5.2, 7.8);
    m->out->atrial_mv = 0.045 * exp(0.45 * rng_normal(m->r));
    struct ectopics schedule;
    ectopics_schedule(m->request, m->r, &schedule);
    for (double t = start_s; t < end_s;) {
        double rr = fmax(mean * exp(spread * rng_normal(m->r) - 0.5 * spread * spread), 0.30);
        beat_add(m, NAN, t, mean, BEAT_CONDUCTED);
        if (t > 0 && ectopic_due(&schedule, t) >= 0) {
            beat_add(m, NAN, t + 0.45, mean, BEAT_VENTRICULAR);
            rr = 0.45 + 1.2 * mean;
        }
        t += rr;
    }
}

static void flutter_run(struct maker *m, double start_s, double end_s)
{
    /* Whole flutter cycles between beats. */
    double rate = m->request->rate_bpm;
    int each = rate > 120 ? 2 : rate > 85 ? 3 : 4;
    double cycle = 60 / rate / each;
    bool varying = rng_uniform(m->r) < 0.4;
    m->out->atria = ATRIA_FLUTTER;
    m->out->atrial_hz = 1 / cycle;
    m->out->atrial_mv = 0.11 * exp(0.3 * rng_normal(m->r));
    for (double t = start_s; t < end_s;) {
        int now = varying ? each + (int)rng_below(m->r, 3) - 1 : each;
        now = now < 2 ? 2 : now;
        beat_add(m, NAN, t, 60 / rate, BEAT_CONDUCTED);
        t += now * cycle;
    }
}

static double tachycardia_run(struct maker *m, double start_s, double end_s)
{
    double rr = 60 / m->request->rate_bpm, t = start_s;
    bool retrograde = rng_uniform(m->r) < 0.6;
    for (; t < end_s; t += rr * (1 + 0.006 * rng_normal(m->r))) {
        beat_add(m, NAN, t, rr, BEAT_CONDUCTED);
        if (retrograde)
            beat_add(m, t + 0.085, NAN, rr, BEAT_CONDUCTED)->p_ectopic = true;
    }
    return t;
}

static void paroxysm_run(struct maker *m, double start_s, double end_s)
{
    double change = m->request->duration_s * rng_between(m->r, 0.3, 0.7);
    double sinus_bpm = rng_between(m->r, 72, 98);
    if (rng_uniform(m->r) < 0.5) {
        double t = sinus_run(m, sinus_bpm, start_s, change);
        tachycardia_run(m, t - 0.35 * 60 / sinus_bpm, end_s); /* begins with an early beat */
    } else {
        double t = tachycardia_run(m, start_s, change);
        sinus_run(m, sinus_bpm, t + 0.7, end_s);
    }
}

static void paced_run(struct maker *m, double start_s, double end_s)
{
    const struct rhythm_request *q = m->request;
    double rr = 60 / q->rate_bpm;
    bool tracking = rng_uniform(m->r) < 0.5, fibrillating = rng_uniform(m->r) < 0.5;
    if (!tracking && fibrillating) {
        m->out->atria = ATRIA_FIBRILLATE;
        m->out->atrial_hz = rng_between(m->r, 5.2, 7.8);
        m->out->atrial_mv = 0.035;
    }
    for (double t = start_s; t < end_s;) {
        beat_add(m, tracking ? t - 0.17 : NAN, t, rr, BEAT_PACED);
        t += tracking ? sinus_cycle(m, q->rate_bpm, t) : rr;
    }
    if (!tracking && !fibrillating) {
        double atrial_bpm = rng_between(m->r, 60, 90);
        for (double t = start_s + 0.2; t < end_s; t += sinus_cycle(m, atrial_bpm, t))
            beat_add(m, t, NAN, m->adapted_rr_s, BEAT_CONDUCTED);
    }
}

enum err_code rhythm_make(const struct rhythm_request *request, struct rng *r, struct arena *a,
                          struct rhythm *out, struct err *e)
{
    ASSERT(request->rate_bpm >= 20 && request->rate_bpm <= RATE_MAX_BPM, "rate of %g/min",
           request->rate_bpm);
    *out = (struct rhythm){.breath_hz = request->breath_hz};
    out->breath_phase = rng_between(r, 0, TWO_PI);
    out->breath_drift = rng_between(r, 0, TWO_PI);
    struct maker m = {.request = request, .r = r, .out = out};
    m.adapted_rr_s = 60 / request->rate_bpm;
    m.mayer_hz = rng_between(r, 0.085, 0.115);
    m.mayer_phase = rng_between(r, 0, TWO_PI);
    m.slow_hz = rng_between(r, 0.02, 0.05);
    m.slow_phase = rng_between(r, 0, TWO_PI);

    /* Every cycle adds at most three beats, and none is shorter than the refractory time. */
    double span = request->duration_s + BEFORE_S + AFTER_S + 2;
    m.cap = (int64_t)(3 * span / 0.25) + 64;
    out->beats = arena_push_array(a, (size_t)m.cap, sizeof *out->beats);
    if (out->beats == NULL)
        FAIL(e, ERR_MEMORY, "no memory for %lld beats", (long long)m.cap);

    double start = -BEFORE_S - rng_uniform(r) * 60 / request->rate_bpm;
    double end = request->duration_s + AFTER_S;
    switch (request->kind) {
    case RHYTHM_SINUS:
    case RHYTHM_ARRHYTHMIC:
        if (request->av == AV_THROUGH)
            sinus_run(&m, request->rate_bpm, start, end);
        else
            blocked_run(&m, start, end);
        break;
    case RHYTHM_FIBRILLATION:
        fibrillation_run(&m, start, end);
        break;
    case RHYTHM_FLUTTER:
        flutter_run(&m, start, end);
        break;
    case RHYTHM_TACHYCARDIA:
        tachycardia_run(&m, start, end);
        break;
    case RHYTHM_PAROXYSM:
        paroxysm_run(&m, start, end);
        break;
    case RHYTHM_PACED:
        paced_run(&m, start, end);
        break;
    }
    return ERR_OK;
}

double rhythm_rate(const struct rhythm *rhythm, double duration_s)
{
    /* Beats with a QRS are in the order of time. */
    double first = NAN, last = NAN;
    int64_t intervals = -1;
    for (int64_t i = 0; i < rhythm->count; i++) {
        double t = rhythm->beats[i].qrs_s;
        if (isnan(t) || t < 0 || t >= duration_s)
            continue;
        if (isnan(first))
            first = t;
        last = t;
        intervals++;
    }
    return intervals > 0 ? 60 * (double)intervals / (last - first) : 0;
}

void rhythm_add_atrial_waves(const struct rhythm *rhythm, struct rng *r, double rate_hz,
                             double origin, int64_t count, float *xyz)
{
    if (rhythm->atria == ATRIA_BEAT)
        return;
    bool flutter = rhythm->atria == ATRIA_FLUTTER;
    /* Flutter circles in one plane, seen best from below; fibrillation is nearest to V1. */
    static const double flutter_shape[3] = {-0.05, 1.0, -0.25};
    static const double fibrillation_shape[3] = {-0.5, 0.7, -0.5};
    static const double flutter_harmonics[3] = {1, 0.5, 0.33},
                        fibrillation_harmonics[3] = {1, 0.3, 0.12};
    const double *shape = flutter ? flutter_shape : fibrillation_shape;
    const double *harmonics = flutter ? flutter_harmonics : fibrillation_harmonics;
    double lag[3], phase0 = rng_between(r, 0, TWO_PI), wobble = rng_between(r, 0, TWO_PI);
    double fm_hz = rng_between(r, 0.15, 0.45), am_hz = rng_between(r, 0.2, 0.6);
    double second = rng_between(r, 1.18, 1.38); /* a second wavelet, not in step with the first */
    for (int k = 0; k < 3; k++)
        lag[k] = flutter ? (k == 2 ? 0.5 : 0) : rng_between(r, 0, TWO_PI);
    double depth = flutter ? 0 : 0.35, swing = flutter ? 0 : rhythm->atrial_hz * 0.09 / fm_hz;
    for (int64_t i = 0; i < count; i++) {
        double t = ((double)i - origin) / rate_hz;
        double size = rhythm->atrial_mv * (1 + depth * sin(TWO_PI * am_hz * t + wobble));
        double phase = TWO_PI * rhythm->atrial_hz * t + phase0 +
                       swing * sin(TWO_PI * fm_hz * t + wobble) +
                       (flutter ? 0 : 0.8 * sin(TWO_PI * 1.7 * fm_hz * t));
        for (int k = 0; k < 3; k++) {
            double w = flutter ? 0 : 0.6 * sin(second * phase + 2 * lag[k]);
            for (int h = 0; h < 3; h++)
                w += harmonics[h] * sin((h + 1) * (phase + lag[k]));
            xyz[k * count + i] += (float)(size * shape[k] * w);
        }
    }
}
