/* Reports: a run folder's plots (plots/NAME.svg) and its page (report.html), made from what else is
 * in the folder. They can be made again at any time, also while the run goes on; same files, same
 * bytes. */
#ifndef ECGFM_REPORT_REPORT_H
#define ECGFM_REPORT_REPORT_H

#include "base/err.h"

/* Reads the folder and writes plots and page, each file atomically; plots of earlier times that
 * have nothing to show any more are removed. A file that is broken is left out, which the page and
 * a warning say; *broken counts them (may be NULL). Of a series of runs (table.json) the runs' own
 * pages are made, too.
 * Errors: ERR_NOT_FOUND if it is no run folder, ERR_IO, ERR_MEMORY. */
enum err_code report_write(const char *folder, int *broken, struct err *e);

#endif
