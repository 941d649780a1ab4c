/* Paths, whole-file reads with a bound, folder listings and atomic writes. */
#ifndef ECGFM_BASE_FILE_H
#define ECGFM_BASE_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

bool file_exists(const char *path); /* a regular file (or link to one) */
bool dir_exists(const char *path);
int64_t file_size(const char *path); /* -1 if not there */

/* Reads a whole regular file of at most max_bytes (0: no bound) into *out (initialized here; caller
 * buf_free, also after an error).
 * Errors: ERR_NOT_FOUND, ERR_IO, ERR_LIMIT (names path, size and bound). FIFOs, devices: ERR_IO. */
enum err_code file_read(const char *path, size_t max_bytes, struct buf *out, struct err *e);

/* Maps a file read-only. *data stays valid until file_unmap. Empty files give size 0. */
struct file_map {
    const void *data;
    size_t size;
};
enum err_code file_map(const char *path, struct file_map *out, struct err *e);
void file_unmap(struct file_map *map);
/* bytes_hash64 of all its bytes, with the seed 1. */
enum err_code file_hash64(const char *path, uint64_t *out, struct err *e);
/* Enters part of a map in this process at once, before it is needed. Threads: several may do parts of a
 * map. */
void file_map_enter(const void *data, size_t bytes);
/* Takes the pages out of this process; what is read again comes back from the system's cache. */
void file_map_forget(const struct file_map *map);

/* Reads here and there in a file, or in memory: what is not asked for is neither read nor mapped. */
struct file_reader {
    int fd;             /* -1: memory, or nothing */
    const void *memory; /* borrowed */
    uint64_t size;
    uint64_t bytes_read; /* so far */
};
enum err_code file_reader_open(struct file_reader *r, const char *path, struct err *e);
void file_reader_open_memory(struct file_reader *r, const void *data, size_t size);
/* size bytes from an offset. Errors: ERR_TRUNCATED where the file has no such bytes, ERR_IO. */
enum err_code file_reader_read(struct file_reader *r, uint64_t offset, void *out, size_t size,
                               struct err *e);
void file_reader_close(struct file_reader *r);

/* Writes to "path.tmp.<pid>" in the same folder, fsyncs, renames, fsyncs the folder. A crash at
 * any moment leaves the old file or the new one. A link is followed; a device or pipe is written
 * straight. */
enum err_code file_write_atomic(const char *path, const void *data, size_t size, struct err *e);

/* The same, streamed: open, write pieces, commit (or abandon). A failed write is
 * kept and reported by commit, which abandons then. */
struct file_writer {
    FILE *stream;
    char *path;      /* where it will be */
    char *temporary; /* where it is; NULL when written straight */
    bool failed;
    int failed_errno; /* of the first write that failed */
    bool unsynced;    /* set it after opening: renamed into place, but not forced to the disk (for
                         many files that can be made again) */
};
enum err_code file_writer_open(struct file_writer *w, const char *path, struct err *e);
void file_writer_write(struct file_writer *w, const void *data, size_t size);
void file_writer_printf(struct file_writer *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Goes on at that byte; with `cut` the file ends there for now. For files, not devices and pipes. */
void file_writer_seek(struct file_writer *w, int64_t byte, bool cut);
/* Whether two open writers write the same file, under whatever names: they would destroy each other's. */
bool file_writer_same(const struct file_writer *a, const struct file_writer *b);
enum err_code file_writer_commit(struct file_writer *w, struct err *e);
void file_writer_abandon(struct file_writer *w);

/* Removes the temporary files that killed processes of this machine left in a folder ("*.tmp.<pid>"
 * of a process that is gone). For the start of a run in a folder of its own; failures are no matter. */
void dir_remove_temporaries(const char *path);

/* mkdir -p */
enum err_code dir_create(const char *path, struct err *e);
/* Names in a folder without . and .., sorted by bytes; strings live in the arena. */
enum err_code dir_list(const char *path, struct arena *a, char ***names, int64_t *count,
                       struct err *e);

char *path_join(struct arena *a, const char *folder, const char *name); /* absolute name wins */
char *path_folder(struct arena *a, const char *path);                   /* "." if there is none */
const char *path_name(const char *path);                                /* after the last slash */
const char *path_extension(const char *path);                           /* "hea", or "" */
char *path_stem(struct arena *a, const char *path); /* path without the extension */
/* True if a relative path stays inside its folder: not empty, not absolute, no ".." component, no
 * NUL or control character. */
bool path_is_contained(const char *relative);

#endif
