/* A synthetic data set in the layout of PTB-XL 1.0.1: records100/00000/00001_lr.{hea,dat} (and
 * records500/00000/00001_hr.* if asked), ptbxl_database.csv, scp_statements.csv, RECORDS, and
 * SYNTHETIC.txt, which says what it is and how to make it again.
 *
 * Same options, same bytes, whatever the number of threads. The database is written last, so that a
 * folder that has one is whole, also after the program was killed. Records are not forced to the disk
 * one by one: after a power cut, make the set again. */
#ifndef ECGFM_DATA_SYNTH_DATASET_H
#define ECGFM_DATA_SYNTH_DATASET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define SYNTH_RECORDS_MAX 99999
#define SYNTH_CLASSES 5

struct synth_set {
    const char *folder;
    int64_t record_count; /* 1..SYNTH_RECORDS_MAX */
    uint64_t seed;
    double duration_s;
    bool at_100_hz, at_500_hz; /* at least one */
    bool overwrite;
    int threads;
    void (*progress)(void *context, int64_t done, int64_t total); /* or NULL; any thread */
    void *progress_context;
};

struct synth_set_summary {
    int64_t record_count, patient_count;
    int64_t fold_count[10];
    int64_t statement_count;            /* kinds of statements made */
    int64_t class_count[SYNTH_CLASSES]; /* records with NORM, MI, STTC, CD, HYP */
    int64_t other_count;                /* records without any of these */
};
extern const char *const synth_class_names[SYNTH_CLASSES];

/* Makes the data set. A folder that is there must be empty or hold a synthetic set of ours, which
 * is replaced (its records are removed first if it was made with other options); with overwrite,
 * any folder but one that holds a genuine ptbxl_database.csv.
 * Errors: ERR_USAGE (options, folder in use), ERR_IO, ERR_MEMORY. */
enum err_code synth_set_write(const struct synth_set *set, struct synth_set_summary *out,
                              struct err *e);

#endif
