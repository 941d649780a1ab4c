#include "data/augment.h"

#include <math.h>

#include "base/str.h"
#include "signal/lead.h"

#define AUGMENTATION(name) extern const struct augmentation augmentation_##name;
#include "data/augs.def"
#undef AUGMENTATION

const struct augmentation *const augmentations[] = {
#define AUGMENTATION(name) &augmentation_##name,
#include "data/augs.def"
#undef AUGMENTATION
    NULL};

#define VIEWS_MAX 64

void augment_chain_init(struct augment_chain *chain, struct option_set *set, const char *prefix)
{
    chain->count = 0;
    while (augmentations[chain->count])
        chain->count++;
    chain->configs = arena_push_array(&set->arena, (size_t)chain->count, sizeof *chain->configs);
    ASSERT(chain->configs != NULL, "augmentations: out of memory");
    for (int i = 0; i < chain->count; i++) {
        const struct augmentation *a = augmentations[i];
        const struct option *first = &a->options[0];
        ASSERT(str_equal_nocase(first->name, "probability") && first->type == OPTION_FLOAT,
               "the first option of %s is not its probability", a->name);
        chain->configs[i] = arena_push(&set->arena, a->config_size);
        char *name = arena_printf(&set->arena, "%s.%s", prefix, a->name);
        ASSERT(chain->configs[i] && name, "augmentations: out of memory");
        option_set_add(set, name, a->options, chain->configs[i]);
    }
}

void augment_chain_apply(const struct augment_chain *chain, struct view *v, uint64_t seed,
                         uint64_t epoch, uint64_t sample, int view_index)
{
    ASSERT(view_index >= 0 && view_index < VIEWS_MAX, "view %d", view_index);
    for (int i = 0; i < chain->count; i++) {
        const struct augmentation *a = augmentations[i];
        const char *config = chain->configs[i];
        double probability = *(const double *)(const void *)(config + a->options[0].offset);
        if (probability <= 0.0)
            continue;
        struct rng r = rng_at(seed ^ str_hash64(a->name), RNG_STREAM_AUGMENT, epoch,
                              sample * VIEWS_MAX + (uint64_t)view_index);
        if (rng_uniform(&r) < probability)
            a->apply(config, v, &r);
    }
}

float *view_lead(const struct view *v, int lead)
{
    for (int64_t l = 0; l < v->L; l++)
        if (v->leads[l] == lead)
            return v->x + l * v->T;
    return NULL;
}

void view_derive_limb_leads(struct view *v)
{
    static const struct {
        enum ecg_lead lead;
        float one, two; /* lead = one I + two II */
    } rows[] = {{LEAD_III, -1, 1},
                {LEAD_AVR, -0.5F, -0.5F},
                {LEAD_AVL, 1, -0.5F},
                {LEAD_AVF, -0.5F, 1}};
    const float *one = view_lead(v, LEAD_I), *two = view_lead(v, LEAD_II);
    for (int i = 0; one && two && i < 4; i++) {
        float *x = view_lead(v, rows[i].lead);
        for (int64_t t = 0; x && t < v->T; t++)
            x[t] = rows[i].one * one[t] + rows[i].two * two[t];
    }
}

void noise_normal(struct rng *r, float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i += 2) {
        float u = ((float)(rng_u32(r) >> 8) + 1.0f) * 0x1p-24f; /* (0, 1] */
        float angle = (float)(rng_u32(r) >> 8) * (0x1p-24f * 6.28318531f);
        float radius = sqrtf(-2.0f * logf(u));
        x[i] = radius * cosf(angle);
        if (i + 1 < n)
            x[i + 1] = radius * sinf(angle);
    }
}
