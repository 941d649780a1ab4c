/* What eval must find: --require METRIC>=X, and --baseline metrics.json --max-drop X, parsed, judged, told. */
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
    bool of_baseline;
};

/* Reads a list (str_list_next; NULL: none) into out[REQUIREMENTS_MAX]; text lives in the arena.
 * Errors: ERR_USAGE naming the part, ERR_LIMIT. */
enum err_code requirements_parse(struct arena *a, const char *list, struct requirement *out,
                                 int *count, struct err *e);
/* Adds a requirement for each name in a list (str_list_next): no worse than the value in an earlier
 * metrics.json by more than max_drop. Names are those of evaluation_value without intervals: macro_METRIC,
 * METRIC.CLASS, and what stands at the top of the file, such as sample_fmax. Lower is better of brier, ece,
 * mce, mae and rmse. Errors: those of json_read; ERR_USAGE for a name that the baseline does not have; ERR_FORMAT for one
 * that is undefined there; ERR_LIMIT, ERR_MEMORY. */
enum err_code requirements_from_baseline(struct arena *a, const char *path, const char *names,
                                         double max_drop, struct requirement *out, int *count,
                                         struct err *e);
/* Sets and returns met; an undefined value meets nothing. */
bool requirement_judge(struct requirement *r);
/* A line of talk: an error where it is not met. */
void requirement_tell(const struct requirement *r);
/* Caller cJSON_Deletes. */
struct cJSON *requirements_to_json(const struct requirement *requirements, int count);

#endif
