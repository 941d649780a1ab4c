/* Who learns how fast and from when on: rates of head, encoder and embedding, an encoder that waits, and
 * what no gradient reaches. With an Adam whose epsilon vanishes, the first step of a value moves it by
 * its learning rate. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <cjson/cJSON.h>

#include "base/str.h"
#include "train/trainer.h"

enum { BATCH = 4, CLASSES = 3, T = 320 };
#define LR 1e-3

static struct model model;

static struct tensor *build(void *context, struct build *b, int64_t B, struct tensor **parts,
                            const char **part_names, int *part_count)
{
    (void)context;
    (void)parts;
    (void)part_names;
    *part_count = 0;
    /* A parameter that is there but has no part in the loss. */
    nn_param(b, "head.unused", 1, (int64_t[]){16}, PARAM_ONE, 1, true);
    return model_loss(b, &model, B);
}

struct session {
    struct trainer *trainer;
    struct trainer_options options;
    struct batch batch;
    float *before;
};

static const char vit[] = "{\"network\":{\"backbone\":\"vit\"},\"vit\":{\"width\":16,"
                          "\"depth\":2,\"heads\":2,\"patch\":10}}";

static void session_open(struct session *s, const char *spec_text,
                         const struct trainer_options *options)
{
    struct err e = {0};
    struct contract contract;
    static const char *names[CLASSES] = {"a", "b", "c"};
    struct model_classes classes = {.count = CLASSES, .names = names};
    contract_default(&contract);
    contract.sample_count = T;
    cJSON *spec = cJSON_Parse(spec_text);
    if (model_create(&model, spec, &contract, &classes, &e) != ERR_OK)
        fail_msg("%s", e.message);
    cJSON_Delete(spec);
    *s = (struct session){.options = *options};
    s->options.epochs = 1;
    if (s->options.accumulate < 1)
        s->options.accumulate = 1;
    s->options.schedule = "fixed";
    s->options.lr = LR;
    s->options.beta1 = 0.9;
    s->options.beta2 = 0.99;
    s->options.epsilon = 1e-20;
    s->options.layer_decay = 1;
    static const struct trainer_task task = {.build = build};
    if (trainer_open(&s->trainer, &s->options, &task, &model, BATCH, 1, &e) != ERR_OK ||
        model_allocate(&model, 1, &e) != ERR_OK || trainer_start(s->trainer, 100, &e) != ERR_OK)
        fail_msg("%s", e.message);
    int64_t n = BATCH * model.contract.lead_count * T;
    s->batch = (struct batch){.count = BATCH,
                              .x = aligned_calloc((size_t)n, sizeof(float)),
                              .targets = aligned_calloc(BATCH * CLASSES, sizeof(float)),
                              .samples = aligned_calloc(BATCH, sizeof(int64_t))};
    for (int64_t i = 0; i < n; i++)
        s->batch.x[i] = (float)((double)(i * 2654435761u >> 8 & 1023) / 512.0 - 1.0);
    for (int64_t i = 0; i < BATCH * CLASSES; i++)
        s->batch.targets[i] = (float)(i % 5 % 2);
    s->before = malloc((size_t)model.params.total * sizeof(float));
}

static void session_step(struct session *s)
{
    struct err e = {0};
    memcpy(s->before, model.values, (size_t)model.params.total * sizeof(float));
    if (trainer_step(s->trainer, &s->batch, &e) != ERR_OK)
        fail_msg("%s", e.message);
}

static void session_close(struct session *s)
{
    trainer_close(s->trainer);
    model_free(&model);
    free(s->batch.x);
    free(s->batch.targets);
    free(s->batch.samples);
    free(s->before);
}

/* The largest step of a parameter's values, over LR. */
static double moved(const struct session *s, const char *name)
{
    const struct param *p = param_find(&model.params, name);
    double most = 0;
    if (!p)
        fail_msg("no parameter %s", name);
    for (int64_t i = p->offset; i < p->offset + p->numel; i++)
        most = fmax(most, fabs((double)model.values[i] - (double)s->before[i]));
    return most / LR;
}

static const char head[] = "head.weight", block[] = "encoder.block.1.mlp.up.weight",
                  first[] = "encoder.block.0.attention.qkv.weight",
                  embed[] = "encoder.embed.patch.weight";

static void expect(const struct session *s, double of_head, double of_block, double of_embed)
{
    assert_float_equal(moved(s, head), of_head, 1e-3 * of_head + 1e-12);
    assert_float_equal(moved(s, block), of_block, 1e-3 * of_block + 1e-12);
    assert_float_equal(moved(s, first), of_block, 1e-3 * of_block + 1e-12);
    assert_float_equal(moved(s, embed), of_embed, 1e-3 * of_embed + 1e-12);
}

static void groups_have_their_rates(void **state)
{
    (void)state;
    static const struct {
        double head, encoder, embed;
    } cases[] = {{1, 1, 1}, {1, 0, 1}, {0, 1, 1}, {2, 0.5, 0.5}, {1, 0.1, 0.1}, {1, 1, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct session s;
        session_open(&s, vit,
                     &(struct trainer_options){.head_rate = cases[i].head,
                                               .encoder_rate = cases[i].encoder,
                                               .embed_rate = cases[i].embed});
        session_step(&s);
        expect(&s, cases[i].head, cases[i].encoder, cases[i].encoder * cases[i].embed);
        session_close(&s);
    }
}

/* Fewer steps than a fine-tuned head needs, then all learn; the encoder's first step is a first step. */
static void an_encoder_waits(void **state)
{
    (void)state;
    struct session s;
    session_open(&s, vit,
                 &(struct trainer_options){.head_rate = 1,
                                           .encoder_rate = 1,
                                           .embed_rate = 1,
                                           .weight_decay = 0.1,
                                           .freeze_steps = 2});
    for (int step = 0; step < 2; step++) {
        session_step(&s);
        assert_true(moved(&s, head) > 0.1);
        assert_true(moved(&s, block) == 0 && moved(&s, first) == 0 && moved(&s, embed) == 0);
        assert_true(moved(&s, "encoder.norm.bias") == 0);
    }
    session_step(&s);
    assert_float_equal(moved(&s, embed), 1, 0.05); /* and its decay */
    assert_float_equal(moved(&s, block), 1, 0.05);
    session_close(&s);
}

/* From the last layer down: head and last norm, then block 1, block 0, and what comes before. A step as long
 * as a rate is a first step. */
static void layers_learn_one_after_the_other(void **state)
{
    (void)state;
    struct session s;
    session_open(&s, vit,
                 &(struct trainer_options){.head_rate = 1,
                                           .encoder_rate = 1,
                                           .embed_rate = 1,
                                           .group_decay = 0.1,
                                           .freeze_epochs = 0.01, /* of 100 steps */
                                           .unfreeze_steps = 1,
                                           .unfreeze_epochs = 0.01});
    static const char *const names[] = {"encoder.norm.weight", "encoder.block.1.mlp.up.weight",
                                        "encoder.block.0.attention.qkv.weight",
                                        "encoder.embed.patch.weight"};
    for (int step = 0; step < 9; step++) {
        session_step(&s);
        assert_true(moved(&s, head) > 0.05);
        for (int i = 0; i < 4; i++) {
            double rate = i == 3 ? 0.01 : 0.1;
            if (step < 1 + 2 * i)
                assert_true(moved(&s, names[i]) == 0);
            if (step == 1 + 2 * i)
                assert_float_equal(moved(&s, names[i]), rate, 1e-3 * rate + 1e-4);
        }
    }
    session_close(&s);
}

/* Decay is for what learns. */
static void what_no_gradient_reaches_stays(void **state)
{
    (void)state;
    for (int accumulate = 1; accumulate <= 2; accumulate++) { /* gradients of the tape; gathered */
        struct session s;
        session_open(&s, vit,
                     &(struct trainer_options){.optimizer = "adam",
                                               .accumulate = accumulate,
                                               .head_rate = 1,
                                               .encoder_rate = 1,
                                               .embed_rate = 1,
                                               .weight_decay = 1});
        session_step(&s);
        assert_true(moved(&s, "head.unused") == 0);
        assert_true(moved(&s, head) > 0.9);
        session_close(&s);
    }
}

/* adam decays what adamw leaves alone. */
static void optimizers_decay_differently(void **state)
{
    (void)state;
    for (int adam = 0; adam < 2; adam++) {
        struct session s;
        session_open(&s, vit,
                     &(struct trainer_options){.optimizer = adam ? "adam" : "adamw",
                                               .head_rate = 1,
                                               .encoder_rate = 1,
                                               .embed_rate = 1,
                                               .weight_decay = 10});
        session_step(&s);
        /* A norm's weights are 1: with decay they lose 10 LR beside what the gradient says. */
        double most = moved(&s, "encoder.norm.weight");
        assert_true(adam ? most > 9 && most < 11.01 : most > 0.9 && most < 1.01);
        session_close(&s);
    }
}

/* What fine-tuning of ECG-FM leaves alone: the strided convolutions and their norm; all else learns. */
static void a_frozen_extractor_stays(void **state)
{
    (void)state;
    static const char w2v[] =
        "{\"network\":{\"backbone\":\"w2v\",\"pool\":\"mean\"},\"w2v\":{\"width\":16,"
        "\"depth\":1,\"heads\":2,\"conv_layers\":2,\"conv_width\":8,\"conv_norm_groups\":8,"
        "\"position_kernel\":4,\"position_groups\":2,\"feature_gradient\":0}}";
    struct session s;
    session_open(&s, w2v,
                 &(struct trainer_options){.optimizer = "adam",
                                           .head_rate = 1,
                                           .encoder_rate = 1,
                                           .embed_rate = 1,
                                           .weight_decay = 1});
    session_step(&s);
    int kept = 0;
    for (int i = 0; i < model.params.count; i++) {
        const char *name = model.params.items[i]->name;
        bool extractor =
            str_starts_with(name, "encoder.conv.0.") || str_starts_with(name, "encoder.conv.1.");
        if (strcmp(name, "head.unused") != 0 && extractor != (moved(&s, name) == 0))
            fail_msg("%s moved by %g", name, moved(&s, name));
        kept += extractor;
    }
    assert_int_equal(kept, 4); /* two weights, and weight and bias of the group norm */
    session_close(&s);
}

static void unknown_schedules_are_refused(void **state)
{
    (void)state;
    struct trainer *t;
    struct err e = {0};
    struct trainer_options o = {.schedule = "cosin", .accumulate = 1};
    assert_int_equal(trainer_open(&t, &o, NULL, &model, 1, 1, &e), ERR_USAGE);
    assert_non_null(strstr(e.message, "did you mean cosine"));
    trainer_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_have_their_rates),
        cmocka_unit_test(an_encoder_waits),
        cmocka_unit_test(layers_learn_one_after_the_other),
        cmocka_unit_test(what_no_gradient_reaches_stays),
        cmocka_unit_test(optimizers_decay_differently),
        cmocka_unit_test(a_frozen_extractor_stays),
        cmocka_unit_test(unknown_schedules_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
