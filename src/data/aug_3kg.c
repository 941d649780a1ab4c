/* The heart turned and stretched in space: leads become a vectorcardiogram by the inverse Dower matrix,
 * which is rotated, scaled by axis and brought back by its pseudo-inverse; then each lead loses one
 * window. Labels of the heart's axis do not survive it. What three dimensions do not hold of the eight
 * leads is lost. A view without I, II and V1 to V6 is only masked. Meant for leads in one unit (global
 * or no normalization): with a z-score by lead the geometry is that of the scores, as upstream has it.
 * Source: Gopal et al. 2021 (3KG, arXiv 2106.04452), section 3; the matrix: Edenbrandt and Pahlm 1988. */
#include <math.h>
#include <string.h>

#include "data/augment.h"
#include "signal/lead.h"

enum { AXES = 3, EIGHT = 8 };

struct threekg_config {
    double probability, angle_max, scale_max, mask_part;
};

static const struct option threekg_options[] = {
    OPT_FLOAT(threekg_config, probability, "0", 0, 1, NULL, "chance of applying it to a view"),
    OPT_FLOAT(threekg_config, angle_max, "45", 0, 180, "degrees",
              "largest rotation about each axis, either way"),
    OPT_FLOAT(threekg_config, scale_max, "1.5", 1, 10, NULL, "largest factor on each axis, from 1"),
    OPT_FLOAT(threekg_config, mask_part, "0.5", 0, 1, NULL,
              "part of each lead set to zero, at a place of its own; it wraps around"),
    OPTION_END};

static const enum ecg_lead eight[EIGHT] = {LEAD_I,  LEAD_II, LEAD_V1, LEAD_V2,
                                           LEAD_V3, LEAD_V4, LEAD_V5, LEAD_V6};
static const double dower[AXES][EIGHT] = {{.156, -.009, -.172, -.073, .122, .231, .239, .193},
                                          {-.227, .886, .057, -.019, -.106, -.022, .040, .048},
                                          {.021, .102, -.228, -.310, -.245, -.063, .054, .108}};

/* a <- r a, where r turns axes i and j by an angle. */
static void turn(double a[AXES][AXES], int i, int j, double angle)
{
    double c = cos(angle), s = sin(angle);
    for (int k = 0; k < AXES; k++) {
        double x = a[i][k], y = a[j][k];
        a[i][k] = c * x - s * y;
        a[j][k] = s * x + c * y;
    }
}

/* Inverse by cofactors; the matrix is dower dower^T, well conditioned. */
static void inverse(const double a[AXES][AXES], double out[AXES][AXES])
{
    double determinant = 0;
    for (int i = 0; i < AXES; i++)
        for (int j = 0; j < AXES; j++) {
            int p = (i + 1) % AXES, q = (i + 2) % AXES, u = (j + 1) % AXES, w = (j + 2) % AXES;
            out[j][i] = a[p][u] * a[q][w] - a[p][w] * a[q][u];
            if (i == 0)
                determinant += a[0][j] * out[j][0];
        }
    for (int i = 0; i < AXES * AXES; i++)
        out[i / AXES][i % AXES] /= determinant;
}

/* change = pinv(dower) spatial dower, pinv(dower) = dower^T (dower dower^T)^-1 */
static void lead_change(const double spatial[AXES][AXES], double change[EIGHT][EIGHT])
{
    double square[AXES][AXES] = {{0}}, back[AXES][AXES], between[AXES][AXES] = {{0}};
    for (int i = 0; i < AXES; i++)
        for (int j = 0; j < AXES; j++)
            for (int l = 0; l < EIGHT; l++)
                square[i][j] += dower[i][l] * dower[j][l];
    inverse(square, back);
    for (int i = 0; i < AXES; i++)
        for (int j = 0; j < AXES; j++)
            for (int k = 0; k < AXES; k++)
                between[i][j] += back[i][k] * spatial[k][j];
    for (int l = 0; l < EIGHT; l++)
        for (int m = 0; m < EIGHT; m++) {
            change[l][m] = 0;
            for (int i = 0; i < AXES; i++)
                for (int j = 0; j < AXES; j++)
                    change[l][m] += dower[i][l] * between[i][j] * dower[j][m];
        }
}

static void leads_change(struct view *v, const double change[EIGHT][EIGHT])
{
    float *x[EIGHT];
    for (int l = 0; l < EIGHT; l++)
        if (!(x[l] = view_lead(v, eight[l])))
            return;
    for (int64_t t = 0; t < v->T; t++) {
        double in[EIGHT];
        for (int l = 0; l < EIGHT; l++)
            in[l] = x[l][t];
        for (int l = 0; l < EIGHT; l++) {
            double sum = 0;
            for (int m = 0; m < EIGHT; m++)
                sum += change[l][m] * in[m];
            x[l][t] = (float)sum;
        }
    }
    view_derive_limb_leads(v);
}

static void threekg_apply(const void *config, struct view *v, struct rng *r)
{
    const struct threekg_config *c = config;
    double spatial[AXES][AXES] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}, change[EIGHT][EIGHT];
    for (int axis = AXES; axis-- > 0;) { /* about z, then y, then x */
        double angle = rng_between(r, -c->angle_max, c->angle_max) * (3.14159265358979324 / 180);
        turn(spatial, (axis + 1) % AXES, (axis + 2) % AXES, angle);
    }
    for (int i = 0; i < AXES; i++) {
        double factor = rng_between(r, 1, c->scale_max);
        for (int j = 0; j < AXES; j++)
            spatial[i][j] *= factor;
    }
    lead_change(spatial, change);
    leads_change(v, change);
    int64_t n = (int64_t)(c->mask_part * (double)v->T);
    for (int64_t l = 0; l < v->L; l++) {
        int64_t begin = rng_below(r, v->T), head = n < v->T - begin ? n : v->T - begin;
        memset(v->x + l * v->T + begin, 0, (size_t)head * sizeof *v->x);
        memset(v->x + l * v->T, 0, (size_t)(n - head) * sizeof *v->x);
    }
}

const struct augmentation augmentation_3kg = {
    .name = "3kg",
    .help = "the heart rotated and scaled in space, then half of each lead set to zero",
    .options = threekg_options,
    .config_size = sizeof(struct threekg_config),
    .keeps_labels = false,
    .apply = threekg_apply,
};
