/* Python pickles of protocol 2 as data: a reader that executes nothing, and a writer.
 *
 * Nouns: a `value` is what a pickle holds: none, truth values, whole numbers, floats, text, tuples,
 * lists, dictionaries, and `objects`, which are what the host (PyTorch's reader) makes of the few
 * globals that it knows. A `host` says which globals those are. No other global is taken, none is
 * ever imported or called.
 *
 * Every pickle is hostile. Opcodes: those of protocol 2 for the values above, BUILD (attributes of a
 * dictionary are dropped) and SHORT_BINUNICODE. Bounded are the text (64 MiB), the values, memo and stack
 * (2^20 each), the depth (64), and what shared values would expand to; a value that contains itself,
 * a key twice in one dictionary, and text that is not UTF-8 are refused.
 * Source: Python's pickletools, protocol 2. */
#ifndef ECGFM_FORMAT_PICKLE_H
#define ECGFM_FORMAT_PICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#define PICKLE_BYTES_MAX ((size_t)64 << 20)
#define PICKLE_DEPTH_MAX 64

enum pickle_kind {
    PICKLE_NONE,
    PICKLE_BOOL,
    PICKLE_INT,
    PICKLE_FLOAT,
    PICKLE_TEXT,
    PICKLE_TUPLE,
    PICKLE_LIST,
    PICKLE_DICT,
    PICKLE_OBJECT, /* of the host */
    PICKLE_GLOBAL  /* only on the way: one left in the result is an error */
};

struct pickle_value {
    enum pickle_kind kind;
    bool ordered;   /* a dictionary: collections.OrderedDict */
    bool transient; /* an object that must not be left in the result */
    union {
        bool truth;
        int64_t integer; /* of a global: its number in the host's list */
        double real;
        const char *text;
        const void *object;
        struct {
            int64_t count, cap; /* of a dictionary: keys and values, one after the other */
            struct pickle_value **items;
        };
    };
    int64_t weight; /* values in it, expanded; 0: not counted yet, -1: being counted */
    int depth;      /* of what is in it */
};

struct pickle_host {
    const char *const *globals; /* "module name", NULL-terminated */
    void *context;
    /* What REDUCE makes of global i and its arguments (a tuple), into *out (zeroed). */
    enum err_code (*reduce)(void *context, int64_t global, const struct pickle_value *arguments,
                            struct pickle_value *out, struct err *e);
    /* What a persistent id stands for. */
    enum err_code (*persistent)(void *context, const struct pickle_value *id,
                                struct pickle_value *out, struct err *e);
};

/* Reads a whole pickle into values of the arena.
 * Errors: ERR_FORMAT, ERR_UNSUPPORTED (opcode, protocol or global, which it names), ERR_TRUNCATED,
 * ERR_LIMIT, ERR_MEMORY, each with the byte; and the host's. */
enum err_code pickle_read(const void *data, size_t size, const struct pickle_host *host,
                          struct arena *arena, struct pickle_value **out, struct err *e);

/* The value of a text key, or NULL: also where `dict` is NULL or no dictionary. */
const struct pickle_value *pickle_get(const struct pickle_value *dict, const char *key);
/* What the value of a text key is, or the fallback where it is of another kind. */
const char *pickle_get_text(const struct pickle_value *dict, const char *key, const char *fallback);
int64_t pickle_get_int(const struct pickle_value *dict, const char *key, int64_t fallback);
double pickle_get_number(const struct pickle_value *dict, const char *key, double fallback);
bool pickle_get_bool(const struct pickle_value *dict, const char *key, bool fallback);

/* Building values to write; memory is the arena's, and none left is a BUG. Text is copied. */
struct pickle_value *pickle_new(struct arena *arena, enum pickle_kind kind);
struct pickle_value *pickle_int(struct arena *arena, int64_t value);
struct pickle_value *pickle_float(struct arena *arena, double value);
struct pickle_value *pickle_bool(struct arena *arena, bool value);
struct pickle_value *pickle_text(struct arena *arena, const char *text);
void pickle_append(struct arena *arena, struct pickle_value *list, struct pickle_value *value);
/* Returns `value`. */
struct pickle_value *pickle_set(struct arena *arena, struct pickle_value *dict, const char *key,
                                struct pickle_value *value);

/* Appends the pickle of a value; object() appends what makes an object. Same value, same bytes. */
void pickle_write(const struct pickle_value *value,
                  void (*object)(void *context, const struct pickle_value *value, struct buf *out),
                  void *context, struct buf *out);
/* The parts, for object(): no PROTO and no STOP. */
void pickle_put_global(struct buf *out, const char *module, const char *name);
void pickle_put_text(struct buf *out, const char *text);
void pickle_put_int(struct buf *out, int64_t value);
void pickle_put_op(struct buf *out, char op);

#endif
