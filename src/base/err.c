#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum err_code err_raise(struct err *e, enum err_code code, const char *file, int line,
                        const char *format, ...)
{
    if (e == NULL)
        return code;
    e->code = code;
    e->file = file;
    e->line = line;
    e->context_count = 0;
    /* Arguments may point into the old message ("...: %s", e->message), so format aside first. */
    char text[sizeof e->message];
    va_list args;
    va_start(args, format);
    if (vsnprintf(text, sizeof text, format, args) < 0)
        text[0] = '\0';
    va_end(args);
    memcpy(e->message, text, sizeof text);
    return code;
}

enum err_code err_context(struct err *e, const char *format, ...)
{
    if (e == NULL)
        return ERR_IO;
    if (e->context_count < ERR_CONTEXT_MAX) {
        char *line = e->context[e->context_count];
        va_list args;
        va_start(args, format);
        if (vsnprintf(line, sizeof e->context[0], format, args) < 0)
            line[0] = '\0';
        va_end(args);
        e->context_count++;
    }
    return e->code;
}

const char *err_code_name(enum err_code code)
{
    static const char *const names[ERR_COUNT] = {
        [ERR_OK] = "ok",
        [ERR_USAGE] = "usage",
        [ERR_IO] = "io",
        [ERR_NOT_FOUND] = "not-found",
        [ERR_FORMAT] = "format",
        [ERR_TRUNCATED] = "truncated",
        [ERR_CHECKSUM] = "checksum",
        [ERR_UNSUPPORTED] = "unsupported",
        [ERR_LIMIT] = "limit",
        [ERR_MEMORY] = "memory",
        [ERR_LEADS] = "leads",
        [ERR_UNITS] = "units",
        [ERR_RATE] = "rate",
        [ERR_LENGTH] = "length",
        [ERR_SIGNAL] = "signal",
        [ERR_LABELS] = "labels",
        [ERR_PATIENTS] = "patients",
        [ERR_MODEL] = "model",
        [ERR_NUMERIC] = "numeric",
        [ERR_INTERRUPTED] = "interrupted",
    };
    if ((int)code < 0 || code >= ERR_COUNT || names[code] == NULL)
        return "unknown";
    return names[code];
}

/* Appends text at *used with control characters replaced: file names and headers are hostile, and
 * this line goes to terminals and logs. */
static void append_clean(char *out, size_t size, size_t *used, const char *text)
{
    for (; *text != '\0' && *used + 1 < size; text++) {
        unsigned char c = (unsigned char)*text;
        out[(*used)++] = c < 0x20 || c == 0x7f ? (c == '\n' || c == '\t' ? ' ' : '?') : (char)c;
    }
    out[*used] = '\0';
}

void err_format(const struct err *e, char *out, size_t size)
{
    if (size == 0)
        return;
    out[0] = '\0';
    if (e == NULL)
        return;
    size_t used = 0;
    int count = e->context_count < ERR_CONTEXT_MAX ? e->context_count : ERR_CONTEXT_MAX;
    for (int i = count - 1; i >= 0; i--) {
        append_clean(out, size, &used, e->context[i]);
        append_clean(out, size, &used, ": ");
    }
    append_clean(out, size, &used, e->message);
}

_Noreturn void bug_abort(const char *file, int line, const char *format, ...)
{
    /* The one place below cli/ that writes to stderr: the process is about to end. */
    fprintf(stderr, "BUG: %s:%d: ", file, line);
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    abort();
}
