#include "train/bench.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/allocations.h"
#include "base/clock.h"
#include "base/pool.h"
#include "base/str.h"
#include "data/loader.h"
#include "model/scorer.h"
#include "train/trainer.h"

#define WARM_UP 2
#define REPEAT_MIN 3

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static struct bench_spread spread_of(double *seconds, int64_t n)
{
    qsort(seconds, (size_t)n, sizeof *seconds, by_value);
    double middle = seconds[n / 2];
    if (n % 2 == 0)
        middle = 0.5 * (middle + seconds[n / 2 - 1]);
    return (struct bench_spread){middle, seconds[0], seconds[n - 1], n};
}

/* Noise of deviation one, so that no product meets zeros or numbers too small to be normal. */
static float *noise(int64_t n, uint64_t seed)
{
    float *x = aligned_calloc((size_t)n, sizeof *x);
    struct rng r = rng_at(seed, RNG_STREAM_TEST, 0, 0);
    if (x)
        noise_normal(&r, x, n);
    return x;
}

/* --- the machine -------------------------------------------------------------------------------- */

static double product_seconds(const struct backend *k, const struct bench_product *p, void *y,
                              const void *x, const void *w)
{
    double begin_s = clock_seconds();
    if (p->packed)
        k->linear_packed(y, x, w, NULL, p->M, p->N, p->K, ACTIVATION_NONE);
    else
        k->linear_fwd(y, x, w, NULL, p->M, p->N, p->K, ACTIVATION_NONE);
    return clock_seconds() - begin_s;
}

enum err_code bench_product(const struct backend *k, struct bench_product *best, struct err *e)
{
    static const int64_t shapes[][3] = {{1536, 1536, 1536}, {1248, 3072, 768}, {1248, 768, 3072}};
    enum { SHAPES = 3, LARGEST = 1248 * 3072, REPEAT = 6 };
    float *x = noise(LARGEST, 1), *w = noise(LARGEST, 2), *y = noise(LARGEST, 3);
    enum err_code code = ERR_OK;
    for (int i = 0; x && w && y && code == ERR_OK && i < 2 * SHAPES; i++) {
        const int64_t *s = shapes[i / 2];
        struct bench_product p = {.M = s[0], .N = s[1], .K = s[2], .packed = i % 2};
        void *packed = NULL;
        if (p.packed) {
            packed = aligned_calloc(k->pack_bytes(p.N, p.K), 1);
            if (!packed)
                break;
            k->pack(packed, &(struct weight){w, STORAGE_F32, NULL}, p.N, p.K);
        }
        for (int r = 0; r < REPEAT; r++) {
            double seconds = product_seconds(k, &p, y, x, packed ? packed : w);
            p.flops_per_s = 2.0 * (double)p.M * (double)p.N * (double)p.K / seconds;
            if (r > 0 && p.flops_per_s > best->flops_per_s)
                *best = p;
        }
        free(packed);
    }
    if (!x || !w || !y)
        code = RAISE(e, ERR_MEMORY, "no memory for a product of %d values", (int)LARGEST);
    free(x);
    free(w);
    free(y);
    return code;
}

struct copying {
    char *to;
    const char *from;
    size_t piece;
};

static void piece_copy(void *context, int64_t i)
{
    const struct copying *c = context;
    memcpy(c->to + (size_t)i * c->piece, c->from + (size_t)i * c->piece, c->piece);
}

enum err_code bench_copy(int threads, double *bytes_per_s, struct err *e)
{
    enum { REPEAT = 8 };
    size_t piece = ((size_t)192 << 20) / (size_t)threads / 64 * 64, total = piece * (size_t)threads;
    struct copying c = {.to = aligned_calloc(total, 1), .piece = piece};
    char *from = aligned_calloc(total, 1);
    c.from = from;
    *bytes_per_s = 0;
    for (int r = 0; c.to && from && r < REPEAT; r++) {
        double begin_s = clock_seconds();
        pool_for(threads, threads, piece_copy, &c);
        *bytes_per_s = fmax(*bytes_per_s, 2.0 * (double)total / (clock_seconds() - begin_s));
    }
    enum err_code code =
        c.to && from ? ERR_OK : RAISE(e, ERR_MEMORY, "no memory for copying %zu bytes", total);
    free(c.to);
    free(from);
    return code;
}

/* --- memory ------------------------------------------------------------------------------------- */

/* Peak resident bytes of the process from /proc/self/status; 0 if there is no such thing. */
static size_t resident_peak(void)
{
    FILE *f = fopen("/proc/self/status", "re");
    char line[256];
    int64_t kib = 0;
    while (f && fgets(line, sizeof line, f)) {
        if (!str_starts_with(line, "VmHWM:"))
            continue;
        char *number = str_trim(line + 6), *end = number + strspn(number, "0123456789");
        *end = '\0';
        if (!str_to_i64(number, &kib))
            kib = 0;
    }
    if (f)
        fclose(f);
    return (size_t)kib * 1024;
}

/* Lets the peak begin anew at what is resident now; false if the system cannot. Source: proc(5). */
static bool resident_peak_reset(void)
{
    FILE *f = fopen("/proc/self/clear_refs", "we");
    if (!f)
        return false;
    bool ok = fputs("5", f) >= 0;
    return fclose(f) == 0 && ok;
}

static int64_t minor_faults(void)
{
    struct rusage r;
    return getrusage(RUSAGE_SELF, &r) == 0 ? (int64_t)r.ru_minflt : 0;
}

/* --- steps -------------------------------------------------------------------------------------- */

/* Calls step until there are repeats enough; fills the times and what of memory is seen. timing is the
 * tape whose nodes are timed. */
static enum err_code repeat(enum err_code (*step)(void *context, struct err *e), void *context,
                            struct tape *timing, const struct bench_options *o,
                            struct bench_run *out, struct err *e)
{
    double *seconds = calloc((size_t)o->repeat + 1, sizeof *seconds);
    ASSERT(seconds, "out of memory");
    enum err_code code = ERR_OK;
    for (int i = 0; i < WARM_UP && code == ERR_OK; i++)
        code = step(context, e);
    tape_set_timing(timing, true);
    int64_t n = 0, faults = minor_faults(), allocations = allocation_count();
    double begin_s = clock_seconds();
    while (code == ERR_OK && n < o->repeat) {
        double before_s = clock_seconds();
        code = step(context, e);
        seconds[n++] = clock_seconds() - before_s;
        if (o->limit_s > 0 && n >= REPEAT_MIN && clock_seconds() - begin_s > o->limit_s)
            break;
    }
    int64_t allocations_end = allocation_count();
    if (code == ERR_OK) {
        out->allocations =
            allocations < 0 ? -1 : (double)(allocations_end - allocations) / (double)n;
        out->page_faults = (double)(minor_faults() - faults) / (double)n;
        out->step = spread_of(seconds, n);
    }
    tape_set_timing(timing, false);
    free(seconds);
    return code;
}

static int slower_op(const void *a, const void *b)
{
    const struct bench_op *x = a, *y = b;
    double s = x->forward_s + x->backward_s, t = y->forward_s + y->backward_s;
    return (s < t) - (s > t);
}

/* What a tape says of itself, its nodes summed by op. */
static void describe(const struct tape *t, struct bench_run *out)
{
    double n = (double)out->step.count;
    out->node_count = tape_node_count(t);
    out->planned = tape_planned_bytes(t);
    out->unshared = tape_unshared_bytes(t);
    out->flops = tape_forward_flops(t) * (out->training ? 3 : 1);
    for (int i = 0; i < tape_node_count(t); i++) {
        const struct node *node = tape_node(t, i);
        int k = 0;
        while (k < out->op_count && out->ops[k].name != node->op->name)
            k++;
        if (k == BENCH_OPS_MAX)
            continue;
        struct bench_op *op = &out->ops[k];
        if (k == out->op_count)
            out->ops[out->op_count++] = (struct bench_op){.name = node->op->name};
        double forward, backward;
        tape_node_seconds(t, i, &forward, &backward);
        op->count++;
        op->forward_s += forward / n;
        op->backward_s += backward / n;
        op->flops += node->op->flops ? node->op->flops(node) : 0;
        if (!out->training)
            out->forward_s += forward / n;
    }
    qsort(out->ops, (size_t)out->op_count, sizeof *out->ops, slower_op);
}

struct scoring {
    struct scorer *scorer;
    float *windows, *features, *logits;
    int64_t batch;
};

static enum err_code scoring_step(void *context, struct err *e)
{
    struct scoring *s = context;
    (void)e;
    scorer_run(s->scorer, s->windows, s->batch, s->features, s->logits);
    return ERR_OK;
}

static enum err_code scoring_run(struct scoring *s, const struct model *m,
                                 const struct bench_options *o, struct bench_run *out,
                                 struct err *e)
{
    int64_t window = m->contract.lead_count * m->contract.sample_count;
    TRY(scorer_open(&s->scorer, m, NULL, e));
    struct tape *t = scorer_tape(s->scorer, s->batch);
    if (!t)
        FAIL(e, ERR_USAGE, "batch %lld: windows are scored in batches of 1, 2, 4, 8 or 32",
             (long long)s->batch);
    s->windows = noise(s->batch * window, o->seed);
    s->features = aligned_calloc((size_t)(s->batch * scorer_feature_count(s->scorer)), 4);
    s->logits = aligned_calloc((size_t)(s->batch * m->classes.count + 1), 4);
    if (!s->windows || !s->features || !s->logits)
        FAIL(e, ERR_MEMORY, "no memory for %lld windows", (long long)s->batch);
    TRY(repeat(scoring_step, s, t, o, out, e));
    describe(t, out);
    return ERR_OK;
}

/* Starts a run and its peak of memory. */
static struct bench_run run_begin(const struct model *m, int64_t batch, bool training)
{
    struct bench_run run = {.training = training, .batch = batch};
    run.parameters = (size_t)m->params.total * sizeof(float) * (training ? 3 : 1);
    run.peak_of_process = !resident_peak_reset();
    return run;
}

enum err_code bench_infer(struct model *m, int64_t batch, const struct bench_options *o,
                          struct bench_run *out, struct err *e)
{
    *out = run_begin(m, batch, false);
    struct scoring s = {.batch = batch};
    enum err_code code = scoring_run(&s, m, o, out, e);
    out->peak = resident_peak();
    scorer_close(s.scorer);
    free(s.windows);
    free(s.features);
    free(s.logits);
    return code;
}

struct stepping {
    struct model *model;
    const struct objective_sum *sum; /* NULL: classification */
    struct objective_inputs *inputs;
    struct trainer *trainer;
    struct batch batch;
    int64_t calls;
    struct trainer_times warm; /* spent in the steps that are not timed */
};

/* The loss of objectives, and what a batch binds for it. */
static struct tensor *objectives_build(void *context, struct build *b, int64_t B,
                                       struct tensor **parts, const char **part_names,
                                       int *part_count)
{
    (void)parts;
    (void)part_names;
    struct stepping *s = context;
    *part_count = 0;
    return objective_sum_build(s->sum, b, s->model, B, NULL);
}

static void objectives_bind(void *context, struct tape *t, const struct batch *batch)
{
    struct stepping *s = context;
    tape_bind(tape_find_input(t, "signal"), batch->x);
    objective_inputs_draw(s->inputs, &(struct draw){.index = s->calls,
                                                    .update = trainer_updates(s->trainer),
                                                    .count = batch->count,
                                                    .samples = batch->samples});
}

static enum err_code stepping_step(void *context, struct err *e)
{
    struct stepping *s = context;
    if (s->calls++ == WARM_UP)
        s->warm = trainer_times(s->trainer);
    return trainer_step(s->trainer, &s->batch, e);
}

static enum err_code stepping_run(struct stepping *s, const struct bench_options *o,
                                  struct bench_run *out, struct err *e)
{
    struct model *m = s->model;
    int64_t B = s->batch.count, K = m->classes.count;
    int64_t windows = B * (s->sum ? s->sum->views : 1);
    static const struct trainer_options options = {.epochs = 1,
                                                   .steps = 1000000,
                                                   .accumulate = 1,
                                                   .lr = 1e-5,
                                                   .min_lr = 1e-6,
                                                   .weight_decay = 0.05,
                                                   .beta1 = 0.9,
                                                   .beta2 = 0.95,
                                                   .epsilon = 1e-8,
                                                   .clip = 1,
                                                   .layer_decay = 1,
                                                   .head_rate = 1,
                                                   .encoder_rate = 1,
                                                   .embed_rate = 1,
                                                   .log_steps = 10};
    struct trainer_task task = {.context = s,
                                .build = s->sum ? objectives_build : NULL,
                                .bind = s->sum ? objectives_bind : NULL};
    if (s->sum)
        TRY(objective_sum_check(s->sum, m, e));
    TRY(trainer_open(&s->trainer, &options, &task, m, B, o->seed, e));
    if (s->sum) {
        TRY(objective_inputs_open(&s->inputs, s->sum, backend_selected(), m,
                                  trainer_tape(s->trainer), e));
        TRY(model_allocate(m, o->seed, e));
    }
    TRY(trainer_start(s->trainer, 1, e));
    s->batch.x = noise(windows * m->contract.lead_count * m->contract.sample_count, o->seed);
    s->batch.targets = aligned_calloc((size_t)(B * K + 1), sizeof *s->batch.targets);
    s->batch.samples = aligned_calloc((size_t)B, sizeof *s->batch.samples);
    if (!s->batch.x || !s->batch.targets || !s->batch.samples)
        FAIL(e, ERR_MEMORY, "no memory for %lld windows", (long long)windows);
    for (int64_t i = 0; i < B; i++)
        s->batch.samples[i] = i;
    for (int64_t i = 0; i < B * K; i += 7)
        s->batch.targets[i] = 1;
    struct tape *t = trainer_tape(s->trainer);
    TRY(repeat(stepping_step, s, t, o, out, e));
    describe(t, out);
    struct trainer_times times = trainer_times(s->trainer);
    double n = (double)out->step.count;
    out->forward_s = (times.forward_s - s->warm.forward_s) / n;
    out->backward_s = (times.backward_s - s->warm.backward_s) / n;
    out->update_s = (times.update_s - s->warm.update_s) / n;
    return ERR_OK;
}

enum err_code bench_train(struct model *m, int64_t batch, const struct objective_sum *sum,
                          const struct bench_options *o, struct bench_run *out, struct err *e)
{
    *out = run_begin(m, batch, true);
    struct stepping s = {.model = m, .sum = sum, .batch = {.count = batch}};
    enum err_code code = stepping_run(&s, o, out, e);
    out->peak = resident_peak();
    out->parameters = (size_t)m->params.total * sizeof(float) * 3;
    objective_inputs_close(s.inputs);
    trainer_close(s.trainer);
    free(s.batch.x);
    free(s.batch.targets);
    free(s.batch.samples);
    return code;
}

/* --- records ------------------------------------------------------------------------------------ */

static double processor_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* What a loader serves from the store, for at least a second and two batches. */
static enum err_code serve(struct store *s, const struct augment_chain *augment,
                           const struct bench_options *o, struct bench_rate *rate, struct err *e)
{
    int64_t count = store_count(s);
    struct loader_options options = {.batch_size = count < 64 ? count : 64,
                                     .views = 1,
                                     .shuffle = true,
                                     .random_crop = true,
                                     .threads = o->threads,
                                     .prefetch = 4,
                                     .seed = o->seed,
                                     .unit_per_mv = 1};
    struct loader *l = NULL;
    TRY(loader_open(&l, s, NULL, NULL, 0, augment, &options, e));
    int64_t served = -1; /* the first batch is on its way before anything is timed */
    double begin_s = 0, now_s = 0, processor_s = 0;
    enum err_code code = ERR_OK;
    while (code == ERR_OK && (served < 2 || now_s - begin_s < 1)) {
        const struct batch *batch;
        code = loader_next(l, &batch, e);
        if (code == ERR_OK)
            loader_release(l, batch);
        now_s = clock_seconds();
        if (++served == 0) {
            begin_s = now_s;
            processor_s = processor_seconds();
        }
    }
    double count_served = (double)(served * options.batch_size);
    *rate = (struct bench_rate){count_served / (now_s - begin_s),
                                (processor_seconds() - processor_s) / count_served};
    loader_close(l);
    return code;
}

static enum err_code loader_run(struct manifest *m, const struct contract *c,
                                const struct augment_chain *augment, const struct bench_options *o,
                                struct bench_loader *out, struct err *e)
{
    struct store_options options = {.threads = o->threads};
    double seconds[5], processor[5];
    enum { OPENINGS = sizeof seconds / sizeof *seconds };
    struct store *s = NULL;
    enum err_code code = ERR_OK;
    for (int i = -1; i < OPENINGS && code == ERR_OK; i++) { /* the first fills the system's cache */
        store_close(s);
        double begin_s = clock_seconds(), processor_s = processor_seconds();
        code = store_open(&s, m, SPLIT_ALL, c, &options, e);
        if (i >= 0) {
            seconds[i] = clock_seconds() - begin_s;
            processor[i] = processor_seconds() - processor_s;
        }
    }
    if (code == ERR_OK) {
        out->records = store_count(s);
        double n = (double)out->records;
        out->open = (struct bench_rate){n / spread_of(seconds, OPENINGS).median,
                                        spread_of(processor, OPENINGS).median / n};
        code = serve(s, augment, o, &out->memory, e);
    }
    store_close(s);
    TRY(code);
    options.cache_bytes = 1; /* nothing is kept */
    TRY(store_open(&s, m, SPLIT_ALL, c, &options, e));
    code = serve(s, augment, o, &out->files, e);
    store_close(s);
    return code;
}

enum err_code bench_loader(const char *folder, const struct contract *c,
                           const struct augment_chain *augment, const struct bench_options *o,
                           struct bench_loader *out, struct err *e)
{
    *out = (struct bench_loader){0};
    struct manifest m = {0};
    const struct manifest_options options = {.rate_hz = c->rate_hz};
    enum err_code code = manifest_open(folder, NULL, &options, &m, e);
    if (code == ERR_OK)
        code = loader_run(&m, c, augment, o, out, e);
    manifest_close(&m);
    return code;
}
