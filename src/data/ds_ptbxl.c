/* PTB-XL: ptbxl_database.csv (one line per record), scp_statements.csv (the codes), records100/ and
 * records500/ in WFDB format.
 *
 * Labels: every key of scp_codes counts, whatever its likelihood (rhythm codes carry 0).
 *   all    every statement                      71 classes
 *   diag   rows with diagnostic = 1             44
 *   sub    their diagnostic_subclass            23
 *   super  their diagnostic_class                5, in the order NORM MI STTC CD HYP
 *   form   rows with form = 1                   19
 *   rhythm rows with rhythm = 1                 12
 * Classes are those of scp_statements.csv, in its order, whether or not a record here has them.
 * Folds: strat_fold. Sex: 0 male, 1 female. Age 300 stands for "over 89" and is kept. Site and
 * device as in their columns.
 * Protocol: folds 1-8 train, 9 validation, 10 test; 100 Hz, one mean and deviation of all training
 * samples and leads, crops of 2.5 s at random, windows of 2.5 s each 1.25 s, of which each class has its
 * greatest probability.
 * Source: Wagner et al. 2020, doi:10.1038/s41597-020-0495-6; tasks and protocol as in Strodthoff et al. 2020. */
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "data/manifest.h"
#include "data/pydict.h"
#include "format/csv.h"

#define HIGH_RATE_FROM_HZ                                                                          \
    300.0 /* from here on the 500 Hz files serve better than the 100 Hz ones */
#define STATEMENTS_MAX 4096

struct statement {
    const char *code, *title;
    bool is_diagnostic, is_form, is_rhythm;
    const char *super_class, *sub_class; /* "" if there is none */
};

struct statement_table {
    int64_t count;
    const struct statement *rows;
};

static int ptbxl_probe(const char *root)
{
    struct arena scratch;
    arena_init(&scratch, "probe", 0);
    char *database = path_join(&scratch, root, "ptbxl_database.csv");
    int score = database && file_exists(database) ? 100 : 0;
    arena_reset(&scratch);
    return score;
}

static bool is_one(const char *text)
{
    double value;
    return str_to_f64(text, false, &value) && value == 1.0;
}

static enum err_code columns_find(const struct csv *t, const char *const *names, int count,
                                  int64_t *columns, struct err *e)
{
    for (int i = 0; i < count; i++) {
        columns[i] = csv_column(t, names[i]);
        if (columns[i] < 0)
            FAIL(e, ERR_FORMAT, "no column \"%s\"", names[i]);
    }
    return ERR_OK;
}

static enum err_code statements_fill(const struct csv *t, struct manifest *m,
                                     const struct manifest_options *options, struct err *e)
{
    static const char *const names[] = {"",       "description",      "diagnostic",         "form",
                                        "rhythm", "diagnostic_class", "diagnostic_subclass"};
    int64_t c[7];
    (void)options;
    TRY(columns_find(t, names, 7, c, e));
    if (t->row_count > STATEMENTS_MAX)
        FAIL(e, ERR_LIMIT, "%lld statements: at most %d", (long long)t->row_count, STATEMENTS_MAX);
    struct statement_table *table = arena_push(&m->arena, sizeof *table);
    struct statement *rows = arena_push_array(&m->arena, (size_t)t->row_count, sizeof *rows);
    if (!table || !rows)
        FAIL(e, ERR_MEMORY, "scp_statements.csv: out of memory");
    for (int64_t i = 0; i < t->row_count; i++) {
        struct statement *row = &rows[table->count];
        row->code = arena_strdup(&m->arena, csv_optional(t, i, c[0]));
        row->title = arena_strdup(&m->arena, csv_optional(t, i, c[1]));
        row->is_diagnostic = is_one(csv_optional(t, i, c[2]));
        row->is_form = is_one(csv_optional(t, i, c[3]));
        row->is_rhythm = is_one(csv_optional(t, i, c[4]));
        row->super_class = arena_strdup(&m->arena, csv_optional(t, i, c[5]));
        row->sub_class = arena_strdup(&m->arena, csv_optional(t, i, c[6]));
        if (!row->code || !row->title || !row->super_class || !row->sub_class)
            FAIL(e, ERR_MEMORY, "scp_statements.csv: out of memory");
        if (row->code[0] == '\0')
            FAIL(e, ERR_FORMAT, "line %lld: no code", (long long)t->lines[i]);
        for (int64_t k = 0; k < table->count; k++)
            if (strcmp(rows[k].code, row->code) == 0)
                FAIL(e, ERR_FORMAT, "line %lld: the code %s occurs twice", (long long)t->lines[i],
                     row->code);
        if (row->is_diagnostic && (row->super_class[0] == '\0' || row->sub_class[0] == '\0'))
            FAIL(e, ERR_FORMAT, "line %lld: the diagnostic statement %s has no class",
                 (long long)t->lines[i], row->code);
        table->count++;
    }
    table->rows = rows;
    m->detail = table;
    return ERR_OK;
}

static const struct statement *statement_find(const struct statement_table *t, const char *code)
{
    for (int64_t i = 0; i < t->count; i++)
        if (strcmp(t->rows[i].code, code) == 0)
            return &t->rows[i];
    return NULL;
}

/* Index */

typedef enum err_code table_filler(const struct csv *t, struct manifest *m,
                                   const struct manifest_options *options, struct err *e);

enum { COLUMN_ID, COLUMN_CODES, COLUMN_FOLD, COLUMN_FILE, COLUMN_COUNT };

/* The column of file names that serves the wanted rate; the other one where only that is on disk. */
static enum err_code file_column_find(const struct csv *t, const char *root, struct manifest *m,
                                      double rate_hz, int64_t *column, struct err *e)
{
    bool high = rate_hz >= HIGH_RATE_FROM_HZ;
    const char *names[2] = {high ? "filename_hr" : "filename_lr",
                            high ? "filename_lr" : "filename_hr"};
    *column = -1;
    for (int i = 0; i < 2; i++) {
        int64_t found = csv_column(t, names[i]);
        if (found < 0)
            continue;
        if (*column < 0)
            *column = found;
        const char *first = t->row_count > 0 ? csv_cell(t, 0, found) : "";
        char *folder = arena_strndup(&m->arena, first, strcspn(first, "/"));
        folder = folder ? path_join(&m->arena, root, folder) : NULL;
        if (folder && first[0] && dir_exists(folder)) { /* empty where a set has one rate */
            *column = found;
            break;
        }
    }
    if (*column < 0)
        FAIL(e, ERR_FORMAT, "no column \"filename_lr\" or \"filename_hr\"");
    m->label_note = arena_printf(&m->arena,
                                 "folds: strat_fold; labels: keys of scp_codes whatever "
                                 "the likelihood; files: %s",
                                 t->header[*column]);
    return ERR_OK;
}

/* The trimmed text of a cell ("1.0" as "1" if it is a number); NULL for an empty one. */
static enum err_code text_keep(struct manifest *m, const char *cell, bool is_id, const char **out,
                               struct err *e)
{
    char *text = arena_strdup(&m->arena, cell);
    if (!text)
        FAIL(e, ERR_MEMORY, "ptbxl_database.csv: out of memory");
    text = str_trim(text);
    *out = !text[0] ? NULL : is_id ? id_normalize(&m->arena, text) : text;
    if (text[0] && !*out)
        FAIL(e, ERR_MEMORY, "ptbxl_database.csv: out of memory");
    return ERR_OK;
}

static enum err_code record_add(struct manifest *m, const struct csv *t, int64_t row,
                                const int64_t *columns, const int64_t *optional,
                                struct tally *unknown, struct err *e)
{
    const char *id = id_normalize(&m->arena, csv_optional(t, row, columns[COLUMN_ID]));
    const char *file = csv_optional(t, row, columns[COLUMN_FILE]);
    const char *fold_text = csv_optional(t, row, columns[COLUMN_FOLD]);
    int fold;
    if (!id)
        FAIL(e, ERR_MEMORY, "ptbxl_database.csv: out of memory");
    if (id[0] == '\0') {
        manifest_leave_out(m, file, "bad-id", "line %lld of the table has no ecg_id: left out",
                           (long long)t->lines[row]);
        return ERR_OK;
    }
    if (!path_is_contained(file)) {
        manifest_leave_out(m, id, "bad-path",
                           "the file name \"%.200s\" is empty or leaves the "
                           "folder: left out",
                           file);
        return ERR_OK;
    }
    if (!fold_parse(fold_text, &fold)) {
        manifest_leave_out(m, id, "bad-fold",
                           "strat_fold is \"%.40s\", expected 1 to 10: left "
                           "out",
                           fold_text);
        return ERR_OK;
    }
    struct manifest_entry *entry = manifest_entry_add(m);
    if (!entry)
        FAIL(e, ERR_MEMORY, "ptbxl_database.csv: out of memory");
    entry->id = id;
    entry->fold = fold;
    const char *header = arena_printf(&m->arena, "%s.hea", file);
    entry->path = header ? path_join(&m->arena, m->root, header) : NULL;
    const char *patient = csv_optional(t, row, optional[0]);
    entry->patient = patient[0] ? id_normalize(&m->arena, patient) : NULL;
    if (!entry->path || (patient[0] && !entry->patient))
        FAIL(e, ERR_MEMORY, "ptbxl_database.csv: out of memory");
    entry->age_years = age_parse(csv_optional(t, row, optional[1]));
    double sex;
    if (str_to_f64(csv_optional(t, row, optional[2]), false, &sex))
        entry->sex = sex == 0.0 ? SEX_MALE : sex == 1.0 ? SEX_FEMALE : SEX_UNKNOWN;
    TRY(text_keep(m, csv_optional(t, row, optional[3]), true, &entry->site, e));
    TRY(text_keep(m, csv_optional(t, row, optional[4]), false, &entry->device, e));
    struct err why = {0};
    if (pydict_parse(&m->arena, csv_optional(t, row, columns[COLUMN_CODES]), &entry->codes,
                     &entry->code_count, &why) != ERR_OK)
        manifest_problem_add(m, id, "bad-codes", "scp_codes: %s: kept without labels", why.message);
    for (int64_t i = 0; i < entry->code_count; i++)
        if (!statement_find(m->detail, entry->codes[i].code))
            tally_add(unknown, &m->arena, entry->codes[i].code, id);
    return ERR_OK;
}

static enum err_code records_fill(const struct csv *t, struct manifest *m,
                                  const struct manifest_options *options, struct err *e)
{
    static const char *const names[] = {"ecg_id", "scp_codes", "strat_fold"};
    int64_t columns[COLUMN_COUNT];
    int64_t optional[] = {csv_column(t, "patient_id"), csv_column(t, "age"), csv_column(t, "sex"),
                          csv_column(t, "site"), csv_column(t, "device")};
    struct tally unknown = {0};
    TRY(columns_find(t, names, 3, columns, e));
    TRY(file_column_find(t, m->root, m, options->rate_hz, &columns[COLUMN_FILE], e));
    for (int64_t row = 0; row < t->row_count; row++)
        TRY(record_add(m, t, row, columns, optional, &unknown, e));
    tally_report_unknown(&unknown, m, "scp_statements.csv");
    return ERR_OK;
}

static enum err_code table_use(const char *root, const char *name,
                               const struct manifest_options *options, struct manifest *m,
                               table_filler *fill, struct err *e)
{
    struct csv table = {0};
    char *path = path_join(&m->arena, root, name);
    if (!path)
        FAIL(e, ERR_MEMORY, "%s: out of memory", root);
    enum err_code code = csv_read(path, TABLE_BYTES_MAX, &table, e);
    if (code == ERR_OK && (code = fill(&table, m, options, e)) != ERR_OK)
        err_context(e, "reading %s", path);
    csv_free(&table);
    return code;
}

static enum err_code ptbxl_index(const char *root, const struct manifest_options *options,
                                 struct manifest *m, struct err *e)
{
    m->title = "PTB-XL";
    TRY(table_use(root, "scp_statements.csv", options, m, statements_fill, e));
    return table_use(root, "ptbxl_database.csv", options, m, records_fill, e);
}

/* Labels */

/* The class of a statement in a task; NULL if it has none. */
static const char *class_of(const struct statement *s, const char *task)
{
    if (strcmp(task, "all") == 0)
        return s->code;
    if (strcmp(task, "form") == 0)
        return s->is_form ? s->code : NULL;
    if (strcmp(task, "rhythm") == 0)
        return s->is_rhythm ? s->code : NULL;
    if (!s->is_diagnostic)
        return NULL;
    if (strcmp(task, "super") == 0)
        return s->super_class;
    return strcmp(task, "sub") == 0 ? s->sub_class : s->code;
}

static const struct {
    const char *name, *title;
} super_classes[] = {
    {"NORM", "normal ECG"},           {"MI", "myocardial infarction"}, {"STTC", "ST/T change"},
    {"CD", "conduction disturbance"}, {"HYP", "hypertrophy"},
};
#define SUPER_COUNT (int64_t)(sizeof super_classes / sizeof *super_classes)

static int64_t class_index(const struct label_set *set, int64_t count, const char *name)
{
    for (int64_t k = 0; k < count; k++)
        if (strcmp(set->class_names[k], name) == 0)
            return k;
    return -1;
}

static enum err_code ptbxl_labels(struct manifest *m, const char *task, struct label_set *out,
                                  struct err *e)
{
    const struct statement_table *table = m->detail;
    bool is_super = strcmp(task, "super") == 0, is_sub = strcmp(task, "sub") == 0;
    int64_t K = 0;
    /* Room for every statement to be a class; the super classes are there without any statement. */
    TRY(labels_allocate(m, table->count + SUPER_COUNT, out, e));
    for (; is_super && K < SUPER_COUNT; K++) {
        out->class_names[K] = out->class_codes[K] = super_classes[K].name;
        out->class_titles[K] = super_classes[K].title;
    }
    for (int64_t i = 0; i < table->count; i++) {
        const char *name = class_of(&table->rows[i], task);
        if (!name || class_index(out, K, name) >= 0)
            continue;
        out->class_names[K] = out->class_codes[K] = name;
        /* Some subclasses are named after a statement ("NORM", "WPW"). */
        const struct statement *same = is_sub ? statement_find(table, name) : &table->rows[i];
        out->class_titles[K++] = same ? same->title : name;
    }
    if (K == 0)
        FAIL(e, ERR_LABELS, "scp_statements.csv has no statement for the task %s", task);
    out->class_count = K;
    out->code_system = "scp";
    for (int64_t i = 0; i < m->count; i++) {
        const struct manifest_entry *entry = &m->entries[i];
        for (int64_t c = 0; c < entry->code_count; c++) {
            const struct statement *s = statement_find(table, entry->codes[c].code);
            const char *name = s ? class_of(s, task) : NULL;
            if (!name)
                continue;
            out->targets[i * K + class_index(out, K, name)] = 1;
            out->labelled[i] = 1;
        }
    }
    return ERR_OK;
}

const struct dataset dataset_ptbxl = {
    .name = "ptbxl",
    .help = "PTB-XL: ptbxl_database.csv, scp_statements.csv, records100, records500",
    .tasks = "super|sub|diag|form|rhythm|all",
    .benchmark = "all,diag,sub,super,form,rhythm",
    .defaults = "aggregation=max input.rate_hz=100 input.seconds=2.5 input.normalization=global "
                "input.windows=overlap",
    .probe = ptbxl_probe,
    .index = ptbxl_index,
    .labels = ptbxl_labels,
};
