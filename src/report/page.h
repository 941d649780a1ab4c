/* The page of a run: one HTML file that needs nothing else, no network and no script. It is also
 * well-formed XML, so that a parser can check it. Same folder, same bytes. */
#ifndef ECGFM_REPORT_PAGE_H
#define ECGFM_REPORT_PAGE_H

#include "base/buf.h"
#include "report/plots.h"

/* A plot that has something to show. */
struct drawn_plot {
    const struct plot *plot;
    struct figure figure;
};

/* Appends the page of a run folder. out->failed when out of memory. */
void page_write(const struct run_files *r, const struct drawn_plot *drawn, int count,
                struct buf *out);

#endif
