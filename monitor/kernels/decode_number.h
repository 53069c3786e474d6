/* How a JSON number becomes the nearest double, and a double the shortest text that means it. */
#ifndef MODELWATCH_DECODE_NUMBER_H
#define MODELWATCH_DECODE_NUMBER_H

#include <float.h>
#include <math.h>
#include <stdio.h>

#include "decode_string.h"

_Static_assert(FLT_EVAL_METHOD == 0, "doubles must be computed as doubles, or rounding happens twice");

typedef struct {
    double value;
    uint64_t digits;  /* value = digits * 10^exponent, while significant <= 19 */
    int64_t exponent;
    int significant;  /* how many digits from the first one that is not 0 */
    bool negative;
    bool integer;     /* written without fraction and exponent */
} number;

static inline bool is_digit(uint8_t c) { return (uint8_t)(c - '0') < 10; }

/* With how many digits (0 to 8) a word begins; carries run upwards, and only the lowest bit is looked at. */
static inline int count_digits(uint64_t word)
{
    uint64_t digits = word ^ (ONES * '0'), stop = (digits | (digits + ONES * (0x80 - 10))) & HIGHS;
    return stop ? __builtin_ctzll(stop) >> 3 : 8;
}

/* The number that the first n (0 to 8) digits of a word make, the first digit in its lowest byte: zeros are put before
 * them, then come pairs, then fours, then the whole. */
static inline uint64_t leading_digits(uint64_t word, int n)
{
    word -= ONES * '0';
    word = n > 0 ? word << (8 * (8 - n)) : 0;
    word = (word * 10 + (word >> 8)) & UINT64_C(0x00FF00FF00FF00FF);
    word = (word * 100 + (word >> 16)) & UINT64_C(0x0000FFFF0000FFFF);
    return (word * 10000 + (word >> 32)) & UINT64_C(0xFFFFFFFF);
}

/* Digits onto the end of *value, modulo 2^64: eight at a time, for how many there are cannot be foretold. */
static inline const uint8_t *read_digits(const uint8_t *p, const uint8_t *end, uint64_t *value)
{
    static const uint32_t tens[9] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000};
    for (;;) {
        uint64_t word = load_word(p);
        int n = count_digits(word);
        if (n > end - p)
            n = (int)(end - p);
        *value = *value * tens[n] + leading_digits(word, n);
        p += n;
        if (n < 8)
            return p;
    }
}

/* digits * 10^exponent, correctly rounded; false where that is not certain, or is no normal number.
 *
 * The product of the 64 bits of digits (shifted up) and 128 bits of the power has an error below two units of its
 * 128th bit: one from the power that was cut off, one from the product's own lowest bits. So the real value lies in
 * [top, top + 2), and only where that interval holds the middle between two doubles is the rounding in doubt. */
static bool scale_by_power(const decode_call *c, uint64_t digits, int64_t exponent, double *value)
{
    if (digits == 0 || exponent < c->power_min || exponent > c->power_max)
        return false;
    const power_of_five *power = &c->powers[exponent - c->power_min];
    int zeros = __builtin_clzll(digits);
    digits <<= zeros;
    unsigned __int128 top = (unsigned __int128)digits * power->high;
    top += (uint64_t)(((unsigned __int128)digits * power->low) >> 64);
    int drop = (top >> 127) ? 75 : 74; /* top is in [2^126, 2^128): 53 bits stay */
    unsigned __int128 half = (unsigned __int128)1 << (drop - 1);
    unsigned __int128 rest = top & ((half << 1) - 1);
    uint64_t mantissa = (uint64_t)(top >> drop);
    if (rest > half)
        mantissa++;
    else if (rest + 2 > half)
        return false;
    int64_t binary = drop + 64 - zeros - power->shift + exponent;
    if (mantissa >> 53) {
        mantissa >>= 1;
        binary++;
    }
    int64_t biased = binary + 52 + 1023;
    if (biased < 1 || biased > 2046)
        return false;
    uint64_t bits = (uint64_t)biased << 52 | (mantissa & ((UINT64_C(1) << 52) - 1));
    memcpy(value, &bits, 8);
    return true;
}

/* Those that are doubles. */
static const double power_of_ten[23] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                        1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* digits * 10^exponent, as above; where both fit a double exactly, one operation rounds once. */
static inline bool decimal_to_double(const decode_call *c, uint64_t digits, int64_t exponent, double *value)
{
    if (digits <= UINT64_C(1) << 53 && exponent >= -22 && exponent <= 22) {
        *value = exponent < 0 ? (double)digits / power_of_ten[-exponent] : (double)digits * power_of_ten[exponent];
        return true;
    }
    if (exponent == 0) {
        *value = (double)digits;
        return true;
    }
    if (digits == 0) {
        *value = 0.0;
        return true;
    }
    return scale_by_power(c, digits, exponent, value);
}

/* A number of more than 19 digits: if its first 19 and the next number of 19 digits round alike, so does it. */
static __attribute__((noinline)) bool long_number(const decode_call *c, const uint8_t *p, number *n)
{
    uint64_t digits = 0;
    double above;
    int taken = 0;
    for (; taken < 19; p++) {
        if (*p == '.' || (*p == '0' && taken == 0))
            continue;
        digits = digits * 10 + (uint64_t)(*p - '0');
        taken++;
    }
    int64_t exponent = n->exponent + n->significant - 19;
    return decimal_to_double(c, digits, exponent, &n->value) && decimal_to_double(c, digits + 1, exponent, &above) &&
           n->value == above;
}

/* The part behind `e`; beyond four digits nothing is ordinary. */
static const uint8_t *read_exponent(const uint8_t *p, const uint8_t *end, int64_t *exponent)
{
    bool minus = p < end && *p == '-';
    uint64_t value = 0;
    if (p < end && (*p == '-' || *p == '+'))
        p++;
    const uint8_t *first = p;
    p = read_digits(p, end, &value);
    if (p == first || p - first > 4)
        return NULL;
    *exponent = minus ? -(int64_t)value : (int64_t)value;
    return p;
}

/* Digits that are more than 19 with leading zeros: how many are significant. */
static int64_t significant_digits(const uint8_t *p, int64_t digits)
{
    for (; digits > 0 && (*p == '0' || *p == '.'); p++)
        digits -= *p == '0';
    return digits;
}

/* A positive number or zero with its sign, without a branch: signs cannot be foretold. */
static inline double with_sign(double value, bool negative)
{
    uint64_t bits;
    memcpy(&bits, &value, 8);
    bits |= (uint64_t)negative << 63;
    memcpy(&value, &bits, 8);
    return value;
}

/* A number of any length, p on its sign or first digit. */
static __attribute__((noinline)) const uint8_t *read_any_number(const text_reader *r, const uint8_t *p, number *n)
{
    const uint8_t *end = r->end;
    n->negative = *p == '-';
    n->value = 0.0;
    p += n->negative;
    if (p >= end || !is_digit(*p))
        return NULL;
    const uint8_t *first = p;
    n->digits = 0;
    n->exponent = 0;
    n->integer = true;
    p = read_digits(p, end, &n->digits);
    int64_t count = p - first;
    if (count > 1 && *first == '0')
        return NULL;
    if (p < end && *p == '.') {
        const uint8_t *fraction = ++p;
        p = read_digits(p, end, &n->digits);
        if (p == fraction)
            return NULL;
        n->exponent = fraction - p;
        count += p - fraction;
        n->integer = false;
    }
    if (p < end && (*p | 0x20) == 'e') {
        int64_t written;
        p = read_exponent(p + 1, end, &written);
        if (!p)
            return NULL;
        n->exponent += written;
        n->integer = false;
    }
    if (count > 19)
        count = significant_digits(first, count);
    if (count > INT32_MAX)
        return NULL;
    n->significant = (int)count;
    bool sure = count > 19 ? long_number(r->call, first, n)
                           : decimal_to_double(r->call, n->digits, n->exponent, &n->value);
    n->value = with_sign(n->value, n->negative) + 0.0;
    return sure ? p : NULL;
}

/* A number of eight characters at most behind its sign, its end among them: digits / 10^places. */
typedef struct {
    uint64_t digits, negative;
    int places, significant;
    bool fraction;
} short_number;

/* Such a number, p on its sign or first digit and one byte there at least; NULL where it is of another kind.
 *
 * Where what comes next is sought takes longer than what is found there: so such a number is taken from one word, in
 * which its point and its end are found at once. */
static inline const uint8_t *read_short(const uint8_t *p, const uint8_t *end, short_number *n)
{
    n->negative = *p == '-'; /* no branch: signs cannot be foretold */
    p += n->negative;
    uint64_t word = load_word(p), digits = word ^ (ONES * '0');
    uint64_t stops = (((digits & ~HIGHS) + ONES * (0x80 - 10)) | digits) & HIGHS, later = stops & (stops - 1);
    if (!later)
        return NULL;
    int point = __builtin_ctzll(stops) >> 3, stop = __builtin_ctzll(later) >> 3;
    n->fraction = (word >> (8 * point) & 0xFF) == '.';
    stop = n->fraction ? stop : point;
    p += stop;
    if (point == 0 || (point > 1 && (word & 0xFF) == '0') || (n->fraction && stop == point + 1) || p >= end ||
        (*p | 0x20) == 'e')
        return NULL;
    uint64_t before = (UINT64_C(1) << (8 * point)) - 1;
    n->places = n->fraction ? stop - point - 1 : 0;
    n->significant = stop - n->fraction;
    n->digits = leading_digits(n->fraction ? (word & before) | (word >> 8 & ~before) : word, n->significant);
    return p;
}

/* Its value: both parts are doubles, so that dividing rounds once. Minus zero is zero. */
static inline double short_value(const short_number *n)
{
    return (double)(int64_t)((n->digits ^ -n->negative) + n->negative) / power_of_ten[n->places];
}

/* A number, p on its sign or first digit; there is one byte at least. Minus zero becomes zero. */
static inline const uint8_t *read_number(const text_reader *r, const uint8_t *p, number *n)
{
    short_number brief;
    const uint8_t *behind = read_short(p, r->end, &brief);
    if (!behind)
        return read_any_number(r, p, n);
    n->value = short_value(&brief);
    n->digits = brief.digits;
    n->exponent = -brief.places;
    n->significant = brief.significant;
    n->negative = brief.negative;
    n->integer = !brief.fraction;
    return behind;
}

/* The fewest digits that read back as value (positive, finite, not an integer); false where twins may differ: at a
 * power of two the nearest decimal and the shortest one need not be the same. */
static bool shortest_digits(const decode_call *c, double value, uint64_t *digits, int64_t *exponent)
{
    uint64_t bits;
    memcpy(&bits, &value, 8);
    if ((bits & ((UINT64_C(1) << 52) - 1)) == 0)
        return false;
    for (int precision = 15; precision <= 17; precision++) {
        char text[40] = {0};
        int length = snprintf(text, sizeof text, "%.*e", precision - 1, value), at = 0;
        uint64_t w = 0;
        int64_t power = 0;
        double back;
        for (; at < length && text[at] != 'e'; at++) /* whatever the locale writes for the point is passed over */
            if (is_digit((uint8_t)text[at]))
                w = w * 10 + (uint64_t)(text[at] - '0');
        if (length <= 0 || at >= length)
            return false;
        if (!read_exponent((const uint8_t *)text + at + 1, (const uint8_t *)text + length, &power))
            return false;
        power -= precision - 1;
        if (decimal_to_double(c, w, power, &back) && back == value) {
            *digits = w;
            *exponent = power;
            return true;
        }
    }
    return false;
}

/* digits * 10^exponent in plain decimal notation, the exponent negative and above -40; at most 64 bytes. */
static int write_decimal(bool negative, uint64_t digits, int64_t exponent, uint8_t *out)
{
    uint8_t reversed[64];
    int n = 0, length = 0;
    while (exponent < 0 && digits % 10 == 0) {
        digits /= 10;
        exponent++;
    }
    for (; digits != 0 || exponent <= 0; digits /= 10) {
        if (exponent++ == 0 && n > 0)
            reversed[n++] = '.';
        reversed[n++] = (uint8_t)('0' + digits % 10);
    }
    if (negative)
        out[length++] = '-';
    while (n > 0)
        out[length++] = reversed[--n];
    return length;
}

#endif
