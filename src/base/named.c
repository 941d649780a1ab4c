#include "base/named.h"

#include <stdlib.h>
#include <string.h>

static int named_order(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : (x->index > y->index) - (x->index < y->index);
}

void named_sort(struct named *list, int64_t count)
{
    if (count > 0)
        qsort(list, (size_t)count, sizeof *list, named_order);
}

const struct named *named_find(const struct named *sorted, int64_t count, const char *name)
{
    int64_t low = 0, high = count;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (strcmp(sorted[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && strcmp(sorted[low].name, name) == 0 ? &sorted[low] : NULL;
}

const struct named *named_twice(const struct named *sorted, int64_t count)
{
    for (int64_t i = 1; i < count; i++)
        if (strcmp(sorted[i - 1].name, sorted[i].name) == 0)
            return &sorted[i];
    return NULL;
}

static int name_order(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void names_sort(const char **list, int64_t count)
{
    if (count > 0)
        qsort(list, (size_t)count, sizeof *list, name_order);
}

int64_t names_find(const char *const *sorted, int64_t count, const char *name)
{
    const char *const *at =
        count > 0 ? bsearch(&name, sorted, (size_t)count, sizeof *sorted, name_order) : NULL;
    return at ? at - sorted : -1;
}

const char *names_twice(const char **list, int64_t count)
{
    names_sort(list, count);
    for (int64_t i = 1; i < count; i++)
        if (strcmp(list[i - 1], list[i]) == 0)
            return list[i];
    return NULL;
}

int64_t names_distinct(const char **list, int64_t count)
{
    int64_t kept = 0;
    names_sort(list, count);
    for (int64_t i = 0; i < count; i++)
        if (kept == 0 || strcmp(list[kept - 1], list[i]) != 0)
            list[kept++] = list[i];
    return kept;
}
