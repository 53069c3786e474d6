/* Counting of predictions among groups of people, for events that name nothing new; groups.py says what it means.
 *
 * An event of which anything is not known yet is left to Python whole, and nothing of it is counted here. Every index
 * that comes out of a table was put there by the caller against its own arrays.
 */
#include <math.h>
#include <stdint.h>

#include "places.h"

enum { FEATURE = 0, PREDICTION = 1, SENSITIVE = 3, TAG = 6 };
enum { NOT_SAID = 0, BY_LABEL = 1, ABOVE = 2 };
enum { DECISION = 0, CLASS = 1 };
/* Above the median, in the highest quarter and in the lowest: of scores, and of bare numbers. */
static const int parts_of_numbers[2][3] = {{4, 13, 14}, {5, 15, 16}};
enum { MEMBERS_MAX = 32, PREDICTIONS_MAX = 8, INCREMENTS_MAX = 256, STAGES = 7 };

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
    int64_t events, kinds;
    const int32_t *start;
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
    int64_t next; /* the event with which counting goes on */
} group_call;

int64_t mw_count_groups(group_call *c);
int64_t mw_group_call_size(void);
int64_t mw_add_sums(int64_t k, const int64_t *row, const double *n, const double *s, sum_table *sums);
int64_t mw_rows_of_sums(const sum_table *sums);
void mw_read_sums(const sum_table *sums, int64_t rows, int32_t *place, int64_t *row, double *n, double *s);

static inline uint64_t slot_of(const sum_table *t, int64_t row) { return mix((uint64_t)row + 1, 0) & t->mask; }

/* Adds to the sum of a tally, whose slot is `at` or behind; false where that would be a row more than there is room for. */
static inline int add_sum(sum_table *t, uint64_t at, int64_t row, double n, double s)
{
    uint64_t key = (uint64_t)row + 1;
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

/* An event on its way: what it says, whom it is about, and what it adds to which tallies. */
typedef struct {
    int64_t event; /* -1: none */
    sum_table *sums;
    int known; /* whether nothing of it is new so far */
    int said, asked, members, predicted, paired, classes, made;
    uint64_t key[MEMBERS_MAX]; /* of what is looked up next */
    int32_t member[MEMBERS_MAX];
    int64_t sensitive[MEMBERS_MAX], prediction[PREDICTIONS_MAX]; /* its entries */
    int32_t tally[INCREMENTS_MAX];
    uint64_t slot[INCREMENTS_MAX];
    uint8_t n[INCREMENTS_MAX], s[INCREMENTS_MAX];
} people;

static inline void ask_for(const table *t, uint64_t key)
{
    __builtin_prefetch(t->keys + (key & t->mask));
    __builtin_prefetch(t->values + (key & t->mask));
}

/* Lets `key` be looked up in `t` by the next stage; there are `*n` so far. */
static inline void ask_next(people *p, int *n, const table *t, uint64_t key)
{
    if (*n == MEMBERS_MAX) {
        p->known = 0;
        return;
    }
    ask_for(t, key);
    p->key[(*n)++] = key;
}

static inline void add_member(const group_call *c, people *p, int32_t member)
{
    if (p->members == MEMBERS_MAX) {
        p->known = 0;
        return;
    }
    const char *base = (const char *)(c->base + member * c->kinds);
    __builtin_prefetch(base);
    __builtin_prefetch(base + c->kinds * (int64_t)sizeof *c->base - 1);
    p->member[p->members++] = member;
}

/* Notes (n, s) of a tally, and asks for the memory of its sum. */
static inline void note(people *p, int32_t tally, int n, int s)
{
    if (p->made == INCREMENTS_MAX) {
        p->known = 0;
        return;
    }
    uint64_t at = slot_of(p->sums, tally);
    const char *slot = (const char *)(p->sums->slots + at);
    __builtin_prefetch(slot, 1);
    __builtin_prefetch(slot + sizeof(sum) - 1, 1);
    p->tally[p->made] = tally;
    p->slot[p->made] = at;
    p->n[p->made] = (uint8_t)n;
    p->s[p->made++] = (uint8_t)s;
}

/* Adds (1, s) to the tally of all cases of `kind` of each member. */
static void add_bases(const group_call *c, people *p, int kind, int s)
{
    for (int i = 0; i < p->members && p->known; i++) {
        int32_t base = c->base[p->member[i] * c->kinds + kind];
        if (base < 0)
            p->known = 0;
        else
            note(p, base, 1, s);
    }
}

/* The class that was predicted: a case of each member, and one with that class where the two are counted together. */
static void add_class(const group_call *c, people *p, uint64_t text)
{
    int32_t output = look_up(&c->outputs, mix(mix(c->model_key[p->event], CLASS + 1), text));
    if (output < 0 || p->classes) {
        p->known = 0;
        return;
    }
    add_bases(c, p, CLASS, 0);
    for (int i = 0; i < p->members; i++)
        ask_next(p, &p->classes, &c->tallies, mix(c->member_key[p->member[i]], c->output_key[output]));
}

static void add_prediction(const group_call *c, people *p, int64_t i)
{
    int32_t model = c->model[p->event];
    int favours = c->favours[model];
    double x = c->number[i];
    if (c->type[i] == T_TEXT && c->name[i] == c->label) {
        if (favours == BY_LABEL)
            add_bases(c, p, DECISION, look_up(&c->favourable, mix(c->model_key[p->event], c->text[i])) >= 0);
        else if (favours == NOT_SAID)
            add_class(c, p, c->text[i]);
        return;
    }
    if (c->type[i] != T_NUMBER || !isfinite(x) || favours == BY_LABEL)
        return;
    if (favours != NOT_SAID) {
        add_bases(c, p, DECISION, favours == ABOVE ? x >= c->threshold[model] : x <= c->threshold[model]);
        return;
    }
    int which = c->name[i] == c->value;
    const double *quarter = c->quarters + 3 * (2 * model + which);
    const int *kinds = parts_of_numbers[which];
    if ((!which && c->name[i] != c->score) || isnan(quarter[0]))
        return;
    add_bases(c, p, kinds[0], x > quarter[1]);
    add_bases(c, p, kinds[1], x > quarter[2]);
    add_bases(c, p, kinds[2], x <= quarter[0]);
}

/* An event goes through seven stages, each of which asks for the memory that the next one reads: a fleet is larger than a
 * cache. While one event waits for its own, those before and behind it are a stage on and a stage back. */

/* The next event that counts, and which entries speak of people and of what was predicted; false where there is none. */
static int read_event(group_call *c, people *p)
{
    for (p->event = -1; p->event < 0 && c->next < c->events; c->next++)
        if (c->model[c->next] >= 0)
            p->event = c->next;
    if (p->event < 0)
        return 0;
    p->sums = c->sums + c->tick[p->event];
    p->known = c->plain[c->model[p->event]];
    p->said = p->asked = p->members = p->predicted = p->paired = p->classes = p->made = 0;
    for (int64_t i = c->start[p->event]; i < c->start[p->event + 1] && p->known; i++) {
        if (c->space[i] == FEATURE) /* as nearly all are */
            continue;
        if (c->space[i] == SENSITIVE && p->said < MEMBERS_MAX)
            p->sensitive[p->said++] = i;
        else if (c->space[i] == PREDICTION && p->predicted < PREDICTIONS_MAX)
            p->prediction[p->predicted++] = i;
        else if (c->space[i] == SENSITIVE || c->space[i] == PREDICTION || c->space[i] == TAG)
            p->known = 0;
        else
            continue;
        __builtin_prefetch(c->name + i);
        __builtin_prefetch(c->text + i);
        __builtin_prefetch(c->number + i);
    }
    return 1;
}

static void ask_for_people(const group_call *c, people *p)
{
    uint64_t model = c->model_key[p->event] + SENSITIVE;
    for (int k = 0; k < p->said; k++) {
        int64_t i = p->sensitive[k];
        if (c->type[i] == T_TEXT)
            ask_next(p, &p->asked, &c->said, mix(mix(model, c->name[i]), c->text[i]));
    }
}

static void find_members(const group_call *c, people *p)
{
    for (int i = 0; i < p->asked && p->known; i++) {
        int32_t member = look_up(&c->said, p->key[i]);
        if (member < 0)
            p->known = 0;
        else
            add_member(c, p, member);
    }
    if (!p->known || !c->crossing[c->model[p->event]])
        return;
    for (int i = 0; i < p->members; i++)
        for (int j = i + 1; j < p->members; j++)
            ask_next(p, &p->paired, &c->both, mix(c->member_key[p->member[i]] + c->member_key[p->member[j]], 0));
}

/* What each two members are together: one more than its row in `both`, or 0. */
static void find_intersections(const group_call *c, people *p)
{
    for (int i = 0; i < p->paired && p->known; i++) {
        int32_t both = look_up(&c->both, p->key[i]);
        if (both < 0)
            p->known = 0;
        else if (both)
            add_member(c, p, both - 1);
    }
}

static void find_tallies(const group_call *c, people *p)
{
    for (int i = 0; i < p->predicted && p->known && p->members; i++)
        add_prediction(c, p, p->prediction[i]);
    if (c->pairs + p->members > c->room || p->made + p->classes > INCREMENTS_MAX)
        p->known = 0;
}

static void find_classes(const group_call *c, people *p)
{
    for (int i = 0; i < p->classes; i++) {
        int32_t tally = look_up(&c->tallies, p->key[i]);
        if (tally >= 0)
            note(p, tally, 0, 1);
    }
}

/* Counts what was noted of an event, for which there is room, and is done with it. */
static void count_event(people *p)
{
    for (int i = 0; i < p->made; i++)
        add_sum(p->sums, p->slot[i], p->tally[i], p->n[i], p->s[i]);
    p->event = -1;
}

/* Lists whom an event is about, or the event itself where anything of it is new. */
static void list_event(group_call *c, people *p)
{
    if (!p->known) {
        c->left[c->n_left++] = p->event;
        p->event = -1;
        return;
    }
    for (int i = 0; i < p->members; i++) {
        c->of_event[c->pairs] = (int32_t)p->event;
        c->of_member[c->pairs++] = p->member[i];
    }
}

/* Counts all events that it can from `next` on, and lists the others in `left`. It ends before an event that could
 * be more than its tick has room for: returns the number of that tick, -1 at the end. */
int64_t mw_count_groups(group_call *c)
{
    people way[STAGES];
    for (int i = 0; i < STAGES; i++)
        way[i].event = -1;
    int idle = 0;
    for (int64_t k = 0; idle < STAGES; k++) {
        people *counted = way + (k + 1) % STAGES, *classed = way + (k + 2) % STAGES, *found = way + (k + 3) % STAGES;
        people *crossed = way + (k + 4) % STAGES, *met = way + (k + 5) % STAGES, *asked = way + (k + 6) % STAGES;
        if (counted->event >= 0)
            count_event(counted);
        if (classed->event >= 0)
            find_classes(c, classed);
        if (found->event >= 0) {
            find_tallies(c, found);
            int waiting = classed->event >= 0 ? classed->made : 0;
            if (found->known && found->made + found->classes + waiting > found->sums->room) {
                c->next = found->event;
                if (classed->event >= 0)
                    count_event(classed);
                return found->sums - c->sums;
            }
            list_event(c, found);
        }
        if (crossed->event >= 0)
            find_intersections(c, crossed);
        if (met->event >= 0)
            find_members(c, met);
        if (asked->event >= 0)
            ask_for_people(c, asked);
        idle = read_event(c, way + k % STAGES) ? 0 : idle + 1;
    }
    return -1;
}

int64_t mw_group_call_size(void) { return (int64_t)sizeof(group_call); }

/* Adds (n, s) to the sums of rows; returns how many of `k` were added before there was no room for another row. */
int64_t mw_add_sums(int64_t k, const int64_t *row, const double *n, const double *s, sum_table *sums)
{
    int64_t i = 0;
    while (i < k && add_sum(sums, slot_of(sums, row[i]), row[i], n[i], s[i]))
        i++;
    return i;
}

/* How many rows there are up to the last one that has a sum. */
int64_t mw_rows_of_sums(const sum_table *sums)
{
    uint64_t last = 0;
    for (uint64_t at = 0; at <= sums->mask; at++)
        last = sums->slots[at].key > last ? sums->slots[at].key : last;
    return (int64_t)last;
}

/* Gives all sums by rising row. `place` has a 0 for each of `rows`: they are dense, so that this costs less than to
 * sort. */
void mw_read_sums(const sum_table *sums, int64_t rows, int32_t *place, int64_t *row, double *n, double *s)
{
    enum { AHEAD = 32 };
    for (uint64_t at = 0; at <= sums->mask; at++)
        if (sums->slots[at].key)
            place[sums->slots[at].key - 1] = (int32_t)at + 1;
    for (int64_t i = 0, k = 0; i < rows; i++) {
        if (i + AHEAD < rows && place[i + AHEAD])
            __builtin_prefetch(sums->slots + place[i + AHEAD] - 1, 0);
        if (!place[i])
            continue;
        const sum *own = sums->slots + place[i] - 1;
        row[k] = i;
        n[k] = own->n;
        s[k++] = own->s;
    }
}
