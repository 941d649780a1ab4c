/* ecgfm eval: predictions against labels, as a table, as JSON, and as an exit code. */
#include <math.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "cli/command.h"
#include "data/dataset.h"
#include "train/evaluation.h"
#include "train/predictions.h"
#include "train/scores.h"

#define REQUIREMENTS_MAX 64

struct eval_options {
    const char *predictions;
    const char *scores;
    const char *data;
    const char *dataset;
    const char *task;
    const char *split;
    double rate;
    const char *require;
    int64_t bootstrap;
    const char *out;
    bool json;
};

static struct eval_options values;

static const struct option rows[] = {
    OPT_TEXT(eval_options, predictions, NULL, "FILE", "predictions.csv of probe or finetune"),
    OPT_TEXT(eval_options, scores, NULL, "FILE",
             "JSON Lines of infer, instead of predictions; the labels come from --data"),
    OPT_TEXT(eval_options, data, NULL, "DIR", "data set with the labels of the scored records"),
    OPT_TEXT(eval_options, dataset, NULL, "KIND", "kind of data set, where it is not recognized"),
    OPT_TEXT(eval_options, task, NULL, "TASK", "labels to compare with (default: the data set's)"),
    OPT_CHOICE(eval_options, split, "test", "train|validation|test|all",
               "records that count; scores of others are left aside"),
    OPT_FLOAT(eval_options, rate, "0", 0, 1e6, "Hz",
              "files that were scored, where a data set has several rates; 0: its default"),
    OPT_LIST(eval_options, require, "METRIC>=X",
             "exit with 1 unless this holds (also <=, > and <), such as macro_auroc>=0.8 or "
             "auroc.NORM>0.9"),
    OPT_INT(eval_options, bootstrap, "1000", 0, 1000000, "draws",
            "draws for the 95 % intervals; 0: none"),
    OPT_TEXT(eval_options, out, NULL, "FILE", "also write metrics.json here"),
    OPT_BOOL(eval_options, json, "false", "JSON on standard output instead of the table"),
    OPTION_END,
};

static void eval_register(struct option_set *set) { option_set_add(set, "", rows, &values); }

/* ---- requirements ---- */

struct requirement {
    const char *metric, *operation; /* ">=", "<=", ">", "<" */
    double bar, value;
    bool met;
};

/* Takes "metric>=x" apart, in place. */
static enum err_code requirement_parse(char *text, struct requirement *out, struct err *e)
{
    static const char *const operations[] = {">=", "<=", ">", "<"};
    char *at = NULL;
    for (char *p = text; *p != '\0'; p++) /* a class may be called "QRS > 120" */
        if (*p == '>' || *p == '<')
            at = p;
    if (at == NULL)
        FAIL(e, ERR_USAGE,
             "--require %s: expected a metric, one of >= <= > <, and a number, in quotes that keep "
             "the shell from reading > and <",
             text);
    for (int i = 3; i >= 0; i--)
        if (str_starts_with(at, operations[i]))
            out->operation = operations[i];
    char *number = str_trim(at + strlen(out->operation));
    if (!str_to_f64(number, false, &out->bar))
        FAIL(e, ERR_USAGE, "--require %s: \"%s\" is not a number", text, number);
    *at = '\0';
    out->metric = str_trim(text);
    return ERR_OK;
}

static enum err_code requirements_parse(struct arena *a, const char *list, struct requirement *out,
                                        int *count, struct err *e)
{
    *count = 0;
    while (list != NULL) {
        const char *comma = strchr(list, ',');
        size_t length = comma != NULL ? (size_t)(comma - list) : strlen(list);
        char *text = arena_strndup(a, list, length);
        if (text == NULL)
            FAIL(e, ERR_MEMORY, "out of memory");
        if (*count == REQUIREMENTS_MAX)
            FAIL(e, ERR_LIMIT, "more than %d requirements", REQUIREMENTS_MAX);
        TRY(requirement_parse(text, &out[(*count)++], e));
        list = comma != NULL ? comma + 1 : NULL;
    }
    return ERR_OK;
}

/* An undefined value meets nothing. */
static enum err_code requirement_check(struct requirement *r, const struct evaluation *ev,
                                       struct err *e)
{
    TRY(evaluation_value(ev, r->metric, &r->value, e));
    bool above = r->operation[0] == '>', or_equal = r->operation[1] == '=';
    r->met = (above ? r->value > r->bar : r->value < r->bar) || (or_equal && r->value == r->bar);
    return ERR_OK;
}

static void requirement_tell(const struct requirement *r)
{
    char value[32], bar[32];
    str_from_f64(r->value, value, sizeof value);
    str_from_f64(r->bar, bar, sizeof bar);
    log_message(r->met ? LOG_INFO : LOG_ERROR, "%s is %s, required %s %s%s", r->metric,
                isnan(r->value) ? "undefined" : value, r->operation, bar, r->met ? ": met" : "");
}

static cJSON *requirements_to_json(const struct requirement *requirements, int count)
{
    cJSON *list = cJSON_CreateArray();
    for (int i = 0; i < count; i++) {
        const struct requirement *r = &requirements[i];
        cJSON *object = cJSON_CreateObject();
        cJSON_AddStringToObject(object, "metric", r->metric);
        cJSON_AddStringToObject(object, "operator", r->operation);
        cJSON_AddNumberToObject(object, "bar", r->bar);
        cJSON_AddItemToObject(object, "value",
                              isnan(r->value) ? cJSON_CreateNull() : cJSON_CreateNumber(r->value));
        cJSON_AddBoolToObject(object, "met", r->met);
        cJSON_AddItemToArray(list, object);
    }
    return list;
}

/* ---- the table ---- */

/* Width of a metric's column. */
static int column_width(int m, bool with_intervals)
{
    int title = (int)strlen(metrics[m]->name);
    return metrics[m]->interval && with_intervals ? 22 : title > 6 ? title : 6;
}

static void print_row(const double *row, const struct interval *intervals, bool with_intervals)
{
    char text[48];
    for (int m = 0; metrics[m] != NULL; m++) {
        int used = snprintf(text, sizeof text, isnan(row[m]) ? "-" : "%.4f", row[m]);
        if (with_intervals && metrics[m]->interval && !isnan(intervals[m].low))
            snprintf(text + used, sizeof text - (size_t)used, " (%.4f-%.4f)", intervals[m].low,
                     intervals[m].high);
        printf("  %*s", column_width(m, with_intervals), text);
    }
    printf("\n");
}

static void print_table(const struct evaluation *ev)
{
    bool with_intervals = ev->options.draws > 0;
    int width = 8;
    for (int64_t k = 0; k < ev->class_count; k++)
        width = (int)strlen(ev->classes[k].name) > width ? (int)strlen(ev->classes[k].name) : width;
    width = width < 40 ? width : 40;

    printf("%-*s  %9s", width, "class", "positives");
    for (int m = 0; metrics[m] != NULL; m++)
        printf("  %*s", column_width(m, with_intervals), metrics[m]->name);
    printf("\n");
    for (int64_t k = 0; k < ev->class_count; k++) {
        const struct class_evaluation *c = &ev->classes[k];
        printf("%-*.40s  %9lld", width, c->name, (long long)c->positives);
        print_row(c->values, c->intervals, with_intervals);
    }
    printf("%-*s  %9s", width, "macro", "");
    print_row(ev->macro, ev->macro_intervals, with_intervals);
}

static void tell(const struct evaluation *ev)
{
    log_info("%lld records, %lld classes; f1, sensitivity and specificity at a threshold of %g",
             (long long)ev->count, (long long)ev->class_count, METRIC_THRESHOLD);
    for (int64_t k = 0; k < ev->class_count; k++)
        if (ev->classes[k].undefined != NULL)
            log_warning("class %s: %s, so its AUROC is undefined and no part of the average",
                        ev->classes[k].name, ev->classes[k].undefined);
    if (ev->incomplete > 0)
        log_warning("%lld of %lld bootstrap draws left out a class that had lost one of its labels",
                    (long long)ev->incomplete, (long long)ev->options.draws);
}

static void tell_coverage(const struct scores_coverage *c)
{
    log_info("%lld of %lld lines used; %lld refused by infer, %lld of other splits, %lld without "
             "labels of the task",
             (long long)c->used, (long long)c->lines, (long long)c->refused,
             (long long)c->other_split, (long long)c->unlabelled);
    if (c->unmatched > 0)
        log_warning("%lld scored files are not in the data set, such as %s",
                    (long long)c->unmatched, c->first_unmatched);
    if (c->missing > 0)
        log_warning("%lld labelled records of the %s split have no score", (long long)c->missing,
                    values.split);
}

static void add_coverage(cJSON *object, const struct scores_coverage *c)
{
    cJSON *coverage = cJSON_AddObjectToObject(object, "coverage");
    cJSON_AddNumberToObject(coverage, "lines", (double)c->lines);
    cJSON_AddNumberToObject(coverage, "used", (double)c->used);
    cJSON_AddNumberToObject(coverage, "refused", (double)c->refused);
    cJSON_AddNumberToObject(coverage, "unmatched", (double)c->unmatched);
    cJSON_AddNumberToObject(coverage, "other_split", (double)c->other_split);
    cJSON_AddNumberToObject(coverage, "unlabelled", (double)c->unlabelled);
    cJSON_AddNumberToObject(coverage, "missing", (double)c->missing);
}

/* ---- the command ---- */

static enum err_code match_scores(struct manifest *m, struct predictions *out,
                                  struct scores_coverage *coverage, struct err *e)
{
    const struct manifest_options options = {.rate_hz = values.rate};
    struct label_set labels;
    enum data_split split = SPLIT_TRAIN;
    while (strcmp(split_name(split), values.split) != 0)
        split++;
    TRY(manifest_open(values.data, values.dataset, &options, m, e));
    TRY(manifest_labels(m, values.task, &labels, e));
    return scores_read(values.scores, m, &labels, split, out, coverage, e);
}

static enum err_code evaluate(const struct invocation *call, struct evaluation *ev,
                              struct scores_coverage *coverage, struct err *e)
{
    struct manifest manifest = {0}; /* predictions borrow from it */
    struct predictions predictions = {0};
    enum err_code code;
    if ((values.predictions == NULL) == (values.scores == NULL))
        code = RAISE(e, ERR_USAGE, "expected --predictions FILE, or --scores FILE and --data DIR");
    else if (values.scores != NULL && values.data == NULL)
        code = RAISE(e, ERR_USAGE, "--scores needs --data DIR, where the labels are");
    else if (values.scores != NULL)
        code = match_scores(&manifest, &predictions, coverage, e);
    else
        code = predictions_read(values.predictions, &predictions, e);
    if (code == ERR_OK) {
        struct bootstrap_options options = BOOTSTRAP_DEFAULTS;
        options.draws = values.bootstrap;
        options.seed = call->seed;
        options.threads = call->threads;
        code = evaluation_make(ev, &predictions, &options, e);
    }
    predictions_free(&predictions);
    manifest_close(&manifest);
    return code;
}

static cJSON *extra_to_json(const struct scores_coverage *coverage,
                            const struct requirement *requirements, int count)
{
    cJSON *extra = cJSON_CreateObject();
    if (values.scores != NULL)
        add_coverage(extra, coverage);
    if (count > 0)
        cJSON_AddItemToObject(extra, "requirements", requirements_to_json(requirements, count));
    return extra;
}

/* The JSON on standard output is that of the file. */
static enum err_code report(const struct evaluation *ev, const cJSON *extra, struct err *e)
{
    if (values.json) {
        cJSON *json = evaluation_to_json_with(ev, extra);
        print_json(json, true);
        cJSON_Delete(json);
    } else {
        print_table(ev);
    }
    return values.out != NULL ? evaluation_write(ev, extra, values.out, e) : ERR_OK;
}

static int eval_run(struct invocation *call, struct err *e)
{
    struct requirement requirements[REQUIREMENTS_MAX];
    struct evaluation ev = {0};
    struct scores_coverage coverage = {0};
    cJSON *extra = NULL;
    int count, unmet = 0;
    enum err_code code;
    TRY_TO(out, code,
           requirements_parse(&call->options.arena, values.require, requirements, &count, e));
    TRY_TO(out, code, evaluate(call, &ev, &coverage, e));
    for (int i = 0; i < count; i++) {
        TRY_TO(out, code, requirement_check(&requirements[i], &ev, e));
        unmet += !requirements[i].met;
    }
    if (values.scores != NULL)
        tell_coverage(&coverage);
    tell(&ev);
    extra = extra_to_json(&coverage, requirements, count);
    TRY_TO(out, code, report(&ev, extra, e));
    for (int i = 0; i < count; i++)
        requirement_tell(&requirements[i]);
out:
    cJSON_Delete(extra);
    evaluation_free(&ev);
    return code != ERR_OK ? exit_code_of(code) : unmet > 0 ? EXIT_FAILED : EXIT_FINE;
}

const struct command command_eval = {
    .name = "eval",
    .summary = "measures predictions against labels",
    .usage = "--predictions FILE | --scores FILE --data DIR [options]",
    .details =
        "Prints AUROC, average precision, F1, sensitivity, specificity, Brier score and "
        "calibration "
        "error of each class and their averages over the classes where they are defined. Intervals "
        "are the central 95 % of bootstrap draws of the records; a draw in which a class has lost "
        "one of its labels is drawn again.\n"
        "--require may ask for n, classes, macro_METRIC, METRIC.CLASS, and for the ends of "
        "intervals: macro_auroc_low, auroc_low.CLASS, macro_auroc_high and so on. Exit code 0: all "
        "hold; 1: one does not; 2: there is no such metric.",
    .examples = "ecgfm eval --predictions RUN/predictions.csv\n"
                "ecgfm eval --predictions RUN/predictions.csv --require 'macro_auroc>=0.80'\n"
                "ecgfm eval --scores scores.jsonl --data ptb-xl --task super --split test",
    .options = eval_register,
    .argument_max = 0,
    .run = eval_run,
};
