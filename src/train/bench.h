/* Measuring: what the machine gives (products, memory), what a model costs (scoring, training steps)
 * and how fast records come in. What is timed is what users run: scorer_run, trainer_step and the
 * loader, on random signals or real files.
 *
 * Nouns: a `spread` is the times of repeats of one thing; a `product` is the fastest large matrix
 * product of a backend, the measure that steps are held against; a `run` is one model, one batch
 * size, scoring or training.
 *
 * Arithmetic is counted from the op rows: forward as op->flops says (products of matrices and
 * attention), a training step three times that (forward, gradients of inputs, gradients of weights).
 *
 * Threads: one at a time in a process: peak memory and kernels' threads are the process's. */
#ifndef ECGFM_TRAIN_BENCH_H
#define ECGFM_TRAIN_BENCH_H

#include "data/augment.h"
#include "data/dataset.h"
#include "model/model.h"
#include "objective/objective.h"
#include "signal/contract.h"

struct bench_options {
    int64_t repeat; /* timed steps, after two that are not */
    double
        limit_s; /* no further repeats of one run after so long, from the third on; 0: no limit */
    uint64_t seed;
    int threads; /* of copying and of reading records; kernels have theirs set already */
};

struct bench_spread {
    double median, min, max; /* seconds */
    int64_t count;
};

struct bench_product {
    int64_t M, N, K; /* y[M,N] = x[M,K] w[N,K]^T */
    bool packed;     /* with weights packed before (linear_packed), else linear_fwd */
    double flops_per_s;
};

/* Times several large products of the backend and keeps the fastest of them and of *best (zeroed at
 * first): called before and after what it is compared with, so that a busy moment does not pass for
 * the machine's peak. Errors: ERR_MEMORY. */
enum err_code bench_product(const struct backend *k, struct bench_product *best, struct err *e);

/* Fastest copy of a large block by `threads` threads: bytes read plus bytes written a second.
 * Errors: ERR_MEMORY. */
enum err_code bench_copy(int threads, double *bytes_per_s, struct err *e);

#define BENCH_OPS_MAX 64

struct bench_op {
    const char *name;
    int64_t count;                /* nodes */
    double forward_s, backward_s; /* mean of a step */
    double flops;                 /* forward */
};

struct bench_run {
    bool training;
    int64_t batch, node_count;
    struct bench_spread step;
    double flops;                           /* of a step */
    double forward_s, backward_s, update_s; /* mean of a step; backward and update of training */
    int op_count;
    struct bench_op ops[BENCH_OPS_MAX]; /* slowest first */
    /* Bytes. */
    size_t planned, unshared; /* of the tape, gradients included; and without sharing memory */
    size_t parameters;        /* slabs of values and, in training, moments */
    size_t peak;              /* most memory resident during the run; 0: not known */
    bool peak_of_process;     /* ... since the process began: the system cannot tell for the run */
    double allocations; /* calls of malloc and its kind a step, in the process; -1: not known */
    double page_faults; /* minor faults a step */
};

/* Scores batches of random windows with scorer_run. batch must be a size that the scorer has: ERR_USAGE
 * otherwise. m has its values. Errors: ERR_USAGE, ERR_MEMORY. */
enum err_code bench_infer(struct model *m, int64_t batch, const struct bench_options *o,
                          struct bench_run *out, struct err *e);
/* Training steps (the loss, clip, AdamW) on a random batch; the values of m change. The loss is binary
 * cross-entropy of the model's classes; or the sum of objectives (NULL: none; m has no values yet): then the
 * batch is of records or pairs of segments, a window in each view. Errors: ERR_USAGE, ERR_MEMORY,
 * ERR_NUMERIC. */
enum err_code bench_train(struct model *m, int64_t batch, const struct objective_sum *sum,
                          const struct bench_options *o, struct bench_run *out, struct err *e);

/* How fast records come in. */
struct bench_rate {
    double records_per_s;
    double processor_s; /* of all threads, for one record: what a busy machine hardly changes */
};

/* Files are in the system's cache: the data set is read once before. */
struct bench_loader {
    int64_t records;
    struct bench_rate
        open; /* store_open: read, decoded, checked, converted to the contract, kept */
    struct bench_rate files;  /* served by the loader, each record read from its files again */
    struct bench_rate memory; /* served by the loader from what the store keeps decoded */
};

/* Errors: those of manifest_open, store_open and loader_open. */
enum err_code bench_loader(const char *folder, const struct contract *c,
                           const struct augment_chain *augment, const struct bench_options *o,
                           struct bench_loader *out, struct err *e);

#endif
