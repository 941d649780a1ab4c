#include "graph/tape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/shapes.h"
#include "graph/weights.h"

struct tape {
    struct arena arena;
    const struct backend *backend;
    bool training;
    struct tensor **tensors;
    int tensor_count, tensor_cap;
    struct node **nodes;
    int node_count, node_cap;
    struct node **copied; /* those with a copy, by copied_after */
    struct node **again;  /* those made again, in the order of the backward pass */
    int copied_count, again_count;
    struct tensor *loss;
    int64_t owned_gradients; /* elements, at the start of `memory`; 0: bound from outside */
    bool planned;
    void *memory;
    size_t planned_bytes, unshared_bytes;
    struct tape_step step;
    bool timing;
    double *seconds; /* [node, 2] */
};

static void *must(void *p)
{
    ASSERT(p, "out of memory while recording a tape");
    return p;
}

struct tape *tape_new(const struct backend *backend, bool training)
{
    struct tape *t = must(calloc(1, sizeof *t));
    arena_init(&t->arena, "tape", 0);
    t->backend = backend;
    t->training = training;
    return t;
}

void tape_free(struct tape *t)
{
    if (!t)
        return;
    arena_reset(&t->arena);
    free(t->tensors);
    free(t->nodes);
    free(t->copied);
    free(t->again);
    free(t->memory);
    free(t->seconds);
    free(t);
}

/* --- recording ---------------------------------------------------------------------------------- */

static struct tensor *tensor_new(struct tape *t, const char *name, enum tensor_kind kind)
{
    ASSERT(!t->planned, "tape: recording %s after planning", name);
    if (t->tensor_count == t->tensor_cap) {
        t->tensor_cap = t->tensor_cap ? 2 * t->tensor_cap : 64;
        t->tensors = must(realloc(t->tensors, (size_t)t->tensor_cap * sizeof *t->tensors));
    }
    struct tensor *x = must(arena_push(&t->arena, sizeof *x));
    x->id = t->tensor_count;
    x->name = must(arena_strdup(&t->arena, name));
    x->kind = kind;
    x->producer = -1;
    t->tensors[t->tensor_count++] = x;
    return x;
}

static void tensor_set_shape(struct tensor *x, int rank, const int64_t *shape)
{
    ASSERT(rank >= 1 && rank <= TENSOR_RANK_MAX, "tensor %s: rank %d", x->name, rank);
    x->rank = rank;
    for (int i = 0; i < rank; i++) {
        ASSERT(shape[i] > 0, "tensor %s: extent %lld at axis %d", x->name, (long long)shape[i], i);
        x->shape[i] = shape[i];
    }
    ASSERT(shape_numel(shape, rank, &x->numel), "tensor %s: size overflows", x->name);
}

struct tensor *tape_input(struct tape *t, const char *name, enum tensor_type type, bool needs_grad,
                          int rank, const int64_t *shape)
{
    struct tensor *x = tensor_new(t, name, TENSOR_INPUT);
    tensor_set_shape(x, rank, shape);
    x->type = type;
    x->needs_grad = needs_grad && t->training;
    x->kept = true;
    return x;
}

struct tensor *tape_parameter(struct tape *t, const char *name, bool trainable, int64_t offset,
                              int rank, const int64_t *shape)
{
    /* Used twice, it is one tensor with one gradient. */
    for (int i = 0; i < t->tensor_count; i++)
        if (t->tensors[i]->kind == TENSOR_PARAMETER && t->tensors[i]->offset == offset) {
            ASSERT(strcmp(t->tensors[i]->name, name) == 0, "parameters %s and %s share a place",
                   t->tensors[i]->name, name);
            return t->tensors[i];
        }
    struct tensor *x = tensor_new(t, name, TENSOR_PARAMETER);
    tensor_set_shape(x, rank, shape);
    x->needs_grad = trainable && t->training;
    x->offset = offset;
    x->kept = true;
    return x;
}

struct tensor *tape_record(struct tape *t, const struct op *op, int input_count,
                           struct tensor *const *inputs, const struct op_attributes *attr)
{
    ASSERT(input_count >= 1 && input_count <= NODE_INPUTS_MAX, "%s: %d inputs", op->name,
           input_count);
    if (t->node_count == t->node_cap) {
        t->node_cap = t->node_cap ? 2 * t->node_cap : 64;
        t->nodes = must(realloc(t->nodes, (size_t)t->node_cap * sizeof *t->nodes));
    }
    struct node *n = must(arena_push(&t->arena, sizeof *n));
    n->op = op;
    n->index = t->node_count;
    n->input_count = input_count;
    n->again_before = n->copied_after = -1;
    n->output = tensor_new(t, op->name, TENSOR_RESULT);
    n->output->producer = n->index;
    if (attr)
        n->attr = *attr;
    for (int i = 0; i < input_count; i++) {
        n->input[i] = inputs[i];
        if (inputs[i] && inputs[i]->needs_grad && !(op->no_gradient >> i & 1))
            n->output->needs_grad = true;
    }
    n->training = t->training && n->output->needs_grad;
    op->prepare(n);
    ASSERT(n->output->rank > 0, "%s: prepare set no output shape", op->name);
    t->nodes[t->node_count++] = n;
    return n->output;
}

void tape_keep(struct tape *t, struct tensor *x)
{
    ASSERT(!t->planned, "tape_keep after planning");
    x->kept = true;
}

/* --- planning ----------------------------------------------------------------------------------- */

/* One block of planned memory, alive from time `birth` to `death` of a run. The forward pass of node i
 * is time i, its backward pass is time 2n-1-i. */
struct region {
    void **place; /* told the address; NULL: nobody asks */
    size_t bytes, offset;
    int birth, death, order;
};

#define ANYWHERE SIZE_MAX

struct plan {
    struct region *regions;
    int count, cap;
};

static void plan_add(struct plan *p, void **place, int64_t numel, size_t size, int birth, int death,
                     size_t offset)
{
    if (p->count == p->cap) {
        p->cap = p->cap ? 2 * p->cap : 256;
        p->regions = must(realloc(p->regions, (size_t)p->cap * sizeof *p->regions));
    }
    size_t bytes = ((size_t)numel * size + 63) & ~(size_t)63;
    p->regions[p->count] = (struct region){place, bytes, offset, birth, death, p->count};
    p->count++;
}

/* Bytes times how long. */
static double region_area(const struct region *r)
{
    return (double)r->bytes * (r->death - r->birth + 1);
}

static int region_larger_first(const void *a, const void *b)
{
    const struct region *x = a, *y = b;
    if ((x->offset == ANYWHERE) != (y->offset == ANYWHERE))
        return x->offset == ANYWHERE ? 1 : -1;
    double area_x = region_area(x), area_y = region_area(y);
    if (area_x != area_y)
        return area_x < area_y ? 1 : -1;
    return x->order - y->order;
}

static int region_by_offset(const void *a, const void *b)
{
    const struct region *const *x = a, *const *y = b;
    return (*x)->offset < (*y)->offset ? -1 : (*x)->offset > (*y)->offset;
}

/* Those with an offset first; then greedy by area: each region goes to the lowest gap left by those it
 * overlaps in time. */
static size_t plan_place(struct plan *p)
{
    size_t total = 0;
    struct region **overlapping = must(malloc(sizeof *overlapping * (size_t)(p->count + 1)));
    if (p->count)
        qsort(p->regions, (size_t)p->count, sizeof *p->regions, region_larger_first);
    for (int i = 0; i < p->count; i++) {
        struct region *r = &p->regions[i];
        int n = 0;
        for (int j = 0; j < i && r->offset == ANYWHERE; j++) {
            struct region *q = &p->regions[j];
            if (q->birth <= r->death && r->birth <= q->death)
                overlapping[n++] = q;
        }
        qsort(overlapping, (size_t)n, sizeof *overlapping, region_by_offset);
        size_t at = 0;
        for (int j = 0; j < n; j++) {
            if (at + r->bytes <= overlapping[j]->offset)
                break;
            size_t end = overlapping[j]->offset + overlapping[j]->bytes;
            at = end > at ? end : at;
        }
        if (r->offset == ANYWHERE)
            r->offset = at;
        total = r->offset + r->bytes > total ? r->offset + r->bytes : total;
    }
    free(overlapping);
    return total;
}

/* Does a gradient flow from node n into its input j? */
static bool gradient_flows(const struct node *n, int j)
{
    return n->runs_backward && n->input[j] && n->input[j]->needs_grad &&
           !(n->op->no_gradient >> j & 1);
}

/* Which nodes lie on a path from a tensor that wants a gradient to the loss, and who writes each
 * gradient first. */
static void plan_gradients(struct tape *t)
{
    if (!t->loss)
        return;
    t->loss->grad_written = true;
    for (int i = t->node_count - 1; i >= 0; i--) {
        struct node *n = t->nodes[i];
        n->runs_backward = n->training && n->output->grad_written;
        for (int j = 0; j < n->input_count; j++) {
            if (!gradient_flows(n, j))
                continue;
            struct tensor *x = n->input[j];
            /* Parameter slabs from outside are cleared there and always added to. */
            bool outside = x->kind == TENSOR_PARAMETER && !t->owned_gradients;
            bool first = !x->grad_written && !outside;
            n->add[j] = !first;
            n->zero[j] = first && n->op->always_adds >> j & 1;
            n->pad[j] = first && x->kind == TENSOR_PARAMETER && x->numel % 16;
            x->grad_written = true;
        }
    }
}

static void raise_to(int *value, int at_least)
{
    if (*value < at_least)
        *value = at_least;
}

/* When a tensor's memory is needed. */
struct life {
    int forward;     /* last forward pass that writes or reads the data */
    int first, last; /* backward passes that read it; first > last: none */
    int gradient;    /* first backward pass that writes its gradient */
    int rewritten;   /* the next one that does */
    bool exact;      /* a backward pass reads the data as the forward pass wrote it */
};

static void life_reads(struct life *x, int backward, bool exact)
{
    x->first = backward < x->first ? backward : x->first;
    raise_to(&x->last, backward);
    x->exact |= exact;
}

static struct life *plan_lives(const struct tape *t)
{
    int n = t->node_count, end = 2 * n;
    struct life *lives = must(calloc((size_t)t->tensor_count + 1, sizeof *lives));
    for (int i = 0; i < t->tensor_count; i++)
        lives[i] = (struct life){
            .forward = -1, .first = end, .last = -1, .gradient = end, .rewritten = end};
    if (t->loss)
        lives[t->loss->id].gradient = n; /* seeded before the first backward step */
    for (int i = 0; i < n; i++) {
        const struct node *node = t->nodes[i];
        int backward = 2 * n - 1 - i;
        raise_to(&lives[node->output->id].forward, i);
        if (node->runs_backward && node->op->backward_needs & OP_NEEDS_OUTPUT)
            life_reads(&lives[node->output->id], backward,
                       !(node->op->backward_rounds & OP_NEEDS_OUTPUT));
        for (int j = 0; j < node->input_count; j++) {
            if (!node->input[j])
                continue;
            struct life *x = &lives[node->input[j]->id];
            raise_to(&x->forward, i);
            if (node->runs_backward && node->op->backward_needs >> j & 1)
                life_reads(x, backward, !(node->op->backward_rounds >> j & 1));
            if (gradient_flows(node, j)) {
                x->rewritten = x->gradient;
                x->gradient = backward;
            }
        }
    }
    return lives;
}

/* A cheap op's output that the backward pass reads is made again there if its inputs are still there
 * then anyhow: not themselves made again, and read by a backward pass no earlier. Of other outputs a
 * bf16 copy is kept if the backend has products in bf16 and nobody reads more than that. */
static void plan_again(struct tape *t, struct life *lives)
{
    int n = t->node_count;
    for (int i = 0; i < n; i++) {
        struct node *node = t->nodes[i];
        const struct life *y = &lives[node->output->id];
        bool again =
            node->op->cheap && node->runs_backward && !node->output->kept && y->first <= y->last;
        for (int j = 0; again && j < node->input_count; j++) {
            const struct tensor *x = node->input[j];
            again = !x || x->kept ||
                    (lives[x->id].last >= y->first && t->nodes[x->producer]->again_before < 0);
        }
        if (!again)
            continue;
        node->again_before = 2 * n - 1 - y->first;
        for (int j = 0; j < node->input_count; j++)
            if (node->input[j] && !node->input[j]->kept)
                life_reads(&lives[node->input[j]->id], y->first, y->exact);
    }
    for (int i = 0; i < n && t->backend->rounds_bf16; i++) {
        struct node *node = t->nodes[i];
        const struct life *y = &lives[node->output->id];
        if (node->again_before < 0 && !node->output->kept && y->first <= y->last && !y->exact) {
            node->again_before = 2 * n - 1 - y->first;
            node->copied_after = y->forward;
        }
    }
}

static int node_copied_first(const void *a, const void *b)
{
    const struct node *const *x = a, *const *y = b;
    return (*x)->copied_after - (*y)->copied_after;
}

/* What another is made from comes before it: it was recorded before. */
static int node_again_first(const void *a, const void *b)
{
    const struct node *const *x = a, *const *y = b;
    if ((*x)->again_before != (*y)->again_before)
        return (*y)->again_before - (*x)->again_before;
    return (*x)->index - (*y)->index;
}

static void plan_order(struct tape *t)
{
    t->copied = must(malloc(sizeof(void *) * (size_t)(t->node_count + 1)));
    t->again = must(malloc(sizeof(void *) * (size_t)(t->node_count + 1)));
    for (int i = 0; i < t->node_count; i++) {
        if (t->nodes[i]->copied_after >= 0)
            t->copied[t->copied_count++] = t->nodes[i];
        if (t->nodes[i]->again_before >= 0)
            t->again[t->again_count++] = t->nodes[i];
    }
    qsort(t->copied, (size_t)t->copied_count, sizeof(void *), node_copied_first);
    qsort(t->again, (size_t)t->again_count, sizeof(void *), node_again_first);
}

/* Gradients that are passed on unchanged, by sums, share memory where nobody writes it while another
 * still reads: with tensors that get no second gradient, and with one that gets its second when the
 * others are done (the stream of a residual network). Later ones can then only join through that.
 * Gives each gradient's last use. */
static int *plan_shared_gradients(struct tape *t, const struct life *lives)
{
    int last = 2 * t->node_count - 1;
    int *death = must(malloc(sizeof *death * (size_t)(t->tensor_count + 1)));
    const struct tensor **writer = must(calloc((size_t)t->tensor_count + 1, sizeof *writer));
    for (int i = 0; i < t->tensor_count; i++)
        death[i] = t->tensors[i]->kind == TENSOR_RESULT ? last - t->tensors[i]->producer : last + 1;
    for (int i = 2 * t->node_count - 1; i >= 0; i--) {
        struct node *n = t->nodes[i / 2]; /* each twice: first those without a second gradient */
        bool again = i % 2 == 0;
        const struct tensor *y = n->output->grad_of ? n->output->grad_of : n->output;
        for (int j = 0; j < n->input_count; j++) {
            struct tensor *x = n->input[j];
            if (!(n->op->passes >> j & 1) || !gradient_flows(n, j) || n->add[j] || x->grad_of ||
                x->kind != TENSOR_RESULT || (lives[x->id].rewritten <= last) != again ||
                (writer[y->id] && writer[y->id] != n->output) ||
                (again && death[y->id] >= lives[x->id].rewritten))
                continue;
            x->grad_of = y;
            raise_to(&death[y->id], death[x->id]);
            if (again)
                writer[y->id] = x;
        }
    }
    free(writer);
    return death;
}

/* The gradients of parameters, each where the slab has it: alive from when it is first written. */
static void plan_owned_gradients(struct tape *t, struct plan *plan, const struct life *lives)
{
    size_t real = t->backend->real_size;
    int64_t *birth = must(malloc(sizeof *birth * (size_t)(t->owned_gradients / 16 + 1)));
    for (int64_t i = 0; i < t->owned_gradients / 16; i++)
        birth[i] = 0;
    for (int i = 0; i < t->tensor_count; i++) {
        const struct tensor *x = t->tensors[i];
        if (x->kind != TENSOR_PARAMETER || !x->grad_written)
            continue;
        ASSERT(x->offset % 16 == 0 && x->offset + x->numel <= t->owned_gradients,
               "parameter %s lies outside the slab of gradients", x->name);
        for (int64_t at = x->offset / 16; at < (x->offset + x->numel + 15) / 16; at++)
            birth[at] = lives[i].gradient;
    }
    for (int64_t at = 0, next; at < t->owned_gradients / 16; at = next) {
        for (next = at + 1; next < t->owned_gradients / 16 && birth[next] == birth[at];)
            next++;
        plan_add(plan, NULL, (next - at) * 16, real, (int)birth[at], 2 * t->node_count,
                 (size_t)at * 16 * real);
    }
    free(birth);
}

/* Lists every region with its lifetime. */
static void plan_regions(struct tape *t, struct plan *plan)
{
    int n = t->node_count, end = 2 * n;
    size_t real = t->backend->real_size;
    struct life *lives = plan_lives(t);
    plan_again(t, lives);
    plan_order(t);
    int *grad_death = plan_shared_gradients(t, lives);
    if (t->owned_gradients)
        plan_owned_gradients(t, plan, lives);
    for (int i = 0; i < n; i++) {
        struct node *node = t->nodes[i];
        struct tensor *y = node->output;
        const struct life *life = &lives[y->id];
        int backward = node->runs_backward ? 2 * n - 1 - i : i;
        for (int s = 0; s < NODE_SAVED_MAX; s++)
            if (node->saved_numel[s] > 0)
                plan_add(plan, &node->saved[s], node->saved_numel[s],
                         node->saved_is_index[s] ? sizeof(int32_t) : real, i, backward, ANYWHERE);
        if (node->again_before >= 0) {
            plan_add(plan, &node->output_forward, y->numel, real, i, life->forward, ANYWHERE);
            plan_add(plan, &node->output_again, y->numel, real, life->first, life->last, ANYWHERE);
            if (node->copied_after >= 0)
                plan_add(plan, (void **)&node->output_copy, y->numel, sizeof(uint16_t),
                         life->forward, life->first, ANYWHERE);
        } else {
            int death = y->kept ? end : life->last > life->forward ? life->last : life->forward;
            plan_add(plan, &y->data, y->numel, real, i, death, ANYWHERE);
        }
    }
    for (int i = 0; i < t->tensor_count; i++) {
        struct tensor *x = t->tensors[i];
        if (x->kind != TENSOR_PARAMETER && x->needs_grad && x->grad_written && !x->grad_of)
            plan_add(plan, &x->grad, x->numel, real, lives[i].gradient, grad_death[i], ANYWHERE);
    }
    free(grad_death);
    free(lives);
}

void tape_own_gradients(struct tape *t, int64_t numel)
{
    ASSERT(!t->planned && t->training && numel > 0 && numel % 16 == 0,
           "tape_own_gradients of %lld elements", (long long)numel);
    t->owned_gradients = numel;
}

void *tape_gradients(const struct tape *t)
{
    ASSERT(t->planned, "tape_gradients before planning");
    return t->owned_gradients ? t->memory : NULL;
}

enum err_code tape_plan(struct tape *t, struct tensor *loss, struct err *e)
{
    ASSERT(!t->planned, "tape planned twice");
    ASSERT(!loss || (loss->numel == 1 && t->training),
           "the loss must be one number on a training tape");
    t->loss = loss;
    plan_gradients(t);
    struct plan plan = {0};
    plan_regions(t, &plan);
    t->planned_bytes = plan_place(&plan);
    for (int i = 0; i < plan.count; i++)
        t->unshared_bytes += plan.regions[i].bytes;
    t->memory = aligned_calloc(t->planned_bytes ? t->planned_bytes : 64, 1);
    if (t->memory)
        for (int i = 0; i < plan.count; i++)
            if (plan.regions[i].place)
                *plan.regions[i].place = (char *)t->memory + plan.regions[i].offset;
    free(plan.regions);
    if (!t->memory)
        FAIL(e, ERR_MEMORY,
             "activations need %.1f MiB, which the system refused; a smaller batch needs less",
             (double)t->planned_bytes / 1048576.0);
    for (int i = 0; i < t->node_count; i++) {
        struct tensor *y = t->nodes[i]->output;
        if (t->nodes[i]->again_before >= 0)
            y->data = t->nodes[i]->output_forward;
        if (y->grad_of)
            y->grad = y->grad_of->grad;
    }
    t->planned = true;
    return ERR_OK;
}

void tape_bind_parameters(struct tape *t, void *values, void *gradients)
{
    size_t real = t->backend->real_size;
    if (t->owned_gradients)
        gradients = tape_gradients(t);
    for (int i = 0; i < t->tensor_count; i++) {
        struct tensor *x = t->tensors[i];
        if (x->kind != TENSOR_PARAMETER)
            continue;
        x->data = (char *)values + (size_t)x->offset * real;
        x->grad = gradients && x->needs_grad ? (char *)gradients + (size_t)x->offset * real : NULL;
    }
}

void tape_bind(struct tensor *input, const void *data)
{
    ASSERT(input->kind == TENSOR_INPUT, "tape_bind: %s is no input", input->name);
    input->data = (void *)data;
}

struct tensor *tape_find_input(const struct tape *t, const char *name)
{
    for (int i = 0; i < t->tensor_count; i++)
        if (t->tensors[i]->kind == TENSOR_INPUT && strcmp(t->tensors[i]->name, name) == 0)
            return t->tensors[i];
    return NULL;
}

/* --- running ------------------------------------------------------------------------------------ */

void tape_set_step(struct tape *t, uint64_t seed, uint64_t step)
{
    t->step = (struct tape_step){seed, step};
}

enum pass { PASS_FORWARD, PASS_BACKWARD };

static double time_start(const struct tape *t) { return t->timing ? clock_seconds() : 0; }

static void time_add(struct tape *t, const struct node *n, enum pass pass, double start)
{
    if (t->timing)
        t->seconds[2 * n->index + pass] += clock_seconds() - start;
}

static void node_forward(struct tape *t, struct node *n)
{
    double start = time_start(t);
    if (n->package)
        node_pack(n);
    n->op->forward(t->backend, n, &t->step);
    time_add(t, n, PASS_FORWARD, start);
}

static void node_copy(struct tape *t, struct node *n)
{
    double start = time_start(t);
    t->backend->bf16_round(n->output_copy, n->output_forward, n->output->numel);
    time_add(t, n, PASS_FORWARD, start);
}

/* Makes the output again for the backward pass. */
static void node_restore(struct tape *t, struct node *n)
{
    n->output->data = n->output_again;
    if (n->copied_after < 0) {
        node_forward(t, n);
        return;
    }
    double start = time_start(t);
    t->backend->bf16_value(n->output_again, n->output_copy, n->output->numel);
    time_add(t, n, PASS_BACKWARD, start);
}

void tape_forward(struct tape *t)
{
    ASSERT(t->planned, "tape_forward before planning");
    for (int i = 0; i < t->again_count; i++)
        t->again[i]->output->data = t->again[i]->output_forward;
    for (int i = 0; i < t->tensor_count; i++)
        ASSERT(t->tensors[i]->data || t->tensors[i]->weight.data, "tape_forward: %s is not bound",
               t->tensors[i]->name);
    for (int i = 0, copied = 0; i < t->node_count; i++) {
        node_forward(t, t->nodes[i]);
        for (; copied < t->copied_count && t->copied[copied]->copied_after == i; copied++)
            node_copy(t, t->copied[copied]);
    }
}

static void gradient_clear(struct tensor *x, int64_t from, int64_t to, size_t real)
{
    memset((char *)x->grad + (size_t)from * real, 0, (size_t)(to - from) * real);
}

void tape_backward(struct tape *t, double seed)
{
    ASSERT(t->planned && t->loss, "tape_backward without a planned loss");
    size_t real = t->backend->real_size;
    if (real == sizeof(float))
        *(float *)t->loss->grad = (float)seed;
    else
        *(double *)t->loss->grad = seed;
    for (int i = t->node_count - 1, again = 0; i >= 0; i--) {
        struct node *n = t->nodes[i];
        if (!n->runs_backward)
            continue;
        for (; again < t->again_count && t->again[again]->again_before == i; again++)
            node_restore(t, t->again[again]);
        double start = time_start(t);
        for (int j = 0; j < n->input_count; j++) {
            struct tensor *x = n->input[j];
            if (n->zero[j])
                gradient_clear(x, 0, x->numel, real);
            if (n->pad[j])
                gradient_clear(x, x->numel, (x->numel + 15) / 16 * 16, real);
        }
        n->op->backward(t->backend, n, &t->step);
        time_add(t, n, PASS_BACKWARD, start);
    }
}

/* --- looking ------------------------------------------------------------------------------------ */

bool tape_is_training(const struct tape *t) { return t->training; }

size_t tape_planned_bytes(const struct tape *t) { return t->planned_bytes; }

size_t tape_unshared_bytes(const struct tape *t) { return t->unshared_bytes; }

int tape_node_count(const struct tape *t) { return t->node_count; }

struct node *tape_node(const struct tape *t, int i) { return t->nodes[i]; }

int tape_tensor_count(const struct tape *t) { return t->tensor_count; }

struct tensor *tape_tensor(const struct tape *t, int i) { return t->tensors[i]; }

double tape_forward_flops(const struct tape *t)
{
    double total = 0;
    for (int i = 0; i < t->node_count; i++)
        if (t->nodes[i]->op->flops)
            total += t->nodes[i]->op->flops(t->nodes[i]);
    return total;
}

void tape_set_timing(struct tape *t, bool on)
{
    if (on && !t->seconds)
        t->seconds = must(calloc(2 * (size_t)t->node_count + 1, sizeof(double)));
    t->timing = on;
}

void tape_node_seconds(const struct tape *t, int i, double *forward, double *backward)
{
    *forward = t->seconds ? t->seconds[2 * i] : 0;
    *backward = t->seconds ? t->seconds[2 * i + 1] : 0;
}

bool tensor_same_shape(const struct tensor *a, const struct tensor *b)
{
    return a->rank == b->rank &&
           memcmp(a->shape, b->shape, (size_t)a->rank * sizeof a->shape[0]) == 0;
}

bool tensor_indexes_rows(const struct tensor *index, const struct tensor *x)
{
    return x->rank == 3 && index->rank == 2 && index->type == TENSOR_INDEX &&
           index->shape[0] == x->shape[0] && index->shape[1] == x->shape[1];
}

static void shape_text(const struct tensor *x, char *out, size_t size)
{
    size_t used = 0;
    out[0] = 0;
    for (int i = 0; x && i < x->rank && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%lld", i ? "," : "",
                                 (long long)x->shape[i]);
}

void node_check(const struct node *n, bool condition, const char *what)
{
    if (condition)
        return;
    char shapes[NODE_INPUTS_MAX][64] = {{0}};
    for (int i = 0; i < n->input_count; i++)
        shape_text(n->input[i], shapes[i], sizeof shapes[i]);
    BUG("op %s: %s; inputs [%s] [%s] [%s] [%s] [%s] [%s]", n->op->name, what, shapes[0], shapes[1],
        shapes[2], shapes[3], shapes[4], shapes[5]);
}

void node_output(struct node *n, int rank, const int64_t *shape)
{
    tensor_set_shape(n->output, rank, shape);
}

void node_output_like(struct node *n, const struct tensor *x)
{
    tensor_set_shape(n->output, x->rank, x->shape);
}

double scalar_get(const struct backend *k, const void *data)
{
    return k->real_size == sizeof(float) ? (double)*(const float *)data : *(const double *)data;
}

void scalar_set(const struct backend *k, void *data, double value, int add)
{
    value += add ? scalar_get(k, data) : 0;
    if (k->real_size == sizeof(float))
        *(float *)data = (float)value;
    else
        *(double *)data = value;
}

void node_pass_gradient(const struct backend *k, const struct node *n, int i)
{
    void *grad = n->input[i]->grad;
    if (grad && grad != n->output->grad)
        k->scale(grad, n->output->grad, 1.0, n->output->numel, n->add[i]);
}
