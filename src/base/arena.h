/* Arenas: memory with one lifetime, a name and a budget. Any floor may include this.
 *
 * An arena hands out zeroed, 64-byte aligned blocks from growing chunks and frees them all at once. */
#ifndef ECGFM_BASE_ARENA_H
#define ECGFM_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct arena_chunk;

struct arena {
    const char *name;    /* static string, for reports */
    size_t budget_bytes; /* 0: no bound */
    size_t used_bytes;
    size_t peak_bytes;
    struct arena_chunk *chunks;
};

/* An empty arena; nothing is allocated before the first push. */
void arena_init(struct arena *a, const char *name, size_t budget_bytes);

/* Owns: the arena. Returns NULL when the budget is exceeded or memory is out; bytes 0 gives a
 * valid pointer. */
void *arena_push(struct arena *a, size_t bytes);

/* count * size with overflow check; NULL on overflow. */
void *arena_push_array(struct arena *a, size_t count, size_t size);

/* Copies of text; NULL as in arena_push. arena_strndup takes at most length bytes. */
char *arena_strdup(struct arena *a, const char *text);
char *arena_strndup(struct arena *a, const char *text, size_t length);
char *arena_printf(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Frees everything; the arena can be used again. */
void arena_reset(struct arena *a);

/* 64-byte aligned, zeroed heap block for long-lived slabs; 2 MiB aligned and in huge pages, where the
 * system has them, when it is large. Free with free(). NULL when out. */
void *aligned_calloc(size_t count, size_t size);
/* The same with undefined contents, for blocks that are written whole. */
void *large_alloc(size_t bytes);

#endif
