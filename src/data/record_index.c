#include "data/record_index.h"

#include <string.h>

#include "base/file.h"
#include "base/named.h"
#include "data/manifest.h"

enum err_code record_index_make(struct record_index *index, const struct manifest *m, struct err *e)
{
    size_t count = (size_t)m->count;
    memset(index, 0, sizeof *index);
    arena_init(&index->arena, "names of records", 0);
    index->m = m;
    index->ids = arena_push_array(&index->arena, count, sizeof *index->ids);
    index->files = arena_push_array(&index->arena, count, sizeof *index->files);
    if (!index->ids || !index->files)
        FAIL(e, ERR_MEMORY, "out of memory for the names of %zu records", count);
    for (int64_t i = 0; i < m->count; i++) {
        const char *file = path_stem(&index->arena, path_name(m->entries[i].path));
        if (!file)
            FAIL(e, ERR_MEMORY, "out of memory for the names of %zu records", count);
        index->ids[i] = (struct named){m->entries[i].id, i};
        index->files[i] = (struct named){file, i};
    }
    named_sort(index->ids, m->count);
    named_sort(index->files, m->count);
    return ERR_OK;
}

void record_index_free(struct record_index *index)
{
    arena_reset(&index->arena);
    memset(index, 0, sizeof *index);
}

static int64_t find_id(const struct record_index *index, const char *name)
{
    const struct named *found = named_find(index->ids, index->m->count, name);
    return found ? found->index : RECORD_NONE;
}

/* How many names two paths share, counted from their ends; the last names count as shared. */
static int shared_names(const char *a, const char *b)
{
    const char *x = path_name(a), *y = path_name(b);
    int count = 1;
    for (; x > a && y > b; count++) {
        const char *x_end = x - 1, *y_end = y - 1; /* at the slashes */
        for (x = x_end; x > a && x[-1] != '/'; x--)
            ;
        for (y = y_end; y > b && y[-1] != '/'; y--)
            ;
        if (x == x_end || x_end - x != y_end - y || memcmp(x, y, (size_t)(x_end - x)) != 0)
            break;
    }
    return count;
}

static int64_t find_file(const struct record_index *index, const char *file, const char *stem)
{
    int64_t found = RECORD_NONE;
    int best = 0;
    const struct named *at = named_find(index->files, index->m->count, stem),
                       *end = index->files + index->m->count;
    for (; at && at < end && strcmp(at->name, stem) == 0; at++) {
        int shared = shared_names(file, index->m->entries[at->index].path);
        if (shared == best)
            found = RECORD_AMBIGUOUS;
        if (shared > best) {
            found = at->index;
            best = shared;
        }
    }
    return found;
}

/* "15.hea" and "DIR/15.7" are; "15.7" is a number, and no name of record 15. */
static bool is_file_name(const char *name)
{
    const char *extension = path_extension(name);
    bool letters = extension[0] != '\0' && strspn(extension, "0123456789") < strlen(extension);
    return strchr(name, '/') != NULL || letters;
}

int64_t record_index_find(const struct record_index *index, const char *name)
{
    struct arena scratch;
    arena_init(&scratch, "name", 0);
    int64_t found = find_id(index, name);
    if (found == RECORD_NONE) {
        const char *id = id_normalize(&scratch, name);
        found = id ? find_id(index, id) : RECORD_NONE;
    }
    const char *stem =
        is_file_name(name) ? path_stem(&scratch, path_name(name)) : id_normalize(&scratch, name);
    if (found == RECORD_NONE && stem)
        found = find_file(index, name, stem);
    if (found == RECORD_NONE && stem) /* "DIR/15.hea" where the id is 15, whatever the file */
        found = find_id(index, stem);
    arena_reset(&scratch);
    return found;
}
