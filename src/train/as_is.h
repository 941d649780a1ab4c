/* Records that are handed to a network unchanged: an .npy array of float32 [records, leads, samples] with,
 * where the network has a mask for padding, how many samples of each are valid. */
#ifndef ECGFM_TRAIN_AS_IS_H
#define ECGFM_TRAIN_AS_IS_H

#include "format/npy.h"
#include "model/model.h"
#include "train/intake.h"

struct as_is {
    struct npy array;
    int64_t count, leads, samples;
    int64_t *lengths; /* [count] valid samples; NULL: all */
};

/* Opens an array that the model takes. lengths_path: NULL, an .npy file of whole numbers, or text with one
 * a line. *a is initialized here; close it also after an error.
 * Errors: ERR_USAGE for another type, shape or numbers; ERR_MODEL for what the model does not take; those
 * of npy_open. */
enum err_code as_is_open(struct as_is *a, const char *path, const char *lengths_path,
                         const struct model *m, struct err *e);
void as_is_close(struct as_is *a); /* accepts a zeroed struct */

/* Record i as if it had been read and converted. *in is initialized here. Threads: safe. */
void as_is_read(const struct as_is *a, int64_t i, struct intake *in);

#endif
