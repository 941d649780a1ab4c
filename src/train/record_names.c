#include "train/record_names.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/named.h"
#include "data/manifest.h"

void record_names_init(struct record_names *names, int64_t most)
{
    memset(names, 0, sizeof *names);
    arena_init(&names->arena, "names of records", 0);
    names->ids = arena_push_array(&names->arena, (size_t)most + 1, sizeof *names->ids);
    names->patients = arena_push_array(&names->arena, (size_t)most + 1, sizeof *names->patients);
    ASSERT(names->ids && names->patients, "out of memory");
}

void record_names_free(struct record_names *names)
{
    arena_reset(&names->arena);
    memset(names, 0, sizeof *names);
}

static const char *normalized(struct arena *a, const char *name)
{
    const char *out = id_normalize(a, name);
    ASSERT(out, "out of memory");
    return out;
}

void record_names_add(struct record_names *names, const char *id, const char *patient)
{
    names->ids[names->id_count++] = normalized(&names->arena, id);
    if (patient && patient[0])
        names->patients[names->patient_count++] = normalized(&names->arena, patient);
}

void record_names_sort(struct record_names *names)
{
    names_sort(names->ids, names->id_count);
    names_sort(names->patients, names->patient_count);
}

static bool is_among(struct arena *scratch, const char *name, const char **sorted, int64_t count)
{
    return name && name[0] && names_find(sorted, count, normalized(scratch, name)) >= 0;
}

void record_names_overlap(const struct record_names *names, const char *const *ids,
                          const char *const *patients, int64_t count, struct record_overlap *out)
{
    enum { TOLD = 10 };
    struct arena scratch;
    memset(out, 0, sizeof *out);
    arena_init(&scratch, "names", 0);
    for (int64_t i = 0, used = 0; i < count; i++) {
        int64_t room = (int64_t)sizeof out->text - used;
        if (!is_among(&scratch, ids[i], names->ids, names->id_count) &&
            !is_among(&scratch, patients[i], names->patients, names->patient_count))
            continue;
        if (out->count++ < TOLD && room > 1)
            used += snprintf(out->text + used, (size_t)room, "%s%.40s", used ? ", " : "", ids[i]);
    }
    arena_reset(&scratch);
}
