#include "signal/synth_reading.h"

#include <math.h>
#include <string.h>

#include "base/err.h"

#define RATE_HZ 1000
#define ONSET 300 /* sample of QRS onset */
#define COUNT 1100

void leads_from_eight(const double eight[HEART_LEADS], double twelve[LEAD_STANDARD_COUNT])
{
    double one = eight[0], two = eight[1];
    twelve[LEAD_I] = one;
    twelve[LEAD_II] = two;
    twelve[LEAD_III] = two - one;
    twelve[LEAD_AVR] = -0.5 * (one + two);
    twelve[LEAD_AVL] = one - 0.5 * two;
    twelve[LEAD_AVF] = two - 0.5 * one;
    memcpy(twelve + LEAD_V1, eight + 2, 6 * sizeof *twelve);
}

/* One beat of the given waves in all leads, as [COUNT][12]. */
static void beat_leads(const struct heart_wave *waves, int count, const struct lead_field *field,
                       float xyz[3 * COUNT], double leads[COUNT][LEAD_STANDARD_COUNT])
{
    static const double straight[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
    memset(xyz, 0, 3 * COUNT * sizeof *xyz);
    heart_add_waves(waves, count, 0, straight, RATE_HZ, ONSET, COUNT, xyz);
    for (int t = 0; t < COUNT; t++) {
        double eight[HEART_LEADS];
        for (int l = 0; l < HEART_LEADS; l++)
            eight[l] = field->row[l][0] * xyz[t] + field->row[l][1] * xyz[COUNT + t] +
                       field->row[l][2] * xyz[2 * COUNT + t];
        leads_from_eight(eight, leads[t]);
    }
}

/* First and last sample at which the vector moves. */
static void active_span(const float *xyz, double threshold_mv_s, int *first, int *last)
{
    *first = COUNT;
    *last = 0;
    for (int t = 1; t < COUNT; t++) {
        double speed = 0;
        for (int k = 0; k < 3; k++) {
            double step = (double)xyz[k * COUNT + t] - (double)xyz[k * COUNT + t - 1];
            speed += step * step;
        }
        if (sqrt(speed) * RATE_HZ > threshold_mv_s) {
            *first = t < *first ? t : *first;
            *last = t;
        }
    }
}

void reading_measure(const struct heart *h, const struct lead_field *field, double rate_bpm,
                     double pr_s, struct reading *out)
{
    struct heart_wave waves[HEART_BEAT_MAX];
    float xyz[3 * COUNT];
    double qrs[COUNT][LEAD_STANDARD_COUNT], all[COUNT][LEAD_STANDARD_COUNT]; /* 200 KiB of stack */
    double rr = 60 / rate_bpm;
    memset(out, 0, sizeof *out);
    out->rate_bpm = rate_bpm;
    int first, last;
    if (pr_s >= 0) {
        beat_leads(h->p, ATRIUM_COUNT, field, xyz, all);
        active_span(xyz, 0.6, &first, &last);
        out->p_ms = last - first;
        out->pr_ms = 1000 * pr_s;
    }
    beat_leads(h->qrs, h->qrs_count, field, xyz, qrs);
    active_span(xyz, 5.0, &first, &last);
    out->qrs_ms = last - first;
    out->qt_ms = 1000 * heart_qt(h, rr);
    out->qtc_ms = 1000 * h->qtc_s;

    int count = heart_beat(h, rr, pr_s, true, waves);
    beat_leads(waves, count, field, xyz, all);
    int t_from = last + 60, t_to = ONSET + (int)out->qt_ms;
    t_to = t_to < COUNT ? t_to : COUNT - 1;
    double area[LEAD_STANDARD_COUNT] = {0};
    for (int l = 0; l < LEAD_STANDARD_COUNT; l++) {
        bool begun = false, q = true;
        for (int t = first; t <= last; t++) {
            double v = qrs[t][l];
            area[l] += v;
            out->r_mv[l] = fmax(out->r_mv[l], v);
            out->s_mv[l] = fmax(out->s_mv[l], -v);
            if (!begun && fabs(v) > 0.02) {
                begun = true;
                q = v < 0;
            }
            if (begun && q) {
                if (v > 0)
                    q = false;
                out->q_mv[l] = fmax(out->q_mv[l], -v);
                out->q_ms[l] += 1;
            }
        }
        double zero = all[first][l];
        out->st_mv[l] = all[t_from < COUNT ? t_from : COUNT - 1][l] - zero;
        for (int t = t_from; t <= t_to; t++)
            if (fabs(all[t][l]) > fabs(out->t_mv[l]))
                out->t_mv[l] = all[t][l];
    }
    out->axis_deg = atan2(area[LEAD_AVF] * 2 / sqrt(3), area[LEAD_I]) * 180 / 3.14159265358979;
    out->sokolow_mv = out->s_mv[LEAD_V1] + fmax(out->r_mv[LEAD_V5], out->r_mv[LEAD_V6]);
}

/* ---- statements ---- */

struct maker {
    const struct reading *m;
    const struct reading_context *context;
    struct rng *r;
    struct statement_made *out;
    int count;
};

static bool has(const struct maker *k, const char *code)
{
    for (int i = 0; i < k->count; i++)
        if (strcmp(k->out[i].statement->code, code) == 0)
            return true;
    return false;
}

static bool has_class(const struct maker *k, const char *class)
{
    for (int i = 0; i < k->count; i++)
        if (k->out[i].statement->class != NULL && strcmp(k->out[i].statement->class, class) == 0)
            return true;
    return false;
}

static void make(struct maker *k, const char *code, double likelihood)
{
    const struct statement *s = statement_find(code);
    ASSERT(s != NULL, "no statement %s", code);
    if (k->count < STATEMENTS_MAX && !has(k, code))
        k->out[k->count++] = (struct statement_made){s, likelihood};
}

static bool chance(struct maker *k, double p) { return rng_uniform(k->r) < p; }

/* value over threshold, for a reader whose thresholds scatter. */
static bool over(struct maker *k, double value, double threshold, double scatter)
{
    return value > threshold + scatter * rng_normal(k->r);
}

static double certainty(struct maker *k, const struct finding *f)
{
    double sure = f->severity + 0.12 * rng_normal(k->r);
    const char *class = statement_find(f->row->code)->class;
    if (strcmp(class, "MI") == 0)
        return sure < 0.22 ? 15 : sure < 0.30 ? 35 : sure < 0.45 ? 50 : sure < 0.55 ? 80 : 100;
    return sure < 0.22 ? 50 : 100;
}

static void diagnoses(struct maker *k)
{
    const struct reading *m = k->m;
    for (int i = 0; i < k->context->finding_count; i++) {
        const struct finding *f = &k->context->findings[i];
        bool seen = over(k, f->severity, 0.19, 0.07);
        if (f->row->needs_p && m->pr_ms == 0)
            seen = false;
        if (strcmp(f->row->code, "2AVB") == 0 || strcmp(f->row->code, "3AVB") == 0)
            seen = true;
        double sure = certainty(k, f);
        if (seen)
            make(k, f->row->code, sure);
    }
    if (has(k, "ANEUR") && chance(k, 0.65))
        make(k, chance(k, 0.6) ? "ASMI" : "AMI", 80); /* there is no aneurysm without an infarct */
    /* What the measurements alone suggest. */
    bool wide = has(k, "CLBBB") || has(k, "CRBBB") || has(k, "IVCD") || has(k, "WPW");
    bool conducted = m->pr_ms > 0 && k->context->rhythm->av == AV_THROUGH;
    if (over(k, m->pr_ms, 207, 5) && conducted && !has(k, "1AVB") && chance(k, 0.6))
        make(k, "1AVB", 100);
    if (over(k, -m->axis_deg, 47, 5) && m->axis_deg > -120 && !wide && !has_class(k, "MI") &&
        chance(k, 0.7))
        make(k, "LAFB", 100);
    if (over(k, m->qrs_ms, 118, 4) && !wide && !has(k, "LAFB") && chance(k, 0.6))
        make(k, "IVCD", 100);
    if (over(k, m->sokolow_mv, 3.9, 0.3) && k->context->age_years > 40 && !wide && chance(k, 0.4))
        make(k, "LVH", 50);
    if (over(k, m->qtc_ms, 475, 8) && !wide && chance(k, 0.4))
        make(k, "LNGQT", 100);
}

static int leads_where(const double *v, double threshold, bool below)
{
    static const enum ecg_lead leads[] = {LEAD_I,  LEAD_II, LEAD_AVL, LEAD_AVF, LEAD_V2,
                                          LEAD_V3, LEAD_V4, LEAD_V5,  LEAD_V6};
    int n = 0;
    for (size_t i = 0; i < sizeof leads / sizeof *leads; i++)
        n += below ? v[leads[i]] < threshold : v[leads[i]] > threshold;
    return n;
}

/* Statements on shape; without a diagnosis that explains a shape they are made more often. */
static void forms(struct maker *k)
{
    const struct reading *m = k->m;
    bool mi = has_class(k, "MI"), stt = has_class(k, "STTC");
    bool wide = m->qrs_ms > 118;

    if (chance(k, mi ? 0.55 : has_class(k, "CD") && wide ? 0.25 : 0.02))
        make(k, "ABQRS", 0);
    int q = 0;
    for (int l = LEAD_I; l <= LEAD_V6; l++)
        q += l != LEAD_AVR && l != LEAD_V1 && m->q_ms[l] > 32 && m->q_mv[l] > 0.25 * m->r_mv[l] &&
             m->q_mv[l] > 0.08;
    if (q >= 2 && !wide && chance(k, mi ? 0.10 : 0.30))
        make(k, "QWAVE", 0);
    double limb = 0, chest = 0;
    for (int l = LEAD_I; l <= LEAD_AVF; l++)
        limb = fmax(limb, m->r_mv[l] + m->s_mv[l]);
    for (int l = LEAD_V1; l <= LEAD_V6; l++)
        chest = fmax(chest, m->r_mv[l] + m->s_mv[l]);
    if (over(k, -limb, -0.55, 0.05) && chance(k, 0.75))
        make(k, "LVOLT", 0);
    if (over(k, chest, 4.0, 0.2) && !wide && !has(k, "LVH") && chance(k, 0.4))
        make(k, "HVOLT", 0);
    if (over(k, m->sokolow_mv, 3.5, 0.15) && !wide && chance(k, has(k, "LVH") ? 0.35 : 0.55))
        make(k, "VCLVH", 0);

    int down = leads_where(m->st_mv, -0.05, true), up = leads_where(m->st_mv, 0.16, false);
    if (down >= 2 && !wide && chance(k, stt ? 0.30 : 0.55))
        make(k, "STD_", 0);
    if (up >= 2 && !mi && !wide && chance(k, 0.20))
        make(k, "STE_", 0);
    int inverted = leads_where(m->t_mv, -0.08, true);
    if (!wide) {
        bool low = fabs(m->t_mv[LEAD_I]) < 0.10 && fabs(m->t_mv[LEAD_II]) < 0.12 &&
                   fabs(m->t_mv[LEAD_V5]) < 0.15 && fabs(m->t_mv[LEAD_V6]) < 0.12;
        if (low && chance(k, stt ? 0.30 : 0.55))
            make(k, "LOWT", 0);
        else if (low && chance(k, 0.35))
            make(k, "NT_", 0);
        if (inverted >= 2 && chance(k, stt || mi ? 0.16 : 0.40))
            make(k, "INVT", 0);
        else if (inverted >= 2 && chance(k, 0.12))
            make(k, "NT_", 0);
        else if (inverted >= 1 && chance(k, 0.04))
            make(k, "TAB_", 0);
    }
    if (over(k, m->pr_ms, 200, 4) && k->context->rhythm->av == AV_THROUGH && !has(k, "1AVB") &&
        chance(k, 0.7))
        make(k, "LPR", 0);
}

static void rhythms(struct maker *k)
{
    const struct rhythm_request *q = k->context->rhythm;
    double rate = k->m->rate_bpm;
    if (q->ventricular_count > 0)
        make(k, chance(k, 0.95) ? "PVC" : "PRC(S)", 0);
    if (q->atrial_count > 0)
        make(k, chance(k, 0.92) ? "PAC" : "PRC(S)", 0);
    switch (q->kind) {
    case RHYTHM_SINUS:
        if (q->pattern == 2)
            make(k, "BIGU", 0);
        if (q->pattern == 3)
            make(k, "TRIGU", 0);
        if (q->av == AV_NONE)
            break; /* said by the diagnosis */
        if (over(k, rate, 100.5, 1.5))
            make(k, "STACH", 0);
        else if (over(k, -rate, -53.5, 1.5))
            make(k, "SBRAD", 0);
        else if (over(k, q->breath_share, 0.085, 0.012))
            make(k, "SARRH", 0);
        else
            make(k, "SR", 0);
        break;
    case RHYTHM_ARRHYTHMIC:
        make(k, "SVARR", 0);
        break;
    case RHYTHM_FIBRILLATION:
        make(k, "AFIB", 0);
        break;
    case RHYTHM_FLUTTER:
        make(k, "AFLT", 0);
        break;
    case RHYTHM_TACHYCARDIA:
        make(k, "SVTAC", 0);
        break;
    case RHYTHM_PAROXYSM:
        make(k, "PSVT", 0);
        break;
    case RHYTHM_PACED:
        make(k, "PACE", 0);
        break;
    }
}

int reading_statements(const struct reading *m, const struct reading_context *context,
                       struct rng *r, struct statement_made out[STATEMENTS_MAX])
{
    struct maker k = {m, context, r, out, 0};
    enum rhythm_kind kind = context->rhythm->kind;
    bool paced = kind == RHYTHM_PACED;
    if (!paced) {
        diagnoses(&k);
        bool diagnosed = k.count > 0;
        forms(&k);
        bool shape = k.count > 0 && !(k.count == 1 && (has(&k, "LVOLT") || has(&k, "HVOLT")));
        bool normal_rhythm = kind == RHYTHM_SINUS && context->rhythm->pattern == 0;
        if (!diagnosed && normal_rhythm && k.count < STATEMENTS_MAX &&
            (!shape || chance(&k, 0.5))) {
            /* Diagnostic statements come first. */
            double sure = chance(&k, 0.8) && context->finding_count == 0 ? 100 : 80;
            struct statement_made normal = {statement_find("NORM"), sure};
            memmove(out + 1, out, (size_t)k.count * sizeof *out);
            out[0] = normal;
            k.count++;
        }
    }
    rhythms(&k);
    return k.count;
}
