#include "nn/param.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/shapes.h"
#include "base/str.h"

#define PARAM_ALIGNMENT 16

void param_table_init(struct param_table *p)
{
    memset(p, 0, sizeof *p);
    arena_init(&p->arena, "parameter table", 0);
}

void param_table_free(struct param_table *p)
{
    arena_reset(&p->arena);
    free(p->items);
    memset(p, 0, sizeof *p);
}

struct param *param_find(const struct param_table *p, const char *name)
{
    for (int i = 0; i < p->count; i++)
        if (strcmp(p->items[i]->name, name) == 0)
            return p->items[i];
    return NULL;
}

struct param *param_get(struct param_table *p, const char *name, int rank, const int64_t *shape,
                        enum param_init init, double scale, bool decay, int layer)
{
    ASSERT(rank >= 1 && rank <= PARAM_RANK_MAX, "parameter %s: rank %d", name, rank);
    struct param *found = param_find(p, name);
    if (found) {
        bool same = found->rank == rank;
        for (int i = 0; same && i < rank; i++)
            same = found->shape[i] == shape[i];
        ASSERT(same, "parameter %s asked for with two shapes", name);
        return found;
    }
    ASSERT(!p->closed, "parameter %s is not in the table", name);
    if (p->count == p->cap) {
        p->cap = p->cap ? 2 * p->cap : 64;
        p->items = realloc(p->items, (size_t)p->cap * sizeof *p->items);
        ASSERT(p->items, "out of memory");
    }
    struct param *x = arena_push(&p->arena, sizeof *x);
    ASSERT(x, "out of memory");
    x->name = arena_strdup(&p->arena, name);
    x->rank = rank;
    memcpy(x->shape, shape, (size_t)rank * sizeof *shape);
    ASSERT(shape_numel(shape, rank, &x->numel) && x->numel > 0, "parameter %s: size", name);
    x->offset = p->total;
    x->init = init;
    x->scale = scale;
    x->decay = decay;
    x->layer = layer;
    x->rate = 1;
    p->items[p->count++] = x;
    p->total += (x->numel + PARAM_ALIGNMENT - 1) / PARAM_ALIGNMENT * PARAM_ALIGNMENT;
    if (layer > p->layer_max)
        p->layer_max = layer;
    return x;
}

int64_t param_count_values(const struct param_table *p)
{
    int64_t n = 0;
    for (int i = 0; i < p->count; i++)
        n += p->items[i]->state ? 0 : p->items[i]->numel;
    return n;
}

static double init_value(const struct param *x, struct rng *r, int64_t i)
{
    switch (x->init) {
    case PARAM_ZERO:
        return 0;
    case PARAM_ONE:
        return 1;
    case PARAM_NORMAL: {
        double z;
        do
            z = rng_normal(r);
        while (fabs(z) > 2);
        return x->scale * z;
    }
    case PARAM_GAUSS:
        return x->scale * rng_normal(r);
    case PARAM_UNIFORM:
        return rng_between(r, -x->scale, x->scale);
    case PARAM_UNIT:
        return rng_between(r, 0, x->scale);
    case PARAM_SAME:
        return x->scale;
    case PARAM_STEP:
        return rng_between(r, log(0.001), log(0.1));
    case PARAM_TONES:
        return x->scale * (double)(i % x->shape[x->rank - 1]);
    case PARAM_KAIMING:
        return sqrt(2.0 * (double)x->shape[0] / (double)x->numel) * rng_normal(r);
    case PARAM_LENGTHS: /* see param_initialize */
        return 0;
    case PARAM_XAVIER: {
        double out = (double)x->shape[0], in = (double)(x->numel / x->shape[0]);
        double bound = sqrt(6.0 / (in + out));
        return rng_between(r, -bound, bound);
    }
    case PARAM_SINCOS: {
        int64_t D = x->shape[x->rank - 1], d = i % D, half = D / 2;
        double position = (double)(i / D);
        if (half == 0)
            return 0;
        double angle = position / pow(10000.0, (double)(d % half) / (double)half);
        return d < half ? sin(angle) : d < 2 * half ? cos(angle) : 0;
    }
    }
    BUG("parameter %s: unknown initialization", x->name);
}

static double real_get(const void *slab, size_t real_size, int64_t i)
{
    return real_size == sizeof(float) ? (double)((const float *)slab)[i]
                                      : ((const double *)slab)[i];
}

static void real_set(void *slab, size_t real_size, int64_t i, double value)
{
    if (real_size == sizeof(float))
        ((float *)slab)[i] = (float)value;
    else
        ((double *)slab)[i] = value;
}

static void init_lengths(const struct param *x, const struct param *of, void *slab,
                         size_t real_size)
{
    int64_t K = x->numel;
    ASSERT(of->numel % K == 0, "parameter %s: lengths of %s", x->name, of->name);
    for (int64_t k = 0; k < K; k++) {
        double sum = 0;
        for (int64_t i = k; i < of->numel; i += K) {
            double v = real_get(slab, real_size, of->offset + i);
            sum += v * v;
        }
        real_set(slab, real_size, x->offset + k, sqrt(sum));
    }
}

void param_initialize(const struct param_table *p, void *slab, size_t real_size, uint64_t seed)
{
    memset(slab, 0, (size_t)p->total * real_size);
    for (int k = 0; k < p->count; k++) {
        const struct param *x = p->items[k];
        struct rng r = rng_at(seed, RNG_STREAM_INIT, str_hash64(x->name), 0);
        if (x->init == PARAM_LENGTHS) {
            ASSERT(k > 0, "parameter %s: nothing before it", x->name);
            init_lengths(x, p->items[k - 1], slab, real_size);
            continue;
        }
        for (int64_t i = 0; i < x->numel; i++)
            real_set(slab, real_size, x->offset + i, init_value(x, &r, i));
    }
}

void param_freeze_layers(struct param_table *p, int layers)
{
    for (int i = 0; i < p->count; i++)
        if (p->items[i]->layer < layers)
            p->items[i]->frozen = true;
}
