/* Counting of predictions among groups of people, for events that name nothing new; groups.py says what it means.
 *
 * An event of which anything is not known yet is left to Python whole, and nothing of it is counted here. Every index
 * that comes out of a table was put there by the caller against its own arrays.
 */
#include <math.h>
#include <stdint.h>

#include "places.h"

enum { PREDICTION = 1, SENSITIVE = 3, TAG = 6 };
enum { NOT_SAID = 0, BY_LABEL = 1, ABOVE = 2 };
enum { DECISION = 0, CLASS = 1 };
/* Above the median, in the highest quarter and in the lowest: of scores, and of bare numbers. */
static const int parts_of_numbers[2][3] = {{4, 13, 14}, {5, 15, 16}};
enum { MEMBERS_MAX = 32, INCREMENTS_MAX = 256 };

typedef struct {
    const uint64_t *keys;
    const int32_t *values;
    uint64_t mask;
} table;

/* What was counted of a tally: `key` is its row + 1, 0 of a free slot. */
typedef struct {
    uint64_t key;
    double n, s;
} sum;

/* The sums of a tick, a table of open addressing that `room` more rows may come into; `added` counts what was. */
typedef struct {
    sum *slots;
    uint64_t mask;
    int64_t room, added;
} sum_table;

/* Every member is 8 bytes wide, or a struct of such; groups.py mirrors it. */
typedef struct {
    int64_t events, entries, kinds;
    const int32_t *event;
    const uint8_t *space, *type;
    const uint64_t *name, *text;
    const double *number;
    const int32_t *model, *tick;
    const uint64_t *model_key;
    const uint8_t *plain, *crossing, *favours;
    const double *threshold, *quarters;
    table said, both, favourable, outputs, tallies;
    const int32_t *base;
    const uint64_t *member_key, *output_key;
    uint64_t label, score, value;
    sum_table *sums;
    int32_t *of_event, *of_member;
    int64_t room, pairs;
    int64_t *left;
    int64_t n_left;
    int64_t next_event, next_entry; /* where counting goes on */
} group_call;

int64_t mw_count_groups(group_call *c);
int64_t mw_group_call_size(void);
int64_t mw_add_sums(int64_t k, const int64_t *row, const double *n, const double *s, sum_table *sums);

static inline int32_t look_up(const table *t, uint64_t key) { return find(key, t->keys, t->values, t->mask); }

/* Adds to the sum of a tally; false where that would be a row more than there is room for. */
static inline int add_sum(sum_table *t, int64_t row, double n, double s)
{
    uint64_t key = (uint64_t)row + 1, at = mix(key, 0) & t->mask;
    while (t->slots[at].key != key && t->slots[at].key != 0)
        at = (at + 1) & t->mask;
    sum *own = t->slots + at;
    if (own->key == 0) {
        if (t->room == 0)
            return 0;
        own->key = key;
        t->room--;
    }
    own->n += n;
    own->s += s;
    t->added++;
    return 1;
}

/* What one event adds to which tallies. */
typedef struct {
    sum_table *sums;
    int32_t event, member[MEMBERS_MAX];
    int members, made;
    int32_t tally[INCREMENTS_MAX];
    uint8_t n[INCREMENTS_MAX], s[INCREMENTS_MAX];
} people;

/* Notes (n, s) of a tally, and asks for the memory of its sum; false where the event has too many. */
static inline int note(people *p, int32_t tally, int n, int s)
{
    if (p->made == INCREMENTS_MAX)
        return 0;
    __builtin_prefetch(p->sums->slots + (mix((uint64_t)tally + 1, 0) & p->sums->mask), 1);
    p->tally[p->made] = tally;
    p->n[p->made] = (uint8_t)n;
    p->s[p->made++] = (uint8_t)s;
    return 1;
}

/* Adds (1, s) to the tally of all cases of `kind` of each member; false where one has none yet. */
static int add_bases(const group_call *c, people *p, int kind, int s)
{
    for (int i = 0; i < p->members; i++) {
        int32_t base = c->base[p->member[i] * c->kinds + kind];
        if (base < 0 || !note(p, base, 1, s))
            return 0;
    }
    return 1;
}

/* The class that was predicted: a case of each member, and one with that class where the two are counted together. */
static int add_class(const group_call *c, people *p, uint64_t text)
{
    int32_t output = look_up(&c->outputs, mix(mix(c->model_key[p->event], CLASS + 1), text));
    if (output < 0 || !add_bases(c, p, CLASS, 0))
        return 0;
    for (int i = 0; i < p->members; i++) {
        int32_t tally = look_up(&c->tallies, mix(c->member_key[p->member[i]], c->output_key[output]));
        if (tally >= 0 && !note(p, tally, 0, 1))
            return 0;
    }
    return 1;
}

static int add_prediction(const group_call *c, people *p, int64_t i)
{
    int32_t model = c->model[p->event];
    int favours = c->favours[model];
    double x = c->number[i];
    if (c->type[i] == T_TEXT && c->name[i] == c->label) {
        if (favours == BY_LABEL)
            return add_bases(c, p, DECISION, look_up(&c->favourable, mix(c->model_key[p->event], c->text[i])) >= 0);
        return favours != NOT_SAID || add_class(c, p, c->text[i]);
    }
    if (c->type[i] != T_NUMBER || !isfinite(x) || favours == BY_LABEL)
        return 1;
    if (favours != NOT_SAID)
        return add_bases(c, p, DECISION, favours == ABOVE ? x >= c->threshold[model] : x <= c->threshold[model]);
    int which = c->name[i] == c->value;
    const double *quarter = c->quarters + 3 * (2 * model + which);
    const int *kinds = parts_of_numbers[which];
    if ((!which && c->name[i] != c->score) || isnan(quarter[0]))
        return 1;
    return add_bases(c, p, kinds[0], x > quarter[1]) && add_bases(c, p, kinds[1], x > quarter[2]) &&
           add_bases(c, p, kinds[2], x <= quarter[0]);
}

/* Lets in what each two members are together, one more than its row in `both`, or 0; false where that is not known. */
static int add_intersections(const group_call *c, people *p)
{
    int alone = p->members;
    for (int i = 0; i < alone; i++)
        for (int j = i + 1; j < alone; j++) {
            int32_t both = look_up(&c->both, mix(c->member_key[p->member[i]] + c->member_key[p->member[j]], 0));
            if (both < 0 || p->members == MEMBERS_MAX)
                return 0;
            if (both)
                p->member[p->members++] = both - 1;
        }
    return 1;
}

/* Takes note of what an event with entries [first, last) adds; false where something of it is new. */
static int take_event(const group_call *c, people *p, int64_t first, int64_t last)
{
    int32_t model = c->model[p->event];
    p->members = p->made = 0;
    if (!c->plain[model])
        return 0;
    for (int64_t i = first; i < last; i++) {
        if (c->space[i] == TAG)
            return 0;
        if (c->space[i] != SENSITIVE || c->type[i] != T_TEXT)
            continue;
        int32_t member = look_up(&c->said, mix(mix(c->model_key[p->event] + SENSITIVE, c->name[i]), c->text[i]));
        if (member < 0 || p->members == MEMBERS_MAX)
            return 0;
        p->member[p->members++] = member;
    }
    if ((c->crossing[model] && !add_intersections(c, p)) || c->pairs + p->members > c->room)
        return 0;
    for (int64_t i = first; i < last && p->members; i++)
        if (c->space[i] == PREDICTION && !add_prediction(c, p, i))
            return 0;
    return 1;
}

/* Counts what was noted of an event, for which there is room. */
static void count_event(const people *p)
{
    for (int i = 0; i < p->made; i++)
        add_sum(p->sums, p->tally[i], p->n[i], p->s[i]);
}

/* Counts all events that it can from `next_event` on, and lists the others in `left`. It ends before an event that could
 * be more than its tick has room for: returns the number of that tick, -1 at the end. An event is counted when the next
 * one was looked at: until then the memory of its sums is under way. */
int64_t mw_count_groups(group_call *c)
{
    people both[2];
    both[0].made = both[1].made = 0;
    int turn = 0;
    int64_t i = c->next_entry, e, full = -1;
    for (e = c->next_event; e < c->events; e++) {
        int64_t first = i;
        while (i < c->entries && c->event[i] == e)
            i++;
        if (c->model[e] < 0)
            continue;
        people *p = both + turn, *before = both + !turn;
        p->event = (int32_t)e;
        p->sums = c->sums + c->tick[e];
        if (!take_event(c, p, first, i)) {
            c->left[c->n_left++] = e;
            continue;
        }
        count_event(before);
        before->made = 0;
        if (p->made > p->sums->room) {
            full = c->tick[e];
            i = first;
            p->made = 0;
            break;
        }
        for (int k = 0; k < p->members; k++) {
            c->of_event[c->pairs] = p->event;
            c->of_member[c->pairs++] = p->member[k];
        }
        turn = !turn;
    }
    if (both[!turn].made)
        count_event(both + !turn);
    c->next_event = e;
    c->next_entry = i;
    return full;
}

int64_t mw_group_call_size(void) { return (int64_t)sizeof(group_call); }

/* Adds (n, s) to the sums of rows; returns how many of `k` were added before there was no room for another row. */
int64_t mw_add_sums(int64_t k, const int64_t *row, const double *n, const double *s, sum_table *sums)
{
    int64_t i = 0;
    while (i < k && add_sum(sums, row[i], n[i], s[i]))
        i++;
    return i;
}
