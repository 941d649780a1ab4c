/* PhysioNet/CinC Challenge 2017: single-lead recordings of 9 to 61 s beside a REFERENCE.csv (or the
 * revised REFERENCE-v3.csv, which is preferred) of lines "A00001,N" without a header.
 *
 * Task: rhythm, the classes N (normal), A (atrial fibrillation), O (other rhythm), ~ (too noisy).
 * Folds: from the record name, as no patient is told. Header checksums of this set are all 0.
 * Source: Clifford et al. 2017, doi:10.22489/CinC.2017.065-469. */
#include <string.h>

#include "base/file.h"
#include "data/manifest.h"
#include "format/csv.h"

static const struct {
    const char *code, *title;
} rhythms[] = {
    {"N", "normal sinus rhythm"},
    {"A", "atrial fibrillation"},
    {"O", "other rhythm"},
    {"~", "too noisy to classify"},
};
#define RHYTHM_COUNT (int64_t)(sizeof rhythms / sizeof *rhythms)

static int64_t rhythm_find(const char *code)
{
    for (int64_t k = 0; k < RHYTHM_COUNT; k++)
        if (strcmp(rhythms[k].code, code) == 0)
            return k;
    return -1;
}

/* The table of references, or NULL. */
static char *reference_path(const char *root, struct arena *a)
{
    static const char *const names[] = {"REFERENCE-v3.csv", "REFERENCE.csv"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = path_join(a, root, names[i]);
        if (path && file_exists(path))
            return path;
    }
    return NULL;
}

static int cinc2017_probe(const char *root)
{
    struct arena scratch;
    struct csv table = {0};
    struct err ignored = {0};
    int score = 0;
    arena_init(&scratch, "probe", 0);
    char *path = reference_path(root, &scratch);
    /* Other challenges have a REFERENCE.csv as well: look at the labels. */
    if (path && csv_read(path, TABLE_BYTES_MAX, &table, &ignored) == ERR_OK &&
        table.column_count == 2 && rhythm_find(table.header[1]) >= 0)
        score = 90;
    csv_free(&table);
    arena_reset(&scratch);
    return score;
}

static enum err_code references_fill(const struct csv *t, struct manifest *m, struct err *e)
{
    struct tally unknown = {0};
    if (t->column_count != 2)
        FAIL(e, ERR_FORMAT, "%lld columns: expected a record name and a label",
             (long long)t->column_count);
    for (int64_t row = -1; row < t->row_count; row++) { /* -1: what is no header here */
        const char *id = row < 0 ? t->header[0] : csv_cell(t, row, 0);
        const char *label = row < 0 ? t->header[1] : csv_cell(t, row, 1);
        int64_t line = row < 0 ? 1 : t->lines[row];
        if (!path_is_contained(id)) {
            manifest_leave_out(m, id, "bad-path",
                               "line %lld: the record name is empty or leaves "
                               "the folder: left out",
                               (long long)line);
            continue;
        }
        struct manifest_entry *entry = manifest_entry_add(m);
        struct manifest_code *code = arena_push(&m->arena, sizeof *code);
        char *header = arena_printf(&m->arena, "%s.hea", id);
        if (!entry || !code || !header)
            FAIL(e, ERR_MEMORY, "out of memory");
        entry->id = arena_strdup(&m->arena, id);
        entry->path = path_join(&m->arena, m->root, header);
        code->code = arena_strdup(&m->arena, label);
        code->likelihood = 100.0;
        if (!entry->id || !entry->path || !code->code)
            FAIL(e, ERR_MEMORY, "out of memory");
        entry->fold = fold_from_id(id);
        entry->codes = code;
        entry->code_count = label[0] ? 1 : 0;
        if (label[0] == '\0')
            manifest_problem_add(m, id, "no-labels", "line %lld has no label: kept without",
                                 (long long)line);
        else if (rhythm_find(label) < 0)
            tally_add(&unknown, &m->arena, code->code, entry->id);
    }
    tally_report_unknown(&unknown, m, "the classes N, A, O, ~");
    return ERR_OK;
}

static enum err_code cinc2017_index(const char *root, const struct manifest_options *options,
                                    struct manifest *m, struct err *e)
{
    struct csv table = {0};
    (void)options;
    char *path = reference_path(root, &m->arena);
    if (!path)
        FAIL(e, ERR_NOT_FOUND, "%s: no REFERENCE.csv", root);
    m->title = "PhysioNet/CinC Challenge 2017";
    m->label_note =
        arena_printf(&m->arena, "folds: from the record name; labels: %s", path_name(path));
    enum err_code code = csv_read(path, TABLE_BYTES_MAX, &table, e);
    if (code == ERR_OK)
        code = references_fill(&table, m, e);
    csv_free(&table);
    return code;
}

static enum err_code cinc2017_labels(struct manifest *m, const char *task, struct label_set *out,
                                     struct err *e)
{
    (void)task;
    TRY(labels_allocate(m, RHYTHM_COUNT, out, e));
    out->code_system = "cinc2017";
    for (int64_t k = 0; k < RHYTHM_COUNT; k++) {
        out->class_names[k] = out->class_codes[k] = rhythms[k].code;
        out->class_titles[k] = rhythms[k].title;
    }
    for (int64_t i = 0; i < m->count; i++)
        for (int64_t c = 0; c < m->entries[i].code_count; c++) {
            int64_t k = rhythm_find(m->entries[i].codes[c].code);
            if (k >= 0)
                out->targets[i * RHYTHM_COUNT + k] = out->labelled[i] = 1;
        }
    return ERR_OK;
}

const struct dataset dataset_cinc2017 = {
    .name = "cinc2017",
    .help = "PhysioNet/CinC 2017: single-lead recordings with a REFERENCE.csv",
    .tasks = "rhythm",
    .probe = cinc2017_probe,
    .index = cinc2017_index,
    .labels = cinc2017_labels,
};
