/* The static tape: model code records ops once per shape, the tape is planned once (one block of
 * memory, lifetimes known), then run forward and walked back. No objective writes a backward chain.
 *
 * Nouns: a `tensor` is a shape with places for data and gradient; an `op` is a row that says all
 * about one operation (op_*.c, ops.def); a `node` is one recorded use of an op. Inputs are bound from
 * outside before each run; parameters live in slabs given by tape_bind_parameters.
 *
 * Shapes are checked while recording: a wrong shape is our own mistake and aborts with the op's name
 * and the shapes. Sizes that come from users are checked before recording by those who take them.
 *
 * Threads: one thread drives a tape; kernels use OpenMP inside. Several tapes may share parameters. */
#ifndef ECGFM_GRAPH_TAPE_H
#define ECGFM_GRAPH_TAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "kernel/kernel.h"

#define TENSOR_RANK_MAX 5
#define NODE_INPUTS_MAX 6
#define NODE_SAVED_MAX 3

enum tensor_type { TENSOR_REAL, TENSOR_INDEX }; /* elements: the backend's real, or int32 */
enum tensor_kind { TENSOR_INPUT, TENSOR_PARAMETER, TENSOR_RESULT };

struct tensor {
    int id;
    const char *name; /* inputs and parameters; else the op's name */
    enum tensor_kind kind;
    enum tensor_type type;
    int rank;
    int64_t shape[TENSOR_RANK_MAX];
    int64_t numel;
    bool needs_grad;      /* a gradient flows into it */
    bool kept;            /* data stays readable after the run */
    int64_t offset;       /* parameters: element offset in the slab */
    void *data;           /* valid after planning (results) or binding (inputs, parameters) */
    struct weight weight; /* parameters of inference: where it lies; data is NULL if not float32 */
    void *grad;           /* NULL when no gradient flows */
    const struct tensor *grad_of; /* whose memory the gradient shares; NULL: has its own */
    int producer;                 /* node index, -1 for inputs and parameters */
    bool grad_written;
};

struct package;

struct op_attributes {
    int64_t i[4];
    double f[2];
};

struct node {
    const struct op *op;
    int index;
    int input_count;
    struct tensor *input[NODE_INPUTS_MAX]; /* NULL where optional and absent */
    struct tensor *output;
    /* Where the backward pass reads the output but it is not kept as it is: it is made again, in other
     * memory, right before node `again_before` runs backward (-1: kept as it is). By the op, where it
     * is cheap; else from a bf16 copy, taken right after node `copied_after` ran forward (-1: by the
     * op). */
    int again_before, copied_after;
    void *output_forward, *output_again; /* may be the same */
    uint16_t *output_copy;
    struct op_attributes attr;
    /* Asked for by op->prepare; real elements unless saved_is_index. */
    int64_t saved_numel[NODE_SAVED_MAX];
    bool saved_is_index[NODE_SAVED_MAX];
    void *saved[NODE_SAVED_MAX]; /* written forward, read backward; NULL if numel is 0 */
    struct package *package;     /* of graph/weights.h; NULL on tapes bound to slabs */
    const void *packed;          /* made by op->pack; NULL: the parameter is read as it is */
    bool training;               /* a backward pass may come */
    bool runs_backward;
    int add[NODE_INPUTS_MAX];   /* gradient of input i: 0 overwrite, 1 add */
    bool zero[NODE_INPUTS_MAX]; /* clear that gradient first: first writer, and it always adds */
    bool pad[NODE_INPUTS_MAX];  /* clear what lies between it and the next parameter's */
};

struct tape;

/* Randomness of one run: dropout is a function of (seed, step, node). */
struct tape_step {
    uint64_t seed;
    uint64_t step;
};

#define OP_NEEDS_OUTPUT (1u << 8)

/* One test case of an op row: the generic tests fill inputs with seeded values. */
struct op_case_input {
    enum tensor_type type;
    int rank; /* 0: absent */
    int64_t shape[TENSOR_RANK_MAX];
    /* TENSOR_INDEX: values 0..limit-1, distinct along the last axis, then -1. */
    int64_t index_limit;
};

struct op_case {
    int input_count; /* 0 ends the list */
    struct op_case_input input[NODE_INPUTS_MAX];
    struct op_attributes attr;
    double tolerance; /* float against double, normalised squared error; 0: 1e-10 */
};

struct op {
    const char *name;
    const char *help;
    unsigned backward_needs; /* bit i: data of input i; OP_NEEDS_OUTPUT: data of the output */
    unsigned
        backward_rounds;  /* of these, what may be kept in the precision of products until then */
    unsigned always_adds; /* bit i: the kernel always adds into the gradient of input i */
    unsigned no_gradient; /* bit i: no gradient is defined for input i (targets, indices) */
    unsigned passes;      /* bit i: the gradient of input i is that of the output */
    bool cheap;           /* costs little beside reading its inputs: made again, not kept; what is
                              * rounded in its input is rounded as much in its output */
    void (*prepare)(struct node *n); /* checks inputs, sets the output's shape and saved sizes */
    void (*forward)(const struct backend *k, const struct node *n, const struct tape_step *s);
    void (*backward)(const struct backend *k, const struct node *n, const struct tape_step *s);
    double (*flops)(const struct node *n); /* forward; NULL: none worth counting */
    /* Inference with parameters prepared once (graph/weights.h); all three or none. bit i of packs:
     * with node->packed, parameter i is read by pack only, as input[i]->weight in any storage; the
     * first of them names the packed form. pack_bytes 0: this backend reads them as they are. Called
     * on several threads at once. reads_stored: without node->packed, forward reads them in any storage
     * (data is NULL if not float32), with the bits that packing gives. */
    unsigned packs;
    bool reads_stored;
    size_t (*pack_bytes)(const struct backend *k, const struct node *n);
    void (*pack)(const struct backend *k, const struct node *n, void *packed);
    const struct op_case *cases;
};

extern const struct op *const ops[]; /* NULL-terminated, from ops.def */

/* training: gradients will be asked for. Owns: caller frees with tape_free. */
struct tape *tape_new(const struct backend *backend, bool training);
void tape_free(struct tape *t); /* accepts NULL */

struct tensor *tape_input(struct tape *t, const char *name, enum tensor_type type, bool needs_grad,
                          int rank, const int64_t *shape);
/* offset: element offset in the parameter slabs, a multiple of 16. Not trainable: no gradient is
 * computed. The same parameter asked for again is the same tensor. */
struct tensor *tape_parameter(struct tape *t, const char *name, bool trainable, int64_t offset,
                              int rank, const int64_t *shape);
/* Records one op; inputs may hold NULL where the op allows it. */
struct tensor *tape_record(struct tape *t, const struct op *op, int input_count,
                           struct tensor *const *inputs, const struct op_attributes *attr);
/* Data of x stays readable after tape_forward. */
void tape_keep(struct tape *t, struct tensor *x);

/* Before tape_plan, on a training tape: parameter gradients, a slab of `numel` elements, get their
 * memory from the plan too. A gradient's place is used for activations until it is first written, and
 * tape_backward clears it then: gradients are those of the last backward pass and must be read before
 * the next forward pass. Parameters that no gradient flows to keep a gradient of zero. */
void tape_own_gradients(struct tape *t, int64_t numel);
/* The slab, after tape_plan; NULL without tape_own_gradients. */
void *tape_gradients(const struct tape *t);

/* Plans memory; loss (one element) is where backward starts, NULL for inference.
 * Errors: ERR_MEMORY naming the size. */
enum err_code tape_plan(struct tape *t, struct tensor *loss, struct err *e);

/* Base addresses of the parameter slabs; gradients may be NULL without training, and are those of the
 * tape after tape_own_gradients. For inference see graph/weights.h. */
void tape_bind_parameters(struct tape *t, void *values, void *gradients);
/* Data of an input (borrowed until the next bind). */
void tape_bind(struct tensor *input, const void *data);
bool tape_is_training(const struct tape *t);
struct tensor *tape_find_input(const struct tape *t, const char *name); /* or NULL */

void tape_set_step(struct tape *t, uint64_t seed, uint64_t step);
void tape_forward(struct tape *t);
/* Seeds the loss gradient with `seed` and walks back. Parameter gradients are added to, unless the
 * tape owns them. */
void tape_backward(struct tape *t, double seed);

size_t tape_planned_bytes(const struct tape *t);
size_t tape_unshared_bytes(const struct tape *t); /* what it would need without sharing memory */
double tape_forward_flops(const struct tape *t);
int tape_node_count(const struct tape *t);
struct node *tape_node(const struct tape *t, int i);
int tape_tensor_count(const struct tape *t);
struct tensor *tape_tensor(const struct tape *t, int i);
/* Seconds spent per node so far, when timing is on. */
void tape_set_timing(struct tape *t, bool on);
void tape_node_seconds(const struct tape *t, int i, double *forward, double *backward);

/* Product of all extents but the last, and the last. */
static inline int64_t tensor_rows(const struct tensor *x)
{
    return x->numel / x->shape[x->rank - 1];
}
static inline int64_t tensor_width(const struct tensor *x) { return x->shape[x->rank - 1]; }
bool tensor_same_shape(const struct tensor *a, const struct tensor *b);
/* index [B,M] of int32, one for each row of x [B,M,D]. */
bool tensor_indexes_rows(const struct tensor *index, const struct tensor *x);

/* For op rows. Aborts with the op, what and the input shapes unless the condition holds. */
void node_check(const struct node *n, bool condition, const char *what);
/* Set the output's shape. */
void node_output(struct node *n, int rank, const int64_t *shape);
void node_output_like(struct node *n, const struct tensor *x);
/* A tensor of one number, for ops that need no kernel for it. */
double scalar_get(const struct backend *k, const void *data);
void scalar_set(const struct backend *k, void *data, double value, int add);
/* The gradient of input i is that of the output (op->passes): copied or added, unless they share
 * memory. */
void node_pass_gradient(const struct backend *k, const struct node *n, int i);

#endif
