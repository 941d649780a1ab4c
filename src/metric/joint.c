#include "metric/joint.h"

#include <stdlib.h>
#include <string.h>

#define FMAX_STEPS 100

static bool is_called(const struct score_table *t, int64_t i, int64_t k)
{
    double threshold = t->thresholds ? t->thresholds[k] : METRIC_THRESHOLD;
    return t->scores[i * t->class_count + k] >= threshold;
}

static bool is_labelled(const struct score_table *t, int64_t i, int64_t k)
{
    return t->labels[i * t->class_count + k];
}

/* The first class with the highest score. */
static int64_t highest(const struct score_table *t, int64_t i)
{
    int64_t best = 0;
    for (int64_t k = 1; k < t->class_count; k++)
        if (t->scores[i * t->class_count + k] > t->scores[i * t->class_count + best])
            best = k;
    return best;
}

/* ---- F-max of records ---- */

static double sample_f(const struct score_table *t, double threshold)
{
    double precision = 0, recall = 0;
    int64_t with_call = 0, with_label = 0;
    for (int64_t i = 0; i < t->count; i++) {
        int64_t called = 0, labelled = 0, both = 0;
        for (int64_t k = 0; k < t->class_count; k++) {
            bool call = t->scores[i * t->class_count + k] >= threshold,
                 label = is_labelled(t, i, k);
            called += call;
            labelled += label;
            both += call && label;
        }
        with_call += called > 0;
        with_label += labelled > 0;
        precision += called ? (double)both / (double)called : 0;
        recall += labelled ? (double)both / (double)labelled : 0;
    }
    if (with_call == 0 || with_label == 0)
        return NAN;
    precision /= (double)with_call;
    recall /= (double)with_label;
    return precision + recall > 0 ? 2 * precision * recall / (precision + recall) : 0;
}

static double sample_fmax(const struct score_table *t)
{
    double best = NAN;
    for (int step = 0; step <= FMAX_STEPS; step++)
        best = fmax(best, sample_f(t, (double)step / FMAX_STEPS)); /* fmax leaves NaN aside */
    return best;
}

/* ---- macro averages of weighted counts ---- */

struct weighted {
    double true_positives, false_positives, false_negatives;
};

/* No class at all is. */
static bool is_silent(const struct score_table *t, int64_t i)
{
    for (int64_t k = 0; k < t->class_count; k++)
        if (is_called(t, i, k))
            return false;
    return true;
}

/* A record counts 1; or normalized: 1 by its labels, and where nothing is called, the highest is. */
static struct weighted weigh(const struct score_table *t, int64_t k, bool normalized)
{
    struct weighted w = {0};
    for (int64_t i = 0; i < t->count; i++) {
        bool call = is_called(t, i, k), label = is_labelled(t, i, k);
        if (normalized && !call && highest(t, i) == k)
            call = is_silent(t, i);
        if (!call && !label)
            continue;
        int64_t labels = 0;
        for (int64_t j = 0; j < t->class_count && normalized; j++)
            labels += is_labelled(t, i, j);
        double weight = labels > 1 ? 1 / (double)labels : 1;
        *(call && label ? &w.true_positives
          : call        ? &w.false_positives
                        : &w.false_negatives) += weight;
    }
    return w;
}

/* (1 + b) TP / ((1 + b) TP + FP + b FN) for F with b = beta^2; TP / (TP + FP + beta FN) for G. */
static double macro(const struct score_table *t, bool normalized, double gain, double missed)
{
    double sum = 0;
    int64_t defined = 0;
    for (int64_t k = 0; k < t->class_count; k++) {
        struct weighted w = weigh(t, k, normalized);
        double hits = gain * w.true_positives;
        double all = hits + w.false_positives + missed * w.false_negatives;
        if (all > 0) {
            sum += hits / all;
            defined++;
        }
    }
    return defined ? sum / (double)defined : NAN;
}

static double fbeta_normalized(const struct score_table *t) { return macro(t, true, 5, 4); }

static double gbeta_normalized(const struct score_table *t) { return macro(t, true, 1, 2); }

static double challenge_f_measure(const struct score_table *t) { return macro(t, false, 2, 1); }

static double exact_match(const struct score_table *t)
{
    int64_t right = 0;
    for (int64_t i = 0; i < t->count; i++) {
        bool all = true;
        for (int64_t k = 0; k < t->class_count && all; k++)
            all = is_called(t, i, k) == is_labelled(t, i, k);
        right += all;
    }
    return t->count ? (double)right / (double)t->count : NAN;
}

const struct joint_metric joint_metrics[] = {
    {"sample_fmax", "best F of the records' mean precision and recall at a common threshold",
     sample_fmax},
    {"fbeta_normalized",
     "macro F2 where a record counts 1 by the number of its labels; highest class if none is "
     "called",
     fbeta_normalized},
    {"gbeta_normalized",
     "macro G2 where a record counts 1 by the number of its labels; highest class if none is "
     "called",
     gbeta_normalized},
    {"challenge_f_measure", "macro F1 as the Challenges 2020 and 2021 average it",
     challenge_f_measure},
    {"exact_match", "share of records in which all classes are called right", exact_match},
    {NULL, NULL, NULL},
};

_Static_assert(sizeof joint_metrics / sizeof *joint_metrics == JOINT_METRIC_COUNT + 1, "count");

/* ---- Challenge 2017 ---- */

double cinc2017_f1(const struct score_table *t, const int64_t *chosen, int64_t chosen_count)
{
    double sum = 0;
    for (int64_t c = 0; c < chosen_count; c++) {
        int64_t labelled = 0, called = 0, both = 0;
        for (int64_t i = 0; i < t->count; i++) {
            bool call = highest(t, i) == chosen[c], label = is_labelled(t, i, chosen[c]);
            labelled += label;
            called += call;
            both += call && label;
        }
        sum += labelled + called ? 2 * (double)both / (double)(labelled + called) : NAN;
    }
    return chosen_count ? sum / (double)chosen_count : NAN;
}

/* ---- Challenges 2020 and 2021 ---- */

/* Sum over pairs of label and call. */
static double record_score(const struct challenge_matrix *m, const uint8_t *labels,
                           const uint8_t *calls)
{
    double sum = 0;
    int64_t either = 0;
    for (int64_t j = 0; j < m->class_count; j++)
        either += labels[j] || calls[j];
    for (int64_t j = 0; j < m->class_count; j++)
        for (int64_t k = 0; k < m->class_count && labels[j]; k++)
            if (calls[k])
                sum += m->weights[j * m->class_count + k];
    return either ? sum / (double)either : 0;
}

enum err_code challenge_compute(const struct score_table *t, const struct challenge_matrix *m,
                                const int64_t *place, struct challenge_score *out, struct err *e)
{
    size_t C = (size_t)m->class_count;
    uint8_t *labels = calloc(3 * C + 1, 1), *calls = labels + C, *normal = calls + C;
    *out = (struct challenge_score){0};
    if (!labels)
        FAIL(e, ERR_MEMORY, "out of memory for %zu classes", C);
    normal[m->normal] = 1;
    for (int64_t i = 0; i < t->count; i++) {
        memset(labels, 0, 2 * C);
        for (int64_t k = 0; k < t->class_count; k++)
            if (place[k] >= 0) {
                labels[place[k]] |= is_labelled(t, i, k);
                calls[place[k]] |= is_called(t, i, k);
            }
        out->observed += record_score(m, labels, calls);
        out->correct += record_score(m, labels, labels);
        out->inactive += record_score(m, labels, normal);
    }
    free(labels);
    out->score = out->correct == out->inactive
                     ? NAN
                     : (out->observed - out->inactive) / (out->correct - out->inactive);
    return ERR_OK;
}
