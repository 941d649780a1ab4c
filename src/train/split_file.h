/* split.csv of a run folder: which records the run learned from, chose with and tested with.
 *
 *   dataset,id,patient,fold,split
 *   ptbxl,9,18792,10,test
 *
 * `dataset` is the kind of data set, split is train, validation or test; records that were quarantined
 * or without labels of the task are not there, all others of their split are (also those that a label
 * fraction left out). As a table of --folds it makes the same split again. */
#ifndef ECGFM_TRAIN_SPLIT_FILE_H
#define ECGFM_TRAIN_SPLIT_FILE_H

#include "train/experiment.h"

/* Writes it for the splits that were read. */
enum err_code split_file_write(struct experiment *x, struct err *e);

/* Records of which a run has learned: by patient where one is told, else by id. */
struct split_overlap {
    int64_t count;  /* records, of those given */
    char text[320]; /* the first ten of them */
};

/* Compares records with the training records of the split.csv in the run folder (or beside the model
 * file) `run`. dataset: their kind (NULL: that of the file). patients[i] may be NULL.
 * Errors: ERR_NOT_FOUND if there is no split.csv; ERR_FORMAT for another table; those of csv_read. */
enum err_code split_file_overlap(const char *run, const char *dataset, const char *const *ids,
                                 const char *const *patients, int64_t count,
                                 struct split_overlap *out, struct err *e);
/* Is there one? */
bool split_file_exists(const char *run);

#endif
