/* State space models and gated linear units on threads: a unit of work is some channels of one record. Coefficients are made of the
 * parameters, and gradients of parameters of theirs, in double; sums over records have a shape
 * fixed by their number. */
#include "kernel/complex_number.h"
#include "kernel/split.h"
#include "kernel/vector.h"

#include <math.h>
#include <string.h>

enum { CHANNELS = 16 }; /* of a unit: a line of the cache */

static int64_t padded(int64_t H) { return (H + CHANNELS - 1) / CHANNELS * CHANNELS; }

/* One state: z = dt A; C' = 2 C dt phi, phi = (e^z - 1) / z. */
struct state {
    double dt;
    double complex a, decay, phi; /* decay: e^z - 1 */
};

static struct state state_of(const struct ssm *s, int64_t h, int64_t n)
{
    const float *step = s->step, *real = s->real, *imaginary = s->imaginary;
    struct state x;
    x.dt = exp((double)step[h]);
    x.a = complex_number(-exp((double)real[h * s->N + n]), (double)imaginary[h * s->N + n]);
    double complex z = x.dt * x.a;
    double less = expm1(creal(z)), half = sin(cimag(z) / 2); /* good near zero too */
    x.decay = complex_number(less - 2 * (less + 1) * half * half, (less + 1) * sin(cimag(z)));
    x.phi = z == 0 ? 1 : x.decay / z;
    return x;
}

/* The derivative of phi by z, (z e^z - (e^z - 1)) / z^2. */
static double complex phi_slope(const struct state *x)
{
    double complex z = x->dt * x->a;
    if (cabs(z) > 0.1)
        return (x->decay + 1 - x->phi) / z;
    double complex sum = 0, power = 1; /* sum of z^k (k + 1) / (k + 2)! */
    double factorial = 2;
    for (int k = 0; k < 12; k++, power *= z, factorial *= k + 2)
        sum += power * ((k + 1) / factorial);
    return sum;
}

static double complex output_of(const struct ssm *s, int64_t d, int64_t h, int64_t n)
{
    const float *c = (const float *)s->output + ((d * s->H + h) * s->N + n) * 2;
    return complex_number((double)c[0], (double)c[1]);
}

/* SSM_ROWS rows for each state and one of the skip, to `out`. */
static struct ssm_channels channels_of(float *out, const struct ssm *s)
{
    int64_t row = padded(s->H);
    memset(out, 0, sizeof *out * (size_t)((s->N * SSM_ROWS + 1) * row));
    PARALLEL_SHARES(s->H, CHANNELS, s->H * s->N * 64, {
        for (int64_t h = from; h < to; h++)
            for (int64_t n = 0; n < s->N; n++) {
                struct state x = state_of(s, h, n);
                float *at = out + n * SSM_ROWS * row + h;
                at[SSM_DECAY * row] = (float)creal(x.decay);
                at[(SSM_DECAY + 1) * row] = (float)cimag(x.decay);
                for (int64_t d = 0; d < s->directions; d++) {
                    double complex c = 2 * x.dt * x.phi * output_of(s, d, h, n);
                    at[(SSM_OUTPUT + 2 * d) * row] = (float)creal(c);
                    at[(SSM_OUTPUT + 2 * d + 1) * row] = (float)cimag(c);
                }
            }
    });
    memcpy(out + s->N * SSM_ROWS * row, s->skip, sizeof *out * (size_t)s->H);
    return (struct ssm_channels){out,          out + s->N * SSM_ROWS * row, row, s->T, s->H, s->N,
                                 s->directions};
}

static void ssm_fwd(void *y_, const void *x_, const struct ssm *s)
{
    const struct vector_kernels *v = vector_in_use();
    float *y = y_;
    const float *x = x_;
    int64_t row = padded(s->H), blocks = row / CHANNELS;
    float *coefficients = kernel_scratch(SCRATCH_SHARED, (s->N * SSM_ROWS + 1) * row);
    struct ssm_channels all = channels_of(coefficients, s);
    PARALLEL_SHARES(s->B * blocks, 1, s->B * s->T * s->H * s->N, {
        float *work = kernel_scratch(SCRATCH_TASK, v->ssm_floats(s->T));
        for (int64_t i = from; i < to; i++) {
            int64_t c = i % blocks * CHANNELS, at = i / blocks * s->T * s->H + c;
            struct ssm_channels some = all;
            some.coefficients += c, some.skip += c;
            v->ssm_fwd(y + at, x + at, &some, min_i64(CHANNELS, s->H - c), work);
        }
    });
}

/* From the sums over records to the gradients of the parameters. */
static void parameters_bwd(const struct ssm_gradients *g, const float *slopes, int64_t row,
                           const struct ssm *s)
{
    for (int64_t h = 0; h < s->H; h++) {
        double step = 0;
        for (int64_t n = 0; n < s->N; n++) {
            const float *at = slopes + n * SSM_SLOPES * row + h;
            struct state x = state_of(s, h, n);
            double complex of_decay = 0, of_c = 0; /* of_c: sum of those of C' times 2 C */
            for (int64_t d = 0; d < s->directions; d++) {
                double complex c = output_of(s, d, h, n), factor = 2 * x.dt * x.phi;
                double complex slope =
                    complex_number((double)at[2 * d * row], (double)at[(2 * d + 1) * row]);
                double complex along =
                    complex_number((double)at[(4 + 2 * d) * row], (double)at[(5 + 2 * d) * row]);
                of_decay += factor * c * slope;
                of_c += 2 * c * along;
                float *dc = g->output;
                if (dc) {
                    dc += ((d * s->H + h) * s->N + n) * 2;
                    dc[0] += (float)creal(factor * along);
                    dc[1] -= (float)cimag(factor * along);
                }
            }
            double complex of_z = of_c * x.dt * phi_slope(&x) + of_decay * (x.decay + 1);
            step += creal(of_z * x.a + of_c * x.phi) * x.dt;
            if (g->real)
                ((float *)g->real)[h * s->N + n] += (float)(creal(of_z) * x.dt * creal(x.a));
            if (g->imaginary)
                ((float *)g->imaginary)[h * s->N + n] -= (float)(cimag(of_z) * x.dt);
        }
        if (g->step)
            ((float *)g->step)[h] += (float)step;
        if (g->skip)
            ((float *)g->skip)[h] += slopes[s->N * SSM_SLOPES * row + h];
    }
}

static void ssm_bwd(void *dx_, const struct ssm_gradients *g, const void *dy_, const void *x_,
                    const struct ssm *s, int add)
{
    const struct vector_kernels *v = vector_in_use();
    float *dx = dx_;
    const float *dy = dy_, *x = x_;
    int64_t row = padded(s->H), blocks = row / CHANNELS, rows = s->N * SSM_SLOPES + 1;
    bool learns = g->step || g->real || g->imaginary || g->output || g->skip;
    float *coefficients =
        kernel_scratch(SCRATCH_SHARED,
                       (s->N * SSM_ROWS + 1) * row + (learns ? (s->B + 1) * rows * row : 0));
    struct ssm_channels all = channels_of(coefficients, s);
    float *total = coefficients + (s->N * SSM_ROWS + 1) * row, *slopes = total + rows * row;
    PARALLEL_SHARES(s->B * blocks, 1, s->B * s->T * s->H * s->N, {
        float *work = kernel_scratch(SCRATCH_TASK, v->ssm_floats(s->T));
        for (int64_t i = from; i < to; i++) {
            int64_t c = i % blocks * CHANNELS, record = i / blocks, at = record * s->T * s->H + c;
            struct ssm_channels some = all;
            some.coefficients += c, some.skip += c;
            v->ssm_bwd(dx ? dx + at : NULL, learns ? slopes + record * rows * row + c : NULL,
                       dy + at, x + at, &some, min_i64(CHANNELS, s->H - c), add, work);
        }
    });
    if (!learns)
        return;
    memset(total, 0, sizeof *total * (size_t)(rows * row));
    PARALLEL_SHARES(rows * row, CHANNELS, s->B * rows * row, {
        v->column_sums(total + from, slopes + from, NULL, s->B, to - from, rows * row);
    });
    parameters_bwd(g, total, row, s);
}

/* ---- gated linear units ---------------------------------------------------------------------- */

/* The part of a generator that is row m's; of rows of D numbers in groups of d->group_size. */
static struct rng row_rng(const struct dropout *d, int64_t m, int64_t D, int64_t *skip)
{
    *skip = 0;
    if (!d)
        return (struct rng){.used = 4};
    int64_t element = m * D % d->group_size;
    *skip = element % 4;
    return dropout_rng(d, m * D / d->group_size, element);
}

static void gated_norm_fwd(void *y_, void *mean_, void *rstd_, const void *x_, const void *h_,
                           const void *g, const void *b, int64_t M, int64_t D, double epsilon,
                           const struct dropout *d)
{
    const struct vector_kernels *v = vector_in_use();
    float *y = y_, *mean = mean_, *rstd = rstd_;
    const float *x = x_, *h = h_;
    PARALLEL_SHARES(M, 1, M * D, {
        float *work = kernel_scratch(SCRATCH_TASK, v->gated_floats(D));
        for (int64_t m = from; m < to; m++) {
            int64_t skip;
            struct rng r = row_rng(d, m, D, &skip);
            v->gated_norm_fwd(y + m * D, mean + m, rstd + m, x + m * D, h + m * 2 * D, g, b, D,
                              epsilon, d ? d->p : 0, r, skip, work);
        }
    });
}

static void gated_norm_bwd(void *dx_, void *dh_, void *dg, void *db, const void *dy_,
                           const void *x_, const void *h_, const void *g, const void *mean_,
                           const void *rstd_, int64_t M, int64_t D, const struct dropout *d,
                           int add_x, int add_h)
{
    const struct vector_kernels *v = vector_in_use();
    float *dx = dx_, *dh = dh_;
    const float *dy = dy_, *x = x_, *h = h_, *mean = mean_, *rstd = rstd_;
    int64_t groups = (M + GROUP_ROWS - 1) / GROUP_ROWS;
    float *sums = dg || db ? kernel_scratch(SCRATCH_SHARED, groups * 2 * D) : NULL;
    PARALLEL_SHARES(groups, 1, M * D, {
        float *work = kernel_scratch(SCRATCH_TASK, v->gated_floats(D));
        for (int64_t group = from; group < to; group++) {
            float *sum = sums ? sums + group * 2 * D : NULL;
            if (sum)
                memset(sum, 0, sizeof *sum * (size_t)(2 * D));
            for (int64_t m = group * GROUP_ROWS; m < min_i64(M, (group + 1) * GROUP_ROWS); m++) {
                int64_t skip;
                struct rng r = row_rng(d, m, D, &skip);
                v->gated_norm_bwd(dx ? dx + m * D : NULL, dh ? dh + m * 2 * D : NULL, sum,
                                  dy + m * D, x + m * D, h + m * 2 * D, g, mean[m], rstd[m], D,
                                  d ? d->p : 0, r, skip, add_x, add_h, work);
            }
        }
    });
    if (dg)
        v->column_sums(dg, sums, NULL, groups, D, 2 * D);
    if (db)
        v->column_sums(db, sums + D, NULL, groups, D, 2 * D);
}

void cpu_ssm_members(struct backend *k)
{
    k->gated_norm_fwd = gated_norm_fwd;
    k->gated_norm_bwd = gated_norm_bwd;
    k->ssm_fwd = ssm_fwd;
    k->ssm_bwd = ssm_bwd;
}
