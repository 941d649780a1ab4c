#include "signal/synth_heart.h"

#include <math.h>
#include <string.h>

#include "base/err.h"

#define SQRT_2PI 2.5066282746310002
#define RADIANS (3.14159265358979323846 / 180)

/* T is a slow rise and a faster fall: two Gaussians, as shares of the peak and of a QT of 0.4 s. */
#define T_FALL_SHARE 0.75
#define T_FALL_WIDTH_S 0.038
#define T_RISE_SHARE 0.42
#define T_RISE_WIDTH_S 0.050
#define T_RISE_LEAD_S 0.055
#define QT_REFERENCE_S 0.4
#define T_AREA_S (SQRT_2PI * (T_FALL_SHARE * T_FALL_WIDTH_S + T_RISE_SHARE * T_RISE_WIDTH_S))

void heart_normal(struct heart *h)
{
    static const struct heart normal = {
        .p = {[ATRIUM_RIGHT] = {0.036, 0.0150, {0.022, 0.075, -0.045}},
              [ATRIUM_LEFT] = {0.070, 0.0160, {0.058, 0.045, 0.030}}},
        .pr_s = 0.160,
        .qrs = {[PART_SEPTUM] = {0.014, 0.0055, {-0.10, -0.06, -0.20}},
                [PART_APEX] = {0.027, 0.0070, {0.50, 0.26, -0.24}},
                [PART_RIGHT] = {0.036, 0.0090, {-0.08, 0.03, -0.06}},
                [PART_LEFT] = {0.040, 0.0085, {1.24, 0.50, 0.34}},
                [PART_BASE] = {0.053, 0.0088, {0.10, 0.02, 0.67}},
                [PART_TERMINAL] = {0.068, 0.0090, {-0.22, -0.14, 0.20}}},
        .qrs_count = PART_COUNT,
        .st = {0.010, 0.005, -0.015},
        .t = {0.36, 0.15, -0.22},
        .u = {0.008, 0.006, -0.010},
        .t_width = 1,
        .qtc_s = 0.410,
        .axis_freedom = 1,
    };
    *h = normal;
}

static void vary_vector(double v[3], struct rng *r, double spread)
{
    double size = sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
    double gain = exp(spread * rng_normal(r));
    for (int k = 0; k < 3; k++)
        v[k] = v[k] * gain + 0.6 * spread * size * rng_normal(r);
}

void heart_vary(struct heart *h, struct rng *r)
{
    double slowness = exp(0.05 * rng_normal(r));
    for (int i = 0; i < PART_COUNT; i++) {
        struct heart_wave *w = &h->qrs[i];
        vary_vector(w->v, r, 0.20);
        w->center_s *= slowness * (1 + 0.03 * rng_normal(r));
        w->width_s *= slowness * exp(0.07 * rng_normal(r));
    }
    /* Notches: small delayed patches of muscle. */
    for (int i = 0; i < 2; i++) {
        double size = 0.06 * fabs(rng_normal(r));
        double x = size * rng_normal(r), y = size * rng_normal(r), z = size * rng_normal(r);
        heart_qrs_add(h, rng_between(r, 0.020, 0.075), rng_between(r, 0.0030, 0.0050), x, y, z);
    }
    for (int i = 0; i < ATRIUM_COUNT; i++) {
        vary_vector(h->p[i].v, r, 0.22);
        h->p[i].center_s *= 1 + 0.06 * rng_normal(r);
        h->p[i].width_s *= exp(0.08 * rng_normal(r));
    }
    vary_vector(h->t, r, 0.24);
    h->t[AXIS_Z] += 0.06 * rng_normal(r);
    for (int k = 0; k < 3; k++) {
        h->st[k] += 0.010 * rng_normal(r);
        h->u[k] *= 2 * rng_uniform(r);
    }
    h->t_width *= exp(0.08 * rng_normal(r));
    h->pr_s *= exp(0.10 * rng_normal(r));
    h->qtc_s += 0.016 * rng_normal(r);
}

void heart_qrs_add(struct heart *h, double center_s, double width_s, double x, double y, double z)
{
    ASSERT(h->qrs_count < HEART_QRS_MAX, "a QRS complex of more than %d waves", HEART_QRS_MAX);
    h->qrs[h->qrs_count++] = (struct heart_wave){center_s, width_s, {x, y, z}};
}

void heart_qrs_area(const struct heart *h, double area[3])
{
    memset(area, 0, 3 * sizeof *area);
    for (int i = 0; i < h->qrs_count; i++)
        for (int k = 0; k < 3; k++)
            area[k] += SQRT_2PI * h->qrs[i].width_s * h->qrs[i].v[k];
}

void heart_follow_gradient(struct heart *h, const double area_before[3], double share)
{
    double area[3];
    heart_qrs_area(h, area);
    for (int k = 0; k < 3; k++) {
        double change = share * (area_before[k] - area[k]) / (T_AREA_S * h->t_width);
        h->t[k] += change;
        h->st[k] += 0.12 * change; /* recovery begins before activation has ended everywhere */
    }
}

static void turn_vector(const double turn[9], double v[3])
{
    double x = v[0], y = v[1], z = v[2];
    for (int k = 0; k < 3; k++)
        v[k] = turn[3 * k] * x + turn[3 * k + 1] * y + turn[3 * k + 2] * z;
}

static void turn_plane(double turn[9], int from, int to, double degrees)
{
    double c = cos(degrees * RADIANS), s = sin(degrees * RADIANS);
    for (int k = 0; k < 3; k++) {
        double a = turn[3 * from + k], b = turn[3 * to + k];
        turn[3 * from + k] = c * a - s * b;
        turn[3 * to + k] = s * a + c * b;
    }
}

void heart_turn(double frontal_deg, double horizontal_deg, double sagittal_deg, double turn[9])
{
    for (int i = 0; i < 9; i++)
        turn[i] = i % 4 == 0;
    turn_plane(turn, AXIS_X, AXIS_Y, frontal_deg);
    turn_plane(turn, AXIS_X, AXIS_Z, horizontal_deg);
    turn_plane(turn, AXIS_Y, AXIS_Z, sagittal_deg);
}

static void scale_vector(double v[3], double gain)
{
    for (int k = 0; k < 3; k++)
        v[k] *= gain;
}

void heart_orient(struct heart *h, double frontal_deg, double horizontal_deg, double sagittal_deg,
                  double gain)
{
    double turn[9];
    double frontal = frontal_deg * h->axis_freedom + h->axis_shift_deg;
    heart_turn(frontal, horizontal_deg, sagittal_deg, turn);
    for (int i = 0; i < h->qrs_count; i++) {
        turn_vector(turn, h->qrs[i].v);
        scale_vector(h->qrs[i].v, gain);
    }
    /* The atria and recovery turn less than the ventricles' activation, and differ less in size. */
    heart_turn(0.5 * frontal, 0.5 * horizontal_deg, 0.5 * sagittal_deg, turn);
    double recovery_gain = pow(gain, 0.8), atrial_gain = pow(gain, 0.4);
    turn_vector(turn, h->st);
    turn_vector(turn, h->t);
    turn_vector(turn, h->u);
    scale_vector(h->st, recovery_gain);
    scale_vector(h->t, recovery_gain);
    scale_vector(h->u, recovery_gain);
    for (int i = 0; i < ATRIUM_COUNT; i++) {
        turn_vector(turn, h->p[i].v);
        scale_vector(h->p[i].v, atrial_gain);
    }
}

/* Activation through muscle instead of the conduction system: slow, from one place, along a path
 * that bends. */
static void spread_from(struct heart *h, const double direction[3], double size)
{
    double area[3];
    heart_qrs_area(h, area);
    double x = direction[0] * size, y = direction[1] * size, z = direction[2] * size;
    h->qrs_count = 0;
    heart_qrs_add(h, 0.034, 0.015, 0.45 * x - 0.10 * z, 0.60 * y, 0.45 * z + 0.10 * x);
    heart_qrs_add(h, 0.068, 0.019, 1.05 * x, 1.00 * y, 0.85 * z);
    heart_qrs_add(h, 0.106, 0.018, 0.70 * x - 0.15 * y, 0.65 * y + 0.15 * x, 1.00 * z);
    heart_follow_gradient(h, area, 0.62);
    h->qtc_s += 0.035;
    h->t_width *= 1.1;
}

void heart_make_ventricular(struct heart *h, struct rng *r)
{
    /* From the right ventricle (to the left and back) in two of three, else from the left. */
    double direction[3];
    bool from_right = rng_uniform(r) < 0.65;
    direction[AXIS_X] = from_right ? rng_between(r, 0.4, 1.0) : rng_between(r, -1.0, -0.2);
    direction[AXIS_Y] = rng_between(r, -0.9, 1.0);
    direction[AXIS_Z] = from_right ? rng_between(r, 0.3, 1.0) : rng_between(r, -1.0, -0.4);
    spread_from(h, direction, rng_between(r, 0.9, 1.5));
}

void heart_make_paced(struct heart *h)
{
    static const double direction[3] = {0.60, -0.85, 0.75};
    spread_from(h, direction, 1.15);
    h->spike_mv = 2.5;
}

double heart_qt(const struct heart *h, double rr_s) { return h->qtc_s * cbrt(rr_s); }

double heart_pr(const struct heart *h, double rate_bpm)
{
    return fmax(h->pr_s - 0.0004 * (rate_bpm - 60), 0.09);
}

static double qrs_end(const struct heart *h)
{
    double end = 0;
    for (int i = 0; i < h->qrs_count; i++)
        end = fmax(end, h->qrs[i].center_s + 1.8 * h->qrs[i].width_s);
    return end;
}

static void wave_put(struct heart_wave *w, double center_s, double width_s, const double v[3],
                     double gain)
{
    *w = (struct heart_wave){center_s, width_s, {gain * v[0], gain * v[1], gain * v[2]}};
}

int heart_beat(const struct heart *h, double rr_s, double pr_s, bool with_qrs,
               struct heart_wave out[HEART_BEAT_MAX])
{
    int n = 0;
    if (pr_s >= 0 || !with_qrs) {
        double onset = with_qrs ? -pr_s : 0;
        for (int i = 0; i < ATRIUM_COUNT; i++) {
            wave_put(&out[n++], onset + h->p[i].center_s, h->p[i].width_s, h->p[i].v, 1);
            /* Recovery of the atria: long, low and opposite. */
            wave_put(&out[n++], onset + h->p[i].center_s + 0.13, 0.055, h->p[i].v, -0.09);
        }
    }
    if (!with_qrs)
        return n;
    memcpy(out + n, h->qrs, (size_t)h->qrs_count * sizeof *out);
    n += h->qrs_count;
    if (h->spike_mv != 0) {
        static const double direction[3] = {0.5, -0.7, 0.3};
        wave_put(&out[n++], -0.006, 0.0015, direction, h->spike_mv);
    }

    double qt = heart_qt(h, rr_s), stretch = qt / QT_REFERENCE_S;
    double fall = T_FALL_WIDTH_S * stretch * h->t_width;
    double rise = T_RISE_WIDTH_S * stretch * h->t_width;
    double j = qrs_end(h), peak = qt - 2 * fall; /* the tangent of the fall meets zero at QT */
    if (peak < j + 0.08)
        peak = j + 0.08;
    double span = peak - j;
    wave_put(&out[n++], j + 0.16 * span, 0.14 * span, h->st, 0.75);
    wave_put(&out[n++], j + 0.48 * span, 0.19 * span, h->st, 1.0);
    wave_put(&out[n++], peak - T_RISE_LEAD_S * stretch * h->t_width, rise, h->t, T_RISE_SHARE);
    wave_put(&out[n++], peak, fall, h->t, T_FALL_SHARE);
    wave_put(&out[n++], qt + 0.07 * sqrt(rr_s), 0.030, h->u, 1.0);
    return n;
}

void heart_add_waves(const struct heart_wave *waves, int wave_count, double at_s,
                     const double turn[9], double rate_hz, double origin, int64_t count, float *xyz)
{
    for (int i = 0; i < wave_count; i++) {
        double v[3] = {waves[i].v[0], waves[i].v[1], waves[i].v[2]};
        turn_vector(turn, v);
        double center = (at_s + waves[i].center_s) * rate_hz + origin;
        double width = waves[i].width_s * rate_hz;
        if (center < -6 * width || center > (double)count + 6 * width)
            continue;
        int64_t first = (int64_t)fmax(0, ceil(center - 5 * width));
        int64_t last = (int64_t)fmin((double)count - 1, floor(center + 5 * width));
        for (int64_t t = first; t <= last; t++) {
            double z = ((double)t - center) / width;
            double g = exp(-0.5 * z * z);
            for (int k = 0; k < 3; k++)
                xyz[k * count + t] += (float)(g * v[k]);
        }
    }
}

void lead_field_standard(struct lead_field *f)
{
    /* Dower's coefficients; the gains bring the ratio of limb to chest leads to what adults have. */
    static const struct lead_field dower = {{{0.635, -0.235, 0.057},
                                             {0.236, 1.067, -0.132},
                                             {-0.517, 0.157, -0.918},
                                             {0.045, 0.165, -1.394},
                                             {0.880, 0.097, -1.276},
                                             {1.214, 0.126, -0.599},
                                             {1.126, 0.125, -0.086},
                                             {0.831, 0.075, 0.232}}};
    static const double gain[HEART_LEADS] = {1.10, 1.00, 0.95, 1.05, 0.90, 0.88, 0.95, 1.00};
    *f = dower;
    for (int l = 0; l < HEART_LEADS; l++)
        scale_vector(f->row[l], gain[l]);
}

void lead_field_vary(struct lead_field *f, struct rng *r, double spread)
{
    for (int l = 0; l < HEART_LEADS; l++)
        vary_vector(f->row[l], r, spread);
}
