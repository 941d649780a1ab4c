#include "format/mat5.h"

#include <string.h>
#include <zlib.h>

#include "base/shapes.h"

#define HEADER_BYTES 128
#define VARIABLES_MAX 1024
#define FIELDS_MAX 256
#define FIELDS_TOTAL_MAX 65536
#define NAME_BYTES_MAX 256
#define DEPTH_MAX 8
#define INFLATED_MAX_DEFAULT (INT64_C(1) << 30)
#define DEFLATE_RATIO_MAX 1032 /* zlib, "Maximum Compression Factor" */

/* Types of elements. */
enum {
    TYPE_INT8 = 1,
    TYPE_UINT8,
    TYPE_INT16,
    TYPE_UINT16,
    TYPE_INT32,
    TYPE_UINT32,
    TYPE_SINGLE,
    TYPE_DOUBLE = 9,
    TYPE_INT64 = 12,
    TYPE_UINT64,
    TYPE_MATRIX,
    TYPE_COMPRESSED,
    TYPE_UTF8,
    TYPE_UTF16,
    TYPE_UTF32
};

/* Bytes of one value; 0 for what holds no values. */
static int type_bytes(uint32_t type)
{
    static const unsigned char bytes[] = {
        [TYPE_INT8] = 1,  [TYPE_UINT8] = 1,  [TYPE_INT16] = 2,  [TYPE_UINT16] = 2,
        [TYPE_INT32] = 4, [TYPE_UINT32] = 4, [TYPE_SINGLE] = 4, [TYPE_DOUBLE] = 8,
        [TYPE_INT64] = 8, [TYPE_UINT64] = 8, [TYPE_UTF8] = 1,   [TYPE_UTF16] = 2,
        [TYPE_UTF32] = 4,
    };
    return type < sizeof bytes ? bytes[type] : 0;
}

struct parser {
    struct mat5 *m;
    const char *name; /* of the file */
    bool big_endian;
    int64_t inflated_left, fields_left;
    struct err *e;
};

/* Bytes that are still to be read; offset: of `at` in the file, or in the inflated element. */
struct span {
    const unsigned char *at, *end, *start;
    const char *where; /* "byte" or "inflated byte" */
};

struct element {
    uint32_t type;
    size_t bytes;
    const unsigned char *data;
};

#define FAIL_AT(p, s, code, format, ...)                                                           \
    FAIL((p)->e, code, "%s: %s %lld: " format, (p)->name, (s)->where,                              \
         (long long)((s)->at - (s)->start), ##__VA_ARGS__)
#define FAIL_MEMORY(p) FAIL((p)->e, ERR_MEMORY, "%s: out of memory", (p)->name)

static uint32_t word_at(const struct parser *p, const unsigned char *at)
{
    return p->big_endian ? (uint32_t)at[3] | (uint32_t)at[2] << 8 | (uint32_t)at[1] << 16 |
                               (uint32_t)at[0] << 24
                         : (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
                               (uint32_t)at[3] << 24;
}

static enum err_code element_read(struct parser *p, struct span *s, struct element *out)
{
    size_t left = (size_t)(s->end - s->at);
    if (left < 8)
        FAIL_AT(p, s, ERR_TRUNCATED, "%zu bytes where an element should begin", left);
    uint32_t word = word_at(p, s->at);
    if (word >> 16 != 0) { /* a small element */
        *out = (struct element){word & 0xffff, word >> 16, s->at + 4};
        if (out->bytes > 4)
            FAIL_AT(p, s, ERR_FORMAT, "a small element of %zu bytes", out->bytes);
        s->at += 8;
        return ERR_OK;
    }
    *out = (struct element){word, word_at(p, s->at + 4), s->at + 8};
    if (out->bytes > left - 8)
        FAIL_AT(p, s, ERR_TRUNCATED, "an element of %zu bytes, %zu are left", out->bytes, left - 8);
    size_t padded = out->type == TYPE_COMPRESSED ? out->bytes : (out->bytes + 7) / 8 * 8;
    s->at += 8 + (padded < left - 8 ? padded : left - 8); /* the last may lack its padding */
    return ERR_OK;
}

/* An element of one of two types. */
static enum err_code element_expect(struct parser *p, struct span *s, uint32_t type,
                                    uint32_t or_type, const char *what, struct element *out)
{
    struct span before = *s;
    TRY(element_read(p, s, out));
    if (out->type != type && out->type != or_type)
        FAIL_AT(p, &before, ERR_FORMAT, "type %u, where %s should be", out->type, what);
    return ERR_OK;
}

/* A copy of a name of at most `bytes` bytes, ended by the first NUL. */
static enum err_code name_copy(struct parser *p, const struct span *s, const unsigned char *from,
                               size_t bytes, const char **out)
{
    size_t n = strnlen((const char *)from, bytes);
    if (n >= NAME_BYTES_MAX)
        FAIL_AT(p, s, ERR_LIMIT, "a name of %zu bytes", n);
    for (size_t i = 0; i < n; i++)
        if (from[i] <= ' ' || from[i] >= 0x7f)
            FAIL_AT(p, s, ERR_FORMAT, "a name with the byte 0x%02x", from[i]);
    *out = arena_strndup(&p->m->arena, (const char *)from, n);
    if (!*out)
        FAIL_MEMORY(p);
    return ERR_OK;
}

static enum err_code matrix_read(struct parser *p, const struct element *matrix,
                                 const struct span *outer, int depth, struct mat5_array *out);

static enum err_code fields_read(struct parser *p, struct span *s, int depth,
                                 struct mat5_array *out)
{
    struct element length, names;
    TRY(element_expect(p, s, TYPE_INT32, TYPE_INT32, "the length of field names", &length));
    uint32_t each = length.bytes == 4 ? word_at(p, length.data) : 0;
    if (each < 1 || each > NAME_BYTES_MAX)
        FAIL_AT(p, s, ERR_FORMAT, "field names of %u bytes", each);
    TRY(element_expect(p, s, TYPE_INT8, TYPE_UINT8, "field names", &names));
    if (names.bytes % each != 0 || names.bytes / each > FIELDS_MAX)
        FAIL_AT(p, s, names.bytes % each ? ERR_FORMAT : ERR_LIMIT,
                "%zu bytes of field names of %u bytes each (at most %d)", names.bytes, each,
                FIELDS_MAX);
    int64_t count = (int64_t)(names.bytes / each);
    if (out->count != 1)
        return ERR_OK; /* an array of structures is not read */
    if (count > p->fields_left)
        FAIL_AT(p, s, ERR_LIMIT, "more than %d fields in the file", FIELDS_TOTAL_MAX);
    p->fields_left -= count;
    out->fields = arena_push_array(&p->m->arena, (size_t)count, sizeof *out->fields);
    if (!out->fields)
        FAIL_MEMORY(p);
    for (int64_t i = 0; i < count; i++) {
        struct element field;
        const char *name;
        struct span before = *s;
        TRY(name_copy(p, s, names.data + (size_t)i * each, each, &name));
        TRY(element_expect(p, s, TYPE_MATRIX, TYPE_MATRIX, "a field", &field));
        TRY(matrix_read(p, &field, &before, depth + 1, &out->fields[i]));
        out->fields[i].name = name;
        out->field_count++;
    }
    return ERR_OK;
}

static enum err_code values_read(struct parser *p, struct span *s, struct mat5_array *out)
{
    struct element values;
    struct span before = *s;
    TRY(element_read(p, s, &values));
    int bytes = type_bytes(values.type);
    bool is_text = out->class == MAT5_CHAR;
    if (bytes == 0 || (!is_text && values.type >= TYPE_UTF8))
        FAIL_AT(p, &before, ERR_FORMAT, "values of type %u in %s", values.type, out->name);
    out->stored_type = (int)values.type;
    out->stored_count = (int64_t)(values.bytes / (size_t)bytes);
    if (values.bytes % (size_t)bytes != 0 ||
        (out->stored_count != out->count && values.type != TYPE_UTF8))
        FAIL_AT(p, &before, ERR_FORMAT, "%zu bytes for the %lld values of %s", values.bytes,
                (long long)out->count, out->name);
    out->data = values.data;
    out->big_endian = p->big_endian;
    if (!out->is_complex)
        return ERR_OK;
    struct element imaginary;
    TRY(element_read(p, s, &imaginary));
    return ERR_OK;
}

/* What is inside an element of type matrix; where it stands is told by `outer`. */
static enum err_code matrix_read(struct parser *p, const struct element *matrix,
                                 const struct span *outer, int depth, struct mat5_array *out)
{
    struct span inside = {matrix->data, matrix->data + matrix->bytes, outer->start, outer->where};
    struct span *s = &inside;
    struct element flags, shape, name;
    *out = (struct mat5_array){.name = "", .class = MAT5_DOUBLE, .rank = 2};
    if (depth > DEPTH_MAX)
        FAIL_AT(p, outer, ERR_LIMIT, "more than %d levels", DEPTH_MAX);
    if (matrix->bytes == 0)
        return ERR_OK; /* an empty matrix may be written so inside others */
    TRY(element_expect(p, s, TYPE_UINT32, TYPE_UINT32, "the flags of a matrix", &flags));
    if (flags.bytes != 8)
        FAIL_AT(p, s, ERR_FORMAT, "flags of %zu bytes", flags.bytes);
    uint32_t word = word_at(p, flags.data), class = word & 0xff;
    if (class < MAT5_CELL || class > MAT5_OPAQUE)
        FAIL_AT(p, s, ERR_FORMAT, "a matrix of the class %u", class);
    out->class = (enum mat5_class) class;
    out->is_complex = word >> 11 & 1;
    out->is_logical = word >> 9 & 1;
    if (class == MAT5_OPAQUE) /* of a layout of its own */
        return ERR_OK;
    TRY(element_expect(p, s, TYPE_INT32, TYPE_INT32, "dimensions", &shape));
    if (shape.bytes % 4 != 0 || shape.bytes < 8 || shape.bytes > 4 * MAT5_RANK_MAX)
        FAIL_AT(p, s, ERR_FORMAT, "dimensions of %zu bytes", shape.bytes);
    out->rank = (int)(shape.bytes / 4);
    for (int i = 0; i < out->rank; i++)
        out->shape[i] = (int32_t)word_at(p, shape.data + 4 * i);
    if (!shape_numel(out->shape, out->rank, &out->count))
        FAIL_AT(p, s, ERR_FORMAT, "dimensions that are negative or larger than any file");
    TRY(element_expect(p, s, TYPE_INT8, TYPE_UINT8, "a name", &name));
    TRY(name_copy(p, s, name.data, name.bytes, &out->name));
    if (class == MAT5_STRUCT)
        return fields_read(p, s, depth, out);
    if (class == MAT5_CHAR || (class >= MAT5_DOUBLE && class <= MAT5_UINT64))
        return values_read(p, s, out);
    return ERR_OK;
}

/* zlib's answer to one more output. */
static enum err_code inflate_some(struct parser *p, const struct span *at, z_stream *z,
                                  unsigned char *out, size_t bytes, bool is_last)
{
    z->next_out = out;
    z->avail_out = (uInt)bytes;
    int answer = bytes > 0 ? inflate(z, Z_SYNC_FLUSH) : Z_OK;
    while (answer == Z_OK && z->avail_out > 0 && z->avail_in > 0)
        answer = inflate(z, Z_SYNC_FLUSH);
    if (z->avail_out == 0 && is_last && answer != Z_STREAM_END) { /* the check sum follows */
        unsigned char more;
        z->next_out = &more;
        z->avail_out = 1;
        answer = inflate(z, Z_SYNC_FLUSH);
        if (z->avail_out == 0)
            FAIL_AT(p, at, ERR_FORMAT, "a compressed element holds more than its tag says");
        z->avail_out = 0;
    }
    if (answer == Z_MEM_ERROR)
        FAIL_MEMORY(p);
    if (answer < 0 && answer != Z_BUF_ERROR)
        FAIL_AT(p, at, ERR_FORMAT, "a compressed element is damaged: %s",
                z->msg ? z->msg : "bad stream");
    if (z->avail_out > 0 || (is_last && answer != Z_STREAM_END))
        FAIL_AT(p, at, ERR_TRUNCATED, "a compressed element ends early");
    return ERR_OK;
}

static enum err_code inflate_element(struct parser *p, const struct span *at, z_stream *z,
                                     struct element *out)
{
    unsigned char tag[8];
    size_t compressed = z->avail_in;
    TRY(inflate_some(p, at, z, tag, sizeof tag, false));
    *out = (struct element){word_at(p, tag), word_at(p, tag + 4), NULL};
    if (out->type != TYPE_MATRIX)
        FAIL_AT(p, at, ERR_FORMAT, "a compressed element of type %u", out->type);
    if (out->bytes / DEFLATE_RATIO_MAX > compressed)
        FAIL_AT(p, at, ERR_FORMAT, "%zu compressed bytes cannot hold %zu", compressed, out->bytes);
    if ((int64_t)out->bytes > p->inflated_left)
        FAIL_AT(p, at, ERR_LIMIT, "compressed elements hold more than the %lld bytes left",
                (long long)p->inflated_left);
    unsigned char *bytes = arena_push(&p->m->arena, out->bytes);
    if (!bytes)
        FAIL_MEMORY(p);
    p->inflated_left -= (int64_t)out->bytes;
    out->data = bytes;
    return inflate_some(p, at, z, bytes, out->bytes, true);
}

static enum err_code variable_read(struct parser *p, struct span *s, struct mat5_array *out)
{
    struct span before = *s;
    struct element element;
    TRY(element_expect(p, s, TYPE_MATRIX, TYPE_COMPRESSED, "a variable", &element));
    if (element.type == TYPE_MATRIX)
        return matrix_read(p, &element, &before, 0, out);
    z_stream z = {.next_in = (z_const Bytef *)element.data, .avail_in = (uInt)element.bytes};
    if (inflateInit(&z) != Z_OK)
        FAIL_MEMORY(p);
    enum err_code code = inflate_element(p, &before, &z, &element);
    inflateEnd(&z);
    TRY(code);
    struct span inflated = {element.data, element.data + element.bytes, element.data,
                            "inflated byte"};
    return matrix_read(p, &element, &inflated, 0, out);
}

static enum err_code file_read_all(struct parser *p, const unsigned char *data, size_t size)
{
    if (mat5_is_level73(data, size))
        FAIL(p->e, ERR_UNSUPPORTED,
             "%s: a MATLAB file of level 7.3 (HDF5): save it with -v7 or older", p->name);
    if (!mat5_is_level5(data, size))
        FAIL(p->e, ERR_FORMAT, "%s: is no MATLAB file of level 5", p->name);
    if (size < HEADER_BYTES)
        FAIL(p->e, ERR_TRUNCATED, "%s: ends inside the header", p->name);
    const unsigned char *order = data + HEADER_BYTES - 2;
    if (memcmp(order, "IM", 2) != 0 && memcmp(order, "MI", 2) != 0)
        FAIL(p->e, ERR_FORMAT, "%s: the byte order is neither IM nor MI", p->name);
    p->big_endian = order[0] == 'M';
    int version = p->big_endian ? order[-2] << 8 | order[-1] : order[-1] << 8 | order[-2];
    if (version != 0x0100)
        FAIL(p->e, ERR_UNSUPPORTED, "%s: version 0x%04x, expected 0x0100", p->name, version);
    struct span s = {data + HEADER_BYTES, data + size, data, "byte"};
    int64_t cap = 0;
    struct mat5 *m = p->m;
    while (s.at < s.end) {
        if (m->count == VARIABLES_MAX)
            FAIL_AT(p, &s, ERR_LIMIT, "more than %d variables", VARIABLES_MAX);
        if (m->count == cap) {
            cap = cap ? 4 * cap : 16;
            struct mat5_array *grown = arena_push_array(&m->arena, (size_t)cap, sizeof *grown);
            if (!grown)
                FAIL_MEMORY(p);
            if (m->count)
                memcpy(grown, m->arrays, (size_t)m->count * sizeof *grown);
            m->arrays = grown;
        }
        struct span before = s;
        TRY(variable_read(p, &s, &m->arrays[m->count]));
        const char *name = m->arrays[m->count].name;
        if (name[0] && mat5_find(m, name))
            FAIL_AT(p, &before, ERR_FORMAT, "the variable %s is there twice", name);
        m->count++;
    }
    return ERR_OK;
}

enum err_code mat5_parse(struct mat5 *m, const void *data, size_t size, const char *name,
                         int64_t inflated_max, struct err *e)
{
    *m = (struct mat5){0};
    arena_init(&m->arena, "mat5", 0);
    struct parser p = {.m = m,
                       .name = name,
                       .inflated_left = inflated_max > 0 ? inflated_max : INFLATED_MAX_DEFAULT,
                       .fields_left = FIELDS_TOTAL_MAX,
                       .e = e};
    enum err_code code = file_read_all(&p, data, size);
    if (code != ERR_OK)
        mat5_close(m);
    return code;
}

enum err_code mat5_open(struct mat5 *m, const char *path, int64_t inflated_max, struct err *e)
{
    struct file_map map = {0};
    *m = (struct mat5){0};
    TRY(file_map(path, &map, e));
    enum err_code code = mat5_parse(m, map.data, map.size, path, inflated_max, e);
    if (code == ERR_OK)
        m->map = map;
    else
        file_unmap(&map);
    return code;
}

void mat5_close(struct mat5 *m)
{
    arena_reset(&m->arena);
    if (m->map.data)
        file_unmap(&m->map);
    *m = (struct mat5){0};
}

const struct mat5_array *mat5_find(const struct mat5 *m, const char *name)
{
    for (int64_t i = 0; i < m->count; i++)
        if (strcmp(m->arrays[i].name, name) == 0)
            return &m->arrays[i];
    return NULL;
}

const struct mat5_array *mat5_field(const struct mat5_array *a, const char *name)
{
    for (int64_t i = 0; i < a->field_count; i++)
        if (strcmp(a->fields[i].name, name) == 0)
            return &a->fields[i];
    return NULL;
}

/* Values */

bool mat5_is_number(const struct mat5_array *a)
{
    return a->class >= MAT5_DOUBLE && a->class <= MAT5_UINT64 && !a->is_complex &&
           (a->data != NULL || a->count == 0);
}

static uint64_t bits_at(const unsigned char *at, int bytes, bool big_endian)
{
    uint64_t bits = 0;
    for (int i = 0; i < bytes; i++)
        bits |= (uint64_t)at[big_endian ? bytes - 1 - i : i] << 8 * i;
    return bits;
}

/* One value where it lies. */
static double value_at(const unsigned char *at, int type, bool big_endian)
{
    int bytes = type_bytes((uint32_t)type);
    uint64_t bits = bits_at(at, bytes, big_endian), sign = UINT64_C(1) << (8 * bytes - 1);
    uint32_t low = (uint32_t)bits;
    double wide;
    float narrow;
    switch (type) {
    case TYPE_DOUBLE:
        memcpy(&wide, &bits, sizeof wide);
        return wide;
    case TYPE_SINGLE:
        memcpy(&narrow, &low, sizeof narrow);
        return (double)narrow;
    case TYPE_INT8:
    case TYPE_INT16:
    case TYPE_INT32:
    case TYPE_INT64:
        return (double)(int64_t)((bits ^ sign) - sign);
    default:
        return (double)bits;
    }
}

double mat5_value(const struct mat5_array *a, int64_t i)
{
    ASSERT(a->data && i >= 0 && i < a->stored_count, "value %lld of %lld", (long long)i,
           (long long)a->stored_count);
    int bytes = type_bytes((uint32_t)a->stored_type);
    return value_at(a->data + i * bytes, a->stored_type, a->big_endian);
}

void mat5_rows_f32(const struct mat5_array *a, float *out)
{
    ASSERT(mat5_is_number(a) && a->rank == 2, "no matrix of numbers");
    int64_t rows = a->shape[0], columns = a->shape[1];
    int bytes = type_bytes((uint32_t)a->stored_type);
    for (int64_t c = 0; c < columns; c++)
        for (int64_t r = 0; r < rows; r++)
            out[r * columns + c] =
                (float)value_at(a->data + (c * rows + r) * bytes, a->stored_type, a->big_endian);
}

bool mat5_scalar(const struct mat5_array *a, double *out)
{
    if (!a || !mat5_is_number(a) || a->count != 1)
        return false;
    *out = mat5_value(a, 0);
    return true;
}

bool mat5_text(const struct mat5_array *a, char *out, size_t size)
{
    if (!a || a->class != MAT5_CHAR || !a->data || size == 0)
        return false;
    int bytes = type_bytes((uint32_t)a->stored_type);
    size_t n = (uint64_t)a->stored_count < size ? (size_t)a->stored_count : size - 1;
    for (size_t i = 0; i < n; i++) {
        uint64_t c = bits_at(a->data + i * (size_t)bytes, bytes, a->big_endian);
        out[i] = c >= ' ' && c < 0x7f ? (char)c : '?';
    }
    out[n] = '\0';
    return true;
}

/* Recognition */

static bool begins(const unsigned char *head, size_t size, const char *text)
{
    return size >= strlen(text) && memcmp(head, text, strlen(text)) == 0;
}

bool mat5_is_level5(const unsigned char *head, size_t size)
{
    return begins(head, size, "MATLAB 5.0 MAT-file");
}

bool mat5_is_level73(const unsigned char *head, size_t size)
{
    return begins(head, size, "MATLAB 7.3 MAT-file") || begins(head, size, "\x89HDF\r\n\x1a\n");
}
