#include "train/adaptation.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"

#define FEW "lr=2e-3 layer_decay=1"

const struct adaptation adaptations[] = {
    {"full", "encoder and head learn", "*", NULL, NULL, ""},
    {"head", "the encoder stays as it is: a linear, mlp or attention pooling head learns", "", NULL,
     NULL, FEW},
    {"lora", "low-rank additions to linear layers learn (lora.*), merged into them at the end",
     "*.lora.*", "*.lora.*", "no linear layer that lora.targets names, or lora.rank is 0",
     FEW " lora.rank=8"},
    {"adapter", "bottleneck adapters in transformer blocks (network.adapter_width) and norms learn",
     "*.adapter?.*,*norm*", "*.adapter?.*",
     "no transformer block to hold an adapter, or network.adapter_width is 0",
     FEW " network.adapter_width=32"},
    {"bias", "biases learn, as BitFit has it", "*.bias", "*.bias", "no bias", FEW},
    {NULL, NULL, NULL, NULL, NULL, NULL}};

const struct adaptation *adaptation_find(const char *name)
{
    for (int i = 0; adaptations[i].name; i++)
        if (strcmp(adaptations[i].name, name) == 0)
            return &adaptations[i];
    return NULL;
}

/* Names of the matrices, one for each kind of layer: "block.0.mlp.up" and "block.1.mlp.up" are one. */
static void list_layers(const struct model *m, struct buf *out)
{
    buf_init(out, 0);
    for (int i = 0; i < m->params.count; i++) {
        const struct param *p = m->params.items[i];
        int length = (int)strlen(p->name) - (int)strlen(".weight"), from = length, points = 0;
        if (!str_starts_with(p->name, "encoder.") || !str_ends_with(p->name, ".weight") ||
            !p->product || p->rank != 2 || str_ends_with(p->name, ".recurrent.weight"))
            continue;
        while (from > 0 && (p->name[from - 1] != '.' || ++points < 2))
            from--;
        char name[128];
        snprintf(name, sizeof name, "%.*s", length - from, p->name + from);
        if (out->len < 300 && (!out->data || !strstr(out->data, name)))
            buf_printf(out, "%s%s", out->len ? ", " : "", name);
    }
}

static enum err_code refuse(const struct adaptation *a, const struct model *m, struct err *e)
{
    struct buf layers;
    list_layers(m, &layers);
    RAISE(e, ERR_USAGE, "adapt %s: backbone %s has %s; its linear layers are %s", a->name,
          m->backbone->name, a->missing, layers.len ? layers.data : "none");
    buf_free(&layers);
    return ERR_USAGE;
}

enum err_code adaptation_apply(const struct adaptation *a, struct model *m, struct err *e)
{
    bool there = !a->needs;
    for (int i = 0; i < m->params.count; i++) {
        struct param *p = m->params.items[i];
        if (!str_starts_with(p->name, "encoder."))
            continue;
        p->frozen |= !str_matches_any(a->learns, p->name);
        there = there || str_matches_any(a->needs, p->name);
    }
    return there ? ERR_OK : refuse(a, m, e);
}
