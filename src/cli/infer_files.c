#include "cli/infer_files.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "signal/spline.h"

/* Beside the names of records: a header's other fields and tensors. */
#define HEADER_REST 8192

static const struct {
    const char *name, *option;
} files[INFER_FILE_COUNT] = {[INFER_EMBEDDINGS] = {"embeddings", "--embeddings"},
                             [INFER_TOKENS] = {"tokens", "--tokens"},
                             [INFER_SALIENCY] = {"saliency", "--saliency"},
                             [INFER_ATTENTION] = {"attention", "--attention"}};

static bool is_open(const struct infer_files *f, enum infer_file i)
{
    return f->streams[i].path != NULL;
}

/* --- opening ------------------------------------------------------------------------------------ */

/* The list of names as JSON in *out. */
static void put_names(const char *const *names, int64_t count, struct buf *out)
{
    buf_puts(out, "[");
    for (int64_t i = 0; i < count; i++) {
        buf_puts(out, i ? "," : "");
        json_print_string(names[i], out);
    }
    buf_puts(out, "]");
}

/* Bytes that these names take in a header: JSON in a JSON string. */
static enum err_code names_bound(const char *const *names, int64_t count, size_t *out,
                                 struct err *e)
{
    struct buf list, text;
    buf_init(&list, 0);
    buf_init(&text, 0);
    put_names(names, count, &list);
    if (!list.failed)
        json_print_string(list.data, &text);
    *out = text.len;
    bool failed = list.failed || text.failed;
    buf_free(&list);
    buf_free(&text);
    if (failed)
        FAIL(e, ERR_MEMORY, "no memory for the names of %lld records", (long long)count);
    return ERR_OK;
}

enum err_code infer_files_open(struct infer_files *f, const struct infer_files_options *o,
                               const struct model *m, const struct scorer *s,
                               const char *const *names, int64_t count, struct err *e)
{
    int64_t L = m->contract.lead_count;
    memset(f, 0, sizeof *f);
    f->embeddings_by_segment = o->embeddings_by_segment;
    f->saliency_by_sample = o->saliency_by_sample;
    f->lengths = o->scorer.lengths;
    f->pool = m->pool->name;
    f->F = scorer_feature_count(s);
    f->N = scorer_token_count(s);
    f->D = m->backbone->width(m->config);
    f->layers = scorer_attention_layers(s);
    f->T = o->scorer.sample_count ? o->scorer.sample_count : m->contract.sample_count;
    bool single = f->N == L * m->backbone->token_count(m->config, 1, f->T);
    f->leads = single ? L : 1;
    f->drawn = calloc((size_t)(f->leads * f->T), sizeof *f->drawn);
    f->work = calloc((size_t)f->N, sizeof *f->work);
    ASSERT(f->drawn && f->work, "out of memory");
    size_t bound;
    TRY(names_bound(names, count, &bound, e));
    for (int i = 0; i < INFER_FILE_COUNT; i++) {
        struct infer_stream *out = &f->streams[i];
        if (!o->paths[i])
            continue;
        size_t header = bound + HEADER_REST;
        if (i == INFER_TOKENS)
            header += (size_t)count * safetensors_entry_bound(sizeof "tokens." + 20);
        if (safetensors_stream_open(&out->stream, o->paths[i], header, e) != ERR_OK)
            return err_context(e, "%s", files[i].option);
        out->path = o->paths[i];
        for (int j = 0; j < i; j++)
            if (is_open(f, j) &&
                file_writer_same(&out->stream.writer, &f->streams[j].stream.writer))
                FAIL(e, ERR_USAGE, "%s and %s both write %s", files[j].option, files[i].option,
                     out->path);
    }
    return ERR_OK;
}

enum err_code infer_files_refuse(const struct infer_files *f, const struct file_writer *other,
                                 const char *option, struct err *e)
{
    for (int i = 0; i < INFER_FILE_COUNT; i++)
        if (is_open(f, i) && file_writer_same(other, &f->streams[i].stream.writer))
            FAIL(e, ERR_USAGE, "%s and %s both write %s", option, files[i].option,
                 f->streams[i].path);
    return ERR_OK;
}

/* --- rows --------------------------------------------------------------------------------------- */

/* Room for one segment and one record more. */
static bool make_room(struct infer_files *f)
{
    if (f->segments == f->segment_cap) {
        int64_t cap = f->segment_cap ? 2 * f->segment_cap : 256;
        struct infer_segment *grown = realloc(f->places, (size_t)cap * sizeof *grown);
        if (!grown)
            return false;
        f->places = grown;
        f->segment_cap = cap;
    }
    if (f->records == f->record_cap) {
        int64_t cap = f->record_cap ? 2 * f->record_cap : 256;
        int64_t *counts = realloc(f->counts, (size_t)cap * sizeof *counts);
        f->counts = counts ? counts : f->counts;
        const char **names = realloc(f->names, (size_t)cap * sizeof *names);
        f->names = names ? names : f->names;
        if (!counts || !names)
            return false;
        f->record_cap = cap;
    }
    return true;
}

static void put_row(struct infer_files *f, enum infer_file i, const float *row, int64_t n)
{
    if (is_open(f, i))
        safetensors_stream_write(&f->streams[i].stream, row, (size_t)n * sizeof *row);
}

static void put_saliency(struct infer_files *f, const float *saliency)
{
    if (!f->saliency_by_sample) {
        put_row(f, INFER_SALIENCY, saliency, f->N);
        return;
    }
    int64_t n = f->N / f->leads;
    for (int64_t l = 0; l < f->leads; l++)
        spline_resample(f->drawn + l * f->T, f->T, saliency + l * n, n, f->work);
    put_row(f, INFER_SALIENCY, f->drawn, f->leads * f->T);
}

static void keep_record(struct infer_files *f, const struct window *w, const char *name)
{
    if (!f->embeddings_by_segment)
        put_row(f, INFER_EMBEDDINGS, w->record->features, f->F);
    f->names[f->records] = name;
    f->counts[f->records] = w->count;
    f->records++;
    f->kept_segments = f->segments;
    for (int i = 0; i < INFER_FILE_COUNT; i++)
        f->streams[i].kept_bytes = f->streams[i].stream.bytes;
}

static void drop_record(struct infer_files *f)
{
    f->segments = f->kept_segments;
    for (int i = 0; i < INFER_FILE_COUNT; i++)
        if (is_open(f, i))
            safetensors_stream_rewind(&f->streams[i].stream, f->streams[i].kept_bytes);
}

void infer_files_take(struct infer_files *f, const struct window *w, const char *name)
{
    if (f->out_of_memory || !make_room(f)) {
        f->out_of_memory = true;
        return;
    }
    f->places[f->segments++] = (struct infer_segment){
        {(int32_t)f->records, (int32_t)w->start, (int32_t)w->record->length}};
    if (f->embeddings_by_segment)
        put_row(f, INFER_EMBEDDINGS, w->features, f->F);
    put_row(f, INFER_TOKENS, w->tokens, f->N * f->D);
    if (w->saliency)
        put_saliency(f, w->saliency);
    for (int64_t layer = 0; w->attention && layer < f->layers; layer++)
        put_row(f, INFER_ATTENTION, w->attention[layer], f->N * f->N);
    if (w->index + 1 < w->count)
        return;
    if (w->record->code == ERR_OK)
        keep_record(f, w, name);
    else
        drop_record(f);
}

enum err_code infer_files_check(struct infer_files *f, struct err *e)
{
    if (f->out_of_memory)
        FAIL(e, ERR_MEMORY, "no memory for the places of %lld segments", (long long)f->segments);
    for (int i = 0; i < INFER_FILE_COUNT; i++)
        if (is_open(f, i) && f->streams[i].stream.writer.failed)
            FAIL(e, ERR_IO, "%s: cannot write %s: %s", files[i].option, f->streams[i].path,
                 strerror(f->streams[i].stream.writer.failed_errno));
    return ERR_OK;
}

/* --- closing ------------------------------------------------------------------------------------ */

/* What a file holds, told when all is written. */
struct description {
    struct safetensor *tensors;
    int64_t count;
    char (*names)[32];
};

static void describe(struct description *d, const char *name, enum safetensors_dtype dtype,
                     int rank, const int64_t *shape)
{
    struct safetensor *t = &d->tensors[d->count];
    snprintf(d->names[d->count], sizeof *d->names, "%s", name);
    *t = (struct safetensor){.name = d->names[d->count], .dtype = dtype, .rank = rank};
    t->bytes = safetensors_dtype_size(dtype);
    for (int i = 0; i < rank; i++) {
        t->shape[i] = shape[i];
        t->bytes *= (size_t)shape[i];
    }
    d->count++;
}

static void describe_tokens(const struct infer_files *f, struct description *d)
{
    int64_t count = f->records ? f->counts[0] : 1;
    bool same = true;
    for (int64_t i = 0; i < f->records; i++)
        same = same && f->counts[i] == count;
    if (same)
        describe(d, "tokens", ST_F32, 3, (int64_t[]){f->records, count * f->N, f->D});
    for (int64_t i = 0; i < f->records && !same; i++) {
        char name[32];
        snprintf(name, sizeof name, "tokens.%lld", (long long)i);
        describe(d, name, ST_F32, 2, (int64_t[]){f->counts[i] * f->N, f->D});
    }
}

static void describe_rows(const struct infer_files *f, enum infer_file i, struct description *d)
{
    const char *name = files[i].name;
    int64_t S = f->segments;
    switch (i) {
    case INFER_EMBEDDINGS:
        describe(d, name, ST_F32, 2, (int64_t[]){f->embeddings_by_segment ? S : f->records, f->F});
        break;
    case INFER_TOKENS:
        describe_tokens(f, d);
        break;
    case INFER_SALIENCY:
        if (!f->saliency_by_sample)
            describe(d, name, ST_F32, 2, (int64_t[]){S, f->N});
        else if (f->leads == 1)
            describe(d, name, ST_F32, 2, (int64_t[]){S, f->T});
        else
            describe(d, name, ST_F32, 3, (int64_t[]){S, f->leads, f->T});
        break;
    case INFER_ATTENTION:
        describe(d, name, ST_F32, 4, (int64_t[]){S, f->layers, f->N, f->N});
        break;
    case INFER_FILE_COUNT:
        break;
    }
}

/* The places of segments, behind the rows. */
static void put_places(struct infer_files *f, struct infer_stream *out, struct description *d)
{
    static const char *const names[] = {"record", "start", "length"};
    for (int i = 0; i < (f->lengths ? 3 : 2); i++) {
        describe(d, names[i], ST_I32, 1, &f->segments);
        for (int64_t s = 0; s < f->segments; s++)
            safetensors_stream_write(&out->stream, &f->places[s].at[i], sizeof(int32_t));
    }
}

static enum err_code close_one(struct infer_files *f, enum infer_file i, const char *names,
                               struct err *e)
{
    struct infer_stream *out = &f->streams[i];
    size_t most = (size_t)f->records + 4;
    struct description d = {calloc(most, sizeof *d.tensors), 0, calloc(most, sizeof *d.names)};
    ASSERT(d.tensors && d.names, "out of memory");
    describe_rows(f, i, &d);
    if (i != INFER_EMBEDDINGS || f->embeddings_by_segment)
        put_places(f, out, &d);
    char samples[24], tokens[24];
    snprintf(samples, sizeof samples, "%lld", (long long)f->T);
    snprintf(tokens, sizeof tokens, "%lld", (long long)f->N);
    const char *keys[] = {"files", "backend", "samples_per_segment", "tokens_per_segment", "pool"};
    const char *values[] = {names, backend_selected()->name, samples, tokens, f->pool};
    enum err_code code = safetensors_stream_close(&out->stream, d.tensors, d.count, keys, values,
                                                  i == INFER_EMBEDDINGS ? 5 : 4, e);
    if (code != ERR_OK)
        err_context(e, "%s %s", files[i].option, out->path);
    free(d.tensors);
    free(d.names);
    return code;
}

enum err_code infer_files_close(struct infer_files *f, struct err *e)
{
    struct buf names;
    buf_init(&names, 0);
    put_names(f->names, f->records, &names);
    enum err_code code = ERR_OK;
    if (names.failed)
        code =
            RAISE(e, ERR_MEMORY, "no memory for the names of %lld records", (long long)f->records);
    for (int i = 0; i < INFER_FILE_COUNT && code == ERR_OK; i++)
        if (is_open(f, i))
            code = close_one(f, i, names.data, e);
    buf_free(&names);
    return code;
}

void infer_files_abandon(struct infer_files *f)
{
    for (int i = 0; i < INFER_FILE_COUNT; i++)
        safetensors_stream_abandon(&f->streams[i].stream);
    free(f->places);
    free(f->counts);
    free(f->names);
    free(f->drawn);
    free(f->work);
    memset(f, 0, sizeof *f);
}
