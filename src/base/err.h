/* Errors as values: a function that meets the outside world returns an err_code and fills a
 * struct err (what - where - expected - found - hint). Any floor may include this.
 *
 * Asserts and BUG() are for our own mistakes only: they abort. */
#ifndef ECGFM_BASE_ERR_H
#define ECGFM_BASE_ERR_H

#include <stddef.h>

/* The order is not part of any file; names are (err_code_name), e.g. in infer's "code" field. */
enum err_code {
    ERR_OK = 0,
    ERR_USAGE,       /* wrong option or configuration key */
    ERR_IO,          /* the operating system refused a read, write, rename */
    ERR_NOT_FOUND,   /* a file or named thing is not there */
    ERR_FORMAT,      /* the bytes are not what the format says */
    ERR_TRUNCATED,   /* fewer bytes or samples than declared */
    ERR_CHECKSUM,    /* checksum or initial value differs (only with strict reading) */
    ERR_UNSUPPORTED, /* of a kind that is not read */
    ERR_LIMIT,       /* over a declared bound (counts, sizes, depth) */
    ERR_MEMORY,      /* allocation failed or over budget */
    ERR_LEADS,       /* a lead the model needs is missing and cannot be derived */
    ERR_UNITS,       /* not a voltage, or units unknown */
    ERR_RATE,        /* sampling rate missing or outside what can be converted */
    ERR_LENGTH,      /* recording shorter than the model needs */
    ERR_SIGNAL,      /* too many invalid samples, flat lead */
    ERR_LABELS,      /* labels missing, unknown or of one class only */
    ERR_PATIENTS,    /* patients on both sides of a split */
    ERR_MODEL,       /* model file refused: format, contract, shapes */
    ERR_NUMERIC,     /* non-finite loss or gradient */
    ERR_INTERRUPTED, /* a signal asked us to stop; state is saved */
    ERR_COUNT
};

#define ERR_CONTEXT_MAX 4

struct err {
    enum err_code code;
    const char *file; /* where raised (static string) */
    int line;
    int context_count;
    char message[512];
    char context[ERR_CONTEXT_MAX][200]; /* innermost first */
};

/* Fills *e and returns code. Keeps an earlier error out: the last raise wins. e may be NULL. */
enum err_code err_raise(struct err *e, enum err_code code, const char *file, int line,
                        const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Adds one line of context on the way up ("reading record 00123_lr"); beyond the maximum it is
 * dropped. Returns e->code, so that `return err_context(e, ...)` works. e may be NULL (ERR_IO). */
enum err_code err_context(struct err *e, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Stable lower-case name with hyphens ("not-found"). */
const char *err_code_name(enum err_code code);

/* Writes "context: ...: message" as one line of at most size bytes, always terminated. */
void err_format(const struct err *e, char *out, size_t size);

/* FAIL returns from the caller; RAISE is an expression, for a clean-up to follow. */
#define FAIL(e, code, ...) return RAISE(e, code, __VA_ARGS__)
#define RAISE(e, code, ...)                                                                        \
    err_keep((code), err_raise((e), (code), __FILE__, __LINE__, __VA_ARGS__))
/* Shows the compiler which code comes back, so that it sees that outputs are not used then. */
static inline enum err_code err_keep(enum err_code code, enum err_code raised)
{
    (void)raised;
    return code;
}

/* Passes an error on. */
#define TRY(call)                                                                                  \
    do {                                                                                           \
        enum err_code try_code_ = (call);                                                          \
        if (try_code_ != ERR_OK)                                                                   \
            return try_code_;                                                                      \
    } while (0)

/* Passes an error on through a clean-up label; `code` is a variable of the caller. */
#define TRY_TO(label, code, call)                                                                  \
    do {                                                                                           \
        (code) = (call);                                                                           \
        if ((code) != ERR_OK)                                                                      \
            goto label;                                                                            \
    } while (0)

_Noreturn void bug_abort(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
#define BUG(...) bug_abort(__FILE__, __LINE__, __VA_ARGS__)
/* Stays on with NDEBUG: a wrong shape must never compute something. */
#define ASSERT(condition, ...)                                                                     \
    do {                                                                                           \
        if (!(condition))                                                                          \
            bug_abort(__FILE__, __LINE__, __VA_ARGS__);                                            \
    } while (0)

#endif
