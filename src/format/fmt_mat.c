/* Recordings in MATLAB files of level 5, of two kinds that are told apart by their variables.
 *
 * As prepared for fairseq-signals and ECG-FM: feats [12,T], curr_sample_rate; with mean and std [12,1] the
 * leads are z-scores over the whole recording (of which a segment file, which has segment_i, holds 5 s:
 * other files must look so), without them they are as recorded. Numbers of an integer class are counts
 * of a converter, whose gain no such file tells: they are refused. Rows are I, II, III, aVR, aVL, aVF, V1 to V6; a row of NaN is a lead that is not there.
 * The files tell no unit. What is as recorded is taken to be mV, and the record says so; z-scores are
 * never scaled by guess: they stay what they are, marked as standardized, and the contract knows who may
 * take them. Rows that have mean 0 and deviation 1 are z-scores even where mean and std are not told.
 * Source: ../shared/spec/ecg-fm.md, section 4.2.
 *
 * As CPSC 2018 handed them out: a structure ECG with sex, age and data [12,T] in mV, at 500 Hz. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/shapes.h"
#include "base/str.h"
#include "format/format.h"
#include "format/mat5.h"

#define CPSC2018_RATE_HZ 500.0
#define OTHER_BYTES_MAX ((int64_t)1 << 20) /* inflated, beside the samples */
#define INFLATED_VALUES                                                                            \
    ((int64_t)1 << 25) /* the same of the samples, where the caller has no bound */
#define STANDARD_TOLERANCE 1e-3

struct reading {
    const char *path;
    const struct read_options *options;
    const struct mat5 *file;
    struct ecg_record *out;
    struct err *e;
};

#define FAIL_MEMORY(r) FAIL((r)->e, ERR_MEMORY, "out of memory while reading %s", (r)->path)

/* Rows of a signal: which are there, and what they look like. */
struct row {
    int64_t invalid;
    bool is_constant;
    double mean, std; /* of the valid samples */
};

static struct row row_look(const float *x, int64_t T)
{
    struct row row = {.is_constant = true};
    double sum = 0.0, square = 0.0;
    float first = (float)NAN;
    for (int64_t t = 0; t < T; t++) {
        if (!ecg_sample_is_valid(x[t])) {
            row.invalid++;
            continue;
        }
        if (!ecg_sample_is_valid(first))
            first = x[t];
        row.is_constant = row.is_constant && x[t] == first;
        sum += x[t];
    }
    double n = (double)(T - row.invalid);
    row.mean = sum / n;
    for (int64_t t = 0; t < T; t++)
        if (ecg_sample_is_valid(x[t]))
            square += (x[t] - row.mean) * (x[t] - row.mean);
    row.std = sqrt(square / n);
    return row;
}

/* Two leads or more, all with mean 0 and deviation 1 (or constant): no recording in mV is so. */
static bool looks_standardized(const struct row *rows, int64_t T)
{
    int standard = 0;
    for (int l = 0; l < LEAD_STANDARD_COUNT; l++) {
        if (rows[l].invalid == T || (rows[l].is_constant && rows[l].mean == 0.0))
            continue;
        if (!(fabs(rows[l].mean) < STANDARD_TOLERANCE &&
              fabs(rows[l].std - 1.0) < STANDARD_TOLERANCE))
            return false;
        standard++;
    }
    return standard >= 2;
}

/* What a file says of its leads. */
enum scale {
    SCALE_UNTOLD,
    SCALE_STANDARD,        /* z-scores over these samples */
    SCALE_STANDARD_SEGMENT /* z-scores over a recording, of which these are a part */
};

/* Channels and samples of a matrix [12,T]: rows that are all NaN are leads that are not there. */
static enum err_code leads_take(struct reading *r, const struct mat5_array *a, enum scale scale)
{
    bool standardized = scale != SCALE_UNTOLD;
    struct ecg_record *out = r->out;
    if (!mat5_is_number(a) || a->rank != 2)
        FAIL(r->e, ERR_FORMAT, "%s: %s is no matrix of real numbers", r->path, a->name);
    if (a->class >= MAT5_INT8)
        FAIL(r->e, ERR_UNITS,
             "%s: %s has integers: counts of a converter, of which no gain is told", r->path,
             a->name);
    int64_t T = a->shape[1], limit = r->options->max_values;
    if (a->shape[0] != LEAD_STANDARD_COUNT || T < 1)
        FAIL(r->e, ERR_FORMAT,
             "%s: %s is [%" PRId64 ",%" PRId64 "]: expected a row for each of the 12 leads",
             r->path, a->name, a->shape[0], T);
    if (a->count > (limit > 0 ? limit : READ_VALUES_MAX))
        FAIL(r->e, ERR_LIMIT, "%s: %" PRId64 " samples of 12 leads are more than are read at most",
             r->path, T);
    float *x = arena_push_array(&out->arena, (size_t)a->count, sizeof *x);
    out->channels = arena_push_array(&out->arena, LEAD_STANDARD_COUNT, sizeof *out->channels);
    if (!x || !out->channels)
        FAIL_MEMORY(r);
    mat5_rows_f32(a, x);
    struct row rows[LEAD_STANDARD_COUNT];
    for (int l = 0; l < LEAD_STANDARD_COUNT; l++)
        rows[l] = row_look(x + l * T, T);
    if (scale == SCALE_STANDARD && !looks_standardized(rows, T))
        FAIL(r->e, ERR_UNITS,
             "%s: there are mean and std but no segment_i, yet the leads of %s do not have mean 0 "
             "and deviation 1: it is not known what they are scaled by",
             r->path, a->name);
    if (!standardized && looks_standardized(rows, T)) {
        standardized = true;
        ecg_record_issue(out, 0,
                         "every lead has mean 0 and deviation 1: taken as z-scores, although the "
                         "file does not say so");
    } else if (!standardized) {
        ecg_record_issue(out, RECORD_DEFAULT_UNIT, "the file tells no unit: mV is taken");
    }
    out->sample_count = T;
    out->samples = x;
    for (int l = 0; l < LEAD_STANDARD_COUNT; l++) {
        if (rows[l].invalid == T)
            continue;
        float *row = x + out->lead_count * T;
        if (row != x + l * T)
            memmove(row, x + l * T, (size_t)T * sizeof *row);
        out->channels[out->lead_count++] = (struct ecg_channel){.name = lead_name((enum ecg_lead)l),
                                                                .lead = (enum ecg_lead)l,
                                                                .unit = standardized ? "1" : "mV",
                                                                .is_voltage = !standardized,
                                                                .is_standardized = standardized,
                                                                .invalid_count = rows[l].invalid};
    }
    if (out->lead_count == 0)
        FAIL(r->e, ERR_SIGNAL, "%s: no lead has a number", r->path);
    if (standardized)
        ecg_record_issue(out, RECORD_STANDARDIZED,
                         "the leads are z-scores over the whole recording: amplitudes are lost");
    return ERR_OK;
}

static void comment_add(struct ecg_record *out, const char *name, const char *text)
{
    const char *line = arena_printf(&out->arena, "%s: %s", name, text);
    if (line)
        out->comments[out->comment_count++] = line;
}

/* Numbers that say which record this is. */
static enum err_code comments_take(struct reading *r)
{
    static const char *const names[] = {"idx", "segment_i", "patient_id"};
    size_t count = sizeof names / sizeof *names;
    r->out->comments = arena_push_array(&r->out->arena, count, sizeof *r->out->comments);
    if (!r->out->comments)
        FAIL_MEMORY(r);
    for (size_t i = 0; i < count; i++) {
        double value;
        char text[40];
        if (!mat5_scalar(mat5_find(r->file, names[i]), &value))
            continue;
        str_from_f64(value, text, sizeof text);
        comment_add(r->out, names[i], text);
    }
    return ERR_OK;
}

/* A number for each lead; of a lead that is not there it may be NaN. */
static bool is_per_lead(const struct mat5_array *a)
{
    return mat5_is_number(a) && a->count == LEAD_STANDARD_COUNT;
}

static enum err_code scale_find(struct reading *r, enum scale *out)
{
    const struct mat5_array *mean = mat5_find(r->file, "mean"), *std = mat5_find(r->file, "std");
    double segment;
    *out = SCALE_UNTOLD;
    if (!mean || !std)
        return ERR_OK;
    if (!is_per_lead(mean) || !is_per_lead(std))
        FAIL(r->e, ERR_UNITS,
             "%s: there are mean and std, but not 12 real numbers in each: it is not known whether "
             "the leads are z-scores",
             r->path);
    *out = mat5_scalar(mat5_find(r->file, "segment_i"), &segment) ? SCALE_STANDARD_SEGMENT
                                                                  : SCALE_STANDARD;
    return ERR_OK;
}

static enum err_code read_feats(struct reading *r, const struct mat5_array *feats)
{
    struct ecg_record *out = r->out;
    double rate = NAN, age = NAN, sex = NAN;
    const struct mat5_array *found = mat5_find(r->file, "curr_sample_rate");
    if (!mat5_scalar(found, &rate))
        FAIL(r->e, ERR_RATE, "%s: no number curr_sample_rate: the sampling rate is not told",
             r->path);
    if (!(rate > 0.0 && isfinite(rate)))
        FAIL(r->e, ERR_RATE, "%s: curr_sample_rate is %g", r->path, rate);
    out->rate_hz = rate;
    if (mat5_scalar(mat5_find(r->file, "age"), &age) && age >= 0 && age <= 130)
        out->age_years = age;
    if (mat5_scalar(mat5_find(r->file, "sex"), &sex))
        out->sex = sex == 0.0 ? SEX_MALE : sex == 1.0 ? SEX_FEMALE : SEX_UNKNOWN;
    TRY(comments_take(r));
    enum scale scale;
    TRY(scale_find(r, &scale));
    return leads_take(r, feats, scale);
}

static enum err_code read_cpsc2018(struct reading *r, const struct mat5_array *data,
                                   const struct mat5_array *ecg)
{
    struct ecg_record *out = r->out;
    char sex[16];
    double age;
    out->rate_hz = CPSC2018_RATE_HZ;
    ecg_record_issue(out, RECORD_DEFAULT_RATE,
                     "the file tells no sampling rate: %g Hz is taken, that of CPSC 2018",
                     CPSC2018_RATE_HZ);
    if (mat5_text(mat5_field(ecg, "sex"), sex, sizeof sex))
        out->sex = str_equal_nocase(sex, "male")     ? SEX_MALE
                   : str_equal_nocase(sex, "female") ? SEX_FEMALE
                                                     : SEX_UNKNOWN;
    if (mat5_scalar(mat5_field(ecg, "age"), &age) && age >= 0 && age <= 130)
        out->age_years = age;
    return leads_take(r, data, SCALE_UNTOLD);
}

/* The names of the variables, for a message. */
static void names_list(const struct mat5 *m, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (int64_t i = 0; i < m->count && i < 8 && used < size; i++)
        used +=
            (size_t)snprintf(out + used, size - used, "%s%.40s", i ? ", " : "", m->arrays[i].name);
}

static enum err_code read_variables(struct reading *r)
{
    const struct mat5_array *feats = mat5_find(r->file, "feats");
    const struct mat5_array *ecg = mat5_find(r->file, "ECG");
    const struct mat5_array *data = ecg ? mat5_field(ecg, "data") : NULL;
    r->out->format = "mat";
    r->out->flags |= RECORD_CHECKSUM_ABSENT;
    r->out->path = arena_strdup(&r->out->arena, r->path);
    r->out->name = path_stem(&r->out->arena, path_name(r->path));
    if (!r->out->path || !r->out->name)
        FAIL_MEMORY(r);
    if (feats)
        return read_feats(r, feats);
    if (data)
        return read_cpsc2018(r, data, ecg);
    char names[400];
    names_list(r->file, names, sizeof names);
    FAIL(r->e, ERR_UNSUPPORTED,
         "%s: a MATLAB file without feats (fairseq-signals) or ECG.data (CPSC 2018); it holds %s",
         r->path, names[0] ? names : "nothing");
}

static enum err_code mat_read(const char *path, const struct read_options *options,
                              struct ecg_record *out, struct err *e)
{
    struct mat5 file;
    int64_t values = options->max_values > 0 ? options->max_values : INFLATED_VALUES;
    if (values > READ_VALUES_MAX)
        values = READ_VALUES_MAX;
    TRY(mat5_open(&file, path, 8 * values + OTHER_BYTES_MAX, e));
    struct reading r = {path, options, &file, out, e};
    enum err_code code = read_variables(&r);
    mat5_close(&file);
    return code;
}

/* A WFDB header beside the file says more than the file: that format is asked first. */
static int mat_probe(const char *path, const unsigned char *head, size_t head_size)
{
    (void)path;
    return mat5_is_level5(head, head_size) ? 50 : mat5_is_level73(head, head_size) ? 20 : 0;
}

const struct format format_mat = {
    .name = "mat",
    .help = "MATLAB level 5: as prepared for fairseq-signals (feats), CPSC 2018 (ECG.data)",
    .extensions = "mat",
    .by_content = true,
    .probe = mat_probe,
    .read = mat_read,
};
