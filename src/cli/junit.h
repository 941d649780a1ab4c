/* JUnit XML of requirements, for continuous integration: one test suite "ecgfm eval", one case each. */
#ifndef ECGFM_CLI_JUNIT_H
#define ECGFM_CLI_JUNIT_H

#include "cli/requirement.h"

/* Writes judged requirements, atomically. Same requirements, same bytes: no time, no host. */
enum err_code junit_write(const char *path, const struct requirement *requirements, int count,
                          struct err *e);

#endif
