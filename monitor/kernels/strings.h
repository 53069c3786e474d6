/* How strings become 64-bit keys: the seeded hash and the mixing that every kernel shares.
 *
 * hashing.py is the same in Python, and a test holds the two equal. The hash is not cryptographic: it spreads names
 * well and fast, and the seed keeps two daemons from sharing their collisions. A message is read as little-endian
 * words of 8 bytes, the last one (0 to 7 bytes) padded with zeros; the length tells "a" from "a\0".
 */
#ifndef MODELWATCH_STRINGS_H
#define MODELWATCH_STRINGS_H

#include <stdint.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the kernels read words in little-endian order; other machines use the twins in Python"
#endif

/* Fractional bits of the golden ratio and of the square roots of 2, 3 and 7: odd, and nobody's choice. */
#define HASH_GOLDEN UINT64_C(0x9E3779B97F4A7C15)
#define HASH_ROOT2 UINT64_C(0x6A09E667F3BCC909)
#define HASH_ROOT3 UINT64_C(0xBB67AE8584CAA73B)
#define HASH_ROOT7 UINT64_C(0xA54FF53A5F1D36F1)

static inline uint64_t hash_rotate(uint64_t x, int bits) { return (x << bits) | (x >> (64 - bits)); }

/* A bijection that lets every input bit reach every output bit. */
static inline uint64_t hash_avalanche(uint64_t x)
{
    x = (x ^ (x >> 32)) * HASH_ROOT3;
    x = (x ^ (x >> 29)) * HASH_ROOT7;
    return x ^ (x >> 32);
}

static inline uint64_t hash_begin(uint64_t seed) { return hash_avalanche(seed + HASH_GOLDEN); }

static inline uint64_t hash_word(uint64_t state, uint64_t word)
{
    return hash_rotate((state ^ word) * HASH_ROOT2, 29);
}

static inline uint64_t hash_end(uint64_t state, uint64_t length)
{
    return hash_avalanche(state ^ (length * HASH_GOLDEN));
}

/* The hash of length bytes; basis is hash_begin(seed), which a batch works out once. */
static inline uint64_t hash_bytes(uint64_t basis, const uint8_t *bytes, int64_t length)
{
    uint64_t state = basis;
    int64_t done = 0;
    for (; length - done >= 8; done += 8) {
        uint64_t word;
        memcpy(&word, bytes + done, 8);
        state = hash_word(state, word);
    }
    uint64_t tail = 0;
    if (length > done)
        memcpy(&tail, bytes + done, (size_t)(length - done));
    return hash_end(hash_word(state, tail), (uint64_t)length);
}

/* Two keys become one; the order matters, and with one of them held fixed no two of the other fall together. */
static inline uint64_t hash_mix(uint64_t a, uint64_t b)
{
    return hash_avalanche(hash_rotate((a ^ HASH_GOLDEN) * HASH_ROOT2, 32) ^ (b * HASH_ROOT3));
}

#endif
