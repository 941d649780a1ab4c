/* Reading a synthetic ECG: measurements on the noise-free beat, and the statements that a reader
 * makes of them and of what is true of the patient.
 *
 * The reader is human: mild findings are sometimes missed, borderline measurements sometimes
 * called, and thresholds differ a little from reading to reading. So labels are as uncertain near
 * the border as those of real data sets, and far from it they are right. */
#ifndef ECGFM_SIGNAL_SYNTH_READING_H
#define ECGFM_SIGNAL_SYNTH_READING_H

#include "base/rng.h"
#include "signal/lead.h"
#include "signal/synth_finding.h"
#include "signal/synth_heart.h"
#include "signal/synth_rhythm.h"

/* Of the conducted beat at the recording's mean rate; amplitudes from the onset of QRS as zero. */
struct reading {
    double rate_bpm;
    double p_ms, pr_ms; /* 0 without P waves */
    double qrs_ms, qt_ms, qtc_ms;
    double axis_deg; /* of QRS in the frontal plane, -180..180 */
    double q_mv[LEAD_STANDARD_COUNT], q_ms[LEAD_STANDARD_COUNT]; /* first wave, if negative */
    double r_mv[LEAD_STANDARD_COUNT], s_mv[LEAD_STANDARD_COUNT]; /* highest, lowest (as positive) */
    double st_mv[LEAD_STANDARD_COUNT];                           /* 60 ms after the end of QRS */
    double t_mv[LEAD_STANDARD_COUNT];                            /* greatest in size, signed */
    double sokolow_mv; /* S in V1 + the higher R of V5, V6 */
};

/* eight: I, II, V1..V6 -> the twelve, by limb-lead algebra. */
void leads_from_eight(const double eight[HEART_LEADS], double twelve[LEAD_STANDARD_COUNT]);

/* h is oriented; pr_s < 0: no P waves. */
void reading_measure(const struct heart *h, const struct lead_field *field, double rate_bpm,
                     double pr_s, struct reading *out);

#define STATEMENTS_MAX 24
struct statement_made {
    const struct statement *statement;
    double likelihood; /* 0..100, 0 for form and rhythm */
};

struct reading_context {
    const struct finding *findings;
    int finding_count;
    const struct rhythm_request *rhythm;
    double age_years;
};

/* Writes the statements, diagnostic ones first, and returns their number. */
int reading_statements(const struct reading *m, const struct reading_context *context,
                       struct rng *r, struct statement_made out[STATEMENTS_MAX]);

#endif
