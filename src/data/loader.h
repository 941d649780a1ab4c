/* From a manifest to batches: decode (contract applied), cache, crop, augment, prefetch on plain
 * threads. A batch is a pure function of (seed, epoch, index): thread count and resume do not
 * change it.
 *
 * Nouns: a `store` holds the converted records of some entries (decoded once, kept in memory within
 * a budget, decoded again otherwise) and the quarantine of those that failed; a `loader` serves the
 * batches of a subset of a store in order. */
#ifndef ECGFM_DATA_LOADER_H
#define ECGFM_DATA_LOADER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "data/augment.h"
#include "data/dataset.h"
#include "signal/contract.h"

struct store_options {
    int threads;             /* that read and convert in store_open; 0: all cores */
    int64_t cache_bytes;     /* bound on decoded signals kept; 0: 4 GiB */
    bool strict;             /* as in read_options */
    double max_bad_fraction; /* above: ERR_FORMAT naming the first reasons; 0: 0.5 */
    int64_t segments;        /* of sample_count that a record must have at least; 0: 1 */
};

struct store;

/* Reads every entry of the split once (so that bad records are known before training starts: each
 * becomes a problem in the manifest with its id, code and reason, and is left out), converts with
 * the contract. Besides what cannot be read or converted, recordings shorter than `segments` times
 * contract->sample_count (ERR_LENGTH) and files with fewer samples than their header declares
 * (ERR_TRUNCATED) are quarantined. A checksum that differs is a problem, too, but the record is kept
 * (unless strict). Problems are in the order of the entries. A split without entries gives an empty
 * store. The contract and manifest are borrowed. Uses no OpenMP; one store_open at a time for one
 * manifest. */
enum err_code store_open(struct store **out, struct manifest *m, enum data_split split,
                         const struct contract *contract, const struct store_options *options,
                         struct err *e);
void store_close(struct store *s);
const struct contract *store_contract(const struct store *s);
int64_t store_count(const struct store *s);             /* usable records */
int64_t store_entry(const struct store *s, int64_t i);  /* index into manifest entries */
int64_t store_length(const struct store *s, int64_t i); /* samples after conversion */
int64_t store_pairs(const struct store *s, int64_t i);  /* of segments, see loader_open */
int64_t store_quarantined(const struct store *s);
/* The whole record i, [L, store_length(i)]: from the cache, or decoded again into `a`. Borrowed until
 * the store is closed or a is reset. The same bits either way. Errors: those of reading; ERR_IO if the
 * file is no longer what it was. Threads: safe, each with its arena. */
enum err_code store_signal(struct store *s, int64_t i, struct arena *a, const float **x,
                           struct err *e);
/* Copies samples [begin, begin + T) of record i into out[L,T]; they must lie inside the record.
 * Threads: safe. */
enum err_code store_copy(struct store *s, int64_t i, int64_t begin, int64_t T, float *out,
                         struct err *e);
/* Mean and standard deviation over all samples and leads of some records (and by lead, arrays may be NULL), in
 * double with a fixed order: the same bits for any number of threads. NaN for an empty store, and if a
 * record that was not kept in memory cannot be read any more. */
void store_statistics_of(struct store *s, const int64_t *subset, int64_t count, double *mean,
                         double *std, double *lead_mean, double *lead_std);
/* The same of all records. */
void store_statistics(struct store *s, double *mean, double *std, double *lead_mean,
                      double *lead_std);

struct loader_options {
    int64_t batch_size; /* B */
    int views;          /* V: crops per record, each augmented by itself */
    bool shuffle;       /* by (seed, epoch); else in store order */
    bool random_crop;   /* crop start drawn, same for all views unless independent_crops; with
                           WINDOWS_SEGMENTS one of the segments */
    bool independent_crops;
    bool pairs;     /* an item is two adjacent segments, one for each of 2 views */
    bool drop_last; /* else the last batch is filled up from the epoch's start */
    int threads;    /* 0: decode and augment on the caller's thread */
    int prefetch;   /* batches ahead; at least 1 when threads > 0 */
    uint64_t seed;
    double unit_per_mv;
};

struct batch {
    int64_t epoch, index;
    int64_t count;    /* items in it, always B (see drop_last): records, or pairs of segments */
    float *x;         /* [V,B,L,T] */
    float *targets;   /* [B,K] as label_set_target, or NULL */
    int64_t *samples; /* [B] index in the store */
    int64_t *items;   /* [B] what random numbers of the item are addressed by: the same, but with
                       * pairs that of pair p of record i is i + p * store_count */
};

struct loader;

/* labels may be NULL. subset: indices into the store (copied), NULL for all. The store, labels and
 * augment (NULL: none) are borrowed. A crop is contract->sample_count samples long; without
 * random_crop it begins at 0. Random numbers are addressed by the index in the store.
 *
 * With pairs, every record gives as many items as it has whole pairs of segments that lie one after the
 * other: segments 0 and 1, 2 and 3, and so on; what is left over is not served. Item p has segment 2p
 * in view 0 and 2p + 1 in view 1, each augmented by itself; nothing is cropped at random. An epoch is
 * shuffled over items. Source: Kiyasseh et al. 2021 (CLOCS), section 3.2.
 * Once running, a batch allocates nothing as long as the store holds its records in memory.
 * Errors: ERR_USAGE (no records, less than one batch with drop_last, pairs without 2 views),
 * ERR_MEMORY. */
enum err_code loader_open(struct loader **out, struct store *s, const struct label_set *labels,
                          const int64_t *subset, int64_t subset_count,
                          const struct augment_chain *augment, const struct loader_options *options,
                          struct err *e);
void loader_close(struct loader *l);
int64_t loader_batches_per_epoch(const struct loader *l);
/* Next batch to be served is (epoch, index); restarts prefetching. Called once before the first
 * (otherwise that is (0, 0)), never while a batch is held. */
void loader_seek(struct loader *l, int64_t epoch, int64_t index);
/* Blocks until the batch is ready; it stays valid until loader_release, and one is held at a time.
 * Going past the last batch of an epoch goes on with the next epoch. On error (a record that could be
 * read before cannot any more; the first of the batch is named) no batch is held. */
enum err_code loader_next(struct loader *l, const struct batch **out, struct err *e);
void loader_release(struct loader *l, const struct batch *b);
/* Seconds the caller has waited for data so far. */
double loader_wait_seconds(const struct loader *l);

#endif
