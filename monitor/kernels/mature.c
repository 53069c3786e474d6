/* What matured cases are to their models, in one pass over their records; outcomes/matured.py says what it means.
 * Every model row lies in the arrays by model.
 */
#include <math.h>
#include <string.h>

#include "case.h"
#include "places.h"

enum { FAVOURABLE = 1, MERITS = 2, POSITIVE = 4, SCORED = 8, FALSE = 16 }; /* what a class is to a model */

/* Every member is 8 bytes wide, or a struct of such; mature.py mirrors it. */
typedef struct {
    int64_t n;
    const char *cases;
    int64_t size;
    table classes;
    /* by model */
    const double *tick, *threshold, *false_positive, *false_negative;
    const uint64_t *missing;
    const uint8_t *above, *numbers_score, *numbers_measure, *says_favourable, *says_merits, *own_words;
    const uint8_t *positive_merits, *says_positive, *says_scored;
    /* by case */
    uint64_t *key;
    int32_t *model;
    double *end, *time, *delay;
    uint64_t *predicted, *outcome;
    double *value, *outcome_number;
    uint64_t *entity;
    double *money;
    uint8_t *labelled;
    double *wrong, *score, *y, *error, *cost;
    int8_t *favourable, *merits, *predicted_positive, *actual_positive;
    uint8_t *apart;
    uint64_t *places;
} mature_call;

int64_t mw_mature_call_size(void);
void mw_mature(mature_call *c);

int64_t mw_mature_call_size(void) { return (int64_t)sizeof(mature_call); }

static inline int bits_of(const mature_call *c, int32_t model, uint64_t class)
{
    int32_t bits = look_up(&c->classes, mix((uint64_t)model + 1, class));
    return bits > 0 ? bits : 0;
}

/* Whether `x` lies on the favourable side of its threshold; -1 where there is none, or no number. */
static inline int side(double x, double threshold, int above)
{
    if (isnan(x) || isnan(threshold))
        return -1;
    return above ? x >= threshold : x <= threshold;
}

/* What a decision costs that is `given` where another was `due`: answers. */
static inline double cost_of(int given, int due, double false_positive, double false_negative)
{
    if (given < 0 || due < 0 || false_positive + false_negative == 0.0)
        return NAN;
    if (given == 1 && due == 0)
        return false_positive;
    return given == 0 && due == 1 ? false_negative : 0.0;
}

/* What is only copied, and what follows from times. */
static void read_parts(const mature_call *c, int64_t i, const narrow_case *each)
{
    int came = each->has & HAS_OUTCOME;
    double tick = c->tick[each->model];
    c->key[i] = each->key;
    c->model[i] = each->model;
    c->end[i] = (floor(each->time / tick) + 1.0) * tick;
    c->time[i] = each->time;
    c->delay[i] = came ? each->outcome_time - each->time : NAN;
    c->predicted[i] = each->predicted;
    c->entity[i] = each->entity;
    c->money[i] = each->money;
    memcpy(c->places + 2 * i, each->places, sizeof each->places);
    for (int slot = 0; slot < SLOTS; slot++)
        c->apart[i * SLOTS + slot] = each->names[slot] > 0 && !(each->has & TOLD_WITH << slot);
}

static void read_answers(const mature_call *c, int64_t i, const narrow_case *each)
{
    int32_t model = each->model;
    int came = (each->has & HAS_OUTCOME) != 0, above = c->above[model], own_words = c->own_words[model];
    double threshold = c->threshold[model];
    /* A list is no class, and is compared by its items. */
    uint64_t outcome = came ? each->n_shown > 0 ? 0 : each->outcome : c->missing[model];
    int predicted = each->predicted > 0, named = outcome > 0;
    int decided = bits_of(c, model, each->predicted), turned_out = bits_of(c, model, outcome);
    double number = came ? each->outcome_number : NAN, bare = each->value;

    int scores = !isnan(threshold) || (named && isnan(number)) || c->numbers_score[model];
    int is_score = scores && !c->numbers_measure[model] && bare >= 0.0 && bare <= 1.0;
    double score = isnan(each->score) && is_score ? bare : each->score;
    score = score >= 0.0 && score <= 1.0 ? score : NAN;
    double value = isfinite(bare) && !is_score && !predicted ? bare : NAN;

    int favourable = side(isnan(each->score) ? bare : each->score, threshold, above);
    if (c->says_favourable[model] && predicted)
        favourable = (decided & FAVOURABLE) > 0;

    double y = NAN;
    if (named && (c->says_scored[model] || turned_out & (SCORED | FALSE)))
        y = (turned_out & SCORED) > 0;
    /* A threshold below which a score is favourable: the score speaks of what is not. */
    if (!isnan(threshold) && !above && c->says_merits[model])
        y = 1.0 - y;

    int merits = side(isnan(value) ? NAN : number, threshold, above);
    if (merits < 0 && !isnan(y) && !isnan(threshold))
        merits = (above ? y : 1.0 - y) > 0.0;
    if (c->says_merits[model] && named)
        merits = (turned_out & MERITS) > 0;

    int chosen = c->says_positive[model];
    int positive = chosen && predicted ? (decided & POSITIVE) > 0 : -1;
    int actual = chosen && named ? (turned_out & POSITIVE) > 0 : -1;
    /* Where outcomes have words of their own, a decision stands for the outcome that it expects. */
    if (chosen && own_words && favourable >= 0)
        positive = (favourable == 1) == c->positive_merits[model];

    double wrong = NAN;
    if (predicted && named && !own_words)
        wrong = each->predicted != outcome;
    else if (favourable >= 0 && merits >= 0 && (!predicted || own_words))
        wrong = favourable != merits;

    c->outcome[i] = outcome;
    c->value[i] = value;
    c->outcome_number[i] = number;
    c->labelled[i] = came || named;
    c->wrong[i] = wrong;
    c->score[i] = score;
    c->y[i] = y;
    c->error[i] = fabs(value - number);
    c->cost[i] = cost_of(chosen ? positive : favourable, chosen ? actual : merits, c->false_positive[model],
                         c->false_negative[model]);
    c->favourable[i] = (int8_t)favourable;
    c->merits[i] = (int8_t)merits;
    c->predicted_positive[i] = (int8_t)positive;
    c->actual_positive[i] = (int8_t)actual;
}

void mw_mature(mature_call *c)
{
    for (int64_t i = 0; i < c->n; i++) {
        const narrow_case *each = (const narrow_case *)(const void *)(c->cases + i * c->size);
        read_parts(c, i, each);
        read_answers(c, i, each);
    }
}
