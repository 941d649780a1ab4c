#include "report/text.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define REPLACEMENT "\xef\xbf\xbd"
#define ELLIPSIS "\xe2\x80\xa6"
#define THIN_SPACE "\xe2\x80\x89"
#define MINUS "\xe2\x88\x92"

static uint32_t decode(const char *text, size_t length)
{
    static const uint8_t first[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t c = (uint8_t)text[0] & first[length];
    for (size_t i = 1; i < length; i++)
        c = c << 6 | ((uint8_t)text[i] & 0x3f);
    return c;
}

/* Controls, what XML has no place for, and marks that let one name rearrange the line it stands in.
 * */
static bool is_shown(uint32_t c)
{
    bool control = c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029;
    bool direction = c == 0x200e || c == 0x200f || c == 0x61c || (c >= 0x202a && c <= 0x202e) ||
                     (c >= 0x2066 && c <= 0x2069);
    return !control && !direction && (c & 0xfffe) != 0xfffe;
}

/* One character; returns how many bytes it was. */
static size_t escape_one(struct buf *out, const char *text, size_t left)
{
    size_t length = str_utf8_length(text, left);
    if (length == 0) {
        buf_puts(out, REPLACEMENT);
        return 1;
    }
    uint32_t c = decode(text, length);
    if (c == '&')
        buf_puts(out, "&amp;");
    else if (c == '<')
        buf_puts(out, "&lt;");
    else if (c == '>')
        buf_puts(out, "&gt;");
    else if (c == '"')
        buf_puts(out, "&quot;");
    else if (c == '\'')
        buf_puts(out, "&#39;");
    else if (c == '\n' || c == '\r' || c == '\t')
        buf_puts(out, " ");
    else if (!is_shown(c))
        buf_puts(out, REPLACEMENT);
    else
        buf_append(out, text, length);
    return length;
}

void text_escape(struct buf *out, const char *text)
{
    size_t left = strlen(text);
    while (left > 0) {
        size_t length = escape_one(out, text, left);
        text += length;
        left -= length;
    }
}

int text_length(const char *text)
{
    int count = 0;
    for (size_t left = strlen(text); left > 0; count++) {
        size_t length = str_utf8_length(text, left);
        length = length ? length : 1;
        text += length;
        left -= length;
    }
    return count;
}

void text_escape_short(struct buf *out, const char *text, int characters)
{
    bool cut = text_length(text) > characters;
    size_t left = strlen(text);
    for (int i = 0; left > 0 && i < (cut ? characters - 1 : characters); i++) {
        size_t length = escape_one(out, text, left);
        text += length;
        left -= length;
    }
    if (cut)
        buf_puts(out, ELLIPSIS);
}

/* ---- numbers ---- */

void text_fixed(struct buf *out, double value, int decimals)
{
    static const double powers[] = {1, 10, 100, 1e3, 1e4, 1e5, 1e6};
    char text[32];
    if (!isfinite(value)) {
        buf_puts(out, "-");
        return;
    }
    if (fabs(value) >= 1e15 / powers[decimals]) {
        str_from_f64(value, text, sizeof text);
        buf_puts(out, text);
        return;
    }
    long long scaled = llround(value * powers[decimals]);
    long long unit = (long long)powers[decimals], rest = llabs(scaled) % unit;
    buf_printf(out, "%s%lld", scaled < 0 ? "-" : "", llabs(scaled) / unit);
    if (decimals > 0)
        buf_printf(out, ".%0*lld", decimals, rest);
}

void text_short(struct buf *out, double value, int decimals)
{
    size_t begin = out->len;
    text_fixed(out, value, decimals);
    if (out->failed || !memchr(out->data + begin, '.', out->len - begin) ||
        memchr(out->data + begin, 'e', out->len - begin))
        return;
    while (out->data[out->len - 1] == '0')
        out->len--;
    if (out->data[out->len - 1] == '.')
        out->len--;
    out->data[out->len] = '\0';
}

void text_decimal(struct buf *out, int64_t mantissa, int exponent)
{
    char digits[32];
    int length = snprintf(digits, sizeof digits, "%lld", llabs((long long)mantissa));
    if (mantissa < 0)
        buf_puts(out, MINUS);
    int magnitude = length - 1 + exponent; /* of the first digit */
    if (mantissa == 0 && exponent >= 0) {
        buf_puts(out, "0");
    } else if (mantissa != 0 && (magnitude > 6 || magnitude < -3)) {
        while (length > 1 && digits[length - 1] == '0')
            digits[--length] = '\0';
        buf_append(out, digits, 1);
        if (length > 1)
            buf_printf(out, ".%s", digits + 1);
        buf_printf(out, "e%s%d", magnitude < 0 ? MINUS : "",
                   magnitude < 0 ? -magnitude : magnitude);
    } else if (exponent >= 0) {
        buf_puts(out, digits);
        for (int i = 0; i < exponent; i++)
            buf_puts(out, "0");
    } else if (length + exponent > 0) {
        buf_append(out, digits, (size_t)(length + exponent));
        buf_printf(out, ".%s", digits + length + exponent);
    } else {
        buf_puts(out, "0.");
        for (int i = length + exponent; i < 0 && i > -20; i++)
            buf_puts(out, "0");
        buf_puts(out, digits);
    }
}

void text_count(struct buf *out, int64_t count)
{
    char digits[32];
    int length = snprintf(digits, sizeof digits, "%lld", (long long)count);
    for (int i = 0; i < length; i++) {
        buf_append(out, digits + i, 1);
        if ((length - i - 1) % 3 == 0 && i + 1 < length && digits[i] != '-')
            buf_puts(out, THIN_SPACE);
    }
}

void text_number(struct buf *out, double value)
{
    double size = fabs(value);
    if (!isfinite(value)) {
        buf_puts(out, "-");
    } else if (value == floor(value) && size < 1e15) {
        text_count(out, (int64_t)value);
    } else if (size >= 1e-3 && size < 1e6) {
        text_short(out, value, size < 1 ? 4 : size < 100 ? 3 : size < 1000 ? 2 : 1);
    } else {
        int exponent = (int)floor(log10(size));
        int64_t mantissa = llround(value / pow(10, exponent - 3));
        text_decimal(out, mantissa, exponent - 3);
    }
}
