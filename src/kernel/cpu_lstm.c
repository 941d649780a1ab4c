#include "kernel/lstm.h"

#include "kernel/split.h"

/* Floats that weights [N,K] packed by a backend take, in whole cache lines. */
static int64_t packed_floats(const struct backend *k, int64_t N, int64_t K)
{
    return (int64_t)(k->pack_bytes(N, K) / sizeof(float) + 15) / 16 * 16;
}

static int64_t lines(int64_t floats) { return (floats + 15) / 16 * 16; }

static void pack(const struct backend *k, void *packed, const float *w, int64_t N, int64_t K)
{
    k->pack(packed, &(struct weight){w, STORAGE_F32, NULL}, N, K);
}

/* Buffers of one token: rows of the records of a batch. */
struct token {
    int64_t B, T, H, at; /* token `at` of T */
    float *sums;         /* [B,4H] what it gets from the one before */
    float *last;         /* [B,H] y, for the next product */
    float *cell;         /* [B,H] where cells are not kept */
};

static void token_fwd(const struct token *s, float *y, float *gates, float *cells, const float *x)
{
    const struct vector_kernels *v = vector_in_use();
    int64_t H = s->H, G = 4 * H;
    PARALLEL_SHARES(s->B, 1, s->B * G, {
        for (int64_t b = from; b < to; b++) {
            int64_t r = b * s->T + s->at;
            float *gate = gates ? gates + r * G : s->sums + b * G;
            float *cell = cells ? cells + r * H : s->cell + b * H;
            const float *before = s->at == 0 ? NULL : cells ? cell - H : cell;
            if (s->at > 0)
                v->add(gate, x + r * G, s->sums + b * G, G);
            else
                memcpy(gate, x + r * G, sizeof *gate * (size_t)G);
            v->lstm_cell_fwd(s->last + b * H, cell, gate, before, H);
            memcpy(y + r * H, s->last + b * H, sizeof *y * (size_t)H);
        }
    });
}

void cpu_lstm_fwd(const struct backend *products, void *y, void *gates, void *cells, const void *x,
                  const void *w, int64_t B, int64_t T, int64_t H)
{
    int64_t G = 4 * H, packed = packed_floats(products, G, H);
    float *scratch = kernel_scratch(SCRATCH_SHARED, packed + lines(B * G) + 2 * lines(B * H));
    struct token s = {.B = B, .T = T, .H = H, .sums = scratch + packed};
    s.last = s.sums + lines(B * G);
    s.cell = s.last + lines(B * H);
    pack(products, scratch, w, G, H);
    for (; s.at < T; s.at++) {
        if (s.at > 0)
            products->linear_packed(s.sums, s.last, scratch, NULL, B, G, H, ACTIVATION_NONE);
        token_fwd(&s, y, gates, cells, x);
    }
}

/* Buffers of one token on the way back. */
struct token_back {
    int64_t B, T, H, at;
    float *after; /* [B,4H] slopes of the token after, then of this one, for the next product */
    float *dcell; /* [B,H] gradient of the cell by later tokens */
    float *dh;    /* [B,H] what they bring to y, then all */
};

static void token_bwd(const struct token_back *s, float *slopes, const float *dy,
                      const float *gates, const float *cells)
{
    const struct vector_kernels *v = vector_in_use();
    int64_t H = s->H, G = 4 * H;
    PARALLEL_SHARES(s->B, 1, s->B * G, {
        for (int64_t b = from; b < to; b++) {
            int64_t r = b * s->T + s->at;
            const float *cell = cells + r * H;
            float *dh = s->dh + b * H;
            if (s->at < s->T - 1)
                v->add(dh, dh, dy + r * H, H);
            else
                memcpy(dh, dy + r * H, sizeof *dh * (size_t)H);
            v->lstm_cell_bwd(slopes + r * G, s->dcell + b * H, dh, gates + r * G, cell,
                             s->at ? cell - H : NULL, H);
            memcpy(s->after + b * G, slopes + r * G, sizeof *slopes * (size_t)G);
        }
    });
}

void cpu_lstm_bwd(const struct backend *products, void *dx, void *dw, const void *dy, const void *y,
                  const void *gates, const void *cells, const void *w, int64_t B, int64_t T,
                  int64_t H, int add_x, int add_w)
{
    int64_t G = 4 * H, packed = packed_floats(products, H, G), own = !dx || add_x;
    float *scratch = kernel_scratch(SCRATCH_SHARED, packed + lines(G * H) + lines(B * G) +
                                                        2 * lines(B * H) + (own ? B * T * G : 0));
    float *across = scratch + packed;
    struct token_back s = {.B = B, .T = T, .H = H, .at = T - 1, .after = across + lines(G * H)};
    s.dcell = s.after + lines(B * G);
    s.dh = s.dcell + lines(B * H);
    float *slopes = own ? s.dh + lines(B * H) : dx;
    vector_in_use()->transpose(across, G, w, H, G, H);
    pack(products, scratch, across, H, G);
    memset(s.dcell, 0, sizeof *s.dcell * (size_t)(B * H));
    for (; s.at >= 0; s.at--) {
        if (s.at < T - 1)
            products->linear_packed(s.dh, s.after, scratch, NULL, B, H, G, ACTIVATION_NONE);
        token_bwd(&s, slopes, dy, gates, cells);
    }
    for (int64_t b = 0; dw && b < B;
         b++) /* what a token got from the one before, all tokens at once */
        products->linear_bwd_w(dw, NULL, slopes + (b * T + 1) * G, (const float *)y + b * T * H,
                               T - 1, G, H, add_w || b > 0);
    if (dx && add_x)
        backend_cpu()->add(dx, dx, slopes, B * T * G);
}
