#include "model/backbone.h"

#include <string.h>

#define BACKBONE(name) extern const struct backbone backbone_##name;
#include "model/backbones.def"
#undef BACKBONE

const struct backbone *const backbones[] = {
#define BACKBONE(name) &backbone_##name,
#include "model/backbones.def"
#undef BACKBONE
    NULL};

const struct backbone *backbone_find(const char *name)
{
    for (int i = 0; backbones[i]; i++)
        if (strcmp(backbones[i]->name, name) == 0)
            return backbones[i];
    return NULL;
}
