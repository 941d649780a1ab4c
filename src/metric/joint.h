/* Metrics of all classes of a record together: they do not split into one value per class.
 *
 * Nouns: a `score_table` holds scores, labels and thresholds of n records and K classes; a class is
 * `called` in a record where its score is at or above its threshold. A value that is not defined is
 * NaN. */
#ifndef ECGFM_METRIC_JOINT_H
#define ECGFM_METRIC_JOINT_H

#include "metric/metric.h"

struct score_table {
    int64_t count, class_count; /* n, K */
    const double *scores;       /* [n,K] */
    const uint8_t *labels;      /* [n,K] 0 or 1 */
    const double *thresholds;   /* [K]; NULL: METRIC_THRESHOLD for all */
};

struct joint_metric {
    const char *name;
    const char *help;
    double (*compute)(const struct score_table *t);
};

/* NULL-terminated:
 *   sample_fmax          F of mean precision and mean recall of the records, at the best one of the
 *                        thresholds 0, 0.01 ... 1 common to all classes; precision is averaged over the
 *                        records in which a class is called, recall over those that have a label
 *                        (CAFA; Strodthoff 2020 has fewer thresholds)
 *   fbeta_normalized     macro F2 over classes, where a record counts 1 / (number of its labels, at
 *                        least 1), and one in which no class is called the one with the highest
 *                        score; a class with neither label nor call is left out
 *   gbeta_normalized     the same of TP / (TP + FP + 2 FN) (Challenge 2020; CPSC 2018 in Strodthoff 2020)
 *   challenge_f_measure  macro F1 of the Challenges 2020 and 2021: 0, not undefined, for a class that is
 *                        called but never there; left out where it is neither
 *   exact_match          share of records in which all classes are called right ("accuracy" there) */
extern const struct joint_metric joint_metrics[];
#define JOINT_METRIC_COUNT 5

/* Mean over three classes of 2 hits / (records labelled so + records called so), where the class with the
 * highest score is called, the first one of several. Counted are all records and all K classes; `chosen`
 * are the classes in the mean: normal, atrial fibrillation, other. NaN if one of them is neither
 * labelled nor called. Source: Challenge 2017. */
double cinc2017_f1(const struct score_table *t, const int64_t *chosen, int64_t chosen_count);

/* ---- the score of the Challenges 2020 and 2021 ---- */

/* Classes of the weight matrix; a class of the table belongs to one of them or to none. */
struct challenge_matrix {
    int64_t class_count;   /* C */
    const double *weights; /* [C,C] by label, call */
    int64_t normal;        /* the class that the inactive classifier always calls */
};

struct challenge_score {
    double observed, correct,
        inactive; /* sums of weights: of the calls, of the labels, of "always normal" */
    double score; /* (observed - inactive) / (correct - inactive), or NaN */
};

/* place[k]: the challenge class of class k, or -1. Classes of one place are one, there where any is.
 * Each pair of a label and a call of a record adds its weight divided by the number of classes that are
 * labelled or called in it. Owns: nothing. Errors: ERR_MEMORY. Source: Perez Alday 2020; Reyna 2021. */
enum err_code challenge_compute(const struct score_table *t, const struct challenge_matrix *m,
                                const int64_t *place, struct challenge_score *out, struct err *e);

#endif
