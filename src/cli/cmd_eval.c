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
#include "cli/eval_print.h"
#include "cli/junit.h"
#include "cli/requirement.h"
#include "cli/values_table.h"
#include "data/dataset.h"
#include "data/targets.h"
#include "format/csv.h"
#include "train/challenge.h"
#include "train/comparison.h"
#include "train/evaluation.h"
#include "train/predictions.h"
#include "train/scores.h"
#include "train/split_file.h"
#include "train/subgroup.h"

struct eval_options {
    const char *predictions;
    const char *labels;
    const char *classes;
    const char *ids;
    const char *scores;
    const char *compare;
    const char *data;
    const char *dataset;
    const char *folds;
    const char *task;
    const char *split;
    double rate;
    const char *require;
    const char *baseline;
    const char *baseline_metrics;
    double max_drop;
    const char *junit;
    const char *metrics;
    const char *threshold;
    const char *tune;
    const char *tune_by;
    const char *subgroups;
    const char *subgroups_file;
    const char *challenge;
    int64_t bootstrap;
    const char *interval;
    double level;
    const char *out;
    const char *csv;
    bool json;
    const char *trained;
    bool allow_patient_overlap;
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
    OPT_TEXT(
        eval_options, compare, NULL, "FILE,...",
        "predictions or scores that those of the argument are compared with; several runs with "
        "commas on both sides: their means are compared; a name with a comma goes in double "
        "quotes"),
    OPT_TEXT(eval_options, data, NULL, "DIR", "data set with the labels of the scored records"),
    OPT_TEXT(eval_options, dataset, NULL, "KIND", "kind of data set, where it is not recognized"),
    OPT_TEXT(eval_options, folds, NULL, "FILE",
             "CSV table of folds in place of the data set's, as for finetune"),
    OPT_TEXT(eval_options, task, NULL, "TASK", "labels to compare with (default: the data set's)"),
    OPT_CHOICE(eval_options, split, "test", "train|validation|test|all",
               "records that count; scores of others are left aside"),
    OPT_FLOAT(eval_options, rate, "0", 0, 1e6, "Hz",
              "files that were scored, where a data set has several rates; 0: its default"),
    OPT_LIST(eval_options, require, "METRIC>=X",
             "exit with 1 unless this holds (also <=, > and <), such as macro_auroc>=0.8 or "
             "auroc.NORM>0.9"),
    OPT_TEXT(eval_options, baseline, NULL, "FILE",
             "metrics.json of an earlier run: exit with 1 where a metric is worse by more than "
             "--max-drop"),
    OPT_FLOAT(eval_options, max_drop, "0.01", 0, 1e9, NULL,
              "drop from the baseline that is allowed"),
    OPT_TEXT(eval_options, baseline_metrics, "macro_auroc", "LIST",
             "what is compared with the baseline, such as macro_auroc,auroc.NORM,macro_brier"),
    OPT_TEXT(eval_options, junit, NULL, "FILE",
             "write requirements and baseline as JUnit XML, one test case each"),
    OPT_LIST(eval_options, metrics, "NAME",
             "columns of the table: names as in ecgfm list metrics, or all"),
    OPT_TEXT(eval_options, threshold, NULL, "X|FILE",
             "score that counts as a yes: a number, or a CSV table with the columns class and "
             "threshold (default: 0.5)"),
    OPT_TEXT(eval_options, tune, NULL, "FILE",
             "predictions.csv of other records, such as the validation fold, on which thresholds "
             "are chosen"),
    OPT_CHOICE(eval_options, tune_by, "f1", "f1|f2|g2|youden",
               "what a chosen threshold makes best (youden: sensitivity + specificity)"),
    OPT_LIST(eval_options, subgroups, "NAME",
             "also by age, sex, site or device of the data set in --data, or by a column of "
             "--subgroups-file"),
    OPT_TEXT(eval_options, subgroups_file, NULL, "FILE",
             "CSV table with a column id and others to group by (default: all of them)"),
    OPT_TEXT(eval_options, challenge, NULL, "FILE|cinc2017",
             "score of the Challenges 2020 and 2021 by their weights.csv, or the F1 of 2017"),
    OPT_INT(eval_options, bootstrap, "1000", 0, 1000000, "draws",
            "draws for the intervals; 0: none"),
    OPT_CHOICE(
        eval_options, interval, "percentile", "percentile|ptbxl",
        "ptbxl: the 5th and 95th percentile of 100 draws in which every class occurs, as the "
        "PTB-XL benchmark has them"),
    OPT_FLOAT(eval_options, level, "0.95", 0.01, 0.9999, NULL,
              "share of the draws inside an interval"),
    OPT_TEXT(eval_options, trained, NULL, "RUN",
             "refuse records of whose patients this run (its split.csv) has learned"),
    OPT_BOOL(eval_options, allow_patient_overlap, "false",
             "go on although patients have records on more than one side of train, validation and "
             "test, or were learned from"),
    OPT_TEXT(eval_options, out, NULL, "FILE", "also write metrics.json here"),
    OPT_TEXT(eval_options, csv, NULL, "FILE", "also write the table, with every metric, as CSV"),
    OPT_BOOL(eval_options, json, "false", "JSON on standard output instead of the table"),
    OPTION_END,
};

static void eval_register(struct option_set *set)
{
    option_set_add(set, "", rows, &values);
    option_set_add(set, "", target_rows, &target);
}

/* ---- talk ---- */

static void tell(const struct evaluation *ev)
{
    double threshold;
    if (ev->regression) {
        values_table_tell(ev);
        return;
    }
    if (values.tune != NULL)
        log_info("%lld records, %lld classes; thresholds with the best %s in %s",
                 (long long)ev->count, (long long)ev->class_count, values.tune_by, values.tune);
    else if (values.threshold == NULL || str_to_f64(values.threshold, false, &threshold))
        log_info("%lld records, %lld classes; f1, sensitivity and specificity at a threshold of %g",
                 (long long)ev->count, (long long)ev->class_count,
                 values.threshold ? threshold : METRIC_THRESHOLD);
    else
        log_info("%lld records, %lld classes; thresholds of %s", (long long)ev->count,
                 (long long)ev->class_count, values.threshold);
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

/* ---- which options belong together ---- */

static const char *const of_data[] = {"data", "dataset", "rate", NULL};
static const char *const of_labels[] = {"split",       "task",      "targets", "target-columns",
                                        "target-kind", "target-id", "folds",   NULL};
static const char *const of_arrays[] = {"labels", "classes", "ids", NULL};
static const char *const of_evaluation[] = {"threshold", "tune",           "tune-by", "subgroups",
                                            "challenge", "subgroups-file", "metrics", NULL};

/* An option that would do nothing is refused: what was meant by it would be believed done. */
static enum err_code refuse_options(const struct invocation *call, const char *const *keys,
                                    const char *mode, struct err *e)
{
    for (; *keys; keys++)
        if (option_set_source(&call->options, *keys) != OPTION_FROM_DEFAULT)
            FAIL(e, ERR_USAGE, "--%s has no effect on %s", *keys, mode);
    return ERR_OK;
}

static enum err_code check_options(const struct invocation *call, struct err *e)
{
    if (values.compare)
        return refuse_options(call, of_evaluation, "--compare", e);
    if (values.scores)
        return refuse_options(call, of_arrays, "--scores", e);
    if (!values.predictions)
        return ERR_OK;
    TRY(refuse_options(call, of_labels, "--predictions, which hold their records and labels", e));
    return values.subgroups || values.subgroups_file
               ? ERR_OK
               : refuse_options(call, of_data, "--predictions without --subgroups", e);
}

/* ---- evaluating ---- */

/* Opens the manifest if it is not open yet. */
static enum err_code match_scores(const char *path, struct manifest *m, struct predictions *out,
                                  struct scores_coverage *coverage, struct err *e)
{
    const struct manifest_options options = {.rate_hz = values.rate, .folds = values.folds};
    struct label_set labels;
    enum data_split split = SPLIT_TRAIN;
    while (strcmp(split_name(split), values.split) != 0)
        split++;
    if (!m->dataset)
        TRY(manifest_open(values.data, values.dataset, &options, m, e));
    if (split != SPLIT_ALL)
        TRY(manifest_check_patients(m, values.allow_patient_overlap, e));
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

/* A table of classes and their thresholds. */
static enum err_code read_thresholds(const char *path, const struct predictions *p, double *out,
                                     struct err *e)
{
    struct csv csv;
    enum err_code code = csv_read(path, (size_t)1 << 24, &csv, e);
    int64_t name = csv_column(&csv, "class"), value = csv_column(&csv, "threshold");
    if (code == ERR_OK && (name < 0 || value < 0))
        code = RAISE(e, ERR_FORMAT, "%s: expected the columns class and threshold", path);
    for (int64_t k = 0; k < p->class_count && code == ERR_OK; k++) {
        int64_t row = 0;
        while (row < csv.row_count && strcmp(csv_cell(&csv, row, name), p->class_names[k]) != 0)
            row++;
        if (row == csv.row_count)
            code = RAISE(e, ERR_FORMAT, "%s: no threshold of class %.60s", path, p->class_names[k]);
        else if (!str_to_f64(csv_cell(&csv, row, value), false, &out[k]))
            code = RAISE(e, ERR_FORMAT, "%s: line %lld: the threshold is \"%.40s\"", path,
                         (long long)csv.lines[row], csv_cell(&csv, row, value));
    }
    csv_free(&csv);
    return code;
}

/* Thresholds chosen with what they are judged by would flatter. */
static enum err_code check_tuning(const char *path, const struct predictions *tuning,
                                  const struct predictions *p, struct err *e)
{
    struct record_names names;
    struct record_overlap shared;
    record_names_init(&names, tuning->count);
    for (int64_t i = 0; i < tuning->count; i++)
        record_names_add(&names, tuning->ids[i], tuning->patients[i]);
    record_names_sort(&names);
    record_names_overlap(&names, p->ids, p->patients, p->count, &shared);
    record_names_free(&names);
    if (shared.count > 0 && !values.allow_patient_overlap)
        FAIL(e, ERR_PATIENTS,
             "%s holds %lld of the %lld records, or others of their patients: %s%s; "
             "--allow-patient-overlap takes them as they are",
             path, (long long)shared.count, (long long)p->count, shared.text,
             shared.count > 10 ? ", ..." : "");
    if (shared.count > 0)
        log_warning("thresholds are chosen with %lld of the %lld records, or others of their "
                    "patients, so figures may be better than they should be",
                    (long long)shared.count, (long long)p->count);
    return ERR_OK;
}

/* The best ones of other predictions of the same classes. */
static enum err_code tune_thresholds(const char *path, const struct predictions *p, double *out,
                                     struct err *e)
{
    struct predictions other = {0};
    double *chosen = NULL;
    enum err_code code = predictions_read(path, &other, e);
    if (code == ERR_OK && other.kind != LABEL_CLASSES)
        code = RAISE(e, ERR_LABELS, "%s holds values, not classes", path);
    if (code == ERR_OK)
        code = check_tuning(path, &other, p, e);
    if (code == ERR_OK) {
        chosen = arena_push_array(&other.arena, (size_t)other.class_count, sizeof *chosen);
        code = chosen ? thresholds_choose(&other, values.tune_by, chosen, e)
                      : RAISE(e, ERR_MEMORY, "out of memory");
    }
    for (int64_t k = 0; k < p->class_count && code == ERR_OK; k++) {
        int64_t j = 0;
        while (j < other.class_count && strcmp(other.class_names[j], p->class_names[k]) != 0)
            j++;
        if (j == other.class_count)
            code = RAISE(e, ERR_LABELS, "%s has no class %.60s", path, p->class_names[k]);
        else
            out[k] = isnan(chosen[j]) ? METRIC_THRESHOLD : chosen[j];
        if (code == ERR_OK && isnan(chosen[j]))
            log_warning("class %s has not both labels in %s, so its threshold stays %g",
                        p->class_names[k], path, METRIC_THRESHOLD);
    }
    predictions_free(&other);
    return code;
}

/* NULL where the default holds. */
static enum err_code thresholds_of(struct arena *a, const struct predictions *p, double **out,
                                   struct err *e)
{
    double common;
    *out = NULL;
    if (values.threshold == NULL && values.tune == NULL)
        return ERR_OK;
    if (values.threshold != NULL && values.tune != NULL)
        FAIL(e, ERR_USAGE, "expected --threshold or --tune, not both");
    *out = arena_push_array(a, (size_t)p->class_count, sizeof **out);
    if (*out == NULL)
        FAIL(e, ERR_MEMORY, "out of memory");
    if (values.tune != NULL)
        return tune_thresholds(values.tune, p, *out, e);
    if (!str_to_f64(values.threshold, false, &common))
        return read_thresholds(values.threshold, p, *out, e);
    for (int64_t k = 0; k < p->class_count; k++)
        (*out)[k] = common;
    return ERR_OK;
}

/* Predictions against labels, as often as was asked for. */
struct outcome {
    struct evaluation evaluation;
    struct scores_coverage coverage;
    struct subgroups subgroups;
    struct challenge challenge; /* where --challenge is given */
    bool columns[METRIC_COUNT_MAX];
};

static void outcome_free(struct outcome *o)
{
    evaluation_free(&o->evaluation);
    subgroups_free(&o->subgroups);
}

static enum err_code read_input(struct manifest *m, struct predictions *p,
                                struct scores_coverage *coverage, struct err *e)
{
    if ((values.predictions == NULL) == (values.scores == NULL))
        FAIL(e, ERR_USAGE, "expected --predictions FILE, or --scores FILE and --data DIR");
    if (values.scores != NULL && values.data == NULL)
        FAIL(e, ERR_USAGE, "--scores needs --data DIR, where the labels are");
    if (values.scores != NULL)
        return match_scores(values.scores, m, p, coverage, e);
    return read_predictions(values.predictions, p, e);
}

static enum err_code evaluate_subgroups(struct manifest *m, const struct predictions *p,
                                        const double *thresholds,
                                        const struct bootstrap_options *options,
                                        struct subgroups *out, struct err *e)
{
    const struct manifest_options of_set = {.rate_hz = values.rate};
    const struct subgroup_request request = {
        .variables = values.subgroups,
        .set = values.data != NULL ? m : NULL,
        .path = values.subgroups_file,
    };
    if (values.data == NULL && values.subgroups_file == NULL)
        FAIL(e, ERR_USAGE, "--subgroups needs --data DIR, or --subgroups-file FILE");
    if (values.data != NULL && m->dataset == NULL)
        TRY(manifest_open(values.data, values.dataset, &of_set, m, e));
    return subgroups_make(out, p, &request, thresholds, options, e);
}

/* What a run has learned from says nothing of how good it is. */
static enum err_code check_trained(const struct manifest *m, const struct predictions *p,
                                   struct err *e)
{
    struct record_overlap seen;
    bool comparable;
    const char *kind = m->dataset ? m->dataset->name : NULL;
    TRY(split_file_overlap(values.trained, kind, p->ids, p->patients, p->count, &seen, &comparable,
                           e));
    if (!comparable && !values.allow_patient_overlap)
        FAIL(e, ERR_PATIENTS,
             "no id of the %lld records, such as %.60s, is in the split.csv of %s, and no patients "
             "can be compared: --allow-patient-overlap takes them as they are",
             (long long)p->count, p->ids[0], values.trained);
    if (seen.count > 0 && !values.allow_patient_overlap)
        FAIL(e, ERR_PATIENTS,
             "%s has learned from patients of %lld of %lld records: %s%s; --allow-patient-overlap "
             "takes them as they are",
             values.trained, (long long)seen.count, (long long)p->count, seen.text,
             seen.count > 10 ? ", ..." : "");
    if (seen.count > 0)
        log_warning("%s has learned from patients of %lld of %lld records: %s%s", values.trained,
                    (long long)seen.count, (long long)p->count, seen.text,
                    seen.count > 10 ? ", ..." : "");
    return ERR_OK;
}

static enum err_code evaluate(struct invocation *call, struct outcome *o, struct err *e)
{
    struct manifest manifest = {0}; /* predictions borrow from it */
    struct predictions predictions = {0};
    const struct bootstrap_options options = bootstrap_of(call);
    double *thresholds = NULL;
    enum err_code code = columns_parse(values.metrics, o->columns, e);
    if (code == ERR_OK)
        code = read_input(&manifest, &predictions, &o->coverage, e);
    if (code == ERR_OK && values.trained)
        code = check_trained(&manifest, &predictions, e);
    if (code == ERR_OK && predictions.kind != LABEL_CLASSES &&
        (values.threshold || values.tune || values.challenge))
        code = RAISE(e, ERR_USAGE,
                     "--threshold, --tune and --challenge are for classes, not for values");
    if (code == ERR_OK)
        code = thresholds_of(&call->options.arena, &predictions, &thresholds, e);
    if (code == ERR_OK)
        code = evaluation_make_at(&o->evaluation, &predictions, thresholds, &options, e);
    if (code == ERR_OK && (values.subgroups != NULL || values.subgroups_file != NULL))
        code = evaluate_subgroups(&manifest, &predictions, thresholds, &options, &o->subgroups, e);
    if (code == ERR_OK && values.challenge != NULL)
        code = challenge_make(&o->challenge, &predictions, values.challenge, thresholds, e);
    predictions_free(&predictions);
    manifest_close(&manifest);
    return code;
}

/* The value of a requirement: of a subgroup, of the Challenge, or of the evaluation. */
static enum err_code outcome_value(const struct outcome *o, const char *name, double *out,
                                   struct err *e)
{
    if (strchr(name, '@') != NULL)
        return subgroups_value(&o->subgroups, name, out, e);
    if (values.challenge != NULL &&
        (str_starts_with(name, "challenge_") || str_starts_with(name, "cinc2017_")) &&
        strcmp(name, "challenge_f_measure") != 0)
        return challenge_value(&o->challenge, name, out, e);
    return evaluation_value(&o->evaluation, name, out, e);
}

static cJSON *extra_to_json(const struct outcome *o, const struct requirement *requirements,
                            int count)
{
    cJSON *extra = cJSON_CreateObject();
    if (values.scores != NULL)
        add_coverage(extra, &o->coverage);
    if (o->subgroups.count > 0)
        cJSON_AddItemToObject(extra, "subgroups", subgroups_to_json(&o->subgroups));
    if (values.challenge != NULL)
        cJSON_AddItemToObject(extra, "challenge", challenge_to_json(&o->challenge));
    if (count > 0)
        cJSON_AddItemToObject(extra, "requirements", requirements_to_json(requirements, count));
    return extra;
}

static void print_challenge(const struct challenge *c)
{
    if (c->of_2017) {
        printf("Challenge 2017: mean F1 of N, A and O %.4f", c->f1);
        printf(isnan(c->f1_noisy) ? "\n" : ", with ~ %.4f\n", c->f1_noisy);
        return;
    }
    if (isnan(c->score.score))
        printf("challenge score -: labels that are all normal leave nothing to gain\n");
    else
        printf("challenge score %.4f (observed %.2f, correct %.2f, always normal %.2f)\n",
               c->score.score, c->score.observed, c->score.correct, c->score.inactive);
    if (c->left_out > 0)
        log_info("%lld classes are not in the weight matrix", (long long)c->left_out);
    if (c->missing > 0)
        log_warning("%lld of %lld classes of the weight matrix are not in the predictions: records "
                    "count as free of them",
                    (long long)c->missing, (long long)c->matrix_count);
}

static void print_outcome(const struct outcome *o)
{
    if (o->evaluation.regression) {
        values_table_print(&o->evaluation);
        print_subgroups(&o->subgroups);
        return;
    }
    print_evaluation(&o->evaluation, o->columns);
    if (strcmp(values.interval, "ptbxl") == 0 && o->evaluation.options.draws > 0)
        print_published(&o->evaluation);
    if (values.metrics != NULL)
        for (int m = 0; joint_metrics[m].name != NULL; m++)
            printf(isnan(o->evaluation.joint[m]) ? "%s -\n" : "%s %.4f\n", joint_metrics[m].name,
                   o->evaluation.joint[m]);
    if (values.challenge != NULL)
        print_challenge(&o->challenge);
    print_subgroups(&o->subgroups);
}

/* The JSON on standard output is that of the file. */
static enum err_code report(const struct outcome *o, const cJSON *extra, struct err *e)
{
    if (values.json) {
        cJSON *json = evaluation_to_json_with(&o->evaluation, extra);
        print_json(json, true);
        cJSON_Delete(json);
    } else {
        print_outcome(o);
    }
    if (values.csv != NULL)
        TRY(evaluation_write_csv(&o->evaluation, &o->subgroups, values.csv, e));
    return values.out != NULL ? evaluation_write(&o->evaluation, extra, values.out, e) : ERR_OK;
}

/* ---- comparing ---- */

enum { COMPARED_RUNS_MAX = 1000 }; /* a side; all are in memory together */

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

/* The names alone, so that a list is judged before anything is read. */
static enum err_code list_side(struct arena *a, const char *list, struct comparison_side *out,
                               struct err *e)
{
    char *rest = arena_strdup(a, list);
    int64_t most = 1;
    for (const char *c = list; *c != '\0'; c++)
        most += *c == ',';
    out->names = arena_push_array(a, (size_t)most, sizeof *out->names);
    out->runs = arena_push_array(a, (size_t)most, sizeof *out->runs);
    if (rest == NULL || out->names == NULL || out->runs == NULL)
        FAIL(e, ERR_MEMORY, "out of memory for a list of %lld files", (long long)most);
    for (char *name; (name = str_list_next(&rest)) != NULL;) {
        if (*name == '\0')
            FAIL(e, ERR_USAGE, "--compare: a file without a name in \"%.200s\"", list);
        out->names[out->count++] = name;
    }
    return ERR_OK;
}

static enum err_code read_side(const struct comparison_side *side, struct manifest *m,
                               struct err *e)
{
    for (int64_t i = 0; i < side->count; i++) {
        TRY(read_either(side->names[i], m, &side->runs[i], e));
        if (values.trained != NULL && check_trained(m, &side->runs[i], e) != ERR_OK)
            return err_context(e, "%s", side->names[i]);
    }
    return ERR_OK;
}

static enum err_code compare(struct invocation *call, struct comparison *c, struct err *e)
{
    struct manifest manifest = {0}; /* predictions borrow from it */
    struct comparison_side sides[2] = {0};
    const struct bootstrap_options options = bootstrap_of(call);
    struct arena *a = &call->options.arena;
    enum err_code code = ERR_OK;
    if (call->argument_count != 1 || values.predictions || values.scores)
        FAIL(e, ERR_USAGE,
             "expected --compare FIRST SECOND, and neither --predictions nor --scores");
    TRY(list_side(a, values.compare, &sides[0], e));
    TRY(list_side(a, call->arguments[0], &sides[1], e));
    if (sides[0].count != sides[1].count || sides[0].count > COMPARED_RUNS_MAX)
        FAIL(e, ERR_USAGE,
             "--compare: expected as many runs on both sides, at most %d, found %lld and %lld",
             COMPARED_RUNS_MAX, (long long)sides[0].count, (long long)sides[1].count);
    for (int side = 0; side < 2; side++)
        TRY_TO(out, code, read_side(&sides[side], &manifest, e));
    if (!manifest.dataset) {
        TRY_TO(out, code, refuse_options(call, of_data, "--compare of predictions", e));
        TRY_TO(out, code, refuse_options(call, of_labels, "--compare of predictions", e));
    }
    code = comparison_make(c, &sides[0], &sides[1], &options, e);
out:
    for (int side = 0; side < 2; side++)
        for (int64_t i = 0; i < sides[side].count; i++)
            predictions_free(&sides[side].runs[i]);
    manifest_close(&manifest);
    return code;
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
    log_info("AUROC; p and intervals of a class after DeLong, of the averages by %lld paired "
             "bootstrap draws; not corrected for the number of classes",
             (long long)c->options.draws);
    enum err_code code = values.csv ? comparison_write_csv(c, values.csv, e) : ERR_OK;
    if (values.out && code == ERR_OK) {
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
    struct outcome o = {0};
    cJSON *extra = NULL;
    enum err_code code;
    if (call->argument_count > 0)
        FAIL(e, ERR_USAGE, "unexpected argument \"%s\" without --compare", call->arguments[0]);
    TRY_TO(out, code, evaluate(call, &o, e));
    for (int i = 0; i < count; i++) {
        TRY_TO(out, code, outcome_value(&o, requirements[i].metric, &requirements[i].value, e));
        *unmet += !requirement_judge(&requirements[i]);
    }
    if (values.scores != NULL)
        tell_coverage(&o.coverage);
    tell(&o.evaluation);
    extra = extra_to_json(&o, requirements, count);
    TRY_TO(out, code, report(&o, extra, e));
out:
    cJSON_Delete(extra);
    outcome_free(&o);
    return code;
}

static enum err_code gather_requirements(struct invocation *call, struct requirement *requirements,
                                         int *count, struct err *e)
{
    struct arena *a = &call->options.arena;
    TRY(requirements_parse(a, values.require, requirements, count, e));
    if (values.baseline != NULL && values.compare != NULL)
        FAIL(e, ERR_USAGE, "--baseline is for an evaluation, not for --compare");
    if (values.baseline != NULL)
        TRY(requirements_from_baseline(a, values.baseline, values.baseline_metrics, values.max_drop,
                                       requirements, count, e));
    TRY(check_options(call, e));
    if (values.junit != NULL && *count == 0)
        FAIL(e, ERR_USAGE, "--junit needs --require or --baseline: there is nothing to test");
    return ERR_OK;
}

/* A report of an earlier run must not be taken for this one's. */
static void eval_refused(const struct err *why)
{
    char text[2048];
    if (values.junit == NULL)
        return;
    err_format(why, text, sizeof text);
    junit_write_error(values.junit, text);
}

static int eval_run(struct invocation *call, struct err *e)
{
    struct requirement requirements[REQUIREMENTS_MAX];
    int count = 0, unmet = 0;
    enum err_code code = gather_requirements(call, requirements, &count, e);
    if (code == ERR_OK)
        code = values.compare ? run_comparison(call, requirements, count, &unmet, e)
                              : run_evaluation(call, requirements, count, &unmet, e);
    for (int i = 0; i < count && code == ERR_OK; i++)
        requirement_tell(&requirements[i]);
    if (code != ERR_OK)
        eval_refused(e);
    else if (values.junit != NULL)
        code = junit_write(values.junit, requirements, count, e);
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
        "one of its labels is drawn again, at most 100 times (--interval ptbxl: as often as 400 "
        "million records drawn allow).\n"
        "Scores of other programs are read as NumPy arrays of float32 or float64, saved by "
        "numpy.save or ndarray.dump, with labels of 0 and 1 of the same shape.\n"
        "--require may ask for n, classes, macro_METRIC, METRIC.CLASS, and for the ends of "
        "intervals: macro_auroc_low, auroc_low.CLASS, macro_auroc_high and so on; for sample_fmax "
        "(the best F "
        "of the records' mean precision and recall), fbeta_normalized and gbeta_normalized (macro, "
        "a "
        "record counts 1 by the number of its labels, and one where no class is called is called "
        "the one with the highest score), challenge_f_measure and exact_match; for "
        "NAME@VARIABLE=GROUP of a subgroup, such as macro_auroc@sex=female; and with --challenge "
        "for "
        "challenge_score, or cinc2017_f1 and cinc2017_f1_noisy (which has the class ~, too). Exit "
        "code "
        "0: all hold; 1: one does not; 2: there is no such metric. A name with a comma goes in "
        "double quotes (\"\" for one in it), also in --baseline-metrics and --subgroups: "
        "--require '\"auroc.ST, T\">=0.9'.\n"
        "What is undefined (an AUROC without a positive record) is told with its reason, null in "
        "JSON, empty in CSV, no part of an average, and meets no requirement. A baseline that "
        "lacks a "
        "metric, or has it undefined, is refused. docs/ci.md has an example of continuous "
        "integration.\n"
        "--compare says whether SECOND is better than FIRST, and what a precision, a storage or "
        "another machine costs: both are predictions or scores of the same records. Printed are "
        "the "
        "AUROC of each, the difference (second less first) with its interval and two-sided p (of a "
        "class after DeLong, of the averages from paired bootstrap draws), how far scores moved "
        "and "
        "how many decisions (score >= 0.5) changed. Several files a side, with commas, are runs of "
        "the same training with other seeds: what is compared is the mean of their AUROCs, by one "
        "drawing of the records for all; the runs are taken as they are, so what other seeds would "
        "give is not in p and interval. Changes of scores are those from the i-th of the first to "
        "the i-th of the second; pairs counts them. There --require may ask for n, pairs, "
        "only_first, "
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
                "ecgfm eval --compare scratch-1.csv,scratch-2.csv tuned-1.csv,tuned-2.csv\n"
                "ecgfm eval --compare f32.jsonl int8.jsonl --data ptb-xl --require "
                "'macro_auroc_loss<=0.002,same_decisions>=0.99'",
    .options = eval_register,
    .argument_max = 1,
    .run = eval_run,
    .refused = eval_refused,
};
