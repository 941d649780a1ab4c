#include "objective/objective.h"

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
        void *config = arena_push(&set->arena, objectives[i]->config_size);
        ASSERT(config, "out of memory");
        option_set_add(set, objectives[i]->name, objectives[i]->options, config);
    }
}

static const void *group_target(const struct option_set *set, const char *prefix)
{
    for (int i = 0; i < set->group_count; i++)
        if (strcmp(set->groups[i].prefix, prefix) == 0)
            return set->groups[i].target;
    BUG("objective %s has no options in the set", prefix);
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

enum err_code objective_sum_parse(struct objective_sum *out, struct option_set *set,
                                  const char *text, struct err *e)
{
    memset(out, 0, sizeof *out);
    char copy[256];
    if (!str_copy(copy, sizeof copy, text))
        FAIL(e, ERR_USAGE, "objective: longer than %zu characters", sizeof copy - 1);
    char *rest = copy;
    for (char *word; (word = strsep(&rest, "+")) != NULL;) {
        const struct objective *row = objective_find(word, e);
        if (!row)
            return ERR_USAGE;
        for (int i = 0; i < out->count; i++)
            if (out->rows[i] == row)
                FAIL(e, ERR_USAGE, "objective %s: %s is named twice", text, word);
        if (out->count == OBJECTIVES_MAX)
            FAIL(e, ERR_USAGE, "objective %s: more than %d", text, OBJECTIVES_MAX);
        TRY(apply_defaults(set, row->defaults, e));
        out->rows[out->count] = row;
        out->configs[out->count++] = group_target(set, row->name);
    }
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
    for (int i = 0; i < sum->count; i++) {
        const struct objective *row = sum->rows[i];
        if (row->check)
            TRY(row->check(sum->configs[i], e));
        if (row->views > sum->views)
            sum->views = row->views;
        if (row->mask_ratio && row->mask_ratio(sum->configs[i]) > sum->mask_ratio)
            sum->mask_ratio = row->mask_ratio(sum->configs[i]);
    }
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

struct tensor *objective_sum_build(const struct objective_sum *sum, struct build *b,
                                   const struct model *m, int64_t B, struct tensor **parts)
{
    int64_t L = m->contract.lead_count, T = m->contract.sample_count, rows = sum->views * B;
    struct scene s = {.build = b, .model = m, .views = sum->views, .records = B};
    struct masking masking = {0};
    struct tensor *signal =
        tape_input(b->tape, "signal", TENSOR_REAL, false, 3, (int64_t[]){rows, L, T});
    if (sum->mask_ratio > 0) {
        int64_t N = m->backbone->token_count(m->config, L, T);
        int64_t J = visible_count(sum->mask_ratio, N);
        s.visible = masking.visible =
            tape_input(b->tape, "visible", TENSOR_INDEX, false, 2, (int64_t[]){rows, J});
        s.masked = tape_input(b->tape, "masked", TENSOR_INDEX, false, 2, (int64_t[]){rows, N - J});
    }
    s.encoding = model_encode(b, m, signal, &masking);
    struct tensor *total = NULL;
    for (int i = 0; i < sum->count; i++) {
        const struct objective_config *config = sum->configs[i];
        size_t scope = scope_enter(b, "%s", sum->rows[i]->name);
        struct tensor *loss = sum->rows[i]->build(&s, config);
        scope_leave(b, scope);
        tape_keep(b->tape, loss);
        parts[i] = loss;
        loss = t_scale(b->tape, loss, config->weight);
        total = total ? t_add(b->tape, total, loss) : loss;
    }
    tape_keep(b->tape, total);
    return total;
}
