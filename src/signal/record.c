#include "signal/record.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/shapes.h"
#include "base/str.h"

#define VALUES_MAX (INT64_C(1) << 28)

void ecg_record_init(struct ecg_record *r)
{
    *r = (struct ecg_record){.age_years = NAN};
    arena_init(&r->arena, "record", 0);
}

void ecg_record_free(struct ecg_record *r)
{
    arena_reset(&r->arena);
    ecg_record_init(r);
}

void ecg_record_issue(struct ecg_record *r, unsigned flag, const char *format, ...)
{
    r->flags |= flag;
    if (r->issue_count >= RECORD_ISSUES_MAX)
        return;
    if (r->issue_count == RECORD_ISSUES_MAX - 1)
        format = "further issues are not listed";
    char text[512];
    va_list args;
    va_start(args, format);
    if (vsnprintf(text, sizeof text, format, args) < 0)
        text[0] = '\0';
    va_end(args);
    if (r->issues == NULL)
        r->issues = arena_push_array(&r->arena, RECORD_ISSUES_MAX, sizeof *r->issues);
    const char *kept = r->issues == NULL ? NULL : arena_strdup(&r->arena, text);
    if (kept != NULL) /* without memory the flag remains */
        r->issues[r->issue_count++] = kept;
}

enum err_code ecg_record_append(struct ecg_record *r, const struct ecg_record *next, struct err *e)
{
    int64_t L = r->lead_count, T = r->sample_count, more = next->sample_count, values;
    if (next->rate_hz != r->rate_hz)
        FAIL(e, ERR_FORMAT, "%s goes on at %g Hz, it began at %g Hz", r->name ? r->name : "?",
             next->rate_hz, r->rate_hz);
    bool same = next->lead_count == L;
    for (int64_t l = 0; same && l < L; l++) {
        const struct ecg_channel *a = &r->channels[l], *b = &next->channels[l];
        same = a->lead == b->lead && a->is_voltage == b->is_voltage &&
               a->is_standardized == b->is_standardized && a->is_scaled == b->is_scaled &&
               strcmp(a->unit ? a->unit : "", b->unit ? b->unit : "") == 0;
    }
    if (!same)
        FAIL(e, ERR_FORMAT, "%s goes on with other leads or units than it began with",
             r->name ? r->name : "?");
    if (!mul_i64(T + more, L, &values) || values > VALUES_MAX)
        FAIL(e, ERR_LIMIT, "%lld samples in %lld leads: more than %lld values",
             (long long)(T + more), (long long)L, (long long)VALUES_MAX);
    float *samples = arena_push_array(&r->arena, (size_t)values, sizeof *samples);
    if (!samples)
        FAIL(e, ERR_MEMORY, "%lld samples: out of memory", (long long)(T + more));
    for (int64_t l = 0; l < L; l++) {
        float *row = samples + l * (T + more);
        memcpy(row, r->samples + l * T, (size_t)T * sizeof *row);
        memcpy(row + T, next->samples + l * more, (size_t)more * sizeof *row);
        r->channels[l].invalid_count += next->channels[l].invalid_count;
    }
    r->samples = samples;
    r->sample_count = T + more;
    r->flags |= next->flags;
    for (int i = 0; i < next->issue_count; i++) {
        bool known = false;
        for (int k = 0; k < r->issue_count; k++)
            known = known || strcmp(r->issues[k], next->issues[i]) == 0;
        if (!known)
            ecg_record_issue(r, 0, "%s", next->issues[i]);
    }
    return ERR_OK;
}

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

const char *ecg_record_comment(const struct ecg_record *r, const char *key)
{
    char word[64];
    for (int i = 0; i < r->comment_count; i++) {
        const char *text = r->comments[i];
        while (is_space(*text))
            text++;
        const char *colon = strchr(text, ':');
        if (colon == NULL || (size_t)(colon - text) >= sizeof word)
            continue;
        memcpy(word, text, (size_t)(colon - text));
        word[colon - text] = '\0';
        if (!str_equal_nocase(str_trim(word), key))
            continue;
        for (colon++; is_space(*colon);)
            colon++;
        return colon;
    }
    return NULL;
}

const char *ecg_sex_name(enum ecg_sex sex)
{
    return sex == SEX_FEMALE ? "female" : sex == SEX_MALE ? "male" : "unknown";
}

const struct record_flag_name record_flag_names[] = {
    {RECORD_CHECKSUM_MISMATCH, "checksum-mismatch"},
    {RECORD_INITIAL_MISMATCH, "initial-mismatch"},
    {RECORD_SHORT, "short"},
    {RECORD_CHECKSUM_ABSENT, "checksum-absent"},
    {RECORD_GAPS, "gaps"},
    {RECORD_DEFAULT_GAIN, "default-gain"},
    {RECORD_DEFAULT_RATE, "default-rate"},
    {RECORD_DEFAULT_UNIT, "default-unit"},
    {RECORD_STANDARDIZED, "standardized"},
    {0, NULL},
};
