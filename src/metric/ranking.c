#include <stdlib.h>
#include <string.h>

#include "metric/metric.h"

struct scored {
    double score;
    int32_t record;
};

static int by_falling_score(const void *a, const void *b)
{
    const struct scored *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return (x->record > y->record) - (x->record < y->record);
}

static enum err_code check(const double *scores, const uint8_t *labels, int64_t count,
                           struct err *e)
{
    if (count < 0 || count > INT32_MAX)
        FAIL(e, ERR_LIMIT, "%lld records to rank: expected at most %d", (long long)count,
             INT32_MAX);
    for (int64_t i = 0; i < count; i++) {
        if (isnan(scores[i]))
            FAIL(e, ERR_NUMERIC, "the score of record %lld is not a number", (long long)i);
        if (labels[i] > 1 && labels[i] != RANKING_UNKNOWN)
            FAIL(e, ERR_LABELS, "the label of record %lld is %d: expected 0 or 1", (long long)i,
                 labels[i]);
    }
    return ERR_OK;
}

enum err_code ranking_init(struct ranking *r, const double *scores, const uint8_t *labels,
                           int64_t count, struct err *e)
{
    memset(r, 0, sizeof *r);
    TRY(check(scores, labels, count, e));

    size_t n = (size_t)count, room = n ? n : 1;
    struct scored *order = malloc(room * sizeof *order);
    r->records = malloc(room * sizeof *r->records);
    r->scores = malloc(room * sizeof *r->scores);
    r->labels = malloc(room);
    r->last = malloc(room);
    if (!order || !r->records || !r->scores || !r->labels || !r->last) {
        free(order);
        ranking_free(r);
        FAIL(e, ERR_MEMORY, "out of memory to rank %lld records", (long long)count);
    }

    size_t known = 0;
    for (size_t i = 0; i < n; i++)
        if (labels[i] != RANKING_UNKNOWN)
            order[known++] = (struct scored){scores[i], (int32_t)i};
    n = known;
    qsort(order, n, sizeof *order, by_falling_score);
    r->count = (int64_t)n;
    r->given_count = count;
    r->probabilities = true;
    r->threshold = METRIC_THRESHOLD;
    for (size_t i = 0; i < n; i++) {
        r->records[i] = order[i].record;
        r->scores[i] = order[i].score;
        r->labels[i] = labels[order[i].record];
        r->last[i] = i + 1 == n || order[i + 1].score != order[i].score;
        r->positives += r->labels[i];
        r->probabilities = r->probabilities && order[i].score >= 0 && order[i].score <= 1;
    }
    free(order);
    return ERR_OK;
}

void ranking_free(struct ranking *r)
{
    free(r->records);
    free(r->scores);
    free(r->labels);
    free(r->last);
    memset(r, 0, sizeof *r);
}

bool ranking_has_both(const struct ranking *r)
{
    return r->positives > 0 && r->positives < r->count;
}
