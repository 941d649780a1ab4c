/* Part of the labels: fixed subsets of the training records, each inside the next larger one.
 *
 * Records are in the order of a hash of their patient, and those of one patient in that of a hash of
 * their id, so a subset is a function of ids, its number and FRACTION_SALT alone: the same for every seed,
 * order of a table and machine. Of n records a fraction f is the first ceil(f n). Another number is another
 * order: what few labels teach depends on which they are, so it is to be measured with several. */
#ifndef ECGFM_TRAIN_FRACTION_H
#define ECGFM_TRAIN_FRACTION_H

#include <stdint.h>

/* Goes into every hash, so that subsets have nothing to do with folds. */
#define FRACTION_SALT UINT64_C(0x65636766666d2e31)
#define FRACTION_STEP UINT64_C(0x9e3779b97f4a7c15)

/* ceil(f n), not more for the rounding of f n: 0.1 of 10 is 1. */
int64_t fraction_count(double fraction, int64_t n);
/* A name's place in the order of a number, from 1 on: FNV-1a 64 (str_hash64) and the salt, to which the number
 * less 1 has added FRACTION_STEP as often, mixed as in splitmix64. */
uint64_t fraction_place(const char *name, int64_t number);

/* The names of record `index`: its patient, or its id again where that is not known, and its id. */
struct fraction_names {
    const char *patient, *id;
};
/* Leaves the first `keep` of n indices in the order of a number; ascending, as they came. names [n]: of the
 * indices. */
void fraction_take(int64_t *indices, const struct fraction_names *names, int64_t n, int64_t keep,
                   int64_t number);

#endif
