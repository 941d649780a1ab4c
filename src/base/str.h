/* Strict text parsing and small string helpers. Nothing here depends on the locale. */
#ifndef ECGFM_BASE_STR_H
#define ECGFM_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Parse the whole string; false on empty, white space, trailing text or overflow, with *out
 * untouched. Trim first where white space is allowed. */
bool str_to_i64(const char *text, int64_t *out);
/* Decimal with optional fraction and exponent, "." as the point; "nan", "inf", "infinity" with any
 * case only if allowed. A finite text too large for a double is refused, too small gives 0. */
bool str_to_f64(const char *text, bool allow_nonfinite, double *out);
bool str_to_bool(const char *text, bool *out); /* true/false/1/0/yes/no/on/off */

/* Shortest decimal text that reads back as the same float / double ("%.9g" style, locale-free). */
void str_from_f64(double value, char *out, size_t size);
void str_from_f32(float value, char *out, size_t size);

bool str_equal_nocase(const char *a, const char *b);
bool str_starts_with(const char *text, const char *prefix);
bool str_ends_with(const char *text, const char *suffix);
/* Is text all of the pattern, in which * stands for any text and ? for any one character? */
bool str_matches(const char *pattern, const char *text);
/* Is text one of a list of patterns with commas? White space around them is none of theirs. */
bool str_matches_any(const char *patterns, const char *text);
/* Trims white space in place; returns the new start. */
char *str_trim(char *text);
/* Takes the next part of a list with commas, in place and trimmed; NULL once *rest is NULL. A part that
 * begins with a quote may hold commas up to the closing one; the quotes go, and "" is one of them. */
char *str_list_next(char **rest);
/* Replaces control characters in place: new lines and tabs by spaces, others by "?". For names of
 * strangers on a terminal. Returns text. */
char *str_clean(char *text);
/* Copies with termination; returns false if it did not fit (the copy is then cut). */
bool str_copy(char *out, size_t size, const char *text);

/* Bytes of the UTF-8 character that text of this size begins with (1..4), or 0 if it is none:
 * overlong forms, surrogates, values above U+10FFFF and cut characters are none, and so is size 0. */
size_t str_utf8_length(const char *text, size_t size);

/* Index of the candidate nearest to word by edit distance, or -1 if none is close enough to be
 * a likely typing error. candidates is a NULL-terminated list. */
int str_nearest(const char *word, const char *const *candidates);

/* FNV-1a 64, for names and manifests (not cryptographic). seed: 0, or an earlier hash to go on
 * from. */
uint64_t str_hash64(const char *text);
uint64_t bytes_hash64(const void *data, size_t len, uint64_t seed);

#endif
