/* Any folder of recordings without labels: what pre-training needs. Every file below the folder that
 * looks like the entry file of a recording is a record; its id is its path without the extension, and
 * its fold comes from that. Segments of a multi-segment WFDB record are that record's, not records of
 * their own: the same signal must not be counted twice, nor stand in two folds. For the same reason
 * segments in files of their own, as prepared for fairseq-signals (name_0.mat, name_1.mat), have the fold
 * of their recording. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/named.h"
#include "data/manifest.h"
#include "format/format.h"
#include "format/wfdb_header.h"

#define SEGMENTS_MAX (INT64_C(1) << 24)

static int records_probe(const char *root)
{
    struct arena scratch;
    struct err ignored = {0};
    char **paths;
    int64_t count;
    arena_init(&scratch, "probe", 0);
    int score = folder_walk(root, &scratch, record_path_is_candidate, 1, &paths, &count,
                            &ignored) == ERR_OK &&
                        count > 0
                    ? 10
                    : 0;
    arena_reset(&scratch);
    return score;
}

/* Paths of headers, relative to the folder. */
struct path_set {
    const char **paths;
    int64_t count, cap;
};

/* Adds the headers of the segments that a header names. */
static enum err_code segments_add(struct path_set *set, struct arena *kept, const char *root,
                                  const char *path, struct err *e)
{
    struct arena a;
    struct wfdb_header header;
    struct err why = {0};
    enum err_code code = ERR_OK;
    arena_init(&a, "header", 0);
    char *full = path_join(&a, root, path), *folder = path_folder(&a, path);
    if (full && folder && wfdb_header_read(full, &a, &header, &why) == ERR_OK)
        for (int64_t i = 0; i < header.segment_count && code == ERR_OK; i++) {
            char *name = arena_printf(&a, "%s.hea", header.segments[i].name);
            char *segment = name ? path_join(&a, folder, name) : NULL;
            if (segment && strncmp(segment, "./", 2) == 0)
                segment += 2;
            if (set->count == set->cap) {
                int64_t cap = set->cap ? set->cap * 2 : 64;
                const char **paths = realloc(set->paths, (size_t)cap * sizeof *paths);
                if (!paths || cap > SEGMENTS_MAX) {
                    if (paths)
                        set->paths = paths;
                    code = RAISE(e, ERR_LIMIT, "%s: too many segments of records", root);
                    break;
                }
                set->paths = paths;
                set->cap = cap;
            }
            set->paths[set->count] = segment ? arena_strdup(kept, segment) : NULL;
            if (!set->paths[set->count++])
                code = RAISE(e, ERR_MEMORY, "%s: out of memory", root);
        }
    arena_reset(&a); /* a header that cannot be read is found out when the record is */
    return code;
}

/* The fold of a record: that of its name, for segment files without the number of the segment. */
static int fold_of(struct arena *a, const char *path, const char *id)
{
    const char *name = id_of_segmented(a, path, id);
    return fold_from_id(name ? name : id);
}

static enum err_code records_index(const char *root, const struct manifest_options *options,
                                   struct manifest *m, struct err *e)
{
    char **paths;
    int64_t count;
    struct path_set segments = {0};
    enum err_code code = ERR_OK;
    (void)options;
    m->title = "recordings without labels";
    m->label_note = "folds: from the path of the record; no labels";
    TRY(folder_walk(root, &m->arena, record_path_is_candidate, 0, &paths, &count, e));
    for (int64_t i = 0; i < count && code == ERR_OK; i++)
        if (strcmp(path_extension(paths[i]), "hea") == 0)
            code = segments_add(&segments, &m->arena, root, paths[i], e);
    if (code == ERR_OK)
        names_sort(segments.paths, segments.count);
    for (int64_t i = 0; i < count && code == ERR_OK; i++) {
        const char *path = paths[i];
        if (names_find(segments.paths, segments.count, path) >= 0)
            continue;
        struct manifest_entry *entry = manifest_entry_add(m);
        if (entry) {
            entry->id = path_stem(&m->arena, path);
            entry->path = path_join(&m->arena, root, path);
        }
        if (!entry || !entry->id || !entry->path)
            code = RAISE(e, ERR_MEMORY, "%s: out of memory", root);
        else
            entry->fold = fold_of(&m->arena, path, entry->id);
    }
    free(segments.paths);
    return code;
}

const struct dataset dataset_records = {
    .name = "records",
    .help = "any folder of recordings, without labels",
    .tasks = "",
    .probe = records_probe,
    .index = records_index,
};
