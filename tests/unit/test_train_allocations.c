/* allocation_count() sees every entry, in our code and in libraries; and after warm-up, a training
 * step and a scoring step allocate nothing, by each backend and each backbone. Skipped where
 * allocations are not counted: with sanitizers, or a C library other than glibc. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <cjson/cJSON.h>
#include <malloc.h>

#include "base/allocations.h"
#include "model/scorer.h"
#include "train/trainer.h"

enum { BATCH = 8, CLASSES = 3, STEPS = 4 };

static const char *const specs[] = {
    "{\"network\":{\"backbone\":\"vit\"},"
    "\"vit\":{\"width\":48,\"depth\":2,\"heads\":3,\"patch\":10,\"dropout\":0.1}}",
    "{\"network\":{\"backbone\":\"w2v\"},\"w2v\":{\"width\":64,\"depth\":2,\"heads\":2,"
    "\"conv_width\":32,\"conv_norm_groups\":32,\"position_kernel\":8,\"position_groups\":2}}",
};
static const char *const backends[] = {"cpu", "cpu-bf16", "cpu-int8"};

static struct model model;

static void model_make(const char *text)
{
    struct err e = {0};
    struct contract contract;
    const char *names[CLASSES] = {"a", "b", "c"};
    struct model_classes classes = {.count = CLASSES,
                                    .task = "test",
                                    .code_system = "local",
                                    .names = names,
                                    .codes = names,
                                    .titles = names};
    contract_default(&contract);
    contract.sample_count = 320;
    cJSON *spec = cJSON_Parse(text);
    if (model_create(&model, spec, &contract, &classes, &e) != ERR_OK ||
        model_allocate(&model, 1, &e) != ERR_OK)
        fail_msg("%s", e.message);
    cJSON_Delete(spec);
}

static float *signals(void)
{
    int64_t n = BATCH * model.contract.lead_count * model.contract.sample_count;
    float *x = aligned_calloc((size_t)n, sizeof *x);
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)((double)(i * 2654435761u >> 8 & 1023) / 512.0 - 1.0);
    return x;
}

static int64_t training_calls(int64_t accumulate)
{
    struct err e = {0};
    struct trainer_options options = {.epochs = 1,
                                      .accumulate = accumulate,
                                      .lr = 1e-4,
                                      .min_lr = 1e-6,
                                      .weight_decay = 0.05,
                                      .beta1 = 0.9,
                                      .beta2 = 0.95,
                                      .epsilon = 1e-8,
                                      .head_rate = 1,
                                      .encoder_rate = 1,
                                      .embed_rate = 1,
                                      .clip = 1,
                                      .ema = 0.9,
                                      .layer_decay = 0.9,
                                      .log_steps = 10};
    struct trainer_task task = {0};
    struct trainer *t;
    struct batch batch = {.count = BATCH,
                          .x = signals(),
                          .targets = aligned_calloc(BATCH * CLASSES, sizeof(float)),
                          .samples = aligned_calloc(BATCH, sizeof(int64_t))};
    if (trainer_open(&t, &options, &task, &model, BATCH, 1, &e) != ERR_OK ||
        trainer_start(t, 100, &e) != ERR_OK || trainer_step(t, &batch, &e) != ERR_OK)
        fail_msg("%s", e.message);
    int64_t before = allocation_count();
    for (int i = 0; i < STEPS; i++)
        if (trainer_step(t, &batch, &e) != ERR_OK)
            fail_msg("%s", e.message);
    int64_t after = allocation_count();
    trainer_close(t);
    free(batch.x);
    free(batch.targets);
    free(batch.samples);
    return after - before;
}

static int64_t scoring_calls(void)
{
    struct err e = {0};
    struct scorer *s;
    float *x = signals(), logits[BATCH * CLASSES];
    if (scorer_open(&s, &model, NULL, &e) != ERR_OK)
        fail_msg("%s", e.message);
    scorer_run(s, x, BATCH, NULL, logits);
    scorer_run(s, x, 1, NULL, logits);
    int64_t before = allocation_count();
    for (int i = 0; i < STEPS; i++) {
        scorer_run(s, x, BATCH, NULL, logits);
        scorer_run(s, x, 1, NULL, logits);
    }
    int64_t after = allocation_count();
    scorer_close(s);
    free(x);
    return after - before;
}

static void expect_none(int64_t count, const char *what, const char *backend, int spec)
{
    if (count != 0)
        fail_msg("%lld allocations in %d %s steps by %s of %s", (long long)count, STEPS, what,
                 backend, specs[spec]);
}

/* volatile: the compiler must not leave out an allocation that is freed unused. */
static void expect_counted(void *volatile block, int64_t *count)
{
    assert_non_null(block);
    assert_int_equal(allocation_count(), ++*count);
    memset(block, 1, 64);
    free(block);
}

static void test_every_entry_is_counted(void **state)
{
    (void)state;
    int64_t count = allocation_count();
    if (count < 0)
        skip();
    char text[128];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    void *block = NULL;
    expect_counted(malloc(64), &count);
    expect_counted(calloc(4, 16), &count);
    expect_counted(realloc(NULL, 64), &count);
    expect_counted(aligned_alloc(64, 64), &count);
    expect_counted(memalign(64, 64), &count);
    assert_int_equal(posix_memalign(&block, 64, 64), 0);
    expect_counted(block, &count);
    expect_counted(strdup(text), &count);
    expect_counted(cJSON_malloc(64), &count);
}

static void test_steps_allocate_nothing(void **state)
{
    (void)state;
    if (allocation_count() < 0)
        skip();
    kernel_set_threads(2);
    for (size_t b = 0; b < sizeof backends / sizeof *backends; b++) {
        if (!backend_select(backends[b]))
            continue; /* not on this machine */
        for (int i = 0; i < 2; i++) {
            model_make(specs[i]);
            expect_none(scoring_calls(), "scoring", backends[b], i);
            if (strcmp(backends[b], "cpu-int8") != 0) {
                expect_none(training_calls(1), "training", backends[b], i);
                expect_none(training_calls(2), "training", backends[b], i);
            }
            model_free(&model);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_entry_is_counted),
        cmocka_unit_test(test_steps_allocate_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
