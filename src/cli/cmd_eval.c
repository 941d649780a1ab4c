/* ecgfm eval: predictions against labels, as a table, as JSON, and as an exit code. */
#include <math.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/requirement.h"
#include "cli/values_table.h"
#include "data/dataset.h"
#include "data/targets.h"
#include "train/comparison.h"
#include "train/evaluation.h"
#include "train/predictions.h"
#include "train/scores.h"

struct eval_options {
    const char *predictions;
    const char *labels;
    const char *classes;
    const char *ids;
    const char *scores;
    const char *compare;
    const char *data;
    const char *dataset;
    const char *task;
    const char *split;
    double rate;
    const char *require;
    int64_t bootstrap;
    const char *interval;
    double level;
    const char *out;
    bool json;
};

static struct eval_options values;
static struct target_options target;

static const struct option rows[] = {
    OPT_TEXT(eval_options, predictions, NULL, "FILE",
             "predictions.csv of probe or finetune, or scores as a NumPy array [records, classes]"),
    OPT_TEXT(eval_options, labels, NULL, "FILE", "NumPy array of the labels, for arrays of scores"),
    OPT_TEXT(eval_options, classes, NULL, "FILE",
             "names of the classes of the arrays, one a line (default: numbers)"),
    OPT_TEXT(eval_options, ids, NULL, "FILE",
             "names of the records of the arrays, one a line (default: numbers)"),
    OPT_TEXT(eval_options, scores, NULL, "FILE",
             "JSON Lines of infer, instead of predictions; the labels come from --data"),
    OPT_TEXT(eval_options, compare, NULL, "FILE",
             "predictions or scores that those of the argument are compared with"),
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
            "draws for the intervals; 0: none"),
    OPT_CHOICE(
        eval_options, interval, "percentile", "percentile|ptbxl",
        "ptbxl: the 5th and 95th percentile of 100 draws in which every class occurs, as the "
        "PTB-XL benchmark has them"),
    OPT_FLOAT(eval_options, level, "0.95", 0.01, 0.9999, NULL,
              "share of the draws inside an interval"),
    OPT_TEXT(eval_options, out, NULL, "FILE", "also write metrics.json here"),
    OPT_BOOL(eval_options, json, "false", "JSON on standard output instead of the table"),
    OPTION_END,
};

static void eval_register(struct option_set *set)
{
    option_set_add(set, "", rows, &values);
    option_set_add(set, "", target_rows, &target);
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
    if (ev->regression) {
        values_table_print(ev);
        return;
    }
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

/* As published tables have it. */
static void print_published(const struct evaluation *ev)
{
    char text[INTERVAL_TEXT_BYTES];
    int auroc = metric_index("auroc");
    interval_to_text(ev->macro[auroc], ev->macro_intervals[auroc], text);
    printf("macro AUROC %s: %.4f (%.4f-%.4f), mean of the draws %.4f\n", text, ev->macro[auroc],
           ev->macro_intervals[auroc].low, ev->macro_intervals[auroc].high, ev->macro_means[auroc]);
}

static void tell(const struct evaluation *ev)
{
    if (ev->regression) {
        values_table_tell(ev);
        return;
    }
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

/* ---- evaluating ---- */

/* Opens the manifest if it is not open yet. */
static enum err_code match_scores(const char *path, struct manifest *m, struct predictions *out,
                                  struct scores_coverage *coverage, struct err *e)
{
    const struct manifest_options options = {.rate_hz = values.rate};
    struct label_set labels;
    enum data_split split = SPLIT_TRAIN;
    while (strcmp(split_name(split), values.split) != 0)
        split++;
    if (!m->dataset)
        TRY(manifest_open(values.data, values.dataset, &options, m, e));
    TRY(targets_or_labels(&target, m, values.task, &labels, e));
    return scores_read(path, m, &labels, split, out, coverage, e);
}

static bool is_array(const char *path, struct err *e, enum err_code *code)
{
    struct file_map map;
    *code = file_map(path, &map, e);
    if (*code != ERR_OK)
        return false;
    const unsigned char *bytes = map.data;
    bool array = map.size > 0 && (bytes[0] == 0x93 || bytes[0] == 0x80);
    file_unmap(&map);
    return array;
}

/* predictions.csv, or a NumPy array and its labels. */
static enum err_code read_predictions(const char *path, struct predictions *out, struct err *e)
{
    enum err_code code;
    const struct prediction_arrays arrays = {path, values.labels, values.classes, values.ids};
    bool array = is_array(path, e, &code);
    TRY(code);
    if (array && !values.labels)
        FAIL(e, ERR_USAGE, "%s is a NumPy array: --labels FILE is missing", path);
    if (!array && (values.labels || values.classes || values.ids))
        FAIL(e, ERR_USAGE, "%s is no NumPy array: --labels, --classes and --ids belong to those",
             path);
    return array ? predictions_read_arrays(&arrays, out, e) : predictions_read(path, out, e);
}

static struct bootstrap_options bootstrap_of(const struct invocation *call)
{
    bool ptbxl = strcmp(values.interval, "ptbxl") == 0;
    struct bootstrap_options options = ptbxl ? BOOTSTRAP_PTBXL : BOOTSTRAP_DEFAULTS;
    if (!ptbxl || option_set_source(&call->options, "bootstrap") != OPTION_FROM_DEFAULT)
        options.draws = values.bootstrap;
    if (!ptbxl || option_set_source(&call->options, "level") != OPTION_FROM_DEFAULT)
        options.level = values.level;
    options.seed = call->seed;
    options.threads = call->threads;
    return options;
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
        code = match_scores(values.scores, &manifest, &predictions, coverage, e);
    else
        code = read_predictions(values.predictions, &predictions, e);
    if (code == ERR_OK) {
        struct bootstrap_options options = bootstrap_of(call);
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
        if (strcmp(values.interval, "ptbxl") == 0 && ev->options.draws > 0)
            print_published(ev);
    }
    return values.out != NULL ? evaluation_write(ev, extra, values.out, e) : ERR_OK;
}

/* ---- comparing ---- */

/* predictions.csv, or the JSON Lines of infer: those begin with a brace. */
static enum err_code read_either(const char *path, struct manifest *m, struct predictions *out,
                                 struct err *e)
{
    struct file_map map;
    TRY(file_map(path, &map, e));
    bool lines = map.size > 0 && *(const char *)map.data == '{';
    file_unmap(&map);
    if (!lines)
        return read_predictions(path, out, e);
    if (values.data == NULL)
        FAIL(e, ERR_USAGE, "%s holds scores: --data DIR is missing, where the labels are", path);
    struct scores_coverage coverage = {0};
    TRY(match_scores(path, m, out, &coverage, e));
    log_info("%s: %lld records, %lld refused, %lld of the split left out", path,
             (long long)coverage.used, (long long)coverage.refused, (long long)coverage.missing);
    return ERR_OK;
}

static enum err_code compare(const struct invocation *call, struct comparison *c, struct err *e)
{
    struct manifest manifest = {0}; /* predictions borrow from it */
    struct predictions first = {0}, second = {0};
    const struct bootstrap_options options = bootstrap_of(call);
    enum err_code code = ERR_OK;
    if (call->argument_count != 1 || values.predictions || values.scores)
        code = RAISE(e, ERR_USAGE,
                     "expected --compare FIRST SECOND, and neither --predictions nor "
                     "--scores");
    if (code == ERR_OK)
        code = read_either(values.compare, &manifest, &first, e);
    if (code == ERR_OK)
        code = read_either(call->arguments[0], &manifest, &second, e);
    if (code == ERR_OK)
        code = comparison_make(c, &first, &second, &options, e);
    predictions_free(&first);
    predictions_free(&second);
    manifest_close(&manifest);
    return code;
}

/* Both values, their difference, its interval, and p. */
static void print_difference(double first, double second, struct interval interval, double p)
{
    char text[48] = "-", chance[24] = "-";
    if (!isnan(interval.low))
        snprintf(text, sizeof text, "%.4f to %.4f", interval.low, interval.high);
    if (!isnan(p))
        snprintf(chance, sizeof chance, p < 0.0001 ? "<0.0001" : "%.4f", p);
    if (isnan(first) || isnan(second))
        printf("  %7s  %7s  %10s", "-", "-", "-");
    else
        printf("  %7.4f  %7.4f  %+10.5f", first, second, second - first);
    printf("  %18s  %7s", text, chance);
}

static void print_comparison(const struct comparison *c)
{
    char title[32];
    int width = 11;
    for (int64_t k = 0; k < c->class_count; k++)
        width = (int)strlen(c->classes[k].name) > width ? (int)strlen(c->classes[k].name) : width;
    width = width < 40 ? width : 40;
    snprintf(title, sizeof title, "%.4g %%", 100 * c->options.level);
    printf("%-*s  %7s  %7s  %10s  %18s  %7s  %9s  %9s  %9s\n", width, "class", "first", "second",
           "difference", title, "p", "mean |dp|", "max |dp|", "decisions");
    for (int64_t k = 0; k < c->class_count; k++) {
        const struct class_comparison *x = &c->classes[k];
        printf("%-*.40s", width, x->name);
        print_difference(x->auroc[0], x->auroc[1], x->difference.interval, x->difference.p);
        printf("  %9.6f  %9.6f  %9lld\n", x->mean_change, x->largest_change, (long long)x->changed);
    }
    printf("%-*s", width, "macro");
    print_difference(c->macro_auroc[0], c->macro_auroc[1], c->macro_auroc_interval,
                     c->macro_auroc_p);
    printf("  %9.6f  %9.6f  %9lld\n", c->mean_change, c->largest_change, (long long)c->changed);
    printf("%-*s", width, "macro AUPRC");
    print_difference(c->macro_auprc[0], c->macro_auprc[1], c->macro_auprc_interval,
                     c->macro_auprc_p);
    printf("\n");
    printf("%lld records; %lld of %lld decisions changed (%.3f %%)\n", (long long)c->count,
           (long long)c->changed, (long long)c->decisions,
           100 * (double)c->changed / (double)c->decisions);
    log_info("AUROC; p and intervals of a class after DeLong, of the averages by %lld paired "
             "bootstrap draws; not corrected for the number of classes",
             (long long)c->options.draws);
    if (c->only_first + c->only_second > 0)
        printf("%lld records are scored by the first only, %lld by the second only\n",
               (long long)c->only_first, (long long)c->only_second);
}

/* As JSON, to standard output or a file. */
static enum err_code report_comparison(const struct comparison *c,
                                       const struct requirement *requirements, int count,
                                       struct err *e)
{
    cJSON *json = comparison_to_json(c);
    if (count > 0)
        cJSON_AddItemToObject(json, "requirements", requirements_to_json(requirements, count));
    if (values.json)
        print_json(json, true);
    else
        print_comparison(c);
    enum err_code code = ERR_OK;
    if (values.out) {
        struct buf text;
        buf_init(&text, 0);
        json_print(json, true, &text);
        buf_puts(&text, "\n");
        code = file_write_atomic(values.out, text.data, text.len, e);
        buf_free(&text);
    }
    cJSON_Delete(json);
    return code;
}

static enum err_code run_comparison(struct invocation *call, struct requirement *requirements,
                                    int count, int *unmet, struct err *e)
{
    struct comparison c = {0};
    enum err_code code = compare(call, &c, e);
    for (int i = 0; i < count && code == ERR_OK; i++) {
        code = comparison_value(&c, requirements[i].metric, &requirements[i].value, e);
        *unmet += code == ERR_OK && !requirement_judge(&requirements[i]);
    }
    if (code == ERR_OK)
        code = report_comparison(&c, requirements, count, e);
    comparison_free(&c);
    return code;
}

/* ---- the command ---- */

static enum err_code run_evaluation(struct invocation *call, struct requirement *requirements,
                                    int count, int *unmet, struct err *e)
{
    struct evaluation ev = {0};
    struct scores_coverage coverage = {0};
    cJSON *extra = NULL;
    enum err_code code;
    if (call->argument_count > 0)
        FAIL(e, ERR_USAGE, "unexpected argument \"%s\" without --compare", call->arguments[0]);
    TRY_TO(out, code, evaluate(call, &ev, &coverage, e));
    for (int i = 0; i < count; i++) {
        TRY_TO(out, code, evaluation_value(&ev, requirements[i].metric, &requirements[i].value, e));
        *unmet += !requirement_judge(&requirements[i]);
    }
    if (values.scores != NULL)
        tell_coverage(&coverage);
    tell(&ev);
    extra = extra_to_json(&coverage, requirements, count);
    TRY_TO(out, code, report(&ev, extra, e));
out:
    cJSON_Delete(extra);
    evaluation_free(&ev);
    return code;
}

static int eval_run(struct invocation *call, struct err *e)
{
    struct requirement requirements[REQUIREMENTS_MAX];
    int count = 0, unmet = 0;
    enum err_code code =
        requirements_parse(&call->options.arena, values.require, requirements, &count, e);
    if (code == ERR_OK)
        code = values.compare ? run_comparison(call, requirements, count, &unmet, e)
                              : run_evaluation(call, requirements, count, &unmet, e);
    for (int i = 0; i < count && code == ERR_OK; i++)
        requirement_tell(&requirements[i]);
    return code != ERR_OK ? exit_code_of(code) : unmet > 0 ? EXIT_FAILED : EXIT_FINE;
}

const struct command command_eval = {
    .name = "eval",
    .summary = "measures predictions against labels",
    .usage = "--predictions FILE | --scores FILE --data DIR | --compare FIRST SECOND [options]",
    .details =
        "Prints AUROC, average precision, F1, sensitivity, specificity, Brier score and "
        "calibration "
        "error of each class and their averages over the classes where they are defined. Intervals "
        "are the central 95 % of bootstrap draws of the records; a draw in which a class has lost "
        "one of its labels is drawn again, at most 100 times (--interval ptbxl: without end).\n"
        "Scores of other programs are read as NumPy arrays of float32 or float64, saved by "
        "numpy.save or ndarray.dump, with labels of 0 and 1 of the same shape.\n"
        "--require may ask for n, classes, macro_METRIC, METRIC.CLASS, and for the ends of "
        "intervals: macro_auroc_low, auroc_low.CLASS, macro_auroc_high and so on. Exit code 0: all "
        "hold; 1: one does not; 2: there is no such metric.\n"
        "--compare says whether SECOND is better than FIRST, and what a precision, a storage or "
        "another machine costs: both are predictions or scores of the same records. Printed are "
        "the "
        "AUROC of each, the difference (second less first) with its interval and two-sided p (of a "
        "class after DeLong, of the averages from paired bootstrap draws), how far scores moved "
        "and "
        "how many decisions (score >= 0.5) changed. There --require may ask for n, only_first, "
        "only_second, macro_auroc_first, macro_auroc_second, macro_auroc_loss, "
        "macro_auroc_difference and its _low, _high and _p, the same of macro_auprc, "
        "auroc_difference.CLASS and its like, mean_change, largest_change, decisions, changed and "
        "same_decisions.",
    .examples = "ecgfm eval --predictions RUN/predictions.csv\n"
                "ecgfm eval --predictions scores.npy --labels labels.npy --classes classes.txt "
                "--interval ptbxl\n"
                "ecgfm eval --predictions RUN/predictions.csv --require 'macro_auroc>=0.80'\n"
                "ecgfm eval --scores scores.jsonl --data ptb-xl --task super --split test\n"
                "ecgfm eval --compare scratch/predictions.csv cpc/predictions.csv --require "
                "'macro_auroc_difference_low>0'\n"
                "ecgfm eval --compare f32.jsonl int8.jsonl --data ptb-xl --require "
                "'macro_auroc_loss<=0.002,same_decisions>=0.99'",
    .options = eval_register,
    .argument_max = 1,
    .run = eval_run,
};
