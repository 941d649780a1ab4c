/* ecgfm help: the overview, one command's page, or the whole reference as Markdown, all from the
 * option tables. */
#include <string.h>

#include <cjson/cJSON.h>
#include <sndfile.h>
#include <zlib.h>

#include "base/str.h"
#include "cli/cli.h"
#include "kernel/kernel.h"

#define WIDTH 100
#define HELP_COLUMN 34

static const char about[] = "ecgfm pre-trains, probes, fine-tunes and runs ECG foundation models. "
                            "For research: it is not a "
                            "medical device.";

void print_wrapped(FILE *out, const char *text, int indent, int column)
{
    int spaces = 0; /* owed before the next word: lines end without any */
    while (*text != '\0') {
        int word = (int)strcspn(text, " \n");
        if (word > 0) {
            if (column > indent && column + spaces + word >= WIDTH) {
                fputc('\n', out);
                column = spaces = 0;
            }
            if (column < indent)
                spaces = indent - column;
            fprintf(out, "%*s%.*s", spaces, "", word, text);
            column += spaces + word;
            spaces = 0;
        }
        text += word;
        if (*text == '\n') {
            fputc('\n', out);
            column = spaces = 0;
        } else if (*text == ' ') {
            spaces++;
        }
        text += *text != '\0';
    }
    if (column > 0)
        fputc('\n', out);
}

void print_overview(FILE *out)
{
    print_wrapped(out, about, 0, 0);
    fputs("\nusage: ecgfm COMMAND [options] [arguments]\n\ncommands:\n", out);
    for (int i = 0; commands[i] != NULL; i++)
        fprintf(out, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
    fputs("\necgfm help COMMAND shows the options of a command; ecgfm list shows what can be "
          "chosen;\n"
          "ecgfm --version shows the versions of the program and its libraries.\n"
          "\nexit codes: 0 all fine, 1 failed, 2 usage or configuration, 3 some records refused,\n"
          "4 all refused, 5 model refused, 75 interrupted (run again)\n",
          out);
}

static const char *type_word(const struct option *row)
{
    switch (row->type) {
    case OPTION_INT:
        return "N";
    case OPTION_FLOAT:
        return "X";
    case OPTION_BOOL:
        return NULL;
    case OPTION_STRING:
        return row->unit != NULL ? row->unit : "TEXT";
    case OPTION_CHOICE:
        return row->choices;
    }
    return NULL;
}

/* The default as text: what stands in the command's own target, so that a command that changes a
 * default shows it; rows without a target show their fallback. */
static const char *default_text(const struct option *row, const void *target, char *out,
                                size_t size)
{
    if (target == NULL)
        return row->fallback;
    const char *value = (const char *)target + row->offset;
    switch (row->type) {
    case OPTION_INT:
        snprintf(out, size, "%lld", (long long)*(const int64_t *)(const void *)value);
        return out;
    case OPTION_FLOAT:
        str_from_f64(*(const double *)(const void *)value, out, size);
        return out;
    case OPTION_BOOL:
        return *(const bool *)(const void *)value ? "true" : "false";
    case OPTION_STRING:
    case OPTION_CHOICE:
        return *(const char *const *)(const void *)value;
    }
    return row->fallback;
}

/* "--mae.mask-ratio X"; a switch that is on by default is shown by what turns it off. */
static void option_title(const char *prefix, const struct option *row, const char *fallback,
                         char *out, size_t size)
{
    bool on = row->type == OPTION_BOOL && fallback != NULL && strcmp(fallback, "true") == 0;
    const char *word = type_word(row);
    bool choice_fits = row->type != OPTION_CHOICE || strlen(row->choices) <= 20;
    int n = snprintf(out, size, "--%s%s%s%s", on ? "no-" : "", prefix, prefix[0] == '\0' ? "" : ".",
                     row->name);
    for (int i = 0; i < n && i < (int)size; i++)
        if (out[i] == '_')
            out[i] = '-';
    if (word != NULL && n >= 0 && n < (int)size)
        snprintf(out + n, size - (size_t)n, " %s", choice_fits ? word : "NAME");
}

/* "peak learning rate (default 0.001; 0 to 1)" */
static void option_notes(const struct option *row, const char *fallback, char *out, size_t size)
{
    char low[40], high[40];
    int n = snprintf(out, size, "%s", row->help);
    const char *lead = " (";
#define NOTE(...)                                                                                  \
    do {                                                                                           \
        if (n >= 0 && n < (int)size)                                                               \
            n += snprintf(out + n, size - (size_t)n, "%s", lead);                                  \
        if (n >= 0 && n < (int)size)                                                               \
            n += snprintf(out + n, size - (size_t)n, __VA_ARGS__);                                 \
        lead = "; ";                                                                               \
    } while (0)
    if (row->repeats)
        NOTE("may be repeated");
    if (row->type == OPTION_CHOICE && strlen(row->choices) > 20)
        NOTE("one of %s", row->choices);
    if (row->type == OPTION_BOOL) {
        if (fallback != NULL && strcmp(fallback, "true") == 0)
            NOTE("default: on");
    } else if (fallback != NULL && fallback[0] != '\0') {
        const char *unit = row->type == OPTION_STRING ? NULL : row->unit;
        NOTE("default %s%s%s", fallback, unit != NULL ? " " : "", unit != NULL ? unit : "");
    } else if (row->unit != NULL && row->type != OPTION_STRING) {
        NOTE("in %s", row->unit);
    }
    if ((row->type == OPTION_INT || row->type == OPTION_FLOAT) && row->min < row->max) {
        str_from_f64(row->min, low, sizeof low);
        str_from_f64(row->max, high, sizeof high);
        if (row->max < 1e9)
            NOTE("%s to %s", low, high);
        else if (row->min > -1e9)
            NOTE("at least %s", low);
    }
#undef NOTE
    if (lead[0] == ';' && n >= 0 && n < (int)size)
        snprintf(out + n, size - (size_t)n, ")");
}

static void print_rows(FILE *out, const char *prefix, const struct option *rows, const void *target)
{
    for (; rows->name != NULL; rows++) {
        char title[160], notes[1024], text[64];
        const char *fallback = default_text(rows, target, text, sizeof text);
        option_title(prefix, rows, fallback, title, sizeof title);
        option_notes(rows, fallback, notes, sizeof notes);
        int column = fprintf(out, "  %s", title);
        if (column > HELP_COLUMN - 2) {
            fputc('\n', out);
            column = 0;
        }
        print_wrapped(out, notes, HELP_COLUMN, column);
    }
}

/* Groups that share a prefix are shown as one, at the place of the first. */
static bool is_first_of_prefix(const struct option_set *set, int g)
{
    for (int before = 0; before < g; before++)
        if (strcmp(set->groups[before].prefix, set->groups[g].prefix) == 0)
            return false;
    return true;
}

static void print_examples(FILE *out, const char *examples, const char *indent)
{
    while (*examples != '\0') {
        size_t n = strcspn(examples, "\n");
        fprintf(out, "%s%.*s\n", indent, (int)n, examples);
        examples += n + (examples[n] == '\n');
    }
}

void print_help(FILE *out, const struct command *command)
{
    fprintf(out, "usage: ecgfm %s %s\n\n", command->name, command->usage);
    print_wrapped(out, command->summary, 0, 0);
    if (command->details != NULL) {
        fputc('\n', out);
        print_wrapped(out, command->details, 0, 0);
    }
    struct option_set set;
    option_set_init(&set);
    if (command->options != NULL)
        command->options(&set);
    bool own_seed = option_set_find(&set, "seed") != NULL;
    for (int g = 0; g < set.group_count; g++) {
        const char *prefix = set.groups[g].prefix;
        if (!is_first_of_prefix(&set, g))
            continue;
        fprintf(out, "\n%s%soptions:\n", prefix, prefix[0] == '\0' ? "" : " ");
        for (int h = g; h < set.group_count; h++)
            if (strcmp(set.groups[h].prefix, prefix) == 0)
                print_rows(out, prefix, set.groups[h].rows, set.groups[h].target);
    }
    option_set_free(&set);
    fputs("\ncommon options:\n", out);
    if (!own_seed)
        print_rows(out, "", cli_seed_rows, NULL);
    print_rows(out, "", cli_frame_rows, NULL);
    if (command->examples != NULL) {
        fputs("\nexamples:\n", out);
        print_examples(out, command->examples, "  ");
    }
}

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

void print_version(FILE *out)
{
    fprintf(out, "ecgfm %s\n%s\n", ECGFM_VERSION, kernel_description());
    fprintf(out, "%s, cJSON %s, zlib %s\n", sf_version_string(), cJSON_Version(), zlibVersion());
    fprintf(out, "compiled with %s\n", COMPILER);
}

/* ---- Markdown ---- */

/* Table cells must not hold a bare bar. */
static void print_cell(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '|')
            fputc('\\', out);
        fputc(*text == '\n' ? ' ' : *text, out);
    }
}

static const char markdown_head[] = "| option | meaning |\n|---|---|\n";

static void print_markdown_rows(FILE *out, const char *prefix, const struct option *rows,
                                const void *target)
{
    for (; rows->name != NULL; rows++) {
        char title[160], notes[1024], text[64];
        const char *fallback = default_text(rows, target, text, sizeof text);
        option_title(prefix, rows, fallback, title, sizeof title);
        option_notes(rows, fallback, notes, sizeof notes);
        fputs("| `", out);
        print_cell(out, title);
        fputs("` | ", out);
        print_cell(out, notes);
        fputs(" |\n", out);
    }
}

static const char markdown_top[] =
    "# Commands of ecgfm\n"
    "\n"
    "Made by `ecgfm help --markdown` from the option tables; do not edit.\n"
    "\n"
    "| command | |\n"
    "|---|---|\n";

static const char markdown_common[] =
    "\n"
    "Exit codes: 0 all fine, 1 failed, 2 usage or configuration, 3 some records refused, 4 all\n"
    "refused, 5 model refused, 75 interrupted (run again).\n"
    "\n"
    "## Common options\n"
    "\n"
    "Every command has them. An option `--mae.mask-ratio` is the key `mae.mask_ratio` for `--set` "
    "and\n"
    "`{\"mae\": {\"mask_ratio\": ...}}` in the file of `--config`. Flags are stronger than "
    "`--set`,\n"
    "which is stronger than the file.\n"
    "\n";

static void print_markdown(FILE *out)
{
    fputs(markdown_top, out);
    for (int i = 0; commands[i] != NULL; i++) {
        fprintf(out, "| [%s](#ecgfm-%s) | ", commands[i]->name, commands[i]->name);
        print_cell(out, commands[i]->summary);
        fputs(" |\n", out);
    }
    fputs(markdown_common, out);
    fputs(markdown_head, out);
    print_markdown_rows(out, "", cli_seed_rows, NULL);
    print_markdown_rows(out, "", cli_frame_rows, NULL);
    for (int i = 0; commands[i] != NULL; i++) {
        const struct command *command = commands[i];
        fprintf(out, "\n## ecgfm %s\n\n```\necgfm %s %s\n```\n\n", command->name, command->name,
                command->usage);
        print_wrapped(out, command->summary, 0, 0);
        if (command->details != NULL) {
            fputc('\n', out);
            print_wrapped(out, command->details, 0, 0);
        }
        struct option_set set;
        option_set_init(&set);
        if (command->options != NULL)
            command->options(&set);
        for (int g = 0; g < set.group_count; g++) {
            const char *prefix = set.groups[g].prefix;
            if (!is_first_of_prefix(&set, g))
                continue;
            if (prefix[0] != '\0')
                fprintf(out, "\nOptions of `%s`:\n", prefix);
            fprintf(out, "\n%s", markdown_head);
            for (int h = g; h < set.group_count; h++)
                if (strcmp(set.groups[h].prefix, prefix) == 0)
                    print_markdown_rows(out, prefix, set.groups[h].rows, set.groups[h].target);
        }
        option_set_free(&set);
        if (command->examples != NULL) {
            fputs("\n```\n", out);
            print_examples(out, command->examples, "");
            fputs("```\n", out);
        }
    }
}

/* ---- the command ---- */

struct help_options {
    bool markdown;
};

static struct help_options values;

static const struct option rows[] = {
    OPT_BOOL(help_options, markdown, "false",
             "the whole reference as Markdown (docs/reference.md)"),
    OPTION_END,
};

static void help_register(struct option_set *set) { option_set_add(set, "", rows, &values); }

static int help_run(struct invocation *call, struct err *e)
{
    if (values.markdown) {
        print_markdown(stdout);
        return EXIT_FINE;
    }
    if (call->argument_count == 0) {
        print_overview(stdout);
        return EXIT_FINE;
    }
    const struct command *command = command_find(call->arguments[0]);
    if (command == NULL) {
        const char *names[256] = {NULL};
        for (int i = 0; commands[i] != NULL && i < 255; i++)
            names[i] = commands[i]->name;
        int nearest = str_nearest(call->arguments[0], names);
        RAISE(e, ERR_USAGE, "unknown command %s%s%s%s", call->arguments[0],
              nearest >= 0 ? ": did you mean " : "", nearest >= 0 ? names[nearest] : "",
              nearest >= 0 ? "?" : "");
        return EXIT_USAGE;
    }
    print_help(stdout, command);
    return EXIT_FINE;
}

const struct command command_help = {
    .name = "help",
    .summary = "shows the commands, or the options of one",
    .usage = "[COMMAND]",
    .options = help_register,
    .argument_max = 1,
    .run = help_run,
};
