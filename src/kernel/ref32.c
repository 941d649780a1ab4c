#define REAL float
#define BACKEND backend_ref
#define BACKEND_NAME "ref"
#include "kernel/ref_kernels.inc"
