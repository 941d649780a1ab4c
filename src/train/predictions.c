#include "train/predictions.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/named.h"
#include "base/shapes.h"
#include "base/str.h"
#include "format/csv.h"

#define FILE_MAX_BYTES ((size_t)4 << 30)
static const char *const fixed_columns[] = {"id", "fold", "patient"};
enum { FIXED_COUNT = 3 };

enum err_code predictions_init(struct predictions *p, int64_t count, int64_t class_count,
                               struct err *e)
{
    int64_t cells;
    memset(p, 0, sizeof *p);
    arena_init(&p->arena, "predictions", 0);
    p->count = count;
    p->class_count = class_count;
    if (!mul_i64(count, class_count, &cells))
        FAIL(e, ERR_LIMIT, "predictions of %lld records and %lld classes", (long long)count,
             (long long)class_count);
    p->ids = arena_push_array(&p->arena, (size_t)count, sizeof *p->ids);
    p->patients = arena_push_array(&p->arena, (size_t)count, sizeof *p->patients);
    p->folds = arena_push_array(&p->arena, (size_t)count, sizeof *p->folds);
    p->class_names = arena_push_array(&p->arena, (size_t)class_count, sizeof *p->class_names);
    p->class_codes = arena_push_array(&p->arena, (size_t)class_count, sizeof *p->class_codes);
    p->labels = arena_push_array(&p->arena, (size_t)cells, sizeof *p->labels);
    p->scores = arena_push_array(&p->arena, (size_t)cells, sizeof *p->scores);
    if (!p->ids || !p->patients || !p->folds || !p->class_names || !p->class_codes || !p->labels ||
        !p->scores)
        FAIL(e, ERR_MEMORY, "out of memory for predictions of %lld records and %lld classes",
             (long long)count, (long long)class_count);
    return ERR_OK;
}

void predictions_free(struct predictions *p)
{
    arena_reset(&p->arena);
    memset(p, 0, sizeof *p);
}

/* How the columns of labels and of scores begin, by kind. */
static const char *const label_marks[] = {[LABEL_CLASSES] = "y_", [LABEL_VALUES] = "v_"};
static const char *const score_marks[] = {[LABEL_CLASSES] = "p_", [LABEL_VALUES] = "e_"};

/* ---- writing ---- */

static void put_header(struct buf *out, const struct predictions *p)
{
    for (int i = 0; i < FIXED_COUNT; i++) {
        buf_puts(out, i ? "," : "");
        buf_puts(out, fixed_columns[i]);
    }
    struct buf name;
    buf_init(&name, 0);
    for (int64_t column = 0; column < 2 * p->class_count; column++) {
        buf_clear(&name);
        buf_puts(&name, column < p->class_count ? label_marks[p->kind] : score_marks[p->kind]);
        buf_puts(&name, p->class_names[column % p->class_count]);
        buf_puts(out, ",");
        if (name.failed)
            out->failed = true;
        else
            csv_put(out, name.data);
    }
    buf_free(&name);
    buf_puts(out, "\n");
}

/* All scores are float32 numbers. */
static bool scores_are_f32(const struct predictions *p)
{
    for (int64_t i = 0; i < p->count * p->class_count; i++)
        if ((double)(float)p->scores[i] != p->scores[i])
            return false;
    return true;
}

static void put_record(struct buf *out, const struct predictions *p, int64_t i, bool f32)
{
    char score[32];
    csv_put(out, p->ids[i]);
    buf_puts(out, ",");
    if (p->folds[i])
        buf_printf(out, "%d", p->folds[i]);
    buf_puts(out, ",");
    csv_put(out, p->patients[i] ? p->patients[i] : "");
    for (int64_t k = 0; k < p->class_count; k++) {
        buf_puts(out, ",");
        if (isnan(p->labels[i * p->class_count + k]))
            continue;
        str_from_f32(p->labels[i * p->class_count + k], score, sizeof score);
        buf_puts(out, score);
    }
    for (int64_t k = 0; k < p->class_count; k++) {
        double value = p->scores[i * p->class_count + k];
        if (f32)
            str_from_f32((float)value, score, sizeof score);
        else
            str_from_f64(value, score, sizeof score);
        buf_puts(out, ",");
        buf_puts(out, score);
    }
    buf_puts(out, "\n");
}

enum err_code predictions_write(const struct predictions *p, const char *path, struct err *e)
{
    struct file_writer writer;
    struct buf line;
    bool f32 = scores_are_f32(p);
    TRY(file_writer_open(&writer, path, e));
    buf_init(&line, 0);
    put_header(&line, p);
    for (int64_t i = 0; i < p->count && !line.failed; i++) {
        file_writer_write(&writer, line.data, line.len);
        buf_clear(&line);
        put_record(&line, p, i, f32);
    }
    enum err_code code;
    if (line.failed) {
        file_writer_abandon(&writer);
        code = RAISE(e, ERR_MEMORY, "%s: out of memory", path);
    } else {
        file_writer_write(&writer, line.data, line.len);
        code = file_writer_commit(&writer, e);
    }
    buf_free(&line);
    return code;
}

/* ---- reading ---- */

static enum err_code check_distinct(const char *what, const char *const *texts, int64_t count,
                                    struct err *e)
{
    const char **sorted = malloc((size_t)count * sizeof *sorted);
    if (!sorted)
        FAIL(e, ERR_MEMORY, "out of memory for %lld names", (long long)count);
    memcpy(sorted, texts, (size_t)count * sizeof *sorted);
    const char *twice = names_twice(sorted, count);
    free(sorted);
    if (twice)
        FAIL(e, ERR_FORMAT, "%s \"%.100s\" occurs twice", what, twice);
    return ERR_OK;
}

enum err_code predictions_check_names(const struct predictions *p, struct err *e)
{
    TRY(check_distinct("class", p->class_names, p->class_count, e));
    return check_distinct("id", p->ids, p->count, e);
}

static enum err_code read_header(const struct csv *csv, struct predictions *p, struct err *e)
{
    p->kind = str_starts_with(csv->header[FIXED_COUNT], "v_") ? LABEL_VALUES : LABEL_CLASSES;
    for (int i = 0; i < FIXED_COUNT; i++)
        if (strcmp(csv->header[i], fixed_columns[i]) != 0)
            FAIL(e, ERR_FORMAT, "line 1: column %d is \"%.60s\", expected \"%s\"", i + 1,
                 csv->header[i], fixed_columns[i]);
    for (int64_t k = 0; k < p->class_count; k++) {
        const char *label = csv->header[FIXED_COUNT + k];
        const char *score = csv->header[FIXED_COUNT + p->class_count + k];
        if (!str_starts_with(label, label_marks[p->kind]))
            FAIL(e, ERR_FORMAT, "line 1: column %lld is \"%.60s\", expected %s and a %s",
                 (long long)(FIXED_COUNT + k + 1), label, label_marks[p->kind],
                 p->kind == LABEL_VALUES ? "value" : "class");
        if (!str_starts_with(score, score_marks[p->kind]) || strcmp(score + 2, label + 2) != 0)
            FAIL(e, ERR_FORMAT, "line 1: column %lld is \"%.60s\", expected \"%s%.60s\"",
                 (long long)(FIXED_COUNT + p->class_count + k + 1), score, score_marks[p->kind],
                 label + 2);
        char *name = arena_strdup(&p->arena, label + 2);
        if (!name)
            FAIL(e, ERR_MEMORY, "out of memory");
        p->class_names[k] = str_clean(name);
    }
    return check_distinct("class", p->class_names, p->class_count, e);
}

/* The text is the shortest of a float32. */
static bool is_f32_text(const char *text, double value)
{
    char shortest[32];
    str_from_f32((float)value, shortest, sizeof shortest);
    return strcmp(text, shortest) == 0;
}

/* *f32 stays true while all scores are told as float32. */
static enum err_code read_record(const struct csv *csv, int64_t row, struct predictions *p,
                                 bool *f32, struct err *e)
{
    const char *const *cells = csv->cells + row * csv->column_count;
    long long line = csv->lines[row];
    p->ids[row] = arena_strdup(&p->arena, cells[0]);
    if (cells[2][0])
        p->patients[row] = arena_strdup(&p->arena, cells[2]);
    if (!p->ids[row] || (cells[2][0] && !p->patients[row]))
        FAIL(e, ERR_MEMORY, "out of memory");
    if (!cells[0][0])
        FAIL(e, ERR_FORMAT, "line %lld: the id is empty", line);

    int64_t fold = 0;
    if (cells[1][0] && (!str_to_i64(cells[1], &fold) || fold < 0 || fold > 1000000))
        FAIL(e, ERR_FORMAT, "line %lld: fold is \"%.40s\", expected a whole number", line,
             cells[1]);
    p->folds[row] = (int)fold;
    for (int64_t k = 0; k < p->class_count; k++) {
        const char *label = cells[FIXED_COUNT + k];
        const char *text = cells[FIXED_COUNT + p->class_count + k];
        bool is_bit = (label[0] == '0' || label[0] == '1') && !label[1];
        double score, truth = NAN;
        if (label[0] && (p->kind == LABEL_CLASSES
                             ? !is_bit
                             : !str_to_f64(label, false, &truth) || !isfinite((float)truth)))
            FAIL(e, ERR_FORMAT, "line %lld: %s%.60s is \"%.40s\", expected %s", line,
                 label_marks[p->kind], p->class_names[k], label,
                 p->kind == LABEL_VALUES ? "a finite number" : "0 or 1");
        if (!str_to_f64(text, false, &score) || !isfinite((float)score))
            FAIL(e, ERR_FORMAT, "line %lld: %s%.60s is \"%.40s\", expected a finite number", line,
                 score_marks[p->kind], p->class_names[k], text);
        p->labels[row * p->class_count + k] =
            is_bit && p->kind == LABEL_CLASSES ? (float)(label[0] == '1') : (float)truth;
        p->scores[row * p->class_count + k] = score;
        *f32 = *f32 && is_f32_text(text, score);
    }
    return ERR_OK;
}

static enum err_code read_table(const struct csv *csv, struct predictions *p, struct err *e)
{
    int64_t class_columns = csv->column_count - FIXED_COUNT;
    if (class_columns < 2 || class_columns % 2)
        FAIL(e, ERR_FORMAT,
             "line 1: %lld columns, expected id, fold, patient, and y_ and p_ for each class",
             (long long)csv->column_count);
    if (csv->row_count == 0)
        FAIL(e, ERR_FORMAT, "no record below the header");
    TRY(predictions_init(p, csv->row_count, class_columns / 2, e));
    TRY(read_header(csv, p, e));
    bool f32 = true;
    for (int64_t row = 0; row < p->count; row++)
        TRY(read_record(csv, row, p, &f32, e));
    for (int64_t i = 0; f32 && i < p->count * p->class_count; i++)
        p->scores[i] = (double)(float)p->scores[i];
    return check_distinct("id", p->ids, p->count, e);
}

enum err_code predictions_read(const char *path, struct predictions *out, struct err *e)
{
    struct csv csv;
    memset(out, 0, sizeof *out);
    enum err_code code = csv_read(path, FILE_MAX_BYTES, &csv, e);
    if (code == ERR_OK) {
        code = read_table(&csv, out, e);
        if (code != ERR_OK)
            err_context(e, "reading predictions %s", path);
    }
    csv_free(&csv);
    return code;
}
