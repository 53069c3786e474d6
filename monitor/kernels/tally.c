/* The inner loops of the sums of a tick. tally.py has the same in numpy, and says what they mean.
 *
 * Every index that comes from data was resolved by the caller against its own arrays; nothing here reads text. Counts have
 * 32 bits, and 16 bits once more where tally_narrow.c brings this file in.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "groups.h"
#include "places.h"

#ifndef NARROW
typedef uint32_t count_t;
#define COUNTING(name) name
#endif

enum { COLUMNS = 40, MOMENTS = 4 };
enum { AHEAD = 64 }; /* events whose memory is asked for before it is needed: a fleet is larger than a cache */
enum { SOON = 4, NEAR = 2 }; /* entries whose values are asked for again when they are near, and their codes then */
enum { TOGETHER = 32, KNOWN_TEXTS = 8 }; /* events of a block counted at once, and texts of a series remembered then */
enum { PARTS = 1024 }; /* of rows, by which the same ones are looked for */
enum { NULLS = 32, INVALID = 33, TYPE = 34, DROPPED = 35, BELOW = 36, ABOVE = 37, PRESENT = 39 };
enum { UNSEEN_BIN = 31 };
enum { WITH_INPUTS = 6, REPEATED_INPUTS = 7, FAR_INPUTS = 8 }; /* columns of a block's first row */
enum { FEATURE = 0, FAR_MIN = 2, RECENT = 32 };

/* Counts events into the first rows of their blocks, and into the totals of their models: column 0 every event, column
 * `1 + k` those with any of the parts `asked[k]`. */
void COUNTING(mw_count_events)(int64_t n, const int32_t *base, const int32_t *model, const uint16_t *parts, const double *time,
                     const uint16_t *asked, int64_t n_asked, count_t *counts, int64_t *events, double *last_time,
                     uint8_t *touched)
{
    for (int64_t i = 0; i < n; i++) {
        count_t *row = counts + (int64_t)base[i] * COLUMNS;
        row[0]++;
        for (int64_t k = 0; k < n_asked; k++)
            row[1 + k] += (parts[i] & asked[k]) != 0;
        events[model[i]]++;
        touched[model[i]] = 1;
        if (!(time[i] <= last_time[model[i]]))
            last_time[model[i]] = time[i];
    }
}

/* Takes note of inputs in the order they came: is each among the last that its model had at its place of `recent`? */
void COUNTING(mw_repeats)(int64_t n, const uint64_t *print, const int32_t *base, const int32_t *model, uint32_t *recent,
                count_t *counts)
{
    for (int64_t i = 0; i < n; i++) {
        if (base[i] < 0 || print[i] == 0)
            continue;
        count_t *row = counts + (int64_t)base[i] * COLUMNS;
        uint32_t mark = (uint32_t)(print[i] >> 32) | 1;
        uint32_t *place = recent + (int64_t)model[i] * RECENT + (print[i] & (RECENT - 1));
        row[WITH_INPUTS]++;
        row[REPEATED_INPUTS] += *place == mark;
        *place = mark;
    }
}

typedef struct {
    const uint8_t *type, *space;
    const int32_t *series;
    const double *number;
    const uint64_t *text, *name;
    const int16_t *local;
    const uint8_t *kind, *open, *n_edges;
    const double *edges, *low, *high;
    const uint64_t *keys;
    const int32_t *values;
    uint64_t mask;
    count_t *counts;
    double *moments;
    uint8_t *column;
} tally_call;

/* Some events of the block that begins at row `base` that name the same: entry `k` of each has one name, space and series,
 * and no series comes twice. `first` is where the entries of each begin, of which each has `width`; `print` and `far` are
 * of their inputs. */
typedef struct {
    int32_t base, width, size;
    int32_t first[TOGETHER];
    uint64_t print[TOGETHER];
    uint32_t far[TOGETHER];
} alike;

/* The entries [at, end) of an event that comes behind, in the block that begins at row `base`. */
typedef struct {
    int32_t base;
    int64_t at, end;
} coming;

/* Asks for the memory that counting the next entry of what comes will need: what its row and its series hold. */
static inline void ask_for(const tally_call *c, coming *next)
{
    if (next->at >= next->end)
        return;
    int64_t i = next->at++;
    int32_t r = c->series[i];
    if (r < 0)
        return;
    int64_t at = (int64_t)next->base + c->local[r];
    const char *row = (const char *)(c->counts + at * COLUMNS);
    for (size_t part = 0; part < COLUMNS * sizeof(count_t); part += 64)
        __builtin_prefetch(row + part, 1);
    __builtin_prefetch(c->moments + at * MOMENTS, 1);
    if (c->type[i] != T_NUMBER) {
        uint64_t slot = mix((uint64_t)r, c->text[i]) & c->mask;
        __builtin_prefetch(c->keys + slot);
        __builtin_prefetch(c->values + slot);
        return;
    }
    const char *edges = (const char *)(c->edges + (int64_t)r * EDGES);
    for (int64_t line = 0; line < 4; line++)
        __builtin_prefetch(edges + 64 * line);
    __builtin_prefetch(c->low + r);
    __builtin_prefetch(c->high + r);
}

/* Asks for the columns of entries [first, last), well ahead: a nearer cache would not hold so much. What an event names is
 * not read where it is `like` the one before. */
static inline void ask_for_columns(const tally_call *c, int64_t first, int64_t last, int like)
{
    __builtin_prefetch(c->type + first, 0, 1);
    __builtin_prefetch(c->column + first, 1, 1);
    for (int64_t i = first; i < last; i += 8)
        __builtin_prefetch(c->number + i, 0, 1);
    if (like)
        return;
    __builtin_prefetch(c->space + first, 0, 1);
    for (int64_t i = first; i < last; i += 8) {
        __builtin_prefetch(c->series + i, 0, 1);
        __builtin_prefetch(c->text + i, 0, 1);
        __builtin_prefetch(c->name + i, 0, 1);
    }
}

/* Whether the values of entry `k` of events alike may lie in another line of the cache than those of the one before. */
static inline int is_further(const tally_call *c, const alike *of, int32_t k)
{
    const uint8_t *type = c->type + of->first[0] + k;
    return k % SOON == 0 || (type[0] == T_NUMBER) != (type[-1] == T_NUMBER);
}

/* Asks for entry `k` of events alike, and what stands beside it: numbers, or texts. */
static inline void ask_for_values(const tally_call *c, const alike *of, int32_t k)
{
    int number = c->type[of->first[0] + k] == T_NUMBER;
    const char *values = number ? (const char *)c->number : (const char *)c->text;
    for (int32_t j = 0; j < of->size; j++)
        __builtin_prefetch(values + (of->first[j] + (int64_t)k) * (int64_t)sizeof(uint64_t));
}

/* Asks for what the table of categories says of entry `k` of events alike, if that is one: of each text once, as a rule. */
static inline void ask_for_codes(const tally_call *c, const alike *of, int32_t k)
{
    int32_t r = c->series[of->first[0] + (int64_t)k];
    if (r < 0 || c->kind[r] != K_CATEGORY)
        return;
    uint64_t begun = mix_begun((uint64_t)r), known[KNOWN_TEXTS];
    uint32_t met = 0;
    for (int32_t j = 0; j < of->size; j++) {
        uint64_t text = c->text[of->first[j] + (int64_t)k];
        uint32_t place = text % KNOWN_TEXTS;
        if (met >> place & 1 && known[place] == text)
            continue;
        met |= 1u << place;
        known[place] = text;
        uint64_t slot = mix_ended(begun, text) & c->mask;
        __builtin_prefetch(c->keys + slot);
        __builtin_prefetch(c->values + slot);
    }
}

/* How a number goes into the print of its event's inputs: those that differ by less than a part in 128 are alike. */
static inline uint64_t about(double number)
{
    uint64_t bits;
    double x = number + 0.0; /* -0 is 0 */
    memcpy(&bits, &x, sizeof bits);
    return (bits + (1ULL << 44)) >> 45;
}

/* Lets entry `i`, a feature's, into what is known of its event's inputs. A feature goes into the print by its name: which
 * row it has depends on what else came in the batches before. */
static inline void take_input(const tally_call *c, int64_t i, uint64_t *print, uint32_t *far)
{
    if (c->type[i] == T_NULL || c->type[i] == T_DROPPED)
        return;
    double x = c->number[i];
    int32_t r = c->series[i];
    int number = c->type[i] == T_NUMBER;
    *print += mix(c->name[i], number ? about(x) : c->text[i]);
    *far += number && (x < c->low[r] || x > c->high[r]);
}

/* Counts entry `i` into a column of its row, and notes which. */
static inline void count_into(const tally_call *c, int64_t i, count_t *row, uint32_t column)
{
    row[column]++;
    c->column[i] = (uint8_t)column;
}

/* Lets the hash of a category into the extremes of its row's moments. */
static inline void note_text(uint64_t text, double *m)
{
    double h = (double)(text >> 11);
    m[2] = h < m[2] ? h : m[2];
    m[3] = h > m[3] ? h : m[3];
}

/* Counts entry `i` of an event whose block begins at row `base`; true where only Python can place it. */
static inline int count_entry(const tally_call *c, int64_t i, int32_t base)
{
    int32_t r = c->series[i];
    if (r < 0)
        return 0;
    int64_t at = (int64_t)base + c->local[r];
    count_t *row = c->counts + at * COLUMNS;
    row[PRESENT]++;
    switch (c->type[i]) {
    case T_NULL:
        count_into(c, i, row, NULLS);
        break;
    case T_DROPPED:
        count_into(c, i, row, DROPPED);
        break;
    case T_NUMBER:
        if (!isfinite(c->number[i])) {
            count_into(c, i, row, INVALID);
        } else if (c->kind[r] == K_CATEGORY) {
            count_into(c, i, row, TYPE);
        } else if (c->n_edges[r] == 0) {
            return 1;
        } else {
            const double *e = c->edges + (int64_t)r * EDGES;
            double x = c->number[i], *m = c->moments + at * MOMENTS;
            count_into(c, i, row, bin_of(x, e, c->n_edges[r]));
            row[BELOW] += x < c->low[r];
            row[ABOVE] += x > c->high[r];
            double d = x - e[c->n_edges[r] >> 1];
            m[0] += d;
            m[1] += d * d;
            m[2] = x < m[2] ? x : m[2];
            m[3] = x > m[3] ? x : m[3];
        }
        break;
    default:
        if (c->kind[r] == K_NUMBER) {
            count_into(c, i, row, TYPE);
        } else {
            int32_t code = c->kind[r] == K_UNKNOWN ? -1 : find(mix((uint64_t)r, c->text[i]), c->keys, c->values, c->mask);
            if (code < 0 && c->open[r])
                return 1;
            row[code < 0 ? UNSEEN_BIN : code]++;
            c->column[i] = c->kind[r] == K_UNKNOWN ? ELSEWHERE : code < 0 ? UNSEEN_BIN : (uint8_t)code;
            note_text(c->text[i], c->moments + at * MOMENTS);
        }
    }
    return 0;
}

/* How many of `n` edges lie below each of `size` numbers: eight of these at once, four in a register. There is room for a
 * whole number of eights. */
static inline __attribute__((always_inline)) void find_bins(int32_t size, double *x, const double *edges, uint32_t n,
                                                            int64_t *bin)
{
    for (int32_t j = size; j < size + 7; j++)
        x[j] = 0.0;
    for (int32_t j = 0; j < size; j += 8) {
        four first, second; /* not two in one: that goes through memory, in halves, and waits for each */
        memcpy(&first, x + j, sizeof first);
        memcpy(&second, x + j + 4, sizeof second);
        four_masks below_first = {0}, below_second = {0};
        for (uint32_t k = 0; k < n; k++) {
            const four edge = {edges[k], edges[k], edges[k], edges[k]};
            below_first -= (four_masks)(edge < first);
            below_second -= (four_masks)(edge < second);
        }
        memcpy(bin + j, &below_first, sizeof below_first);
        memcpy(bin + j + 4, &below_second, sizeof below_second);
    }
}

/* Counts entry `i` of an event that is one of those alike; what only Python can place is listed. */
static inline void count_one(const tally_call *c, int64_t i, int32_t base, int64_t *deferred, int64_t *n_deferred)
{
    if (count_entry(c, i, base))
        deferred[(*n_deferred)++] = i;
}

/* Counts entry `k` of events alike, whose series `r` has numbers and bins. */
static inline __attribute__((always_inline)) void count_numbers(const tally_call *c, alike *of, int32_t k, int32_t r,
                                                                int64_t *deferred, int64_t *n_deferred)
{
    const double *number = c->number + k, *edges = c->edges + (int64_t)r * EDGES, low = c->low[r], high = c->high[r];
    const uint8_t *type = c->type + k;
    uint8_t *column = c->column + k;
    int64_t at = (int64_t)of->base + c->local[r];
    count_t *row = c->counts + at * COLUMNS;
    double x[TOGETHER + 8], *m = c->moments + at * MOMENTS;
    int64_t bin[TOGETHER + 8];
    int32_t whose[TOGETHER], n = 0;
    int feature = c->space[of->first[0] + k] == FEATURE;
    for (int32_t j = 0; j < of->size; j++) {
        int32_t first = of->first[j];
        if (type[first] == T_NUMBER && isfinite(number[first])) {
            x[n] = number[first];
            whose[n++] = j;
            continue;
        }
        count_one(c, first + (int64_t)k, of->base, deferred, n_deferred);
        if (feature)
            take_input(c, first + (int64_t)k, &of->print[j], &of->far[j]);
    }
    find_bins(n, x, edges, c->n_edges[r], bin);
    uint64_t begun = mix_begun(c->name[of->first[0] + (int64_t)k]);
    double middle = edges[c->n_edges[r] >> 1], sum = m[0], squares = m[1], least = m[2], most = m[3];
    uint32_t below = 0, above = 0;
    for (int32_t j = 0; j < n; j++) {
        int32_t event = whose[j], first = of->first[event];
        uint32_t lower = x[j] < low, higher = x[j] > high;
        row[bin[j]]++;
        column[first] = (uint8_t)bin[j];
        double d = x[j] - middle;
        sum += d;
        squares += d * d;
        least = x[j] < least ? x[j] : least;
        most = x[j] > most ? x[j] : most;
        below += lower;
        above += higher;
        if (feature) {
            of->print[event] += mix_ended(begun, about(x[j]));
            of->far[event] += lower | higher;
        }
    }
    m[0] = sum, m[1] = squares, m[2] = least, m[3] = most;
    row[PRESENT] += (count_t)n;
    row[BELOW] += (count_t)below;
    row[ABOVE] += (count_t)above;
}

/* Counts entry `k` of events alike, whose series `r` has categories. Few of them come up in a tick, so that what was
 * found of the last ones saves most looks at the table, which no cache holds. */
static inline void count_texts(const tally_call *c, alike *of, int32_t k, int32_t r, int64_t *deferred,
                               int64_t *n_deferred)
{
    int64_t at = (int64_t)of->base + c->local[r];
    count_t *row = c->counts + at * COLUMNS;
    double *m = c->moments + at * MOMENTS;
    uint64_t known[KNOWN_TEXTS];
    int32_t code[KNOWN_TEXTS];
    int feature = c->space[of->first[0] + k] == FEATURE;
    uint64_t begun = mix_begun(c->name[of->first[0] + (int64_t)k]);
    uint32_t met = 0;
    for (int32_t j = 0; j < of->size; j++) {
        int64_t i = of->first[j] + (int64_t)k;
        uint64_t text = c->text[i];
        uint32_t place = text % KNOWN_TEXTS;
        if (c->type[i] != T_TEXT && c->type[i] != T_BOOL) {
            count_one(c, i, of->base, deferred, n_deferred);
            if (feature)
                take_input(c, i, &of->print[j], &of->far[j]);
        } else {
            if (feature)
                of->print[j] += mix_ended(begun, text);
            if (!(met >> place & 1) || known[place] != text) {
                met |= 1u << place;
                known[place] = text;
                code[place] = find(mix((uint64_t)r, text), c->keys, c->values, c->mask);
            }
            row[PRESENT]++;
            if (code[place] < 0 && c->open[r]) {
                deferred[(*n_deferred)++] = i;
            } else {
                count_into(c, i, row, code[place] < 0 ? UNSEEN_BIN : (uint32_t)code[place]);
                note_text(text, m);
            }
        }
    }
}

/* Counts entry `k` of events alike. */
static inline __attribute__((always_inline)) void count_alike(const tally_call *c, alike *of, int32_t k, int64_t *deferred,
                                                              int64_t *n_deferred)
{
    int32_t r = c->series[of->first[0] + (int64_t)k];
    if (r < 0)
        return;
    if (of->size > 1 && c->kind[r] != K_CATEGORY && c->n_edges[r] > 0) {
        count_numbers(c, of, k, r, deferred, n_deferred);
        return;
    }
    if (of->size > 1 && c->kind[r] == K_CATEGORY) {
        count_texts(c, of, k, r, deferred, n_deferred);
        return;
    }
    for (int32_t j = 0; j < of->size; j++) {
        int64_t i = of->first[j] + (int64_t)k;
        count_one(c, i, of->base, deferred, n_deferred);
        if (c->space[i] == FEATURE)
            take_input(c, i, &of->print[j], &of->far[j]);
    }
}

/* Whether no series is named twice among `width` entries from `first` on. Of rows of which a part came before all of it
 * is compared, but not in events that are so wide that this would cost more than it saves. */
static int are_distinct(const tally_call *c, int64_t first, int32_t width)
{
    uint64_t seen[PARTS / 64] = {0};
    for (int64_t i = first; i < first + width; i++) {
        int32_t r = c->series[i];
        uint64_t *word = seen + (uint32_t)r % PARTS / 64, bit = 1ULL << (uint32_t)r % 64;
        if (r < 0)
            continue;
        if (*word & bit)
            for (int64_t k = first; k < i; k++)
                if (c->series[k] == r || width > PARTS)
                    return 0;
        *word |= bit;
    }
    return 1;
}

/* The first of `n` events in an `order`, and those behind it that are of its block and name the same, one like the other. */
static void find_alike(const tally_call *c, int64_t n, const int32_t *order, const int32_t *event_base,
                       const int32_t *start, const int32_t *like, alike *of)
{
    int32_t first = start[order[0]];
    of->base = event_base[order[0]];
    of->width = start[order[0] + 1] - first;
    of->size = 0;
    do {
        of->first[of->size] = start[order[of->size]];
        of->print[of->size] = of->far[of->size] = 0;
        of->size++;
    } while (of->size < n && of->size < TOGETHER && event_base[order[of->size]] == of->base &&
             like[order[of->size]] == order[of->size - 1]);
    if (of->size > 1 && !are_distinct(c, first, of->width))
        of->size = 1;
}

/* Counts the entries of `n` events, those of each from `start` on, into the rows of their ticks; the print of each
 * event's inputs goes into `print`. What needs Python is listed in `deferred`, its number returned. They are counted in
 * the `order` of their blocks, so that rows and edges come from memory once: a fleet is larger than a cache. What is
 * `like` the event before it, as mw_series says, is counted with it, series by series: then what is known of a series is
 * read once, and its names not again. The order within a block and a series stays, so sums do too. `column`, ELSEWHERE
 * before, becomes the one that an entry was counted into, where its series is known for what it is. Events are counted
 * among `groups`, if given, while what they say is near.
 */
FOR_EACH_WIDTH
int64_t COUNTING(mw_tally)(int64_t n, const int32_t *start, const int32_t *order, const int32_t *event_base,
                 const int32_t *like, const uint8_t *type, const uint8_t *space, const int32_t *series,
                 const double *number, const uint64_t *text, const uint64_t *name, const int16_t *local,
                 const uint8_t *kind, const uint8_t *open, const uint8_t *n_edges, const double *edges,
                 const double *low, const double *high, const uint64_t *keys, const int32_t *values, uint64_t mask,
                 count_t *counts, double *moments, int64_t *deferred, uint64_t *print, uint8_t *column,
                 void *groups)
{
    tally_call c = {type, space, series, number, text, name, local, kind, open, n_edges, edges, low, high,
                    keys, values, mask, counts, moments, column};
    int64_t n_deferred = 0, asked = 0;
    alike of;
    for (int64_t k = 0; k < n; k += of.size) {
        for (; asked < n && asked < k + AHEAD; asked++) {
            int32_t event = order[asked];
            ask_for_columns(&c, start[event], start[event + 1], like[event] >= 0);
        }
        find_alike(&c, n - k, order + k, event_base, start, like, &of);
        if (of.base < 0)
            continue;
        coming next = {-1, 0, 0};
        if (k + of.size < n && event_base[order[k + of.size]] != of.base) {
            int32_t event = order[k + of.size];
            next = (coming){event_base[event], start[event], start[event + 1]};
        }
        for (int32_t entry = 0; entry < of.width; entry++) {
            ask_for(&c, &next);
            if (entry + SOON < of.width && is_further(&c, &of, entry + SOON))
                ask_for_values(&c, &of, entry + SOON);
            if (of.size > 1 && entry + NEAR < of.width)
                ask_for_codes(&c, &of, entry + NEAR);
            count_alike(&c, &of, entry, deferred, &n_deferred);
        }
        while (next.at < next.end)
            ask_for(&c, &next);
        count_t *far = counts + (int64_t)of.base * COLUMNS + FAR_INPUTS;
        for (int32_t j = 0; j < of.size; j++) {
            print[order[k + j]] = of.print[j];
            *far += of.far[j] >= FAR_MIN;
        }
        if (groups)
            mw_count_groups(groups, k + of.size);
    }
    return n_deferred;
}
