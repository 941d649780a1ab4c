/* A growing byte buffer with an explicit maximum. Always terminated by a NUL beyond len. */
#ifndef ECGFM_BASE_BUF_H
#define ECGFM_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data; /* NULL or NUL-terminated */
    size_t len;
    size_t cap;
    size_t max;  /* 0: no bound */
    bool failed; /* sticky: an append did not fit; later appends do nothing */
};

void buf_init(struct buf *b, size_t max);
void buf_append(struct buf *b, const void *data, size_t len);
void buf_puts(struct buf *b, const char *text);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Makes room for `len` further bytes and returns where they go (len is not advanced), or NULL. */
char *buf_reserve(struct buf *b, size_t len);
void buf_clear(struct buf *b); /* len = 0, memory kept */
void buf_free(struct buf *b);  /* accepts a zeroed struct */

#endif
