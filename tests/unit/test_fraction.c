/* Subsets of the labels: how many, nested, a function of names alone, patients in a row. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "train/fraction.h"

enum { N = 1000 };

static struct fraction_names names[N];
static char patients[N][16], ids[N][16];

static void names_make(void)
{
    for (int i = 0; i < N; i++) {
        snprintf(patients[i], sizeof patients[i], "p%d", i / 3);
        snprintf(ids[i], sizeof ids[i], "%05d", i);
        names[i] = (struct fraction_names){patients[i], ids[i]};
    }
}

static void test_counts(void **state)
{
    (void)state;
    assert_int_equal(fraction_count(0.1, 10), 1);
    assert_int_equal(fraction_count(0.1, 17084), 1709);
    assert_int_equal(fraction_count(0.01, 17084), 171);
    assert_int_equal(fraction_count(0.005, 1000), 5);
    assert_int_equal(fraction_count(0.07, 100), 7); /* 0.07 * 100 is above 7 */
    assert_int_equal(fraction_count(1, 17084), 17084);
    assert_int_equal(fraction_count(1e-6, 5), 1);
}

/* The order is part of what is published: it must not change. */
static void test_places(void **state)
{
    (void)state;
    assert_true(fraction_place("15709", 1) == UINT64_C(0x6e7981d9f91333c4));
    assert_true(fraction_place("", 1) == UINT64_C(0x72ffd727306c5def));
}

static void test_subsets(void **state)
{
    (void)state;
    names_make();
    static const double fractions[] = {0.005, 0.01, 0.1, 0.5, 1};
    static unsigned char inside[N];
    memset(inside, 0, sizeof inside);
    for (int f = 0; f < 5; f++) {
        int64_t indices[N], keep = fraction_count(fractions[f], N);
        for (int64_t i = 0; i < N; i++)
            indices[i] = i;
        fraction_take(indices, names, N, keep, 1);
        unsigned char now[N] = {0};
        for (int64_t i = 0; i < keep; i++) {
            assert_true(i == 0 || indices[i] > indices[i - 1]);
            now[indices[i]] = 1;
        }
        int64_t begun = 0;
        for (int64_t i = 0; i < N; i++) {
            assert_true(now[i] >= inside[i]); /* nested */
            int64_t first = i / 3 * 3, last = first + 2 < N ? first + 2 : N - 1, taken = 0;
            for (int64_t j = first; j <= last; j++)
                taken += now[j];
            begun += i == first && taken > 0 && taken < last - first + 1;
        }
        assert_true(begun <= 1); /* one patient may be cut */
        memcpy(inside, now, sizeof inside);
        /* Spread over the table, not its beginning. */
        if (keep >= 100)
            assert_true(indices[keep / 2] > N / 4 && indices[keep / 2] < 3 * N / 4);
    }
}

/* Another number is another choice: of two halves a quarter of all is in both. */
static void test_numbers(void **state)
{
    (void)state;
    names_make();
    static unsigned char seen[4][N];
    for (int64_t number = 1; number <= 4; number++) {
        int64_t indices[N];
        for (int64_t i = 0; i < N; i++)
            indices[i] = i;
        fraction_take(indices, names, N, N / 2, number);
        for (int64_t i = 0; i < N / 2; i++)
            seen[number - 1][indices[i]] = 1;
    }
    for (int a = 0; a < 4; a++)
        for (int b = 0; b < a; b++) {
            int both = 0;
            for (int i = 0; i < N; i++)
                both += seen[a][i] && seen[b][i];
            assert_true(both > N / 4 - 75 && both < N / 4 + 75); /* 333 patients: 5 deviations */
        }
}

/* The five that come first, as the header says it, worked out apart. */
static void test_first(void **state)
{
    (void)state;
    names_make();
    static const int64_t first[] = {240, 241, 242, 400, 401};
    int64_t indices[N];
    for (int64_t i = 0; i < N; i++)
        indices[i] = i;
    fraction_take(indices, names, N, 5, 1);
    assert_memory_equal(indices, first, sizeof first);
}

/* The same records whatever the order they come in. */
static void test_order(void **state)
{
    (void)state;
    names_make();
    static struct fraction_names turned[N];
    int64_t straight[N], backward[N];
    for (int64_t i = 0; i < N; i++) {
        straight[i] = i;
        backward[i] = i;
        turned[i] = names[N - 1 - i];
    }
    fraction_take(straight, names, N, 77, 1);
    fraction_take(backward, turned, N, 77, 1);
    for (int i = 0; i < 77; i++)
        assert_int_equal(straight[i], N - 1 - backward[76 - i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_counts),
                                       cmocka_unit_test(test_places),
                                       cmocka_unit_test(test_subsets),
                                       cmocka_unit_test(test_numbers),
                                       cmocka_unit_test(test_first),
                                       cmocka_unit_test(test_order)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
