/* A model: backbone, input contract, classes if it has a head, and parameter values.
 *
 * Nouns: a `spec` is the JSON that says how to build it ({"network": {...}, "vit": {...}}), the same
 * text in presets, run folders and model files; a model `file` is a safetensors file whose metadata
 * holds spec, contract, classes and provenance; `features` are what a head or probe sees: pooled
 * tokens. A model with class_count 0 is an encoder. One that was pre-trained may also hold the
 * parameters of its objectives ("w2v.mask_token"), so that pre-training can go on from it; what uses the
 * encoder or head alone does not read them.
 *
 * A parameter P of a file is a tensor P of its shape: F32, or where only products read it also BF16, or
 * I8 beside a tensor P.scale, F32 [N], N the first axis: value (n,...) is P.scale[n] * P[n,...].
 *
 * Parameters of objectives are those whose metadata ecgfm.objective names them: {"objective":
 * "w2v+cmsc", "w2v": {options}, ..., "parameters": {"w2v.mask_token": [768], ...}}. A file has the
 * tensors of its model and those of that list, F32, and no others. */
#ifndef ECGFM_MODEL_MODEL_H
#define ECGFM_MODEL_MODEL_H

#include "base/option.h"
#include "model/backbone.h"
#include "model/head.h"
#include "signal/contract.h"

struct cJSON;
struct safetensors;

struct network_config {
    const char *backbone;
    const char *pool;      /* a row of pools */
    const char *head;      /* a row of head_kinds */
    int64_t adapter_width; /* of adapters in transformer blocks; 0: none */
};

#define MODEL_CLASSES_MAX 4096

struct model_classes {
    int64_t count; /* K; 0: no head */
    const char *task, *code_system;
    bool
        values; /* they are values (regression), not classes: an output z stands for mean + deviation z */
    const char *unit;           /* of values, "years"; NULL: none told */
    double *means, *deviations; /* [K] of values, of the training records; NULL: of classes */
    const char **names, **codes, **titles; /* [K] */
    const char *
        *aggregation;   /* [K] how windows make a record (aggregate.h); NULL: mean_logit all */
    double *thresholds; /* [K] score from which a class is found; 0: none; NULL: none at all */
};

struct model {
    struct arena arena;
    struct option_set
        options; /* groups "network", "head" and the backbone's; "lora" if the spec has it */
    struct network_config network;
    struct head_config head;
    struct lora_options lora; /* while it is learned; model_merge adds it to the layers */
    const struct pool *pool;  /* of the features: an encoder's learns nothing */
    const struct backbone *backbone;
    void *config;
    struct contract contract;
    struct model_classes classes;
    struct param_table params; /* "encoder.*", with classes "head.*", then those of objectives */
    float *values;             /* slab, NULL until model_allocate or model_load */
    struct weight *weights;    /* [params.count] where each lies in `file`, after model_open */
    struct safetensors *file;
    const char *provenance;        /* JSON text: how it was made; NULL: unknown */
    const float *positive_weights; /* [K] factors on the loss of positives, borrowed; NULL: 1 */
    const char *objective; /* JSON text as above, "parameters" left out; NULL: no objectives */
};

/* Options that choose a model on a command line: --model PRESET, network.*, every backbone's. */
extern const struct option lora_rows[]; /* of struct lora_options, the group "lora" */

struct model_options {
    const char *model;
    struct network_config network;
    struct head_config head;
};
void model_options_add(struct option_set *set, struct model_options *target);
/* Applies the preset named by --model (weaker than what the user set) and gives the spec; caller
 * cJSON_Deletes. A preset may set options of the group "input" too, which the set must hold: read
 * them after this call. Errors: ERR_USAGE with the nearest preset name. */
enum err_code model_options_spec(struct option_set *set, struct model_options *options,
                                 struct cJSON **spec, struct err *e);

/* Builds the description and the parameter table (no values). classes may be NULL; strings are
 * copied. *m is initialized here; caller frees with model_free also after an error. */
enum err_code model_create(struct model *m, const struct cJSON *spec,
                           const struct contract *contract, const struct model_classes *classes,
                           struct err *e);
void model_free(struct model *m); /* accepts a zeroed struct */
/* Allocates values and initializes them from the seed. */
enum err_code model_allocate(struct model *m, uint64_t seed, struct err *e);
/* Copies the values of every "encoder.*" parameter; specs must agree. What is `added`, not there and not
 * frozen stays as it is. ERR_MODEL naming the first parameter that is missing, has another shape, or was
 * added to *from and has no place in *m. */
enum err_code model_copy_encoder(struct model *m, const struct model *from, struct err *e);

/* Makes *out, initialized here, a model without low-rank additions whose layers have them in their
 * weights: w + alpha / rank up down, rounded once. Provenance and the rest come along; m has values. */
enum err_code model_merge(const struct model *m, struct model *out, struct err *e);

/* Copies the values of every parameter of *m under `scope` ("w2v": "w2v.mask_token" ...).
 * ERR_MODEL naming the first that is missing or has another shape. */
enum err_code model_copy_objective(struct model *m, const struct model *from, const char *scope,
                                   struct err *e);
/* Is it part of encoder or head? Else it is an objective's. */
bool model_owns(const struct param *p);

int64_t model_feature_count(const struct model *m); /* F */
/* Whether the same parameters also take windows of T samples instead of the contract's. Errors:
 * ERR_MODEL with what does not fit. */
enum err_code model_takes(const struct model *m, int64_t T, struct err *e);
/* Recording, for signal [B,L,T] of the contract's L and a T that the model takes. */
struct encoding model_encode(struct build *b, const struct model *m, struct tensor *signal,
                             const struct masking *masking);
struct tensor *model_features(struct build *b, const struct model *m, struct tensor *tokens);
/* The same of an encoding: tokens that are padding are left out. */
struct tensor *model_pool(struct build *b, const struct model *m, const struct encoding *encoding);
/* Of features as model_pool gives them. */
struct tensor *model_logits(struct build *b, const struct model *m, struct tensor *features);
/* The loss of the model's task, from inputs "signal" [B,L,T] and "target" [B,K] (NaN: not counted):
 * binary cross-entropy, positives weighted by m->positive_weights; of values the mean squared error, the
 * targets in deviations from the mean. And the binding of both. */
struct tensor *model_loss(struct build *b, const struct model *m, int64_t B);
void model_loss_bind(struct tape *t, const float *signal, const float *target);

/* The file carries everything model_open needs; parameters of objectives only if m->objective is set.
 * values: which slab to write (NULL: m->values). */
enum err_code model_save(const struct model *m, const float *values, const char *path,
                         struct err *e);
/* The same from m->values or the open file, what products read rounded to `storage`. */
enum err_code model_save_as(const struct model *m, enum storage storage, const char *path,
                            struct err *e);
/* Maps a model file: parameters stay there, in its storage, for inference. Every parameter must be
 * there with its shape and a type it may have, and nothing else; values must be finite.
 * Errors: ERR_MODEL, ERR_NOT_FOUND, ERR_IO, ERR_MEMORY. */
enum err_code model_open(struct model *m, const char *path, struct err *e);
/* The same for scoring alone, where the first pass over a large file is that of the first record: the
 * values of matrices are not looked at. One that is not finite makes every result not finite, which
 * is when to ask model_check. */
enum err_code model_open_unchecked(struct model *m, const char *path, struct err *e);
/* Looks at all values of an open file. Errors: ERR_MODEL naming the first one that is not finite. */
enum err_code model_check(const struct model *m, struct err *e);
/* The same with the values as a float32 slab, the file closed: for training. */
enum err_code model_load(struct model *m, const char *path, struct err *e);
/* Where parameter i lies: in the slab, or in the open file. */
struct weight model_weight(const struct model *m, int i);
/* Lets go of the memory that an open file takes, where the system can; what is read again is fetched
 * again. After packing. */
void model_forget_pages(const struct model *m);
/* How the file holds what products read; STORAGE_F32 for a model that is no open file. */
enum storage model_storage(const struct model *m);
/* Path of the model file in PATH: the file itself, or model.safetensors in a run folder. */
char *model_path(struct arena *a, const char *path);

/* What the file says of network and classes, as JSON: options of heads only where its own reads them.
 * Caller cJSON_Deletes. */
struct cJSON *model_spec_json(const struct model *m);
struct cJSON *model_classes_json(const struct model *m);
/* And back. Strings point into json, which the caller keeps until they are copied; lists are the
 * arena's. Errors: ERR_MODEL naming the class. */
enum err_code model_classes_from_json(const struct cJSON *json, struct arena *a,
                                      struct model_classes *out, struct err *e);

#endif
