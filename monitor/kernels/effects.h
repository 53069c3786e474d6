/* How far does a group lie beyond what is tolerated, and by how much may chance be off? Asked of cells and of margins. */
#ifndef MW_EFFECTS_H
#define MW_EFFECTS_H

#include <math.h>
#include <stdint.h>

enum { LESS = 0, MORE = 1, EITHER = 3, DIRECTIONS = 2 };

static inline double larger(double a, double b) { return a > b ? a : b; }
static inline double smaller(double a, double b) { return a < b ? a : b; }
static inline double within(double x, double low, double high) { return smaller(larger(x, low), high); }

/* Where what is tolerated ends: a gap, or the logarithm of a ratio. */
static inline double edge_of(int gap, double tolerance) { return gap ? tolerance : log(larger(tolerance, 1e-9)); }

/* By how much each direction lies beyond the `edge`, by the sums of Mantel and Haenszel. `asks` has a bit for each
 * direction that is harm. */
static inline void outside(int gap, uint8_t asks, double edge, const double *strata, double beyond[DIRECTIONS])
{
    double got = strata[0], due = strata[1];
    if (gap) {
        double moved = (due - got) / larger(strata[2], 1e-9);
        beyond[LESS] = moved - edge;
        beyond[MORE] = -moved - edge;
    } else {
        double ratio = due > 0.0 ? got / due : got > 0.0 ? INFINITY : 1.0;
        double log_ratio = within(log(ratio), -50.0, 50.0);
        beyond[LESS] = edge - log_ratio;
        beyond[MORE] = edge + log_ratio;
    }
    for (int direction = 0; direction < DIRECTIONS; direction++)
        if (!(asks >> direction & 1))
            beyond[direction] = -INFINITY;
}

/* The standard error of that, from what was `seen`, which weighs so many times its sum. */
static inline double noise(int gap, const double *seen, double weight)
{
    double na = larger(weight * seen[0], 1.0), nb = larger(weight * seen[2], 1.0);
    double sa = smaller(weight * seen[1] + 0.5, na), sb = smaller(weight * seen[3] + 0.5, nb);
    if (gap)
        return sqrt(sa / na * (1.0 - sa / na) / na + sb / nb * (1.0 - sb / nb) / nb);
    return sqrt(larger(1.0 / sa - 1.0 / na + 1.0 / sb - 1.0 / nb, 1e-9));
}

#endif
