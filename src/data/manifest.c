#define _GNU_SOURCE /* struct stat, vsnprintf */
#include "data/manifest.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/shapes.h"
#include "base/str.h"

#define WALK_DEPTH_MAX 16
#define WALK_FILES_MAX (INT64_C(8) << 20)
#define TALLY_MAX 1000

/* Arena arrays grow by doubling; what is left behind is freed with the arena. */
static void *arena_grow(struct arena *a, void *array, int64_t count, int64_t *cap, size_t size)
{
    if (count < *cap)
        return array;
    int64_t wanted = *cap < 64 ? 64 : *cap * 2;
    void *bigger = arena_push_array(a, (size_t)wanted, size);
    if (!bigger)
        return NULL;
    if (count > 0)
        memcpy(bigger, array, (size_t)count * size);
    *cap = wanted;
    return bigger;
}

const char *csv_optional(const struct csv *t, int64_t row, int64_t column)
{
    return column < 0 ? "" : csv_cell(t, row, column);
}

struct manifest_entry *manifest_entry_add(struct manifest *m)
{
    struct manifest_entry *entries =
        arena_grow(&m->arena, m->entries, m->count, &m->cap, sizeof *entries);
    if (!entries)
        return NULL;
    m->entries = entries;
    struct manifest_entry *entry = &entries[m->count++];
    *entry = (struct manifest_entry){.age_years = NAN, .sex = SEX_UNKNOWN};
    return entry;
}

/* A copy fit for a terminal and a table of lines: control characters become '?'. */
static const char *clean_copy(struct arena *a, const char *text)
{
    char *copy = arena_strdup(a, text);
    for (char *p = copy; p && *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = '?';
    return copy;
}

void manifest_problem_add(struct manifest *m, const char *id, const char *code, const char *format,
                          ...)
{
    char reason[512];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    struct manifest_problem *problems =
        arena_grow(&m->arena, m->problems, m->problem_count, &m->problem_cap, sizeof *problems);
    const char *kept[3] = {clean_copy(&m->arena, id), clean_copy(&m->arena, code),
                           clean_copy(&m->arena, reason)};
    ASSERT(problems && kept[0] && kept[1] && kept[2], "out of memory while noting a problem of %s",
           id); /* a problem must not be lost silently */
    m->problems = problems;
    problems[m->problem_count++] = (struct manifest_problem){kept[0], kept[1], kept[2]};
}

enum err_code labels_allocate(struct manifest *m, int64_t class_count, struct label_set *out,
                              struct err *e)
{
    int64_t values;
    if (!mul_i64(m->count, class_count, &values) || values > (INT64_C(1) << 34))
        FAIL(e, ERR_LIMIT, "%lld records with %lld classes: too large", (long long)m->count,
             (long long)class_count);
    out->class_count = class_count;
    out->class_names = arena_push_array(&m->arena, (size_t)class_count, sizeof(char *));
    out->class_codes = arena_push_array(&m->arena, (size_t)class_count, sizeof(char *));
    out->class_titles = arena_push_array(&m->arena, (size_t)class_count, sizeof(char *));
    out->targets = arena_push_array(&m->arena, (size_t)values, 1);
    out->labelled = arena_push_array(&m->arena, (size_t)m->count, 1);
    if (!out->class_names || !out->class_codes || !out->class_titles || !out->targets ||
        !out->labelled)
        FAIL(e, ERR_MEMORY, "labels of %lld records: out of memory", (long long)m->count);
    return ERR_OK;
}

void tally_add(struct tally *t, struct arena *a, const char *key, const char *id)
{
    for (int64_t i = 0; i < t->count; i++)
        if (strcmp(t->entries[i].key, key) == 0) {
            t->entries[i].count++;
            return;
        }
    if (t->count >= TALLY_MAX) {
        t->more++;
        return;
    }
    struct tally_entry *entries = arena_grow(a, t->entries, t->count, &t->cap, sizeof *entries);
    ASSERT(entries != NULL, "out of memory while counting %s", key);
    t->entries = entries;
    entries[t->count++] = (struct tally_entry){key, id, 1};
}

void tally_report_unknown(const struct tally *t, struct manifest *m, const char *table)
{
    for (int64_t i = 0; i < t->count; i++)
        manifest_problem_add(m, t->entries[i].key, "unknown-code",
                             "the code %s of %lld records "
                             "(the first is %s) is not in %s",
                             t->entries[i].key, (long long)t->entries[i].count,
                             t->entries[i].first_id, table);
    if (t->more > 0)
        manifest_problem_add(m, "...", "unknown-code", "%lld further codes are not in %s",
                             (long long)t->more, table);
}

bool fold_parse(const char *text, int *out)
{
    double value;
    if (!str_to_f64(text, false, &value) || !(value >= 1.0 && value <= 10.0) ||
        value != floor(value))
        return false;
    *out = (int)value;
    return true;
}

const char *id_normalize(struct arena *a, const char *text)
{
    double value;
    if (strpbrk(text, ".eE") && str_to_f64(text, false, &value) && value == floor(value) &&
        fabs(value) < 1e15)
        return arena_printf(a, "%lld", (long long)value);
    return arena_strdup(a, text);
}

const char *id_of_segmented(struct arena *a, const char *path, const char *id)
{
    size_t n = strlen(id), digits = 0;
    while (digits < n && id[n - 1 - digits] >= '0' && id[n - 1 - digits] <= '9')
        digits++;
    bool is_segment = str_equal_nocase(path_extension(path), "mat") && digits > 0 &&
                      digits + 1 < n && id[n - 1 - digits] == '_';
    return is_segment ? arena_strndup(a, id, n - 1 - digits) : NULL;
}

double age_parse(const char *text)
{
    double value;
    return str_to_f64(text, false, &value) && value >= 0.0 ? value : (double)NAN;
}

enum ecg_sex sex_parse(const char *text)
{
    if (str_equal_nocase(text, "male") || str_equal_nocase(text, "m"))
        return SEX_MALE;
    if (str_equal_nocase(text, "female") || str_equal_nocase(text, "f"))
        return SEX_FEMALE;
    return SEX_UNKNOWN;
}

/* Walking */

struct walk {
    const char *root;
    struct arena *arena;
    bool (*wanted)(const char *path);
    int64_t limit, count, cap;
    char **paths;
    struct {
        dev_t device;
        ino_t inode;
    } above[WALK_DEPTH_MAX]; /* folders on the way down: a link back to one would never end */
};

static enum err_code walk_folder(struct walk *w, const char *folder, int depth, struct err *e)
{
    char **names;
    int64_t count;
    struct stat info;
    char *full = folder[0] ? path_join(w->arena, w->root, folder) : arena_strdup(w->arena, w->root);
    if (!full)
        FAIL(e, ERR_MEMORY, "listing %s: out of memory", w->root);
    if (depth >= WALK_DEPTH_MAX)
        FAIL(e, ERR_LIMIT, "%s: more than %d levels of folders", full, WALK_DEPTH_MAX);
    if (stat(full, &info) != 0)
        FAIL(e, ERR_IO, "%s: cannot be examined", full);
    for (int i = 0; i < depth; i++)
        if (w->above[i].device == info.st_dev && w->above[i].inode == info.st_ino)
            return ERR_OK;
    w->above[depth].device = info.st_dev;
    w->above[depth].inode = info.st_ino;
    TRY(dir_list(full, w->arena, &names, &count, e));

    bool *is_folder = calloc((size_t)count + 1, sizeof *is_folder);
    if (!is_folder)
        FAIL(e, ERR_MEMORY, "listing %s: out of memory", full);
    enum err_code code = ERR_OK;
    for (int pass = 0; pass < 2; pass++)
        for (int64_t i = 0; i < count && code == ERR_OK; i++) {
            if (names[i][0] == '.' || (pass == 1 && !is_folder[i]) ||
                (w->limit > 0 && w->count >= w->limit))
                continue;
            char *path = folder[0] ? path_join(w->arena, folder, names[i]) : names[i];
            char *inner = path_join(w->arena, full, names[i]);
            if (!path || !inner) {
                code = RAISE(e, ERR_MEMORY, "listing %s: out of memory", full);
            } else if (pass == 1) {
                code = walk_folder(w, path, depth + 1, e);
            } else if (!w->wanted(inner)) {
                is_folder[i] = dir_exists(inner);
            } else {
                char **paths = arena_grow(w->arena, w->paths, w->count, &w->cap, sizeof *paths);
                if (!paths || w->count >= WALK_FILES_MAX) {
                    code = RAISE(e, paths ? ERR_LIMIT : ERR_MEMORY, "%s: too many files", w->root);
                } else {
                    w->paths = paths;
                    paths[w->count++] = path;
                }
            }
        }
    free(is_folder);
    return code;
}

enum err_code folder_walk(const char *root, struct arena *a, bool (*wanted)(const char *path),
                          int64_t limit, char ***paths, int64_t *count, struct err *e)
{
    struct walk w = {.root = root, .arena = a, .wanted = wanted, .limit = limit};
    *paths = NULL;
    *count = 0;
    TRY(walk_folder(&w, "", 0, e));
    *paths = w.paths;
    *count = w.count;
    return ERR_OK;
}
