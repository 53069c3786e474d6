/* Cases as bytes: the parts that each has, and no more. outcomes/packing.py has the same in numpy, and says what it is. */
#include <string.h>

#include "case.h"

enum { PREDICTED = 1, SCORE = 2, VALUE = 4, OUTCOME = 8, MONEY = 16, ENTITY = 32, PLACES = 64, LISTS = 128 };
enum { SLOTS_AT = 8, OVER = 1 << 15 };

int64_t mw_case_size(int wide);
void mw_pack_cases(int64_t n, const int64_t *rows, const uint8_t *cases, int64_t size, uint8_t *out, int64_t *stops);

int64_t mw_case_size(int wide)
{
    return wide ? (int64_t)sizeof(wide_case) : (int64_t)sizeof(narrow_case);
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
    if (c->stage == STAGE_CLOSED)
        return OVER;
    int code = slots_of(c) << SLOTS_AT;
    code |= c->predicted ? PREDICTED : 0;
    code |= told(c->score) ? SCORE : 0;
    code |= told(c->value) ? VALUE : 0;
    code |= told(c->outcome_time) || c->outcome || told(c->outcome_number) ? OUTCOME : 0;
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
    to = put(to, &c->due, sizeof c->due);
    if (code == OVER)
        return put(to, &c->model, sizeof c->model);
    to = put(to, &c->time, sizeof c->time);
    to = put(to, &c->model, sizeof c->model);
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
        to = put(to, &c->outcome_number, sizeof c->outcome_number);
    }
    if (code & MONEY)
        to = put(to, &c->money, sizeof c->money);
    if (code & ENTITY)
        to = put(to, &c->entity, sizeof c->entity);
    if (code & PLACES)
        to = put(to, c->places, sizeof c->places);
    if (code & LISTS)
        to = put_lists(to, (const wide_case *)c);
    to = put(to, c->names, slots * sizeof *c->names);
    to = put(to, c->texts, slots * sizeof *c->texts);
    return put(to, c->kinds, slots * sizeof *c->kinds);
}

/* Writes the cases at `rows` of an array of records of `size` behind one another into `out`, which has room for the worst
 * case; `stops` tells where each ends. */
void mw_pack_cases(int64_t n, const int64_t *rows, const uint8_t *cases, int64_t size, uint8_t *out, int64_t *stops)
{
    int wide = size == (int64_t)sizeof(wide_case);
    uint8_t *to = out;
    for (int64_t i = 0; i < n; i++) {
        to = put_case(to, (const narrow_case *)(const void *)(cases + rows[i] * size), wide);
        stops[i] = to - out;
    }
}
