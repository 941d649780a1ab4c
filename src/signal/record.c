#include "signal/record.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

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
    {0, NULL},
};
