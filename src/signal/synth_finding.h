/* Findings: one row for each diagnostic statement, telling what it does to the heart.
 *
 * Nouns: a `finding` is a statement that is true of a patient, with a severity from 0 (nothing to
 * see) to 1 (text book) and a variant that picks among its forms (age of an infarct, place of an
 * accessory pathway). Source of the changes: Surawicz, Knilans, Chou's Electrocardiography in
 * Clinical Practice, 6th ed.; AHA/ACCF/HRS recommendations 2009 (Circulation 119:e235, e241, e251,
 * e262); sizes are ours. */
#ifndef ECGFM_SIGNAL_SYNTH_FINDING_H
#define ECGFM_SIGNAL_SYNTH_FINDING_H

#include <stdbool.h>

#include "signal/synth_heart.h"
#include "signal/synth_statement.h"

struct finding {
    const struct finding_row *row;
    double severity; /* 0..1 */
    double variant;  /* 0..1 */
};

/* Changes are made in this order, whatever the order of findings: recovery comes last because it
 * follows activation. */
enum finding_stage { STAGE_CHAMBER, STAGE_CONDUCTION, STAGE_INFARCT, STAGE_RECOVERY, STAGE_COUNT };

enum wall { WALL_INFERIOR, WALL_SEPTAL, WALL_ANTERIOR, WALL_LATERAL, WALL_POSTERIOR, WALL_COUNT };

struct finding_row {
    const char *code;
    enum finding_stage stage;
    double share;    /* of its class among patients */
    double gradient; /* how far T follows the change of QRS, see heart_follow_gradient */
    bool needs_p;    /* shows only where the atria beat regularly */
    void (*apply)(struct heart *h, const struct finding_row *row, double severity, double variant);
    double walls[WALL_COUNT]; /* share of each wall, for those that have a place */
};

extern const struct finding_row finding_rows[];
extern const int finding_row_count;

/* The row of a code, or NULL. NORM has none: it is the absence of findings. */
const struct finding_row *finding_find(const char *code);

/* The row at position u in [0,1) of the cumulative shares of a class ("MI", ...). */
const struct finding_row *finding_pick(const char *class, double u);

/* Applies all findings to a heart that is not yet oriented. */
void findings_apply(const struct finding *findings, int count, struct heart *h);

/* Age of an infarct from its variant. */
enum infarct_age { INFARCT_OLD, INFARCT_RECENT, INFARCT_ACUTE };
enum infarct_age infarct_age(double variant);

#endif
