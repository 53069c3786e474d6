/* Which of many 64-bit keys were met before: three sets, of which only the newest takes more. remember.py has the same
 * in numpy, and says what it means. A set is a table of a power of two of slots with open addressing; 0 is a free slot.
 * And what the keys of events are; tally/duplicates.py has that in numpy.
 */
#include <stdint.h>
#include <string.h>

#include "strings.h"

enum { OUTCOME = 8, PARTS = 511 }; /* the space of an entry; all parts that an event can have */

enum { AHEAD = 12 }; /* keys whose slots are asked for before they are needed: no cache holds these tables */

void mw_keys_of(int64_t n, const uint64_t *model, const uint64_t *id, const int32_t *id_length, const uint16_t *parts,
                const uint64_t *kinds, int64_t m, const int32_t *event, const uint8_t *space, const uint64_t *text,
                uint64_t *keys);
void mw_enter(int64_t n, const uint64_t *keys, uint64_t *slots, uint64_t mask);
int64_t mw_remember(int64_t n, const uint64_t *keys, const uint64_t *oldest, uint64_t oldest_mask, const uint64_t *older,
                    uint64_t older_mask, uint64_t *newest, uint64_t newest_mask, int64_t room, uint8_t *met,
                    int64_t *entered);

/* The key of each event, by its model, its id and its kind, and by the outcome that it tells; `kinds` has PARTS + 1.
 * Entries are ordered by event.
 */
void mw_keys_of(int64_t n, const uint64_t *model, const uint64_t *id, const int32_t *id_length, const uint16_t *parts,
                const uint64_t *kinds, int64_t m, const int32_t *event, const uint8_t *space, const uint64_t *text,
                uint64_t *keys)
{
    for (int64_t i = 0; i < n; i++)
        keys[i] = hash_mix(hash_mix(model[i], id[i]), kinds[parts[i] & PARTS]);
    int64_t of = -1;
    uint64_t plain = 0;
    for (const uint8_t *at = space; m && (at = memchr(at, OUTCOME, (size_t)(space + m - at))); at++) {
        if (event[at - space] != of) {
            of = event[at - space];
            plain = keys[of];
        }
        keys[of] = hash_mix(plain, text[at - space]);
    }
    for (int64_t i = 0; i < n; i++)
        keys[i] = id_length[i] == 0 ? 0 : keys[i] ? keys[i] : 1;
}

static inline uint64_t slot_of(uint64_t key, const uint64_t *slots, uint64_t mask)
{
    uint64_t slot = key & mask;
    while (slots[slot] != key && slots[slot] != 0)
        slot = (slot + 1) & mask;
    return slot;
}

/* Put all keys in; zeros are passed over. There is room for them. */
void mw_enter(int64_t n, const uint64_t *keys, uint64_t *slots, uint64_t mask)
{
    for (int64_t i = 0; i < n; i++) {
        if (i + AHEAD < n)
            __builtin_prefetch(&slots[keys[i + AHEAD] & mask], 1);
        if (keys[i])
            slots[slot_of(keys[i], slots, mask)] = keys[i];
    }
}

/* Say of each key whether it was met before, and remember it; returns how many keys were looked at before `room` more
 * of them had been entered and another one would have been.
 */
int64_t mw_remember(int64_t n, const uint64_t *keys, const uint64_t *oldest, uint64_t oldest_mask, const uint64_t *older,
                    uint64_t older_mask, uint64_t *newest, uint64_t newest_mask, int64_t room, uint8_t *met,
                    int64_t *entered)
{
    int64_t i, more = 0;
    for (i = 0; i < n; i++) {
        if (i + AHEAD < n) {
            uint64_t next = keys[i + AHEAD];
            __builtin_prefetch(&newest[next & newest_mask], 1);
            __builtin_prefetch(&older[next & older_mask]);
            __builtin_prefetch(&oldest[next & oldest_mask]);
        }
        uint64_t key = keys[i];
        met[i] = 0;
        if (key == 0)
            continue;
        uint64_t slot = slot_of(key, newest, newest_mask);
        met[i] = newest[slot] == key || older[slot_of(key, older, older_mask)] == key ||
                 oldest[slot_of(key, oldest, oldest_mask)] == key;
        if (met[i])
            continue;
        if (more == room)
            break;
        newest[slot] = key;
        more++;
    }
    *entered = more;
    return i;
}
