/* Where does a value belong? Look-up of keys, and bins between edges: what several kernels ask. */
#ifndef MW_PLACES_H
#define MW_PLACES_H

#include <stdint.h>

enum { T_NULL = 0, T_NUMBER = 1, T_TEXT = 2, T_BOOL = 3, T_DROPPED = 4 };
enum { K_UNKNOWN = 0, K_NUMBER = 1, K_CATEGORY = 2 };

static inline uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t h = (a + 0x9e3779b97f4a7c15ULL) * 0xff51afd7ed558ccdULL; /* rows are small numbers: spread before they meet */
    h = ((h ^ h >> 32) ^ b) * 0xc4ceb9fe1a85ec53ULL;
    h ^= h >> 29;
    return h ? h : 1;
}

static inline int32_t find(uint64_t key, const uint64_t *keys, const int32_t *values, uint64_t mask)
{
    for (uint64_t slot = key & mask;; slot = (slot + 1) & mask) {
        if (keys[slot] == key)
            return values[slot];
        if (keys[slot] == 0)
            return -1;
    }
}

/* How many of `n` edges, at least one, lie below x: halves without a branch, for which way it goes cannot be foretold. */
static inline uint32_t bin_of(double x, const double *edges, uint32_t n)
{
    uint32_t from = 0;
    while (n > 1) {
        uint32_t half = n >> 1;
        from += half & -(uint32_t)(edges[from + half - 1] < x);
        n -= half;
    }
    return from + (edges[from] < x);
}

#endif
