/* Small networks, their head and the loss of contrastive predictive coding against PyTorch: the
 * fixtures of scripts/ref_backbones.py hold weights by our names, inputs, and what came of them in
 * float64. As in use (running statistics), and one batch of training: loss, gradients, statistics
 * after it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <cjson/cJSON.h>

#include "base/json.h"
#include "format/safetensors.h"
#include "model/model.h"
#include "objective/objective.h"

static const char *const fixtures[] = {"xresnet1d_18", "xresnet1d_50", "resnet1d_wang",
                                       "resnet1d_18",  "clocs_cnn",    "s4_both",
                                       "s4_causal",    "s4_cpc",       "s4_stem",
                                       "lstm",         "lstm_cpc"};

/* Largest error of tokens and logits over the largest value; relative error of losses; root of the
 * squared error of gradients and running statistics over their squared size, each tensor. */
static const struct bounds {
    const char *backend;
    double values, loss, gradients;
} all_bounds[] = {
    {"ref64", 1e-6, 1e-12, 1e-6},
    {"ref", 1e-5, 2e-5, 3e-4},
    {"cpu", 1e-5, 2e-5, 3e-4},
    {"onednn", 1e-5, 2e-5, 3e-4},
};

struct fixture {
    const char *name;
    struct safetensors file;
    struct model m;
    struct option_set set;
    struct objective_sum sum; /* count 0: classification */
    int64_t B;
};

struct run {
    struct tape *tape;
    const struct backend *k;
    void *values, *gradients, *inputs[2];
};

static const struct safetensor *tensor(const struct fixture *f, const char *prefix,
                                       const char *name)
{
    char full[160];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    const struct safetensor *x = safetensors_find(&f->file, full);
    if (!x)
        fail_msg("%s has no %s", f->name, full);
    return x;
}

static int64_t numel(const struct safetensor *x)
{
    return (int64_t)(x->bytes / safetensors_dtype_size(x->dtype));
}

static double value(const struct safetensor *x, int64_t i)
{
    return x->dtype == ST_F64   ? ((const double *)x->data)[i]
           : x->dtype == ST_F32 ? (double)((const float *)x->data)[i]
                                : ((const int32_t *)x->data)[i];
}

static cJSON *metadata(const struct fixture *f, const char *name)
{
    const char *text = safetensors_metadata(&f->file, name);
    cJSON *out = NULL;
    assert_non_null(text);
    assert_int_equal(json_parse(text, strlen(text), name, &out, NULL), ERR_OK);
    return out;
}

/* The objective of "objective": {"cpc.horizon": 5, ...}, if there is one. */
static void read_objective(struct fixture *f)
{
    struct err e = {0};
    cJSON *given = metadata(f, "objective");
    option_set_init(&f->set);
    objective_options_add(&f->set);
    for (const cJSON *item = given->child; item; item = item->next) {
        char number[40];
        snprintf(number, sizeof number, "%.17g", item->valuedouble);
        const char *text = cJSON_IsString(item) ? item->valuestring : number;
        if (option_set_text(&f->set, item->string, text, OPTION_FROM_SET, &e) != ERR_OK)
            fail_msg("%s", e.message);
    }
    char name[32] = "";
    if (given->child)
        snprintf(name, sizeof name, "%.*s", (int)strcspn(given->child->string, "."),
                 given->child->string);
    if (name[0] && objective_sum_name(&f->sum, &f->set, name, &e) != ERR_OK)
        fail_msg("%s", e.message);
    if (f->sum.count > 0 && objective_sum_resolve(&f->sum, &e) != ERR_OK)
        fail_msg("%s", e.message);
    cJSON_Delete(given);
}

static void fixture_open(struct fixture *f, const char *name)
{
    static const char *const classes[] = {"a", "b", "c", "d", "e"};
    struct err e = {0};
    char path[128];
    *f = (struct fixture){.name = name};
    snprintf(path, sizeof path, "tests/fixtures/net_%s.safetensors", name);
    if (safetensors_open(&f->file, path, &e) != ERR_OK)
        fail_msg("%s", e.message);
    read_objective(f);
    const struct safetensor *signal = tensor(f, "input.", "signal");
    f->B = signal->shape[0];
    struct contract c;
    contract_default(&c);
    c.lead_count = signal->shape[1];
    c.sample_count = signal->shape[2];
    struct model_classes k = {.count = 5,
                              .names = (const char **)(uintptr_t)classes,
                              .codes = (const char **)(uintptr_t)classes,
                              .titles = (const char **)(uintptr_t)classes};
    cJSON *spec = metadata(f, "spec");
    if (model_create(&f->m, spec, &c, f->sum.count ? NULL : &k, &e) != ERR_OK)
        fail_msg("%s: %s", name, e.message);
    cJSON_Delete(spec);
}

static void fixture_close(struct fixture *f)
{
    model_free(&f->m);
    option_set_free(&f->set);
    safetensors_close(&f->file);
}

/* ---- a run ----------------------------------------------------------------------------------- */

static double real_at(const struct backend *k, const void *x, int64_t i)
{
    return k->real_size == sizeof(float) ? (double)((const float *)x)[i] : ((const double *)x)[i];
}

static void real_put(const struct backend *k, void *x, int64_t i, double y)
{
    if (k->real_size == sizeof(float))
        ((float *)x)[i] = (float)y;
    else
        ((double *)x)[i] = y;
}

static void *bind(struct run *r, const char *name, const struct safetensor *from)
{
    struct tensor *x = tape_find_input(r->tape, name);
    if (!x)
        fail_msg("the tape has no input %s", name);
    assert_int_equal(x->numel, numel(from));
    void *data = calloc((size_t)x->numel, sizeof(double));
    assert_non_null(data);
    for (int64_t i = 0; i < x->numel; i++)
        if (x->type == TENSOR_INDEX)
            ((int32_t *)data)[i] = (int32_t)value(from, i);
        else
            real_put(r->k, data, i, value(from, i));
    tape_bind(x, data);
    return data;
}

/* Which tokens have a positive: what the objective binds beside the picks. */
static void *bind_rows(struct run *r, const struct safetensor *picks)
{
    struct tensor *x = tape_find_input(r->tape, "cpc.rows");
    int64_t N = picks->shape[1], K = picks->shape[2];
    int32_t *data = calloc((size_t)x->numel, sizeof *data);
    assert_non_null(data);
    for (int64_t i = 0; i < x->numel; i++)
        data[i] = value(picks, i * K) >= 0 ? (int32_t)(i % N) : -1;
    tape_bind(x, data);
    return data;
}

/* The weights of the fixture: each of them has a parameter, each parameter its weights. */
static void fill(struct run *r, const struct fixture *f)
{
    const struct param_table *p = &f->m.params;
    size_t n = (size_t)p->total;
    int64_t given = 0;
    r->values = aligned_calloc(n, r->k->real_size);
    r->gradients = aligned_calloc(n, r->k->real_size);
    assert_true(r->values && r->gradients);
    for (int i = 0; i < p->count; i++) {
        const struct param *q = p->items[i];
        const struct safetensor *x = tensor(f, "weight.", q->name);
        if (numel(x) != q->numel)
            fail_msg("%s: %s has %lld values, ours %lld", f->name, q->name, (long long)numel(x),
                     (long long)q->numel);
        for (int64_t j = 0; j < q->numel; j++)
            real_put(r->k, r->values, q->offset + j, value(x, j));
    }
    for (int64_t i = 0; i < f->file.count; i++)
        given += strncmp(f->file.tensors[i].name, "weight.", 7) == 0;
    assert_int_equal(given, p->count);
    tape_bind_parameters(r->tape, r->values, r->gradients);
}

static void run_close(struct run *r)
{
    tape_free(r->tape);
    free(r->values);
    free(r->gradients);
    free(r->inputs[0]);
    free(r->inputs[1]);
}

/* ---- comparing ------------------------------------------------------------------------------- */

struct worst {
    double error;
    char name[120];
};

static void worst_take(struct worst *w, double error, const char *name)
{
    if (error <= w->error) /* so that NaN is worse than all */
        return;
    w->error = error;
    snprintf(w->name, sizeof w->name, "%s", name);
}

static void worst_check(const struct fixture *f, const struct bounds *b, const char *what,
                        const struct worst *w, double bound)
{
    print_message("%-13s %-7s %-10s %.2g (%s)\n", f->name, b->backend, what, w->error, w->name);
    if (!(w->error <= bound))
        fail_msg("%s of %s on %s: %s is off by %g, more than %g", what, f->name, b->backend,
                 w->name, w->error, bound);
}

static double largest(const struct run *r, const struct tensor *t, const struct safetensor *x)
{
    double out = 0, size = 0;
    assert_int_equal(t->numel, numel(x));
    for (int64_t i = 0; i < t->numel; i++) {
        double d = fabs(real_at(r->k, t->data, i) - value(x, i));
        out = d <= out ? out : d; /* NaN stays */
        size = fmax(size, fabs(value(x, i)));
    }
    return out / size;
}

static double size_of(const struct safetensor *x)
{
    double out = 0;
    for (int64_t i = 0; i < numel(x); i++)
        out += value(x, i) * value(x, i);
    return sqrt(out);
}

/* Tensors PREFIX.* against a slab; returns how many. What is zero but for rounding, as the gradient
 * of a bias before a norm is, has no relative error: it is measured by the largest of them. */
static int64_t compare(const struct run *r, const struct fixture *f, const void *slab,
                       const char *prefix, struct worst *w)
{
    int64_t count = 0;
    double most = 0;
    for (int64_t i = 0; i < f->file.count; i++)
        if (strncmp(f->file.tensors[i].name, prefix, strlen(prefix)) == 0)
            most = fmax(most, size_of(&f->file.tensors[i]));
    for (int64_t i = 0; i < f->file.count; i++) {
        const struct safetensor *x = &f->file.tensors[i];
        if (strncmp(x->name, prefix, strlen(prefix)) != 0)
            continue;
        const struct param *q = param_find(&f->m.params, x->name + strlen(prefix));
        if (!q)
            fail_msg("%s: no parameter %s", f->name, x->name + strlen(prefix));
        double error = 0;
        for (int64_t j = 0; j < q->numel; j++)
            error += pow(real_at(r->k, slab, q->offset + j) - value(x, j), 2);
        worst_take(w, sqrt(error) / fmax(size_of(x), 1e-3 * most), q->name);
        count++;
    }
    return count;
}

/* ---- the two tests --------------------------------------------------------------------------- */

static void check_use(struct fixture *f, const struct bounds *b, const struct backend *k)
{
    struct err e = {0};
    if (f->sum.count > 0)
        return; /* the other fixtures look at these encoders */
    struct run r = {.tape = tape_new(k, false), .k = k};
    struct build build = {.tape = r.tape, .params = &f->m.params};
    const struct contract *c = &f->m.contract;
    struct tensor *signal = tape_input(r.tape, "signal", TENSOR_REAL, false, 3,
                                       (int64_t[]){f->B, c->lead_count, c->sample_count});
    struct masking masking = {0};
    struct encoding encoding = model_encode(&build, &f->m, signal, &masking);
    struct tensor *tokens = encoding.tokens;
    struct tensor *logits = model_logits(&build, &f->m, model_pool(&build, &f->m, &encoding));
    tape_keep(r.tape, tokens);
    tape_keep(r.tape, logits);
    assert_int_equal(tape_plan(r.tape, NULL, &e), ERR_OK);
    fill(&r, f);
    r.inputs[0] = bind(&r, "signal", tensor(f, "input.", "signal"));
    tape_forward(r.tape);
    struct worst w = {-1, ""};
    worst_take(&w, largest(&r, tokens, tensor(f, "eval.", "tokens")), "tokens");
    worst_take(&w, largest(&r, logits, tensor(f, "eval.", "logits")), "logits");
    worst_check(f, b, "in use", &w, b->values);
    run_close(&r);
}

static void check_training(struct fixture *f, const struct bounds *b, const struct backend *k)
{
    struct err e = {0};
    struct run r = {.tape = tape_new(k, true), .k = k};
    struct build build = {.tape = r.tape, .params = &f->m.params};
    bool classifies = f->sum.count == 0;
    struct tensor *loss = classifies ? model_loss(&build, &f->m, f->B)
                                     : objective_sum_build(&f->sum, &build, &f->m, f->B, NULL);
    assert_int_equal(tape_plan(r.tape, loss, &e), ERR_OK);
    fill(&r, f);
    void *signal = bind(&r, "signal", tensor(f, "input.", "signal"));
    if (classifies) {
        r.inputs[0] = bind(&r, "target", tensor(f, "input.", "target"));
        struct tensor *weight = tape_find_input(r.tape, "weight"); /* of positives */
        if (weight) {
            r.inputs[1] = calloc((size_t)weight->numel, sizeof(double));
            for (int64_t i = 0; i < weight->numel; i++)
                real_put(k, r.inputs[1], i, 1);
            tape_bind(weight, r.inputs[1]);
        }
    } else {
        r.inputs[0] = bind(&r, "cpc.picks", tensor(f, "input.", "picks"));
        r.inputs[1] = bind_rows(&r, tensor(f, "input.", "picks"));
    }
    tape_set_step(r.tape, 1, 0);
    tape_forward(r.tape);
    struct worst w = {-1, ""};
    double expected = value(tensor(f, "", "loss"), 0);
    worst_take(&w, fabs(real_at(k, loss->data, 0) / expected - 1), "loss");
    worst_check(f, b, "loss", &w, b->loss);
    w = (struct worst){-1, ""};
    compare(&r, f, r.values, "after.", &w);
    tape_backward(r.tape, 1);
    assert_true(compare(&r, f, r.gradients, "grad.", &w) > 5);
    worst_check(f, b, "training", &w, b->gradients);
    free(signal);
    run_close(&r);
}

static void check_all(void (*check)(struct fixture *, const struct bounds *,
                                    const struct backend *))
{
    for (size_t i = 0; i < sizeof all_bounds / sizeof *all_bounds; i++) {
        const struct backend *k = strcmp(all_bounds[i].backend, "ref64") == 0
                                      ? &backend_ref64
                                      : backend_find(all_bounds[i].backend);
        for (size_t n = 0; n < sizeof fixtures / sizeof *fixtures && k; n++) {
            struct fixture f;
            fixture_open(&f, fixtures[n]);
            check(&f, &all_bounds[i], k);
            fixture_close(&f);
        }
    }
}

static void test_use(void **state)
{
    (void)state;
    check_all(check_use);
}

static void test_training(void **state)
{
    (void)state;
    check_all(check_training);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_use),
        cmocka_unit_test(test_training),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
