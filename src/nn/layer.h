/* Layers: each asks the parameter table for what it needs and records its ops. A `build` is one
 * recording: the tape it writes to, the table, the scope that names are made in and the layer number
 * that new parameters get. */
#ifndef ECGFM_NN_LAYER_H
#define ECGFM_NN_LAYER_H

#include "graph/ops.h"
#include "nn/param.h"

#define ATTENTION_LAYERS_MAX 128

/* What a recording's attention layers leave for who asks to see what they attend to. */
struct attention_tap {
    bool every;                                   /* record the weights of each layer as well */
    int count;                                    /* layers that attend */
    struct tensor *weights[ATTENTION_LAYERS_MAX]; /* [B,N,N] of each, averaged over the heads */
    struct tensor *qkv, *lengths; /* of the last one: inputs of t_attention_weights */
    int64_t heads;
};

/* Low-rank additions to linear layers: y = x w^T + b + alpha / rank (x down^T) up^T, with parameters
 * "<layer>.lora.down" [rank, in] (Gaussian) and "<layer>.lora.up" [out, rank] (zero: it starts as the layer
 * it is added to). Source: Hu et al. 2021 (LoRA), section 4.1. */
struct lora_options {
    int64_t rank; /* 0: none */
    double alpha;
    double dropout; /* of x on its way to the addition */
    const char
        *targets; /* names of layers, or their ends after a point ("qkv", "mlp.up"), with * and ?
                          * for any text or character, separated by commas */
};
/* Is a layer of that full name one of the targets? */
bool lora_is_target(const struct lora_options *lora, const char *name);

struct build {
    struct tape *tape;
    struct param_table *params;
    int layer;
    bool frozen;                     /* parameters asked for are frozen */
    bool added;                      /* parameters asked for are additions: param->added */
    const struct lora_options *lora; /* NULL: none */
    int64_t adapter_width;           /* of adapters in blocks; 0: none */
    char scope[128];                 /* "encoder.block.3" */
    struct attention_tap *tap;       /* NULL: nobody asks */
};

/* Appends ".name" to the scope; returns the length to give back to scope_leave. */
size_t scope_enter(struct build *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void scope_leave(struct build *b, size_t length);

/* The next layer number begins: what is made after the last one, a head, has that. */
void layer_next(struct build *b);

/* A parameter "<scope>.<name>" as a tensor of the tape. */
struct tensor *nn_param(struct build *b, const char *name, int rank, const int64_t *shape,
                        enum param_init init, double scale, bool decay);
/* "<name>.weight" [out, width of x] (Xavier) and "<name>.bias" [out] (zero). */
struct tensor *nn_linear(struct build *b, const char *name, struct tensor *x, int64_t out,
                         enum activation act);
/* How a linear layer starts. */
struct linear_start {
    enum param_init weight, bias;
    double weight_scale, bias_scale;
};
/* PyTorch's default for `in` inputs: both uniform, up to 1/sqrt(in). */
struct linear_start nn_start_uniform(int64_t in);
/* Weights N(0, deviation), biases zero. */
struct linear_start nn_start_gauss(double deviation);
struct tensor *nn_linear_from(struct build *b, const char *name, struct tensor *x, int64_t out,
                              enum activation act, struct linear_start start);
/* "<name>.weight" and "<name>.bias" [D]; epsilon 0: 1e-6. */
struct tensor *nn_layernorm(struct build *b, const char *name, struct tensor *x, double epsilon);

struct ssm_options {
    int64_t states;     /* real ones of a channel: conjugate pairs are half as many, at least one */
    int64_t directions; /* 1: causal; 2: both */
    double dropout;     /* after the state space model and of the branch */
    struct tensor *lengths; /* [B] index: tokens of each record that are not padding; NULL: all */
};
/* Layer of a state space network. x [B,T,H] -> norm(x + branch), the branch "ssm", GELU, "out" to 2 H, gated
 * linear unit. Parameters "ssm.step" [H] (log of dt), "ssm.real" [H,N] (log of minus Re A),
 * "ssm.imaginary" [H,N], "ssm.output" [directions,H,N,2], "ssm.skip" [H], "out", "norm". Starts as
 * S4D-Lin: A_n = -1/2 + i pi n. Source: Gu et al. 2022 (S4D); Mehari and Strodthoff 2023 */
struct tensor *nn_ssm_block(struct build *b, struct tensor *x, const struct ssm_options *options);
/* "<name>.weight" [out, width of x / groups, width] (Kaiming), without a bias, as PyTorch's Conv1d has
 * it, and its tokens: t_conv_strided. */
struct conv_options {
    int64_t width, stride; /* stride 0: 1 */
    int64_t groups;        /* 0: 1 */
    bool unpadded;         /* only where all taps meet tokens */
    bool bias;             /* "<name>.bias" [out] (PyTorch's uniform start) */
};
struct tensor *nn_conv(struct build *b, const char *name, struct tensor *x, int64_t out,
                       const struct conv_options *options);
/* "<name>.weight" and ".bias" [D], ".running_mean" and ".running_var" (state): batch norm over the rows
 * of x [..,D] as PyTorch's BatchNorm1d has it; act: none or ReLU. While training it couples the records
 * of a batch, unless frozen; inference does not. */
struct tensor *nn_batchnorm(struct build *b, const char *name, struct tensor *x,
                            enum activation act);
/* The same with act after the sum with `residual` (like x, or NULL), and another start. */
struct batchnorm_start {
    double weight, bias;
};
struct tensor *nn_batchnorm_from(struct build *b, const char *name, struct tensor *x,
                                 struct tensor *residual, enum activation act,
                                 struct batchnorm_start start);

struct block_options {
    int64_t heads;
    int64_t hidden;            /* width of the mlp */
    double dropout;            /* after attention and mlp */
    double attention_dropout;  /* of the attention probabilities */
    double activation_dropout; /* inside the mlp */
    double drop_path;          /* of each residual branch */
    double layer_drop;         /* probability that a training step leaves the block out */
    double epsilon;            /* of the layer norms; 0: 1e-6 */
    double deviation;          /* of the weights at the start, N(0, deviation); 0: Xavier */
    bool post_norm;
    struct tensor *lengths; /* [B] index: tokens of each record that are attended to; NULL: all */
};
/* With build->adapter_width an adapter follows attention and mlp, before dropout and sum: z + GELU(z down^T)
 * up^T with parameters "adapter1.down.weight" ..., near zero. Source: Houlsby et al. 2019, section 2.1.
 * Transformer block. x [B,N,D]. Pre-norm: x + attention(norm(x)), then + mlp(norm(.)); post-norm:
 * norm(x + attention(x)), then norm(. + mlp(.)). Source: Xiong et al. 2020, figure 1b and 1a. */
struct tensor *nn_block(struct build *b, struct tensor *x, const struct block_options *options);

#endif
