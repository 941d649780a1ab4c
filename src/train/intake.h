/* From what a user names (files, folders, patterns) to records a model can take, or the reason why
 * not. Refusals are results, not errors. */
#ifndef ECGFM_TRAIN_INTAKE_H
#define ECGFM_TRAIN_INTAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "signal/contract.h"

struct path_list {
    struct arena arena;
    int64_t count, cap;
    const char **paths; /* in the order named; folders expand to their records, sorted by path */
};

void path_list_init(struct path_list *l);
void path_list_free(struct path_list *l);
/* Adds a record file, every record below a folder, or what a pattern (* ? [..]) matches. What does not
 * exist is added as it is: reading it then gives the refusal. Errors: ERR_IO, ERR_LIMIT. */
enum err_code path_list_add(struct path_list *l, const char *path, struct err *e);

struct intake {
    struct arena arena; /* owns all below; arena_reset when done */
    enum err_code code; /* ERR_OK: x can be scored */
    const char *reason; /* of a refusal */
    float *x;           /* [L,samples] as the contract says */
    int64_t samples;
    uint32_t absent; /* bit l: lead l of the contract is not in the record, and zero in x */
    int warning_count;
    const char **warnings; /* issues of the record that do not forbid scoring it; absent leads */
};

/* Reads and converts one record. Refused are unreadable, truncated and too short records and whatever
 * contract_apply refuses. *in is initialized here. Threads: safe. */
void intake_read(struct intake *in, const char *path, const struct contract *contract, bool strict);

#endif
