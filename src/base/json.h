/* JSON over cJSON: a strict, bounded parse with errors that name the line, and a printer that gives
 * the same bytes everywhere: shortest numbers that read back exactly, valid UTF-8, no locale.
 * Objects are built and read with cJSON's own functions (<cjson/cJSON.h>). */
#ifndef ECGFM_BASE_JSON_H
#define ECGFM_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct cJSON;

#define JSON_DEPTH_MAX 64

/* Parses a whole text; name is for messages. Caller cJSON_Deletes *out; NULL on error.
 * Errors: ERR_FORMAT (syntax, text after the value, number out of range, NUL bytes, not UTF-8),
 * ERR_LIMIT (deeper than JSON_DEPTH_MAX), ERR_MEMORY. */
enum err_code json_parse(const char *text, size_t size, const char *name, struct cJSON **out,
                         struct err *e);

/* The same from a file of at most max_bytes (0: 64 MiB). */
enum err_code json_read(const char *path, size_t max_bytes, struct cJSON **out, struct err *e);

/* Appends the text of a value, on one line or indented by two spaces (no newline at the end).
 * NaN and infinities become null; bytes that are not UTF-8 become U+FFFD. */
void json_print(const struct cJSON *value, bool indented, struct buf *out);

/* A number with all its digits: 64 bits do not fit the double of cJSON. NULL when out of memory. */
struct cJSON *json_u64(uint64_t value);

/* Appends a quoted JSON string. */
void json_print_string(const char *text, struct buf *out);

#endif
