#include "graph/ops.h"

const struct op *const ops[] = {
#define OP(name) &op_##name,
#include "graph/ops.def"
#undef OP
    NULL};
