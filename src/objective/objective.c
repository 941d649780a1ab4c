#include "objective/objective.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/str.h"

#define OBJECTIVE(name) extern const struct objective objective_##name;
#include "objective/objectives.def"
#undef OBJECTIVE

const struct objective *const objectives[] = {
#define OBJECTIVE(name) &objective_##name,
#include "objective/objectives.def"
#undef OBJECTIVE
    NULL};

void objective_options_add(struct option_set *set)
{
    for (int i = 0; objectives[i]; i++) {
        if (objectives[i]->stands_for)
            continue;
        void *config = arena_push(&set->arena, objectives[i]->config_size);
        ASSERT(config, "out of memory");
        option_set_add(set, objectives[i]->name, objectives[i]->options, config);
    }
}

/* A backbone may have the same prefix. */
static const void *group_target(const struct option_set *set, const struct objective *row)
{
    for (int i = 0; i < set->group_count; i++)
        if (set->groups[i].rows == row->options && strcmp(set->groups[i].prefix, row->name) == 0)
            return set->groups[i].target;
    BUG("objective %s has no options in the set", row->name);
}

static enum err_code apply_defaults(struct option_set *set, const char *defaults, struct err *e)
{
    char text[1024];
    ASSERT(str_copy(text, sizeof text, defaults ? defaults : ""), "objective defaults too long");
    char *rest = text;
    for (char *word; (word = strsep(&rest, " ")) != NULL;) {
        char *equals = strchr(word, '=');
        if (!equals)
            continue;
        *equals = 0;
        TRY(option_set_text(set, word, equals + 1, OPTION_FROM_PRESET, e));
    }
    return ERR_OK;
}

static const struct objective *objective_find(const char *name, struct err *e)
{
    const char *names[64] = {NULL};
    for (int i = 0; objectives[i] && i < 63; i++) {
        if (strcmp(objectives[i]->name, name) == 0)
            return objectives[i];
        names[i] = objectives[i]->name;
    }
    int near = str_nearest(name, names);
    RAISE(e, ERR_USAGE, "objective %s: no such objective%s%s", name,
          near >= 0 ? "; did you mean " : "; `ecgfm list objectives` lists them",
          near >= 0 ? names[near] : "");
    return NULL;
}

/* Adds the rows of "a+b" to the sum; names that stand for a sum are replaced by it. */
static enum err_code rows_add(struct objective_sum *out, struct option_set *set, const char *text,
                              bool defaults, struct err *e)
{
    char copy[256];
    if (!str_copy(copy, sizeof copy, text))
        FAIL(e, ERR_USAGE, "objective: longer than %zu characters", sizeof copy - 1);
    char *rest = copy;
    for (char *word; (word = strsep(&rest, "+")) != NULL;) {
        const struct objective *row = objective_find(word, e);
        if (!row)
            return ERR_USAGE;
        if (defaults)
            TRY(apply_defaults(set, row->defaults, e));
        if (row->stands_for) {
            TRY(rows_add(out, set, row->stands_for, defaults, e));
            continue;
        }
        for (int i = 0; i < out->count; i++)
            if (out->rows[i] == row)
                FAIL(e, ERR_USAGE, "objective %s: %s is named twice", text, word);
        if (out->count == OBJECTIVES_MAX)
            FAIL(e, ERR_USAGE, "objective %s: more than %d", text, OBJECTIVES_MAX);
        out->rows[out->count] = row;
        out->configs[out->count++] = group_target(set, row);
    }
    return ERR_OK;
}

enum err_code objective_sum_name(struct objective_sum *out, struct option_set *set,
                                 const char *text, struct err *e)
{
    memset(out, 0, sizeof *out);
    return rows_add(out, set, text, false, e);
}

enum err_code objective_sum_parse(struct objective_sum *out, struct option_set *set,
                                  const char *text, struct err *e)
{
    memset(out, 0, sizeof *out);
    TRY(rows_add(out, set, text, true, e));
    for (int i = 0; i < out->count; i++) {
        const struct objective *row = out->rows[i];
        TRY(apply_defaults(set, out->count > 1 ? row->defaults_in_sum : row->defaults_alone, e));
    }
    return ERR_OK;
}

enum err_code objective_sum_resolve(struct objective_sum *sum, struct err *e)
{
    sum->views = 1;
    sum->mask_ratio = 0;
    sum->pairs = false;
    sum->spans_of = NULL;
    for (int i = 0; i < sum->count; i++) {
        const struct objective *row = sum->rows[i];
        if (row->check)
            TRY(row->check(sum->configs[i], e));
        if (row->views > sum->views)
            sum->views = row->views;
        sum->pairs = sum->pairs || row->pairs;
        if (row->mask_ratio && row->mask_ratio(sum->configs[i]) > sum->mask_ratio)
            sum->mask_ratio = row->mask_ratio(sum->configs[i]);
        if (row->spans) {
            sum->spans_of = row;
            sum->spans = row->spans(sum->configs[i]);
        }
    }
    if (sum->pairs && sum->views < 2)
        sum->views = 2;
    if (sum->pairs && sum->views > 2)
        FAIL(e, ERR_USAGE, "objectives on pairs of segments have 2 views; another one needs %d",
             sum->views);
    if (sum->spans_of && sum->mask_ratio > 0)
        FAIL(
            e, ERR_USAGE,
            "objective %s replaces hidden tokens and another one takes them out: they cannot share "
            "a forward pass",
            sum->spans_of->name);
    return ERR_OK;
}

/* N of a model. */
static int64_t tokens_of(const struct model *m)
{
    return m->backbone->token_count(m->config, m->contract.lead_count, m->contract.sample_count);
}

enum err_code objective_sum_check(const struct objective_sum *sum, const struct model *m,
                                  struct err *e)
{
    for (int i = 0; i < sum->count; i++)
        if (sum->rows[i]->takes)
            TRY(sum->rows[i]->takes(sum->configs[i], m, e));
    if (sum->mask_ratio <= 0 && !sum->spans_of)
        return ERR_OK;
    if (sum->spans_of && !m->backbone->hides)
        FAIL(e, ERR_USAGE,
             "objective %s replaces hidden tokens, which network.backbone %s cannot; w2v can",
             sum->spans_of->name, m->backbone->name);
    if (m->backbone->whole)
        FAIL(e, ERR_USAGE,
             "masked tokens are taken out, which network.backbone %s cannot; vit and w2v can",
             m->backbone->name);
    if (tokens_of(m) < 2)
        FAIL(e, ERR_USAGE, "masking needs at least two tokens; the model has %lld",
             (long long)tokens_of(m));
    return ERR_OK;
}

int64_t visible_count(double mask_ratio, int64_t N)
{
    int64_t J = (int64_t)((double)N * (1 - mask_ratio) + 0.5);
    return J < 1 ? 1 : J > N - 1 ? N - 1 : J;
}

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

void mask_draw(uint64_t seed, uint64_t epoch, uint64_t sample, int view, int64_t N, int64_t J,
               int32_t *visible, int32_t *masked, int64_t *scratch)
{
    struct rng r = rng_at(seed, RNG_STREAM_MASK, epoch, sample * 64 + (uint64_t)view);
    rng_permutation(&r, scratch, N);
    /* The first J of the permutation are visible: sorting both parts keeps the lists ascending. */
    qsort(scratch, (size_t)J, sizeof *scratch, ascending);
    qsort(scratch + J, (size_t)(N - J), sizeof *scratch, ascending);
    for (int64_t i = 0; i < J; i++)
        visible[i] = (int32_t)scratch[i];
    for (int64_t i = J; i < N; i++)
        masked[i - J] = (int32_t)scratch[i];
}

/* --- recording ---------------------------------------------------------------------------------- */

static void report(struct objective_parts *parts, const char *scope, const char *name,
                   struct tensor *x, struct tape *t)
{
    if (!parts)
        return;
    ASSERT(parts->count < OBJECTIVE_PARTS_MAX && x->numel == 1, "part %s.%s", scope, name);
    int n = snprintf(parts->names[parts->count], sizeof parts->names[0], "%s%s%s", scope,
                     scope[0] ? "." : "", name);
    ASSERT(n > 0 && (size_t)n < sizeof parts->names[0], "part %s.%s: name too long", scope, name);
    tape_keep(t, x);
    parts->tensors[parts->count++] = x;
}

void scene_report(const struct scene *s, const char *name, struct tensor *x)
{
    report(s->parts, s->build->scope, name, x, s->build->tape);
}

/* Inputs of the masks. */
static struct masking masking_build(const struct objective_sum *sum, struct build *b,
                                    const struct model *m, struct scene *s)
{
    int64_t rows = s->views * s->records, N = tokens_of(m);
    struct masking out = {0};
    if (sum->mask_ratio > 0) {
        int64_t J = visible_count(sum->mask_ratio, N);
        s->visible = out.visible =
            tape_input(b->tape, "visible", TENSOR_INDEX, false, 2, (int64_t[]){rows, J});
        s->masked = tape_input(b->tape, "masked", TENSOR_INDEX, false, 2, (int64_t[]){rows, N - J});
    }
    if (sum->spans_of) {
        int64_t M = span_most(&sum->spans, N), D = m->backbone->width(m->config);
        s->hidden = out.hidden =
            tape_input(b->tape, "hidden", TENSOR_INDEX, false, 2, (int64_t[]){rows, M});
        size_t scope = scope_enter(b, "%s", sum->spans_of->name);
        out.fill = nn_param(b, "mask_token", 1, &D, PARAM_UNIT, 1, false);
        scope_leave(b, scope);
    }
    return out;
}

struct tensor *objective_sum_build(const struct objective_sum *sum, struct build *b,
                                   const struct model *m, int64_t B, struct objective_parts *parts)
{
    int64_t L = m->contract.lead_count, T = m->contract.sample_count, rows = sum->views * B;
    struct scene s = {.build = b, .model = m, .views = sum->views, .records = B};
    struct objective_parts inner = {0}; /* after the losses themselves */
    s.parts = parts ? &inner : NULL;
    struct tensor *signal =
        tape_input(b->tape, "signal", TENSOR_REAL, false, 3, (int64_t[]){rows, L, T});
    struct masking masking = masking_build(sum, b, m, &s);
    s.encoding = model_encode(b, m, signal, &masking);
    struct tensor *total = NULL;
    for (int i = 0; i < sum->count; i++) {
        const struct objective_config *config = sum->configs[i];
        size_t scope = scope_enter(b, "%s", sum->rows[i]->name);
        struct tensor *loss = sum->rows[i]->build(&s, config);
        scope_leave(b, scope);
        if (sum->count > 1)
            report(parts, "", sum->rows[i]->name, loss, b->tape);
        loss = t_scale(b->tape, loss, config->weight);
        total = total ? t_add(b->tape, total, loss) : loss;
    }
    for (int i = 0; i < inner.count; i++)
        report(parts, "", inner.names[i], inner.tensors[i], b->tape);
    tape_keep(b->tape, total);
    return total;
}

/* --- inputs ------------------------------------------------------------------------------------- */

struct objective_inputs {
    struct arena arena;
    const struct objective_sum *sum;
    struct tape *tape;
    size_t real_size;
    struct tensor *visible, *masked, *hidden; /* NULL: none */
    int64_t records, tokens;                  /* B, N */
    int64_t *scratch;                         /* [3 N + 2] */
    uint64_t *keys;                           /* [V*B] of the rows */
};

enum err_code objective_inputs_open(struct objective_inputs **out, const struct objective_sum *sum,
                                    const struct backend *backend, const struct model *m,
                                    struct tape *t, struct err *e)
{
    struct objective_inputs *in = *out = calloc(1, sizeof *in);
    ASSERT(in, "out of memory");
    arena_init(&in->arena, "inputs of objectives", 0);
    in->sum = sum;
    in->tape = t;
    in->real_size = backend->real_size;
    in->visible = tape_find_input(t, "visible");
    in->masked = tape_find_input(t, "masked");
    in->hidden = tape_find_input(t, "hidden");
    in->tokens = tokens_of(m);
    int64_t rows = tape_find_input(t, "signal")->shape[0];
    in->records = rows / sum->views;
    in->scratch = arena_push_array(&in->arena, (size_t)(3 * in->tokens + 2), sizeof *in->scratch);
    in->keys = arena_push_array(&in->arena, (size_t)rows, sizeof *in->keys);
    bool good = in->scratch && in->keys;
    for (int i = 0; i < tape_tensor_count(t) && good; i++) {
        struct tensor *x = tape_tensor(t, i);
        if (x->kind != TENSOR_INPUT || strcmp(x->name, "signal") == 0)
            continue;
        size_t size = x->type == TENSOR_INDEX ? sizeof(int32_t) : in->real_size;
        void *data = arena_push_array(&in->arena, (size_t)x->numel, size);
        good = data != NULL;
        tape_bind(x, data);
    }
    return good ? ERR_OK : RAISE(e, ERR_MEMORY, "no memory for the masks of a batch");
}

void objective_inputs_close(struct objective_inputs *in)
{
    if (!in)
        return;
    arena_reset(&in->arena);
    free(in);
}

void objective_inputs_draw(struct objective_inputs *in, const struct draw *d)
{
    const struct objective_sum *sum = in->sum;
    int64_t B = in->records, N = in->tokens;
    uint64_t epoch = (uint64_t)d->epoch;
    for (int v = 0; v < sum->views; v++)
        for (int64_t i = 0; i < B; i++) {
            int64_t row = v * B + i;
            in->keys[row] = (uint64_t)d->samples[i] * 64 + (uint64_t)v;
            if (in->visible) {
                int64_t J = in->visible->shape[1];
                mask_draw(d->seed, epoch, (uint64_t)d->samples[i], v, N, J,
                          (int32_t *)in->visible->data + row * J,
                          (int32_t *)in->masked->data + row * (N - J), in->scratch);
            }
        }
    if (in->hidden)
        span_draw(&sum->spans, d->seed, epoch, (uint64_t)d->index, in->keys, NULL, sum->views * B,
                  N, in->hidden->data, in->scratch);
    for (int i = 0; i < sum->count; i++)
        if (sum->rows[i]->draw)
            sum->rows[i]->draw(sum->configs[i], in->tape, in->real_size, d);
}
