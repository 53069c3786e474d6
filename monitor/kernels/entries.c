/* Which series entries belong to, and where those of an event lie. tally.py has the same in numpy, and says what they mean.
 *
 * Every index that comes from data was resolved by the caller against its own arrays; nothing here reads text.
 */
#include <stdint.h>
#include <string.h>

#include "places.h"

enum { METRIC = 2, SEGMENT = 4 };

/* The series of each entry: a look-up by (model, space, name). Events of a model name the same values in the same order as
 * a rule: so what the model's event before named next is tried first, whose entries lie in a near cache still, then the
 * row behind the last one found, then the table, which no cache holds. `latest` has room for the row of each model: where
 * the entries begin of the last event of it, -1 before. `like`, -1 before, becomes that event where one names just the same.
 * Entries without a series that could have one are listed in `unknown`, their number returned: those of spaces that are
 * watched, of events that are of a model (`event_row` is not -1).
 */
int64_t mw_series(int64_t n, const int32_t *event, const uint64_t *event_model, const int32_t *event_row,
                  const uint8_t *space, const uint64_t *name, const uint64_t *row_keys, int64_t rows, const uint64_t *keys,
                  const int32_t *values, uint64_t mask, int32_t *latest, int32_t *out, int64_t *unknown, int32_t *like)
{
    int64_t n_unknown = 0;
    for (int64_t i = 0; i < n;) {
        int32_t of = event[i], model = event_row[of], of_before = -1;
        int64_t before = model < 0 ? -1 : latest[model], next = -1;
        if (before >= 0 && event_model[event[before]] == event_model[of])
            of_before = event[before];
        if (model >= 0)
            latest[model] = (int32_t)i;
        int same = of_before >= 0;
        for (; i < n && event[i] == of; i++) {
            if (of_before >= 0 && event[before] == of_before && name[before] == name[i] && space[before] == space[i]) {
                next = out[before++];
            } else {
                uint64_t wanted = mix(event_model[of] + space[i], name[i]);
                same = 0;
                if (next < 0 || next >= rows || row_keys[next] != wanted)
                    next = find(wanted, keys, values, mask);
            }
            if (next < 0 && model >= 0 && (space[i] <= METRIC || space[i] == SEGMENT))
                unknown[n_unknown++] = i;
            out[i] = (int32_t)next++;
        }
        like[of] = same && event[before] != of_before ? of_before : -1;
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
