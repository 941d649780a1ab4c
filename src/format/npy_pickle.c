/* Arrays that ndarray.dump wrote: protocol 2 of pickle, and always the same calls in the same order,
 *
 *   _reconstruct(ndarray, (0,), encode("b", "latin1"))
 *   BUILD (1, shape, dtype("f4", 0 | False, 1 | True) BUILD (3, "<", None x 3, -1, -1, 0),
 *          fortran_order, encode(DATA, "latin1"))
 *
 * so this is a parser of that one text with holes: shape, type, order and data. Each byte of DATA is
 * a character U+0000 to U+00FF in UTF-8. Nothing is executed. Source: Python's pickletools. */
#include <stdlib.h>
#include <string.h>

#include "base/shapes.h"
#include "format/npy.h"

struct reader {
    const unsigned char *begin, *at, *end;
    const char *name;
    struct err *e;
};

static enum err_code refuse(struct reader *r, const char *expected)
{
    if (r->at == r->end)
        FAIL(r->e, ERR_TRUNCATED, "%s: ends inside a pickled array", r->name);
    FAIL(r->e, ERR_UNSUPPORTED,
         "%s: byte %zu: a pickle that is no plain array of numbers (expected %s); nothing of it is "
         "executed",
         r->name, (size_t)(r->at - r->begin), expected);
}

static bool accept(struct reader *r, const void *bytes, size_t size)
{
    if ((size_t)(r->end - r->at) < size || memcmp(r->at, bytes, size) != 0)
        return false;
    r->at += size;
    return true;
}

/* Values are also put into the memo, where encode and "latin1" are taken from the second time. */
static void skip_memo(struct reader *r)
{
    if (r->end - r->at >= 2 && *r->at == 'q')
        r->at += 2;
    else if (r->end - r->at >= 5 && *r->at == 'r')
        r->at += 5;
}

static enum err_code expect(struct reader *r, const void *bytes, size_t size, const char *what)
{
    if (!accept(r, bytes, size))
        return refuse(r, what);
    skip_memo(r);
    return ERR_OK;
}
#define EXPECT(r, literal, what) TRY(expect(r, literal, sizeof(literal) - 1, what))

static enum err_code read_text(struct reader *r, const unsigned char **text, size_t *size)
{
    *size = 0;
    if (r->end - r->at < 5 || *r->at != 'X')
        return refuse(r, "text");
    for (int i = 4; i > 0; i--)
        *size = *size << 8 | r->at[i];
    r->at += 5;
    if ((size_t)(r->end - r->at) < *size)
        FAIL(r->e, ERR_TRUNCATED, "%s: ends inside a pickled array", r->name);
    *text = r->at;
    r->at += *size;
    skip_memo(r);
    return ERR_OK;
}

static enum err_code expect_text(struct reader *r, const char *wanted)
{
    const unsigned char *text;
    size_t size;
    TRY(read_text(r, &text, &size));
    return size == strlen(wanted) && memcmp(text, wanted, size) == 0 ? ERR_OK : refuse(r, wanted);
}

/* The global, or where the memo has it (byte 'h' and one of 256 places). */
static enum err_code expect_again(struct reader *r)
{
    if (r->end - r->at < 2 || *r->at != 'h')
        return refuse(r, "something from the memo");
    r->at += 2;
    return ERR_OK;
}

static enum err_code read_extent(struct reader *r, int64_t *out)
{
    size_t bytes = r->at == r->end ? 0
                   : *r->at == 'K' ? 1
                   : *r->at == 'M' ? 2
                   : *r->at == 'J' ? 4
                                   : 0;
    if (bytes == 0 || (size_t)(r->end - r->at) < 1 + bytes)
        return refuse(r, "a whole number");
    *out = 0;
    for (size_t i = bytes; i > 0; i--)
        *out = *out << 8 | r->at[i];
    r->at += 1 + bytes;
    return ERR_OK;
}

/* One extent and TUPLE1, two and TUPLE2, three and TUPLE3, or MARK, more and TUPLE. */
static enum err_code read_shape(struct reader *r, struct npy *n)
{
    bool marked = accept(r, "(", 1);
    while (r->at < r->end && (*r->at == 'K' || *r->at == 'M' || *r->at == 'J')) {
        if (n->rank == NPY_RANK_MAX)
            FAIL(r->e, ERR_LIMIT, "%s: more than %d dimensions", r->name, NPY_RANK_MAX);
        TRY(read_extent(r, &n->shape[n->rank++]));
    }
    if (marked || n->rank == 0 || n->rank > 3)
        return expect(r, marked ? "t" : ")", 1, "the end of a shape");
    const char close = (char)(0x84 + n->rank);
    return expect(r, &close, 1, "the end of a shape");
}

static enum err_code read_type(struct reader *r, struct npy *n)
{
    static const char *const types[] = {"f2", "f4", "f8", "i1", "i2", "i4",
                                        "i8", "u1", "u2", "u4", "u8", "b1"};
    const unsigned char *text;
    size_t size;
    EXPECT(r, "cnumpy\ndtype\n", "numpy.dtype");
    TRY(read_text(r, &text, &size));
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (size == 2 && memcmp(text, types[i], 2) == 0) {
            n->kind = types[i][0];
            n->item_bytes = types[i][1] - '0';
        }
    if (n->item_bytes == 0)
        return refuse(r, "floats, integers or bool");
    if (!accept(r, "\x89\x88\x87", 3) && !accept(r, "K\0K\1\x87", 5))
        return refuse(r, "the arguments of numpy.dtype");
    skip_memo(r);
    EXPECT(r, "R", "a type");
    EXPECT(r, "(K\3", "the state of a type");
    TRY(read_text(r, &text, &size));
    if (size != 1 || !strchr("<>|", *text) || (*text == '|') != (n->item_bytes == 1))
        return refuse(r, "a byte order");
    n->big_endian = *text == '>';
    EXPECT(r, "NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0t", "the state of a plain type");
    EXPECT(r, "b", "the end of a type");
    return ERR_OK;
}

/* Text of characters up to U+00FF to bytes. */
static enum err_code read_data(struct reader *r, struct npy *n)
{
    const unsigned char *text;
    size_t size, at = 0;
    int64_t bytes;
    if (!shape_numel(n->shape, n->rank, &n->count) || !mul_i64(n->count, n->item_bytes, &bytes))
        FAIL(r->e, ERR_FORMAT, "%s: the shape is larger than any file", r->name);
    TRY(read_text(r, &text, &size));
    if ((uint64_t)bytes > size) /* before it is allocated */
        FAIL(r->e, ERR_TRUNCATED, "%s: the shape takes %lld bytes, %zu are there", r->name,
             (long long)bytes, size);
    unsigned char *out = n->owned = malloc((size_t)bytes + 1);
    if (!out)
        FAIL(r->e, ERR_MEMORY, "%s: out of memory for %lld bytes", r->name, (long long)bytes);
    int64_t count = 0;
    for (; at < size && count < bytes; count++) {
        if (text[at] < 0x80) {
            out[count] = text[at++];
        } else if (size - at >= 2 && (text[at] & 0xfe) == 0xc2 && (text[at + 1] & 0xc0) == 0x80) {
            out[count] = (unsigned char)(text[at] << 6 | (text[at + 1] & 0x3f));
            at += 2;
        } else {
            FAIL(r->e, ERR_FORMAT, "%s: the data of the pickled array are no Latin-1", r->name);
        }
    }
    if (count != bytes || at != size)
        FAIL(r->e, count < bytes ? ERR_TRUNCATED : ERR_FORMAT,
             "%s: the shape takes %lld bytes, %s are there", r->name, (long long)bytes,
             count < bytes ? "fewer" : "more");
    n->data = out;
    return ERR_OK;
}

static enum err_code read_array(struct reader *r, struct npy *n)
{
    static const char old[] = "cnumpy.core.multiarray\n_reconstruct\n",
                      new[] = "cnumpy._core.multiarray\n_reconstruct\n";
    EXPECT(r, "\x80\2", "protocol 2");
    if (!accept(r, old, sizeof old - 1) && !accept(r, new, sizeof new - 1))
        return refuse(r, "numpy's _reconstruct");
    skip_memo(r);
    EXPECT(r, "cnumpy\nndarray\n", "numpy.ndarray");
    EXPECT(r, "K\0\x85", "(0,)");
    EXPECT(r, "c_codecs\nencode\n", "_codecs.encode");
    TRY(expect_text(r, "b"));
    TRY(expect_text(r, "latin1"));
    EXPECT(r, "\x86", "two arguments");
    EXPECT(r, "R", "bytes");
    EXPECT(r, "\x87", "three arguments");
    EXPECT(r, "R", "an array");
    EXPECT(r, "(K\1", "the state of an array");
    TRY(read_shape(r, n));
    TRY(read_type(r, n));
    n->fortran_order = accept(r, "\x88", 1);
    if (!n->fortran_order)
        EXPECT(r, "\x89", "True or False");
    TRY(expect_again(r));
    TRY(read_data(r, n));
    TRY(expect_again(r));
    EXPECT(r, "\x86", "two arguments");
    EXPECT(r, "R", "bytes");
    EXPECT(r, "t", "the end of the state");
    EXPECT(r, "b", "the end of the array");
    EXPECT(r, ".", "the end");
    return r->at == r->end ? ERR_OK : refuse(r, "the end of the file");
}

enum err_code npy_parse_pickle(struct npy *n, const void *data, size_t size, const char *name,
                               struct err *e)
{
    *n = (struct npy){0};
    struct reader r = {.begin = data, .at = data, .name = name, .e = e};
    r.end = r.begin + size;
    enum err_code code = read_array(&r, n);
    if (code != ERR_OK)
        npy_close(n);
    return code;
}
