#include "train/as_is.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/str.h"

static enum err_code check_array(const struct npy *n, const struct model *m, struct err *e)
{
    if (n->kind != 'f' || n->item_bytes != 4)
        FAIL(e, ERR_USAGE, "it holds %s, and is handed over unchanged: give float32",
             npy_type_name(n));
    if (n->rank != 3 || n->count < 1)
        FAIL(e, ERR_USAGE, "expected values with axes [records, leads, samples]");
    if (n->shape[1] != m->contract.lead_count)
        FAIL(e, ERR_MODEL, "it has %lld leads, the model takes %lld", (long long)n->shape[1],
             (long long)m->contract.lead_count);
    return model_takes(m, n->shape[2], e);
}

static enum err_code lengths_from_npy(const char *path, int64_t count, int64_t *out, struct err *e)
{
    struct npy n;
    TRY(npy_open(&n, path, e));
    enum err_code code = ERR_OK;
    if ((n.kind != 'i' && n.kind != 'u') || n.rank != 1 || n.count != count)
        code = RAISE(e, ERR_USAGE, "expected %lld whole numbers in a row, found %lld of %s",
                     (long long)count, (long long)n.count, npy_type_name(&n));
    for (int64_t i = 0; i < count && code == ERR_OK; i++) {
        double value;
        npy_read_f64(&n, i, 1, &value);
        out[i] = value >= 0 && value < 0x1p53 ? (int64_t)value : -1;
    }
    npy_close(&n);
    return code;
}

static enum err_code lengths_from_text(const char *path, int64_t count, int64_t *out, struct err *e)
{
    struct buf text;
    enum err_code code = file_read(path, (size_t)32 * (size_t)count + 4096, &text, e);
    if (code == ERR_OK && text.data && strlen(text.data) != text.len)
        code = RAISE(e, ERR_USAGE, "it is no text");
    int64_t found = 0, value = 0;
    for (char *line = text.data, *next; code == ERR_OK && line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        char *word = str_trim(line);
        if (*word && !str_to_i64(word, &value))
            code = RAISE(e, ERR_USAGE, "\"%.40s\" is no whole number", word);
        else if (*word && found++ < count)
            out[found - 1] = value;
    }
    buf_free(&text);
    if (code == ERR_OK && found != count)
        FAIL(e, ERR_USAGE, "expected %lld numbers, found %lld", (long long)count, (long long)found);
    return code;
}

static enum err_code read_lengths(struct as_is *a, const char *path, const struct model *m,
                                  struct err *e)
{
    if (!m->backbone->hides)
        FAIL(e, ERR_MODEL, "backbone %s has no mask for padding", m->backbone->name);
    a->lengths = calloc((size_t)a->count, sizeof *a->lengths);
    if (!a->lengths)
        FAIL(e, ERR_MEMORY, "no memory for %lld numbers", (long long)a->count);
    bool npy = strcmp(path_extension(path), "npy") == 0;
    TRY((npy ? lengths_from_npy : lengths_from_text)(path, a->count, a->lengths, e));
    for (int64_t i = 0; i < a->count; i++) {
        int64_t length = a->lengths[i];
        if (length < 1 || length > a->samples)
            FAIL(e, ERR_USAGE, "number %lld is %lld, expected 1 to %lld samples", (long long)i,
                 (long long)length, (long long)a->samples);
        if (m->backbone->token_count(m->config, a->leads, length) < 1)
            FAIL(e, ERR_MODEL, "number %lld: %lld samples make no token of backbone %s",
                 (long long)i, (long long)length, m->backbone->name);
    }
    return ERR_OK;
}

enum err_code as_is_open(struct as_is *a, const char *path, const char *lengths_path,
                         const struct model *m, struct err *e)
{
    memset(a, 0, sizeof *a);
    TRY(npy_open(&a->array, path, e));
    if (check_array(&a->array, m, e) != ERR_OK)
        return err_context(e, "%s", path);
    a->count = a->array.shape[0];
    a->leads = a->array.shape[1];
    a->samples = a->array.shape[2];
    if (lengths_path && read_lengths(a, lengths_path, m, e) != ERR_OK)
        return err_context(e, "lengths %s", lengths_path);
    return ERR_OK;
}

void as_is_close(struct as_is *a)
{
    npy_close(&a->array);
    free(a->lengths);
    memset(a, 0, sizeof *a);
}

void as_is_read(const struct as_is *a, int64_t i, struct intake *in)
{
    int64_t values = a->leads * a->samples;
    memset(in, 0, sizeof *in);
    arena_init(&in->arena, "record as it is", 0);
    in->samples = a->samples;
    in->x = arena_push_array(&in->arena, (size_t)values, sizeof *in->x);
    if (in->x) {
        npy_read_f32(&a->array, i * values, values, in->x);
        return;
    }
    in->code = ERR_MEMORY;
    in->reason = "no memory for the record";
}
