/* The w2v backbone, its objectives, a classifier and the optimizer against PyTorch: the fixtures of
 * scripts/ref_ecgfm.py hold weights, inputs with all that is random, and what came of them in float64.
 *
 * Every tensor of a fixture's state dict becomes a part of our parameters by the table of
 * model/fairseq.h, the way a checkpoint is converted, and its gradient the same way. Each layer's output
 * must be found among the tensors of the tape.
 *
 * ECGFM_FIXTURE=FILE: that fixture alone (scripts/ref_ecgfm.py check --losses makes large ones). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <cjson/cJSON.h>

#include "format/safetensors.h"
#include "model/fairseq.h"
#include "model/scorer.h"
#include "nn/optimizer.h"
#include "objective/objective.h"

static const char *const fixtures[] = {"w2v_pretrain_group", "w2v_pretrain_layer", "w2v_classifier",
                                       "w2v_classifier_pre"};

/* Bounds on what a backend may be off: layers (largest error), losses (relative), gradients (root of the
 * squared error over the squared size, each tensor), losses of the steps (relative) and what the
 * steps made of the weights (like gradients). */
static const struct bounds {
    const char *backend;
    double layers, losses, gradients, steps, weights; /* 0: it does not train */
    double
        scorer; /* tokens, attention and logits of a scorer (largest error); 0: it does not score */
} all_bounds[] = {
    {"ref64", 1e-6, 1e-12, 1e-6, 1e-12, 1e-6, 0},
    {"ref", 2e-5, 2e-6, 1e-4, 1e-5, 1e-3, 2e-5},
    {"cpu", 2e-5, 2e-6, 1e-4, 1e-5, 1e-3, 2e-5},
    {"cpu-bf16", 0.15, 0.01, 0.1, 0.01, 0.1, 0.1},
    {"cpu-int8", 0, 0, 0, 0, 0, 0.3},
};

/* ---- a fixture ------------------------------------------------------------------------------- */

struct fixture {
    const char *name;
    struct safetensors file;
    cJSON *config, *spec;
    struct arena arena;
    struct fairseq_tensor *names;
    int64_t name_count;
    struct model m;
    struct option_set set;
    struct objective_sum sum;
    int64_t B; /* rows of the signal */
};

static const struct safetensor *tensor(const struct fixture *f, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static const struct safetensor *tensor(const struct fixture *f, const char *format, ...)
{
    char name[160];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    return safetensors_find(&f->file, name);
}

static int64_t numel(const struct safetensor *x)
{
    return (int64_t)(x->bytes / safetensors_dtype_size(x->dtype));
}

static double value(const struct safetensor *x, int64_t i)
{
    switch (x->dtype) {
    case ST_F64:
        return ((const double *)x->data)[i];
    case ST_F32:
        return (double)((const float *)x->data)[i];
    case ST_I32:
        return ((const int32_t *)x->data)[i];
    case ST_U8:
        return ((const uint8_t *)x->data)[i];
    default:
        fail_msg("%s: type %s", x->name, safetensors_dtype_name(x->dtype));
    }
    return 0;
}

static int64_t setting(const struct fixture *f, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(f->config, name);
    if (cJSON_IsBool(item))
        return cJSON_IsTrue(item);
    if (!cJSON_IsNumber(item))
        fail_msg("%s: no %s in its configuration", f->name, name);
    return (int64_t)item->valuedouble;
}

/* What its state dict is called by in a checkpoint. */
static void read_names(struct fixture *f)
{
    struct fairseq_arch a;
    int64_t classes = setting(f, "classes");
    const char *norm = cJSON_GetObjectItemCaseSensitive(f->config, "conv_norm")->valuestring;
    fairseq_arch_default(&a, classes ? FAIRSEQ_CLASSIFIER : FAIRSEQ_PRETRAINED, classes);
    a.leads = setting(f, "leads");
    a.conv_layers = setting(f, "conv_layers");
    a.conv_width = setting(f, "conv_width");
    a.conv_kernel = setting(f, "conv_kernel");
    a.conv_stride = setting(f, "conv_stride");
    a.conv_layer_norm = strcmp(norm, "layer") == 0;
    a.conv_bias = setting(f, "conv_bias");
    a.width = setting(f, "width");
    a.depth = setting(f, "depth");
    a.hidden = setting(f, "hidden");
    a.heads = setting(f, "heads");
    a.norm_first = setting(f, "pre_norm");
    a.position_kernel = setting(f, "position_kernel");
    a.position_groups = setting(f, "position_groups");
    a.parametrized = false;
    for (int64_t i = 0; i < f->file.count; i++)
        a.parametrized |= strstr(f->file.tensors[i].name, "parametrizations") != NULL;
    a.code_groups = setting(f, "groups");
    a.codes = setting(f, "codes");
    a.code_width = setting(f, "final") / a.code_groups;
    a.final_width = setting(f, "final");
    f->name_count = fairseq_tensors(&a, &f->arena, &f->names);
}

static void objective_add(struct fixture *f, const char *name)
{
    int i = 0, g = 0;
    while (strcmp(objectives[i]->name, name) != 0)
        i++;
    while (f->set.groups[g].rows != objectives[i]->options ||
           strcmp(f->set.groups[g].prefix, name) != 0)
        g++;
    f->sum.rows[f->sum.count] = objectives[i];
    f->sum.configs[f->sum.count++] = f->set.groups[g].target;
}

static void read_objectives(struct fixture *f)
{
    struct err e = {0};
    cJSON *values = cJSON_Parse(safetensors_metadata(&f->file, "objective")), *item;
    option_set_init(&f->set);
    if (setting(f, "classes") == 0) {
        objective_options_add(&f->set);
        objective_add(f, "w2v"); /* by hand: defaults of other groups have no place in this set */
        objective_add(f, "cmsc");
        cJSON_ArrayForEach(item, values)
        {
            char text[40];
            snprintf(text, sizeof text, "%.17g", item->valuedouble);
            if (option_set_text(&f->set, item->string, text, OPTION_FROM_SET, &e) != ERR_OK)
                fail_msg("%s", e.message);
        }
        if (objective_sum_resolve(&f->sum, &e) != ERR_OK)
            fail_msg("%s", e.message);
    }
    cJSON_Delete(values);
}

static void fixture_open(struct fixture *f, const char *name)
{
    struct err e = {0};
    char path[512];
    *f = (struct fixture){.name = name};
    bool is_path = strchr(name, '/') != NULL;
    snprintf(path, sizeof path, "%s%s%s", is_path ? "" : "tests/fixtures/", name,
             is_path ? "" : ".safetensors");
    if (safetensors_open(&f->file, path, &e) != ERR_OK)
        fail_msg("%s", e.message);
    f->config = cJSON_Parse(safetensors_metadata(&f->file, "config"));
    f->spec = cJSON_Parse(safetensors_metadata(&f->file, "spec"));
    arena_init(&f->arena, "fixture", 0);
    read_names(f);
    read_objectives(f);
    const struct safetensor *signal = tensor(f, "input.signal");
    f->B = signal->shape[0];
    struct contract c;
    contract_default(&c);
    c.lead_count = signal->shape[1];
    c.sample_count = signal->shape[2];
    static const char *names[64];
    char text[64][8];
    struct model_classes classes = {.count = setting(f, "classes"),
                                    .names = names,
                                    .codes = names,
                                    .titles = names};
    for (int64_t i = 0; i < classes.count; i++) {
        snprintf(text[i], sizeof text[i], "%d", (int)i);
        names[i] = text[i];
    }
    if (model_create(&f->m, f->spec, &c, classes.count ? &classes : NULL, &e) != ERR_OK)
        fail_msg("%s", e.message);
}

static void fixture_close(struct fixture *f)
{
    model_free(&f->m);
    option_set_free(&f->set);
    cJSON_Delete(f->config);
    cJSON_Delete(f->spec);
    arena_reset(&f->arena);
    safetensors_close(&f->file);
}

/* The tensors PREFIX.* as a slab of our parameters; caller frees. Each must be there, and all of ours;
 * those of objectives have no place in a table without them. */
static float *slab_of(const struct fixture *f, const char *prefix)
{
    const struct param_table *p = &f->m.params;
    float *slab = calloc((size_t)p->total, sizeof *slab);
    assert_non_null(slab);
    int64_t filled = 0;
    for (int64_t i = 0; i < f->name_count; i++) {
        const struct fairseq_tensor *t = &f->names[i];
        const struct safetensor *x = tensor(f, "%s.%s", prefix, t->name);
        const struct param *ours = param_find(p, t->ours);
        if (!ours && strncmp(t->ours, "w2v.", 4) == 0)
            continue;
        if (!x || !ours)
            fail_msg("%s: %s %s.%s", f->name, x ? "no parameter for" : "no", prefix, t->name);
        assert_int_equal(x->rank, t->rank);
        for (int k = 0; k < x->rank; k++)
            assert_int_equal(x->shape[k], t->shape[k]);
        assert_int_equal(x->dtype, ST_F32);
        fairseq_put(t, slab + ours->offset, x->data);
        filled += numel(x);
    }
    assert_int_equal(filled, param_count_values(p));
    return slab;
}

/* ---- a run of it ----------------------------------------------------------------------------- */

struct run {
    const struct fixture *f;
    const struct backend *k;
    struct tape *tape;
    struct tensor *loss;
    struct objective_parts parts;
    void *values, *gradients, *m, *v;
    void *buffers[16]; /* of inputs */
    int buffer_count;
};

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

/* The memory of an input, bound on the first call. */
static void *input_data(struct run *r, struct tensor *x)
{
    if (!x->data) {
        assert_true(r->buffer_count < 16);
        size_t size = x->type == TENSOR_INDEX ? sizeof(int32_t) : r->k->real_size;
        void *data = r->buffers[r->buffer_count++] = calloc((size_t)x->numel, size);
        assert_non_null(data);
        tape_bind(x, data);
    }
    return x->data;
}

static struct tensor *named_input(struct run *r, const char *name)
{
    struct tensor *x = tape_find_input(r->tape, name);
    if (!x)
        fail_msg("the tape has no input %s", name);
    return x;
}

/* All of it, as it is. */
static void bind_whole(struct run *r, const char *name, const struct safetensor *from)
{
    struct tensor *x = named_input(r, name);
    void *data = input_data(r, x);
    assert_non_null(from);
    assert_int_equal(numel(from), x->numel);
    for (int64_t i = 0; i < x->numel; i++)
        if (x->type == TENSOR_INDEX)
            ((int32_t *)data)[i] = (int32_t)value(from, i);
        else
            real_put(r->k, data, i, value(from, i));
}

/* What is random in a step, -1: what is looked at closely. Fixtures hold as many hidden tokens as there
 * are, the tape has room for the most there can be. */
static void bind_random(struct run *r, int64_t step)
{
    const char *prefix = step < 0 ? "input" : "step";
    const struct safetensor *signal = tensor(r->f, "input.signal"),
                            *leads = tensor(r->f, "%s.leads", prefix),
                            *hidden = tensor(r->f, "%s.hidden", prefix),
                            *negatives = tensor(r->f, "%s.negatives", prefix),
                            *noise = tensor(r->f, "%s.noise", prefix);
    struct tensor *x = named_input(r, "signal"), *to = named_input(r, "hidden");
    int32_t *index = input_data(r, to), *others = input_data(r, named_input(r, "w2v.negatives"));
    void *samples = input_data(r, x), *gumbel = input_data(r, named_input(r, "w2v.noise"));
    int64_t B = r->f->B, T = x->shape[2], N = leads->shape[leads->rank - 1];
    int64_t R = step < 0 ? 0 : step * B; /* rows before */
    int64_t M = to->shape[1], m = hidden->shape[hidden->rank - 1];
    int64_t K = negatives->shape[negatives->rank - 1], V = noise->shape[noise->rank - 1];
    assert_true(m <= M);
    for (int64_t i = 0; i < x->numel; i++)
        real_put(r->k, samples, i, value(leads, R * N + i / T) * value(signal, i));
    for (int64_t b = 0; b < B; b++)
        for (int64_t t = 0; t < M; t++) {
            int64_t row = b * M + t, from = (R + b) * m + t;
            bool there = t < m && value(hidden, from) >= 0;
            index[row] = there ? (int32_t)value(hidden, from) : -1;
            for (int64_t k = 0; k < K; k++)
                others[row * K + k] =
                    there ? (int32_t)(b * M + value(negatives, from * K + k)) : -1;
            for (int64_t v = 0; v < V; v++)
                real_put(r->k, gumbel, row * V + v, there ? value(noise, from * V + v) : 0);
        }
    const cJSON *tau = cJSON_GetObjectItemCaseSensitive(r->f->config, "tau");
    double now = cJSON_GetArrayItem(tau, 0)->valuedouble *
                 pow(cJSON_GetArrayItem(tau, 2)->valuedouble, step < 0 ? 0 : (double)step);
    real_put(r->k, input_data(r, named_input(r, "w2v.temperature")), 0,
             fmax(now, cJSON_GetArrayItem(tau, 1)->valuedouble));
    input_data(r, named_input(r, "w2v.masked_tokens"));
    struct tensor *records = named_input(r, "cmsc.record"); /* both segments are of the same */
    for (int64_t i = 0; i < records->numel; i++)
        ((int32_t *)input_data(r, records))[i] = (int32_t)value(tensor(r->f, "input.records"), i);
}

static struct tensor *classifier_loss(struct build *b, const struct fixture *f)
{
    const struct model *m = &f->m;
    int64_t B = f->B, K = m->classes.count;
    struct tape *t = b->tape;
    struct tensor *signal =
        tape_input(t, "signal", TENSOR_REAL, false, 3,
                   (int64_t[]){B, m->contract.lead_count, m->contract.sample_count});
    struct tensor *target = tape_input(t, "target", TENSOR_REAL, false, 2, (int64_t[]){B, K});
    struct tensor *weight = tape_input(t, "weight", TENSOR_REAL, false, 1, &K);
    struct masking masking = {0};
    if (tensor(f, "input.lengths"))
        masking.lengths = tape_input(t, "lengths", TENSOR_INDEX, false, 1, &B);
    struct encoding encoding = model_encode(b, m, signal, &masking);
    struct tensor *logits = model_logits(b, m, model_pool(b, m, &encoding));
    return t_bce(t, logits, target, weight);
}

/* keep: every tensor stays readable. */
static void run_open(struct run *r, struct fixture *f, const struct backend *k, bool keep)
{
    struct err e = {0};
    *r = (struct run){.f = f, .k = k, .tape = tape_new(k, true)};
    struct build b = {.tape = r->tape, .params = &f->m.params};
    bool classifies = f->m.classes.count > 0;
    r->loss = classifies ? classifier_loss(&b, f)
                         : objective_sum_build(&f->sum, &b, &f->m, f->B / f->sum.views, &r->parts);
    for (int i = 0; i < tape_tensor_count(r->tape) && keep; i++)
        if (tape_tensor(r->tape, i)->kind == TENSOR_RESULT)
            tape_keep(r->tape, tape_tensor(r->tape, i));
    assert_int_equal(tape_plan(r->tape, r->loss, &e), ERR_OK);
    size_t n = (size_t)f->m.params.total;
    void **slabs[] = {&r->values, &r->gradients, &r->m, &r->v};
    for (int i = 0; i < 4; i++)
        assert_non_null(*slabs[i] = aligned_calloc(n, k->real_size));
    float *weights = slab_of(f, "weight");
    for (size_t i = 0; i < n; i++)
        real_put(k, r->values, (int64_t)i, (double)weights[i]);
    free(weights);
    tape_bind_parameters(r->tape, r->values, r->gradients);
    if (classifies) {
        bind_whole(r, "signal", tensor(f, "input.signal"));
        bind_whole(r, "target", tensor(f, "input.target"));
        bind_whole(r, "weight", tensor(f, "input.positive_weight"));
        if (tensor(f, "input.lengths"))
            bind_whole(r, "lengths", tensor(f, "input.lengths"));
    }
}

static void run_close(struct run *r)
{
    tape_free(r->tape);
    for (int i = 0; i < r->buffer_count; i++)
        free(r->buffers[i]);
    free(r->values), free(r->gradients), free(r->m), free(r->v);
}

/* ---- comparing ------------------------------------------------------------------------------- */

struct worst {
    double error;
    char name[96];
};

static void worst_take(struct worst *w, double error, const char *name)
{
    if (error <= w->error) /* so that NaN is worse than all */
        return;
    w->error = error;
    snprintf(w->name, sizeof w->name, "%s", name);
}

static void worst_check(const struct run *r, const char *what, const struct worst *w, double bound)
{
    print_message("%-20s %-8s %-9s %.2g (%s)\n", r->f->name, r->k->name, what, w->error, w->name);
    if (!(w->error <= bound))
        fail_msg("%s of %s on %s: %s is off by %g, more than %g", what, r->f->name, r->k->name,
                 w->name, w->error, bound);
}

/* Values of x[B,N,..] that are of padding count for nothing. */
static bool is_padding(const struct fixture *f, const struct safetensor *x, int64_t i)
{
    const struct safetensor *lengths = tensor(f, "input.lengths");
    if (!lengths || x->rank != 3)
        return false;
    int64_t token = i / x->shape[2] % x->shape[1], record = i / (x->shape[1] * x->shape[2]);
    int64_t valid = f->m.backbone->token_count(f->m.config, f->m.contract.lead_count,
                                               (int64_t)value(lengths, record));
    int64_t N = f->m.backbone->token_count(f->m.config, f->m.contract.lead_count,
                                           f->m.contract.sample_count);
    return x->shape[1] == N && token >= valid;
}

/* The largest error of the tensor that is closest. */
static double layer_error(const struct run *r, const struct safetensor *x)
{
    double best = INFINITY;
    for (int i = 0; i < tape_tensor_count(r->tape); i++) {
        const struct tensor *t = tape_tensor(r->tape, i);
        if (t->kind != TENSOR_RESULT || t->type != TENSOR_REAL || t->numel != numel(x))
            continue;
        double worst = 0;
        for (int64_t j = 0; j < t->numel && worst < best; j++) {
            double d = fabs(real_at(r->k, t->data, j) - value(x, j));
            if (!(d <= worst) && !is_padding(r->f, x, j))
                worst = d;
        }
        if (worst < best)
            best = worst;
    }
    return best;
}

/* Which hidden tokens there are differs in shape: rows of the tape at hidden tokens. */
static bool is_of_hidden(const char *name)
{
    return !strcmp(name, "quantized") || !strcmp(name, "targets") || !strcmp(name, "predictions");
}

static void check_layers(const struct run *r, double bound)
{
    struct worst w = {-1, ""};
    for (int64_t i = 0; i < r->f->file.count; i++) {
        const struct safetensor *x = &r->f->file.tensors[i];
        if (strncmp(x->name, "layer.", 6) != 0)
            continue;
        const char *name = x->name + 6;
        if (!strncmp(name, "attention.", 10) || !strncmp(name, "unmasked", 8) || is_of_hidden(name))
            continue;
        worst_take(&w, layer_error(r, x), name);
    }
    worst_check(r, "layers", &w, bound);
}

static double relative(double found, double expected)
{
    return fabs(found - expected) / fmax(fabs(expected), 1e-12);
}

static void check_losses(const struct run *r, double bound)
{
    struct worst w = {-1, ""};
    worst_take(&w, relative(real_at(r->k, r->loss->data, 0), value(tensor(r->f, "loss.total"), 0)),
               "total");
    for (int i = 0; i < r->parts.count; i++) {
        const char *name = strrchr(r->parts.names[i], '.');
        name = name ? name + 1 : r->parts.names[i];
        const struct safetensor *x = tensor(r->f, "loss.%s", name);
        if (!x)
            continue;
        double found = real_at(r->k, r->parts.tensors[i]->data, 0), expected = value(x, 0);
        bool share = strcmp(name, "accuracy") == 0; /* of few rows */
        worst_take(&w, share ? fabs(found - expected) : relative(found, expected), name);
    }
    worst_check(r, "losses", &w, bound);
}

/* A slab against PREFIX.*, parameter by parameter. */
static void check_slab(const struct run *r, const char *what, const void *slab, const char *prefix,
                       double bound)
{
    struct worst w = {-1, ""};
    float *expected = slab_of(r->f, prefix);
    for (int i = 0; i < r->f->m.params.count; i++) {
        const struct param *p = r->f->m.params.items[i];
        double error = 0, size = 0;
        for (int64_t j = p->offset; j < p->offset + p->numel; j++) {
            double d = real_at(r->k, slab, j) - (double)expected[j];
            error += d * d;
            size += (double)expected[j] * (double)expected[j];
        }
        worst_take(&w, size > 0 ? sqrt(error / size) : sqrt(error), p->name);
    }
    free(expected);
    worst_check(r, what, &w, bound);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void check_once(struct fixture *f, const struct bounds *b, const struct backend *k)
{
    struct run r;
    if (!b->layers)
        return;
    run_open(&r, f, k, true);
    if (f->m.classes.count == 0)
        bind_random(&r, -1);
    tape_forward(r.tape);
    check_layers(&r, b->layers);
    check_losses(&r, b->losses);
    tape_backward(r.tape, 1.0);
    /* In bf16 a nearly equal code may be chosen here and there; so it happens in no fixture of tests/. */
    bool flips = strchr(f->name, '/') && strcmp(b->backend, "cpu-bf16") == 0;
    check_slab(&r, "gradients", r.gradients, "grad", (flips ? 3 : 1) * b->gradients);
    run_close(&r);
}

static double number(const struct fixture *f, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(f->config, name)->valuedouble;
}

static void check_steps(struct fixture *f, const struct bounds *b, const struct backend *k)
{
    const struct safetensor *losses = tensor(f, "step.loss.total");
    struct run r;
    struct worst w = {-1, ""};
    if (!b->layers)
        return;
    run_open(&r, f, k, false);
    int fixed = schedule_find("fixed");
    assert_true(fixed >= 0 && losses != NULL);
    struct optimizer_options o = {.kind = OPTIMIZER_ADAM,
                                  .schedule = &schedules[fixed],
                                  .span = {.lr = number(f, "rate"),
                                           .min_lr = number(f, "rate"),
                                           .steps = losses->shape[0],
                                           .steps_per_epoch = losses->shape[0]},
                                  .beta1 = number(f, "beta1"),
                                  .beta2 = number(f, "beta2"),
                                  .epsilon = number(f, "epsilon"),
                                  .weight_decay = number(f, "decay"),
                                  .layer_decay = 1};
    for (int64_t step = 0; step < losses->shape[0]; step++) {
        if (f->m.classes.count == 0)
            bind_random(&r, step);
        memset(r.gradients, 0, (size_t)f->m.params.total * k->real_size);
        tape_forward(r.tape);
        char name[16];
        snprintf(name, sizeof name, "step %d", (int)step);
        worst_take(&w, relative(real_at(k, r.loss->data, 0), value(losses, step)), name);
        tape_backward(r.tape, 1.0);
        optimizer_step(k, &f->m.params, &o, step, 1.0, r.values, r.gradients, r.m, r.v);
    }
    worst_check(&r, "steps", &w, b->steps);
    if (tensor(f, "after.%s", f->names[0].name))
        check_slab(&r, "weights", r.values, "after", b->weights);
    run_close(&r);
}

/* What a scorer shows of a record against the fixture. */
struct view {
    const struct fixture *f;
    const struct scored *records;
    const struct safetensor *tokens;
    struct worst tokens_worst, attention_worst, logits_worst;
};

static void see_window(void *context, const struct window *w)
{
    struct view *v = context;
    const struct safetensor *logits = tensor(v->f, "layer.logits"), *share;
    int64_t record = w->record - v->records, N = v->tokens->shape[1], D = v->tokens->shape[2];
    char name[96];
    snprintf(name, sizeof name, "record %d", (int)record);
    for (int64_t i = record * N * D; i < (record + 1) * N * D; i++)
        if (!is_padding(v->f, v->tokens, i))
            worst_take(&v->tokens_worst,
                       fabs((double)w->tokens[i - record * N * D] - value(v->tokens, i)), name);
    if (!logits)
        return; /* pre-training: attention was looked at with masks */
    for (int layer = 0; (share = tensor(v->f, "layer.attention.%d", layer)) != NULL; layer++)
        for (int64_t i = record * N * N; i < (record + 1) * N * N; i++)
            if (!is_padding(v->f, share, i))
                worst_take(&v->attention_worst,
                           fabs((double)w->attention[layer][i - record * N * N] - value(share, i)),
                           share->name);
    int64_t K = logits->shape[1];
    for (int64_t k = 0; k < K; k++)
        worst_take(&v->logits_worst, fabs((double)w->logits[k] - value(logits, record * K + k)),
                   name);
}

/* A record's tokens, attention and logits as a scorer gives them. */
static void check_scorer(struct fixture *f, const struct bounds *b, const struct backend *k)
{
    struct err e = {0};
    if (!b->scorer || !backend_select(b->backend))
        return;
    const struct safetensor *signal = tensor(f, "input.signal"),
                            *lengths = tensor(f, "input.lengths");
    int64_t size = signal->shape[1] * signal->shape[2];
    assert_int_equal(model_allocate(&f->m, 1, &e), ERR_OK);
    float *weights = slab_of(f, "weight");
    memcpy(f->m.values, weights, (size_t)f->m.params.total * sizeof *weights);
    free(weights);
    struct scorer *scorer;
    struct scorer_options options = {.lengths = lengths != NULL, .tokens = true, .attention = true};
    if (scorer_open_for(&scorer, &f->m, NULL, &options, &e) != ERR_OK)
        fail_msg("%s", e.message);
    struct scored records[64] = {{0}};
    assert_true(f->B <= 64);
    for (int64_t i = 0; i < f->B; i++)
        records[i] = (struct scored){.x = (const float *)signal->data + i * size,
                                     .samples = signal->shape[2],
                                     .length = lengths ? (int64_t)value(lengths, i) : 0};
    const struct safetensor *masked = tensor(f, "layer.tokens"),
                            *whole = tensor(f, "layer.unmasked_tokens");
    struct view v = {.f = f,
                     .records = records,
                     .tokens = whole ? whole : masked,
                     .tokens_worst = {-1, ""},
                     .attention_worst = {-1, ""},
                     .logits_worst = {-1, ""}};
    scorer_visit(scorer, see_window, &v);
    scorer_records(scorer, records, f->B);
    scorer_close(scorer);
    backend_select("cpu");
    struct run r = {.f = f, .k = k};
    worst_check(&r, "tokens", &v.tokens_worst, b->scorer);
    if (f->m.classes.count > 0) {
        worst_check(&r, "attention", &v.attention_worst, b->scorer);
        worst_check(&r, "logits", &v.logits_worst, b->scorer);
    }
}

/* Backends that need not be waited for with large ones. */
static bool is_fast(const char *backend) { return strncmp(backend, "cpu", 3) == 0; }

static void check_fixture(const char *name, void (*check)(struct fixture *, const struct bounds *,
                                                          const struct backend *))
{
    for (size_t i = 0; i < sizeof all_bounds / sizeof *all_bounds; i++) {
        const struct backend *k = strcmp(all_bounds[i].backend, "ref64") == 0
                                      ? &backend_ref64
                                      : backend_find(all_bounds[i].backend);
        if (!k || (strchr(name, '/') && !is_fast(all_bounds[i].backend)))
            continue;
        struct fixture f;
        fixture_open(&f, name);
        check(&f, &all_bounds[i], k);
        fixture_close(&f);
    }
}

static void check_all(void (*check)(struct fixture *, const struct bounds *,
                                    const struct backend *))
{
    const char *given = getenv("ECGFM_FIXTURE");
    if (given)
        check_fixture(given, check);
    for (size_t i = 0; i < sizeof fixtures / sizeof *fixtures && !given; i++)
        check_fixture(fixtures[i], check);
}

/* Layers, every term of the loss, every gradient. */
static void test_once(void **state)
{
    (void)state;
    check_all(check_once);
}

/* Ten steps of Adam: each loss, and the weights in the end. */
static void test_steps(void **state)
{
    (void)state;
    check_all(check_steps);
}

/* Scoring, with packed weights and without masks. */
static void test_scorer(void **state)
{
    (void)state;
    check_all(check_scorer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_once), cmocka_unit_test(test_steps),
                                       cmocka_unit_test(test_scorer)};
    return cmocka_run_group_tests_name("reference", tests, NULL, NULL);
}
