/* ECG leads: canonical names, order and limb-lead algebra.
 * Source: III = II - I, aVR = -(I+II)/2, aVL = I - II/2, aVF = II - I/2 (Einthoven, Goldberger). */
#ifndef ECGFM_SIGNAL_LEAD_H
#define ECGFM_SIGNAL_LEAD_H

#include <stdint.h>

/* The standard twelve in the usual order; then what other recordings name. */
enum ecg_lead {
    LEAD_I,
    LEAD_II,
    LEAD_III,
    LEAD_AVR,
    LEAD_AVL,
    LEAD_AVF,
    LEAD_V1,
    LEAD_V2,
    LEAD_V3,
    LEAD_V4,
    LEAD_V5,
    LEAD_V6,
    LEAD_STANDARD_COUNT,
    LEAD_UNKNOWN = -1
};

/* "I".."V6"; "?" for unknown. */
const char *lead_name(enum ecg_lead lead);

/* Recognizes the usual spellings without regard to case ("AVR", "aVR", "MLII" is LEAD_II, "Lead I",
 * "ECG V1", "v1"). LEAD_UNKNOWN otherwise ("ECG", "ABP", "MCL1", "-aVR", "V" without a number). */
enum ecg_lead lead_from_name(const char *name);

#endif
