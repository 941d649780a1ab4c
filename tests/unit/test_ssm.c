/* State space models against the double reference where it matters: sequences of 5,000 tokens with the
 * steps they start from, states that hardly decay, that do not turn, that are gone at once; a record by
 * itself against the same in a batch, to the bit; what a direction may see. */
#include "kernel_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct shape {
    int64_t B, T, H, N, directions;
    double step_low, step_high, real, tone; /* of the states: dt, Re A, steps of Im A */
};

static struct ssm states(struct run *r, const struct shape *s)
{
    int64_t H = s->H, N = s->N;
    struct ssm m = {s->B, s->T, H, N, s->directions, NULL, NULL, NULL, NULL, NULL};
    m.step = run_in(r, H, log(s->step_low), log(s->step_high));
    m.real = run_in(r, H * N, log(-s->real), log(-s->real));
    void *tones = run_in(r, H * N, 0, 0);
    for (int64_t i = 0; i < H * N; i++)
        run_set(tones, r->k, i, s->tone * (double)(i % N));
    m.imaginary = tones;
    m.output = run_in(r, s->directions * H * N * 2, -1, 1);
    m.skip = run_in(r, H, -1, 1);
    return m;
}

static struct run forward(const struct backend *k, const struct shape *s)
{
    struct run r = {.k = k, .state = 1};
    struct ssm m = states(&r, s);
    int64_t n = s->B * s->T * s->H;
    void *y = run_out(&r, n), *x = run_in(&r, n, -1, 1);
    run_seal(&r);
    k->ssm_fwd(y, x, &m);
    return r;
}

static struct run backward(const struct backend *k, const struct shape *s)
{
    struct run r = {.k = k, .state = 1};
    struct ssm m = states(&r, s);
    int64_t n = s->B * s->T * s->H, parameters = s->H * s->N;
    void *dy = run_in(&r, n, -1, 1), *x = run_in(&r, n, -1, 1), *dx = run_out(&r, n);
    struct ssm_gradients d = {run_out(&r, s->H), run_out(&r, parameters), run_out(&r, parameters),
                              run_out(&r, s->directions * parameters * 2), run_out(&r, s->H)};
    run_seal(&r);
    k->ssm_bwd(dx, &d, dy, x, &m, 0);
    return r;
}

/* Normalized squared errors up to `nmse`, on every instruction set. */
static void check(const char *what, const struct shape *s, double nmse)
{
    for (int back = 0; back < 2; back++) {
        struct run truth = (back ? backward : forward)(&backend_ref64, s);
        for (int isa = 0; isa < RUN_ISAS; isa++) {
            const struct backend *k = run_machine_use(&run_machines[isa]);
            if (!k)
                continue;
            struct run got = (back ? backward : forward)(k, s);
            double error, worst;
            run_compare(&got, &truth, &error, &worst);
            print_message("%s, %s (%s): root mean square error %.2g, largest %.2g\n", what,
                          back ? "gradients" : "output", run_machines[isa].isa, sqrt(error), worst);
            if (!(error <= nmse))
                fail_msg("%s, %s: %g", what, back ? "gradients" : "output", error);
            assert_null(run_damage(&got));
            run_free(&got);
        }
        run_free(&truth);
    }
    kernel_force_isa(NULL);
}

static void long_sequences(void **state)
{
    (void)state;
    check("5,000 tokens both ways", &(struct shape){1, 5000, 3, 4, 2, 1e-3, 0.1, -0.5, 3.14159265},
          1e-10);
    check("1,000 tokens, causal", &(struct shape){2, 1000, 18, 4, 1, 1e-3, 0.1, -0.5, 3.14159265},
          1e-11);
}

static void extreme_states(void **state)
{
    (void)state;
    check("hardly decaying", &(struct shape){1, 700, 3, 2, 2, 1e-6, 1e-5, -0.1, 0.5}, 1e-10);
    check("not turning", &(struct shape){1, 300, 3, 3, 2, 1e-3, 1e-1, -0.5, 0}, 1e-11);
    check("gone at once", &(struct shape){2, 40, 3, 3, 2, 10, 30, -20, 3}, 1e-12);
    check("turning fast", &(struct shape){1, 300, 3, 4, 2, 0.1, 1, -0.05, 9}, 1e-9);
}

/* Forward and back, a record alone is the record in a batch, on any number of threads. */
static void records_alone(void **state)
{
    (void)state;
    enum { B = 5, T = 61, H = 37, N = 4, SIZE = T * H };
    for (int isa = 0; isa < RUN_ISAS; isa++) {
        const struct backend *k = run_machine_use(&run_machines[isa]);
        if (!k)
            continue;
        struct shape s = {B, T, H, N, 2, 1e-3, 0.1, -0.5, 3};
        struct run r = {.k = k, .state = 7};
        struct ssm all = states(&r, &s), one = all;
        one.B = 1;
        float *x = run_in(&r, B * SIZE, -1, 1), *dy = run_in(&r, B * SIZE, -1, 1);
        float *y = run_out(&r, B * SIZE), *dx = run_out(&r, B * SIZE);
        float *y1 = run_out(&r, SIZE), *dx1 = run_out(&r, SIZE);
        struct ssm_gradients none = {NULL, NULL, NULL, NULL, NULL}, skip = none;
        float gradient[2][H] = {{0}};
        kernel_set_threads(2);
        k->ssm_fwd(y, x, &all);
        skip.skip = gradient[0];
        k->ssm_bwd(dx, &skip, dy, x, &all, 0);
        for (int threads = 1; threads <= 3; threads++)
            for (int64_t b = 0; b < B; b++) {
                kernel_set_threads(threads);
                k->ssm_fwd(y1, x + b * SIZE, &one);
                assert_memory_equal(y1, y + b * SIZE, sizeof *y * SIZE);
                skip.skip = gradient[1];
                k->ssm_bwd(dx1, &skip, dy + b * SIZE, x + b * SIZE, &one, 0);
                assert_memory_equal(dx1, dx + b * SIZE, sizeof *y * SIZE);
                k->ssm_bwd(dx1, &none, dy + b * SIZE, x + b * SIZE, &one, 0); /* nothing learns */
                assert_memory_equal(dx1, dx + b * SIZE, sizeof *y * SIZE);
            }
        run_free(&r);
    }
    kernel_force_isa(NULL);
    kernel_set_threads(1);
}

/* Forward and back, tokens before a change keep their bits in a causal model; in one that looks both
 * ways every token moves. */
static void directions(void **state)
{
    (void)state;
    enum { T = 90, H = 5, CHANGED = 40 };
    const struct backend *k = backend_cpu();
    for (int count = 1; count <= 2; count++) {
        struct shape s = {1, T, H, 4, count, 1e-2, 0.1, -0.5, 3};
        struct run r = {.k = k, .state = 3};
        struct ssm m = states(&r, &s);
        float *x = run_in(&r, T * H, -1, 1), *y = run_out(&r, T * H), *z = run_out(&r, T * H);
        k->ssm_fwd(y, x, &m);
        for (int h = 0; h < H; h++)
            x[CHANGED * H + h] += 1;
        k->ssm_fwd(z, x, &m);
        for (int t = 0; t < T; t++)
            for (int h = 0; h < H; h++) {
                bool moved = y[t * H + h] != z[t * H + h];
                assert_int_equal(moved, t >= CHANGED || count == 2);
            }
        struct ssm_gradients none = {NULL, NULL, NULL, NULL, NULL};
        k->ssm_bwd(y, &none, z, x, &m, 0);
        z[CHANGED * H] += 1;
        k->ssm_bwd(x, &none, z, z, &m, 0); /* x is not read when nothing learns */
        for (int t = 0; t < T; t++)
            assert_int_equal(y[t * H] != x[t * H], t <= CHANGED || count == 2);
        run_free(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(long_sequences),
                                       cmocka_unit_test(extreme_states),
                                       cmocka_unit_test(records_alone),
                                       cmocka_unit_test(directions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
