/* In which tallies does each case count that answers a question: one for each group of its people; tallied.py says what
 * it means.
 */
#include <stdint.h>

/* Every member is 8 bytes wide; tallied.py mirrors it. */
typedef struct {
    int64_t cases;
    const int64_t *event;
    const double *s;
    const int64_t *first, *member;
    const int32_t *base; /* by member and kind, `kinds` of them */
    int64_t kinds, kind;
    int64_t *of_event, *tally;
    double *of_s;
    int64_t *lacking;
    int64_t pairs, n_lacking;
} tallied_call;

int64_t mw_tallied_call_size(void);
void mw_tallied(tallied_call *c);

int64_t mw_tallied_call_size(void) { return (int64_t)sizeof(tallied_call); }

void mw_tallied(tallied_call *c)
{
    int64_t pairs = 0, n_lacking = 0;
    for (int64_t i = 0; i < c->cases; i++) {
        int64_t event = c->event[i];
        for (int64_t at = c->first[event]; at < c->first[event + 1]; at++) {
            int32_t tally = c->base[c->member[at] * c->kinds + c->kind];
            if (tally < 0) {
                c->lacking[n_lacking++] = c->member[at];
                continue;
            }
            c->of_event[pairs] = event;
            c->tally[pairs] = tally;
            c->of_s[pairs++] = c->s[i];
        }
    }
    c->pairs = pairs;
    c->n_lacking = n_lacking;
}
