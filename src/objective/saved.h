/* What a model file keeps of the objectives of its pre-training, so that pre-training can go on:
 * their options (metadata, model/model.h) and their parameters. */
#ifndef ECGFM_OBJECTIVE_SAVED_H
#define ECGFM_OBJECTIVE_SAVED_H

#include "objective/objective.h"

struct cJSON;

/* {"objective": "w2v+cmsc", "w2v": {options}, ...}. Caller cJSON_Deletes. */
struct cJSON *objective_sum_to_json(const struct objective_sum *sum);

/* Copies the parameters of every objective of the sum that `from` holds with the same options (the weight
 * in a sum aside); the others keep their values. *carried: names of those that were copied, with +,
 * "" if none; in the arena of m. Errors: ERR_MODEL if a parameter is missing or of another shape. */
enum err_code objective_sum_carry(const struct objective_sum *sum, struct model *m,
                                  const struct model *from, const char **carried, struct err *e);

#endif
