/* ecgfm inspect: says what a path holds. The kinds of path are rows of a table. */
#include "base/file.h"
#include "base/str.h"
#include "cli/inspect.h"

struct inspect_options inspect_options;

static const struct option rows[] = {
    OPT_BOOL(inspect_options, json, "false", "JSON on standard output instead of the table"),
    OPT_TEXT(inspect_options, samples, NULL, "FILE.npy",
             "write the samples of a record: float32 [leads, samples] in mV, NaN where invalid"),
    OPT_BOOL(inspect_options, strict, "false",
             "refuse a record with a wrong checksum or first value, or with missing samples"),
    OPT_BOOL(inspect_options, high_resolution, "false",
             "signals of differing rates: all at the highest, not the mean of each frame"),
    OPT_TEXT(inspect_options, dataset, NULL, "NAME",
             "kind of data set in a folder (ecgfm list datasets); recognized without it"),
    OPT_TEXT(inspect_options, task, NULL, "NAME", "task of a data set whose classes are listed"),
    OPT_FLOAT(inspect_options, rate, "0", 0, 100000, "Hz",
              "sampling rate of the files to read where a data set has several; 0: its default"),
    OPTION_END,
};

static void inspect_register(struct option_set *set)
{
    option_set_add(set, "", rows, &inspect_options);
}

static bool is_any(const char *path)
{
    (void)path;
    return true;
}

static bool is_model(const char *path) { return str_ends_with(path, ".safetensors"); }

/* The first row that takes a path shows it. */
static const struct {
    bool (*takes)(const char *path);
    int (*show)(struct invocation *call, const char *path, struct err *e);
} kinds[] = {
    {dir_exists, inspect_dataset},
    {is_model, inspect_model},
    {is_checkpoint, inspect_checkpoint},
    {is_any, inspect_record},
};

static int inspect_run(struct invocation *call, struct err *e)
{
    const char *path = call->arguments[0];
    int i = 0;
    while (!kinds[i].takes(path))
        i++;
    return kinds[i].show(call, path, e);
}

const struct command command_inspect = {
    .name = "inspect",
    .summary = "shows what a record, a data set, a model file or a checkpoint holds, with every "
               "problem found",
    .usage = "[options] PATH",
    .details =
        "A record is named by its header (.hea), by its name without the extension, or by a signal "
        "or annotation file beside the header.\n"
        "\n"
        "Problems are shown as flags and sentences and do not change the exit code: short (fewer "
        "samples in the files than declared), checksum-mismatch and initial-mismatch (the samples "
        "are not those that the header was written for), checksum-absent, gaps, default-gain, "
        "default-rate. With --strict the first three are errors.\n"
        "\n"
        "A data set is named by its folder. Its tables and every recording are read; listed are "
        "rates, leads and lengths, patients, age and sex, records per fold, task and class, and "
        "each "
        "problem as one line of record, code and reason. Records left out or unreadable make the "
        "exit code 3 (4 if nothing can be read).\n"
        "\n"
        "A model file tells its input, classes, network, making and parameters. A checkpoint of "
        "PyTorch (.pt) is read without executing anything in it: what it holds, and whether it is "
        "a "
        "model of fairseq-signals that convert reads.",
    .examples = "ecgfm inspect ptbxl/records100/00000/00001_lr.hea\n"
                "ecgfm inspect mitdb/100 --json --samples 100.npy\n"
                "ecgfm inspect ptbxl --task rhythm",
    .options = inspect_register,
    .argument_min = 1,
    .argument_max = 1,
    .run = inspect_run,
};
