#include "data/dataset.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/named.h"
#include "base/str.h"
#include "data/folds.h"
#include "data/manifest.h"
#include "data/targets.h"

#define DATASET(name) extern const struct dataset dataset_##name;
#include "data/datasets.def"
#undef DATASET

const struct dataset *const datasets[] = {
#define DATASET(name) &dataset_##name,
#include "data/datasets.def"
#undef DATASET
    NULL};

bool entry_in_split(const struct manifest_entry *entry, enum data_split split)
{
    switch (split) {
    case SPLIT_TRAIN:
        return entry->fold <= 8;
    case SPLIT_VALIDATION:
        return entry->fold == 9;
    case SPLIT_TEST:
        return entry->fold == 10;
    case SPLIT_ALL:
        break;
    }
    return true;
}

const char *split_name(enum data_split split)
{
    static const char *const names[] = {
        [SPLIT_TRAIN] = "train",
        [SPLIT_VALIDATION] = "validation",
        [SPLIT_TEST] = "test",
        [SPLIT_ALL] = "all",
    };
    return names[split];
}

int fold_from_id(const char *id)
{
    uint64_t h = str_hash64(id);
    /* The low bits of FNV follow the last letters too closely: mix before dividing. */
    h ^= h >> 33;
    h *= UINT64_C(0xff51afd7ed558ccd);
    h ^= h >> 33;
    h *= UINT64_C(0xc4ceb9fe1a85ec53);
    h ^= h >> 33;
    return (int)(h % 10) + 1;
}

enum err_code manifest_entry_read(const struct manifest_entry *entry,
                                  const struct read_options *options, struct ecg_record *out,
                                  struct err *e)
{
    TRY(record_read(entry->path, options, out, e));
    if (!entry->continued)
        return ERR_OK;
    struct ecg_record next;
    enum err_code code = record_read(entry->continued, options, &next, e);
    if (code == ERR_OK)
        code = ecg_record_append(out, &next, e);
    ecg_record_free(&next);
    return code;
}

/* After a row has filled the manifest */

/* Keeps the first entry of each id. */
static enum err_code duplicates_drop(struct manifest *m, struct err *e)
{
    struct named *ids = malloc((size_t)m->count * sizeof *ids + 1);
    bool *drop = calloc((size_t)m->count + 1, 1);
    if (!ids || !drop) {
        free(ids);
        free(drop);
        FAIL(e, ERR_MEMORY, "%lld records: out of memory", (long long)m->count);
    }
    for (int64_t i = 0; i < m->count; i++)
        ids[i] = (struct named){m->entries[i].id, i};
    named_sort(ids, m->count);
    for (int64_t i = 1; i < m->count; i++)
        drop[ids[i].index] = strcmp(ids[i].name, ids[i - 1].name) == 0;
    int64_t kept = 0;
    for (int64_t i = 0; i < m->count; i++) {
        if (drop[i])
            manifest_leave_out(m, m->entries[i].id, "duplicate-id",
                               "the id occurs again (%s): the first entry is kept",
                               m->entries[i].path);
        else
            m->entries[kept++] = m->entries[i];
    }
    m->count = kept;
    free(ids);
    free(drop);
    return ERR_OK;
}

static void missing_drop(struct manifest *m)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < m->count; i++) {
        const char *path = m->entries[i].path;
        char *header = file_exists(path) ? NULL : arena_printf(&m->arena, "%s.hea", path);
        const char *second = m->entries[i].continued;
        if (header && !file_exists(header))
            manifest_leave_out(m, m->entries[i].id, err_code_name(ERR_NOT_FOUND),
                               "no such file: %s", path);
        else if (second && !file_exists(second))
            manifest_leave_out(m, m->entries[i].id, err_code_name(ERR_NOT_FOUND),
                               "no such file: %s", second);
        else
            m->entries[kept++] = m->entries[i];
    }
    m->count = kept;
}

#define PATIENT_LEAK "patient-leak"

/* Bits of the sides of the split on which folds (bits) are. */
static unsigned sides_of(unsigned folds)
{
    unsigned sides = 0;
    for (int fold = 1; fold <= 10; fold++)
        if (folds >> fold & 1)
            sides |= 1u << (fold <= 8 ? SPLIT_TRAIN : fold == 9 ? SPLIT_VALIDATION : SPLIT_TEST);
    return sides;
}

/* "17 (records 3, 98, 112, ...)" to the end of a list; `patients` are the records of one. */
static void patient_tell(const struct manifest *m, const struct named *patients, int64_t count,
                         struct buf *out)
{
    enum { SHOWN = 3 };
    buf_printf(out, "%s%.40s (records", out->len > 0 ? ", " : "", patients[0].name);
    for (int64_t i = 0; i < count && i < SHOWN; i++)
        buf_printf(out, "%s %.40s", i > 0 ? "," : "", m->entries[patients[i].index].id);
    buf_puts(out, count > SHOWN ? ", ...)" : ")");
}

/* A patient in both train and test makes every figure look better than it is. */
static enum err_code leaks_find(struct manifest *m, struct err *e)
{
    enum { TOLD = 10 };
    struct named *patients = malloc((size_t)m->count * sizeof *patients + 1);
    struct buf text = {0};
    int64_t n = 0;
    if (!patients)
        FAIL(e, ERR_MEMORY, "%lld records: out of memory", (long long)m->count);
    for (int64_t i = 0; i < m->count; i++)
        if (m->entries[i].patient)
            patients[n++] = (struct named){m->entries[i].patient, i};
    named_sort(patients, n);
    m->split_patients = 0;
    for (int64_t i = 0, end; i < n; i = end) {
        unsigned folds = 0;
        for (end = i; end < n && strcmp(patients[end].name, patients[i].name) == 0; end++)
            folds |= 1u << m->entries[patients[end].index].fold;
        if ((folds & (folds - 1)) == 0)
            continue;
        char list[64] = "";
        for (int fold = 1, used = 0; fold <= 10; fold++)
            if (folds >> fold & 1)
                used += snprintf(list + used, sizeof list - (size_t)used, " %d", fold);
        manifest_problem_add(m, m->entries[patients[i].index].id, PATIENT_LEAK,
                             "patient %s has records in the folds%s", patients[i].name, list);
        unsigned sides = sides_of(folds);
        if ((sides & (sides - 1)) != 0 && m->split_patients++ < TOLD)
            patient_tell(m, patients + i, end - i, &text);
    }
    free(patients);
    m->split_patients_text =
        text.failed ? NULL : arena_strdup(&m->arena, text.data ? text.data : "");
    buf_free(&text);
    if (!m->split_patients_text)
        FAIL(e, ERR_MEMORY, "out of memory");
    return ERR_OK;
}

enum err_code manifest_check_patients(const struct manifest *m, bool allow, struct err *e)
{
    if (m->split_patients == 0)
        return ERR_OK;
    if (!allow)
        FAIL(e, ERR_PATIENTS,
             "%lld patients have records on more than one side of train, validation and test: "
             "%.300s%s; --allow-patient-overlap takes them as they are",
             (long long)m->split_patients, m->split_patients_text,
             m->split_patients > 10 ? ", ..." : "");
    log_warning("%lld patients have records on more than one side of train, validation and test, "
                "so figures are better than they should be: %s%s",
                (long long)m->split_patients, m->split_patients_text,
                m->split_patients > 10 ? ", ..." : "");
    return ERR_OK;
}

static uint64_t hash_text(uint64_t hash, const char *text)
{
    return bytes_hash64(text, strlen(text) + 1, hash);
}

static uint64_t manifest_hash(const struct manifest *m)
{
    uint64_t hash = hash_text(0, m->dataset->name);
    size_t root = strlen(m->root);
    for (int64_t i = 0; i < m->count; i++) {
        const struct manifest_entry *entry = &m->entries[i];
        char number[32];
        const char *path = entry->path + (str_starts_with(entry->path, m->root) ? root : 0);
        hash = hash_text(hash, entry->id);
        hash = hash_text(hash, path + strspn(path, "/"));
        snprintf(number, sizeof number, "%d", entry->fold);
        hash = hash_text(hash, number);
        for (int64_t k = 0; k < entry->code_count; k++) {
            str_from_f64(entry->codes[k].likelihood, number, sizeof number);
            hash = hash_text(hash_text(hash, entry->codes[k].code), number);
        }
    }
    return hash;
}

static bool is_marked_synthetic(const char *root)
{
    struct arena scratch;
    struct err ignored = {0};
    char **names;
    int64_t count;
    bool found = false;
    arena_init(&scratch, "listing", 0);
    if (dir_list(root, &scratch, &names, &count, &ignored) == ERR_OK)
        for (int64_t i = 0; i < count && !found; i++)
            found = str_starts_with(names[i], "SYNTHETIC");
    arena_reset(&scratch);
    return found;
}

enum err_code dataset_at(const char *root, const char *name, const struct dataset **out,
                         struct err *e)
{
    char known[256];
    int used = 0, best = 0;
    *out = NULL;
    if (!dir_exists(root) && !file_exists(root))
        FAIL(e, ERR_NOT_FOUND, "%s: no such folder", root);
    for (int i = 0; datasets[i]; i++) {
        used += snprintf(known + used, sizeof known - (size_t)used, "%s%s", i ? ", " : "",
                         datasets[i]->name);
        ASSERT(used < (int)sizeof known, "names of data sets");
        if (name) {
            if (strcmp(name, datasets[i]->name) == 0)
                *out = datasets[i];
            continue;
        }
        int score = datasets[i]->probe(root);
        if (score > best) {
            best = score;
            *out = datasets[i];
        }
    }
    if (!*out && name)
        FAIL(e, ERR_USAGE, "unknown kind of data set \"%.60s\": there are %s", name, known);
    if (!*out)
        FAIL(e, ERR_FORMAT,
             "%s: no data set is recognized here: expected the tables of PTB-XL or of a CinC "
             "challenge, a labels.csv, a train.tsv, or recordings (known are %s)",
             root, known);
    return ERR_OK;
}

enum err_code manifest_open(const char *root, const char *name,
                            const struct manifest_options *options, struct manifest *out,
                            struct err *e)
{
    static const struct manifest_options defaults = {0};
    *out = (struct manifest){0};
    arena_init(&out->arena, "manifest", 0);
    TRY(dataset_at(root, name, &out->dataset, e));
    out->root = arena_strdup(&out->arena, root);
    out->synthetic = is_marked_synthetic(root);
    if (!out->root)
        FAIL(e, ERR_MEMORY, "%s: out of memory", root);
    enum err_code code = out->dataset->index(root, options ? options : &defaults, out, e);
    if (code != ERR_OK) {
        err_context(e, "reading the data set %s (%s)", root, out->dataset->name);
        return code;
    }
    TRY(duplicates_drop(out, e));
    if (options && options->folds)
        TRY(folds_apply(options->folds, out, e));
    if (options && options->check_files)
        missing_drop(out);
    TRY(leaks_find(out, e));
    if (out->count == 0)
        FAIL(e, ERR_FORMAT, "%s: no usable record%s%s", root, out->problem_count > 0 ? ": " : "",
             out->problem_count > 0 ? out->problems[0].reason : "");
    if (out->synthetic)
        out->title = arena_printf(&out->arena, "%s (synthetic)",
                                  out->title ? out->title : out->dataset->name);
    else if (!out->title)
        out->title = out->dataset->name;
    out->hash = manifest_hash(out);
    return ERR_OK;
}

/* --- several data sets -------------------------------------------------------------------------- */

static const struct dataset several = {.name = "several",
                                       .help = "several data sets as one, without labels",
                                       .tasks = ""};

/* What the last part of a path is called; '#2' and so on where an earlier data set is called so. */
static const char *part_name(struct manifest *m, const char *const *names, int64_t count,
                             const char *root)
{
    size_t end = strlen(root);
    while (end > 1 && root[end - 1] == '/')
        end--;
    size_t start = end;
    while (start > 0 && root[start - 1] != '/')
        start--;
    const char *base = arena_strndup(&m->arena, root + start, end - start), *name = base;
    for (int64_t i = 0, same = 1; name && i < count; i++)
        if (strcmp(names[i], name) == 0) {
            name = arena_printf(&m->arena, "%s#%lld", base, (long long)++same);
            i = -1;
        }
    return name;
}

/* The entries and problems of a part, to the end of those of m. */
static bool part_append(struct manifest *m, const struct manifest *part, const char *name,
                        bool one_kind)
{
    for (int64_t i = 0; i < part->count; i++) {
        struct manifest_entry entry = part->entries[i];
        entry.id = arena_printf(&m->arena, "%s/%s", name, entry.id);
        if (entry.patient && !one_kind)
            entry.patient = arena_printf(&m->arena, "%s:%s", part->dataset->name, entry.patient);
        struct manifest_entry *to = manifest_entry_add(m);
        if (!to || !entry.id || (part->entries[i].patient && !entry.patient))
            return false;
        *to = entry;
    }
    for (int64_t i = 0; i < part->problem_count; i++) {
        const struct manifest_problem *p = &part->problems[i];
        char *id = arena_printf(&m->arena, "%s/%s", name, p->id);
        if (!id)
            return false;
        if (strcmp(p->code, PATIENT_LEAK) != 0) /* found again among all */
            manifest_problem_add(m, id, p->code, "%s", p->reason);
    }
    m->left_out += part->left_out;
    m->synthetic = m->synthetic || part->synthetic;
    return true;
}

enum err_code manifest_open_several(const char *const *roots, int64_t count, const char *name,
                                    const struct manifest_options *options, struct manifest *out,
                                    struct err *e)
{
    if (count == 1)
        return manifest_open(roots[0], name, options, out, e);
    *out = (struct manifest){.dataset = &several, .root = "", .title = "", .label_note = ""};
    arena_init(&out->arena, "manifest", 0);
    const char **names = arena_push_array(&out->arena, (size_t)count, sizeof *names);
    out->parts = arena_push_array(&out->arena, (size_t)count, sizeof *out->parts);
    bool one_kind = true, stored = names && out->parts;
    for (int64_t i = 0; stored && i < count; i++) {
        struct manifest *part = &out->parts[out->part_count++];
        TRY(manifest_open(roots[i], name, options, part, e));
        one_kind = one_kind && part->dataset == out->parts[0].dataset;
        names[i] = part_name(out, names, i, roots[i]);
        stored = names[i] != NULL;
    }
    for (int64_t i = 0; stored && i < count; i++) {
        const struct manifest *part = &out->parts[i];
        stored = part_append(out, part, names[i], one_kind);
        out->title =
            arena_printf(&out->arena, "%s%s%s", out->title, i > 0 ? " + " : "", part->title);
        stored = stored && out->title;
        char hash[20];
        snprintf(hash, sizeof hash, "%016" PRIx64, part->hash);
        out->hash = hash_text(hash_text(out->hash, names[i]), hash);
    }
    if (!stored)
        FAIL(e, ERR_MEMORY, "%lld data sets: out of memory", (long long)count);
    return leaks_find(out, e);
}

void manifest_close(struct manifest *m)
{
    for (int64_t i = 0; i < m->part_count; i++)
        manifest_close(&m->parts[i]);
    arena_reset(&m->arena);
    *m = (struct manifest){0};
}

float label_set_target(const struct label_set *set, int64_t i, int64_t k)
{
    int64_t cell = i * set->class_count + k;
    return set->values ? set->values[cell] : (float)set->targets[cell];
}

/* How many names the list "a|b" has; each is copied to out if that is there. */
static int64_t tasks_split(struct arena *a, const char *list, const char **out)
{
    int64_t count = 0;
    for (const char *at = list; *at; count++) {
        size_t n = strcspn(at, "|");
        if (out)
            out[count] = arena_strndup(a, at, n);
        ASSERT(!out || out[count], "out of memory");
        at += n + (at[n] == '|');
    }
    return count;
}

const char *const *manifest_tasks(struct manifest *m)
{
    bool sex = false, age = false;
    const char *own = m->dataset->labels ? m->dataset->tasks : "";
    int64_t count = tasks_split(&m->arena, own, NULL);
    const char **tasks = arena_push_array(&m->arena, (size_t)count + 3, sizeof *tasks);
    ASSERT(tasks, "out of memory");
    tasks_split(&m->arena, own, tasks);
    for (int64_t i = 0; i < m->count; i++) {
        sex = sex || m->entries[i].sex != SEX_UNKNOWN;
        age = age || m->entries[i].age_years < AGE_OPEN_YEARS;
    }
    if (sex)
        tasks[count++] = "sex";
    if (age)
        tasks[count++] = "age";
    tasks[count] = NULL;
    return tasks;
}

enum err_code manifest_labels(struct manifest *m, const char *task, struct label_set *out,
                              struct err *e)
{
    *out = (struct label_set){0};
    const char *own = m->dataset->labels ? m->dataset->tasks : "";
    int64_t count = tasks_split(&m->arena, own, NULL);
    const char **names = arena_push_array(&m->arena, (size_t)count + 1, sizeof *names);
    ASSERT(names, "out of memory");
    tasks_split(&m->arena, own, names);
    for (int64_t i = 0; i < count && !out->task; i++)
        if (!task || strcmp(task, names[i]) == 0)
            out->task = names[i];
    enum err_code code;
    if (out->task)
        code = m->dataset->labels(m, out->task, out, e);
    else if (task && strcmp(task, "sex") == 0)
        code = sex_labels(m, out, e);
    else if (task && strcmp(task, "age") == 0)
        code = age_labels(m, out, e);
    else if (count == 0)
        FAIL(e, ERR_LABELS,
             "%s holds no labels (it was read as \"%s\"); --targets FILE brings some", m->root,
             m->dataset->name);
    else
        FAIL(e, ERR_USAGE, "unknown task \"%.60s\" of %s: there are %s|sex|age", task ? task : "",
             m->dataset->name, own);
    if (code != ERR_OK)
        err_context(e, "labels of %s", m->root);
    return code;
}
