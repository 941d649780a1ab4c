#include "train/recipe.h"

#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/str.h"

/* What the published fine-tunings have in common: the extractor stays, everything else learns at one
 * rate. Source of ecg-fm: the configuration beside mimic_iv_ecg_finetuned; of fairseq-signals: its
 * diagnosis example; of layered: arXiv 2509.25095 (head, blocks, and what comes before them). */
#define FAIRSEQ                                                                                    \
    "optimizer=adam beta1=0.9 beta2=0.98 epsilon=1e-8 weight_decay=0 schedule=fixed warmup=0 "     \
    "clip=0 ema=0 layer_decay=1 w2v.dropout=0 w2v.attention_dropout=0 "                            \
    "w2v.activation_dropout=0.1 w2v.input_dropout=0 w2v.layer_drop=0 w2v.feature_gradient=0 "

/* The recipe of the PTB-XL benchmark (Strodthoff et al. 2020), which keeps the last epoch. beta2 is
 * PyTorch's. */
#define BENCHMARK                                                                                  \
    "optimizer=adamw decay=all beta2=0.999 epsilon=1e-8 weight_decay=1e-2 schedule=one_cycle "     \
    "epochs=50 batch=0 clip=0 ema=0 layer_decay=1 keep=last "

const struct recipe recipes[] = {
    {"ecg-fm",
     "as the published 17-label model was fine-tuned (with positive_weights=balance); its small "
     "rate takes many epochs",
     "w2v", FAIRSEQ "lr=1e-6 batch=256 epochs=40"},
    {"fairseq-signals", "the defaults of its example for diagnosis", "w2v",
     FAIRSEQ "lr=5e-5 batch=128 epochs=100"},
    {"layered", "a fast head, blocks at a tenth of its rate and embedding at a hundredth", NULL,
     "optimizer=adamw lr=1e-3 encoder_rate=0.1 embed_rate=0.1 layer_decay=1"},
    {"ptbxl-benchmark", "as the PTB-XL benchmark trains its networks: one cycle of 50 epochs", NULL,
     BENCHMARK "lr=1e-2"},
    {"s4", "the same at a tenth of the rate, for state-space networks", NULL, BENCHMARK "lr=1e-3"},
    {NULL, NULL, NULL, NULL}};

static const struct recipe *recipe_find(const char *name, struct err *e)
{
    const char *names[64] = {NULL};
    for (int i = 0; recipes[i].name && i < 63; i++) {
        if (strcmp(recipes[i].name, name) == 0)
            return &recipes[i];
        names[i] = recipes[i].name;
    }
    int near = str_nearest(name, names);
    RAISE(e, ERR_USAGE, "recipe %s: no such recipe%s%s", name,
          near >= 0 ? "; did you mean " : "; `ecgfm list recipes` lists them",
          near >= 0 ? names[near] : "");
    return NULL;
}

enum err_code recipe_apply(struct option_set *set, const char *name, const char *backbone,
                           struct err *e)
{
    const struct recipe *r = recipe_find(name, e);
    if (!r)
        return ERR_USAGE;
    char text[1024], prefix[64];
    ASSERT(str_copy(text, sizeof text, r->settings), "recipe %s is too long", name);
    snprintf(prefix, sizeof prefix, "%s.", r->backbone ? r->backbone : "");
    bool leave_out = r->backbone && strcmp(r->backbone, backbone) != 0;
    char *rest = text;
    for (char *word; (word = strsep(&rest, " ")) != NULL;) {
        char *equals = strchr(word, '=');
        if (!equals || (leave_out && str_starts_with(word, prefix)))
            continue;
        *equals = 0;
        TRY(option_set_text(set, word, equals + 1, OPTION_FROM_PRESET, e));
    }
    return ERR_OK;
}
