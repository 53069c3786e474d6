/* Counting of predictions among groups of people, for events that name nothing new; groups.py says what it means.
 *
 * An event of which anything is not known yet is left to Python whole, and nothing of it is counted here. Every index
 * that comes out of a table was put there by the caller against its own arrays.
 */
#include <math.h>
#include <stdint.h>

enum { TEXT = 2, NUMBER = 1 };
enum { PREDICTION = 1, SENSITIVE = 3, TAG = 6 };
enum { NOT_SAID = 0, BY_LABEL = 1, ABOVE = 2 };
enum { DECISION = 0, CLASS = 1 };
/* Above the median, in the highest quarter and in the lowest: of scores, and of bare numbers. */
static const int parts_of_numbers[2][3] = {{4, 13, 14}, {5, 15, 16}};
enum { MEMBERS_MAX = 32 };

typedef struct {
    const uint64_t *keys;
    const int32_t *values;
    uint64_t mask;
} table;

/* Every member is 8 bytes wide; groups.py mirrors it. */
typedef struct {
    int64_t events, entries, kinds;
    const int32_t *event;
    const uint8_t *space, *type;
    const uint64_t *name, *text;
    const double *number;
    const int32_t *model;
    const uint64_t *model_key;
    const uint8_t *plain, *crossing, *favours;
    const double *threshold, *quarters;
    table said, both, favourable, outputs, tallies;
    const int32_t *base;
    const uint64_t *member_key, *output_key;
    uint64_t label, score, value;
    int32_t *of_event;
    int64_t *tally;
    double *n, *s;
    int64_t room;
    int64_t *left;
    int64_t n_left;
} group_call;

int64_t mw_count_groups(group_call *c);
int64_t mw_group_call_size(void);
int64_t mw_add_sums(int64_t k, const int64_t *row, const double *n, const double *s, uint64_t *keys, double *n_sums,
                    double *s_sums, uint64_t mask, int64_t room, int64_t *taken);

/* As in tally.c. */
static inline uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t h = (a + 0x9e3779b97f4a7c15ULL) * 0xff51afd7ed558ccdULL;
    h = ((h ^ h >> 32) ^ b) * 0xc4ceb9fe1a85ec53ULL;
    h ^= h >> 29;
    return h ? h : 1;
}

static inline int32_t find(const table *t, uint64_t key)
{
    for (uint64_t slot = key & t->mask;; slot = (slot + 1) & t->mask) {
        if (t->keys[slot] == key)
            return t->values[slot];
        if (t->keys[slot] == 0)
            return -1;
    }
}

typedef struct {
    int32_t event, member[MEMBERS_MAX];
    int members;
    int64_t made; /* increments, those of this event among them */
} people;

/* Adds (n, s) to the tally of all cases of `kind` of each member; false where one has none yet. */
static int add_bases(group_call *c, people *p, int kind, double s)
{
    for (int i = 0; i < p->members; i++) {
        int32_t base = c->base[p->member[i] * c->kinds + kind];
        if (base < 0 || p->made >= c->room)
            return 0;
        c->of_event[p->made] = p->event;
        c->tally[p->made] = base;
        c->n[p->made] = 1.0;
        c->s[p->made++] = s;
    }
    return 1;
}

/* The class that was predicted: a case of each member, and one with that class where the two are counted together. */
static int add_class(group_call *c, people *p, uint64_t text)
{
    uint64_t key = c->model_key[p->event];
    int32_t output = find(&c->outputs, mix(mix(key, CLASS + 1), text));
    if (output < 0 || !add_bases(c, p, CLASS, 0.0))
        return 0;
    for (int i = 0; i < p->members; i++) {
        int32_t tally = find(&c->tallies, mix(c->member_key[p->member[i]], c->output_key[output]));
        if (tally < 0)
            continue;
        if (p->made >= c->room)
            return 0;
        c->of_event[p->made] = p->event;
        c->tally[p->made] = tally;
        c->n[p->made] = 0.0;
        c->s[p->made++] = 1.0;
    }
    return 1;
}

static int add_prediction(group_call *c, people *p, int64_t i)
{
    int32_t model = c->model[p->event];
    int favours = c->favours[model];
    double x = c->number[i];
    if (c->type[i] == TEXT && c->name[i] == c->label) {
        if (favours == BY_LABEL)
            return add_bases(c, p, DECISION, find(&c->favourable, mix(c->model_key[p->event], c->text[i])) >= 0);
        return favours != NOT_SAID || add_class(c, p, c->text[i]);
    }
    if (c->type[i] != NUMBER || !isfinite(x) || favours == BY_LABEL)
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
static int add_intersections(group_call *c, people *p)
{
    int alone = p->members;
    for (int i = 0; i < alone; i++)
        for (int j = i + 1; j < alone; j++) {
            int32_t both = find(&c->both, mix(c->member_key[p->member[i]] + c->member_key[p->member[j]], 0));
            if (both < 0 || p->members == MEMBERS_MAX)
                return 0;
            if (both)
                p->member[p->members++] = both - 1;
        }
    return 1;
}

/* Counts an event with entries [first, last); false where something of it is new. */
static int count_event(group_call *c, people *p, int64_t first, int64_t last)
{
    int32_t model = c->model[p->event];
    p->members = 0;
    if (!c->plain[model])
        return 0;
    for (int64_t i = first; i < last; i++) {
        if (c->space[i] == TAG)
            return 0;
        if (c->space[i] != SENSITIVE || c->type[i] != TEXT)
            continue;
        int32_t member = find(&c->said, mix(mix(c->model_key[p->event] + SENSITIVE, c->name[i]), c->text[i]));
        if (member < 0 || p->members == MEMBERS_MAX)
            return 0;
        p->member[p->members++] = member;
    }
    if (c->crossing[model] && !add_intersections(c, p))
        return 0;
    for (int64_t i = first; i < last && p->members; i++)
        if (c->space[i] == PREDICTION && !add_prediction(c, p, i))
            return 0;
    return 1;
}

/* Counts all events that it can, and lists the others in `left`; returns how many increments there are. */
int64_t mw_count_groups(group_call *c)
{
    people p = {.made = 0};
    int64_t i = 0;
    for (int64_t e = 0; e < c->events; e++) {
        int64_t first = i, made = p.made;
        while (i < c->entries && c->event[i] == e)
            i++;
        p.event = (int32_t)e;
        if (c->model[e] >= 0 && !count_event(c, &p, first, i)) {
            p.made = made;
            c->left[c->n_left++] = e;
        }
    }
    return p.made;
}

int64_t mw_group_call_size(void) { return (int64_t)sizeof(group_call); }

/* Adds increments to the sums of their rows, a table of open addressing whose keys are rows + 1; returns how many were
 * added before `room` more rows had been let in and another one would have been. */
int64_t mw_add_sums(int64_t k, const int64_t *row, const double *n, const double *s, uint64_t *keys, double *n_sums,
                    double *s_sums, uint64_t mask, int64_t room, int64_t *taken)
{
    int64_t i, more = 0;
    for (i = 0; i < k; i++) {
        uint64_t key = (uint64_t)row[i] + 1, slot = mix(key, 0) & mask;
        while (keys[slot] != key && keys[slot] != 0)
            slot = (slot + 1) & mask;
        if (keys[slot] == 0) {
            if (more == room)
                break;
            keys[slot] = key;
            more++;
        }
        n_sums[slot] += n[i];
        s_sums[slot] += s[i];
    }
    *taken = more;
    return i;
}
