#define _GNU_SOURCE /* vasprintf, strerror_r that returns the text */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/named.h"
#include "base/str.h"

/* strerror is not thread safe everywhere; glibc's strerror_r of _GNU_SOURCE returns the text. */
static const char *errno_text(int number, char *room, size_t size)
{
    return strerror_r(number, room, size);
}

static enum err_code fail_errno(struct err *e, const char *what, const char *path)
{
    char room[128];
    int number = errno;
    return RAISE(e, number == ENOENT || number == ENOTDIR ? ERR_NOT_FOUND : ERR_IO,
                 "cannot %s %s: %s", what, path, errno_text(number, room, sizeof room));
}

bool file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

bool dir_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int64_t file_size(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) ? (int64_t)st.st_size : -1;
}

/* Opens a regular file for reading. O_NONBLOCK: opening a FIFO must not wait for a writer. */
static enum err_code open_regular(const char *path, int *out, struct stat *st, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return fail_errno(e, "open", path);
    if (fstat(fd, st) != 0) {
        enum err_code code = fail_errno(e, "read", path);
        close(fd);
        return code;
    }
    if (!S_ISREG(st->st_mode)) {
        close(fd);
        FAIL(e, ERR_IO, "cannot read %s: it is %s, not a regular file", path,
             S_ISDIR(st->st_mode) ? "a folder" : "a device or pipe");
    }
    *out = fd;
    return ERR_OK;
}

enum err_code file_read(const char *path, size_t max_bytes, struct buf *out, struct err *e)
{
    buf_init(out, 0);
    int fd;
    struct stat st;
    TRY(open_regular(path, &fd, &st, e));
    enum err_code code = ERR_OK;
    uint64_t size = (uint64_t)st.st_size;
    if (max_bytes > 0 && size > max_bytes) {
        code = RAISE(e, ERR_LIMIT, "%s is too large: %llu bytes, at most %zu are read", path,
                     (unsigned long long)size, max_bytes);
        goto out;
    }
    /* One byte beyond the expected size lets read() tell the end without a second growth. */
    size_t want = (size_t)size + 1;
    for (;;) {
        char *to = buf_reserve(out, want);
        if (to == NULL) {
            code = RAISE(e, ERR_MEMORY, "out of memory while reading %s (%llu bytes)", path,
                         (unsigned long long)size);
            goto out;
        }
        ssize_t n = read(fd, to, want);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            code = fail_errno(e, "read", path);
            goto out;
        }
        if (n == 0)
            break;
        out->len += (size_t)n;
        if (max_bytes > 0 && out->len > max_bytes) {
            code = RAISE(e, ERR_LIMIT, "%s is too large: more than %zu bytes", path, max_bytes);
            goto out;
        }
        if ((size_t)n < want && out->len == size)
            break; /* all that was there when it was opened, and nothing behind it */
        want = (size_t)n < want ? want - (size_t)n : 65536;
    }
    out->data[out->len] = '\0';
out:
    close(fd);
    if (code != ERR_OK)
        buf_free(out);
    return code;
}

enum err_code file_map(const char *path, struct file_map *out, struct err *e)
{
    *out = (struct file_map){0};
    int fd;
    struct stat st;
    TRY(open_regular(path, &fd, &st, e));
    enum err_code code = ERR_OK;
    if ((uint64_t)st.st_size > (uint64_t)PTRDIFF_MAX) {
        code = RAISE(e, ERR_LIMIT, "%s is too large to map", path);
    } else if (st.st_size > 0) {
        void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED)
            code = fail_errno(e, "map", path);
        else
            *out = (struct file_map){.data = data, .size = (size_t)st.st_size};
    }
    close(fd);
    return code;
}

void file_unmap(struct file_map *map)
{
    if (map->data != NULL)
        munmap((void *)(uintptr_t)map->data, map->size);
    *map = (struct file_map){0};
}

enum err_code file_hash64(const char *path, uint64_t *out, struct err *e)
{
    struct file_map map;
    TRY(file_map(path, &map, e));
    *out = bytes_hash64(map.data, map.size, 1);
    file_unmap(&map);
    return ERR_OK;
}

/* The system enters the 64 KiB around what is touched, where they are in its cache: cheaper than
 * MADV_POPULATE_READ, which takes page by page. */
void file_map_enter(const void *data, size_t bytes)
{
    const volatile char *at = data;
    for (size_t i = 0; i < bytes; i += 65536)
        (void)at[i];
}

void file_map_forget(const struct file_map *map)
{
    if (map->data != NULL)
        (void)madvise((void *)(uintptr_t)map->data, map->size, MADV_DONTNEED);
}

enum err_code file_reader_open(struct file_reader *r, const char *path, struct err *e)
{
    *r = (struct file_reader){.fd = -1};
    struct stat st;
    TRY(open_regular(path, &r->fd, &st, e));
    r->size = (uint64_t)st.st_size;
    return ERR_OK;
}

void file_reader_open_memory(struct file_reader *r, const void *data, size_t size)
{
    *r = (struct file_reader){.fd = -1, .memory = data, .size = size};
}

enum err_code file_reader_read(struct file_reader *r, uint64_t offset, void *out, size_t size,
                               struct err *e)
{
    if (offset > r->size || size > r->size - offset)
        FAIL(e, ERR_TRUNCATED, "%zu bytes at %llu are beyond the end of %llu bytes", size,
             (unsigned long long)offset, (unsigned long long)r->size);
    r->bytes_read += size;
    if (r->fd < 0) {
        if (size > 0)
            memcpy(out, (const char *)r->memory + offset, size);
        return ERR_OK;
    }
    for (size_t done = 0; done < size;) {
        ssize_t n = pread(r->fd, (char *)out + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_errno(e, "read", "the file");
        if (n == 0)
            FAIL(e, ERR_TRUNCATED, "the file became shorter while it was read");
        done += (size_t)n;
    }
    return ERR_OK;
}

void file_reader_close(struct file_reader *r)
{
    if (r->fd >= 0)
        close(r->fd);
    *r = (struct file_reader){.fd = -1};
}

static char *format_path(const char *format, ...) __attribute__((format(printf, 1, 2)));
static char *format_path(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *out = NULL;
    if (vasprintf(&out, format, args) < 0)
        out = NULL;
    va_end(args);
    return out;
}

static void writer_clear(struct file_writer *w)
{
    free(w->path);
    free(w->temporary);
    *w = (struct file_writer){0};
}

enum err_code file_writer_open(struct file_writer *w, const char *path, struct err *e)
{
    *w = (struct file_writer){0};
    if (path[0] == '\0')
        FAIL(e, ERR_IO, "cannot write a file with an empty name");
    struct stat st;
    bool there = stat(path, &st) == 0;
    if (there && S_ISDIR(st.st_mode))
        FAIL(e, ERR_IO, "cannot write %s: it is a folder", path);
    bool straight = there && !S_ISREG(st.st_mode);
    /* Renaming over a link would cut it from its target. */
    w->path = there && !straight ? realpath(path, NULL) : strdup(path);
    if (w->path != NULL && !straight)
        w->temporary = format_path("%s.tmp.%ld", w->path, (long)getpid());
    if (w->path == NULL || (!straight && w->temporary == NULL)) {
        writer_clear(w);
        FAIL(e, ERR_MEMORY, "out of memory while opening %s", path);
    }
    int flags = O_WRONLY | O_CLOEXEC | (straight ? 0 : O_CREAT | O_TRUNC | O_NOFOLLOW);
    int fd = open(straight ? w->path : w->temporary, flags, 0666);
    if (fd >= 0 && there && !straight)
        (void)fchmod(fd, st.st_mode & 07777); /* the new file keeps the old one's permissions */
    w->stream = fd < 0 ? NULL : fdopen(fd, "w");
    if (w->stream == NULL) {
        enum err_code code = fail_errno(e, "write", path);
        if (fd >= 0) {
            close(fd);
            if (!straight)
                unlink(w->temporary);
        }
        writer_clear(w);
        return code;
    }
    return ERR_OK;
}

static void writer_failed(struct file_writer *w)
{
    if (!w->failed)
        w->failed_errno = errno;
    w->failed = true;
}

void file_writer_write(struct file_writer *w, const void *data, size_t size)
{
    if (w->failed || size == 0)
        return;
    if (fwrite(data, 1, size, w->stream) != size)
        writer_failed(w);
}

void file_writer_printf(struct file_writer *w, const char *format, ...)
{
    if (w->failed)
        return;
    va_list args;
    va_start(args, format);
    if (vfprintf(w->stream, format, args) < 0)
        writer_failed(w);
    va_end(args);
}

void file_writer_seek(struct file_writer *w, int64_t byte, bool cut)
{
    if (w->failed)
        return;
    if (fflush(w->stream) != 0 || (cut && ftruncate(fileno(w->stream), (off_t)byte) != 0) ||
        fseeko(w->stream, (off_t)byte, SEEK_SET) != 0)
        writer_failed(w);
}

bool file_writer_same(const struct file_writer *a, const struct file_writer *b)
{
    struct stat x, y;
    return fstat(fileno(a->stream), &x) == 0 && fstat(fileno(b->stream), &y) == 0 &&
           x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Makes a rename survive a power cut. Some file systems refuse fsync on folders: nothing to do. */
static enum err_code sync_folder(const char *path, struct err *e)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL ? strdup(".") : strndup(path, (size_t)(slash - path) + 1);
    if (folder == NULL)
        FAIL(e, ERR_MEMORY, "out of memory while syncing the folder of %s", path);
    enum err_code code = ERR_OK;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        if (fsync(fd) != 0 && errno != EINVAL && errno != ENOTSUP && errno != EROFS)
            code = fail_errno(e, "sync folder", folder);
        close(fd);
    }
    free(folder);
    return code;
}

enum err_code file_writer_commit(struct file_writer *w, struct err *e)
{
    ASSERT(w->stream != NULL, "commit of a writer that is not open");
    enum err_code code = ERR_OK;
    if (!w->failed && fflush(w->stream) != 0)
        writer_failed(w);
    bool synced = w->temporary != NULL && !w->unsynced;
    if (!w->failed && synced && fsync(fileno(w->stream)) != 0)
        writer_failed(w);
    if (fclose(w->stream) != 0 && !w->failed)
        writer_failed(w);
    w->stream = NULL;
    if (!w->failed && w->temporary != NULL && rename(w->temporary, w->path) != 0)
        writer_failed(w);
    if (w->failed) {
        errno = w->failed_errno;
        code = fail_errno(e, "write", w->path);
        if (w->temporary != NULL)
            unlink(w->temporary);
    } else if (synced) {
        code = sync_folder(w->path, e);
    }
    writer_clear(w);
    return code;
}

void file_writer_abandon(struct file_writer *w)
{
    if (w->stream != NULL)
        fclose(w->stream);
    if (w->temporary != NULL)
        unlink(w->temporary);
    writer_clear(w);
}

enum err_code file_write_atomic(const char *path, const void *data, size_t size, struct err *e)
{
    struct file_writer w;
    TRY(file_writer_open(&w, path, e));
    file_writer_write(&w, data, size);
    return file_writer_commit(&w, e);
}

enum err_code dir_create(const char *path, struct err *e)
{
    char *copy = strdup(path);
    if (copy == NULL)
        FAIL(e, ERR_MEMORY, "out of memory while creating folder %s", path);
    enum err_code code = path[0] == '\0' ? RAISE(e, ERR_IO, "a folder needs a name") : ERR_OK;
    for (char *end = copy; code == ERR_OK && *end != '\0';) {
        end += strspn(end, "/");
        end += strcspn(end, "/");
        char next = *end;
        *end = '\0';
        /* A parent that is there may refuse mkdir with EACCES or EROFS: look before complaining. */
        if (mkdir(copy, 0777) != 0) {
            int number = errno;
            if (!dir_exists(copy)) {
                errno = number;
                code = fail_errno(e, "create folder", copy);
            }
        }
        *end = next;
    }
    free(copy);
    return code;
}

enum err_code dir_list(const char *path, struct arena *a, char ***names, int64_t *count,
                       struct err *e)
{
    *names = NULL;
    *count = 0;
    DIR *dir = opendir(path);
    if (dir == NULL)
        return fail_errno(e, "open folder", path);
    enum err_code code = ERR_OK;
    const char **list = NULL;
    size_t used = 0, room = 0;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (entry == NULL) {
            if (errno != 0)
                code = fail_errno(e, "read folder", path);
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (used == room) {
            room = room == 0 ? 64 : room * 2;
            const char **grown = realloc(list, room * sizeof *list);
            if (grown == NULL) {
                code = RAISE(e, ERR_MEMORY, "out of memory while listing %s", path);
                break;
            }
            list = grown;
        }
        list[used] = arena_strdup(a, entry->d_name);
        if (list[used] == NULL) {
            code = RAISE(e, ERR_MEMORY, "out of memory while listing %s", path);
            break;
        }
        used++;
    }
    closedir(dir);
    if (code == ERR_OK) {
        names_sort(list, (int64_t)used);
        *names = arena_push_array(a, used + 1, sizeof *list); /* ends with NULL as well */
        if (*names == NULL)
            code = RAISE(e, ERR_MEMORY, "out of memory while listing %s", path);
        else if (used > 0)
            memcpy(*names, list, used * sizeof *list);
        *count = (int64_t)used;
    }
    free(list);
    return code;
}

void dir_remove_temporaries(const char *path)
{
    struct arena a;
    char **names;
    int64_t count;
    arena_init(&a, "temporaries", 0);
    if (dir_list(path, &a, &names, &count, NULL) == ERR_OK)
        for (int64_t i = 0; i < count; i++) {
            const char *dot = strrchr(names[i], '.');
            int64_t pid;
            if (dot == NULL || dot - names[i] < 4 || memcmp(dot - 4, ".tmp", 4) != 0 ||
                !str_to_i64(dot + 1, &pid) || pid < 1 || pid > INT32_MAX)
                continue;
            const char *file = path_join(&a, path, names[i]);
            if (file != NULL && kill((pid_t)pid, 0) != 0 && errno == ESRCH)
                unlink(file);
        }
    arena_reset(&a);
}

char *path_join(struct arena *a, const char *folder, const char *name)
{
    if (name[0] == '/' || folder[0] == '\0')
        return arena_strdup(a, name);
    return arena_printf(a, "%s%s%s", folder, str_ends_with(folder, "/") ? "" : "/", name);
}

const char *path_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

char *path_folder(struct arena *a, const char *path)
{
    const char *name = path_name(path);
    if (name == path)
        return arena_strdup(a, ".");
    size_t n = (size_t)(name - path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    return arena_strndup(a, path, n);
}

const char *path_extension(const char *path)
{
    const char *name = path_name(path);
    const char *dot = strrchr(name, '.');
    return dot == NULL || dot == name ? "" : dot + 1;
}

char *path_stem(struct arena *a, const char *path)
{
    const char *name = path_name(path);
    const char *dot = strrchr(name, '.');
    if (dot == NULL || dot == name)
        return arena_strdup(a, path);
    return arena_strndup(a, path, (size_t)(dot - path));
}

bool path_is_contained(const char *relative)
{
    if (relative[0] == '\0' || relative[0] == '/')
        return false;
    for (const char *p = relative; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return false;
    for (const char *part = relative; part != NULL;) {
        const char *slash = strchr(part, '/');
        size_t n = slash == NULL ? strlen(part) : (size_t)(slash - part);
        if (n == 2 && part[0] == '.' && part[1] == '.')
            return false;
        part = slash == NULL ? NULL : slash + 1;
    }
    return true;
}
