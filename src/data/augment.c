#include "data/augment.h"

#include <math.h>

#include "base/str.h"

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
