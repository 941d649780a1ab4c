#include "train/split_file.h"

#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "format/csv.h"

#define FILE_MAX_BYTES ((size_t)4 << 30)

enum { COLUMN_DATASET, COLUMN_ID, COLUMN_PATIENT, COLUMN_FOLD, COLUMN_SPLIT, COLUMN_COUNT };
static const char *const columns[COLUMN_COUNT] = {"dataset", "id", "patient", "fold", "split"};

/* An entry as its own data set tells it, and the kind of that. */
static const struct manifest_entry *entry_of(const struct manifest *m, int64_t i, const char **kind)
{
    for (int64_t p = 0; p < m->part_count; i -= m->parts[p++].count)
        if (i < m->parts[p].count) {
            *kind = m->parts[p].dataset->name;
            return &m->parts[p].entries[i];
        }
    *kind = m->dataset->name;
    return &m->entries[i];
}

static void put_row(struct buf *out, const struct manifest *m, int64_t i, const char *split)
{
    const char *kind;
    const struct manifest_entry *entry = entry_of(m, i, &kind);
    buf_printf(out, "%s,", kind);
    csv_put(out, entry->id);
    buf_puts(out, ",");
    csv_put(out, entry->patient ? entry->patient : "");
    buf_printf(out, ",%d,%s\n", entry->fold, split);
}

enum err_code split_file_write(struct experiment *x, struct err *e)
{
    struct file_writer w;
    struct buf text = {0};
    TRY(file_writer_open(&w, run_path(&x->run, "split.csv"), e));
    for (int c = 0; c < COLUMN_COUNT; c++)
        buf_printf(&text, "%s%s", c ? "," : "", columns[c]);
    buf_puts(&text, "\n");
    for (int s = SPLIT_TRAIN; s <= SPLIT_ALL; s++)
        for (int64_t i = 0; x->stores[s] && i < store_count(x->stores[s]); i++) {
            int64_t entry = store_entry(x->stores[s], i);
            if (!x->labels.labelled || x->labels.labelled[entry])
                put_row(&text, &x->manifest, entry,
                        split_name(s == SPLIT_ALL ? SPLIT_TRAIN : (enum data_split)s));
            file_writer_write(&w, text.data, text.len);
            buf_clear(&text);
        }
    bool failed = text.failed;
    buf_free(&text);
    if (failed) {
        file_writer_abandon(&w);
        FAIL(e, ERR_MEMORY, "split.csv: out of memory");
    }
    return file_writer_commit(&w, e);
}

/* --- comparing ---------------------------------------------------------------------------------- */

/* NULL if there is neither a folder nor a file of that name. */
static const char *split_path(struct arena *a, const char *run)
{
    if (!dir_exists(run) && !file_exists(run))
        return NULL;
    const char *folder = dir_exists(run) ? run : path_folder(a, run);
    const char *path = folder ? path_join(a, folder, "split.csv") : NULL;
    ASSERT(path, "out of memory");
    return path;
}

bool split_file_exists(const char *run)
{
    struct arena a;
    arena_init(&a, "path", 0);
    const char *path = split_path(&a, run);
    bool exists = path && file_exists(path);
    arena_reset(&a);
    return exists;
}

/* The names of its training records, and of all, of one kind of data set. */
static enum err_code names_read(const struct csv *t, const char *dataset,
                                struct record_names *learned, struct record_names *all,
                                struct err *e)
{
    int64_t c[COLUMN_COUNT];
    for (int i = 0; i < COLUMN_COUNT; i++) {
        c[i] = csv_column(t, columns[i]);
        if (c[i] < 0)
            FAIL(e, ERR_FORMAT, "no column \"%s\"", columns[i]);
    }
    record_names_init(learned, t->row_count);
    record_names_init(all, t->row_count);
    for (int64_t row = 0; row < t->row_count; row++) {
        const char *id = csv_cell(t, row, c[COLUMN_ID]);
        const char *patient = csv_cell(t, row, c[COLUMN_PATIENT]);
        if (dataset && strcmp(csv_cell(t, row, c[COLUMN_DATASET]), dataset) != 0)
            continue;
        record_names_add(all, id, patient);
        if (strcmp(csv_cell(t, row, c[COLUMN_SPLIT]), split_name(SPLIT_TRAIN)) == 0)
            record_names_add(learned, id, patient);
    }
    record_names_sort(learned);
    record_names_sort(all);
    return ERR_OK;
}

/* Records of which no id and no patient could be in the file tell nothing by not being there. */
static bool is_comparable(const struct record_names *all, const char *const *ids,
                          const char *const *patients, int64_t count)
{
    struct record_overlap there;
    for (int64_t i = 0; i < count && all->patient_count > 0; i++)
        if (patients[i] && patients[i][0])
            return true;
    record_names_overlap(all, ids, patients, count, &there);
    return there.count > 0 || all->id_count == 0;
}

enum err_code split_file_overlap(const char *run, const char *dataset, const char *const *ids,
                                 const char *const *patients, int64_t count,
                                 struct record_overlap *out, bool *comparable, struct err *e)
{
    struct arena a;
    struct csv table = {0};
    struct record_names learned = {0}, all = {0};
    memset(out, 0, sizeof *out);
    arena_init(&a, "path", 0);
    const char *path = split_path(&a, run);
    enum err_code code = path ? csv_read(path, FILE_MAX_BYTES, &table, e)
                              : RAISE(e, ERR_NOT_FOUND, "%s: no run folder, no model file", run);
    if (code == ERR_OK && (code = names_read(&table, dataset, &learned, &all, e)) != ERR_OK)
        err_context(e, "reading %s", path);
    if (code == ERR_OK) {
        record_names_overlap(&learned, ids, patients, count, out);
        *comparable = is_comparable(&all, ids, patients, count);
    }
    record_names_free(&learned);
    record_names_free(&all);
    csv_free(&table);
    arena_reset(&a);
    return code;
}
