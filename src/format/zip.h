/* Zip archives of stored entries: what torch.save and numpy.savez write.
 *
 *   entry    local header (30 bytes, name, extra), data, with flag bit 3 a descriptor (crc, sizes)
 *   ...
 *   central directory: per entry 46 bytes, name, extra (id 1: the 64-bit fields of zip64)
 *   zip64 end record (56 bytes), its locator (20 bytes): where a count or an offset needs them
 *   end record (22 bytes), the last bytes of the file
 *
 * Every file is hostile. Accepted is exactly: no compression, no encryption, no second disk, no
 * comment of the archive; the directory, the zip64 records and the end record one after the other;
 * local headers and descriptors that say what the directory says; entries that do not overlap;
 * names in UTF-8, none twice. Opening reads headers alone; data are read when asked for.
 * Source: PKWARE APPNOTE 6.3.10, sections 4.3 to 4.5. */
#ifndef ECGFM_FORMAT_ZIP_H
#define ECGFM_FORMAT_ZIP_H

#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"

struct named;

struct zip_entry {
    const char *name;
    uint32_t crc;
    uint64_t header; /* offset of the local header */
    uint64_t offset; /* of the data */
    uint64_t size;   /* of the data */
    uint64_t end;    /* offset of what follows data and descriptor */
};

struct zip {
    struct arena arena;
    struct file_reader file;
    int64_t count;
    struct zip_entry *entries; /* in the order of the directory */
    struct named *by_name;     /* places in entries */
};

/* Reads and checks the directory. *z is initialized here; zip_close, also done on an error.
 * Errors: ERR_NOT_FOUND, ERR_IO; ERR_TRUNCATED without an end record or with entries cut; ERR_FORMAT
 * with entry and field; ERR_UNSUPPORTED (compressed, encrypted); ERR_LIMIT, ERR_MEMORY. */
enum err_code zip_open(struct zip *z, const char *path, struct err *e);
/* The same from memory (borrowed until close); name is for messages. */
enum err_code zip_parse(struct zip *z, const void *data, size_t size, const char *name,
                        struct err *e);
void zip_close(struct zip *z); /* accepts a zeroed struct */

const struct zip_entry *zip_find(const struct zip *z, const char *name); /* or NULL */
/* All data of an entry into out[entry->size]. Errors: ERR_CHECKSUM, ERR_IO. */
enum err_code zip_read(struct zip *z, const struct zip_entry *entry, void *out, struct err *e);

/* Writing: atomic (file_writer), data of each entry aligned to 64 bytes by padding its local header.
 * Zip64 fields are written where a size, offset or count needs them. Same input, same bytes. */
struct zip_writer {
    struct file_writer file;
    struct buf central;
    uint64_t at;
    int64_t count;
    uint64_t large; /* sizes and offsets from here on are zip64; tests lower it */
};
enum err_code zip_writer_open(struct zip_writer *w, const char *path, struct err *e);
void zip_writer_add(struct zip_writer *w, const char *name, const void *data, size_t size);
enum err_code zip_writer_commit(struct zip_writer *w, struct err *e);
void zip_writer_abandon(struct zip_writer *w);

#endif
