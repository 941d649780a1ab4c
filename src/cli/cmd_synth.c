/* ecgfm synth: a synthetic data set in PTB-XL layout. */
#include <string.h>

#include <cjson/cJSON.h>

#include "cli/command.h"
#include "data/synth_dataset.h"

struct synth_options {
    const char *out;
    int64_t records;
    const char *rate;
    double duration;
    bool overwrite;
    bool json;
};

static struct synth_options values;

static const struct option rows[] = {
    OPT_TEXT(synth_options, out, NULL, "DIR", "folder to write"),
    OPT_INT(synth_options, records, "400", 1, SYNTH_RECORDS_MAX, NULL, "number of recordings"),
    OPT_CHOICE(synth_options, rate, "100", "100|500|both", "sampling rates to write, in Hz"),
    OPT_FLOAT(synth_options, duration, "10", 2, 600, "s", "length of each recording"),
    OPT_BOOL(synth_options, overwrite, "false",
             "write into a folder that holds other things (a genuine PTB-XL is refused even so)"),
    OPT_BOOL(synth_options, json, "false", "summary as JSON on standard output"),
    OPTION_END,
};

static void synth_register(struct option_set *set) { option_set_add(set, "", rows, &values); }

static void show_progress(void *context, int64_t done, int64_t total)
{
    const struct invocation *call = context;
    if (!call->progress || (done % 16 != 0 && done != total))
        return;
    char text[64];
    snprintf(text, sizeof text, "record %lld of %lld", (long long)done, (long long)total);
    print_progress(call, text);
}

static void print_summary(const struct synth_set_summary *s)
{
    if (values.json) {
        cJSON *object = cJSON_CreateObject();
        cJSON_AddStringToObject(object, "folder", values.out);
        cJSON_AddBoolToObject(object, "synthetic", true);
        cJSON_AddNumberToObject(object, "records", (double)s->record_count);
        cJSON_AddNumberToObject(object, "patients", (double)s->patient_count);
        cJSON_AddNumberToObject(object, "statements", (double)s->statement_count);
        cJSON *classes = cJSON_AddObjectToObject(object, "classes");
        for (int c = 0; c < SYNTH_CLASSES; c++)
            cJSON_AddNumberToObject(classes, synth_class_names[c], (double)s->class_count[c]);
        cJSON *folds = cJSON_AddArrayToObject(object, "folds");
        for (int f = 0; f < 10; f++)
            cJSON_AddItemToArray(folds, cJSON_CreateNumber((double)s->fold_count[f]));
        print_json(object, false);
        cJSON_Delete(object);
        return;
    }
    printf("%s: %lld synthetic records of %lld invented patients, %lld kinds of statements\n",
           values.out, (long long)s->record_count, (long long)s->patient_count,
           (long long)s->statement_count);
    for (int c = 0; c < SYNTH_CLASSES; c++)
        printf("%s %lld%s", synth_class_names[c], (long long)s->class_count[c],
               c + 1 < SYNTH_CLASSES ? ", " : "");
    printf(", none of these %lld\n", (long long)s->other_count);
}

static int synth_run(struct invocation *call, struct err *e)
{
    if (values.out == NULL || values.out[0] == '\0') {
        RAISE(e, ERR_USAGE, "--out is missing: the folder to write the data set to");
        return EXIT_USAGE;
    }
    struct synth_set set = {.folder = values.out,
                            .record_count = values.records,
                            .seed = call->seed,
                            .duration_s = values.duration,
                            .at_100_hz = strcmp(values.rate, "500") != 0,
                            .at_500_hz = strcmp(values.rate, "100") != 0,
                            .overwrite = values.overwrite,
                            .threads = call->threads,
                            .progress = show_progress,
                            .progress_context = call};
    struct synth_set_summary summary;
    enum err_code code = synth_set_write(&set, &summary, e);
    print_progress(call, NULL);
    if (code != ERR_OK)
        return exit_code_of(code);
    print_summary(&summary);
    return EXIT_FINE;
}

const struct command command_synth = {
    .name = "synth",
    .summary = "makes a synthetic 12-lead data set in PTB-XL layout, plainly marked as such",
    .usage = "--out DIR [--records N] [--seed S] [--rate 100|500|both]",
    .details =
        "Records come from a model of the heart's electrical vector with rhythm, conduction, "
        "infarction, ST-T change, hypertrophy and noise, and carry PTB-XL statements. They are for "
        "tests, demonstrations and learning the program: figures measured on them say nothing "
        "about "
        "patients.\n\n"
        "A record depends on the seed and its number alone, so a longer set begins with the same "
        "records, and making a set twice gives the same bytes. A synthetic set that is already in "
        "DIR is replaced; anything else in DIR is refused without --overwrite.",
    .examples = "ecgfm synth --out demo/data --records 400 --seed 1\n"
                "ecgfm synth --out big --records 5000 --rate both",
    .options = synth_register,
    .argument_max = 0,
    .run = synth_run,
};
