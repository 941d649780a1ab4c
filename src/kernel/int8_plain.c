#define INT8_KERNELS int8_plain
#define INT8_ISA "plain"
#define VECTOR_KERNELS vector_plain
#include "kernel/int8_kernels.inc"
