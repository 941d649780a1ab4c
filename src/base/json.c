#include "base/json.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/file.h"
#include "base/str.h"

static int line_of(const char *text, size_t offset)
{
    int line = 1;
    for (size_t i = 0; i < offset; i++)
        line += text[i] == '\n';
    return line;
}

/* What cJSON lets pass: depth (it recurses), NUL and control characters, text that is not UTF-8. */
static enum err_code check_text(const char *text, size_t size, const char *name, struct err *e)
{
    const unsigned char *p = (const unsigned char *)text, *end = p + size;
    int depth = 0;
    bool quoted = false;
    while (p < end) {
        size_t offset = (size_t)(p - (const unsigned char *)text);
        int length = (int)str_utf8_length((const char *)p, (size_t)(end - p));
        if (length == 0)
            FAIL(e, ERR_FORMAT, "%s is not JSON: line %d: byte 0x%02x is not UTF-8", name,
                 line_of(text, offset), *p);
        if (*p == 0 || (quoted && *p < 0x20))
            FAIL(e, ERR_FORMAT, "%s is not JSON: line %d: bare control character 0x%02x", name,
                 line_of(text, offset), *p);
        if (quoted && *p == '\\' && p + 1 < end) {
            p += p[1] < 0x80 ? 2 : 1;
            continue;
        }
        if (*p == '"')
            quoted = !quoted;
        if (!quoted && (*p == '{' || *p == '['))
            depth++;
        if (!quoted && (*p == '}' || *p == ']'))
            depth--;
        if (depth > JSON_DEPTH_MAX)
            FAIL(e, ERR_LIMIT, "%s: line %d: nested deeper than %d", name, line_of(text, offset),
                 JSON_DEPTH_MAX);
        p += length;
    }
    return ERR_OK;
}

/* cJSON reads numbers with strtod: "1e999" becomes infinity. */
static bool numbers_are_finite(const cJSON *value)
{
    if (cJSON_IsNumber(value) && !isfinite(value->valuedouble))
        return false;
    for (const cJSON *child = value->child; child != NULL; child = child->next)
        if (!numbers_are_finite(child))
            return false;
    return true;
}

enum err_code json_parse(const char *text, size_t size, const char *name, struct cJSON **out,
                         struct err *e)
{
    *out = NULL;
    /* A byte order mark is common in files that went through an editor; cJSON skips it as well. */
    if (size == 0)
        FAIL(e, ERR_FORMAT, "%s is not JSON: it is empty", name);
    TRY(check_text(text, size, name, e));
    const char *end = NULL;
    cJSON *value = cJSON_ParseWithLengthOpts(text, size, &end, false);
    size_t offset = end != NULL && end >= text ? (size_t)(end - text) : 0;
    while (value != NULL && offset < size && strchr(" \t\r\n", text[offset]) != NULL)
        offset++;
    if (value == NULL || offset < size) {
        char near[24] = "";
        size_t shown = size - offset < sizeof near - 1 ? size - offset : sizeof near - 1;
        memcpy(near, text + offset, shown);
        cJSON_Delete(value);
        FAIL(e, ERR_FORMAT, "%s is not JSON: line %d: %s near \"%s\"", name, line_of(text, offset),
             value == NULL ? "syntax error" : "text after the value", near);
    }
    if (!numbers_are_finite(value)) {
        cJSON_Delete(value);
        FAIL(e, ERR_FORMAT, "%s: a number is too large for a double", name);
    }
    *out = value;
    return ERR_OK;
}

enum err_code json_read(const char *path, size_t max_bytes, struct cJSON **out, struct err *e)
{
    *out = NULL;
    struct buf text;
    TRY(file_read(path, max_bytes > 0 ? max_bytes : (size_t)64 << 20, &text, e));
    enum err_code code = json_parse(text.data, text.len, path, out, e);
    buf_free(&text);
    return code;
}

void json_print_string(const char *text, struct buf *out)
{
    buf_append(out, "\"", 1);
    const unsigned char *p = (const unsigned char *)text, *end = p + strlen(text);
    while (p < end) {
        int length = (int)str_utf8_length((const char *)p, (size_t)(end - p));
        const char *escape = *p == '"'    ? "\\\""
                             : *p == '\\' ? "\\\\"
                             : *p == '\n' ? "\\n"
                             : *p == '\t' ? "\\t"
                             : *p == '\r' ? "\\r"
                                          : NULL;
        if (escape != NULL)
            buf_puts(out, escape);
        else if (length == 0)
            buf_puts(out, "\xef\xbf\xbd");
        else if (*p < 0x20 || *p == 0x7f)
            buf_printf(out, "\\u%04x", *p);
        else
            buf_append(out, p, (size_t)length);
        p += length == 0 ? 1 : length;
    }
    buf_append(out, "\"", 1);
}

static void print_value(const cJSON *value, int indent, struct buf *out)
{
    if (cJSON_IsObject(value) || cJSON_IsArray(value)) {
        bool object = cJSON_IsObject(value);
        int inner = indent < 0 ? -1 : indent + 2;
        buf_puts(out, object ? "{" : "[");
        for (const cJSON *child = value->child; child != NULL; child = child->next) {
            if (child != value->child)
                buf_puts(out, indent < 0 ? ", " : ",");
            if (indent >= 0)
                buf_printf(out, "\n%*s", inner, "");
            if (object) {
                json_print_string(child->string != NULL ? child->string : "", out);
                buf_puts(out, ": ");
            }
            print_value(child, inner, out);
        }
        if (indent >= 0 && value->child != NULL)
            buf_printf(out, "\n%*s", indent, "");
        buf_puts(out, object ? "}" : "]");
    } else if (cJSON_IsString(value)) {
        json_print_string(value->valuestring != NULL ? value->valuestring : "", out);
    } else if (cJSON_IsRaw(value)) {
        buf_puts(out, value->valuestring != NULL ? value->valuestring : "null");
    } else if (cJSON_IsNumber(value) && isfinite(value->valuedouble)) {
        char text[32];
        double x = value->valuedouble;
        if (x == floor(x) && fabs(x) <= 0x1p53)
            snprintf(text, sizeof text, "%lld", (long long)x);
        else
            str_from_f64(x, text, sizeof text);
        buf_puts(out, text);
    } else {
        buf_puts(out, cJSON_IsTrue(value) ? "true" : cJSON_IsFalse(value) ? "false" : "null");
    }
}

struct cJSON *json_u64(uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    return cJSON_CreateRaw(text);
}

void json_print(const struct cJSON *value, bool indented, struct buf *out)
{
    print_value(value, indented ? 0 : -1, out);
}
