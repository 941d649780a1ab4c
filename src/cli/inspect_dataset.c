#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/file.h"
#include "base/named.h"
#include "base/pool.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/inspect.h"
#include "data/dataset.h"
#include "format/format.h"

#define KINDS_MAX 16 /* of rates and of lead counts that are told apart */
#define TASKS_MAX 16
#define NAMES_SHOWN 12 /* of sites and of devices, in text */

/* Gathering: each recording by itself, then all together in the order of the table */

/* What reading one recording told; filled by one thread. */
struct reading {
    enum err_code code;
    char *reason; /* why it cannot be read, or what was noticed; malloc */
    unsigned flags;
    double rate_hz;
    int64_t leads, samples, invalid, flat;
};

/* How often a value occurred. */
struct value_count {
    double value;
    int64_t count;
};

struct value_counts {
    int64_t kinds, other; /* other: after the first KINDS_MAX */
    struct value_count values[KINDS_MAX];
};

/* Least, middle and greatest of what is known. */
struct spread {
    int64_t known;
    double min, median, max;
};

/* How many records carry each text; the most frequent first. */
struct name_count {
    const char *name;
    int64_t count;
};

struct name_counts {
    int64_t kinds, unknown;
    struct name_count *names; /* [kinds] */
};

struct survey {
    struct invocation *call;
    struct manifest manifest;
    struct reading *readings; /* [count] */
    _Atomic int64_t done;

    int64_t read, unreadable, checksums_absent, invalid_records, flat_records;
    struct value_counts rates, leads;
    struct spread duration_s, age_years;
    int64_t very_old, age_unknown, sex[3], folds[11], fold_patients[11], patients;
    int64_t patients_unknown;
    struct name_counts sites, devices;
    int task_count;
    struct label_set tasks[TASKS_MAX];
    int shown; /* task whose classes are listed as text; -1: none */
};

static void reading_take(const struct ecg_record *record, struct reading *out)
{
    out->flags = record->flags;
    out->rate_hz = record->rate_hz;
    out->leads = record->lead_count;
    out->samples = record->sample_count;
    for (int64_t l = 0; l < record->lead_count; l++) {
        const float *x = record->samples + l * record->sample_count;
        bool is_flat = true;
        for (int64_t t = 0; t < record->sample_count; t++) {
            out->invalid += !ecg_sample_is_valid(x[t]);
            is_flat = is_flat && !(x[t] != x[0] && x[t] == x[t]);
        }
        out->flat += is_flat;
    }
    struct buf text;
    buf_init(&text, 1000);
    for (int i = 0; i < record->issue_count; i++)
        buf_printf(&text, "%s%s", i ? "; " : "", record->issues[i]);
    if (text.len > 0)
        out->reason = strdup(text.data);
    buf_free(&text);
}

static void record_survey(void *context, int64_t i)
{
    struct survey *s = context;
    struct reading *out = &s->readings[i];
    const struct read_options options = {.strict = inspect_options.strict};
    struct ecg_record record;
    struct err e = {0};
    out->code = manifest_entry_read(&s->manifest.entries[i], &options, &record, &e);
    if (out->code == ERR_OK) {
        reading_take(&record, out);
    } else {
        char text[1024];
        err_format(&e, text, sizeof text);
        out->reason = strdup(text);
    }
    ecg_record_free(&record);
    int64_t done = atomic_fetch_add(&s->done, 1) + 1;
    if (s->call->progress && done % 64 == 0) {
        char text[80];
        snprintf(text, sizeof text, "recording %" PRId64 " of %" PRId64, done, s->manifest.count);
        print_progress(s->call, text);
    }
}

static void value_add(struct value_counts *c, double value)
{
    for (int64_t i = 0; i < c->kinds; i++)
        if (c->values[i].value == value) {
            c->values[i].count++;
            return;
        }
    if (c->kinds == KINDS_MAX)
        c->other++;
    else
        c->values[c->kinds++] = (struct value_count){value, 1};
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static struct spread spread_of(double *values, int64_t count)
{
    struct spread s = {count, NAN, NAN, NAN};
    if (count == 0)
        return s;
    qsort(values, (size_t)count, sizeof *values, compare_doubles);
    s.min = values[0];
    s.max = values[count - 1];
    s.median = 0.5 * (values[(count - 1) / 2] + values[count / 2]);
    return s;
}

/* The name of what was noticed about a record that can be read; NULL if it is nothing to act on. */
static const char *notice_code(const struct reading *r)
{
    static const struct {
        unsigned flag;
        const char *code;
    } codes[] = {
        {RECORD_SHORT, "short"},
        {RECORD_CHECKSUM_MISMATCH, "checksum-mismatch"},
        {RECORD_INITIAL_MISMATCH, "initial-mismatch"},
        {RECORD_GAPS, "gaps"},
        {RECORD_DEFAULT_RATE, "default-rate"},
        {RECORD_DEFAULT_GAIN, "default-gain"},
    };
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (r->flags & codes[i].flag)
            return codes[i].code;
    return NULL;
}

/* Sums up the recordings and notes their problems. values: room for a number per record. */
static void readings_sum(struct survey *s, double *values)
{
    struct manifest *m = &s->manifest;
    int64_t durations = 0;
    for (int64_t i = 0; i < m->count; i++) {
        const struct reading *r = &s->readings[i];
        const char *id = m->entries[i].id, *notice = notice_code(r);
        if (r->code != ERR_OK) {
            s->unreadable++;
            manifest_problem_add(m, id, err_code_name(r->code), "%s",
                                 r->reason ? r->reason : "cannot be read");
            continue;
        }
        if (notice)
            manifest_problem_add(m, id, notice, "%s", r->reason ? r->reason : notice);
        if (r->flat > 0)
            manifest_problem_add(m, id, "flat-lead",
                                 "%" PRId64 " of %" PRId64 " leads hold one value at most", r->flat,
                                 r->leads);
        s->read++;
        s->checksums_absent += (r->flags & RECORD_CHECKSUM_ABSENT) != 0;
        s->invalid_records += r->invalid > 0;
        s->flat_records += r->flat > 0;
        value_add(&s->rates, r->rate_hz);
        value_add(&s->leads, (double)r->leads);
        if (r->rate_hz > 0.0)
            values[durations++] = (double)r->samples / r->rate_hz;
    }
    s->duration_s = spread_of(values, durations);
}

static int compare_patients(const void *a, const void *b)
{
    const struct manifest_entry *x = *(const struct manifest_entry *const *)a;
    const struct manifest_entry *y = *(const struct manifest_entry *const *)b;
    int order = strcmp(x->patient, y->patient);
    return order ? order : x->fold - y->fold;
}

/* Sums up who was recorded. sorted: room for a pointer per record. */
static void people_sum(struct survey *s, double *values, const struct manifest_entry **sorted)
{
    const struct manifest *m = &s->manifest;
    int64_t ages = 0, n = 0;
    for (int64_t i = 0; i < m->count; i++) {
        const struct manifest_entry *entry = &m->entries[i];
        s->folds[entry->fold]++;
        s->sex[entry->sex]++;
        if (isnan(entry->age_years))
            s->age_unknown++;
        else if (entry->age_years >= AGE_OPEN_YEARS)
            s->very_old++;
        else
            values[ages++] = entry->age_years;
        if (entry->patient)
            sorted[n++] = entry;
        else
            s->patients_unknown++;
    }
    s->age_years = spread_of(values, ages);
    qsort(sorted, (size_t)n, sizeof *sorted, compare_patients);
    for (int64_t i = 0; i < n; i++) {
        bool is_same = i > 0 && strcmp(sorted[i]->patient, sorted[i - 1]->patient) == 0;
        s->patients += !is_same;
        s->fold_patients[sorted[i]->fold] += !is_same || sorted[i]->fold != sorted[i - 1]->fold;
    }
}

static int compare_counts(const void *a, const void *b)
{
    const struct name_count *x = a, *y = b;
    return x->count != y->count ? (x->count < y->count) - (x->count > y->count)
                                : strcmp(x->name, y->name);
}

/* Counts n texts, which are sorted on the way. */
static enum err_code names_count(struct survey *s, const char **names, int64_t n,
                                 struct name_counts *out, struct err *e)
{
    out->unknown = s->manifest.count - n;
    out->names = arena_push_array(&s->manifest.arena, (size_t)n, sizeof *out->names);
    if (!out->names)
        FAIL(e, ERR_MEMORY, "out of memory");
    names_sort(names, n);
    for (int64_t i = 0; i < n; i++)
        if (i > 0 && strcmp(names[i], names[i - 1]) == 0)
            out->names[out->kinds - 1].count++;
        else
            out->names[out->kinds++] = (struct name_count){names[i], 1};
    qsort(out->names, (size_t)out->kinds, sizeof *out->names, compare_counts);
    return ERR_OK;
}

static enum err_code places_sum(struct survey *s, struct err *e)
{
    const struct manifest *m = &s->manifest;
    const char **names = calloc((size_t)m->count + 1, sizeof *names);
    int64_t n = 0;
    if (!names)
        FAIL(e, ERR_MEMORY, "%" PRId64 " records: out of memory", m->count);
    for (int64_t i = 0; i < m->count; i++)
        if (m->entries[i].site)
            names[n++] = m->entries[i].site;
    enum err_code code = names_count(s, names, n, &s->sites, e);
    n = 0;
    for (int64_t i = 0; i < m->count; i++)
        if (m->entries[i].device)
            names[n++] = m->entries[i].device;
    if (code == ERR_OK)
        code = names_count(s, names, n, &s->devices, e);
    free(names);
    return code;
}

static enum err_code tasks_read(struct survey *s, struct err *e)
{
    struct manifest *m = &s->manifest;
    s->shown = m->dataset->labels ? 0 : -1;
    if (inspect_options.task) {
        TRY(manifest_labels(m, inspect_options.task, &s->tasks[0], e));
        s->task_count = 1;
        return ERR_OK;
    }
    const char *const *tasks = manifest_tasks(m);
    for (int t = 0; tasks[t] && s->task_count < TASKS_MAX; t++) {
        /* A set in which nothing is labelled has no classes: that is worth saying, not a failure. */
        struct err why = {0};
        if (manifest_labels(m, tasks[t], &s->tasks[s->task_count], &why) == ERR_OK)
            s->task_count++;
        else
            manifest_problem_add(m, tasks[t], err_code_name(why.code), "%s", why.message);
    }
    if (s->task_count == 0)
        s->shown = -1;
    return ERR_OK;
}

static enum err_code survey_make(struct survey *s, const char *path, struct err *e)
{
    const struct manifest_options options = {.rate_hz = inspect_options.rate};
    TRY(manifest_open(path, inspect_options.dataset, &options, &s->manifest, e));
    TRY(tasks_read(s, e));
    int64_t n = s->manifest.count;
    s->readings = calloc((size_t)n, sizeof *s->readings);
    double *values = calloc((size_t)n, sizeof *values);
    const struct manifest_entry **sorted = calloc((size_t)n, sizeof *sorted);
    enum err_code code = ERR_OK;
    if (s->readings && values && sorted) {
        pool_for(s->call->threads, n, record_survey, s);
        print_progress(s->call, NULL);
        readings_sum(s, values);
        people_sum(s, values, sorted);
        code = places_sum(s, e);
    } else {
        code = RAISE(e, ERR_MEMORY, "%" PRId64 " records: out of memory", n);
    }
    free(values);
    free(sorted);
    return code;
}

static void survey_free(struct survey *s)
{
    for (int64_t i = 0; s->readings && i < s->manifest.count; i++)
        free(s->readings[i].reason);
    free(s->readings);
    manifest_close(&s->manifest);
}

/* Records of class k, or with a known value k (or, with k -1, with any label) of a task in a split. */
static int64_t class_count(const struct survey *s, const struct label_set *set, int64_t k,
                           enum data_split split)
{
    int64_t n = 0;
    for (int64_t i = 0; i < s->manifest.count; i++)
        if (entry_in_split(&s->manifest.entries[i], split))
            n += k < 0                       ? set->labelled[i]
                 : set->kind == LABEL_VALUES ? !isnan(set->values[i * set->class_count + k])
                                             : set->targets[i * set->class_count + k];
    return n;
}

/* Text */

static void print_row(const char *name) { printf("%-12s", name); }

/* Text of a table: control characters do not get to a terminal. */
static int print_text(const char *text)
{
    for (const char *p = text; *p; p++)
        putchar((unsigned char)*p < ' ' || *p == 0x7f ? '?' : *p);
    return (int)strlen(text);
}

static void print_values(const struct value_counts *c, const char *unit)
{
    for (int64_t i = 0; i < c->kinds; i++) {
        char number[32];
        str_from_f64(c->values[i].value, number, sizeof number);
        printf("%s%s%s", i ? ", " : "", number, unit);
        if (c->kinds > 1)
            printf(" in %" PRId64, c->values[i].count);
    }
    if (c->other > 0)
        printf(", others in %" PRId64, c->other);
}

static void print_recordings(const struct survey *s)
{
    const struct manifest *m = &s->manifest;
    print_row("records");
    printf("%" PRId64, m->count);
    if (m->left_out > 0)
        printf(", %" PRId64 " more left out", m->left_out);
    if (s->unreadable > 0)
        printf(", %" PRId64 " of them cannot be read", s->unreadable);
    printf("\n");
    if (s->read == 0)
        return;
    print_row("rate");
    print_values(&s->rates, " Hz");
    printf("\n");
    print_row("leads");
    print_values(&s->leads, "");
    printf("\n");
    print_row("length");
    if (s->duration_s.min == s->duration_s.max)
        printf("%g s\n", s->duration_s.min);
    else
        printf("%g to %g s, median %g s\n", s->duration_s.min, s->duration_s.max,
               s->duration_s.median);
    if (s->checksums_absent + s->invalid_records + s->flat_records > 0) {
        print_row("signals");
        printf("%" PRId64 " records with invalid samples, %" PRId64 " with flat leads, %" PRId64
               " without a checksum\n",
               s->invalid_records, s->flat_records, s->checksums_absent);
    }
}

static void print_people(const struct survey *s)
{
    print_row("patients");
    if (s->patients == 0)
        printf("unknown\n");
    else if (s->patients_unknown > 0)
        printf("%" PRId64 "; unknown for %" PRId64 " records\n", s->patients, s->patients_unknown);
    else
        printf("%" PRId64 "\n", s->patients);
    print_row("age");
    if (s->age_years.known > 0)
        printf("%g to %g years, median %g; ", s->age_years.min, s->age_years.max,
               s->age_years.median);
    if (s->age_years.known + s->very_old == 0)
        printf("unknown\n");
    else {
        if (s->very_old > 0)
            printf("given as very old for %" PRId64 "; ", s->very_old);
        printf("unknown for %" PRId64 "\n", s->age_unknown);
    }
    print_row("sex");
    if (s->sex[SEX_UNKNOWN] == s->manifest.count) {
        printf("unknown\n");
        return;
    }
    printf("female %" PRId64 ", male %" PRId64 ", unknown %" PRId64 "\n", s->sex[SEX_FEMALE],
           s->sex[SEX_MALE], s->sex[SEX_UNKNOWN]);
}

static void print_names(const char *row, const struct name_counts *c)
{
    print_row(row);
    if (c->kinds == 0) {
        printf("unknown\n");
        return;
    }
    for (int64_t i = 0; i < c->kinds && i < NAMES_SHOWN; i++) {
        printf("%s", i ? ", " : "");
        print_text(c->names[i].name);
        printf(": %" PRId64, c->names[i].count);
    }
    if (c->kinds > NAMES_SHOWN)
        printf(", %" PRId64 " more", c->kinds - NAMES_SHOWN);
    if (c->unknown > 0)
        printf("; unknown for %" PRId64, c->unknown);
    printf("\n");
}

static void print_folds(const struct survey *s)
{
    print_row("folds");
    for (int fold = 1; fold <= 10; fold++)
        printf("%s%d: %" PRId64, fold > 1 ? "  " : "", fold, s->folds[fold]);
    printf("\n");
}

static void print_tasks(const struct survey *s)
{
    if (s->task_count == 0)
        return;
    printf("\n%-16s %8s %8s %10s %8s %8s\n", "task", "classes", "train", "validation", "test",
           "records");
    for (int t = 0; t < s->task_count; t++) {
        const struct label_set *set = &s->tasks[t];
        printf("%-16s %8" PRId64 " %8" PRId64 " %10" PRId64 " %8" PRId64 " %8" PRId64 "\n",
               set->task, set->class_count, class_count(s, set, -1, SPLIT_TRAIN),
               class_count(s, set, -1, SPLIT_VALIDATION), class_count(s, set, -1, SPLIT_TEST),
               class_count(s, set, -1, SPLIT_ALL));
    }
    if (s->shown < 0)
        return;
    const struct label_set *set = &s->tasks[s->shown];
    printf("\n%s of %-16s %8s %10s %8s %8s\n", set->kind == LABEL_VALUES ? "value" : "class",
           set->task, "train", "validation", "test", "records");
    for (int64_t k = 0; k < set->class_count; k++) {
        int width = print_text(set->class_names[k]);
        printf("%*s %8" PRId64 " %10" PRId64 " %8" PRId64 " %8" PRId64, width < 25 ? 25 - width : 0,
               "", class_count(s, set, k, SPLIT_TRAIN), class_count(s, set, k, SPLIT_VALIDATION),
               class_count(s, set, k, SPLIT_TEST), class_count(s, set, k, SPLIT_ALL));
        if (strcmp(set->class_titles[k], set->class_names[k]) != 0) {
            printf("  ");
            print_text(set->class_titles[k]);
        }
        printf("\n");
    }
}

static void print_problems(const struct manifest *m)
{
    printf("\nproblems: %" PRId64 "\n", m->problem_count);
    for (int64_t i = 0; i < m->problem_count; i++)
        printf("%s\t%s\t%s\n", m->problems[i].id, m->problems[i].code, m->problems[i].reason);
}

static void print_survey(const struct survey *s)
{
    const struct manifest *m = &s->manifest;
    printf("%s (%s)\n", m->title, m->dataset->name);
    print_row("folder");
    printf("%s\n", m->root);
    print_recordings(s);
    print_people(s);
    print_names("sites", &s->sites);
    print_names("devices", &s->devices);
    print_folds(s);
    if (m->label_note) {
        print_row("labels");
        print_text(m->label_note);
        printf("\n");
    }
    print_tasks(s);
    print_problems(m);
}

/* JSON */

static void add_count(cJSON *object, const char *name, int64_t value)
{
    cJSON_AddNumberToObject(object, name, (double)value);
}

static void add_spread(cJSON *object, const char *name, const struct spread *spread)
{
    cJSON *inner = cJSON_AddObjectToObject(object, name);
    add_count(inner, "known", spread->known);
    cJSON_AddNumberToObject(inner, "min", spread->min); /* NaN is printed as null */
    cJSON_AddNumberToObject(inner, "median", spread->median);
    cJSON_AddNumberToObject(inner, "max", spread->max);
}

static void add_values(cJSON *object, const char *name, const char *key,
                       const struct value_counts *counts)
{
    cJSON *array = cJSON_AddArrayToObject(object, name);
    for (int64_t i = 0; i < counts->kinds; i++) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddNumberToObject(item, key, counts->values[i].value);
        add_count(item, "records", counts->values[i].count);
        cJSON_AddItemToArray(array, item);
    }
    if (counts->other > 0) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddNullToObject(item, key);
        add_count(item, "records", counts->other);
        cJSON_AddItemToArray(array, item);
    }
}

static void add_splits(cJSON *object, const struct survey *s, const struct label_set *set,
                       int64_t k)
{
    add_count(object, "records", class_count(s, set, k, SPLIT_ALL));
    for (int split = SPLIT_TRAIN; split <= SPLIT_TEST; split++)
        add_count(object, split_name((enum data_split)split),
                  class_count(s, set, k, (enum data_split)split));
}

static void add_task(cJSON *tasks, const struct survey *s, const struct label_set *set)
{
    cJSON *task = cJSON_CreateObject();
    cJSON_AddStringToObject(task, "task", set->task);
    cJSON_AddStringToObject(task, "code_system", set->code_system);
    if (set->kind == LABEL_VALUES)
        cJSON_AddStringToObject(task, "kind", "values");
    if (set->unit)
        cJSON_AddStringToObject(task, "unit", set->unit);
    add_splits(task, s, set, -1);
    cJSON *classes = cJSON_AddArrayToObject(task, "classes");
    for (int64_t k = 0; k < set->class_count; k++) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "name", set->class_names[k]);
        cJSON_AddStringToObject(item, "code", set->class_codes[k]);
        cJSON_AddStringToObject(item, "title", set->class_titles[k]);
        add_splits(item, s, set, k);
        cJSON_AddItemToArray(classes, item);
    }
    cJSON_AddItemToArray(tasks, task);
}

static void add_names(cJSON *object, const char *list, const char *key, const struct name_counts *c)
{
    cJSON *array = cJSON_AddArrayToObject(object, list);
    for (int64_t i = 0; i < c->kinds; i++) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, key, c->names[i].name);
        add_count(item, "records", c->names[i].count);
        cJSON_AddItemToArray(array, item);
    }
}

static void add_people(cJSON *object, const struct survey *s)
{
    cJSON *patients = cJSON_AddObjectToObject(object, "patients");
    add_count(patients, "known", s->patients);
    add_count(patients, "records_without", s->patients_unknown);
    cJSON *sex = cJSON_AddObjectToObject(object, "sex");
    add_count(sex, "female", s->sex[SEX_FEMALE]);
    add_count(sex, "male", s->sex[SEX_MALE]);
    add_count(sex, "unknown", s->sex[SEX_UNKNOWN]);
    add_spread(object, "age_years", &s->age_years);
    cJSON *age = cJSON_GetObjectItemCaseSensitive(object, "age_years");
    add_count(age, "very_old", s->very_old);
    add_count(age, "unknown", s->age_unknown);
    add_names(object, "sites", "site", &s->sites);
    add_names(object, "devices", "device", &s->devices);
    cJSON *folds = cJSON_AddArrayToObject(object, "folds");
    for (int fold = 1; fold <= 10; fold++) {
        cJSON *item = cJSON_CreateObject();
        add_count(item, "fold", fold);
        add_count(item, "records", s->folds[fold]);
        add_count(item, "patients", s->fold_patients[fold]);
        cJSON_AddItemToArray(folds, item);
    }
}

static void print_survey_json(const struct survey *s)
{
    const struct manifest *m = &s->manifest;
    char hash[17];
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "path", m->root);
    cJSON_AddStringToObject(object, "kind", "dataset");
    cJSON_AddStringToObject(object, "dataset", m->dataset->name);
    cJSON_AddStringToObject(object, "title", m->title);
    cJSON_AddBoolToObject(object, "synthetic", m->synthetic);
    snprintf(hash, sizeof hash, "%016" PRIx64, m->hash);
    cJSON_AddStringToObject(object, "hash", hash);
    cJSON_AddStringToObject(object, "label_note", m->label_note ? m->label_note : "");
    add_count(object, "records", m->count);
    add_count(object, "left_out", m->left_out);
    add_count(object, "unreadable", s->unreadable);
    cJSON *signals = cJSON_AddObjectToObject(object, "signals");
    add_values(signals, "rates", "rate_hz", &s->rates);
    add_values(signals, "leads", "leads", &s->leads);
    add_spread(signals, "duration_s", &s->duration_s);
    add_count(signals, "records_with_invalid_samples", s->invalid_records);
    add_count(signals, "records_with_flat_leads", s->flat_records);
    add_count(signals, "records_without_checksum", s->checksums_absent);
    add_people(object, s);
    cJSON *tasks = cJSON_AddArrayToObject(object, "tasks");
    for (int t = 0; t < s->task_count; t++)
        add_task(tasks, s, &s->tasks[t]);
    cJSON *problems = cJSON_AddArrayToObject(object, "problems");
    for (int64_t i = 0; i < m->problem_count; i++) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "id", m->problems[i].id);
        cJSON_AddStringToObject(item, "code", m->problems[i].code);
        cJSON_AddStringToObject(item, "reason", m->problems[i].reason);
        cJSON_AddItemToArray(problems, item);
    }
    print_json(object, true);
    cJSON_Delete(object);
}

int inspect_dataset(struct invocation *call, const char *path, struct err *e)
{
    struct survey s = {.call = call};
    enum err_code code = survey_make(&s, path, e);
    int result = exit_code_of(code);
    if (code == ERR_OK) {
        if (inspect_options.json)
            print_survey_json(&s);
        else
            print_survey(&s);
        result = s.read == 0                              ? EXIT_ALL_REFUSED
                 : s.unreadable + s.manifest.left_out > 0 ? EXIT_SOME_REFUSED
                                                          : EXIT_FINE;
    }
    survey_free(&s);
    return result;
}
