/* Counting of predictions among groups of people, for events that name nothing new; groups.py says what it means.
 *
 * An event of which anything is not known yet is left to Python whole, and nothing of it is counted here. Every index
 * that comes out of a table was put there by the caller against its own arrays.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "groups.h"
#include "places.h"

enum { FEATURE = 0, PREDICTION = 1, SENSITIVE = 3, TAG = 6 };
enum { NOT_SAID = 0, BY_LABEL = 1, ABOVE = 2 };
enum { DECISION = 0, CLASS = 1 };
/* Above the median, in the highest quarter and in the lowest: of scores, and of bare numbers. */
static const int parts_of_numbers[2][3] = {{4, 13, 14}, {5, 15, 16}};
enum { LABEL = 0, SCORE = 1, VALUE = 2, OTHER = 3 }; /* names of predictions */
enum { TOGETHER = 32, MEMBERS_MAX = 64 }; /* events of a model that are counted at once, and members they may have */
enum { SAID_MAX = 10, PREDICTIONS_MAX = 8, KINDS_MAX = 32 }; /* of one event */
enum { PLACES = 64 };
enum { NONE = -1, NEW = -2 };

/* What was counted of a tally: `key` is its row + 1, 0 of a free slot. Four fill a line of a cache. */
typedef struct {
    uint32_t key, n;
    double s;
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
    const int32_t *start, *order, *like;
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
    int64_t next, stop; /* the places in `order` with which counting goes on, and before which it ends */
    int64_t full; /* the number of the tick that has no room for what is next, or NONE */
} group_call;

int64_t mw_group_call_size(void);
int64_t mw_add_sums(int64_t k, const int64_t *row, const double *n, const double *s, sum_table *sums);
int64_t mw_rows_of_sums(const sum_table *sums);
void mw_read_sums(const sum_table *sums, int64_t rows, int32_t *place, int64_t *row, double *n, double *s);

static inline uint64_t slot_of(const sum_table *t, int64_t row) { return mix((uint64_t)row + 1, 0) & t->mask; }

/* Adds to the sum of a tally, whose slot is `at` or behind; false where that would be a row more than there is room for. */
static inline int add_sum(sum_table *t, uint64_t at, int64_t row, uint32_t n, double s)
{
    uint32_t key = (uint32_t)row + 1;
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

/* What is looked up by its key, once for all events of a run that name it: the row that was found, or NONE; later, of a
 * member, its place among those of the run, or NEW. */
typedef struct {
    uint64_t key;
    int32_t row;
} sought;

/* Where an event speaks of people and of predictions: entries by their distance from its first. `begun` is the key of a
 * name, which a value ends. */
typedef struct {
    int known; /* whether nothing is said that only Python counts */
    int said, predicted;
    int32_t sensitive[SAID_MAX], prediction[PREDICTIONS_MAX];
    uint64_t begun[SAID_MAX];
    uint8_t word[PREDICTIONS_MAX];
} layout;

/* An event of a run, and whom it is about; places among what its run knows. */
typedef struct {
    int64_t event, first; /* its first entry */
    const layout *as;
    int known; /* whether nothing of it is new so far */
    int label, values, members;
    uint8_t value[SAID_MAX], member[MEMBERS_MAX];
} person;

/* Members and what was counted of them, by kind: of those in `counted`. `based` has a bit for each kind of which there is
 * a tally of all cases; `pair` is, by the place of another member, 1 + that of what the two are together. */
typedef struct {
    uint64_t key;
    const int32_t *base;
    int32_t row;
    uint32_t based, counted;
    uint16_t n[KINDS_MAX], s[KINDS_MAX];
    uint8_t pair[MEMBERS_MAX], classed[TOGETHER];
} people;

/* What is added to a tally, whose sum is in the slot `at` or behind. */
typedef struct {
    uint64_t at;
    int32_t tally;
    uint16_t n, s;
} increment;

/* Events of one model and tick that stand together in the order. What they name is looked up once for all of them, and
 * what they add is added at once: a fleet is larger than a cache, and of a model's events that come together many are
 * about the same few people. */
typedef struct {
    int64_t first; /* its place in the order */
    uint64_t model_key;
    sum_table *sums;
    int32_t model;
    int favours, size, n_values, n_pairs, n_labels, n_members, n_made;
    layout as[TOGETHER];
    person one[TOGETHER];
    sought value[MEMBERS_MAX], pair[MEMBERS_MAX], label[TOGETHER];
    uint8_t value_at[PLACES], label_at[PLACES]; /* by the last bits of a key 1 + its place, 0 for none */
    people member[MEMBERS_MAX];
    increment made[MEMBERS_MAX * (KINDS_MAX + TOGETHER)];
} run;

static inline void ask_for(const table *t, uint64_t key)
{
    __builtin_prefetch(t->keys + (key & t->mask));
    __builtin_prefetch(t->values + (key & t->mask));
}

/* The place of a key among the `n` that are known; what is new is asked for in `t`. Where two keys share a place of `at`
 * the same may have several among the known, which does no harm. */
static inline int place_of(uint64_t key, sought *known, int *n, uint8_t *at, const table *t)
{
    uint8_t *own = at + key % PLACES;
    if (*own == 0 || known[*own - 1].key != key) {
        ask_for(t, key);
        known[*n].key = key;
        *own = (uint8_t)++*n;
    }
    return *own - 1;
}

static void read_layout(const group_call *c, int64_t event, layout *own)
{
    int32_t first = c->start[event];
    own->known = 1;
    own->said = own->predicted = 0;
    for (int32_t i = first; i < c->start[event + 1]; i++) {
        uint8_t space = c->space[i];
        if (space == FEATURE) /* as nearly all are */
            continue;
        if (space == SENSITIVE && own->said < SAID_MAX) {
            own->begun[own->said] = mix_begun(mix(c->model_key[event] + SENSITIVE, c->name[i]));
            own->sensitive[own->said++] = i - first;
        } else if (space == PREDICTION && own->predicted < PREDICTIONS_MAX) {
            uint64_t name = c->name[i];
            int word = name == c->label ? LABEL : name == c->score ? SCORE : name == c->value ? VALUE : OTHER;
            own->word[own->predicted] = (uint8_t)word;
            own->prediction[own->predicted++] = i - first;
        } else if (space == SENSITIVE || space == PREDICTION || space == TAG) {
            own->known = 0;
        }
    }
}

/* Takes note of what an event says of people, and of its label. */
static void read_person(const group_call *c, run *r, person *one)
{
    const layout *as = one->as;
    for (int k = 0; k < as->said; k++) {
        int64_t i = one->first + as->sensitive[k];
        if (c->type[i] != T_TEXT)
            continue;
        uint64_t key = mix_ended(as->begun[k], c->text[i]);
        one->value[one->values++] = (uint8_t)place_of(key, r->value, &r->n_values, r->value_at, &c->said);
    }
    for (int k = 0; k < as->predicted; k++) {
        int64_t i = one->first + as->prediction[k];
        if (as->word[k] != LABEL || c->type[i] != T_TEXT || r->favours > BY_LABEL)
            continue;
        if (one->label != NONE) /* as no decoder lets it be */
            one->known = 0;
        else if (r->favours == BY_LABEL)
            one->label = place_of(mix(r->model_key, c->text[i]), r->label, &r->n_labels, r->label_at, &c->favourable);
        else
            one->label = place_of(mix(mix(r->model_key, CLASS + 1), c->text[i]), r->label, &r->n_labels, r->label_at,
                                  &c->outputs);
    }
}

/* The next events of one model and tick, as many as have room whatever they name; 0 where there are none. */
static int read_run(group_call *c, run *r)
{
    for (; c->next < c->stop; c->next++) {
        int32_t model = c->model[c->order[c->next]];
        if (model >= 0 && c->plain[model])
            break;
        if (model >= 0)
            c->left[c->n_left++] = c->order[c->next];
    }
    if (c->next == c->stop)
        return 0;
    int64_t event = c->order[c->next];
    r->first = c->next;
    r->model = c->model[event];
    r->model_key = c->model_key[event];
    r->favours = c->favours[r->model];
    r->sums = c->sums + c->tick[event];
    r->size = r->n_values = r->n_pairs = r->n_labels = r->n_members = r->n_made = 0;
    memset(r->value_at, 0, sizeof r->value_at);
    memset(r->label_at, 0, sizeof r->label_at);
    for (int room = MEMBERS_MAX; c->next < c->stop && r->size < TOGETHER; c->next++) {
        event = c->order[c->next];
        if (c->model[event] != r->model || c->sums + c->tick[event] != r->sums)
            break;
        const layout *as = r->as + r->size;
        if (r->size && c->like[event] == r->one[r->size - 1].event)
            as = r->one[r->size - 1].as;
        else
            read_layout(c, event, r->as + r->size);
        room -= as->said * (as->said + 1) / 2;
        if (room < 0)
            break;
        person *one = r->one + r->size++;
        *one = (person){.event = event, .first = c->start[event], .as = as, .known = as->known, .label = NONE};
        if (one->known)
            read_person(c, r, one);
    }
    return r->size;
}

static inline void ask_for_member(const group_call *c, int32_t row)
{
    const char *base = (const char *)(c->base + row * c->kinds);
    __builtin_prefetch(c->member_key + row);
    __builtin_prefetch(base);
    __builtin_prefetch(base + c->kinds * (int64_t)sizeof *c->base - 1);
}

/* The place of a member that was not among those of the run. */
static int32_t join(const group_call *c, run *r, int32_t row)
{
    people *own = r->member + r->n_members;
    memset(own, 0, sizeof *own);
    own->row = row;
    own->key = c->member_key[row];
    own->base = c->base + row * c->kinds;
    for (int kind = 0; kind < c->kinds; kind++)
        own->based |= (uint32_t)(own->base[kind] >= 0) << kind;
    return r->n_members++;
}

/* Finds the members that values stand for, and what labels are. */
static void find_members(const group_call *c, run *r)
{
    const table *of_label = r->favours == BY_LABEL ? &c->favourable : &c->outputs;
    for (int i = 0; i < r->n_values; i++) {
        r->value[i].row = look_up(&c->said, r->value[i].key);
        if (r->value[i].row >= 0)
            ask_for_member(c, r->value[i].row);
    }
    for (int i = 0; i < r->n_labels; i++) {
        r->label[i].row = look_up(of_label, r->label[i].key);
        if (r->label[i].row >= 0 && r->favours != BY_LABEL)
            __builtin_prefetch(c->output_key + r->label[i].row);
    }
    for (int i = 0; i < r->n_values; i++)
        r->value[i].row = r->value[i].row < 0 ? NEW : join(c, r, r->value[i].row);
}

/* Lists the members of each event, and finds what each two of them are together: one more than its row in `both`, or 0. */
static void find_intersections(const group_call *c, run *r)
{
    for (person *one = r->one; one < r->one + r->size; one++) {
        for (int i = 0; i < one->values; i++) {
            int32_t place = r->value[one->value[i]].row;
            if (place == NEW)
                one->known = 0;
            else
                one->member[one->members++] = (uint8_t)place;
        }
        for (int i = 0; one->known && c->crossing[r->model] && i < one->members; i++)
            for (int j = i + 1; j < one->members; j++) {
                people *own = r->member + one->member[i];
                if (own->pair[one->member[j]])
                    continue;
                uint64_t key = mix(own->key + r->member[one->member[j]].key, 0);
                ask_for(&c->both, key);
                r->pair[r->n_pairs].key = key;
                own->pair[one->member[j]] = (uint8_t)++r->n_pairs;
            }
    }
    for (int i = 0; i < r->n_pairs; i++) {
        r->pair[i].row = look_up(&c->both, r->pair[i].key);
        if (r->pair[i].row > 0)
            ask_for_member(c, r->pair[i].row - 1);
    }
    for (int i = 0; i < r->n_pairs; i++)
        r->pair[i].row = r->pair[i].row < 0 ? NEW : r->pair[i].row == 0 ? NONE : join(c, r, r->pair[i].row - 1);
}

/* Lets what an event's members are together in among them. */
static void add_intersections(const run *r, person *one)
{
    for (int alone = one->members, i = 0; i < alone; i++)
        for (int j = i + 1; j < alone; j++) {
            int32_t place = r->pair[r->member[one->member[i]].pair[one->member[j]] - 1].row;
            if (place == NEW)
                one->known = 0;
            else if (place != NONE)
                one->member[one->members++] = (uint8_t)place;
        }
}

/* What an event answers: outcomes `s` of questions of some kinds, and the place of the class that it named, or NONE. */
typedef struct {
    int n, class;
    uint32_t asked;
    uint8_t kind[3 * PREDICTIONS_MAX], s[3 * PREDICTIONS_MAX];
} answers;

static inline void answer(answers *a, int kind, int s)
{
    a->asked |= 1U << kind;
    a->kind[a->n] = (uint8_t)kind;
    a->s[a->n++] = (uint8_t)s;
}

static inline void answer_by_number(const group_call *c, const run *r, uint8_t word, double x, answers *a)
{
    if (r->favours != NOT_SAID) {
        double threshold = c->threshold[r->model];
        answer(a, DECISION, r->favours == ABOVE ? x >= threshold : x <= threshold);
        return;
    }
    int which = word == VALUE;
    const double *quarter = c->quarters + 3 * (2 * r->model + which);
    const int *kinds = parts_of_numbers[which];
    if ((word != SCORE && word != VALUE) || isnan(quarter[0]))
        return;
    answer(a, kinds[0], x > quarter[1]);
    answer(a, kinds[1], x > quarter[2]);
    answer(a, kinds[2], x <= quarter[0]);
}

static void read_answers(const group_call *c, const run *r, person *one, answers *a)
{
    for (int k = 0; k < one->as->predicted; k++) {
        int64_t i = one->first + one->as->prediction[k];
        uint8_t word = one->as->word[k];
        if (word == LABEL && c->type[i] == T_TEXT) {
            if (r->favours == BY_LABEL) {
                answer(a, DECISION, r->label[one->label].row >= 0);
            } else if (r->favours == NOT_SAID) {
                one->known &= r->label[one->label].row >= 0;
                a->class = one->label;
                answer(a, CLASS, 0);
            }
        } else if (c->type[i] == T_NUMBER && isfinite(c->number[i]) && r->favours != BY_LABEL) {
            answer_by_number(c, r, word, c->number[i], a);
        }
    }
}

/* Counts what an event answers among its members, and lists whom it is about; the event itself where anything is new. */
static void count_person(group_call *c, run *r, person *one)
{
    answers a = {.class = NONE};
    if (one->known && c->crossing[r->model])
        add_intersections(r, one);
    if (one->known && one->members)
        read_answers(c, r, one, &a);
    for (int i = 0; i < one->members && one->known; i++)
        one->known = (r->member[one->member[i]].based & a.asked) == a.asked;
    if (!one->known || c->pairs + one->members > c->room) {
        c->left[c->n_left++] = one->event;
        return;
    }
    for (int i = 0; i < one->members; i++) {
        people *own = r->member + one->member[i];
        c->of_event[c->pairs] = (int32_t)one->event;
        c->of_member[c->pairs++] = own->row;
        own->counted |= a.asked;
        for (int k = 0; k < a.n; k++) {
            own->n[a.kind[k]]++;
            own->s[a.kind[k]] += a.s[k];
        }
        if (a.class != NONE)
            own->classed[a.class]++;
    }
}

/* Notes what is added to a tally, and asks for the memory of its sum. */
static inline void note(const sum_table *sums, increment *own, int32_t tally, uint16_t n, uint16_t s)
{
    uint64_t at = slot_of(sums, tally);
    __builtin_prefetch(sums->slots + at, 1);
    *own = (increment){at, tally, n, s};
}

/* Lists what was counted of a run's members: of kinds, and of classes where the two are counted together. */
static void note_run(const group_call *c, run *r)
{
    int n_classes = 0, made = 0;
    increment *classes = r->made + sizeof r->made / sizeof *r->made - MEMBERS_MAX * TOGETHER;
    for (people *own = r->member; own < r->member + r->n_members; own++)
        for (int label = 0; label < r->n_labels; label++) {
            if (!own->classed[label])
                continue;
            uint64_t key = mix(own->key, c->output_key[r->label[label].row]);
            ask_for(&c->tallies, key);
            classes[n_classes++] = (increment){key, NONE, 0, own->classed[label]};
        }
    for (people *own = r->member; own < r->member + r->n_members; own++)
        for (int kind = 0; own->counted >> kind; kind++)
            if (own->counted >> kind & 1)
                note(r->sums, r->made + made++, own->base[kind], own->n[kind], own->s[kind]);
    for (int i = 0; i < n_classes; i++) {
        int32_t tally = look_up(&c->tallies, classes[i].at);
        if (tally >= 0)
            note(r->sums, r->made + made++, tally, 0, classes[i].s);
    }
    r->n_made = made;
}

/* Counts all events that it can from `next` on, and lists the others in `left`: up to `stop`, or to where events could
 * be more than their tick has room for. */
static void count_groups(group_call *c)
{
    run r;
    while (read_run(c, &r)) {
        int64_t pairs = c->pairs, n_left = c->n_left;
        find_members(c, &r);
        find_intersections(c, &r);
        for (person *one = r.one; one < r.one + r.size; one++)
            count_person(c, &r, one);
        note_run(c, &r);
        if (r.n_made > r.sums->room) {
            c->next = r.first, c->pairs = pairs, c->n_left = n_left;
            c->full = r.sums - c->sums;
            return;
        }
        for (const increment *own = r.made; own < r.made + r.n_made; own++)
            add_sum(r.sums, own->at, own->tally, own->n, own->s);
    }
}

void mw_count_groups(void *call, int64_t stop)
{
    group_call *c = call;
    c->stop = stop;
    if (c->full == NONE)
        count_groups(c);
}

int64_t mw_group_call_size(void) { return (int64_t)sizeof(group_call); }

/* Adds (n, s) to the sums of rows; returns how many of `k` were added before there was no room for another row. */
int64_t mw_add_sums(int64_t k, const int64_t *row, const double *n, const double *s, sum_table *sums)
{
    int64_t i = 0;
    while (i < k && add_sum(sums, slot_of(sums, row[i]), row[i], (uint32_t)n[i], s[i]))
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
