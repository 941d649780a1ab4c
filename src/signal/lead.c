#include "signal/lead.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static const char *const names[LEAD_STANDARD_COUNT] = {
    "I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6",
};

const char *lead_name(enum ecg_lead lead)
{
    return (int)lead >= 0 && lead < LEAD_STANDARD_COUNT ? names[lead] : "?";
}

/* Spellings beside the canonical ones, in capitals. A modified limb lead (ML) has the polarity and
 * shape of the limb lead; modified chest leads (MCL) do not and stay unknown. */
static const struct {
    const char *spelling;
    enum ecg_lead lead;
} others[] = {
    {"MLI", LEAD_I}, {"MLII", LEAD_II}, {"MLIII", LEAD_III},
    {"DI", LEAD_I},  {"DII", LEAD_II},  {"DIII", LEAD_III},
};

static char upper(char c) { return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c; }

static bool is_separator(char c)
{
    return c == ' ' || c == '_' || c == '-' || c == '.' || c == ':' || c == '\t';
}

/* Steps over a word and the separators after it; NULL if the text does not begin so. */
static const char *skip_word(const char *text, const char *word)
{
    size_t n = strlen(word);
    if (strncmp(text, word, n) != 0 || !is_separator(text[n]))
        return NULL;
    for (text += n; is_separator(*text);)
        text++;
    return text;
}

enum ecg_lead lead_from_name(const char *name)
{
    char text[32];
    size_t n = 0;
    while (*name == ' ' || *name == '\t')
        name++;
    for (; name[n] != '\0'; n++) {
        if (n + 1 == sizeof text)
            return LEAD_UNKNOWN;
        text[n] = upper(name[n]);
    }
    while (n > 0 && strchr(" \t,:.", text[n - 1]) != NULL) /* "II," of BIDMC */
        n--;
    text[n] = '\0';

    static const char *const words[] = {"ECG", "EKG", "LEAD"};
    const char *rest = text;
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
            const char *after = skip_word(rest, words[i]);
            rest = after != NULL ? after : rest;
        }

    for (int lead = 0; lead < LEAD_STANDARD_COUNT; lead++) {
        const char *p = rest, *q = names[lead];
        while (*p != '\0' && *p == upper(*q)) {
            p++;
            q++;
        }
        if (*p == '\0' && *q == '\0')
            return (enum ecg_lead)lead;
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(rest, others[i].spelling) == 0)
            return others[i].lead;
    return LEAD_UNKNOWN;
}
