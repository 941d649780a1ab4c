#include "kernel/split.h"

/* The tile of the widest kernels; pieces are cut at its multiples. */
enum { ROWS = 12, COLUMNS = 32 };

static int64_t piece_size(int64_t n, int64_t grain, int64_t pieces)
{
    int64_t units = (n + grain - 1) / grain;
    return (units + pieces - 1) / pieces * grain;
}

void split_product(const struct product *p, int width,
                   void (*gemm)(const struct product *p, int64_t i, int64_t rows, int64_t j,
                                int64_t columns))
{
    int team = threads_for(p->M * p->N * p->K / 64), across = 1;
    for (int64_t n = 1, best = INT64_MAX; n <= team; n++) {
        if (team % n)
            continue;
        int64_t rows = piece_size(p->M, ROWS, team / n), columns = piece_size(p->N, COLUMNS, n);
        int64_t cost = rows * columns / width + rows + (p->packed ? 0 : columns);
        if (cost < best)
            best = cost, across = (int)n;
    }
    if (team == 1) { /* without OpenMP, see PARALLEL_SHARES */
        if (p->M > 0 && p->N > 0)
            gemm(p, 0, p->M, 0, p->N);
        return;
    }
#pragma omp parallel for schedule(static) num_threads(team)
    for (int piece = 0; piece < team; piece++) {
        int64_t i = share(p->M, ROWS, piece / across, team / across);
        int64_t j = share(p->N, COLUMNS, piece % across, across);
        int64_t rows = share(p->M, ROWS, piece / across + 1, team / across) - i;
        int64_t columns = share(p->N, COLUMNS, piece % across + 1, across) - j;
        if (rows > 0 && columns > 0)
            gemm(p, i, rows, j, columns);
    }
}
