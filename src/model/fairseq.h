/* Checkpoints of fairseq-signals (ECG-FM) as models of backbone w2v, and back.
 *
 * Nouns: a `fairseq_arch` is what a checkpoint's tensors and cfg tell of its network; a
 * `fairseq_tensor` is one tensor of a state dict with its name and shape there and the part of our
 * parameter that it is. One table of names (fairseq.c) makes the list of them for an architecture,
 * which reading and writing both follow: every tensor of a checkpoint is accounted for.
 *
 *   kinds      pre-trained (wav2vec2, wav2vec2_cmsc); encoder alone (ecg_transformer); classifier
 *              (ecg_transformer_classifier), whose encoder's names begin with "encoder."
 *   name trap  encoder.layer_norm is the norm of the tokens in the first two and that of the
 *              convolutions in a classifier: the kind decides, from cfg and from the names
 *   spellings  weight norm is conv_pos.pos_conv.0.weight_g/_v, or since 2025 .parametrizations.
 *              weight.original0/1 */
#ifndef ECGFM_MODEL_FAIRSEQ_H
#define ECGFM_MODEL_FAIRSEQ_H

#include "format/pytorch.h"
#include "model/model.h"

enum fairseq_kind { FAIRSEQ_PRETRAINED, FAIRSEQ_ENCODER, FAIRSEQ_CLASSIFIER };

struct fairseq_arch {
    enum fairseq_kind kind;
    bool cmsc;                                                        /* pre-trained: with CMSC */
    int64_t leads, conv_layers, conv_width, conv_kernel, conv_stride; /* the same in all layers */
    bool conv_layer_norm, conv_bias; /* layer norms, not a group norm after the first */
    int64_t width, depth, hidden, heads;
    bool norm_first; /* pre-norm */
    int64_t position_kernel, position_groups;
    bool parametrized;                                   /* the newer spelling of weight norm */
    int64_t code_groups, codes, code_width, final_width; /* codes: of each group */
    int64_t classes;
};

enum fairseq_layout {
    FAIRSEQ_SAME, /* the same values in the same order, extents of 1 in front left out */
    FAIRSEQ_TAPS, /* theirs [out, in, taps], ours [out, taps * in] */
    FAIRSEQ_Q,    /* a third of ours along the first axis */
    FAIRSEQ_K,
    FAIRSEQ_V
};

struct fairseq_tensor {
    const char *name, *ours; /* in the state dict, in our parameter table */
    enum fairseq_layout layout;
    int rank;
    int64_t shape[PYTORCH_RANK_MAX]; /* of theirs */
};

/* The architecture of ECG-FM for a kind (section 1.2 of its configuration). */
void fairseq_arch_default(struct fairseq_arch *a, enum fairseq_kind kind, int64_t classes);
extern const char *const fairseq_kind_names[]; /* "pre-trained encoder", ... */
/* All tensors of a state dict in the order in which they are written; memory is the arena's. Returns
 * their count. */
int64_t fairseq_tensors(const struct fairseq_arch *a, struct arena *arena,
                        struct fairseq_tensor **out);

/* What is wrong with a checkpoint, one sentence each. */
struct fairseq_problems {
    struct arena *arena;
    int64_t count, cap;
    const char **lines;
};

/* Finds kind and architecture of an open checkpoint: shapes first, cfg for what they do not tell, and
 * a problem where the two differ.
 * Errors: ERR_MODEL (no state dict, no such kind), ERR_UNSUPPORTED (convolutions of several shapes, no
 * quantizer, other leads than twelve). */
enum err_code fairseq_arch_read(const struct pickle_value *root, struct fairseq_arch *a,
                                struct fairseq_problems *problems, struct err *e);

/* The same, and every tensor against the list: missing, extra and misshapen ones are problems. */
enum err_code fairseq_check(const struct pickle_value *root, struct fairseq_arch *a,
                            struct fairseq_problems *problems, struct err *e);

/* The labels of a classifier: those that fairseq_write put into cfg.ecgfm, or a built-in table with as
 * many, which the weights of its loss must prove, unless `published` says that it is one of these;
 * memory is the arena's.
 * Errors: ERR_LABELS where there is no such table, or no proof; ERR_MODEL for a cfg.ecgfm that cannot be. */
enum err_code fairseq_labels(const struct pickle_value *root, const struct fairseq_arch *a,
                             bool published, struct arena *arena, struct model_classes *out,
                             struct err *e);

/* Makes a model of a checkpoint: values as float32, contract of ECG-FM (fairseq_contract), spec and
 * objective from architecture and cfg, provenance. classes: NULL for what has no head; else just as
 * many as it has. *m is initialized here; caller frees with model_free also after an error.
 * Errors: ERR_MODEL with the count of problems, which are in *problems: tensors missing, extra or of
 * another shape, architecture and cfg at odds; values that are not finite; those of reading. */
enum err_code fairseq_read(struct model *m, struct pytorch *p, const struct model_classes *classes,
                           struct fairseq_problems *problems, struct err *e);

/* Writes a model with values (model_load) as a checkpoint that torch.load reads with
 * weights_only=True (PyTorch 2.0 or newer) and fairseq-signals loads: with parameters of w2v as pre-trained, with classes
 * as a classifier, else as an encoder alone.
 * Errors: ERR_UNSUPPORTED naming what fairseq-signals does not have (another backbone, pooling other
 * than mean), ERR_IO. */
enum err_code fairseq_write(const struct model *m, const char *path, struct err *e);

/* The input of ECG-FM: 500 Hz, 5 s, twelve leads. */
void fairseq_contract(struct contract *c);

int64_t fairseq_numel(const struct fairseq_tensor *t);
/* Whether our parameter has the shape that the tensor, or the part of it that it is, asks for. */
bool fairseq_fits(const struct fairseq_tensor *t, const struct param *p);
/* The part of our parameter `ours` (float32) that a tensor is, and the other way round. */
void fairseq_take(const struct fairseq_tensor *t, const float *ours, float *theirs);
void fairseq_put(const struct fairseq_tensor *t, float *ours, const float *theirs);

#endif
