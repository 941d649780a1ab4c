#include "objective/saved.h"

#include <cjson/cJSON.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"

struct cJSON *objective_sum_to_json(const struct objective_sum *sum)
{
    struct buf names = {0};
    for (int i = 0; i < sum->count; i++)
        buf_printf(&names, "%s%s", i ? "+" : "", sum->rows[i]->name);
    ASSERT(!names.failed, "out of memory");
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "objective", names.data ? names.data : "");
    for (int i = 0; i < sum->count; i++)
        cJSON_AddItemToObject(json, sum->rows[i]->name,
                              option_rows_to_json(sum->rows[i]->options, sum->configs[i]));
    buf_free(&names);
    return json;
}

/* Every option that the file tells is the same, but for the weight, which is no property of the
 * objective itself. A file converted from elsewhere need not tell all. */
static bool same_options(const cJSON *stored, const struct objective *row, const void *config)
{
    cJSON *here = option_rows_to_json(row->options, config);
    bool same = true;
    const cJSON *told;
    cJSON_ArrayForEach(told, stored) same =
        same && (strcmp(told->string, "weight") == 0 ||
                 cJSON_Compare(told, cJSON_GetObjectItemCaseSensitive(here, told->string), true));
    cJSON_Delete(here);
    return same;
}

enum err_code objective_sum_carry(const struct objective_sum *sum, struct model *m,
                                  const struct model *from, const char **carried, struct err *e)
{
    cJSON *json = NULL;
    *carried = "";
    if (!from->objective)
        return ERR_OK;
    TRY(json_parse(from->objective, strlen(from->objective), "ecgfm.objective", &json, e));
    enum err_code code = ERR_OK;
    for (int i = 0; i < sum->count && code == ERR_OK; i++) {
        const char *name = sum->rows[i]->name;
        const cJSON *stored = cJSON_GetObjectItemCaseSensitive(json, name);
        if (!cJSON_IsObject(stored) || !same_options(stored, sum->rows[i], sum->configs[i]))
            continue;
        code = model_copy_objective(m, from, name, e);
        *carried = arena_printf(&m->arena, "%s%s%s", *carried, (*carried)[0] ? "+" : "", name);
        ASSERT(*carried, "out of memory");
    }
    cJSON_Delete(json);
    return code;
}
