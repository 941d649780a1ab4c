#include <stdio.h>
#include <string.h>

#include "cli/training.h"
#include "train/pretrain.h"

static struct pretrain state;

static void options(struct option_set *set) { pretrain_options_add(&state, set); }

static int run(struct invocation *call, struct err *e)
{
    struct training_progress progress;
    training_experiment(call, "pretrain", &state.data, &progress, &state.experiment);
    enum err_code code = pretrain_run(&state, e);
    if (code == ERR_OK) {
        training_report(state.data.out);
        printf("%s/model.safetensors\n", state.data.out);
    }
    pretrain_free(&state);
    return exit_code_of(code);
}

const struct command command_pretrain = {
    .name = "pretrain",
    .summary = "learns an encoder from records without labels",
    .usage = "--data DIR --out RUN [--model PRESET] [--objective NAME[+NAME]] [options]",
    .details =
        "Reads the training folds of a data set and learns an encoder; prints the path of its\n"
        "file. If the run folder has state of the same run, it goes on from there: a run that was\n"
        "killed ends with the same bytes as one that was not. SIGTERM, SIGINT and SIGUSR1 save "
        "the\n"
        "state and exit 75. Records that cannot be used are listed in quarantine.csv; report.html "
        "shows\n"
        "how it went.",
    .examples =
        "ecgfm pretrain --data ptbxl --model vit-tiny --objective mae --out runs/mae\n"
        "ecgfm pretrain --data ptbxl --objective mae+simclr --out runs/both --epochs 100\n"
        "ecgfm pretrain --data ptbxl --objective ecg-fm --model ecg-fm-small --out runs/fm\n"
        "ecgfm pretrain --data ptbxl --out runs/deep --set vit.depth=12 --set "
        "mae.mask_ratio=0.6",
    .options = options,
    .argument_max = 0,
    .run = run,
};
