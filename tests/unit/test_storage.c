/* Rounding of weights to the storages of files. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "kernel/storage.h"

static float bf16(float x)
{
    uint16_t rounded;
    float out;
    weight_round(&rounded, NULL, &x, 1, 1, STORAGE_BF16);
    weight_to_f32(&out, &(struct weight){&rounded, STORAGE_BF16, NULL}, 1, 1);
    return out;
}

static void test_bf16(void **state)
{
    (void)state;
    /* 8 bits of significand: ties go to the even neighbour. */
    static const struct {
        float x, expected;
    } cases[] = {
        {0, 0},
        {-1.5F, -1.5F},
        {1.00390625F, 1},            /* 1 + 1/256: half way to 1 + 1/128 */
        {1.01171875F, 1.015625F},    /* 1 + 3/256: half way, the odd one is below */
        {1.0039063692F, 1.0078125F}, /* just above half way */
        {-1.01171875F, -1.015625F},
        {FLT_MAX, 3.38953138925e38F}, /* not infinity */
        {-FLT_MAX, -3.38953138925e38F},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_true(bf16(cases[i].x) == cases[i].expected);
    assert_true(signbit(bf16(-0.0F)));
    /* Everywhere within half a unit of the last of eight bits. */
    struct rng r = rng_at(1, RNG_STREAM_TEST, 1, 0);
    for (int i = 0; i < 10000; i++) {
        float x = ldexpf((float)rng_between(&r, -1, 1), (int)rng_between(&r, -100, 100));
        assert_true(fabsf(bf16(x) - x) <= fabsf(x) / 256);
        assert_true(bf16(bf16(x)) == bf16(x));
    }
}

static void test_int8(void **state)
{
    (void)state;
    enum { N = 5, K = 4 };
    static const float x[N * K] = {1,      -2, 0.5F, 2,    /* largest 2 */
                                   0,      0,  0,    0,    /* scale 1 */
                                   1e-40F, 0,  0,    0,    /* too small for a scale */
                                   127,    -1, 0.5F, 1.5F, /* scale 1: ties to even */
                                   -0.3F,  0,  0.1F, 0.2F};
    int8_t q[N * K];
    float scale[N], back[N * K];
    weight_round(q, scale, x, N, K, STORAGE_INT8);
    assert_true(scale[0] == 2.0F / 127 && scale[1] == 1 && scale[2] == 1 && scale[3] == 1);
    static const int8_t expected[N * K] = {64, -127, 32,  127, 0, 0, 0,    0, 0,  0,
                                           0,  0,    127, -1,  0, 2, -127, 0, 42, 85};
    assert_memory_equal(q, expected, sizeof q);
    weight_to_f32(back, &(struct weight){q, STORAGE_INT8, scale}, N, K);
    for (int i = 0; i < N * K; i++)
        assert_true(fabsf(back[i] - x[i]) <= 0.5001F * scale[i / K]);
    /* What was rounded once stays. */
    int8_t again[N * K];
    float scale_again[N];
    weight_round(again, scale_again, back, N, K, STORAGE_INT8);
    assert_memory_equal(again, q, sizeof q);
}

static void test_bad_values(void **state)
{
    (void)state;
    enum { COUNT = 9001 };
    static float x[COUNT];
    static uint16_t b[COUNT];
    static const int at[] = {0, 1, 4095, 4096, 8191, 9000};
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    struct weight f32 = {x, STORAGE_F32, NULL}, bf = {b, STORAGE_BF16, NULL};
    for (int i = 0; i < COUNT; i++) {
        x[i] = i % 2 ? FLT_MAX : -FLT_MIN;
        b[i] = i % 2 ? 0x7f7f : 0x8080;
    }
    assert_int_equal(weight_first_bad(&f32, 1, COUNT), -1);
    assert_int_equal(weight_first_bad(&bf, 1, COUNT), -1);
    for (size_t i = 0; i < sizeof at / sizeof *at; i++)
        for (int k = 0; k < 3; k++) {
            float kept = x[at[i]];
            uint16_t kept_b = b[at[i]];
            x[at[i]] = bad[k];
            b[at[i]] = (uint16_t[]){0x7fc0, 0x7f80, 0xff80}[k];
            assert_int_equal(weight_first_bad(&f32, 1, COUNT), at[i]);
            assert_int_equal(weight_first_bad(&bf, 1, COUNT), at[i]);
            x[at[i]] = kept;
            b[at[i]] = kept_b;
        }
    int8_t q[6] = {0};
    static const float bad_scales[] = {NAN, INFINITY, -1, 0, -0.0F};
    for (int i = 0; i < 5; i++) {
        float scale[3] = {1, bad_scales[i], FLT_MIN};
        assert_int_equal(weight_first_bad(&(struct weight){q, STORAGE_INT8, scale}, 3, 2), 1);
        scale[1] = 2;
        assert_int_equal(weight_first_bad(&(struct weight){q, STORAGE_INT8, scale}, 3, 2), -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_int8),
        cmocka_unit_test(test_bad_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
