#include "format/mat4.h"

static int64_t little32(const unsigned char *p)
{
    uint32_t value =
        (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    return (int32_t)value;
}

bool mat4_parse(const unsigned char *head, size_t size, struct mat4 *out)
{
    if (size < 20)
        return false;
    int64_t type = little32(head), rows = little32(head + 4), columns = little32(head + 8);
    int64_t imaginary = little32(head + 12), name = little32(head + 16);
    /* M 0, O 0, T 0 (full numeric matrix), P 0..5 */
    if (type < 0 || type > 50 || type % 10 != 0 || rows < 1 || columns < 0 || imaginary != 0 ||
        name < 1 || name > 64 || size < (size_t)(20 + name) || head[20 + name - 1] != '\0')
        return false;
    *out = (struct mat4){
        .element_type = (int)(type / 10),
        .rows = rows,
        .columns = columns,
        .data_offset = 20 + name,
    };
    return true;
}
