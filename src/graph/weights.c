#include "graph/weights.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/log.h"

struct place {
    int64_t offset;
    struct weight weight;
};

/* One parameter to pack. Another node that reads the same one by the same op shares it. */
struct package {
    struct weights *weights;
    const struct op *op;
    int64_t offset;
    const struct node *node; /* of the first tape: how to pack */
    size_t bytes, at;
    bool read; /* once before: worth packing */
    bool packed;
};

struct weights {
    const struct backend *backend;
    struct place *places;
    int place_count, place_cap;
    struct package *packages;
    int package_count;
    bool bound;
    size_t packed_bytes, largest_bytes;
    char *packed;  /* all of them, after the first run */
    char *passing; /* one in turn, until then */
    bool refused;  /* no memory for all */
};

struct weights *weights_new(const struct backend *backend)
{
    struct weights *w = calloc(1, sizeof *w);
    ASSERT(w, "out of memory");
    w->backend = backend;
    return w;
}

void weights_free(struct weights *w)
{
    if (!w)
        return;
    free(w->places);
    free(w->packages);
    free(w->packed);
    free(w->passing);
    free(w);
}

void weights_add(struct weights *w, int64_t offset, const struct weight *place)
{
    ASSERT(!w->bound, "weights added after binding");
    ASSERT(w->place_count == 0 || w->places[w->place_count - 1].offset < offset,
           "weights: offset %lld out of order", (long long)offset);
    if (w->place_count == w->place_cap) {
        w->place_cap = w->place_cap ? 2 * w->place_cap : 64;
        w->places = realloc(w->places, (size_t)w->place_cap * sizeof *w->places);
        ASSERT(w->places, "out of memory");
    }
    w->places[w->place_count++] = (struct place){offset, *place};
}

static int place_order(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static const struct weight *find_place(const struct weights *w, int64_t offset)
{
    struct place key = {.offset = offset};
    const struct place *found =
        bsearch(&key, w->places, (size_t)w->place_count, sizeof key, place_order);
    return found ? &found->weight : NULL;
}

/* The parameter that names the package of a node; NULL if the node packs nothing. */
static const struct tensor *packed_parameter(const struct node *n)
{
    const struct tensor *first = NULL;
    for (int i = 0; i < n->input_count; i++) {
        if (!(n->op->packs >> i & 1))
            continue;
        if (!n->input[i] || n->input[i]->kind != TENSOR_PARAMETER)
            return NULL;
        first = first ? first : n->input[i];
    }
    return first;
}

static struct package *find_package(const struct weights *w, const struct op *op, int64_t offset)
{
    for (int i = 0; i < w->package_count; i++)
        if (w->packages[i].op == op && w->packages[i].offset == offset)
            return &w->packages[i];
    return NULL;
}

/* Memory for all packed forms, when the first is needed a second time. */
static bool make_room(struct weights *w)
{
    if (w->packed || w->refused)
        return w->packed != NULL;
    w->packed = large_alloc(w->packed_bytes);
    w->refused = !w->packed;
    if (w->refused)
        log_warning("packed weights need %.1f MiB, which the system refused: runs take longer",
                    (double)w->packed_bytes / 1048576.0);
    return w->packed != NULL;
}

/* Does the op read these parameters of the node as they lie, with the bits of the packed form? */
static bool reads_plain(const struct node *n)
{
    if (n->op->reads_stored)
        return true;
    for (int i = 0; i < n->input_count; i++)
        if (n->op->packs >> i & 1 && n->input[i] && !n->input[i]->data)
            return false;
    return true;
}

/* With more rows than that, packing to stay is little beside the product. */
enum { ROWS_MOST = 512 };

void node_pack(struct node *n)
{
    struct package *p = n->package;
    struct weights *w = p->weights;
    bool again = p->read || tensor_rows(n->output) > ROWS_MOST;
    bool stays = again && make_room(w);
    p->read = true;
    n->packed = NULL;
    if (!stays && reads_plain(n))
        return;
    char *to = stays ? w->packed + p->at : w->passing;
    if (!p->packed)
        p->op->pack(w->backend, p->node, to);
    p->packed = stays;
    n->packed = to;
}

static enum err_code collect_packages(struct weights *w, const struct tape *t, struct err *e)
{
    int nodes = tape_node_count(t);
    w->packages = calloc((size_t)nodes + 1, sizeof *w->packages);
    ASSERT(w->packages, "out of memory");
    for (int i = 0; i < nodes; i++) {
        const struct node *n = tape_node(t, i);
        const struct tensor *x = packed_parameter(n);
        size_t bytes = x ? n->op->pack_bytes(w->backend, n) : 0;
        if (bytes == 0 || find_package(w, n->op, x->offset))
            continue;
        w->packages[w->package_count++] = (struct package){.weights = w,
                                                           .op = n->op,
                                                           .offset = x->offset,
                                                           .node = n,
                                                           .bytes = bytes,
                                                           .at = w->packed_bytes};
        w->packed_bytes += (bytes + 63) & ~(size_t)63;
        if (!reads_plain(n) && bytes > w->largest_bytes)
            w->largest_bytes = bytes;
    }
    w->passing = large_alloc(w->largest_bytes);
    if (!w->passing)
        FAIL(e, ERR_MEMORY, "packed weights need %.1f MiB, which the system refused",
             (double)w->largest_bytes / 1048576.0);
    return ERR_OK;
}

/* Aborts if the op would read a parameter that is packed for another network, or not float32. */
static void check_readable(const struct node *n, bool packs)
{
    ASSERT(!packs || n->package, "%s: the tape is of another network", n->op->name);
    for (int i = 0; i < n->input_count; i++) {
        const struct tensor *x = n->input[i];
        ASSERT(!x || x->kind != TENSOR_PARAMETER || x->data || (packs && n->op->packs >> i & 1),
               "%s: %s is not float32", n->op->name, x->name);
    }
}

enum err_code tape_bind_weights(struct tape *t, struct weights *w, struct err *e)
{
    for (int i = 0; i < tape_tensor_count(t); i++) {
        struct tensor *x = tape_tensor(t, i);
        if (x->kind != TENSOR_PARAMETER)
            continue;
        const struct weight *place = find_place(w, x->offset);
        ASSERT(place, "parameter %s lies nowhere", x->name);
        x->weight = *place;
        x->data = place->storage == STORAGE_F32 ? (void *)place->data : NULL;
    }
    bool first = !w->bound;
    if (first)
        TRY(collect_packages(w, t, e));
    w->bound = true;
    for (int i = 0; i < tape_node_count(t); i++) {
        struct node *n = tape_node(t, i);
        const struct tensor *x = packed_parameter(n);
        n->package = x ? find_package(w, n->op, x->offset) : NULL;
        check_readable(n, x && n->op->pack_bytes(w->backend, n) > 0);
    }
    return ERR_OK;
}

void weights_changed(struct weights *w)
{
    for (int i = 0; i < w->package_count; i++)
        w->packages[i].packed = false;
}

bool weights_are_packed(const struct weights *w)
{
    int i = 0;
    while (i < w->package_count && w->packages[i].packed)
        i++;
    return i == w->package_count;
}

size_t weights_packed_bytes(const struct weights *w) { return w->packed_bytes; }
