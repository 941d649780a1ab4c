#include "signal/synth_finding.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

/* Direction from the middle of the heart to each wall, and when that wall is activated. */
static const struct {
    double toward[3];
    double center_s, loss_mv;
} walls[WALL_COUNT] = {
    [WALL_INFERIOR] = {{0.00, 1.00, 0.10}, 0.025, 0.62},
    [WALL_SEPTAL] = {{0.00, 0.00, -1.00}, 0.020, 0.62},
    [WALL_ANTERIOR] = {{0.35, 0.05, -0.93}, 0.027, 0.72},
    [WALL_LATERAL] = {{0.97, -0.10, 0.05}, 0.029, 0.70},
    [WALL_POSTERIOR] = {{0.10, 0.05, 0.98}, 0.047, 0.80},
};

static void push(double v[3], const double direction[3], double size)
{
    for (int k = 0; k < 3; k++)
        v[k] += size * direction[k];
}

static void scale(double v[3], double gain)
{
    for (int k = 0; k < 3; k++)
        v[k] *= gain;
}

/* Unit vector toward the middle of the walls of a row. */
static void row_direction(const struct finding_row *row, double toward[3])
{
    memset(toward, 0, 3 * sizeof *toward);
    for (int i = 0; i < WALL_COUNT; i++)
        push(toward, walls[i].toward, row->walls[i]);
    double size = sqrt(toward[0] * toward[0] + toward[1] * toward[1] + toward[2] * toward[2]);
    if (size > 0)
        scale(toward, 1 / size);
}

static void turn_frontal(double v[3], double degrees)
{
    double turn[9];
    heart_turn(degrees, 0, 0, turn);
    double x = v[0], y = v[1];
    v[0] = turn[0] * x + turn[1] * y;
    v[1] = turn[3] * x + turn[4] * y;
}

static void stretch(struct heart *h, double factor)
{
    for (int i = 0; i < h->qrs_count; i++) {
        h->qrs[i].center_s *= factor;
        h->qrs[i].width_s *= factor;
    }
}

static void part_set(struct heart *h, enum heart_part part, double center_s, double width_s,
                     double x, double y, double z)
{
    /* Keeps what this person's wave differs from the usual in size. */
    struct heart normal;
    heart_normal(&normal);
    const double *now = h->qrs[part].v, *usual = normal.qrs[part].v;
    double ratio = sqrt((now[0] * now[0] + now[1] * now[1] + now[2] * now[2]) /
                        (usual[0] * usual[0] + usual[1] * usual[1] + usual[2] * usual[2]));
    ratio = fmin(fmax(ratio, 0.6), 1.6);
    h->qrs[part] = (struct heart_wave){center_s, width_s, {x * ratio, y * ratio, z * ratio}};
}

/* ---- chambers ---- */

static void left_ventricle(struct heart *h, const struct finding_row *row, double s, double variant)
{
    (void)row;
    double gain = 1.15 + 0.75 * s;
    scale(h->qrs[PART_LEFT].v, gain);
    scale(h->qrs[PART_BASE].v, gain * (1 + 0.15 * s));
    scale(h->qrs[PART_APEX].v, 1 + 0.2 * s);
    h->qrs[PART_LEFT].v[AXIS_Z] += 0.25 * s;
    h->qrs[PART_LEFT].center_s += 0.006 * s;
    h->qrs[PART_BASE].center_s += 0.008 * s;
    h->qrs[PART_LEFT].width_s *= 1 + 0.12 * s;
    h->axis_shift_deg -= 12 * s * variant;
    scale(h->p[ATRIUM_LEFT].v, 1 + 0.5 * s * variant);
    /* Strain beyond what the gradient gives: the inner layers lack blood. */
    static const double strain[3] = {-0.75, -0.35, 0.25};
    push(h->t, strain, 0.22 * s * s);
    push(h->st, strain, 0.11 * s * s);
}

static void right_ventricle(struct heart *h, const struct finding_row *row, double s,
                            double variant)
{
    (void)row;
    (void)variant;
    part_set(h, PART_RIGHT, 0.046, 0.011, -0.25 - 0.45 * s, 0.10 + 0.25 * s, -0.25 - 0.65 * s);
    scale(h->qrs[PART_LEFT].v, 1 - 0.28 * s);
    scale(h->qrs[PART_BASE].v, 1 - 0.75 * s);
    h->axis_shift_deg += 26 + 10 * s;
    h->axis_freedom = 0.4;
    scale(h->p[ATRIUM_RIGHT].v, 1 + 0.5 * s);
}

static void septum(struct heart *h, const struct finding_row *row, double s, double variant)
{
    (void)row;
    (void)variant;
    scale(h->qrs[PART_SEPTUM].v, 1.8 + 2.2 * s);
    h->qrs[PART_SEPTUM].v[AXIS_X] -= 0.22 * s;
    h->qrs[PART_SEPTUM].v[AXIS_Y] -= 0.16 * s;
    h->qrs[PART_SEPTUM].width_s *= 1.1;
    scale(h->qrs[PART_LEFT].v, 1 + 0.2 * s);
}

static void left_atrium(struct heart *h, const struct finding_row *row, double s, double variant)
{
    (void)row;
    (void)variant;
    struct heart_wave *w = &h->p[ATRIUM_LEFT];
    scale(w->v, 1.15 + 0.6 * s);
    w->v[AXIS_Z] += 0.015 + 0.055 * s;
    w->center_s += 0.010 + 0.018 * s;
    h->pr_s += 0.012 * s;
}

static void right_atrium(struct heart *h, const struct finding_row *row, double s, double variant)
{
    (void)row;
    (void)variant;
    struct heart_wave *w = &h->p[ATRIUM_RIGHT];
    scale(w->v, 1.4 + 1.0 * s);
    w->v[AXIS_Y] += 0.04 * s;
    w->center_s += 0.006;
    h->p[ATRIUM_LEFT].center_s -= 0.006;
}

/* ---- conduction ---- */

static void incomplete_right_bundle(struct heart *h, const struct finding_row *row, double s,
                                    double variant)
{
    (void)row;
    (void)variant;
    part_set(h, PART_RIGHT, 0.066 + 0.012 * s, 0.0085 + 0.002 * s, -0.10 - 0.17 * s, -0.02,
             -0.16 - 0.24 * s);
    scale(h->qrs[PART_TERMINAL].v, 0.5);
    scale(h->qrs[PART_BASE].v, 0.85);
}

static void right_bundle(struct heart *h, const struct finding_row *row, double s, double variant)
{
    (void)row;
    part_set(h, PART_RIGHT, 0.088 + 0.016 * s, 0.0145 + 0.003 * s, -0.34 - 0.20 * s,
             0.05 - 0.12 * variant, -0.42 - 0.32 * s);
    scale(h->qrs[PART_TERMINAL].v, 0.3);
    scale(h->qrs[PART_BASE].v, 0.80);
    h->qtc_s += 0.015;
}

static void incomplete_left_bundle(struct heart *h, const struct finding_row *row, double s,
                                   double variant)
{
    (void)row;
    (void)variant;
    part_set(h, PART_SEPTUM, 0.018, 0.008, 0.10, 0.05, -0.02);
    stretch(h, 1.08 + 0.10 * s);
    h->qrs[PART_LEFT].v[AXIS_Z] += 0.25;
    h->qrs[PART_BASE].center_s += 0.006;
}

static void left_bundle(struct heart *h, const struct finding_row *row, double s, double variant)
{
    (void)row;
    double slow = 1 + 0.16 * s, up = 0.30 * variant;
    part_set(h, PART_SEPTUM, 0.018 * slow, 0.0080, 0.10, 0.06, -0.03);
    part_set(h, PART_APEX, 0.036 * slow, 0.0120, 0.36, 0.20, 0.18);
    part_set(h, PART_RIGHT, 0.024, 0.0080, -0.02, 0.03, -0.10);
    part_set(h, PART_LEFT, 0.064 * slow, 0.0165, 0.95, 0.28 - up, 1.30);
    part_set(h, PART_BASE, 0.098 * slow, 0.0165, 0.95, 0.00 - up, 1.45);
    part_set(h, PART_TERMINAL, 0.122 * slow, 0.0100, 0.10, -0.02, 0.10);
    h->qtc_s += 0.030;
}

static void slow_muscle(struct heart *h, const struct finding_row *row, double s, double variant)
{
    (void)row;
    stretch(h, 1.25 + 0.30 * s);
    double side = variant < 0.5 ? -1 : 1;
    heart_qrs_add(h, 0.045, 0.006, 0.18 * side, -0.12, 0.14);
    heart_qrs_add(h, 0.085 + 0.012 * s, 0.009, 0.20 * side, 0.10 * side, 0.24 * side);
    h->qtc_s += 0.015;
}

static void anterior_fascicle(struct heart *h, const struct finding_row *row, double s,
                              double variant)
{
    (void)row;
    (void)variant;
    static const double first[3] = {-0.10, 0.24, 0.02};
    push(h->qrs[PART_SEPTUM].v, first, 0.6 + 0.5 * s);
    double degrees = -(58 + 30 * s);
    turn_frontal(h->qrs[PART_APEX].v, 0.6 * degrees);
    turn_frontal(h->qrs[PART_LEFT].v, degrees);
    turn_frontal(h->qrs[PART_BASE].v, degrees);
    turn_frontal(h->qrs[PART_TERMINAL].v, degrees);
    h->qrs[PART_BASE].v[AXIS_Y] -= 0.22;
    h->qrs[PART_LEFT].center_s += 0.005;
    h->qrs[PART_BASE].center_s += 0.007;
    h->axis_freedom = 0.35;
}

static void posterior_fascicle(struct heart *h, const struct finding_row *row, double s,
                               double variant)
{
    (void)row;
    (void)variant;
    static const double first[3] = {0.20, -0.20, 0.00};
    push(h->qrs[PART_SEPTUM].v, first, 0.6 + 0.5 * s);
    double degrees = 52 + 26 * s;
    turn_frontal(h->qrs[PART_APEX].v, 0.5 * degrees);
    turn_frontal(h->qrs[PART_LEFT].v, degrees);
    turn_frontal(h->qrs[PART_BASE].v, degrees);
    h->qrs[PART_LEFT].center_s += 0.005;
    h->qrs[PART_BASE].center_s += 0.007;
    h->axis_freedom = 0.35;
}

static void accessory_pathway(struct heart *h, const struct finding_row *row, double s,
                              double variant)
{
    (void)row;
    double ahead = 0.020 + 0.022 * s;
    for (int i = 0; i < h->qrs_count; i++)
        h->qrs[i].center_s += ahead;
    scale(h->qrs[PART_SEPTUM].v, 1 - 0.8 * s); /* the septum is met from both sides */
    /* Left lateral, posteroseptal, right sided. */
    static const double from[3][3] = {{0.30, 0.45, -0.45},
                                      {0.60, -0.30, -0.35},
                                      {0.70, 0.10, 0.25}};
    const double *v = from[variant < 0.4 ? 0 : variant < 0.75 ? 1 : 2];
    double size = 0.25 + 0.25 * s; /* a ramp that runs into the QRS complex */
    for (int i = 0; i < 3; i++) {
        double gain = size * (0.7 + 0.35 * i);
        heart_qrs_add(h, 0.018 + i * (0.008 + 0.4 * ahead), 0.0095, gain * v[0], gain * v[1],
                      gain * v[2]);
    }
    h->pr_s = 0.122 - 0.026 * s;
}

static void first_degree(struct heart *h, const struct finding_row *row, double s, double variant)
{
    (void)row;
    (void)variant;
    h->pr_s = 0.204 + 0.5 * (h->pr_s - 0.16) + 0.10 * s;
}

static void second_degree(struct heart *h, const struct finding_row *row, double s, double variant)
{
    (void)row;
    (void)variant;
    h->pr_s += 0.02 + 0.02 * s; /* dropped beats: synth_rhythm.c */
}

static void third_degree(struct heart *h, const struct finding_row *row, double s, double variant)
{
    (void)row;
    if (s > 0.5) { /* escape from below the bundle: broad */
        stretch(h, 1.35);
        heart_qrs_add(h, 0.080, 0.012, variant < 0.5 ? -0.35 : 0.45, -0.2,
                      variant < 0.5 ? -0.5 : 0.6);
    }
}

/* ---- infarct ---- */

enum infarct_age infarct_age(double variant)
{
    return variant < 0.62 ? INFARCT_OLD : variant < 0.90 ? INFARCT_RECENT : INFARCT_ACUTE;
}

static void infarct(struct heart *h, const struct finding_row *row, double s, double variant)
{
    for (int i = 0; i < WALL_COUNT; i++) {
        double loss = row->walls[i] * walls[i].loss_mv * (0.08 + 0.92 * s);
        const double *v = walls[i].toward;
        if (loss == 0)
            continue;
        double early = walls[i].center_s, late = early + 0.015;
        heart_qrs_add(h, early, 0.0100, -loss * v[0], -loss * v[1], -loss * v[2]);
        loss *= 0.45;
        heart_qrs_add(h, late, 0.0090, -loss * v[0], -loss * v[1], -loss * v[2]);
    }
    /* Current of injury points at the wall; its recovery, late, points away. */
    static const double st[] = {0.015, 0.06, 0.20}, t[] = {-0.16, -0.46, 0.15};
    double toward[3];
    row_direction(row, toward);
    enum infarct_age age = infarct_age(variant);
    push(h->st, toward, st[age] * (0.3 + 0.7 * s));
    push(h->t, toward, t[age] * (0.25 + 0.75 * s));
    scale(h->t, 1 - 0.15 * s);
}

static void subendocardial_injury(struct heart *h, const struct finding_row *row, double s,
                                  double variant)
{
    double toward[3];
    row_direction(row, toward);
    push(h->st, toward, -(0.05 + 0.12 * s));
    push(h->t, toward, -(0.05 + 0.25 * s * variant));
    scale(h->t, 1 - 0.25 * s);
}

static void aneurysm(struct heart *h, const struct finding_row *row, double s, double variant)
{
    infarct(h, row, 0.4 + 0.5 * s, 0);
    double toward[3];
    row_direction(row, toward);
    push(h->st, toward, 0.07 + 0.10 * s);
    push(h->t, toward, -0.20 * s * variant);
}

/* ---- recovery ---- */

static void ischemia(struct heart *h, const struct finding_row *row, double s, double variant)
{
    double toward[3];
    row_direction(row, toward);
    /* What T this wall had is lost with severity, whatever its size was. */
    double along = h->t[0] * toward[0] + h->t[1] * toward[1] + h->t[2] * toward[2];
    push(h->t, toward, -(0.14 + 0.40 * s) - 0.6 * s * fmax(along, 0));
    push(h->st, toward, -(0.02 + 0.07 * s * variant));
    h->qtc_s += 0.015 * s;
}

static void ischemia_anywhere(struct heart *h, const struct finding_row *row, double s,
                              double variant)
{
    (void)row;
    /* From lateral through apical to inferior. */
    double toward[3] = {0.95 - 0.6 * variant, 0.25 + 0.6 * variant, -0.35 + 0.3 * variant};
    push(h->t, toward, -(0.16 + 0.32 * s));
    push(h->st, toward, -(0.04 + 0.07 * s));
}

static void low_t(struct heart *h, const struct finding_row *row, double s, double variant)
{
    (void)row;
    scale(h->t, 1 - (0.25 + 0.60 * s));
    static const double away[3] = {-0.8, -0.5, 0.1};
    push(h->t, away, 0.10 * s * variant);
}

static void st_change(struct heart *h, const struct finding_row *row, double s, double variant)
{
    (void)row;
    double x = -0.9 + 0.5 * variant, y = -0.3 - 0.5 * variant, z = 0.35 - 0.3 * variant;
    double away[3] = {x, y, z};
    push(h->st, away, 0.030 + 0.065 * s);
    scale(h->t, 1 - 0.30 * s);
}

static void digitalis(struct heart *h, const struct finding_row *row, double s, double variant)
{
    (void)row;
    (void)variant;
    static const double away[3] = {-0.80, -0.40, 0.15};
    push(h->st, away, 0.05 + 0.09 * s);
    scale(h->t, 1 - 0.55 * s);
    h->qtc_s -= 0.030 * s;
    h->pr_s += 0.015 * s;
}

static void long_qt(struct heart *h, const struct finding_row *row, double s, double variant)
{
    (void)row;
    h->qtc_s += 0.040 + 0.085 * s;
    h->t_width *= 1 + 0.25 * s * variant;
}

static void electrolytes(struct heart *h, const struct finding_row *row, double s, double variant)
{
    (void)row;
    static const double away[3] = {-0.80, -0.40, 0.20}, u[3] = {0.10, 0.06, -0.10};
    if (variant < 0.55) { /* little potassium: flat T, tall U */
        scale(h->t, 1 - 0.75 * s);
        push(h->u, u, 0.3 + 1.0 * s);
        push(h->st, away, 0.02 + 0.05 * s);
        h->qtc_s += 0.010;
    } else { /* much: tall narrow T, low P, slow muscle */
        scale(h->t, 1.25 + 1.0 * s);
        h->t_width *= 1 - 0.28 * s;
        scale(h->p[ATRIUM_LEFT].v, 1 - 0.5 * s);
        scale(h->p[ATRIUM_RIGHT].v, 1 - 0.5 * s);
        stretch(h, 1 + 0.14 * s);
    }
}

/* ---- the table ---- */

#define INF [WALL_INFERIOR]
#define SEP [WALL_SEPTAL]
#define ANT [WALL_ANTERIOR]
#define LAT [WALL_LATERAL]
#define POS [WALL_POSTERIOR]

/* Shares follow PTB-XL, but rare statements are made less rare. */
const struct finding_row finding_rows[] = {
    {"IMI", STAGE_INFARCT, 30, 0.15, false, infarct, {INF = 1}},
    {"ASMI", STAGE_INFARCT, 27, 0.15, false, infarct, {SEP = 1, ANT = 0.15}},
    {"AMI", STAGE_INFARCT, 5, 0.15, false, infarct, {SEP = 0.3, ANT = 0.9}},
    {"ALMI", STAGE_INFARCT, 4, 0.15, false, infarct, {ANT = 0.8, LAT = 0.7}},
    {"ILMI", STAGE_INFARCT, 7, 0.15, false, infarct, {INF = 0.9, LAT = 0.6}},
    {"LMI", STAGE_INFARCT, 3.5, 0.15, false, infarct, {LAT = 1}},
    {"IPLMI", STAGE_INFARCT, 2, 0.15, false, infarct, {INF = 0.9, LAT = 0.5, POS = 0.8}},
    {"IPMI", STAGE_INFARCT, 2, 0.15, false, infarct, {INF = 0.9, POS = 0.8}},
    {"PMI", STAGE_INFARCT, 2, 0.15, false, infarct, {POS = 1}},
    {"INJAS", STAGE_RECOVERY, 4, 0, false, subendocardial_injury, {SEP = 1, ANT = 0.4}},
    {"INJAL", STAGE_RECOVERY, 3, 0, false, subendocardial_injury, {ANT = 0.7, LAT = 0.8}},
    {"INJIN", STAGE_RECOVERY, 1.5, 0, false, subendocardial_injury, {INF = 1}},
    {"INJLA", STAGE_RECOVERY, 1.5, 0, false, subendocardial_injury, {LAT = 1}},
    {"INJIL", STAGE_RECOVERY, 1.5, 0, false, subendocardial_injury, {INF = 0.8, LAT = 0.8}},

    {"NDT", STAGE_RECOVERY, 28, 0, false, low_t, {0}},
    {"NST_", STAGE_RECOVERY, 15, 0, false, st_change, {0}},
    {"ISC_", STAGE_RECOVERY, 20, 0, false, ischemia_anywhere, {0}},
    {"ISCAL", STAGE_RECOVERY, 11, 0, false, ischemia, {ANT = 0.7, LAT = 0.8}},
    {"ISCIN", STAGE_RECOVERY, 4, 0, false, ischemia, {INF = 1}},
    {"ISCIL", STAGE_RECOVERY, 4, 0, false, ischemia, {INF = 0.8, LAT = 0.8}},
    {"ISCAS", STAGE_RECOVERY, 3.5, 0, false, ischemia, {SEP = 1, ANT = 0.5}},
    {"ISCLA", STAGE_RECOVERY, 3, 0, false, ischemia, {LAT = 1}},
    {"ISCAN", STAGE_RECOVERY, 2, 0, false, ischemia, {ANT = 1}},
    {"DIG", STAGE_RECOVERY, 4, 0, false, digitalis, {0}},
    {"LNGQT", STAGE_RECOVERY, 4, 0, false, long_qt, {0}},
    {"ANEUR", STAGE_INFARCT, 2.5, 0.15, false, aneurysm, {SEP = 0.6, ANT = 0.9}},
    {"EL", STAGE_RECOVERY, 3, 0, false, electrolytes, {0}},

    {"LAFB", STAGE_CONDUCTION, 25, 0.35, false, anterior_fascicle, {0}},
    {"IRBBB", STAGE_CONDUCTION, 18, 0.5, false, incomplete_right_bundle, {0}},
    {"CRBBB", STAGE_CONDUCTION, 12, 0.75, false, right_bundle, {0}},
    {"CLBBB", STAGE_CONDUCTION, 12, 0.50, false, left_bundle, {0}},
    {"1AVB", STAGE_CONDUCTION, 13, 0, true, first_degree, {0}},
    {"IVCD", STAGE_CONDUCTION, 12, 0.5, false, slow_muscle, {0}},
    {"LPFB", STAGE_CONDUCTION, 4, 0.35, false, posterior_fascicle, {0}},
    {"WPW", STAGE_CONDUCTION, 3, 0.45, true, accessory_pathway, {0}},
    {"ILBBB", STAGE_CONDUCTION, 3, 0.5, false, incomplete_left_bundle, {0}},
    {"3AVB", STAGE_CONDUCTION, 2, 0.6, true, third_degree, {0}},
    {"2AVB", STAGE_CONDUCTION, 2, 0, true, second_degree, {0}},

    {"LVH", STAGE_CHAMBER, 62, 0.38, false, left_ventricle, {0}},
    {"LAO/LAE", STAGE_CHAMBER, 17, 0, true, left_atrium, {0}},
    {"RVH", STAGE_CHAMBER, 9, 0.6, false, right_ventricle, {0}},
    {"RAO/RAE", STAGE_CHAMBER, 8, 0, true, right_atrium, {0}},
    {"SEHYP", STAGE_CHAMBER, 4, 0.2, false, septum, {0}},
};
const int finding_row_count = sizeof finding_rows / sizeof *finding_rows;

const struct finding_row *finding_find(const char *code)
{
    for (int i = 0; i < finding_row_count; i++)
        if (strcmp(finding_rows[i].code, code) == 0)
            return &finding_rows[i];
    return NULL;
}

static bool row_in_class(const struct finding_row *row, const char *class)
{
    return strcmp(statement_find(row->code)->class, class) == 0;
}

const struct finding_row *finding_pick(const char *class, double u)
{
    double total = 0;
    for (int i = 0; i < finding_row_count; i++)
        if (row_in_class(&finding_rows[i], class))
            total += finding_rows[i].share;
    const struct finding_row *picked = NULL;
    double rest = u * total;
    for (int i = 0; i < finding_row_count && (picked == NULL || rest >= 0); i++)
        if (row_in_class(&finding_rows[i], class)) {
            picked = &finding_rows[i];
            rest -= picked->share;
        }
    return picked;
}

void findings_apply(const struct finding *findings, int count, struct heart *h)
{
    for (int stage = 0; stage < STAGE_COUNT; stage++)
        for (int i = 0; i < count; i++) {
            const struct finding_row *row = findings[i].row;
            if ((int)row->stage != stage)
                continue;
            double area[3];
            heart_qrs_area(h, area);
            row->apply(h, row, findings[i].severity, findings[i].variant);
            /* Recovery follows the changed activation, as far as it does in this disease. */
            heart_follow_gradient(h, area, row->gradient);
        }
}
