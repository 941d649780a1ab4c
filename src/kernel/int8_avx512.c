#if defined(__x86_64__)
#define INT8_KERNELS int8_avx512
#define INT8_ISA "avx512"
#define VECTOR_KERNELS vector_avx512
#include "kernel/int8_kernels.inc"
#else
typedef int translation_unit_is_not_empty;
#endif
