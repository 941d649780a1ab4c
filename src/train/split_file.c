#include "train/split_file.h"

#include <stdio.h>
#include <stdlib.h>
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

static char *split_path(struct arena *a, const char *run)
{
    char *folder = dir_exists(run) ? arena_strdup(a, run) : path_folder(a, run);
    char *path = folder ? path_join(a, folder, "split.csv") : NULL;
    ASSERT(path, "out of memory");
    return path;
}

bool split_file_exists(const char *run)
{
    struct arena a;
    arena_init(&a, "path", 0);
    bool exists = file_exists(split_path(&a, run));
    arena_reset(&a);
    return exists;
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names of training records, sorted: patients, and ids of those without one. */
struct learned {
    const char **patients, **ids;
    int64_t patient_count, id_count;
};

static enum err_code learned_read(const struct csv *t, const char *dataset, struct learned *out,
                                  struct err *e)
{
    int64_t c[COLUMN_COUNT];
    for (int i = 0; i < COLUMN_COUNT; i++) {
        c[i] = csv_column(t, columns[i]);
        if (c[i] < 0)
            FAIL(e, ERR_FORMAT, "no column \"%s\"", columns[i]);
    }
    out->patients = calloc((size_t)t->row_count + 1, sizeof *out->patients);
    out->ids = calloc((size_t)t->row_count + 1, sizeof *out->ids);
    ASSERT(out->patients && out->ids, "out of memory");
    for (int64_t row = 0; row < t->row_count; row++) {
        const char *patient = csv_cell(t, row, c[COLUMN_PATIENT]);
        if (strcmp(csv_cell(t, row, c[COLUMN_SPLIT]), split_name(SPLIT_TRAIN)) != 0 ||
            (dataset && strcmp(csv_cell(t, row, c[COLUMN_DATASET]), dataset) != 0))
            continue;
        if (patient[0])
            out->patients[out->patient_count++] = patient;
        else
            out->ids[out->id_count++] = csv_cell(t, row, c[COLUMN_ID]);
    }
    qsort(out->patients, (size_t)out->patient_count, sizeof *out->patients, compare_text);
    qsort(out->ids, (size_t)out->id_count, sizeof *out->ids, compare_text);
    return ERR_OK;
}

static bool is_learned(const struct learned *l, const char *id, const char *patient)
{
    const char *key = patient ? patient : id;
    return bsearch(&key, patient ? l->patients : l->ids,
                   (size_t)(patient ? l->patient_count : l->id_count), sizeof key,
                   compare_text) != NULL;
}

enum err_code split_file_overlap(const char *run, const char *dataset, const char *const *ids,
                                 const char *const *patients, int64_t count,
                                 struct split_overlap *out, struct err *e)
{
    enum { TOLD = 10 };
    struct arena a;
    struct csv table;
    struct learned learned = {0};
    memset(out, 0, sizeof *out);
    arena_init(&a, "path", 0);
    const char *path = split_path(&a, run);
    enum err_code code = csv_read(path, FILE_MAX_BYTES, &table, e);
    if (code == ERR_OK && (code = learned_read(&table, dataset, &learned, e)) != ERR_OK)
        err_context(e, "reading %s", path);
    for (int64_t i = 0, used = 0; i < count && code == ERR_OK; i++) {
        if (!is_learned(&learned, ids[i], patients[i]))
            continue;
        int64_t room = (int64_t)sizeof out->text - used;
        if (out->count++ < TOLD && room > 1)
            used += snprintf(out->text + used, (size_t)room, "%s%.40s", used ? ", " : "", ids[i]);
    }
    free(learned.patients);
    free(learned.ids);
    csv_free(&table);
    arena_reset(&a);
    return code;
}
