#include "format/number_list.h"

#include <string.h>

#include "base/file.h"
#include "base/str.h"

#define FILE_BYTES_MAX ((size_t)1 << 20)

static char *skip_space(char *at) { return at + strspn(at, " \t\r\n"); }

/* text is changed: numbers are ended where they end. */
static enum err_code list_parse(char *text, const char *path, double *numbers, int64_t *count,
                                struct err *e)
{
    char *at = skip_space(text);
    if (*at != '[')
        FAIL(e, ERR_FORMAT, "%s: expected a list of numbers in brackets", path);
    *count = 0;
    for (at = skip_space(at + 1); *at != ']'; at = skip_space(at)) {
        char *end = at + strcspn(at, ", \t\r\n]");
        char after = *end;
        *end = '\0';
        if (!str_to_f64(at, false, &numbers[*count]))
            FAIL(e, ERR_FORMAT, "%s: byte %lld: \"%.40s\" is no number", path,
                 (long long)(at - text), at);
        ++*count;
        *end = after;
        at = skip_space(end);
        if (*at == ',')
            at++;
        else if (*at != ']')
            FAIL(e, ERR_FORMAT, "%s: byte %lld: expected , or ]", path, (long long)(at - text));
    }
    at = skip_space(at + 1);
    if (*at != '\0')
        FAIL(e, ERR_FORMAT, "%s: byte %lld: something follows the list", path,
             (long long)(at - text));
    return ERR_OK;
}

enum err_code number_list_read(const char *path, struct arena *a, double **numbers, int64_t *count,
                               struct err *e)
{
    struct buf text = {0};
    *count = 0;
    enum err_code code = file_read(path, FILE_BYTES_MAX, &text, e);
    if (code == ERR_OK && (text.len == 0 || memchr(text.data, '\0', text.len)))
        code = RAISE(e, ERR_FORMAT, "%s: expected a list of numbers in brackets", path);
    /* a number and what ends it take two bytes */
    *numbers = code == ERR_OK ? arena_push_array(a, text.len / 2 + 1, sizeof **numbers) : NULL;
    if (code == ERR_OK)
        code = *numbers ? list_parse(text.data, path, *numbers, count, e)
                        : RAISE(e, ERR_MEMORY, "%s: out of memory", path);
    buf_free(&text);
    return code;
}
