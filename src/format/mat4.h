/* MATLAB files as far as WFDB uses them: a level-4 matrix in front of WFDB samples, as wfdb2mat and
 * the CinC challenges write it (header says 16+24). Newer levels: mat5.h.
 *
 *   int32 type = M*1000 + P*10 (M 0: little endian; P 2: int32, 3: int16, 4: uint16, 5: uint8)
 *   int32 rows, int32 columns, int32 imaginary = 0, int32 length of name with NUL, name
 *   then the matrix column by column: one frame of all signals after the other
 * Source: MAT-File Format, MathWorks, "Level 4 MAT-File Format". */
#ifndef ECGFM_FORMAT_MAT4_H
#define ECGFM_FORMAT_MAT4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mat4 {
    int element_type; /* P */
    int64_t rows, columns;
    int64_t data_offset; /* bytes before the first element */
};

/* True if the bytes begin with a plausible little-endian, real, full level-4 matrix. */
bool mat4_parse(const unsigned char *head, size_t size, struct mat4 *out);

#endif
