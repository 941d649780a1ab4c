/* China Physiological Signal Challenge 2018 as it came: 12-lead recordings A0001.mat ... of 6 to 60 s at
 * 500 Hz beside a REFERENCE.csv with the header Recording,First_label,Second_label,Third_label and labels
 * 1 to 9, the first always there.
 *
 * Task: rhythm, the nine classes in the order of their numbers.
 * Folds: from the record name, as no patient is told. Age and sex stand in the recordings and are not
 * read. Source: Liu et al. 2018, doi:10.1166/jmihi.2018.2442. */
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "data/manifest.h"
#include "format/csv.h"

static const struct {
    const char *number, *name, *title;
} classes[] = {
    {"1", "Normal", "normal"},
    {"2", "AF", "atrial fibrillation"},
    {"3", "I-AVB", "first degree atrioventricular block"},
    {"4", "LBBB", "left bundle branch block"},
    {"5", "RBBB", "right bundle branch block"},
    {"6", "PAC", "premature atrial contraction"},
    {"7", "PVC", "premature ventricular contraction"},
    {"8", "STD", "ST segment depression"},
    {"9", "STE", "ST segment elevation"},
};
enum { CLASS_COUNT = sizeof classes / sizeof *classes, LABELS = 3 };

static const char *const columns[1 + LABELS] = {"Recording", "First_label", "Second_label",
                                                "Third_label"};

static int cpsc2018_probe(const char *root)
{
    struct arena scratch;
    struct csv table = {0};
    struct err ignored = {0};
    int score = 0;
    arena_init(&scratch, "probe", 0);
    char *path = path_join(&scratch, root, "REFERENCE.csv");
    /* Other challenges have a REFERENCE.csv as well: look at the header. */
    if (path && file_exists(path) && csv_read(path, TABLE_BYTES_MAX, &table, &ignored) == ERR_OK &&
        csv_column(&table, columns[0]) >= 0 && csv_column(&table, columns[1]) >= 0)
        score = 92;
    csv_free(&table);
    arena_reset(&scratch);
    return score;
}

static int64_t class_find(const char *number)
{
    for (int64_t k = 0; k < CLASS_COUNT; k++)
        if (strcmp(classes[k].number, number) == 0)
            return k;
    return -1;
}

static enum err_code row_add(struct manifest *m, const struct csv *t, int64_t row,
                             const int64_t *column, struct tally *unknown, struct err *e)
{
    const char *id = csv_cell(t, row, column[0]);
    if (!path_is_contained(id)) {
        manifest_leave_out(m, id, "bad-path",
                           "line %lld: the record name is empty or leaves the folder: left out",
                           (long long)t->lines[row]);
        return ERR_OK;
    }
    struct manifest_entry *entry = manifest_entry_add(m);
    struct manifest_code *codes = arena_push_array(&m->arena, LABELS, sizeof *codes);
    char *file = arena_printf(&m->arena, "%s.mat", id);
    if (!entry || !codes || !file)
        FAIL(e, ERR_MEMORY, "out of memory");
    entry->id = arena_strdup(&m->arena, id);
    entry->path = path_join(&m->arena, m->root, file);
    if (!entry->id || !entry->path)
        FAIL(e, ERR_MEMORY, "out of memory");
    entry->fold = fold_from_id(id);
    entry->codes = codes;
    for (int i = 1; i <= LABELS; i++) {
        const char *number = id_normalize(&m->arena, csv_optional(t, row, column[i]));
        if (!number)
            FAIL(e, ERR_MEMORY, "out of memory");
        if (number[0] == '\0')
            continue;
        codes[entry->code_count++] = (struct manifest_code){number, 100.0};
        if (class_find(number) < 0)
            tally_add(unknown, &m->arena, number, entry->id);
    }
    if (entry->code_count == 0)
        manifest_problem_add(m, entry->id, "no-labels", "line %lld has no label: kept without",
                             (long long)t->lines[row]);
    return ERR_OK;
}

static enum err_code cpsc2018_index(const char *root, const struct manifest_options *options,
                                    struct manifest *m, struct err *e)
{
    struct csv table = {0};
    struct tally unknown = {0};
    int64_t column[1 + LABELS];
    (void)options;
    char *path = path_join(&m->arena, root, "REFERENCE.csv");
    if (!path)
        FAIL(e, ERR_MEMORY, "%s: out of memory", root);
    m->title = "China Physiological Signal Challenge 2018";
    m->label_note = "folds: from the record name; labels: REFERENCE.csv";
    enum err_code code = csv_read(path, TABLE_BYTES_MAX, &table, e);
    for (int i = 0; i <= LABELS && code == ERR_OK; i++) {
        column[i] = csv_column(&table, columns[i]);
        if (i < 2 && column[i] < 0)
            code = RAISE(e, ERR_FORMAT, "%s: no column \"%s\"", path, columns[i]);
    }
    for (int64_t row = 0; row < table.row_count && code == ERR_OK; row++)
        code = row_add(m, &table, row, column, &unknown, e);
    if (code == ERR_OK)
        tally_report_unknown(&unknown, m, "the classes 1 to 9");
    csv_free(&table);
    return code;
}

static enum err_code cpsc2018_labels(struct manifest *m, const char *task, struct label_set *out,
                                     struct err *e)
{
    (void)task;
    TRY(labels_allocate(m, CLASS_COUNT, out, e));
    out->code_system = "cpsc2018";
    for (int64_t k = 0; k < CLASS_COUNT; k++) {
        out->class_names[k] = classes[k].name;
        out->class_codes[k] = classes[k].number;
        out->class_titles[k] = classes[k].title;
    }
    for (int64_t i = 0; i < m->count; i++)
        for (int64_t c = 0; c < m->entries[i].code_count; c++) {
            int64_t k = class_find(m->entries[i].codes[c].code);
            if (k >= 0)
                out->targets[i * CLASS_COUNT + k] = out->labelled[i] = 1;
        }
    return ERR_OK;
}

const struct dataset dataset_cpsc2018 = {
    .name = "cpsc2018",
    .help = "CPSC 2018: 12-lead .mat recordings with a REFERENCE.csv of up to three labels",
    .tasks = "rhythm",
    .probe = cpsc2018_probe,
    .index = cpsc2018_index,
    .labels = cpsc2018_labels,
};
