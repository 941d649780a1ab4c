#include "format/wfdb.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/shapes.h"
#include "base/str.h"
#include "format/mat4.h"
#include "format/wfdb_header.h"
#include "format/wfdb_signal.h"
#include "signal/unit.h"

/* All headers of one record: a master header may name a large segment header many times. */
#define HEADERS_BYTES_MAX ((size_t)64 << 20)

/* A stretch of the record's time: a plain record is one part, a multi-segment record one part for
 * each segment that the request touches. Parts follow each other without holes. */
struct part {
    const char *name; /* of the segment; NULL for a plain record */
    bool is_gap;
    int64_t start;  /* first frame in the record */
    int64_t frames; /* length in the record */
    const char *folder;
    struct wfdb_header header; /* not set for a gap */
    int64_t available;         /* frames that the files hold, at most `frames` */
    bool is_short;             /* they hold less than declared */
    int64_t *channels;         /* [signals] row of the record, or -1 */
};

/* One read in progress. */
struct reading {
    struct arena scratch; /* headers, paths, parts */
    const struct read_options *options;
    int64_t max_values;
    struct ecg_record *out;
    struct err *e;

    const char *path;
    struct wfdb_header header;        /* of the file that was named */
    const struct wfdb_header *layout; /* of a variable-layout record, else NULL */
    struct part *parts;
    int64_t part_count;
    int64_t begin, end; /* frames asked for */
    int per_frame_out;
    int64_t sample_count; /* T */
    int32_t *values;      /* [L,T], made float32 in place at the end */
};

#define FAIL_MEMORY(r)                                                                             \
    FAIL((r)->e, ERR_MEMORY, "out of memory while reading %s (headers may take %zu MiB)",          \
         (r)->path, HEADERS_BYTES_MAX >> 20)

/* A damaged file: noted on the record, or refused when reading strictly. */
#define NOTE_OR_FAIL(r, flag, code, ...)                                                           \
    do {                                                                                           \
        if ((r)->options->strict)                                                                  \
            FAIL((r)->e, code, __VA_ARGS__);                                                       \
        ecg_record_issue((r)->out, flag, __VA_ARGS__);                                             \
    } while (0)

static enum err_code check_size(const struct reading *r, int64_t frames)
{
    int64_t values;
    if (!mul_i64(frames, r->header.signal_count, &values) ||
        !mul_i64(values, r->per_frame_out, &values) || values > r->max_values)
        FAIL(r->e, ERR_LIMIT,
             "%s: %" PRId64 " samples of %" PRId64 " signals are more than the %" PRId64
             " values read at most",
             r->header.path, frames, r->header.signal_count, r->max_values);
    return ERR_OK;
}

/* Counts the frames of a part's files and compares with what is declared. declared -1: unknown. */
static enum err_code measure_part(struct reading *r, struct part *p, int64_t declared)
{
    struct wfdb_measure m;
    int64_t limit = r->max_values / p->header.signal_count + 1;
    TRY(wfdb_signals_measure(&p->header, p->folder, limit, &r->scratch, &m, r->e));
    if (!m.has_files && (declared < 0 || p->name == NULL))
        FAIL(r->e, ERR_FORMAT, "%s: no signal of this record is stored in a file", p->header.path);
    if (m.mat_mismatch != NULL)
        ecg_record_issue(r->out, 0, "%s", m.mat_mismatch);
    if (declared < 0) {
        if (m.differ)
            ecg_record_issue(r->out, 0, "signal files differ in length, %s is the shortest",
                             m.shortest);
        declared = m.frame_count;
    }
    p->frames = declared;
    p->available = m.frame_count < declared ? m.frame_count : declared;
    if (m.surplus_frames > 0 && m.mat_mismatch == NULL)
        ecg_record_issue(r->out, 0,
                         "%s holds %" PRId64 " samples more than the %" PRId64 " declared",
                         m.shortest, m.surplus_frames, declared);
    if (p->available == 0 && p->name == NULL)
        FAIL(r->e, ERR_TRUNCATED, "%s: %s holds no complete sample of all signals", p->header.path,
             m.shortest);
    p->is_short = p->available < p->frames;
    if (p->is_short)
        NOTE_OR_FAIL(r, RECORD_SHORT, ERR_TRUNCATED,
                     "%s: %" PRId64 " samples are declared, %s holds %" PRId64, p->header.path,
                     p->frames, m.shortest, p->available);
    return ERR_OK;
}

static enum err_code set_range(struct reading *r, const struct wfdb_request *request, int64_t total)
{
    r->begin = request != NULL ? request->begin : 0;
    r->end = request != NULL && request->end > 0 && request->end < total ? request->end : total;
    if (r->begin < 0 || r->begin >= r->end)
        FAIL(r->e, ERR_LENGTH, "%s: no samples between %" PRId64 " and %" PRId64 " of %" PRId64,
             r->path, r->begin, r->end, total);
    return ERR_OK;
}

static enum err_code load_plain(struct reading *r, const struct wfdb_request *request)
{
    struct part *p = arena_push(&r->scratch, sizeof *p);
    char *folder = path_folder(&r->scratch, r->path);
    if (p == NULL || folder == NULL)
        FAIL_MEMORY(r);
    *p = (struct part){.folder = folder, .header = r->header};
    r->parts = p;
    r->part_count = 1;
    if (request == NULL && r->header.sample_count > 0)
        TRY(check_size(r, r->header.sample_count)); /* a declaration nobody could mean */
    TRY(measure_part(r, p, r->header.sample_count));
    TRY(set_range(r, request, p->available));
    p->frames = p->available;
    return ERR_OK;
}

static enum err_code read_segment_header(struct reading *r, const struct wfdb_segment *segment,
                                         struct wfdb_header *h, const char **folder)
{
    const char *path = path_folder(&r->scratch, r->path);
    path = path == NULL ? NULL : path_join(&r->scratch, path, segment->name);
    path = path == NULL ? NULL : arena_printf(&r->scratch, "%s.hea", path);
    *folder = path == NULL ? NULL : path_folder(&r->scratch, path);
    if (*folder == NULL)
        FAIL_MEMORY(r);
    if (strcmp(segment->name, r->header.name) == 0 ||
        strcmp(path_name(path), path_name(r->path)) == 0)
        FAIL(r->e, ERR_FORMAT, "%s line %d: the record includes itself as segment '%s'", r->path,
             segment->line, segment->name);
    if (wfdb_header_read(path, &r->scratch, h, r->e) != ERR_OK)
        return err_context(r->e, "segment %s of %s", segment->name, r->path);
    if (h->segment_count > 0)
        FAIL(r->e, ERR_FORMAT,
             "%s line %d: segment '%s' is itself made of segments; one level is the limit", r->path,
             segment->line, segment->name);
    if (h->has_rate && fabs(h->rate_hz - r->header.rate_hz) > 1e-6 * r->header.rate_hz)
        FAIL(r->e, ERR_RATE, "%s: sampling rate must be %g Hz as in %s, found %g", path,
             r->header.rate_hz, r->path, h->rate_hz);
    /* A segment of a variable-layout record may leave signals out. */
    bool wrong = r->layout == NULL && h->signal_count != r->header.signal_count;
    if (wrong)
        FAIL(r->e, ERR_FORMAT, "%s: number of signals must be %" PRId64 " as in %s, found %" PRId64,
             path, r->header.signal_count, r->path, h->signal_count);
    return ERR_OK;
}

static enum err_code load_segments(struct reading *r, const struct wfdb_request *request)
{
    const struct wfdb_header *h = &r->header;
    int64_t total = 0, first = 0;
    for (int64_t i = 0; i < h->segment_count; i++)
        if (__builtin_add_overflow(total, h->segments[i].sample_count, &total))
            FAIL(r->e, ERR_LIMIT, "%s: lengths of the segments overflow", r->path);
    if (h->sample_count >= 0 && h->sample_count != total)
        FAIL(r->e, ERR_FORMAT, "%s: number of samples is %" PRId64 ", its segments have %" PRId64,
             r->path, h->sample_count, total);
    TRY(set_range(r, request, total));
    TRY(check_size(r, r->end - r->begin));
    if (h->segments[0].sample_count == 0 && strcmp(h->segments[0].name, "~") != 0) {
        struct wfdb_header *layout = arena_push(&r->scratch, sizeof *layout);
        const char *folder;
        if (layout == NULL)
            FAIL_MEMORY(r);
        TRY(read_segment_header(r, &h->segments[0], layout, &folder));
        r->layout = layout;
        first = 1;
    }
    r->parts = arena_push_array(&r->scratch, (size_t)h->segment_count, sizeof *r->parts);
    if (r->parts == NULL)
        FAIL_MEMORY(r);
    int64_t start = 0;
    for (int64_t i = first; i < h->segment_count; i++) {
        const struct wfdb_segment *s = &h->segments[i];
        int64_t stop = start + s->sample_count;
        if (s->sample_count > 0 && start < r->end && stop > r->begin) {
            struct part *p = &r->parts[r->part_count++];
            *p = (struct part){.name = s->name, .start = start, .frames = s->sample_count};
            p->is_gap = strcmp(s->name, "~") == 0;
            if (!p->is_gap) {
                TRY(read_segment_header(r, s, &p->header, &p->folder));
                if (p->header.sample_count >= 0 && p->header.sample_count != s->sample_count)
                    FAIL(r->e, ERR_FORMAT,
                         "%s: number of samples must be %" PRId64 " as in %s, found %" PRId64,
                         p->header.path, s->sample_count, r->path, p->header.sample_count);
                TRY(measure_part(r, p, s->sample_count));
            }
        }
        start = stop;
    }
    /* What the last segment lacks is an end, not a gap. */
    struct part *last = &r->parts[r->part_count - 1];
    if (!last->is_gap && last->available < last->frames && r->end > last->start + last->available) {
        last->frames = last->available;
        r->end = last->start + last->available;
        if (r->end <= r->begin)
            FAIL(r->e, ERR_TRUNCATED, "%s: segment %s holds none of the samples asked for", r->path,
                 last->name);
    }
    return ERR_OK;
}

/* The header that says which channels the record has. */
static const struct wfdb_header *template_header(const struct reading *r)
{
    if (r->layout != NULL)
        return r->layout;
    for (int64_t i = 0; i < r->part_count; i++)
        if (!r->parts[i].is_gap)
            return &r->parts[i].header;
    return NULL;
}

static enum err_code make_channels(struct reading *r, const struct wfdb_header *template)
{
    struct ecg_record *out = r->out;
    out->lead_count = template->signal_count;
    out->channels = arena_push_array(&out->arena, (size_t)out->lead_count, sizeof *out->channels);
    if (out->channels == NULL)
        FAIL_MEMORY(r);
    for (int64_t l = 0; l < out->lead_count; l++) {
        const struct wfdb_signal *s = &template->signals[l];
        double factor;
        bool voltage = unit_is_voltage(s->unit, &factor);
        out->channels[l] = (struct ecg_channel){
            .name = arena_strdup(&out->arena, s->name),
            .lead = lead_from_name(s->name),
            .unit = arena_strdup(&out->arena, voltage ? "mV" : s->unit),
            .is_voltage = voltage,
            .is_scaled = strcmp(s->unit, "NU") == 0,
        };
        if (out->channels[l].name == NULL || out->channels[l].unit == NULL)
            FAIL_MEMORY(r);
    }
    return ERR_OK;
}

/* Row of the record for a signal of a variable-layout segment: the first free row of that name. */
static int64_t match_channel(const struct reading *r, const char *name, const bool *used)
{
    for (int64_t l = 0; l < r->out->lead_count; l++)
        if (!used[l] && strcmp(r->out->channels[l].name, name) == 0)
            return l;
    return -1;
}

/* Does the unit of a segment's signal agree with its channel? */
static bool unit_agrees(const struct ecg_channel *c, const struct wfdb_signal *s)
{
    double factor;
    return unit_is_voltage(s->unit, &factor) ? c->is_voltage
                                             : !c->is_voltage && strcmp(c->unit, s->unit) == 0;
}

static enum err_code match_part(struct reading *r, struct part *p)
{
    p->channels = arena_push_array(&r->scratch, (size_t)p->header.signal_count, sizeof(int64_t));
    bool *used = arena_push_array(&r->scratch, (size_t)r->out->lead_count, sizeof *used);
    if (p->channels == NULL || used == NULL)
        FAIL_MEMORY(r);
    int64_t matched = 0;
    for (int64_t i = 0; i < p->header.signal_count; i++) {
        const struct wfdb_signal *s = &p->header.signals[i];
        int64_t l = r->layout != NULL ? match_channel(r, s->name, used) : i;
        if (l < 0)
            ecg_record_issue(r->out, 0, "%s: signal '%s' is not in the layout and is left out",
                             p->header.path, s->name);
        else if (strcmp(s->name, r->out->channels[l].name) != 0)
            ecg_record_issue(r->out, 0, "%s: signal '%s' stands where the record has '%s'",
                             p->header.path, s->name, r->out->channels[l].name);
        if (l >= 0 && !unit_agrees(&r->out->channels[l], s)) {
            ecg_record_issue(r->out, RECORD_GAPS, "%s: unit of '%s' must be %s, found %s: left out",
                             p->header.path, s->name, r->out->channels[l].unit, s->unit);
            l = -1;
        }
        if (l >= 0)
            used[l] = true;
        p->channels[i] = l;
        matched += l >= 0;
    }
    if (matched < r->out->lead_count)
        r->out->flags |= RECORD_GAPS;
    return ERR_OK;
}

/* Samples that the record gives for each frame of the header's rate. */
static void choose_rate(struct reading *r)
{
    int64_t least = INT64_MAX, most = 1;
    for (int64_t i = 0; i < r->part_count; i++)
        for (int64_t k = 0; !r->parts[i].is_gap && k < r->parts[i].header.signal_count; k++) {
            const struct wfdb_signal *s = &r->parts[i].header.signals[k];
            if (s->codec->number == 0)
                continue;
            least = s->per_frame < least ? s->per_frame : least;
            most = s->per_frame > most ? s->per_frame : most;
        }
    bool one_rate = least >= most;
    r->per_frame_out = one_rate || r->options->high_resolution ? (int)most : 1;
    r->out->rate_hz = r->header.rate_hz * r->per_frame_out;
    if (!one_rate && !r->options->high_resolution)
        ecg_record_issue(r->out, 0,
                         "signals have %" PRId64 " to %" PRId64 " samples per frame: "
                         "the mean of each frame is given, at %g Hz",
                         least, most, r->header.rate_hz);
}

/* Scale of a signal, refused if a value could leave float32. */
static enum err_code signal_scale(const struct reading *r, const struct part *p,
                                  const struct wfdb_signal *s, struct adc_scale *scale)
{
    *scale = (struct adc_scale){.gain = s->gain, .baseline = (double)s->baseline, .factor = 1};
    unit_is_voltage(s->unit, &scale->factor);
    bool wide = s->codec->is_difference; /* a running sum */
    if (!adc_fits(scale, wide ? INT32_MIN : s->codec->min, wide ? INT32_MAX : s->codec->max))
        FAIL(r->e, ERR_FORMAT, "%s line %d: gain %g makes values too large for float32",
             p->header.path, s->line, s->gain);
    return ERR_OK;
}

static enum err_code verify_part(struct reading *r, const struct part *p,
                                 const struct wfdb_destination *got)
{
    const struct wfdb_header *h = &p->header;
    bool all_zero = true, some_differ = false;
    for (int64_t i = 0; i < h->signal_count; i++) {
        all_zero = all_zero && h->signals[i].has_checksum && h->signals[i].checksum == 0;
        some_differ = some_differ || got[i].checksum != h->signals[i].checksum;
    }
    bool absent = all_zero && some_differ && !p->is_short;
    for (int64_t i = 0; i < h->signal_count; i++) {
        const struct wfdb_signal *s = &h->signals[i];
        if (s->codec->number == 0 || !got[i].has_initial)
            continue;
        if (!s->has_checksum)
            absent = true;
        else if (!p->is_short && !absent && got[i].checksum != s->checksum)
            NOTE_OR_FAIL(r, RECORD_CHECKSUM_MISMATCH, ERR_CHECKSUM,
                         "%s: checksum of '%s' is declared as %u, its samples have %u", h->path,
                         s->name, (unsigned)s->checksum, (unsigned)got[i].checksum);
        /* Of an invalid first sample, writers note whatever they like. */
        if (!s->has_initial || s->codec->is_difference || got[i].initial == s->initial ||
            (s->codec->has_invalid && got[i].initial == s->codec->invalid))
            continue;
        if (absent) /* a header that keeps no checksums is not held to its initial values */
            ecg_record_issue(r->out, RECORD_INITIAL_MISMATCH,
                             "%s: first sample of '%s' is declared as %" PRId64 ", found %" PRId64,
                             h->path, s->name, s->initial, got[i].initial);
        else
            NOTE_OR_FAIL(r, RECORD_INITIAL_MISMATCH, ERR_CHECKSUM,
                         "%s: first sample of '%s' is declared as %" PRId64 ", found %" PRId64,
                         h->path, s->name, s->initial, got[i].initial);
    }
    if (absent)
        r->out->flags |= RECORD_CHECKSUM_ABSENT;
    return ERR_OK;
}

static enum err_code read_part(struct reading *r, struct part *p)
{
    const struct wfdb_header *h = &p->header;
    struct wfdb_destination *to =
        arena_push_array(&r->scratch, (size_t)h->signal_count, sizeof *to);
    if (to == NULL)
        FAIL_MEMORY(r);
    int64_t at = p->start > r->begin ? p->start - r->begin : 0;
    struct wfdb_span span = {
        .begin = r->begin > p->start ? r->begin - p->start : 0,
        .end = r->end < p->start + p->frames ? r->end - p->start : p->frames,
        .available = p->available,
        .per_frame_out = r->per_frame_out,
    };
    span.verify = span.begin == 0 && span.end == p->frames;
    for (int64_t i = 0; i < h->signal_count; i++)
        if (p->channels[i] >= 0)
            to[i].values = r->values + p->channels[i] * r->sample_count + at * r->per_frame_out;
    int64_t frames;
    TRY(wfdb_signals_read(h, p->folder, &span, to, &frames, r->e));
    if (frames < p->available) { /* a FLAC stream that stops early */
        p->available = frames;
        p->is_short = true;
        NOTE_OR_FAIL(r, RECORD_SHORT, ERR_TRUNCATED,
                     "%s: decoding stopped after %" PRId64 " of %" PRId64 " samples", h->path,
                     frames, p->frames);
    }
    if (p->available < p->frames && p->name != NULL)
        r->out->flags |= RECORD_GAPS;
    return span.verify ? verify_part(r, p, to) : ERR_OK;
}

/* Drops the end that a damaged stream left empty. */
static enum err_code cut_end(struct reading *r, int64_t frames)
{
    int64_t shorter = frames * r->per_frame_out;
    if (frames <= 0)
        FAIL(r->e, ERR_TRUNCATED, "%s: no sample could be decoded", r->path);
    for (int64_t l = 1; l < r->out->lead_count; l++)
        memmove(r->values + l * shorter, r->values + l * r->sample_count,
                (size_t)shorter * sizeof *r->values);
    r->sample_count = shorter;
    r->end = r->begin + frames;
    return ERR_OK;
}

static enum err_code read_values(struct reading *r)
{
    struct ecg_record *out = r->out;
    TRY(check_size(r, r->end - r->begin));
    r->sample_count = (r->end - r->begin) * r->per_frame_out;
    int64_t count = out->lead_count * r->sample_count;
    r->values = arena_push_array(&out->arena, (size_t)count, sizeof *r->values);
    if (r->values == NULL)
        FAIL_MEMORY(r);
    for (int64_t i = 0; i < count; i++)
        r->values[i] = ADC_INVALID;
    for (int64_t i = 0; i < r->part_count; i++)
        if (r->parts[i].is_gap)
            out->flags |= RECORD_GAPS;
        else
            TRY(read_part(r, &r->parts[i]));
    const struct part *last = &r->parts[r->part_count - 1];
    if (!last->is_gap && r->end > last->start + last->available)
        TRY(cut_end(r, last->start + last->available - r->begin));
    out->sample_count = r->sample_count;
    return ERR_OK;
}

static void count_invalid(struct reading *r)
{
    for (int64_t l = 0; l < r->out->lead_count; l++) {
        const int32_t *row = r->values + l * r->sample_count;
        for (int64_t t = 0; t < r->sample_count; t++)
            r->out->channels[l].invalid_count += row[t] == ADC_INVALID;
    }
}

/* ADC units to mV, in place: parts cover the record without holes, so each value is met once. */
static enum err_code convert_part(struct reading *r, const struct part *p,
                                  const struct wfdb_signal **signal_of)
{
    int64_t from = p->start > r->begin ? p->start : r->begin;
    int64_t to = p->start + p->frames < r->end ? p->start + p->frames : r->end;
    int64_t signal_count = p->is_gap ? 0 : p->header.signal_count;
    if (from >= to)
        return ERR_OK;
    memset(signal_of, 0, (size_t)r->out->lead_count * sizeof *signal_of);
    for (int64_t k = 0; k < signal_count; k++)
        if (p->channels[k] >= 0 && p->header.signals[k].codec->number != 0)
            signal_of[p->channels[k]] = &p->header.signals[k];
    for (int64_t l = 0; l < r->out->lead_count; l++) {
        const struct wfdb_signal *s = signal_of[l];
        struct adc_scale scale = {1, 0, 1}; /* nothing there but ADC_INVALID */
        if (s != NULL)
            TRY(signal_scale(r, p, s, &scale));
        if (s != NULL && !s->has_gain && (r->out->flags & RECORD_DEFAULT_GAIN) == 0)
            ecg_record_issue(r->out, RECORD_DEFAULT_GAIN,
                             "gain of '%s' is not declared: %g ADC units per %s are taken", s->name,
                             s->gain, s->unit);
        int32_t *row = r->values + l * r->sample_count + (from - r->begin) * r->per_frame_out;
        r->out->channels[l].invalid_count +=
            adc_convert(&scale, row, (to - from) * r->per_frame_out);
    }
    return ERR_OK;
}

static enum err_code convert(struct reading *r)
{
    const struct wfdb_signal **signal_of =
        arena_push_array(&r->scratch, (size_t)r->out->lead_count, sizeof *signal_of);
    if (signal_of == NULL)
        FAIL_MEMORY(r);
    for (int64_t i = 0; i < r->part_count; i++)
        TRY(convert_part(r, &r->parts[i], signal_of));
    r->out->samples = (float *)(void *)r->values;
    return ERR_OK;
}

/* The value after "key:" anywhere in a comment line ("<age>: 25  <sex>: M"), or NULL. */
static const char *find_key(const char *comment, const char *key)
{
    size_t n = strlen(key);
    for (const char *p = comment; *p != '\0'; p++) {
        bool inside = p > comment && (((p[-1] | 0x20) >= 'a' && (p[-1] | 0x20) <= 'z'));
        char word[16];
        if (inside || strnlen(p, n) < n)
            continue;
        memcpy(word, p, n);
        word[n] = '\0';
        if (!str_equal_nocase(word, key))
            continue;
        const char *value = p + n;
        value += strspn(value, "> \t");
        if (*value != ':')
            continue;
        return value + 1 + strspn(value + 1, " \t");
    }
    return NULL;
}

static void read_age(const char *text, size_t digits, double *age)
{
    char word[16];
    double years;
    if (digits == 0 || digits >= sizeof word)
        return;
    memcpy(word, text, digits);
    word[digits] = '\0';
    if (str_to_f64(word, false, &years) && years >= 0 && years <= 130)
        *age = years;
}

static enum ecg_sex read_sex(const char *text)
{
    static const struct {
        const char *word;
        enum ecg_sex sex;
    } words[] = {
        {"m", SEX_MALE},
        {"male", SEX_MALE},
        {"f", SEX_FEMALE},
        {"female", SEX_FEMALE},
    };
    char word[8];
    size_t n = strcspn(text, " \t,;<");
    if (n >= sizeof word)
        return SEX_UNKNOWN;
    memcpy(word, text, n);
    word[n] = '\0';
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (str_equal_nocase(word, words[i].word))
            return words[i].sex;
    return SEX_UNKNOWN;
}

/* Age and sex as CinC ("Age: 54", "Sex: Male"), PhysioNet ("<age>: 25  <sex>: M") and MIT-BIH
 * ("69 M 1085 1629 x1", the first comment line) write them. */
static void read_person(struct ecg_record *out)
{
    for (int i = 0; i < out->comment_count; i++) {
        const char *comment = out->comments[i];
        const char *age = find_key(comment, "age"), *sex = find_key(comment, "sex");
        if (sex == NULL)
            sex = find_key(comment, "gender");
        if (age != NULL && isnan(out->age_years))
            read_age(age, strspn(age, "0123456789."), &out->age_years);
        if (sex != NULL && out->sex == SEX_UNKNOWN)
            out->sex = read_sex(sex);
        size_t digits = strspn(comment, "0123456789");
        if (digits >= 1 && digits <= 3 && comment[digits] == ' ' && isnan(out->age_years) &&
            (comment[digits + 1] == 'M' || comment[digits + 1] == 'F') &&
            (comment[digits + 2] == ' ' || comment[digits + 2] == '\0')) {
            read_age(comment, digits, &out->age_years);
            out->sex = read_sex(comment + digits + 1);
        }
    }
}

static const char *keep(struct reading *r, const char *text)
{
    return text == NULL ? NULL : arena_strdup(&r->out->arena, text);
}

/* What the header says beside the signals. */
static enum err_code describe(struct reading *r)
{
    struct ecg_record *out = r->out;
    const struct wfdb_header *h = &r->header;
    out->format = "wfdb";
    out->name = path_stem(&out->arena, path_name(r->path));
    out->path = keep(r, r->path);
    out->time = keep(r, h->time);
    out->date = keep(r, h->date);
    out->comments = arena_push_array(&out->arena, (size_t)h->comment_count, sizeof *out->comments);
    if (out->name == NULL || out->path == NULL || out->comments == NULL)
        FAIL_MEMORY(r);
    for (int64_t i = 0; i < h->comment_count; i++) {
        out->comments[i] = keep(r, h->comments[i]);
        if (out->comments[i] == NULL)
            FAIL_MEMORY(r);
        out->comment_count++;
    }
    read_person(out);
    if (strcmp(path_name(h->name), out->name) != 0)
        ecg_record_issue(out, 0, "the header names the record '%.64s'", h->name);
    if (h->unread != NULL)
        ecg_record_issue(out, 0, "'%.64s' on the record line is neither a date nor a time",
                         h->unread);
    if (!h->has_rate)
        ecg_record_issue(out, RECORD_DEFAULT_RATE, "sampling rate is not declared: %g Hz is taken",
                         h->rate_hz);
    return ERR_OK;
}

static enum err_code read_digital(struct reading *r, const char *path,
                                  const struct wfdb_request *request)
{
    r->path = wfdb_header_path(path, &r->scratch);
    if (r->path == NULL)
        FAIL(r->e, ERR_NOT_FOUND, "%s: there is no WFDB header (.hea) of that name", path);
    TRY(wfdb_header_read(r->path, &r->scratch, &r->header, r->e));
    TRY(describe(r));
    r->per_frame_out = 1; /* the least that any choice gives, for a first check of the size */
    TRY(r->header.segment_count > 0 ? load_segments(r, request) : load_plain(r, request));
    const struct wfdb_header *template = template_header(r);
    if (template == NULL)
        FAIL(r->e, ERR_FORMAT, "%s: the record has neither a layout nor a segment with signals",
             r->path);
    TRY(make_channels(r, template));
    for (int64_t i = 0; i < r->part_count; i++)
        if (!r->parts[i].is_gap)
            TRY(match_part(r, &r->parts[i]));
    choose_rate(r);
    return read_values(r);
}

static enum err_code read_any(const char *path, const struct read_options *options,
                              const struct wfdb_request *request, struct ecg_record *out,
                              const int32_t **digital, struct err *e)
{
    static const struct read_options defaults = {0};
    struct reading r = {.options = options != NULL ? options : &defaults, .out = out, .e = e};
    r.max_values = r.options->max_values > 0 ? r.options->max_values : READ_VALUES_MAX;
    arena_init(&r.scratch, "wfdb", HEADERS_BYTES_MAX);
    enum err_code code = read_digital(&r, path, request);
    if (code == ERR_OK && digital != NULL) {
        count_invalid(&r);
        *digital = r.values;
    } else if (code == ERR_OK) {
        code = convert(&r);
    }
    arena_reset(&r.scratch);
    return code;
}

enum err_code wfdb_read(const char *path, const struct read_options *options,
                        const struct wfdb_request *request, struct ecg_record *out, struct err *e)
{
    return read_any(path, options, request, out, NULL, e);
}

enum err_code wfdb_read_digital(const char *path, const struct read_options *options,
                                const struct wfdb_request *request, struct ecg_record *out,
                                const int32_t **values, struct err *e)
{
    return read_any(path, options, request, out, values, e);
}

static int wfdb_probe(const char *path, const unsigned char *head, size_t head_size)
{
    if (str_equal_nocase(path_extension(path), "hea"))
        return file_exists(path) ? 100 : 0;
    struct arena a;
    arena_init(&a, "probe", 0);
    bool found = wfdb_header_path(path, &a) != NULL;
    arena_reset(&a);
    if (found)
        return 60;
    /* A signal file on its own, to be refused with the reason. */
    struct mat4 mat;
    return mat4_parse(head, head_size, &mat) ? 10 : 0;
}

static enum err_code wfdb_read_row(const char *path, const struct read_options *options,
                                   struct ecg_record *out, struct err *e)
{
    struct arena a;
    arena_init(&a, "probe", 0);
    bool found = wfdb_header_path(path, &a) != NULL;
    arena_reset(&a);
    if (!found)
        FAIL(e, ERR_UNSUPPORTED, "%s is a MATLAB file without a WFDB header (.hea) beside it",
             path);
    return wfdb_read(path, options, NULL, out, e);
}

const struct format format_wfdb = {
    .name = "wfdb",
    .help = "PhysioNet WFDB: header (.hea) with signal files, one or many segments",
    .extensions = "hea",
    .probe = wfdb_probe,
    .read = wfdb_read_row,
};
