#include "report/report.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

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

enum err_code report_write(const char *folder, int *broken, struct err *e)
{
    struct run_files r;
    struct drawn_plot drawn[PLOTS_MAX];
    struct arena scratch;
    struct buf page;
    int count = 0;
    arena_init(&scratch, "plots", 0);
    buf_init(&page, 0);
    enum err_code code = run_files_read(&r, folder, e);
    if (broken)
        *broken = r.note_count;
    for (int i = 0; i < r.note_count; i++)
        log_warning("%s", r.notes[i].reason);
    if (code == ERR_OK)
        code = write_plots(&r, drawn, &count, &scratch, e);
    if (code == ERR_OK) {
        page_write(&r, drawn, count, &page);
        code = write_text(path_join(&scratch, folder, "report.html"), &page, e);
    }
    buf_free(&page);
    arena_reset(&scratch);
    run_files_free(&r);
    return code;
}
