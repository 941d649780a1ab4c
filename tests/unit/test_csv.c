/* format/csv: what RFC 4180 allows, what it does not, every truncation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/csv.h"

/* From a block of exactly the text's size, so that a sanitizer sees any step beyond it. */
static enum err_code parse(const char *text, size_t size, struct csv *csv, struct err *e)
{
    char *exact = malloc(size ? size : 1);
    memcpy(exact, text, size);
    enum err_code code = csv_parse(exact, size, "table", csv, e);
    free(exact);
    return code;
}

static const char sample[] = "\xEF\xBB\xBFid,\"two, words\",\"a \"\"b\"\"\"\r\n"
                             "1,\"line\none\",\r\n"
                             ",\"\", spaces kept \n"
                             "3,x,\"\"\"\"";

static void test_table(void **state)
{
    (void)state;
    struct csv csv;
    assert_int_equal(parse(sample, sizeof sample - 1, &csv, NULL), ERR_OK);
    assert_int_equal(csv.column_count, 3);
    assert_int_equal(csv.row_count, 3);
    static const char *const expected[4][3] = {{"id", "two, words", "a \"b\""},
                                               {"1", "line\none", ""},
                                               {"", "", " spaces kept "},
                                               {"3", "x", "\""}};
    for (int column = 0; column < 3; column++) {
        assert_string_equal(csv.header[column], expected[0][column]);
        for (int row = 0; row < 3; row++)
            assert_string_equal(csv_cell(&csv, row, column), expected[row + 1][column]);
    }
    assert_int_equal(csv.lines[0], 2);
    assert_int_equal(csv.lines[1], 4);
    assert_int_equal(csv.lines[2], 5);
    assert_int_equal(csv_column(&csv, "two, words"), 1);
    assert_int_equal(csv_column(&csv, "two"), -1);
    static const char *const some[] = {"record", "TWO, words", "id", NULL};
    assert_int_equal(csv_column_any(&csv, some), 1);
    assert_int_equal(csv_column_any(&csv, some + 2), 0);
    assert_int_equal(csv_column_any(&csv, some + 3), -1);
    csv_free(&csv);
    csv_free(&csv);
}

static void test_edges(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t rows, columns; /* -1: refused */
        const char *says;
    } cases[] = {
        {"a", 0, 1, NULL},
        {"a\n", 0, 1, NULL},
        {"a,b\n1,2\n\n\r\n\n", 1, 2, NULL},
        {"a,b\n1,\n", 1, 2, NULL},
        {"a\n\nx\n", 2, 1, NULL}, /* an empty field between */
        {"a\rb,c\n", 0, 2, NULL}, /* a lone CR is text */
        {"", -1, 0, "no header"},
        {"\n\n", -1, 0, "no header"},
        {"\xEF\xBB\xBF", -1, 0, "no header"},
        {"a,b\n1\n", -1, 0, "line 2: 1 fields, expected 2"},
        {"a,b\n1,2\n1,2,3\n", -1, 0, "line 3: 3 fields"},
        {"a,b\n\n1,2\n", -1, 0, "line 2: 1 fields"},
        {"a,\"b\n1,2\n", -1, 0, "line 1: a quoted field is not closed"},
        {"a,\"b\"c\n", -1, 0, "text after a closing quote"},
        {"a,b\"c\"\n", -1, 0, "a quote inside"},
        {"a,\"b\"\rc\n", -1, 0, "text after a closing quote"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct csv csv;
        struct err e = {0};
        enum err_code code = parse(cases[i].text, strlen(cases[i].text), &csv, &e);
        if (cases[i].rows < 0) {
            assert_int_equal(code, ERR_FORMAT);
            if (!strstr(e.message, cases[i].says))
                fail_msg("%s\ngave %s", cases[i].text, e.message);
        } else {
            assert_int_equal(code, ERR_OK);
            assert_int_equal(csv.row_count, cases[i].rows);
            assert_int_equal(csv.column_count, cases[i].columns);
        }
        csv_free(&csv);
    }
    struct csv csv;
    assert_int_equal(parse("a,b\n1,\0\n", 8, &csv, NULL), ERR_FORMAT);
    csv_free(&csv);
}

static void test_every_truncation(void **state)
{
    (void)state;
    for (size_t size = 0; size < sizeof sample - 1; size++) {
        struct csv csv;
        if (parse(sample, size, &csv, NULL) == ERR_OK)
            for (int64_t i = 0; i < csv.row_count * csv.column_count; i++)
                assert_true(strlen(csv.cells[i]) <= size);
        csv_free(&csv);
    }
}

static void test_written_fields_read_back(void **state)
{
    (void)state;
    static const char *const fields[] = {"plain",     "",           "a,b", "\"",
                                         "say \"x\"", "two\nlines", "\r",  " \xC3\xA9 "};
    enum { COUNT = sizeof fields / sizeof fields[0] };
    struct buf text;
    buf_init(&text, 0);
    for (int i = 0; i < COUNT; i++) {
        buf_puts(&text, i ? "," : "");
        csv_put(&text, fields[i]);
    }
    struct csv csv;
    assert_int_equal(parse(text.data, text.len, &csv, NULL), ERR_OK);
    assert_int_equal(csv.column_count, COUNT);
    for (int i = 0; i < COUNT; i++)
        assert_string_equal(csv.header[i], fields[i]);
    csv_free(&csv);
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_written_fields_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
