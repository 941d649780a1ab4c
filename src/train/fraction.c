#include "train/fraction.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"

int64_t fraction_count(double fraction, int64_t n)
{
    return (int64_t)ceil(fraction * (double)n * (1 - 1e-12));
}

uint64_t fraction_place(const char *name, int64_t number)
{
    uint64_t h = str_hash64(name) ^ (FRACTION_SALT + (uint64_t)(number - 1) * FRACTION_STEP);
    h = (h ^ h >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    h = (h ^ h >> 27) * UINT64_C(0x94d049bb133111eb);
    return h ^ h >> 31;
}

struct place {
    uint64_t patient, id;
    const struct fraction_names *names;
    int64_t index;
};

/* Names decide where hashes are equal, so that the order never depends on what came first. */
static int by_place(const void *a_, const void *b_)
{
    const struct place *a = a_, *b = b_;
    if (a->patient != b->patient)
        return a->patient < b->patient ? -1 : 1;
    int patients = strcmp(a->names->patient, b->names->patient);
    if (patients)
        return patients;
    if (a->id != b->id)
        return a->id < b->id ? -1 : 1;
    return strcmp(a->names->id, b->names->id);
}

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

void fraction_take(int64_t *indices, const struct fraction_names *names, int64_t n, int64_t keep,
                   int64_t number)
{
    struct place *places = calloc((size_t)n + 1, sizeof *places);
    ASSERT(places, "out of memory");
    for (int64_t i = 0; i < n; i++)
        places[i] = (struct place){.patient = fraction_place(names[i].patient, number),
                                   .id = fraction_place(names[i].id, number),
                                   .names = &names[i],
                                   .index = indices[i]};
    qsort(places, (size_t)n, sizeof *places, by_place);
    for (int64_t i = 0; i < keep; i++)
        indices[i] = places[i].index;
    qsort(indices, (size_t)keep, sizeof *indices, ascending);
    free(places);
}
