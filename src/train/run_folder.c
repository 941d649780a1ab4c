#include "train/run_folder.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"

static const char *const own_files[] = {
    "config.json",  "metrics.jsonl",     "checkpoint.safetensors",
    "log.txt",      "model.safetensors", "adapter.safetensors",
    "metrics.json", "predictions.csv",   "quarantine.csv",
    "split.csv",    "report.html",       "table.json",
    "table.md",     "table.csv",         NULL};

static enum err_code file_remove(struct run_folder *run, const char *name, struct err *e)
{
    const char *path = run_path(run, name);
    if (unlink(path) != 0 && errno != ENOENT && errno != ENOTDIR)
        FAIL(e, ERR_IO, "cannot remove %s: %s", path, strerror(errno));
    return ERR_OK;
}

/* The folder stays if others put something else there. */
static enum err_code plots_remove(struct run_folder *run, struct err *e)
{
    const char *folder = run_path(run, "plots");
    char **names;
    int64_t count;
    if (!dir_exists(folder))
        return ERR_OK;
    TRY(dir_list(folder, &run->arena, &names, &count, e));
    for (int64_t i = 0; i < count; i++)
        if (strcmp(path_extension(names[i]), "svg") == 0)
            TRY(file_remove(run, path_join(&run->arena, "plots", names[i]), e));
    rmdir(folder);
    return ERR_OK;
}

enum err_code run_folder_open(struct run_folder *run, const char *path, bool fresh, struct err *e)
{
    memset(run, 0, sizeof *run);
    run->lock = -1;
    arena_init(&run->arena, "run folder", 0);
    run->path = arena_strdup(&run->arena, path);
    TRY(dir_create(path, e));
    run->lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (run->lock < 0)
        FAIL(e, ERR_IO, "run folder %s: %s", path, strerror(errno));
    if (flock(run->lock, LOCK_EX | LOCK_NB) != 0)
        FAIL(e, ERR_USAGE, "run folder %s: another process is working in it", path);
    dir_remove_temporaries(path);
    dir_remove_temporaries(run_path(run, "plots"));
    for (int i = 0; fresh && own_files[i]; i++)
        TRY(file_remove(run, own_files[i], e));
    if (fresh)
        TRY(plots_remove(run, e));
    return ERR_OK;
}

void run_folder_close(struct run_folder *run)
{
    if (run->metrics)
        fclose(run->metrics);
    if (run->path && run->lock >= 0)
        close(run->lock);
    arena_reset(&run->arena);
    memset(run, 0, sizeof *run);
}

const char *run_path(struct run_folder *run, const char *name)
{
    return path_join(&run->arena, run->path, name);
}

bool run_has(struct run_folder *run, const char *name) { return file_exists(run_path(run, name)); }

enum err_code run_write_json(struct run_folder *run, const char *name, const struct cJSON *value,
                             struct err *e)
{
    struct buf text;
    buf_init(&text, 0);
    json_print(value, true, &text);
    buf_puts(&text, "\n");
    enum err_code code = text.failed
                             ? RAISE(e, ERR_MEMORY, "no memory for %s", name)
                             : file_write_atomic(run_path(run, name), text.data, text.len, e);
    buf_free(&text);
    return code;
}

enum err_code run_metrics_open(struct run_folder *run, long keep_bytes, struct err *e)
{
    const char *path = run_path(run, "metrics.jsonl");
    int64_t found = file_exists(path) ? file_size(path) : 0;
    if (found < keep_bytes)
        FAIL(e, ERR_FORMAT,
             "%s: the checkpoint knows of %ld bytes, found %lld; --fresh starts again", path,
             keep_bytes, (long long)found);
    if (found > keep_bytes && truncate(path, keep_bytes) != 0)
        FAIL(e, ERR_IO, "cannot cut %s: %s", path, strerror(errno));
    run->metrics = fopen(path, "ae");
    if (!run->metrics)
        FAIL(e, ERR_IO, "cannot write %s: %s", path, strerror(errno));
    return ERR_OK;
}

enum err_code run_metrics_append(struct run_folder *run, const struct cJSON *line, struct err *e)
{
    struct buf text;
    buf_init(&text, 0);
    json_print(line, false, &text);
    buf_puts(&text, "\n");
    bool good = !text.failed && fwrite(text.data, 1, text.len, run->metrics) == text.len &&
                fflush(run->metrics) == 0;
    buf_free(&text);
    if (!good)
        FAIL(e, ERR_IO, "cannot write %s/metrics.jsonl: %s", run->path, strerror(errno));
    return ERR_OK;
}

enum err_code run_metrics_sync(struct run_folder *run, long *bytes, struct err *e)
{
    if (fflush(run->metrics) != 0 || fsync(fileno(run->metrics)) != 0)
        FAIL(e, ERR_IO, "cannot write %s/metrics.jsonl: %s", run->path, strerror(errno));
    *bytes = (long)file_size(run_path(run, "metrics.jsonl"));
    return ERR_OK;
}

void run_log(struct run_folder *run, const char *format, ...)
{
    FILE *f = fopen(run_path(run, "log.txt"), "ae");
    if (!f)
        return;
    time_t now = time(NULL);
    struct tm tm;
    char stamp[32] = "";
    if (gmtime_r(&now, &tm))
        strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &tm);
    fprintf(f, "%s ", stamp);
    va_list args;
    va_start(args, format);
    vfprintf(f, format, args);
    va_end(args);
    fputc('\n', f);
    fclose(f);
}
