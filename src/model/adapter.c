#include "model/adapter.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "format/safetensors.h"
#include "model/model_file.h"

static bool of_encoder(const struct param *p) { return str_starts_with(p->name, "encoder."); }

static const struct param *same_param(const struct model *base, const struct param *p)
{
    const struct param *found = param_find(&base->params, p->name);
    bool same = found && found->rank == p->rank &&
                memcmp(found->shape, p->shape, (size_t)p->rank * sizeof p->shape[0]) == 0;
    return same ? found : NULL;
}

uint64_t encoder_hash(const struct model *m)
{
    uint64_t hash = 0;
    for (int i = 0; i < m->params.count; i++) {
        const struct param *p = m->params.items[i];
        if (!of_encoder(p))
            continue;
        hash = bytes_hash64(p->name, strlen(p->name) + 1, hash);
        hash = bytes_hash64(m->values + p->offset, (size_t)p->numel * sizeof *m->values, hash);
    }
    return hash;
}

static void hash_text(const struct model *base, char text[17])
{
    snprintf(text, 17, "%016" PRIx64, encoder_hash(base));
}

/* --- writing ------------------------------------------------------------------------------------ */

static bool is_beside(const struct model *m, const struct model *base, const struct param *p)
{
    const struct param *found = same_param(base, p);
    return !found || memcmp(base->values + found->offset, m->values + p->offset,
                            (size_t)p->numel * sizeof *m->values) != 0;
}

enum err_code adapter_save(const struct model *m, const struct model *base, const char *path,
                           struct err *e)
{
    char text[17];
    int64_t n = 0;
    struct safetensor *list = calloc((size_t)m->params.count, sizeof *list);
    ASSERT(list, "out of memory");
    for (int i = 0; i < m->params.count; i++) {
        const struct param *p = m->params.items[i];
        if (model_owns(p) && (!of_encoder(p) || is_beside(m, base, p)))
            list[n++] = model_tensor(p, m->values + p->offset, STORAGE_F32);
    }
    hash_text(base, text);
    enum err_code code = model_write(m, list, n, text, path, e);
    free(list);
    return code;
}

/* --- reading ------------------------------------------------------------------------------------ */

static enum err_code take_tensor(struct model *m, const struct param *p, const struct safetensor *t,
                                 struct err *e)
{
    if (t->dtype != ST_F32 || t->rank != p->rank ||
        memcmp(t->shape, p->shape, (size_t)p->rank * sizeof p->shape[0]) != 0)
        FAIL(e, ERR_MODEL, "parameter %s has another shape or type than its configuration says",
             p->name);
    memcpy(m->values + p->offset, t->data, (size_t)p->numel * sizeof *m->values);
    for (int64_t i = 0; i < p->numel; i++)
        if (!isfinite(m->values[p->offset + i]))
            FAIL(e, ERR_MODEL, "parameter %s: value %lld is not finite", p->name, (long long)i);
    return ERR_OK;
}

static enum err_code fill(struct model *m, const struct safetensors *st, const struct model *base,
                          struct err *e)
{
    int64_t taken = 0;
    for (int i = 0; i < m->params.count; i++) {
        const struct param *p = m->params.items[i];
        const struct safetensor *t = safetensors_find(st, p->name);
        const struct param *found = of_encoder(p) ? same_param(base, p) : NULL;
        if (t)
            TRY(take_tensor(m, p, t, e));
        else if (found)
            memcpy(m->values + p->offset, base->values + found->offset,
                   (size_t)p->numel * sizeof *m->values);
        else
            FAIL(e, ERR_MODEL, "parameter %s is neither in the adapter nor in its base", p->name);
        taken += t != NULL;
    }
    if (taken != st->count)
        FAIL(e, ERR_MODEL, "%lld of its %lld tensors have no place in the network",
             (long long)(st->count - taken), (long long)st->count);
    return ERR_OK;
}

static enum err_code apply(struct model *m, const struct safetensors *st, const struct model *base,
                           struct err *e)
{
    char text[17];
    TRY(model_read_metadata(m, st, "ecgfm.adapter", e));
    const char *wanted = safetensors_metadata(st, "ecgfm.base");
    hash_text(base, text);
    if (!wanted || strcmp(wanted, text) != 0)
        FAIL(e, ERR_MODEL, "it belongs to another base: encoder %.40s, this one is %s",
             wanted ? wanted : "unknown", text);
    TRY(model_allocate(m, 0, e));
    return fill(m, st, base, e);
}

enum err_code adapter_apply(const char *path, const char *base_path, struct model *out,
                            struct err *e)
{
    struct model base = {0}, m = {0};
    struct safetensors st = {0};
    memset(out, 0, sizeof *out);
    enum err_code code = model_load(&base, base_path, e);
    if (code == ERR_OK) {
        code = safetensors_open(&st, path, e);
        if (code == ERR_OK)
            code = apply(&m, &st, &base, e);
        safetensors_close(&st);
        if (code == ERR_OK)
            code = model_merge(&m, out, e);
        if (code != ERR_OK) {
            if (code != ERR_NOT_FOUND && code != ERR_IO && code != ERR_MEMORY) {
                code = ERR_MODEL; /* to the user it is the adapter that is refused */
                if (e)
                    e->code = ERR_MODEL;
            }
            err_context(e, "adapter %s", path);
        }
    }
    model_free(&m);
    model_free(&base);
    return code;
}
