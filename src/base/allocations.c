#define _GNU_SOURCE /* RTLD_NEXT */
#include "base/allocations.h"

#include <errno.h>
#include <stdlib.h>

#ifndef __has_feature
#define __has_feature(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||                               \
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#define COUNTED 0 /* the allocator is the sanitizer's */
#elif defined(__GLIBC__)
#define COUNTED (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 34) /* before, dlsym may itself allocate */
#else
#define COUNTED 0
#endif

#if COUNTED

#include <dlfcn.h>
#include <malloc.h>
#include <stdatomic.h>

enum { UNKNOWN, FOUND, COUNTING };
static _Atomic int state; /* of next and calls */
static _Atomic int64_t calls;

/* The definitions after ours. */
static struct {
    void *(*malloc)(size_t size);
    void *(*calloc)(size_t count, size_t size);
    void *(*realloc)(void *block, size_t size);
    void *(*aligned_alloc)(size_t alignment, size_t size);
    void *(*memalign)(size_t alignment, size_t size);
    int (*posix_memalign)(void **block, size_t alignment, size_t size);
} next;

/* Runs in the first call, which a library's constructor makes before there is a second thread. */
static void next_find(void)
{
    next.malloc = dlsym(RTLD_NEXT, "malloc");
    next.calloc = dlsym(RTLD_NEXT, "calloc");
    next.realloc = dlsym(RTLD_NEXT, "realloc");
    next.aligned_alloc = dlsym(RTLD_NEXT, "aligned_alloc");
    next.memalign = dlsym(RTLD_NEXT, "memalign");
    next.posix_memalign = dlsym(RTLD_NEXT, "posix_memalign");
    atomic_store_explicit(&state, FOUND, memory_order_release);
}

static void enter(void)
{
    int now = atomic_load_explicit(&state, memory_order_acquire);
    if (now == FOUND)
        return;
    if (now == UNKNOWN)
        next_find();
    else
        atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
}

void *malloc(size_t size)
{
    enter();
    return next.malloc(size);
}

void *calloc(size_t count, size_t size)
{
    enter();
    return next.calloc(count, size);
}

void *realloc(void *block, size_t size)
{
    enter();
    return next.realloc(block, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    enter();
    return next.aligned_alloc(alignment, size);
}

void *memalign(size_t alignment, size_t size)
{
    enter();
    return next.memalign(alignment, size);
}

int posix_memalign(void **block, size_t alignment, size_t size)
{
    enter();
    return next.posix_memalign(block, alignment, size);
}

int64_t allocation_count(void)
{
    if (atomic_load_explicit(&state, memory_order_acquire) == UNKNOWN)
        next_find();
    atomic_store_explicit(&state, COUNTING, memory_order_release);
    return atomic_load_explicit(&calls, memory_order_relaxed);
}

#else

int64_t allocation_count(void) { return -1; }

#endif
