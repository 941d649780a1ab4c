/* Pre-training: a backbone and one or more objectives on unlabelled records -> an encoder file. */
#ifndef ECGFM_TRAIN_PRETRAIN_H
#define ECGFM_TRAIN_PRETRAIN_H

#include "objective/objective.h"
#include "train/experiment.h"

struct pretrain_options {
    const char *objective;
    const char *split;   /* train | all */
    const char *weights; /* run folder or model file to start from; NULL: random */
};
extern const struct option pretrain_rows[];

struct pretrain {
    struct experiment experiment; /* command .. threads filled by the caller */
    struct experiment_options data;
    struct input_options input;
    struct model_options model;
    struct trainer_options trainer;
    struct pretrain_options options;
    struct augment_chain augment;
    struct option_set *set;
    struct model encoder; /* result */
};

/* Registers every option of pre-training on *p, with its defaults. */
void pretrain_options_add(struct pretrain *p, struct option_set *set);

/* Trains (or goes on) and writes model.safetensors and metrics.json into the run folder.
 * Errors: those of trainer_run, ERR_USAGE, and whatever the data set gives. */
enum err_code pretrain_run(struct pretrain *p, struct err *e);
void pretrain_free(struct pretrain *p);

#endif
