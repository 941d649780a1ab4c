/* Scores of the PhysioNet/CinC Challenges for predictions: 2020 and 2021 with the weight matrix that the
 * Challenge publishes (weights.csv; not part of ecgfm), 2017 by its F1. */
#ifndef ECGFM_TRAIN_CHALLENGE_H
#define ECGFM_TRAIN_CHALLENGE_H

#include "metric/joint.h"
#include "train/predictions.h"

struct cJSON;

struct challenge {
    bool of_2017;
    struct challenge_score score; /* of 2020 and 2021 */
    double f1, f1_noisy;       /* of 2017: mean over N, A, O; and with ~, NaN without that class */
    int64_t matched, left_out; /* classes of the predictions in the matrix, and not */
    int64_t missing, matrix_count; /* classes of the matrix that no prediction stands for */
};

/* `which` is "cinc2017" or the path of a weight matrix: a table with classes as header and first column,
 * names or codes that are one joined by "|"; classes that weigh 1 for each other are one, too. The normal
 * class is 426783006, NSR or SNR. Classes are found by name, then by code.
 * Errors: ERR_FORMAT for another table, a number that is not finite, a class twice; ERR_LIMIT (over 512
 * classes); ERR_LABELS where no class is in the matrix, or N, A or O is missing; ERR_MEMORY; those of
 * csv_read. */
enum err_code challenge_make(struct challenge *c, const struct predictions *p, const char *which,
                             const double *thresholds, struct err *e);

/* "challenge_score", "challenge_observed", "challenge_correct", "challenge_inactive", or "cinc2017_f1" and
 * "cinc2017_f1_noisy". Errors: ERR_USAGE. */
enum err_code challenge_value(const struct challenge *c, const char *name, double *out,
                              struct err *e);
/* Caller cJSON_Deletes. */
struct cJSON *challenge_to_json(const struct challenge *c);

#endif
