#include "model/scorer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "graph/weights.h"
#include "model/aggregate.h"

/* Windows run in the largest of these batches that they fill: whole batches keep the products large,
 * and the bits do not depend on which. */
static const int64_t batch_sizes[] = {32, 8, 4, 2, 1};
enum { BATCH_COUNT = sizeof batch_sizes / sizeof *batch_sizes, SCORER_BATCH = 32 };

/* More than this runs in smaller batches: tokens of a batch, and bytes of attention seen in one. */
#define BATCH_TOKENS_MAX 32768
#define ATTENTION_BYTES_MAX ((int64_t)1 << 30)

/* One network for a fixed number of windows, recorded when it is first needed. */
struct scorer_tape {
    int64_t batch;
    bool refused; /* too large for memory: smaller batches do */
    struct tape *tape;
    struct tensor *signal, *lengths, *features, *logits, *tokens, *saliency;
    struct attention_tap tap; /* weights: with options.attention */
};

/* A window that waits for its batch. */
struct waiting {
    struct scored *record;
    int64_t index;
};

struct scorer {
    const struct model *model;
    struct scorer_options options;
    struct contract contract; /* the model's, with the windows of the options */
    int64_t token_count;
    struct weights *weights;
    struct param_table params; /* shares the model's table, closed */
    struct scorer_tape tapes[BATCH_COUNT];
    float *windows;        /* [SCORER_BATCH,L,T] */
    int32_t *lengths;      /* [SCORER_BATCH] */
    struct waiting *queue; /* [SCORER_BATCH] */
    int64_t waiting;
    double *sums;              /* [F] over the windows of a record so far */
    struct aggregate *classes; /* [K] */
    void (*visit)(void *context, const struct window *w);
    void *visitor;
    bool forgotten; /* the pages of the model's file, once all that is large is packed */
};

static bool sees_attention(const struct scorer *s)
{
    return s->options.saliency || s->options.attention;
}

/* What the encoder leaves for those who asked. */
static enum err_code record_seen(struct scorer *s, struct scorer_tape *t, struct err *e)
{
    struct attention_tap *tap = &t->tap;
    if (tap->count == 0)
        FAIL(e, ERR_MODEL, "backbone %s has no attention to show", s->model->backbone->name);
    if (s->options.saliency) {
        t->saliency = t_attention_weights(t->tape, tap->qkv, tap->lengths, tap->heads, true);
        tape_keep(t->tape, t->saliency);
    }
    if (!s->options.attention)
        return ERR_OK;
    int64_t bytes = t->batch * s->token_count * s->token_count * (int64_t)sizeof(float);
    if (bytes * tap->count > ATTENTION_BYTES_MAX)
        FAIL(e, ERR_LIMIT,
             "attention among %lld tokens in %d layers is %.1f GiB for a batch of %lld windows, "
             "more than %.1f",
             (long long)s->token_count, tap->count, (double)bytes * tap->count / 0x1p30,
             (long long)t->batch, (double)ATTENTION_BYTES_MAX / 0x1p30);
    for (int i = 0; i < tap->count; i++)
        tape_keep(t->tape, tap->weights[i]);
    return ERR_OK;
}

static enum err_code tape_open(struct scorer *s, struct scorer_tape *t, struct err *e)
{
    const struct model *m = s->model;
    t->tape = tape_new(backend_selected(), false);
    t->tap = (struct attention_tap){.every = s->options.attention};
    struct build b = {.tape = t->tape,
                      .params = &s->params,
                      .tap = sees_attention(s) ? &t->tap : NULL};
    t->signal = tape_input(t->tape, "signal", TENSOR_REAL, false, 3,
                           (int64_t[]){t->batch, s->contract.lead_count, s->contract.sample_count});
    struct masking masking = {0};
    if (s->options.lengths)
        masking.lengths = t->lengths =
            tape_input(t->tape, "lengths", TENSOR_INDEX, false, 1, &t->batch);
    struct encoding enc = model_encode(&b, m, t->signal, &masking);
    if (sees_attention(s))
        TRY(record_seen(s, t, e));
    if (s->options.tokens)
        tape_keep(t->tape, t->tokens = enc.tokens);
    t->features = model_pool(&b, m, &enc);
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
        if (t->batch * s->token_count > BATCH_TOKENS_MAX) {
            t->refused = true;
            continue;
        }
        if (tape_open(s, t, &e) == ERR_OK)
            return t;
        if (e.code != ERR_LIMIT)
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

static enum err_code check_options(const struct model *m, const struct scorer_options *o,
                                   struct err *e)
{
    if (o->lengths && !m->backbone->hides)
        FAIL(e, ERR_MODEL, "backbone %s has no mask for padding", m->backbone->name);
    if (o->sample_count && o->sample_count != m->contract.sample_count)
        TRY(model_takes(m, o->sample_count, e));
    return ERR_OK;
}

enum err_code scorer_open_for(struct scorer **out, const struct model *m, const float *values,
                              const struct scorer_options *options, struct err *e)
{
    struct scorer *s = calloc(1, sizeof *s);
    *out = s;
    ASSERT(s, "out of memory");
    s->model = m;
    if (options)
        s->options = *options;
    TRY(check_options(m, &s->options, e));
    s->contract = m->contract;
    if (s->options.sample_count)
        s->contract.sample_count = s->options.sample_count;
    int64_t L = s->contract.lead_count, T = s->contract.sample_count;
    s->token_count = m->backbone->token_count(m->config, L, T);
    s->weights = weights_of(m, values);
    s->params = m->params;
    s->params.closed = true;
    s->windows = large_alloc(SCORER_BATCH * (size_t)(L * T) * sizeof(float));
    if (!s->windows)
        FAIL(e, ERR_MEMORY, "no memory for windows of %lld samples", (long long)T);
    s->lengths = calloc(SCORER_BATCH, sizeof *s->lengths);
    s->queue = calloc(SCORER_BATCH, sizeof *s->queue);
    s->sums = calloc((size_t)model_feature_count(m), sizeof *s->sums);
    s->classes = calloc((size_t)m->classes.count + 1, sizeof *s->classes);
    ASSERT(s->lengths && s->queue && s->sums && s->classes, "out of memory");
    for (int64_t k = 0; k < m->classes.count; k++)
        ASSERT(aggregation_parse(m->classes.aggregation[k], &s->classes[k].kind),
               "aggregation of class %lld", (long long)k);
    for (int i = 0; i < BATCH_COUNT; i++)
        s->tapes[i].batch = batch_sizes[i];
    return tape_open(s, &s->tapes[BATCH_COUNT - 1], e);
}

enum err_code scorer_open(struct scorer **out, const struct model *m, const float *values,
                          struct err *e)
{
    return scorer_open_for(out, m, values, NULL, e);
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
    free(s->lengths);
    free(s->queue);
    free(s->sums);
    free(s->classes);
    free(s);
}

/* Runs as many of n windows as a batch takes. */
static const struct scorer_tape *run_batch(struct scorer *s, const float *windows,
                                           const int32_t *lengths, int64_t n)
{
    struct scorer_tape *t = tape_for(s, n);
    tape_bind(t->signal, windows);
    if (t->lengths)
        tape_bind(t->lengths, lengths);
    tape_forward(t->tape);
    if (!s->forgotten && weights_are_packed(s->weights)) {
        model_forget_pages(s->model);
        s->forgotten = true;
    }
    return t;
}

/* What window i of a batch has in x, or NULL. */
static const float *at_window(const struct tensor *x, int64_t i)
{
    return x ? (const float *)x->data + i * (x->numel / x->shape[0]) : NULL;
}

void scorer_run(struct scorer *s, const float *windows, int64_t n, float *features, float *logits)
{
    ASSERT(!s->options.lengths, "scorer_run without lengths");
    int64_t window = s->contract.lead_count * s->contract.sample_count;
    int64_t F = model_feature_count(s->model), K = s->model->classes.count;
    for (int64_t i = 0; i < n;) {
        const struct scorer_tape *t = run_batch(s, windows + i * window, NULL, n - i);
        if (features)
            memcpy(features + i * F, t->features->data, (size_t)(t->batch * F) * sizeof(float));
        if (logits && K)
            memcpy(logits + i * K, t->logits->data, (size_t)(t->batch * K) * sizeof(float));
        i += t->batch;
    }
}

struct tape *scorer_tape(struct scorer *s, int64_t n)
{
    const struct scorer_tape *t = tape_for(s, n);
    return t->batch == n ? t->tape : NULL;
}

int64_t scorer_feature_count(const struct scorer *s) { return model_feature_count(s->model); }

int64_t scorer_token_count(const struct scorer *s) { return s->token_count; }

int64_t scorer_attention_layers(const struct scorer *s)
{
    return s->tapes[BATCH_COUNT - 1].tap.count;
}

void scorer_visit(struct scorer *s, void (*visit)(void *context, const struct window *w),
                  void *context)
{
    s->visit = visit;
    s->visitor = context;
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

/* Adds a window to its record's sums; the last one gives the record's results. */
static void take_window(struct scorer *s, struct scored *r, const struct window *w)
{
    int64_t F = model_feature_count(s->model), K = s->model->classes.count;
    if (w->index == 0)
        memset(s->sums, 0, (size_t)F * sizeof *s->sums);
    for (int64_t j = 0; j < F; j++)
        s->sums[j] += (double)w->features[j];
    for (int64_t k = 0; k < K; k++) {
        if (w->index == 0)
            aggregate_reset(&s->classes[k]);
        aggregate_add(&s->classes[k], w->logits[k]);
    }
    if (w->index + 1 < w->count)
        return;
    bool finite = mean_out(r->features, s->sums, w->count, F);
    for (int64_t k = 0; k < K; k++) {
        float logit = aggregate_logit(&s->classes[k]);
        finite = finite && isfinite(logit);
        if (r->logits)
            r->logits[k] = logit;
    }
    r->code = finite ? ERR_OK : ERR_NUMERIC;
}

/* Runs the windows that wait. */
static void flush(struct scorer *s)
{
    int64_t window = s->contract.lead_count * s->contract.sample_count;
    for (int64_t done = 0; done < s->waiting;) {
        const struct scorer_tape *t =
            run_batch(s, s->windows + done * window, s->lengths + done, s->waiting - done);
        for (int64_t i = 0; i < t->batch; i++) {
            struct scored *r = s->queue[done + i].record;
            const float *attention[ATTENTION_LAYERS_MAX];
            for (int layer = 0; s->options.attention && layer < t->tap.count; layer++)
                attention[layer] = at_window(t->tap.weights[layer], i);
            struct window w = {.record = r,
                               .index = s->queue[done + i].index,
                               .count = window_count(&s->contract, r->samples),
                               .features = at_window(t->features, i),
                               .logits = at_window(t->logits, i),
                               .tokens = at_window(t->tokens, i),
                               .saliency = at_window(t->saliency, i),
                               .attention = s->options.attention ? attention : NULL};
            w.start = window_start(&s->contract, r->samples, w.index);
            take_window(s, r, &w);
            if (s->visit)
                s->visit(s->visitor, &w);
        }
        done += t->batch;
    }
    s->waiting = 0;
}

void scorer_records(struct scorer *s, struct scored *records, int64_t n)
{
    int64_t L = s->contract.lead_count, T = s->contract.sample_count;
    for (int64_t r = 0; r < n; r++) {
        const struct scored *from = &records[r];
        int64_t count = window_count(&s->contract, from->samples);
        if (count == 0)
            records[r].code = ERR_LENGTH;
        for (int64_t i = 0; i < count; i++) {
            int64_t start = window_start(&s->contract, from->samples, i), slot = s->waiting++;
            for (int64_t l = 0; l < L; l++)
                memcpy(s->windows + (slot * L + l) * T, from->x + l * from->samples + start,
                       (size_t)T * sizeof(float));
            s->lengths[slot] = (int32_t)from->length;
            s->queue[slot] = (struct waiting){&records[r], i};
            if (s->waiting == SCORER_BATCH)
                flush(s);
        }
    }
    flush(s);
}

void scored_explain(const struct scorer *s, const struct scored *r, struct err *e)
{
    const struct contract *c = &s->contract;
    if (r->code == ERR_LENGTH)
        RAISE(e, ERR_LENGTH, "the recording has %.3f s, the model needs %.3f s",
              (double)r->samples / c->rate_hz, (double)c->sample_count / c->rate_hz);
    if (r->code == ERR_NUMERIC)
        RAISE(e, ERR_NUMERIC, "the model's output is not finite");
}

float score_from_logit(float logit) { return (float)(1.0 / (1.0 + exp(-(double)logit))); }

float score_from_output(const struct model_classes *c, int64_t k, float output)
{
    return c->values ? (float)(c->means[k] + c->deviations[k] * (double)output)
                     : score_from_logit(output);
}
