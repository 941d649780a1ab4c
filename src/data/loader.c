#include "data/loader.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rng.h"
#include "base/shapes.h"

#define THREADS_MAX 256
#define PREFETCH_MAX 64
#define VIEWS_MAX 64

/* A batch on its way. Rows are handed out one chunk after the other under the lock and filled without
 * it: no two threads ever touch the same row. */
struct slot {
    struct batch batch;
    int64_t next_row, done_rows;
    int64_t failed_row; /* the first row that failed, or -1 */
    struct err failure;
};

/* What an epoch serves once. */
struct item {
    int64_t sample, pair; /* index in the store; 0 without pairs */
};

/* What a thread needs by itself. */
struct worker {
    struct loader *loader;
    pthread_t thread;
    struct arena arena; /* records that the store does not keep */
    float *scratch;     /* [T] */
};

struct loader {
    struct store *store;
    const struct label_set *labels;
    const struct augment_chain *augment;
    struct loader_options options;
    int64_t L, T, K, item_count, batches_per_epoch, chunk;
    struct item *items; /* [item_count] */
    int64_t *order;     /* [item_count] indices into items, of order_epoch */
    int64_t order_epoch;
    int leads[CONTRACT_LEADS_MAX];
    bool segments; /* crops begin where the windows of the contract do */

    pthread_mutex_t lock;
    pthread_cond_t work_ready, batch_ready;
    /* Batches are counted from the last seek: `served` have been lent, `started` have been begun,
     * batch n stands in slot n % slot_count. All below is guarded by the lock. */
    struct slot *slots;
    int64_t slot_count, served, started;
    int64_t epoch, index; /* of the next batch to be begun */
    int64_t active;       /* threads that fill rows now */
    bool is_running, is_stopping, is_held;
    int thread_count;       /* that were started */
    struct worker *workers; /* [max(1, threads)]; without threads, workers[0] is the caller's */
    double wait_s;
};

/* Filling */

/* Row b of a batch: for each view copy a crop and augment it. A pure function of the seed, the epoch
 * and the item. */
static enum err_code row_fill(struct loader *l, struct worker *w, struct batch *batch, int64_t b,
                              struct err *e)
{
    const struct loader_options *o = &l->options;
    int64_t sample = batch->samples[b], item = batch->items[b];
    int64_t pair = item / store_count(l->store), length = store_length(l->store, sample);
    uint64_t epoch = (uint64_t)batch->epoch;
    const float *x = NULL;
    TRY(store_signal(l->store, sample, &w->arena, &x, e));
    struct rng r = rng_at(o->seed, RNG_STREAM_CROP, epoch, (uint64_t)item);
    int64_t begin = 0;
    for (int v = 0; v < o->views; v++) {
        if (o->pairs)
            begin = (2 * pair + v) * l->T;
        else if (o->random_crop && (v == 0 || o->independent_crops))
            begin = l->segments ? rng_below(&r, length / l->T) * l->T
                                : rng_below(&r, length - l->T + 1);
        float *out = batch->x + (v * batch->count + b) * l->L * l->T;
        for (int64_t lead = 0; lead < l->L; lead++)
            memcpy(out + lead * l->T, x + lead * length + begin, (size_t)l->T * sizeof *out);
        struct view view = {.x = out,
                            .L = l->L,
                            .T = l->T,
                            .rate_hz = store_contract(l->store)->rate_hz,
                            .unit_per_mv = o->unit_per_mv,
                            .leads = l->leads,
                            .scratch = w->scratch};
        if (l->augment)
            augment_chain_apply(l->augment, &view, o->seed, epoch, (uint64_t)item, v);
    }
    for (int64_t k = 0; l->labels && k < l->K; k++)
        batch->targets[b * l->K + k] =
            label_set_target(l->labels, store_entry(l->store, sample), k);
    if (w->arena.used_bytes > 0)
        arena_reset(&w->arena);
    return ERR_OK;
}

/* Begins the next batch: which items it holds. */
static void slot_start(struct loader *l)
{
    struct slot *slot = &l->slots[l->started % l->slot_count];
    if (l->order_epoch != l->epoch) {
        struct rng r = rng_at(l->options.seed, RNG_STREAM_SHUFFLE, (uint64_t)l->epoch, 0);
        if (l->options.shuffle)
            rng_permutation(&r, l->order, l->item_count);
        else
            for (int64_t i = 0; i < l->item_count; i++)
                l->order[i] = i;
        l->order_epoch = l->epoch;
    }
    int64_t B = l->options.batch_size;
    for (int64_t b = 0; b < B; b++) {
        struct item x = l->items[l->order[(l->index * B + b) % l->item_count]];
        slot->batch.samples[b] = x.sample;
        slot->batch.items[b] = x.sample + x.pair * store_count(l->store);
    }
    slot->batch.epoch = l->epoch;
    slot->batch.index = l->index;
    slot->next_row = slot->done_rows = 0;
    slot->failed_row = -1;
    l->started++;
    if (++l->index == l->batches_per_epoch) {
        l->index = 0;
        l->epoch++;
    }
}

/* Fills rows first..end of a slot; called without the lock. */
static void rows_fill(struct loader *l, struct worker *w, struct slot *slot, int64_t first,
                      int64_t end)
{
    for (int64_t b = first; b < end; b++) {
        struct err e = {0};
        if (row_fill(l, w, &slot->batch, b, &e) == ERR_OK)
            continue;
        arena_reset(&w->arena);
        if (l->thread_count > 0)
            pthread_mutex_lock(&l->lock);
        if (slot->failed_row < 0 || b < slot->failed_row) {
            slot->failed_row = b;
            slot->failure = e;
        }
        if (l->thread_count > 0)
            pthread_mutex_unlock(&l->lock);
    }
}

/* The slot whose rows are to be filled next, or NULL if the ring is full: all begun batches but one
 * in the caller's hands are waiting to be served. */
static struct slot *slot_to_fill(struct loader *l)
{
    if (l->started > 0) {
        struct slot *slot = &l->slots[(l->started - 1) % l->slot_count];
        if (slot->next_row < slot->batch.count)
            return slot;
    }
    int64_t in_use = l->started - l->served + (l->is_held ? 1 : 0);
    if (in_use >= l->slot_count)
        return NULL;
    slot_start(l);
    return &l->slots[(l->started - 1) % l->slot_count];
}

static void *worker_run(void *context)
{
    struct worker *w = context;
    struct loader *l = w->loader;
    pthread_mutex_lock(&l->lock);
    while (!l->is_stopping) {
        struct slot *slot = l->is_running ? slot_to_fill(l) : NULL;
        if (!slot) {
            pthread_cond_wait(&l->work_ready, &l->lock);
            continue;
        }
        int64_t first = slot->next_row, end = first + l->chunk;
        if (end > slot->batch.count)
            end = slot->batch.count;
        slot->next_row = end;
        l->active++;
        pthread_mutex_unlock(&l->lock);
        rows_fill(l, w, slot, first, end);
        pthread_mutex_lock(&l->lock);
        l->active--;
        slot->done_rows += end - first;
        if (slot->done_rows == slot->batch.count || l->active == 0)
            pthread_cond_signal(&l->batch_ready); /* only the caller of the loader waits there */
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* Opening and closing */

static enum err_code options_check(const struct loader_options *o, struct err *e)
{
    if (o->batch_size < 1 || o->views < 1 || o->views > VIEWS_MAX || o->threads < 0 ||
        o->threads > THREADS_MAX || o->prefetch > PREFETCH_MAX)
        FAIL(e, ERR_USAGE,
             "loader: batch size %lld, %d views, %d threads, %d batches ahead: expected at least "
             "1, 1 to %d, 0 to %d, up to %d",
             (long long)o->batch_size, o->views, o->threads, o->prefetch, VIEWS_MAX, THREADS_MAX,
             PREFETCH_MAX);
    if (o->pairs && o->views != 2)
        FAIL(e, ERR_USAGE, "loader: pairs of segments need 2 views, found %d", o->views);
    return ERR_OK;
}

/* What an epoch serves: the records of the subset (NULL: all), or their pairs of segments. */
static enum err_code items_make(struct loader *l, const int64_t *subset, int64_t subset_count,
                                struct err *e)
{
    const struct loader_options *o = &l->options;
    for (int pass = 0; pass < 2; pass++) { /* count, then fill */
        int64_t n = 0;
        for (int64_t i = 0; i < subset_count; i++) {
            int64_t sample = subset ? subset[i] : i;
            ASSERT(sample >= 0 && sample < store_count(l->store), "record %lld of a store of %lld",
                   (long long)sample, (long long)store_count(l->store));
            int64_t count = o->pairs ? store_pairs(l->store, sample) : 1;
            for (int64_t pair = 0; pair < count; pair++, n++)
                if (pass == 1)
                    l->items[n] = (struct item){sample, pair};
        }
        if (pass == 1)
            break;
        l->item_count = n;
        if (n < 1)
            FAIL(e, ERR_USAGE, "loader: no %s to make batches of", o->pairs ? "pairs" : "records");
        if (o->drop_last && n < o->batch_size)
            FAIL(e, ERR_USAGE, "%lld %s do not fill one batch of %lld: use a smaller batch size",
                 (long long)n, o->pairs ? "pairs of segments" : "records",
                 (long long)o->batch_size);
        l->items = calloc((size_t)n, sizeof *l->items);
        l->order = calloc((size_t)n, sizeof *l->order);
        if (!l->items || !l->order)
            FAIL(e, ERR_MEMORY, "loader: out of memory");
    }
    return ERR_OK;
}

static enum err_code slots_allocate(struct loader *l, struct err *e)
{
    const struct loader_options *o = &l->options;
    const int64_t shape[] = {o->views, o->batch_size, l->L, l->T};
    int64_t values, targets;
    if (!shape_numel(shape, 4, &values) || values > INT64_C(1) << 40 ||
        !mul_i64(o->batch_size, l->K, &targets))
        FAIL(e, ERR_LIMIT, "loader: a batch of [%d,%lld,%lld,%lld] is too large", o->views,
             (long long)o->batch_size, (long long)l->L, (long long)l->T);
    l->slot_count = o->threads > 0 ? (o->prefetch > 1 ? o->prefetch : 1) + 1 : 1;
    l->slots = calloc((size_t)l->slot_count, sizeof *l->slots);
    for (int64_t i = 0; l->slots && i < l->slot_count; i++) {
        struct batch *b = &l->slots[i].batch;
        b->count = o->batch_size;
        b->x = aligned_calloc((size_t)values, sizeof *b->x);
        b->samples = aligned_calloc((size_t)o->batch_size, sizeof *b->samples);
        b->items = aligned_calloc((size_t)o->batch_size, sizeof *b->items);
        if (l->labels)
            b->targets = aligned_calloc((size_t)targets, sizeof *b->targets);
        if (!b->x || !b->samples || !b->items || (l->labels && !b->targets))
            FAIL(e, ERR_MEMORY, "loader: no memory for %lld batches of [%d,%lld,%lld,%lld]",
                 (long long)l->slot_count, o->views, (long long)o->batch_size, (long long)l->L,
                 (long long)l->T);
    }
    return l->slots ? ERR_OK : RAISE(e, ERR_MEMORY, "loader: out of memory");
}

static enum err_code workers_start(struct loader *l, struct err *e)
{
    int count = l->options.threads > 0 ? l->options.threads : 1;
    l->workers = calloc((size_t)count, sizeof *l->workers);
    if (!l->workers)
        FAIL(e, ERR_MEMORY, "loader: out of memory");
    for (int i = 0; i < count; i++) {
        struct worker *w = &l->workers[i];
        w->loader = l;
        arena_init(&w->arena, "loader", 0);
        w->scratch = aligned_calloc((size_t)l->T, sizeof *w->scratch);
        if (!w->scratch)
            FAIL(e, ERR_MEMORY, "loader: out of memory");
    }
    for (int i = 0; i < l->options.threads; i++) {
        /* They wait for the lock until all are there; fewer than asked for do the work of all. */
        pthread_mutex_lock(&l->lock);
        bool ok = pthread_create(&l->workers[i].thread, NULL, worker_run, &l->workers[i]) == 0;
        l->thread_count += ok;
        pthread_mutex_unlock(&l->lock);
        if (!ok)
            break;
    }
    if (l->options.threads > 0 && l->thread_count == 0)
        FAIL(e, ERR_MEMORY, "loader: no thread could be started");
    return ERR_OK;
}

enum err_code loader_open(struct loader **out, struct store *s, const struct label_set *labels,
                          const int64_t *subset, int64_t subset_count,
                          const struct augment_chain *augment, const struct loader_options *options,
                          struct err *e)
{
    *out = NULL;
    if (!subset)
        subset_count = store_count(s);
    TRY(options_check(options, e));
    struct loader *l = calloc(1, sizeof *l);
    if (!l)
        FAIL(e, ERR_MEMORY, "loader: out of memory");
    const struct contract *c = store_contract(s);
    l->store = s;
    l->labels = labels;
    l->augment = augment;
    l->options = *options;
    l->L = c->lead_count;
    l->T = c->sample_count;
    l->K = labels ? labels->class_count : 0;
    l->segments = c->windows == WINDOWS_SEGMENTS;
    l->order_epoch = -1;
    int64_t B = options->batch_size;
    /* Small enough that threads end a batch together, large enough that the lock is quiet. */
    l->chunk = options->threads > 0 ? B / (4 * options->threads) : B;
    if (l->chunk < 1)
        l->chunk = 1;
    for (int64_t i = 0; i < c->lead_count; i++)
        l->leads[i] = (int)c->leads[i];
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->work_ready, NULL);
    pthread_cond_init(&l->batch_ready, NULL);
    enum err_code code = items_make(l, subset, subset_count, e);
    l->batches_per_epoch = options->drop_last ? l->item_count / B : (l->item_count + B - 1) / B;
    if (code == ERR_OK)
        code = slots_allocate(l, e);
    if (code == ERR_OK)
        code = workers_start(l, e);
    if (code != ERR_OK) {
        loader_close(l);
        return code;
    }
    *out = l;
    return ERR_OK;
}

void loader_close(struct loader *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->is_stopping = true;
    pthread_cond_broadcast(&l->work_ready);
    pthread_mutex_unlock(&l->lock);
    for (int i = 0; i < l->thread_count; i++)
        pthread_join(l->workers[i].thread, NULL);
    int count = l->options.threads > 0 ? l->options.threads : 1;
    for (int i = 0; l->workers && i < count; i++) {
        arena_reset(&l->workers[i].arena);
        free(l->workers[i].scratch);
    }
    for (int64_t i = 0; l->slots && i < l->slot_count; i++) {
        free(l->slots[i].batch.x);
        free(l->slots[i].batch.samples);
        free(l->slots[i].batch.items);
        free(l->slots[i].batch.targets);
    }
    pthread_mutex_destroy(&l->lock);
    pthread_cond_destroy(&l->work_ready);
    pthread_cond_destroy(&l->batch_ready);
    free(l->workers);
    free(l->slots);
    free(l->items);
    free(l->order);
    free(l);
}

/* Serving */

int64_t loader_batches_per_epoch(const struct loader *l) { return l->batches_per_epoch; }
double loader_wait_seconds(const struct loader *l) { return l->wait_s; }

void loader_seek(struct loader *l, int64_t epoch, int64_t index)
{
    ASSERT(!l->is_held, "loader_seek while a batch is held");
    ASSERT(epoch >= 0 && index >= 0 && index < l->batches_per_epoch, "batch %lld of epoch %lld",
           (long long)index, (long long)epoch);
    pthread_mutex_lock(&l->lock);
    l->is_running = false; /* nobody begins anything new */
    while (l->active > 0)
        pthread_cond_wait(&l->batch_ready, &l->lock);
    l->served = l->started = 0;
    l->epoch = epoch;
    l->index = index;
    l->is_running = true;
    pthread_cond_broadcast(&l->work_ready);
    pthread_mutex_unlock(&l->lock);
}

enum err_code loader_next(struct loader *l, const struct batch **out, struct err *e)
{
    ASSERT(!l->is_held, "loader_next while a batch is held");
    *out = NULL;
    double begin_s = clock_seconds();
    if (!l->is_running)
        loader_seek(l, 0, 0);
    if (l->thread_count == 0) {
        slot_start(l);
        rows_fill(l, &l->workers[0], &l->slots[0], 0, l->options.batch_size);
        l->slots[0].done_rows = l->options.batch_size;
    }
    pthread_mutex_lock(&l->lock);
    struct slot *slot = &l->slots[l->served % l->slot_count];
    while (l->started <= l->served || slot->done_rows < slot->batch.count)
        pthread_cond_wait(&l->batch_ready, &l->lock);
    l->served++;
    bool ok = slot->failed_row < 0;
    l->is_held = ok;
    if (!ok)
        pthread_cond_broadcast(&l->work_ready); /* the slot is free again */
    pthread_mutex_unlock(&l->lock);
    l->wait_s += clock_seconds() - begin_s;
    if (!ok) {
        if (e)
            *e = slot->failure;
        return slot->failure.code;
    }
    *out = &slot->batch;
    return ERR_OK;
}

void loader_release(struct loader *l, const struct batch *b)
{
    pthread_mutex_lock(&l->lock);
    ASSERT(l->is_held && b == &l->slots[(l->served - 1) % l->slot_count].batch,
           "loader_release of a batch that is not held");
    l->is_held = false;
    pthread_cond_broadcast(&l->work_ready);
    pthread_mutex_unlock(&l->lock);
}
