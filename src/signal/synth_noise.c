#include "signal/synth_noise.h"

#include <math.h>
#include <string.h>

#define TWO_PI 6.28318530717958647692
#define AMPLIFIER_MV 0.0012
#define DRIFT_WAVES 8

/* The left arm is nearest to a working heart and chest muscle. */
static const double muscle_usual_mv[ELECTRODE_COUNT] = {0.0042, 0.0066, 0.0032, 0.0020, 0.0020,
                                                        0.0020, 0.0020, 0.0020, 0.0020};

static bool is_limb(int electrode) { return electrode <= ELECTRODE_LL; }

void noise_draw(struct noise *n, double level, double duration_s, struct rng *r)
{
    memset(n, 0, sizeof *n);
    double drift = level * exp(0.75 * rng_normal(r));
    double muscle = level * exp(0.45 * rng_normal(r));
    double mains = level * exp(1.10 * rng_normal(r));
    for (int i = 0; i < ELECTRODE_COUNT; i++) {
        bool limb = is_limb(i);
        n->drift_mv[i] = drift * (limb ? 0.020 : 0.036) * exp(0.55 * rng_normal(r));
        n->breath_mv[i] = 0.9 * n->drift_mv[i] * rng_normal(r);
        n->muscle_mv[i] = muscle * muscle_usual_mv[i] * exp(0.35 * rng_normal(r));
        n->mains_mv[i] = mains * (limb ? 0.0010 : 0.0007) * exp(0.4 * rng_normal(r));
    }
    n->mains_hz = 50 + 0.02 * rng_normal(r);
    n->mains_phase = rng_between(r, 0, TWO_PI);
    n->burst_gain = 1;
    double burst = rng_uniform(r), begin = rng_uniform(r), length = rng_between(r, 0.6, 2.5);
    double gain = rng_between(r, 3, 8);
    if (burst < 0.10) {
        n->burst_begin_s = begin * duration_s;
        n->burst_end_s = n->burst_begin_s + length;
        n->burst_gain = gain;
    }
    double moved = rng_uniform(r);
    n->moved = moved < 0.07 ? (int)rng_below(r, ELECTRODE_COUNT) : -1;
    n->moved_at_s = rng_uniform(r) * duration_s;
    n->moved_mv = level * rng_between(r, 0.15, 0.8) * (rng_uniform(r) < 0.5 ? -1 : 1);
    n->moved_rise_s = rng_between(r, 0.03, 0.12);
    n->moved_fall_s = rng_between(r, 0.25, 1.0);
}

/* Nearly normal, variance 1: the sum of four 16-bit uniforms. Cheap, and bounded at 3.5. */
static inline double noise_normal(struct rng *r)
{
    uint32_t a = rng_u32(r), b = rng_u32(r);
    uint32_t sum = (a & 0xffff) + (a >> 16) + (b & 0xffff) + (b >> 16);
    return ((double)sum - 131070) * (1.7320508075688772 / 65536);
}

void noise_add_electrode(const struct noise *n, enum electrode electrode,
                         const struct rhythm *rhythm, struct rng *r, double rate_hz, double origin,
                         int64_t count, float *out)
{
    /* Drift: waves whose amplitude falls with frequency, turned step by step. */
    double c[DRIFT_WAVES], s[DRIFT_WAVES], dc[DRIFT_WAVES], ds[DRIFT_WAVES], power = 0;
    for (int w = 0; w < DRIFT_WAVES; w++) {
        double hz = 0.04 * pow(1.5, w) * rng_between(r, 0.85, 1.15);
        double size = pow(1.5, -0.75 * w) * (0.5 + rng_uniform(r));
        double phase = rng_between(r, 0, TWO_PI);
        c[w] = size * cos(phase);
        s[w] = size * sin(phase);
        dc[w] = cos(TWO_PI * hz / rate_hz);
        ds[w] = sin(TWO_PI * hz / rate_hz);
        power += 0.5 * size * size;
    }
    double drift = n->drift_mv[electrode] / sqrt(power);

    /* Muscle: white noise between two first-order corners, scaled to unit variance. */
    double low = exp(-TWO_PI * 90 / rate_hz), high = exp(-TWO_PI * 8 / rate_hz);
    double unit = sqrt(2 * (1 - low * high) * (1 + low) / (1 + high)) / (1 - low);
    double slow = 0, smooth = 0, before = 0, envelope = 1, drive = 0;
    double mains_phase = n->mains_phase + rng_between(r, -0.4, 0.4);
    double mains = n->mains_mv[electrode], breath = n->breath_mv[electrode];
    bool moves = n->moved == (int)electrode;

    for (int64_t i = 0; i < count; i++) {
        double t = ((double)i - origin) / rate_hz, x = 0;
        for (int w = 0; w < DRIFT_WAVES; w++) {
            double turned = c[w] * dc[w] - s[w] * ds[w];
            s[w] = c[w] * ds[w] + s[w] * dc[w];
            c[w] = turned;
            x += turned;
        }
        x = x * drift + breath * rhythm_breath(rhythm, t);

        if (i % 32 == 0) { /* tone comes and goes over about a second */
            drive += 0.06 * (-drive + 4 * noise_normal(r));
            envelope = exp(0.4 * drive);
            if (is_limb(electrode) && t >= n->burst_begin_s && t < n->burst_end_s)
                envelope *= n->burst_gain;
        }
        double white = noise_normal(r);
        smooth = low * smooth + (1 - low) * white;
        slow = high * slow + 0.5 * (1 + high) * (smooth - before);
        before = smooth;
        x += n->muscle_mv[electrode] * envelope * unit * slow;
        x += (n->muscle_mv[electrode] > 0 ? AMPLIFIER_MV : 0) * white;

        double phase = TWO_PI * n->mains_hz * t + mains_phase;
        x += mains * (sin(phase) + 0.12 * sin(3 * phase));
        if (moves && t > n->moved_at_s) {
            double since = t - n->moved_at_s;
            x += n->moved_mv * (1 - exp(-since / n->moved_rise_s)) * exp(-since / n->moved_fall_s);
        }
        out[i] += (float)x;
    }
}
