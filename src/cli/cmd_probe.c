#include "cli/training.h"

static struct adapt state;
static struct print_options {
    bool json;
} print;
static struct series_options several;

static const struct option print_rows[] = {OPT_BOOL(print_options, json, "false",
                                                    "print metrics.json instead of a table"),
                                           OPTION_END};

static void options(struct option_set *set)
{
    probe_options_add(&state, set);
    option_set_add(set, "", series_rows, &several);
    option_set_add(set, "", print_rows, &print);
}

static int run(struct invocation *call, struct err *e)
{
    struct training_progress progress;
    if (series_wanted(&several))
        return training_series(call, "probe", &state, &several, print.json, e);
    training_experiment(call, "probe", &state.data, &progress, &state.experiment);
    enum err_code code = probe_run(&state, e);
    if (code == ERR_OK) {
        training_report(state.data.out);
        training_print_evaluation(&state.evaluation, print.json);
    }
    adapt_free(&state);
    return exit_code_of(code);
}

const struct command command_probe = {
    .name = "probe",
    .summary = "fits a classifier on a frozen encoder's features",
    .usage = "--data DIR --weights RUN|FILE|random --out RUN [--task NAME] [options]",
    .details =
        "Features are pooled tokens. What a classifier has to choose (the strength of a penalty, "
        "a\n"
        "number of neighbours, the scale of log odds) is chosen on the validation fold; the test\n"
        "fold is scored once. logistic, ridge and prototype become the model's head, whatever\n"
        "network.head says; knn makes no model, so there is nothing to infer with. Attention "
        "pooling\n"
        "is learned with a head (finetune --adapt head): here its features are the mean. "
        "--weights\n"
        "random is the control: an encoder that has learned nothing. Writes model.safetensors,\n"
        "predictions.csv, metrics.json and report.html. --curve, --controls and --seeds make "
        "several\n"
        "runs, in folders of --out, and one table (table.md, .csv, .json).",
    .examples = "ecgfm probe --data ptbxl --task super --weights runs/mae --out runs/probe\n"
                "ecgfm probe --data ptbxl --task super --weights random --out runs/probe-random",
    .options = options,
    .argument_max = 0,
    .run = run,
};
