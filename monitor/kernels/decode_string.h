/* How a JSON string becomes a span with its hash: checked UTF-8, escapes undone into the scratch.
 *
 * The pointer of every reading function stands on the first unread byte and `end` behind the last byte of the record.
 * They return the first byte behind what they read, or NULL where the input is not ordinary. Bytes are loaded eight at
 * a time, so that a load may reach 15 bytes behind `end`, where the next record or DECODE_CONSTANTS stand; none of
 * those counts.
 */
#ifndef MODELWATCH_DECODE_STRING_H
#define MODELWATCH_DECODE_STRING_H

#include <stdbool.h>
#include <stddef.h>

#include "decode_call.h"
#include "strings.h"

#define ONES UINT64_C(0x0101010101010101)
#define HIGHS UINT64_C(0x8080808080808080)

typedef struct {
    uint64_t hash;
    int32_t start;
    int32_t length;
    bool control; /* a control character stands in it: U+0000 to U+001F, U+007F to U+009F */
} span;

/* Where strings are read from and written to while one record is read. */
typedef struct {
    decode_call *call;
    const uint8_t *end;
    uint64_t basis;
    int64_t scratch; /* used so far; given back where the record turns out not to be ordinary */
    bool full;       /* the scratch or the entries ran out */
} text_reader;

static inline uint64_t load_word(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, 8);
    return word;
}

/* The high bit of each byte that ends a run of plain text: quote, backslash, control, DEL or beyond ASCII. Bits above
 * the lowest one set may be wrong, since borrows and carries run upwards; only the lowest is looked at. */
static inline uint64_t not_plain(uint64_t word)
{
    uint64_t quote = word ^ (ONES * '"');
    uint64_t slash = word ^ (ONES * '\\');
    uint64_t low = ((quote - ONES) & ~quote) | ((slash - ONES) & ~slash) | ((word - ONES * 0x20) & ~word);
    return (low | word | (word + ONES)) & HIGHS;
}

static inline const uint8_t *span_bytes(const text_reader *r, const span *s)
{
    int64_t start = s->start;
    return start < r->call->size ? r->call->bytes + start : r->call->scratch + (start - r->call->size);
}

/* What is behind a spelling if it stands at p, else NULL. */
static inline const uint8_t *spelled(const spelling *s, const uint8_t *p, const uint8_t *end)
{
    if (s->length == 0 || s->length >= end - p)
        return NULL;
    int i = 0;
    for (; s->length - i > 8; i += 8)
        if (load_word(p + i) != s->words[i / 8])
            return NULL;
    return (load_word(p + i) ^ s->words[i / 8]) << (8 * (8 + i - s->length)) == 0 ? p + s->length : NULL;
}

/* Note that what stands from p to value spells a name of so many bytes, or that it is too long. */
static void note_spelling(spelling *s, const uint8_t *p, const uint8_t *value, int32_t name_length)
{
    s->length = 0;
    if (value - p > (ptrdiff_t)sizeof s->words)
        return;
    memset(s->words, 0, sizeof s->words);
    memcpy(s->words, p, (size_t)(value - p));
    s->length = (int16_t)(value - p);
    s->name_length = (int16_t)name_length;
}

/* How many bytes the UTF-8 sequence at p takes (1 to 4), 0 where it is none; the character goes to *rune. */
static int utf8_sequence(const uint8_t *p, const uint8_t *end, uint32_t *rune)
{
    static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
    if (*p < 0x80) {
        *rune = *p;
        return 1;
    }
    int n = *p >= 0xF0 ? 4 : *p >= 0xE0 ? 3 : 2;
    if (*p < 0xC2 || *p > 0xF4 || end - p < n)
        return 0;
    uint32_t c = (uint32_t)*p & (0x7Fu >> n);
    for (int i = 1; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3Fu);
    }
    if (c < smallest[n] || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000))
        return 0;
    *rune = c;
    return n;
}

static int utf8_encode(uint32_t rune, uint8_t *out)
{
    if (rune < 0x80) {
        out[0] = (uint8_t)rune;
        return 1;
    }
    int n = rune < 0x800 ? 2 : rune < 0x10000 ? 3 : 4;
    for (int i = n - 1; i > 0; i--, rune >>= 6)
        out[i] = (uint8_t)(0x80 | (rune & 0x3F));
    out[0] = (uint8_t)(((0xF00u >> n) & 0xFF) | rune);
    return n;
}

static const uint8_t *read_hex4(const uint8_t *p, const uint8_t *end, uint32_t *unit)
{
    if (end - p < 4)
        return NULL;
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        uint8_t c = p[i], letter = (uint8_t)(c | 0x20);
        if (c >= '0' && c <= '9')
            value = value << 4 | (uint32_t)(c - '0');
        else if (letter >= 'a' && letter <= 'f')
            value = value << 4 | (uint32_t)(letter - 'a' + 10);
        else
            return NULL;
    }
    *unit = value;
    return p + 4;
}

/* An escape, p behind its backslash; surrogates must come as pairs. */
static const uint8_t *read_escape(const uint8_t *p, const uint8_t *end, uint32_t *rune)
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    if (p >= end)
        return NULL;
    if (*p != 'u') {
        const char *found = *p ? strchr(letters, *p) : NULL;
        if (!found)
            return NULL;
        *rune = (uint8_t)meanings[found - letters];
        return p + 1;
    }
    p = read_hex4(p + 1, end, rune);
    if (!p || *rune < 0xD800 || *rune >= 0xE000)
        return p;
    uint32_t second;
    if (*rune >= 0xDC00 || end - p < 2 || p[0] != '\\' || p[1] != 'u')
        return NULL;
    p = read_hex4(p + 2, end, &second);
    if (!p || second < 0xDC00 || second >= 0xE000)
        return NULL;
    *rune = 0x10000 + ((*rune - 0xD800) << 10) + (second - 0xDC00);
    return p;
}

/* The rest of a string with escapes: p on the first backslash, what stands between first and p is plain.
 * What is written is never longer than what is read, so one look at the capacity is enough. */
static const uint8_t *read_escaped(text_reader *r, const uint8_t *first, const uint8_t *p, span *out)
{
    decode_call *c = r->call;
    if (c->scratch_capacity - r->scratch < r->end - first) {
        r->full = true;
        return NULL;
    }
    uint8_t *begin = c->scratch + r->scratch, *write = begin + (p - first);
    memcpy(begin, first, (size_t)(p - first));
    while (p < r->end && *p != '"') {
        uint32_t rune;
        if (*p == '\\') {
            p = read_escape(p + 1, r->end, &rune);
            if (!p)
                return NULL;
        } else {
            int n = *p < 0x20 ? 0 : utf8_sequence(p, r->end, &rune);
            if (n == 0)
                return NULL;
            p += n;
        }
        out->control |= rune < 0x20 || (rune >= 0x7F && rune < 0xA0);
        write += utf8_encode(rune, write);
    }
    if (p >= r->end)
        return NULL;
    out->length = (int32_t)(write - begin);
    out->start = (int32_t)(c->size + r->scratch);
    out->hash = hash_bytes(r->basis, begin, out->length);
    r->scratch += out->length;
    return p + 1;
}

/* A string that is not plain ASCII; p behind its opening quote. */
static __attribute__((noinline)) const uint8_t *read_rare_string(text_reader *r, const uint8_t *p, span *out)
{
    const uint8_t *first = p;
    out->control = false;
    while (p < r->end && *p != '"') {
        uint32_t rune;
        if (*p == '\\')
            return read_escaped(r, first, p, out);
        int n = *p < 0x20 ? 0 : utf8_sequence(p, r->end, &rune);
        if (n == 0)
            return NULL;
        out->control |= rune >= 0x7F && rune < 0xA0;
        p += n;
    }
    if (p >= r->end)
        return NULL;
    out->length = (int32_t)(p - first);
    out->start = (int32_t)(first - r->call->bytes);
    out->hash = hash_bytes(r->basis, first, out->length);
    return p + 1;
}

/* A string, p behind its opening quote: looked through and hashed in one go, 8 bytes at a time. */
static inline const uint8_t *read_string(text_reader *r, const uint8_t *p, span *out)
{
    const uint8_t *first = p;
    uint64_t state = r->basis, word, stop;
    for (;; p += 8) {
        if (p >= r->end)
            return NULL;
        word = load_word(p);
        stop = not_plain(word);
        if (stop)
            break;
        state = hash_word(state, word);
    }
    int n = __builtin_ctzll(stop) >> 3;
    if (n >= r->end - p)
        return NULL;
    if (p[n] != '"')
        return read_rare_string(r, first, out);
    word &= (UINT64_C(1) << (8 * n)) - 1;
    p += n;
    out->length = (int32_t)(p - first);
    out->start = (int32_t)(first - r->call->bytes);
    out->hash = hash_end(hash_word(state, word), (uint64_t)out->length);
    out->control = false;
    return p + 1;
}

#endif
