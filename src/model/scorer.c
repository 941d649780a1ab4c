#include "model/scorer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SCORER_BATCH 16

/* One recorded network for a fixed number of windows. */
struct scorer_tape {
    int64_t batch;
    struct tape *tape;
    struct tensor *signal, *features, *logits;
};

struct scorer {
    const struct model *model;
    float *values;
    struct param_table params; /* shares the model's table, closed */
    struct scorer_tape tapes[2];
    float *windows;           /* [SCORER_BATCH,L,T] */
    float *features, *logits; /* [SCORER_BATCH,F], [SCORER_BATCH,K] */
};

static enum err_code tape_open(struct scorer *s, struct scorer_tape *t, int64_t batch,
                               struct err *e)
{
    const struct model *m = s->model;
    t->batch = batch;
    t->tape = tape_new(backend_selected(), false);
    struct build b = {.tape = t->tape, .params = &s->params};
    t->signal = tape_input(t->tape, "signal", TENSOR_REAL, false, 3,
                           (int64_t[]){batch, m->contract.lead_count, m->contract.sample_count});
    struct encoding enc = model_encode(&b, m, t->signal, NULL);
    t->features = model_features(&b, m, enc.tokens);
    tape_keep(t->tape, t->features);
    if (m->classes.count > 0) {
        t->logits = model_logits(&b, m, t->features);
        tape_keep(t->tape, t->logits);
    }
    TRY(tape_plan(t->tape, NULL, e));
    tape_bind_parameters(t->tape, s->values, NULL);
    return ERR_OK;
}

enum err_code scorer_open(struct scorer **out, const struct model *m, const float *values,
                          struct err *e)
{
    struct scorer *s = calloc(1, sizeof *s);
    *out = s;
    ASSERT(s, "out of memory");
    s->model = m;
    s->values = values ? (float *)values : m->values;
    s->params = m->params;
    s->params.closed = true;
    size_t window = (size_t)(m->contract.lead_count * m->contract.sample_count);
    s->windows = aligned_calloc(SCORER_BATCH * window, sizeof(float));
    s->features = aligned_calloc(SCORER_BATCH * (size_t)model_feature_count(m), sizeof(float));
    s->logits = aligned_calloc(SCORER_BATCH * (size_t)m->classes.count + 1, sizeof(float));
    if (!s->windows || !s->features || !s->logits)
        FAIL(e, ERR_MEMORY, "no memory for windows of %lld samples",
             (long long)m->contract.sample_count);
    TRY(tape_open(s, &s->tapes[0], SCORER_BATCH, e));
    return tape_open(s, &s->tapes[1], 1, e);
}

void scorer_close(struct scorer *s)
{
    if (!s)
        return;
    for (int i = 0; i < 2; i++)
        tape_free(s->tapes[i].tape);
    free(s->windows);
    free(s->features);
    free(s->logits);
    free(s);
}

void scorer_run(struct scorer *s, const float *windows, int64_t n, float *features, float *logits)
{
    size_t window = (size_t)(s->model->contract.lead_count * s->model->contract.sample_count);
    size_t F = (size_t)model_feature_count(s->model), K = (size_t)s->model->classes.count;
    for (int64_t i = 0; i < n;) {
        struct scorer_tape *t = &s->tapes[n - i >= SCORER_BATCH ? 0 : 1];
        tape_bind(t->signal, windows + (size_t)i * window);
        tape_forward(t->tape);
        if (features)
            memcpy(features + (size_t)i * F, t->features->data,
                   (size_t)t->batch * F * sizeof(float));
        if (logits && K)
            memcpy(logits + (size_t)i * K, t->logits->data, (size_t)t->batch * K * sizeof(float));
        i += t->batch;
    }
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

/* Adds the rows of x [n,width] to sum[width], in order. */
static void sum_rows(double *sum, const float *x, int64_t n, int64_t width)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < width; j++)
            sum[j] += (double)x[i * width + j];
}

static enum err_code mean_out(float *out, const double *sum, int64_t n, int64_t width,
                              const char *what, struct err *e)
{
    for (int64_t j = 0; j < width; j++) {
        out[j] = (float)(sum[j] / (double)n);
        if (!isfinite(out[j]))
            FAIL(e, ERR_NUMERIC, "%s %lld of the model is not finite", what, (long long)j);
    }
    return ERR_OK;
}

enum err_code scorer_record(struct scorer *s, const float *x, int64_t samples, float *features,
                            float *logits, struct err *e)
{
    const struct contract *c = &s->model->contract;
    int64_t L = c->lead_count, T = c->sample_count, n = window_count(c, samples);
    int64_t F = model_feature_count(s->model), K = s->model->classes.count;
    if (n == 0)
        FAIL(e, ERR_LENGTH,
             "the recording has %.3f s (%lld samples at %g Hz), the model needs %.3f s",
             (double)samples / c->rate_hz, (long long)samples, c->rate_hz, (double)T / c->rate_hz);
    double *sums = calloc((size_t)(F + K), sizeof *sums);
    ASSERT(sums, "out of memory");
    for (int64_t done = 0; done < n; done += SCORER_BATCH) {
        int64_t part = n - done < SCORER_BATCH ? n - done : SCORER_BATCH;
        for (int64_t i = 0; i < part; i++)
            for (int64_t l = 0; l < L; l++)
                memcpy(s->windows + (i * L + l) * T,
                       x + l * samples + window_start(c, samples, done + i),
                       (size_t)T * sizeof(float));
        scorer_run(s, s->windows, part, s->features, s->logits);
        sum_rows(sums, s->features, part, F);
        sum_rows(sums + F, s->logits, part, K);
    }
    enum err_code code = features ? mean_out(features, sums, n, F, "feature", e) : ERR_OK;
    if (code == ERR_OK && logits)
        code = mean_out(logits, sums + F, n, K, "logit", e);
    free(sums);
    return code;
}

float score_from_logit(float logit) { return (float)(1.0 / (1.0 + exp(-(double)logit))); }
