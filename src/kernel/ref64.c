#define REAL double
#define BACKEND backend_ref64
#define BACKEND_NAME "ref64"
#include "kernel/ref_kernels.inc"
