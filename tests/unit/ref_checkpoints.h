/* What scripts/ref_checkpoints.py wrote into the checkpoints of tests/fixtures. */
#ifndef ECGFM_TESTS_REF_CHECKPOINTS_H
#define ECGFM_TESTS_REF_CHECKPOINTS_H

#include <stdint.h>
#include <string.h>
#include <zlib.h>

/* Value i of a tensor: value() there. */
static float value_of(const char *name, int64_t i)
{
    uint32_t x = (uint32_t)crc32_z(0, (const unsigned char *)name, strlen(name)) +
                 (uint32_t)((uint64_t)i * 2654435761u);
    return (float)((double)x / 4294967296.0 - 0.5);
}

#endif
