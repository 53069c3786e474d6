/* The inner loops of tables that say which row a key belongs to. table.py has the same in numpy. */
#include <stdint.h>

#include "places.h"

enum { AHEAD = 12 }; /* keys whose slots are asked for before they are needed: no cache holds the table of all cases */

void mw_mix(int64_t n, const uint64_t *a, const uint64_t *b, uint64_t *out)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = mix(a[i], b[i]);
}

void mw_find(int64_t n, const uint64_t *wanted, const uint64_t *keys, const int32_t *values, uint64_t mask, int32_t *out)
{
    for (int64_t i = 0; i < n; i++) {
        if (i + AHEAD < n) {
            __builtin_prefetch(keys + (wanted[i + AHEAD] & mask));
            __builtin_prefetch(values + (wanted[i + AHEAD] & mask));
        }
        out[i] = find(wanted[i], keys, values, mask);
    }
}

/* Maps `n` keys, none of them 0, to values; returns how many slots were taken. The caller saw to it that there are some. */
int64_t mw_insert(int64_t n, const uint64_t *wanted, const int32_t *given, uint64_t *keys, int32_t *values,
                  uint64_t mask)
{
    int64_t taken = 0;
    for (int64_t i = 0; i < n; i++) {
        if (i + AHEAD < n) {
            __builtin_prefetch(keys + (wanted[i + AHEAD] & mask), 1);
            __builtin_prefetch(values + (wanted[i + AHEAD] & mask), 1);
        }
        uint64_t slot = wanted[i] & mask;
        while (keys[slot] != 0 && keys[slot] != wanted[i])
            slot = (slot + 1) & mask;
        taken += keys[slot] == 0;
        keys[slot] = wanted[i];
        values[slot] = given[i];
    }
    return taken;
}
