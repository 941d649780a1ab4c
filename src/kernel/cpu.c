#include "kernel/kernel.h"

#include <cblas.h>
#include <math.h>
#include <omp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static void linear_fwd(void *y_, const void *x, const void *w, const void *b_, int64_t M,
                       int64_t N, int64_t K, enum activation act)
{
    float *y = y_;
    const float *b = b_;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)M, (int)N, (int)K, 1, x, (int)K, w,
                (int)K, 0, y, (int)N);
    if (b)
        for (int64_t m = 0; m < M; m++)
            for (int64_t n = 0; n < N; n++) y[m * N + n] += b[n];
    if (act != ACTIVATION_NONE) backend_ref.activation_fwd(y, y, M * N, act);
}

static void linear_bwd_x(void *dx, const void *dy, const void *w, int64_t M, int64_t N, int64_t K,
                         int add)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)M, (int)K, (int)N, 1, dy, (int)N,
                w, (int)K, (float)(add != 0), dx, (int)K);
}

static void linear_bwd_w(void *dw, void *db, const void *dy, const void *x, int64_t M, int64_t N,
                         int64_t K)
{
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)N, (int)K, (int)M, 1, dy, (int)N, x,
                (int)K, 1, dw, (int)K);
    if (db) backend_ref.add_rows_bwd(db, dy, M, N);
}

static struct backend backend;
static char description[256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void backend_build(void)
{
    backend = backend_ref;
    backend.name = "cpu";
    backend.linear_fwd = linear_fwd;
    backend.linear_bwd_x = linear_bwd_x;
    backend.linear_bwd_w = linear_bwd_w;
    snprintf(description, sizeof description, "%s", openblas_get_config());
}

const struct backend *backend_cpu(void)
{
    pthread_once(&once, backend_build);
    return &backend;
}

const struct backend *backend_find(const char *name)
{
    if (!strcmp(name, "cpu")) return backend_cpu();
    if (!strcmp(name, backend_ref.name)) return &backend_ref;
    if (!strcmp(name, backend_ref64.name)) return &backend_ref64;
    return NULL;
}

void kernel_set_threads(int threads)
{
    if (threads < 1) threads = 1;
    omp_set_num_threads(threads);
    openblas_set_num_threads(threads);
}

int kernel_threads(void) { return omp_get_max_threads(); }

const char *kernel_description(void)
{
    pthread_once(&once, backend_build);
    return description;
}
