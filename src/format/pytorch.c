#include "format/pytorch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/shapes.h"
#include "base/str.h"

#define SMALL_ENTRY_BYTES 64
#define PERSISTENT_ITEMS 5
#define VERSION_LAST 10

/* The storage classes and their types, in the order of the globals below. */
static const struct {
    const char *name;
    enum safetensors_dtype dtype;
} classes[] = {
    {"FloatStorage", ST_F32}, {"DoubleStorage", ST_F64},    {"HalfStorage", ST_F16},
    {"LongStorage", ST_I64},  {"BFloat16Storage", ST_BF16}, {"IntStorage", ST_I32},
    {"ShortStorage", ST_I16}, {"CharStorage", ST_I8},       {"ByteStorage", ST_U8},
    {"BoolStorage", ST_BOOL},
};
#define CLASS_COUNT ((int64_t)(sizeof classes / sizeof *classes))

enum global { GLOBAL_ORDERED_DICT = 10, GLOBAL_REBUILD_TENSOR, GLOBAL_REBUILD_PARAMETER };

static const char *const globals[] = {
    "torch FloatStorage",
    "torch DoubleStorage",
    "torch HalfStorage",
    "torch LongStorage",
    "torch BFloat16Storage",
    "torch IntStorage",
    "torch ShortStorage",
    "torch CharStorage",
    "torch ByteStorage",
    "torch BoolStorage",
    [GLOBAL_ORDERED_DICT] = "collections OrderedDict",
    [GLOBAL_REBUILD_TENSOR] = "torch._utils _rebuild_tensor_v2",
    [GLOBAL_REBUILD_PARAMETER] = "torch._utils _rebuild_parameter",
    NULL,
};

/* ---- reading: what the pickle asks of its host ---- */

static const struct zip_entry *find_entry(const struct pytorch *p, const char *folder,
                                          const char *name)
{
    char path[1100];
    int n = snprintf(path, sizeof path, "%s/%s%s", p->top, folder, name);
    return n > 0 && (size_t)n < sizeof path ? zip_find(&p->zip, path) : NULL;
}

static enum err_code storage_check(struct pytorch *p, struct pytorch_storage *s, struct err *e)
{
    int64_t bytes;
    if (s->numel < 0 || !mul_i64(s->numel, (int64_t)safetensors_dtype_size(s->dtype), &bytes))
        FAIL(e, ERR_FORMAT, "storage %.100s: %lld values overflow", s->key, (long long)s->numel);
    s->entry = find_entry(p, "data/", s->key);
    if (!s->entry)
        FAIL(e, ERR_FORMAT, "storage %.100s: the archive has no entry %.100s/data/%.100s", s->key,
             p->top, s->key);
    if (s->entry->size != (uint64_t)bytes)
        FAIL(e, ERR_FORMAT, "storage %.100s: %lld values of %s need %lld bytes, the entry has %llu",
             s->key, (long long)s->numel, safetensors_dtype_name(s->dtype), (long long)bytes,
             (unsigned long long)s->entry->size);
    return ERR_OK;
}

/* The storage of a key; `cap` is a power of two, and slots are found by hash. */
static enum err_code storage_slot(struct pytorch *p, const char *key, struct pytorch_storage ***out,
                                  struct err *e)
{
    if (2 * (p->storage_count + 1) > p->storage_cap) {
        int64_t cap = p->storage_cap ? 2 * p->storage_cap : 1024;
        struct pytorch_storage **old = p->storages;
        struct pytorch_storage **larger =
            arena_push_array(&p->arena, (size_t)cap, sizeof(struct pytorch_storage *));
        if (!larger)
            FAIL(e, ERR_MEMORY, "out of memory for %lld storages", (long long)cap);
        for (int64_t i = 0; i < p->storage_cap; i++) {
            if (!old[i])
                continue;
            uint64_t at = str_hash64(old[i]->key);
            while (larger[at & (uint64_t)(cap - 1)])
                at++;
            larger[at & (uint64_t)(cap - 1)] = old[i];
        }
        p->storages = larger;
        p->storage_cap = cap;
    }
    uint64_t at = str_hash64(key), mask = (uint64_t)(p->storage_cap - 1);
    while (p->storages[at & mask] && strcmp(p->storages[at & mask]->key, key) != 0)
        at++;
    *out = &p->storages[at & mask];
    return ERR_OK;
}

/* ('storage', class, key, device, count of values) */
static enum err_code load_storage(void *context, const struct pickle_value *id,
                                  struct pickle_value *out, struct err *e)
{
    struct pytorch *p = context;
    if (id->kind != PICKLE_TUPLE || id->count != PERSISTENT_ITEMS ||
        id->items[0]->kind != PICKLE_TEXT || strcmp(id->items[0]->text, "storage") != 0 ||
        id->items[1]->kind != PICKLE_GLOBAL || id->items[1]->integer >= CLASS_COUNT ||
        id->items[2]->kind != PICKLE_TEXT || id->items[3]->kind != PICKLE_TEXT ||
        id->items[4]->kind != PICKLE_INT)
        FAIL(e, ERR_FORMAT, "a persistent id is not ('storage', class, key, device, count)");
    struct pytorch_storage *s, **slot,
        wanted = {.key = id->items[2]->text,
                  .dtype = classes[id->items[1]->integer].dtype,
                  .numel = id->items[4]->integer};
    TRY(storage_slot(p, wanted.key, &slot, e));
    s = *slot;
    if (!s) {
        TRY(storage_check(p, &wanted, e));
        *slot = s = arena_push(&p->arena, sizeof *s);
        if (!s)
            FAIL(e, ERR_MEMORY, "out of memory for a storage");
        *s = wanted;
        p->storage_count++;
    } else if (s->dtype != wanted.dtype || s->numel != wanted.numel) {
        FAIL(e, ERR_FORMAT, "storage %.100s: %lld values of %s, but %lld of %s elsewhere", s->key,
             (long long)wanted.numel, safetensors_dtype_name(wanted.dtype), (long long)s->numel,
             safetensors_dtype_name(s->dtype));
    }
    out->kind = PICKLE_OBJECT;
    out->transient = true;
    out->object = s;
    return ERR_OK;
}

static enum err_code take_extents(const struct pickle_value *tuple, int64_t *out, const char *what,
                                  const char *key, struct err *e)
{
    for (int64_t i = 0; i < tuple->count; i++) {
        if (tuple->items[i]->kind != PICKLE_INT || tuple->items[i]->integer < 0)
            FAIL(e, ERR_FORMAT, "a tensor of storage %.100s: %s %lld is no count", key, what,
                 (long long)i);
        out[i] = tuple->items[i]->integer;
    }
    return ERR_OK;
}

/* Whether all values of a tensor lie inside its storage. */
static enum err_code tensor_check(struct pytorch_tensor *t, struct err *e)
{
    const struct pytorch_storage *s = t->storage;
    if (!shape_numel(t->shape, t->rank, &t->numel))
        FAIL(e, ERR_FORMAT, "a tensor of storage %.100s: its sizes overflow", s->key);
    if (t->offset > s->numel)
        FAIL(e, ERR_FORMAT, "a tensor of storage %.100s: offset %lld in %lld values", s->key,
             (long long)t->offset, (long long)s->numel);
    if (t->numel == 0)
        return ERR_OK;
    int64_t last = t->offset;
    for (int d = 0; d < t->rank; d++) {
        int64_t reach;
        if (!mul_i64(t->shape[d] - 1, t->stride[d], &reach) || reach > INT64_MAX - last)
            FAIL(e, ERR_FORMAT, "a tensor of storage %.100s: its strides overflow", s->key);
        last += reach;
    }
    if (last >= s->numel)
        FAIL(e, ERR_FORMAT,
             "a tensor of storage %.100s: its strides reach value %lld, but there are %lld", s->key,
             (long long)last, (long long)s->numel);
    if (t->numel > s->numel)
        FAIL(e, ERR_FORMAT,
             "a tensor of storage %.100s: its strides make %lld values out of %lld, which overlap",
             s->key, (long long)t->numel, (long long)s->numel);
    return ERR_OK;
}

/* (storage, offset, sizes, strides, requires_grad, hooks[, metadata]) */
static enum err_code rebuild_tensor(struct pytorch *p, const struct pickle_value *a,
                                    struct pickle_value *out, struct err *e)
{
    if (a->count < 6 || a->items[0]->kind != PICKLE_OBJECT || !a->items[0]->transient ||
        a->items[1]->kind != PICKLE_INT || a->items[2]->kind != PICKLE_TUPLE ||
        a->items[3]->kind != PICKLE_TUPLE)
        FAIL(e, ERR_FORMAT, "_rebuild_tensor_v2: expected storage, offset, sizes, strides, ...");
    const struct pytorch_storage *s = a->items[0]->object;
    const struct pickle_value *sizes = a->items[2], *strides = a->items[3];
    if (sizes->count != strides->count)
        FAIL(e, ERR_FORMAT, "a tensor of storage %.100s: %lld sizes, but %lld strides", s->key,
             (long long)sizes->count, (long long)strides->count);
    if (sizes->count > PYTORCH_RANK_MAX)
        FAIL(e, ERR_LIMIT, "a tensor of storage %.100s: rank %lld, at most %d", s->key,
             (long long)sizes->count, PYTORCH_RANK_MAX);
    if (a->items[1]->integer < 0)
        FAIL(e, ERR_FORMAT, "a tensor of storage %.100s: offset %lld", s->key,
             (long long)a->items[1]->integer);
    if (a->items[5]->kind != PICKLE_DICT || a->items[5]->count != 0)
        FAIL(e, ERR_UNSUPPORTED, "a tensor of storage %.100s has hooks", s->key);
    struct pytorch_tensor *t = arena_push(&p->arena, sizeof *t);
    if (!t)
        FAIL(e, ERR_MEMORY, "out of memory for a tensor");
    *t = (struct pytorch_tensor){.storage = s,
                                 .dtype = s->dtype,
                                 .rank = (int)sizes->count,
                                 .offset = a->items[1]->integer};
    TRY(take_extents(sizes, t->shape, "size", s->key, e));
    TRY(take_extents(strides, t->stride, "stride", s->key, e));
    TRY(tensor_check(t, e));
    out->kind = PICKLE_OBJECT;
    out->object = t;
    return ERR_OK;
}

static enum err_code reduce(void *context, int64_t global, const struct pickle_value *a,
                            struct pickle_value *out, struct err *e)
{
    switch (global) {
    case GLOBAL_ORDERED_DICT:
        if (a->count != 0)
            FAIL(e, ERR_UNSUPPORTED, "OrderedDict with arguments");
        out->kind = PICKLE_DICT;
        out->ordered = true;
        return ERR_OK;
    case GLOBAL_REBUILD_TENSOR:
        return rebuild_tensor(context, a, out, e);
    case GLOBAL_REBUILD_PARAMETER: /* (tensor, requires_grad, hooks) */
        if (a->count != 3 || !pytorch_tensor(a->items[0]))
            FAIL(e, ERR_FORMAT, "_rebuild_parameter: expected a tensor, requires_grad, hooks");
        out->kind = PICKLE_OBJECT;
        out->object = a->items[0]->object;
        return ERR_OK;
    default:
        FAIL(e, ERR_FORMAT, "the storage class %s is called", globals[global]);
    }
}

/* ---- reading: the archive ---- */

static enum err_code find_top(struct pytorch *p, struct err *e)
{
    static const char name[] = "/data.pkl";
    for (int64_t i = 0; i < p->zip.count; i++) {
        const char *path = p->zip.entries[i].name, *slash = strchr(path, '/');
        if (!slash || strcmp(slash, name) != 0)
            continue;
        if (p->top)
            FAIL(e, ERR_FORMAT, "the archive has several data.pkl");
        p->top = arena_strndup(&p->arena, path, (size_t)(slash - path));
        if (!p->top)
            FAIL(e, ERR_MEMORY, "out of memory for a name");
    }
    if (!p->top)
        FAIL(e, ERR_FORMAT, "the archive has no TOP/data.pkl: it is not from torch.save");
    size_t length = strlen(p->top);
    for (int64_t i = 0; i < p->zip.count; i++)
        if (strncmp(p->zip.entries[i].name, p->top, length) != 0 ||
            p->zip.entries[i].name[length] != '/')
            FAIL(e, ERR_FORMAT, "entry \"%.100s\" is outside of %.100s/", p->zip.entries[i].name,
                 p->top);
    return ERR_OK;
}

/* A short text entry, without what surrounds it; "" if it is not there. */
static enum err_code read_small(struct pytorch *p, const char *name, char *out, struct err *e)
{
    const struct zip_entry *entry = find_entry(p, "", name);
    out[0] = '\0';
    if (!entry)
        return ERR_OK;
    if (entry->size >= SMALL_ENTRY_BYTES)
        FAIL(e, ERR_FORMAT, "entry \"%.100s\" has %llu bytes", entry->name,
             (unsigned long long)entry->size);
    TRY(zip_read(&p->zip, entry, out, e));
    out[entry->size] = '\0';
    char *text = str_trim(out);
    memmove(out, text, strlen(text) + 1);
    return ERR_OK;
}

static enum err_code check_kind(struct pytorch *p, struct err *e)
{
    char text[SMALL_ENTRY_BYTES];
    int64_t version;
    TRY(read_small(p, "byteorder", text, e));
    if (text[0] && strcmp(text, "little") != 0)
        FAIL(e, ERR_UNSUPPORTED, "byte order \"%s\", expected little", text);
    TRY(read_small(p, "version", text, e));
    if (!str_to_i64(text, &version) || version < 1 || version > VERSION_LAST)
        FAIL(e, ERR_UNSUPPORTED, "version \"%s\" of the container, expected 1 to %d", text,
             VERSION_LAST);
    if (find_entry(p, "", "constants.pkl"))
        FAIL(e, ERR_UNSUPPORTED, "a TorchScript archive: only what torch.save writes is read");
    return ERR_OK;
}

static enum err_code read_pickle(struct pytorch *p, struct err *e)
{
    const struct zip_entry *entry = find_entry(p, "", "data.pkl");
    if (entry->size > PICKLE_BYTES_MAX)
        FAIL(e, ERR_LIMIT, "data.pkl has %llu bytes, at most %zu are read",
             (unsigned long long)entry->size, PICKLE_BYTES_MAX);
    void *bytes = malloc(entry->size ? (size_t)entry->size : 1);
    if (!bytes)
        FAIL(e, ERR_MEMORY, "out of memory for data.pkl");
    const struct pickle_host host = {.globals = globals,
                                     .context = p,
                                     .reduce = reduce,
                                     .persistent = load_storage};
    enum err_code code = zip_read(&p->zip, entry, bytes, e);
    if (code == ERR_OK)
        code = pickle_read(bytes, (size_t)entry->size, &host, &p->arena, &p->root, e);
    free(bytes);
    return code;
}

static enum err_code read_archive(struct pytorch *p, struct err *e)
{
    TRY(find_top(p, e));
    TRY(check_kind(p, e));
    return read_pickle(p, e);
}

static enum err_code open_or_close(struct pytorch *p, const char *name, struct err *e)
{
    arena_init(&p->arena, "pytorch", 0);
    enum err_code code = read_archive(p, e);
    if (code != ERR_OK) {
        pytorch_close(p);
        err_context(e, "reading %s", name);
    }
    return code;
}

/* torch.save before 1.6 wrote pickles one after the other, the first of which is a magic number. */
static bool is_legacy(const unsigned char *head, size_t size)
{
    static const unsigned char magic[] = {0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c,
                                          0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};
    return size >= sizeof magic && memcmp(head, magic, sizeof magic) == 0;
}

static enum err_code fail_legacy(const char *name, struct err *e)
{
    FAIL(e, ERR_UNSUPPORTED,
         "%s: the container that PyTorch wrote before 1.6; torch.save(torch.load(...)) of a newer "
         "one makes it readable",
         name);
}

enum err_code pytorch_open(struct pytorch *p, const char *path, struct err *e)
{
    memset(p, 0, sizeof *p);
    struct file_reader head;
    unsigned char bytes[16] = {0};
    TRY(file_reader_open(&head, path, e));
    if (head.size >= sizeof bytes &&
        file_reader_read(&head, 0, bytes, sizeof bytes, NULL) != ERR_OK)
        bytes[0] = 0;
    file_reader_close(&head);
    if (is_legacy(bytes, sizeof bytes))
        return fail_legacy(path, e);
    TRY(zip_open(&p->zip, path, e));
    return open_or_close(p, path, e);
}

enum err_code pytorch_parse(struct pytorch *p, const void *data, size_t size, const char *name,
                            struct err *e)
{
    memset(p, 0, sizeof *p);
    if (is_legacy(data, size))
        return fail_legacy(name, e);
    TRY(zip_parse(&p->zip, data, size, name, e));
    return open_or_close(p, name, e);
}

static void forget_last(struct pytorch *p)
{
    free(p->last_bytes);
    p->last_bytes = NULL;
    p->last = NULL;
}

void pytorch_close(struct pytorch *p)
{
    forget_last(p);
    zip_close(&p->zip);
    arena_reset(&p->arena);
    memset(p, 0, sizeof *p);
}

const struct pytorch_tensor *pytorch_tensor(const struct pickle_value *value)
{
    return value && value->kind == PICKLE_OBJECT && !value->transient ? value->object : NULL;
}

/* ---- reading: values ---- */

static bool is_contiguous(const struct pytorch_tensor *t)
{
    int64_t expected = 1;
    for (int d = t->rank; d-- > 0;) {
        if (t->shape[d] != 1 && t->stride[d] != expected)
            return false;
        expected *= t->shape[d];
    }
    return true;
}

/* Copies the values of a tensor out of its storage in the order of its indices. */
static void gather(const struct pytorch_tensor *t, const char *storage, char *out)
{
    size_t size = safetensors_dtype_size(t->dtype);
    if (is_contiguous(t)) {
        memcpy(out, storage + (size_t)t->offset * size, (size_t)t->numel * size);
        return;
    }
    int64_t index[PYTORCH_RANK_MAX] = {0}, at = t->offset;
    for (int64_t i = 0; i < t->numel; i++) {
        memcpy(out + (size_t)i * size, storage + (size_t)at * size, size);
        for (int d = t->rank; d-- > 0;) {
            if (t->shape[d] == 1)
                continue; /* its stride may be anything */
            at += t->stride[d];
            if (++index[d] < t->shape[d])
                break;
            at -= index[d] * t->stride[d];
            index[d] = 0;
        }
    }
}

enum err_code pytorch_read(struct pytorch *p, const struct pytorch_tensor *t, void *out,
                           struct err *e)
{
    if (t->numel == 0)
        return ERR_OK;
    const struct pytorch_storage *s = t->storage;
    if (t->numel == s->numel && is_contiguous(t))
        return zip_read(&p->zip, s->entry, out, e);
    if (p->last != s) {
        forget_last(p);
        p->last_bytes = large_alloc((size_t)s->entry->size);
        if (!p->last_bytes)
            FAIL(e, ERR_MEMORY, "out of memory for storage %.100s of %llu bytes", s->key,
                 (unsigned long long)s->entry->size);
        TRY(zip_read(&p->zip, s->entry, p->last_bytes, e));
        p->last = s;
    }
    gather(t, p->last_bytes, out);
    return ERR_OK;
}

static float from_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* IEEE 754 binary16: 1 sign, 5 exponent, 10 fraction bits; all its values are float32 values. */
static float from_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 1023;
    if (exponent == 31)
        return from_bits(sign | 0x7f800000u | fraction << 13);
    if (exponent > 0)
        return from_bits(sign | (exponent + 112) << 23 | fraction << 13);
    float tiny = (float)fraction * 0x1p-24f;
    return sign ? -tiny : tiny;
}

#define EACH(type, expression)                                                                     \
    for (int64_t i = 0; i < n; i++) {                                                              \
        type x;                                                                                    \
        memcpy(&x, from + (size_t)i * sizeof x, sizeof x);                                         \
        to[i] = (expression);                                                                      \
    }                                                                                              \
    break

static void to_f32(float *to, const char *from, int64_t n, enum safetensors_dtype dtype)
{
    switch (dtype) {
    case ST_F32:
        EACH(float, x);
    case ST_F64:
        EACH(double, (float)x);
    case ST_F16:
        EACH(uint16_t, from_f16(x));
    case ST_BF16:
        EACH(uint16_t, from_bits((uint32_t)x << 16));
    case ST_I64:
        EACH(int64_t, (float)x);
    case ST_I32:
        EACH(int32_t, (float)x);
    case ST_I16:
        EACH(int16_t, (float)x);
    case ST_I8:
        EACH(int8_t, (float)x);
    case ST_U8:
        EACH(uint8_t, (float)x);
    case ST_BOOL:
        EACH(uint8_t, x ? 1.0f : 0.0f);
    case ST_U64:
    case ST_U32:
    case ST_U16:
        BUG("PyTorch has no such storage");
    }
}

enum err_code pytorch_read_f32(struct pytorch *p, const struct pytorch_tensor *t, float *out,
                               struct err *e)
{
    if (t->dtype == ST_F32)
        return pytorch_read(p, t, out, e);
    size_t bytes = (size_t)t->numel * safetensors_dtype_size(t->dtype);
    char *values = large_alloc(bytes);
    if (!values)
        FAIL(e, ERR_MEMORY, "out of memory for a tensor of %zu bytes", bytes);
    enum err_code code = pytorch_read(p, t, values, e);
    if (code == ERR_OK)
        to_f32(out, values, t->numel, t->dtype);
    free(values);
    return code;
}

/* ---- writing ---- */

struct pickle_value *pytorch_tensor_new(struct arena *arena, enum safetensors_dtype dtype, int rank,
                                        const int64_t *shape, const void *data)
{
    struct pickle_value *v = pickle_new(arena, PICKLE_OBJECT);
    struct pytorch_tensor *t = arena_push(arena, sizeof *t);
    ASSERT(t, "out of memory");
    ASSERT(rank >= 0 && rank <= PYTORCH_RANK_MAX && shape_numel(shape, rank, &t->numel),
           "a tensor of rank %d", rank);
    t->data = data;
    t->dtype = dtype;
    t->rank = rank;
    int64_t stride = 1;
    for (int d = rank; d-- > 0;) {
        t->shape[d] = shape[d];
        t->stride[d] = stride;
        stride *= shape[d] > 1 ? shape[d] : 1;
    }
    v->object = t;
    return v;
}

struct storages {
    const struct pytorch_tensor **tensors; /* the key of each is its place */
    int64_t count, cap;
};

static const char *class_of(enum safetensors_dtype dtype)
{
    for (int64_t i = 0; i < CLASS_COUNT; i++)
        if (classes[i].dtype == dtype)
            return classes[i].name;
    BUG("PyTorch has no storage of %s", safetensors_dtype_name(dtype));
}

static void put_extents(const int64_t *extents, int rank, struct buf *out)
{
    pickle_put_op(out, '(');
    for (int d = 0; d < rank; d++)
        pickle_put_int(out, extents[d]);
    pickle_put_op(out, 't');
}

static void put_tensor(void *context, const struct pickle_value *value, struct buf *out)
{
    struct storages *s = context;
    const struct pytorch_tensor *t = value->object;
    if (s->count == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 256;
        s->tensors = realloc(s->tensors, (size_t)s->cap * sizeof(struct pytorch_tensor *));
        ASSERT(s->tensors, "out of memory");
    }
    char key[24];
    snprintf(key, sizeof key, "%lld", (long long)s->count);
    s->tensors[s->count++] = t;
    pickle_put_global(out, "torch._utils", "_rebuild_tensor_v2");
    pickle_put_op(out, '(');
    pickle_put_op(out, '(');
    pickle_put_text(out, "storage");
    pickle_put_global(out, "torch", class_of(t->dtype));
    pickle_put_text(out, key);
    pickle_put_text(out, "cpu");
    pickle_put_int(out, t->numel);
    pickle_put_op(out, 't');
    pickle_put_op(out, 'Q');
    pickle_put_int(out, 0);
    put_extents(t->shape, t->rank, out);
    put_extents(t->stride, t->rank, out);
    pickle_put_op(out, (char)0x89); /* requires_grad: false */
    pickle_put_global(out, "collections", "OrderedDict");
    pickle_put_op(out, ')');
    pickle_put_op(out, 'R');
    pickle_put_op(out, 't');
    pickle_put_op(out, 'R');
}

enum err_code pytorch_write(const char *path, const struct pickle_value *root, struct err *e)
{
    struct zip_writer w;
    TRY(zip_writer_open(&w, path, e));
    struct buf pickle;
    struct storages s = {0};
    buf_init(&pickle, PICKLE_BYTES_MAX);
    pickle_write(root, put_tensor, &s, &pickle);
    enum err_code code = ERR_OK;
    if (pickle.failed) {
        code = RAISE(e, ERR_LIMIT, "%s: what describes its tensors is larger than %zu bytes", path,
                     PICKLE_BYTES_MAX);
        zip_writer_abandon(&w);
    } else {
        zip_writer_add(&w, "archive/data.pkl", pickle.data, pickle.len);
        for (int64_t i = 0; i < s.count; i++) {
            char name[48];
            snprintf(name, sizeof name, "archive/data/%lld", (long long)i);
            zip_writer_add(&w, name, s.tensors[i]->data,
                           (size_t)s.tensors[i]->numel *
                               safetensors_dtype_size(s.tensors[i]->dtype));
        }
        zip_writer_add(&w, "archive/byteorder", "little", 6);
        zip_writer_add(&w, "archive/version", "3\n", 2);
        code = zip_writer_commit(&w, e);
    }
    buf_free(&pickle);
    free(s.tensors);
    return code;
}
