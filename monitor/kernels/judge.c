/* The inner loops of judging a tick: the fading present, shares at cuts, and the bets of cells. judging.py of this room
 * has the same in numpy, and says what they mean.
 *
 * Every row was resolved by the caller against its own arrays. Nothing is contracted or reordered by the compiler, so
 * that every machine finds the same.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

enum { COLUMNS = 40, BINS = 32, TILE = 8 };
enum { IDLE = 0, PENDING = 1, FIRING = 2 };
enum { HELD = 1, OVER = 2 };
enum { COMPONENTS_MAX = 128 };

typedef struct {
    int64_t bets, cuts, sides, shifts;
    double end, suspicious, clear_margin, dispersion_max, off, prior, dispersion_margin;
    int64_t prior_ticks;
    const double *shift;
    const int64_t *place, *row;
    const double *tick_s, *tick_n, *now_s, *now_n;
    const double *log_budget, *seconds, *hold, *keep_firing;
    float *log_r, *cost, *reference_share, *null_low, *null_high, *s_prev, *n_prev, *scatter, *scatter_weight;
    int32_t *scatter_ticks;
    double *onset, *alarmed, *last_bad;
    float *effect, *evidence, *suspicion;
    uint8_t *firing;
    double *evidence_out;
    uint8_t *flags;
} bet_call;

int64_t mw_bet_call_size(void);
int64_t mw_bet(const bet_call *c);
void mw_present(int64_t n, const int64_t *rows, const uint32_t *counts, double recent_events, float *recent,
                uint32_t *pending, double *tick, double *now);
void mw_cut_shares(int64_t n, const double *counts, const uint8_t *is_number, const uint8_t *cuts, int64_t n_cuts,
                   double *s, double *total);

int64_t mw_bet_call_size(void) { return sizeof(bet_call); }

/* e to the x for x <= 0, to 2 ulp; 0 below -87. Cephes' polynomial, without branches so that it is done in lanes. */
static inline float exp_of(float x)
{
    float clamped = x < -87.0f ? -87.0f : x;
    float shifted = clamped * 1.44269504f + 12582912.0f;
    float n = shifted - 12582912.0f;
    float r = clamped - n * 0.693359375f + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    int32_t bits = ((int32_t)n + 127) << 23;
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    return x < -87.0f ? 0.0f : p * scale;
}

/* The logarithm of 1 + x for 0 <= x <= 1, to 1e-7. */
static inline float log1p_of(float x)
{
    float y = 1.0f + x;
    float upper = y > 1.41421356f ? 1.0f : 0.0f;
    float z = (upper > 0.0f ? y * 0.5f : y) - 1.0f;
    float p = 7.0376836292e-2f;
    p = p * z - 1.1514610310e-1f;
    p = p * z + 1.1676998740e-1f;
    p = p * z - 1.2420140846e-1f;
    p = p * z + 1.4249322787e-1f;
    p = p * z - 1.6668057665e-1f;
    p = p * z + 2.0000714765e-1f;
    p = p * z - 2.4999993993e-1f;
    p = p * z + 3.3333331174e-1f;
    float zz = z * z;
    return z + (p * z * zz - 0.5f * zz) + upper * 0.693147181f;
}

/* One step of every component of a cell; returns log R of the cell before any reset. */
static inline float step_cell(const bet_call *c, int64_t components, const float *cost, float *log_r, const double *s,
                              float n, float eta, float fresh)
{
    float gain[COMPONENTS_MAX], moved[COMPONENTS_MAX];
    int64_t k = 0;
    for (int64_t cut = 0; cut < c->cuts; cut++)
        for (int64_t side = 0; side < c->sides; side++)
            for (int64_t i = 0; i < c->shifts; i++, k++)
                gain[k] = (float)s[cut] * (side ? -(float)c->shift[i] : (float)c->shift[i]);
    for (k = 0; k < components; k++) {
        float larger = log_r[k] > fresh ? log_r[k] : fresh, smaller = log_r[k] > fresh ? fresh : log_r[k];
        moved[k] = larger + log1p_of(exp_of(smaller - larger)) + (gain[k] - n * cost[k]) * eta;
    }
    float peak = moved[0];
    for (k = 1; k < components; k++)
        peak = moved[k] > peak ? moved[k] : peak;
    peak = peak < -3e38f ? -3e38f : peak;
    for (k = 0; k < components; k++)
        gain[k] = exp_of(moved[k] - peak);
    float lanes[TILE] = {0};
    for (k = 0; k + TILE <= components; k += TILE)
        for (int64_t lane = 0; lane < TILE; lane++)
            lanes[lane] += gain[k + lane];
    for (; k < components; k++)
        lanes[0] += gain[k];
    float total = ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
    total = logf(total) + peak;
    if (total >= 0.0f)
        for (k = 0; k < components; k++)
            log_r[k] = -INFINITY;
    else
        memcpy(log_r, moved, (size_t)components * sizeof(float));
    return total;
}

/* The exponent that earlier ticks call for; then this tick's own scatter is added for those to come. */
static inline float tempering(const bet_call *c, int64_t r, const double *s, double n)
{
    double sum = c->scatter[r], weight_sum = c->scatter_weight[r];
    double phi = weight_sum > 0.0 ? sum / weight_sum : c->prior;
    if (c->scatter_ticks[r] < c->prior_ticks && phi < c->prior)
        phi = c->prior;
    double margin = c->dispersion_margin * phi;
    double eta = 1.0 / (margin > 1.0 ? margin : 1.0);
    double n_prev = c->n_prev[r], numerator = 0.0, weight = 0.0;
    float *s_prev = c->s_prev + r * c->cuts;
    if (n_prev > 0.0 && n > 0.0) {
        double total = n_prev + n;
        for (int64_t cut = 0; cut < c->cuts; cut++) {
            double pooled = (s_prev[cut] + s[cut]) / total, gap = s[cut] / n - s_prev[cut] / n_prev;
            numerator += gap * gap * n_prev * n / total;
            weight += pooled * (1.0 - pooled) * total / (total - 1.0);
        }
        numerator /= (double)c->cuts;
        weight /= (double)c->cuts;
    }
    double most = c->dispersion_max * weight;
    c->scatter[r] = (float)(sum + (numerator < most ? numerator : most));
    c->scatter_weight[r] = (float)(weight_sum + weight);
    c->scatter_ticks[r] += weight > 0.0;
    for (int64_t cut = 0; cut < c->cuts; cut++)
        s_prev[cut] = (float)s[cut];
    c->n_prev[r] = (float)n;
    return (float)eta;
}

/* How far the present lies outside the null, and how strong it moved: whether beyond it, and beyond it by chance. */
static inline void effect_of(const bet_call *c, int64_t r, const double *s, double n, const float *cost, int *beyond,
                             int *sustained)
{
    int64_t per_cut = c->sides * c->shifts;
    double weight = 2.0 * (n > 1.0 ? n : 1.0), strength = 0.0;
    *beyond = *sustained = 0;
    for (int64_t cut = 0; cut < c->cuts; cut++) {
        float cheapest = cost[cut * per_cut];
        for (int64_t i = 1; i < per_cut; i++)
            cheapest = cost[cut * per_cut + i] < cheapest ? cost[cut * per_cut + i] : cheapest;
        if (cheapest >= c->off)
            continue;
        double rate = s[cut] / n;
        rate = n > 0.0 ? (rate < 1.0 ? rate : 1.0) : 0.0;
        float low = c->null_low[r * c->cuts + cut], high = c->null_high[r * c->cuts + cut];
        double above = rate - high, below = c->sides > 1 ? low - rate : -1.0;
        double excess = above > below ? above : below;
        float edge = rate > high ? high : low;
        float spread = edge * (1.0f - edge);
        double noise = c->clear_margin * sqrt((spread > 1e-4f ? spread : 1e-4f) / weight);
        *beyond |= excess > 0.0;
        *sustained |= excess > noise;
        double before = c->reference_share[r * c->cuts + cut];
        double scatter = before * (1.0 - before), now = rate * (1.0 - rate);
        double gap = fabs(rate - before) - 2.0 * sqrt((scatter > now ? scatter : now) / weight);
        strength = gap > strength ? gap : strength;
    }
    c->effect[r] = (float)strength;
}

/* Evidence and effect make an alarm; a firing cell clears when it has had neither for long enough. */
static inline uint8_t decide(const bet_call *c, int64_t r, int64_t place, int alarm, int sustained)
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

/* Lets each cell bet on its tick; returns how many flags were raised, or -1 for a detector with too many components. */
int64_t mw_bet(const bet_call *c)
{
    int64_t components = c->cuts * c->sides * c->shifts, raised = 0;
    if (components > COMPONENTS_MAX)
        return -1;
    for (int64_t j = 0; j < c->bets; j++) {
        int64_t place = c->place[j], r = c->row[j], active = 0;
        const double *s = c->tick_s + place * c->cuts;
        const float *cost = c->cost + r * components;
        double n = c->tick_n[place], log_budget = c->log_budget[place], needed = -log_budget;
        for (int64_t k = 0; k < components; k++)
            active += cost[k] < c->off;
        float budget = (float)(log_budget + log((double)components / (double)(active ? active : 1)));
        float fresh = budget - (float)log((double)components);
        float eta = tempering(c, r, s, n);
        float total = step_cell(c, components, cost, c->log_r + r * components, s, (float)n, eta, fresh);
        int alarm = total >= 0.0f, beyond, sustained;
        double evidence = total - log_budget;
        if (isnan(c->onset[r]))
            c->onset[r] = c->end - c->seconds[place];
        if (total <= log_budget + c->suspicious * needed && !alarm)
            c->onset[r] = c->end;
        c->evidence[r] = alarm ? 0.0f : (float)evidence;
        c->suspicion[r] = (float)(evidence / needed);
        c->evidence_out[j] = evidence;
        effect_of(c, r, c->now_s + place * c->cuts, c->now_n[place], cost, &beyond, &sustained);
        alarm = alarm && beyond;
        sustained = alarm || sustained || c->suspicion[r] > (float)c->suspicious;
        c->flags[j] = decide(c, r, place, alarm, sustained);
        raised += c->flags[j] != 0;
    }
    return raised;
}

/* Lets `counts` (n, 40) into the fading present and the pending sums of their rows; gives the tick and the present by
 * column, shape (40, n): detectors ask for columns. */
void mw_present(int64_t n, const int64_t *rows, const uint32_t *counts, double recent_events, float *recent,
                uint32_t *pending, double *tick, double *now)
{
    double of_tick[COLUMNS][TILE], of_now[COLUMNS][TILE];
    for (int64_t first = 0; first < n; first += TILE) {
        int64_t tile = n - first < TILE ? n - first : TILE;
        for (int64_t i = 0; i < tile; i++) {
            const uint32_t *own = counts + (first + i) * COLUMNS;
            float *before = recent + rows[first + i] * COLUMNS;
            uint32_t *held = pending + rows[first + i] * COLUMNS;
            double values = 0.0;
            for (int64_t k = 0; k < BINS; k++)
                values += own[k];
            double kept = exp(-values / recent_events);
            for (int64_t k = 0; k < COLUMNS; k++) {
                double present = before[k] * kept + own[k];
                of_tick[k][i] = own[k];
                of_now[k][i] = present;
                before[k] = (float)present;
                held[k] += own[k];
            }
        }
        for (int64_t k = 0; k < COLUMNS; k++) {
            memcpy(tick + k * n + first, of_tick[k], (size_t)tile * sizeof(double));
            memcpy(now + k * n + first, of_now[k], (size_t)tile * sizeof(double));
        }
    }
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
