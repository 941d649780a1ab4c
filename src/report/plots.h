/* The plots of a report: one row each. A plot looks at what a run folder holds and draws it, or
 * draws nothing where there is nothing of its kind. Its file is plots/NAME.svg. */
#ifndef ECGFM_REPORT_PLOTS_H
#define ECGFM_REPORT_PLOTS_H

#include "report/run_files.h"
#include "report/svg.h"

struct plot {
    const char *name;  /* of the file */
    const char *title; /* of the section */
    const char *help;  /* how to read it: one or two sentences */
    /* Adds panels to an empty figure, all in the arena; none: nothing to show.
     * Errors: ERR_MEMORY. */
    enum err_code (*draw)(const struct run_files *r, struct figure *f, struct arena *a,
                          struct err *e);
};

extern const struct plot plots[]; /* ends with a row without a name */

/* The rows' drawings, in plot_*.c. */
enum err_code plot_learning(const struct run_files *r, struct figure *f, struct arena *a,
                            struct err *e);
enum err_code plot_terms(const struct run_files *r, struct figure *f, struct arena *a,
                         struct err *e);
enum err_code plot_roc(const struct run_files *r, struct figure *f, struct arena *a, struct err *e);
enum err_code plot_precision_recall(const struct run_files *r, struct figure *f, struct arena *a,
                                    struct err *e);
enum err_code plot_reliability(const struct run_files *r, struct figure *f, struct arena *a,
                               struct err *e);
enum err_code plot_confusion(const struct run_files *r, struct figure *f, struct arena *a,
                             struct err *e);
enum err_code plot_called(const struct run_files *r, struct figure *f, struct arena *a,
                          struct err *e);
enum err_code plot_label_efficiency(const struct run_files *r, struct figure *f, struct arena *a,
                                    struct err *e);
enum err_code plot_comparison(const struct run_files *r, struct figure *f, struct arena *a,
                              struct err *e);
enum err_code plot_values(const struct run_files *r, struct figure *f, struct arena *a,
                          struct err *e);

/* What they share. The next panel of a grid of equal ones; the figure grows with it. NULL as
 * figure_add_panel. */
struct panel *plot_panel(struct figure *f, struct arena *a, int columns, double width,
                         double height);
/* A name of at most that many characters, the last an ellipsis; in the arena, "" when out of
 * memory. */
const char *plot_name(struct arena *a, const char *name, int characters);
/* The score of each class [class_count] at or above which it is called: as metrics.json says, else
 * METRIC_THRESHOLD. NULL when out of memory. */
double *plot_thresholds(const struct run_files *r, struct arena *a);
/* The classes to show where not all fit: those with most positives, in the order of the file.
 * Returns how many; chosen [class_count] is 1 for them. NULL when out of memory. */
uint8_t *plot_choose(const struct run_files *r, struct arena *a, int64_t most, int64_t *count);

#endif
