/* Model files that keep the parameters of their objectives: what is written is read back, commands that
 * use the encoder alone are not disturbed, pre-training takes up what fits, and a file in which a
 * tensor is missing, unexpected or of another shape than it says is refused by name. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <cjson/cJSON.h>

#include "base/buf.h"
#include "base/json.h"
#include "format/safetensors.h"
#include "model/scorer.h"
#include "objective/saved.h"

#include "scratch.h"

enum { L = 3, T = 64 };

static const char spec_text[] =
    "{\"network\":{\"backbone\":\"vit\",\"pool\":\"mean\"},\"vit\":{\"width\":8,\"depth\":1,"
    "\"heads\":2,\"patch\":4}}";

/* A run's options and objectives, and its encoder with complete table. */
struct run {
    struct option_set set;
    struct objective_sum sum;
    struct model model;
};

static void run_open(struct run *r, const char *objective, const char *const *pairs)
{
    struct err e = {0};
    struct contract c;
    option_set_init(&r->set);
    static struct model_options unused; /* defaults of objectives may set options of the network */
    model_options_add(&r->set, &unused);
    objective_options_add(&r->set);
    const char *const small[] = {"mae.width",     "8", "mae.depth",         "1", "mae.heads", "2",
                                 "simclr.hidden", "8", "simclr.projection", "4", NULL};
    for (const char *const *p = small; *p; p += 2)
        assert_int_equal(option_set_text(&r->set, p[0], p[1], OPTION_FROM_SET, NULL), ERR_OK);
    for (; pairs && *pairs; pairs += 2)
        assert_int_equal(option_set_text(&r->set, pairs[0], pairs[1], OPTION_FROM_FLAG, NULL),
                         ERR_OK);
    /* The rows by hand: their defaults set options of training that are not registered here. */
    memset(&r->sum, 0, sizeof r->sum);
    char copy[64];
    snprintf(copy, sizeof copy, "%s", objective);
    char *rest = copy;
    for (char *word; (word = strsep(&rest, "+")) != NULL;)
        for (int i = 0; objectives[i]; i++)
            if (strcmp(objectives[i]->name, word) == 0) {
                r->sum.rows[r->sum.count] = objectives[i];
                for (int g = 0; g < r->set.group_count; g++)
                    if (r->set.groups[g].rows == objectives[i]->options &&
                        strcmp(r->set.groups[g].prefix, word) == 0)
                        r->sum.configs[r->sum.count] = r->set.groups[g].target;
                r->sum.count++;
            }
    assert_int_equal(objective_sum_resolve(&r->sum, &e), ERR_OK);
    contract_default(&c);
    c.lead_count = L;
    c.sample_count = T;
    cJSON *spec = cJSON_Parse(spec_text);
    if (model_create(&r->model, spec, &c, NULL, &e) != ERR_OK)
        fail_msg("%s", e.message);
    cJSON_Delete(spec);
    struct tape *t = tape_new(&backend_ref, true);
    struct build b = {.tape = t, .params = &r->model.params};
    objective_sum_build(&r->sum, &b, &r->model, 2, NULL);
    tape_free(t);
}

static void run_close(struct run *r)
{
    model_free(&r->model);
    option_set_free(&r->set);
}

static void save(struct run *r, uint64_t seed, const char *path)
{
    struct err e = {0};
    struct buf text = {0};
    assert_int_equal(model_allocate(&r->model, seed, &e), ERR_OK);
    for (int i = 0; i < r->model.params.count; i++) /* also what starts at zero has values */
        for (int64_t j = 0; j < r->model.params.items[i]->numel; j++)
            r->model.values[r->model.params.items[i]->offset + j] += (float)(i + 1) * 0.001F;
    cJSON *json = objective_sum_to_json(&r->sum);
    json_print(json, false, &text);
    cJSON_Delete(json);
    r->model.objective = arena_strdup(&r->model.arena, text.data);
    buf_free(&text);
    if (model_save(&r->model, NULL, path, &e) != ERR_OK)
        fail_msg("%s", e.message);
}

static void parameters_of_objectives_come_back(void **state)
{
    (void)state;
    char *root = scratch_make(), path[300], again[300];
    struct err e = {0};
    struct run r;
    snprintf(path, sizeof path, "%s/model", root);
    snprintf(again, sizeof again, "%s/again", root);
    run_open(&r, "mae+simclr", NULL);
    save(&r, 3, path);
    struct model open, loaded;
    if (model_open(&open, path, &e) != ERR_OK || model_load(&loaded, path, &e) != ERR_OK)
        fail_msg("%s", e.message);
    assert_int_equal(open.params.count, r.model.params.count);
    assert_int_equal(param_count_values(&open.params), param_count_values(&r.model.params));
    int added = 0;
    for (int i = 0; i < r.model.params.count; i++) {
        const struct param *p = r.model.params.items[i], *q = param_find(&loaded.params, p->name);
        assert_non_null(q);
        assert_int_equal(q->numel, p->numel);
        assert_memory_equal(loaded.values + q->offset, r.model.values + p->offset,
                            (size_t)p->numel * sizeof(float));
        added += !model_owns(p);
    }
    assert_true(added > 10 && param_find(&open.params, "mae.mask_token") &&
                param_find(&open.params, "simclr.project.bias"));
    /* The metadata says what it is, and a file of a file is the same file. */
    cJSON *json = cJSON_Parse(open.objective);
    assert_string_equal(cJSON_GetObjectItem(json, "objective")->valuestring, "mae+simclr");
    assert_true(cJSON_GetObjectItem(cJSON_GetObjectItem(json, "mae"), "width")->valuedouble == 8);
    assert_null(cJSON_GetObjectItem(json, "parameters"));
    cJSON_Delete(json);
    open.provenance = NULL;
    assert_int_equal(model_save_as(&open, STORAGE_F32, again, &e), ERR_OK);
    struct model twice;
    assert_int_equal(model_open(&twice, again, &e), ERR_OK);
    assert_string_equal(twice.objective, open.objective);
    assert_int_equal(twice.params.count, open.params.count);
    model_free(&twice);
    assert_int_equal(model_save_as(&open, STORAGE_INT8, again, &e), ERR_OK); /* they stay float32 */
    assert_int_equal(model_open(&twice, again, &e), ERR_OK);
    for (int i = 0; i < twice.params.count; i++)
        if (!model_owns(twice.params.items[i]))
            assert_int_equal(model_weight(&twice, i).storage, STORAGE_F32);
    model_free(&twice);
    /* What uses the encoder is not disturbed. */
    struct scorer *s;
    float x[L * T], features[8], want[8];
    for (int i = 0; i < L * T; i++)
        x[i] = (float)((i * 7 % 11) - 5) * 0.1F;
    assert_int_equal(scorer_open(&s, &r.model, NULL, &e), ERR_OK);
    scorer_run(s, x, 1, want, NULL);
    scorer_close(s);
    assert_int_equal(scorer_open(&s, &open, NULL, &e), ERR_OK);
    scorer_run(s, x, 1, features, NULL);
    scorer_close(s);
    assert_memory_equal(features, want, sizeof want);
    /* Without metadata nothing of objectives is written. */
    r.model.objective = NULL;
    assert_int_equal(model_save(&r.model, NULL, path, &e), ERR_OK);
    assert_int_equal(model_open(&twice, path, &e), ERR_OK);
    assert_int_equal(twice.params.count, r.model.params.count - added);
    assert_null(twice.objective);
    model_free(&twice);
    model_free(&open);
    model_free(&loaded);
    run_close(&r);
    scratch_remove(root);
    free(root);
}

static bool same_values(const struct model *a, const struct model *b, const char *name)
{
    const struct param *p = param_find(&a->params, name), *q = param_find(&b->params, name);
    assert_true(p && q && p->numel == q->numel);
    return memcmp(a->values + p->offset, b->values + q->offset, (size_t)p->numel * sizeof(float)) ==
           0;
}

/* Taken up is an objective with the same options; its weight in the sum is no option of its own. */
static void pretraining_takes_up_what_fits(void **state)
{
    (void)state;
    char *root = scratch_make(), path[300];
    struct err e = {0};
    struct run r;
    snprintf(path, sizeof path, "%s/model", root);
    run_open(&r, "mae+simclr", NULL);
    save(&r, 3, path);
    struct model from;
    assert_int_equal(model_load(&from, path, &e), ERR_OK);
    static const struct {
        const char *objective, *pairs[5], *carried;
        bool mae, simclr;
    } cases[] = {
        {"mae+simclr", {NULL}, "mae+simclr", true, true},
        {"simclr+mae", {"simclr.weight", "2", NULL}, "simclr+mae", true, true},
        {"mae+simclr", {"mae.mask_ratio", "0.5", NULL}, "simclr", false, true},
        {"mae+simclr", {"simclr.projection", "6", "mae.weight", "0.5", NULL}, "mae", true, false},
        {"mae", {"mae.width", "16", NULL}, "", false, false},
        {"simclr", {NULL}, "simclr", false, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct run n;
        const char *carried;
        run_open(&n, cases[i].objective, cases[i].pairs);
        assert_int_equal(model_allocate(&n.model, 99, &e), ERR_OK);
        assert_int_equal(model_copy_encoder(&n.model, &from, &e), ERR_OK);
        if (objective_sum_carry(&n.sum, &n.model, &from, &carried, &e) != ERR_OK)
            fail_msg("%s", e.message);
        assert_string_equal(carried, cases[i].carried);
        assert_true(same_values(&n.model, &from, "encoder.block.0.mlp.up.weight"));
        if (param_find(&n.model.params, "mae.mask_token") && strcmp(carried, "") != 0)
            assert_int_equal(same_values(&n.model, &from, "mae.mask_token"), cases[i].mae);
        if (param_find(&n.model.params, "simclr.hidden.weight"))
            assert_int_equal(same_values(&n.model, &from, "simclr.hidden.weight"), cases[i].simclr);
        run_close(&n);
    }
    model_free(&from);
    run_close(&r);
    scratch_remove(root);
    free(root);
}

/* ---- hostile files ---- */

/* Writes the file again with another list of parameters (NULL: as it is), without tensor `take`, with a
 * tensor `add`. */
static void write_changed(const char *from, const char *to, const char *parameters,
                          const char *take, const char *add)
{
    struct err e = {0};
    struct safetensors st;
    assert_int_equal(safetensors_open(&st, from, &e), ERR_OK);
    struct safetensor *list = calloc((size_t)st.count + 1, sizeof *list);
    int64_t n = 0;
    for (int64_t i = 0; i < st.count; i++)
        if (!take || strcmp(st.tensors[i].name, take) != 0)
            list[n++] = st.tensors[i];
    static const float two[2] = {1, 2};
    if (add)
        list[n++] = (struct safetensor){
            .name = add, .dtype = ST_F32, .rank = 1, .shape = {2}, .data = two, .bytes = 8};
    const char *values[16];
    struct buf text = {0};
    for (int64_t i = 0; i < st.metadata_count; i++) {
        values[i] = st.metadata_values[i];
        if (parameters && strcmp(st.metadata_keys[i], "ecgfm.objective") == 0) {
            buf_printf(&text, "{\"objective\":\"mae\",\"mae\":{},\"encoder\":{},%s}", parameters);
            values[i] = text.data;
        }
    }
    if (safetensors_write(to, list, n, st.metadata_keys, values, st.metadata_count, &e) != ERR_OK)
        fail_msg("%s", e.message);
    free(list);
    buf_free(&text);
    safetensors_close(&st);
}

static void damaged_files_are_refused(void **state)
{
    (void)state;
    char *root = scratch_make(), path[300], bad[300];
    struct run r;
    snprintf(path, sizeof path, "%s/model", root);
    snprintf(bad, sizeof bad, "%s/bad", root);
    run_open(&r, "mae", NULL);
    save(&r, 3, path);
    static const struct {
        const char *parameters, *take, *add, *message;
    } cases[] = {
        {NULL, "mae.mask_token", NULL, "parameter mae.mask_token is missing"},
        {NULL, NULL, "mae.extra", "expected"},
        {NULL, NULL, "other", "expected"},
        {"\"parameters\":{}", NULL, NULL, "tensors, found"},
        {"\"parameters\":[]", NULL, NULL, "no list of"},
        {"\"list\":{}", NULL, NULL, "no list of"},
        {"\"parameters\":{\"mae.mask_token\":[9]}", NULL, NULL, "another shape"},
        {"\"parameters\":{\"mae.mask_token\":[8,1]}", NULL, NULL, "another shape"},
        {"\"parameters\":{\"mae.mask_token\":[0]}", NULL, NULL, "no valid shape"},
        {"\"parameters\":{\"mae.mask_token\":[-8]}", NULL, NULL, "no valid shape"},
        {"\"parameters\":{\"mae.mask_token\":[8.5]}", NULL, NULL, "no valid shape"},
        {"\"parameters\":{\"mae.mask_token\":[]}", NULL, NULL, "no valid shape"},
        {"\"parameters\":{\"mae.mask_token\":8}", NULL, NULL, "no valid shape"},
        {"\"parameters\":{\"mae.mask_token\":[\"8\"]}", NULL, NULL, "no valid shape"},
        {"\"parameters\":{\"mae.mask_token\":[1,1,1,1,8]}", NULL, NULL, "no valid shape"},
        {"\"parameters\":{\"mae.mask_token\":[1e9,1e9,1e9,1e9]}", NULL, NULL, "no valid shape"},
        {"\"parameters\":{\"mae.mask_token\":[1e9,1e9]}", NULL, NULL, "no valid shape"},
        {"\"parameters\":{\"mae.mask_token\":[8],\"mae.mask_token\":[8]}", NULL, NULL,
         "listed twice"},
        {"\"parameters\":{\"simclr.x\":[2]}", NULL, NULL, "belongs to no objective"},
        {"\"parameters\":{\"mask_token\":[8]}", NULL, NULL, "belongs to no objective"},
        {"\"parameters\":{\"mae\":[8]}", NULL, NULL, "belongs to no objective"},
        {"\"parameters\":{\"objective.x\":[8]}", NULL, NULL, "belongs to no objective"},
        {"\"parameters\":{\"encoder.x\":[2]}", NULL, NULL, "belongs to no objective"},
        {"\"parameters\":{\"mae.gone\":[2]}", NULL, NULL, "mae.gone is missing"},
        {"\"parameters\":3", NULL, NULL, "no list of"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = {0};
        struct model m;
        write_changed(path, bad, cases[i].parameters, cases[i].take, cases[i].add);
        assert_int_equal(model_open(&m, bad, &e), ERR_MODEL);
        if (!strstr(e.message, cases[i].message))
            fail_msg("case %zu: %s", i, e.message);
        model_free(&m);
    }
    run_close(&r);
    scratch_remove(root);
    free(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_of_objectives_come_back),
        cmocka_unit_test(pretraining_takes_up_what_fits),
        cmocka_unit_test(damaged_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
