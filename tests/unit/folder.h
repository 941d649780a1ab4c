/* A folder that the tests of one program share: set_up makes it, tear_down removes the files in it and
 * then it, and fails if anything else was left. For trees see scratch.h. Needs cmocka's headers before
 * it, and _GNU_SOURCE. */
#ifndef ECGFM_TESTS_FOLDER_H
#define ECGFM_TESTS_FOLDER_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"

static char folder[256];
static struct arena arena; /* until tear_down */

static char *in_folder(const char *name) { return path_join(&arena, folder, name); }

static int set_up(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/ecgfm-test-XXXXXX", base != NULL ? base : "/tmp");
    arena_init(&arena, "test", 0);
    return mkdtemp(folder) == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    char **names;
    int64_t count;
    dir_list(folder, &arena, &names, &count, NULL);
    for (int64_t i = 0; i < count; i++)
        unlink(in_folder(names[i]));
    arena_reset(&arena);
    return rmdir(folder);
}

#endif
