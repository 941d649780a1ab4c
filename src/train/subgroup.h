/* Evaluation by group of records: age band, sex, site, device, or a column of the user's.
 *
 * Nouns: a `variable` puts each record into one group; what is not known is a group of its own,
 * "unknown". Groups of ages: under 18, 18-39, 40-59, 60-79, 80 and over. An average over the classes of
 * one group is over those that are defined there, which may be fewer than in another. */
#ifndef ECGFM_TRAIN_SUBGROUP_H
#define ECGFM_TRAIN_SUBGROUP_H

#include "data/dataset.h"
#include "train/evaluation.h"

#define SUBGROUPS_MAX 64 /* groups of one variable */

struct subgroup {
    const char *variable, *name; /* "sex", "female" */
    struct evaluation evaluation;
};

struct subgroups {
    struct arena arena;
    int64_t count;
    struct subgroup *list; /* by variable as asked for, then by group, "unknown" last */
};

struct subgroup_request {
    const char *variables;      /* a list: str_list_next */
    const struct manifest *set; /* knows age, sex, site and device; NULL: not at hand */
    const char *path; /* a table with a column id, and one for each variable; NULL: none */
};

/* Evaluates every group as evaluation_make_at does. Records are found by id. Without `variables` all
 * columns of the table are taken. Owns: subgroups_free, also after an error.
 * Errors: ERR_USAGE for a variable that neither the table nor the data set has, ERR_FORMAT for a table
 * without id or with one twice, ERR_NOT_FOUND if no record is found, ERR_LIMIT for too many groups;
 * those of csv_read and evaluation_make. */
enum err_code subgroups_make(struct subgroups *s, const struct predictions *p,
                             const struct subgroup_request *request, const double *thresholds,
                             const struct bootstrap_options *options, struct err *e);
void subgroups_free(struct subgroups *s); /* accepts a zeroed struct */

/* A value of a group: NAME@VARIABLE=GROUP, such as "macro_auroc@sex=female". Errors: ERR_USAGE. */
enum err_code subgroups_value(const struct subgroups *s, const char *name, double *out,
                              struct err *e);

/* An array of objects; caller cJSON_Deletes. */
struct cJSON *subgroups_to_json(const struct subgroups *s);

#endif
