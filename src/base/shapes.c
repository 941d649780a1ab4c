#include "base/shapes.h"

bool mul_i64(int64_t a, int64_t b, int64_t *out)
{
    int64_t product;
    if (a < 0 || b < 0 || __builtin_mul_overflow(a, b, &product))
        return false;
    *out = product;
    return true;
}

bool shape_numel(const int64_t *extents, int rank, int64_t *out)
{
    /* An extent of zero empties the shape, but must not hide a negative or overflowing one. */
    int64_t product = 1;
    bool empty = false;
    for (int i = 0; i < rank; i++) {
        if (extents[i] == 0) {
            empty = true;
            continue;
        }
        if (!mul_i64(product, extents[i], &product))
            return false;
    }
    *out = empty ? 0 : product;
    return true;
}
