#include "format/wfdb_write.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/shapes.h"
#include "base/str.h"

#define INVALID_16 (-32768)

static bool is_record_name(const char *name)
{
    for (const char *p = name; *p != '\0'; p++) {
        char c = *p;
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && c != '_' && c != '-')
            return false;
    }
    return name[0] != '\0';
}

/* One header line's worth of text. */
static bool is_line(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 && *text != '\t')
            return false;
    return true;
}

static enum err_code check(const struct wfdb_write *r, struct err *e)
{
    if (!path_is_contained(r->name) || !is_record_name(path_name(r->name)))
        FAIL(e, ERR_USAGE, "'%s' is no record name: letters, digits, '_' and '-'", r->name);
    if (!(r->rate_hz > 0) || !isfinite(r->rate_hz))
        FAIL(e, ERR_USAGE, "record %s: rate must be above 0 Hz, found %g", r->name, r->rate_hz);
    if (!isfinite(r->gain))
        FAIL(e, ERR_USAGE, "record %s: gain must be finite, found %g", r->name, r->gain);
    if (r->lead_count < 1 || r->sample_count < 1)
        FAIL(e, ERR_USAGE, "record %s: needs leads and samples, found %lld and %lld", r->name,
             (long long)r->lead_count, (long long)r->sample_count);
    for (int64_t l = 0; l < r->lead_count; l++)
        if (!is_line(r->lead_names[l]))
            FAIL(e, ERR_USAGE, "record %s: name of lead %lld holds a control character", r->name,
                 (long long)l);
    for (int i = 0; i < r->comment_count; i++)
        if (!is_line(r->comments[i]))
            FAIL(e, ERR_USAGE, "record %s: comment %d holds a control character", r->name, i);
    if ((r->date != NULL && (!is_line(r->date) || strchr(r->date, ' ') != NULL)) ||
        (r->time != NULL && (!is_line(r->time) || strchr(r->time, ' ') != NULL)))
        FAIL(e, ERR_USAGE, "record %s: date or time holds a space", r->name);
    return ERR_OK;
}

static enum err_code file_put(const char *path, const void *data, size_t size, bool unsynced,
                              struct err *e)
{
    struct file_writer w;
    TRY(file_writer_open(&w, path, e));
    w.unsynced = unsynced;
    file_writer_write(&w, data, size);
    return file_writer_commit(&w, e);
}

enum err_code wfdb_write_16(const char *folder, const struct wfdb_write *r, struct err *e)
{
    TRY(check(r, e));
    double gain = r->gain == 0 ? 1000 : r->gain;
    int64_t value_count, byte_count;
    if (!mul_i64(r->lead_count, r->sample_count, &value_count) ||
        !mul_i64(value_count, 2, &byte_count) || (uint64_t)byte_count > SIZE_MAX / 2)
        FAIL(e, ERR_LIMIT, "record %s: too many samples", r->name);

    enum err_code code = ERR_OK;
    struct arena scratch;
    arena_init(&scratch, "wfdb write", 0);
    struct buf header;
    buf_init(&header, 0);
    unsigned char *data = malloc((size_t)byte_count);
    char *stem = path_join(&scratch, folder, r->name);
    const char *dat_path = stem == NULL ? NULL : arena_printf(&scratch, "%s.dat", stem);
    const char *hea_path = stem == NULL ? NULL : arena_printf(&scratch, "%s.hea", stem);
    if (data == NULL || dat_path == NULL || hea_path == NULL) {
        code = RAISE(e, ERR_MEMORY, "out of memory while writing record %s", r->name);
        goto out;
    }

    const char *name = path_name(r->name);
    char rate[32], gain_text[32];
    str_from_f64(r->rate_hz, rate, sizeof rate);
    str_from_f64(gain, gain_text, sizeof gain_text);
    if (strpbrk(gain_text, ".e") == NULL)
        str_copy(gain_text + strlen(gain_text), 3, ".0");
    buf_printf(&header, "%s %lld %s %lld", name, (long long)r->lead_count, rate,
               (long long)r->sample_count);
    /* The date has its place behind the time. */
    if (r->time != NULL || r->date != NULL)
        buf_printf(&header, " %s", r->time != NULL ? r->time : "0:00");
    if (r->date != NULL)
        buf_printf(&header, " %s", r->date);
    buf_puts(&header, "\n");
    for (int64_t l = 0; l < r->lead_count; l++) {
        uint16_t sum = 0;
        int initial = 0;
        const float *in = r->samples + l * r->sample_count;
        for (int64_t t = 0; t < r->sample_count; t++) {
            int digital = INVALID_16;
            if (!isnan(in[t])) {
                double scaled = rint((double)in[t] * gain);
                if (!(scaled > INVALID_16 && scaled <= 32767)) {
                    code = RAISE(e, ERR_LIMIT,
                                 "record %s: sample %lld of lead %s is %g mV, outside +-%g mV that "
                                 "16 bits hold at %s per mV",
                                 r->name, (long long)t, r->lead_names[l], (double)in[t],
                                 fabs(32767 / gain), gain_text);
                    goto out;
                }
                digital = (int)scaled;
            }
            uint16_t bits = (uint16_t)digital;
            unsigned char *to = data + 2 * (t * r->lead_count + l);
            to[0] = (unsigned char)(bits & 0xff);
            to[1] = (unsigned char)(bits >> 8);
            sum = (uint16_t)(sum + bits);
            if (t == 0)
                initial = digital;
        }
        buf_printf(&header, "%s.dat 16 %s(0)/mV 16 0 %d %u 0 %s\n", name, gain_text, initial,
                   (unsigned)sum, r->lead_names[l]);
    }
    for (int i = 0; i < r->comment_count; i++)
        buf_printf(&header, "#%s\n", r->comments[i]);
    if (header.failed) {
        code = RAISE(e, ERR_MEMORY, "out of memory while writing record %s", r->name);
        goto out;
    }

    char *parent = path_folder(&scratch, stem);
    if (parent == NULL) {
        code = RAISE(e, ERR_MEMORY, "out of memory while writing record %s", r->name);
        goto out;
    }
    TRY_TO(out, code, dir_create(parent, e));
    /* The header last: a record whose header is there is whole. */
    TRY_TO(out, code, file_put(dat_path, data, (size_t)byte_count, r->unsynced, e));
    TRY_TO(out, code, file_put(hea_path, header.data, header.len, r->unsynced, e));
out:
    free(data);
    buf_free(&header);
    arena_reset(&scratch);
    return code;
}
