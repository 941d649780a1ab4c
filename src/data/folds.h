/* Folds that a user brings, in place of those of the data set: a CSV with a column
 *   id (or record, record_id, file)     names a record (record_index.h), or else
 *   patient (or patient_id)             a patient, and where none is told a record, by its id
 * and a column
 *   fold (or strat_fold)                1 to 10: 1-8 train, 9 validation, 10 test, or else
 *   split                               train, validation or test
 * Other columns do not matter. For data/. */
#ifndef ECGFM_DATA_FOLDS_H
#define ECGFM_DATA_FOLDS_H

#include "data/dataset.h"

/* Sets the folds of the entries. Entries without a row are left out, each a problem "no-fold";
 * rows without an entry are counted in a warning.
 * Errors: those of csv_read; ERR_FORMAT with the line for what is no fold, for a record or patient in two
 * rows, or without such columns; ERR_NOT_FOUND if no row names a record. */
enum err_code folds_apply(const char *path, struct manifest *m, struct err *e);

#endif
