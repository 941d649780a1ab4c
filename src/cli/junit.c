#include "cli/junit.h"

#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/str.h"

/* Text of an attribute: what XML 1.0 does not have, and bytes that are no UTF-8, become "?". */
static void put_text(struct buf *out, const char *text)
{
    size_t left = strlen(text);
    for (size_t n; left; text += n, left -= n) {
        n = str_utf8_length(text, left);
        static const char *const escapes[] = {"&&amp;", "<&lt;", ">&gt;", "\"&quot;", "'&apos;"};
        const char *escape = NULL;
        for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++)
            if (*text == escapes[i][0])
                escape = escapes[i] + 1;
        bool forbidden =
            n == 0 || (unsigned char)*text < ' ' || *text == 0x7f ||
            (n == 3 && memcmp(text, "\xef\xbf", 2) == 0 && (unsigned char)text[2] >= 0xbe);
        if (escape)
            buf_puts(out, escape);
        else if (forbidden)
            buf_puts(out, "?");
        else
            buf_append(out, text, n);
        n = n ? n : 1;
    }
}

static void put_case(struct buf *out, const struct requirement *r)
{
    char bar[32], value[32] = "undefined";
    str_from_f64(r->bar, bar, sizeof bar);
    if (!isnan(r->value))
        str_from_f64(r->value, value, sizeof value);
    buf_puts(out, "    <testcase classname=\"ecgfm.eval\" name=\"");
    put_text(out, r->metric);
    buf_puts(out, " ");
    put_text(out, r->operation);
    buf_printf(out, " %s%s\">\n", bar, r->of_baseline ? " (baseline)" : "");
    if (!r->met) {
        buf_puts(out, "      <failure type=\"requirement\" message=\"");
        put_text(out, r->metric);
        buf_printf(out, " is %s, required ", value);
        put_text(out, r->operation);
        buf_printf(out, " %s\"/>\n", bar);
    }
    buf_printf(out, "      <system-out>%s</system-out>\n    </testcase>\n", value);
}

static void suite_begin(struct buf *out, int tests, int failures, int errors)
{
    buf_init(out, 0);
    buf_puts(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    for (int level = 0; level < 2; level++)
        buf_printf(out, "%s name=\"ecgfm eval\" tests=\"%d\" failures=\"%d\" errors=\"%d\"%s>\n",
                   level ? "  <testsuite" : "<testsuites", tests, failures, errors,
                   level ? " skipped=\"0\"" : "");
}

static enum err_code suite_write(struct buf *text, const char *path, struct err *e)
{
    buf_puts(text, "  </testsuite>\n</testsuites>\n");
    enum err_code code = text->failed ? RAISE(e, ERR_MEMORY, "%s: out of memory", path)
                                      : file_write_atomic(path, text->data, text->len, e);
    buf_free(text);
    return code;
}

enum err_code junit_write(const char *path, const struct requirement *requirements, int count,
                          struct err *e)
{
    struct buf text;
    int failures = 0;
    for (int i = 0; i < count; i++)
        failures += !requirements[i].met;
    suite_begin(&text, count, failures, 0);
    for (int i = 0; i < count; i++)
        put_case(&text, &requirements[i]);
    return suite_write(&text, path, e);
}

void junit_write_error(const char *path, const char *message)
{
    struct buf text;
    suite_begin(&text, 1, 0, 1);
    buf_puts(&text, "    <testcase classname=\"ecgfm.eval\" name=\"evaluation\">\n"
                    "      <error type=\"error\" message=\"");
    put_text(&text, message);
    buf_puts(&text, "\"/>\n    </testcase>\n");
    (void)suite_write(&text, path, NULL);
}
