/* Which series entries belong to, and where those of an event lie. tally.py has the same in numpy, and says what they mean.
 *
 * Every index that comes from data was resolved by the caller against its own arrays; nothing here reads text.
 */
#include <stdint.h>
#include <string.h>

#include "places.h"

enum { METRIC = 2, SEGMENT = 4 };

/* What the entries of an event are looked up by. */
typedef struct {
    const uint8_t *space;
    const uint64_t *name, *row_keys, *keys;
    const int32_t *values;
    int64_t rows;
    uint64_t mask, model;
} looked_up;

/* Finds the series of the entries [first, last) of an event: the entries [before, end) of its model's event before are
 * tried first, then the row behind the last one found. */
static void find_series(const looked_up *by, int64_t first, int64_t last, int64_t before, int64_t end, int32_t *out)
{
    int64_t next = -1;
    for (int64_t i = first; i < last; i++) {
        if (before < end && by->name[before] == by->name[i] && by->space[before] == by->space[i]) {
            next = out[before++];
        } else {
            uint64_t wanted = mix(by->model + by->space[i], by->name[i]);
            if (next < 0 || next >= by->rows || by->row_keys[next] != wanted)
                next = find(wanted, by->keys, by->values, by->mask);
        }
        out[i] = (int32_t)next++;
    }
}

/* The series of each entry: a look-up by (model, space, name). Events of a model name the same values in the same order
 * as a rule: so what the model's event before named is compared first, whose entries lie in a near cache still; no cache
 * holds the table. `latest` has room for the row of each model: the last event of it that has entries, -1 before. `like`,
 * -1 before, becomes that event where one names just the same. Entries without a series that could have one are listed in
 * `unknown`, their number returned: those of spaces that are watched, of events that are of a model (`event_row` is not
 * -1). The entries of event `i` are those from `start[i]` on.
 */
int64_t mw_series(int64_t n, const int32_t *start, const uint64_t *event_model, const int32_t *event_row,
                  const uint8_t *space, const uint64_t *name, const uint64_t *row_keys, int64_t rows, const uint64_t *keys,
                  const int32_t *values, uint64_t mask, int32_t *latest, int32_t *out, int64_t *unknown, int32_t *like)
{
    looked_up by = {space, name, row_keys, keys, values, rows, mask, 0};
    int64_t n_unknown = 0;
    for (int64_t of = 0; of < n; of++) {
        int64_t first = start[of], width = start[of + 1] - first, before = 0, wide = 0;
        int32_t model = event_row[of], of_before = -1;
        if (width == 0)
            continue;
        if (model >= 0) {
            if (latest[model] >= 0 && event_model[latest[model]] == event_model[of])
                of_before = latest[model];
            latest[model] = (int32_t)of;
        }
        if (of_before >= 0)
            before = start[of_before], wide = start[of_before + 1] - before;
        if (width == wide && memcmp(name + before, name + first, (size_t)width * sizeof *name) == 0 &&
            memcmp(space + before, space + first, (size_t)width) == 0) {
            memcpy(out + first, out + before, (size_t)width * sizeof *out);
            like[of] = of_before;
        } else {
            by.model = event_model[of];
            find_series(&by, first, first + width, before, before + wide, out);
        }
        for (int64_t i = first; i < first + width; i++)
            if (out[i] < 0 && model >= 0 && (space[i] <= METRIC || space[i] == SEGMENT))
                unknown[n_unknown++] = i;
    }
    return n_unknown;
}

/* Where the entries of each of `n` events begin among `m`, which are ordered by event. Most have as many as the event
 * before them: that is tried first. */
void mw_starts(int64_t n, int64_t m, const int32_t *event, int32_t *start)
{
    int64_t at = 0, width = 1;
    for (int64_t of = 0; of < n; of++) {
        int64_t first = at;
        start[of] = (int32_t)first;
        if (width > 0 && first + width <= m && event[first + width - 1] == of)
            at = first + width;
        while (at < m && event[at] <= of)
            at++;
        width = at - first;
    }
    start[n] = (int32_t)m;
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
