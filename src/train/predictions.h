/* Predictions: labels and scores of some records for the classes of a task, as a table in memory
 * and as predictions.csv:
 *
 *   id,fold,patient,y_NORM,y_MI,p_NORM,p_MI
 *   00009_lr,10,15709.0,1,0,0.97,0.0132
 *
 * One row per record; y_ is the label (0 or 1), p_ the score (a probability for ecgfm's own models;
 * any finite number is accepted), written so that it reads back to the same number. An unknown fold
 * or patient is an empty field, and so is a label that is not known.
 *
 * Of values (regression) the columns are v_ for the true value and e_ for the estimate:
 *
 *   id,fold,patient,v_age,e_age
 *   00009_lr,10,15709.0,55,58.25
 *
 * Scores are float64, since what others computed so has ties and thresholds that float32 would move.
 * Where all scores are float32 numbers, as ecgfm's own are, they are written as short as float32 can
 * be told; and a file in which all are as short as that is read as float32 numbers. */
#ifndef ECGFM_TRAIN_PREDICTIONS_H
#define ECGFM_TRAIN_PREDICTIONS_H

#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "data/dataset.h"

struct predictions {
    struct arena arena;       /* holds the arrays; callers put the strings there or elsewhere */
    enum label_kind kind;     /* LABEL_CLASSES unless set */
    int64_t count;            /* n records */
    int64_t class_count;      /* K classes, or values */
    const char **ids;         /* [n] */
    const char **patients;    /* [n] NULL: unknown */
    int *folds;               /* [n] 0: unknown */
    const char **class_names; /* [K] */
    const char **class_codes; /* [K] NULL: the name again */
    float *labels;            /* [n,K] 0 or 1, or true values; NaN: not known */
    double *scores;           /* [n,K] scores, or estimates */
};

/* Room for n records of K classes, all zero. Owns: predictions_free, also after an error. */
enum err_code predictions_init(struct predictions *p, int64_t count, int64_t class_count,
                               struct err *e);
void predictions_free(struct predictions *p); /* accepts a zeroed struct */

/* Writes predictions.csv, atomically. Same table, same bytes. */
enum err_code predictions_write(const struct predictions *p, const char *path, struct err *e);

/* Reads it back; *out is initialized here, predictions_free also after an error. The codes of the
 * classes are not in the file.
 * Errors: those of csv_read; ERR_FORMAT naming line and column for another header, a label that is
 * not 0 or 1, a score that is no finite number, an id or class given twice, no record. */
enum err_code predictions_read(const char *path, struct predictions *out, struct err *e);

/* Predictions as NumPy arrays (format/npy.h), as other programs keep them. */
struct prediction_arrays {
    const char *scores, *labels; /* .npy [n,K], or [n] for one class; labels of any type, 0 and 1 */
    const char *classes, *ids;   /* names, one a line; NULL: numbers from 0 */
};

/* *out is initialized here, predictions_free also after an error. The scores are taken as they are
 * stored, float32 or float64. Errors: those of npy_open and file_read; ERR_FORMAT for shapes that
 * differ, no record or class, a score that is no finite number, another label, a name that is missing,
 * empty or given twice. */
enum err_code predictions_read_arrays(const struct prediction_arrays *paths,
                                      struct predictions *out, struct err *e);

/* No id and no class is there twice. Errors: ERR_FORMAT, ERR_MEMORY. */
enum err_code predictions_check_names(const struct predictions *p, struct err *e);

#endif
