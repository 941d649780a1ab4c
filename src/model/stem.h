/* What makes tokens of samples before a context network (backbones lstm and s4): convolutions over
 * all leads, each with batch norm and ReLU, as encoders of contrastive predictive coding have them, or
 * one linear layer of the leads. Tokens of a convolution are centred on every stride-th one before.
 * Source: Mehari and Strodthoff 2022 (four of width 1).
 *
 * Its options are rows of the backbone's table (STEM_OPTIONS), its parameters "stem.<i>.conv" and
 * "stem.<i>.norm", or "embed". Threads: functions of what they are given. */
#ifndef ECGFM_MODEL_STEM_H
#define ECGFM_MODEL_STEM_H

#include "base/option.h"
#include "nn/layer.h"

struct stem_config {
    const char *kernels; /* "3,1,1,1", or "linear" */
    const char *strides; /* as many, or "1": all */
    int64_t width;
};

/* Rows of a table of struct `type` with a member `stem`. */
#define STEM_OPTIONS(type, kernels_, width_)                                                       \
    {"stem",                                                                                       \
     OPTION_STRING,                                                                                \
     offsetof(struct type, stem.kernels),                                                          \
     kernels_,                                                                                     \
     0,                                                                                            \
     0,                                                                                            \
     NULL,                                                                                         \
     "LIST",                                                                                       \
     "lengths of the convolutions that make tokens of the samples, separated by commas; linear: "  \
     "one "                                                                                        \
     "layer of the leads instead",                                                                 \
     false},                                                                                       \
        {"stem_strides", OPTION_STRING, offsetof(struct type, stem.strides),        "1",  0, 0,    \
         NULL,           "LIST",        "their steps, one for each or one for all", false},        \
    {                                                                                              \
        "stem_width", OPTION_INT, offsetof(struct type, stem.width), width_, 1, 8192, NULL, NULL,  \
            "channels of these convolutions", false                                                \
    }

/* Errors: ERR_USAGE naming the option of backbone `name`; where T is no multiple of all steps. */
enum err_code stem_check(const struct stem_config *c, const char *name, int64_t T, struct err *e);
bool stem_is_linear(const struct stem_config *c);
/* Samples that a token stands for: the product of the steps. Of a checked configuration, as are the rest. */
int64_t stem_step(const struct stem_config *c);
/* Whether a token sees nothing after the samples that it stands for. */
bool stem_causal(const struct stem_config *c);
/* samples [B,T,L] -> [B,T/step,C], C the stem's width, or with a linear one `width`. */
struct tensor *stem_build(struct build *b, const struct stem_config *c, struct tensor *samples,
                          int64_t width);
/* [B] index, samples of each record -> tokens of each; NULL of NULL. */
struct tensor *stem_lengths(struct build *b, const struct stem_config *c, struct tensor *lengths,
                            int64_t T);

#endif
