/* Data sets: one row per kind (datasets.def, ds_*.c), recognized by what a folder holds.
 *
 * Nouns: a `manifest` lists the records of a data set with what is known of each (path, fold,
 * patient, age, sex, codes); a `label_set` is a task's view of it: class names and a target matrix;
 * a `problem` is something wrong with one entry, counted and kept, never silently dropped. */
#ifndef ECGFM_DATA_DATASET_H
#define ECGFM_DATA_DATASET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "format/format.h"
#include "signal/record.h"

enum data_split { SPLIT_TRAIN, SPLIT_VALIDATION, SPLIT_TEST, SPLIT_ALL };

struct manifest_code { /* one statement of one record */
    const char *code;
    double likelihood; /* as in the table, 0..100; 100 if not given */
};

struct manifest_entry {
    const char *id;        /* unique within the data set */
    const char *path;      /* entry file of the record, openable */
    const char *continued; /* a second file, whose samples follow; NULL: none */
    int fold;              /* 1..10; folds 1-8 train, 9 validation, 10 test */
    const char *patient;   /* NULL if unknown: then the record is its own patient */
    double age_years;      /* NaN if unknown; as in the table: PTB-XL writes 300 for "over 89" */
    enum ecg_sex sex;
    const char *site, *device; /* where and with what it was recorded; NULL: unknown */
    const struct manifest_code *codes;
    int64_t code_count;
};

struct manifest_problem {
    const char *id;     /* record id or path */
    const char *code;   /* err_code_name or a short name such as "duplicate-id" */
    const char *reason; /* one sentence */
};

struct manifest {
    struct arena arena;
    const struct dataset *dataset;
    const char *root;
    const char *title; /* such as "PTB-XL (synthetic)" */
    bool synthetic;
    int64_t count, cap;
    struct manifest_entry *entries; /* in the order of the table, or sorted by path: stable */
    int64_t left_out; /* entries of the table that were not taken; each is a problem as well */
    int64_t problem_count, problem_cap;
    struct manifest_problem *problems;
    const char *label_note; /* how folds and labels were made, for the run folder */
    const void *detail;     /* what the data set's row keeps for its labels, in the arena */
    uint64_t hash;          /* over ids, relative paths, folds, codes */
    struct manifest *parts; /* of several data sets: their own manifests; NULL: one */
    int64_t part_count;
    int64_t split_patients; /* with records in more than one of train, validation and test */
    const char *split_patients_text; /* the first ten of them with records, for messages */
};

struct manifest_options {
    double rate_hz;    /* prefer the files of this rate where a set has several; 0: default (100) */
    bool check_files;  /* add a problem for every entry whose file is missing, and drop it; without
                         it the store finds out */
    const char *folds; /* a table of folds that takes the place of the data set's (folds.h); NULL */
};

/* From here on an age is a code for "very old", no number of years. */
#define AGE_OPEN_YEARS 120.0

enum label_kind {
    LABEL_CLASSES, /* a target is 0 or 1: the record has the class or not */
    LABEL_VALUES   /* a target is a number in a unit of its own, such as an age */
};

struct label_set {
    const char *task;
    enum label_kind kind;
    int64_t class_count;       /* K classes, or values */
    const char **class_names;  /* "NORM" */
    const char **class_codes;  /* code in its system, or the name again */
    const char **class_titles; /* human text */
    const char *code_system;   /* "scp", "snomed-ct", "local" */
    const char *unit;          /* of values: "years"; NULL: none told */
    uint8_t *targets;          /* [count, K] 0 or 1; 0 where the target is not known, or a value */
    float *values;             /* [count, K] NaN: not known. Of values always; of classes 0, 1 or
                                     NaN, and NULL where all are known */
    uint8_t *labelled;         /* [count] 1 if the record takes part in the task: it has at least
                                     one label of it, or explicit zeros (a column per class) */
    uint64_t hash;             /* of targets that manifest.hash does not cover; 0: it does */
    const double *positive_weights; /* [K] what the data set says that a positive should weigh in
                                       training, or NULL; what is not above 0 and
                                       finite cannot be one */
};

struct dataset {
    const char *name; /* "ptbxl" */
    const char *help;
    const char *tasks; /* "super|sub|diag|form|rhythm|all"; the first is the default task; "" if the
                           kind has no labels */
    const char *benchmark; /* tasks of its published table, in order, "a,b"; NULL: all of `tasks` */
    const char *defaults;  /* "key=value ..." of its published protocol: weaker than what a model's
                              preset or the user says; NULL: none */
    /* 0..100 from what the folder holds. */
    int (*probe)(const char *root);
    /* Adds the entries. Duplicate ids, patients in several folds, missing files and the hash are
     * manifest_open's business. */
    enum err_code (*index)(const char *root, const struct manifest_options *options,
                           struct manifest *out, struct err *e);
    /* Fills names, codes, titles, targets and labelled; the arrays are made by labels_allocate.
     * task is one of `tasks`. NULL if the kind has no labels. */
    enum err_code (*labels)(struct manifest *m, const char *task, struct label_set *out,
                            struct err *e);
};

extern const struct dataset *const datasets[]; /* NULL-terminated, from datasets.def */

/* The kind of the data set at root, recognized or, with name, told. Errors: ERR_NOT_FOUND, ERR_USAGE,
 * ERR_FORMAT as manifest_open. */
enum err_code dataset_at(const char *root, const char *name, const struct dataset **out,
                         struct err *e);

/* Reads the recording of an entry (record_read), of one file or two. *out is initialized here; the caller
 * frees it also after an error. Errors: those of record_read and ecg_record_append. */
enum err_code manifest_entry_read(const struct manifest_entry *entry,
                                  const struct read_options *options, struct ecg_record *out,
                                  struct err *e);

/* Opens a data set: name forces the kind (NULL: recognized). options may be NULL. *out is initialized
 * here; caller frees with manifest_close also after an error. root is a folder, or a file where a kind
 * takes one (fairseq: a manifest).
 * An entry with a duplicate id, without a usable fold or with a path that leaves the folder is left
 * out; patients found in several folds and codes that no table knows are kept; each is a problem.
 * A folder with a file whose name starts with SYNTHETIC is synthetic.
 * Errors: ERR_NOT_FOUND, ERR_USAGE (unknown name), ERR_FORMAT (nothing recognized, no record, a
 * table without the columns it needs), and those of reading. */
enum err_code manifest_open(const char *root, const char *name,
                            const struct manifest_options *options, struct manifest *out,
                            struct err *e);
/* The records of several data sets as one manifest without labels, opened as manifest_open does. Ids
 * and those of problems begin with the name of the data set's folder: "ptbxl/1" (a name that comes
 * again is "ptbxl#2"). Folds stay. Patients of data sets of one kind are the same where their names are, those
 * of different kinds never. dataset is a row of its own named "several". */
enum err_code manifest_open_several(const char *const *roots, int64_t count, const char *name,
                                    const struct manifest_options *options, struct manifest *out,
                                    struct err *e);
void manifest_close(struct manifest *m); /* accepts a zeroed struct */
/* What training and evaluation ask for: no patient is on two sides of the split into train, validation and
 * test, as that makes every figure look better than it is. With `allow` it is logged instead.
 * Errors: ERR_PATIENTS with how many there are, and the first ten with their records. */
enum err_code manifest_check_patients(const struct manifest *m, bool allow, struct err *e);
/* Control characters of a table or a file name do not get into a problem. */
void manifest_problem_add(struct manifest *m, const char *id, const char *code, const char *format,
                          ...) __attribute__((format(printf, 4, 5)));

/* Class names and targets of a task (NULL: the default); memory lives in the manifest's arena. Every
 * kind of data set has the tasks "sex" and "age" as well, where its records tell them (targets.h).
 * The classes of PTB-XL tasks are those of scp_statements.csv and those of the task "scored" are
 * fixed, so that a model's labels do not depend on which records a subset holds.
 * Errors: ERR_USAGE for an unknown task (naming those there are), ERR_LABELS. */
enum err_code manifest_labels(struct manifest *m, const char *task, struct label_set *out,
                              struct err *e);

/* Target k of entry i: 0, 1, or a value; NaN where it is not known. */
float label_set_target(const struct label_set *set, int64_t i, int64_t k);

/* Tasks that manifest_labels knows here: those of the kind, then sex and age where a record tells them.
 * Ends with NULL; the manifest's arena. */
const char *const *manifest_tasks(struct manifest *m);

/* Folds 1-8 train, 9 validation, 10 test. */
bool entry_in_split(const struct manifest_entry *entry, enum data_split split);

const char *split_name(enum data_split split); /* "train", "validation", "test", "all" */

/* A fold 1..10 for data sets that have none: a function of the patient (or record) id alone, so
 * that one patient never crosses folds. */
int fold_from_id(const char *id);

#endif
