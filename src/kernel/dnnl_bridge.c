#include "kernel/dnnl_bridge.h"

#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what differs between 2.x and 3.x: descriptors are values there, objects here ------------- */

struct layout {
    dnnl_memory_desc_t desc;
};

#if DNNL_VERSION_MAJOR >= 3

#define DESC(layout) ((layout)->desc)

static bool layout_init(struct layout *l, const dnnl_dims_t dims, const dnnl_dims_t strides)
{
    return dnnl_memory_desc_create_with_strides(&l->desc, 2, dims, dnnl_f32, strides) ==
           dnnl_success;
}

static void layout_free(struct layout *l)
{
    if (l->desc)
        dnnl_memory_desc_destroy(l->desc);
}

static bool eltwise_append(dnnl_post_ops_t ops, dnnl_alg_kind_t kind)
{
    return dnnl_post_ops_append_eltwise(ops, kind, 0, 0) == dnnl_success;
}

static bool sum_append(dnnl_post_ops_t ops)
{
    return dnnl_post_ops_append_sum(ops, 1, 0, dnnl_f32) == dnnl_success;
}

static bool matmul_new(dnnl_primitive_desc_t *out, const struct layout *a, const struct layout *b,
                       const struct layout *bias, const struct layout *c,
                       const_dnnl_primitive_attr_t attr, dnnl_engine_t on)
{
    return dnnl_matmul_primitive_desc_create(out, on, DESC(a), DESC(b), bias ? DESC(bias) : NULL,
                                             DESC(c), attr) == dnnl_success;
}

#else

#define DESC(layout) (&(layout)->desc)

static bool layout_init(struct layout *l, const dnnl_dims_t dims, const dnnl_dims_t strides)
{
    return dnnl_memory_desc_init_by_strides(&l->desc, 2, dims, dnnl_f32, strides) == dnnl_success;
}

static void layout_free(struct layout *l) { (void)l; }

static bool eltwise_append(dnnl_post_ops_t ops, dnnl_alg_kind_t kind)
{
    return dnnl_post_ops_append_eltwise(ops, 1, kind, 0, 0) == dnnl_success;
}

static bool sum_append(dnnl_post_ops_t ops)
{
    return dnnl_post_ops_append_sum(ops, 1) == dnnl_success;
}

static bool matmul_new(dnnl_primitive_desc_t *out, const struct layout *a, const struct layout *b,
                       const struct layout *bias, const struct layout *c,
                       const_dnnl_primitive_attr_t attr, dnnl_engine_t on)
{
    dnnl_matmul_desc_t d;
    return dnnl_matmul_desc_init(&d, DESC(a), DESC(b), bias ? DESC(bias) : NULL, DESC(c)) ==
               dnnl_success &&
           dnnl_primitive_desc_create(out, &d, attr, on, NULL) == dnnl_success;
}

#endif

/* ---- the library ------------------------------------------------------------------------------ */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static dnnl_engine_t engine; /* NULL: not available */
static pthread_key_t shapes_key;
static char version[64];

static void shapes_free(void *shapes);

static void library_open(void)
{
    const dnnl_version_t *v = dnnl_version();
    const char *threads = v->cpu_runtime == DNNL_RUNTIME_OMP   ? "OpenMP"
                          : v->cpu_runtime == DNNL_RUNTIME_SEQ ? "one thread"
                          : v->cpu_runtime == DNNL_RUNTIME_TBB ? "TBB"
                                                               : "threads of its own";
    snprintf(version, sizeof version, "oneDNN %d.%d.%d, %s", v->major, v->minor, v->patch, threads);
    if (pthread_key_create(&shapes_key, shapes_free))
        return;
    if (dnnl_engine_create(&engine, dnnl_cpu, 0) != dnnl_success)
        engine = NULL;
}

bool dnnl_bridge_available(void)
{
    pthread_once(&once, library_open);
    return engine != NULL;
}

const char *dnnl_bridge_version(void)
{
    pthread_once(&once, library_open);
    return version;
}

/* ---- one shape -------------------------------------------------------------------------------- */

enum { OPERAND_A, OPERAND_B, OPERAND_BIAS, OPERAND_C, OPERAND_SCRATCH, OPERANDS };
static const int operand_kind[OPERANDS] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_BIAS,
                                           DNNL_ARG_DST, DNNL_ARG_SCRATCHPAD};

/* A primitive is built for a number of threads, so that is part of what it is found by. */
struct shape_key {
    int64_t M, N, K, flags, threads;
};

struct shape {
    dnnl_primitive_t primitive; /* NULL: oneDNN cannot do this shape */
    dnnl_memory_t memory[OPERANDS];
    size_t scratch_bytes;
};

static void shape_free(struct shape *s)
{
    for (int i = 0; i < OPERANDS; i++)
        if (s->memory[i])
            dnnl_memory_destroy(s->memory[i]);
    if (s->primitive)
        dnnl_primitive_destroy(s->primitive);
    *s = (struct shape){0};
}

/* Float32 all through, whatever ONEDNN_DEFAULT_FPMATH_MODE says; working memory is ours. */
static bool attributes_new(dnnl_primitive_attr_t *attr, const struct dnnl_product *p)
{
    dnnl_post_ops_t ops = NULL;
    bool good = dnnl_primitive_attr_create(attr) == dnnl_success;
    good =
        good &&
        dnnl_primitive_attr_set_scratchpad_mode(*attr, dnnl_scratchpad_mode_user) == dnnl_success &&
        dnnl_primitive_attr_set_fpmath_mode(*attr, dnnl_fpmath_mode_strict) == dnnl_success;
    good = good && dnnl_post_ops_create(&ops) == dnnl_success;
    if (p->add)
        good = good && sum_append(ops);
    if (p->gelu)
        good = good && eltwise_append(ops, dnnl_eltwise_gelu_erf);
    good = good && dnnl_primitive_attr_set_post_ops(*attr, ops) == dnnl_success;
    if (ops)
        dnnl_post_ops_destroy(ops);
    return good;
}

static bool shape_build(struct shape *s, const struct dnnl_product *p, bool bias)
{
    struct layout layouts[OPERANDS] = {0};
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t described = NULL;
    const dnnl_dims_t dims[] = {{p->M, p->K}, {p->K, p->N}, {1, p->N}, {p->M, p->N}};
    const dnnl_dims_t strides[] = {{p->transpose_a ? 1 : p->K, p->transpose_a ? p->M : 1},
                                   {p->transpose_b ? 1 : p->N, p->transpose_b ? p->K : 1},
                                   {p->N, 1},
                                   {p->N, 1}};
    bool good = attributes_new(&attr, p);
    for (int i = 0; i <= OPERAND_C; i++)
        good = good && layout_init(&layouts[i], dims[i], strides[i]) &&
               dnnl_memory_create(&s->memory[i], DESC(&layouts[i]), engine, DNNL_MEMORY_NONE) ==
                   dnnl_success;
    good = good &&
           matmul_new(&described, &layouts[OPERAND_A], &layouts[OPERAND_B],
                      bias ? &layouts[OPERAND_BIAS] : NULL, &layouts[OPERAND_C], attr, engine) &&
           dnnl_primitive_create(&s->primitive, described) == dnnl_success;
    if (good) {
        const void *scratch = dnnl_primitive_desc_query_md(described, dnnl_query_scratchpad_md, 0);
        s->scratch_bytes = scratch ? dnnl_memory_desc_get_size(scratch) : 0;
        good = !scratch || dnnl_memory_create(&s->memory[OPERAND_SCRATCH], scratch, engine,
                                              DNNL_MEMORY_NONE) == dnnl_success;
    }
    if (described)
        dnnl_primitive_desc_destroy(described);
    if (attr)
        dnnl_primitive_attr_destroy(attr);
    for (int i = 0; i <= OPERAND_C; i++)
        layout_free(&layouts[i]);
    if (!good)
        shape_free(s);
    return good;
}

/* ---- the shapes of a thread ------------------------------------------------------------------- */

struct shapes {
    dnnl_stream_t stream;
    void *scratch;
    size_t scratch_bytes;
    int count;
    uint64_t clock, used[DNNL_BRIDGE_SHAPES]; /* when last */
    struct shape_key key[DNNL_BRIDGE_SHAPES];
    struct shape shape[DNNL_BRIDGE_SHAPES];
};

static void shapes_free(void *shapes_)
{
    struct shapes *t = shapes_;
    for (int i = 0; i < t->count; i++)
        shape_free(&t->shape[i]);
    if (t->stream)
        dnnl_stream_destroy(t->stream);
    free(t->scratch);
    free(t);
}

static struct shapes *shapes_of_thread(void)
{
    struct shapes *t = pthread_getspecific(shapes_key);
    if (t)
        return t;
    t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    if (dnnl_stream_create(&t->stream, engine, dnnl_stream_default_flags) != dnnl_success ||
        pthread_setspecific(shapes_key, t)) {
        shapes_free(t);
        return NULL;
    }
    return t;
}

static bool scratch_grow(struct shapes *t, size_t bytes)
{
    if (bytes <= t->scratch_bytes)
        return true;
    size_t grown = (bytes + 4095) / 4096 * 4096;
    free(t->scratch);
    t->scratch = aligned_alloc(4096, grown);
    t->scratch_bytes = t->scratch ? grown : 0;
    return t->scratch != NULL;
}

/* The index of the shape, built if need be. */
static int shapes_find(struct shapes *t, const struct dnnl_product *p, bool bias)
{
    int threads = kernel_threads();
    /* OpenMP keeps its number by thread. */
    if (omp_get_max_threads() != threads)
        omp_set_num_threads(threads);
    const struct shape_key key = {.M = p->M,
                                  .N = p->N,
                                  .K = p->K,
                                  .flags = p->transpose_a | p->transpose_b << 1 | p->add << 2 |
                                           p->gelu << 3 | bias << 4,
                                  .threads = threads};
    int oldest = 0;
    for (int i = 0; i < t->count; i++) {
        if (!memcmp(&t->key[i], &key, sizeof key))
            return i;
        if (t->used[i] < t->used[oldest])
            oldest = i;
    }
    int at = t->count < DNNL_BRIDGE_SHAPES ? t->count++ : oldest;
    shape_free(&t->shape[at]);
    t->key[at] = key;
    shape_build(&t->shape[at], p, bias);
    return at;
}

int dnnl_bridge_shapes(void)
{
    struct shapes *t = dnnl_bridge_available() ? pthread_getspecific(shapes_key) : NULL;
    return t ? t->count : 0;
}

bool dnnl_bridge_multiply(float *c, const float *a, const float *b, const float *bias,
                          const struct dnnl_product *p)
{
    struct shapes *t = shapes_of_thread();
    if (!t)
        return false;
    int at = shapes_find(t, p, bias);
    t->used[at] = ++t->clock;
    const struct shape *s = &t->shape[at];
    if (!s->primitive || !scratch_grow(t, s->scratch_bytes))
        return false;
    const void *data[OPERANDS] = {a, b, bias, c, t->scratch};
    dnnl_exec_arg_t arguments[OPERANDS];
    int count = 0;
    for (int i = 0; i < OPERANDS; i++) {
        if (!s->memory[i] || !data[i])
            continue;
        if (dnnl_memory_set_data_handle(s->memory[i], (void *)data[i]) != dnnl_success)
            return false;
        arguments[count++] = (dnnl_exec_arg_t){operand_kind[i], s->memory[i]};
    }
    return dnnl_primitive_execute(s->primitive, t->stream, count, arguments) == dnnl_success &&
           dnnl_stream_wait(t->stream) == dnnl_success;
}
