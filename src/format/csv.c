#include "format/csv.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"

struct reader {
    const char *at, *end;
    int64_t line;
    char *text; /* decoded so far; never longer than what was read, plus one NUL */
    const char **cells;
    size_t cell_count, cell_cap;
    int64_t *lines; /* of every row, the header's too */
    size_t row_count, row_cap;
    struct err *e;
};

static bool at_line_end(const struct reader *r)
{
    return r->at == r->end || *r->at == '\n' ||
           (*r->at == '\r' && r->end - r->at > 1 && r->at[1] == '\n');
}

static enum err_code read_quoted(struct reader *r)
{
    int64_t first_line = r->line;
    for (r->at++; r->at < r->end; r->at++) {
        if (*r->at == '"') {
            if (r->end - r->at > 1 && r->at[1] == '"') {
                r->at++;
            } else {
                r->at++;
                if (!at_line_end(r) && *r->at != ',')
                    FAIL(r->e, ERR_FORMAT, "line %lld: text after a closing quote",
                         (long long)r->line);
                return ERR_OK;
            }
        }
        r->line += *r->at == '\n';
        *r->text++ = *r->at;
    }
    FAIL(r->e, ERR_FORMAT, "line %lld: a quoted field is not closed", (long long)first_line);
}

static enum err_code read_plain(struct reader *r)
{
    for (; !at_line_end(r) && *r->at != ','; r->at++) {
        if (*r->at == '"')
            FAIL(r->e, ERR_FORMAT, "line %lld: a quote inside a field that does not begin with one",
                 (long long)r->line);
        *r->text++ = *r->at;
    }
    return ERR_OK;
}

static enum err_code read_field(struct reader *r)
{
    if (r->cell_count == r->cell_cap) {
        size_t cap = r->cell_cap ? r->cell_cap * 2 : 256;
        const char **cells = realloc(r->cells, cap * sizeof *cells);
        if (!cells)
            FAIL(r->e, ERR_MEMORY, "out of memory for %zu fields", cap);
        r->cells = cells;
        r->cell_cap = cap;
    }
    r->cells[r->cell_count++] = r->text;
    TRY(r->at < r->end && *r->at == '"' ? read_quoted(r) : read_plain(r));
    *r->text++ = '\0';
    return ERR_OK;
}

static enum err_code read_row(struct reader *r, size_t columns)
{
    if (r->row_count == r->row_cap) {
        size_t cap = r->row_cap ? r->row_cap * 2 : 256;
        int64_t *lines = realloc(r->lines, cap * sizeof *lines);
        if (!lines)
            FAIL(r->e, ERR_MEMORY, "out of memory for %zu rows", cap);
        r->lines = lines;
        r->row_cap = cap;
    }
    int64_t line = r->line;
    r->lines[r->row_count++] = line;
    size_t first = r->cell_count;
    TRY(read_field(r));
    while (!at_line_end(r)) { /* a field ends here or at a comma */
        r->at++;
        TRY(read_field(r));
    }
    if (r->at < r->end) {
        r->at += *r->at == '\r' ? 2 : 1;
        r->line++;
    }
    if (columns && r->cell_count - first != columns)
        FAIL(r->e, ERR_FORMAT, "line %lld: %zu fields, expected %zu as in the header",
             (long long)line, r->cell_count - first, columns);
    return ERR_OK;
}

static bool only_line_ends(const struct reader *r)
{
    for (const char *at = r->at; at < r->end; at++)
        if (*at != '\n' && *at != '\r')
            return false;
    return true;
}

static enum err_code read_table(struct reader *r, struct csv *out)
{
    if (only_line_ends(r))
        FAIL(r->e, ERR_FORMAT, "no header row");
    const char *nul = memchr(r->at, '\0', (size_t)(r->end - r->at));
    if (nul)
        FAIL(r->e, ERR_FORMAT, "a NUL byte: this is no text");
    TRY(read_row(r, 0));
    size_t columns = r->cell_count;
    while (!only_line_ends(r))
        TRY(read_row(r, columns));
    out->column_count = (int64_t)columns;
    out->row_count = (int64_t)r->row_count - 1;
    return ERR_OK;
}

enum err_code csv_parse(const char *text, size_t size, const char *name, struct csv *out,
                        struct err *e)
{
    static const char byte_order_mark[] = "\xEF\xBB\xBF";
    memset(out, 0, sizeof *out);
    struct reader r = {.at = text, .end = text + size, .line = 1, .e = e};
    if (size >= 3 && memcmp(text, byte_order_mark, 3) == 0)
        r.at += 3;
    out->text = r.text = malloc(size + 2);
    enum err_code code =
        out->text ? read_table(&r, out) : RAISE(e, ERR_MEMORY, "out of memory for %zu bytes", size);
    out->header = r.cells;
    out->lines = r.lines;
    if (code != ERR_OK) {
        csv_free(out);
        err_context(e, "reading %s", name);
        return code;
    }
    out->cells = out->header + out->column_count;
    memmove(out->lines, out->lines + 1, (size_t)out->row_count * sizeof *out->lines);
    return ERR_OK;
}

enum err_code csv_read(const char *path, size_t max_bytes, struct csv *out, struct err *e)
{
    struct buf text;
    memset(out, 0, sizeof *out);
    enum err_code code = file_read(path, max_bytes, &text, e);
    if (code == ERR_OK)
        code = csv_parse(text.data ? text.data : "", text.len, path, out, e);
    buf_free(&text);
    return code;
}

void csv_free(struct csv *csv)
{
    free(csv->text);
    free(csv->header);
    free(csv->lines);
    memset(csv, 0, sizeof *csv);
}

const char *csv_cell(const struct csv *csv, int64_t row, int64_t column)
{
    ASSERT(row >= 0 && row < csv->row_count && column >= 0 && column < csv->column_count,
           "cell %lld, %lld of a table of %lld x %lld", (long long)row, (long long)column,
           (long long)csv->row_count, (long long)csv->column_count);
    return csv->cells[row * csv->column_count + column];
}

int64_t csv_column(const struct csv *csv, const char *name)
{
    for (int64_t i = 0; i < csv->column_count; i++)
        if (strcmp(csv->header[i], name) == 0)
            return i;
    return -1;
}

int64_t csv_column_any(const struct csv *csv, const char *const *names)
{
    for (; *names; names++)
        for (int64_t i = 0; i < csv->column_count; i++)
            if (str_equal_nocase(csv->header[i], *names))
                return i;
    return -1;
}

void csv_put(struct buf *out, const char *field)
{
    if (!strpbrk(field, ",\"\r\n")) {
        buf_puts(out, field);
        return;
    }
    buf_puts(out, "\"");
    for (const char *at = field; *at; at++)
        buf_append(out, *at == '"' ? "\"\"" : at, *at == '"' ? 2 : 1);
    buf_puts(out, "\"");
}
