#include "signal/synth.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "signal/resample.h"

#define FINE_HZ 500
#define COARSE_HZ 100
/* Fine samples before and after the recording, so that neither filters nor waves see its ends. */
#define MARGIN 200

/* Each use of randomness has its own generator, so that one more draw shifts nothing else. Those of
 * a patient are addressed by patient, those of a recording by record. */
enum draw {
    DRAW_PATIENT,
    DRAW_FINDINGS,
    DRAW_BODY,
    DRAW_DECK,
    DRAW_RHYTHM,
    DRAW_VISIT,
    DRAW_BEATS,
    DRAW_ECTOPIC,
    DRAW_PLACEMENT,
    DRAW_READER,
    DRAW_NOISE,
    DRAW_WHO,
    DRAW_FOLD,
    DRAW_ATRIA,
    DRAW_ELECTRODE = 64
};

static struct rng draw_at(uint64_t seed, int draw, int64_t number)
{
    return rng_at(seed, RNG_STREAM_SYNTH, (uint64_t)draw, (uint64_t)number);
}

static double clamp(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

/* ---- who ---- */

static void place(struct synth_plan *p)
{
    /* Seven patients in eight records: one of them comes back. */
    int64_t block = p->index / 8, within = p->index % 8;
    p->visit = within == 7;
    if (p->visit) {
        struct rng r = draw_at(p->seed, DRAW_WHO, block);
        within = rng_below(&r, 7);
    }
    p->patient = block * 7 + within;
    struct rng r = draw_at(p->seed, DRAW_FOLD, p->patient / SYNTH_FOLDS);
    int64_t order[SYNTH_FOLDS];
    rng_permutation(&r, order, SYNTH_FOLDS);
    p->fold = 1 + (int)order[p->patient % SYNTH_FOLDS];
}

/* Classes of the main finding in one deck of cards, dealt evenly within each fold: the k-th patient
 * of a fold takes the position frac(offset + k * golden ratio), which spreads over [0,1) without
 * clumps. */
enum main_class { MAIN_NORM, MAIN_MI, MAIN_STTC, MAIN_CD, MAIN_HYP, MAIN_NONE, MAIN_COUNT };
static const struct {
    const char *class;
    double share, age_mean, age_spread, male;
} mains[MAIN_COUNT] = {
    [MAIN_NORM] = {"NORM", 0.44, 51, 17, 0.46}, [MAIN_MI] = {"MI", 0.20, 67, 11, 0.68},
    [MAIN_STTC] = {"STTC", 0.14, 64, 14, 0.46}, [MAIN_CD] = {"CD", 0.13, 66, 14, 0.60},
    [MAIN_HYP] = {"HYP", 0.08, 66, 14, 0.52},   [MAIN_NONE] = {NULL, 0.01, 64, 16, 0.52},
};

static double deal(const struct synth_plan *p, int which, double irrational)
{
    struct rng r = draw_at(p->seed, DRAW_DECK + 1000 * (1 + which), p->fold);
    double u = rng_uniform(&r) + (double)(p->patient / SYNTH_FOLDS) * irrational;
    return u - floor(u);
}

/* Main class and the position within it. */
static enum main_class deal_main(const struct synth_plan *p, double *within)
{
    double u = deal(p, 0, 0.61803398874989485);
    enum main_class main = 0;
    while (main < MAIN_COUNT - 1 && u >= mains[main].share)
        u -= mains[main++].share;
    *within = clamp(u / mains[main].share, 0, 0.999999);
    return main;
}

static void person_draw(struct synth_plan *p, enum main_class main)
{
    struct rng r = draw_at(p->seed, DRAW_PATIENT, p->patient);
    p->age_years =
        floor(clamp(mains[main].age_mean + mains[main].age_spread * rng_normal(&r), 18, 89));
    p->sex = rng_uniform(&r) < mains[main].male ? SEX_MALE : SEX_FEMALE;
    bool male = p->sex == SEX_MALE;
    p->height_cm = floor((male ? 175 : 163) + 7 * rng_normal(&r));
    double mass_index = clamp(26 + 4 * rng_normal(&r), 17, 44);
    p->weight_kg = floor(mass_index * p->height_cm * p->height_cm * 1e-4);
}

/* ---- what is wrong ---- */

static bool is_av_block(const struct finding_row *row) { return strstr(row->code, "AVB") != NULL; }

/* Whether two findings can be seen in one person: one disturbance within the ventricles, which may
 * come with AV block; the left anterior fascicle and the right bundle; one infarct; and no infarct
 * can be told where an accessory pathway leads. */
static bool compatible(const struct finding_row *a, const struct finding_row *b)
{
    bool pathway = strcmp(a->code, "WPW") == 0 || strcmp(b->code, "WPW") == 0;
    if (a == b)
        return false;
    if (a->stage != b->stage)
        return !(pathway && (a->stage == STAGE_INFARCT || b->stage == STAGE_INFARCT));
    if (a->stage != STAGE_CONDUCTION)
        return a->stage == STAGE_CHAMBER;
    bool bifascicular = (strcmp(a->code, "LAFB") == 0 && strcmp(b->code, "CRBBB") == 0) ||
                        (strcmp(a->code, "CRBBB") == 0 && strcmp(b->code, "LAFB") == 0);
    return bifascicular || (is_av_block(a) != is_av_block(b) && !pathway);
}

static void finding_put(struct synth_plan *p, const struct finding_row *row, double severity,
                        double variant)
{
    for (int i = 0; i < p->finding_count; i++)
        if (!compatible(p->findings[i].row, row))
            return;
    if (p->finding_count < SYNTH_FINDINGS_MAX)
        p->findings[p->finding_count++] = (struct finding){row, clamp(severity, 0, 1), variant};
}

static double severity_draw(struct rng *r) { return 0.22 + 0.78 * pow(rng_uniform(r), 0.7); }

/* One finding of a class. */
static void finding_draw(struct synth_plan *plan, struct rng *r, const char *class)
{
    const struct finding_row *row = finding_pick(class, rng_uniform(r));
    double severity = severity_draw(r), variant = rng_uniform(r);
    finding_put(plan, row, severity, variant);
}

static void findings_draw(struct synth_plan *p, enum main_class main, double within)
{
    /* Share of patients of the main class that have a finding of another class too. */
    static const double also[MAIN_COUNT][MAIN_COUNT] = {
        [MAIN_MI] = {[MAIN_STTC] = 0.22, [MAIN_CD] = 0.17, [MAIN_HYP] = 0.10},
        [MAIN_STTC] = {[MAIN_CD] = 0.14, [MAIN_HYP] = 0.12},
        [MAIN_CD] = {[MAIN_MI] = 0.15, [MAIN_STTC] = 0.18, [MAIN_HYP] = 0.10},
        [MAIN_HYP] = {[MAIN_MI] = 0.08, [MAIN_STTC] = 0.30, [MAIN_CD] = 0.18},
    };
    struct rng r = draw_at(p->seed, DRAW_FINDINGS, p->patient);
    double severity = severity_draw(&r), variant = rng_uniform(&r);
    if (main == MAIN_NORM) {
        /* Some people have a little of something that nobody would call. */
        const char *class = mains[1 + rng_below(&r, 4)].class;
        const struct finding_row *row = finding_pick(class, rng_uniform(&r));
        double little = 0.16 * rng_uniform(&r);
        if (rng_uniform(&r) < 0.25 && row->stage != STAGE_CONDUCTION)
            finding_put(p, row, little, variant);
    } else if (main != MAIN_NONE) {
        finding_put(p, finding_pick(mains[main].class, within), severity, variant);
        double u = deal(p, 2, 0.73205080756887729);
        for (int other = MAIN_MI; other <= MAIN_HYP; u -= also[main][other++])
            if (u >= 0 && u < also[main][other])
                finding_draw(p, &r, mains[other].class);
        if (rng_uniform(&r) < 0.08) /* and sometimes one more */
            finding_draw(p, &r, mains[1 + rng_below(&r, 4)].class);
    }
    if (p->visit > 0) {
        struct rng again = draw_at(p->seed, DRAW_VISIT, p->index);
        p->age_years = fmin(p->age_years + (double)rng_below(&again, 4), 89);
        for (int i = 0; i < p->finding_count; i++)
            p->findings[i].severity =
                clamp(p->findings[i].severity + 0.08 * rng_normal(&again), 0, 1);
    }
}

/* ---- the rhythm ---- */

static bool has_finding(const struct synth_plan *p, const char *code)
{
    for (int i = 0; i < p->finding_count; i++)
        if (strcmp(p->findings[i].row->code, code) == 0)
            return true;
    return false;
}

enum rhythm_card {
    CARD_SINUS,
    CARD_FAST,
    CARD_SLOW,
    CARD_UNEVEN,
    CARD_FIBRILLATION,
    CARD_PACED,
    CARD_ARRHYTHMIC,
    CARD_BIGEMINY,
    CARD_FLUTTER,
    CARD_TACHYCARDIA,
    CARD_PAROXYSM,
    CARD_TRIGEMINY,
    CARD_COUNT
};
static const double cards_normal[CARD_COUNT] = {0.82, 0.03, 0.06, 0.09};
static const double cards_regular[CARD_COUNT] = {0.86, 0.07, 0.05, 0.02};
static const double cards_any[CARD_COUNT] = {0.68,  0.05,  0.03,  0.02,  0.12,  0.025,
                                             0.015, 0.012, 0.016, 0.010, 0.010, 0.010};

static void rhythm_draw(struct synth_plan *p, enum main_class main)
{
    bool regular = false;
    for (int i = 0; i < p->finding_count; i++)
        regular = regular || p->findings[i].row->needs_p;
    const double *cards = main == MAIN_NORM ? cards_normal : regular ? cards_regular : cards_any;
    double u = deal(p, 1, 0.41421356237309505);
    int card = 0;
    while (card < CARD_COUNT - 1 && u >= cards[card])
        u -= cards[card++];
    if (main == MAIN_NONE && card <= CARD_UNEVEN)
        card = CARD_FIBRILLATION;

    struct rng r = draw_at(p->seed, DRAW_RHYTHM, p->index);
    struct rhythm_request *q = &p->rhythm;
    double young = clamp((80 - p->age_years) / 60, 0, 1);
    *q = (struct rhythm_request){.kind = RHYTHM_SINUS, .duration_s = 10};
    q->rate_bpm = clamp(exp(log(70) + 0.14 * rng_normal(&r)), 54, 99);
    q->breath_hz = rng_between(&r, 0.20, 0.32);
    q->breath_share = (0.008 + 0.032 * young) * exp(0.3 * rng_normal(&r));
    q->mayer_share = (0.008 + 0.012 * young) * exp(0.3 * rng_normal(&r));
    double u_rate = rng_uniform(&r), u_pvc = rng_uniform(&r), u_pac = rng_uniform(&r);
    int64_t pvcs = 1 + rng_below(&r, 4), pacs = 1 + rng_below(&r, 2);
    switch ((enum rhythm_card)card) {
    case CARD_FAST:
        q->rate_bpm = 101 + 35 * u_rate * u_rate;
        break;
    case CARD_SLOW:
        q->rate_bpm = 40 + 13 * sqrt(u_rate);
        break;
    case CARD_UNEVEN:
        q->breath_share = 0.10 + 0.09 * u_rate;
        q->breath_hz = 0.16 + 0.08 * u_rate;
        break;
    case CARD_FIBRILLATION:
        q->kind = RHYTHM_FIBRILLATION;
        q->rate_bpm = 58 + 75 * u_rate;
        break;
    case CARD_PACED:
        q->kind = RHYTHM_PACED;
        q->rate_bpm = 60 + 15 * u_rate;
        break;
    case CARD_ARRHYTHMIC:
        q->kind = RHYTHM_ARRHYTHMIC;
        break;
    case CARD_BIGEMINY:
        q->pattern = 2;
        break;
    case CARD_TRIGEMINY:
        q->pattern = 3;
        break;
    case CARD_FLUTTER: {
        int each = u_rate < 0.45 ? 2 : u_rate < 0.6 ? 3 : 4;
        q->kind = RHYTHM_FLUTTER;
        q->rate_bpm = 60 * rng_between(&r, 4.3, 5.4) / each;
        break;
    }
    case CARD_TACHYCARDIA:
        q->kind = RHYTHM_TACHYCARDIA;
        q->rate_bpm = 145 + 55 * u_rate;
        break;
    case CARD_PAROXYSM:
        q->kind = RHYTHM_PAROXYSM;
        q->rate_bpm = 145 + 55 * u_rate;
        break;
    case CARD_SINUS:
    case CARD_COUNT:
        break;
    }
    if (has_finding(p, "2AVB")) {
        q->av = u_rate < 0.6 ? AV_WENCKEBACH : AV_MOBITZ;
        q->kind = RHYTHM_SINUS;
    } else if (has_finding(p, "3AVB")) {
        q->av = AV_NONE;
        q->kind = RHYTHM_SINUS;
        q->rate_bpm = 32 + 16 * u_rate;
    }
    bool plain = q->kind == RHYTHM_SINUS && q->pattern == 0 && q->av == AV_THROUGH;
    if ((plain || q->kind == RHYTHM_FIBRILLATION) && u_pvc < (main == MAIN_NORM ? 0.008 : 0.095))
        q->ventricular_count = (int)pvcs;
    if (plain && u_pac < (main == MAIN_NORM ? 0.006 : 0.035))
        q->atrial_count = (int)pacs;
}

void synth_plan_draw(uint64_t seed, int64_t index, struct synth_plan *out)
{
    *out = (struct synth_plan){.seed = seed, .index = index, .noise_level = 1};
    place(out);
    double within;
    enum main_class main = deal_main(out, &within);
    person_draw(out, main);
    findings_draw(out, main, within);
    rhythm_draw(out, main);
}

void synth_plan_healthy(uint64_t seed, int64_t index, double rate_bpm, struct synth_plan *out)
{
    synth_plan_draw(seed, index, out);
    out->finding_count = 0;
    double breath_hz = out->rhythm.breath_hz;
    out->rhythm = (struct rhythm_request){.kind = RHYTHM_SINUS,
                                          .rate_bpm = rate_bpm,
                                          .breath_hz = breath_hz,
                                          .breath_share = 0.02,
                                          .mayer_share = 0.01,
                                          .duration_s = 10};
}

enum err_code synth_plan_add(struct synth_plan *plan, const char *code, double severity,
                             struct err *e)
{
    const struct finding_row *row = finding_find(code);
    if (row == NULL)
        FAIL(e, ERR_USAGE, "no finding is called '%s'", code);
    if (plan->finding_count == SYNTH_FINDINGS_MAX)
        FAIL(e, ERR_USAGE, "more than %d findings", SYNTH_FINDINGS_MAX);
    plan->findings[plan->finding_count++] = (struct finding){row, clamp(severity, 0, 1), 0.5};
    return ERR_OK;
}

/* ---- the signal ---- */

/* The hearts that beat in one recording. */
struct hearts {
    struct heart conducted, ectopic_p, ventricular, paced;
    struct lead_field field;
};

static void hearts_make(const struct synth_plan *p, struct hearts *out)
{
    struct rng body = draw_at(p->seed, DRAW_BODY, p->patient);
    struct rng placement = draw_at(p->seed, DRAW_PLACEMENT, p->index);
    struct rng ectopic = draw_at(p->seed, DRAW_ECTOPIC, p->patient);
    struct heart *h = &out->conducted;
    heart_normal(h);
    heart_vary(h, &body);

    bool male = p->sex == SEX_MALE;
    double years = p->age_years - 50;
    if (!male)
        h->qtc_s += 0.008;
    h->pr_s += 0.00025 * years;
    for (int k = 0; k < 3; k++)
        h->t[k] *= (male ? 1.08 : 0.90) * exp(-0.004 * years);
    if (male && p->age_years < 45) /* early repolarization */
        h->st[AXIS_Z] -= 0.05 * rng_uniform(&body);

    findings_apply(p->findings, p->finding_count, h);
    out->ectopic_p = out->ventricular = out->paced = *h;
    heart_make_ventricular(&out->ventricular, &ectopic);
    heart_make_paced(&out->paced);
    double low_atrium = rng_between(&ectopic, -1.1, 0.4);
    for (int i = 0; i < ATRIUM_COUNT; i++) {
        out->ectopic_p.p[i].v[AXIS_X] *= rng_between(&ectopic, 0.3, 1.3);
        out->ectopic_p.p[i].v[AXIS_Y] *= low_atrium;
    }

    /* The axis moves up with age and weight; electrodes are never twice in the same place. */
    double frontal = -2 - 0.42 * years -
                     0.6 * (p->weight_kg / (p->height_cm * p->height_cm * 1e-4) - 26) +
                     19 * rng_normal(&body) + 3 * rng_normal(&placement);
    double horizontal = 12 * rng_normal(&body) + 4 * rng_normal(&placement);
    double sagittal = 10 * rng_normal(&body) + 3 * rng_normal(&placement);
    double gain = exp(0.17 * rng_normal(&body) - 0.0025 * years) * (male ? 1.05 : 0.94);
    struct heart *all[] = {h, &out->ectopic_p, &out->ventricular, &out->paced};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        heart_orient(all[i], frontal, horizontal, sagittal, gain);
    lead_field_standard(&out->field);
    lead_field_vary(&out->field, &body, 0.09);
    lead_field_vary(&out->field, &placement, 0.04);
}

static void beats_add(const struct synth_plan *p, const struct hearts *hearts,
                      const struct rhythm *rhythm, int64_t count, float *xyz)
{
    struct rng r = draw_at(p->seed, DRAW_BEATS, p->index);
    double swing = rng_between(&r, 1.5, 5.0), swell = rng_between(&r, 0.01, 0.05);
    for (int64_t i = 0; i < rhythm->count; i++) {
        const struct beat *b = &rhythm->beats[i];
        const struct heart *h = b->kind == BEAT_VENTRICULAR ? &hearts->ventricular
                                : b->kind == BEAT_PACED     ? &hearts->paced
                                : b->p_ectopic              ? &hearts->ectopic_p
                                                            : &hearts->conducted;
        bool with_qrs = !isnan(b->qrs_s);
        double at = with_qrs ? b->qrs_s : b->p_s;
        double pr = isnan(b->p_s) ? -1 : at - b->p_s;
        struct heart_wave waves[HEART_BEAT_MAX];
        int n = heart_beat(h, b->rr_s, pr, with_qrs, waves);
        /* Breathing moves the heart, and no two beats are quite the same. */
        double breath = rhythm_breath(rhythm, at), turn[9];
        double gain = 1 - swell * breath + 0.008 * rng_normal(&r);
        double frontal = swing * breath + 0.5 * rng_normal(&r);
        double horizontal = 0.5 * swing * breath + 0.5 * rng_normal(&r);
        heart_turn(frontal, horizontal, 0, turn);
        for (int k = 0; k < 9; k++)
            turn[k] *= gain;
        heart_add_waves(waves, n, at, turn, FINE_HZ, MARGIN, count, xyz);
    }
}

static void eight_leads(const struct hearts *hearts, const float *xyz, const float *electrodes,
                        int64_t count, float *eight)
{
    const float *ra = electrodes + ELECTRODE_RA * count, *la = electrodes + ELECTRODE_LA * count;
    const float *ll = electrodes + ELECTRODE_LL * count;
    for (int l = 0; l < HEART_LEADS; l++) {
        const double *row = hearts->field.row[l];
        float x = (float)row[0], y = (float)row[1], z = (float)row[2];
        float *out = eight + l * count;
        const float *v = electrodes + (ELECTRODE_V1 + l - 2) * count;
        for (int64_t t = 0; t < count; t++) {
            float noise = l == 0   ? la[t] - ra[t]
                          : l == 1 ? ll[t] - ra[t]
                                   : v[t] - (ra[t] + la[t] + ll[t]) / 3;
            out[t] = x * xyz[t] + y * xyz[count + t] + z * xyz[2 * count + t] + noise;
        }
    }
}

enum err_code synth_make(const struct synth_plan *plan, struct synth_ecg *out, struct err *e)
{
    memset(out, 0, sizeof *out);
    arena_init(&out->arena, "synth", 0);
    out->plan = *plan;
    struct rhythm_request *q = &out->plan.rhythm;
    if (!(q->duration_s >= SYNTH_DURATION_MIN_S && q->duration_s <= SYNTH_DURATION_MAX_S))
        FAIL(e, ERR_USAGE, "duration of %g s: expected %d to %d", q->duration_s,
             SYNTH_DURATION_MIN_S, SYNTH_DURATION_MAX_S);
    int64_t count = synth_sample_count(out, FINE_HZ) + 2 * MARGIN;
    out->fine_count = count;
    out->eight = arena_push_array(&out->arena, (size_t)count, HEART_LEADS * sizeof(float));
    float *xyz = arena_push_array(&out->arena, (size_t)count, 3 * sizeof(float));
    float *electrodes =
        arena_push_array(&out->arena, (size_t)count, ELECTRODE_COUNT * sizeof(float));
    if (out->eight == NULL || xyz == NULL || electrodes == NULL)
        FAIL(e, ERR_MEMORY, "no memory for %g s of ECG", q->duration_s);

    struct hearts hearts;
    hearts_make(plan, &hearts);
    q->pr_s = heart_pr(&hearts.conducted, q->rate_bpm);
    struct rng r = draw_at(plan->seed, DRAW_BEATS + 1000, plan->index);
    TRY(rhythm_make(q, &r, &out->arena, &out->rhythm_made, e));
    beats_add(&out->plan, &hearts, &out->rhythm_made, count, xyz);
    r = draw_at(plan->seed, DRAW_ATRIA, plan->index);
    rhythm_add_atrial_waves(&out->rhythm_made, &r, FINE_HZ, MARGIN, count, xyz);

    r = draw_at(plan->seed, DRAW_NOISE, plan->index);
    noise_draw(&out->noise, plan->noise_level, q->duration_s, &r);
    for (int i = 0; i < ELECTRODE_COUNT && plan->noise_level > 0; i++) {
        r = draw_at(plan->seed, DRAW_ELECTRODE + i, plan->index);
        noise_add_electrode(&out->noise, (enum electrode)i, &out->rhythm_made, &r, FINE_HZ, MARGIN,
                            count, electrodes + i * count);
    }
    eight_leads(&hearts, xyz, electrodes, count, out->eight);

    bool p_waves = out->rhythm_made.atria == ATRIA_BEAT && q->kind != RHYTHM_TACHYCARDIA &&
                   q->kind != RHYTHM_PACED;
    double rate = rhythm_rate(&out->rhythm_made, q->duration_s);
    const struct heart *read = q->kind == RHYTHM_PACED ? &hearts.paced : &hearts.conducted;
    reading_measure(read, &hearts.field, rate > 0 ? rate : q->rate_bpm, p_waves ? q->pr_s : -1,
                    &out->reading);
    struct reading_context context = {plan->findings, plan->finding_count, q, plan->age_years};
    r = draw_at(plan->seed, DRAW_READER, plan->index);
    out->statement_count = reading_statements(&out->reading, &context, &r, out->statements);
    return ERR_OK;
}

void synth_free(struct synth_ecg *ecg)
{
    arena_reset(&ecg->arena);
    memset(ecg, 0, sizeof *ecg);
}

int64_t synth_sample_count(const struct synth_ecg *ecg, int rate_hz)
{
    return (int64_t)floor(ecg->plan.rhythm.duration_s * COARSE_HZ + 0.5) * (rate_hz / COARSE_HZ);
}

enum err_code synth_leads(const struct synth_ecg *ecg, int rate_hz, float *out, struct err *e)
{
    ASSERT(rate_hz == FINE_HZ || rate_hz == COARSE_HZ, "rate of %d Hz", rate_hz);
    static const enum ecg_lead rows[HEART_LEADS] = {LEAD_I,  LEAD_II, LEAD_V1, LEAD_V2,
                                                    LEAD_V3, LEAD_V4, LEAD_V5, LEAD_V6};
    int64_t count = synth_sample_count(ecg, rate_hz), stride = ecg->fine_count;
    float *coarse = NULL;
    if (rate_hz == COARSE_HZ) {
        stride = resample_length(ecg->fine_count, FINE_HZ, COARSE_HZ);
        coarse = malloc((size_t)(HEART_LEADS * stride) * sizeof *coarse);
        if (coarse == NULL)
            FAIL(e, ERR_MEMORY, "no memory for %lld samples", (long long)stride);
        enum err_code code =
            resample(coarse, ecg->eight, HEART_LEADS, ecg->fine_count, FINE_HZ, COARSE_HZ, e);
        if (code != ERR_OK) {
            free(coarse);
            return code;
        }
    }
    const float *from = (coarse != NULL ? coarse : ecg->eight) + MARGIN * rate_hz / FINE_HZ;
    for (int l = 0; l < HEART_LEADS; l++)
        memcpy(out + rows[l] * count, from + l * stride, (size_t)count * sizeof *out);
    free(coarse);
    const float *one = out + LEAD_I * count, *two = out + LEAD_II * count;
    for (int64_t t = 0; t < count; t++) {
        out[LEAD_III * count + t] = two[t] - one[t];
        out[LEAD_AVR * count + t] = -0.5f * (one[t] + two[t]);
        out[LEAD_AVL * count + t] = one[t] - 0.5f * two[t];
        out[LEAD_AVF * count + t] = two[t] - 0.5f * one[t];
    }
    return ERR_OK;
}
