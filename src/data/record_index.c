#include "data/record_index.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/manifest.h"

struct record_key {
    const char *name;
    int64_t entry;
};

static int key_order(const void *a, const void *b)
{
    const struct record_key *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : (x->entry > y->entry) - (x->entry < y->entry);
}

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
        index->ids[i] = (struct record_key){m->entries[i].id, i};
        index->files[i] = (struct record_key){file, i};
    }
    qsort(index->ids, count, sizeof *index->ids, key_order);
    qsort(index->files, count, sizeof *index->files, key_order);
    return ERR_OK;
}

void record_index_free(struct record_index *index)
{
    arena_reset(&index->arena);
    memset(index, 0, sizeof *index);
}

/* The first key that is not below the name. */
static int64_t lower_bound(const struct record_key *keys, int64_t count, const char *name)
{
    int64_t low = 0, high = count;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (strcmp(keys[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int64_t find_id(const struct record_index *index, const char *name)
{
    int64_t at = lower_bound(index->ids, index->m->count, name);
    bool found = at < index->m->count && strcmp(index->ids[at].name, name) == 0;
    return found ? index->ids[at].entry : RECORD_NONE;
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
    int64_t found = RECORD_NONE, count = index->m->count;
    int best = 0;
    for (int64_t i = lower_bound(index->files, count, stem);
         i < count && strcmp(index->files[i].name, stem) == 0; i++) {
        int shared = shared_names(file, index->m->entries[index->files[i].entry].path);
        if (shared == best)
            found = RECORD_AMBIGUOUS;
        if (shared > best) {
            found = index->files[i].entry;
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
