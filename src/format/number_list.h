/* A text file with one list of numbers in brackets, such as pos_weight.txt of fairseq-signals:
 *   [36.796317, 0.231449, 14.49034]
 * White space and line ends may stand between; a comma may follow the last number. */
#ifndef ECGFM_FORMAT_NUMBER_LIST_H
#define ECGFM_FORMAT_NUMBER_LIST_H

#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

/* Reads a file of at most 1 MiB; *numbers [*count] lives in the arena. The file is hostile.
 * Errors: those of file_read; ERR_FORMAT with the byte (no list, something that is no finite number,
 * text after it), ERR_MEMORY. */
enum err_code number_list_read(const char *path, struct arena *a, double **numbers, int64_t *count,
                               struct err *e);

#endif
