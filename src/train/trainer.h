/* The training loop: forward, backward, accumulate, clip, AdamW, EMA; checkpoints from which a killed
 * run goes on to the same bytes; metrics.jsonl.
 *
 * Nouns: a `task` says what is trained (how the loss is recorded, what a batch binds, what is measured
 * after an epoch); the `trainer` owns tape, gradient and moment slabs. The state of a run is (step,
 * slabs, best so far): randomness is a function of seed and position, so there is nothing else. */
#ifndef ECGFM_TRAIN_TRAINER_H
#define ECGFM_TRAIN_TRAINER_H

#include "base/option.h"
#include "data/loader.h"
#include "model/model.h"
#include "nn/schedule.h"
#include "train/run_folder.h"

#define TRAINER_PARTS_MAX 16

struct trainer_options {
    int64_t epochs, steps; /* steps 0: by epochs */
    int64_t batch;         /* 0: trainer_batch chooses */
    int64_t accumulate;
    const char *optimizer;   /* adamw | adam; NULL: adamw */
    const char *schedule;    /* a row of `schedules`; NULL: cosine */
    const char *decay;       /* matrices | all, for adamw; NULL: matrices */
    const char *keep;        /* best | last: which epoch's values are the run's; NULL: best */
    int64_t validate_epochs; /* epochs between two calls of epoch_end; 0: 1 */
    double lr, min_lr, warmup, weight_decay, beta1, beta2, epsilon, clip, ema, layer_decay;
    int64_t warmup_steps; /* instead of the fraction; 0: by the fraction */
    double head_rate, encoder_rate,
        embed_rate;     /* factors on the learning rate; 0: does not learn */
    double group_decay; /* 0: as 1 */
    int64_t freeze, freeze_steps, unfreeze_steps;
    double freeze_epochs, unfreeze_epochs;
    double checkpoint_seconds;
    int64_t log_steps;
    const void *schedule_configs[SCHEDULES_MAX]; /* of the rows of `schedules`; NULL: no options */
};

/* Adds the options of training with the defaults of pre-training (a command changes them with
 * option_set_text(..., OPTION_FROM_DEFAULT)), and each schedule's under its name. */
void trainer_options_add(struct option_set *set, struct trainer_options *target);
/* Those of a task that measures after an epoch: which epochs, and which one is kept. */
void trainer_choice_add(struct option_set *set, struct trainer_options *target);

/* Records of a batch for `count` training records: never more than these; where the options leave it
 * open 64, from 5,000 records on 128. */
int64_t trainer_batch(const struct trainer_options *o, int64_t count);

struct trainer_progress {
    int64_t epoch, epochs, step, steps;
    double loss, rate, records_per_second, seconds_left;
    double score; /* of the last epoch; NaN: none */
    bool epoch_ended;
};

struct trainer_task {
    void *context;
    /* Records the loss for batches of B records; may keep up to TRAINER_PARTS_MAX named parts. NULL:
     * classification of the model's classes (model_loss). */
    struct tensor *(*build)(void *context, struct build *b, int64_t B, struct tensor **parts,
                            const char **part_names, int *part_count);
    /* Binds the tape's inputs to a batch. NULL: as classification does (model_loss_bind). */
    void (*bind)(void *context, struct tape *t, const struct batch *batch);
    /* After each epoch; NULL: nothing. values: the slab a model would be saved with now. Adds to the
     * metrics line. *score (larger is better) chooses the best epoch, unless the options say to keep the
     * last; leave it where there is no choice. */
    enum err_code (*epoch_end)(void *context, const float *values, struct cJSON *line,
                               double *score, struct err *e);
    void (*progress)(void *context, const struct trainer_progress *p);
    /* Names the record of a sample index, for messages. NULL: the index does. */
    const char *(*record_id)(void *context, int64_t sample);
};

struct trainer;

/* ERR_USAGE if the folder has a checkpoint of a run with another identity (see trainer_run). */
enum err_code trainer_check_folder(struct run_folder *run, const char *identity, struct err *e);

/* Records and plans the training tape for batches of `batch` records; the model's table is complete
 * afterwards, so that model_allocate can follow. Borrows all. */
enum err_code trainer_open(struct trainer **out, const struct trainer_options *options,
                           const struct trainer_task *task, struct model *m, int64_t batch,
                           uint64_t seed, struct err *e);
void trainer_close(struct trainer *t); /* accepts NULL */

/* Trains from the run folder's checkpoint, or from m->values. identity: text that must be the same for
 * a run to go on (resolved configuration and data hash). At the end m->values are the values to save
 * (best epoch, or EMA, or last).
 * Errors: ERR_INTERRUPTED after a signal (state saved; the caller has called interrupt_install), ERR_NUMERIC with step and records, ERR_USAGE
 * if the folder holds another run. */
enum err_code trainer_run(struct trainer *t, struct loader *l, struct run_folder *run,
                          const char *identity, struct err *e);

/* The same by single steps, for measuring: trainer_start makes gradients and moments and sets the
 * schedule, trainer_step is one optimizer step on one batch (`accumulate` times that one). Nothing is
 * read or written; m->values change.
 * Errors: ERR_MEMORY; ERR_NUMERIC. */
enum err_code trainer_start(struct trainer *t, int64_t batches_per_epoch, struct err *e);
enum err_code trainer_step(struct trainer *t, const struct batch *batch, struct err *e);

/* Seconds spent so far. */
struct trainer_times {
    double forward_s, backward_s, update_s; /* update: clip, AdamW, EMA */
};
struct trainer_times trainer_times(const struct trainer *t);
struct tape *trainer_tape(struct trainer *t); /* borrowed */
/* What a model would be saved with now: the average, or else the weights. Borrowed. */
const float *trainer_values(const struct trainer *t);

double trainer_best_score(const struct trainer *t);  /* NaN: none */
int64_t trainer_best_epoch(const struct trainer *t); /* 1-based, 0: none; the last with keep=last */
int64_t trainer_steps(const struct trainer *t);
int64_t trainer_updates(const struct trainer *t); /* optimizer steps done so far */
size_t trainer_planned_bytes(const struct trainer *t);

#endif
