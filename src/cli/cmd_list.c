/* ecgfm list: the rows of the tables, so that names need not be guessed. */
#include <string.h>

#include <cjson/cJSON.h>

#include "base/str.h"
#include "cli/cli.h"
#include "data/augment.h"
#include "data/dataset.h"
#include "format/format.h"
#include "graph/tape.h"
#include "metric/metric.h"
#include "model/backbone.h"
#include "model/head.h"
#include "model/preset.h"
#include "nn/schedule.h"
#include "objective/objective.h"
#include "train/adaptation.h"
#include "train/classifier.h"
#include "train/recipe.h"
#include "train/series.h"

/* A family is a table walked by index: false beyond its end. */
struct family {
    const char *name;
    const char *what;
    bool (*row)(int i, const char **name, const char **help);
};

/* The walk over a NULL-terminated table whose rows have a name and the given member as help. */
#define TABLE(table, help_member)                                                                  \
    static bool table##_row(int i, const char **name, const char **help)                           \
    {                                                                                              \
        if (table[i] == NULL)                                                                      \
            return false;                                                                          \
        *name = table[i]->name;                                                                    \
        *help = table[i]->help_member;                                                             \
        return true;                                                                               \
    }
TABLE(augmentations, help)
TABLE(backbones, help)
TABLE(commands, summary)
TABLE(datasets, help)
TABLE(formats, help)
TABLE(metrics, help)
TABLE(objectives, help)
TABLE(ops, help)

static bool models_row(int i, const char **name, const char **help)
{
    *name = presets[i].name;
    *help = presets[i].json;
    return presets[i].name != NULL;
}

static bool adaptations_row(int i, const char **name, const char **help)
{
    *name = adaptations[i].name;
    *help = adaptations[i].help;
    return adaptations[i].name != NULL;
}

static bool classifiers_row(int i, const char **name, const char **help)
{
    *name = classifiers[i].name;
    *help = classifiers[i].help;
    return classifiers[i].name != NULL;
}

static bool heads_row(int i, const char **name, const char **help)
{
    *name = head_kinds[i].name;
    *help = head_kinds[i].help;
    return head_kinds[i].name != NULL;
}

static bool schedules_row(int i, const char **name, const char **help)
{
    *name = schedules[i].name;
    *help = schedules[i].help;
    return schedules[i].name != NULL;
}

static bool methods_row(int i, const char **name, const char **help)
{
    *name = series_methods[i].name;
    *help = series_methods[i].help;
    return series_methods[i].name != NULL;
}

static bool recipes_row(int i, const char **name, const char **help)
{
    *name = recipes[i].name;
    *help = recipes[i].help;
    return recipes[i].name != NULL;
}

static const struct family families[] = {
    {"adaptations", "what of an encoder learns a task (finetune --adapt)", adaptations_row},
    {"augmentations", "what training may do to a signal", augmentations_row},
    {"backbones", "networks that models are made of (network.backbone)", backbones_row},
    {"classifiers", "what is fitted to frozen features (probe --classifier)", classifiers_row},
    {"commands", "what ecgfm can do", commands_row},
    {"datasets", "what folders of records are understood", datasets_row},
    {"formats", "recordings that can be read", formats_row},
    {"heads", "how features become scores (--network.head)", heads_row},
    {"metrics", "what predictions are measured by", metrics_row},
    {"models", "presets (--model)", models_row},
    {"objectives", "what pre-training learns from (--objective)", objectives_row},
    {"ops", "what models are built from", ops_row},
    {"methods", "rows of a benchmark's table (--methods)", methods_row},
    {"recipes", "settings of fine-tuning by name (--recipe)", recipes_row},
    {"schedules", "how the learning rate goes (--schedule)", schedules_row},
};
enum { FAMILY_COUNT = sizeof families / sizeof *families };

struct list_options {
    bool json;
};

static struct list_options values;

static const struct option rows[] = {
    OPT_BOOL(list_options, json, "false", "JSON on standard output"),
    OPTION_END,
};

static void list_register(struct option_set *set) { option_set_add(set, "", rows, &values); }

static int list_run(struct invocation *call, struct err *e)
{
    const char *wanted = call->argument_count > 0 ? call->arguments[0] : NULL;
    cJSON *object = cJSON_CreateObject();
    bool found = false;
    for (int f = 0; f < FAMILY_COUNT; f++) {
        if (wanted != NULL && strcmp(wanted, families[f].name) != 0)
            continue;
        if (!values.json)
            printf("%s%s: %s\n", found ? "\n" : "", families[f].name, families[f].what);
        found = true;
        cJSON *list = cJSON_AddArrayToObject(object, families[f].name);
        const char *name, *help;
        for (int i = 0; families[f].row(i, &name, &help); i++) {
            cJSON *item = cJSON_CreateObject();
            cJSON_AddStringToObject(item, "name", name);
            cJSON_AddStringToObject(item, "help", help);
            cJSON_AddItemToArray(list, item);
            if (!values.json)
                print_wrapped(stdout, help, 22, printf("  %-18s  ", name));
        }
    }
    if (values.json && found)
        print_json(object, true);
    cJSON_Delete(object);
    if (found)
        return EXIT_FINE;
    const char *names[FAMILY_COUNT + 1] = {NULL};
    for (int f = 0; f < FAMILY_COUNT; f++)
        names[f] = families[f].name;
    int nearest = str_nearest(wanted, names);
    RAISE(e, ERR_USAGE, "unknown family %s%s%s%s; ecgfm list shows all", wanted,
          nearest >= 0 ? ": did you mean " : "", nearest >= 0 ? names[nearest] : "",
          nearest >= 0 ? "?" : "");
    return EXIT_USAGE;
}

const struct command command_list = {
    .name = "list",
    .summary = "lists the formats, data sets, models, objectives and other things to choose from",
    .usage = "[FAMILY]",
    .options = list_register,
    .argument_max = 1,
    .run = list_run,
};
