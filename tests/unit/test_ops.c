/* Walks the op table: every row's cases are checked in double against central differences, and the
 * float backends against double. A row without cases fails. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/rng.h"
#include "graph/ops.h"

/* One recorded case: op output y, and the scalar sum(y r) that the gradients are taken of. */
struct run {
    struct tape *tape;
    const struct backend *backend;
    struct tensor *input[NODE_INPUTS_MAX], *output, *loss;
    void *data[NODE_INPUTS_MAX];
};

static double real_get(const struct backend *k, const void *p, int64_t i)
{
    return k->real_size == 4 ? (double)((const float *)p)[i] : ((const double *)p)[i];
}

static void real_set(const struct backend *k, void *p, int64_t i, double v)
{
    if (k->real_size == 4)
        ((float *)p)[i] = (float)v;
    else
        ((double *)p)[i] = v;
}

static double value_get(const struct backend *k, const struct tensor *x, int64_t i)
{
    return x->type == TENSOR_INDEX ? (double)((const int32_t *)x->data)[i]
                                   : real_get(k, x->data, i);
}

/* sum(y r) as an op of this test, so that an arbitrary output gradient r flows back. */
static void dot_prepare(struct node *n) { node_output(n, 1, (int64_t[]){1}); }
static const struct backend *dot_backend;
static double dot_weight(int64_t i)
{
    struct rng r = rng_at(77, RNG_STREAM_TEST, 0, (uint64_t)i);
    return rng_between(&r, -1, 1);
}
static void dot_forward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    double sum = 0;
    for (int64_t i = 0; i < n->input[0]->numel; i++)
        sum += value_get(k, n->input[0], i) * dot_weight(i);
    real_set(k, n->output->data, 0, sum);
}
static void dot_backward(const struct backend *k, const struct node *n, const struct tape_step *s)
{
    (void)s;
    double seed = real_get(k, n->output->grad, 0);
    for (int64_t i = 0; i < n->input[0]->numel; i++)
        real_set(k, n->input[0]->grad, i, seed * dot_weight(i));
}
static const struct op op_dot = {.name = "dot",
                                 .prepare = dot_prepare,
                                 .forward = dot_forward,
                                 .backward = dot_backward};

static void fill_index(const struct op_case_input *in, int32_t *out, uint64_t sample)
{
    int64_t width = in->shape[in->rank - 1], rows = 1;
    for (int i = 0; i < in->rank - 1; i++)
        rows *= in->shape[i];
    int64_t *order = malloc((size_t)in->index_limit * sizeof *order);
    assert_non_null(order);
    for (int64_t r = 0; r < rows; r++) {
        struct rng g = rng_at(5, RNG_STREAM_TEST, sample, (uint64_t)r);
        rng_permutation(&g, order, in->index_limit);
        for (int64_t j = 0; j < width; j++)
            out[r * width + j] = j < in->index_limit ? (int32_t)order[j] : -1;
    }
    free(order);
}

static void run_open(struct run *run, const struct backend *backend, const struct op *op,
                     const struct op_case *c)
{
    memset(run, 0, sizeof *run);
    run->backend = backend;
    run->tape = tape_new(backend, true);
    dot_backend = backend;
    for (int i = 0; i < c->input_count; i++) {
        const struct op_case_input *in = &c->input[i];
        if (in->rank == 0)
            continue;
        bool wants = in->type == TENSOR_REAL && !(op->no_gradient >> i & 1);
        char name[16];
        snprintf(name, sizeof name, "x%d", i);
        run->input[i] = tape_input(run->tape, name, in->type, wants, in->rank, in->shape);
        int64_t n = run->input[i]->numel;
        run->data[i] = aligned_calloc((size_t)n, backend->real_size);
        if (in->type == TENSOR_INDEX)
            fill_index(in, run->data[i], (uint64_t)i);
        else
            for (int64_t j = 0; j < n; j++) {
                struct rng g = rng_at(9, RNG_STREAM_TEST, (uint64_t)i, (uint64_t)j);
                /* Rounded to float so that both precisions see the same numbers. */
                real_set(backend, run->data[i], j,
                         (double)(float)rng_between(&g, 0.05, 1.3) * (rng_u32(&g) & 1 ? 1 : -1));
            }
        tape_bind(run->input[i], run->data[i]);
    }
    run->output = tape_record(run->tape, op, c->input_count, run->input, &c->attr);
    tape_keep(run->tape, run->output);
    run->loss = tape_record(run->tape, &op_dot, 1, &run->output, NULL);
    tape_keep(run->tape, run->loss);
    struct err e = {0};
    struct tensor *loss =
        run->output->needs_grad ? run->loss : NULL; /* an op may have no gradient */
    assert_int_equal(tape_plan(run->tape, loss, &e), ERR_OK);
    tape_set_step(run->tape, 3, 4);
}

static void run_close(struct run *run)
{
    tape_free(run->tape);
    for (int i = 0; i < NODE_INPUTS_MAX; i++)
        free(run->data[i]);
}

static double run_loss(struct run *run)
{
    tape_forward(run->tape);
    return real_get(run->backend, run->loss->data, 0);
}

static void check_central_differences(const struct op *op, const struct op_case *c, int number)
{
    struct run run;
    run_open(&run, &backend_ref64, op, c);
    run_loss(&run);
    if (run.output->needs_grad)
        tape_backward(run.tape, 1.0);
    /* The next forward run may reuse the memory of gradients: copy first. */
    double *grads[NODE_INPUTS_MAX] = {NULL};
    for (int i = 0; i < c->input_count; i++) {
        if (!run.input[i] || !run.input[i]->needs_grad)
            continue;
        assert_non_null(run.input[i]->grad);
        size_t bytes = (size_t)run.input[i]->numel * sizeof(double);
        grads[i] = malloc(bytes);
        memcpy(grads[i], run.input[i]->grad, bytes);
    }
    for (int i = 0; i < c->input_count; i++) {
        if (!grads[i])
            continue;
        double *grad = grads[i];
        double *x = run.data[i], scale = 0, worst = 0;
        int64_t n = run.input[i]->numel;
        for (int64_t j = 0; j < n; j++) {
            double h = 1e-6, keep = x[j];
            x[j] = keep + h;
            double above = run_loss(&run);
            x[j] = keep - h;
            double below = run_loss(&run);
            x[j] = keep;
            double expected = (above - below) / (2 * h);
            scale = fmax(scale, fabs(expected));
            worst = fmax(worst, fabs(expected - grad[j]));
        }
        free(grad);
        if (worst > 1e-7 * fmax(scale, 1e-3))
            fail_msg("op %s case %d input %d: gradient off by %g (largest %g)", op->name, number, i,
                     worst, scale);
    }
    run_close(&run);
}

static double normalised_error(const struct backend *k, const void *got, const double *want,
                               int64_t n)
{
    double error = 0, power = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = real_get(k, got, i) - want[i];
        error += d * d;
        power += want[i] * want[i];
    }
    return error / fmax(power, 1e-12);
}

static void check_float(const struct backend *k, const struct op *op, const struct op_case *c,
                        int number)
{
    struct run a, b;
    run_open(&a, &backend_ref64, op, c);
    run_open(&b, k, op, c);
    run_loss(&a);
    run_loss(&b);
    if (a.output->type == TENSOR_INDEX) {
        assert_memory_equal(a.output->data, b.output->data, (size_t)a.output->numel * 4);
        run_close(&a);
        run_close(&b);
        return;
    }
    if (a.output->needs_grad) {
        tape_backward(a.tape, 1.0);
        tape_backward(b.tape, 1.0);
    }
    double tolerance = c->tolerance > 0 ? c->tolerance : 1e-10;
    double error = normalised_error(k, b.output->data, a.output->data, a.output->numel);
    if (!(error <= tolerance))
        fail_msg("op %s case %d on %s: output error %g", op->name, number, k->name, error);
    for (int i = 0; i < c->input_count; i++) {
        if (!a.input[i] || !a.input[i]->grad)
            continue;
        error = normalised_error(k, b.input[i]->grad, a.input[i]->grad, a.input[i]->numel);
        if (!(error <= tolerance))
            fail_msg("op %s case %d on %s: gradient %d error %g", op->name, number, k->name, i,
                     error);
    }
    run_close(&a);
    run_close(&b);
}

static void test_gradients(void **state)
{
    (void)state;
    for (int i = 0; ops[i]; i++) {
        assert_non_null(ops[i]->cases);
        assert_true(ops[i]->cases[0].input_count > 0);
        for (int c = 0; ops[i]->cases[c].input_count; c++)
            check_central_differences(ops[i], &ops[i]->cases[c], c);
    }
}

static void test_float_backends(void **state)
{
    (void)state;
    for (int i = 0; ops[i]; i++)
        for (int c = 0; ops[i]->cases[c].input_count; c++) {
            check_float(&backend_ref, ops[i], &ops[i]->cases[c], c);
            check_float(backend_cpu(), ops[i], &ops[i]->cases[c], c);
        }
}

/* A tensor used three times, a frozen branch and an unused node: gradients add up, memory is shared
 * and nothing else is disturbed. */
static void test_fan_out(void **state)
{
    (void)state;
    struct tape *t = tape_new(&backend_ref64, true);
    double x[3] = {0.5, -1.0, 2.0}, y[3] = {1, 2, 3};
    struct tensor *tx = tape_input(t, "x", TENSOR_REAL, true, 1, (int64_t[]){3});
    struct tensor *ty = tape_input(t, "y", TENSOR_REAL, false, 1, (int64_t[]){3});
    struct tensor *a = t_scale(t, tx, 2.0);
    t_scale(t, a, 9.0); /* unused */
    struct tensor *b = t_add(t, a, a);
    struct tensor *c = t_add(t, b, tx);
    struct tensor *d = t_add(t, c, t_scale(t, ty, 3.0));
    struct tensor *loss = tape_record(t, &op_dot, 1, &d, NULL);
    struct err e = {0};
    assert_int_equal(tape_plan(t, loss, &e), ERR_OK);
    tape_bind(tx, x);
    tape_bind(ty, y);
    for (int repeat = 0; repeat < 2; repeat++) {
        tape_forward(t);
        tape_backward(t, 1.0);
        for (int i = 0; i < 3; i++)
            assert_true(fabs(((double *)tx->grad)[i] - 5.0 * dot_weight(i)) < 1e-12);
    }
    assert_null(ty->grad);
    assert_true(tape_planned_bytes(t) < tape_unshared_bytes(t));
    tape_free(t);
}

/* The identity going forward, the gradient scaled going back; and of two, one is chosen for all. */
static void test_scale_gradient(void **state)
{
    (void)state;
    double x[3] = {0.5, -1.0, 2.0}, y[3] = {1, 2, 3};
    struct tape *t = tape_new(&backend_ref64, true);
    struct tensor *tx = tape_input(t, "x", TENSOR_REAL, true, 1, (int64_t[]){3});
    struct tensor *ty = tape_input(t, "y", TENSOR_REAL, true, 1, (int64_t[]){3});
    struct tensor *slow = t_scale_gradient(t, tx, 0.1), *one = t_choose(t, slow, ty, 0.5);
    assert_ptr_equal(t_scale_gradient(t, tx, 1), tx);
    assert_ptr_equal(t_choose(t, tx, ty, 0), tx);
    tape_keep(t, slow);
    tape_keep(t, one);
    struct tensor *loss = tape_record(t, &op_dot, 1, &one, NULL);
    struct err e = {0};
    assert_int_equal(tape_plan(t, loss, &e), ERR_OK);
    tape_bind(tx, x);
    tape_bind(ty, y);
    int others = 0;
    for (uint64_t step = 0; step < 100; step++) {
        tape_set_step(t, 1, step);
        tape_forward(t);
        assert_memory_equal(slow->data, x, sizeof x);
        bool other = !memcmp(one->data, y, sizeof y);
        assert_true(other || !memcmp(one->data, x, sizeof x));
        others += other;
        tape_backward(t, 1.0);
        for (int i = 0; i < 3; i++) {
            double expected = other ? 0 : 0.1 * dot_weight(i);
            assert_true(fabs(((double *)tx->grad)[i] - expected) < 1e-12);
            assert_true(fabs(((double *)ty->grad)[i] - (other ? dot_weight(i) : 0)) < 1e-12);
        }
    }
    assert_true(others > 30 && others < 70);
    tape_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gradients),
                                       cmocka_unit_test(test_float_backends),
                                       cmocka_unit_test(test_fan_out),
                                       cmocka_unit_test(test_scale_gradient)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
