/* Any folder of recordings without labels: what pre-training needs. Every file below the folder that
 * looks like the entry file of a recording is a record; its id is its path without the extension, and
 * its fold comes from that. */
#include "base/file.h"
#include "data/manifest.h"
#include "format/format.h"

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

static enum err_code records_index(const char *root, const struct manifest_options *options,
                                   struct manifest *m, struct err *e)
{
    char **paths;
    int64_t count;
    (void)options;
    m->title = "recordings without labels";
    m->label_note = "folds: from the path of the record; no labels";
    TRY(folder_walk(root, &m->arena, record_path_is_candidate, 0, &paths, &count, e));
    for (int64_t i = 0; i < count; i++) {
        struct manifest_entry *entry = manifest_entry_add(m);
        if (!entry)
            FAIL(e, ERR_MEMORY, "%s: out of memory", root);
        entry->id = path_stem(&m->arena, paths[i]);
        entry->path = path_join(&m->arena, root, paths[i]);
        if (!entry->id || !entry->path)
            FAIL(e, ERR_MEMORY, "%s: out of memory", root);
        entry->fold = fold_from_id(entry->id);
    }
    return ERR_OK;
}

const struct dataset dataset_records = {
    .name = "records",
    .help = "any folder of recordings, without labels",
    .tasks = "",
    .probe = records_probe,
    .index = records_index,
};
