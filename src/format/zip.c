#include "format/zip.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/named.h"
#include "base/str.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "fields are read and written as they lie in memory, little-endian"
#endif

#define LOCAL_SIGNATURE 0x04034b50u
#define CENTRAL_SIGNATURE 0x02014b50u
#define DESCRIPTOR_SIGNATURE 0x08074b50u
#define END_SIGNATURE 0x06054b50u
#define END64_SIGNATURE 0x06064b50u
#define LOCATOR64_SIGNATURE 0x07064b50u

#define LOCAL_BYTES 30
#define CENTRAL_BYTES 46
#define END_BYTES 22
#define END64_BYTES 56
#define LOCATOR64_BYTES 20

#define FLAG_DESCRIPTOR 0x0008u
#define FLAG_UTF8 0x0800u
#define EXTRA_ZIP64 0x0001u
#define EXTRA_PADDING 0x4246u /* "FB", as PyTorch pads */

#define ENTRIES_MAX (UINT64_C(1) << 20)
#define DIRECTORY_MAX_BYTES (UINT64_C(1) << 27)
#define NAME_MAX_BYTES 1024
#define ALIGNMENT 64
#define LARGE32 UINT32_MAX
#define LARGE16 UINT16_MAX

static uint16_t u16(const unsigned char *p)
{
    uint16_t x;
    memcpy(&x, p, sizeof x);
    return x;
}

static uint32_t u32(const unsigned char *p)
{
    uint32_t x;
    memcpy(&x, p, sizeof x);
    return x;
}

static uint64_t u64(const unsigned char *p)
{
    uint64_t x;
    memcpy(&x, p, sizeof x);
    return x;
}

/* ---- reading ---- */

struct directory {
    uint64_t offset, size, count;
    uint64_t end; /* where the records after it begin */
};

/* The zip64 end record, which the locator before the end record leads to. */
static enum err_code read_end64(struct zip *z, const unsigned char *locator, uint64_t locator_at,
                                const unsigned char *end, struct directory *d, struct err *e)
{
    unsigned char r[END64_BYTES];
    uint64_t at = u64(locator + 8);
    if (u32(locator + 4) != 0 || u32(locator + 16) != 1)
        FAIL(e, ERR_FORMAT, "zip64 locator: disk %u of %u, expected one disk", u32(locator + 4),
             u32(locator + 16));
    if (at > locator_at || locator_at - at != END64_BYTES)
        FAIL(e, ERR_FORMAT, "zip64 locator: end record at %llu, expected at %llu",
             (unsigned long long)at, (unsigned long long)locator_at - END64_BYTES);
    TRY(file_reader_read(&z->file, at, r, sizeof r, e));
    if (u32(r) != END64_SIGNATURE || u64(r + 4) != END64_BYTES - 12)
        FAIL(e, ERR_FORMAT, "zip64 end record: signature or size is wrong");
    if (u32(r + 16) != 0 || u32(r + 20) != 0 || u64(r + 24) != u64(r + 32))
        FAIL(e, ERR_FORMAT, "zip64 end record: several disks");
    *d = (struct directory){.offset = u64(r + 48),
                            .size = u64(r + 40),
                            .count = u64(r + 32),
                            .end = at};
    /* what the end record can say, it must say as well */
    if ((u16(end + 10) != LARGE16 && u16(end + 10) != d->count) ||
        (u32(end + 12) != LARGE32 && u32(end + 12) != d->size) ||
        (u32(end + 16) != LARGE32 && u32(end + 16) != d->offset))
        FAIL(e, ERR_FORMAT,
             "zip64 end record: %llu entries, %llu bytes at %llu, but the end record says "
             "%u, %u at %u",
             (unsigned long long)d->count, (unsigned long long)d->size,
             (unsigned long long)d->offset, u16(end + 10), u32(end + 12), u32(end + 16));
    return ERR_OK;
}

static enum err_code read_end(struct zip *z, struct directory *d, struct err *e)
{
    unsigned char end[END_BYTES], locator[LOCATOR64_BYTES];
    uint64_t size = z->file.size;
    if (size < END_BYTES)
        FAIL(e, ERR_TRUNCATED, "%llu bytes: no zip archive, or cut", (unsigned long long)size);
    uint64_t at = size - END_BYTES;
    TRY(file_reader_read(&z->file, at, end, sizeof end, e));
    if (u32(end) != END_SIGNATURE || u16(end + 20) != 0)
        FAIL(e, ERR_TRUNCATED,
             "the file does not end with the end record of a zip archive: it is "
             "cut, or no such archive");
    if (u16(end + 4) != 0 || u16(end + 6) != 0 || u16(end + 8) != u16(end + 10))
        FAIL(e, ERR_FORMAT, "end record: several disks");
    *d = (struct directory){.offset = u32(end + 16),
                            .size = u32(end + 12),
                            .count = u16(end + 10),
                            .end = at};
    bool is_large = d->offset == LARGE32 || d->size == LARGE32 || d->count == LARGE16;
    bool has_locator = false;
    if (at >= LOCATOR64_BYTES) {
        TRY(file_reader_read(&z->file, at - LOCATOR64_BYTES, locator, sizeof locator, e));
        has_locator = u32(locator) == LOCATOR64_SIGNATURE;
    }
    if (has_locator)
        TRY(read_end64(z, locator, at - LOCATOR64_BYTES, end, d, e));
    else if (is_large)
        FAIL(e, ERR_FORMAT, "end record: zip64 is needed, but there is no zip64 locator");
    if (d->offset > d->end || d->size != d->end - d->offset)
        FAIL(e, ERR_FORMAT,
             "central directory: %llu bytes at %llu, expected to end at %llu, where the end "
             "record is",
             (unsigned long long)d->size, (unsigned long long)d->offset,
             (unsigned long long)d->end);
    if (d->count > ENTRIES_MAX || d->size > DIRECTORY_MAX_BYTES)
        FAIL(e, ERR_LIMIT, "central directory: %llu entries in %llu bytes are too many",
             (unsigned long long)d->count, (unsigned long long)d->size);
    if (d->count * CENTRAL_BYTES > d->size)
        FAIL(e, ERR_FORMAT, "central directory: %llu entries do not fit into %llu bytes",
             (unsigned long long)d->count, (unsigned long long)d->size);
    return ERR_OK;
}

/* The 64-bit values of those of (size, compressed size, offset) that are saturated. */
static enum err_code read_zip64_extra(const unsigned char *extra, size_t bytes, const char *name,
                                      uint64_t *values[], int count, struct err *e)
{
    int wanted = 0;
    for (int i = 0; i < count; i++)
        wanted += *values[i] == LARGE32;
    for (size_t at = 0; at < bytes;) {
        if (bytes - at < 4 || u16(extra + at + 2) > bytes - at - 4)
            FAIL(e, ERR_FORMAT, "entry \"%.100s\": an extra field is longer than its place", name);
        size_t length = u16(extra + at + 2);
        if (u16(extra + at) == EXTRA_ZIP64 && wanted > 0) {
            if (length < 8 * (size_t)wanted)
                FAIL(e, ERR_FORMAT, "entry \"%.100s\": zip64 field of %zu bytes, expected %d", name,
                     length, 8 * wanted);
            const unsigned char *p = extra + at + 4;
            for (int i = 0; i < count; i++)
                if (*values[i] == LARGE32) {
                    *values[i] = u64(p);
                    p += 8;
                }
            return ERR_OK;
        }
        at += 4 + length;
    }
    if (wanted > 0)
        FAIL(e, ERR_FORMAT, "entry \"%.100s\": zip64 is needed, but the field is missing", name);
    return ERR_OK;
}

/* What the local header and the descriptor of an entry say, against the directory. */
static enum err_code check_local(struct zip *z, struct zip_entry *entry, unsigned flags,
                                 const struct directory *d, struct err *e)
{
    unsigned char h[LOCAL_BYTES], room[NAME_MAX_BYTES], tail[24];
    const char *name = entry->name;
    size_t name_bytes = strlen(name);
    if (entry->header > d->offset || d->offset - entry->header < LOCAL_BYTES)
        FAIL(e, ERR_FORMAT, "entry \"%.100s\": header at %llu, beyond the data", name,
             (unsigned long long)entry->header);
    TRY(file_reader_read(&z->file, entry->header, h, sizeof h, e));
    if (u32(h) != LOCAL_SIGNATURE)
        FAIL(e, ERR_FORMAT, "entry \"%.100s\": no local header at %llu", name,
             (unsigned long long)entry->header);
    if (u16(h + 6) != flags || u16(h + 8) != 0)
        FAIL(e, ERR_FORMAT,
             "entry \"%.100s\": local header has flags %04x and method %u, the directory %04x and "
             "0",
             name, u16(h + 6), u16(h + 8), flags);
    if (u16(h + 26) != name_bytes)
        FAIL(e, ERR_FORMAT, "entry \"%.100s\": the local header has another name", name);
    entry->offset = entry->header + LOCAL_BYTES + name_bytes + u16(h + 28);
    if (entry->offset > d->offset || entry->size > d->offset - entry->offset)
        FAIL(e, ERR_TRUNCATED,
             "entry \"%.100s\": %llu bytes at %llu run into the directory at %llu", name,
             (unsigned long long)entry->size, (unsigned long long)entry->offset,
             (unsigned long long)d->offset);
    TRY(file_reader_read(&z->file, entry->header + LOCAL_BYTES, room, name_bytes, e));
    if (memcmp(room, name, name_bytes) != 0)
        FAIL(e, ERR_FORMAT, "entry \"%.100s\": the local header has another name", name);

    entry->end = entry->offset + entry->size;
    uint64_t sizes[2] = {u32(h + 22), u32(h + 18)};
    if (flags & FLAG_DESCRIPTOR) {
        uint64_t left = d->offset - entry->end;
        size_t have = left < sizeof tail ? (size_t)left : sizeof tail;
        memset(tail, 0, sizeof tail);
        TRY(file_reader_read(&z->file, entry->end, tail, have, e));
        bool fits = u32(tail) == DESCRIPTOR_SIGNATURE && u32(tail + 4) == entry->crc;
        bool short32 = have >= 16 && u32(tail + 8) == entry->size && u32(tail + 12) == entry->size;
        bool long64 = have >= 24 && u64(tail + 8) == entry->size && u64(tail + 16) == entry->size;
        if (!fits || (!short32 && !long64))
            FAIL(e, ERR_FORMAT,
                 "entry \"%.100s\": the descriptor after its data differs from the "
                 "directory",
                 name);
        entry->end += long64 ? 24 : 16;
        if (u32(h + 14) == 0 && sizes[0] == 0 && sizes[1] == 0)
            return ERR_OK;
    }
    if (sizes[0] == LARGE32 || sizes[1] == LARGE32) {
        size_t bytes = u16(h + 28);
        unsigned char *extra = malloc(bytes ? bytes : 1);
        if (!extra)
            FAIL(e, ERR_MEMORY, "out of memory for an extra field");
        enum err_code code =
            file_reader_read(&z->file, entry->header + LOCAL_BYTES + name_bytes, extra, bytes, e);
        if (code == ERR_OK)
            code = read_zip64_extra(extra, bytes, name, (uint64_t *[]){&sizes[0], &sizes[1]}, 2, e);
        free(extra);
        TRY(code);
    }
    if (u32(h + 14) != entry->crc || sizes[0] != entry->size || sizes[1] != entry->size)
        FAIL(e, ERR_FORMAT,
             "entry \"%.100s\": the local header has another size or checksum than the directory",
             name);
    return ERR_OK;
}

static bool is_text(const char *text, size_t size)
{
    for (size_t at = 0, length; at < size; at += length) {
        length = str_utf8_length(text + at, size - at);
        if (length == 0 || text[at] == '\0')
            return false;
    }
    return true;
}

/* One entry of the directory; moves *at behind it. */
static enum err_code read_entry(struct zip *z, const unsigned char **at, const unsigned char *end,
                                const struct directory *d, struct zip_entry *entry, struct err *e)
{
    const unsigned char *h = *at;
    long long i = entry - z->entries;
    if (end - h < CENTRAL_BYTES || u32(h) != CENTRAL_SIGNATURE)
        FAIL(e, ERR_FORMAT, "central directory: entry %lld is not there", i);
    size_t name_bytes = u16(h + 28), extra_bytes = u16(h + 30), comment_bytes = u16(h + 32);
    if ((size_t)(end - h) - CENTRAL_BYTES < name_bytes + extra_bytes + comment_bytes)
        FAIL(e, ERR_FORMAT, "central directory: entry %lld is longer than the directory", i);
    const char *name = (const char *)h + CENTRAL_BYTES;
    if (name_bytes == 0 || name_bytes > NAME_MAX_BYTES || !is_text(name, name_bytes))
        FAIL(e, ERR_FORMAT,
             "central directory: entry %lld has no name in UTF-8 of at most %d bytes", i,
             NAME_MAX_BYTES);
    entry->name = name = arena_strndup(&z->arena, name, name_bytes);
    if (!name)
        FAIL(e, ERR_MEMORY, "out of memory for the names of a zip archive");
    unsigned flags = u16(h + 8);
    if (flags & 1)
        FAIL(e, ERR_UNSUPPORTED, "entry \"%.100s\" is encrypted", name);
    if (u16(h + 10) != 0)
        FAIL(e, ERR_UNSUPPORTED,
             "entry \"%.100s\" is compressed (method %u); only stored ones are "
             "read",
             name, u16(h + 10));
    if (flags & ~(FLAG_DESCRIPTOR | FLAG_UTF8))
        FAIL(e, ERR_UNSUPPORTED, "entry \"%.100s\" has flags %04x", name, flags);
    uint64_t packed = u32(h + 20);
    entry->crc = u32(h + 16);
    entry->size = u32(h + 24);
    entry->header = u32(h + 42);
    TRY(read_zip64_extra(h + CENTRAL_BYTES + name_bytes, extra_bytes, name,
                         (uint64_t *[]){&entry->size, &packed, &entry->header}, 3, e));
    if (u16(h + 34) != 0)
        FAIL(e, ERR_FORMAT, "entry \"%.100s\" is on another disk", name);
    if (packed != entry->size)
        FAIL(e, ERR_FORMAT, "entry \"%.100s\" is stored, but has sizes %llu and %llu", name,
             (unsigned long long)packed, (unsigned long long)entry->size);
    *at = h + CENTRAL_BYTES + name_bytes + extra_bytes + comment_bytes;
    return check_local(z, entry, flags, d, e);
}

static int place_order(const void *a, const void *b)
{
    const struct zip_entry *x = *(const struct zip_entry *const *)a,
                           *y = *(const struct zip_entry *const *)b;
    return (x->header > y->header) - (x->header < y->header);
}

/* What only all entries together can tell. */
static enum err_code check_entries(struct zip *z, struct err *e)
{
    const struct zip_entry **by_place =
        arena_push_array(&z->arena, (size_t)z->count, sizeof *by_place);
    z->by_name = arena_push_array(&z->arena, (size_t)z->count, sizeof *z->by_name);
    if (!by_place || !z->by_name)
        FAIL(e, ERR_MEMORY, "out of memory for %lld entries", (long long)z->count);
    for (int64_t i = 0; i < z->count; i++) {
        by_place[i] = &z->entries[i];
        z->by_name[i] = (struct named){z->entries[i].name, i};
    }
    qsort(by_place, (size_t)z->count, sizeof *by_place, place_order);
    for (int64_t i = 1; i < z->count; i++)
        if (by_place[i]->header < by_place[i - 1]->end)
            FAIL(e, ERR_FORMAT, "entries \"%.100s\" and \"%.100s\" overlap", by_place[i - 1]->name,
                 by_place[i]->name);
    named_sort(z->by_name, z->count);
    const struct named *twice = named_twice(z->by_name, z->count);
    if (twice)
        FAIL(e, ERR_FORMAT, "entry \"%.100s\" occurs twice", twice->name);
    return ERR_OK;
}

static enum err_code read_directory(struct zip *z, const struct directory *d, unsigned char *bytes,
                                    struct err *e)
{
    TRY(file_reader_read(&z->file, d->offset, bytes, (size_t)d->size, e));
    z->entries = arena_push_array(&z->arena, (size_t)d->count, sizeof *z->entries);
    if (!z->entries)
        FAIL(e, ERR_MEMORY, "out of memory for %llu entries", (unsigned long long)d->count);
    const unsigned char *at = bytes, *end = bytes + d->size;
    for (z->count = 0; z->count < (int64_t)d->count; z->count++)
        TRY(read_entry(z, &at, end, d, &z->entries[z->count], e));
    if (at != end)
        FAIL(e, ERR_FORMAT, "central directory: %td bytes after its %lld entries", end - at,
             (long long)z->count);
    return check_entries(z, e);
}

static enum err_code open_or_close(struct zip *z, const char *name, struct err *e)
{
    struct directory d;
    unsigned char *bytes = NULL;
    enum err_code code = read_end(z, &d, e);
    if (code == ERR_OK) {
        bytes = malloc(d.size ? (size_t)d.size : 1);
        code = bytes ? read_directory(z, &d, bytes, e)
                     : RAISE(e, ERR_MEMORY, "out of memory for a directory of %llu bytes",
                             (unsigned long long)d.size);
    }
    free(bytes);
    if (code != ERR_OK) {
        zip_close(z);
        err_context(e, "reading %s", name);
    }
    return code;
}

enum err_code zip_open(struct zip *z, const char *path, struct err *e)
{
    memset(z, 0, sizeof *z);
    arena_init(&z->arena, "zip", 0);
    TRY(file_reader_open(&z->file, path, e));
    return open_or_close(z, path, e);
}

enum err_code zip_parse(struct zip *z, const void *data, size_t size, const char *name,
                        struct err *e)
{
    memset(z, 0, sizeof *z);
    arena_init(&z->arena, "zip", 0);
    file_reader_open_memory(&z->file, data, size);
    return open_or_close(z, name, e);
}

void zip_close(struct zip *z)
{
    arena_reset(&z->arena);
    if (z->file.fd > 0)
        file_reader_close(&z->file);
    memset(z, 0, sizeof *z);
}

const struct zip_entry *zip_find(const struct zip *z, const char *name)
{
    const struct named *found = named_find(z->by_name, z->count, name);
    return found ? &z->entries[found->index] : NULL;
}

enum err_code zip_read(struct zip *z, const struct zip_entry *entry, void *out, struct err *e)
{
    TRY(file_reader_read(&z->file, entry->offset, out, (size_t)entry->size, e));
    if (crc32_z(0, out, (size_t)entry->size) != entry->crc)
        FAIL(e, ERR_CHECKSUM, "entry \"%.100s\": the data do not have the checksum %08x",
             entry->name, entry->crc);
    return ERR_OK;
}

/* ---- writing ---- */

static void put16(struct buf *b, unsigned value)
{
    uint16_t x = (uint16_t)value;
    buf_append(b, &x, sizeof x);
}

static void put32(struct buf *b, uint32_t value) { buf_append(b, &value, sizeof value); }
static void put64(struct buf *b, uint64_t value) { buf_append(b, &value, sizeof value); }

enum err_code zip_writer_open(struct zip_writer *w, const char *path, struct err *e)
{
    *w = (struct zip_writer){.large = LARGE32};
    buf_init(&w->central, 0);
    return file_writer_open(&w->file, path, e);
}

/* Version, flags, method, no time, checksum, sizes, length of the name: as both headers have them. */
static void put_common(struct buf *b, bool large, uint32_t crc, uint64_t size, size_t name_bytes)
{
    put16(b, large ? 45 : 20);
    put16(b, FLAG_UTF8);
    put16(b, 0);
    put16(b, 0);
    put16(b, 0x21); /* 1 January 1980: the first day there is */
    put32(b, crc);
    put32(b, large ? LARGE32 : (uint32_t)size);
    put32(b, large ? LARGE32 : (uint32_t)size);
    put16(b, (unsigned)name_bytes);
}

void zip_writer_add(struct zip_writer *w, const char *name, const void *data, size_t size)
{
    struct buf h;
    size_t name_bytes = strlen(name);
    ASSERT(name_bytes > 0 && name_bytes <= NAME_MAX_BYTES, "entry name of %zu bytes", name_bytes);
    bool large = size >= w->large, far = w->at >= w->large;
    uint32_t crc = (uint32_t)crc32_z(0, size ? data : (const void *)"", size);

    buf_init(&h, 0);
    put32(&h, LOCAL_SIGNATURE);
    put_common(&h, large, crc, size, name_bytes);
    size_t zip64 = large ? 20 : 0;
    size_t before = (size_t)(w->at % ALIGNMENT) + LOCAL_BYTES + name_bytes + zip64 + 4;
    size_t padding = (ALIGNMENT - before % ALIGNMENT) % ALIGNMENT;
    put16(&h, (unsigned)(zip64 + 4 + padding));
    buf_append(&h, name, name_bytes);
    if (large) {
        put16(&h, EXTRA_ZIP64);
        put16(&h, 16);
        put64(&h, size);
        put64(&h, size);
    }
    put16(&h, EXTRA_PADDING);
    put16(&h, (unsigned)padding);
    static const char filler[ALIGNMENT];
    buf_append(&h, filler, padding);

    struct buf *c = &w->central;
    put32(c, CENTRAL_SIGNATURE);
    put16(c, large || far ? 45 : 20);
    put_common(c, large, crc, size, name_bytes);
    put16(c, large || far ? 4 + (large ? 16u : 0u) + (far ? 8u : 0u) : 0);
    put16(c, 0); /* comment */
    put16(c, 0); /* disk */
    put16(c, 0); /* attributes */
    put32(c, 0);
    put32(c, far ? LARGE32 : (uint32_t)w->at);
    buf_append(c, name, name_bytes);
    if (large || far) {
        put16(c, EXTRA_ZIP64);
        put16(c, (large ? 16u : 0u) + (far ? 8u : 0u));
        if (large) {
            put64(c, size);
            put64(c, size);
        }
        if (far)
            put64(c, w->at);
    }

    ASSERT(!h.failed && !c->failed, "out of memory");
    file_writer_write(&w->file, h.data, h.len);
    if (size > 0)
        file_writer_write(&w->file, data, size);
    w->at += h.len + size;
    w->count++;
    buf_free(&h);
}

enum err_code zip_writer_commit(struct zip_writer *w, struct err *e)
{
    struct buf b;
    buf_init(&b, 0);
    uint64_t directory = w->at, bytes = w->central.len, end64 = directory + bytes;
    bool large = directory >= w->large || bytes >= w->large || w->count >= LARGE16;
    if (large) {
        put32(&b, END64_SIGNATURE);
        put64(&b, END64_BYTES - 12);
        put16(&b, 45);
        put16(&b, 45);
        put32(&b, 0);
        put32(&b, 0);
        put64(&b, (uint64_t)w->count);
        put64(&b, (uint64_t)w->count);
        put64(&b, bytes);
        put64(&b, directory);
        put32(&b, LOCATOR64_SIGNATURE);
        put32(&b, 0);
        put64(&b, end64);
        put32(&b, 1);
    }
    put32(&b, END_SIGNATURE);
    put16(&b, 0);
    put16(&b, 0);
    put16(&b, w->count >= LARGE16 ? LARGE16 : (unsigned)w->count);
    put16(&b, w->count >= LARGE16 ? LARGE16 : (unsigned)w->count);
    put32(&b, bytes >= w->large ? LARGE32 : (uint32_t)bytes);
    put32(&b, directory >= w->large ? LARGE32 : (uint32_t)directory);
    put16(&b, 0);
    ASSERT(!b.failed, "out of memory");
    file_writer_write(&w->file, w->central.data, w->central.len);
    file_writer_write(&w->file, b.data, b.len);
    buf_free(&b);
    buf_free(&w->central);
    return file_writer_commit(&w->file, e);
}

void zip_writer_abandon(struct zip_writer *w)
{
    buf_free(&w->central);
    file_writer_abandon(&w->file);
}
