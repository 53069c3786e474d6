/* Where does a value belong? Look-up of keys, and bins between edges: what several kernels ask. */
#ifndef MW_PLACES_H
#define MW_PLACES_H

#include <stdint.h>
#include <string.h>

enum { T_NULL = 0, T_NUMBER = 1, T_TEXT = 2, T_BOOL = 3, T_DROPPED = 4 };
enum { K_UNKNOWN = 0, K_NUMBER = 1, K_CATEGORY = 2 };
enum { BINS = 32, ELSEWHERE = 255 }; /* columns of counts from BINS on are of what a value can be instead */

/* What `mix` makes of its first part alone: rows are small numbers, and spread before they meet the other. */
static inline uint64_t mix_begun(uint64_t a)
{
    uint64_t h = (a + 0x9e3779b97f4a7c15ULL) * 0xff51afd7ed558ccdULL;
    return h ^ h >> 32;
}

static inline uint64_t mix_ended(uint64_t begun, uint64_t b)
{
    uint64_t h = (begun ^ b) * 0xc4ceb9fe1a85ec53ULL;
    h ^= h >> 29;
    return h ? h : 1;
}

static inline uint64_t mix(uint64_t a, uint64_t b) { return mix_ended(mix_begun(a), b); }

static inline int32_t find(uint64_t key, const uint64_t *keys, const int32_t *values, uint64_t mask)
{
    for (uint64_t slot = key & mask;; slot = (slot + 1) & mask) {
        if (keys[slot] == key)
            return values[slot];
        if (keys[slot] == 0)
            return -1;
    }
}

/* A table of table.py, as a call is given it. */
typedef struct {
    const uint64_t *keys;
    const int32_t *values;
    uint64_t mask;
} table;

static inline int32_t look_up(const table *t, uint64_t key) { return find(key, t->keys, t->values, t->mask); }

enum { EDGES = 31 };

/* Four numbers at once, in the compiler's own words for it. Where the processor has registers that wide, the loader
 * takes the version of a kernel that uses them; both find the same. */
typedef double four __attribute__((vector_size(32)));
typedef int64_t four_masks __attribute__((vector_size(32)));

#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__)
#define FOR_EACH_WIDTH __attribute__((target_clones("avx2", "default")))
#else
#define FOR_EACH_WIDTH
#endif

/* How many of all EDGES edges lie below x: one look at each is less than halving, whose steps wait for one another. */
static inline __attribute__((always_inline)) uint32_t bin_of_all(double x, const double *edges)
{
    const four wanted = {x, x, x, x};
    const four_masks not_twice = {0, -1, -1, -1};
    four part;
    memcpy(&part, edges + EDGES - 4, sizeof part);
    four_masks below = (four_masks)(part < wanted) & not_twice;
    for (int i = 0; i < EDGES - 3; i += 4) {
        memcpy(&part, edges + i, sizeof part);
        below += (four_masks)(part < wanted);
    }
    return (uint32_t)-(below[0] + below[1] + below[2] + below[3]);
}

/* How many of `n` edges, at least one, lie below x: without a branch, for which way it goes cannot be foretold. */
static inline __attribute__((always_inline)) uint32_t bin_of(double x, const double *edges, uint32_t n)
{
    if (n == EDGES)
        return bin_of_all(x, edges);
    uint32_t from = 0;
    while (n > 1) {
        uint32_t half = n >> 1;
        from += half & -(uint32_t)(edges[from + half - 1] < x);
        n -= half;
    }
    return from + (edges[from] < x);
}

#endif
