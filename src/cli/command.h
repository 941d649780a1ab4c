/* Commands: one row per verb (commands.def, cmd_*.c). Only this floor prints or exits.
 * stdout is data, stderr is talk.
 *
 * Every command understands --threads, --backend, --seed, --config FILE, --set key=value, --quiet,
 * --verbose and --help without declaring them: the frame (cli.c) parses them, selects the backend
 * and fills the invocation. */
#ifndef ECGFM_CLI_COMMAND_H
#define ECGFM_CLI_COMMAND_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/option.h"

enum exit_code {
    EXIT_FINE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_SOME_REFUSED = 3,
    EXIT_ALL_REFUSED = 4,
    EXIT_MODEL_REFUSED = 5,
    EXIT_INTERRUPTED = 75
};

struct command;

/* What a command gets after parsing. */
struct invocation {
    struct option_set options; /* the command's groups, filled, and "seed" */
    int argument_count;        /* what is not an option */
    char **arguments;
    int verbosity;        /* -1 quiet, 0, 1 verbose */
    bool color, progress; /* stderr is a terminal (and NO_COLOR is not set) */
    const struct command *command;
    int threads; /* --threads, resolved: at least 1; kernels are already set to it */
    uint64_t
        seed; /* --seed; a command with an option `seed` of its own sees the same value there */
    bool seed_set; /* not the default */
};

struct command {
    const char *name;
    const char *summary;  /* one line */
    const char *usage;    /* "[options] PATH..." after the name */
    const char *details;  /* paragraphs for `help VERB`; NULL: none */
    const char *examples; /* command lines, one a line; NULL: none */
    /* Registers the option groups (option_set_add) on targets that live in set->arena or static
     * memory; called before parsing and for help. NULL: no options of its own. */
    void (*options)(struct option_set *set);
    int argument_min, argument_max; /* -1: no bound */
    /* Returns the exit code; on failure fills *e (printed by main) and returns
     * exit_code_of(e->code) or what fits better. */
    int (*run)(struct invocation *call, struct err *e);
    /* Called in place of run where the command line is refused; the options that could be read are set.
     * NULL: nothing to do. */
    void (*refused)(const struct err *why);
};

extern const struct command *const commands[]; /* NULL-terminated, from commands.def */

/* The row of a name, or NULL. */
const struct command *command_find(const char *name);

/* USAGE -> 2, MODEL -> 5, INTERRUPTED -> 75, else 1. */
int exit_code_of(enum err_code code);

/* Computes in this precision from now on: f32, bf16 or int8. Where the backend or the machine does not
 * have it, says so and stays with float32. Before anything is recorded. */
void precision_select(const char *precision);

/* Prints a cJSON value as one line (or indented) on stdout. */
struct cJSON;
void print_json(const struct cJSON *value, bool indented);

/* Shows a progress line on stderr: on a terminal it replaces the one before (and log messages move
 * it down), elsewhere it is printed as a line. NULL takes the line away. Threads: safe. */
void print_progress(const struct invocation *call, const char *text);

#endif
