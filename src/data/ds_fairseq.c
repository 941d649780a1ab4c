/* Data as prepared for fairseq-signals and ECG-FM, read as they lie: a folder with train.tsv, valid.tsv
 * and test.tsv (or valid_gallery.tsv and valid_probe.tsv), or such a manifest by itself. The files of a
 * manifest are recordings in any format, as a rule .mat with feats.
 *
 * A training manifest has on its first line the folder of the recordings (a path from the manifest's
 * folder, or as it is), then a line for each file:
 *   path TAB samples
 * and for identification a third field, which is taken for the patient; else the segments of a record
 * (name_0.mat, name_1.mat) are of the patient "name". A CMSC manifest has the folder,
 * the extension of the files, then
 *   prefix TAB samples TAB 0 TAB two segment numbers, one after the other ("2,3")
 * of which the recording is prefix_2.ext followed by prefix_3.ext.
 *
 * Which file a line is in is its split: fold 1 for train, 9 for valid, 10 for test; a single manifest of
 * another name has folds from the patient, or the path.
 *
 * Labels (task: labels) are looked for in the manifest's folder, in labels/ there, in labels/ beside it
 * and above it: y.npy, whose row is the number idx inside each recording's file; class names from
 * label_def.csv (column name), else label_0 and so on; weights of positives from pos_weight.txt, where a
 * class without positives has inf. Without y.npy the variable `label` of each file is taken, as older
 * scripts wrote it.
 * Source: ../shared/spec/ecg-fm.md, sections 4.2 to 4.6. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/pool.h"
#include "base/str.h"
#include "data/manifest.h"
#include "format/mat5.h"
#include "format/npy.h"

#define CLASSES_MAX 4096
#define LABEL_INFLATED_MAX ((int64_t)1 << 28) /* on each thread */

static const struct {
    const char *name;
    int fold;
} manifest_names[] = {{"train.tsv", 1},
                      {"valid.tsv", 9},
                      {"valid_gallery.tsv", 9},
                      {"valid_probe.tsv", 9},
                      {"test.tsv", 10}};
enum { NAME_COUNT = sizeof manifest_names / sizeof *manifest_names };

static bool is_tsv(const char *path)
{
    return file_exists(path) && str_equal_nocase(path_extension(path), "tsv");
}

static int fairseq_probe(const char *root)
{
    struct arena scratch;
    arena_init(&scratch, "probe", 0);
    int score = is_tsv(root) ? 90 : 0;
    for (int i = 0; i < NAME_COUNT && score == 0; i++) {
        char *path = path_join(&scratch, root, manifest_names[i].name);
        if (path && file_exists(path))
            score = 90;
    }
    arena_reset(&scratch);
    return score;
}

/* Manifests */

/* The next line without its end; NULL at the end of the text, which is changed. */
static char *line_next(char **at)
{
    char *line = *at;
    if (*line == '\0')
        return NULL;
    size_t n = strcspn(line, "\n");
    *at = line + n + (line[n] == '\n');
    line[n] = '\0';
    if (n > 0 && line[n - 1] == '\r')
        line[n - 1] = '\0';
    return line;
}

/* Cuts a line at its tabs; how many fields there are, of which the first `max` are told. */
static int fields_cut(char *line, char **fields, int max)
{
    int count = 0;
    for (char *at = line; at; count++) {
        char *tab = strchr(at, '\t');
        if (tab)
            *tab = '\0';
        if (count < max)
            fields[count] = str_trim(at);
        at = tab ? tab + 1 : NULL;
    }
    return count;
}

/* One manifest being read. */
struct reading {
    struct manifest *m;
    const char *path;      /* of the manifest */
    const char *folder;    /* of the recordings */
    const char *extension; /* of a CMSC manifest, else NULL */
    int fold;              /* 0: from the path of the record */
    int64_t line;
};

#define FAIL_MEMORY(r, e) FAIL(e, ERR_MEMORY, "%s: out of memory", (r)->path)
#define LEAVE_OUT(r, id, code, ...)                                                                \
    manifest_leave_out((r)->m, (id)[0] ? (id) : path_name((r)->path), code, __VA_ARGS__)

static enum err_code entry_add(struct reading *r, const char *id, const char *file,
                               const char *continued, const char *patient, struct err *e)
{
    struct arena *a = &r->m->arena;
    struct manifest_entry *entry = manifest_entry_add(r->m);
    if (!entry)
        FAIL_MEMORY(r, e);
    entry->id = arena_strdup(a, id);
    entry->path = path_join(a, r->folder, file);
    entry->continued = continued ? path_join(a, r->folder, continued) : NULL;
    entry->patient = patient ? id_normalize(a, patient) : NULL;
    if (!entry->id || !entry->path || (continued && !entry->continued) ||
        (patient && !entry->patient))
        FAIL_MEMORY(r, e);
    entry->fold = r->fold ? r->fold : fold_from_id(patient ? patient : id);
    return ERR_OK;
}

/* path, samples and perhaps a patient. */
static enum err_code file_line(struct reading *r, char *line, struct err *e)
{
    char *fields[3];
    int count = fields_cut(line, fields, 3);
    int64_t samples;
    if (count < 2 || count > 3 || !str_to_i64(fields[1], &samples) || samples < 0 ||
        !path_is_contained(fields[0])) {
        LEAVE_OUT(r, fields[0], "bad-line",
                  "%s line %" PRId64 ": expected a path inside the folder and the samples, "
                  "separated by a tab",
                  path_name(r->path), r->line);
        return ERR_OK;
    }
    char *id = path_stem(&r->m->arena, fields[0]);
    if (!id)
        FAIL_MEMORY(r, e);
    bool is_told = count == 3 && fields[2][0];
    return entry_add(r, id, fields[0], NULL,
                     is_told ? fields[2] : id_of_segmented(&r->m->arena, fields[0], id), e);
}

/* "2,3": two numbers, one after the other. */
static bool segments_parse(char *text, int64_t *first)
{
    char *comma = strchr(text, ',');
    int64_t second;
    if (!comma)
        return false;
    *comma = '\0';
    return str_to_i64(str_trim(text), first) && str_to_i64(str_trim(comma + 1), &second) &&
           *first >= 0 && *first < INT32_MAX && second == *first + 1;
}

/* prefix, samples, 0 and two segments. */
static enum err_code pair_line(struct reading *r, char *line, struct err *e)
{
    char *fields[4];
    int64_t samples, zero, first;
    int count = fields_cut(line, fields, 4);
    if (count != 4 || !str_to_i64(fields[1], &samples) || !str_to_i64(fields[2], &zero) ||
        !path_is_contained(fields[0]) || !segments_parse(fields[3], &first)) {
        LEAVE_OUT(r, fields[0], "bad-line",
                  "%s line %" PRId64
                  ": expected a prefix inside the folder, the samples, 0 and two "
                  "segments one after the other",
                  path_name(r->path), r->line);
        return ERR_OK;
    }
    struct arena *a = &r->m->arena;
    char *id = arena_printf(a, "%s_%" PRId64 "_%" PRId64, fields[0], first, first + 1);
    char *file = arena_printf(a, "%s_%" PRId64 ".%s", fields[0], first, r->extension);
    char *next = arena_printf(a, "%s_%" PRId64 ".%s", fields[0], first + 1, r->extension);
    if (!id || !file || !next)
        FAIL_MEMORY(r, e);
    return entry_add(r, id, file, next, fields[0], e);
}

/* The folder that the first line names: from the manifest's, or as it is. */
static enum err_code folder_find(struct reading *r, char *line, struct err *e)
{
    struct arena *a = &r->m->arena;
    char *name = str_trim(line), *own = path_folder(a, r->path);
    char *inside = own ? path_join(a, own, name) : NULL;
    if (!own || !inside)
        FAIL_MEMORY(r, e);
    r->folder = dir_exists(inside) ? inside : arena_strdup(a, name);
    if (!r->folder)
        FAIL_MEMORY(r, e);
    if (!dir_exists(r->folder))
        FAIL(e, ERR_NOT_FOUND,
             "%s line 1: there is no folder \"%.200s\": if the recordings were moved, this line "
             "must say where to",
             r->path, name);
    return ERR_OK;
}

static enum err_code manifest_parse(struct reading *r, char *text, struct err *e)
{
    char *at = text, *line = line_next(&at);
    if (!line)
        FAIL(e, ERR_FORMAT, "%s: the file is empty", r->path);
    TRY(folder_find(r, line, e));
    if (r->m->count == 0)
        r->m->root = r->folder; /* what the hash of the data set leaves aside */
    for (r->line = 2; (line = line_next(&at)); r->line++) {
        bool is_empty = line[strspn(line, " \t")] == '\0';
        if (r->line == 2 && !is_empty && !strchr(line, '\t')) {
            r->extension = arena_strdup(&r->m->arena, str_trim(line));
            if (!r->extension)
                FAIL_MEMORY(r, e);
            if (strlen(r->extension) > 16 || strpbrk(r->extension, "/\\. "))
                FAIL(e, ERR_FORMAT,
                     "%s line 2: expected \"path<TAB>samples\", or an extension such as mat",
                     r->path);
        } else if (!is_empty) {
            TRY(r->extension ? pair_line(r, line, e) : file_line(r, line, e));
        }
    }
    return ERR_OK;
}

static enum err_code manifest_add(struct manifest *m, const char *path, int fold, struct err *e)
{
    struct reading r = {.m = m, .path = path, .fold = fold};
    struct buf text;
    enum err_code code = file_read(path, TABLE_BYTES_MAX, &text, e);
    if (code == ERR_OK && text.len > 0 && memchr(text.data, '\0', text.len))
        code = RAISE(e, ERR_FORMAT, "%s: no text: it holds a NUL byte", path);
    static char nothing[1];
    if (code == ERR_OK)
        code = manifest_parse(&r, text.len > 0 ? text.data : nothing, e);
    buf_free(&text);
    return code;
}

/* What the labels need to find their files. */
struct detail {
    const char *folder; /* of the manifests */
};

static enum err_code fairseq_index(const char *root, const struct manifest_options *options,
                                   struct manifest *m, struct err *e)
{
    (void)options;
    struct arena *a = &m->arena;
    struct detail *detail = arena_push(a, sizeof *detail);
    m->title = "data prepared for fairseq-signals";
    m->label_note =
        "folds: which manifest a record is in (train 1, valid 9, test 10); labels: y.npy "
        "by idx, or those inside the files";
    if (detail)
        detail->folder = dir_exists(root) ? arena_strdup(a, root) : path_folder(a, root);
    if (!detail || !detail->folder)
        FAIL(e, ERR_MEMORY, "%s: out of memory", root);
    m->detail = detail;
    if (!dir_exists(root)) {
        const char *name = path_name(root);
        int fold = str_starts_with(name, "train")   ? 1
                   : str_starts_with(name, "valid") ? 9
                   : str_starts_with(name, "test")  ? 10
                                                    : 0;
        return manifest_add(m, root, fold, e);
    }
    bool any = false;
    for (int i = 0; i < NAME_COUNT; i++) {
        char *path = path_join(a, root, manifest_names[i].name);
        if (!path)
            FAIL(e, ERR_MEMORY, "%s: out of memory", root);
        if (!file_exists(path))
            continue;
        any = true;
        TRY(manifest_add(m, path, manifest_names[i].fold, e));
    }
    if (!any)
        FAIL(e, ERR_FORMAT, "%s: no train.tsv, valid.tsv or test.tsv", root);
    return ERR_OK;
}

/* Labels */

/* What a recording's file says of its labels; filled by one thread. */
struct told {
    int64_t idx;     /* -1: none */
    int64_t count;   /* of labels inside the file; -1: none */
    uint8_t *labels; /* malloc */
    char *why;       /* it cannot be read, or its labels cannot; malloc */
};

struct asking {
    const struct manifest *m;
    struct told *told; /* [m->count] */
};

static void label_take(const struct mat5 *file, struct told *t)
{
    const struct mat5_array *label = mat5_find(file, "label");
    t->count = -1;
    if (!label || !mat5_is_number(label) || label->count < 1 || label->count > CLASSES_MAX)
        return;
    t->labels = malloc((size_t)label->count);
    for (int64_t k = 0; t->labels && k < label->count; k++) {
        double value = mat5_value(label, k);
        if (value != 0.0 && value != 1.0) {
            t->why = strdup("a value of label is neither 0 nor 1");
            return;
        }
        t->labels[k] = value != 0.0;
    }
    if (t->labels)
        t->count = label->count;
}

static void entry_ask(void *context, int64_t i)
{
    struct asking *asking = context;
    struct told *t = &asking->told[i];
    struct mat5 file;
    struct err e = {0};
    double idx;
    t->idx = -1;
    t->count = -1;
    if (mat5_open(&file, asking->m->entries[i].path, LABEL_INFLATED_MAX, &e) != ERR_OK) {
        t->why = strdup(e.message);
        return;
    }
    if (mat5_scalar(mat5_find(&file, "idx"), &idx) && idx >= 0 && idx < 0x1p53 && idx == floor(idx))
        t->idx = (int64_t)idx;
    label_take(&file, t);
    mat5_close(&file);
}

/* Where the tables of the labels lie: the folder that holds y.npy, or else label_def.csv. */
static const char *tables_find(struct arena *a, const struct detail *d)
{
    static const char *const places[] = {"", "labels", "../labels", ".."};
    static const char *const names[] = {"y.npy", "label_def.csv"};
    for (int n = 0; n < 2; n++)
        for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
            const char *folder = places[i][0] ? path_join(a, d->folder, places[i]) : d->folder;
            char *path = folder ? path_join(a, folder, names[n]) : NULL;
            if (path && file_exists(path))
                return folder;
        }
    return d->folder;
}

/* Names of K classes from label_def.csv; NULL where there is none. */
static enum err_code names_read(struct manifest *m, const char *folder, int64_t K,
                                const char ***names, struct err *e)
{
    struct csv table = {0};
    char *path = path_join(&m->arena, folder, "label_def.csv");
    *names = NULL;
    if (!path)
        FAIL(e, ERR_MEMORY, "out of memory");
    if (!file_exists(path))
        return ERR_OK;
    enum err_code code = csv_read(path, TABLE_BYTES_MAX, &table, e);
    int64_t column = code == ERR_OK ? csv_column(&table, "name") : -1;
    if (code == ERR_OK && column < 0)
        code = RAISE(e, ERR_FORMAT, "%s: there is no column \"name\"", path);
    if (code == ERR_OK && table.row_count != K)
        code = RAISE(e, ERR_LABELS, "%s names %" PRId64 " classes, the labels have %" PRId64, path,
                     table.row_count, K);
    const char **list = arena_push_array(&m->arena, (size_t)K, sizeof *list);
    for (int64_t k = 0; code == ERR_OK && k < K; k++) {
        const char *name = csv_cell(&table, k, column);
        bool twice = false;
        for (int64_t i = 0; list && i < k; i++)
            twice = twice || strcmp(list[i], name) == 0;
        if (!list || !(list[k] = arena_strdup(&m->arena, name)))
            code = RAISE(e, ERR_MEMORY, "out of memory");
        else if (!name[0] || twice)
            code = RAISE(e, ERR_FORMAT, "%s line %" PRId64 ": the name is %s", path, table.lines[k],
                         twice ? "there twice" : "empty");
    }
    *names = list;
    csv_free(&table);
    return code;
}

/* "[36.796317, 0.231449, ...]": how many numbers, -1 if it is no list. Numbers beyond `max` are counted
 * only; what is none is NaN. The text is changed. */
static int64_t list_parse(char *text, double *out, int64_t max)
{
    char *at = str_trim(text);
    size_t n = strlen(at);
    int64_t count = 0;
    if (n < 2 || at[0] != '[' || at[n - 1] != ']')
        return -1;
    at[n - 1] = '\0';
    for (at++; at; count++) {
        char *comma = strchr(at, ',');
        if (comma)
            *comma = '\0';
        double value;
        bool is_number = str_to_f64(str_trim(at), true, &value);
        if (count < max)
            out[count] = is_number ? value : (double)NAN;
        at = comma ? comma + 1 : NULL;
    }
    return count;
}

/* A number for each class. A class without positives has inf, one without negatives 0: that matters only
 * to who takes them for weights. */
static enum err_code weights_read(struct manifest *m, const char *folder, int64_t K,
                                  const double **out, struct err *e)
{
    char *path = path_join(&m->arena, folder, "pos_weight.txt");
    double *weights = arena_push_array(&m->arena, (size_t)K, sizeof *weights);
    struct buf text;
    *out = NULL;
    if (!path || !weights)
        FAIL(e, ERR_MEMORY, "out of memory");
    if (!file_exists(path))
        return ERR_OK;
    enum err_code code = file_read(path, 1 << 20, &text, e);
    bool has_nul = code == ERR_OK && text.len > 0 && memchr(text.data, '\0', text.len);
    int64_t count =
        code == ERR_OK && text.len > 0 && !has_nul ? list_parse(text.data, weights, K) : -1;
    buf_free(&text);
    TRY(code);
    if (count != K)
        FAIL(e, ERR_LABELS,
             "%s: expected a list of %" PRId64 " weights, one for each class, found %" PRId64, path,
             K, count > 0 ? count : 0);
    for (int64_t k = 0; k < K; k++)
        if (!(weights[k] >= 0.0))
            FAIL(e, ERR_LABELS, "%s: weight %" PRId64 " is no number from 0", path, k + 1);
    *out = weights;
    return ERR_OK;
}

/* Targets of one record from y.npy; true if all are 0. */
static bool row_take(struct manifest *m, const struct npy *y, const struct told *t, int64_t i,
                     struct label_set *out)
{
    const char *id = m->entries[i].id;
    int64_t K = out->class_count, rows = y->shape[0];
    double values[CLASSES_MAX];
    if (t->idx < 0 || t->idx >= rows) {
        manifest_problem_add(m, id, "no-labels", "%s",
                             t->why       ? t->why
                             : t->idx < 0 ? "the file has no number idx"
                                          : "its idx is beyond the rows of y.npy");
        return false;
    }
    npy_read_f64(y, t->idx * K, K, values);
    for (int64_t k = 0; k < K; k++)
        if (values[k] != 0.0 && values[k] != 1.0) {
            manifest_problem_add(m, id, "no-labels",
                                 "row %" PRId64 " of y.npy has %g for %s: expected 0 or 1", t->idx,
                                 values[k], out->class_names[k]);
            return false;
        }
    bool any = false;
    for (int64_t k = 0; k < K; k++) {
        out->targets[i * K + k] = values[k] != 0.0;
        any = any || values[k] != 0.0;
    }
    out->labelled[i] = 1;
    return !any;
}

/* Targets of one record from its own file. */
static void own_take(struct manifest *m, const struct told *t, int64_t i, struct label_set *out)
{
    int64_t K = out->class_count;
    if (t->count == K) {
        memcpy(out->targets + i * K, t->labels, (size_t)K);
        out->labelled[i] = 1;
        return;
    }
    manifest_problem_add(m, m->entries[i].id, "no-labels", "%s",
                         t->why         ? t->why
                         : t->count < 0 ? "the file has no labels"
                                        : "the file has another number of labels than others");
}

static enum err_code labels_fill(struct manifest *m, const char *folder, const struct npy *y,
                                 const struct told *told, struct label_set *out, struct err *e)
{
    int64_t K = y ? (y->rank == 2 ? y->shape[1] : 1) : 0;
    for (int64_t i = 0; !y && i < m->count && K == 0; i++)
        K = told[i].count > 0 ? told[i].count : 0;
    if (K < 1)
        FAIL(e, ERR_LABELS,
             "no labels: there is no y.npy in or beside %s, and no `label` in the files", folder);
    if (K > CLASSES_MAX)
        FAIL(e, ERR_LIMIT, "%" PRId64 " classes: at most %d", K, CLASSES_MAX);
    const char **names;
    TRY(names_read(m, folder, K, &names, e));
    TRY(labels_allocate(m, K, out, e));
    out->code_system = "local";
    for (int64_t k = 0; k < K; k++) {
        out->class_names[k] = names ? names[k] : arena_printf(&m->arena, "label_%" PRId64, k);
        if (!out->class_names[k])
            FAIL(e, ERR_MEMORY, "out of memory");
        out->class_codes[k] = out->class_titles[k] = out->class_names[k];
    }
    TRY(weights_read(m, folder, K, &out->positive_weights, e));
    int64_t empty = 0;
    for (int64_t i = 0; i < m->count; i++)
        if (y)
            empty += row_take(m, y, &told[i], i, out);
        else
            own_take(m, &told[i], i, out);
    if (empty > 0)
        manifest_problem_add(
            m, "y.npy", "no-positives",
            "%" PRId64 " of %" PRId64 " records have a row of zeros: taken as "
            "labelled with none, although records without labels are stored so too",
            empty, m->count);
    return ERR_OK;
}

static enum err_code fairseq_labels(struct manifest *m, const char *task, struct label_set *out,
                                    struct err *e)
{
    (void)task;
    const char *folder = tables_find(&m->arena, m->detail);
    char *path = path_join(&m->arena, folder, "y.npy");
    struct npy y = {0};
    if (!path)
        FAIL(e, ERR_MEMORY, "out of memory");
    bool has_table = file_exists(path);
    if (has_table)
        TRY(npy_open(&y, path, e));
    enum err_code code = ERR_OK;
    if (has_table && (y.rank < 1 || y.rank > 2))
        code =
            RAISE(e, ERR_LABELS, "%s has %d dimensions: expected records by classes", path, y.rank);
    struct told *told = calloc((size_t)m->count + 1, sizeof *told);
    if (code == ERR_OK && !told)
        code = RAISE(e, ERR_MEMORY, "%" PRId64 " records: out of memory", m->count);
    if (code == ERR_OK) {
        struct asking asking = {m, told};
        pool_for(cpu_count(), m->count, entry_ask, &asking);
        code = labels_fill(m, folder, has_table ? &y : NULL, told, out, e);
    }
    for (int64_t i = 0; told && i < m->count; i++) {
        free(told[i].labels);
        free(told[i].why);
    }
    free(told);
    npy_close(&y);
    return code;
}

const struct dataset dataset_fairseq = {
    .name = "fairseq",
    .help = "manifests (.tsv) of data prepared for fairseq-signals and ECG-FM",
    .tasks = "labels",
    .probe = fairseq_probe,
    .index = fairseq_index,
    .labels = fairseq_labels,
};
