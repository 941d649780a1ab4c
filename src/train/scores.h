/* What infer wrote (JSON Lines) against the labels of a data set: one line per record,
 *   {"file": "DIR/00001_lr.hea", "status": "ok", "scores": {"NORM": 0.97, ...}, ...}
 *   {"file": ..., "status": "refused", "code": ..., "reason": ...}
 *
 * A line belongs to the record that its file names, as data/record_index.h has it. */
#ifndef ECGFM_TRAIN_SCORES_H
#define ECGFM_TRAIN_SCORES_H

#include "data/dataset.h"
#include "train/predictions.h"

/* Where the lines went; and `missing`, the records of the split that no line scores. */
struct scores_coverage {
    int64_t lines;
    int64_t used;        /* became predictions */
    int64_t refused;     /* by infer */
    int64_t unmatched;   /* no record, or several as likely */
    int64_t other_split; /* of the data set, but not asked for */
    int64_t unlabelled;  /* the record has no label of the task */
    int64_t missing;
    char first_unmatched[200]; /* a file among `unmatched` */
};

/* Makes predictions of the labelled records of a split that were scored, in the order of the
 * manifest. *out is initialized here; predictions_free, also after an error; its codes are borrowed
 * from the labels.
 * Errors: those of file_read; ERR_FORMAT with the line (no JSON object, no file, no finite score of
 * a class, a record scored twice); ERR_NOT_FOUND if no line can be used. */
enum err_code scores_read(const char *path, const struct manifest *m,
                          const struct label_set *labels, enum data_split split,
                          struct predictions *out, struct scores_coverage *coverage, struct err *e);

#endif
