#include "format/wfdb_header.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"

/* A header being parsed: one line at a time, cut into words in place. */
struct reader {
    const char *path;
    char *next; /* rest of the text, NUL-terminated */
    char *line; /* current line, trimmed */
    int number; /* of the current line, from 1 */
    struct arena *arena;
    struct err *e;
};

#define FAIL_MEMORY(r) FAIL((r)->e, ERR_MEMORY, "out of memory while reading %s", (r)->path)
#define FAIL_FIELD(r, code, field, expected, found)                                                \
    FAIL((r)->e, code, "%s line %d: %s must be %s, found '%.40s'", (r)->path, (r)->number, field,  \
         expected, found)

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool next_line(struct reader *r)
{
    if (r->next == NULL || *r->next == '\0')
        return false;
    char *end = strchr(r->next, '\n');
    char *line = r->next;
    r->next = end == NULL ? NULL : end + 1;
    if (end != NULL)
        *end = '\0';
    r->number++;
    r->line = str_trim(line);
    return true;
}

/* The next line that is neither empty nor a comment; NULL line at the end. */
static bool next_field_line(struct reader *r)
{
    while (next_line(r))
        if (r->line[0] != '\0' && r->line[0] != '#')
            return true;
    r->line = NULL;
    return false;
}

/* Cuts the next word off a line; NULL if there is none. *rest then begins at the following one. */
static char *next_word(char **rest)
{
    char *word = *rest;
    if (word == NULL || *word == '\0')
        return NULL;
    char *end = word + strcspn(word, " \t\r\v\f");
    if (*end != '\0') {
        *end++ = '\0';
        end += strspn(end, " \t\r\v\f");
    }
    *rest = end;
    return word;
}

static enum err_code parse_integer(const struct reader *r, const char *text, const char *field,
                                   int64_t min, int64_t max, int64_t *out)
{
    int64_t value;
    const char *digits = text + (*text == '-' || *text == '+');
    bool whole = *digits != '\0' && digits[strspn(digits, "0123456789")] == '\0';
    if (!whole)
        FAIL_FIELD(r, ERR_FORMAT, field, "a whole number", text);
    bool fits = str_to_i64(text, &value);
    if (!fits || value < min || value > max) {
        bool above = fits ? value > max : text[0] != '-';
        FAIL(r->e, above ? ERR_LIMIT : ERR_FORMAT,
             "%s line %d: %s must be between %lld and %lld, found '%.40s'", r->path, r->number,
             field, (long long)min, (long long)max, text);
    }
    *out = value;
    return ERR_OK;
}

/* Digits at *at that follow the mark, if the mark is there: "x4" of "212x4:3+24". */
static enum err_code parse_part(const struct reader *r, char **at, char mark, const char *field,
                                int64_t min, int64_t max, int64_t *out)
{
    if (**at != mark)
        return ERR_OK;
    char *digits = *at + 1;
    size_t n = strspn(digits, "0123456789");
    if (n == 0) /* a sign would be a negative skew or offset */
        FAIL_FIELD(r, ERR_FORMAT, field, "a number of digits", digits);
    char after = digits[n];
    digits[n] = '\0';
    TRY(parse_integer(r, digits, field, min, max, out));
    digits[n] = after;
    *at = digits + n;
    return ERR_OK;
}

static enum err_code parse_rate(const struct reader *r, char *word, struct wfdb_header *h)
{
    char *counter = strchr(word, '/');
    if (counter != NULL)
        *counter++ = '\0';
    double rate;
    if (!str_to_f64(word, true, &rate))
        FAIL_FIELD(r, ERR_RATE, "sampling rate", "a number", word);
    if (!(rate > 0) || rate > WFDB_RATE_MAX_HZ)
        FAIL_FIELD(r, ERR_RATE, "sampling rate", "above 0 and at most 1e7 Hz", word);
    h->rate_hz = rate;
    h->has_rate = true;
    if (counter == NULL)
        return ERR_OK;
    char *base = strchr(counter, '(');
    if (base != NULL) {
        *base++ = '\0';
        size_t n = strlen(base);
        if (n == 0 || base[n - 1] != ')')
            FAIL_FIELD(r, ERR_FORMAT, "base counter", "a number in parentheses", base);
        base[n - 1] = '\0';
        if (!str_to_f64(base, false, &h->base_counter))
            FAIL_FIELD(r, ERR_FORMAT, "base counter", "a number", base);
    }
    if (!str_to_f64(counter, false, &h->counter_hz) || h->counter_hz < 0)
        FAIL_FIELD(r, ERR_FORMAT, "counter frequency", "a number, not negative", counter);
    return ERR_OK;
}

/* "17:27:45", "31:51.982", "0:00" */
static bool is_time(const char *word)
{
    return is_digit(word[0]) && strchr(word, ':') != NULL &&
           word[strspn(word, "0123456789:.")] == '\0';
}

/* "15/08/1994", "05-Feb-2020", "2020-02-05": letters, digits and two separators. */
static bool is_date(const char *word)
{
    int separators = 0;
    for (const char *p = word; *p != '\0'; p++) {
        if (*p == '/' || *p == '-' || *p == '.')
            separators++;
        else if (!is_digit(*p) && !((*p | 0x20) >= 'a' && (*p | 0x20) <= 'z'))
            return false;
    }
    return separators == 2 && word[0] != '/' && word[0] != '-' && word[0] != '.';
}

static enum err_code parse_record_line(struct reader *r, struct wfdb_header *h)
{
    char *rest = r->line;
    char *name = next_word(&rest);
    char *segments = strrchr(name, '/');
    if (segments != NULL) {
        *segments++ = '\0';
        TRY(parse_integer(r, segments, "number of segments", 1, WFDB_SEGMENTS_MAX,
                          &h->segment_count));
    }
    if (name[0] == '\0')
        FAIL_FIELD(r, ERR_FORMAT, "record name", "not empty", name);
    h->name = name;

    char *word = next_word(&rest);
    if (word == NULL)
        FAIL(r->e, ERR_FORMAT,
             "%s line %d: number of signals is missing after the record name '%.40s'", r->path,
             r->number, name);
    TRY(parse_integer(r, word, "number of signals", 0, WFDB_SIGNALS_MAX, &h->signal_count));
    if (h->signal_count == 0)
        FAIL_FIELD(r, ERR_FORMAT, "number of signals", "at least 1", word);

    h->rate_hz = WFDB_DEFAULT_RATE_HZ;
    h->sample_count = -1;
    if ((word = next_word(&rest)) == NULL)
        return ERR_OK;
    TRY(parse_rate(r, word, h));
    if ((word = next_word(&rest)) == NULL)
        return ERR_OK;
    TRY(parse_integer(r, word, "number of samples", 0, INT64_MAX, &h->sample_count));
    if (h->sample_count == 0)
        h->sample_count = -1;
    while ((word = next_word(&rest)) != NULL) {
        if (h->time == NULL && is_time(word))
            h->time = word;
        else if (h->date == NULL && is_date(word))
            h->date = word;
        else if (h->unread == NULL)
            h->unread = word;
    }
    return ERR_OK;
}

/* GAIN[(BASELINE)][/UNIT] */
static enum err_code parse_gain(const struct reader *r, char *word, struct wfdb_signal *s,
                                bool *has_baseline)
{
    char *unit = strchr(word, '/');
    if (unit != NULL) {
        *unit++ = '\0';
        if (unit[0] != '\0')
            s->unit = unit;
    }
    char *baseline = strchr(word, '(');
    if (baseline != NULL) {
        *baseline++ = '\0';
        size_t n = strlen(baseline);
        if (n == 0 || baseline[n - 1] != ')')
            FAIL_FIELD(r, ERR_FORMAT, "baseline", "a number in parentheses", baseline);
        baseline[n - 1] = '\0';
        TRY(parse_integer(r, baseline, "baseline", INT32_MIN, INT32_MAX, &s->baseline));
        *has_baseline = true;
    }
    double gain = 0;
    if (word[0] != '\0' && !str_to_f64(word, true, &gain))
        FAIL_FIELD(r, ERR_FORMAT, "gain", "a number", word);
    if (!isfinite(gain))
        FAIL_FIELD(r, ERR_FORMAT, "gain", "finite", word);
    s->has_gain = gain != 0;
    if (s->has_gain)
        s->gain = gain;
    return ERR_OK;
}

static enum err_code parse_signal_line(struct reader *r, const struct wfdb_header *h, int64_t index,
                                       struct wfdb_signal *s)
{
    char *rest = r->line;
    *s = (struct wfdb_signal){.per_frame = 1,
                              .gain = WFDB_DEFAULT_GAIN,
                              .unit = "mV",
                              .line = r->number};
    char *file = next_word(&rest);
    char *format = next_word(&rest);
    if (format == NULL)
        FAIL(r->e, ERR_FORMAT, "%s line %d: storage format is missing after the file name '%.40s'",
             r->path, r->number, file);
    size_t digits = strspn(format, "0123456789");
    char after = format[digits];
    format[digits] = '\0';
    int64_t number;
    if (digits == 0 || !str_to_i64(format, &number)) {
        format[digits] = after;
        FAIL_FIELD(r, ERR_FORMAT, "storage format", "a format number", format);
    }
    s->codec = wfdb_codec_find(number);
    if (s->codec == NULL)
        FAIL_FIELD(r, ERR_UNSUPPORTED, "storage format",
                   "0, 8, 16, 24, 32, 61, 80, 160, 212, 310, 311, 508, 516 or 524", format);
    format[digits] = after;
    char *at = format + digits;
    TRY(parse_part(r, &at, 'x', "samples per frame", 1, WFDB_PER_FRAME_MAX, &s->per_frame));
    TRY(parse_part(r, &at, ':', "skew", 0, INT32_MAX, &s->skew));
    TRY(parse_part(r, &at, '+', "byte offset", 0, INT64_MAX, &s->offset));
    if (*at != '\0')
        FAIL_FIELD(r, ERR_FORMAT, "storage format", "FORMAT[xPER_FRAME][:SKEW][+OFFSET]", format);
    if (s->codec->number != 0 && !path_is_contained(file))
        FAIL_FIELD(r, ERR_FORMAT, "signal file", "a path inside the header's folder", file);
    s->file = file;

    bool has_baseline = false;
    char *word = next_word(&rest);
    if (word != NULL)
        TRY(parse_gain(r, word, s, &has_baseline));
    if (word != NULL && (word = next_word(&rest)) != NULL)
        TRY(parse_integer(r, word, "ADC resolution", 0, 64, &s->adc_bits));
    if (word != NULL && (word = next_word(&rest)) != NULL)
        TRY(parse_integer(r, word, "ADC zero", INT32_MIN, INT32_MAX, &s->adc_zero));
    s->initial = s->adc_zero;
    if (!has_baseline)
        s->baseline = s->adc_zero;
    if (word != NULL && (word = next_word(&rest)) != NULL) {
        TRY(parse_integer(r, word, "initial value", INT32_MIN, INT32_MAX, &s->initial));
        s->has_initial = true;
    }
    if (word != NULL && (word = next_word(&rest)) != NULL) {
        int64_t checksum; /* written signed by some, unsigned by others */
        TRY(parse_integer(r, word, "checksum", INT32_MIN, UINT32_MAX, &checksum));
        s->checksum = (uint16_t)((uint64_t)checksum & 0xffff);
        s->has_checksum = true;
    }
    if (word != NULL && (word = next_word(&rest)) != NULL) {
        int64_t block;
        TRY(parse_integer(r, word, "block size", 0, INT32_MAX, &block));
    }
    s->name = word != NULL && rest[0] != '\0'
                  ? rest
                  : arena_printf(r->arena, "signal %lld", (long long)index + 1);
    if (s->name == NULL)
        FAIL_MEMORY(r);

    /* Signals that share a file lie in it frame by frame, so they must agree on how it is read. */
    const struct wfdb_signal *before = index > 0 ? &h->signals[index - 1] : NULL;
    if (s->codec->number == 0)
        return ERR_OK;
    if (before != NULL && before->codec->number != 0 && strcmp(before->file, s->file) == 0) {
        if (before->codec != s->codec)
            FAIL_FIELD(r, ERR_FORMAT, "storage format", "the same for all signals of a file",
                       format);
        if (s->offset != 0 && s->offset != before->offset)
            FAIL_FIELD(r, ERR_FORMAT, "byte offset", "the same for all signals of a file", format);
        s->offset = before->offset;
        if (s->codec->is_flac && s->per_frame != before->per_frame)
            FAIL_FIELD(r, ERR_FORMAT, "samples per frame",
                       "the same for all signals of a FLAC file", format);
        return ERR_OK;
    }
    for (int64_t i = 0; i < index; i++)
        if (h->signals[i].codec->number != 0 && strcmp(h->signals[i].file, s->file) == 0)
            FAIL_FIELD(r, ERR_FORMAT, "signal file", "listed on consecutive lines", file);
    return ERR_OK;
}

static enum err_code parse_segment_line(struct reader *r, struct wfdb_segment *s)
{
    char *rest = r->line;
    s->line = r->number;
    s->name = next_word(&rest);
    char *word = next_word(&rest);
    if (word == NULL)
        FAIL(r->e, ERR_FORMAT, "%s line %d: number of samples is missing after segment '%.40s'",
             r->path, r->number, s->name);
    if (!path_is_contained(s->name))
        FAIL_FIELD(r, ERR_FORMAT, "segment", "a path inside the header's folder", s->name);
    TRY(parse_integer(r, word, "number of samples of the segment", 0, INT64_MAX / 2,
                      &s->sample_count));
    return ERR_OK;
}

static bool is_utf8(const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n;) {
        unsigned char c = p[i];
        size_t more = c < 0x80                ? 0
                      : c >= 0xc2 && c < 0xe0 ? 1
                      : c >= 0xe0 && c < 0xf0 ? 2
                      : c >= 0xf0 && c < 0xf5 ? 3
                                              : 4;
        if (more == 4 || more >= n - i)
            return false;
        for (size_t k = 1; k <= more; k++)
            if ((p[i + k] & 0xc0) != 0x80)
                return false;
        /* overlong forms, surrogates, beyond U+10FFFF */
        if ((c == 0xe0 && p[i + 1] < 0xa0) || (c == 0xed && p[i + 1] > 0x9f) ||
            (c == 0xf0 && p[i + 1] < 0x90) || (c == 0xf4 && p[i + 1] > 0x8f))
            return false;
        i += more + 1;
    }
    return true;
}

/* A writable copy as valid UTF-8 without control characters: headers that are not UTF-8 are taken
 * for Latin-1 (micro signs, names), so that whatever is printed later is text. */
static char *copy_text(const unsigned char *text, size_t size, struct arena *a)
{
    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        size -= 3;
    }
    bool utf8 = is_utf8(text, size);
    size_t wide = 0;
    for (size_t i = 0; i < size && !utf8; i++)
        wide += text[i] >= 0x80;
    char *copy = arena_push(a, size + wide + 1);
    if (copy == NULL)
        return NULL;
    char *to = copy;
    for (size_t i = 0; i < size; i++) {
        unsigned char c = text[i];
        if (c >= 0x80 && !utf8) {
            *to++ = (char)(0xc0 | c >> 6);
            *to++ = (char)(0x80 | (c & 0x3f));
        } else {
            bool control = (c < 0x20 && c != '\n' && c != '\t' && c != '\r') || c == 0x7f;
            *to++ = control ? '?' : (char)c;
        }
    }
    *to = '\0';
    return copy;
}

static enum err_code collect_comments(struct reader *r, char *text, struct wfdb_header *h)
{
    r->next = text;
    r->number = 0;
    h->comments = arena_push_array(r->arena, (size_t)h->comment_count, sizeof *h->comments);
    if (h->comments == NULL)
        FAIL_MEMORY(r);
    h->comment_count = 0;
    while (next_line(r)) {
        if (r->line[0] != '#')
            continue;
        char *comment = str_trim(r->line + strspn(r->line, "#"));
        if (comment[0] != '\0')
            h->comments[h->comment_count++] = comment;
    }
    return ERR_OK;
}

enum err_code wfdb_header_parse(const char *text, size_t size, const char *path, struct arena *a,
                                struct wfdb_header *out, struct err *e)
{
    *out = (struct wfdb_header){.path = path};
    if (size > WFDB_HEADER_BYTES_MAX)
        FAIL(e, ERR_LIMIT, "%s is too large for a header: %zu bytes, at most %zu are read", path,
             size, WFDB_HEADER_BYTES_MAX);
    if (memchr(text, '\0', size) != NULL)
        FAIL(e, ERR_FORMAT, "%s is no WFDB header: it holds a NUL byte", path);
    struct reader reader = {.path = path, .arena = a, .e = e}, *r = &reader;
    char *copy = copy_text((const unsigned char *)text, size, a);
    char *comments = copy == NULL ? NULL : arena_strdup(a, copy);
    if (comments == NULL)
        FAIL_MEMORY(r);

    /* Counts are believed only as far as the lines that back them. */
    int64_t line_count = 0;
    r->next = copy;
    for (char *p = copy; p != NULL && *p != '\0';) {
        p += strspn(p, " \t\r\v\f");
        if (*p == '#')
            out->comment_count++;
        else if (*p != '\n' && *p != '\0')
            line_count++;
        p = strchr(p, '\n');
        p = p == NULL ? NULL : p + 1;
    }
    if (!next_field_line(r))
        FAIL(e, ERR_FORMAT, "%s is no WFDB header: the record line is missing", path);
    TRY(parse_record_line(r, out));
    int64_t expected = out->segment_count > 0 ? out->segment_count : out->signal_count;
    const char *kind = out->segment_count > 0 ? "segment" : "signal";
    if (line_count - 1 < expected)
        FAIL(e, ERR_FORMAT, "%s: %lld %s lines are declared, found %lld", path, (long long)expected,
             kind, (long long)(line_count - 1));

    if (out->segment_count > 0)
        out->segments = arena_push_array(a, (size_t)expected, sizeof *out->segments);
    else
        out->signals = arena_push_array(a, (size_t)expected, sizeof *out->signals);
    if (out->segments == NULL && out->signals == NULL)
        FAIL_MEMORY(r);
    int64_t per_frame = 0;
    for (int64_t i = 0; i < expected; i++) {
        if (!next_field_line(r))
            BUG("%s: lines were counted wrong", path);
        if (out->segment_count > 0) {
            TRY(parse_segment_line(r, &out->segments[i]));
            continue;
        }
        TRY(parse_signal_line(r, out, i, &out->signals[i]));
        per_frame += out->signals[i].per_frame;
        if (per_frame > WFDB_FRAME_MAX)
            FAIL(e, ERR_LIMIT, "%s line %d: samples per frame add up to more than %d", path,
                 r->number, WFDB_FRAME_MAX);
    }
    if (next_field_line(r))
        FAIL(e, ERR_FORMAT, "%s line %d: surplus line after the %lld declared %ss: '%.40s'", path,
             r->number, (long long)expected, kind, r->line);
    return collect_comments(r, comments, out);
}

enum err_code wfdb_header_read(const char *path, struct arena *a, struct wfdb_header *out,
                               struct err *e)
{
    struct buf text;
    TRY(file_read(path, WFDB_HEADER_BYTES_MAX, &text, e));
    enum err_code code = wfdb_header_parse(text.data, text.len, path, a, out, e);
    buf_free(&text);
    return code;
}

const char *wfdb_header_path(const char *path, struct arena *a)
{
    if (str_equal_nocase(path_extension(path), "hea"))
        return arena_strdup(a, path);
    const char *candidate = arena_printf(a, "%s.hea", path);
    if (candidate != NULL && file_exists(candidate))
        return candidate;
    const char *stem = path_stem(a, path);
    candidate = stem == NULL ? NULL : arena_printf(a, "%s.hea", stem);
    return candidate != NULL && strcmp(stem, path) != 0 && file_exists(candidate) ? candidate
                                                                                  : NULL;
}
