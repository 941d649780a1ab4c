/* Recording formats: one row per format (formats.def, fmt_*.c), found by what the file holds. */
#ifndef ECGFM_FORMAT_FORMAT_H
#define ECGFM_FORMAT_FORMAT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "signal/record.h"

struct read_options {
    bool strict;          /* checksum or initial-value mismatch and short files are errors */
    int64_t max_values;   /* bound on leads * samples of one record; 0: 2^28, 2^25 if
                             compressed in a MATLAB file */
    bool high_resolution; /* signals of differing rates: all at the rate of the fastest, slower
                               ones held; otherwise faster ones averaged to the common rate */
};

#define READ_VALUES_MAX ((int64_t)1 << 28)

struct format {
    const char *name; /* "wfdb" */
    const char *help;
    const char *extensions; /* "hea" - of the file a user names, separated by '|' */
    bool by_content; /* files with that extension may be other things: their first bytes tell */
    /* 0 (no) .. 100 (sure) from the name and the first bytes. */
    int (*probe)(const char *path, const unsigned char *head, size_t head_size);
    /* Fills *out (initialized by the caller with ecg_record_init, freed by the caller also after
     * an error). Every file is hostile. */
    enum err_code (*read)(const char *path, const struct read_options *options,
                          struct ecg_record *out, struct err *e);
};

extern const struct format *const formats[]; /* NULL-terminated, from formats.def */

/* Reads a record in any known format. path may be the file, or a WFDB record name without its
 * extension. options NULL: the defaults. Initializes *out; the caller frees it also after an error.
 * Errors: ERR_NOT_FOUND, ERR_UNSUPPORTED (no known format), and those of the format. */
enum err_code record_read(const char *path, const struct read_options *options,
                          struct ecg_record *out, struct err *e);

/* True if a path looks like the entry file of a record: used to walk folders. The extension tells
 * (".hea"), and where it is not enough (".mat"), the first bytes of the file. */
bool record_path_is_candidate(const char *path);

#endif
