#if defined(__x86_64__)
#define INT8_KERNELS int8_avx2
#define INT8_ISA "avx2"
#define VECTOR_KERNELS vector_avx2
#include "kernel/int8_kernels.inc"
#else
typedef int translation_unit_is_not_empty;
#endif
