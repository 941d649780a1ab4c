/* Parameters of inference: read as they lie at first, then packed once for all tapes of a network, from
 * any storage; packed again when told so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/rng.h"
#include "graph/ops.h"
#include "graph/weights.h"
#include "kernel/storage.h"
#include "model/scorer.h"

#include <cjson/cJSON.h>

/* x [M,7] -> w1 [9,7], b1, GELU -> w2 [9,9] twice, the second time without bias. */
enum { X = 7, H = 9, W1 = 0, B1 = 64, W2 = 80, B2 = 176, TOTAL = 192 };

struct net {
    struct tape *tape;
    struct tensor *x, *y;
};

static struct net net_record(const struct backend *k, int64_t M)
{
    struct net n = {.tape = tape_new(k, false)};
    struct err e = {0};
    n.x = tape_input(n.tape, "x", TENSOR_REAL, false, 2, (int64_t[]){M, X});
    struct tensor *w1 = tape_parameter(n.tape, "w1", true, W1, 2, (int64_t[]){H, X});
    struct tensor *b1 = tape_parameter(n.tape, "b1", true, B1, 1, (int64_t[]){H});
    struct tensor *w2 = tape_parameter(n.tape, "w2", true, W2, 2, (int64_t[]){H, H});
    struct tensor *b2 = tape_parameter(n.tape, "b2", true, B2, 1, (int64_t[]){H});
    struct tensor *h = t_linear(n.tape, n.x, w1, b1, ACTIVATION_GELU);
    h = t_linear(n.tape, h, w2, b2, ACTIVATION_NONE);
    n.y = t_linear(n.tape, h, w2, NULL, ACTIVATION_NONE);
    tape_keep(n.tape, n.y);
    assert_int_equal(tape_plan(n.tape, NULL, &e), ERR_OK);
    return n;
}

static void fill(float *x, int64_t n, uint64_t stream)
{
    struct rng r = rng_at(7, RNG_STREAM_TEST, stream, 0);
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)rng_between(&r, -1, 1);
}

static void add_all(struct weights *w, const float *slab)
{
    static const int64_t offsets[] = {W1, B1, W2, B2};
    for (int i = 0; i < 4; i++)
        weights_add(w, offsets[i], &(struct weight){slab + offsets[i], STORAGE_F32, NULL});
}

static void check_same(const struct backend *k, struct weights *w, const float *slab, int64_t M)
{
    float x[8 * X];
    fill(x, M * X, (uint64_t)M);
    struct net plain = net_record(k, M), packed = net_record(k, M);
    struct err e = {0};
    tape_bind_parameters(plain.tape, (float *)slab, NULL);
    assert_int_equal(tape_bind_weights(packed.tape, w, &e), ERR_OK);
    tape_bind(plain.x, x);
    tape_bind(packed.x, x);
    tape_forward(plain.tape);
    for (int run = 0; run < 3; run++) {
        tape_forward(packed.tape);
        assert_memory_equal(plain.y->data, packed.y->data, (size_t)(M * H) * sizeof(float));
    }
    assert_null(tape_node(plain.tape, 0)->packed);
    assert_non_null(tape_node(packed.tape, 0)->packed);
    assert_true(weights_are_packed(w));
    tape_free(plain.tape);
    tape_free(packed.tape);
}

static void test_bits_of_slabs(void **state)
{
    (void)state;
    const struct backend *const all[] = {&backend_ref, backend_cpu(), backend_find("cpu-bf16")};
    for (size_t b = 0; b < sizeof all / sizeof *all && all[b]; b++) {
        float *slab = aligned_calloc(TOTAL, sizeof *slab);
        fill(slab, TOTAL, 1);
        struct weights *w = weights_new(all[b]);
        add_all(w, slab);
        struct net first = net_record(all[b], 3); /* lives as long as w */
        struct err e = {0};
        assert_int_equal(tape_bind_weights(first.tape, w, &e), ERR_OK);
        /* w2 is read by two nodes and packed once. */
        assert_int_equal(weights_packed_bytes(w),
                         all[b]->pack_bytes(H, X) + all[b]->pack_bytes(H, H));
        float x[3 * X];
        fill(x, 3 * X, 4);
        tape_bind(first.x, x);
        tape_forward(first.tape);
        assert_null(tape_node(first.tape, 1)->packed);
        assert_false(weights_are_packed(w));
        for (int64_t M = 1; M <= 8; M++)
            check_same(all[b], w, slab, M);
        tape_forward(first.tape);
        assert_ptr_equal(tape_node(first.tape, 1)->packed, tape_node(first.tape, 2)->packed);
        tape_free(first.tape);
        weights_free(w);
        free(slab);
    }
}

static void test_changes_are_told(void **state)
{
    (void)state;
    const struct backend *k = backend_cpu();
    float *slab = aligned_calloc(TOTAL, sizeof *slab), x[X], old[H];
    fill(slab, TOTAL, 1);
    fill(x, X, 2);
    struct weights *w = weights_new(k);
    add_all(w, slab);
    struct net n = net_record(k, 1);
    struct err e = {0};
    assert_int_equal(tape_bind_weights(n.tape, w, &e), ERR_OK);
    tape_bind(n.x, x);
    tape_forward(n.tape);
    tape_forward(n.tape); /* packed now */
    memcpy(old, n.y->data, sizeof old);
    fill(slab + W1, H * X, 3); /* a matrix: what was packed stays */
    tape_forward(n.tape);
    assert_memory_equal(n.y->data, old, sizeof old);
    weights_changed(w);
    tape_forward(n.tape);
    assert_memory_not_equal(n.y->data, old, sizeof old);
    check_same(k, w, slab, 1);
    tape_free(n.tape);
    weights_free(w);
    free(slab);
}

/* Weights of the other storages are those that a float32 slab of their values gives. */
static void test_storages(void **state)
{
    (void)state;
    float *slab = aligned_calloc(TOTAL, sizeof *slab), scale[H];
    int8_t w1[H * X];
    uint16_t w2[H * H];
    fill(slab, TOTAL, 1);
    for (int n = 0; n < H; n++) {
        scale[n] = 0.01F * (float)(n + 1);
        for (int k = 0; k < X; k++) {
            w1[n * X + k] = (int8_t)(31 * n + 17 * k - 127);
            slab[W1 + n * X + k] = scale[n] * (float)w1[n * X + k];
        }
    }
    for (int i = 0; i < H * H; i++) {
        uint32_t bits;
        memcpy(&bits, &slab[W2 + i], sizeof bits);
        bits &= 0xffff0000u;
        memcpy(&slab[W2 + i], &bits, sizeof bits);
        w2[i] = (uint16_t)(bits >> 16);
    }
    const struct backend *const all[] = {&backend_ref, backend_cpu(), backend_find("cpu-bf16")};
    for (size_t b = 0; b < sizeof all / sizeof *all && all[b]; b++) {
        struct weights *w = weights_new(all[b]);
        weights_add(w, W1, &(struct weight){w1, STORAGE_INT8, scale});
        weights_add(w, B1, &(struct weight){slab + B1, STORAGE_F32, NULL});
        weights_add(w, W2, &(struct weight){w2, STORAGE_BF16, NULL});
        weights_add(w, B2, &(struct weight){slab + B2, STORAGE_F32, NULL});
        struct net first = net_record(all[b], 1);
        struct err e = {0};
        assert_int_equal(tape_bind_weights(first.tape, w, &e), ERR_OK);
        for (int64_t M = 1; M <= 8; M++)
            check_same(all[b], w, slab, M);
        tape_free(first.tape);
        weights_free(w);
    }
    free(slab);
}

/* One case of an op on an inference tape: inputs that it packs are parameters, the rest inputs. */
static struct tensor *case_record(struct tape *t, const struct op *op, const struct op_case *c,
                                  float *const *values)
{
    struct tensor *inputs[NODE_INPUTS_MAX] = {NULL};
    int64_t offset = 0;
    for (int i = 0; i < c->input_count; i++) {
        const struct op_case_input *in = &c->input[i];
        if (in->rank == 0)
            continue;
        if (op->packs >> i & 1) {
            inputs[i] = tape_parameter(t, "w", false, offset, in->rank, in->shape);
            offset += 1 << 20;
        } else {
            inputs[i] = tape_input(t, "x", TENSOR_REAL, false, in->rank, in->shape);
            tape_bind(inputs[i], values[i]);
        }
    }
    struct tensor *y = tape_record(t, op, c->input_count, inputs, &c->attr);
    tape_keep(t, y);
    struct err e = {0};
    assert_int_equal(tape_plan(t, NULL, &e), ERR_OK);
    return y;
}

/* Places of the packed inputs, in a storage; float32 ones hold the rounded values. */
static void case_bind(struct tape *t, const struct backend *k, const struct op *op,
                      const struct op_case *c, float *const *values, enum storage storage,
                      bool wide, struct arena *a, struct weights **out)
{
    struct err e = {0};
    int64_t offset = 0;
    *out = weights_new(k);
    for (int i = 0; i < c->input_count; i++) {
        if (!(op->packs >> i & 1) || c->input[i].rank == 0)
            continue;
        int64_t N = c->input[i].shape[0], numel = N;
        for (int r = 1; r < c->input[i].rank; r++)
            numel *= c->input[i].shape[r];
        void *data = arena_push(a, (size_t)numel * 4);
        float *scale = arena_push(a, (size_t)N * sizeof *scale), *f32 = arena_push(a, numel * 4);
        weight_round(data, scale, values[i], N, numel / N, storage);
        struct weight w = {data, storage, storage == STORAGE_INT8 ? scale : NULL};
        weight_to_f32(f32, &w, N, numel / N);
        weights_add(*out, offset, wide ? &(struct weight){f32, STORAGE_F32, NULL} : &w);
        offset += 1 << 20;
    }
    assert_int_equal(tape_bind_weights(t, *out, &e), ERR_OK);
}

static void check_case(const struct backend *k, const struct op *op, const struct op_case *c)
{
    struct arena a;
    arena_init(&a, "case", 0);
    float *values[NODE_INPUTS_MAX] = {NULL};
    for (int i = 0; i < c->input_count; i++) {
        int64_t numel = 1;
        for (int r = 0; r < c->input[i].rank; r++)
            numel *= c->input[i].shape[r];
        values[i] = arena_push(&a, (size_t)numel * sizeof(float));
        fill(values[i], numel, (uint64_t)i);
    }
    for (enum storage s = STORAGE_F32; s <= STORAGE_INT8; s++) {
        struct tensor *y[2];
        struct tape *tapes[2];
        struct weights *weights[2];
        for (int wide = 0; wide < 2; wide++) {
            tapes[wide] = tape_new(k, false);
            y[wide] = case_record(tapes[wide], op, c, values);
            case_bind(tapes[wide], k, op, c, values, s, wide, &a, &weights[wide]);
            tape_forward(tapes[wide]);
        }
        for (int run = 0; run < 2; run++) {
            if (memcmp(y[0]->data, y[1]->data, (size_t)y[0]->numel * sizeof(float)) != 0)
                fail_msg("op %s: %s weights give other bits than their values in run %d", op->name,
                         storage_name(s), run);
            tape_forward(tapes[0]); /* packed to stay, beside what the first run gave */
        }
        for (int wide = 0; wide < 2; wide++) {
            tape_free(tapes[wide]);
            weights_free(weights[wide]);
        }
    }
    arena_reset(&a);
}

static void test_every_op(void **state)
{
    (void)state;
    const struct backend *const all[] = {&backend_ref, backend_cpu(), backend_find("cpu-bf16")};
    int count = 0;
    for (int i = 0; ops[i]; i++)
        for (const struct op_case *c = ops[i]->cases; ops[i]->packs && c->input_count; c++) {
            for (size_t b = 0; b < sizeof all / sizeof *all && all[b]; b++)
                check_case(all[b], ops[i], c);
            count++;
        }
    assert_true(count >= 8);
}

/* A scorer reads new values only after it was told. */
static void test_scorer_is_told(void **state)
{
    (void)state;
    struct contract c;
    contract_default(&c);
    c.lead_count = 2;
    c.sample_count = 16;
    cJSON *spec = cJSON_Parse("{\"network\":{\"backbone\":\"vit\",\"pool\":\"mean\"},\"vit\":"
                              "{\"width\":8,\"depth\":1,\"heads\":1,\"patch\":8}}");
    struct model m;
    struct err e = {0};
    assert_int_equal(model_create(&m, spec, &c, NULL, &e), ERR_OK);
    assert_int_equal(model_allocate(&m, 1, &e), ERR_OK);
    struct scorer *s = NULL, *fresh = NULL;
    assert_int_equal(scorer_open(&s, &m, NULL, &e), ERR_OK);
    float x[9 * 32], old[9 * 8], now[9 * 8], expected[9 * 8];
    fill(x, 9 * 32, 5);
    scorer_run(s, x, 9, old, NULL);
    param_initialize(&m.params, m.values, sizeof(float), 2);
    scorer_weights_changed(s);
    scorer_run(s, x, 9, now, NULL);
    assert_int_equal(scorer_open(&fresh, &m, NULL, &e), ERR_OK);
    scorer_run(fresh, x, 9, expected, NULL);
    assert_memory_equal(now, expected, sizeof now);
    assert_memory_not_equal(now, old, sizeof now);
    scorer_close(s);
    scorer_close(fresh);
    model_free(&m);
    cJSON_Delete(spec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bits_of_slabs),  cmocka_unit_test(test_changes_are_told),
        cmocka_unit_test(test_storages),       cmocka_unit_test(test_every_op),
        cmocka_unit_test(test_scorer_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
