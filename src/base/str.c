#define _GNU_SOURCE /* strtod_l */
#include "base/str.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ASCII only, whatever the locale. */
static int lower(int c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c; }

static bool is_digit(int c) { return c >= '0' && c <= '9'; }

static bool is_space(int c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

bool str_to_i64(const char *text, int64_t *out)
{
    const char *p = text;
    bool negative = *p == '-';
    if (*p == '-' || *p == '+')
        p++;
    if (!is_digit(*p))
        return false;
    int64_t value = 0;
    for (; is_digit(*p); p++) {
        int digit = *p - '0';
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, negative ? -digit : digit, &value))
            return false;
    }
    if (*p != '\0')
        return false;
    *out = value;
    return true;
}

static locale_t c_locale;
static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;

static void c_locale_make(void) { c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0); }

/* [+-] digits [. digits] [e [+-] digits], with a digit on one side of the point at least. */
static bool is_decimal(const char *p)
{
    if (*p == '-' || *p == '+')
        p++;
    int digits = 0;
    for (; is_digit(*p); p++)
        digits++;
    if (*p == '.')
        for (p++; is_digit(*p); p++)
            digits++;
    if (digits == 0)
        return false;
    if (*p == 'e' || *p == 'E') {
        p++;
        if (*p == '-' || *p == '+')
            p++;
        if (!is_digit(*p))
            return false;
        while (is_digit(*p))
            p++;
    }
    return *p == '\0';
}

bool str_to_f64(const char *text, bool allow_nonfinite, double *out)
{
    if (!is_decimal(text)) {
        const char *word = text + (*text == '-' || *text == '+');
        double value;
        if (str_equal_nocase(word, "nan"))
            value = NAN;
        else if (str_equal_nocase(word, "inf") || str_equal_nocase(word, "infinity"))
            value = INFINITY;
        else
            return false;
        if (allow_nonfinite)
            *out = *text == '-' ? -value : value;
        return allow_nonfinite;
    }
    pthread_once(&c_locale_once, c_locale_make);
    double value = c_locale != (locale_t)0 ? strtod_l(text, NULL, c_locale) : strtod(text, NULL);
    if (!isfinite(value))
        return false;
    *out = value;
    return true;
}

bool str_to_bool(const char *text, bool *out)
{
    static const char *const yes[] = {"true", "1", "yes", "on"};
    static const char *const no[] = {"false", "0", "no", "off"};
    for (int i = 0; i < 4; i++) {
        if (str_equal_nocase(text, yes[i])) {
            *out = true;
            return true;
        }
        if (str_equal_nocase(text, no[i])) {
            *out = false;
            return true;
        }
    }
    return false;
}

static void format_real(double value, int digits, char *out, size_t size)
{
    pthread_once(&c_locale_once, c_locale_make);
    locale_t before = c_locale != (locale_t)0 ? uselocale(c_locale) : (locale_t)0;
    snprintf(out, size, "%.*g", digits, value);
    if (before != (locale_t)0)
        uselocale(before);
}

static bool format_nonfinite(double value, char *out, size_t size)
{
    if (isfinite(value))
        return false;
    str_copy(out, size, isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
    return true;
}

void str_from_f64(double value, char *out, size_t size)
{
    if (format_nonfinite(value, out, size))
        return;
    char text[32];
    /* 15 digits always survive, so shorter texts come out of "%.15g" by themselves; subnormal
     * numbers hold fewer. */
    for (int digits = value != 0 && fabs(value) < 0x1p-1022 ? 1 : 15; digits <= 17; digits++) {
        double back;
        format_real(value, digits, text, sizeof text);
        if (digits == 17 || (str_to_f64(text, false, &back) && back == value))
            break;
    }
    str_copy(out, size, text);
}

void str_from_f32(float value, char *out, size_t size)
{
    if (format_nonfinite((double)value, out, size))
        return;
    char text[32];
    for (int digits = value != 0 && fabsf(value) < 0x1p-126f ? 1 : 6; digits <= 9; digits++) {
        double back;
        format_real((double)value, digits, text, sizeof text);
        if (digits == 9 || (str_to_f64(text, false, &back) && (float)back == value))
            break;
    }
    str_copy(out, size, text);
}

bool str_equal_nocase(const char *a, const char *b)
{
    while (*a != '\0' && lower((unsigned char)*a) == lower((unsigned char)*b)) {
        a++;
        b++;
    }
    return *a == '\0' && *b == '\0';
}

bool str_starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool str_ends_with(const char *text, const char *suffix)
{
    size_t n = strlen(text), m = strlen(suffix);
    return n >= m && memcmp(text + n - m, suffix, m) == 0;
}

/* [pattern, end) against text; after a mismatch the last * takes one character more. */
static bool matches(const char *pattern, const char *end, const char *text)
{
    const char *star = NULL, *resume = NULL;
    while (*text) {
        if (pattern < end && *pattern == '*') {
            star = ++pattern;
            resume = text;
        } else if (pattern < end && (*pattern == '?' || *pattern == *text)) {
            pattern++;
            text++;
        } else if (star) {
            pattern = star;
            text = ++resume;
        } else
            return false;
    }
    while (pattern < end && *pattern == '*')
        pattern++;
    return pattern == end;
}

bool str_matches(const char *pattern, const char *text)
{
    return matches(pattern, pattern + strlen(pattern), text);
}

bool str_matches_any(const char *patterns, const char *text)
{
    while (*patterns) {
        const char *end = patterns + strcspn(patterns, ","), *next = *end ? end + 1 : end;
        while (patterns < end && *patterns == ' ')
            patterns++;
        while (end > patterns && end[-1] == ' ')
            end--;
        if (end > patterns && matches(patterns, end, text))
            return true;
        patterns = next;
    }
    return false;
}

char *str_trim(char *text)
{
    while (is_space((unsigned char)*text))
        text++;
    size_t n = strlen(text);
    while (n > 0 && is_space((unsigned char)text[n - 1]))
        n--;
    text[n] = '\0';
    return text;
}

static char *closing_quote(char *opening)
{
    for (char *p = opening + 1; *p != '\0'; p++)
        if (*p == '"' && *++p != '"')
            return p - 1;
    return NULL;
}

char *str_list_next(char **rest)
{
    char *part = *rest;
    if (part == NULL)
        return NULL;
    while (is_space((unsigned char)*part))
        part++;
    char *in = part, *out = part, *close = *part == '"' ? closing_quote(part) : NULL;
    if (close != NULL) {
        for (in++; in < close; in++) {
            in += *in == '"';
            *out++ = *in;
        }
        in++;
    }
    size_t tail = strcspn(in, ",");
    *rest = in[tail] == ',' ? in + tail + 1 : NULL;
    memmove(out, in, tail);
    out[tail] = '\0';
    return str_trim(part);
}

bool str_copy(char *out, size_t size, const char *text)
{
    size_t n = strlen(text);
    if (size == 0)
        return false;
    size_t fit = n < size ? n : size - 1;
    memcpy(out, text, fit);
    out[fit] = '\0';
    return fit == n;
}

#define NEAREST_MAX 64

/* For comparing names: case and the choice of hyphen or underscore are no typing errors. */
static int fold(char c) { return c == '-' ? '_' : lower((unsigned char)c); }

/* Edit distance with swaps of neighbours (optimal string alignment). Source: Damerau 1964. */
static int edit_distance(const char *a, int n, const char *b, int m)
{
    int rows[3][NEAREST_MAX + 1];
    int *before = rows[0], *last = rows[1], *now = rows[2];
    for (int j = 0; j <= m; j++)
        last[j] = j;
    for (int i = 1; i <= n; i++) {
        now[0] = i;
        for (int j = 1; j <= m; j++) {
            bool same = fold(a[i - 1]) == fold(b[j - 1]);
            int best = last[j - 1] + (same ? 0 : 1);
            if (last[j] + 1 < best)
                best = last[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) &&
                fold(a[i - 2]) == fold(b[j - 1]) && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            now[j] = best;
        }
        int *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[m];
}

int str_nearest(const char *word, const char *const *candidates)
{
    size_t n = strlen(word);
    if (n == 0 || n > NEAREST_MAX)
        return -1;
    int nearest = -1, nearest_distance = (int)(n + 2) / 3 + 1, beginning = -1;
    for (int i = 0; candidates[i] != NULL; i++) {
        size_t m = strlen(candidates[i]);
        if (m == 0 || m > NEAREST_MAX)
            continue;
        int distance = edit_distance(word, (int)n, candidates[i], (int)m);
        /* As many edits as letters would turn any short word into any other. */
        if (distance < nearest_distance && distance < (int)(n > m ? n : m)) {
            nearest = i;
            nearest_distance = distance;
        }
        if (beginning < 0 && n >= 3 && str_starts_with(candidates[i], word))
            beginning = i;
    }
    return nearest >= 0 && (nearest_distance <= 1 || beginning < 0) ? nearest : beginning;
}

char *str_clean(char *text)
{
    for (char *p = text; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        if (c < 0x20 || c == 0x7f)
            *p = c == '\n' || c == '\t' ? ' ' : '?';
    }
    return text;
}

#define FNV_BASIS UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x100000001b3)

uint64_t bytes_hash64(const void *data, size_t len, uint64_t seed)
{
    uint64_t hash = seed != 0 ? seed : FNV_BASIS;
    const unsigned char *p = data;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ p[i]) * FNV_PRIME;
    return hash;
}

/* Source: Unicode 15, table 3-7. */
size_t str_utf8_length(const char *text, size_t size)
{
    const unsigned char *p = (const unsigned char *)text;
    if (size == 0)
        return 0;
    size_t length = p[0] < 0x80   ? 1
                    : p[0] < 0xc2 ? 0
                    : p[0] < 0xe0 ? 2
                    : p[0] < 0xf0 ? 3
                    : p[0] < 0xf5 ? 4
                                  : 0;
    if (length > size)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return length;
}

uint64_t str_hash64(const char *text) { return bytes_hash64(text, strlen(text), 0); }
