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
#include "train/record_names.h"

/* Writes it for the splits that were read. */
enum err_code split_file_write(struct experiment *x, struct err *e);

/* Compares records with the training records of the split.csv in the run folder (or beside the model
 * file) `run`, by id and by patient. dataset: their kind (NULL: any). patients[i] may be NULL.
 * *comparable: some id is in the file, in whatever split, or patients are told here and there, or it has
 * no record of that kind; else an overlap of none says nothing.
 * Errors: ERR_NOT_FOUND if there is no `run` or no split.csv; ERR_FORMAT for another table; those of
 * csv_read. */
enum err_code split_file_overlap(const char *run, const char *dataset, const char *const *ids,
                                 const char *const *patients, int64_t count,
                                 struct record_overlap *out, bool *comparable, struct err *e);
/* Is there one? */
bool split_file_exists(const char *run);

#endif
