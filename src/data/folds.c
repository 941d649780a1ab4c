#include "data/folds.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/named.h"
#include "base/str.h"
#include "data/manifest.h"
#include "data/record_index.h"
#include "format/csv.h"

struct fold_table {
    const struct csv *csv;
    int64_t name, fold; /* columns */
    bool by_patient, by_split;
    int64_t *rows; /* [m->count] 1 + row of each entry; 0: none */
};

static enum err_code columns_find(struct fold_table *t, struct err *e)
{
    static const char *const ids[] = {"id", "record", "record_id", "file", NULL};
    static const char *const patients[] = {"patient", "patient_id", NULL};
    static const char *const folds[] = {"fold", "strat_fold", NULL};
    static const char *const splits[] = {"split", NULL};
    t->name = csv_column_any(t->csv, ids);
    t->by_patient = t->name < 0;
    if (t->by_patient)
        t->name = csv_column_any(t->csv, patients);
    t->fold = csv_column_any(t->csv, folds);
    t->by_split = t->fold < 0;
    if (t->by_split)
        t->fold = csv_column_any(t->csv, splits);
    if (t->name < 0 || t->fold < 0)
        FAIL(e, ERR_FORMAT, "no column \"%s\" in the header",
             t->name < 0 ? "id\" or \"patient" : "fold\" or \"split");
    return ERR_OK;
}

static enum err_code fold_of_row(const struct fold_table *t, int64_t row, int *out, struct err *e)
{
    const char *cell = csv_cell(t->csv, row, t->fold);
    if (!t->by_split && fold_parse(cell, out))
        return ERR_OK;
    for (int split = SPLIT_TRAIN; t->by_split && split <= SPLIT_TEST; split++)
        if (strcmp(cell, split_name((enum data_split)split)) == 0) {
            *out = split == SPLIT_TRAIN ? 1 : split == SPLIT_VALIDATION ? 9 : 10;
            return ERR_OK;
        }
    FAIL(e, ERR_FORMAT, "line %lld: the %s is \"%.40s\", expected %s",
         (long long)t->csv->lines[row], t->by_split ? "split" : "fold", cell,
         t->by_split ? "train, validation or test" : "1 to 10");
}

static enum err_code row_take(struct fold_table *t, const struct manifest *m, int64_t row,
                              int64_t entry, struct err *e)
{
    if (t->rows[entry])
        FAIL(e, ERR_FORMAT, "lines %lld and %lld are both the %s %.100s",
             (long long)t->csv->lines[t->rows[entry] - 1], (long long)t->csv->lines[row],
             t->by_patient ? "patient of record" : "record", m->entries[entry].id);
    t->rows[entry] = row + 1;
    return ERR_OK;
}

static enum err_code rows_by_record(struct fold_table *t, const struct manifest *m, struct err *e)
{
    struct record_index index = {0};
    enum err_code code = record_index_make(&index, m, e);
    for (int64_t row = 0; row < t->csv->row_count && code == ERR_OK; row++) {
        int64_t entry = record_index_find(&index, csv_cell(t->csv, row, t->name));
        if (entry >= 0)
            code = row_take(t, m, row, entry, e);
    }
    record_index_free(&index);
    return code;
}

static enum err_code rows_by_patient(struct fold_table *t, struct manifest *m, struct err *e)
{
    int64_t n = t->csv->row_count;
    struct named *rows = arena_push_array(&m->arena, (size_t)n + 1, sizeof *rows);
    if (!rows)
        FAIL(e, ERR_MEMORY, "%lld rows: out of memory", (long long)n);
    for (int64_t row = 0; row < n; row++) {
        const char *name = id_normalize(&m->arena, csv_cell(t->csv, row, t->name));
        if (!name)
            FAIL(e, ERR_MEMORY, "%lld rows: out of memory", (long long)n);
        rows[row] = (struct named){name, row};
    }
    named_sort(rows, n);
    const struct named *twice = named_twice(rows, n);
    if (twice)
        FAIL(e, ERR_FORMAT, "the patient %.100s is in two rows, such as line %lld", twice->name,
             (long long)t->csv->lines[twice->index]);
    for (int64_t i = 0; i < m->count; i++) {
        const struct manifest_entry *entry = &m->entries[i];
        const struct named *at = named_find(rows, n, entry->patient ? entry->patient : entry->id);
        t->rows[i] = at ? at->index + 1 : 0;
    }
    return ERR_OK;
}

/* Rows of records that are not there may be a typing error. */
static void unused_tell(const struct fold_table *t, const char *path, const struct manifest *m)
{
    int64_t unused = 0, first = 0;
    uint8_t *used = calloc((size_t)t->csv->row_count + 1, 1);
    ASSERT(used, "out of memory");
    for (int64_t i = 0; i < m->count; i++)
        if (t->rows[i])
            used[t->rows[i] - 1] = 1;
    for (int64_t row = t->csv->row_count - 1; row >= 0; row--)
        if (!used[row]) {
            unused++;
            first = row;
        }
    free(used);
    if (unused > 0)
        log_warning("%s: %lld of %lld rows name no %s, such as \"%.80s\" of line %lld", path,
                    (long long)unused, (long long)t->csv->row_count,
                    t->by_patient ? "patient" : "record, or several as likely",
                    csv_cell(t->csv, first, t->name), (long long)t->csv->lines[first]);
}

static enum err_code folds_set(const struct fold_table *t, const char *path, struct manifest *m,
                               struct err *e)
{
    int64_t kept = 0;
    for (int64_t row = 0; row < t->csv->row_count; row++) {
        int ignored;
        TRY(fold_of_row(t, row, &ignored, e));
    }
    for (int64_t i = 0; i < m->count; i++) {
        if (!t->rows[i]) {
            manifest_leave_out(m, m->entries[i].id, "no-fold", "%s has no row for it: left out",
                               path);
            continue;
        }
        TRY(fold_of_row(t, t->rows[i] - 1, &m->entries[i].fold, e));
        m->entries[kept++] = m->entries[i];
    }
    if (kept == 0 && m->count > 0)
        FAIL(e, ERR_NOT_FOUND, "none of its %lld rows names a %s of the data set",
             (long long)t->csv->row_count, t->by_patient ? "patient" : "record");
    unused_tell(t, path, m);
    if (kept < m->count)
        log_warning("%s: %lld of %lld records have no row and are left out", path,
                    (long long)(m->count - kept), (long long)m->count);
    m->count = kept;
    m->label_note = arena_printf(&m->arena, "%s; but the folds are those of %s",
                                 m->label_note ? m->label_note : "", path);
    return ERR_OK;
}

enum err_code folds_apply(const char *path, struct manifest *m, struct err *e)
{
    struct csv csv;
    struct fold_table t = {.csv = &csv};
    enum err_code code = csv_read(path, TABLE_BYTES_MAX, &csv, e);
    t.rows = calloc((size_t)m->count + 1, sizeof *t.rows);
    ASSERT(t.rows, "out of memory");
    if (code == ERR_OK)
        code = columns_find(&t, e);
    if (code == ERR_OK)
        code = t.by_patient ? rows_by_patient(&t, m, e) : rows_by_record(&t, m, e);
    if (code == ERR_OK)
        code = folds_set(&t, path, m, e);
    if (code != ERR_OK)
        err_context(e, "folds of %s", path);
    free(t.rows);
    csv_free(&csv);
    return code;
}
