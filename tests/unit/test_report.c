/* report: text that is escaped, numbers of a fixed form, ticks, figures and pages that are
 * well-formed whatever the files say, and files that are broken. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "base/file.h"
#include "base/str.h"
#include "report/page.h"
#include "report/report.h"
#include "report/text.h"
#include "scratch.h"
#include "train/run_folder.h"

/* ---- well-formed XML, strictly enough: tags that close in order, quoted attributes, known
 * entities, UTF-8 without controls; nothing that runs or loads ---- */

static void check_entity(const char *p)
{
    static const char *const known[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;", NULL};
    for (int i = 0; known[i]; i++)
        if (strncmp(p, known[i], strlen(known[i])) == 0)
            return;
    fail_msg("a bare ampersand: %.40s", p);
}

static const char *check_tag(const char *p, char stack[][32], int *depth)
{
    bool closing = p[1] == '/';
    const char *name = p + 1 + closing;
    size_t length = strcspn(name, " />\n");
    assert_true(length > 0 && length < 32);
    p = name + length;
    while (*p && *p != '>' && *p != '/') {
        if (*p == ' ' || *p == '\n') {
            p++;
            continue;
        }
        p += strcspn(p, "= >");
        if (strncmp(p, "=\"", 2) != 0)
            fail_msg("an attribute without quotes: %.40s", p);
        for (p += 2; *p != '"'; p++) {
            assert_true(*p && *p != '<');
            if (*p == '&')
                check_entity(p);
        }
        p++;
    }
    bool alone = *p == '/';
    p += alone;
    assert_int_equal(*p, '>');
    if (closing) {
        assert_true(*depth > 0);
        --*depth;
        if (strlen(stack[*depth]) != length || strncmp(stack[*depth], name, length) != 0)
            fail_msg("</%.*s> closes <%s>", (int)length, name, stack[*depth]);
    } else if (!alone) {
        assert_true(*depth < 63);
        snprintf(stack[*depth], 32, "%.*s", (int)length, name);
        ++*depth;
    }
    return p + 1;
}

static void check_xml(const char *text)
{
    static char stack[64][32];
    int depth = 0, elements = 0;
    const char *p = text;
    if (strncmp(p, "<!DOCTYPE html>\n", 16) == 0)
        p += 16;
    while (*p) {
        if (*p == '<') {
            p = check_tag(p, stack, &depth);
            elements++;
            continue;
        }
        if (*p == '&')
            check_entity(p);
        size_t bytes = str_utf8_length(p, strlen(p));
        assert_true(bytes > 0 && (*p == '\n' || (unsigned char)*p >= 0x20));
        p += bytes;
    }
    assert_int_equal(depth, 0);
    assert_true(elements > 0);
    static const char *const never[] = {"<script", "<img", "<iframe", "src=",
                                        "@import", "url(", NULL};
    for (int i = 0; never[i]; i++)
        if (strstr(text, never[i]))
            fail_msg("there is %s", never[i]);
}

/* ---- text ---- */

static void test_escape(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"<b>&\"'\n\t", "&lt;b&gt;&amp;&quot;&#39;  "},
        {"\xc3\xa4\xe2\x82\xac", "\xc3\xa4\xe2\x82\xac"},
        {"a\x01\x7f", "a\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xff\xc3", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xe2\x80\xae", "\xef\xbf\xbd"}, /* right-to-left override */
        {"\xef\xbf\xbf", "\xef\xbf\xbd"}, /* no character */
        {"\xc2\x85", "\xef\xbf\xbd"},     /* a control of two bytes */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf out;
        buf_init(&out, 0);
        text_escape(&out, cases[i][0]);
        assert_string_equal(out.data, cases[i][1]);
        buf_free(&out);
    }
    struct buf out;
    buf_init(&out, 0);
    text_escape_short(&out, "<\xc3\xa4 fghij", 4);
    assert_string_equal(out.data, "&lt;\xc3\xa4 \xe2\x80\xa6");
    assert_int_equal(text_length("<\xc3\xa4 \xff"), 4);
    buf_free(&out);
}

static void test_numbers(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 0);
#define SHOWS(call, text)                                                                          \
    do {                                                                                           \
        buf_clear(&out);                                                                           \
        call;                                                                                      \
        assert_string_equal(out.data, text);                                                       \
    } while (0)
    SHOWS(text_fixed(&out, 0.92345, 4), "0.9235");
    SHOWS(text_fixed(&out, -0.04, 1), "0.0");
    SHOWS(text_fixed(&out, -12.5, 1), "-12.5");
    SHOWS(text_fixed(&out, NAN, 2), "-");
    SHOWS(text_fixed(&out, 1e300, 2), "1e+300");
    SHOWS(text_short(&out, 12.50, 2), "12.5");
    SHOWS(text_short(&out, 100, 2), "100");
    SHOWS(text_decimal(&out, 5, -2), "0.05");
    SHOWS(text_decimal(&out, 0, -1), "0.0");
    SHOWS(text_decimal(&out, 125, -2), "1.25");
    SHOWS(text_decimal(&out, 2, 3), "2000");
    SHOWS(text_decimal(&out, 20, -6), "2e\xe2\x88\x92"
                                      "5");
    SHOWS(text_decimal(&out, -15, 7), "\xe2\x88\x92"
                                      "1.5e8");
    SHOWS(text_count(&out, 21388), "21\xe2\x80\x89"
                                   "388");
    SHOWS(text_count(&out, -100), "-100");
    SHOWS(text_number(&out, 0.5), "0.5");
    SHOWS(text_number(&out, 0.00012344), "1.234e\xe2\x88\x92"
                                         "4");
    buf_free(&out);
#undef SHOWS
}

static void test_ticks(void **state)
{
    (void)state;
    struct ticks t = ticks_make(0, 1, 5, false);
    assert_int_equal(t.count, 6); /* 0, 0.2 .. 1.0 */
    assert_int_equal(t.exponent, -1);
    assert_int_equal(t.mantissa[1], 2);
    assert_int_equal(t.mantissa[5], 10);
    t = ticks_make(-3.2, 7.9, 12, true);
    assert_int_equal(t.count, 11); /* -3 .. 7 */
    assert_int_equal(t.mantissa[0], -3);
    t = ticks_make(0, 3, 12, true); /* whole numbers only */
    assert_int_equal(t.count, 4);
    t = ticks_make(0.55, 0.69, 3, false);
    assert_int_equal(t.count, 3); /* 0.55, 0.60, 0.65 */
    assert_int_equal(t.mantissa[1], 60);
    assert_int_equal(ticks_make(1, 1, 5, false).count, 0);
    assert_int_equal(ticks_make(0, INFINITY, 5, false).count, 0);
    assert_int_equal(ticks_make(1e20, 1e20 + 1e5, 5, false).count, 0);
}

/* ---- figures ---- */

static void draw(const struct figure *f, struct buf *out)
{
    buf_init(out, 0);
    figure_draw(f, true, out);
    assert_false(out->failed);
    check_xml(out->data);
}

static void test_figure(void **state)
{
    (void)state;
    static const double x[] = {1, 2, 3, 4}, y[] = {1, NAN, 4, 3}, low[] = {0, 0, 3, 2},
                        huge[] = {-1e308, 1e308, INFINITY, 1};
    static const char *const hostile[] = {"</svg><script>", "\"&", "\xff", "x"};
    struct arena a;
    arena_init(&a, "test", 0);
    for (int kind = 0; kind <= MARK_MOMENT; kind++)
        for (int with_log = 0; with_log < 2; with_log++) {
            struct figure f = {.title = hostile[0], .width = 300, .height = 200};
            struct panel *p = figure_add_panel(&f, &a);
            p->width = 250;
            p->height = 190;
            p->title = p->note = hostile[0];
            p->chart.x.label = p->chart.y.label = hostile[1];
            p->chart.y.logarithmic = with_log;
            for (int s = 0; s < 3; s++) {
                struct series *series = chart_add(&p->chart, &a, (enum mark)kind, s - 1);
                series->name = hostile[s];
                series->x = x;
                series->y = s == 2 ? huge : y;
                series->low = low;
                series->high = y;
                series->count = s == 1 ? 0 : 4;
                series->dots = true;
                series->point_names = hostile;
                series->width = 1;
            }
            p->legend_width = legend_width(&p->chart);
            struct buf out, again;
            draw(&f, &out);
            draw(&f, &again);
            assert_string_equal(out.data, again.data);
            assert_null(strstr(out.data, "nan"));
            assert_null(strstr(out.data, "inf"));
            buf_free(&out);
            buf_free(&again);
        }
    arena_reset(&a);
}

/* A line of a million points is as long as what can be seen of it, and keeps its peak. */
static void test_dense_line(void **state)
{
    (void)state;
    enum { N = 1000000 };
    double *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y);
    for (int i = 0; i < N; i++) {
        x[i] = i;
        y[i] = i % 7;
    }
    y[N / 2] = 100;
    struct arena a;
    arena_init(&a, "test", 0);
    struct figure f = {.title = "dense", .width = 400, .height = 200};
    struct panel *p = figure_add_panel(&f, &a);
    p->width = 400;
    p->height = 200;
    p->chart.y.low = 0;
    p->chart.y.high = 100;
    struct series *s = chart_add(&p->chart, &a, MARK_LINE, 0);
    s->x = x;
    s->y = y;
    s->count = N;
    struct buf out;
    draw(&f, &out);
    assert_true(out.len < 60000);
    assert_non_null(strstr(out.data, " 8L")); /* the peak, at the top of the plot */
    buf_free(&out);
    arena_reset(&a);
    free(x);
    free(y);
}

/* ---- run folders ---- */

static void put_bytes(const char *folder, const char *name, const char *text, size_t size)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_true(file && fwrite(text, 1, size, file) == size && fclose(file) == 0);
}

static void put_file(const char *folder, const char *name, const char *text)
{
    put_bytes(folder, name, text, strlen(text));
}

static bool has(const char *folder, const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return file_exists(path);
}

static struct buf get_file(const char *folder, const char *name)
{
    char path[1024];
    struct buf out;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(file_read(path, 0, &out, NULL), ERR_OK);
    return out;
}

static void assert_says(const struct buf *page, const char *text)
{
    if (!strstr(page->data, text))
        fail_msg("the page does not say: %s", text);
}

static const char predictions[] = "id,fold,patient,y_<b>,\"y_a,\"\"\",p_<b>,\"p_a,\"\"\"\n"
                                  "</html>,1,,1,0,0.9,0.2\nr2,1,,0,1,0.4,0.6\n"
                                  "r3,1,,1,1,0.8,0.1\nr4,1,,0,0,0.1,0.3\n";

static void put_run(const char *folder)
{
    put_file(
        folder, "config.json",
        "{\"command\": \"finetune\", \"version\": \"<9>\", \"data\": {\"title\": \"T & U\", "
        "\"synthetic\": true, \"records\": 12345}, \"options\": {\"lr\": {\"value\": 0.25, "
        "\"source\": \"flag\"}, \"beta1\": {\"value\": 0.9, \"source\": \"default\"}, \"out\": "
        "{\"value\": \"secret\", \"source\": \"flag\"}}}\n");
    put_file(folder, "metrics.json",
             "{\"n\": 4, \"macro_auroc\": 0.75, \"macro_auroc_ci\": [0.5, 1], \"threshold\": 0.5, "
             "\"classes\": [{\"name\": \"<b>\", \"code\": \"&\", \"n\": 4, \"auroc\": 1}], "
             "\"undefined\": [{\"name\": \"<u>\", \"reason\": \"r\"}], \"task\": \"super\", "
             "\"subgroups\": [{\"variable\": \"sex\", \"group\": \"<f>\", \"metrics\": {\"n\": 2, "
             "\"macro_auroc\": null}}], \"best_epoch\": 2}\n");
    put_file(folder, "metrics.jsonl",
             "{\"step\": 1, \"epoch\": 0.5, \"loss\": 2, \"<i>\": 3, \"lr\": 0.1}\n"
             "{\"step\": 2, \"epoch\": 1, \"loss\": null, \"lr\": 0.1, \"validation_x\": 0.5}\n"
             "{\"step\": 3, \"epoch\": 1.5, \"loss\": 1e300, \"lr\": 0.1}\n{\"step\": 4, \"ep");
    put_file(folder, "predictions.csv", predictions);
    put_file(folder, "quarantine.csv", "id,code,reason\n<x>,signal,<y>\n");
}

static void test_page(void **state)
{
    (void)state;
    char *folder = scratch_make();
    int broken = -1;
    put_run(folder);
    assert_int_equal(report_write(folder, &broken, NULL), ERR_OK);
    assert_int_equal(broken, 0);
    struct buf page = get_file(folder, "report.html");
    check_xml(page.data);
    assert_says(&page, "<h1>finetune: super</h1>");
    assert_says(&page, "macro AUROC <b>0.7500</b>");
    assert_says(&page, "(0.5000 to 1.0000)");
    assert_says(&page, "SYNTHETIC DATA");
    assert_says(&page, "For research");
    assert_says(&page, "averages: &lt;u&gt; (r).");
    assert_says(&page,
                "<td class=\"x\">&lt;f&gt;</td><td class=\"n\">2</td><td class=\"n\">-</td>");
    assert_says(&page, "T &amp; U");
    assert_says(&page, "&lt;b&gt;");
    assert_says(&page, "&lt;9&gt;");
    assert_says(&page, "<code>lr</code></td><td class=\"x\">0.25</td><td>flag");
    assert_says(&page, "<td class=\"x\">&lt;x&gt;</td>");
    assert_null(strstr(page.data, "secret")); /* where it lies is no part of it */
    static const char *const drawn[] = {"learning",    "terms",     "roc",    "precision_recall",
                                        "reliability", "confusion", "called", NULL};
    for (int i = 0; drawn[i]; i++) {
        char name[64];
        snprintf(name, sizeof name, "plots/%s.svg", drawn[i]);
        assert_says(&page, name);
        struct buf svg = get_file(folder, name);
        check_xml(svg.data);
        buf_free(&svg);
    }
    assert_false(has(folder, "plots/values.svg"));

    /* the same files, the same bytes */
    assert_int_equal(report_write(folder, &broken, NULL), ERR_OK);
    struct buf again = get_file(folder, "report.html");
    assert_string_equal(page.data, again.data);
    buf_free(&again);
    buf_free(&page);
    scratch_remove(folder);
    free(folder);
}

/* What is broken is left out and said; what is gone takes its plots with it. */
static void test_broken(void **state)
{
    (void)state;
    char *folder = scratch_make();
    int broken = -1;
    put_run(folder);
    assert_int_equal(report_write(folder, &broken, NULL), ERR_OK);
    put_file(folder, "metrics.jsonl", "{\"step\": 1, \"loss\": 2}\n{\"step\": 2, <oops>}\n");
    put_file(folder, "predictions.csv", "id,fold,patient,y_a,p_a\nr1,1,,1,0.5\nr2,1,,2,0.5\n");
    put_file(folder, "quarantine.csv", "id\nx,y\n");
    put_file(folder, "metrics.json", "[1, 2]");
    assert_int_equal(report_write(folder, &broken, NULL), ERR_OK);
    assert_int_equal(broken, 4);
    struct buf page = get_file(folder, "report.html");
    check_xml(page.data);
    assert_says(&page, "<code>metrics.jsonl</code> cannot be read");
    assert_says(&page, "line 2");
    assert_says(&page, "<code>predictions.csv</code> cannot be read");
    assert_says(&page, "y_a is &quot;2&quot;");
    assert_null(strstr(page.data, "<svg"));
    assert_false(has(folder, "plots/roc.svg") || has(folder, "plots/learning.svg"));
    buf_free(&page);
    scratch_remove(folder);
    free(folder);
}

/* A short file must not ask for much memory: 64 columns by a line of three bytes each. */
static void test_many_lines(void **state)
{
    (void)state;
    enum { COLUMNS = 64, LINES = 300000 };
    char *folder = scratch_make();
    struct buf lines;
    buf_init(&lines, 0);
    for (int c = 0; c < COLUMNS; c++)
        buf_printf(&lines, "%s\"c%d\": 1", c ? ", " : "{", c);
    buf_puts(&lines, "}\n");
    for (int i = 1; i < LINES; i++)
        buf_puts(&lines, "{}\n");
    put_bytes(folder, "metrics.jsonl", lines.data, lines.len);
    int broken = 0;
    assert_int_equal(report_write(folder, &broken, NULL), ERR_OK);
    assert_int_equal(broken, 1);
    struct buf page = get_file(folder, "report.html");
    assert_says(&page, "300000 lines of more than 55 numbers");
    buf_free(&page);
    buf_free(&lines);
    scratch_remove(folder);
    free(folder);
}

static void test_no_run(void **state)
{
    (void)state;
    char *folder = scratch_make();
    struct err e = {0};
    assert_int_equal(report_write(folder, NULL, &e), ERR_NOT_FOUND);
    assert_non_null(strstr(e.message, "no run folder"));
    assert_false(has(folder, "report.html"));
    put_file(folder, "file", "");
    char path[1024];
    snprintf(path, sizeof path, "%s/file", folder);
    assert_int_equal(report_write(path, NULL, &e), ERR_NOT_FOUND);
    scratch_remove(folder);
    free(folder);
}

/* Estimates of values have their own columns and plots; a truth may be missing. */
static void test_values(void **state)
{
    (void)state;
    char *folder = scratch_make();
    int broken = -1;
    put_file(folder, "predictions.csv",
             "id,fold,patient,v_age,e_age\na,1,,50,52.5\nb,1,,,60\nc,1,,70,61\nd,1,,40,45\n");
    assert_int_equal(report_write(folder, &broken, NULL), ERR_OK);
    assert_int_equal(broken, 0);
    struct buf svg = get_file(folder, "plots/values.svg");
    check_xml(svg.data);
    assert_says(&svg, ">3 records<");
    assert_says(&svg, "mean -0.5, limits -15.1 to 14.1"); /* 2.5, -9, 5: deviation 7.467 */
    buf_free(&svg);
    put_file(folder, "predictions.csv", "id,fold,patient,v_age,e_sex\na,1,,50,52.5\n");
    assert_int_equal(report_write(folder, &broken, NULL), ERR_OK);
    assert_int_equal(broken, 1);
    scratch_remove(folder);
    free(folder);
}

/* A series: its table, the curve over the labels, and the pages of its runs; a name of a run that
 * leads elsewhere leads nowhere. */
static void test_series(void **state)
{
    (void)state;
    char *folder = scratch_make(), inner[600];
    int broken = -1;
    snprintf(inner, sizeof inner, "%s/run 1", folder);
    assert_int_equal(dir_create(inner, NULL), ERR_OK);
    put_run(inner);
    put_file(
        folder, "table.json",
        "{\"series\": \"finetune\", \"metric\": \"macro_auroc\", \"rows\": [\"1 %\", \"100 %\"], "
        "\"columns\": [\"<m>\"], \"cells\": [{\"row\": \"1 %\", \"column\": \"<m>\", \"task\": "
        "\"super\", \"method\": \"<m>\", \"fraction\": 0.01, \"value\": 0.7, \"low\": 0.6, "
        "\"high\": 0.8, \"text\": \".700(100)\"}, {\"row\": \"100 %\", \"column\": \"<m>\", "
        "\"task\": \"super\", \"method\": \"<m>\", \"fraction\": 1, \"value\": 0.9, \"low\": null, "
        "\"high\": null}], \"runs\": [{\"name\": \"run 1\", \"state\": \"done\", \"seed\": 3}, "
        "{\"name\": \"../x\", \"state\": \"done\"}, {\"name\": \"gone\", \"state\": \"failed\", "
        "\"reason\": \"<why>\"}], \"notes\": [\"a & b\"]}");
    assert_int_equal(report_write(folder, &broken, NULL), ERR_OK);
    assert_int_equal(broken, 0);
    struct buf page = get_file(folder, "report.html");
    check_xml(page.data);
    assert_says(&page, "<h1>finetune</h1>");
    assert_says(&page, "SYNTHETIC DATA");
    assert_says(&page, ">.700(100)</td>");
    assert_says(&page, ">0.9000</td>");
    assert_says(&page, "<a href=\"run%201/report.html\">run 1</a>");
    assert_says(&page, "failed: &lt;why&gt;");
    assert_says(&page, "a &amp; b");
    assert_null(strstr(page.data, "../x/report.html"));
    assert_true(has(folder, "plots/label_efficiency.svg"));
    assert_false(has(folder, "plots/comparison.svg"));
    assert_true(has(inner, "report.html") && has(inner, "plots/roc.svg"));
    buf_free(&page);
    scratch_remove(folder);
    free(folder);
}

/* Counts are those at the thresholds of the classes, which metrics.json gives one by one where they
 * differ. */
static void test_thresholds(void **state)
{
    (void)state;
    char *folder = scratch_make();
    put_run(folder);
    put_file(folder, "metrics.json",
             "{\"threshold\": null, \"classes\": [{\"name\": \"<b>\", \"threshold\": 0.05}, "
             "{\"name\": \"a,\\\"\", \"threshold\": 0.05}]}\n");
    assert_int_equal(report_write(folder, NULL, NULL), ERR_OK);
    struct buf page = get_file(folder, "plots/called.svg");
    assert_says(&page, "2 of 2 with &lt;b&gt; called &lt;b&gt;");
    assert_says(&page, "2 of 2 with a,&quot; called a,&quot;");
    buf_free(&page);
    scratch_remove(folder);
    free(folder);
}

/* A run that starts again takes every plot there can be with it. */
static void test_fresh(void **state)
{
    (void)state;
    char *folder = scratch_make(), name[64];
    struct run_folder run;
    put_run(folder);
    assert_int_equal(report_write(folder, NULL, NULL), ERR_OK);
    for (const struct plot *plot = plots; plot->name; plot++) {
        snprintf(name, sizeof name, "plots/%s.svg", plot->name);
        put_file(folder, name, "old");
    }
    put_file(folder, "table.json", "{}");
    put_file(folder, "table.csv", "run\n");
    put_file(folder, "table.md", "");
    assert_int_equal(run_folder_open(&run, folder, true, NULL), ERR_OK);
    run_folder_close(&run);
    assert_false(has(folder, "report.html"));
    assert_false(has(folder, "table.json") || has(folder, "table.csv") || has(folder, "table.md"));
    snprintf(name, sizeof name, "%s/plots", folder);
    assert_false(dir_exists(name));
    scratch_remove(folder);
    free(folder);
}

/* Every piece of a run's files cut away at any place: a page, or an error, never a crash. */
static void test_truncated(void **state)
{
    (void)state;
    static const char *const names[] = {"config.json", "metrics.json", "metrics.jsonl",
                                        "predictions.csv", "quarantine.csv"};
    char *folder = scratch_make();
    put_run(folder);
    for (int i = 0; i < 5; i++) {
        struct buf whole = get_file(folder, names[i]);
        for (size_t size = 0; size < whole.len; size += 7) {
            put_bytes(folder, names[i], whole.data, size);
            assert_int_equal(report_write(folder, NULL, NULL), ERR_OK);
            struct buf page = get_file(folder, "report.html");
            check_xml(page.data);
            buf_free(&page);
        }
        put_file(folder, names[i], whole.data);
        buf_free(&whole);
    }
    scratch_remove(folder);
    free(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escape),     cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_ticks),      cmocka_unit_test(test_figure),
        cmocka_unit_test(test_dense_line), cmocka_unit_test(test_page),
        cmocka_unit_test(test_broken),     cmocka_unit_test(test_many_lines),
        cmocka_unit_test(test_no_run),     cmocka_unit_test(test_values),
        cmocka_unit_test(test_thresholds), cmocka_unit_test(test_fresh),
        cmocka_unit_test(test_truncated),  cmocka_unit_test(test_series),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
