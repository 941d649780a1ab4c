#include "format/safetensors.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/named.h"
#include "base/shapes.h"
#include "base/str.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "tensor data is used in place and is little-endian"
#endif

#define PREFIX_BYTES 8
#define HEADER_MAX_BYTES 100000000u
#define DATA_ALIGNMENT 64

static const struct {
    const char *name;
    size_t size;
} dtypes[] = {
    [ST_F64] = {"F64", 8},   [ST_F32] = {"F32", 4}, [ST_F16] = {"F16", 2}, [ST_BF16] = {"BF16", 2},
    [ST_I64] = {"I64", 8},   [ST_I32] = {"I32", 4}, [ST_I16] = {"I16", 2}, [ST_I8] = {"I8", 1},
    [ST_U64] = {"U64", 8},   [ST_U32] = {"U32", 4}, [ST_U16] = {"U16", 2}, [ST_U8] = {"U8", 1},
    [ST_BOOL] = {"BOOL", 1},
};
#define DTYPE_COUNT (sizeof dtypes / sizeof dtypes[0])

size_t safetensors_dtype_size(enum safetensors_dtype dtype)
{
    ASSERT((size_t)dtype < DTYPE_COUNT, "no dtype %d", (int)dtype);
    return dtypes[dtype].size;
}

const char *safetensors_dtype_name(enum safetensors_dtype dtype)
{
    ASSERT((size_t)dtype < DTYPE_COUNT, "no dtype %d", (int)dtype);
    return dtypes[dtype].name;
}

/* ---- reading: a scanner for just the JSON this header may hold ---- */

struct scan {
    struct safetensors *st;
    const unsigned char *begin, *at, *end;
    char *text; /* room for all decoded strings: decoding never lengthens, and quotes pay the NUL */
    const unsigned char *data;
    size_t data_size;
    int64_t tensor_cap, metadata_cap;
    bool metadata_seen;
    struct err *e;
};

static enum err_code unexpected(struct scan *s, const char *expected)
{
    size_t byte = PREFIX_BYTES + (size_t)(s->at - s->begin);
    if (s->at == s->end)
        FAIL(s->e, ERR_FORMAT, "header ends at byte %zu: expected %s", byte, expected);
    FAIL(s->e, ERR_FORMAT, "header byte %zu: expected %s, found 0x%02x", byte, expected, *s->at);
}

static void skip_space(struct scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r'))
        s->at++;
}

/* Steps over `c` and the white space around it if it is there. */
static bool take(struct scan *s, char c)
{
    skip_space(s);
    if (s->at == s->end || *s->at != (unsigned char)c)
        return false;
    s->at++;
    skip_space(s);
    return true;
}

static enum err_code scan_char(struct scan *s, char c)
{
    const char expected[] = {'\'', c, '\'', 0};
    return take(s, c) ? ERR_OK : unexpected(s, expected);
}

static enum err_code scan_hex4(struct scan *s, uint32_t *out)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++, s->at++) {
        unsigned char c = s->at < s->end ? *s->at : 0;
        if (c >= '0' && c <= '9')
            value = value * 16 + (c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            value = value * 16 + ((c | 0x20) - 'a' + 10);
        else
            return unexpected(s, "four hex digits");
    }
    *out = value;
    return ERR_OK;
}

/* The part of an escape after the backslash, as UTF-8. */
static enum err_code scan_escape(struct scan *s, char **out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *known = s->at < s->end && *s->at ? strchr(from, *s->at) : NULL;
    if (known) {
        s->at++;
        *(*out)++ = to[known - from];
        return ERR_OK;
    }
    if (s->at == s->end || *s->at != 'u')
        return unexpected(s, "an escape");
    s->at++;
    uint32_t code = 0;
    TRY(scan_hex4(s, &code));
    if (code >= 0xD800 && code < 0xDC00 && s->end - s->at >= 2 && s->at[0] == '\\' &&
        s->at[1] == 'u') {
        uint32_t low = 0;
        s->at += 2;
        TRY(scan_hex4(s, &low));
        if (low < 0xDC00 || low > 0xDFFF)
            return unexpected(s, "the second half of a surrogate pair before this");
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    if (code == 0 || (code >= 0xD800 && code <= 0xDFFF))
        return unexpected(s, "no NUL and no lone surrogate before this");
    unsigned char *u = (unsigned char *)*out;
    if (code < 0x80) {
        *u++ = (unsigned char)code;
    } else if (code < 0x800) {
        *u++ = (unsigned char)(0xC0 | code >> 6);
        *u++ = (unsigned char)(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        *u++ = (unsigned char)(0xE0 | code >> 12);
        *u++ = (unsigned char)(0x80 | (code >> 6 & 0x3F));
        *u++ = (unsigned char)(0x80 | (code & 0x3F));
    } else {
        *u++ = (unsigned char)(0xF0 | code >> 18);
        *u++ = (unsigned char)(0x80 | (code >> 12 & 0x3F));
        *u++ = (unsigned char)(0x80 | (code >> 6 & 0x3F));
        *u++ = (unsigned char)(0x80 | (code & 0x3F));
    }
    *out = (char *)u;
    return ERR_OK;
}

static enum err_code scan_string(struct scan *s, const char **out)
{
    skip_space(s);
    if (s->at == s->end || *s->at != '"')
        return unexpected(s, "a string");
    s->at++;
    *out = s->text;
    char *text = s->text;
    for (;;) {
        if (s->at == s->end || *s->at < 0x20)
            return unexpected(s, "the end of a string");
        if (*s->at == '"')
            break;
        if (*s->at == '\\') {
            s->at++;
            TRY(scan_escape(s, &text));
            continue;
        }
        size_t length = str_utf8_length((const char *)s->at, (size_t)(s->end - s->at));
        if (length == 0)
            return unexpected(s, "UTF-8");
        memcpy(text, s->at, length);
        text += length;
        s->at += length;
    }
    s->at++;
    *text++ = 0;
    s->text = text;
    skip_space(s);
    return ERR_OK;
}

static enum err_code scan_count(struct scan *s, int64_t *out)
{
    skip_space(s);
    int64_t value = 0;
    const unsigned char *first = s->at;
    while (s->at < s->end && *s->at >= '0' && *s->at <= '9') {
        int digit = *s->at - '0';
        if (value > (INT64_MAX - digit) / 10 || (s->at > first && *first == '0'))
            return unexpected(s, "a whole number below 2^63 without leading zeros");
        value = value * 10 + digit;
        s->at++;
    }
    if (s->at == first)
        return unexpected(s, "a whole number");
    *out = value;
    skip_space(s);
    return ERR_OK;
}

/* [n, n, ...] of at most `max` numbers. */
static enum err_code scan_counts(struct scan *s, int64_t *out, int max, int *count)
{
    *count = 0;
    TRY(scan_char(s, '['));
    if (take(s, ']'))
        return ERR_OK;
    do {
        if (*count == max)
            FAIL(s->e, ERR_LIMIT, "header byte %zu: more than %d numbers in a list",
                 PREFIX_BYTES + (size_t)(s->at - s->begin), max);
        TRY(scan_count(s, &out[(*count)++]));
    } while (take(s, ','));
    return scan_char(s, ']');
}

/* Room for one more row of `size` bytes in an arena-held list; it is copied when it grows. */
static enum err_code grow(struct scan *s, void **rows, int64_t count, int64_t *cap, size_t size)
{
    if (count < *cap)
        return ERR_OK;
    int64_t larger = *cap ? *cap * 2 : 64;
    void *moved = arena_push_array(&s->st->arena, (size_t)larger, size);
    if (!moved)
        FAIL(s->e, ERR_MEMORY, "out of memory for %lld header rows", (long long)larger);
    if (count)
        memcpy(moved, *rows, (size_t)count * size);
    *rows = moved;
    *cap = larger;
    return ERR_OK;
}

struct metadata_row {
    const char *key, *value;
};

/* Finds a text twice in a list; the list is copied, sorted, and left in the arena. */
static const char *find_twice(struct arena *arena, const char *const *texts, int64_t count,
                              bool *out_of_memory)
{
    const char **sorted = arena_push_array(arena, (size_t)count, sizeof *sorted);
    *out_of_memory = !sorted;
    if (!sorted || count == 0)
        return NULL;
    memcpy(sorted, texts, (size_t)count * sizeof *sorted);
    return names_twice(sorted, count);
}

static enum err_code scan_metadata(struct scan *s)
{
    struct safetensors *st = s->st;
    if (s->metadata_seen)
        FAIL(s->e, ERR_FORMAT, "__metadata__ occurs twice");
    s->metadata_seen = true;

    void *rows = NULL;
    TRY(scan_char(s, '{'));
    if (take(s, '}'))
        return ERR_OK;
    do {
        struct metadata_row row;
        TRY(scan_string(s, &row.key));
        TRY(scan_char(s, ':'));
        TRY(scan_string(s, &row.value));
        TRY(grow(s, &rows, st->metadata_count, &s->metadata_cap, sizeof row));
        ((struct metadata_row *)rows)[st->metadata_count++] = row;
    } while (take(s, ','));
    TRY(scan_char(s, '}'));

    size_t count = (size_t)st->metadata_count;
    st->metadata_keys = arena_push_array(&st->arena, count, sizeof *st->metadata_keys);
    st->metadata_values = arena_push_array(&st->arena, count, sizeof *st->metadata_values);
    if (!st->metadata_keys || !st->metadata_values)
        FAIL(s->e, ERR_MEMORY, "out of memory for %zu metadata entries", count);
    for (size_t i = 0; i < count; i++) {
        st->metadata_keys[i] = ((struct metadata_row *)rows)[i].key;
        st->metadata_values[i] = ((struct metadata_row *)rows)[i].value;
    }
    bool out_of_memory;
    const char *twice =
        find_twice(&st->arena, st->metadata_keys, st->metadata_count, &out_of_memory);
    if (out_of_memory)
        FAIL(s->e, ERR_MEMORY, "out of memory for %zu metadata entries", count);
    if (twice)
        FAIL(s->e, ERR_FORMAT, "metadata key \"%.100s\" occurs twice", twice);
    return ERR_OK;
}

static enum err_code scan_dtype(struct scan *s, const char *tensor, enum safetensors_dtype *out)
{
    const char *name;
    TRY(scan_string(s, &name));
    for (size_t i = 0; i < DTYPE_COUNT; i++)
        if (strcmp(dtypes[i].name, name) == 0) {
            *out = (enum safetensors_dtype)i;
            return ERR_OK;
        }
    FAIL(s->e, ERR_UNSUPPORTED, "tensor \"%.100s\": dtype \"%.20s\" is not supported", tensor,
         name);
}

static enum err_code scan_tensor(struct scan *s, const char *name)
{
    struct safetensor t = {.name = name};
    int64_t offsets[2] = {0, 0};
    int offset_count = 0;
    bool has_dtype = false, has_shape = false, has_offsets = false;

    TRY(scan_char(s, '{'));
    do {
        const char *field;
        TRY(scan_string(s, &field));
        TRY(scan_char(s, ':'));
        if (strcmp(field, "dtype") == 0 && !has_dtype) {
            TRY(scan_dtype(s, name, &t.dtype));
            has_dtype = true;
        } else if (strcmp(field, "shape") == 0 && !has_shape) {
            TRY(scan_counts(s, t.shape, SAFETENSORS_RANK_MAX, &t.rank));
            has_shape = true;
        } else if (strcmp(field, "data_offsets") == 0 && !has_offsets) {
            TRY(scan_counts(s, offsets, 2, &offset_count));
            has_offsets = true;
        } else {
            FAIL(s->e, ERR_FORMAT,
                 "tensor \"%.100s\": expected dtype, shape and data_offsets once each, found "
                 "\"%.40s\"",
                 name, field);
        }
    } while (take(s, ','));
    TRY(scan_char(s, '}'));
    if (!has_dtype || !has_shape || offset_count != 2)
        FAIL(s->e, ERR_FORMAT, "tensor \"%.100s\": %s missing", name,
             !has_dtype   ? "dtype"
             : !has_shape ? "shape"
                          : "one of two data_offsets");

    int64_t numel, bytes;
    if (!shape_numel(t.shape, t.rank, &numel) ||
        !mul_i64(numel, (int64_t)dtypes[t.dtype].size, &bytes))
        FAIL(s->e, ERR_FORMAT, "tensor \"%.100s\": shape overflows", name);
    if (offsets[0] > offsets[1])
        FAIL(s->e, ERR_FORMAT, "tensor \"%.100s\": data_offsets [%lld, %lld] run backwards", name,
             (long long)offsets[0], (long long)offsets[1]);
    if ((uint64_t)offsets[1] > s->data_size)
        FAIL(s->e, ERR_TRUNCATED,
             "tensor \"%.100s\": data_offsets end at %lld, but there are %zu bytes of data", name,
             (long long)offsets[1], s->data_size);
    if (bytes != offsets[1] - offsets[0])
        FAIL(s->e, ERR_FORMAT,
             "tensor \"%.100s\": shape and dtype need %lld bytes, data_offsets give %lld", name,
             (long long)bytes, (long long)(offsets[1] - offsets[0]));
    t.data = s->data + offsets[0];
    t.bytes = (size_t)bytes;

    void *rows = s->st->tensors;
    TRY(grow(s, &rows, s->st->count, &s->tensor_cap, sizeof t));
    s->st->tensors = rows;
    s->st->tensors[s->st->count++] = t;
    return ERR_OK;
}

static enum err_code scan_header(struct scan *s)
{
    if (s->at == s->end || *s->at != '{')
        return unexpected(s, "'{'");
    TRY(scan_char(s, '{'));
    if (!take(s, '}')) {
        do {
            const char *name;
            TRY(scan_string(s, &name));
            TRY(scan_char(s, ':'));
            if (strcmp(name, "__metadata__") == 0)
                TRY(scan_metadata(s));
            else
                TRY(scan_tensor(s, name));
        } while (take(s, ','));
        TRY(scan_char(s, '}'));
    }
    return s->at == s->end ? ERR_OK : unexpected(s, "the end of the header");
}

static int file_order(const void *a, const void *b)
{
    const struct safetensor *x = a, *y = b;
    if (x->data != y->data)
        return (const char *)x->data < (const char *)y->data ? -1 : 1;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* Sorts, and checks what only all tensors together can tell. */
static enum err_code check_layout(struct scan *s)
{
    struct safetensors *st = s->st;
    if (st->count)
        qsort(st->tensors, (size_t)st->count, sizeof *st->tensors, file_order);

    size_t covered = 0;
    for (int64_t i = 0; i < st->count; i++) {
        const struct safetensor *t = &st->tensors[i];
        size_t begin = (size_t)((const unsigned char *)t->data - s->data);
        if (begin != covered)
            FAIL(s->e, ERR_FORMAT,
                 "tensor \"%.100s\": data begin at %zu, expected %zu (%s before it)", t->name,
                 begin, covered, begin < covered ? "overlap with the one" : "unused bytes");
        covered += t->bytes;
    }
    if (covered != s->data_size)
        FAIL(s->e, ERR_FORMAT, "tensors cover %zu of %zu bytes of data", covered, s->data_size);

    st->by_name = arena_push_array(&st->arena, (size_t)st->count, sizeof *st->by_name);
    if (!st->by_name)
        FAIL(s->e, ERR_MEMORY, "out of memory for %lld tensors", (long long)st->count);
    for (int64_t i = 0; i < st->count; i++)
        st->by_name[i] = (struct named){st->tensors[i].name, i};
    named_sort(st->by_name, st->count);
    const struct named *twice = named_twice(st->by_name, st->count);
    if (twice)
        FAIL(s->e, ERR_FORMAT, "tensor \"%.100s\" occurs twice", twice->name);
    return ERR_OK;
}

/* Other writers need not align the data: such tensors are copied, so that a float is a float. */
static enum err_code align_data(struct scan *s)
{
    for (int64_t i = 0; i < s->st->count; i++) {
        struct safetensor *t = &s->st->tensors[i];
        if ((uintptr_t)t->data % dtypes[t->dtype].size == 0)
            continue;
        void *copy = arena_push(&s->st->arena, t->bytes);
        if (!copy)
            FAIL(s->e, ERR_MEMORY, "tensor \"%.100s\": out of memory for %zu bytes", t->name,
                 t->bytes);
        memcpy(copy, t->data, t->bytes);
        t->data = copy;
    }
    return ERR_OK;
}

static enum err_code parse(struct safetensors *st, const unsigned char *file, size_t size,
                           struct err *e)
{
    if (size < PREFIX_BYTES)
        FAIL(e, ERR_TRUNCATED, "%zu bytes: shorter than the 8 bytes of a safetensors header size",
             size);
    uint64_t header_size;
    memcpy(&header_size, file, PREFIX_BYTES);
    if (header_size > HEADER_MAX_BYTES)
        FAIL(e, ERR_LIMIT,
             "header size %llu is above the bound of %u bytes; is this a safetensors file?",
             (unsigned long long)header_size, HEADER_MAX_BYTES);
    if (header_size > size - PREFIX_BYTES)
        FAIL(e, ERR_TRUNCATED, "header of %llu bytes in a file of %zu bytes",
             (unsigned long long)header_size, size);

    struct scan s = {.st = st, .begin = file + PREFIX_BYTES, .e = e};
    s.at = s.begin;
    s.end = s.data = s.begin + header_size;
    s.data_size = size - PREFIX_BYTES - (size_t)header_size;
    s.text = arena_push(&st->arena, (size_t)header_size);
    if (!s.text)
        FAIL(e, ERR_MEMORY, "out of memory for a header of %llu bytes",
             (unsigned long long)header_size);
    TRY(scan_header(&s));
    TRY(check_layout(&s));
    return align_data(&s);
}

static enum err_code parse_or_close(struct safetensors *st, const void *data, size_t size,
                                    const char *name, struct err *e)
{
    enum err_code code = parse(st, data, size, e);
    if (code != ERR_OK) {
        safetensors_close(st);
        err_context(e, "reading %s", name);
    }
    return code;
}

enum err_code safetensors_parse(struct safetensors *st, const void *data, size_t size,
                                const char *name, struct err *e)
{
    memset(st, 0, sizeof *st);
    arena_init(&st->arena, "safetensors", 0);
    return parse_or_close(st, data, size, name, e);
}

enum err_code safetensors_open(struct safetensors *st, const char *path, struct err *e)
{
    memset(st, 0, sizeof *st);
    arena_init(&st->arena, "safetensors", 0);
    TRY(file_map(path, &st->map, e));
    return parse_or_close(st, st->map.data, st->map.size, path, e);
}

void safetensors_close(struct safetensors *st)
{
    arena_reset(&st->arena);
    file_unmap(&st->map);
    memset(st, 0, sizeof *st);
}

const struct safetensor *safetensors_find(const struct safetensors *st, const char *name)
{
    const struct named *found = named_find(st->by_name, st->count, name);
    return found ? &st->tensors[found->index] : NULL;
}

const char *safetensors_metadata(const struct safetensors *st, const char *key)
{
    for (int64_t i = 0; i < st->metadata_count; i++)
        if (strcmp(st->metadata_keys[i], key) == 0)
            return st->metadata_values[i];
    return NULL;
}

/* ---- writing ---- */

static enum err_code put_string(struct buf *b, const char *text, struct err *e)
{
    size_t size = strlen(text);
    for (size_t at = 0, length; at < size; at += length) {
        length = str_utf8_length(text + at, size - at);
        if (length == 0)
            FAIL(e, ERR_FORMAT, "text is not UTF-8 at its byte %zu: \"%.100s\"", at, text);
    }
    json_print_string(text, b);
    return ERR_OK;
}

static enum err_code build_header(struct buf *b, const struct safetensor *tensors, int64_t count,
                                  const char *const *keys, const char *const *values,
                                  int64_t metadata_count, struct err *e)
{
    const char *comma = "";
    buf_puts(b, "{");
    if (metadata_count) {
        buf_puts(b, "\"__metadata__\":{");
        for (int64_t i = 0; i < metadata_count; i++) {
            buf_puts(b, i ? "," : "");
            TRY(put_string(b, keys[i], e));
            buf_puts(b, ":");
            TRY(put_string(b, values[i], e));
        }
        buf_puts(b, "}");
        comma = ",";
    }
    int64_t offset = 0;
    for (int64_t i = 0; i < count; i++) {
        const struct safetensor *t = &tensors[i];
        int64_t numel, bytes;
        ASSERT(t->rank >= 0 && t->rank <= SAFETENSORS_RANK_MAX &&
                   shape_numel(t->shape, t->rank, &numel) &&
                   mul_i64(numel, (int64_t)safetensors_dtype_size(t->dtype), &bytes) &&
                   (uint64_t)bytes == t->bytes,
               "tensor %s: shape and %zu bytes do not fit", t->name, t->bytes);
        ASSERT(bytes <= INT64_MAX - offset, "tensor %s: offset overflows", t->name);
        buf_puts(b, comma);
        comma = ",";
        TRY(put_string(b, t->name, e));
        buf_printf(b, ":{\"dtype\":\"%s\",\"shape\":[", safetensors_dtype_name(t->dtype));
        for (int d = 0; d < t->rank; d++)
            buf_printf(b, "%s%lld", d ? "," : "", (long long)t->shape[d]);
        buf_printf(b, "],\"data_offsets\":[%lld,%lld]}", (long long)offset,
                   (long long)(offset + bytes));
        offset += bytes;
    }
    buf_puts(b, "}");
    while ((PREFIX_BYTES + b->len) % DATA_ALIGNMENT && !b->failed)
        buf_puts(b, " ");
    if (b->failed)
        FAIL(e, ERR_LIMIT, "header would be larger than %u bytes (or memory is out)",
             HEADER_MAX_BYTES);
    return ERR_OK;
}

static enum err_code check_names(const struct safetensor *tensors, int64_t count,
                                 const char *const *keys, int64_t metadata_count, struct err *e)
{
    struct arena arena;
    arena_init(&arena, "safetensors names", 0);
    enum err_code code = ERR_OK;
    bool out_of_memory = false;
    const char *twice = find_twice(&arena, keys, metadata_count, &out_of_memory);
    const char **names = arena_push_array(&arena, (size_t)count + 1, sizeof *names);
    if (names && !twice && !out_of_memory) {
        for (int64_t i = 0; i < count; i++)
            names[i] = tensors[i].name;
        names[count] = "__metadata__";
        twice = find_twice(&arena, names, count + 1, &out_of_memory);
    }
    if (!names || out_of_memory)
        code = RAISE(e, ERR_MEMORY, "out of memory for %lld names", (long long)count);
    else if (twice)
        code = RAISE(e, ERR_FORMAT, "name \"%.100s\" is given twice", twice);
    arena_reset(&arena);
    return code;
}

/* Checks what the header will say, and says it. Caller buf_frees *header, also after an error. */
static enum err_code make_header(struct buf *header, const struct safetensor *tensors,
                                 int64_t count, const char *const *keys, const char *const *values,
                                 int64_t metadata_count, struct err *e)
{
    buf_init(header, HEADER_MAX_BYTES);
    TRY(check_names(tensors, count, keys, metadata_count, e));
    return build_header(header, tensors, count, keys, values, metadata_count, e);
}

enum err_code safetensors_write(const char *path, const struct safetensor *tensors, int64_t count,
                                const char *const *metadata_keys,
                                const char *const *metadata_values, int64_t metadata_count,
                                struct err *e)
{
    struct buf header;
    enum err_code code =
        make_header(&header, tensors, count, metadata_keys, metadata_values, metadata_count, e);
    struct file_writer writer;
    if (code == ERR_OK)
        code = file_writer_open(&writer, path, e);
    if (code == ERR_OK) {
        uint64_t header_size = header.len;
        file_writer_write(&writer, &header_size, sizeof header_size);
        file_writer_write(&writer, header.data, header.len);
        for (int64_t i = 0; i < count; i++)
            if (tensors[i].bytes)
                file_writer_write(&writer, tensors[i].data, tensors[i].bytes);
        code = file_writer_commit(&writer, e);
    }
    buf_free(&header);
    if (code != ERR_OK)
        err_context(e, "writing %s", path);
    return code;
}

/* ---- writing in pieces ---- */

size_t safetensors_entry_bound(size_t name_bytes)
{
    /* A byte of a name is six as \u0000; beside it: the fields, rank and two offsets. */
    return 6 * name_bytes + 64 + (SAFETENSORS_RANK_MAX + 2) * 21;
}

enum err_code safetensors_stream_open(struct safetensors_stream *s, const char *path,
                                      size_t header_max, struct err *e)
{
    *s = (struct safetensors_stream){0};
    if (header_max > HEADER_MAX_BYTES - DATA_ALIGNMENT)
        FAIL(e, ERR_LIMIT, "writing %s: names and shapes need a header of %zu bytes, more than %u",
             path, header_max, HEADER_MAX_BYTES);
    size_t blocks = (PREFIX_BYTES + header_max + DATA_ALIGNMENT - 1) / DATA_ALIGNMENT;
    s->begin = blocks * DATA_ALIGNMENT;
    TRY(file_writer_open(&s->writer, path, e));
    if (!s->writer.temporary) {
        file_writer_abandon(&s->writer);
        FAIL(e, ERR_IO, "writing %s: it is no regular file, and its header is written last", path);
    }
    file_writer_seek(&s->writer, (int64_t)s->begin, false);
    return ERR_OK;
}

void safetensors_stream_write(struct safetensors_stream *s, const void *data, size_t bytes)
{
    file_writer_write(&s->writer, data, bytes);
    s->bytes += (int64_t)bytes;
}

void safetensors_stream_rewind(struct safetensors_stream *s, int64_t bytes)
{
    ASSERT(bytes >= 0 && bytes <= s->bytes, "rewind to %lld of %lld bytes", (long long)bytes,
           (long long)s->bytes);
    file_writer_seek(&s->writer, (int64_t)s->begin + bytes, true);
    s->bytes = bytes;
}

static enum err_code finish_header(struct safetensors_stream *s, const struct buf *header,
                                   struct err *e)
{
    uint64_t size = s->begin - PREFIX_BYTES;
    ASSERT(header->len <= size, "header of %zu bytes in room for %llu", header->len,
           (unsigned long long)size);
    char blank[DATA_ALIGNMENT];
    memset(blank, ' ', sizeof blank);
    file_writer_seek(&s->writer, (int64_t)s->begin + s->bytes,
                     true); /* also if nothing was written */
    file_writer_seek(&s->writer, 0, false);
    file_writer_write(&s->writer, &size, sizeof size);
    file_writer_write(&s->writer, header->data, header->len);
    for (size_t at = header->len; at < size; at += DATA_ALIGNMENT)
        file_writer_write(&s->writer, blank, size - at < sizeof blank ? size - at : sizeof blank);
    return file_writer_commit(&s->writer, e);
}

enum err_code safetensors_stream_close(struct safetensors_stream *s,
                                       const struct safetensor *tensors, int64_t count,
                                       const char *const *metadata_keys,
                                       const char *const *metadata_values, int64_t metadata_count,
                                       struct err *e)
{
    int64_t bytes = 0;
    for (int64_t i = 0; i < count; i++)
        bytes += (int64_t)tensors[i].bytes;
    ASSERT(bytes == s->bytes, "%lld bytes of tensors, %lld written", (long long)bytes,
           (long long)s->bytes);
    struct buf header;
    enum err_code code =
        make_header(&header, tensors, count, metadata_keys, metadata_values, metadata_count, e);
    if (code == ERR_OK)
        code = finish_header(s, &header, e);
    else
        safetensors_stream_abandon(s);
    buf_free(&header);
    return code;
}

void safetensors_stream_abandon(struct safetensors_stream *s)
{
    if (s->writer.path)
        file_writer_abandon(&s->writer);
}
