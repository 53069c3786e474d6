/* How a batch of JSON events becomes columns, for every record that is ordinary.
 *
 * A record that is not ordinary in any way (broken, too big, a repeated name, a number in need of slow rounding) ends
 * the call: twin.py reads that one and says what is wrong with it, if anything is. So nothing in here names a reason.
 * docs/events.md says what an event may hold; columns.py in events says what its parts become.
 *
 * Reading functions follow decode_string.h: they take the first unread byte and return the first behind what they
 * read, or NULL.
 */
#include "decode_call.h"
#include "decode_number.h"
#include "decode_string.h"
#include "strings.h"

#define EXPORT __attribute__((visibility("default")))
#define MODEL_CHARACTERS 200
#define UNKNOWN_NAMES 32 /* of one object; more is not ordinary */
#define GUESSED 16       /* members of an event, or of its prediction, whose keys are guessed */
#define DEEPEST 64       /* containers in one another, whatever the caller allows: skip_value calls itself */
#define TIME_MIN (-2208988800.0) /* 1900-01-01 */
#define TIME_END 7258118400.0    /* 2200-01-01 */

/* monitor/events/columns.py numbers these. */
enum { FEATURE, PREDICTION, METRIC, SENSITIVE, SEGMENT, CLASS_SCORE, TAG, RANKED, OUTCOME, OUTCOME_TAG };
enum { TYPE_NULL, TYPE_NUMBER, TYPE_TEXT, TYPE_BOOL, TYPE_DROPPED };
enum {
    PART_FEATURES = 1,
    PART_PREDICTION = 2,
    PART_SENSITIVE = 4,
    PART_SEGMENT = 8,
    PART_OUTCOME = 16,
    PART_VALUE = 32,
    PART_METRICS = 64,
    PART_ENTITY = 128,
    PART_LIFECYCLE = 256,
    PARTS_ENOUGH = PART_FEATURES | PART_PREDICTION | PART_SENSITIVE | PART_OUTCOME | PART_METRICS | PART_LIFECYCLE,
    PARTS_BY_ID = PART_OUTCOME | PART_SENSITIVE
};

/* The top-level fields, in the order of their bits in `event.seen`. */
enum field {
    F_MODEL,
    F_VERSION,
    F_ID,
    F_TIME,
    F_FEATURES,
    F_PREDICTION,
    F_SENSITIVE,
    F_SEGMENT,
    F_OUTCOME,
    F_VALUE,
    F_METRICS,
    F_ENTITY,
    F_LIFECYCLE,
    F_LINEAGE,
    F_UNKNOWN
};

/* Where the constants behind the records begin. */
enum { LABEL, SCORE, VALUE, ZERO, ONE, N_CONSTANTS };
static const uint8_t constant_at[N_CONSTANTS + 1] = {0, 5, 10, 15, 16, 17};

/* A key and what it says: fields of an event, members of a prediction, by the place at which they stood last time. */
typedef struct {
    spelling spelled;
    int says;
} guess;

/* One event while it is read; nothing of it counts before commit(). */
typedef struct {
    span model, version, id, entity;
    double time, value;
    uint32_t seen, parts;
    uint8_t lifecycle;
    bool timed;
    int unknown;
    uint64_t unknown_names[UNKNOWN_NAMES];
} event_row;

typedef struct {
    text_reader text; /* first: a reader is a text_reader too */
    span constants[N_CONSTANTS];
    int32_t first_name[OUTCOME_TAG + 1]; /* by space, the place of the name with which its objects begin as a rule */
    guess fields[GUESSED], predicted[GUESSED];
    int64_t entry;       /* where the next entry goes */
    int64_t entry_limit; /* where an event with too many values, or the room for entries, would end */
    int64_t members;     /* of the object being read */
    event_row row;
} reader;

static const span no_string = {0, 0, 0, false};

/* ---- Small pieces ---------------------------------------------------------------------------------------------- */

static inline const uint8_t *skip_space(const uint8_t *p, const uint8_t *end)
{
    if (p < end && *p > ' ')
        return p;
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

/* The rest of a literal, p on its first letter. */
static inline const uint8_t *read_word(const uint8_t *p, const uint8_t *end, const char *word, int length)
{
    return end - p >= length && memcmp(p, word, (size_t)length) == 0 ? p + length : NULL;
}

#define WORD(p, end, word) read_word(p, end, word, sizeof word - 1)

/* Behind an opening bracket: is there a first member? */
static inline const uint8_t *first_member(const reader *r, const uint8_t *p, uint8_t close, bool *more)
{
    p = skip_space(p + 1, r->text.end);
    if (p >= r->text.end)
        return NULL;
    *more = *p != close;
    return *more ? p : p + 1;
}

/* Behind a member: is there another? */
static inline const uint8_t *next_member(const reader *r, const uint8_t *p, uint8_t close, bool *more)
{
    const uint8_t *end = r->text.end;
    p = skip_space(p, end);
    if (p >= end || (*p != ',' && *p != close))
        return NULL;
    *more = *p == ',';
    return *more ? skip_space(p + 1, end) : p + 1;
}

/* A member's name and colon; what is returned stands on the value, and there is one byte of it at least. */
static inline const uint8_t *read_key(reader *r, const uint8_t *p, span *key)
{
    const uint8_t *end = r->text.end;
    if (p >= end || *p != '"')
        return NULL;
    p = read_string(&r->text, p + 1, key);
    if (!p)
        return NULL;
    p = skip_space(p, end);
    if (p >= end || *p != ':')
        return NULL;
    p = skip_space(p + 1, end);
    return p < end ? p : NULL;
}

static inline bool is_name(const reader *r, const span *s)
{
    return s->length <= r->text.call->name_bytes && !s->control;
}

static inline bool is_text(const span *s, const uint8_t *bytes, const char *word, int length)
{
    return s->length == length && memcmp(bytes, word, (size_t)length) == 0;
}

/* ---- Names met in one object ----------------------------------------------------------------------------------- */

static inline void begin_names(reader *r)
{
    r->text.call->generation++;
    r->members = 0;
}

/* The place of a name; NULL where it was met before (or its hash was, which the twin tells apart), or there are too
 * many. */
static inline name_slot *new_name(reader *r, uint64_t hash)
{
    decode_call *c = r->text.call;
    uint32_t generation = (uint32_t)c->generation;
    if (r->members++ >= c->values_per_event)
        return NULL;
    for (int64_t i = (int64_t)(hash & (uint64_t)c->slot_mask);; i = (i + 1) & c->slot_mask) {
        name_slot *slot = &c->slots[i];
        if (slot->generation != generation) {
            if (slot->hash != hash)
                slot->spelled.length = 0;
            slot->hash = hash;
            slot->generation = generation;
            return slot;
        }
        if (slot->hash == hash)
            return NULL;
    }
}

/* Is the key at p the one that stood in this place last time? */
static inline const uint8_t *guessed(const reader *r, const guess *g, const uint8_t *p)
{
    const uint8_t *value = spelled(&g->spelled, p, r->text.end);
    return value && *value > ' ' ? value : NULL;
}

/* Note what a known key says, for the next event. */
static inline void note_guess(const reader *r, guess *g, const uint8_t *p, const uint8_t *value, const span *key,
                              int says)
{
    g->says = says;
    note_spelling(&g->spelled, p, value, key->length);
    if (key->start != p + 1 - r->text.call->bytes) /* it was escaped */
        g->spelled.length = 0;
}

/* A name that was not guessed; *guess becomes its place. */
static __attribute__((noinline)) const uint8_t *read_name(reader *r, const uint8_t *p, span *name, int32_t *guess)
{
    const uint8_t *begin = p, *bytes = r->text.call->bytes;
    p = read_key(r, p, name);
    if (!p || !is_name(r, name))
        return NULL;
    name_slot *slot = new_name(r, name->hash), *slots = r->text.call->slots;
    if (!slot)
        return NULL;
    *guess = (int32_t)(slot - slots);
    if (*guess == (int32_t)(name->hash & (uint64_t)r->text.call->slot_mask) && name->start == begin + 1 - bytes)
        note_spelling(&slot->spelled, begin, p, name->length);
    return p;
}

/* The name of a member that no member before it had, p on its opening quote; what is returned stands on the value.
 * Models spell their names in one order as a rule: so the one that came behind the last one before is compared first.
 * `*guess` is its place, and becomes the name's. */
static inline const uint8_t *next_name(reader *r, const uint8_t *p, span *name, int32_t *guess)
{
    decode_call *c = r->text.call;
    name_slot *slot = &c->slots[*guess];
    const uint8_t *value = spelled(&slot->spelled, p, r->text.end);
    if (!value || *value <= ' ' || slot->generation == (uint32_t)c->generation || r->members >= c->values_per_event)
        return read_name(r, p, name, guess);
    r->members++;
    slot->generation = (uint32_t)c->generation;
    name->hash = slot->hash;
    name->start = (int32_t)(p + 1 - c->bytes);
    name->length = slot->spelled.name_length;
    name->control = false;
    return value;
}

/* The same for names that no table holds: few, and looked for one by one. */
static bool new_unknown_name(uint64_t *names, int *n, uint64_t hash)
{
    if (*n == UNKNOWN_NAMES)
        return false;
    for (int i = 0; i < *n; i++)
        if (names[i] == hash)
            return false;
    names[(*n)++] = hash;
    return true;
}

/* ---- Entries --------------------------------------------------------------------------------------------------- */

static inline void put_string(string_column *column, int64_t i, const span *s)
{
    column->hash[i] = s->hash;
    column->start[i] = s->start;
    column->length[i] = s->length;
}

static inline bool add_entry(reader *r, uint8_t space, uint8_t type, const span *name, const span *text, double number)
{
    decode_call *c = r->text.call;
    int64_t i = r->entry;
    if (i >= r->entry_limit) {
        r->text.full = i == c->entry_capacity && i < c->entries + c->values_per_event;
        return false;
    }
    c->space[i] = space;
    c->type[i] = type;
    put_string(&c->name, i, name);
    put_string(&c->text, i, text);
    c->number[i] = number;
    r->entry = i + 1;
    return true;
}

static inline bool add_number(reader *r, uint8_t space, const span *name, double number)
{
    return add_entry(r, space, TYPE_NUMBER, name, &no_string, number);
}

/* An entry of nothing but its name: null, dropped. */
static inline bool add_bare(reader *r, uint8_t space, uint8_t type, const span *name)
{
    return add_entry(r, space, type, name, &no_string, NAN);
}

/* ---- Values that no one reads ---------------------------------------------------------------------------------- */

/* Any value, p on its first byte; depth is how many containers it may open. */
static const uint8_t *skip_value(reader *r, const uint8_t *p, int64_t depth)
{
    const uint8_t *end = r->text.end;
    span s;
    number n;
    bool more;
    if (p >= end)
        return NULL;
    switch (*p) {
    case '"':
        return read_string(&r->text, p + 1, &s);
    case 't':
        return WORD(p, end, "true");
    case 'f':
        return WORD(p, end, "false");
    case 'n':
        return WORD(p, end, "null");
    case '{':
    case '[': {
        bool object = *p == '{';
        uint8_t close = object ? '}' : ']';
        if (depth <= 0)
            return NULL;
        for (p = first_member(r, p, close, &more); p && more; p = next_member(r, p, close, &more)) {
            if (object)
                p = read_key(r, p, &s);
            if (p)
                p = skip_value(r, p, depth - 1);
            if (!p)
                return NULL;
        }
        return p;
    }
    default:
        return read_number(&r->text, p, &n);
    }
}

/* A value inside an object inside the event. */
static const uint8_t *skip_inner(reader *r, const uint8_t *p, int64_t open)
{
    int64_t depth = r->text.call->depth;
    return skip_value(r, p, (depth < DEEPEST ? depth : DEEPEST) - open);
}

/* ---- Class labels: 1, 1.0, true and "1" are one class ---------------------------------------------------------- */

static bool put_scratch(reader *r, const uint8_t *bytes, int length, span *out)
{
    decode_call *c = r->text.call;
    if (c->scratch_capacity - r->text.scratch < length) {
        r->text.full = true;
        return false;
    }
    memcpy(c->scratch + r->text.scratch, bytes, (size_t)length);
    out->start = (int32_t)(c->size + r->text.scratch);
    out->length = length;
    out->hash = hash_bytes(r->text.basis, bytes, length);
    out->control = false;
    r->text.scratch += length;
    return true;
}

/* The canonical text of a number that was written from p to end. */
static bool number_text(reader *r, const uint8_t *p, const uint8_t *end, const number *n, span *out)
{
    double size = fabs(n->value);
    uint64_t digits = n->digits;
    int64_t exponent = n->exponent;
    uint8_t text[64];
    if (n->integer && n->significant <= 18 && (n->digits != 0 || !n->negative)) {
        out->start = (int32_t)(p - r->text.call->bytes);
        out->length = (int32_t)(end - p);
        out->hash = hash_bytes(r->text.basis, p, out->length);
        out->control = false;
        return true;
    }
    if (n->integer)
        return false;
    if (size < 9007199254740992.0 && size == floor(size)) {
        digits = (uint64_t)size;
        exponent = 0;
    } else if (size < 1e-4 || size >= 1e15) {
        return false; /* the twin's repr() knows when to write an exponent */
    } else if (n->significant > 15 || n->exponent < -30) {
        if (!shortest_digits(r->text.call, size, &digits, &exponent) || exponent >= 0)
            return false;
    }
    return put_scratch(r, text, write_decimal(n->value < 0, digits, exponent, text), out);
}

/* A class, p on its first byte; *value is its number if it was written as one, else NaN. */
static const uint8_t *read_label(reader *r, const uint8_t *p, span *label, double *value)
{
    const uint8_t *begin = p, *end = r->text.end;
    number n;
    *value = NAN;
    switch (*p) {
    case '"':
        p = read_string(&r->text, p + 1, label);
        return p && is_name(r, label) ? p : NULL;
    case 't':
        *label = r->constants[ONE];
        return WORD(p, end, "true");
    case 'f':
        *label = r->constants[ZERO];
        return WORD(p, end, "false");
    default:
        p = read_number(&r->text, p, &n);
        if (!p || !number_text(r, begin, p, &n, label))
            return NULL;
        *value = n.value;
        return p;
    }
}

/* A label as the value of an entry. */
static const uint8_t *add_label(reader *r, const uint8_t *p, uint8_t space)
{
    span label;
    double value;
    p = read_label(r, p, &label, &value);
    return p && add_entry(r, space, TYPE_TEXT, &r->constants[LABEL], &label, value) ? p : NULL;
}

/* ---- Objects of named values ----------------------------------------------------------------------------------- */

/* A number that is not short, or none at all: NaN and infinity, as Python's own writer spells them. */
static __attribute__((noinline)) const uint8_t *read_rare_measure(const reader *r, const uint8_t *p, double *value)
{
    const uint8_t *end = r->text.end, *behind;
    number n;
    behind = read_any_number(&r->text, p, &n);
    *value = n.value;
    if (behind)
        return behind;
    *value = NAN;
    if (*p == 'N')
        return WORD(p, end, "NaN");
    if (*p == 'I') {
        *value = INFINITY;
        return WORD(p, end, "Infinity");
    }
    if (end - p >= 2 && p[0] == '-' && p[1] == 'I') {
        *value = -INFINITY;
        return WORD(p, end, "-Infinity");
    }
    return NULL;
}

/* The rest of a member whose value is a number, NaN or infinite, p on its first byte. */
static inline const uint8_t *add_measured(reader *r, const uint8_t *p, uint8_t space, const span *name)
{
    short_number brief;
    double value;
    const uint8_t *behind = read_short(p, r->text.end, &brief);
    if (behind)
        return add_number(r, space, name, short_value(&brief)) ? behind : NULL;
    behind = read_rare_measure(r, p, &value);
    return behind && add_number(r, space, name, value) ? behind : NULL;
}

/* The value of a feature or metric. */
static inline const uint8_t *read_feature(reader *r, const uint8_t *p, uint8_t space, const span *name)
{
    const uint8_t *begin = p, *end = r->text.end;
    span text;
    bool ok;
    switch (*p) {
    case '"':
        p = read_string(&r->text, p + 1, &text);
        if (p && text.length <= r->text.call->name_bytes)
            ok = add_entry(r, space, TYPE_TEXT, name, &text, NAN);
        else
            ok = p && add_bare(r, space, TYPE_DROPPED, name);
        break;
    case 't':
    case 'f':
        p = *p == 't' ? WORD(p, end, "true") : WORD(p, end, "false");
        if (!p)
            return NULL;
        text.start = (int32_t)(begin - r->text.call->bytes);
        text.length = (int32_t)(p - begin);
        text.hash = hash_bytes(r->text.basis, begin, text.length);
        ok = add_entry(r, space, TYPE_BOOL, name, &text, *begin == 't');
        break;
    case 'n':
        p = WORD(p, end, "null");
        ok = p && add_bare(r, space, TYPE_NULL, name);
        break;
    case '{':
    case '[':
        p = skip_inner(r, p, 2);
        ok = p && add_bare(r, space, TYPE_DROPPED, name);
        break;
    default:
        return add_measured(r, p, space, name);
    }
    return ok ? p : NULL;
}

/* The value of a sensitive attribute or a segment. */
static const uint8_t *read_group(reader *r, const uint8_t *p, uint8_t space, const span *name)
{
    span text;
    double ignored;
    bool ok;
    switch (*p) {
    case '"':
        return read_feature(r, p, space, name);
    case 'n':
        return WORD(p, r->text.end, "null");
    case '{':
    case '[':
        p = skip_inner(r, p, 2);
        ok = p && add_bare(r, space, TYPE_DROPPED, name);
        break;
    default:
        p = read_label(r, p, &text, &ignored);
        ok = p && add_entry(r, space, TYPE_TEXT, name, &text, NAN);
    }
    return ok ? p : NULL;
}

static const uint8_t *read_class_score(reader *r, const uint8_t *p, const span *name)
{
    if (*p != 'n')
        return add_measured(r, p, CLASS_SCORE, name);
    p = WORD(p, r->text.end, "null");
    return p && add_bare(r, CLASS_SCORE, TYPE_NULL, name) ? p : NULL;
}

/* features, metrics, sensitive, segment, prediction.scores; p on the opening brace. */
static inline const uint8_t *read_named(reader *r, const uint8_t *p, uint8_t space)
{
    span name;
    bool more;
    int32_t *guess = &r->first_name[space];
    if (*p != '{')
        return NULL;
    begin_names(r);
    for (p = first_member(r, p, '}', &more); p && more; p = next_member(r, p, '}', &more)) {
        p = next_name(r, p, &name, guess);
        if (!p)
            return NULL;
        guess = &r->text.call->slots[*guess].next;
        if (space == FEATURE || space == METRIC)
            p = read_feature(r, p, space, &name);
        else if (space == CLASS_SCORE)
            p = read_class_score(r, p, &name);
        else
            p = read_group(r, p, space, &name);
        if (!p)
            return NULL;
    }
    return p;
}

/* prediction.tags, prediction.ranking, outcome as a list: the names with their places; p on the opening bracket. */
static const uint8_t *read_list(reader *r, const uint8_t *p, uint8_t space)
{
    span name;
    double ignored, place = 0;
    bool more;
    if (*p != '[')
        return NULL;
    begin_names(r);
    for (p = first_member(r, p, ']', &more); p && more; p = next_member(r, p, ']', &more)) {
        if (p >= r->text.end)
            return NULL;
        p = read_label(r, p, &name, &ignored);
        if (!p || !new_name(r, name.hash) || !add_number(r, space, &name, place++))
            return NULL;
    }
    return p;
}

/* ---- Prediction ------------------------------------------------------------------------------------------------ */

static const uint8_t *add_measure(reader *r, const uint8_t *p, int name)
{
    return add_measured(r, p, PREDICTION, &r->constants[name]);
}

/* The value of a known member of a prediction that is an object. */
static const uint8_t *read_prediction_member(reader *r, const uint8_t *p, int part, uint32_t *seen)
{
    if (*seen & (1u << part))
        return NULL;
    *seen |= 1u << part;
    if (*p == 'n')
        return WORD(p, r->text.end, "null");
    switch (part) {
    case 0:
        return add_label(r, p, PREDICTION);
    case 1:
        return add_measure(r, p, SCORE);
    case 2:
        return read_named(r, p, CLASS_SCORE);
    case 3:
        return read_list(r, p, TAG);
    default:
        return read_list(r, p, RANKED);
    }
}

/* Which member of a prediction a key names, -1 where none that is known. */
static int which_part(const span *key, const uint8_t *bytes)
{
    return is_text(key, bytes, "label", 5)     ? 0
           : is_text(key, bytes, "score", 5)   ? 1
           : is_text(key, bytes, "scores", 6)  ? 2
           : is_text(key, bytes, "tags", 4)    ? 3
           : is_text(key, bytes, "ranking", 7) ? 4
                                               : -1;
}

static const uint8_t *read_prediction(reader *r, const uint8_t *p)
{
    uint64_t names[UNKNOWN_NAMES];
    uint32_t seen = 0;
    int unknown = 0, place = 0;
    bool more;
    span key;
    if (*p == '"' || *p == 't' || *p == 'f')
        return add_label(r, p, PREDICTION);
    if (*p != '{')
        return add_measure(r, p, VALUE);
    for (p = first_member(r, p, '}', &more); p && more; p = next_member(r, p, '}', &more)) {
        guess *g = &r->predicted[place++ % GUESSED];
        const uint8_t *value = guessed(r, g, p);
        int part = g->says;
        if (!value) {
            value = read_key(r, p, &key);
            if (!value)
                return NULL;
            part = which_part(&key, span_bytes(&r->text, &key));
            if (part >= 0)
                note_guess(r, g, p, value, &key, part);
            else if (!new_unknown_name(names, &unknown, key.hash))
                return NULL;
        }
        p = part >= 0 ? read_prediction_member(r, value, part, &seen) : skip_inner(r, value, 2);
        if (!p)
            return NULL;
    }
    return p;
}

/* ---- Time ------------------------------------------------------------------------------------------------------ */

/* n digits with nothing between them, -1 where they are not; the caller knows that n bytes are there. */
static inline int fixed_digits(const uint8_t *p, int n)
{
    int value = 0;
    for (int i = 0; i < n; i++) {
        if (!is_digit(p[i]))
            return -1;
        value = value * 10 + (p[i] - '0');
    }
    return value;
}

/* Days from 1970-01-01 to a date of the years 1800 to 2999; false where there is no such day. */
static bool days_since_epoch(int year, int month, int day, int64_t *days)
{
    static const int before[13] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
    if (year < 1800 || year > 2999 || month < 1 || month > 12 || day < 1)
        return false;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (day > before[month] - before[month - 1] + (leap && month == 2))
        return false;
    int past = year - 1, leaps = past / 4 - past / 100 + past / 400 - 477; /* 477 leap days before 1970 */
    *days = (int64_t)(year - 1970) * 365 + leaps + before[month - 1] + (leap && month > 2) + day - 1;
    return true;
}

/* Z or an offset, in seconds east of Greenwich. */
static const uint8_t *read_zone(const uint8_t *p, const uint8_t *end, int *seconds)
{
    *seconds = 0;
    if (p < end && (*p == 'Z' || *p == 'z'))
        return p + 1;
    if (end - p < 6 || (*p != '+' && *p != '-') || p[3] != ':')
        return NULL;
    int hours = fixed_digits(p + 1, 2), minutes = fixed_digits(p + 4, 2);
    if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59)
        return NULL;
    *seconds = (hours * 60 + minutes) * (*p == '-' ? -60 : 60);
    return p + 6;
}

/* YYYY-MM-DDThh:mm:ss[.digits](Z|+hh:mm) and its closing quote; p behind the opening one. Second 60 is the next
 * minute's second 0. */
static const uint8_t *read_rfc3339(const uint8_t *p, const uint8_t *end, double *time)
{
    int64_t days;
    uint64_t digits = 0;
    double fraction = 0.0;
    int east;
    if (end - p < 21 || p[4] != '-' || p[7] != '-' || p[13] != ':' || p[16] != ':')
        return NULL;
    if (p[10] != 'T' && p[10] != 't' && p[10] != ' ')
        return NULL;
    int hour = fixed_digits(p + 11, 2), minute = fixed_digits(p + 14, 2), second = fixed_digits(p + 17, 2);
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60)
        return NULL;
    if (!days_since_epoch(fixed_digits(p, 4), fixed_digits(p + 5, 2), fixed_digits(p + 8, 2), &days))
        return NULL;
    p += 19;
    if (*p == '.') {
        const uint8_t *first = p + 1;
        double scale = 1.0;
        p = read_digits(first, end, &digits);
        if (p == first || p - first > 15)
            return NULL;
        for (const uint8_t *q = first; q < p; q++)
            scale *= 10.0;
        fraction = (double)digits / scale;
    }
    p = read_zone(p, end, &east);
    if (!p || p >= end || *p != '"')
        return NULL;
    *time = (double)(days * 86400 + hour * 3600 + minute * 60 + second - east) + fraction;
    return p + 1;
}

static const uint8_t *read_time(reader *r, const uint8_t *p)
{
    number n;
    r->row.timed = true;
    if (*p == '"')
        return read_rfc3339(p + 1, r->text.end, &r->row.time);
    p = read_number(&r->text, p, &n);
    if (p)
        r->row.time = n.value;
    return p;
}

/* ---- Other fields ---------------------------------------------------------------------------------------------- */

static const uint8_t *read_model(reader *r, const uint8_t *p)
{
    span *model = &r->row.model;
    if (*p != '"')
        return NULL;
    p = read_string(&r->text, p + 1, model);
    if (!p || model->length == 0 || !is_name(r, model))
        return NULL;
    const uint8_t *bytes = span_bytes(&r->text, model);
    int32_t characters = model->length;
    if (characters > MODEL_CHARACTERS)
        for (int32_t i = 0; i < model->length; i++)
            characters -= (bytes[i] & 0xC0) == 0x80;
    return characters <= MODEL_CHARACTERS ? p : NULL;
}

/* version, id, entity: text, or a number: an integer as it is written, and others as a class would be, except in an
 * id. The empty string is as good as none. */
static const uint8_t *read_identifier(reader *r, const uint8_t *p, span *out, enum field field)
{
    const uint8_t *begin = p;
    number n;
    if (*p == '"') {
        p = read_string(&r->text, p + 1, out);
        if (!p || (field == F_VERSION && out->control))
            return NULL;
    } else {
        p = read_number(&r->text, p, &n);
        if (!p || (n.integer && n.negative && n.value == 0))
            return NULL;
        if (n.integer) {
            out->start = (int32_t)(begin - r->text.call->bytes);
            out->length = (int32_t)(p - begin);
            out->hash = hash_bytes(r->text.basis, begin, out->length);
        } else if (field == F_ID || !number_text(r, begin, p, &n, out)) {
            return NULL;
        }
    }
    if (out->length > r->text.call->name_bytes)
        return NULL;
    if (out->length == 0)
        *out = no_string;
    return p;
}

static const uint8_t *read_money(reader *r, const uint8_t *p)
{
    number n;
    p = read_number(&r->text, p, &n);
    if (p)
        r->row.value = n.value;
    return p;
}

static const uint8_t *read_lifecycle(reader *r, const uint8_t *p)
{
    span word;
    if (*p != '"')
        return NULL;
    p = read_string(&r->text, p + 1, &word);
    if (!p)
        return NULL;
    const uint8_t *bytes = span_bytes(&r->text, &word);
    r->row.lifecycle = is_text(&word, bytes, "deployed", 8)    ? 1
                       : is_text(&word, bytes, "retrained", 9) ? 2
                       : is_text(&word, bytes, "retired", 7)   ? 3
                                                               : 0;
    return r->row.lifecycle ? p : NULL;
}

/* ---- Events ---------------------------------------------------------------------------------------------------- */

static enum field which_field(const span *key, const uint8_t *b)
{
#define IS(word) (memcmp(b, word, sizeof word - 1) == 0)
    switch (key->length) {
    case 2:
        return IS("id") ? F_ID : F_UNKNOWN;
    case 4:
        return IS("time") ? F_TIME : F_UNKNOWN;
    case 5:
        return IS("model") ? F_MODEL : IS("value") ? F_VALUE : F_UNKNOWN;
    case 6:
        return IS("entity") ? F_ENTITY : F_UNKNOWN;
    case 7:
        return IS("version")   ? F_VERSION
               : IS("outcome") ? F_OUTCOME
               : IS("segment") ? F_SEGMENT
               : IS("metrics") ? F_METRICS
               : IS("lineage") ? F_LINEAGE
                               : F_UNKNOWN;
    case 8:
        return IS("features") ? F_FEATURES : F_UNKNOWN;
    case 9:
        return IS("sensitive") ? F_SENSITIVE : IS("lifecycle") ? F_LIFECYCLE : F_UNKNOWN;
    case 10:
        return IS("prediction") ? F_PREDICTION : F_UNKNOWN;
    default:
        return F_UNKNOWN;
    }
#undef IS
}

/* The value of a known field that is not null. */
static const uint8_t *read_field(reader *r, const uint8_t *p, enum field field)
{
    static const uint16_t parts[F_UNKNOWN] = {
        [F_FEATURES] = PART_FEATURES, [F_PREDICTION] = PART_PREDICTION, [F_SENSITIVE] = PART_SENSITIVE,
        [F_SEGMENT] = PART_SEGMENT,   [F_OUTCOME] = PART_OUTCOME,       [F_VALUE] = PART_VALUE,
        [F_METRICS] = PART_METRICS,   [F_LIFECYCLE] = PART_LIFECYCLE,
    };
    r->row.parts |= parts[field];
    switch (field) {
    case F_MODEL:
        return read_model(r, p);
    case F_VERSION:
        return read_identifier(r, p, &r->row.version, field);
    case F_ID:
        return read_identifier(r, p, &r->row.id, field);
    case F_ENTITY:
        return read_identifier(r, p, &r->row.entity, field);
    case F_TIME:
        return read_time(r, p);
    case F_FEATURES:
        return read_named(r, p, FEATURE);
    case F_METRICS:
        return read_named(r, p, METRIC);
    case F_SENSITIVE:
        return read_named(r, p, SENSITIVE);
    case F_SEGMENT:
        return read_named(r, p, SEGMENT);
    case F_PREDICTION:
        return read_prediction(r, p);
    case F_OUTCOME:
        return *p == '[' ? read_list(r, p, OUTCOME_TAG) : add_label(r, p, OUTCOME);
    case F_VALUE:
        return read_money(r, p);
    case F_LIFECYCLE:
        return read_lifecycle(r, p);
    default:
        return skip_inner(r, p, 1);
    }
}

/* The members of the event; p on its opening brace. */
static const uint8_t *read_event(reader *r, const uint8_t *p)
{
    event_row *row = &r->row;
    span key;
    bool more;
    int place = 0;
    for (p = first_member(r, p, '}', &more); p && more; p = next_member(r, p, '}', &more)) {
        guess *g = &r->fields[place++ % GUESSED];
        const uint8_t *begin = p;
        enum field field = (enum field)g->says;
        p = guessed(r, g, begin);
        if (!p) {
            p = read_key(r, begin, &key);
            if (!p)
                return NULL;
            field = which_field(&key, span_bytes(&r->text, &key));
            if (field != F_UNKNOWN)
                note_guess(r, g, begin, p, &key, field);
        }
        if (field == F_UNKNOWN) {
            if (!new_unknown_name(row->unknown_names, &row->unknown, key.hash))
                return NULL;
            p = skip_inner(r, p, 1);
        } else if (row->seen & (1u << field)) {
            return NULL;
        } else {
            row->seen |= 1u << field;
            p = *p == 'n' ? WORD(p, r->text.end, "null") : read_field(r, p, field);
        }
        if (!p)
            return NULL;
    }
    return p;
}

/* Is the event whole, and of this world's time? */
static bool is_event(const reader *r, double timestamp)
{
    const event_row *row = &r->row;
    double time = row->timed ? row->time : timestamp;
    if (row->model.length == 0 || !(row->parts & PARTS_ENOUGH))
        return false;
    if (row->id.length == 0 && (row->parts & PART_OUTCOME))
        return false;
    if (row->id.length == 0 && !(row->parts & PARTS_ENOUGH & ~(unsigned)PARTS_BY_ID))
        return false;
    return time >= TIME_MIN && time < TIME_END && time <= r->text.call->future_limit;
}

static void begin_record(reader *r, const uint8_t *end)
{
    decode_call *c = r->text.call;
    event_row *row = &r->row;
    r->text.end = end;
    r->text.scratch = c->scratch_used;
    r->text.full = false;
    r->entry = c->entries;
    r->entry_limit = c->entry_capacity - c->entries < c->values_per_event ? c->entry_capacity
                                                                          : c->entries + c->values_per_event;
    row->model = no_string;
    row->version = no_string;
    row->id = no_string;
    row->entity = no_string;
    row->time = row->value = NAN;
    row->seen = row->parts = 0;
    row->lifecycle = 0;
    row->timed = false;
    row->unknown = 0;
}

/* One record; true if it was ordinary. */
static bool read_record(reader *r, const uint8_t *p, int64_t length, double timestamp)
{
    const uint8_t *end = p + length;
    begin_record(r, end);
    if (length >= 3 && memcmp(p, "\xEF\xBB\xBF", 3) == 0)
        p += 3;
    p = skip_space(p, end);
    if (p >= end || *p != '{')
        return false;
    p = read_event(r, p);
    return p && skip_space(p, end) == end && is_event(r, timestamp);
}

static void commit(const reader *r)
{
    decode_call *c = r->text.call;
    const event_row *row = &r->row;
    int64_t i = c->events++;
    c->record[i] = (int32_t)c->next;
    put_string(&c->model, i, &row->model);
    put_string(&c->version, i, &row->version);
    put_string(&c->id, i, &row->id);
    put_string(&c->entity, i, &row->entity);
    c->time[i] = row->timed ? row->time : c->timestamps[c->next];
    c->parts[i] = (uint16_t)(row->parts | (row->entity.length ? PART_ENTITY : 0));
    c->value[i] = row->value;
    c->lifecycle[i] = row->lifecycle;
    for (int64_t entry = c->entries; entry < r->entry; entry++) /* many at once, which one by one they are not */
        c->event[entry] = (int32_t)i;
    c->entries = r->entry;
    c->scratch_used = r->text.scratch;
    c->unknown_fields += row->unknown;
}

/* False where the bytes are not what they must be. */
static bool begin_call(reader *r, decode_call *c)
{
    int64_t first = c->size - constant_at[N_CONSTANTS];
    if (first < 0 || memcmp(c->bytes + first, DECODE_CONSTANTS, constant_at[N_CONSTANTS]) != 0)
        return false;
    r->text.call = c;
    memset(r->first_name, 0, sizeof r->first_name);
    memset(r->fields, 0, sizeof r->fields);
    memset(r->predicted, 0, sizeof r->predicted);
    r->text.basis = hash_begin(c->seed);
    for (int i = 0; i < N_CONSTANTS; i++) {
        span *s = &r->constants[i];
        s->start = (int32_t)(first + constant_at[i]);
        s->length = constant_at[i + 1] - constant_at[i];
        s->hash = hash_bytes(r->text.basis, c->bytes + s->start, s->length);
        s->control = false;
    }
    return true;
}

/* What the symbols outside are for: library.py. */
EXPORT int64_t modelwatch_decode(decode_call *c);
EXPORT int64_t modelwatch_decode_call_size(void);
EXPORT uint64_t modelwatch_hash64(const uint8_t *bytes, int64_t length, uint64_t seed);

/* Reads records from `next` on until one is not ordinary or does not fit. */
int64_t modelwatch_decode(decode_call *c)
{
    reader r;
    int64_t records = c->size - constant_at[N_CONSTANTS]; /* bytes: what is read beyond a record must be there */
    if (!begin_call(&r, c))
        return DECODE_MISUSE;
    for (; c->next < c->records; c->next++) {
        int64_t length = c->lengths[c->next];
        if (length < 0 || length > records - c->offset)
            return DECODE_MISUSE;
        if (!read_record(&r, c->bytes + c->offset, length, c->timestamps[c->next]))
            return r.text.full ? DECODE_FULL : DECODE_ODD;
        commit(&r);
        c->offset += length;
    }
    return DECODE_DONE;
}

int64_t modelwatch_decode_call_size(void) { return (int64_t)sizeof(decode_call); }

uint64_t modelwatch_hash64(const uint8_t *bytes, int64_t length, uint64_t seed)
{
    return hash_bytes(hash_begin(seed), bytes, length);
}
