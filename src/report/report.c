#include "report/report.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "base/file.h"
#include "base/log.h"
#include "report/page.h"

#define PLOTS_MAX 32

static enum err_code write_text(const char *path, const struct buf *text, struct err *e)
{
    if (!path || text->failed)
        FAIL(e, ERR_MEMORY, "out of memory for a report");
    struct file_writer w;
    TRY(file_writer_open(&w, path, e));
    w.unsynced = true; /* it can be made again */
    file_writer_write(&w, text->data, text->len);
    return file_writer_commit(&w, e);
}

static enum err_code remove_old(const char *path, struct err *e)
{
    if (!path)
        FAIL(e, ERR_MEMORY, "out of memory for a report");
    if (unlink(path) != 0 && errno != ENOENT && errno != ENOTDIR)
        FAIL(e, ERR_IO, "cannot remove %s: %s", path, strerror(errno));
    return ERR_OK;
}

/* Draws each row and writes what shows something. */
static enum err_code write_plots(const struct run_files *r, struct drawn_plot *drawn, int *count,
                                 struct arena *a, struct err *e)
{
    const char *folder = path_join(a, r->path, "plots");
    struct buf svg;
    buf_init(&svg, 0);
    enum err_code code = ERR_OK;
    *count = 0;
    for (const struct plot *plot = plots; plot->name && code == ERR_OK; plot++) {
        struct drawn_plot *d = &drawn[*count];
        const char *path = arena_printf(a, "%s/plots/%s.svg", r->path, plot->name);
        *d = (struct drawn_plot){.plot = plot};
        code = plot->draw(r, &d->figure, a, e);
        if (code != ERR_OK)
            break;
        if (d->figure.panel_count == 0) {
            code = remove_old(path, e);
            continue;
        }
        buf_clear(&svg);
        figure_draw(&d->figure, true, &svg);
        code = !folder ? RAISE(e, ERR_MEMORY, "out of memory") : dir_create(folder, e);
        if (code == ERR_OK)
            code = write_text(path, &svg, e);
        ++*count;
        ASSERT(*count < PLOTS_MAX, "more plots than there is room for");
    }
    buf_free(&svg);
    return code;
}

/* The folders of a series' runs that are there. */
static enum err_code series_folders(const struct run_files *r, const char ***out, struct arena *a,
                                    struct err *e)
{
    const cJSON *runs = json_at(r->table, "runs");
    if (!cJSON_IsArray(runs))
        return ERR_OK;
    *out = arena_push_array(a, (size_t)cJSON_GetArraySize(runs) + 1, sizeof **out);
    int64_t count = 0;
    for (const cJSON *run = runs->child; run && *out; run = run->next) {
        const char *folder = run_member_folder(r, run, a);
        if (folder)
            (*out)[count++] = folder;
    }
    return *out ? ERR_OK : RAISE(e, ERR_MEMORY, "out of memory for a series");
}

/* One folder; the names of a series' runs come back in *runs, NULL-terminated, in the arena. */
static enum err_code write_folder(const char *folder, int *broken, const char ***runs,
                                  struct arena *a, struct err *e)
{
    struct run_files r;
    struct drawn_plot drawn[PLOTS_MAX];
    struct buf page;
    int count = 0;
    buf_init(&page, 0);
    enum err_code code = run_files_read(&r, folder, e);
    *broken += r.note_count;
    for (int i = 0; i < r.note_count; i++)
        log_warning("%s", r.notes[i].reason);
    if (code == ERR_OK)
        code = write_plots(&r, drawn, &count, a, e);
    if (code == ERR_OK) {
        page_write(&r, drawn, count, &page);
        code = write_text(path_join(a, folder, "report.html"), &page, e);
    }
    if (code == ERR_OK)
        code = series_folders(&r, runs, a, e);
    buf_free(&page);
    run_files_free(&r);
    return code;
}

enum err_code report_write(const char *folder, int *broken, struct err *e)
{
    struct arena scratch, inner;
    const char **runs = NULL, **none = NULL;
    int count = 0;
    arena_init(&scratch, "plots", 0);
    arena_init(&inner, "plots of a run", 0);
    enum err_code code = write_folder(folder, &count, &runs, &scratch, e);
    for (int64_t i = 0; code == ERR_OK && runs && runs[i]; i++) {
        code = write_folder(runs[i], &count, &none, &inner, e);
        arena_reset(&inner);
    }
    arena_reset(&scratch);
    if (broken)
        *broken = count;
    return code;
}
