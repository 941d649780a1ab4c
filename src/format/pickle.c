#include "format/pickle.h"

#include <stdlib.h>
#include <string.h>

#include "base/named.h"
#include "base/str.h"

#define VALUES_MAX (INT64_C(1) << 20)
#define STACK_MAX (INT64_C(1) << 20)
#define MEMO_MAX (INT64_C(1) << 20)
#define EXPANDED_MAX (INT64_C(1) << 22)
#define GLOBAL_MAX_BYTES 200

enum opcode {
    OP_MARK = '(',
    OP_STOP = '.',
    OP_EMPTY_TUPLE = ')',
    OP_EMPTY_LIST = ']',
    OP_EMPTY_DICT = '}',
    OP_APPEND = 'a',
    OP_APPENDS = 'e',
    OP_BUILD = 'b',
    OP_GLOBAL = 'c',
    OP_BINGET = 'h',
    OP_LONG_BINGET = 'j',
    OP_BINPUT = 'q',
    OP_LONG_BINPUT = 'r',
    OP_SETITEM = 's',
    OP_SETITEMS = 'u',
    OP_TUPLE = 't',
    OP_BINFLOAT = 'G',
    OP_BININT = 'J',
    OP_BININT1 = 'K',
    OP_BININT2 = 'M',
    OP_NONE = 'N',
    OP_BINPERSID = 'Q',
    OP_REDUCE = 'R',
    OP_BINUNICODE = 'X',
    OP_PROTO = 0x80,
    OP_TUPLE1 = 0x85,
    OP_TUPLE2 = 0x86,
    OP_TUPLE3 = 0x87,
    OP_NEWTRUE = 0x88,
    OP_NEWFALSE = 0x89,
    OP_LONG1 = 0x8a,
    OP_SHORT_BINUNICODE = 0x8c
};

/* ---- reading ---- */

struct list {
    struct pickle_value **items;
    int64_t count, cap;
};

struct machine {
    const unsigned char *begin, *at, *end;
    const struct pickle_host *host;
    struct arena *arena;
    struct list stack, memo;
    int64_t marks[PICKLE_DEPTH_MAX + 2]; /* heights of the stack */
    int mark_count;
    int64_t value_count, item_count; /* values made; places in containers */
    struct pickle_value *spare;      /* values are cut from blocks */
    int64_t spare_count;
    struct err *e;
};

#define AT(m) ((size_t)((m)->at - (m)->begin))

static enum err_code room(struct machine *m, struct list *l, int64_t count, int64_t max,
                          const char *what)
{
    if (count <= l->cap)
        return ERR_OK;
    if (count > max)
        FAIL(m->e, ERR_LIMIT, "pickle byte %zu: more than %lld %s", AT(m), (long long)max, what);
    int64_t cap = l->cap ? l->cap : 64;
    while (cap < count)
        cap *= 2;
    struct pickle_value **items = realloc(l->items, (size_t)cap * sizeof(struct pickle_value *));
    if (!items)
        FAIL(m->e, ERR_MEMORY, "pickle: out of memory for %lld %s", (long long)cap, what);
    memset(items + l->cap, 0, (size_t)(cap - l->cap) * sizeof(struct pickle_value *));
    l->items = items;
    l->cap = cap;
    return ERR_OK;
}

static enum err_code value_new(struct machine *m, enum pickle_kind kind, struct pickle_value **out)
{
    enum { BLOCK = 128 };
    if (m->value_count >= VALUES_MAX)
        FAIL(m->e, ERR_LIMIT, "pickle byte %zu: more than %lld values", AT(m),
             (long long)VALUES_MAX);
    if (m->spare_count == 0) {
        m->spare = arena_push_array(m->arena, BLOCK, sizeof *m->spare);
        if (!m->spare)
            FAIL(m->e, ERR_MEMORY, "pickle byte %zu: out of memory", AT(m));
        m->spare_count = BLOCK;
    }
    *out = m->spare++;
    m->spare_count--;
    m->value_count++;
    (*out)->kind = kind;
    return ERR_OK;
}

static enum err_code push(struct machine *m, struct pickle_value *v)
{
    TRY(room(m, &m->stack, m->stack.count + 1, STACK_MAX, "values on the stack"));
    m->stack.items[m->stack.count++] = v;
    return ERR_OK;
}

static enum err_code push_new(struct machine *m, enum pickle_kind kind, struct pickle_value **out)
{
    TRY(value_new(m, kind, out));
    return push(m, *out);
}

/* Takes the topmost value; those below the last mark are not in reach. */
static enum err_code pop(struct machine *m, struct pickle_value **out)
{
    int64_t floor = m->mark_count ? m->marks[m->mark_count - 1] : 0;
    if (m->stack.count <= floor)
        FAIL(m->e, ERR_FORMAT, "pickle byte %zu: the stack has no value for opcode 0x%02x", AT(m),
             m->at[-1]);
    *out = m->stack.items[--m->stack.count];
    return ERR_OK;
}

/* The values since the last mark, which goes: they stay readable until the next push. */
static enum err_code pop_mark(struct machine *m, struct pickle_value ***items, int64_t *count)
{
    if (m->mark_count == 0)
        FAIL(m->e, ERR_FORMAT, "pickle byte %zu: no mark on the stack", AT(m));
    int64_t height = m->marks[--m->mark_count];
    *items = m->stack.items + height;
    *count = m->stack.count - height;
    m->stack.count = height;
    return ERR_OK;
}

static enum err_code take(struct machine *m, size_t size, const unsigned char **out)
{
    if ((size_t)(m->end - m->at) < size)
        FAIL(m->e, ERR_TRUNCATED, "pickle byte %zu: %zu bytes of %zu are there", AT(m),
             (size_t)(m->end - m->at), size);
    *out = m->at;
    m->at += size;
    return ERR_OK;
}

/* An unsigned little-endian number of up to 8 bytes. */
static enum err_code take_number(struct machine *m, size_t size, uint64_t *out)
{
    const unsigned char *p;
    *out = 0;
    TRY(take(m, size, &p));
    for (size_t i = size; i-- > 0;)
        *out = *out << 8 | p[i];
    return ERR_OK;
}

static enum err_code push_int(struct machine *m, int64_t value)
{
    struct pickle_value *v;
    TRY(push_new(m, PICKLE_INT, &v));
    v->integer = value;
    return ERR_OK;
}

static enum err_code push_bool(struct machine *m, bool value)
{
    struct pickle_value *v;
    TRY(push_new(m, PICKLE_BOOL, &v));
    v->truth = value;
    return ERR_OK;
}

static enum err_code push_long(struct machine *m)
{
    uint64_t length, value;
    TRY(take_number(m, 1, &length));
    if (length > 8)
        FAIL(m->e, ERR_LIMIT, "pickle byte %zu: a whole number of %llu bytes, at most 8 are read",
             AT(m), (unsigned long long)length);
    TRY(take_number(m, (size_t)length, &value));
    if (length > 0 && length < 8 && value >> (8 * length - 1))
        value |= UINT64_MAX << (8 * length); /* two's complement */
    return push_int(m, (int64_t)value);
}

static enum err_code push_float(struct machine *m)
{
    const unsigned char *p;
    uint64_t bits = 0;
    TRY(take(m, 8, &p));
    for (int i = 0; i < 8; i++) /* big-endian */
        bits = bits << 8 | p[i];
    struct pickle_value *v;
    TRY(push_new(m, PICKLE_FLOAT, &v));
    memcpy(&v->real, &bits, sizeof bits);
    return ERR_OK;
}

static enum err_code push_text(struct machine *m, size_t length_bytes)
{
    uint64_t length;
    const unsigned char *p;
    TRY(take_number(m, length_bytes, &length));
    TRY(take(m, (size_t)length, &p));
    const char *text = (const char *)p;
    for (size_t at = 0, n; at < length; at += n) {
        n = str_utf8_length(text + at, (size_t)length - at);
        if (n == 0 || text[at] == '\0')
            FAIL(m->e, ERR_FORMAT, "pickle byte %zu: text that is not UTF-8, or holds a NUL",
                 AT(m) - (size_t)length + at);
    }
    struct pickle_value *v;
    TRY(push_new(m, PICKLE_TEXT, &v));
    v->text = arena_strndup(m->arena, text, (size_t)length);
    if (!v->text)
        FAIL(m->e, ERR_MEMORY, "pickle byte %zu: out of memory", AT(m));
    return ERR_OK;
}

/* A line of printable ASCII. */
static enum err_code take_line(struct machine *m, const char **out, size_t *length)
{
    const unsigned char *p = m->at;
    while (m->at<m->end && * m->at> ' ' && *m->at < 0x7f)
        m->at++;
    *out = (const char *)p;
    *length = (size_t)(m->at - p);
    if (m->at == m->end || *m->at != '\n' || *length == 0 || *length > GLOBAL_MAX_BYTES)
        FAIL(m->e, ERR_FORMAT, "pickle byte %zu: expected the name of a global on a line", AT(m));
    m->at++;
    return ERR_OK;
}

static enum err_code push_global(struct machine *m)
{
    const char *module, *name;
    size_t module_bytes, name_bytes;
    TRY(take_line(m, &module, &module_bytes));
    TRY(take_line(m, &name, &name_bytes));
    for (int i = 0; m->host->globals[i]; i++) {
        const char *known = m->host->globals[i];
        if (strlen(known) == module_bytes + 1 + name_bytes &&
            memcmp(known, module, module_bytes) == 0 && known[module_bytes] == ' ' &&
            memcmp(known + module_bytes + 1, name, name_bytes) == 0) {
            struct pickle_value *v;
            TRY(push_new(m, PICKLE_GLOBAL, &v));
            v->integer = i;
            return ERR_OK;
        }
    }
    FAIL(m->e, ERR_UNSUPPORTED,
         "pickle byte %zu: global %.*s.%.*s is none of those that a checkpoint of tensors needs: "
         "nothing of it is executed",
         AT(m), (int)module_bytes, module, (int)name_bytes, name);
}

/* Moves values into a tuple, list or dictionary. */
static enum err_code container_add(struct machine *m, struct pickle_value *c,
                                   struct pickle_value *const *items, int64_t count)
{
    if (count > EXPANDED_MAX - m->item_count)
        FAIL(m->e, ERR_LIMIT, "pickle byte %zu: more than %lld items", AT(m),
             (long long)EXPANDED_MAX);
    m->item_count += count;
    if (count > c->cap - c->count) {
        int64_t cap = c->cap ? c->cap : c->kind == PICKLE_TUPLE ? count : 8;
        while (cap < c->count + count)
            cap *= 2;
        struct pickle_value **larger =
            arena_push_array(m->arena, (size_t)cap, sizeof(struct pickle_value *));
        if (!larger)
            FAIL(m->e, ERR_MEMORY, "pickle byte %zu: out of memory", AT(m));
        if (c->count)
            memcpy(larger, c->items, (size_t)c->count * sizeof(struct pickle_value *));
        c->items = larger;
        c->cap = cap;
    }
    if (count)
        memcpy(c->items + c->count, items, (size_t)count * sizeof(struct pickle_value *));
    c->count += count;
    return ERR_OK;
}

static enum err_code push_tuple(struct machine *m, struct pickle_value *const *items, int64_t count)
{
    struct pickle_value *v;
    TRY(value_new(m, PICKLE_TUPLE, &v));
    TRY(container_add(m, v, items, count));
    return push(m, v);
}

static enum err_code push_small_tuple(struct machine *m, int count)
{
    struct pickle_value *items[3];
    for (int i = count; i-- > 0;)
        TRY(pop(m, &items[i]));
    return push_tuple(m, items, count);
}

static enum err_code add_to_top(struct machine *m, enum pickle_kind kind,
                                struct pickle_value *const *items, int64_t count)
{
    struct pickle_value *c;
    TRY(pop(m, &c));
    if (c->kind != kind)
        FAIL(m->e, ERR_FORMAT, "pickle byte %zu: items for what is no %s", AT(m),
             kind == PICKLE_DICT ? "dictionary" : "list");
    if (kind == PICKLE_DICT) {
        if (count % 2)
            FAIL(m->e, ERR_FORMAT, "pickle byte %zu: a key without a value", AT(m));
        for (int64_t i = 0; i < count; i += 2)
            if (items[i]->kind > PICKLE_TEXT)
                FAIL(m->e, ERR_UNSUPPORTED, "pickle byte %zu: a key that is no text or number",
                     AT(m));
    }
    TRY(container_add(m, c, items, count));
    m->stack.count++; /* it is still there */
    return ERR_OK;
}

static enum err_code add_marked(struct machine *m, enum pickle_kind kind)
{
    struct pickle_value **items;
    int64_t count;
    TRY(pop_mark(m, &items, &count));
    return add_to_top(m, kind, items, count);
}

static enum err_code add_few(struct machine *m, enum pickle_kind kind, int count)
{
    struct pickle_value *items[2];
    for (int i = count; i-- > 0;)
        TRY(pop(m, &items[i]));
    return add_to_top(m, kind, items, count);
}

static enum err_code memo_put(struct machine *m, size_t index_bytes)
{
    uint64_t index;
    struct pickle_value *v;
    TRY(take_number(m, index_bytes, &index));
    if (index >= (uint64_t)MEMO_MAX)
        FAIL(m->e, ERR_LIMIT, "pickle byte %zu: memo %llu, at most %lld are kept", AT(m),
             (unsigned long long)index, (long long)MEMO_MAX);
    TRY(pop(m, &v));
    m->stack.count++;
    TRY(room(m, &m->memo, (int64_t)index + 1, MEMO_MAX, "memos"));
    m->memo.items[index] = v;
    return ERR_OK;
}

static enum err_code memo_get(struct machine *m, size_t index_bytes)
{
    uint64_t index;
    TRY(take_number(m, index_bytes, &index));
    if (index >= (uint64_t)m->memo.cap || !m->memo.items[index])
        FAIL(m->e, ERR_FORMAT, "pickle byte %zu: memo %llu was never put", AT(m),
             (unsigned long long)index);
    return push(m, m->memo.items[index]);
}

static enum err_code reduce(struct machine *m)
{
    struct pickle_value *arguments, *callable, *v;
    TRY(pop(m, &arguments));
    TRY(pop(m, &callable));
    if (callable->kind != PICKLE_GLOBAL || arguments->kind != PICKLE_TUPLE)
        FAIL(m->e, ERR_FORMAT, "pickle byte %zu: REDUCE of what is no global with a tuple", AT(m));
    TRY(push_new(m, PICKLE_NONE, &v));
    return m->host->reduce(m->host->context, callable->integer, arguments, v, m->e);
}

static enum err_code persistent(struct machine *m)
{
    struct pickle_value *id, *v;
    TRY(pop(m, &id));
    TRY(push_new(m, PICKLE_NONE, &v));
    return m->host->persistent(m->host->context, id, v, m->e);
}

/* The state of an ordered dictionary is its attributes (torch's _metadata): dropped. */
static enum err_code build(struct machine *m)
{
    struct pickle_value *state, *v;
    TRY(pop(m, &state));
    TRY(pop(m, &v));
    if (v->kind != PICKLE_DICT || !v->ordered || state->kind != PICKLE_DICT)
        FAIL(m->e, ERR_UNSUPPORTED, "pickle byte %zu: BUILD of what is no ordered dictionary",
             AT(m));
    return push(m, v);
}

static enum err_code mark(struct machine *m)
{
    if (m->mark_count > PICKLE_DEPTH_MAX)
        FAIL(m->e, ERR_LIMIT, "pickle byte %zu: nested deeper than %d", AT(m), PICKLE_DEPTH_MAX);
    m->marks[m->mark_count++] = m->stack.count;
    return ERR_OK;
}

static enum err_code step(struct machine *m, unsigned opcode)
{
    uint64_t number;
    struct pickle_value *v, **items;
    int64_t count;
    switch (opcode) {
    case OP_MARK:
        return mark(m);
    case OP_NONE:
        return push_new(m, PICKLE_NONE, &v);
    case OP_NEWTRUE:
        return push_bool(m, true);
    case OP_NEWFALSE:
        return push_bool(m, false);
    case OP_BININT:
        TRY(take_number(m, 4, &number));
        return push_int(m, (int32_t)(uint32_t)number);
    case OP_BININT1:
        TRY(take_number(m, 1, &number));
        return push_int(m, (int64_t)number);
    case OP_BININT2:
        TRY(take_number(m, 2, &number));
        return push_int(m, (int64_t)number);
    case OP_LONG1:
        return push_long(m);
    case OP_BINFLOAT:
        return push_float(m);
    case OP_BINUNICODE:
        return push_text(m, 4);
    case OP_SHORT_BINUNICODE:
        return push_text(m, 1);
    case OP_EMPTY_TUPLE:
        return push_tuple(m, NULL, 0);
    case OP_TUPLE1:
        return push_small_tuple(m, 1);
    case OP_TUPLE2:
        return push_small_tuple(m, 2);
    case OP_TUPLE3:
        return push_small_tuple(m, 3);
    case OP_TUPLE:
        TRY(pop_mark(m, &items, &count));
        return push_tuple(m, items, count);
    case OP_EMPTY_LIST:
        return push_new(m, PICKLE_LIST, &v);
    case OP_EMPTY_DICT:
        return push_new(m, PICKLE_DICT, &v);
    case OP_APPEND:
        return add_few(m, PICKLE_LIST, 1);
    case OP_APPENDS:
        return add_marked(m, PICKLE_LIST);
    case OP_SETITEM:
        return add_few(m, PICKLE_DICT, 2);
    case OP_SETITEMS:
        return add_marked(m, PICKLE_DICT);
    case OP_BINPUT:
        return memo_put(m, 1);
    case OP_LONG_BINPUT:
        return memo_put(m, 4);
    case OP_BINGET:
        return memo_get(m, 1);
    case OP_LONG_BINGET:
        return memo_get(m, 4);
    case OP_GLOBAL:
        return push_global(m);
    case OP_REDUCE:
        return reduce(m);
    case OP_BUILD:
        return build(m);
    case OP_BINPERSID:
        return persistent(m);
    default:
        FAIL(m->e, ERR_UNSUPPORTED,
             "pickle byte %zu: opcode 0x%02x is none of those that a checkpoint of tensors needs",
             AT(m) - 1, opcode);
    }
}

static enum err_code check_keys(const struct pickle_value *dict, struct err *e)
{
    const char **keys = calloc((size_t)dict->count / 2 + 1, sizeof *keys);
    if (!keys)
        FAIL(e, ERR_MEMORY, "pickle: out of memory for the keys of a dictionary");
    int64_t n = 0;
    for (int64_t i = 0; i < dict->count; i += 2)
        if (dict->items[i]->kind == PICKLE_TEXT)
            keys[n++] = dict->items[i]->text;
    const char *twice = names_twice(keys, n);
    free(keys);
    if (twice)
        FAIL(e, ERR_FORMAT, "pickle: key \"%.100s\" occurs twice in a dictionary", twice);
    return ERR_OK;
}

/* Counts what is in a value, so that whoever walks it later may do so without fear. */
static enum err_code check_value(struct pickle_value *v, int level, struct err *e)
{
    if (v->weight < 0)
        FAIL(e, ERR_FORMAT, "pickle: a value contains itself");
    if (level + v->depth > PICKLE_DEPTH_MAX)
        FAIL(e, ERR_LIMIT, "pickle: nested deeper than %d", PICKLE_DEPTH_MAX);
    if (v->weight > 0)
        return ERR_OK;
    if (v->kind == PICKLE_GLOBAL || (v->kind == PICKLE_OBJECT && v->transient))
        FAIL(e, ERR_FORMAT, "pickle: a class or storage stands where a value is expected");
    int64_t weight = 1;
    if (v->kind == PICKLE_TEXT) /* text that is shared may be copied for each place, too */
        weight += (int64_t)(strlen(v->text) / 64);
    if (v->kind == PICKLE_TUPLE || v->kind == PICKLE_LIST || v->kind == PICKLE_DICT) {
        v->weight = -1;
        for (int64_t i = 0; i < v->count; i++) {
            TRY(check_value(v->items[i], level + 1, e));
            weight += v->items[i]->weight;
            if (v->items[i]->depth >= v->depth)
                v->depth = v->items[i]->depth + 1;
            if (weight > EXPANDED_MAX)
                FAIL(e, ERR_LIMIT, "pickle: shared values would expand to more than %lld",
                     (long long)EXPANDED_MAX);
        }
        if (v->kind == PICKLE_DICT)
            TRY(check_keys(v, e));
    }
    v->weight = weight;
    return ERR_OK;
}

static enum err_code execute(struct machine *m, struct pickle_value **out)
{
    uint64_t protocol;
    if (m->at == m->end || *m->at != OP_PROTO)
        FAIL(m->e, ERR_FORMAT, "no pickle of protocol 2: it begins with 0x%02x",
             m->at < m->end ? *m->at : 0);
    m->at++;
    TRY(take_number(m, 1, &protocol));
    if (protocol != 2)
        FAIL(m->e, ERR_UNSUPPORTED, "pickle of protocol %llu, expected 2, which torch.save writes",
             (unsigned long long)protocol);
    for (;;) {
        if (m->at == m->end)
            FAIL(m->e, ERR_TRUNCATED, "the pickle ends at byte %zu without STOP", AT(m));
        unsigned opcode = *m->at++;
        if (opcode == OP_STOP)
            break;
        TRY(step(m, opcode));
    }
    if (m->at != m->end)
        FAIL(m->e, ERR_FORMAT, "pickle: %td bytes after STOP", m->end - m->at);
    if (m->stack.count != 1 || m->mark_count != 0)
        FAIL(m->e, ERR_FORMAT, "pickle: STOP with %lld values on the stack, expected one",
             (long long)m->stack.count);
    *out = m->stack.items[0];
    return check_value(*out, 0, m->e);
}

enum err_code pickle_read(const void *data, size_t size, const struct pickle_host *host,
                          struct arena *arena, struct pickle_value **out, struct err *e)
{
    if (size > PICKLE_BYTES_MAX)
        FAIL(e, ERR_LIMIT, "pickle of %zu bytes, at most %zu are read", size, PICKLE_BYTES_MAX);
    struct machine m = {.begin = data, .host = host, .arena = arena, .e = e};
    m.at = m.begin;
    m.end = m.begin + size;
    enum err_code code = execute(&m, out);
    free(m.stack.items);
    free(m.memo.items);
    return code;
}

/* ---- looking things up ---- */

const struct pickle_value *pickle_get(const struct pickle_value *dict, const char *key)
{
    if (!dict || dict->kind != PICKLE_DICT)
        return NULL;
    for (int64_t i = 0; i < dict->count; i += 2)
        if (dict->items[i]->kind == PICKLE_TEXT && strcmp(dict->items[i]->text, key) == 0)
            return dict->items[i + 1];
    return NULL;
}

const char *pickle_get_text(const struct pickle_value *dict, const char *key, const char *fallback)
{
    const struct pickle_value *v = pickle_get(dict, key);
    return v && v->kind == PICKLE_TEXT ? v->text : fallback;
}

int64_t pickle_get_int(const struct pickle_value *dict, const char *key, int64_t fallback)
{
    const struct pickle_value *v = pickle_get(dict, key);
    return v && v->kind == PICKLE_INT ? v->integer : fallback;
}

double pickle_get_number(const struct pickle_value *dict, const char *key, double fallback)
{
    const struct pickle_value *v = pickle_get(dict, key);
    if (v && v->kind == PICKLE_INT)
        return (double)v->integer;
    return v && v->kind == PICKLE_FLOAT ? v->real : fallback;
}

bool pickle_get_bool(const struct pickle_value *dict, const char *key, bool fallback)
{
    const struct pickle_value *v = pickle_get(dict, key);
    return v && v->kind == PICKLE_BOOL ? v->truth : fallback;
}

/* ---- building ---- */

struct pickle_value *pickle_new(struct arena *arena, enum pickle_kind kind)
{
    struct pickle_value *v = arena_push(arena, sizeof *v);
    ASSERT(v, "out of memory");
    v->kind = kind;
    return v;
}

struct pickle_value *pickle_int(struct arena *arena, int64_t value)
{
    struct pickle_value *v = pickle_new(arena, PICKLE_INT);
    v->integer = value;
    return v;
}

struct pickle_value *pickle_float(struct arena *arena, double value)
{
    struct pickle_value *v = pickle_new(arena, PICKLE_FLOAT);
    v->real = value;
    return v;
}

struct pickle_value *pickle_bool(struct arena *arena, bool value)
{
    struct pickle_value *v = pickle_new(arena, PICKLE_BOOL);
    v->truth = value;
    return v;
}

struct pickle_value *pickle_text(struct arena *arena, const char *text)
{
    struct pickle_value *v = pickle_new(arena, PICKLE_TEXT);
    v->text = arena_strdup(arena, text);
    ASSERT(v->text, "out of memory");
    return v;
}

void pickle_append(struct arena *arena, struct pickle_value *list, struct pickle_value *value)
{
    struct machine m = {.arena = arena};
    enum err_code code = container_add(&m, list, &value, 1);
    ASSERT(code == ERR_OK, "out of memory");
}

struct pickle_value *pickle_set(struct arena *arena, struct pickle_value *dict, const char *key,
                                struct pickle_value *value)
{
    ASSERT(dict->kind == PICKLE_DICT, "key %s for what is no dictionary", key);
    pickle_append(arena, dict, pickle_text(arena, key));
    pickle_append(arena, dict, value);
    return value;
}

/* ---- writing ---- */

void pickle_put_op(struct buf *out, char op) { buf_append(out, &op, 1); }

void pickle_put_global(struct buf *out, const char *module, const char *name)
{
    buf_printf(out, "%c%s\n%s\n", OP_GLOBAL, module, name);
}

void pickle_put_text(struct buf *out, const char *text)
{
    uint32_t length = (uint32_t)strlen(text);
    pickle_put_op(out, OP_BINUNICODE);
    buf_append(out, &length, sizeof length);
    buf_append(out, text, length);
}

void pickle_put_int(struct buf *out, int64_t value)
{
    if (value >= 0 && value < 256) {
        pickle_put_op(out, OP_BININT1);
        buf_append(out, &value, 1);
    } else if (value >= INT32_MIN && value <= INT32_MAX) {
        pickle_put_op(out, OP_BININT);
        buf_append(out, &value, 4);
    } else {
        pickle_put_op(out, (char)OP_LONG1);
        pickle_put_op(out, 8);
        buf_append(out, &value, 8);
    }
}

static void put_float(struct buf *out, double value)
{
    uint64_t bits;
    unsigned char bytes[8];
    memcpy(&bits, &value, sizeof bits);
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(bits >> (56 - 8 * i));
    pickle_put_op(out, OP_BINFLOAT);
    buf_append(out, bytes, sizeof bytes);
}

struct writer {
    void (*object)(void *context, const struct pickle_value *value, struct buf *out);
    void *context;
    struct buf *out;
};

static void put_value(const struct writer *w, const struct pickle_value *v)
{
    struct buf *out = w->out;
    switch (v->kind) {
    case PICKLE_NONE:
        pickle_put_op(out, OP_NONE);
        return;
    case PICKLE_BOOL:
        pickle_put_op(out, (char)(v->truth ? OP_NEWTRUE : OP_NEWFALSE));
        return;
    case PICKLE_INT:
        pickle_put_int(out, v->integer);
        return;
    case PICKLE_FLOAT:
        put_float(out, v->real);
        return;
    case PICKLE_TEXT:
        pickle_put_text(out, v->text);
        return;
    case PICKLE_OBJECT:
        w->object(w->context, v, out);
        return;
    case PICKLE_TUPLE:
        break;
    case PICKLE_LIST:
        pickle_put_op(out, OP_EMPTY_LIST);
        break;
    case PICKLE_DICT:
        if (v->ordered) {
            pickle_put_global(out, "collections", "OrderedDict");
            pickle_put_op(out, OP_EMPTY_TUPLE);
            pickle_put_op(out, OP_REDUCE);
        } else {
            pickle_put_op(out, OP_EMPTY_DICT);
        }
        break;
    case PICKLE_GLOBAL:
        BUG("a global is no value");
    }
    if (v->count == 0 && v->kind != PICKLE_TUPLE)
        return;
    pickle_put_op(out, OP_MARK);
    for (int64_t i = 0; i < v->count; i++)
        put_value(w, v->items[i]);
    pickle_put_op(out, v->kind == PICKLE_TUPLE  ? OP_TUPLE
                       : v->kind == PICKLE_LIST ? OP_APPENDS
                                                : OP_SETITEMS);
}

void pickle_write(const struct pickle_value *value,
                  void (*object)(void *context, const struct pickle_value *value, struct buf *out),
                  void *context, struct buf *out)
{
    struct writer w = {object, context, out};
    pickle_put_op(out, (char)OP_PROTO);
    pickle_put_op(out, 2);
    put_value(&w, value);
    pickle_put_op(out, OP_STOP);
}
