/* What the events of a batch bring to their cases, in one pass over its entries; outcomes/bringing.py says what it means.
 * Every model row lies in the arrays by model.
 */
#include <math.h>
#include <string.h>

#include "places.h"

enum { FEATURE = 0, PREDICTION = 1, SENSITIVE = 3, SEGMENT = 4, CLASS_SCORE = 5, TAG = 6, RANKED = 7 };
enum { OUTCOME = 8, OUTCOME_TAG = 9 }; /* spaces */
enum { SCORED = 8 }; /* the class whose probability a score is */

/* Every member is 8 bytes wide; bring.py mirrors it. */
typedef struct {
    int64_t events, entries;
    const int32_t *model, *id_length;
    const uint16_t *parts;
    uint64_t joined_parts;
    const int32_t *event;
    const uint8_t *space, *type;
    const uint64_t *entry_name, *entry_text;
    const double *number;
    const uint8_t *joins, *all_sensitive;
    table classes, named;
    int64_t n_named;
    uint64_t label, score_name, value_name;
    int64_t *chosen;
    uint64_t *predicted;
    double *score, *value;
    uint64_t *outcome;
    double *outcome_number;
    int64_t *of;
    uint64_t *name, *text;
    uint8_t *kind;
    int64_t n_chosen, n_attributes, n_items;
} bring_call;

int64_t mw_bring_call_size(void);
void mw_bring(bring_call *call);

int64_t mw_bring_call_size(void) { return sizeof(bring_call); }

static inline uint64_t of_model(const bring_call *c, int32_t model, int64_t entry)
{
    return mix((uint64_t)model + 1, c->entry_name[entry]);
}

/* Whether an entry is an attribute that its case carries. */
static int is_attribute(const bring_call *c, int64_t entry, int32_t model)
{
    int space = c->space[entry], type = c->type[entry];
    if (type != T_NUMBER && type != T_TEXT && type != T_BOOL)
        return 0;
    if (space == SENSITIVE && c->all_sensitive[model])
        return 1;
    if (!c->n_named || (space != SENSITIVE && space != FEATURE && space != SEGMENT))
        return 0;
    return look_up(&c->named, of_model(c, model, entry)) >= 0;
}

static void add_attribute(bring_call *c, int64_t entry)
{
    int64_t at = c->n_attributes++;
    c->of[at] = c->n_chosen;
    c->name[at] = c->entry_name[entry];
    c->text[at] = c->entry_text[entry];
    if (c->type[entry] == T_NUMBER)
        memcpy(&c->text[at], &c->number[entry], sizeof *c->text);
    c->kind[at] = c->type[entry];
}

/* What an entry says of the answer; a score that stands for itself (`own`) goes before those of classes. */
static void add_answer(bring_call *c, int64_t entry, int32_t model, int *own)
{
    int64_t at = c->n_chosen;
    uint64_t name = c->entry_name[entry];
    if (c->space[entry] == PREDICTION) {
        if (name == c->label)
            c->predicted[at] = c->entry_text[entry];
        else if (name == c->value_name)
            c->value[at] = c->number[entry];
        else if (name == c->score_name) {
            *own = 1;
            c->score[at] = c->number[entry];
        }
    } else if (c->space[entry] == OUTCOME) {
        c->outcome[at] = c->entry_text[entry];
        c->outcome_number[at] = c->number[entry];
    } else if (c->space[entry] == CLASS_SCORE && c->type[entry] == T_NUMBER && !*own) {
        int32_t bits = look_up(&c->classes, of_model(c, model, entry));
        if (bits > 0 && bits & SCORED)
            c->score[at] = c->number[entry];
    } else if (c->space[entry] == TAG || c->space[entry] == RANKED || c->space[entry] == OUTCOME_TAG) {
        c->n_items++;
    }
}

/* The first entry from `entry` on, short of `last`, that is no feature; else `last`. */
static inline int64_t behind_features(const bring_call *c, int64_t entry, int64_t last)
{
    uint64_t eight;
    for (; last - entry >= (int64_t)sizeof eight; entry += (int64_t)sizeof eight) {
        memcpy(&eight, c->space + entry, sizeof eight);
        if (eight != FEATURE) /* eight features are as many zeros */
            break;
    }
    while (entry < last && c->space[entry] == FEATURE)
        entry++;
    return entry;
}

/* Takes in one event, with the entries from `entry` up to `last`, if it has to do with a case. */
static void bring(bring_call *c, int64_t i, int64_t entry, int64_t last)
{
    int64_t at = c->n_chosen, attributes = c->n_attributes;
    int own = 0;
    c->predicted[at] = c->outcome[at] = 0;
    c->score[at] = c->value[at] = c->outcome_number[at] = NAN;
    for (; entry < last; entry++) {
        if (!c->n_named) {
            entry = behind_features(c, entry, last); /* nearly all are, and say nothing here */
            if (entry == last)
                break;
        }
        if (is_attribute(c, entry, c->model[i]))
            add_attribute(c, entry);
        add_answer(c, entry, c->model[i], &own);
    }
    if (c->parts[i] & c->joined_parts || c->n_attributes > attributes)
        c->chosen[c->n_chosen++] = i;
}

void mw_bring(bring_call *c)
{
    int64_t entry = 0, width = 0;
    for (int64_t i = 0; i < c->events; i++) {
        int64_t first = entry;
        if (width > 0 && first + width <= c->entries && c->event[first + width - 1] == i)
            entry = first + width; /* most have as many as the event before them */
        while (entry < c->entries && c->event[entry] == i)
            entry++;
        width = entry - first;
        if (c->id_length[i] > 0 && c->model[i] >= 0 && c->joins[c->model[i]])
            bring(c, i, first, entry);
    }
}
