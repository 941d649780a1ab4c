/* Model presets: the JSON files of models/, embedded in the binary by the build. */
#ifndef ECGFM_MODEL_PRESET_H
#define ECGFM_MODEL_PRESET_H

struct preset {
    const char *name; /* "vit-tiny" */
    const char
        *json; /* {"network": {...}, "<backbone>": {...}}, and "input" where it has its own */
};

extern const struct preset presets[]; /* ends with a NULL name */

#endif
