/* One result for a class of a record from those of its windows, as the class says (struct model_classes):
 *   mean_logit  the mean of the logits
 *   mean        the mean of the probabilities
 *   max         the greatest probability: for findings that may show in one window only
 * Results are logits whatever is averaged, so that everything above treats all classes alike; the
 * probability of the result is the mean or the greatest of the windows' up to rounding. The result of one
 * window is its own logit to the bit. */
#ifndef ECGFM_MODEL_AGGREGATE_H
#define ECGFM_MODEL_AGGREGATE_H

#include <stdbool.h>
#include <stdint.h>

enum aggregation { AGGREGATE_MEAN_LOGIT, AGGREGATE_MEAN, AGGREGATE_MAX };

/* "mean_logit", "mean", "max"; NULL-terminated, in the order of the enum. */
extern const char *const aggregation_names[];
/* NULL is mean_logit. False for an unknown name. */
bool aggregation_parse(const char *name, enum aggregation *out);

/* The windows so far. */
struct aggregate {
    enum aggregation kind;
    int64_t count;
    bool broken; /* a logit was not finite */
    float first;
    double a, b; /* sum, or greatest, of logits; sums of probabilities and of their complements */
};

/* Without windows, the kind kept. */
void aggregate_reset(struct aggregate *g);
void aggregate_add(struct aggregate *g, float logit);
/* After at least one window. Finite if all logits were, else NaN. */
float aggregate_logit(const struct aggregate *g);

#endif
