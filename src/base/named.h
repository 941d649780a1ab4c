/* Names in order (strcmp), to look them up and to see which occur twice. Texts are borrowed; a list
 * of 0 may be NULL. Threads: lookups are safe. */
#ifndef ECGFM_BASE_NAMED_H
#define ECGFM_BASE_NAMED_H

#include <stdint.h>

/* What has the name: its place in a list of the caller. */
struct named {
    const char *name;
    int64_t index;
};

/* Equal names are sorted by index. */
void named_sort(struct named *list, int64_t count);
/* The first of a sorted list that has the name; NULL if there is none. */
const struct named *named_find(const struct named *sorted, int64_t count, const char *name);
/* The first of a sorted list that has the name of the one before it; NULL if all differ. */
const struct named *named_twice(const struct named *sorted, int64_t count);

/* The same for names alone. */
void names_sort(const char **list, int64_t count);
int64_t names_find(const char *const *sorted, int64_t count, const char *name); /* place or -1 */
/* Both sort. */
const char *names_twice(const char **list, int64_t count); /* a name that occurs again, or NULL */
int64_t names_distinct(const char **list, int64_t count);  /* keeps one of each; how many */

#endif
