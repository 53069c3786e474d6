/* The events of a batch are brought to their cases, one after another; outcomes/joining.py says what becomes of them.
 *
 * A row that comes out of the table lies in `cases`, `dirty` and `key_of`, for it was put there by the caller or from
 * `spare`. The table has free slots for as many keys as `spare` has rows. `met`, `met_model` and `met_ordered` have room
 * for what all events can meet.
 */
#include <math.h>
#include <string.h>

#include "case.h"
#include "places.h"

enum { PREDICTION = 2, OUTCOME = 16 }; /* parts of events */
enum { AHEAD = 8, LINE = 64 };         /* cases that are asked for before they are needed: no cache holds them all */

/* In the order of FATES in joining.py; behind these, what is no fate. */
enum {
    JOINED,
    BEFORE_PREDICTION,
    REPEATED,
    CHANGED,
    AFTER_HORIZON,
    WITHOUT_PREDICTION,
    REPEATED_PREDICTIONS,
    LATE_PREDICTIONS,
    PARTS_WITHOUT_PREDICTION,
    ATTRIBUTES_TURNED_AWAY,
    NO_ROOM,
    LET_IN,
    RIGHT_IN,
    WRONG_IN,
    RIGHT_OUT,
    WRONG_OUT,
    KINDS
};

/* Every member is 8 bytes wide; join.py mirrors it. */
typedef struct {
    int64_t events, attributes;
    const int64_t *row;
    const uint64_t *key;
    const int32_t *model;
    const double *time, *due, *passed;
    const uint16_t *parts;
    const uint64_t *entity;
    const double *money;
    const uint64_t *predicted;
    const double *score, *value;
    const uint64_t *outcome;
    const double *outcome_number;
    const uint64_t *places;
    const int64_t *of;
    const uint64_t *name, *text;
    const uint8_t *kind;
    const uint8_t *list, *n_served, *n_shown;
    const uint32_t *served, *shown;
    uint8_t *cases;
    int64_t size;
    uint8_t *dirty;
    uint64_t *key_of;
    uint64_t *keys;
    int32_t *values;
    uint64_t mask;
    const int64_t *spare;
    int64_t n_spare, room;
    int64_t *listed, *first;
    int32_t *met_model, *met_ordered;
    uint8_t *met;
    int64_t n_new, n_slots, n_listed, n_first, n_met;
    int64_t *counts;
} join_call;

int64_t mw_join_call_size(void);
void mw_join(join_call *call);

int64_t mw_join_call_size(void) { return sizeof(join_call); }

static inline void meets(join_call *c, int what, int32_t model)
{
    c->met_model[c->n_met] = model;
    c->met[c->n_met++] = (uint8_t)what;
    c->counts[what]++;
}

static inline narrow_case *case_at(const join_call *c, int64_t row)
{
    return (narrow_case *)(void *)(c->cases + row * c->size);
}

static inline wide_case *wide_at(const join_call *c, int64_t row)
{
    return c->size == (int64_t)sizeof(wide_case) ? (wide_case *)(void *)(c->cases + row * c->size) : NULL;
}

/* An event whose case would have matured before it came, had there been one. */
static void turn_away(join_call *c, int64_t i)
{
    int predicts = c->parts[i] & PREDICTION, tells = c->parts[i] & OUTCOME;
    meets(c, predicts ? LATE_PREDICTIONS : tells ? WITHOUT_PREDICTION : PARTS_WITHOUT_PREDICTION, c->model[i]);
}

/* A new case. */
static int64_t let_in(join_call *c, int64_t i)
{
    int64_t row = c->spare[c->n_new++];
    c->room--;
    uint64_t slot = c->key[i] & c->mask;
    while (c->keys[slot] != 0 && c->keys[slot] != c->key[i])
        slot = (slot + 1) & c->mask;
    c->n_slots += c->keys[slot] == 0;
    c->keys[slot] = c->key[i];
    c->values[slot] = (int32_t)row;
    c->key_of[row] = c->key[i];
    memset(c->cases + row * c->size, 0, (size_t)c->size);
    narrow_case *k = case_at(c, row);
    k->key = c->key[i], k->model = c->model[i], k->stage = STAGE_OPEN;
    k->due = c->due[i], k->time = c->time[i];
    k->outcome_time = k->score = k->value = k->outcome_number = k->money = NAN;
    k->places[0] = k->places[1] = UINT64_MAX;
    meets(c, LET_IN, c->model[i]);
    c->listed[c->n_listed++] = i;
    return row;
}

/* A case with both parts comes into the early view, or leaves it. */
static void early(join_call *c, const narrow_case *k, int out)
{
    if (k->predicted && k->outcome)
        meets(c, (out ? RIGHT_OUT : RIGHT_IN) + (k->predicted != k->outcome), k->model);
}

/* The first prediction of a case counts, and says when it matures. */
static void predict(join_call *c, int64_t i, int64_t row, narrow_case *k)
{
    if (k->has & HAS_PREDICTION) {
        meets(c, REPEATED_PREDICTIONS, c->model[i]);
        return;
    }
    if (c->due[i] <= c->passed[i]) {
        meets(c, LATE_PREDICTIONS, c->model[i]);
        return;
    }
    c->first[c->n_first++] = i;
    if (k->due != c->due[i])
        c->listed[c->n_listed++] = i;
    k->time = c->time[i], k->due = c->due[i];
    k->predicted = c->predicted[i], k->score = c->score[i], k->value = c->value[i];
    memcpy(k->places, c->places + 2 * i, sizeof k->places);
    wide_case *w = wide_at(c, row);
    if (c->list && w) {
        k->list = c->list[i], k->n_served = c->n_served[i];
        memcpy(w->served, c->served + ITEMS * i, sizeof w->served);
    }
    k->has |= HAS_PREDICTION;
    if (!(k->has & HAS_OUTCOME))
        return;
    if (k->outcome_time > k->due) {
        k->has &= (uint8_t)~HAS_OUTCOME;
        meets(c, AFTER_HORIZON, k->model);
        return;
    }
    early(c, k, 0);
    meets(c, JOINED, k->model);
}

/* Puts the list of an outcome into its case; an outcome without one takes away what was there. */
static void show(const join_call *c, int64_t i, int64_t row)
{
    wide_case *w = wide_at(c, row);
    if (!w)
        return;
    w->c.n_shown = c->list ? c->n_shown[i] : 0;
    if (c->list)
        memcpy(w->shown, c->shown + ITEMS * i, sizeof w->shown);
    else
        memset(w->shown, 0, sizeof w->shown);
}

/* Of several outcomes of a case the newest counts, by event time, as long as it came within the horizon. */
static void tell(join_call *c, int64_t i, int64_t row, narrow_case *k)
{
    int predicted = k->has & HAS_PREDICTION, told = k->has & HAS_OUTCOME;
    if (predicted && c->time[i] > k->due) {
        meets(c, AFTER_HORIZON, c->model[i]);
        return;
    }
    int same = k->outcome == c->outcome[i];
    same &= k->outcome_number == c->outcome_number[i] || isnan(c->outcome_number[i]);
    if (told)
        meets(c, same ? REPEATED : CHANGED, c->model[i]);
    else
        meets(c, predicted ? JOINED : BEFORE_PREDICTION, c->model[i]);
    if (told && (same || !(c->time[i] >= k->outcome_time)))
        return;
    if (told && predicted)
        early(c, k, 1);
    k->outcome = c->outcome[i], k->outcome_number = c->outcome_number[i], k->outcome_time = c->time[i];
    show(c, i, row);
    k->has |= HAS_OUTCOME;
    if (predicted)
        early(c, k, 0);
}

/* Puts an attribute into a free place; one that came before stays what it was. */
static void attribute(join_call *c, int64_t i, int64_t entry, narrow_case *k)
{
    int slot = 0;
    while (slot < SLOTS && k->names[slot] != c->name[entry])
        slot++;
    if (slot == SLOTS) {
        for (slot = 0; slot < SLOTS && k->names[slot] != 0; slot++)
            ;
        if (slot == SLOTS) {
            meets(c, ATTRIBUTES_TURNED_AWAY, c->model[i]);
            return;
        }
        k->names[slot] = c->name[entry], k->texts[slot] = c->text[entry], k->kinds[slot] = c->kind[entry];
    }
    if (c->parts[i] & PREDICTION)
        k->has |= (uint8_t)(TOLD_WITH << slot);
}

/* Brings one event to its case, with its attributes, which are those from `entry` up to `last`. */
static void bring(join_call *c, int64_t i, int64_t entry, int64_t last)
{
    int64_t row = c->row[i] >= 0 ? c->row[i] : find(c->key[i], c->keys, c->values, c->mask);
    if (row < 0) {
        if (!(c->due[i] > c->passed[i])) {
            turn_away(c, i);
            return;
        }
        if (c->room <= 0) {
            meets(c, NO_ROOM, c->model[i]);
            return;
        }
        row = let_in(c, i);
    }
    narrow_case *k = case_at(c, row);
    if (k->stage == STAGE_CLOSED) {
        if (c->parts[i] & OUTCOME)
            meets(c, AFTER_HORIZON, c->model[i]);
        if (c->parts[i] & PREDICTION)
            meets(c, REPEATED_PREDICTIONS, c->model[i]);
        return;
    }
    if (c->parts[i] & PREDICTION)
        predict(c, i, row, k);
    if (c->parts[i] & OUTCOME)
        tell(c, i, row, k);
    for (; entry < last; entry++)
        attribute(c, i, entry, k);
    if (!isnan(c->money[i]))
        k->money = c->money[i];
    if (c->entity[i])
        k->entity = c->entity[i];
    c->dirty[row] = 1;
}

/* Asks for what event `i` will need: its case, or where a new one comes, about, and its slot. It is always inline:
 * a compiler leaves out a call from which nothing comes back. */
static inline __attribute__((always_inline)) void expect(const join_call *c, int64_t i)
{
    int64_t row = c->row[i];
    if (row < 0) {
        __builtin_prefetch(c->keys + (c->key[i] & c->mask), 1);
        __builtin_prefetch(c->values + (c->key[i] & c->mask), 1);
        if (c->n_new + AHEAD >= c->n_spare)
            return;
        row = c->spare[c->n_new + AHEAD];
    }
    const uint8_t *own = c->cases + row * c->size;
    for (int64_t at = 0; at < (int64_t)sizeof(narrow_case); at += LINE)
        __builtin_prefetch(own + at, 1);
    __builtin_prefetch(own + sizeof(narrow_case) - 1, 1);
}

/* Puts what was met in the order of its kinds, what is of one as it came. */
static void order_met(join_call *c)
{
    int64_t at[KINDS] = {0};
    for (int kind = 1; kind < KINDS; kind++)
        at[kind] = at[kind - 1] + c->counts[kind - 1];
    for (int64_t i = 0; i < c->n_met; i++)
        c->met_ordered[at[c->met[i]]++] = c->met_model[i];
}

void mw_join(join_call *c)
{
    int64_t entry = 0;
    for (int64_t i = 0; i < c->events; i++) {
        if (i + AHEAD < c->events)
            expect(c, i + AHEAD);
        int64_t first = entry;
        while (entry < c->attributes && c->of[entry] == i)
            entry++;
        bring(c, i, first, entry);
    }
    order_met(c);
}
