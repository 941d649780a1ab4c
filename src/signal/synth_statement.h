/* The 71 statements that PTB-XL annotates, with the facts its tasks are built from: whether a
 * statement is diagnostic, about form or about rhythm, and its diagnostic class and subclass.
 * Titles and categories are worded here.
 *
 * Source: SCP-ECG (ISO 11073-91064) statement codes as grouped by PTB-XL 1.0.1
 * (Wagner et al., Scientific Data 7:154, 2020): 44 diagnostic in 5 classes and 23 subclasses, 19
 * form (4 of them diagnostic too), 12 rhythm. */
#ifndef ECGFM_SIGNAL_SYNTH_STATEMENT_H
#define ECGFM_SIGNAL_SYNTH_STATEMENT_H

#include <stdbool.h>

struct statement {
    const char *code;     /* "IMI" */
    const char *title;    /* "inferior myocardial infarction" */
    bool form, rhythm;    /* diagnostic: class is not NULL */
    const char *class;    /* "NORM" "MI" "STTC" "CD" "HYP", or NULL */
    const char *subclass; /* "IMI", or NULL */
    const char *category; /* heading of the group it belongs to */
};

#define STATEMENT_COUNT 71
extern const struct statement statements[STATEMENT_COUNT];

/* The row of a code, or NULL. */
const struct statement *statement_find(const char *code);

#endif
