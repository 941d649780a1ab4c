/* The table of an evaluation of values (regression), as eval, finetune and probe print it. */
#ifndef ECGFM_CLI_VALUES_TABLE_H
#define ECGFM_CLI_VALUES_TABLE_H

#include "train/evaluation.h"

/* To standard output: a row for each value, and their means where there are several. */
void values_table_print(const struct evaluation *ev);
/* To the log: how many records, and what is not defined. */
void values_table_tell(const struct evaluation *ev);

#endif
