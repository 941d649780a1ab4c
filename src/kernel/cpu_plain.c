#define VECTOR_KERNELS vector_plain
#define VECTOR_ISA "plain"
#include "kernel/vector_kernels.inc"
