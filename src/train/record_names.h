/* Names of records (ids and patients), to find out whether other records are the same or of the same
 * patients. Numbers are the same however they are written: patient "15709.0" is patient "15709". */
#ifndef ECGFM_TRAIN_RECORD_NAMES_H
#define ECGFM_TRAIN_RECORD_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

struct record_names {
    struct arena arena;
    const char **ids, **patients; /* sorted by record_names_sort */
    int64_t id_count, patient_count;
};

/* Which of some records are among others, by id or by patient. */
struct record_overlap {
    int64_t count;  /* records, of those given */
    char text[320]; /* the first ten of them */
};

/* Room for `most` records. Owns: record_names_free, which accepts a zeroed struct. */
void record_names_init(struct record_names *names, int64_t most);
void record_names_free(struct record_names *names);
/* Copies; patient: NULL or empty if it is not known. */
void record_names_add(struct record_names *names, const char *id, const char *patient);
/* Once all are added, before anything is looked up. */
void record_names_sort(struct record_names *names);
/* Looks records up; patients[i] may be NULL. */
void record_names_overlap(const struct record_names *names, const char *const *ids,
                          const char *const *patients, int64_t count, struct record_overlap *out);

#endif
