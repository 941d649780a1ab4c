/* JUnit XML of requirements, for continuous integration: one test suite "ecgfm eval", one case each. */
#ifndef ECGFM_CLI_JUNIT_H
#define ECGFM_CLI_JUNIT_H

#include "cli/requirement.h"

/* Writes judged requirements, atomically. Same requirements, same bytes: no time, no host. */
enum err_code junit_write(const char *path, const struct requirement *requirements, int count,
                          struct err *e);
/* Writes one case that is an error, so that the file of an earlier run is not taken for this one's.
 * What goes wrong here is not told: the error is. */
void junit_write_error(const char *path, const char *message);

#endif
