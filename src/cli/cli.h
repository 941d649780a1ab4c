/* The frame around commands: parsing, dispatch, talk on stderr, exit codes. */
#ifndef ECGFM_CLI_CLI_H
#define ECGFM_CLI_CLI_H

#include "base/option.h"
#include "cli/command.h"

/* What main() does. Returns the exit code. */
int cli_main(int argc, char **argv);

/* The options that every command has: rows for help, ending with OPTION_END. */
extern const struct option cli_frame_rows[];
extern const struct option cli_seed_rows[];

/* `ecgfm help`, `ecgfm help VERB`, `ecgfm --version`, on the given stream. */
void print_overview(FILE *out);
void print_help(FILE *out, const struct command *command);
void print_version(FILE *out);

/* Prints text broken at spaces so that lines end before column 100, following lines indented;
 * column is where the cursor is now. Ends with a newline. */
void print_wrapped(FILE *out, const char *text, int indent, int column);

#endif
