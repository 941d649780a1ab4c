/* The heart vector: one equivalent dipole that moves through the cardiac cycle, as sums of Gaussian
 * waves, and its projection to the leads.
 *
 * Nouns: a `heart_wave` is one Gaussian in time with an amplitude vector; a `heart` holds the waves
 * of the atria (P), of five parts of the ventricles in the order in which they are activated (QRS)
 * and of the recovery (ST, T, U); a `lead_field` turns the vector into the eight independent leads.
 * Coordinates: x to the patient's left, y down, z to the back; mV; seconds.
 *
 * A disease changes parts (synth_finding.h), never a lead: bundle branch block makes one ventricle
 * late, an infarct takes the vector of a wall away. Where activation changes, recovery follows by
 * Wilson's ventricular gradient: the area vectors of QRS and T have a constant sum, so discordant T
 * waves in block, in ectopic beats and in strain come out by themselves.
 *
 * Source: McSharry et al. 2003, IEEE TBME 50:289 (Gaussians along the cardiac phase); Sameni et al.
 * 2007, EURASIP JASP 43407 (the three-dimensional dipole); Dower et al. 1980 (vector to leads);
 * Wilson et al. 1934 (ventricular gradient); Fridericia 1920 (QT and rate). Amplitudes and times
 * are ours, set so that normal records have the amplitudes usual in adults. */
#ifndef ECGFM_SIGNAL_SYNTH_HEART_H
#define ECGFM_SIGNAL_SYNTH_HEART_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rng.h"

#define HEART_QRS_MAX 20  /* waves of one QRS complex */
#define HEART_BEAT_MAX 40 /* waves of one beat */
#define HEART_LEADS 8     /* I, II, V1..V6: the leads that are not sums of others */

enum heart_axis { AXIS_X, AXIS_Y, AXIS_Z };

struct heart_wave {
    double center_s, width_s; /* width: standard deviation */
    double v[3];
};

/* The first waves of heart.qrs, in the order of activation. */
enum heart_part {
    PART_SEPTUM,
    PART_APEX,
    PART_RIGHT, /* free wall of the right ventricle */
    PART_LEFT,  /* free wall of the left ventricle */
    PART_BASE,
    PART_TERMINAL,
    PART_COUNT
};

enum { ATRIUM_RIGHT, ATRIUM_LEFT, ATRIUM_COUNT };

struct heart {
    struct heart_wave p[ATRIUM_COUNT];    /* times from the onset of P */
    double pr_s;                          /* onset of P to onset of QRS at 60/min */
    struct heart_wave qrs[HEART_QRS_MAX]; /* times from the onset of QRS */
    int qrs_count;
    double st[3], t[3], u[3]; /* vector at the plateau and at the peaks */
    double t_width;           /* 1: normal */
    double qtc_s;             /* QT at 60/min */
    double spike_mv;          /* pacing artefact before the QRS, 0: none */
    double axis_shift_deg;    /* added to the turn in the frontal plane by a disease... */
    double axis_freedom;      /* ...and the share of the patient's own turn that is left */
};

struct lead_field {
    double row[HEART_LEADS][3];
};

/* A healthy adult's heart. */
void heart_normal(struct heart *h);

/* Differences between people in every wave's size, direction and time, and small notches. */
void heart_vary(struct heart *h, struct rng *r);

/* Adds a wave to the QRS complex. */
void heart_qrs_add(struct heart *h, double center_s, double width_s, double x, double y, double z);

/* Area vector of the QRS complex in mV s. */
void heart_qrs_area(const struct heart *h, double area[3]);

/* Lets T follow a change of the QRS area since area_before: 0 not at all, 1 to a constant gradient. */
void heart_follow_gradient(struct heart *h, const double area_before[3], double share);

/* Turns the whole heart (degrees: frontal clockwise as seen from the front, horizontal from the
 * left to the back, sagittal from below to the back) and scales its voltage. */
void heart_orient(struct heart *h, double frontal_deg, double horizontal_deg, double sagittal_deg,
                  double gain);

/* An ectopic ventricular beat of this heart, spreading from a place chosen by r. */
void heart_make_ventricular(struct heart *h, struct rng *r);
/* A beat paced at the apex of the right ventricle. */
void heart_make_paced(struct heart *h);

/* The waves of one beat, times from the onset of QRS. rr_s is the cycle length that recovery has
 * adapted to; pr_s < 0: no P wave; with_qrs false: the P wave alone, its onset at time 0.
 * Returns the number of waves. */
int heart_beat(const struct heart *h, double rr_s, double pr_s, bool with_qrs,
               struct heart_wave out[HEART_BEAT_MAX]);

/* Times from the onset of QRS at cycle length rr_s. */
double heart_qt(const struct heart *h, double rr_s);
double heart_pr(const struct heart *h, double rate_bpm);

/* Adds waves to the dipole xyz, [3,count] with samples at (i - origin)/rate_hz, after turning them
 * by `turn` (3 by 3, row-major). */
void heart_add_waves(const struct heart_wave *waves, int wave_count, double at_s,
                     const double turn[9], double rate_hz, double origin, int64_t count,
                     float *xyz);

/* Rotation matrix of the angles of heart_orient, in degrees. */
void heart_turn(double frontal_deg, double horizontal_deg, double sagittal_deg, double turn[9]);

/* Dower's leads, and those of one person: electrodes and torso differ by about `spread`. */
void lead_field_standard(struct lead_field *f);
void lead_field_vary(struct lead_field *f, struct rng *r, double spread);

#endif
