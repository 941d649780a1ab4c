/* Comma-separated tables with a header row, read strictly into memory, and fields written.
 * Accepted is RFC 4180: fields in double quotes may hold commas, line ends and doubled quotes;
 * lines end with LF or CRLF; every row has as many fields as the header. A UTF-8 byte order mark is
 * skipped, and so are empty lines at the end. Every file is hostile. */
#ifndef ECGFM_FORMAT_CSV_H
#define ECGFM_FORMAT_CSV_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct csv {
    int64_t row_count;    /* without the header */
    int64_t column_count; /* at least 1 */
    const char **header;  /* [column_count] */
    const char **cells;   /* [row_count, column_count] */
    int64_t *lines;       /* [row_count] line of the file where the row begins, from 1 */
    char *text;           /* what the cells point into */
};

/* Reads a file of at most max_bytes. *out is initialized here; csv_free.
 * Errors: those of file_read; ERR_FORMAT with line and reason (unbalanced quote, text after a
 * closing quote, wrong number of fields, NUL byte, no header); ERR_MEMORY. */
enum err_code csv_read(const char *path, size_t max_bytes, struct csv *out, struct err *e);
/* The same from memory (copied); name is for messages. */
enum err_code csv_parse(const char *text, size_t size, const char *name, struct csv *out,
                        struct err *e);
void csv_free(struct csv *csv); /* accepts a zeroed struct */

const char *csv_cell(const struct csv *csv, int64_t row, int64_t column);
/* Index of the first column with this header, or -1. */
int64_t csv_column(const struct csv *csv, const char *name);
/* The same with any of some names (NULL-terminated), whatever their case; earlier names first. */
int64_t csv_column_any(const struct csv *csv, const char *const *names);

/* Appends a field, in quotes where it needs them. */
void csv_put(struct buf *out, const char *field);

#endif
