/* What pretrain, probe and finetune have in common: a data set opened, its records converted to the
 * model's contract, a run folder that says how everything was made.
 *
 * Nouns: an `experiment` is one command's view of a data set and its run folder; `weights` are where
 * the encoder starts: a run folder or model file, or "random". */
#ifndef ECGFM_TRAIN_EXPERIMENT_H
#define ECGFM_TRAIN_EXPERIMENT_H

#include "base/buf.h"
#include "base/option.h"
#include "data/loader.h"
#include "data/targets.h"
#include "model/scorer.h"
#include "train/evaluation.h"
#include "train/run_folder.h"
#include "train/trainer.h"

struct cJSON;

struct experiment_options {
    const char *data, *dataset, *folds, *out;
    double rate;
    bool fresh;
    bool strict;
    double max_bad_fraction;
    int64_t cache_mb;
    bool allow_patient_overlap;
    const char *precision;        /* selected by the caller (backend_select) */
    struct target_options target; /* of commands that have target_rows */
};
extern const struct option experiment_rows[];

/* The input contract of a new model. */
struct input_options {
    double rate_hz, seconds, highpass_hz, lowpass_hz;
    const char *leads, *normalization, *resampling, *windows, *missing_leads;
};
extern const struct option input_rows[];

struct experiment {
    const char *command;
    const struct experiment_options *options;
    const struct option_set *set;
    uint64_t seed;
    int threads;
    bool all_records; /* nothing is held out: patients on several sides do not matter */
    bool pairs;       /* records must have two segments, and training is on pairs of them */
    struct manifest manifest;
    struct contract contract;
    struct label_set labels; /* class_count 0 without labels */
    float *standardized;     /* [records, K] of values: what is trained on, see values_scale */
    struct store *stores[SPLIT_ALL + 1];
    struct run_folder run;
    uint64_t
        weights_hash; /* of the file the encoder starts from, after experiment_describe; 0: none */
    uint64_t loss_hash;  /* of what a run's loss is besides options; 0: nothing */
    struct buf identity; /* what must be the same for a run to go on */
    void *progress_context;
    void (*progress)(void *context, const struct trainer_progress *p);
};

/* Contract of a new model from options; normalization statistics are still missing.
 * Errors: ERR_USAGE naming the option. */
enum err_code input_contract(const struct input_options *o, struct contract *c, struct err *e);

/* Opens the run folder, the manifest and, with task (NULL: default task; "": no labels), the labels.
 * The caller has filled command .. threads and the progress; *x is else zero. */
enum err_code experiment_open(struct experiment *x, const char *task, double rate_hz,
                              struct err *e);
/* The manifest and labels alone: nothing is written. Filled must be options. */
enum err_code experiment_open_data(struct experiment *x, const char *task, double rate_hz,
                                   struct err *e);
void experiment_close(struct experiment *x); /* accepts a zeroed struct */

/* Sets what the kind of data set asks for, where the set has such options: before any is read.
 * Errors: those of dataset_at. */
enum err_code experiment_defaults(struct option_set *set, const struct experiment_options *o,
                                  struct err *e);

/* Sets x->contract and, for normalizations that need them, its statistics from the records of `split`:
 * with labels from those that have one. */
enum err_code experiment_fit_contract(struct experiment *x, const struct contract *c,
                                      enum data_split split, struct err *e);
/* Reads the records of a split (x->contract is final), labelled ones only with `labelled`; indices of
 * those used come back in *subset (owned by the manifest's arena). */
enum err_code experiment_read(struct experiment *x, enum data_split split, bool labelled,
                              int64_t **subset, int64_t *count, struct err *e);

/* Writes config.json and quarantine.csv and makes the identity; weights: the file the encoder starts
 * from, hashed in (NULL: none). */
enum err_code experiment_describe(struct experiment *x, const char *weights, struct err *e);

/* Whether an option is part of what must be the same for a run to go on, as its value. */
bool experiment_is_identity(const char *key);

/* JSON text of how a model was made, for its file; lives in the manifest's arena. */
const char *experiment_provenance(struct experiment *x, int64_t records, struct err *e);

/* Trains m (complete table and values) with the labelled or all records of `subset`, or their pairs. */
enum err_code experiment_train(struct experiment *x, struct trainer *t, enum data_split split,
                               const int64_t *subset, int64_t count, int views,
                               const struct augment_chain *augment, int64_t batch, struct err *e);

/* Scores records of a split with a scorer: features [count,F] and logits [count,K], either NULL. */
enum err_code experiment_score(struct experiment *x, struct scorer *s, enum data_split split,
                               const int64_t *subset, int64_t count, float *features, float *logits,
                               struct err *e);

/* Tables of labels [count,K] for the given records. */
uint8_t *experiment_targets(struct experiment *x, enum data_split split, const int64_t *subset,
                            int64_t count);
/* Target k of record i of a split: 0, 1, or a value; NaN where it is not known. */
float experiment_target(const struct experiment *x, enum data_split split, int64_t i, int64_t k);
/* Writes predictions.csv and metrics.json for records with scores [count,K] (estimates of values);
 * extra members of
 * metrics.json are borrowed. The evaluation comes back in *ev (caller evaluation_free). */
enum err_code experiment_report(struct experiment *x, enum data_split split, const int64_t *subset,
                                int64_t count, const float *scores, int64_t draws,
                                const struct cJSON *extra, struct evaluation *ev, struct err *e);

/* Manifest entry of record i of a split's store. */
const struct manifest_entry *experiment_entry(const struct experiment *x, enum data_split split,
                                              int64_t i);
/* The model's classes from the labels. */
struct model_classes experiment_classes(const struct experiment *x);

#endif
