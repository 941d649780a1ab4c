/* Contrastive learning of two augmented views. Source: Chen et al. 2020 (SimCLR), eq. 1, with the
 * non-linear projection head of section 4.2; for ECG Mehari and Strodthoff 2022. Without a head and with
 * detached norms it is that of fairseq-signals. */
#include "objective/objective.h"

struct simclr_config {
    struct objective_config common;
    double temperature;
    int64_t hidden, projection;
    bool detached_norm;
};

static const struct option options[] = {
    {"weight", OPTION_FLOAT, offsetof(struct simclr_config, common.weight), "1", 0, 1e6, NULL, NULL,
     "factor of this loss in a sum of objectives", false},
    OPT_FLOAT(simclr_config, temperature, "0.1", 0.001, 10, NULL,
              "temperature of the similarities"),
    OPT_INT(simclr_config, hidden, "512", 0, 8192, NULL,
            "hidden width of the projection head; 0: it is linear"),
    OPT_INT(simclr_config, projection, "128", 0, 8192, NULL,
            "width of the projections compared; 0: features are, without a head"),
    OPT_BOOL(simclr_config, detached_norm, "false",
             "lengths of the vectors compared are constants to the gradient"),
    OPTION_END};

static struct tensor *build(const struct scene *s, const void *config)
{
    const struct simclr_config *c = config;
    struct build *b = s->build;
    struct tensor *x = model_features(b, s->model, s->encoding.tokens);
    if (c->projection > 0 && c->hidden > 0)
        x = nn_linear(b, "hidden", x, c->hidden, ACTIVATION_GELU);
    if (c->projection > 0)
        x = nn_linear(b, "project", x, c->projection, ACTIVATION_NONE);
    x = c->detached_norm ? t_l2norm_detached(b->tape, x) : t_l2norm(b->tape, x);
    return t_ntxent(b->tape, x, c->temperature);
}

const struct objective objective_simclr = {
    .name = "simclr",
    .help = "contrastive: two augmented views of a record are closer than views of others",
    .options = options,
    .config_size = sizeof(struct simclr_config),
    .views = 2,
    .defaults = "lr=1e-3 augment.time_out.probability=0.5 "
                "augment.amplitude_scale.probability=0.5 augment.jitter.probability=0.5 "
                "augment.baseline_wander.probability=0.5 augment.lead_mask.probability=0.5",
    .defaults_alone = "epochs=40",
    .defaults_in_sum = "epochs=100",
    .build = build,
};
