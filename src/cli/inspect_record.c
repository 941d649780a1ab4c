#include <math.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/file.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/inspect.h"
#include "format/format.h"
#include "format/npy.h"
#include "format/wfdb_annotation.h"

struct lead_summary {
    int64_t valid;
    double min, max, mean; /* NaN if no sample is valid */
};

static struct lead_summary summarize(const struct ecg_record *r, int64_t lead)
{
    struct lead_summary s = {.min = NAN, .max = NAN, .mean = NAN};
    const float *row = r->samples + lead * r->sample_count;
    double sum = 0;
    for (int64_t t = 0; t < r->sample_count; t++) {
        double x = (double)row[t];
        if (!ecg_sample_is_valid(row[t]))
            continue;
        s.min = s.valid == 0 || x < s.min ? x : s.min;
        s.max = s.valid == 0 || x > s.max ? x : s.max;
        sum += x;
        s.valid++;
    }
    if (s.valid > 0)
        s.mean = sum / (double)s.valid;
    return s;
}

#define RHYTHMS_MAX 32

/* What the .atr beside a record says. */
struct annotation_summary {
    const char *path; /* NULL: there is none */
    enum err_code code;
    struct err error; /* why it could not be read */
    struct wfdb_annotations annotations;
    int64_t counts[WFDB_ANNOTATION_CODES];
    const char *rhythms[RHYTHMS_MAX]; /* distinct ones, in order of appearance: "(AFIB" */
    int rhythm_count;
};

static void note_rhythm(struct annotation_summary *s, const char *aux, struct arena *a)
{
    char name[64]; /* aux may hold anything: nothing of it may steer a terminal */
    str_copy(name, sizeof name, aux);
    for (char *p = name; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7f)
            *p = '?';
    for (int i = 0; i < s->rhythm_count; i++)
        if (strcmp(s->rhythms[i], name) == 0)
            return;
    const char *kept = s->rhythm_count < RHYTHMS_MAX ? arena_strdup(a, name) : NULL;
    if (kept != NULL)
        s->rhythms[s->rhythm_count++] = kept;
}

static void annotations_load(struct annotation_summary *s, const char *record_path, struct arena *a)
{
    const char *stem = path_stem(a, record_path);
    const char *path = stem == NULL ? NULL : arena_printf(a, "%s.atr", stem);
    if (path == NULL || !file_exists(path))
        return;
    s->path = path;
    s->code = wfdb_annotations_read(path, &s->annotations, &s->error);
    for (int64_t i = 0; s->code == ERR_OK && i < s->annotations.count; i++) {
        const struct wfdb_annotation *x = &s->annotations.items[i];
        s->counts[x->code]++;
        if (x->code == ANNOTATION_RHYTHM && x->aux != NULL)
            note_rhythm(s, x->aux, a);
    }
}

/* ---- table ---- */

/* Columns that a UTF-8 text takes, near enough for units and names. */
static int width(const char *text)
{
    int n = 0;
    for (; *text != '\0'; text++)
        n += (*text & 0xc0) != 0x80;
    return n;
}

static void print_cell(const char *text, int columns)
{
    printf("%s%*s", text, columns > width(text) ? columns - width(text) : 0, "");
}

static void print_number(double value)
{
    if (isnan(value))
        printf(" %10s", "-");
    else
        printf(" %10.4g", value);
}

static void print_lines(const char *title, const char *const *lines, int count)
{
    if (count > 0)
        printf("\n%s\n", title);
    for (int i = 0; i < count; i++) {
        fputs("  ", stdout);
        print_wrapped(stdout, lines[i], 2, 2);
    }
}

static void print_leads(const struct ecg_record *r)
{
    int names = 4, units = 4;
    for (int64_t l = 0; l < r->lead_count; l++) {
        names = width(r->channels[l].name) > names ? width(r->channels[l].name) : names;
        units = width(r->channels[l].unit) > units ? width(r->channels[l].unit) : units;
    }
    fputs("\n     ", stdout);
    print_cell("name", names);
    fputs("  lead  ", stdout);
    print_cell("unit", units);
    printf(" %10s %10s %10s %10s\n", "min", "max", "mean", "invalid");
    for (int64_t l = 0; l < r->lead_count; l++) {
        const struct ecg_channel *c = &r->channels[l];
        struct lead_summary s = summarize(r, l);
        printf("%3lld  ", (long long)l + 1);
        print_cell(c->name, names);
        printf("  %-4s  ", lead_name(c->lead));
        print_cell(c->unit, units);
        print_number(s.min);
        print_number(s.max);
        print_number(s.mean);
        printf(" %10lld\n", (long long)c->invalid_count);
    }
}

static void print_annotations(const struct annotation_summary *s)
{
    const struct wfdb_annotations *a = &s->annotations;
    printf("\nannotations in %s\n", path_name(s->path));
    if (s->code != ERR_OK) {
        printf("  not readable: %s\n", s->error.message);
        return;
    }
    for (int c = 0; c < WFDB_ANNOTATION_CODES; c++)
        if (s->counts[c] > 0)
            printf("  %-4s %8lld  %s\n", a->symbols[c], (long long)s->counts[c],
                   a->descriptions[c]);
    for (int i = 0; i < s->rhythm_count; i++)
        printf("%s %s", i == 0 ? "  rhythms:" : "", s->rhythms[i]);
    if (s->rhythm_count > 0)
        puts("");
    if (a->truncated)
        printf("  the file ends without its end mark\n");
}

static void print_table(const struct ecg_record *r, const struct annotation_summary *annotations)
{
    printf("record    %s\n", r->name);
    printf("file      %s\n", r->path);
    printf("format    %s\n", r->format);
    printf("rate      %g Hz\n", r->rate_hz);
    printf("duration  %g s, %lld samples\n", (double)r->sample_count / r->rate_hz,
           (long long)r->sample_count);
    if (r->date != NULL || r->time != NULL)
        printf("begin     %s%s%s\n", r->date != NULL ? r->date : "",
               r->date != NULL && r->time != NULL ? " " : "", r->time != NULL ? r->time : "");
    if (!isnan(r->age_years))
        printf("age       %g\n", r->age_years);
    if (r->sex != SEX_UNKNOWN)
        printf("sex       %s\n", ecg_sex_name(r->sex));
    fputs("flags    ", stdout);
    for (const struct record_flag_name *f = record_flag_names; f->name != NULL; f++)
        if (r->flags & f->flag)
            printf(" %s", f->name);
    puts(r->flags == 0 ? " none" : "");
    print_leads(r);
    print_lines("issues", r->issues, r->issue_count);
    print_lines("comments", r->comments, r->comment_count);
    if (annotations->path != NULL)
        print_annotations(annotations);
}

/* ---- JSON ---- */

static void add_text(cJSON *object, const char *key, const char *text)
{
    cJSON_AddItemToObject(object, key,
                          text != NULL ? cJSON_CreateString(text) : cJSON_CreateNull());
}

static void add_lines(cJSON *object, const char *key, const char *const *lines, int count)
{
    cJSON *list = cJSON_AddArrayToObject(object, key);
    for (int i = 0; i < count; i++)
        cJSON_AddItemToArray(list, cJSON_CreateString(lines[i]));
}

static cJSON *annotations_json(const struct annotation_summary *s)
{
    const struct wfdb_annotations *a = &s->annotations;
    cJSON *object = cJSON_CreateObject();
    add_text(object, "file", s->path);
    if (s->code != ERR_OK) {
        add_text(object, "error", s->error.message);
        return object;
    }
    cJSON_AddNumberToObject(object, "count", (double)a->count);
    cJSON_AddBoolToObject(object, "truncated", a->truncated);
    cJSON *symbols = cJSON_AddObjectToObject(object, "symbols");
    for (int c = 0; c < WFDB_ANNOTATION_CODES; c++)
        if (s->counts[c] > 0)
            cJSON_AddNumberToObject(symbols, a->symbols[c], (double)s->counts[c]);
    add_lines(object, "rhythms", s->rhythms, s->rhythm_count);
    return object;
}

static void print_record_json(const struct ecg_record *r,
                              const struct annotation_summary *annotations)
{
    cJSON *object = cJSON_CreateObject();
    add_text(object, "kind", "record");
    add_text(object, "file", r->path);
    add_text(object, "name", r->name);
    add_text(object, "format", r->format);
    cJSON_AddNumberToObject(object, "rate_hz", r->rate_hz);
    cJSON_AddNumberToObject(object, "samples", (double)r->sample_count);
    cJSON_AddNumberToObject(object, "duration_s", (double)r->sample_count / r->rate_hz);
    add_text(object, "date", r->date);
    add_text(object, "time", r->time);
    cJSON_AddNumberToObject(object, "age_years", r->age_years); /* null if unknown */
    add_text(object, "sex", ecg_sex_name(r->sex));
    cJSON *flags = cJSON_AddArrayToObject(object, "flags");
    for (const struct record_flag_name *f = record_flag_names; f->name != NULL; f++)
        if (r->flags & f->flag)
            cJSON_AddItemToArray(flags, cJSON_CreateString(f->name));
    add_lines(object, "issues", r->issues, r->issue_count);
    add_lines(object, "comments", r->comments, r->comment_count);
    cJSON *leads = cJSON_AddArrayToObject(object, "leads");
    for (int64_t l = 0; l < r->lead_count; l++) {
        const struct ecg_channel *c = &r->channels[l];
        struct lead_summary s = summarize(r, l);
        cJSON *lead = cJSON_CreateObject();
        add_text(lead, "name", c->name);
        add_text(lead, "lead", c->lead == LEAD_UNKNOWN ? NULL : lead_name(c->lead));
        add_text(lead, "unit", c->unit);
        cJSON_AddBoolToObject(lead, "voltage", c->is_voltage);
        cJSON_AddNumberToObject(lead, "min", s.min);
        cJSON_AddNumberToObject(lead, "max", s.max);
        cJSON_AddNumberToObject(lead, "mean", s.mean);
        cJSON_AddNumberToObject(lead, "invalid", (double)c->invalid_count);
        cJSON_AddItemToArray(leads, lead);
    }
    if (annotations->path != NULL)
        cJSON_AddItemToObject(object, "annotations", annotations_json(annotations));
    print_json(object, true);
    cJSON_Delete(object);
}

int inspect_record(struct invocation *call, const char *path, struct err *e)
{
    (void)call;
    struct read_options options = {.strict = inspect_options.strict,
                                   .high_resolution = inspect_options.high_resolution};
    struct ecg_record record;
    struct annotation_summary annotations = {0};
    enum err_code code = record_read(path, &options, &record, e);
    if (code == ERR_OK && inspect_options.samples != NULL)
        code = npy_write_f32(inspect_options.samples, record.samples,
                             (const int64_t[]){record.lead_count, record.sample_count}, 2, e);
    if (code == ERR_OK) {
        annotations_load(&annotations, record.path, &record.arena);
        if (inspect_options.json)
            print_record_json(&record, &annotations);
        else
            print_table(&record, &annotations);
    }
    wfdb_annotations_free(&annotations.annotations);
    ecg_record_free(&record);
    return exit_code_of(code);
}
