/* How a tick comes to the comparisons of some whole models, and which of them have pooled enough to bet. pool.py of this
 * room has the same in numpy, and says what it means.
 *
 * Every row was resolved by the caller against its own arrays.
 */
#include <math.h>
#include <stdint.h>

#include "effects.h"
#include "lanes.h"

typedef struct {
    int64_t sums;
    const int64_t *sum_row;
    const double *sum_n, *sum_s;
    int64_t n_bases, n_outputs, n_waiting, n_cells;
    const int32_t *bases, *of_bases, *outputs, *of_outputs, *waiting;
    const int32_t *row, *base, *block, *of_row, *first;
    const int64_t *cell;
    const int32_t *block_of;
    double *total, *pool;
    const int32_t *cell_group, *cell_output, *group_first, *group_attribute, *groups_of, *output_model;
    const uint8_t *output_kind;
    const double *output_born, *output_tolerance;
    const double *weight_of, *handed;
    const uint8_t *listed;
    double *carried;
    double end, crossed_weight, events, smallest;
    double *n_of, *s_of, *n_all, *s_all;
    uint8_t *touched;
    int64_t *grown, *pooled, *met, *apart;
    int64_t *ready_row, *ready_first, *ready_at, *ready_cell, *ready_group, *ready_model;
    uint8_t *ready_kind, *ready_lonely;
    double *ready_tolerance;
    int64_t n_grown, n_pooled, n_met, n_apart, n_ready, n_bet;
} pool_call;

/* So many further on, memory is asked for while others are at work. */
enum { AHEAD = 12 };

int64_t mw_pool_call_size(void);
void mw_pool(pool_call *c);

int64_t mw_pool_call_size(void) { return sizeof(pool_call); }

/* How often `smallest` cases have doubled when there are so many. */
INLINE int doublings(const pool_call *c, double cases)
{
    return ilogb(larger(cases, 0.5) / larger(c->smallest, 1.0));
}

/* List those that wait whose cases passed `smallest`, or doubled once more, in the tick that was laid out. */
INLINE void see_growth(pool_call *c)
{
    c->n_grown = 0;
    for (int64_t i = 0; i < c->n_waiting; i++) {
        int64_t row = c->waiting[i];
        double came = c->n_of[row], cases = c->total[2 * row];
        if (came > 0.0 && cases >= c->smallest && doublings(c, cases) > doublings(c, cases - came))
            c->grown[c->n_grown++] = row;
    }
}

/* Lay the sums out by tally, and add them up by block and by output. */
INLINE void spread(const pool_call *c)
{
    for (int64_t i = 0; i < c->sums; i++) {
        int64_t row = c->sum_row[i], later = c->sum_row[i + AHEAD < c->sums ? i + AHEAD : i];
        __builtin_prefetch(c->total + 2 * later, 1);
        __builtin_prefetch(c->block_of + later, 0);
        c->n_of[row] = c->sum_n[i];
        c->s_of[row] = c->sum_s[i];
        c->total[2 * row] += c->sum_n[i];
        c->total[2 * row + 1] += c->sum_s[i];
        c->touched[c->block_of[row]] = 1;
    }
    for (int64_t i = 0; i < c->n_bases; i++)
        c->n_all[c->of_bases[i]] += c->n_of[c->bases[i]];
    for (int64_t i = 0; i < c->n_outputs; i++)
        c->s_all[c->of_outputs[i]] += c->s_of[c->outputs[i]];
}

/* Leave nothing behind that the next piece would find. */
INLINE void gather(const pool_call *c)
{
    for (int64_t i = 0; i < c->sums; i++) {
        int64_t row = c->sum_row[i];
        c->n_of[row] = c->s_of[row] = 0.0;
        c->touched[c->block_of[row]] = 0;
    }
    for (int64_t i = 0; i < c->n_bases; i++)
        c->n_all[c->of_bases[i]] = 0.0;
}

/* Let the tick into the pools of a cell's tallies in blocks that it touched; whether there are any. */
INLINE int let_in(pool_call *c, int64_t j)
{
    int64_t before = c->n_pooled;
    for (int32_t i = c->first[j]; i < c->first[j + 1]; i++) {
        int64_t row = c->row[i], block = c->block[i];
        if (!c->touched[block])
            continue;
        double *pool = c->pool + 4 * row, n = c->n_of[c->base[i]], s = c->s_of[row];
        pool[0] += c->n_all[block] - n;
        pool[1] += c->s_all[c->of_row[i]] - s;
        pool[2] += n;
        pool[3] += s;
        c->pooled[c->n_pooled++] = row;
        if (pool[0] + pool[2] >= c->events && pool[0] >= 1.0 && pool[2] >= 1.0)
            c->ready_row[c->n_ready++] = row;
    }
    return c->n_pooled > before;
}

/* Ask for what the cell at `j` and its first tally hold. */
INLINE void fetch(const pool_call *c, int64_t j)
{
    if (j >= c->n_cells || c->first[j] == c->first[j + 1])
        return;
    int64_t cell = c->cell[j], row = c->row[c->first[j]];
    __builtin_prefetch(c->cell_output + cell, 0);
    __builtin_prefetch(c->cell_group + cell, 0);
    __builtin_prefetch(c->carried + cell, 1);
    __builtin_prefetch(c->pool + 4 * row, 1);
}

FOR_EACH_WIDTH void mw_pool(pool_call *c)
{
    spread(c);
    see_growth(c);
    c->n_pooled = c->n_met = c->n_apart = c->n_ready = c->n_bet = 0;
    for (int64_t j = 0; j < c->n_cells; j++) {
        int64_t cell = c->cell[j], output = c->cell_output[cell], group = c->cell_group[cell], bet = c->n_bet;
        uint8_t kind = c->output_kind[output];
        fetch(c, j + AHEAD);
        c->ready_first[bet] = c->n_ready;
        if (!(c->output_born[output] < c->end) || !let_in(c, j))
            continue;
        double weight = (c->group_first[group] >= 0 ? c->crossed_weight : 1.0) * c->weight_of[kind];
        c->met[c->n_met++] = cell;
        if (c->listed[kind])
            c->apart[c->n_apart++] = cell;
        else
            c->carried[cell] += weight * c->handed[c->output_model[output]];
        if (c->n_ready == c->ready_first[bet])
            continue;
        c->ready_at[bet] = j;
        c->ready_cell[bet] = cell;
        c->ready_group[bet] = group;
        c->ready_model[bet] = c->output_model[output];
        c->ready_kind[bet] = kind;
        c->ready_lonely[bet] = c->groups_of[c->group_attribute[group]] <= 2;
        c->ready_tolerance[bet] = c->output_tolerance[output];
        c->n_bet++;
    }
    c->ready_first[c->n_bet] = c->n_ready;
    gather(c);
}
