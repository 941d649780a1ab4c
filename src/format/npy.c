#include "format/npy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/shapes.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "values are written as they lie in memory, little-endian"
#endif

#define HEADER_BYTES_MAX ((size_t)1 << 16)

/* Reading: the header */

/* A position in the header; `where` names the file. */
struct cursor {
    const char *at, *end;
    const char *start;
    const char *where;
    struct err *e;
};

#define FAIL_AT(c, format, ...)                                                                    \
    FAIL((c)->e, ERR_FORMAT, "%s: byte %lld of the header: " format, (c)->where,                   \
         (long long)((c)->at - (c)->start), ##__VA_ARGS__)

static char peek(struct cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\t'))
        c->at++;
    return c->at < c->end ? *c->at : '\0';
}

static bool accept(struct cursor *c, char wanted)
{
    if (peek(c) != wanted)
        return false;
    c->at++;
    return true;
}

static bool accept_word(struct cursor *c, const char *word)
{
    size_t n = strlen(word);
    peek(c);
    if ((size_t)(c->end - c->at) < n || memcmp(c->at, word, n) != 0)
        return false;
    c->at += n;
    return true;
}

/* A quoted text without escapes, cut to fit. */
static enum err_code text_read(struct cursor *c, char *out, size_t size)
{
    char quote = peek(c);
    if (quote != '\'' && quote != '"')
        FAIL_AT(c, "expected a quoted text");
    const char *begin = ++c->at;
    while (c->at < c->end && *c->at != quote && *c->at != '\\' && (unsigned char)*c->at >= ' ')
        c->at++;
    if (c->at == c->end || *c->at != quote)
        FAIL_AT(c, "a text without an end");
    size_t n = (size_t)(c->at++ - begin);
    if (n >= size)
        n = size - 1;
    memcpy(out, begin, n);
    out[n] = '\0';
    return ERR_OK;
}

/* (), (3,), (3, 4) and, as Python 2 wrote them, (3L, 4L). */
static enum err_code shape_read(struct cursor *c, struct npy *n)
{
    if (!accept(c, '('))
        FAIL_AT(c, "expected ( before the shape");
    bool comma = true;
    n->rank = 0;
    while (!accept(c, ')')) {
        char digit = peek(c);
        if (!comma || digit < '0' || digit > '9')
            FAIL_AT(c, "expected a number or ) in the shape");
        int64_t extent = 0;
        for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++) {
            if (extent > (INT64_MAX - 9) / 10)
                FAIL_AT(c, "an extent is larger than any file");
            extent = 10 * extent + (*c->at - '0');
        }
        if (c->at < c->end && *c->at == 'L')
            c->at++;
        if (n->rank == NPY_RANK_MAX)
            FAIL(c->e, ERR_LIMIT, "%s: more than %d dimensions", c->where, NPY_RANK_MAX);
        n->shape[n->rank++] = extent;
        comma = accept(c, ',');
    }
    if (n->rank == 1 && !comma)
        FAIL_AT(c, "a shape of one extent without its comma");
    return ERR_OK;
}

/* "<f4": byte order, kind, bytes. */
static enum err_code type_read(struct cursor *c, struct npy *n)
{
    char text[32] = "";
    if (peek(c) == '[')
        FAIL(c->e, ERR_UNSUPPORTED, "%s: holds structures, not plain numbers", c->where);
    TRY(text_read(c, text, sizeof text));
    static const char *const sizes[] = {"f248", "i1248", "u1248", "b1"};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
        if (strlen(text) == 3 && text[1] == sizes[k][0] && strchr(sizes[k] + 1, text[2]) != NULL) {
            n->kind = text[1];
            n->item_bytes = text[2] - '0';
        }
    bool ordered = text[0] == '<' || text[0] == '>' || (text[0] == '|' && n->item_bytes == 1);
    if (n->item_bytes == 0 || !ordered)
        FAIL(c->e, ERR_UNSUPPORTED,
             "%s: the type \"%s\" is not read: expected floats, integers or bool%s", c->where, text,
             strchr(text, 'O') ? " (objects are pickles, which could run programs)" : "");
    n->big_endian = text[0] == '>';
    return ERR_OK;
}

static enum err_code dictionary_read(struct cursor *c, struct npy *n)
{
    static const char *const keys[] = {"descr", "fortran_order", "shape"};
    bool seen[3] = {false, false, false}, comma = true;
    if (!accept(c, '{'))
        FAIL_AT(c, "expected a dictionary");
    while (!accept(c, '}')) {
        char key[32];
        if (!comma)
            FAIL_AT(c, "expected , or }");
        TRY(text_read(c, key, sizeof key));
        size_t k = 0;
        while (k < 3 && strcmp(key, keys[k]) != 0)
            k++;
        if (k == 3 || seen[k])
            FAIL_AT(c, "the key \"%s\" is %s", key, k == 3 ? "unknown" : "given twice");
        seen[k] = true;
        if (!accept(c, ':'))
            FAIL_AT(c, "expected : after \"%s\"", key);
        if (k == 0)
            TRY(type_read(c, n));
        else if (k == 2)
            TRY(shape_read(c, n));
        else if (!accept_word(c, "True") && !accept_word(c, "False"))
            FAIL_AT(c, "expected True or False");
        else
            n->fortran_order = c->at[-2] == 'u';
        comma = accept(c, ',');
    }
    for (size_t k = 0; k < 3; k++)
        if (!seen[k])
            FAIL_AT(c, "the key \"%s\" is missing", keys[k]);
    if (peek(c) != '\0' || c->at != c->end)
        FAIL_AT(c, "something follows the dictionary");
    return ERR_OK;
}

static enum err_code parse(struct npy *n, const unsigned char *data, size_t size, const char *name,
                           struct err *e)
{
    if (size < 10 || memcmp(data, "\x93NUMPY", 6) != 0)
        FAIL(e, ERR_FORMAT, "%s: is no .npy file", name);
    int version = data[6];
    if (version < 1 || version > 3 || data[7] != 0)
        FAIL(e, ERR_UNSUPPORTED, "%s: version %d.%d of .npy: 1.0, 2.0 and 3.0 are read", name,
             version, data[7]);
    size_t prefix = version == 1 ? 10 : 12, length = data[8] + 256u * data[9];
    if (size >= prefix && version > 1)
        length += ((size_t)data[10] << 16) + ((size_t)data[11] << 24);
    if (length > HEADER_BYTES_MAX)
        FAIL(e, ERR_LIMIT, "%s: a header of %zu bytes", name, length);
    if (size < prefix || length > size - prefix)
        FAIL(e, ERR_TRUNCATED, "%s: ends inside the header", name);
    const char *text = (const char *)data + prefix;
    struct cursor c = {.at = text, .end = text + length, .start = text, .where = name, .e = e};
    TRY(dictionary_read(&c, n));
    int64_t bytes;
    if (!shape_numel(n->shape, n->rank, &n->count) || !mul_i64(n->count, n->item_bytes, &bytes))
        FAIL(e, ERR_FORMAT, "%s: the shape is larger than any file", name);
    size_t found = size - prefix - length;
    if ((uint64_t)bytes != found)
        FAIL(e, (uint64_t)bytes > found ? ERR_TRUNCATED : ERR_FORMAT,
             "%s: the shape takes %lld bytes, %zu follow the header", name, (long long)bytes,
             found);
    n->data = data + prefix + length;
    return ERR_OK;
}

enum err_code npy_parse(struct npy *n, const void *data, size_t size, const char *name,
                        struct err *e)
{
    *n = (struct npy){0};
    enum err_code code = parse(n, data, size, name, e);
    if (code != ERR_OK)
        *n = (struct npy){0};
    return code;
}

enum err_code npy_open(struct npy *n, const char *path, struct err *e)
{
    struct file_map map = {0};
    *n = (struct npy){0};
    TRY(file_map(path, &map, e));
    bool pickled = map.size > 0 && *(const unsigned char *)map.data == 0x80;
    enum err_code code = pickled ? npy_parse_pickle(n, map.data, map.size, path, e)
                                 : npy_parse(n, map.data, map.size, path, e);
    if (code == ERR_OK && !pickled)
        n->map = map;
    else
        file_unmap(&map);
    return code;
}

void npy_close(struct npy *n)
{
    if (n->map.data)
        file_unmap(&n->map);
    free(n->owned);
    *n = (struct npy){0};
}

const char *npy_type_name(const struct npy *n)
{
    static const char *const names[3][4] = {{"", "float16", "float32", "float64"},
                                            {"int8", "int16", "int32", "int64"},
                                            {"uint8", "uint16", "uint32", "uint64"}};
    int size = n->item_bytes == 8 ? 3 : n->item_bytes / 2;
    return n->kind == 'b' ? "bool" : names[n->kind == 'f' ? 0 : n->kind == 'i' ? 1 : 2][size];
}

/* Reading: the values */

static double half_to_f64(uint64_t bits)
{
    int exponent = (int)(bits >> 10 & 31);
    double fraction = (double)(bits & 1023), value;
    if (exponent == 31)
        value = fraction > 0 ? (double)NAN : (double)INFINITY;
    else
        value = exponent == 0 ? ldexp(fraction, -24) : ldexp(fraction + 1024, exponent - 25);
    return bits >> 15 & 1 ? -value : value;
}

static double value_at(const struct npy *n, int64_t i)
{
    const unsigned char *p = n->data + i * n->item_bytes;
    uint64_t bits = 0;
    for (int b = 0; b < n->item_bytes; b++)
        bits |= (uint64_t)p[n->big_endian ? n->item_bytes - 1 - b : b] << 8 * b;
    if (n->kind == 'b')
        return bits != 0;
    if (n->kind == 'u')
        return (double)bits;
    if (n->kind == 'i') {
        uint64_t sign = UINT64_C(1) << (8 * n->item_bytes - 1);
        return (double)((int64_t)((bits ^ sign) - sign));
    }
    if (n->item_bytes == 2)
        return half_to_f64(bits);
    if (n->item_bytes == 8) {
        double value;
        memcpy(&value, &bits, sizeof value);
        return value;
    }
    uint32_t low = (uint32_t)bits;
    float value;
    memcpy(&value, &low, sizeof value);
    return value;
}

/* Walks a range of C order through the file's order. */
struct walk {
    const struct npy *n;
    int64_t index[NPY_RANK_MAX], stride[NPY_RANK_MAX]; /* in values of the file */
    int64_t at;
};

static void walk_init(struct walk *w, const struct npy *n, int64_t begin, int64_t count)
{
    ASSERT(begin >= 0 && count >= 0 && begin <= n->count - count, "values %lld to %lld of %lld",
           (long long)begin, (long long)(begin + count), (long long)n->count);
    *w = (struct walk){.n = n};
    int64_t step = 1;
    for (int i = 0; i < n->rank && count > 0; i++) {
        int axis = n->fortran_order ? i : n->rank - 1 - i;
        w->stride[axis] = step;
        step *= n->shape[axis];
    }
    for (int axis = n->rank; axis-- > 0 && count > 0;) {
        w->index[axis] = begin % n->shape[axis];
        begin /= n->shape[axis];
        w->at += w->index[axis] * w->stride[axis];
    }
}

static double walk_next(struct walk *w)
{
    double value = value_at(w->n, w->at);
    for (int axis = w->n->rank; axis-- > 0;) {
        w->at += w->stride[axis];
        if (++w->index[axis] < w->n->shape[axis])
            break;
        w->at -= w->index[axis] * w->stride[axis];
        w->index[axis] = 0;
    }
    return value;
}

/* The values lie in the file as they are wanted. */
static bool is_plain(const struct npy *n, int item_bytes)
{
    return n->kind == 'f' && n->item_bytes == item_bytes && !n->big_endian &&
           (!n->fortran_order || n->rank < 2);
}

void npy_read_f32(const struct npy *n, int64_t begin, int64_t count, float *out)
{
    struct walk w;
    walk_init(&w, n, begin, count);
    if (is_plain(n, 4) && count > 0)
        memcpy(out, n->data + begin * 4, (size_t)count * 4);
    else
        for (int64_t i = 0; i < count; i++)
            out[i] = (float)walk_next(&w);
}

void npy_read_f64(const struct npy *n, int64_t begin, int64_t count, double *out)
{
    struct walk w;
    walk_init(&w, n, begin, count);
    if (is_plain(n, 8) && count > 0)
        memcpy(out, n->data + begin * 8, (size_t)count * 8);
    else
        for (int64_t i = 0; i < count; i++)
            out[i] = walk_next(&w);
}

/* Writing */

enum err_code npy_write_f32(const char *path, const float *data, const int64_t *shape, int rank,
                            struct err *e)
{
    int64_t numel, bytes;
    ASSERT(rank >= 1 && rank <= 8 && shape_numel(shape, rank, &numel) &&
               mul_i64(numel, sizeof *data, &bytes),
           "npy: shape of rank %d", rank);

    /* magic, version 1.0, u16 header length, then a Python dict padded with spaces and closed by a
     * newline so that the data begin at a multiple of 64 */
    static const char magic[] = "\x93NUMPY\x01\x00";
    char dict[256];
    struct buf text;
    buf_init(&text, 0);
    buf_puts(&text, "{'descr': '<f4', 'fortran_order': False, 'shape': (");
    for (int i = 0; i < rank; i++)
        buf_printf(&text, "%s%lld", i ? ", " : "", (long long)shape[i]);
    buf_puts(&text, rank == 1 ? ",), }" : "), }");
    if (text.failed) {
        buf_free(&text);
        FAIL(e, ERR_MEMORY, "%s: out of memory for the header", path);
    }
    size_t prefix = sizeof magic - 1 + 2;
    size_t length = (prefix + text.len + 1 + 63) / 64 * 64 - prefix;
    ASSERT(length <= sizeof dict, "npy: header of %zu bytes", length);
    memset(dict, ' ', length);
    memcpy(dict, text.data, text.len);
    dict[length - 1] = '\n';
    buf_free(&text);

    struct file_writer writer;
    uint16_t length16 = (uint16_t)length;
    TRY(file_writer_open(&writer, path, e));
    file_writer_write(&writer, magic, sizeof magic - 1);
    file_writer_write(&writer, &length16, sizeof length16);
    file_writer_write(&writer, dict, length);
    if (bytes)
        file_writer_write(&writer, data, (size_t)bytes);
    return file_writer_commit(&writer, e);
}
