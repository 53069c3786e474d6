/* The inner loops of hash look-up and of the sums of a tick. tally.py has the same in numpy, and says what they mean.
 *
 * Every index that comes from data was resolved by the caller against its own arrays; nothing here reads text. What counts
 * does so in 32 bits, and in 16 bits once more where tally_narrow.c brings this file in.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "places.h"

#ifndef NARROW
typedef uint32_t count_t;
#define COUNTING(name) name
#endif

enum { COLUMNS = 40, MOMENTS = 4 };
enum { AHEAD = 16 }; /* entries whose memory is asked for before it is needed: a fleet is larger than a cache */
enum { NULLS = 32, INVALID = 33, TYPE = 34, DROPPED = 35, BELOW = 36, ABOVE = 37, PRESENT = 39 };
enum { UNSEEN_BIN = 31 };
enum { WITH_INPUTS = 6, REPEATED_INPUTS = 7, FAR_INPUTS = 8 }; /* columns of a block's first row */
enum { FEATURE = 0, METRIC = 2, SEGMENT = 4, FAR_MIN = 2, RECENT = 32 };

#ifndef NARROW
void mw_mix(int64_t n, const uint64_t *a, const uint64_t *b, uint64_t *out)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = mix(a[i], b[i]);
}

void mw_find(int64_t n, const uint64_t *wanted, const uint64_t *keys, const int32_t *values, uint64_t mask, int32_t *out)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = find(wanted[i], keys, values, mask);
}

/* Maps `n` keys, none of them 0, to values; returns how many slots were taken. The caller saw to it that there are some. */
int64_t mw_insert(int64_t n, const uint64_t *wanted, const int32_t *given, uint64_t *keys, int32_t *values,
                  uint64_t mask)
{
    int64_t taken = 0;
    for (int64_t i = 0; i < n; i++) {
        uint64_t slot = wanted[i] & mask;
        while (keys[slot] != 0 && keys[slot] != wanted[i])
            slot = (slot + 1) & mask;
        taken += keys[slot] == 0;
        keys[slot] = wanted[i];
        values[slot] = given[i];
    }
    return taken;
}

/* The series of each entry: a look-up by (model, space, name). Events of a model name the same values in the same order as
 * a rule: so what the model's event before named next is tried first, whose entries lie in a near cache still, then the
 * row behind the last one found, then the table, which no cache holds. `latest` has room for the row of each model: where
 * the entries begin of the last event of it, -1 before.
 * Entries without a series that could have one are listed in `unknown`, their number returned: those of spaces that are
 * watched, of events that are of a model (`event_row` is not -1).
 */
int64_t mw_series(int64_t n, const int32_t *event, const uint64_t *event_model, const int32_t *event_row,
                  const uint8_t *space, const uint64_t *name, const uint64_t *row_keys, int64_t rows, const uint64_t *keys,
                  const int32_t *values, uint64_t mask, int32_t *latest, int32_t *out, int64_t *unknown)
{
    int64_t n_unknown = 0;
    for (int64_t i = 0; i < n;) {
        int32_t of = event[i], model = event_row[of], of_before = -1;
        int64_t before = model < 0 ? -1 : latest[model], next = -1;
        if (before >= 0 && event_model[event[before]] == event_model[of])
            of_before = event[before];
        if (model >= 0)
            latest[model] = (int32_t)i;
        for (; i < n && event[i] == of; i++) {
            if (of_before >= 0 && event[before] == of_before && name[before] == name[i] && space[before] == space[i]) {
                next = out[before++];
            } else {
                uint64_t wanted = mix(event_model[of] + space[i], name[i]);
                if (next < 0 || next >= rows || row_keys[next] != wanted)
                    next = find(wanted, keys, values, mask);
            }
            if (next < 0 && model >= 0 && (space[i] <= METRIC || space[i] == SEGMENT))
                unknown[n_unknown++] = i;
            out[i] = (int32_t)next++;
        }
    }
    return n_unknown;
}
/* Where the entries of each of `n` events begin among `m`, which are ordered by event. */
void mw_starts(int64_t n, int64_t m, const int32_t *event, int32_t *start)
{
    int64_t next = 0;
    for (int64_t i = 0; i < m; i++)
        while (next <= event[i])
            start[next++] = (int32_t)i;
    while (next <= n)
        start[next++] = (int32_t)m;
}

/* The places of `n` numbers, none below -1, by rising number, those of one as they came: digits of 11 bits, the lowest
 * first. `spare` has as much room as `order`. */
void mw_order(int64_t n, const int32_t *number, int32_t *order, int32_t *spare)
{
    int32_t *from = spare, *to = order, at[2048];
    uint32_t most = 0;
    for (int64_t i = 0; i < n; i++) {
        order[i] = (int32_t)i;
        if ((uint32_t)(number[i] + 1) > most)
            most = (uint32_t)(number[i] + 1);
    }
    for (int shift = 0; shift < 32 && most >> shift; shift += 11) {
        int32_t *swap = from, before = 0;
        from = to, to = swap;
        memset(at, 0, sizeof at);
        for (int64_t i = 0; i < n; i++)
            at[(uint32_t)(number[i] + 1) >> shift & 2047]++;
        for (int digit = 0; digit < 2048; digit++) {
            int32_t count = at[digit];
            at[digit] = before;
            before += count;
        }
        for (int64_t i = 0; i < n; i++)
            to[at[(uint32_t)(number[from[i]] + 1) >> shift & 2047]++] = from[i];
    }
    if (to != order)
        memcpy(order, to, (size_t)n * sizeof *order);
}
#endif

/* Counts events into the first rows of their blocks, and into the totals of their models: column 0 every event, column
 * `1 + k` those with any of the parts `asked[k]`. */
void COUNTING(mw_count_events)(int64_t n, const int32_t *base, const int32_t *model, const uint16_t *parts, const double *time,
                     const uint16_t *asked, int64_t n_asked, count_t *counts, int64_t *events, double *last_time,
                     uint8_t *touched)
{
    for (int64_t i = 0; i < n; i++) {
        count_t *row = counts + (int64_t)base[i] * COLUMNS;
        row[0]++;
        for (int64_t k = 0; k < n_asked; k++)
            row[1 + k] += (parts[i] & asked[k]) != 0;
        events[model[i]]++;
        touched[model[i]] = 1;
        if (!(time[i] <= last_time[model[i]]))
            last_time[model[i]] = time[i];
    }
}

/* Takes note of inputs in the order they came: is each among the last that its model had at its place of `recent`? */
void COUNTING(mw_repeats)(int64_t n, const uint64_t *print, const int32_t *base, const int32_t *model, uint32_t *recent,
                count_t *counts)
{
    for (int64_t i = 0; i < n; i++) {
        if (base[i] < 0 || print[i] == 0)
            continue;
        count_t *row = counts + (int64_t)base[i] * COLUMNS;
        uint32_t mark = (uint32_t)(print[i] >> 32) | 1;
        uint32_t *place = recent + (int64_t)model[i] * RECENT + (print[i] & (RECENT - 1));
        row[WITH_INPUTS]++;
        row[REPEATED_INPUTS] += *place == mark;
        *place = mark;
    }
}

typedef struct {
    const uint8_t *type, *space;
    const int32_t *series;
    const double *number;
    const uint64_t *text, *name;
    const int16_t *local;
    const uint8_t *kind, *open, *n_edges;
    const double *edges, *low, *high;
    const uint64_t *keys;
    const int32_t *values;
    uint64_t mask;
    count_t *counts;
    double *moments;
    uint8_t *column;
} tally_call;

/* Asks for the memory that counting entry `i` will need, whose block begins at row `base`: which code a category has,
 * and if the block is `fresh` the rows, too, that events of one block share. */
static inline void ask_for(const tally_call *c, int64_t i, int32_t base, int fresh)
{
    int32_t r = c->series[i];
    if (base < 0 || r < 0)
        return;
    if (c->type[i] != T_NUMBER) {
        uint64_t slot = mix((uint64_t)r, c->text[i]) & c->mask;
        __builtin_prefetch(c->keys + slot);
        __builtin_prefetch(c->values + slot);
    }
    if (!fresh)
        return;
    int64_t at = (int64_t)base + c->local[r];
    const char *row = (const char *)(c->counts + at * COLUMNS);
    for (size_t part = 0; part < COLUMNS * sizeof(count_t); part += 64)
        __builtin_prefetch(row + part, 1);
    __builtin_prefetch(c->moments + at * MOMENTS, 1);
    if (c->type[i] == T_NUMBER) {
        const char *edges = (const char *)(c->edges + (int64_t)r * EDGES);
        for (int64_t line = 0; line < 4; line++)
            __builtin_prefetch(edges + 64 * line);
        __builtin_prefetch(c->low + r);
        __builtin_prefetch(c->high + r);
    }
}

/* Asks for the columns of entries [first, last). */
static inline void ask_for_columns(const tally_call *c, int64_t first, int64_t last)
{
    __builtin_prefetch(c->type + first);
    for (int64_t i = first; i < last; i += 8) {
        __builtin_prefetch(c->series + i);
        __builtin_prefetch(c->number + i);
        __builtin_prefetch(c->text + i);
        __builtin_prefetch(c->name + i);
    }
}

/* What value `i` of an event adds to the print of its inputs: numbers that differ by less than a part in 128 are alike.
 * A feature goes in by its name: which row it has depends on what else came in the batches before. */
static inline uint64_t print_of(const tally_call *c, int64_t i)
{
    uint64_t bits;
    if (c->type[i] != T_NUMBER)
        return mix(c->name[i], c->text[i]);
    double x = c->number[i] + 0.0; /* -0 is 0 */
    memcpy(&bits, &x, sizeof bits);
    return mix(c->name[i], (bits + (1ULL << 44)) >> 45);
}

/* Counts entry `i` into a column of its row, and notes which. */
static inline void count_into(const tally_call *c, int64_t i, count_t *row, uint32_t column)
{
    row[column]++;
    c->column[i] = (uint8_t)column;
}

/* Counts entry `i` of an event whose block begins at row `base`; true where only Python can place it. */
static inline int count_entry(const tally_call *c, int64_t i, int32_t base)
{
    int32_t r = c->series[i];
    if (r < 0)
        return 0;
    int64_t at = (int64_t)base + c->local[r];
    count_t *row = c->counts + at * COLUMNS;
    row[PRESENT]++;
    switch (c->type[i]) {
    case T_NULL:
        count_into(c, i, row, NULLS);
        break;
    case T_DROPPED:
        count_into(c, i, row, DROPPED);
        break;
    case T_NUMBER:
        if (!isfinite(c->number[i])) {
            count_into(c, i, row, INVALID);
        } else if (c->kind[r] == K_CATEGORY) {
            count_into(c, i, row, TYPE);
        } else if (c->n_edges[r] == 0) {
            return 1;
        } else {
            const double *e = c->edges + (int64_t)r * EDGES;
            double x = c->number[i], *m = c->moments + at * MOMENTS;
            count_into(c, i, row, bin_of(x, e, c->n_edges[r]));
            row[BELOW] += x < c->low[r];
            row[ABOVE] += x > c->high[r];
            double d = x - e[c->n_edges[r] >> 1];
            m[0] += d;
            m[1] += d * d;
            m[2] = x < m[2] ? x : m[2];
            m[3] = x > m[3] ? x : m[3];
        }
        break;
    default:
        if (c->kind[r] == K_NUMBER) {
            count_into(c, i, row, TYPE);
        } else {
            int32_t code = c->kind[r] == K_UNKNOWN ? -1 : find(mix((uint64_t)r, c->text[i]), c->keys, c->values, c->mask);
            if (code < 0 && c->open[r])
                return 1;
            row[code < 0 ? UNSEEN_BIN : code]++;
            c->column[i] = c->kind[r] == K_UNKNOWN ? ELSEWHERE : code < 0 ? UNSEEN_BIN : (uint8_t)code;
            double h = (double)(c->text[i] >> 11), *m = c->moments + at * MOMENTS;
            if (h < m[2]) m[2] = h;
            if (h > m[3]) m[3] = h;
        }
    }
    return 0;
}

/* Counts the entries of `n` events, those of each from `start` on, into the rows of their ticks; the print of each
 * event's inputs goes into `print`. What needs Python is listed in `deferred`, its number returned. They are counted in
 * the `order` of their blocks, so that rows and edges come from memory once: a fleet is larger than a cache. The order
 * within a block stays, so sums do too. `column`, ELSEWHERE before, becomes the one that an entry was counted into, where
 * its series is known for what it is.
 */
FOR_EACH_WIDTH
int64_t COUNTING(mw_tally)(int64_t n, const int32_t *start, const int32_t *order, const int32_t *event_base, const uint8_t *type,
                 const uint8_t *space, const int32_t *series, const double *number, const uint64_t *text, const uint64_t *name,
                 const int16_t *local, const uint8_t *kind, const uint8_t *open, const uint8_t *n_edges, const double *edges,
                 const double *low, const double *high, const uint64_t *keys, const int32_t *values, uint64_t mask,
                 count_t *counts, double *moments, int64_t *deferred, uint64_t *print, uint8_t *column)
{
    tally_call c = {type, space, series, number, text, name, local, kind, open, n_edges, edges, low, high,
                    keys, values, mask, counts, moments, column};
    int64_t n_deferred = 0;
    int32_t before = -1;
    for (int64_t k = 0; k < n; k++) {
        int64_t first = start[order[k]], last = start[order[k] + 1], behind = 0, end = 0;
        int32_t base = event_base[order[k]], next = -1;
        if (k + 1 < n) {
            next = event_base[order[k + 1]];
            behind = start[order[k + 1]] - last;
            end = start[order[k + 1] + 1];
        }
        if (k + 2 < n)
            ask_for_columns(&c, start[order[k + 2]], start[order[k + 2] + 1]);
        uint64_t prints = 0;
        uint32_t far = 0;
        for (int64_t i = first; i < last; i++) {
            int64_t ahead = i + AHEAD;
            if (ahead < last)
                ask_for(&c, ahead, base, base != before);
            else if (ahead + behind < end)
                ask_for(&c, ahead + behind, next, next != base);
            if (base < 0)
                continue;
            if (count_entry(&c, i, base))
                deferred[n_deferred++] = i;
            if (space[i] == FEATURE && series[i] >= 0 && type[i] != T_NULL && type[i] != T_DROPPED) {
                prints += print_of(&c, i);
                far += type[i] == T_NUMBER && (number[i] < low[series[i]] || number[i] > high[series[i]]);
            }
        }
        before = base;
        print[order[k]] = prints;
        if (base >= 0)
            counts[(int64_t)base * COLUMNS + FAR_INPUTS] += far >= FAR_MIN;
    }
    return n_deferred;
}
