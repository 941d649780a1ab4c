/* What the rows of datasets.def (ds_*.c) share while they fill a manifest. For data/ only. */
#ifndef ECGFM_DATA_MANIFEST_H
#define ECGFM_DATA_MANIFEST_H

#include <stdbool.h>
#include <stdint.h>

#include "data/dataset.h"
#include "format/csv.h"

#define TABLE_BYTES_MAX ((size_t)1 << 30)

/* A cell; "" for column -1. */
const char *csv_optional(const struct csv *t, int64_t row, int64_t column);

/* A new entry at the end, with fold 0, unknown age and sex; NULL when out of memory. Borrowed until
 * the next is added. */
struct manifest_entry *manifest_entry_add(struct manifest *m);

/* A problem of an entry that is not taken for it. */
#define manifest_leave_out(m, ...) ((m)->left_out++, manifest_problem_add((m), __VA_ARGS__))

/* Targets and labelled of K classes, zeroed, and the three name arrays. ERR_MEMORY. */
enum err_code labels_allocate(struct manifest *m, int64_t class_count, struct label_set *out,
                              struct err *e);

/* Counts strings, such as codes that no table knows. Entries live in the arena of the manifest. */
struct tally_entry {
    const char *key, *first_id;
    int64_t count;
};
struct tally {
    int64_t count, cap;
    struct tally_entry *entries; /* in order of appearance, at most 1000 */
    int64_t more;                /* what came with other keys after that */
};
void tally_add(struct tally *t, struct arena *a, const char *key, const char *id);

/* One problem "unknown-code" for each code of the tally, with how many records carry it. */
void tally_report_unknown(const struct tally *t, struct manifest *m, const char *table);

/* Parses a fold 1..10 ("3", "3.0"); false otherwise. */
bool fold_parse(const char *text, int *out);
/* A number as its shortest text if it is one ("15709.0" becomes "15709"), else the text itself. */
const char *id_normalize(struct arena *a, const char *text);
/* The record of which a file is a segment by its name: id without its "_<number>" where the path ends
 * with .mat, as files prepared for fairseq-signals are named; NULL if it is none, or out of memory. */
const char *id_of_segmented(struct arena *a, const char *path, const char *id);
/* NaN for what is no number, or a negative one. */
double age_parse(const char *text);
/* "male", "m", "female", "f" without regard to case. */
enum ecg_sex sex_parse(const char *text);

/* Relative paths of the files below root whose openable paths `wanted` takes, sorted by bytes within each folder,
 * folders after files; at most `limit` (0: no bound). Links to folders above are not followed.
 * Errors: ERR_IO, ERR_LIMIT (over 16 levels or 8 million files), ERR_MEMORY. */
enum err_code folder_walk(const char *root, struct arena *a, bool (*wanted)(const char *path),
                          int64_t limit, char ***paths, int64_t *count, struct err *e);

#endif
