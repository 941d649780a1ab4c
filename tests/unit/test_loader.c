/* Store and loader: what is quarantined and why, and that a batch is a function of (seed, epoch,
 * index) alone: not of threads, prefetch, cache or where the run was taken up. */
#define _GNU_SOURCE
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/allocations.h"
#include "base/file.h"
#include "base/str.h"
#include "data/loader.h"
#include "format/wfdb_write.h"

#include "scratch.h"

enum { RECORDS = 23, T = 120, L = 2 };
static const char *const lead_names[3] = {"I", "II", "V1"};

static void record_make(const char *root, const char *name, int64_t leads, int64_t samples,
                        double rate_hz, int number)
{
    float *x = malloc((size_t)(leads * samples) * sizeof *x);
    for (int64_t i = 0; i < leads * samples; i++)
        x[i] = (float)(0.001 * (double)((i * 37 + number * 101 + i * i % 11) % 2000) - 1.0);
    struct wfdb_write w = {.name = name,
                           .rate_hz = rate_hz,
                           .lead_count = leads,
                           .sample_count = samples,
                           .lead_names = lead_names,
                           .samples = x};
    assert_int_equal(wfdb_write_16(root, &w, NULL), ERR_OK);
    free(x);
}

/* RECORDS good recordings r00.. of different lengths, with labels A and B by number. */
struct fixture {
    char *root;
    struct manifest manifest;
    struct label_set labels;
    struct contract contract;
};

static void fixture_open(struct fixture *f)
{
    struct err e = {0};
    if (manifest_open(f->root, NULL, NULL, &f->manifest, &e) != ERR_OK)
        fail_msg("%s", e.message);
    assert_int_equal(manifest_labels(&f->manifest, NULL, &f->labels, NULL), ERR_OK);
}

static struct fixture fixture_make(const char *more_rows)
{
    struct fixture f = {.root = scratch_make()};
    struct buf table;
    buf_init(&table, 0);
    /* The first is of another split, so that an index in the store is not one in the manifest. */
    buf_puts(&table, "id,A,B,fold\nelsewhere,1,1,9\n");
    for (int i = 0; i < RECORDS; i++) {
        char name[16];
        snprintf(name, sizeof name, "r%02d", i);
        record_make(f.root, name, 3, T + 7 * i, 100, i);
        buf_printf(&table, "%s,%d,%d,1\n", name, i % 2, i % 3 == 0);
    }
    buf_puts(&table, more_rows);
    scratch_text(f.root, "labels.csv", table.data);
    buf_free(&table);
    contract_default(&f.contract);
    f.contract.lead_count = L;
    f.contract.sample_count = T;
    fixture_open(&f);
    return f;
}

static void fixture_free(struct fixture *f)
{
    manifest_close(&f->manifest);
    scratch_remove(f->root);
    free(f->root);
}

static struct store *store_of(struct fixture *f, int threads, int64_t cache_bytes)
{
    struct store_options options = {.threads = threads, .cache_bytes = cache_bytes};
    struct store *s;
    struct err e = {0};
    if (store_open(&s, &f->manifest, SPLIT_TRAIN, &f->contract, &options, &e) != ERR_OK)
        fail_msg("%s", e.message);
    return s;
}

static const struct manifest_problem *problem_of(const struct manifest *m, const char *id)
{
    for (int64_t i = 0; i < m->problem_count; i++)
        if (strcmp(m->problems[i].id, id) == 0)
            return &m->problems[i];
    fail_msg("no problem of %s", id);
    return NULL;
}

/* Store */

static void bad_records_are_quarantined_with_their_reason(void **state)
{
    (void)state;
    struct fixture f = fixture_make("missing,1,0,1\ncut,1,0,1\nbrief,1,0,1\nonelead,1,0,1\n"
                                    "text,1,0,1\nflipped,1,0,1\nother,1,0,9\n");
    char path[600];
    record_make(f.root, "cut", 3, 200, 100, 1);
    snprintf(path, sizeof path, "%s/cut.dat", f.root);
    assert_int_equal(truncate(path, 3 * 2 * 150), 0);
    record_make(f.root, "brief", 3, T - 1, 100, 1);
    record_make(f.root, "onelead", 1, 200, 100, 1);
    scratch_text(f.root, "text.hea", "This is no header at all.\n");
    record_make(f.root, "flipped", 3, 200, 100, 1);
    snprintf(path, sizeof path, "%s/flipped.dat", f.root);
    FILE *file = fopen(path, "r+b");
    fseek(file, 300, SEEK_SET);
    fputc(0x55, file);
    fclose(file);

    for (int threads = 1; threads <= 4; threads += 3) {
        f.manifest.problem_count = 0;
        struct store *s = store_of(&f, threads, 0);
        assert_int_equal(store_count(s), RECORDS + 1);
        assert_int_equal(store_quarantined(s), 5);
        assert_int_equal(f.manifest.problem_count, 6); /* "other" is of another split */
        assert_string_equal(problem_of(&f.manifest, "missing")->code, "not-found");
        assert_string_equal(problem_of(&f.manifest, "cut")->code, "truncated");
        assert_string_equal(problem_of(&f.manifest, "brief")->code, "length");
        assert_string_equal(problem_of(&f.manifest, "onelead")->code, "leads");
        assert_string_equal(problem_of(&f.manifest, "text")->code, "format");
        assert_string_equal(problem_of(&f.manifest, "flipped")->code, "checksum-mismatch");
        for (int64_t i = 0; i < 6; i++) {
            const char *const ids[] = {"missing", "cut", "brief", "onelead", "text", "flipped"};
            assert_string_equal(f.manifest.problems[i].id, ids[i]); /* in the order of the table */
        }
        assert_string_equal(f.manifest.entries[store_entry(s, RECORDS)].id, "flipped");
        store_close(s);
    }
    struct store_options options = {.threads = 2, .max_bad_fraction = 0.1};
    struct store *s;
    struct err e = {0};
    assert_int_equal(store_open(&s, &f.manifest, SPLIT_TRAIN, &f.contract, &options, &e),
                     ERR_FORMAT);
    assert_null(s);
    assert_non_null(strstr(e.message, "5 of 29 records"));
    assert_non_null(strstr(e.message, "missing"));
    options = (struct store_options){.strict = true};
    f.manifest.problem_count = 0;
    assert_int_equal(store_open(&s, &f.manifest, SPLIT_TRAIN, &f.contract, &options, NULL), ERR_OK);
    assert_int_equal(store_quarantined(s), 6);
    store_close(s);
    assert_int_equal(store_open(&s, &f.manifest, SPLIT_TEST, &f.contract, &options, NULL), ERR_OK);
    assert_int_equal(store_count(s), 0); /* an empty split */
    double mean = 0, std = 0;
    store_statistics(s, &mean, &std, NULL, NULL);
    assert_true(isnan(mean) && isnan(std));
    store_close(s);
    store_close(NULL);
    fixture_free(&f);
}

/* Whatever the cache keeps and however many threads read, the numbers are the same. */
static void cache_and_threads_change_nothing(void **state)
{
    (void)state;
    struct fixture f = fixture_make("");
    struct store *stores[3] = {store_of(&f, 1, 0), store_of(&f, 4, 1), store_of(&f, 3, 8000)};
    double mean[3], std[3], lead_mean[3][L], lead_std[3][L];
    for (int k = 0; k < 3; k++) {
        assert_int_equal(store_count(stores[k]), RECORDS);
        store_statistics(stores[k], &mean[k], &std[k], lead_mean[k], lead_std[k]);
    }
    assert_memory_equal(mean, mean + 1, sizeof *mean);
    assert_memory_equal(mean, mean + 2, sizeof *mean);
    assert_memory_equal(std, std + 1, sizeof *std);
    assert_memory_equal(std, std + 2, sizeof *std);
    assert_memory_equal(lead_mean[0], lead_mean[1], sizeof *lead_mean);
    assert_memory_equal(lead_std[0], lead_std[2], sizeof *lead_std);
    double sum[L + 1] = {0}, square[L + 1] = {0}, n = 0;
    for (int64_t i = 0; i < RECORDS; i++) {
        int64_t length = store_length(stores[0], i);
        assert_int_equal(length, T + 7 * i);
        float *a = malloc((size_t)(L * length) * sizeof *a);
        float *b = malloc((size_t)(L * length) * sizeof *b);
        assert_int_equal(store_copy(stores[0], i, 0, length, a, NULL), ERR_OK);
        for (int k = 1; k < 3; k++) {
            assert_int_equal(store_copy(stores[k], i, 0, length, b, NULL), ERR_OK);
            assert_memory_equal(a, b, (size_t)(L * length) * sizeof *a);
        }
        assert_int_equal(store_copy(stores[1], i, 5, T - 9, b, NULL), ERR_OK);
        for (int64_t l = 0; l < L; l++)
            assert_memory_equal(b + l * (T - 9), a + l * length + 5, (T - 9) * sizeof *a);
        for (int64_t t = 0; t < L * length; t++) {
            sum[t / length] += a[t];
            sum[L] += a[t];
            square[t / length] += (double)a[t] * a[t];
            square[L] += (double)a[t] * a[t];
        }
        n += (double)length;
        free(a);
        free(b);
    }
    assert_float_equal(mean[0], sum[L] / (L * n), 1e-9);
    assert_float_equal(std[0], sqrt(square[L] / (L * n) - pow(sum[L] / (L * n), 2)), 1e-9);
    for (int l = 0; l < L; l++) {
        assert_float_equal(lead_mean[0][l], sum[l] / n, 1e-9);
        assert_float_equal(lead_std[0][l], sqrt(square[l] / n - pow(sum[l] / n, 2)), 1e-9);
    }
    for (int k = 0; k < 3; k++)
        store_close(stores[k]);
    fixture_free(&f);
}

/* Loader */

static struct augment_chain chain_make(struct option_set *set)
{
    struct augment_chain chain;
    option_set_init(set);
    augment_chain_init(&chain, set, "augment");
    for (int i = 0; augmentations[i]; i++) {
        char key[64];
        snprintf(key, sizeof key, "augment.%s.probability", augmentations[i]->name);
        assert_int_equal(option_set_text(set, key, "0.5", OPTION_FROM_SET, NULL), ERR_OK);
    }
    return chain;
}

static struct loader *loader_of(struct store *s, const struct label_set *labels,
                                const struct augment_chain *chain,
                                const struct loader_options *options)
{
    struct loader *l;
    struct err e = {0};
    if (loader_open(&l, s, labels, NULL, 0, chain, options, &e) != ERR_OK)
        fail_msg("%s", e.message);
    return l;
}

static const struct batch *next(struct loader *l)
{
    const struct batch *b;
    struct err e = {0};
    if (loader_next(l, &b, &e) != ERR_OK)
        fail_msg("%s", e.message);
    return b;
}

static uint64_t batch_hash(const struct batch *b, int views)
{
    uint64_t h = bytes_hash64(b->x, (size_t)(views * b->count * L * T) * sizeof(float), 1);
    h = bytes_hash64(b->samples, (size_t)b->count * sizeof(int64_t), h);
    h = bytes_hash64(b->targets, (size_t)b->count * 2 * sizeof(float), h);
    return h ^ (uint64_t)(b->epoch * 1000 + b->index);
}

static void batches_do_not_depend_on_the_way_they_are_made(void **state)
{
    (void)state;
    enum { BATCHES = 17 };
    struct fixture f = fixture_make("");
    struct option_set set;
    struct augment_chain chain = chain_make(&set);
    struct loader_options options = {.batch_size = 5,
                                     .views = 2,
                                     .shuffle = true,
                                     .random_crop = true,
                                     .independent_crops = true,
                                     .seed = 7,
                                     .unit_per_mv = 4};
    uint64_t want[BATCHES];
    const struct {
        int threads, prefetch;
        int64_t cache;
    } ways[] = {{0, 0, 0}, {1, 1, 0}, {2, 1, 0}, {2, 3, 1}, {4, 2, 8000}, {8, 7, 0}, {0, 4, 1}};
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        struct store *s = store_of(&f, 2, ways[w].cache);
        options.threads = ways[w].threads;
        options.prefetch = ways[w].prefetch;
        struct loader *l = loader_of(s, &f.labels, &chain, &options);
        assert_int_equal(loader_batches_per_epoch(l), 5);
        loader_seek(l, 0, 0);
        for (int i = 0; i < BATCHES; i++) {
            const struct batch *b = next(l);
            assert_int_equal(b->epoch, i / 5);
            assert_int_equal(b->index, i % 5);
            uint64_t hash = batch_hash(b, 2);
            if (w == 0)
                want[i] = hash;
            assert_true(hash == want[i]);
            loader_release(l, b);
        }
        for (int i = BATCHES - 1; i >= 0; i -= 3) { /* taken up anywhere, and at once again */
            loader_seek(l, 0, 0);
            loader_seek(l, i / 5, i % 5);
            for (int k = i; k < BATCHES && k < i + 2; k++) {
                const struct batch *b = next(l);
                assert_true(batch_hash(b, 2) == want[k]);
                loader_release(l, b);
            }
        }
        assert_true(loader_wait_seconds(l) >= 0);
        loader_close(l);
        store_close(s);
    }
    for (int i = 0; i < BATCHES; i++)
        for (int k = 0; k < i; k++)
            assert_true(want[i] != want[k]);
    option_set_free(&set);
    fixture_free(&f);
}

/* What a record looks like in an epoch does not depend on the batch it comes in. */
static void rows_do_not_depend_on_company(void **state)
{
    (void)state;
    struct fixture f = fixture_make("");
    struct option_set set;
    struct augment_chain chain = chain_make(&set);
    struct store *s = store_of(&f, 2, 0);
    static float seen[RECORDS][2][L * T];
    for (int batch_size = 4; batch_size <= 6; batch_size += 2) {
        struct loader_options options = {.batch_size = batch_size,
                                         .views = 2,
                                         .shuffle = true,
                                         .random_crop = true,
                                         .threads = 2,
                                         .prefetch = 1,
                                         .seed = 3,
                                         .unit_per_mv = 1};
        struct loader *l = loader_of(s, NULL, &chain, &options);
        loader_seek(l, 1, 0);
        for (int64_t i = 0; i < loader_batches_per_epoch(l); i++) {
            const struct batch *b = next(l);
            for (int64_t r = 0; r < batch_size; r++)
                for (int v = 0; v < 2; v++) {
                    const float *x = b->x + (v * batch_size + r) * L * T;
                    if (batch_size == 4)
                        memcpy(seen[b->samples[r]][v], x, sizeof seen[0][0]);
                    else
                        assert_memory_equal(seen[b->samples[r]][v], x, sizeof seen[0][0]);
                }
            loader_release(l, b);
        }
        loader_close(l);
    }
    store_close(s);
    option_set_free(&set);
    fixture_free(&f);
}

/* The threads that run ahead leave the batch alone that the caller holds. */
static void a_held_batch_stays(void **state)
{
    (void)state;
    struct fixture f = fixture_make("");
    struct store *s = store_of(&f, 2, 0);
    for (int prefetch = 1; prefetch <= 3; prefetch++) {
        struct loader_options options = {.batch_size = 4,
                                         .views = 2,
                                         .shuffle = true,
                                         .threads = 2,
                                         .prefetch = prefetch,
                                         .unit_per_mv = 1};
        struct loader *l = loader_of(s, &f.labels, NULL, &options);
        for (int i = 0; i < 8; i++) {
            const struct batch *b = next(l);
            uint64_t hash = batch_hash(b, 2);
            usleep(2000);
            assert_true(batch_hash(b, 2) == hash);
            loader_release(l, b);
        }
        loader_close(l);
    }
    store_close(s);
    fixture_free(&f);
}

static void epochs_hold_every_record_once(void **state)
{
    (void)state;
    struct fixture f = fixture_make("");
    struct store *s = store_of(&f, 2, 0);
    struct loader_options options = {.batch_size = 4,
                                     .views = 1,
                                     .shuffle = true,
                                     .threads = 2,
                                     .prefetch = 2,
                                     .unit_per_mv = 1};
    struct loader *l = loader_of(s, &f.labels, NULL, &options);
    int64_t orders[2][RECORDS];
    assert_int_equal(loader_batches_per_epoch(l), 6);
    for (int epoch = 0; epoch < 2; epoch++) {
        int seen[RECORDS] = {0};
        int64_t first[4] = {0};
        for (int i = 0; i < 6; i++) {
            const struct batch *b = next(l);
            assert_int_equal(b->count, 4);
            for (int64_t r = 0; r < 4; r++) {
                int64_t sample = b->samples[r], at = i * 4 + r;
                assert_true(sample >= 0 && sample < RECORDS);
                if (at < RECORDS) {
                    seen[sample]++;
                    orders[epoch][at] = sample;
                    if (at < 4)
                        first[at] = sample;
                } else {
                    assert_int_equal(sample, first[at - RECORDS]); /* filled up from the start */
                }
                float x[L * T];
                assert_int_equal(store_copy(s, sample, 0, T, x, NULL), ERR_OK);
                assert_memory_equal(b->x + r * L * T, x, sizeof x); /* crops begin at 0 */
                assert_true(b->targets[2 * r] == (float)(sample % 2));
                assert_true(b->targets[2 * r + 1] == (float)(sample % 3 == 0));
            }
            loader_release(l, b);
        }
        for (int i = 0; i < RECORDS; i++)
            assert_int_equal(seen[i], 1);
    }
    assert_memory_not_equal(orders[0], orders[1], sizeof *orders);
    loader_close(l);

    /* In order, a part only, the last records left over. */
    const int64_t subset[7] = {20, 3, 5, 1, 2, 9, 8};
    options.shuffle = false;
    options.drop_last = true;
    assert_int_equal(loader_open(&l, s, NULL, subset, 7, NULL, &options, NULL), ERR_OK);
    assert_int_equal(loader_batches_per_epoch(l), 1);
    for (int epoch = 0; epoch < 3; epoch++) {
        const struct batch *b = next(l);
        assert_int_equal(b->epoch, epoch);
        assert_null(b->targets);
        assert_memory_equal(b->samples, subset, 4 * sizeof *subset);
        loader_release(l, b);
    }
    loader_close(l);
    store_close(s);
    fixture_free(&f);
}

static void crops_are_drawn_as_asked(void **state)
{
    (void)state;
    struct fixture f = fixture_make("");
    struct store *s = store_of(&f, 2, 0);
    for (int independent = 0; independent < 2; independent++) {
        struct loader_options options = {.batch_size = RECORDS,
                                         .views = 2,
                                         .random_crop = true,
                                         .independent_crops = independent,
                                         .unit_per_mv = 1};
        struct loader *l = loader_of(s, NULL, NULL, &options);
        const struct batch *b = next(l);
        int same = 0, at_start = 0;
        for (int64_t r = 0; r < RECORDS; r++) {
            const float *v0 = b->x + r * L * T, *v1 = b->x + (RECORDS + r) * L * T;
            float x[L * T];
            bool found = false;
            for (int64_t begin = 0; begin <= store_length(s, r) - T && !found; begin++) {
                assert_int_equal(store_copy(s, r, begin, T, x, NULL), ERR_OK);
                found = memcmp(x, v0, sizeof x) == 0;
                at_start += found && begin == 0;
            }
            assert_true(found);
            same += memcmp(v0, v1, sizeof x) == 0;
        }
        assert_true(independent ? same < RECORDS / 2 : same == RECORDS);
        assert_true(at_start < RECORDS / 2);
        loader_release(l, b);
        loader_close(l);
    }
    store_close(s);
    fixture_free(&f);
}

/* A model whose windows are segments is trained on segments. */
static void crops_of_segments_begin_where_windows_do(void **state)
{
    (void)state;
    enum { SHORT = 40 };
    struct fixture f = fixture_make("");
    f.contract.sample_count = SHORT;
    f.contract.windows = WINDOWS_SEGMENTS;
    struct store *s = store_of(&f, 2, 0);
    struct loader_options options = {.batch_size = RECORDS,
                                     .views = 1,
                                     .random_crop = true,
                                     .unit_per_mv = 1};
    struct loader *l = loader_of(s, NULL, NULL, &options);
    int seen[8] = {0};
    for (int epoch = 0; epoch < 4; epoch++) {
        const struct batch *b = next(l);
        for (int64_t r = 0; r < RECORDS; r++) {
            float x[L * SHORT];
            int64_t i = 0, n = window_count(&f.contract, store_length(s, r));
            for (bool found = false; i < n && !found; i += !found) {
                int64_t begin = window_start(&f.contract, store_length(s, r), i);
                assert_int_equal(store_copy(s, r, begin, SHORT, x, NULL), ERR_OK);
                found = memcmp(x, b->x + r * L * SHORT, sizeof x) == 0;
            }
            assert_in_range(i, 0, n - 1);
            seen[i]++;
        }
        loader_release(l, b);
    }
    assert_true(seen[0] > 5 && seen[1] > 5 && seen[2] > 5 && seen[3] > 0);
    loader_close(l);
    store_close(s);
    fixture_free(&f);
}

/* A file that goes away under a store that does not keep it: an error that names the record. */
static void a_lost_file_is_an_error(void **state)
{
    (void)state;
    for (int threads = 0; threads < 3; threads++) {
        struct fixture f = fixture_make("");
        struct store *s = store_of(&f, 2, 1);
        char path[600];
        snprintf(path, sizeof path, "%s/r03.dat", f.root);
        unlink(path);
        struct loader_options options = {
            .batch_size = 2, .views = 1, .threads = threads, .prefetch = 2, .unit_per_mv = 1};
        struct loader *l = loader_of(s, NULL, NULL, &options);
        const struct batch *b = next(l);
        loader_release(l, b);
        struct err e = {0};
        char text[1000];
        assert_int_not_equal(loader_next(l, &b, &e), ERR_OK);
        assert_null(b);
        err_format(&e, text, sizeof text);
        assert_non_null(strstr(text, "r03"));
        b = next(l); /* the others are still served */
        assert_int_equal(b->index, 2);
        loader_release(l, b);
        snprintf(path, sizeof path, "%s/r12.dat", f.root); /* and one that was cut short */
        assert_int_equal(truncate(path, 3 * 2 * (T + 3)), 0);
        float x[L * T];
        assert_int_equal(store_copy(s, 12, 0, T, x, &e), ERR_TRUNCATED);
        loader_close(l);
        double mean = 0;
        store_statistics(s, &mean, NULL, NULL, NULL);
        assert_true(isnan(mean));
        store_close(s);
        fixture_free(&f);
    }
}

static void options_are_checked(void **state)
{
    (void)state;
    struct fixture f = fixture_make("");
    struct store *s = store_of(&f, 1, 0);
    const struct loader_options bad[] = {
        {.batch_size = 0, .views = 1},
        {.batch_size = 1, .views = 0},
        {.batch_size = 1, .views = 1, .threads = -1},
        {.batch_size = 1, .views = 1, .threads = 100000},
        {.batch_size = RECORDS + 1, .views = 1, .drop_last = true},
    };
    struct loader *l;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(loader_open(&l, s, NULL, NULL, 0, NULL, &bad[i], NULL), ERR_USAGE);
        assert_null(l);
    }
    const struct loader_options huge = {.batch_size = INT64_MAX / 2, .views = 8};
    assert_int_equal(loader_open(&l, s, NULL, NULL, 0, NULL, &huge, NULL), ERR_LIMIT);
    const int64_t none[1] = {0};
    const struct loader_options fine = {.batch_size = 1, .views = 1};
    assert_int_equal(loader_open(&l, s, NULL, none, 0, NULL, &fine, NULL), ERR_USAGE);
    loader_close(NULL);
    store_close(s);
    fixture_free(&f);
}

static void a_running_loader_allocates_nothing(void **state)
{
    (void)state;
    if (allocation_count() < 0)
        skip(); /* with sanitizers */
    struct fixture f = fixture_make("");
    struct option_set set;
    struct augment_chain chain = chain_make(&set);
    struct store *s = store_of(&f, 2, 0);
    struct loader_options options = {.batch_size = 4,
                                     .views = 2,
                                     .shuffle = true,
                                     .random_crop = true,
                                     .threads = 2,
                                     .prefetch = 2,
                                     .unit_per_mv = 1};
    struct loader *l = loader_of(s, &f.labels, &chain, &options);
    for (int i = 0; i < 3; i++)
        loader_release(l, next(l));
    int64_t before = allocation_count();
    for (int i = 0; i < 20; i++)
        loader_release(l, next(l));
    assert_int_equal(allocation_count() - before, 0);
    loader_close(l);
    store_close(s);
    option_set_free(&set);
    fixture_free(&f);
}

/* Two adjacent segments of a record are an item, whole pairs only; its views are augmented each by
 * itself and do not depend on company, threads or where the run was taken up. */
static void pairs_are_adjacent_segments(void **state)
{
    (void)state;
    enum { SHORT = 40, PAIRS_MAX = 3 };
    struct fixture f = fixture_make("");
    struct option_set set;
    struct augment_chain chain = chain_make(&set);
    f.contract.sample_count = SHORT;
    struct store *s = store_of(&f, 2, 8000);
    int64_t items = 0;
    for (int64_t i = 0; i < RECORDS; i++) {
        assert_int_equal(store_pairs(s, i), (T + 7 * i) / SHORT / 2);
        items += store_pairs(s, i);
    }
    assert_int_equal(store_pairs(s, 0), 1); /* of three segments the last is not served */
    assert_int_equal(store_pairs(s, RECORDS - 1), PAIRS_MAX);
    static float seen[RECORDS * PAIRS_MAX][2][L * SHORT];
    for (int way = 0; way < 4;
         way++) { /* plain; augmented: another batch size, then in the middle */
        int64_t B = way == 2 ? 5 : 4, begin = way == 3 ? 3 : 0;
        struct loader_options options = {.batch_size = B,
                                         .views = 2,
                                         .shuffle = true,
                                         .random_crop = true, /* without effect */
                                         .pairs = true,
                                         .threads = way == 1 ? 0 : 3,
                                         .prefetch = way,
                                         .seed = 11,
                                         .unit_per_mv = 1};
        struct loader *l = loader_of(s, NULL, way > 0 ? &chain : NULL, &options);
        int64_t batches = (items + B - 1) / B, times[RECORDS * PAIRS_MAX] = {0};
        assert_int_equal(loader_batches_per_epoch(l), batches);
        loader_seek(l, 0, begin);
        for (int64_t i = begin; i < batches; i++) {
            const struct batch *b = next(l);
            for (int64_t r = 0; r < B; r++) {
                int64_t sample = b->samples[r], item = b->items[r], pair = item / RECORDS;
                assert_int_equal(item % RECORDS, sample);
                assert_true(pair < store_pairs(s, sample));
                times[item] += i * B + r < items;
                for (int v = 0; v < 2; v++) {
                    const float *x = b->x + (v * B + r) * L * SHORT;
                    float want[L * SHORT];
                    assert_int_equal(store_copy(s, sample, (2 * pair + v) * SHORT, SHORT, want,
                                                NULL),
                                     ERR_OK);
                    if (way == 0)
                        assert_memory_equal(x, want, sizeof want);
                    else if (way == 1)
                        memcpy(seen[item][v], x, sizeof want);
                    else
                        assert_memory_equal(x, seen[item][v], sizeof want);
                }
            }
            loader_release(l, b);
        }
        for (int64_t i = 0; i < RECORDS * PAIRS_MAX && begin == 0; i++)
            assert_int_equal(times[i], i / RECORDS < store_pairs(s, i % RECORDS));
        loader_close(l);
    }
    option_set_free(&set);

    /* The pairs of one record have random numbers of their own. */
    option_set_init(&set);
    augment_chain_init(&chain, &set, "augment");
    assert_int_equal(option_set_text(&set, "augment.jitter.probability", "1", OPTION_FROM_SET,
                                     NULL),
                     ERR_OK);
    struct loader_options one = {.batch_size = PAIRS_MAX,
                                 .views = 2,
                                 .pairs = true,
                                 .unit_per_mv = 1};
    struct loader *l;
    assert_int_equal(loader_open(&l, s, NULL, (int64_t[]){RECORDS - 1}, 1, &chain, &one, NULL),
                     ERR_OK);
    const struct batch *b = next(l);
    float noise[2 * PAIRS_MAX], plain[L * SHORT];
    for (int k = 0; k < 2 * PAIRS_MAX; k++) {
        int64_t v = k / PAIRS_MAX, pair = k % PAIRS_MAX; /* in order: not shuffled */
        assert_int_equal(store_copy(s, RECORDS - 1, (2 * pair + v) * SHORT, SHORT, plain, NULL),
                         ERR_OK);
        noise[k] = b->x[k * L * SHORT] - plain[0];
        for (int other = 0; other < k; other++)
            assert_true(fabsf(noise[k] - noise[other]) > 1e-6F);
    }
    loader_release(l, b);
    loader_close(l);
    store_close(s);

    /* Where pairs are asked for, a record of one segment is left out, and it is said. */
    f.contract.sample_count = T;
    struct store_options options = {.segments = 2, .max_bad_fraction = 0.9};
    struct err e = {0};
    f.manifest.problem_count = 0;
    assert_int_equal(store_open(&s, &f.manifest, SPLIT_TRAIN, &f.contract, &options, &e), ERR_OK);
    assert_int_equal(store_count(s), RECORDS - 18); /* T + 7 * 18 is the first above 2 T */
    assert_string_equal(problem_of(&f.manifest, "r17")->code, "length");
    assert_non_null(strstr(problem_of(&f.manifest, "r17")->reason, "adjacent segments"));
    store_close(s);
    s = store_of(&f, 1, 0); /* and if not, they give no item */
    struct loader_options some = {.batch_size = 5, .views = 2, .pairs = true, .drop_last = true};
    int64_t short_ones[] = {0, 17};
    assert_int_equal(loader_open(&l, s, NULL, NULL, 0, NULL, &some, &e), ERR_OK);
    assert_int_equal(loader_batches_per_epoch(l), 1);
    loader_close(l);
    assert_int_equal(loader_open(&l, s, NULL, short_ones, 2, NULL, &some, &e), ERR_USAGE);
    assert_non_null(strstr(e.message, "no pairs"));
    some.views = 1;
    assert_int_equal(loader_open(&l, s, NULL, NULL, 0, NULL, &some, &e), ERR_USAGE);
    assert_non_null(strstr(e.message, "2 views"));
    store_close(s);
    option_set_free(&set);
    fixture_free(&f);
}

static void ptbxl_reads_without_a_loss(void **state)
{
    (void)state;
    if (!dir_exists("../shared/data/ptbxl"))
        skip();
    struct manifest m;
    struct contract c;
    struct store_options options = {0};
    struct store *s;
    contract_default(&c);
    assert_int_equal(manifest_open("../shared/data/ptbxl", NULL, NULL, &m, NULL), ERR_OK);
    assert_int_equal(store_open(&s, &m, SPLIT_ALL, &c, &options, NULL), ERR_OK);
    assert_int_equal(store_count(s), 1497);
    assert_int_equal(store_quarantined(s), 0);
    assert_int_equal(m.problem_count, 0);
    double mean, std;
    store_statistics(s, &mean, &std, NULL, NULL);
    assert_true(fabs(mean) < 0.01 && std > 0.15 && std < 0.3);
    store_close(s);
    manifest_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_records_are_quarantined_with_their_reason),
        cmocka_unit_test(cache_and_threads_change_nothing),
        cmocka_unit_test(batches_do_not_depend_on_the_way_they_are_made),
        cmocka_unit_test(rows_do_not_depend_on_company),
        cmocka_unit_test(a_held_batch_stays),
        cmocka_unit_test(epochs_hold_every_record_once),
        cmocka_unit_test(crops_are_drawn_as_asked),
        cmocka_unit_test(crops_of_segments_begin_where_windows_do),
        cmocka_unit_test(a_lost_file_is_an_error),
        cmocka_unit_test(options_are_checked),
        cmocka_unit_test(a_running_loader_allocates_nothing),
        cmocka_unit_test(pairs_are_adjacent_segments),
        cmocka_unit_test(ptbxl_reads_without_a_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
