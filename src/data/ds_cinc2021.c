/* PhysioNet/CinC Challenges 2020 and 2021: WFDB headers anywhere below the folder, with comment lines
 * "#Age: 78", "#Sex: Male", "#Dx: 426177001,164934002" (SNOMED CT codes).
 *
 * Tasks
 *   scored  the 26 classes scored in 2021 (30 codes, of which four pairs count as one), in the order of
 *           the challenge's weight table, whether or not a record here has them
 *   all     every code that occurs, in byte order; the 30 scored ones by their abbreviation, others by
 *           their code
 * Folds: from the record name, as the headers tell no patient.
 * Source: Reyna et al. 2021, doi:10.23919/CinC53138.2021.9662687; names as in SNOMED CT. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/named.h"
#include "base/str.h"
#include "data/manifest.h"

#define HEADER_BYTES_MAX ((size_t)1 << 20)
#define PROBE_HEADERS 20
#define CODE_LENGTH_MAX 64
#define CODES_MAX 64 /* of one record */
#define CLASSES_MAX 4096

struct diagnosis {
    const char *code, *name, *title;
};

/* Pairs that the challenge counts as one class stand together. */
static const struct scored_class {
    const char *name, *code, *title;
    struct diagnosis members[2];
} scored_classes[] = {
    {"AF", "164889003", "atrial fibrillation", {{"164889003", "AF", "atrial fibrillation"}}},
    {"AFL", "164890007", "atrial flutter", {{"164890007", "AFL", "atrial flutter"}}},
    {"BBB", "6374002", "bundle branch block", {{"6374002", "BBB", "bundle branch block"}}},
    {"Brady", "426627000", "bradycardia", {{"426627000", "Brady", "bradycardia"}}},
    {"CLBBB|LBBB",
     "733534002|164909002",
     "left bundle branch block, complete or unspecified",
     {{"733534002", "CLBBB", "complete left bundle branch block"},
      {"164909002", "LBBB", "left bundle branch block"}}},
    {"CRBBB|RBBB",
     "713427006|59118001",
     "right bundle branch block, complete or unspecified",
     {{"713427006", "CRBBB", "complete right bundle branch block"},
      {"59118001", "RBBB", "right bundle branch block"}}},
    {"IAVB",
     "270492004",
     "first degree atrioventricular block",
     {{"270492004", "IAVB", "first degree atrioventricular block"}}},
    {"IRBBB",
     "713426002",
     "incomplete right bundle branch block",
     {{"713426002", "IRBBB", "incomplete right bundle branch block"}}},
    {"LAD", "39732003", "left axis deviation", {{"39732003", "LAD", "left axis deviation"}}},
    {"LAnFB",
     "445118002",
     "left anterior fascicular block",
     {{"445118002", "LAnFB", "left anterior fascicular block"}}},
    {"LPR", "164947007", "prolonged PR interval", {{"164947007", "LPR", "prolonged PR interval"}}},
    {"LQRSV", "251146004", "low QRS voltages", {{"251146004", "LQRSV", "low QRS voltages"}}},
    {"LQT", "111975006", "prolonged QT interval", {{"111975006", "LQT", "prolonged QT interval"}}},
    {"NSIVCB",
     "698252002",
     "nonspecific intraventricular conduction disorder",
     {{"698252002", "NSIVCB", "nonspecific intraventricular conduction disorder"}}},
    {"NSR", "426783006", "sinus rhythm", {{"426783006", "NSR", "sinus rhythm"}}},
    {"PAC|SVPB",
     "284470004|63593006",
     "premature atrial or supraventricular beats",
     {{"284470004", "PAC", "premature atrial contraction"},
      {"63593006", "SVPB", "supraventricular premature beats"}}},
    {"PR", "10370003", "pacing rhythm", {{"10370003", "PR", "pacing rhythm"}}},
    {"PRWP",
     "365413008",
     "poor R wave progression",
     {{"365413008", "PRWP", "poor R wave progression"}}},
    {"PVC|VPB",
     "427172004|17338001",
     "premature ventricular beats",
     {{"427172004", "PVC", "premature ventricular contractions"},
      {"17338001", "VPB", "ventricular premature beats"}}},
    {"QAb", "164917005", "abnormal Q wave", {{"164917005", "QAb", "abnormal Q wave"}}},
    {"RAD", "47665007", "right axis deviation", {{"47665007", "RAD", "right axis deviation"}}},
    {"SA", "427393009", "sinus arrhythmia", {{"427393009", "SA", "sinus arrhythmia"}}},
    {"SB", "426177001", "sinus bradycardia", {{"426177001", "SB", "sinus bradycardia"}}},
    {"STach", "427084000", "sinus tachycardia", {{"427084000", "STach", "sinus tachycardia"}}},
    {"TAb", "164934002", "abnormal T wave", {{"164934002", "TAb", "abnormal T wave"}}},
    {"TInv", "59931005", "inverted T wave", {{"59931005", "TInv", "inverted T wave"}}},
};
#define SCORED_COUNT (int64_t)(sizeof scored_classes / sizeof *scored_classes)

/* The scored class of a code and what it says of it; -1 if it is not scored. */
static int64_t scored_find(const char *code, const struct diagnosis **diagnosis)
{
    for (int64_t k = 0; k < SCORED_COUNT; k++)
        for (int i = 0; i < 2; i++) {
            const struct diagnosis *d = &scored_classes[k].members[i];
            if (d->code && strcmp(d->code, code) == 0) {
                *diagnosis = d;
                return k;
            }
        }
    return -1;
}

static bool is_header(const char *path) { return strcmp(path_extension(path), "hea") == 0; }

/* The value of a comment line "#Name: value" or "# Name: value"; NULL if it is another line. */
static char *comment_value(char *line, const char *name)
{
    size_t n = strlen(name);
    if (*line != '#')
        return NULL;
    line += 1 + strspn(line + 1, " \t");
    char kept = strlen(line) > n ? line[n] : '\0';
    if (kept != ':')
        return NULL;
    line[n] = '\0';
    bool same = str_equal_nocase(line, name);
    line[n] = kept;
    return same ? str_trim(line + n + 1) : NULL;
}

/* Calls for each line of a header in place; false at the end. */
static bool line_next(char **at, char **line)
{
    if (**at == '\0')
        return false;
    *line = *at;
    size_t n = strcspn(*at, "\n");
    *at += n + ((*at)[n] == '\n');
    if (n > 0 && (*line)[n - 1] == '\r')
        (*line)[n - 1] = '\0';
    (*line)[n] = '\0';
    return true;
}

static int cinc2021_probe(const char *root)
{
    struct arena scratch;
    struct err ignored = {0};
    char **paths;
    int64_t count;
    int score = 0;
    arena_init(&scratch, "probe", 0);
    if (folder_walk(root, &scratch, is_header, PROBE_HEADERS, &paths, &count, &ignored) == ERR_OK)
        for (int64_t i = 0; i < count && score == 0; i++) {
            struct buf text = {0};
            char *path = path_join(&scratch, root, paths[i]), *line;
            if (path && file_read(path, HEADER_BYTES_MAX, &text, &ignored) == ERR_OK && text.data)
                for (char *at = text.data; score == 0 && line_next(&at, &line);)
                    score = comment_value(line, "Dx") ? 80 : 0;
            buf_free(&text);
        }
    arena_reset(&scratch);
    return score;
}

static enum err_code codes_split(struct manifest *m, char *list, struct manifest_entry *entry,
                                 struct err *e)
{
    struct manifest_code *codes = arena_push_array(&m->arena, CODES_MAX, sizeof *codes);
    if (!codes)
        FAIL(e, ERR_MEMORY, "out of memory");
    entry->codes = codes;
    while (list) {
        char *comma = strchr(list, ',');
        if (comma)
            *comma = '\0';
        char *code = str_trim(list);
        list = comma ? comma + 1 : NULL;
        if (code[0] == '\0' || str_equal_nocase(code, "unknown"))
            continue;
        if (entry->code_count == CODES_MAX || strlen(code) > CODE_LENGTH_MAX) {
            manifest_problem_add(m, entry->id, "bad-codes",
                                 "#Dx has more than %d codes or one of "
                                 "more than %d letters: kept without the rest",
                                 CODES_MAX, CODE_LENGTH_MAX);
            return ERR_OK;
        }
        const char *kept = arena_strdup(&m->arena, code);
        if (!kept)
            FAIL(e, ERR_MEMORY, "out of memory");
        codes[entry->code_count++] = (struct manifest_code){kept, 100.0};
    }
    return ERR_OK;
}

static enum err_code header_read(struct manifest *m, struct manifest_entry *entry, struct err *e)
{
    struct buf text = {0};
    struct err why = {0};
    enum err_code code = ERR_OK;
    bool has_codes = false;
    if (file_read(entry->path, HEADER_BYTES_MAX, &text, &why) != ERR_OK) {
        manifest_problem_add(m, entry->id, err_code_name(why.code), "%s", why.message);
        buf_free(&text);
        return ERR_OK; /* the record itself will be refused when it is read */
    }
    char *line, *value;
    for (char *at = text.data; at && code == ERR_OK && line_next(&at, &line);) {
        if ((value = comment_value(line, "Age")))
            entry->age_years = age_parse(value);
        else if ((value = comment_value(line, "Sex")))
            entry->sex = sex_parse(value);
        else if (!has_codes && (value = comment_value(line, "Dx"))) {
            has_codes = true;
            code = codes_split(m, value, entry, e);
        }
    }
    if (code == ERR_OK && !has_codes)
        manifest_problem_add(m, entry->id, "no-labels",
                             "the header has no #Dx line: kept without "
                             "labels");
    buf_free(&text);
    return code;
}

static enum err_code cinc2021_index(const char *root, const struct manifest_options *options,
                                    struct manifest *m, struct err *e)
{
    char **paths;
    int64_t count;
    (void)options;
    m->title = "PhysioNet/CinC Challenge 2020/2021";
    m->label_note = "folds: from the record name; labels: SNOMED CT codes of #Dx";
    TRY(folder_walk(root, &m->arena, is_header, 0, &paths, &count, e));
    for (int64_t i = 0; i < count; i++) {
        struct manifest_entry *entry = manifest_entry_add(m);
        if (!entry)
            FAIL(e, ERR_MEMORY, "%s: out of memory", root);
        entry->id = path_stem(&m->arena, path_name(paths[i]));
        entry->path = path_join(&m->arena, root, paths[i]);
        if (!entry->id || !entry->path)
            FAIL(e, ERR_MEMORY, "%s: out of memory", root);
        entry->fold = fold_from_id(entry->id);
        TRY(header_read(m, entry, e));
    }
    return ERR_OK;
}

static enum err_code scored_labels(struct manifest *m, struct label_set *out, struct err *e)
{
    TRY(labels_allocate(m, SCORED_COUNT, out, e));
    for (int64_t k = 0; k < SCORED_COUNT; k++) {
        out->class_names[k] = scored_classes[k].name;
        out->class_codes[k] = scored_classes[k].code;
        out->class_titles[k] = scored_classes[k].title;
    }
    for (int64_t i = 0; i < m->count; i++)
        for (int64_t c = 0; c < m->entries[i].code_count; c++) {
            const struct diagnosis *d;
            int64_t k = scored_find(m->entries[i].codes[c].code, &d);
            if (k >= 0)
                out->targets[i * SCORED_COUNT + k] = out->labelled[i] = 1;
        }
    return ERR_OK;
}

/* The different codes of all records, sorted. *codes is freed by the caller. */
static enum err_code codes_collect(const struct manifest *m, const char ***codes, int64_t *count,
                                   struct err *e)
{
    int64_t total = 0;
    for (int64_t i = 0; i < m->count; i++)
        total += m->entries[i].code_count;
    const char **list = malloc((size_t)total * sizeof *list + 1);
    if (!list)
        FAIL(e, ERR_MEMORY, "codes of %lld records: out of memory", (long long)m->count);
    for (int64_t i = 0, n = 0; i < m->count; i++)
        for (int64_t c = 0; c < m->entries[i].code_count; c++)
            list[n++] = m->entries[i].codes[c].code;
    *codes = list;
    *count = names_distinct(list, total);
    return ERR_OK;
}

static enum err_code all_labels(struct manifest *m, struct label_set *out, struct err *e)
{
    const char **codes = NULL;
    int64_t K = 0;
    TRY(codes_collect(m, &codes, &K, e));
    enum err_code code = ERR_OK;
    if (K == 0)
        code = RAISE(e, ERR_LABELS, "no record has a code");
    else if (K > CLASSES_MAX)
        code = RAISE(e, ERR_LIMIT, "%lld different codes: at most %d classes", (long long)K,
                     CLASSES_MAX);
    else
        code = labels_allocate(m, K, out, e);
    for (int64_t k = 0; k < K && code == ERR_OK; k++) {
        const struct diagnosis *d = NULL;
        bool is_known = scored_find(codes[k], &d) >= 0;
        out->class_codes[k] = codes[k];
        out->class_names[k] = is_known ? d->name : codes[k];
        out->class_titles[k] = is_known ? d->title : codes[k];
    }
    for (int64_t i = 0; i < m->count && code == ERR_OK; i++)
        for (int64_t c = 0; c < m->entries[i].code_count; c++) {
            int64_t k = names_find(codes, K, m->entries[i].codes[c].code);
            out->targets[i * K + k] = out->labelled[i] = 1;
        }
    free(codes);
    return code;
}

static enum err_code cinc2021_labels(struct manifest *m, const char *task, struct label_set *out,
                                     struct err *e)
{
    out->code_system = "snomed-ct";
    return strcmp(task, "scored") == 0 ? scored_labels(m, out, e) : all_labels(m, out, e);
}

const struct dataset dataset_cinc2021 = {
    .name = "cinc2021",
    .help = "PhysioNet/CinC 2020 and 2021: WFDB headers with #Dx SNOMED CT codes",
    .tasks = "scored|all",
    .probe = cinc2021_probe,
    .index = cinc2021_index,
    .labels = cinc2021_labels,
};
