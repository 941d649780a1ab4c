#include "report/plots.h"

#include <math.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/str.h"
#include "report/text.h"

const struct plot plots[] = {
    {"label_efficiency", "Label efficiency",
     "Scores over the share of the training labels that a run was given, each inside the next "
     "larger one. "
     "Whiskers are bootstrap intervals, means over the seeds.",
     plot_label_efficiency},
    {"comparison", "Comparison",
     "Scores by task and method. Whiskers are bootstrap intervals, means over the seeds.",
     plot_comparison},
    {"learning", "Learning curves",
     "Means over the batches since the point before. The learning rate is that of the last step.",
     plot_learning},
    {"terms", "Terms of the loss",
     "What the loss is the weighted sum of, and what the objective watches beside it.", plot_terms},
    {"roc", "Receiver operating characteristic",
     "Sensitivity over the share of false alarms, for every threshold. The number behind a class "
     "is its "
     "AUROC, the one in brackets how many records have the class.",
     plot_roc},
    {"precision_recall", "Precision and recall",
     "Precision over sensitivity, for every threshold. The number behind a class is its average "
     "precision, the one in brackets the share of records that have it, which is what guessing "
     "reaches.",
     plot_precision_recall},
    {"reliability", "Reliability",
     "How often a class is there where the model gives it a probability: on the diagonal if the "
     "probabilities are right. Whiskers are 95 % Wilson intervals; below, the records in each bin.",
     plot_reliability},
    {"confusion", "Decisions by class",
     "Counts at the threshold of the class: rows are what is true, columns what was called. Shades "
     "are shares of the row.",
     plot_confusion},
    {"called", "Labels and calls",
     "Of the records that have the class of a row, the share that was called the class of a "
     "column.",
     plot_called},
    {"values", "Estimates",
     "Left: estimate over truth, on the line if exact. Right (Bland and Altman 1986): their "
     "difference "
     "over their mean, with its mean and 1.96 standard deviations about it.",
     plot_values},
    {0}};

struct panel *plot_panel(struct figure *f, struct arena *a, int columns, double width,
                         double height)
{
    int i = f->panel_count;
    struct panel *p = figure_add_panel(f, a);
    if (!p)
        return NULL;
    p->x = 4 + width * (i % columns);
    p->y = 4 + height * (double)(i / columns);
    p->width = width - 8;
    p->height = height - 8;
    f->width = fmax(f->width, 4 + width * (i % columns + 1));
    f->height = fmax(f->height, 4 + height * (i / columns + 1));
    return p;
}

const char *plot_name(struct arena *a, const char *name, int characters)
{
    int keep = text_length(name) > characters ? characters - 1 : characters;
    size_t length = 0, size = strlen(name);
    for (int i = 0; i < keep && length < size; i++) {
        size_t one = str_utf8_length(name + length, size - length);
        length += one ? one : 1;
    }
    const char *out =
        arena_printf(a, "%.*s%s", (int)length, name, length < size ? "\xe2\x80\xa6" : "");
    return out ? out : "";
}

double *plot_thresholds(const struct run_files *r, struct arena *a)
{
    int64_t K = r->predictions.class_count;
    double *out = arena_push_array(a, (size_t)K, sizeof *out);
    double common = json_number_at(r->metrics, "threshold"); /* null where the classes differ */
    const struct cJSON *classes = json_at(r->metrics, "classes");
    const struct cJSON *item = cJSON_IsArray(classes) ? classes->child : NULL;
    for (int64_t k = 0; out && k < K; k++, item = item ? item->next : NULL) {
        const char *name = json_text_at(item, "name");
        bool same = name && strcmp(name, r->predictions.class_names[k]) == 0;
        double own = same ? json_number_at(item, "threshold") : NAN;
        out[k] = isfinite(own) ? own : isfinite(common) ? common : METRIC_THRESHOLD;
    }
    return out;
}

uint8_t *plot_choose(const struct run_files *r, struct arena *a, int64_t most, int64_t *count)
{
    int64_t K = r->predictions.class_count;
    uint8_t *chosen = arena_push_array(a, (size_t)K, 1);
    *count = 0;
    for (; chosen && *count < most && *count < K; ++*count) {
        int64_t best = -1;
        for (int64_t k = 0; k < K; k++)
            if (!chosen[k] && (best < 0 || r->rankings[k].positives > r->rankings[best].positives))
                best = k;
        chosen[best] = 1;
    }
    return chosen;
}
