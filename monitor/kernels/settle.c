/* What evidence and effect come to, beside what the groups of an intersection do. settle.py of this room has the same in
 * numpy, and says what it means.
 *
 * Every row was resolved by the caller against its own arrays.
 */
#include <math.h>
#include <stdint.h>

#include "effects.h"
#include "lanes.h"

enum { IDLE = 0, PENDING = 1, FIRING = 2 };
enum { HELD = 1, OVER = 2, KEPT = 4, FRESH = 8, UNSEEN = 16 };
enum { COMPONENTS = 8 };

typedef struct {
    int64_t cells;
    const int64_t *cell;
    const int32_t *margins;
    const uint8_t *kind;
    const double *tolerance, *log_total, *log_budget;
    const double *seconds, *hold, *keep_firing;
    const int64_t *direction;
    const double *furthest;
    const uint8_t *clear;
    const uint8_t *gap, *asks;
    double end, suspicious, weight, surely_more;
    float *log_r;
    double *carried;
    uint8_t *firing;
    double *onset, *alarmed, *last_bad;
    float *evidence, *suspicion;
    double *recent, *recent_within, *since, *since_within;
    uint8_t *flags, *beside;
} settle_call;

/* Of a cell: it is in doubt no more, and what is said of it beside its groups. */
enum { CALM = 1, OF_TOLD = 2, BESIDE_HELD = 4, EXPLAINED = 8 };

int64_t mw_settle_call_size(void);
void mw_settle(const settle_call *c);

int64_t mw_settle_call_size(void) { return sizeof(settle_call); }

/* Write down what the step came to. */
INLINE void note(const settle_call *c, int64_t j)
{
    int64_t cell = c->cell[j];
    double needed = larger(-c->log_budget[j], 1.0), evidence = c->log_total[j] - c->log_budget[j];
    int alarm = c->log_total[j] >= 0.0;
    c->carried[cell] = 0.0;
    c->evidence[cell] = alarm ? 0.0f : (float)evidence;
    c->suspicion[cell] = (float)(evidence / needed);
    if (isnan(c->onset[cell]))
        c->onset[cell] = c->end - c->seconds[j];
    c->beside[j] = c->log_total[j] <= c->log_budget[j] + c->suspicious * needed && !alarm ? CALM : 0;
}

/* How far a cell lies beyond the edge in the direction of the one at `j`. */
INLINE double beyond(const settle_call *c, int64_t j, double edge, const double *strata)
{
    double both[DIRECTIONS];
    uint8_t kind = c->kind[j];
    outside(c->gap[kind], c->asks[kind], edge, strata, both);
    return both[c->direction[j]];
}

/* What is said of an intersection beside its groups, before anything is decided of either. */
INLINE void look_beside(const settle_call *c, int64_t j)
{
    const int32_t *margins = c->margins + 2 * j;
    if (margins[0] < 0 && margins[1] < 0)
        return;
    int64_t cell = c->cell[j];
    int gap = c->gap[c->kind[j]];
    double edge = edge_of(gap, c->tolerance[j]), more = gap ? edge : -edge;
    double now = beyond(c, j, edge, c->recent_within + 3 * cell), ever = beyond(c, j, edge, c->since_within + 3 * cell);
    now -= c->surely_more * noise(gap, c->recent + 4 * cell, c->weight);
    ever -= c->surely_more * noise(gap, c->since + 4 * cell, 1.0);
    double surely = larger(now, ever);
    for (int i = 0; i < 2; i++) {
        int64_t margin = margins[i];
        if (margin < 0)
            continue;
        int tells = c->firing[margin] == FIRING || c->suspicion[margin] > (float)c->suspicious;
        double of_margin = beyond(c, j, edge, c->recent_within + 3 * margin);
        if (tells) {
            c->beside[j] |= OF_TOLD;
            of_margin = larger(of_margin, beyond(c, j, edge, c->since_within + 3 * margin));
        }
        if (of_margin > 0.0 && surely <= of_margin + more)
            c->beside[j] |= BESIDE_HELD | (tells && c->firing[cell] != FIRING ? EXPLAINED : 0);
    }
}

/* Evidence and effect make an alarm; a firing cell clears when it has had neither for long enough. */
INLINE uint8_t decide(const settle_call *c, int64_t j, int alarm, int sustained)
{
    int64_t cell = c->cell[j];
    uint8_t was = c->firing[cell], flag = 0;
    if (sustained)
        c->last_bad[cell] = c->end;
    if (alarm && was == IDLE) {
        c->firing[cell] = PENDING;
        c->alarmed[cell] = c->end;
    }
    if (was == PENDING && !sustained)
        c->firing[cell] = IDLE;
    if (c->firing[cell] == PENDING && c->end - c->alarmed[cell] >= c->hold[j]) {
        c->firing[cell] = FIRING;
        flag |= HELD;
    }
    if (was == FIRING && c->end - c->last_bad[cell] >= c->keep_firing[j]) {
        c->firing[cell] = IDLE;
        flag |= OVER;
    }
    return flag;
}

/* Forget the evidence of a cell of which what it bet on is accounted for. */
INLINE void begin_anew(const settle_call *c, int64_t cell)
{
    for (int k = 0; k < COMPONENTS; k++)
        c->log_r[COMPONENTS * cell + k] = -INFINITY;
    c->evidence[cell] = c->suspicion[cell] = 0.0f;
}

/* What a cell shows from here on is seen since now; of one that is told of, or followed, when that is done. */
INLINE void see_anew(const settle_call *c, int64_t j)
{
    int64_t cell = c->cell[j];
    if (c->flags[j] & KEPT)
        return;
    if (c->flags[j] & FRESH)
        c->onset[cell] = c->end;
    if (c->flags[j] & UNSEEN) {
        for (int i = 0; i < 4; i++)
            c->since[4 * cell + i] = 0.0;
        for (int i = 0; i < 3; i++)
            c->since_within[3 * cell + i] = 0.0;
    }
}

/* Decide of every comparison that has bet. */
FOR_EACH_WIDTH void mw_settle(const settle_call *c)
{
    for (int64_t j = 0; j < c->cells; j++)
        note(c, j);
    for (int64_t j = 0; j < c->cells; j++)
        look_beside(c, j);
    for (int64_t j = 0; j < c->cells; j++) {
        int64_t cell = c->cell[j];
        uint8_t beside = c->beside[j];
        int alarm = c->log_total[j] >= 0.0 && c->furthest[j] > 0.0 && !(beside & BESIDE_HELD);
        int suspected = c->suspicion[cell] > (float)c->suspicious;
        int sustained = (alarm || c->clear[j] || suspected) && !(beside & EXPLAINED);
        uint8_t flag = decide(c, j, alarm, sustained);
        if (beside & EXPLAINED)
            begin_anew(c, cell);
        int doubted = c->firing[cell] != FIRING && c->suspicion[cell] > (float)c->suspicious;
        if (doubted || c->firing[cell] == PENDING || flag & HELD)
            flag |= KEPT;
        if (beside & (CALM | EXPLAINED))
            flag |= beside & OF_TOLD ? FRESH : FRESH | UNSEEN;
        c->flags[j] = flag;
        see_anew(c, j);
    }
}
