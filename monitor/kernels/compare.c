/* How groups are compared with the rest: each comparison bets on what was pooled, within strata. compare.py of this room
 * has the same in numpy, and says what it means.
 *
 * Nothing is contracted or reordered by the compiler, so that every machine finds the same. The alternatives of a
 * direction are bet on at once, and what eight cells bet is added up at once.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "effects.h"
#include "lanes.h"

enum { STEPS = 4, COMPONENTS = DIRECTIONS * STEPS };
static const double PI = 3.14159265358979323846;

typedef struct {
    int64_t cells;
    const int64_t *first, *row, *cell;
    const uint8_t *kind, *lonely;
    const double *tolerance, *decay, *log_budget;
    const uint8_t *gap, *asks;
    const double *steps, *log_steps, *beyond;
    double off, lowest, highest, rate_max, tiny, prior, dispersion_margin, dispersion_max;
    int64_t prior_ticks;
    double *pool, *recent, *last;
    float *log_r;
    double *scatter, *scatter_weight;
    int32_t *scatter_ticks;
    double *of_recent, *of_recent_within, *of_since, *of_since_within;
    float *before;
    double *eta, *log_total, *pooled, *present, *previous;
} compare_call;

typedef struct {
    int64_t cells;
    const int64_t *cell;
    const uint8_t *kind;
    const double *tolerance;
    const uint8_t *gap, *asks;
    const double *of_recent, *of_recent_within, *of_since, *of_since_within;
    const double *recent_people, *since_people;
    double smallest, weight, margin;
    int64_t *direction;
    double *furthest;
    uint8_t *clear;
} moved_call;

int64_t mw_compare_call_size(void);
int64_t mw_moved_call_size(void);
void mw_compare(const compare_call *c);
void mw_moved(const moved_call *c);

int64_t mw_compare_call_size(void) { return sizeof(compare_call); }

int64_t mw_moved_call_size(void) { return sizeof(moved_call); }

/* One side's cases and what they sum to. */
typedef struct {
    double n, s;
} side;

INLINE quad log_of(const compare_call *c, quad p, quad q)
{
    quad least = all_four(c->tiny);
    return log_of_ratio(larger_four(p, least), larger_four(q, least));
}

INLINE quad log_ratio(const compare_call *c, side x, quad p1, quad p0)
{
    quad success = log_of(c, p1, p0), failure = log_of(c, 1.0 - p1, 1.0 - p0);
    return four_where(p1 == p0, all_four(0.0), x.s * (success - failure) + x.n * failure);
}

/* Against "b's rate is at least tau times a's", with each alternative; of these there are `logs` besides. */
INLINE quad bet_on_ratio(const compare_call *c, side a, side b, double level, double tau, const double *steps, quad logs)
{
    double n = a.n + b.n;
    quad ratio = tau * load_four(steps);
    quad a1 = smaller_four(level * n / (a.n + b.n * ratio), all_four(c->rate_max)), b1 = ratio * a1;
    quad linear = a.n * (1.0 + tau * a1) + b.n * (tau + b1), constant = a.n * a1 + b.n * b1;
    quad root = root_of_four(larger_four(linear * linear - 4.0 * tau * n * constant, all_four(0.0)));
    quad a0 = 2.0 * constant / (linear + root);
    quad gain = log_of(c, a1, a0); /* b1 is to b0 as a1 to a0, times the step */
    quad of_a = log_of(c, 1.0 - a1, 1.0 - a0), of_b = log_of(c, 1.0 - b1, 1.0 - tau * a0);
    quad log_e = a.s * (gain - of_a) + a.n * of_a + b.s * (gain + logs - of_b) + b.n * of_b;
    return four_where((b1 < tau * a1) & (linear > 0.0), log_e, all_four(0.0));
}

INLINE double newton(double x, double a1, double b1, double wa, double wb, double eps)
{
    double y = x - eps;
    double value = wa * (x - a1) * y * (1.0 - y) + wb * (y - b1) * x * (1.0 - x);
    double slope = wa * (y * (1.0 - y) + (x - a1) * (1.0 - 2.0 * y)) + wb * (x * (1.0 - x) + (y - b1) * (1.0 - 2.0 * x));
    return within(x - (slope > 0.0 ? value / slope : 0.0), eps, 1.0);
}

/* The rate of a, and of b less eps, that lie nearest to a1 and b1; parts wa and wb of all are theirs. */
INLINE double nearest_gap(double a1, double b1, double wa, double wb, double eps)
{
    double quadratic = -(wa * (1.0 + 2.0 * eps + a1) + wb * (1.0 + eps + b1));
    double linear = wa * (eps * (1.0 + eps) + a1 * (1.0 + 2.0 * eps)) + wb * (eps + b1);
    double third = quadratic / 3.0, constant = -wa * a1 * eps * (1.0 + eps);
    double q = third * third * third - linear * quadratic / 6.0 + constant / 2.0;
    double p = copysign(sqrt(third * third - linear / 3.0), q);
    double angle = acos(within(q / (p * p * p), -1.0, 1.0));
    double a0 = within(2.0 * p * cos((PI + angle) / 3.0) - third, eps, 1.0);
    for (int turn = 0; turn < 2; turn++)
        a0 = newton(a0, a1, b1, wa, wb, eps);
    return a0;
}

/* Against "a's rate is at most eps above b's", with each alternative. */
INLINE quad bet_on_gap(const compare_call *c, side a, side b, double level, double eps, const double *steps)
{
    double share = b.n / larger(a.n + b.n, 1.0), least = (1.0 - c->rate_max) / 2.0, n = a.n + b.n;
    quad a1, b1, a0;
    for (int step = 0; step < STEPS; step++) {
        double gap = larger(eps + c->beyond[step], steps[step]);
        a1[step] = within(level + share * gap, gap, 1.0 - least);
        b1[step] = larger(a1[step] - gap, least);
        int bets = a1[step] - b1[step] > eps && n > 0.0;
        a0[step] = bets ? nearest_gap(a1[step], b1[step], a.n / n, b.n / n, eps) : a1[step];
    }
    quad log_e = log_ratio(c, a, a1, a0) + log_ratio(c, b, b1, a0 - eps);
    return four_where(a1 - b1 > eps, log_e, all_four(0.0));
}

/* Whether a cell bets in a direction: of two groups "less" of one is "more" of the other, and is asked once. */
INLINE int asks(const compare_call *c, int64_t j, int direction)
{
    uint8_t directions = c->asks[c->kind[j]];
    return (directions >> direction & 1) && !(direction == LESS && directions == EITHER && c->lonely[j]);
}

/* Add the log e-values of what a tally pooled to those of its cell. */
INLINE void bet(const compare_call *c, int64_t j, const double *pool, const double *recent, quad *log_e)
{
    int64_t kind = c->kind[j];
    const double *steps = c->steps + kind * STEPS;
    double level = (recent[1] + recent[3] + 0.5) / (recent[0] + recent[2] + 1.0);
    level = within(level, c->lowest, c->highest);
    side rest = {pool[0], pool[1]}, group = {pool[2], pool[3]};
    quad logs = load_four(c->log_steps + kind * STEPS);
    for (int direction = 0; direction < DIRECTIONS; direction++) {
        side a = direction == LESS ? rest : group, b = direction == LESS ? group : rest;
        log_e[direction] += !asks(c, j, direction) ? all_four(c->off)
                            : c->gap[kind]         ? bet_on_gap(c, a, b, level, c->tolerance[j], steps)
                                                   : bet_on_ratio(c, a, b, level, c->tolerance[j], steps, logs);
    }
}

/* By what power e-values are raised, as earlier ticks scattered. */
INLINE double tempering(const compare_call *c, int64_t cell)
{
    double weight = c->scatter_weight[cell], phi = weight > 0.0 ? c->scatter[cell] / weight : c->prior;
    if (c->scatter_ticks[cell] < c->prior_ticks)
        phi = larger(phi, c->prior);
    return smaller(1.0, 1.0 / larger(c->dispersion_margin * phi, 1.0));
}

/* Let one side of a tally into the scatter of its cell. */
INLINE void scatter(const compare_call *c, int64_t cell, side before, side now)
{
    if (before.n <= 0.0 || now.n <= 0.0)
        return;
    double total = before.n + now.n, pooled = (before.s + now.s) / total, gap = now.s / now.n - before.s / before.n;
    double weight = pooled * (1.0 - pooled) * total / (total - 1.0);
    c->scatter[cell] += smaller(gap * gap * before.n * now.n / total, c->dispersion_max * weight);
    c->scatter_weight[cell] += weight;
}

/* Let what a tally pooled into what its cell knows; the pool is empty then. Returns whether it had bet before. */
INLINE int remember(const compare_call *c, int64_t j, int64_t row, double *whole, double *strata)
{
    double *pool = c->pool + 4 * row, *recent = c->recent + 4 * row, *last = c->last + 4 * row;
    int64_t cell = c->cell[j];
    int known = last[0] > 0.0;
    scatter(c, cell, (side){last[0], last[1]}, (side){pool[0], pool[1]});
    scatter(c, cell, (side){last[2], last[3]}, (side){pool[2], pool[3]});
    double size = pool[0] + pool[2];
    strata[0] += pool[3] * pool[0] / size;
    strata[1] += pool[1] * pool[2] / size;
    strata[2] += pool[0] * pool[2] / size;
    for (int i = 0; i < 4; i++) {
        whole[i] += pool[i];
        recent[i] = c->decay[j] * recent[i] + pool[i];
        last[i] = pool[i];
        pool[i] = 0.0;
    }
    return known;
}

/* What does not change from cell to cell: by how many components bet, what more of the budget each of them has. */
typedef struct {
    double apart[COMPONENTS + 1];
    float each;
} plan;

static plan planned(void)
{
    plan p = {.each = (float)log((double)COMPONENTS)};
    for (int active = 0; active <= COMPONENTS; active++)
        p.apart[active] = log((double)COMPONENTS / (active ? active : 1));
    return p;
}

/* What eight cells bring to a step, side by side: by component log R and what was bet, and the log of their budget. */
typedef struct {
    float log_r[COMPONENTS][LANES], price[COMPONENTS][LANES], budget[LANES];
} hand;

/* Let the cell at `j` take its place `i` with what its tallies bet. */
INLINE void take_place(const compare_call *c, const plan *p, int64_t j, const quad *log_e, hand *h, int64_t i)
{
    const float *log_r = c->log_r + c->cell[j] * COMPONENTS;
    quad_mask active = {0};
    for (int direction = 0; direction < DIRECTIONS; direction++) {
        quad own = log_e[direction], off = all_four(c->off);
        quad power = four_where(own <= c->off / 2.0, off, larger_four(own * c->eta[j], off));
        active -= power > c->off / 2.0;
        for (int step = 0; step < STEPS; step++)
            h->price[direction * STEPS + step][i] = (float)power[step];
    }
    int64_t n_active = (active[0] + active[1]) + (active[2] + active[3]);
    h->budget[i] = (float)(c->log_budget[j] + p->apart[n_active]);
    for (int k = 0; k < COMPONENTS; k++)
        h->log_r[k][i] = log_r[k];
}

/* One step of every component of `some` cells from `first` on, as accumulate.py has it; log R before any reset. */
INLINE void accumulate(const compare_call *c, const plan *p, int64_t first, int64_t some, hand *h)
{
    lanes fresh = load(h->budget) - p->each, peaks = all(-INFINITY), part[COMPONENTS];
    for (int k = 0; k < COMPONENTS; k++) {
        lanes before = load(h->log_r[k]), more = larger_of(before, fresh), less = where(before > fresh, fresh, before);
        lanes moved = more + log1p_of(exp_of(less - more)) + load(h->price[k]);
        peaks = larger_of(moved, peaks);
        put(h->log_r[k], moved);
    }
    for (int k = 0; k < COMPONENTS; k++)
        part[k] = exp_of(load(h->log_r[k]) - peaks);
    lanes sums = ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));
    for (int64_t i = 0; i < some; i++) {
        float total = peaks[i] + logf(sums[i]), *log_r = c->log_r + c->cell[first + i] * COMPONENTS;
        c->log_total[first + i] = total;
        for (int k = 0; k < COMPONENTS; k++)
            log_r[k] = total >= 0.0f ? -INFINITY : h->log_r[k][i];
    }
}

/* Ask for what the cell at `j` and its first tally hold, which lies all over memory, while others are at work. */
INLINE void fetch(const compare_call *c, int64_t j)
{
    if (j >= c->cells)
        return;
    int64_t cell = c->cell[j], row = c->row[c->first[j]];
    const void *held[] = {
        c->pool + 4 * row, c->recent + 4 * row, c->last + 4 * row, c->log_r + COMPONENTS * cell,
        c->scatter + cell, c->scatter_weight + cell, c->scatter_ticks + cell,
        c->of_recent + 4 * cell, c->of_recent_within + 3 * cell,
        c->of_since + 4 * cell, c->of_since_within + 3 * cell,
    };
    for (size_t i = 0; i < sizeof held / sizeof *held; i++)
        __builtin_prefetch(held[i], 1);
}

/* Let the cell at `j` bet on what its tallies pooled, and remember it. */
INLINE void play(const compare_call *c, int64_t j, quad log_e[DIRECTIONS])
{
    int64_t cell = c->cell[j], known = 0;
    double whole[4] = {0}, strata[3] = {0};
    c->eta[j] = tempering(c, cell);
    memcpy(c->before + j * COMPONENTS, c->log_r + cell * COMPONENTS, COMPONENTS * sizeof(float));
    for (int64_t i = c->first[j]; i < c->first[j + 1]; i++) {
        int64_t row = c->row[i];
        memcpy(c->pooled + 4 * i, c->pool + 4 * row, 4 * sizeof(double));
        memcpy(c->present + 4 * i, c->recent + 4 * row, 4 * sizeof(double));
        memcpy(c->previous + 4 * i, c->last + 4 * row, 4 * sizeof(double));
        bet(c, j, c->pooled + 4 * i, c->present + 4 * i, log_e);
        known |= remember(c, j, row, whole, strata);
    }
    c->scatter_ticks[cell] += known != 0;
    for (int i = 0; i < 4; i++) {
        c->of_recent[4 * cell + i] = c->decay[j] * c->of_recent[4 * cell + i] + whole[i];
        c->of_since[4 * cell + i] += whole[i];
    }
    for (int i = 0; i < 3; i++) {
        c->of_recent_within[3 * cell + i] = c->decay[j] * c->of_recent_within[3 * cell + i] + strata[i];
        c->of_since_within[3 * cell + i] += strata[i];
    }
}

/* Every comparison bets on what its tallies pooled, and remembers it. */
FOR_EACH_WIDTH void mw_compare(const compare_call *c)
{
    _Static_assert((int)STEPS == (int)QUAD && (int)COMPONENTS == 8, "a direction is four doubles, a cell eight floats");
    const plan p = planned();
    hand h = {0};
    for (int64_t first = 0; first < c->cells; first += LANES) {
        int64_t some = c->cells - first < LANES ? c->cells - first : LANES;
        for (int64_t i = 0; i < some; i++) {
            quad log_e[DIRECTIONS] = {{0}};
            fetch(c, first + i + LANES);
            play(c, first + i, log_e);
            take_place(c, &p, first + i, log_e, &h, i);
        }
        accumulate(c, &p, first, some, &h);
    }
}

/* How far each cell lies beyond what is tolerated, by the present or by what was seen since suspicion began. */
FOR_EACH_WIDTH void mw_moved(const moved_call *c)
{
    for (int64_t j = 0; j < c->cells; j++) {
        int64_t cell = c->cell[j];
        int gap = c->gap[c->kind[j]];
        const double *seen[2] = {c->of_recent + 4 * cell, c->of_since + 4 * cell};
        const double *strata[2] = {c->of_recent_within + 3 * cell, c->of_since_within + 3 * cell};
        const double people[2] = {c->recent_people[j], c->since_people[j]}, edge = edge_of(gap, c->tolerance[j]);
        c->clear[j] = 0;
        for (int i = 0; i < 2; i++) {
            double beyond[DIRECTIONS], furthest = -INFINITY;
            outside(gap, c->asks[c->kind[j]], edge, strata[i], beyond);
            int64_t direction = beyond[MORE] > beyond[LESS] ? MORE : LESS;
            if (smaller(seen[i][0], people[i]) >= c->smallest)
                furthest = beyond[direction];
            if (i == 0 || furthest > c->furthest[j]) {
                c->direction[j] = direction;
                c->furthest[j] = furthest;
            }
            c->clear[j] |= furthest > 0.0 && furthest > c->margin * noise(gap, seen[i], c->weight);
        }
    }
}
