#include "data/pydict.h"

#include <string.h>

#include "base/str.h"

static const char *skip_space(const char *p)
{
    while (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')
        p++;
    return p;
}

/* The key after *p in quotes; moves *p behind it. NULL if there is none. */
static const char *key_parse(struct arena *a, const char **p, struct err *e)
{
    char quote = **p;
    if (quote != '\'' && quote != '"') {
        RAISE(e, ERR_FORMAT, "expected a key in quotes");
        return NULL;
    }
    const char *begin = *p + 1, *end = begin;
    while (*end != '\0' && *end != quote) {
        if (*end == '\\' || (unsigned char)*end < ' ') {
            RAISE(e, ERR_FORMAT, "escape or control character in a key");
            return NULL;
        }
        end++;
    }
    if (*end == '\0' || end == begin || end - begin > PYDICT_KEY_MAX) {
        RAISE(e, ERR_FORMAT, "a key is empty, not closed or longer than %d", PYDICT_KEY_MAX);
        return NULL;
    }
    *p = end + 1;
    const char *key = arena_strndup(a, begin, (size_t)(end - begin));
    if (!key)
        RAISE(e, ERR_MEMORY, "out of memory");
    return key;
}

static bool number_parse(const char **p, double *out)
{
    char text[32];
    size_t n = strspn(*p, "0123456789+-.eE");
    if (n == 0 || n >= sizeof text)
        return false;
    memcpy(text, *p, n);
    text[n] = '\0';
    if (!str_to_f64(text, false, out) || *out < 0.0 || *out > 100.0)
        return false;
    *p += n;
    return true;
}

static enum err_code items_parse(struct arena *a, const char **at, struct manifest_code *items,
                                 int64_t *count, struct err *e)
{
    const char *p = skip_space(*at);
    if (*p != '{')
        FAIL(e, ERR_FORMAT, "expected {");
    p = skip_space(p + 1);
    *at = p;
    while (*p != '}') {
        if (*count == PYDICT_ITEMS_MAX)
            FAIL(e, ERR_LIMIT, "more than %d items", PYDICT_ITEMS_MAX);
        struct manifest_code *item = &items[*count];
        if (*count > 0) {
            if (*p != ',')
                FAIL(e, ERR_FORMAT, "expected , or }");
            p = skip_space(p + 1);
        }
        *at = p;
        item->code = key_parse(a, &p, e);
        if (!item->code)
            return e ? e->code : ERR_FORMAT;
        for (int64_t i = 0; i < *count; i++)
            if (strcmp(items[i].code, item->code) == 0)
                FAIL(e, ERR_FORMAT, "the key %s occurs twice", item->code);
        *at = p = skip_space(p);
        if (*p != ':')
            FAIL(e, ERR_FORMAT, "expected : after the key %s", item->code);
        *at = p = skip_space(p + 1);
        if (!number_parse(&p, &item->likelihood))
            FAIL(e, ERR_FORMAT, "expected a number of 0 to 100 for %s", item->code);
        *at = p = skip_space(p);
        ++*count;
    }
    *at = skip_space(p + 1);
    if (**at != '\0')
        FAIL(e, ERR_FORMAT, "text after }");
    return ERR_OK;
}

enum err_code pydict_parse(struct arena *a, const char *text, const struct manifest_code **items,
                           int64_t *count, struct err *e)
{
    struct manifest_code found[PYDICT_ITEMS_MAX];
    struct err inner = {0};
    const char *at = text;
    int64_t n = 0;
    if (items_parse(a, &at, found, &n, &inner) != ERR_OK)
        FAIL(e, inner.code, "not a dictionary of codes: at character %lld: %s",
             (long long)(at - text), inner.message);
    struct manifest_code *kept = arena_push_array(a, (size_t)n, sizeof *kept);
    if (!kept)
        FAIL(e, ERR_MEMORY, "out of memory");
    if (n > 0)
        memcpy(kept, found, (size_t)n * sizeof *kept);
    *items = kept;
    *count = n;
    return ERR_OK;
}
