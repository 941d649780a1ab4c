/* Complex numbers from their parts: C11's CMPLX, which some compilers lack with this system's headers. */
#ifndef ECGFM_KERNEL_COMPLEX_NUMBER_H
#define ECGFM_KERNEL_COMPLEX_NUMBER_H

#include <complex.h>

/* re + i im, of finite numbers. */
static inline double complex complex_number(double re, double im) { return re + im * I; }

#endif
