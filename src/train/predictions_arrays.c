#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "format/npy.h"
#include "train/predictions.h"

#define NAMES_MAX_BYTES ((size_t)1 << 28)

/* ---- names, one a line ---- */

/* Fills names[count] from a file of as many lines, or with the numbers from 0. Text is the arena's. */
static enum err_code read_names(const char *path, struct arena *arena, const char *what,
                                const char **names, int64_t count, struct err *e)
{
    struct buf text = {0};
    int64_t line = 0;
    enum err_code code = ERR_OK;
    if (!path) {
        for (; line < count; line++)
            if (!(names[line] = arena_printf(arena, "%lld", (long long)line)))
                FAIL(e, ERR_MEMORY, "out of memory for %lld names", (long long)count);
        return ERR_OK;
    }
    code = file_read(path, NAMES_MAX_BYTES, &text, e);
    if (code == ERR_OK && text.len && memchr(text.data, '\0', text.len))
        code = RAISE(e, ERR_FORMAT, "%s: holds a NUL byte", path);
    for (char *at = text.data; code == ERR_OK && at && *at; line++) {
        char *end = at + strcspn(at, "\n"), *next = *end ? end + 1 : end;
        *end = '\0';
        char *name = str_trim(at);
        if (!*name)
            code = RAISE(e, ERR_FORMAT, "%s: line %lld of the %s is empty", path,
                         (long long)line + 1, what);
        else if (line < count && !(names[line] = arena_strdup(arena, str_clean(name))))
            code = RAISE(e, ERR_MEMORY, "%s: out of memory", path);
        at = next;
    }
    if (code == ERR_OK && line != count)
        code = RAISE(e, ERR_FORMAT, "%s: %lld lines, expected one for each of %lld %s", path,
                     (long long)line, (long long)count, what);
    buf_free(&text);
    return code;
}

/* ---- the two arrays ---- */

/* [n,K], or [n] for one class. */
static enum err_code check_shape(const struct npy *a, const char *path, int64_t *count,
                                 int64_t *class_count, struct err *e)
{
    if (a->rank < 1 || a->rank > 2)
        FAIL(e, ERR_FORMAT, "%s: %d dimensions, expected records and classes", path, a->rank);
    *count = a->shape[0];
    *class_count = a->rank == 2 ? a->shape[1] : 1;
    if (*count == 0 || *class_count == 0)
        FAIL(e, ERR_FORMAT, "%s: %lld records of %lld classes", path, (long long)*count,
             (long long)*class_count);
    return ERR_OK;
}

static enum err_code fill(struct predictions *p, const struct npy *scores, const struct npy *labels,
                          const struct prediction_arrays *paths, struct err *e)
{
    double *row = arena_push_array(&p->arena, (size_t)p->class_count, sizeof *row);
    if (!row)
        FAIL(e, ERR_MEMORY, "out of memory");
    npy_read_f64(scores, 0, scores->count, p->scores);
    for (int64_t i = 0; i < p->count; i++) {
        npy_read_f64(labels, i * p->class_count, p->class_count, row);
        for (int64_t k = 0; k < p->class_count; k++) {
            int64_t cell = i * p->class_count + k;
            if (!isfinite(p->scores[cell]))
                FAIL(e, ERR_FORMAT,
                     "%s: the score of record %.60s for class %.60s is no finite number",
                     paths->scores, p->ids[i], p->class_names[k]);
            if (row[k] != 0 && row[k] != 1)
                FAIL(e, ERR_FORMAT,
                     "%s: the label of record %.60s for class %.60s is %g, expected 0 or 1",
                     paths->labels, p->ids[i], p->class_names[k], row[k]);
            p->labels[cell] = (float)row[k];
        }
    }
    return ERR_OK;
}

static enum err_code read_both(const struct prediction_arrays *paths, const struct npy *scores,
                               const struct npy *labels, struct predictions *p, struct err *e)
{
    int64_t n, K, label_n, label_K;
    TRY(check_shape(scores, paths->scores, &n, &K, e));
    TRY(check_shape(labels, paths->labels, &label_n, &label_K, e));
    if (n != label_n || K != label_K)
        FAIL(e, ERR_FORMAT, "%s is %lld x %lld, but %s is %lld x %lld", paths->scores, (long long)n,
             (long long)K, paths->labels, (long long)label_n, (long long)label_K);
    TRY(predictions_init(p, n, K, e));
    TRY(read_names(paths->classes, &p->arena, "classes", p->class_names, K, e));
    TRY(read_names(paths->ids, &p->arena, "records", p->ids, n, e));
    TRY(predictions_check_names(p, e));
    return fill(p, scores, labels, paths, e);
}

enum err_code predictions_read_arrays(const struct prediction_arrays *paths,
                                      struct predictions *out, struct err *e)
{
    struct npy scores = {0}, labels = {0};
    memset(out, 0, sizeof *out);
    enum err_code code = npy_open(&scores, paths->scores, e);
    if (code == ERR_OK)
        code = npy_open(&labels, paths->labels, e);
    if (code == ERR_OK)
        code = read_both(paths, &scores, &labels, out, e);
    npy_close(&scores);
    npy_close(&labels);
    return code;
}
