/* One typed option table per family drives parsing, bounds, help, --set keys, the stored
 * configuration and the documentation.
 *
 * Nouns: an `option` is one row (name, type, default, bounds, help) that points into a plain
 * struct by offset; an `option_group` is a table bound to one instance of that struct under a
 * prefix ("mae" -> key "mae.mask_ratio"; "" -> key as it is); an `option_set` is a list of groups,
 * in which each value remembers its source. */
#ifndef ECGFM_BASE_OPTION_H
#define ECGFM_BASE_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

struct cJSON;

enum option_type {
    OPTION_INT,    /* int64_t */
    OPTION_FLOAT,  /* double */
    OPTION_BOOL,   /* bool */
    OPTION_STRING, /* const char *, owned by the set's arena */
    OPTION_CHOICE  /* const char *, one of `choices` */
};

struct option {
    const char *name; /* lower case with underscores: --mask-ratio on the command line, mask_ratio
                         in keys */
    enum option_type type;
    size_t offset;
    const char *fallback; /* default as text, parsed by the same parser; NULL: none (NULL string) */
    double min, max;      /* for INT and FLOAT, inclusive; min >= max: no bounds */
    const char *choices;  /* for CHOICE: "a|b|c" */
    const char *unit;     /* "s", "Hz", or NULL; for STRING the word that stands for the value */
    const char *help;     /* one sentence, lower case, no full stop */
    bool repeats;         /* STRING given again: appended after a comma instead of replaced */
};
/* clang-format off */
#define OPTION_END {0}

#define OPT_INT(type_, field, fallback, min, max, unit, help)                                      \
    {#field, OPTION_INT, offsetof(struct type_, field), fallback, min, max, NULL, unit, help, false}
#define OPT_FLOAT(type_, field, fallback, min, max, unit, help)                                    \
    {#field, OPTION_FLOAT, offsetof(struct type_, field), fallback, min, max, NULL, unit, help, false}
#define OPT_BOOL(type_, field, fallback, help)                                                     \
    {#field, OPTION_BOOL, offsetof(struct type_, field), fallback, 0, 0, NULL, NULL, help, false}
#define OPT_STRING(type_, field, fallback, help)                                                   \
    {#field, OPTION_STRING, offsetof(struct type_, field), fallback, 0, 0, NULL, NULL, help, false}
/* A string whose value is shown as `word` in help ("FILE", "DIR"). */
#define OPT_TEXT(type_, field, fallback, word, help)                                               \
    {#field, OPTION_STRING, offsetof(struct type_, field), fallback, 0, 0, NULL, word, help, false}
/* The same that may be given several times: a list with commas. */
#define OPT_LIST(type_, field, word, help)                                                         \
    {#field, OPTION_STRING, offsetof(struct type_, field), NULL, 0, 0, NULL, word, help, true}
#define OPT_CHOICE(type_, field, fallback, choices, help)                                          \
    {#field, OPTION_CHOICE, offsetof(struct type_, field), fallback, 0, 0, choices, NULL, help, false}
/* clang-format on */

/* Later sources override earlier ones; a value set by a stronger source is kept. */
enum option_source {
    OPTION_FROM_DEFAULT,
    OPTION_FROM_DATA,   /* what the kind of data set asks for */
    OPTION_FROM_PRESET, /* a model preset, a checkpoint */
    OPTION_FROM_FILE,   /* --config FILE */
    OPTION_FROM_SET,    /* --set key=value */
    OPTION_FROM_FLAG    /* --key value */
};
const char *option_source_name(enum option_source source);

#define OPTION_ROWS_MAX 64
#define OPTION_GROUPS_MAX 64

struct option_group {
    const char *prefix;
    const struct option *rows; /* ends with OPTION_END */
    void *target;
    enum option_source sources[OPTION_ROWS_MAX];
};

struct option_set {
    struct arena arena;
    struct option_group groups[OPTION_GROUPS_MAX];
    int group_count;
};

/* An empty set; free it with option_set_free, which accepts a zeroed struct. */
void option_set_init(struct option_set *set);
void option_set_free(struct option_set *set);

/* Adds a group and fills its target with the defaults. prefix, rows and target are borrowed for
 * the life of the set. Several groups may share a prefix. A bad default is a BUG. */
void option_set_add(struct option_set *set, const char *prefix, const struct option *rows,
                    void *target);

/* Sets "prefix.name" (or "name") from text. Hyphens in key count as underscores. Unknown key:
 * ERR_USAGE with the nearest key; bad value or out of bounds: ERR_USAGE naming key, bounds, value. */
enum err_code option_set_text(struct option_set *set, const char *key, const char *value,
                              enum option_source source, struct err *e);

/* Sets from words "key=value key=value", such as a row's defaults; values hold no spaces. known_only:
 * keys that the set does not have are passed over. */
enum err_code option_set_words(struct option_set *set, const char *words, enum option_source source,
                               bool known_only, struct err *e);

/* Sets what `from` was given (all that is no default), from the same sources, where the set has such an
 * option. */
enum err_code option_set_inherit(struct option_set *set, const struct option_set *from,
                                 struct err *e);

/* Sets from a JSON object: nested objects are prefixes ({"mae": {"mask_ratio": 0.5}}), and dotted
 * keys are accepted too. */
enum err_code option_set_json(struct option_set *set, const struct cJSON *object,
                              enum option_source source, struct err *e);

/* The row of a key, or NULL. */
const struct option *option_set_find(const struct option_set *set, const char *key);
enum option_source option_set_source(const struct option_set *set, const char *key);

/* The resolved configuration {"key": {"value": v, "source": "default"}, ...} (with_sources) or the
 * nested object of plain values that option_set_json reads back. Caller cJSON_Deletes. */
struct cJSON *option_set_to_json(const struct option_set *set, bool with_sources);
/* The plain values of one table alone. Caller cJSON_Deletes. */
struct cJSON *option_rows_to_json(const struct option *rows, const void *target);

#endif
