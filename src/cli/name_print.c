#include "cli/name_print.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

#define CHARACTERS_MAX 40

/* Of what a terminal would obey: C0, delete, and C1 (U+0080 to U+009F). */
static bool is_control(const unsigned char *c)
{
    return c[0] < 0x20 || c[0] == 0x7f || (c[0] == 0xc2 && c[1] >= 0x80 && c[1] <= 0x9f);
}

static int walk_name(const char *name, bool print)
{
    int characters = 0;
    size_t left = strlen(name), length;
    for (; left > 0 && characters < CHARACTERS_MAX; characters++) {
        length = str_utf8_length(name, left);
        if (print && (length == 0 || is_control((const unsigned char *)name)))
            putchar('?');
        else if (print)
            fwrite(name, 1, length, stdout);
        length += length == 0;
        name += length;
        left -= length;
    }
    return characters;
}

int name_width(const char *name) { return walk_name(name, false); }

void name_print(const char *name, int width)
{
    int rest = width - walk_name(name, true);
    printf("%*s", rest > 0 ? rest : 0, "");
}
