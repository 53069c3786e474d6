/* Which groups are the people of matured cases of, told from the attributes that were kept of them? recall.py says what
 * it means. A case of which anything was not met before is left to Python whole. Every index that comes out of a table
 * was put there by the caller against its own arrays.
 */
#include <stdint.h>

#include "places.h"

enum { SENSITIVE = 3, SLOTS_MAX = 16 };

/* Every member is 8 bytes wide, or a struct of such; recall.py mirrors it. */
typedef struct {
    int64_t cases, slots;
    const int32_t *model;
    const char *name, *text, *kind, *asked; /* of each case `slots` side by side; `asked` may be missing: all are */
    int64_t name_step, text_step, kind_step, asked_step; /* bytes from a case to the next: they may lie in records */
    const uint64_t *model_key;
    const uint8_t *peculiar, *crossing;
    table said, both;
    const uint64_t *member_key;
    int64_t *event, *member, *first, *left;
    int64_t pairs, n_left;
} recall_call;

int64_t mw_recall_call_size(void);
void mw_recall(recall_call *c);

int64_t mw_recall_call_size(void) { return (int64_t)sizeof(recall_call); }

static inline void list_pair(recall_call *c, int64_t i, int64_t member)
{
    c->event[c->pairs] = i;
    c->member[c->pairs++] = member;
}

/* The members of case `i`, then what each two of them are together; false where one was not met before. */
static int recall(recall_call *c, int64_t i)
{
    int32_t met[SLOTS_MAX], model = c->model[i];
    uint8_t wanted[SLOTS_MAX];
    int n = 0;
    uint64_t key = c->model_key[model] + SENSITIVE;
    const uint64_t *name = (const uint64_t *)(const void *)(c->name + i * c->name_step);
    const uint64_t *text = (const uint64_t *)(const void *)(c->text + i * c->text_step);
    const uint8_t *kind = (const uint8_t *)c->kind + i * c->kind_step;
    for (int64_t slot = 0; slot < c->slots; slot++) {
        if (!name[slot])
            continue;
        if (c->peculiar[model] || kind[slot] == T_NUMBER)
            return 0;
        wanted[n] = !c->asked || c->asked[i * c->asked_step + slot];
        met[n] = look_up(&c->said, mix(mix(key, name[slot]), text[slot]));
        if (met[n] < 0)
            return 0;
        if (wanted[n])
            list_pair(c, i, met[n]);
        n++;
    }
    for (int a = 0; c->crossing[model] && a < n; a++)
        for (int b = a + 1; b < n; b++) {
            int32_t both = look_up(&c->both, mix(c->member_key[met[a]] + c->member_key[met[b]], 0));
            if (both < 0)
                return 0;
            if (both && (wanted[a] || wanted[b]))
                list_pair(c, i, both - 1);
        }
    return 1;
}

void mw_recall(recall_call *c)
{
    for (int64_t i = 0; i < c->cases; i++) {
        int64_t before = c->first[i] = c->pairs;
        if (!recall(c, i)) {
            c->pairs = before;
            c->left[c->n_left++] = i;
        }
    }
    c->first[c->cases] = c->pairs;
}
