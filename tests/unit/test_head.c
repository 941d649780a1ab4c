/* Heads and pools: what they give by numbers worked out apart, that only the tokens of a record count,
 * and that what a file says is what is built. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <cjson/cJSON.h>

#include "base/rng.h"
#include "model/model.h"

enum { L = 2, T = 32, K = 3, B = 2, N = 4, D = 6 };

static struct err model_try(struct model *m, const char *spec_text, int64_t classes_count)
{
    struct err e = {0};
    struct contract c;
    contract_default(&c);
    c.lead_count = L;
    c.sample_count = T;
    static const char *names[] = {"A", "B", "C"};
    struct model_classes classes = {.count = classes_count, .names = names};
    cJSON *spec = cJSON_Parse(spec_text);
    assert_non_null(spec);
    enum err_code code = model_create(m, spec, &c, &classes, &e);
    cJSON_Delete(spec);
    if (code == ERR_OK)
        assert_int_equal(model_allocate(m, 3, &e), ERR_OK);
    return e;
}

#define VIT "\"vit\":{\"width\":8,\"depth\":1,\"heads\":2,\"patch\":4}"

static void fill(float *x, int64_t n, uint64_t seed)
{
    struct rng r = rng_at(seed, RNG_STREAM_TEST, 0, 0);
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)rng_between(&r, -1, 1);
}

/* Tokens [B,N,D] with lengths N and 2, pooled on the reference backend; the parameters in *m's table. */
static void pool_tokens(const char *name, const struct head_config *config,
                        struct param_table *table, float **values, const float *tokens, float *out)
{
    static const int32_t lengths[B] = {N, 2};
    struct tape *t = tape_new(&backend_ref, false);
    struct build b = {.tape = t, .params = table};
    struct tensor *x = tape_input(t, "x", TENSOR_REAL, false, 3, (int64_t[]){B, N, D});
    struct tensor *l = tape_input(t, "l", TENSOR_INDEX, false, 1, (int64_t[]){B});
    struct tensor *y = pool_build(&b, pool_find(name), config, x, l);
    struct err e = {0};
    tape_keep(t, y);
    assert_int_equal(tensor_width(y), pool_width(pool_find(name), D));
    assert_int_equal(tape_plan(t, NULL, &e), ERR_OK);
    *values = calloc((size_t)table->total + 1, sizeof **values);
    for (int i = 0; i < table->count; i++)
        fill(*values + table->items[i]->offset, table->items[i]->numel, (uint64_t)i + 7);
    tape_bind_parameters(t, *values, NULL);
    tape_bind(x, tokens);
    tape_bind(l, lengths);
    tape_forward(t);
    memcpy(out, y->data, (size_t)y->numel * sizeof *out);
    tape_free(t);
}

static void test_pools(void **state)
{
    (void)state;
    float tokens[B * N * D], out[B * 3 * D], *values;
    fill(tokens, B * N * D, 1);
    struct param_table table;
    param_table_init(&table);
    pool_tokens("mean_max_last", NULL, &table, &values, tokens, out);
    free(values);
    assert_int_equal(table.count, 0);
    for (int b = 0; b < B; b++)
        for (int d = 0; d < D; d++) {
            int count = b ? 2 : N;
            double mean = 0, max = -INFINITY;
            for (int n = 0; n < count; n++) {
                double x = (double)tokens[(b * N + n) * D + d];
                mean += x / count;
                max = x > max ? x : max;
            }
            const float *row = out + b * 3 * D;
            assert_true(fabs((double)row[d] - mean) < 1e-6);
            assert_true((double)row[D + d] == max);
            assert_true(row[2 * D + d] == tokens[(b * N + count - 1) * D + d]);
        }
    float last[B * D];
    pool_tokens("last", NULL, &table, &values, tokens, last);
    free(values);
    for (int b = 0; b < B; b++)
        assert_memory_equal(last + b * D, out + (b * 3 + 2) * D, D * sizeof *last);
    param_table_free(&table);
}

/* Against a statement by hand, in double. */
static void test_attention(void **state)
{
    (void)state;
    enum { H = 2, E = D / H };
    float tokens[B * N * D], out[B * D], *values;
    fill(tokens, B * N * D, 1);
    struct param_table table;
    param_table_init(&table);
    pool_tokens("attention", &(struct head_config){.pool_heads = H}, &table, &values, tokens, out);
    const float *q = values + param_find(&table, "head.pool.query")->offset;
    const float *w = values + param_find(&table, "head.pool.kv.weight")->offset;
    const float *bias = values + param_find(&table, "head.pool.kv.bias")->offset;
    for (int b = 0; b < B; b++)
        for (int h = 0; h < H; h++) {
            int count = b ? 2 : N;
            double score[N], sum = 0, value[N][E];
            for (int n = 0; n < count; n++) {
                const float *x = tokens + (b * N + n) * D;
                score[n] = 0;
                for (int e = 0; e < E; e++) {
                    double key = (double)bias[h * E + e];
                    value[n][e] = (double)bias[D + h * E + e];
                    for (int d = 0; d < D; d++) {
                        key += (double)w[(h * E + e) * D + d] * (double)x[d];
                        value[n][e] += (double)w[(D + h * E + e) * D + d] * (double)x[d];
                    }
                    score[n] += key * (double)q[h * E + e] / sqrt(E);
                }
                sum += score[n] = exp(score[n]);
            }
            for (int e = 0; e < E; e++) {
                double mean = 0;
                for (int n = 0; n < count; n++)
                    mean += score[n] / sum * value[n][e];
                assert_true(fabs((double)out[b * D + h * E + e] - mean) < 1e-6);
            }
        }
    free(values);
    param_table_free(&table);
}

/* An encoder learns no pool; a classifier has one, and its features are those. */
static void test_models(void **state)
{
    (void)state;
    struct model m;
    struct err e =
        model_try(&m, "{\"network\":{\"backbone\":\"vit\",\"pool\":\"attention\"}," VIT "}", 0);
    assert_int_equal(e.code, ERR_OK);
    assert_string_equal(m.pool->name, "mean");
    assert_null(param_find(&m.params, "head.pool.query"));
    model_free(&m);
    e = model_try(&m, "{\"network\":{\"backbone\":\"vit\",\"pool\":\"attention\"}," VIT "}", K);
    assert_int_equal(e.code, ERR_OK);
    assert_non_null(param_find(&m.params, "head.pool.query"));
    assert_int_equal(model_feature_count(&m), 8);
    model_free(&m);
    e = model_try(&m,
                  "{\"network\":{\"backbone\":\"vit\",\"pool\":\"attention\"},"
                  "\"head\":{\"pool_heads\":3}," VIT "}",
                  K);
    assert_int_equal(e.code, ERR_USAGE);
    assert_non_null(strstr(e.message, "head.pool_heads 3 does not divide"));
    model_free(&m);
}

/* What a file of the first version says: no word of a head. */
static void test_linear_is_default(void **state)
{
    (void)state;
    struct model old, new;
    struct err e =
        model_try(&old, "{\"network\":{\"backbone\":\"vit\",\"pool\":\"max\"}," VIT "}", K);
    assert_int_equal(e.code, ERR_OK);
    e = model_try(&new,
                  "{\"network\":{\"backbone\":\"vit\",\"pool\":\"max\",\"head\":\"linear\"}," VIT
                  "}",
                  K);
    assert_int_equal(e.code, ERR_OK);
    assert_int_equal(old.params.total, new.params.total);
    assert_memory_equal(old.values, new.values, (size_t)old.params.total * sizeof(float));
    cJSON *spec = model_spec_json(&old);
    assert_null(cJSON_GetObjectItemCaseSensitive(spec, "head"));
    cJSON_Delete(spec);
    model_free(&old);
    model_free(&new);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pools),
                                       cmocka_unit_test(test_attention),
                                       cmocka_unit_test(test_models),
                                       cmocka_unit_test(test_linear_is_default)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
