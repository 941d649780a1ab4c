#include "base/arena.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif

#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n) ASAN_POISON_MEMORY_REGION((p), (n))
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION((p), (n))
#define REDZONE 64 /* between blocks, so that an overrun of one is seen */
#else
#define POISON(p, n) ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#define REDZONE 0
#endif

#define ALIGNMENT ((size_t)64)
#define HUGE_PAGE ((size_t)2 << 20)
#define CHUNK_FIRST ((size_t)4096)
#define CHUNK_LARGEST ((size_t)1 << 20)

struct arena_chunk {
    struct arena_chunk *next;
    char *data; /* aligned, inside the same allocation */
    size_t size, used;
};

void arena_init(struct arena *a, const char *name, size_t budget_bytes)
{
    *a = (struct arena){.name = name, .budget_bytes = budget_bytes};
}

/* A fresh zeroed chunk; calloc leaves large ones to the system's zero pages, so that an arena costs
 * what is touched. */
static struct arena_chunk *chunk_new(size_t size)
{
    struct arena_chunk *c = calloc(1, sizeof *c + size + ALIGNMENT);
    if (c == NULL)
        return NULL;
    uintptr_t start = (uintptr_t)(c + 1);
    c->data = (char *)((start + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
    c->size = size;
    POISON(c->data, size);
    return c;
}

void *arena_push(struct arena *a, size_t bytes)
{
    if (bytes > (size_t)PTRDIFF_MAX / 2)
        return NULL;
    size_t span = (bytes + (bytes == 0) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (a->budget_bytes > 0 &&
        (a->used_bytes > a->budget_bytes || span > a->budget_bytes - a->used_bytes))
        return NULL;
    size_t place = span + REDZONE;
    struct arena_chunk *c = a->chunks;
    if (c == NULL || place > c->size - c->used) {
        size_t next_size = CHUNK_FIRST;
        if (c != NULL)
            next_size = c->size < CHUNK_LARGEST / 2 ? c->size * 2 : CHUNK_LARGEST;
        bool alone = place > next_size / 2;
        struct arena_chunk *fresh = chunk_new(alone ? place : next_size);
        if (fresh == NULL)
            return NULL;
        if (alone && c != NULL) { /* behind the head: the head still has room for small blocks */
            fresh->next = c->next;
            c->next = fresh;
        } else {
            fresh->next = c;
            a->chunks = fresh;
        }
        c = fresh;
    }
    char *block = c->data + c->used;
    c->used += place;
    a->used_bytes += span;
    if (a->used_bytes > a->peak_bytes)
        a->peak_bytes = a->used_bytes;
    UNPOISON(block, bytes);
    return block;
}

void *arena_push_array(struct arena *a, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    return arena_push(a, bytes);
}

char *arena_strndup(struct arena *a, const char *text, size_t length)
{
    size_t n = strnlen(text, length);
    char *copy = arena_push(a, n + 1);
    if (copy != NULL)
        memcpy(copy, text, n);
    return copy;
}

char *arena_strdup(struct arena *a, const char *text)
{
    return arena_strndup(a, text, strlen(text));
}

char *arena_printf(struct arena *a, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *out = n < 0 ? NULL : arena_push(a, (size_t)n + 1);
    if (out != NULL)
        vsnprintf(out, (size_t)n + 1, format, again);
    va_end(again);
    return out;
}

void arena_reset(struct arena *a)
{
    struct arena_chunk *c = a->chunks;
    while (c != NULL) {
        struct arena_chunk *next = c->next;
        UNPOISON(c->data, c->size);
        free(c);
        c = next;
    }
    a->chunks = NULL;
    a->used_bytes = 0;
}

void *large_alloc(size_t bytes)
{
    if (bytes > (size_t)PTRDIFF_MAX / 2)
        return NULL;
    /* What is large asks for huge pages: fewer faults on the first touch, fewer misses later. */
    bool large = bytes >= HUGE_PAGE;
    size_t unit = large ? HUGE_PAGE : ALIGNMENT;
    bytes = (bytes + (bytes == 0) + unit - 1) / unit * unit;
    void *block = aligned_alloc(unit, bytes);
#if defined(MADV_HUGEPAGE)
    if (large && block != NULL)
        (void)madvise(block, bytes, MADV_HUGEPAGE); /* as well without */
#endif
    return block;
}

void *aligned_calloc(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    void *block = large_alloc(bytes);
    if (block != NULL)
        memset(block, 0, bytes);
    return block;
}
