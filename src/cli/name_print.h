/* Names of strangers (classes, values, groups) in the columns of a table on a terminal. */
#ifndef ECGFM_CLI_NAME_PRINT_H
#define ECGFM_CLI_NAME_PRINT_H

/* Characters that name_print takes: those of the name, at most 40. */
int name_width(const char *name);
/* Prints a name, cut after 40 characters, and spaces up to the width. Control characters, and bytes that
 * are no UTF-8, are printed as "?". */
void name_print(const char *name, int width);

#endif
