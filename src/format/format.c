#include "format/format.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"

#define FORMAT(name) extern const struct format format_##name;
#include "format/formats.def"
#undef FORMAT

const struct format *const formats[] = {
#define FORMAT(name) &format_##name,
#include "format/formats.def"
#undef FORMAT
    NULL,
};

#define HEAD_BYTES 512

/* The first bytes of a regular file; 0 of anything else. */
static size_t read_head(const char *path, unsigned char *head)
{
    if (!file_exists(path))
        return 0;
    FILE *stream = fopen(path, "rbe");
    size_t n = stream == NULL ? 0 : fread(head, 1, HEAD_BYTES, stream);
    if (stream != NULL)
        fclose(stream);
    return n;
}

/* The format that fits best, or NULL. */
static const struct format *format_find(const char *path, const unsigned char *head,
                                        size_t head_size, int *score)
{
    const struct format *best = NULL;
    *score = 0;
    for (const struct format *const *f = formats; *f != NULL; f++) {
        int found = (*f)->probe(path, head, head_size);
        if (found > *score) {
            best = *f;
            *score = found;
        }
    }
    return best;
}

enum err_code record_read(const char *path, const struct read_options *options,
                          struct ecg_record *out, struct err *e)
{
    static const struct read_options defaults = {0};
    ecg_record_init(out);
    unsigned char head[HEAD_BYTES];
    int score;
    const struct format *best = format_find(path, head, 0, &score);
    if (score < 100) /* the name alone does not tell */
        best = format_find(path, head, read_head(path, head), &score);
    if (best != NULL)
        return best->read(path, options != NULL ? options : &defaults, out, e);
    if (dir_exists(path))
        FAIL(e, ERR_IO, "%s is a folder, not a recording", path);
    if (!file_exists(path))
        FAIL(e, ERR_NOT_FOUND, "there is no recording %s", path);
    FAIL(e, ERR_UNSUPPORTED, "%s is not a recording in a known format", path);
}

bool record_path_is_candidate(const char *path)
{
    const char *extension = path_extension(path);
    size_t n = strlen(extension);
    if (n == 0 || n > 15)
        return false;
    for (const struct format *const *f = formats; *f != NULL; f++)
        for (const char *p = (*f)->extensions; p != NULL;) {
            const char *end = strchr(p, '|');
            char one[16];
            size_t length = end == NULL ? strlen(p) : (size_t)(end - p);
            if (length == n) {
                memcpy(one, p, n);
                one[n] = '\0';
                if (str_equal_nocase(one, extension)) {
                    unsigned char head[HEAD_BYTES];
                    int score;
                    return !(*f)->by_content ||
                           format_find(path, head, read_head(path, head), &score) == *f;
                }
            }
            p = end == NULL ? NULL : end + 1;
        }
    return false;
}
