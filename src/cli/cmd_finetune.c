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
    finetune_options_add(&state, set);
    option_set_add(set, "", series_rows, &several);
    option_set_add(set, "", print_rows, &print);
}

static int run(struct invocation *call, struct err *e)
{
    struct training_progress progress;
    if (series_wanted(&several))
        return training_series(call, "finetune", &state, &several, print.json, e);
    training_experiment(call, "finetune", &state.data, &progress, &state.experiment);
    enum err_code code = finetune_run(&state, e);
    if (code == ERR_OK) {
        training_report(state.data.out);
        training_print_evaluation(&state.evaluation, print.json);
    }
    adapt_free(&state);
    return exit_code_of(code);
}

const struct command command_finetune = {
    .name = "finetune",
    .summary = "trains head and encoder for a task",
    .usage = "--data DIR --weights RUN|FILE|random --out RUN [--task NAME] [options]",
    .details =
        "Layer-wise learning rates, averaged weights; the best epoch by macro AUROC of the\n"
        "validation fold is kept and scored once on the test fold. --weights random trains from\n"
        "scratch. --adapt says what learns; what was learned beside the encoder is then also in\n"
        "adapter.safetensors, which `ecgfm convert --adapter` and its base make a model of. Goes "
        "on\n"
        "where the run folder has state. Writes model.safetensors, predictions.csv, metrics.json\n"
        "and report.html. --curve, --controls and --seeds make "
        "several runs, in "
        "folders of\n"
        "--out, and one table (table.md, .csv, .json).",
    .examples =
        "ecgfm finetune --data ptbxl --task super --weights runs/mae --out runs/finetune\n"
        "ecgfm finetune --data ptbxl --task super --weights random --out runs/finetune-random\n"
        "ecgfm finetune --data ptbxl --weights runs/mae --out runs/curve --curve --controls",
    .options = options,
    .argument_max = 0,
    .run = run,
};
