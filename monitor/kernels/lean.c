/* What a model answers where its inputs lie: sums of answers by stratum of each feature. lean.py has the same in numpy.
 *
 * Every index that comes from data was resolved by the caller against its own arrays; nothing here reads text.
 */
#include <math.h>
#include <stdint.h>

#include "places.h"

enum { STRATA = 9, MISSING = 8, LAST = 7, NOWHERE = 15 };
enum { SLOTS = 32, PER_WORD = 16 };
enum { AHEAD = 4 }; /* pairs whose counts are asked for before they are needed */
enum { RING = 8 }; /* events that are looked at before they are added up */
enum { FEATURE = 0, PREDICTION = 1 };
enum { SUMS = 3 }; /* floats a stratum has: how many, their answers, and the squares of these */

typedef struct {
    const uint8_t *type, *space;
    const int32_t *series;
    const double *number;
    const uint64_t *text, *name;
    const uint8_t *column;
    const int16_t *local;
    const uint8_t *kind, *n_edges;
    const double *edges;
    const uint64_t *keys;
    const int32_t *values;
    uint64_t mask;
    const uint64_t *class_keys;
    const int32_t *class_values;
    uint64_t class_mask;
    const uint8_t *answered;
    const uint64_t *names;
    float *sums;
    double *answers;
    uint64_t *places;
} lean_call;

/* An event that is let in, of a model, with entries [first, last). */
typedef struct {
    int64_t event, first, last;
    int32_t model;
} let_in;

/* The stratum of entry `i` among those of its series; NOWHERE while that has no bins. */
static inline __attribute__((always_inline)) uint32_t stratum_of(const lean_call *c, int64_t i)
{
    int32_t r = c->series[i];
    uint32_t column = c->column[i];
    if (column != ELSEWHERE) /* it was counted: that saves a look at the edges */
        return column >= BINS                  ? MISSING
               : c->type[i] == T_NUMBER        ? column * MISSING / (c->n_edges[r] + 1u)
               : column > LAST                 ? LAST
                                               : column;
    if (c->type[i] == T_NULL || c->type[i] == T_DROPPED)
        return MISSING;
    if (c->type[i] == T_NUMBER) {
        if (!isfinite(c->number[i]) || c->kind[r] == K_CATEGORY)
            return MISSING;
        uint32_t n = c->n_edges[r];
        return n == 0 ? NOWHERE : bin_of(c->number[i], c->edges + (int64_t)r * EDGES, n) * MISSING / (n + 1);
    }
    if (c->kind[r] == K_NUMBER)
        return MISSING;
    if (c->kind[r] == K_UNKNOWN)
        return NOWHERE;
    int32_t code = find(mix((uint64_t)r, c->text[i]), c->keys, c->values, c->mask);
    return code < 0 || code > LAST ? LAST : (uint32_t)code;
}

/* What an event with entries [first, last) of a model answered: its score, else its value, else whether its class is
 * one of those asked for; NaN for nothing. */
static inline double answer_of(const lean_call *c, int64_t first, int64_t last, int32_t model)
{
    double score = NAN, value = NAN, label = NAN;
    for (int64_t i = first; i < last; i++) {
        if (c->space[i] != PREDICTION)
            continue;
        if (c->type[i] == T_NUMBER && isfinite(c->number[i])) {
            if (c->name[i] == c->names[0])
                score = c->number[i];
            else if (c->name[i] == c->names[1])
                value = c->number[i];
        }
        if (c->name[i] == c->names[2] && c->answered[model] && c->type[i] != T_NULL) {
            int32_t bits = find(mix((uint64_t)model + 1, c->text[i]), c->class_keys, c->class_values, c->class_mask);
            label = bits > 0 && (bits & c->answered[model]) != 0;
        }
    }
    return !isnan(score) ? score : !isnan(value) ? value : label;
}

/* Asks for the columns of an event: few are let in, so that nobody else foresees which. */
static inline void ask_for_columns(const lean_call *c, const let_in *one)
{
    __builtin_prefetch(c->type + one->first);
    __builtin_prefetch(c->space + one->first);
    __builtin_prefetch(c->column + one->first);
    for (int64_t i = one->first; i < one->last; i += 8) {
        __builtin_prefetch(c->series + i);
        __builtin_prefetch(c->number + i);
        __builtin_prefetch(c->text + i);
        __builtin_prefetch(c->name + i);
    }
}

/* Asks for what is known of the series of an event. */
static inline void ask_for_series(const lean_call *c, const let_in *one)
{
    for (int64_t i = one->first; i < one->last; i++) {
        if (c->space[i] != FEATURE || c->series[i] < 0)
            continue;
        __builtin_prefetch(c->n_edges + c->series[i]);
        __builtin_prefetch(c->local + c->series[i]);
    }
}

/* Asks for the sums of an event that was counted: a fleet is larger than a cache, and of a series one stratum is needed. */
static inline __attribute__((always_inline)) void ask_for_sums(const lean_call *c, const let_in *one)
{
    for (int64_t i = one->first; i < one->last; i++) {
        if (c->space[i] != FEATURE || c->series[i] < 0 || c->column[i] == ELSEWHERE)
            continue;
        const char *sum = (const char *)(c->sums + (((int64_t)c->series[i] * 2 + 1) * STRATA + stratum_of(c, i)) * SUMS);
        __builtin_prefetch(sum, 1);
        __builtin_prefetch(sum + SUMS * sizeof *c->sums - 1, 1);
    }
}

/* Adds up what one event answered where its features lie. */
static inline __attribute__((always_inline)) void add_event(const lean_call *c, const let_in *one)
{
    double answer = c->answers[one->event] = answer_of(c, one->first, one->last, one->model);
    if (isnan(answer))
        return;
    for (int64_t k = one->first; k < one->last; k++) {
        int32_t r = c->series[k];
        if (c->space[k] != FEATURE || r < 0)
            continue;
        uint64_t stratum = stratum_of(c, k);
        if (stratum == NOWHERE)
            continue;
        if (c->local[r] < SLOTS) {
            int shift = c->local[r] % PER_WORD * 4;
            uint64_t *word = c->places + 2 * one->event + c->local[r] / PER_WORD;
            *word = (*word & ~(15ULL << shift)) | stratum << shift;
        }
        float *sum = c->sums + (((int64_t)r * 2 + 1) * STRATA + (int64_t)stratum) * SUMS;
        sum[0] += 1.0f;
        sum[1] += (float)answer;
        sum[2] += (float)(answer * answer);
    }
}

/* Of `n` events those that their model lets in by `thin`: what each answered, where its features lie (a nibble each, by
 * place among the model's series), and both added up in `sums`, which has for each series two times STRATA sums. They
 * wait for one another in a ring: the memory of each is asked for while those before it are added up. */
FOR_EACH_WIDTH
void mw_lean(int64_t n, const int32_t *start, const uint8_t *type, const uint8_t *space,
             const int32_t *series, const double *number, const uint64_t *text, const uint64_t *name,
             const uint8_t *column, const int32_t *event_model, const uint64_t *event_key, const uint8_t *thin,
             const int16_t *local, const uint8_t *kind, const uint8_t *n_edges, const double *edges, const uint64_t *keys,
             const int32_t *values, uint64_t mask, const uint64_t *class_keys, const int32_t *class_values,
             uint64_t class_mask, const uint8_t *answered, const uint64_t *names, float *sums, double *answers,
             uint64_t *places)
{
    lean_call c = {type, space, series, number, text, name, column, local, kind, n_edges, edges, keys, values, mask,
                   class_keys, class_values, class_mask, answered, names, sums, answers, places};
    let_in ring[RING];
    int64_t found = 0;
    for (int64_t e = 0; e < n; e++) {
        int32_t model = event_model[e];
        answers[e] = NAN;
        places[2 * e] = places[2 * e + 1] = ~0ULL;
        if (model < 0 || (event_key[e] >> 40 & ((1ULL << thin[model]) - 1)) != 0)
            continue;
        ring[found % RING] = (let_in){e, start[e], start[e + 1], model};
        ask_for_columns(&c, &ring[found % RING]);
        if (found >= RING / 4)
            ask_for_series(&c, &ring[(found - RING / 4) % RING]);
        if (found >= RING / 2)
            ask_for_sums(&c, &ring[(found - RING / 2) % RING]);
        if (++found >= RING)
            add_event(&c, &ring[found % RING]);
    }
    for (int64_t k = found < RING ? 0 : found - RING + 1; k < found; k++)
        add_event(&c, &ring[k % RING]);
}

void mw_lay(int64_t k, const int64_t *row, const int64_t *event, const uint64_t *places, uint16_t *counts);

/* Counts of each of `k` (row, event) pairs the strata in which the event's features lie, in `counts` of SLOTS times
 * STRATA a row; a count that is full stays so. */
void mw_lay(int64_t k, const int64_t *row, const int64_t *event, const uint64_t *places, uint16_t *counts)
{
    for (int64_t i = 0; i < k; i++) {
        if (i + AHEAD < k) {
            const char *soon = (const char *)(counts + row[i + AHEAD] * SLOTS * STRATA);
            for (size_t at = 0; at < SLOTS * STRATA * sizeof *counts; at += 64)
                __builtin_prefetch(soon + at, 1);
        }
        for (int word = 0; word < SLOTS / PER_WORD; word++) {
            uint16_t *own = counts + (row[i] * SLOTS + word * PER_WORD) * STRATA;
            uint64_t strata = places[2 * event[i] + word];
            for (int slot = 0; slot < PER_WORD && strata != ~0ULL; slot++, own += STRATA) {
                uint32_t stratum = strata & NOWHERE;
                strata = strata >> 4 | (uint64_t)NOWHERE << 60; /* behind the last feature there are none */
                if (stratum < STRATA)
                    own[stratum] += own[stratum] < UINT16_MAX;
            }
        }
    }
}
