/* Counts calls of malloc and its kind in the whole process, libraries included, to see whether a step
 * allocates. The file behind it stands in for malloc, calloc, realloc, aligned_alloc, memalign and
 * posix_memalign and passes each call on to the allocator that comes next: glibc's, or one that was
 * preloaded; free is left alone. Until counting is asked for, a call costs one load more.
 *
 * Not seen: the obsolete valloc and pvalloc, and pages mapped by mmap.
 *
 * Threads: any. */
#ifndef ECGFM_BASE_ALLOCATIONS_H
#define ECGFM_BASE_ALLOCATIONS_H

#include <stdint.h>

/* Calls since this function was first called, which begins the count; meant for differences. -1: not
 * counted in this build (a sanitizer's allocator, a C library other than glibc 2.34 and later). */
int64_t allocation_count(void);

#endif
