#include "cli/training.h"

static struct adapt state;
static struct series_options several;
static struct print_options {
    bool json;
} print;

static const struct option print_rows[] = {OPT_BOOL(print_options, json, "false",
                                                    "print table.json instead of a table"),
                                           OPTION_END};

static void options(struct option_set *set)
{
    finetune_options_add(&state, set);
    option_set_add(set, "", benchmark_rows, &several);
    option_set_add(set, "", print_rows, &print);
    struct err e = {0};
    ASSERT(option_set_text(set, "weights", "random", OPTION_FROM_DEFAULT, &e) == ERR_OK,
           "default of weights: %s", e.message);
}

static int run(struct invocation *call, struct err *e)
{
    return training_series(call, "benchmark", &state, &several, print.json, e);
}

const struct command command_benchmark = {
    .name = "benchmark",
    .summary = "runs every task of a data set and prints the table as it is published",
    .usage = "--data DIR --out DIR [--tasks NAME,...] [--methods NAME,...] [--weights RUN|FILE] "
             "[options]",
    .details =
        "Each run (task x method x fraction x seed) has a folder in --out. One that is complete "
        "is\n"
        "not made again; after an interruption (exit 75) the same command goes on. On PTB-XL the\n"
        "published protocol is the default: label rule, folds, crops of 2.5 s, the greatest "
        "probability\n"
        "over windows of 2.5 s, six tasks; --recipe ptbxl-benchmark trains as published. A cell\n"
        ".925(07) is the macro AUROC of the test fold, over the classes with both labels in it, "
        "and\n"
        "the longer half of the 90 % interval of 100 bootstrap draws in thousandths. Writes "
        "table.md,\n"
        "table.csv, table.json and report.html.",
    .examples = "ecgfm benchmark --data ptbxl --out runs/bench --model xresnet1d50 --recipe "
                "ptbxl-benchmark\n"
                "ecgfm benchmark --data ptbxl --out runs/mae-bench --weights runs/mae --methods "
                "finetune,probe --controls --seeds 3",
    .options = options,
    .argument_max = 0,
    .run = run,
};
