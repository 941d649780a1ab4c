/* The tables that eval prints. */
#ifndef ECGFM_CLI_EVAL_PRINT_H
#define ECGFM_CLI_EVAL_PRINT_H

#include "train/comparison.h"
#include "train/evaluation.h"
#include "train/subgroup.h"

/* Which rows of metrics[] are columns: those of a list with commas, "all", or NULL for the common ones.
 * Errors: ERR_USAGE with the nearest name. */
enum err_code columns_parse(const char *list, bool columns[METRIC_COUNT_MAX], struct err *e);

void print_evaluation(const struct evaluation *ev, const bool columns[METRIC_COUNT_MAX]);
/* ".925(07)", as published tables have it. */
void print_published(const struct evaluation *ev);
void print_comparison(const struct comparison *c);
/* One line a group, and below it one a class where there are few. */
void print_subgroups(const struct subgroups *s);

/* One row per class and "macro", and of each subgroup: every metric with its interval. Errors: those of
 * file_write_atomic. */
enum err_code evaluation_write_csv(const struct evaluation *ev, const struct subgroups *s,
                                   const char *path, struct err *e);
enum err_code comparison_write_csv(const struct comparison *c, const char *path, struct err *e);

#endif
