/* A training step of the 12-layer, 768-wide encoder on 156 tokens: time by op, arithmetic rate, and the
 * share of the step that its matrix products would take at the rate a single large product reaches in
 * the same run. Not a test: prints figures.   usage: bench_step [BATCH] [STEPS] [THREADS] */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rng.h"
#include "model/model.h"
#include "nn/optimizer.h"

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *x, int n)
{
    qsort(x, (size_t)n, sizeof *x, by_value);
    return x[n / 2];
}

static float *filled(int64_t n)
{
    float *x = aligned_calloc((size_t)n, sizeof *x);
    for (int64_t i = 0; x && i < n; i++)
        x[i] = (float)((i * 2654435761u >> 8 & 1023) / 512.0 - 1.0);
    return x;
}

/* GFLOP/s of one large product of the encoder's kind. */
static double product_rate(const struct backend *k)
{
    enum { M = 1248, N = 3072, K = 768, REPEAT = 15 };
    float *x = filled(M * K), *w = filled(N * K), *y = filled(M * N);
    double seconds[REPEAT];
    for (int i = 0; i < REPEAT; i++) {
        double start = clock_seconds();
        k->linear_fwd(y, x, w, NULL, M, N, K, ACTIVATION_NONE);
        seconds[i] = clock_seconds() - start;
    }
    free(x);
    free(w);
    free(y);
    return 2.0 * M * N * K / median(seconds, REPEAT) / 1e9;
}

int main(int argc, char **argv)
{
    int batch = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 8;
    int steps = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 7;
    kernel_set_threads(argc > 3 ? (int)strtol(argv[3], NULL, 10) : 2);
    const struct backend *k = backend_cpu();
    struct err e = {0};
    struct contract contract;
    contract_default(&contract);
    contract.sample_count = 156 * 16;
    cJSON *spec =
        cJSON_Parse("{\"network\":{\"backbone\":\"vit\"},\"vit\":{\"width\":768,\"depth\":12,"
                    "\"heads\":12,\"patch\":16}}");
    const char *names[] = {"a", "b", "c", "d", "e"};
    struct model_classes classes = {.count = 5, .names = names, .codes = names, .titles = names};
    struct model m;
    if (model_create(&m, spec, &contract, &classes, &e) != ERR_OK ||
        model_allocate(&m, 1, &e) != ERR_OK) {
        fprintf(stderr, "%s\n", e.message);
        return 1;
    }
    struct tape *t = tape_new(k, true);
    struct build b = {.tape = t, .params = &m.params};
    struct tensor *signal = tape_input(t, "signal", TENSOR_REAL, false, 3,
                                       (int64_t[]){batch, 12, contract.sample_count});
    struct tensor *target = tape_input(t, "target", TENSOR_REAL, false, 2, (int64_t[]){batch, 5});
    struct tensor *logits =
        model_logits(&b, &m, model_features(&b, &m, model_encode(&b, &m, signal, NULL).tokens));
    struct tensor *loss = t_bce(t, logits, target, NULL);
    if (tape_plan(t, loss, &e) != ERR_OK)
        return 1;
    size_t n = (size_t)m.params.total;
    float *gradients = aligned_calloc(n, 4), *first = aligned_calloc(n, 4),
          *second = aligned_calloc(n, 4), *x = filled(signal->numel), *y = filled(target->numel);
    for (int64_t i = 0; i < target->numel; i++)
        y[i] = (float)(i & 1);
    tape_bind_parameters(t, m.values, gradients);
    tape_bind(signal, x);
    tape_bind(target, y);
    struct optimizer_options o = {.lr = 1e-4,
                                  .min_lr = 1e-6,
                                  .warmup_steps = 1,
                                  .steps = 1000,
                                  .beta1 = 0.9,
                                  .beta2 = 0.95,
                                  .epsilon = 1e-8,
                                  .weight_decay = 0.05,
                                  .clip = 1,
                                  .layer_decay = 1};
    double *whole = calloc((size_t)steps, sizeof *whole), update = 0;
    double before = product_rate(k);
    for (int s = -2; s < steps; s++) {
        if (s == 0)
            tape_set_timing(t, true);
        double start = clock_seconds();
        memset(gradients, 0, n * 4);
        tape_forward(t);
        tape_backward(t, 1.0);
        double mid = clock_seconds();
        optimizer_step(k, &m.params, &o, s + 2, 1, m.values, gradients, first, second);
        if (s >= 0) {
            whole[s] = clock_seconds() - start;
            update += clock_seconds() - mid;
        }
    }
    double rate = product_rate(k);
    rate = rate > before ? rate : before;
    double step = median(whole, steps), products = 0;
    printf("batch %d, %lld parameters, activations %.0f MiB planned (%.0f MiB unshared)\n", batch,
           (long long)param_count_values(&m.params), (double)tape_planned_bytes(t) / 1048576,
           (double)tape_unshared_bytes(t) / 1048576);
    printf("%-12s %10s %10s   ms per step\n", "op", "forward", "backward");
    for (int o_index = 0; ops[o_index]; o_index++) {
        double forward = 0, backward = 0;
        for (int i = 0; i < tape_node_count(t); i++) {
            const struct node *node = tape_node(t, i);
            if (node->op != ops[o_index])
                continue;
            double f, w;
            tape_node_seconds(t, i, &f, &w);
            forward += f;
            backward += w;
            if (node->op == &op_linear) /* the patch projection needs no gradient of its input */
                products += node->op->flops(node) * (node->input[0]->needs_grad ? 3 : 2);
        }
        if (forward + backward > 0)
            printf("%-12s %10.2f %10.2f\n", ops[o_index]->name, 1e3 * forward / steps,
                   1e3 * backward / steps);
    }
    printf("%-12s %21.2f\n", "adamw", 1e3 * update / steps);
    printf("step %.1f ms, %.2f records/s; products alone %.1f GFLOP at %.0f GFLOP/s take %.1f ms: "
           "%.0f %% of the step\n",
           1e3 * step, batch / step, products / 1e9, rate, 1e3 * products / rate / 1e9,
           100 * products / rate / 1e9 / step);
    cJSON_Delete(spec);
    tape_free(t);
    model_free(&m);
    free(gradients);
    free(first);
    free(second);
    free(x);
    free(y);
    free(whole);
    return 0;
}
