/* The one piece of Python in PTB-XL's table: {'NORM': 100.0, 'SR': 0.0}. For data/ only. */
#ifndef ECGFM_DATA_PYDICT_H
#define ECGFM_DATA_PYDICT_H

#include "base/arena.h"
#include "base/err.h"
#include "data/dataset.h"

#define PYDICT_ITEMS_MAX 256
#define PYDICT_KEY_MAX 64

/* Parses a dictionary of quoted keys (single or double quotes, no escapes, no control characters) and
 * numbers 0..100, as Python prints it. *items lives in the arena. {} gives none.
 * Errors: ERR_FORMAT (with the offset), ERR_LIMIT, ERR_MEMORY. */
enum err_code pydict_parse(struct arena *a, const char *text, const struct manifest_code **items,
                           int64_t *count, struct err *e);

#endif
