#include "train/challenge.h"

#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/str.h"
#include "format/csv.h"

#define MATRIX_MAX_BYTES ((size_t)16 << 20)
#define MATRIX_CLASSES_MAX 512

/* ---- the matrix ---- */

/* One of the names in "a|b|c". */
static bool names_one(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = list; n && at; at = strchr(at, '|'), at = at ? at + 1 : NULL)
        if (strncmp(at, name, n) == 0 && (at[n] == '\0' || at[n] == '|'))
            return true;
    return false;
}

struct matrix {
    struct csv csv;
    struct challenge_matrix m;
    double *weights;
    int64_t *same; /* [C] the first class that it is one with, mostly itself */
};

static enum err_code matrix_check(struct matrix *x, const char *path, struct err *e)
{
    static const char *const normal[] = {"426783006", "NSR", "SNR"};
    int64_t C = x->m.class_count;
    for (int64_t j = 0; j < C; j++) {
        const char *name = x->csv.header[1 + j];
        if (strcmp(name, csv_cell(&x->csv, j, 0)) != 0)
            FAIL(e, ERR_FORMAT, "%s: row %lld is of \"%.60s\", column %lld of \"%.60s\"", path,
                 (long long)j + 1, csv_cell(&x->csv, j, 0), (long long)j + 1, name);
        for (int64_t k = 0; k < j; k++)
            if (strcmp(name, x->csv.header[1 + k]) == 0)
                FAIL(e, ERR_FORMAT, "%s: class \"%.60s\" occurs twice", path, name);
        for (int64_t k = 0; k < C; k++)
            if (!str_to_f64(csv_cell(&x->csv, j, 1 + k), false, &x->weights[j * C + k]))
                FAIL(e, ERR_FORMAT, "%s: the weight of \"%.60s\" for \"%.60s\" is \"%.40s\"", path,
                     x->csv.header[1 + k], name, csv_cell(&x->csv, j, 1 + k));
        for (int i = 0; i < 3; i++)
            if (names_one(name, normal[i]))
                x->m.normal = j;
    }
    for (int64_t j = 0; j < C; j++)
        for (int64_t k = x->same[j] = j; k-- > 0;)
            if (x->weights[j * C + k] == 1 && x->weights[k * C + j] == 1)
                x->same[j] = x->same[k];
    if (x->m.normal < 0)
        FAIL(e, ERR_FORMAT, "%s: no class is normal: 426783006, NSR or SNR", path);
    return ERR_OK;
}

static enum err_code matrix_read(struct matrix *x, const char *path, struct err *e)
{
    TRY(csv_read(path, MATRIX_MAX_BYTES, &x->csv, e));
    int64_t C = x->csv.row_count;
    if (C < 1 || x->csv.column_count != C + 1)
        FAIL(e, ERR_FORMAT, "%s: %lld rows and %lld columns are no weight matrix", path,
             (long long)C, (long long)x->csv.column_count);
    if (C > MATRIX_CLASSES_MAX)
        FAIL(e, ERR_LIMIT, "%s: more than %d classes", path, MATRIX_CLASSES_MAX);
    x->weights = calloc((size_t)(C * C), sizeof *x->weights);
    x->same = calloc((size_t)C, sizeof *x->same);
    x->m = (struct challenge_matrix){C, x->weights, -1};
    if (!x->weights || !x->same)
        FAIL(e, ERR_MEMORY, "%s: out of memory", path);
    return matrix_check(x, path, e);
}

static void matrix_free(struct matrix *x)
{
    csv_free(&x->csv);
    free(x->weights);
    free(x->same);
}

static int64_t matrix_place(const struct matrix *x, const char *name)
{
    for (int64_t j = 0; name && j < x->m.class_count; j++)
        if (names_one(x->csv.header[1 + j], name) || strcmp(x->csv.header[1 + j], name) == 0)
            return x->same[j];
    return -1;
}

/* ---- scores ---- */

static enum err_code score_matrix(struct challenge *c, const struct predictions *p,
                                  const struct score_table *t, const struct matrix *x,
                                  int64_t *place, const char *path, struct err *e)
{
    int64_t C = x->m.class_count;
    for (int64_t k = 0; k < p->class_count; k++) {
        place[k] = matrix_place(x, p->class_names[k]);
        if (place[k] < 0)
            place[k] = matrix_place(x, p->class_codes[k]);
        c->matched += place[k] >= 0;
    }
    c->left_out = p->class_count - c->matched;
    for (int64_t j = 0; j < C; j++) {
        if (x->same[j] != j)
            continue;
        int64_t k = 0;
        while (k < p->class_count && place[k] != j)
            k++;
        c->missing += k == p->class_count;
        c->matrix_count++;
    }
    if (c->matched == 0)
        FAIL(e, ERR_LABELS, "no class of the predictions, such as %.60s, is in %s",
             p->class_names[0], path);
    return challenge_compute(t, &x->m, place, &c->score, e);
}

static enum err_code score_2017(struct challenge *c, const struct predictions *p,
                                const struct score_table *t, struct err *e)
{
    static const char *const names[4] = {"N", "A", "O", "~"};
    int64_t chosen[4];
    for (int i = 0; i < 4; i++) {
        chosen[i] = -1;
        for (int64_t k = 0; k < p->class_count; k++)
            if (strcmp(p->class_names[k], names[i]) == 0)
                chosen[i] = k;
        if (i < 3 && chosen[i] < 0)
            FAIL(e, ERR_LABELS, "the F1 of the Challenge 2017 is over N, A and O: there is no %s",
                 names[i]);
    }
    c->f1 = cinc2017_f1(t, chosen, 3);
    c->f1_noisy = chosen[3] >= 0 ? cinc2017_f1(t, chosen, 4) : (double)NAN;
    return ERR_OK;
}

enum err_code challenge_make(struct challenge *c, const struct predictions *p, const char *which,
                             const double *thresholds, struct err *e)
{
    *c = (struct challenge){.of_2017 = strcmp(which, "cinc2017") == 0};
    size_t cells = (size_t)(p->count * p->class_count);
    uint8_t *labels = malloc(cells + 1);
    int64_t *place = calloc((size_t)p->class_count + 1, sizeof *place);
    struct matrix x = {.m.normal = -1};
    enum err_code code = ERR_OK;
    if (!labels || !place)
        code = RAISE(e, ERR_MEMORY, "out of memory for %lld records", (long long)p->count);
    for (size_t i = 0; i < cells && code == ERR_OK; i++) {
        labels[i] = p->labels[i] == 1;
        if (isnan(p->labels[i]))
            code =
                RAISE(e, ERR_LABELS, "record %.60s has labels that are not known: no Challenge has",
                      p->ids[(int64_t)i / p->class_count]);
    }
    const struct score_table t = {p->count, p->class_count, p->scores, labels, thresholds};
    if (code == ERR_OK && !c->of_2017)
        code = matrix_read(&x, which, e);
    if (code == ERR_OK)
        code = c->of_2017 ? score_2017(c, p, &t, e) : score_matrix(c, p, &t, &x, place, which, e);
    matrix_free(&x);
    free(labels);
    free(place);
    return code;
}

/* ---- values by name ---- */

struct value {
    const char *name;
    double value;
};

static int list_values(const struct challenge *c, struct value out[4])
{
    if (c->of_2017) {
        out[0] = (struct value){"cinc2017_f1", c->f1};
        out[1] = (struct value){"cinc2017_f1_noisy", c->f1_noisy};
        return 2;
    }
    out[0] = (struct value){"challenge_score", c->score.score};
    out[1] = (struct value){"challenge_observed", c->score.observed};
    out[2] = (struct value){"challenge_correct", c->score.correct};
    out[3] = (struct value){"challenge_inactive", c->score.inactive};
    return 4;
}

enum err_code challenge_value(const struct challenge *c, const char *name, double *out,
                              struct err *e)
{
    struct value list[4];
    int count = list_values(c, list);
    for (int i = 0; i < count; i++)
        if (strcmp(list[i].name, name) == 0) {
            *out = list[i].value;
            return ERR_OK;
        }
    FAIL(e, ERR_USAGE, "--challenge has no \"%.80s\" here; there is %s", name, list[0].name);
}

cJSON *challenge_to_json(const struct challenge *c)
{
    struct value list[4];
    int count = list_values(c, list);
    cJSON *json = cJSON_CreateObject();
    for (int i = 0; i < count; i++)
        cJSON_AddNumberToObject(json, list[i].name, list[i].value);
    if (!c->of_2017) {
        cJSON_AddNumberToObject(json, "classes_matched", (double)c->matched);
        cJSON_AddNumberToObject(json, "classes_left_out", (double)c->left_out);
        cJSON_AddNumberToObject(json, "classes_missing", (double)c->missing);
    }
    return json;
}
