#if defined(__x86_64__)
#define VECTOR_KERNELS vector_avx2
#define VECTOR_ISA "avx2"
#include "kernel/vector_kernels.inc"
#else
typedef int translation_unit_is_not_empty;
#endif
