/* Bench of the kernel tests: one run of a kernel case on one backend. A case asks for inputs,
 * outputs and integer arrays in a fixed order and calls the kernel; the same case run twice sees
 * the same numbers, so that two runs can be compared array by array. Arrays stand between guards
 * of sentinel bytes; inputs must come back untouched. */
#ifndef ECGFM_TESTS_KERNEL_RUN_H
#define ECGFM_TESTS_KERNEL_RUN_H

#include "kernel/kernel.h"
#include "kernel/vector.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RUN_ARRAYS = 16, RUN_GUARD = 128 };

/* The vectorized backends on each instruction set; first those of cpu. */
static const struct run_machine {
    const char *backend, *isa; /* isa NULL: the best there is */
} run_machines[] = {{"cpu", "avx512"},    {"cpu", "avx2"},      {"cpu", "plain"},
                    {"cpu-bf16", NULL},   {"cpu-int8", NULL},   {"cpu-int8", "avx512"},
                    {"cpu-int8", "avx2"}, {"cpu-int8", "plain"}};
enum { RUN_ISAS = 3, RUN_MACHINES = sizeof run_machines / sizeof *run_machines };

/* Its backend, until the next call of kernel_force_isa(); NULL where this machine cannot. */
static inline const struct backend *run_machine_use(const struct run_machine *m)
{
    return kernel_force_isa(m->isa) ? backend_find(m->backend) : NULL;
}

static inline const char *run_machine_name(const struct run_machine *m, char name[32])
{
    snprintf(name, 32, "%s%s%s", m->backend, m->isa ? " on " : "", m->isa ? m->isa : "");
    return name;
}

struct run_array {
    unsigned char *raw;  /* guard, data, guard */
    unsigned char *copy; /* of the data at the start, for inputs */
    size_t bytes;
    int64_t count;
    bool integer, output;
};

struct run {
    const struct backend *k;
    uint32_t state;
    int count;
    struct run_array array[RUN_ARRAYS];
};

static inline uint32_t run_random(struct run *r)
{
    r->state = r->state * 1664525u + 1013904223u;
    return r->state >> 8;
}

static inline void *run_push(struct run *r, int64_t count, size_t size, bool integer, bool output)
{
    struct run_array *a = &r->array[r->count++];
    if (r->count > RUN_ARRAYS)
        abort();
    *a = (struct run_array){.bytes = (size_t)count * size,
                            .count = count,
                            .integer = integer,
                            .output = output};
    a->raw = malloc(a->bytes + 2 * RUN_GUARD);
    if (!a->raw)
        abort();
    memset(a->raw, 0xA5, a->bytes + 2 * RUN_GUARD);
    return a->raw + RUN_GUARD;
}

static inline void run_set(void *data, const struct backend *k, int64_t i, double value)
{
    if (k->real_size == 4)
        ((float *)data)[i] = (float)value;
    else
        ((double *)data)[i] = (float)value; /* the same number in both */
}

static inline double run_get(const void *data, const struct backend *k, int64_t i)
{
    return k->real_size == 4 ? (double)((const float *)data)[i] : ((const double *)data)[i];
}

static inline void run_fill(struct run *r, void *data, int64_t n, double low, double high)
{
    for (int64_t i = 0; i < n; i++)
        run_set(data, r->k, i, low + (high - low) * run_random(r) / 16777216.0);
}

/* n numbers in [low, high) that the kernel reads. Call run_seal() after changing them. */
static inline void *run_in(struct run *r, int64_t n, double low, double high)
{
    void *data = run_push(r, n, r->k->real_size, false, false);
    run_fill(r, data, n, low, high);
    return data;
}

/* n numbers that the kernel writes or adds to. */
static inline void *run_out(struct run *r, int64_t n)
{
    void *data = run_push(r, n, r->k->real_size, false, true);
    run_fill(r, data, n, -1, 1);
    return data;
}

static inline int32_t *run_out_int(struct run *r, int64_t n)
{
    int32_t *data = run_push(r, n, sizeof *data, true, true);
    memset(data, 0, sizeof *data * (size_t)n);
    return data;
}

/* index[B,J]: J distinct numbers below N for each b, in random order. */
static inline int32_t *run_index(struct run *r, int64_t B, int64_t N, int64_t J)
{
    int32_t *data = run_push(r, B * J, sizeof *data, true, false);
    for (int64_t b = 0; b < B; b++)
        for (int64_t j = 0; j < J;) {
            int32_t candidate = (int32_t)(run_random(r) % (uint32_t)N);
            bool taken = false;
            for (int64_t i = 0; i < j; i++)
                taken |= data[b * J + i] == candidate;
            if (!taken)
                data[b * J + j++] = candidate;
        }
    return data;
}

/* Remembers the inputs as they are now; called by the case right before the kernel. */
static inline void run_seal(struct run *r)
{
    for (int i = 0; i < r->count; i++) {
        struct run_array *a = &r->array[i];
        if (a->output)
            continue;
        a->copy = malloc(a->bytes + 1);
        if (!a->copy)
            abort();
        memcpy(a->copy, a->raw + RUN_GUARD, a->bytes);
    }
}

/* NULL if guards and inputs are whole, else what is not. */
static inline const char *run_damage(const struct run *r)
{
    for (int i = 0; i < r->count; i++) {
        const struct run_array *a = &r->array[i];
        for (int g = 0; g < RUN_GUARD; g++)
            if (a->raw[g] != 0xA5 || a->raw[RUN_GUARD + a->bytes + (size_t)g] != 0xA5)
                return "bytes outside an array were written";
        if (a->copy && memcmp(a->copy, a->raw + RUN_GUARD, a->bytes))
            return "an input was written";
        if (!a->output && !a->copy)
            return "the case forgot run_seal()";
    }
    return NULL;
}

static inline void run_free(struct run *r)
{
    for (int i = 0; i < r->count; i++) {
        free(r->array[i].raw);
        free(r->array[i].copy);
    }
    r->count = 0;
}

/* Whether all outputs of two runs on backends of the same type are the same bits. */
static inline bool run_same_bits(const struct run *a, const struct run *b)
{
    for (int i = 0; i < a->count; i++)
        if (a->array[i].output &&
            memcmp(a->array[i].raw + RUN_GUARD, b->array[i].raw + RUN_GUARD, a->array[i].bytes))
            return false;
    return true;
}

/* Worst over the outputs of: mean squared error over mean square, and largest error over
 * root mean square + magnitude. Integers and NaN must agree (else infinite). */
static inline void run_compare(const struct run *tested, const struct run *truth, double *nmse,
                               double *worst)
{
    *nmse = *worst = 0;
    for (int i = 0; i < truth->count; i++) {
        const struct run_array *t = &truth->array[i], *x = &tested->array[i];
        if (!t->output)
            continue;
        if (t->integer) {
            if (memcmp(t->raw + RUN_GUARD, x->raw + RUN_GUARD, t->bytes))
                *nmse = *worst = INFINITY;
            continue;
        }
        double error = 0, power = 0;
        for (int64_t j = 0; j < t->count; j++) {
            double a = run_get(x->raw + RUN_GUARD, tested->k, j);
            double b = run_get(t->raw + RUN_GUARD, truth->k, j);
            if (!isfinite(a) || !isfinite(b))
                *nmse = *worst = INFINITY;
            error += (a - b) * (a - b);
            power += b * b;
        }
        double rms = sqrt(power / (double)t->count);
        if (power > 0 && error / power > *nmse)
            *nmse = error / power;
        if (power == 0 && error > 0)
            *nmse = INFINITY;
        for (int64_t j = 0; j < t->count; j++) {
            double b = run_get(t->raw + RUN_GUARD, truth->k, j);
            double e = fabs(run_get(x->raw + RUN_GUARD, tested->k, j) - b);
            if (e > 0 && e / (rms + fabs(b)) > *worst)
                *worst = e / (rms + fabs(b));
        }
    }
}

#endif
