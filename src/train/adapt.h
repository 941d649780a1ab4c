/* Adapting an encoder to a task: `probe` fits a classifier on frozen features (classifier.h), `finetune`
 * trains head and encoder, or parts of it (adaptation.h). Both score the test fold and write a model that `infer` takes. */
#ifndef ECGFM_TRAIN_ADAPT_H
#define ECGFM_TRAIN_ADAPT_H

#include "train/experiment.h"

struct adapt_options {
    const char *task, *weights;
    bool untrained; /* of the weights only network and input are taken */
    int64_t bootstrap;
    const char *positive_weights; /* a file, "balance" or "data"; NULL: none */
    const char *aggregation;      /* of every class, see model/aggregate.h */
    double label_fraction;        /* of the training records, see fraction.h */
    int64_t label_subset;         /* its number */
};
extern const struct option adapt_rows[];

/* Of finetune alone. */
struct tuning_options {
    const char *recipe; /* a row of `recipes`; NULL: none */
    const char *adapt;  /* a row of `adaptations`; NULL: this is no fine-tuning */
};
extern const struct option tuning_rows[];

/* Of probe alone. */
struct probe_options {
    const char *classifier; /* a row of `classifiers` */
};

/* What both commands are given; the caller fills experiment.command .. threads. */
struct adapt {
    struct experiment experiment;
    struct experiment_options data;
    struct adapt_options options;
    struct probe_options probe;     /* probe */
    struct tuning_options tuning;   /* finetune */
    struct lora_options lora;       /* finetune */
    struct input_options input;     /* used with --weights random */
    struct model_options model;     /* used with --weights random */
    struct trainer_options trainer; /* finetune */
    struct augment_chain augment;   /* finetune */
    struct option_set *set;
    struct model result; /* what is learned */
    struct model merged; /* finetune: the same without low-rank additions; zero: there are none */
    struct evaluation evaluation; /* of the test fold */
    int64_t
        held_out_seen; /* validation and test records of whose patients the encoder has learned */
    struct cJSON *fraction; /* what subset of the labels is used; NULL: all */
};

/* Adds the options of both commands to the set, with *a as their target, or those of one. */
void adapt_options_add(struct adapt *a, struct option_set *set);
void probe_options_add(struct adapt *a, struct option_set *set);
void finetune_options_add(struct adapt *a, struct option_set *set);

/* Write model.safetensors, predictions.csv and metrics.json into the run folder.
 * Errors: ERR_MODEL if the weights do not fit, and those of data sets, trainer and solver. */
enum err_code probe_run(struct adapt *a, struct err *e);
enum err_code finetune_run(struct adapt *a, struct err *e);
void adapt_free(struct adapt *a);

/* For both: opens the experiment, and makes a->result with the classes of the task: its encoder from
 * --weights, or random. Reads the three splits. */
struct adapt_data {
    int64_t *subset[3], count[3]; /* by enum data_split */
};
enum err_code adapt_open(struct adapt *a, struct adapt_data *data, struct err *e);
/* Does the encoder start from random values, those of --weights random or --untrained? */
bool adapt_encoder_is_random(const struct adapt *a);
/* Copies the encoder from --weights, or leaves the random start. After model_allocate. */
enum err_code adapt_start(struct adapt *a, struct err *e);
/* Writes the reports on scores [n,K] of the test records, with what all runs say of themselves. extra is
 * consumed. */
enum err_code adapt_report(struct adapt *a, const struct adapt_data *data, const float *scores,
                           struct cJSON *extra, struct err *e);
/* Scores the test records with the model, writes it and the reports. extra is consumed. */
enum err_code adapt_finish(struct adapt *a, struct model *m, const struct adapt_data *data,
                           struct cJSON *extra, struct err *e);

#endif
