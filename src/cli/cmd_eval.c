/* ecgfm eval: predictions against labels, as a table, as JSON, and as an exit code. */
#include <math.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "cli/command.h"
#include "train/evaluation.h"
#include "train/predictions.h"

#define REQUIREMENTS_MAX 64

struct eval_options {
    const char *predictions;
    const char *require;
    int64_t bootstrap;
    const char *out;
    bool json;
};

static struct eval_options values;

static const struct option rows[] = {
    OPT_TEXT(eval_options, predictions, NULL, "FILE", "predictions.csv of probe or finetune"),
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

/* ---- the command ---- */

static enum err_code evaluate(const struct invocation *call, struct evaluation *ev, struct err *e)
{
    struct predictions predictions = {0};
    enum err_code code = values.predictions == NULL
                             ? RAISE(e, ERR_USAGE, "--predictions FILE is missing")
                             : predictions_read(values.predictions, &predictions, e);
    if (code == ERR_OK) {
        struct bootstrap_options options = BOOTSTRAP_DEFAULTS;
        options.draws = values.bootstrap;
        options.seed = call->seed;
        options.threads = call->threads;
        code = evaluation_make(ev, &predictions, &options, e);
    }
    predictions_free(&predictions);
    return code;
}

static enum err_code report(const struct evaluation *ev, const struct requirement *requirements,
                            int count, struct err *e)
{
    cJSON *extra = cJSON_CreateObject();
    if (count > 0)
        cJSON_AddItemToObject(extra, "requirements", requirements_to_json(requirements, count));
    if (values.json) {
        cJSON *json = evaluation_to_json(ev);
        if (count > 0)
            cJSON_AddItemToObject(json, "requirements", requirements_to_json(requirements, count));
        print_json(json, true);
        cJSON_Delete(json);
    } else {
        print_table(ev);
    }
    enum err_code code = values.out != NULL ? evaluation_write(ev, extra, values.out, e) : ERR_OK;
    cJSON_Delete(extra);
    return code;
}

static int eval_run(struct invocation *call, struct err *e)
{
    struct requirement requirements[REQUIREMENTS_MAX];
    struct evaluation ev = {0};
    int count, unmet = 0;
    enum err_code code;
    TRY_TO(out, code,
           requirements_parse(&call->options.arena, values.require, requirements, &count, e));
    TRY_TO(out, code, evaluate(call, &ev, e));
    for (int i = 0; i < count; i++) {
        TRY_TO(out, code, requirement_check(&requirements[i], &ev, e));
        unmet += !requirements[i].met;
    }
    tell(&ev);
    TRY_TO(out, code, report(&ev, requirements, count, e));
    for (int i = 0; i < count; i++)
        requirement_tell(&requirements[i]);
out:
    evaluation_free(&ev);
    return code != ERR_OK ? exit_code_of(code) : unmet > 0 ? EXIT_FAILED : EXIT_FINE;
}

const struct command command_eval = {
    .name = "eval",
    .summary = "measures predictions against labels",
    .usage = "--predictions FILE [options]",
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
                "ecgfm eval --predictions RUN/predictions.csv --require 'macro_auroc>=0.80'",
    .options = eval_register,
    .argument_max = 0,
    .run = eval_run,
};
