#include "format/npy.h"

#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/shapes.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "values are written as they lie in memory, little-endian"
#endif

enum err_code npy_write_f32(const char *path, const float *data, const int64_t *shape, int rank,
                            struct err *e)
{
    int64_t numel, bytes;
    ASSERT(rank >= 1 && rank <= 8 && shape_numel(shape, rank, &numel) &&
               mul_i64(numel, sizeof *data, &bytes),
           "npy: shape of rank %d", rank);

    /* magic, version 1.0, u16 header length, then a Python dict padded with spaces and closed by a
     * newline so that the data begin at a multiple of 64 */
    static const char magic[] = "\x93NUMPY\x01\x00";
    char dict[256];
    struct buf text;
    buf_init(&text, 0);
    buf_puts(&text, "{'descr': '<f4', 'fortran_order': False, 'shape': (");
    for (int i = 0; i < rank; i++)
        buf_printf(&text, "%s%lld", i ? ", " : "", (long long)shape[i]);
    buf_puts(&text, rank == 1 ? ",), }" : "), }");
    if (text.failed) {
        buf_free(&text);
        FAIL(e, ERR_MEMORY, "%s: out of memory for the header", path);
    }
    size_t prefix = sizeof magic - 1 + 2;
    size_t length = (prefix + text.len + 1 + 63) / 64 * 64 - prefix;
    ASSERT(length <= sizeof dict, "npy: header of %zu bytes", length);
    memset(dict, ' ', length);
    memcpy(dict, text.data, text.len);
    dict[length - 1] = '\n';
    buf_free(&text);

    struct file_writer writer;
    uint16_t length16 = (uint16_t)length;
    TRY(file_writer_open(&writer, path, e));
    file_writer_write(&writer, magic, sizeof magic - 1);
    file_writer_write(&writer, &length16, sizeof length16);
    file_writer_write(&writer, dict, length);
    if (bytes)
        file_writer_write(&writer, data, (size_t)bytes);
    return file_writer_commit(&writer, e);
}
