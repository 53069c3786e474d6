/* The inner loops of judging a tick: the fading present, shares at cuts, and the bets of cells. judging.py of this room
 * has the same in numpy, and says what they mean.
 *
 * Every row was resolved by the caller against its own arrays. Nothing is contracted or reordered by the compiler, so
 * that every machine finds the same.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "lanes.h"

enum { COLUMNS = 40, BINS = 32, TILE = 8, LINE = 16 }; /* floats of a line of the cache */
enum { IDLE = 0, PENDING = 1, FIRING = 2 };
enum { HELD = 1, OVER = 2 };
enum { COMPONENTS_MAX = 128, CUTS_MAX = 32 };

typedef struct {
    int64_t bets, cuts, sides, shifts;
    double end, suspicious, clear_margin, dispersion_max, off, prior, dispersion_margin;
    int64_t prior_ticks;
    const double *shift;
    const int64_t *place, *row;
    const double *tick_s, *tick_n, *now_s, *now_n;
    const double *log_budget, *seconds, *hold, *keep_firing;
    float *log_r, *cost, *reference_share, *null_low, *null_high, *s_prev, *n_prev, *scatter, *scatter_weight, *wander;
    int32_t *scatter_ticks;
    double *onset, *alarmed, *last_bad;
    float *effect, *evidence, *suspicion;
    uint8_t *firing;
    double *evidence_out;
    uint8_t *flags;
    float *eta_out, *before;
} bet_call;

typedef struct {
    int64_t series, cuts;
    int64_t events, present, nulls, invalid, dropped, below, above, type, unseen;
    double recent_events;
    const int64_t *row;
    const uint32_t *counts;
    float *recent;
    const uint8_t *is_number, *in_reference, *cut;
    double *cut_s, *one;
} shares_call;

/* The rows of `one`: events or values, then shares of them. */
enum { VALUES, OF_EVENTS, OF_PRESENT, OF_SCHEMA, MISSING, IS_INVALID, OUT_OF_RANGE, IS_UNSEEN, SCHEMA, ONES };

int64_t mw_shares_call_size(void);
void mw_shares(const shares_call *c);
int64_t mw_bet_call_size(void);
int64_t mw_bet(const bet_call *c);
void mw_cut_shares(int64_t n, const double *counts, const uint8_t *is_number, const uint8_t *cuts, int64_t n_cuts,
                   double *s, double *total);

int64_t mw_bet_call_size(void) { return sizeof(bet_call); }

/* How many components a cell has: so many of each cut; and so many lanes hold them. */
typedef struct {
    int64_t cuts, per_cut, components, width;
} shape;

/* What does not change from cell to cell: the sign and size of each shift of a cut, and logarithms of small numbers. */
typedef struct {
    float shift[COMPONENTS_MAX];
    double log_of[COMPONENTS_MAX + 1];
} plan;

/* One bet: the cell's place in the tick and its row, what it begins with, and which cuts are bet on. */
typedef struct {
    int64_t place, row;
    float fresh, eta;
    uint8_t active[CUTS_MAX];
} cell;

INLINE shape shape_of(int64_t cuts, int64_t per_cut)
{
    int64_t components = cuts * per_cut;
    return (shape){cuts, per_cut, components, (components + LANES - 1) / LANES * LANES};
}

static void make_plan(const bet_call *c, shape f, plan *p)
{
    for (int64_t k = 0; k < f.components; k++) {
        float size = (float)c->shift[k % c->shifts];
        p->shift[k] = k % f.per_cut < c->shifts ? size : -size;
    }
    for (int64_t k = f.components; k < f.width; k++)
        p->shift[k] = 0.0f;
    for (int64_t k = 1; k <= f.components; k++)
        p->log_of[k] = log((double)k);
}

/* What eight components from `k` on get of the shares `s`: the first of them is of `cut`, which moves on. */
INLINE lanes shares_of(shape f, const double *s, int64_t k, int64_t *cut)
{
    static const int32_t behind[2 * LANES] = {0, 0, 0, 0, 0, 0, 0, 0, -1, -1, -1, -1, -1, -1, -1, -1};
    lanes share = all((float)s[*cut]);
    int64_t end = (*cut + 1) * f.per_cut - k;
    for (; end <= LANES && *cut + 1 < f.cuts; end += f.per_cut) {
        masks next;
        memcpy(&next, behind + LANES - end, sizeof next);
        share = where(next, all((float)s[++*cut]), share);
    }
    return share;
}

/* One step of every component of a cell, from `log_r` to `moved`; returns the highest. */
INLINE float step_cell(shape f, const plan *p, const float *cost, const float *log_r, float *moved, const double *s,
                       float n, float eta, float fresh)
{
    int64_t whole = f.components / LANES * LANES, cut = 0;
    float last[2][LANES]; /* what is left of eight each; the lanes behind it gain nothing */
    lanes peaks = all(-3e38f), least = all(fresh);
    put(last[0], all(INFINITY));
    put(last[1], all(-INFINITY));
    memcpy(last[0], cost + whole, (size_t)(f.components - whole) * sizeof(float));
    memcpy(last[1], log_r + whole, (size_t)(f.components - whole) * sizeof(float));
    for (int64_t k = 0; k < f.width; k += LANES) {
        lanes price = shares_of(f, s, k, &cut) * load(p->shift + k) - n * load(k < whole ? cost + k : last[0]);
        lanes before = load(k < whole ? log_r + k : last[1]), larger = larger_of(before, least);
        lanes smaller = where(before > least, least, before);
        larger += log1p_of(exp_of(smaller - larger)) + price * eta;
        peaks = larger_of(larger, peaks);
        put(moved + k, larger);
    }
    float peak = -3e38f;
    for (int64_t lane = 0; lane < LANES; lane++)
        peak = peaks[lane] > peak ? peaks[lane] : peak;
    return peak;
}

/* log R of a cell whose components `moved`, the highest of which is the `peak`. */
INLINE float total_of(shape f, const float *moved, float peak)
{
    lanes sums = all(0.0f);
    for (int64_t k = 0; k < f.width; k += LANES)
        sums += exp_of(load(moved + k) - peak);
    float total = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
    return logf(total) + peak;
}

/* The same for cells of a few components each: lane `i` is a cell. `total` gets log R of each. */
INLINE void step_narrow(const bet_call *c, shape f, const plan *p, int64_t some, const cell *cells,
                        float moved_of[LANES][COMPONENTS_MAX], float *total)
{
    float price[LANES][LANES] = {{0}}, moved[LANES][LANES] = {{0}}, fresh[LANES] = {0}, eta[LANES] = {0};
    for (int64_t i = 0; i < some; i++) {
        const float *cost = c->cost + cells[i].row * f.components, *log_r = c->log_r + cells[i].row * f.components;
        const double *s = c->tick_s + cells[i].place * f.cuts;
        float n = (float)c->tick_n[cells[i].place];
        fresh[i] = cells[i].fresh;
        eta[i] = cells[i].eta;
        for (int64_t k = 0; k < f.components; k++) {
            price[k][i] = (float)s[k / f.per_cut] * p->shift[k] - n * cost[k];
            moved[k][i] = log_r[k];
        }
    }
    lanes least = load(fresh), tempered = load(eta), peaks = all(-3e38f), sums = all(0.0f);
    for (int64_t k = 0; k < f.components; k++) {
        lanes before = load(moved[k]), larger = larger_of(before, least);
        lanes smaller = where(before > least, least, before);
        larger += log1p_of(exp_of(smaller - larger)) + load(price[k]) * tempered;
        peaks = larger_of(larger, peaks);
        put(moved[k], larger);
    }
    for (int64_t k = 0; k < f.components; k++)
        sums += exp_of(load(moved[k]) - peaks);
    for (int64_t i = 0; i < some; i++) {
        total[i] = logf(sums[i]) + peaks[i];
        for (int64_t k = 0; k < f.components; k++)
            moved_of[i][k] = moved[k][i];
    }
}

/* Columns whose rows mostly hold nothing but zeros: what is there already is not written, so that no memory is taken. */
INLINE void change(float *at, float x)
{
    if (*at != x)
        *at = x;
}

/* The exponent that earlier ticks call for; then this tick's own scatter is added for those to come. */
INLINE float tempering(const bet_call *c, shape f, int64_t r, const double *s, double n)
{
    double sum = c->scatter[r], weight_sum = c->scatter_weight[r];
    double phi = weight_sum > 0.0 ? sum / weight_sum : c->prior;
    if (c->scatter_ticks[r] < c->prior_ticks && phi < c->prior)
        phi = c->prior;
    if (phi < c->wander[r])
        phi = c->wander[r];
    double margin = c->dispersion_margin * phi;
    double eta = 1.0 / (margin > 1.0 ? margin : 1.0);
    double n_prev = c->n_prev[r], numerator = 0.0, weight = 0.0;
    float *s_prev = c->s_prev + r * f.cuts;
    if (n_prev > 0.0 && n > 0.0) {
        double total = n_prev + n, of_total = 1.0 / total, of_n = 1.0 / n, of_prev = 1.0 / n_prev;
        for (int64_t cut = 0; cut < f.cuts; cut++) {
            double before = s_prev[cut], both = before + s[cut], gap = s[cut] * of_n - before * of_prev;
            numerator += gap * gap;
            weight += both * (total - both); /* of counts, not of shares: exactly 0 where all or none were */
        }
        numerator *= n_prev * n * of_total / (double)f.cuts;
        weight *= of_total / ((total - 1.0) * (double)f.cuts);
    }
    double most = c->dispersion_max * weight;
    change(c->scatter + r, (float)(sum + (numerator < most ? numerator : most)));
    change(c->scatter_weight + r, (float)(weight_sum + weight));
    if (weight > 0.0)
        c->scatter_ticks[r]++;
    for (int64_t cut = 0; cut < f.cuts; cut++)
        change(s_prev + cut, (float)s[cut]);
    c->n_prev[r] = (float)n;
    return (float)eta;
}

/* The present of a cell: `s` by cut of `n` events, what shares are held to, and which cuts are bet on. `chance` is the
 * square of so many standard errors of a share, but for its spread. */
typedef struct {
    const double *s;
    double n, of_weight, chance;
    const float *low, *high, *before;
    const uint8_t *active;
    int64_t sides;
} present;

/* How strong it moved, and how far it lies outside the null: beyond it, and beyond it by more than chance. */
typedef struct {
    double strength;
    int64_t beyond, sustained;
} effect;

INLINE void look_at_one(const present *x, int64_t cut, effect *found)
{
    double rate = x->n > 0.0 ? x->s[cut] / x->n : 0.0, before = x->before[cut]; /* all of n are 1, not an ulp less */
    rate = rate < 1.0 ? rate : 1.0;
    float low = x->low[cut], high = x->high[cut], edge = rate > high ? high : low;
    double above = rate - high, below = x->sides > 1 ? low - rate : -1.0, excess = above > below ? above : below;
    float spread = edge * (1.0f - edge);
    spread = spread > 1e-4f ? spread : 1e-4f;
    int out = excess > 0.0 && x->active[cut];
    found->beyond |= out;
    found->sustained |= out && excess * excess > x->chance * spread;
    double scatter = before * (1.0 - before), now = rate * (1.0 - rate);
    double gap = fabs(rate - before) - 2.0 * sqrt((scatter > now ? scatter : now) * x->of_weight);
    found->strength = gap > found->strength && x->active[cut] ? gap : found->strength;
}

/* The same of four cuts. */
INLINE void look_at_four(const present *x, int64_t cut, effect *found)
{
    quad rate = x->n > 0.0 ? smaller_four(load_four(x->s + cut) / x->n, all_four(1.0)) : all_four(0.0);
    quad low = doubles_of(load_floats(x->low + cut)), high = doubles_of(load_floats(x->high + cut));
    quad above = rate - high, excess = x->sides > 1 ? larger_four(above, low - rate) : above;
    floats edge = floats_of(four_where(above > 0.0, high, low));
    quad spread = larger_four(doubles_of(edge * (1.0f - edge)), all_four(1e-4f));
    quad_mask active;
    for (int64_t i = 0; i < QUAD; i++)
        active[i] = -(int64_t)x->active[cut + i];
    quad_mask out = (excess > 0.0) & active, lasting = out & (excess * excess > x->chance * spread);
    found->beyond |= out[0] | out[1] | out[2] | out[3];
    found->sustained |= lasting[0] | lasting[1] | lasting[2] | lasting[3];
    quad before = doubles_of(load_floats(x->before + cut)), moved = rate - before;
    quad scatter = larger_four(before * (1.0 - before), rate * (1.0 - rate));
    quad gap = larger_four(moved, -moved) - 2.0 * root_of_four(scatter * x->of_weight);
    gap = four_where(active, gap, all_four(0.0));
    for (int64_t i = 0; i < QUAD; i++)
        found->strength = gap[i] > found->strength ? gap[i] : found->strength;
}

INLINE effect effect_of(const bet_call *c, shape f, const cell *own)
{
    int64_t at = own->row * f.cuts, cut = 0;
    double n = c->now_n[own->place], of_weight = 1.0 / (2.0 * (n > 1.0 ? n : 1.0));
    present x = {c->now_s + own->place * f.cuts, n, of_weight, c->clear_margin * c->clear_margin * of_weight,
                 c->null_low + at, c->null_high + at, c->reference_share + at, own->active, c->sides};
    effect found = {0.0, 0, 0};
    for (; cut + QUAD <= f.cuts; cut += QUAD)
        look_at_four(&x, cut, &found);
    for (; cut < f.cuts; cut++)
        look_at_one(&x, cut, &found);
    return found;
}

/* Evidence and effect make an alarm; a firing cell clears when it has had neither for long enough. */
INLINE uint8_t decide(const bet_call *c, int64_t r, int64_t place, int alarm, int sustained)
{
    uint8_t was = c->firing[r], flag = 0;
    if (sustained)
        c->last_bad[r] = c->end;
    if (alarm && was == IDLE) {
        c->firing[r] = PENDING;
        c->alarmed[r] = c->end;
    }
    if (was == PENDING && !sustained)
        c->firing[r] = IDLE;
    if (c->firing[r] == PENDING && c->end - c->alarmed[r] >= c->hold[place]) {
        c->firing[r] = FIRING;
        flag |= HELD;
    }
    if (was == FIRING && c->end - c->last_bad[r] >= c->keep_firing[place]) {
        c->firing[r] = IDLE;
        flag |= OVER;
    }
    return flag;
}

/* Whether every component costs less than `off`: so it is of most cells. */
INLINE int all_can_gain(const float *cost, int64_t components, float off)
{
    int64_t k = 0;
    masks cannot = {0};
    for (; k + LANES <= components; k += LANES)
        cannot |= load(cost + k) >= off;
    quad_bits any = (quad_bits)cannot;
    int can = ((any[0] | any[1]) | (any[2] | any[3])) == 0;
    for (; k < components; k++)
        can &= cost[k] < off;
    return can;
}

INLINE cell open_cell(const bet_call *c, shape f, const plan *p, int64_t j)
{
    cell own = {.place = c->place[j], .row = c->row[j]};
    const float *cost = c->cost + own.row * f.components;
    int64_t n_active = 0;
    if (all_can_gain(cost, f.components, (float)c->off)) {
        memset(own.active, 1, sizeof own.active);
        n_active = f.components;
    } else
        for (int64_t k = 0; k < f.components; k++) {
            int can = cost[k] < (float)c->off;
            own.active[k / f.per_cut] |= (uint8_t)can;
            n_active += can;
        }
    double apart = p->log_of[f.components] - p->log_of[n_active ? n_active : 1];
    own.fresh = (float)(c->log_budget[own.place] + apart) - (float)p->log_of[f.components];
    own.eta = tempering(c, f, own.row, c->tick_s + own.place * f.cuts, c->tick_n[own.place]);
    return own;
}

INLINE void settle_cell(const bet_call *c, shape f, int64_t j, const cell *own, float total)
{
    int64_t place = own->place, r = own->row;
    double log_budget = c->log_budget[place], needed = -log_budget, evidence = total - log_budget;
    int alarm = total >= 0.0f, sustained;
    if (isnan(c->onset[r]))
        c->onset[r] = c->end - c->seconds[place];
    if (total <= log_budget + c->suspicious * needed && !alarm)
        c->onset[r] = c->end;
    c->evidence[r] = alarm ? 0.0f : (float)evidence;
    c->suspicion[r] = (float)(evidence / needed);
    c->evidence_out[j] = evidence;
    c->eta_out[j] = own->eta;
    effect found = effect_of(c, f, own);
    change(c->effect + r, (float)found.strength);
    alarm = alarm && found.beyond;
    sustained = alarm || found.sustained || c->suspicion[r] > (float)c->suspicious;
    c->flags[j] = decide(c, r, place, alarm, sustained);
}

/* Ask for what the cell at `j` holds, while others are at work. */
INLINE void fetch(const bet_call *c, shape f, int64_t j)
{
    if (j >= c->bets)
        return;
    int64_t row = c->row[j], own = row * f.components, cuts = row * f.cuts;
    for (int64_t k = 0; k < f.components; k += LINE) {
        __builtin_prefetch(c->cost + own + k, 0);
        __builtin_prefetch(c->log_r + own + k, 1);
    }
    const float *of_cuts[] = {c->s_prev + cuts, c->null_low + cuts, c->null_high + cuts, c->reference_share + cuts};
    for (size_t i = 0; i < sizeof of_cuts / sizeof *of_cuts; i++)
        __builtin_prefetch(of_cuts[i], 0);
}

/* Keep what the cell at `j` moved to, or begin anew where it reached its `total`; tell what it came with, if asked. */
INLINE void keep(const bet_call *c, shape f, int64_t j, int64_t row, const float *moved, float total)
{
    size_t own = (size_t)f.components * sizeof(float);
    float *log_r = c->log_r + row * f.components;
    if (c->suspicion[row] > (float)c->suspicious || c->flags[j] & HELD || c->firing[row] == PENDING)
        memcpy(c->before + j * f.components, log_r, own);
    if (total >= 0.0f)
        for (int64_t k = 0; k < f.components; k++)
            log_r[k] = -INFINITY;
    else
        memcpy(log_r, moved, own);
}

INLINE void bet_each(const bet_call *c, shape f, const plan *p)
{
    for (int64_t first = 0; first < c->bets; first += LANES) {
        int64_t some = c->bets - first < LANES ? c->bets - first : LANES;
        cell cells[LANES];
        float total[LANES], moved[LANES][COMPONENTS_MAX];
        for (int64_t i = 0; i < some; i++) {
            fetch(c, f, first + i + LANES);
            cells[i] = open_cell(c, f, p, first + i);
        }
        if (f.components <= LANES)
            step_narrow(c, f, p, some, cells, moved, total);
        else {
            for (int64_t i = 0; i < some; i++) {
                int64_t place = cells[i].place, at = cells[i].row * f.components;
                total[i] = step_cell(f, p, c->cost + at, c->log_r + at, moved[i], c->tick_s + place * f.cuts,
                                     (float)c->tick_n[place], cells[i].eta, cells[i].fresh);
            }
            for (int64_t i = 0; i < some; i++) /* apart, so that no cell waits for the one before */
                total[i] = total_of(f, moved[i], total[i]);
        }
        for (int64_t i = 0; i < some; i++) {
            settle_cell(c, f, first + i, &cells[i], total[i]);
            keep(c, f, first + i, cells[i].row, moved[i], total[i]);
        }
    }
}

/* Lets each cell bet on its tick; -1 for a detector with too many components. What a cell came with is told of those
 * that are suspicious now: `before` is written for no other. Where the compiler knows the shape, as of shares that may
 * neither rise nor fall and of one that may not rise, nothing is counted for each cell. */
FOR_EACH_WIDTH int64_t mw_bet(const bet_call *c)
{
    shape f = shape_of(c->cuts, c->sides * c->shifts);
    plan p;
    if (f.components > COMPONENTS_MAX || f.cuts > CUTS_MAX)
        return -1;
    make_plan(c, f, &p);
    if (f.cuts == 9 && f.per_cut == 6)
        bet_each(c, shape_of(9, 6), &p);
    else if (f.cuts == 1 && f.per_cut == 3)
        bet_each(c, shape_of(1, 3), &p);
    else
        bet_each(c, f, &p);
    return 0;
}

/* From `counts` by column, shape (40, n): how much lies at or below each cut of a number, or in each cut of a category. */
void mw_cut_shares(int64_t n, const double *counts, const uint8_t *is_number, const uint8_t *cuts, int64_t n_cuts,
                   double *s, double *total)
{
    double sums[BINS][TILE], bins[BINS][TILE];
    for (int64_t first = 0; first < n; first += TILE) {
        int64_t tile = n - first < TILE ? n - first : TILE;
        double below[TILE] = {0};
        for (int64_t k = 0; k < BINS; k++)
            for (int64_t i = 0; i < tile; i++) {
                bins[k][i] = counts[k * n + first + i];
                sums[k][i] = below[i] += bins[k][i];
            }
        for (int64_t i = 0; i < tile; i++) {
            int64_t j = first + i;
            total[j] = below[i];
            for (int64_t cut = 0; cut < n_cuts; cut++) {
                uint8_t k = cuts[j * n_cuts + cut] & (BINS - 1);
                s[j * n_cuts + cut] = is_number[j] ? sums[k][i] : bins[k][i];
            }
        }
    }
}

int64_t mw_shares_call_size(void) { return sizeof(shares_call); }

/* What each detector asks of the counts `x` of series `j`: of the tick (`which` 0) or of the present (1). */
INLINE void ask(const shares_call *c, int64_t which, int64_t j, const double *x)
{
    double sums[BINS], values = 0.0, *one = c->one + which * ONES * c->series + j;
    for (int64_t k = 0; k < BINS; k++)
        sums[k] = values += x[k];
    const double *of = c->is_number[j] ? sums : x;
    double *s = c->cut_s + (which * c->series + j) * c->cuts;
    for (int64_t cut = 0; cut < c->cuts; cut++)
        s[cut] = of[c->cut[j * c->cuts + cut] & (BINS - 1)];
    int known = c->in_reference[j];
    double missing = x[c->events] - x[c->present] + x[c->nulls];
    double strange = known ? x[c->type] : x[c->present], among = known ? x[c->present] : x[c->events];
    one[VALUES * c->series] = values;
    one[OF_EVENTS * c->series] = x[c->events];
    one[OF_PRESENT * c->series] = x[c->present];
    one[OF_SCHEMA * c->series] = among;
    one[MISSING * c->series] = missing > 0.0 ? missing : 0.0;
    one[IS_INVALID * c->series] = x[c->invalid] + x[c->dropped];
    one[OUT_OF_RANGE * c->series] = x[c->below] + x[c->above];
    one[IS_UNSEEN * c->series] = x[c->unseen];
    one[SCHEMA * c->series] = strange < among ? strange : among;
}

/* Lets counts into the fading present of their rows, and asks of both what detectors ask. */
FOR_EACH_WIDTH void mw_shares(const shares_call *c)
{
    for (int64_t j = 0; j < c->series; j++) {
        const uint32_t *own = c->counts + j * COLUMNS;
        float *recent = c->recent + c->row[j] * COLUMNS;
        double tick[COLUMNS], now[COLUMNS];
        uint64_t values = 0; /* whole numbers are added at once, in any order */
        for (int64_t k = 0; k < BINS; k++)
            values += own[k];
        double kept = exp(-(double)values / c->recent_events);
        for (int64_t k = 0; k < COLUMNS; k++) {
            tick[k] = own[k];
            now[k] = recent[k] * kept + own[k];
            recent[k] = (float)now[k];
        }
        ask(c, 0, j, tick);
        ask(c, 1, j, now);
    }
}
