#if defined(__x86_64__)
#define VECTOR_KERNELS vector_avx512
#define VECTOR_ISA "avx512"
#include "kernel/vector_kernels.inc"
#else
typedef int translation_unit_is_not_empty;
#endif
