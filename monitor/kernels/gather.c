/* How the sums of blocks are taken when their ticks close. gather.py of this room has the same in numpy, and says what it
 * means.
 *
 * Every row was resolved by the caller against its own arrays.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

enum { COLUMNS = 40, MOMENTS = 4 };

typedef struct {
    int64_t blocks;
    const int64_t *base, *size;
    int64_t width;
    const void *counts;
    double *moments;
    int64_t events;
    const int64_t *denominator;
    const uint8_t *number;
    uint32_t *facts, *heads, *of_series;
    double *facts_moments, *series_moments;
} gather_call;

int64_t mw_gather_call_size(void);
void mw_gather(const gather_call *c);

int64_t mw_gather_call_size(void) { return sizeof(gather_call); }

/* Row `at` of the arena, whose counts take 2 or 4 bytes. */
static inline void take_row(const gather_call *c, int64_t at, uint32_t *to)
{
    if (c->width == sizeof *to) {
        memcpy(to, (const uint32_t *)c->counts + at * COLUMNS, COLUMNS * sizeof *to);
        return;
    }
    const uint16_t *from = (const uint16_t *)c->counts + at * COLUMNS;
    for (int64_t k = 0; k < COLUMNS; k++)
        to[k] = from[k];
}

void mw_gather(const gather_call *c)
{
    static const double empty[MOMENTS] = {0.0, 0.0, INFINITY, -INFINITY};
    const size_t counts = COLUMNS * sizeof(uint32_t), moments = MOMENTS * sizeof(double);
    int64_t fact = 0, series = 0;
    for (int64_t i = 0; i < c->blocks; i++) {
        const uint32_t *head = c->heads + i * COLUMNS;
        take_row(c, c->base[i], c->heads + i * COLUMNS);
        memcpy(c->facts + fact * COLUMNS, head, counts);
        memcpy(c->facts_moments + fact * MOMENTS, empty, moments);
        fact++;
        for (int64_t j = 1; j < c->size[i]; j++, fact++, series++) {
            const double *moved = c->moments + (c->base[i] + j) * MOMENTS;
            take_row(c, c->base[i] + j, c->facts + fact * COLUMNS);
            c->facts[fact * COLUMNS + c->events] = head[c->denominator[series]];
            memcpy(c->of_series + series * COLUMNS, c->facts + fact * COLUMNS, counts);
            memcpy(c->series_moments + series * MOMENTS, moved, moments);
            memcpy(c->facts_moments + fact * MOMENTS, c->number[series] ? moved : empty, moments);
        }
    }
}
