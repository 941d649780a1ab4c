#include "train/intake.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/file.h"
#include "format/format.h"
#include "model/scorer.h"

#define FOLDER_DEPTH_MAX 32
#define PATHS_MAX 100000000

void path_list_init(struct path_list *l)
{
    memset(l, 0, sizeof *l);
    arena_init(&l->arena, "paths", 0);
}

void path_list_free(struct path_list *l)
{
    arena_reset(&l->arena);
    free(l->paths);
    memset(l, 0, sizeof *l);
}

static enum err_code push(struct path_list *l, const char *path, struct err *e)
{
    if (l->count == PATHS_MAX)
        FAIL(e, ERR_LIMIT, "more than %d records are named", PATHS_MAX);
    if (l->count == l->cap) {
        int64_t cap = l->cap ? 2 * l->cap : 256;
        const char **grown = realloc(l->paths, (size_t)cap * sizeof *grown);
        if (!grown)
            FAIL(e, ERR_MEMORY, "no memory for %lld paths", (long long)cap);
        l->paths = grown;
        l->cap = cap;
    }
    l->paths[l->count] = arena_strdup(&l->arena, path);
    if (!l->paths[l->count])
        FAIL(e, ERR_MEMORY, "no memory for paths");
    l->count++;
    return ERR_OK;
}

static enum err_code push_folder(struct path_list *l, const char *folder, int depth, struct err *e)
{
    if (depth > FOLDER_DEPTH_MAX)
        FAIL(e, ERR_LIMIT, "%s: folders are nested deeper than %d", folder, FOLDER_DEPTH_MAX);
    char **names;
    int64_t count;
    TRY(dir_list(folder, &l->arena, &names, &count, e));
    for (int64_t i = 0; i < count; i++) {
        const char *path = path_join(&l->arena, folder, names[i]);
        struct stat st;
        if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
            TRY(push_folder(l, path, depth + 1, e));
        else if (record_path_is_candidate(path))
            TRY(push(l, path, e));
    }
    return ERR_OK;
}

enum err_code path_list_add(struct path_list *l, const char *path, struct err *e)
{
    if (dir_exists(path)) {
        int64_t before = l->count;
        TRY(push_folder(l, path, 0, e));
        return l->count > before ? ERR_OK : push(l, path, e);
    }
    if (!file_exists(path) && strpbrk(path, "*?[")) {
        glob_t found;
        if (glob(path, 0, NULL, &found) == 0) {
            enum err_code code = ERR_OK;
            for (size_t i = 0; i < found.gl_pathc && code == ERR_OK; i++)
                if (dir_exists(found.gl_pathv[i]))
                    code = push_folder(l, found.gl_pathv[i], 0, e);
                else if (found.gl_pathc == 1 || record_path_is_candidate(found.gl_pathv[i]))
                    code = push(l, found.gl_pathv[i], e);
            globfree(&found);
            return code;
        }
    }
    return push(l, path, e);
}

static enum err_code convert(struct intake *in, const struct ecg_record *record,
                             const struct contract *c, struct err *e)
{
    if (record->flags & RECORD_SHORT)
        FAIL(e, ERR_TRUNCATED, "%s",
             record->issue_count ? record->issues[0] : "fewer samples than the header declares");
    TRY(contract_apply(c, record, &in->arena, &in->x, &in->samples, e));
    if (window_count(c, in->samples) == 0)
        FAIL(e, ERR_LENGTH, "the recording has %.3f s, the model needs %.3f s",
             (double)in->samples / c->rate_hz, (double)c->sample_count / c->rate_hz);
    in->absent = contract_absent(c, record);
    return ERR_OK;
}

static void warn(struct intake *in, const struct ecg_record *record, const struct contract *c)
{
    in->warnings =
        arena_push_array(&in->arena, (size_t)record->issue_count + 1, sizeof *in->warnings);
    for (int i = 0; in->warnings && i < record->issue_count; i++)
        in->warnings[in->warning_count++] = arena_strdup(&in->arena, record->issues[i]);
    if (!in->warnings || in->absent == 0)
        return;
    struct buf text;
    buf_init(&text, 0);
    buf_puts(&text, "zeros stand for the leads that are missing:");
    for (int64_t l = 0; l < c->lead_count; l++)
        if (in->absent >> l & 1)
            buf_printf(&text, " %s", lead_name(c->leads[l]));
    in->warnings[in->warning_count++] = arena_strdup(&in->arena, text.data ? text.data : "");
    buf_free(&text);
}

void intake_read(struct intake *in, const char *path, const struct contract *contract, bool strict)
{
    memset(in, 0, sizeof *in);
    arena_init(&in->arena, "intake", 0);
    struct ecg_record record = {0};
    struct err e = {0};
    if (dir_exists(path))
        in->code = RAISE(&e, ERR_NOT_FOUND, "%s: the folder holds no records", path);
    else
        in->code = record_read(path, &(struct read_options){.strict = strict}, &record, &e);
    if (in->code == ERR_OK) {
        in->code = convert(in, &record, contract, &e);
        warn(in, &record, contract);
    }
    if (in->code != ERR_OK) {
        char text[1400];
        err_format(&e, text, sizeof text);
        in->reason = arena_strdup(&in->arena, text);
    }
    ecg_record_free(&record);
}
