#include "data/targets.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/named.h"
#include "base/str.h"
#include "data/manifest.h"
#include "data/record_index.h"
#include "format/csv.h"

#define COLUMN_NAME_MAX 200

const struct option target_rows[] = {
    OPT_TEXT(
        target_options, targets, NULL, "FILE",
        "take the targets from this CSV table instead of the data set; --task then names them"),
    OPT_LIST(target_options, target_columns, "LIST",
             "columns of the table that are targets, x_* for all that begin with x_, one with a "
             "comma in "
             "its name in double quotes; the default is all but the one that names the records"),
    OPT_CHOICE(
        target_options, target_kind, "auto", "auto|classes|values|categories",
        "classes: columns of 0 and 1; values: numbers (regression); categories: one column of "
        "texts, each a class; auto: classes where all is 0 or 1, values where all are "
        "numbers"),
    OPT_TEXT(target_options, target_id, NULL, "NAME",
             "column of the table that names the records, by id or file; the default is the first"),
    OPTION_END};

/* Room for the values of K targets, all unknown. */
static enum err_code values_allocate(struct manifest *m, struct label_set *out, struct err *e)
{
    int64_t n = m->count * out->class_count;
    out->values = arena_push_array(&m->arena, (size_t)n, sizeof *out->values);
    if (!out->values)
        FAIL(e, ERR_MEMORY, "values of %lld records: out of memory", (long long)m->count);
    for (int64_t i = 0; i < n; i++)
        out->values[i] = NAN;
    return ERR_OK;
}

/* What the manifest's own hash does not cover. */
static void hash_set(const struct manifest *m, struct label_set *out)
{
    size_t cells = (size_t)(m->count * out->class_count);
    uint64_t hash = bytes_hash64(out->targets, cells, 1);
    for (int64_t k = 0; k < out->class_count; k++)
        hash = bytes_hash64(out->class_names[k], strlen(out->class_names[k]) + 1, hash);
    if (out->values)
        hash = bytes_hash64(out->values, cells * sizeof *out->values, hash);
    out->hash = bytes_hash64(out->labelled, (size_t)m->count, hash);
}

/* --- what the records tell ---------------------------------------------------------------------- */

static void name_one(struct label_set *out, const char *task, const char *name, const char *title)
{
    out->task = task;
    out->code_system = "local";
    out->class_names[0] = out->class_codes[0] = name;
    out->class_titles[0] = title;
}

enum err_code sex_labels(struct manifest *m, struct label_set *out, struct err *e)
{
    int64_t known = 0;
    TRY(labels_allocate(m, 1, out, e));
    name_one(out, "sex", "female", "female sex");
    for (int64_t i = 0; i < m->count; i++) {
        out->targets[i] = m->entries[i].sex == SEX_FEMALE;
        out->labelled[i] = m->entries[i].sex != SEX_UNKNOWN;
        known += out->labelled[i];
    }
    if (known == 0)
        FAIL(e, ERR_LABELS, "no record tells the sex");
    hash_set(m, out);
    return ERR_OK;
}

enum err_code age_labels(struct manifest *m, struct label_set *out, struct err *e)
{
    int64_t known = 0;
    TRY(labels_allocate(m, 1, out, e));
    TRY(values_allocate(m, out, e));
    out->kind = LABEL_VALUES;
    out->unit = "years";
    name_one(out, "age", "age", "age at the recording");
    for (int64_t i = 0; i < m->count; i++) {
        double age = m->entries[i].age_years;
        if (!(age < AGE_OPEN_YEARS)) /* NaN too */
            continue;
        out->values[i] = (float)age;
        out->labelled[i] = 1;
        known++;
    }
    if (known == 0)
        FAIL(e, ERR_LABELS, "no record tells the age");
    hash_set(m, out);
    return ERR_OK;
}

/* --- columns of a table ------------------------------------------------------------------------- */

struct target_table {
    const struct csv *csv;
    int64_t id;                   /* column that names records */
    int64_t columns[TARGETS_MAX]; /* of the targets, in the order named */
    int64_t count;
    int64_t *entries; /* [row_count] record of each row, or negative */
};

/* The trimmed text of a cell, in the arena. */
static char *cell_text(struct manifest *m, const struct csv *csv, int64_t row, int64_t column)
{
    char *text = arena_strdup(&m->arena, csv_cell(csv, row, column));
    ASSERT(text, "out of memory");
    return str_trim(text);
}

/* Empty once trimmed. */
static bool cell_is_empty(const char *cell) { return cell[strspn(cell, " \t\r\n")] == '\0'; }

/* A cell as a number, spaces around it allowed; NaN if it is empty. False for anything else. */
static bool cell_number(const char *cell, double *out)
{
    char text[64];
    *out = NAN;
    if (cell_is_empty(cell))
        return true;
    return str_copy(text, sizeof text, cell) && str_to_f64(str_trim(text), false, out) &&
           isfinite((float)*out);
}

static enum err_code column_add(struct target_table *t, int64_t column, struct err *e)
{
    const char *name = t->csv->header[column];
    if (name[0] == '\0' || strlen(name) > COLUMN_NAME_MAX || strpbrk(name, "\r\n\t"))
        FAIL(e, ERR_FORMAT, "the name of column %lld is empty, longer than %d or of two lines",
             (long long)column + 1, COLUMN_NAME_MAX);
    for (int64_t k = 0; k < t->count; k++)
        if (strcmp(t->csv->header[t->columns[k]], name) == 0)
            FAIL(e, ERR_USAGE, "the target column \"%s\" is named or there twice", name);
    if (t->count == TARGETS_MAX)
        FAIL(e, ERR_LIMIT, "more than %d target columns", TARGETS_MAX);
    t->columns[t->count++] = column;
    return ERR_OK;
}

static enum err_code column_missing(const struct csv *csv, const char *what, const char *name,
                                    struct err *e)
{
    const char **names = calloc((size_t)csv->column_count + 1, sizeof *names);
    ASSERT(names, "out of memory");
    memcpy(names, csv->header, (size_t)csv->column_count * sizeof *names);
    int near = str_nearest(name, names);
    free(names);
    FAIL(e, ERR_USAGE, "%s: there is no column \"%.80s\"%s%.80s", what, name,
         near >= 0 ? "; did you mean " : "", near >= 0 ? csv->header[near] : "");
}

/* One part of the list: a name, or the beginning of names with a star after it. */
static enum err_code columns_add(struct target_table *t, const char *part, struct err *e)
{
    const struct csv *csv = t->csv;
    size_t n = strlen(part);
    bool begins = n > 0 && part[n - 1] == '*';
    bool found = false;
    for (int64_t c = 0; c < csv->column_count; c++) {
        bool fits = begins ? strncmp(csv->header[c], part, n - 1) == 0 && c != t->id
                           : !found && strcmp(csv->header[c], part) == 0;
        if (!fits)
            continue;
        found = true;
        TRY(column_add(t, c, e));
    }
    return found ? ERR_OK : column_missing(csv, "target_columns", part, e);
}

/* The first column names the records unless that looks wrong: rows would be those of other records. */
static enum err_code id_check(const struct csv *csv, struct err *e)
{
    static const char *const names[] = {"ecg_id", "id", "record"};
    if (csv->header[0][0] == '\0')
        FAIL(e, ERR_USAGE,
             "the first column has no name: --target-id says which one names the records");
    if (str_starts_with(csv->header[0], "patient"))
        FAIL(
            e, ERR_USAGE,
            "the first column, \"%.80s\", seems to name patients: --target-id says which one names "
            "the records",
            csv->header[0]);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (csv_column(csv, names[i]) > 0)
            FAIL(e, ERR_USAGE,
                 "records are named by the first column, \"%.80s\", but there is \"%s\", too: "
                 "--target-id says which one is meant",
                 csv->header[0], names[i]);
    return ERR_OK;
}

static enum err_code columns_find(struct target_table *t, const struct target_options *o,
                                  struct manifest *m, struct err *e)
{
    t->id = o->target_id ? csv_column(t->csv, o->target_id) : 0;
    if (t->id < 0)
        return column_missing(t->csv, "target_id", o->target_id, e);
    if (!o->target_id)
        TRY(id_check(t->csv, e));
    char *rest = o->target_columns ? arena_strdup(&m->arena, o->target_columns) : NULL;
    for (int64_t c = 0; !rest && c < t->csv->column_count; c++)
        if (c != t->id)
            TRY(column_add(t, c, e));
    for (char *part; (part = str_list_next(&rest)) != NULL;)
        TRY(columns_add(t, part, e));
    if (t->count == 0)
        FAIL(e, ERR_USAGE, "no column beside the one that names the records");
    return ERR_OK;
}

/* Which record each row is; a record in two rows is refused: nobody knows which one is meant. */
static enum err_code rows_match(struct target_table *t, struct manifest *m,
                                struct target_report *report, struct err *e)
{
    struct record_index index = {0};
    enum err_code code = record_index_make(&index, m, e);
    int64_t *row_of = calloc((size_t)m->count + 1, sizeof *row_of); /* 1 + row; 0: none */
    t->entries = calloc((size_t)t->csv->row_count + 1, sizeof *t->entries);
    ASSERT(row_of && t->entries, "out of memory");
    for (int64_t row = 0; row < t->csv->row_count && code == ERR_OK; row++) {
        const char *name = csv_cell(t->csv, row, t->id);
        int64_t entry = t->entries[row] = record_index_find(&index, name);
        report->rows++;
        if (entry < 0) {
            if (report->rows_without_record++ == 0)
                report->first_row = str_clean(arena_strdup(&m->arena, name));
        } else if (row_of[entry]) {
            code = RAISE(e, ERR_FORMAT, "lines %lld and %lld are both the record %.100s",
                         (long long)t->csv->lines[row_of[entry] - 1], (long long)t->csv->lines[row],
                         m->entries[entry].id);
        } else {
            row_of[entry] = row + 1;
            report->matched++;
        }
    }
    for (int64_t i = 0; i < m->count && code == ERR_OK; i++)
        if (!row_of[i] && report->records_without_row++ == 0)
            report->first_record = m->entries[i].id;
    if (code == ERR_OK && report->matched == 0)
        code =
            RAISE(e, ERR_LABELS,
                  "none of its %lld rows names a record by the column \"%.80s\", whose first is "
                  "\"%.80s\"; the first record is %.80s (%.100s)",
                  (long long)report->rows, t->csv->header[t->id],
                  report->first_row ? report->first_row : "", m->entries[0].id, m->entries[0].path);
    free(row_of);
    record_index_free(&index);
    return code;
}

enum column_kind { COLUMN_EMPTY, COLUMN_BITS, COLUMN_NUMBERS, COLUMN_TEXT };

/* What a column holds; *row is the first that is no 0 or 1, or no number. */
static enum column_kind column_kind(const struct csv *csv, int64_t column, int64_t *row)
{
    enum column_kind kind = COLUMN_EMPTY;
    for (int64_t i = 0; i < csv->row_count; i++) {
        double x;
        enum column_kind cell = COLUMN_TEXT;
        if (cell_number(csv_cell(csv, i, column), &x))
            cell = isnan(x) ? COLUMN_EMPTY : x == 0.0 || x == 1.0 ? COLUMN_BITS : COLUMN_NUMBERS;
        if (cell > kind) {
            kind = cell;
            *row = i;
        }
    }
    return kind;
}

/* Resolves "auto", and refuses what is not of the kind asked for. */
static enum err_code kind_find(const struct target_table *t, const char *asked, const char **kind,
                               struct err *e)
{
    bool is_auto = strcmp(asked, "auto") == 0, any_bits = false, any_numbers = false;
    int64_t bits = 0, numbers = 0;
    for (int64_t k = 0; k < t->count; k++) {
        const char *name = t->csv->header[t->columns[k]];
        int64_t row = 0;
        enum column_kind found = column_kind(t->csv, t->columns[k], &row);
        const char *cell = t->csv->row_count > 0 ? csv_cell(t->csv, row, t->columns[k]) : "";
        long long line = t->csv->row_count > 0 ? (long long)t->csv->lines[row] : 0;
        if (found == COLUMN_EMPTY)
            FAIL(e, ERR_LABELS, "column \"%.80s\" is empty", name);
        if (found == COLUMN_TEXT)
            FAIL(e, ERR_FORMAT,
                 "line %lld, column \"%.80s\": \"%.40s\" is no number (leave a cell empty that is "
                 "not known; for a column of texts say --target-kind categories)",
                 line, name, cell);
        if (found == COLUMN_NUMBERS && strcmp(asked, "classes") == 0)
            FAIL(e, ERR_FORMAT,
                 "line %lld, column \"%.80s\": \"%.40s\" is neither 0 nor 1 (for numbers say "
                 "--target-kind values)",
                 line, name, cell);
        if (found == COLUMN_BITS && !any_bits)
            bits = k;
        if (found == COLUMN_NUMBERS && !any_numbers)
            numbers = k;
        any_bits = any_bits || found == COLUMN_BITS;
        any_numbers = any_numbers || found == COLUMN_NUMBERS;
    }
    if (is_auto && any_bits && any_numbers)
        FAIL(
            e, ERR_FORMAT,
            "column \"%.80s\" holds only 0 and 1, \"%.80s\" other numbers: say which kind they are "
            "with --target-kind values, or choose some with --target-columns",
            t->csv->header[t->columns[bits]], t->csv->header[t->columns[numbers]]);
    *kind = !is_auto ? asked : any_bits ? "classes" : "values";
    return ERR_OK;
}

static enum err_code numbers_fill(const struct target_table *t, bool values, struct manifest *m,
                                  struct label_set *out, struct err *e)
{
    int64_t K = t->count;
    bool all_known = true;
    TRY(labels_allocate(m, K, out, e));
    TRY(values_allocate(m, out, e));
    out->kind = values ? LABEL_VALUES : LABEL_CLASSES;
    for (int64_t k = 0; k < K; k++) {
        const char *name = arena_strdup(&m->arena, t->csv->header[t->columns[k]]);
        if (!name)
            FAIL(e, ERR_MEMORY, "out of memory");
        out->class_names[k] = out->class_codes[k] = out->class_titles[k] = name;
    }
    for (int64_t row = 0; row < t->csv->row_count; row++) {
        int64_t entry = t->entries[row], known = 0;
        for (int64_t k = 0; k < K && entry >= 0; k++) {
            double x = NAN;
            bool is_number = cell_number(csv_cell(t->csv, row, t->columns[k]), &x);
            ASSERT(is_number, "a cell that was a number");
            out->values[entry * K + k] = (float)x;
            out->targets[entry * K + k] = !values && x == 1.0;
            known += !isnan(x);
        }
        if (entry >= 0)
            out->labelled[entry] = known > 0;
        all_known = all_known && (entry < 0 || known == 0 || known == K);
    }
    if (!values && all_known)
        out->values = NULL;
    return ERR_OK;
}

static enum err_code categories_fill(const struct target_table *t, struct manifest *m,
                                     struct label_set *out, struct err *e)
{
    int64_t rows = t->csv->row_count, n = 0;
    if (t->count != 1)
        FAIL(e, ERR_USAGE,
             "target_kind categories: one column, found %lld; choose it with "
             "--target-columns",
             (long long)t->count);
    const char **texts = arena_push_array(&m->arena, (size_t)rows, sizeof *texts);
    const char **names = arena_push_array(&m->arena, (size_t)rows, sizeof *names);
    if (!texts || !names)
        FAIL(e, ERR_MEMORY, "out of memory");
    for (int64_t row = 0; row < rows; row++) {
        texts[row] =
            t->entries[row] >= 0 ? str_clean(cell_text(m, t->csv, row, t->columns[0])) : "";
        if (strlen(texts[row]) > COLUMN_NAME_MAX)
            FAIL(e, ERR_LIMIT, "line %lld: a text of more than %d letters is no category",
                 (long long)t->csv->lines[row], COLUMN_NAME_MAX);
        if (texts[row][0])
            names[n++] = texts[row];
    }
    int64_t K = names_distinct(names, n);
    if (K < 2 || K > CATEGORIES_MAX)
        FAIL(e, ERR_LABELS,
             "column \"%.80s\" has %lld different texts, expected 2 to %d categories",
             t->csv->header[t->columns[0]], (long long)K, CATEGORIES_MAX);
    TRY(labels_allocate(m, K, out, e));
    for (int64_t k = 0; k < K; k++)
        out->class_names[k] = out->class_codes[k] = out->class_titles[k] = names[k];
    for (int64_t row = 0; row < rows; row++) {
        if (!texts[row][0])
            continue;
        int64_t k = names_find(names, K, texts[row]);
        out->targets[t->entries[row] * K + k] = out->labelled[t->entries[row]] = 1;
    }
    return ERR_OK;
}

static enum err_code table_read(struct target_table *t, const struct target_options *o,
                                struct manifest *m, const char *task, struct label_set *out,
                                struct target_report *report, struct err *e)
{
    const char *kind = o->target_kind;
    TRY(columns_find(t, o, m, e));
    TRY(rows_match(t, m, report, e));
    if (strcmp(kind, "categories") == 0) {
        TRY(categories_fill(t, m, out, e));
    } else {
        TRY(kind_find(t, kind, &kind, e));
        TRY(numbers_fill(t, strcmp(kind, "values") == 0, m, out, e));
    }
    out->task = arena_strdup(&m->arena, task ? task : "targets");
    out->code_system = "local";
    if (!out->task)
        FAIL(e, ERR_MEMORY, "out of memory");
    hash_set(m, out);
    return ERR_OK;
}

enum err_code targets_read(const struct target_options *options, struct manifest *m,
                           const char *task, struct label_set *out, struct target_report *report,
                           struct err *e)
{
    struct csv csv;
    memset(out, 0, sizeof *out);
    memset(report, 0, sizeof *report);
    enum err_code code = csv_read(options->targets, TABLE_BYTES_MAX, &csv, e);
    struct target_table *t = calloc(1, sizeof *t);
    ASSERT(t, "out of memory");
    t->csv = &csv;
    if (code == ERR_OK) {
        code = table_read(t, options, m, task, out, report, e);
        if (code != ERR_OK)
            err_context(e, "targets of %s", options->targets);
    }
    free(t->entries);
    free(t);
    csv_free(&csv);
    return code;
}

enum err_code targets_or_labels(const struct target_options *options, struct manifest *m,
                                const char *task, struct label_set *out, struct err *e)
{
    struct target_report report;
    if (!options->targets)
        return manifest_labels(m, task, out, e);
    TRY(targets_read(options, m, task, out, &report, e));
    log_info("%s: %lld of %lld rows name records of the data set", options->targets,
             (long long)report.matched, (long long)report.rows);
    if (report.rows_without_record > 0)
        log_warning("%s: %lld rows name no record, or several as likely, such as %s",
                    options->targets, (long long)report.rows_without_record, report.first_row);
    if (report.records_without_row > 0)
        log_warning("%s: %lld records have no row, such as %s: they take no part", options->targets,
                    (long long)report.records_without_row, report.first_record);
    return ERR_OK;
}
