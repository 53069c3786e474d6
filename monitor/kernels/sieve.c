/* Which of many 64-bit keys were surely never entered: a Bloom filter whose bits of a key lie in one line of the cache.
 * sieve.py has the same in numpy, and says what it means.
 */
#include <stdint.h>

enum { WORDS = 8, PROBES = 6, PLACE_BITS = 9 }; /* 2 ** PLACE_BITS bits in WORDS words */
enum { AHEAD = 16 };                            /* keys whose lines are asked for before they are needed */

void mw_sieve_enter(int64_t n, const uint64_t *keys, uint64_t *words, uint64_t blocks);
void mw_sieve_may_hold(int64_t n, const uint64_t *keys, const uint64_t *words, uint64_t blocks, uint8_t *out);

static inline uint64_t scattered(uint64_t key)
{
    uint64_t h = key * 0x9e3779b97f4a7c15ULL;
    h ^= h >> 32;
    return h * 0xd6e8feb86659fd93ULL;
}

/* Where the block of a scattered key begins; there are fewer than 2 ** 32 of them. */
static inline uint64_t block_of(uint64_t h, uint64_t blocks)
{
    return (h >> 32) * blocks >> 32;
}

/* Nine bits for each probe, from the top of the word that is returned. */
static inline uint64_t places_of(uint64_t h)
{
    return (h ^ h >> 29) * 0xff51afd7ed558ccdULL;
}

void mw_sieve_enter(int64_t n, const uint64_t *keys, uint64_t *words, uint64_t blocks)
{
    for (int64_t i = 0; i < n; i++) {
        if (i + AHEAD < n)
            __builtin_prefetch(&words[block_of(scattered(keys[i + AHEAD]), blocks) * WORDS], 1);
        uint64_t h = scattered(keys[i]), places = places_of(h), *block = &words[block_of(h, blocks) * WORDS];
        for (int k = 0; k < PROBES; k++, places <<= PLACE_BITS)
            block[places >> 61] |= 1ULL << (places >> 55 & 63);
    }
}

void mw_sieve_may_hold(int64_t n, const uint64_t *keys, const uint64_t *words, uint64_t blocks, uint8_t *out)
{
    for (int64_t i = 0; i < n; i++) {
        if (i + AHEAD < n)
            __builtin_prefetch(&words[block_of(scattered(keys[i + AHEAD]), blocks) * WORDS]);
        uint64_t h = scattered(keys[i]), places = places_of(h), missing = 0;
        const uint64_t *block = &words[block_of(h, blocks) * WORDS];
        for (int k = 0; k < PROBES; k++, places <<= PLACE_BITS)
            missing |= ~block[places >> 61] >> (places >> 55 & 63) & 1;
        out[i] = !missing;
    }
}
