/* The files that `infer` writes beside the scores: numbers of every record or of each of its segments
 * (windows), in safetensors files written as they come, in memory for one segment.
 *
 * All hold their tensor, row by row in the order of the records; what has a row for each segment also
 * holds, I32 [segments], "record" (of the list `files` in the metadata), "start" (its first sample) and,
 * where records were given lengths, "length" (its valid samples).
 *   embeddings   [records,F]; or by segment [segments,F]
 *   tokens       [records, segments of a record * N, D], segments one after the other; if records differ
 *                in their number of segments a tensor tokens.I [.., D] for each record I
 *   saliency     [segments,N]; or by sample [segments,T], where tokens are of single leads
 *                [segments,L,T]
 *   attention    [segments,layers,N,N] */
#ifndef ECGFM_CLI_INFER_FILES_H
#define ECGFM_CLI_INFER_FILES_H

#include "format/safetensors.h"
#include "model/scorer.h"

enum infer_file {
    INFER_EMBEDDINGS,
    INFER_TOKENS,
    INFER_SALIENCY,
    INFER_ATTENTION,
    INFER_FILE_COUNT
};

/* One of the files; not open: nobody asked for it. */
struct infer_stream {
    const char *path; /* NULL: not open */
    struct safetensors_stream stream;
    int64_t kept_bytes; /* of records that are complete */
};

struct infer_segment {
    int32_t at[3]; /* record, start, length */
};

struct infer_files {
    struct infer_stream streams[INFER_FILE_COUNT];
    bool embeddings_by_segment, saliency_by_sample, lengths;
    const char *pool;
    int64_t F, N, D, layers, T, leads; /* leads: 1, or of tokens that are of single leads */
    int64_t records, segments, kept_segments, segment_cap, record_cap;
    struct infer_segment *places; /* [segments] */
    int64_t *counts;              /* [records] segments of each */
    const char **names;           /* [records], borrowed */
    float *drawn;                 /* [leads,T] saliency by sample */
    double *work;                 /* [N] */
    bool out_of_memory;
};

/* Which of them to write (NULL: not), and how. */
struct infer_files_options {
    const char *paths[INFER_FILE_COUNT];
    bool embeddings_by_segment, saliency_by_sample;
    struct scorer_options scorer; /* what the scorer was opened with */
};

/* names[count]: of all records that may come. *f is initialized here; close or abandon it also after
 * an error. Errors: ERR_IO, ERR_LIMIT, ERR_MEMORY, naming the option. */
enum err_code infer_files_open(struct infer_files *f, const struct infer_files_options *o,
                               const struct model *m, const struct scorer *s,
                               const char *const *names, int64_t count, struct err *e);
/* ERR_USAGE if what that option writes is one of the files. */
enum err_code infer_files_refuse(const struct infer_files *f, const struct file_writer *other,
                                 const char *option, struct err *e);
/* Takes a window that a scorer shows, of the record of that name; what comes of a record whose results
 * are refused is taken back. Failures are kept for the next infer_files_check. */
void infer_files_take(struct infer_files *f, const struct window *w, const char *name);
/* Errors: ERR_MEMORY, ERR_IO as soon as a write failed. */
enum err_code infer_files_check(struct infer_files *f, struct err *e);
/* Completes the files. */
enum err_code infer_files_close(struct infer_files *f, struct err *e);
void infer_files_abandon(struct infer_files *f); /* accepts closed ones */

#endif
