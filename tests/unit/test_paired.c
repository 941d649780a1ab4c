/* metric/paired and the paired bootstrap: DeLong's test from its definition, pair by pair, and
 * differences of repeated records. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "metric/paired.h"

#define NEAR(a, b, tolerance)                                                                      \
    do {                                                                                           \
        double a_ = (a), b_ = (b);                                                                 \
        if (!(fabs(a_ - b_) <= (tolerance)))                                                       \
            fail_msg("line %d: %.17g is not %.17g", __LINE__, a_, b_);                             \
    } while (0)

enum { N = 60, DRAWS = 80 };

struct pair {
    double scores[2][N];
    uint8_t labels[N];
    struct ranking rankings[2];
};

/* Scores with ties; the second is informative, the first hardly. */
static void pair_make(struct pair *p, uint64_t seed)
{
    struct rng rng = rng_at(seed, RNG_STREAM_TEST, 0, 0);
    for (int i = 0; i < N; i++) {
        p->labels[i] = rng_below(&rng, 3) == 0;
        double common = rng_uniform(&rng);
        p->scores[0][i] = round(10 * (common + 0.1 * p->labels[i]));
        p->scores[1][i] = round(20 * (common + rng_uniform(&rng) + 0.8 * p->labels[i]));
    }
    for (int s = 0; s < 2; s++)
        assert_int_equal(ranking_init(&p->rankings[s], p->scores[s], p->labels, N, NULL), ERR_OK);
}

static void pair_free(struct pair *p)
{
    ranking_free(&p->rankings[0]);
    ranking_free(&p->rankings[1]);
}

/* Share of the records of the other label that record i is on the right side of. */
static double placement(const double *scores, const uint8_t *labels, int i)
{
    double sum = 0, count = 0;
    for (int j = 0; j < N; j++)
        if (labels[j] != labels[i]) {
            double above = labels[i] ? scores[i] - scores[j] : scores[j] - scores[i];
            sum += above > 0 ? 1 : above == 0 ? 0.5 : 0;
            count++;
        }
    return sum / count;
}

/* Covariance of two AUROCs: a sum over labels of the sample covariance of placements by count. */
static double covariance(const struct pair *p, int s, int t)
{
    double sum = 0;
    for (int label = 0; label < 2; label++) {
        double count = 0, mean[2] = {0, 0}, products = 0;
        for (int i = 0; i < N; i++)
            if (p->labels[i] == label) {
                count++;
                mean[0] += placement(p->scores[s], p->labels, i);
                mean[1] += placement(p->scores[t], p->labels, i);
            }
        for (int i = 0; i < N; i++)
            if (p->labels[i] == label)
                products += (placement(p->scores[s], p->labels, i) - mean[0] / count) *
                            (placement(p->scores[t], p->labels, i) - mean[1] / count);
        sum += products / (count - 1) / count;
    }
    return sum;
}

static void test_delong(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct pair p;
        struct delong d;
        pair_make(&p, seed);
        double out[N];
        auroc_placements(&p.rankings[1], out);
        for (int i = 0; i < N; i++)
            NEAR(out[i], placement(p.scores[1], p.labels, i), 1e-15);
        assert_int_equal(delong_compare(&d, &p.rankings[0], &p.rankings[1], 1, 0.95, NULL), ERR_OK);
        double error = sqrt(covariance(&p, 0, 0) + covariance(&p, 1, 1) - 2 * covariance(&p, 0, 1));
        NEAR(d.difference,
             metric_auroc.compute(&p.rankings[1], NULL) -
                 metric_auroc.compute(&p.rankings[0], NULL),
             0);
        NEAR(d.error, error, 1e-13);
        NEAR(d.p, erfc(fabs(d.difference / error) / sqrt(2)), 1e-12);
        NEAR(d.interval.high - d.difference, 1.959963984540054 * error, 1e-12);
        NEAR(d.difference - d.interval.low, 1.959963984540054 * error, 1e-12);
        NEAR(auroc_variance(&p.rankings[0]), covariance(&p, 0, 0), 1e-15);
        struct delong swapped;
        assert_int_equal(delong_compare(&swapped, &p.rankings[1], &p.rankings[0], 1, 0.95, NULL),
                         ERR_OK);
        NEAR(swapped.difference, -d.difference, 0);
        NEAR(swapped.p, d.p, 1e-15);
        pair_free(&p);
    }
}

static void test_edges(void **state)
{
    (void)state;
    NEAR(normal_quantile_of_level(0.95), 1.959963984540054, 1e-14);
    NEAR(normal_quantile_of_level(0.9), 1.6448536269514722, 1e-14);
    struct interval i = delong_interval(0.98, 0.02, 0.95);
    NEAR(i.low, 0.98 - 0.02 * 1.959963984540054, 1e-15);
    NEAR(i.high, 1, 0);
    assert_true(isnan(delong_interval(0.98, NAN, 0.95).low));

    const double best[4] = {4, 3, 2, 1}, worst[4] = {1, 2, 3, 4};
    const uint8_t labels[4] = {1, 1, 0, 0}, one[4] = {1, 0, 0, 0}, none[4] = {0, 0, 0, 0};
    const uint8_t *cases[3] = {labels, one, none};
    struct ranking r, s;
    struct delong d;
    for (int c = 0; c < 3; c++) {
        assert_int_equal(ranking_init(&r, best, cases[c], 4, NULL), ERR_OK);
        assert_int_equal(ranking_init(&s, worst, cases[c], 4, NULL), ERR_OK);
        assert_int_equal(delong_compare(&d, &r, &s, 1, 0.95, NULL), ERR_OK);
        assert_true(c < 2 ? d.difference == -1 : isnan(d.difference));
        assert_true(isnan(d.p)); /* no spread to judge by, or too few */
        assert_int_equal(delong_compare(&d, &r, &r, 1, 0.95, NULL), ERR_OK);
        assert_true(c == 0 ? d.p == 1 : isnan(d.p));
        ranking_free(&r);
        ranking_free(&s);
    }
}

/* Of two runs a side, of which one changed nothing, is half of the change of the other. */
static void test_several_scorings(void **state)
{
    (void)state;
    struct pair p;
    pair_make(&p, 5);
    const struct ranking first[2] = {p.rankings[0], p.rankings[1]},
                         second[2] = {p.rankings[1], p.rankings[1]},
                         swapped[2] = {p.rankings[1], p.rankings[0]};
    struct delong one, half, none;
    assert_int_equal(delong_compare(&one, first, second, 1, 0.95, NULL), ERR_OK);
    assert_int_equal(delong_compare(&half, first, second, 2, 0.95, NULL), ERR_OK);
    assert_int_equal(delong_compare(&none, first, swapped, 2, 0.95, NULL), ERR_OK);
    assert_true(one.difference != 0);
    NEAR(half.difference, one.difference / 2, 1e-15);
    NEAR(half.error, one.error / 2, 1e-15);
    NEAR(half.p, one.p, 1e-12);
    NEAR(none.difference, 0, 1e-15);
    NEAR(none.error, 0, 1e-15);

    struct bootstrap_options options = BOOTSTRAP_DEFAULTS;
    struct bootstrap b, c;
    int row = metric_index("auroc");
    assert_int_equal(bootstrap_difference(&b, first, second, 1, 1, &options, NULL), ERR_OK);
    assert_int_equal(bootstrap_difference(&c, first, second, 2, 1, &options, NULL), ERR_OK);
    NEAR(c.macro[row].low, b.macro[row].low / 2, 1e-15);
    NEAR(c.macro[row].high, b.macro[row].high / 2, 1e-15);
    NEAR(c.macro_p[row], b.macro_p[row], 0);
    bootstrap_free(&b);
    bootstrap_free(&c);
    pair_free(&p);
}

static int rising(const void *a, const void *b)
{
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

/* Written out: the same drawn records for both, sorted and evaluated anew. */
static void test_bootstrap_difference(void **state)
{
    (void)state;
    struct pair p;
    pair_make(&p, 3);
    double differences[DRAWS];
    int below = 0, above = 0;
    for (int draw = 0; draw < DRAWS; draw++) {
        struct rng rng = rng_at(9, RNG_STREAM_BOOTSTRAP, 0, (uint64_t)draw);
        double scores[2][N], values[2];
        uint8_t labels[N];
        for (int i = 0; i < N; i++) {
            int64_t record = rng_below(&rng, N);
            labels[i] = p.labels[record];
            scores[0][i] = p.scores[0][record];
            scores[1][i] = p.scores[1][record];
        }
        for (int s = 0; s < 2; s++) {
            struct ranking r;
            assert_int_equal(ranking_init(&r, scores[s], labels, N, NULL), ERR_OK);
            values[s] = metric_auroc.compute(&r, NULL);
            ranking_free(&r);
        }
        differences[draw] = values[1] - values[0];
        below += differences[draw] <= 0;
        above += differences[draw] >= 0;
    }
    qsort(differences, DRAWS, sizeof *differences, rising);
    struct bootstrap_options options = BOOTSTRAP_DEFAULTS;
    options.draws = DRAWS;
    options.seed = 9;
    struct bootstrap b;
    int row = metric_index("auroc");
    for (options.threads = 1; options.threads < 3; options.threads++) {
        assert_int_equal(bootstrap_difference(&b, &p.rankings[0], &p.rankings[1], 1, 1, &options,
                                              NULL),
                         ERR_OK);
        assert_int_equal(b.redraws, 0);
        NEAR(b.macro[row].low, quantile_sorted(differences, DRAWS, 0.025), 1e-15);
        NEAR(b.macro[row].high, quantile_sorted(differences, DRAWS, 0.975), 1e-15);
        NEAR(b.macro_p[row], 2.0 * (1 + (below < above ? below : above)) / (1 + DRAWS), 1e-15);
        NEAR(b.p[row], b.macro_p[row], 0);
        bootstrap_free(&b);
    }
    /* with itself: no difference in any draw */
    assert_int_equal(bootstrap_difference(&b, &p.rankings[1], &p.rankings[1], 1, 1, &options, NULL),
                     ERR_OK);
    assert_true(b.macro[row].low == 0 && b.macro[row].high == 0 && b.macro_p[row] == 1);
    bootstrap_free(&b);
    pair_free(&p);
}

/* ".925(07)" */
static void test_text(void **state)
{
    (void)state;
    static const struct {
        double value, low, high;
        const char *text;
    } cases[] = {
        {0.9254358590055028, 0.9185230258692298, 0.9314845724252189, ".925(07)"},
        {0.5, 0.45, 0.65, ".500(150)"},
        {1, 1, 1, "1.000(00)"},
        {0.25, NAN, NAN, ".250"},
        {NAN, NAN, NAN, "-"},
    };
    char text[INTERVAL_TEXT_BYTES];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct interval interval = {cases[i].low, cases[i].high};
        interval_to_text(cases[i].value, interval, text);
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delong),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_several_scorings),
        cmocka_unit_test(test_bootstrap_difference),
        cmocka_unit_test(test_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
