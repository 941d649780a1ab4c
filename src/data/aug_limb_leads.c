/* The limb leads that follow from I and II made again from them, so that added noise obeys Einthoven's
 * and Goldberger's equations as it would in a recorder. Meant for leads in one unit. Nothing happens
 * without I and II. Labels stay true.
 * Source: the dependency flag of fairseq-signals' augmentations. */
#include "data/augment.h"

struct limb_leads_config {
    double probability;
};

static const struct option limb_leads_options[] = {OPT_FLOAT(limb_leads_config, probability, "0", 0,
                                                             1, NULL,
                                                             "chance of applying it to a view"),
                                                   OPTION_END};

static void limb_leads_apply(const void *config, struct view *v, struct rng *r)
{
    (void)config;
    (void)r;
    view_derive_limb_leads(v);
}

const struct augmentation augmentation_limb_leads = {
    .name = "limb_leads",
    .help = "III, aVR, aVL and aVF made again from I and II, after noise was added",
    .options = limb_leads_options,
    .config_size = sizeof(struct limb_leads_config),
    .keeps_labels = true,
    .apply = limb_leads_apply,
};
