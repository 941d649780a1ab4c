#include "model/scorer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "graph/weights.h"

/* Windows run in the largest of these batches that they fill: whole batches keep the products large,
 * and the bits do not depend on which. */
static const int64_t batch_sizes[] = {32, 8, 4, 2, 1};
enum { BATCH_COUNT = sizeof batch_sizes / sizeof *batch_sizes, SCORER_BATCH = 32 };

/* One network for a fixed number of windows, recorded when it is first needed. */
struct scorer_tape {
    int64_t batch;
    bool refused; /* no memory for it: smaller batches do */
    struct tape *tape;
    struct tensor *signal, *features, *logits;
};

struct scorer {
    const struct model *model;
    struct weights *weights;
    struct param_table params; /* shares the model's table, closed */
    struct scorer_tape tapes[BATCH_COUNT];
    float *windows;           /* [SCORER_BATCH,L,T] */
    float *features, *logits; /* [SCORER_BATCH,F], [SCORER_BATCH,K] */
    int64_t *owners;          /* [SCORER_BATCH] record of each window that waits */
    int64_t waiting;
    bool forgotten; /* the pages of the model's file, once all that is large is packed */
};

static enum err_code tape_open(struct scorer *s, struct scorer_tape *t, struct err *e)
{
    const struct model *m = s->model;
    t->tape = tape_new(backend_selected(), false);
    struct build b = {.tape = t->tape, .params = &s->params};
    t->signal = tape_input(t->tape, "signal", TENSOR_REAL, false, 3,
                           (int64_t[]){t->batch, m->contract.lead_count, m->contract.sample_count});
    struct encoding enc = model_encode(&b, m, t->signal, NULL);
    t->features = model_features(&b, m, enc.tokens);
    tape_keep(t->tape, t->features);
    if (m->classes.count > 0) {
        t->logits = model_logits(&b, m, t->features);
        tape_keep(t->tape, t->logits);
    }
    TRY(tape_plan(t->tape, NULL, e));
    return tape_bind_weights(t->tape, s->weights, e);
}

/* The largest tape for at most n windows; that for one was recorded when the scorer was opened. */
static struct scorer_tape *tape_for(struct scorer *s, int64_t n)
{
    struct scorer_tape *t = s->tapes;
    for (;; t++) {
        if (t->batch > n || t->refused)
            continue;
        if (t->tape)
            return t;
        struct err e = {0};
        if (tape_open(s, t, &e) == ERR_OK)
            return t;
        log_warning("batches of %lld windows: %s", (long long)t->batch, e.message);
        tape_free(t->tape);
        t->tape = NULL;
        t->refused = true;
    }
}

/* Where each parameter lies. */
static struct weights *weights_of(const struct model *m, const float *values)
{
    struct weights *w = weights_new(backend_selected());
    for (int i = 0; i < m->params.count; i++) {
        int64_t at = m->params.items[i]->offset;
        struct weight place =
            values ? (struct weight){values + at, STORAGE_F32, NULL} : model_weight(m, i);
        weights_add(w, at, &place);
    }
    return w;
}

enum err_code scorer_open(struct scorer **out, const struct model *m, const float *values,
                          struct err *e)
{
    struct scorer *s = calloc(1, sizeof *s);
    *out = s;
    ASSERT(s, "out of memory");
    s->model = m;
    s->weights = weights_of(m, values);
    s->params = m->params;
    s->params.closed = true;
    size_t window = (size_t)(m->contract.lead_count * m->contract.sample_count);
    s->windows = large_alloc(SCORER_BATCH * window * sizeof(float));
    s->features = large_alloc(SCORER_BATCH * (size_t)model_feature_count(m) * sizeof(float));
    s->logits = large_alloc(SCORER_BATCH * (size_t)m->classes.count * sizeof(float));
    if (!s->windows || !s->features || !s->logits)
        FAIL(e, ERR_MEMORY, "no memory for windows of %lld samples",
             (long long)m->contract.sample_count);
    s->owners = calloc(SCORER_BATCH, sizeof *s->owners);
    ASSERT(s->owners, "out of memory");
    for (int i = 0; i < BATCH_COUNT; i++)
        s->tapes[i].batch = batch_sizes[i];
    return tape_open(s, &s->tapes[BATCH_COUNT - 1], e);
}

void scorer_weights_changed(struct scorer *s) { weights_changed(s->weights); }

void scorer_close(struct scorer *s)
{
    if (!s)
        return;
    for (int i = 0; i < BATCH_COUNT; i++)
        tape_free(s->tapes[i].tape);
    weights_free(s->weights);
    free(s->windows);
    free(s->features);
    free(s->logits);
    free(s->owners);
    free(s);
}

void scorer_run(struct scorer *s, const float *windows, int64_t n, float *features, float *logits)
{
    size_t window = (size_t)(s->model->contract.lead_count * s->model->contract.sample_count);
    size_t F = (size_t)model_feature_count(s->model), K = (size_t)s->model->classes.count;
    for (int64_t i = 0; i < n;) {
        struct scorer_tape *t = tape_for(s, n - i);
        tape_bind(t->signal, windows + (size_t)i * window);
        tape_forward(t->tape);
        if (features)
            memcpy(features + (size_t)i * F, t->features->data,
                   (size_t)t->batch * F * sizeof(float));
        if (logits && K)
            memcpy(logits + (size_t)i * K, t->logits->data, (size_t)t->batch * K * sizeof(float));
        i += t->batch;
    }
    if (!s->forgotten && weights_are_packed(s->weights)) {
        model_forget_pages(s->model);
        s->forgotten = true;
    }
}

struct tape *scorer_tape(struct scorer *s, int64_t n)
{
    const struct scorer_tape *t = tape_for(s, n);
    return t->batch == n ? t->tape : NULL;
}

int64_t scorer_feature_count(const struct scorer *s) { return model_feature_count(s->model); }

int64_t window_count(const struct contract *c, int64_t samples)
{
    int64_t T = c->sample_count, rest = samples - T, stride = T / 2 > 0 ? T / 2 : 1;
    return rest < 0 ? 0 : 1 + (rest + stride - 1) / stride;
}

int64_t window_start(const struct contract *c, int64_t samples, int64_t i)
{
    int64_t n = window_count(c, samples);
    return n > 1 ? i * (samples - c->sample_count) / (n - 1) : 0;
}

/* Runs the windows that wait and adds their results to the sums [record, F+K], in order. */
static void flush(struct scorer *s, double *sums)
{
    int64_t F = model_feature_count(s->model), K = s->model->classes.count;
    scorer_run(s, s->windows, s->waiting, s->features, s->logits);
    for (int64_t w = 0; w < s->waiting; w++) {
        double *sum = sums + s->owners[w] * (F + K);
        for (int64_t j = 0; j < F; j++)
            sum[j] += (double)s->features[w * F + j];
        for (int64_t k = 0; k < K; k++)
            sum[F + k] += (double)s->logits[w * K + k];
    }
    s->waiting = 0;
}

static bool mean_out(float *out, const double *sum, int64_t n, int64_t width)
{
    bool finite = true;
    for (int64_t j = 0; j < width; j++) {
        float mean = (float)(sum[j] / (double)n);
        finite = finite && isfinite(mean);
        if (out)
            out[j] = mean;
    }
    return finite;
}

void scorer_records(struct scorer *s, struct scored *records, int64_t n)
{
    const struct contract *c = &s->model->contract;
    int64_t L = c->lead_count, T = c->sample_count;
    int64_t F = model_feature_count(s->model), K = s->model->classes.count;
    double *sums = calloc((size_t)(n * (F + K)), sizeof *sums);
    ASSERT(sums || n == 0, "out of memory");
    for (int64_t r = 0; r < n; r++)
        for (int64_t i = 0; i < window_count(c, records[r].samples); i++) {
            int64_t start = window_start(c, records[r].samples, i);
            for (int64_t l = 0; l < L; l++)
                memcpy(s->windows + (s->waiting * L + l) * T,
                       records[r].x + l * records[r].samples + start, (size_t)T * sizeof(float));
            s->owners[s->waiting++] = r;
            if (s->waiting == SCORER_BATCH)
                flush(s, sums);
        }
    flush(s, sums);
    for (int64_t r = 0; r < n; r++) {
        int64_t windows = window_count(c, records[r].samples);
        const double *sum = sums + r * (F + K);
        records[r].code = windows == 0 ? ERR_LENGTH : ERR_OK;
        bool finite = windows == 0 || mean_out(records[r].features, sum, windows, F);
        finite = windows == 0 || (mean_out(records[r].logits, sum + F, windows, K) && finite);
        if (!finite)
            records[r].code = ERR_NUMERIC;
    }
    free(sums);
}

void scored_explain(const struct scorer *s, const struct scored *r, struct err *e)
{
    const struct contract *c = &s->model->contract;
    if (r->code == ERR_LENGTH)
        RAISE(e, ERR_LENGTH, "the recording has %.3f s, the model needs %.3f s",
              (double)r->samples / c->rate_hz, (double)c->sample_count / c->rate_hz);
    if (r->code == ERR_NUMERIC)
        RAISE(e, ERR_NUMERIC, "the model's output is not finite");
}

float score_from_logit(float logit) { return (float)(1.0 / (1.0 + exp(-(double)logit))); }
