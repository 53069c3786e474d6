/* Cases as bytes: the parts that each has, and no more. outcomes/packing.py has the same in numpy, and says what it is. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "case.h"

enum { PREDICTED = 1, SCORE = 2, VALUE = 4, OUTCOME = 8, MONEY = 16, ENTITY = 32, PLACES = 64, LISTS = 128 };
enum { SLOTS_AT = 8, SLOTS_MASK = 7, NUMBER = 1 << 11 };
enum { UNPACKED = -1, NO_ROOM = -2 };
enum { AHEAD = 6, LINE = 64 }; /* cases that are asked for before they are needed: those of a moment lie anywhere */

int64_t mw_case_size(int wide);
int64_t mw_pack_cases(int64_t n, const int64_t *rows, const uint8_t *cases, int64_t size, uint8_t *out, int64_t *lengths);
int64_t mw_unpack_cases(int64_t n, const uint8_t *bytes, const int64_t *start, const int64_t *stop, const int64_t *held,
                        const int64_t *place, uint8_t *cases, int64_t size, const int64_t *rows, const uint64_t *key,
                        const double *due);

int64_t mw_case_size(int wide)
{
    return wide ? (int64_t)sizeof(wide_case) : (int64_t)sizeof(narrow_case);
}

static inline __attribute__((always_inline)) void expect(const uint8_t *own)
{
    for (size_t at = 0; at < sizeof(narrow_case); at += LINE)
        __builtin_prefetch(own + at, 1);
}

static inline int told(double x)
{
    return x == x;
}

static int slots_of(const narrow_case *c)
{
    int slots = SLOTS;
    while (slots && !c->names[slots - 1])
        slots--;
    return slots;
}

/* Which parts a case has. */
static uint16_t code_of(const narrow_case *c, int wide)
{
    int code = slots_of(c) << SLOTS_AT;
    code |= c->predicted ? PREDICTED : 0;
    code |= told(c->score) ? SCORE : 0;
    code |= told(c->value) ? VALUE : 0;
    code |= told(c->outcome_time) || c->outcome ? OUTCOME : 0;
    code |= told(c->outcome_number) ? NUMBER : 0;
    code |= told(c->money) ? MONEY : 0;
    code |= c->entity ? ENTITY : 0;
    code |= c->places[0] != UINT64_MAX || c->places[1] != UINT64_MAX ? PLACES : 0;
    code |= wide && (c->list || c->n_served || c->n_shown) ? LISTS : 0;
    return (uint16_t)code;
}

static inline uint8_t *put(uint8_t *to, const void *from, size_t size)
{
    memcpy(to, from, size); /* in the machine's order, which is little-endian wherever we run */
    return to + size;
}

static uint8_t *put_lists(uint8_t *to, const wide_case *w)
{
    to = put(to, &w->c.list, sizeof w->c.list);
    to = put(to, &w->c.n_served, sizeof w->c.n_served);
    to = put(to, &w->c.n_shown, sizeof w->c.n_shown);
    to = put(to, w->served, sizeof w->served);
    return put(to, w->shown, sizeof w->shown);
}

static uint8_t *put_case(uint8_t *to, const narrow_case *c, int wide)
{
    uint16_t code = code_of(c, wide);
    size_t slots = (size_t)slots_of(c);
    to = put(to, &code, sizeof code);
    to = put(to, &c->model, sizeof c->model);
    to = put(to, &c->time, sizeof c->time);
    to = put(to, &c->has, sizeof c->has);
    if (code & PREDICTED)
        to = put(to, &c->predicted, sizeof c->predicted);
    if (code & SCORE)
        to = put(to, &c->score, sizeof c->score);
    if (code & VALUE)
        to = put(to, &c->value, sizeof c->value);
    if (code & OUTCOME) {
        to = put(to, &c->outcome_time, sizeof c->outcome_time);
        to = put(to, &c->outcome, sizeof c->outcome);
    }
    if (code & MONEY)
        to = put(to, &c->money, sizeof c->money);
    if (code & ENTITY)
        to = put(to, &c->entity, sizeof c->entity);
    if (code & PLACES)
        to = put(to, c->places, sizeof c->places);
    if (code & LISTS)
        to = put_lists(to, (const wide_case *)c);
    if (code & NUMBER)
        to = put(to, &c->outcome_number, sizeof c->outcome_number);
    to = put(to, c->names, slots * sizeof *c->names);
    to = put(to, c->texts, slots * sizeof *c->texts);
    return put(to, c->kinds, slots * sizeof *c->kinds);
}

/* Writes the cases at `rows` of an array of records of `size` behind one another into `out`, which has room for the worst
 * case; `lengths` tells how many bytes each takes. Returns how many all take. */
int64_t mw_pack_cases(int64_t n, const int64_t *rows, const uint8_t *cases, int64_t size, uint8_t *out, int64_t *lengths)
{
    int wide = size == (int64_t)sizeof(wide_case);
    uint8_t *to = out;
    for (int64_t i = 0; i < n; i++) {
        if (i + AHEAD < n)
            expect(cases + rows[i + AHEAD] * size);
        uint8_t *from = to;
        to = put_case(to, (const narrow_case *)(const void *)(cases + rows[i] * size), wide);
        lengths[i] = to - from;
    }
    return to - out;
}

static inline const uint8_t *take(const uint8_t *from, void *to, size_t size)
{
    memcpy(to, from, size);
    return from + size;
}

/* What a record of these parts has in bytes. */
static size_t size_of(int code)
{
    const narrow_case *c = NULL;
    size_t slots = (size_t)(code >> SLOTS_AT & SLOTS_MASK);
    size_t n = sizeof(uint16_t) + sizeof c->model;
    n += sizeof c->time + sizeof c->has + slots * (sizeof *c->names + sizeof *c->texts + sizeof *c->kinds);
    n += code & PREDICTED ? sizeof c->predicted : 0;
    n += code & SCORE ? sizeof c->score : 0;
    n += code & VALUE ? sizeof c->value : 0;
    n += code & OUTCOME ? sizeof c->outcome_time + sizeof c->outcome : 0;
    n += code & NUMBER ? sizeof c->outcome_number : 0;
    n += code & MONEY ? sizeof c->money : 0;
    n += code & ENTITY ? sizeof c->entity : 0;
    n += code & PLACES ? sizeof c->places : 0;
    n += code & LISTS ? 3 + 2 * ITEMS * sizeof(uint32_t) : 0;
    return n;
}

static const uint8_t *take_lists(const uint8_t *from, wide_case *w)
{
    from = take(from, &w->c.list, sizeof w->c.list);
    from = take(from, &w->c.n_served, sizeof w->c.n_served);
    from = take(from, &w->c.n_shown, sizeof w->c.n_shown);
    from = take(from, w->served, sizeof w->served);
    return take(from, w->shown, sizeof w->shown);
}

/* Fills a case, zero before, from its record behind the word; when it is due its sheaf says. */
static void take_case(const uint8_t *from, int code, narrow_case *c)
{
    size_t slots = (size_t)(code >> SLOTS_AT & SLOTS_MASK);
    c->outcome_time = c->score = c->value = c->outcome_number = c->money = NAN;
    c->places[0] = c->places[1] = UINT64_MAX;
    from = take(from, &c->model, sizeof c->model);
    from = take(from, &c->time, sizeof c->time);
    from = take(from, &c->has, sizeof c->has);
    if (code & PREDICTED)
        from = take(from, &c->predicted, sizeof c->predicted);
    if (code & SCORE)
        from = take(from, &c->score, sizeof c->score);
    if (code & VALUE)
        from = take(from, &c->value, sizeof c->value);
    if (code & OUTCOME) {
        from = take(from, &c->outcome_time, sizeof c->outcome_time);
        from = take(from, &c->outcome, sizeof c->outcome);
    }
    if (code & MONEY)
        from = take(from, &c->money, sizeof c->money);
    if (code & ENTITY)
        from = take(from, &c->entity, sizeof c->entity);
    if (code & PLACES)
        from = take(from, c->places, sizeof c->places);
    if (code & LISTS)
        from = take_lists(from, (wide_case *)c);
    if (code & NUMBER)
        from = take(from, &c->outcome_number, sizeof c->outcome_number);
    from = take(from, c->names, slots * sizeof *c->names);
    from = take(from, c->texts, slots * sizeof *c->texts);
    take(from, c->kinds, slots * sizeof *c->kinds);
}

/* A value, and where in it a record lies that was looked for: what stands behind it is found from there. */
typedef struct {
    int64_t start, stop, held, place, at;
} found;

/* Finds record `place` of a value of `held` records, whose lengths stand before them, and in `last` what was found; how
 * long it is, or -1 where it has no room. */
static int64_t find_record(const uint8_t *bytes, found want, found *last)
{
    uint16_t length;
    const uint8_t *value = bytes + want.start;
    int64_t size = want.stop - want.start, k = 0, at = want.held * (int64_t)sizeof length;
    if (at > size || want.place < 0 || want.place >= want.held)
        return -1;
    if (last->start == want.start && last->stop == want.stop && last->held == want.held && last->place <= want.place) {
        k = last->place;
        at = last->at;
    }
    for (; k < want.place; k++) {
        memcpy(&length, value + k * (int64_t)sizeof length, sizeof length);
        at += length;
    }
    memcpy(&length, value + k * (int64_t)sizeof length, sizeof length);
    want.at = at;
    *last = want;
    return size - at < length ? -1 : length;
}

/* Reads `n` cases into `rows` of an array of records of `size`: each is record `place` of the `held` ones in a value, which
 * lies in `bytes` from `start` up to `stop`; its `key` and when it is `due` are said beside. Returns UNPACKED;
 * or NO_ROOM where one has lists, for which these records have no room; or which one is no case as it was packed. */
int64_t mw_unpack_cases(int64_t n, const uint8_t *bytes, const int64_t *start, const int64_t *stop, const int64_t *held,
                        const int64_t *place, uint8_t *cases, int64_t size, const int64_t *rows, const uint64_t *key,
                        const double *due)
{
    int wide = size == (int64_t)sizeof(wide_case);
    found last = {-1, -1, -1, 0, 0};
    for (int64_t i = 0; i < n; i++) {
        uint16_t code;
        if (i + AHEAD < n)
            expect(cases + rows[i + AHEAD] * size);
        int64_t length = find_record(bytes, (found){start[i], stop[i], held[i], place[i], 0}, &last);
        if (length < (int64_t)sizeof code)
            return i;
        const uint8_t *from = bytes + start[i] + last.at;
        memcpy(&code, from, sizeof code);
        if (length != (int64_t)size_of(code) || (code >> SLOTS_AT & SLOTS_MASK) > SLOTS)
            return i;
        if (code & LISTS && !wide)
            return NO_ROOM;
        narrow_case *c = (narrow_case *)(void *)(cases + rows[i] * size);
        memset(c, 0, (size_t)size);
        c->key = key[i];
        c->due = due[i];
        take_case(from + sizeof code, code, c);
    }
    return UNPACKED;
}
