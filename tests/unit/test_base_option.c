/* base/option and base/json. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <cjson/cJSON.h>

#include "base/json.h"
#include "base/option.h"
#include "base/rng.h"

struct train_options {
    int64_t epochs;
    double lr;
    bool fresh;
    const char *out;
    const char *schedule;
    int64_t seed;
};

static const struct option train_rows[] = {
    OPT_INT(train_options, epochs, "10", 1, 1000, NULL, "passes over the data"),
    OPT_FLOAT(train_options, lr, "1e-3", 0, 1, NULL, "peak learning rate"),
    OPT_BOOL(train_options, fresh, "false", "start over"),
    OPT_STRING(train_options, out, NULL, "run folder"),
    OPT_CHOICE(train_options, schedule, "cosine", "cosine|constant", "learning-rate schedule"),
    OPT_INT(train_options, seed, "0", 0, 0, NULL, "seed"),
    OPTION_END,
};

struct gate_options {
    const char *require;
};

static const struct option gate_rows[] = {
    OPT_LIST(gate_options, require, "RULE", "what must hold"),
    OPTION_END,
};

struct mae_options {
    double mask_ratio;
};

static const struct option mae_rows[] = {
    OPT_FLOAT(mae_options, mask_ratio, "0.75", 0.05, 0.95, NULL, "share of masked tokens"),
    OPTION_END,
};

struct fixture {
    struct option_set set;
    struct train_options train;
    struct mae_options mae, deep;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    option_set_init(&f->set);
    option_set_add(&f->set, "", train_rows, &f->train);
    option_set_add(&f->set, "mae", mae_rows, &f->mae);
    option_set_add(&f->set, "aug.deep", mae_rows, &f->deep);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    option_set_free(&f->set);
    free(f);
    return 0;
}

static void defaults_and_texts(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    assert_int_equal(f->train.epochs, 10);
    assert_true(f->train.lr == 1e-3);
    assert_false(f->train.fresh);
    assert_null(f->train.out);
    assert_string_equal(f->train.schedule, "cosine");
    assert_int_equal(option_set_source(&f->set, "lr"), OPTION_FROM_DEFAULT);

    char text[] = "folder";
    assert_int_equal(option_set_text(&f->set, "out", text, OPTION_FROM_FLAG, &e), ERR_OK);
    text[0] = 'x'; /* the set keeps its own copy */
    assert_string_equal(f->train.out, "folder");
    assert_int_equal(option_set_text(&f->set, "mae.mask-ratio", "0.5", OPTION_FROM_SET, &e),
                     ERR_OK);
    assert_true(f->mae.mask_ratio == 0.5 && f->deep.mask_ratio == 0.75);
    assert_int_equal(option_set_source(&f->set, "mae.mask_ratio"), OPTION_FROM_SET);

    /* A weaker source is checked, but does not override. */
    assert_int_equal(option_set_text(&f->set, "mae.mask_ratio", "0.6", OPTION_FROM_FILE, &e),
                     ERR_OK);
    assert_true(f->mae.mask_ratio == 0.5);
    assert_int_equal(option_set_text(&f->set, "mae.mask_ratio", "6", OPTION_FROM_FILE, &e),
                     ERR_USAGE);
    assert_int_equal(option_set_text(&f->set, "mae.mask_ratio", "0.6", OPTION_FROM_FLAG, &e),
                     ERR_OK);
    assert_true(f->mae.mask_ratio == 0.6);
}

static void refusals(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    const struct {
        const char *key, *value, *message;
    } cases[] = {
        {"epochs", "0", "option epochs: expected an integer from 1 to 1000, found \"0\""},
        {"epochs", "1.5", "option epochs: expected an integer from 1 to 1000, found \"1.5\""},
        {"lr", "nan", "option lr: expected a number from 0 to 1, found \"nan\""},
        {"fresh", "maybe", "option fresh: expected true or false, found \"maybe\""},
        {"schedule", "cos", "option schedule: expected one of cosine|constant, found \"cos\""},
        {"schedule", "", "option schedule: expected one of cosine|constant, found \"\""},
        {"schedule", "cosine|constant",
         "option schedule: expected one of cosine|constant, found \"cosine|constant\""},
        {"epoch", "1", "unknown option epoch: did you mean epochs?"},
        {"mask_ratio", "1", "unknown option mask_ratio: did you mean mae.mask_ratio?"},
        {"mea.mask_ratio", "1", "unknown option mea.mask_ratio: did you mean mae.mask_ratio?"},
        {"xyzzy", "1", "unknown option xyzzy"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(option_set_text(&f->set, cases[i].key, cases[i].value, OPTION_FROM_FLAG,
                                         &e),
                         ERR_USAGE);
        assert_string_equal(e.message, cases[i].message);
    }
    assert_int_equal(f->train.epochs, 10);
    assert_non_null(option_set_find(&f->set, "aug.deep.mask_ratio"));
    assert_null(option_set_find(&f->set, "aug.mask_ratio"));
}

static enum err_code set_json_text(struct fixture *f, const char *text, struct err *e)
{
    cJSON *object;
    TRY(json_parse(text, strlen(text), "test", &object, e));
    enum err_code code = option_set_json(&f->set, object, OPTION_FROM_FILE, e);
    cJSON_Delete(object);
    return code;
}

static void from_json(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    assert_int_equal(
        set_json_text(f,
                      "{\"epochs\": 1000, \"lr\": 0.25, \"fresh\": true, "
                      "\"out\": \"x\", \"seed\": \"9007199254740993\","
                      "\"mae\": {\"mask_ratio\": 0.5},"
                      "\"aug.deep.mask_ratio\": {\"value\": 0.25, \"source\": \"set\"}}",
                      &e),
        ERR_OK);
    assert_int_equal(f->train.epochs, 1000);
    assert_true(f->train.lr == 0.25 && f->train.fresh);
    assert_int_equal(f->train.seed, 9007199254740993);
    assert_true(f->mae.mask_ratio == 0.5 && f->deep.mask_ratio == 0.25);
    const char *bad[] = {
        "{\"epochs\": 1.5}",
        "{\"epochs\": [1]}",
        "{\"mae\": {\"mask\": 1}}",
        "{\"mae\": 1}",
        "{\"epochs\": null}",
        "{\"fresh\": 2}",
        "[1]",
        "{\"lr\": 0.1, \"lr\": 0.2}",
        "{\"epochs\": {\"x\": 1}}",
        "{\"epochs\": 1e300}",
        "{\"seed\": 1e17}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(set_json_text(f, bad[i], &e), ERR_USAGE);
    assert_int_equal(set_json_text(f, "{\"out\": null}", &e), ERR_OK);
    assert_null(f->train.out);
}

static void to_json_and_back(void **state)
{
    struct fixture *f = *state, *g;
    struct err e = {0};
    set_up((void **)&g);
    assert_int_equal(option_set_text(&f->set, "lr", "0.1234567890123456", OPTION_FROM_FLAG, &e), 0);
    assert_int_equal(option_set_text(&f->set, "seed", "9007199254740993", OPTION_FROM_FLAG, &e), 0);
    assert_int_equal(option_set_text(&f->set, "mae.mask_ratio", "0.1", OPTION_FROM_SET, &e), 0);
    for (int with_sources = 0; with_sources < 2; with_sources++) {
        cJSON *object = option_set_to_json(&f->set, with_sources);
        struct buf text = {0};
        json_print(object, true, &text);
        cJSON_Delete(object);
        assert_int_equal(set_json_text(g, text.data, &e), ERR_OK);
        buf_free(&text);
        assert_true(g->train.lr == f->train.lr && g->mae.mask_ratio == 0.1);
        assert_int_equal(g->train.seed, f->train.seed);
        assert_null(g->train.out);
    }
    cJSON *object = option_set_to_json(&f->set, true);
    cJSON *entry = cJSON_GetObjectItemCaseSensitive(object, "mae.mask_ratio");
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(entry, "source")),
                        "set");
    cJSON_Delete(object);
    tear_down((void **)&g);
}

static void json_strict(void **state)
{
    (void)state;
    struct err e = {0};
    cJSON *value;
    const char *good[] = {"1", " {\"a\": [1, 2.5e3, \"x\\u00e9\\\"{\", null, true]} \n", "\"\\\\\"",
                          "[]"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(json_parse(good[i], strlen(good[i]), "t", &value, &e), ERR_OK);
        cJSON_Delete(value);
    }
    const char *bad[] = {"",     "{",        "{\"a\":1}}", "[1] x",    "{a:1}",
                         "[1,]", "\"a\nb\"", "1e999",      "\"\xff\"", "\"\xed\xa0\x80\"",
                         "nan",  "[1 2]",    "\"\\"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(json_parse(bad[i], strlen(bad[i]), "t", &value, &e), ERR_FORMAT);
        assert_null(value);
    }
    assert_int_equal(json_parse("[1]\0", 4, "t", &value, &e), ERR_FORMAT);
    assert_int_equal(json_parse("{\n\"a\": 1,\n!}", 12, "conf", &value, &e), ERR_FORMAT);
    assert_non_null(strstr(e.message, "conf is not JSON: line 3: syntax error near"));
    char deep[200];
    memset(deep, '[', sizeof deep);
    assert_int_equal(json_parse(deep, sizeof deep, "t", &value, &e), ERR_LIMIT);
    /* Every cut of a valid text is refused without a crash. */
    const char *whole = "{\"a\": [1, \"\\u00e9\", {\"b\": -2.5e-3}]}";
    for (size_t n = 0; n < strlen(whole); n++) {
        char *cut = malloc(n + 1); /* exact size: an overrun is seen by the sanitizer */
        memcpy(cut, whole, n);
        assert_int_equal(json_parse(cut, n, "t", &value, &e), ERR_FORMAT);
        free(cut);
    }
}

static void json_prints_exactly(void **state)
{
    (void)state;
    struct buf out = {0};
    cJSON *object = cJSON_CreateObject();
    cJSON_AddNumberToObject(object, "n", 0.1);
    cJSON_AddNumberToObject(object, "i", -3);
    cJSON_AddNumberToObject(object, "nan", NAN);
    cJSON_AddItemToObject(object, "u", json_u64(UINT64_MAX));
    cJSON_AddStringToObject(object, "s", "a\"\\\n\x01 \xc3\xa9 \xff");
    cJSON *list = cJSON_AddArrayToObject(object, "l");
    cJSON_AddItemToArray(list, cJSON_CreateTrue());
    cJSON_AddItemToArray(list, cJSON_CreateNull());
    cJSON_AddArrayToObject(object, "e");
    json_print(object, false, &out);
    assert_string_equal(out.data, "{\"n\": 0.1, \"i\": -3, \"nan\": null, "
                                  "\"u\": 18446744073709551615, "
                                  "\"s\": \"a\\\"\\\\\\n\\u0001 \xc3\xa9 \xef\xbf\xbd\", "
                                  "\"l\": [true, null], \"e\": []}");
    cJSON_Delete(object);
    buf_clear(&out);
    object = cJSON_Parse("{\"a\":{\"b\":[1]}}");
    json_print(object, true, &out);
    assert_string_equal(out.data, "{\n  \"a\": {\n    \"b\": [\n      1\n    ]\n  }\n}");
    cJSON_Delete(object);

    struct rng r = rng_at(3, RNG_STREAM_TEST, 0, 0);
    for (int i = 0; i < 2000; i++) {
        double x = rng_normal(&r) * exp(rng_between(&r, -300, 300));
        cJSON *number = cJSON_CreateNumber(x), *back;
        buf_clear(&out);
        json_print(number, false, &out);
        assert_int_equal(json_parse(out.data, out.len, "t", &back, NULL), ERR_OK);
        assert_true(back->valuedouble == x);
        cJSON_Delete(number);
        cJSON_Delete(back);
    }
    buf_free(&out);
}

static void test_repeated(void **state)
{
    (void)state;
    struct option_set set;
    struct gate_options gate;
    option_set_init(&set);
    option_set_add(&set, "", gate_rows, &gate);
    assert_null(gate.require);
    assert_int_equal(option_set_text(&set, "require", "a", OPTION_FROM_FILE, NULL), ERR_OK);
    assert_int_equal(option_set_text(&set, "require", "b", OPTION_FROM_FLAG, NULL), ERR_OK);
    assert_string_equal(gate.require, "b"); /* a stronger source replaces */
    assert_int_equal(option_set_text(&set, "require", "c,d", OPTION_FROM_FLAG, NULL), ERR_OK);
    assert_string_equal(gate.require, "b,c,d"); /* the same one adds */
    assert_int_equal(option_set_text(&set, "require", "e", OPTION_FROM_SET, NULL), ERR_OK);
    assert_string_equal(gate.require, "b,c,d"); /* a weaker one is kept out */
    option_set_free(&set);
}

/* A run of a series gets what the command was given and nothing else, from the same sources. */
static void what_was_given_is_inherited(void **state)
{
    (void)state;
    struct err e = {0};
    struct option_set set, run;
    struct train_options train, own;
    struct gate_options gate, own_gate;
    struct mae_options mae;
    option_set_init(&set);
    option_set_add(&set, "", train_rows, &train);
    option_set_add(&set, "", gate_rows, &gate);
    option_set_add(&set, "mae", mae_rows, &mae);
    assert_int_equal(option_set_words(&set, "epochs=3 schedule=constant", OPTION_FROM_DATA, false,
                                      &e),
                     ERR_OK);
    assert_int_equal(option_set_words(&set, "lr=0.5  nothing=1 epochs=4", OPTION_FROM_PRESET, true,
                                      &e),
                     ERR_OK);
    assert_int_equal(option_set_words(&set, "nothing=1", OPTION_FROM_PRESET, false, &e), ERR_USAGE);
    assert_int_equal(option_set_words(&set, "lr=2", OPTION_FROM_PRESET, true, &e), ERR_USAGE);
    assert_int_equal(option_set_text(&set, "seed", "9007199254740993", OPTION_FROM_FLAG, &e),
                     ERR_OK);
    assert_int_equal(option_set_text(&set, "require", "a>=1", OPTION_FROM_FLAG, &e), ERR_OK);
    assert_int_equal(option_set_text(&set, "require", "b>=1", OPTION_FROM_FLAG, &e), ERR_OK);
    assert_int_equal(option_set_text(&set, "mae.mask_ratio", "0.3", OPTION_FROM_FLAG, &e), ERR_OK);
    assert_int_equal(train.epochs, 4);
    assert_string_equal(train.schedule, "constant");

    option_set_init(&run);
    option_set_add(&run, "", train_rows, &own); /* it has no mae */
    option_set_add(&run, "", gate_rows, &own_gate);
    assert_int_equal(option_set_text(&run, "fresh", "true", OPTION_FROM_DEFAULT, &e), ERR_OK);
    assert_int_equal(option_set_inherit(&run, &set, &e), ERR_OK);
    assert_int_equal(own.epochs, 4);
    assert_true(own.lr == 0.5 && own.fresh && own.out == NULL);
    assert_string_equal(own.schedule, "constant");
    assert_int_equal(own.seed, 9007199254740993);
    assert_string_equal(own_gate.require, "a>=1,b>=1");
    assert_int_equal(option_set_source(&run, "epochs"), OPTION_FROM_PRESET);
    assert_int_equal(option_set_source(&run, "schedule"), OPTION_FROM_DATA);
    assert_int_equal(option_set_source(&run, "seed"), OPTION_FROM_FLAG);
    assert_int_equal(option_set_source(&run, "fresh"), OPTION_FROM_DEFAULT);
    option_set_free(&set);
    assert_string_equal(own.schedule, "constant"); /* its own copy */
    option_set_free(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(defaults_and_texts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refusals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(from_json, set_up, tear_down),
        cmocka_unit_test_setup_teardown(to_json_and_back, set_up, tear_down),
        cmocka_unit_test(json_strict),
        cmocka_unit_test(json_prints_exactly),
        cmocka_unit_test(test_repeated),
        cmocka_unit_test(what_was_given_is_inherited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
