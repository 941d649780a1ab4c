#include "kernel/kernel.h"

#include "kernel/dnnl_bridge.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

/* ---- onednn: the cpu backend, its products by oneDNN ------------------------------------------ */

static void linear_fwd(void *y, const void *x, const void *w, const void *b, int64_t M, int64_t N,
                       int64_t K, enum activation act)
{
    bool gelu = act == ACTIVATION_GELU;
    struct dnnl_product p = {.M = M, .N = N, .K = K, .transpose_b = true, .gelu = gelu};
    if (!dnnl_bridge_multiply(y, x, w, b, &p))
        backend_cpu()->linear_fwd(y, x, w, b, M, N, K, act);
    else if (act == ACTIVATION_RELU) /* oneDNN's makes 0 of NaN */
        backend_cpu()->activation_fwd(y, y, M * N, act);
}

static void linear_bwd_x(void *dx, const void *dy, const void *w, int64_t M, int64_t N, int64_t K,
                         int add)
{
    struct dnnl_product p = {.M = M, .N = K, .K = N, .add = add};
    if (!dnnl_bridge_multiply(dx, dy, w, NULL, &p))
        backend_cpu()->linear_bwd_x(dx, dy, w, M, N, K, add);
}

static void linear_bwd_w(void *dw, void *db, const void *dy, const void *x, int64_t M, int64_t N,
                         int64_t K, int add)
{
    struct dnnl_product p = {.M = N, .N = K, .K = M, .transpose_a = true, .add = add};
    if (!dnnl_bridge_multiply(dw, dy, x, NULL, &p))
        backend_cpu()->linear_bwd_w(dw, NULL, dy, x, M, N, K, add);
    if (db)
        backend_cpu()->add_rows_bwd(db, dy, M, N);
}

/* Packed by the reference: as they are. */
static void linear_packed(void *y, const void *x, const void *packed, const void *b, int64_t M,
                          int64_t N, int64_t K, enum activation act)
{
    linear_fwd(y, x, packed, b, M, N, K, act);
}

static struct backend onednn;
static pthread_once_t onednn_once = PTHREAD_ONCE_INIT;

static void onednn_build(void)
{
    onednn = *backend_cpu();
    onednn.name = "onednn";
    onednn.linear_fwd = linear_fwd;
    onednn.pack_bytes = backend_ref.pack_bytes;
    onednn.pack = backend_ref.pack;
    onednn.linear_packed = linear_packed;
    onednn.linear_bwd_x = linear_bwd_x;
    onednn.linear_bwd_w = linear_bwd_w;
}

const struct backend *backend_onednn(void)
{
    pthread_once(&onednn_once, onednn_build);
    return dnnl_bridge_available() ? &onednn : NULL;
}

/* ---- by name ---------------------------------------------------------------------------------- */

const struct backend *backend_find(const char *name)
{
    if (!strcmp(name, "cpu"))
        return backend_cpu();
    if (!strcmp(name, "cpu-bf16"))
        return backend_cpu_bf16();
    if (!strcmp(name, "cpu-int8"))
        return backend_cpu_int8();
    if (!strcmp(name, "onednn"))
        return backend_onednn();
    if (!strcmp(name, backend_ref.name))
        return &backend_ref;
    if (!strcmp(name, backend_ref64.name))
        return &backend_ref64;
    return NULL;
}

static const struct backend *_Atomic selected; /* NULL: cpu */

bool backend_select(const char *name)
{
    const struct backend *found = backend_find(name);
    if (!found || found->real_size != sizeof(float))
        return false;
    selected = found;
    return true;
}

const struct backend *backend_selected(void)
{
    const struct backend *chosen = selected;
    return chosen ? chosen : backend_cpu();
}
