/* Sums by row: what each case adds to the row of its model, its cohort or its group; add.py says what it means. */
#include <stdint.h>

enum { WIDTH_MAX = 16 };

/* Every member is 8 bytes wide; add.py mirrors it. Part `k` of case `i` is `part[k][i * step[k]]`, `wide` says of sums
 * that they are doubles and not floats. */
typedef struct {
    int64_t cases, width, wide;
    const int64_t *at;
    const double *part[WIDTH_MAX];
    int64_t step[WIDTH_MAX];
    void *sums;
} add_call;

int64_t mw_add_rows_call_size(void);
void mw_add_rows(add_call *c);

int64_t mw_add_rows_call_size(void) { return (int64_t)sizeof(add_call); }

/* Inlined where the width is known, so that the parts of a case stay in registers. */
static inline __attribute__((always_inline)) void add_rows(const add_call *given, const int64_t width)
{
    const add_call c = *given; /* its own, which no sum that is written can change */
    double *const doubles = c.sums;
    float *const floats = c.sums;
    for (int64_t i = 0; i < c.cases; i++) {
        double part[WIDTH_MAX];
        int known = c.at[i] >= 0;
        for (int64_t k = 0; k < width; k++) {
            part[k] = c.part[k][i * c.step[k]];
            known &= part[k] == part[k];
        }
        if (!known)
            continue;
        for (int64_t k = 0; k < width; k++) {
            if (c.wide)
                doubles[c.at[i] * width + k] += part[k];
            else
                floats[c.at[i] * width + k] += (float)part[k];
        }
    }
}

void mw_add_rows(add_call *c)
{
    switch (c->width) {
    case 1:
        add_rows(c, 1);
        break;
    case 2:
        add_rows(c, 2);
        break;
    case 3:
        add_rows(c, 3);
        break;
    default:
        add_rows(c, c->width);
    }
}
