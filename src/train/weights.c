#include "train/weights.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/model.h"

/* What a file fixes by itself: the input but for its length, and which preset it came from. */
static enum err_code check_fixed(const struct option_set *set, const char *path, struct err *e)
{
    for (int g = 0; g < set->group_count; g++) {
        const struct option_group *group = &set->groups[g];
        bool fixed = strcmp(group->prefix, "input") == 0;
        for (int i = 0; group->rows[i].name; i++) {
            bool named = (fixed && strcmp(group->rows[i].name, "seconds") != 0) ||
                         (!group->prefix[0] && strcmp(group->rows[i].name, "model") == 0);
            if (named && group->sources[i] >= OPTION_FROM_FILE)
                FAIL(e, ERR_USAGE, "%s%s%s is set, but the weights in %s fix it; leave it out",
                     group->prefix, group->prefix[0] ? "." : "", group->rows[i].name, path);
        }
    }
    return ERR_OK;
}

/* The length that the user set, if there is one, in the contract: where the same parameters take it. */
static enum err_code length_override(const struct option_set *set, const char *path,
                                     const struct model *encoder, struct contract *contract,
                                     struct err *e)
{
    if (option_set_source(set, "input.seconds") < OPTION_FROM_FILE)
        return ERR_OK;
    cJSON *all = option_set_to_json(set, false);
    double seconds = cJSON_GetNumberValue(
        cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(all, "input"),
                                         "seconds"));
    cJSON_Delete(all);
    contract->sample_count = (int64_t)llround(seconds * contract->rate_hz);
    enum err_code code = contract_check(contract, e);
    if (code == ERR_OK)
        code = model_takes(encoder, contract->sample_count, e);
    if (code != ERR_OK)
        err_context(e, "input.seconds is set to %g, beside the weights in %s", seconds, path);
    return code;
}

enum err_code weights_read(struct option_set *set, const char *path, struct cJSON **spec,
                           struct contract *contract, struct err *e)
{
    *spec = NULL;
    TRY(check_fixed(set, path, e));
    struct model encoder;
    enum err_code code = model_open_unchecked(&encoder, model_path(&set->arena, path), e);
    if (code == ERR_OK) {
        *spec = option_set_to_json(&encoder.options, false); /* all, to be said anew */
        *contract = encoder.contract;
        code = option_set_json(set, *spec, OPTION_FROM_PRESET, e);
    }
    if (code == ERR_OK)
        code = length_override(set, path, &encoder, contract, e);
    model_free(&encoder);
    return code;
}

/* Is the option one of training, of the head or of what is added to the network? */
static bool may_change(const char *group, const char *name)
{
    const struct backbone *b = backbone_find(group);
    if (!b)
        return strcmp(group, "head") == 0 ||
               (strcmp(group, "network") == 0 && strcmp(name, "backbone") != 0);
    size_t length = strlen(name);
    for (const char *at = b->training; at && (at = strstr(at, name)) != NULL; at += length)
        if ((at == b->training || at[-1] == ' ') && (at[length] == ' ' || !at[length]))
            return true;
    return false;
}

static void replace(cJSON *value, const cJSON *by)
{
    if (cJSON_IsNumber(by))
        cJSON_SetNumberValue(value, by->valuedouble);
    else if (cJSON_IsString(by) && cJSON_IsString(value))
        cJSON_SetValuestring(value, by->valuestring);
    else if (cJSON_IsBool(by))
        value->type = cJSON_IsTrue(by) ? cJSON_True : cJSON_False;
}

enum err_code weights_override(const struct option_set *set, const char *path, struct cJSON *spec,
                               struct err *e)
{
    enum err_code code = ERR_OK;
    cJSON *all = option_set_to_json(set, false);
    for (cJSON *group = spec->child; group && code == ERR_OK; group = group->next)
        for (cJSON *value = group->child; value && code == ERR_OK; value = value->next) {
            char key[128];
            const cJSON *mine = cJSON_GetObjectItemCaseSensitive(
                cJSON_GetObjectItemCaseSensitive(all, group->string), value->string);
            snprintf(key, sizeof key, "%s.%s", group->string, value->string);
            if (mine && may_change(group->string, value->string))
                replace(value, mine);
            else if (mine && option_set_source(set, key) >= OPTION_FROM_FILE &&
                     !cJSON_Compare(mine, value, true))
                code = RAISE(e, ERR_USAGE,
                             "%s is set, but the weights in %s have another: only what concerns "
                             "training can be said anew",
                             key, path);
        }
    cJSON_Delete(all);
    return code;
}
