/* A folder of files for one test, removed at its end. Needs _GNU_SOURCE before the first include. */
#ifndef ECGFM_TESTS_SCRATCH_H
#define ECGFM_TESTS_SCRATCH_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The path of a new empty folder; free() it. */
static inline char *scratch_make(void)
{
    const char *base = getenv("TMPDIR");
    char path[512];
    snprintf(path, sizeof path, "%s/ecgfm-test-XXXXXX", base && *base ? base : "/tmp");
    char *made = mkdtemp(path) ? strdup(path) : NULL;
    if (!made)
        abort();
    return made;
}

static inline void scratch_remove(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        char *inner = NULL;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (asprintf(&inner, "%s/%s", path, entry->d_name) < 0)
            break;
        if (unlink(inner) != 0)
            scratch_remove(inner);
        free(inner);
    }
    if (dir)
        closedir(dir);
    rmdir(path);
}

/* Writes folder/name, making the folders of name. */
static inline void scratch_write(const char *folder, const char *name, const void *data,
                                 size_t size)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    for (char *slash = path + strlen(folder) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = '\0';
        mkdir(path, 0700);
    }
    FILE *f = fopen(path, "wb");
    if (f) {
        fwrite(data, 1, size, f);
        fclose(f);
    }
}

static inline void scratch_text(const char *folder, const char *name, const char *text)
{
    scratch_write(folder, name, text, strlen(text));
}

#endif
