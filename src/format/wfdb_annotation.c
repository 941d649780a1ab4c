#include "format/wfdb_annotation.h"

#include <string.h>

#include "base/file.h"
#include "base/str.h"

enum { SKIP = 59, NUM = 60, SUB = 61, CHN = 62, AUX = 63 };

/* Source: WFDB library, ecgcodes.h: codes, symbols and what they mean. */
static const struct {
    uint8_t code;
    bool is_beat;
    const char *symbol, *description;
} standard[] = {
    {1, true, "N", "normal beat"},
    {2, true, "L", "left bundle branch block beat"},
    {3, true, "R", "right bundle branch block beat"},
    {4, true, "a", "aberrated atrial premature beat"},
    {5, true, "V", "premature ventricular contraction"},
    {6, true, "F", "fusion of ventricular and normal beat"},
    {7, true, "J", "nodal (junctional) premature beat"},
    {8, true, "A", "atrial premature beat"},
    {9, true, "S", "premature or ectopic supraventricular beat"},
    {10, true, "E", "ventricular escape beat"},
    {11, true, "j", "nodal (junctional) escape beat"},
    {12, true, "/", "paced beat"},
    {13, true, "Q", "unclassifiable beat"},
    {14, false, "~", "signal quality change"},
    {16, false, "|", "isolated QRS-like artifact"},
    {18, false, "s", "ST change"},
    {19, false, "T", "T-wave change"},
    {20, false, "*", "systole"},
    {21, false, "D", "diastole"},
    {ANNOTATION_NOTE, false, "\"", "comment annotation"},
    {23, false, "=", "measurement annotation"},
    {24, false, "p", "P-wave peak"},
    {25, true, "B", "left or right bundle branch block"},
    {26, false, "^", "non-conducted pacer spike"},
    {27, false, "t", "T-wave peak"},
    {ANNOTATION_RHYTHM, false, "+", "rhythm change"},
    {29, false, "u", "U-wave peak"},
    {30, true, "?", "learning"},
    {31, false, "!", "ventricular flutter wave"},
    {32, false, "[", "start of ventricular flutter/fibrillation"},
    {33, false, "]", "end of ventricular flutter/fibrillation"},
    {34, true, "e", "atrial escape beat"},
    {35, true, "n", "supraventricular escape beat"},
    {36, false, "@", "link to external data"},
    {37, false, "x", "non-conducted P-wave"},
    {38, true, "f", "fusion of paced and normal beat"},
    {39, false, "(", "waveform onset"},
    {40, false, ")", "waveform end"},
    {41, true, "r", "R-on-T premature ventricular contraction"},
};

#define STANDARD_COUNT (sizeof standard / sizeof *standard)

bool wfdb_annotation_is_beat(int code)
{
    for (size_t i = 0; i < STANDARD_COUNT; i++)
        if (standard[i].code == code)
            return standard[i].is_beat;
    return false;
}

/* A pass over the words of a file. The first pass counts, the second stores. */
struct scan {
    const unsigned char *data;
    size_t size, at;
    struct wfdb_annotation *items; /* NULL while counting */
    int64_t count;
    size_t text_bytes; /* of all aux strings with their terminators */
    char *text;
};

static bool next_word(struct scan *s, unsigned *word)
{
    if (s->size - s->at < 2)
        return false;
    *word = s->data[s->at] | (unsigned)s->data[s->at + 1] << 8;
    s->at += 2;
    return true;
}

/* False if the data ended without the end mark; what was read so far stands. Times cannot overflow:
 * WFDB_ANNOTATION_BYTES_MAX holds less than 2^22 skips of 2^31 ticks. */
static bool scan_all(struct scan *s)
{
    int64_t time = 0;
    uint8_t channel = 0;
    int8_t number = 0;
    struct wfdb_annotation discarded, *current = &discarded;
    unsigned word;
    while (next_word(s, &word)) {
        unsigned code = word >> 10, amount = word & 0x3ff;
        if (word == 0)
            return true;
        if (code == SKIP) {
            unsigned high, low;
            if (!next_word(s, &high) || !next_word(s, &low))
                return false;
            time += (int32_t)((uint32_t)high << 16 | low);
        } else if (code == NUM) {
            current->number = number = (int8_t)(amount & 0xff);
        } else if (code == CHN) {
            current->channel = channel = (uint8_t)(amount & 0xff);
        } else if (code == SUB) {
            current->subtype = (int8_t)(amount & 0xff);
        } else if (code == AUX) {
            if (s->size - s->at < amount)
                return false;
            if (current != &discarded && s->items != NULL && current->aux == NULL) {
                memcpy(s->text, s->data + s->at, amount);
                s->text[amount] = '\0';
                current->aux = s->text;
                current->aux_length = (uint16_t)amount;
                s->text += amount + 1;
            }
            s->text_bytes += amount + 1;
            s->at += amount;
            if (amount % 2 == 1 && s->at < s->size)
                s->at++;
        } else {
            time += amount;
            current = &discarded;
            if (code == 0)
                continue;
            if (s->items != NULL) {
                current = &s->items[s->count];
                *current = (struct wfdb_annotation){.sample = time,
                                                    .code = (uint8_t)code,
                                                    .channel = channel,
                                                    .number = number};
            }
            s->count++;
        }
    }
    return false;
}

/* Names come from the file and go to terminals. */
static void clean(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || (unsigned char)*text >= 0x7f)
            *text = '?';
}

/* "15 c calibration pulse": code, symbol, description. */
static void define_code(struct wfdb_annotations *out, const char *aux)
{
    size_t digits = strspn(aux, "0123456789");
    if (digits == 0 || digits > 2)
        return;
    int code = aux[0] - '0';
    if (digits == 2)
        code = code * 10 + aux[1] - '0';
    const char *symbol = aux + digits;
    symbol += strspn(symbol, " \t");
    size_t n = strcspn(symbol, " \t\r\n");
    const char *text = symbol + n;
    text += strspn(text, " \t");
    char *kept = arena_strndup(&out->arena, symbol, n);
    char *description = arena_strndup(&out->arena, text, strcspn(text, "\r\n"));
    if (code >= SKIP || n == 0 || kept == NULL || description == NULL)
        return;
    clean(kept);
    clean(description);
    out->symbols[code] = kept;
    out->descriptions[code] = description;
}

/* Takes in the leading notes that describe the file itself; the rest moves to the front. */
static void take_definitions(struct wfdb_annotations *out)
{
    static const char resolution[] = "## time resolution:";
    int64_t taken = 0;
    bool defining = false;
    for (; taken < out->count; taken++) {
        const struct wfdb_annotation *a = &out->items[taken];
        if (a->code != ANNOTATION_NOTE || a->sample != 0 || a->aux == NULL)
            break;
        if (str_starts_with(a->aux, "## annotation type definitions")) {
            defining = true;
        } else if (str_starts_with(a->aux, "## end of definitions")) {
            defining = false;
        } else if (str_starts_with(a->aux, resolution)) {
            char *text = arena_strdup(&out->arena, a->aux + strlen(resolution));
            double rate;
            if (text != NULL && str_to_f64(str_trim(text), false, &rate) && rate > 0)
                out->rate_hz = rate;
        } else if (defining) {
            define_code(out, a->aux);
        } else {
            break;
        }
    }
    out->items += taken;
    out->count -= taken;
}

enum err_code wfdb_annotations_parse(const void *data, size_t size, const char *name,
                                     struct wfdb_annotations *out, struct err *e)
{
    *out = (struct wfdb_annotations){0};
    arena_init(&out->arena, "annotations", 0);
    if (size > WFDB_ANNOTATION_BYTES_MAX)
        FAIL(e, ERR_LIMIT, "%s is too large: %zu bytes of annotations, at most %zu are read", name,
             size, WFDB_ANNOTATION_BYTES_MAX);
    struct scan s = {.data = data, .size = size};
    out->truncated = !scan_all(&s);
    out->items = arena_push_array(&out->arena, (size_t)s.count, sizeof *out->items);
    char *text = arena_push(&out->arena, s.text_bytes);
    if (out->items == NULL || text == NULL)
        FAIL(e, ERR_MEMORY, "out of memory while reading %s", name);
    s = (struct scan){.data = data, .size = size, .items = out->items, .text = text};
    (void)scan_all(&s);
    out->count = s.count;

    for (size_t i = 0; i < STANDARD_COUNT; i++) {
        out->symbols[standard[i].code] = standard[i].symbol;
        out->descriptions[standard[i].code] = standard[i].description;
    }
    for (int c = 0; c < WFDB_ANNOTATION_CODES; c++)
        if (out->symbols[c] == NULL) {
            out->symbols[c] = arena_printf(&out->arena, "[%d]", c);
            out->descriptions[c] = "";
        }
    take_definitions(out);
    for (int c = 0; c < WFDB_ANNOTATION_CODES; c++)
        if (out->symbols[c] == NULL)
            FAIL(e, ERR_MEMORY, "out of memory while reading %s", name);
    return ERR_OK;
}

enum err_code wfdb_annotations_read(const char *path, struct wfdb_annotations *out, struct err *e)
{
    *out = (struct wfdb_annotations){0};
    struct buf data;
    TRY(file_read(path, WFDB_ANNOTATION_BYTES_MAX, &data, e));
    enum err_code code = wfdb_annotations_parse(data.data, data.len, path, out, e);
    buf_free(&data);
    return code;
}

void wfdb_annotations_free(struct wfdb_annotations *a)
{
    arena_reset(&a->arena);
    *a = (struct wfdb_annotations){0};
}
