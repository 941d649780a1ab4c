/* Contrast of pairs by the mean of their tokens. `cmsc`: two adjacent segments of a record are one
 * another's positives; `3kg`: two views of a record that were turned and scaled in space. What is of one
 * record is alike, all else of the batch is not.
 * Source: Kiyasseh et al. 2021 (CLOCS), section 3.2 (CMSC); Gopal et al. 2021 (3KG), section 3; both as
 * in Oh et al. 2022 (arXiv 2203.06889): lengths of the means are constants to the gradient.
 *
 * Input: "cmsc.record" or "3kg.record" [B], equal numbers for what is of one record. */
#include "objective/objective.h"

struct pair_config {
    struct objective_config common;
    double temperature;
    bool detached_norm;
};

static const struct option options[] = {
    {"weight", OPTION_FLOAT, offsetof(struct pair_config, common.weight), "1", 0, 1e6, NULL, NULL,
     "factor of this loss in a sum of objectives", false},
    OPT_FLOAT(pair_config, temperature, "0.1", 0.001, 10, NULL, "temperature of the similarities"),
    OPT_BOOL(pair_config, detached_norm, "true",
             "lengths of the vectors compared are constants to the gradient"),
    OPTION_END};

static struct tensor *build_named(const struct scene *s, const struct pair_config *c,
                                  const char *record_name)
{
    struct tape *t = s->build->tape;
    ASSERT(s->views == 2, "%d views of pairs", (int)s->views);
    struct tensor *record =
        tape_input(t, record_name, TENSOR_INDEX, false, 1, (int64_t[]){s->records});
    struct tensor *z = t_pool(t, s->encoding.tokens, s->encoding.lengths, POOL_MEAN);
    z = c->detached_norm ? t_l2norm_detached(t, z) : t_l2norm(t, z);
    return t_cmsc(t, z, record, c->temperature);
}

/* A record is called by where in the batch it comes first. */
static void draw_named(struct tape *t, const struct draw *d, const char *record_name)
{
    const int64_t *records = d->records ? d->records : d->samples;
    int32_t *out = tape_find_input(t, record_name)->data;
    for (int64_t i = 0; i < d->count; i++) {
        int64_t first = 0;
        while (records[first] != records[i])
            first++;
        out[i] = (int32_t)first;
    }
}

static struct tensor *cmsc_build(const struct scene *s, const void *config)
{
    return build_named(s, config, "cmsc.record");
}

static void cmsc_draw(const void *config, struct tape *t, size_t real_size, const struct draw *d)
{
    (void)config;
    (void)real_size;
    draw_named(t, d, "cmsc.record");
}

const struct objective objective_cmsc = {
    .name = "cmsc",
    .help = "contrastive: two adjacent segments of a record are closer than those of others",
    .options = options,
    .config_size = sizeof(struct pair_config),
    .views = 2,
    .pairs = true,
    .defaults = FAIRSEQ_TRAINING,
    .build = cmsc_build,
    .draw = cmsc_draw,
};

static struct tensor *kg_build(const struct scene *s, const void *config)
{
    return build_named(s, config, "3kg.record");
}

static void kg_draw(const void *config, struct tape *t, size_t real_size, const struct draw *d)
{
    (void)config;
    (void)real_size;
    draw_named(t, d, "3kg.record");
}

const struct objective objective_3kg = {
    .name = "3kg",
    .help = "contrastive: two views of a record, turned in space, are closer than those of others",
    .options = options,
    .config_size = sizeof(struct pair_config),
    .views = 2,
    .defaults = FAIRSEQ_TRAINING "augment.3kg.probability=1",
    .build = kg_build,
    .draw = kg_draw,
};
