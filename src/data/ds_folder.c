/* Any folder of recordings with a labels.csv, whose header names (without regard to case)
 *   file, path or filename   the recording, relative to the folder, with or without its extension
 *   id, record or record_id  optional when there is a file column; otherwise it is the file too
 *   fold or strat_fold       optional, 1 to 10: 1-8 train, 9 validation, 10 test
 *   patient or patient_id, age, sex (male/female, m/f), site, device   optional
 * and the labels, either as
 *   labels or label          names separated by ; or |; an empty cell leaves the record unlabelled
 * or, where there is no such column, as every other column that holds only 0 and 1: a class each, in
 * the order of the columns; a row with an empty cell in one of them is left unlabelled. Columns of
 * other content are not labels; label_note names them.
 *
 * Task: labels. A class of the list form is any name that occurs, in byte order.
 * Folds without a fold column: from the patient, or the record where no patient is told. */
#include <string.h>

#include "base/file.h"
#include "base/named.h"
#include "base/str.h"
#include "data/manifest.h"

#define CLASSES_MAX 4096
#define NAME_LENGTH_MAX 200

struct class_list {
    int64_t count;
    const char **names;
};

/* The columns of a table; -1 where there is none. */
struct layout {
    int64_t file, id, labels, fold, patient, age, sex, site, device;
    int64_t *classes; /* columns of 0 and 1 */
    int64_t class_count;
};

static int folder_probe(const char *root)
{
    struct arena scratch;
    arena_init(&scratch, "probe", 0);
    char *path = path_join(&scratch, root, "labels.csv");
    int score = path && file_exists(path) ? 95 : 0;
    arena_reset(&scratch);
    return score;
}

/* 0 or 1; -1 for an empty cell, -2 for anything else. */
static int bit_parse(const char *text)
{
    double value;
    if (text[0] == '\0')
        return -1;
    if (!str_to_f64(text, false, &value))
        return -2;
    return value == 0.0 ? 0 : value == 1.0 ? 1 : -2;
}

static bool column_is_class(const struct csv *t, int64_t column)
{
    bool any = false;
    for (int64_t row = 0; row < t->row_count; row++) {
        int bit = bit_parse(csv_cell(t, row, column));
        if (bit == -2)
            return false;
        any = any || bit >= 0;
    }
    return any && t->header[column][0] != '\0';
}

/* The class columns; what is neither known nor a class goes to the note. */
static enum err_code classes_find(const struct csv *t, struct layout *l, struct manifest *m,
                                  struct err *e)
{
    const int64_t known[] = {l->file, l->id,  l->labels, l->fold,  l->patient,
                             l->age,  l->sex, l->site,   l->device};
    struct buf other;
    buf_init(&other, 2000);
    l->classes = arena_push_array(&m->arena, (size_t)t->column_count, sizeof *l->classes);
    if (!l->classes)
        FAIL(e, ERR_MEMORY, "out of memory");
    for (int64_t i = 0; i < t->column_count; i++) {
        bool is_known = false;
        for (size_t k = 0; k < sizeof known / sizeof *known; k++)
            is_known = is_known || known[k] == i;
        if (is_known)
            continue;
        if (l->labels < 0 && column_is_class(t, i))
            l->classes[l->class_count++] = i;
        else
            buf_printf(&other, "%s%s", other.len ? ", " : "", t->header[i]);
    }
    m->label_note =
        arena_printf(&m->arena, "folds: %s; labels: %s of labels.csv%s%s",
                     l->fold >= 0      ? "the fold column"
                     : l->patient >= 0 ? "from the patient"
                                       : "from the record id",
                     l->labels >= 0 ? "the labels column" : "the columns of 0 and 1",
                     other.len ? "; columns not used: " : "", other.len ? other.data : "");
    buf_free(&other);
    if (l->class_count > CLASSES_MAX)
        FAIL(e, ERR_LIMIT, "%lld classes: at most %d", (long long)l->class_count, CLASSES_MAX);
    for (int64_t i = 0; i < l->class_count; i++)
        for (int64_t k = 0; k < i; k++)
            if (strcmp(t->header[l->classes[i]], t->header[l->classes[k]]) == 0)
                FAIL(e, ERR_FORMAT, "two columns are named \"%s\"", t->header[l->classes[i]]);
    return ERR_OK;
}

static enum err_code layout_find(const struct csv *t, struct manifest *m, struct layout *l,
                                 struct err *e)
{
    static const char *const file[] = {"file", "path", "filename", NULL};
    static const char *const id[] = {"id", "record", "record_id", NULL};
    static const char *const labels[] = {"labels", "label", NULL};
    static const char *const fold[] = {"fold", "strat_fold", NULL};
    static const char *const patient[] = {"patient", "patient_id", NULL};
    static const char *const age[] = {"age", NULL};
    static const char *const sex[] = {"sex", NULL};
    static const char *const site[] = {"site", NULL};
    static const char *const device[] = {"device", NULL};
    *l = (struct layout){csv_column_any(t, file),
                         csv_column_any(t, id),
                         csv_column_any(t, labels),
                         csv_column_any(t, fold),
                         csv_column_any(t, patient),
                         csv_column_any(t, age),
                         csv_column_any(t, sex),
                         csv_column_any(t, site),
                         csv_column_any(t, device),
                         NULL,
                         0};
    if (l->file < 0 && l->id < 0)
        FAIL(e, ERR_FORMAT,
             "no column \"file\" or \"id\" in the header (is the separator a "
             "comma?)");
    TRY(classes_find(t, l, m, e));
    if (l->labels < 0 && l->class_count == 0)
        FAIL(e, ERR_FORMAT, "no column \"labels\" and no column of 0 and 1");
    return ERR_OK;
}

/* Codes of a row in the list form. */
static enum err_code list_read(struct manifest *m, struct manifest_entry *entry, const char *cell,
                               struct err *e)
{
    int64_t separators = 0;
    for (const char *p = cell; *p; p++)
        separators += *p == ';' || *p == '|';
    if (separators >= CLASSES_MAX)
        FAIL(e, ERR_LIMIT, "%s: more than %d labels", entry->id, CLASSES_MAX);
    struct manifest_code *codes =
        arena_push_array(&m->arena, (size_t)separators + 1, sizeof *codes);
    char *text = arena_strdup(&m->arena, cell);
    if (!codes || !text)
        FAIL(e, ERR_MEMORY, "out of memory");
    entry->codes = codes;
    for (char *next = text; next;) {
        char *name = next;
        next = strpbrk(name, ";|");
        if (next)
            *next++ = '\0';
        name = str_trim(name);
        if (strlen(name) > NAME_LENGTH_MAX)
            FAIL(e, ERR_LIMIT, "%s: a label of more than %d letters", entry->id, NAME_LENGTH_MAX);
        if (name[0])
            codes[entry->code_count++] = (struct manifest_code){name, 100.0};
    }
    return ERR_OK;
}

/* Codes of a row with a column per class: likelihood 100 for 1, 0 for an explicit 0. */
static enum err_code bits_read(struct manifest *m, struct manifest_entry *entry,
                               const struct csv *t, int64_t row, const struct layout *l,
                               const struct class_list *classes, struct err *e)
{
    struct manifest_code *codes =
        arena_push_array(&m->arena, (size_t)l->class_count, sizeof *codes);
    if (!codes)
        FAIL(e, ERR_MEMORY, "out of memory");
    for (int64_t k = 0; k < l->class_count; k++) {
        int bit = bit_parse(csv_cell(t, row, l->classes[k]));
        if (bit < 0) {
            manifest_problem_add(m, entry->id, "no-labels",
                                 "line %lld: %s is empty: kept without "
                                 "labels",
                                 (long long)t->lines[row], classes->names[k]);
            return ERR_OK;
        }
        codes[k] = (struct manifest_code){classes->names[k], bit ? 100.0 : 0.0};
    }
    entry->codes = codes;
    entry->code_count = l->class_count;
    return ERR_OK;
}

static enum err_code row_add(struct manifest *m, const struct csv *t, int64_t row,
                             const struct layout *l, const struct class_list *classes,
                             struct err *e)
{
    const char *file = csv_cell(t, row, l->file >= 0 ? l->file : l->id);
    char *stem = path_stem(&m->arena, file);
    const char *id = l->id >= 0 ? csv_cell(t, row, l->id) : stem;
    const char *fold = csv_optional(t, row, l->fold), *patient = csv_optional(t, row, l->patient);
    const char *site = csv_optional(t, row, l->site), *device = csv_optional(t, row, l->device);
    if (!stem)
        FAIL(e, ERR_MEMORY, "out of memory");
    if (id[0] == '\0' || !path_is_contained(file)) {
        manifest_leave_out(m, id[0] ? id : file, "bad-path",
                           "line %lld: no id, or the file name "
                           "\"%.200s\" is empty or leaves the folder: left out",
                           (long long)t->lines[row], file);
        return ERR_OK;
    }
    int fold_number = 0;
    if (l->fold >= 0 && !fold_parse(fold, &fold_number)) {
        manifest_leave_out(m, id, "bad-fold",
                           "line %lld: the fold is \"%.40s\", expected 1 to "
                           "10: left out",
                           (long long)t->lines[row], fold);
        return ERR_OK;
    }
    struct manifest_entry *entry = manifest_entry_add(m);
    if (!entry)
        FAIL(e, ERR_MEMORY, "out of memory");
    entry->id = arena_strdup(&m->arena, id);
    entry->path = path_join(&m->arena, m->root, file);
    entry->patient = patient[0] ? id_normalize(&m->arena, patient) : NULL;
    entry->site = site[0] ? id_normalize(&m->arena, site) : NULL;
    entry->device = device[0] ? arena_strdup(&m->arena, device) : NULL;
    if (!entry->id || !entry->path || (patient[0] && !entry->patient) ||
        (site[0] && !entry->site) || (device[0] && !entry->device))
        FAIL(e, ERR_MEMORY, "out of memory");
    entry->fold =
        l->fold >= 0 ? fold_number : fold_from_id(entry->patient ? entry->patient : entry->id);
    entry->age_years = age_parse(csv_optional(t, row, l->age));
    entry->sex = sex_parse(csv_optional(t, row, l->sex));
    return l->labels >= 0 ? list_read(m, entry, csv_cell(t, row, l->labels), e)
                          : bits_read(m, entry, t, row, l, classes, e);
}

/* The classes of the list form: every name that occurs. */
static enum err_code names_collect(struct manifest *m, struct class_list *classes, struct err *e)
{
    int64_t total = 0, n = 0;
    for (int64_t i = 0; i < m->count; i++)
        total += m->entries[i].code_count;
    const char **names = arena_push_array(&m->arena, (size_t)total, sizeof *names);
    if (!names)
        FAIL(e, ERR_MEMORY, "out of memory");
    for (int64_t i = 0; i < m->count; i++)
        for (int64_t c = 0; c < m->entries[i].code_count; c++)
            names[n++] = m->entries[i].codes[c].code;
    classes->names = names;
    classes->count = names_distinct(names, total);
    if (classes->count > CLASSES_MAX)
        FAIL(e, ERR_LIMIT, "%lld different labels: at most %d classes", (long long)classes->count,
             CLASSES_MAX);
    return ERR_OK;
}

static enum err_code table_fill(const struct csv *t, struct manifest *m, struct err *e)
{
    struct layout l;
    struct class_list *classes = arena_push(&m->arena, sizeof *classes);
    TRY(layout_find(t, m, &l, e));
    if (!classes)
        FAIL(e, ERR_MEMORY, "out of memory");
    classes->count = l.class_count;
    classes->names = arena_push_array(&m->arena, (size_t)l.class_count, sizeof(char *));
    if (!classes->names)
        FAIL(e, ERR_MEMORY, "out of memory");
    for (int64_t k = 0; k < l.class_count; k++) {
        classes->names[k] = arena_strdup(&m->arena, t->header[l.classes[k]]);
        if (!classes->names[k])
            FAIL(e, ERR_MEMORY, "out of memory");
    }
    for (int64_t row = 0; row < t->row_count; row++)
        TRY(row_add(m, t, row, &l, classes, e));
    if (l.labels >= 0)
        TRY(names_collect(m, classes, e));
    m->detail = classes;
    return ERR_OK;
}

static enum err_code folder_index(const char *root, const struct manifest_options *options,
                                  struct manifest *m, struct err *e)
{
    struct csv table = {0};
    char *path = path_join(&m->arena, root, "labels.csv");
    (void)options;
    if (!path)
        FAIL(e, ERR_MEMORY, "out of memory");
    m->title = "folder with labels.csv";
    enum err_code code = csv_read(path, TABLE_BYTES_MAX, &table, e);
    if (code == ERR_OK && (code = table_fill(&table, m, e)) != ERR_OK)
        err_context(e, "reading %s", path);
    csv_free(&table);
    return code;
}

static enum err_code folder_labels(struct manifest *m, const char *task, struct label_set *out,
                                   struct err *e)
{
    const struct class_list *classes = m->detail;
    int64_t K = classes->count;
    (void)task;
    if (K == 0)
        FAIL(e, ERR_LABELS, "labels.csv has no label in any row");
    TRY(labels_allocate(m, K, out, e));
    out->code_system = "local";
    for (int64_t k = 0; k < K; k++)
        out->class_names[k] = out->class_codes[k] = out->class_titles[k] = classes->names[k];
    for (int64_t i = 0; i < m->count; i++) {
        const struct manifest_entry *entry = &m->entries[i];
        out->labelled[i] = entry->code_count > 0;
        for (int64_t c = 0; c < entry->code_count; c++) {
            if (entry->codes[c].likelihood <= 0.0)
                continue;
            int64_t k = 0; /* few: a search costs nothing beside reading the recordings */
            while (strcmp(classes->names[k], entry->codes[c].code) != 0)
                k++;
            out->targets[i * K + k] = 1;
        }
    }
    return ERR_OK;
}

const struct dataset dataset_folder = {
    .name = "folder",
    .help = "any folder of recordings with a labels.csv",
    .tasks = "labels",
    .probe = folder_probe,
    .index = folder_index,
    .labels = folder_labels,
};
