/* --require METRIC>=X of eval: parsed, judged, told. */
#ifndef ECGFM_CLI_REQUIREMENT_H
#define ECGFM_CLI_REQUIREMENT_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"

#define REQUIREMENTS_MAX 64

struct cJSON;

struct requirement {
    const char *metric, *operation; /* ">=", "<=", ">", "<" */
    double bar, value;              /* value: filled by the caller */
    bool met;
};

/* Reads a list with commas (NULL: none) into out[REQUIREMENTS_MAX]; text lives in the arena.
 * Errors: ERR_USAGE naming the part, ERR_LIMIT. */
enum err_code requirements_parse(struct arena *a, const char *list, struct requirement *out,
                                 int *count, struct err *e);
/* Sets and returns met; an undefined value meets nothing. */
bool requirement_judge(struct requirement *r);
/* A line of talk: an error where it is not met. */
void requirement_tell(const struct requirement *r);
/* Caller cJSON_Deletes. */
struct cJSON *requirements_to_json(const struct requirement *requirements, int count);

#endif
