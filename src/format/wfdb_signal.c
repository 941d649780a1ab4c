#define _GNU_SOURCE /* strerror_r that returns the text */
#include "format/wfdb_signal.h"

#include <errno.h>
#include <fcntl.h>
#include <sndfile.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "format/mat4.h"
#include "format/mat5.h"
#include "signal/unit.h"

#define PIECE_SAMPLES 16384 /* decoded at a time: a frame of more is a piece of its own */
#define TILE_FRAMES 64      /* of a piece, sorted into signals while they are in the first cache */
#define FLAC_CHANNELS_MAX 8

/* A signal file read by position: no map, so a file that shrinks under us is a short read. */
struct source {
    int fd;
    int64_t size;
    int64_t base;     /* byte offset of the first sample */
    int64_t position; /* of the virtual file that libsndfile sees */
    const char *path;
};

/* One file and the signals in it. */
struct group {
    const struct wfdb_header *header;
    int64_t first, count;  /* signals */
    int64_t frame_samples; /* of all its signals */
    const struct wfdb_codec *codec;
    struct source source;
    SNDFILE *flac;
    int flac_shift; /* libsndfile left-justifies in 32 bits */
    int64_t flac_frames;
};

static enum err_code source_open(struct source *s, const char *path, int64_t base, struct err *e)
{
    *s = (struct source){.fd = -1, .base = base, .path = path};
    char room[128];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not make us wait */
    if (fd < 0) {
        int number = errno;
        FAIL(e, number == ENOENT || number == ENOTDIR ? ERR_NOT_FOUND : ERR_IO,
             "cannot open signal file %s: %s", path, strerror_r(number, room, sizeof room));
    }
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        FAIL(e, ERR_IO, "cannot read signal file %s: it is not a regular file", path);
    }
    s->fd = fd;
    s->size = (int64_t)st.st_size;
    return ERR_OK;
}

static void source_close(struct source *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

/* Bytes from `offset` of the file on; *got < size at its end. */
static enum err_code source_read(const struct source *s, int64_t offset, void *to, int64_t size,
                                 int64_t *got, struct err *e)
{
    *got = 0;
    while (*got < size) {
        ssize_t n = pread(s->fd, (char *)to + *got, (size_t)(size - *got), (off_t)(offset + *got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            char room[128];
            FAIL(e, ERR_IO, "cannot read signal file %s: %s", s->path,
                 strerror_r(errno, room, sizeof room));
        }
        if (n == 0)
            break;
        *got += n;
    }
    return ERR_OK;
}

/* libsndfile's view of the file: what lies behind the byte offset. */
static sf_count_t virtual_size(void *context)
{
    const struct source *s = context;
    return s->size > s->base ? s->size - s->base : 0;
}

static sf_count_t virtual_seek(sf_count_t offset, int whence, void *context)
{
    struct source *s = context;
    int64_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? s->position : virtual_size(s);
    int64_t to;
    if (__builtin_add_overflow(from, (int64_t)offset, &to) || to < 0)
        return -1;
    return s->position = to;
}

static sf_count_t virtual_read(void *to, sf_count_t count, void *context)
{
    struct source *s = context;
    int64_t size = virtual_size(s), got;
    if (count <= 0 || s->position >= size)
        return 0;
    if (count > size - s->position)
        count = size - s->position;
    if (source_read(s, s->base + s->position, to, count, &got, NULL) != ERR_OK)
        return 0;
    s->position += got;
    return got;
}

static sf_count_t virtual_tell(void *context) { return ((const struct source *)context)->position; }

static enum err_code flac_open(struct group *g, struct err *e)
{
    static SF_VIRTUAL_IO io = {virtual_size, virtual_seek, virtual_read, NULL, virtual_tell};
    struct source *s = &g->source;
    char magic[4];
    int64_t got;
    /* libsndfile opens thirty kinds of file: let it see only the one that WFDB means. */
    TRY(source_read(s, s->base, magic, sizeof magic, &got, e));
    if (got < (int64_t)sizeof magic)
        FAIL(e, ERR_TRUNCATED, "%s ends before its FLAC header", s->path);
    if (memcmp(magic, "fLaC", 4) != 0)
        FAIL(e, ERR_FORMAT, "%s is no FLAC file, as format %d needs", s->path, g->codec->number);
    SF_INFO info = {0};
    s->position = 0;
    g->flac = sf_open_virtual(&io, SFM_READ, &info, s);
    if (g->flac == NULL)
        FAIL(e, ERR_FORMAT, "%s: FLAC header cannot be read: %s", s->path, sf_strerror(NULL));
    int subtype = info.format & SF_FORMAT_SUBMASK;
    int bits = subtype == SF_FORMAT_PCM_S8   ? 8
               : subtype == SF_FORMAT_PCM_16 ? 16
               : subtype == SF_FORMAT_PCM_24 ? 24
                                             : 0;
    if ((info.format & SF_FORMAT_TYPEMASK) != SF_FORMAT_FLAC || bits != g->codec->bits)
        FAIL(e, ERR_FORMAT, "%s: format %d needs %d bits per sample, the FLAC file has %d", s->path,
             g->codec->number, g->codec->bits, bits);
    if (info.channels != g->count)
        FAIL(e, ERR_FORMAT, "%s: the header has %lld signals in this file, FLAC has %d channels",
             s->path, (long long)g->count, info.channels);
    g->flac_shift = 32 - bits;
    g->flac_frames = info.frames > 0 ? info.frames : INT64_MAX; /* not stated: counted */
    return ERR_OK;
}

static void group_close(struct group *g)
{
    if (g->flac != NULL)
        sf_close(g->flac);
    g->flac = NULL;
    source_close(&g->source);
}

/* Finds the run of signals that begins at `first` and opens its file; the caller closes it, also
 * after an error. A group of format 0 has no file and codec->bits 0. */
static enum err_code group_open(struct group *g, const struct wfdb_header *h, const char *folder,
                                int64_t first, struct arena *a, struct err *e)
{
    const struct wfdb_signal *s = &h->signals[first];
    *g = (struct group){.header = h, .first = first, .codec = s->codec, .source.fd = -1};
    do {
        g->frame_samples += h->signals[first + g->count].per_frame;
        g->count++;
    } while (s->codec->number != 0 && first + g->count < h->signal_count &&
             h->signals[first + g->count].codec->number != 0 &&
             strcmp(h->signals[first + g->count].file, s->file) == 0);
    if (s->codec->number == 0)
        return ERR_OK;
    const char *path = path_join(a, folder, s->file);
    if (path == NULL)
        FAIL(e, ERR_MEMORY, "out of memory while opening %s", s->file);
    TRY(source_open(&g->source, path, s->offset, e));
    if (!s->codec->is_flac)
        return ERR_OK;
    if (g->count > FLAC_CHANNELS_MAX)
        FAIL(e, ERR_FORMAT, "%s: %lld signals in one FLAC file, at most %d are possible", path,
             (long long)g->count, FLAC_CHANNELS_MAX);
    return flac_open(g, e);
}

/* The next interleaved FLAC samples; *got counts samples of one channel. A damaged stream ends. */
static void flac_read(struct group *g, int32_t *to, int64_t samples, int64_t *got)
{
    *got = 0;
    while (*got < samples) {
        sf_count_t n = sf_readf_int(g->flac, to + *got * g->count, samples - *got);
        if (n <= 0)
            break;
        *got += n;
    }
    for (int64_t i = 0; i < *got * g->count; i++)
        to[i] >>= g->flac_shift; /* arithmetic in every compiler we build with */
}

/* Frames of a FLAC file. The count in its header is believed if the file is large enough to hold it
 * at usual compression; otherwise the stream is decoded once to count. */
static enum err_code flac_measure(struct group *g, int64_t frame_limit, int64_t *frames,
                                  struct err *e)
{
    int64_t per_frame = g->header->signals[g->first].per_frame;
    int64_t samples = g->flac_frames;
    if (samples / 64 > virtual_size(&g->source)) {
        int32_t *piece = malloc((size_t)(PIECE_SAMPLES * g->count) * sizeof *piece);
        if (piece == NULL)
            FAIL(e, ERR_MEMORY, "out of memory while measuring %s", g->source.path);
        int64_t got;
        samples = 0;
        do {
            flac_read(g, piece, PIECE_SAMPLES, &got);
            samples += got;
        } while (got == PIECE_SAMPLES && samples / per_frame < frame_limit);
        free(piece);
    }
    *frames = samples / per_frame;
    return ERR_OK;
}

/* A .mat file has a matrix header in front of the samples: check that it means what the .hea says. */
static enum err_code mat_check(const struct group *g, struct arena *a, const char **mismatch,
                               struct err *e)
{
    static const struct {
        int number, element_type;
    } types[] = {
        {80, 5},
        {16, 3},
        {160, 4},
        {32, 2},
    };
    const struct source *s = &g->source;
    unsigned char head[128];
    int64_t got;
    TRY(source_read(s, 0, head, sizeof head, &got, e));
    struct mat4 mat;
    if (mat5_is_level5(head, (size_t)got) || mat5_is_level73(head, (size_t)got))
        FAIL(e, ERR_UNSUPPORTED,
             "%s is a MATLAB file of level 5 or later, WFDB signals need level 4", s->path);
    if (!mat4_parse(head, (size_t)got, &mat)) {
        if (got < 20)
            return ERR_OK; /* the count of frames will tell */
        FAIL(e, ERR_FORMAT, "%s does not begin with a MATLAB level-4 matrix header", s->path);
    }
    if (mat.data_offset != s->base)
        FAIL(e, ERR_FORMAT, "%s: byte offset in the header is %lld, the matrix begins at %lld",
             s->path, (long long)s->base, (long long)mat.data_offset);
    if (mat.rows != g->frame_samples)
        FAIL(e, ERR_FORMAT, "%s: the header has %lld signals, the matrix has %lld rows", s->path,
             (long long)g->frame_samples, (long long)mat.rows);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].number == g->codec->number && types[i].element_type != mat.element_type)
            FAIL(e, ERR_FORMAT, "%s: format %d does not fit matrix elements of type %d", s->path,
                 g->codec->number, mat.element_type);
    int64_t declared = g->header->sample_count;
    if (declared >= 0 && mat.columns != declared && *mismatch == NULL)
        *mismatch = arena_printf(a,
                                 "%s: the matrix has %lld columns, the header declares %lld "
                                 "samples",
                                 s->path, (long long)mat.columns, (long long)declared);
    return ERR_OK;
}

static enum err_code group_measure(struct group *g, int64_t frame_limit, struct arena *a,
                                   struct wfdb_measure *out, int64_t *frames, struct err *e)
{
    if (g->codec->is_flac)
        return flac_measure(g, frame_limit, frames, e);
    if (str_ends_with(g->source.path, ".mat"))
        TRY(mat_check(g, a, &out->mat_mismatch, e));
    int64_t bytes = g->source.size > g->source.base ? g->source.size - g->source.base : 0;
    *frames = wfdb_codec_samples(g->codec, bytes) / g->frame_samples;
    /* Two samples of format 310 take the four bytes that three take: no surplus. */
    int64_t declared = g->header->sample_count;
    if (declared >= 0 && declared < *frames &&
        wfdb_codec_bytes(g->codec, declared * g->frame_samples) == bytes)
        *frames = declared;
    return ERR_OK;
}

enum err_code wfdb_signals_measure(const struct wfdb_header *h, const char *folder,
                                   int64_t frame_limit, struct arena *a, struct wfdb_measure *out,
                                   struct err *e)
{
    *out = (struct wfdb_measure){.frame_count = INT64_MAX};
    struct group g;
    for (int64_t first = 0; first < h->signal_count; first += g.count) {
        int64_t frames = 0;
        enum err_code code = group_open(&g, h, folder, first, a, e);
        if (code == ERR_OK && g.codec->number != 0)
            code = group_measure(&g, frame_limit, a, out, &frames, e);
        group_close(&g);
        if (code == ERR_TRUNCATED)
            return err_context(e, "record %s", h->name);
        TRY(code);
        if (g.codec->number == 0)
            continue;
        out->differ = out->differ || (out->has_files && frames != out->frame_count);
        out->has_files = true;
        if (frames < out->frame_count) {
            out->frame_count = frames;
            out->shortest = h->signals[first].file;
        }
    }
    if (out->has_files && h->sample_count >= 0 && out->frame_count > h->sample_count)
        out->surplus_frames = out->frame_count - h->sample_count;
    return ERR_OK;
}

/* A decoded piece: sample k of frame j of the group's signal i lies at
 * values[skip + j * frame_stride + start(i) + k * sample_stride]. */
struct piece {
    const int32_t *values;
    int64_t first_frame, frame_count;
    int64_t frame_stride, sample_stride;
};

/* Takes one signal with one sample in each frame out of a piece, `start` its first sample: the usual
 * case, in which the loop over wanted frames has no choices. */
static void take_plain(const struct piece *p, int64_t start, const struct wfdb_signal *s,
                       const struct wfdb_span *span, struct wfdb_destination *to)
{
    const int32_t *in = p->values + start;
    int64_t stride = p->frame_stride, n = p->frame_count;
    if (!to->has_initial && n > 0) {
        to->initial = in[0];
        to->has_initial = true;
    }
    uint32_t sum = to->checksum;
    for (int64_t j = 0; j < n; j++)
        sum += (uint32_t)in[j * stride];
    to->checksum = (uint16_t)sum;
    if (to->values == NULL)
        return;
    int64_t shift = p->first_frame - s->skew - span->begin; /* frame j goes to row shift + j */
    int64_t first = shift < 0 ? -shift : 0, end = span->end - span->begin - shift;
    int32_t *out = to->values, invalid = s->codec->invalid;
    bool has_invalid = s->codec->has_invalid;
    for (int64_t j = first; j < n && j < end; j++) {
        int32_t value = in[j * stride];
        out[shift + j] = has_invalid && value == invalid ? ADC_INVALID : value;
    }
}

/* Takes any signal out of a piece. `start` is its first sample; *level is the running sum of a
 * difference format. */
static void take_signal(const struct piece *p, int64_t start, const struct wfdb_signal *s,
                        const struct wfdb_span *span, uint32_t *level, struct wfdb_destination *to)
{
    const struct wfdb_codec *codec = s->codec;
    int64_t per_frame = s->per_frame, out_per_frame = span->per_frame_out;
    if (per_frame == 1 && out_per_frame == 1 && !codec->is_difference) {
        take_plain(p, start, s, span, to);
        return;
    }
    uint16_t sum = to->checksum;
    for (int64_t j = 0; j < p->frame_count; j++) {
        const int32_t *in = p->values + start + j * p->frame_stride;
        int64_t frame = p->first_frame + j - s->skew - span->begin;
        bool wanted = to->values != NULL && frame >= 0 && frame < span->end - span->begin;
        int32_t *out = wanted ? to->values + frame * out_per_frame : NULL;
        int64_t total = 0, next = 0;
        bool invalid = false;
        for (int64_t k = 0; k < per_frame; k++) {
            int32_t value = in[k * p->sample_stride];
            if (codec->is_difference) {
                *level += (uint32_t)value;
                value = (int32_t)*level;
            }
            sum = (uint16_t)(sum + (uint32_t)value);
            if (!to->has_initial) {
                to->initial = value;
                to->has_initial = true;
            }
            if (codec->has_invalid && value == codec->invalid)
                value = ADC_INVALID;
            if (!wanted)
                continue;
            if (out_per_frame == 1) {
                total += value;
                invalid = invalid || value == ADC_INVALID;
            } else { /* sample k fills out[n] for all n with n * per_frame / out_per_frame == k */
                for (; next < out_per_frame && next * per_frame / out_per_frame == k; next++)
                    out[next] = value;
            }
        }
        if (wanted && out_per_frame == 1)
            out[0] = invalid ? ADC_INVALID : (int32_t)(per_frame == 1 ? total : total / per_frame);
    }
    to->checksum = sum;
}

static enum err_code group_read(struct group *g, const struct wfdb_span *span,
                                struct wfdb_destination *destinations, int64_t *frames_read,
                                struct err *e)
{
    const struct wfdb_signal *signals = g->header->signals + g->first;
    const struct wfdb_codec *codec = g->codec;
    int64_t max_skew = 0;
    for (int64_t i = 0; i < g->count; i++)
        max_skew = signals[i].skew > max_skew ? signals[i].skew : max_skew;
    /* Differences and FLAC streams are read from their beginning. */
    bool whole = span->verify || codec->is_difference || codec->is_flac;
    int64_t begin = whole ? 0 : span->begin;
    int64_t end = span->verify || span->end > span->available - max_skew ? span->available
                                                                         : span->end + max_skew;

    int64_t frame_samples = g->frame_samples;
    int64_t piece_frames = PIECE_SAMPLES / frame_samples > 0 ? PIECE_SAMPLES / frame_samples : 1;
    if (piece_frames > end - begin)
        piece_frames = end > begin ? end - begin : 1;
    int64_t room = piece_frames * frame_samples + 2; /* 2: a piece may begin inside a block */
    int32_t *values = malloc((size_t)room * sizeof *values);
    unsigned char *bytes =
        codec->is_flac ? NULL : malloc((size_t)wfdb_codec_bytes(codec, room) + 4);
    uint32_t *levels = calloc((size_t)g->count, sizeof *levels);
    enum err_code code = ERR_OK;
    if (values == NULL || levels == NULL || (bytes == NULL && !codec->is_flac)) {
        code = RAISE(e, ERR_MEMORY, "out of memory while reading %s", g->source.path);
        goto out;
    }
    for (int64_t i = 0; i < g->count; i++)
        levels[i] = (uint32_t)signals[i].initial;

    int64_t frame = begin;
    while (frame < end) {
        int64_t want = piece_frames < end - frame ? piece_frames : end - frame;
        struct piece p = {.values = values, .first_frame = frame, .frame_count = want};
        if (codec->is_flac) {
            int64_t per_frame = signals[0].per_frame, got;
            flac_read(g, values, want * per_frame, &got);
            p.frame_count = got / per_frame;
            p.frame_stride = frame_samples; /* per_frame samples of each channel, in turn */
            p.sample_stride = g->count;
        } else {
            int64_t sample = frame * frame_samples, skip = sample % codec->block_samples, got;
            int64_t count = skip + want * frame_samples;
            int64_t offset =
                g->source.base + (sample - skip) / codec->block_samples * codec->block_bytes;
            TRY_TO(out, code,
                   source_read(&g->source, offset, bytes, wfdb_codec_bytes(codec, count), &got, e));
            int64_t there = wfdb_codec_samples(codec, got);
            count = there < count ? there : count;
            codec->decode(bytes, count, values);
            p.values = values + skip;
            p.frame_count = count > skip ? (count - skip) / frame_samples : 0;
            p.frame_stride = frame_samples;
            p.sample_stride = 1;
        }
        for (int64_t j = 0; j < p.frame_count; j += TILE_FRAMES) {
            struct piece tile = p;
            tile.values += j * p.frame_stride;
            tile.first_frame += j;
            tile.frame_count = p.frame_count - j < TILE_FRAMES ? p.frame_count - j : TILE_FRAMES;
            int64_t start = 0;
            for (int64_t i = 0; i < g->count; i++) {
                take_signal(&tile, start, &signals[i], span, &levels[i],
                            &destinations[g->first + i]);
                start += codec->is_flac ? 1 : signals[i].per_frame;
            }
        }
        frame += p.frame_count;
        if (p.frame_count < want)
            break;
    }
    if (frame < end && frame < *frames_read)
        *frames_read = frame;
out:
    free(values);
    free(bytes);
    free(levels);
    return code;
}

enum err_code wfdb_signals_read(const struct wfdb_header *h, const char *folder,
                                const struct wfdb_span *span, struct wfdb_destination *destinations,
                                int64_t *frames_read, struct err *e)
{
    ASSERT(span->begin >= 0 && span->end >= span->begin && span->per_frame_out >= 1, "bad span");
    *frames_read = span->available;
    struct arena paths;
    arena_init(&paths, "wfdb paths", 0);
    enum err_code code = ERR_OK;
    struct group g;
    for (int64_t first = 0; code == ERR_OK && first < h->signal_count; first += g.count) {
        code = group_open(&g, h, folder, first, &paths, e);
        if (code == ERR_OK && g.codec->number != 0)
            code = group_read(&g, span, destinations, frames_read, e);
        group_close(&g);
    }
    arena_reset(&paths);
    return code;
}
