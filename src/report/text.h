/* Text of SVG and HTML: escaped, and numbers of a fixed form. The same value gives the same bytes
 * everywhere. Whatever a file says is hostile: names go through text_escape, always. */
#ifndef ECGFM_REPORT_TEXT_H
#define ECGFM_REPORT_TEXT_H

#include <stdint.h>

#include "base/buf.h"

/* Appends text for the content of an element or a quoted attribute. Bytes that are not UTF-8,
 * characters that XML does not know and those that turn the direction of writing become U+FFFD;
 * line ends and tabs become spaces. */
void text_escape(struct buf *out, const char *text);
/* The same, at most `characters` of them, the last an ellipsis if text is longer. */
void text_escape_short(struct buf *out, const char *text, int characters);
/* Characters of a text as they would be shown (bytes that are no UTF-8 count once). */
int text_length(const char *text);

/* Appends a number with so many digits after the point, "-" where it is not finite; beyond 1e15 as
 * str_from_f64 has it. */
void text_fixed(struct buf *out, double value, int decimals);
/* The same without zeros at the end: "12.5", "3". */
void text_short(struct buf *out, double value, int decimals);
/* mantissa * 10^exponent, exactly: "0.05", "2e-5" ("1000" up to 1e6). */
void text_decimal(struct buf *out, int64_t mantissa, int exponent);
/* A whole number with thin spaces between thousands: "21 388". */
void text_count(struct buf *out, int64_t count);
/* A number of unknown size with about four digits that matter: "0.9321", "12.5", "3.2e-5". */
void text_number(struct buf *out, double value);

#endif
